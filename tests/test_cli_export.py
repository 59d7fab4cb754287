"""``export``: records get out whole, without what is personal unless that is asked for."""

from __future__ import annotations

import io
import json
import math
import os
import shutil
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet
import pytest

import shops
from agentic import _cli
from agentic.arrays import Block
from agentic.provenance import DurableLog
from durable import changed, decisions, opened, outcomes, rewards, surrogate

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("shop") / "agent.db"
    shops.filled(path)
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def called(*words: object) -> tuple[int, str, str]:
        code = _cli.main(list(map(str, words)))
        out, err = capsys.readouterr()
        return code, out, err

    return called


def lines(path: Path) -> tuple[list[dict[str, Any]], dict[int, Any]]:
    """Records, and metas by number."""
    found = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    metas = {line["meta_id"]: line["meta"] for line in found if "meta" in line}
    return [line for line in found if "meta" not in line], metas


def hexed(pair: tuple[int, int]) -> str:
    return f"{pair[0]:016x}{pair[1]:016x}"


def written(path: Path) -> DurableLog:
    """A log of several kinds, of values that are hard to write, erased in part."""
    _, log = opened(path)
    log.append(decisions([1, 2, 3], at=100))
    log.append(outcomes([0, 1]))
    log.append(rewards([0]))
    odd: dict[str, Any] = {
        "number": np.array([1.5, math.nan, math.inf, -0.0]),
        "table": np.array([[1.0, math.nan]] * 4),
        "flag": np.array([True, False, True, False]),
        "word": np.array([2**64 - 1, 0, 1, 2], dtype=np.uint64),
        "day": np.array(["2026-11-23"] * 4, dtype="datetime64[D]"),
        "raw": np.array([b"a", b"\xff", b"", b"b"], dtype="S2"),
        "wave": np.array([1j, 2, 3, 4]),
        "nobody": np.zeros((4, 0)),
    }
    log.append(Block("odd", odd, {"public": list(odd), "text": "ü\u2028"}))
    log.erase([surrogate(2)])
    return log


def test_lines_tell_what_was_appended(run: Run, tmp_path: Path) -> None:
    """Each record with its number, kind and values; metas once per change; the same bytes each time."""
    log = written(tmp_path / "a.db")
    assert run("export", log.database.path, "--out", tmp_path / "a.jsonl", "--personal")[0] == 0
    found, metas = lines(tmp_path / "a.jsonl")
    assert [each["position"] for each in found] == list(range(10))
    assert [each["kind"] for each in found] == ["decision"] * 3 + ["outcome"] * 2 + ["reward"] + ["odd"] * 4
    assert len(metas) == 2
    assert metas[found[-1]["meta_id"]]["text"] == "ü\u2028"
    assert found[0]["columns"] == {
        "action": [1],
        "at": 100,
        "key": 7_000_000_008,
        "note": "secret-person-1",
        "status": [0, 0],
        "surrogate": hexed(surrogate(1)),
        "values": [1.1, 3.0],
    }
    assert found[1]["columns"]["note"] == ""
    assert found[1]["columns"]["values"] == ["nan", "nan"]
    odd = [each["columns"] for each in found[6:]]
    assert [each["number"] for each in odd] == [1.5, "nan", "inf", -0.0]
    assert odd[0]["table"] == [1.0, "nan"]
    assert odd[0]["flag"] is True
    assert (odd[0]["word"], odd[0]["day"], odd[0]["raw"], odd[1]["raw"]) == (2**64 - 1, 20780, "61", "ff")
    assert (odd[0]["wave"], odd[0]["nobody"]) == (["0.0", "1.0"], [])
    assert run("export", log.database.path, "--out", tmp_path / "b.jsonl", "--personal")[0] == 0
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()


def test_nothing_personal_comes_along_unasked(run: Run, left: Path, tmp_path: Path) -> None:
    """Neither ids nor values; who is meant can be told apart by surrogates. The vault is not even read."""
    path = shutil.copy(left, tmp_path / "a.db")
    for name in ("a.jsonl", "a.parquet"):
        assert run("export", path, "--out", tmp_path / name)[0] == 0
        assert b"anna" not in (tmp_path / name).read_bytes()
    found, _ = lines(tmp_path / "a.jsonl")
    asked = [each["columns"] for each in found if each["kind"] == "decision"]
    assert len(asked) == 80
    assert len({each["surrogate"] for each in asked}) == 40
    assert not {"subject", "key", "values", "tag", "ticket"} & set(asked[0])
    names = pyarrow.parquet.read_schema(tmp_path / "a.parquet").names
    assert not {"subject", "key", "values", "tag", "ticket"} & set(names)
    database, log = opened(Path(path))
    changed(database, "UPDATE vault SET digest = x'00'")
    assert len(list(log.read_public())) > 0
    database.close()
    assert run("export", path, "--out", tmp_path / "b.jsonl")[0] == 0
    assert run("export", path, "--out", tmp_path / "c.jsonl", "--personal")[0] == 1
    assert not (tmp_path / "c.jsonl").exists()


