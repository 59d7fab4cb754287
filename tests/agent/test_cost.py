"""What a decision costs, counted: store calls, log writes, calls of plugins, calls at all, objects, bytes.

A clock would say how busy the machine is. These say how much there is to do, and that it does not grow where
it must not. Ceilings stand in one table, a tenth above what was counted when they were set, because other
versions of Python and numpy count a little differently: lower them when a path becomes cheaper.
``pytest -rP tests/agent/test_cost.py`` shows what is counted now.
"""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections import Counter
from collections.abc import Callable
from types import FrameType
from typing import Any, Self

import numpy as np
import pytest

from agentic import Agent, Decision
from agentic.arrays import Batch, Block, Chosen, Columns, Field, Review
from agentic.policies import LinearThompson, SquareCB, Uniform
from agentic.protocols import Policy
from agentic.provenance import MemoryLog
from agentic.rewards import Goals
from agentic.state import MemoryStore
from agents import DAY, FEATURES, NOON, agent, consenting, context, names, one, rows, teach

WAVE = 8192
CEILINGS: dict[str, float] = {
    # One decision for a subject who is known: 7 features, 7 actions, 5 guardrails, a ledger, a log in memory.
    "Uniform: Python calls of decide": 350,  # 300
    "SquareCB: Python calls of decide": 350,  # 300
    "LinearThompson: Python calls of decide": 370,  # 312
    "Uniform: C calls of decide": 323,  # 293
    "SquareCB: C calls of decide": 329,  # 299
    "LinearThompson: C calls of decide": 347,  # 315
    "calls of the subjects' index in decide": 9,  # 8
    "mixes of decide": 1,
    # A wave: 8,000 rows are one, and take the calls of 1,000 but for arithmetic in blocks.
    "Uniform: calls of a wave of 1,000": 1017,  # 924
    "SquareCB: calls of a wave of 1,000": 1015,  # 922
    "LinearThompson: calls of a wave of 1,000": 1084,  # 985
    "Uniform: calls that 7,000 more rows add": 0,
    "SquareCB: calls that 7,000 more rows add": 0,
    "LinearThompson: calls that 7,000 more rows add": 448,  # 407: blocks of arithmetic
    "calls of the subjects' index that 7,000 more rows add": 100,  # 8 to 40, as texts hash
    "mixes of a wave": 1,
    # Objects and bytes.
    "blocks a batch leaves": 113,  # 102
    "blocks that 7,000 more rows leave": 15,  # 6
    "bytes kept beyond the record, a row": 79,  # 71
    "Uniform: bytes at the worst moment, a row": 588,  # 534
    "SquareCB: bytes at the worst moment, a row": 686,  # 623
    "LinearThompson: bytes at the worst moment, a row": 867,  # 788
    # Outcomes and rewards.
    "calls of record": 497,  # 409
    "log calls of record": 2,
    "calls of learn for one reward": 1181,  # 1073
    "log calls of learn": 2,
    "calls that 3,000 more rewards add": 0,  # -38
}


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


def test_a_guardrail_is_asked_and_settles_once_a_wave() -> None:
    """Whatever the rows; the pool of a budget is taken from and given back to once a wave."""

    class Watch:
        name = "watch"
        fields = (Field("seen", np.int32),)

        def __init__(self) -> None:
            self.calls = Counter[str]()

        def review(self, batch: Batch, /) -> Review:
            self.calls["review"] += 1
            return Review(np.ones((1, 1), dtype=np.bool_), "WATCH")

        def settle(self, batch: Batch, chosen: Chosen, /) -> None:
            self.calls["settle"] += 1

    watch = Watch()
    made = agent(guardrails=[watch], policy=Uniform())
    for n, waves in ((1, 1), (WAVE, 1), (2 * WAVE + 1, 3)):
        watch.calls.clear()
        made.decide_many(names(n), context(n), now=NOON)
        assert watch.calls == {"review": waves, "settle": waves}
    assert not made.failures


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


