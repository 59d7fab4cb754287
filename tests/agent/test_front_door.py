"""Bad input: a clear error at the front door, or a safe recorded degradation on the decide path."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic import Action, Agent, F, errors
from agentic.arrays import Status
from agentic.conditions import Coded
from agentic.features import Category, Flag, Number
from agentic.guardrails import FrequencyCap, KillSwitch
from agentic.policies import Fixed, Rules, Uniform
from agentic.state import MemoryStore
from agents import ACTIONS, DAY, NOON, agent, consenting, context, names


@pytest.mark.parametrize("bad", ["", "x" * 513, "é" * 257, "\ud800", "a\udfffb", "\x00pools"])
def test_a_subject_that_cannot_be_stored_is_refused(bad: str) -> None:
    """Empty, longer than 512 bytes, a lone surrogate, a leading NUL."""
    made = agent()
    with pytest.raises(errors.InvalidSubjectError, match="a subject must"):
        made.decide(bad, {})
    with pytest.raises(errors.InvalidSubjectError, match="a subject must"):
        made.decide_many(["fine", bad], context(2))
    assert sum(1 for _ in made.log.read()) == 0


@pytest.mark.parametrize("bad", [None, 42, b"bytes", ["list"], {"a": 1}, float("nan"), object()])
def test_a_subject_that_is_no_text_is_refused(bad: Any) -> None:
    """Also what cannot be hashed."""
    with pytest.raises(errors.InvalidSubjectError, match="string"):
        agent().decide(bad, {})


def test_one_id_instead_of_a_list_is_refused() -> None:
    """A text is a sequence of texts, and almost certainly a mistake."""
    with pytest.raises(errors.InvalidSubjectError, match="list of ids"):
        agent().decide_many("customer", {})


@pytest.mark.parametrize(
    "odd",
    [
        "a\x00b",
        "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{ROCKET}",
        "../../etc/passwd",
        "'; DROP TABLE",
        "{}",
        "\N{RIGHT-TO-LEFT OVERRIDE}rtl",
        "a\nb",
        "x" * 512,
        " ",
    ],
)
def test_any_other_text_is_a_subject(odd: str) -> None:
    """Ids are opaque: nothing is interpreted, trimmed or normalised."""
    made = agent(guardrails=[FrequencyCap(1, per=DAY)], policy=Fixed("email_digest"))
    first, second = made.decide(odd, {}, now=NOON), made.decide(odd, {}, now=NOON)
    assert (first.subject, first.action.id, second.action.id) == (odd, "email_digest", "no_action")
    assert made.store.subjects() == [odd]


def test_twins_that_only_look_alike_are_two_subjects() -> None:
    """Composed and decomposed accents are different ids."""
    made = agent(guardrails=[FrequencyCap(1, per=DAY)], policy=Fixed("email_digest"))
    batch = made.decide_many(["caf\u00e9", "cafe\u0301"], now=NOON)
    assert batch.sends.all()


@pytest.mark.parametrize(
    ("value", "status"),
    [
        (float("nan"), Status.NULL),
        (None, Status.NULL),
        (float("inf"), Status.INVALID),
        (-float("inf"), Status.INVALID),
        ("18", Status.INVALID),
        (True, Status.INVALID),
        (b"1", Status.INVALID),
        ([1, 2], Status.INVALID),
        ({"a": 1}, Status.INVALID),
        (object(), Status.INVALID),
        (10**400, Status.INVALID),
    ],
)
def test_a_bad_number_is_its_default_and_the_decision_degraded(value: Any, status: Status) -> None:
    """The log holds no value and why, the policy sees the default, alone and in a batch."""
    made = agent(guardrails=[])
    good = {f"f{i}": 0.5 for i in range(6)} | {"tier": "gold"}
    decision = made.decide("c", good | {"f0": value}, now=NOON)
    assert decision.degraded == ("f0",)
    columns = {name: [v, v] for name, v in good.items()} | {"f0": [0.5, value]}
    batch = made.decide_many(["a", "b"], columns, now=NOON)
    assert batch.columns["status"][:, 0].tolist() == [Status.PRESENT, status]
    assert np.isnan(batch.columns["values"][1, 0])
    assert batch.degraded.tolist() == [False, True]
    assert np.isfinite(batch.probability).all()


def test_values_out_of_range_and_unknown_categories_are_used_safely() -> None:
    """Clipped to the range; another category than the declared ones is none of them; not degraded."""
    made = agent(guardrails=[])
    columns = context(2) | {"f0": [99.0, 1.0], "tier": ["platinum", "gold"]}
    batch = made.decide_many(["a", "b"], columns, now=NOON)
    assert batch.columns["status"][0, [0, 6]].tolist() == [Status.CLIPPED, Status.OTHER]
    assert not batch.degraded.any()
    assert made.explain(batch.ids[0]).features["f0"] is not None


def test_a_missing_feature_degrades_and_an_unknown_one_is_refused() -> None:
    """A value may be late; a name nobody declared is a mistake, with a hint."""
    made = agent(guardrails=[])
    assert set(made.decide("c", {}, now=NOON).degraded) == {"f0", "f1", "f2", "f3", "f4", "f5", "tier"}
    with pytest.raises(errors.UnknownFeatureError, match="tier"):
        made.decide("c", {"teir": "gold"})


@pytest.mark.parametrize(
    "bad",
    [
        {"f0": [1.0]},
        {"f0": np.zeros(3)},
        {"f0": 1.0},
        {"f0": np.zeros((2, 2))},
        {"tier": Coded(np.zeros(5), ("free", "silver", "gold"))},
    ],
)
def test_a_column_of_another_length_is_refused(bad: Any) -> None:
    """Ragged columns would give one subject another one's features."""
    with pytest.raises(errors.InvalidContextError):
        agent().decide_many(["a", "b"], bad)


