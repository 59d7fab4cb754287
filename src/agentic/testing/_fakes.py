"""What stands in for the world in tests: a clock that obeys, and parts that fail when told to."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.arrays import Batch, Block, Bools, Columns, Layout, Proposal, Receipt, Records, Review, Rows
from agentic.errors import ConfigurationError, InvalidTimeError, LogError, StoreError
from agentic.protocols import ProvenanceLog, StateStore

_MONDAY: Final = datetime(2026, 1, 5, 9, tzinfo=UTC)


class FakeClock:
    """A clock that stands still until it is told to move; call it for the time, an aware UTC ``datetime``."""

    def __init__(self, start: datetime = _MONDAY) -> None:
        self._now = _aware(start)

    def __call__(self) -> datetime:
        return self._now

    def advance(self, by: timedelta, /) -> datetime:
        """Move by a duration, back if it is negative, and return the time."""
        self._now += by
        return self._now

    def set(self, at: datetime, /) -> datetime:
        """Move to a time, and return it in UTC."""
        self._now = _aware(at)
        return self._now


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None or at.utcoffset() is None:
        raise InvalidTimeError(f"a clock needs a time with a zone, got {at!r}: add tzinfo=UTC", value=at)
    return at.astimezone(UTC)


class _Turns:
    """Counts calls and says which of them fail; safe for threads."""

    def __init__(self, fail_every: int) -> None:
        if not isinstance(fail_every, int) or fail_every < 1:
            raise ConfigurationError(
                f"fail_every must be a whole number from 1, got {fail_every!r}", value=fail_every
            )
        self._every = fail_every
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.calls = 0

    def fails(self) -> bool:
        with self._lock:
            self.calls = next(self._numbers)
            return self.calls % self._every == 0


class FlakyStore:
    """A store whose every ``fail_every``-th call raises `StoreError` before it reaches the real one.

    Args:
        store: The real one.
        fail_every: 1 fails always, 2 every other call.
    """

    def __init__(self, store: StateStore, /, *, fail_every: int) -> None:
        self._store = store
        self._turns = _Turns(fail_every)
        self.consistency: str = getattr(store, "consistency", "unknown")

    @property
    def calls(self) -> int:
        """Calls so far, failed ones included."""
        return self._turns.calls

    def load(self, subjects: Sequence[str], layout: Layout, /) -> Rows:
        self._try()
        return self._store.load(subjects, layout)

    def store(
        self, subjects: Sequence[str], rows: Records, expected: NDArray[np.int64], layout: Layout, /
    ) -> Bools:
        self._try()
        return self._store.store(subjects, rows, expected, layout)

    def delete(self, subjects: Sequence[str], /) -> int:
        self._try()
        return self._store.delete(subjects)

    def subjects(self) -> Iterable[str]:
        self._try()
        return self._store.subjects()

    def _try(self) -> None:
        if self._turns.fails():
            raise StoreError(f"call {self._turns.calls} of this store fails, as it was told to")


class FlakyLog:
    """A log whose every ``fail_every``-th append raises `LogError` and appends nothing; reading works.

    Args:
        log: The real one.
        fail_every: 1 fails always, 2 every other append.
    """

    def __init__(self, log: ProvenanceLog, /, *, fail_every: int) -> None:
        self._log = log
        self._turns = _Turns(fail_every)
        self.durability: str = getattr(log, "durability", "unknown")

    @property
    def calls(self) -> int:
        """Appends so far, failed ones included."""
        return self._turns.calls

    def append(self, block: Block, /) -> Receipt:
        if self._turns.fails():
            raise LogError(f"append {self._turns.calls} of this log fails, as it was told to")
        return self._log.append(block)

    def read(self, after: int = 0, /) -> Iterator[tuple[Receipt, Block]]:
        return self._log.read(after)


@attrs.frozen
class FailingPolicy:
    """A policy that raises whenever it is asked.

    Attributes:
        name: Of the policy.
    """

    name: str = "failing"

    def propose(self, batch: Batch, /) -> Proposal:
        _fail(self.name)


@attrs.frozen
class FailingGuardrail:
    """A guardrail that raises whenever it is asked.

    Attributes:
        name: Of the guardrail.
    """

    name: str = "failing"

    def review(self, batch: Batch, /) -> Review:
        _fail(self.name)


@attrs.frozen
class FailingProvider:
    """A feature provider that raises whenever it is asked.

    Attributes:
        name: What the error says.
    """

    name: str = "failing"

    def fetch(self, subjects: Sequence[str], names: Sequence[str], now: int, /) -> Columns:
        _fail(self.name)


def _fail(name: str) -> NoReturn:
    raise RuntimeError(f"{name} fails, as it was told to")
