"""The disk is full, or no file may grow: nothing is half-written, and all goes on when there is room."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from torture.herd import environment

SIZE_MB = 5


def _mounts() -> bool:
    tried = subprocess.run(
        ["unshare", "-Urm", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False
    )
    return tried.returncode == 0


@pytest.mark.skipif(not _mounts(), reason="this machine lets nobody mount a small disk")
@pytest.mark.parametrize("durability", ["process", "bounded", "power"])
def test_a_full_disk_stops_decisions_until_there_is_room(durability: str, tmp_path: Path) -> None:
    """Decisions, facts and lessons that find no room are refused, whole; the next that finds some stands."""
    script = (
        f"mount -t tmpfs -o size={SIZE_MB}m none {tmp_path} &&"
        f" exec {sys.executable} -m torture.full {tmp_path} {durability}"
    )
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", script],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    failed = json.loads(done.stdout)
    print(failed)
    assert failed["decide: full"] >= 12
    assert any(name.startswith("learn") for name in failed)
    assert failed["open"]


def test_a_file_that_may_not_grow_stops_decisions_until_it_may(tmp_path: Path) -> None:
    """A limit on the size of files is told as the system's failure; what was acknowledged stands."""
    from agentic import ConsentGranted
    from torture.full import SUBJECTS, Work

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    work = Work(tmp_path, "process")
    work.call("tell", lambda agent: agent.tell_many(SUBJECTS, ConsentGranted("marketing")))
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, hard))
        work.fill()
        assert not work.learn() or work.failed
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert work.decide()
    assert work.learn()
    work.check()
    work.agent.close()
    work.agent = work.open()
    work.check()
    print(dict(work.failed))
