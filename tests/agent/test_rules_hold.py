"""Rules are never broken: within a batch, across batches, across threads, in failure."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pytest

from agentic import (
    NO_ACTION,
    Action,
    Agent,
    ConsentGranted,
    ConsentWithdrawn,
    F,
    Released,
    Suppressed,
    ZoneKnown,
)
from agentic.errors import ConfigurationError, LogError
from agentic.features import Flag, Number, TimeZone
from agentic.guardrails import (
    Budget,
    Consent,
    FrequencyCap,
    KillSwitch,
    QuietHours,
    Suppression,
    VolumeLimit,
)
from agentic.policies import Fixed, Uniform
from agentic.provenance import MemoryLog
from agentic.state import MemoryStore
from agents import ACTIONS, DAY, FEATURES, NOON, agent, consenting, context, names, rows, teach

SENDS = Fixed({action.id: 1.0 for action in ACTIONS})


@pytest.fixture
def impatient() -> Iterator[None]:
    """Switch threads after every few instructions."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def together(work: Callable[[int], None], threads: int = 8) -> None:
    """Run the work in threads that start at once; raise what they raise."""
    errors: list[BaseException] = []
    gate = threading.Barrier(threads)

    def run(number: int) -> None:
        gate.wait()
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - handed to the test
            errors.append(error)

    crowd = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for thread in crowd:
        thread.start()
    for thread in crowd:
        thread.join()
    if errors:
        raise errors[0]


def sent(made: Agent) -> dict[str, int]:
    """Sends by subject, from the log."""
    found: dict[str, int] = {}
    for _, block in made.log.read():
        if block.kind == "decision":
            sends = (block.columns["action"] != made.plan.catalogue.idle).sum(axis=1)
            for subject, count in zip(block.columns["subject"].tolist(), sends.tolist(), strict=True):
                found[subject] = found.get(subject, 0) + count
    return found


def test_a_cap_holds_within_one_batch() -> None:
    """A subject who appears ten times in a batch gets no more than the cap."""
    made = agent(guardrails=[FrequencyCap(2, per=7 * DAY)], policy=SENDS)
    subjects = names(50) * 10
    made.decide_many(subjects, context(500), now=NOON)
    assert sent(made) == dict.fromkeys(names(50), 2)


def test_a_cap_holds_across_batches_and_opens_when_the_window_has_passed() -> None:
    """The third contact within seven days is refused, and allowed when the first is seven days old."""
    made = agent(guardrails=[FrequencyCap(2, per=7 * DAY)], policy=SENDS)
    counts = []
    for day in (0, 3, 6, 6.99, 7, 9, 10):
        batch = made.decide_many(names(20), context(20), now=NOON + day * DAY)
        counts.append(int(batch.sends.sum()))
    assert counts == [20, 20, 0, 0, 20, 0, 20]


@pytest.mark.usefixtures("impatient")
def test_a_cap_holds_across_threads() -> None:
    """Eight threads that decide for the same four subjects send each exactly the cap."""
    made = agent(guardrails=[FrequencyCap(3, per=7 * DAY)], policy=SENDS)
    columns = context(40)

    def work(number: int) -> None:
        for turn in range(12):
            if turn % 2:
                made.decide(names(4)[(turn + number) % 4], {}, now=NOON)
            else:
                made.decide_many(names(4) * 10, columns, now=NOON)

    together(work)
    assert sent(made) == dict.fromkeys(names(4), 3)
    assert made.failures == {}


@pytest.mark.usefixtures("impatient")
def test_agents_that_share_a_store_share_its_caps() -> None:
    """Eight agents of one name over one store keep one count, as processes over one server would."""
    store = MemoryStore()
    crowd = [agent(guardrails=[FrequencyCap(2, per=7 * DAY)], policy=SENDS, store=store) for _ in range(8)]

    def work(number: int) -> None:
        for _ in range(10):
            crowd[number].decide_many(names(3), context(3), now=NOON)

    together(work)
    total: dict[str, int] = {}
    for made in crowd:
        for subject, count in sent(made).items():
            total[subject] = total.get(subject, 0) + count
    assert total == dict.fromkeys(names(3), 2)


