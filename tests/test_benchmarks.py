"""Every benchmark runs and tells its figures; how fast anything is, is no matter for tests."""

import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

SVG = "{http://www.w3.org/2000/svg}"
SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "run.py"

FIGURES = {
    "batch": ["LinearThompson.propose, k=10", "SquareCB.propose, k=50", "Rules.propose, k=10"],
    "full": ["LinearThompson, k=10", "LinearThompson, k=10, subjects shuffled", "SquareCB, k=200 factored"],
    "shards": ["one thread", "2 threads, one agent", "2 processes, an agent each"],
    "single": ["  p99 in medians", "  p50, processor time"],
    "threads": ["8 threads, default BLAS, k=200", "  cores taken", "a large matrix product, default BLAS"],
    "memory": ["a subject, without the log", "a decision that waits for its reward"],
    "import": ["import numpy, attrs", "import agentic, after these"],
    "learn": ["LinearThompson.learn, one reward, p50", "agent.learn, 200 decisions, k=10"],
    "log": ["append, blocks of 1", "append, blocks of 100"],
    "offpolicy": ["IPW, estimate()", "SNDR, tally of chunks"],
    "growth": ["candidates, k=5, decide", "  slope of decide_many from d=40"],
    "coverage": ["eps, n=200: coverage", "offset, n=2000: width", "  bootstrap: coverage"],
    "limits": ["splitmix64 in numpy, a word", "exp f32, a number"],
    "profile": ["  propose", "    win probabilities", "  everything else"],
    "sequential": ["count, no harm: accused all the same", "mean, -50 %: found", "count, a look"],
    "personal": ["tastes: Personal", "nobody differs: LinearThompson", "a subject's record, of it Personal"],
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


def in_house(code: str) -> subprocess.CompletedProcess[str]:
    """Run some code where benchmarks can be imported."""
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=120, cwd=SCRIPT.parents[1]
    )


def test_a_stage_that_is_gone_is_named() -> None:
    """Whoever renames a function that is timed is told which, and where to say so."""
    done = in_house(
        "from benchmarks import stages\n"
        "gone = stages.Stage('guard', ('agentic._flow:guards', 'agentic._flou:guard'))\n"
        "stages.found((*stages.STAGES, gone))"
    )
    assert done.returncode == 1
    assert "'guard' was agentic._flow:guards or agentic._flou:guard" in done.stderr
    assert "STAGES" in done.stderr


def test_a_slope_is_the_exponent() -> None:
    """On logarithmic scales cost = 3 size^1.5 is a straight line."""
    done = in_house(
        "from benchmarks.growth import slope\n"
        "print(slope([(size, 3 * size**1.5) for size in (1, 10, 50, 700)]))"
    )
    assert float(done.stdout) == pytest.approx(1.5, abs=1e-12)


def test_a_plot_is_an_image_with_every_point() -> None:
    """It parses, every point is drawn inside, and labels are escaped."""
    done = in_house(
        "from benchmarks.plot import Panel, svg\n"
        "flat = Panel('a < b', 0.0, 1.0, {'x & y': [(1.0, 5.0), (10.0, 6.0), (100.0, 5.5)]})\n"
        "steep = Panel('k', 2.0, 2.0, {'one': [(2.0, 1.0), (4.0, 4.0)], 'two': [(2.0, 90.0), (4.0, 99.0)]})\n"
        "print(svg('cost', [flat, steep]))"
    )
    root = ET.fromstring(done.stdout)
    texts = [element.text for element in root.iter(f"{SVG}text")]
    assert {"cost", "a < b", "x & y", "k", "one", "two"} <= set(texts)
    dots = list(root.iter(f"{SVG}circle"))
    assert len(dots) == 7
    assert all(0 < float(dot.attrib["cx"]) < 336 and 0 < float(dot.attrib["cy"]) < 240 for dot in dots)


def test_figures_go_between_their_comments() -> None:
    """What stands around them stays; a page without a place for them is refused."""
    done = in_house(
        "from benchmarks.page import fill\n"
        "page = 'above\\n<!-- figures: log -->\\nold\\n<!-- end of figures -->\\nbelow\\n'\n"
        "print(fill(page, {'log': 'new'}))\n"
        "fill(page, {'batch': 'new'})"
    )
    assert done.stdout == "above\n<!-- figures: log -->\n\nnew\n\n<!-- end of figures -->\nbelow\n\n"
    assert "the page has no place for 'batch'" in done.stderr


def test_the_page_on_performance_has_a_place_for_every_figure() -> None:
    """So `run.py page --write` fills all of it."""
    page = (SCRIPT.parents[1] / "docs" / "performance.md").read_text(encoding="utf-8")
    done = in_house("from benchmarks.page import MACHINE, PARTS\nprint(*PARTS, MACHINE)")
    for name in done.stdout.split():
        assert page.count(f"<!-- figures: {name} -->\n") == 1, name


@pytest.mark.parametrize("wrong", [["log", "--write"], ["page", "--write", "--quick"]], ids=["part", "quick"])
def test_only_figures_that_mean_something_are_written_down(wrong: list[str]) -> None:
    """The page is filled from all parts, measured in earnest."""
    done = run(*wrong)
    assert done.returncode == 2
    assert "--write" in done.stderr
