"""Which policy is in charge, which ones were, and how are they found again after a restart?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._codec import fingerprint
from agentic._deciding import Desk
from agentic._folding import Books
from agentic._logger import logger
from agentic._plan import bind, fields_of, remembering
from agentic.arrays import Block, Layout, Space
from agentic.errors import CodecError, ConfigurationError, DamagedError, LayoutError
from agentic.protocols import Policy, Unlearns

if TYPE_CHECKING:
    from agentic.state import Shelf

_VERSIONS: Final = 256
_LEARNED: Final = 1 << 16


@attrs.define(eq=False)
class Published:
    """A policy in charge, with what the log says of it."""

    policy: Policy
    version: str
    meta: dict[str, Any]  # JSON-compatible
    desk: Desk
    remembers: bool


@attrs.frozen
class Mark:
    """Where an agent takes up its log after a restart.

    Attributes:
        begin: Log number from which it has to be heard again.
        learned: Rewards logged before this number have been learned from.
        version: The policy in charge; ``""`` before there was one.
    """

    begin: int = 0
    learned: int = 0
    version: str = ""


class Versions:
    """The policies of one agent by version: the last 256 in memory, all of them on a shelf if there is one.

    A version that was learned belongs to the *template*, the policy as the application passed it, from which
    learning began. After a restart the application passes the template again and finds what was learned.

    Args:
        agent: Whose they are.
        space: What they are bound to.
        shelf: Keeps them in a database.
    """

    def __init__(self, agent: str, space: Space, shelf: Shelf | None) -> None:
        self._agent = agent
        self._space = space
        self._shelf = shelf
        self._held: dict[str, Policy] = {}
        self._templates: dict[str, Policy] = {}
        self._origin: dict[str, str] = {}

    def keep(self, policy: Policy, version: str, /, *, after: str | None = None) -> None:
        """Remember a bound policy, on the shelf too.

        Args:
            after: The version it was learned from; without one, and if nobody knows it, it is a template.
        """
        self._hold(policy, version)
        if self._shelf is None:
            return
        from agentic._restoring import dump, template_of  # only with a database

        origin = self._origin.get(version if after is None else after)
        body = None
        try:
            if origin is None:
                origin = template_of(policy)
                self._templates.setdefault(origin, policy)
            body = dump(policy, self._templates[origin])
        except CodecError as error:
            logger.warning(
                "agent %s: what policy %s learns cannot be stored and is lost when the process ends: %s",
                self._agent,
                policy.name,
                error,
            )
            origin = origin or version
        self._origin[version] = origin
        self._shelf.put(self._agent, version, origin, body)

    def get(self, version: str, /) -> Policy | None:
        """The policy of this version, if it is still known and belongs to a template of this process."""
        held = self._held.get(version)
        if held is not None or self._shelf is None:
            return held
        found = self._shelf.get(self._agent, version)
        policy, known = (None, "") if found is None else self._restored(version, *found)
        # Bound to other actions it is another policy than the one that decided.
        return policy if known == version else None

    def forget(self, keys: Sequence[int], /) -> None:
        """Let go of versions in which subjects can be found by their keys; these cannot be replayed then."""
        if self._shelf is not None:
            for version in self._shelf.forget(self._agent, keys):
                self._held.pop(version, None)

    def expect(self, template: Policy, version: str, /) -> None:
        """Take note of a policy that the application passed: what was learned from it can be restored.

        Args:
            template: What the application passed.
            version: Of it, bound.
        """
        from agentic._restoring import template_of  # only with a database

        with suppress(CodecError):  # whoever keeps it will say so
            origin = template_of(template)
            self._templates[origin], self._origin[version] = template, origin

    def last(self, ready: Policy, version: str, in_charge: str, /) -> tuple[Policy, str]:
        """What was learned last from a policy that was expected, and its version; itself if nothing was.

        Args:
            ready: What the application passed, bound.
            version: Of it.
            in_charge: The version that the log says is in charge; ``""`` if it says nothing.

        Raises:
            DamagedError: That version is not on the shelf, or not what was put there.
        """
        origin, itself = self._origin.get(version), (ready, version)
        if self._shelf is None:
            return itself
        held = self._shelf.get(self._agent, in_charge) if in_charge else None
        if in_charge and held is None and self._shelf.has(self._agent):
            raise DamagedError(
                f"policy version {in_charge}, which is in charge of agent {self._agent!r}, is not in the file"
                " any more: restore the file from a backup, or delete all rows of this agent from the table"
                " policies to begin anew",
                value=in_charge,
            )
        if origin is None:
            return itself
        if held is not None and held[0] == origin:
            policy, known = self._restored(in_charge, *held)
        elif (found := self._shelf.last(self._agent, origin)) is not None:
            policy, known = self._restored(found[0], origin, found[1])
        else:
            return itself
        return itself if policy is None else (policy, known)

    def _hold(self, policy: Policy, version: str) -> None:
        self._held.pop(version, None)
        self._held[version] = policy
        while len(self._held) > _VERSIONS:
            del self._held[next(iter(self._held))]

    def _restored(self, version: str, origin: str, body: bytes | None) -> tuple[Policy | None, str]:
        """A stored policy, bound to this agent's actions, and its version: another if they changed."""
        template = self._templates.get(origin)
        if template is None or body is None:
            return None, ""
        from agentic._restoring import restore  # only with a database

        try:
            policy = restore(template, body, self._space)
        except (CodecError, ConfigurationError) as error:
            logger.warning(
                "agent %s: policy version %s does not fit what this agent is made of: %s",
                self._agent,
                version,
                error,
            )
            return None, ""
        known = fingerprint(policy)
        if known != version and fingerprint(restore(template, body)) != version:
            raise DamagedError(
                f"policy version {version} of agent {self._agent!r} was stored with another content: restore"
                " the file from a backup, or delete all rows of this agent from the table policies to begin"
                " anew",
                value=version,
            )
        self._origin[known] = origin
        self._hold(policy, known)
        return policy, known


