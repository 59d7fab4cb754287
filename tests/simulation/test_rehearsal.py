"""A rehearsal compares lives, not decisions: no difference where there is none, harm where there is."""

from __future__ import annotations

import json
import math
from typing import Any

import attrs
import numpy as np
import pytest

from agentic._codec import fingerprint
from agentic.errors import ConfigurationError
from agentic.policies import Fixed, LinearThompson, Mixture, Uniform
from agentic.simulation import (
    MEASURES,
    RETAIL,
    SCENARIOS,
    PairedDifference,
    Rehearsal,
    alone_in_charge,
    careful,
    greedy,
    playbook,
    rehearse,
)

HARM = SCENARIOS["quick_harm"]


@pytest.fixture(scope="module")
def harmful() -> Rehearsal:
    """A challenger that sends what drives people away, against one that sends what does not."""
    return rehearse(
        Fixed("voucher/push/evening"),
        Fixed("reminder/push/evening"),
        HARM,
        seeds=range(3),
        customers=200,
        weeks=4,
        make=careful,
    )


def test_a_policy_against_itself_differs_in_nothing() -> None:
    """The same customers, luck and policy: every difference is 0, and so is its interval."""
    found = rehearse(LinearThompson(), LinearThompson(), seeds=(3, 4), customers=40, weeks=2)
    assert all(
        one == PairedDifference(one.champion, one.champion, 0.0, 0.0, 0.0)
        for one in found.differences.values()
    )
    assert found.champion == found.challenger
    assert found.verdict == "undecided"
    assert found.harms == ()


def test_where_nothing_works_only_messages_and_their_price_differ() -> None:
    """Two policies in a world without effects: a false alarm is impossible but for what messages cost."""
    found = rehearse(
        Fixed("no_action"), Uniform(), SCENARIOS["nothing_works"], seeds=range(2), customers=60, weeks=3
    )
    same = MEASURES.keys() - {"messages", "cost", "value", "late_value"}
    assert all(found.differences[name].difference == 0.0 for name in same)
    assert found.differences["messages"].difference > 0.0
    assert found.differences["value"].difference == pytest.approx(-found.differences["cost"].difference)


def test_harm_is_found_before_anybody_is_harmed(harmful: Rehearsal) -> None:
    """Though it is clicked more, the challenger loses people, and the guardrail metrics say so."""
    assert harmful.differences["clicks"].low > 0.0
    assert "unsubscribes" in harmful.harms
    assert "clicks" not in harmful.harms
    assert "messages" not in harmful.harms
    assert harmful.scenario == "quick_harm"
    assert harmful.scenario_hash == fingerprint(HARM.facts)
    assert "unsubscribes" in str(harmful)
    assert "worse" in str(harmful)


def test_the_other_way_round_every_difference_turns() -> None:
    """Champion and challenger exchanged: opposite signs, mirrored intervals."""
    there, back = (
        rehearse(*pair, HARM, seeds=range(2), customers=60, weeks=2)
        for pair in ((Uniform(), playbook()), (playbook(), Uniform()))
    )
    for name, one in there.differences.items():
        turned = PairedDifference(one.challenger, one.champion, -one.difference, -one.high, -one.low)
        assert attrs.astuple(back.differences[name]) == pytest.approx(attrs.astuple(turned)), name
    assert not set(back.harms) & set(there.harms)


def test_it_is_json_with_a_digest_of_its_own(harmful: Rehearsal) -> None:
    """Facts come back as the same value; a changed figure is another digest; twice is the same."""
    facts = json.loads(json.dumps(harmful.facts, allow_nan=False))
    assert Rehearsal.of_facts(facts) == harmful
    assert Rehearsal.of_facts(facts).digest == harmful.digest == fingerprint(facts)
    assert attrs.evolve(harmful, weeks=7).digest != harmful.digest
    one, other = (
        rehearse(Uniform(), playbook(), seeds=(1, 2), customers=30, weeks=1).digest for _ in range(2)
    )
    assert one == other


@pytest.mark.parametrize(
    "wrong", [{}, {"differences": {}}, {"differences": 3}], ids=["empty", "no differences", "number"]
)
def test_other_facts_are_refused(wrong: dict[str, Any], harmful: Rehearsal) -> None:
    """What is no rehearsal is told so."""
    with pytest.raises(ConfigurationError, match="not the facts of a rehearsal"):
        Rehearsal.of_facts(harmful.facts | wrong if wrong else wrong)


def test_verdicts_follow_the_interval_of_the_value(harmful: Rehearsal) -> None:
    """Better above 0, worse below, undecided with 0 inside."""
    for low, high, verdict in ((0.1, 0.3, "better"), (-0.3, -0.1, "worse"), (-0.1, 0.1, "undecided")):
        one = PairedDifference(1.0, 1.0, (low + high) / 2, low, high)
        assert attrs.evolve(harmful, differences={**harmful.differences, "value": one}).verdict == verdict


def test_intervals_are_students_over_seeds() -> None:
    """For two seeds t with one degree of freedom, 12.7062; for three 4.30265."""
    found = PairedDifference.of(np.array([1.0, 2.0]), np.array([2.0, 5.0]))
    assert (found.champion, found.challenger, found.difference) == (1.5, 3.5, 2.0)
    assert found.high - found.difference == pytest.approx(12.706204736 * 1.0, rel=1e-8)
    three = PairedDifference.of(np.zeros(3), np.array([1.0, 2.0, 3.0]))
    assert three.difference - three.low == pytest.approx(4.302652730 / math.sqrt(3), rel=1e-8)


def test_a_challenger_may_be_tried_with_other_goals_and_rules() -> None:
    """The same policy for clicks alone, without caps, sends more."""
    steps: list[tuple[int, int]] = []
    found = rehearse(
        LinearThompson(),
        LinearThompson(),
        RETAIL,
        seeds=(1, 2),
        customers=40,
        weeks=2,
        decisions_per_week=7.0,
        make=careful,
        make_challenger=greedy,
        progress=lambda done, total: steps.append((done, total)),
    )
    assert found.differences["messages"].low > 0.0
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("seeds", [(), (1,), (1, 1), (1.0, 2), (True, 2), range(1001)], ids=repr)
def test_an_interval_needs_crowds(seeds: Any) -> None:
    """Fewer than two seeds, the same twice, or no whole numbers are refused before anything is simulated."""
    with pytest.raises(ConfigurationError, match="seeds must be 2 to 1000 whole numbers, each once"):
        rehearse(Uniform(), Uniform(), seeds=seeds)


def test_what_policies_learn_here_stays_here() -> None:
    """Policies are values: the versions are those that came in."""
    champion, challenger = LinearThompson(), Mixture([(LinearThompson(), 0.5), (playbook(), 0.5)])
    found = rehearse(champion, challenger, seeds=(1, 2), customers=30, weeks=1)
    versions = [alone_in_charge(one, customers=1, seed=1)[0].policy_version for one in (champion, challenger)]
    assert [found.champion, found.challenger] == versions
