"""An agent on a file: what it knows is what the log says, in every process, before and after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from agentic import (
    Agent,
    ConsentGranted,
    ConsentWithdrawn,
    Restricted,
    RestrictionLifted,
    Suppressed,
    _restoring,
)
from agentic._restoring import restore
from agentic._teaching import Relearned
from agentic.arrays import Block, Proposal, Receipt
from agentic.errors import ConfigurationError, LogError, UnknownDecisionError
from agentic.guardrails import Budget, Consent, FrequencyCap, Suppression
from agentic.policies import BetaThompson, Personal, Uniform
from agentic.provenance import DurableLog, verify_consistency
from agentic.rewards import Goals
from agentic.state import DurableStore
from agents import DAY, NOON, agent, consenting, context, names
from databases import new_database
from remembering import Counts

LATER = NOON + 4 * DAY


class Failing(DurableLog):
    """A log that refuses to append blocks of some kind, when it is told to."""

    refused: str | None = None

    def append(self, block: Block, /) -> Receipt:
        if block.kind == self.refused:
            raise OSError("the disk has gone")
        return super().append(block)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Any]:
    database = new_database()
    yield database
    database.close()


def on_file(database: Any, **parts: Any) -> Agent:
    """An agent on this file, with a connection of its own: as another process would have it."""
    from agentic._database import Database

    own = Database(database.path, durability="process")
    return agent(store=DurableStore(own), log=DurableLog(own), **parts)


def bought(one: Agent, n: int, seed: int = 0) -> Any:
    """Decide for so many, and let every third buy."""
    batch = one.decide_many(names(n), context(n, seed), now=NOON)
    one.record_many(batch.ids[::3], "purchase", at=NOON)
    return batch


def twin(n: int, **parts: Any) -> Agent:
    """The same in memory."""
    return consenting(agent(**parts), names(n))


class TestRestart:
    def test_it_goes_on_as_if_it_had_never_stopped(self, database: Any) -> None:
        """Decisions, pending rewards and learned parameters are those of an agent that was never closed."""
        steady = twin(60)
        one = consenting(on_file(database), names(60))
        for turn in range(4):
            at = NOON + turn * 4 * DAY
            mine = one.decide_many(names(60), context(60, turn), now=at)
            theirs = steady.decide_many(names(60), context(60, turn), now=at)
            assert np.array_equal(mine.action, theirs.action)
            assert np.array_equal(mine.probability, theirs.probability)
            one.record_many(mine.ids[::3], "purchase", at=at)
            steady.record_many(theirs.ids[::3], "purchase", at=at)
            one = on_file(database)  # the one before was never closed
            assert one.pending == steady.pending
            assert one.learn(now=at + 3.5 * DAY) == steady.learn(now=at + 3.5 * DAY)
            one = on_file(database)
            assert one.policy_version == steady.policy_version
        assert one.replay().identical
        assert one.replay().decisions == 240
        assert one.relearn().same == 4 == one.relearn().versions

    def test_learning_once_more_knows_who_was_restricted_then_and_erased_since(self, database: Any) -> None:
        """What can no longer follow from the log because somebody was forgotten is no contradiction."""
        one = consenting(on_file(database), names(9))
        bought(one, 9)
        one.learn(now=LATER)
        one.tell("customer-1", Restricted())
        assert one.relearn() == Relearned(1, 1, 0, 0, 0, ())
        one.privacy.erase("customer-2")
        assert one.relearn() == Relearned(1, 0, 0, 0, 1, ())
        assert one.relearn().identical

    def test_the_answer_about_somebody_who_was_erased_is_gone(self, database: Any) -> None:
        """Whoever asks again is a stranger, who has agreed to nothing."""
        one = consenting(on_file(database), names(3))
        first = one.decide("customer-1", request_id="a", now=NOON)
        one.privacy.erase("customer-1")
        again = one.decide("customer-1", request_id="a", now=NOON)
        assert again.id != first.id
        assert again.action.id == "no_action"

    def test_requests_are_remembered(self, database: Any) -> None:
        """A request that was answered before the restart has its answer, and no second decision."""
        one = consenting(on_file(database), names(3))
        first = one.decide("customer-1", request_id="a", now=NOON)
        again = on_file(database)
        assert again.decide("customer-1", request_id="a", now=LATER).id == first.id
        assert again.pending == 1

    def test_outcomes_of_closed_decisions_are_told_apart_from_unknown_ones(self, database: Any) -> None:
        """What was closed before the restart is closed after it, although its window is not in memory."""
        one = consenting(on_file(database), names(3))
        batch = one.decide_many(names(3), now=NOON)
        one.learn(now=LATER)
        one._following.mark(1)
        again = on_file(database)
        assert again.record(batch.ids[0], "purchase", at=NOON).name == "CLOSED"

    def test_only_what_is_open_is_heard_again(self, database: Any) -> None:
        """After learning, a restart does not read what is closed."""
        one = consenting(on_file(database), names(50))
        bought(one, 50)
        one.learn(now=LATER)
        late = one.decide("customer-7", now=LATER)
        one._following.mark(1)
        read = []

        class Watched(DurableLog):
            def read(self, after: int = 0, /) -> Iterator[tuple[Receipt, Block]]:
                read.append(after)
                return super().read(after)

        from agentic._database import Database

        own = Database(database.path, durability="process")
        again = agent(store=DurableStore(own), log=Watched(own))
        assert again.pending == 1
        assert read
        assert min(read) > 50
        assert again.record(late.id, "purchase", at=LATER).name == "COUNTED"

    def test_rewards_that_were_closed_but_not_learned_are_offered(self, database: Any) -> None:
        """A crash between the two loses nothing: the policy learns from them at the next call."""
        one = consenting(on_file(database), names(30))
        bought(one, 30)
        assert one._teaching is not None
        one._teaching._close(one._micros() + 4 * 86_400_000_000)  # and here the process dies
        again = on_file(database)
        assert again.pending == 0
        learned = again.learn(now=LATER)
        assert (learned.closed, learned.used) == (30, 30)
        assert again.learn(now=LATER).closed == 0
        steady = twin(30)
        bought(steady, 30)
        steady.learn(now=LATER)
        assert again.policy_version == steady.policy_version

    def test_versions_that_were_in_charge_in_between_are_not_restored(
        self, database: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """However often was learned: opening looks at the last one only."""
        one = consenting(on_file(database), names(20))
        for turn in range(6):
            at = NOON + turn * 4 * DAY
            batch = one.decide_many(names(20), context(20, turn), now=at)
            one.record_many(batch.ids[::3], "purchase", at=at)
            one.learn(now=at + 3.5 * DAY)
        restored = []
        monkeypatch.setattr(
            _restoring,
            "restore",
            lambda *given, **beside: (restored.append(given), restore(*given, **beside))[1],
        )
        assert on_file(database).policy_version == one.policy_version
        assert len(restored) <= 2

    def test_what_was_learned_belongs_to_the_policy_as_it_was_passed(self, database: Any) -> None:
        """Another policy begins anew, and the first one comes back with what it had learned."""
        one = consenting(on_file(database), names(30))
        bought(one, 30)
        one.learn(now=LATER)
        learned = one.policy_version
        other = on_file(database, policy=BetaThompson())
        assert other.policy_version == agent(policy=BetaThompson()).policy_version
        assert on_file(database).policy_version == learned

    def test_it_brings_its_own_log(self, tmp_path: Path) -> None:
        """A store or a log beside the file is a mistake."""
        with pytest.raises(ConfigurationError, match="brings its own log: leave it out"):
            Agent.open(tmp_path / "a.db", "a", [], log=None)  # type: ignore[call-arg]


class TestTogether:
    def test_what_one_does_the_other_knows(self, database: Any) -> None:
        """Consent, caps and rewards are one; so is the policy in charge."""
        one, other = consenting(on_file(database), names(40)), on_file(database)
        batch = one.decide_many(names(40), context(40), now=NOON)
        sent = [name for name, sends in zip(names(40), batch.sends.tolist(), strict=True) if sends]
        again = other.decide_many(sent, context(len(sent)), now=NOON)
        assert again.counts()["no_action"] == len(sent)  # the cooldown
        other.record_many(batch.ids[::2], "purchase", at=NOON)
        assert one.learn(now=LATER).closed == len(batch) + len(again)
        assert other.decide("customer-3", now=LATER).policy_version == one.policy_version
        other.tell("customer-3", ConsentWithdrawn("marketing"))
        assert "NO_CONSENT" in one.decide("customer-3", now=LATER + DAY).reasons

    def test_rolling_back_in_one_changes_the_next_decision_of_the_other(self, database: Any) -> None:
        """An assignment is heard by all, and stays after a restart."""
        one, other = consenting(on_file(database), names(40)), on_file(database)
        before, version = one.policy, one.policy_version
        bought(one, 40)
        one.learn(now=LATER)
        assert other.decide("customer-1", now=LATER).policy_version == one.policy_version != version
        other.policy = before
        assert one.decide("customer-2", now=LATER).policy_version == version
        assert on_file(database).policy_version == version

    def test_two_that_learn_at_once_learn_each_reward_once(self, database: Any) -> None:
        """Who publishes second learns again, from what the first has published."""
        other: list[Agent] = []

        @attrs.frozen
        class Slow:
            name: str = "slow"
            seen: int = 0

            def propose(self, batch: Any, /) -> Proposal:
                return Proposal(np.ones(batch.allowed.shape))

            def learn(self, feedback: Any, /) -> Any:
                if other:
                    other.pop().learn(now=LATER)
                return attrs.evolve(self, seen=self.seen + len(feedback))

        one = consenting(on_file(database, policy=Slow()), names(30))
        bought(one, 30)
        other.append(on_file(database, policy=Slow()))
        one.learn(now=LATER)
        assert one.policy == Slow(seen=30)
        assert on_file(database, policy=Slow()).policy == Slow(seen=30)

    def test_one_that_is_configured_otherwise_goes_on_with_its_own(
        self, database: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Two releases that run side by side do not take each other's policies."""
        one, other = consenting(on_file(database), names(30)), on_file(database, policy=Uniform())
        bought(one, 30)
        one.learn(now=LATER)
        assert other.decide("customer-1", now=LATER).policy_version == other.policy_version
        assert other.policy.name == "uniform"
        assert "configured otherwise" in caplog.text

    def test_a_request_is_answered_once(self, database: Any) -> None:
        """Also if the other answered it while this one was asking a provider."""
        other = consenting(on_file(database), names(3))
        found = []

        class Asking:
            def fetch(self, subjects: Any, names: Any, now: int, /) -> Any:
                if not found:
                    found.append(None)
                    found[0] = other.decide("customer-1", request_id="a", now=NOON).id
                raise OSError

        one = on_file(database, providers=[Asking()])
        assert one.decide("customer-1", request_id="a", now=NOON).id == found[0]
        assert other.pending == 1


