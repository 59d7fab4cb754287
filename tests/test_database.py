"""One file, many writers, every kind of bad luck."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agentic import _database, _sqlite, _syncing
from agentic._database import Database, Durability
from agentic._sqlite import APPLICATION_ID, digest
from agentic.errors import (
    ConfigurationError,
    DamagedError,
    DatabaseBusyError,
    DatabaseError,
    DatabaseFullError,
    ForeignDatabaseError,
)

LEVELS = ["memory", "process", "bounded", "power"]


class Told:
    """A participant that notes what it is told."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def begin(self, changed: bool, /) -> None:
        self.heard.append(changed)

    def undo(self, /) -> None:
        self.heard.append("undo")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@contextmanager
def opened(path: Path, durability: str | Durability = "process", wait: float = 30.0) -> Iterator[Database]:
    database = Database(path, durability=durability, wait=wait)
    try:
        yield database
    finally:
        database.close()


def add(connection: sqlite3.Connection, size: int, at: int = 0) -> None:
    connection.execute("INSERT INTO checkpoints VALUES (?, ?, '')", (size, at))


def sizes(database: Database) -> list[int]:
    with database.reading() as connection:
        return [size for (size,) in connection.execute("SELECT size FROM checkpoints ORDER BY size")]


@pytest.mark.parametrize("level", LEVELS)
def test_what_was_committed_is_there_when_the_file_is_opened_again(path: Path, level: str) -> None:
    """At every level, as long as the process ends in order; the file is its owner's only."""
    with opened(path, level) as database, database.writing() as connection:
        add(connection, 7)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with opened(path, level) as database:
        assert sizes(database) == [7]
        assert database.durability.name == level
    assert sorted(each.name for each in path.parent.iterdir()) == ["a.db", "a.db-turn"]


def test_the_file_says_whose_it_is(path: Path) -> None:
    """Application id, version, page size and the tables are those that are documented."""
    with opened(path) as database, database.reading() as connection:

        def ask(pragma: str) -> object:
            return connection.execute(f"PRAGMA {pragma}").fetchone()[0]

        assert (ask("application_id"), ask("user_version"), ask("page_size")) == (APPLICATION_ID, 1, 16384)
        assert (ask("journal_mode"), ask("secure_delete"), ask("trusted_schema")) == ("wal", 1, 0)
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        assert {name for (name,) in tables} - {"sqlite_sequence"} == {
            *("meta", "headers", "blocks", "vault", "commitments", "segments", "checkpoints"),
            *("journal", "pages", "layouts", "policies"),
        }
    assert repr(database) == f"Database({str(path)!r}, durability='process')"


def test_a_reader_cannot_write(path: Path) -> None:
    """What ``reading`` gives is for reading."""
    with opened(path) as database:
        with pytest.raises(DatabaseError, match="readonly"), database.reading() as connection:
            add(connection, 1)
        assert sizes(database) == []


def test_whatever_is_raised_undoes_all_of_it(path: Path) -> None:
    """The file and the participants are as before, and the next transaction is as good as any."""
    with opened(path) as database:
        told = Told()
        database.join(told)
        with pytest.raises(ZeroDivisionError), database.writing() as connection:
            add(connection, 1)
            assert sizes(database) == [1]  # in the transaction
            raise ZeroDivisionError
        assert told.heard == [True, "undo"]
        assert sizes(database) == []
        with pytest.raises(KeyboardInterrupt), database.writing() as connection:
            add(connection, 1)
            raise KeyboardInterrupt
        with database.writing() as connection:
            add(connection, 2)
        assert told.heard == [True, "undo", False, "undo", False]
        assert sizes(database) == [2]
        assert not database.in_writing


def test_what_fails_inside_fails_the_whole_even_when_it_was_caught(path: Path) -> None:
    """Half of a transaction is never committed."""
    with opened(path) as database:
        told = Told()
        database.join(told)
        with pytest.raises(DatabaseError, match="a part of the transaction had failed") as error:  # noqa: SIM117
            with database.writing() as outer:
                add(outer, 1)
                with pytest.raises(ZeroDivisionError), database.writing() as inner:
                    assert inner is outer
                    add(inner, 2)
                    raise ZeroDivisionError
                with pytest.raises(DatabaseError, match="has failed already"), database.writing():
                    pass
        assert isinstance(error.value.__cause__, ZeroDivisionError | DatabaseError)
        assert told.heard == [True, "undo"]
        assert sizes(database) == []


