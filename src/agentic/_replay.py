"""Does a decision come out the same when it is decided again from the log, and if not, why not?"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic import _noise
from agentic._again import decided_again, logged_batch, rules_hold
from agentic._archive import Archive, taught_by
from agentic._codec import fingerprint
from agentic._flow import ARMS, HOLDOUT, Plan, draw, odds, prices, propose
from agentic._plan import draw_key
from agentic._records import DecisionBatch
from agentic._verdicts import Account, Replayed, Verdict
from agentic._whatif import Tally, Weighing, of_policy_arm
from agentic.arrays import Bools
from agentic.errors import CodecError, EvaluationError
from agentic.features import Schema
from agentic.protocols import Policy

_AT_ONCE: Final = 8192
_CLOSE: Final = 1e-9
_NOBODY: Final = np.ones(1)  # in place of a column that is gone
_SETTINGS: Final = ("seed", "exploration_floor", "holdout", "random_control", "assignment")
_ASIDE: Final = ("guardrails", "layout")  # they differ from the agent's without changing an answer
_BY_NAME: Final = (("actions", "ACTIONS_DIFFER"), ("features", "FEATURES_DIFFER"))
_BY_CONTENT: Final = (("catalogue", "ACTIONS_DIFFER"), ("encoding", "FEATURES_DIFFER"))
# What says nothing of the policy: it follows from the key, the ticket and the shares of the arms.
_BY_KEY: Final = frozenset({"key", "tag", "arm"})


@attrs.frozen(eq=False)
class _Case:
    """What holds for the rows of one meta: the agent as it was, and where it was another one.

    Attributes:
        plan: The agent's, with the settings that the meta says.
        policy: The version it names; ``None`` where it is not kept.
        settings: Names of those that are not the agent's now.
        refused: Why nothing of it can be decided again.
        content: What a mismatch is put down to, when actions or features are not those of the meta.
        stand_ins: Whether control and fallback are those of the meta.
    """

    plan: Plan
    policy: Policy | None
    settings: tuple[str, ...]
    refused: tuple[Verdict, tuple[str, ...]] | None
    content: tuple[Verdict, str] | None
    stand_ins: Mapping[str, bool]


class Kept(Protocol):
    """The policies that are still known, by version."""

    def get(self, version: str, /) -> Policy | None:
        """The policy of a version; ``None`` for one that nobody keeps."""


def _case(plan: Plan, mine: Mapping[str, Any], versions: Kept, meta: Mapping[str, Any]) -> _Case:
    other = {name for name in (*_SETTINGS, *_ASIDE) if name in meta and meta[name] != mine.get(name)}
    settings = tuple(name for name in (*_SETTINGS, *_ASIDE) if name in other)
    refused = _misfit(mine, meta)
    content = None
    for name, verdict in _BY_CONTENT:
        if content is None and meta.get(name) and mine.get(name) and meta[name] != mine[name]:
            content = Verdict[verdict], name
    fits: dict[str, bool] = {}
    then: dict[str, Policy] = {}
    for name, own in (("control", plan.control), ("fallback", plan.fallback)):
        told = meta.get(name)
        alike = not told or not mine.get(name) or told == mine[name]
        kept = versions.get(told) if not alike and isinstance(told, str) else None
        then[name], fits[name] = kept or own, alike or kept is not None
    try:
        plan = attrs.evolve(
            plan,
            floor=_share(meta, "exploration_floor", plan.floor),
            holdout=_share(meta, "holdout", plan.holdout),
            random_control=_share(meta, "random_control", plan.random_control),
            assignment=int(meta["assignment"], 16) if "assignment" in meta else plan.assignment,
            seed=draw_key(meta["agent"], meta["seed"]) if "seed" in other else plan.seed,
            control=then["control"],
            fallback=then["fallback"],
        )
    except (TypeError, ValueError):
        refused = refused or (Verdict.UNREADABLE, ("meta",))
    version = meta.get("policy")
    policy = versions.get(version) if isinstance(version, str) else None
    if refused is None and policy is None:
        refused = Verdict.POLICY_VERSION_MISSING, (str(version),)
    return _Case(plan, policy, settings, refused, content, fits)


def _misfit(mine: Mapping[str, Any], meta: Mapping[str, Any]) -> tuple[Verdict, tuple[str, ...]] | None:
    """Why nothing can be decided with these actions and features; ``None`` where they are the agent's."""
    for name, verdict in _BY_NAME:
        told, here = meta.get(name), mine[name]
        if told != here:
            odd = sorted({*_texts(told)} ^ {*here})[:10] or ["in another order"]
            return Verdict[verdict], tuple(odd)
    return None


def _texts(told: object) -> list[Any]:
    return told if isinstance(told, list) and all(isinstance(item, str) for item in told) else []


def _share(meta: Mapping[str, Any], name: str, own: float) -> float:
    share = float(meta.get(name, own))
    if not 0.0 <= share <= 1.0:
        raise ValueError(name)
    return share


