"""What does a log say that nobody holds at once: sums that are kept of its rows, and the estimate from them.

A tally is fed rows in chunks, on one machine or on many, and merged. It keeps no row: its size does not grow
with the log. What comes of it is what `estimate` says of all rows at once.
"""

from __future__ import annotations

import math
from typing import Final, Self

import attrs
import numpy as np
import numpy.typing as npt

from agentic._offpolicy._calibration import Calibration
from agentic._offpolicy._columns import keys_of
from agentic._offpolicy._diagnostics import (
    TOP_SHARE,
    UNSUPPORTED,
    Diagnostics,
    Verdict,
    _distance,
    _grave,
    _mild,
    withheld,
)
from agentic._offpolicy._estimate import Estimate
from agentic._offpolicy._estimator import Estimator
from agentic._offpolicy._intervals import Contributions, CountsUnseen, Interval, Normal, alike_bounds
from agentic._offpolicy._logged import Floats, Ints, Logged, Rows, overlap, reject
from agentic._offpolicy._spread import MOST_GROUPS, ByGroup, ByRow, Heights, Spread
from agentic._offpolicy._sums import SummedInterval, Sums
from agentic._offpolicy._tuning import Adaptive
from agentic._offpolicy._weighting import Replay
from agentic.arrays import F64, U64, Bools

_SAME: Final = 1e-12
_NORMAL: Final = Normal()


@attrs.frozen
class _Range:
    """Ends of what was seen."""

    low: float = math.inf
    high: float = -math.inf

    @classmethod
    def of(cls, values: Floats) -> Self:
        return cls(float(values.min()), float(values.max())) if len(values) else cls()

    def merge(self, other: _Range) -> _Range:
        return _Range(min(self.low, other.low), max(self.high, other.high))

    def within(self, width: float) -> bool:
        return not self.high - self.low > width  # of nothing, too


@attrs.frozen
class _Shape:
    """How an estimator is put together, as its contributions show.

    A mean of terms, or a mean of terms and a ratio of means: of what is weighed to the weights.

    Attributes:
        base: Whether there is a term that is not divided.
        ratio: Whether there is one that is.
        own: Whether it is divided by other weights than those of the rows.
        weighed: Whether weights are used at all.
        modelled: Whether reward predictions entered.
    """

    base: bool
    ratio: bool
    own: bool
    weighed: bool
    modelled: bool

    @property
    def below(self) -> int:
        """Which column the ratio is divided by: 1, the weights, or the last but one."""
        return -2 if self.own else 1


