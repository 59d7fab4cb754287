"""Who is compared with whom, and what do their tests say: one observation of each subject and step.

A subject is the unit of chance, because a hash of the subject chose its side: its decisions hang together,
and counting them one by one would take the luck of who is in the share for harm. So a subject counts once in
each step, with all that came of its decisions within a fixed time from its first one in that step, and only
when the reward windows of all of them are over.

Each step is an experiment of its own. Until it begins, everybody who is not yet the challenger's was decided
for by the champion, whoever they will be; the hash that says who of them moves is fresh, whatever is known of
them by then. So a step compares those who move with those who stay, and leaves out those who moved before;
what the steps say is added up in one test for each metric.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._flow import POLICY
from agentic.arrays import F64, I64, U64
from agentic.experiments import SampleRatioTest
from agentic.release._metrics import REWARD, SPENT, Metric, Tripwires
from agentic.release._trail import Trail, places

BATCH: Final = 50
"""Subjects of the challenger that a test waits for between two looks, at least."""
GROWTH: Final = 0.05
_RATIO_BATCH: Final = 1000
_COLLAPSED: Final = 0.9  # of the challenger's commonest share, the champion's may be at most this

Sides = Callable[[U64, float], I64]
"""Who is the challenger's, given the subjects' keys and its share: 1, and 0 for the champion."""


@attrs.frozen
class Step:
    """A time during which the challenger had one share.

    Attributes:
        share: That share.
        before: The share before it.
        begin: Log number of the first record that may belong to it.
        end: Log number of the first record that does not any more; beyond all while it lasts.
        until: When it ended, microseconds since 1970; far in the future while it lasts.
    """

    share: float
    before: float
    begin: int
    end: int = 1 << 62
    until: int = 1 << 62

    @property
    def chance(self) -> float:
        """With which chance a subject that this step compares is the challenger's."""
        return (self.share - self.before) / (1.0 - self.before)


@attrs.frozen(eq=False)
class Observed:
    """Subjects of the steps, one row for each and step, in the order in which they come due.

    Attributes:
        step: Shape (m,), int64: place of the step.
        side: Shape (m,), int64: 1 for the challenger's, 0 for the champion's.
        due: Shape (m,), int64: when all that counts of the subject is final, microseconds since 1970.
        entered: Shape (m,), int64: log number of its first decision in the step.
        values: Shape (m,) each, float64: what it counts with, by metric.
    """

    step: I64
    side: I64
    due: I64
    entered: I64
    values: Mapping[str, F64]

    def take(self, rows: Any) -> Observed:  # an index or a mask
        """The same with only these rows."""
        values = {name: column[rows] for name, column in self.values.items()}
        return Observed(self.step[rows], self.side[rows], self.due[rows], self.entered[rows], values)

    def __len__(self) -> int:
        return len(self.step)


