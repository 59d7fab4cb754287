"""Where do values come from, and what happens when a provider fails, lies, or answers late?"""

import logging
import threading
from datetime import UTC, datetime, timedelta

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.arrays import Columns, Status
from agentic.conditions import Coded
from agentic.errors import ConfigurationError, InvalidContextError, InvalidTimeError
from agentic.features import Cached, CallableProvider, Chained, MappingProvider, Number, Schema
from agentic.protocols import FeatureProvider
from agentic.types import instant, micros

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW_US = micros(NOW)
MINUTE = 60_000_000
P, NULL, NOT_FOUND, STALE, ERROR = (
    Status.PRESENT,
    Status.NULL,
    Status.NOT_FOUND,
    Status.STALE,
    Status.ERROR,
)


def numbered(names, cases):
    """Parametrise by place, because some cases cannot be named."""
    return pytest.mark.parametrize(names, cases, ids=range(len(cases)))


@attrs.define
class Source:
    """Answers out of a table, counts calls, and fails when told to."""

    table: dict = attrs.field(factory=dict)
    calls: list = attrs.field(factory=list)
    broken: bool = False
    status: dict = attrs.field(factory=dict)
    at: float | None = None

    def fetch(self, subjects, names, now, /):
        self.calls.append((list(subjects), list(names), now))
        if self.broken:
            raise OSError("no route to host")
        known = [name for name in names if any(name in row for row in self.table.values())]
        n = len(subjects)
        return Columns(
            {name: [self.table.get(s, {}).get(name) for s in subjects] for name in known},
            {
                name: [
                    self.status.get((s, name), P if name in self.table.get(s, {}) else NOT_FOUND)
                    for s in subjects
                ]
                for name in known
            },
            {} if self.at is None else {name: np.full(n, self.at) for name in known},
        )


def cells(columns, name):
    """Values and statuses of a column, as lists."""
    return list(columns.values[name]), [int(code) for code in columns.status[name]]


def test_every_provider_satisfies_the_protocol():
    """What is in the box is a FeatureProvider like any other."""
    source = Source()
    for provider in (
        MappingProvider(),
        CallableProvider(lambda *_: {}),
        Chained([source]),
        Cached(source, timedelta(1)),
    ):
        assert isinstance(provider, FeatureProvider)


def test_a_mapping_serves_what_it_holds():
    """Values come in the order of the subjects, and what is not there is NOT_FOUND."""
    provider = MappingProvider({"ada": {"age": 36, "tags": ["x"]}, "bob": {"age": None}}, at=NOW)
    found = provider.fetch(["bob", "eve", "ada"], ["age", "tags"], NOW_US)
    assert cells(found, "age") == ([None, None, 36], [P, NOT_FOUND, P])
    assert cells(found, "tags") == ([None, None, ["x"]], [NOT_FOUND, NOT_FOUND, P])
    assert np.array_equal(found.at["age"], [NOW.timestamp(), np.nan, NOW.timestamp()], equal_nan=True)


def test_put_adds_to_a_subjects_values():
    """Names that are put replace what was there, with their own time, and the others stay."""
    provider = MappingProvider({"ada": {"age": 36, "tier": "free"}})
    provider.put("ada", {"tier": "gold"}, at=NOW)
    found = provider.fetch(["ada"], ["age", "tier"], NOW_US)
    assert cells(found, "age") == ([36], [P])
    assert cells(found, "tier") == (["gold"], [P])
    assert np.isnan(found.at["age"][0])
    assert found.at["tier"][0] == NOW.timestamp()


def test_a_mapping_forgets():
    """A forgotten subject is not found, and forgetting says whether there was anything."""
    provider = MappingProvider({"ada": {"age": 36}})
    assert provider.forget("ada") is True
    assert provider.forget("ada") is False
    assert cells(provider.fetch(["ada"], ["age"], NOW_US), "age") == ([None], [NOT_FOUND])


def test_what_is_put_must_have_names_and_a_zone():
    """Values without names and times without zones are refused, and nothing is kept."""
    provider = MappingProvider()
    with pytest.raises(InvalidContextError):
        provider.put("ada", [1])
    with pytest.raises(InvalidTimeError):
        provider.put("ada", {"age": 1}, at=datetime(2026, 1, 1))  # noqa: DTZ001  # that is the point
    assert provider.forget("ada") is False


def test_a_reader_never_sees_half_of_a_put():
    """While one thread puts pairs, others only ever read whole pairs."""
    provider = MappingProvider({"ada": {"a": 0, "b": 0}})
    seen, done = set(), threading.Event()

    def read():
        while not done.is_set():
            found = provider.fetch(["ada"], ["a", "b"], NOW_US)
            seen.add((found.values["a"][0], found.values["b"][0]))

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for i in range(500):
        provider.put("ada", {"a": i, "b": i})
    done.set()
    for reader in readers:
        reader.join()
    assert all(a == b for a, b in seen)


