"""Outcomes become rewards, rewards become the next policy; all of it from the log."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta
from typing import Any

import attrs
import numpy as np
import pytest

from agentic import Action, Agent, errors
from agentic.policies import BetaThompson, Fixed, LinearThompson, SquareCB, Uniform
from agentic.provenance import MemoryLog
from agentic.rewards import Goals, Recorded
from agentic.testing import FlakyLog
from agents import ACTIONS, DAY, FEATURES, NOON, agent, context, names

HOUR = timedelta(hours=1)


def open_agent(**more: Any) -> Agent:
    return agent(guardrails=[], **({"policy": LinearThompson()} | more))


def rewards(made: Agent) -> list[tuple[int, int, float]]:
    """Closed rewards as logged: position, slot, reward."""
    return [
        row
        for _, block in made.log.read()
        if block.kind == "reward"
        for row in zip(
            *(block.columns[name].tolist() for name in ("decision", "slot", "reward")), strict=True
        )
    ]


def test_rewards_close_with_their_window_and_silence_is_the_default() -> None:
    """Nothing is learned before the window is over; then each decision once."""
    made = open_agent(goals=Goals({"purchase": 2.0, "unsubscribe": -5.0}, window=3 * DAY, default=-0.25))
    batch = made.decide_many(names(4), context(4), now=NOON)
    assert made.record(batch.ids[1], "purchase", at=NOON + DAY) is Recorded.COUNTED
    made.record(batch.ids[2], "purchase", 10.0, at=NOON + DAY)
    made.record(batch.ids[2], "unsubscribe", at=NOON + 2 * DAY)
    before = made.policy_version
    assert made.learn(now=NOON + 3 * DAY - HOUR).closed == 0
    learned = made.learn(now=NOON + 3 * DAY)
    assert (learned.closed, learned.used, learned.changed) == (4, 4, True)
    assert made.policy_version == learned.policy_version != before
    assert [reward for _, _, reward in rewards(made)] == [-0.25, 2.0, 15.0, -0.25]
    assert made.learn(now=NOON + 9 * DAY).closed == 0
    assert made.pending == 0


def test_an_outcome_counts_once_whatever_the_network_does() -> None:
    """The same event, or the same goal without an event id, is a duplicate."""
    made = open_agent()
    first, second = made.decide_many(names(2), context(2), now=NOON).ids
    assert made.record(first, "purchase", at=NOON + HOUR) is Recorded.COUNTED
    assert made.record(first, "purchase", at=NOON + 2 * HOUR) is Recorded.DUPLICATE
    statuses = [made.record(second, "purchase", at=NOON + HOUR, event_id=e) for e in ("a", "b", "a")]
    assert statuses == [Recorded.COUNTED, Recorded.COUNTED, Recorded.DUPLICATE]
    made.learn(now=NOON + 4 * DAY)
    assert [reward for _, _, reward in rewards(made)] == [1.0, 2.0]


def test_outcomes_out_of_time_are_told_and_do_not_count() -> None:
    """Before the decision, after the window, after the reward is final."""
    made = open_agent()
    (decision,) = made.decide_many(names(1), context(1), now=NOON).ids
    assert made.record(decision, "purchase", at=NOON - HOUR) is Recorded.EARLY
    assert made.record(decision, "purchase", at=NOON + 3 * DAY + HOUR) is Recorded.LATE
    made.learn(now=NOON + 4 * DAY)
    assert made.record(decision, "purchase", at=NOON + HOUR) is Recorded.CLOSED
    assert [reward for _, _, reward in rewards(made)] == [0.0]


@pytest.mark.parametrize(
    "bad",
    ["", "x", "0" * 32, "f" * 32, "0" * 31 + "1", None, 5, "é" * 32, b"1" * 32, "g" * 32, " " + "0" * 31],
)
def test_an_outcome_of_an_unknown_decision_is_refused(bad: Any) -> None:
    """Nothing is recorded, also not the good ones beside it."""
    made = open_agent()
    good = made.decide("a", {}, now=NOON).id
    with pytest.raises(errors.UnknownDecisionError, match="no decision"):
        made.record_many([good, bad], "purchase", at=NOON)
    for verb in (made.explain, made.replay):
        with pytest.raises(errors.UnknownDecisionError, match="no decision"):
            verb("0" * 32 if bad is None else bad)
    assert made.record(good, "purchase", at=NOON) is Recorded.COUNTED


def test_a_decision_id_with_another_tag_is_unknown_even_when_its_place_exists() -> None:
    """Ids are not guessed by counting."""
    made = open_agent()
    good = made.decide("a", {}, now=NOON).id
    forged = f"{int(good[:16], 16) ^ 1:016x}{good[16:]}"
    with pytest.raises(errors.UnknownDecisionError):
        made.record(forged, "purchase")
    made.learn(now=NOON + 9 * DAY)
    with pytest.raises(errors.UnknownDecisionError):
        made.record(forged, "purchase")


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), "1", None, True, 1e300, [1]])
def test_a_value_that_is_no_number_is_refused(bad: Any) -> None:
    """Finite numbers only, and nothing is recorded."""
    made = open_agent()
    decision = made.decide("a", {}, now=NOON)
    with pytest.raises(errors.InvalidOutcomeError):
        made.record(decision.id, "purchase", bad, at=NOON)
    assert made.record(decision.id, "purchase", at=NOON) is Recorded.COUNTED


def test_other_mistakes_in_outcomes_are_refused() -> None:
    """An unknown goal, a slot that is not there, a naive time, lists that do not fit, no goals."""
    made = open_agent()
    decision = made.decide("a", {}, now=NOON)
    with pytest.raises(errors.UnknownGoalError, match="purchas"):
        made.record(decision.id, "purchas")
    with pytest.raises(errors.InvalidOutcomeError, match="slot"):
        made.record(decision.id, "purchase", slot=-1)
    with pytest.raises(errors.InvalidTimeError):
        made.record(decision.id, "purchase", at=datetime(2026, 1, 1))  # noqa: DTZ001 - the mistake
    with pytest.raises(errors.InvalidOutcomeError, match="entries"):
        made.record_many([decision.id], ["purchase"] * 2)
    with pytest.raises(errors.InvalidOutcomeError, match="event_ids"):
        made.record_many([decision.id], "purchase", event_ids=[7])  # type: ignore[list-item]
    without = agent(goals=None)
    for verb in (lambda: without.record("0" * 32, "purchase"), without.learn):
        with pytest.raises(errors.UnknownGoalError, match="no goals"):
            verb()


def test_a_slot_that_the_decision_does_not_have_is_refused() -> None:
    """It is a mistake of the caller, and nothing is recorded."""
    made = open_agent()
    decision = made.decide("a", {}, now=NOON)
    with pytest.raises(errors.InvalidOutcomeError, match="1 slots, got slot 3"):
        made.record(decision.id, "purchase", slot=3, at=NOON)


def test_each_slot_of_a_slate_may_have_the_same_outcome() -> None:
    """A click on the second title is not the first one's click again."""
    made = open_agent(policy=Uniform())
    decision = made.decide("a", {}, slots=2, now=NOON)
    told = [made.record(decision.id, "purchase", slot=slot, at=NOON) for slot in (0, 1, 1)]
    assert told == [Recorded.COUNTED, Recorded.COUNTED, Recorded.DUPLICATE]


