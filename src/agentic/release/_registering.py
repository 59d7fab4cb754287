"""What does a rollout tell the registry, and for what must it wait there?"""

from __future__ import annotations

from agentic._releases import CANARY, NOTES, STAGES, Evidence, Releases
from agentic.errors import ReleaseError
from agentic.release._registry import Registry
from agentic.release._story import Move
from agentic.release._verdict import facts_of
from agentic.release._watch import Weighed
from agentic.types import instant


def tell_registry(
    registry: Registry | None,
    version: str,
    move: Move,
    share: float,
    *,
    tried: float,
    found: Weighed | None,
    by: str,
    at: int | None,
) -> tuple[str, ...]:
    """Bring a version as far as a move needs it, with what was found as evidence.

    Args:
        registry: Where it is registered; ``None`` for nowhere.
        version: Which.
        move: That is to be made.
        share: The challenger's share after it.
        tried: Its share before.
        found: What the tests say of that.
        by: Who is named in the log.
        at: Microseconds since 1970; the agent's clock by default.

    Returns:
        Why the move must wait; nothing if it need not.
    """
    if registry is None:
        return ()
    now = None if at is None else instant(at)
    known = registry.get(version)
    wanted = "champion" if move is Move.PROMOTE else stage_of(share)
    if known.stage == "retired":
        return ("the registry has retired it: register it anew",)
    if STAGES.index(known.stage) >= STAGES.index(wanted):
        return ()
    for kind in ("canary", "promotion") if move is Move.PROMOTE else ("canary",):
        # More evidence than once would ask for another approval each time.
        before = [each.summary.get("share") for each in known.evidence if each.kind == kind]
        if found is not None and tried not in before:
            summary = {"share": tried, "matured": list(found.matured), "total": list(found.total)}
            evidence = Evidence(kind, "pass", {**summary, "tests": facts_of(found)})
            registry.attach(version, evidence, by=by, now=now)
    try:
        while STAGES.index(registry.stage(version)) < STAGES.index(wanted):
            onward = "champion" if move is Move.PROMOTE else None
            registry.advance(version, onward, by=by, now=now)
    except ReleaseError as error:
        missing = error.facts.get("missing")
        told = missing if isinstance(missing, tuple) and missing else (str(error),)
        return tuple(f"the registry waits for {each}" for each in told)
    return ()


def close_registry(releases: Releases, version: str, reason: str, *, by: str, at: int | None) -> None:
    """Put on record that a version was rolled back, together with whatever else is being logged."""
    with releases.writing() as state:
        root = releases.root(version)
        stage = "retired" if root is None else state.get(root).stage
        facts = {"version": root, "reason": reason[:NOTES]}
        if stage != "champion":
            if stage != "retired":
                releases.append("retired", facts, by=by, at=at)
        elif state.fallback is not None:
            facts |= {"version": state.fallback, "left": state.champion}
            releases.append("rolled_back", facts, by=by, at=at)


def renewed(registry: Registry | None, version: str, since: int) -> bool:
    """Whether people registered a version anew since it was rolled back."""
    if registry is None:
        return False
    found = registry.get(version)
    return bool(found.stage != "retired" and found.registered_at > since)


def stage_of(share: float) -> str:
    """The first stage at which a version may decide for so many."""
    return next((stage for stage, most in CANARY.items() if most >= share), "champion")
