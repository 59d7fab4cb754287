"""``python -m agentic export``: how do records get out of a database file, to be read by something else?

As JSON lines: a line with ``meta`` says what holds for the records after it that refer to it by ``meta_id``;
every other line is a record. Texts, numbers and lists of them; numbers that JSON has not (``nan``, ``inf``)
are texts, bytes are in hex. The same log gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from agentic._files import written_whole
from agentic._terminal import Bar, is_watched
from agentic.arrays import Block
from agentic.errors import ConfigurationError

if TYPE_CHECKING:
    from agentic.provenance import DurableLog

_FORMATS: Final = (".jsonl", ".parquet")
# In ASCII: other letters that end a line somewhere, as U+2028 does, end none here.
_LINE: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False).encode

Rows = Iterator[tuple[int, Block]]
"""First number, and the records from it on."""


def add(add_parser: Callable[..., argparse.ArgumentParser], /) -> None:
    """Add the command."""
    export = add_parser(
        "export",
        help="write the records of a database file as JSON lines or Parquet",
        description="Write the records of a log as JSON lines or Parquet, without the columns that tell whom"
        " they are about. Subjects are told apart by their surrogates.",
    )
    option = export.add_argument
    option("database", metavar="agent.db", help="the file")
    option("--out", required=True, metavar="FILE", help="FILE.jsonl or FILE.parquet (extra: arrow)")
    option("--kind", default=None, metavar="KIND", help="only of this kind, such as decision")
    option("--since", type=_position, default=0, metavar="N", help="from record number N on")
    option("--personal", action="store_true", help="also subjects, features and all else that is personal")
    export.set_defaults(do=_export)


def _position(text: str) -> int:
    if not text.isdecimal() or len(text) > 18:
        raise argparse.ArgumentTypeError(f"expected the number of a record, from 0, got {text!r}")
    return int(text)


def _export(asked: argparse.Namespace) -> int:
    from agentic._onlooker import Onlooker
    from agentic.provenance import DurableLog

    if not asked.out.endswith(_FORMATS):
        raise ConfigurationError(
            f"cannot tell the format of {asked.out!r}: expected a name that ends with"
            f" {' or '.join(_FORMATS)}",
            value=asked.out,
        )
    bar = Bar(sys.stderr) if is_watched() else None
    count = 0

    def counted(rows: Rows, end: int) -> Rows:
        nonlocal count
        for first, block in rows:
            yield first, block
            count += len(block)
            if bar is not None:
                bar.show("records", first + len(block) - asked.since, end - asked.since)

    try:
        with closing(Onlooker(asked.database)) as database:
            log = DurableLog(database)
            if asked.out.endswith(".parquet"):
                from agentic.ext import write_parquet

                forms = log.columns(asked.kind, personal=asked.personal)
                with written_whole(asked.out) as stream:
                    write_parquet(stream, counted(_rows(log, asked), len(log)), forms)
            else:
                with written_whole(asked.out) as stream:
                    _write_lines(stream, counted(_rows(log, asked), len(log)))
    finally:
        if bar is not None:
            bar.clear()
    print(f"{asked.out}: {count:,} records")
    return 0


def _rows(log: DurableLog, asked: argparse.Namespace) -> Rows:
    if not asked.personal:
        found = log.read_public(asked.since, kind=asked.kind)
    elif asked.kind is None:
        found = log.read(asked.since)
    else:
        found = log.read_kind(asked.kind, asked.since)
    for receipt, block in found:
        skip = max(0, asked.since - receipt.first)
        columns = {name: _readable(name, column[skip:]) for name, column in block.columns.items()}
        if columns:
            yield receipt.first + skip, Block(block.kind, columns, block.meta)


def _readable(name: str, column: NDArray[Any]) -> NDArray[Any]:
    """The column; of surrogates, which are numbers of 128 bits, their hex digits."""
    if name != "surrogate" or column.dtype != np.uint64 or column.shape[1:] != (2,):
        return column
    digits = column.astype(">u8").tobytes().hex()
    found: NDArray[Any] = np.empty(len(column), dtype=object)
    found[:] = [digits[at : at + 32] for at in range(0, len(digits), 32)]
    return found


def _write_lines(stream: BinaryIO, rows: Rows) -> None:
    meta: str | None = None
    number = -1
    for first, block in rows:
        told = _LINE(block.meta)
        if told != meta:
            meta, number = told, number + 1
            stream.write(f'{{"meta":{meta},"meta_id":{number}}}\n'.encode())
        names = list(block.columns)
        lists = [_listed(column) for column in block.columns.values()]
        kind = block.kind
        lines = [
            _LINE(
                {
                    "columns": dict(zip(names, row, strict=True)),
                    "kind": kind,
                    "meta_id": number,
                    "position": position,
                }
            )
            for position, row in enumerate(zip(*lists, strict=True), first)
        ]
        stream.write(("\n".join(lines) + "\n").encode())


def _listed(column: NDArray[Any]) -> list[Any]:
    """Values that JSON has, one a record."""
    if column.dtype.kind in "Mm":
        column = column.astype(np.int64)
    if column.dtype.kind in "OUbiu" or (column.dtype.kind == "f" and np.isfinite(column).all()):
        found: list[Any] = column.tolist()
        return found
    flat = [_value(cell) for cell in column.ravel().tolist()]
    each = column.size // max(1, len(column))
    if column.ndim == 1:
        return flat
    return [flat[row * each : (row + 1) * each] for row in range(len(column))]


def _value(cell: Any) -> Any:  # what numpy makes of a cell
    if isinstance(cell, bytes):
        return cell.hex()
    if isinstance(cell, complex):
        return [str(cell.real), str(cell.imag)]
    return cell if np.isfinite(cell) else str(cell)
