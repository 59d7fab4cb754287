"""Records in a database: what the conformance kit does not ask."""

from __future__ import annotations

import contextlib
import itertools
import linecache
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agentic import _database
from agentic._database import Database
from agentic._sqlite import digest
from agentic.arrays import Field, Layout, Rows
from agentic.errors import DamagedError, DatabaseError, DatabaseFullError, LayoutError, StoreError
from agentic.state import DurableStore, MemoryStore, _durable, _memory
from agentic.state._packed import describe, forget, pack, read_layout, records, unpack

COUNT = Field("count", "i8", (), 3)
LAYOUT = Layout.compose("shop", {"cap": [COUNT]})
OTHER = Layout.compose("other", {"cap": [COUNT]})
GROWN = Layout.compose("shop", {"cap": [COUNT], "ring": [Field("at", "f4", (3,), -1.5)]})
SHRUNK = Layout.compose("shop", {"ring": [Field("at", "f4", (3,), -1.5)]})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@contextmanager
def opened(path: Path) -> Iterator[DurableStore]:
    """A store with a database of its own, as another process would have it."""
    database = Database(path, durability="process")
    try:
        store = DurableStore(database)
        yield store
        store.close()
    finally:
        database.close()


def put(store: Any, who: list[str], counts: Any, layout: Layout = LAYOUT) -> None:
    found = store.load(who, layout)
    found.rows["cap.count"] = counts
    assert store.store(who, found.rows, found.versions, layout).all()


def counts(store: Any, who: list[str], layout: Layout = LAYOUT) -> list[int]:
    found: list[int] = store.load(who, layout).rows["cap.count"].tolist()
    return found


def same(one: Rows, two: Rows) -> bool:
    return one.rows.tobytes() == two.rows.tobytes() and one.versions.tolist() == two.versions.tolist()


def database_of(store: DurableStore) -> Database:
    return store._database


def everything(store: DurableStore) -> dict[str, dict[str, tuple[bytes, int, int]]]:
    """All a store knows, in whatever order it has it."""
    store.load([], LAYOUT)
    out = {}
    for name, slab in store._slabs.items():
        found = {}
        for subject in slab.subjects():
            slot = slab.index.find_one(subject)
            found[subject] = slab.rows[slot].tobytes(), int(slab.versions[slot]), int(slab.born[slot])
        if found:
            out[name] = found
    return out


def numbers(store: DurableStore) -> dict[str, dict[str, tuple[int, ...]]]:
    """The same without rows, whose width one store may know to be another than the next."""
    return {name: {who: rest[1:] for who, rest in slab.items()} for name, slab in everything(store).items()}


def test_what_was_stored_is_there_when_the_file_is_opened_again(path: Path) -> None:
    """Rows and versions, in every layout; and versions go on where they were, also of who was deleted."""
    who = [f"s{i}" for i in range(3000)]
    with opened(path) as store:
        put(store, who, range(3000))
        put(store, who[:10], range(100, 110), OTHER)
        put(store, who[5:7], [70, 71])
        assert store.delete(["s1", "nobody"]) == 1
        before, others = store.load([*who, "stranger"], LAYOUT), store.load(who, OTHER)
        known = everything(store)
    for _ in range(2):
        with opened(path) as store:
            assert everything(store) == known
            assert same(store.load([*who, "stranger"], LAYOUT), before)
            assert same(store.load(who, OTHER), others)
            store.compact()
    with opened(path) as store:
        assert everything(store) == known
        put(store, ["s1"], 1)
        assert int(store.load(["s1"], LAYOUT).versions[0]) > before.versions.max()
        assert len(store) == 3000
        assert store.bytes_held > 3000 * (8 + 8 + 8)


def test_what_a_failed_transaction_stored_and_deleted_is_undone(path: Path) -> None:
    """Rows, versions and births are as before, new subjects are strangers, and deleted ones are known."""
    with opened(path) as store, opened(path) as second:
        database = database_of(store)
        put(store, ["a", "b", "c"], [1, 2, 3])
        put(store, ["a"], [4], OTHER)
        known = everything(store)
        with pytest.raises(ZeroDivisionError), database.writing():
            put(store, ["b", "new"], [20, 30])
            assert store.delete(["b", "a"]) == 2
            put(store, ["b", "newer", "c"], [21, 31, 41])
            put(store, ["wide", "c"], [1, 1], GROWN)
            put(store, ["a"], [5], OTHER)
            assert counts(store, ["a", "b", "c", "new", "newer", "wide"]) == [3, 21, 1, 30, 31, 1]
            store.compact()
            raise ZeroDivisionError
        assert numbers(store) == {
            name: {who: rest[1:] for who, rest in slab.items()} for name, slab in known.items()
        }
        assert store.subjects() == ["a", "b", "c"]
        assert counts(store, ["a", "b", "c", "new"]) == [1, 2, 3, 3]
        assert counts(store, ["a"], OTHER) == [4]
        assert store.load(["new", "newer", "wide"], LAYOUT).versions.tolist() == [0, 0, 0]
        assert everything(second) == known
        put(store, ["new"], [9])
        assert counts(second, ["a", "b", "c", "new"]) == [1, 2, 3, 9]


