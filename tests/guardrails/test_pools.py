from datetime import UTC, datetime, timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.errors import ConfigurationError
from agentic.guardrails import Budget, VolumeLimit
from agentic.types import Action, micros
from batches import NOW, batch, ids, missing, space

DAY = timedelta(days=1)
WORLD = space(
    Action("dear", channel="post", cost=0.7),
    Action("free", channel="app"),
    Action("recall", channel="post", cost=0.7, message_class="mandatory"),
    Action("text", channel="sms", cost=0.1),
)
EVERY = {"dear", "free", "recall", "text"}


def priced(rule):
    return dict(zip(WORLD.catalogue.ids, rule.charge(WORLD).tolist(), strict=True))


def test_a_budget_charges_what_actions_cost_in_millionths():
    """Costs are whole millionths; mandatory messages and doing nothing are not charged."""
    assert priced(Budget(1.0)) == {"dear": 700_000, "free": 0, "no_action": 0, "recall": 0, "text": 100_000}


def test_a_volume_limit_charges_one_for_every_send():
    """A send counts one whatever it costs, free ones as well."""
    assert priced(VolumeLimit(5, channels=["app", "post"], exempt=())) == {
        "dear": 1_000_000,
        "free": 1_000_000,
        "no_action": 0,
        "recall": 1_000_000,
        "text": 0,
    }


def test_three_tenths_buy_three_times_a_tenth():
    """Money is counted in whole millionths, where 0.1 + 0.1 + 0.1 is 0.3 to the last of them."""
    rule = Budget(0.3).bind(WORLD)
    _, left = rule.allowance(NOW)
    sends = 0
    while "text" in ids(rule, batch(WORLD, available=left)):
        left -= priced(rule)["text"]
        sends += 1
    assert (sends, left) == (3, 0)


@given(st.integers(1, 10**7), st.sampled_from([1, 10, 100, 1000, 10**6]))
def test_a_decimal_amount_is_exact(whole, parts):
    """An amount with up to six decimals is that many millionths, though binary fractions are not."""
    _, amount = Budget(whole / parts).allowance(0)
    assert amount == Fraction(whole, parts) * 10**6


@given(st.floats(1e-6, 1e12))
def test_an_amount_is_never_rounded_up(amount):
    """A pool holds at most the amount as it is written, and lacks less than a millionth of it."""
    _, held = Budget(amount).allowance(0)
    assert held <= Fraction(repr(amount)) * 10**6 < held + 1


@pytest.mark.parametrize(
    ("available", "slots", "expected"),
    [
        (700_000, 1, EVERY),
        (699_999, 1, EVERY - {"dear"}),
        (100_000, 1, EVERY - {"dear"}),
        (99_999, 1, {"free", "recall"}),
        (0, 1, {"free", "recall"}),
        (-5, 1, {"free", "recall"}),
        (1_400_000, 2, EVERY),
        (1_399_999, 2, EVERY - {"dear"}),
        (299_999, 3, {"free", "recall"}),
    ],
)
def test_a_budget_allows_what_it_can_pay_in_every_slot(available, slots, expected):
    """A candidate is denied unless the pool could pay it in each slot; what is free never is."""
    rule = Budget(10.0).bind(WORLD)
    assert ids(rule, batch(WORLD, available=available, slots=slots)) == expected
    assert rule.review(batch(WORLD, available=available)).reason == "BUDGET_EXHAUSTED"


@pytest.mark.parametrize(
    ("available", "slots", "expected"),
    [(1_000_000, 1, EVERY), (999_999, 1, {"recall"}), (2_000_000, 3, {"recall"}), (3_000_000, 3, EVERY)],
)
def test_a_volume_limit_keeps_a_place_for_every_slot(available, slots, expected):
    """A send needs a whole place, for each slot of a slate."""
    rule = VolumeLimit(10).bind(WORLD)
    assert ids(rule, batch(WORLD, available=available, slots=slots)) == expected
    assert rule.review(batch(WORLD, available=available)).reason == "VOLUME_LIMIT"


@pytest.mark.parametrize("rule", [Budget(5.0), VolumeLimit(5)], ids=["budget", "volume"])
def test_without_a_pool_only_what_costs_nothing_is_allowed(rule):
    """A pool that was not handed over denies as unknown."""
    bound = rule.bind(WORLD)
    charged = bound.charge(WORLD) > 0
    assert missing(bound, batch(WORLD, available=None))[0].tolist() == charged.tolist()
    assert bound.review(batch(WORLD, available=None)).allowed[0].tolist() == (~charged).tolist()


@pytest.mark.parametrize("make", [Budget, VolumeLimit], ids=["budget", "volume"])
def test_a_pool_is_full_again_at_the_start_of_a_period(make):
    """Periods are numbered from 1970, so a day is a day in UTC; without a period there is only one."""
    midnight = micros(datetime(2026, 3, 2, tzinfo=UTC))
    daily = make(7, per=DAY)
    assert daily.allowance(midnight) == (20_514, 7_000_000)
    assert daily.allowance(midnight - 1) == (20_513, 7_000_000)
    assert daily.allowance(-1)[0] == -1
    assert {type(part) for part in daily.allowance(np.int64(midnight))} <= {int, np.int64}
    assert make(7).allowance(midnight) == (0, 7_000_000)


def test_a_lease_is_a_hundredth_of_the_pool():
    """Unless told otherwise a process takes a hundredth at once: enough for one send, never more than all."""
    assert Budget(500.0).lease == 5_000_000
    assert Budget(20.0).bind(WORLD).lease == 700_000
    assert Budget(0.5).bind(WORLD).lease == 500_000
    assert Budget(0.00005).lease == 1
    assert Budget(500.0, lease=2.5).bind(WORLD).lease == 2_500_000
    assert VolumeLimit(1000).lease == 10_000_000
    assert VolumeLimit(3).lease == 1_000_000
    assert VolumeLimit(1000, lease=50).bind(WORLD).lease == 50_000_000


@pytest.mark.parametrize("amount", [0, -1.0, float("nan"), float("inf"), True, "5", None, 1e-9, 1e13])
def test_a_budget_must_be_a_positive_amount(amount):
    """Nothing, less than a millionth, infinity and bools are no budgets, nor are they leases."""
    with pytest.raises(ConfigurationError, match="amount must be a number"):
        Budget(amount)
    if amount is not None:
        with pytest.raises(ConfigurationError, match="lease must be"):
            Budget(1e12, lease=amount)


@pytest.mark.parametrize("count", [0, -1, 1.5, True, "5", float("inf")])
def test_a_volume_limit_must_be_a_whole_number(count):
    """Floats, bools and numbers below one are no counts, nor are they leases."""
    with pytest.raises(ConfigurationError, match="count must be a whole number"):
        VolumeLimit(count)
    with pytest.raises(ConfigurationError, match="lease must be a whole number"):
        VolumeLimit(10, lease=count)


@pytest.mark.parametrize(
    "make", [lambda: Budget(5.0, lease=5.1), lambda: VolumeLimit(5, lease=6)], ids=["budget", "volume"]
)
def test_a_lease_is_at_most_the_pool(make):
    """Nobody can take more out of a pool than it holds."""
    with pytest.raises(ConfigurationError, match="at most the whole pool"):
        make()


@pytest.mark.parametrize("per", [timedelta(0), 86_400, "day"])
@pytest.mark.parametrize("make", [Budget, VolumeLimit], ids=["budget", "volume"])
def test_a_period_must_be_a_positive_duration(make, per):
    """A period is a positive timedelta."""
    with pytest.raises(ConfigurationError, match="per must be a positive timedelta"):
        make(5, per=per)
