"""Checkpoints as C2SP has them: text, signatures, keys, and notes that somebody tampered with."""

import hmac
import os
from base64 import b64encode
from hashlib import sha256

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentic.errors import ProofError
from agentic.provenance import Checkpoint, Ed25519Public, HmacKey, open_checkpoint

# The example of golang.org/x/mod/sumdb/note, which C2SP signed-note describes.
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_SAYS = (
    b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
NEUMANN_SIGNS = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="

KEY = HmacKey("shop.example/log", bytes(range(32)))
OTHER = HmacKey("shop.example/log", bytes(range(1, 33)))
WITNESS = HmacKey("witness.example", bytes(range(16)))
POINT = Checkpoint("shop.example/log", 20852163, sha256(b"root").digest())


class TestCheckpoint:
    def test_text(self) -> None:
        """It is the three lines of C2SP tlog-checkpoint."""
        root = b64encode(sha256(b"root").digest()).decode()
        assert POINT.text() == f"shop.example/log\n20852163\n{root}\n"
        assert Checkpoint.parse(POINT.text()) == POINT

    @given(
        st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1),
        st.integers(0, 2**63 - 1),
        st.binary(min_size=32, max_size=32),
    )
    def test_round_trip(self, origin: str, size: int, root: bytes) -> None:
        """Any origin of one line, size and root come back, signed or not."""
        point = Checkpoint(origin, size, root)
        assert Checkpoint.parse(point.text()) == point
        note = point.signed([KEY])
        assert open_checkpoint(note, [KEY]) == Checkpoint.of(note) == point

    @pytest.mark.parametrize(
        "text",
        [
            pytest.param("", id="nothing"),
            pytest.param("a\n1\n", id="two-lines"),
            pytest.param(POINT.text() + "more\n", id="an-extension"),
            pytest.param(POINT.text()[:-1], id="no-end"),
            pytest.param(POINT.text().replace("\n2", "\n02"), id="a-leading-zero"),
            pytest.param(POINT.text().replace("\n2", "\n+2"), id="a-sign"),
            pytest.param(POINT.text().replace("\n2", "\n-2"), id="negative"),
            pytest.param(POINT.text().replace("\n2", "\n٢"), id="another-script"),
            pytest.param(POINT.text().replace("20852163", "9999999999999999999"), id="above-63-bits"),
            pytest.param(POINT.text().replace("20852163", "1" * 5000), id="endless-size"),
            pytest.param(POINT.text().replace("=", ""), id="no-padding"),
            pytest.param(f"a\n1\n{b64encode(bytes(31)).decode()}\n", id="a-short-root"),
            pytest.param("a\n1\n" + "A" * 42 + "B=\n", id="loose-base64"),
            pytest.param(POINT.text().replace("\n", "\r\n"), id="other-line-ends"),
            pytest.param("\n1\n" + "A" * 43 + "=\n", id="no-origin"),
            pytest.param("a" * 200_000 + "\n1\n" + "A" * 43 + "=\n", id="endless"),
        ],
    )
    def test_strict(self, text: str) -> None:
        """What would not be written is not read."""
        with pytest.raises(ProofError):
            Checkpoint.parse(text)

    @pytest.mark.parametrize(
        "origin",
        [
            pytest.param("", id="empty"),
            pytest.param("a\nb", id="two-lines"),
            pytest.param("a\tb", id="control"),
            pytest.param("\ud800", id="surrogate"),
        ],
    )
    def test_origin(self, origin: str) -> None:
        """An origin is one line that UTF-8 can write."""
        with pytest.raises(ProofError, match="origin of a log"):
            Checkpoint(origin, 1, bytes(32))


