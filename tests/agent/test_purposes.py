"""A feature with a purpose is neither asked for nor used until the subject has agreed to the purpose."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic import Action, Agent, ConsentGranted, ConsentWithdrawn, F
from agentic.arrays import Batch, Columns, Proposal, Status
from agentic.errors import ConfigurationError
from agentic.features import Category, Cyclic, Flag, Hashed, Number, RuleOnly, Schema, TimeZone
from agentic.guardrails import Consent
from agentic.policies import LinearThompson, Uniform
from agentic.provenance import MemoryLog
from agentic.rewards import Goals
from agentic.state import MemoryStore
from agents import DAY, NOON, names

ACTIONS = [Action("push", channel="push"), Action("mail", channel="email")]
FEATURES = [
    Number("visits", low=0, high=100),
    Number("income", low=0, high=1000, default=5, purpose="personalisation"),
    Category("illness", ["none", "flu"], purpose="health"),
    Number("orders", low=0, high=100, purpose="personalisation"),
]
WITHHELD = int(Status.WITHHELD)


class Spy:
    """Knows everything of everybody, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[str], list[str]]] = []

    def fetch(self, subjects: Any, names: Any, now: int) -> Columns:
        self.asked.append((list(subjects), list(names)))
        known = {"visits": 7.0, "income": 700.0, "illness": "flu", "orders": 70.0}
        dtype = {"illness": object}
        return Columns({n: np.full(len(subjects), known[n], dtype=dtype.get(n)) for n in names})


class Counting(MemoryStore):
    """Counts how often it is read and written."""

    loads = stores = 0

    def load(self, subjects: Any, layout: Any, /) -> Any:
        self.loads += 1
        return super().load(subjects, layout)

    def store(self, subjects: Any, rows: Any, expected: Any, layout: Any, /) -> Any:
        self.stores += 1
        return super().store(subjects, rows, expected, layout)


class Watching:
    """Weighs as chance does, and keeps what it was shown."""

    name = "watching"

    def __init__(self) -> None:
        self.shown: list[dict[str, Any]] = []

    def propose(self, batch: Batch, /) -> Proposal:
        shown = {"X": batch.X.copy()}
        for name in ("income", "orders", "visits"):
            shown[name] = np.asarray(batch.columns[name]).copy()
        self.shown.append(shown)
        return Proposal(np.ones(batch.allowed.shape))


def agent(**parts: Any) -> Agent:
    base: dict[str, Any] = {"features": FEATURES, "policy": Uniform(), "clock": lambda: NOON}
    return Agent("shop", ACTIONS, **(base | parts))


def statuses(found: Any) -> list[list[int]]:
    told: list[list[int]] = found.columns["status"].tolist()
    return told


def test_a_provider_is_asked_for_what_is_covered_of_whom_it_is_covered() -> None:
    """Features that may be asked of the same subjects are asked together: one call for each such group."""
    spy = Spy()
    made = agent(providers=[spy])
    made.tell_many(["b", "c"], ConsentGranted("personalisation"))
    made.tell("c", ConsentGranted("health"))
    made.tell("c", ConsentWithdrawn("personalisation"))
    found = made.decide_many(["a", "b", "c"])
    assert spy.asked == [
        (["a", "b", "c"], ["visits"]),
        (["b"], ["income", "orders"]),
        (["c"], ["illness"]),
    ]
    P, W = int(Status.PRESENT), WITHHELD
    assert statuses(found) == [[P, W, W, W], [P, P, W, P], [P, W, P, W]]
    assert np.isnan(found.columns["values"]).sum() == 6


def test_one_call_where_all_agreed_to_everything() -> None:
    """Purposes cost no calls where nothing is withheld."""
    spy = Spy()
    made = agent(providers=[spy])
    for purpose in ("personalisation", "health"):
        made.tell_many(names(20), ConsentGranted(purpose))
    made.decide_many(names(20))
    assert spy.asked == [(names(20), ["visits", "income", "illness", "orders"])]


def test_a_stranger_agreed_to_nothing() -> None:
    """Unknown is no."""
    spy = Spy()
    decision = agent(providers=[spy]).decide("nobody")
    assert spy.asked == [(["nobody"], ["visits"])]
    assert decision.degraded == ()


def test_what_the_caller_sends_is_not_used_either() -> None:
    """It reaches neither policy, condition nor log; the default steps in."""
    policy, log = Watching(), MemoryLog()
    actions = [Action("rich", eligible=F("income") > 100), *ACTIONS]
    made = Agent("shop", actions, features=FEATURES, policy=policy, log=log, clock=lambda: NOON)
    decision = made.decide("anna", {"income": 777.0, "visits": 3})
    shown = policy.shown[0]
    assert np.isnan(shown["income"]).all()
    assert shown["visits"].tolist() == [3]
    assert shown["X"][0, 1] == 5 / 1000
    assert decision.reasons == {"ELIGIBILITY_UNKNOWN": ("rich",)}
    ((_, block),) = log.read()
    assert 777.0 not in block.columns["values"]
    told = made.explain(decision.id)
    assert told.features["income"] is None
    assert told.statuses["income"] == "withheld"
    assert "(withheld)" in str(told)
    assert "777" not in str(told)


