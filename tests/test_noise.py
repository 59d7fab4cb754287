"""Keyed uniforms: uniform, independent, and the same in every process and shape."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from agentic._noise import fold, keyed, mix, text_key, text_keys, uniform

MASK = 2**64 - 1
DRAW = 1
N = 200_000
# One false alarm in a million runs, were the draws new in each; they are not, so it is none or always.
ALPHA = 1e-6

words = st.integers(0, MASK)
keys = np.arange(N, dtype=np.uint64)


def splitmix64(state):
    """The published generator's next output, in Python integers."""
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_the_mixer_is_splitmix64():
    """The first outputs of the reference implementation for seed 0 come out."""
    gamma = 0x9E3779B97F4A7C15
    states = np.array([(i * gamma) & MASK for i in range(3)], dtype=np.uint64)
    assert mix(states).tolist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


@given(st.lists(words, min_size=1, max_size=9))
def test_the_mixer_agrees_with_python_integers(values):
    """The vectorised mixer wraps as 64-bit arithmetic does, and leaves its input alone."""
    array = np.array(values, dtype=np.uint64)
    assert mix(array).tolist() == [splitmix64(value) for value in values]
    assert array.tolist() == values


@given(st.integers(-(2**70), 2**70), st.lists(st.one_of(words, st.integers(-(2**70), 2**70)), max_size=4))
def test_integers_and_arrays_fold_alike(seed, parts):
    """A word given once for all rows folds as one given for each row, wherever it stands."""
    whole = fold(seed, *parts)
    assert whole.shape == (1,)
    assert whole.dtype == np.uint64
    for place in range(len(parts)):
        mixed = [
            np.full(3, part & MASK, dtype=np.uint64) if i >= place else part for i, part in enumerate(parts)
        ]
        assert fold(seed, *mixed).tolist() == whole.tolist() * 3
    for place in range(len(parts)):
        mixed = [
            np.full(3, part & MASK, dtype=np.uint64) if i == place else part for i, part in enumerate(parts)
        ]
        assert fold(seed, *mixed).tolist() == whole.tolist() * 3


@given(st.integers(0, MASK), st.lists(words, max_size=4))
def test_folding_is_what_it_says(seed, parts):
    """The seed is scrambled, then each word joins by exclusive or and the state is scrambled again."""
    state = splitmix64(seed)
    for part in parts:
        state = splitmix64(state ^ part)
    assert fold(seed, *parts).tolist() == [state]


def test_words_broadcast():
    """Rows and columns of keys fold to a matrix."""
    got = fold(3, keys[:4, None], keys[None, :5])
    assert got.shape == (4, 5)
    assert got[2, 3] == fold(3, 2, 3)[0]


@pytest.mark.parametrize(("one", "other"), [((1, 2, 3), (1, 3, 2)), ((1, 2, 3), (2, 1, 3)), ((0, 7), (7, 0))])
def test_the_order_of_words_matters(one, other):
    """The same numbers in another order, the seed among them, are another key."""
    assert fold(*one)[0] != fold(*other)[0]


def test_small_seeds_do_not_permute_the_draws_of_small_keys():
    """Seeds 0 to 7 over keys 0 to 1,023 share no draw at all."""
    draws = np.concatenate([fold(seed, keys[:1024]) for seed in range(8)])
    assert len(np.unique(draws)) == len(draws)


def test_a_row_is_drawn_alone_as_in_company():
    """A slice, a permutation and a single row draw what the batch draws."""
    whole = fold(5, keys[:1000], keys[:1000] % np.uint64(7), DRAW)
    np.testing.assert_array_equal(fold(5, keys[10:17], keys[10:17] % np.uint64(7), DRAW), whole[10:17])
    order = np.random.default_rng(0).permutation(1000)
    np.testing.assert_array_equal(fold(5, keys[order], keys[order] % np.uint64(7), DRAW), whole[order])


HASHED = text_keys([f"customer-{i}" for i in range(N)])
SEED = text_key("draw/agent/0")
FIRST = np.zeros(N, dtype=np.uint64)


@given(words, st.lists(st.tuples(words, st.integers(0, 50)), min_size=1, max_size=5))
def test_a_key_has_a_splitmix64_of_its_own(seed, pairs):
    """Ticket t is output t of the generator that starts at key exclusive-or seed."""
    key, ticket = (np.array(part, dtype=np.uint64) for part in zip(*pairs, strict=True))
    want = [splitmix64(((k ^ seed) + t * 0x9E3779B97F4A7C15) & MASK) for k, t in pairs]
    assert keyed(seed, key, ticket).tolist() == want
    assert keyed(seed - 2**64, key, ticket).tolist() == want
    assert (key.tolist(), ticket.tolist()) == tuple(map(list, zip(*pairs, strict=True)))


def test_slots_and_tickets_of_a_key_never_meet():
    """A thousand tickets of sixteen slots each are as many different words."""
    tickets = np.arange(1000, dtype=np.uint64)
    key = np.full(1000, HASHED[0])
    found = np.concatenate([keyed(SEED, key, tickets, slot) for slot in range(16)])
    assert len(np.unique(found)) == 16_000