def test_an_undone_version_is_not_taken_for_the_next_of_its_number(path: Path) -> None:
    """Other threads never see what may yet be undone: a load waits for their transaction."""
    import threading

    with opened(path) as store:
        put(store, ["a"], [1])
        seen: list[Rows] = []
        with pytest.raises(ZeroDivisionError), database_of(store).writing():
            put(store, ["a"], [2])
            thread = threading.Thread(target=lambda: seen.append(store.load(["a"], LAYOUT)))
            thread.start()
            thread.join(0.05)
            assert not seen
            raise ZeroDivisionError
        thread.join()
        assert seen[0].rows["cap.count"].tolist() == [1]


def test_two_stores_of_one_file_are_one(path: Path) -> None:
    """What one wrote, deleted or compacted the other knows with its next call; stale versions are refused."""
    with opened(path) as one, opened(path) as two:
        put(one, ["a", "b"], [1, 2])
        stale = two.load(["a", "b"], LAYOUT)
        assert stale.rows["cap.count"].tolist() == [1, 2]
        put(two, ["b"], [3])
        assert counts(one, ["a", "b"]) == [1, 3]
        assert one.store(["a", "b"], stale.rows, stale.versions, LAYOUT).tolist() == [True, False]
        one.delete(["a"])
        assert two.load(["a"], LAYOUT).versions.tolist() == [0]
        assert two.subjects() == ["b"]
        one.compact()
        put(one, ["c"], [7])
        assert counts(two, ["b", "c"]) == [3, 7]
        put(two, ["d"], [8])
        one.compact()
        put(one, ["d"], [9])
        assert counts(two, ["b", "c", "d"]) == [3, 7, 9]
        assert everything(one) == everything(two)


def test_who_was_deleted_and_came_back_is_somebody_new_to_all(path: Path) -> None:
    """Whatever of it another process has seen: the deletion names nobody, and finds the right one."""
    with opened(path) as one, opened(path) as two:
        put(one, ["a", "b"], [1, 2])
        two.load([], LAYOUT)
        put(one, ["a", "late"], [5, 6])  # rows that `two` finds scrubbed
        one.delete(["a", "late"])
        put(one, ["a"], [7])
        assert counts(two, ["a", "b", "late"]) == [7, 2, 3]
        one.delete(["a"])
        assert counts(two, ["a", "b"]) == [3, 2]
        known = everything(one)
        assert everything(two) == known
    with opened(path) as three:
        assert everything(three) == known


def test_a_layout_that_grows_and_shrinks_keeps_what_it_had_across_openings(path: Path) -> None:
    """Fields move by name; what a narrower layout does not show is kept, and strangers start at defaults."""
    with opened(path) as store:
        put(store, ["a", "b"], [1, 2])
    with opened(path) as store, opened(path) as second:
        found = store.load(["a", "stranger"], GROWN)
        assert found.rows["cap.count"].tolist() == [1, 3]
        assert (found.rows["ring.at"] == -1.5).all()
        found.rows["ring.at"][:] = 7
        assert store.store(["a", "stranger"], found.rows, found.versions, GROWN).all()
        assert counts(second, ["a", "b", "stranger"]) == [1, 2, 3]
        put(second, ["b", "c"], [20, 30])
        assert everything(store) == everything(second)
        store.compact()
    with opened(path) as store:
        only = store.load(["a", "b", "c"], SHRUNK)
        assert only.rows["ring.at"].tolist() == [[7] * 3, [-1.5] * 3, [-1.5] * 3]
        only.rows["ring.at"][1] = 8
        assert store.store(["a", "b", "c"], only.rows, only.versions, SHRUNK).all()
        assert counts(store, ["a", "b", "c"]) == [1, 20, 30]
        assert store.load(["b"], GROWN).rows["ring.at"].tolist() == [[8] * 3]
        changed = Layout.compose("shop", {"cap": [Field("count", "i4")]})
        with pytest.raises(LayoutError):
            store.load(["a"], changed)
        with pytest.raises(LayoutError):
            store.store(["a"], changed.new(1), np.zeros(1, dtype=np.int64), changed)
        assert counts(store, ["a", "b", "c"]) == [1, 20, 30]


def test_a_field_that_only_an_undone_transaction_asked_for_stands_in_nobodys_way(path: Path) -> None:
    """Another process may then store one of that name and another dtype."""
    with opened(path) as one, opened(path) as two:
        changed = Layout.compose("shop", {"cap": [Field("count", "f8", (), 0.5)]})
        with pytest.raises(ZeroDivisionError), database_of(one).writing():
            put(one, ["a"], [1])
            raise ZeroDivisionError
        put(two, ["b"], [1.5], changed)
        assert one.load(["a", "b"], changed).rows["cap.count"].tolist() == [0.5, 1.5]


