"""Who vouches for a log, up to where?

A checkpoint names a log (its origin), its size and the root over that many records, in three lines of text.
Signed, it is a note: the text, an empty line, and a line for each signature. Both are written as C2SP has
them, so other people's tools read ours. A note that no known key has signed is worth nothing.

Source: C2SP, ``tlog-checkpoint`` and ``signed-note`` v1.0.0, c2sp.org.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import sha256
from typing import Final, Protocol, Self

import attrs

from agentic.errors import ProofError
from agentic.provenance import _verifier
from agentic.provenance._merkle import HASH, LARGEST

ED25519: Final = b"\x01"
"""The type of an Ed25519 key."""

HMAC_SHA256: Final = _verifier.HMAC
"""The type of an HMAC key: 0xff, which C2SP leaves to everybody, and a name nobody else takes."""

SECRET: Final = "PRIVATE+KEY+"  # noqa: S105 - what a secret begins with
_MOST: Final = 1 << 17  # bytes of a note: sixteen signatures of the largest kind, and more
_SIGNATURES: Final = 100
_SIGNATURE: Final = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
_NUMBER: Final = re.compile(r"0|[1-9][0-9]{0,18}")
_KEY: Final = re.compile(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]+={0,2})")


class Verifier(Protocol):
    """A key that tells a signature from a false one."""

    @property
    def name(self) -> str: ...

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        ...

    def verify(self, data: bytes, signature: bytes, /) -> bool:
        """Whether this key signed these bytes."""
        ...

    def text(self) -> str:
        """The key as text, as the published verifier takes it."""
        ...


class Signer(Protocol):
    """A key that signs, here or in a key service: only signatures need to come out of it."""

    @property
    def name(self) -> str: ...

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys of one name apart."""
        ...

    def sign(self, data: bytes, /) -> bytes:
        """The signature over these bytes."""
        ...