def test_withheld_is_not_degraded_and_missing_is() -> None:
    """What a subject chose not to tell is no failure."""
    made = agent()
    assert made.decide("anna", {"visits": 1}).degraded == ()
    made.tell("anna", ConsentGranted("personalisation"))
    decision = made.decide("anna", {"visits": 1})
    assert decision.degraded == ("income", "orders")
    found = made.decide_many(["anna", "ben"], {"visits": [1, 1]})
    assert found.degraded.tolist() == [True, False]


def test_a_fact_about_one_channel_covers_no_use_and_ends_it() -> None:
    """Values serve the choice among all channels at once."""
    made = agent(guardrails=[Consent("personalisation")])
    made.tell("anna", ConsentGranted("personalisation", "push"))
    assert statuses(made.decide_many(["anna"], {"income": [1]}))[0][1] == WITHHELD
    made.tell("anna", ConsentGranted("personalisation"))
    assert statuses(made.decide_many(["anna"], {"income": [1]}))[0][1] == Status.PRESENT
    made.tell("anna", ConsentWithdrawn("personalisation", "email"))
    assert statuses(made.decide_many(["anna"], {"income": [1]}))[0][1] == WITHHELD


def test_a_purpose_nobody_declares_is_refused() -> None:
    """A misspelt purpose would grant nothing, silently; so would a grant for one channel."""
    made = agent()
    for fact in (ConsentGranted("personalization"), ConsentGranted("health", "push")):
        with pytest.raises(ConfigurationError, match="no guardrail or feature"):
            made.tell("anna", fact)
    made.tell("anna", ConsentWithdrawn("health", "push"))


def test_a_withdrawal_holds_in_the_next_decision_of_every_thread() -> None:
    """When ``tell`` has returned, nobody uses the value."""
    made = agent()
    made.tell("anna", ConsentGranted("personalisation"))
    gate, wrong = threading.Barrier(5), []

    def decide() -> None:
        gate.wait()
        wrong.extend(made.decide("anna", {"income": 1}) for _ in range(50))

    threads = [threading.Thread(target=decide) for _ in range(4)]
    for thread in threads:
        thread.start()
    made.tell("anna", ConsentWithdrawn("personalisation"))
    gate.wait()
    for thread in threads:
        thread.join()
    assert len(wrong) == 200
    assert {made.explain(decision.id).statuses["income"] for decision in wrong} == {"withheld"}


class Meddling(MemoryStore):
    """A store in which somebody else withdraws consent at the worst moments."""

    def __init__(self, when: str) -> None:
        super().__init__()
        self.when, self.armed, self.withdraw = when, False, lambda: None

    def load(self, subjects: Any, layout: Any, /) -> Any:
        found = super().load(subjects, layout)
        if self.armed and self.when == "after the first load":
            self.armed = False
            self.withdraw()
        return found

    def store(self, subjects: Any, rows: Any, expected: Any, layout: Any, /) -> Any:
        if self.armed and self.when == "before the store":
            self.armed = False
            self.withdraw()
        return super().store(subjects, rows, expected, layout)


@pytest.mark.parametrize("when", ["after the first load", "before the store"])
@pytest.mark.parametrize("size", [1, 40])
def test_a_withdrawal_while_deciding_is_heeded(when: str, size: int) -> None:
    """Values from before are forgotten; a row decided with them loses its race and is decided anew."""
    store, policy = Meddling(when), Watching()
    made = agent(store=store, policy=policy)
    subjects = names(size)
    made.tell_many(subjects, ConsentGranted("personalisation"))
    store.withdraw = lambda: made.tell(subjects[0], ConsentWithdrawn("personalisation"))
    store.armed = True
    found = made.decide_many(subjects, {"income": np.full(size, 900.0), "visits": np.ones(size)})
    assert not store.armed
    assert statuses(found)[0][1] == WITHHELD
    assert np.isnan(found.columns["values"][0, 1])
    assert (found.columns["values"][1:, 1] == 900).all()
    last = policy.shown[-1] if when == "before the store" else policy.shown[0]
    assert np.isnan(last["income"][0])
    assert made.replay().identical


def test_without_a_store_nothing_is_known_of_consent() -> None:
    """Values are withheld where records cannot be read."""

    class Down(MemoryStore):
        down = False

        def load(self, subjects: Any, layout: Any, /) -> Any:
            if self.down and len(subjects):
                raise OSError("down")
            return super().load(subjects, layout)

    store, spy = Down(), Spy()
    made = agent(store=store, providers=[spy])
    made.tell("anna", ConsentGranted("personalisation"))
    store.down = True
    found = made.decide_many(["anna"], {"income": [900.0]})
    assert found.action_ids.tolist() == ["no_action"]
    assert statuses(found)[0] == [Status.PRESENT, WITHHELD, WITHHELD, WITHHELD]
    assert spy.asked == [(["anna"], ["visits"])]