def test_layouts_of_no_fields_and_of_all_kinds_come_back(path: Path) -> None:
    """Whatever `Layout.compose` takes."""
    nothing = Layout.compose("nothing", {})
    fields = [
        Field(kind, kind, shape, default)
        for kind, shape, default in [
            ("f2", (), -0.0),
            (">i4", (2, 2), 5),
            ("c8", (), 1j),
            ("S5", (2,), b"ab"),
            ("U3", (), "é\U0001f600"),
            ("M8[us]", (), np.datetime64("2026-11-23", "us")),
            ("m8[25s]", (3,), np.timedelta64(2, "s")),
            ("?", (), True),
            ("u1", (7,), 255),
        ]
    ]
    wide = Layout.compose("wide\x00\U0001f600", {"all": fields})
    with opened(path) as store:
        for layout in (nothing, wide):
            assert store.store(["a", "b"], layout.new(2), np.zeros(2, dtype=np.int64), layout).all()
    for _ in range(2):
        with opened(path) as store:
            assert store.load(["a"], nothing).versions.tolist() == [1]
            found = store.load(["a", "x"], wide)
            assert found.versions.tolist() == [2, 0]
            assert found.rows.tobytes() == wide.new(2).tobytes()
            assert store._slabs[wide.name].layout.fingerprint == wide.fingerprint
            assert store.subjects() == ["a", "b"]
            store.compact()


ODD = [
    "",
    "nul\x00inside",
    "\x00own",
    "x" * 512,
    "\U0001f600" * 128,
    "\ud800lone",
    "a\nb",
    "é",
    "e\u0301",
    "-1",
]


def test_any_text_is_a_subject_and_none_stays_when_it_is_deleted(path: Path) -> None:
    """Across openings, in the journal as in the pages."""
    with opened(path) as store:
        put(store, ODD, range(len(ODD)))
    with opened(path) as store:
        assert counts(store, ODD) == list(range(len(ODD)))
        assert store.subjects() == sorted(set(ODD) - {"\x00own"})
        store.compact()
    for number, subject in enumerate(ODD):
        with opened(path) as store:
            assert counts(store, ODD[number:]) == list(range(number, len(ODD)))
            assert store.delete([subject]) == 1
            assert store.load([subject], LAYOUT).versions.tolist() == [0]
    with opened(path) as store:
        assert everything(store) == {}


def scan(folder: Path, needles: list[bytes]) -> list[str]:
    """In which files of a folder one of these stands.

    Another process looks: one that closes a file lets go of the locks it has on it.
    """
    script = (
        "import pathlib, sys\n"
        "needles = [bytes.fromhex(each) for each in sys.argv[2:]]\n"
        "for each in pathlib.Path(sys.argv[1]).iterdir():\n"
        "    if any(needle in each.read_bytes() for needle in needles):\n"
        "        print(each.name)\n"
    )
    told = [sys.executable, "-c", script, str(folder), *(needle.hex() for needle in needles)]
    return subprocess.run(told, capture_output=True, text=True, check=True, timeout=60).stdout.split()


@pytest.mark.parametrize("compacted", [False, True], ids=["journal", "pages"])
@pytest.mark.parametrize("many", [1, 40], ids=["one", "many"])
def test_no_byte_of_a_deleted_subject_stays_in_the_file(path: Path, compacted: bool, many: int) -> None:
    """Neither its id nor its rows, old ones included, once the log was scrubbed; others stay as they are."""
    with opened(path) as store:
        secret = Layout.compose("shop", {"cap": [Field("mark", "S32")]})
        gone = [f"canary-{i:05d}" for i in range(many)]
        who = [f"other-{i:05d}" for i in range(2000)]
        everybody = sorted([*gone, *who], key=lambda text: text[::-1])
        for turn in range(3):
            found = store.load(everybody, secret)
            found.rows["cap.mark"] = [f"{name}/{turn}/secret".encode() for name in everybody]
            assert store.store(everybody, found.rows, found.versions, secret).all()
            if compacted and turn == 1:
                store.compact()
        alone = store.load(gone[:1], secret)
        assert store.store(gone[:1], alone.rows, alone.versions, secret).all()
        assert scan(path.parent, [b"canary"])
        assert store.delete(gone) == many
        database_of(store).scrub()
        assert scan(path.parent, [b"canary"]) == []
        assert "a.db" in scan(path.parent, [b"other-01999/2/secret"])
        with opened(path) as second:
            assert everything(second) == everything(store)
            left = second.load(who, secret)
            assert left.rows["cap.mark"].tolist() == [f"{name}/2/secret".encode() for name in who]
    assert scan(path.parent, [b"canary"]) == []


