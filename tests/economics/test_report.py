"""The report and the facts say what the frontier says, whatever policies are called."""

from __future__ import annotations

import json
import math

import attrs
import numpy as np
import pytest

from agentic.economics import Mean, Prices, facts
from boards import Result, board, found, row

HOSTILE = "<b>&\"'; DROP TABLE\u202f\N{GREEK SMALL LETTER BETA}\N{SNOWMAN}"


def lines_of(*rows: object, **options: object) -> list[str]:
    return str(board(rows, **options)).splitlines()  # type: ignore[arg-type]


def test_every_policy_has_its_line() -> None:
    """With both ends, marked where it stands on a frontier, and none wider than a terminal."""
    names = ["rules", "learner", "waste", "a_name_that_is_longer_than_its_column", HOSTILE]
    rows = [row(name, 90.0 - i, 10.0 - i if i < 2 else 20.0, us=10.0 + i) for i, name in enumerate(names)]
    lines = lines_of(*rows)
    table = lines[lines.index(next(line for line in lines if line.strip().startswith("policy "))) :]
    for name in ("nothing", "rules", "learner", "waste", "a_name_that_is_lo~", "oracle"):
        assert sum(line[3:].startswith(name) for line in table) == 1, name
    assert "*o rules" in "\n".join(table)
    assert "*  learner" in "\n".join(table)
    assert max(map(len, lines)) <= 110
    assert all(line.isascii() and line.isprintable() for line in lines)


def test_the_verdicts_are_plain_words() -> None:
    """Holds, fails or open, by whom, at which part of whose cost; costs that agree share a line."""
    text = " ".join(" ".join(lines_of(row("rules", 85.0, 1.0), row("learner", 95.0, 10.0, us=80.0))).split())
    cheapest = "holds. The cheapest to get there is rules, 85% (85% to 85%), at"
    assert f"80% of the attainable, by compute: {cheapest} 12% of the cost of learner" in text
    assert (
        f"80% of the attainable, by messages and by all costs: {cheapest} 10% of the cost of learner" in text
    )
    assert "90% of the attainable, by every cost: fails. The cheapest to get there is learner, 95%" in text
    nobody = " ".join(" ".join(lines_of(row("a", 5.0, 1.0), row("b", 6.0, 10.0))).split())
    assert "Nobody gets there, b comes nearest with 6% (6% to 6%)" in nobody


def test_compute_is_also_told_beyond_doing_nothing() -> None:
    """Doing nothing computes too: 12 us of 30 are 40 %, and a tenth of what comes on top of 10."""
    text = " ".join(
        " ".join(lines_of(row("rules", 95.0, 1.0, us=12.0), row("dear", 95.0, 1.0, us=30.0))).split()
    )
    assert "at 40% of the cost of dear, 10% of what that costs beyond doing nothing" in text


def test_steps_tell_limits_in_words_and_doubts_by_a_mark() -> None:
    """A step that no price of computing stops says any, one that never pays says never."""
    rows = [row("a", 20.0, 1.0, us=90.0), row("b", 21.0, 30.0, us=50.0), row("c", 90.0, 31.0, us=40.0)]
    torn = attrs.evolve(rows[1], gains=(61.0, -19.0))
    steps = [line.split() for line in lines_of(rows[0], torn, rows[2]) if "->" in line]
    told = {step[0] + step[2]: step[-1] for step in steps}
    assert told["ab"] == "?"
    assert told["bc"] == "?"
    clean = [line.split() for line in lines_of(*rows) if "->" in line]
    told = {step[0] + step[2]: step[-1] for step in clean}
    assert (told["ab"], told["bc"]) == ("never", "any")
    assert "? the benefit may be noise" in "\n".join(lines_of(rows[0], torn, rows[2]))


