"""What is erased is gone from the file, and what is left is proved as before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentic.arrays import Block
from agentic.errors import InvalidSubjectError, LogError
from agentic.provenance import DurableLog
from agentic.provenance._merkle import leaf_hash, verify_inclusion
from durable import SECRET, decisions, opened, outcomes, rewards, rows, surrogate

BLANK = {"key": "0", "values": "[nan, nan]", "status": "[3, 3]", "note": "''", "value": "nan"}


def everything(log: DurableLog) -> list[dict[str, Any]]:
    return [row for _, block in log.read() for row in rows(block)]


def proofs(log: DurableLog) -> list[Any]:
    found = []
    for position in range(log.size):
        proof = log.prove(position)
        verify_inclusion(proof.leaf, proof.position, proof.size, proof.path, proof.root)
        found.append(proof)
    return found


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["decisions", "alike", "outcomes", "rewards"]),
            st.lists(st.integers(0, 5), min_size=1, max_size=5),
        ),
        min_size=1,
        max_size=8,
    ),
    st.lists(st.sets(st.integers(0, 6), max_size=3), min_size=1, max_size=3),
    st.integers(0, 20),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_erasing_is_what_it_would_be_for_a_list(
    tmp_path_factory: pytest.TempPathFactory,
    appends: list[tuple[str, list[int]]],
    erased: list[set[int]],
    sealed: int,
) -> None:
    """In any order and mixture of blocks: the personal values of exactly those records, and nothing else."""
    database, log = opened(tmp_path_factory.mktemp("log") / "a.db")
    who: list[int | None] = []  # whom each record is about
    personal: list[bool] = []
    for form, numbers in appends:
        known = [position for position, _ in enumerate(who)]
        if form in {"decisions", "alike"}:
            log.append(decisions(numbers, equal=form == "alike"))
            who += numbers
        else:
            about = [known[number % len(known)] if known else 0 for number in numbers]
            log.append((outcomes if form == "outcomes" else rewards)(about))
            who += [None] * len(about)
            personal += []
        personal += [form != "rewards"] * len(numbers)
    want = everything(log)
    decision = [block.kind == "decision" for _, block in log.read() for _ in range(len(block))]
    log.seal(sealed)
    gone: set[int] = set()
    for subjects in erased:
        now = {p for p, subject in enumerate(who) if decision[p] and subject in subjects}
        now |= {
            p
            for p, row in enumerate(want)
            if not decision[p] and int(row["decision"]) in {q for q in now if q < p} and personal[p]
        }
        assert log.erase([surrogate(number) for number in subjects]) == len(now - gone)
        gone |= now
        assert log.erase([surrogate(number) for number in subjects]) == 0
    found = everything(log)
    for position, row in enumerate(want):
        expected = {**row, **{name: BLANK[name] for name in row.keys() & BLANK}} if position in gone else row
        assert found[position] == expected
    log.seal()
    before = proofs(log)
    result = log.verify()
    assert result.problem is None
    assert (result.erased, result.root) == (len(gone), log.root())
    for position, proof in enumerate(before):
        leaf = log.leaf(position)
        assert leaf_hash(leaf.data) == proof.leaf
        assert (leaf.salt is None) == (leaf.payload is None) == (position in gone or not personal[position])
    database.close()


def test_no_byte_of_an_erased_person_is_left_in_the_file(tmp_path: Path) -> None:
    """Not in the rows, not beside them, not in what all records of a block shared, once it is scrubbed."""
    path = tmp_path / "a.db"
    database, log = opened(path)
    log.append(decisions([1] * 10, equal=True))  # one subject's, all the same: written once
    log.append(decisions([1, 2, 1, 3]))
    log.append(decisions([2, 1, 2], equal=True))
    log.append(decisions([1]))
    value = np.float32(10 * 1.5 + 0.25).tobytes()
    log.append(outcomes([10, 11]))
    log.seal()
    before = proofs(log)
    database.scrub()
    personal = [f"{SECRET}-1".encode(), (7_000_000_008).to_bytes(8, "little"), value]
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert [secret in files for secret in personal] == [True, True, True]
    assert log.erase([surrogate(1)]) == 15
    database.scrub()
    files = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert [secret in files for secret in personal] == [False, False, False]
    assert f"{SECRET}-2".encode() in files
    assert proofs(log) == before
    assert log.verify().ok
    assert log.erase([surrogate(1)]) == 0


def test_what_others_shared_with_the_erased_still_opens(tmp_path: Path) -> None:
    """Values that all records of a block had are there for those that are left, commitments included."""
    _, log = opened(tmp_path / "a.db")
    log.append(decisions([4, 5, 6, 7], equal=True))
    log.seal()
    before = [log.leaf(position) for position in range(4)]
    assert log.erase([surrogate(5)]) == 1
    after = [log.leaf(position) for position in range(4)]
    for position in (0, 2, 3):
        assert after[position] == before[position]
    assert (after[1].salt, after[1].payload) == (None, None)
    assert (after[1].data, after[1].header) == (before[1].data, before[1].header)
    read = everything(log)
    assert [row["note"] for row in read] == [f"'{SECRET}-0'", "''", f"'{SECRET}-0'", f"'{SECRET}-0'"]
    assert [row["at"] for row in read] == ["0", "1", "2", "3"]


def test_erasing_records_takes_what_came_of_them(tmp_path: Path) -> None:
    """By number: a decision with its outcomes, or an outcome alone; others of the subject stay."""
    _, log = opened(tmp_path / "a.db")
    log.append(decisions([1, 1, 2]))
    log.append(outcomes([0, 1, 0]))
    assert log.erase_records([0]) == 3
    assert log.erase_records([4, 4]) == 1
    assert [row.get("note", row.get("value")) for row in everything(log)] == [
        "''",
        f"'{SECRET}-1'",
        f"'{SECRET}-2'",
        "nan",
        "nan",
        "nan",
    ]
    assert log.erase_records([]) == log.erase([]) == log.erase([surrogate(99)]) == 0
    assert log.verify().erased == 4


def test_facts_and_what_plugins_log_are_erased_too(tmp_path: Path) -> None:
    """Whatever kind has a surrogate or names a decision, in public or not."""
    _, log = opened(tmp_path / "a.db")
    who = np.array([surrogate(1), surrogate(2)], dtype=np.uint64)
    event = np.array([b"one", b"two"])
    log.append(decisions([2]))
    log.append(Block("fact", {"surrogate": who, "at": np.arange(2), "event": event}, {}))
    log.append(Block("plugin", {"surrogate": who, "event": event}, {}))
    log.append(Block("plugin", {"decision": np.array([0, 1]), "event": event}, {}))
    log.append(Block("plugin", {"surrogate": np.array(["a", "b"]), "decision": event, "event": event}, {}))
    assert log.erase(who[1:]) == 4
    found = [row["event"] for row in everything(log)[1:]]
    assert found == ["b'one'", "b''", "b'one'", "b''", "b''", "b'two'", "b'one'", "b'two'"]
    assert log.verify().ok


@pytest.mark.parametrize("size", [10_000], ids=str)
def test_a_person_in_many_blocks(tmp_path: Path, size: int) -> None:
    """Every hundredth of many records, in blocks of one and of thousands."""
    database, log = opened(tmp_path / "a.db")
    log.append(decisions([number % 100 for number in range(size)]))
    with database.writing():
        for number in range(500):
            log.append(decisions([number % 100]))
    assert log.erase([surrogate(3), surrogate(50)]) == 2 * (size + 500) // 100
    found = log.verify()
    assert (found.problem, found.erased) == (None, 210)


def test_surrogates_that_are_none_are_refused(tmp_path: Path) -> None:
    """Zero would erase whoever has none yet; anything but pairs is a mistake."""
    _, log = opened(tmp_path / "a.db")
    log.append(decisions([1]))
    with pytest.raises(InvalidSubjectError, match="zero"):
        log.erase([surrogate(1), (0, 0)])
    for odd in ([1, 2], [[1, 2, 3]], [[[1, 2]]]):
        with pytest.raises(InvalidSubjectError, match="pairs"):
            log.erase(odd)
    for position in (-1, 1):
        with pytest.raises(LogError, match=f"no record {position}"):
            log.erase_records([0, position])
    assert log.verify().erased == 0


def test_erasing_within_a_transaction_falls_with_it(tmp_path: Path) -> None:
    """What is rolled back was never erased."""
    database, log = opened(tmp_path / "a.db")
    log.append(decisions([1, 2]))
    want = everything(log)

    def fail() -> None:
        with database.writing():
            assert log.erase([surrogate(1)]) == 1
            assert everything(log) != want
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert everything(log) == want
    assert log.erase([surrogate(1)]) == 1
    assert log.verify().ok
