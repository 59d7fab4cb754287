"""What must hold for every policy, and for every one that learns?

A check takes a function that makes the policy, and raises ``AssertionError`` with the row, the action and
both values. It needs no test framework.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final

import attrs
import numpy as np

from agentic._codec import fingerprint
from agentic._restoring import dump, restore
from agentic.arrays import F64, Batch, Feedback, Layout, Proposal
from agentic.errors import CodecError
from agentic.protocols import Learner, Policy, Remembers, Storable
from agentic.testing import _build
from agentic.testing._compare import (
    Array,
    copied,
    fields_of,
    require,
    require_alone_equals_company,
    require_same,
    require_same_answers,
    require_untouched,
    together,
    unlike,
)
from agentic.testing._components import OTHER, OWN, bound, fitted, layout

MakePolicy = Callable[[], Policy]
MakeLearner = Callable[[], Learner]
MakeBatch = Callable[[], Batch]
MakeFeedback = Callable[[Batch], Feedback]
Check = Callable[..., None]  # takes what makes the part, and what it is tried on


def _asked(policy: Policy, of: Batch, fact: str, /) -> dict[str, Array]:
    """Ask the policy and check the form of its answer."""
    proposal = policy.propose(of)
    require(
        isinstance(proposal, Proposal),
        f"{fact}: propose must return a Proposal, got {type(proposal).__name__}",
    )
    # No score is the same as scores that are nan: that is what the flow makes of it.
    none = np.full(of.allowed.shape, np.nan)
    answer: dict[str, Array] = {
        "weights": np.asarray(proposal.weights),
        "score": none if proposal.score is None else np.asarray(proposal.score),
        "spread": none if proposal.spread is None else np.asarray(proposal.spread),
    }
    for what, values in answer.items():
        require(
            values.shape == of.allowed.shape,
            f"{fact}: {what} must have shape {of.allowed.shape}, got {values.shape} for {len(of)} rows",
        )
        require(values.dtype.kind == "f", f"{fact}: {what} must be float64, got {values.dtype}")
    return answer


def _require_sound(weights: F64, of: Batch, fact: str, /) -> None:
    for bad, what in ((~np.isfinite(weights), "finite"), (weights < 0, "not negative")):
        places = np.argwhere(bad)
        if len(places):
            row, column = places[0].tolist()
            raise AssertionError(
                f"{fact}: weights must be {what}, but row {row}, action {of.action_ids[column]!r} has"
                f" {float(weights[row, column])!r} (allowed: {bool(of.allowed[row, column])})"
            )
    with np.errstate(over="ignore"):
        total = np.cumsum(weights, axis=1)[:, -1] if weights.size else np.zeros(0)
    require(np.isfinite(total).all(), f"{fact}: the weights of a row must have a finite sum")


def check_weights_are_well_formed(make: MakePolicy, /, batch: MakeBatch | None = None) -> None:
    """Weights have shape (n, k) and are float64, finite, not negative; so do scores, where there are any."""
    fact = "weights are well-formed"
    policy, of = fitted(make, batch)
    require(isinstance(policy, Policy), f"{fact}: {type(policy).__name__} needs a name and propose(batch)")
    require(
        isinstance(policy.name, str) and policy.name, f"{fact}: a policy needs a name, got {policy.name!r}"
    )
    answer = _asked(policy, of, fact)
    require(
        answer["weights"].dtype == np.float64,
        f"{fact}: weights must be float64, got {answer['weights'].dtype}",
    )
    _require_sound(answer["weights"], of, fact)


def check_alone_equals_company(make: MakePolicy, /, batch: MakeBatch | None = None) -> None:
    """A row asked alone has the same bits as the row asked among up to 256 others, in every place."""
    fact = "a row alone equals the row in company"
    policy, of = fitted(make, batch)
    require_alone_equals_company(lambda part: _asked(policy, part, fact), of, fact)


def check_row_order_is_irrelevant(make: MakePolicy, /, batch: MakeBatch | None = None) -> None:
    """Rows in another order get the same answers in that order."""
    fact = "the order of rows is irrelevant"
    policy, of = fitted(make, batch)
    want = _asked(policy, of, fact)
    for rows in (np.arange(len(of))[::-1], np.random.default_rng(1).permutation(len(of))):
        require_same_answers(
            _asked(policy, of.take(rows), fact),
            {what: values[rows] for what, values in want.items()},
            fact,
            this="in another order",
            that="in the first",
            columns=of.action_ids,
            rows=rows,
        )


def check_asked_twice_answers_the_same(make: MakePolicy, /, batch: MakeBatch | None = None) -> None:
    """Asked again, the policy answers the same; and so does another one made the same way."""
    fact = "asked twice it answers the same"
    policy, of = fitted(make, batch)
    first = {what: values.copy() for what, values in _asked(policy, of, fact).items()}
    for again, this in ((policy, "the second time"), (fitted(make, batch)[0], "from a twin")):
        require_same_answers(
            _asked(again, of, fact), first, fact, this=this, that="the first time", columns=of.action_ids
        )


def check_inputs_are_left_alone(make: MakePolicy, /, batch: MakeBatch | None = None) -> None:
    """The policy writes to nothing it is given, and answers when everything is read-only."""
    fact = "inputs are left alone"
    policy, of = fitted(make, batch)
    mine = copied(of, writeable=True)
    policy.propose(mine)
    require_untouched(of, mine, fact)
    policy.propose(of)


def check_masks_are_met_with_finite_weights(make: MakePolicy, /, batch: MakeBatch | None = None) -> None:
    """With everything allowed, with much struck out and with a single candidate, weights stay sound."""
    fact = "masks are met with finite weights"
    policy, of = fitted(make, batch)
    idle = of.catalogue.idle
    few = np.random.default_rng(2).random(of.allowed.shape) < 0.2
    few[:, idle] = True
    for allowed in (np.ones_like(of.allowed), few):
        part = copied(attrs.evolve(of, allowed=allowed))
        _require_sound(_asked(policy, part, fact)["weights"], part, fact)


def check_nothing_but_no_action_allowed(make: MakePolicy, /, batch: MakeBatch | None = None) -> None:
    """Where only `NO_ACTION` is left the policy still answers with sound weights."""
    _check_only(make, batch, None, "nothing but NO_ACTION allowed")


def check_one_action_allowed(make: MakePolicy, /, batch: MakeBatch | None = None) -> None:
    """Where one action is left, with or without `NO_ACTION`, the policy answers with sound weights."""
    fact = "one action allowed"
    _, of = fitted(make, batch)
    for column in range(len(of.catalogue)):
        _check_only(make, batch, column, fact)


def _check_only(make: MakePolicy, batch: MakeBatch | None, column: int | None, fact: str) -> None:
    policy, of = fitted(make, batch)
    idle = of.catalogue.idle
    for beside in {True, column is None}:
        allowed = np.zeros_like(of.allowed)
        allowed[:, idle] = beside
        if column is not None:
            allowed[:, column] = True
        part = copied(attrs.evolve(of, allowed=allowed))
        _require_sound(_asked(policy, part, fact)["weights"], part, fact)


def check_no_rows(make: MakePolicy, /, batch: MakeBatch | None = None) -> None:
    """A batch without rows gets an answer without rows."""
    fact = "no rows in, no rows out"
    policy, of = fitted(make, batch)
    _asked(policy, of.take(slice(0, 0)), fact)


def check_fingerprint_is_stable(make: MakePolicy, /, batch: MakeBatch | None = None) -> None:
    """Two policies made the same way have one fingerprint, and asking does not change it."""
    fact = "the fingerprint is stable"
    policy, of = fitted(make, batch)
    first = _print_of(policy, fact)
    policy.propose(of)
    for other, what in ((policy, "after it was asked"), (fitted(make, batch)[0], "of a twin")):
        found = _print_of(other, fact)
        require(found == first, f"{fact}: it is {found} {what} and was {first}: {type(policy).__name__}")


def check_fingerprint_follows_the_fields(make: MakePolicy, /, batch: MakeBatch | None = None) -> None:
    """Another value in any field of an attrs class is another fingerprint."""
    fact = "the fingerprint follows the fields"
    policy, _ = fitted(make, batch)
    first = _print_of(policy, fact)
    kind: type[Any] = type(policy)  # an attrs class or not, asked next
    for field in attrs.fields(kind) if attrs.has(kind) else ():
        if field.init and not field.metadata.get("derived"):
            value = getattr(policy, field.name)
            for other in _others(value):
                twin = copy.copy(policy)
                # Past validators: what is hashed here is never asked.
                object.__setattr__(twin, field.name, other)
                require(
                    _print_of(twin, fact) != first,
                    f"{fact}: it is {first} with {field.name} {value!r} and with {other!r}",
                )


def _print_of(policy: Policy, fact: str) -> str:
    try:
        return fingerprint(policy)
    except CodecError as error:
        raise AssertionError(f"{fact}: {type(policy).__name__} has none: {error}") from error


def _others(value: Any) -> list[Any]:  # a field may hold anything
    """Values of the same kind that are not this one, as far as we know how."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1]
    if isinstance(value, float):
        return [float(np.nextafter(value, np.inf)), value + 1.0]
    if isinstance(value, str):
        return [f"{value}x"]
    if isinstance(value, timedelta):
        return [value + timedelta(microseconds=1)]
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
        return [value + 1, value[:-1]] if value.ndim else [value + 1]
    if isinstance(value, tuple) and value:
        return [value[:-1]]
    if isinstance(value, Mapping) and value:
        return [dict(list(value.items())[:-1])]
    return []


