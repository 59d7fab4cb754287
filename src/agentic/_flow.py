"""How one batch is decided: the file to read first.

::

    recall  enrich | lay out -> guard -> propose -> draw -> settle | record
      (I/O, Agent) |            this file, pure                    | (I/O, Agent)

``walk`` decides one wave: rows of distinct subjects whose records and features are at hand. It does no
I/O, reads no clock and owns no dice. One decision is a wave of one row; a row's answer depends on that
row alone, except through pools that all subjects share, which are charged in row order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic import _noise, arrays, zones
from agentic.arrays import (
    F64,
    I64,
    U64,
    Batch,
    Bools,
    Chosen,
    Field,
    Layout,
    Proposal,
    Records,
    Review,
    Space,
)
from agentic.catalogue import Catalogue
from agentic.conditions import Column, Condition
from agentic.errors import EvaluationError
from agentic.protocols import Guardrail, Policy, Stateful

COMPARED: Final = ("policy", "holdout", "random_control")
"""Arms whose subjects are alike, because a hash put them there; they may be compared."""
ARMS: Final = (*COMPARED, "protected", "by_hand")
POLICY, HOLDOUT, RANDOM_CONTROL, PROTECTED, BY_HAND = range(5)

CORE: Final = "agentic"
"""The component that owns the agent's own fields of a subject's record: key, decisions, zone, and whether the
subject is suppressed or restricted."""
_DECISIONS: Final = f"{CORE}.decisions"
UNTIL: Final = f"{CORE}.until"
"""Field of the record: when a suppression ends, in microseconds since 1970."""
RESTRICTION: Final = f"{CORE}.restricted"
"""Field of the record: what is held is used for nothing."""
NOT_SUPPRESSED: Final = int(np.iinfo(np.int64).min)
FOR_GOOD: Final = int(np.iinfo(np.int64).max)
SURROGATE: Final = f"{CORE}.surrogate"
"""What stands for a subject in a log that must not name it: 128 random bits, zero before there are any."""

POLICIES: Final = "agentic.policies"
"""The component that owns what policies keep about a subject; no guardrail can have this name."""

PURPOSES: Final = "agentic.purposes"
"""The component that owns what each subject agreed to for the use of features: one field for a purpose."""

REASONS: Final = (
    "NOT_ELIGIBLE",
    "ELIGIBILITY_UNKNOWN",
    "ZONE_UNKNOWN",
    "OUTRANKED",
    "CONTENDED",
    "STATE_UNAVAILABLE",
)
NOT_ELIGIBLE, ELIGIBILITY_UNKNOWN, ZONE_UNKNOWN, OUTRANKED, CONTENDED, STATE_UNAVAILABLE = (
    1 << i for i in range(6)
)
# Two bits, three codes, as for guardrails: what excludes each other shares its bits with a third.
SUPPRESSED: Final = NOT_ELIGIBLE | ELIGIBILITY_UNKNOWN
RESTRICTED: Final = CONTENDED | STATE_UNAVAILABLE
STOPPED: Final = RESTRICTED | OUTRANKED  # else never together: who is restricted gets nothing that outranks
_ANY: Final = np.logical_or.reduce  # `any` of an array, without a call of Python's
_LARGEST: Final = 1e300  # sixty thousand of these still sum to a number
_NOTHING: Final = Proposal(np.empty((0, 0)))  # what a policy that raised proposed
MOST_GUARDRAILS: Final = (64 - len(REASONS)) // 2


@attrs.frozen(eq=False)
class Plan:
    """What does not change between batches: an agent, checked, bound and laid out.

    Attributes:
        space: Catalogue and features.
        layout: The subject record.
        guardrails: By their unique names, in order. Bit 6 + 2i of ``denied`` says that guardrail i denied
            by its rule, bit 7 + 2i that it denied for want of knowledge, both that it failed.
        bits: For each guardrail the two bits of ``denied``, as scalars of its dtype.
        stateful: Names of guardrails with fields of their own.
        charges: For each pool the price of every candidate in millionths, shape (k,).
        dearest: For each pool the highest of these.
        eligible: Conditions and the columns each is asked for.
        control: Decides for the holdout.
        fallback: Decides where the policy fails.
        protected: Decides for protected subjects, for certain: whatever it gives most weight.
        holdout: Share of subjects left to the control policy.
        random_control: Share of subjects decided uniformly among what the rules allow.
        assignment: Key of the assignment hash.
        floor: Share of probability spread evenly over all allowed candidates.
        seed: Of every draw.
        denied_dtype: Unsigned integer wide enough for all reasons.
        core: The agent's own fields of the record.
        remembered: Fields that policies keep in the record.
        stoppable: Shape (k,), bool: candidates that a suppressed subject does not get, whatever the rules.
        purposes: What subjects must have agreed to for some feature; each is a field of the record.
    """

    space: Space
    layout: Layout
    guardrails: Mapping[str, Guardrail]
    bits: Sequence[tuple[Any, Any]]
    core: tuple[Field, ...]
    stateful: Mapping[str, Stateful]
    charges: Mapping[str, I64]
    dearest: Mapping[str, int]
    eligible: Sequence[tuple[Condition, I64]]
    control: Policy
    fallback: Policy
    protected: Policy
    holdout: float
    random_control: float
    assignment: int
    floor: float
    seed: int
    denied_dtype: np.dtype[Any]
    stoppable: Bools
    remembered: tuple[Field, ...] = ()
    purposes: tuple[str, ...] = ()

    @property
    def catalogue(self) -> Catalogue:
        """The candidate actions."""
        return self.space.catalogue


def denial_bits(guardrails: int, /) -> list[tuple[Any, Any]]:
    """For each guardrail its two bits: scalars of the narrowest unsigned integer that holds every reason."""
    dtype = denial_dtype(guardrails)
    places = (len(REASONS) + 2 * index for index in range(guardrails))
    return [(dtype.type(1 << place), dtype.type(2 << place)) for place in places]


def denial_dtype(guardrails: int, /) -> np.dtype[Any]:
    """The narrowest unsigned integer that holds every reason of this many guardrails."""
    bits = len(REASONS) + 2 * guardrails
    return np.dtype(next(f"u{width // 8}" for width in (8, 16, 32, 64) if bits <= width))


@attrs.frozen
class Leave:
    """What people leave to the agent.

    Attributes:
        stopped: Nothing: nobody gets anything, whatever the rules.
        settles: What is decided is done, so that it counts; otherwise it is a suggestion.
        chosen: Column that a person chose; ``None`` leaves the choice to the agent.
    """

    stopped: bool = False
    settles: bool = True
    chosen: int | None = None


AUTONOMOUS: Final = Leave()
LEVELS: Final = ("stopped", "suggest_only", "approve_each", "autonomous")
"""How much people leave to an agent, from nothing to everything: nobody gets anything; what is decided is a
suggestion; each message waits for somebody's yes; what is decided is done."""
SUGGEST_ONLY, APPROVE_EACH, UNATTENDED = LEVELS[1:]


