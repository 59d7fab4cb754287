"""What people leave to an agent, and what becomes of the decisions that they look at."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentic import Action, Agent, ConsentGranted, ConsentWithdrawn, Suppressed
from agentic.arrays import Block, Receipt, Review
from agentic.errors import LogError, ReleaseError, UnknownDecisionError
from agentic.evaluation import joined
from agentic.guardrails import Budget, Consent, FrequencyCap, QuietHours
from agentic.policies import Fixed, Uniform
from agentic.provenance import MemoryLog
from agentic.release import Registry
from agentic.rewards import Goals
from agents import NOON, names

HOUR = timedelta(hours=1)


class FailingLog(MemoryLog):
    """Refuses to append, when it is told to."""

    failing = False

    def append(self, block: Block, /) -> Receipt:
        if self.failing:
            raise OSError("the disk has gone")
        return super().append(block)


def parts(**more: Any) -> dict[str, Any]:
    return {
        "policy": Fixed({"sms": 1.0}),
        "guardrails": [Consent("marketing"), FrequencyCap(2, per=7 * 24 * HOUR)],
        "goals": Goals({"buy": 1.0}, window=HOUR),
        "zone": "UTC",
        "clock": lambda: NOON,
    } | more


ACTIONS = [Action("sms", channel="sms", cost=0.1), Action("push", channel="push")]


@pytest.fixture(params=["in memory", "on a file"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Makes agents that share a log, where there is one."""
    opened = []

    def made(**more: Any) -> Agent:
        if request.param == "in memory":
            agent = Agent("a", ACTIONS, **parts(**more))
        else:
            agent = Agent.open(tmp_path / "agent.db", "a", ACTIONS, **parts(**more))
        agent.tell_many(names(60), ConsentGranted("marketing"), now=NOON)
        opened.append(agent)
        return agent

    yield made
    for agent in opened:
        agent.close()


def watched(agent: Agent, level: str = "approve_each") -> Agent:
    agent.oversight.set(level, by="Ann", reason="a new policy")
    return agent