class TestNotes:
    def test_form(self) -> None:
        """A signature line is a dash, the name, and base64 of the key's id and the signature."""
        signature = hmac.digest(bytes(range(32)), POINT.text().encode(), "sha256")
        hashed = sha256(b"shop.example/log\n\xffagentic/hmac-sha256" + bytes(range(32))).digest()[:4]
        line = f"— shop.example/log {b64encode(hashed + signature).decode()}\n"
        assert POINT.signed([KEY]) == POINT.text() + "\n" + line

    def test_published_example(self) -> None:
        """A key and a signature of Go's sumdb/note verify, and any other text does not."""
        key = Ed25519Public.parse(NEUMANN)
        assert (key.name, key.id.hex(), key.text()) == ("PeterNeumann", "c74f20a3", NEUMANN)
        import base64

        blob = base64.b64decode(NEUMANN_SIGNS)
        assert blob[:4] == key.id
        assert key.verify(NEUMANN_SAYS, blob[4:])
        assert not key.verify(NEUMANN_SAYS.replace(b"is the", b"was the"), blob[4:])
        assert not key.verify(NEUMANN_SAYS, blob[4:-1])
        assert not key.verify(NEUMANN_SAYS, b"")

    def test_unknown_signatures(self) -> None:
        """Signatures by keys one does not know are ignored, and one known key is enough."""
        note = POINT.signed([WITNESS, OTHER, KEY])
        for ring in ([KEY], [WITNESS], [OTHER], [KEY, WITNESS, OTHER]):
            assert open_checkpoint(note, ring) == POINT
        with pytest.raises(ProofError, match="none of the 1 keys"):
            open_checkpoint(POINT.signed([WITNESS]), [KEY])
        with pytest.raises(ProofError, match="none of the 0 keys"):
            open_checkpoint(note, [])

    def test_same_name(self) -> None:
        """Keys of one name are told apart by their ids, so a key can be rotated under its name."""
        old, new = POINT.signed([OTHER]), POINT.signed([KEY])
        for note in (old, new):
            assert open_checkpoint(note, [KEY, OTHER]) == POINT
        with pytest.raises(ProofError, match="an old one"):
            open_checkpoint(old, [KEY])

    def test_one_false_signature(self) -> None:
        """A false signature by a known key refuses the note, whoever else has signed it."""
        other = Checkpoint("shop.example/log", 7, bytes(32))
        forged = POINT.signed([WITNESS]) + other.signed([KEY]).rpartition("\n\n")[2]
        assert open_checkpoint(forged, [WITNESS]) == POINT
        with pytest.raises(ProofError, match="is false"):
            open_checkpoint(forged, [WITNESS, KEY])

    def test_every_changed_byte(self) -> None:
        """No byte of a note with one signature can be changed, left out or doubled."""
        note = POINT.signed([KEY]).encode()
        for place in range(len(note)):
            for wrong in (
                note[:place] + bytes([note[place] ^ 1]) + note[place + 1 :],
                note[:place] + note[place + 1 :],
                note[:place] + note[place : place + 1] + note[place:],
            ):
                try:
                    text = wrong.decode()
                except UnicodeDecodeError:
                    continue
                with pytest.raises(ProofError):
                    open_checkpoint(text, [KEY])

    @given(st.text(max_size=300))
    @example(POINT.signed([KEY])[:-1])
    @example("\n\n— a AAAAAAA=\n")
    @example("a\n\n— a AAAAAA==\n")
    @example("a\n\n" + "— a AAAAAAA=\n" * 101)
    @example("a\n\n- a AAAAAAA=\n")
    @example("a\n\n— a+b AAAAAAA=\n")
    @example("a\r\n\n— a AAAAAAA=\n")
    def test_hostile(self, text: str) -> None:
        """Text that is no note is refused, and with nothing else than ProofError."""
        with pytest.raises(ProofError):
            open_checkpoint(text, [KEY])

    def test_sixteen_large_signatures(self) -> None:
        """Sixteen signatures of 5,000 bytes, as the specification asks, are read."""
        line = f"— witness.example {b64encode(bytes(5000)).decode()}\n"
        assert open_checkpoint(POINT.signed([KEY]) + line * 15, [KEY]) == POINT

    def test_nobody(self) -> None:
        """A note that nobody signs is not written."""
        with pytest.raises(ProofError, match="at least one signer"):
            POINT.signed([])

    def test_service(self) -> None:
        """Anything with a name, an id and ``sign`` can sign: a secret may stay where it is."""

        class Service:
            name = KEY.name
            id = KEY.id

            def sign(self, data: bytes) -> bytes:
                return KEY.sign(data)

        assert POINT.signed([Service()]) == POINT.signed([KEY])

    def test_signers_name(self) -> None:
        """A signer with a name that would break the note is refused."""

        class Odd:
            name = "a b"
            id = bytes(4)
            sign = KEY.sign

        with pytest.raises(ProofError, match="name of a key"):
            POINT.signed([Odd()])