@attrs.frozen
class Checkpoint:
    """What a log was at a size.

    Attributes:
        origin: The log's own name, such as ``shop.example/agents/win-back``.
        size: The number of records.
        root: The root over them, 32 bytes.
    """

    origin: str
    size: int
    root: bytes

    def __attrs_post_init__(self) -> None:
        if not self.origin or not _is_plain(self.origin):
            raise ProofError(
                "the origin of a log is one line of text without control characters: name it as"
                f" 'shop.example/agents/win-back', got {self.origin!r:.80}",
                value=self.origin,
            )
        if not 0 <= self.size <= LARGEST or len(self.root) != HASH:
            raise ProofError(
                f"a checkpoint has a size of 0 to 2**63 - 1 and a root of {HASH} bytes, got size {self.size}"
                f" and a root of {len(self.root)}",
                value=self.size,
            )

    def text(self) -> str:
        """Return the three lines that are signed, each with its end."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"

    @classmethod
    def parse(cls, text: str, /) -> Self:
        """Read the three lines, strictly: what ``text`` would not write is refused.

        Raises:
            ProofError: These are not the three lines of a checkpoint.
        """
        lines = text.split("\n") if len(text) <= _MOST else []
        if len(lines) != 4 or lines[3] or not _NUMBER.fullmatch(lines[1]):
            raise ProofError(
                "a checkpoint has three lines: origin, size without leading zeros, root in base64; extension"
                " lines are not read"
            )
        return cls(lines[0], int(lines[1]), _unbase(lines[2]))

    @classmethod
    def of(cls, note: str, /) -> Self:
        """Read the checkpoint of a note without asking who signed it: for a log's own notes.

        Raises:
            ProofError: This is no signed note, or not on a checkpoint.
        """
        return cls.parse(parted(note)[0])

    def signed(self, signers: Sequence[Signer], /) -> str:
        """Return the note that these sign, in their order.

        Raises:
            ProofError: There is nobody to sign.
        """
        if not signers:
            raise ProofError("a checkpoint needs at least one signer: give a HmacKey or an Ed25519Key")
        text = self.text()
        lines = []
        for signer in signers:
            name = _checked_name(signer.name)
            lines.append(f"— {name} {b64encode(signer.id + signer.sign(text.encode())).decode()}\n")
        return f"{text}\n{''.join(lines)}"


def open_checkpoint(note: str, keys: Sequence[Verifier], /) -> Checkpoint:
    """Return the checkpoint of a note that at least one known key has signed.

    Signatures by other keys are ignored: so keys are rotated, and witnesses add theirs. A false signature by
    a known key refuses the whole note.

    Raises:
        ProofError: Which says what is wrong with the note, or that none of the keys signed it.
    """
    text, signatures = parted(note)
    ring = {(key.name, key.id): key for key in keys}
    by: list[str] = []
    for name, blob in signatures:
        key = ring.get((name, blob[:4]))
        if key is None:
            continue
        if not key.verify(text.encode(), blob[4:]):
            raise ProofError(
                f"the signature by {name!r} is false: note or signature were changed", value=name
            )
        by.append(name)
    if not by:
        raise ProofError(
            f"the note is signed by {sorted({name for name, _ in signatures})!r}, with none of the"
            f" {len(ring)} keys given: is the key another, or an old one?",
            value=[name for name, _ in signatures],
        )
    return Checkpoint.parse(text)


@attrs.frozen
class HmacKey:
    """A secret shared by a log and its own auditors: whoever can verify with it can sign with it.

    For auditors who are not to be able to sign, use an Ed25519 key (``agentic.ext.Ed25519Key``).

    Args:
        name: Who signs, without spaces and plus signs; best the log's origin.
        secret: At least 16 random bytes; kept out of reprs, comparisons and messages.
    """

    name: str
    secret: bytes = attrs.field(repr=False, eq=False)
    id: bytes = attrs.field(init=False, repr=bytes.hex)

    def __attrs_post_init__(self) -> None:
        _checked_name(self.name)
        if not isinstance(self.secret, bytes) or len(self.secret) < 16:
            raise ProofError(
                f"the secret of key {self.name!r} needs 16 random bytes or more: HmacKey.generate makes one",
                expected=16,
            )
        object.__setattr__(self, "id", key_id(self.name, HMAC_SHA256 + self.secret))

    @classmethod
    def generate(cls, name: str, /) -> Self:
        """Make a key with a new secret of 32 bytes."""
        return cls(name, secrets.token_bytes(32))

    @classmethod
    def parse(cls, text: str, /) -> Self:
        """Read what ``text`` wrote.

        Raises:
            ProofError: It is no such key, or not all of it; the message does not show it.
        """
        name, key = _read_key(text, secret=True)
        if not key.startswith(HMAC_SHA256):
            raise ProofError(f"the key {name!r} is not an HMAC key of this library", value=name)
        return cls(name, key.removeprefix(HMAC_SHA256))

    @classmethod
    def from_environment(cls, variable: str, /) -> Self:
        """Read the text of a key from an environment variable.

        Raises:
            ProofError: The variable is not set, or does not hold a key.
        """
        text = os.environ.get(variable)
        if not text:
            raise ProofError(
                f"the environment has no {variable}: set it to the text of a key, see HmacKey.generate",
                value=variable,
            )
        return cls.parse(text)

    def text(self) -> str:
        """Return the whole key as text, a secret: ``PRIVATE+KEY+name+id+base64``."""
        return SECRET + _key_text(self.name, HMAC_SHA256 + self.secret)

    def sign(self, data: bytes, /) -> bytes:
        """Return the HMAC-SHA-256 of the bytes, 32 bytes."""
        return hmac.digest(self.secret, data, "sha256")

    def verify(self, data: bytes, signature: bytes, /) -> bool:
        """Whether this key signed these bytes, found out in constant time."""
        return hmac.compare_digest(self.sign(data), signature)


@attrs.frozen
class Ed25519Public:
    """The public half of an Ed25519 key: it verifies, cannot sign, and may be shown to everybody.

    Verifies in about 40 milliseconds with the published verifier's own code, without any extra.

    Args:
        name: Who signs, without spaces and plus signs; best the log's origin.
        key: 32 bytes, as RFC 8032 encodes them.
    """

    name: str
    key: bytes = attrs.field(repr=bytes.hex)
    id: bytes = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        _checked_name(self.name)
        if not isinstance(self.key, bytes) or len(self.key) != 32:
            raise ProofError(f"a public Ed25519 key has 32 bytes, that of {self.name!r} has not", expected=32)
        object.__setattr__(self, "id", key_id(self.name, ED25519 + self.key))

    @classmethod
    def parse(cls, text: str, /) -> Self:
        """Read what ``text`` wrote.

        Raises:
            ProofError: It is no such key, or not all of it.
        """
        name, key = _read_key(text, secret=False)
        if key[:1] != ED25519:
            raise ProofError(f"the key {name!r} is not an Ed25519 key", value=name)
        return cls(name, key[1:])

    def text(self) -> str:
        """Return the key as C2SP writes keys: ``name+id+base64``."""
        return _key_text(self.name, ED25519 + self.key)

    def verify(self, data: bytes, signature: bytes, /) -> bool:
        """Whether the private half of this key signed these bytes."""
        try:
            return _verifier.ed25519(self.key, data, signature)
        except ValueError:
            return False


def key_id(name: str, key: bytes, /) -> bytes:
    """Return the four bytes that tell keys of one name apart.

    Args:
        name: Of the key.
        key: Its type, and what is hashed of it.

    Source: C2SP ``signed-note``, ``SHA-256(key name || 0x0A || signature type || public key)[:4]``.
    """
    return sha256(name.encode() + b"\n" + key).digest()[:4]


def _key_text(name: str, key: bytes) -> str:
    return f"{name}+{key_id(name, key).hex()}+{b64encode(key).decode()}"


def _read_key(text: str, *, secret: bool) -> tuple[str, bytes]:
    """Return name and bytes of a key, type first, and never show it."""
    found = text.strip()
    form = _KEY.fullmatch(found.removeprefix(SECRET)) if len(found) <= 4096 else None
    if form is None or found.startswith(SECRET) is not secret:
        raise ProofError(
            f"a {'secret' if secret else 'public'} key is written as"
            f" {'PRIVATE+KEY+' if secret else ''}name+id+base64, this text is not"
        )
    name, key = form[1], _unbase(form[3])
    if key_id(name, key).hex() != form[2]:
        raise ProofError(f"the text of key {name!r} is not whole: its id is another's", value=name)
    return name, key


def _checked_name(name: str) -> str:
    if not name or not _is_plain(name) or "+" in name or any(letter.isspace() for letter in name):
        raise ProofError(
            f"the name of a key has no spaces, plus signs and control characters, got {name!r:.80}: use the"
            " log's origin, such as 'shop.example/agents/win-back'",
            value=name,
        )
    return name


def _is_plain(text: str) -> bool:
    """Whether it can stand in a line of a note: UTF-8, no control characters."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return min(text, default=" ") >= " "