def check_eight_threads_get_the_same(make: MakePolicy, /, batch: MakeBatch | None = None) -> None:
    """Eight threads that ask one policy at once get what one thread gets."""
    fact = "eight threads get the same"
    policy, of = fitted(make, batch)
    want = {what: values.copy() for what, values in _asked(policy, of, fact).items()}

    def work(number: int) -> None:
        for turn in range(4):
            rows = np.roll(np.arange(len(of)), number * 31 + turn)
            require_same_answers(
                _asked(policy, of.take(rows), fact),
                {what: values[rows] for what, values in want.items()},
                fact,
                this=f"in thread {number}",
                that="in one thread",
                columns=of.action_ids,
                rows=rows,
            )

    together(work)


def policy_checks() -> dict[str, Check]:
    """The checks every policy must pass, by name."""
    return dict(_POLICY)


def _taught(
    make: MakeLearner, batch: MakeBatch | None, feedback: MakeFeedback | None, /
) -> tuple[Learner, Batch, Feedback]:
    """A policy, a batch to ask it with, and feedback to teach it."""
    policy, of = fitted(make, batch)
    told = _build.feedback(_build.tiled(of, 1000)) if feedback is None else feedback(of)
    return policy, of, _told_of_subjects(policy, told, of)


def _told_of_subjects(policy: Policy, told: Feedback, of: Batch) -> Feedback:
    """The feedback with the records of its subjects, blank ones, if the policy keeps any."""
    if not isinstance(policy, Remembers) or not policy.fields or told.rows is not None:
        return told
    keys, number = np.unique(told.keys, return_inverse=True)
    shape = layout(policy)
    rows = shape.part(shape.new(len(keys)), OWN)
    rows.flags.writeable = False
    # Whom the batch does not hold, nothing is known of.
    order = np.argsort(of.keys, kind="stable")
    place = order[np.searchsorted(of.keys[order], keys).clip(max=max(len(of) - 1, 0))] if len(of) else order
    columns = of.take(place[number.reshape(-1)]).columns if len(of) else {}
    return attrs.evolve(told, columns=columns, rows=rows, subject=number.reshape(-1))


