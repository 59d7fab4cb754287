"""What would a policy do on live traffic, beside the champion, before anybody is decided for by it?

A shadow follows the log. It is asked about decisions that have been made, with exactly what was known when
they were, and nothing waits for its answer: it cannot slow a decision, change one or make one fail.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic import _noise
from agentic._again import logged_batch
from agentic._flow import POLICY, Plan, Weighed, draw, odds, propose
from agentic._folding import blocks_of
from agentic._offpolicy import SNIPW, Estimate, Logged, judge, overlap, standard_error
from agentic._plan import bind, checked, remembering
from agentic._records import DecisionBatch, found_batch
from agentic._releases import Evidence
from agentic._statistics import student_t
from agentic._whatif import Changes, Tally
from agentic.arrays import F64, I64, Bools, Proposal
from agentic.errors import ConfigurationError, reason
from agentic.features import Schema
from agentic.protocols import Policy
from agentic.release._watchable import Watchable, end_of
from agentic.types import span

_STREAM: Final = 0x5AD0  # keeps those who are shadowed apart from other hashes of the same subjects
_FIRST: Final = 256  # rows of the first part, when nobody knows yet what the policy costs
_AT_ONCE: Final = 8192
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


@attrs.frozen
class Gain:
    """By how much a policy would earn more per decision than was earned, and how sure that is.

    Attributes:
        value: What it would earn, less what was earned by the same decisions.
        low: Lower bound.
        high: Upper bound.
        standard_error: Of the value, between subjects; infinite without support, and the bounds with it.
        level: Share of samples in which the bounds are to hold, in (0, 1).
    """

    value: float
    low: float
    high: float
    standard_error: float
    level: float


@attrs.frozen(eq=False)
class Shadowed:
    """What a shadow has seen so far; ``str()`` of it is for people.

    Decisions of the policy arm count, those that the policy in charge made. The distance is estimated
    without bias from the logged probabilities alone, whoever was in charge.

    Attributes:
        passed: Decisions in the log since it began, of every arm.
        weighed: Decisions that the policy was asked about.
        failed: Decisions on which it raised, or answered with no numbers: the fallback would have decided.
        skipped: Decisions of subjects it follows that it was not asked about, because it would have cost
            more than allowed.
        unreadable: Decisions made with other actions or features than the agent has now, or erased.
        errors: Kinds of errors it raised, with how often.
        distance: Total variation distance between its probabilities and those of the policy in charge, 0
            to 1, averaged over decisions: the least chance with which the two must choose differently.
        other: Chance that it chooses another action, drawing for itself, 0 to 1.
        changes: How many decisions would have come out otherwise with the same draws, and for whom.
        value: Reward per decision it would earn, self-normalised and inverse to the logged probabilities;
            ``None`` while no reward is final. Its ``diagnostics.verdict`` says whether to believe it.
        gain: That less what was earned by the same decisions, with bounds by subject.
        earned: Mean reward of these decisions as they were made; NaN while there are none.
        pending: Weighed decisions whose reward is not final.
        cost_us: Microseconds per decision that passed, on average: what the ceiling is about.
        dearest_us: Microseconds per weighed decision, in the part of the log where it took longest.
    """

    passed: int
    weighed: int
    failed: int
    skipped: int
    unreadable: int
    errors: Mapping[str, int]
    distance: float
    other: float
    changes: Changes
    value: Estimate | None
    gain: Gain | None
    earned: float
    pending: int
    cost_us: float
    dearest_us: float

    @property
    def disagreement(self) -> float:
        """Share of decisions that come out otherwise with the same draws, 0 to 1."""
        return self.changes.share

    @property
    def facts(self) -> dict[str, Any]:
        """The figures as JSON can hold them, for a registry or a log; what is not known is ``None``."""
        told: dict[str, Any] = {
            "passed": self.passed,
            "weighed": self.weighed,
            "failed": self.failed,
            "skipped": self.skipped,
            "unreadable": self.unreadable,
            "distance": self.distance,
            "other": self.other,
            "disagreement": self.disagreement,
            "earned": self.earned,
            "pending": self.pending,
            "cost_us": self.cost_us,
            "dearest_us": self.dearest_us,
        }
        if self.value is not None:
            told |= {"value": self.value.value, "low": self.value.low, "high": self.value.high}
            told |= {"verdict": self.value.diagnostics.verdict, "rows": self.value.n}
        if self.gain is not None:
            told |= {"gain": self.gain.value, "gain_low": self.gain.low, "gain_high": self.gain.high}
        return {
            name: None if isinstance(fact, float) and not math.isfinite(fact) else fact
            for name, fact in told.items()
        }

    def as_evidence(self) -> Evidence:
        """What a registry keeps of it.

        It passes when the policy was asked, failed on at most 1 % of what it was asked, and is not shown to
        earn less; it is weak where nothing can be said of its worth.
        """
        if not self.weighed or self.failed > 0.01 * (self.weighed + self.failed):
            verdict = "fail"
        elif self.value is None or self.gain is None or self.value.diagnostics.verdict != "ok":
            verdict = "weak"
        else:
            verdict = "fail" if self.gain.high < 0.0 else "pass"
        return Evidence("shadow", verdict, self.facts)

    def __str__(self) -> str:
        lines = [
            f"{self.weighed:,} of {self.passed:,} decisions weighed: {self.disagreement:.1%} are other",
            f"  distance {self.distance:.3f}, another action with chance {self.other:.3f}",
            f"  {self.cost_us:.2f} us per decision, {self.skipped:,} skipped for their cost",
        ]
        if self.failed:
            told = ", ".join(f"{name} {count:,} times" for name, count in self.errors.items())
            lines.append(f"  failed on {self.failed:,} ({told})")
        if self.unreadable:
            lines.append(f"  {self.unreadable:,} could not be read with the agent's actions and features")
        if self.value is not None and self.gain is not None:
            lines.append(f"  {self.earned:.6g} was earned; it would be worth {self.value}")
            lines.append(
                f"  gain {self.gain.value:+.6g}, {100 * self.gain.level:g} % interval {self.gain.low:+.6g} to"
                f" {self.gain.high:+.6g}; {self.pending:,} without a final reward"
            )
        large = sorted(self.changes.segments, key=lambda segment: (-segment.share, -segment.decisions))
        large = [s for s in large if s.changed and s.decisions * 100 >= self.changes.decisions][:5]
        lines += [f"  {s.share:.1%} of the {s.decisions:,} with {s.name} {s.value}" for s in large]
        return "\n".join(lines)


class Shadow:
    """Asks a policy what it would do on live traffic, close behind the log, at a bounded cost.

    A hash of the subject says who is followed, so that a subject is followed always or never. Rewards are
    joined when they are final. Call ``look`` from any process that has the agent, as often as wanted: each
    call reads what the log holds more than the last time. Memory: 56 bytes for each weighed decision.

    The policy is asked as it is; it does not learn meanwhile. What it would keep about subjects is as the
    champion kept it, and blank where the champion keeps nothing.

    Args:
        agent: Whose log it is.
        policy: Weighs, and is not drawn from.
        share: Of subjects to follow, above 0 and at most 1.
        most_us: Ceiling in microseconds of time per decision that passed, on average; what would exceed
            it is skipped and counted.
        after: Log number to begin at; the end of the log by default. Rewards count from there as well.
        salt: Another salt, other subjects.
        timer: Tells nanoseconds that only grow.

    Raises:
        ConfigurationError: The policy does not fit the agent, or a number is out of range.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        agent: Watchable,
        policy: Policy,
        *,
        share: float = 0.1,
        most_us: float = 10.0,
        after: int | None = None,
        salt: str = "",
        timer: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        for name, given, most in (("share", share, 1.0), ("most_us", most_us, math.inf)):
            number = isinstance(given, int | float) and not isinstance(given, bool)
            if not number or not 0.0 < given <= most:
                raise ConfigurationError(
                    f"{name} must be a number above 0{' and at most 1' if most == 1.0 else ''}, got"
                    f" {given!r:.200}",
                    value=given,
                )
        if not isinstance(salt, str):
            raise ConfigurationError(f"salt must be a text, got {salt!r:.200}", value=salt)
        self._agent = agent
        self._policy: Policy = bind(checked(policy), agent.plan.space)
        self._share, self._most_us, self._timer = float(share), float(most_us), timer
        self._salt = _noise.text_key(salt)
        self._next = end_of(agent.log) if after is None else after
        self._seen = _Seen(agent.plan.catalogue.ids, agent.schema)

    @property
    def policy(self) -> Policy:
        """The policy that is asked."""
        return self._policy

    @property
    def next(self) -> int:
        """Number of the first record that it has not read."""
        return self._next

    def look(self, *, most: int = 1_000_000) -> Shadowed:
        """Read what the log holds more than the last time, and say what was seen so far.

        Args:
            most: Decisions to read at most, in whole blocks; the next call goes on from there.
        """
        plan, log, begin = remembering(self._agent.plan, self._policy), self._agent.log, self._next
        end, read = end_of(log), 0
        for receipt, block in blocks_of(log, "decision", after=begin):
            if receipt.first >= end:
                break
            if read >= most:
                end = receipt.first
                break
            if block.meta.get("agent") == self._agent.name:
                found = found_batch(block, receipt.first, plan.catalogue)
                found = found.take(slice(max(0, begin - receipt.first), max(0, end - receipt.first)))
                read += len(found)
                self._pass(plan, found)
        goals = self._agent.goals
        for receipt, block in blocks_of(log, "reward", after=begin):
            if receipt.first >= end:
                break
            if goals is not None and block.meta.get("agent") == self._agent.name:
                lasts = span(goals.window, "window") * (2 if goals.start == "exposure" else 1)
                new = slice(max(0, begin - receipt.first), max(0, end - receipt.first))
                columns = {name: column[new] for name, column in block.columns.items()}
                self._seen.close(columns, int(block.meta["at"]) - lasts)
        self._next = max(end, begin)
        return self._seen.report()

    def report(self, *others: Shadow) -> Shadowed:
        """Say what was seen so far, together with shadows of the same policy on other logs.

        Args:
            others: Of agents with the same actions and features: shards, hosts.
        """
        whole = _Seen(self._agent.plan.catalogue.ids, self._agent.schema)
        for shadow in (self, *others):
            whole.merge(shadow._seen)
        return whole.report()

    def _pass(self, plan: Plan, found: DecisionBatch) -> None:
        """Weigh those of the decisions that are followed, as long as that costs no more than allowed."""
        seen, lo = self._seen, 0
        while lo < len(found):
            part = found.take(slice(lo, lo + (_AT_ONCE if seen.weighed + seen.failed else _FIRST)))
            lo += len(part)
            seen.passed += len(part)
            rows = self._followed(part)
            if not len(rows):
                continue
            if not _fits(self._agent, part):
                seen.unreadable += len(rows)
                continue
            asked = seen.weighed + seen.failed
            ahead = seen.spent_ns * (1 + len(rows) / asked) if asked else 0.0
            if ahead > 1e3 * self._most_us * seen.passed:
                seen.skipped += len(rows)
                continue
            began = self._timer()
            self._weigh(plan, part.take(rows))
            spent = self._timer() - began
            seen.spent_ns += spent
            seen.dearest_ns = max(seen.dearest_ns, spent / len(rows))

    def _followed(self, part: DecisionBatch) -> I64:
        """Rows of the policy arm whose subject is followed, and not erased."""
        columns = part.columns
        rows = ((columns["arm"] == POLICY) & (columns["key"] != 0)).nonzero()[0]
        place = _noise.uniform(_noise.fold(_STREAM, self._salt, columns["key"][rows]))
        found: I64 = rows[place < self._share]
        return found

    def _weigh(self, plan: Plan, part: DecisionBatch) -> None:
        """Ask the policy, and count what it says."""
        seen, columns = self._seen, part.columns
        arm = np.zeros(len(part), dtype=np.uint8)
        failures: list[tuple[str, Exception]] = []
        try:
            batch = logged_batch(plan, self._agent.schema, part)
        except Exception:  # noqa: BLE001 - features are plugins, and a damaged record may hold anything
            seen.unreadable += len(part)
            return
        weighed = propose(plan, self._policy, batch, arm, failures)
        drawn = draw(plan, batch, weighed, columns["ticket"], arm)
        sound: Bools = ~weighed.failed
        seen.errors.update(reason(error) for _, error in failures)
        seen.failed += int(np.count_nonzero(weighed.failed))
        rows = sound.nonzero()[0]
        if not len(rows):
            return
        weights, running = weighed.weights[rows], weighed.running[rows]
        kept = Weighed(weights, running, Proposal(weights), weighed.failed[rows])
        target = odds(plan, batch.take(rows), kept, [])
        changed = (drawn.action != part.action).any(axis=1)[rows]
        seen.add(part.take(rows), drawn.action[rows], changed, target)


@attrs.define(eq=False)
class _Seen:
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

    def merge(self, other: _Seen) -> None:
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
        if found.diagnostics.verdict == "insufficient support" or many < 2 or not error > 0.0:
            return found, Gain(gap, -math.inf, math.inf, math.inf, level), earned
        margin = student_t(level, many - 1) * error
        return found, Gain(gap, gap - margin, gap + margin, error, level), earned


def _fits(agent: Watchable, part: DecisionBatch) -> bool:
    """Whether the decisions were made with the actions and features that the agent has now."""
    meta = part.meta(0)
    told: object = meta.get("actions"), meta.get("features")
    return told == (list(agent.plan.catalogue.ids), list(agent.schema.names))