def test_rewards_that_the_log_refuses_are_offered_again() -> None:
    """A failing log delays learning; it loses nothing."""
    log = FlakyLog(MemoryLog(), fail_every=2)
    made = open_agent(log=log)
    made.decide_many(names(5), context(5), now=NOON)
    with pytest.raises(errors.LogError, match="reward"):
        made.learn(now=NOON + 4 * DAY)
    learned = made.learn(now=NOON + 4 * DAY)
    assert (learned.closed, learned.used) == (5, 5)
    assert len(rewards(made)) == 5


def test_agents_may_share_a_log_and_keep_to_their_own_decisions() -> None:
    """Replay, explain, record and learn see the decisions of their agent only."""
    log = MemoryLog()
    one, other = open_agent(log=log), Agent("other", [Action("x")], policy=Uniform(), log=log)
    mine = one.decide_many(names(30), context(30), now=NOON)
    theirs = other.decide_many(names(20), now=NOON)
    assert (one.replay().decisions, other.replay().decisions) == (30, 20)
    for verb in (one.explain, one.replay, lambda known: one.record(known, "purchase")):
        with pytest.raises(errors.UnknownDecisionError):
            verb(theirs.ids[0])
    assert one.learn(now=NOON + 4 * DAY).used == 30
    assert one.explain(mine.ids[3]).decision == mine[3]


def test_outcomes_of_decisions_from_before_this_agent_was_built_are_refused_unrecorded() -> None:
    """Their reward windows are not open here; the log does not grow."""
    log = MemoryLog()
    old = open_agent(log=log).decide("a", {}, now=NOON)
    fresh = open_agent(log=log)
    size = len(log)
    with pytest.raises(errors.UnknownDecisionError):
        fresh.record(old.id, "purchase")
    fresh.decide("b", {}, now=NOON)
    with pytest.raises(errors.UnknownDecisionError):
        fresh.record(old.id, "purchase")
    assert len(log) == size + 1