def test_participants_begin_in_the_order_they_joined_and_undo_in_the_other(path: Path) -> None:
    """A part that joins inside a transaction begins at once; one whose turn had not come is not undone."""
    heard: list[str] = []

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def begin(self, changed: bool, /) -> None:
            if self.name == "bad":
                raise RuntimeError("bad")
            heard.append(f"{self.name} {changed}")

        def undo(self, /) -> None:
            heard.append(f"undo {self.name}")

    with opened(path) as database:
        a, b, bad = Named("a"), Named("b"), Named("bad")
        database.join(a)
        with pytest.raises(ZeroDivisionError), database.writing():
            database.join(b)
            raise ZeroDivisionError
        assert heard == ["a True", "b True", "undo b", "undo a"]
        heard.clear()
        database.leave(a)
        database.join(bad)
        database.join(a)
        with pytest.raises(RuntimeError), database.writing():
            raise AssertionError
        assert heard == ["b False", "undo b"]
        database.leave(bad)
        heard.clear()
        with database.writing():
            pass
        assert heard == ["b False", "a True"]


def test_participants_hear_that_others_have_committed(path: Path) -> None:
    """Whoever they are; and not of what this database committed itself."""
    with opened(path) as one, opened(path) as two:
        told = Told()
        one.join(told)
        for database in (one, one, two, one, one):
            with database.writing() as connection:
                add(connection, len(sizes(database)))
        assert told.heard == [True, False, True, False]
        assert sizes(one) == sizes(two) == [0, 1, 2, 3, 4]


