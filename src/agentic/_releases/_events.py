"""What is logged of releases, and what is believed of what was?

An event is one row of a block of kind ``release``: ``at`` in microseconds, and ``event``, canonical JSON::

    {"at": 1795431600000000, "by": "Ann", "facts": {...}, "number": 7, "previous": "5f0c...", "what": "moved"}

Events of an agent are numbered from 0, and each names the digest of the one before, so that none can be left
out, put in or changed without all later ones being refused.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs
import numpy as np

from agentic._packing import is_deeper
from agentic._releases._people import checked_name
from agentic.arrays import Block
from agentic.errors import ReleaseError

KIND: Final = "release"
"""Of the blocks that hold events."""
LONGEST: Final = 1 << 16
"""Most bytes of one event, as UTF-8."""
_DEEPEST: Final = 16
_LARGEST: Final = 1 << 53  # whole numbers that every reader of JSON reads as they are
_WHAT: Final = re.compile(r"[a-z][a-z0-9_]{0,63}(?:\.[a-z][a-z0-9_]{0,63}){0,3}")
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_KEYS: Final = {"at", "by", "facts", "number", "previous", "what"}
START: Final = "0" * 64
"""What the first event names as the digest of the one before."""

Json = Any  # None, bool, int, float, str, and lists and mappings by text of them


@attrs.frozen
class Event:
    """Something that was done to a policy, or to who may release one.

    Attributes:
        number: From 0, without gaps.
        at: Microseconds since 1970.
        what: What was done; words with a dot belong to shadow, rollout and oversight.
        by: Who did it.
        facts: The rest, as JSON.
        digest: SHA-256 of the event as it stands in the log, in hexadecimal.
        position: Log number of the record, as it was first heard.
    """

    number: int
    at: int
    what: str
    by: str
    facts: Mapping[str, Json] = attrs.field(hash=False)
    digest: str
    position: int = attrs.field(default=-1, eq=False)


def canonical_json(value: Json, what: str, /, most: int = LONGEST) -> str:
    """Write a value as canonical JSON: sorted keys, no spaces, no NaN, nothing that UTF-8 cannot hold.

    Args:
        value: What JSON can hold.
        what: The value is, for messages.
        most: Bytes that it may have.

    Raises:
        ReleaseError: It is something else, too large or too deep.
    """
    _check_json(value, what, 0)
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        raise ReleaseError(
            f"{what} holds a lone surrogate, and UTF-8 has no bytes for that: nothing was logged", value=what
        ) from None
    if size > most:
        raise ReleaseError(
            f"{what} takes {size:,} bytes, at most {most:,} are logged: keep what is long elsewhere, and give"
            " its digest",
            value=size,
            expected=most,
        )
    return text


def _check_json(value: Json, what: str, depth: int) -> None:
    """Refuse what would not be read back as it is."""
    if depth > _DEEPEST:
        raise ReleaseError(
            f"{what} nests deeper than {_DEEPEST} levels: nothing was logged", expected=_DEEPEST
        )
    kind = type(value)
    if value is None or kind in (bool, str) or (kind is int and abs(value) <= _LARGEST):
        return
    if kind is float and math.isfinite(value):
        return
    if kind is list or kind is tuple:
        for item in value:
            _check_json(item, what, depth + 1)
        return
    if isinstance(value, dict) and all(type(key) is str for key in value):
        for item in value.values():
            _check_json(item, what, depth + 1)
        return
    shown = f"the number {value!r:.40}" if kind in (int, float) else f"a {kind.__name__}"
    raise ReleaseError(
        f"{what} holds {shown}, expected what JSON can hold: None, true, false, finite numbers, texts, and"
        " lists and mappings by text of them",
        value=shown,
    )


def digest_of(text: str, /) -> str:
    """SHA-256 of a text, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def written(
    what: str, facts: Mapping[str, Json], /, *, by: str, at: int, number: int, previous: str
) -> tuple[Event, str]:
    """Make an event, and the text that the log holds of it.

    Raises:
        ReleaseError: It cannot be logged.
    """
    if not isinstance(what, str) or not _WHAT.fullmatch(what):
        raise ReleaseError(f"{what!r:.80} is no name of an event: lower-case words, with dots", value=what)
    if not isinstance(facts, Mapping):
        raise ReleaseError(f"facts of an event must be a mapping, got a {type(facts).__name__}", value=what)
    name = checked_name(by, "by")
    found = {"at": at, "by": name, "facts": dict(facts), "number": number, "previous": previous, "what": what}
    text = canonical_json(found, f"the event {what!r}")
    return Event(number, at, what, name, json.loads(text)["facts"], digest_of(text)), text


def block_of(agent: str, events: list[tuple[Event, str]], /) -> Block:
    """Events as the log takes them; all of it is public."""
    texts = np.empty(len(events), dtype=object)
    texts[:] = [text for _, text in events]
    columns = {"at": np.array([event.at for event, _ in events], dtype=np.int64), "event": texts}
    return Block(KIND, columns, {"schema": 1, "agent": agent, "public": ["at", "event"]})


@attrs.frozen
class Told:
    """A row of a block as it stands in the log; ``event`` is ``None`` where it is none."""

    position: int
    carried: bool
    event: Event | None
    previous: str
    text: str
    why: str


def told(first: int, block: Block, /) -> Iterator[Told]:
    """Read the events of a block, whoever wrote it; raises nothing."""
    at, texts = block.columns.get("at"), block.columns.get("event")
    carried = block.meta.get("carried") is True
    if at is None or texts is None or at.ndim != 1 or texts.ndim != 1 or at.dtype.kind != "i":
        yield Told(first, carried, None, "", "", "it has no columns `at` and `event`")
        return
    for row, (moment, text) in enumerate(zip(at.tolist(), texts.tolist(), strict=False)):
        event, previous, why = _read(text, moment)
        if event is not None:
            event = attrs.evolve(event, position=first + row)
        yield Told(first + row, carried, event, previous, text if event else "", why)


def _read(text: object, moment: int) -> tuple[Event | None, str, str]:
    """An event, the digest of the one before it, and, where it is none, why."""
    try:
        if not isinstance(text, str) or len(data := text.encode()) > LONGEST:
            return None, "", "it is no text, or too long"
        if is_deeper(data, _DEEPEST + 2):
            return None, "", "it nests too deep"
        found = json.loads(text)
        if not isinstance(found, dict) or found.keys() != _KEYS or canonical_json(found, "it") != text:
            return None, "", "it is not canonical JSON of an event"
        number, previous, what = found["number"], found["previous"], found["what"]
        right = (
            type(number) is int
            and number >= 0
            and type(found["at"]) is int
            and found["at"] == moment
            and isinstance(previous, str)
            and _DIGEST.fullmatch(previous)
            and isinstance(what, str)
            and _WHAT.fullmatch(what)
            and isinstance(found["facts"], dict)
            and checked_name(found["by"], "by") == found["by"]
        )
        if not right:
            return None, "", "its parts are not what an event has"
    except (ValueError, RecursionError) as error:  # ours are ValueErrors too
        return None, "", f"it cannot be read ({type(error).__name__})"
    event = Event(number, moment, what, found["by"], found["facts"], digest_of(text))
    return event, previous, ""