def test_policy_versions_are_kept_within_a_bound() -> None:
    """An agent that learns for years does not grow; what it can no longer replay it says."""
    made = open_agent(policy=LinearThompson())
    for turn in range(260):
        made.decide("a", {}, now=NOON + turn * 4 * DAY)
        made.learn(now=NOON + (turn * 4 + 3) * DAY)
    replayed = made.replay()
    assert replayed.decisions + replayed.missing == 260
    assert 0 < replayed.missing < 10
    assert replayed.same == replayed.decisions
    assert not replayed.identical


def test_the_holdout_is_closed_but_never_learned_from() -> None:
    """Its outcomes are the yardstick; the random control's are fair game."""
    made = open_agent(holdout=0.5, random_control=0.2)
    batch = made.decide_many(names(400), context(400), now=NOON)
    learned = made.learn(now=NOON + 4 * DAY)
    held = batch.arms.count("holdout")
    assert 100 < held < 300
    assert (learned.closed, learned.used) == (400, 400 - held)


def test_the_agent_learns_who_wants_what() -> None:
    """After a thousand outcomes the better action of each segment is the probable one."""
    made = open_agent(policy=LinearThompson(), goals=Goals({"purchase": 1.0}, window=DAY), features=FEATURES)
    rng = np.random.default_rng(5)
    for day in range(10):
        now = NOON + day * 2 * DAY
        columns = context(400, seed=day)
        batch = made.decide_many(names(400), columns, now=now)
        gold = columns["tier"] == "gold"
        right = np.where(gold, "sms_voucher", "email_digest")
        bought = rng.random(400) < np.where(batch.action_ids == right, 0.6, 0.1)
        ids = [batch.ids[i] for i in np.flatnonzero(bought).tolist()]
        made.record_many(ids, "purchase", at=now + HOUR)
        made.learn(now=now + DAY)
    batch = made.decide_many(names(2000), columns := context(2000, seed=77), now=NOON + 30 * DAY)
    right = np.where(columns["tier"] == "gold", "sms_voucher", "email_digest")
    assert (batch.action_ids == right).mean() > 0.8


def test_publishing_and_rolling_back_are_assignments() -> None:
    """The same value gives the same version, and the same version the same decisions."""
    made = open_agent()
    first, version = made.policy, made.policy_version
    made.decide_many(names(50), context(50), now=NOON)
    made.learn(now=NOON + 4 * DAY)
    assert made.policy_version != version
    made.policy = first
    assert made.policy_version == version
    made.policy = Fixed("sms_plain")
    assert made.decide("a", {}, now=NOON).action.id == "sms_plain"
    assert made.replay().identical
    with pytest.raises(errors.ConfigurationError, match="not a policy"):
        made.policy = "linear"  # type: ignore[assignment]
    assert made.policy == Fixed("sms_plain")


def test_a_policy_that_cannot_learn_from_a_reward_says_so_and_stays() -> None:
    """BetaThompson counts successes; a reward of minus five is a mistake in the composition."""
    made = open_agent(policy=BetaThompson())
    decision = made.decide("a", {}, now=NOON)
    made.record(decision.id, "unsubscribe", at=NOON + HOUR)
    version = made.policy_version
    with pytest.raises(errors.LearningError, match=r"from 0\.0 to 1\.0"):
        made.learn(now=NOON + 4 * DAY)
    assert made.policy_version == version


def test_feedback_is_what_was_logged() -> None:
    """Features, candidates and probabilities as they were, whatever is known by now."""
    seen: list[Any] = []

    class Listens(Uniform):  # type: ignore[misc]  # a fake may extend a final value
        def learn(self, feedback: Any) -> Any:
            seen.append(feedback)
            return self

    made = open_agent(policy=Listens())
    columns = context(300)
    batch = made.decide_many(names(300), columns, now=NOON)
    made.learn(now=NOON + 4 * DAY)
    (feedback,) = seen
    assert np.array_equal(feedback.action, batch.action[:, 0])
    assert np.array_equal(feedback.probability, batch.probability[:, 0])
    assert np.array_equal(feedback.allowed, batch.columns["denied"] == 0)
    assert np.array_equal(feedback.keys, batch.columns["key"])
    assert np.allclose(feedback.X[:, 0], (columns["f0"].clip(-3, 3) + 3) / 6)


def test_slots_of_a_slate_have_rewards_of_their_own() -> None:
    """An outcome belongs to its slot; slots after the end of a slate are no choices."""
    made = open_agent(policy=Uniform(), goals=Goals({"click": 1.0}, window=DAY))
    batch = made.decide_many(names(200), slots=3, now=NOON)
    made.record_many(batch.ids, "click", slots=[1] * 200, at=NOON + HOUR)
    learned = made.learn(now=NOON + 2 * DAY)
    assert learned.closed == 600
    assert {(slot, reward) for _, slot, reward in rewards(made)} == {(0, 0.0), (1, 1.0), (2, 0.0)}