def check_learning_leaves_the_old_value_alone(
    make: MakeLearner, /, batch: MakeBatch | None = None, feedback: MakeFeedback | None = None
) -> None:
    """After ``learn`` the old policy answers with the same bits, and keeps its fingerprint."""
    fact = "learning leaves the old value alone"
    policy, of, told = _taught(make, batch, feedback)
    want = {what: values.copy() for what, values in _asked(policy, of, fact).items()}
    first = _print_of(policy, fact)
    new = policy.learn(told).learn(told)
    require(
        type(new) is type(policy),
        f"{fact}: learn must return the next {type(policy).__name__}, got {type(new).__name__}",
    )
    require_same_answers(
        _asked(policy, of, fact), want, fact, this="after learning", that="before", columns=of.action_ids
    )
    found = _print_of(policy, fact)
    require(found == first, f"{fact}: the old policy's fingerprint was {first} and is {found}")


def check_learning_is_a_new_version(
    make: MakeLearner, /, batch: MakeBatch | None = None, feedback: MakeFeedback | None = None
) -> None:
    """The policy that learned has another fingerprint: its version is the hash of what it knows."""
    fact = "learning is a new version"
    policy, _, told = _taught(make, batch, feedback)
    first, second = _print_of(policy, fact), _print_of(policy.learn(told), fact)
    require(first != second, f"{fact}: the fingerprint is {first} before and after {len(told)} rewards")


