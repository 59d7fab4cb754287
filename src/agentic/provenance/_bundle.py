"""What does an auditor get, to check one record without us?

One JSON file, the audit bundle. The bytes in it are the ones the log stores, nothing is serialised again to
be hashed; the readable record beside them is what anybody reads out of these bytes with the header. The
published verifier (``_verifier.py``, one file of the standard library) accepts or refuses it.
"""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Any

import attrs

from agentic.errors import ProofError
from agentic.provenance import _verifier
from agentic.provenance._merkle import HASH, verify_consistency, verify_inclusion
from agentic.provenance._notes import Checkpoint, Verifier, open_checkpoint

SALT = 16


@attrs.frozen
class Leaf:
    """One record of a log, as the bytes its leaf hash is made of.

    Attributes:
        position: The record's number.
        header: Canonical JSON that says how to read the bytes: ``kind``, ``meta``, ``columns``.
        fixed: Public values that all records of its piece share.
        public: Its own public values.
        commitment: ``SHA-256(salt || payload)``, 32 bytes; zeros for a record without personal values.
        payload: Its personal values, those it shares with its piece first; ``None`` when there are none, or
            they were erased or are held back.
        salt: 16 random bytes; ``None`` with the payload.
    """

    position: int
    header: bytes = attrs.field(repr=False)
    fixed: bytes = attrs.field(repr=False)
    public: bytes = attrs.field(repr=False)
    commitment: bytes = attrs.field(repr=False)
    payload: bytes | None = attrs.field(default=None, repr=False)
    salt: bytes | None = attrs.field(default=None, repr=False)

    def hash(self) -> bytes:
        """Return the leaf hash: ``SHA-256(0x00 || SHA-256(header) || fixed || public || commitment)``."""
        digest = sha256(self.header).digest()
        return sha256(b"\0" + digest + self.fixed + self.public + self.commitment).digest()

    def withheld(self) -> Leaf:
        """Return the same record without its personal values: the proof is the same, and still whole."""
        return attrs.evolve(self, payload=None, salt=None)

    def record(self) -> dict[str, Any]:  # what the columns hold
        """Return what can be read: values by column, arrays as flat lists, other bytes than text in hex.

        Raises:
            ProofError: The bytes are not what the header says.
        """
        try:
            columns = json.loads(self.header)["columns"]
            places = _verifier.PLACES if self.payload is not None else _verifier.PLACES[:2]
            ordered = [column for place in places for column in columns if column[4] == place]
            return _verifier.read(ordered, self.fixed + self.public + (self.payload or b""))
        except (LookupError, TypeError, ValueError, RecursionError, struct.error) as error:
            raise ProofError(
                f"the bytes of record {self.position} are not what its header says: {type(error).__name__}",
                value=self.position,
            ) from None


@attrs.frozen
class Evidence:
    """A record, and why to believe that it is in the log.

    Attributes:
        leaf: The record.
        path: Hashes that lead from it to the root, from the bottom up.
        checkpoint: A signed note on a tree that has the record.
    """

    leaf: Leaf
    path: tuple[bytes, ...] = attrs.field(converter=tuple, repr=False)
    checkpoint: str = attrs.field(repr=False)

    def to_json(self) -> str:
        """Return the audit bundle, the same text for the same evidence.

        Raises:
            ProofError: The parts do not fit together: commitment, salt, path or checkpoint are others'.
        """
        leaf = self.leaf
        _check(leaf)
        checkpoint = Checkpoint.of(self.checkpoint)
        verify_inclusion(leaf.hash(), leaf.position, checkpoint.size, self.path, checkpoint.root)
        bundle = {
            "checkpoint": self.checkpoint,
            "commitment": _base(leaf.commitment),
            "format": _verifier.FORMAT,
            "header": leaf.header.decode(),
            "kind": json.loads(leaf.header)["kind"],
            "path": [_base(step) for step in self.path],
            "payload": None if leaf.payload is None else _base(leaf.payload),
            "position": leaf.position,
            "public": _base(leaf.fixed + leaf.public),
            "record": leaf.record(),
            "salt": None if leaf.salt is None else _base(leaf.salt),
        }
        text = _verifier.written(bundle) + "\n"
        if len(text) > _verifier.MOST:
            raise ProofError(
                f"the bundle of record {leaf.position} would have {len(text)} characters, more than the"
                f" {_verifier.MOST} a verifier reads",
                value=len(text),
                expected=_verifier.MOST,
            )
        return text


def check_bundle(text: str, keys: Sequence[Verifier], /) -> str:
    """Accept an audit bundle as the published verifier does, and return what it proves.

    Args:
        text: The file's content.
        keys: Those trusted to sign checkpoints.

    Raises:
        ProofError: It is refused; the message says why.
    """
    try:
        return _verifier.verify(text, "\n".join(key.text() for key in keys))
    except Exception as error:  # noqa: BLE001 - the file is anybody's, whatever is wrong with it
        raise ProofError(f"the audit bundle is refused: {error}") from None


def check_growth(old: str, new: str, path: Iterable[bytes], keys: Sequence[Verifier], /) -> Checkpoint:
    """Accept that a log only grew from one signed checkpoint to another, and return the later one.

    For an auditor who kept the earlier checkpoint where the log's operator cannot reach it.

    Args:
        old: The earlier signed checkpoint, as it was kept.
        new: The later one.
        path: What the log answers when asked for a consistency path between the two sizes.
        keys: Those trusted to sign; each checkpoint needs one of them.

    Raises:
        ProofError: A signature is false or unknown, they are checkpoints of two logs, or the log was
            rewritten, shortened or forked in between.
    """
    before, after = open_checkpoint(old, keys), open_checkpoint(new, keys)
    if before.origin != after.origin:
        raise ProofError(
            f"these are checkpoints of two logs, {before.origin!r} and {after.origin!r}",
            value=after.origin,
            expected=before.origin,
        )
    verify_consistency(before.size, after.size, tuple(path), before.root, after.root)
    return after


def _base(data: bytes) -> str:
    return b64encode(data).decode()


def _check(leaf: Leaf) -> None:
    if (leaf.salt is None) != (leaf.payload is None) or len(leaf.commitment) != HASH:
        raise ProofError(
            f"record {leaf.position} needs a commitment of {HASH} bytes, and both salt and payload or neither",
            value=leaf.position,
        )
    if leaf.salt is not None and leaf.payload is not None:
        opens = sha256(leaf.salt + leaf.payload).digest() == leaf.commitment
        if len(leaf.salt) != SALT or not opens:
            raise ProofError(
                f"salt and payload of record {leaf.position} do not open its commitment: they were changed in"
                " the store, or are another record's",
                value=leaf.position,
            )