@attrs.frozen(eq=False)
class _State:
    """What is kept of rows, at least one.

    Attributes:
        shape: What columns there are.
        n: Rows.
        sums: Shape (p,): of each column.
        spread: Sums of their products, or of subjects.
        heights: Weights by their size.
        weight_squares: Sum of the squares of the weights.
        weights: Their ends.
        rewards: Ends of all rewards.
        weighed: Ends of the rewards that have weight.
        bases: Ends of terms that are not divided.
        tops: Ends of what is weighed, where it has weight.
        zeros: Rows without weight.
        used: Sum of the weights in use.
        altered: Whether these are others than the rows'.
        least_probability: Lowest of those logged.
        mass: Shape (k,): the target's probabilities, summed; `None` where unknown.
        taken: Shape (k,): whether some row took the action.
        calibration: Sums by action of what the logged probabilities should be.
    """

    shape: _Shape
    n: int
    sums: Floats
    spread: Spread
    heights: Heights
    weight_squares: float
    weights: _Range
    rewards: _Range
    weighed: _Range
    bases: _Range
    tops: _Range
    zeros: int
    used: float
    altered: bool
    least_probability: float
    mass: Floats | None
    taken: Bools | None
    calibration: Calibration | None

    @classmethod
    def of(
        cls,
        rows: Rows,
        found: Contributions,
        spread: Spread | None,
        probability: F64,
        action: Ints,
        keys: U64 | None,
        mass: Floats | None,
    ) -> Self:
        shape, columns = _columns(rows, found)
        sums, weight = columns.sum(axis=1), rows.weight
        empty = ByRow.none(len(columns)) if spread is None else spread
        weighed = weight > 0.0
        zeros = len(weight) - int(np.count_nonzero(weighed))
        taken = None
        if mass is not None:
            taken = np.zeros(len(mass), dtype=np.bool_)
            taken[action] = True
        tops = _Range()
        if shape.ratio:
            by = columns[shape.below]
            heavy = by > 0.0
            tops = _Range.of(columns[-1][heavy] / by[heavy])
        return cls(
            shape,
            len(weight),
            sums,
            empty.observe(columns, keys, _frame(shape, sums)),
            Heights.of(weight),
            float(weight @ weight),
            _Range.of(weight),
            _Range.of(rows.reward),
            _Range.of(rows.reward[weighed] if zeros else rows.reward),
            _Range.of(columns[3]) if shape.base else _Range(),
            tops,
            zeros,
            0.0 if found.weight is None else float(found.weight.sum()),
            found.weight is not weight,
            float(probability.min()),
            mass,
            taken,
            rows.calibration,
        )

    def merge(self, other: _State) -> _State:
        sums = self.sums + other.sums
        frames = (_frame(self.shape, each) for each in (self.sums, other.sums, sums))
        mass = taken = None
        if self.mass is not None and other.mass is not None:
            mass = self.mass + other.mass
        if self.taken is not None and other.taken is not None:
            taken = self.taken | other.taken
        calibration = self.calibration or other.calibration
        if self.calibration is not None and other.calibration is not None:
            calibration = self.calibration + other.calibration
        return _State(
            self.shape,
            self.n + other.n,
            sums,
            self.spread.merge(other.spread, *frames),
            self.heights.merge(other.heights),
            self.weight_squares + other.weight_squares,
            self.weights.merge(other.weights),
            self.rewards.merge(other.rewards),
            self.weighed.merge(other.weighed),
            self.bases.merge(other.bases),
            self.tops.merge(other.tops),
            self.zeros + other.zeros,
            self.used + other.used,
            self.altered or other.altered,
            min(self.least_probability, other.least_probability),
            mass,
            taken,
            calibration,
        )

    @property
    def frame(self) -> Floats:
        """The columns about their means, what is weighed less its ratio to the weights."""
        return _frame(self.shape, self.sums)

    @property
    def value(self) -> float:
        """The estimate."""
        shape, value = self.shape, 0.0
        if shape.base:
            value = float(self.sums[3]) / self.n
        if shape.ratio:
            below = float(self.sums[shape.below])
            value += float(self.sums[-1]) / below if below else math.nan
        return value

    @property
    def influence(self) -> Floats:
        """How far each column moves the estimate, in the frame: shape (p,)."""
        unit = np.eye(len(self.sums))
        found = unit[3] if self.shape.base else np.zeros(len(self.sums))
        below = float(self.sums[self.shape.below]) / self.n if self.shape.ratio else 0.0
        return found + unit[-1] / below if below else found

    def error(self, combination: Floats, degrees: int) -> float:
        """Standard error of the mean of a combination of columns."""
        square = self.spread.products(combination, combination, self.frame)
        return self.spread.error(max(square, 0.0), degrees)  # in this order NaN stays NaN

    @property
    def told(self) -> Sums:
        """What intervals are told."""
        shape, value = self.shape, self.value
        unit, of, frame = np.eye(len(self.sums)), self.spread.products, self.frame
        # w r, centred: what is weighed stands in the frame less its ratio to the weights.
        gain = unit[-1] + value * unit[1] if shape.ratio else unit[3]
        plain = shape.weighed and not (self.altered or shape.modelled)
        return Sums(
            self.n,
            value,
            float(self.sums[1]),
            float(self.sums[-1]),
            of(unit[1], unit[1], frame),
            of(unit[1], gain, frame),
            of(gain, gain, frame),
            self.weights.low,
            self.weights.high,
            plain,
            self.spread.independent,
        )

    def diagnosed(self, *, bounded: bool) -> Diagnostics:
        """What `diagnose` says of the rows."""
        n, total = self.n, float(self.sums[1])
        effective = total * total / self.weight_squares if self.weight_squares > 0.0 else 0.0
        mean = total / n
        unseen = math.nan
        if self.mass is not None and self.taken is not None:
            unseen = float(self.mass[~self.taken].sum()) / n
        influence, frame = self.influence, self.frame
        second = self.spread.products(influence, influence, frame)
        fourth = self.spread.fourth(influence, frame)
        top = max(1, math.ceil(TOP_SHARE * n))
        facts = Diagnostics(
            n=n,
            effective_rows=effective,
            effective_share=effective / n,
            mean_weight=mean,
            mean_weight_z=_distance(mean - 1.0, self.error(np.eye(len(self.sums))[1], n - 1)),
            largest_weight=self.weights.high,
            largest_weight_share=self.weights.high / total if total else 0.0,
            top_weight_share=self.heights.heaviest(top) / total if total else 0.0,
            zero_weight_share=self.zeros / n,
            unseen_mass=unseen,
            min_probability=self.least_probability,
            altered_share=1.0 - self.used / total if self.altered and total else 0.0,
            carrying_rows=second * second / fourth if fourth > 0.0 else 0.0,
            alike=self.alike,
            uniform_weight=math.nan if self.calibration is None else self.calibration.uniform_weight,
            miscalibrated=() if self.calibration is None else self.calibration.findings(),
        )
        grave = _grave(facts, bounded=bounded, subjects=self.spread.units)
        mild = _mild(facts, model_only=not self.shape.weighed, alone=self.spread.independent)
        verdict: Verdict = UNSUPPORTED if grave else "weak" if mild else "ok"
        return attrs.evolve(facts, verdict=verdict, reasons=(*grave, *mild))

    @property
    def alike(self) -> bool:
        """Whether no spread can be measured."""
        rewards = self.weighed
        if rewards.within(0.0):
            return True
        width = _SAME * max(abs(rewards.low), abs(rewards.high))
        return self.bases.within(2.0 * width) and self.tops.within(width)

    def widened(
        self, low: float, high: float, level: float, reward_range: tuple[float, float]
    ) -> tuple[float, float]:
        """Stretch bounds that no spread supports to those that equal rewards allow."""
        rewards = self.weighed
        same = rewards.low if rewards.low == rewards.high else self.value
        inside = min(max(same, reward_range[0]), reward_range[1])
        cap = max(1.0, self.weights.high)
        least, most = alike_bounds(
            inside, n=self.spread.units, weight_cap=cap, level=level, reward_range=reward_range
        )
        return min(low, least), max(high, most)