def leave_of(level: str, /) -> Leave:
    """What a level means; nothing is left to the agent where nobody knows the level."""
    if level not in LEVELS or level == LEVELS[0]:
        return Leave(stopped=True)
    return Leave(settles=False) if level == SUGGEST_ONLY else AUTONOMOUS


@attrs.define(eq=False)
class Wave:
    """Rows to decide together: distinct subjects, everything about them at hand.

    Attributes:
        keys: Shape (n,), uint64.
        ticket: Shape (n,), uint64: what makes this draw another one than the subject's last.
        now: Shape (n,), int64.
        zone: Shape (n,), int16.
        X: Shape (n, d), float64.
        columns: For conditions.
        rows: Shape (n,), structured as the plan's layout; written by ``settle``.
        available: What may be spent out of each pool, in millionths.
        slots: Actions per row.
        denied: Reason bits that hold for every candidate but doing nothing.
        broken: Guardrails that failed to settle: they deny.
        protected: Its subjects are protected: the records are blank, and are not stored.
        leave: What people leave to the agent.
    """

    __repr__ = arrays.shown

    keys: U64
    ticket: U64
    now: I64
    zone: NDArray[np.int16]
    X: F64
    columns: Mapping[str, Column]
    rows: Records
    available: Mapping[str, int]
    slots: int
    denied: int = 0
    broken: frozenset[str] = frozenset()
    protected: bool = False
    leave: Leave = AUTONOMOUS