@pytest.mark.parametrize("lease", [None, 0.5, 10.0])
def test_a_budget_is_spent_to_the_last_affordable_message_and_not_beyond(lease: float | None) -> None:
    """A batch that wants far more than the budget spends all that buys a message, never more."""
    made = agent(guardrails=[Budget(10.0, lease=lease)], policy=Uniform())
    batch = made.decide_many(names(3000), context(3000), now=NOON)
    spent = float(np.round(batch.cost.sum(), 6))
    assert 10.0 - 0.01 < spent <= 10.0
    assert made.budgets["budget"] == pytest.approx(10.0 - spent)
    # What costs nothing is still sent after the money is gone.
    last = batch.take(np.arange(2900, 3000))
    assert last.sends.any()
    assert set(last.action_ids) <= {"push_new", "push_old", "no_action"}


def test_a_budget_gives_the_same_decisions_one_at_a_time() -> None:
    """Rows are charged in their order, so a batch spends what single decisions would."""
    subjects, columns = names(800), context(800)
    batch = agent(guardrails=[Budget(5.0)], policy=Uniform()).decide_many(subjects, columns, now=NOON)
    alone = agent(guardrails=[Budget(5.0)], policy=Uniform())
    found = [
        alone.decide(subject, {n: c[i] for n, c in columns.items()}, now=NOON).action.id
        for i, subject in enumerate(subjects)
    ]
    assert found == batch.action_ids.tolist()


@pytest.mark.usefixtures("impatient")
def test_a_budget_holds_across_threads_and_agents() -> None:
    """However many draw on it at once, a budget is never overspent, and little is left lying in leases."""
    store = MemoryStore()
    crowd = [agent(guardrails=[Budget(6.0, lease=0.3)], policy=SENDS, store=store) for _ in range(4)]
    costs = [0.0] * 8

    def work(number: int) -> None:
        for turn in range(20):
            some = [f"s{number}-{turn}-{i}" for i in range(20)]
            costs[number] += float(crowd[number % 4].decide_many(some, context(20), now=NOON).cost.sum())

    together(work)
    assert sum(costs) <= 6.0 + 1e-9
    assert sum(costs) > 6.0 - 4 * 0.3 - 8 * 0.12


def test_a_budget_starts_again_with_its_period_and_never_twice() -> None:
    """A new week brings a new allowance; a clock that goes back does not bring the old one again."""
    made = agent(guardrails=[Budget(1.0, per=7 * DAY)], policy=SENDS)
    spent = [
        float(made.decide_many(names(200, 200 * i), context(200), now=NOON + day * DAY).cost.sum())
        for i, day in enumerate((0, 1, 7, 0.5, 6, 14))
    ]
    assert all(cost <= 1.0 + 1e-9 for cost in spent)
    assert [cost > 0.5 for cost in spent] == [True, False, True, False, False, True]


def test_a_volume_limit_counts_messages() -> None:
    """Exactly as many go out as the limit says."""
    made = agent(guardrails=[VolumeLimit(137)], policy=SENDS)
    assert int(made.decide_many(names(1000), context(1000), now=NOON).sends.sum()) == 137


def test_withdrawn_consent_takes_effect_before_the_call_returns() -> None:
    """Whatever is decided after a withdrawal returned sends nothing, in any thread."""
    made = consenting(agent(guardrails=[Consent("marketing")], policy=SENDS), ["c"])
    gone = threading.Event()
    after: list[str] = []
    sends = 0

    def others_decide() -> bool:
        return threading.active_count() > 2

    def work(number: int) -> None:
        nonlocal sends
        if number == 0:
            while sends < 20 and others_decide():
                pass
            made.tell("c", ConsentWithdrawn("marketing"))
            gone.set()
            return
        for _ in range(20_000):
            was_gone = gone.is_set()
            decision = made.decide("c", {}, now=NOON)
            if was_gone:
                after.append(decision.action.id)
                if len(after) > 50:
                    return
            elif decision.action is not NO_ACTION:
                sends += 1

    together(work, 4)
    assert after
    assert set(after) == {"no_action"}


