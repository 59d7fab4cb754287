"""Ed25519 keys: published vectors, our verifier beside the extra's, and what is refused."""

import sys
from base64 import b64decode, b64encode

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic.errors import ConfigurationError, ProofError
from agentic.ext import Ed25519Key
from agentic.provenance import Checkpoint, Ed25519Public, open_checkpoint

# The example of golang.org/x/mod/sumdb/note.
SECRET = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
SAYS = (
    b"If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
SIGNED = "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="

# RFC 8032, section 7.1: seed, public key, message, signature.
VECTORS = {
    "empty": (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f"
            "0595bbe24655141438e7a100b"
        ),
    ),
    "one-byte": (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2ea"
            "eb4302aeeb00d291612bb0c00"
        ),
    ),
    "two-bytes": (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e"
            "9716ed28dc027beceea1ec40a"
        ),
    ),
    "sha-abc": (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        (
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d442"
            "3643ce80e2a9ac94fa54ca49f"
        ),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179"
            "c138ac17ad9bef1177331a704"
        ),
    ),
}
ORDER = 2**252 + 27742317777372353535851937790883648493
KEY = Ed25519Key("shop.example/log", bytes(range(32)))


def extra_verifies(key: bytes, data: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, data)
    except (InvalidSignature, ValueError):
        return False
    return True


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in VECTORS.items()])
def test_vectors(case: tuple[str, str, str, str]) -> None:
    """Keys, signatures and both verifiers agree with RFC 8032."""
    seed, public, message, signature = (bytes.fromhex(part) for part in case)
    key = Ed25519Key("rfc8032", seed)
    assert key.public().key == public
    assert key.sign(message) == signature
    assert key.public().verify(message, signature)


def test_go() -> None:
    """A key of Go's sumdb/note signs what it signs there."""
    key = Ed25519Key.parse(SECRET)
    assert key.text() == SECRET
    assert key.public().text() == PUBLIC
    assert b64encode(key.id + key.sign(SAYS)).decode() == SIGNED
    assert Ed25519Public.parse(PUBLIC).verify(SAYS, b64decode(SIGNED)[4:])


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=200), st.integers(0, 511))
def test_both_verifiers(seed: bytes, data: bytes, bit: int) -> None:
    """What the extra signs our verifier accepts; with one bit flipped both refuse."""
    key = Ed25519Key("a", seed)
    signature = bytearray(key.sign(data))
    assert key.public().verify(data, bytes(signature))
    assert extra_verifies(key.public().key, data, bytes(signature))
    signature[bit // 8] ^= 1 << bit % 8
    assert not key.public().verify(data, bytes(signature))
    assert not extra_verifies(key.public().key, data, bytes(signature))
    assert not key.public().verify(data + b"!", key.sign(data))


def test_malleable() -> None:
    """A signature with the order added to its second half is another text of the same, and refused."""
    signature = KEY.sign(b"x")
    more = (int.from_bytes(signature[32:], "little") + ORDER).to_bytes(32, "little")
    assert KEY.public().verify(b"x", signature)
    assert not KEY.public().verify(b"x", signature[:32] + more)
    assert not extra_verifies(KEY.public().key, b"x", signature[:32] + more)


@pytest.mark.parametrize(
    "key",
    [
        pytest.param((2).to_bytes(32, "little"), id="off-the-curve"),
        pytest.param((2**255 - 19 + 1).to_bytes(32, "little"), id="above-the-prime"),
        pytest.param((1 | 1 << 255).to_bytes(32, "little"), id="minus-zero"),
    ],
)
def test_bytes_that_are_no_point(key: bytes) -> None:
    """A key that is no point of the curve, or not its one encoding, verifies nothing, and nothing breaks."""
    signature = bytearray(KEY.sign(b"x"))
    assert not Ed25519Public("a", key).verify(b"x", bytes(signature))
    signature[:32] = key
    assert not KEY.public().verify(b"x", bytes(signature))


@pytest.mark.parametrize("length", [pytest.param(n, id=str(n)) for n in (0, 1, 31, 32, 63, 65, 1000)])
def test_lengths(length: int) -> None:
    """A signature has 64 bytes."""
    assert not KEY.public().verify(b"x", (KEY.sign(b"x") * 20)[:length])


def test_checkpoint() -> None:
    """Who holds the public half verifies what the key signed, and cannot sign."""
    point = Checkpoint("shop.example/log", 3, bytes(32))
    note = point.signed([KEY])
    assert open_checkpoint(note, [KEY.public()]) == point
    assert not hasattr(KEY.public(), "sign")
    with pytest.raises(ProofError, match="is false"):
        open_checkpoint(note.replace("\n3\n", "\n4\n"), [KEY.public()])


def test_secrets_stay_inside() -> None:
    """Neither repr nor messages show a seed."""
    text = KEY.text()
    assert KEY.seed.hex() not in repr(KEY)
    assert str(KEY.seed) not in repr(KEY)
    for wrong in (text[:-4], text.replace("+", "-", 1), text.replace("shop", "Shop"), PUBLIC, "x" * 5000):
        with pytest.raises(ProofError) as caught:
            Ed25519Key.parse(wrong)
        assert text[-30:-10] not in str(caught.value)
    with pytest.raises(ProofError, match="32 bytes"):
        Ed25519Key("a", bytes(31))


def test_keys_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new key is another each time, goes through its text, and may come from the environment."""
    key = Ed25519Key.generate("a")
    assert key != Ed25519Key.generate("a")
    monkeypatch.setenv("SHOP_LOG_KEY", key.text())
    assert Ed25519Key.from_environment("SHOP_LOG_KEY") == key == Ed25519Key.parse(key.text() + "\n")
    monkeypatch.delenv("SHOP_LOG_KEY")
    with pytest.raises(ProofError, match="no SHOP_LOG_KEY"):
        Ed25519Key.from_environment("SHOP_LOG_KEY")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra a key says what to install, and verifying goes on."""
    note = Checkpoint("a", 3, bytes(32)).signed([KEY])
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric", None)
    with pytest.raises(ConfigurationError, match=r"agentic-decisioning\[crypto\]"):
        Ed25519Key.generate("a")
    assert open_checkpoint(note, [KEY.public()]).size == 3
