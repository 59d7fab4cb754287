"""What policies keep about a subject: written once for each reward, logged as used, never lost on the way."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic import Action, Agent
from agentic.arrays import Field, Layout
from agentic.errors import ConfigurationError, LearningError, StoreError
from agentic.features import Number
from agentic.policies import (
    FirstOf,
    Fixed,
    LinearThompson,
    Mixture,
    Personal,
    RandomFeatures,
    SquareCB,
    Uniform,
)
from agentic.rewards import Goals
from agentic.state import MemoryStore
from agentic.testing import FlakyStore
from agents import NOON, names
from remembering import Counts

HOUR = timedelta(hours=1)
ACTIONS = [Action(f"{m}_{c}", channel=c, dimensions={"message": m, "channel": c}) for m in "ab" for c in "xy"]


def made(policy: Any = None, **more: Any) -> Agent:
    parts: dict[str, Any] = {
        "features": [Number("age", low=0, high=100)],
        "goals": Goals({"buy": 1.0, "complain": -1.0}, window=HOUR),
        "clock": lambda: NOON,
    }
    return Agent("shop", ACTIONS, policy=Counts() if policy is None else policy, **(parts | more))


def live(agent: Agent, subjects: list[str], rounds: int = 1, start: int = 0, seed: int = 0) -> None:
    """Decide for everybody, reward some of it, and learn when the windows are over."""
    dice = np.random.default_rng(seed)
    for turn in range(start, start + rounds):
        now = NOON + 2 * turn * HOUR
        batch = agent.decide_many(subjects, {"age": dice.uniform(0, 100, len(subjects))}, now=now)
        bought = [i for i, luck in zip(batch.ids, dice.random(len(subjects)), strict=True) if luck < 0.4]
        agent.record_many(bought, "buy", at=now)
        agent.learn(now=now + HOUR)


def kept(agent: Agent, subjects: list[str], field: str) -> Any:
    """A field that policies keep, subject by subject."""
    layout = agent.plan.layout
    return layout.part(agent.store.load(subjects, layout).rows, "agentic.policies")[field]


def rewards(agent: Agent) -> dict[str, tuple[int, float]]:
    """How many rewards each subject had by the log, and their sum."""
    whom: dict[int, str] = {}
    found: dict[str, tuple[int, float]] = {}
    for receipt, block in agent.log.read():
        if block.kind == "decision":
            whom |= {receipt.first + i: s for i, s in enumerate(block.columns["subject"].tolist())}
        elif block.kind == "reward":
            told = zip(block.columns["decision"].tolist(), block.columns["reward"].tolist(), strict=True)
            for position, reward in told:
                many, total = found.get(whom[position], (0, 0.0))
                found[whom[position]] = many + 1, total + reward
    return found


def assert_as_logged(agent: Agent, subjects: list[str]) -> None:
    found = rewards(agent)
    assert kept(agent, subjects, "counts.n").tolist() == [found.get(s, (0, 0))[0] for s in subjects]
    assert kept(agent, subjects, "counts.sum")[:, 0].tolist() == [found.get(s, (0, 0.0))[1] for s in subjects]


class Bothered(MemoryStore):
    """Another process changes every record between load and store, for some rounds after it is told to."""

    rounds = 0

    def store(self, subjects, rows, expected, layout, /):
        if self.rounds and len(subjects):
            self.rounds -= 1
            half = list(subjects)[::2]
            found = super().load(half, layout)
            super().store(half, found.rows, found.versions, layout)
        return super().store(subjects, rows, expected, layout)


class Liar(MemoryStore):
    """Writes some of what it is given, and raises."""

    lies = 0

    def store(self, subjects, rows, expected, layout, /):
        if self.lies:
            self.lies -= 1
            super().store(
                subjects[: len(subjects) // 2], rows[: len(rows) // 2], expected[: len(rows) // 2], layout
            )
            raise OSError("the line went dead")
        return super().store(subjects, rows, expected, layout)


def test_every_reward_is_remembered_once() -> None:
    """Records hold what the log says, with several rewards of one subject in one call and slates."""
    agent, subjects = made(), names(7)
    live(agent, subjects, rounds=3)
    dice = np.random.default_rng(1)
    for _ in range(5):
        agent.decide_many([subjects[i] for i in dice.integers(0, 5, 30)], slots=2, now=NOON + 20 * HOUR)
    learned = agent.learn(now=NOON + 30 * HOUR)
    assert learned.used == learned.closed - sum(rewards_after_the_end(agent))
    found = kept(agent, subjects, "counts.n")
    assert found.sum() == 21 + learned.used
    assert agent.policy.learned == found.sum()  # type: ignore[attr-defined]


def rewards_after_the_end(agent: Agent) -> list[int]:
    """For each logged slate, its slots after the one that did nothing."""
    idle = agent.plan.catalogue.idle
    out = []
    for _, block in agent.log.read():
        if block.kind == "decision" and block.columns["action"].shape[1] == 2:
            out += (block.columns["action"][:, 0] == idle).astype(int).tolist()
    return out


def test_a_lost_race_is_run_again_on_fresh_records() -> None:
    """A refused write is neither lost nor doubled, and what the other process wrote stays."""
    store = Bothered()
    agent, subjects = made(store=store), names(40)
    for turn in range(4):
        now = NOON + 2 * turn * HOUR
        agent.decide_many(subjects, now=now)
        store.rounds = 5
        agent.learn(now=now + HOUR)
        assert not store.rounds
    assert_as_logged(agent, subjects)
    assert kept(agent, subjects, "counts.n").tolist() == [4] * 40


def test_a_record_that_never_stands_still_is_given_up_for_now() -> None:
    """After 128 lost races learn says so; what is left is written the next time."""
    store = Bothered()
    agent, subjects = made(store=store), names(6)
    agent.decide_many(subjects, now=NOON)
    store.rounds = 10**6
    for _ in range(2):
        with pytest.raises(StoreError, match="1 subjects kept changing"):
            agent.learn(now=NOON + HOUR)
        # The first of those that are left never stands still, the others do after a while.
        assert sorted(kept(agent, subjects, "counts.n").tolist()) == [0, 1, 1, 1, 1, 1]
    store.rounds = 0
    assert agent.learn(now=NOON + HOUR).used == 0
    assert_as_logged(agent, subjects)


def test_deciding_while_learning_loses_nothing() -> None:
    """Four threads decide for the same subjects while one learns: the records come out as the log says."""
    agent, subjects = made(), names(30)
    stop = threading.Event()
    errors: list[BaseException] = []

    def decide(number: int) -> None:
        try:
            while not stop.is_set():
                agent.decide_many(subjects[number::2], now=NOON)
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    crew = [threading.Thread(target=decide, args=(number % 2,)) for number in range(4)]
    for thread in crew:
        thread.start()
    for _ in range(25):
        agent.learn(now=NOON + HOUR)
    stop.set()
    for thread in crew:
        thread.join()
    agent.learn(now=NOON + HOUR)
    assert not errors
    assert_as_logged(agent, subjects)
    assert agent.replay().identical


def test_threads_that_learn_at_once_learn_each_reward_once() -> None:
    """Calls of learn wait for each other."""
    agent, subjects = made(), names(200)
    agent.decide_many(subjects * 3, now=NOON)
    crew = [threading.Thread(target=agent.learn, kwargs={"now": NOON + HOUR}) for _ in range(6)]
    for thread in crew:
        thread.start()
    for thread in crew:
        thread.join()
    assert kept(agent, subjects, "counts.n").tolist() == [3] * 200
    assert agent.policy.learned == 600  # type: ignore[attr-defined]


@pytest.mark.parametrize("fail_every", [2, 3, 5], ids=str)
def test_a_store_that_fails_now_and_then_loses_nothing(fail_every: int) -> None:
    """Learn says so; called again it writes what is left, and only that."""
    inner = MemoryStore()
    agent, subjects = made(store=inner), names(50)
    flaky = FlakyStore(inner, fail_every=fail_every)
    failed = 0
    for turn in range(6):
        now = NOON + 2 * turn * HOUR
        agent.decide_many(subjects, now=now)
        agent._teaching.remembering._store = flaky  # decisions are made by a desk that holds the sound one
        for _ in range(20):
            try:
                agent.learn(now=now + HOUR)
                break
            except StoreError as error:
                failed += 1
                assert "learn() again" in str(error)  # noqa: PT017 - either way is fine
        agent._teaching.remembering._store = inner
        agent.learn(now=now + HOUR)
        assert_as_logged(agent, subjects)
    assert failed
    assert agent.policy.learned == 300  # type: ignore[attr-defined]
    assert kept(agent, subjects, "counts.n").tolist() == [6] * 50


@pytest.mark.parametrize("lies", [1, 2, 3], ids=str)
def test_a_store_that_raises_after_writing_is_looked_at_first(lies: int) -> None:
    """What it took before the line went dead is not written twice."""
    store = Liar()
    agent, subjects = made(store=store), names(9)
    agent.decide_many(subjects * 2, now=NOON)
    store.lies = lies
    for _ in range(lies):
        with pytest.raises(StoreError, match="nothing is lost"):
            agent.learn(now=NOON + HOUR)
    agent.decide_many(subjects, now=NOON + HOUR)
    assert agent.learn(now=NOON + HOUR).used == 0
    assert_as_logged(agent, subjects)
    assert kept(agent, subjects, "counts.n").tolist() == [2] * 9


def test_a_store_that_answers_nonsense_is_looked_at_too() -> None:
    """It wrote, and said so in words: nothing is written twice."""

    class Words(MemoryStore):
        wordy = False

        def store(self, subjects, rows, expected, layout, /):
            stands = super().store(subjects, rows, expected, layout)
            return stands.tolist() if self.wordy else stands

    store = Words()
    agent, subjects = made(store=store), names(4)
    agent.decide_many(subjects, now=NOON)
    store.wordy = True
    with pytest.raises(StoreError, match="4 times yes or no"):
        agent.learn(now=NOON + HOUR)
    store.wordy = False
    agent.learn(now=NOON + HOUR)
    assert_as_logged(agent, subjects)


def test_what_a_policy_refuses_is_not_remembered() -> None:
    """Records stay as they are, and whoever comes next gets the rewards."""
    agent, subjects = made(), names(4)
    live(agent, subjects)
    before = kept(agent, subjects, "counts.n").tolist()
    now = NOON + 5 * HOUR
    batch = agent.decide_many(subjects, now=now)
    agent.record(batch[0].id, "complain", at=now)
    with pytest.raises(LearningError):
        agent.learn(now=now + HOUR)
    assert kept(agent, subjects, "counts.n").tolist() == before == [1] * 4
    agent.policy = Personal()
    assert agent.learn(now=now + HOUR).used == 4
    assert kept(agent, subjects, "counts.n").tolist() == before
    assert kept(agent, subjects, "personal.minute").tolist() == [int(now.timestamp() // 60)] * 4


def test_a_policy_that_fails_to_remember_is_offered_the_rewards_again() -> None:
    """An exception in a plugin leaves policy and records as they are."""

    @attrs.frozen
    class Trips(Counts):
        def remember(self, feedback, rows, /):
            super().remember(feedback, rows)
            if len(stumbles) < 2:
                stumbles.append(1)
                raise RuntimeError("tripped")

    stumbles: list[int] = []
    agent, subjects = made(Trips()), names(3)
    agent.decide_many(subjects, now=NOON)
    for _ in range(2):
        with pytest.raises(RuntimeError, match="tripped"):
            agent.learn(now=NOON + HOUR)
        assert kept(agent, subjects, "counts.n").tolist() == [0] * 3
    assert agent.learn(now=NOON + HOUR).used == 3
    assert_as_logged(agent, subjects)


def test_deleted_subjects_do_not_come_back() -> None:
    """A reward that closes after a subject was deleted makes no record."""
    agent, subjects = made(Personal()), names(5)
    agent.decide_many(subjects, now=NOON)
    agent.store.delete(subjects[:2])
    assert agent.learn(now=NOON + HOUR).used == 5
    assert sorted(agent.store.subjects()) == subjects[2:]
    agent.decide_many(subjects[2:], now=NOON + 2 * HOUR)
    agent.store.delete(subjects)
    agent.learn(now=NOON + 3 * HOUR)
    assert list(agent.store.subjects()) == []


def test_other_policies_come_and_go_and_nothing_is_forgotten() -> None:
    """From one to the other and back on a live agent: each finds what it kept, and replay finds all."""
    agent, subjects = made(SquareCB()), names(20)
    live(agent, subjects, rounds=2)
    agent.policy = Personal()
    live(agent, subjects, rounds=3, start=2)
    counts = kept(agent, subjects, "personal.count.channel=x")
    assert counts.any()
    learned = agent.policy
    agent.policy = SquareCB()
    assert "remembered" not in agent.decide_many(subjects, now=NOON + 10 * HOUR).columns
    live(agent, subjects, rounds=2, start=6)
    assert (kept(agent, subjects, "personal.count.channel=x") == counts).all()
    agent.policy = Mixture([(Counts(), 1.0), (learned, 3.0)])
    live(agent, subjects, rounds=2, start=9)
    assert kept(agent, subjects, "counts.n").tolist() == [2] * 20
    assert (kept(agent, subjects, "personal.count.channel=x") >= counts).all()
    agent.policy = learned
    live(agent, subjects, rounds=1, start=12)
    assert kept(agent, subjects, "counts.n").tolist() == [2] * 20
    replayed = agent.replay()
    assert replayed.identical
    assert replayed.decisions == 20 * 11


def test_a_catalogue_that_grows_keeps_what_is_known() -> None:
    """Another agent of the name, with new actions and levels, on the same store: fields match by name."""
    store = MemoryStore()
    agent, subjects = made(Personal(), store=store), names(20)
    live(agent, subjects, rounds=4)
    counts = kept(agent, subjects, "personal.count.channel=x")
    more = [*ACTIONS, Action("c_z", channel="z", dimensions={"message": "c", "channel": "z", "when": "am"})]
    next_one = Agent(
        "shop", more, policy=agent.policy, store=store, features=[Number("age", low=0, high=100)]
    )
    assert (kept(next_one, subjects, "personal.count.channel=x") == counts).all()
    assert (kept(next_one, subjects, "personal.count.channel=z") == 0).all()
    next_one.decide_many(subjects, now=NOON)
    assert (kept(agent, subjects, "personal.count.channel=x") == counts).all()
    assert next_one.failures == {}


def test_ctrl_c_in_the_store_is_no_reward_twice() -> None:
    """Interrupted after it wrote: what it took is found, and the rest is written."""

    class Interrupted(MemoryStore):
        told = False

        def store(self, subjects, rows, expected, layout, /):
            stands = super().store(subjects, rows, expected, layout)
            if self.told:
                self.told = False
                raise KeyboardInterrupt
            return stands

    store = Interrupted()
    agent, subjects = made(store=store), names(5)
    agent.decide_many(subjects, now=NOON)
    store.told = True
    with pytest.raises(KeyboardInterrupt):
        agent.learn(now=NOON + HOUR)
    agent.learn(now=NOON + HOUR)
    assert_as_logged(agent, subjects)
    assert agent.policy.learned == 5  # type: ignore[attr-defined]


def test_a_request_is_answered_across_policies() -> None:
    """Old answers, logged without what a policy keeps, stand beside new ones."""
    agent, subjects = made(SquareCB()), names(4)
    first = agent.decide_many(subjects[:2], request_ids=["r", "s"], now=NOON)
    agent.policy = Personal()
    agent.decide_many(subjects[2:3], request_ids=["t"], now=NOON)
    again = agent.decide_many(subjects, request_ids=["r", "s", "t", "u"], now=NOON)
    assert again.ids[:2] == first.ids
    assert again[2].choices


def test_fields_that_clash_are_refused_and_the_agent_goes_on() -> None:
    """Another dtype under the same name is refused when the policy is published; so are twins."""

    class Wider(Counts):
        @property
        def fields(self):
            return (Field("counts.n", "f8"),)

    agent = made()
    before = agent.policy
    with pytest.raises(ConfigurationError, match=r"keeps 'counts.n' as .* give the policy another name"):
        agent.policy = Wider()
    assert agent.policy is before
    with pytest.raises(ConfigurationError, match=r"keeps field 'counts\.n' twice"):
        made(FirstOf(Counts(), Counts()))
    live(agent, names(3))
    assert_as_logged(agent, names(3))
    agent.policy = FirstOf(Counts(), Counts(name="more"))
    live(agent, names(3), start=1)
    assert kept(agent, names(3), "more.n").tolist() == [1] * 3


def test_a_guardrail_may_bear_any_policy_s_name() -> None:
    """Fields of policies and of guardrails do not meet."""

    class Once:
        name = "counts"
        fields = (Field("n", "i8"),)

        def review(self, batch, /):
            from agentic.arrays import Review

            return Review((batch.rows["n"] < 2)[:, None], "TWICE")

        def settle(self, batch, chosen, /):
            batch.rows["n"] += chosen.sends.any(axis=1)

    agent = made(FirstOf(Fixed("a_x"), Counts()), guardrails=[Once()])
    live(agent, ["ann"], rounds=4)
    assert [agent.decide("ann", now=NOON + 20 * HOUR).action.id] != ["a_x"]
    assert_as_logged(agent, ["ann"])


def test_a_policy_cannot_write_while_it_proposes() -> None:
    """What it sees is read-only: it fails, and the fallback decides."""

    @attrs.frozen
    class Scribbles(Counts):
        def propose(self, batch, /):
            batch.rows["counts.n"] += 1
            return super().propose(batch)

    agent = made(Scribbles())
    agent.decide("ann", now=NOON)
    assert agent.failures == {"counts": 1}
    assert kept(agent, ["ann"], "counts.n").tolist() == [0]


def test_a_stand_in_sees_its_fields_too() -> None:
    """A fallback that remembers decides by what the policy of that name kept, and is replayed by it."""
    taught = made(Personal())
    live(taught, names(6), rounds=3)

    class Fails:
        name = "fails"

        def propose(self, batch, /):
            raise RuntimeError("down")

    agent = made(Fails(), fallback=taught.policy, store=taught.store)
    batch = agent.decide_many(names(6), {"age": [50.0] * 6}, now=NOON + 50 * HOUR)
    want = taught.decide_many(names(6), {"age": [50.0] * 6}, now=NOON + 50 * HOUR)
    alike = batch.action == want.action  # another decision of the same subjects, drawn anew
    assert alike.any()
    assert np.array_equal(batch.probability[alike], want.probability[alike])
    assert "remembered" in batch.columns
    assert agent.replay().identical


def test_learning_costs_one_load_and_one_store() -> None:
    """For a whole batch of rewards; and deciding costs what it always does."""
    calls: list[str] = []

    class Counted(MemoryStore):
        def load(self, *args):
            calls.append("load")
            return super().load(*args)

        def store(self, *args):
            calls.append("store")
            return super().store(*args)

    agent = made(Personal(), store=Counted())
    calls.clear()
    agent.decide_many(names(500), now=NOON)
    assert calls == ["load", "store"]
    calls.clear()
    agent.learn(now=NOON + HOUR)
    assert calls == ["load", "store"]
    calls.clear()
    agent.learn(now=NOON + 2 * HOUR)
    assert calls == []


def test_alone_in_a_batch_and_in_parts_decisions_are_the_same() -> None:
    """To the bit, for subjects that are known, strangers and everything between."""
    subjects, ages = names(300), np.random.default_rng(5).uniform(0, 100, 300)

    def answers(cuts: list[int]) -> Any:
        agent = made(Personal(population=LinearThompson(half_life=timedelta(days=2))))
        live(agent, subjects[:200], rounds=4)
        live(agent, subjects[50:120], rounds=8, start=5, seed=3)
        agent.policy = stirred(agent.policy)
        parts = [
            agent.decide_many(subjects[lo:hi], {"age": ages[lo:hi]}, now=NOON + 40 * HOUR)
            for lo, hi in zip([0, *cuts], [*cuts, 300], strict=True)
        ]
        columns = ("action", "probability", "score", "spread", "remembered")
        return {name: np.concatenate([part.columns[name] for part in parts]) for name in columns}

    whole = answers([])
    assert len(np.unique(whole["spread"])) > 100
    for cuts in ([1], [7, 8, 9, 100], list(range(1, 300))):
        for name, column in answers(cuts).items():
            assert np.array_equal(column, whole[name]), (cuts[:3], name)


def stirred(policy: Any) -> Any:
    """The policy, told that subjects differ."""
    between = policy.between
    more = attrs.evolve(between, square=between.square + 0.3 * np.maximum(between.weight, 1.0))
    return attrs.evolve(policy, between=more)


def test_an_explanation_shows_what_is_the_subject_s_own() -> None:
    """The candidate's probability is the one that was drawn, and the subject's effects are named."""
    agent, subjects = made(Personal()), names(40)
    live(agent, subjects, rounds=6)
    agent.policy = stirred(agent.policy)
    decision = agent.decide(subjects[0], {"age": 30}, now=NOON + 50 * HOUR)
    told = agent.explain(decision.id)
    odds = {candidate.action: candidate.probability for candidate in told.candidates}
    assert odds[decision.action.id] == decision.probability
    assert "personal: level" in told.contributions
    live(agent, subjects, rounds=2, start=40)
    assert agent.explain(decision.id) == told


FIELDS = st.lists(
    st.tuples(
        st.sampled_from(["i1", "u2", "f4", "f8", "S3", "?"]),
        st.sampled_from([(), (2,), (3, 2)]),
        st.booleans(),
    ),
    min_size=1,
    max_size=6,
)


@given(fields=FIELDS, rows=st.integers(0, 9), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_what_is_packed_is_unpacked(fields: list[Any], rows: int, seed: int) -> None:
    """Bytes of a component's fields become the fields again, also in a layout with others beside them."""
    mine = [Field(f"p.{i}", kind, shape) for i, (kind, shape, _) in enumerate(fields)]
    fewer = [field for field, (_, _, stays) in zip(mine, fields, strict=True) if stays]
    old = Layout.compose("agent", {"core": [Field("a", "u1"), Field("b", "f8")], "own": mine})
    new = Layout.compose(
        "agent", {"x": [Field("c", "i4", (3,), 7)], "own": [*fewer, Field("q", "f4", (), 2.5)]}
    )
    whole = old.new(rows)
    raw = whole.view(np.uint8).reshape(rows, old.dtype.itemsize)
    raw[:] = np.random.default_rng(seed).integers(0, 2, raw.shape)
    packed = old.pack(whole, "own")
    assert packed.shape == (rows, sum(np.dtype((f.dtype, f.shape)).itemsize for f in mine))
    found = new.unpack(packed, old.packing("own"), "own")
    for field in fewer:
        assert found[field.name].tobytes() == old.part(whole, "own")[field.name].tobytes()
    assert (found["q"] == 2.5).all()
    back = old.unpack(packed, old.packing("own"), "own")
    assert old.pack(back.view(old.dtype), "own").tobytes() == packed.tobytes()


def test_uniform_needs_no_room() -> None:
    """Without a policy that remembers, records and log are as they were."""
    agent = made(Uniform())
    assert agent.plan.remembered == ()
    assert not any("polic" in name for name in agent.plan.layout.dtype.names or ())
    assert "remembered" not in agent.decide_many(["ann"], now=NOON).columns


def test_policies_that_wait_keep_no_records() -> None:
    """Random features wait for their first rewards beside one that remembers: both are published."""
    agent, subjects = made(Mixture([(Personal(), 1.0), (RandomFeatures(width=4), 1.0)])), names(6)
    live(agent, subjects, rounds=5)
    assert (kept(agent, subjects, "personal.minute") > 0).all()
    agent.policy = RandomFeatures(policy=Personal(name="bent"), width=4, warmup=12)
    live(agent, subjects, rounds=8, start=6)
    assert kept(agent, subjects, "bent.count.sent").sum() + kept(agent, subjects, "bent.count.idle").sum() > 6
    assert agent.replay().identical
