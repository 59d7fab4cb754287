"""How are a provider's values kept for a while?"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

import numpy as np

from agentic.arrays import Columns, Status
from agentic.errors import ConfigurationError
from agentic.features._answers import answers, objects
from agentic.features._providers import Outage, check_providers
from agentic.features._raw import listed
from agentic.protocols import FeatureProvider
from agentic.types import span

_ERROR: Final = int(Status.ERROR)
_NOT_FOUND: Final = int(Status.NOT_FOUND)
_STALE: Final = int(Status.STALE)


class _Entry(NamedTuple):
    """A value as it was fetched; a tuple because one is made for every subject and name."""

    value: object
    status: int
    at: float
    fetched: int


_FAILED: Final = _Entry(None, _ERROR, float("nan"), 0)
_NOTHING: Final[Mapping[str, _Entry]] = {}


class Cached:
    """Keeps what another provider answered, and asks it again when that is older than ``ttl``.

    That there is no value is kept as well; an ``ERROR`` is not. A value whose time the provider does not
    tell counts as true when it was fetched, so that keeping it cannot hide its age from ``max_age``.

    When the provider fails, values that have expired are served with their times: up to ``grace`` beyond
    their ``ttl`` as they were, so that ``max_age`` judges them; after that as ``STALE``, so that defaults
    step in and decisions are degraded. What was never fetched is ``ERROR``.

    Safe to use from many threads. No lock is held while the provider is asked, so that two threads which
    miss the same value both ask; of their answers the one with the later time stays. Time is only ever the
    ``now`` of a call; if it steps back, values expire ``ttl`` after the step at the latest.

    Args:
        provider: Whose answers are kept.
        ttl: How long.
        size: Most subjects kept; the ones used longest ago go first.
        grace: How much longer expired values are served as usable while the provider fails.
    """

    def __init__(
        self,
        provider: FeatureProvider,
        ttl: timedelta,
        *,
        size: int = 100_000,
        grace: timedelta = timedelta(0),
    ) -> None:
        (self._provider,) = check_providers([provider])
        self._ttl = span(ttl, "ttl")
        if type(size) is not int or size < 1:
            raise ConfigurationError(f"size must be an integer from 1, got {size!r}", value=size)
        self._size = size
        if not isinstance(grace, timedelta) or grace < timedelta(0):
            raise ConfigurationError(
                f"grace must be a timedelta that is not negative, got {grace!r}", value=grace
            )
        self._grace = self._ttl + grace // timedelta(microseconds=1)
        self._lock = threading.Lock()
        self._rows: OrderedDict[str, dict[str, _Entry]] = OrderedDict()
        self._outage = Outage()

    def __len__(self) -> int:
        return len(self._rows)

    def forget(self, subject: str, /) -> bool:
        """Drop all values of a subject; return whether there were any."""
        with self._lock:
            return self._rows.pop(subject, None) is not None

    def fetch(self, subjects: Sequence[str], names: Sequence[str], now: int, /) -> Columns:
        # Rows are copied while the lock is held: what is served is what was looked at.
        rows = self._recall(subjects)
        ttl = self._ttl
        stale_subjects: dict[str, None] = {}
        stale_names: dict[str, None] = {}
        for subject, row in zip(subjects, rows, strict=True):
            for name in names:
                entry = row.get(name)
                if entry is None or not -ttl < now - entry.fetched < ttl:
                    stale_subjects[subject] = None
                    stale_names[name] = None
        fetched: Mapping[str, Mapping[str, _Entry]] = {}
        if stale_subjects:
            fetched = self._ask(list(stale_subjects), [name for name in names if name in stale_names], now)
        return self._served(subjects, rows, fetched, names, now)

    def _recall(self, subjects: Sequence[str]) -> list[Mapping[str, _Entry]]:
        rows: list[Mapping[str, _Entry]] = []
        with self._lock:
            for subject in subjects:
                row = self._rows.get(subject)
                if row is None:
                    rows.append(_NOTHING)
                else:
                    self._rows.move_to_end(subject)
                    rows.append(row.copy())
        return rows

    def _ask(self, subjects: list[str], names: list[str], now: int) -> Mapping[str, Mapping[str, _Entry]]:
        """Ask the provider and keep its answer: by subject and name, empty when it fails."""
        n = len(subjects)
        try:
            found = answers(self._provider.fetch(subjects, names, now), names, n)
        except Exception as error:  # noqa: BLE001  # a plugin may raise anything; what is kept steps in
            self._outage.begins(self._provider, error)
            return {}
        self._outage.ends()
        fresh: dict[str, dict[str, _Entry]] = {subject: {} for subject in subjects}
        for name in names:
            answer = found.get(name)
            if answer is None:
                nothing = _Entry(None, _NOT_FOUND, now / 1e6, now)
                for row in fresh.values():
                    row[name] = nothing
                continue
            at = np.full(n, np.nan) if answer.at is None else answer.at
            at = np.where(np.isnan(at), now / 1e6, at)
            cells = zip(listed(answer.values), answer.status.tolist(), at.tolist(), strict=True)
            for row, (value, status, since) in zip(fresh.values(), cells, strict=True):
                if status != _ERROR:
                    row[name] = _Entry(value, status, since, now)
        self._keep(fresh)
        return fresh

    def _keep(self, fresh: Mapping[str, Mapping[str, _Entry]]) -> None:
        with self._lock:
            for subject, row in fresh.items():
                if not row:
                    continue
                kept = self._rows.setdefault(subject, {})
                for name, entry in row.items():
                    if name not in kept or kept[name].fetched <= entry.fetched:
                        kept[name] = entry
                self._rows.move_to_end(subject)
            while len(self._rows) > self._size:
                self._rows.popitem(last=False)

    def _served(
        self,
        subjects: Sequence[str],
        rows: Sequence[Mapping[str, _Entry]],
        fetched: Mapping[str, Mapping[str, _Entry]],
        names: Sequence[str],
        now: int,
    ) -> Columns:
        values, statuses, ats = {}, {}, {}
        for name in names:
            entries = []
            for subject, row in zip(subjects, rows, strict=True):
                entry = fetched.get(subject, _NOTHING).get(name) or row.get(name, _FAILED)
                if entry is not _FAILED and not -self._grace < now - entry.fetched < self._grace:
                    entry = entry._replace(status=_STALE)
                entries.append(entry)
            values[name] = objects([entry.value for entry in entries])
            statuses[name] = np.array([entry.status for entry in entries], dtype=np.uint8)
            ats[name] = np.array([entry.at for entry in entries], dtype=np.float64)
        return Columns(values, statuses, ats)
