"""Readers while others write, clocks that jump, processes that fork."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentic import Agent, ConsentGranted
from agentic.evaluation import evaluate
from agentic.guardrails import Consent, FrequencyCap, QuietHours
from agentic.policies import Uniform
from torture import checks
from torture.herd import Herd
from torture.scene import AMOUNT, CAP, DAY, NOON, PER, in_memory, opened
from torture.worker import Worker

SUBJECTS = [f"customer-{number}" for number in range(20)]


def test_readers_see_whole_transactions_while_others_write(tmp_path: Path, time_to_spend: Any) -> None:
    """What is read during writes is a prefix of the log, and what was read once is read again."""
    path, start = tmp_path / "agent.db", time.monotonic_ns()
    until, looks, longest = time.monotonic() + time_to_spend.share(0.1), 0, 0
    with Herd(tmp_path / "errors") as herd:
        told = {"path": str(path), "start_ns": start, "budget": AMOUNT}
        pids = [herd.start(**told, diary=str(tmp_path / f"{n}"), uid=f"p{n}", threads=2) for n in range(2)]
        with opened(path, clock=lambda: Worker.at(start)) as agent:
            reader = checks.model(budget=AMOUNT)
            while time.monotonic() < until or longest < 50:
                seen = reader.end
                checks.tell(reader, agent.log)
                assert reader.breaches == []
                assert reader.end >= seen
                again = checks.tell(checks.model(budget=AMOUNT), agent.log)
                assert again.end >= reader.end
                assert list(again.decisions.items())[: len(reader.decisions)] == list(
                    reader.decisions.items()
                )
                assert agent.replay().identical
                looks, longest = looks + 1, reader.end
            estimate = evaluate(agent, Uniform())
            assert np.isfinite(estimate.value)
            for pid in pids:
                assert herd.kill(pid), (tmp_path / "errors").read_text()
    assert all(b"error" not in diary.read_bytes() for diary in tmp_path.glob("[01]"))
    print(f"{looks} looks at a log of {longest} records that was being written")


def _ticking(agent: Agent, steps: list[timedelta], now: list[datetime]) -> list[list[datetime]]:
    """Decide for everybody after each step of the clock; when each subject was sent something."""
    sends: list[list[datetime]] = [[] for _ in SUBJECTS]
    for step in steps:
        now[0] += step
        batch = agent.decide_many(SUBJECTS)
        for subject in np.flatnonzero(batch.sends).tolist():
            sends[subject].append(now[0])
    return sends


@pytest.mark.parametrize("seed", range(4))
def test_a_clock_that_jumps_lifts_no_cap(seed: int, tmp_path: Path) -> None:
    """Whatever the clock does, also across restarts, no window exceeds the cap and no night sees a send."""
    dice = random.Random(seed)
    jumps = [timedelta(hours=5), DAY, 3 * DAY, -DAY, -DAY, timedelta(days=3653), timedelta(days=-3653)]
    steps = dice.choices(jumps, [8, 4, 2, 2, 2, 1, 1], k=60)
    now = [NOON]
    rules = [Consent("marketing"), FrequencyCap(CAP, per=PER), QuietHours("21:00", "08:00")]
    parts = {"guardrails": rules, "policy": Uniform(), "clock": lambda: now[0], "zone": "UTC"}
    twin = in_memory(**parts)
    twin.tell_many(SUBJECTS, ConsentGranted("marketing"))
    expected = _ticking(twin, steps, now)
    now[0] = NOON
    sends: list[list[datetime]] = [[] for _ in SUBJECTS]
    with opened(tmp_path / "agent.db", **parts) as agent:
        agent.tell_many(SUBJECTS, ConsentGranted("marketing"))
    for some in _batched(steps, 7):
        with opened(tmp_path / "agent.db", **parts) as agent:
            for subject, more in enumerate(_ticking(agent, some, now)):
                sends[subject] += more
            agent.learn()
    assert sends == expected
    assert sum(map(len, sends)) > 2 * len(SUBJECTS)
    for times in sends:
        for at in times:
            assert 8 <= at.astimezone(UTC).hour < 21
            assert sum(at <= other < at + PER for other in times) <= CAP


def _batched(steps: list[timedelta], many: int) -> list[list[timedelta]]:
    return [steps[at : at + many] for at in range(0, len(steps), many)]


def test_a_clock_that_goes_back_closes_no_window_early(tmp_path: Path) -> None:
    """A reward is final when its window is over by the clock that is told, once, and stays so."""
    now = [NOON]
    with opened(tmp_path / "agent.db", clock=lambda: now[0]) as agent:
        batch = agent.decide_many(SUBJECTS)
        now[0] = NOON + 10 * DAY
        assert agent.learn().closed == len(SUBJECTS)
        now[0] = NOON - DAY
        later = agent.decide_many(SUBJECTS)
        assert agent.learn().closed == 0
        assert agent.pending == len(SUBJECTS)
        assert {status.name for status in agent.record_many(batch.ids, "purchase")} == {"CLOSED"}
        assert {status.name for status in agent.record_many(later.ids, "purchase")} == {"COUNTED"}
        now[0] = NOON + timedelta(days=3653)
        assert agent.learn().closed == len(SUBJECTS)
    with opened(tmp_path / "agent.db", clock=lambda: now[0]) as agent:
        assert agent.pending == 0
        checks.settled(agent, checks.model(budget=AMOUNT))


def _in_child(work: Any) -> int:
    child = os.fork()
    if not child:
        code = 1
        try:
            work()
            code = 0
        except BaseException as error:  # noqa: BLE001 - told to the parent by its exit code
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            os._exit(code)
    return child


FORKS = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # with the threads of a test runner


@FORKS
@pytest.mark.parametrize("durability", ["process", "bounded", "power"])
def test_a_fork_after_open_shares_the_file_not_the_connection(durability: str, tmp_path: Path) -> None:
    """Parent and children go on with one agent each, and every cap holds across them."""
    path = tmp_path / "agent.db"
    with opened(path, durability=durability) as agent:
        agent.tell_many(SUBJECTS, ConsentGranted("marketing"))
        agent.decide_many(SUBJECTS)

        def work() -> None:
            for number in range(30):
                agent.decide_many(SUBJECTS[number % 5 :], now=NOON + number * DAY / 3)
            agent.close()

        children = [_in_child(work) for _ in range(3)]
        for number in range(30):
            agent.decide_many(SUBJECTS, now=NOON + number * DAY / 3)
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        assert codes == [0, 0, 0]
        told = checks.settled(agent, checks.model(budget=AMOUNT))
        assert len(told.decisions) == 20 + 30 * 20 + 3 * sum(20 - number % 5 for number in range(30))
        assert agent.replay().identical
        agent.decide_many(SUBJECTS)
    with opened(path) as agent:
        checks.settled(agent, checks.model(budget=AMOUNT))


@FORKS
def test_a_child_that_is_killed_takes_nothing_from_its_parent(tmp_path: Path) -> None:
    """The parent's file is whole however its forked children end."""
    with opened(tmp_path / "agent.db") as agent:
        agent.tell_many(SUBJECTS, ConsentGranted("marketing"))
        for _ in range(5):
            child = _in_child(lambda: [agent.decide_many(SUBJECTS) for _ in itertools.count()])
            for _ in range(10):
                agent.decide_many(SUBJECTS)
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            checks.settled(agent, checks.model(budget=AMOUNT))
