"""Whatever is changed in a file is found, and said where it is."""

from __future__ import annotations

import shutil
import sqlite3
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shops
from agentic._integrity import Checked, check
from agentic._onlooker import Onlooker
from agentic.errors import DamagedError, DatabaseError
from agentic.provenance import Checkpoint, DurableLog, HmacKey
from durable import decisions, opened, rewards

# What protects nobody: when something was done, as its doer said.
FREE = {"checkpoints": ("at",), "segments": ("dropped_at",)}
TABLES = (
    "meta",
    "headers",
    "blocks",
    "vault",
    "commitments",
    "checkpoints",
    "journal",
    "pages",
    "layouts",
    "policies",
    "sqlite_sequence",
)


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "agent.db"
    shops.filled(path)
    return path


def looked(path: Path, *more: Any) -> Checked:
    with closing(Onlooker(path)) as database:
        return check(database, *more)


def test_a_file_that_is_right_is_right(left: Path) -> None:
    """Counts of everything, no problem, and one checkpoint with a good signature."""
    found = looked(left, [shops.KEY])
    assert found.ok
    assert found.log.records > 100
    assert found.unsealed == 40
    assert found.state.journal
    assert found.state.pages
    assert found.state.layouts
    assert found.state.policies == 2
    assert [each.known for each in found.checkpoints] == [True]
    assert found.origin is not None


def flipped(value: Any, dice: np.random.Generator) -> Any:
    """The value with one bit changed."""
    if isinstance(value, bytes):
        at = int(dice.integers(len(value)))
        return value[:at] + bytes([value[at] ^ 1 << int(dice.integers(8))]) + value[at + 1 :]
    if isinstance(value, str):
        at = int(dice.integers(len(value)))
        return value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
    return value ^ 1 << int(dice.integers(12))


@pytest.mark.parametrize("table", TABLES)
def test_a_flipped_bit_is_found_in_every_table(left: Path, tmp_path: Path, table: str) -> None:
    """In any column of any row; a line names the place, and quotes nobody."""
    dice = np.random.default_rng(5)
    seen = 0
    for names, row in list(shops.rows(left, table))[:6]:
        for name, value in zip(names, row, strict=True):
            if name in FREE.get(table, ()) or value is None or value in (b"", ""):
                continue
            shutil.copy(left, path := tmp_path / "a.db")
            where = " AND ".join(f"{each} IS ?" for each in names)
            other = flipped(value, dice)
            with closing(sqlite3.connect(path)) as connection, connection:
                taken = connection.execute(
                    f"UPDATE OR IGNORE {table} SET {name} = ? WHERE {where}", (other, *row)
                ).rowcount
            if not taken:  # there is such a row
                continue
            found = looked(path, [shops.KEY])
            assert not found.ok, (table, name, value)
            assert "anna" not in " ".join(found.problems)
            seen += 1
    assert seen


@pytest.mark.parametrize("table", [*TABLES, "segments"])
def test_values_of_other_types_never_surprise(left: Path, tmp_path: Path, table: str) -> None:
    """SQLite takes anything anywhere: it is a problem or means nothing, and never another error."""
    with closing(sqlite3.connect(left)) as connection:
        names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
    seen = 0
    for name in names:
        for value in ("NULL", "7", "-1", "1.5", "'text'", "x'00ff'", "x''", "zeroblob(70000)"):
            shutil.copy(left, path := tmp_path / "a.db")
            try:
                with closing(sqlite3.connect(path)) as connection, connection:
                    connection.execute(f"INSERT OR IGNORE INTO {table} DEFAULT VALUES")
                    connection.execute(f"UPDATE {table} SET {name} = {value}")
            except sqlite3.Error:  # not quite anything
                continue
            looked(path, [shops.KEY])
            seen += 1
    assert seen > 3


def test_a_schema_of_somebody_else_is_an_error(left: Path, tmp_path: Path) -> None:
    """Tables that are gone, or are no tables: the file is not even opened."""
    for table in TABLES[:-1]:
        shutil.copy(left, path := tmp_path / "a.db")
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"ALTER TABLE {table} RENAME TO old")
            connection.execute(f"CREATE VIEW {table} AS SELECT zeroblob(1000000) FROM old")
        with pytest.raises(DamagedError, match="does not have the tables"):
            looked(path)


def test_rows_that_are_gone_are_missed(left: Path, tmp_path: Path) -> None:
    """A row of any table but the notes that say where to begin again."""
    for table in TABLES:
        if table in {"meta", "policies", "headers", "layouts", "checkpoints", "sqlite_sequence"}:
            continue
        shutil.copy(left, path := tmp_path / "a.db")
        with closing(sqlite3.connect(path)) as connection, connection:
            key = connection.execute(f"SELECT min(rowid) FROM {table}").fetchone()[0]
            connection.execute(f"DELETE FROM {table} WHERE rowid = ?", (key,))
        assert not looked(path).ok, table