@attrs.define(eq=False)
class Walked:
    """What became of a wave.

    Only the first ``count`` rows are decided: after them a shared pool ran low, and the rest must be
    asked again.

    Attributes:
        count: Rows decided; 0 when a guardrail failed to settle, see ``broken``.
        arm: Shape (n,), uint8, index into ``ARMS``.
        denied: Shape (n, k), unsigned: reason bits of every candidate.
        drawn: The draw.
        policy_failed: Shape (n,), bool: somebody else than the policy decided.
        spent: Of each pool, in millionths, by the first ``count`` rows.
        failures: Names of guardrails and policies that raised or answered nonsense, with the error.
        reasons: Reason code by guardrail name.
        broken: Guardrails that failed to settle, now or before.
    """

    count: int
    arm: NDArray[np.uint8]
    denied: NDArray[Any]
    drawn: Drawn
    policy_failed: Bools
    spent: dict[str, int]
    failures: list[tuple[str, Exception]]
    reasons: dict[str, str]
    broken: frozenset[str]


@attrs.define(eq=False)
class Drawn:
    """Choices: shape (n, s) each. Slots after the one that does nothing do nothing, for certain.

    ``noise``, shape (n,), is the word the first slot was drawn with; it tags the record too.
    """

    noise: U64
    action: I64
    probability: F64
    explored: Bools
    score: F64
    spread: F64


@attrs.frozen
class ByHand:
    """Chooses what a person chose, if the rules allow it."""

    chosen: int
    name: str = "by_hand"

    def propose(self, batch: Batch, /) -> Proposal:
        """All weight on one column."""
        weights = np.zeros(batch.allowed.shape)
        weights[:, self.chosen] = 1.0
        return Proposal(weights)


def walk(plan: Plan, policy: Policy, wave: Wave, /) -> Walked:
    """Decide one wave."""
    failures: list[tuple[str, Exception]] = []
    reasons: dict[str, str] = {}
    batch, denied = lay_out(plan, wave)
    own = {name: plan.layout.part(wave.rows, name) for name in plan.stateful}
    guard(plan, batch, denied, wave, own, failures, reasons)
    if plan.remembered:
        batch.rows = plan.layout.part(wave.rows, POLICIES)
        batch.rows.flags.writeable = False
    if wave.protected:
        arm, policy = np.full(len(batch), PROTECTED, dtype=np.uint8), plan.protected
    elif wave.leave.chosen is not None:
        arm, policy = np.full(len(batch), BY_HAND, dtype=np.uint8), ByHand(wave.leave.chosen)
    else:
        arm = assign(plan, wave.keys)
    weighed = propose(plan, policy, batch, arm, failures)
    drawn = draw(plan, batch, weighed, wave.ticket, arm)
    count, spent = affordable(plan, drawn.action, wave)
    broken = wave.broken | settle(plan, batch, drawn.action, wave, own, count, failures)
    if len(broken) > len(wave.broken):
        count, spent = 0, dict.fromkeys(spent, 0)
    return Walked(count, arm, denied, drawn, weighed.failed, spent, failures, reasons, broken)


def lay_out(plan: Plan, wave: Wave, /) -> tuple[Batch, NDArray[Any]]:
    """Set out the candidates: when each would arrive, who is eligible, and who gets nothing at all."""
    catalogue, n = plan.catalogue, len(wave.keys)
    # Contended before the store went down: the bits of both are another code's.
    held = wave.denied & ~CONTENDED if wave.denied & STATE_UNAVAILABLE else wave.denied
    if wave.leave.stopped:
        held = STOPPED
    denied: NDArray[Any] = np.full((n, len(catalogue)), held, dtype=plan.denied_dtype)
    if plan.eligible:
        deny_ineligible(plan, wave.columns, denied)
    delivery = delivery_times(catalogue, wave.now, wave.zone)
    if _ANY(wave.rows[UNTIL] > wave.now) or _ANY(wave.rows[RESTRICTION]):
        stop(plan, wave, delivery, denied)
    batch = Batch(
        catalogue,
        wave.keys,
        wave.now,
        delivery,
        wave.zone,
        wave.X,
        wave.columns,
        denied == 0,
        wave.slots,
    )
    if len(catalogue.slotted):
        deny_unzoned(catalogue, wave.zone, denied)
    return batch, denied