def check_feedback_is_left_alone(
    make: MakeLearner, /, batch: MakeBatch | None = None, feedback: MakeFeedback | None = None
) -> None:
    """``learn`` writes to nothing it is given, and learns when everything is read-only."""
    fact = "feedback is left alone"
    policy, _, told = _taught(make, batch, feedback)
    held = {field.name: getattr(told, field.name) for field in attrs.fields(Feedback)}
    arrays: dict[str, Any] = {n: values for n, values in held.items() if isinstance(values, np.ndarray)}
    mine = attrs.evolve(told, **{name: values.copy() for name, values in arrays.items()})
    policy.learn(mine)
    for name, values in arrays.items():
        require_same(getattr(mine, name), values, fact, what=name, this="after", that="before")
    for values in (fixed := {name: values.copy() for name, values in arrays.items()}).values():
        values.flags.writeable = False
    policy.learn(attrs.evolve(told, **fixed))


def check_learning_from_nothing(
    make: MakeLearner, /, batch: MakeBatch | None = None, feedback: MakeFeedback | None = None
) -> None:
    """Feedback without rows is learned from without complaint, before and after real feedback."""
    fact = "learning from nothing"
    policy, of, told = _taught(make, batch, feedback)
    nothing = told.take(slice(0, 0))
    for new in (policy.learn(nothing), policy.learn(told).learn(nothing)):
        _require_sound(_asked(new, of, fact)["weights"], of, fact)


def check_binding_again_keeps_what_was_learned(
    make: MakeLearner, /, batch: MakeBatch | None = None, feedback: MakeFeedback | None = None
) -> None:
    """A policy that learned answers the same after it was bound to the same space again."""
    fact = "binding again keeps what was learned"
    policy, of, told = _taught(make, batch, feedback)
    learned = policy.learn(told)
    require_same_answers(
        _asked(bound(learned, of), of, fact),
        _asked(learned, of, fact),
        fact,
        this="bound again",
        that="before",
        columns=of.action_ids,
    )


def check_what_learned_is_still_a_policy(
    make: MakeLearner, /, batch: MakeBatch | None = None, feedback: MakeFeedback | None = None
) -> None:
    """The policy that learned passes every check of a policy."""
    for check in _POLICY.values():
        check(lambda: _learned(make, batch, feedback), batch)


def _learned(make: MakeLearner, batch: MakeBatch | None, feedback: MakeFeedback | None) -> Policy:
    policy, _, told = _taught(make, batch, feedback)
    return policy.learn(told)


def check_what_learned_can_be_stored(
    make: MakeLearner, /, batch: MakeBatch | None = None, feedback: MakeFeedback | None = None
) -> None:
    """Stored and restored it has the same fingerprint, answers with the same bits and learns the same.

    A policy whose ``to_data`` raises ``CodecError`` says that it cannot be stored, and is let off.
    """
    fact = "what learned can be stored"
    policy, of, told = _taught(make, batch, feedback)
    learned = policy.learn(told)
    if _declines(learned):
        return
    for old, this in ((policy, "before it learned"), (learned, "after it learned")):
        first = _print_of(old, fact)
        for template in (make(), policy):
            try:
                data = dump(old, template)
                new: Any = bound(restore(template, data), of)  # and still learns
                again = dump(new, template)
            except CodecError as error:
                raise AssertionError(
                    f"{fact}: {type(old).__name__} cannot be stored and restored {this}: {error}"
                ) from error
            found = _print_of(new, fact)
            require(found == first, f"{fact}: the fingerprint was {first} {this} and is {found} restored")
            require(again == data, f"{fact}: stored a second time {type(old).__name__} is other data")
            require_same_answers(
                _asked(new, of, fact),
                _asked(old, of, fact),
                fact,
                this="restored",
                that=this,
                columns=of.action_ids,
            )
            found, want = _print_of(new.learn(told), fact), _print_of(old.learn(told), fact)
            require(found == want, f"{fact}: restored it learns to be {found}, without it would be {want}")


def _declines(policy: Policy) -> bool:
    """Whether a policy says that it cannot be stored."""
    try:
        if isinstance(policy, Storable):
            policy.to_data()
    except CodecError:
        return True
    return False


