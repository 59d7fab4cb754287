"""Which slot a subject has: checked against a dict, with hashes chosen to hurt."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from agentic.errors import StoreError
from agentic.state._index import _FEW, Index
from agentic.testing._store_checks import HOSTILE

# Texts that begin alike, end in what a careless comparison drops, or are words of 8 bytes and a bit.
NAMES = (
    *HOSTILE,
    "",
    "\x00",
    "a",
    "a\x00",
    "a\x00\x00",
    "\ud800",
    "\udfff\ud800",
    "12345678",
    "123456789",
    "12345678\x00",
    "1234567",
    "x" * 512 + "y",
    "x" * 510 + "é",
    *(f"customer-{number}" for number in range(12)),
)
# Python's own, and some under which many subjects have one hash, one place, or places at the table's end.
HASHES: dict[str, Callable[[str], int]] = {
    "python": str.__hash__,
    "nothing": lambda _: 0,
    "the last place": lambda _: -1,
    "length": lambda text: len(text) << 32,
    "four places": lambda text: (len(text) % 4) << 60 | (len(text) % 4) << 32,
    "one tag, many halves": len,
}


class IndexMachine(RuleBasedStateMachine):
    """Random calls to an index and a dict; slots differ, and are used again."""

    @initialize(hash_of=st.sampled_from(sorted(HASHES)))
    def begin(self, hash_of: str) -> None:
        self.index = Index(HASHES[hash_of])
        self.want: dict[str, int] = {}
        self.most = 0

    def took(self, names: list[str], slots: list[int]) -> None:
        self.want.update(zip(names, slots, strict=True))
        self.most = max(self.most, len(self.want))

    @rule(names=st.lists(st.sampled_from(NAMES) | st.text(max_size=20), max_size=60))
    def add(self, names: list[str]) -> None:
        new = [name for name in names if name not in self.want]
        self.took(new, self.index.add(new).tolist())

    @rule(name=st.sampled_from(NAMES))
    def add_one(self, name: str) -> None:
        if name not in self.want:
            self.took([name], [self.index.add_one(name)])

    @rule(names=st.lists(st.sampled_from(NAMES), max_size=30))
    def remove(self, names: list[str]) -> None:
        for name in names:
            assert self.index.remove(name) == self.want.pop(name, -1)

    @rule(start=st.integers(0, 10_000), count=st.integers(0, 700))
    def add_many(self, start: int, count: int) -> None:
        if self.index._hash is not str.__hash__:
            count //= 20  # they all stand in one row
        new = [name for name in (f"s{start + i}" for i in range(count)) if name not in self.want]
        self.took(new, self.index.add(new).tolist())

    @invariant()
    def agrees(self) -> None:
        if not hasattr(self, "index"):
            return
        names = [*NAMES, *self.want]
        expected = [self.want.get(name, -1) for name in names]
        assert len(names) > _FEW
        assert self.index.find(names).tolist() == expected
        assert [self.index.find_one(name) for name in names] == expected
        assert self.index.find(names[:_FEW]).tolist() == expected[:_FEW]
        assert len(self.index) == len(self.want)
        assert self.index.slots == self.most
        assert len(set(self.want.values())) == len(self.want)
        assert list(self.index.texts()) == sorted(self.want, key=self.want.__getitem__)


IndexMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=20, deadline=None)
TestIndex = IndexMachine.TestCase


@pytest.mark.parametrize("hash_of", HASHES.values(), ids=HASHES)
def test_subjects_with_one_hash_are_not_confused(hash_of: Callable[[str], int]) -> None:
    """Two subjects are one when their texts are; a stranger with a known hash stays a stranger."""
    index = Index(hash_of)
    slots = index.add(NAMES)
    assert slots.tolist() == list(range(len(NAMES)))
    assert index.find(NAMES[::-1]).tolist() == list(range(len(NAMES)))[::-1]
    strangers = [f"{name}!" for name in NAMES]
    assert (index.find(strangers) == -1).all()
    assert all(index.find_one(name) == -1 for name in strangers)


def test_a_subject_is_its_text_whatever_class_it_has() -> None:
    """A class that hashes otherwise, or numpy's own text, does not make a second subject."""

    class Odd(str):
        __slots__ = ()

        def __hash__(self) -> int:
            return 1

    index = Index()
    index.add([f"s{i}" for i in range(50)])
    for same in (Odd("s7"), np.str_("s7")):
        assert index.find_one(same) == 7
        assert index.find([same] * 50).tolist() == [7] * 50


def test_one_who_comes_twice_in_one_call_has_one_slot() -> None:
    """And is forgotten by one removal."""
    index = Index()
    assert index.add(["a", "b", "a", "c", "b"]).tolist() == [0, 1, 0, 2, 1]
    assert len(index) == 3
    assert index.remove("a") == 0
    assert index.find_one("a") == -1
    assert sorted(index.texts()) == ["b", "c"]


def test_slots_without_gaps_and_again_after_removal() -> None:
    """A hundred thousand subjects who come and go take the slots of a thousand."""
    index = Index()
    for turn in range(100):
        names = [f"{turn}-{i}" for i in range(1_000)]
        assert sorted(index.add(names).tolist()) == list(range(1_000))
        assert all(index.remove(name) >= 0 for name in names)
    assert (len(index), index.slots, list(index.texts())) == (0, 1_000, [])
    assert index.nbytes < 100_000


def test_what_was_removed_is_overwritten() -> None:
    """No id of a forgotten subject stays in memory, and its room is given back."""
    index = Index()
    names = [f"customer-{i:05}-of-some-length" for i in range(20_000)]
    index.add(names)
    full = index.nbytes
    for name in names[:-10]:
        index.remove(name)
        assert index.find_one(name) == -1
    assert names[0].encode() not in bytes(index._text)
    assert index.nbytes < full - 300_000
    assert index.find(names[-30:]).tolist() == [-1] * 20 + list(range(19_990, 20_000))


def test_a_list_of_subjects_is_of_its_moment() -> None:
    """Who reads it is not disturbed by what happens meanwhile."""
    index = Index()
    index.add(["a", "b", "c"])
    texts = index.texts()
    assert next(texts) == "a"
    index.remove("b")
    index.add([f"s{i}" for i in range(10_000)])
    assert list(texts) == ["b", "c"]


def test_a_text_beyond_all_measure_is_refused_and_changes_nothing() -> None:
    """Its length would not fit into the 20 bits kept for it."""
    index = Index()
    longest = "é" * (2**19 - 1) + "x"
    for add in (index.add_one, lambda text: index.add(["a", text])):
        with pytest.raises(StoreError, match="at most 1,048,575 bytes"):
            add(longest + "y")
    assert (len(index), index.slots) == (0, 0)
    assert index.add_one(longest) == 0
    assert index.add(["a", longest[:-1] + "z"]).tolist() == [1, 2]
    assert index.find([longest, "a"] * 20).tolist() == [0, 1] * 20


def test_no_subjects() -> None:
    """Neither found nor added."""
    index = Index()
    assert index.find([]).tolist() == index.add([]).tolist() == list(index.texts()) == []


def test_a_short_id_takes_less_than_forty_bytes() -> None:
    """Of the table at its emptiest, of where the text stands, and of the text; room for more aside."""
    index = Index()
    count = 87_400  # just after the table has doubled
    for lo in range(0, count, 1_000):
        index.add([f"c{i}" for i in range(lo, min(lo + 1_000, count))])
    assert index._table.nbytes + 8 * len(index) + index._end < 40 * count
    assert index.nbytes < 50 * count
