"""What must hold for every guardrail, and for every component with fields of its own?"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import attrs
import numpy as np

from agentic import zones
from agentic.arrays import Batch, Bools, Chosen, Records, Review
from agentic.conditions import Coded, Column
from agentic.protocols import Guardrail, Hears, Stateful
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
from agentic.testing._components import FACTS, OTHER, OWN, fitted, layout
from agentic.types import Fact

MakeGuardrail = Callable[[], Guardrail]
MakeStateful = Callable[[], Any]  # Stateful, and whatever else it is
MakeBatch = Callable[[], Batch]
Check = Callable[..., None]  # takes what makes the part, and what it is tried on


def _reviewed(guardrail: Guardrail, of: Batch, fact: str, /) -> dict[str, Array]:
    """Ask the guardrail, check the form of its answer, and spread it over all candidates."""
    review = guardrail.review(of)
    require(isinstance(review, Review), f"{fact}: review must return a Review, got {type(review).__name__}")
    answer = {"allowed": _spread(review.allowed, of, "allowed", fact)}
    unknown = np.zeros((), dtype=np.bool_) if review.unknown is None else review.unknown
    answer["unknown"] = _spread(unknown, of, "unknown", fact)
    return answer


def _spread(values: Bools, of: Batch, what: str, fact: str) -> Bools:
    array, shape = np.asarray(values), of.allowed.shape
    require(array.dtype == np.bool_, f"{fact}: {what} must be bool, got {array.dtype}")
    fits = array.ndim <= len(shape) and all(
        have in {1, want} for have, want in zip(array.shape[::-1], shape[::-1], strict=False)
    )
    require(fits, f"{fact}: {what} must be broadcastable to {shape}, got {array.shape}")
    return np.broadcast_to(array, shape).copy()


def check_review_is_well_formed(make: MakeGuardrail, /, batch: MakeBatch | None = None) -> None:
    """``allowed`` and ``unknown`` are bool and broadcastable to (n, k), also for one row and for none."""
    fact = "the review is well-formed"
    guardrail, of = fitted(make, batch)
    name = type(guardrail).__name__
    require(isinstance(guardrail, Guardrail), f"{fact}: {name} needs a name and review(batch)")
    require(
        isinstance(guardrail.name, str) and re.fullmatch(r"[a-z][a-z0-9_]*", guardrail.name),
        f"{fact}: a guardrail's name is a lower-case word, got {guardrail.name!r}",
    )
    for part in (of, of.take(slice(0, 1)), of.take(slice(0, 0)), _build.tiled(of, len(of.catalogue))):
        _reviewed(guardrail, part, fact)


def check_reason_is_a_code(make: MakeGuardrail, /, batch: MakeBatch | None = None) -> None:
    """The reason is an upper-case code, the same for every batch."""
    fact = "the reason is a code"
    guardrail, of = fitted(make, batch)
    reasons = [guardrail.review(part).reason for part in (of, of.take(slice(0, 1)), of.take(slice(0, 0)))]
    for reason in reasons:
        require(
            isinstance(reason, str) and re.fullmatch(r"[A-Z][A-Z0-9_]{0,39}", reason),
            f"{fact}: it is an upper-case word such as 'QUIET_HOURS', got {reason!r}",
        )
    require(len(set(reasons)) == 1, f"{fact}: it depends on the batch: {reasons!r}")


def check_review_alone_equals_company(make: MakeGuardrail, /, batch: MakeBatch | None = None) -> None:
    """A row reviewed alone gets the answer it gets among up to 256 others, in every place."""
    fact = "a row alone equals the row in company"
    guardrail, of = fitted(make, batch)
    require_alone_equals_company(lambda part: _reviewed(guardrail, part, fact), of, fact)


def check_review_twice_is_the_same(make: MakeGuardrail, /, batch: MakeBatch | None = None) -> None:
    """Asked again, the guardrail answers the same."""
    fact = "asked twice it answers the same"
    guardrail, of = fitted(make, batch)
    first = _reviewed(guardrail, of, fact)
    require_same_answers(
        _reviewed(guardrail, of, fact),
        first,
        fact,
        this="the second time",
        that="the first",
        columns=of.action_ids,
    )


def check_review_leaves_inputs_alone(make: MakeGuardrail, /, batch: MakeBatch | None = None) -> None:
    """``review`` writes to nothing it is given, its own fields included."""
    fact = "inputs are left alone"
    guardrail, of = fitted(make, batch)
    mine = copied(of, writeable=True)
    guardrail.review(mine)
    require_untouched(of, mine, fact)
    guardrail.review(of)


def check_no_action_is_irrelevant(make: MakeGuardrail, /, batch: MakeBatch | None = None) -> None:
    """Whether `NO_ACTION` may be chosen changes nothing for the others."""
    fact = "NO_ACTION is irrelevant"
    guardrail, of = fitted(make, batch)
    idle = of.catalogue.idle
    rest = np.flatnonzero(of.catalogue.sends)
    without = of.allowed.copy()
    without[:, idle] = False
    want = _reviewed(guardrail, of, fact)
    got = _reviewed(guardrail, copied(attrs.evolve(of, allowed=without)), fact)
    require_same_answers(
        {what: values[:, rest] for what, values in got.items()},
        {what: values[:, rest] for what, values in want.items()},
        fact,
        this="without NO_ACTION",
        that="with it",
        columns=[of.action_ids[i] for i in rest.tolist()],
    )


def check_unknown_is_denied(make: MakeGuardrail, /, batch: MakeBatch | None = None) -> None:
    """What is not known is not allowed."""
    fact = "unknown is denied"
    guardrail, of = fitted(make, batch)
    for part in (of, _ignorant(of)):
        answer = _reviewed(guardrail, part, fact)
        both = np.argwhere(answer["allowed"] & answer["unknown"] & of.catalogue.sends)
        if len(both):
            row, column = both[0].tolist()
            raise AssertionError(
                f"{fact}: row {row}, action {of.action_ids[column]!r} is allowed and unknown at once"
            )


def check_ignorance_does_not_raise(make: MakeGuardrail, /, batch: MakeBatch | None = None) -> None:
    """Unknown time zones and missing feature values are answered, not raised about."""
    fact = "ignorance does not raise"
    guardrail, of = fitted(make, batch)
    _reviewed(guardrail, _ignorant(of), fact)


def check_slates_are_reviewed(make: MakeGuardrail, /, batch: MakeBatch | None = None) -> None:
    """With several slots, what is allowed is allowed with one slot as well."""
    fact = "more slots allow no more"
    guardrail, of = fitted(make, batch)
    one = _reviewed(guardrail, of, fact)["allowed"]
    for slots in (2, len(of.catalogue)):
        more = np.argwhere(_reviewed(guardrail, attrs.evolve(of, slots=slots), fact)["allowed"] & ~one)
        if len(more):
            row, column = more[0].tolist()
            raise AssertionError(
                f"{fact}: row {row}, action {of.action_ids[column]!r} is allowed with {slots} slots"
                " and denied"
                " with one"
            )


def check_eight_threads_review_the_same(make: MakeGuardrail, /, batch: MakeBatch | None = None) -> None:
    """Eight threads that ask one guardrail at once get what one thread gets."""
    fact = "eight threads get the same"
    guardrail, of = fitted(make, batch)
    want = _reviewed(guardrail, of, fact)

    def work(number: int) -> None:
        for turn in range(4):
            rows = np.roll(np.arange(len(of)), number * 31 + turn)
            require_same_answers(
                _reviewed(guardrail, of.take(rows), fact),
                {what: values[rows] for what, values in want.items()},
                fact,
                this=f"in thread {number}",
                that="in one thread",
                columns=of.action_ids,
                rows=rows,
            )

    together(work)


def _ignorant(of: Batch) -> Batch:
    """The same batch with every zone unknown and every feature value missing."""

    def lost(column: Column) -> Column:
        if isinstance(column, Coded):
            return Coded(np.full(len(column.codes), np.nan), column.categories)
        return np.full(len(column), np.nan) if column.dtype.kind == "f" else column

    return copied(
        attrs.evolve(
            of,
            zone=np.full(len(of), zones.UNKNOWN, dtype=np.int16),
            columns={name: lost(column) for name, column in of.columns.items()},
        )
    )


def guardrail_checks() -> dict[str, Check]:
    """The checks every guardrail must pass, by name."""
    return dict(_GUARDRAIL)


def _settled(component: Stateful, of: Batch, picked: Chosen, /) -> dict[str, Array]:
    """Settle on a copy of the rows; the component's fields afterwards."""
    mine = copied(of, writeable=True)
    rows = mine.rows
    component.settle(mine, picked)
    return {name: values.copy() for name, values in fields_of(_rows(rows)).items()}


