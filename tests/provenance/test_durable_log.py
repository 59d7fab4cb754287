"""The log in a database file: what the conformance kit does not ask."""

from __future__ import annotations

import multiprocessing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentic._database import Database
from agentic.arrays import Block, Receipt
from agentic.errors import DamagedError, DatabaseError, LogError
from agentic.provenance import DurableLog
from agentic.provenance._pieces import SEGMENT
from durable import changed, decisions, opened, outcomes, rewards, rows


def everything(log: DurableLog, after: int = 0) -> list[tuple[int, str, dict[str, Any]]]:
    return [
        (receipt.first + at, block.kind, row)
        for receipt, block in log.read(after)
        for at, row in enumerate(rows(block))
    ]


def test_pieces_never_cross_a_segment(tmp_path: Path) -> None:
    """Whatever the size of blocks, what is stored and what is read stays within 4,096 aligned records."""
    database, log = opened(tmp_path / "a.db")
    assert log.append(decisions(list(range(4000)))) == Receipt(0, 4000)
    assert log.append(decisions(list(range(9000)))) == Receipt(4000, 9000)
    for number in range(200):
        log.append(decisions([number]))
    with database.reading() as connection:
        stored = connection.execute("SELECT first, count FROM blocks ORDER BY first").fetchall()
    assert stored[:5] == [(0, 4000), (4000, 96), (4096, 4096), (8192, 4096), (12288, 712)]
    for receipt, _ in log.read():
        assert receipt.first // SEGMENT == (receipt.first + receipt.count - 1) // SEGMENT
    assert len(everything(log)) == len(log) == log.next == 13_200


def test_a_log_is_there_after_reopening(tmp_path: Path) -> None:
    """Another database object on the file reads the same and goes on with the next number."""
    database, log = opened(tmp_path / "a.db")
    log.append(decisions([1, 2, 3]))
    log.append(outcomes([0, 2]))
    before = everything(log)
    database.close()
    database, log = opened(tmp_path / "a.db")
    assert everything(log) == before
    assert log.append(rewards([0])) == Receipt(5, 1)
    assert log.durability == "memory"
    assert log.pseudonymous


def test_two_logs_on_one_file_number_on(tmp_path: Path) -> None:
    """What another connection appended is seen before the next number is given."""
    _, one = opened(tmp_path / "a.db")
    _, other = opened(tmp_path / "a.db")
    for number in range(20):
        assert (one, other)[number % 2].append(decisions([number])).first == number
    assert everything(one) == everything(other)


def _append_many(path: str, kind: int) -> list[int]:
    log = DurableLog(Database(path, durability="memory"))
    return [log.append(decisions([kind] * (number % 3 + 1))).first for number in range(50)]


def test_processes_append_without_gaps(tmp_path: Path) -> None:
    """Two processes at once get numbers that are together all numbers."""
    _, log = opened(tmp_path / "a.db")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.starmap(_append_many, [(str(tmp_path / "a.db"), kind) for kind in (1, 2)])
    firsts = sorted((first, kind) for kind, each in enumerate(found, 1) for first in each)
    read = everything(log)
    assert [number for number, _, _ in read] == list(range(len(read)))
    assert len(firsts) == 100
    for first, kind in firsts:
        assert read[first][2]["action"] == repr([kind])


def test_an_append_stands_or_falls_with_its_transaction(tmp_path: Path) -> None:
    """What is rolled back was never there, its header neither, and the numbers are given again."""
    database, log = opened(tmp_path / "a.db")
    log.append(decisions([1]))

    def fail() -> None:
        with database.writing():
            assert log.append(outcomes([0])) == Receipt(1, 1)
            assert [block.kind for _, block in log.read()] == ["decision", "outcome"]
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert log.append(rewards([0])) == Receipt(1, 1)
    assert log.append(outcomes([0])) == Receipt(2, 1)
    assert [block.kind for _, block in log.read()] == ["decision", "reward", "outcome"]
    with database.writing():
        assert log.append(decisions([2])).first == 3
        assert log.append(decisions([3])).first == 4
    assert log.verify().ok


