"""How does what a policy learned about single subjects get into their records, each reward once?"""

from __future__ import annotations

from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._flow import POLICIES
from agentic._learning import Lesson
from agentic._stored import load, save
from agentic.arrays import I64, Feedback, Layout, Records
from agentic.errors import StoreError, masked, reason
from agentic.protocols import Remembers, StateStore

_TRIES: Final = 128


@attrs.define(eq=False)
class _Unwritten:
    """What a policy has learned about subjects and the store has not taken yet.

    Attributes:
        policy: Who remembers.
        feedback: What, about the subjects that are left.
        subjects: Who they are.
        rows: Their records with what is remembered; ``None`` when they must be loaded first.
        versions: Of these.
        tried: What was offered to a store that raised: it may have taken it.
    """

    policy: Remembers
    feedback: Feedback
    subjects: list[str] = attrs.field(repr=masked)
    rows: Records | None
    versions: I64
    tried: Records | None = None

    def keep(self, which: NDArray[np.bool_]) -> None:
        """Leave only these subjects."""
        if which.all():
            return
        left = which.nonzero()[0]
        self.feedback = self.feedback.about(left)
        self.subjects = [self.subjects[row] for row in left.tolist()]
        self.versions = self.versions[left]
        if self.rows is not None:
            self.rows = self.rows[left]
        if self.tried is not None:
            self.tried = self.tried[left]


class Remembering:
    """Lessons about subjects on their way into a store; calls must not overlap."""

    def __init__(self, store: StateStore) -> None:
        self._store = store
        self._unwritten: list[_Unwritten] = []

    def learn(self, policy: Any, lesson: Lesson, layout: Layout) -> Any:  # Learner and Remembers
        """The policy that has learned the lesson; what it remembers of it waits for ``write``.

        Raises:
            LearningError: The policy cannot learn from it.
            StoreError: The records cannot be loaded; nothing was learned.
        """
        rows, versions = self._recalled(lesson.subjects, layout)
        held = layout.part(rows.copy(), POLICIES)
        held.flags.writeable = False
        feedback = attrs.evolve(lesson.feedback, rows=held)
        learned = policy.learn(feedback)
        learned.remember(feedback, layout.part(rows, POLICIES))
        self._unwritten.append(_Unwritten(learned, feedback, lesson.subjects, rows, versions))
        return learned

    def write(self, layout: Layout) -> None:
        """Store what policies remembered, each choice once, whatever else is written to the records.

        Raises:
            StoreError: The store kept changing or failed; what is left to write is kept.
        """
        while self._unwritten:
            for _ in range(_TRIES):
                if not self._write(self._unwritten[0], layout):
                    break
            else:
                raise StoreError(
                    f"{len(self._unwritten[0].subjects)} subjects kept changing while they were learned"
                    " about: nothing is lost, call learn() again",
                    value=len(self._unwritten[0].subjects),
                )
            del self._unwritten[0]

    def _recalled(self, subjects: list[str], layout: Layout) -> tuple[Records, I64]:
        """Records and versions, ours to write to."""
        try:
            rows, versions = load(self._store, subjects, layout)
            return rows.copy(), versions
        except Exception as error:
            raise StoreError(
                f"the store failed while {len(subjects)} subjects were learned about ({reason(error)}):"
                " nothing is lost, call learn() again"
            ) from error

    def _write(self, task: _Unwritten, layout: Layout) -> int:
        """Try once to store what is left of a task; how many subjects are left then."""
        if task.rows is None or task.rows.dtype != layout.dtype:
            before = task.versions
            task.rows, task.versions = self._recalled(task.subjects, layout)
            held = layout.part(task.rows, POLICIES)
            if task.tried is not None:  # a store that raised may have written some of it
                names = [field.name for field in task.policy.fields]
                same = [(held[n] == task.tried[n]).reshape(len(held), -1).all(axis=1) for n in names]
                task.keep(~np.logical_and.reduce([task.versions != before, *same]))
                held = layout.part(task.rows, POLICIES)
            task.policy.remember(task.feedback, held)
        # A record that was deleted is not made again to hold what is known of its subject.
        task.keep(task.versions > 0)
        rows = task.rows
        if not task.subjects:
            return 0
        try:
            stands = save(self._store, task.subjects, rows, task.versions, layout)
        except BaseException as error:
            task.tried, task.rows = layout.part(rows, POLICIES), None
            if not isinstance(error, Exception):
                raise
            raise StoreError(
                f"the store failed while {len(task.subjects)} subjects were learned about ({reason(error)}):"
                " nothing is lost, call learn() again"
            ) from error
        task.keep(~stands)
        task.rows = task.tried = None
        return len(task.subjects)
