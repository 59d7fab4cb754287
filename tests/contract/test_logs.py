"""Every provenance log in the box passes the kit that strangers' logs pass."""

import pytest

import agentic.provenance
from agentic.provenance import DurableLog, MemoryLog
from agentic.testing import FlakyLog, ProvenanceLogConformance
from databases import new_database

LOGS = {
    "durable": lambda: DurableLog(new_database()),
    "memory": MemoryLog,
    "memory_behind_a_fake_that_never_fails": lambda: FlakyLog(MemoryLog(), fail_every=1 << 62),
}


@pytest.mark.parametrize("name", sorted(LOGS))
class TestLogs(ProvenanceLogConformance):
    """A log in the box keeps every promise of a provenance log."""

    @pytest.fixture(autouse=True)
    def _named(self, name):
        self.name = name

    def make(self):
        return LOGS[self.name]()


def test_every_public_log_is_listed():
    """A log that the room exports and this file does not try fails here."""
    room = {name: getattr(agentic.provenance, name) for name in agentic.provenance.__all__}
    public = {part for part in room.values() if isinstance(part, type) and hasattr(part, "append")}
    assert {type(make()) for make in LOGS.values()} - {FlakyLog} == public
