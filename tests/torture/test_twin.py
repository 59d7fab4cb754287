"""An agent on a file is its twin in memory, whatever it goes through; and its log says what it knows."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agentic import Agent, ConsentGranted
from agentic.errors import AgenticError
from agentic.types import ConsentWithdrawn, Released, Suppressed
from torture import checks
from torture.scene import DAY, NAME, NOON, in_memory, opened

SUBJECTS = ["ada", "bob", "cleo", "dora", "Ümit", "a" * 300]
subjects = st.sampled_from(SUBJECTS)
channels = st.sampled_from([None, "sms", "push", "email"])
hours = st.integers(1, 100).map(lambda count: timedelta(hours=count))

Call = Callable[[Agent], Any]


class Twins(RuleBasedStateMachine):
    """Every call is made to an agent on a file, which crashes at will, and to one in memory."""

    ids = Bundle("ids")  # pairs: of the one on the file, of the one in memory
    policies = Bundle("policies")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "agent.db"
        self.now = NOON
        self.left: list[Agent] = []  # whose process died: nobody closes them
        self.agents = [self.open()]
        self.twin = in_memory(clock=self.clock, budget=None)
        self.told = checks.model()

    def clock(self) -> datetime:
        return self.now

    def open(self) -> Agent:
        return opened(self.path, clock=self.clock, budget=None)

    def teardown(self) -> None:
        for agent in [*self.agents, *self.left]:
            agent.close()
        self.folder.cleanup()

    def both(self, who: int, call: Call) -> tuple[Any, Any]:
        """Ask both; where one refuses, the other must refuse alike, and then nothing changes."""
        answers: list[Any] = []
        for agent in (self.agents[who % len(self.agents)], self.twin):
            try:
                answers.append(call(agent))
            except AgenticError as error:
                answers.append(type(error))
        if isinstance(answers[0], type) or isinstance(answers[1], type):
            assert answers[0] == answers[1]
        return answers[0], answers[1]

    @initialize(target=policies)
    def agree(self) -> Any:
        self.both(0, lambda agent: agent.tell_many(SUBJECTS, ConsentGranted("marketing")))
        return self.twin.policy

    @rule(
        target=ids,
        who=st.integers(0, 3),
        asked=st.lists(subjects, min_size=1, max_size=8),
        slots=st.sampled_from([1, 1, 1, 2]),
        named=st.one_of(st.none(), st.lists(st.sampled_from("abc"), min_size=8, max_size=8)),
        x=st.floats(-1, 2, width=32),
    )
    def decide(self, who: int, asked: list[str], slots: int, named: list[str] | None, x: float) -> Any:
        context = {"x": [x] * len(asked), "tier": ["gold"] * len(asked)}
        requests = None if named is None else named[: len(asked)]
        mine, other = self.both(
            who, lambda agent: agent.decide_many(asked, context, request_ids=requests, slots=slots)
        )
        if isinstance(mine, type):
            return multiple()
        for column in (
            "subject",
            "at",
            "action",
            "probability",
            "explored",
            "denied",
            "arm",
            "values",
            "tag",
        ):
            np.testing.assert_array_equal(mine.columns[column], other.columns[column], err_msg=column)
        assert [mine.meta(row)["policy"] for row in range(len(mine))] == [
            other.meta(row)["policy"] for row in range(len(other))
        ]
        return multiple(*zip(mine.ids, other.ids, strict=True))

    @rule(
        who=st.integers(0, 3),
        some=st.lists(ids, min_size=1, max_size=4),
        goal=st.sampled_from(["purchase", "visit", "unsubscribe", "exposed", "nonsense"]),
        value=st.sampled_from([1.0, 2.5, -1.0]),
        late=hours,
        event=st.one_of(st.none(), st.sampled_from("ab")),
        slot=st.sampled_from([0, 0, 0, 1]),
    )
    def record(
        self,
        who: int,
        some: list[Any],
        goal: str,
        value: float,
        late: timedelta,
        event: str | None,
        slot: int,
    ) -> None:
        def call(agent: Agent) -> list[int]:
            mine = [pair[agent is self.twin] for pair in some]
            events = None if event is None else [event] * len(mine)
            return agent.record_many(
                mine,
                goal,
                [value] * len(mine),
                slots=[slot] * len(mine),
                at=self.now - DAY + late,
                event_ids=events,
            )

        mine, other = self.both(who, call)
        assert mine == other

    @rule(who=st.integers(0, 3), pair=ids, place=st.sampled_from([-1, 0, 5]))
    def record_for_nobody(self, who: int, pair: Any, place: int) -> None:
        """An id that was never given names nothing, even where its place is that of a record."""
        flipped = f"{int(pair[0], 16) ^ (1 << (64 + place) if place >= 0 else 1 << 60):032x}"
        mine, _ = self.both(who, lambda agent: agent.record(flipped, "purchase"))
        assert isinstance(mine, type)

    @rule(
        who=st.integers(0, 3),
        some=st.lists(subjects, min_size=1, max_size=3),
        fact=st.one_of(
            channels.map(lambda channel: ConsentGranted("marketing", channel)),
            channels.map(lambda channel: ConsentWithdrawn("marketing", channel)),
            st.just(ConsentGranted("research")),
            hours.map(lambda length: Suppressed(NOON + length)),
            st.just(Suppressed(None)),
            st.just(Released()),
        ),
    )
    def tell(self, who: int, some: list[str], fact: Any) -> None:
        self.both(who, lambda agent: agent.tell_many(some, fact))

    @rule(who=st.integers(0, 3), subject=subjects)
    def erase(self, who: int, subject: str) -> None:
        """Whoever is forgotten is a stranger from now on."""
        mine, _ = self.both(who, lambda agent: agent.privacy.erase(subject))
        assert not isinstance(mine, type)

    @rule(target=policies, who=st.integers(0, 3))
    def learn(self, who: int) -> Any:
        mine, other = self.both(who, lambda agent: agent.learn())
        assert mine == other
        return self.agents[who % len(self.agents)].policy

    @rule(who=st.integers(0, 3), policy=policies)
    def roll_back(self, who: int, policy: Any) -> None:
        self.both(who, lambda agent: setattr(agent, "policy", policy))

    @rule(step=st.sampled_from([timedelta(hours=1), DAY, 3 * DAY, 8 * DAY, -DAY]))
    def pass_time(self, step: timedelta) -> None:
        self.now += step

    @precondition(lambda self: len(self.agents) < 3)
    @rule()
    def come(self) -> None:
        """Another process opens the file."""
        self.agents.append(self.open())

    @rule(who=st.integers(0, 3))
    def crash(self, who: int) -> None:
        """A process is gone without a word, and starts again."""
        at = who % len(self.agents)
        self.left.append(self.agents[at])
        self.agents[at] = self.open()

    @rule()
    def restart(self) -> None:
        """All close, and one opens."""
        for agent in self.agents:
            agent.close()
        self.agents = [self.open()]

    @rule(who=st.integers(0, 3))
    def compact(self, who: int) -> None:
        store: Any = self.agents[who % len(self.agents)].store
        store.compact()

    @rule(who=st.integers(0, 3))
    def replay(self, who: int) -> None:
        replayed = self.agents[who % len(self.agents)].replay()
        assert replayed.identical
        assert replayed.decisions + replayed.erased == len(self.told.decisions)

    @invariant()
    def knows_what_the_log_says(self) -> None:
        for agent in self.agents:
            checks.settled(agent, self.told)
            assert agent.policy_version == self.twin.policy_version
            assert agent.pending == self.twin.pending
        assert sorted(self.agents[0].store.subjects()) == sorted(self.twin.store.subjects())
        held, other = (
            agent.store.load(SUBJECTS, agent.plan.layout).rows for agent in (self.agents[0], self.twin)
        )
        for name in other.dtype.names:
            np.testing.assert_array_equal(held[name], other[name], err_msg=name)
        assert self.agents[0].name == NAME


def test_an_agent_on_a_file_is_its_twin_in_memory(time_to_spend: Any) -> None:
    """Decisions, probabilities, statuses, windows and learned versions are equal, through every crash."""
    machine = settings(
        max_examples=round(time_to_spend.share(0.5)),
        stateful_step_count=30,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        # Finding the shortest way to a failure takes minutes.
        phases=set(Phase) if time_to_spend.is_long else set(Phase) - {Phase.shrink, Phase.explain},
    )
    run_state_machine_as_test(Twins, settings=machine)


@pytest.mark.parametrize("durable", [True, False], ids=["on a file", "in memory"])
def test_a_request_of_an_erased_subject_is_a_new_one(tmp_path: Path, *, durable: bool) -> None:
    """Whoever was erased is a stranger: its request is decided, not answered with what nobody may know."""
    agent = opened(tmp_path / "agent.db") if durable else in_memory()
    with agent:
        ada = agent.decide("ada", request_id="a")
        bob = agent.decide("bob", request_id="a")
        agent.privacy.erase("ada")
        again = agent.decide_many(["ada", "bob", "ada"], request_ids=["a", "a", "a"])
        assert again.subjects == ["ada", "bob", "ada"]
        assert again.ids[1] == bob.id
        assert again.ids[0] == again.ids[2] != ada.id


@pytest.mark.parametrize("restart", [True, False], ids=["after a restart", "in one process"])
def test_open_windows_of_the_erased_close_without_a_reward(tmp_path: Path, *, restart: bool) -> None:
    """What is waited for of a subject that was erased never becomes a reward, whoever learns next."""
    now = [NOON]
    agent, twin = opened(tmp_path / "agent.db", clock=lambda: now[0]), in_memory(clock=lambda: now[0])
    versions = []
    for begun in (agent, twin):
        one = begun
        batch = one.decide_many(SUBJECTS[:3])
        one.record_many(batch.ids, "purchase", [3.0] * 3)
        one.privacy.erase(SUBJECTS[1])
        if restart and one is agent:
            agent.close()
            agent = opened(tmp_path / "agent.db", clock=lambda: now[0])
            one = agent
        assert one.pending == 2
        now[0] = NOON + 4 * DAY
        assert one.learn().closed == 2
        versions.append(one.policy_version)
        now[0] = NOON
    assert versions[0] == versions[1]
    checks.settled(agent, checks.model())
    agent.close()


def test_the_model_is_short() -> None:
    """Who doubts the model can read it."""
    lines = [line for line in Path(__file__).with_name("model.py").read_text().splitlines() if line.strip()]
    assert len(lines) < 150
