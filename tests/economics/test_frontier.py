"""Shares, costs, steps, claims and flips, each against what can be worked out by hand."""

from __future__ import annotations

import itertools
import math
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agentic.economics import Claim, Frontier, Prices, Rung, Step, facts, frontier, plot
from agentic.errors import ConfigurationError
from agentic.policies import Fixed, Uniform
from agentic.simulation import Trials, alone_in_charge
from boards import Result, Written, board, found, row

KINDS: tuple[Any, ...] = ("compute", "messages", "total")
FIGURES = st.floats(min_value=0.0, max_value=100.0).map(lambda value: round(value, 1))
ROWS = st.lists(st.tuples(FIGURES, FIGURES, st.integers(min_value=1, max_value=50)), min_size=1, max_size=8)


def claim_of(one: Frontier, goal: float, whole: str, kind: str) -> Claim:
    (claim,) = [c for c in one.claims() if (c.goal, c.whole, c.kind) == (goal, whole, kind)]
    return claim


# -- shares ---------------------------------------------------------------------------------------


def test_a_share_is_gain_over_gain() -> None:
    """Over doing nothing, per thousand decisions; the error is that of a ratio of means, paired."""
    nothing, oracle, mine = np.array([1.0, 2.0, 4.0]), np.array([11.0, 13.0, 12.5]), np.array([5.0, 9.0, 7.0])
    one = found(nothing=nothing, oracle=oracle, mine=[Result(b) for b in mine]).row("mine")
    gain, top = mine - nothing, oracle - nothing
    share = gain.sum() / top.sum()
    error = np.std(gain - share * top, ddof=1) / math.sqrt(3) / top.mean()
    margin = stats.t.ppf(0.975, 2) * error
    assert one.gains == pytest.approx(gain)
    assert one.benefit.value == pytest.approx(gain.mean())
    assert one.benefit.error == pytest.approx(gain.std(ddof=1) / math.sqrt(3))
    assert (one.share.value, one.share.error) == pytest.approx((share, error))
    assert (one.share.low, one.share.high) == pytest.approx((share - margin, share + margin))


def test_benefit_is_per_thousand_decisions() -> None:
    """Seeds with other numbers of decisions are brought to the same measure."""
    results = {
        "nothing": [Result(1.0, decisions=500)],
        "oracle": [Result(9.0, decisions=500)],
        "a": [Result(5.0, message_cost=3.0, messages=250, decisions=500)],
    }
    one = frontier([Rung("a", Fixed("a"))], Written(results), seeds=[0]).row("a")
    assert one.benefit.value == 8.0
    assert one.share.value == 0.5
    assert (one.message_cost, one.messages) == (6.0, 500.0)


def test_one_seed_knows_no_error() -> None:
    """The share is there, its bounds are infinite, and no verdict is ventured."""
    slow = np.full(8, 90.0)
    one = found(nothing=[0.0], oracle=[10.0], a=[Result(9.0, 1.0)], b=[Result(9.5, 9.0, slow)])
    assert one.row("a").share.value == 0.9
    assert (one.row("a").share.low, one.row("a").share.high) == (-math.inf, math.inf)
    assert {claim.verdict for claim in one.claims()} == {"open"}
    assert not any(step.certain for step in one.steps())


def test_of_nothing_there_are_no_shares() -> None:
    """Where the oracle gains nothing, shares are not numbers, nobody reaches a goal, all stays open."""
    one = found(oracle=[0.0, 0.0], a=[Result(0.0, 1.0)] * 2, b=[Result(0.0, 9.0, np.full(8, 90.0))] * 2)
    assert math.isnan(one.row("a").share.value)
    assert {(claim.verdict, claim.reached_by) for claim in one.claims()} == {("open", None)}
    assert one.steps() == ()


