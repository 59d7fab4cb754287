"""Where do values come from: mappings, functions, and one provider after another?"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import attrs
import numpy as np

from agentic._logger import Logger
from agentic.arrays import Columns, Status
from agentic.errors import ConfigurationError, InvalidContextError, masked
from agentic.features._answers import Answer, answers, better, failure, objects, usable
from agentic.features._raw import PRESENT
from agentic.protocols import FeatureProvider, Forgets
from agentic.types import instant, micros

_LOG: Final = Logger("agentic.features")
# What a subject nobody knows has, and what a name nobody knows has.
_NOTHING: Final[Mapping[str, tuple[object, float]]] = {}
_NOT_THERE: Final = (None, float("nan"))

# Values of the mapping are columns: whatever a caller sends.
Fetched = Columns | Mapping[str, Any]


def seconds_of(at: datetime | None, /) -> float:
    """Return an aware time in seconds since 1970, ``nan`` for ``None``."""
    return float("nan") if at is None else micros(at) / 1e6


class MappingProvider:
    """Serves values out of memory, by subject and name; safe to use from many threads.

    Args:
        values: Values by name, by subject.
        at: When they were true; ``None`` when that is not known, and they then never count as stale.
    """

    def __init__(
        self, values: Mapping[str, Mapping[str, object]] | None = None, *, at: datetime | None = None
    ) -> None:
        self._lock = threading.Lock()
        self._rows: dict[str, Mapping[str, tuple[object, float]]] = {}
        for subject, row in (values or {}).items():
            self.put(subject, row, at=at)

    def put(self, subject: str, values: Mapping[str, object], *, at: datetime | None = None) -> None:
        """Set some of a subject's values; a reader sees all of them or none.

        Args:
            subject: Whose they are.
            values: By name; names left out keep their values.
            at: When they were true.

        Raises:
            InvalidContextError: ``values`` is not a mapping.
            InvalidTimeError: ``at`` has no zone.
        """
        if not isinstance(values, Mapping):
            raise InvalidContextError(
                f"a subject's values must be a mapping from name to value, got {masked(values)}",
                value=masked(values),
            )
        since = seconds_of(at)
        told = {name: (value, since) for name, value in values.items()}
        with self._lock:
            # Rows are replaced and never changed, so reading needs no lock.
            self._rows[subject] = {**self._rows.get(subject, _NOTHING), **told}

    def forget(self, subject: str, /) -> bool:
        """Drop all values of a subject; return whether there were any."""
        with self._lock:
            return self._rows.pop(subject, None) is not None

    def fetch(self, subjects: Sequence[str], names: Sequence[str], now: int, /) -> Columns:
        get = self._rows.get
        rows = [get(subject, _NOTHING) for subject in subjects]
        values, status, at = {}, {}, {}
        for name in names:
            cells = [row.get(name, _NOT_THERE) for row in rows]
            values[name] = objects([value for value, _ in cells])
            status[name] = np.array(
                [Status.NOT_FOUND if cell is _NOT_THERE else PRESENT for cell in cells], dtype=np.uint8
            )
            at[name] = np.array([since for _, since in cells], dtype=np.float64)
        return Columns(values, status, at)


class CallableProvider:
    """Asks a function.

    Args:
        fn: Takes subjects, names and the time, an aware UTC ``datetime``. Returns ``Columns``, or a mapping
            from name to a column as long as ``subjects``. ``None`` in a column says there is no value; a
            name that is left out, that nothing is known.
    """

    def __init__(self, fn: Callable[[Sequence[str], Sequence[str], datetime], Fetched], /) -> None:
        if not callable(fn):
            raise ConfigurationError(
                f"CallableProvider needs a function of subjects, names and time, got {fn!r}", value=fn
            )
        self._fn = fn

    def fetch(self, subjects: Sequence[str], names: Sequence[str], now: int, /) -> Columns:
        found = self._fn(subjects, names, instant(now))
        if isinstance(found, Columns):
            return found
        if not isinstance(found, Mapping):
            raise InvalidContextError(
                f"a provider's function must return Columns or a mapping from name to column,"
                f" got {masked(found)}",
                value=masked(found),
            )
        return Columns(found)  # lists are taken for columns as well: every reader of an answer checks it


@attrs.define(eq=False)
class Outage:
    """Logs that a provider fails: once when it begins, however often it is asked until it works again."""

    failing: bool = False

    def begins(self, provider: object, error: Exception, /) -> None:
        """Note a failure."""
        if not self.failing:
            self.failing = True
            _LOG.warning("feature provider %s fails", type(provider).__name__, exc_info=error)

    def ends(self) -> None:
        """Note that it works."""
        self.failing = False


class Chained:
    """Asks several providers in order; a value of an earlier one wins, row by row.

    A later one is asked only for names that some row still lacks. One that fails is passed over: what no
    other provider has is then ``ERROR``, and the failure is logged when it begins.

    Args:
        providers: In order.
    """

    def __init__(self, providers: Sequence[FeatureProvider], /) -> None:
        self._providers = check_providers(providers)
        self._outages = [Outage() for _ in self._providers]

    def forget(self, subject: str, /) -> bool:
        """Have those that keep values drop the subject's; return whether there were any."""
        keepers = [provider for provider in self._providers if isinstance(provider, Forgets)]
        return sum(keeper.forget(subject) for keeper in keepers) > 0

    def fetch(self, subjects: Sequence[str], names: Sequence[str], now: int, /) -> Columns:
        n = len(subjects)
        merged: dict[str, Answer] = {}
        for provider, outage in zip(self._providers, self._outages, strict=True):
            lacking = [name for name in names if name not in merged or not usable(merged[name].status).all()]
            if not lacking:
                break
            try:
                found = answers(provider.fetch(subjects, lacking, now), lacking, n)
                outage.ends()
            except Exception as error:  # noqa: BLE001  # a plugin may raise anything; the next one is asked
                outage.begins(provider, error)
                found = dict.fromkeys(lacking, failure(n))
            for name, answer in found.items():
                merged[name] = _merged(merged[name], answer) if name in merged else answer
        return Columns(
            {name: answer.values for name, answer in merged.items()},
            {name: answer.status for name, answer in merged.items()},
            {name: answer.at for name, answer in merged.items() if answer.at is not None},
        )


def check_providers(providers: object, /) -> tuple[FeatureProvider, ...]:
    """Return them as a tuple.

    Raises:
        ConfigurationError: One of them has no ``fetch``.
    """
    listed = tuple(providers) if isinstance(providers, Sequence) else (providers,)
    for provider in listed:
        if isinstance(provider, type) or not isinstance(provider, FeatureProvider):
            raise ConfigurationError(
                f"a feature provider must have a method fetch(subjects, names, now), got {provider!r}",
                value=provider,
            )
    return listed


def _merged(first: Answer, second: Answer) -> Answer:
    take = better(second.status, first.status)
    unknown = np.full(len(take), np.nan)
    return Answer(
        np.where(take, objects(second.values), objects(first.values)),
        np.where(take, second.status, first.status),
        np.where(
            take,
            unknown if second.at is None else second.at,
            unknown if first.at is None else first.at,
        ),
    )