def test_consent_is_needed_and_asked_for_by_name() -> None:
    """Unknown consent denies; a fact about a purpose nobody asks for is refused as a mistake."""
    made = agent(guardrails=[Consent("marketing")], policy=SENDS)
    assert made.decide("c", {}, now=NOON).reasons.keys() == {"NO_CONSENT_UNKNOWN"}
    with pytest.raises(ConfigurationError, match="listens to"):
        made.tell("c", ConsentGranted("markting"))
    made.tell("c", ConsentGranted("marketing"))
    assert made.decide("c", {}, now=NOON).action is not NO_ACTION
    made.tell("c", ConsentWithdrawn("marketing"))
    assert made.decide("c", {}, now=NOON).reasons.keys() == {"NO_CONSENT"}


def test_quiet_hours_need_a_zone_and_a_default_zone_will_do() -> None:
    """A subject nobody knows the zone of is not contacted; told or defaulted, the local hour counts."""
    made = agent(guardrails=[QuietHours("21:00", "10:00")], policy=SENDS, zone=None)
    assert made.decide("c", {}, now=NOON).reasons.keys() == {"QUIET_HOURS_UNKNOWN"}
    made.tell("c", ZoneKnown("Asia/Kolkata"))  # 17:30 there
    assert made.decide("c", {}, now=NOON).action is not NO_ACTION
    made.tell("c", ZoneKnown("Pacific/Auckland"))  # 01:00 there
    assert made.decide("c", {}, now=NOON).reasons.keys() == {"QUIET_HOURS"}
    with pytest.raises(ConfigurationError, match="time zone"):
        made.tell("c", ZoneKnown("Mars/Phobos"))


def test_a_zone_in_the_context_wins_over_the_one_told() -> None:
    """Who travels is where the context says."""
    made = agent(
        guardrails=[QuietHours("21:00", "10:00")], policy=SENDS, zone=None, features=[*FEATURES, TimeZone()]
    )
    made.tell("c", ZoneKnown("Pacific/Auckland"))
    assert made.decide("c", {}, now=NOON).action is NO_ACTION
    assert made.decide("c", {"time_zone": "Europe/Paris"}, now=NOON).action is not NO_ACTION
    assert made.decide("c", {"time_zone": "Mars/Phobos"}, now=NOON).action is NO_ACTION


def test_a_send_slot_is_judged_at_its_delivery() -> None:
    """At midnight a message for the next morning may be chosen, one for now may not."""
    made = Agent(
        "slots",
        [Action("now", channel="push"), Action("morning", channel="push", send_at="09:30")],
        guardrails=[QuietHours("21:00", "09:00"), FrequencyCap(1, per=DAY)],
        policy=Uniform(),
    )
    night = datetime(2026, 3, 2, 19, 0, tzinfo=NOON.tzinfo)  # 00:30 in Kolkata
    unknown = made.decide("a", now=night)
    assert unknown.reasons["ZONE_UNKNOWN"] == ("morning",)
    made.tell_many(names(200), ZoneKnown("Asia/Kolkata"))
    batch = made.decide_many(names(200), now=night)
    assert set(batch.action_ids) == {"morning", "no_action"}
    # The cap counts the delivery at 09:30: at 09:00 the day after it is not yet a day old.
    late = made.decide_many(names(200), now=night + timedelta(hours=32, minutes=30))
    assert not (late.sends & batch.sends).any()


def test_mandatory_messages_outrank_everything_and_are_not_capped() -> None:
    """Who is owed a notice gets it, again and again, holdout or not, and nothing else meanwhile."""
    made = Agent(
        "bank",
        [
            Action("offer", channel="email"),
            Action("recall", channel="email", message_class="mandatory", eligible=F("recalled").is_true()),
        ],
        features=[Flag("recalled")],
        guardrails=[FrequencyCap(1, per=7 * DAY), Consent("marketing"), Budget(1.0)],
        policy=Fixed("offer"),
        holdout=0.5,
    )
    flags = [i % 2 == 0 for i in range(100)]
    for turn in range(3):
        batch = made.decide_many(names(100), {"recalled": flags}, now=NOON + turn * timedelta(hours=1))
        assert (batch.action_ids == np.where(flags, "recall", "no_action")).all()
    assert batch[0].reasons["OUTRANKED"] == ("no_action", "offer")


