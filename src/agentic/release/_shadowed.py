"""What did a shadow see: its figures, as evidence and for people?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

from agentic._offpolicy import Estimate
from agentic._releases import Evidence
from agentic._whatif import Changes


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