class TestHmacKey:
    def test_secrets_stay_inside(self) -> None:
        """Neither repr nor messages show a secret; two keys with other secrets are other keys."""
        secret = b"a secret of ours that is long"
        key = HmacKey("a", secret)
        assert "secret" not in repr(key)
        assert secret.hex() not in repr(key)
        assert key != HmacKey("a", secret + b"!")
        assert key == HmacKey("a", secret)
        text = key.text()
        with pytest.raises(ProofError) as caught:
            HmacKey.parse(text[:-4])
        assert text[25:40] not in str(caught.value)
        assert text[25:40] not in str(caught.value.facts)

    def test_length(self) -> None:
        """A secret has at least 16 bytes."""
        HmacKey("a", bytes(16))
        for secret in (b"", bytes(15), "x" * 20):
            with pytest.raises(ProofError, match="16 random bytes"):
                HmacKey("a", secret)  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        "name",
        [
            pytest.param("", id="empty"),
            pytest.param("a b", id="space"),
            pytest.param("a\u2003b", id="wide-space"),
            pytest.param("a+b", id="plus"),
            pytest.param("a\nb", id="line"),
            pytest.param("\udcff", id="surrogate"),
        ],
    )
    def test_name(self, name: str) -> None:
        """A name can stand in a signature line and in the text of a key."""
        with pytest.raises(ProofError, match="name of a key"):
            HmacKey(name, bytes(16))
        with pytest.raises(ProofError, match="name of a key"):
            Ed25519Public(name, bytes(32))

    def test_text(self) -> None:
        """A key goes through its text, and says that it is a secret."""
        key = HmacKey.generate("shop.example/log")
        assert key.text().startswith("PRIVATE+KEY+shop.example/log+")
        assert HmacKey.parse(f" {key.text()}\n") == key
        assert HmacKey.parse(key.text()).sign(b"x") == key.sign(b"x")
        assert key != HmacKey.generate("shop.example/log")

    def test_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A key may come from the environment, and its absence is said."""
        monkeypatch.setitem(os.environ, "SHOP_LOG_KEY", KEY.text())
        assert HmacKey.from_environment("SHOP_LOG_KEY") == KEY
        monkeypatch.delitem(os.environ, "SHOP_LOG_KEY")
        with pytest.raises(ProofError, match="no SHOP_LOG_KEY"):
            HmacKey.from_environment("SHOP_LOG_KEY")

    def test_every_changed_letter(self) -> None:
        """No letter of a key's text can be another: the id would be another's."""
        text = KEY.text()
        for place in range(len(text)):
            wrong = text[:place] + ("A" if text[place] != "A" else "B") + text[place + 1 :]
            with pytest.raises(ProofError):
                HmacKey.parse(wrong)

    def test_others(self) -> None:
        """A key of another kind, public or secret, is refused by name."""
        with pytest.raises(ProofError, match="secret key is written"):
            HmacKey.parse(NEUMANN)
        with pytest.raises(ProofError, match="public key is written"):
            Ed25519Public.parse(KEY.text())
        with pytest.raises(ProofError, match="not an Ed25519 key"):
            Ed25519Public.parse(KEY.text().removeprefix("PRIVATE+KEY+"))
        with pytest.raises(ProofError, match="not an HMAC key"):
            HmacKey.parse("PRIVATE+KEY+" + NEUMANN)
        with pytest.raises(ProofError, match="is written as"):
            HmacKey.parse("x" * 5000)
        with pytest.raises(ProofError, match="32 bytes"):
            Ed25519Public("a", bytes(31))