def test_the_journal_is_compacted_when_it_is_much_larger_than_the_records(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inside `store`, and when the store is closed."""
    monkeypatch.setattr(_durable, "_LEAST", 1000)

    def journal(store: DurableStore) -> int:
        with database_of(store).reading() as connection:
            (rows,) = connection.execute("SELECT count(*) FROM journal").fetchone()
        return int(rows)

    with opened(path) as store, opened(path) as second:
        longest = 0
        for turn in range(100):
            put(store, ["a", "b"], turn)
            longest = max(longest, journal(store))
        assert 20 < longest < 60
        assert counts(second, ["a", "b"]) == [99, 99]
        assert second.load(["a"], LAYOUT).versions.tolist() == [100]
        put(store, ["a"], [1])
        put(store, ["a"], [2])
    with opened(path) as store:
        assert journal(store) == 0
        assert counts(store, ["a", "b"]) == [2, 99]
        assert store.load(["a"], LAYOUT).versions.tolist() == [102]


def test_what_is_closed_or_does_not_fit_says_so(path: Path) -> None:
    """And changes nothing."""
    with opened(path) as store:
        put(store, ["a"], [1])
        zeros = np.zeros(1, dtype=np.int64)
        with pytest.raises(StoreError, match="as many rows"):
            store.store(["a", "b"], LAYOUT.new(1), zeros, LAYOUT)
        with pytest.raises(StoreError, match="hash longer ids"):
            store.store(["x" * (1 << 20)], LAYOUT.new(1), zeros, LAYOUT)
        assert not store.store(["a"], LAYOUT.new(1), zeros, LAYOUT).any()
        assert store.store([], LAYOUT.new(0), zeros[:0], LAYOUT).shape == (0,)
        assert store.delete([]) == 0
        assert everything(store) == {"shop": {"a": ((1).to_bytes(8, "little"), 1, 1 << 24)}}
        store.close()
        store.close()
        for use in (
            lambda: store.store(["a"], LAYOUT.new(1), zeros, LAYOUT),
            lambda: store.delete(["a"]),
            store.compact,
        ):
            with pytest.raises(StoreError, match="was closed"):
                use()
    with pytest.raises(DatabaseError, match="was closed"):
        store.load(["a"], LAYOUT)


def test_too_many_at_once_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A birth has room for 24 bits of place."""
    monkeypatch.setattr(_durable, "_MOST", 2)
    with opened(path) as store, pytest.raises(StoreError, match="at most 2 subjects"):
        put(store, ["a", "b", "c"], 1)


def test_a_full_disk_takes_nothing_from_the_records(path: Path) -> None:
    """The store is as the file is, and goes on when there is room."""
    with opened(path) as store:
        put(store, ["a"], [1])
        with database_of(store).alone() as connection:
            connection.execute("PRAGMA max_page_count = 40")
        who = [f"s{i}" for i in range(100_000)]
        with pytest.raises(DatabaseFullError):
            put(store, ["a", *who], 7)
        assert counts(store, ["a", "s1"]) == [1, 3]
        put(store, ["a", "s1"], [2, 2])
        with opened(path) as second:
            assert everything(second) == everything(store)


COUNTING = """
import sys
from agentic._database import Database
from agentic.arrays import Field, Layout
from agentic.state import DurableStore
layout = Layout.compose("shop", {"cap": [Field("count", "i8", (), 3)]})
database = Database(sys.argv[1], durability="process")
store = DurableStore(database)
done = lost = 0
while done < 150:
    found = store.load(["a"], layout)
    found.rows["cap.count"] += 1
    if store.store(["a"], found.rows, found.versions, layout).all():
        done += 1
    else:
        lost += 1
    if done % 50 == 0:
        store.compact()
store.close()
database.close()
"""


def test_processes_that_compare_and_set_count_every_one(path: Path) -> None:
    """Three of them, and this one, that compact meanwhile."""
    with opened(path) as store:
        children = [subprocess.Popen([sys.executable, "-c", COUNTING, str(path)]) for _ in range(3)]
        done = 0
        while done < 150:
            found = store.load(["a"], LAYOUT)
            found.rows["cap.count"] += 1
            done += int(store.store(["a"], found.rows, found.versions, LAYOUT)[0])
        assert [child.wait() for child in children] == [0] * 3
        assert counts(store, ["a"]) == [3 + 600]
        assert store.load(["a"], LAYOUT).versions.tolist() == [600]


def test_a_store_goes_on_in_parent_and_child_after_a_fork(path: Path) -> None:
    """Both know what the other wrote."""
    with opened(path) as store:
        put(store, ["a"], [1])
        pid = os.fork()
        if not pid:
            try:
                put(store, ["a", "child"], [2, 2])
            finally:
                os._exit(store.load(["child"], LAYOUT).rows["cap.count"].tolist() != [2])
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert counts(store, ["a", "child"]) == [2, 2]


KILLED = """
import sys
import numpy as np
from agentic._database import Database
from agentic.arrays import Field, Layout
from agentic.state import DurableStore
layout = Layout.compose("shop", {"cap": [Field("count", "i8", (), 3)]})
store = DurableStore(Database(sys.argv[1], durability="process"))
who = [f"s{i}" for i in range(40)]
for turn in range(1_000_000):
    found = store.load(who, layout)
    found.rows["cap.count"] = turn
    assert store.store(who, found.rows, found.versions, layout).all()
    if turn % 7 == 0:
        store.delete(who[turn % 40 :: 9])
    if turn % 13 == 0:
        store.compact()
    print(turn, flush=True)
"""


def test_kill_9_takes_nothing_that_was_stored(path: Path) -> None:
    """What the child said is there, and nothing is half there."""
    for asked in (3, 60):
        path.unlink(missing_ok=True)
        last = -1
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            for line in child.stdout:
                last = int(line)
                if last == asked:
                    child.kill()
        with opened(path) as store:
            found = store.load([f"s{i}" for i in range(40)], LAYOUT)
            known = set(found.rows["cap.count"][found.versions > 0].tolist())
            assert len(known) == 1
            assert known <= {last, last + 1}


class Stopped(BaseException):
    """Comes from outside, as KeyboardInterrupt does."""


FILES = {_database.__file__, _durable.__file__, _memory.__file__}


def stopped_at(nth: int, call: Callable[[], object]) -> bool:
    """Run a call and raise at the nth line it reaches in the files tested; say whether there is one.

    A line counts once. Where a lock is taken or given back, nothing is raised: Python does not either.
    """
    reached: set[tuple[str, int]] = set()

    def lines(frame: FrameType, event: str, _: Any) -> Any:  # as sys.settrace types it
        line = frame.f_code.co_filename, frame.f_lineno
        if (
            event == "line"
            and line not in reached
            and not linecache.getline(*line).lstrip().startswith("with ")
        ):
            reached.add(line)
            if len(reached) == nth:
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


def transact(store: DurableStore) -> None:
    """Store, delete and compact in one transaction."""
    with database_of(store).writing():
        put(store, ["a", "new"], [10, 11])
        store.delete(["b"])
        put(store, ["c", "b"], [12, 13], GROWN)
        store.compact()
        put(store, ["a"], [14])


CALLS: dict[str, tuple[Callable[[DurableStore], object], list[int]]] = {
    "one": (lambda store: put(store, ["a"], [10]), [10, 2, 3, 3]),
    "some": (lambda store: put(store, ["a", "new"], [10, 11]), [10, 2, 3, 11]),
    "delete": (lambda store: store.delete(["b"]), [1, 3, 3, 3]),
    "compact": (lambda store: store.compact(), [1, 2, 3, 3]),
    "all of it": (transact, [14, 13, 12, 11]),
}


@pytest.mark.parametrize("what", CALLS)
def test_a_transaction_given_up_has_happened_or_has_not(path: Path, what: str) -> None:
    """Whichever line Ctrl-C comes at, the store is as the file is, at once and after the next call."""
    call, want = CALLS[what]
    names = ["a", "b", "c", "new"]
    outcomes = set()
    with opened(path) as store, opened(path) as second:
        for nth in itertools.count(1):
            store.delete(names)
            put(store, names[:3], [1, 2, 3])
            stopped = stopped_at(nth, lambda: call(store))
            found = counts(store, names)
            assert found in ([1, 2, 3, 3], want)
            assert counts(second, names) == found
            assert numbers(second) == numbers(store)
            put(store, ["later", "a"], [7, 8])
            assert counts(second, ["later", *names]) == [7, 8, *found[1:]]
            assert numbers(second) == numbers(store)
            outcomes.add(tuple(found))
            if not stopped:
                break
        assert nth > 20
    assert outcomes == {(1, 2, 3, 3), tuple(want)}
    with opened(path) as third:
        assert counts(third, ["later", *names]) == [7, 8, *found[1:]]


WHO = st.lists(st.sampled_from(["a", "b", "\x00own", "é", "c" * 40]), max_size=4, unique=True)


class Machine(RuleBasedStateMachine):
    """Two stores of one file beside one that forgets when the process ends."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "a.db"
        self.model: dict[tuple[str, str], int] = {}
        self.stores: list[DurableStore] = []

    @initialize()
    def start(self) -> None:
        self.stores = [self.open(), self.open()]

    def open(self) -> DurableStore:
        return DurableStore(Database(self.path, durability="memory"))

    def teardown(self) -> None:
        for store in self.stores:
            store.close()
            database_of(store).close()
        self.folder.cleanup()

    def write(self, store: DurableStore, who: list[str], value: int, layout: Layout) -> None:
        put(store, who, value, layout)

    @rule(
        which=st.integers(0, 1),
        who=WHO,
        value=st.integers(0, 9),
        layout=st.sampled_from([LAYOUT, GROWN, OTHER]),
    )
    def store(self, which: int, who: list[str], value: int, layout: Layout) -> None:
        self.write(self.stores[which], who, value, layout)
        self.model |= {(layout.name, name): value for name in who}

    @rule(which=st.integers(0, 1), who=WHO)
    def delete(self, which: int, who: list[str]) -> None:
        known = {name for _, name in self.model} & set(who)
        assert self.stores[which].delete(who) == len(known)
        self.model = {key: value for key, value in self.model.items() if key[1] not in who}

    @rule(which=st.integers(0, 1), who=WHO, gone=WHO, compact=st.booleans(), value=st.integers(10, 19))
    def fail(self, which: int, who: list[str], gone: list[str], compact: bool, value: int) -> None:
        store = self.stores[which]
        with pytest.raises(ZeroDivisionError), database_of(store).writing():
            self.write(store, who, value, LAYOUT)
            store.delete(gone)
            if compact:
                store.compact()
            self.write(store, who[:2], value + 1, OTHER)
            raise ZeroDivisionError

    @rule(which=st.integers(0, 1))
    def compact(self, which: int) -> None:
        self.stores[which].compact()

    @rule(which=st.integers(0, 1), orderly=st.booleans())
    def reopen(self, which: int, orderly: bool) -> None:
        store = self.stores[which]
        if orderly:
            store.close()
        database_of(store).close()
        self.stores[which] = self.open()

    @precondition(lambda self: self.stores)
    @rule(which=st.integers(0, 1))
    def look(self, which: int) -> None:
        store = self.stores[which]
        for layout in (LAYOUT, OTHER):
            names = ["a", "b", "\x00own", "é", "c" * 40]
            assert counts(store, names, layout) == [self.model.get((layout.name, name), 3) for name in names]
        assert store.subjects() == sorted({name for _, name in self.model} - {"\x00own"})

    @invariant()
    def agree(self) -> None:
        if self.stores:
            one, two = map(numbers, self.stores)
            assert one == two


def test_two_stores_of_one_file_do_what_a_dict_does() -> None:
    """Whatever is stored, deleted, undone, compacted and opened again, in whatever order."""
    run_state_machine_as_test(
        Machine,
        settings=settings(
            max_examples=40,
            stateful_step_count=20,
            deadline=None,
            database=None,
            derandomize=True,
            phases=(Phase.generate, Phase.shrink),
        ),
    )


def filled(path: Path) -> None:
    """A file with rows in every table of a store."""
    with opened(path) as store:
        put(store, [f"s{i}" for i in range(30)], range(30))
        put(store, ["a"], [1], OTHER)
        store.compact()
        put(store, ["s1", "b"], [7, 8])
        store.delete(["s2"])
        put(store, ["s3"], [9])


COLUMNS = {
    "meta": ["key", "value"],
    "journal": ["seq", "layout", "names", "rows", "digest"],
    "pages": ["layout", "page", "names", "versions", "rows", "digest"],
    "layouts": ["name", "descr", "digest"],
}
EVERY = [(table, column) for table, columns in COLUMNS.items() for column in columns]


@pytest.mark.parametrize(("table", "column"), EVERY, ids=[".".join(each) for each in EVERY])
def test_no_foreign_byte_in_any_column_is_taken_for_a_record(path: Path, table: str, column: str) -> None:
    """A text, a number, nothing, other bytes, one bit: found when the store is opened, or when it scrubs."""
    filled(path)
    whole, copy = path.read_bytes(), path.with_name("copy.db")
    key = {"meta": "key", "journal": "seq", "pages": "layout || page", "layouts": "name"}[table]
    with contextlib.closing(sqlite3.connect(path)) as raw:
        rows = raw.execute(f"SELECT {key}, {column} FROM {table}").fetchall()
    tried = 0
    for at, value in rows:
        for bad in ("text", 10**15, None, b"", b"\xff" * 50, *flipped(value)):
            copy.write_bytes(whole)
            with contextlib.closing(sqlite3.connect(copy)) as raw:
                try:
                    raw.execute(f"UPDATE {table} SET {column} = ? WHERE {key} = ?", (bad, at))
                except sqlite3.Error:  # numbers are numbers, and no key comes twice
                    continue
                raw.commit()
                if raw.execute(f"SELECT {column} FROM {table}").fetchall() == [(each,) for _, each in rows]:
                    continue
            with (
                pytest.raises(
                    DamagedError, match=r"row .* of table '(meta|journal|pages|layouts)' in "
                ) as error,
                opened(copy),
            ):
                pass
            assert "s1" not in str(error.value)
            tried += 1
    assert tried >= len(rows)


def flipped(value: Any) -> list[Any]:
    """A value with one bit changed, at the beginning, in the middle, and at the end."""
    if isinstance(value, int):
        return [value ^ 1, value ^ 64]
    if isinstance(value, str):
        return [each.decode() for each in flipped(value.encode())]
    if not value:
        return []
    out = []
    for place in (0, len(value) // 2, len(value) - 1):
        raw = bytearray(value)
        raw[place] ^= 1
        out.append(bytes(raw))
    return out


@pytest.mark.parametrize("table", sorted(COLUMNS))
def test_a_row_that_is_missing_is_missed(path: Path, table: str) -> None:
    """Whichever it is."""
    filled(path)
    whole = path.read_bytes()
    with contextlib.closing(sqlite3.connect(path)) as raw:
        (count,) = raw.execute(f"SELECT count(*) FROM {table}").fetchone()
    for skip in range(count):
        path.write_bytes(whole)
        with contextlib.closing(sqlite3.connect(path)) as raw:
            key = {"meta": "key", "journal": "seq", "pages": "layout || page", "layouts": "name"}[table]
            raw.execute(
                f"DELETE FROM {table} WHERE {key} = (SELECT {key} FROM {table} LIMIT 1 OFFSET ?)", (skip,)
            )
            raw.commit()
        with pytest.raises(DamagedError), opened(path):
            pass


def test_damage_is_found_by_who_scrubs(path: Path) -> None:
    """A row is not given a new check when it did not pass the old one."""
    filled(path)
    for table, column in (("journal", "names"), ("journal", "rows"), ("pages", "rows"), ("pages", "names")):
        whole = path.read_bytes()
        with opened(path) as store:
            with database_of(store).writing() as connection:
                connection.execute(f"UPDATE {table} SET {column} = CAST({column} || 'x' AS BLOB)")
            with pytest.raises(DamagedError):
                store.delete(["s1", "s3"])
            with database_of(store).writing() as connection:
                connection.execute(f"UPDATE {table} SET {column} = 7")
            with pytest.raises(DamagedError):
                store.delete(["s1"])
            store._journaled = 0
        path.write_bytes(whole)


LIARS: dict[str, tuple[str, Any]] = {
    "no list of pages": ("meta", b"{}"),
    "no JSON": ("meta", b"\xff"),
    "too deep": ("meta", b"[" * 100_000),
    "another number": ("meta", b'{"seq": "x", "pages": []}'),
    "pages that are none": ("meta", b'{"seq": 9, "pages": [7]}'),
    "names that are none": ("journal", (b"\x05", b"12345678")),
    "too many names": ("journal", (b"\xff\xff\xff\x7f", b"12345678")),
    "names of no length": ("journal", (pack(["a"])[:-1], b"12345678")),
    "names of lengths below none": ("journal", (b"\x01\0\0\0\xfe\xff\xff\xff", b"12345678")),
    "names that are no text": ("journal", (pack(["a"])[:-1] + b"\xff", b"12345678")),
    "rows of another width": ("journal", (pack(["a"]), b"1234567")),
    "births of another width": ("journal", (b"1234567", None)),
    "versions of another number": ("pages", (pack(["a"]), b"1234567", b"12345678")),
    "a page of rows of another width": ("pages", (pack(["a"]), b"x" * 16, b"1234567")),
    "a layout that is none": ("layouts", "[]"),
    "a layout without fields": ("layouts", '{"name": "shop"}'),
    "a layout too deep": ("layouts", "[" * 100_000),
    "objects": ("layouts", '{"name": "shop", "fields": [["x", "|O", []]], "blank": ""}'),
    "fields in fields": ("layouts", '{"name": "shop", "fields": [["x", "i4,i4", []]], "blank": ""}'),
    "a field of no text": ("layouts", '{"name": "shop", "fields": [["x", 7, []]], "blank": ""}'),
    "a huge field": ("layouts", '{"name": "shop", "fields": [["x", "<i8", [9999999999999]]], "blank": ""}'),
    "a field twice": (
        "layouts",
        '{"name": "shop", "fields": [["x", "<i8", []], ["x", "<i8", []]], "blank": ""}',
    ),
    "no blank": ("layouts", '{"name": "shop", "fields": [["x", "<i8", []]], "blank": "AAAA"}'),
    "a blank that is no base 64": ("layouts", '{"name": "shop", "fields": [], "blank": "?"}'),
    "a long layout": ("layouts", " " * ((1 << 24) + 1)),
}


@pytest.mark.parametrize("what", LIARS)
def test_who_can_make_checks_can_do_no_worse_than_damage(path: Path, what: str) -> None:
    """Bytes of another form with a good check: a typed error, and no more."""
    filled(path)
    table, bad = LIARS[what]
    if table == "layouts":
        with pytest.raises(ValueError):
            read_layout(bad)
        return
    with contextlib.closing(sqlite3.connect(path)) as raw:
        if table == "meta":
            raw.execute("UPDATE meta SET value = ?", (digest("meta", "state", bad) + bad,))
        elif table == "journal":
            names, rows = bad
            for seq, key in raw.execute("SELECT seq, layout FROM journal WHERE rows IS NOT NULL").fetchall():
                raw.execute(
                    "UPDATE journal SET names = ?, rows = ?, digest = ? WHERE seq = ?",
                    (names, rows, digest("journal", seq, key, names, rows or ""), seq),
                )
        else:
            for key, page in raw.execute("SELECT layout, page FROM pages").fetchall():
                raw.execute(
                    "UPDATE pages SET names = ?, versions = ?, rows = ?, digest = ?"
                    " WHERE layout = ? AND page = ?",
                    (*bad, digest("pages", key, page, *bad), key, page),
                )
        raw.commit()
    with pytest.raises(DamagedError), opened(path):
        pass


def test_a_layout_is_called_by_its_content(path: Path) -> None:
    """Another one under its name is damage, though its check is good: rows would be shown as others."""
    filled(path)
    descr = describe(Layout.compose("shop", {"cap": [Field("count", "f8")]}))
    with contextlib.closing(sqlite3.connect(path)) as raw:
        for (key,) in raw.execute("SELECT name FROM layouts").fetchall():
            told = descr, digest("layouts", key, descr), key
            raw.execute("UPDATE layouts SET descr = ?, digest = ? WHERE name = ?", told)
        raw.commit()
    with pytest.raises(DamagedError, match="of table 'layouts'"), opened(path):
        pass


def test_an_opening_that_failed_leaves_the_database_to_others(path: Path) -> None:
    """The store that could not be made takes part in nothing."""
    filled(path)
    with contextlib.closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE journal SET digest = ''")
        raw.commit()
    database = Database(path)
    with pytest.raises(DamagedError):
        DurableStore(database)
    with database.writing() as connection:
        connection.execute("DELETE FROM journal")
    database.close()


def test_names_and_layouts_read_back_as_they_were_packed() -> None:
    """Some forgotten, all, or none."""
    for who in ([], [""], ODD, ["a"] * 3, [f"s{i}" for i in range(300)]):
        names = pack(who)
        texts, places = unpack(names)
        assert (texts, places.tolist()) == (who, list(range(len(who))))
        rows = os.urandom(3 * len(who))
        assert forget(names, rows, {"nobody"}) is None
        if who:
            left = forget(names, rows, {who[0]})
            assert left is not None
            texts, places = unpack(left[0])
            assert texts == [text for text in who if text != who[0]]
            for place in range(len(who)):
                want = rows[3 * place : 3 * place + 3] if place in places else bytes(3)
                assert left[1][3 * place : 3 * place + 3] == want
            assert forget(*left, set(who)) is None or len(texts)
    for layout in (LAYOUT, GROWN, Layout.compose("", {})):
        assert read_layout(describe(layout)).fingerprint == layout.fingerprint
    with pytest.raises(ValueError, match="do not fit"):
        records(b"1", LAYOUT.dtype, 1)


def test_a_durable_store_answers_as_one_in_memory_does(path: Path) -> None:
    """The same calls, the same rows."""
    memory = MemoryStore()
    with opened(path) as store:
        rng = np.random.default_rng(7)
        for _ in range(60):
            who = [f"s{i}" for i in rng.choice(90, size=rng.integers(1, 60), replace=False).tolist()]
            layout = [LAYOUT, GROWN, SHRUNK, OTHER][int(rng.integers(4))]
            one, two = store.load(who, layout), memory.load(who, layout)
            assert one.rows.tobytes() == two.rows.tobytes()
            assert ((one.versions == 0) == (two.versions == 0)).all()
            name = layout.dtype.names[0]  # type: ignore[index]
            one.rows[name] += 1
            off = rng.integers(0, 4, size=len(who)) == 0
            accepted = store.store(who, one.rows, one.versions - off, layout)
            assert (accepted == memory.store(who, one.rows, two.versions - off, layout)).all()
            gone = who[: int(rng.integers(3))]
            assert store.delete(gone) == memory.delete(gone)
        assert store.subjects() == memory.subjects()


@pytest.mark.parametrize(
    "told",
    [
        b"[]",
        b"no json",
        b'["a", 0, ""]',
        b"[-1, 0, null]",
        b"[true, 0, 0]",
        '[0, 0, "v"]'.encode("utf-32-be"),
    ],
    ids=["short", "text", "begins with a text", "below 0", "truth", "another encoding"],
)
def test_a_mark_that_nobody_wrote_is_damage(told: bytes) -> None:
    """Where an agent takes up its log is not guessed."""
    from agentic.state import Shelf

    with tempfile.TemporaryDirectory() as folder, contextlib.closing(Database(f"{folder}/a.db")) as database:
        database.note("mark/a", told)
        with pytest.raises(DamagedError, match="restore the file"):
            Shelf(database).marked("a")
