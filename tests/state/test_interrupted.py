"""What Ctrl-C or want of memory leaves of an index and a store: raised at every line of theirs in turn."""

from __future__ import annotations

import itertools
import linecache
import sys
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any

import numpy as np
import pytest

from agentic.arrays import Field, Layout
from agentic.state import MemoryStore, _index, _memory
from agentic.state._index import _FEW, Index

LAYOUT = Layout.compose("a", {"core": [Field("count", "i8", (), 7)]})
WIDER = Layout.compose("a", {"core": [Field("count", "i8", (), 7)], "new": [Field("x", "f8", (), 0.5)]})
FILES = {_index.__file__, _memory.__file__}


class Stopped(BaseException):
    """Comes from outside, as KeyboardInterrupt does."""


def stopped_at(nth: int, call: Callable[[], object]) -> bool:
    """Run a call and raise at the nth line it reaches in the files tested; say whether there is one.

    A line reached again and again counts three times.
    """
    seen = 0
    reached: Counter[tuple[str, int]] = Counter()

    def lines(frame: FrameType, event: str, _: Any) -> Any:  # as sys.settrace types it
        nonlocal seen
        line = frame.f_code.co_filename, frame.f_lineno
        reached[line] += event == "line"
        # Raised where a with statement ends, it would come before the lock is given back.
        locks = linecache.getline(*line).lstrip().startswith("with ")
        if event == "line" and reached[line] <= 3 and not locks:
            seen += 1
            if seen == nth:
                raise Stopped
        return lines

    def calls(frame: FrameType, event: str, _: Any) -> Any:
        return lines if frame.f_code.co_filename in FILES else None

    before = sys.gettrace()
    sys.settrace(calls)
    try:
        call()
    except Stopped:
        return True
    finally:
        sys.settrace(before)
    return False


def started() -> tuple[Index, list[str]]:
    """Some subjects, and free slots among theirs; the table is all but full, as are arena and places."""
    index = Index(lambda text: sum(map(ord, text)) % 97 << 33)  # some of one hash, some pushed on
    names = [f"{'old' * (i % 7)}{i}" for i in range(168)]
    index.add(names)
    for name in names[3:100:9]:
        index.remove(name)
    return index, [name for name in names if name not in names[3:100:9]]


MANY = [f"new{i}" for i in range(120)]
LAST = f"{'old' * (167 % 7)}167"
LONG = "x" * 9_000
CHANGES: dict[str, tuple[Callable[[Index], object], list[str], list[str]]] = {
    "add_one": (lambda index: index.add_one("new"), ["new"], []),
    "add_one in more room": (lambda index: index.add_one(LONG), [LONG], []),
    "add a few": (lambda index: index.add(MANY[:3]), MANY[:3], []),
    "add many, in more room": (lambda index: index.add([*MANY, MANY[0]]), MANY, []),
    "remove": (lambda index: index.remove("oldold9"), [], ["oldold9"]),
}


def agrees(index: Index, slots: dict[str, int], strangers: list[str]) -> None:
    """All that an index tells is as a dict has it."""
    names = [*slots, *strangers]
    expected = [*slots.values(), *[-1] * len(strangers)]
    assert len(names) > _FEW
    assert index.find(names).tolist() == expected
    assert [index.find_one(name) for name in names] == expected
    assert list(index.texts()) == sorted(slots, key=slots.__getitem__)
    assert len(index) == len(slots)
    assert index.slots > max(slots.values())


ASKED: list[Callable[[Index], object]] = [
    lambda index: index.find(MANY),
    lambda index: index.find_one("nobody"),
    lambda index: list(index.texts()),
    len,
    lambda index: index.slots,
    lambda index: index.add(["later"]),
    lambda index: index.add_one("later"),
    lambda index: index.remove(LAST),
]


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_given_up_has_happened_or_has_not(what: str) -> None:
    """Whichever line it ends at, the index agrees with a dict, now and later."""
    change, come, go = CHANGES[what]
    outcomes = set()
    for nth in itertools.count(1):
        index, names = started()
        before = {name: index.find_one(name) for name in names}
        if not stopped_at(nth, lambda index=index: change(index)):  # type: ignore[misc]
            break
        ASKED[nth % len(ASKED)](index)  # whatever comes first finds it whole
        if index.find_one("later") >= 0:
            before["later"] = index.find_one("later")
        if index.find_one(LAST) < 0:
            assert before.pop(LAST) >= 0
        there = [name for name in [*come, *go] if index.find_one(name) >= 0]
        assert there in (come, go)
        outcomes.add(there == come)
        model = {name: slot for name, slot in before.items() if name not in go}
        model |= {name: index.find_one(name) for name in there}
        assert len(set(model.values())) == len(model)
        agrees(index, model, [name for name in [*come, *go, "nobody"] if name not in model])
        more = [f"more{i}" for i in range(90)]
        model |= dict(zip(more, index.add(more).tolist(), strict=True))
        for name in [name for name in model if name.startswith("old")][::2]:
            assert index.remove(name) == model.pop(name)
        assert len(set(model.values())) == len(model)
        agrees(index, model, [*MANY[:30], "nobody"] if MANY[0] not in model else ["nobody"])
    assert nth > 10
    assert outcomes == {False, True}