def stop(plan: Plan, wave: Wave, delivery: I64, denied: NDArray[Any], /) -> None:
    """Strike out what would reach subjects who are suppressed, and everything for those restricted.

    No rule, arm, experiment or stand-in comes into it: it holds in every agent, whatever is listed there.
    """
    early = delivery < wave.rows[UNTIL][:, None]
    early &= plan.stoppable
    denied |= np.multiply(early, denied.dtype.type(SUPPRESSED), dtype=denied.dtype)
    denied[wave.rows[RESTRICTION]] |= denied.dtype.type(RESTRICTED)


def deny_ineligible(plan: Plan, columns: Mapping[str, Column], denied: NDArray[Any], /) -> None:
    """Write into ``denied`` which candidates these subjects are not eligible for."""
    for condition, asked in plan.eligible:
        truth = condition.evaluate_columns(columns, len(denied))
        verdict = np.where(truth.true, 0, np.where(truth.unknown, ELIGIBILITY_UNKNOWN, NOT_ELIGIBLE))
        denied[:, asked] |= verdict.astype(denied.dtype)[:, None]


def deny_unzoned(catalogue: Catalogue, zone: NDArray[np.int16], denied: NDArray[Any], /) -> None:
    """Write into ``denied`` which candidates have a local time that nobody can tell."""
    lost = (~zones.known(zone)).nonzero()[0]
    denied[np.ix_(lost, catalogue.slotted)] |= denied.dtype.type(ZONE_UNKNOWN)


def deny_outranked(catalogue: Catalogue, denied: NDArray[Any], /) -> None:
    """Write into ``denied`` what a mandatory message that may be sent outranks."""
    outranked = (denied[:, catalogue.mandatory] == 0).any(axis=1)
    denied[np.ix_(outranked, ~catalogue.mandatory)] |= denied.dtype.type(OUTRANKED)


def shown(batch: Batch, /) -> Batch:
    """The batch for a plugin: what it puts in its place is seen by nobody else."""
    return Batch(
        batch.catalogue,
        batch.keys,
        batch.now,
        batch.delivery,
        batch.zone,
        batch.X,
        batch.columns,
        batch.allowed,
        batch.slots,
        batch.rows,
        batch.available,
    )


def delivery_times(catalogue: Catalogue, now: I64, zone: NDArray[np.int16], /) -> I64:
    """When each candidate would reach the subject, shape (n, k)."""
    if catalogue.at_once:
        # Every column is the same one: `np.broadcast_to`, at a fifth of its price.
        same: I64 = np.ndarray((len(now), len(catalogue)), now.dtype, now.data, 0, (now.strides[0], 0))
        same.flags.writeable = False
        return same
    out = now[:, None] + catalogue.delay_us
    shared: dict[tuple[int, int], I64] = {}
    for column in catalogue.slotted.tolist():
        slot = int(catalogue.delay_us[column]), int(catalogue.send_minute[column])
        if slot not in shared:
            shared[slot] = zones.next_local(zone, out[:, column], slot[1])
        out[:, column] = shared[slot]
    return out


def guard(
    plan: Plan,
    batch: Batch,
    denied: NDArray[Any],
    wave: Wave,
    own: Mapping[str, Records],
    failures: list[tuple[str, Exception]],
    reasons: dict[str, str],
    /,
) -> None:
    """Ask every guardrail and write its denials into ``denied``; doing nothing stays possible."""
    for (name, guardrail), (rule, unknown) in zip(plan.guardrails.items(), plan.bits, strict=True):
        batch.rows, batch.available = own.get(name), wave.available.get(name)
        try:
            if name in wave.broken:
                raise RuntimeError(f"guardrail {name!r} failed to settle")
            review = guardrail.review(shown(batch))
            if not isinstance(review.reason, str) or not review.reason.isidentifier():
                raise TypeError(f"a reason must be a code such as 'QUIET_HOURS', got {review.reason!r}")
            bits = _denials(review, denied.shape, rule, unknown)
            reasons[name] = review.reason
        except Exception as error:  # noqa: BLE001 - a plugin is called: a failing guardrail denies
            failures.append((name, error))
            bits = rule | unknown
        if bits is not None:
            denied |= bits
    batch.rows = batch.available = None
    denied[:, plan.catalogue.idle] = 0
    if plan.catalogue.outranks:
        deny_outranked(plan.catalogue, denied)
    allowed = denied == 0
    allowed.flags.writeable = False
    batch.allowed = allowed


