"""What may a person ask of an agent: to be asked first, left alone, told what is known, and forgotten?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from heapq import merge
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._archive import Archive
from agentic._deciding import Desk, identify
from agentic._erasing import Eraser, Held
from agentic._folding import blocks_of
from agentic._inputs import checked_subjects, checked_time, texts
from agentic._retiring import Retirement
from agentic._telling import hear, surrogates_of
from agentic.arrays import Block, Receipt
from agentic.errors import ConfigurationError
from agentic.privacy import (
    CONSENT,
    Activity,
    ConsentEntry,
    ErasurePlan,
    Regime,
    Schedule,
    Standing,
    Told,
    fact_of,
    ledger,
    told,
    touched,
)
from agentic.protocols import ProvenanceLog
from agentic.rewards import Goals
from agentic.types import (
    ConsentGranted,
    ConsentWithdrawn,
    Fact,
    Released,
    Suppressed,
    instant,
    micros,
)

if TYPE_CHECKING:
    from agentic._explaining import Explanation

_SCHEMA: Final = 1


@attrs.frozen
class Retention:
    """Who has stayed away so long that something is to be done.

    Attributes:
        due_for_notice: Subjects to be told now that their data will go.
        due_for_erasure: Subjects whose data must go now.
    """

    due_for_notice: tuple[str, ...] = attrs.field(repr=False)
    due_for_erasure: tuple[str, ...] = attrs.field(repr=False)


class Privacy:
    """The desk for what people may ask of one agent; ``agent.privacy`` is where it stands.

    Nothing here is legal advice. What a regime asks for is data, with its sources.

    Args:
        desk: Returns the desk that decides now: plan, store, providers.
        log: Where facts and decisions are.
        archive: Finds the agent's decisions.
        tell: ``Agent.tell_many``.
        append: Logs a block, or raises.
        writing: One transaction of log and store, where there are any.
        explain: ``Agent.explain``.
        goals: What outcomes are called; ``None`` where nothing is recorded.
        clock: Returns the time.
        needed: Returns the number of the first record that some agent still needs.
        unlearn: Has policies let go of feedback of the subjects with these keys.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        *,
        desk: Callable[[], Desk],
        log: ProvenanceLog,
        archive: Archive,
        tell: Callable[..., None],
        append: Callable[[Block], Any],
        writing: Callable[[], AbstractContextManager[Any]],
        explain: Callable[[str], Explanation],
        goals: Goals | None,
        clock: Callable[[], datetime],
        needed: Callable[[], int],
        unlearn: Callable[[Sequence[int]], None],
    ) -> None:
        self._retirement = Retirement(log, append, writing, needed)
        self._desk = desk
        self._log = log
        self._archive = archive
        self._tell = tell
        self._append = append
        self._explain = explain
        self._goals = goals
        self._clock = clock
        self._eraser = Eraser(desk, log, tell, append, writing, unlearn)

    def __repr__(self) -> str:
        return f"Privacy of agent {self._name!r}"

    @property
    def _name(self) -> str:
        return self._desk().name

    @property
    def _pseudonymous(self) -> bool:
        return bool(getattr(self._log, "pseudonymous", False))

    def grant(
        self,
        subject: str,
        purpose: str,
        channel: str | None = None,
        *,
        notice: str | None = None,
        language: str | None = None,
        method: str | None = None,
        evidence: str | None = None,
        at: datetime | None = None,
    ) -> None:
        """Put on record that the subject agreed; when the call returns, the next decision knows.

        Args:
            subject: Who.
            purpose: What for.
            channel: On which channel; ``None`` means all.
            notice: Version of the notice that was shown.
            language: Of the notice: ``"en-IN"``.
            method: How: ``"web form"``, ``"missed call"``.
            evidence: Reference to the proof.
            at: When it happened; the agent's clock by default.

        Raises:
            ConfigurationError: No guardrail listens to this purpose and channel, a text cannot be stored, the
                time lies in the future, or the subject withdrew after it.
            InvalidSubjectError: The id cannot be stored.
            StoreError: Nothing was noted.
            LogError: Likewise.
        """
        fact = ConsentGranted(
            purpose, channel, notice=notice, language=language, method=method, evidence=evidence
        )
        if not self._note([subject], [fact], None if at is None else [at])[0]:
            raise ConfigurationError(
                f"the subject withdrew consent to {purpose!r} after {at}: what came before cannot grant it"
                " again; leave `at` out if it was granted anew",
                value=at,
            )

    def withdraw(
        self,
        subject: str,
        purpose: str,
        channel: str | None = None,
        *,
        notice: str | None = None,
        language: str | None = None,
        method: str | None = None,
        evidence: str | None = None,
        at: datetime | None = None,
    ) -> None:
        """Put on record that the subject withdrew; takes what ``grant`` takes, and holds as soon.

        A withdrawal that arrives late holds from now on whatever was granted since: the safe side. Where
        store and log are not one file it holds even when the log fails.

        Raises:
            ConfigurationError: As ``grant``, but never for what was said later.
            InvalidSubjectError: The id cannot be stored.
            StoreError: The store failed.
            LogError: On a file nothing was noted; elsewhere it holds but is not on record.
        """
        fact = ConsentWithdrawn(
            purpose, channel, notice=notice, language=language, method=method, evidence=evidence
        )
        self._note([subject], [fact], None if at is None else [at])

    def grant_many(
        self,
        subjects: Sequence[str],
        purpose: str,
        channel: str | None = None,
        *,
        notice: str | None = None,
        language: str | None = None,
        method: str | None = None,
        evidence: Sequence[str] | None = None,
        at: Sequence[datetime] | None = None,
    ) -> NDArray[np.bool_]:
        """Put on record what many agreed to, such as an export of a consent manager.

        Args:
            subjects: n ids, in the order in which it happened where one comes twice.
            purpose: What for.
            channel: On which channel; ``None`` means all.
            notice: Version of the notice that was shown.
            language: Of the notice.
            method: How.
            evidence: n references, such as the ids of the consent manager's artefacts.
            at: n times; the agent's clock by default.

        Returns:
            Shape (n,), bool: noted. Not noted is what the subject withdrew later: old news grant nothing.

        Raises:
            ConfigurationError: As ``grant``; then nothing was noted.
        """
        facts: list[ConsentGranted | ConsentWithdrawn] = [
            ConsentGranted(purpose, channel, notice=notice, language=language, method=method, evidence=one)
            for one in self._each(subjects, evidence, "evidence")
        ]
        return self._note(subjects, facts, at)

    def withdraw_many(
        self,
        subjects: Sequence[str],
        purpose: str,
        channel: str | None = None,
        *,
        notice: str | None = None,
        language: str | None = None,
        method: str | None = None,
        evidence: Sequence[str] | None = None,
        at: Sequence[datetime] | None = None,
    ) -> NDArray[np.bool_]:
        """Put on record what many withdrew; takes what ``grant_many`` takes, and notes all of it."""
        facts: list[ConsentGranted | ConsentWithdrawn] = [
            ConsentWithdrawn(purpose, channel, notice=notice, language=language, method=method, evidence=one)
            for one in self._each(subjects, evidence, "evidence")
        ]
        return self._note(subjects, facts, at)

    def consents(self, subject: str) -> list[ConsentEntry]:
        """The consent ledger of a subject, in the order of the log."""
        return ledger(self._told(subject, CONSENT))

    def may(
        self, subject: str, purpose: str, channel: str | None = None, *, at: datetime | None = None
    ) -> bool:
        """Whether the subject may be contacted for a purpose: consented, not suppressed, not restricted.

        Read from the log, and the same as what `Consent` without a feature allows. What is not known is a
        no. A fact about a channel speaks for that channel; one about all channels takes its place.

        Args:
            subject: Who.
            purpose: What for.
            channel: On which channel; ``None`` asks for what holds on all of them.
            at: Only what happened until then counts; everything on record by default.
        """
        now = self._clock() if at is None else at
        facts = self._told(subject)
        if at is not None:
            facts = (one for one in facts if one.at <= at)
        return Standing.after(facts).may(purpose, channel, now)

    def suppress(self, subject: str, until: datetime | None = None) -> None:
        """Contact the subject no more, until a time or for good.

        It beats every policy, rule, arm and experiment of this agent. Left alone are only message classes
        that a `Suppression` without another scope exempts by name.
        """
        self._tell([subject], Suppressed(until))

    def release(self, subject: str) -> None:
        """Lift the suppression; a restriction stays."""
        self._tell([subject], Released())

    def erase(self, subject: str, regime: str | Regime = "eu-gdpr", *, dry_run: bool = False) -> ErasurePlan:
        """Forget the subject: now, or, where the law wants it kept for a while, when that is over.

        Erased are the record with all that was learned about the subject alone, the link from its surrogate
        to its id, and what the log says about it but for what was done: that proofs still verify. What a
        provider keeps is dropped where it can. What is held until later is restricted: nothing is decided by
        it but doing nothing, and nothing is learned from it.

        Models that all subjects share keep what they learned. An erased subject is a stranger: who may not be
        written to at all without consent needs a `Consent` guardrail, because a suppression is forgotten too.

        Args:
            subject: Who.
            regime: Which law, by id, or one of your own.
            dry_run: Only say what would be done.

        Raises:
            ConfigurationError: There is no such regime, or the log cannot forget.
            InvalidSubjectError: The id cannot be stored.
            StoreError: The store failed; what was not erased yet is erased when you ask again.
            LogError: Likewise, the log.
            DatabaseError: Likewise, the file or the list of erasures beside it.
        """
        law = regime if isinstance(regime, Regime) else Regime.load(regime)
        return self._eraser.erase(checked_subjects([subject])[0], law, self._clock(), dry_run=dry_run)

    def lift(self, subject: str) -> None:
        """End a restriction: the subject stays after all, and nothing held of it is erased later."""
        self._eraser.lift(checked_subjects([subject])[0], self._clock())

    def due(self, now: datetime | None = None) -> list[Held]:
        """The requests to be forgotten whose time has come: a fold of the log."""
        return self._eraser.due(self._clock() if now is None else now)

    def carry_out(self, now: datetime | None = None) -> int:
        """Erase what is due; return how many subjects that were. Call it once a day.

        Raises:
            StoreError: As ``erase``; what was not erased yet is still due.
            LogError: Likewise.
            DatabaseError: Likewise.
        """
        return self._eraser.carry_out(self._clock() if now is None else now)

    def reapply(self) -> int:
        """Erase again what the list of erasures knows and the log does not; return how many subjects.

        That is so after an old backup was restored, or after a crash in the middle of erasing.
        ``Agent.open`` calls it.

        Raises:
            StoreError: As ``erase``.
            LogError: Likewise.
            DatabaseError: Likewise.
        """
        return self._eraser.reapply(self._clock())

    def export(self, subject: str) -> dict[str, Any]:  # JSON-compatible
        """Everything this agent holds about a subject, and nothing about anybody else.

        Consents and other facts, decisions with their reasons, the features they used and the explanation,
        outcomes, rewards, and the record field by field. ``json.dumps`` takes it.

        Raises:
            InvalidSubjectError: The id cannot be stored.
        """
        from agentic._access import everything_about

        desk, (subject,) = self._desk(), checked_subjects([subject])
        return everything_about(subject, desk, self._log, self._archive, self._goals, self._explain)

    def touched(self, since: datetime, until: datetime) -> list[str]:
        """The subjects whom the agent decided for from one time until before another, each once, sorted.

        For a breach: whose data was used in that time. Erased subjects have no name any more.
        """
        return touched(self._blocks("decision"), self._name, micros(since), micros(until))

    def retention(self, regime: str | Regime | Schedule, now: datetime | None = None) -> Retention:
        """Who has stayed away so long that they must be told, or forgotten.

        Activity is what subjects do: an outcome, a consent given or withdrawn; of those who never did
        anything, the first decision. Tell those who are due for notice, then say so with ``notified``; only
        then, and the regime's notice later, they become due for erasure. Any activity starts anew.

        Args:
            regime: By id, one of your own, or a schedule.
            now: The time; the agent's clock by default.

        Raises:
            ConfigurationError: The regime says nothing about subjects who stay away.
        """
        law = Regime.load(regime) if isinstance(regime, str) else regime
        schedule = law if isinstance(law, Schedule) else Schedule.of(law)
        at = self._clock() if now is None else now
        seen = Activity.of(self._log.read(), self._name)
        gone = schedule.due_for_erasure(seen.last, at, seen.told if schedule.notice else None)
        soon = schedule.due_for_notice(seen.last, at, seen.told) & ~gone if schedule.notice else gone & False
        return Retention(tuple(seen.subjects[soon].tolist()), tuple(seen.subjects[gone].tolist()))

    def drop(
        self,
        older: datetime,
        regime: str | Regime | None = None,
        *,
        note: Callable[[int, bytes], str] | None = None,
        now: datetime | None = None,
    ) -> int:
        """Drop what the log holds from before a time, in whole segments of 4,096 records; proofs stay.

        What some agent of the file still needs stays: decisions with an open reward window and all after
        them. So do consents, restrictions and erasures, which are written once more at the end of the log
        with the times they were given at.

        Args:
            older: Records from before are dropped.
            regime: A law that says how long they have to be kept at least.
            note: Writes the checkpoint at the place where dropping ends, given size and root, so that it is
                signed: ``lambda size, root: Checkpoint(origin, size, root).signed(keys)``.
            now: The time; the agent's clock by default.

        Returns:
            How many records were dropped.

        Raises:
            ConfigurationError: The log is in memory, or the law says that it is too early.
            InvalidTimeError: A time has no zone.
        """
        law = Regime.load(regime) if isinstance(regime, str) else regime
        return self._retirement.drop(older, law, self._clock() if now is None else now, note)

    def notified(self, subjects: Sequence[str]) -> None:
        """Put on record that these subjects were told that their data will go.

        Raises:
            InvalidSubjectError: An id cannot be stored.
            LogError: The log failed.
        """
        names = list(dict.fromkeys(checked_subjects(subjects)))
        if names:
            columns = {"subject": texts(names), "at": np.full(len(names), micros(self._clock()))}
            if self._pseudonymous:
                columns["surrogate"] = surrogates_of(self._desk(), names)
                identify(columns["surrogate"])  # who has no record is found by its id when it is erased
            meta = {"schema": _SCHEMA, "agent": self._name, "public": ["at", "surrogate"]}
            self._append(Block("notice", columns, meta))

    def _told(self, subject: str, kinds: tuple[str, ...] | None = None) -> Iterator[Told]:
        (subject,) = checked_subjects([subject])
        blocks = self._blocks("fact")
        if kinds is None:
            blocks = merge(blocks, self._blocks("restriction"), key=lambda found: found[0].first)
        return told(blocks, self._name, subject, kinds)

    def _blocks(self, kind: str) -> Iterator[tuple[Receipt, Block]]:
        return blocks_of(self._log, kind)

    def _each(self, subjects: Sequence[str], values: Sequence[Any] | None, what: str) -> Sequence[Any]:
        """One value for each subject."""
        if values is None:
            return [None] * len(subjects)
        if isinstance(values, str) or len(values) != len(subjects):
            raise ConfigurationError(
                f"{what} must be {len(subjects)} values, one for each subject, got {len(values)}",
                value=len(values),
                expected=len(subjects),
            )
        return values

    def _note(
        self,
        subjects: Sequence[str],
        facts: Sequence[ConsentGranted | ConsentWithdrawn],
        at: Sequence[datetime] | None,
    ) -> NDArray[np.bool_]:
        """Tell facts, one for each subject, in their order; which of them were told."""
        names, now = checked_subjects(subjects), self._clock()
        times = [checked_time(one) for one in self._each(names, at, "at")] if at is not None else []
        if times and max(times) > micros(now):
            raise ConfigurationError(
                f"consent is given or withdrawn before it is told, got a time after {now}: check the unit and"
                " the zone",
                value=instant(max(times)),
                expected=now,
            )
        for fact in set(facts):  # all of them are understood before one of them is noted
            hear(self._desk(), self._desk().plan.layout.new(1), fact, 0)
        good = np.ones(len(names), dtype=np.bool_)
        moments = [None] * len(names) if at is None else list(at)
        with self._eraser.writing():  # from here on nobody withdraws
            if times and facts and isinstance(facts[0], ConsentGranted):
                later = self._withdrawn(set(names), facts[0], min(times))
                good[:] = [later.get(name, time) <= time for name, time in zip(names, times, strict=True)]
            for run in _runs(facts, moments, good.tolist()):
                self._tell([names[row] for row in run], facts[run[0]], now=moments[run[0]])
        return good

    def _withdrawn(self, names: set[str], fact: ConsentGranted, since: int) -> dict[str, int]:
        """When these subjects last withdrew, after a time, what this fact grants or a part of it."""
        found: dict[str, int] = {}
        for _, block in self._blocks("fact"):
            if block.kind != "fact" or block.meta["agent"] != self._name:
                continue
            if block.meta["fact"] != "consent_withdrawn":
                continue
            for row in np.flatnonzero(block.columns["at"] > since).tolist():
                name = block.columns["subject"][row]
                if name not in names:
                    continue
                said = fact_of(block.columns["fact"][row])
                if not isinstance(said, ConsentWithdrawn) or said.purpose != fact.purpose:
                    continue
                if None in (said.channel, fact.channel) or said.channel == fact.channel:
                    found[name] = max(found.get(name, since), int(block.columns["at"][row]))
        return found


def _runs(
    facts: Sequence[Fact], moments: Sequence[datetime | None], good: Sequence[bool]
) -> Iterator[list[int]]:
    """Rows to be told together: the same fact at the same time; they follow one another."""
    run: list[int] = []
    for row, fine in enumerate(good):
        if not fine:
            continue
        if run and (facts[row], moments[row]) != (facts[run[0]], moments[run[0]]):
            yield run
            run = []
        run.append(row)
    if run:
        yield run
