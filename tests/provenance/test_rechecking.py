"""A check of the whole log sees every byte that is not what was written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentic._database import Database
from agentic.errors import DamagedError, ProofError
from agentic.provenance import DurableLog
from agentic.provenance._dropping import unsigned
from agentic.provenance._pieces import vault_digest
from durable import changed, decisions, opened, outcomes, rewards, rows, surrogate

TABLES = {
    "blocks": "first count kind header fixed public digest",
    "vault": "first fixed personal salts digest",
    "headers": "id digest body",
    "commitments": "first hashes",
    "segments": "first root first_at last_at",
    "checkpoints": "size note",
    "meta": "key value",
}


def filled(path: Path, base: int = 4090) -> tuple[Database, DurableLog]:
    """So many rewards, then something of everything, sealed in part, erased in part."""
    database, log = opened(path)
    log.append(rewards(list(range(base))))
    log.append(decisions([1, 2, 3, 1], at=5))
    log.append(decisions([4]))
    log.append(outcomes([base, base + 1, base + 2]))
    log.append(decisions([5, 6], equal=True))
    log.erase([surrogate(2), surrogate(6)])
    log.append(decisions([7, 8]))
    log.append(outcomes([base + 10]))
    size = log.size
    changed(
        database, "INSERT INTO checkpoints VALUES (?, 1, ?)", base + 3, unsigned(base + 3, log.root(base + 3))
    )
    changed(database, "INSERT INTO checkpoints VALUES (?, 1, ?)", size, unsigned(size, log.root()))
    return database, log


def everything(log: DurableLog) -> list[Any]:
    return [(receipt.first, row) for receipt, block in log.read() for row in rows(block)]


def flips(value: Any, dice: np.random.Generator) -> list[Any]:
    """The value with one bit changed, in some places or all; of another length; of another type."""
    if isinstance(value, bytes):
        places = range(len(value)) if len(value) <= 40 else dice.choice(len(value), 12, replace=False)
        found: list[Any] = [value + b"\0", value[:-1], None, 1, "text"]
        for at in map(int, places):
            other = bytearray(value)
            other[at] ^= 1 << int(dice.integers(8))
            found.append(bytes(other))
    elif isinstance(value, int):
        found = [value ^ 1 << bit for bit in (0, 1, 5, 12, 13, 40)] + [-1, None, "text", b"", 1.5]
    else:
        found = ["", None, b"a", 1]
        found += [value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :] for at in range(len(value))]
    return [other for other in found if other != value]


@pytest.mark.parametrize("table", TABLES)
def test_any_change_is_seen_or_changes_nothing(tmp_path: Path, table: str) -> None:
    """Bit by bit, row by row: a check says so, and reading never gives another record."""
    database, log = filled(tmp_path / "a.db", 4090 if table in {"segments", "commitments"} else 3)
    want, good = everything(log), log.verify()
    assert good.ok
    dice = np.random.default_rng(1)
    names = TABLES[table].split()
    with database.reading() as connection:
        key = "key = 'log.tree'" if table == "meta" else "1"
        stored = connection.execute(f"SELECT {', '.join(names)} FROM {table} WHERE {key}").fetchall()
    seen = 0
    for row in stored:
        for name, value in zip(names, row, strict=True):
            for other in flips(value, dice):
                # SQLite lets nothing but whole numbers into such a key; of a note, others check the rest.
                if name == names[0] and not isinstance(other, int):
                    continue
                if name == "note" and str(other).split("\n")[1:3] == value.split("\n")[1:3]:
                    continue
                where = " AND ".join(f"{each} IS ?" for each in names)
                with database.writing() as connection:
                    taken = connection.execute(
                        f"UPDATE OR IGNORE {table} SET {name} = ? WHERE {where}", (other, *row)
                    ).rowcount
                if not taken:  # there is such a row already
                    continue
                seen += 1
                fresh = DurableLog(database)
                assert not fresh.verify().ok, (name, value, other)
                try:
                    found = everything(fresh)
                except DamagedError:
                    pass
                else:
                    assert found == want[: len(found)], (name, value, other)
                back = [other if each == name else old for each, old in zip(names, row, strict=True)]
                changed(database, f"UPDATE {table} SET {name} = ? WHERE {where}", value, *back)
                database.leave(fresh)
    assert seen > 10
    assert DurableLog(database).verify() == good


def test_progress_is_told(tmp_path: Path) -> None:
    """After each segment, how far it is."""
    _, log = filled(tmp_path / "a.db")
    told: list[tuple[int, int]] = []
    found = log.verify(lambda done, of: told.append((done, of)))
    assert told == [(4096, 4103), (4103, 4103)]
    assert found.records == 4103
    assert (found.size, found.erased, found.segments, found.dropped) == (4100, 3, 1, 0)


def test_records_swapped_with_their_digests_are_seen(tmp_path: Path) -> None:
    """A rewritten history whose own digests are right does not lead to the root."""
    database, log = opened(tmp_path / "a.db")
    for number in range(4):
        log.append(decisions([number]))
    log.seal()
    other, forged = opened(tmp_path / "b.db")
    for number in (0, 2, 1, 3):
        forged.append(decisions([number]))
    with other.reading() as connection:
        blocks = connection.execute("SELECT * FROM blocks").fetchall()
        vault = connection.execute("SELECT * FROM vault").fetchall()
    with database.writing() as connection:
        connection.executemany("REPLACE INTO blocks VALUES (?, ?, ?, ?, ?, ?, ?)", blocks)
        connection.executemany("REPLACE INTO vault VALUES (?, ?, ?, ?, ?)", vault)
    fresh = DurableLog(database)
    assert len(everything(fresh)) == 4
    found = fresh.verify()
    assert found.problem is not None
    assert "0 to 0" in found.problem


def test_a_log_cut_behind_a_checkpoint_is_seen(tmp_path: Path) -> None:
    """Whoever removes the last records and what is known of them has the checkpoint against him."""
    database, log = opened(tmp_path / "a.db")
    log.append(decisions([1, 2]))
    log.seal()
    with database.reading() as connection:
        ((_, tree),) = connection.execute("SELECT * FROM meta WHERE key = 'log.tree'").fetchall()
    log.append(decisions([3]))
    log.seal()
    changed(database, "INSERT INTO checkpoints VALUES (3, 1, ?)", unsigned(3, log.root()))
    for statement in ("DELETE FROM blocks", "DELETE FROM vault", "DELETE FROM commitments"):
        changed(database, f"{statement} WHERE first = 2")
    changed(database, "UPDATE meta SET value = ? WHERE key = 'log.tree'", tree)
    found = DurableLog(database).verify()
    assert found.problem is not None
    assert "checkpoint of 3 records" in found.problem


def test_checking_while_others_write(tmp_path: Path) -> None:
    """What is appended, sealed, erased or dropped meanwhile is no problem."""
    _, log = opened(tmp_path / "a.db")
    log.append(decisions([number % 9 for number in range(20_000)]))
    log.seal(9000)
    turns = iter(
        [
            lambda: log.append(decisions([1, 2])),
            log.seal,
            lambda: log.erase([surrogate(1)]),
            lambda: log.drop(12_288, at=1),
            lambda: log.append(decisions(list(range(9000)))),
        ]
    )
    found = log.verify(lambda done, of: next(turns)())
    assert found.problem is None
    assert found.size >= 9000
    assert log.verify().ok


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM segments WHERE first = 4096",
        "DELETE FROM blocks WHERE first = 4096",
        "DELETE FROM blocks WHERE first = 0",
        "INSERT INTO commitments VALUES (8190, zeroblob(64))",
        "INSERT INTO vault SELECT 4097, fixed, personal, salts, digest FROM vault LIMIT 1",
        "INSERT INTO headers(digest, body) VALUES (zeroblob(32), zeroblob(32))",
        "DELETE FROM blocks WHERE first >= 8192",
        "UPDATE segments SET dropped_at = 1 WHERE first = 0",
        "UPDATE segments SET dropped_at = 1 WHERE first = 4096",
        "UPDATE commitments SET hashes = substr(hashes, 33) WHERE first = 0",
        "UPDATE commitments SET hashes = CAST(hashes || zeroblob(32) AS BLOB) WHERE first = 0",
    ],
    ids=str,
)
def test_rows_too_few_or_too_many_are_seen(tmp_path: Path, statement: str) -> None:
    """In any table that the log consists of; also where proofs or an erasure meet them."""
    database, log = opened(tmp_path / "a.db")
    log.append(decisions([number % 7 for number in range(9000)]))
    log.seal()
    assert log.verify().ok
    changed(database, statement)
    fresh = DurableLog(database)
    assert not fresh.verify().ok
    if not any(word in statement for word in ("headers", "vault", "dropped_at", "||")):
        with pytest.raises((DamagedError, ProofError)):
            for position in (0, 4096, 8999):
                fresh.prove(position, 8998 if position < 8998 else None)
                fresh.leaf(position)
                fresh.erase_records([position])
                next(fresh.read(position))


def test_values_put_into_erased_records_are_seen(tmp_path: Path) -> None:
    """Somebody's words in place of what was erased, digest and all."""
    database, log = opened(tmp_path / "a.db")
    log.append(decisions([1, 2]))
    log.erase([surrogate(1)])
    with database.reading() as connection:
        ((personal, salts),) = connection.execute("SELECT personal, salts FROM vault").fetchall()
    forged = b"\1" + personal[1:]
    digest = vault_digest(0, b"", forged, salts)
    changed(database, "UPDATE vault SET personal = ?, digest = ?", forged, digest)
    found = DurableLog(database).verify()
    assert found.problem is not None
    assert "0 to 1" in found.problem


