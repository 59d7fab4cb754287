"""Processes to kill: started at once, killed for certain."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

TESTS = Path(__file__).parents[1]


def environment() -> dict[str, str]:
    """What a Python of ours needs to find the library and these tests."""
    import agentic

    paths = [str(Path(agentic.__file__).parents[1]), str(TESTS)]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}


class Herd:
    """Forks workers from a process that has imported everything."""

    def __init__(self, errors: Path) -> None:
        self._errors = errors.open("wb")
        self._mother = subprocess.Popen(
            [sys.executable, "-m", "torture.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=environment(),
        )
        self._handles: dict[int, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        for pid in list(self._handles):
            self.kill(pid)
        assert self._mother.stdin
        assert self._mother.stdout
        self._mother.stdin.close()
        self._mother.stdout.close()
        self._mother.wait()
        self._errors.close()

    def start(self, **told: Any) -> int:
        assert self._mother.stdin
        assert self._mother.stdout
        self._mother.stdin.write(json.dumps(told).encode() + b"\n")
        self._mother.stdin.flush()
        pid = int(self._mother.stdout.readline())
        self._handles[pid] = os.pidfd_open(pid)
        return pid

    def run_traced(self, folder: Path, *options: str, durability: str) -> None:
        """Have an errand done under strace; ``out``, ``err`` and ``trace`` are in the folder afterwards."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        told = {name: str(folder / name) for name in ("out", "err")}
        pid = self.start(path=str(folder / "agent.db"), durability=durability, **told)
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            self.wait(pid, 0.001)
        tracer = subprocess.Popen(
            ["strace", "-f", "-y", "-o", str(folder / "trace"), *options, "-p", str(pid)],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert tracer.stderr
        assert "attached" in tracer.stderr.readline()
        signal.pidfd_send_signal(self._handles[pid], signal.SIGCONT)
        ended = self.wait(pid, 120)
        self.kill(pid)
        tracer.stderr.close()
        tracer.wait()
        assert ended, (folder / "out").read_text()

    def wait(self, pid: int, seconds: float) -> bool:
        """Wait for its end so long; whether it came."""
        ready, _, _ = select.select([self._handles[pid]], [], [], seconds)
        return bool(ready)

    def kill(self, pid: int) -> bool:
        """Kill it and see it dead; whether it was alive until then."""
        alive = not self.wait(pid, 0)
        handle = self._handles[pid]
        if alive:
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            self.wait(pid, 60)
        os.close(self._handles.pop(pid))
        return alive
