"""Bytes that an attacker wrote into the file, with checks that fit: they are data, and never run."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import pickle
import random
import resource
import shutil
import signal
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agentic import ConsentGranted
from agentic._sqlite import APPLICATION_ID, digest
from agentic.errors import AgenticError, DamagedError, DatabaseError, ForeignDatabaseError
from agentic.provenance._headers import Header
from agentic.provenance._pieces import block_digest, vault_digest
from agentic.state._shelf import _digest as policy_digest
from torture.content import content, filled
from torture.scene import opened

DEEP = "[" * 100_000
LONG_S = 30
MOST_KB = 400_000


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in which every table that an agent fills has rows."""
    path = tmp_path_factory.mktemp("whole") / "agent.db"
    filled(path).close()
    copy = path.with_name("copy.db")
    shutil.copy(path, copy)
    content(copy)  # whatever is imported late, is imported now
    return path


class _Pickled:
    """What a pickle would run if anybody loaded it."""

    def __reduce__(self) -> Any:
        return exec, ("import this",)


def values(dice: random.Random) -> list[Any]:
    """What no column should hold."""
    return [
        None,
        0,
        -1,
        2**63 - 1,
        -(2**63),
        1.5,
        "",
        "x\x00y",
        "decision",
        DEEP,
        "{" * 50_000,
        '{"a":' * 3_000,
        '"\\ud800"',
        b"",
        b"\xed\xa0\x80",
        dice.randbytes(dice.choice([1, 31, 32, 33, 4096])),
        DEEP.encode(),
        pickle.dumps(_Pickled()),
        b"\xff" * 40,
        (2**31 - 1).to_bytes(4, "little") + b"\x7f" * 64,  # a billion names in a few bytes
        (2**30).to_bytes(8, "little") * 4,
        json.dumps([[["x"] * 10] * 10]).encode(),
        b"1e999",
        b'{"seq": 99999999999999999999, "pages": [[1, 1e400]]}',
        b'[9223372036854775807, -1, "x"]',
    ]


def mangled(dice: random.Random, told: Any) -> Any:
    """JSON with one of its parts replaced by something else."""
    odd = [
        None,
        True,
        -1,
        2**70,
        1e308,
        "",
        "x" * 300,
        "\ud800",
        [],
        {},
        [[[]]],
        "|O",
        "<f8",
        "text:999999999",
        "<U9",
    ]
    odd += [
        "builtins.exec",
        "os.system",
        {"kept": "builtins.exec"},
        {"object": ["os:system", {}]},
        ["a", "|O", "<i8"],
    ]
    if not isinstance(told, list | dict) or not told or dice.random() < 0.15:
        return dice.choice(odd)
    if isinstance(told, list):
        at = dice.randrange(len(told))
        if dice.random() < 0.1:
            return told[:at] + told[at + 1 :] if dice.random() < 0.5 else told + told
        return [mangled(dice, part) if place == at else part for place, part in enumerate(told)]
    key = dice.choice(sorted(told))
    if dice.random() < 0.1:
        return {name: part for name, part in told.items() if name != key}
    return {name: mangled(dice, part) if name == key else part for name, part in told.items()}


def _json_of(dice: random.Random, raw: Any) -> Any:
    """The same JSON with a part replaced, as the same type; nothing where it is none."""
    text = raw.decode("utf-8", "replace") if isinstance(raw, bytes) else raw
    start = text.find("{") if isinstance(text, str) else -1
    for begin in sorted({0, max(start, 0)}):
        try:
            told, end = json.JSONDecoder().raw_decode(text, begin)
        except (ValueError, TypeError, RecursionError):
            continue
        said = (
            text[:begin] + json.dumps(mangled(dice, told), separators=(",", ":"), sort_keys=True) + text[end:]
        )
        return said.encode("latin-1", "replace") if isinstance(raw, bytes) else said
    return None