def test_a_function_is_asked_with_a_datetime():
    """It sees subjects, names and an aware time, and may return plain lists."""
    seen = []

    def look_up(subjects, names, now):
        seen.append((subjects, names, now))
        return {"age": [36, None]}

    found = CallableProvider(look_up).fetch(["ada", "bob"], ["age"], NOW_US)
    assert list(found.values["age"]) == [36, None]
    assert seen == [(["ada", "bob"], ["age"], NOW)]


def test_a_function_may_return_columns():
    """Columns go through as they are."""
    columns = Columns({"age": np.array([36.0])})
    assert CallableProvider(lambda *_: columns).fetch(["ada"], ["age"], NOW_US) is columns


def test_a_function_that_returns_something_else_fails():
    """Neither Columns nor a mapping is an answer."""
    with pytest.raises(InvalidContextError, match="mapping"):
        CallableProvider(lambda *_: [36]).fetch(["ada"], ["age"], NOW_US)


@numbered(
    "make",
    [
        lambda: CallableProvider(3),
        lambda: Chained([MappingProvider]),
        lambda: Chained([3]),
        lambda: Chained(3),
        lambda: Cached(3, timedelta(1)),
        lambda: Cached(MappingProvider(), 60),
        lambda: Cached(MappingProvider(), timedelta(0)),
        lambda: Cached(MappingProvider(), timedelta(1), size=0),
        lambda: Cached(MappingProvider(), timedelta(1), size=True),
        lambda: Cached(MappingProvider(), timedelta(1), grace=timedelta(-1)),
        lambda: Cached(MappingProvider(), timedelta(1), grace=3),
    ],
)
def test_a_provider_that_makes_no_sense_is_refused(make):
    """Wrong arguments raise when a provider is made."""
    with pytest.raises(ConfigurationError):
        make()


def test_a_chain_takes_the_first_value_of_each_row():
    """A later provider fills only rows that still lack a value, and is asked only for such names."""
    first = Source({"ada": {"age": 36, "ltv": 1.0}, "bob": {"ltv": 2.0}}, at=5.0)
    second = Source({"ada": {"age": 99}, "bob": {"age": 40}})
    found = Chained([first, second]).fetch(["ada", "bob"], ["age", "ltv"], NOW_US)
    assert cells(found, "age") == ([36, 40], [P, P])
    assert np.array_equal(found.at["age"], [5.0, np.nan], equal_nan=True)
    assert cells(found, "ltv") == ([1.0, 2.0], [P, P])
    assert second.calls == [(["ada", "bob"], ["age"], NOW_US)]


def test_a_chain_stops_when_nothing_is_missing():
    """A provider that nobody needs is not asked."""
    last = Source()
    Chained([Source({"ada": {"age": 36}}), last]).fetch(["ada"], ["age"], NOW_US)
    assert last.calls == []


def test_a_chain_keeps_times_of_later_providers():
    """Times belong to the values they came with, whichever provider tells them."""
    found = Chained([Source({"ada": {"age": 36}}), Source({"bob": {"age": 40}}, at=5.0)]).fetch(
        ["ada", "bob"], ["age"], NOW_US
    )
    assert np.array_equal(found.at["age"], [np.nan, 5.0], equal_nan=True)


def test_a_chain_passes_a_failing_provider_over(caplog):
    """What another provider has is served, the rest is ERROR, and an outage is logged once."""
    broken = Source(broken=True)
    chain = Chained([broken, Source({"ada": {"age": 36}})])
    with caplog.at_level(logging.WARNING, "agentic.features"):
        for _ in range(3):
            found = chain.fetch(["ada", "bob"], ["age"], NOW_US)
        assert cells(found, "age") == ([36, None], [P, ERROR])
        assert len(caplog.records) == 1
        broken.broken = False
        chain.fetch(["ada"], ["age"], NOW_US)
        broken.broken = True
        chain.fetch(["ada"], ["age"], NOW_US)
        assert len(caplog.records) == 2


def test_the_first_reason_stands():
    """That nobody knew gives way to any other reason; otherwise the first stands."""
    told = [NOT_FOUND, NULL, STALE, ERROR]
    subjects = [f"{a}/{b}" for a in told for b in told]
    first = Source({s: {"x": 1} for s in subjects})
    second = Source({s: {"x": 2} for s in subjects})
    for subject in subjects:
        a, b = subject.split("/")
        first.status[subject, "x"], second.status[subject, "x"] = int(a), int(b)
    found = Chained([first, second]).fetch(subjects, ["x"], NOW_US)
    expected = {
        "3/3": 3,
        "3/2": 2,
        "3/4": 4,
        "3/6": 6,
        "2/3": 2,
        "2/2": 2,
        "2/4": 4,
        "2/6": 6,
        "4/3": 4,
        "4/2": 4,
        "4/4": 4,
        "4/6": 4,
        "6/3": 6,
        "6/2": 6,
        "6/4": 6,
        "6/6": 6,
    }
    assert dict(zip(subjects, cells(found, "x")[1], strict=True)) == expected


