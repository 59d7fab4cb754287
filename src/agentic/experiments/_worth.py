"""Who is compared with whom: two groups of one agent's subjects that chance parted, and what came of each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

import attrs
import numpy as np
import numpy.typing as npt

from agentic import arrays
from agentic._archive import Archive
from agentic._codec import fingerprint
from agentic._flow import ARMS, COMPARED
from agentic._offpolicy import reject
from agentic._plan import bind
from agentic.arrays import F64, I64, U64, Bools
from agentic.conditions import Column
from agentic.evaluation import BySubject, Joined, Judged, joined
from agentic.experiments._samples import SampleRatio, sample_ratio
from agentic.policies import Split
from agentic.protocols import Learner, Policy
from agentic.types import micros


class Deciding(Judged, Protocol):
    """An agent, as far as what it is worth can be read from its log: every ``Agent`` is one."""

    @property
    def policy(self) -> Policy:
        """The policy in charge."""


def archive(agent: Judged, /) -> Archive:
    """Where the agent's decisions and rewards are."""
    return Archive(agent.name, agent.log, agent.plan.catalogue)


@attrs.frozen(eq=False)
class Contrast:
    """Holds two groups of subjects that a hash parted, and what was decided for them and came of it.

    Attributes:
        treatment: What the group is called that is compared: ``"policy"``.
        control: What the other is called: ``"holdout"``.
        shares: Of all subjects, what each was to have; in any unit.
        treated: Sums for each subject of the first, shape (m,) each.
        plain: Sums for each subject of the other.
        compute_us: Microseconds per decision of the first, on average, as logged; NaN where nobody measured.
        first: Where the log keeps the first of the decisions of each subject: those of ``treated``, then
            those of ``plain``; shape (m + n,), int64.
        agent: Whose they are.
    """

    __repr__ = arrays.shown

    treatment: str
    control: str
    shares: tuple[float, float]
    treated: BySubject
    plain: BySubject
    compute_us: float
    first: I64
    agent: Deciding

    @property
    def check(self) -> SampleRatio:
        """Whether the groups are as large as they were to be. Ask this first.

        Raises:
            EvaluationError: A group was to have nobody.
        """
        return sample_ratio([len(self.treated.key), len(self.plain.key)], self.shares)

    def seen_first(self) -> tuple[F64, Mapping[str, Column]]:
        """What was known of each subject when it was first decided for: nothing that was decided moved it.

        Returns:
            Encoded, X, shape (m + n, d), and each feature as rules see it; of ``treated``, then of ``plain``.
        """
        order = np.argsort(self.first)
        schema = self.agent.schema
        matrix = np.empty((len(order), len(schema.names)))
        for where, found in archive(self.agent).parts(self.first[order]):
            matrix[order[where]] = found.columns["values"]
        matrix = np.asfortranarray(matrix)
        return schema.encode(matrix), schema.columns(matrix)


def by_arm(
    agent: Deciding,
    treatment: str = "policy",
    control: str = "holdout",
    /,
    *,
    rows: Joined | None = None,
) -> Contrast:
    """Compare an agent's arms: what the policy decides for with who is held out, or decided for at random.

    Args:
        agent: Whose log it is; its shares are those the agent has now.
        treatment: ``"policy"``, ``"random_control"`` or ``"holdout"``.
        control: Another of these.
        rows: By which decisions; by default all that have a final reward.

    Raises:
        EvaluationError: There is no such arm, it has no share of the subjects, or the two are one.
    """
    plan = agent.plan
    share = {
        "policy": 1.0 - plan.holdout - plan.random_control,
        "holdout": plan.holdout,
        "random_control": plan.random_control,
    }
    for field, arm in (("treatment", treatment), ("control", control)):
        if arm not in share:
            reject(field, None, arm, f"one of {list(COMPARED)!r}", "correct the name")
        if not share[arm] > 0.0:
            remedy = f"set {arm}=0.05, or so, when the agent is made" if arm != "policy" else "leave it some"
            reject(field, None, arm, "an arm with a share of the subjects", remedy)
    if treatment == control:
        reject("control", None, control, "another arm", "compare 'policy' with 'holdout', say")
    found = joined(agent) if rows is None else rows
    return _contrast(
        agent,
        found,
        [found.arm == ARMS.index(arm) for arm in (treatment, control)],
        (treatment, control),
        (share[treatment], share[control]),
    )