def _rows(rows: Records | None) -> Records:
    require(rows is not None, "settle: a component with settle() must declare fields")
    return rows  # type: ignore[return-value]  # required above


def _picks(of: Batch) -> list[Chosen]:
    return [_frozen(_build.chosen(of, slots=slots, seed=9)) for slots in (1, 2)]


def _frozen(picked: Chosen) -> Chosen:
    for values in (picked.action, picked.delivery, picked.sends):
        values.flags.writeable = False
    return picked


def _cut(picked: Chosen, rows: Array) -> Chosen:
    return Chosen(picked.action[rows], picked.delivery[rows], picked.sends[rows])


def check_fields_fit_a_layout(make: MakeStateful, /, batch: MakeBatch | None = None) -> None:
    """The fields have fixed widths and distinct names, and are the same each time they are asked for."""
    fact = "the fields fit a layout"
    component, _ = fitted(make, batch)
    require(isinstance(component, Stateful), f"{fact}: {type(component).__name__} needs fields and settle()")
    shape = layout(component)
    require(
        layout(component).fingerprint == shape.fingerprint,
        f"{fact}: they change between two looks: {[field.name for field in component.fields]!r}",
    )
    twin = layout(fitted(make, batch)[0])
    require(
        twin.fingerprint == shape.fingerprint, f"{fact}: a twin has others: {twin.dtype} and {shape.dtype}"
    )
    for field in component.fields:
        require(
            field.role in {"behaviour", "profile"},
            f"{fact}: {field.name!r} must have the role 'behaviour' or 'profile', got {field.role!r}",
        )


