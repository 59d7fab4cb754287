"""What must hold for every state store?

A check takes a function that makes an empty store. The subjects in it are chosen to hurt.
"""

from __future__ import annotations

import importlib.util
import unicodedata
import unittest
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from agentic.arrays import I64, Field, Layout, Records, Rows
from agentic.errors import LayoutError
from agentic.protocols import StateStore
from agentic.testing._compare import THREADS, fields_of, require, require_same, together

MakeStore = Callable[[], StateStore]
Check = Callable[..., None]  # takes what makes the part, and what it is tried on

ROUNDS: Final = 500
HOSTILE: Final = (
    "plain",
    " leading and trailing ",
    "../../etc/passwd",
    "{}",
    "[]",
    "null",
    "0",
    "-1",
    "%s%n",
    "a:b",
    "a/b",
    "a.b",
    "a,b",
    "*",
    "?",
    "'; drop table records; --",
    '"quoted"',
    "back\\slash",
    "new\nline",
    "tab\there",
    "nul\x00inside",
    "nul\x00inside too",
    "\N{SHRUG}\N{ZERO WIDTH JOINER}\N{FEMALE SIGN}",
    "\N{ARABIC LETTER ALEF}\N{ARABIC LETTER BEH}\N{RIGHT-TO-LEFT OVERRIDE}abc",
    "CASE",
    "case",
    unicodedata.normalize("NFC", "e\N{COMBINING ACUTE ACCENT}"),
    "e\N{COMBINING ACUTE ACCENT}",
    "\N{LATIN SMALL LETTER SHARP S}",
    "ss",
    "x" * 512,
    "x" * 511,
    "\N{GRINNING FACE}" * 128,
    "\x7f",
    "\ufeffbom",
)
"""Ids that have broken stores elsewhere; each must be itself and no other."""

_OWN: Final = (
    Field("count", np.int64),
    Field("score", np.float64, (), -1.5),
    Field("ring", np.int32, (3,), 7),
    Field("bits", np.uint8, (), 255),
    Field("half", np.float32, (2, 2), 0.25),
    Field("flag", np.bool_, (), True),
    Field("tag", "S7", (), b"none"),
    Field("word", "U3", (), "é"),
)


def _layout(name: str = "shop", fields: Sequence[Field] = _OWN) -> Layout:
    return Layout.compose(name, {"cap": fields})


def _filled(layout: Layout, numbers: Sequence[int]) -> Records:
    """Records that differ in every field, made from numbers."""
    rows = layout.new(len(numbers))
    for row, number in enumerate(numbers):
        for name, values in fields_of(rows).items():
            kind = values.dtype.kind
            text: dict[str, Any] = {"S": f"s{number}".encode(), "U": f"u{number % 10}", "b": number % 2 == 0}
            values[row] = text.get(kind, number % 251 + (0.5 if kind == "f" else 0))
            require(name in layout.dtype.fields, "a layout knows its fields")  # type: ignore[operator]
    return rows


def _require_rows(found: Rows, want: Records, fact: str, /, *, who: Sequence[str], this: str) -> None:
    require(isinstance(found, Rows), f"{fact}: load must return Rows, got {type(found).__name__}")
    require(found.rows.dtype == want.dtype, f"{fact}: rows must be {want.dtype}, got {found.rows.dtype}")
    require(
        found.rows.shape == want.shape and found.versions.shape == want.shape,
        f"{fact}: {len(want)} subjects need as many rows and versions, got {found.rows.shape} and"
        f" {found.versions.shape}",
    )
    for name, values in fields_of(found.rows).items():
        require_same(
            values,
            want[name],
            f"{fact} ({this}, {list(who)[:3]!r} ...)",
            what=name,
            this="loaded",
            that="stored",
        )


def _put(
    store: StateStore, who: Sequence[str], rows: Records, expected: I64 | int, layout: Layout, fact: str
) -> None:
    versions = np.broadcast_to(np.asarray(expected, dtype=np.int64), (len(who),)).copy()
    accepted = _accepted(store, who, rows, versions, layout, fact)
    require(
        accepted.all(),
        f"{fact}: store refused {who[int(np.argmin(accepted))]!r} whose version was as expected",
    )


