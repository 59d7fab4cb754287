"""Children, and whoever may be one, are decided for without a model, a record, chance or marketing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic import Action, Agent, ConsentGranted, F, Suppressed
from agentic.arrays import Batch, Columns, Field, Proposal, Review, Status
from agentic.errors import ConfigurationError, LogError
from agentic.evaluation import evaluate, joined
from agentic.features import Category, Number
from agentic.guardrails import Budget, Consent, FrequencyCap, QuietHours, Suppression
from agentic.policies import Fixed, LinearThompson, Personal, Uniform
from agentic.provenance import MemoryLog
from agentic.rewards import Goals
from agentic.state import MemoryStore
from agentic.testing import FailingPolicy, FlakyLog
from agents import DAY, NOON, names

MARKETING = [Action("push_offer", channel="push"), Action("mail_offer", channel="email", cost=0.01)]
SERVICE = [
    Action("help_line", channel="push", message_class="service"),
    Action("tips", channel="email", message_class="service"),
]
FEATURES = [
    Number("age", low=0, high=120, default=40),
    Number("visits", low=0, high=100),
    Category("t", ["a"]),
]
CHILD = F("age") < 18
W = int(Status.WITHHELD)


def agent(**parts: Any) -> Agent:
    base: dict[str, Any] = {
        "features": FEATURES,
        "policy": LinearThompson(),
        "goals": Goals({"buy": 1.0}, window=DAY),
        "clock": lambda: NOON,
        "protect": CHILD,
        "protected": Fixed("help_line"),
    }
    actions = parts.pop("actions", [*MARKETING, *SERVICE])
    return Agent("shop", actions, **(base | parts))


@pytest.mark.parametrize("context", [{"age": 12}, {}, {"age": "?"}, {"age": None}], ids=str)
def test_a_child_and_who_may_be_one_get_the_static_action(context: dict[str, Any]) -> None:
    """With certainty, whoever is asked otherwise."""
    made = agent(holdout=0.5, random_control=0.5, exploration_floor=0.5)
    decision = made.decide("kim", context | {"visits": 3})
    assert decision.arm == "protected"
    assert decision.action.id == "help_line"
    assert decision.probability == 1.0
    assert not decision.explored
    assert decision.choices[0].score is None
    reason = "PROTECTED" if context.get("age") == 12 else "PROTECTED_UNKNOWN"
    assert decision.reasons == {reason: ("mail_offer", "push_offer")}


def test_an_adult_is_decided_for_as_ever() -> None:
    """As if nobody were protected: same draws, same probabilities, same policy."""
    context = {"age": np.full(300, 30.0), "visits": np.arange(300.0) % 100, "t": ["a"] * 300}
    one = agent().decide_many(names(300), context)
    other = agent(protect=None).decide_many(names(300), context)
    for column in ("action", "probability", "arm", "tag", "values", "status"):
        assert np.array_equal(one.columns[column], other.columns[column], equal_nan=column == "values")
    assert set(one.arms) == {"policy"}


def test_the_caller_may_assert_that_unknown_is_adult() -> None:
    """The condition says so, where everybody can read it."""
    made = agent(protect=F("age").or_else(18) < 18)
    assert made.decide("kim").arm == "policy"
    assert made.decide("kim", {"age": 12}).arm == "protected"


def test_nothing_is_sent_without_a_static_action() -> None:
    """Doing nothing is the default, and what remains when a rule denies the action."""
    assert agent(protected=None).decide("kim").action.id == "no_action"
    denied = Action("help_line", message_class="service", eligible=F("t") == "a")
    made = agent(actions=[*MARKETING, denied])
    decision = made.decide("kim", {"t": "a"})
    assert (decision.action.id, decision.probability) == ("no_action", 1.0)
    assert decision.reasons["ELIGIBILITY_UNKNOWN"] == ("help_line",)
    marketed = agent(protected=Fixed("push_offer")).decide("kim")
    assert (marketed.action.id, marketed.probability) == ("no_action", 1.0)


def test_odds_become_certainty() -> None:
    """A policy with odds is taken at its likeliest; ties go to the first id. A slate has one action."""
    for policy, expected in (
        (Fixed({"tips": 2.0, "help_line": 1.0}), "tips"),
        (Fixed({"tips": 1.0, "help_line": 1.0}), "help_line"),
        (Uniform(), "help_line"),
    ):
        for row in agent(protected=policy).decide_many(names(50)):
            assert (row.action.id, row.probability) == (expected, 1.0)
    slate = agent().decide("kim", slots=3)
    assert [choice.action.id for choice in slate.choices] == ["help_line", "no_action", "no_action"]
    assert [choice.probability for choice in slate.choices] == [1.0] * 3


def test_a_static_policy_that_fails_sends_nothing() -> None:
    """The fallback is for subjects who are known."""
    made = agent(protected=FailingPolicy(), fallback=Fixed("tips"))
    decision = made.decide("kim")
    assert (decision.action.id, decision.probability, decision.arm) == ("no_action", 1.0, "protected")
    assert decision.degraded == ("age",)
    assert made.failures


class Never:
    """A policy that must not be asked about anybody."""

    name = "never"

    def propose(self, batch: Batch, /) -> Proposal:
        raise AssertionError("asked")


def test_the_policy_in_charge_is_not_even_asked() -> None:
    """Nor the control, nor the fallback."""
    made = agent(policy=Never(), control=Never(), fallback=Never())
    assert made.decide_many(names(20)).action_ids.tolist() == ["help_line"] * 20
    assert not made.failures


class Untouched(MemoryStore):
    """A store that holds nobody, and refuses to be asked."""

    def load(self, subjects: Any, layout: Any, /) -> Any:
        assert not len(subjects)
        return super().load(subjects, layout)

    def store(self, subjects: Any, rows: Any, expected: Any, layout: Any, /) -> Any:
        raise AssertionError("stored")


@pytest.mark.parametrize("purpose", [None, "ads"])
def test_no_record_is_loaded_or_made(purpose: str | None) -> None:
    """Neither to decide, nor to learn, nor for a policy that remembers."""
    store = Untouched()
    rules = [FrequencyCap(1, per=DAY, message_classes=["marketing"])]
    features = [FEATURES[0], Number("visits", low=0, high=9, purpose=purpose)]
    made = agent(store=store, policy=Personal(), guardrails=rules, features=features)
    found = made.decide_many([*names(30), *names(30)], {"visits": [3] * 60})
    made.record_many(found.ids, "buy")
    assert made.learn(now=NOON + 2 * DAY).used == 0
    assert list(store.subjects()) == []
    assert set(found.arms) == {"protected"}


class Spy:
    """Knows ages and visits; remembers what it was asked."""

    def __init__(self, ages: dict[str, float]) -> None:
        self.ages, self.asked = ages, []  # type: ignore[var-annotated]

    def fetch(self, subjects: Any, names: Any, now: int) -> Columns:
        self.asked.append((list(subjects), list(names)))
        known = {"age": [self.ages.get(s, np.nan) for s in subjects], "visits": [9.0] * len(subjects)}
        return Columns({n: np.array(known.get(n, [1.0] * len(subjects))) for n in names if n in known})


def test_providers_are_asked_for_what_the_condition_reads_and_no_more() -> None:
    """Of everybody; and then for the rest, of those who are not protected."""
    spy = Spy({"ann": 44, "kim": 9})
    made = agent(providers=[spy])
    found = made.decide_many(["ann", "kim", "who"], {"t": ["a", "a", "a"]})
    assert spy.asked == [(["ann", "kim", "who"], ["age"]), (["ann"], ["visits"])]
    assert found.arms == ["policy", "protected", "protected"]
    assert found.columns["status"][1:].tolist() == [[Status.PRESENT, W, W], [Status.NULL, W, W]]
    assert np.isnan(found.columns["values"][1:, 1:]).all()
    spy.asked.clear()
    made.decide_many(["kim"], {"age": [9], "t": ["a"]})
    assert spy.asked == []


def test_what_the_caller_sends_of_a_child_is_not_logged() -> None:
    """Nor shown to a guardrail."""
    shown = []

    class Curious:
        name = "curious"

        def review(self, batch: Batch, /) -> Review:
            shown.append(np.asarray(batch.columns["visits"]).copy())
            return Review(np.ones((1, 1), dtype=np.bool_), "CURIOUS")

    made = agent(guardrails=[Curious()])
    decision = made.decide("kim", {"age": 9, "visits": 77})
    assert np.isnan(shown[0]).all()
    for _, block in made.log.read():
        assert 77 not in block.columns["values"]
    told = made.explain(decision.id)
    assert told.statuses == {"age": "present", "visits": "withheld", "t": "withheld"}
    assert told.denied_by == {"protected": ("mail_offer", "push_offer")}
    assert told.contributions == {}
    assert {c.action: c.probability for c in told.candidates}["help_line"] == 1.0
    assert decision.degraded == ()


def test_a_rule_with_a_memory_denies_what_it_is_about() -> None:
    """Nothing is remembered of the subject, so nothing says that the rule would allow it."""
    for rule, left in (
        (FrequencyCap(5, per=DAY), "no_action"),
        (FrequencyCap(5, per=DAY, message_classes=["marketing"]), "help_line"),
        (FrequencyCap(5, per=DAY, channels=["email"]), "help_line"),
        (Suppression(), "no_action"),
        (Suppression(exempt=["service"]), "help_line"),
        (Consent("marketing"), "no_action"),
        (Consent("marketing", message_classes=["marketing"]), "help_line"),
    ):
        made = agent(guardrails=[rule])
        made.decide("kim")
        assert made.decide("kim").action.id == left


def test_suppression_and_consent_that_are_on_record_do_not_open_anything() -> None:
    """The record is not read, and what is barred does not depend on it."""
    made = agent(guardrails=[Suppression(), Consent("marketing")], protected=Fixed("push_offer"))
    made.tell("kim", ConsentGranted("marketing"))
    assert made.decide("kim", {"age": 9}).action.id == "no_action"
    made.tell("kim", Suppressed())
    assert made.decide("kim", {"age": 9}).action.id == "no_action"


def test_a_stateful_rule_of_somebody_else_denies_everything() -> None:
    """It does not say what it is about."""

    class Mine:
        name = "mine"
        fields = (Field("count", np.int64),)

        def review(self, batch: Batch, /) -> Review:
            return Review(np.ones((1, 1), dtype=np.bool_), "MINE")

        def settle(self, batch: Batch, chosen: Any, /) -> None:
            """Count nothing."""

    assert agent(guardrails=[Mine()]).decide("kim").action.id == "no_action"


def test_a_mandatory_message_is_chosen_without_chance() -> None:
    """It outranks doing nothing; of several the first by id."""
    duties = [Action(f"recall_{i}", message_class="mandatory") for i in range(3)]
    made = agent(actions=[*MARKETING, *SERVICE, *duties])
    for row in made.decide_many(names(20)):
        assert (row.action.id, row.probability) == ("recall_0", 1.0)
    assert made.replay().identical


def test_rules_without_a_memory_hold_as_ever() -> None:
    """Quiet hours of an unknown zone are always; a shared budget is charged."""
    assert agent(guardrails=[QuietHours("21:00", "08:00")]).decide("kim").action.id == "no_action"
    made = agent(
        actions=[*MARKETING, Action("help_line", cost=1.0, message_class="service")],
        guardrails=[Budget(3.0, per=DAY)],
    )
    assert made.decide_many(names(5)).counts()["help_line"] == 3


rows_of_any_age = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), st.sampled_from([None, 5.0, 17.0, 18.0, 44.0])),
    min_size=1,
    max_size=40,
)


@given(rows_of_any_age)
def test_a_row_alone_and_in_company_is_the_same(rows: list[tuple[str, float | None]]) -> None:
    """Protected or not, whoever else is in the batch."""
    rules = [
        Consent("marketing", message_classes=["marketing"]),
        FrequencyCap(2, per=DAY, exempt=["service", "mandatory"]),
    ]
    together, alone = agent(guardrails=rules, holdout=0.2), agent(guardrails=rules, holdout=0.2)
    for made in (together, alone):
        made.tell_many(list("abcd"), ConsentGranted("marketing"))
    subjects, ages = [name for name, _ in rows], [age for _, age in rows]
    batch = together.decide_many(subjects, {"age": ages, "visits": [7] * len(rows)})
    for row, (name, age) in enumerate(rows):
        found = alone.decide_many([name], {"age": [age], "visits": [7]})
        for column in ("values", "status", "action", "probability", "tag", "denied", "arm", "zone", "key"):
            one, other = found.columns[column][0], batch.columns[column][row]
            assert np.array_equal(one, other, equal_nan=column == "values")
        assert (batch.arms[row] == "protected") == (age is None or age < 18)
    assert together.replay().identical
    known = {name for name, age in rows if age is not None and age >= 18}
    assert set(together.store.subjects()) == known | set("abcd")


def test_many_waves_mix_with_protected_rows() -> None:
    """More rows than a wave holds, subjects twice, protected ones between them."""
    n = 9000
    rng = np.random.default_rng(4)
    ages = rng.integers(10, 30, n).astype(float)
    who = [f"s{i}" for i in rng.integers(0, 6000, n)]
    made = agent()
    found = made.decide_many(who, {"age": ages, "visits": np.ones(n)})
    assert (np.array(found.arms) == "protected").tolist() == (ages < 18).tolist()
    assert found.subjects == who
    assert set(made.store.subjects()) == {name for name, age in zip(who, ages, strict=True) if age >= 18}
    assert made.replay().identical
    assert (found.probability[ages < 18] == 1).all()


def test_replay_with_another_policy_leaves_protected_rows_as_they_are() -> None:
    """Nobody else is asked about them."""
    made = agent(policy=Uniform())
    made.decide_many(names(50), {"age": [9] * 25 + [40] * 25})
    found = made.replay(policy=Fixed("push_offer"))
    assert found.after["help_line"] == 25
    assert found.after["push_offer"] == 25


def test_protected_subjects_are_neither_learned_from_nor_judged_by() -> None:
    """Their outcomes are recorded and their rewards close, and that is all."""
    made = agent(policy=Uniform())
    found = made.decide_many(names(400), {"age": [9.0, 40.0] * 200, "visits": [1.0] * 400})
    made.record_many(found.ids, "buy")
    learned = made.learn(now=NOON + 2 * DAY)
    assert learned.closed == 400
    rows = joined(made)
    assert len(rows) == 200
    assert set(rows.position.tolist()) == set(found.positions[1::2].tolist())
    assert evaluate(made, Uniform()).diagnostics.n == 200

    taught = agent(policy=LinearThompson())
    found = taught.decide_many(names(400), {"age": [9.0, 40.0] * 200, "visits": [1.0] * 400})
    taught.record_many(found.ids, "buy")
    assert taught.learn(now=NOON + 2 * DAY).used == 200


def test_a_log_that_refuses_leaves_nothing_of_a_child() -> None:
    """There was nothing to take back."""
    made = agent(log=FlakyLog(MemoryLog(), fail_every=1), store=Untouched())
    with pytest.raises(LogError):
        made.decide("kim")


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"protect": "age < 18"}, "must be a condition"),
        ({"protect": F("agee") < 18}, "no feature declares"),
        ({"protected": LinearThompson()}, "not learn, such as"),
        ({"protected": Personal()}, "does not learn"),
        ({"protected": Fixed("nothing_of_the_kind")}, "nothing_of_the_kind"),
        ({"protected": 5}, "not a policy"),
        ({"features": [Number("age", low=0, high=99, purpose="ads")]}, "have a purpose"),
        ({"guardrails": [QuietHours("21:00", "08:00")] * 29}, "at most 28"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_protects_nobody_is_refused(parts: dict[str, Any], says: str) -> None:
    """When the agent is built."""
    with pytest.raises(ConfigurationError, match=says):
        agent(**parts)


def test_a_guardrail_may_have_the_name_already() -> None:
    """Protection takes the next one."""
    made = agent(guardrails=[QuietHours("21:00", "08:00", name="protected")], zone="UTC")
    assert list(made.plan.guardrails) == ["protected", "protected_2"]
    assert made.decide("kim").action.id == "help_line"


def test_a_stale_age_is_unknown() -> None:
    """Who was an adult long ago may be anybody now: the declaration says how old is too old."""
    features = [Number("age", low=0, high=120, max_age=timedelta(days=1))]

    class Old:
        def fetch(self, subjects: Any, names: Any, now: int) -> Columns:
            return Columns({"age": np.array([44.0])}, {}, {"age": np.array([0.0])})

    assert agent(features=features, providers=[Old()]).decide("kim").arm == "protected"
