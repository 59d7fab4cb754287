"""Evidence made of estimates and of simulated campaigns."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest

from agentic.errors import ReleaseError
from agentic.evaluation import Estimate, Joined, evaluate, joined, teach
from agentic.policies import BetaThompson, SquareCB
from agentic.release import Registry, evaluation_evidence, simulation_evidence, training_digest
from releasing import PASSED, made, taught


@pytest.fixture(scope="module")
def parts() -> tuple[Any, Joined, Joined]:
    """An agent with a log, and the two halves of its subjects."""
    agent = made(policy=BetaThompson(), random_control=0.5)
    taught(agent, 400)
    return (agent, *joined(agent).split())


class TestEvaluation:
    def test_a_policy_judged_by_other_rows_goes_on(self, parts: tuple[Any, Joined, Joined]) -> None:
        """Trained on one half, judged by the other, both named by their digests."""
        agent, train, test = parts
        policy = teach(agent, SquareCB(), train)
        found = evaluation_evidence(evaluate(agent, policy, rows=test), rows=test, training=train)
        assert found.verdict in ("pass", "weak")
        assert found.summary["seen"] == 0
        assert found.summary["rows"] == training_digest(test)
        registry = Registry(agent)
        version = registry.register(policy, owner="Bob", training=train)
        assert version.training == found.summary["training"] == training_digest(train)
        registry.attach(policy, found, by="Bob")
        registry.attach(policy, PASSED["simulation"], by="Bob")
        assert registry.missing(policy) == ()
        assert registry.advance(policy, by="Bob").stage == "evaluated"

    def test_one_row_in_common_is_one_too_many(self, parts: tuple[Any, Joined, Joined]) -> None:
        """It is counted, and lets nothing through."""
        agent, train, test = parts
        both = joined(agent)
        policy = teach(agent, SquareCB(gamma=3.0), train)
        registry = Registry(agent)
        registry.register(policy, owner="Bob", training=train)
        registry.attach(policy, PASSED["simulation"], by="Bob")
        estimate = evaluate(agent, policy, rows=both)
        found = evaluation_evidence(estimate, rows=both, training=train)
        assert found.summary["seen"] == len(train)
        for wrong in (
            found,
            evaluation_evidence(estimate, rows=test),
        ):  # the other hides what it was trained on
            registry.attach(policy, wrong, by="Bob")
            assert len(registry.missing(policy)) == 1

    def test_what_the_log_cannot_say_fails(self, parts: tuple[Any, Joined, Joined]) -> None:
        """And so does what is below what was asked for."""
        agent, _, test = parts
        estimate = evaluate(agent, SquareCB(), rows=test)
        facts = attrs.evolve(estimate.diagnostics, verdict="unsupported")
        blind: Estimate = attrs.evolve(estimate, low=float("nan"), diagnostics=facts)
        assert evaluation_evidence(blind, rows=test).verdict == "fail"
        assert evaluation_evidence(blind, rows=test).summary["low"] is None
        assert evaluation_evidence(estimate, rows=test, at_least=1e9).verdict == "fail"
        assert evaluation_evidence(estimate, rows=test, at_least=-1e9).verdict != "fail"

    def test_a_digest_is_of_the_rows_and_not_of_their_order(self, parts: tuple[Any, Joined, Joined]) -> None:
        """One reward, and it is another."""
        _, train, _ = parts
        back = np.arange(len(train))[::-1]
        turned = attrs.evolve(
            train, position=train.position[back], action=train.action[back], reward=train.reward[back]
        )
        assert training_digest(turned) == training_digest(train)
        other = attrs.evolve(train, reward=train.reward + (np.arange(len(train)) == 0))
        assert training_digest(other) != training_digest(train)


class TestSimulation:
    @pytest.mark.parametrize(
        ("ours", "margin", "verdict"),
        [
            ([3.0, 3.1, 2.9], 0.0, "pass"),
            ([1.9, 2.2, 2.1], 0.0, "weak"),
            ([1.0, 1.1, 0.9], 0.0, "fail"),
            ([1.0, 1.1, 0.9], 5.0, "pass"),
        ],
        ids=["better", "in-doubt", "worse", "within-margin"],
    )
    def test_it_says_what_the_difference_says(self, ours: list[float], margin: float, verdict: str) -> None:
        """Pair by pair, against what it may be worse by."""
        found = simulation_evidence(ours, [2.0, 2.0, 2.0], margin=margin, world="three")
        assert found.verdict == verdict
        assert found.summary["difference"] == pytest.approx(np.mean(ours) - 2.0)
        assert found.summary["campaigns"] == 3

    @pytest.mark.parametrize(
        ("ours", "theirs", "margin"),
        [
            ([1.0], [1.0], 0.0),
            ([1.0, 2.0], [1.0], 0.0),
            ([1.0, float("nan")], [1.0, 2.0], 0.0),
            ([1.0, 2.0], [1.0, float("inf")], 0.0),
            ([1.0, 2.0], [1.0, 2.0], -1.0),
            ([1.0, 2.0], [1.0, 2.0], float("nan")),
        ],
        ids=list(map(str, range(6))),
    )
    def test_nonsense_is_refused(self, ours: list[float], theirs: list[float], margin: float) -> None:
        """Before it becomes evidence."""
        with pytest.raises(ReleaseError):
            simulation_evidence(ours, theirs, margin=margin)
