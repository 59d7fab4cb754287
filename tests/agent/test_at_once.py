"""What threads, processes and Ctrl-C do at the same moment leaves an agent that knows what its log says."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from agentic import Agent, ConsentWithdrawn
from agentic._database import Database
from agentic.errors import DatabaseError, LogError
from agentic.guardrails import Consent
from agentic.provenance import DurableLog
from agentic.rewards import Goals
from agentic.state import DurableStore
from agents import ACTIONS, DAY, NOON, agent, consenting, context, names
from databases import new_database
from remembering import Counts

LATER = NOON + 4 * DAY


@pytest.fixture
def database() -> Iterator[Any]:
    database = new_database()
    yield database
    database.close()


def on_file(database: Any, **parts: Any) -> Agent:
    """An agent on this file, with a connection of its own: as another process would have it."""
    own = Database(database.path, durability="process")
    return agent(store=DurableStore(own), log=DurableLog(own), **parts)


def test_what_is_remembered_of_a_subject_is_learned_once_by_two_that_learn_at_once(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who comes second writes nothing to the records: the first has."""
    parts = {"policy": Counts(), "goals": Goals({"purchase": 1.0}, window=3 * DAY)}
    one, other = consenting(on_file(database, **parts), names(20)), [on_file(database, **parts)]
    batch = one.decide_many(names(20), context(20), now=NOON)
    one.record_many(batch.ids[::3], "purchase", at=NOON)
    assert one._teaching is not None
    take = one._teaching._take

    def taking() -> Any:
        offered = take()
        while other:
            other.pop().learn(now=LATER)
        return offered

    monkeypatch.setattr(one._teaching, "_take", taking)
    one.learn(now=LATER)
    assert one.policy == Counts(learned=20)
    found = one.store.load(names(20), one.plan.layout).rows
    assert found["agentic.policies.counts.n"].tolist() == [1] * 20


def test_a_reward_is_learned_once_where_records_lie_elsewhere(database: Any) -> None:
    """A log on a file beside a store in memory says after a restart what was learned from."""
    parts = {"policy": Counts(), "goals": Goals({"purchase": 1.0}, window=3 * DAY)}
    one = consenting(agent(log=DurableLog(database), **parts), names(5))
    one.decide_many(names(5), context(5), now=NOON)
    assert one.learn(now=LATER).used == 5
    again = agent(log=DurableLog(Database(database.path)), **parts)
    assert again.policy == Counts(learned=5)
    assert again.learn(now=LATER).used == 0


def test_a_decision_that_is_being_heard_is_not_marked_as_heard(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever notes where to begin after a restart waits until the window of the decision is open."""
    one = consenting(on_file(database), names(3))
    assert one._following.ledger is not None
    assert one._teaching is not None
    looked = threading.Event()
    opening, beginning = one._following.ledger.open, one._teaching.begin

    def begin(end: int) -> int:
        found = beginning(end)
        looked.set()
        return found

    marking = threading.Thread(target=one._following.mark, args=(1,))

    def open_late(*columns: Any) -> None:
        marking.start()
        assert looked.wait(30)
        opening(*columns)

    monkeypatch.setattr(one._teaching, "begin", begin)
    monkeypatch.setattr(one._following.ledger, "open", open_late)
    one.decide("customer-1", now=NOON)
    marking.join(30)
    assert on_file(database).pending == 1


def test_an_agent_that_is_never_closed_is_marked_now_and_then(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash it does not read all that it ever decided."""
    monkeypatch.setattr("agentic._following.OFTEN", 5)
    one = consenting(on_file(database, goals=None), names(1))
    for day in range(120):
        one.decide("customer-0", now=NOON + day * DAY)
    assert one._chair.seen.begin > 20


def test_a_call_is_no_part_of_a_transaction_of_somebody_else(database: Any) -> None:
    """What is taken back there would be known here."""
    one = consenting(agent(store=DurableStore(database), log=DurableLog(database)), names(3))
    with pytest.raises(LogError, match="outside of"), database.writing():
        one.decide("customer-1", now=NOON)
    assert one.pending == 0
    assert one.decide("customer-1", now=NOON).id


def test_who_was_interrupted_while_hearing_hears_it_anew(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decision stands, and is known here as by who opens the file again."""
    one = consenting(on_file(database), names(3))
    assert one._following.ledger is not None
    opening = one._following.ledger.open

    def interrupted(*columns: Any) -> None:
        opening(*columns)
        raise KeyboardInterrupt

    monkeypatch.setattr(one._following.ledger, "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        one.decide("customer-1", now=NOON)
    one.decide("customer-2", now=NOON)
    again = on_file(database)
    assert one.pending == again.pending == 2
    assert again.decide("customer-1", now=NOON).choices[0].action.channel is None  # the cooldown


def test_consent_that_is_withdrawn_meanwhile_is_not_granted_by_old_news(
    database: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the look at the log and the note nobody withdraws."""
    one, other = on_file(database), on_file(database)
    desk = one.privacy
    writing = desk._eraser.writing

    @contextmanager
    def late() -> Iterator[None]:
        other.tell("customer-1", ConsentWithdrawn("marketing"), now=NOON)
        with writing():
            yield

    monkeypatch.setattr(desk._eraser, "writing", late)
    assert desk.grant_many(["customer-1"], "marketing", at=[NOON - DAY]).tolist() == [False]
    assert not one.privacy.may("customer-1", "marketing")


def test_a_file_is_let_go_of_whatever_fails_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Closing says what failed, and the second time has nothing to do."""
    one = Agent.open(tmp_path / "a.db", "a", ACTIONS, guardrails=[Consent("marketing")], clock=lambda: NOON)
    database: Any = one.store.database  # type: ignore[attr-defined]

    def failing(_: int) -> None:
        raise LogError("the disk has gone")

    one.decide("customer-1")
    monkeypatch.setattr(one._chair, "mark", failing)
    with pytest.raises(LogError, match="gone"):
        one.close()
    assert database.closed
    one.close()
    with pytest.raises((LogError, DatabaseError), match="open it again"):
        one.decide("customer-1")
