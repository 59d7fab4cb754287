"""A log forgets what is too old, and what is left can be proved."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from agentic._database import Database
from agentic.arrays import Receipt
from agentic.errors import DamagedError, ProofError
from agentic.provenance import DurableLog
from agentic.provenance._merkle import verify_consistency, verify_inclusion
from durable import changed, decisions, opened, outcomes, rewards

SEGMENT = 4096


def filled(path: Path, segments: float = 5.5) -> tuple[Database, DurableLog]:
    database, log = opened(path)
    count = int(segments * SEGMENT)
    log.append(decisions([number % 50 for number in range(count)], at=1000))
    return database, log


def test_what_is_dropped_is_gone_and_the_rest_is_proved(tmp_path: Path) -> None:
    """Whole segments go, numbers go on, and old roots, proofs and growth from the boundary hold."""
    database, log = filled(tmp_path / "a.db")
    size = log.seal()
    root, boundary = log.root(), 3 * SEGMENT
    old = log.root(boundary)
    assert log.drop(boundary + 100, at=77) == boundary
    assert log.drop(boundary + 100, at=78) == 0
    assert next(log.read())[0] == next(log.read(5))[0] == Receipt(boundary, SEGMENT)
    assert next(log.read_kind("decision"))[0].first == boundary
    assert next(log.read(boundary + SEGMENT))[0].first == boundary + SEGMENT
    assert len(log) == size
    for position in (boundary, size - 1):
        for at in (size, boundary + 1 if position == boundary else size):
            proof = log.prove(position, at)
            verify_inclusion(proof.leaf, position, at, proof.path, log.root(at))
    assert log.root() == root
    assert log.root(boundary) == old
    growth = log.prove_growth(boundary)
    verify_consistency(boundary, size, growth.path, old, root)
    for call in (log.prove, log.leaf, log.root, log.prove_growth):
        with pytest.raises(ProofError, match="dropped"):
            call(5)
    found = log.verify()
    assert found.problem is None
    assert (found.dropped, found.records, found.root) == (boundary, size - boundary, root)
    with database.reading() as connection:
        for table in ("blocks", "vault", "commitments"):
            assert connection.execute(f"SELECT min(first) FROM {table}").fetchone() == (boundary,)
        note = connection.execute("SELECT size, at, note FROM checkpoints").fetchall()
    text = f"agentic/log\n{boundary}\n{base64.b64encode(old).decode()}\n"
    assert note == [(boundary, 77, text)]
    assert log.append(outcomes([size - 1])) == Receipt(size, 1)
    log.seal()
    assert log.verify().ok


def test_everything_may_be_dropped(tmp_path: Path) -> None:
    """Numbers go on also where no record is left."""
    database, log = filled(tmp_path / "a.db", 2)
    assert log.drop(1 << 40, at=1) == 2 * SEGMENT
    assert list(log.read()) == []
    assert len(log) == 2 * SEGMENT
    database.close()
    _, log = opened(tmp_path / "a.db")
    assert list(log.read(1)) == []
    assert log.verify().ok
    assert log.append(decisions([1])) == Receipt(2 * SEGMENT, 1)
    assert [receipt for receipt, _ in log.read()] == [Receipt(2 * SEGMENT, 1)]
    log.seal()
    assert log.verify().ok


def test_segments_are_dropped_by_their_newest_record(tmp_path: Path) -> None:
    """A segment stays until all its records are older, and so does everything behind it."""
    _, log = filled(tmp_path / "a.db", 4)
    assert log.drop_older(1000 + SEGMENT, at=9) == SEGMENT
    assert log.drop_older(1000 + 2 * SEGMENT - 1, at=9) == 0
    assert log.drop_older(1 << 60, at=9) == 3 * SEGMENT


def test_segments_without_times_go_with_the_next(tmp_path: Path) -> None:
    """Rewards have no time of their own: they stay as long as nothing older follows."""
    _, log = opened(tmp_path / "a.db")
    log.append(rewards(list(range(SEGMENT))))
    assert log.drop_older(1 << 60, at=9) == 0
    log.append(decisions([1] * SEGMENT))
    log.append(rewards(list(range(SEGMENT))))
    assert log.drop_older(SEGMENT - 1, at=9) == 0
    assert log.drop_older(SEGMENT, at=9) == 2 * SEGMENT
    assert log.verify().ok


def test_the_checkpoint_is_the_one_that_is_asked_for(tmp_path: Path) -> None:
    """Whoever drops may sign; a checkpoint that is there already is kept."""
    database, log = filled(tmp_path / "a.db")

    def signed(size: int, root: bytes) -> str:
        return f"shop\n{size}\n{base64.b64encode(root).decode()}\n\n— shop abc\n"

    log.seal()
    log.drop(SEGMENT, at=3, note=signed)
    text = signed(2 * SEGMENT, log.root(2 * SEGMENT))
    changed(database, "INSERT INTO checkpoints VALUES (?, 5, ?)", 2 * SEGMENT, text)
    log.drop(2 * SEGMENT, at=4)
    with database.reading() as connection:
        found = connection.execute("SELECT size, at, note FROM checkpoints ORDER BY size").fetchall()
    assert found[0][:2] == (SEGMENT, 3)
    assert "shop abc" in found[0][2]
    assert found[1] == (2 * SEGMENT, 5, text)
    assert log.verify().ok


def test_many_segments_are_dropped_in_steps(tmp_path: Path) -> None:
    """More than one transaction takes, with one checkpoint at the end."""
    database, log = opened(tmp_path / "a.db")
    log.append(rewards(list(range(20 * SEGMENT))))
    assert log.drop(19 * SEGMENT, at=1) == 19 * SEGMENT
    with database.reading() as connection:
        assert connection.execute("SELECT size FROM checkpoints").fetchall() == [(19 * SEGMENT,)]
    assert log.verify().ok


def test_dropping_while_somebody_reads(tmp_path: Path) -> None:
    """A reader goes on behind what was dropped under it; a hole that was not dropped is damage."""
    database, log = filled(tmp_path / "a.db")
    reading = log.read()
    assert next(reading)[0] == Receipt(0, SEGMENT)
    log.drop(5 * SEGMENT, at=1)
    assert [receipt.first for receipt, _ in reading][-1] == 5 * SEGMENT
    reading = log.read()
    log.append(decisions(list(range(3 * SEGMENT))))
    changed(database, "DELETE FROM blocks WHERE first = ?", 6 * SEGMENT)
    with pytest.raises(DamagedError, match=f"records {6 * SEGMENT} to {7 * SEGMENT - 1} are missing"):
        list(reading)


def test_erasing_passes_over_what_was_dropped(tmp_path: Path) -> None:
    """There is nothing left to erase in it."""
    _, log = filled(tmp_path / "a.db", 2)
    log.drop(SEGMENT, at=1)
    assert log.erase_records([5, SEGMENT + 5]) == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE segments SET dropped_at = NULL WHERE first = 4096",
        "UPDATE segments SET dropped_at = 1 WHERE first = 12288",
        "UPDATE segments SET root = zeroblob(32) WHERE first = 0",
        "UPDATE segments SET root = NULL WHERE first = 0",
        "DELETE FROM segments WHERE first = 0",
        "INSERT INTO segments VALUES (20480, zeroblob(32), NULL, NULL, NULL)",
        "INSERT INTO vault VALUES (100, x'', x'', x'', x'')",
        "INSERT INTO vault VALUES (-1, x'', x'', x'', x'')",
        "INSERT INTO vault VALUES (8193, x'', x'', x'', x'')",
        "INSERT INTO commitments VALUES (4096, zeroblob(32))",
        "INSERT INTO commitments VALUES (1000000, zeroblob(32))",
        "UPDATE checkpoints SET note = replace(note, char(10), ' ')",
        "UPDATE checkpoints SET note = NULL",
        "UPDATE checkpoints SET size = 8193",
        "UPDATE checkpoints SET size = 1000000",
    ],
    ids=str,
)
def test_a_check_sees_what_is_not_right_after_a_drop(tmp_path: Path, statement: str) -> None:
    """Roots, marks, leftovers and checkpoints all have to agree."""
    database, log = filled(tmp_path / "a.db", 4.5)
    log.seal()
    log.drop(2 * SEGMENT, at=1, note=lambda size, root: f"A\n{size}\n{base64.b64encode(root).decode()}\n")
    assert log.verify().ok
    changed(database, statement)
    assert not log.verify().ok