def _denials(
    review: Review,
    shape: tuple[int, int],
    rule: Any,  # numpy scalars
    unknown: Any,
) -> NDArray[Any] | None:
    """The bits of a review, broadcastable to ``shape``; ``None`` when it denies nothing."""
    allowed = _fitting(review.allowed, shape, "allowed")
    missing = None if review.unknown is None else _fitting(review.unknown, shape, "unknown")
    if np.count_nonzero(allowed) == allowed.size:
        return None
    return np.asarray(np.multiply(~allowed, rule if missing is None else np.where(missing, unknown, rule)))


def _fitting(answer: Bools, shape: tuple[int, int], what: str) -> Bools:
    """The answer, if it is bool and broadcastable."""
    if type(answer) is np.ndarray and answer.dtype == np.bool_ and answer.shape in {shape, (1, 1)}:
        return answer
    if hasattr(answer, "mask"):
        raise TypeError(f"{what} must be a plain array, got a masked one")
    found = np.asarray(answer)
    if found.ndim not in (0, 2):
        raise ValueError(f"{what} must have shape (n, 1), (1, k) or (n, k), got {found.shape}")
    if found.dtype != np.bool_:
        raise TypeError(f"{what} must be bool, got {found.dtype}")
    if np.broadcast_shapes(found.shape, shape) != shape:
        raise ValueError(f"{what} must be broadcastable to {shape}, got {found.shape}")
    return found


def assign(plan: Plan, keys: U64, /) -> NDArray[np.uint8]:
    """Which arm each subject is in, by a salted hash: the same in every process and forever."""
    arm = np.zeros(len(keys), dtype=np.uint8)
    if plan.holdout or plan.random_control:
        place = _noise.uniform(_noise.fold(plan.assignment, keys))
        arm[place < plan.holdout + plan.random_control] = RANDOM_CONTROL
        arm[place < plan.holdout] = HOLDOUT
    return arm


@attrs.define(eq=False)
class Weighed:
    """What there is to draw from.

    Attributes:
        weights: Shape (n, k), finite, not negative; 0 for what is not allowed. Every row has some, unless
            nothing at all is allowed.
        running: Shape (n, k): running sums of the weights.
        proposal: Scores and spreads, as the policy gave them.
        failed: Shape (n,), bool: the policy failed, and somebody else decided.
    """

    weights: F64
    running: F64
    proposal: Proposal
    failed: Bools


def propose(
    plan: Plan,
    policy: Policy,
    batch: Batch,
    arm: NDArray[np.uint8],
    failures: list[tuple[str, Exception]],
    /,
) -> Weighed:
    """Ask the policy, or whoever stands in for it: weights of allowed candidates, scores, who failed.

    A policy that gives no allowed candidate any weight has not failed: it wants nothing that may be done,
    and nothing is done.
    """
    weights, proposal = _ask(policy, batch, failures)
    if np.count_nonzero((weights >= 0) & (weights < _LARGEST)) == weights.size and not np.count_nonzero(arm):
        running = np.add.accumulate(weights, axis=1)
        if np.count_nonzero(running[:, -1]) == len(batch):
            return Weighed(weights, running, proposal, np.zeros(len(batch), dtype=np.bool_))
    weights = weights.copy()
    failed = _unsound(weights)[0]
    lost = np.count_nonzero(failed)
    if lost and proposal is not _NOTHING:
        failures.append((policy.name, ValueError(f"weights of {lost} rows are negative or not finite")))
    for rows, stand_in in (
        (failed.nonzero()[0], plan.fallback),
        ((arm == HOLDOUT).nonzero()[0], plan.control),
        ((arm == PROTECTED).nonzero()[0], plan.protected),
    ):
        if len(rows):
            part = batch.take(rows)
            weights[rows] = _ask(stand_in, part, failures)[0]
    random = arm == RANDOM_CONTROL
    weights[random] = batch.allowed[random]
    unsound, silent = _unsound(weights)
    empty = unsound | silent
    weights[empty] = 0.0
    idle = batch.allowed[:, plan.catalogue.idle]
    weights[empty & idle, plan.catalogue.idle] = 1.0
    # A mandatory message outranks doing nothing, even when nobody has an opinion on it.
    weights[empty & ~idle] = batch.allowed[empty & ~idle]
    certain = (arm == PROTECTED).nonzero()[0]
    if len(certain):
        best = weights[certain].argmax(axis=1)  # ties go to the first id
        weights[certain] = 0.0
        weights[certain, best] = 1.0
    failed &= arm == POLICY
    return Weighed(weights, np.add.accumulate(weights, axis=1), proposal, failed)


