"""Records get their places in a tree that is the same whoever seals, whenever and how often."""

from __future__ import annotations

import hashlib
import multiprocessing
from pathlib import Path

import numpy as np
import pytest

from agentic._database import Database
from agentic.errors import DamagedError, DatabaseError, ProofError
from agentic.provenance import DurableLog
from agentic.provenance._merkle import (
    EMPTY,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from durable import changed, decisions, opened, outcomes, rewards


def filled(path: Path) -> tuple[Database, DurableLog]:
    """Nine thousand records of three kinds, in large blocks and small ones."""
    database, log = opened(path)
    with database.writing():
        log.append(decisions(list(range(3000)), at=100))
        for number in range(0, 300, 2):
            log.append(outcomes([number, number + 1], at=5000 - number))
            log.append(rewards([number]))
        log.append(decisions(list(range(5000, 10_600)), at=9000))
    return database, log


def check(log: DurableLog, position: int, size: int | None = None) -> None:
    """A record's proof, and that its leaf is what it says."""
    proof = log.prove(position, size)
    assert proof.root == log.root(size)
    verify_inclusion(proof.leaf, proof.position, proof.size, proof.path, proof.root)
    leaf = log.leaf(position)
    assert leaf_hash(leaf.data) == proof.leaf
    if leaf.salt is not None:
        assert leaf.payload is not None
        assert hashlib.sha256(leaf.salt + leaf.payload).digest() == leaf.commitment


def test_the_tree_is_over_the_leaves_as_described(tmp_path: Path) -> None:
    """Leaves put together by hand from the rows of the file lead to the same root."""
    database, log = filled(tmp_path / "a.db")
    assert log.seal() == log.size == len(log)
    leaves = []
    with database.reading() as connection:
        for row in connection.execute(
            "SELECT h.digest, b.count, b.fixed, b.public, v.fixed, v.personal, v.salts FROM blocks b"
            " JOIN headers h ON h.id = b.header LEFT JOIN vault v ON v.first = b.first ORDER BY b.first"
        ):
            header, count, fixed, public, shared, personal, salts = row
            for at in range(count):
                width = len(public) // count
                commitment = bytes(32)
                if salts is not None:
                    own = len(personal) // count
                    commitment = hashlib.sha256(
                        salts[16 * at : 16 * at + 16] + shared + personal[own * at : own * at + own]
                    ).digest()
                leaves.append(
                    leaf_hash(header + fixed + public[width * at : width * at + width] + commitment)
                )
    assert log.root() == root_of(leaves)
    for size in (0, 1, 2999, 4096, 4097, 8192, 9000):
        assert log.root(size) == root_of(leaves[:size])


def test_sealing_in_parts_makes_the_same_tree(tmp_path: Path) -> None:
    """Up to any record, in any number of steps, also while records are appended."""
    database, log = filled(tmp_path / "a.db")
    sizes = [log.seal(until) for until in (1, 0, 3000, 3001, 3005, 4096, 4097)]
    assert sizes == sorted(sizes)
    assert sizes[0] == 3000
    roots = {size: log.root() for size in (log.seal(until) for until in (3100, 4000, 8000))}
    log.append(decisions([1, 2, 3]))
    log.seal()
    assert log.root() == log.root(len(log))
    assert {size: log.root(size) for size in roots} == roots
    whole = log.root()
    changed(database, "DELETE FROM commitments")
    changed(database, "DELETE FROM segments")
    changed(database, "DELETE FROM meta")
    assert log.size == 0
    log.seal()
    assert log.root() == whole
    assert log.verify().ok


def test_an_empty_log_has_the_empty_root(tmp_path: Path) -> None:
    """Nothing to seal, nothing to prove."""
    _, log = opened(tmp_path / "a.db")
    assert log.seal() == log.size == 0
    assert log.root() == log.root(0) == EMPTY
    with pytest.raises(ProofError):
        log.prove(0)
    with pytest.raises(ProofError):
        log.leaf(0)
    assert log.verify().root == EMPTY


def test_every_record_can_be_proved_at_every_size(tmp_path: Path) -> None:
    """At sizes within segments, at their ends, and at what is sealed now."""
    _, log = filled(tmp_path / "a.db")
    log.seal()
    end = len(log)
    dice = np.random.default_rng(3)
    for size in (1, 2, 3000, 4096, 4100, 8192, end - 1, end):
        for position in {0, size - 1, size // 2, *dice.integers(0, size, 2).tolist()}:
            check(log, position, size)
    sizes = [1, 5, 4095, 4096, 4097, 8192, 8200, end]
    for old in sizes:
        for new in sizes:
            if old <= new:
                proof = log.prove_growth(old, new)
                assert (proof.old_root, proof.new_root) == (log.root(old), log.root(new))
                verify_consistency(old, new, proof.path, proof.old_root, proof.new_root)


@pytest.mark.parametrize("position", [-1, 9060, 1 << 62], ids=str)
def test_what_is_not_sealed_is_not_proved(tmp_path: Path, position: int) -> None:
    """Numbers that no sealed record has are refused, with an error that says what is sealed."""
    _, log = filled(tmp_path / "a.db")
    log.seal()
    log.append(decisions(list(range(100))))
    with pytest.raises(ProofError, match=str(position)):
        log.prove(position)
    with pytest.raises(ProofError, match=str(position)):
        log.leaf(position)
    with pytest.raises(ProofError, match=str(position)):
        log.root(position)
    with pytest.raises(ProofError):
        log.prove_growth(1, position)


def _seal(path: str) -> int:
    return DurableLog(Database(path, durability="memory")).seal()


def test_processes_seal_at_once(tmp_path: Path) -> None:
    """Two processes that seal the same log make one tree."""
    database, log = opened(tmp_path / "a.db")
    with database.writing():
        for _ in range(10):
            log.append(decisions(list(range(4000))))
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(_seal, [str(tmp_path / "a.db")] * 2) == [40_000, 40_000]
    found = log.verify()
    assert (found.ok, found.size, found.segments, found.records) == (True, 40_000, 9, 40_000)
    assert found.root == log.root()


def test_a_failed_sealing_leaves_what_was_sealed(tmp_path: Path) -> None:
    """Damage behind what is sealed stops sealing there, and everything before stays proved."""
    database, log = opened(tmp_path / "a.db")
    for _ in range(6):
        log.append(decisions(list(range(4096))))
    changed(database, "UPDATE vault SET salts = zeroblob(length(salts)) WHERE first = 20480")
    with pytest.raises(DamagedError, match="records 20480 to 24575"):
        log.seal()
    assert log.size == 16_384
    check(log, 16_000)


@pytest.mark.parametrize("size", [100, 4096], ids=str)
def test_sealing_within_a_transaction_falls_with_it(tmp_path: Path, size: int) -> None:
    """Records and their places are written together or not at all."""
    database, log = opened(tmp_path / "a.db")

    def fail() -> None:
        with database.writing():
            log.append(decisions(list(range(size))))
            assert log.seal() == size
            check(log, 50)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert log.size == 0
    log.append(decisions([7]))
    log.seal()
    check(log, 0)
    assert log.verify().ok


def test_times_of_segments_are_those_of_their_records(tmp_path: Path) -> None:
    """The least and the greatest public ``at``, across all kinds and steps of sealing."""
    database, log = filled(tmp_path / "a.db")
    log.seal(3200)
    log.seal()
    at = np.concatenate(
        [block.columns["at"] if "at" in block.columns else np.full(len(block), -1) for _, block in log.read()]
    )
    with database.reading() as connection:
        rows = connection.execute("SELECT first, first_at, last_at FROM segments ORDER BY first").fetchall()
    assert len(rows) == 2
    for first, low, high in rows:
        here = at[first : first + 4096]
        assert (low, high) == (here[here >= 0].min(), here.max())


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM meta",
        "UPDATE meta SET value = zeroblob(100)",
        "UPDATE meta SET value = NULL",
        "UPDATE segments SET root = zeroblob(32) WHERE first = 0",
        "UPDATE segments SET root = 'text' WHERE first = 4096",
        "DELETE FROM segments WHERE first = 0",
        "DELETE FROM commitments WHERE first = 8192",
        "UPDATE commitments SET hashes = zeroblob(length(hashes)) WHERE first = 8192",
        "UPDATE commitments SET hashes = NULL WHERE first = 8192",
        "UPDATE commitments SET hashes = x'00' WHERE first = 8192",
        "DELETE FROM blocks WHERE first >= 8192",
    ],
    ids=str,
)
def test_damage_is_told_and_not_proved(tmp_path: Path, statement: str) -> None:
    """No proof is made from what is not what was written."""
    database, log = filled(tmp_path / "a.db")
    log.seal()
    changed(database, statement)
    with pytest.raises((DamagedError, DatabaseError, ProofError)):
        for position, size in ((0, 9000), (5000, 9000), (9000, None)):
            check(log, position, size)
    assert not log.verify().ok
