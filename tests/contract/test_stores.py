"""Every state store in the box passes the kit that strangers' stores pass."""

import itertools

import pytest

import agentic.state
from agentic._database import Database
from agentic.state import DurableStore, MemoryStore
from agentic.testing import FlakyStore, StateStoreConformance

NUMBERS = itertools.count()


def durable(folder):
    """A store in a file of its own."""
    return DurableStore(Database(folder / f"{next(NUMBERS)}.db", durability="process"))


STORES = {
    "durable": durable,
    "memory": lambda _: MemoryStore(),
    "memory_behind_a_fake_that_never_fails": lambda _: FlakyStore(MemoryStore(), fail_every=1 << 62),
}


@pytest.mark.parametrize("name", sorted(STORES))
class TestStores(StateStoreConformance):
    """A store in the box keeps every promise of a state store."""

    @pytest.fixture(autouse=True)
    def _named(self, name, tmp_path):
        self.name, self.folder = name, tmp_path

    def make(self):
        return STORES[self.name](self.folder)


def test_every_public_store_is_listed(tmp_path):
    """A store that the room exports and this file does not try fails here."""
    room = {name: getattr(agentic.state, name) for name in agentic.state.__all__}
    public = {part for part in room.values() if isinstance(part, type) and hasattr(part, "store")}
    assert {type(make(tmp_path)) for make in STORES.values()} - {FlakyStore} == public
