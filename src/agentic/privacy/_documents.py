"""How is a JSON document read into values, trusting nothing about it?"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final, TypeVar, get_args, get_origin

from agentic._packing import is_deeper
from agentic.errors import AgenticError, CodecError

T = TypeVar("T")

_DEEPEST: Final = 12


def read_document(text: bytes | str, into: type[T], /, *, most: int, what: str) -> T:
    """Read a document of a closed schema: no other keys, no key twice, numbers and texts as they are.

    Args:
        text: JSON, UTF-8.
        into: An attrs class.
        most: Bytes that it may take.
        what: The document, for messages: ``"a regime"``.

    Raises:
        CodecError: It does not follow the schema; the message names the places.
    """
    raw = text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text
    if not isinstance(raw, bytes) or len(raw) > most:
        size = f"{len(raw)} bytes or more" if isinstance(raw, bytes) else f"a {type(raw).__name__}"
        raise CodecError(f"{what} must be a JSON text of at most {most} bytes, got {size}", expected=most)
    if is_deeper(raw, _DEEPEST):
        raise CodecError(f"{what} must not be nested deeper than {_DEEPEST}", expected=_DEEPEST)
    try:
        data = json.loads(raw.decode("utf-8"), object_pairs_hook=_once, parse_constant=_never)
    except ValueError as error:
        raise CodecError(f"{what} must be valid JSON with distinct keys: {error}") from None
    from cattrs import BaseValidationError, transform_error

    try:
        made: T = _strict().structure(data, into)
    except AgenticError as error:
        raise CodecError(f"{what} cannot be used: {error}") from error
    except BaseValidationError as error:
        places = "; ".join(transform_error(error, path=what, format_exception=_say)[:5])
        raise CodecError(f"{what} cannot be used: {places}") from None
    except (AttributeError, TypeError, ValueError) as error:  # a list where an object belongs
        raise CodecError(f"{what} must be a JSON object of the fields of {into.__name__}: {error}") from None
    return made


def _strict() -> Any:  # a cattrs converter that turns nothing into anything else
    from agentic._codec import converter

    made = converter().copy()
    for kind in (int, str, bool, float):

        def same(value: object, _: object, kind: type = kind) -> object:
            if type(value) is not kind:
                raise ValueError(f"expected {kind.__name__}, got {type(value).__name__}")
            return value

        made.register_structure_hook(kind, same)

    def listed(kind: Any) -> Callable[[Any, Any], object]:  # a tuple of one kind
        (each, *_) = get_args(kind)

        def read(value: Any, _: Any) -> object:
            if type(value) is not list:
                raise ValueError(f"expected a list, got {type(value).__name__}")
            return tuple(made.structure(value, list[each]))  # type: ignore[valid-type]  # known at run time

        return read

    made.register_structure_hook_factory(_is_tuple, listed)
    return made


def _is_tuple(kind: Any) -> bool:  # a type, or what stands for one
    return get_origin(kind) is tuple


def _say(error: BaseException, _: object) -> str:
    return str(error) if isinstance(error, AgenticError) else f"{type(error).__name__}: {error}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:  # JSON-compatible
    held = dict(pairs)
    if len(held) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return held


def _never(number: str) -> Any:  # for json: it raises
    raise ValueError(f"{number} is no number")