def test_threads_write_one_after_the_other(path: Path) -> None:
    """A counter that is read, and written a step later, misses nothing."""
    with opened(path) as database:
        with database.writing() as connection:
            add(connection, 1)

        def count() -> None:
            for _ in range(100):
                with database.writing() as connection:
                    (at,) = connection.execute("SELECT at FROM checkpoints").fetchone()
                    with database.reading() as reader:
                        assert reader is connection
                    connection.execute("UPDATE checkpoints SET at = ?", (at + 1,))

        threads = [threading.Thread(target=count) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with database.alone() as connection:
            assert connection.execute("SELECT at FROM checkpoints").fetchall() == [(800,)]


def test_readers_see_what_was_committed_while_somebody_writes(path: Path) -> None:
    """They wait for nobody, and many may read at once."""
    with opened(path) as database:
        seen: list[list[int]] = []
        with database.writing() as connection:
            add(connection, 1)
            thread = threading.Thread(target=lambda: seen.append(sizes(database)))
            thread.start()
            thread.join()
        assert seen == [[]]
        with database.reading() as one, database.reading() as two:
            assert one is not two
            one.execute("BEGIN")
            one.execute("SELECT * FROM checkpoints").fetchall()
            with database.writing() as connection:
                add(connection, 2)
            assert len(one.execute("SELECT * FROM checkpoints").fetchall()) == 1
            assert len(two.execute("SELECT * FROM checkpoints").fetchall()) == 2
        with database.reading() as again:
            assert len(again.execute("SELECT * FROM checkpoints").fetchall()) == 2


def test_more_readers_than_are_kept_are_closed(path: Path) -> None:
    """Eight wait for the next who reads."""
    with opened(path) as database:
        opening = [database.reading() for _ in range(12)]
        connections = [each.__enter__() for each in opening]
        for each in opening:
            each.__exit__(None, None, None)
        with pytest.raises(sqlite3.ProgrammingError):
            connections[-1].execute("SELECT 1")
        connections[0].execute("SELECT 1")


def test_who_waits_too_long_is_told(path: Path) -> None:
    """Nothing was written, and the participants of who waited have nothing to undo."""
    with opened(path) as one, opened(path, wait=0.05) as two:
        told = Told()
        two.join(told)
        with one.writing():
            with pytest.raises(DatabaseBusyError, match="too long"), two.writing():
                raise AssertionError
            with pytest.raises(DatabaseBusyError, match="write-ahead log"):
                two.scrub()
        assert told.heard == []
        with two.writing() as connection:
            add(connection, 1)
        assert told.heard == [True]


def test_a_value_is_kept_under_a_key(path: Path) -> None:
    """In the transaction, and with a check."""
    with opened(path) as database:
        assert database.noted("k") is None
        with pytest.raises(ZeroDivisionError), database.writing():
            database.note("k", b"one")
            assert database.noted("k") == b"one"
            raise ZeroDivisionError
        assert database.noted("k") is None
        database.note("k", b"two")
        database.note("k", b"three")
        assert database.noted("k") == b"three"
        for bad in (b"", b"x" * 40, "text", 7, None, digest("meta", "other", b"three") + b"three"):
            with database.writing() as connection:
                connection.execute("UPDATE meta SET value = ?", (bad,))
            with pytest.raises(DamagedError, match="'k' of table 'meta'"):
                database.noted("k")


def test_a_closed_database_says_so(path: Path) -> None:
    """Closing twice is closing once; inside a transaction it is refused."""
    database = Database(path)
    with pytest.raises(DatabaseError, match="inside a transaction"), database.writing():
        database.close()
    assert not database.closed
    database.close()
    database.close()
    assert database.closed
    for use in (database.writing, database.reading, database.alone):
        with pytest.raises(DatabaseError, match="was closed"), use():
            raise AssertionError


@pytest.mark.parametrize("bad", ["", "always", "BOUNDED"])
def test_there_are_four_levels(path: Path, bad: str) -> None:
    """Any other is refused before a file is made."""
    with pytest.raises(ConfigurationError, match="'memory', 'process', 'bounded', 'power'"):
        Database(path, durability=bad)
    with pytest.raises(ValueError, match="must be >= 1"):
        Durability("bounded", bound_ms=0)
    assert not path.exists()


def test_what_is_no_file_of_ours_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    """A folder, a link, a pipe, a text, another program's database, a newer one of ours, no folder at all."""
    (tmp_path / "folder").mkdir()
    with pytest.raises(DatabaseError, match="no regular file"):
        Database(tmp_path / "folder")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DatabaseError, match="no regular file"):
        Database(tmp_path / "pipe")
    with opened(tmp_path / "real.db"):
        pass
    (tmp_path / "link.db").symlink_to("real.db")
    with pytest.raises(DatabaseError, match=r"symbolic link: give the file itself, '.*real\.db'"):
        Database(tmp_path / "link.db")
    with pytest.raises(DatabaseError, match="a folder that there is"):
        Database(tmp_path / "none" / "a.db")
    with pytest.raises(DatabaseError, match="cannot open"):
        Database(tmp_path / "real.db" / "a.db")
    for odd in (tmp_path / "nul\x00", 7, tmp_path / ("x" * 300)):
        with pytest.raises(DatabaseError, match="cannot open"):
            Database(odd)  # type: ignore[arg-type]
    text = tmp_path / "text"
    text.write_bytes(b"not a database at all, but long enough to have a header" * 100)
    with pytest.raises(ForeignDatabaseError, match="of another program"):
        Database(text)
    assert text.read_bytes().startswith(b"not a database")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE theirs(x)")
    connection.close()
    before = other.read_bytes()
    with pytest.raises(ForeignDatabaseError, match="application id 0"):
        Database(other)
    assert other.read_bytes() == before
    newer = tmp_path / "newer.db"
    with opened(newer), opened(newer) as database, database.writing() as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(ForeignDatabaseError, match="upgrade agentic") as error:
        Database(newer)
    assert error.value.facts == {"value": 2, "expected": 1}


def test_an_empty_file_becomes_a_database(path: Path) -> None:
    """As a crash leaves it that came before anything was written."""
    path.touch()
    with opened(path) as database:
        assert sizes(database) == []


