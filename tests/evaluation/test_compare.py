"""Policies compared by a log: on the whole and by segment, part by part, and what is left out."""

from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentic import Action, Agent
from agentic.errors import ConfigurationError, EvaluationError
from agentic.evaluation import (
    DR,
    IPW,
    SNDR,
    SNIPW,
    Bins,
    EmpiricalLikelihood,
    Estimator,
    ModelFree,
    Normal,
    Replay,
    Tally,
    compare,
    cross_fit,
    estimate,
    evaluate,
    joined,
    target_probabilities,
    tuned,
)
from agentic.evaluation import _matured as matured
from agentic.features import Category, Flag, Number
from agentic.policies import EpsilonGreedy, Fixed, Personal, Split, Uniform
from agentic.provenance import _pieces
from agentic.rewards import Goals
from logs import DAY, NOON, filled, small, work

PARTS: dict[str, Any] = {
    "features": [Number("age", low=0, high=100), Category("tier", ["gold", "silver"]), Flag("app")],
    "goals": Goals({"sale": 1.0}, window=DAY),
}
ACTIONS = [Action("a", channel="push"), Action("b", channel="email")]


def shop(n: int = 900, path: Path | None = None, actions: list[Action] | None = None, **more: Any) -> Agent:
    """A log in which the gold ones buy after ``a`` and the others after ``b``."""
    kept: dict[str, Any] = {"policy": Uniform()} | PARTS | more
    if path is None:
        agent = Agent("shop", actions or ACTIONS, **kept)
    else:
        agent = Agent.open(str(path), "shop", actions or ACTIONS, **kept)
    sell(agent, n)
    return agent


def sell(agent: Agent, n: int, day: int = 0) -> None:
    dice = np.random.default_rng(3 + day)
    tier = dice.choice(["gold", "silver", "none", "unheard of"], n, p=[0.4, 0.4, 0.1, 0.1])
    facts = {
        "age": dice.integers(18, 90, n).astype(float).tolist(),
        "tier": [None if each == "none" else each for each in tier.tolist()],
        "app": (dice.random(n) < 0.3).tolist(),
    }
    now = NOON + 2 * day * DAY
    batch = agent.decide_many([f"s{i % 300}" for i in range(n)], facts, now=now)
    good = np.where(tier == "gold", batch.action_ids == "a", batch.action_ids == "b")
    agent.record_many(batch.take(np.flatnonzero(good & (dice.random(n) < 0.6))).ids, "sale", at=now)
    agent.learn(now=now + DAY)