class TestApproving:
    """Each message waits for somebody's yes."""

    def test_what_sends_waits_and_what_does_not_does_not(self, make: Any) -> None:
        """The answer says so, and so does the queue, the oldest first."""
        agent = watched(make(policy=Uniform()))
        batch = agent.decide_many(names(40))
        assert {decision.autonomy for decision in batch} == {"approve_each"}
        waiting = agent.oversight.waiting()
        assert [one.id for one in waiting] == [batch.ids[row] for row in batch.sends.nonzero()[0]]
        for decision in batch:
            sends = decision.action.id != "no_action"
            assert agent.oversight.status(decision.id) == ("waiting" if sends else "nothing")

    def test_a_yes_is_said_once(self, make: Any) -> None:
        """It leaves the queue; no and another yes come too late."""
        agent = watched(make())
        decision = agent.decide("customer-1")
        assert agent.oversight.approve(decision.id, by="Bob") == decision
        assert agent.oversight.waiting() == ()
        assert agent.oversight.status(decision.id) == "approved"
        for late in (agent.oversight.approve, agent.oversight.reject):
            with pytest.raises(ReleaseError, match="is approved, not waiting"):
                late(decision.id, by="Bob", reason="again")

    def test_what_was_approved_is_learned_from_and_what_was_not_is_not(self, make: Any) -> None:
        """A no takes a decision out of rewards and of what policies are judged by."""
        agent = watched(make())
        yes, no, other = (agent.decide(name) for name in names(3))
        agent.oversight.approve(yes.id, by="Bob")
        agent.oversight.reject(no.id, by="Bob", reason="rude")
        agent.oversight.override(other.id, "push", by="Bob", reason="better")
        for one in (yes, no, other):
            agent.record(one.id, "buy", at=NOON)
        agent.learn(now=NOON + 2 * HOUR)
        rows = joined(agent)
        assert [int(one.id[16:], 16) for one in (yes,)] == rows.position.tolist()
        assert rows.reward.tolist() == [1.0]

    @pytest.mark.parametrize(
        ("fact", "code"),
        [(ConsentWithdrawn("marketing"), "NO_CONSENT"), (Suppressed(), "SUPPRESSED")],
        ids=["withdrawn", "suppressed"],
    )
    def test_the_rules_are_asked_once_more(self, make: Any, fact: Any, code: str) -> None:
        """Who withdrew meanwhile gets nothing, whoever says yes; and the decision lapses."""
        agent = watched(make())
        decision = agent.decide("customer-1")
        agent.tell("customer-1", fact)
        with pytest.raises(ReleaseError, match=code) as caught:
            agent.oversight.approve(decision.id, by="Bob")
        assert code in caught.value.missing
        assert agent.oversight.status(decision.id) == "lapsed"
        assert agent.oversight.waiting() == ()

    def test_a_yes_at_night_sends_nothing(self, make: Any) -> None:
        """Rules about time judge a delivery from now on."""
        agent = watched(make(guardrails=[Consent("marketing"), QuietHours("21:00", "08:00")]))
        decision = agent.decide("customer-1")
        with pytest.raises(ReleaseError, match="QUIET_HOURS"):
            agent.oversight.approve(decision.id, by="Bob", now=NOON + 10 * HOUR)

    def test_caps_and_budgets_have_counted_it(self, make: Any) -> None:
        """A cap of one does not deny the one it has counted."""
        rules = [Consent("marketing"), FrequencyCap(1, per=7 * 24 * HOUR), Budget(0.1, per=7 * 24 * HOUR)]
        agent = watched(make(guardrails=rules))
        decision = agent.decide("customer-1")
        agent.oversight.approve(decision.id, by="Bob")
        assert agent.decide("customer-1").action.id == "no_action"

    def test_what_waits_too_long_waits_in_vain(self, make: Any) -> None:
        """It is not in the queue any more, and a yes comes too late."""
        agent = watched(make())
        decision = agent.decide("customer-1")
        assert agent.oversight.waiting(now=NOON + 25 * HOUR) == ()
        with pytest.raises(ReleaseError, match="EXPIRED"):
            agent.oversight.approve(decision.id, by="Bob", now=NOON + 25 * HOUR)
        with pytest.raises(ReleaseError, match="lapsed"):
            agent.oversight.approve(decision.id, by="Bob", within=48 * HOUR)

    def test_who_was_forgotten_does_not_wait(self, tmp_path: Path) -> None:
        """Nobody is left to be sent anything; others wait on, in whatever blocks they are."""
        with Agent.open(tmp_path / "agent.db", "a", ACTIONS, **parts(guardrails=[])) as agent:
            watched(agent)
            batches = [agent.decide_many(names(5)), agent.decide_many(names(3))]
            agent.privacy.erase("customer-1")
            left = [one for batch in batches for one in batch if one.subject != "customer-1"]
            assert [one.id for one in agent.oversight.waiting()] == [one.id for one in left]
            with pytest.raises(UnknownDecisionError):
                agent.oversight.approve(batches[0].ids[1], by="Bob")

    def test_who_was_decided_for_may_read_what_people_made_of_it(self, make: Any) -> None:
        """And why; neither who did it nor anything about others."""
        agent = watched(make())
        mine, theirs = agent.decide("customer-1"), agent.decide("customer-2")
        agent.oversight.reject(theirs.id, by="Bob", reason="not at this hour")
        new = agent.oversight.override(mine.id, "push", by="Bob", reason="no text messages")
        told = agent.privacy.export("customer-1")
        assert [one["autonomy"] for one in told["decisions"]] == ["approve_each", "autonomous"]
        assert told["oversight"] == [
            {
                "decision": mine.id,
                "what": "overridden",
                "at": NOON.isoformat(),
                "reason": "no text messages",
                "instead": new.id,
            }
        ]
        assert "Bob" not in str(told)
        assert agent.privacy.export("customer-3")["oversight"] == []

    def test_a_guardrail_that_fails_now_denies(self, make: Any) -> None:
        """As it does when something is decided."""
        fails: list[bool] = []

        class Moody:
            name = "moody"

            def review(self, batch: Any, /) -> Review:
                if fails:
                    raise RuntimeError
                return Review(np.ones((1, 1), dtype=np.bool_), "MOODY")

        agent = watched(make(guardrails=[Consent("marketing"), Moody()]))
        decision = agent.decide("customer-1")
        fails.append(True)
        with pytest.raises(ReleaseError, match="MOODY_FAILED"):
            agent.oversight.approve(decision.id, by="Bob")