def _accepted(
    store: StateStore, who: Sequence[str], rows: Records, expected: I64, layout: Layout, fact: str
) -> Any:  # a bool array once required
    accepted = store.store(who, rows, expected, layout)
    require(
        isinstance(accepted, np.ndarray) and accepted.dtype == np.bool_ and accepted.shape == (len(who),),
        f"{fact}: store must return bools of shape ({len(who)},), got {accepted!r}",
    )
    return accepted


def check_round_trip(make: MakeStore, /) -> None:
    """Every field of every dtype comes back as it was stored, ``nan`` and negative zero included."""
    fact = "what is stored comes back"
    store, layout = make(), _layout()
    require(isinstance(store, StateStore), f"{fact}: {type(store).__name__} is no StateStore")
    who = [f"subject-{i}" for i in range(300)]
    rows = _filled(layout, range(300))
    rows["cap.score"][:4] = [np.nan, -0.0, np.inf, np.finfo(np.float64).tiny / 2]
    rows["cap.count"][:2] = [np.iinfo(np.int64).min, np.iinfo(np.int64).max]
    _put(store, who, rows, 0, layout, fact)
    found = store.load(who, layout)
    _require_rows(found, rows, fact, who=who, this="300 subjects")
    require(
        (found.versions > 0).all(),
        f"{fact}: versions of known subjects must be above 0, got {found.versions.min()}",
    )
    require(np.signbit(found.rows["cap.score"][1]), f"{fact}: -0.0 came back as 0.0")


def check_strangers_are_blank(make: MakeStore, /) -> None:
    """A subject nobody stored has the layout's blank record and version 0, among others as alone."""
    fact = "strangers are blank"
    store, layout = make(), _layout()
    _put(store, ["known"], _filled(layout, [5]), 0, layout, fact)
    who = ["stranger", "known", "another"]
    found = store.load(who, layout)
    want = layout.new(3)
    want[1] = _filled(layout, [5])[0]
    _require_rows(found, want, fact, who=who, this="mixed")
    require(
        found.versions[[0, 2]].tolist() == [0, 0] and found.versions[1] > 0,
        f"{fact}: versions must be 0 for strangers only, got {found.versions.tolist()}",
    )
    _require_rows(store.load(who[:1], layout), layout.new(1), fact, who=who[:1], this="alone")


def check_order_and_duplicates_on_load(make: MakeStore, /) -> None:
    """Rows come in the order asked, twice where asked twice, and twins do not share memory."""
    fact = "order and duplicates on load"
    store, layout = make(), _layout()
    who = [f"s{i}" for i in range(20)]
    rows = _filled(layout, range(20))
    _put(store, who, rows, 0, layout, fact)
    order = [3, 17, 3, 0, 19, 19, 5]
    found = store.load([who[i] for i in order], layout)
    _require_rows(found, rows[order], fact, who=who, this="shuffled")
    found.rows["cap.count"][0] = 99_999
    require(
        int(found.rows["cap.count"][2]) == int(rows["cap.count"][3]),
        f"{fact}: writing to one of two rows of 's3' changed the other",
    )


def check_nobody(make: MakeStore, /) -> None:
    """Loading, storing and deleting nobody is no error."""
    fact = "nobody"
    store, layout = make(), _layout()
    _require_rows(store.load([], layout), layout.new(0), fact, who=[], this="empty")
    _accepted(store, [], layout.new(0), np.zeros(0, dtype=np.int64), layout, fact)
    require(store.delete([]) == 0, f"{fact}: deleting nobody must return 0")
    require(not list(store.subjects()), f"{fact}: an empty store has subjects {list(store.subjects())!r}")


def check_rows_are_private_copies(make: MakeStore, /) -> None:
    """Writing to loaded rows, or to rows after they were stored, does not reach the store."""
    fact = "rows are private copies"
    store, layout = make(), _layout()
    rows = _filled(layout, [1, 2])
    want = rows.copy()
    _put(store, ["a", "b"], rows, 0, layout, fact)
    rows["cap.count"] = -1
    _require_rows(
        store.load(["a", "b"], layout), want, fact, who="ab", this="after the stored rows were written to"
    )
    for who in (["a", "b"], ["b", "stranger", "a"], ["stranger"]):
        expected = store.load(who, layout)
        kept, versions = expected.rows.copy(), expected.versions.copy()
        expected.rows["cap.count"] = -2
        expected.rows["cap.ring"][:, 1] = -2
        expected.versions[:] = -2
        again = store.load(who, layout)
        this = "after the loaded rows were written to"
        _require_rows(again, kept, fact, who=who, this=this)
        require_same(again.versions, versions, fact, what="version", this=this, that="before")


