"""The log in memory: what the conformance kit does not ask."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.arrays import Block
from agentic.errors import LogError
from agentic.provenance import MemoryLog, _memory


def block(kind: str, first: int, n: int, meta: int = 0) -> Block:
    return Block(kind, {"x": np.arange(first, first + n), "y": np.full((n, 2), first)}, {"meta": meta})


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["decision", "outcome"]),
            st.sampled_from([1, 2, 255, 256, 400, 4000]),
            st.integers(0, 1),
        ),
        max_size=12,
    ),
    st.integers(0, 6000),
)
def test_blocks_of_any_size_read_back_in_order_from_any_record(
    written: list[tuple[str, int, int]], after: int
) -> None:
    """Gathered or not, every record comes once, under its number, with its kind and meta."""
    log = MemoryLog()
    kinds: list[tuple[str, int]] = []
    for kind, n, meta in written:
        assert log.append(block(kind, len(kinds), n, meta)).first == len(kinds)
        kinds += [(kind, meta)] * n
    assert len(log) == len(kinds)
    at: int | None = None
    for receipt, found in log.read(after):
        if at is None:
            assert receipt.first <= after < receipt.first + receipt.count
        else:
            assert receipt.first == at
        assert found.columns["x"].tolist() == list(range(receipt.first, receipt.first + receipt.count))
        assert {(found.kind, found.meta["meta"])} == set(kinds[receipt.first : receipt.first + receipt.count])
        at = receipt.first + receipt.count
    assert (at or len(kinds)) == max(len(kinds), 0)


def test_small_blocks_share_columns() -> None:
    """Ten thousand single records of two kinds, taking turns, make a handful of arrays."""
    log = MemoryLog()
    for i in range(10_000):
        log.append(block("decision" if i % 2 else "outcome", i, 1))
    assert sum(map(len, log._gathered.values())) <= 6
    assert sum(receipt.count for receipt, _ in log.read(5_000)) == 5_000


def test_ragged_columns_are_refused_and_nothing_is_appended() -> None:
    """One length for all columns."""
    log = MemoryLog()
    with pytest.raises(LogError, match="one length"):
        log.append(Block("decision", {"x": np.zeros(2), "y": np.zeros(3)}, {}))
    assert len(log) == 0


def test_what_was_read_does_not_change_when_more_is_written() -> None:
    """Neither the blocks in hand nor a reading in progress."""
    log = MemoryLog()
    log.append(block("decision", 0, 3))
    reading = log.read()
    ((_, first),) = list(log.read())
    for i in range(3, 600):
        log.append(block("decision", i, 1))
    assert first.columns["x"].tolist() == [0, 1, 2]
    assert sum(receipt.count for receipt, _ in reading) >= 3


@pytest.mark.parametrize("turn", [1, 2, 3])
@pytest.mark.parametrize("what", ["_runs", "fits", "add"])
def test_interrupted_while_it_gathers_a_log_loses_nothing(
    what: str, turn: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was acknowledged is there, once, in order; what was not is not."""
    owner: Any = _memory if what == "_runs" else _memory._Segment
    inner, calls = getattr(owner, what), 0

    def interrupted(*args: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == turn:
            raise KeyboardInterrupt
        return inner(*args)

    log, told = MemoryLog(), []
    monkeypatch.setattr(owner, what, interrupted)
    for i in range(200):
        try:
            log.append(block("decision", i, 1, meta=i // 10))
            told.append(i)
            if i % 50 == 40:
                list(log.read())
        except KeyboardInterrupt:
            continue
    assert calls >= turn
    assert [int(x) for _, found in log.read() for x in found.columns["x"]] == told
    assert len(log) == len(told)


@pytest.mark.parametrize("n", [1, 255, 256])
def test_what_becomes_of_a_block_s_mapping_later_is_not_what_was_logged(n: int) -> None:
    """Columns that a caller puts in the place of others, or takes out, do not change the log."""
    log, given = MemoryLog(), block("decision", 7, n)
    log.append(given)
    given.columns["x"] = np.zeros(n, dtype=np.int64)
    del given.columns["y"]
    ((_, found),) = log.read()
    assert found.columns["x"][0] == 7
    assert set(found.columns) == {"x", "y"}
