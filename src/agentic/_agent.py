"""The agent: what an application holds. I/O at both ends of the walk, nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic import _noise, policies
from agentic._archive import Archive
from agentic._codec import fingerprint
from agentic._deciding import Desk, Settled
from agentic._flow import POLICIES, Plan
from agentic._inputs import checked_outcomes, checked_requests, checked_subjects, checked_time, rows_of
from agentic._learning import Lesson, lessons_of
from agentic._logger import logger
from agentic._plan import assemble, bind, checked, fields_of, listed, part, remembering
from agentic._records import DecisionBatch, batch_of, read_ids
from agentic._remembering import Remembering
from agentic._requests import Answer, Request, Requests
from agentic._telling import STOPS, hear, note
from agentic.arrays import Block, Layout, Receipt
from agentic.errors import (
    ConfigurationError,
    InvalidContextError,
    LayoutError,
    LearningError,
    LogError,
    UnknownGoalError,
)
from agentic.features import Schema
from agentic.protocols import (
    Feature,
    FeatureProvider,
    Guardrail,
    Learner,
    Policy,
    ProvenanceLog,
    StateStore,
)
from agentic.provenance import MemoryLog
from agentic.rewards import Closed, Goals, Ledger, Recorded
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
    from agentic._privacy import Privacy
    from agentic._replay import Explanation, Replayed
    from agentic.privacy import Restrictions

_VERSIONS: Final = 256
_SCHEMA: Final = 1
# Tickets of named requests keep clear of counted decisions.
_NAMED: Final = np.uint64(1 << 63)


@attrs.define(eq=False)
class _Published:
    """A policy in charge, with what the log says of it."""

    policy: Policy
    version: str
    meta: dict[str, Any]  # JSON-compatible
    desk: Desk
    remembers: bool


@attrs.frozen
class Learned:
    """What one call of ``learn`` did.

    Attributes:
        closed: Rewards that became final.
        used: Of these, the ones the policy learned from; the holdout's are not.
        policy_version: Version in charge afterwards.
        changed: Whether that is another one than before.
    """

    closed: int
    used: int
    policy_version: str
    changed: bool


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
        guardrails: Hard rules, in any order.
        goals: Turn outcomes into rewards; without goals nothing is learned.
        providers: Fetch features the context does not bring; earlier ones win.
        store: Keeps subject records; in memory by default.
        log: Keeps what was decided and what came of it; in memory by default.
        control: Decides for the holdout; nothing is sent by default.
        fallback: Decides where the policy fails; nothing is sent by default.
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
        guardrails: Sequence[Guardrail] = (),
        goals: Goals | None = None,
        providers: Sequence[FeatureProvider] = (),
        store: StateStore | None = None,
        log: ProvenanceLog | None = None,
        control: Policy | None = None,
        fallback: Policy | None = None,
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
        self._assembly = assemble(
            name,
            actions=actions,
            features=features,
            guardrails=guardrails,
            control=policies.Fixed(NO_ACTION) if control is None else control,
            fallback=policies.Fixed(NO_ACTION) if fallback is None else fallback,
            holdout=holdout,
            random_control=random_control,
            floor=exploration_floor,
            seed=seed,
            salt=name if salt is None else salt,
            zone=zone,
        )
        self._goals = goals
        self._store: StateStore = MemoryStore() if store is None else store
        self._log: ProvenanceLog = MemoryLog() if log is None else log
        self._clock = clock
        self._pools = Pools(name, self._assembly.pooled, self._assembly.plan.space, self._store)
        self._ledger = Ledger(goals) if goals is not None else None
        self._desk = Desk(name, self._assembly, self._store, tuple(providers), self._pools)
        self._log_lock = threading.Lock()
        self._archive = Archive(name, self._log, self._assembly.plan.catalogue)
        self._requests = Requests()
        self._learn_lock = threading.Lock()
        self._unlogged: list[Closed] = []
        self._unlearned: list[Closed] = []
        self._offered: list[Closed] = []
        self._remembering = Remembering(self._store)
        self._restrictions: Restrictions | None = None  # made when somebody is restricted
        self._versions: dict[str, Policy] = {}
        self._check_layout(self.plan.layout)
        self._published = self._publish(policies.LinearThompson() if policy is None else policy)

    def __repr__(self) -> str:
        many = len(self.plan.catalogue) - 1
        return f"Agent({self._name!r}, {many} actions, policy {self.policy.name!r} {self.policy_version})"

    def _check_layout(self, layout: Layout) -> None:
        """Stored records of another layout move now, or are refused now, and not at the first decision."""
        try:
            self._store.load([], layout)
        except LayoutError:
            raise
        except Exception:
            logger.warning("agent %s: the store cannot be read yet", self._name, exc_info=True)

    @property
    def name(self) -> str:
        """Names the use case."""
        return self._name

    @property
    def plan(self) -> Plan:
        """The agent as the flow sees it: catalogue, features, guardrails."""
        return self._desk.plan

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
        return self._published.policy

    @policy.setter
    def policy(self, policy: Policy) -> None:
        with self._learn_lock:  # what is being learned meanwhile must not replace it
            self._published = self._publish(policy)
            # What the one before could not learn from, this one may.
            self._offered, self._unlearned = [*self._offered, *self._unlearned], []

    @property
    def policy_version(self) -> str:
        """Hash of the content of the policy in charge."""
        return self._published.version

    @property
    def failures(self) -> dict[str, int]:
        """How often each plugin raised or answered nonsense and was replaced by something safe."""
        return dict(self._desk.failures)

    @property
    def budgets(self) -> dict[str, float]:
        """What is left in each shared pool, in its unit."""
        return {name: left / 1e6 for name, left in self._pools.left(micros(self._clock())).items()}

    @property
    def pending(self) -> int:
        """Decisions whose reward window is still open."""
        return 0 if self._ledger is None else self._ledger.pending

    def _publish(self, policy: Policy) -> _Published:
        ready = bind(checked(policy), self.plan.space)
        plan, version = remembering(self.plan, ready), fingerprint(ready)
        if plan is not self.plan:
            self._check_layout(plan.layout)
        remembers = bool(plan.remembered) and bool(fields_of(ready))
        # What a stand-in keeps has had its room from the start.
        self._desk = self._desk.serving(plan, recalls=remembers or bool(self._assembly.plan.remembered))
        self._versions.pop(version, None)
        self._versions[version] = ready
        while len(self._versions) > _VERSIONS:
            del self._versions[next(iter(self._versions))]
        return _Published(ready, version, self._meta(version), self._desk, remembers)

    def _meta(self, version: str) -> dict[str, Any]:
        layout = self.plan.layout
        remembered = {"remembered": layout.packing(POLICIES)} if self._desk.recalls else {}
        return {
            **remembered,
            "schema": _SCHEMA,
            "agent": self._name,
            "policy": version,
            "reasons": [self._desk.reason_codes[guardrail] for guardrail in self.plan.guardrails],
            "actions": list(self.plan.catalogue.ids),
            "features": list(self.schema.names),
            "seed": self._seed,
            "layout": layout.fingerprint,
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
                f"context must be a mapping of feature names to values, got {context!r}"
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
        subjects = checked_subjects(subjects)
        at = checked_time(self._clock() if now is None else now)
        if isinstance(slots, bool) or not isinstance(slots, int) or not 1 <= slots <= 100:
            raise ConfigurationError(f"slots must be an integer from 1 to 100, got {slots!r}", value=slots)
        if context is not None and not isinstance(context, Mapping):
            raise InvalidContextError(f"context must be a mapping of names to columns, got {context!r}")
        if request_ids is None:
            return self._decide(subjects, context or {}, None, slots, at)
        requests = checked_requests(request_ids, len(subjects))
        if not requests:
            return self._decide(subjects, context or {}, None, slots, at)
        return self._decide_once(subjects, context or {}, requests, slots, at)

    def _decide_once(
        self, subjects: list[str], context: Mapping[str, Any], request_ids: Sequence[str], slots: int, at: int
    ) -> DecisionBatch:
        """Decide the requests that are new and find the answers of the others."""
        asked = list(zip(subjects, request_ids, strict=True))
        first: dict[Request, int] = {}
        for row, request in enumerate(asked):
            first.setdefault(request, row)
        answers: dict[Request, Answer] = {}
        while len(answers) < len(first):
            mine, known, going = self._requests.reserve((r for r in first if r not in answers), slots)
            new: dict[Request, Answer] = {}
            fresh: DecisionBatch | None = None
            try:
                if mine:
                    rows = [first[request] for request in mine]
                    columns = {name: rows_of(column, rows) for name, column in context.items()}
                    names, ids = [name for name, _ in mine], [request_id for _, request_id in mine]
                    fresh = self._decide(names, columns, ids, slots, at)
                    places = fresh.positions.tolist()
                    new = {r: Answer(place, slots) for r, place in zip(mine, places, strict=True)}
            finally:
                self._requests.settle(mine, new)
            if fresh is not None and len(mine) == len(asked):
                return fresh
            answers |= known | new
            for request, work in going.items():
                work.over.wait()
                if work.answer is not None:  # where it failed for others, it is ours to take on
                    answers[request] = work.answer
        return self._archive.fetch([answers[request].position for request in asked])

    def _decide(
        self,
        subjects: list[str],
        context: Mapping[str, Any],
        request_ids: list[str] | None,
        slots: int,
        at: int,
    ) -> DecisionBatch:
        published = self._published
        tickets = None if request_ids is None else _noise.text_keys(request_ids) | _NAMED
        columns, settled = published.desk.decide(published.policy, subjects, context, tickets, slots, at)
        for column in columns.values():
            column.flags.writeable = False
        block = Block("decision", columns, self._current_meta(published))
        with self._log_lock:
            first = self._append(block, settled, at).first
            if self._ledger is not None and len(block):
                self._ledger.open(first, columns["at"], columns["action"] != self.plan.catalogue.idle)
                self._archive.note(first, len(block))
        return batch_of(block, first, self.plan.catalogue)

    def _current_meta(self, published: _Published) -> dict[str, Any]:
        codes = list(published.desk.reason_codes.values())
        if published.meta["reasons"] != codes:
            # A guardrail told its code for the first time. What was logged keeps the meta it has.
            published.meta = {**published.meta, "reasons": codes}
        return published.meta

    def _append(
        self, block: Block, undo: Sequence[Settled] = (), at: int = 0, *, otherwise: str = "do not stand"
    ) -> Receipt:
        """Log the block; where that fails, take back what was settled and stop."""
        try:
            return self._log.append(block)
        except BaseException as error:
            self._desk.take_back(undo, at)
            if not isinstance(error, Exception):
                raise
            raise LogError(
                f"the log refused {len(block)} {block.kind} records ({error}): they {otherwise}, ask again"
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
            hear(self._desk, self.plan.layout.new(1), fact, 0)
        for fact in facts:
            self.tell_many([subject], fact, now=now)

    def tell_many(self, subjects: Sequence[str], fact: Fact, *, now: datetime | None = None) -> None:
        """Take note of one fact about many subjects; raises as ``tell`` does."""
        from agentic.privacy import kind_of, text_of

        names = list(dict.fromkeys(checked_subjects(subjects)))
        at = micros(self._clock() if now is None else now)
        settled = note(self._desk, names, fact, at)
        who: NDArray[Any] = np.empty(len(names), dtype=object)
        who[:] = names
        said = np.full(len(names), text_of(fact), dtype=object)
        columns = {"subject": who, "at": np.full(len(names), at, np.int64), "fact": said}
        meta = {"schema": _SCHEMA, "agent": self._name, "fact": kind_of(fact)}
        # What stops contact stays, logged or not: the safe side. What allows it needs its record.
        block = Block("fact", columns, meta)
        if isinstance(fact, STOPS):
            self._restrict(names, fact)
            self._append(block, otherwise="hold all the same but are not on record")
        else:
            self._append(block, settled, at)
            self._restrict(names, fact)

    def _restrict(self, names: list[str], fact: Fact) -> None:
        """Learn nothing more from subjects who are restricted."""
        if isinstance(fact, Restricted | RestrictionLifted):
            if self._restrictions is None:
                from agentic.privacy import Restrictions

                self._restrictions = Restrictions(self._name)
            self._restrictions.told(names, fact)

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
        if self._ledger is None or self._goals is None:
            raise UnknownGoalError(
                f"agent {self._name!r} has no goals, so no outcome counts: pass goals=Goals(...)"
            )
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
        self._archive.check(decision_ids, tags, positions, columns["slot"])
        columns["decision"] = positions
        block = Block("outcome", columns, {"schema": _SCHEMA, "agent": self._name})
        order = ("decision", "slot", "goal", "value", "at", "event")
        with self._log_lock:  # the ledger hears outcomes in the order of the log
            self._append(block)
            found = self._ledger.record(*(columns[name] for name in order))
        return [Recorded(status) for status in found.tolist()]

    def learn(self, *, now: datetime | None = None) -> Learned:
        """Close the rewards that are final, learn from them, and publish the next policy.

        The holdout is never learned from. Rewards are logged as they close. What a policy remembers of
        subjects is written to their records before the policy is published, each reward once as long as one
        agent learns for these subjects at a time; a record that was deleted and not made anew gets none.

        Raises:
            LearningError: The policy cannot learn from such rewards; it stays in charge. They are offered
                again when somebody assigns another policy.
            StoreError: The store failed while a policy remembered. Nothing is lost or counted twice: what
                was not learned or not written yet is the next time ``learn`` is called. The same holds for
                whatever else a policy raises.
        """
        if self._ledger is None:
            raise UnknownGoalError(
                f"agent {self._name!r} has no goals to learn from: pass goals=Goals({{...}}, window=...)"
            )
        at = micros(self._clock() if now is None else now)
        with self._learn_lock:
            self._remembering.write(self.plan.layout)
            before = self._published
            with self._log_lock:
                closed = _together([*self._unlogged, self._ledger.close(at)])
                # Closed windows do not open again: what the log refuses is offered to it the next time.
                self._unlogged = [closed]
                if len(closed.position):
                    columns = {"decision": closed.position, "slot": closed.slot, "reward": closed.reward}
                    meta = {"schema": _SCHEMA, "agent": self._name, "at": at}
                    self._append(Block("reward", columns, meta))
                self._unlogged = []
            closed, self._offered = _together([*self._offered, closed]), []
            used, policy = 0, before.policy
            if before.remembers:
                used = self._learn_and_remember(before, closed)
            elif isinstance(policy, Learner):
                try:
                    for lesson in self._lessons(closed):
                        policy = policy.learn(lesson.feedback)
                        used += len(lesson.feedback)
                except LearningError:
                    self._unlearned.append(closed)
                    raise
                except BaseException:  # a plugin, the log, Ctrl-C: offered to the next call
                    self._offered.append(closed)
                    raise
            if used and not before.remembers:
                self._published = self._publish(policy)
            return Learned(
                len(closed.position), used, self._published.version, changed=self._published is not before
            )

    def _lessons(self, closed: Closed, *, named: bool = False) -> Iterator[Lesson]:
        where = closed.position, closed.slot, closed.reward
        without = None if self._restrictions is None else self._restrictions.keys
        return lessons_of(self._name, self.plan, self.schema, self._log, *where, named=named, without=without)

    def _learn_and_remember(self, before: _Published, closed: Closed) -> int:
        """Learn lesson by lesson, writing what each says about its subjects; publish what was learned.

        Lessons whose subjects are on record cannot be unlearned: where one fails, those before it stand.
        """
        policy: Any = before.policy  # Learner and Remembers
        used = done = 0
        try:
            for lesson in self._lessons(closed, named=True):
                policy = self._remembering.learn(policy, lesson, self.plan.layout)
                used, done = used + len(lesson.feedback), lesson.done
                self._remembering.write(self.plan.layout)
        except LearningError:
            self._unlearned.append(_rest(closed, done))
            raise
        except BaseException:  # what was not learned is offered to the next call
            self._offered.append(_rest(closed, done))
            raise
        finally:
            if used:
                self._published = self._publish(policy)
        return used

    @property
    def privacy(self) -> Privacy:
        """The desk for what people may ask: consent, suppression, access, erasure, retention."""
        from agentic._privacy import Privacy

        return Privacy(
            desk=lambda: self._desk,
            log=self._log,
            archive=self._archive,
            tell=self.tell_many,
            append=lambda block: self._append(block, otherwise="are not on record"),
            explain=self.explain,
            goals=self._goals,
            clock=self._clock,
        )

    def explain(self, decision_id: str) -> Explanation:
        """Say why a decision came out as it did; ``str()`` of it is for people.

        Raises:
            UnknownDecisionError: No such decision in this agent's log.
        """
        from agentic._replay import explain_row

        found = self._archive.named(decision_id)
        policy = self._versions.get(found.meta(0)["policy"])
        return explain_row(self.plan, self.schema, policy, found)

    def replay(self, decision_id: str | None = None, *, policy: Policy | None = None) -> Replayed:
        """Decide again from what was logged: one decision, or the whole log.

        Without ``policy`` each decision is recomputed with the policy version that made it and must come
        out the same. With one, the answer says what would have changed; what it keeps of subjects is as it
        was logged, and blank where another policy decided.

        Raises:
            UnknownDecisionError: No such decision in this agent's log.
        """
        from agentic._replay import replay_rows

        plan = self.plan
        other = None if policy is None else bind(checked(policy), plan.space)
        if other is not None:
            plan = remembering(plan, other)
        if decision_id is not None:
            batches: Iterator[DecisionBatch] = iter([self._archive.named(decision_id)])
        else:
            batches = self._archive.batches()
        return replay_rows(plan, self.schema, self._versions, batches, other)


def _rest(closed: Closed, done: int) -> Closed:
    """Closed rewards but the first ones."""
    return Closed(closed.position[done:], closed.slot[done:], closed.reward[done:])


def _together(parts: list[Closed]) -> Closed:
    """Closed rewards of several calls, in the order of the log."""
    position = np.concatenate([part.position for part in parts])
    slot = np.concatenate([part.slot for part in parts])
    order = np.lexsort((slot, position))
    reward = np.concatenate([part.reward for part in parts])
    return Closed(position[order], slot[order], reward[order])
