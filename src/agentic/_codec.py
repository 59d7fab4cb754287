"""How values become text: canonical JSON, content hashes, and the one cattrs converter.

The canonical form is JSON with sorted keys, no spaces, no NaN, and numbers as Python writes them; it
is not RFC 8785. Arrays are written as dtype, shape and little-endian bytes.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from agentic.conditions import Condition
from agentic.errors import CodecError

if TYPE_CHECKING:
    import cattrs


def plain(value: object, /) -> Any:  # JSON-compatible
    """Turn a value into what JSON can hold: the content of attrs classes, arrays, conditions.

    Fields of attrs classes that are not arguments, or whose metadata says ``derived``, are left out.

    Raises:
        CodecError: Something in it has no stored form.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not np.isfinite(value):
            return {"float": repr(value)}
        return value
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, np.ndarray):
        if value.dtype.hasobject:
            raise CodecError(f"an array of objects has no stored form, got dtype {value.dtype}", value=value)
        little = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False)
        return {
            "dtype": little.dtype.str,
            "shape": list(value.shape),
            "b64": base64.b64encode(little.tobytes()).decode(),
        }
    if isinstance(value, Condition):
        return {"condition": value.to_json()}
    if isinstance(value, timedelta):
        return {"seconds": value.total_seconds()}
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if attrs.has(type(value)):
        return {
            "type": type(value).__qualname__,
            **{
                field.name: plain(getattr(value, field.name))
                for field in attrs.fields(type(value))
                if field.init and not field.metadata.get("derived")
            },
        }
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, frozenset | set):
        return sorted(plain(item) for item in value)
    name = getattr(value, "name", None)
    if isinstance(name, str):
        return {"type": type(value).__qualname__, "name": name}
    raise CodecError(
        f"{type(value).__qualname__} has no stored form: make it an attrs class or give it a name",
        value=value,
    )


def canonical(value: object, /) -> str:
    """Write a value as canonical JSON."""
    return json.dumps(
        plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def fingerprint(value: object, /) -> str:
    """Hash a value's content: 16 hexadecimal digits, the same in every process."""
    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]


@functools.cache
def converter() -> cattrs.Converter:
    """The converter for records and reports; made on first use, because importing cattrs takes time."""
    from cattrs.preconf.json import make_converter

    made = make_converter(forbid_extra_keys=True)
    made.register_unstructure_hook(datetime, lambda at: at.isoformat())
    made.register_unstructure_hook(timedelta, lambda length: length.total_seconds())
    return made