def test_where_the_fixed_rule_is_optimal_its_share_is_one() -> None:
    """In a simulated campaign of one harmless message, sending it always is all there is to gain."""
    from datetime import timedelta

    from agentic import Action, Agent
    from agentic.rewards import Goals
    from agentic.simulation import World

    def make(policy: Any, /, *, customers: int, seed: int, more_features: Any) -> tuple[Agent, World]:
        agent = Agent(
            "one",
            [Action("hello", channel="email", cost=0.5)],
            features=more_features,
            policy=policy,
            goals=Goals({"click": 1.0}, window=timedelta(hours=72)),
            seed=seed,
        )
        return agent, World.of(customers, seed=seed)

    rungs = [Rung("always", Fixed("hello")), Rung("half", Uniform())]
    one = frontier(rungs, Trials(customers=120, weeks=1, make=make), seeds=range(3))
    always, half = one.rows
    assert always.share.value == pytest.approx(1.0, abs=1e-12)
    assert always.share.error == pytest.approx(0.0, abs=1e-12)
    assert always.message_cost == pytest.approx(0.5 * always.messages)
    # A coin for each message: half of the messages, and at least half of the clicks, for who is less tired
    # answers more.
    assert 0.5 < half.share.value < 1.0
    assert half.messages == pytest.approx(500.0, abs=4 * 500 / math.sqrt(one.decisions))


def test_where_nothing_differs_nobody_is_better() -> None:
    """Policies that choose among actions that are alike bring the same, and no step leads between them."""
    from datetime import timedelta

    from agentic import Agent, product
    from agentic.policies import LinearThompson
    from agentic.rewards import Goals
    from agentic.simulation import World

    def make(policy: Any, /, *, customers: int, seed: int, more_features: Any) -> tuple[Agent, World]:
        agent = Agent(
            "twins",
            product({"message": ["voucher"], "channel": ["push"], "shade": ["a", "b", "c"]}),
            features=more_features,
            policy=policy,
            goals=Goals({"click": 1.0}, window=timedelta(hours=72)),
            seed=seed,
        )
        return agent, World.of(customers, seed=seed)

    names = [f"voucher/push/{shade}" for shade in "abc"]
    rungs = [Rung("one", Fixed(names[0])), Rung("any", Fixed(dict.fromkeys(names, 1.0)))]
    rungs.append(Rung("learning", LinearThompson()))
    one = frontier(rungs, Trials(customers=80, weeks=1, make=make), seeds=range(2))
    first, second, learning = one.rows
    assert first.gains == pytest.approx(second.gains)
    assert first.share.value == pytest.approx(1.0)
    assert learning.share.value <= 1.0 + 1e-12  # it has to find out that doing nothing is worse
    assert one.efficient("messages")[-1].benefit.value == pytest.approx(first.benefit.value)


def test_the_same_arguments_give_the_same_facts() -> None:
    """Everything but times is the same on every run."""
    campaign = Trials(customers=60, weeks=1, make=alone_in_charge)
    first, again = (frontier([Rung("any", Uniform())], campaign, seeds=[4, 5]) for _ in range(2))
    timed = {"decide_us", "learn_us"}
    for mine, other in zip((*first.rows, first.oracle), (*again.rows, again.oracle), strict=True):
        for field in attrs.fields(type(mine)):
            if field.name not in timed:
                assert getattr(mine, field.name) == getattr(other, field.name), field.name


# -- costs ----------------------------------------------------------------------------------------


def test_costs_add_up() -> None:
    """Compute is processor time at the price of a core hour; messages are what the catalogue says."""
    prices = Prices(core_hour=3600.0, message=2.0)
    result = Result(50.0, message_cost=3.0, decide_us=np.full(9, 40.0), learn_us=np.array([4e3, 6e3]))
    one = found(prices=prices, a=[result] * 2).row("a")
    assert one.learn_us == 10.0  # ten thousand microseconds for a thousand decisions
    assert one.compute_cost == pytest.approx(50e-6 * 1000)  # a second costs 1
    assert one.message_cost == 6.0
    assert one.cost == one.message_cost + one.compute_cost
    assert one.net == one.benefit.value - one.cost
    assert [one.cost_of(kind) for kind in KINDS] == [one.compute_cost, one.message_cost, one.cost]