def test_single_decisions_and_outcomes_interleaved_equal_the_batch() -> None:
    """The order of decide and record calls does not matter to what is learned."""
    one, other = open_agent(), open_agent()
    columns = context(60)
    for i, name in enumerate(names(60)):
        decision = one.decide(name, {n: c[i].item() for n, c in columns.items()}, now=NOON)
        if i % 3 == 0:
            one.record(decision.id, "purchase", at=NOON + HOUR)
    batch = other.decide_many(names(60), columns, now=NOON)
    other.record_many(batch.ids[::3], "purchase", at=NOON + HOUR)
    assert one.learn(now=NOON + 4 * DAY).closed == other.learn(now=NOON + 4 * DAY).closed == 60
    assert one.policy_version == other.policy_version


def test_learning_while_deciding_in_other_threads_loses_nothing() -> None:
    """Every decision is closed exactly once, and every one replays with the version that made it."""
    made = open_agent(policy=SquareCB())
    done = threading.Event()
    errors_: list[BaseException] = []

    def decide(number: int) -> None:
        try:
            for turn in range(30):
                some = [f"{number}-{i}" for i in range(20)]
                ids = made.decide_many(some, context(20), now=NOON + turn * HOUR).ids
                made.record_many(ids[::2], "purchase", at=NOON + turn * HOUR)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors_.append(error)

    def learn() -> None:
        turn = 0
        while not done.is_set():
            made.learn(now=NOON + turn * HOUR)
            turn += 1

    teacher = threading.Thread(target=learn)
    crowd = [threading.Thread(target=decide, args=(number,)) for number in range(4)]
    for thread in (teacher, *crowd):
        thread.start()
    for thread in crowd:
        thread.join()
    done.set()
    teacher.join()
    assert errors_ == []
    made.learn(now=NOON + 90 * DAY)
    positions = [position for position, _, _ in rewards(made)]
    assert len(positions) == len(set(positions)) == 4 * 30 * 20
    assert made.replay().identical


def test_replay_with_another_policy_tells_what_would_have_changed() -> None:
    """The same noise, candidates and arms; only the policy differs."""
    made = open_agent(policy=Uniform())
    made.decide_many(names(700), context(700), now=NOON)
    replayed = made.replay(policy=Fixed({"sms_plain": 1.0}))
    assert replayed.after["sms_plain"] == 700
    assert replayed.decisions - replayed.same == len(replayed.changed)
    assert replayed.before["sms_plain"] == replayed.same
    with pytest.raises(errors.ConfigurationError):
        made.replay(policy=Fixed("missing"))


def test_an_explanation_names_candidates_reasons_features_and_weights() -> None:
    """What a marketer, an auditor and a developer ask."""
    made = agent(policy=LinearThompson())
    decision = made.decide("c", {"tier": "gold", "f0": 99.0}, now=NOON)
    told = made.explain(decision.id)
    assert told.decision == decision
    assert sum(c.probability for c in told.candidates) == pytest.approx(1.0)
    assert {c.action: c.reasons for c in told.candidates}["sms_plain"] == ("NO_CONSENT_UNKNOWN",)
    assert told.features["tier"] == "gold"
    assert told.statuses["f0"] == "clipped"
    text = str(told)
    for part in ("no_action", "NO_CONSENT_UNKNOWN", "tier 'gold'", "degraded: f1"):
        assert part in text


def test_an_agent_without_goals_decides_and_forgets() -> None:
    """Rules alone need no rewards."""
    made = Agent("rules", [Action("a")], policy=Fixed("a"))
    assert made.decide("s").action.id == "a"
    assert made.pending == 0
    assert made.goals is None
    assert len(ACTIONS) == 6


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_what_a_policy_failed_to_learn_from_is_offered_to_the_next_call(error: type[BaseException]) -> None:
    """Whatever was raised, by a plugin or by somebody at the keyboard: no reward is lost."""
    fails = [True]

    @attrs.frozen
    class Fickle(Uniform):
        learned: int = 0

        def learn(self, feedback: Any, /) -> Any:
            if fails.pop() if fails else False:
                raise error("not now")
            return attrs.evolve(self, learned=self.learned + len(feedback))

    made = open_agent(policy=Fickle())
    made.decide_many(names(5), context(5), now=NOON)
    with pytest.raises(error, match="not now"):
        made.learn(now=NOON + 3 * DAY)
    assert made.learn(now=NOON + 3 * DAY).used == 5
    assert made.policy.learned == 5  # type: ignore[attr-defined]
    assert len(rewards(made)) == 5