def test_long_names_of_a_step_share_its_room() -> None:
    """Both are cut, none is lost, and the columns stay where they are."""
    rows = [row("a" * 40, 20.0, 1.0, us=9.0), row("b" * 40, 90.0, 2.0, us=10.0)]
    lines = [line for line in lines_of(*rows) if "->" in line]
    assert any(f"{'a' * 15}~ -> {'b' * 15}~ " in line for line in lines)
    assert {len(line) for line in lines} == {len(lines[0])}
    assert max(map(len, lines_of(*rows))) <= 110


def test_nothing_to_gain_is_told_without_numbers() -> None:
    """No shares, no steps, no errors of one seed: dashes, and no nan or inf."""
    one = found(nothing=[0.0], oracle=[0.0], a=[Result(0.0, decide_us=np.full(4, 1.0))])
    text = str(one)
    assert "no policy brings more than doing nothing" in text
    assert "nan" not in text
    assert "inf" not in text.replace("information", "")
    assert "1 policy, 1,000 decisions of each on 1 seed" in text


def test_free_costs_are_told_as_such() -> None:
    """At prices of 0 nothing costs anything, and no price flips a verdict."""
    free = Prices(core_hour=0.0, message=0.0)
    text = " ".join(" ".join(lines_of(row("a", 95.0, 1.0), row("b", 99.0, 2.0), prices=free)).split())
    assert "where nothing costs anything" in text


def test_flips_are_told_from_either_side() -> None:
    """A core hour above or below, and the same thing said of messages."""
    rows = [row("rules", 85.0, 10.0, us=10.0), row("learner", 95.0, 10.0, us=100.0)]
    near = " ".join(" ".join(lines_of(*rows)).split())
    assert "with a core hour above" in near
    assert "or messages below" in near
    far = " ".join(" ".join(lines_of(*rows, prices=Prices(core_hour=1e10))).split())
    assert "with a core hour below" in far
    assert "or messages above" in far


def test_facts_are_json_and_agree_with_the_frontier() -> None:
    """Nothing that JSON does not know; every cost, step, claim and flip is there."""
    one = found(
        a=[Result(60.0, 1.0), Result(70.0, 1.0)],
        b=[Result(90.0, 9.0), Result(95.0, 9.0)],
    )
    told = json.loads(json.dumps(facts(one), allow_nan=False))
    assert [mine["name"] for mine in told["policies"]] == ["a", "b"]
    assert told["policies"][1]["share"]["value"] == one.row("b").share.value
    assert told["policies"][0]["costs"]["total"] == one.row("a").cost
    assert told["frontier"]["total"] == [mine.name for mine in one.efficient()]
    assert len(told["steps"]["messages"]) == len(one.steps("messages"))
    assert [c["verdict"] for c in told["claims"]] == [c.verdict for c in one.claims()]
    assert len(told["flips"]) == len(one.flips())
    assert told["prices"] == {"core_hour": 0.05, "message": 1.0}
    assert set(told["policies"][0]["measured"]) == {"decide_us", "learn_us", "core_hours"}


def test_what_is_not_finite_is_null() -> None:
    """Of one seed there are no bounds, of nothing no shares."""
    told = json.loads(json.dumps(facts(found(nothing=[0.0], oracle=[0.0], a=[Result(0.0)])), allow_nan=False))
    assert told["policies"][0]["share"] == {"value": None, "error": None, "low": None, "high": None}


@pytest.mark.parametrize("n", [2, 3, 10])
def test_a_mean_has_students_bounds(n: int) -> None:
    """As SciPy has them."""
    from scipy import stats

    values = np.random.default_rng(n).normal(size=n)
    mean = Mean.of(values.tolist())
    low, high = stats.t.interval(0.95, n - 1, values.mean(), stats.sem(values))
    assert (mean.value, mean.error) == pytest.approx((values.mean(), stats.sem(values)))
    assert (mean.low, mean.high) == pytest.approx((low, high))
    assert math.isinf(Mean.of([1.0]).error)
