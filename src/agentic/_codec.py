"""How values become text: canonical JSON, content hashes, and the one cattrs converter.

The canonical form is JSON with sorted keys, no spaces, no NaN, and numbers as Python writes them; it
is not RFC 8785. Arrays are written as dtype, shape and little-endian bytes. ``-0.0`` and ``0.0`` differ,
as do ``1`` and ``1.0``; a list and a tuple do not.
"""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Mapping
from datetime import datetime, timedelta
from types import FunctionType
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from agentic.conditions import Condition
from agentic.errors import CodecError

if TYPE_CHECKING:
    import cattrs


def plain(value: object, /) -> Any:  # JSON-compatible
    """Turn a value into what JSON can hold: the content of attrs classes, arrays, conditions.

    Fields of attrs classes that are not arguments, or whose metadata says ``derived``, are left out. Of
    any other object everything it holds is written. Code is known by its name: functions,
    classes, members of an enumeration.

    Raises:
        CodecError: Something in it has no stored form.
    """
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": repr(float(value))}
    if isinstance(value, np.bool_ | np.integer | np.float16 | np.float32):
        return plain(value.item())
    if isinstance(value, np.ndarray):
        return _array(value)
    if isinstance(value, Condition):
        return {"condition": value.to_json()}
    if isinstance(value, timedelta):
        return {"seconds": value.total_seconds()}
    if isinstance(value, datetime):
        return {"time": value.isoformat()}
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: plain(item) for key, item in value.items()}
        return {"items": sorted(([plain(key), plain(item)] for key, item in value.items()), key=_text)}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, frozenset | set):
        return sorted((plain(item) for item in value), key=_text)
    kind = type(value)
    return {"type": f"{kind.__module__}.{kind.__qualname__}", **_content(value)}


def _array(value: np.ndarray[Any, np.dtype[Any]]) -> dict[str, Any]:
    if value.dtype.hasobject or value.dtype.kind == "V":
        raise CodecError(
            f"an array of {value.dtype} has no stored form: use numbers, bools, times or fixed-width text",
            value=value,
        )
    import base64  # a rare need, as are the others imported below

    little = value.astype(value.dtype.newbyteorder("<"), copy=False)
    return {
        "dtype": little.dtype.str,
        "shape": list(value.shape),
        "b64": base64.b64encode(little.tobytes()).decode(),
    }


def _content(value: object) -> dict[str, Any]:
    """What an object that is not data by itself holds."""
    kind = type(value)
    if attrs.has(kind):
        return {
            field.name: plain(getattr(value, field.name))
            for field in attrs.fields(kind)
            if field.init and not field.metadata.get("derived")
        }
    if isinstance(value, enum.Enum):
        return {"name": value.name}
    if isinstance(value, FunctionType | type):
        return {"name": f"{value.__module__}.{value.__qualname__}"}
    held = dict(getattr(value, "__dict__", {}))
    for each in kind.__mro__:
        slots = each.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                held[name] = getattr(value, name)
    name = getattr(value, "name", None)
    if isinstance(name, str):
        held["name"] = name
    if held:
        return {key: plain(item) for key, item in held.items()}
    # An object of another language's library may hold anything: two of them would look alike.
    raise CodecError(
        f"{value!r:.200} has no stored form: make {kind.__qualname__} an attrs class or give it a"
        " name, and mark a field that says nothing about its answers with metadata={'derived': True}",
        value=value,
    )


def _text(plain_value: Any) -> str:  # JSON-compatible
    import json

    return json.dumps(plain_value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical(value: object, /) -> str:
    """Write a value as canonical JSON.

    Raises:
        CodecError: Something in it has no stored form.
    """
    return _text(plain(value))


def fingerprint(value: object, /) -> str:
    """Hash a value's content: 16 hexadecimal digits, the same in every process.

    Raises:
        CodecError: Something in it has no stored form.
    """
    import hashlib

    return hashlib.sha256(canonical(value).encode("utf-8", "surrogatepass")).hexdigest()[:16]


@functools.cache
def converter() -> cattrs.Converter:
    """The converter for records and reports; made on first use, because importing cattrs takes time.

    Times are written in ISO 8601 with their offset, durations in seconds.
    """
    from cattrs.preconf.json import make_converter

    made = make_converter(forbid_extra_keys=True)
    made.register_unstructure_hook(timedelta, lambda length: length.total_seconds())
    made.register_structure_hook(timedelta, lambda seconds, _: timedelta(seconds=seconds))
    return made