class Work:
    """Counts calls while it is entered: of Python functions, of C functions, of these by name.

    What the store's index of subjects calls is kept apart, as ``seeking``: how many subjects find their place
    in its table taken depends on how texts hash, which is another way in each process.
    """

    def __init__(self) -> None:
        self.python, self.c, self.seeking, self._deep = 0, 0, 0, 0
        self.named = Counter[str]()

    def __enter__(self) -> Self:
        gc.collect()
        gc.disable()  # a collection calls back, and whether one happens here is chance
        self.before = sys.getprofile()
        sys.setprofile(self._see)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self.before)
        gc.enable()
        self.c -= 1  # the call that ended the counting

    def _see(self, frame: FrameType, event: str, arg: Any) -> None:
        if event == "call":
            self._deep += bool(self._deep) or frame.f_code.co_filename.endswith("_index.py")
            self._count(frame.f_code.co_name, c=False)
        elif event == "c_call":
            self._count(arg.__name__, c=True)
        elif event == "return" and self._deep:
            self._deep -= 1

    def _count(self, name: str, *, c: bool) -> None:
        if self._deep:
            self.seeking += 1
            return
        self.python, self.c = self.python + (not c), self.c + c
        self.named[name] += 1

    @property
    def calls(self) -> int:
        return self.python + self.c

    @property
    def digests(self) -> int:
        """Texts and bytes that were hashed."""
        return self.named["digest"] + self.named["hexdigest"]

    @property
    def mixes(self) -> int:
        """Words, or whole columns of words, that went through the mixer."""
        return self.named["mix"] + self.named["_mix_one"]

    def told(self) -> str:
        most = ", ".join(f"{name} {count}" for name, count in self.named.most_common(25))
        return f"{self.python} Python calls, {self.c} C calls, {self.seeking} of the index: {most}"


def within(what: str, counted: float, told: str = "") -> None:
    """Fail with the count where it is above its ceiling."""
    ceiling = CEILINGS[what]
    print(f"{what}: {counted:g}, ceiling {ceiling:g}")  # noqa: T201 - `pytest -rP` shows all of them
    assert counted <= ceiling, f"{what}: counted {counted:g}, the ceiling is {ceiling:g}. {told}"


def ready(policy: Policy, n: int, **more: Any) -> Agent:
    """An agent that has met ``n`` subjects, twice, and knows what it thinks of actions."""
    made = consenting(agent(policy=policy, **more), names(n))
    if not isinstance(policy, Uniform):
        teach(made)
    for turn in range(2):
        made.decide_many(names(n), context(n), now=NOON - (9 - turn) * DAY)
    return made


POLICIES: dict[str, Callable[[], Policy]] = {
    "Uniform": Uniform,
    "SquareCB": SquareCB,
    "LinearThompson": LinearThompson,
}
each_policy = pytest.mark.parametrize("kind", POLICIES)


@each_policy
def test_a_single_decision_stays_below_its_ceilings(kind: str) -> None:
    """Calls of everything from the front door to the log; no text is hashed for a subject who is known."""
    made = ready(POLICIES[kind](), 20)
    asked = one(context(20), 3)
    for subject in names(3, 10):
        made.decide(subject, asked, now=NOON)
    with Work() as work:
        made.decide("customer-3", asked, now=NOON)
    within(f"{kind}: Python calls of decide", work.python, work.told())
    within(f"{kind}: C calls of decide", work.c, work.told())
    within("calls of the subjects' index in decide", work.seeking, work.told())
    within("mixes of decide", work.mixes, work.told())
    assert work.digests == 0, work.told()


@each_policy
def test_calls_do_not_grow_with_the_rows_of_a_wave(kind: str) -> None:
    """8,000 rows take the calls of 1,000, but for arithmetic that goes through a wave in blocks."""
    made = ready(POLICIES[kind](), 8000)
    # The same values eight times, so that the larger wave holds nothing that the smaller one does not.
    whole = rows(context(1000), np.arange(8000) % 1000)
    found = {}
    for turn, n in enumerate((1000, 8000)):
        made.decide_many(names(n), rows(whole, slice(0, n)), now=NOON + 9 * turn * DAY)
        with Work() as work:
            made.decide_many(names(n), rows(whole, slice(0, n)), now=NOON + (9 * turn + 3) * DAY)
        found[n] = work
        assert work.digests == 0, work.told()
        within("mixes of a wave", work.mixes, work.told())
    few, many = found[1000], found[8000]
    within(f"{kind}: calls of a wave of 1,000", few.calls, few.told())
    seeking = many.seeking - few.seeking
    within("calls of the subjects' index that 7,000 more rows add", seeking, many.told())
    more = many.named - few.named
    within(
        f"{kind}: calls that 7,000 more rows add", many.calls - few.calls, f"More are {more.most_common(20)}"
    )


