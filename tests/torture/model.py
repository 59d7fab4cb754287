"""What a log says, told again row by row in plain Python: nothing of the library but the names in a block."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from typing import Any

import numpy as np

NEVER = int(np.iinfo(np.int64).min)
FOREVER = int(np.iinfo(np.int64).max)
UNKNOWN, GRANTED, WITHDRAWN = 0, 1, 2
COUNTED, DUPLICATE, LATE, EARLY, CLOSED = 1, 2, 3, 4, 5


class Model:
    """Folds blocks in the order of the log; whatever must never be is noted in ``breaches``.

    Args:
        catalogue: Channel and price in millionths of each action, by column; which column sends nothing.
        goals: What they are worth and which end a window, by code; microseconds a window lasts.
        cap: So many sends in any so many microseconds.
        amount: Millionths that all sends may cost; ``None`` for no budget.
    """

    def __init__(
        self,
        agent: str,
        catalogue: tuple[list[str | None], list[int], int],
        goals: tuple[list[float], set[int], int],
        cap: tuple[int, int],
        amount: int | None,
    ) -> None:
        self.agent, (self.channels, self.prices, self.idle) = agent, catalogue
        (self.weights, self.terminal, self.window), (self.cap, self.per) = goals, cap
        self.amount, self.spent, self.end, self.breaches = amount, 0, 0, list[str]()
        self.closed, self.whose = 0, dict[int, tuple[int, int]]()
        self.rings: dict[str, list[int]] = defaultdict(lambda: [NEVER] * self.cap)
        self.sends: dict[str, list[int]] = defaultdict(list)
        self.consent: dict[str, dict[str | None, int]] = defaultdict(lambda: defaultdict(int))
        self.until: dict[str, int] = defaultdict(lambda: NEVER)
        self.surrogate: dict[str, tuple[int, int]] = {}
        self.decided: Counter[str] = Counter()
        self.windows: dict[tuple[int, int], int] = {}  # open ones: since when
        self.final: set[tuple[int, int]] = set()
        self.heard: dict[tuple[int, int], list[tuple[int, int, float]]] = defaultdict(list)
        self.events: dict[int, set[int]] = defaultdict(set)
        self.statuses: dict[tuple[int, int, int, int], list[int]] = defaultdict(list)
        self.requests: dict[tuple[str, str], int] = {}
        self.decisions: dict[int, tuple[str, int, int]] = {}  # subject, action, when
        self.facts: dict[tuple[str, str, int], list[int]] = defaultdict(list)
        self.versions: list[tuple[str, str, int]] = []

    def hear(self, first: int, kind: str, meta: dict[str, Any], columns: dict[str, list[Any]]) -> None:
        self.must(first == self.end, f"records {self.end} to {first - 1} are missing")
        self.end = first + len(next(iter(columns.values())))
        if self.closed and (kind, meta.get("at")) != ("reward", self.closed):  # no more of that block follows
            over = (
                at
                for where, at in self.windows.items()
                if where in self.final or at + self.window <= self.closed
            )
            self.must(not list(over), f"rewards were final and not handed out before {first}")
        self.closed = meta["at"] if kind == "reward" else 0
        if meta.get("agent") == self.agent and hasattr(self, kind):
            for position, row in enumerate(zip(*columns.values(), strict=True), first):
                getattr(self, kind)(position, meta, dict(zip(columns, row, strict=True)))

    def must(self, holds: bool, what: str) -> None:
        if not holds:
            self.breaches.append(what)

    def decision(self, position: int, meta: dict[str, Any], row: dict[str, Any]) -> None:
        subject, at = row["subject"], row["at"]
        self.whose[position] = tuple(row["surrogate"])
        if subject:
            self.identify(position, row)
        for action, channel in enumerate(self.channels) if subject else ():
            bits = row["denied"][action] >> 6  # six reasons of the agent's own come first
            for place, denies in enumerate(self.denies(subject, action, channel, at, len(row["action"]))):
                struck = (bits >> (2 * place)) & 3 != 0
                self.must(struck == denies, f"rule {place}, not {denies} about {action} at {position}")
        if row.get("request"):
            known = (subject, row["request"]) in self.requests
            self.must(not known, f"the request at {position} was answered before")
            self.requests[subject, row["request"]] = position
        for slot, action in enumerate(row["action"]):
            self.windows[position, slot] = at
            if action != self.idle:
                self.must(row["denied"][action] == 0, f"what was denied was sent at {position}")
                self.rings[subject] = sorted([*self.rings[subject][1:], at])
                self.sends[subject].append(at)
                self.spent += self.prices[action]
                near = [other for other in self.sends[subject] if abs(other - at) < self.per]
                for start in near:
                    many = sum(start <= other < start + self.per for other in near)
                    self.must(many <= self.cap, f"{many} sends in a window at {position}")
        self.must(self.amount is None or self.spent <= self.amount, f"overspent at {position}")
        self.decided[subject] += 1
        self.decisions[position] = subject, row["action"][0], at

    def denies(self, subject: str, action: int, channel: str | None, at: int, slots: int) -> list[bool]:
        if action == self.idle:
            return [False] * 3
        own = self.consent[subject][channel] or self.consent[subject][None]
        need = min(slots, len(self.channels) - 1)
        full = need > self.cap or self.rings[subject][need - 1] > at - self.per
        return [own != GRANTED, at < self.until[subject], full]

    def identify(self, position: int, row: dict[str, Any]) -> None:
        mine = tuple(row["surrogate"])
        self.must(self.surrogate.setdefault(row["subject"], mine) == mine, f"another surrogate at {position}")

    def fact(self, position: int, meta: dict[str, Any], row: dict[str, Any]) -> None:
        subject, fact = row["subject"], json.loads(row["fact"] or "{}")
        if not fact:  # erased
            return
        self.identify(position, row)
        self.facts[subject, fact["kind"], row["at"]].append(position)
        if fact["kind"] in ("consent_granted", "consent_withdrawn"):
            if "channel" not in fact:
                self.consent[subject].clear()
            state = GRANTED if fact["kind"] == "consent_granted" else WITHDRAWN
            self.consent[subject][fact.get("channel")] = state
        elif fact["kind"] == "suppressed":
            self.until[subject] = max(self.until[subject], fact.get("until", FOREVER))
        elif fact["kind"] == "released":
            self.until[subject] = NEVER

    def erasure(self, position: int, meta: dict[str, Any], row: dict[str, Any]) -> None:
        if row["state"] != 1:
            return
        for name in [name for name, known in self.surrogate.items() if known == tuple(row["surrogate"])]:
            self.requests = {asked: at for asked, at in self.requests.items() if asked[0] != name}
            for held in (self.rings, self.sends, self.consent, self.until, self.surrogate, self.decided):
                held.pop(name, None)  # a stranger from now on
        for where in [where for where in self.windows if self.whose[where[0]] == tuple(row["surrogate"])]:
            del self.windows[where]

    def outcome(self, position: int, meta: dict[str, Any], row: dict[str, Any]) -> None:
        where, at, goal, event = (row["decision"], row["slot"]), row["at"], row["goal"], row["event"]
        status, start = CLOSED, self.windows.get(where)
        if start is not None and where not in self.final:
            seen = event in self.events[row["decision"]]
            status = (
                DUPLICATE if seen else EARLY if at < start else LATE if at >= start + self.window else COUNTED
            )
        if status == COUNTED:
            self.events[row["decision"]].add(event)
            self.heard[where].append((at, event, self.weights[goal] * row["value"]))
            if goal in self.terminal:
                self.final.add(where)
        self.statuses[(*where, goal, at)].append(status)

    def reward(self, position: int, meta: dict[str, Any], row: dict[str, Any]) -> None:
        where = row["decision"], row["slot"]
        start = self.windows.pop(where, None)
        self.must(start is not None, f"a reward at {position} whose window is not open")
        over = where in self.final or (start or NEVER) + self.window <= meta["at"]
        worth = sum(told[2] for told in sorted(self.heard.pop(where, [])))
        self.must(over, f"a reward at {position} before its window was over")
        same = abs(worth - row["reward"]) < 1e-9 or not self.decisions[where[0]][0]  # erased since
        self.must(same, f"a reward of {row['reward']}, not {worth}, at {position}")

    def policy(self, position: int, meta: dict[str, Any], row: dict[str, Any]) -> None:
        self.versions.append((meta["policy"], meta["cause"], row["learned"]))
