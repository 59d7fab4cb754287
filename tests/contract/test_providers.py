"""Every feature provider in the box passes the kit that strangers' providers pass."""

from datetime import UTC, datetime, timedelta

import pytest

import agentic.features
from agentic.features import Cached, CallableProvider, Chained, MappingProvider
from agentic.testing import FeatureProviderConformance

VALUES = {"ada": {"visits": 3.0, "tier": "gold"}, "bob": {"visits": 5.0, "tier": "free"}}
MORE = {"cyd": {"visits": 8.0, "tier": "gold"}}
TRUE_AT = datetime(2026, 2, 28, tzinfo=UTC)


def answered(subjects, names, now):
    known = VALUES | MORE
    return {name: [known.get(subject, {}).get(name) for subject in subjects] for name in names}


PROVIDERS = {
    "cached": lambda: Cached(MappingProvider(VALUES | MORE, at=TRUE_AT), timedelta(minutes=5)),
    "callable": lambda: CallableProvider(answered),
    "chained": lambda: Chained([MappingProvider(VALUES), MappingProvider(MORE)]),
    "mapping": lambda: MappingProvider(VALUES | MORE, at=TRUE_AT),
}


@pytest.mark.parametrize("name", sorted(PROVIDERS))
class TestProviders(FeatureProviderConformance):
    """A provider in the box keeps every promise of a feature provider, for numbers and for texts."""

    names = ("visits", "tier")

    @pytest.fixture(autouse=True)
    def _named(self, name):
        self.name = name

    def make(self):
        return PROVIDERS[self.name]()


def test_every_public_provider_is_listed():
    """A provider that the room exports and this file does not try fails here."""
    room = {name: getattr(agentic.features, name) for name in agentic.features.__all__}
    public = {part for part in room.values() if isinstance(part, type) and hasattr(part, "fetch")}
    assert {type(make()) for make in PROVIDERS.values()} == public
