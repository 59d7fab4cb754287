"""May this policy go in charge, by what the events say?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import attrs
import numpy as np

from agentic._codec import fingerprint
from agentic._releases._state import State
from agentic.errors import ReleaseError
from agentic.protocols import Learner, Policy

_DEEPEST = 100


@runtime_checkable
class Shared(Protocol):
    """A policy in which each subject is always decided for by one of several others, such as ``Split``."""

    @property
    def members(self) -> tuple[Policy, ...]:
        """Who decides."""

    @property
    def shares(self) -> tuple[float, ...]:
        """For which share of the subjects each of them."""


@runtime_checkable
class Trained(Protocol):
    """Capability of a policy: say that it was learned elsewhere, where nobody could see it from its parts."""

    @property
    def learned(self) -> bool:
        """Whether it was."""


@attrs.frozen
class Part:
    """A policy that decides for a share of the subjects."""

    policy: Policy
    share: float


def parts_of(policy: Policy, share: float = 1.0, /, depth: int = 0) -> Iterator[Part]:
    """Who decides for which share: the policy itself, or those among whom it parts the subjects."""
    if depth < _DEEPEST and isinstance(policy, Shared) and _is_parted(policy):
        for member, part in zip(policy.members, policy.shares, strict=True):
            yield from parts_of(member, share * part, depth + 1)
    else:
        yield Part(policy, share)


def _is_parted(policy: Shared) -> bool:
    """Whether members and shares are what the protocol says: another class may use the names otherwise."""
    members, shares = policy.members, policy.shares
    return (
        isinstance(members, tuple)
        and isinstance(shares, tuple)
        and len(members) == len(shares) > 0
        and all(isinstance(member, Policy) for member in members)
        and all(isinstance(share, float) and 0 <= share <= 1 for share in shares)
        and abs(sum(shares) - 1.0) < 1e-6
    )


def is_learned(policy: object, /) -> bool:
    """Whether a policy learned something or can learn, so that nobody wrote down what it does.

    A policy made of others, such as ``FirstOf(Rules(...), ...)``, is learned if one of them is. A policy that
    keeps arrays is: somebody fitted them. Rules are not.
    """
    return _learned(policy, 0)


def _learned(value: Any, depth: int) -> bool:  # a policy, or what it is made of
    if depth > _DEEPEST or isinstance(value, np.ndarray):
        return True
    if isinstance(value, tuple | list):
        return any(_learned(item, depth + 1) for item in value)
    if isinstance(value, Mapping):
        return any(_learned(item, depth + 1) for item in value.values())
    if not isinstance(value, Policy) or isinstance(value, type):
        return False
    if isinstance(value, Trained) and value.learned is True:
        return True
    kind: Any = type(value)
    if not attrs.has(kind):
        return isinstance(value, Learner) or any(
            _learned(item, depth + 1) for item in getattr(value, "__dict__", {}).values()
        )
    held = [getattr(value, field.name) for field in attrs.fields(kind) if _is_content(field)]
    if isinstance(value, Learner) and not any(_holds_policy(item, 0) for item in held):
        return True
    return any(_learned(item, depth + 1) for item in held)


def _is_content(field: Any) -> bool:  # attrs.Attribute
    """Whether a field is part of what a policy is known by, and not worked out from the others."""
    return bool(field.init) and not field.metadata.get("derived")


def _holds_policy(value: Any, depth: int) -> bool:  # what a policy is made of
    if isinstance(value, Policy) and not isinstance(value, type):
        return True
    if depth > _DEEPEST or not isinstance(value, tuple | list | Mapping):
        return False
    items = value.values() if isinstance(value, Mapping) else value
    return any(_holds_policy(item, depth + 1) for item in items)


def ruling(state: State, roots: Sequence[str], /) -> str | None:
    """By whose stage a version goes: the nearest root that is beyond shadow, or else the nearest."""
    beyond = (root for root in roots if state.get(root).stage not in ("draft", "evaluated", "shadow"))
    return next(beyond, next(iter(roots), None))


def clearance(
    state: State, policy: Policy, roots: Callable[[str], tuple[str, ...]], in_charge: str, /
) -> tuple[str, ...]:
    """Why a bound policy may not go in charge; nothing if it may.

    Args:
        state: What the events say.
        policy: Bound.
        roots: The registered versions that a version is, or was learned from.
        in_charge: The version that is in charge, which may stay.
    """
    if not state.governed or fingerprint(policy) == in_charge:
        return ()
    if state.newer is not None and is_learned(policy):
        return (f"a newer version of agentic, which knows what {state.newer!r} in the log means",)
    shares: dict[str, float] = {}
    told: list[str] = []
    for part in parts_of(policy):
        if not is_learned(part.policy):
            continue
        version = fingerprint(part.policy)
        known = ruling(state, roots(version))
        if known is None:
            told.append(f"registration of version {version} ({part.policy.name}), which learned or can learn")
        else:
            shares[known] = shares.get(known, 0.0) + part.share
    for known, share in shares.items():
        found = state.get(known)
        if share > found.share + 1e-9:
            told.append(
                f"clearance of version {known} ({found.policy}), at stage {found.stage}, for"
                f" {share:.4g} of the subjects: it has it for {found.share:.4g}"
            )
    return tuple(told)


def refuse(policy: Policy, missing: tuple[str, ...], /) -> ReleaseError:
    """What is raised when a policy may not go in charge."""
    version = fingerprint(policy)
    return ReleaseError(
        f"policy {policy.name} {version} may not go in charge of a governed agent: it lacks"
        f" {'; '.join(missing)}. Register it and take it through its stages (registry.register, attach,"
        " advance), give a reason to do without (registry.override), or put a former champion back",
        version=version,
        missing=missing,
    )