def _ask(policy: Policy, batch: Batch, failures: list[tuple[str, Exception]]) -> tuple[F64, Proposal]:
    """Weights of allowed candidates, 0 for others; ``nan`` everywhere when the policy failed."""
    allowed, shape = batch.allowed, batch.allowed.shape
    allowed.flags.writeable = False
    try:
        proposal = policy.propose(shown(batch))
        given = np.asarray(proposal.weights, dtype=np.float64)
        if given.shape != shape:
            raise ValueError(f"weights must have shape {shape}, got {given.shape}")
        extras = [
            None if extra is None else np.asarray(extra, dtype=np.float64)
            for extra in (proposal.score, proposal.spread)
        ]
        for extra in extras:
            if extra is not None and extra.shape != shape:
                raise ValueError(f"score and spread must have shape {shape}, got {extra.shape}")
        weights = given if np.count_nonzero(allowed) == allowed.size else np.where(allowed, given, 0.0)
        return weights, Proposal(given, *extras)
    except Exception as error:  # noqa: BLE001 - a plugin is called: a failing policy is replaced
        failures.append((getattr(policy, "name", type(policy).__name__), error))
        return np.full(shape, np.nan), _NOTHING


def _unsound(weights: F64) -> tuple[Bools, Bools]:
    """Rows with a weight that is negative, not finite or beyond any sum; rows without any weight."""
    most = np.maximum.reduce(weights, axis=1)
    sound: Bools = np.minimum.reduce(weights, axis=1) >= 0
    sound &= most < _LARGEST
    return ~sound, most == 0


def draw(
    plan: Plan,
    batch: Batch,
    weighed: Weighed,
    ticket: U64,
    arm: NDArray[np.uint8],
    /,
) -> Drawn:
    """Normalise, apply the exploration floor, and draw each slot with keyed noise.

    A slate is drawn without replacement, slot by slot: each slot's probability is the one given the
    slots before it. ``NO_ACTION`` ends a slate.
    """
    idle, rows = plan.catalogue.idle, np.arange(len(batch))
    weights, running = weighed.weights, weighed.running
    if plan.floor:
        weights = _floored(weights, running, batch.allowed, np.where(arm == POLICY, plan.floor, 0.0))
        running = np.add.accumulate(weights, axis=1)
    foreign = (arm != POLICY) | weighed.failed
    silent = foreign.nonzero()[0] if np.count_nonzero(foreign) else None
    noise = word = _noise.keyed(plan.seed, batch.keys, ticket)
    going: Bools | None = None
    drawn: list[tuple[I64, F64, Bools, F64, F64]] = []
    for slot in range(batch.slots):
        if slot:
            pick = drawn[-1][0]
            weights = weights.copy()
            weights[rows, pick] = 0.0
            running = np.add.accumulate(weights, axis=1)
            word = _noise.keyed(plan.seed, batch.keys, ticket, slot)
            going = pick != idle if going is None else going & (pick != idle)
        total = running[:, -1]
        mark = _noise.uniform(word)
        mark *= total
        # The first column whose running sum exceeds the mark; it has weight, so it is allowed.
        pick = (running > mark[:, None]).argmax(axis=1)
        if np.count_nonzero(mark < total) < len(mark):
            # The mark rounded up to the sum: so small are the weights, or there are none.
            beyond = (mark >= total).nonzero()[0]
            pick[beyond] = weights.shape[1] - 1 - np.argmax(weights[beyond, ::-1] > 0, axis=1)
        if going is not None:
            going &= total > 0
            pick, total = np.where(going, pick, idle), np.where(going, total, 1.0)
        taken = weights[rows, pick]
        chance, other = taken / total, taken < np.maximum.reduce(weights, axis=1)
        score, spread = (
            np.full(len(rows), np.nan) if given is None else given[rows, pick]
            for given in (weighed.proposal.score, weighed.proposal.spread)
        )
        if silent is not None:
            score[silent] = spread[silent] = np.nan
        if going is not None:
            over = ~going
            chance[over], other[over], score[over], spread[over] = 1.0, False, np.nan, np.nan
        drawn.append((pick, chance, other, score, spread))
    return Drawn(noise, *(_side_by_side(columns) for columns in zip(*drawn, strict=True)))


