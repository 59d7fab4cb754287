"""What does this machine allow at all? The primitives that decisions are made of, each alone in a loop.

``stages.py`` puts these beside the stages of a decision.
"""

from __future__ import annotations

import hashlib
import operator
import time
from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
from benchmarks import pipeline
from benchmarks.measure import Figure, Options, Report, figure, tell

D, K = 20, 10
BLOCK = 8192  # rows of a wave: 1.3 MB of features, what the second cache holds


@attrs.frozen
class Primitive:
    """One thing a machine can do.

    Attributes:
        what: In words, for the table.
        runs: One value a run, in the unit.
        unit: ``GFLOP/s``, ``GB/s``, ``M/s`` or ``ns``.
    """

    what: str
    runs: list[float]
    unit: str

    @property
    def median(self) -> float:
        return float(np.median(self.runs))


def best_of(act: Callable[[], object], *, least_s: float = 0.02, times: int = 5) -> float:
    """Seconds of one call: the fastest of a few rounds, since a limit is what nothing disturbs."""
    act()
    began = time.perf_counter()
    act()
    many = max(1, int(least_s / max(time.perf_counter() - began, 1e-7)))
    fastest = float("inf")
    for _ in range(times):
        began = time.perf_counter()
        for _ in range(many):
            act()
        fastest = min(fastest, (time.perf_counter() - began) / many)
    return fastest