def test_one_kind_from_a_number_on(run: Run, tmp_path: Path) -> None:
    """The block that holds it is cut."""
    log = written(tmp_path / "a.db")
    for more, want in {
        (): list(range(10)),
        ("--kind", "decision"): [0, 1, 2],
        ("--since", "1"): list(range(1, 10)),
        ("--since", "1", "--kind", "decision"): [1, 2],
        ("--since", "1", "--kind", "decision", "--personal"): [1, 2],
        ("--since", "4", "--personal"): list(range(4, 10)),
        ("--since", "99"): [],
        ("--kind", "nothing"): [],
    }.items():
        assert run("export", log.database.path, "--out", tmp_path / "a.jsonl", *more)[0] == 0
        assert [each["position"] for each in lines(tmp_path / "a.jsonl")[0]] == want
    assert run("export", log.database.path, "--out", tmp_path / "a.jsonl", "--since", "-1")[0] == 2
    assert run("export", log.database.path, "--out", tmp_path / "a.parquet", "--kind", "nothing")[0] == 0
    assert pyarrow.parquet.read_table(tmp_path / "a.parquet").num_rows == 0


def test_parquet_and_lines_tell_the_same(run: Run, left: Path, tmp_path: Path) -> None:
    """Read back by pyarrow: the same records, the same values."""
    for name in ("a.jsonl", "a.parquet"):
        assert run("export", left, "--out", tmp_path / name, "--personal")[0] == 0
    found, metas = lines(tmp_path / "a.jsonl")
    table = pyarrow.parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert len(found) == len(table) == 182
    for line, row in zip(found, table, strict=True):
        assert (line["position"], line["kind"]) == (row["position"], row["kind"])
        assert metas[line["meta_id"]] == json.loads(row["meta"])
        for name, value in line["columns"].items():
            told = row[name]
            if name == "values":
                told = ["nan" if math.isnan(each) else each for each in told]
            elif isinstance(told, float) and math.isnan(told):
                told = "nan"
            assert told == value, name
        assert all(
            row[name] is None for name in set(row) - set(line["columns"]) - {"position", "kind", "meta"}
        )


def test_many_records_go_out_in_groups(run: Run, tmp_path: Path) -> None:
    """Row groups have up to 65,536 rows and a bit, so that memory is bounded."""
    database, log = opened(tmp_path / "a.db")
    for at in range(0, 150_000, 50_000):
        log.append(rewards(list(range(at, at + 50_000))))
    database.close()
    assert run("export", tmp_path / "a.db", "--out", tmp_path / "a.parquet")[1].endswith("150,000 records\n")
    found = pyarrow.parquet.ParquetFile(tmp_path / "a.parquet")
    assert found.metadata.num_row_groups > 1
    sizes = [found.metadata.row_group(at).num_rows for at in range(found.metadata.num_row_groups)]
    assert max(sizes) < 70_000
    assert found.read().column("decision").to_pylist() == list(range(150_000))


def test_files_are_written_whole_or_not_at_all(run: Run, left: Path, tmp_path: Path) -> None:
    """What was there stays when it fails; and only the owner reads what comes."""
    out = tmp_path / "a.jsonl"
    out.write_text("before", encoding="utf-8")
    path = shutil.copy(left, tmp_path / "a.db")
    database, _ = opened(Path(path))
    changed(database, "UPDATE blocks SET digest = x'00' WHERE first = (SELECT max(first) FROM blocks)")
    database.close()
    for name in ("a.jsonl", "b.parquet"):
        code, _, err = run("export", path, "--out", tmp_path / name)
        assert code == 1
        assert "not as they were written" in err
    assert out.read_text(encoding="utf-8") == "before"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.db", "a.db-turn", "a.jsonl"]
    assert run("export", left, "--out", out)[0] == 0
    if os.name == "posix":
        assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_links_and_other_things_are_refused(run: Run, left: Path, tmp_path: Path) -> None:
    """A link may lead anywhere; a format that nobody knows is told before any work."""
    (tmp_path / "link.jsonl").symlink_to(tmp_path / "target")
    (tmp_path / "folder.jsonl").mkdir()
    for name in ("link.jsonl", "folder.jsonl", "no/such/a.jsonl", "a.csv", "a\0.jsonl"):
        code, out, err = run("export", left, "--out", tmp_path / name)
        assert (code, out) == (2, "")
        assert err.startswith("agentic export: cannot ")
    assert not (tmp_path / "target").exists()


def test_a_terminal_sees_how_far_it_is(
    run: Run, left: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On standard error, wiped out at the end."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    assert run("export", left, "--out", tmp_path / "a.jsonl")[0] == 0
    assert "100 %" in screen.getvalue()
    assert screen.getvalue().endswith("\r")
