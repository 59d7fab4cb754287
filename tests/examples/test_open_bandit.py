"""The example on the Open Bandit Dataset runs and gives the reference's figures."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from shared_data import shared

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "open_bandit.py"
CASE = "obd_men_bts_from_random"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("open_bandit", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_values_from_the_files_are_those_of_the_reference(
    example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    """Read from CSV, with the reference's policy and predictions, values agree to 1e-10."""
    data, policy = shared("data", "obd"), shared("gold", "ope_obd", f"{CASE}.npz")
    expected = json.loads(shared("gold", "ope_obd", f"{CASE}.json").read_text(encoding="utf-8"))
    assert example.main(["--data", str(data), "--policy", str(policy), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["estimates"]
    for name in ("IPW", "SNIPW", "DM", "DR"):
        value = expected["estimates"][name.lower()]["value"]
        assert found[name]["value"] == pytest.approx(value, rel=0.0, abs=1e-10)
    for name in ("IPW", "DM", "DR"):
        bounds = expected["estimates"][name.lower()]["normal_ci95"]
        assert [found[name]["low"], found[name]["high"]] == pytest.approx(bounds, rel=0.0, abs=1e-9)
    on_policy = found["on-policy"]
    assert on_policy["value"] == pytest.approx(expected["on_policy_value_of_evaluation_policy"], abs=1e-12)
    assert on_policy["standard_error"] == pytest.approx(expected["on_policy_se"], rel=1e-9)


def test_the_script_runs_as_its_readers_run_it() -> None:
    """Without a policy file it estimates one, says so, and prints a table; an own process serves it."""
    data = shared("data", "obd")
    run = subprocess.run(
        [sys.executable, str(SCRIPT), "--data", str(data)], capture_output=True, text=True, check=True
    )
    assert "item shares per position in the Thompson logs" in run.stdout
    assert [line.split("  ")[0] for line in run.stdout.splitlines()[4:10]] == [
        "IPW",
        "SNIPW",
        "SNIPW, rare clicks",
        "DM",
        "DR",
        "on-policy",
    ]


def test_a_policy_without_predictions_and_text_are_served_too(
    example: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Predictions are cross-fitted when the file has none."""
    data = shared("data", "obd")
    np.savez(tmp_path / "uniform.npz", pi_e=np.full((34, 3), 1.0 / 34.0))
    assert example.main(["--data", str(data), "--policy", str(tmp_path / "uniform.npz")]) == 0
    assert "uniform.npz" in capsys.readouterr().out
    assert example.main(["--data", str(data)]) == 0
    assert "item shares" in capsys.readouterr().out


def test_without_data_two_lines_say_how_to_get_it(
    example: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The exit code is 2 and the default folder is the shared one."""
    monkeypatch.setenv("AGENTIC_SHARED", str(tmp_path))
    assert example.main([]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2
    assert str(tmp_path / "data" / "obd") in lines[0]
    assert "--data" in lines[1]
    monkeypatch.delenv("AGENTIC_SHARED")
    assert example.default_folder().parts[-3:] == ("shared", "data", "obd")


def test_infinite_bounds_are_null_in_json(example: ModuleType) -> None:
    """JSON has no infinity."""
    assert example.number(float("inf")) is None
    assert example.number(0.5) == 0.5