def check_two_batches_teach_what_one_does(
    make: MakeLearner, /, batch: MakeBatch | None = None, feedback: MakeFeedback | None = None
) -> None:
    """Feedback in two parts, in either order, teaches what it teaches in one, but for rounding."""
    fact = "two batches teach what one does"
    policy, of, told = _taught(make, batch, feedback)
    order = np.random.default_rng(3).permutation(len(told))
    head, tail = told.take(order[: len(told) // 3]), told.take(order[len(told) // 3 :])
    want = _asked(policy.learn(told), of, fact)["weights"]
    for new, this in (
        (policy.learn(head).learn(tail), "in two batches"),
        (policy.learn(tail).learn(head), "in two, the other way round"),
    ):
        got = _asked(new, of, fact)["weights"]
        far = np.abs(got - want) > 1e-6 * np.maximum(1.0, np.abs(want))
        places = np.argwhere(far)
        if len(places):
            row, column = places[0].tolist()
            raise AssertionError(
                f"{fact}: weights of row {row}, action {of.action_ids[column]!r} is"
                f" {float(got[row, column])!r}"
                f" {this} and {float(want[row, column])!r} in one"
            )


MakeRemembering = Callable[[], Any]  # a Learner that Remembers


def _remembering(
    make: MakeRemembering, batch: MakeBatch | None, feedback: MakeFeedback | None, fact: str, /
) -> tuple[Any, Feedback, Layout]:
    """A policy that has learned from feedback it has not remembered yet, the feedback, and the records."""
    policy, _, told = _taught(make, batch, feedback)
    require(
        isinstance(policy, Remembers) and policy.fields,
        f"{fact}: {type(policy).__name__} needs fields and remember(feedback, rows)",
    )
    learned: Any = policy.learn(told)  # and still remembers
    return learned, told, layout(learned)


def _remembered(policy: Any, told: Feedback, shape: Layout, /) -> dict[str, Array]:
    """What blank records hold after a feedback, field by field, other components' too."""
    count = 0 if told.rows is None else len(told.rows)
    whole = shape.new(count)
    policy.remember(told, shape.part(whole, OWN))
    return fields_of(whole)


def check_remembered_fields_fit_a_record(
    make: MakeRemembering, /, batch: MakeBatch | None = None, feedback: MakeFeedback | None = None
) -> None:
    """Fields have distinct names and fixed widths, and learning changes neither names nor widths."""
    fact = "remembered fields fit a record"
    policy, told, shape = _remembering(make, batch, feedback, fact)
    require(
        layout(policy).fingerprint == shape.fingerprint == layout(policy.learn(told)).fingerprint,
        f"{fact}: {type(policy).__name__} has other fields after learning",
    )


def check_remember_writes_only_its_own_fields(
    make: MakeRemembering, /, batch: MakeBatch | None = None, feedback: MakeFeedback | None = None
) -> None:
    """``remember`` writes to its own fields of some records, and to nothing else it is given."""
    fact = "remember writes only its own fields"
    policy, told, shape = _remembering(make, batch, feedback, fact)
    held = {field.name: getattr(told, field.name) for field in attrs.fields(Feedback)}
    before = {name: values.copy() for name, values in held.items() if isinstance(values, np.ndarray)}
    first = _print_of(policy, fact)
    blank = fields_of(shape.new(0 if told.rows is None else len(told.rows)))
    after = _remembered(policy, told, shape)
    for name, values in before.items():
        require_same(getattr(told, name), values, fact, what=name, this="after", that="before")
    for name, values in after.items():
        if name.startswith(f"{OTHER}."):
            require_same(values, blank[name], fact, what=name, this="after", that="before")
    changed = any(unlike(values, blank[name]).any() for name, values in after.items())
    require(changed, f"{fact}: {len(told)} rewards change no record")
    found = _print_of(policy, fact)
    require(found == first, f"{fact}: the policy's fingerprint was {first} and is {found}")


def check_remember_alone_equals_company(
    make: MakeRemembering, /, batch: MakeBatch | None = None, feedback: MakeFeedback | None = None
) -> None:
    """What is remembered of a subject has the same bits whoever else is in the feedback, in any order."""
    fact = "a subject alone is remembered as in company"
    policy, told, shape = _remembering(make, batch, feedback, fact)
    want = _remembered(policy, told, shape)
    count = 0 if told.rows is None else len(told.rows)
    turned = np.random.default_rng(4).permutation(count)
    for which in [*(np.array([row]) for row in range(count)), turned, turned[: count // 2]]:
        got = _remembered(policy, told.about(which), shape)
        for name, values in got.items():
            require_same(
                values, want[name][which], fact, what=name, this=f"among {len(which)}", that="among all"
            )


def check_remember_twice_is_the_same(
    make: MakeRemembering, /, batch: MakeBatch | None = None, feedback: MakeFeedback | None = None
) -> None:
    """The same feedback on the same records leaves the same, also from a policy made the same way."""
    fact = "remembered twice is the same"
    policy, told, shape = _remembering(make, batch, feedback, fact)
    want = _remembered(policy, told, shape)
    for again, this in (
        (policy, "the second time"),
        (_remembering(make, batch, feedback, fact)[0], "by a twin"),
    ):
        for name, values in _remembered(again, told, shape).items():
            require_same(values, want[name], fact, what=name, this=this, that="the first time")


def check_remember_one_by_one(
    make: MakeRemembering, /, batch: MakeBatch | None = None, feedback: MakeFeedback | None = None
) -> None:
    """Several choices of one subject at once leave what they leave one after the other, but for rounding."""
    fact = "remembered one by one"
    policy, told, shape = _remembering(make, batch, feedback, fact)
    want = _remembered(policy, told, shape)
    whole = shape.new(0 if told.rows is None else len(told.rows))
    for lo in range(0, len(told), max(1, len(told) // 7)):
        policy.remember(told.take(slice(lo, lo + max(1, len(told) // 7))), shape.part(whole, OWN))
    for name, values in fields_of(whole).items():
        if values.dtype.kind == "f":
            scale = np.abs(want[name]).max(initial=1.0)
            far = np.abs(values - want[name]).max(initial=0.0)
            require(far <= 1e-4 * scale, f"{fact}: {name} is off by {far!r} in seven parts, of {scale!r}")
        else:
            require_same(values, want[name], fact, what=name, this="in seven parts", that="at once")


def check_remember_nothing(
    make: MakeRemembering, /, batch: MakeBatch | None = None, feedback: MakeFeedback | None = None
) -> None:
    """Feedback without rows changes no record."""
    fact = "nothing to remember changes nothing"
    policy, told, shape = _remembering(make, batch, feedback, fact)
    blank = fields_of(shape.new(0 if told.rows is None else len(told.rows)))
    for name, values in _remembered(policy, told.take(slice(0, 0)), shape).items():
        require_same(values, blank[name], fact, what=name, this="after", that="before")


def remembering_checks() -> dict[str, Check]:
    """The checks of a policy that keeps something about each subject, by name."""
    return dict(_REMEMBERING)


def learner_checks() -> dict[str, Check]:
    """The checks every policy that learns must pass beyond those of a policy, by name."""
    return dict(_LEARNER)


def additive_learner_checks() -> dict[str, Check]:
    """The checks of a learner that claims to keep statistics that add, by name."""
    return dict(_ADDITIVE)


_POLICY: Final[Mapping[str, Check]] = {
    "weights_are_well_formed": check_weights_are_well_formed,
    "alone_equals_company": check_alone_equals_company,
    "row_order_is_irrelevant": check_row_order_is_irrelevant,
    "asked_twice_answers_the_same": check_asked_twice_answers_the_same,
    "inputs_are_left_alone": check_inputs_are_left_alone,
    "masks_are_met_with_finite_weights": check_masks_are_met_with_finite_weights,
    "nothing_but_no_action_allowed": check_nothing_but_no_action_allowed,
    "one_action_allowed": check_one_action_allowed,
    "no_rows": check_no_rows,
    "fingerprint_is_stable": check_fingerprint_is_stable,
    "fingerprint_follows_the_fields": check_fingerprint_follows_the_fields,
    "eight_threads_get_the_same": check_eight_threads_get_the_same,
}
_LEARNER: Final[Mapping[str, Check]] = {
    "learning_leaves_the_old_value_alone": check_learning_leaves_the_old_value_alone,
    "learning_is_a_new_version": check_learning_is_a_new_version,
    "feedback_is_left_alone": check_feedback_is_left_alone,
    "learning_from_nothing": check_learning_from_nothing,
    "binding_again_keeps_what_was_learned": check_binding_again_keeps_what_was_learned,
    "what_learned_is_still_a_policy": check_what_learned_is_still_a_policy,
    "what_learned_can_be_stored": check_what_learned_can_be_stored,
}
_REMEMBERING: Final[Mapping[str, Check]] = {
    "remembered_fields_fit_a_record": check_remembered_fields_fit_a_record,
    "remember_writes_only_its_own_fields": check_remember_writes_only_its_own_fields,
    "remember_alone_equals_company": check_remember_alone_equals_company,
    "remember_twice_is_the_same": check_remember_twice_is_the_same,
    "remember_one_by_one": check_remember_one_by_one,
    "remember_nothing": check_remember_nothing,
}
_ADDITIVE: Final[Mapping[str, Check]] = {
    "two_batches_teach_what_one_does": check_two_batches_teach_what_one_does,
}
