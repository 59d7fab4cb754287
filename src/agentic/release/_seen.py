"""What has a shadow counted so far, and what is that worth?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._offpolicy import SNIPW, UNSUPPORTED, Estimate, Logged, judge, overlap, standard_error
from agentic._records import DecisionBatch
from agentic._statistics import student_t
from agentic._whatif import Tally
from agentic.arrays import F64, I64, Bools
from agentic.errors import ConfigurationError
from agentic.features import Schema
from agentic.release._shadowed import Gain, Shadowed

_ROW: Final = np.dtype(
    [
        ("position", "i8"),
        ("key", "u8"),
        ("at", "i8"),
        ("action", "i8"),
        ("probability", "f8"),
        ("chosen", "f8"),
    ]
)
_FINAL: Final = np.dtype([*_ROW.descr, ("reward", "f8")])


@attrs.define(eq=False)
class Seen:
    """What a shadow has counted; what several have adds up.

    Attributes:
        ids: Action ids.
        schema: Of the features.
    """

    ids: tuple[str, ...]
    schema: Schema
    passed: int = 0
    weighed: int = 0
    failed: int = 0
    skipped: int = 0
    unreadable: int = 0
    spent_ns: int = 0
    dearest_ns: float = 0.0
    distance: float = 0.0
    other: float = 0.0
    errors: Counter[str] = attrs.field(factory=Counter)
    open: NDArray[Any] = attrs.field(factory=lambda: np.zeros(0, _ROW))  # structured
    final: list[NDArray[Any]] = attrs.field(factory=list)
    tally: Tally = attrs.field(init=False)
    mass: F64 = attrs.field(init=False)
    taken: Bools = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.tally = Tally(self.ids, self.schema)
        self.mass, self.taken = np.zeros(len(self.ids)), np.zeros(len(self.ids), dtype=np.bool_)

    def add(self, part: DecisionBatch, action: I64, changed: Bools, target: F64) -> None:
        """Count rows on which the policy had an opinion."""
        logged = part.action[:, 0]
        chosen = target[np.arange(len(part)), logged]
        self.weighed += len(part)
        self.distance += float(np.maximum(0.0, 1.0 - chosen / part.probability[:, 0]).sum())
        self.other += float((1.0 - chosen).sum())
        self.mass += target.sum(axis=0)
        self.taken[logged] = True
        self.tally.add(part, action, changed)
        rows = np.empty(len(part), _ROW)
        rows["position"], rows["key"], rows["at"] = part.positions, part.columns["key"], part.columns["at"]
        rows["action"], rows["probability"], rows["chosen"] = logged, part.probability[:, 0], chosen
        self.open = np.concatenate([self.open, rows])

    def close(self, columns: Mapping[str, NDArray[Any]], over: int) -> None:
        """Join rewards; let go of decisions made before ``over`` that have none and will never get any."""
        first = columns["slot"] == 0
        position, reward = columns["decision"][first], columns["reward"][first]
        order = np.argsort(position, kind="stable")
        position, reward = position[order], reward[order]
        if len(position) and len(self.open):
            at = np.minimum(np.searchsorted(position, self.open["position"]), len(position) - 1)
            known = position[at] == self.open["position"]
            rows = np.empty(int(np.count_nonzero(known)), _FINAL)
            for name in _ROW.names or ():
                rows[name] = self.open[name][known]
            rows["reward"] = reward[at[known]]
            self.final.append(rows)
            self.open = self.open[~known]
        self.open = self.open[self.open["at"] >= over]

    def merge(self, other: Seen) -> None:
        """Add what another one counted."""
        if other.ids != self.ids:
            raise ConfigurationError(
                "shadows of agents with other actions cannot be reported together: report them one by one",
                value=len(other.ids),
            )
        for name in ("passed", "weighed", "failed", "skipped", "unreadable", "spent_ns", "distance", "other"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.dearest_ns = max(self.dearest_ns, other.dearest_ns)
        self.errors.update(other.errors)
        self.open = np.concatenate([self.open, other.open])
        self.final += other.final
        self.mass += other.mass
        self.taken |= other.taken
        self.tally.merge(other.tally)

    def report(self) -> Shadowed:
        """What was counted, and what it is worth."""
        value, gain, earned = self._worth()
        many = max(self.weighed, 1)
        return Shadowed(
            passed=self.passed,
            weighed=self.weighed,
            failed=self.failed,
            skipped=self.skipped,
            unreadable=self.unreadable,
            errors=dict(self.errors),
            distance=self.distance / many,
            other=self.other / many,
            changes=self.tally.changes(),
            value=value,
            gain=gain,
            earned=earned,
            pending=len(self.open),
            cost_us=self.spent_ns / 1e3 / max(self.passed, 1),
            dearest_us=self.dearest_ns / 1e3,
        )

    def _worth(self, level: float = 0.95) -> tuple[Estimate | None, Gain | None, float]:
        rows = np.concatenate(self.final) if self.final else np.zeros(0, _FINAL)
        if not len(rows):
            return None, None, math.nan
        reward = np.ascontiguousarray(rows["reward"])
        logged = Logged(
            np.ascontiguousarray(rows["action"]),
            reward,
            probability=np.ascontiguousarray(rows["probability"]),
            groups=np.ascontiguousarray(rows["key"]),
        )
        hidden = float(self.mass[~self.taken].sum()) / self.weighed
        weighed = attrs.evolve(overlap(logged, np.ascontiguousarray(rows["chosen"])), unseen_mass=hidden)
        found = judge(weighed, probability=logged.probability, estimator=SNIPW(), level=level)
        earned = float(reward.mean())
        influence = SNIPW().contribute(weighed).influence - (reward - earned)
        error = standard_error(influence, degrees=len(reward) - 1, groups=weighed.groups)
        many = len(np.unique(rows["key"]))
        gap = found.value - earned
        if found.diagnostics.verdict == UNSUPPORTED or many < 2 or not error > 0.0:
            return found, Gain(gap, -math.inf, math.inf, math.inf, level), earned
        margin = student_t(level, many - 1) * error
        return found, Gain(gap, gap - margin, gap + margin, error, level), earned
