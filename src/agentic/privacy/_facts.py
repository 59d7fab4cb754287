"""How is a fact written into the log, and read back without trusting it?

A fact is one JSON object with its kind and the fields that are not ``None``: keys sorted, no spaces, times in
microseconds since 1970. Kinds are a closed table; nothing is looked up by a name out of stored data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from agentic.errors import AgenticError, CodecError, ConfigurationError
from agentic.types import (
    ConsentGranted,
    ConsentWithdrawn,
    Fact,
    Released,
    Restricted,
    RestrictionLifted,
    Suppressed,
    ZoneKnown,
    instant,
    micros,
)

KINDS: Final[Mapping[str, type[Fact]]] = {
    "consent_granted": ConsentGranted,
    "consent_withdrawn": ConsentWithdrawn,
    "released": Released,
    "restricted": Restricted,
    "restriction_lifted": RestrictionLifted,
    "suppressed": Suppressed,
    "zone_known": ZoneKnown,
}
"""Every fact there is, by the name it has in a log."""

_NAMES: Final = {fact: name for name, fact in KINDS.items()}
_MOST: Final = 8_000  # six texts of 500 characters, each of them escaped, and their names


def kind_of(fact: Fact, /) -> str:
    """The name a fact has in a log, such as ``"consent_granted"``.

    Raises:
        ConfigurationError: It is no fact.
    """
    name = _NAMES.get(type(fact))
    if name is None:
        raise ConfigurationError(
            f"a fact must be one of {sorted(_NAMES.values())!r}, got a value of type {type(fact).__name__}:"
            " write ConsentGranted(...), for example",
            expected=tuple(_NAMES.values()),
        )
    return name


def text_of(fact: Fact, /) -> str:
    """A fact as canonical JSON; ``fact_of`` reads it back.

    Raises:
        ConfigurationError: It is no fact.
    """
    held: dict[str, Any] = {"kind": kind_of(fact)}
    for field in attrs.fields(type(fact)):
        value = getattr(fact, field.name)
        if isinstance(value, datetime):
            value = micros(value)
        if value is not None:
            held[field.name] = value
    return json.dumps(held, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fact_of(text: str, /) -> Fact:
    """Read a fact from its stored form, trusting nothing about it.

    Raises:
        CodecError: It is too long, no JSON object, of no known kind, or has fields that its kind does not
            have. What it says is not in the message: it may be about somebody.
    """
    if not isinstance(text, str) or len(text) > _MOST:
        raise CodecError(f"a stored fact must be a text of at most {_MOST} characters, got {_size(text)}")
    return _read(text)


def _read(text: str) -> Fact:
    try:
        held = json.loads(text, object_pairs_hook=_once, parse_constant=_never, parse_float=_never)
    except (ValueError, RecursionError):
        raise CodecError(
            "a stored fact must be a JSON object with distinct keys, got something else"
        ) from None
    kind = held.pop("kind", None) if isinstance(held, dict) else None
    known = KINDS.get(kind) if isinstance(kind, str) else None
    if known is None:
        raise CodecError(
            f"a stored fact must be of a kind among {sorted(KINDS)!r}: it was written by a newer version, or"
            " is no fact",
            expected=tuple(KINDS),
        )
    fields = {field.name for field in attrs.fields(known)}
    if not held.keys() <= fields:
        raise CodecError(
            f"a stored {kind!r} fact has the fields {sorted(fields)!r} and no others, got"
            f" {len(held.keys() - fields)} more",
            expected=tuple(fields),
        )
    if known is ZoneKnown:
        held.setdefault("zone", None)
    try:
        if "until" in held:
            if type(held["until"]) is not int:
                raise CodecError("the end of a stored suppression must be an integer")
            held["until"] = instant(held["until"])
        if not isinstance(held.get("zone", ""), str | None):
            raise CodecError("a stored time zone must be a text")
        made: Fact = known(**held)
    except (AgenticError, TypeError) as error:
        raise CodecError(f"a stored {kind!r} fact cannot be used: {error}") from None
    return made


def _size(text: object) -> str:
    return f"{len(text)} characters" if isinstance(text, str) else f"a value of type {type(text).__name__}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:  # JSON-compatible
    held = dict(pairs)
    if len(held) < len(pairs):
        raise ValueError("a key twice")
    return held


def _never(number: str) -> Any:  # for json: it raises
    raise ValueError(number)
