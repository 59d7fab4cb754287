"""Every provenance log in the box passes the kit that strangers' logs pass."""

import itertools

import pytest

import agentic.provenance
from agentic._database import Database
from agentic.provenance import DurableLog, MemoryLog
from agentic.testing import FlakyLog, ProvenanceLogConformance

LOGS = {
    "memory": lambda path: MemoryLog(),
    "durable": lambda path: DurableLog(Database(path, durability="memory")),
    "memory_behind_a_fake_that_never_fails": lambda path: FlakyLog(MemoryLog(), fail_every=1 << 62),
}


@pytest.mark.parametrize("name", sorted(LOGS))
class TestLogs(ProvenanceLogConformance):
    """A log in the box keeps every promise of a provenance log."""

    @pytest.fixture(autouse=True)
    def _named(self, name, tmp_path):
        self.name = name
        self.paths = (tmp_path / f"{number}.db" for number in itertools.count())

    def make(self):
        return LOGS[self.name](next(self.paths))


def test_every_public_log_is_listed(tmp_path):
    """A log that the room exports and this file does not try fails here."""
    room = {name: getattr(agentic.provenance, name) for name in agentic.provenance.__all__}
    public = {part for part in room.values() if isinstance(part, type) and hasattr(part, "append")}
    made = {type(make(tmp_path / name)) for name, make in LOGS.items()}
    assert made - {FlakyLog} == public
