"""A file that is looked at stays as it is, and whoever writes it goes on."""

from __future__ import annotations

import os
import pathlib
import sqlite3
from pathlib import Path

import pytest

from agentic._onlooker import Onlooker
from agentic._sqlite import APPLICATION_ID
from agentic.errors import DatabaseBusyError, DatabaseError, ForeignDatabaseError
from agentic.provenance import DurableLog
from durable import decisions, opened


def left_behind(path: Path, count: int = 3) -> Path:
    database, log = opened(path)
    log.append(decisions(list(range(count))))
    log.seal()
    database.close()
    return path


def traces(folder: Path) -> dict[str, tuple[int, int]]:
    return {each.name: (each.stat().st_mtime_ns, each.stat().st_size) for each in folder.iterdir()}


def test_looking_leaves_no_trace(tmp_path: Path) -> None:
    """No byte, no time and no file beside it is another one afterwards."""
    path = left_behind(tmp_path / "a.db")
    before, raw = traces(tmp_path), path.read_bytes()
    database = Onlooker(path)
    assert DurableLog(database).verify().records == 3
    assert len(DurableLog(database)) == 3
    database.close()
    database.close()
    assert (traces(tmp_path), path.read_bytes()) == (before, raw)
    with pytest.raises(DatabaseError, match="was closed"), database.reading():
        pass


def test_a_file_that_is_being_written_is_read(tmp_path: Path) -> None:
    """What another connection has committed is seen, what it commits later too."""
    writer, log = opened(tmp_path / "a.db")
    log.append(decisions([1]))
    seen = DurableLog(Onlooker(tmp_path / "a.db"))
    assert len(seen) == 1
    log.append(decisions([2]))
    assert len(seen) == 2
    assert seen.verify().ok
    writer.close()


def test_who_comes_later_is_noticed(tmp_path: Path) -> None:
    """A file that nobody had open is read anew when somebody opens it."""
    path = left_behind(tmp_path / "a.db")
    seen = DurableLog(Onlooker(path))
    assert len(seen) == 3
    writer, log = opened(path)
    log.append(decisions([1]))
    assert len(seen) == 4
    writer.close()
    assert len(seen) == 4


def test_a_file_written_while_it_is_read_is_to_be_read_again(tmp_path: Path) -> None:
    """Somebody who came and went in between may have left half of two states."""
    path = left_behind(tmp_path / "a.db")
    onlooker = Onlooker(path)

    def meanwhile() -> None:
        with onlooker.reading():
            left_behind(path, 5)

    with pytest.raises(DatabaseBusyError, match="read it again"):
        meanwhile()
    assert len(DurableLog(onlooker)) == 8


def test_nothing_can_be_written(tmp_path: Path) -> None:
    """Neither by what is meant to write nor by force."""
    onlooker = Onlooker(left_behind(tmp_path / "a.db"))
    with pytest.raises(DatabaseError, match="opened to be read only"), onlooker.writing():
        pass
    with pytest.raises(DatabaseError), onlooker.reading() as connection:
        connection.execute("DELETE FROM blocks")


def test_what_is_no_database_of_ours_is_refused(tmp_path: Path) -> None:
    """Each with its reason; and nothing is made where nothing is."""
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "text").write_text("this is a long text, and not a database\n" * 100)
    with sqlite3.connect(tmp_path / "foreign") as connection:
        connection.execute("CREATE TABLE a(b)")
    with sqlite3.connect(left_behind(tmp_path / "newer")) as connection:
        connection.execute("PRAGMA user_version = 99")
        assert connection.execute("PRAGMA application_id").fetchone() == (APPLICATION_ID,)
    for name, told in {
        "empty": "is empty",
        "text": "another program",
        "foreign": "another program",
        "newer": "upgrade agentic",
    }.items():
        with pytest.raises(ForeignDatabaseError, match=told):
            Onlooker(tmp_path / name)
    with pytest.raises(DatabaseError, match="No such file"):
        Onlooker(tmp_path / "none")
    with pytest.raises(DatabaseError, match="no file that may be read"):
        Onlooker(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "newer")
    with pytest.raises(DatabaseError, match="symbolic link"):
        Onlooker(tmp_path / "link")
    for odd in ("a\0b", 7):
        with pytest.raises(DatabaseError, match="expected the path"):
            Onlooker(odd)  # type: ignore[arg-type]
    assert not (tmp_path / "none").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_looks_for_itself(tmp_path: Path) -> None:
    """After a fork the parent's connections are left alone."""
    onlooker = Onlooker(left_behind(tmp_path / "a.db"))
    child = os.fork()
    if not child:
        os._exit(0 if len(DurableLog(onlooker)) == 3 else 1)  # pragma: no cover - in the child
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert len(DurableLog(onlooker)) == 3
    assert pathlib.Path(onlooker.path).exists()