def test_closing_up_given_up_changes_nothing() -> None:
    """The texts stand where they stood, or together."""
    for nth in itertools.count(1):
        index, names = started()
        index.add_one(LONG)
        before = {name: index.find_one(name) for name in names}
        stopped = stopped_at(nth, lambda index=index: index.remove(LONG))  # type: ignore[misc]
        there = index.find_one(LONG)
        agrees(index, before | ({LONG: there} if there >= 0 else {}), [] if there >= 0 else [LONG])
        if there < 0:
            index.add_one(other := "y" * 9_000)
            index.remove(other)
            assert b"xxxx" not in bytes(index._text)
            assert index.nbytes < 20_000
        if not stopped:
            break
    assert nth > 30


def test_mending_given_up_can_be_done_again() -> None:
    """An exception after an exception."""
    for nth in itertools.count(1):
        index, names = started()
        before = {name: index.find_one(name) for name in names}
        index._dirty = True
        index._table[:] = 0
        if not stopped_at(nth, lambda index=index: len(index)):  # type: ignore[misc]
            break
        agrees(index, before, ["nobody"])
    assert nth > 20


def put(store: MemoryStore, names: list[str], count: int, layout: Layout = LAYOUT) -> None:
    found = store.load(names, layout)
    found.rows["core.count"] = count
    assert store.store(names, found.rows, found.versions, layout).all()


@pytest.mark.parametrize("layout", [LAYOUT, WIDER], ids=["same", "wider"])
@pytest.mark.parametrize("what", ["one", "many", "both", "delete", "delete some"])
def test_a_store_lists_whom_it_knows(what: str, layout: Layout) -> None:
    """Who is listed is found and can be erased; all others start blank; nobody of before is touched."""
    changes: dict[str, tuple[Callable[[MemoryStore], object], list[str]]] = {
        "one": (lambda store: put(store, ["new"], 2, layout), ["new"]),
        "many": (lambda store: put(store, MANY, 2, layout), MANY),
        "both": (lambda store: put(store, ["old5", *MANY], 2, layout), ["old5", *MANY]),
        "delete": (lambda store: store.delete(["old5"]), ["old5"]),
        "delete some": (lambda store: store.delete(["old5", "old9"]), ["old5", "old9"]),
    }
    change, touched = changes[what]
    for nth in itertools.count(1):
        store = MemoryStore()
        names = [f"old{i}" for i in range(200)]
        put(store, names, 1)
        put(store, ["odd"], 1, WIDER)
        store.delete(names[100:])  # their slots are given to those who come
        names = [*names[:100], "odd"]
        if not stopped_at(nth, lambda store=store: change(store)):  # type: ignore[misc]
            break
        listed = store.subjects()
        assert set(names) - set(touched) <= set(listed) <= {*names, *touched}
        everyone = [*names, *MANY, "new"]
        for some in ([name] for name in [*touched[:9], *names[:9], *MANY[-2:]]), [everyone]:
            for asked in some:
                found = store.load(asked, WIDER)
                for name, version, row in zip(asked, found.versions, found.rows, strict=True):
                    assert (version > 0) == (name in listed)
                    assert row["new.x"] == 0.5
                    expected = {1, 2} if name in touched else {1}
                    assert row["core.count"] in (expected if version else {7})
        put(store, [*touched, "later"], 3)  # as those who know no field but one
        found = store.load([*touched, "later"], WIDER)
        assert (found.rows["core.count"] == 3).all()
        assert (found.rows["new.x"] == 0.5).all()
        listed = store.subjects()
        assert [store.delete([name]) for name in listed] == [1] * len(listed)
        assert (store.subjects(), store.delete(everyone)) == ([], 0)
    assert nth > 20


def test_no_memory_for_more_room_is_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who was there is found while there is none, and others are added once there is."""
    index, names = started()
    slots = index.find(names).tolist()

    def none(*_: object, **__: object) -> np.ndarray[Any, Any]:
        raise MemoryError

    with monkeypatch.context() as short:
        for name in ("zeros", "full"):
            short.setattr(np, name, none)
        with pytest.raises(MemoryError):
            index.add([f"s{i}" for i in range(200)])
        assert index.find(names).tolist() == slots
    assert len(set(index.add(MANY).tolist()) - set(slots)) == len(MANY)