def test_suppression_stops_contact_until_it_is_over() -> None:
    """Suppressed until a time, for good, and released."""
    made = agent(guardrails=[Suppression()], policy=SENDS)
    made.tell("c", Suppressed(until=NOON + DAY))
    assert made.decide("c", {}, now=NOON).reasons.keys() == {"SUPPRESSED"}
    assert made.decide("c", {}, now=NOON + DAY).action is not NO_ACTION
    made.tell("c", Suppressed())
    assert made.decide("c", {}, now=NOON + 4000 * DAY).action is NO_ACTION
    made.tell("c", Released())
    assert made.decide("c", {}, now=NOON).action is not NO_ACTION


def test_a_kill_switch_stops_the_next_decision() -> None:
    """Engaged, nothing goes out; released, things go on."""
    switch = KillSwitch()
    made = agent(guardrails=[switch], policy=SENDS)
    assert made.decide("c", {}, now=NOON).action is not NO_ACTION
    made.plan.guardrails["kill_switch"].engage()  # type: ignore[attr-defined]
    assert made.decide("c", {}, now=NOON).reasons.keys() == {"KILL_SWITCH"}
    made.plan.guardrails["kill_switch"].release()  # type: ignore[attr-defined]
    assert made.decide("c", {}, now=NOON).action is not NO_ACTION
    switch.engage()
    assert made.decide("c", {}, now=NOON).action is NO_ACTION


def test_a_clock_that_goes_back_opens_no_cap() -> None:
    """A contact in what is now the future still counts."""
    made = agent(guardrails=[FrequencyCap(1, per=DAY)], policy=SENDS)
    assert made.decide("c", {}, now=NOON).action is not NO_ACTION
    for back in (timedelta(hours=1), 30 * DAY):
        assert made.decide("c", {}, now=NOON - back).action is NO_ACTION


class Broken:
    """A plugin that fails, in whatever way it is told to."""

    name = "broken"
    fields = ()

    def __init__(self, how: str) -> None:
        self.how = how

    def propose(self, batch: Any) -> Any:
        raise RuntimeError(self.how)

    def review(self, batch: Any) -> Any:
        from agentic.arrays import Review

        if self.how == "raise":
            raise RuntimeError(self.how)
        if self.how == "float":
            return Review(np.ones((len(batch), 1)), "BROKEN")  # type: ignore[arg-type]
        if self.how == "shape":
            return Review(np.ones((len(batch) + 1, 1), dtype=np.bool_), "BROKEN")
        if self.how == "nothing":
            return None
        return Review(np.ones((1, 1), dtype=np.bool_), "BROKEN")

    def settle(self, batch: Any, chosen: Any) -> None:
        if self.how == "settle":
            raise RuntimeError(self.how)


@pytest.mark.parametrize("how", ["raise", "float", "shape", "nothing", "settle"])
def test_a_guardrail_that_fails_denies(how: str, caplog: pytest.LogCaptureFixture) -> None:
    """What it cannot judge is not sent; the failure is counted, and logged once."""
    made = agent(guardrails=[Broken(how), FrequencyCap(1, per=DAY)], policy=SENDS)
    for _ in range(3):
        batch = made.decide_many(names(5), context(5), now=NOON)
        assert not batch.sends.any()
        assert "BROKEN_FAILED" in batch[0].reasons
    assert made.failures["broken"] >= 3
    assert len(caplog.records) == 1


def test_a_policy_that_fails_is_replaced_by_the_fallback_and_then_by_nothing() -> None:
    """The decision is made all the same, and marked."""
    made = agent(guardrails=[], policy=Broken("x"), fallback=Fixed("email_digest"))
    decision = made.decide("c", {}, now=NOON)
    assert (decision.action.id, decision.probability) == ("email_digest", 1.0)
    assert "policy" in decision.degraded
    alone = agent(guardrails=[], policy=Broken("x"), fallback=Broken("y"))
    assert alone.decide("c", {}, now=NOON).action is NO_ACTION
    assert alone.failures == {"broken": 2}