def check_settle_writes_only_its_own_fields(make: MakeStateful, /, batch: MakeBatch | None = None) -> None:
    """``settle`` changes nothing but its own fields of the rows: no neighbour's field, no other input."""
    fact = "settle writes only its own fields"
    component, of = fitted(make, batch)
    shape = layout(component)
    for picked in _picks(of):
        records = shape.new(len(of))
        records[[f"{OWN}.{name}" for name in fields_of(_rows(of.rows))]] = _rows(of.rows)
        mine = copied(of, writeable=True)
        mine.rows = shape.part(records, OWN)
        given = _cut(picked, np.arange(len(of)))
        component.settle(mine, given)
        require_untouched(of, mine, fact, but="rows")
        fresh = shape.part(shape.new(len(of)), OTHER)
        for name, values in fields_of(shape.part(records, OTHER)).items():
            require_same(
                values, fresh[name], fact, what=f"another component's {name!r}", this="after", that="before"
            )
        for field in attrs.fields(Chosen):
            require_same(
                getattr(given, field.name),
                getattr(picked, field.name),
                fact,
                what=f"chosen.{field.name}",
                this="after",
                that="before",
            )


def check_settle_alone_equals_company(make: MakeStateful, /, batch: MakeBatch | None = None) -> None:
    """A row settled alone gets the bytes it gets in company."""
    fact = "a row settled alone equals the row in company"
    component, of = fitted(make, batch)
    for picked in _picks(of):
        want = _settled(component, of, picked)
        for row in range(len(of)):
            rows = np.array([row])
            require_same_answers(
                _settled(component, of.take(rows), _cut(picked, rows)),
                {name: values[rows] for name, values in want.items()},
                fact,
                this="alone",
                that=f"in a company of {len(of)}",
                rows=rows,
            )
        for rows in (np.arange(len(of))[::-1], np.random.default_rng(4).permutation(len(of))[: len(of) // 2]):
            require_same_answers(
                _settled(component, of.take(rows), _cut(picked, rows)),
                {name: values[rows] for name, values in want.items()},
                fact,
                this="in another company",
                that="in the first",
                rows=rows,
            )


def check_settle_twice_is_the_same(make: MakeStateful, /, batch: MakeBatch | None = None) -> None:
    """Settling fresh copies of the same rows again writes the same: a lost race is simply run again."""
    fact = "settling fresh rows again writes the same"
    component, of = fitted(make, batch)
    for picked in _picks(of):
        first = _settled(component, of, picked)
        again = _settled(component, of, picked)
        require_same_answers(again, first, fact, this="the second time", that="the first")


def check_settle_no_rows(make: MakeStateful, /, batch: MakeBatch | None = None) -> None:
    """A batch without rows settles."""
    component, of = fitted(make, batch)
    none = np.zeros(0, dtype=np.int64)
    _settled(component, of.take(none), _cut(_picks(of)[0], none))


def check_hear_says_what_concerns_it(make: MakeStateful, /, batch: MakeBatch | None = None) -> None:
    """A component that hears facts answers with a bool, and where it says no it has written nothing."""
    fact = "hear says what concerns it"
    component, of = fitted(make, batch)
    if not isinstance(component, Hears):
        return
    for told in FACTS:
        _hear(component, of, told, fact)


def _hear(component: Hears, of: Batch, told: Fact, fact: str) -> None:
    mine = copied(of, writeable=True)
    rows = _rows(mine.rows)
    concerned = component.hear(rows, told, int(of.now.max(initial=_build.START)))
    require(isinstance(concerned, bool), f"{fact}: hear must return a bool, got {concerned!r} for {told!r}")
    for name, values in fields_of(rows).items():
        changed = unlike(values, fields_of(_rows(of.rows))[name]).any()
        require(concerned or not changed, f"{fact}: field {name!r} was changed by {told!r}, hear said no")


def stateful_checks() -> dict[str, Check]:
    """The checks every component with fields of its own must pass, by name."""
    return dict(_STATEFUL)


_GUARDRAIL: Final[Mapping[str, Check]] = {
    "review_is_well_formed": check_review_is_well_formed,
    "reason_is_a_code": check_reason_is_a_code,
    "review_alone_equals_company": check_review_alone_equals_company,
    "review_twice_is_the_same": check_review_twice_is_the_same,
    "review_leaves_inputs_alone": check_review_leaves_inputs_alone,
    "no_action_is_irrelevant": check_no_action_is_irrelevant,
    "unknown_is_denied": check_unknown_is_denied,
    "ignorance_does_not_raise": check_ignorance_does_not_raise,
    "slates_are_reviewed": check_slates_are_reviewed,
    "eight_threads_review_the_same": check_eight_threads_review_the_same,
}
_STATEFUL: Final[Mapping[str, Check]] = {
    "fields_fit_a_layout": check_fields_fit_a_layout,
    "settle_writes_only_its_own_fields": check_settle_writes_only_its_own_fields,
    "settle_alone_equals_company": check_settle_alone_equals_company,
    "settle_twice_is_the_same": check_settle_twice_is_the_same,
    "settle_no_rows": check_settle_no_rows,
    "hear_says_what_concerns_it": check_hear_says_what_concerns_it,
}
