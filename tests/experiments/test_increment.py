"""What an agent earns more than another way of deciding: against sums of one's own, and the truth."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest

from agentic import NO_ACTION, Action, Agent
from agentic.economics import Prices
from agentic.errors import EvaluationError
from agentic.evaluation import joined
from agentic.experiments import (
    Ratio,
    by_arm,
    by_side,
    difference,
    increment,
    ratio_difference,
    subject_keys,
)
from agentic.policies import EpsilonGreedy, Fixed, Split
from agentic.protocols import Policy
from agentic.rewards import Goals
from agentic.simulation import campaign, simulate
from agentic.testing import FakeClock
from agentic.types import micros


def shop(
    policy: Policy, *, seed: int = 1, n: int = 600, effect: float = 0.2, clock: FakeClock | None = None
) -> Agent:
    """Two weeks of purchases worth 10, likelier by 20 points after a text of 50 cents."""
    clock = FakeClock() if clock is None else clock
    agent = Agent(
        "shop",
        [Action("sms", cost=0.5)],
        policy=policy,
        goals=Goals({"purchase": 10.0}, window=timedelta(days=1)),
        holdout=0.3,
        salt=f"shop/{seed}",
        seed=seed,
        clock=clock,
    )
    dice = np.random.default_rng(seed)
    for _ in range(2):
        batch = agent.decide_many([f"s{i}" for i in range(n)])
        bought = dice.random(n) < 0.1 + taste(n) + effect * (batch.action_ids != NO_ACTION.id)
        agent.record_many([name for name, one in zip(batch.ids, bought, strict=True) if one], "purchase")
        clock.advance(timedelta(days=7))
        agent.learn()
    return agent


def taste(n: int) -> np.ndarray:
    """What was known of each subject before."""
    return np.arange(n) % 5 * 0.1


def test_the_figures_are_those_of_the_sums() -> None:
    """Welch of subjects' sums, the delta method of their ratio; net is gross less messages."""
    agent = shop(Fixed("sms"))
    found = increment(by_arm(agent), value=2.0, prices=Prices(message=3.0))
    rows = joined(agent).by_subject()
    policy, held = rows.of("policy"), rows.of("holdout")
    gross = 2.0 * policy.reward, 2.0 * held.reward
    net = gross[0] - 3.0 * policy.cost, gross[1]
    assert found.per_customer.gross == difference(*gross)
    assert found.per_customer.net == difference(*net)
    ratios = [Ratio(*pair) for pair in zip(net, (policy.decisions, held.decisions), strict=True)]
    assert found.per_decision.net == ratio_difference(*ratios)
    assert found.per_customer.cost.value == pytest.approx(3.0)  # two texts of 50 cents, three times as dear
    assert found.customers == len(policy.key)
    assert found.decisions == 2 * len(policy.key)
    assert found.total.value == pytest.approx(found.customers * found.per_customer.net.value)
    assert found.total.low == pytest.approx(found.customers * found.per_customer.net.low)


def test_what_computing_costs_is_told_and_left_out_of_net() -> None:
    """Microseconds per decision by the price of a core hour; figures of money do not change with it."""
    contrast = by_arm(shop(Fixed("sms")))
    cheap, dear = increment(contrast), increment(contrast, prices=Prices(core_hour=3.6e9))
    assert dear.compute_us > 0.0
    assert dear.compute_cost == pytest.approx(dear.compute_us)
    assert cheap.per_decision == dear.per_decision


@pytest.mark.parametrize(
    ("effect", "verdict"),
    [
        pytest.param(0.4, "it pays", id="pays"),
        pytest.param(-0.2, "it costs more than it brings", id="loses"),
    ],
)
def test_the_verdict_is_that_of_the_net_figure(effect: float, verdict: str) -> None:
    """Proven either way, or not at all."""
    assert increment(by_arm(shop(Fixed("sms"), n=2000, effect=effect))).verdict == verdict


def test_bounds_hold_the_truth() -> None:
    """Of 150 shops, net per customer and per decision, with CUPED and without; to four binomial errors.

    Texts add two times 20 points worth 10 to a customer, and cost two times 50 cents.
    """
    held = np.zeros(3)
    runs = 150
    for seed in range(runs):
        contrast = by_arm(shop(Fixed("sms"), seed=seed, n=200))
        before = subject_keys([f"s{i}" for i in range(200)]), taste(200)
        plain, adjusted = increment(contrast), increment(contrast, before=before)
        for place, (one, truth) in enumerate(
            (
                (plain.per_customer.net, 3.0),
                (adjusted.per_customer.net, 3.0),
                (plain.per_decision.net, 1.5),
            )
        ):
            held[place] += one.low <= truth <= one.high
    slack = 4.0 * math.sqrt(0.05 * 0.95 / runs)
    assert (np.abs(held / runs - 0.95) < slack).all()


