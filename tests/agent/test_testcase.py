"""A decision becomes a test that anybody can run: it passes for the policy that decided, and for no other."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic import Action, Agent, _noise, errors
from agentic.arrays import Proposal
from agentic.features import Number
from agentic.policies import Fixed, Uniform
from agentic.testing import decide_again
from agents import NOON, names
from remembering import Counts
from replaying import columns, copied, leaning, reopened, worked

APPLICATION = """
from replaying import Leans, leaning

def good():
    return leaning()

def changed():
    return leaning(policy=Leans(slope=3.0))
"""


def run(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    (folder / "application.py").write_text(APPLICATION, encoding="utf-8")
    (folder / "test_case.py").write_text(text, encoding="utf-8")
    here = Path(__file__).parents[1]
    path = os.pathsep.join([str(here.parent / "src"), str(here), str(folder)])
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "--rootdir",
            str(folder),
            "test_case.py",
        ],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def pass_with(text: str, agent: Agent) -> None:
    """Run the test in this text with this agent in place of what the factory would make."""
    space: dict[str, Any] = {}
    body = text.replace("from application import good\n", "")
    exec(compile(body, "case", "exec"), space)
    space["good"] = lambda: agent
    (test,) = [value for name, value in space.items() if name.startswith("test_decision_")]
    test()


def test_the_test_passes_for_the_agent_that_decided_and_fails_for_a_changed_policy(tmp_path: Path) -> None:
    """Run by pytest, in a process that knows nothing but the text and the application."""
    made = leaning()
    decision = next(
        found
        for i in range(99)
        if (found := made.decide(f"anna.smith.{i}", {"x": 0.4, "tier": "gold"}, now=NOON)).arm == "policy"
    )
    good, changed = (tmp_path / name for name in ("good", "changed"))
    for folder, passed in ((good, True), (changed, False)):
        folder.mkdir()
        text = made.as_test(decision.id, f"application:{folder.name}")
        assert "anna" not in text
        done = run(folder, text)
        assert (done.returncode == 0) is passed, done.stdout + done.stderr
        assert ("1 passed" if passed else "1 failed") in done.stdout


ONCE = worked()
BATCHES = list(ONCE._archive.batches())


@pytest.mark.parametrize("number", [0, 1])
@settings(max_examples=30)
@given(row=st.integers(0, 299))
def test_every_decision_makes_a_test_that_passes(number: int, row: int) -> None:
    """In every arm, with features that are missing, rules that struck out, and where the policy failed."""
    text = ONCE.as_test(BATCHES[number].ids[row], "application:good")
    pass_with(text, ONCE)


def test_a_record_that_was_changed_makes_a_test_that_fails() -> None:
    """The expectation is what was logged."""

    def change(held: dict[str, Any], _: Any) -> None:
        held["probability"][3] = 0.5

    again = reopened(ONCE, copied(ONCE, change))
    with pytest.raises(AssertionError):
        pass_with(again.as_test(BATCHES[0].ids[3], "application:good"), again)


def test_a_seed_that_changed_makes_a_test_that_fails() -> None:
    """The ticket draws what was drawn under the seed of the time."""
    failed = 0
    for decision_id in BATCHES[0].ids[:20]:
        try:
            pass_with(ONCE.as_test(decision_id, "application:good"), reopened(ONCE, ONCE.log, seed=4))  # type: ignore[arg-type]
        except AssertionError:
            failed += 1
    assert failed > 5


def test_the_subject_is_named_only_when_asked_for() -> None:
    """With its own ticket then."""
    made = leaning()
    decision = made.decide("anna.smith", {"x": 0.4}, now=NOON)
    text = made.as_test(decision.id, "application:good", subject="anna.smith")
    assert "subject='anna.smith'" in text
    assert "ticket=0," in text
    assert "'x': 0.4," in text
    assert "'tier': nan," in text
    assert "from math import inf, nan" in text
    pass_with(text, made)


def test_slates_and_what_was_remembered_are_told() -> None:
    """Slot by slot, and field by field."""
    made = leaning(policy=Counts(), guardrails=[])
    batch = made.decide_many(names(30), columns(30), slots=3, now=NOON)
    for decision_id in batch.ids:
        text = made.as_test(decision_id, "application:good")
        assert "'counts.sum': [0.0, 0.0]" in text
        pass_with(text, made)


class ByKey:
    """A policy that goes by who somebody is."""

    name = "by_key"

    def propose(self, batch: Any, /) -> Any:
        weights = np.ones(batch.allowed.shape)
        weights[:, 0] += (batch.keys % np.uint64(1000)).astype(np.float64)
        return Proposal(weights)


def test_where_the_policy_goes_by_the_key_nobody_stands_in_for_the_subject() -> None:
    """The test needs the subject's own id then."""
    made = leaning(policy=ByKey(), holdout=0.0, random_control=0.0)
    decision = made.decide("anna", {"x": 0.4}, now=NOON)
    with pytest.raises(errors.EvaluationError, match="goes by the subject's key"):
        made.as_test(decision.id, "application:good")
    pass_with(made.as_test(decision.id, "application:good", subject="anna"), made)


