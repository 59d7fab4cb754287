"""The example on the e-mail test learns, judges, and says what is wrong with a file."""

import csv
import gzip
import importlib.util
import json
import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from shared_data import shared

SCRIPT = Path(__file__).resolve().parents[2] / "examples" / "hillstrom.py"
COLUMNS = (
    "recency", "history_segment", "history", "mens", "womens", "zip_code", "newbie", "channel", "segment",
    "visit", "conversion", "spend",
)  # fmt: skip
CONSTANTS = ("always men's", "always women's", "never")
# As the publisher's readers know them: visits and dollars for each customer of a segment.
VISITS = dict(zip(CONSTANTS, (0.1828, 0.1514, 0.1062), strict=True))
SPEND = dict(zip(CONSTANTS, (1.42, 1.08, 0.65), strict=True))
COST = 0.05


def small_test(n: int) -> list[dict[str, object]]:
    """A test in which everyone visits for the e-mail that suits them, and hardly otherwise."""
    dice = np.random.default_rng(5)
    rows: list[dict[str, object]] = []
    for _ in range(n):
        mens = int(dice.integers(2))
        segment = ["Mens E-Mail", "Womens E-Mail", "No E-Mail"][dice.integers(3)]
        suits = segment == ("Mens E-Mail" if mens else "Womens E-Mail")
        visit = int(dice.random() < (0.5 if suits else 0.1))
        rows.append(
            {
                "recency": int(dice.integers(1, 13)),
                "history_segment": "1) $0 - $100",
                "history": round(float(dice.uniform(30, 900)), 2),
                "mens": mens,
                "womens": 1 - mens,
                "zip_code": ["Urban", "Surburban", "Rural"][dice.integers(3)],
                "newbie": int(dice.integers(2)),
                "channel": ["Phone", "Web", "Multichannel"][dice.integers(3)],
                "segment": segment,
                "visit": visit,
                "conversion": visit,
                "spend": visit * 20.0,
            }
        )
    return rows


def write(path: Path, rows: list[dict[str, object]], columns: tuple[str, ...] = COLUMNS) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)
    return path


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hillstrom", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def found() -> Any:
    """What the script says of the real data, run as its readers run it."""
    command = [sys.executable, str(SCRIPT), "--data", str(shared("data", "hillstrom.csv.gz")), "--json"]
    done = subprocess.run(
        [*command, "--cost", str(COST)], capture_output=True, text=True, check=True, timeout=120
    )
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("hillstrom") / "small.csv", small_test(4_000))


def test_constant_policies_earn_what_the_publisher_reports(found: Any) -> None:
    """Half of the customers tell the rates of all to within four standard errors, and their intervals."""
    visits, spend = (answer["estimates"] for answer in found["answers"])
    for name in CONSTANTS:
        cost = 0.0 if name == "never" else COST
        for one, published in ((visits[name], VISITS[name]), (spend[name], SPEND[name] - cost)):
            assert abs(one["value"] - published) < 4.0 * one["standard_error"]
            assert one["low"] < published < one["high"]
            assert one["n"] > 31_000
            # A third of the rows got just this, and by lot.
            assert one["effective_rows"] == pytest.approx(one["n"] / 3.0, rel=0.03)


def test_standard_errors_are_those_of_a_share(found: Any) -> None:
    """For a constant policy the model explains little, so the error is nearly sqrt(p (1 - p) / (n / 3))."""
    for name, rate in VISITS.items():
        one = found["answers"][0]["estimates"][name]
        assert one["standard_error"] == pytest.approx(
            math.sqrt(3.0 * rate * (1.0 - rate) / one["n"]), rel=0.05
        )


def test_the_learned_policy_is_no_worse_than_the_best_constant_one(found: Any) -> None:
    """Told nothing, it finds as many visits: the paired difference is above minus four standard errors."""
    for answer in found["answers"]:
        assert answer["best_constant"] == "always men's"
        difference = answer["differences_to_best_constant"]["learned"]
        error = (difference["high"] - difference["low"]) / (2.0 * 1.96)
        assert difference["value"] > -4.0 * error
    visits = found["answers"][0]
    assert visits["estimates"]["learned"]["low"] > visits["estimates"]["always women's"]["high"]


def test_it_learns_from_the_third_that_agrees_and_from_no_other(found: Any) -> None:
    """By lot, a customer got what the agent chose with odds 1/3; others are dropped, not taught as 0."""
    for answer in found["answers"]:
        n = answer["decided"]
        assert abs(answer["learned_from"] - n / 3.0) < 4.0 * math.sqrt(n * 2.0 / 9.0)
        assert answer["learned_choices"]["no_action"] == 0.0
        assert sum(answer["learned_choices"].values()) == pytest.approx(1.0)
    # Had it been taught zeros, two thirds of the time, it would have met far fewer visits.
    assert VISITS["never"] < found["answers"][0]["mean_reward_while_learning"]


