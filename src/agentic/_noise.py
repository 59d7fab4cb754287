"""Where chance comes from: uniforms that are a hash of what they are for.

A uniform is a pure function of (seed, subject key, counter, stream), so one row, a batch, a partition
and a replay draw the same numbers in any order. The mixer is splitmix64's finaliser, applied once to the
seed and once per word of the key; arithmetic is modulo 2^64 on purpose.

Source: Steele, Lea & Flood 2014, Fast splittable pseudorandom number generators, section 5: the gamma of
figure 16 and the finaliser of Stafford's variant 13. Ours chains it over the words of a key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

U64 = NDArray[np.uint64]

_MASK: Final = 0xFFFFFFFFFFFFFFFF
_GAMMA: Final = 0x9E3779B97F4A7C15
_MIX_1: Final = 0xBF58476D1CE4E5B9
_MIX_2: Final = 0x94D049BB133111EB
_SLOT: Final = 0xD1342543DE82EF95
# The same as numpy scalars: making one takes longer than a step of the mixer.
_GAMMA_64, _MIX_1_64, _MIX_2_64 = np.uint64(_GAMMA), np.uint64(_MIX_1), np.uint64(_MIX_2)
_S30, _S27, _S31, _S11 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(11)
_TO_UNIT: Final = 2.0**-53


def mix(words: U64, /) -> U64:
    """Scramble 64-bit words so that every input bit moves about half of the output bits.

    Args:
        words: Shape (n,), uint64. Left unchanged.
    """
    out = words + _GAMMA_64
    out ^= out >> _S30
    out *= _MIX_1_64
    out ^= out >> _S27
    out *= _MIX_2_64
    out ^= out >> _S31
    return out


def fold(seed: int, /, *words: U64 | int) -> U64:
    """Fold several key words, in this order, into one scrambled word per row.

    Args:
        seed: Any integer; taken modulo 2^64.
        words: Uint64 arrays that broadcast together, or integers that hold for all rows.

    Returns:
        Shape (n,), uint64; shape (1,) when every word is an integer.
    """
    # The seed is scrambled before a word joins it: otherwise seeds 0 to 7 would only permute the
    # answers of keys 0 to 7.
    state: int | U64 = _mix_one(seed & _MASK)
    for word in words:
        if not isinstance(word, int):
            state = mix(word ^ (np.uint64(state) if isinstance(state, int) else state))
        elif isinstance(state, int):
            state = _mix_one(state ^ (word & _MASK))
        else:
            state = mix(state ^ np.uint64(word & _MASK))
    return np.array([state], dtype=np.uint64) if isinstance(state, int) else state


def _mix_one(word: int) -> int:
    """``mix`` of one Python integer."""
    out = (word + _GAMMA) & _MASK
    out = (out ^ out >> 30) * _MIX_1 & _MASK
    out = (out ^ out >> 27) * _MIX_2 & _MASK
    return out ^ out >> 31


def keyed(seed: int, keys: U64, tickets: U64, slot: int = 0, /) -> U64:
    """The word that a draw is made of: for each key the ``tickets``-th output of its own splitmix64.

    One step of the mixer where ``fold`` takes three, because seed and keys are hashes already: small
    integers in their places would only permute each other's draws.

    Args:
        seed: A hash of what the draws are for; taken modulo 2^64.
        keys: Shape (n,), uint64: hashes.
        tickets: Shape (n,), uint64: which draw of its key, from 0; any number will do.
        slot: From 0: which word of that draw.
    """
    if len(keys) == 1 == len(tickets):  # the same arithmetic, at a tenth of the price for one
        one = int(tickets[0]) * _GAMMA + (int(keys[0]) ^ seed & _MASK) + slot * _SLOT
        return np.array([_mix_one(one & _MASK)], dtype=np.uint64)
    state = tickets * _GAMMA_64
    state += keys ^ np.uint64(seed & _MASK)
    if slot:
        state += np.uint64(slot * _SLOT & _MASK)
    return mix(state)


def same_draw(seed: int, key: int, ticket: int, other: int, /) -> int:
    """The ticket with which another key draws the very words that this key draws with this ticket.

    Args:
        seed: As given to ``keyed``.
        key: A hash.
        ticket: From 0.
        other: The other key.
    """
    seed &= _MASK
    return (ticket + ((key ^ seed) - (other ^ seed)) * pow(_GAMMA, -1, 1 << 64)) & _MASK


def uniform(hashes: U64, /) -> NDArray[np.float64]:
    """Turn scrambled words into uniforms in [0, 1), 53 bits each.

    Args:
        hashes: Shape (n,), uint64.
    """
    out: NDArray[np.float64] = (hashes >> _S11).astype(np.float64)
    out *= _TO_UNIT
    return out


def text_key(text: str, /, *, salt: bytes = b"") -> int:
    """Hash a text to 64 bits, the same in every process.

    Args:
        text: Must be encodable as UTF-8.
        salt: Up to 64 bytes; keeps keys of different agents unlinkable.
    """
    return int(text_keys([text], salt=salt)[0])


def assignment_seed(salt: str, /) -> int:
    """The seed of the hash that puts subjects into holdout and random control: one salt, one holdout."""
    return text_key(f"assignment/{salt}")


def text_keys(texts: Sequence[str], /, *, salt: bytes = b"") -> U64:
    """Hash many texts: ``text_key`` of each, shape (n,), uint64."""
    import hashlib  # loads OpenSSL, a tenth of all that importing an agent took

    start = hashlib.blake2b(digest_size=8, key=salt, person=b"agentic.key")
    raw = bytearray()
    for text in texts:
        state = start.copy()
        state.update(text.encode())
        raw += state.digest()
    return np.frombuffer(raw, dtype="<u8").astype(np.uint64)