def replay_rows(
    plan: Plan,
    schema: Schema,
    versions: Kept,
    mine: Mapping[str, Any],
    batches: Iterator[DecisionBatch],
    /,
    *,
    by_subject: bool = False,
) -> Replayed:
    """Decide logged rows again, each with the policy version that made it.

    Args:
        plan: The agent's.
        schema: The agent's features.
        versions: Policies by version, as far as they are kept.
        mine: What the agent would log of itself now.
        batches: The decisions.
        by_subject: Check that each key is the subject's, too: a hash for each row, a third of the price
            of all the rest.
    """
    account = Account(plan.catalogue.ids)
    meta: Mapping[str, Any] | None = None
    case: _Case | None = None
    for found in batches:
        if case is None or not (found.meta(0) is meta or found.meta(0) == meta):
            meta = found.meta(0)
            case = _case(plan, mine, versions, meta)
        account.settings.update(dict.fromkeys(case.settings, len(found)))
        for part in _parts(found, account):
            if case.refused is not None:
                account.note(part, *case.refused)
            else:
                _verify(case, schema, part, account, by_subject=by_subject)
    return account.result()


def _parts(found: DecisionBatch, account: Account) -> Iterator[DecisionBatch]:
    """Up to 8,192 rows at a time, without those that were erased."""
    for lo in range(0, len(found), _AT_ONCE):
        part = found.take(slice(lo, lo + _AT_ONCE))
        blank = part.columns.get("key", _NOBODY) == 0
        if np.count_nonzero(blank):
            blank &= part.columns.get("subject", _NOBODY) == ""
            account.note(part.take(blank.nonzero()[0]), Verdict.ERASED)
            part = part.take((~blank).nonzero()[0])
        if len(part):
            yield part


def _or_by_halves(work: Callable[[DecisionBatch], None], part: DecisionBatch, account: Account) -> None:
    """Do the work; where rows cannot be read, do it for all the others."""
    try:
        work(part)
    except EvaluationError:  # another policy fails: nobody knows what it would have done
        raise
    except Exception as error:  # noqa: BLE001 - features are plugins, and a damaged record may hold anything
        if len(part) == 1:
            account.note(part, Verdict.UNREADABLE, (type(error).__name__,))
            return
        middle = len(part) // 2
        for half in (slice(middle), slice(middle, None)):
            _or_by_halves(work, part.take(half), account)


def _verify(case: _Case, schema: Schema, part: DecisionBatch, account: Account, *, by_subject: bool) -> None:
    policy = case.policy
    assert policy is not None  # noqa: S101 - without one it was refused; for the type checker

    def work(rows: DecisionBatch) -> None:
        again = decided_again(case.plan, schema, policy, rows)
        drawn, columns = again.drawn, rows.columns
        here: dict[str, NDArray[Any]] = {
            "tag": drawn.noise,
            "arm": again.arm,
            "action": drawn.action,
            "probability": drawn.probability,
            "explored": drawn.explored,
            "score": _settled(drawn.score, columns["score"]),
            "spread": _settled(drawn.spread, columns["spread"]),
            "policy_failed": again.failed,
            "cost": prices(case.plan.catalogue.cost, drawn.action),
        }
        fine = {name: _equal(found, columns[name]) for name, found in here.items()}
        fine["denied"] = rules_hold(case.plan, again.batch, columns["denied"])
        if by_subject:
            fine["key"] = _noise.text_keys(columns["subject"].tolist()) == columns["key"]
        same = np.logical_and.reduce(list(fine.values()))
        account.again(rows, drawn.action, int(np.count_nonzero(same)))
        if np.count_nonzero(same) < len(rows):
            bad = (~same).nonzero()[0]
            wrong = {name: ~okay[bad] for name, okay in fine.items()}
            _judge(case, schema, rows.take(bad), wrong, account)

    _or_by_halves(work, part, account)


def _settled(found: NDArray[Any], logged: NDArray[Any]) -> NDArray[Any]:
    """What was found, as it was logged where only the last digits differ: shape (n, s).

    Actions and probabilities are the same to the last bit wherever they are computed. Estimates beside them
    are not rounded, and end otherwise where memory lies otherwise.
    """
    if found.shape != logged.shape:
        return found
    return np.where(np.isclose(found, logged, rtol=_CLOSE, atol=_CLOSE), logged, found)


def _equal(found: NDArray[Any], logged: NDArray[Any]) -> Bools:
    """Where rows are the same, not-a-number and all: shape (n,)."""
    if found.shape != logged.shape:
        raise ValueError("another shape")
    alike = found == logged
    if found.dtype.kind == "f" and np.count_nonzero(alike) < alike.size:
        alike |= np.isnan(found) & np.isnan(logged)
    if alike.ndim == 1:
        return np.asarray(alike, dtype=np.bool_)
    # Of one column, which is nearly always: a fifth of the price of `all`.
    return np.asarray(alike[:, 0] if alike.shape[1] == 1 else alike.all(axis=1), dtype=np.bool_)


