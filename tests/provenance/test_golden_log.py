"""Logs that earlier versions wrote are read, and what is written today is what was written then."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentic.arrays import Block
from durable import decisions, opened, outcomes, rewards, rows, surrogate

GOLDEN = Path(__file__).parents[1] / "golden"
TABLES = ("headers", "blocks", "vault", "commitments", "segments", "meta")


def blocks() -> list[Block]:
    """All dtypes, shapes and places."""
    numbers = np.array([1.5, -0.0, np.nan])
    return [
        decisions([3, 1, 4], at=1_763_000_000_000_000),
        decisions([1, 5], equal=True),
        outcomes([0, 3]),
        rewards([2]),
        Block(
            "policy",
            {
                "b": np.array([True, False, True]),
                "i": np.array([-1, 300, 2], dtype=">i8"),
                "u": np.array([[0, 1], [2, 3], [4, 70_000]], dtype="u4"),
                "half": numbers.astype("f2"),
                "single": numbers.astype("f4"),
                "double": numbers / 3,
                "short": numbers,
                "complex": numbers.astype("c16"),
                "day": np.array(["2026-11-23", "NaT", "1969-07-20"], dtype="M8[D]"),
                "took": np.array([1, -2, 3], dtype="m8[us]"),
                "raw": np.array([b"a\0b", b"", b"\xff"]),
                "text": np.array(["", "é\0", "\N{ROCKET}" * 20], dtype=object),
                "wide": np.array(["a", "bc", ""]),
                "same": np.full((3, 2), 7),
                "none": np.zeros((3, 0)),
            },
            {"public": ["x"], "agent": "größer"},
        ),
    ]


def written(path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[Any]]]:
    """The rows of a file with these blocks, one subject erased; bytes in hexadecimal digits."""
    salts = iter(range(1, 100))
    monkeypatch.setattr(os, "urandom", lambda n: bytes([next(salts)]) * n)
    database, log = opened(path)
    for block in blocks():
        log.append(block)
    log.seal()
    log.erase([surrogate(1)])
    with database.reading() as connection:
        return {
            table: [
                [{"hex": value.hex()} if isinstance(value, bytes) else value for value in row]
                for row in connection.execute(f"SELECT * FROM {table} ORDER BY 1")
                if table != "meta" or row[0] == "log.tree"
            ]
            for table in TABLES
        }


def test_todays_bytes_are_those_of_the_first_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of what is written needs a new version of the header, and this file stays."""
    golden = json.loads((GOLDEN / "log-1.json").read_text("utf-8"))
    assert written(tmp_path / "a.db", monkeypatch) == golden["tables"]


def test_the_first_version_is_read(tmp_path: Path) -> None:
    """Every record as it was, proofs included."""
    golden = json.loads((GOLDEN / "log-1.json").read_text("utf-8"))
    database, log = opened(tmp_path / "a.db")
    with database.writing() as connection:
        for table, stored in golden["tables"].items():
            for row in stored:
                values = [bytes.fromhex(value["hex"]) if isinstance(value, dict) else value for value in row]
                connection.execute(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", values)
    assert [[block.kind, rows(block)] for _, block in log.read()] == golden["records"]
    checked = log.verify()
    assert (checked.problem, checked.root.hex(), checked.erased) == (None, golden["root"], 3)
    *_, (_, last) = log.read()
    for name, column in blocks()[-1].columns.items():
        assert last.columns[name].dtype == column.dtype
        found = last.columns[name]
        assert found.tolist() == column.tolist() or found.tobytes() == column.tobytes()
