"""How do closed rewards become the next policy, each once, whoever else learns and whatever fails?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import attrs
import numpy as np

from agentic._codec import fingerprint
from agentic._folding import Books
from agentic._learning import Lesson, lessons_of, readable
from agentic._plan import fields_of
from agentic._publishing import Chair, Published
from agentic._remembering import Remembering
from agentic.arrays import I64, U64, Block, Bools
from agentic.errors import LearningError, LogError, reason
from agentic.features import Schema
from agentic.protocols import Learner, Policy, ProvenanceLog
from agentic.rewards import Closed, Ledger


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


@attrs.frozen
class Relearned:
    """What learning once more from the log gave.

    Attributes:
        versions: How many learned versions the log names.
        same: How many of them came out the same, bit for bit.
        missing: How many could not be learned again, because the version before is not kept.
        recalled: How many learned from what records held at the time, which the log does not tell.
        lost: How many do not come out the same, but learned from decisions that the log does not hold any
            more as they were: erased or dropped since, or of features that were declared otherwise.
        differ: The versions that came out otherwise.
    """

    versions: int
    same: int
    missing: int
    recalled: int
    lost: int
    differ: tuple[str, ...]

    @property
    def identical(self) -> bool:
        """Every learned version follows from the log, or could not be checked."""
        return not self.differ


@attrs.frozen(eq=False)
class _Offer:
    """Rewards that are final and that the policy has not learned from.

    Attributes:
        end: Log number after the block that tells them.
        closed: The rewards.
    """

    end: int
    closed: Closed


class Teaching:
    """Closes rewards, logs them, and has the policy in charge learn from them.

    Args:
        agent: Whose.
        ledger: The open reward windows.
        chair: Who is in charge.
        books: The log, to be written.
        log: The log, to be read.
        schema: Encodes the values that were logged.
        atomic: What is written to records stands or falls with the log.
        without: Tells the keys of subjects from whom nothing may be learned; ``None`` for nobody.
        unapproved: Tells which decisions waited in vain for somebody's yes: they have no reward.
    """

    def __init__(
        self,
        agent: str,
        ledger: Ledger,
        chair: Chair,
        books: Books,
        log: ProvenanceLog,
        schema: Schema,
        *,
        atomic: bool,
        without: Callable[[], U64 | None],
        unapproved: Callable[[I64], Bools],
    ) -> None:
        self._agent = agent
        self._ledger = ledger
        self._chair = chair
        self._books = books
        self._log = log
        self._schema = schema
        self._atomic = atomic
        self._excluded = without
        self._unapproved = unapproved
        self.remembering = Remembering(chair.desk.store)
        self.lock = threading.RLock()  # what is being learned must not replace what is assigned meanwhile
        self._offers = threading.Lock()  # taken last
        self._unlogged: list[Closed] = []
        self._unlearned: list[_Offer] = []
        self._offered: list[_Offer] = []
        self._starts = 0  # how often all of it was offered anew

    def start_anew(self, ledger: Ledger) -> None:
        """Forget what was heard; it is told again."""
        with self._offers:
            self._ledger, self._starts = ledger, self._starts + 1
            self._unlogged, self._unlearned, self._offered = [], [], []

    def forked(self) -> None:
        """In a child process: nobody holds these locks."""
        self.lock, self._offers = threading.RLock(), threading.Lock()

    def hear(self, first: int, closed: Closed) -> None:
        """Take note of rewards, as the log tells: they are offered to the policy."""
        self._ledger.finish(closed.position, closed.slot)
        with self._offers:
            self._unlogged = [_without(part, closed) for part in self._unlogged]
            self._offered.append(_Offer(first + len(closed), closed))

    def hear_policy(self, cause: str, learned: int) -> None:
        """Take note of rewards that were learned from, and that another policy came in charge."""
        with self._offers:
            if cause == "assigned":  # what the one before could not learn from, this one may
                self._offered, self._unlearned = [*self._offered, *self._unlearned], []
            self._offered = [offer for offer in self._offered if offer.end > learned]

    def begin(self, end: int) -> int:
        """Log number from which the log has to be heard again after a restart, when it ends here."""
        with self._offers:
            unlogged = [int(part.position.min()) for part in self._unlogged if len(part)]
            waits = bool(self._offered or self._unlearned)
        oldest = self._ledger.oldest
        needed = [end if oldest is None else oldest, *unlogged]
        return min([*needed, self._chair.seen.learned] if waits else needed)

    def learn(self, at: int) -> Learned:
        """Close the rewards that are final, learn from them, and publish the next policy."""
        with self.lock:
            try:
                return self._close_and_learn(at)
            except BaseException as error:
                if not isinstance(error, Exception):  # somebody pressed Ctrl-C, wherever that was
                    self._books.tear()
                raise

    def _close_and_learn(self, at: int) -> Learned:
        self.remembering.write(self._chair.desk.plan.layout)
        self._close(at)
        while True:
            before = self._chair.published
            start, offered = self._take()
            try:
                used, won = self._learn(before, offered)
            except LearningError:
                with self._offers:
                    self._unlearned += offered if start == self._starts else []
                raise
            except BaseException:  # a plugin, the log, Ctrl-C: offered to the next call
                self._give_back(offered, start)
                raise
            if won:
                now = self._chair.published
                closed = sum(len(offer.closed) for offer in offered)
                return Learned(closed, used, now.version, changed=now is not before)
            self._give_back(offered, start)

    def relearn(self) -> Relearned:
        """Learn every version that the log names once more, from the version before and the logged rewards.

        Versions follow from the log as long as no rewards were passed over, which happens when a policy
        could not learn from them.
        """
        from agentic.privacy import Restrictions  # only for who asks

        offers: list[_Offer] = []
        versions = same = missing = recalled = lost = learned = 0
        restrictions = Restrictions(self._agent)
        before, differ = "", []
        for receipt, block in self._log.read():
            if block.meta.get("agent") != self._agent:
                continue
            restrictions.hear(block)
            columns = block.columns
            if block.kind == "reward":
                closed = Closed(columns["decision"], columns["slot"], columns["reward"])
                offers.append(_Offer(receipt.first + receipt.count, closed))
            if block.kind != "policy":
                continue
            version, told = block.meta["policy"], int(columns["learned"][-1])
            if block.meta["cause"] == "learned" and version != before:
                versions += 1
                policy: Any = self._chair.versions.get(before)
                if policy is None:
                    missing += 1
                elif fields_of(policy):
                    recalled += 1
                else:
                    taught, used = [offer for offer in offers if learned < offer.end <= told], 0
                    for lesson in self._lessons(taught, without=restrictions.keys):
                        policy, used = policy.learn(lesson.feedback), used + len(lesson.feedback)
                    if fingerprint(policy) == version:
                        same += 1
                    elif used < int(columns["used"][-1]) or self._lost(taught):
                        lost += 1
                    else:
                        differ.append(version)
            before, learned = version, max(learned, told)
            offers = [offer for offer in offers if offer.end > learned]
        return Relearned(versions, same, missing, recalled, lost, tuple(differ))

    def _take(self) -> tuple[int, list[_Offer]]:
        with self._offers:
            offered, self._offered = self._offered, []
            return self._starts, offered

    def _give_back(self, offered: list[_Offer], start: int) -> None:
        with self._offers:
            if start != self._starts:  # they have been offered anew
                return
            self._offered += [offer for offer in offered if offer.end > self._chair.seen.learned]

    def _close(self, at: int) -> None:
        """Log the rewards that are final; once logged, they are offered to the policy."""
        with self._books.writing():
            self._log_final(at)
        self._unlogged = []

    def _log_final(self, at: int) -> None:
        final = self._ledger.close(at)
        done = ~self._unapproved(final.position)
        final = Closed(final.position[done], final.slot[done], final.reward[done])
        closed = _together([*self._unlogged, final])
        # Closed windows do not open again: what the log refuses is offered to it the next time.
        self._unlogged = [closed]
        if not len(closed):
            return
        columns = {"decision": closed.position, "slot": closed.slot, "reward": closed.reward}
        block = Block("reward", columns, {"schema": 1, "agent": self._agent, "at": at})
        try:
            self._books.append(block)
        except Exception as error:
            raise LogError(
                f"the log refused {len(closed)} reward records ({reason(error)}): they do not stand yet"
            ) from error

    def _learn(self, before: Published, offered: list[_Offer]) -> tuple[int, bool]:
        """Learn from what is offered and publish.

        Returns:
            How many choices were learned from, and whether that counts: not if another process put a policy
            in charge meanwhile.
        """
        policy: Any = before.policy  # a Learner, and one that remembers, where it is asked for
        if not before.remembers:
            used = 0
            if isinstance(policy, Learner):
                for lesson in self._lessons(offered):
                    policy, used = policy.learn(lesson.feedback), used + len(lesson.feedback)
            return used, self._publish(before, policy, offered, used)
        if not self._atomic:
            return self._learn_and_remember(before, offered), True
        try:
            with self._books.writing():  # what is remembered and what was learned stand or fall together
                if self._was_beaten(before, offered):
                    return 0, False
                used = 0
                for lesson in self._lessons(offered, named=True):
                    policy = self.remembering.learn(policy, lesson, self._chair.desk.plan.layout)
                    used += len(lesson.feedback)
                    self.remembering.write(self._chair.desk.plan.layout)
                return used, self._publish(before, policy, offered, used)
        except BaseException:
            self.remembering = Remembering(self._chair.desk.store)
            raise

    def _publish(self, before: Published, policy: Policy, offered: list[_Offer], used: int) -> bool:
        """Put what was learned in charge, unless another process was faster."""
        with self._books.writing():
            if self._was_beaten(before, offered):
                return False
            end = _end(offered)
            if used:
                self._chair.put(policy, "learned", after=before.version, learned=end, used=used)
            elif offered and self._chair.shared:
                self._chair.log(before.version, "learned", end)
        return True

    def _was_beaten(self, before: Published, offered: list[_Offer]) -> bool:
        """Whether another process has put a policy in charge, or learned some of this, meanwhile."""
        learned = self._chair.seen.learned
        return self._chair.published is not before or any(offer.end <= learned for offer in offered)

    def _lost(self, offered: list[_Offer]) -> bool:
        """Whether decisions that these rewards are about are not in the log any more as they were."""
        position = np.unique(_together([offer.closed for offer in offered]).position)
        return readable(self._agent, self._schema, self._log, position) < len(position)

    def _lessons(
        self, offered: list[_Offer], *, named: bool = False, without: U64 | None = None
    ) -> Iterator[Lesson]:
        closed = _together([offer.closed for offer in offered])
        where = closed.position, closed.slot, closed.reward
        plan = self._chair.desk.plan
        without = self._excluded() if without is None else without
        return lessons_of(self._agent, plan, self._schema, self._log, *where, named=named, without=without)

    def _learn_and_remember(self, before: Published, offered: list[_Offer]) -> int:
        """Learn lesson by lesson, writing what each says about its subjects; publish what was learned.

        Lessons whose subjects are on record cannot be unlearned: where one fails, those before it stand, and
        only the rest stays offered.
        """
        policy: Any = before.policy  # a Learner that remembers
        used = done = learned = 0
        try:
            for lesson in self._lessons(offered, named=True):
                policy = self.remembering.learn(policy, lesson, self._chair.desk.plan.layout)
                used, done = used + len(lesson.feedback), lesson.done
                self.remembering.write(self._chair.desk.plan.layout)
            learned = _end(offered)
        except BaseException:
            rest = _rest(_together([offer.closed for offer in offered]), done)
            offered[:] = [_Offer(_end(offered), rest)]
            raise
        finally:
            if used:
                self._chair.put(policy, "learned", after=before.version, learned=learned, used=used)
        return used


def _end(offered: list[_Offer]) -> int:
    """Log number after the last block that tells these."""
    return max((offer.end for offer in offered), default=0)


def _without(part: Closed, gone: Closed) -> Closed:
    """Closed rewards but those that were logged."""
    width = int(max(part.slot.max(initial=0), gone.slot.max(initial=0))) + 1
    left = ~np.isin(part.position * width + part.slot, gone.position * width + gone.slot)
    return Closed(part.position[left], part.slot[left], part.reward[left])


def _rest(closed: Closed, done: int) -> Closed:
    """Closed rewards but the first ones."""
    return Closed(closed.position[done:], closed.slot[done:], closed.reward[done:])


def _together(parts: list[Closed]) -> Closed:
    """Closed rewards of several calls, in the order of the log."""
    if not parts:
        return Closed(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))
    position = np.concatenate([part.position for part in parts])
    slot = np.concatenate([part.slot for part in parts])
    order = np.lexsort((slot, position))
    reward = np.concatenate([part.reward for part in parts])
    return Closed(position[order], slot[order], reward[order])