class TestWaitingInVain:
    """Nobody said yes, so it was not sent."""

    def test_it_has_no_reward_also_in_another_process(self, make: Any) -> None:
        """It would look like a message that nobody answered, and policies would learn not to send it."""
        agent = watched(make())
        yes, forgotten, late = (agent.decide(name) for name in names(3))
        agent.oversight.approve(yes.id, by="Bob")
        agent.record(forgotten.id, "buy", at=NOON)
        other = agent if isinstance(agent.log, MemoryLog) else make()
        assert other.learn(now=NOON + 2 * HOUR).closed == 1
        assert joined(agent).position.tolist() == [int(yes.id[16:], 16)]
        agent.oversight.approve(late.id, by="Bob", now=NOON + HOUR)  # sent after all, too late for a reward
        for one in (agent, other):
            assert one.learn(now=NOON + 9 * HOUR).closed == 0
            assert one.pending == 0
        assert len(joined(agent)) == 1

    def test_nothing_sent_by_its_own_choice_has_one(self, make: Any) -> None:
        """Doing nothing waits for nobody."""
        agent = watched(make(policy=Fixed("no_action")))
        agent.decide("customer-1")
        assert agent.learn(now=NOON + 2 * HOUR).closed == 1
        assert len(joined(agent)) == 1


class TestByHand:
    """A person chooses something else."""

    def test_it_is_a_decision_of_its_own(self, make: Any) -> None:
        """Certain, logged, replayable, counted by caps, in an arm of its own, and named in the event."""
        agent = make()
        first = agent.decide("customer-1")
        second = agent.oversight.override(first.id, "push", by="Bob", reason="she asked for it")
        assert (second.subject, second.action.id, second.arm) == ("customer-1", "push", "by_hand")
        assert (second.probability, second.autonomy) == (1.0, "autonomous")
        assert agent.oversight.status(first.id) == "overridden"
        assert agent.oversight.status(second.id) == "released"
        assert agent.replay().identical
        (event,) = agent.releases.events("oversight.overridden")
        assert (event.by, event.facts["instead"], event.facts["action"]) == ("Bob", second.id, "push")
        assert agent.decide("customer-1").action.id == "no_action"  # the cap of two is spent

    def test_nothing_is_learned_from_it(self, make: Any) -> None:
        """Nobody knows how likely it was."""
        agent = make()
        first = agent.decide("customer-1")
        second = agent.oversight.override(first.id, "push", by="Bob", reason="x")
        agent.record(second.id, "buy", at=NOON)
        learned = agent.learn(now=NOON + 2 * HOUR)
        assert len(joined(agent)) == 0
        assert learned.used == 0

    @pytest.mark.parametrize("spent", [False, True], ids=["no consent", "cap"])
    def test_the_rules_hold_for_people_too(self, make: Any, spent: bool) -> None:
        """What is refused leaves everything as it was: nothing is set aside, logged or counted."""
        agent = make()
        first = agent.decide("customer-1")
        if spent:
            agent.decide("customer-1")
        else:
            agent.tell("customer-1", ConsentWithdrawn("marketing"))
        size = len(joined(agent).position) + agent.pending
        with pytest.raises(ReleaseError, match="FREQUENCY_CAP" if spent else "NO_CONSENT"):
            agent.oversight.override(first.id, "push", by="Bob", reason="x")
        assert agent.oversight.status(first.id) == "released"
        assert len(joined(agent).position) + agent.pending == size
        again = agent.oversight.override(first.id, "no_action", by="Bob", reason="x")
        assert again.action.id == "no_action"

    @pytest.mark.parametrize("by", ["", None, "Bob\x00"], ids=["empty", "none", "control"])
    def test_who_is_nobody_chooses_nothing(self, make: Any, by: Any) -> None:
        """Nothing is decided, counted or set aside for somebody without a name."""
        agent = make()
        first = agent.decide("customer-1")
        size = len(agent.log)
        with pytest.raises(ReleaseError, match="by must be the name"):
            agent.oversight.override(first.id, "push", by=by, reason="x")
        assert len(agent.log) == size
        assert agent.oversight.status(first.id) == "released"

    def test_who_is_held_out_stays_so(self, make: Any) -> None:
        """Otherwise the holdout would not show what sending nothing is worth."""
        agent = make(holdout=1.0)
        decision = agent.decide("customer-1")
        with pytest.raises(ReleaseError, match="held out"):
            agent.oversight.override(decision.id, "push", by="Bob", reason="x")

    @pytest.mark.parametrize("action", ["pigeon", None, 3, ["push"]], ids=str)
    def test_there_must_be_such_an_action(self, make: Any, action: Any) -> None:
        """The message says which there are."""
        agent = make()
        decision = agent.decide("customer-1")
        with pytest.raises(ReleaseError, match="there are"):
            agent.oversight.override(decision.id, action, by="Bob", reason="x")


