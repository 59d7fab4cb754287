"""A rollback changes the very next decision in every thread of every process: real ones, and no waiting."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentic import Agent
from agentic._folding import blocks_of
from trials_of_two import ACTIONS, NEW, parts, trying

TESTS = Path(__file__).parents[1]

DECIDE = """
import sys, threading
from agentic import Agent
from trials_of_two import ACTIONS, NEW, parts

path, who = sys.argv[1:]
with Agent.open(path, "shop", ACTIONS, challengers=[NEW], **parts()) as agent:
    print("open", flush=True)
    told = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.readline(), told.set())).start()
    number, seen, more = 0, False, 20
    while more:
        number, more = number + 1, more - told.is_set()
        if number % 5:
            new = agent.decide(f"{who}-{number}").action.id == "new"
        else:
            new = "new" in agent.decide_many([f"{who}-{number}-{i}" for i in range(20)]).action_ids
        if new and not seen:
            seen = True
            print("met the challenger", flush=True)
"""

ROLL_BACK = """
import sys
from agentic import Agent
from trials_of_two import ACTIONS, NEW, parts, trying

with Agent.open(sys.argv[1], "shop", ACTIONS, challengers=[NEW], **parts()) as agent:
    look = trying(agent).roll_back("a call from the floor", by="ann")
    assert look.ended, look
    print(len(agent.log), flush=True)
"""


def process(code: str, *words: str) -> Any:  # a Popen
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), *sys.path])}
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )


class Deciding(threading.Thread):
    """A thread that decides until it is told to stop, and then a little more."""

    def __init__(self, agent: Agent, who: str) -> None:
        super().__init__()
        self._agent, self._who = agent, who
        self.met, self.told = threading.Event(), threading.Event()

    def run(self) -> None:
        number, more = 0, 20
        while more:
            number, more = number + 1, more - self.told.is_set()
            if self._agent.decide(f"{self._who}-{number}").action.id == "new":
                self.met.set()


@pytest.mark.parametrize("where", ["here", "in another process"])
def test_no_decision_after_a_rollback_is_the_challengers(tmp_path: Path, where: str) -> None:
    """By log number: not one, of two other processes and two threads that never stopped deciding."""
    path = str(tmp_path / "shop.db")
    with ExitStack() as last:
        agent = last.enter_context(Agent.open(path, "shop", ACTIONS, challengers=[NEW], **parts()))
        rollout = trying(agent, steps=(0.5,))
        rollout.start()
        others = [last.enter_context(process(DECIDE, path, who)) for who in ("first", "second")]
        threads = [Deciding(agent, who) for who in ("third", "fourth")]
        for thread in threads:
            thread.start()
        for other in others:
            assert [other.stdout.readline() for _ in range(2)] == ["open\n", "met the challenger\n"]
        for thread in threads:
            assert thread.met.wait(60)
        if where == "here":
            assert rollout.roll_back("a call from the floor", by="ann").share == 0.0
            after = len(agent.log)  # type: ignore[arg-type]  # a DurableLog
        else:
            with process(ROLL_BACK, path) as monitor:
                after = int(monitor.stdout.readline())
        for other in others:
            other.stdin.write("stop\n")
            other.stdin.flush()
        for thread in threads:
            thread.told.set()
            thread.join(60)
        assert [other.wait(60) for other in others] == [0, 0]
        assert rollout.share == 0.0
        before, later = set(), set()
        for receipt, block in blocks_of(agent.log, "decision"):
            chosen = np.array(agent.plan.catalogue.ids)[block.columns["action"][:, 0]]
            for name, action, number in zip(
                block.columns["subject"].tolist(),
                chosen.tolist(),
                range(receipt.first, receipt.first + len(block)),
                strict=True,
            ):
                if number >= after:
                    assert action == "old"
                    later.add(name.split("-")[0])
                elif action == "new":
                    before.add(name.split("-")[0])
        assert before == later == {"first", "second", "third", "fourth"}
        assert agent.policy_version != rollout.name


DIE = """
import os, signal, sys
from agentic import Agent
from trials_of_two import ACTIONS, NEW, parts, trying

with Agent.open(sys.argv[1], "shop", ACTIONS, challengers=[NEW], durability="process", **parts()) as agent:
    real = agent.exchange

    def exchange(*words):
        if sys.argv[2] == "after":
            real(*words)
        os.kill(os.getpid(), signal.SIGKILL)

    agent.exchange = exchange
    trying(agent, steps=(0.5,)).roll_back("a call from the floor", by="ann")
"""


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_that_is_killed_in_a_rollback_leaves_it_to_the_next(tmp_path: Path, moment: str) -> None:
    """Decided and logged, not made or not said to be: whoever looks next completes it, once."""
    path = str(tmp_path / "shop.db")
    with Agent.open(path, "shop", ACTIONS, challengers=[NEW], **parts()) as agent:
        trying(agent, steps=(0.5,)).start()
        with process(DIE, path, moment) as monitor:
            assert monitor.wait(60) == -9
        assert "new" in agent.decide_many([str(i) for i in range(50)]).action_ids or moment == "after"
        for _ in range(2):
            assert trying(agent, steps=(0.5,)).look().share == 0.0
        assert "new" not in agent.decide_many([str(i) for i in range(50)]).action_ids
        moves = [event.facts["move"] for event in agent.releases.events("rollout.moved")]
        assert moves == ["ramp", "roll_back"]
