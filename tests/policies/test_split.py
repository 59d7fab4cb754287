"""A champion and its challengers: each subject is always asked of the same one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.arrays import Proposal
from agentic.errors import ConfigurationError
from agentic.policies import Fixed, LinearThompson, Split, Uniform
from agentic.testing import batch, space

KEYS = np.random.default_rng(5).integers(0, 1 << 63, size=200_000).astype(np.uint64)


@given(st.lists(st.floats(0.01, 0.3), min_size=1, max_size=3), st.text("abc", max_size=3))
def test_every_side_gets_its_share(shares: list[float], salt: str) -> None:
    """Counts are within five standard deviations of what a fair hash would give."""
    split = Split(Uniform(), [(Fixed("a0"), share) for share in shares], salt=salt)
    counts = np.bincount(split.side(KEYS), minlength=len(shares) + 1)
    assert split.shares == pytest.approx([1 - sum(shares), *shares])
    for count, share in zip(counts.tolist(), split.shares, strict=True):
        assert abs(count - share * len(KEYS)) < 5 * math.sqrt(len(KEYS) * share * (1 - share))


@given(st.floats(0.001, 0.5), st.floats(0.001, 0.49))
def test_a_growing_challenger_gives_nobody_back(share: float, more: float) -> None:
    """A ramp only moves subjects from the champion to the challenger."""
    before = Split(Uniform(), [(Fixed("a0"), share)]).side(KEYS[:20_000])
    after = Split(Uniform(), [(Fixed("a0"), share + more)]).side(KEYS[:20_000])
    assert (after[before == 1] == 1).all()


def test_sides_do_not_hang_on_neighbours_members_or_order() -> None:
    """What decides for a subject is the hash of salt and key and the shares, and nothing else."""
    one = Split(Uniform(), [(Fixed("a0"), 0.2)], salt="x")
    other = Split(Fixed("a1"), [(LinearThompson(), 0.2)], salt="x")
    sides = one.side(KEYS[:1000])
    assert (other.side(KEYS[:1000]) == sides).all()
    assert (one.side(KEYS[999::-1]) == sides[::-1]).all()
    assert [int(one.side(KEYS[i : i + 1])[0]) for i in range(50)] == sides[:50].tolist()
    assert (Split(Uniform(), [(Fixed("a0"), 0.2)], salt="y").side(KEYS[:1000]) != sides).any()


def test_each_row_is_answered_by_its_member() -> None:
    """Weights, scores and spreads are those of whoever was asked; ``nan`` where a member has none."""
    rows = batch(200)
    split = Split(Fixed("a0"), [(LinearThompson(), 0.4), (Uniform(), 0.2)]).bind(rows_space := space())
    found, sides = split.propose(rows), split.side(rows.keys)
    assert set(sides.tolist()) == {0, 1, 2}
    assert found.score is not None
    assert found.spread is not None
    for place, policy in enumerate(split.members):
        mine = (sides == place).nonzero()[0]
        alone = policy.propose(rows.take(mine))
        assert (found.weights[mine] == alone.weights).all()
        assert np.isnan(found.score[mine]).all() == (alone.score is None)
    assert rows_space.catalogue.ids == rows.catalogue.ids


@pytest.mark.parametrize(
    "challengers",
    [
        [(Uniform(), 0.0)],
        [(Uniform(), 1.0)],
        [(Uniform(), 0.6), (Uniform(), 0.4)],
        [(Uniform(), math.nan)],
        [(Uniform(), True)],
        [(Uniform(), "0.1")],
        [(Uniform, 0.1)],
        [Uniform()],
        Uniform(),
    ],
    ids=["nobody", "everybody", "nothing left", "nan", "truth", "text", "class", "no pair", "no list"],
)
def test_a_split_that_makes_no_sense_is_refused(challengers: Any) -> None:
    """The message says what is needed."""
    with pytest.raises(ConfigurationError, match=r"share|pairs|policy"):
        Split(Uniform(), challengers)


@pytest.mark.parametrize("salt", [None, "ä", "x" * 201], ids=["none", "not ascii", "long"])
def test_a_salt_is_a_short_ascii_text(salt: Any) -> None:
    """So that it is the same bytes everywhere."""
    with pytest.raises(ConfigurationError, match="salt must be"):
        Split(Uniform(), [(Fixed("a0"), 0.1)], salt=salt)


class Broken:
    """Raises, or proposes weights of another shape."""

    name = "broken"

    def __init__(self, *, shape: tuple[int, ...] | None = None) -> None:
        self.shape = shape

    def propose(self, _: Any, /) -> Any:
        if self.shape is None:
            raise RuntimeError("it broke")
        return Proposal(np.ones(self.shape))


@pytest.mark.parametrize("broken", [Broken(), Broken(shape=(1, 1, 7))], ids=["raises", "another shape"])
def test_a_challenger_that_fails_fails_for_its_own_subjects(broken: Broken) -> None:
    """The champion's are answered as ever; for the others the flow asks the fallback."""
    rows = batch(300)
    split = Split(Fixed("a0"), [(broken, 0.3)])
    found, sides = split.propose(rows), split.side(rows.keys)
    assert np.isnan(found.weights[sides == 1]).all()
    assert (
        found.weights[sides == 0] == Fixed("a0").propose(rows.take((sides == 0).nonzero()[0])).weights
    ).all()


def test_splits_in_each_other_have_their_own_salts() -> None:
    """By the same hash a tenth of a tenth would be all of that tenth; with another it is one hundredth."""

    def nested(salt: str) -> Split:
        inner = Split(Uniform(), [(Fixed("a0"), 0.1)], salt=salt)
        return Split(Uniform(), [(Split(Uniform(), [(inner, 0.999)], salt="between"), 0.1)], salt="a")

    with pytest.raises(ConfigurationError, match="another salt"):
        nested("a")
    split = nested("b")
    (between, _), (inner, _) = split.challengers[0], split.challengers[0][0].challengers[0]
    both = (split.side(KEYS) == 1) & (between.side(KEYS) == 1) & (inner.side(KEYS) == 1)
    assert both.mean() == pytest.approx(0.00999, abs=5 * math.sqrt(0.00999 / len(KEYS)))
