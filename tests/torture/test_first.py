"""Processes start at the same moment on a file that does not exist yet."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from agentic._database import Database
from torture import checks
from torture.herd import Herd
from torture.scene import AMOUNT, opened
from torture.worker import Worker


def test_connections_that_open_at_once_take_nobody_for_a_stranger(tmp_path: Path) -> None:
    """A file that is being made is not mistaken for another program's."""
    failed: list[BaseException] = []

    def go(path: Path, gate: threading.Barrier) -> None:
        gate.wait()
        try:
            Database(path, durability="memory").close()
        except Exception as error:  # noqa: BLE001 - shown below
            failed.append(error)

    for number in range(40):
        gate = threading.Barrier(6)
        threads = [threading.Thread(target=go, args=(tmp_path / f"{number}.db", gate)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert failed == []


def test_processes_that_start_at_once_share_one_file(tmp_path: Path, time_to_spend: Any) -> None:
    """Whoever comes first makes the tables; nobody takes a half-made file for a stranger's."""
    until, files = time.monotonic() + time_to_spend.share(0.06), 0
    with Herd(tmp_path / "errors") as herd:
        while time.monotonic() < until:
            path, diary, start = tmp_path / f"{files}.db", tmp_path / f"{files}", time.monotonic_ns()
            told = {"path": str(path), "diary": str(diary), "start_ns": start, "budget": AMOUNT}
            pids = [herd.start(**told, uid=f"p{number}", threads=0) for number in range(6)]
            with opened(path, clock=lambda start=start: Worker.at(start)) as agent:  # at the same moment, too
                agent.decide("customer-1")
                while diary.read_bytes().count(b"told") + diary.read_bytes().count(b"error") < len(pids):
                    herd.wait(pids[0], 0.005)
                assert b"error" not in diary.read_bytes(), diary.read_text()
                checks.settled(agent, checks.model(budget=AMOUNT))
                assert sum(block.kind == "decision" for _, block in agent.log.read()) >= 1
                assert agent.store.load(["customer-0"], agent.plan.layout).rows["agentic.decisions"] == len(
                    pids
                )
            for pid in pids:
                assert herd.kill(pid)
            files += 1
    print(f"{files} files made by seven processes at once")
    assert files