def _side_by_side(columns: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Columns of one dtype as a matrix."""
    return columns[0][:, None] if len(columns) == 1 else np.stack(columns, axis=1)


def _floored(weights: F64, running: F64, allowed: Bools, floor: F64) -> F64:
    total = running[:, -1:]
    many = allowed.sum(axis=1, keepdims=True)
    share = floor[:, None]
    return np.where(allowed, weights / total * (1.0 - share) + share / many, 0.0)


def probabilities(plan: Plan, policy: Policy, batch: Batch, /) -> F64:
    """The probability with which this policy would choose each candidate in the first slot, shape (n, k).

    What ``walk`` would draw from, after every rule that is in ``batch.allowed``; for evaluation.

    Raises:
        EvaluationError: The policy fails on a row.
    """
    failures: list[tuple[str, Exception]] = []
    weighed = propose(plan, policy, batch, np.zeros(len(batch), dtype=np.uint8), failures)
    return odds(plan, batch, weighed, failures)


def odds(plan: Plan, batch: Batch, weighed: Weighed, failures: Sequence[tuple[str, Exception]], /) -> F64:
    """The probabilities of what ``propose`` answered in the policy arm, shape (n, k).

    Raises:
        EvaluationError: The policy failed on a row.
    """
    weights, failed = weighed.weights, weighed.failed
    if failed.any():
        name, error = failures[0]
        raise EvaluationError(
            f"policy {name!r} failed on {int(failed.sum())} of {len(batch)} logged rows ({error}): what it"
            " would have chosen is not known",
            value=name,
        ) from error
    running = weighed.running
    if plan.floor:
        weights = _floored(weights, running, batch.allowed, np.full(len(batch), plan.floor))
        running = np.add.accumulate(weights, axis=1)
    return np.asarray(weights / running[:, -1:], dtype=np.float64)


def prices(price: NDArray[Any], action: I64, /) -> NDArray[Any]:
    """What each row's choices cost together: shape (n,), the dtype of ``price``."""
    return price[action[:, 0]] if action.shape[1] == 1 else price[action].sum(axis=1)


def affordable(plan: Plan, action: I64, wave: Wave, /) -> tuple[int, dict[str, int]]:
    """How many rows from the front the shared pools can pay, and what those rows spend.

    Row i was decided as if the pools still held what the wave began with. That is true as long as
    what is left before row i pays for every candidate that the wave's beginning could pay for.
    """
    count = len(action)
    totals = {}
    for name, charge in plan.charges.items():
        spent = prices(charge, action)
        totals[name] = np.add.accumulate(spent)
        available = wave.available[name]
        if plan.dearest[name] * wave.slots * (len(action) + 1) <= available:
            continue  # enough for everybody
        payable = charge[charge * wave.slots <= available]
        dearest = int(payable.max(initial=0)) * wave.slots
        before = available - (totals[name] - spent)
        count = min(count, int(np.searchsorted(-before, -dearest, side="right")))
    return count, {name: int(total[count - 1]) if count else 0 for name, total in totals.items()}


def settle(
    plan: Plan,
    batch: Batch,
    action: I64,
    wave: Wave,
    own: Mapping[str, Records],
    count: int,
    failures: list[tuple[str, Exception]],
    /,
) -> frozenset[str]:
    """Let every stateful guardrail write its fields of the first ``count`` rows; count the decision.

    Returns:
        Names of those that raised: what they watch over cannot be written, so they must deny.
    """
    decisions = wave.rows[_DECISIONS]
    if count < len(batch):
        batch, action, decisions = batch.take(slice(0, count)), action[:count], decisions[:count]
        own = {name: rows[:count] for name, rows in own.items()}
    decisions += 1
    broken = set()
    if plan.stateful:
        line = np.arange(len(batch))[:, None]
        chosen = Chosen(action, batch.delivery[line, action], action != plan.catalogue.idle)
        for column in (chosen.action, chosen.delivery, chosen.sends):
            column.flags.writeable = False  # all of them are told the same
        for name, component in plan.stateful.items():
            if name in wave.broken:
                continue
            batch.rows = own[name]
            try:
                component.settle(shown(batch), chosen)
            except Exception as error:  # noqa: BLE001 - a plugin is called: what cannot settle denies
                failures.append((name, error))
                broken.add(name)
        batch.rows = None
    return frozenset(broken)
