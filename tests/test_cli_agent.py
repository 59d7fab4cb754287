"""``replay``: an application's agent against what its file says."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import shops
from agentic import Agent, _cli

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    path = tmp_path_factory.mktemp("shop") / "agent.db"
    return path, shops.filled(path)


@pytest.fixture
def path(left: tuple[Path, list[str]], tmp_path: Path) -> str:
    """A copy of one's own."""
    return str(shutil.copy(left[0], tmp_path / "agent.db"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def called(*words: str) -> tuple[int, str, str]:
        code = _cli.main(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    return called


def test_the_same_application_decides_the_same(run: Run, left: tuple[Path, list[str]], path: str) -> None:
    """All decisions, or one; the file stays as it is, though opening an agent writes."""
    before = Path(path).read_bytes()
    assert run("replay", path, "--agent", "shops:make") == (
        0,
        "80 decisions decided again: 80 came out the same\n",
        "",
    )
    code, out, _ = run("replay", path, "--agent", "shops:make", "--decision", left[1][0], "--json")
    assert code == 0
    assert json.loads(out)["same"] == json.loads(out)["decisions"] == 1
    assert Path(path).read_bytes() == before
    assert [each.name for each in Path(path).parent.iterdir()] == ["agent.db"]


def test_another_application_is_told(run: Run, path: str) -> None:
    """Exit code 1, and what differs."""
    code, out, _ = run("replay", path, "--agent", "shops:other", "--json")
    assert code == 1
    assert json.loads(out)["verdicts"] == {"actions_differ": 80}
    assert len(json.loads(out)["findings"]) == 80


def test_another_policy_is_weighed(run: Run, path: str) -> None:
    """What it would have changed is no failure."""
    code, out, _ = run("replay", path, "--agent", "shops:make", "--policy", "uniform")
    assert code == 0
    assert "with the other policy" in out
    assert run("replay", path, "--agent", "shops:make", "--policy", "uniform", "--json")[0] == 0
    code, _, err = run("replay", path, "--agent", "shops:make", "--policy", "unifrom")
    assert code == 2
    assert "no policy 'unifrom'" in err


def test_a_decision_becomes_a_test(run: Run, left: tuple[Path, list[str]], path: str, tmp_path: Path) -> None:
    """A file that names the factory; it needs a decision."""
    out = tmp_path / "test_it.py"
    words = ["replay", path, "--agent", "shops:make", "--as-test", str(out)]
    code, told, _ = run(*words, "--decision", left[1][0])
    assert code == 0
    assert str(out) in told
    assert "shops" in out.read_text(encoding="utf-8")
    assert run(*words)[0] == 2
    assert run(*words, "--decision", left[1][0], "--policy", "uniform")[0] == 2
    assert run(*words, "--decision", "0" * 32)[0] == 1
    words[3] = "shops:other"
    code, _, err = run(*words, "--decision", left[1][0])
    assert code == 2
    assert "without arguments" in err


@pytest.mark.parametrize(
    ("factory", "told"),
    [
        (None, "needs your application"),
        ("shops", "as package.module:function"),
        ("shops:make()", "as package.module:function"),
        ("../shops:make", "as package.module:function"),
        ("no_such_module:make", "No module named 'no_such_module'"),
        ("shops:none", "has no attribute 'none'"),
        ("shops:NUMBER", "no function"),
        ("shops:nothing", "returned a str, expected an open Agent"),
        ("shops:broken", "shops:broken failed: RuntimeError"),
    ],
    ids=str,
)
def test_factories_that_are_none(run: Run, path: str, factory: str | None, told: str) -> None:
    """Exit code 2, one line, no traceback."""
    code, out, err = run("replay", path, *([] if factory is None else ["--agent", factory]))
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_a_factory_without_arguments_opens_the_file_itself(
    run: Run, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If it opens another one, or none, that is told."""
    monkeypatch.setattr(shops, "nothing", lambda: shops.make(path))
    assert run("replay", path, "--agent", "shops:nothing")[0] == 0
    monkeypatch.setattr(shops, "nothing", lambda: shops.make(str(tmp_path / "b.db")))
    code, _, err = run("replay", path, "--agent", "shops:nothing")
    assert code == 2
    assert "have it take the path" in err
    monkeypatch.setattr(shops, "nothing", partial(shops.make, None))
    assert run("replay", path, "--agent", "shops:nothing")[0] == 2


def test_the_list_of_erasures_is_heeded(run: Run, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies beside the file lies beside the copy."""
    Path(f"{path}.erased").write_bytes(b"")
    seen: list[bool] = []

    def made(copy: str) -> Agent:
        seen.append(Path(f"{copy}.erased").exists() and copy != path)
        return shops.make(copy)

    monkeypatch.setattr(shops, "broken", made)
    assert run("replay", path, "--agent", "shops:broken")[0] == 0
    assert seen == [True]


def test_an_application_is_found_where_one_stands(path: str, tmp_path: Path) -> None:
    """Also by the script, which has no folder on its path."""
    (tmp_path / "my_shop.py").write_text(Path(shops.__file__).read_text(encoding="utf-8"), encoding="utf-8")
    program = (
        "import sys; sys.path[:] = [each for each in sys.path if each]; from agentic._cli import main;"
        " sys.exit(main())"
    )
    words = [sys.executable, "-c", program, "replay", path, "--agent", "my_shop:make"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