def _anybody(_: Policy, /) -> None:
    """Let every policy in charge."""


def _pairs(policy: Policy, version: str, before: Policy, after: str) -> list[list[str]]:
    """What was learned from what: versions of the policy and, if it parts the subjects, of its members."""
    pairs = [[version, after]]
    if hasattr(policy, "shares") and hasattr(policy, "members"):
        from agentic._releases import members_learned  # only where subjects are parted

        pairs += members_learned(policy, before)
    return [pair for pair in pairs if pair[0] != pair[1]]


def _unlearned(value: Any, keys: NDArray[np.uint64]) -> Any:  # a policy, or what it is made of
    """The same value without the feedback of some subjects; itself if it holds none."""
    if isinstance(value, Unlearns):
        return value.unlearn(keys)
    if isinstance(value, tuple):
        parts = tuple(_unlearned(part, keys) for part in value)
        return value if all(new is old for new, old in zip(parts, value, strict=True)) else parts
    kind: Any = type(value)
    if kind is type or not (attrs.has(kind) and isinstance(value, Policy)):
        return value
    changes = {}
    for field in attrs.fields(kind):
        held = getattr(value, field.name)
        part = _unlearned(held, keys) if field.init else held
        if part is not held:
            changes[field.alias] = part
    whole: Any = value
    return attrs.evolve(whole, **changes) if changes else value