def test_a_forged_personal_value_does_not_open_its_commitment(tmp_path: Path) -> None:
    """Neither for a check nor for who asks for the leaf."""
    database, log = opened(tmp_path / "a.db")
    log.append(decisions([1, 2]))
    log.seal()
    with database.reading() as connection:
        ((shared, personal, salts),) = connection.execute(
            "SELECT fixed, personal, salts FROM vault"
        ).fetchall()
    forged = b"\1" + personal[1:]
    changed(
        database,
        "UPDATE vault SET personal = ?, digest = ?",
        forged,
        vault_digest(0, shared, forged, salts),
    )
    with pytest.raises(DamagedError):
        log.leaf(0)
    assert log.leaf(1).payload is not None
    assert not log.verify().ok


def test_a_check_within_a_transaction_sees_what_is_being_written(tmp_path: Path) -> None:
    """The same connection, the same answer."""
    database, log = opened(tmp_path / "a.db")
    with database.writing():
        log.append(decisions([1, 2]))
        assert log.verify().records == 2
    assert log.verify().records == 2


@pytest.mark.parametrize("column", ["fixed", "personal", "salts"])
def test_damage_does_not_put_a_person_into_an_error(tmp_path: Path, column: str) -> None:
    """SQLite would repeat a text that is none; what was stored stays where it is."""
    database, log = opened(tmp_path / "a.db")
    log.append(decisions([1, 2]))
    changed(database, f"UPDATE vault SET {column} = CAST({column} || x'ff' || 'secret-person' AS TEXT)")
    with pytest.raises(DamagedError) as caught:
        list(log.read())
    assert "secret-person" not in f"{caught.value} {caught.value.__cause__}"
    assert not log.verify().ok
