"""Every benchmark runs and tells its figures; how fast anything is, is no matter for tests."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "run.py"

FIGURES = {
    "batch": ["LinearThompson.propose, k=10", "SquareCB.propose, k=50", "full pipeline, k=10"],
    "single": ["decide, p50", "decide, p99"],
    "memory": ["a subject, without the log", "a decision that waits for its reward"],
    "import": ["import numpy, attrs", "import agentic, after these"],
    "learn": ["policy.learn, one row, p50", "agent.learn, 200 decisions"],
    "log": ["append, blocks of 1", "append, blocks of 100"],
    "personal": ["tastes: Personal", "nobody differs: LinearThompson", "a subject's record, of it Personal"],
    "profile": ["  propose", "    policy", "  everything else"],
}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.mark.parametrize("name", [name for name in FIGURES if name != "log"])
def test_a_benchmark_prints_its_table(name: str) -> None:
    """The machine's facts come first, then a line for each figure."""
    done = run(name, "--quick", "--repeat", "1")
    assert done.returncode == 0, done.stderr
    head, _, table = done.stdout.partition(f"\n{name}: ")
    for fact in ("cpu", "cores", "load_1_min", "numpy", "blas", "blas_threads: 1", "peers"):
        assert f"\n{fact}" in f"\n{head}"
    for what in FIGURES[name]:
        assert any(line.startswith(f"  {what} ") for line in table.splitlines()), (what, table)
    assert "not found in this version" not in table


def test_json_tells_machine_and_figures() -> None:
    """Figures are positive, medians lie between the ends, and sizes are those of a quick run."""
    done = run("log", "--quick", "--repeat", "3", "--json")
    assert done.returncode == 0, done.stderr
    told: Any = json.loads(done.stdout)
    assert told["quick"] is True
    assert told["machine"]["blas_threads"] == 1
    figures = told["benchmarks"]["log"]["figures"]
    assert {figure["what"] for figure in figures} >= set(FIGURES["log"])
    for figure in figures:
        assert 0.0 < figure["low"] <= figure["median"] <= figure["high"]
        assert figure["ratio"] == pytest.approx(figure["median"] / 1e6)


@pytest.mark.parametrize("wrong", [["nonsense"], ["log", "--repeat", "0"]], ids=["name", "repeat"])
def test_what_cannot_be_run_is_said(wrong: list[str]) -> None:
    """The exit code is 2 and the message says what there is."""
    done = run(*wrong)
    assert done.returncode == 2
    assert "benchmark" in done.stderr or "--repeat" in done.stderr