class Chair:
    """Who is in charge of an agent: here at once, in other processes when they hear the log.

    Args:
        agent: Whose.
        desk: Where decisions are made; grows with what policies keep about subjects.
        versions: Who is and was in charge.
        shelf: Keeps them in a database.
        books: The log.
        told: What the log says of decisions made at a desk by a version.
        clock: Tells microseconds since 1970.
    """

    def __init__(
        self,
        agent: str,
        desk: Desk,
        versions: Versions,
        shelf: Shelf | None,
        books: Books,
        told: Callable[[Desk, str], dict[str, Any]],  # JSON-compatible
        clock: Callable[[], int],
    ) -> None:
        self._agent = agent
        self.desk = desk
        self._stand_ins = bool(desk.plan.remembered)
        self.versions = versions
        self._shelf = shelf
        self._books = books
        self._told = told
        self._clock = clock
        self.admit: Callable[[Policy], None] = _anybody
        self.after: dict[str, str] = {}
        self.published: Published
        self.seen = Mark()
        self._heard = False  # of somebody who is not deciding yet

    @property
    def shared(self) -> bool:
        """Who is in charge is kept in a database, for other processes and for later."""
        return self._shelf is not None

    def now(self) -> int:
        """Microseconds since 1970."""
        return self._clock()

    def take(self, passed: Policy) -> None:
        """Begin with a policy that the application passed."""
        policy: Policy = bind(passed, self.desk.plan.space)
        version = fingerprint(policy)
        self.published, self._taken = self._serve(policy, version), (policy, version)
        if self._shelf is None:
            self.versions.keep(policy, version)
        else:
            self.versions.expect(passed, version)
            marked = self._shelf.marked(self._agent)
            self.seen = self.seen if marked is None else Mark(*marked)

    def take_up(self) -> None:
        """Go on with what was learned from the policy that was taken, once the log was heard."""
        if self._shelf is None:
            return
        policy, version = self.versions.last(*self._taken, self.seen.version)
        if version == self.seen.version:
            self.published = self._serve(policy, version)
        else:
            self.put(policy, "configured")

    def put(
        self, policy: Policy, cause: str, *, after: str | None = None, learned: int = 0, used: int = 0
    ) -> None:
        """Put a bound policy in charge.

        Args:
            cause: Why: ``"configured"``, ``"assigned"`` or ``"learned"``.
            after: The version it was learned from.
            learned: Log number before which rewards have been learned from.
            used: From how many choices it was learned.

        Raises:
            LogError: The log failed; the one before stays in charge.
            ReleaseError: Who governs releases did not let it through; likewise.
        """
        version = fingerprint(policy)
        with self._books.writing():
            line: list[list[str]] = []
            if after is None:
                self.admit(policy)
            else:
                line = _pairs(policy, version, self.published.policy, after)
            published = self._serve(policy, version)
            self.versions.keep(policy, version, after=after)
            if self._shelf is None:
                self.published = published
                self._note(line)
            else:
                self.log(version, cause, learned, used, line)

    def log(
        self, version: str, cause: str, learned: int, used: int = 0, line: Sequence[list[str]] = ()
    ) -> None:
        """Log who is in charge, and that rewards logged before a number have been learned from, so many.

        Args:
            line: Pairs of versions, learned and learned from.
        """
        meta: dict[str, Any] = {"schema": 1, "agent": self._agent, "policy": version, "cause": cause}
        if line:
            meta["after"] = list(line)
        learned = max(learned, self.seen.learned)
        now = self._clock()
        columns = {"at": np.array([now]), "learned": np.array([learned]), "used": np.array([used])}
        self._books.append(Block("policy", columns, meta))

    def _note(self, line: Sequence[list[str]]) -> None:
        """Keep in mind what was learned from what, where no log tells it."""
        self.after.update((version, other) for version, other in line)
        while len(self.after) > _LEARNED:
            del self.after[next(iter(self.after))]

    def mark(self, begin: int) -> None:
        """Note in the database from where the log has to be heard again after a restart."""
        if self._shelf is not None:
            with self._books.writing():
                self._shelf.mark(self._agent, begin, self.seen.learned, self.seen.version)
            self.seen = attrs.evolve(self.seen, begin=begin)

    def needed(self) -> int:
        """Number of the first record that some agent of the database still needs; 0 without one."""
        return 0 if self._shelf is None else self._shelf.needed()

    def unlearn(self, keys: Sequence[int]) -> None:
        """Let go of feedback of these subjects that policies keep as it came, in every version."""
        before = self.published
        policy = _unlearned(before.policy, np.array(keys, dtype=np.uint64))
        with self._books.writing():
            if policy is not before.policy:
                self.put(policy, "erased", after=before.version)
            self.versions.forget(keys)

    def hear(self, version: str, learned: int) -> None:
        """Take note of who is in charge, as the log tells; ``settle`` once no more is to be heard."""
        self.seen = attrs.evolve(self.seen, version=version, learned=max(learned, self.seen.learned))
        self._heard = True

    def settle(self) -> None:
        """Have whoever was heard of last decide from now on: those in between never will."""
        if not self._heard:
            return
        version = self.seen.version
        policy = self.published.policy if version == self.published.version else self.versions.get(version)
        if policy is None:
            logger.warning(
                "agent %s: another process put policy version %s in charge, which was configured otherwise:"
                " this one goes on with its own",
                self._agent,
                version,
            )
        elif version != self.published.version:
            self.published = self._serve(policy, version)
        self._heard = False  # only now: who was interrupted does it the next time

    def _serve(self, policy: Policy, version: str) -> Published:
        """A bound policy as decisions need it."""
        plan = remembering(self.desk.plan, policy)
        if plan is not self.desk.plan:
            self.check_layout(plan.layout)
        remembers = bool(plan.remembered) and bool(fields_of(policy))
        # What a stand-in keeps has had its room from the start.
        self.desk = self.desk.serving(plan, recalls=remembers or self._stand_ins)
        return Published(policy, version, self._told(self.desk, version), self.desk, remembers)

    def check_layout(self, layout: Layout) -> None:
        """Stored records of another layout move now, or are refused now, and not at the first decision."""
        try:
            self.desk.store.load([], layout)
        except LayoutError:
            raise
        except Exception as error:
            logger.warning("agent %s: the store cannot be read yet", self._agent, exc_info=error)