def test_cold_and_slow_waves_do_not_count() -> None:
    """The first quarter is left out, and of the rest the median is taken, so a hiccup moves nothing."""
    cold = np.array([900.0, 700.0, 12.0, 10.0, 1e6, 11.0, 10.0, 12.0])
    one = found(a=[Result(1.0, decide_us=cold), Result(1.0, decide_us=np.full(8, 11.0))]).row("a")
    assert one.decide_us == 11.0


@given(st.floats(min_value=0.0, max_value=1e6), st.floats(min_value=0.0, max_value=1e6))
def test_other_prices_are_other_costs_and_nothing_else(core_hour: float, message: float) -> None:
    """Costs are linear in prices, there and back again, through 0 too."""
    one = board([row("a", 40.0, 3.0, us=7.0), row("b", 50.0, 4.0, us=70.0)])
    other = one.at(Prices(core_hour=core_hour, message=message))
    assert other.row("a").message_cost == pytest.approx(3.0 * message)
    assert other.row("b").compute_cost == pytest.approx(70.0 / 3.6e6 * core_hour)
    assert other.at(one.prices) == one
    assert [r.share for r in other.rows] == [r.share for r in one.rows]


@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf, "0.05", True, None, 1e13])
def test_a_price_is_a_number_that_is_not_negative(value: Any) -> None:
    """Anything else is refused with its name and the value."""
    with pytest.raises(ConfigurationError, match="core_hour must be a number from 0"):
        Prices(core_hour=value)
    with pytest.raises(ConfigurationError, match="message must be a number from 0"):
        Prices(message=value)


# -- the frontier ---------------------------------------------------------------------------------


@given(ROWS, st.sampled_from(KINDS))
def test_nothing_on_the_frontier_is_beaten_and_everything_else_is(
    figures: list[tuple[float, float, int]], kind: Any
) -> None:
    """A row is on it exactly where no other is as cheap and as good, and better in one of both."""
    one = board([row(f"p{i}", benefit, cost, us=us) for i, (benefit, cost, us) in enumerate(figures)])

    def beats(a: Any, b: Any) -> bool:
        cheap = a.cost_of(kind) <= b.cost_of(kind) and a.benefit.value >= b.benefit.value
        return cheap and (a.cost_of(kind), a.benefit.value) != (b.cost_of(kind), b.benefit.value)

    best = one.efficient(kind)
    assert best
    for mine in best:
        assert not any(beats(other, mine) for other in one.rows)
    points = {(mine.cost_of(kind), mine.benefit.value) for mine in best}
    assert len(points) == len(best)
    for mine in one.rows:
        on = (mine.cost_of(kind), mine.benefit.value) in points
        assert on == (not any(beats(other, mine) for other in one.rows))
    for below, above in itertools.pairwise(best):
        assert below.cost_of(kind) < above.cost_of(kind)
        assert below.benefit.value < above.benefit.value


def test_the_frontier_of_a_hand_made_board() -> None:
    """Cheap and weak, then better, then best; what is dearer and worse is left out."""
    rows = [row("dear", 50.0, 9.0), row("weak", 20.0, 1.0), row("good", 45.0, 3.0), row("waste", 44.0, 3.5)]
    one = board(rows)
    assert [mine.name for mine in one.efficient()] == ["weak", "good", "dear"]
    assert [mine.name for mine in one.efficient("messages")] == ["weak", "good", "dear"]
    assert [mine.name for mine in one.efficient("compute")] == ["dear"]  # all compute alike


# -- steps ----------------------------------------------------------------------------------------