@pytest.mark.parametrize("bad", [[1], "f0", 3])
def test_a_context_that_is_no_mapping_is_refused(bad: Any) -> None:
    """Features have names."""
    with pytest.raises(errors.InvalidContextError, match="mapping"):
        agent().decide("a", bad)
    with pytest.raises(errors.InvalidContextError, match="mapping"):
        agent().decide_many(["a"], bad)


@pytest.mark.parametrize("bad", [datetime(2026, 1, 1), 1_700_000_000, "2026-01-01", None.__class__])  # noqa: DTZ001
def test_a_time_without_zone_is_refused(bad: Any) -> None:
    """A naive time is read differently by every machine."""
    made = agent()
    with pytest.raises(errors.InvalidTimeError, match="zone"):
        made.decide("c", {}, now=bad)
    with pytest.raises(errors.InvalidTimeError, match="zone"):
        agent(clock=lambda: bad).decide("c", {})


@pytest.mark.parametrize("bad", [0, -1, 101, 1.0, True, "2"])
def test_slots_are_a_small_number(bad: Any) -> None:
    """From 1 to 100."""
    with pytest.raises(errors.ConfigurationError, match="slots"):
        agent().decide("c", {}, slots=bad)


def test_an_empty_batch_is_decided() -> None:
    """Nobody asked, nothing answered, nothing logged."""
    made = agent()
    batch = made.decide_many([])
    assert (len(batch), list(batch), batch.ids) == (0, [], [])
    assert made.learn().closed == 0


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        (lambda: Agent("x", []), "at least one action"),
        (lambda: Agent("x", [Action("a"), Action("a")]), "appears twice"),
        (lambda: Agent("x", [Action("no_action", channel="sms")]), "reserved"),
        (lambda: Agent("x", ["a"]), "Action values"),  # type: ignore[list-item]
        (lambda: Agent("", ACTIONS), "name must be"),
        (lambda: Agent("x", ACTIONS, policy=Uniform), "Uniform is a class"),
        (lambda: Agent("x", ACTIONS, policy=Fixed("missing")), "no action 'missing'"),
        (lambda: Agent("x", ACTIONS, policy=Rules([(F("age") > 1, "sms_plain")])), "age"),
        (lambda: Agent("x", ACTIONS, guardrails=[object()]), "not a guardrail"),  # type: ignore[list-item]
        (lambda: Agent("x", ACTIONS, guardrails=[FrequencyCap(1, per=DAY)] * 30), "at most"),
        (lambda: Agent("x", ACTIONS, guardrails=[FrequencyCap(1, per=DAY, channels=["fax"])]), "fax"),
        (lambda: Agent("x", ACTIONS, holdout=1.5), "holdout"),
        (lambda: Agent("x", ACTIONS, holdout=0.6, random_control=0.6), "together"),
        (lambda: Agent("x", ACTIONS, exploration_floor=-0.1), "exploration_floor"),
        (lambda: Agent("x", ACTIONS, zone="Mars/Phobos"), "time zone"),
        (lambda: Agent("x", ACTIONS, goals={"purchase": 1.0}), "Goals"),  # type: ignore[arg-type]
        (lambda: Agent("x", ACTIONS, providers=[object()]), "provider"),  # type: ignore[list-item]
        (lambda: Agent("x", ACTIONS, store=5), "state store"),  # type: ignore[arg-type]
        (lambda: Agent("x", ACTIONS, log=5), "provenance log"),  # type: ignore[arg-type]
        (lambda: Agent("x", Action("a")), "actions must be a list"),  # type: ignore[arg-type]
        (lambda: Agent("x", ACTIONS, guardrails=KillSwitch()), "guardrails must be a list"),  # type: ignore[arg-type]
        (lambda: Agent("x", ACTIONS, store=MemoryStore), "MemoryStore is a class"),  # type: ignore[arg-type]
        (lambda: Agent("x", ACTIONS, clock=NOON), "clock"),  # type: ignore[arg-type]
        (lambda: Agent("x", ACTIONS, seed="7"), "seed"),  # type: ignore[arg-type]
        (lambda: Agent("x", [Action("a", eligible=F("age") >= 18)]), "no feature declares"),
        (lambda: Agent("x", ACTIONS, features=[Flag("a"), Number("a", low=0, high=1)]), "'a'"),
    ],
)
def test_parts_that_do_not_fit_are_refused_when_the_agent_is_built(
    parts: Callable[[], Agent], message: str
) -> None:
    """Every mistake in the composition is a ConfigurationError that names it."""
    with pytest.raises(errors.ConfigurationError, match=message):
        parts()