def test_a_stranger_is_hashed_once() -> None:
    """The key is kept in the record: the second decision hashes nothing."""
    made = agent(policy=Uniform())
    made.decide_many(names(5), context(5), now=NOON)
    with Work() as work:
        made.decide_many(names(300, 100), context(300), now=NOON)
    assert work.digests == 300, work.told()
    with Work() as work:
        made.decide_many(names(300, 100), context(300), now=NOON)
    assert work.digests == 0, work.told()


def test_blocks_that_a_batch_leaves_do_not_grow_with_it() -> None:
    """Columns are few and large: Python's own allocator hardly notices 7,000 more rows."""
    made = ready(LinearThompson(), 8000)
    kept = []
    for turn, n in enumerate((1000, 1000, 8000)):
        subjects, columns = names(n), rows(context(8000), slice(0, n))
        gc.collect()
        before = sys.getallocatedblocks()
        batch = made.decide_many(subjects, columns, now=NOON + turn * DAY)
        kept.append(sys.getallocatedblocks() - before)
        assert len(batch) == n
    within("blocks a batch leaves", max(kept), f"After 1,000, 1,000 and 8,000 rows: {kept}")
    within("blocks that 7,000 more rows leave", kept[2] - kept[1], f"1,000, 1,000 and 8,000 rows: {kept}")


@each_policy
def test_memory_of_a_batch_stays_below_its_ceilings(kind: str) -> None:
    """What is allocated at the worst moment, and what is left, which is the record in the log."""
    made, n = ready(POLICIES[kind](), 8000), 8000
    subjects, columns = names(n), context(n)
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        batch = made.decide_many(subjects, columns, now=NOON)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    record = sum(column[:1].nbytes for column in batch.columns.values())
    # Keeping records costs their bytes and their numbers; of versions and slots nothing is left.
    within(
        "bytes kept beyond the record, a row", (after - before) / n - record, f"A record is {record} bytes"
    )
    within(f"{kind}: bytes at the worst moment, a row", (peak - before) / n)


def test_an_empty_batch_asks_the_store_once() -> None:
    """It is one empty wave, and the log gets no record."""
    store, log = Counted(MemoryStore()), MemoryLog()
    made = agent(store=store, log=log)
    store.calls.clear()
    assert len(made.decide_many([], {}, now=NOON)) == 0
    assert sum(store.calls.values()) <= 2, store.calls
    assert len(log) == 0


def test_a_reward_stays_below_its_ceilings() -> None:
    """From the outcome to the published policy: calls, appends, and what is read back."""
    log = Counted(MemoryLog())
    goals = Goals({"purchase": 1.0}, window=3 * DAY, terminal=["purchase"])
    made = ready(LinearThompson(), 20, goals=goals, log=log)
    ids = made.decide_many(names(20), context(20), now=NOON).ids
    for decision_id in ids[:3]:
        made.record(decision_id, "purchase", at=NOON)
        made.learn(now=NOON)
    log.calls.clear()
    with Work() as recording:
        made.record(ids[3], "purchase", at=NOON)
    within("calls of record", recording.calls, recording.told())
    within("log calls of record", sum(log.calls.values()), str(log.calls))
    log.calls.clear()
    with Work() as learning:
        assert made.learn(now=NOON).used == 1
    within("calls of learn for one reward", learning.calls, learning.told())
    within("log calls of learn", sum(log.calls.values()), str(log.calls))


def test_learning_does_not_call_more_for_more_rewards() -> None:
    """A batch of rewards is sorted by action and added up: calls grow with actions, not with rows."""
    made = ready(LinearThompson(), 4000, goals=Goals({"purchase": 1.0}, window=3 * DAY))
    found = []
    for turn, n in enumerate((1000, 4000)):
        at = NOON + 9 * turn * DAY
        made.decide_many(names(n), rows(context(4000), slice(0, n)), now=at)
        with Work() as work:
            assert made.learn(now=at + 3 * DAY).closed >= n
        found.append(work)
    more = found[1].named - found[0].named
    told = f"{found[0].calls} and {found[1].calls}; more are {more.most_common(20)}"
    within("calls that 3,000 more rewards add", found[1].calls - found[0].calls, told)