def _columns(rows: Rows, found: Contributions) -> tuple[_Shape, Floats]:
    """What is kept of each row: shape (p, n)."""
    n = len(rows.weight)
    ratio = found.degrees == n  # a mean has n - 1
    weight = found.weight
    columns = [np.ones(n), rows.weight, rows.reward]
    own = False
    if not ratio:
        columns.append(found.term)
    elif weight is not None:
        own = weight is not rows.weight
        base = rows.modelled if found.modelled else None
        columns += [] if base is None else [base]
        columns += [weight] if own else []
        columns.append((found.term if base is None else found.term - base) * float(weight.mean()))
    shape = _Shape(
        base=not ratio or found.modelled,
        ratio=ratio,
        own=own,
        weighed=weight is not None,
        modelled=found.modelled,
    )
    return shape, np.stack(columns)


def _frame(shape: _Shape, sums: Floats) -> Floats:
    """Rows of coefficients: columns less their means, and what is weighed less its share of the weights."""
    frame = np.eye(len(sums))
    frame[1:, 0] = -sums[1:] / sums[0]
    if shape.ratio:
        below = sums[shape.below]
        frame[-1] = 0.0
        frame[-1, -1] = 1.0
        frame[-1, shape.below] = -sums[-1] / below if below else 0.0
    return frame