def test_a_path_that_only_looks_special_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite has names of its own for what is no file."""
    monkeypatch.chdir(tmp_path)
    for name in (":memory:", "file:a.db?mode=memory"):
        with opened(Path(name)):
            assert (tmp_path / name).is_file()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_file_or_folder_that_may_not_be_written_is_refused(path: Path) -> None:
    """Before anything is made."""
    with opened(path):
        pass
    path.chmod(0o400)
    with pytest.raises(DatabaseError, match="may not be read and written"):
        Database(path)
    path.chmod(0o600)
    path.parent.chmod(0o500)
    for each in (path, path.with_name("b.db")):
        with pytest.raises(DatabaseError, match="may"):
            Database(each)
    path.parent.chmod(0o700)


REFUSED = """
import os, sys
from pathlib import Path
from agentic._database import Database
from agentic.errors import DatabaseError
folder = Path(sys.argv[1])
folder.chmod(0o755)
Database(folder / "a.db").close()
os.chown(folder, 65534, 65534); os.chown(folder / "a.db", 0, 0); os.chmod(folder / "a.db", 0o644)
os.setgroups([]); os.setgid(65534); os.setuid(65534)
def refused(path, told):
    try:
        Database(path)
    except DatabaseError as error:
        assert told in str(error), error
    else:
        raise AssertionError(path)
refused(folder / "a.db", "may not be read and written")
folder.chmod(0o555)
refused(folder / "b.db", "may be written to")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_file_or_folder_of_somebody_else_is_refused() -> None:
    """As nobody, in a folder that all may enter."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        done = run(REFUSED, folder)
        assert done.returncode == 0, done.stderr


def run(script: str, *args: object, **kwargs: object) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own."""
    return subprocess.run(  # type: ignore[call-overload,no-any-return]
        [sys.executable, "-c", script, *map(str, args)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        **kwargs,
    )


def test_a_full_disk_leaves_what_was_committed(path: Path) -> None:
    """Nothing of the transaction is there, it was undone, and when there is room all goes on."""
    with opened(path) as database:
        told = Told()
        database.join(told)
        with database.writing() as connection:
            add(connection, 1)
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages + 2}")
        with pytest.raises(DatabaseFullError, match="make room"), database.writing() as connection:
            add(connection, 2)
            connection.execute(
                "INSERT INTO policies(version, agent, body) VALUES ('', '', ?)", (bytes(1 << 20),)
            )
        assert told.heard == [True, False, "undo"]
        assert sizes(database) == [1]
        with database.writing() as connection:
            add(connection, 3)
        assert sizes(database) == [1, 3]


LIMITED = """
import resource, signal, sys
from agentic._database import Database
from agentic.errors import DatabaseError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
database = Database(sys.argv[1], durability="process")
class Told:
    def begin(self, changed): self.undone = False
    def undo(self): self.undone = True
told = Told()
database.join(told)
def add(size):
    with database.writing() as connection:
        connection.execute("INSERT INTO checkpoints VALUES (?, 0, ?)", (size, "x" * 100_000))
add(1)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
failed = 0
for size in range(2, 12):
    try:
        add(size)
    except DatabaseError as error:
        assert told.undone and "disk" in str(error), error
        failed += 1
assert failed, failed
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
add(20)
with database.reading() as connection:
    print(10 - failed, [size for size, in connection.execute("SELECT size FROM checkpoints")])
"""


def test_a_file_that_must_not_grow_leaves_what_was_committed(path: Path) -> None:
    """The system cuts a write short: the connection is given up, and the next is as good as new."""
    done = run(LIMITED, path)
    assert done.returncode == 0, done.stderr
    count, found = done.stdout.split(" ", 1)
    there = [int(text) for text in found.strip(" []\n").split(",")]
    assert (there[0], there[-1], len(there)) == (1, 20, 2 + int(count))
    with opened(path) as database:
        assert sizes(database) == there
        with database.reading() as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_malformed_file_is_told_from_a_foreign_one(path: Path) -> None:
    """Bytes overwritten behind the header are damage."""
    with opened(path) as database, database.writing() as connection:
        for size in range(500):
            connection.execute("INSERT INTO checkpoints VALUES (?, 0, ?)", (size, "x" * 1000))
    raw = bytearray(path.read_bytes())
    raw[16384 * 14 :] = b"\xff" * (len(raw) - 16384 * 14)
    path.write_bytes(raw)
    with opened(path) as database:
        for use in (database.reading, database.writing, database.alone, database.reading):
            with pytest.raises(DamagedError, match="malformed"), use() as connection:
                connection.execute("SELECT sum(at), max(note) FROM checkpoints").fetchall()