def test_what_was_known_before_makes_it_surer() -> None:
    """Customers are laid beside the log by their keys, in whatever order they are given."""
    contrast = by_arm(shop(Fixed("sms"), n=3000))
    names = [f"s{i}" for i in range(3000)][::-1]
    found = increment(contrast, before=(subject_keys(names), taste(3000)[::-1]))
    assert found.per_customer.net.method == "CUPED"
    assert found.per_customer.net.variance_reduction > 0.05
    assert found.per_customer.cost.method == "Welch"  # the same for everybody: nothing to adjust
    with pytest.raises(EvaluationError, match="a value for every subject"):
        increment(contrast, before=(subject_keys(names[1:]), taste(2999)))
    with pytest.raises(EvaluationError, match="one for each key"):
        increment(contrast, before=(subject_keys(names), taste(2999)))


def test_groups_of_the_wrong_size_are_not_to_be_read() -> None:
    """Whatever the figures say."""
    agent = shop(Fixed("sms"), n=2000, effect=0.4)
    rows = joined(agent)
    lost = (rows.arm == 0) & (rows.key % np.uint64(3) == 0)
    found = increment(by_arm(agent, rows=rows.take(~lost)))
    assert found.check.mismatch
    assert found.verdict == "do not read"
    assert "do not read" in str(found)


def test_sides_of_a_split_are_compared() -> None:
    """Only the policy arm, by the hash of the split; the challenger's texts pay."""
    split = Split(Fixed(NO_ACTION), [(Fixed("sms"), 0.4)], salt="texts")
    agent = shop(split, n=2000)
    contrast = by_side(agent, split)
    assert not contrast.check.mismatch
    assert (split.side(contrast.treated.key) == 1).all()
    assert (split.side(contrast.plain.key) == 0).all()
    assert len(contrast.plain.key) + len(contrast.treated.key) == len(
        joined(agent).by_subject().of("policy").key
    )
    found = increment(contrast)
    assert found.verdict == "it pays"
    assert found.treatment == "fixed (side 1)"


def test_only_what_the_split_decided_counts() -> None:
    """Decisions before it went into charge are left out; of one that learns all that follow count."""
    clock = FakeClock()
    agent = shop(Fixed("sms"), n=300, clock=clock)
    split = Split(Fixed(NO_ACTION), [(EpsilonGreedy(), 0.5)], salt="later")
    with pytest.raises(EvaluationError, match="since="):
        by_side(agent, split)
    agent.policy = split
    since = clock()
    names = [f"s{i}" for i in range(300)]
    for _ in range(2):
        batch = agent.decide_many(names)
        agent.record_many(batch.ids, "purchase")
        clock.advance(timedelta(days=2))
        agent.learn()
    rows = joined(agent).of(["policy"])
    for contrast in (by_side(agent, split), by_side(agent, split, since=since)):
        counted = contrast.plain.decisions.sum() + contrast.treated.decisions.sum()
        assert counted == (rows.at >= micros(since)).sum() == 2 * len(np.unique(rows.key))


def test_a_simulated_holdout_has_the_increment_that_customers_were_worth() -> None:
    """Net per customer is the true worth of the decisions of both groups, to five errors of luck."""
    agent, world = campaign(customers=1500, seed=21, holdout=0.3)
    simulated = simulate(agent, world, weeks=3)
    contrast = by_arm(agent)
    rows = joined(agent)
    worth = simulated.worth[np.searchsorted(simulated.position, rows.position)] - rows.cost
    truth = [
        worth[rows.arm == arm].sum() / len(group.key)
        for arm, group in ((0, contrast.treated), (1, contrast.plain))
    ]
    found = increment(contrast).per_customer.net
    assert found.value == pytest.approx(truth[0] - truth[1], abs=5.0 * found.standard_error)


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        pytest.param(
            lambda agent: by_arm(agent, "policy", "random_control"), "random_control=0.05", id="share"
        ),
        pytest.param(lambda agent: by_arm(agent, "policy", "policy"), "another arm", id="same"),
        pytest.param(lambda agent: by_arm(agent, "shadow"), "one of", id="unknown"),
        pytest.param(lambda agent: increment(by_arm(agent), value=math.inf), "value is inf", id="value"),
        pytest.param(lambda agent: increment(by_arm(agent), level=1.0), "level is 1.0", id="level"),
        pytest.param(lambda agent: by_side(agent, Split(Fixed("sms")), 1), "a place among", id="side"),
        pytest.param(
            lambda agent: by_side(agent, Split(Fixed("sms"), [(Fixed("sms"), 0.1)]), 0),
            "another side",
            id="twice",
        ),
        pytest.param(
            lambda agent: by_arm(agent, rows=joined(agent).of(["policy"])),
            "decisions of holdout",
            id="nobody",
        ),
    ],
)
def test_bad_questions_are_refused(ask: Callable[[Agent], object], message: str) -> None:
    """With what to set."""
    agent = shop(Fixed("sms"), n=60)
    with pytest.raises(EvaluationError, match=message):
        ask(agent)


def test_the_report_is_readable_and_json() -> None:
    """No subject is named in it; what is not finite is null."""
    contrast = by_arm(shop(Fixed("sms")))
    found = increment(contrast)
    assert "net per customer" in str(found)
    assert json.loads(json.dumps(found.facts))["verdict"] == found.verdict
    assert "s1" not in repr(contrast)
