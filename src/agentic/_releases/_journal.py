"""How do events of releases come into the log of an agent, and how does every process know them?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

import attrs

from agentic._flow import UNATTENDED
from agentic._folding import Books, SharedBooks, blocks_of
from agentic._logger import logger
from agentic._releases._events import KIND, Event, Json, Told, block_of, told, written
from agentic._releases._gate import clearance, refuse, ruling
from agentic._releases._oversight import LEVEL, level_of
from agentic._releases._state import State
from agentic._releases._steps import KNOWN, after
from agentic.arrays import Block
from agentic.errors import LogError, ReleaseError, reason
from agentic.protocols import Policy, ProvenanceLog

_SHOWN = 100  # refused records that are remembered


@attrs.frozen
class Refused:
    """A record of kind ``release`` that counts for nothing.

    Attributes:
        position: Its log number.
        why: What is wrong with it.
    """

    position: int
    why: str


class Fold:
    """The events of one agent that were believed, and what they add up to.

    Attributes:
        events: The oldest first.
        texts: As they stand in the log.
        state: What they add up to.
        level: How much people leave to the agent, one of ``LEVELS``.
    """

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.texts: list[str] = []
        self.state = State()
        self.level = UNATTENDED

    def take(self, one: Told, /) -> str:
        """Believe the next event; why it counts for nothing, or nothing where it does or is known."""
        event = one.event
        if event is None:
            return one.why
        if event.number < len(self.events):
            known = self.events[event.number].digest == event.digest
            return "" if known else f"there is another event {event.number}"
        if event.number > len(self.events):
            return f"event {len(self.events)} is missing before it"
        if one.previous != self.state.tail:
            return "it does not follow the event before it"
        try:
            state = after(self.state, event)
        except ReleaseError as error:
            return str(error)
        self.texts.append(one.text)
        self.events.append(event)
        if event.what == LEVEL:
            self.level = level_of(event)
        self.state = state
        return ""


class Releases:
    """The releases of one agent: its log's events, folded, and a door to add to them. Safe for threads.

    What the log says counts, in every process of the file: an event that another process logged is known
    before the next decision or the next event here.

    Args:
        agent: Whose.
        log: Where the events are.
        books: The same log, to be written.
        roots: The registered versions that a version is or was learned from, itself or the nearest first.
        in_charge: Tells the version in charge, and that of its champion, where it has challengers.
        now: Tells microseconds since 1970.
    """

    def __init__(
        self,
        agent: str,
        log: ProvenanceLog,
        books: Books,
        roots: Callable[[str, State], tuple[str, ...]],
        in_charge: Callable[[], tuple[str, str]],
        now: Callable[[], int],
    ) -> None:
        self._agent = agent
        self._log = log
        self._books = books
        self._roots = roots
        self._in_charge = in_charge
        self.now = now
        self._fold = Fold()
        self._ahead: State | None = None  # of this transaction, until it is heard
        self._refused: dict[int, Refused] = {}
        self._lock = threading.RLock()
        self._end = 0  # log number after the last record of the kind that was looked at
        self.refresh()

    def forked(self) -> None:
        """In a child process: nobody holds this lock, or is in a transaction."""
        self._lock, self._ahead = threading.RLock(), None

    @property
    def state(self) -> State:
        """What the events add up to, as far as they have been heard."""
        return self._fold.state

    @property
    def level(self) -> str:
        """How much people leave to the agent, one of ``LEVELS``, as far as it has been heard."""
        return self._fold.level

    def stands(self, event: Event, /) -> bool:
        """Whether this is one of the events that were heard, and counts."""
        heard = self._fold.events
        return event.number < len(heard) and heard[event.number].digest == event.digest

    @property
    def refused(self) -> tuple[Refused, ...]:
        """Records that say what no registry would have let happen, and count for nothing; the first 100."""
        return tuple(self._refused.values())

    def events(self, what: str | None = None, /) -> tuple[Event, ...]:
        """The events that were heard, the oldest first; ``refresh`` hears what others logged.

        Args:
            what: Only these; a prefix that ends in a dot for all that begin with it.
        """
        found = tuple(self._fold.events)
        if what is None:
            return found
        if what.endswith("."):
            return tuple(event for event in found if event.what.startswith(what))
        return tuple(event for event in found if event.what == what)

    @contextmanager
    def writing(self) -> Iterator[State]:
        """Hold the log: the state is what it is, among all processes, until this ends.

        What is appended meanwhile stands together, or, after an error, not at all where the log can take it
        back. Do not assign policies in here.
        """
        with self._books.writing():
            outermost = self._ahead is None
            if outermost:
                self._catch_up()
                self._ahead = self._fold.state
            try:
                yield self._fold.state
            finally:
                if outermost:
                    self._ahead = None

    def append(self, what: str, facts: Mapping[str, Json], *, by: str, at: int | None = None) -> Event:
        """Log an event, if it may happen now.

        Args:
            what: Happened; with a dot in it, whatever its owner makes of it.
            facts: As JSON.
            by: Who did it.
            at: Microseconds since 1970; the agent's clock by default.

        Raises:
            ReleaseError: It may not, or cannot be logged.
            LogError: The log failed; it did not happen.
        """
        with self.writing():
            state = self._fold.state if self._ahead is None else self._ahead
            _check_known(what, state)
            moment = self.now() if at is None else at
            event, text = written(what, facts, by=by, at=moment, number=state.count, previous=state.tail)
            following = after(state, event)
            try:
                entry = self._books.append(block_of(self._agent, [(event, text)]))
            except LogError:
                raise
            except Exception as error:
                raise LogError(
                    f"the log refused an event of a release ({reason(error)}): it did not happen, try again"
                ) from error
            self._ahead = following
        return attrs.evolve(event, position=entry.receipt.first)

    def root(self, version: str, /) -> str | None:
        """The registered version that a version is, or was learned from; ``None`` if there is none."""
        return next(iter(self._roots(version, self._fold.state)), None)

    def line(self, version: str, /) -> str | None:
        """The registered version whose stage a version goes by; ``None`` if there is none.

        That is itself or the nearest one it was learned from, of those that are beyond shadow: registering
        what a champion has learned takes nothing from it.
        """
        return ruling(self._fold.state, self._roots(version, self._fold.state))

    def clearance(self, policy: Policy, /) -> tuple[str, ...]:
        """Why a bound policy would not be let in charge now; nothing if it would."""
        self.refresh()
        return self._clearance(policy, self._fold.state)

    def _clearance(self, policy: Policy, state: State) -> tuple[str, ...]:
        return clearance(state, policy, lambda version: self._roots(version, state), *self._in_charge())

    def admit(self, policy: Policy, /) -> None:
        """Refuse a policy that may not go in charge; called by who holds the log.

        Raises:
            ReleaseError: It may not.
        """
        self._catch_up()
        state = self._fold.state if self._ahead is None else self._ahead
        if missing := self._clearance(policy, state):
            raise refuse(policy, missing)

    def hear(self, first: int, block: Block, /) -> None:
        """Take note of events, as the log tells them, and of what looks like some; raises nothing."""
        with self._lock:
            for one in told(first, block):
                self._take(one)

    def refresh(self) -> None:
        """Take note of what others logged since this was last looked at."""
        with self._lock:
            found: list[Told] = []
            for receipt, block in blocks_of(self._log, KIND, after=self._end):
                if block.meta.get("agent") == self._agent:
                    found += told(receipt.first, block)
                self._end = receipt.first + receipt.count
            # After records were dropped the oldest events stand at the end, written once more.
            for one in in_order(found):
                self._take(one)

    def _catch_up(self) -> None:
        """For who holds the log: know what it says, where it does not tell by itself."""
        if not isinstance(self._books, SharedBooks):
            self.refresh()

    def _take(self, one: Told) -> None:
        why = self._fold.take(one)
        if why:
            self._refuse(one, why)

    def _refuse(self, one: Told, why: str) -> None:
        if one.position in self._refused or len(self._refused) >= _SHOWN:
            return
        self._refused[one.position] = Refused(one.position, why)
        logger.warning(
            "agent %s: record %d looks like an event of a release and counts for nothing: %s",
            self._agent,
            one.position,
            why,
        )


def _check_known(what: str, state: State) -> None:
    """Refuse events that only a newer version would understand."""
    if state.newer is not None or not (isinstance(what, str) and ("." in what or what in KNOWN)):
        raise ReleaseError(
            f"nothing is known here of events {state.newer or what!r:.80}: a newer version of agentic logs"
            " those, use it; events of your own have a dot in their name",
            value=state.newer or what,
        )


def in_order(found: Iterable[Told], /) -> list[Told]:
    """As they are to be believed: by number, and what was written once more first."""
    return sorted(found, key=_order)


def _order(one: Told) -> tuple[int, bool, int]:
    number = -1 if one.event is None else one.event.number
    return number, not one.carried, one.position
