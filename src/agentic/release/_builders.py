"""How do estimates and simulations become evidence?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from agentic._releases import Evidence
from agentic._statistics import student_t
from agentic.errors import ReleaseError
from agentic.evaluation import Estimate
from agentic.release._training import Taught, training_digest

_VERDICTS: Final = {"ok": "pass", "weak": "weak"}  # any other fails


def evaluation_evidence(
    estimate: Estimate,
    *,
    rows: Taught,
    training: Taught | None = None,
    at_least: float | None = None,
) -> Evidence:
    """What an estimate by the log says for a policy, and by which rows.

    Args:
        estimate: ``evaluation.evaluate(agent, policy, rows=rows)``, or ``.estimate`` of a row of
            ``agent.evaluate(policy, rows=rows)``.
        rows: The rows it was judged by.
        training: The rows it was trained on, as they were told to ``registry.register``; ``None`` for a
            policy that was trained on nothing.
        at_least: What the lower bound must reach, such as what the champion earns less a margin; below it the
            verdict is ``"fail"``. By default any value will do that the log supports.

    Returns:
        Evidence of kind ``"evaluation"``. ``summary["seen"]`` counts the rows that it was trained on and
        judged by; with one of these it lets nothing through.
    """
    seen = 0 if training is None else int(np.isin(rows.position, training.position).sum())
    facts = estimate.diagnostics
    verdict = _VERDICTS.get(facts.verdict, "fail")
    if at_least is not None and not estimate.low >= at_least:
        verdict = "fail"
    return Evidence(
        "evaluation",
        verdict,
        {
            "at_least": at_least,
            "effective_rows": _finite(facts.effective_rows),
            "high": _finite(estimate.high),
            "level": estimate.level,
            "low": _finite(estimate.low),
            "method": estimate.method,
            "n": estimate.n,
            "reasons": [reason[:500] for reason in facts.reasons[:10]],
            "rows": training_digest(rows),
            "seen": seen,
            "training": None if training is None else training_digest(training),
            "value": _finite(estimate.value),
            "verdict": facts.verdict,
        },
    )


def simulation_evidence(
    challenger: Sequence[float],
    champion: Sequence[float],
    *,
    margin: float = 0.0,
    world: str = "",
) -> Evidence:
    """What simulated campaigns say for a policy beside the champion, pair by pair.

    Args:
        challenger: What each campaign was worth with the policy, such as ``trial.benefit`` by seed;
            2 or more.
        champion: The same campaigns with the champion, in the same order.
        margin: How much worse it may be, in the same unit, not negative.
        world: Which world that was, in a few words.

    Returns:
        Evidence of kind ``"simulation"``: it passes where the lower 95 % bound of the mean difference, by
        Student's t, reaches ``-margin``, fails where the mean difference itself does not, and is weak in
        between.

    Raises:
        ReleaseError: There are not as many of both, fewer than 2, or not finite ones.
    """
    ours, theirs = np.asarray(challenger, dtype=np.float64), np.asarray(champion, dtype=np.float64)
    sound = ours.ndim == 1 and ours.shape == theirs.shape and len(ours) > 1
    if not sound or not (np.isfinite(ours).all() and np.isfinite(theirs).all()) or not 0 <= margin < math.inf:
        raise ReleaseError(
            "simulation evidence needs as many finite values of the challenger as of the champion, 2 or more,"
            f" and a margin of at least 0, got shapes {ours.shape} and {theirs.shape}, margin {margin!r}",
            value=(ours.shape, theirs.shape),
        )
    difference = ours - theirs
    mean = float(difference.mean())
    error = float(difference.std(ddof=1)) / math.sqrt(len(difference))
    low = mean - student_t(0.9, len(difference) - 1) * error  # one-sided 95 %
    verdict = "fail" if mean < -margin else "pass" if low >= -margin else "weak"
    return Evidence(
        "simulation",
        verdict,
        {
            "campaigns": len(difference),
            "challenger": float(ours.mean()),
            "champion": float(theirs.mean()),
            "difference": mean,
            "low": low,
            "margin": float(margin),
            "standard_error": error,
            "world": world,
        },
    )


def _finite(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