def test_steps_say_what_one_more_unit_costs() -> None:
    """From nothing up: extra cost over extra benefit, which add up to those of the last policy."""
    one = board([row("weak", 20.0, 1.0), row("good", 45.0, 3.0), row("dear", 50.0, 9.0)])
    first, second, third = one.steps()
    assert [(s.below, s.above) for s in (first, second, third)] == [
        ("nothing", "weak"),
        ("weak", "good"),
        ("good", "dear"),
    ]
    assert (first.price, second.price, third.price) == pytest.approx((1 / 20, 2 / 25, 6 / 5))
    assert sum(s.benefit.value for s in one.steps()) == pytest.approx(50.0)
    assert sum(s.cost for s in one.steps()) == pytest.approx(one.row("dear").cost - one.nothing.cost)


@given(ROWS)
def test_at_its_limit_a_step_costs_what_it_brings(figures: list[tuple[float, float, int]]) -> None:
    """At the core hour price of the limit, benefit and extra cost are equal; at half of it the step pays."""
    one = board([row(f"p{i}", benefit, cost, us=us) for i, (benefit, cost, us) in enumerate(figures)])
    for step in one.steps():
        assert step.benefit.value > 0.0
        limit = min(step.core_hour_limit, 1e12)
        extra = {
            price: priced.row(step.above).cost - priced.row(step.below).cost
            for price in (limit, limit / 2)
            for priced in [one.at(Prices(core_hour=price))]
        }
        if 0.0 < step.core_hour_limit < 1e12:
            assert extra[limit] == pytest.approx(step.benefit.value, abs=1e-6)
        if step.core_hour_limit > 0.0:
            assert extra[limit / 2] <= step.benefit.value + 1e-6


def test_limits_that_are_no_prices() -> None:
    """A step that saves compute pays at any price of it, unless its messages alone cost too much."""
    saves = board([row("a", 20.0, 1.0, us=90.0), row("b", 45.0, 3.0, us=50.0)])
    assert saves.steps()[1].core_hour_limit == math.inf
    wastes = board([row("a", 20.0, 1.0, us=90.0), row("b", 21.0, 30.0, us=50.0)])
    assert wastes.steps()[1].core_hour_limit == 0.0
    never = board([row("a", 20.0, 1.0, us=50.0), row("b", 21.0, 30.0, us=90.0)])
    assert never.steps()[1].core_hour_limit == 0.0


def test_a_step_is_certain_only_beyond_the_noise() -> None:
    """Seeds that agree make a step certain; seeds that scatter about it do not."""
    sure = found(a=[Result(10.0, 1.0), Result(11.0, 1.0)], b=[Result(20.0, 2.0), Result(21.0, 2.0)])
    torn = found(a=[Result(10.0, 1.0), Result(11.0, 1.0)], b=[Result(30.0, 2.0), Result(10.0, 2.0)])
    assert [step.certain for step in sure.steps("messages")][-1]
    assert not [step.certain for step in torn.steps("messages")][-1]


def test_what_is_worse_than_nothing_is_no_step() -> None:
    """A policy that harms is on the frontier where it is the cheapest, and still no step up."""
    one = board([row("harm", -5.0, 0.0), row("good", 5.0, 1.0)])
    assert [mine.name for mine in one.efficient("messages")] == ["harm", "good"]
    (step,) = one.steps("messages")
    assert (step.below, step.above) == ("nothing", "good")
    assert isinstance(step, Step)


# -- the claim ------------------------------------------------------------------------------------


def test_the_claim_holds_where_a_cheap_policy_does_nearly_all() -> None:
    """Rules with 85 for 1 beside a learner with 90 for 10: 80 % holds, 90 % of the attainable fails."""
    one = board([row("rules", 85.0, 1.0), row("learner", 90.0, 10.0)])
    holds = claim_of(one, 0.8, "attainable", "total")
    assert (holds.verdict, holds.reached_by, holds.dearest) == ("holds", "rules", "learner")
    assert holds.fraction == pytest.approx(0.1, rel=1e-6)
    assert holds.beyond == pytest.approx(0.1, rel=1e-6)
    assert claim_of(one, 0.9, "best", "total").verdict == "holds"  # 85 of 90
    dear = claim_of(one, 0.9, "attainable", "total")
    assert (dear.verdict, dear.reached_by, dear.fraction) == ("fails", "learner", 1.0)