KILLED = """
import sys
from agentic._database import Database
database = Database(sys.argv[1], durability=sys.argv[2])
for size in range(1_000_000):
    with database.writing() as connection:
        connection.execute("INSERT INTO checkpoints VALUES (?, 0, ?)", (size, "x" * (size % 5000)))
    print(size, flush=True)
"""


@pytest.mark.parametrize("level", ["memory", "process", "bounded"])
def test_kill_9_takes_nothing_that_was_committed(path: Path, level: str) -> None:
    """What the child said before it died is there, without gaps, and the file is whole."""
    last = -1
    for asked in (1, 40, 200):
        path.unlink(missing_ok=True)
        with subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path), level], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            for line in child.stdout:
                last = int(line)
                if last == asked:
                    child.send_signal(signal.SIGKILL)
        with opened(path) as database:
            found = sizes(database)
            assert found == list(range(len(found)))
            assert len(found) - 1 in (last, last + 1)
            with database.reading() as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        for extra in ("-wal", "-shm"):
            assert not Path(f"{path}{extra}").exists()


def test_a_bounded_database_waits_for_the_disk_soon_after_a_commit(path: Path) -> None:
    """When it is closed at the latest; where nothing was committed it never does."""
    with opened(path, Durability("bounded", bound_ms=60_000)) as database:
        assert database._heart is None
        with database.writing() as connection:
            add(connection, 1)
        assert database._since is not None
        assert database.syncs == 0
    assert database.syncs == 1
    with opened(path, Durability("bounded", bound_ms=1)) as database:
        with database.writing() as connection:
            add(connection, 2)
        assert database._heart is not None
        database._heart.stop()
        assert database._since is None
        assert database.syncs >= 1


def test_a_commit_after_the_bound_waits_for_the_disk_itself(path: Path) -> None:
    """The heart may not get its turn while others write."""
    with opened(path, Durability("bounded", bound_ms=60_000)) as database:
        with database.writing() as connection:
            add(connection, 1)
        assert database._since is not None
        database._since -= 31
        with database.writing() as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
            add(connection, 2)
        assert database._since is None
        with database.writing() as connection:
            assert connection.execute("PRAGMA synchronous").fetchone() == (1,)


def test_a_heart_that_fails_stops_all_writing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was committed can still be read; opened again all goes on."""

    def broken(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with opened(path, Durability("bounded", bound_ms=60_000)) as database:
        monkeypatch.setattr(_syncing, "sync", broken)
        with database.writing() as connection:
            add(connection, 1)
        heart = database._heart
        assert heart is not None
        heart.stop()
        monkeypatch.undo()
        with pytest.raises(DatabaseError, match=r"may not survive a\s+power cut"), database.writing():
            raise AssertionError
        assert sizes(database) == [1]
        database._heart = None
    with opened(path) as database:
        assert sizes(database) == [1]


def test_a_heart_holds_nobody_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for the disk while somebody is writing, here and elsewhere."""
    with opened(path, Durability("bounded", bound_ms=60_000)) as database, opened(path) as other:
        with database.writing() as connection:
            add(connection, 1)
        heart = database._heart
        assert heart is not None
        with other.writing():
            heart._beat()
            assert database._since is None
        assert database.syncs == 1
        heart._beat()
        assert database.syncs == 1  # there was nothing to wait for