def test_it_learns_who_wants_what_where_that_matters(
    example: ModuleType, small: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where each customer wants one of the e-mails, it finds out which, on either half."""
    for half in ([], ["--swap"]):
        assert example.main(["--data", str(small), "--json", *half]) == 0
        visits, spend = json.loads(capsys.readouterr().out)["answers"]
        for answer in (visits, spend):
            assert answer["differences_to_best_constant"]["learned, not exploring"]["low"] > 0.0
        rule = visits["estimates"]["rule: what they bought"]
        assert abs(rule["value"] - 0.5) < 4.0 * rule["standard_error"]


def test_the_agent_is_taught_only_what_was_observed(example: ModuleType, small: Path) -> None:
    """The log's rewards are exactly the logged outcomes of the customers who got what was chosen."""
    customers = example.read_customers(small)
    train, _ = example.halves(customers, 3)
    for question in example.questions(customers, COST):
        agent = example.new_agent(question, 3)
        told = example.learn_online(agent, question, customers, train)
        rewards = [block.columns["reward"] for _, block in agent.log.read() if block.kind == "reward"]
        assert np.concatenate(rewards) == pytest.approx(told)
        assert agent.pending == 0


def test_plain_and_gzipped_files_say_the_same(
    example: ModuleType, small: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the table holds every policy, under both questions."""
    packed = tmp_path / "small.csv.gz"
    packed.write_bytes(gzip.compress(small.read_bytes()))
    tables = []
    for path in (small, packed):
        assert example.main(["--data", str(path), "--seed", "2"]) == 0
        tables.append(capsys.readouterr().out)
    assert tables[0] == tables[1]
    assert "Visits per customer" in tables[0]
    assert "Spend less 0.05 per e-mail per customer" in tables[0]
    for name in ("learned", *CONSTANTS, "rule: what they bought"):
        assert sum(line.startswith(f"  {name:24}") for line in tables[0].splitlines()) == 2


def without(name: str) -> Callable[[Path], Path]:
    return lambda path: write(path, small_test(20), tuple(column for column in COLUMNS if column != name))


def with_value(name: str, value: str) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        rows = small_test(20)
        rows[1][name] = value
        return write(path, rows)

    return make


def with_bytes(raw: bytes) -> Callable[[Path], Path]:
    def make(path: Path) -> Path:
        path.write_bytes(raw)
        return path

    return make


@pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(without("spend"), "it lacks the columns spend", id="no-spend"),
        pytest.param(without("segment"), "it lacks the columns segment", id="no-segment"),
        pytest.param(with_bytes(b""), "it lacks the columns recency", id="empty"),
        pytest.param(with_bytes(b"\x1f\x8bno"), "neither CSV nor gzipped", id="garbage"),
        pytest.param(with_bytes(gzip.compress(b"recency,visit\n1,1\n")[:-9]), "neither CSV", id="cut-off"),
        pytest.param(with_bytes(b"\xff\xfe\x00"), "neither CSV nor gzipped", id="binary"),
        pytest.param(with_bytes(b"a,b\n1,2\n"), "it lacks the columns recency", id="another-table"),
        pytest.param(with_value("visit", "yes"), "line 3: visit must be a number, got 'yes'", id="text"),
        pytest.param(with_value("history", "inf"), "line 3: history must be a number", id="infinite"),
        pytest.param(with_value("segment", "Fax"), "line 3: segment must be one of", id="segment"),
        pytest.param(lambda path: write(path, small_test(2)), "too few rows", id="two-rows"),
    ],
)
def test_a_file_that_is_not_the_test_is_refused_in_one_line(
    example: ModuleType,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], Path],
    said: str,
) -> None:
    """The message names the file and what is wrong with it; the exit code is 2."""
    path = make(tmp_path / "bad.csv")
    assert example.main(["--data", str(path)]) == 2
    error = capsys.readouterr().err
    assert str(path) in error
    assert said in error
    assert len(error.strip().splitlines()) == 1


def test_without_data_two_lines_say_how_to_get_it(
    example: ModuleType, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They name the file, its publisher and its columns; the exit code is 2."""
    monkeypatch.setenv("AGENTIC_SHARED", str(tmp_path))
    assert example.main([]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 2
    assert str(tmp_path / "data" / "hillstrom.csv.gz") in lines[0]
    assert "Hillstrom" in lines[0]
    assert "recency" in lines[1]
    monkeypatch.delenv("AGENTIC_SHARED")
    assert example.default_file().parts[-3:] == ("shared", "data", "hillstrom.csv.gz")


def test_a_price_must_be_one(example: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """An e-mail that pays its sender is refused."""
    with pytest.raises(SystemExit) as refused:
        example.main(["--cost", "-1"])
    assert refused.value.code == 2
    assert "--cost" in capsys.readouterr().err
