"""Scenarios are values that say what they mean, and every one of them keeps the simulator's promises."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import attrs
import numpy as np
import pytest

from agentic import Agent
from agentic._codec import fingerprint
from agentic.errors import ConfigurationError
from agentic.evaluation import joined
from agentic.guardrails import Consent, Cooldown, FrequencyCap, QuietHours
from agentic.policies import Fixed, LinearThompson, Uniform
from agentic.simulation import (
    RETAIL,
    SCENARIOS,
    Appeal,
    Country,
    Moment,
    Reach,
    Scenario,
    Simulated,
    Weekly,
    World,
    campaign,
    scenario,
    simulate,
)

DAYS = timedelta(days=1)
DAY = 24 * 3_600_000_000
NAMES = list(SCENARIOS)


def content(agent: Agent, simulated: Simulated) -> str:
    """Hash of every logged decision and of every customer's fate; times that were measured left out."""
    digest = hashlib.sha256()
    for _, block in agent.log.read():
        digest.update(block.kind.encode())
        for name in sorted(block.columns.keys() - {"compute_us"}):
            column = block.columns[name]
            digest.update(name.encode())
            digest.update(repr(column.tolist()).encode() if column.dtype == object else column.tobytes())
    for values in (simulated.value, simulated.trust, simulated.contacts, simulated.gone, simulated.worth):
        digest.update(values.tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_log(name: str) -> None:
    """Everything logged and everybody's fate, in every scenario; another seed gives another log."""
    found = []
    for seed in (1, 1, 2):
        agent, world = campaign(customers=80, seed=seed, scenario=SCENARIOS[name])
        found.append(content(agent, simulate(agent, world, weeks=1)))
    assert found[0] == found[1] != found[2]


def test_the_default_scenario_is_the_world_as_it_was() -> None:
    """Figures that were published of the stock campaign stand: these are of the world before scenarios."""
    agent, world = campaign(Uniform(), customers=200, seed=3)
    simulated = simulate(agent, world, weeks=3)
    actions = [block.columns["action"] for _, block in agent.log.read() if block.kind == "decision"]
    found = hashlib.sha256(b"".join(action.astype("<i8").tobytes() for action in actions)).hexdigest()
    assert found.startswith("251b97ac5e15db9f")
    sums = simulated.value.sum(), simulated.worth.sum(), simulated.trust.sum(), simulated.gone.sum()
    assert sums == pytest.approx((554.0535272007702, 696.8327840661807, 198.6256306697171, 2), rel=1e-12)
    assert simulated.recorded == {"closed": 6, "counted": 192, "duplicate": 2, "late": 1}
    assert scenario("retail") is RETAIL == Scenario()


@pytest.mark.parametrize("name", ["retail", "india_prepaid", "seasonal_shift"])
def test_what_happens_to_a_customer_does_not_depend_on_the_others(name: str) -> None:
    """Among 60 or among 90, in waves of other sizes: the same decisions, outcomes and fate.

    As long as nothing is shared: a policy that does not learn, and no budget.
    """
    found = []
    for customers in (60, 90):
        agent, world = campaign(
            Uniform(),
            customers=customers,
            seed=4,
            scenario=SCENARIOS[name],
            guardrails=[Consent("marketing"), QuietHours("21:00", "08:00"), Cooldown(DAYS)],
        )
        simulated = simulate(agent, world, weeks=2)
        rows = joined(agent)
        mine = simulated.moment.row < 60
        who, when = simulated.moment.row[mine], simulated.now[mine]
        order = np.lexsort((who, when))
        chosen = np.concatenate(
            [block.columns["action"][:, 0] for _, block in agent.log.read() if block.kind == "decision"]
        )
        found.append(
            (
                *(part[order] for part in (who, when, chosen[mine], simulated.worth[mine])),
                rows.reward[mine][order],
                *(part[:60] for part in (simulated.value, simulated.trust, simulated.gone)),
            )
        )
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("name", NAMES)
def test_the_truth_is_what_is_drawn_in_every_scenario(name: str) -> None:
    """Logged rewards average what the closed form expects of them, within four standard errors.

    With connections that come and go: what waits, what expires, and what is told too late.
    """
    agent, world = campaign(Uniform(), customers=1500, seed=8, holdout=0.2, scenario=SCENARIOS[name])
    assert agent.goals is not None
    simulated = simulate(agent, world, weeks=1)
    rows = joined(agent)
    expected = np.empty(len(rows))
    for now in np.unique(simulated.now):
        here = np.flatnonzero(simulated.now == now)
        table = simulated.expected(agent.goals, rows.catalogue, here)
        expected[here] = table[np.arange(len(here)), rows.action[here]]
    gap = rows.reward - expected
    assert gap.std() > 0.0
    assert abs(gap.mean()) < 4.0 * gap.std() / np.sqrt(len(gap))
    assert agent.pending == 0


def weeks_of(policy: Any, name: str, *, customers: int = 300, weeks: int = 4, seed: int = 5) -> Weekly:
    agent, world = campaign(
        policy,
        customers=customers,
        seed=seed,
        scenario=SCENARIOS[name],
        guardrails=[Consent("marketing"), FrequencyCap(2, per=7 * DAYS)],
        holdout=0.0,
        random_control=0.0,
    )
    return simulate(agent, world, weeks=weeks).weekly


def test_where_nothing_works_no_policy_makes_a_difference() -> None:
    """Purchases and sales of every week are the same to the last bit, whoever decides and however much."""
    much, none = weeks_of(Uniform(), "nothing_works"), weeks_of(Fixed("no_action"), "nothing_works")
    assert much.messages.sum() > 10 * none.messages.sum()
    for name in ("purchases", "sales", "clicks", "unsubscribes", "complaints", "trust", "active"):
        np.testing.assert_array_equal(getattr(much, name), getattr(none, name), err_msg=name)
    assert much.purchases.sum() > 0.0 == much.clicks.sum()


def test_tastes_turn_with_the_season() -> None:
    """The voucher beats the novelty at first, and eight weeks later it is the other way round."""
    world = World.of(2000, seed=1, scenario=SCENARIOS["seasonal_shift"])
    agent, _ = campaign(customers=1)
    catalogue = agent.plan.catalogue
    pair = [catalogue.column(f"{message}/email/morning") for message in ("voucher", "new_arrivals")]
    n = len(world)
    rested = Moment(np.arange(n), np.zeros(n), np.ones(n), np.zeros(n, np.bool_), np.full(n, 5.0))
    start = 20_503 * DAY + DAY // 6
    first, later = (
        world.response(rested, catalogue, np.broadcast_to(pair, (n, 2)), start + weeks * 7 * DAY).click.mean(
            0
        )
        for weeks in (0, 8)
    )
    assert first[0] > 1.2 * first[1]
    assert later[1] > 1.2 * later[0]


def test_rare_rewards_are_rare() -> None:
    """At most one occasion in a hundred comes to a purchase, and one message in a hundred to a click."""
    weeks = weeks_of(Uniform(), "rare_rewards")
    assert 0.0 < weeks.purchases.sum() < 0.01 * weeks.decisions.sum()
    assert 0.0 < weeks.clicks.sum() < 0.012 * weeks.messages.sum()


def test_quick_harm_is_clicked_and_drives_people_away() -> None:
    """The reminder is clicked more than the voucher, and unsubscribed from several times as often."""
    harm, usual = (weeks_of(Fixed(f"{one}/push/evening"), "quick_harm") for one in ("reminder", "voucher"))
    assert harm.clicks[0] > usual.clicks[0]
    assert harm.unsubscribes.sum() / harm.messages.sum() > 3 * usual.unsubscribes.sum() / usual.messages.sum()


def test_two_messages_a_week_are_too_many_for_the_fatigued() -> None:
    """What an ordinary shop may send costs trust at once where it was spent before."""
    fragile, usual = (weeks_of(LinearThompson(), name) for name in ("win_back_fatigued", "retail"))
    assert fragile.trust[-1] < 0.97 < usual.trust[-1]
    assert fragile.complaints.sum() > 0.0 == usual.complaints.sum()


def test_weeks_add_up_to_what_the_log_says() -> None:
    """Decisions, messages and their price; who is reachable has agreed, and has not left or unsubscribed."""
    agent, world = campaign(customers=200, seed=6)
    simulated = simulate(agent, world, weeks=2)
    rows, weekly = joined(agent), simulated.weekly
    assert len(weekly) == 2
    assert weekly.decisions.sum() == len(rows)
    assert weekly.messages.sum() == np.count_nonzero(rows.action != rows.catalogue.idle)
    assert weekly.cost.sum() == pytest.approx(rows.cost.sum())
    assert weekly.active[-1] == np.count_nonzero(~simulated.gone)
    assert (weekly.reachable <= weekly.active).all()
    assert weekly.reachable[0] <= world.agrees.sum()
    np.testing.assert_allclose(weekly.profit(0.5), 0.5 * weekly.sales - weekly.cost)
    assert dict(weekly.columns())["trust"] is weekly.trust


def test_the_facts_of_a_scenario_are_json_and_say_all_of_it() -> None:
    """Every attribute under its name; what is changed anywhere changes the hash."""
    names = {field.name for field in attrs.fields(Scenario)}
    hashes = set()
    for one in SCENARIOS.values():
        facts = one.facts
        assert json.loads(json.dumps(facts, allow_nan=False)) == facts
        assert facts.keys() == names
        hashes.add(fingerprint(facts))
    assert len(hashes) == len(SCENARIOS)
    changed = attrs.evolve(RETAIL, channels={**RETAIL.channels, "sms": Reach(1.4, 0.98, waits_hours=5.0)})
    assert fingerprint(changed.facts) not in hashes


def test_a_scenario_is_found_by_its_name() -> None:
    """A wrong name is told which there are."""
    assert all(scenario(name).name == name for name in NAMES)
    with pytest.raises(ConfigurationError, match=r"no scenario 'moon': choose one of retail, india_prepaid"):
        scenario("moon")


HALF = (Country("A", "Asia/Kolkata", 0.5), Country("A", "Asia/Dubai", 0.5))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"agrees": 1.2}, "agrees must be from 0 to 1, got 1.2"),
        ({"agrees": 0.7, "refuses": 0.4}, "shares of the same customers"),
        ({"lift": True}, "lift must be"),
        ({"clicks": "0.1"}, "clicks must be"),
        ({"trust_loss": float("nan")}, "trust_loss must be"),
        ({"dulling": -0.1}, "dulling must be"),
        ({"fatigue_half_life_days": 0.0}, "fatigue_half_life_days must be"),
        ({"offline": 1.0}, "offline must be from 0 to 0.95"),
        ({"spell_hours": 0.5}, "spell_hours must be"),
        ({"basket": (1.0, 2.0)}, "basket must be 3 numbers"),
        ({"organic": [0.1, 0.1, 0.1]}, "organic must be 3 numbers"),
        ({"means_hours": (1.0, 1.0, 1.0, 0.0)}, "means_hours must be"),
        ({"swing": (0.0, 11.0)}, "swing must be"),
        ({"countries": HALF}, "codes of their own"),
        ({"countries": HALF[:1]}, "add up to 1"),
        ({"countries": ()}, "at least one Country"),
        ({"countries": list(HALF)}, "must be a tuple"),
    ],
)
def test_figures_out_of_range_are_refused(wrong: dict[str, Any], told: str) -> None:
    """Where they are written, with the name and the value."""
    with pytest.raises(ConfigurationError, match=told):
        Scenario(**wrong)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Appeal(99.0, 0.0, 0.0, 0.0),
        lambda: Appeal(0.0, 0.0, 0.0, 0.0, keeps=0.0),
        lambda: Appeal(0.0, 0.0, 0.0, 0.0, irritates=-1.0),
        lambda: Reach(-1.0, 0.5),
        lambda: Reach(1.0, 1.5),
        lambda: Reach(1.0, 0.5, waits_hours=-1.0),
        lambda: Country("X", "Mars/Olympus", 1.0),
        lambda: Country("X", "Asia/Dubai", -0.5),
    ],
    ids=["taste", "keeps", "irritates", "intrusion", "share", "waits", "zone", "country share"],
)
def test_parts_of_a_scenario_are_checked_too(make: Any) -> None:
    """A message, a channel and a country that cannot be are refused before there is a scenario."""
    with pytest.raises(ConfigurationError):
        make()