def observe(
    trail: Trail, steps: Sequence[Step], metrics: Sequence[Metric], sides: Sides, *, lasts: int, window: int
) -> Observed:
    """Gather what the subjects of the steps count with.

    Decisions of the policy arm count: nobody who is held out, decided at random, or protected.

    Args:
        trail: What the log told.
        steps: Of the rollout, one after the other.
        metrics: What subjects count with.
        sides: Who is the challenger's.
        lasts: How long a subject is observed from its first decision in a step, microseconds.
        window: How long after a decision its reward is final, microseconds.
    """
    rows = trail.decisions
    begins, ends = (np.array([getattr(step, name) for step in steps], np.int64) for name in ("begin", "end"))
    step = np.searchsorted(begins, rows["position"], side="right") - 1
    inside = (step >= 0) & (rows["arm"] == POLICY) & (rows["key"] != 0)
    inside &= rows["position"] < ends[np.maximum(step, 0)]
    rows, step = rows[inside], step[inside]
    side = np.zeros(len(rows), np.int64)
    fresh = np.ones(len(rows), np.bool_)
    for place, one in enumerate(steps):
        here = (step == place).nonzero()[0]
        side[here] = sides(rows["key"][here], one.share)
        if one.before:
            fresh[here] = sides(rows["key"][here], one.before) == 0
    rows, step, side = rows[fresh], step[fresh], side[fresh]
    order = np.lexsort((rows["position"], rows["key"], step))
    rows, step, side = rows[order], step[order], side[order]
    new = np.ones(len(rows), np.bool_)
    new[1:] = (rows["key"][1:] != rows["key"][:-1]) | (step[1:] != step[:-1])
    who, first = np.cumsum(new) - 1, new.nonzero()[0]
    entry = rows["at"][first]
    kept = rows["at"] < entry[who] + lasts
    kept[first] = True
    until = np.array([one.until for one in steps], np.int64)[step[first]] if steps else np.zeros(0, np.int64)
    last = entry.copy()
    np.maximum.at(last, who[kept], rows["at"][kept])
    due = np.maximum(np.minimum(entry + lasts, until), last) + window
    columns = _columns(trail, rows, metrics, window)
    values = {
        metric.name: metric.count(
            np.bincount(who[kept], weights=columns[metric.source][kept], minlength=len(first)).astype(
                np.float64
            )
        )
        for metric in metrics
    }
    entered = rows["position"][first]
    found = Observed(step[first], side[first], due, entered, values)
    return found.take(np.lexsort((entered, due)))


def _columns(trail: Trail, rows: NDArray[Any], metrics: Sequence[Metric], window: int) -> dict[str, F64]:
    """For each source what came of each decision, whether or not its window is over."""
    order = np.argsort(rows["position"], kind="stable")
    ascending = rows["position"][order]
    found: dict[str, F64] = {}
    told, rewards = np.full(len(rows), 1 << 62, np.int64), trail.rewards
    at, known = places(ascending, rewards["decision"])
    place = order[at[known]]
    np.minimum.at(told, place, rewards["told"][known])
    for metric in metrics:
        if metric.source == REWARD:
            total = np.zeros(len(rows))
            np.add.at(total, place, rewards["value"][known])
            found[REWARD] = total
        elif metric.source == SPENT:
            found[SPENT] = rows["cost"].astype(np.float64)
        else:
            goals = trail.agent.goals
            code = goals.codes([metric.source])[0] if goals is not None else -1
            events = trail.outcomes[trail.outcomes["goal"] == code]
            at_, there = places(ascending, events["decision"])
            events, where = events[there], order[at_[there]]
            decided = rows["at"][where]
            # What came after the reward was final, or out of the window, does not count, as for the reward.
            counts = (
                (events["told"] < told[where]) & (events["at"] >= decided) & (events["at"] < decided + window)
            )
            total = np.zeros(len(rows))
            np.add.at(total, where[counts], 1.0)
            found[metric.source] = total
    return found


@attrs.frozen(eq=False)
class Weighed:
    """What the tests say of all that is final.

    Attributes:
        tests: By metric.
        ratio: Of the present step: whether subjects fall to the sides as planned.
        skewed: Whether they did not, in this step or an earlier one.
        matured: Subjects of the present step that are final: the champion's, the challenger's.
        total: The same over all steps.
    """

    tests: Mapping[str, Any]  # Test
    ratio: SampleRatioTest
    skewed: bool
    matured: tuple[int, int]
    total: tuple[int, int]


