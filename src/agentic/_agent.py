"""The agent: what an application holds. I/O at both ends of the walk, nothing else."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic import _noise, policies
from agentic._archive import Archive
from agentic._deciding import Desk, Settled
from agentic._flow import APPROVE_EACH, POLICIES, SUGGEST_ONLY, Plan
from agentic._folding import Entry, SharedBooks, database_of
from agentic._following import OFTEN, Following
from agentic._inputs import checked_outcomes, checked_requests, checked_subjects, checked_time, texts
from agentic._plan import assemble, bind, checked, listed, part, remembering, standing
from agentic._publishing import Chair, Published
from agentic._records import DecisionBatch, batch_of, read_ids
from agentic._requests import Requests
from agentic._teaching import Learned, Relearned, Teaching
from agentic._telling import STOPS, hear, note, surrogates_of
from agentic._versions import Versions
from agentic.arrays import Block
from agentic.conditions import Condition
from agentic.errors import (
    ConfigurationError,
    DatabaseError,
    InvalidContextError,
    LogError,
    ReleaseError,
    UnknownGoalError,
    masked,
    reason,
)
from agentic.features import Schema, Values
from agentic.protocols import (
    Feature,
    FeatureProvider,
    Guardrail,
    Policy,
    ProvenanceLog,
    StateStore,
)
from agentic.provenance import MemoryLog
from agentic.rewards import Goals, Ledger, Recorded
from agentic.state import MemoryStore, Pools
from agentic.types import (
    NO_ACTION,
    Action,
    Decision,
    Fact,
    Restricted,
    RestrictionLifted,
    micros,
)

if TYPE_CHECKING:
    from typing_extensions import TypedDict, Unpack

    from agentic import provenance
    from agentic._database import Database, Durability
    from agentic._explaining import Explanation
    from agentic._oversight import Oversight
    from agentic._privacy import Privacy
    from agentic._releases import Releases
    from agentic._verdicts import Replayed
    from agentic.evaluation import By, Comparison, Estimator, Interval, Joined, Progress
    from agentic.provenance import Signer
    from agentic.state import Shelf

    class Parts(TypedDict, total=False):
        """What an agent is made of besides its name and its actions."""

        features: Sequence[Feature]
        policy: Policy | None
        challengers: Sequence[Policy]
        guardrails: Sequence[Guardrail]
        goals: Goals | None
        providers: Sequence[FeatureProvider]
        control: Policy | None
        fallback: Policy | None
        holdout: float
        random_control: float
        exploration_floor: float
        zone: str | None
        seed: int
        salt: str | None
        protect: Condition | None
        protected: Policy | None
        clock: Callable[[], datetime]


_SCHEMA: Final = 1
# Tickets of named requests keep clear of counted decisions.
_NAMED: Final = np.uint64(1 << 63)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Agent:
    """Decides for every subject what to send, when, or whether to send at all, and learns from it.

    One agent is one use case: actions, features, a policy, guardrails and goals. Its part for each
    subject is a record in the store, not an object. Safe for threads.

    Args:
        name: Names the use case in records and logs.
        actions: The candidates; ``NO_ACTION`` is always one.
        features: What is known of subjects; anything else in a context is refused.
        policy: Weighs the candidates; ``LinearThompson()`` by default. ``SquareCB()`` is the frugal one.
        challengers: Policies that may be put in charge beside this one or after it, as the application makes
            them: what other processes put in charge, or earlier ones, is made of these and ``policy``.
        guardrails: Hard rules, in any order.
        goals: Turn outcomes into rewards; without goals nothing is learned.
        providers: Fetch features the context does not bring; earlier ones win.
        store: Keeps subject records; in memory by default.
        log: Keeps what was decided and what came of it; in memory by default.
        control: Decides for the holdout; nothing is sent by default.
        fallback: Decides where the policy fails; nothing is sent by default.
        protect: Who is decided for without being known: children, ``F("age") < 18``. For whom it is unknown,
            it counts as true. They get no marketing, and no record.
        protected: Decides for these, without chance; nothing is sent by default.
        holdout: Share of subjects left to the control policy, 0 to 1.
        random_control: Share of subjects decided uniformly among what the rules allow, 0 to 1.
        exploration_floor: Share of probability spread evenly over what the rules allow, 0 to 1.
        zone: Time zone of subjects whose zone is not known; unknown zones are treated most strictly.
        seed: Of every draw; same seed, same subjects, same decisions.
        salt: Of the assignment to holdout and random control; agents with one salt share a holdout.
        clock: Returns the time; the system clock by default.

    Raises:
        ConfigurationError: Parts do not fit together; the message says which and what to do.
    """

    def __init__(
        self,
        name: str,
        actions: Sequence[Action],
        *,
        features: Sequence[Feature] = (),
        policy: Policy | None = None,
        challengers: Sequence[Policy] = (),
        guardrails: Sequence[Guardrail] = (),
        goals: Goals | None = None,
        providers: Sequence[FeatureProvider] = (),
        store: StateStore | None = None,
        log: ProvenanceLog | None = None,
        control: Policy | None = None,
        fallback: Policy | None = None,
        protect: Condition | None = None,
        protected: Policy | None = None,
        holdout: float = 0.0,
        random_control: float = 0.0,
        exploration_floor: float = 0.0,
        zone: str | None = None,
        seed: int = 0,
        salt: str | None = None,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        if not isinstance(name, str) or not name or len(name) > 200 or not name.isprintable():
            raise ConfigurationError(
                f"an agent's name must be 1 to 200 printable characters, got {name!r}", value=name
            )
        if isinstance(seed, bool) or not isinstance(seed, int):
            raise ConfigurationError(f"seed must be an integer, got {seed!r}", value=seed)
        if goals is not None and not isinstance(goals, Goals):
            raise ConfigurationError(f"goals must be Goals(...), got {goals!r}", value=goals)
        actions, features = listed(actions, "actions"), listed(features, "features")
        guardrails, providers = listed(guardrails, "guardrails"), listed(providers, "providers")
        for provider in providers:
            part(provider, FeatureProvider, "a feature provider", "fetch(subjects, names, now)")
        if not callable(clock):
            raise ConfigurationError(
                f"clock must be a function that returns the time, got {clock!r}", value=clock
            )
        if store is not None:
            part(store, StateStore, "a state store", "load, store, delete and subjects")
        if log is not None:
            part(log, ProvenanceLog, "a provenance log", "append and read")
        self._name = name
        self._seed = seed
        self._log: ProvenanceLog = MemoryLog() if log is None else log
        self._assembly = assemble(
            name,
            actions=actions,
            features=features,
            guardrails=guardrails,
            control=policies.Fixed(NO_ACTION) if control is None else control,
            fallback=policies.Fixed(NO_ACTION) if fallback is None else fallback,
            protect=protect,
            protected=policies.Fixed(NO_ACTION) if protected is None else protected,
            holdout=holdout,
            random_control=random_control,
            floor=exploration_floor,
            seed=seed,
            salt=name if salt is None else salt,
            zone=zone,
            pseudonymous=getattr(self._log, "pseudonymous", False) is True,
        )
        self._goals = goals
        self._store: StateStore = MemoryStore() if store is None else store
        self._clock = clock
        self._pools = Pools(name, self._assembly.pooled, self._assembly.plan.space, self._store)
        ledger = None if goals is None else Ledger(goals)
        desk = Desk(name, self._assembly, self._store, tuple(providers), self._pools)
        # Whether records and log stand or fall together, so that nothing has to be taken back.
        self._atomic = _shares(self._log, self._store)
        self._archive = Archive(name, self._log, self._assembly.plan.catalogue)
        self._requests = Requests()
        self._process = os.getpid()
        self._following = Following(
            name, self._log, self._archive, self._requests, ledger, self._pools.forget
        )
        self._books = self._following.books
        self._standing = standing(desk.plan, self.schema)
        self._closing: Database | None = None
        self._oversight: Oversight | None = None
        shelf = _shelf(self._log)
        self._versions = Versions(name, desk.plan.space, shelf)
        self._chair = Chair(name, desk, self._versions, shelf, self._books, self._meta, self._micros)
        self._following.chair = self._chair
        self._chair.check_layout(desk.plan.layout)
        passed = checked(policies.LinearThompson() if policy is None else policy)
        self._chair.take(passed, [checked(each) for each in listed(challengers, "challengers")])
        self._teaching: Teaching | None = None
        if ledger is not None:
            self._teaching = Teaching(
                name,
                ledger,
                self._chair,
                self._books,
                self._log,
                self.schema,
                atomic=self._atomic,
                without=self._following.restricted,
                unapproved=self._following.unapproved,
            )
        self._following.teaching = self._teaching
        self._following.take_up()

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        name: str,
        actions: Sequence[Action],
        *,
        durability: str | Durability = "bounded",
        **parts: Unpack[Parts],
    ) -> Agent:
        """An agent whose log, records and learned policies live in a database file, made if there is none.

        Processes of one machine may open the same file: they decide one at a time, and each knows what the
        others did. Opened again, also after a crash, the agent goes on exactly where the acknowledged
        decisions, facts, outcomes and lessons end.

        Args:
            path: The file.
            name: Of the agent; several agents may share a file.
            actions: The candidates.
            durability: What an answer survives: ``"memory"`` nothing for certain, ``"process"`` the end of
                the process, ``"bounded"`` also a power cut after 100 ms (``Durability("bounded",
                bound_ms=20)``), ``"power"`` a power cut at once.
            parts: As for ``Agent``, without store and log.

        Raises:
            ConfigurationError: Parts do not fit together, or do not fit what is stored.
            DatabaseError: The file cannot be opened, or is not what was written.
        """
        from agentic._database import Database  # sqlite3 only for who wants it
        from agentic.provenance import DurableLog
        from agentic.state import DurableStore

        for part_name in ("store", "log"):
            if part_name in parts:
                raise ConfigurationError(
                    f"Agent.open brings its own {part_name}: leave it out, or make an Agent(...) of parts",
                    value=part_name,
                )
        database = Database(path, durability=durability)
        try:
            agent = cls(name, actions, store=DurableStore(database), log=DurableLog(database), **parts)
        except BaseException as error:
            database.close()
            if isinstance(error, LogError) and isinstance(error.__cause__, DatabaseError):
                raise error.__cause__ from error.__cause__.__cause__
            raise
        agent._closing = database
        try:
            agent.privacy.reapply()
        except BaseException:
            agent.close()
            raise
        return agent

    def close(self) -> None:
        """Let go of the file that ``open`` opened; nothing more can be decided."""
        database, self._closing = self._closing, None
        if database is None:
            return
        store: Any = self._store
        with ExitStack() as last:  # what one of them raises keeps none of the others
            last.callback(database.close)
            last.callback(store.close)
            self._following.mark(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        many = len(self.plan.catalogue) - 1
        return f"Agent({self._name!r}, {many} actions, policy {self.policy.name!r} {self.policy_version})"

    @property
    def name(self) -> str:
        """Names the use case."""
        return self._name

    @property
    def plan(self) -> Plan:
        """The agent as the flow sees it: catalogue, features, guardrails."""
        return self._chair.desk.plan

    @property
    def schema(self) -> Schema:
        """The features: how values are gathered, encoded and described."""
        return self._assembly.schema

    @property
    def log(self) -> ProvenanceLog:
        """What was decided, and what came of it."""
        return self._log

    @property
    def store(self) -> StateStore:
        """Where the subject records are."""
        return self._store

    @property
    def goals(self) -> Goals | None:
        """What turns outcomes into rewards."""
        return self._goals

    @property
    def policy(self) -> Policy:
        """The policy in charge. Assigning another one publishes it, or rolls back to an earlier one."""
        return self._chair.published.policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        self._assign(policy, None)

    def exchange(self, expected: str, policy: Policy, /) -> bool:
        """Put a policy in charge if the version that you know of still is, in all processes of the file.

        When it returns, the next decision of every thread and process is made by the new one. Read
        ``policy_version`` and ``policy``, make the next one of it, exchange; begin anew if somebody was
        faster, so that nothing that was learned meanwhile is lost.

        Args:
            expected: The version that is to be replaced.
            policy: Goes in charge.

        Returns:
            Whether it did.

        Raises:
            ConfigurationError: The policy does not fit this agent.
            LogError: The log failed; the one before stays in charge.
        """
        return self._assign(policy, expected)

    def _assign(self, policy: Policy, expected: str | None) -> bool:
        if os.getpid() != self._process:
            self._forked()
        ready = bind(checked(policy), self.plan.space)
        self._versions.meet(policy, ready)
        with nullcontext() if self._teaching is None else self._teaching.lock:
            # What is being learned meanwhile must not replace it.
            if expected is None:
                self._chair.put(ready, "assigned")
            elif not self._chair.exchange(expected, ready):
                return False
            if self._teaching is not None:
                self._teaching.hear_policy("assigned", 0)
        return True

    @property
    def policy_version(self) -> str:
        """Hash of the content of the policy in charge."""
        return self._chair.published.version

    @property
    def oversight(self) -> Oversight:
        """The desk of those who watch over the agent: how much is left to it, what waits, and the stop."""
        from agentic._oversight import Oversight  # hardly ever

        if self._oversight is None:
            self._oversight = Oversight(
                self.releases,
                lambda: self._chair.desk,
                self._archive,
                self._decide_by_hand,
                lambda: self._following.level,
                self._following.halting,
                self._following.went_on,
                self._clock,
            )
        return self._oversight

    @property
    def releases(self) -> Releases:
        """What the log says of who may go in charge: ``release.Registry(agent)`` is the door to it."""
        return self._following.releases

    @property
    def failures(self) -> dict[str, int]:
        """How often each plugin raised or answered nonsense and was replaced by something safe."""
        return dict(self._chair.desk.failures)

    @property
    def budgets(self) -> dict[str, float]:
        """What is left in each shared pool, in its unit."""
        return {name: left / 1e6 for name, left in self._pools.left(micros(self._clock())).items()}

    @property
    def pending(self) -> int:
        """Decisions whose reward window is still open."""
        ledger = self._following.ledger
        return 0 if ledger is None else ledger.pending

    def _micros(self) -> int:
        return micros(self._clock())

    def _forked(self) -> None:
        """In a child process: whoever held a lock is not here, and may have left things half done."""
        self._process = os.getpid()
        self._requests.forked()
        self._chair.desk.forked()
        self._following.forked()
        if self._teaching is not None:
            self._teaching.forked()
        self._books.tear()

    def _meta(self, desk: Desk, version: str) -> dict[str, Any]:
        layout = desk.plan.layout
        remembered = {"remembered": layout.packing(POLICIES)} if desk.recalls else {}
        return {
            **remembered,
            "schema": _SCHEMA,
            "agent": self._name,
            "policy": version,
            "reasons": [desk.reason_codes[guardrail] for guardrail in desk.plan.guardrails],
            "actions": list(desk.plan.catalogue.ids),
            "features": list(self.schema.names),
            "seed": self._seed,
            "layout": layout.fingerprint,
            **self._standing,
        }

    def decide(
        self,
        subject: str,
        context: Mapping[str, object] | None = None,
        *,
        request_id: str | None = None,
        slots: int = 1,
        now: datetime | None = None,
    ) -> Decision:
        """Decide for one subject: ``decide_many`` with one row.

        Args:
            subject: Opaque id, 1 to 512 bytes of UTF-8.
            context: Feature values known to the caller.
            request_id: Asked again with the same id, the first answer is returned; the last 131,072 are
                remembered.
            slots: Actions to choose.
            now: The time; the agent's clock by default.

        Raises:
            InvalidSubjectError: The id cannot be stored.
            InvalidTimeError: ``now`` has no zone, or lies outside the years 2 to 9997.
            UnknownFeatureError: The context names something no feature declares.
            LogError: The log failed, so the decision does not stand.
        """
        if context is not None and not isinstance(context, Mapping):
            raise InvalidContextError(
                f"context must be a mapping of feature names to values, got {masked(context)}",
                value=masked(context),
            )
        columns = None if context is None else {name: [value] for name, value in context.items()}
        requests = None if request_id is None else [request_id]
        return self.decide_many([subject], columns, request_ids=requests, slots=slots, now=now)[0]

    def decide_many(
        self,
        subjects: Sequence[str],
        context: Mapping[str, Any] | None = None,  # columns: lists, arrays or Coded
        *,
        request_ids: Sequence[str] | None = None,
        slots: int = 1,
        now: datetime | None = None,
    ) -> DecisionBatch:
        """Decide for many subjects at once; a subject may appear more than once.

        Args:
            subjects: n opaque ids.
            context: Columns of n values by feature name.
            request_ids: n ids; a row whose id was seen before for its subject returns the first answer.
            slots: Actions to choose for each.
            now: The time; the agent's clock by default.

        Raises:
            InvalidSubjectError: An id cannot be stored; nothing was decided.
            InvalidContextError: A column has another length.
            InvalidTimeError: ``now`` has no zone, or lies outside the years 2 to 9997.
            UnknownFeatureError: The context names something no feature declares.
            LogError: The log failed, so the decisions do not stand.
        """
        if os.getpid() != self._process:
            self._forked()
        subjects = checked_subjects(subjects)
        at = checked_time(self._clock() if now is None else now)
        if isinstance(slots, bool) or not isinstance(slots, int) or not 1 <= slots <= 100:
            raise ConfigurationError(f"slots must be an integer from 1 to 100, got {slots!r}", value=slots)
        if context is not None and not isinstance(context, Mapping):
            raise InvalidContextError(
                f"context must be a mapping of names to columns, got {masked(context)}", value=masked(context)
            )
        if request_ids is None:
            return self._decide_anew(subjects, context or {}, slots, at)
        requests = checked_requests(request_ids, len(subjects))
        if not requests:
            return self._decide_anew(subjects, context or {}, slots, at)
        from agentic._once import decide_once  # only for requests that name themselves

        def decide(names: list[str], columns: Mapping[str, Any], ids: list[str]) -> DecisionBatch | None:
            return self._decide(names, columns, ids, slots, at)

        return decide_once(self._requests, self._archive, decide, subjects, context or {}, requests, slots)

    def _decide_anew(
        self, subjects: list[str], context: Mapping[str, Any], slots: int, at: int
    ) -> DecisionBatch:
        fresh = self._decide(subjects, context, None, slots, at)
        assert fresh is not None  # noqa: S101 - nobody can have answered what has no name
        return fresh

    def _decide(
        self,
        subjects: list[str],
        context: Mapping[str, Any],
        request_ids: list[str] | None,
        slots: int,
        at: int,
    ) -> DecisionBatch | None:
        began = time.perf_counter_ns()
        tickets = None if request_ids is None else _noise.text_keys(request_ids) | _NAMED
        values, protected = self._chair.desk.gather(subjects, context, at)
        with self._books.deciding():
            if request_ids is not None and self._requests.any_known(subjects, request_ids):
                return None  # another process answered meanwhile
            self._following.mark_now_and_then()
            published, level = self._chair.published, self._following.level
            leave = functools.partial(self._following.leave, level)
            columns, settled = published.desk.decide(
                published.policy, subjects, values, protected, tickets, slots, at, began, leave=leave
            )
            if request_ids is not None and isinstance(self._books, SharedBooks):
                columns["request"] = texts(request_ids)
            for column in columns.values():
                column.flags.writeable = False
            meta = self._current_meta(published)
            if level in (APPROVE_EACH, SUGGEST_ONLY):
                meta = {**meta, "autonomy": level}
            block = Block("decision", columns, meta)
            first = self._append(block, settled, at).receipt.first
        return batch_of(block, first, self.plan.catalogue)

    def _decide_by_hand(self, found: DecisionBatch, column: int, at: int) -> Decision:
        """Decide what a person chose for the subject of a logged decision, under all rules."""
        began, published = time.perf_counter_ns(), self._chair.published
        values = Values(np.asfortranarray(found.columns["values"]), found.columns["status"].copy())
        leave = attrs.evolve(self._following.leave(self._following.level), settles=True, chosen=column)
        columns, settled = published.desk.decide(
            published.policy, [found[0].subject], values, None, None, 1, at, began, leave=lambda: leave
        )
        block = Block("decision", columns, self._current_meta(published))
        if columns["action"][0, 0] != column:
            self._chair.desk.take_back(settled, at)
            why = batch_of(block, 0, self.plan.catalogue)[0].reasons
            struck = sorted(code for code, ids in why.items() if self.plan.catalogue.ids[column] in ids)
            raise ReleaseError(
                f"the rules do not allow action {self.plan.catalogue.ids[column]!r}: {', '.join(struck)}",
                missing=tuple(struck),
            )
        first = self._append(block, settled, at).receipt.first
        return batch_of(block, first, self.plan.catalogue)[0]

    def _current_meta(self, published: Published) -> dict[str, Any]:
        codes = list(published.desk.reason_codes.values())
        if published.meta["reasons"] != codes:
            # A guardrail told its code for the first time. What was logged keeps the meta it has.
            published.meta = {**published.meta, "reasons": codes}
        return published.meta

    def _append(
        self, block: Block, undo: Sequence[Settled] = (), at: int = 0, *, otherwise: str = "do not stand"
    ) -> Entry:
        """Log the block; where that fails, take back what was settled and stop."""
        try:
            return self._books.append(block)
        except BaseException as error:
            if not self._atomic:
                self._chair.desk.take_back(undo, at)
            if not isinstance(error, Exception):
                raise
            raise LogError(
                f"the log refused {len(block)} {block.kind} records ({reason(error)}): they {otherwise}, ask"
                " again"
            ) from error

    def tell(self, subject: str, *facts: Fact, now: datetime | None = None) -> None:
        """Take note of facts about a subject: consent, time zone, suppression.

        When the call returns, the next decision knows. Facts are logged.

        Raises:
            InvalidSubjectError: The id cannot be stored.
            ConfigurationError: No guardrail of this agent listens to such a fact.
            StoreError: The store kept changing or failed. What allows contact was not noted; what stops it
                may have been for some of many subjects.
            LogError: The log failed; likewise.
        """
        if not facts:
            raise ConfigurationError(
                "tell needs at least one fact, got none: tell(subject, ConsentGranted(...))"
            )
        for fact in facts:  # all of them are understood before one of them is noted
            hear(self._chair.desk, self.plan.layout.new(1), fact, 0)
        for fact in facts:
            self.tell_many([subject], fact, now=now)

    def tell_many(self, subjects: Sequence[str], fact: Fact, *, now: datetime | None = None) -> None:
        """Take note of one fact about many subjects; raises as ``tell`` does."""
        from agentic.privacy import kind_of, text_of

        if os.getpid() != self._process:
            self._forked()
        names = list(dict.fromkeys(checked_subjects(subjects)))
        at = micros(self._clock() if now is None else now)
        with self._books.deciding():
            settled = note(self._chair.desk, names, fact, at, atomic=self._atomic)
            said = np.full(len(names), text_of(fact), dtype=object)
            columns = {"subject": texts(names), "at": np.full(len(names), at, np.int64), "fact": said}
            if self._chair.desk.pseudonymous:
                columns["surrogate"] = surrogates_of(self._chair.desk, names)
            # Restrictions are a kind of their own: they are few, and whoever learns must know all of them.
            kind = "restriction" if isinstance(fact, Restricted | RestrictionLifted) else "fact"
            public = ["at", "surrogate"]
            meta = {"schema": _SCHEMA, "agent": self._name, "fact": kind_of(fact), "public": public}
            # What stops contact stays, logged or not: the safe side. What allows it needs its record.
            block = Block(kind, columns, meta)
            if isinstance(fact, STOPS) and not self._atomic:
                self._append(block, otherwise="hold all the same but are not on record")
            else:
                self._append(block, settled, at)

    def record(
        self,
        decision_id: str,
        outcome: str,
        value: float = 1.0,
        *,
        slot: int = 0,
        at: datetime | None = None,
        event_id: str | None = None,
    ) -> Recorded:
        """Record what came of a decision.

        Args:
            decision_id: ``Decision.id``.
            outcome: Name of a goal, or ``"exposed"``.
            value: Multiplies the goal's weight: an amount, a count; finite.
            slot: Which choice of a slate it belongs to.
            at: When it happened; the agent's clock by default.
            event_id: The same event twice counts once. By default a goal counts once for a decision.

        Returns:
            What was made of it: counted, duplicate, late, early, closed.

        Raises:
            UnknownDecisionError: No such decision in this agent's log.
            UnknownGoalError: No goal counts this outcome.
            InvalidOutcomeError: The value is not a finite number, or the slot does not exist.
        """
        values = None if isinstance(value, float) and value == 1.0 else [value]
        events = None if event_id is None else [event_id]
        return self.record_many(
            [decision_id], [outcome], values, slots=[slot], at=None if at is None else [at], event_ids=events
        )[0]

    def record_many(
        self,
        decision_ids: Sequence[str],
        outcomes: Sequence[str] | str,
        values: Sequence[float] | NDArray[np.float64] | None = None,
        *,
        slots: Sequence[int] | None = None,
        at: Sequence[datetime] | datetime | None = None,
        event_ids: Sequence[str] | None = None,
    ) -> list[Recorded]:
        """Record many outcomes; raises as ``record`` does, and then nothing is recorded.

        Args:
            decision_ids: m ids.
            outcomes: m names, or one name for all.
            values: m numbers; 1 by default.
            slots: m slots; 0 by default.
            at: m times, or one for all; the agent's clock by default.
            event_ids: m ids.
        """
        if self._goals is None:
            raise UnknownGoalError(
                f"agent {self._name!r} has no goals, so no outcome counts: pass goals=Goals(...)"
            )
        if os.getpid() != self._process:
            self._forked()
        clock = micros(self._clock()) if at is None else 0
        columns = checked_outcomes(
            self._goals,
            decision_ids,
            outcomes,
            values,
            slots=slots,
            at=clock if at is None else at,
            event_ids=event_ids,
        )
        tags, positions = read_ids(decision_ids)
        columns["decision"] = positions
        names = list(self._goals.names)
        block = Block("outcome", columns, {"schema": _SCHEMA, "agent": self._name, "goals": names})
        with self._books.deciding():
            self._archive.check(decision_ids, tags, positions, columns["slot"])
            entry = self._append(block)
        return [] if entry.heard is None else [Recorded(status) for status in entry.heard.tolist()]

    def learn(self, *, now: datetime | None = None) -> Learned:
        """Close the rewards that are final, learn from them, and publish the next policy.

        Neither the holdout nor protected subjects are learned from. Rewards are logged as they close. What
        a policy remembers of subjects is written to their records before the policy is published, each
        reward once as long as one agent learns for these subjects at a time; a record that was deleted and
        not made anew gets none.

        Raises:
            LearningError: The policy cannot learn from such rewards; it stays in charge. They are offered
                again when somebody assigns another policy.
            StoreError: The store failed while a policy remembered. Nothing is lost or counted twice: what
                was not learned or not written yet is the next time ``learn`` is called. The same holds for
                whatever else a policy raises.
        """
        if self._teaching is None:
            raise UnknownGoalError(
                f"agent {self._name!r} has no goals to learn from: pass goals=Goals({{...}}, window=...)"
            )
        if os.getpid() != self._process:
            self._forked()
        learned = self._teaching.learn(micros(self._clock() if now is None else now))
        self._following.mark(OFTEN)
        return learned

    @property
    def privacy(self) -> Privacy:
        """The desk for what people may ask: consent, suppression, access, erasure, retention."""
        from agentic._privacy import Privacy

        return Privacy(
            desk=lambda: self._chair.desk,
            log=self._log,
            archive=self._archive,
            tell=self.tell_many,
            append=lambda block: self._append(block, otherwise="are not on record"),
            writing=self._books.writing,
            explain=self.explain,
            goals=self._goals,
            clock=self._clock,
            needed=self._following.needed,
            unlearn=self._chair.unlearn,
        )

    def relearn(self) -> Relearned:
        """Learn every version in the log once more: what the policy knows follows from the log, or it shows.

        Needs a log that tells who was in charge, as that of ``Agent.open`` does; others name no version.

        Raises:
            UnknownGoalError: The agent has no goals.
        """
        if self._teaching is None:
            raise UnknownGoalError(f"agent {self._name!r} has no goals, so nothing was learned")
        return self._teaching.relearn()

    def explain(self, decision_id: str) -> Explanation:
        """Say why a decision came out as it did; ``str()`` of it is for people.

        Raises:
            UnknownDecisionError: No such decision in this agent's log.
        """
        from agentic._explaining import explain_row

        found = self._archive.named(decision_id)
        policy = self._versions.get(found.meta(0)["policy"])
        return explain_row(self.plan, self.schema, policy, found)

    def checkpoint(self, *signers: Signer, origin: str | None = None) -> str:
        """Have keys sign the log as it is now; give what is returned to who is to believe it later.

        Args:
            signers: At least one.
            origin: The log's own name, such as ``"shop.example/win-back"``; given once, before its first
                checkpoint, else made up.

        Raises:
            ConfigurationError: The log is in memory.
            ProofError: There is no signer, nothing to sign, or the log has another name.
        """
        return self._archive.checkpoint(signers, self._micros(), origin)

    def evidence(self, decision_id: str) -> provenance.Evidence:
        """Prove a decision to who does not trust you; its ``to_json()`` is the audit bundle.

        Raises:
            ConfigurationError: The log is in memory.
            UnknownDecisionError: No such decision in this agent's log.
            ProofError: No checkpoint is on it yet, or its records were dropped.
        """
        return self._archive.evidence(decision_id)

    def replay(self, decision_id: str | None = None, *, policy: Policy | None = None) -> Replayed:
        """Decide again from what was logged: one decision, or the whole log.

        Without ``policy`` each decision is recomputed with the policy version that made it, under the
        settings it was made with, and must come out the same; what does not is reported as what it is.
        Guardrails are not asked again: what they struck out is taken from the log.

        With one, the answer says what would have changed, for whom, and, where rewards are final, what that
        would have been worth. What the policy keeps of subjects is as it was logged, and blank where another
        policy decided; the agent's exploration floor holds for it.

        Raises:
            UnknownDecisionError: No such decision in this agent's log.
            EvaluationError: The other policy fails on what was logged.
        """
        from agentic import _replay

        if decision_id is not None:
            batches: Iterator[DecisionBatch] = iter([self._archive.named(decision_id)])
        else:
            batches = self._archive.batches()
        mine = self._chair.published.meta
        if policy is None:
            named, versions = decision_id is not None, self._versions
            return _replay.replay_rows(self.plan, self.schema, versions, mine, batches, by_subject=named)
        other = bind(checked(policy), self.plan.space)
        plan, archive = remembering(self.plan, other), self._archive if decision_id is None else None
        published = self.policy_version
        return _replay.replay_otherwise(plan, self.schema, mine, batches, other, archive, published)

    def evaluate(
        self,
        policies: Policy | Mapping[str, Policy],
        *,
        by: By | Sequence[By] = (),
        rows: Joined | None = None,
        estimator: Estimator | None = None,
        arms: Sequence[str] = ("policy", "random_control"),
        level: float = 0.95,
        reward_range: tuple[float, float] | None = None,
        interval: Interval | None = None,
        progress: Progress | None = None,
    ) -> Comparison:
        """Say what other policies would have earned per decision by this agent's log, beside what was earned.

        The answer is a table when printed; ``answer["name"].estimate`` has a policy's figures, the reasons to
        doubt them included, and ``answer.by("tier")`` those by segment. Where the log cannot say, the table
        says ``insufficient support``. Nothing is decided, learned or logged by it.

        Args:
            policies: The other policy, or several by name.
            by: What to divide decisions by: the name of a feature, ``"arm"``, ``"policy_version"``,
                ``evaluation.Bins`` of a number, or several of these.
            rows: By which decisions; by default all that have a final reward.
            estimator: How rows contribute; doubly robust by default.
            arms: Whose decisions count. The holdout's say nothing about sending.
            level: Share of samples in which the bounds are to hold, in (0, 1).
            reward_range: Lowest and highest reward there can be.
            interval: How sums become bounds: by default ``EmpiricalLikelihood`` where ``reward_range`` is
                given, and ``Normal`` otherwise.
            progress: Told how far this is: what is done, how far it has come, how far there is to go.

        Raises:
            EvaluationError: No decision of these arms has a final reward, a policy fails, or an argument is
                out of range.
            ConfigurationError: A policy does not fit the agent.

        .. versionadded:: 0.1
        """
        from agentic import evaluation

        return evaluation.compare(
            self,
            policies,
            by=by,
            rows=rows,
            estimator=evaluation.DR() if estimator is None else estimator,
            arms=arms,
            level=level,
            reward_range=reward_range,
            interval=interval,
            progress=progress,
        )

    def as_test(self, decision_id: str, factory: str, *, subject: str | None = None) -> str:
        """Write a decision as a test for pytest: what was known must give what was logged.

        The test makes the agent with ``factory`` and asks the policy that is in charge of it then, so it
        fails when the policy, or whatever else the decision hangs on, is changed.

        Args:
            decision_id: ``Decision.id``.
            factory: Where the application makes its agent, ``"package.module:function"``; called without
                arguments.
            subject: Whom the test speaks of; by default a made-up id, with a ticket that draws the same.

        Raises:
            UnknownDecisionError: No such decision in this agent's log.
            EvaluationError: Its personal part was erased, or the policy goes by the subject's key, so that
                nobody else can stand in for the subject.
            ConfigurationError: The factory is not written like that.
        """
        from agentic._testcase import write_test

        found = self._archive.named(decision_id)
        return write_test(self.plan, self.schema, self.policy, found, factory, subject)


def _shares(log: ProvenanceLog, store: StateStore) -> bool:
    """Whether what is written to both stands or falls together."""
    database = database_of(log)
    return database is not None and database is database_of(store)


def _shelf(log: ProvenanceLog) -> Shelf | None:
    database = database_of(log)
    if database is None:
        return None
    from agentic._database import Database  # only with a database
    from agentic.state import Shelf

    return Shelf(database) if isinstance(database, Database) else None
