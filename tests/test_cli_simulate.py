"""``python -m agentic simulate`` rehearses one policy against another and says what differs."""

from __future__ import annotations

import json

import pytest

from agentic import _cli
from agentic.simulation import Rehearsal

SMALL = ["--customers", "30", "--weeks", "1", "--seeds", "2"]


def test_it_prints_a_rehearsal(capsys: pytest.CaptureFixture[str]) -> None:
    """Scenario, verdict, every measure with its interval, and the digest."""
    assert _cli.main(["simulate", "quick_harm", *SMALL]) == 0
    told = capsys.readouterr().out
    assert told.startswith("rehearsed in 'quick_harm': 30 customers, 1 weeks, 2 seeds: ")
    assert "unsubscribes" in told
    assert "digest " in told


def test_json_is_the_rehearsal(capsys: pytest.CaptureFixture[str]) -> None:
    """It comes back as the same value, with the digest that is printed beside it; twice the same bytes."""
    command = ["simulate", "--policy", "uniform", "--against", "uniform", "--seed", "5", "--json", *SMALL]
    assert _cli.main(command) == 0
    first = capsys.readouterr().out
    told = json.loads(first)
    assert (told.pop("verdict"), told.pop("harms")) == ("undecided", [])
    digest = told.pop("digest")
    assert Rehearsal.of_facts(told).digest == digest
    assert told["seeds"] == [5, 6]
    assert _cli.main(command) == 0
    assert capsys.readouterr().out == first


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["moon"], "no scenario 'moon'"),
        (["--policy", "nobody"], "no policy 'nobody'"),
        (["--seeds", "1"], "seeds must be 2 to 1000"),
        (["--customers", "0"], "customers must be a whole number"),
    ],
    ids=["scenario", "policy", "seeds", "customers"],
)
def test_wrong_use_is_told(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With exit code 2, before anything is simulated."""
    assert _cli.main(["simulate", *words]) == 2
    assert told in capsys.readouterr().err
