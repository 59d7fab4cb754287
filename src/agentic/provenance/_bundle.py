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
from pathlib import Path
from typing import Any, Final, Self

import attrs

from agentic.errors import ProofError
from agentic.provenance import _verifier
from agentic.provenance._merkle import HASH, leaf_hash, verify_consistency, verify_inclusion
from agentic.provenance._notes import Checkpoint, Verifier, open_checkpoint
from agentic.provenance._proving import Leaf

SALT: Final = 16
"""The length of a salt in bytes."""


@attrs.frozen(kw_only=True)
class Evidence:
    """A record, and all that is needed to believe that it is in a log.

    Attributes:
        position: The record's number.
        header: Canonical JSON that says how to read the bytes: ``kind``, ``meta``, ``columns``.
        fixed: Public values that all records of its piece share.
        row: Its own public values.
        commitment: ``SHA-256(salt || payload)``, 32 bytes; zeros for a record without personal values.
        salt: 16 random bytes; ``None`` with the payload.
        payload: Its personal values, those it shares with its piece first; ``None`` when there are none, or
            they were erased or are held back.
        path: Hashes that lead from it to the root, from the bottom up.
        checkpoint: A signed note on a tree that has the record.
    """

    position: int
    header: bytes = attrs.field(repr=False)
    fixed: bytes = attrs.field(repr=False)
    row: bytes = attrs.field(repr=False)
    commitment: bytes = attrs.field(repr=False)
    salt: bytes | None = attrs.field(default=None, repr=False)
    payload: bytes | None = attrs.field(default=None, repr=False)
    path: tuple[bytes, ...] = attrs.field(repr=False)
    checkpoint: str = attrs.field(repr=False)

    @classmethod
    def of(cls, leaf: Leaf, path: Iterable[bytes], checkpoint: str, /) -> Self:
        """Put together what a log answers: ``leaf(position)``, the path of ``prove(position, size)``, a note.

        Args:
            leaf: The record.
            path: To the root of the tree that the checkpoint is on.
            checkpoint: A signed note on a size above the position.
        """
        return cls(
            position=leaf.position,
            header=leaf.header,
            fixed=leaf.fixed,
            row=leaf.row,
            commitment=leaf.commitment,
            salt=leaf.salt,
            payload=leaf.payload,
            path=tuple(path),
            checkpoint=checkpoint,
        )

    def withheld(self) -> Self:
        """Return the same without the personal values: it still proves the public ones."""
        return attrs.evolve(self, salt=None, payload=None)

    def leaf(self) -> bytes:
        """Return ``SHA-256(0x00 || SHA-256(header) || fixed || row || commitment)``."""
        return leaf_hash(sha256(self.header).digest() + self.fixed + self.row + self.commitment)

    def record(self) -> dict[str, Any]:  # what the columns hold
        """Return what can be read: values by column, arrays as flat lists, other bytes than text in hex.

        Raises:
            ProofError: The bytes are not what the header says.
        """
        try:
            columns = json.loads(self.header.decode())["columns"]
            places = _verifier.PLACES if self.payload is not None else _verifier.PLACES[:2]
            ordered = [column for place in places for column in columns if column[4] == place]
            return _verifier.read(ordered, self.fixed + self.row + (self.payload or b""))
        except (LookupError, TypeError, ValueError, RecursionError, struct.error) as error:
            raise ProofError(
                f"the bytes of record {self.position} are not what its header says ({type(error).__name__}):"
                " verify the log",
                value=self.position,
            ) from None

    def to_json(self) -> str:
        """Return the audit bundle, the same text for the same evidence.

        Raises:
            ProofError: The parts do not fit together, or it would be larger than a verifier reads.
        """
        self._check()
        bundle = {
            "checkpoint": self.checkpoint,
            "commitment": _base(self.commitment),
            "format": _verifier.FORMAT,
            "header": self.header.decode(),
            "kind": json.loads(self.header.decode())["kind"],
            "path": [_base(step) for step in self.path],
            "payload": _base(self.payload),
            "position": self.position,
            "public": _base(self.fixed + self.row),
            "record": self.record(),
            "salt": _base(self.salt),
        }
        text = _verifier.written(bundle) + "\n"
        if len(text.encode()) > _verifier.MOST:
            raise ProofError(
                f"the bundle of record {self.position} would have {len(text)} characters, a verifier reads"
                f" {_verifier.MOST} bytes: hold back the personal values with `withheld()`",
                value=len(text),
                expected=_verifier.MOST,
            )
        return text

    def _check(self) -> None:
        """Refuse parts of different records."""
        if (self.salt is None) != (self.payload is None) or len(self.commitment) != HASH:
            raise ProofError(
                f"record {self.position} needs a commitment of {HASH} bytes, and both salt and payload or"
                " neither",
                value=self.position,
            )
        if self.salt is not None and self.payload is not None:
            opens = sha256(self.salt + self.payload).digest() == self.commitment
            if len(self.salt) != SALT or not opens:
                raise ProofError(
                    f"salt and payload of record {self.position} do not open its commitment: they were"
                    " changed, or are another record's",
                    value=self.position,
                )
        checkpoint = Checkpoint.of(self.checkpoint)
        verify_inclusion(self.leaf(), self.position, checkpoint.size, self.path, checkpoint.root)


def check_bundle(text: str, keys: Sequence[Verifier], /) -> str:
    """Accept an audit bundle as the published verifier does, and return what that proves.

    Args:
        text: The file's content.
        keys: Those trusted to sign checkpoints.

    Raises:
        ProofError: It is refused; the message says why.
    """
    try:
        return _verifier.verify(text, "\n".join([key.text() for key in keys]))
    except Exception as error:  # noqa: BLE001 - the file is anybody's, whatever is wrong with it
        raise ProofError(f"the audit bundle is refused: {error}") from None


def verifier_source() -> str:
    """Return the published verifier: one file of Python's standard library, for an auditor to keep."""
    return Path(_verifier.__file__).read_text(encoding="utf-8")


def check_growth(old: str, new: str, path: Iterable[bytes], keys: Sequence[Verifier], /) -> Checkpoint:
    """Accept that a log only grew from one signed checkpoint to another, and return the later one.

    For an auditor who kept the earlier checkpoint where the log's operator cannot reach it.

    Args:
        old: The earlier signed checkpoint, as it was kept.
        new: The later one.
        path: What the log answers when asked for the path between the two sizes (``prove_growth``).
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


def _base(data: bytes | None) -> str | None:
    return None if data is None else b64encode(data).decode()