def test_a_decision_of_the_fallback_can_be_explained() -> None:
    """The probability told is the fallback's, who decided; the policy fails again, and tells nothing."""
    made = agent(guardrails=[], policy=Broken("x"), fallback=Fixed("email_digest"))
    decided = made.decide("c", {}, now=NOON)
    told = made.explain(decided.id)
    assert decided.action.id == "email_digest"
    assert decided.degraded[-1] == "policy"
    assert {c.action: c.probability for c in told.candidates}["email_digest"] == decided.probability == 1.0


class Weights:
    """A policy whose weights are given."""

    name = "weights"

    def __init__(self, weights: Any) -> None:
        self.weights = weights

    def propose(self, batch: Any) -> Any:
        from agentic.arrays import Proposal

        return Proposal(np.broadcast_to(self.weights, batch.allowed.shape))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0, 1e308])
def test_weights_that_are_no_weights_are_not_drawn_from(bad: float) -> None:
    """NaN, infinite, negative and overflowing weights hand the row to the fallback, and are counted."""
    made = agent(guardrails=[], policy=Weights(np.array([bad])), fallback=Fixed("sms_plain"))
    decision = made.decide("c", {}, now=NOON)
    assert decision.action.id == "sms_plain"
    assert "policy" in decision.degraded
    assert made.failures == {"weights": 1}


def test_a_policy_that_wants_nothing_that_is_allowed_has_not_failed() -> None:
    """Nothing is done, for certain, and nothing is degraded."""
    made = agent(guardrails=[Consent("marketing")], policy=Fixed("sms_plain"), fallback=Fixed("push_new"))
    decision = made.decide("c", {f"f{i}": 0.0 for i in range(6)} | {"tier": "gold"}, now=NOON)
    assert (decision.action, decision.probability, decision.degraded) == (NO_ACTION, 1.0, ())
    assert made.failures == {}


class Down:
    """A store or log that is down from some call on."""

    def __init__(self, inner: Any, *, verbs: set[str], after: int = 0) -> None:
        self.inner, self.verbs, self.left = inner, verbs, after

    def __getattr__(self, verb: str) -> Any:
        def call(*args: Any) -> Any:
            if verb in self.verbs:
                self.left -= 1
                if self.left < 0:
                    raise OSError("down")
            return getattr(self.inner, verb)(*args)

        return call

    def load(self, *args: Any) -> Any:
        return self.__getattr__("load")(*args)

    def store(self, *args: Any) -> Any:
        return self.__getattr__("store")(*args)

    def delete(self, *args: Any) -> Any:
        return self.__getattr__("delete")(*args)

    def subjects(self) -> Any:
        return self.inner.subjects()

    def append(self, *args: Any) -> Any:
        return self.__getattr__("append")(*args)

    def read(self, *args: Any) -> Any:
        return self.inner.read(*args)


@pytest.mark.parametrize("verb", ["load", "store"])
@pytest.mark.parametrize("rules", [[FrequencyCap(1, per=DAY)], [Budget(5.0)], []])
def test_a_store_that_is_down_sends_nothing_and_raises_nothing(verb: str, rules: list[Any]) -> None:
    """Without state a rule cannot be judged: the answer is to do nothing, with the reason."""
    made = agent(guardrails=rules, policy=SENDS, store=Down(MemoryStore(), verbs={verb}))
    batch = made.decide_many(names(4), context(4), now=NOON)
    assert not batch.sends.any()
    assert "STATE_UNAVAILABLE" in batch[0].reasons
    assert made.failures["store"] >= 1
    assert made.replay().identical