@attrs.frozen(eq=False)
class Tally:
    """Sums over logged rows for one estimator: fed in chunks, merged in any order, estimated from at the end.

    Frozen: `observe` and `merge` return the next tally. The order of chunks and of merges moves results by
    rounding only, some 1e-13 of them. The estimate is that of `estimate` on all rows together, to rounding,
    except that

    - the share of the heaviest 1 % of the rows is good to 1 part in 256 of the weights at its edge, and exact
      where these are equal;
    - with more than `most_groups` groups, groups share places by their hashes, and the standard error is
      itself good to some 1 / sqrt(2 `most_groups`), 0.2 % (`ByGroup` says how);
    - of estimators, those do whose value is a mean of terms of single rows, or such a mean plus a ratio of
      means with the weights below: all of this package over single decisions;
    - of intervals, those do that say so: `Normal` and `CressieRead`.

    Attributes:
        estimator: How rows contribute.
        most_groups: How many groups are told apart, 2 or more.

    .. versionadded:: 0.1
    """

    estimator: Estimator
    most_groups: int = attrs.field(default=MOST_GROUPS, kw_only=True)
    _state: _State | None = attrs.field(default=None, alias="state", repr=False)

    def __attrs_post_init__(self) -> None:
        """Refuse too few places."""
        if self.most_groups < 2:
            reject(
                "most_groups", None, self.most_groups, "2 or more", "a quarter of a million is the default"
            )

    @property
    def n(self) -> int:
        """Rows so far."""
        return 0 if self._state is None else self._state.n

    def observe(self, logged: Logged, target: npt.ArrayLike, /, *, q: npt.ArrayLike | None = None) -> Tally:
        """Return the tally with these rows, too.

        Args:
            logged: The rows of a chunk; with `groups` in all chunks or in none. Groups are told apart by
                their integers, or by 64-bit hashes of their names.
            target: As of `estimate`, for these rows.
            q: As of `estimate`.

        Raises:
            EvaluationError: As `estimate`, rows counted from the beginning of the chunk; or chunks do not
                fit together.
        """
        keys = None if logged.groups is None else keys_of(logged.groups)
        matrix = np.asarray(target)
        mass = None
        if matrix.ndim == 2 and matrix.dtype.kind in "fiu":
            # By BLAS: a sum over the first axis takes five times as long.
            mass = np.ones(len(matrix)) @ matrix.astype(np.float64, copy=False)
        # Groups are told apart by their keys, across chunks: no codes are needed.
        rows = overlap(attrs.evolve(logged, groups=None), target, q=q, capped=False)
        return self.add(rows, probability=logged.probability, action=logged.action, keys=keys, mass=mass)

    def add(
        self,
        rows: Rows,
        /,
        *,
        probability: F64,
        action: npt.NDArray[np.int64],
        keys: U64 | None,
        mass: Floats | None,
    ) -> Tally:
        """Return the tally with rows that are weighed already.

        Args:
            rows: The weighed rows, n; what they say of groups and of unseen mass is not looked at.
            probability: Shape (n,), float64: the logged probabilities.
            action: Shape (n,), int64.
            keys: Shape (n,), uint64: whose rows they are; ``None`` where they are independent.
            mass: Shape (k,): the target's probabilities of each action, summed; ``None`` where unknown.

        Raises:
            EvaluationError: The estimator does not apply to such rows, or chunks do not fit together.
        """
        if not len(rows.weight):
            return self
        if rows.stands is not None:
            remedy = "give all rows of a sampled log to estimate()"
            reject("stands", None, "rows that stand for others", "all rows that there were", remedy)
        if isinstance(self.estimator, Adaptive | Replay):
            remedy = "give all rows to estimate(), as what it does with one hangs on all of them"
            reject("estimator", None, self.estimator.name, "one that takes rows by themselves", remedy)
        with np.errstate(over="ignore", invalid="ignore"):
            found = self.estimator.contribute(rows)
            spread = None if keys is None else ByGroup.none(self.most_groups)
            state = _State.of(rows, found, spread, probability, action, keys, mass)
        return self.merge(attrs.evolve(self, state=state))

    def merge(self, other: Tally, /) -> Tally:
        """Return the tally of both: of the rows of one and of the other.

        Raises:
            EvaluationError: They are of different estimators, one has groups and the other none, or the
                number of actions differs.
        """
        self._check(other)
        if self._state is None or other._state is None:
            return other if self._state is None else self
        with np.errstate(over="ignore", invalid="ignore"):
            return attrs.evolve(self, state=self._state.merge(other._state))

    def _check(self, other: Tally) -> None:
        for field in ("estimator", "most_groups"):
            own, given = getattr(self, field), getattr(other, field)
            if own != given:
                reject(field, None, given, f"{own!r}, as in the other tally", "merge tallies of one kind")
        mine, others = self._state, other._state
        if mine is None or others is None:
            return
        if type(mine.spread) is not type(others.spread):
            found = "groups" if isinstance(others.spread, ByGroup) else "no groups"
            reject(
                "groups", None, found, "what the other rows have", "give groups with all rows or with none"
            )
        if mine.shape != others.shape:
            remedy = "give all rows to estimate()"
            reject("estimator", None, self.estimator.name, "terms of one kind in every chunk", remedy)
        if mine.mass is not None and others.mass is not None and len(mine.mass) != len(others.mass):
            remedy = "give every action its column in every chunk"
            reject("target", None, len(others.mass), f"{len(mine.mass)} columns", remedy)

    def _rows(self) -> _State:
        if self._state is None:
            reject("rows", None, 0, "some", "observe rows first")
        return self._state

    @property
    def earned(self) -> float:
        """Mean reward of the rows as they were logged.

        Raises:
            EvaluationError: There are no rows.
        """
        state = self._rows()
        return float(state.sums[2]) / state.n

    def estimate(
        self,
        *,
        level: float = 0.95,
        reward_range: tuple[float, float] | None = None,
        interval: Interval = _NORMAL,
    ) -> Estimate:
        """Return the estimate from all rows so far: what `estimate` says of them.

        Args:
            level: Share of samples in which the bounds are to hold, in (0, 1).
            reward_range: Lowest and highest reward there can be.
            interval: `Normal` or `CressieRead`.

        Raises:
            EvaluationError: There are no rows, the interval needs rows rather than sums or does not apply, or
                an argument is out of range.
        """
        if not 0.0 < level < 1.0:
            reject("level", None, level, "more than 0 and less than 1", "give 0.95 for 95 %")
        state = self._rows()
        if reward_range is not None:
            _check_range(state.rewards, reward_range)
        if not isinstance(interval, SummedInterval):
            remedy = "use Normal() or CressieRead(), or give all rows to estimate()"
            reject("interval", None, interval.name, "one that can be had from sums", remedy)
        value, n = state.value, state.n
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            error = state.error(state.influence, n if state.shape.ratio else n - 1)
            facts = state.diagnosed(bounded=reward_range is not None)
            low, high = interval.bounds_of(
                state.told, standard_error=error, level=level, reward_range=reward_range
            )
        if facts.verdict != UNSUPPORTED:
            if reward_range is not None:
                if facts.alike and not isinstance(interval, CountsUnseen):
                    low, high = state.widened(low, high, level, reward_range)
                low, high = max(low, reward_range[0]), min(high, reward_range[1])
            reason = withheld(value, error, low, high, interval=interval.name)
            if reason is None:
                method = f"{self.estimator.name}, {interval.name} interval"
                return Estimate(value, low, high, error, n, level, method, facts, self.estimator)
            facts = attrs.evolve(facts, verdict=UNSUPPORTED, reasons=(reason, *facts.reasons))
        low, high = reward_range or (-math.inf, math.inf)
        method = f"{self.estimator.name}, no interval"
        return Estimate(value, low, high, math.inf, n, level, method, facts, self.estimator)

    def gain(self) -> tuple[float, float]:
        """Return by how much the value exceeds what the same rows earned, and the standard error of that.

        Row by row, or subject by subject, both depend on the same luck, so this is surer than either.

        Raises:
            EvaluationError: There are no rows.
        """
        state = self._rows()
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            moved = state.influence - np.eye(len(state.sums))[2]
            error = state.error(moved, state.n if state.shape.ratio else state.n - 1)
        return state.value - self.earned, error


def _check_range(rewards: _Range, reward_range: tuple[float, float]) -> None:
    low, high = reward_range
    if not -math.inf < low < high < math.inf:
        remedy = "give the lowest and the highest reward there can be"
        reject("reward_range", None, reward_range, "two finite numbers in order", remedy)
    for end in (rewards.low, rewards.high):
        if not low <= end <= high:
            remedy = "widen reward_range to every reward that can occur"
            reject("reward", None, end, f"numbers from {low} to {high}", remedy)