def _unbase(text: str) -> bytes:
    """Decode base64 that is written the one right way."""
    try:
        data = b64decode(text, validate=True)
    except ValueError:
        data = b""
    if not data or b64encode(data).decode() != text:
        raise ProofError("a root, key or signature is not in base64 as RFC 4648 has it")
    return data


def parted(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """Return the text of a note, with its last line end, and its signatures: name, id and the rest."""
    text, gap, lines = note.rpartition("\n\n") if len(note) <= _MOST else ("", "", "")
    if not text or not gap or not lines.endswith("\n") or not _is_plain(note.replace("\n", "")):
        raise ProofError(
            f"a signed note is a text, an empty line, and lines of signatures, at most {_MOST} characters;"
            f" got {len(note)} characters that are none"
        )
    written = lines[:-1].split("\n")
    if len(written) > _SIGNATURES:
        raise ProofError(f"a note has at most {_SIGNATURES} signatures, got {len(written)}")
    signatures = []
    for line in written:
        form = _SIGNATURE.fullmatch(line)
        blob = _unbase(form[2]) if form else b""
        if form is None or len(blob) < 5:
            raise ProofError(
                "a signature is written as '— name base64' with at least 5 bytes, this line is not"
            )
        signatures.append((form[1], blob))
    return text + "\n", signatures