def primitives(options: Options) -> dict[str, Callable[[], tuple[float, str, str]]]:
    """What is measured, by name: each returns a value, its unit and what it is."""
    dice = np.random.default_rng(3)
    n = options.size(BLOCK, 512)
    X64 = dice.standard_normal((n, D))
    X32 = X64.astype(np.float32)
    W64, R32 = dice.standard_normal((D, K)), dice.standard_normal((D, K * D)).astype(np.float32)
    many = options.size(4_000_000, 20_000)  # 32 MB a column: beyond every cache
    a, b, c = (np.ones(many) for _ in range(3))
    words = dice.integers(0, 2**63, n * K, dtype=np.uint64)
    small = dice.standard_normal(n * 3).astype(np.float32)
    out32, one, zero = np.empty_like(small), np.ones(1), np.zeros(1)
    place = np.zeros(1, dtype=np.int64)
    known = options.size(1_000_000, 2_000)
    slots = {name: i for i, name in enumerate(pipeline.names(known))}
    shuffled = dice.permutation(known)[:n]
    first = known // 2
    near = operator.itemgetter(*(f"c{i}" for i in range(first, first + n)))
    far = operator.itemgetter(*(f"c{i}" for i in shuffled.tolist()))
    record = pipeline.agent(trained_on=300).plan.layout.dtype
    slab, there = np.zeros(known, dtype=record), np.arange(first, first + n)
    raw = slab.view(f"V{record.itemsize}")  # plain bytes: numpy would copy field by field otherwise
    text, texts = b"x" * 200, [b"customer-%07d" % i for i in range(1000)]
    wide = bytes(1 << 20)

    def gemm(left: Any, right: Any, what: str) -> tuple[float, str, str]:
        out = np.empty((len(left), right.shape[1]), left.dtype)
        took = best_of(lambda: np.matmul(left, right, out=out))
        return 2 * len(left) * left.shape[1] * right.shape[1] / took / 1e9, "GFLOP/s", what

    def blocks(left: Any, right: Any, what: str) -> tuple[float, str, str]:
        cut = left.reshape(-1, 8, left.shape[1])
        took = best_of(lambda: np.matmul(cut, right))
        return 2 * len(left) * left.shape[1] * right.shape[1] / took / 1e9, "GFLOP/s", what

    def traffic(act: Callable[[], object], size: int, what: str) -> tuple[float, str, str]:
        return size / best_of(act) / 1e9, "GB/s", what

    def each(act: Callable[[], object], count: int, what: str) -> tuple[float, str, str]:
        return best_of(act) / count * 1e9, "ns", what

    def mixed() -> object:
        word = words + np.uint64(0x9E3779B97F4A7C15)
        word ^= word >> np.uint64(30)
        word *= np.uint64(0xBF58476D1CE4E5B9)
        word ^= word >> np.uint64(27)
        word *= np.uint64(0x94D049BB133111EB)
        word ^= word >> np.uint64(31)
        return word

    def triad() -> None:
        np.multiply(b, 3.0, out=a)
        np.add(a, c, out=a)

    def squares() -> object:
        parts = np.matmul(X32, R32).reshape(n, K, D)
        return np.einsum("nkd,nkd->nk", parts, parts)

    return {
        "dgemm": lambda: gemm(X64, W64, f"matrix product f64, {n:,} x {D} by {D} x {K}"),
        "sgemm": lambda: gemm(X32, R32, f"matrix product f32, {n:,} x {D} by {D} x {K * D}"),
        "dgemm_blocks": lambda: blocks(X64, W64, "  likewise f64 in blocks of 8 rows"),
        "sgemm_blocks": lambda: blocks(X32, R32, "  likewise f32 in blocks of 8 rows"),
        "variances": lambda: each(squares, n, f"product and sums of squares f32, {K} variances of a row"),
        "copy": lambda: traffic(lambda: np.copyto(a, b), 16 * many, "copy beyond the caches, read and write"),
        "triad": lambda: traffic(triad, 40 * many, "a = b * 3 + c in two passes of numpy"),
        "near": lambda: traffic(
            lambda: np.copyto(a[:BLOCK], b[:BLOCK]), 16 * min(BLOCK, many), "copy within the caches"
        ),
        "gather": lambda: each(
            lambda: slab.take(there), n, f"a record of {record.itemsize} bytes by its number, neighbours"
        ),
        "gather_far": lambda: each(lambda: slab.take(shuffled), n, "  likewise, at random"),
        "scatter": lambda: each(
            lambda: raw.__setitem__(there, raw[:n]),
            n,
            f"a record of {record.itemsize} bytes put in its place, neighbours",
        ),
        "lookup": lambda: each(lambda: near(slots), n, f"dict lookup, {known:,} strings, neighbours"),
        "lookup_far": lambda: each(lambda: far(slots), n, "  likewise, at random"),
        "splitmix": lambda: each(mixed, len(words), "splitmix64 in numpy, a word"),
        "blake2b": lambda: each(
            lambda: [hashlib.blake2b(t, digest_size=8).digest() for t in texts],
            1000,
            "blake2b of a subject id",
        ),
        "sha256": lambda: each(lambda: hashlib.sha256(text).digest(), 1, "sha256 of 200 bytes"),
        "sha256_wide": lambda: traffic(
            lambda: hashlib.sha256(wide).digest(), len(wide), "sha256 of a megabyte"
        ),
        "tanh": lambda: each(lambda: np.tanh(small, out=out32), len(small), "tanh f32, a number"),
        "exp": lambda: each(lambda: np.exp(small, out=out32), len(small), "exp f32, a number"),
        "pass": lambda: each(
            lambda: np.multiply(small, small, out=out32),
            len(small),
            "multiply f32 within the caches, a number",
        ),
        "call": lambda: each(lambda: np.add(one, zero), 1, "a numpy call on one number"),
        "scalar": lambda: each(lambda: one * 2.0, 1, "  likewise, with a Python float on one side"),
        "reduce": lambda: each(lambda: np.add.reduce(one), 1, "a numpy reduction of one number"),
        "index": lambda: each(lambda: small[place], 1, "one number taken by an array of indices"),
        "take": lambda: each(lambda: small.take(place), 1, "  likewise by take"),
        "function": lambda: each(nothing, 1, "a Python call"),
    }


def nothing() -> None:
    """What a call costs that does nothing."""


def measured(options: Options) -> dict[str, Primitive]:
    """All primitives, ``options.repeat`` runs each, by turns."""
    found: dict[str, Primitive] = {}
    acts = primitives(options)
    for _ in range(options.repeat):
        for name, act in acts.items():
            value, unit, what = act()
            found.setdefault(name, Primitive(what, [], unit)).runs.append(value)
    return found


def run(options: Options) -> Report:
    figures: list[Figure] = [figure(one.what, one.runs, one.unit) for one in measured(options).values()]
    notes = ["each run is the fastest of five rounds: a limit is what nothing disturbs"]
    return Report("what this machine does at most, one thread, one BLAS thread", figures, notes)


if __name__ == "__main__":
    tell(run)