def test_what_is_refused_leaves_nothing(tmp_path: Path) -> None:
    """A column without a stored form, far into a block, costs no record."""
    _, log = opened(tmp_path / "a.db")
    odd = np.empty(5000, dtype=object)
    odd[:] = "a"
    odd[4999] = 3
    with pytest.raises(LogError, match="column 'odd'"):
        log.append(Block("fact", {"at": np.arange(5000), "odd": odd}, {}))
    assert len(log) == 0
    assert log.append(decisions([1])).first == 0


def test_a_failing_database_is_a_log_error(tmp_path: Path) -> None:
    """The agent hears a LogError that names what the database said."""
    database, log = opened(tmp_path / "a.db")
    log.append(decisions([1]))
    with database.writing() as connection:
        connection.execute("PRAGMA max_page_count = 1")
    with pytest.raises(LogError, match="2000 'decision' records") as caught:
        log.append(decisions(list(range(2000))))
    assert isinstance(caught.value.__cause__, DatabaseError)
    database.close()
    with pytest.raises(LogError):
        log.append(decisions([1]))
    _, log = opened(tmp_path / "a.db")
    assert len(everything(log)) == 1


def test_reading_ends_where_the_log_ended_when_it_began(tmp_path: Path) -> None:
    """Who reads while others write sees no more than was there, and no less."""
    _, log = opened(tmp_path / "a.db")
    for number in range(300):
        log.append(decisions([number]))
    reading = log.read()
    found = [next(reading)]
    for number in range(300):
        log.append(outcomes([number]))
    found += reading
    assert [receipt.first + i for receipt, _ in found for i in range(receipt.count)] == list(range(300))


def test_small_blocks_come_as_one(tmp_path: Path) -> None:
    """Ten thousand single decisions are read as a few blocks with columns, not as ten thousand."""
    database, log = opened(tmp_path / "a.db")
    with database.writing():
        for number in range(10_000):
            log.append(decisions([number % 100 + 128]))
    read = list(log.read())
    assert len(read) <= 16
    assert np.concatenate([block.columns["at"] for _, block in read]).tolist() == [0] * 10_000
    assert next(log.read(5_000))[0] == Receipt(5_000, 1)