STREAMS = {
    "keyed subjects": lambda: keyed(SEED, HASHED, FIRST),
    "keyed tickets": lambda: keyed(SEED, np.full(N, HASHED[0]), keys),
    "keyed slots": lambda: np.concatenate(
        [keyed(SEED, HASHED[:100], FIRST[:100], slot) for slot in range(500)]
    ),
    "keyed hashes": lambda: keyed(SEED, np.full(N, HASHED[0]), HASHED),
    "subjects": lambda: fold(11, keys, 1, DRAW),
    "tickets": lambda: fold(11, 42, keys, DRAW),
    "seeds": lambda: np.concatenate([fold(seed, 42, 1, DRAW) for seed in range(20_000)]),
    "texts": lambda: text_keys([f"customer-{i}" for i in range(20_000)], salt=b"agent"),
}


@pytest.mark.parametrize("name", sorted(STREAMS))
def test_draws_are_uniform(name):
    """Kolmogorov-Smirnov over all, and chi-square over 256 cells of the high and of the low bits."""
    hashes = STREAMS[name]()
    draws = uniform(hashes)
    assert stats.kstest(draws, "uniform").pvalue > ALPHA
    for cell in ((draws * 256).astype(int), (hashes & np.uint64(255)).astype(int)):
        assert stats.chisquare(np.bincount(cell, minlength=256)).pvalue > ALPHA


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (fold(1, keys, DRAW), fold(1, keys, DRAW + 1)),
        (fold(1, keys, DRAW), fold(2, keys, DRAW)),
        (fold(1, keys, 5, DRAW), fold(1, keys, 6, DRAW)),
        (fold(1, keys, DRAW)[:-1], fold(1, keys, DRAW)[1:]),
        (keyed(SEED, HASHED, FIRST), keyed(SEED, HASHED, FIRST, 1)),
        (keyed(SEED, HASHED, FIRST, 1), keyed(SEED, HASHED, FIRST, 2)),
        (keyed(SEED, HASHED, FIRST), keyed(text_key("draw/agent/1"), HASHED, FIRST)),
        (keyed(SEED, HASHED, FIRST), keyed(SEED, HASHED, FIRST + np.uint64(1))),
        (keyed(SEED, HASHED, FIRST, 1), keyed(SEED, HASHED, FIRST + np.uint64(1))),
        (keyed(SEED, np.full(N, HASHED[0]), keys), keyed(SEED, np.full(N, HASHED[1]), keys)),
    ],
    ids=[
        "words",
        "seeds",
        "tickets",
        "neighbours",
        "keyed slots",
        "later slots",
        "keyed seeds",
        "keyed tickets",
        "slots of tickets",
        "keyed keys",
    ],
)
def test_draws_for_different_purposes_are_independent(one, other):
    """Pairs fall evenly into 16 by 16 cells, and their correlation is that of noise."""
    a, b = uniform(one), uniform(other)
    cells = (a * 16).astype(int) * 16 + (b * 16).astype(int)
    assert stats.chisquare(np.bincount(cells, minlength=256)).pvalue > ALPHA
    # The correlation of n independent pairs is normal with standard deviation 1 / sqrt(n).
    assert abs(np.corrcoef(a, b)[0, 1]) < stats.norm.isf(ALPHA / 2) / len(a) ** 0.5


def test_every_bit_in_moves_half_of_the_bits_out():
    """Avalanche: each of 64 x 64 pairs of bits flips with a share of 1/2, to six standard deviations."""
    base = fold(0, keys[:4096])
    plain = fold(9, base)
    for bit in range(64):
        moved = fold(9, base ^ np.uint64(1 << bit)) ^ plain
        flips = np.unpackbits(moved.view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
        assert np.abs(flips - 0.5).max() < 6 * 0.5 / 4096**0.5


@given(st.lists(words, min_size=1))
def test_a_uniform_is_at_least_0_and_below_1(values):
    """The 53 high bits count; all ones stay below 1."""
    draws = uniform(np.array([*values, 0, MASK], dtype=np.uint64))
    assert ((draws >= 0) & (draws < 1)).all()
    assert draws[-2] == 0.0
    assert draws[-1] == 1 - 2.0**-53


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), max_size=5), st.binary(max_size=64))
def test_many_texts_hash_as_one_does(texts, salt):
    """``text_keys`` is ``text_key`` of each, for any text and salt."""
    got = text_keys(texts, salt=salt)
    assert got.dtype == np.uint64
    assert got.shape == (len(texts),)
    assert got.tolist() == [text_key(text, salt=salt) for text in texts]


def test_a_salt_makes_keys_unlinkable():
    """Two agents have other keys for the same subject."""
    assert len({text_key("customer-42", salt=salt) for salt in (b"", b"a", b"b", b"a" * 64)}) == 4


def test_another_process_draws_the_same():
    """Keys and draws do not depend on Python's hash seed."""
    code = (
        "from agentic._noise import *\n"
        "print(text_key('customer-42', salt=b'x'), fold(7, text_keys(['a', 'b']), -3).tolist())"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout
        for seed in ("1", "2")
    }
    assert said == {f"{text_key('customer-42', salt=b'x')} {fold(7, text_keys(['a', 'b']), -3).tolist()}\n"}