def test_bytes_of_the_file_are_found_or_mean_nothing(left: Path, tmp_path: Path) -> None:
    """Flipped anywhere: a problem, an error of ours, or the same answers as before."""
    raw = left.read_bytes()
    dice = np.random.default_rng(9)
    want = looked(left)
    found = 0
    used = np.flatnonzero(np.frombuffer(raw, dtype=np.uint8))  # much of it is empty
    for at in dice.choice(used, 80).tolist():
        changed = bytes([raw[at] ^ 1 << int(dice.integers(8))])
        (tmp_path / "a.db").write_bytes(raw[:at] + changed + raw[at + 1 :])
        try:
            told = looked(tmp_path / "a.db")
        except DatabaseError:
            found += 1
        else:
            found += not told.ok
            assert not told.ok or told == want
    assert found > 10


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_found(left: Path, tmp_path: Path, share: float) -> None:
    """Wherever it ends."""
    raw = left.read_bytes()
    (tmp_path / "a.db").write_bytes(raw[: int(len(raw) * share)])
    try:
        assert not looked(tmp_path / "a.db").ok
    except DatabaseError as error:
        assert "a.db" in str(error)  # noqa: PT017 - or it does not even open


class TestCheckpoints:
    def test_a_kept_checkpoint_is_compared(self, left: Path, tmp_path: Path) -> None:
        """The log begins with it; one of another log, a rewritten one or a cut one is told."""
        with closing(Onlooker(left)) as database:
            log = DurableLog(database)
            (held,) = log.checkpoints()
            origin = log.origin
        assert origin is not None
        found = looked(left, [shops.KEY], held.note)
        assert found.since is not None
        assert found.since.size == held.size
        assert looked(left, [], held.note).ok
        for odd, told in {
            Checkpoint("other", held.size, bytes(32)): "another log's",
            Checkpoint(origin, held.size - 1, bytes(32)): "was rewritten",
            Checkpoint(origin, held.size + 1000, bytes(32)): "was cut",
            Checkpoint(origin, 0, bytes(32)): "on no records",
        }.items():
            (problem,) = looked(left, [shops.KEY], odd.signed([shops.KEY])).problems
            assert told in problem
        assert "none of the 1" in looked(left, [HmacKey("k", bytes(16))], held.note).problems[0]
        assert not looked(left, [], "no note").ok

    def test_a_false_signature_is_told(self, left: Path, tmp_path: Path) -> None:
        """By a key of that name and id; by nobody that is known; and no checkpoint at all."""
        shutil.copy(left, path := tmp_path / "a.db")
        ((_, row),) = shops.rows(path, "checkpoints")
        note: str = row[2]
        forged = Checkpoint.of(note).signed([HmacKey("shop.example/a", bytes(16))])
        text, _, line = note.rpartition("\n\n")
        bad = f"{text}\n\n{line[:-6]}{'A' if line[-6] != 'A' else 'B'}{line[-5:]}"
        for other, told in {bad: "is false", forged: "none of the 1 checkpoints"}.items():
            with closing(sqlite3.connect(path)) as connection, connection:
                connection.execute("UPDATE checkpoints SET note = ?", (other,))
            (problem,) = looked(path, [shops.KEY]).problems
            assert told in problem
            assert looked(path).ok
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("DELETE FROM checkpoints")
        assert "none of the 0" in looked(path, [shops.KEY]).problems[0]

    def test_a_checkpoint_of_another_log_is_told(self, left: Path, tmp_path: Path) -> None:
        """Origins are compared."""
        shutil.copy(left, path := tmp_path / "a.db")
        ((_, row),) = shops.rows(path, "checkpoints")
        told = Checkpoint.of(row[2])
        with closing(sqlite3.connect(path)) as connection, connection:
            note = Checkpoint("other", told.size, told.root).signed([shops.KEY])
            connection.execute("UPDATE checkpoints SET note = ?", (note,))
        assert "another log's" in looked(path).problems[0]

    def test_unsigned_checkpoints_of_a_dropping_are_fine(self, tmp_path: Path) -> None:
        """Nobody has to sign what the log needs itself; what lies within is not known any more."""
        database, log = opened(tmp_path / "a.db")
        log.append(rewards(list(range(5000))))
        note = log.checkpoint(shops.KEY, at=1)
        log.append(rewards(list(range(5000))))
        log.drop(8192, at=1)
        log.checkpoint(shops.KEY, at=2)
        database.close()
        found = looked(tmp_path / "a.db", [shops.KEY])
        assert found.log.dropped == 8192
        assert [each.size for each in found.checkpoints if not each.signed] == [8192]
        assert any("dropped" in problem for problem in looked(tmp_path / "a.db", [], note).problems)


def test_many_records_are_checked_in_little_memory(tmp_path: Path) -> None:
    """What is held is a segment, not the log: 100,000 records take as much as 10,000 do."""
    held = []
    for name, count in (("a.db", 10_000), ("b.db", 100_000)):
        database, log = opened(tmp_path / name)
        for at in range(0, count, 5_000):
            log.append(decisions(list(range(5_000)), at=at))
        log.checkpoint(shops.KEY, at=1)
        database.close()
        tracemalloc.start()
        found = looked(tmp_path / name, [shops.KEY])
        held.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.ok
        assert found.log.records == count
    assert held[1] < 1.5 * held[0]


def test_a_file_is_checked_while_another_connection_writes(tmp_path: Path) -> None:
    """What comes meanwhile is no problem."""
    path = tmp_path / "a.db"
    shops.filled(path)
    with shops.make(str(path)) as agent:
        turns = iter(range(1000))

        def write(*_: object) -> None:
            agent.decide(f"anna-{next(turns)}", {"age": 3.0})

        assert looked(path, [shops.KEY], None, write).ok
        assert next(turns) > 1
        assert looked(path, [shops.KEY]).ok