class TestSuggesting:
    """Nothing is done."""

    def test_nothing_counts(self, make: Any) -> None:
        """No cap, no reward, no lesson, however often somebody asks."""
        agent = watched(make(), "suggest_only")
        found = [agent.decide("customer-1") for _ in range(5)]
        assert {(one.action.id, one.autonomy) for one in found} == {("sms", "suggest_only")}
        assert len({one.id for one in found}) == 5
        assert agent.oversight.status(found[0].id) == "suggested"
        assert agent.oversight.waiting() == ()
        assert agent.pending == 0
        agent.learn(now=NOON + 2 * HOUR)
        assert len(joined(agent)) == 0

    def test_a_person_takes_it_up(self, make: Any) -> None:
        """Under all rules, and then it counts."""
        agent = watched(make(guardrails=[Consent("marketing"), FrequencyCap(1, per=HOUR)]), "suggest_only")
        one, other = agent.decide("customer-1"), agent.decide("customer-1")
        assert agent.oversight.override(one.id, "sms", by="Bob", reason="good idea").arm == "by_hand"
        with pytest.raises(ReleaseError, match="FREQUENCY_CAP"):
            agent.oversight.override(other.id, "sms", by="Bob", reason="once more")


class TestStopping:
    """Nobody gets anything."""

    def test_it_holds_for_all_arms_and_for_people(self, make: Any) -> None:
        """Also what waits is not sent, and what is chosen by hand."""
        agent = watched(make(random_control=0.5, exploration_floor=0.1))
        waiting = agent.decide("customer-0")
        agent.oversight.stop(by="Ann", reason="complaints")
        batch = agent.decide_many(names(50))
        assert not batch.sends.any()
        assert batch.denials() == {"STOPPED": 100}
        for act in (
            lambda: agent.oversight.approve(waiting.id, by="Bob"),
            lambda: agent.oversight.override(batch.ids[0], "push", by="Bob", reason="x"),
        ):
            with pytest.raises(ReleaseError, match="STOPPED"):
                act()
        assert agent.replay().identical

    def test_it_holds_after_a_restart_until_somebody_says_otherwise(self, tmp_path: Path) -> None:
        """And an agent of another name on the file goes on."""
        path = tmp_path / "agent.db"
        with Agent.open(path, "a", ACTIONS, **parts()) as agent:
            agent.oversight.stop(by="Ann", reason="complaints")
        with (
            Agent.open(path, "a", ACTIONS, **parts()) as agent,
            Agent.open(path, "b", ACTIONS, **parts()) as other,
        ):
            other.tell("c", ConsentGranted("marketing"))
            assert other.decide("c").action.id == "sms"
            assert agent.oversight.level == "stopped"
            assert agent.decide("c").action.id == "no_action"
            agent.oversight.set("autonomous", by="Bob", reason="mended")
            assert agent.decide("d").reasons == {"NO_CONSENT_UNKNOWN": ("push", "sms")}

    def test_the_rest_of_a_batch_is_not_sent(self, make: Any) -> None:
        """What is being decided in this process stops at the next wave."""
        agent, threads = make(), []

        class Stopping:
            name = "stopping"

            def propose(self, batch: Any, /) -> Any:
                if not threads:
                    threads.append(
                        threading.Thread(target=agent.oversight.stop, kwargs={"by": "Ann", "reason": "x"})
                    )
                    threads[0].start()
                    while agent.oversight._level() != "stopped":
                        pass
                return Uniform().propose(batch)

        agent.policy = Stopping()
        subjects = names(9000)
        agent.tell_many(subjects, ConsentGranted("marketing"))
        batch = agent.decide_many(subjects)
        threads[0].join()
        assert batch.sends[:8192].any()
        assert not batch.sends[8192:].any()
        assert agent.oversight.level == "stopped"

    def test_where_it_cannot_be_logged_it_stays_stopped_here(self) -> None:
        """The safe side; whoever stopped it is told."""
        log = FailingLog()
        agent = Agent("a", ACTIONS, log=log, **parts(guardrails=[]))
        assert agent.decide("c").action.id == "sms"
        log.failing = True
        with pytest.raises(LogError):
            agent.oversight.stop(by="Ann", reason="complaints")
        log.failing = False
        assert agent.decide("c").action.id == "no_action"
        agent.oversight.stop(by="Ann", reason="complaints")
        agent.oversight.set("autonomous", by="Ann", reason="mended")
        assert agent.decide("c").action.id == "sms"

    def test_a_stop_that_nobody_could_log_ends_with_the_next_level(self, make: Any) -> None:
        """A slip in the name stops it all the same; and whoever lets it go on is heard."""
        agent = make()
        with pytest.raises(ReleaseError, match="by must be the name"):
            agent.oversight.stop(by="", reason="complaints")
        assert agent.oversight.level == "stopped"
        agent.oversight.set("autonomous", by="Ann", reason="mended")
        assert agent.oversight.level == "autonomous"
        assert agent.decide("customer-1").action.id == "sms"
        Registry(agent).govern(by="Ann")
        with pytest.raises(ReleaseError, match="by must be the name"):
            agent.oversight.stop(by="", reason="complaints")
        with pytest.raises(ReleaseError, match="give approved_by"):
            agent.oversight.set("autonomous", by="Ann", reason="mended")
        assert agent.oversight.level == "stopped"
        agent.oversight.set("autonomous", by="Ann", reason="mended", approved_by="Bob")
        assert agent.decide("customer-2").action.id == "sms"


