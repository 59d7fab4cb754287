"""How do checks look at things: frozen copies, comparisons that name the row, threads that get in the way."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.arrays import Batch, Bools
from agentic.conditions import Coded, Column

THREADS: Final = 8
SIZES: Final = (2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 127, 128, 129, 200, 255, 256, 257)
"""Sizes of company a row is asked in: around the powers of two, where kernels change."""

Array = NDArray[Any]  # a check compares arrays of every dtype


def require(ok: object, message: str, /) -> None:
    """Raise ``AssertionError`` unless it is so; unlike ``assert`` also under ``python -O``."""
    if not ok:
        raise AssertionError(message)


def copied(of: Batch, /, *, writeable: bool = False) -> Batch:
    """Copy a batch and all its arrays, read-only unless said otherwise."""

    def fix(array: Array) -> Array:
        fresh = array.copy()
        fresh.flags.writeable = writeable
        return fresh

    def fix_column(column: Column) -> Column:
        return Coded(fix(column.codes), column.categories) if isinstance(column, Coded) else fix(column)

    return attrs.evolve(
        of,
        keys=fix(of.keys),
        now=fix(of.now),
        delivery=fix(of.delivery),
        zone=fix(of.zone),
        X=fix(of.X),
        columns={name: fix_column(column) for name, column in of.columns.items()},
        allowed=fix(of.allowed),
        rows=None if of.rows is None else fix(of.rows),
    )


def arrays_of(of: Batch, /) -> dict[str, Array]:
    """Every array of a batch by name; records field by field, since between fields there may be gaps."""
    found: dict[str, Array] = {
        "keys": of.keys,
        "now": of.now,
        "delivery": of.delivery,
        "zone": of.zone,
        "X": of.X,
        "allowed": of.allowed,
    }
    for name, column in of.columns.items():
        found[f"columns[{name!r}]"] = column.codes if isinstance(column, Coded) else column
    if of.rows is not None:
        found |= {f"rows[{name!r}]": values for name, values in fields_of(of.rows).items()}
    return found


def fields_of(rows: Array, /) -> dict[str, Array]:
    """The fields of a structured array by name."""
    return {name: rows[name] for name in rows.dtype.names or ()}


def unlike(got: Array, want: Array, /) -> Bools:
    """Where two arrays of one shape differ; ``nan`` is like ``nan``."""
    differs: Bools = np.asarray(got != want)
    if got.dtype.kind in "fc" and want.dtype.kind in "fc":
        differs = differs & ~(np.isnan(got) & np.isnan(want))
    return differs


def require_same(
    got: Array,
    want: Array,
    fact: str,
    /,
    *,
    what: str,
    this: str,
    that: str,
    columns: Sequence[str] = (),
    rows: Array | None = None,
) -> None:
    """Raise unless two arrays are equal bit for bit, and say where they first differ.

    Args:
        got: Shape (n, ...).
        want: The same shape.
        fact: What was checked.
        what: What the values are.
        this: Where ``got`` comes from.
        that: Where ``want`` comes from.
        columns: Names of the columns, if they have names.
        rows: Shape (n,): numbers of the rows in the batch that was given; ``None`` for 0, 1, 2 ...
    """
    require(got.shape == want.shape, f"{fact}: {what} has shape {got.shape} {this} and {want.shape} {that}")
    places = np.argwhere(unlike(got, want))
    if not len(places):
        return
    place = tuple(places[0].tolist())
    row = place[0] if rows is None or not place else int(rows[place[0]])
    where = f"row {row}" if place else "the whole"
    if len(place) > 1:
        where += f", action {columns[place[1]]!r}" if columns else f", column {place[1]}"
    bad = len(np.unique(places[:, 0])) if place else 1
    raise AssertionError(
        f"{fact}: {what} of {where} is {got[place].item()!r} {this} and {want[place].item()!r} {that};"
        f" {bad} of {len(got) if place else 1} rows differ"
    )


def require_same_answers(
    got: Mapping[str, Array],
    want: Mapping[str, Array],
    fact: str,
    /,
    *,
    this: str,
    that: str,
    columns: Sequence[str] = (),
    rows: Array | None = None,
) -> None:
    """Compare answers part by part: the same parts, each with the same bits."""
    require(
        got.keys() == want.keys(), f"{fact}: the answer has {sorted(got)} {this} and {sorted(want)} {that}"
    )
    for what, values in got.items():
        require_same(values, want[what], fact, what=what, this=this, that=that, columns=columns, rows=rows)


def companies(n: int, /) -> Iterator[Array]:
    """Rows to ask together: sizes 2 to 257, one row in every place of a small company, others shifted."""
    lines = np.arange(n)
    for size in SIZES:
        shifts = range(size) if size <= 9 else (0, 1, size // 2, size - 1)
        for shift in shifts:
            yield np.resize(np.roll(lines, shift), size)


def require_alone_equals_company(
    ask: Callable[[Batch], Mapping[str, Array]], of: Batch, fact: str, /
) -> None:
    """Ask every row alone, then in companies of all sizes and in all places, and compare bit for bit."""
    n = len(of)
    single = [ask(of.take(np.array([row]))) for row in range(n)]
    alone = {what: np.concatenate([answer[what] for answer in single]) for what in single[0]}
    for rows in companies(n):
        require_same_answers(
            ask(of.take(rows)),
            {what: values[rows] for what, values in alone.items()},
            fact,
            this=f"in a company of {len(rows)}",
            that="alone",
            columns=of.action_ids,
            rows=rows,
        )


def require_untouched(before: Batch, after: Batch, fact: str, /, *, but: str = "-") -> None:
    """Raise if an array of the batch was written to, except those whose name starts with ``but``."""
    want = arrays_of(before)
    got = arrays_of(after)
    require(got.keys() == want.keys(), f"{fact}: the batch has lost or gained {got.keys() ^ want.keys()}")
    for name, values in got.items():
        if not name.startswith(but):
            require_same(values, want[name], fact, what=name, this="after", that="before")


@contextmanager
def impatient() -> Iterator[None]:
    """Let the interpreter switch threads a thousand times as often."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(usual)


def together(work: Callable[[int], None], /, *, threads: int = THREADS) -> None:
    """Run ``work(0)``, ``work(1)`` ... in as many threads that start at once; raise the first error."""
    start = threading.Barrier(threads)
    errors: list[Exception] = []

    def run(number: int) -> None:
        try:
            start.wait()
            work(number)
        except Exception as error:  # noqa: BLE001 - whatever a thread raises is raised again below
            errors.append(error)

    crew = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    with impatient():
        for thread in crew:
            thread.start()
        for thread in crew:
            thread.join()
    if errors:
        raise errors[0]
