"""Processes are killed while they decide, record and learn on one file: what they were told stands."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from agentic._records import read_ids
from torture import checks
from torture.herd import Herd
from torture.model import Model
from torture.scene import LEASE, opened
from torture.worker import Worker

BUDGET = 400.0


class Reader:
    """The diaries of all processes, and whether the log says the same."""

    def __init__(self) -> None:
        self.asked: dict[str, Any] = {}
        self.told: dict[str, Any] = {}
        self.errors: list[str] = []
        self.counted: Counter[str] = Counter()
        self._places: dict[Path, int] = {}
        self._order: list[tuple[int, int, int, int]] = []  # asked, told, first and last position

    def read(self, diary: Path) -> list[Any]:
        """Take in what is new; what was asked by request and never answered."""
        text = diary.read_bytes() if diary.exists() else b""
        lines = text[self._places.get(diary, 0) :].splitlines(keepends=True)
        mine: dict[str, Any] = {}
        for line in lines:
            if not line.endswith(b"\n"):
                break
            self._places[diary] = self._places.get(diary, 0) + len(line)
            said = json.loads(line)
            if "error" in said:
                self.errors.append(said["error"])
            elif "ask" in said:
                self.asked[said["u"]] = mine[said["u"]] = said
            else:
                self.told[said["u"]] = said
                mine.pop(said["u"])
        return [(said["subjects"][0], said["requests"][0]) for said in mine.values() if said.get("requests")]

    def compare(self, model: Model, since: set[str]) -> None:
        """Everything that was acknowledged is in the log as it was told."""
        versions = {version for version, _, _ in model.versions}
        for u in since:
            asked, told = self.asked[u], self.told[u]
            self.counted[asked["ask"]] += 1
            if asked["ask"] == "decide":
                positions = read_ids(told["told"])[1].tolist()
                rows = [model.decisions.get(at) for at in positions]
                assert [row and row[:2] for row in rows] == [
                    (subject, action)
                    for subject, action in zip(asked["subjects"], told["actions"], strict=True)
                ], f"{u} was told other decisions than the log has"
                assert told["version"] in versions
                if asked["requests"] is None:  # else it may be an earlier answer
                    self._order.append((asked["t"], told["t"], min(positions), max(positions)))
                self.counted["decisions"] += len(positions)
            elif asked["ask"] == "record":
                positions = read_ids(asked["ids"])[1].tolist()
                goal = ["exposed", "purchase", "unsubscribe", "visit"].index(asked["goal"])
                for position, at, status in zip(positions, asked["at"], told["told"], strict=True):
                    assert status in model.statuses[position, 0, goal, at], (
                        f"{u}: {status} is not what the log says"
                    )
                self.counted["outcomes"] += len(positions)
            elif asked["ask"] == "tell":
                for subject in asked["subjects"]:
                    places = model.facts[subject, asked["fact"], asked["at"]]
                    assert len(places) == 1, f"{u} told {subject} a fact that the log has {len(places)} times"
                    self._order.append((asked["t"], told["t"], places[0], places[0]))
                self.counted["facts"] += len(asked["subjects"])
            else:
                assert told["told"] in versions, f"{u} learned a version that nobody knows"

    def in_order(self) -> bool:
        """Whether what was told before something else was asked stands before it in the log."""
        ends = sorted((told, last) for _, told, _, last in self._order)
        done, latest = 0, -1
        for asked, _, first, _ in sorted(self._order):
            while done < len(ends) and ends[done][0] < asked:
                latest = max(latest, ends[done][1])
                done += 1
            if first <= latest:
                return False
        return True


def test_killed_processes_lose_and_double_nothing(tmp_path: Path, time_to_spend: Any) -> None:
    """Nothing acknowledged is lost or doubled, no rule broken, and the state is what the log says."""
    path, dice = tmp_path / "agent.db", random.Random(4)
    reader, model, kills = Reader(), checks.model(budget=BUDGET), 0
    start, until = time.monotonic_ns(), time.monotonic() + time_to_spend.share(0.3)
    again: list[Any] = []
    with Herd(tmp_path / "errors") as herd:
        living: dict[int, Path] = {}
        number = 0
        while time.monotonic() < until:
            while len(living) < 3:
                number += 1
                diary = tmp_path / f"diary-{number}"
                told = {"path": str(path), "diary": str(diary), "uid": f"p{number}", "start_ns": start}
                living[herd.start(**told, again=again, budget=BUDGET)] = diary
                again = []
            victims = dice.sample(sorted(living), dice.choice([1, 1, 1, 2, 3]))
            ended = herd.wait(victims[0], dice.expovariate(4))
            for pid in victims:
                kills += herd.kill(pid)
            assert not ended, (tmp_path / "errors").read_text()[-4000:]
            known = set(reader.told)
            for pid in victims:
                again += reader.read(living.pop(pid))
            assert reader.errors == []
            with opened(path, clock=lambda: Worker.at(start), budget=BUDGET) as agent:
                checks.settled(agent, model)
                reader.compare(model, set(reader.told) - known)
    for diary in living.values():
        reader.read(diary)
    kills += len(living)
    with opened(path, clock=lambda: Worker.at(start), budget=BUDGET) as agent:
        whole = checks.tell(checks.model(budget=BUDGET), agent.log)
        checks.check(agent, whole)
        reader.counted.clear()
        reader.compare(whole, set(reader.told))
        assert reader.in_order()
        replayed = agent.replay()
        assert replayed.identical
        assert replayed.decisions == len(whole.decisions)
        lost = BUDGET - agent.budgets["budget"] - whole.spent / 1e6
        assert lost <= 2 * LEASE * (number + kills), (
            "more was lost of the budget than what the killed had leased"
        )
        steps = list(checks.learned(agent))
        assert [one for one, _ in steps] == [other for _, other in steps]
    print(f"{kills} kills; acknowledged: {dict(reader.counted)}; in the log: {whole.end} records, ", end="")
    sends = sum(map(len, whole.sends.values()))
    print(f"{sends} sends, {len(steps)} lessons, {lost:.2f} of {BUDGET} lost with leases")
    if not kills:
        pytest.fail("nothing was killed")
