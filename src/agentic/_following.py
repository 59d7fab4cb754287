"""What does an agent know because its log says so, and from where must it hear the log after a restart?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from agentic._archive import Archive
from agentic._codec import fingerprint
from agentic._flow import APPROVE_EACH, LEVELS, SUGGEST_ONLY, UNATTENDED, Leave, leave_of
from agentic._folding import SharedBooks, blocks_of, books
from agentic._publishing import Chair
from agentic._records import catalogue_of
from agentic._requests import REMEMBERED, Requests
from agentic._teaching import Teaching
from agentic.arrays import I64, U64, Block, Bools
from agentic.protocols import Leads, Policy, ProvenanceLog
from agentic.rewards import Closed, Goals, Ledger

if TYPE_CHECKING:
    from agentic._releases import Lines, Releases, State
    from agentic.privacy import Restrictions

OFTEN: Final = 10_000
"""Records that are worth a mark."""

_OUTCOME: Final = ("decision", "slot", "goal", "value", "at", "event")


class Following:
    """Keeps what an agent knows of one mind with its log, written here or by other processes.

    Args:
        name: The agent's.
        log: To be followed.
        archive: Where its decisions are found.
        requests: Which requests were answered.
        ledger: The open reward windows; ``None`` without goals.
        undone: Told when a transaction was rolled back.

    Attributes:
        books: The log, to be written; what is appended is heard.
        ledger: The open reward windows; another one when the log is heard anew.
        chair: Who is in charge; to be set before anything is heard.
        teaching: Who learns; likewise, where there are goals.
    """

    def __init__(
        self,
        name: str,
        log: ProvenanceLog,
        archive: Archive,
        requests: Requests,
        ledger: Ledger | None,
        undone: Callable[[], None],
    ) -> None:
        self._name = name
        self._log = log
        self._archive = archive
        self._requests = requests
        self.ledger = ledger
        self._restrictions: Restrictions | None = None
        self._markable = 10 * OFTEN  # when the log ends there, marking it may be worth while
        self.books = books(log, self.hear, undone, self._anew, self._settle)
        self.chair: Chair
        self.teaching: Teaching | None = None
        self._lines: Lines | None = None
        self._releases: Releases | None = None
        self._there = False  # what is in charge is what the log says
        self._waiting: dict[int, int] = {}  # decisions that nobody has said yes to, and how long one can
        self.halted = False  # somebody in this process is stopping it and waits for the log
        self._halting = 0  # how many are

    @property
    def releases(self) -> Releases:
        """What the log says of releases."""
        if self._releases is None:
            from agentic._releases import Lines, Releases  # only for who governs them

            self._lines = Lines(self._name, self._log, self.chair.after)
            self._releases = Releases(
                self._name, self._log, self.books, self._roots, self._in_charge, self.chair.now
            )
        return self._releases

    def _roots(self, version: str, state: State) -> tuple[str, ...]:
        if self._lines is None:
            return ()
        roots, versions = self._lines.roots(version, state.versions), self.chair.versions
        if not roots and self.chair.shared:  # as was stored, before it was fitted to other actions?
            for known in state.versions:
                versions.get(known)
            stored, _ = versions.fitted.get(version, ("", None))
            roots = self._lines.roots(stored, state.versions)
        return roots

    def _in_charge(self) -> tuple[str, str]:
        published = self.chair.published
        version = published.version if self._there else ""
        if self.chair.shared:
            version = self.chair.seen.version
        policy: Any = published.policy
        leads = isinstance(policy, Leads) and published.version == version
        return version, fingerprint(policy.champion) if leads else ""

    def _admit(self, policy: Policy) -> None:
        """Refuse a policy that whoever governs releases did not let through."""
        if self._releases is not None or self._tells_releases():
            self.releases.admit(policy)

    def _admit_stand_ins(self) -> None:
        """Hold whoever decides beside the policy in charge to the same."""
        plan = self.chair.desk.plan
        for policy in (plan.control, plan.fallback, plan.protected):
            self._admit(policy)

    def forked(self) -> None:
        """In a child process: nobody holds these locks."""
        if self._releases is not None and self._lines is not None:
            self._releases.forked()
            self._lines.forked()

    def _tells_releases(self) -> bool:
        """Whether there are releases in the log that nobody has asked for."""
        if isinstance(self.books, SharedBooks):
            return next(blocks_of(self._log, "release"), None) is not None
        if isinstance(self._log, Sized) and not len(self._log):
            return False
        return any(block.kind == "release" for _, block in self._log.read())

    def take_up(self) -> None:
        """Go on where a shared log ends: hear what is still open, and find what was learned."""
        self.chair.admit = self._admit
        if not isinstance(self.books, SharedBooks):
            self._admit(self.chair.published.policy)
            self._admit_stand_ins()
            self._there = True
            return
        if self._tells_releases():
            self.releases.refresh()
        begin = self._anew()
        self.books.start_at(begin)
        with self.books.writing():  # hears the log
            self.chair.take_up()
            self._admit_stand_ins()
            if not begin:
                self.chair.mark(0)  # whoever drops old records must know that this agent needs them
        self.mark(10 * OFTEN)

    def _settle(self) -> None:
        self.chair.settle()

    def _anew(self) -> int:
        """Forget what the log tells; say from which record on it is to be heard, again or at all."""
        begin = self.chair.seen.begin
        self._waiting.clear()
        self._requests.drop(range(begin, max(begin, self._archive.end)))
        self._archive.note(0, begin)
        self._restrict_all()  # also those from before
        if self.ledger is not None:
            self.ledger = Ledger(self.ledger.goals)
            self.ledger.start_at(begin)
            if self.teaching is not None:
                self.teaching.start_anew(self.ledger)
        return begin

    def mark(self, least: int) -> None:
        """Note from where the log has to be heard after a restart, if that saves so many records."""
        if self.chair.shared and self._begin() >= self.chair.seen.begin + least:
            with self.books.writing():  # what others are deciding, who have heard half of it, would be lost
                self.chair.mark(self._begin())
        self._markable = self._archive.end + 10 * OFTEN

    def mark_now_and_then(self) -> None:
        """Note it when there are many new decisions: who is never closed must not hear all after a crash."""
        if self._archive.end >= self._markable:
            self.mark(10 * OFTEN)

    def needed(self) -> int:
        """Number of the first record that some agent of the file still needs."""
        self.mark(1)
        return self.chair.needed()

    def restricted(self) -> U64 | None:
        """Keys of subjects from whom nothing may be learned; ``None`` for nobody."""
        return None if self._restrictions is None else self._restrictions.keys

    def hear(self, first: int, block: Block) -> Any:
        """Take note of what a block of the log changes, written here or elsewhere.

        Args:
            first: Log number of its first record.
            block: The block.

        Returns:
            For outcomes what was made of each, otherwise nothing.
        """
        meta, columns = block.meta, block.columns
        if block.kind == "erasure":
            self._hear_erasure(block)
        if meta.get("agent") != self._name:
            return None
        if block.kind == "decision":
            self._archive.note(first, len(block))
            if self.ledger is not None:
                catalogue = self._archive.catalogue
                if meta is not self.chair.published.meta:
                    catalogue = catalogue_of(meta, catalogue)
                self.ledger.open(first, columns["at"], columns["action"] != catalogue.idle)
                if meta.get("autonomy") == SUGGEST_ONLY:  # nothing was done, so nothing comes of it
                    self._finish(np.arange(first, first + len(block)), columns["action"].shape[1])
                elif meta.get("autonomy") == APPROVE_EACH:
                    waits = catalogue.sends[columns["action"]].any(axis=1)
                    until = columns["at"][waits] + self.ledger.longest
                    places = (np.flatnonzero(waits) + first).tolist()
                    self._waiting |= dict(zip(places, until.tolist(), strict=True))
                if np.count_nonzero(columns["tag"]) < len(block):  # erased since
                    gone = np.flatnonzero(columns["tag"] == 0) + first
                    self._finish(gone, columns["action"].shape[1])
            if "request" in columns:
                self._requests.note(columns["subject"], columns["request"], first, columns["action"].shape[1])
        elif block.kind == "outcome" and self.ledger is not None:
            columns = _counted(columns, meta, self.ledger.goals)
            return self.ledger.record(*(columns[name] for name in _OUTCOME))
        elif block.kind == "reward" and self.teaching is not None:
            self.teaching.hear(first, Closed(columns["decision"], columns["slot"], columns["reward"]))
        elif block.kind == "restriction":
            self._restrict(block)
        elif block.kind == "erasure" and self._restrictions is not None:
            self._restrict_all()  # who was forgotten is a stranger
        elif block.kind == "release":
            self._hear_release(first, block)
        elif block.kind == "lineage":
            if self._lines is not None:
                self._lines.hear(block)
        elif block.kind == "policy":
            if self._lines is not None:
                self._lines.hear(block)
            learned = int(columns["learned"][-1])
            self.chair.hear(meta["policy"], learned)
            if self.teaching is not None:
                self.teaching.hear_policy(meta["cause"], learned)
        return None

    def _hear_release(self, first: int, block: Block) -> None:
        """Take note of what was done to policies, and that nothing comes of decisions that were set aside."""
        from agentic._releases import APPROVED, concerned, set_aside, told  # as for `releases`

        self.releases.hear(first, block)
        for one in told(first, block):
            if one.event is None or not self.releases.stands(one.event):
                continue
            aside, yes = set_aside(one.event), concerned(one.event)
            if one.event.what == APPROVED and yes is not None:
                until = self._waiting.pop(yes[0], one.event.at + 1)
                aside = yes if one.event.at >= until else None  # too late for a reward
            if aside is not None:
                self._finish(np.array(aside[:1]), aside[1])
                self._waiting.pop(aside[0], None)

    def unapproved(self, positions: I64) -> Bools:
        """Which decisions, whose windows have just closed, waited in vain: nothing was done, or comes of it.

        Args:
            positions: Shape (m,): log numbers.

        Returns:
            Shape (m,).
        """
        if not self._waiting:
            return np.zeros(len(positions), dtype=np.bool_)
        waited = np.isin(positions, np.fromiter(self._waiting, np.int64, len(self._waiting)))
        oldest = None if self.ledger is None else self.ledger.oldest
        self._waiting = (
            {} if oldest is None else {p: until for p, until in self._waiting.items() if p >= oldest}
        )
        return waited

    @property
    def level(self) -> str:
        """How much people leave to the agent, one of ``LEVELS``."""
        if self.halted:
            return LEVELS[0]
        return UNATTENDED if self._releases is None else self._releases.level

    def leave(self, level: str) -> Leave:
        """What a level means for the flow; nothing is left to the agent once somebody stops it."""
        return leave_of(LEVELS[0] if self.level == LEVELS[0] else level)

    @contextmanager
    def halting(self) -> Iterator[None]:
        """Stop deciding in this process while that is being logged; where it cannot be, stay so."""
        self.halted = True
        self._halting += 1
        try:
            yield
        finally:
            self._halting -= 1
        self.went_on()

    def went_on(self) -> None:
        """A level was logged, and holds from now on, unless somebody is stopping it at this moment."""
        if not self._halting:
            self.halted = False

    def _hear_erasure(self, block: Block) -> None:
        """Forget the requests of whoever was erased, and what was waited for: it has no reward any more.

        What was read after it was erased is forgotten as it is read.
        """
        from agentic._erasing import ERASED  # only when somebody is

        name = "surrogate" if "surrogate" in block.columns else "subject"
        whom = block.columns[name][block.columns["state"] == ERASED]
        if not len(whom):
            return
        for positions, slots in self._archive.about(whom, self._begin(), self.books.known):
            self._requests.drop(set(positions.tolist()))
            self._finish(positions, slots)

    def _finish(self, positions: I64, slots: int) -> None:
        """Close the windows of decisions without a reward."""
        if self.ledger is not None:
            self.ledger.finish(np.repeat(positions, slots), np.tile(np.arange(slots), len(positions)))

    def _restrict(self, *blocks: Block, anew: bool = False) -> None:
        """Learn nothing from subjects who are restricted."""
        from agentic.privacy import Restrictions  # hardly anybody is

        known = None if anew else self._restrictions
        known = Restrictions(self._name) if known is None else known
        for block in blocks:
            known.hear(block)
        self._restrictions = known  # at last: others may be learning

    def _restrict_all(self) -> None:
        """Begin anew with who is restricted."""
        told = [block for _, block in blocks_of(self._log, "restriction")]
        if told:
            self._restrict(*told, anew=True)

    def _begin(self) -> int:
        """Log number from which the log has to be heard after a restart, when it ends here."""
        begin = end = self._archive.end
        if self.teaching is not None:
            begin = self.teaching.begin(end)
        return min(begin, max(0, end - REMEMBERED)) if self._requests else begin


def _counted(
    columns: Mapping[str, NDArray[Any]], meta: Mapping[str, Any], goals: Goals
) -> dict[str, NDArray[Any]]:
    """Outcomes that were logged, with the codes that goals have now; without erased ones, and goals gone."""
    found = {name: columns[name] for name in _OUTCOME}
    told = meta.get("goals")
    if told is not None and tuple(told) != goals.names:
        code = {name: number for number, name in enumerate(goals.names)}
        place = np.array([code.get(name, -1) for name in told], dtype=np.int64)
        found["goal"] = place[found["goal"]]
    left = ~np.isnan(found["value"]) & (found["goal"] >= 0)
    if np.count_nonzero(left) < len(left):
        found = {name: column[left] for name, column in found.items()}
    return found
