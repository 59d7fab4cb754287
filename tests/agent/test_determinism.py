"""The promise of `docs/determinism.md`, on a million decisions."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from agentic import Agent
from agentic._again import logged_batch
from agentic._flow import probabilities
from agents import DAY, NOON, agent, consenting, context, names, one, rows, teach

SUBJECTS = 250_000
ROUNDS = 4


def ready(subjects: list[str], **more: Any) -> Agent:
    """An agent with opinions, whose customers agreed to contact, but for every seventh."""
    made = agent(holdout=0.05, random_control=0.05, exploration_floor=0.02, **more)
    teach(made)
    return consenting(made, [name for i, name in enumerate(subjects) if i % 7])


@pytest.fixture(scope="module")
def subjects() -> list[str]:
    return names(SUBJECTS)


@pytest.fixture(scope="module")
def contexts() -> list[dict[str, Any]]:
    return [context(SUBJECTS, seed=turn) for turn in range(ROUNDS)]


@pytest.fixture(scope="module")
def whole(subjects: list[str], contexts: list[dict[str, Any]]) -> tuple[Agent, list[Any]]:
    """A million decisions: every subject, four times, a day apart, each time in one call."""
    made = ready(subjects)
    return made, [made.decide_many(subjects, contexts[turn], now=NOON + turn * DAY) for turn in range(ROUNDS)]


def test_a_shuffled_batch_decides_each_row_as_the_batch_in_order_did(
    subjects: list[str], contexts: list[dict[str, Any]], whole: tuple[Agent, list[Any]]
) -> None:
    """Order and size of batches change neither an action nor one bit of a probability."""
    other = ready(subjects)
    rng = np.random.default_rng(1)
    for turn in range(ROUNDS):
        order = rng.permutation(SUBJECTS)
        action = np.empty((SUBJECTS, 1), np.int64)
        probability = np.empty((SUBJECTS, 1))
        cuts = np.sort(rng.integers(0, SUBJECTS, 40))
        for part in np.split(order, cuts):
            batch = other.decide_many(
                [subjects[i] for i in part.tolist()], rows(contexts[turn], part), now=NOON + turn * DAY
            )
            action[part], probability[part] = batch.action, batch.probability
        assert np.array_equal(action, whole[1][turn].action)
        assert np.array_equal(probability, whole[1][turn].probability)


def test_partitions_decided_by_other_agents_in_other_threads_agree(
    subjects: list[str], contexts: list[dict[str, Any]], whole: tuple[Agent, list[Any]]
) -> None:
    """Each partition may live in a process of its own: nothing is shared between subjects."""
    errors: list[str] = []

    def work(part: int) -> None:
        mine = np.arange(part, SUBJECTS, 4)
        own = [subjects[i] for i in mine.tolist()]
        made = agent(holdout=0.05, random_control=0.05, exploration_floor=0.02)
        teach(made)
        consenting(made, [subjects[i] for i in mine.tolist() if i % 7])
        for turn in range(ROUNDS):
            batch = made.decide_many(own, rows(contexts[turn], mine), now=NOON + turn * DAY)
            same = np.array_equal(batch.action, whole[1][turn].action[mine]) and np.array_equal(
                batch.probability, whole[1][turn].probability[mine]
            )
            if not same:
                errors.append(f"partition {part}, round {turn}")

    threads = [threading.Thread(target=work, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []


def test_single_decisions_agree_with_the_batch(
    subjects: list[str], contexts: list[dict[str, Any]], whole: tuple[Agent, list[Any]]
) -> None:
    """One decision is the batch with one row: 20,000 of the million, one at a time."""
    some = list(range(0, SUBJECTS, 50))
    own = ready(list(subjects))
    for turn in range(ROUNDS):
        for i in some:
            decision = own.decide(subjects[i], one(contexts[turn], i), now=NOON + turn * DAY)
            batch = whole[1][turn]
            assert decision.action.id == batch.catalogue.ids[batch.action[i, 0]]
            assert decision.probability == batch.probability[i, 0]


def test_a_million_decisions_replay_from_the_log(whole: tuple[Agent, list[Any]]) -> None:
    """What was logged is enough to decide again, with the same answer to the last bit."""
    replayed = whole[0].replay()
    assert replayed.decisions == SUBJECTS * ROUNDS
    assert replayed.identical, replayed.changed[:5]


def test_logged_probabilities_are_those_drawn_from(whole: tuple[Agent, list[Any]]) -> None:
    """Over a million draws, candidates of probability p are chosen a share p of the time."""
    made, batches = whole
    edges = np.array([0.0, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.2, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0])
    hits, expected, variance = (np.zeros(len(edges)) for _ in range(3))
    by_action = np.zeros((3, len(made.plan.catalogue)))
    schema = made._assembly.schema
    for batch in batches:
        for lo in range(0, len(batch), 50_000):
            part = batch.take(np.arange(lo, min(lo + 50_000, len(batch))))
            odds = probabilities(made.plan, made.policy, logged_batch(made.plan, schema, part))
            asked = part.columns["arm"] == 0
            allowed = part.columns["denied"] == 0
            assert np.abs(odds.sum(axis=1) - 1).max() < 1e-9
            assert (odds[~allowed] == 0).all()
            chosen = np.zeros(odds.shape)
            chosen[np.arange(len(part)), part.action[:, 0]] = 1
            assert np.array_equal(odds[asked][chosen[asked] > 0], part.probability[asked, 0])
            place = np.searchsorted(edges, odds[asked])
            for total, what in ((hits, chosen), (expected, odds), (variance, odds * (1 - odds))):
                np.add.at(total, place.ravel(), what[asked].ravel())
            by_action += [what[asked].sum(axis=0) for what in (chosen, odds, odds * (1 - odds))]
    busy = variance > 25
    # Each bin's excess is close to normal: bins of one distribution are dependent, so bound each at
    # five standard deviations, which a fair draw passes in all of 25 bins but once in 70,000 runs.
    assert busy.sum() >= 8
    assert np.abs((hits - expected)[busy] / np.sqrt(variance[busy])).max() < 5
    assert np.abs((by_action[0] - by_action[1]) / np.sqrt(by_action[2])).max() < 5


def test_the_same_seed_gives_the_same_decisions_and_another_seed_others() -> None:
    """The seed is the only dice there is."""
    subjects, columns = names(2000), context(2000)
    first, again, other = (
        ready(subjects, seed=seed).decide_many(subjects, columns, now=NOON) for seed in (3, 3, 4)
    )
    assert np.array_equal(first.action, again.action)
    assert first.ids == again.ids
    assert not np.array_equal(first.action, other.action)


def test_a_subject_twice_in_a_batch_is_decided_as_in_two_calls() -> None:
    """Rows of one subject are decided in their order, each seeing what the one before it changed."""
    subjects = [name for name in names(300) for _ in range(3)]
    columns = context(900)
    batch = ready(subjects[::3]).decide_many(subjects, columns, now=NOON)
    alone = ready(subjects[::3])
    for i, subject in enumerate(subjects):
        decision = alone.decide(subject, one(columns, i), now=NOON)
        assert decision.action.id == batch.action_ids[i]
        assert decision.probability == batch.probability[i, 0]
