"""Is most of the benefit to be had for a fraction of the cost: the claim, and what would flip it."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Final, Literal

import attrs

from agentic.economics._prices import LARGEST, Prices
from agentic.economics._rows import KINDS, Kind, Mean, Row, ratio

Whole = Literal["attainable", "best"]
"""Of what: of what the oracle gains, or of what the best policy of the ladder gains."""

Verdict = Literal["holds", "fails", "open"]

GOALS: Final = (0.8, 0.9)
FRACTION: Final = 0.5
"""What counts as a fraction of the cost: this much of the dearest policy's, or less."""

TIMING: Final = 0.1
"""How far off a measured time may be, as a share of it: what is nearer is not told apart."""

_Spans = dict[str, tuple[float, float]]
_WHOLES: Final[tuple[Whole, ...]] = ("attainable", "best")


@attrs.frozen
class Claim:
    """Whether so much of the benefit is to be had at half of the dearest policy's cost or less.

    Attributes:
        goal: Share of the benefit that is asked for.
        whole: Of the attainable benefit, or of the best policy's.
        kind: The cost that counts.
        reached_by: The cheapest policy whose share is at least the goal; ``None`` where no policy's is.
        nearest: That policy, or the one with the largest share where none reaches it.
        share: The nearest policy's, paired by seed.
        fraction: Its cost in units of the dearest policy's; ``nan`` where nothing costs anything.
        beyond: The same of what both cost more than doing nothing, which has its rules, state and log to pay
            for too.
        dearest: That policy.
        verdict: ``"holds"``: a policy that is surely cheap reaches the goal even at its lower bound.
            ``"fails"``: no policy that may be cheap does even at its upper bound. ``"open"``: the noise is
            too large to say. Measured times count as up to a tenth off.
    """

    goal: float
    whole: Whole
    kind: Kind
    reached_by: str | None
    nearest: str
    share: Mean
    fraction: float
    beyond: float
    dearest: str
    verdict: Verdict


@attrs.frozen
class Flip:
    """A price at which the verdict over all costs becomes another one.

    Costs only matter in proportion, so a core hour that is ten times as dear is the same as messages at a
    tenth of their prices.

    Attributes:
        goal: As in the claim.
        whole: As in the claim.
        core_hour: Price of a core hour, message prices as they are.
        message: Factor on all message prices that does the same, the core hour as it is.
        verdict: On the other side of it.
    """

    goal: float
    whole: Whole
    core_hour: float
    message: float
    verdict: Verdict


def claims_of(rows: Sequence[Row], nothing: Row, oracle: Row, /) -> tuple[Claim, ...]:
    """The claim for both goals, of both wholes, by every cost."""
    return tuple(
        _claim(rows, nothing, _shares(rows, oracle, whole), goal, whole, kind)
        for whole in _WHOLES
        for goal in GOALS
        for kind in KINDS
    )


def _shares(rows: Sequence[Row], oracle: Row, whole: Whole) -> dict[str, Mean]:
    top = oracle if whole == "attainable" else max(rows, key=lambda row: row.benefit.value)
    return {row.name: ratio(row.gains, top.gains) for row in rows}


def _claim(
    rows: Sequence[Row], nothing: Row, shares: dict[str, Mean], goal: float, whole: Whole, kind: Kind
) -> Claim:
    costs = {row.name: row.cost_of(kind) for row in rows}
    ordered = sorted(rows, key=lambda row: (costs[row.name], -row.benefit.value, row.name))
    reached = [row.name for row in ordered if shares[row.name].value >= goal]
    best = max(ordered, key=lambda row: row.benefit.value).name
    nearest = reached[0] if reached else best
    dearest, base = ordered[-1].name, nothing.cost_of(kind)
    return Claim(
        goal=goal,
        whole=whole,
        kind=kind,
        reached_by=reached[0] if reached else None,
        nearest=nearest,
        share=shares[nearest],
        fraction=costs[nearest] / costs[dearest] if costs[dearest] else math.nan,
        beyond=(costs[nearest] - base) / (costs[dearest] - base) if costs[dearest] > base else math.nan,
        dearest=dearest,
        verdict=_verdict(shares, _spans(rows, kind), goal),
    )


def _spans(rows: Sequence[Row], kind: Kind) -> _Spans:
    sent = 0.0 if kind == "compute" else 1.0
    timed = 0.0 if kind == "messages" else 1.0
    return {row.name: _span(sent * row.message_cost, timed * row.compute_cost) for row in rows}


def _span(sent: float, timed: float) -> tuple[float, float]:
    """The least and the most that something costs, of which a part is measured."""
    return sent + (1.0 - TIMING) * timed, sent + (1.0 + TIMING) * timed


def _verdict(shares: dict[str, Mean], costs: _Spans, goal: float) -> Verdict:
    """What the bounds of the cheap policies say; without costs no policy is cheap."""
    least, most = (max(span[side] for span in costs.values()) for side in (0, 1))
    surely = [shares[name] for name, (_, high) in costs.items() if high <= FRACTION * least and most > 0.0]
    perhaps = [shares[name] for name, (low, _) in costs.items() if low <= FRACTION * most and most > 0.0]
    if any(share.low >= goal for share in surely):
        return "holds"
    return "fails" if all(share.high < goal for share in perhaps) else "open"


def flips_of(rows: Sequence[Row], oracle: Row, prices: Prices, /) -> tuple[Flip, ...]:
    """For each claim over all costs the nearest prices, one above and one below, that change its verdict."""
    bare = {row.name: (row.message_cost, row.core_hours) for row in rows}
    turns = _turns(list(bare.values()))
    # One price inside each stretch between two turns; of the stretch that we are in, the price there is.
    edges = [0.0, *turns, 2.0 * LARGEST]
    inside = [(low + high) / 2.0 for low, high in itertools.pairwise(edges)]
    here = sum(turn <= prices.core_hour for turn in turns)
    inside[here] = prices.core_hour
    out = []
    for whole in _WHOLES:
        shares = _shares(rows, oracle, whole)
        for goal in GOALS:
            verdicts = [
                _verdict(
                    shares, {name: _span(sent, hours * price) for name, (sent, hours) in bare.items()}, goal
                )
                for price in inside
            ]
            others = [i for i, verdict in enumerate(verdicts) if verdict != verdicts[here]]
            below, above = [i for i in others if i < here][-1:], [i for i in others if i > here][:1]
            for stretch, turn in [(i, turns[i]) for i in below] + [(i, turns[i - 1]) for i in above]:
                factor = prices.message * prices.core_hour / turn
                out.append(Flip(goal, whole, turn, factor, verdicts[stretch]))
    return tuple(out)


def _turns(bare: Sequence[tuple[float, float]]) -> list[float]:
    """Prices of a core hour at which one policy's cost passes the fraction of another's, in order.

    Nowhere else can a verdict change. Those that are the same but for rounding count once.
    """
    slack = ((1.0 - TIMING, 1.0 + TIMING), (1.0 + TIMING, 1.0 - TIMING))
    found = sorted(
        (FRACTION * sent_more - sent) / less
        for sent, hours in bare
        for sent_more, hours_more in bare
        for mine, other in slack
        if (less := mine * hours - FRACTION * other * hours_more)
    )
    kept: list[float] = []
    for turn in found:
        if 0.0 < turn <= LARGEST and not (kept and math.isclose(turn, kept[-1], rel_tol=1e-9)):
            kept.append(turn)
    return kept
