"""Records, layouts, policies and notes in a file are compared with their digests, and with each other."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import attrs
import pytest

from agentic._database import Database
from agentic._sqlite import digest
from agentic.arrays import Field, Layout
from agentic.state import DurableStore, Shelf, recheck
from durable import changed

LAYOUT = Layout.compose("shop", {"cap": [Field("n", "i8")]})


def stored(path: Path) -> Database:
    """Some on pages, some in the journal, one forgotten, two policies, two notes."""
    database = Database(path, durability="memory")
    store = DurableStore(database)

    def put(names: list[str]) -> None:
        rows, versions = attrs.astuple(store.load(names, LAYOUT), recurse=False)
        rows["cap.n"] += 1
        assert store.store(names, rows, versions, LAYOUT).all()

    put(["anna", "bert", "carl"])
    store.compact()
    put(["anna", "dora"])
    store.delete(["bert"])
    Shelf(database).put("shop", "v1", "t", b"body")
    Shelf(database).put("shop", "v2", "t", None)
    Shelf(database).mark("shop", 1, 2, "v1")
    return database


def test_everything_is_counted(tmp_path: Path) -> None:
    """Also what it looks at on the way, for who waits; and inside a transaction."""
    database = stored(tmp_path / "a.db")
    told: list[tuple[int, int]] = []
    found = recheck(database, lambda done, of: told.append((done, of)))
    assert found.ok
    assert (found.journal, found.pages, found.layouts, found.policies, found.notes) == (2, 1, 1, 2, 2)
    assert told == [(3, 3)]
    with database.writing():
        assert recheck(database) == found
    assert recheck(Database(tmp_path / "b.db", durability="memory")).ok


def test_notes_are_utf_8_and_no_codec_is_looked_up_for_others(tmp_path: Path) -> None:
    """JSON's own guess at an encoding would import the codec that stored bytes ask for."""
    database = stored(tmp_path / "a.db")
    database.note("state", json.dumps({"seq": 1, "pages": [["x", 1]]}).encode("utf-32-be"))
    sys.modules.pop("encodings.utf_32_be", None)
    assert "'meta'" in (recheck(database).problem or "")
    assert "encodings.utf_32_be" not in sys.modules


def note(database: Database, state: Any) -> None:
    database.note("state", json.dumps(state).encode())


@pytest.mark.parametrize(
    ("pages", "told"),
    [
        ([["x", 1]], "'pages'"),
        ([], "'meta'"),
        ([["x", 2], ["y", -1]], "'meta'"),
        ([["x"]], "'meta'"),
        (None, "'meta'"),
    ],
    ids=["another", "none", "negative", "short", "no list"],
)
def test_the_list_of_pages_has_to_fit(tmp_path: Path, pages: Any, told: str) -> None:
    """Even where its own digest is right."""
    database = stored(tmp_path / "a.db")
    note(database, {"seq": 1, "pages": pages})
    assert told in (recheck(database).problem or "")


def test_rows_have_to_follow_each_other(tmp_path: Path) -> None:
    """A journal without its beginning, middle or end."""
    for gone in (2, 3):
        database = stored(tmp_path / f"{gone}.db")
        changed(database, "DELETE FROM journal WHERE seq = ?", gone)
        assert f"row {gone} of table 'journal'" in (recheck(database).problem or "")


def test_rows_have_to_fit_their_layout(tmp_path: Path) -> None:
    """What was written with right digests and does not fit is found as well."""
    database = stored(tmp_path / "a.db")
    with database.reading() as connection:
        key, names, rows = connection.execute(
            "SELECT layout, names, rows FROM journal WHERE seq = 2"
        ).fetchone()
        page = connection.execute("SELECT layout, page, names, versions, rows FROM pages").fetchone()
    for odd_key, odd_names, odd_rows, told in (
        (key, names, rows[:-1], "'journal'"),
        (key, b"\xff\xff\xff\x7f", rows, "'journal'"),
        (key, b"abc", None, "'journal'"),
        ("nobody", names, rows, "'layouts'"),
    ):
        check = digest("journal", 2, odd_key, odd_names, "" if odd_rows is None else odd_rows)
        changed(
            database,
            "UPDATE journal SET layout = ?, names = ?, rows = ?, digest = ? WHERE seq = 2",
            *(odd_key, odd_names, odd_rows, check),
        )
        assert told in (recheck(database).problem or "")
    check = digest("journal", 2, key, names, rows)
    changed(
        database,
        "UPDATE journal SET layout = ?, names = ?, rows = ?, digest = ? WHERE seq = 2",
        *(key, names, rows, check),
    )
    assert recheck(database).ok
    versions = page[3][:-8]
    check = digest("pages", *page[:3], versions, page[4])
    changed(database, "UPDATE pages SET versions = ?, digest = ?", versions, check)
    assert "'pages'" in (recheck(database).problem or "")


def test_a_layout_that_says_nothing_is_found(tmp_path: Path) -> None:
    """With a right digest, and a form that nobody wrote."""
    database = stored(tmp_path / "a.db")
    descr = "{}"
    key = digest(descr).hex()
    changed(database, "INSERT INTO layouts VALUES (?, ?, ?)", key, descr, digest("layouts", key, descr))
    assert "'layouts'" in (recheck(database).problem or "")
