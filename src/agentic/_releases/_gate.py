"""May this policy go in charge, by what the events say?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import attrs
import numpy as np

from agentic._codec import fingerprint
from agentic._releases._state import State
from agentic.catalogue import Catalogue
from agentic.conditions import Condition
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
    """Capability of a policy: say whether it learned or can learn, where nobody could see it.

    With ``True`` it was learned elsewhere, and its parts do not show it. With ``False`` it only passes
    lessons on to other policies, and keeps nothing of them itself; what it is made of is looked at all the
    same.
    """

    @property
    def learned(self) -> bool:
        """Whether it did or can."""


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
    """Whether members and shares are what the protocol says, and nobody else in it learned.

    Another class may use the names otherwise, and choose by what it learned who is asked.
    """
    members, shares = policy.members, policy.shares
    return (
        isinstance(members, tuple)
        and isinstance(shares, tuple)
        and len(members) == len(shares) > 0
        and all(isinstance(member, Policy) for member in members)
        and all(isinstance(share, float) and 0 <= share <= 1 for share in shares)
        and abs(sum(shares) - 1.0) < 1e-6
        and not _learned(policy, 0, members)
    )


def is_learned(policy: object, /) -> bool:
    """Whether a policy learned something or can learn, so that nobody wrote down what it does.

    A policy made of others, such as ``FirstOf(Rules(...), ...)``, is learned if one of them is. A policy that
    keeps arrays is, wherever in it they are: somebody fitted them. Rules are not.
    """
    return _learned(policy, 0)


def _learned(value: Any, depth: int, but: Sequence[Policy] = ()) -> bool:  # a policy, or what it is made of
    if depth > _DEEPEST or isinstance(value, np.ndarray):
        return True
    if isinstance(value, Condition | Catalogue | type):  # whoever wrote the rules wrote these
        return False
    if isinstance(value, tuple | list | set | frozenset):
        return any(_learned(item, depth + 1, but) for item in value)
    if isinstance(value, Mapping):
        return any(_learned(item, depth + 1, but) for item in value.values())
    if any(value is each for each in but):
        return False
    if isinstance(value, Policy):
        told = bool(value.learned) if isinstance(value, Trained) else isinstance(value, Learner)
        if told:
            return True
    return any(_learned(item, depth + 1, but) for item in _content(value))


def _content(value: Any) -> Iterator[Any]:
    """What an object is known by, and not worked out from that, as its version is a hash of."""
    kind: Any = type(value)
    if attrs.has(kind):
        for field in attrs.fields(kind):
            if field.init and not field.metadata.get("derived"):
                yield getattr(value, field.name)
        return
    yield from getattr(value, "__dict__", {}).values()
    for each in kind.__mro__:
        slots = each.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                yield getattr(value, name)


def ruling(state: State, roots: Sequence[str], /) -> str | None:
    """By whose stage a version goes: the nearest root that is beyond shadow, or else the nearest."""
    beyond = (root for root in roots if state.get(root).stage not in ("draft", "evaluated", "shadow"))
    return next(beyond, next(iter(roots), None))


def clearance(
    state: State, policy: Policy, roots: Callable[[str], tuple[str, ...]], in_charge: str, leader: str = "", /
) -> tuple[str, ...]:
    """Why a bound policy may not go in charge; nothing if it may.

    Args:
        state: What the events say.
        policy: Bound.
        roots: The registered versions that a version is, or was learned from.
        in_charge: The version that is in charge, which may stay.
        leader: The champion of it, where it has challengers: these may always be taken out, whatever became
            of a champion meanwhile.
    """
    whole = fingerprint(policy)
    if not state.governed or whole == in_charge:
        return ()
    if whole == leader and (known := ruling(state, roots(whole))) and state.get(known).crowned:
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
        if share > found.share * (1 + 1e-9):
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