def by_side(
    agent: Deciding,
    split: Split,
    treatment: int = 1,
    control: int = 0,
    /,
    *,
    rows: Joined | None = None,
    since: datetime | None = None,
) -> Contrast:
    """Compare the sides of a split: a challenger with the champion.

    Only decisions that this split made count, because under another one the same subjects were on other
    sides. Where no member learns these are found by the split's version. Members that learn make a new
    version each time: then give the split as it was when it went into charge, or say ``since`` when, and
    all decisions of the policy arm from there on are taken for its.

    Args:
        agent: Whose log it is.
        split: Which was in charge.
        treatment: Place among ``split.members``; 0 is the champion.
        control: Another.
        rows: By which decisions; by default all that have a final reward.
        since: The moment from which this split, or what it learned, has been in charge; aware of its zone.

    Raises:
        EvaluationError: There is no such side, the two are one, or the split decided nothing.
    """
    for field, side in (("treatment", treatment), ("control", control)):
        if side not in range(len(split.members)):
            reject(field, None, side, f"a place among {len(split.members)} members", "0 is the champion")
    if treatment == control:
        reject("control", None, control, "another side", "compare a challenger with the champion, 0")
    found = (joined(agent) if rows is None else rows).of(["policy"])
    mine = _made_by(agent, split, found) if since is None else found.at >= micros(since)
    if not mine.any():
        remedy = "give the split that was in charge, or since=... when its members learn"
        reject("split", None, "no decision", "decisions of this split with final rewards", remedy)
    found = found.take(mine)
    sides = split.side(found.key)
    names = [f"{split.members[place].name} (side {place})" for place in (treatment, control)]
    return _contrast(
        agent,
        found,
        [sides == treatment, sides == control],
        (names[0], names[1]),
        (split.shares[treatment], split.shares[control]),
    )


def _made_by(agent: Deciding, split: Split, rows: Joined) -> Bools:
    """Which rows a split decided: those of its version, and if it learns those that follow."""
    bound: Split = bind(split, agent.plan.space)
    version, learns = fingerprint(bound), any(isinstance(member, Learner) for member in split.members)
    mine = np.zeros(len(rows), dtype=np.bool_)
    for where, found in archive(agent).parts(rows.position):
        mine[where] = found.metas[0]["policy"] == version
    if learns and mine.any():
        mine[int(np.argmax(mine)) :] = True
    return mine


def _contrast(
    agent: Deciding,
    rows: Joined,
    groups: list[Bools],
    names: tuple[str, str],
    shares: tuple[float, float],
) -> Contrast:
    parts = [rows.take(group) for group in groups]
    for name, part in zip(names, parts, strict=True):
        if not len(part):
            remedy = "wait until rewards are final: record outcomes, and call learn() once windows are over"
            reject("rows", None, 0, f"decisions of {name} with final rewards", remedy)
    return Contrast(
        names[0],
        names[1],
        shares,
        parts[0].by_subject(),
        parts[1].by_subject(),
        _compute(agent, parts[0]),
        np.concatenate([_first(part.key, part.position) for part in parts]),
        agent,
    )


def _first(key: U64, position: I64) -> I64:
    return position[np.unique(key, return_index=True)[1]]


def _compute(agent: Deciding, rows: Joined) -> float:
    total = 0.0
    for _, found in archive(agent).parts(rows.position):
        total += float(found.columns["compute_us"].sum(dtype=np.float64))
    return total / len(rows)


def matched(keys: U64, known: tuple[U64, npt.ArrayLike], /) -> F64:
    """What is known of these subjects, in their order.

    Args:
        keys: Shape (n,), uint64.
        known: Keys of subjects, shape (m,), and a value for each, shape (m,) or (m, d).

    Raises:
        EvaluationError: Nothing is known of one.
    """
    names, values = np.asarray(known[0], dtype=np.uint64), np.asarray(known[1], dtype=np.float64)
    if len(values) != len(names):
        reject("before", None, len(values), f"{len(names)} rows, one for each key", "give both in one order")
    order = np.argsort(names)
    at = np.minimum(np.searchsorted(names[order], keys), max(len(names) - 1, 0))
    lost = np.ones(len(keys), dtype=np.bool_) if not len(names) else names[order][at] != keys
    if lost.any():
        remedy = "give subjects without a past the mean, or 0 and a column that marks them"
        reject("before", int(np.argmax(lost)), "unknown", "a value for every subject", remedy)
    out: F64 = values[order][at]
    return out
