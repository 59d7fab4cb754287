"""Ctrl-C at the worst moment: an agent on a file knows afterwards what one that opens the file then knows."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agentic import Action, Agent
from agentic._requests import Requests
from agentic._teaching import Teaching
from agentic.policies import LinearThompson
from agentic.rewards import Goals, Ledger
from agentic.testing import FakeClock
from databases import new_database

START = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = timedelta(days=1)


def opened(path: Path, clock: FakeClock) -> Agent:
    return Agent.open(
        path,
        "shop",
        [Action("push"), Action("sms")],
        policy=LinearThompson(),
        goals=Goals({"buy": 1.0}, window=DAY),
        clock=clock,
        durability="process",
    )


def after(method: Any) -> Any:
    """The method, and then Ctrl-C; once."""
    left = [None]

    def interrupted(*args: Any, **more: Any) -> Any:
        found = method(*args, **more)
        if left:
            left.pop()
            raise KeyboardInterrupt
        return found

    return interrupted


@pytest.fixture
def both(tmp_path: Path) -> Iterator[tuple[Agent, Path, FakeClock]]:
    clock = FakeClock(START)
    with opened(tmp_path / "agent.db", clock) as agent:
        agent.record(agent.decide("anna").id, "buy")
        yield agent, tmp_path / "agent.db", clock


WHERE = [
    pytest.param(Ledger, "open", id="a window is opened"),
    pytest.param(Ledger, "record", id="an outcome is counted"),
    pytest.param(Ledger, "close", id="windows are closed"),
    pytest.param(Ledger, "finish", id="closed windows are told"),
    pytest.param(Teaching, "hear", id="rewards are offered"),
    pytest.param(Teaching, "_take", id="rewards are taken"),
    pytest.param(Teaching, "hear_policy", id="a policy is told"),
    pytest.param(Requests, "reserve", id="a request is taken on"),
    pytest.param(Requests, "note", id="a request is noted"),
]


@pytest.mark.parametrize(("kind", "method"), WHERE)
def test_what_was_half_known_is_known(
    kind: type, method: str, both: tuple[Agent, Path, FakeClock], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interrupted call is made again, and nothing counts twice, is lost, or stays half done."""
    agent, path, clock = both
    with monkeypatch.context() as patch:
        patch.setattr(kind, method, after(getattr(kind, method)))
        interrupted = 0
        for call in (
            lambda: agent.decide("ben", request_id="q"),
            lambda: agent.record(agent.decide("ben", request_id="q").id, "buy", event_id="e"),
            lambda: clock.advance(2 * DAY),
            agent.learn,
        ):
            try:
                call()
            except KeyboardInterrupt:
                interrupted += 1
                call()
    assert interrupted == 1
    agent.decide("cleo")
    with opened(path, clock) as fresh:
        assert fresh.pending == agent.pending == 1
        assert fresh.policy_version == agent.policy_version
        assert fresh.relearn().same == fresh.relearn().versions == 1
        assert fresh.replay().identical
        clock.advance(2 * DAY)
        assert (agent.learn().used, fresh.learn().used) == (1, 0)
        assert agent.policy_version == fresh.policy_version


def test_entries_left_behind_are_no_transaction(both: tuple[Agent, Path, FakeClock]) -> None:
    """Ctrl-C came between the end of a transaction and the note that it ended."""
    agent, path, clock = both
    books: Any = agent._books
    books._entries = []
    agent.record(agent.decide("ben").id, "buy")
    assert books._entries is None
    with opened(path, clock) as fresh:
        assert fresh.pending == agent.pending == 2


def test_a_part_that_ends_after_the_whole_leaves_nothing_open() -> None:
    """Ctrl-C between two lines of `contextlib` leaves generators behind, which end in any order."""
    database = new_database()
    whole, part = database.writing(), database.writing()
    whole.__enter__()
    part.__enter__()
    stop = KeyboardInterrupt()
    assert not whole.__exit__(KeyboardInterrupt, stop, None)
    assert not part.__exit__(KeyboardInterrupt, stop, None)
    with database.writing() as connection:
        connection.execute("INSERT INTO checkpoints VALUES (7, 7, '')")
    with database.reading() as connection:
        assert connection.execute("SELECT at FROM checkpoints WHERE size = 7").fetchone() == (7,)
    database.close()


def test_a_whole_that_ends_late_leaves_the_next_alone() -> None:
    """The one that came after it is not undone."""
    database = new_database()
    first, second = database.writing(), database.writing()
    first.__enter__()
    database._abandon(database._writer, None)
    with database.writing() as connection:
        connection.execute("INSERT INTO checkpoints VALUES (7, 7, '')")
        assert not first.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    del second
    with database.reading() as connection:
        assert connection.execute("SELECT at FROM checkpoints WHERE size = 7").fetchone() == (7,)
    database.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork on Windows")
def test_a_child_is_not_held_up_by_locks_of_threads_that_it_does_not_have(
    both: tuple[Agent, Path, FakeClock],
) -> None:
    """Whatever another thread was in the middle of when the process forked."""
    agent, _, clock = both
    clock.advance(2 * DAY)
    assert agent._teaching is not None
    assert agent._following.ledger is not None
    held = [
        agent._teaching.lock,
        agent._teaching._offers,
        agent._following.ledger._lock,
        agent._requests._lock,
        agent._pools._lock,
        agent._chair.desk._lock,
    ]
    ready, over = threading.Event(), threading.Event()

    def hold() -> None:
        with ExitStack() as stack:
            for lock in held:
                stack.enter_context(lock)
            ready.set()
            over.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    ready.wait()
    child = os.fork()
    if not child:
        signal.alarm(20)  # a child that waits for ever ends
        agent.decide("ben", request_id="q")
        agent.learn()
        os._exit(7)
    _, status = os.waitpid(child, 0)
    over.set()
    thread.join()
    assert os.waitstatus_to_exitcode(status) == 7
    assert agent.learn().closed == 0
    assert agent.pending == 1