def test_an_erased_decision_makes_no_test() -> None:
    """There is nothing left of what was known."""

    def erase(held: dict[str, Any], _: Any) -> None:
        held["key"][0] = held["tag"][0] = 0
        held["subject"][0] = ""

    again = reopened(ONCE, copied(ONCE, erase))
    decision_id = next(again._archive.batches()).ids[0]
    with pytest.raises(errors.EvaluationError, match="erased"):
        again.as_test(decision_id, "application:good")


@pytest.mark.parametrize(
    "factory",
    ["application", "application:", ":good", "a b:good", "a:b.c", "a:import", "x:y;z", "", 7],
    ids=repr,
)
def test_a_factory_is_written_as_module_and_function(factory: Any) -> None:
    """Nothing else gets into the text."""
    with pytest.raises(errors.ConfigurationError, match=r"package\.module:function"):
        ONCE.as_test(BATCHES[0].ids[0], factory)


def test_names_that_look_like_code_stay_texts() -> None:
    """Ids of actions and features are quoted; nothing of them is run."""
    evil = "\"\"\"); raise SystemExit #'''"
    made = Agent(evil, [Action(evil)], features=[Number(evil, low=0, high=1)], policy=Uniform())
    decision = made.decide("c", {evil: 0.5}, now=NOON)
    pass_with(made.as_test(decision.id, "application:good"), made)


def test_a_case_of_another_agent_is_refused() -> None:
    """Features, actions and fields are named when they differ."""
    known: dict[str, Any] = {"subject": "s", "ticket": 1, "at": NOON.isoformat()}
    with pytest.raises(errors.EvaluationError, match="age"):
        decide_again(ONCE, **known, features={"x": 0.1, "tier": 0.0, "age": 3.0})
    with pytest.raises(errors.EvaluationError, match="fax"):
        decide_again(ONCE, **known, features={"x": 0.1, "tier": 0.0}, struck_out=["fax"])
    other = leaning(policy=Counts())
    with pytest.raises(errors.EvaluationError, match="mood"):
        decide_again(other, **known, features={"x": 0.1, "tier": 0.0}, remembered={"mood": 1})
    sure = leaning(policy=Fixed("push"), exploration_floor=0.0)
    assert decide_again(sure, **known, features={"x": 0.1, "tier": 0.0}, zone="UTC") == [("push", 1.0)]


@given(
    st.integers(-(1 << 70), 1 << 70),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, 100),
)
def test_another_key_draws_the_same_with_its_own_ticket(
    seed: int, key: int, ticket: int, other: int, slot: int
) -> None:
    """In every slot."""
    twin = _noise.same_draw(seed, key, ticket, other)
    one, two = (
        _noise.keyed(seed, np.array([k], np.uint64), np.array([t], np.uint64), slot)
        for k, t in ((key, ticket), (other, twin))
    )
    assert one == two
    assert _noise.same_draw(seed, key, ticket, key) == ticket