def cached(source, **options):
    return Cached(source, timedelta(minutes=1), **options)


def test_a_fresh_value_is_not_fetched_again():
    """Within its time to live a value is served from memory, and after it is fetched again."""
    source = Source({"ada": {"age": 36}})
    cache = cached(source)
    for after in (0, MINUTE // 2, MINUTE - 1):
        assert cells(cache.fetch(["ada"], ["age"], NOW_US + after), "age") == ([36], [P])
    assert len(source.calls) == 1
    source.table["ada"]["age"] = 37
    assert cells(cache.fetch(["ada"], ["age"], NOW_US + MINUTE), "age") == ([37], [P])
    assert len(source.calls) == 2


def test_only_what_is_missing_is_fetched():
    """One call asks for the subjects and names that lack something, each subject once."""
    source = Source({s: {"a": 1, "b": 2} for s in "xyz"})
    cache = cached(source)
    cache.fetch(["x"], ["a"], NOW_US)
    cache.fetch(["x", "y"], ["a"], NOW_US)
    cache.fetch(["z", "x", "z"], ["a", "b"], NOW_US)
    cache.fetch(["x", "z"], ["b", "a"], NOW_US)
    assert [call[:2] for call in source.calls] == [
        (["x"], ["a"]),
        (["y"], ["a"]),
        (["z", "x"], ["a", "b"]),
    ]


def test_that_there_is_nothing_is_kept():
    """A subject or a name that is not there is not asked for again until that expires."""
    source = Source({"ada": {"age": 36}})
    cache = cached(source)
    for _ in range(2):
        found = cache.fetch(["bob"], ["age", "shoe"], NOW_US)
        assert cells(found, "age") == ([None], [NOT_FOUND])
        assert cells(found, "shoe") == ([None], [NOT_FOUND])
    assert len(source.calls) == 1


def test_an_error_is_not_kept():
    """What a provider marks as ERROR is asked for again."""
    source = Source({"ada": {"age": 36}}, status={("ada", "age"): ERROR})
    cache = cached(source)
    assert cells(cache.fetch(["ada"], ["age"], NOW_US), "age")[1] == [ERROR]
    source.status.clear()
    assert cells(cache.fetch(["ada"], ["age"], NOW_US), "age") == ([36], [P])


def test_keeping_a_value_does_not_hide_its_age():
    """A value has the time its provider told, or else the time when it was fetched."""
    for told, expected in ((None, NOW.timestamp()), (5.0, 5.0)):
        cache = cached(Source({"ada": {"age": 36}}, at=told))
        for after in (0, MINUTE // 2):
            assert cache.fetch(["ada"], ["age"], NOW_US + after).at["age"].tolist() == [expected]


def test_expired_values_are_stale_while_the_provider_fails(caplog):
    """They are marked and keep their time; what was never there is ERROR; an outage is logged once."""
    source = Source({"ada": {"age": 36}})
    cache = cached(source)
    cache.fetch(["ada"], ["age"], NOW_US)
    source.broken = True
    for _ in range(2):
        found = cache.fetch(["ada", "bob"], ["age"], NOW_US + 2 * MINUTE)
        assert cells(found, "age") == ([36, None], [STALE, ERROR])
        assert found.at["age"][0] == NOW.timestamp()
    assert len(caplog.records) == 1


def test_grace_serves_expired_values_as_usable():
    """Within the grace period an outage shows only in the age of the values; after it they are STALE."""
    source = Source({"ada": {"age": 36}})
    cache = cached(source, grace=timedelta(minutes=5))
    cache.fetch(["ada"], ["age"], NOW_US)
    source.broken = True
    assert cells(cache.fetch(["ada"], ["age"], NOW_US + 6 * MINUTE - 1), "age") == ([36], [P])
    assert cells(cache.fetch(["ada"], ["age"], NOW_US + 6 * MINUTE), "age") == ([36], [STALE])


def test_a_clock_that_steps_back_does_not_keep_values_for_long():
    """After a step back a value expires one time to live after the step at the latest."""
    source = Source({"ada": {"age": 36}})
    cache = cached(source)
    cache.fetch(["ada"], ["age"], NOW_US)
    cache.fetch(["ada"], ["age"], NOW_US - MINUTE + 1)
    assert len(source.calls) == 1
    cache.fetch(["ada"], ["age"], NOW_US - MINUTE)
    assert len(source.calls) == 2


def test_an_older_answer_does_not_replace_a_later_one():
    """When two threads fetch the same value, that of the later time stays."""
    source = Source({"ada": {"age": 36}})
    cache = cached(source)

    def overtaken(subjects, names, now):
        if now == NOW_US and not source.calls:
            late = source.fetch(subjects, names, now)
            source.table["ada"] = {"age": 37}
            assert cells(cache.fetch(["ada"], ["age"], NOW_US + 1), "age")[0] == [37]
            return late
        return source.fetch(subjects, names, now)

    cache = Cached(_Fetch(overtaken), timedelta(minutes=1))
    assert cells(cache.fetch(["ada"], ["age"], NOW_US), "age")[0] == [36]
    assert cells(cache.fetch(["ada"], ["age"], NOW_US + 2), "age")[0] == [37]


class _Fetch:
    def __init__(self, fetch):
        self.fetch = fetch


def test_a_cache_is_bounded():
    """Beyond its size the subjects used longest ago go first."""
    source = Source({s: {"a": 1} for s in "xyz"})
    cache = cached(source, size=2)
    for subject in "xyxz":
        cache.fetch([subject], ["a"], NOW_US)
    assert len(cache) == 2
    cache.fetch(["x"], ["a"], NOW_US)
    assert [call[0] for call in source.calls] == [["x"], ["y"], ["z"]]
    cache.fetch(["y"], ["a"], NOW_US)
    assert len(source.calls) == 4


def test_a_batch_larger_than_the_cache_is_still_served():
    """What does not fit is served and then forgotten."""
    source = Source({str(i): {"a": i} for i in range(10)})
    subjects = list(source.table)
    assert cells(cached(source, size=3).fetch(subjects, ["a"], NOW_US), "a")[0] == list(range(10))


def test_a_cache_forgets():
    """A forgotten subject is fetched again, and forgetting says whether there was anything."""
    source = Source({"ada": {"age": 36}})
    cache = cached(source)
    cache.fetch(["ada"], ["age"], NOW_US)
    assert (cache.forget("ada"), cache.forget("ada")) == (True, False)
    cache.fetch(["ada"], ["age"], NOW_US)
    assert len(source.calls) == 2


def test_coded_answers_can_be_kept():
    """A coded column is kept by its texts."""
    cache = Cached(CallableProvider(lambda *_: {"t": Coded(np.array([1, -2]), ("a", "b"))}), timedelta(1))
    assert cells(cache.fetch(["x", "y"], ["t"], NOW_US), "t")[0] == ["b", None]


def test_threads_share_a_cache():
    """Whatever threads fetch and forget at once, each gets the right values and the bound holds."""
    source = Source({str(i): {"a": i} for i in range(50)})
    cache = cached(source, size=20)
    asked, got, lock = [], [], threading.Lock()

    def work(seed):
        rng = np.random.default_rng(seed)
        for step in range(200):
            picked = [str(i) for i in rng.integers(0, 50, 5)]
            found = cells(cache.fetch(picked, ["a"], NOW_US + step * MINUTE // 50), "a")
            with lock:
                asked.append(([int(subject) for subject in picked], [P] * 5))
                got.append(found)
            cache.forget(picked[0])

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == asked
    assert len(cache) <= 20


@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 200), st.lists(st.sampled_from("xyz"), max_size=4), st.booleans(), st.booleans()
        ),
        max_size=12,
    )
)
def test_a_cache_serves_no_expired_value_as_usable(steps):
    """Whatever is fetched when, a usable value was fetched less than its time to live ago."""
    source = Source({s: {"a": 0} for s in "xy"})
    cache, now = cached(source, size=2), NOW_US
    for seconds, subjects, broken, both in steps:
        now += seconds * 1_000_000
        source.broken = broken
        source.table["x"]["a"] = source.table["y"]["a"] = now
        found = cache.fetch(subjects, ["a", "b"] if both else ["a"], now)
        for subject, value, status in zip(subjects, *cells(found, "a"), strict=True):
            if status == P:
                assert now - value < MINUTE
                assert subject != "z"
            if not broken and subject != "z":
                assert status == P


def test_a_stale_value_is_not_used():
    """What a cache serves as STALE leaves the default to step in, and the row is degraded."""
    source = Source({"ada": {"age": 36}})
    cache = cached(source)
    schema = Schema.of([Number("age", low=0, high=100)])
    assert schema.gather(["ada"], {}, [cache], NOW_US).matrix.tolist() == [[36]]
    source.broken = True
    found = schema.gather(["ada"], {}, [cache], NOW_US + MINUTE)
    assert np.isnan(found.matrix[0, 0])
    assert found.status.tolist() == [[STALE]]
    assert schema.degraded(found.status).tolist() == [True]
    assert instant(NOW_US) == NOW
