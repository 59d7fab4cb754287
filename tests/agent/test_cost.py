"""What a batch costs, counted: store calls, log writes, calls of plugins, objects."""

from __future__ import annotations

import gc
from collections import Counter
from typing import Any

from agentic import Decision
from agentic.arrays import Block, Columns
from agentic.policies import Uniform
from agentic.provenance import MemoryLog
from agentic.state import MemoryStore
from agents import FEATURES, NOON, agent, consenting, context, names

WAVE = 8192


class Counted:
    """Counts the calls of whatever it wraps."""

    def __init__(self, inner: Any) -> None:
        self.inner, self.calls = inner, Counter[str]()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.inner, name)
        if not callable(found):
            return found

        def call(*args: Any) -> Any:
            self.calls[name] += 1
            return found(*args)

        return call

    def load(self, *args: Any) -> Any:
        return self.__getattr__("load")(*args)

    def store(self, *args: Any) -> Any:
        return self.__getattr__("store")(*args)

    def delete(self, *args: Any) -> Any:
        return self.__getattr__("delete")(*args)

    def subjects(self) -> Any:
        return self.__getattr__("subjects")()

    def append(self, *args: Any) -> Any:
        return self.__getattr__("append")(*args)

    def read(self, *args: Any) -> Any:
        return self.__getattr__("read")(*args)

    def propose(self, *args: Any) -> Any:
        return self.__getattr__("propose")(*args)

    def fetch(self, *args: Any) -> Any:
        return self.__getattr__("fetch")(*args)


class Knows:
    """A provider that knows one feature of everybody."""

    def fetch(self, subjects: Any, names: Any, now: int) -> Columns:
        return Columns({"f0": context(len(subjects))["f0"]})


def test_a_batch_costs_one_load_and_one_store_a_wave_and_one_append() -> None:
    """A wave is 8,192 rows; providers are asked once for all of them."""
    store, log, policy = Counted(MemoryStore()), Counted(MemoryLog()), Counted(Uniform())
    provider = Counted(Knows())
    made = agent(store=store, log=log, policy=policy, providers=[provider])
    for n, waves in ((1, 1), (WAVE, 1), (WAVE + 1, 2), (3 * WAVE, 3)):
        subjects = names(n)
        columns = context(n)
        del columns["f0"]
        for counted in (store, log, policy, provider):
            counted.calls.clear()
        made.decide_many(subjects, columns, now=NOON)
        assert store.calls == {"load": waves, "store": waves}
        assert log.calls == {"append": 1}
        assert policy.calls == {"propose": waves}
        assert provider.calls == {"fetch": 1}


def test_deciding_a_batch_makes_no_object_for_a_row() -> None:
    """Objects that the collector tracks do not grow with the batch."""
    made = consenting(agent(features=FEATURES), names(6000))
    made.decide_many(names(6000), context(6000), now=NOON)
    grown = []
    decisions = sum(type(thing) is Decision for thing in gc.get_objects())
    for n in (100, 6000):
        subjects, columns = names(n), context(n)
        gc.collect()
        before = len(gc.get_objects())
        batch = made.decide_many(subjects, columns, now=NOON)
        gc.collect()
        grown.append(len(gc.get_objects()) - before)
        assert len(batch) == n
    assert sum(type(thing) is Decision for thing in gc.get_objects()) == decisions
    assert grown[1] <= grown[0] + 50


def test_a_single_decision_writes_one_block_of_one_record() -> None:
    """And nothing is read back."""
    blocks: list[Block] = []

    class Listens(MemoryLog):
        def append(self, block: Block, /) -> Any:
            blocks.append(block)
            return super().append(block)

        def read(self, after: int = 0, /) -> Any:
            raise AssertionError(after)

    made = agent(log=Listens())
    made.decide("a", {}, now=NOON)
    assert [len(block) for block in blocks] == [1]
