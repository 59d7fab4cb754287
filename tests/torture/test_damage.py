"""Files are cut, and bits of them flip: that is seen, or nothing has changed, or the end is missing."""

from __future__ import annotations

import logging
import random
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentic.errors import AgenticError
from torture import checks
from torture.content import NOW, content, filled
from torture.scene import AMOUNT, opened

PAGE = 16_384


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """What is wrong with a damaged file is said in errors; here it is wrong a thousand times."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


class Judge:
    """Says of a damaged copy whether the damage was seen, made no difference, or took the end away."""

    def __init__(self, folder: Path, *, killed: bool) -> None:
        self._folder = folder
        folder.mkdir()
        agent = filled(folder / "agent.db")
        if not killed:
            agent.close()
        self.files = {
            end: (folder / f"agent.db{end}").read_bytes()
            for end in ("", "-wal")
            if (folder / f"agent.db{end}").exists()
        }
        if killed:
            agent.close()
        self.verdicts: Counter[str] = Counter()
        self.judge("nothing", self.files, first=True)

    def judge(self, what: str, files: dict[str, bytes], *, first: bool = False) -> None:
        shutil.rmtree(self._folder)
        self._folder.mkdir()
        path = self._folder / "agent.db"
        for end, raw in files.items():
            (self._folder / f"agent.db{end}").write_bytes(raw)
        try:
            got = content(path)
        except AgenticError as error:
            self.verdicts[type(error).__name__] += 1
            return
        except Exception as error:
            raise AssertionError(f"{what}: {type(error).__name__} is no word of ours") from error
        if first:
            self._want = got
        if got == self._want:
            self.verdicts["no difference"] += 1
            return
        log = self._want["log"]
        wrong = sorted(name for name in got if got[name] != self._want[name])
        assert got["log"] == log[: len(got["log"])], f"{what}: other {wrong}, and nobody said so"
        for end, raw in files.items():
            (self._folder / f"agent.db{end}").write_bytes(raw)
        (self._folder / "agent.db-shm").unlink(missing_ok=True)
        with opened(path, clock=lambda: NOW) as agent:
            checks.settled(agent, checks.model(budget=AMOUNT))
            assert agent.replay().identical
        self.verdicts["the end is missing"] += 1

    def told(self) -> str:
        return f"{sum(self.verdicts.values()) - 1} damaged copies: {dict(self.verdicts)}"


def flipped(raw: bytes, place: int, bit: int) -> bytes:
    copy = bytearray(raw)
    copy[place] ^= 1 << bit
    return bytes(copy)


def places(raw: bytes, dice: random.Random) -> Iterable[int]:
    """The head of the file, then all other bytes, those that say something first."""
    head = list(range(100))
    rest = list(range(100, len(raw)))
    dice.shuffle(rest)
    rest.sort(key=lambda place: not any(raw[place - 8 : place + 9]))
    return [*dice.sample(head, len(head)), *rest]


def test_no_flipped_bit_goes_unseen(tmp_path: Path, time_to_spend: Any) -> None:
    """A bit of any byte flips: an error of ours, or exactly the content that was there."""
    judge, dice = Judge(tmp_path / "file", killed=False), random.Random(5)
    raw = judge.files[""]
    until = time.monotonic() + time_to_spend.share(0.2)
    for place in places(raw, dice):
        if time.monotonic() > until:
            break
        judge.judge(
            f"a bit of byte {place % PAGE} of page {place // PAGE + 1}",
            {"": flipped(raw, place, dice.randrange(8))},
        )
    print(judge.told())


def test_a_cut_file_is_refused(tmp_path: Path, time_to_spend: Any) -> None:
    """A file that ends too early is an error; one without a byte is a new one."""
    judge, dice = Judge(tmp_path / "file", killed=False), random.Random(6)
    raw = judge.files[""]
    until = time.monotonic() + time_to_spend.share(0.08)
    cuts = [*range(0, len(raw), PAGE), *range(100), *dice.sample(range(len(raw)), 2000)]
    for size in [cuts[0], *dice.sample(cuts[1:], len(cuts) - 1)]:
        if time.monotonic() > until:
            break
        judge.judge(f"{size} bytes left", {"": raw[:size]})
    print(judge.told())


def test_a_torn_write_ahead_log_loses_its_end_alone(tmp_path: Path, time_to_spend: Any) -> None:
    """What a kill leaves beside the file may be cut or flip: the transactions before that are whole."""
    judge, dice = Judge(tmp_path / "file", killed=True), random.Random(7)
    wal = judge.files["-wal"]
    until = time.monotonic() + time_to_spend.share(0.15)
    frames = [32 + frame * (PAGE + 24) for frame in range((len(wal) - 32) // (PAGE + 24) + 1)]
    cuts = [*frames, *(at + 24 for at in frames), *range(33), *dice.sample(range(len(wal)), 2000)]
    dice.shuffle(cuts)
    while cuts and time.monotonic() < until:
        size, place = cuts.pop(), dice.randrange(len(wal))
        judge.judge(f"{size} bytes of the wal left", judge.files | {"-wal": wal[:size]})
        judge.judge(
            f"a bit of byte {place} of the wal",
            judge.files | {"-wal": flipped(wal, place, dice.randrange(8))},
        )
    print(judge.told())
    assert judge.verdicts["the end is missing"]