def test_every_error_is_an_agentic_error_and_a_builtin_one() -> None:
    """Callers may catch what they already catch."""
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, Exception) and kind is not errors.AgenticError:
            assert issubclass(kind, errors.AgenticError), name
            assert issubclass(kind, ValueError | LookupError | RuntimeError), name
    error = errors.ConditionError("what", value=3)
    assert error.facts == {"value": 3}


def test_a_request_asked_again_gets_the_first_answer() -> None:
    """Also within one batch, also after the cap it filled; another subject's request is another one."""
    made = agent(guardrails=[FrequencyCap(1, per=DAY)], policy=Fixed("email_digest"))
    first = made.decide("a", {}, request_id="r1", now=NOON)
    again = made.decide("a", {}, request_id="r1", now=NOON + DAY / 2)
    assert again == first
    assert made.decide("a", {}, request_id="r2", now=NOON).action.id == "no_action"
    assert made.decide("b", {}, request_id="r1", now=NOON).action.id == "email_digest"
    batch = made.decide_many(["a", "c", "c", "a"], request_ids=["r1", "x", "x", "new"], now=NOON)
    assert batch[0] == first
    assert batch[1] == batch[2]
    assert batch.action_ids.tolist() == ["email_digest", "email_digest", "email_digest", "no_action"]
    assert made.replay().identical


def test_request_ids_do_not_depend_on_the_order_of_requests() -> None:
    """The draw is keyed by subject and request, not by how often the subject was decided."""
    one, other = agent(guardrails=[], policy=Uniform()), agent(guardrails=[], policy=Uniform())
    ids = [f"r{i}" for i in range(50)]
    found = {r: one.decide("a", {}, request_id=r, now=NOON).action.id for r in ids}
    assert {r: other.decide("a", {}, request_id=r, now=NOON).action.id for r in reversed(ids)} == found
    assert len(set(found.values())) > 3


@pytest.mark.parametrize("bad", [["r"], ["r", "s", 3], "rst", ["r", "s", "\ud800"]])
def test_request_ids_are_one_text_for_each_subject(bad: Any) -> None:
    """Anything else is refused, and nothing is decided."""
    made = agent()
    with pytest.raises(errors.InvalidContextError, match="request_ids"):
        made.decide_many(["a", "b", "c"], request_ids=bad)


