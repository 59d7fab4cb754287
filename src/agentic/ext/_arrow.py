"""How do records become a Parquet file? With pyarrow, from the extra ``arrow``."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from agentic.arrays import Block
from agentic.errors import ConfigurationError

_MOST_ROWS: Final = 1 << 16  # of a row group
_MOST_BYTES: Final = 1 << 25
_OURS: Final = ("position", "kind", "meta")


def write_parquet(
    stream: BinaryIO, rows: Iterable[tuple[int, Block]], columns: Sequence[tuple[str, str, str, int]], /
) -> None:
    """Write records as one Parquet file, in groups of up to 65,536 rows; holds one group in memory.

    A record has its ``position``, its ``kind``, the ``meta`` of its block as JSON, and all columns that any
    record of any kind has; null where it has none of that name. A column named like one of these three gets
    an underscore behind it. ``surrogate`` is 32 hex digits.

    Args:
        stream: To write to.
        rows: First number, and the records from it on.
        columns: What ``DurableLog.columns`` says: kind, name, dtype, axes.

    Raises:
        ConfigurationError: pyarrow is not installed, or columns of one name do not go together.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError:
        raise ConfigurationError(
            "Parquet is written with the package pyarrow, which is not installed: pip install"
            " 'agentic-decisioning[arrow]', or export JSON lines"
        ) from None
    types = _types(pa, columns)
    ours = [
        ("position", pa.int64()),
        ("kind", pa.dictionary(pa.int32(), pa.string())),
        ("meta", pa.dictionary(pa.int32(), pa.string())),
    ]
    schema = pa.schema([*ours, *((_named(name), found) for name, found in types.items())])
    with parquet.ParquetWriter(stream, schema, compression="zstd") as writer:
        waiting: list[Any] = []  # tables
        held = weight = 0
        for first, block in rows:
            table = _table(pa, schema, types, first, block)
            waiting.append(table)
            held, weight = held + len(block), weight + table.nbytes
            if held >= _MOST_ROWS or weight >= _MOST_BYTES:
                writer.write_table(pa.concat_tables(waiting).unify_dictionaries(), row_group_size=held)
                waiting, held, weight = [], 0, 0
        if waiting:
            writer.write_table(pa.concat_tables(waiting).unify_dictionaries(), row_group_size=held)


def _named(name: str) -> str:
    return f"{name}_" if name in _OURS else name


def _types(pa: Any, columns: Sequence[tuple[str, str, str, int]]) -> dict[str, Any]:
    """An Arrow type for each column, wide enough for all kinds that have it."""
    found: dict[str, tuple[np.dtype[Any], int]] = {}
    for kind, name, text, axes in columns:
        here = np.dtype(text), axes
        if name == "surrogate" and here == (np.dtype(np.uint64), 1):
            here = np.dtype(object), 0
        found[name] = here if name not in found else (_wider(kind, name, found[name], here), here[1])
    types = {}
    for name, (dtype, axes) in found.items():
        if dtype.kind == "c":
            raise ConfigurationError(
                f"column {name!r} holds complex numbers, which Parquet has not: export JSON lines", value=name
            )
        plain = {"O": pa.string(), "U": pa.string(), "S": pa.binary()}.get(dtype.kind)
        plain = pa.from_numpy_dtype(dtype) if plain is None else plain
        types[name] = pa.list_(plain) if axes else plain
    return types


def _wider(
    kind: str, name: str, one: tuple[np.dtype[Any], int], other: tuple[np.dtype[Any], int]
) -> np.dtype[Any]:
    texts = one[0].kind in "OU", other[0].kind in "OU"
    wide = np.dtype(object) if all(texts) else None
    if not any(texts) and bool(one[1]) == bool(other[1]):
        wide = np.promote_types(one[0], other[0])
        if wide.kind not in (one[0].kind, other[0].kind) or (wide.kind == "f" and "fc".find(one[0].kind) < 0):
            wide = None  # a float would not hold all of the integers
    if wide is None or bool(one[1]) != bool(other[1]):
        raise ConfigurationError(
            f"column {name!r} of {kind!r} records has another type than that of others: export one kind with"
            " --kind, or JSON lines",
            value=name,
        )
    return wide


def _table(pa: Any, schema: Any, types: dict[str, Any], first: int, block: Block) -> Any:
    count = len(block)
    meta = json.dumps(block.meta, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    same = pa.array(np.zeros(count, np.int32))
    made = [
        pa.array(np.arange(first, first + count)),
        pa.DictionaryArray.from_arrays(same, [block.kind]),
        pa.DictionaryArray.from_arrays(same, [meta]),
    ]
    for name, kind in types.items():
        column = block.columns.get(name)
        made.append(pa.nulls(count, kind) if column is None else _array(pa, column, kind))
    return pa.Table.from_arrays(made, schema=schema)


def _array(pa: Any, column: NDArray[Any], kind: Any) -> Any:
    if column.ndim == 1:
        return pa.array(column, type=kind)
    flat = pa.array(np.ascontiguousarray(column).reshape(-1), type=kind.value_type)
    each = column.size // max(1, len(column))
    return pa.ListArray.from_arrays(pa.array(np.arange(len(column) + 1, dtype=np.int32) * each), flat)
