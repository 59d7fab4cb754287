"""Every state store in the box passes the kit that strangers' stores pass."""

import pytest

import agentic.state
from agentic.state import DurableStore, MemoryStore
from agentic.testing import FlakyStore, StateStoreConformance
from databases import new_database

STORES = {
    "durable": lambda: DurableStore(new_database()),
    "memory": MemoryStore,
    "memory_behind_a_fake_that_never_fails": lambda: FlakyStore(MemoryStore(), fail_every=1 << 62),
}


@pytest.mark.parametrize("name", sorted(STORES))
class TestStores(StateStoreConformance):
    """A store in the box keeps every promise of a state store."""

    @pytest.fixture(autouse=True)
    def _named(self, name):
        self.name = name

    def make(self):
        return STORES[self.name]()


def test_every_public_store_is_listed():
    """A store that the room exports and this file does not try fails here."""
    room = {name: getattr(agentic.state, name) for name in agentic.state.__all__}
    public = {part for part in room.values() if isinstance(part, type) and hasattr(part, "store")}
    assert {type(make()) for make in STORES.values()} - {FlakyStore} == public