@pytest.mark.parametrize("estimator", [DR(), SNDR(), IPW(), SNIPW()], ids=lambda one: one.name)
def test_part_by_part_is_the_same_as_all_at_once(
    estimator: Estimator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Models, weights, sums by subject: whatever the parts, as from matrices of the whole log."""
    agent = filled(400, random_control=0.1)
    rows = joined(agent).of(["policy", "random_control"])
    target, X = target_probabilities(agent, Fixed("a"), rows)
    q = cross_fit(X, rows.action, rows.reward, 3, groups=rows.key.view(np.int64))
    expected = estimate(
        rows.logged(), target, estimator=estimator, q=None if isinstance(estimator, ModelFree) else q
    )
    for lot, chunk in ((1 << 18, 8192), (100, 7), (1, 1)):
        monkeypatch.setattr(matured, "LOT", lot)
        monkeypatch.setattr(matured, "_CHUNK", chunk)
        for given in (None, rows):
            found = evaluate(agent, Fixed("a"), estimator=estimator, rows=given)
            for name in ("value", "low", "high", "standard_error"):
                assert getattr(found, name) == pytest.approx(getattr(expected, name), rel=1e-10), name
            assert found.diagnostics.verdict == expected.diagnostics.verdict


def test_an_interval_that_needs_every_row_gets_every_row() -> None:
    """Empirical likelihood says of the parts what it says of the whole."""
    agent = filled(200)
    rows = joined(agent)
    target, _ = target_probabilities(agent, Fixed("a"), rows)
    how: dict[str, Any] = {
        "interval": EmpiricalLikelihood(),
        "reward_range": (0.0, 2.0),
        "estimator": SNIPW(),
    }
    expected = estimate(rows.logged(), target, **how)
    found = compare(agent, Fixed("a"), by="x", **how)
    row = found["fixed"]
    for name in ("value", "low", "high"):
        assert getattr(row.estimate, name) == pytest.approx(getattr(expected, name), rel=1e-9)
    plain = compare(agent, Fixed("a"), estimator=SNIPW(), reward_range=(0.0, 2.0))["fixed"]
    assert (row.gain, row.gain_low) == pytest.approx((plain.gain, plain.gain_low))
    assert evaluate(agent, Fixed("a"), **(how | {"estimator": DR()})).n == 600


def test_the_front_door_compares_with_what_was_earned() -> None:
    """One policy or several; each row stands beside the log's own, and the gain is their difference."""
    agent = shop()
    found = agent.evaluate({"a": Fixed("a"), "b": Fixed("b")}, interval=Normal(), estimator=DR())
    assert found.policies == ("as logged", "a", "b")
    assert len(found) == 3
    logged = found["as logged"]
    assert logged.estimate.value == pytest.approx(joined(agent).reward.mean())
    assert (logged.gain, logged.gain_low, logged.gain_high) == (0.0, 0.0, 0.0)
    for name in ("a", "b"):
        row = found[name]
        assert row.gain == pytest.approx(row.estimate.value - logged.estimate.value, abs=1e-12)
        assert row.gain_low < row.gain < row.gain_high
        assert row.estimate == evaluate(agent, Fixed(name))
    assert agent.evaluate(Fixed("a")).policies == ("as logged", "fixed")
    with pytest.raises(KeyError):
        found["c"]
    with pytest.raises(ConfigurationError, match="as logged"):
        agent.evaluate({"as logged": Fixed("a")})
    with pytest.raises(ConfigurationError, match="at least one"):
        agent.evaluate({})


def test_the_gain_is_surer_than_its_parts() -> None:
    """The policy that made the log gains nothing, however uncertain its value."""
    row = shop().evaluate(Uniform(), estimator=IPW())["uniform"]
    assert row.gain == pytest.approx(0.0, abs=1e-12)
    assert row.gain_high - row.gain_low < 1e-9 < row.estimate.high - row.estimate.low


def test_segments_are_what_their_rows_alone_would_say() -> None:
    """Of categories, flags, numbers in quarters and in bins, and arms; each decision is in one of each."""
    agent = shop(random_control=0.3)
    rows = joined(agent)
    names = ["tier", "app", "age", "arm", "policy_version"]
    found = agent.evaluate(Fixed("a"), by=names, estimator=IPW())
    for name in names:
        parts = found.by(name)
        assert sum(part["fixed"].estimate.n for part in parts.values()) == len(rows)
        assert all(list(part) == ["as logged", "fixed"] for part in parts.values())
    assert list(found.by("tier")) == ["gold", "silver", "another value", "missing"]
    assert list(found.by("app")) == ["0", "1"]
    assert len(found.by("age")) == 4
    sizes = [part["fixed"].estimate.n for part in found.by("age").values()]
    assert min(sizes) > 0.2 * len(rows)
    assert list(found.by("arm")) == ["policy", "random_control"]
    random = evaluate(agent, Fixed("a"), estimator=IPW(), arms=["random_control"])
    row = found.by("arm")["random_control"]["fixed"].estimate
    assert (row.value, row.low) == pytest.approx((random.value, random.low), rel=1e-12)
    gold, silver = (found.by("tier")[each]["fixed"] for each in ("gold", "silver"))
    assert gold.gain_low > 0.0 > silver.gain
    assert not silver.supported  # nobody bought, and nobody said that rewards cannot be less
    bins = agent.evaluate(Fixed("a"), by=Bins("age", [30, 60]), estimator=IPW()).by("age")
    assert list(bins) == ["below 30", "30 to 60", "60 or more"]


def test_numbers_that_nobody_has_are_missing() -> None:
    """Without a single value there are no quarters, and with one value there is one segment."""
    agent = Agent("few", ACTIONS, policy=Uniform(), **PARTS)
    batch = agent.decide_many([f"s{i}" for i in range(60)], now=NOON)
    agent.record_many(batch.ids[:20], "sale", at=NOON)
    agent.learn(now=NOON + DAY)
    found = agent.evaluate(Fixed("a"), by=["age", "tier"], estimator=SNIPW())
    assert list(found.by("age")) == list(found.by("tier")) == ["missing"]
    one = filled(20)
    assert len(one.evaluate(Fixed("a"), by="x", estimator=SNIPW()).by("x")) == 4


@pytest.mark.parametrize(
    ("by", "told"),
    [
        ("action", "known before|before the decision"),
        ("ages", "one of 'age', 'tier', 'app', 'arm'"),
        (Bins("tier", (1.0,)), "a number"),
        (["age", Bins("age", (30.0,))], "each name once"),
    ],
    ids=["action", "unknown", "text", "twice"],
)
def test_what_was_not_known_before_divides_nothing(by: Any, told: str) -> None:
    """Above all the action: policies differ in it."""
    with pytest.raises(EvaluationError, match=told):
        shop(20).evaluate(Fixed("a"), by=by)


@pytest.mark.parametrize("edges", [(), (2, 1), (math.nan,), "x", 5, range(200)], ids=repr)
def test_bins_are_ascending_numbers(edges: Any) -> None:
    """One to 99 of them."""
    with pytest.raises(EvaluationError, match="edges"):
        Bins("age", edges)


def test_many_versions_are_put_together() -> None:
    """Each version is a segment, up to 99 of them."""
    agent = small(policy=EpsilonGreedy(epsilon=0.5))
    for day in range(3):
        work(agent, day, 50, np.random.default_rng(day))
    assert len(agent.evaluate(Uniform(), by="policy_version", estimator=IPW()).by("policy_version")) == 3


def test_older_catalogues_are_read_as_what_they_were(tmp_path: Path) -> None:
    """What was no candidate then cannot be chosen, what is gone has no weight; the rest is as it was."""
    path = tmp_path / "agent.db"
    with shop(600, path, [*ACTIONS, Action("old", channel="email")]) as agent:
        before = agent.evaluate(Fixed({"a": 1.0, "b": 1.0}), estimator=IPW(), by="tier")
        everything = len(joined(agent))
        stays = len(joined(agent).take(joined(agent).action != agent.plan.catalogue.ids.index("old")))
    newer = [Action("new", channel="push"), Action("b", channel="email"), Action("a", channel="push")]
    with Agent.open(str(path), "shop", newer, policy=Uniform(), **PARTS) as agent:
        after = agent.evaluate(Fixed({"a": 1.0, "b": 1.0}), estimator=IPW(), by="tier")
        assert [row.estimate.n for row in after] == [row.estimate.n for row in before]
        for one, other in zip(after, before, strict=True):
            assert one.estimate.value == pytest.approx(other.estimate.value, rel=1e-12)
            assert one.gain_low == pytest.approx(other.gain_low, rel=1e-10)
        # The new action was no candidate, so who wants it most gets the other.
        eager = agent.evaluate(Fixed({"new": 9.0, "a": 1.0}), estimator=IPW())["fixed"].estimate
        assert eager.value == pytest.approx(evaluate(agent, Fixed("a"), estimator=IPW()).value, rel=1e-12)
        assert eager.n == everything
        modelled = evaluate(agent, Fixed("a"))
        assert modelled.n == everything
        assert evaluate(agent, Fixed("a"), rows=joined(agent)).n == stays < everything
        sell(agent, 600, day=1)
        both = agent.evaluate(Fixed("a"), estimator=SNIPW())["fixed"].estimate
        assert both.n == everything + 600
        assert both.diagnostics.mean_weight == pytest.approx(1.0, abs=0.2)


def test_features_that_were_declared_otherwise_are_left_out_and_counted(tmp_path: Path) -> None:
    """Their values mean nothing now; the table says how many decisions that is."""
    path = tmp_path / "agent.db"
    shop(100, path).close()
    other = PARTS | {"features": [Number("age", low=0, high=100)]}
    with Agent.open(str(path), "shop", ACTIONS, policy=Uniform(), **other) as agent:
        with pytest.raises(EvaluationError, match="final reward"):
            agent.evaluate(Fixed("a"))
        work_now = agent.decide_many([f"n{i}" for i in range(200)], {"age": [30.0] * 200}, now=NOON + 4 * DAY)
        agent.record_many(work_now.ids[::3], "sale", at=NOON + 4 * DAY)
        agent.learn(now=NOON + 5 * DAY)
        found = agent.evaluate(Fixed("a"), estimator=SNIPW())
        assert found["fixed"].estimate.n == 200
        assert (found.features, found.erased) == (100, 0)
        assert "left out: 100 decisions, because features were declared otherwise" in str(found)


def test_the_erased_are_left_out_and_counted(tmp_path: Path) -> None:
    """What was known of them is gone, so nobody can say what another policy would have done."""
    with shop(400, tmp_path / "agent.db") as agent:
        before = agent.evaluate(Fixed("a"), estimator=SNIPW())["fixed"].estimate.n
        agent.privacy.erase("s7")
        found = agent.evaluate(Fixed("a"), estimator=SNIPW())
        assert found.erased == before - found["fixed"].estimate.n > 0
        assert found.facts["erased"] == found.erased


def test_the_policy_of_a_split_log_is_judged_by_the_odds_of_each_side() -> None:
    """Logged probabilities are those of the side that decided, so weights are right for any policy."""
    agent = shop(3000, policy=Split(Fixed({"a": 1.0, "b": 3.0}), [(Fixed({"a": 3.0, "b": 1.0}), 0.3)]))
    found = agent.evaluate({"a": Fixed("a"), "same": agent.policy}, estimator=IPW())
    assert found["same"].gain == pytest.approx(0.0, abs=1e-12)
    assert abs(found["a"].estimate.diagnostics.mean_weight_z) < 4.0


def test_what_was_learned_from_is_said_of_every_row() -> None:
    """On the whole with how many rows, in segments as a doubt."""
    agent = small(policy=EpsilonGreedy(epsilon=0.5))
    for day in range(3):
        work(agent, day, 300, np.random.default_rng(day))
    found = agent.evaluate(agent.policy, by="x")
    row = found[agent.policy.name]
    assert "may have learned from 900 of these 900 rows" in row.estimate.diagnostics.reasons[0]
    for parts in found.by("x").values():
        assert parts[agent.policy.name].estimate.diagnostics.verdict != "ok"


def test_a_policy_that_remembers_is_asked_with_what_it_would_know() -> None:
    """Part by part as by rows at hand, whether it made the log or not."""
    agent = filled(60)
    rows = joined(agent)
    for asked in (agent, filled(60, policy=Personal())):
        policy = Personal()
        found = evaluate(asked, policy, estimator=SNIPW())
        given = evaluate(asked, policy, estimator=SNIPW(), rows=joined(asked))
        assert found.value == pytest.approx(given.value, rel=1e-12)
    assert len(rows) == 180


def test_progress_is_told() -> None:
    """Both passes, up to the end."""
    told: list[tuple[str, int, int]] = []
    shop(50).evaluate(Fixed("a"), progress=lambda *args: told.append(args))
    assert {what for what, _, _ in told} == {"reading", "weighing"}
    assert all(0 <= done <= total for _, done, total in told)
    told.clear()
    agent = shop(50)
    agent.evaluate(Fixed("a"), rows=joined(agent), progress=lambda *args: told.append(args))
    assert told[-1] == ("weighing", 50, 50)


def test_wrong_arguments_are_told_before_the_work() -> None:
    """Level, arms, folds, penalty."""
    agent = shop(50)
    wrong: list[tuple[str, Callable[[], object]]] = [
        ("level", lambda: agent.evaluate(Fixed("a"), level=1.0)),
        ("arms", lambda: agent.evaluate(Fixed("a"), arms=["control"])),
        ("folds", lambda: evaluate(agent, Fixed("a"), folds=1)),
        ("penalty", lambda: evaluate(agent, Fixed("a"), penalty=-1.0)),
    ]
    for told, call in wrong:
        with pytest.raises(EvaluationError, match=told):
            call()


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    """Three times the decisions of the same subjects take as much at the peak, within a tenth.

    Lots of rewards and what the log fetches at once are made small, so that both logs have many of them.
    """
    peaks = []
    for rounds in (24, 72):
        with Agent.open(str(tmp_path / f"{rounds}.db"), "shop", ACTIONS, policy=Uniform(), **PARTS) as agent:
            dice = np.random.default_rng(rounds)
            for day in range(rounds):
                now = NOON + day * timedelta(hours=30)
                names = [f"s{i}" for i in range(500)]
                batch = agent.decide_many(names, {"age": dice.uniform(18, 90, 500).tolist()}, now=now)
                agent.record_many(batch.ids[::7], "sale", at=now)
                agent.learn(now=now + DAY)
            evaluate(agent, Fixed("a"))  # what is imported and remembered once
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(matured, "LOT", 2048)
                patch.setattr(_pieces, "_MOST_READ", 1 << 15)
                tracemalloc.start()
                agent.evaluate(Fixed("a"), by=Bins("age", [40, 60]))
                peaks.append(tracemalloc.get_traced_memory()[1])
                tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0]


def test_facts_are_json() -> None:
    """Also where there is no support: what is infinite is null."""
    found = shop(20).evaluate(Fixed("a"), by="tier")
    told = json.loads(json.dumps(found.facts, allow_nan=False))
    assert [row["policy"] for row in told["rows"][:2]] == ["as logged", "fixed"]
    assert told["level"] == 0.95
    assert any(row["gain_low"] is None for row in told["rows"])


def test_estimators_that_look_at_all_rows_get_all_rows() -> None:
    """Those that choose by the log, and replay; a tally refuses them."""
    agent = shop(600)
    for estimator in (tuned([IPW(), IPW(clip=2.0)]), Replay()):
        found = agent.evaluate(Fixed("a"), estimator=estimator)["fixed"]
        assert math.isfinite(found.gain)
        with pytest.raises(EvaluationError, match="estimate"):
            rows = joined(agent)
            Tally(estimator).observe(rows.logged(), target_probabilities(agent, Fixed("a"), rows)[0])
