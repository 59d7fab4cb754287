"""Records in memory: what the conformance kit does not ask."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from agentic.arrays import Field, Layout
from agentic.errors import LayoutError, StoreError
from agentic.state import MemoryStore, migrate

LAYOUT = Layout.compose("a", {"cap": [Field("times", "i8", (3,), -1)], "core": [Field("count", "u4")]})


def fill(store: MemoryStore, subjects: list[str], layout: Layout = LAYOUT) -> None:
    found = store.load(subjects, layout)
    found.rows["core.count"] = np.arange(len(subjects))
    assert store.store(subjects, found.rows, found.versions, layout).all()


def test_a_layout_is_packed_aligned_and_told_apart_by_content() -> None:
    """Wide fields first; name, dtype, shape and default make the fingerprint."""
    assert LAYOUT.dtype.itemsize == 3 * 8 + 4
    same = Layout.compose("a", {"cap": [Field("times", "i8", (3,), -1)], "core": [Field("count", "u4")]})
    assert same.fingerprint == LAYOUT.fingerprint
    others = [
        Layout.compose("b", {"cap": [Field("times", "i8", (3,), -1)], "core": [Field("count", "u4")]}),
        Layout.compose("a", {"cap": [Field("times", "i8", (3,), -2)], "core": [Field("count", "u4")]}),
        Layout.compose("a", {"cap": [Field("times", "i8", (2,), -1)], "core": [Field("count", "u4")]}),
        Layout.compose("a", {"cap": [Field("times", "i8", (3,), -1)], "core": [Field("count", "i4")]}),
    ]
    assert len({LAYOUT.fingerprint, *(layout.fingerprint for layout in others)}) == 5


def test_a_component_sees_its_own_fields_and_writes_them_in_place() -> None:
    """A part is a view under the component's own names."""
    rows = LAYOUT.new(4)
    part = LAYOUT.part(rows, "cap")
    assert part.dtype.names == ("times",)
    part["times"][2] = 7
    assert rows["cap.times"].tolist() == [[-1] * 3, [-1] * 3, [7] * 3, [-1] * 3]
    assert (rows["core.count"] == 0).all()


@pytest.mark.parametrize("bad", [[Field("x", "O")], [Field("x", "i8"), Field("x", "i8")], [Field("x", "U0")]])
def test_a_field_must_have_a_fixed_width_and_a_name_of_its_own(bad: list[Field]) -> None:
    """Objects and twins are refused."""
    with pytest.raises(LayoutError):
        Layout.compose("a", {"c": bad})


def test_ten_thousand_subjects_grow_one_slab() -> None:
    """What was stored before the slab grew is there after."""
    store = MemoryStore()
    subjects = [f"s{i}" for i in range(10_000)]
    for lo in range(0, 10_000, 700):
        fill(store, subjects[lo : lo + 700])
    assert len(store) == 10_000
    counts = store.load(subjects, LAYOUT).rows["core.count"]
    assert counts.tolist() == [i % 700 for i in range(10_000)]
    assert store.bytes_held < 2 * 10_000 * (LAYOUT.dtype.itemsize + 8)


def test_slots_of_deleted_subjects_are_used_again_and_hold_nothing() -> None:
    """A stranger in an old slot starts blank, with a version that was never used."""
    store = MemoryStore()
    fill(store, ["a", "b"])
    held = store.bytes_held
    old = store.load(["b"], LAYOUT).versions[0]
    assert store.delete(["b", "nobody"]) == 1
    fill(store, ["c"])
    assert store.bytes_held == held
    assert store.load(["b"], LAYOUT).versions[0] == 0
    assert store.load(["c"], LAYOUT).versions[0] > old
    assert store.subjects() == ["a", "c"]


def test_rows_and_versions_must_match_the_subjects() -> None:
    """A ragged call is refused before anything is written."""
    store = MemoryStore()
    with pytest.raises(StoreError, match="as many rows"):
        store.store(["a", "b"], LAYOUT.new(1), np.zeros(2, np.int64), LAYOUT)
    assert store.subjects() == []


def test_fields_move_by_name_when_the_layout_changes() -> None:
    """Grown, shrunk and reordered layouts keep what they share; a changed dtype is refused."""
    store = MemoryStore()
    fill(store, ["a", "b", "c"])
    wider = Layout.compose("a", {"core": [Field("count", "u4")], "new": [Field("x", "f8", (), 0.5)]})
    rows = store.load(["c", "a"], wider).rows
    assert rows["core.count"].tolist() == [2, 0]
    assert rows["new.x"].tolist() == [0.5, 0.5]
    other = Layout.compose("a", {"core": [Field("count", "u8")]})
    with pytest.raises(LayoutError, match=r"core\.count"):
        store.load(["a"], other)
    assert migrate(LAYOUT.new(2), wider)["core.count"].tolist() == [0, 0]


