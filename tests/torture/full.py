"""An agent works on a small disk until it is full, again and again, and says how that went.

Run as ``python -m torture.full FOLDER DURABILITY``, on a file system of a few megabytes.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from agentic import Agent, ConsentGranted
from agentic.errors import AgenticError, DatabaseError, DatabaseFullError, LogError
from torture import checks
from torture.scene import DAY, NOON, in_memory, opened

ROOM = 1 << 20
SUBJECTS = [f"customer-{number}" for number in range(200)]


class Work:
    """Calls made to an agent on the disk, and to its twin in memory once they were acknowledged."""

    def __init__(self, folder: Path, durability: str) -> None:
        self.now = NOON
        self.path = folder / "agent.db"
        self.durability = durability
        self.agent = self.open()
        self.twin = in_memory(clock=self.clock, budget=None)
        self.failed: Counter[str] = Counter()
        self.pairs: list[tuple[str, str]] = []

    def clock(self) -> datetime:
        return self.now

    def open(self) -> Agent:
        return opened(self.path, clock=self.clock, budget=None, durability=self.durability)

    def call(self, what: str, call: Callable[[Agent], Any]) -> tuple[Any, Any] | None:
        try:
            answer = call(self.agent)
        except AgenticError as error:
            if not isinstance(error, LogError) or not isinstance(error.__cause__, DatabaseError):
                raise
            full = isinstance(error.__cause__, DatabaseFullError)
            self.failed[f"{what}: {'full' if full else type(error.__cause__).__name__}"] += 1
            return None
        return answer, call(self.twin)

    def decide(self) -> bool:
        answers = self.call("decide", lambda agent: agent.decide_many(SUBJECTS, {"x": [0.5] * len(SUBJECTS)}))
        if answers is not None:
            mine, other = answers
            assert mine.action.tolist() == other.action.tolist()
            assert mine.probability.tolist() == other.probability.tolist()
            self.pairs = list(zip(mine.ids, other.ids, strict=True))
        return answers is not None

    def fill(self) -> None:
        while self.decide():
            self.now += DAY / 4
            self.call("record", functools.partial(self.record, self.pairs[::7]))
        assert not self.decide()

    def record(self, pairs: list[tuple[str, str]], agent: Agent) -> Any:
        return agent.record_many([pair[agent is self.twin] for pair in pairs], "purchase")

    def learn(self) -> bool:
        answers = self.call("learn", lambda agent: agent.learn())
        if answers is not None:
            assert answers[0].policy_version == answers[1].policy_version
        return answers is not None

    def check(self) -> None:
        """What was acknowledged is what the log holds, and the agent knows, here and after a restart."""
        told = checks.settled(self.agent, checks.model())
        assert self.agent.policy_version == self.twin.policy_version
        assert len(told.decisions) == sum(len(b) for _, b in self.twin.log.read() if b.kind == "decision")
        assert self.agent.replay().identical


def main(folder: Path, durability: str) -> None:
    ballast = [folder / f"ballast-{number}" for number in range(3)]
    for each in ballast:
        each.write_bytes(bytes(ROOM))
    work = Work(folder, durability)
    work.call("tell", lambda agent: agent.tell_many(SUBJECTS, ConsentGranted("marketing")))
    for each in ballast:
        database: Any = work.agent.store.database  # type: ignore[attr-defined]
        work.fill()
        work.now += 4 * DAY
        work.learn()  # while the disk is full
        work.call("tell", lambda agent: agent.tell_many(SUBJECTS, ConsentGranted("marketing", "sms")))
        for _ in range(3):
            assert not work.decide()
        while database._since is not None and database._poison is None:
            time.sleep(0.01)  # what waits for the disk in the background sees that it is full, too
        each.unlink()
        assert work.decide(), "there is room again"
        assert work.learn(), "there is room again"
        work.check()
        work.agent.close()
        work.agent = work.open()
        work.check()
    work.agent.close()
    stuff(folder)
    for name in ("agent.db", "new.db"):
        try:
            opened(folder / name).close()
        except DatabaseError:
            work.failed["open"] += 1
    (folder / "stuff").unlink()
    (folder / "new.db").unlink()
    work.agent = work.open()
    work.check()
    print(json.dumps(work.failed))


def stuff(folder: Path) -> None:
    """Leave not a byte of room."""
    with (folder / "stuff").open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
