"""What tests of the durable log share: records whose subjects are known, and a log of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from agentic._database import Database
from agentic.arrays import Block
from agentic.provenance import DurableLog

SECRET = "secret-person"  # in every personal text
_META = {"agent": "shop", "schema": 1}


def surrogate(number: int) -> tuple[int, int]:
    """The surrogate of a subject."""
    return number + 1, (number * 0x9E3779B97F4A7C15 + 1) % (1 << 64)


def decisions(subjects: list[int], at: int = 0, *, equal: bool = False) -> Block:
    """A decision about each of these subjects; with all personal values ``equal`` or not."""
    n = len(subjects)
    who = np.zeros(n, dtype=np.int64) if equal else np.array(subjects)
    texts = np.empty(n, dtype=object)
    texts[:] = [f"{SECRET}-{number}" for number in who.tolist()]
    return Block(
        "decision",
        {
            "surrogate": np.array([surrogate(number) for number in subjects], dtype=np.uint64).reshape(n, 2),
            "at": np.arange(at, at + n),
            "action": np.array(subjects).reshape(n, 1) % 5,
            "key": who.astype(np.uint64) + 7_000_000_007,
            "values": np.asfortranarray(np.stack([who + 0.1, who * 2.0 + 1], axis=1)),
            "status": np.zeros((n, 2), dtype=np.uint8),
            "note": texts,
        },
        _META,
    )


def outcomes(positions: list[int], at: int = 0) -> Block:
    """What came of these decisions."""
    n = len(positions)
    return Block(
        "outcome",
        {
            "decision": np.array(positions, dtype=np.int64),
            "slot": np.zeros(n, dtype=np.int64),
            "goal": np.ones(n, dtype=np.int64),
            "value": np.array(positions) * 1.5 + 0.25,
            "at": np.arange(at, at + n),
        },
        _META,
    )


def rewards(positions: list[int]) -> Block:
    """The rewards of these decisions: nothing personal in them."""
    columns = {"decision": np.array(positions, dtype=np.int64), "reward": np.array(positions) / 3}
    return Block("reward", columns, _META)


def opened(path: Path, **more: Any) -> tuple[Database, DurableLog]:
    """The database in a file, and the log in it."""
    database = Database(path, **{"durability": "memory", **more})
    return database, DurableLog(database)


def changed(database: Database, statement: str, *values: Any) -> None:
    """Do to the file what only damage or malice does."""
    with database.writing() as connection:
        connection.execute(statement, values)


def rows(block: Block) -> list[dict[str, Any]]:
    """The records of a block, as texts that tell -0.0 from 0.0 and nan from nothing."""
    columns = {name: list(map(repr, column.tolist())) for name, column in block.columns.items()}
    return [{name: column[row] for name, column in columns.items()} for row in range(len(block))]