def test_the_claim_fails_where_nobody_gets_there() -> None:
    """Then the nearest is named, with what it reaches."""
    one = board([row("rules", 40.0, 1.0), row("learner", 70.0, 10.0)])
    claim = claim_of(one, 0.8, "attainable", "total")
    assert (claim.verdict, claim.reached_by, claim.nearest) == ("fails", None, "learner")
    assert claim.share.value == pytest.approx(0.7)


def test_noise_leaves_the_claim_open() -> None:
    """A cheap policy whose interval holds the goal neither proves nor disproves it."""
    one = found(a=[Result(75.0, 1.0), Result(89.0, 1.0)], b=[Result(95.0, 10.0), Result(95.0, 10.0)])
    assert claim_of(one, 0.8, "attainable", "messages").verdict == "open"


def test_times_that_are_nearly_half_leave_it_open() -> None:
    """Measured times are off by up to a tenth: half of the compute is no verdict, a third is."""
    near = board([row("rules", 95.0, 1.0, us=10.0), row("learner", 95.0, 1.0, us=20.5)])
    assert claim_of(near, 0.8, "attainable", "compute").verdict == "open"
    far = board([row("rules", 95.0, 1.0, us=10.0), row("learner", 95.0, 1.0, us=31.0)])
    assert claim_of(far, 0.8, "attainable", "compute").verdict == "holds"
    dear = board([row("rules", 95.0, 1.0, us=10.0), row("learner", 95.0, 1.0, us=12.0)])
    assert claim_of(dear, 0.8, "attainable", "compute").verdict == "fails"


def test_without_costs_nobody_is_cheap() -> None:
    """At prices of 0 there is no fraction, and nothing to claim."""
    one = board([row("a", 95.0, 1.0), row("b", 99.0, 2.0)], prices=Prices(core_hour=0.0, message=0.0))
    claims = one.claims()
    assert all(math.isnan(claim.fraction) and math.isnan(claim.beyond) for claim in claims)
    assert {claim.verdict for claim in claims} == {"fails"}


def test_a_dear_core_flips_the_verdict() -> None:
    """Two policies whose messages cost the same: once computing outweighs messages, rules are cheap."""
    one = board([row("rules", 85.0, 10.0, us=10.0), row("learner", 95.0, 10.0, us=100.0)])
    assert claim_of(one, 0.8, "attainable", "total").verdict == "fails"
    flips = [flip for flip in one.flips() if (flip.goal, flip.whole) == (0.8, "attainable")]
    (flip,) = flips
    # Perhaps cheap from where 10 + .9 x = (10 + 1.1 * 10 x) / 2 on, x being what the rules' compute costs.
    x = 5.0 / (5.5 - 0.9)
    assert flip.core_hour == pytest.approx(x / (10.0 / 3.6e6))
    assert flip.message == pytest.approx(one.prices.core_hour / flip.core_hour)
    assert flip.verdict == "open"
    far = one.at(Prices(core_hour=100 * flip.core_hour))
    assert claim_of(far, 0.8, "attainable", "total").verdict == "holds"
    assert {f.verdict for f in far.flips() if f.core_hour < far.prices.core_hour} == {"open"}


@given(ROWS, st.sampled_from([1e-3, 1.0, 1e6, 1e9]))
def test_at_a_flip_the_verdict_changes_and_not_before(
    figures: list[tuple[float, float, int]], core_hour: float
) -> None:
    """Just beyond a flip the verdict is the new one; from there back to the price now it is the old one."""
    rows = [row(f"p{i}", benefit, cost, us=us) for i, (benefit, cost, us) in enumerate(figures)]
    one = board(rows, prices=Prices(core_hour=core_hour))

    def verdict(price: float, flip: Any) -> str:
        return claim_of(one.at(Prices(core_hour=price)), flip.goal, flip.whole, "total").verdict

    for flip in one.flips():
        now = verdict(core_hour, flip)
        assert flip.verdict != now
        away = 1.0 + math.copysign(1e-7, flip.core_hour - core_hour)
        assert verdict(flip.core_hour * away, flip) == flip.verdict
        for share in (0.0, 0.25, 0.5, 0.75):
            assert verdict(core_hour + share * (flip.core_hour - core_hour), flip) == now
        assert verdict(flip.core_hour / away, flip) == now


