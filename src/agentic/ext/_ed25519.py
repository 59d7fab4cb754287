"""How does a log sign so that others can verify and cannot sign? With Ed25519, from the extra ``crypto``."""

from __future__ import annotations

import os
import re
import secrets
from base64 import b64decode, b64encode
from typing import Any, Final, Self

import attrs

from agentic.errors import ConfigurationError, ProofError
from agentic.provenance import Ed25519Public

_TEXT: Final = re.compile(r"PRIVATE\+KEY\+([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/]{44})")
_TYPE: Final = b"\x01"


@attrs.frozen
class Ed25519Key:
    """A key pair that signs checkpoints; auditors get ``public()``, which only verifies.

    Needs the extra ``crypto``. Written as text it is a key of Go's ``sumdb/note`` and other C2SP tools.

    Args:
        name: Who signs, without spaces and plus signs; best the log's origin.
        seed: 32 random bytes, the private key of RFC 8032; kept out of reprs, comparisons and messages.

    Raises:
        ConfigurationError: ``cryptography`` is not installed.
        ProofError: The name or the seed cannot be one.
    """

    name: str
    seed: bytes = attrs.field(repr=False, eq=False)
    _key: Any = attrs.field(init=False, repr=False, eq=False)  # Ed25519PrivateKey, of an extra
    _public: Ed25519Public = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        try:
            from cryptography.hazmat.primitives.asymmetric import ed25519
        except ImportError:
            raise ConfigurationError(
                "an Ed25519Key signs with the package cryptography, which is not installed: pip install"
                " 'agentic-decisioning[crypto]', or sign with a HmacKey; verifying needs neither"
            ) from None
        if not isinstance(self.seed, bytes) or len(self.seed) != 32:
            raise ProofError(
                f"the seed of an Ed25519 key is 32 bytes, that of {self.name!r} is not: Ed25519Key.generate"
                " makes one",
                expected=32,
            )
        key = ed25519.Ed25519PrivateKey.from_private_bytes(self.seed)
        object.__setattr__(self, "_key", key)
        object.__setattr__(self, "_public", Ed25519Public(self.name, key.public_key().public_bytes_raw()))

    @classmethod
    def generate(cls, name: str, /) -> Self:
        """Make a key with a new seed."""
        return cls(name, secrets.token_bytes(32))

    @classmethod
    def parse(cls, text: str, /) -> Self:
        """Read what ``text`` wrote.

        Raises:
            ProofError: It is no such key, or not all of it; the message does not show it.
        """
        form = _TEXT.fullmatch(text.strip()) if len(text) <= 4096 else None
        key = b64decode(form[3]) if form else b""
        if form is None or key[:1] != _TYPE or len(key) != 33:
            raise ProofError(
                "a secret Ed25519 key is written as PRIVATE+KEY+name+id+base64, this text is not"
            )
        found = cls(form[1], key[1:])
        if found.id.hex() != form[2]:
            raise ProofError(f"the text of key {form[1]!r} is not whole: its id is another's", value=form[1])
        return found

    @classmethod
    def from_environment(cls, variable: str, /) -> Self:
        """Read the text of a key from an environment variable.

        Raises:
            ProofError: The variable is not set, or does not hold a key.
        """
        text = os.environ.get(variable)
        if not text:
            raise ProofError(
                f"the environment has no {variable}: set it to the text of a key, see Ed25519Key.generate",
                value=variable,
            )
        return cls.parse(text)

    @property
    def id(self) -> bytes:
        """Four bytes that tell keys of one name apart: those of the public half."""
        return self._public.id

    def public(self) -> Ed25519Public:
        """Return the half that auditors get."""
        return self._public

    def text(self) -> str:
        """Return the whole key as text, a secret: ``PRIVATE+KEY+name+id+base64``."""
        return f"PRIVATE+KEY+{self.name}+{self.id.hex()}+{b64encode(_TYPE + self.seed).decode()}"

    def sign(self, data: bytes, /) -> bytes:
        """Return the signature over the bytes, 64 bytes."""
        signature: bytes = self._key.sign(data)
        return signature
