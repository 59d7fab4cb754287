"""``evaluate``: what other policies would have earned by the log in a file, from a terminal."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

import shops
from agentic import ConsentGranted, _cli
from agentic.policies import Fixed

Run = Callable[..., tuple[int, str, str]]


def silent() -> Fixed:
    return Fixed("no_action")


def failing() -> Fixed:
    raise RuntimeError("no such model")


def filled(path: Path, n: int) -> None:
    with shops.make(str(path)) as agent:
        names = [f"anna-{i}" for i in range(n)]
        agent.tell_many(names, ConsentGranted("marketing"), now=shops.START)
        ids = agent.decide_many(names, {"age": [float(i % 90) for i in range(n)]}, now=shops.START).ids
        agent.record_many(ids[::3], "purchase", at=shops.START + timedelta(hours=1))
        agent.learn(now=shops.START + timedelta(days=4))


SMS = Fixed("sms")
NUMBER = 5


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 400 decisions with final rewards."""
    path = tmp_path_factory.mktemp("shop") / "agent.db"
    filled(path, 400)
    return path


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], left: Path) -> Run:
    def called(*words: str, agent: str | None = "shops:make") -> tuple[int, str, str]:
        more = [] if agent is None else ["--agent", agent]
        code = _cli.main(["evaluate", str(left), *more, *words])
        out, err = capsys.readouterr()
        return code, out, err

    return called


def test_policies_are_compared(run: Run, left: Path) -> None:
    """By plugin, by name in the application, by function; under titles; the file stays as it is."""
    before = left.read_bytes()
    code, out, err = run(
        *("--policy", "uniform", "--policy", "test_cli_evaluate:SMS"),
        *("--policy", "silence=test_cli_evaluate:silent", "--estimator", "snipw"),
    )
    assert (code, err) == (0, "")
    assert out.startswith("shop: reward per decision, 400 decisions, 95 % intervals\n")
    for name in ("as logged", "uniform", "silence"):
        assert name in out
    assert left.read_bytes() == before


def test_the_policy_in_charge_is_judged_by_default(run: Run) -> None:
    """It may have learned from all of it, and that is said."""
    code, out, _ = run("--level", "0.9")
    assert code == 0
    assert "in charge: the policy may have learned from 400 of these 400 rows" in out
    assert "90 % intervals" in out


def test_segments_and_documents(run: Run, tmp_path: Path) -> None:
    """Quarters and bins; JSON printed or written, a drawing and a page."""
    svg, page, facts = (tmp_path / name for name in ("a.svg", "a.html", "a.json"))
    words = ["--policy", "uniform", "--by", "age=30,60", "--by", "arm"]
    code, out, _ = run(*words, "--svg", str(svg), "--html", str(page), "--json", str(facts))
    assert code == 0
    assert "age: 30 to 60" in out
    assert ET.fromstring(svg.read_text(encoding="utf-8")).tag.endswith("svg")
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    told = json.loads(facts.read_text(encoding="utf-8"))
    code, out, _ = run(*words, "--json")
    assert json.loads(out) == told
    assert {row["by"] for row in told["rows"]} == {"", "age", "arm"}


def test_without_support_the_exit_code_is_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of nine decisions nobody can tell anything: the table says so in words, and a script hears of it."""
    path = tmp_path / "few.db"
    filled(path, 9)
    code = _cli.main(
        ["evaluate", str(path), "--agent", "shops:make", "--policy", "uniform", "--estimator", "ipw"]
    )
    assert code == 1
    assert "insufficient support" in capsys.readouterr().out


def test_intervals_can_be_chosen(run: Run) -> None:
    """Those that need every row as well."""
    words = ["--interval", "empirical-likelihood", "--reward-range", "0", "1", "--estimator", "ipw"]
    assert run(*words, "--policy", "uniform")[0] == 0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--policy", "unifrom"], "no policy 'unifrom'"),
        (["--policy", "test_cli_evaluate:nobody"], "has no attribute 'nobody'"),
        (["--policy", "no_such_module:x"], "No module named"),
        (["--policy", "../x:y"], "--policy names a function"),
        (["--policy", "test_cli_evaluate:NUMBER"], "no policy, and no function"),
        (["--policy", "test_cli_evaluate:failing"], "RuntimeError"),
        (["--policy", "shops:nothing"], "not a policy"),
        (["--policy", "uniform", "--policy", "uniform"], "two policies are called"),
        (["--by", "age=x"], "as in age=18,30,50"),
        (["--svg", "no/such/folder.svg"], "cannot write"),
    ],
    ids=lambda one: one[-1] if isinstance(one, list) else None,
)
def test_wrong_use_is_told_in_one_line(run: Run, words: list[str], told: str) -> None:
    """Exit code 2, nothing printed, no traceback."""
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert told in err
    assert err.count("\n") == 1


def test_what_cannot_be_estimated_is_told(run: Run) -> None:
    """Exit code 1: an unknown feature, a level out of range; without the application nothing can be done."""
    for words in (["--by", "ages"], ["--by", "action"], ["--level", "2"]):
        code, out, err = run(*words)
        assert (code, out) == (1, "")
        assert "expected" in err
    assert run(agent=None)[0] == 2
    assert run("--estimator", "magic")[0] == 2


def test_progress_is_shown_to_who_watches(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bar, wiped out at the end."""
    from agentic import _cli_evaluate

    monkeypatch.setattr(_cli_evaluate, "is_watched", lambda: True)
    code, _, err = run("--policy", "uniform")
    assert code == 0
    assert "weighing" in err
    assert err.endswith("\r")
