"""May an agent be governed as it stands, and who is its champion then?"""

from __future__ import annotations

from typing import Any

from agentic._codec import fingerprint
from agentic._flow import Plan
from agentic._releases import Releases, State, is_learned, parts_of
from agentic.errors import ReleaseError
from agentic.protocols import Policy


def check_stand_ins(plan: Plan, releases: Releases, state: State, /) -> None:
    """Refuse to govern an agent in which something learned decides beside the policy in charge.

    Raises:
        ReleaseError: Who decides for the holdout, for protected subjects or where the policy fails is
            learned, and is no champion.
    """
    for what in ("control", "fallback", "protected"):
        policy = getattr(plan, what)
        root = releases.line(fingerprint(policy)) if is_learned(policy) else None
        if is_learned(policy) and (root is None or state.get(root).share < 1):
            raise ReleaseError(
                f"the {what} policy of the agent, {policy.name}, learned or can learn and is no champion:"
                " make the agent with another one, or take it through its stages first",
                version=fingerprint(policy),
                missing=(f"clearance of the {what} policy",),
            )


def adopted(policy: Policy, releases: Releases, state: State, /) -> dict[str, Any] | None:  # JSON-compatible
    """What to log of the policy in charge if it is to become champion by being so; else ``None``.

    Raises:
        ReleaseError: A challenger in charge is not cleared for its share, or the champion is another one.
    """
    first, *others = parts_of(policy)
    for part in others:
        version = fingerprint(part.policy)
        root = releases.line(version)
        if is_learned(part.policy) and (root is None or state.get(root).share < part.share - 1e-9):
            raise ReleaseError(
                f"challenger {version} ({part.policy.name}) decides for {part.share:.4g} of the subjects"
                " and is not cleared for that: take it through its stages first, or out of charge",
                version=version,
                missing=(f"clearance of version {version}",),
            )
    version = fingerprint(first.policy)
    if state.champion is not None:
        if is_learned(first.policy) and releases.line(version) != state.champion:
            raise ReleaseError(
                f"version {version} is in charge, and champion is {state.champion}: put the champion in"
                " charge, or register and promote the other",
                version=version,
                missing=(f"promotion of version {version}",),
            )
        return None
    learned = is_learned(first.policy)
    return {"version": version, "policy": first.policy.name, "learned": learned}
