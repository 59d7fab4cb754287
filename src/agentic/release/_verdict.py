"""What does the evidence call for, and how is it told?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from agentic.release._metrics import Metric
from agentic.release._story import Move
from agentic.release._watch import Weighed


@attrs.frozen(kw_only=True)
class Rule:
    """When a challenger gets more, all, or nothing any more.

    Attributes:
        steps: Shares, growing.
        metrics: What may not get worse.
        alpha: The largest chance of a false rollback, and of a false promotion.
        least: Subjects of the challenger that must be final in a step before it gets more.
        doubt: While an e-value of harm is at least this, it does not get more.
    """

    steps: tuple[float, ...]
    metrics: tuple[Metric, ...]
    alpha: float
    least: int
    doubt: float

    def verdict(
        self, share: float, found: Weighed, tripped: Sequence[str], /
    ) -> tuple[Move, float, tuple[str, ...]]:
        """Say what to do.

        Args:
            share: The challenger's share now.
            found: What the tests say.
            tripped: Tripwires that were hit.

        Returns:
            The move, the challenger's share after it, and why.
        """
        if tripped:
            return Move.ROLL_BACK, 0.0, tuple(tripped)
        if found.skewed:
            why = "subjects do not fall to the sides as planned, so no outcome is believed: find out why"
            return Move.HOLD, share, (why,)
        if harmed := [name for name, test in found.tests.items() if test.harmed]:
            return Move.ROLL_BACK, 0.0, tuple(f"{name} is worse, that is proven" for name in harmed)
        if found.matured[1] < self.least:
            why = f"{found.matured[1]:,} of the challenger's subjects are final in this step"
            return Move.HOLD, share, (f"{why}, it waits for {self.least:,}",)
        later = [step for step in self.steps if step > share]
        if later:
            if doubtful := [name for name, test in found.tests.items() if test.e_value >= self.doubt]:
                return Move.HOLD, share, tuple(f"{name} may be worse" for name in doubtful)
            return Move.RAMP, later[0], ("enough outcomes are final, and none speaks of harm",)
        judged = {metric.name: found.tests[metric.name] for metric in self.metrics if margin_of(metric)}
        if unsure := [name for name, test in judged.items() if test.safe_peak * self.alpha < 1.0]:
            return Move.HOLD, share, tuple(f"{name} is not proven to be within its margin" for name in unsure)
        return Move.PROMOTE, 1.0, tuple(f"{name} is within its margin, that is proven" for name in judged)


def margin_of(metric: Metric, /) -> float:
    """What loss is still none, in whatever unit; 0 for a metric that must only not be harmed."""
    test = metric.test
    return float(getattr(test, "margin", 0.0)) + float(getattr(test, "relative_margin", 0.0))


@attrs.frozen(eq=False)
class Look:
    """What a look at a rollout came to; ``str()`` of it is for people.

    Attributes:
        rollout: Its name.
        move: What was done, or is to be; ``HOLD`` if nothing.
        share: The challenger's share afterwards: 0 when it is rolled back, 1 when promoted.
        reasons: Why, in words.
        matured: Subjects of the present step whose outcomes are final: the champion's, the challenger's.
        total: The same over all steps.
        facts: What each metric's test says: counts, estimate, bounds, e-values; of the sample ratio too.
        ended: Whether the rollout is over.
    """

    rollout: str
    move: Move
    share: float
    reasons: tuple[str, ...]
    matured: tuple[int, int] = (0, 0)
    total: tuple[int, int] = (0, 0)
    facts: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    ended: bool = False

    def __str__(self) -> str:
        move, over = self.move.value.replace("_", " "), ", over" if self.ended else ""
        lines = [f"rollout {self.rollout!r}: {move}, challenger at {self.share:.0%}{over}"]
        lines += [f"  {reason}" for reason in self.reasons]
        lines.append(
            f"  final in this step: {self.matured[0]:,} subjects of the champion, {self.matured[1]:,} of the"
            f" challenger; in all {self.total[0]:,} and {self.total[1]:,}"
        )
        for name, facts in self.facts.items():
            if "estimate" in facts:
                lines.append(
                    f"  {name}: {facts['estimate']:+.6g}, bounds {facts['lower']} to {facts['upper']};"
                    f" e-value of harm {facts['e_value']:.3g} (at most {facts['peak']:.3g}),"
                    f" of safety {facts['safe_e_value']:.3g}"
                )
        return "\n".join(lines)


def facts_of(found: Weighed, /) -> dict[str, dict[str, Any]]:
    """What the tests say, as JSON can hold it."""
    told_ = {name: dict(test.facts) for name, test in found.tests.items()}
    told_["sample_ratio"] = dict(found.ratio.facts)
    return {name: {key: plain(value) for key, value in facts.items()} for name, facts in told_.items()}


def plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    return value if not isinstance(value, float) or math.isfinite(value) else str(value)
