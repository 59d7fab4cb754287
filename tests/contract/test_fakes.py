"""The fakes do what they say, and no more."""

import importlib.util
import re
import subprocess
import sys
import unittest
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given

from agentic import testing, zones
from agentic.arrays import Block, Field, Layout
from agentic.catalogue import Catalogue
from agentic.errors import ConfigurationError, InvalidTimeError, LogError, StoreError
from agentic.policies import LinearThompson
from agentic.protocols import FeatureProvider, Guardrail, Policy, ProvenanceLog, StateStore
from agentic.provenance import MemoryLog
from agentic.state import MemoryStore
from agentic.testing import strategies
from agentic.types import NO_ACTION

LAYOUT = Layout.compose("shop", {"cap": [Field("count", np.int64)]})


def test_a_clock_stands_still_until_it_is_moved():
    """Asked twice a clock tells one time; it moves by durations and to times, and tells UTC."""
    clock = testing.FakeClock(datetime(2026, 7, 1, 12, tzinfo=timezone(timedelta(hours=2))))
    assert clock() == clock() == datetime(2026, 7, 1, 10, tzinfo=UTC)
    assert clock().tzinfo is UTC
    assert clock.advance(timedelta(hours=-1)) == clock() == datetime(2026, 7, 1, 9, tzinfo=UTC)
    assert clock.set(datetime(2027, 1, 1, tzinfo=UTC)) == clock() == datetime(2027, 1, 1, tzinfo=UTC)


