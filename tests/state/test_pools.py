"""Leases from a shared pool: never overdrawn, little left lying about."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agentic import Action
from agentic.errors import StoreError
from agentic.guardrails import Budget
from agentic.state import MemoryStore, Pools
from batches import space

SPACE = space(Action("sms", channel="sms", cost=0.3), Action("mail", channel="mail", cost=0.1))
HOUR = 3_600_000_000


def pools(store: Any, **more: Any) -> Pools:
    from datetime import timedelta

    rule = Budget(10.0, **({"lease": 1.0, "per": timedelta(hours=1)} | more)).bind(SPACE)
    return Pools("agent", {"budget": rule}, SPACE, store)


def test_what_is_taken_and_not_given_back_is_spent() -> None:
    """Leases of two processes and what is left add up to the allowance."""
    store = MemoryStore()
    one, other = pools(store), pools(store)
    assert one.take(0, 1, 1) == {"budget": 1_000_000}
    one.give({"budget": 400_000}, 0)
    assert other.take(0, 1, 1) == {"budget": 1_000_000}
    assert one.left(0) == {"budget": 8_400_000}
    assert bool(one)
    assert not Pools("agent", {}, SPACE, store)


def test_a_lease_is_renewed_before_it_is_too_small_for_the_dearest_candidate() -> None:
    """A candidate is denied for want of money only when the pool itself has none."""
    store = MemoryStore()
    one = pools(store)
    one.take(0, 1, 1)
    one.give({"budget": 250_000}, 0)
    assert one.take(0, 1, 1) == {"budget": 1_000_000}
    one.give({"budget": 1_000_000}, 0)
    assert one.take(0, 1, 5) == {"budget": 1_500_000}


def test_a_pool_that_is_empty_gives_nothing_until_its_period_is_over() -> None:
    """And then the whole allowance again, whatever was left."""
    store = MemoryStore()
    one = pools(store)
    total = sum(one.take(0, 1, 1)["budget"] for _ in range(30))
    assert total == 10_000_000
    assert one.take(HOUR - 1, 1, 1) == {"budget": 0}
    assert one.take(HOUR, 1, 1) == {"budget": 1_000_000}
    # What was leased in the last period and comes back now is not added to this one.
    assert one.left(HOUR) == {"budget": 9_000_000}
    # A clock that goes back draws on the later period.
    assert one.take(0, 1, 1) == {"budget": 1_000_000}
    assert pools(store).take(0, 1, 1) == {"budget": 1_000_000}
    assert one.left(HOUR) == {"budget": 7_000_000}


def test_a_batch_takes_half_of_what_is_left_at_most_and_brings_back_what_it_did_not_spend() -> None:
    """Others find money while it runs, and all of it but a lease after."""
    store = MemoryStore()
    one, other = pools(store), pools(store)
    assert one.take(0, 1000, 1) == {"budget": 5_000_000}
    assert other.take(0, 1000, 1) == {"budget": 2_500_000}
    one.give({"budget": 4_900_000}, 0)
    assert one.left(0) == {"budget": 7_400_000}
    assert pools(store).left(0) == {"budget": 6_400_000}
    # A batch that needs little takes a lease.
    assert other.take(0, 2, 1) == {"budget": 1_000_000}


def test_a_store_that_never_accepts_is_an_error_and_not_a_loop() -> None:
    """After a bounded number of lost compare-and-sets."""

    class Busy(MemoryStore):
        def store(self, subjects: Any, *more: Any) -> Any:
            return np.zeros(len(subjects), dtype=np.bool_)

    with pytest.raises(StoreError, match="compare-and-sets"):
        pools(Busy()).take(0, 1, 1)


def test_the_store_is_asked_what_is_left_while_nobody_is_kept_waiting() -> None:
    """Who decides holds the store and waits for the pools; who held them meanwhile would wait for ever."""

    class Watched(MemoryStore):
        def load(self, *asked: Any) -> Any:
            assert not one._lock.locked()
            return super().load(*asked)

    store = Watched()
    one = pools(store)
    assert one.left(0) == {"budget": 10_000_000}


def test_what_is_left_is_told_of_one_moment() -> None:
    """A lease that is taken between two looks is counted once."""

    class Moving(MemoryStore):
        def load(self, *asked: Any) -> Any:
            found = super().load(*asked)
            while others:
                others.pop().take(0, 1, 1)
            return found

    others: list[Pools] = []
    store = Moving()
    one = pools(store)
    others.append(pools(store))
    assert one.left(0) == {"budget": 9_000_000}


def test_what_is_left_is_told_although_others_never_rest() -> None:
    """Then it may be off by what they have just taken."""

    class Restless(MemoryStore):
        def load(self, *asked: Any) -> Any:
            found = super().load(*asked)
            if not busy:
                busy.append(True)
                pools(store).take(0, 1, 1)
                busy.clear()
            return found

    busy: list[bool] = []
    store = Restless()
    left = pools(store).left(0)["budget"]
    assert 0 <= left < 10_000_000
