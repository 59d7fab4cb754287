"""Shared pools, such as a budget: leases taken by compare-and-set from one record in the state store."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Final

from agentic.arrays import Field, Layout, Space
from agentic.errors import StoreError
from agentic.protocols import Pooled, StateStore

_RECORD: Final = "\x00pools"
_TRIES: Final = 1000
_LOOKS: Final = 8


class _Pool:
    def __init__(self, rule: Pooled, lease: int, dearest: int) -> None:
        self.rule = rule
        self.lease = lease
        self.dearest = dearest
        self.held = 0
        self.period = -1


class Pools:
    """What this process holds of each shared pool.

    A lease leaves the shared record before anything is spent from it, so a pool is never overdrawn;
    what a process that dies had leased and not spent, at most one lease a thread, is lost to the pool
    until its period ends.
    """

    def __init__(self, agent: str, rules: Mapping[str, Pooled], space: Space, store: StateStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._pools = {}
        for name, rule in rules.items():
            self._pools[name] = _Pool(rule, max(rule.lease, 1), int(rule.charge(space).max(initial=0)))
        self._layout = Layout.compose(
            f"{agent}/pools", {name: [Field("period", "i8", (), -1), Field("taken", "i8")] for name in rules}
        )

    def __bool__(self) -> bool:
        return bool(self._pools)

    def take(self, now: int, rows: int, slots: int, /) -> dict[str, int]:
        """Take what may be spent next out of each pool, in millionths; ``give`` back what is left.

        A batch takes what it might spend at most, but no more than a lease or half of what the pool
        still holds, whichever is more: others go on, and the batch renews a few times at most.

        Args:
            now: Microseconds since 1970.
            rows: Decisions about to be made.
            slots: Choices of each.
        """
        with self._lock:
            for name, pool in self._pools.items():
                period, _ = pool.rule.allowance(now)
                if period > pool.period:
                    pool.held, pool.period = 0, period
                least = pool.dearest * slots
                if pool.held < max(least, min(pool.lease // 2, least * rows)):
                    pool.held += self._move(name, pool, now, max(pool.lease, least), least * rows)
            # Only when every pool could be asked is anything taken: what a failing store leaves is held.
            taken = {name: pool.held for name, pool in self._pools.items()}
            for pool in self._pools.values():
                pool.held = 0
        return taken

    def give(self, left: Mapping[str, int], now: int, /) -> None:
        """Return what was taken and not spent; what exceeds a lease goes back to the shared record."""
        with self._lock:
            back = []
            for name, amount in left.items():
                pool = self._pools[name]
                if pool.rule.allowance(now)[0] >= pool.period:
                    pool.held += amount
                    back.append((name, pool))
            # Only now the store is asked: if it fails, everything that came back is held here.
            for name, pool in back:
                if pool.held > 2 * max(pool.lease, pool.dearest):
                    pool.held += self._move(name, pool, now, pool.lease - pool.held, 0)

    def forget(self) -> None:
        """Let go of all leases: the store was rolled back, and what was leased may be the pool's again."""
        with self._lock:
            for pool in self._pools.values():
                pool.held = 0

    def forked(self) -> None:
        """In a child process: nobody holds the lock, and what was leased is the parent's."""
        self._lock = threading.Lock()
        self.forget()

    def left(self, now: int, /) -> dict[str, int]:
        """What each pool still holds, leases of this process included, in millionths.

        Where others take leases all the time it may be off by one of them.
        """
        # Whoever decides holds the store and asks for the lock: it must not be held while the store is asked.
        found = self._store.load([_RECORD], self._layout)
        out: dict[str, int] = {}
        for _ in range(_LOOKS):
            row = found.rows[0]
            with self._lock:
                for name, pool in self._pools.items():
                    period, amount = pool.rule.allowance(now)
                    spent = int(row[f"{name}.taken"]) if int(row[f"{name}.period"]) >= period else 0
                    out[name] = amount - spent + (pool.held if pool.period >= period else 0)
            before, found = found, self._store.load([_RECORD], self._layout)
            if before.versions[0] == found.versions[0]:
                break
        return out

    def _move(self, name: str, pool: _Pool, now: int, lease: int, most: int) -> int:
        """Move an amount from the shared record to this process; back, when ``lease`` is negative."""
        for _ in range(_TRIES):
            found = self._store.load([_RECORD], self._layout)
            row = found.rows
            period, amount = pool.rule.allowance(now)
            stored = int(row[f"{name}.period"][0])
            if period > stored:
                row[f"{name}.period"], row[f"{name}.taken"] = period, 0
            # A clock that went back keeps drawing on the later period: never on a second allowance.
            pool.period = max(period, stored)
            left = amount - int(row[f"{name}.taken"][0])
            if lease < 0:
                got = max(lease, left - amount)
            else:
                got = max(0, min(max(lease, min(most, left // 2)) - pool.held, left))
            if not got:
                return 0
            row[f"{name}.taken"] += got
            if self._store.store([_RECORD], row, found.versions, self._layout).all():
                return got
        raise StoreError(
            f"pool {name!r} lost {_TRIES} compare-and-sets in a row: too many processes share it", value=name
        )