def test_a_clock_refuses_times_without_zone():
    """A naive time is no time."""
    with pytest.raises(InvalidTimeError, match="with a zone"):
        testing.FakeClock(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the mistake


def test_a_flaky_store_fails_every_nth_call_and_changes_nothing():
    """The third call fails before it reaches the store, whatever it asks for, and so does the sixth."""
    store = testing.FlakyStore(MemoryStore(), fail_every=3)
    rows, new = LAYOUT.new(1), np.zeros(1, dtype=np.int64)
    assert isinstance(store, StateStore)
    assert store.consistency == MemoryStore.consistency
    assert store.store(["a"], rows, new, LAYOUT).all()
    assert list(store.subjects()) == ["a"]
    with pytest.raises(StoreError, match="call 3"):
        store.delete(["a"])
    assert store.load(["a"], LAYOUT).versions[0] > 0
    assert store.delete(["a"]) == 1
    with pytest.raises(StoreError, match="call 6"):
        store.store(["b"], rows, new, LAYOUT)
    assert not list(store.subjects())
    assert store.calls == 7


def test_a_flaky_log_fails_every_nth_append_and_appends_nothing():
    """The second append fails and leaves no record; reading never fails."""
    log = testing.FlakyLog(MemoryLog(), fail_every=2)
    assert isinstance(log, ProvenanceLog)
    assert log.durability == MemoryLog.durability
    log.append(testing.block(3))
    with pytest.raises(LogError, match="append 2"):
        log.append(testing.block(3))
    assert log.append(testing.block(1)).first == 3
    assert sum(len(block) for _, block in log.read()) == 4
    assert log.calls == 3


@pytest.mark.parametrize("every", [0, -1, 2.0])
def test_fail_every_is_a_whole_number(every):
    """A share of calls is not what ``fail_every`` means."""
    with pytest.raises(ConfigurationError, match="whole number from 1"):
        testing.FlakyStore(MemoryStore(), fail_every=every)


def test_failing_parts_have_the_form_of_their_socket_and_fail():
    """Each failing fake is taken for the real thing until it is asked."""
    policy, guardrail = testing.FailingPolicy(), testing.FailingGuardrail("angry")
    provider = testing.FailingProvider()
    assert isinstance(policy, Policy)
    assert isinstance(guardrail, Guardrail)
    assert isinstance(provider, FeatureProvider)
    with pytest.raises(RuntimeError, match="failing fails"):
        policy.propose(testing.batch(1))
    with pytest.raises(RuntimeError, match="angry fails"):
        guardrail.review(testing.batch(1))
    with pytest.raises(RuntimeError, match="failing fails"):
        provider.fetch(["ada"], ["age"], 0)


def test_a_batch_is_the_same_for_the_same_arguments_and_holds_every_nuisance():
    """Masks of every kind, unknown zones, missing values, late deliveries and a bias column are in it."""
    one, two, other = testing.batch(), testing.batch(), testing.batch(seed=1)
    assert np.array_equal(one.X, two.X)
    assert not np.array_equal(one.X, other.X)
    idle = one.catalogue.idle
    assert one.allowed[0].all()
    assert one.allowed[1].sum() == 1
    assert one.allowed[2].sum() == 2
    assert one.allowed[:, idle].all()
    assert (one.zone == zones.UNKNOWN).any()
    assert all(np.isnan(getattr(column, "codes", column)).any() for column in one.columns.values())
    assert (one.delivery > one.now[:, None]).any()
    assert (one.X[:, -1] == 1.0).all()
    assert one.catalogue.mandatory.any()


def test_a_batch_takes_a_catalogue():
    """Where a plugin names its own actions, the batch is about those."""
    actions = testing.catalogue(3)
    assert testing.batch(4, actions=actions).catalogue is actions
    assert testing.space(testing.batch(2, 4, d=5)).width == 5
    assert testing.space().encoded[-1] == "bias"


def test_feedback_names_only_what_was_allowed():
    """Every logged action was a candidate, with the probability of a uniform draw."""
    told = testing.feedback()
    assert told.allowed[np.arange(len(told)), told.action].all()
    assert np.array_equal(told.probability, 1.0 / told.allowed.sum(axis=1))
    assert set(told.reward) == {0.0, 1.0}


def test_what_was_chosen_ends_with_no_action():
    """A slate holds no action twice, only allowed ones, and nothing after `NO_ACTION`."""
    batch = testing.batch()
    picked = testing.chosen(batch, slots=3)
    for row, slate in enumerate(picked.action.tolist()):
        sent = [action for action in slate if action != batch.catalogue.idle]
        assert slate[: len(sent)] == sent
        assert len(set(sent)) == len(sent)
        assert batch.allowed[row, sent].all()
    assert np.array_equal(picked.sends, picked.action != batch.catalogue.idle)


def test_a_policy_can_be_tried_on_a_batch_without_rows():
    """Checks do not fall over a batch that holds nobody."""
    testing.check_masks_are_met_with_finite_weights(LinearThompson, lambda: testing.batch(0))
    assert len(testing.feedback(testing.batch(0))) == 0


def test_checks_that_explore_are_skipped_without_hypothesis(monkeypatch):
    """Where Hypothesis is missing the state machines say so by a skip that every runner knows."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    for check, make in (
        (testing.check_against_a_model, MemoryStore),
        (testing.check_log_against_a_model, MemoryLog),
    ):
        with pytest.raises(unittest.SkipTest, match="pip install hypothesis"):
            check(make)


def test_the_kit_imports_neither_pytest_nor_hypothesis():
    """A plugin's author may use any test runner: importing the kit brings none."""
    script = "import sys, agentic.testing; print(sorted({'pytest', 'hypothesis'} & set(sys.modules)))"
    path = str(importlib.util.find_spec("agentic").submodule_search_locations[0])
    source = re.sub(r"[\\/]agentic$", "", path)
    code = f"import sys; sys.path.insert(0, {source!r}); {script}"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_public_names_are_sorted_and_there():
    """``__all__`` of the kit is sorted, and every name in it exists."""
    for module in (testing, strategies):
        assert sorted(module.__all__) == module.__all__
        assert all(hasattr(module, name) for name in module.__all__)


@given(strategies.subjects())
def test_subjects_can_be_stored(subject):
    """Every subject the strategy makes comes back from a store."""
    store = MemoryStore()
    assert store.store([subject], LAYOUT.new(1), np.zeros(1, dtype=np.int64), LAYOUT).all()
    assert list(store.subjects()) == [subject]


@given(strategies.contexts())
def test_contexts_hold_only_declared_names(context):
    """A context is a mapping of some of the features."""
    assert context.keys() <= {"age", "visits", "tier"}


@given(strategies.contexts(numbers=["spent"], categories={"plan": ["a", "b"]}))
def test_contexts_follow_what_is_declared(context):
    """Names of one's own take the place of the usual ones."""
    assert context.keys() <= {"spent", "plan"}


@given(strategies.catalogues(max_size=4))
def test_catalogues_can_be_decided_over(catalogue):
    """Every catalogue the strategy makes has `NO_ACTION` and makes a batch."""
    assert isinstance(catalogue, Catalogue)
    assert NO_ACTION in catalogue.actions
    assert 2 <= len(catalogue) <= 5
    assert testing.batch(3, actions=catalogue).delivery.shape == (3, len(catalogue))


def test_a_block_is_what_was_asked_for():
    """Blocks have as many records as asked for, of the kind asked for."""
    block = testing.block(5, kind="outcome", columns="few")
    assert isinstance(block, Block)
    assert (len(block), block.kind, sorted(block.columns)) == (5, "outcome", ["at", "subject"])
