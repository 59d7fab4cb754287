"""A short errand on a file, the same every time: each step says what it was told, or how it failed.

Run under strace, which has one call to the system fail. A step that failed is tried once more: a disk that is
well again must be enough, or the error must have said to open the file again.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from agentic import Agent, ConsentGranted
from agentic.errors import AgenticError
from torture.scene import DAY, NOON, opened

SUBJECTS = [f"customer-{number}" for number in range(8)]


def say(**told: Any) -> None:
    os.write(1, json.dumps(told).encode() + b"\n")


def steps() -> list[tuple[str, Callable[[Agent, dict[str, Any]], Any]]]:
    """Name and work of each step; the work is told what the steps before it were told."""
    context = {"x": [number / 8 for number in range(8)], "tier": ["free", "gold"] * 4}

    def decided(agent: Agent, at: Any, **more: Any) -> list[str]:
        return agent.decide_many(SUBJECTS, context, now=at, **more).ids

    return [
        ("tell", lambda agent, _: agent.tell_many(SUBJECTS[:6], ConsentGranted("marketing"))),
        ("decide", lambda agent, _: decided(agent, NOON)),
        ("record", lambda agent, told: list(map(int, agent.record_many(told["decide"][:3], "purchase")))),
        ("named", lambda agent, _: decided(agent, NOON + DAY, request_ids=list("abcdefgh"))),
        ("learn", lambda agent, _: agent.learn(now=NOON + 4 * DAY).policy_version),
        ("after", lambda agent, _: decided(agent, NOON + 4 * DAY)),
        ("again", lambda agent, _: agent.learn(now=NOON + 9 * DAY).policy_version),
    ]


def main(path: str, durability: str) -> None:
    agent: Agent | None = None
    told: dict[str, Any] = {}
    for name, work in [("open", None), *steps()]:
        for _ in range(2):
            try:
                if agent is None:
                    agent = opened(path, durability=durability)
                if work is not None:
                    told[name] = work(agent, told)
            except AgenticError as error:
                say(step=name, error=type(error).__name__, message=str(error))
                if "open the database again" in str(error) and agent is not None:
                    agent.close()
                    agent = None
            else:
                say(step=name, told=told.get(name))
                break
    try:
        if agent is not None:
            agent.close()
    except AgenticError as error:
        say(step="close", error=type(error).__name__, message=str(error))
    say(step="end")


if __name__ == "__main__":
    main(*sys.argv[1:])