def test_a_log_that_is_down_stops_the_decision_and_takes_back_what_was_settled() -> None:
    """No record, no decision: caps, budgets and counters are as before, and the caller is told."""
    store = MemoryStore()
    log = Down(MemoryLog(), verbs={"append"}, after=1)
    made = agent(guardrails=[FrequencyCap(1, per=DAY), Budget(5.0)], policy=SENDS, store=store, log=log)
    made.decide_many(names(3), context(3), now=NOON)
    kept = store.load(names(6), made.plan.layout).rows.tobytes()
    money = made.budgets["budget"]
    with pytest.raises(LogError, match="do not stand"):
        made.decide_many(names(6), context(6), now=NOON + 2 * DAY)
    assert store.load(names(3), made.plan.layout).rows.tobytes() == kept[: len(kept) // 2]
    assert made.budgets["budget"] == pytest.approx(money)
    log.left = 100
    assert made.decide_many(names(6), context(6), now=NOON + 2 * DAY).sends.all()


def test_everything_blocked_is_a_decision_to_do_nothing() -> None:
    """It has probability 1 and a reason for every candidate."""
    made = agent(guardrails=[KillSwitch(watch=lambda: True)])
    decision = made.decide("c", {}, now=NOON)
    assert (decision.action, decision.probability) == (NO_ACTION, 1.0)
    assert set(decision.reasons["KILL_SWITCH"]) == {action.id for action in ACTIONS}


def test_eligibility_denies_who_does_not_qualify_and_who_is_not_known() -> None:
    """False is not eligible, unknown is not eligible either, and the log tells them apart."""
    made = Agent(
        "age",
        [Action("wine", channel="email", eligible=F("age") >= 18)],
        features=[Number("age", low=0, high=120, default=40)],
        policy=Fixed("wine"),
    )
    assert made.decide("c", {"age": 30}).action.id == "wine"
    assert made.decide("c", {"age": 17}).reasons == {"NOT_ELIGIBLE": ("wine",)}
    assert made.decide("c", {}).reasons == {"ELIGIBILITY_UNKNOWN": ("wine",)}
    assert made.decide("c", {"age": float("nan")}).reasons == {"ELIGIBILITY_UNKNOWN": ("wine",)}


def test_the_holdout_is_left_alone_and_stays_the_same() -> None:
    """Arms are a property of the subject: the same in every batch, process and policy version."""
    made = agent(guardrails=[], policy=SENDS, holdout=0.2, random_control=0.1)
    first = made.decide_many(names(5000), context(5000), now=NOON)
    teach_free = agent("test", guardrails=[], policy=Uniform(), holdout=0.2, random_control=0.1, seed=5)
    again = teach_free.decide_many(names(5000), context(5000), now=NOON + DAY)
    assert first.arms == again.arms
    share = {arm: first.arms.count(arm) / 5000 for arm in set(first.arms)}
    # Five standard deviations of a share among 5,000.
    assert abs(share["holdout"] - 0.2) < 5 * (0.2 * 0.8 / 5000) ** 0.5
    assert abs(share["random_control"] - 0.1) < 5 * (0.1 * 0.9 / 5000) ** 0.5
    held = np.array(first.arms) == "holdout"
    assert not first.sends[held].any()
    random = np.array(first.arms) == "random_control"
    assert (first.probability[random] == 1 / 7).all()
    other = agent(guardrails=[], holdout=0.2, salt="another").decide_many(
        names(5000), context(5000), now=NOON
    )
    assert other.arms != first.arms


def test_a_large_catalogue_is_decided_in_smaller_waves_with_the_same_answers() -> None:
    """Ten thousand actions: memory is bounded by the wave, answers do not depend on it."""
    made = Agent("many", [Action(f"a{i:05d}") for i in range(9_999)], policy=Uniform())
    batch = made.decide_many(names(60), now=NOON)
    alone = Agent("many", [Action(f"a{i:05d}") for i in range(9_999)], policy=Uniform())
    assert [alone.decide(name, now=NOON).action.id for name in names(60)] == batch.action_ids.tolist()
    assert (batch.probability == 1e-4).all()
    assert made.replay().identical


def test_rows_of_a_batch_are_independent_of_rules_about_others() -> None:
    """Neighbours with other consents, zones and histories do not move a row's answer."""
    made = agent()
    teach(made)
    consenting(made, names(100)[::2])
    batch = made.decide_many(names(100), context(100), now=NOON)
    alone = agent()
    teach(alone)
    consenting(alone, names(100)[::2])
    for part in np.array_split(np.random.default_rng(3).permutation(100), 13):
        got = alone.decide_many([names(100)[i] for i in part.tolist()], rows(context(100), part), now=NOON)
        assert np.array_equal(got.probability, batch.probability[part])
