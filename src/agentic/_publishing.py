"""Which policy is in charge, here and in other processes?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._codec import fingerprint
from agentic._deciding import Desk
from agentic._folding import Books
from agentic._logger import logger
from agentic._plan import bind, fields_of, remembering
from agentic._versions import Versions
from agentic.arrays import Block, Layout
from agentic.errors import LayoutError
from agentic.protocols import Policy, Unlearns

if TYPE_CHECKING:
    from agentic.state import Shelf

_LEARNED: Final = 1 << 16  # pairs that are kept in mind


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

    def take(self, passed: Policy, challengers: Sequence[Policy] = ()) -> None:
        """Begin with a policy that the application passed, and know others that may be put in charge."""
        policy: Policy = bind(passed, self.desk.plan.space)
        version = fingerprint(policy)
        self.published, self._taken = self._serve(policy, version), (policy, version)
        if self._shelf is None:
            self.versions.keep(policy, version)
        else:
            self.versions.expect(passed, version)
            for each in challengers:
                self.versions.expect(each, fingerprint(bind(each, self.desk.plan.space)))
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

    def exchange(self, expected: str, policy: Policy) -> bool:
        """Put a bound policy in charge if another one still is; whether it was."""
        with self._books.writing():  # has heard what other processes put in charge
            if expected != self.published.version or self.seen.version not in ("", expected):
                return False
            self.put(policy, "assigned")
        return True

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
            if after is None:
                self._fitted(policy, version)
                self.admit(policy)  # who may find out what it was fitted from
                line = self._fitted(policy, version)
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
            line: Pairs of versions, of what was learned and what it was learned from.
        """
        meta: dict[str, Any] = {"schema": 1, "agent": self._agent, "policy": version, "cause": cause}
        if line:
            meta["after"] = list(line)
        learned = max(learned, self.seen.learned)
        now = self._clock()
        columns = {"at": np.array([now]), "learned": np.array([learned]), "used": np.array([used])}
        self._books.append(Block("policy", columns, meta))

    def _fitted(self, policy: Policy, version: str) -> list[list[str]]:
        """What a policy was when it was stored, if it has been fitted to other actions since."""
        known = self.versions.fitted.get(version)
        line = [] if known is None else _pairs(policy, version, known[1], known[0])
        self._note(line)
        return line

    def _note(self, line: Sequence[list[str]]) -> None:
        """Keep in mind what was learned from what, where the log does not tell it yet, or never does."""
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