def _judge(
    case: _Case, schema: Schema, part: DecisionBatch, wrong: Mapping[str, Bools], account: Account
) -> None:
    """Say of rows that came out otherwise what that is put down to, and count them."""
    for name, rows in wrong.items():
        if count := int(np.count_nonzero(rows)):
            account.disagreeing[name] += count
    by_version = _policy_trouble(case, schema, part)
    names = list(wrong)
    found: dict[tuple[Verdict, tuple[str, ...]], list[int]] = {}
    for row, flags in enumerate(zip(*(rows.tolist() for rows in wrong.values()), strict=True)):
        odd = tuple(name for name, is_wrong in zip(names, flags, strict=True) if is_wrong)
        found.setdefault(_verdict(case, part, row, odd, by_version), []).append(row)
    for (verdict, details), rows_ in found.items():
        account.note(part.take(np.array(rows_)), verdict, details)


def _verdict(
    case: _Case, part: DecisionBatch, row: int, odd: tuple[str, ...], trouble: str
) -> tuple[Verdict, tuple[str, ...]]:
    arm, failed = int(part.columns["arm"][row]), bool(part.columns["policy_failed"][row])
    if not _BY_KEY.isdisjoint(odd):
        return Verdict.RECORD_TAMPERED, odd
    if arm == HOLDOUT and not case.stand_ins["control"]:
        return Verdict.CONTROL_DIFFERS, odd
    if failed and not case.stand_ins["fallback"]:
        return Verdict.FALLBACK_DIFFERS, odd
    if case.content is not None:
        return case.content[0], odd
    if ARMS[arm] == "policy" and not failed and odd != ("denied",):
        if trouble:
            return Verdict.POLICY_DIFFERS, (trouble, *odd)
        if "policy_failed" in odd and len(odd) > 1:
            return Verdict.POLICY_DIFFERS, ("fails now", *odd)
    return Verdict.RECORD_TAMPERED, odd


def _policy_trouble(case: _Case, schema: Schema, part: DecisionBatch) -> str:
    """What is the matter with the policy kept under the version, if anything."""
    policy, version = case.policy, part.meta(0)["policy"]
    assert policy is not None  # noqa: S101 - as above
    try:
        if fingerprint(policy) != version:
            return "its content changed"
    except CodecError:
        return "its content changed"
    first, second = (decided_again(case.plan, schema, policy, part).drawn for _ in range(2))
    steady = _equal(first.action, second.action) & _equal(first.probability, second.probability)
    return "" if steady.all() else "answers otherwise each time"


def replay_otherwise(
    plan: Plan,
    schema: Schema,
    mine: Mapping[str, Any],
    batches: Iterator[DecisionBatch],
    policy: Policy,
    archive: Archive | None,
    published: str,
    /,
) -> Replayed:
    """Decide logged rows again with another policy: same draws, candidates and arms.

    Args:
        plan: The agent's, with room for what the policy keeps.
        schema: The agent's features.
        mine: What the agent would log of itself now.
        batches: The decisions.
        policy: The other policy, bound.
        archive: Where rewards are, to say what it would have been worth; ``None`` to leave that out.
        published: Version of the policy in charge.

    Raises:
        EvaluationError: The policy fails.
    """
    account, tally = Account(plan.catalogue.ids), Tally(plan.catalogue.ids, schema)
    weighing = None if archive is None else Weighing(*archive.rewards(), len(plan.catalogue))
    for found in batches:
        refused = _misfit(mine, found.meta(0))
        for part in _parts(found, account):
            if refused is not None:
                account.note(part, *refused)
                continue

            def work(rows: DecisionBatch) -> None:
                _otherwise(plan, schema, policy, rows, account, tally, weighing)

            _or_by_halves(work, part, account)
    worth = None
    if archive is not None and weighing is not None:
        worth = weighing.worth(taught_by(archive, policy, published))
    return account.result(tally.changes(), worth)


def _otherwise(
    plan: Plan,
    schema: Schema,
    policy: Policy,
    part: DecisionBatch,
    account: Account,
    tally: Tally,
    weighing: Weighing | None,
) -> None:
    batch, arm = logged_batch(plan, schema, part), part.columns["arm"]
    action, probability = part.action, part.probability
    sound = (action >= 0) & (action < len(plan.catalogue)) & (probability > 0) & (probability <= 1)
    if np.count_nonzero(sound) < sound.size:
        raise ValueError("an action or a probability that nobody can have logged")
    asked = of_policy_arm(part)
    failures: list[tuple[str, Exception]] = []
    weighed = propose(plan, policy, batch, arm, failures)
    target = odds(plan, batch, weighed, failures)  # raises if it fails
    drawn = draw(plan, batch, weighed, part.columns["ticket"], arm)
    changed = (drawn.action != part.action).any(axis=1)
    account.again(part, drawn.action, len(part) - int(np.count_nonzero(changed)))
    if np.count_nonzero(changed):
        account.note(part.take(changed.nonzero()[0]), Verdict.CHANGED)
    tally.add(part, drawn.action, changed)
    if weighing is not None and len(asked):
        weighing.add(part.take(asked), target[asked])