class TestAllOrNothing:
    def make(self, database: Any, **parts: Any) -> tuple[Agent, Failing]:
        log = Failing(database)
        return consenting(agent(store=DurableStore(database), log=log, **parts), names(40)), log

    def held(self, one: Agent) -> bytes:
        rows: bytes = one.store.load(names(40), one.plan.layout).rows.tobytes()
        return rows

    def test_a_decision_that_was_not_logged_was_not_made(self, database: Any) -> None:
        """Records, budget and log are as before; the next decision is the one it would have been."""
        rules = [Consent("marketing"), FrequencyCap(1, per=7 * DAY), Budget(100.0)]
        one, log = self.make(database, guardrails=rules)
        before, left = self.held(one), one.budgets
        log.refused = "decision"
        with pytest.raises(LogError, match="do not stand"):
            one.decide_many(names(40), context(40), now=NOON)
        log.refused = None
        assert self.held(one) == before
        assert one.budgets == left
        assert one.pending == 0
        steady = twin(40, guardrails=rules)
        mine = one.decide_many(names(40), context(40), now=NOON)
        assert np.array_equal(mine.action, steady.decide_many(names(40), context(40), now=NOON).action)
        assert one.budgets == steady.budgets

    @pytest.mark.parametrize("fact", [ConsentGranted("marketing"), Suppressed()], ids=["granted", "stopped"])
    def test_a_fact_that_was_not_logged_is_not_known(self, database: Any, fact: Any) -> None:
        """The caller is told, here and in every process."""
        one, log = self.make(database, guardrails=[Consent("marketing"), Suppression()])
        before, log.refused = self.held(one), "fact"
        with pytest.raises(LogError, match="do not stand"):
            one.tell("customer-1", fact)
        assert self.held(one) == before
        assert self.held(on_file(database, guardrails=[Consent("marketing"), Suppression()])) == before

    @pytest.mark.parametrize("kind", ["reward", "policy"])
    def test_learning_that_was_not_logged_is_done_again(self, database: Any, kind: str) -> None:
        """Nothing is lost, nothing is learned twice, and records of subjects are written once."""
        parts = {"policy": Counts(), "goals": Goals({"purchase": 1.0}, window=3 * DAY)}
        one, log = self.make(database, **parts)
        bought(one, 40)
        before, log.refused = self.held(one), kind
        for _ in range(2):
            with pytest.raises((LogError, OSError)):
                one.learn(now=LATER)
            assert self.held(one) == before
            assert one.policy == Counts()
        log.refused = None
        assert one.learn(now=LATER).used == 40
        assert one.policy == Counts(learned=40)
        rows = one.store.load(names(40), one.plan.layout).rows
        assert rows["agentic.policies.counts.n"].tolist() == [1] * 40
        assert one.learn(now=LATER).closed == 0

    def test_what_a_policy_remembers_equals_the_twin_in_memory(self, database: Any) -> None:
        """Learned in one transaction, or lesson by lesson: the same."""
        policy = Personal()
        one, _ = self.make(database, policy=policy)
        steady = twin(40, policy=policy)
        for each in (one, steady):
            bought(each, 40)
            each.learn(now=LATER)
        assert one.policy_version == steady.policy_version
        fields = one.plan.layout.pack(one.store.load(names(40), one.plan.layout).rows, "agentic.policies")
        theirs = steady.plan.layout.pack(
            steady.store.load(names(40), steady.plan.layout).rows, "agentic.policies"
        )
        assert np.array_equal(fields, theirs)
        assert on_file(database, policy=policy).policy_version == one.policy_version