KINDS = {
    "decision": lambda first: decisions([first % 7]),
    "outcome": lambda first: outcomes([first // 2]),
    "reward": lambda first: rewards([first // 2] * 3),
}


@given(st.lists(st.sampled_from(sorted(KINDS)), max_size=20), st.integers(0, 40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_kind_is_read_as_if_the_others_were_not_there(
    tmp_path_factory: pytest.TempPathFactory, kinds: list[str], after: int
) -> None:
    """``read_kind`` and ``scan`` give what ``read`` gives of that kind, from any record on."""
    database, log = opened(tmp_path_factory.mktemp("log") / "a.db")
    for kind in kinds:
        log.append(KINDS[kind](len(log)))
    all_of_it = everything(log)
    for kind in KINDS:
        want = [(number, row) for number, own, row in all_of_it if own == kind and number >= after]
        found = [
            (receipt.first + at, row)
            for receipt, block in log.read_kind(kind, after)
            for at, row in enumerate(rows(block))
        ]
        assert [each for each in found if each[0] >= after] == want
        for names in ({"at", "reward"}, {"at", "value", "key", "nothing"}, set()):
            scanned = [
                (receipt.first + at, {name: row[name] for name in row})
                for receipt, block in log.scan(kind, names, after)
                for at, row in enumerate(rows(block))
            ]
            assert [(n, row) for n, row in scanned if n >= after and row] == [
                (number, {name: row[name] for name in row if name in names})
                for number, row in want
                if row.keys() & names
            ]
    database.close()


def test_reading_one_kind_uses_the_index(tmp_path: Path) -> None:
    """A thousand decisions between two facts are not looked at."""
    database, log = opened(tmp_path / "a.db")
    log.append(rewards([0]))
    asked: list[str] = []
    with database.reading() as connection:
        connection.set_trace_callback(asked.append)
    list(log.read_kind("reward"))
    with database.reading() as connection:
        connection.set_trace_callback(None)
        for statement in asked:
            if "FROM blocks b" in statement:
                plan = connection.execute(f"EXPLAIN QUERY PLAN {statement}").fetchall()
                assert "other_blocks" in plan[0][3], plan


def test_public_columns_are_read_without_the_personal_part(tmp_path: Path) -> None:
    """A fold over public columns does not touch the vault, and one over personal columns does."""
    database, log = opened(tmp_path / "a.db")
    log.append(decisions([1, 2]))
    changed(database, "DELETE FROM vault")
    ((_, block),) = log.scan("decision", ["action", "surrogate"])
    assert sorted(block.columns) == ["action", "surrogate"]
    with pytest.raises(DamagedError, match="records 0 to 1"):
        list(log.scan("decision", ["action", "note"]))


def test_one_long_text_does_not_widen_a_thousand(tmp_path: Path) -> None:
    """Records are as wide as the widest of their piece, so a piece is cut around a very long one."""
    database, log = opened(tmp_path / "a.db")
    texts = np.empty(4000, dtype=object)
    texts[:] = "short"
    texts[1234] = "é" * 100_000
    log.append(Block("plugin", {"text": texts}, {}))
    assert np.concatenate([block.columns["text"] for _, block in log.read()]).tolist() == texts.tolist()
    with database.reading() as connection:
        (size,) = connection.execute("SELECT sum(length(personal)) FROM vault").fetchone()
    assert size < 20_000_000
    assert log.verify().ok


def test_columns_cannot_be_written_through(tmp_path: Path) -> None:
    """What was read is what was logged, and stays it."""
    _, log = opened(tmp_path / "a.db")
    log.append(decisions([1, 2]))
    for _, block in log.read():
        for column in block.columns.values():
            with pytest.raises(ValueError, match="read-only"):
                column[0] = column[1]
        block.meta["agent"] = "other"
    assert next(log.read())[1].meta["agent"] == "shop"


@pytest.mark.parametrize("table", ["blocks", "vault", "headers"])
def test_missing_rows_are_damage(tmp_path: Path, table: str) -> None:
    """A row that is gone is told by the numbers of its records."""
    database, log = opened(tmp_path / "a.db")
    for number in (1, 2, 3):
        log.append((decisions, outcomes, rewards)[number % 3]([0]))
    log.append(decisions([4]))
    key = "id" if table == "headers" else "first"
    changed(
        database,
        f"DELETE FROM {table} WHERE {key} = (SELECT {key} FROM {table} ORDER BY {key} LIMIT 1 OFFSET 1)",
    )
    _, log = opened(tmp_path / "a.db")
    with pytest.raises(DamagedError):
        list(log.read())
    assert not log.verify().ok


def test_an_end_that_cannot_be_is_damage(tmp_path: Path) -> None:
    """A block of no records, or of more than a segment, gives no next number."""
    database, log = opened(tmp_path / "a.db")
    log.append(decisions([1]))
    for count in (0, -1, 5000, "x", None, 1.5):
        changed(database, "UPDATE blocks SET count = ?", count)
        _, log = opened(tmp_path / "a.db")
        with pytest.raises(DamagedError, match="records 0 to"):
            len(log)
        with pytest.raises(DamagedError):
            list(log.read())
        with pytest.raises(DamagedError):
            log.append(decisions([1]))


def test_headers_are_shared(tmp_path: Path) -> None:
    """Many blocks of one form have one header in the file, and memory keeps a bounded number."""
    database, log = opened(tmp_path / "a.db")
    with database.writing():
        for number in range(1500):
            log.append(Block("plugin", {"at": np.array([number])}, {"number": number // 10 * 10 % 1100}))
        for number in range(1100):
            log.append(Block("plugin", {"at": np.array([number])}, {"number": number}))
    with database.reading() as connection:
        (headers,) = connection.execute("SELECT count(*) FROM headers").fetchone()
    assert headers == 1100 + len({number // 10 * 10 % 1100 for number in range(1500)} - set(range(1100)))
    assert len(log._ids) <= 1024
    assert len(everything(log)) == 2600
    assert len(log._reader._headers) <= 1024