class Forger:
    """Writes into a database what it likes, and makes the checks that fit."""

    def __init__(self, path: Path, dice: random.Random) -> None:
        self._dice = dice
        self._file = sqlite3.connect(path, isolation_level=None)
        self._file.row_factory = sqlite3.Row
        self.tables = {
            name: [row[1] for row in self._file.execute(f"PRAGMA table_info({name})")]
            for (name,) in self._file.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table'"
            ).fetchall()
            if not name.startswith("sqlite_stat")
        }

    def forge(self) -> str | None:
        """Change a value somewhere; say what was done, or nothing where SQLite itself refuses."""
        dice = self._dice
        table = dice.choice([name for name in self.tables if self._rows(name)])
        row: dict[str, Any] = dict(dice.choice(self._rows(table)))
        column = dice.choice(self.tables[table])
        old = row[column]
        if table == "meta" and column == "value":
            old = old[32:]
        new = _json_of(dice, old) if dice.random() < 0.5 else None
        if new is None:
            new = dice.choice(values(dice))
        key = {name: row[name] for name in self._key(table)}
        row[column] = new
        checked = dice.random() < 0.8 and self._check(table, row)
        where = " AND ".join(f"{name} IS ?" for name in key)
        marks = ", ".join("?" * len(row))
        try:
            self._file.execute(f"DELETE FROM {table} WHERE {where}", tuple(key.values()))
            self._file.execute(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", tuple(row.values()))
            if table == "headers" and checked:
                self._sign_blocks()
        except (sqlite3.IntegrityError, UnicodeEncodeError, OverflowError, sqlite3.InterfaceError):
            return None
        return f"{table}.{column} = {new!r:.80}{' with its check' if checked else ''}"

    def close(self) -> None:
        self._file.close()

    def _rows(self, table: str) -> list[Any]:
        return self._file.execute(f"SELECT * FROM {table}").fetchall()

    def _key(self, table: str) -> list[str]:
        found = self._file.execute(f"PRAGMA table_info({table})").fetchall()
        return [row[1] for row in found if row[5]] or [row[1] for row in found]

    def _check(self, table: str, row: dict[str, Any]) -> bool:
        """Make the check of a row fit what it says, if that can be done."""
        try:
            if table == "meta":
                row["value"] = digest("meta", row["key"], row["value"]) + row["value"]
            elif table == "journal":
                rows = "" if row["rows"] is None else row["rows"]
                row["digest"] = digest("journal", row["seq"], row["layout"], row["names"], rows)
            elif table == "pages":
                row["digest"] = digest("pages", *(row[name] for name in self.tables["pages"][:-1]))
            elif table == "layouts":
                row["digest"] = digest("layouts", row["name"], row["descr"])
            elif table == "policies":
                row["digest"] = policy_digest(row["agent"], row["version"], row["template"], row["body"])
            elif table == "headers":
                row["digest"] = hashlib.sha256(row["body"]).digest()
            elif table == "vault":
                row["digest"] = vault_digest(row["first"], row["fixed"], row["personal"], row["salts"])
            elif table == "blocks":
                row["digest"] = self._block_check(row)
            else:
                return False
        except Exception:  # noqa: BLE001 - what is forged may be anything: then it keeps the check it had
            return False
        return True

    def _block_check(self, row: Any) -> bytes:
        (body, told) = self._file.execute(
            "SELECT body, digest FROM headers WHERE id = ?", (row["header"],)
        ).fetchone()
        return block_digest(row["first"], row["count"], Header.read(body, told), row["fixed"], row["public"])

    def _sign_blocks(self) -> None:
        for row in self._rows("blocks"):
            try:
                told = self._block_check(row)
            except Exception:  # noqa: BLE001 - likewise
                continue
            self._file.execute("UPDATE blocks SET digest = ? WHERE first = ?", (told, row["first"]))


def _alarm(*_: object) -> None:
    raise TimeoutError(f"longer than {LONG_S} s")


def test_forged_rows_are_refused_or_read_but_never_run(
    whole: Path, tmp_path: Path, time_to_spend: Any
) -> None:
    """Whatever stands in a row: an error of ours or a value, no import, in bounded time and room."""
    dice, told = random.Random(8), Counter[str]()
    path, before = tmp_path / "agent.db", set(sys.modules)
    room = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.signal(signal.SIGALRM, _alarm)
    until = time.monotonic() + time_to_spend.share(0.2)
    try:
        while time.monotonic() < until:
            for end in ("", "-wal", "-shm"):
                Path(f"{path}{end}").unlink(missing_ok=True)
            shutil.copy(whole, path)
            forger = Forger(path, dice)
            what = [done for done in (forger.forge() for _ in range(dice.choice([1, 1, 1, 2, 3]))) if done]
            forger.close()
            signal.alarm(LONG_S)
            try:
                content(path)
            except AgenticError as error:
                told[type(error).__name__] += 1
            except Exception as error:
                raise AssertionError(f"{what}: {type(error).__name__} is no word of ours") from error
            else:
                told["read"] += 1
            finally:
                signal.alarm(0)
    finally:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
    imported = {name for name in set(sys.modules) - before if not name.startswith("agentic.")}
    assert imported <= {"_strptime"}, imported
    assert "this" not in sys.modules
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - room < MOST_KB
    print(f"{sum(told.values())} forged files: {dict(told)}")


def _version(number: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        opened(path).close()
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(f"PRAGMA user_version = {number}")

    return make


def _of_another_program(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE blocks(id INTEGER PRIMARY KEY)")
        connection.execute("INSERT INTO blocks VALUES (1)")


def _with_our_mark(path: Path) -> None:
    _of_another_program(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("PRAGMA user_version = 1")


def _with(statement: str) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        filled(path).close()
        with opened(path) as agent:  # so that there is a journal again
            agent.tell_many(["customer-1", "customer-2"], ConsentGranted("marketing"))
            agent.decide("customer-1")
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement)

    return make


def _link(path: Path) -> None:
    opened(path.with_name("real.db")).close()
    path.symlink_to(path.with_name("real.db"))


STRANGERS: dict[str, tuple[Callable[[Path], Any], type[Exception]]] = {
    "schema of no version": (_version(0), ForeignDatabaseError),
    "schema of the next version": (_version(2), ForeignDatabaseError),
    "schema of a far version": (_version(99), ForeignDatabaseError),
    "another program's": (_of_another_program, ForeignDatabaseError),
    "another program's with our mark": (_with_our_mark, DamagedError),
    "a pickle": (lambda path: path.write_bytes(pickle.dumps(_Pickled())), ForeignDatabaseError),
    "a text": (lambda path: path.write_text("customer,sent\n" * 2000), ForeignDatabaseError),
    "a folder": (Path.mkdir, DatabaseError),
    "a pipe": (os.mkfifo, DatabaseError),
    "a link": (_link, DatabaseError),
    "one with a trigger": (
        _with("CREATE TRIGGER t AFTER INSERT ON blocks BEGIN DELETE FROM vault; END"),
        DamagedError,
    ),
    "one with a view": (_with("CREATE VIEW v AS SELECT * FROM blocks"), DamagedError),
    "one without a table": (_with("DROP TABLE vault"), DamagedError),
    "one whose pages nobody notes": (_with("DELETE FROM meta WHERE key = 'state'"), DamagedError),
    "one without a journal": (_with("DELETE FROM journal"), DamagedError),
    "one without the last row of the journal": (
        _with("DELETE FROM journal WHERE seq = (SELECT max(seq) FROM journal)"),
        DamagedError,
    ),
    "one without the policy in charge": (
        _with("DELETE FROM policies WHERE rowid = (SELECT max(rowid) FROM policies)"),
        DamagedError,
    ),
    "one without a block": (
        _with("DELETE FROM blocks WHERE first = (SELECT first FROM blocks ORDER BY first LIMIT 1 OFFSET 2)"),
        DamagedError,
    ),
}


@pytest.mark.parametrize("kind", STRANGERS)
def test_what_is_no_agents_file_is_refused_and_left_alone(kind: str, tmp_path: Path) -> None:
    """It is refused by an error that says what it is, and not a byte of it is changed."""
    make, error = STRANGERS[kind]
    path = tmp_path / "agent.db"
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    with pytest.raises(error) as raised:
        content(path)
    assert str(path) in str(raised.value) or isinstance(raised.value, DamagedError)
    assert before == (path.read_bytes() if path.is_file() else b"")


def test_an_empty_file_is_a_new_one(tmp_path: Path) -> None:
    """A crash between making the file and making its tables leaves one: it is taken up."""
    path = tmp_path / "agent.db"
    path.touch()
    with opened(path) as agent:
        assert len(agent.log) == 1  # who is in charge