def check_stale_versions_are_refused(make: MakeStore, /) -> None:
    """Only the expected version can be written over; a refused write changes nothing."""
    fact = "stale versions are refused"
    store, layout = make(), _layout()
    _put(store, ["a"], _filled(layout, [1]), 0, layout, fact)
    first = store.load(["a"], layout).versions.copy()
    _put(store, ["a"], _filled(layout, [2]), first, layout, fact)
    second = store.load(["a"], layout).versions
    require(second[0] > first[0], f"{fact}: the version was {first[0]} and is {second[0]} after a write")
    for stale in (0, int(first[0]), int(second[0]) + 1, -1):
        refused = _accepted(store, ["a"], _filled(layout, [3]), np.array([stale]), layout, fact)
        require(not refused[0], f"{fact}: version {stale} was accepted, the subject had {second[0]}")
    found = store.load(["a"], layout)
    _require_rows(found, _filled(layout, [2]), fact, who="a", this="after refused writes")
    require(
        found.versions[0] == second[0], f"{fact}: a refused write moved the version to {found.versions[0]}"
    )
    for stale in (1, -1):
        refused = _accepted(store, ["stranger"], _filled(layout, [3]), np.array([stale]), layout, fact)
        require(not refused[0], f"{fact}: version {stale} was accepted for a stranger, who has 0")
    require(set(store.subjects()) == {"a"}, f"{fact}: a refused write made its subject known")


def check_conflicts_spare_the_others(make: MakeStore, /) -> None:
    """In one batch the rows in conflict are refused and all others written."""
    fact = "conflicts spare the others"
    store, layout = make(), _layout()
    who = [f"s{i}" for i in range(40)]
    _put(store, who[:20], _filled(layout, range(20)), 0, layout, fact)
    expected = store.load(who, layout).versions.copy()
    stale = np.arange(40) % 3 == 0
    expected[stale] += 1
    accepted = _accepted(store, who, _filled(layout, range(100, 140)), expected, layout, fact)
    require_same(accepted, ~stale, fact, what="accepted", this="given", that="expected")
    want = layout.new(40)
    want[:20] = _filled(layout, range(20))
    want[~stale] = _filled(layout, range(100, 140))[~stale]
    _require_rows(store.load(who, layout), want, fact, who=who, this="after a batch with conflicts")


def check_no_update_is_lost(make: MakeStore, /, rounds: int = ROUNDS) -> None:
    """Eight threads that each add 1 many times, by compare-and-set, add up."""
    fact = "no update is lost"
    store = make()
    layout = _layout(fields=[Field("count", np.int64), Field("twin", np.int64)])

    def work(number: int) -> None:
        for _ in range(rounds):
            while True:
                found = store.load(["shared", f"own-{number}"], layout)
                shared = found.rows[0]
                require(
                    shared["cap.count"] == shared["cap.twin"],
                    f"{fact}: a torn record: {int(shared['cap.count'])} and {int(shared['cap.twin'])}",
                )
                found.rows["cap.count"] += 1
                found.rows["cap.twin"] += 1
                if store.store(["shared"], found.rows[:1], found.versions[:1], layout)[0]:
                    break
            _put(store, [f"own-{number}"], found.rows[1:], found.versions[1:], layout, fact)

    together(work)
    who = ["shared", *(f"own-{number}" for number in range(THREADS))]
    counts = store.load(who, layout).rows["cap.count"].tolist()
    want = [THREADS * rounds, *([rounds] * THREADS)]
    require(
        counts == want,
        f"{fact}: {THREADS} threads added 1 {rounds} times each, the counts are {counts}, not {want}",
    )


def check_versions_survive_deletion(make: MakeStore, /) -> None:
    """A subject deleted and made again has a higher version: who still holds the old one is refused."""
    fact = "versions survive deletion"
    store, layout = make(), _layout()
    highest = 0
    for turn in range(5):
        _put(store, ["a"], _filled(layout, [turn]), 0, layout, fact)
        version = int(store.load(["a"], layout).versions[0])
        require(version > highest, f"{fact}: it had version {highest}, and {version} after it was made again")
        stale = _accepted(store, ["a"], _filled(layout, [9]), np.array([highest]), layout, fact)
        require(not stale[0], f"{fact}: version {highest} from before the deletion was accepted")
        highest = version
        store.delete(["a"])
        dead = _accepted(store, ["a"], _filled(layout, [9]), np.array([highest]), layout, fact)
        require(not dead[0], f"{fact}: version {highest} was accepted for a subject that had been deleted")