class TestRetention:
    def grown(self, database: Any) -> tuple[Agent, Any]:
        """An agent with three segments of decisions, all closed, and consents in the first of them."""
        one = consenting(on_file(database, guardrails=[Consent("marketing")]), names(4000))
        batches = [one.decide_many(names(4000), context(4000, turn), now=NOON) for turn in range(3)]
        one.record_many(batches[0].ids[:50], "purchase", at=NOON)
        one.learn(now=LATER)
        return one, batches

    def test_what_is_old_goes_and_what_was_agreed_stays(self, database: Any) -> None:
        """Whole segments go; consents are written again; the log goes on and is still proved."""
        one, batches = self.grown(database)
        log: Any = one.log
        log.seal()
        root, size = log.root(), log.size
        dropped = one.privacy.drop(NOON + DAY, now=LATER)
        assert dropped > 0
        assert dropped % 4096 == 0
        assert log.verify().ok
        log.seal()
        growth = log.prove_growth(size)
        verify_consistency(size, log.size, growth.path, root, log.root())
        again = on_file(database, guardrails=[Consent("marketing")])
        assert again.policy_version == one.policy_version
        assert len(again.privacy.consents("customer-7")) == 1
        assert again.privacy.consents("customer-7")[0].at == NOON
        assert again.decide("customer-7", now=LATER).reasons == {}
        with pytest.raises(UnknownDecisionError):
            again.record(batches[0].ids[0], "purchase", at=LATER)
        assert again.replay().identical

    def test_the_last_word_stays_the_last(self, database: Any) -> None:
        """What was said and taken back is not said again by dropping the first of the two."""
        one = consenting(on_file(database, guardrails=[Consent("marketing")]), names(9))
        one.tell("customer-1", Restricted())
        one.privacy.erase("customer-2", "in-dpdp")
        for turn in range(2):
            one.decide_many(names(4096, 100), context(4096, turn), now=NOON)
        one.learn(now=LATER)
        one.tell("customer-1", RestrictionLifted(), now=LATER)
        one.tell("customer-3", ConsentWithdrawn("marketing"), now=LATER)
        one.privacy.lift("customer-2")
        for again in (False, True):
            assert one.privacy.may("customer-1", "marketing")
            assert not one.privacy.may("customer-3", "marketing")
            assert [entry.state for entry in one.privacy.consents("customer-3")] == ["granted", "withdrawn"]
            assert one.privacy.due(NOON + 9999 * DAY) == []
            keys = one._following.restricted()
            assert keys is not None
            assert not len(keys)
            if not again:
                assert one.privacy.drop(NOON + DAY, now=LATER)
                one = on_file(database, guardrails=[Consent("marketing")])

    def test_what_is_still_open_stays(self, database: Any) -> None:
        """A decision whose window is open is needed, by this agent or another one of the file."""
        one, _ = self.grown(database)
        waiting = on_file(database, name="other", guardrails=[Consent("marketing")])
        waiting.decide("customer-7", now=NOON)
        assert one.privacy.drop(LATER, now=LATER) == 0
        waiting.learn(now=LATER)
        waiting._following.mark(1)
        assert one.privacy.drop(LATER, now=LATER)

    def test_the_law_may_say_that_it_is_too_early(self, database: Any) -> None:
        """Nothing was dropped then."""
        one, _ = self.grown(database)
        with pytest.raises(ConfigurationError, match="must be kept until"):
            one.privacy.drop(NOON + DAY, "in-dpdp", now=LATER)
        assert next(iter(one.log.read()))[0].first == 0

    def test_a_log_in_memory_drops_nothing(self) -> None:
        """It says what to do instead."""
        with pytest.raises(ConfigurationError, match="open the agent on a file"):
            agent().privacy.drop(NOON)
