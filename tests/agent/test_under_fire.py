"""What a review broke once: each of these was a way to lose a rule, a record or an answer."""

from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as np
import pytest

from agentic import Action, Agent, ConsentGranted, ConsentWithdrawn, errors
from agentic.arrays import Proposal, Review
from agentic.guardrails import Budget, Consent, FrequencyCap, Suppression
from agentic.policies import BetaThompson, Fixed, LinearThompson, Uniform
from agentic.provenance import MemoryLog
from agentic.rewards import Goals
from agentic.state import MemoryStore
from agents import ACTIONS, DAY, NOON, agent, context, names

SENDS = Fixed({action.id: 1.0 for action in ACTIONS})


class Answers:
    """A policy that answers whatever it is told to."""

    name = "answers"

    def __init__(self, weights: Any, score: Any = None) -> None:
        self.weights, self.score = weights, score

    def propose(self, batch: Any) -> Any:
        shape = batch.allowed.shape
        score = self.score if self.score is None else [[self.score] * shape[1]] * shape[0]
        return Proposal(np.broadcast_to(self.weights, shape), score)  # type: ignore[arg-type]


@pytest.mark.parametrize("score", ["text", None, {"a": 1}])
def test_scores_that_are_no_numbers_are_a_failure_of_the_policy(score: Any) -> None:
    """The fallback decides; nobody's request fails."""
    made = agent(guardrails=[], policy=Answers(1.0, score), fallback=Fixed("sms_plain"))
    expected = 1 / 7 if score is None else 1.0
    assert made.decide("c", {}, now=NOON).probability == pytest.approx(expected)


def test_scores_may_be_lists() -> None:
    """What can be read as numbers is."""
    decision = agent(guardrails=[], policy=Answers(1.0, 7.0)).decide("c", {}, now=NOON)
    assert decision.choices[0].score == 7.0


@pytest.mark.parametrize("weights", [5e-324, [0, 0, 5e-324, 0, 0, 0, 0], [1, 5e-324, 0, 0, 0, 0, 0]])
def test_weights_too_small_to_multiply_are_drawn_from_all_the_same(weights: Any) -> None:
    """Also for the slots that are left when the heavy candidate is gone."""
    made = agent(guardrails=[], policy=Answers(np.array(weights, dtype=np.float64)))
    batch = made.decide_many(names(400), slots=2, now=NOON)
    allowed = np.broadcast_to(weights, (400, 7)) > 0
    first = batch.action[:, 0]
    assert allowed[np.arange(400), first].all()
    assert made.replay().identical


def test_a_failed_policy_leaves_no_score_on_what_the_fallback_chose() -> None:
    """A band belongs to who gave it."""
    made = agent(guardrails=[], policy=Answers(np.nan, 7.0), fallback=Fixed("sms_plain"))
    assert made.decide("c", {}, now=NOON).choices[0].score is None


def test_guardrails_cannot_write_what_is_logged() -> None:
    """One that tries has failed, and denies."""

    class Writes:
        name = "writes"

        def review(self, batch: Any) -> Any:
            batch.columns["f0"][:] = 999.0
            return Review(np.ones((1, 1), dtype=np.bool_), "WRITES")

    made = agent(guardrails=[Writes()], policy=SENDS)
    batch = made.decide_many(names(3), context(3), now=NOON)
    assert not batch.sends.any()
    assert np.array_equal(batch.columns["values"][:, 0], context(3)["f0"])


def test_a_reason_told_later_does_not_change_what_was_logged() -> None:
    """A guardrail's code is the first it tells."""

    class Moody:
        name = "moody"
        reason = "FIRST"

        def review(self, batch: Any) -> Any:
            return Review(np.zeros((1, 1), dtype=np.bool_), self.reason)

    moody = Moody()
    made = agent(guardrails=[moody], policy=SENDS)
    before = made.decide("a", {}, now=NOON)
    moody.reason = "SECOND"
    made.decide("b", {}, now=NOON)
    assert made.explain(before.id).decision == before
    assert before.reasons.keys() == {"FIRST"}


def test_repeated_answers_keep_the_version_that_gave_them() -> None:
    """A batch may repeat what an earlier policy decided."""
    made = agent(guardrails=[], policy=Uniform())
    first = made.decide("a", {}, request_id="1", now=NOON)
    made.policy = SENDS
    batch = made.decide_many(["a", "b"], request_ids=["1", "2"], now=NOON)
    assert batch[0] == first
    assert batch[1].policy_version == made.policy_version != first.policy_version
    assert sum(batch.denials().values()) == 0