def test_a_heart_follows_a_log_that_is_made_anew(path: Path) -> None:
    """The last connection to close removes the write-ahead log; the next commit makes another one."""
    with opened(path, Durability("bounded", bound_ms=60_000)) as database:
        with database.writing() as connection:
            add(connection, 1)
        heart, writer = database._heart, database._writer
        assert heart is not None
        assert writer is not None
        heart._beat()
        held = heart._file
        assert held is not None
        writer.close()
        database._writer, database._since = None, 1.0
        heart._beat()  # what was committed is in the database file, on the disk
        assert database._since is None
        with database.writing() as connection:
            add(connection, 2)
        heart._beat()
        assert heart._file is not None
        assert os.path.samestat(os.fstat(heart._file), Path(f"{path}-wal").stat())


def test_a_long_write_ahead_log_is_moved_into_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a thread, while others write; what it cannot have it leaves to the next commit."""
    monkeypatch.setattr(_database, "_LONG", 0)
    with opened(path) as database:
        with database.writing() as connection:
            add(connection, 1)
        assert database._moving is not None
        database._rest()
        with contextlib.closing(sqlite3.connect(f"file:{path}?immutable=1", uri=True)) as bare:
            assert bare.execute("SELECT size FROM checkpoints").fetchall() == [(1,)]
        monkeypatch.setattr(_database, "_REST_S", 0.0)
        with database.writing() as connection:
            add(connection, 2)
        database.scrub()
        assert database._moving is None
        assert sizes(database) == [1, 2]


def test_the_thread_of_a_forgotten_database_ends(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is known to its heart weakly."""
    monkeypatch.setattr(_syncing, "_LOOK_S", 0.001)
    database = Database(path, durability=Durability("bounded", bound_ms=1))
    with database.writing() as connection:
        add(connection, 1)
    assert database._heart is not None
    thread = database._heart._thread
    del database
    thread.join(30)
    assert not thread.is_alive()


def test_a_heart_that_beats_while_it_is_stopped_ends(path: Path) -> None:
    """However the two fall together."""
    for _ in range(60):
        with opened(path, Durability("bounded", bound_ms=1)) as database:
            with database.writing() as connection:
                connection.execute("DELETE FROM checkpoints")
            assert database._heart is not None
        assert not database._heart


def forked(child: object) -> int:
    """Run a function in a forked process; return how it ended."""
    pid = os.fork()
    if not pid:
        status = 1
        try:
            child()  # type: ignore[operator]
            status = 0
        except BaseException:  # noqa: BLE001 (pytest must not go on in the child)
            import traceback

            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


@pytest.mark.parametrize("level", ["process", "bounded"])
def test_parent_and_child_both_write_after_a_fork(path: Path, level: str) -> None:
    """Each with locks of its own: nothing is lost when the parent closes while the child goes on."""
    with opened(path, level) as database:
        told = Told()
        database.join(told)
        with database.writing() as connection:
            add(connection, 0)
        with database.reading():
            pass
        ready, go = os.pipe(), os.pipe()

        def child() -> None:
            with database.writing() as connection:
                add(connection, 1)
            os.write(ready[1], b"1")
            os.read(go[0], 1)  # the parent has closed the file
            with database.writing() as connection:
                add(connection, 3)
            assert sizes(database) == [0, 1, 2, 3]
            database.close()

        pid = os.fork()
        if not pid:
            status = 1
            try:
                child()
                status = 0
            finally:
                os._exit(status)
        os.read(ready[0], 1)
        with database.writing() as connection:
            add(connection, 2)
        assert told.heard == [True, True]
        database.close()
        os.write(go[1], b"1")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        for end in (*ready, *go):
            os.close(end)
    with opened(path) as database:
        assert sizes(database) == [0, 1, 2, 3]


def test_a_child_forked_inside_a_transaction_must_not_use_the_file(path: Path) -> None:
    """It is told so, whatever it does, and the transaction of its parent stands."""
    with opened(path) as database:
        outcomes = []
        with database.writing() as connection:
            add(connection, 1)

            def child() -> None:
                with pytest.raises(DatabaseError, match="forked while"), database.writing():
                    raise AssertionError
                with pytest.raises(DatabaseError, match="forked while"), database.reading():
                    raise AssertionError
                with pytest.raises(DatabaseError, match="forked while"):
                    Database(path)

            outcomes.append(forked(child))

        pid = -1
        try:
            with database.writing() as connection:
                add(connection, 2)
                pid = os.fork()
                if pid:
                    raise ZeroDivisionError
        except ZeroDivisionError:
            pass
        except DatabaseError as error:
            os._exit("forked while" not in str(error))
        finally:
            if not pid:
                os._exit(2)
        outcomes.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
        assert outcomes == [0, 0]
        assert sizes(database) == [1]