class TestWhoMay:
    """Less is left to an agent by anybody, more by two."""

    def test_more_needs_two_people_where_releases_are_governed(self, make: Any) -> None:
        """Whatever way one writes one's own name."""
        from agentic.release import Registry

        agent = make()
        Registry(agent).govern(by="Ann")
        watched(agent)
        for second in (None, "Ann", " ann ", "ＡＮＮ"):
            with pytest.raises(ReleaseError, match="somebody else"):
                agent.oversight.set("autonomous", by="Ann", reason="it does well", approved_by=second)
        agent.oversight.set("autonomous", by="Ann", reason="it does well", approved_by="Bob")
        assert agent.oversight.level == "autonomous"
        agent.oversight.set("suggest_only", by="Cid", reason="careful")

    @pytest.mark.parametrize("level", ["", "Autonomous", None, 3, "rm -rf"], ids=str)
    def test_there_must_be_such_a_level(self, make: Any, level: Any) -> None:
        """The message says which there are."""
        with pytest.raises(ReleaseError, match="choose one of stopped, suggest_only"):
            make().oversight.set(level, by="Ann", reason="x")

    @pytest.mark.parametrize(
        "reason", ["", "  ", None, "x" * 2001, 3], ids=["none", "blank", "0", "long", "3"]
    )
    def test_whoever_says_no_says_why(self, make: Any, reason: Any) -> None:
        """In words."""
        agent = watched(make())
        decision = agent.decide("customer-1")
        for act in (
            lambda: agent.oversight.reject(decision.id, by="Bob", reason=reason),
            lambda: agent.oversight.override(decision.id, "push", by="Bob", reason=reason),
            lambda: agent.oversight.stop(by="Bob", reason=reason),
        ):
            with pytest.raises(ReleaseError, match="says why"):
                act()

    def test_only_decisions_are_looked_at(self, make: Any) -> None:
        """Ids of nothing are refused as everywhere."""
        oversight = make().oversight
        for act in (oversight.status, lambda one: oversight.approve(one, by="Bob")):
            with pytest.raises(UnknownDecisionError):
                act("0" * 32)


def _deciding(path: str, ready: Any, stopped: Any, out: Any) -> None:
    agent = Agent.open(path, "a", ACTIONS, **parts(guardrails=[]))
    ready.release()
    late = []
    for number in range(100_000):
        was = stopped.is_set()  # before the decision began
        late.append((was, agent.decide(f"{path}-{number}").action.id))
        if was and len(late) > 50 and late[-50][0]:
            break
    out.put([action for was, action in late if was])
    agent.close()


def test_other_processes_stop_with_their_next_decision(tmp_path: Path) -> None:
    """Whatever was begun after `stop` returned, in whichever process, sends nothing."""
    context = multiprocessing.get_context("spawn")
    path = str(tmp_path / "agent.db")
    with Agent.open(path, "a", ACTIONS, **parts(guardrails=[])) as agent:
        ready, stopped, out = context.Semaphore(0), context.Event(), context.Queue()
        workers = [context.Process(target=_deciding, args=(path, ready, stopped, out)) for _ in range(2)]
        for worker in workers:
            worker.start()
        for _ in workers:
            ready.acquire()
        agent.oversight.stop(by="Ann", reason="complaints")
        stopped.set()
        late = [out.get(timeout=60) for _ in workers]
        for worker in workers:
            worker.join()
    assert all(len(one) >= 50 for one in late)
    assert {action for one in late for action in one} == {"no_action"}
