"""How is a subject forgotten, in the store, in the log and in the file, so that it stays forgotten?"""

from __future__ import annotations

import os
from collections.abc import Callable, Container, Iterable, Sequence, Sized
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._deciding import Desk
from agentic._folding import blocks_of, database_of
from agentic._inputs import texts
from agentic._noise import text_key
from agentic._stored import load
from agentic._telling import surrogates_of
from agentic.arrays import Block
from agentic.errors import ConfigurationError
from agentic.privacy import Data, Erasure, ErasureList, ErasurePlan, Regime, plan_erasure
from agentic.protocols import Erases, Forgets, ProvenanceLog
from agentic.types import Restricted, RestrictionLifted, instant, micros

_SCHEMA: Final = 1
_UNSCRUBBED: Final = "erasing.unscrubbed"
STATES: Final = ("held", "erased", "lifted")
HELD, ERASED, LIFTED = range(3)
_CLASSES: Final[dict[str, Data]] = {
    "fact": "facts",
    "restriction": "facts",
    "notice": "facts",
    "decision": "decisions",
}

Identity = tuple[int, int] | str
"""Who a line of the log is about: a surrogate, or an id where the log is not pseudonymous."""


@attrs.frozen
class Held:
    """A request to be forgotten that waits until the law allows it.

    Attributes:
        subject: Whose; empty where nothing of it is left.
        due: When what is held is erased.
        regime: Id of the law it follows.
    """

    subject: str = attrs.field(repr=False)
    due: datetime
    regime: str


@attrs.frozen
class _Mark:
    """The last word about a request to be forgotten."""

    whom: Identity = attrs.field(repr=False)
    state: int
    due: int
    regime: str


