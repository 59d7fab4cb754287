"""A process that works on the file until it is killed, and writes down what it asks and what it is told.

Run as a script it forks such processes on request, so that a new one is there at once: a line of JSON on its
input for each, the number of the process on its output.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from agentic import Agent, ConsentGranted
from agentic.privacy import kind_of
from agentic.types import ConsentWithdrawn, Released, Suppressed, micros
from torture import errand
from torture.scene import NOON, opened

SUBJECTS = [f"customer-{i}" for i in range(60)]
_SET_PTRACER = 0x59616D61  # prctl(2)
NS_PER_DAY = 400_000_000
"""A day passes in 0.4 s, so that caps, windows and suppressions end while processes live."""


class Diary:
    """What a process asked and was told: one line each, in the kernel's hands before it goes on."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)

    def write(self, **said: Any) -> None:
        os.write(self._file, json.dumps({"t": time.monotonic_ns(), **said}).encode() + b"\n")


class Worker:
    """Decides, records, tells and learns at random, from several threads."""

    def __init__(
        self,
        *,
        path: str,
        diary: str,
        uid: str,
        start_ns: int,
        budget: float,
        again: Sequence[Any] = (),
        threads: int = 3,
    ) -> None:
        self._start, self._uid, self._again, self._threads = start_ns, uid, again, threads
        self._diary = Diary(diary)
        self._count = itertools.count()
        self._agent: Agent = opened(path, clock=self.now, budget=budget)
        self._ids: list[str] = []

    def now(self) -> datetime:
        return self.at(self._start)

    @staticmethod
    def at(start_ns: int) -> datetime:
        """The time by a clock that all processes share."""
        day = (time.monotonic_ns() - start_ns) / NS_PER_DAY
        return NOON + timedelta(microseconds=round(day * 86_400e6))

    def run(self) -> None:
        for subject, request in self._again:  # the client of one that was killed asks again
            self._decide(random.Random(0), [subject], [request])
        if not self._threads:  # one that came, decided once, and waits
            self._decide(random.Random(0), SUBJECTS[:1], None)
            signal.pause()
        threads = [threading.Thread(target=self._work, args=(number,)) for number in range(self._threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _work(self, number: int) -> None:
        dice = random.Random(f"{self._uid}/{number}")
        while True:
            what = dice.random()
            if what < 0.35:
                subject = dice.choice(SUBJECTS)
                self._decide(dice, [subject], [self._name()])
            elif what < 0.55:
                self._decide(dice, dice.choices(SUBJECTS, k=dice.randint(2, 40)), None)
            elif what < 0.75:
                self._record(dice)
            elif what < 0.95 or number:
                self._tell(dice)
            else:
                self._learn()

    def _name(self) -> str:
        return f"{self._uid}-{next(self._count)}"

    def _decide(self, dice: random.Random, subjects: list[str], requests: list[str] | None) -> None:
        u = self._name()
        self._diary.write(u=u, ask="decide", subjects=subjects, requests=requests)
        context = {
            "x": [dice.random() for _ in subjects],
            "tier": [dice.choice(["free", "gold"]) for _ in subjects],
        }
        batch = self._agent.decide_many(subjects, context, request_ids=requests)
        self._diary.write(
            u=u,
            told=batch.ids,
            actions=batch.action[:, 0].tolist(),
            probability=batch.probability[:, 0].tolist(),
            version=batch.metas[0]["policy"],
        )
        self._ids = [*self._ids[-400:], *batch.ids]

    def _record(self, dice: random.Random) -> None:
        if not self._ids:
            return
        u = self._name()
        goal = dice.choices(["purchase", "visit", "unsubscribe"], [5, 5, 1])[0]
        known = self._ids
        ids = [dice.choice(known) for _ in range(dice.randint(1, 5))]
        at = [self.now() - timedelta(hours=dice.randint(0, 100)) for _ in ids]
        whens = [micros(one) for one in at]
        self._diary.write(u=u, ask="record", ids=ids, at=whens, goal=goal)
        told = self._agent.record_many(ids, goal, at=at, event_ids=[f"{u}/{i % 4}" for i in range(len(ids))])
        self._diary.write(u=u, told=[int(one) for one in told])

    def _tell(self, dice: random.Random) -> None:
        u, at = self._name(), self.now()
        facts = [
            ConsentGranted("marketing"),
            ConsentGranted("marketing", dice.choice(["sms", "push", "email"])),
            ConsentWithdrawn("marketing", dice.choice([None, "sms"])),
            Suppressed(at + timedelta(hours=dice.randint(1, 40))),
            Released(),
        ]
        fact = dice.choices(facts, [20, 8, 2, 2, 4])[0]
        subjects = dice.sample(SUBJECTS, dice.randint(1, 6))
        self._diary.write(u=u, ask="tell", subjects=subjects, at=micros(at), fact=kind_of(fact))
        self._agent.tell_many(subjects, fact, now=at)
        self._diary.write(u=u, told=True)

    def _learn(self) -> None:
        u = self._name()
        self._diary.write(u=u, ask="learn")
        told = self._agent.learn()
        self._diary.write(u=u, told=told.policy_version, changed=told.changed, closed=told.closed)


def work(told: dict[str, Any]) -> None:
    """Be a worker, until killed; an error ends it with a word in the diary."""
    try:
        Worker(**told).run()
    except BaseException as error:
        Diary(told["diary"]).write(error=f"{type(error).__name__}: {error}")
        raise
    finally:
        os._exit(3)


def run_errand(told: dict[str, Any]) -> None:
    """Do a short errand once a tracer has come; two files take what it says and what goes wrong."""
    for name, number in (("out", 1), ("err", 2)):
        os.dup2(os.open(told[name], os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), number)
    anybody = ctypes.c_ulong(-1)
    ctypes.CDLL(None).prctl(_SET_PTRACER, anybody, 0, 0, 0)
    os.kill(os.getpid(), signal.SIGSTOP)
    try:
        errand.main(told["path"], told["durability"])
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        os._exit(0)


def main() -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the dead
    for line in sys.stdin:
        child = os.fork()
        if not child:
            told = json.loads(line)
            (run_errand if "out" in told else work)(told)
        print(child, flush=True)


if __name__ == "__main__":
    main()