def test_fork_waits_for_the_threads_that_read_and_write(path: Path) -> None:
    """So that the child never finds the file half let go of."""
    with opened(path) as database:
        stop = threading.Event()
        failed = []

        def work() -> None:
            at = threading.get_ident() % 1_000_000 * 1000
            while not stop.is_set():
                at += 1
                try:
                    with database.writing() as connection:
                        add(connection, at)
                    sizes(database)
                except BaseException as error:
                    failed.append(error)
                    raise

        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()

        def child() -> None:
            with database.writing() as connection:
                add(connection, -os.getpid())

        outcomes = [forked(child) for _ in range(5)]
        stop.set()
        for thread in threads:
            thread.join()
        assert (outcomes, failed) == ([0] * 5, [])
        assert sum(size < 0 for size in sizes(database)) == 5


def test_scrub_leaves_nothing_in_the_write_ahead_log(path: Path) -> None:
    """Deleted bytes are overwritten in the file, and gone from the log."""
    with opened(path) as database:
        with database.writing() as connection:
            connection.execute("INSERT INTO checkpoints VALUES (1, 0, 'SECRET')")
        with database.writing() as connection:
            connection.execute("DELETE FROM checkpoints")
        assert "SECRET" in Path(f"{path}-wal").read_text("latin-1")
        database.scrub()
        for each in path.parent.iterdir():
            # Another process looks: closing the file here would let go of this one's locks.
            assert (
                run("import sys; sys.exit(b'SECRET' in open(sys.argv[1], 'rb').read())", each).returncode == 0
            )
        with pytest.raises(DatabaseError, match="after `writing`"), database.writing():
            database.scrub()


def test_many_processes_count_together(path: Path) -> None:
    """Nobody is turned away, and nothing is missed."""
    script = """
import sys
from agentic._database import Database
database = Database(sys.argv[1], durability="process")
for _ in range(250):
    with database.writing() as connection:
        connection.execute("UPDATE checkpoints SET at = at + 1")
database.close()
"""
    with opened(path) as database:
        with database.writing() as connection:
            add(connection, 1)
        children = [subprocess.Popen([sys.executable, "-c", script, str(path)]) for _ in range(4)]
        assert [child.wait() for child in children] == [0] * 4
        with database.reading() as connection:
            assert connection.execute("SELECT at FROM checkpoints").fetchone() == (1000,)


def test_processes_make_the_file_together(path: Path) -> None:
    """Whoever comes first; the others find it made."""
    script = "import sys; from agentic._database import Database; Database(sys.argv[1]).close()"
    children = [subprocess.Popen([sys.executable, "-c", script, str(path)]) for _ in range(4)]
    assert [child.wait() for child in children] == [0] * 4
    with opened(path) as database:
        assert sizes(database) == []


class Failing(sqlite3.Connection):
    """A connection whose system fails at statements that begin with what was set."""

    at: tuple[str, ...] = ()
    code = sqlite3.SQLITE_IOERR_FSYNC

    def execute(self, sql: str, *args: object) -> sqlite3.Cursor:  # type: ignore[override]
        if self.at and sql.startswith(self.at):
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self.code
            raise error
        return super().execute(sql, *args)  # type: ignore[arg-type]


def failing(database: Database) -> Failing:
    """Give a database such a connection to write with."""
    with database.alone() as connection:
        connection.close()
    made = sqlite3.connect(database.path, isolation_level=None, check_same_thread=False, factory=Failing)
    database._writer = made
    return made