def check_deleted_subjects_are_strangers(make: MakeStore, /) -> None:
    """Deletion forgets in every layout, counts each known subject once, and spares all others."""
    fact = "deleted subjects are strangers"
    store, one, two = make(), _layout("one"), _layout("two")
    who = [f"s{i}" for i in range(10)]
    _put(store, who, _filled(one, range(10)), 0, one, fact)
    _put(store, who[:5], _filled(two, range(5)), 0, two, fact)
    gone = store.delete(["s1", "s7", "s1", "stranger"])
    require(gone == 2, f"{fact}: two of the subjects were known, delete returned {gone!r}")
    kept = [i for i in range(10) if i not in {1, 7}]
    for layout, known in ((one, 10), (two, 5)):
        want = layout.new(10)
        alive = [i for i in kept if i < known]
        want[alive] = _filled(layout, range(10))[alive]
        found = store.load(who, layout)
        _require_rows(found, want, fact, who=who, this=f"layout {layout.name!r}")
        dead = sorted({1, 7, *range(known, 10)})
        require(
            not found.versions[dead].any(), f"{fact}: versions {found.versions[dead].tolist()}, expected 0"
        )
    require(store.delete(["s1"]) == 0, f"{fact}: a deleted subject was counted again")
    fresh = _filled(one, [50, 51])
    _put(store, ["s7", "new"], fresh, 0, one, fact)
    _require_rows(store.load(["s7", "new"], one), fresh, fact, who=["s7", "new"], this="made again")
    require_kept = store.load([f"s{i}" for i in kept], one)
    _require_rows(require_kept, _filled(one, kept), fact, who=who, this="after others were made again")


def check_subjects_are_listed(make: MakeStore, /) -> None:
    """``subjects`` lists everyone known in any layout once, and nobody else."""
    fact = "subjects are listed"
    store, one, two = make(), _layout("one"), _layout("two")
    _put(store, ["a", "b", "c"], _filled(one, range(3)), 0, one, fact)
    _put(store, ["c", "d"], _filled(two, range(2)), 0, two, fact)
    store.load(["only-asked-for"], one)
    store.delete(["b"])
    listed = list(store.subjects())
    require(
        sorted(listed) == ["a", "c", "d"], f"{fact}: expected a, c and d once each, got {sorted(listed)!r}"
    )


def check_hostile_ids(make: MakeStore, /) -> None:
    """Any text is a subject id: no two are confused, none is changed, none does harm."""
    fact = "hostile ids"
    store, layout = make(), _layout()
    rows = _filled(layout, range(len(HOSTILE)))
    _put(store, HOSTILE, rows, 0, layout, fact)
    _require_rows(store.load(HOSTILE, layout), rows, fact, who=HOSTILE, this="together")
    for number, subject in enumerate(HOSTILE):
        _require_rows(
            store.load([subject], layout), rows[number : number + 1], fact, who=[subject], this="alone"
        )
    odd = set(store.subjects()) ^ set(HOSTILE)
    require(not odd, f"{fact}: subjects() and what was stored differ in {sorted(odd)!r}")
    for number, subject in enumerate(HOSTILE):
        gone = store.delete([subject])
        require(gone == 1, f"{fact}: deleting {subject!r} forgot {gone} subjects")
        rest = HOSTILE[number + 1 :]
        _require_rows(
            store.load(rest, layout), rows[number + 1 :], fact, who=rest, this=f"without {subject!r}"
        )


def check_layouts_are_isolated(make: MakeStore, /) -> None:
    """Two layouts keep two records of one subject, each with its own version."""
    fact = "layouts are isolated"
    store, one, two = make(), _layout("one"), _layout("two", [Field("count", np.int64, (), 3)])
    _put(store, ["a"], _filled(one, [1]), 0, one, fact)
    found = store.load(["a"], two)
    _require_rows(found, two.new(1), fact, who="a", this="in the other layout")
    require(
        found.versions[0] == 0, f"{fact}: the other layout knows the subject with version {found.versions[0]}"
    )
    _put(store, ["a"], _filled(two, [2]), 0, two, fact)
    version = store.load(["a"], one).versions.copy()
    _put(store, ["a"], _filled(two, [3]), store.load(["a"], two).versions, two, fact)
    _require_rows(store.load(["a"], one), _filled(one, [1]), fact, who="a", this="after writes to the other")
    _put(store, ["a"], _filled(one, [4]), version, one, fact)