def test_a_slate_is_drawn_without_replacement_and_ends_with_doing_nothing() -> None:
    """Slots differ; after NO_ACTION come certain NO_ACTIONs; each probability is the conditional one."""
    made = agent(guardrails=[], policy=Uniform())
    batch = made.decide_many(names(3000), slots=4, now=NOON)
    idle = made.plan.catalogue.idle
    assert batch.action.shape == batch.probability.shape == (3000, 4)
    ended = np.zeros(3000, dtype=np.bool_)
    for slot in range(4):
        action, probability = batch.action[:, slot], batch.probability[:, slot]
        assert (action[ended] == idle).all()
        assert (probability[ended] == 1).all()
        assert np.allclose(probability[~ended], 1 / (7 - slot), rtol=0, atol=1e-12)
        for earlier in range(slot):
            assert (batch.action[~ended, earlier] != action[~ended]).all()
        ended |= action == idle
    # The chance of having done nothing by the fourth slot is 4/7; five standard deviations.
    assert abs(ended.mean() - 4 / 7) < 5 * (12 / 49 / 3000) ** 0.5
    decision = batch[0]
    assert len(decision.choices) == 4
    assert made.replay().identical


def test_a_slate_keeps_caps_and_budgets() -> None:
    """Slots of one decision count as much as decisions do."""
    made = agent(guardrails=[FrequencyCap(3, per=DAY)], policy=Uniform())
    total = np.zeros(500, dtype=np.int64)
    for _ in range(6):
        batch = made.decide_many(names(500), slots=3, now=NOON)
        total += (batch.action != made.plan.catalogue.idle).sum(axis=1)
    assert total.max() <= 3


def test_a_request_asked_again_with_other_slots_is_another_question() -> None:
    """It is refused before anything is decided."""
    made = agent(guardrails=[], policy=Uniform())
    made.decide("a", {}, request_id="k", now=NOON)
    with pytest.raises(errors.InvalidContextError, match="answered with 1 slots"):
        made.decide_many(["a", "b"], request_ids=["k", "new"], slots=2, now=NOON)
    assert made.replay().decisions == 1


def test_stored_records_that_do_not_fit_are_refused_when_the_agent_is_built() -> None:
    """A cap that grew would read another one's ring."""
    store = MemoryStore()
    agent(guardrails=[FrequencyCap(1, per=DAY)], store=store).decide("a", {}, now=NOON)
    with pytest.raises(errors.LayoutError, match="frequency_cap"):
        agent(guardrails=[FrequencyCap(2, per=DAY)], store=store)


def test_what_was_decided_cannot_be_rewritten() -> None:
    """The columns of a batch are the log's."""
    made = agent(guardrails=[])
    batch = made.decide_many(names(300), context(300), now=NOON)
    for columns in (batch.columns, next(made.log.read())[1].columns):
        for column in columns.values():
            with pytest.raises(ValueError, match="read-only"):
                column[0] = column[1]


@given(
    st.dictionaries(
        st.sampled_from(["n", "c", "f"]),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.text(),
            st.binary(),
            st.lists(st.integers(), max_size=2),
            st.dictionaries(st.text(), st.integers(), max_size=2),
        ),
    )
)
def test_no_value_of_a_declared_feature_raises(values: dict[str, Any]) -> None:
    """Whatever an application sends, the answer is a decision with finite probability."""
    made = Agent(
        "any",
        [Action("a", eligible=(F("n") > 1) | (F("c") == "x"))],
        features=[Number("n", low=0, high=9), Category("c", ["x", "y"]), Flag("f")],
        clock=lambda: datetime(2026, 1, 1, tzinfo=UTC),
    )
    decision = made.decide("s", values)
    assert 0 < decision.probability <= 1
    assert made.replay(decision.id).identical


def test_decisions_are_columns_until_somebody_looks() -> None:
    """A batch is a sequence of decisions, with views of its columns."""
    made = consenting(agent(), names(20))
    batch = made.decide_many(names(20), context(20), now=NOON)
    assert [decision.id for decision in batch] == batch.ids
    assert [decision.action.id for decision in batch] == batch.action_ids.tolist()
    assert [decision.subject for decision in batch] == names(20)
    assert batch[-1] == batch[19]
    with pytest.raises(IndexError, match="batch of 20"):
        batch[20]
    assert sum(batch.counts().values()) == 20
    assert batch[3].cost.message == batch.cost[3]
    assert batch[3].cost.weighed == 7 - sum(len(v) for v in batch[3].reasons.values())
    assert set(batch.denials()) == {reason for decision in batch for reason in decision.reasons}
