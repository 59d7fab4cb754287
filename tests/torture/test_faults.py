"""Calls to the system fail one after the other, or the process dies in them: what was told stands."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentic._records import read_ids
from torture import checks
from torture.errand import SUBJECTS, steps
from torture.herd import Herd
from torture.scene import AMOUNT, opened

CALLS = ("pwrite64", "pread64", "fdatasync", "fsync", "ftruncate", "unlink", "rename")
FAULTS = {
    "pwrite64": ("error=EIO", "error=ENOSPC", "signal=KILL"),
    "pread64": ("error=EIO",),
    "fdatasync": ("error=EIO", "signal=KILL"),
    "ftruncate": ("error=EIO", "signal=KILL"),
    "unlink": ("error=EIO", "signal=KILL"),
}
TYPED = {"LogError", "DatabaseError", "DatabaseFullError", "StoreError", "DamagedError"}
DECIDING = ("decide", "named", "after")


@pytest.fixture(scope="module")
def herd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Herd]:
    with Herd(tmp_path_factory.mktemp("herd") / "errors") as herd:
        yield herd


@pytest.fixture(scope="module")
def calls(tmp_path_factory: pytest.TempPathFactory, herd: Herd) -> list[tuple[str, int]]:
    """Every call that concerns the file: its name, and which of its kind it is in its thread."""
    if shutil.which("strace") is None:
        assert not os.environ.get("CI"), "strace is missing: .ci/run installs it"
        pytest.skip("strace is not installed")
    folder = tmp_path_factory.mktemp("clean") / "run"
    herd.run_traced(folder, "-e", f"trace={','.join(CALLS)}", durability="power")
    judge(folder, "nothing")
    seen: Counter[tuple[str, str]] = Counter()
    found = []
    for line in (folder / "trace").read_text().splitlines():
        called = re.match(r"(\d+) +(\w+)\(", line)
        if called:
            seen[called.groups()] += 1
            if "agent.db" in line:
                found.append((called[2], seen[called.groups()]))
    return found


def judge(folder: Path, what: str) -> int:
    """Whether what the process was told is what the file holds; how often it was told of a failure."""
    told: dict[str, Any] = {}
    failed = []
    out, err = ((folder / name).read_text() for name in ("out", "err"))
    for line in out.splitlines():
        said = json.loads(line)
        if "error" in said:
            failed.append(said["step"])
            assert said["error"] in TYPED, f"{what}: {said}"
        else:
            told[said["step"]] = said.get("told")
    assert "Traceback" not in err, f"{what}: {err}"
    killed = "KILL" in what
    if not killed:
        assert [*told] == ["open", *(name for name, _ in steps()), "end"], f"{what}: {out}"
    with opened(folder / "agent.db") as agent:
        model = checks.settled(agent, checks.model(budget=AMOUNT))
        assert agent.replay().identical, what
        times = Counter(at for _, _, at in model.decisions.values())
        assert set(times.values()) <= {len(SUBJECTS)}, f"{what}: decided in part, or twice: {times}"
        assert len(times) - sum(name in told for name in DECIDING) in ((0, 1) if killed else (0,)), what
        for name in DECIDING:
            positions = read_ids(told.get(name, []))[1].tolist()
            assert [model.decisions[at][0] for at in positions] == SUBJECTS[: len(positions)], what
        if "tell" in told:
            assert len(model.facts) == 6, what
        if "record" in told:
            assert [status for found in model.statuses.values() for status in found] == told["record"], what
        versions = {version for version, _, _ in model.versions}
        assert {told[name] for name in ("learn", "again") if name in told} <= versions, what
        again = [(one, other) for one, other in checks.learned(agent) if one != other]
        assert again == [], what
    return len(failed)


def test_a_call_that_fails_loses_nothing(
    tmp_path: Path, herd: Herd, calls: list[tuple[str, int]], time_to_spend: Any
) -> None:
    """A failing call is a typed error, nothing told is lost, and the next try works; so does dying in it."""
    jobs = [(call, fault, count) for call, count in calls for fault in FAULTS.get(call, ())]
    random.Random(1).shuffle(jobs)
    until = time.monotonic() + time_to_spend.share(0.2)
    done: Counter[str] = Counter()
    told = 0
    for call, fault, count in jobs:
        if time.monotonic() > until and not time_to_spend.is_long:
            break
        folder = tmp_path / "run"
        options = ("-e", f"trace={call}", "-e", f"inject={call}:{fault}:when={count}")
        herd.run_traced(folder, *options, durability="power")
        told += judge(folder, f"{call} {count} {fault}")
        done[f"{call} {fault}"] += 1
    print(f"{sum(done.values())} of {len(jobs)} faults: {dict(done)}; {told} were told to the application")
    assert done
