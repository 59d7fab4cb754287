"""Which stages are there in the life of a policy, and which follows which?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from agentic.errors import ReleaseError

CANARY: Final[Mapping[str, float]] = {
    "canary_1": 0.01,
    "canary_5": 0.05,
    "canary_10": 0.10,
    "canary_25": 0.25,
    "canary_50": 0.50,
}
"""The stages in which a challenger decides for some, and for which share of the subjects at most."""

STAGES: Final = ("draft", "evaluated", "shadow", *CANARY, "champion", "retired")
"""The stages, in the order in which a version goes through them."""


def share_of(stage: str, /) -> float:
    """For which share of the subjects a version may decide at this stage, 0 to 1.

    Raises:
        ReleaseError: There is no such stage.
    """
    return 1.0 if checked_stage(stage) == "champion" else CANARY.get(stage, 0.0)


def checked_stage(stage: object, /) -> str:
    """The stage, if there is one of this name.

    Raises:
        ReleaseError: There is none.
    """
    if not isinstance(stage, str) or stage not in STAGES:
        raise ReleaseError(
            f"there is no stage {stage!r:.80}, expected one of {', '.join(STAGES)}",
            value=stage,
            expected=STAGES,
        )
    return stage


def place(stage: str, /) -> int:
    """How far along this stage is."""
    return STAGES.index(stage)


def following(stage: str, /) -> str | None:
    """The stage after this one; ``None`` after champion and after retired."""
    here = place(stage)
    return STAGES[here + 1] if here < place("champion") else None


def reachable(stage: str, /, *, proven: bool) -> tuple[str, ...]:
    """The stages that a version may go on to from this one.

    Args:
        stage: Where it is.
        proven: Whether a champion needs proven non-inferiority; then it may become so at any canary step.
    """
    after = following(stage)
    if after is None or after == "retired":
        return ()
    if proven and stage in CANARY and after != "champion":
        return after, "champion"
    return (after,)
