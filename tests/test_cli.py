"""``python -m agentic``: what it prints, what it refuses, and that it is the same every time."""

from __future__ import annotations

import contextlib
import io
import json
import pathlib
import runpy
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import agentic
from agentic import _cli, _demo, _plugins, _report, _terminal
from agentic.errors import ConfigurationError
from agentic.policies import Fixed
from agentic.provenance import MemoryLog
from agentic.simulation import campaign, simulate
from logs import small, work

SMALL = ["demo", "--customers", "400", "--weeks", "1"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def called(*words: str) -> tuple[int, str, str]:
        code = _cli.main(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    return called


@pytest.fixture(scope="module")
def report() -> str:
    """What the small demo prints, once."""
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert _cli.main(SMALL) == 0
    return out.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_command_it_says_what_it_can_do(run: Run) -> None:
    """No words print the help, and that is no error."""
    code, out, _ = run()
    assert code == 0
    assert "demo" in out
    assert "plugins" in out


def test_the_version_is_told(run: Run) -> None:
    """``--version`` prints name and version and ends well."""
    code, out, _ = run("--version")
    assert code == 0
    assert out.startswith("agentic ")


def test_the_version_is_told_from_source(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not installed, it says so instead of failing."""
    from importlib import metadata

    def gone(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", gone)
    assert run("--version")[1] == "agentic 0+source\n"
    assert agentic.__version__ == "0+source"


def test_the_report_tells_a_marketer_what_came_of_it(report: str) -> None:
    """Arms, intervals, budget, rules, an estimate beside the truth, one decision, a replay: on 60 lines."""
    for part in (
        "policy minus holdout",
        "policy minus random control",
        "95 % interval",
        "Budget of",
        "no consent",
        "quiet hours",
        "simulated truth",
        "verdict",
        "One decision explained",
        "decisions came out identically",
    ):
        assert part in report, part
    lines = report.splitlines()
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 110
    assert report.isascii()
    assert "\x1b" not in report


def test_the_same_seed_prints_the_same_bytes(run: Run, report: str) -> None:
    """Twice in a row the report is the same to the byte; another seed tells another story."""
    assert run(*SMALL) == (0, report, "")
    assert run(*SMALL, "--seed", "8")[1] != report


def test_json_tells_the_same_facts(run: Run, report: str) -> None:
    """One document, and the report is laid out from nothing else."""
    code, out, _ = run(*SMALL, "--json")
    assert code == 0
    facts = json.loads(out)
    assert _report.report(facts) + "\n" == report
    assert facts["replay"]["identical"] == facts["replay"]["decisions"] == facts["decisions"]
    assert sum(arm["customers"] for arm in facts["arms"].values()) <= 400
    assert facts["budget"]["spent"][0] <= facts["budget"]["per_week"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--customers", "0"], "customers must be a whole number from 1 to 200,000, got 0"),
        (["--customers", "-5"], "got -5"),
        (["--customers", "abc"], "expected a whole number such as 20000, got 'abc'"),
        (["--customers", "1e4"], "got '1e4'"),
        (["--customers", "10000000"], "got 10,000,000"),
        (["--weeks", "0"], "weeks must be"),
        (["--weeks", "53"], "weeks must be"),
        (["--customers", "200000", "--weeks", "52"], "must not exceed"),
        (["--seed", "-1"], "from 0 to 2^63 - 1"),
        (["--policy", "thomson"], "no policy 'thomson': choose one of beta_thompson, "),
        (["--colour"], "unrecognized arguments"),
    ],
)
def test_bad_values_are_refused_with_a_reason(run: Run, words: list[str], told: str) -> None:
    """Exit code 2, what was wrong on standard error, nothing on standard output, no traceback."""
    code, out, err = run("demo", *words)
    assert code == 2
    assert out == ""
    assert told in err
    assert "Traceback" not in err


def test_an_unknown_command_is_refused(run: Run) -> None:
    """Exit code 2, and the commands there are."""
    code, _, err = run("fly")
    assert code == 2
    assert "demo" in err


@pytest.mark.parametrize("name", _demo.policy_names())
def test_every_policy_in_the_box_can_run_the_demo(run: Run, name: str) -> None:
    """Each built-in policy is known by its short name, and needs no arguments here."""
    code, out, _ = run("demo", "--customers", "60", "--weeks", "1", "--policy", name)
    assert code == 0
    assert f"policy {name}" in out


def test_a_world_of_one_is_reported_as_far_as_it_goes(run: Run) -> None:
    """Nothing to compare and nothing to estimate: it says so."""
    for seed in ("1", "2", "3"):
        code, out, _ = run("demo", "--customers", "1", "--weeks", "1", "--seed", seed)
        assert code == 0
        assert "too few decisions to say" in out


def test_a_plugin_can_be_in_charge(monkeypatch: pytest.MonkeyPatch) -> None:
    """A policy of an installed plugin is found by its name; what is no policy is refused."""
    from agentic.policies import SquareCB, Uniform

    installed: dict[str, Any] = {"mine": Uniform, "short": SquareCB, "odd": dict, "needy": lambda what: what}
    monkeypatch.setattr(_demo, "load", lambda kind, name: installed[name])
    assert isinstance(_demo.policy_named("mine"), Uniform)
    assert isinstance(_demo.policy_named("short"), SquareCB)
    with pytest.raises(ConfigurationError, match="not a policy"):
        _demo.policy_named("odd")
    with pytest.raises(ConfigurationError, match="without arguments"):
        _demo.policy_named("needy")


def test_plugins_are_listed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line each, in columns; none is said in words."""
    monkeypatch.setattr(_plugins, "installed", list)
    assert run("plugins") == (0, "no plugins are installed\n", "")
    found = [
        _plugins.Plugin("policy", "acme", "acme-policies", "acme:Policy"),
        _plugins.Plugin("store", "redis", "x", "y:Z"),
    ]
    monkeypatch.setattr(_plugins, "installed", lambda: found)
    assert run("plugins")[1].splitlines() == [
        "policy  acme   acme-policies  acme:Policy",
        "store   redis  x              y:Z",
    ]


def test_a_terminal_sees_a_bar_and_a_pipe_does_not(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bar goes to standard error, is wiped out at the end, and never mixes with JSON."""
    words = ["demo", "--customers", "30", "--weeks", "1"]
    plain = run(*words)
    assert plain[2] == ""
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    assert run(*words)[1] == plain[1]
    assert "100 %" in screen.getvalue()
    assert screen.getvalue().endswith("\r")
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    run(*words, "--json")
    assert screen.getvalue() == ""


def test_a_bar_that_never_moved_leaves_no_trace() -> None:
    """Wiping out nothing writes nothing, and the same line is not drawn twice."""
    bar = _terminal.Bar(screen := Terminal())
    bar.clear()
    assert screen.getvalue() == ""
    bar.show("work", 1, 1000)
    once = screen.getvalue()
    bar.show("work", 2, 1000)
    assert screen.getvalue() == once


def test_an_interrupt_ends_it_quietly(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C is exit code 130 without a traceback."""

    def stopped(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(_demo, "run", stopped)
    code, out, err = run("demo")
    assert (code, out, err) == (130, "", "\n")


def test_a_reader_that_goes_away_is_no_error_of_ours() -> None:
    """Piped into something that reads one line, there is no traceback."""
    words = [sys.executable, "-m", "agentic", "demo", "--customers", "20", "--weeks", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        code = process.wait()
    assert err == b""
    assert code == 141


def test_what_is_left_of_the_output_goes_nowhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """Once the reader is gone, what is still in the buffer is dropped without another error."""

    def gone(_: object) -> int:
        sys.stdout.write("too late")
        raise BrokenPipeError

    with (tmp_path / "out").open("w", encoding="utf-8") as out:
        monkeypatch.setattr(sys, "stdout", out)
        monkeypatch.setattr(_cli, "_run", gone)
        assert _cli.main(["demo"]) == 141
    assert (tmp_path / "out").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize("words", [["plugins"], ["demo"], ["frontier"], ["--version"]], ids=" ".join)
def test_without_standard_output_nothing_is_begun(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Closed by the shell, there is none: one line on standard error, exit code 1, no work."""
    monkeypatch.setattr(_cli, "_run", None)
    monkeypatch.setattr(sys, "stdout", None)
    monkeypatch.setattr(sys, "stderr", told := io.StringIO())
    assert _cli.main(words) == 1
    assert told.getvalue().startswith("agentic: there is no standard output")
    assert told.getvalue().count("\n") == 1


@pytest.mark.parametrize("words", [["plugins"], [*SMALL, "--json"]], ids=" ".join)
@pytest.mark.skipif(not pathlib.Path("/dev/full").exists(), reason="no device that is always full")
def test_output_that_cannot_be_written_is_one_line(words: list[str]) -> None:
    """A full disk behind standard output: exit code 1 and a reason, also when Python closes."""
    with pathlib.Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "agentic", *words],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "agentic: cannot write to standard output: No space left on device\n"


def test_an_error_of_a_file_is_not_taken_for_one_of_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is shown as it is."""

    def lost(_: object) -> int:
        raise FileNotFoundError(2, "No such file", "a-plugin.json")

    monkeypatch.setattr(_cli, "_run", lost)
    with pytest.raises(FileNotFoundError):
        _cli.main(["plugins"])


def test_without_standard_error_the_output_stays_clean(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """What would be complained about is not printed among the results, and there is no bar."""
    monkeypatch.setattr(sys, "stderr", None)
    assert run("demo", "--customers", "0")[:2] == (2, "")
    code, out, _ = run("demo", "--customers", "20", "--weeks", "1", "--json")
    assert code == 0
    assert json.loads(out)["customers"] == 20


def test_the_module_ends_with_the_exit_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """What ``main`` returns is what a shell sees."""
    monkeypatch.setattr(sys, "argv", ["agentic", "fly"])
    with pytest.raises(SystemExit) as end:
        runpy.run_module("agentic", run_name="__main__")
    assert end.value.code == 2


def test_where_nothing_was_sent_there_is_nothing_to_explain(run: Run) -> None:
    """The report says so, and leaves out reasons and differences that there are not."""
    agent, world = campaign(Fixed("no_action"), customers=20, exploration_floor=0.0, random_control=0.0)
    simulate(agent, world, weeks=1)
    assert _demo._explained(agent) is None
    facts = json.loads(run(*SMALL, "--json")[1])
    facts["explained"] = None
    facts["what_if"]["reasons"] = []
    del facts["long_run"]["difference"]
    assert "nothing was sent" in _report.report(facts)


def test_facts_are_of_one_agent() -> None:
    """Decisions that another agent wrote to the same log are not counted."""
    log = MemoryLog()
    agents = [small("one", log=log), small("two", log=log, others=3)]
    for agent, n in zip(agents, (5, 7), strict=True):
        work(agent, 0, n, np.random.default_rng(n))
    assert [sum(len(batch) for batch in _demo._decisions(agent)) for agent in agents] == [5, 7]
    widths = [batch.columns["denied"].shape[1] for agent in agents for batch in _demo._decisions(agent)]
    assert widths == [3, 6]


def test_it_runs_as_a_module() -> None:
    """``python -m agentic`` is the same program, in a pipe without a bar."""
    words = [sys.executable, "-m", "agentic", "demo", "--customers", "20", "--weeks", "1", "--json"]
    found = subprocess.run(words, capture_output=True, text=True, check=True)
    assert found.stderr == ""
    assert json.loads(found.stdout)["customers"] == 20


FRONTIER = ["frontier", "--customers", "40", "--weeks", "1", "--seeds", "2"]


@pytest.fixture(scope="module")
def frontier(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str, dict[str, Any]]:
    """What the small frontier prints, draws and writes, once."""
    folder = tmp_path_factory.mktemp("frontier")
    svg, facts = folder / "frontier.svg", folder / "frontier.json"
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert _cli.main([*FRONTIER, "--svg", str(svg), "--json", str(facts)]) == 0
    assert {one.name for one in folder.iterdir()} == {"frontier.svg", "frontier.json"}
    return out.getvalue(), svg.read_text(encoding="utf-8"), json.loads(facts.read_text(encoding="utf-8"))


def test_the_frontier_says_who_is_worth_it(frontier: tuple[str, str, dict[str, Any]]) -> None:
    """Policies from chance to what learns most, steps, verdicts and flips, on plain narrow lines."""
    text, svg, facts = frontier
    for part in (
        "share of",
        "linear_thompson",
        "Steps up the frontier, all costs",
        "Is most of the benefit to be had at 50% of the dearest policy's cost, or less?",
        "80% of the attainable",
        "90% of the best policy's benefit",
        "What would change the verdicts by all costs",
    ):
        assert part in text, part
    assert max(map(len, text.splitlines())) <= 110
    assert text.isascii()
    names = [one["name"] for one in facts["policies"]]
    assert names[0] == "random"
    assert names[-1] == "personal"
    for name in names:
        assert f">{name}</text>" in svg
        assert f" {name} " in text


def test_the_frontier_as_json_is_one_document(run: Run, frontier: tuple[str, str, dict[str, Any]]) -> None:
    """Without a path it is printed instead of the report; but for what was measured it is the same."""
    code, out, err = run(*FRONTIER, "--json")
    assert (code, err) == (0, "")
    facts = json.loads(out)
    for mine, other in zip(facts["policies"], frontier[2]["policies"], strict=True):
        for name in mine.keys() - {"measured", "net", "costs"}:
            assert mine[name] == other[name], name
        assert mine["costs"]["messages"] == other["costs"]["messages"]
    assert facts["seeds"] == [0, 1]


def test_prices_change_costs_and_nothing_else(run: Run, frontier: tuple[str, str, dict[str, Any]]) -> None:
    """A dearer core hour and cheaper messages."""
    words = ["--price-per-core-hour", "2.5", "--message-price", "0.5", "--json"]
    facts = json.loads(run(*FRONTIER, *words)[1])
    assert facts["prices"] == {"core_hour": 2.5, "message": 0.5}
    for mine, other in zip(facts["policies"], frontier[2]["policies"], strict=True):
        assert mine["costs"]["messages"] == pytest.approx(other["costs"]["messages"] / 2)
        assert mine["costs"]["compute"] == pytest.approx(2.5 * mine["measured"]["core_hours"])
        assert mine["benefit"] == other["benefit"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--customers", "0"], "customers must be a whole number from 1 to 200,000, got 0"),
        (["--customers", "300000"], "got 300,000"),
        (["--subjects", "30"], "unrecognized arguments"),
        (["--weeks", "53"], "weeks must be"),
        (["--seeds", "0"], "seeds must be a whole number from 1 to 100, got 0"),
        (["--seeds", "101"], "got 101"),
        (["--seed", "-1"], "from 0 to 2^63 - 1"),
        (["--price-per-core-hour", "-1"], "core_hour must be a number from 0"),
        (["--price-per-core-hour", "nan"], "got nan"),
        (["--price-per-core-hour", "cheap"], "expected a number such as 0.05, got 'cheap'"),
        (["--message-price", "inf"], "message must be a number from 0"),
        (["--svg", "."], "cannot write '.'"),
        (["--json", "no/such/folder/f.json"], "cannot write 'no/such/folder/f.json'"),
        (["--svg", "n" * 300], "File name too long"),
        (["--json", "a\0b"], "null byte"),
        (["--svg", "one", "--json", "one"], "cannot write two documents into 'one'"),
        (["--policy", "rules"], "unrecognized arguments"),
    ],
)
def test_a_frontier_that_cannot_be_is_refused_at_once(
    run: Run, words: list[str], told: str, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """Exit code 2 with a reason, before anything is simulated, and no file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("agentic.economics.frontier", None)
    code, out, err = run("frontier", *words)
    assert (code, out) == (2, "")
    assert told in err
    assert "Traceback" not in err
    assert not list(tmp_path.iterdir())


def test_a_frontier_that_cannot_be_written_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    """A disk that fills up meanwhile is exit code 1, a reason, and no half of a file."""

    def full(self: pathlib.Path, target: pathlib.Path) -> pathlib.Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "replace", full)
    code, out, err = run(
        "frontier", "--customers", "5", "--weeks", "1", "--seeds", "1", "--svg", str(tmp_path / "f")
    )
    assert (code, out) == (1, "")
    assert "No space left on device" in err
    assert not list(tmp_path.iterdir())


def test_the_frontier_shows_its_progress_on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is being tried, wiped out at the end; never beside JSON."""
    words = ["frontier", "--customers", "5", "--weeks", "1", "--seeds", "1"]
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    run(*words)
    assert "linear_thompson" in screen.getvalue()
    assert screen.getvalue().endswith("\r")
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    run(*words, "--json")
    assert screen.getvalue() == ""


def test_a_reader_that_leaves_the_frontier_is_no_error_of_ours() -> None:
    """Piped into something that reads nothing, there is no traceback."""
    words = [sys.executable, "-m", "agentic", "frontier", "--customers", "5", "--weeks", "1", "--seeds", "1"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        code = process.wait()
    assert err == b""
    assert code == 141
