"""What does an agent's own log say: its decisions joined with their rewards, and summed for each subject.

Only decisions whose reward is final take part: an open window says nothing yet. Of a slate a row is the
first slot: its action, its probability, its price and its reward. The log is read block by block.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic import _noise
from agentic._flow import ARMS, COMPARED
from agentic._offpolicy import Logged, reject
from agentic.arrays import F64, I64, U64, Bools
from agentic.catalogue import Catalogue
from agentic.errors import EvaluationError
from agentic.evaluation._judged import Judged, archive

_TAKEN: Final[Mapping[str, type]] = {
    "key": np.uint64,
    "arm": np.int64,
    "at": np.int64,
    "action": np.int64,
    "probability": np.float64,
}
_STREAM: Final = 0x5B117  # keeps halves of a log apart from other hashes of the same subjects


@attrs.frozen(eq=False)
class Joined:
    """Holds decisions whose reward is final, one row each, in the order of the log.

    Of a slate a row says what the first slot was and earned, and nothing of the others.

    Attributes:
        catalogue: The actions.
        position: Shape (n,), int64: place in the log.
        key: Shape (n,), uint64: hash of the subject.
        arm: Shape (n,), int64: place in ``("policy", "holdout", "random_control")``.
        at: Shape (n,), int64: when it was decided, microseconds since 1970.
        action: Shape (n,), int64: column of the catalogue.
        probability: Shape (n,), float64, in (0, 1].
        cost: Shape (n,), float64: price of the action.
        reward: Shape (n,), float64.
    """

    catalogue: Catalogue
    position: I64
    key: U64
    arm: I64
    at: I64
    action: I64
    probability: F64
    cost: F64
    reward: F64

    def __len__(self) -> int:
        return len(self.position)

    def take(self, index: I64 | Bools, /) -> Joined:
        """The same with only these rows, in the order of the log however they are asked for."""
        index = np.sort(np.arange(len(self))[index])
        return Joined(
            self.catalogue,
            self.position[index],
            self.key[index],
            self.arm[index],
            self.at[index],
            self.action[index],
            self.probability[index],
            self.cost[index],
            self.reward[index],
        )

    def of(self, arms: Sequence[str], /) -> Joined:
        """The same with only the decisions of these arms.

        Raises:
            EvaluationError: There is no such arm.
        """
        for arm in arms:
            if arm not in COMPARED:
                reject("arms", None, arm, f"some of {list(COMPARED)!r}", "correct the name")
        return self.take(np.isin(self.arm, [ARMS.index(arm) for arm in arms]))

    def split(self, share: float = 0.5, *, salt: str = "") -> tuple[Joined, Joined]:
        """Part the subjects in two, by a salted hash: one part to teach a policy on, one to judge it by.

        All rows of a subject are in one part, and the next rows of the log move nobody.

        Args:
            share: Of subjects in the first part, more than 0 and less than 1.
            salt: Another salt, another parting.

        Raises:
            EvaluationError: The share is out of range.
        """
        if not 0.0 < share < 1.0:
            reject("share", None, share, "more than 0 and less than 1", "give 0.5 for two halves")
        first = _noise.uniform(_noise.fold(_STREAM, _noise.text_key(salt), self.key)) < share
        return self.take(first), self.take(~first)

    def logged(self) -> Logged:
        """The rows as estimators take them; the rows of one subject are a group.

        Raises:
            EvaluationError: There are no rows.
        """
        if not len(self):
            raise EvaluationError(
                "no decision of these arms has a final reward, expected some: record outcomes, and call"
                " learn() once their windows are over",
                value=0,
            )
        return Logged(self.action, self.reward, probability=self.probability, groups=self.key)

    def by_subject(self) -> BySubject:
        """Sums for each subject that was decided for, arm by arm; of slates those of the first slot."""
        key, first, row = np.unique(self.key, return_index=True, return_inverse=True)

        def total(column: F64 | Bools) -> F64:
            return np.asarray(np.bincount(row, weights=column, minlength=len(key)), dtype=np.float64)

        return BySubject(
            key=key,
            arm=self.arm[first],
            decisions=total(np.ones(len(self))),
            reward=total(self.reward),
            cost=total(self.cost),
            contacts=total(self.action != self.catalogue.idle),
        )


@attrs.frozen(eq=False)
class BySubject:
    """Holds what was done for each subject, and what came of it: shape (g,) each.

    Attributes:
        key: Hash of the subject.
        arm: Its arm.
        decisions: How many with a final reward.
        reward: Their sum.
        cost: Price of what was sent.
        contacts: How many of them sent something.
    """

    key: U64
    arm: I64
    decisions: F64
    reward: F64
    cost: F64
    contacts: F64

    def of(self, arm: str, /) -> BySubject:
        """The same with only the subjects of this arm.

        Raises:
            EvaluationError: There is no such arm.
        """
        if arm not in COMPARED:
            reject("arm", None, arm, f"one of {list(COMPARED)!r}", "correct the name")
        rows = self.arm == ARMS.index(arm)
        return BySubject(*(getattr(self, field.name)[rows] for field in attrs.fields(BySubject)))

    def __len__(self) -> int:
        return len(self.key)


def joined(agent: Judged, /) -> Joined:
    """Join an agent's decisions with the rewards that are final, the holdout's too.

    Protected subjects are left out: what they get is not drawn, and nothing is to be learned about them.
    Rewards become final when ``agent.learn()`` finds their window over. What other agents wrote to the
    same log is left out, and so is what was decided in favour of actions that the agent has no more.
    """
    found_in = archive(agent)
    position, reward = found_in.rewards()
    parts: dict[str, list[NDArray[Any]]] = {name: [] for name in _TAKEN}  # of several dtypes
    order = [np.zeros(0, np.int64)]
    for batch in found_in.batches():
        first = int(batch.positions[0])
        lo, hi = np.searchsorted(position, [first, first + len(batch)]).tolist()
        rows, at = position[lo:hi] - first, np.arange(lo, hi)
        mine = batch.columns["arm"][rows] < len(COMPARED)
        there = places(batch.catalogue, agent.plan.catalogue)
        if there is not None:
            mine &= there[batch.columns["action"][rows, 0]] >= 0
        rows, at = rows[mine], at[mine]
        order.append(at)
        for name, column in parts.items():
            found = batch.columns[name][rows]
            found = found[:, 0] if found.ndim > 1 else found
            column.append(there[found] if there is not None and name == "action" else found)
    kept = np.concatenate(order)

    def whole(name: str) -> NDArray[Any]:  # of the dtype that the table says
        found = np.concatenate(parts[name]) if parts[name] else np.zeros(0)
        return found.astype(_TAKEN[name], copy=False)

    action = whole("action")
    return Joined(
        agent.plan.catalogue,
        position=position[kept],
        key=whole("key"),
        arm=whole("arm"),
        at=whole("at"),
        action=action,
        probability=whole("probability"),
        cost=agent.plan.catalogue.cost[action],
        reward=reward[kept],
    )


def places(then: Catalogue, now: Catalogue) -> I64 | None:
    """Column now of each action then, -1 where it is gone; ``None`` where nothing has changed."""
    if then.ids == now.ids:
        return None
    column = {action_id: number for number, action_id in enumerate(now.ids)}
    return np.array([column.get(action_id, -1) for action_id in then.ids], dtype=np.int64)