def test_purposes_cost_one_load_more_and_only_where_there_are_any() -> None:
    """Records are loaded before providers are asked, each subject once."""
    for features, subjects, loads, stores in (
        (FEATURES[:1], names(100), 1, 1),
        (FEATURES, names(100), 2, 1),
        (FEATURES, ["anna", "anna", "ben"], 3, 2),
    ):
        store = Counting()
        made = agent(features=features, store=store)
        store.loads = store.stores = 0
        made.decide_many(subjects)
        assert (store.loads, store.stores) == (loads, stores)


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.booleans(), st.booleans(), st.booleans()),
        min_size=1,
        max_size=30,
    )
)
def test_a_row_alone_and_in_company_is_the_same(rows: list[tuple[str, bool, bool, bool]]) -> None:
    """Whatever its neighbours agreed to."""
    agreed = {name: (one, two) for name, one, two, _ in rows}

    def new() -> Agent:
        made = agent(providers=[Spy()], policy=LinearThompson())
        for name, purposes in agreed.items():
            for purpose, yes in zip(("personalisation", "health"), purposes, strict=True):
                if yes:
                    made.tell(name, ConsentGranted(purpose))
        return made

    subjects = [name for name, *_ in rows]
    sent = [3.0 if here else None for *_, here in rows]
    together, alone = new(), new()
    batch = together.decide_many(subjects, {"income": sent})
    for row, (name, value) in enumerate(zip(subjects, sent, strict=True)):
        found = alone.decide_many([name], {"income": [value]})
        for column in ("values", "status", "action", "probability", "tag"):
            one, other = found.columns[column][0], batch.columns[column][row]
            assert np.array_equal(one, other, equal_nan=column == "values")
        yes = agreed[name]
        covered = [True, yes[0], yes[1], yes[0]]
        assert [code != WITHHELD for code in statuses(batch)[row]] == covered
    assert together.replay().identical


def test_what_is_learned_is_what_was_logged() -> None:
    """A withheld value is not in the feedback."""
    seen = []

    class Curious(LinearThompson):
        def learn(self, feedback: Any, /) -> Any:
            seen.append(feedback.X.copy())
            return super().learn(feedback)

    made = agent(policy=Curious(), goals=Goals({"buy": 1.0}, window=DAY))
    decision = made.decide("anna", {"income": 777.0, "visits": 100})
    made.record(decision.id, "buy")
    made.learn(now=NOON + 2 * DAY)
    assert seen[0][0, 0] == 1.0
    assert seen[0][0, 1] == 5 / 1000


def test_a_time_zone_may_have_a_purpose() -> None:
    """Withheld, it is as unknown as if nobody had told it."""
    made = agent(features=[TimeZone(purpose="location")])
    found = made.decide_many(["anna"], {"time_zone": ["Asia/Tokyo"]})
    assert found.columns["zone"].tolist() == [-1]
    made.tell("anna", ConsentGranted("location"))
    found = made.decide_many(["anna"], {"time_zone": ["Asia/Tokyo"]})
    assert found.columns["zone"][0] >= 0


EVERY = [
    lambda p: Number("a", low=0, high=1, purpose=p),
    lambda p: Cyclic("a", period=24, purpose=p),
    lambda p: Flag("a", purpose=p),
    lambda p: Category("a", ["x"], purpose=p),
    lambda p: Hashed("a", purpose=p),
    lambda p: TimeZone("a", purpose=p),
    lambda p: RuleOnly(Flag("a", purpose=p)),
]


@pytest.mark.parametrize(
    "make", EVERY, ids=["number", "cyclic", "flag", "category", "hashed", "zone", "rule"]
)
def test_every_kind_of_feature_takes_a_purpose(make: Any) -> None:
    """A schema finds it, and a purpose that is no text is refused."""
    assert Schema.of([make("ads")]).needing == {"a": "ads"}
    assert Schema.of([make(None)]).needing == {}
    for wrong in (5, "", "x" * 101, "a\nb", ["ads"]):
        with pytest.raises(ConfigurationError, match="purpose"):
            make(wrong)


def test_a_feature_of_somebody_else_may_have_a_purpose() -> None:
    """It is a capability, looked for once; a protocol of features that asks for no such thing."""

    class Mine:
        name, width, max_age_s, categories, encoded = "mine", 0, None, None, ()
        purpose: Any = "ads"

        def resolve(self, values: Any, /) -> Any:
            return np.asarray(values, dtype=np.float64), np.ones(len(values), dtype=np.uint8)

        def encode(self, values: Any, out: Any, /) -> None:
            """Write nothing."""

    found = Schema.of([Mine()]).gather(["a"], {"mine": [1.0]}, [], 0)
    assert found.status.tolist() == [[WITHHELD]]
    Mine.purpose = 7
    with pytest.raises(ConfigurationError, match="purpose must be a text"):
        Schema.of([Mine()])