@attrs.define(eq=False)
class Eraser:
    """Forgets the subjects of one agent.

    The list of erasures beside the file is written first, then the log and the store, in one transaction:
    what a crash interrupts is done when the file is opened again.

    Attributes:
        desk: Returns the desk that decides now.
        log: Where records are.
        tell: ``Agent.tell_many``.
        append: Logs a block, or raises.
        writing: One transaction of log and store, where there are any.
        unlearn: Has policies let go of feedback of the subjects with these keys.
    """

    desk: Callable[[], Desk]
    log: ProvenanceLog
    tell: Callable[..., None]
    append: Callable[[Block], Any]
    writing: Callable[[], AbstractContextManager[Any]]
    unlearn: Callable[[Sequence[int]], None]

    def erase(self, subject: str, regime: Regime, now: datetime, /, *, dry_run: bool) -> ErasurePlan:
        """Plan, and unless told otherwise carry out."""
        self._forgetful()
        end = self._end
        surrogates, held = self._found(subject)
        plan = plan_erasure(regime, dict.fromkeys(held, now), now)
        if dry_run:
            return plan
        if plan.due is None:
            self._seal()
            with self.writing():
                meanwhile = self._logged([subject], end)
                self._erase([subject], [*surrogates, *meanwhile], regime.id, now)
            self._scrub()
            return plan
        with self.writing():
            self.tell([subject], Restricted(), now=now)
            marks, own = self._marks(), self._identities([subject])
            if not any(one in marks and marks[one].state == HELD for one in own):  # the first request counts
                self._mark([subject], own, HELD, regime.id, now, plan.due)
        return plan

    def lift(self, subject: str, now: datetime, /) -> None:
        """Use what is held again."""
        with self.writing():
            self.tell([subject], RestrictionLifted(), now=now)
            marks = self._marks()
            own = [one for one in self._identities([subject]) if one in marks and marks[one].state == HELD]
            self._mark([subject] * len(own), own, LIFTED, "none", now, now)

    def due(self, now: datetime, /) -> list[Held]:
        """What is held until now or before."""
        waiting = self._due(now)
        names = self._names([one.whom for one in waiting])
        return [Held(names.get(one.whom, ""), instant(one.due), one.regime) for one in waiting]

    def carry_out(self, now: datetime, /) -> int:
        """Erase what is due."""
        waiting = self._due(now)
        if not waiting:
            return 0
        names = self._names([one.whom for one in waiting])
        self._seal()
        for regime in sorted({one.regime for one in waiting}):
            mine = [one.whom for one in waiting if one.regime == regime]
            self._erase_all([names[one] for one in mine if one in names], mine, regime, now)
        self._scrub()
        return len(waiting)

    def _erased_for_others(self, listed: Container[Identity]) -> list[Erasure]:
        """Erasures that another agent of the file was asked for, and that the log does not know."""
        told = {} if self._list is None else self._list.read()
        told = {whom: one for whom, one in told.items() if one.state == "erased" and whom not in listed}
        if not told:
            return []
        done: set[Identity] = set()
        for _, block in blocks_of(self.log, "erasure"):
            if "surrogate" in block.columns:
                rows = block.columns["state"] == ERASED
                done.update(map(tuple, block.columns["surrogate"][rows].tolist()))
        return [one for whom, one in told.items() if whom not in done]

    def reapply(self, now: datetime, /) -> int:
        """Do again what the list knows and the log does not."""
        listed = {} if self._list is None else self._list.read(self._agent)
        marks = self._marks() if listed else {}
        new = [
            one
            for whom, one in listed.items()
            if (marks[whom].state if whom in marks else LIFTED) != STATES.index(one.state)
        ]
        new += self._erased_for_others(listed)
        names = self._names([one.surrogate for one in new]) if new else {}
        gone = [one for one in new if one.state == "erased"]
        if gone:
            self._seal()
        for regime in sorted({one.regime for one in gone}):  # each costs a look through the whole log
            mine = [one.surrogate for one in gone if one.regime == regime]
            self._erase_all([names[one] for one in mine if one in names], list(mine), regime, now)
        for one in new:
            if one.state == "erased":
                continue
            known = [names[one.surrogate]] if one.surrogate in names else []
            fact = Restricted() if one.state == "held" else RestrictionLifted()
            with self.writing():
                if known:
                    self.tell(known, fact, now=now)
                self._mark(
                    known or [""], [one.surrogate], STATES.index(one.state), one.regime, now, instant(one.due)
                )
        if new or (self._is_file and self._database.noted(_UNSCRUBBED)):
            self._scrub()
        return len(new)

    @property
    def _agent(self) -> int:
        return text_key(self.desk().name)

    @property
    def _list(self) -> ErasureList | None:
        path = getattr(self._database, "path", None)
        return ErasureList(f"{path}.erased") if isinstance(path, str) else None

    @property
    def _database(self) -> Any:  # a file, or None
        return database_of(self.log)

    @property
    def _pseudonymous(self) -> bool:
        return bool(getattr(self.log, "pseudonymous", False))

    def _forgetful(self) -> None:
        if not isinstance(self.log, Erases):
            raise ConfigurationError(
                f"a log that is to forget needs a method erase(whom), got {type(self.log).__name__}: what it"
                " holds would stay",
                value=type(self.log).__name__,
            )

    def _identities(self, names: list[str]) -> list[Identity]:
        if not self._pseudonymous:
            return list(names)
        return [(high, low) for high, low in surrogates_of(self.desk(), names).tolist() if high or low]

    def _found(self, subject: str) -> tuple[list[Identity], list[Data]]:
        """Who the subject is in the log, and what is held of it.

        A log that agents share knows a subject by a surrogate for each of them, and its records go together.
        """
        desk = self.desk()
        _, versions = load(desk.store, [subject], desk.plan.layout)
        held: dict[Data, None] = {"record": None} if versions[0] else {}
        whom = dict.fromkeys(self._identities([subject]))
        decisions: list[NDArray[np.int64]] = []
        for kind, data in _CLASSES.items():
            for receipt, block in blocks_of(self.log, kind, "subject", "surrogate"):
                columns = block.columns
                if "subject" not in columns or not len(rows := np.flatnonzero(columns["subject"] == subject)):
                    continue
                held[data] = None
                if kind == "decision":
                    decisions.append(rows + receipt.first)
                if self._pseudonymous and "surrogate" in columns:
                    surrogates = np.unique(columns["surrogate"][rows], axis=0)
                    whom.update(dict.fromkeys(map(tuple, surrogates.tolist())))
        mine = np.concatenate(decisions) if decisions else np.zeros(0, np.int64)
        for _, block in blocks_of(self.log, "outcome", "decision") if len(mine) else ():
            if np.isin(block.columns["decision"], mine).any():
                held["outcomes"] = None
                break
        whom.pop((0, 0), None)
        return list(whom) or ([] if self._pseudonymous else [subject]), list(held)

    @property
    def _end(self) -> int:
        return len(self.log) if isinstance(self.log, Sized) else 0

    def _logged(self, names: list[str], after: int) -> list[Identity]:
        """Who these subjects are in the log from a place on: for each agent, and each time when protected."""
        found: dict[Identity, None] = {}
        if not self._pseudonymous or not names:
            return []
        wanted = set(names)
        for _, block in self.log.read(after):
            subjects, surrogates = (block.columns.get(name) for name in ("subject", "surrogate"))
            if subjects is None or surrogates is None:
                continue
            rows = [row for row, name in enumerate(subjects.tolist()) if name in wanted]
            found.update(dict.fromkeys(map(tuple, surrogates[rows].tolist())))
        found.pop((0, 0), None)
        return list(found)

    def _erase_all(self, names: list[str], whom: list[Identity], regime: str, now: datetime) -> None:
        """Erase subjects also where they got another surrogate than the one that they are asked by."""
        end = self._end
        others = self._logged(names, 0)
        with self.writing():
            self._erase(names, [*whom, *others, *self._logged(names, end)], regime, now)

    def _erase(self, names: list[str], whom: Iterable[Identity], regime: str, now: datetime) -> None:
        """Erase, and put it on record: who erases again may begin anywhere."""
        if self._is_file:  # if this process ends before it has scrubbed, the next one does
            self._database.note(_UNSCRUBBED, os.urandom(8))
        desk, whom = self.desk(), list(dict.fromkeys([*whom, *self._identities(names)]))
        self._mark(names, whom, ERASED, regime, now, now)
        erase: Any = self.log  # Erases, as was asked before
        if whom:
            erase.erase(np.array(whom, dtype=np.uint64) if self._pseudonymous else whom)
        desk.store.delete(names)
        self.unlearn([text_key(name) for name in names])
        for provider in desk.providers:
            if isinstance(provider, Forgets):
                for name in names:
                    provider.forget(name)

    def _mark(
        self, names: list[str], whom: list[Identity], state: int, regime: str, now: datetime, due: datetime
    ) -> None:
        """Write it on the list, then into the log."""
        if not whom:
            return
        at, until = micros(now), micros(due)
        n = len(whom)
        columns: dict[str, NDArray[Any]] = {
            "at": np.full(n, at, np.int64),
            "due": np.full(n, until, np.int64),
            "state": np.full(n, state, np.uint8),
        }
        if self._pseudonymous:
            columns["surrogate"] = np.array(whom, dtype=np.uint64)
            listed = self._list
            if listed is not None:
                listed.add(
                    Erasure(STATES[state], one, at, until, regime, self._agent)
                    for one in whom
                    if isinstance(one, tuple)
                )
        else:
            columns["subject"] = texts([str(one) for one in whom])
        meta = {"schema": _SCHEMA, "agent": self.desk().name, "regime": regime}
        self.append(Block("erasure", columns, meta))

    def _marks(self) -> dict[Identity, _Mark]:
        """The last word about each request, out of the log."""
        found: dict[Identity, _Mark] = {}
        name = "surrogate" if self._pseudonymous else "subject"
        for _, block in blocks_of(self.log, "erasure"):
            if block.meta["agent"] != self.desk().name or name not in block.columns:
                continue
            columns = (block.columns[column].tolist() for column in (name, "state", "due"))
            for who, state, due in zip(*columns, strict=True):
                whom: Identity = tuple(who) if self._pseudonymous else who
                if whom:  # what is erased has no name
                    found[whom] = _Mark(whom, state, due, block.meta["regime"])
        return found

    def _due(self, now: datetime) -> list[_Mark]:
        return [one for one in self._marks().values() if one.state == HELD and one.due <= micros(now)]

    def _names(self, whom: Sequence[Identity]) -> dict[Identity, str]:
        """Subjects by who they are in the log, as far as it still knows."""
        if not self._pseudonymous:
            return {one: str(one) for one in whom}
        wanted = {one[0]: one for one in whom if isinstance(one, tuple)}
        words = np.array(list(wanted), dtype=np.uint64)
        found: dict[Identity, str] = {}
        for kind in _CLASSES if len(words) else ():
            if len(found) == len(wanted):
                break
            for _, block in blocks_of(self.log, kind, "subject", "surrogate"):
                columns = block.columns
                if "surrogate" not in columns:
                    continue
                for row in np.flatnonzero(np.isin(columns["surrogate"][:, 0], words)).tolist():
                    one, name = tuple(columns["surrogate"][row].tolist()), columns["subject"][row]
                    if name and wanted.get(one[0]) == one:
                        found[one] = name
        return found

    def _seal(self) -> None:
        """Do beforehand, while others decide, most of what the log has to do before it can erase."""
        seal = getattr(self.log, "seal", None)
        if seal is not None:
            seal()

    @property
    def _is_file(self) -> bool:
        return hasattr(self._database, "scrub")

    def _scrub(self) -> None:
        """Leave no trace in the bytes of the file of what was deleted."""
        database = self._database
        if not self._is_file:
            return
        due = database.noted(_UNSCRUBBED)
        database.scrub()
        with self.writing():
            if database.noted(_UNSCRUBBED) == due and due:
                database.note(_UNSCRUBBED, b"")