@pytest.mark.parametrize("level", LEVELS)
def test_a_commit_that_the_disk_refuses_did_not_happen(path: Path, level: str) -> None:
    """It is undone, and the connection is not used again: asked twice the system may say that all is well."""
    with opened(path, level) as database:
        told = Told()
        database.join(told)
        broken = failing(database)
        broken.at = ("COMMIT", "ROLLBACK")
        with pytest.raises(DatabaseError, match="see to the disk"), database.writing() as connection:
            add(connection, 1)
        assert told.heard == [True, "undo"]
        assert database._writer is None
        with pytest.raises(sqlite3.ProgrammingError):
            broken.execute("SELECT 1")
        with database.writing() as connection:
            assert connection is not broken
            add(connection, 2)
        assert told.heard == [True, "undo", True]
        assert sizes(database) == [2]


def test_a_sync_that_fails_for_earlier_commits_stops_all_writing(path: Path) -> None:
    """They were acknowledged, and may never reach the disk: whoever opens the database again knows it."""
    with opened(path, Durability("bounded", bound_ms=60_000)) as database:
        with database.writing() as connection:
            add(connection, 1)
        failing(database).at = ("COMMIT",)
        with pytest.raises(DatabaseError, match="see to the disk"), database.writing() as connection:
            add(connection, 2)
        with pytest.raises(DatabaseError, match="open the database again"), database.writing():
            raise AssertionError
        assert sizes(database) == [1]


def test_a_read_that_fails_gives_the_connection_up(path: Path) -> None:
    """The next is made anew."""
    with opened(path) as database:
        broken = failing(database)
        broken.at, broken.code = ("SELECT",), sqlite3.SQLITE_IOERR_READ
        with pytest.raises(DatabaseError, match="disk"), database.alone() as connection:
            connection.execute("SELECT 1")
        with database.alone() as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        broken = failing(database)
        broken.at, broken.code = ("SELECT",), sqlite3.SQLITE_ERROR
        with pytest.raises(DatabaseError, match="see the cause"), database.alone() as connection:
            connection.execute("SELECT 1")
        assert database._writer is broken


def test_a_fork_that_python_was_not_told_of_is_noticed(path: Path) -> None:
    """Another process id: whatever is open is the parent's."""
    database = Database(path, durability="process")
    try:
        with database.reading():
            pass
        database._pid = -1
        for use in (database.reading, database.writing, database.alone):
            with pytest.raises(DatabaseError, match="forked while"), use():
                raise AssertionError
        with pytest.raises(DatabaseError, match="forked while"):
            Database(path)
        database.close()
    finally:
        _database._CARRIED.discard(str(path))


def test_a_reader_of_before_the_fork_is_left_alone(path: Path) -> None:
    """The child may leave `reading` in any way, and the connection stays the parent's."""
    with opened(path) as database, database.reading() as outer:
        with database.reading() as inner:
            database._busy.clear()  # as in the child
            assert inner is not outer
        inner.execute("SELECT 1")
        with pytest.raises(ZeroDivisionError), database.reading() as inner:
            database._busy.clear()
            raise ZeroDivisionError
        inner.execute("SELECT 1")
        inner.close()


def test_a_place_that_processes_cannot_share_is_refused(path: Path) -> None:
    """SQLite answers with another journal mode; or it is busy, for it does not wait there."""
    connection = sqlite3.connect(":memory:")
    with contextlib.closing(connection), pytest.raises(DatabaseError, match="not on a network"):
        _sqlite._share(connection, "there", 0.0)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(DatabaseBusyError):
            Database(path, wait=0.01)


def test_who_waits_for_a_while_goes_first(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has just written waits for who holds the turnstile; without locks everybody just tries."""
    with opened(path) as database, opened(path, wait=0.05) as other:
        assert database._turnstile._pass()
        with other.writing():  # in the end it tries all the same
            assert not other._turnstile._pass()
        database._turnstile._let_pass()
        monkeypatch.setattr(_sqlite, "_PATIENCE_S", 0.0)
        with database.writing(), pytest.raises(DatabaseBusyError), other.writing():
            raise AssertionError
        assert database._turnstile._pass()
        database._turnstile._let_pass()
    monkeypatch.setattr(_sqlite, "fcntl", None)
    with (
        opened(path) as one,
        opened(path, wait=0.0) as two,
        one.writing(),
        pytest.raises(DatabaseBusyError),
        two.writing(),
    ):
        raise AssertionError
