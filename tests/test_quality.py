"""The benchmarks of what is learned run, and tell what they say they tell."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]


def run(script, *arguments):
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    plain = {name: value for name, value in os.environ.items() if name != "AGENTIC_SHARED"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, env=plain)
    return done.returncode, done.stdout, done.stderr


def test_quality_tells_a_mean_reward_for_every_learner_and_set():
    """Without a file, on sets made up on the spot; through the policy and through a whole agent."""
    code, out, err = run(
        "quality.py", "--no-peers", "--rows", "60", "--seeds", "2", "--delays", "1", "30",
        "--only", "LinearThompson", "SquareCB", "--agent", "--json",
    )  # fmt: skip
    assert code == 0, err
    scores = json.loads(out)["scores"]
    assert {score["data"] for score in scores} == {"teacher", "clusters", "rings"}
    assert {score["delay"] for score in scores} == {1, 30}
    learners = {score["learner"] for score in scores}
    assert {"ours LinearThompson()", "ours SquareCB()", "ours Agent(LinearThompson())"} <= learners
    assert all(0.0 <= score["mean"] <= 1.0 and score["error"] >= 0.0 for score in scores)


def test_quality_takes_a_file_and_prints_a_table(tmp_path):
    """A set where one feature is the class is nearly learned in 300 rows."""
    y = np.random.default_rng(0).integers(0, 2, 300)
    np.savez(tmp_path / "mine.npz", easy_X=np.column_stack([y, y * 0 + 5.0]), easy_y=y)
    code, out, err = run(
        "quality.py", "--data", str(tmp_path / "mine.npz"), "--no-peers", "--seeds", "1", "--delays", "1",
        "--only", "LinearThompson",
    )  # fmt: skip
    assert code == 0, err
    line = next(line for line in out.splitlines() if line.startswith("ours LinearThompson()"))
    assert float(line.split()[2]) > 0.95


@pytest.mark.parametrize("name", ["drift", "shared", "turnover", "sparse", "late"])
def test_regret_is_told_for_every_scenario(name):
    """It is not negative, and the same for the same seeds."""
    code, out, err = run("regret.py", name, "--no-peers", "--quick", "--seeds", "1", "--json")
    assert code == 0, err
    told = json.loads(out)[name]
    assert {"uniform", "ours LinearThompson()", "ours SquareCB()"} <= set(told)
    assert all(row["regret"] >= 0.0 for row in told.values())
    again = json.loads(run("regret.py", name, "--no-peers", "--quick", "--seeds", "1", "--json")[1])[name]
    assert {who: row["regret"] for who, row in again.items()} == {
        who: row["regret"] for who, row in told.items()
    }


@pytest.mark.parametrize(("script", "wrong"), [("quality.py", ["--sets", "no"]), ("regret.py", ["no"])])
def test_what_there_is_not_is_said(script, wrong):
    """The exit code is 2, and the message says what there is."""
    code, _, err = run(script, *wrong)
    assert code == 2
    assert "there are" in err