def test_requests_at_the_same_moment_get_one_answer() -> None:
    """Eight threads ask the same question; it is decided once, and others do not wait for it."""
    made = agent(guardrails=[], policy=Uniform())
    found: list[Any] = []
    gate = threading.Barrier(8)

    def ask() -> None:
        gate.wait()
        found.extend(made.decide("a", {}, request_id=str(i), now=NOON) for i in range(40))

    crowd = [threading.Thread(target=ask) for _ in range(8)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    assert len(found) == 320
    assert len({decision.id for decision in found}) == 40
    assert made.replay().decisions == 40


def test_a_request_whose_decision_failed_can_be_asked_again() -> None:
    """Nothing is left reserved."""

    class Once(MemoryLog):
        down = True

        def append(self, block: Any, /) -> Any:
            if self.down:
                raise OSError("down")
            return super().append(block)

    log = Once()
    made = agent(guardrails=[], policy=Uniform(), log=log)
    with pytest.raises(errors.LogError):
        made.decide("a", {}, request_id="1", now=NOON)
    log.down = False
    assert made.decide("a", {}, request_id="1", now=NOON) == made.decide("a", {}, request_id="1", now=NOON)


class Fails(MemoryStore):
    """A store that fails at its n-th write, and works otherwise."""

    def __init__(self, *writes: int) -> None:
        super().__init__()
        self.writes, self.seen = set(writes), 0

    def store(self, *args: Any) -> Any:
        self.seen += 1
        if self.seen in self.writes:
            raise OSError("down")
        return super().store(*args)


@pytest.mark.parametrize("write", range(1, 8))
def test_a_store_that_fails_at_any_write_loses_no_money_and_breaks_no_cap(write: int) -> None:
    """Whatever was settled is logged, whatever was leased is spent, held or given back."""
    store = Fails(write)
    rules = [Budget(9.0, name="one"), Budget(30.0, name="two"), FrequencyCap(1, per=DAY)]
    made = agent(guardrails=rules, policy=SENDS, store=store)
    spent = 0.0
    for turn in range(4):
        spent += float(made.decide_many(names(40, 20 * turn), context(40), now=NOON).cost.sum())
    assert made.budgets == pytest.approx({"one": 9.0 - spent, "two": 30.0 - spent})
    logged: dict[str, int] = {}
    for _, block in made.log.read():
        sends = (block.columns["action"][:, 0] != made.plan.catalogue.idle).tolist()
        for subject, send in zip(block.columns["subject"].tolist(), sends, strict=True):
            logged[subject] = logged.get(subject, 0) + send
    assert max(logged.values()) == 1


def test_an_interrupted_batch_leaves_nothing_behind() -> None:
    """Ctrl-C between two waves: what the first settled is taken back, budget and all."""

    class Interrupts(MemoryStore):
        loads = 0

        def load(self, subjects: Any, *args: Any) -> Any:
            self.loads += len(subjects) > 500
            if self.loads == 2:
                raise KeyboardInterrupt
            return super().load(subjects, *args)

    made = agent(guardrails=[FrequencyCap(1, per=DAY), Budget(1e4)], policy=SENDS, store=Interrupts())
    with pytest.raises(KeyboardInterrupt):
        made.decide_many(names(9000), context(9000), now=NOON)
    assert made.budgets["budget"] == pytest.approx(1e4)
    assert made.decide_many(names(900), context(900), now=NOON).sends.all()


@pytest.mark.parametrize("fact", [ConsentGranted("marketing"), ConsentWithdrawn("marketing")])
def test_a_fact_half_noted_stays_on_the_safe_side(fact: Any) -> None:
    """A grant that could not be noted for all is noted for none; a withdrawal holds where it was noted."""

    class Half(MemoryStore):
        half = False

        def store(self, subjects: Any, rows: Any, expected: Any, layout: Any, /) -> Any:
            if not self.half or len(subjects) == 1:
                return super().store(subjects, rows, expected, layout)
            if len(subjects) == 2:
                self.half = False
                raise OSError("down")
            # Only the first row is accepted, as when the others were changed meanwhile.
            first = super().store(subjects[:1], rows[:1], expected[:1], layout)
            return np.append(first, np.zeros(len(subjects) - 1, dtype=np.bool_))

    store = Half()
    made = agent(guardrails=[Consent("marketing")], policy=SENDS, store=store)
    if isinstance(fact, ConsentWithdrawn):
        made.tell_many(["a", "b", "c"], ConsentGranted("marketing"))
    store.half = True
    with pytest.raises(errors.StoreError, match="tell it again"):
        made.tell_many(["a", "b", "c"], fact)
    assert not made.decide("a", {}, now=NOON).action.id.startswith(("sms", "push", "email"))


class Wordy(MemoryStore):
    """Answers with lists where arrays belong, once it has begun to."""

    loads = stores = False

    def load(self, *args: Any) -> Any:
        found = super().load(*args)
        return [found.rows, found.versions] if self.loads else found

    def store(self, *args: Any) -> Any:
        stands = super().store(*args)
        return stands.tolist() if self.stores else stands


def test_a_fact_is_not_noted_by_a_store_that_answers_anything() -> None:
    """What it was asked for is said, and a grant that it took all the same is taken back."""
    store = Wordy()
    made = agent(guardrails=[Consent("marketing")], policy=SENDS, store=store)
    grant = ConsentGranted("marketing")
    store.loads = True
    with pytest.raises(errors.StoreError, match=r"(?s)must load Rows.rows, .*nothing was noted"):
        made.tell_many(["a", "b"], grant)
    store.loads, store.stores = False, True
    with pytest.raises(errors.StoreError, match=r"answer 2 times yes or no, got a list of 2.*nothing was"):
        made.tell_many(["a", "b"], grant)
    store.stores = False
    assert not made.decide_many(["a", "b"], context(2), now=NOON).sends.any()
    made.tell_many(["a", "b"], grant)
    assert made.decide_many(["a", "b"], context(2), now=NOON).sends.all()


@pytest.mark.parametrize("wrong", ["loads", "stores"])
def test_what_such_a_store_cannot_take_back_stays_counted(wrong: str) -> None:
    """The log fails, then the store answers anything: that is counted and the first error is told."""
    store = Wordy()

    class Refuses(MemoryLog):
        def append(self, block: Any, /) -> Any:
            setattr(store, wrong, True)
            raise OSError(28, "disk full")

    made = agent(guardrails=[FrequencyCap(1, per=DAY)], policy=SENDS, store=store, log=Refuses())
    with pytest.raises(errors.AgenticError, match="disk full"):
        made.decide("a", {}, now=NOON)
    assert made.failures == {"store": 1}


def test_two_versions_of_an_agent_share_a_store_and_keep_each_others_counts() -> None:
    """A rolling deploy that adds a guardrail forgets no contact."""
    store = MemoryStore()
    old = agent(guardrails=[FrequencyCap(1, per=DAY)], policy=SENDS, store=store)
    assert old.decide("a", {}, now=NOON).action.id != "no_action"
    new = agent(guardrails=[Suppression(), FrequencyCap(1, per=DAY)], policy=SENDS, store=store)
    bare = agent(guardrails=[Suppression()], policy=SENDS, store=store)
    assert new.decide("a", {}, now=NOON).action.id == "no_action"
    assert bare.decide("a", {}, now=NOON).action.id != "no_action"
    assert old.decide("a", {}, now=NOON).action.id == "no_action"
    assert new.decide("b", {}, now=NOON).action.id != "no_action"
    assert old.decide("b", {}, now=NOON).action.id == "no_action"


def test_a_rollback_while_learning_wins() -> None:
    """Whoever publishes last is in charge, and learning is not last by accident."""
    entered, go = threading.Event(), threading.Event()

    class Slow(Uniform):  # type: ignore[misc]  # a fake may extend a final value
        def learn(self, feedback: Any) -> Any:
            entered.set()
            go.wait(10)
            return self

    made = agent(guardrails=[], policy=Slow(), goals=Goals({"x": 1.0}, window=DAY))
    made.decide("a", {}, now=NOON)
    teacher = threading.Thread(target=lambda: made.learn(now=NOON + 2 * DAY))
    teacher.start()
    assert entered.wait(10)
    back = threading.Thread(target=lambda: setattr(made, "policy", SENDS))
    back.start()
    go.set()
    teacher.join()
    back.join()
    assert made.policy == SENDS


def test_rewards_a_policy_could_not_learn_from_are_offered_to_the_next() -> None:
    """A mistake in the composition costs no feedback."""
    made = agent(guardrails=[], policy=BetaThompson())
    decision = made.decide("a", {}, now=NOON)
    made.decide("b", {}, now=NOON)
    made.record(decision.id, "unsubscribe", at=NOON)
    with pytest.raises(errors.LearningError):
        made.learn(now=NOON + 4 * DAY)
    made.policy = LinearThompson()
    assert made.learn(now=NOON + 4 * DAY).used == 2
    assert made.learn(now=NOON + 4 * DAY).used == 0


def test_another_policy_that_fails_on_the_log_is_an_error_and_not_an_answer() -> None:
    """What it would have done is not known."""
    made = agent(guardrails=[], policy=Uniform())
    made.decide("a", {}, now=NOON)
    with pytest.raises(errors.EvaluationError, match="answers"):
        made.replay(policy=Answers(np.nan))


def test_decisions_are_found_among_many_versions() -> None:
    """Every policy version starts a segment of the log; each decision is found in its own."""
    made = Agent("a", [Action("x")], policy=LinearThompson(), goals=Goals({"g": 1.0}, window=DAY))
    ids = []
    for turn in range(60):
        ids.append(made.decide("s", now=NOON + turn * 2 * DAY).id)
        made.learn(now=NOON + (turn * 2 + 1) * DAY)
    assert [made.explain(known).decision.id for known in ids] == ids
    assert repr(made).startswith("Agent('a', 1 actions, policy 'linear_thompson'")


class Slips:
    """A policy that gives itself leave to send what the rules struck out."""

    name = "slips"

    def __init__(self, how: str) -> None:
        self.how = how

    def propose(self, batch: Any) -> Any:
        if self.how == "rebinds":
            batch.allowed = np.ones(batch.allowed.shape, dtype=np.bool_)
        else:
            batch.allowed[:] = True
        return Proposal(np.ones(batch.allowed.shape))


@pytest.mark.parametrize("how", ["rebinds", "writes"])
def test_a_policy_cannot_allow_what_the_rules_struck_out(how: str) -> None:
    """The mask is the flow's; what a plugin puts in its place is seen by nobody else."""
    made = agent(guardrails=[Consent("marketing")], policy=Slips(how), fallback=Slips(how))
    assert not made.decide_many(names(50), context(50), now=NOON).sends.any()


def test_a_review_of_the_wrong_dimensions_denies() -> None:
    """An answer for each row must not be read as one for each candidate, however many there are."""

    class Flat:
        name = "flat"

        def review(self, batch: Any) -> Any:
            return Review(np.ones(len(batch), dtype=np.bool_), "FLAT")

    class Masked:
        name = "masked"

        def review(self, batch: Any) -> Any:
            return Review(np.ma.array(np.ones((len(batch), 1), dtype=np.bool_), mask=True), "MASKED")

    for rule in (Flat(), Masked()):
        made = agent(guardrails=[rule], policy=SENDS)
        assert not made.decide_many(names(7), context(7), now=NOON).sends.any()
        assert made.failures == {rule.name: 1}


@pytest.mark.parametrize("code", ["", None, 5, ["x"], "not a code"])
def test_a_reason_that_is_no_code_denies(code: Any) -> None:
    """The log explains its bits by these codes."""

    class Odd:
        name = "odd"

        def review(self, batch: Any) -> Any:
            return Review(np.ones((1, 1), dtype=np.bool_), code)

    made = agent(guardrails=[Odd()], policy=SENDS)
    assert "ODD_FAILED" in made.decide("c", {}, now=NOON).reasons


def test_rules_in_another_order_find_the_same_records() -> None:
    """Twins are told apart by what they are, not by where they stand."""
    store = MemoryStore()
    rules = [
        Consent("marketing", channels=["sms"]),
        Consent("profiling", channels=["push"]),
        FrequencyCap(1, per=7 * DAY, channels=["sms"]),
        FrequencyCap(1, per=DAY / 24, channels=["push"]),
    ]
    one = agent(guardrails=rules, policy=Fixed("sms_plain"), store=store)
    one.tell("a", ConsentGranted("marketing"), ConsentGranted("profiling"))
    assert one.decide("a", {}, now=NOON).action.id == "sms_plain"
    other = agent(guardrails=rules[::-1], policy=Fixed("sms_plain"), store=store)
    assert other.decide("a", {}, now=NOON).action.id == "no_action"
    other.tell("b", ConsentWithdrawn("marketing"))
    assert one.decide("b", {}, now=NOON).reasons.keys() >= {"NO_CONSENT"}
    with pytest.raises(errors.ConfigurationError, match="twice"):
        agent(guardrails=[rules[0], rules[0]])


def test_more_requests_than_are_remembered_are_answered_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch keeps its own answers; what was forgotten meanwhile is not decided again for it."""
    monkeypatch.setattr("agentic._requests.REMEMBERED", 50)
    made = agent(guardrails=[], policy=Uniform())
    ids = [f"r{i}" for i in range(120)]
    made.decide_many([*names(120), "customer-0"], request_ids=[*ids, "r0"], now=NOON)
    assert made.replay().decisions == 120
    again = made.decide_many(names(120), request_ids=ids, now=NOON)
    assert len(again) == 120
    assert made.decide_many([], request_ids=[]).ids == []


def test_a_provider_that_asks_for_its_own_answer_is_told_so() -> None:
    """It would wait for itself."""

    class Asks:
        agent: Agent

        def fetch(self, subjects: Any, wanted: Any, now: int) -> Any:
            return self.agent.decide("a", {}, request_id="r")

    asks = Asks()
    made = asks.agent = agent(guardrails=[], policy=Uniform(), providers=[asks])
    assert made.decide("a", {}, request_id="r", now=NOON).degraded
    assert made.failures == {"Asks": 1}


@pytest.mark.parametrize("rows", [None, (1, 2), np.zeros(3), []])
def test_a_store_that_loads_nonsense_sends_nothing(rows: Any) -> None:
    """As one that is down."""
    store: Any = MemoryStore()
    made = agent(guardrails=[], policy=SENDS, store=store)
    store.load = lambda *_: rows
    assert "STATE_UNAVAILABLE" in made.decide("c", {}, now=NOON).reasons


def test_a_store_may_hand_out_rows_that_cannot_be_written() -> None:
    """`np.frombuffer` is the whole codec of a key-value store."""

    class Bytes(MemoryStore):
        def load(self, *args: Any) -> Any:
            found = super().load(*args)
            return type(found)(np.frombuffer(found.rows.tobytes(), found.rows.dtype), found.versions)

    made = agent(guardrails=[FrequencyCap(1, per=DAY)], policy=SENDS, store=Bytes())
    assert [made.decide("c", {}, now=NOON).action.id != "no_action" for _ in range(2)] == [True, False]


def test_a_provider_cannot_change_whom_a_decision_is_for() -> None:
    """Neither in the batch nor in the caller's own list."""

    class Sorts:
        def fetch(self, subjects: Any, wanted: Any, now: int) -> Any:
            subjects.sort()

    who = ["zed", "al"]
    batch = agent(guardrails=[], providers=[Sorts()]).decide_many(who, now=NOON)
    assert batch.subjects == who == ["zed", "al"]


def test_one_refused_reward_does_not_stop_learning() -> None:
    """Later feedback is learned from; the refused waits for another policy."""
    made = agent(guardrails=[], policy=BetaThompson(), goals=Goals({"c": 1.0}, window=DAY))
    made.record(made.decide("a", {}, now=NOON).id, "c", 5.0, at=NOON)
    with pytest.raises(errors.LearningError):
        made.learn(now=NOON + DAY)
    for day in (1, 2, 3):
        made.decide("b", {}, now=NOON + day * DAY)
        assert made.learn(now=NOON + (day + 1) * DAY).used == 1
    made.policy = LinearThompson()
    assert made.learn(now=NOON + 5 * DAY).used == 1


def test_facts_told_together_are_understood_before_one_is_noted() -> None:
    """A typo in the second leaves the first untold."""
    made = agent(guardrails=[Consent("marketing")], policy=SENDS)
    with pytest.raises(errors.ConfigurationError, match="listens"):
        made.tell("a", ConsentGranted("marketing"), ConsentGranted("typo"))
    assert made.decide("a", {}, now=NOON).action.id == "no_action"
    with pytest.raises(errors.ConfigurationError, match="got none"):
        made.tell("a")


def test_decisions_can_be_sent_to_another_process() -> None:
    """A queue or a cache copies them."""
    decision = agent(guardrails=[Consent("marketing")]).decide("a", {}, now=NOON)
    assert copy.deepcopy(decision) == decision