def check_layouts_migrate_by_name(make: MakeStore, /) -> None:
    """A layout that grows, shrinks or moves its fields keeps the values of fields that stay, and versions."""
    fact = "layouts migrate by name"
    store, old = make(), _layout()
    who = [f"s{i}" for i in range(30)]
    _put(store, who, _filled(old, range(30)), 0, old, fact)
    versions = store.load(who, old).versions.copy()
    kept = [field for field in reversed(_OWN) if field.name not in {"bits", "half"}]
    new = _layout(fields=[Field("added", np.float64, (2,), 4.5), *kept, Field("also", "u1", (), 2)])
    want = new.new(30)
    for field in kept:
        want[f"cap.{field.name}"] = _filled(old, range(30))[f"cap.{field.name}"]
    found = store.load([*who, "stranger"], new)
    _require_rows(Rows(found.rows[:30], found.versions[:30]), want, fact, who=who, this="grown and shrunk")
    require_same(found.versions[:30], versions, fact, what="version", this="after", that="before")
    _require_rows(
        Rows(found.rows[30:], found.versions[30:]), new.new(1), fact, who=["stranger"], this="a stranger"
    )
    _put(store, who, want, versions, new, fact)
    _require_rows(store.load(who, new), want, fact, who=who, this="written in the new layout")


def check_other_dtypes_are_refused(make: MakeStore, /) -> None:
    """A field whose dtype or shape changed is refused with a ``LayoutError``, and nothing is harmed."""
    fact = "other dtypes are refused"
    for changed in (Field("count", np.float64), Field("count", np.int64, (2,)), Field("count", np.int32)):
        store, old = make(), _layout()
        _put(store, ["a"], _filled(old, [1]), 0, old, fact)
        new = _layout(fields=[changed, *_OWN[1:]])
        try:
            store.load(["a"], new)
        except LayoutError:
            pass
        else:
            raise AssertionError(
                f"{fact}: int64 became {changed.dtype!r} {changed.shape} without a LayoutError"
            )
        _require_rows(store.load(["a"], old), _filled(old, [1]), fact, who="a", this="after the refusal")


def check_against_a_model(make: MakeStore, /) -> None:
    """Any sequence of calls does what the same calls do to a dict; needs Hypothesis.

    Raises:
        unittest.SkipTest: Hypothesis is not installed.
    """
    need_hypothesis()
    from agentic.testing._machines import run_store_machine  # needs Hypothesis

    run_store_machine(make)


def need_hypothesis() -> None:
    """Skip the test that needs Hypothesis where it is missing; ``unittest`` and pytest know what it means."""
    if importlib.util.find_spec("hypothesis") is None:
        raise unittest.SkipTest(
            "this check explores with Hypothesis, which is not installed: pip install hypothesis"
        )


def store_checks() -> dict[str, Check]:
    """The checks every state store must pass, by name."""
    return dict(_STORE)


_STORE: Final[Mapping[str, Check]] = {
    "round_trip": check_round_trip,
    "strangers_are_blank": check_strangers_are_blank,
    "order_and_duplicates_on_load": check_order_and_duplicates_on_load,
    "nobody": check_nobody,
    "rows_are_private_copies": check_rows_are_private_copies,
    "stale_versions_are_refused": check_stale_versions_are_refused,
    "conflicts_spare_the_others": check_conflicts_spare_the_others,
    "no_update_is_lost": check_no_update_is_lost,
    "versions_survive_deletion": check_versions_survive_deletion,
    "deleted_subjects_are_strangers": check_deleted_subjects_are_strangers,
    "subjects_are_listed": check_subjects_are_listed,
    "hostile_ids": check_hostile_ids,
    "layouts_are_isolated": check_layouts_are_isolated,
    "layouts_migrate_by_name": check_layouts_migrate_by_name,
    "other_dtypes_are_refused": check_other_dtypes_are_refused,
    "against_a_model": check_against_a_model,
}