def test_layouts_take_turns_and_nothing_is_lost() -> None:
    """One that has more fields, one that has others, in any order: each sees its own, as they were."""
    small = Layout.compose("agent", {"core": [Field("n", "i4")]})
    large = Layout.compose("agent", {"core": [Field("n", "i4")], "more": [Field("x", "f8", (2,), 0.5)]})
    other = Layout.compose("agent", {"core": [Field("n", "i4")], "beside": [Field("y", "u1", (), 7)]})
    store, written = MemoryStore(), {"core.n": 0, "more.x": 0.5, "beside.y": 7}
    turns = [small, large, small, other, large, large, other, small, large]
    for number, layout in enumerate(turns, start=1):
        found = store.load(["ann", "ben"], layout)
        assert found.rows.dtype == layout.dtype
        for name in layout.dtype.names or ():
            assert (found.rows[name][0] == written[name]).all(), (number, name)
            assert (found.rows[name][1] == layout.blank[name]).all()
            found.rows[name][0] = written[name] = number
        stands = store.store(["ann"], found.rows[:1], found.versions[:1], layout)
        assert stands.all()


def test_readers_see_whole_records_while_the_store_grows() -> None:
    """Others come and go by the thousand; who was there stays as it was."""
    store = MemoryStore()
    there = [f"there-{i}" for i in range(300)]
    fill(store, there)
    wrong: list[object] = []
    over = threading.Event()

    def read(pick: slice) -> None:
        while not over.is_set():
            found = store.load(there[pick], LAYOUT)
            if found.rows["core.count"].tolist() != list(range(300))[pick] or not found.versions.all():
                wrong.append(found)
            if not set(there) <= set(store.subjects()):
                wrong.append("subjects")

    readers = [
        threading.Thread(target=read, args=(pick,)) for pick in (slice(None), slice(7, 8), slice(0, 20))
    ]
    for reader in readers:
        reader.start()
    for turn in range(20):
        others = [f"{turn}-{i}" for i in range(2_000)]
        fill(store, others)
        assert store.delete(others[: turn * 100]) == turn * 100
    over.set()
    for reader in readers:
        reader.join()
    assert wrong == []
    assert len(store) == 300 + sum(2_000 - turn * 100 for turn in range(20))


def test_one_subject_is_read_and_written_as_among_others() -> None:
    """The short way for one gives what the long way gives, in a layout of its own and in a shared one."""
    wider = Layout.compose("a", {"core": [Field("count", "u4")], "new": [Field("x", "f8", (), 0.5)]})
    names = [f"s{i}" for i in range(60)]
    for layouts in ([LAYOUT], [LAYOUT, wider], [wider, LAYOUT]):
        alone, together = MemoryStore(), MemoryStore()
        for turn in range(3):
            for layout in layouts:
                some = names[turn * 10 : turn * 10 + 40]
                found = together.load(some, layout)
                rows, versions = found.rows.copy(), found.versions.copy()
                rows["core.count"] += 1
                stale = np.arange(40) % 7 == 3
                accepted = together.store(some, rows, versions + stale, layout)
                assert accepted.tolist() == (~stale).tolist()
                for i, name in enumerate(some):
                    one = alone.load([name], layout)
                    assert one.rows.tobytes() == found.rows[i : i + 1].tobytes()
                    assert (one.versions > 0).tolist() == (versions[i : i + 1] > 0).tolist()
                    one.rows["core.count"] += 1
                    answer = alone.store([name], one.rows, one.versions + stale[i], layout)
                    assert answer.dtype == np.bool_
                    assert answer.tolist() == [not stale[i]]
        assert alone.subjects() == together.subjects()


def test_ids_that_utf8_cannot_hold_are_kept_as_they_are() -> None:
    """An agent refuses lone surrogates; a store keeps what it is given."""
    store = MemoryStore()
    odd = ["\ud800", "\udfff", "\ud800\udfff", "ok"]
    fill(store, odd)
    assert store.subjects() == sorted(odd)
    assert store.load(odd, LAYOUT).rows["core.count"].tolist() == [0, 1, 2, 3]
    assert store.delete(odd[:1]) == 1
    assert store.subjects() == sorted(odd[1:])


def test_what_a_million_subjects_take_can_be_counted() -> None:
    """All there is: records, versions, ids, and what finds them; here a few thousand."""
    store = MemoryStore()
    count = 5_000
    fill(store, [f"c{i}" for i in range(count)])
    least = count * (LAYOUT.dtype.itemsize + 8 + 8 + 8 * 3 // 2 + 5)
    assert least <= store.bytes_held <= 2 * least
