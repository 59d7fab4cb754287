"""What must hold for every feature provider?

A check takes a function that makes a provider which knows the subjects ``KNOWN`` and has a value of every
name in ``NAMES`` for each of them; other subjects and names can be passed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from agentic.arrays import USABLE, Columns, Status
from agentic.conditions import Coded
from agentic.protocols import FeatureProvider
from agentic.testing import _build
from agentic.testing._compare import THREADS, require, together

MakeProvider = Callable[[], FeatureProvider]
Check = Callable[..., None]  # takes what makes the part, and what it is tried on

KNOWN: Final = ("ada", "bob", "cyd")
NAMES: Final = ("visits",)
STRANGER: Final = "nobody-has-heard-of-me"

Cell = tuple[Any, int]  # a value of any kind and its status; None for a value that is not usable


def _fetched(
    provider: FeatureProvider, subjects: Sequence[str], names: Sequence[str], fact: str, /
) -> dict[str, list[Cell]]:
    """Ask, check the form of the answer, and return a cell for every name and subject."""
    found = provider.fetch(subjects, names, _build.START)
    require(isinstance(found, Columns), f"{fact}: fetch must return Columns, got {type(found).__name__}")
    out = {}
    for name in names:
        if name not in found.values:
            out[name] = [(None, int(Status.NOT_FOUND))] * len(subjects)
            continue
        column = found.values[name]
        values: list[Any] = list(_listed(column))
        status = np.asarray(found.status.get(name, np.full(len(subjects), Status.PRESENT, np.uint8)))
        at = np.asarray(found.at.get(name, np.full(len(subjects), np.nan)))
        for what, length in (("values", len(values)), ("status", len(status)), ("at", len(at))):
            require(
                length == len(subjects),
                f"{fact}: {what} of {name!r} must have length {len(subjects)}, one for each subject,"
                f" got {length}",
            )
        strange = [code for code in status.tolist() if code not in list(Status)]
        require(not strange, f"{fact}: status of {name!r} must be a Status, got {strange[:1]!r}")
        out[name] = [
            (value, code) if code in USABLE and not _empty(value) else (None, code)
            for value, code in zip(values, status.tolist(), strict=True)
        ]
    return out


def _listed(column: Any) -> list[Any]:  # whatever a provider sends
    if isinstance(column, Coded):
        texts = dict(enumerate(column.categories))
        return [texts.get(code) for code in column.codes.tolist()]
    return np.asarray(column).tolist() if isinstance(column, np.ndarray) else list(column)


def _empty(value: object) -> bool:
    return value is None or (isinstance(value, float) and np.isnan(value))


def _require_cells(got: list[Cell], want: list[Cell], fact: str, /, *, name: str, who: Sequence[str]) -> None:
    for subject, mine, theirs in zip(who, got, want, strict=True):
        require(
            mine[0] == theirs[0],
            f"{fact}: {name!r} of {subject!r} is {mine[0]!r}, expected {theirs[0]!r}"
            f" (status {Status(mine[1]).name})",
        )


def check_known_subjects_have_values(
    make: MakeProvider, /, known: Sequence[str] = KNOWN, names: Sequence[str] = NAMES
) -> None:
    """Every known subject has a usable value of every name."""
    fact = "known subjects have values"
    provider = make()
    require(isinstance(provider, FeatureProvider), f"{fact}: {type(provider).__name__} needs fetch()")
    for name, cells in _fetched(provider, known, names, fact).items():
        for subject, (value, code) in zip(known, cells, strict=True):
            require(
                value is not None,
                f"{fact}: {name!r} of {subject!r} has none, its status is {Status(code).name}",
            )


def check_order_is_kept(
    make: MakeProvider, /, known: Sequence[str] = KNOWN, names: Sequence[str] = NAMES
) -> None:
    """Each row is the answer for the subject in that row, whatever the order and the company."""
    fact = "order is kept"
    provider = make()
    alone = {subject: _fetched(provider, [subject], names, fact) for subject in known}
    for who in (list(known), list(known)[::-1], [*known[1:], *known[:1]]):
        for name, cells in _fetched(provider, who, names, fact).items():
            _require_cells(cells, [alone[subject][name][0] for subject in who], fact, name=name, who=who)


def check_strangers_have_no_value(
    make: MakeProvider, /, known: Sequence[str] = KNOWN, names: Sequence[str] = NAMES
) -> None:
    """A subject nobody knows has no usable value; that is no exception and does not harm its neighbours."""
    fact = "strangers have no value"
    provider = make()
    want = _fetched(provider, known, names, fact)
    who = [STRANGER, *known, STRANGER]
    for name, cells in _fetched(provider, who, names, fact).items():
        expected = [(None, int(Status.NOT_FOUND)), *want[name], (None, int(Status.NOT_FOUND))]
        _require_cells(cells, expected, fact, name=name, who=who)


def check_unknown_names_have_no_value(
    make: MakeProvider, /, known: Sequence[str] = KNOWN, names: Sequence[str] = NAMES
) -> None:
    """A name the provider does not serve is left out or without value: agents ask for all they need."""
    fact = "unknown names have no value"
    provider = make()
    want = _fetched(provider, known, names, fact)
    asked = ["a_name_nobody_serves", *names]
    for name, cells in _fetched(provider, known, asked, fact).items():
        expected: list[Cell] = want.get(name, [(None, int(Status.NOT_FOUND))] * len(known))
        _require_cells(cells, expected, fact, name=name, who=known)


def check_duplicates_are_answered(
    make: MakeProvider, /, known: Sequence[str] = KNOWN, names: Sequence[str] = NAMES
) -> None:
    """A subject asked for twice is answered twice."""
    fact = "duplicates are answered"
    provider = make()
    want = _fetched(provider, known, names, fact)
    for name, cells in _fetched(provider, [*known, *known], names, fact).items():
        _require_cells(cells, [*want[name], *want[name]], fact, name=name, who=[*known, *known])


def check_nobody_is_answered(
    make: MakeProvider, /, known: Sequence[str] = KNOWN, names: Sequence[str] = NAMES
) -> None:
    """No subjects, or no names, is no error."""
    fact = "nobody is answered"
    provider = make()
    _fetched(provider, [], names, fact)
    _fetched(provider, known, [], fact)


def check_eight_threads_fetch_the_same(
    make: MakeProvider, /, known: Sequence[str] = KNOWN, names: Sequence[str] = NAMES
) -> None:
    """Eight threads that ask one provider at once get what one thread gets."""
    fact = "eight threads get the same"
    provider = make()
    want = _fetched(provider, known, names, fact)

    def work(number: int) -> None:
        for turn in range(THREADS):
            place = (number + turn) % len(known)
            who = [*known[place:], *known[:place]]
            for name, cells in _fetched(provider, who, names, fact).items():
                _require_cells(cells, [*want[name][place:], *want[name][:place]], fact, name=name, who=who)

    together(work)


def provider_checks() -> dict[str, Check]:
    """The checks every feature provider must pass, by name."""
    return dict(_PROVIDER)


_PROVIDER: Final[Mapping[str, Check]] = {
    "known_subjects_have_values": check_known_subjects_have_values,
    "order_is_kept": check_order_is_kept,
    "strangers_have_no_value": check_strangers_have_no_value,
    "unknown_names_have_no_value": check_unknown_names_have_no_value,
    "duplicates_are_answered": check_duplicates_are_answered,
    "nobody_is_answered": check_nobody_is_answered,
    "eight_threads_fetch_the_same": check_eight_threads_fetch_the_same,
}