def test_without_a_flip_no_price_changes_the_verdict() -> None:
    """Where all costs are in proportion, prices are of no consequence."""
    one = board([row("a", 95.0, 1.0, us=10.0), row("b", 99.0, 5.0, us=50.0)])
    assert not one.flips()
    for price in (0.0, 1.0, 1e6, 1e12):
        assert claim_of(one.at(Prices(core_hour=price)), 0.8, "attainable", "total").verdict == "holds"


# -- arguments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rungs", "seeds", "told"),
    [
        ([], [0], "at least one"),
        ("abc", [0], "a ladder is a list of rungs"),
        ([Uniform()], [0], "a ladder is a list of rungs"),
        ([Rung("a", Uniform()), Rung("a", Uniform())], [0], "'a' appears twice"),
        ([Rung("oracle", Uniform())], [0], "the name 'oracle' is taken by the frontier itself"),
        ([Rung("nothing", Uniform())], [0], "the name 'nothing' is taken by the frontier itself"),
        ([Rung("a", Uniform())], [], "seeds must be distinct integers"),
        ([Rung("a", Uniform())], [1, 1], "seeds must be distinct integers"),
        ([Rung("a", Uniform())], [0.5], "got \\[0.5\\]"),
        ([Rung("a", Uniform())], [True], "got \\[True\\]"),
        ([Rung("a", Uniform())], 3, "write range"),
    ],
)
def test_what_cannot_be_compared_is_refused(rungs: Any, seeds: Any, told: str) -> None:
    """Before anything is simulated, with what was expected."""
    with pytest.raises(ConfigurationError, match=told):
        frontier(rungs, Written({}), seeds=seeds)


@pytest.mark.parametrize("campaign", [None, "trials", Trials], ids=["none", "text", "class"])
def test_what_is_no_campaign_is_refused(campaign: Any) -> None:
    """Before anything is simulated, with what it must offer; a class is none."""
    with pytest.raises(ConfigurationError, match=r"must offer run, nothing and oracle, got .*use Trials"):
        frontier([Rung("a", Uniform())], campaign)


def test_progress_is_told_to_a_function() -> None:
    """Anything else is refused before anything is simulated."""
    wrong: Any = 3
    with pytest.raises(ConfigurationError, match=r"progress must be a function .*got 3"):
        frontier([Rung("a", Uniform())], Written({}), progress=wrong)


@pytest.mark.parametrize("told", [plot, facts])
def test_only_a_frontier_is_drawn_or_told(told: Any) -> None:
    """Anything else is refused with what to pass."""
    with pytest.raises(ConfigurationError, match="this is no frontier: 3; pass what frontier"):
        told(3)


def test_a_row_is_found_by_its_name() -> None:
    """The ends too; another name lists those there are."""
    one = board([row("a", 1.0, 1.0)])
    assert one.row("a") is one.rows[0]
    assert one.row("oracle") is one.oracle
    with pytest.raises(ConfigurationError, match=r"no rung is called 'b': there are \['a'\]"):
        one.row("b")


def test_progress_counts_every_run() -> None:
    """Each policy on each seed, and the two ends; the last call says that all is done."""
    told: list[tuple[str, int, int]] = []
    results = {name: [Result(1.0), Result(2.0)] for name in ("nothing", "oracle", "a")}
    frontier(
        [Rung("a", Fixed("a"))],
        Written(results),
        seeds=[0, 1],
        progress=lambda *one: told.append(one),
    )
    assert [one[1:] for one in told] == [(i, 6) for i in range(7)]
    assert [one[0] for one in told[:3]] == ["nothing", "oracle", "a"]
