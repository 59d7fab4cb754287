"""What do people leave to an agent, and what do they do with what it decides?

An agent decides by itself, or each message waits for somebody's yes, or what it decides is a suggestion and
nothing more, or it is stopped and nobody gets anything. Whatever people do is an event in the agent's log,
which every thread and process hears before its next decision.

When somebody says yes the rules are asked once more, by what is known then. Those that count contacts have
counted this one when it was decided, so they are left out. A no, or another choice, takes the decision out of
what is learned from and judged by. What a person chose is a decision of its own, under all rules, in the arm
``by_hand``; nothing is learned from it either: nobody knows how likely it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Final

import attrs
import numpy as np

from agentic._archive import Archive
from agentic._deciding import Desk
from agentic._flow import (
    APPROVE_EACH,
    HOLDOUT,
    LEVELS,
    PROTECTED,
    SUGGEST_ONLY,
    UNATTENDED,
    Wave,
    guard,
    lay_out,
)
from agentic._folding import blocks_of
from agentic._records import DecisionBatch, batch_of, reason_bits
from agentic._releases import (
    APPROVED,
    LAPSED,
    LEVEL,
    OVERRIDDEN,
    REJECTED,
    Releases,
    checked_name,
    person,
)
from agentic._stored import load
from agentic.catalogue import Catalogue
from agentic.errors import ReleaseError
from agentic.protocols import Hears, Pooled
from agentic.types import Decision, micros, span

DAY: Final = timedelta(days=1)
_SAYS: Final[Mapping[str, str]] = {
    APPROVED: "approved",
    REJECTED: "rejected",
    OVERRIDDEN: "overridden",
    LAPSED: "lapsed",
}


@attrs.define(eq=False)
class Oversight:
    """The desk of those who watch over an agent: levels, a queue, and a switch that stops it.

    Reached by ``agent.oversight``. Times are the agent's clock's unless ``now`` is given. Names and reasons
    stay in the log for good, also after the subject was erased: they are no place for what tells who it is.

    Raises:
        ReleaseError: Each of the methods, where somebody asks for what may not be done.
        LogError: Each, where the log fails: then nothing was done.
    """

    _releases: Releases
    _desk: Callable[[], Desk]
    _archive: Archive
    _by_hand: Callable[[DecisionBatch, int, int], Decision]
    _level: Callable[[], str]
    _halting: Callable[[], AbstractContextManager[None]]
    _went_on: Callable[[], None]
    _clock: Callable[[], datetime]
    _waiting: dict[int, int] = attrs.field(factory=dict, init=False)  # log number, and when it was decided
    _looked: int = attrs.field(default=0, init=False)

    def __repr__(self) -> str:
        return f"Oversight(level={self.level!r})"

    @property
    def level(self) -> str:
        """How much is left to the agent, one of ``release.LEVELS``."""
        self._releases.refresh()
        return self._level()

    def set(
        self,
        level: str,
        /,
        *,
        by: str,
        reason: str,
        approved_by: str | None = None,
        now: datetime | None = None,
    ) -> None:
        """Leave more or less to the agent, from the next decision on, in every thread and process.

        Args:
            level: ``"autonomous"``: what is decided is done. ``"approve_each"``: what sends waits for
                ``approve``. ``"suggest_only"``: nothing is done, and nothing counts. ``"stopped"``: nobody
                gets anything.
            by: Who says so.
            reason: Why; needed.
            approved_by: Somebody else, who agrees. Where releases are governed, nobody gives an agent more
                room alone; anybody takes it back.
            now: When.
        """
        if level not in LEVELS:
            raise ReleaseError(
                f"there is no level {level!r:.80}: choose one of {', '.join(LEVELS)}",
                value=level,
                expected=LEVELS,
            )
        who, facts = checked_name(by, "by"), {"level": level, "reason": _reason(reason)}
        with self._releases.writing() as state:
            now_at = self._level()
            more = LEVELS.index(level) > LEVELS.index(now_at)
            if approved_by is not None:
                facts["approved_by"] = checked_name(approved_by, "approved_by")
            if more and state.governed:
                if approved_by is None or person(approved_by) == person(who):
                    raise ReleaseError(
                        f"going from {now_at} to {level} leaves more to the agent, and its"
                        " releases are governed: give approved_by, somebody else than `by`",
                        missing=("approval by a second person",),
                    )
                if not state.requirements.may_approve(approved_by):
                    raise ReleaseError(
                        "approved_by is not among those who may approve: see registry.requirements.approvers",
                        missing=("approval by one of the approvers",),
                    )
            self._releases.append(LEVEL, facts, by=who, at=self._at(now))
        self._went_on()

    def stop(self, *, by: str, reason: str, now: datetime | None = None) -> None:
        """Let nobody get anything from now on, in every thread and process, whatever the rules.

        In this process at once, also for what is left of a batch that is being decided; in others before
        their next decision. It holds after a restart, until ``set`` says otherwise. Where it cannot be
        logged this raises, and it holds in this process until ``set`` could log a level.
        """
        with self._halting():
            self.set(LEVELS[0], by=by, reason=reason, now=now)

    def waiting(self, *, within: timedelta = DAY, now: datetime | None = None) -> tuple[Decision, ...]:
        """The decisions that wait for somebody's yes, the oldest first.

        Args:
            within: How old they may be; what is older waits in vain.
            now: When.
        """
        self._look()
        oldest = self._at(now) - span(within, "within")
        young = sorted(position for position, at in self._waiting.items() if at >= oldest)
        return tuple(decision for batch in self._archive.at(young) for decision in batch)

    def status(self, decision_id: str, /) -> str:
        """What became of a decision.

        Returns:
            ``"released"``: it was done as it was decided. ``"waiting"``, ``"approved"``, ``"rejected"``,
            ``"overridden"``; ``"lapsed"``: the rules had changed when somebody said yes. ``"suggested"``:
            nothing was done. ``"nothing"``: nothing is sent, so nothing waits.

        Raises:
            UnknownDecisionError: No such decision.
        """
        return self._status(self._archive.named(decision_id))

    def approve(
        self,
        decision_id: str,
        /,
        *,
        by: str,
        reason: str = "",
        within: timedelta = DAY,
        now: datetime | None = None,
    ) -> Decision:
        """Say yes to a decision that waits, if the rules still do.

        Args:
            decision_id: Which.
            by: Who says yes.
            reason: Why.
            within: How old it may be.
            now: When; rules about time judge a delivery from then on.

        Returns:
            The decision: it may be sent now.

        Raises:
            UnknownDecisionError: No such decision.
            ReleaseError: It does not wait, or the rules do not allow it any more.
        """
        found, at = self._archive.named(decision_id), self._at(now)
        facts: dict[str, Any] = {"reason": _reason(reason, empty=True)}
        with self._releases.writing():
            self._check(found, "waiting")
            age = at - int(found.columns["at"][0])
            struck = ["EXPIRED"] if age > span(within, "within") else self._struck(found, at)
            what = LAPSED if struck else APPROVED
            if struck:
                facts["struck"] = struck
            self._append(what, found, facts, by, at)
        if struck:
            raise ReleaseError(
                f"decision {decision_id} may not be sent any more: {', '.join(struck)}; decide again",
                missing=tuple(struck),
            )
        return found[0]

    def reject(self, decision_id: str, /, *, by: str, reason: str, now: datetime | None = None) -> None:
        """Say no to a decision that waits: it is not sent, and nothing is learned from it.

        It stays counted in caps, which is the safe side.

        Raises:
            UnknownDecisionError: No such decision.
            ReleaseError: It does not wait.
        """
        found, facts = self._archive.named(decision_id), {"reason": _reason(reason)}
        with self._releases.writing():
            self._check(found, "waiting")
            self._append(REJECTED, found, facts, by, self._at(now))

    def override(
        self, decision_id: str, action: str, /, *, by: str, reason: str, now: datetime | None = None
    ) -> Decision:
        """Choose another action for the subject of a decision, under all rules, as they are now.

        What was decided is set aside: nothing is learned from it, and it does not count in judging policies.
        If it was sent already, it stays sent.

        Args:
            decision_id: Which.
            action: Id of the action in its place; ``"no_action"`` for none.
            by: Who says so.
            reason: Why; needed.
            now: When.

        Returns:
            The decision in its place; its arm is ``"by_hand"``.

        Raises:
            UnknownDecisionError: No such decision.
            ReleaseError: The rules do not allow it, there is no such action, or somebody was faster.
        """
        found, at = self._archive.named(decision_id), self._at(now)
        facts: dict[str, Any] = {"reason": _reason(reason)}
        column = _column(self._desk().plan.catalogue, action)
        arm = int(found.columns["arm"][0])
        if arm in (HOLDOUT, PROTECTED) or not found.columns["key"][0]:
            raise ReleaseError(
                f"decision {decision_id} is about a subject who is held out, protected or forgotten: what"
                " such a subject gets is not chosen by hand",
                value=decision_id,
            )
        checked_name(by, "by")  # before anything is decided
        with self._releases.writing():
            self._check(found, "waiting", "released", "approved", "suggested", "nothing")
            decision = self._by_hand(found, column, at)
            facts |= {"instead": decision.id, "action": action}
            self._append(OVERRIDDEN, found, facts, by, at)
        return decision

    def _at(self, now: datetime | None) -> int:
        return micros(self._clock() if now is None else now)

    def _append(self, what: str, found: DecisionBatch, facts: dict[str, Any], by: str, at: int) -> None:
        position = int(found.positions[0])
        whose = {"position": position, "slots": int(found.columns["action"].shape[1])}
        self._releases.append(what, facts | whose, by=checked_name(by, "by"), at=at)
        self._waiting.pop(position, None)

    def _check(self, found: DecisionBatch, *may: str) -> None:
        status = self._status(found)
        if status not in may:
            raise ReleaseError(
                f"decision {found[0].id} is {status}, not {' or '.join(may)}: there is nothing to say to it",
                value=status,
                expected=may,
            )

    def _status(self, found: DecisionBatch) -> str:
        self._releases.refresh()
        position = int(found.positions[0])
        for event in reversed(self._releases.events("oversight.")):
            if event.what in _SAYS and event.facts.get("position") == position:
                return _SAYS[event.what]
        if not _sends(found).any():
            return "nothing"
        level = found.meta(0).get("autonomy", UNATTENDED)
        return {SUGGEST_ONLY: "suggested", APPROVE_EACH: "waiting"}.get(level, "released")

    def _look(self) -> None:
        """Take note of decisions that wait, as far as they were not looked at before."""
        self._releases.refresh()
        for receipt, block in blocks_of(self._archive.log, "decision", after=self._looked):
            self._looked = receipt.first + receipt.count
            if self._archive.is_mine(block) and block.meta.get("autonomy") == APPROVE_EACH:
                found = batch_of(block, receipt.first, self._archive.catalogue)
                rows = _sends(found).any(axis=1).nonzero()[0]
                at = block.columns["at"][rows].tolist()
                self._waiting |= dict(zip((rows + receipt.first).tolist(), at, strict=True))
        for event in self._releases.events("oversight."):
            if event.what in _SAYS:
                self._waiting.pop(event.facts.get("position", -1), None)

    def _struck(self, found: DecisionBatch, at: int) -> list[str]:
        """Why the rules would not let these choices through now; nothing if they would."""
        if self._releases.level == LEVELS[0]:
            return ["STOPPED"]
        if not found.columns["key"][0]:
            return ["ERASED"]
        return struck(self._desk(), found, at)


def struck(desk: Desk, found: DecisionBatch, at: int, /) -> list[str]:
    """Why rules that do not count contacts deny what was decided, by what is known of the subject now.

    Args:
        desk: Where decisions are made.
        found: One decision.
        at: Microseconds since 1970: from when on it would be delivered.
    """
    plan, columns = desk.plan, found.columns
    names = [name for name, rule in plan.guardrails.items() if _is_asked(rule, name in plan.stateful)]
    bits = dict(zip(plan.guardrails, plan.bits, strict=True))
    plan = attrs.evolve(
        plan,
        guardrails={name: plan.guardrails[name] for name in names},
        bits=[bits[name] for name in names],
        stateful={name: rule for name, rule in plan.stateful.items() if name in names},
    )
    try:
        records, _ = load(desk.store, [found[0].subject], plan.layout)
    except Exception:  # noqa: BLE001 - a store is a plugin: without state nothing is sent
        return ["STATE_UNAVAILABLE"]
    matrix = np.asfortranarray(columns["values"])
    wave = Wave(
        keys=columns["key"],
        ticket=columns["ticket"],
        now=np.array([at], np.int64),
        zone=columns["zone"],
        X=desk.assembly.schema.encode(matrix),
        columns=desk.assembly.schema.columns(matrix),
        rows=np.array(records),
        available={},
        slots=columns["action"].shape[1],
    )
    batch, denied = lay_out(plan, wave)
    reasons: dict[str, str] = {}
    own = {name: plan.layout.part(wave.rows, name) for name in plan.stateful}
    guard(plan, batch, denied, wave, own, [], reasons)
    seen = int(np.bitwise_or.reduce(denied[0, columns["action"][0]]))
    codes = [reasons.get(name, name.upper()) for name in desk.plan.guardrails]
    return [code for code, mask, value in reason_bits(codes) if seen & mask == value]


def _is_asked(rule: Any, keeps: bool) -> bool:  # Guardrail
    """Whether a guardrail can be asked again about what it has settled: it hears facts, or keeps nothing."""
    return not isinstance(rule, Pooled) and (not keeps or isinstance(rule, Hears))


def _sends(found: DecisionBatch) -> Any:  # NDArray[np.bool_], (n, s)
    return found.catalogue.sends[found.columns["action"]]


def _column(catalogue: Catalogue, action: object) -> int:
    if action not in catalogue.ids:
        raise ReleaseError(
            f"there is no action {action!r:.80}: there are {', '.join(catalogue.ids)}",
            value=action,
            expected=tuple(catalogue.ids),
        )
    return catalogue.ids.index(str(action))


def _reason(reason: object, *, empty: bool = False) -> str:
    if not isinstance(reason, str) or len(reason) > 2000 or not (empty or reason.strip()):
        raise ReleaseError(
            "reason must be a text of at most 2,000 characters that says why", value=type(reason).__name__
        )
    return reason