def weigh(
    observed: Observed,
    steps: Sequence[Step],
    metrics: Sequence[Metric],
    *,
    closed: int,
    alpha: float,
    skew: float,
) -> Weighed:
    """Compare the sides, batch by batch, as if somebody had looked after every batch.

    What comes out hangs on the observations alone, not on when or how often somebody looked: batches end
    after a fixed number of the challenger's subjects. The last one, not full yet, waits.

    Args:
        observed: In the order in which they come due.
        steps: Of the rollout.
        metrics: What subjects count with.
        closed: Until when reward windows were closed.
        alpha: Of all claims of harm together.
        skew: Of all claims together that the sides are not as planned.
    """
    tests = {metric.name: attrs.evolve(metric.test, alpha=alpha / len(metrics)) for metric in metrics}
    final = observed.due <= closed
    skewed, ratio = False, SampleRatioTest(alpha=skew / max(len(steps), 1))
    matured = (0, 0)
    for place, step in enumerate(steps):
        mine = observed.step == place
        ratio = _ratio(observed.take(mine), step, alpha=ratio.alpha)
        skewed |= ratio.skewed
        part = observed.take(mine & final)
        over = step.end < 1 << 62 and len(part) == int(np.count_nonzero(mine))
        for lo, hi in _batches(part.side, whole=over):
            side = part.side[lo:hi]
            for metric in metrics:
                value = part.values[metric.name][lo:hi]
                batch = {"control": value[side == 0], "treatment": value[side == 1]}
                tests[metric.name] = tests[metric.name].observe(**batch)
        ours = int(part.side.sum())
        matured = len(part) - ours, ours
    ours = int(observed.side[final].sum())
    return Weighed(tests, ratio, skewed, matured, (int(np.count_nonzero(final)) - ours, ours))


def _batches(side: I64, *, whole: bool) -> list[tuple[int, int]]:
    """Where batches begin and end: after 50 of the challenger's, later after 5 % more than there were."""
    ours = (side == 1).nonzero()[0]
    ends, count = [], 0
    while (count := max(count + BATCH, int(count * (1 + GROWTH)))) <= len(ours):
        ends.append(int(ours[count - 1]) + 1)
    if whole and (not ends or ends[-1] < len(side)):
        ends.append(len(side))
    return list(zip([0, *ends], ends, strict=False))


def _ratio(entrants: Observed, step: Step, *, alpha: float) -> SampleRatioTest:
    """Whether subjects fall to the sides as planned, final or not, in the order in which they came."""
    side = entrants.side[np.argsort(entrants.entered)]
    test = SampleRatioTest(alpha=alpha)
    for lo in range(0, len(side), _RATIO_BATCH):
        part = side[lo : lo + _RATIO_BATCH]
        ours = int(part.sum())
        test = test.observe(counts=(len(part) - ours, ours), shares=(1.0 - step.chance, step.chance))
    return test


def tripped(trail: Trail, step: Step, sides: Sides, wires: Tripwires) -> list[str]:
    """Say which tripwires the challenger hit in its present step; nothing if none."""
    rows = trail.decisions
    rows = rows[(rows["position"] >= step.begin) & (rows["position"] < step.end)]
    rows = rows[(rows["arm"] == POLICY) & (rows["key"] != 0)]
    side = sides(rows["key"], step.share)
    ours, theirs = rows[side == 1], rows[side == 0]
    many = len(ours)
    if many < max(wires.least, 1):
        return []
    found = []
    if (failed := float(ours["failed"].mean())) > wires.failed:
        found.append(f"it failed on {failed:.1%} of {many:,} decisions, more than {wires.failed:.1%}")
    if (alike := _commonest(ours)) >= wires.alike and len(theirs) >= wires.least:
        usual = _commonest(theirs)
        if usual < _COLLAPSED * alike:
            found.append(f"it chose one action {alike:.1%} of the time, the champion's commonest {usual:.1%}")
    unscored = float(np.isnan(ours["score"]).mean())
    if wires.unscored < unscored < 1.0 or np.isinf(ours["score"]).any():
        found.append(f"it gave no score, or an infinite one, for {unscored:.1%} of {many:,} decisions")
    if (us := float(ours["us"].mean())) > wires.slowest_us:
        found.append(f"a decision took {us:.0f} us on average, more than {wires.slowest_us:.0f}")
    return found


def _commonest(rows: NDArray[Any]) -> float:
    return float(np.bincount(rows["action"]).max()) / len(rows)
