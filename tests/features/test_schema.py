"""What does a schema gather, encode and show?"""

import array
import math
from datetime import UTC, datetime, timedelta

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic import zones
from agentic.arrays import Columns, Status
from agentic.conditions import Coded, F, Unlisted
from agentic.errors import ConfigurationError, InvalidContextError, UnknownFeatureError
from agentic.features import (
    CallableProvider,
    Category,
    Cyclic,
    Flag,
    Hashed,
    MappingProvider,
    Number,
    RuleOnly,
    Schema,
    TimeZone,
)
from agentic.types import micros

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW_US = micros(NOW)
P, NULL, NOT_FOUND, STALE, ERROR, INVALID, CLIPPED, OTHER = (
    Status.PRESENT,
    Status.NULL,
    Status.NOT_FOUND,
    Status.STALE,
    Status.ERROR,
    Status.INVALID,
    Status.CLIPPED,
    Status.OTHER,
)

MIXED = [
    Number("age", low=0, high=100, default=40),
    Category("tier", ["free", "gold"]),
    Flag("vip"),
    RuleOnly(Category("country", ["IN", "LK"])),
    Cyclic("hour", period=24),
    Number("ltv", low=-10, high=10),
    Hashed("shop", buckets=3),
    TimeZone(),
    RuleOnly(Number("debt", low=0, high=9)),
]
SCHEMA = Schema.of(MIXED)
ROW = {
    "age": 30,
    "tier": "gold",
    "vip": True,
    "country": "LK",
    "hour": 6,
    "ltv": 5,
    "shop": "a",
    "time_zone": "Asia/Kolkata",
    "debt": 3,
}


def numbered(names, cases):
    """Parametrise by place, because some cases cannot be named."""
    return pytest.mark.parametrize(names, cases, ids=range(len(cases)))


@attrs.frozen
class Plugin:
    """A stranger's feature: nothing but what the protocol asks for."""

    name: str = "plugin"
    width: int = 2
    max_age_s: float | None = None
    categories: tuple | None = None
    encoded: tuple = ("plugin:0", "plugin:1")
    answer: object = None
    written: float = 3.0

    def resolve(self, values, /):
        if isinstance(self.answer, Exception):
            raise self.answer
        if self.answer is not None:
            return self.answer
        return np.array([float(v) for v in values]), np.full(len(values), P, dtype=np.uint8)

    def encode(self, values, out, /):
        out[:, 0] = np.where(np.isnan(values), 0, values)
        out[:, 1] = self.written


class Series:
    """A column of some table library."""

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return np.array(self.values)


class Quick(Plugin):
    """A stranger's feature whose reading of single values is out of order."""

    def resolve_one(self, value, /):
        if isinstance(value, Exception):
            raise value
        return value


def bits(matrix):
    return np.ascontiguousarray(matrix).tobytes()


def subjects(n):
    return [str(i) for i in range(n)]


def columns_of(rows):
    return {name: [row[name] for row in rows] for name in rows[0]} if rows else {}


def test_a_schema_tells_its_columns():
    """Names come in order of declaration, and the last column is the constant."""
    assert SCHEMA.names == ("age", "tier", "vip", "country", "hour", "ltv", "shop", "time_zone", "debt")
    assert SCHEMA.encoded == (
        "age",
        "tier=free",
        "tier=gold",
        "vip",
        "hour:sin",
        "hour:cos",
        "ltv",
        "shop#1",
        "shop#2",
        "shop#3",
        "1",
    )
    assert SCHEMA.width == len(SCHEMA.encoded) == 11
    assert len(SCHEMA) == 9
    assert SCHEMA.categories == {
        "tier": ("free", "gold"),
        "country": ("IN", "LK"),
        "time_zone": zones.names(),
    }


def test_rules_cannot_name_a_hashed_feature():
    """The number of a bucket means nothing to a rule, so it is neither a field nor a column."""
    found = SCHEMA.gather(["s"], columns_of([ROW]), [], NOW_US)
    assert SCHEMA.fields == frozenset(SCHEMA.names) - {"shop"}
    assert SCHEMA.columns(found.matrix).keys() == SCHEMA.fields


@numbered(
    "features",
    [
        [Number("a", low=0, high=1), Flag("a")],
        [Flag("tier=gold"), Category("tier", ["gold"])],
        [Flag("1")],
        [Number],
        ["age"],
        "age",
        Flag("a"),
        None,
        [Plugin(width=3)],
        [Plugin(name=3)],
    ],
)
def test_features_that_do_not_fit_together_are_refused(features):
    """Twins, twin columns and things that are no features raise when a schema is made."""
    with pytest.raises(ConfigurationError):
        Schema.of(features)


def test_a_schema_may_be_empty():
    """Without features there is only the constant."""
    schema = Schema.of([])
    found = schema.gather(["s"], {}, [MappingProvider()], NOW_US)
    assert schema.encode(found.matrix).tolist() == [[1.0]]
    assert schema.degraded(found.status).tolist() == [False]
    with pytest.raises(UnknownFeatureError, match="there are none"):
        schema.gather(["s"], {"age": [1]}, [], NOW_US)


def test_a_row_is_gathered_and_encoded():
    """Each value stands where the schema says, scaled, and nothing is degraded."""
    found = SCHEMA.gather(["s"], columns_of([ROW]), [], NOW_US)
    shop = MIXED[6].resolve(["a"])[0][0]
    assert found.matrix[0].tolist() == [30, 1, 1, 1, 6, 5, shop, zones.number("Asia/Kolkata"), 3]
    assert found.status.tolist() == [[P] * 9]
    assert found.failed == ()
    X = SCHEMA.encode(found.matrix)
    hashed = [0.0, 0.0, 0.0]
    hashed[int(abs(shop)) - 1] = math.copysign(1, shop)
    assert np.allclose(X[0], [0.3, 0, 1, 1, 1, 0, 0.75, *hashed, 1], atol=1e-15)
    assert X.flags.c_contiguous
    assert not SCHEMA.degraded(found.status).any()


def test_a_single_row_is_in_columns_as_a_batch_is():
    """The matrix is Fortran-ordered for any number of rows, so that its columns are contiguous views."""
    for n in (0, 1, 2, 8, 9, 50):
        found = SCHEMA.gather(subjects(n), columns_of([ROW] * n), [], NOW_US)
        assert found.matrix.flags.f_contiguous
        assert found.status.flags.f_contiguous
        assert found.matrix.shape == found.status.shape == (n, 9)
        assert found.matrix.dtype == np.float64
        assert found.status.dtype == np.uint8
        assert SCHEMA.encode(found.matrix).shape == (n, 11)
        assert SCHEMA.degraded(found.status).shape == (n,)


anything = st.sampled_from(
    [None, math.nan, math.inf, 1e308, -0.0, 10**400, True, "18", b"x", [[]], 0, 1, 50, 3.5, "gold", "LK", "x"]
)
rows = st.lists(st.fixed_dictionaries(dict.fromkeys(SCHEMA.names, anything)), max_size=20)


@given(rows=rows)
def test_a_batch_is_its_rows(rows):
    """Gathered and encoded together or alone, a row has the same bits, and they are finite."""
    n = len(rows)
    found = SCHEMA.gather(subjects(n), columns_of(rows), [], NOW_US)
    X = SCHEMA.encode(found.matrix)
    assert np.isfinite(X).all()
    assert (X[:, -1] == 1).all()
    together = SCHEMA.degraded(found.status).tolist()
    for i, row in enumerate(rows):
        alone = SCHEMA.gather(["s"], columns_of([row]), [], NOW_US)
        assert bits(alone.matrix[0]) == bits(found.matrix[i])
        assert bits(alone.status[0]) == bits(found.status[i])
        assert bits(SCHEMA.encode(alone.matrix)[0]) == bits(X[i])
        assert SCHEMA.degraded(alone.status).tolist() == [together[i]]


def test_a_large_batch_is_its_rows():
    """Encoding in chunks gives each row the bits it has alone, whatever the layout of the matrix."""
    rng = np.random.default_rng(3)
    n = 10_000
    context = {
        "age": rng.normal(50, 60, n),
        "ltv": rng.normal(0, 9, n),
        "hour": rng.normal(0, 99, n),
        "tier": rng.choice(["free", "gold", "x"], n),
        "vip": rng.random(n) < 0.5,
    }
    context["age"][::7] = np.nan
    found = SCHEMA.gather(subjects(n), context, [], NOW_US)
    X = SCHEMA.encode(found.matrix)
    assert bits(SCHEMA.encode(np.ascontiguousarray(found.matrix))) == bits(X)
    for size in (1, 3, 8, 9, 100, 4095, 4097):
        for start in range(0, n - size, max(size, 613)):
            part = slice(start, start + size)
            assert bits(SCHEMA.encode(found.matrix[part])) == bits(X[part])


def test_neighbouring_numbers_are_encoded_as_scattered_ones():
    """It makes no difference whether features that are encoded together stand side by side."""
    numbers = [Number(f"n{i}", low=-i - 1, high=2 * i + 1) for i in range(4)]
    mixed = [numbers[0], Category("c", ["a"]), numbers[1], RuleOnly(Flag("r")), *numbers[2:]]
    values = np.random.default_rng(5).normal(size=(50, 4))
    context = {f"n{i}": values[:, i] for i in range(4)}
    alike, other = Schema.of(numbers), Schema.of(mixed)
    X = alike.encode(alike.gather(subjects(50), context, [], NOW_US).matrix)
    scattered = other.encode(other.gather(subjects(50), context, [], NOW_US).matrix)
    assert bits(scattered[:, [0, 2, 3, 4, 5]]) == bits(X)
    alone = np.empty((50, 1))
    for i, number in enumerate(numbers):
        number.encode(alike.gather(subjects(50), context, [], NOW_US).matrix[:, i], alone)
        assert bits(alone[:, 0]) == bits(X[:, i])


@pytest.mark.parametrize("n", [2, 12])
@pytest.mark.parametrize(
    "make",
    [
        list,
        tuple,
        np.array,
        lambda v: np.array(v, dtype=object),
        lambda v: array.array("d", v),
        Series,
    ],
    ids=["list", "tuple", "array", "objects", "array.array", "series"],
)
def test_columns_come_in_many_shapes(make, n):
    """Lists, tuples, arrays, sequences and what turns into an array are all columns."""
    schema = Schema.of([Number("a", low=0, high=99)])
    values = [i / 2 for i in range(n)]
    assert schema.gather(subjects(n), {"a": make(values)}, [], NOW_US).matrix[:, 0].tolist() == values


@pytest.mark.parametrize("n", [3, 12])
def test_coded_columns_come_with_any_number_of_rows(n):
    """A coded category is read by the column, also for few rows."""
    codes = np.arange(n) % 4 - 2
    found = SCHEMA.gather(subjects(n), {"tier": Coded(codes, ("free", "gold"))}, [], NOW_US)
    assert found.status[:3, 1].tolist() == [NULL, OTHER, P]


@pytest.mark.parametrize("n", [3, 12])
@numbered(
    "make",
    [
        lambda n: [1] * (n + 1),
        lambda n: [],
        lambda n: 5,
        lambda n: None,
        lambda n: "x" * n,
        lambda n: b"x" * n,
        lambda n: np.zeros(n + 1),
        lambda n: np.zeros((n, 1)),
        lambda n: np.array(1.0),
        lambda n: range(n + 1),
        lambda n: dict.fromkeys(range(n)),
        lambda n: set(range(n)),
        lambda n: Coded(np.zeros(n + 1), ("a",)),
        lambda n: Series(np.zeros((n, n))),
        lambda n: (value for value in range(n)),
    ],
)
def test_a_column_must_have_one_value_for_each_subject(make, n):
    """Anything that is not a column of n values is the caller's mistake, and raises."""
    with pytest.raises(InvalidContextError, match="'age'"):
        SCHEMA.gather(subjects(n), {"age": make(n)}, [], NOW_US)


@pytest.mark.parametrize("n", [1, 12])
def test_a_name_nobody_declared_is_refused(n):
    """The error says which declared name was probably meant."""
    with pytest.raises(UnknownFeatureError, match="did you mean 'tier'"):
        SCHEMA.gather(subjects(n), {"teir": ["gold"] * n}, [], NOW_US)
    with pytest.raises(UnknownFeatureError, match="there are age, tier"):
        SCHEMA.gather(subjects(n), {"\ud800" * 999: [1] * n}, [], NOW_US)
    with pytest.raises(UnknownFeatureError):
        SCHEMA.gather(subjects(n), {3: [1] * n}, [], NOW_US)


def test_the_context_wins_over_providers():
    """Rows the caller sends stand; a provider fills the others, an earlier one first."""
    first = MappingProvider({"0": {"age": 10}, "1": {"age": 11}})
    second = MappingProvider({"1": {"age": 21}, "2": {"age": 22, "tier": "gold"}})
    found = SCHEMA.gather(subjects(4), {"age": [1, None, math.nan, None]}, [first, second], NOW_US)
    assert np.array_equal(found.matrix[:, 0], [1, 11, 22, np.nan], equal_nan=True)
    assert found.status[:, 0].tolist() == [P, P, P, NULL]
    assert found.status[:, 1].tolist() == [NOT_FOUND, NOT_FOUND, P, NOT_FOUND]


def test_a_provider_is_asked_once_for_what_is_missing():
    """It sees all subjects, and only names that some row lacks; with nothing missing it is not asked."""
    asked = []

    def look_up(subjects, names, now):
        asked.append((list(subjects), list(names), now))
        return {name: [ROW[name]] * len(subjects) for name in names}

    provider, never = CallableProvider(look_up), CallableProvider(lambda *_: 1 / 0)
    context = {name: [value] * 2 for name, value in ROW.items() if name not in {"tier", "vip"}}
    found = SCHEMA.gather(["a", "b"], {**context, "vip": [True, "?"]}, [provider, never], NOW_US)
    assert asked == [(["a", "b"], ["tier", "vip"], NOW)]
    assert found.failed == ()
    assert found.status.tolist() == [[P] * 9] * 2


def test_what_a_caller_sends_wrongly_a_provider_may_know():
    """A value that cannot be used is filled in like a missing one, and otherwise stays INVALID."""
    provider = MappingProvider({"0": {"age": 10}})
    found = SCHEMA.gather(subjects(2), {"age": ["x", "y"]}, [provider], NOW_US)
    assert found.status[:, 0].tolist() == [P, INVALID]


def test_provided_values_are_resolved_as_sent_ones_are():
    """Clipping, other texts and wrong types are judged by the feature, whoever sends them."""
    provider = MappingProvider({"0": {"age": 500, "tier": "black", "vip": "yes"}})
    found = SCHEMA.gather(["0"], {}, [provider], NOW_US)
    assert found.status[0, :3].tolist() == [CLIPPED, OTHER, INVALID]
    assert np.array_equal(found.matrix[0, :3], [100, -1, np.nan], equal_nan=True)


@pytest.mark.parametrize("n", [1, 12])
def test_a_provider_that_raises_degrades(n):
    """Its values are ERROR, its class is named, and the next provider is still asked."""
    broken = CallableProvider(lambda *_: 1 / 0)
    known = MappingProvider({s: {"age": 5} for s in subjects(n)})
    found = SCHEMA.gather(subjects(n), {"vip": [True] * n}, [broken, known], NOW_US)
    assert found.failed == ("CallableProvider",)
    assert found.status[0, :4].tolist() == [P, ERROR, P, ERROR]
    assert SCHEMA.degraded(found.status).all()


WRONG = [
    lambda names, n: None,
    lambda names, n: {"age": [1] * n},
    lambda names, n: Columns({"age": [1] * (n + 1)}),
    lambda names, n: Columns({"age": 1}),
    lambda names, n: Columns({"age": "x" * n}),
    lambda names, n: Columns({"age": [1] * n}, {"age": [1] * (n + 1)}),
    lambda names, n: Columns({"age": [1] * n}, {"age": ["PRESENT"] * n}),
    lambda names, n: Columns({"age": [1] * n}, {"age": [[1], [1, 2]]}),
    lambda names, n: Columns({"age": [1] * n}, {"age": [1.0] * n}),
    lambda names, n: Columns({"age": [1] * n}, {"age": [0] * n}),
    lambda names, n: Columns({"age": [1] * n}, {"age": [-1] * n}),
    lambda names, n: Columns({"age": [1] * n}, {"age": [257] * n}),
    lambda names, n: Columns({"age": [1] * n}, {"age": [77] * n}),
    lambda names, n: Columns({"age": [1] * n}, at={"age": [0.0] * (n + 1)}),
    lambda names, n: Columns({"age": [1] * n}, at={"age": ["yesterday"] * n}),
    lambda names, n: Columns({"age": [1] * n}, at={"age": NOW}),
    lambda names, n: Columns({"age": [1] * n}, {"age": [ERROR] * n}),
    lambda names, n: Columns(None),
]


class Answers:
    def __init__(self, make):
        self.make = make

    def fetch(self, subjects, names, now, /):
        return self.make(names, len(subjects))


@numbered("make", WRONG)
def test_an_answer_that_is_wrong_degrades(make):
    """Ragged, mistyped and impossible answers are ERROR; nothing raises, and the provider is named."""
    found = SCHEMA.gather(subjects(3), {}, [Answers(make)], NOW_US)
    assert found.status[:, 0].tolist() == [ERROR] * 3
    assert np.isnan(found.matrix[:, 0]).all()
    assert found.failed == ("Answers",)


def test_one_wrong_column_does_not_spoil_the_others():
    """What a provider answers well is used, and names it was not asked for are ignored."""
    answer = Columns({"age": [1], "vip": [True, False], "tier": ["gold", "free"], "shoe": [1, 2]})
    found = SCHEMA.gather(subjects(2), {"tier": ["free", "free"]}, [Answers(lambda *_: answer)], NOW_US)
    assert found.status[:, :3].tolist() == [[ERROR, P, P]] * 2
    assert found.matrix[:, 1].tolist() == [0, 0]


def test_a_providers_statuses_are_believed():
    """Values whose status is not usable are ignored, whatever they are."""
    answer = Columns(
        {"age": np.array([1.0, 2, 3, 4, 500])},
        {"age": np.array([P, NULL, STALE, Status.DEFAULTED, CLIPPED], dtype=np.uint8)},
    )
    found = SCHEMA.gather(subjects(5), {}, [Answers(lambda *_: answer)], NOW_US)
    assert found.status[:, 0].tolist() == [P, NULL, STALE, Status.DEFAULTED, CLIPPED]
    assert np.array_equal(found.matrix[:, 0], [1, np.nan, np.nan, np.nan, 100], equal_nan=True)


def test_a_value_that_is_too_old_is_stale():
    """From its maximal age on a value is not used; an unknown age is no age, and the future is fresh."""
    schema = Schema.of([Number("a", low=0, high=9, max_age=timedelta(minutes=1)), Flag("b")])
    now = NOW.timestamp()
    ages = np.array([0, 59.9, 60, 3600, np.nan, -3600, np.inf, -np.inf])
    answer = Columns({"a": np.ones(8), "b": np.ones(8)}, at={"a": now - ages, "b": np.full(8, now - 1e9)})
    found = schema.gather(subjects(8), {}, [Answers(lambda *_: answer)], NOW_US)
    assert found.status[:, 0].tolist() == [P, P, STALE, STALE, P, P, STALE, P]
    assert np.isnan(found.matrix[:, 0]).tolist() == [code == STALE for code in found.status[:, 0]]
    assert found.status[:, 1].tolist() == [P] * 8


def test_a_stale_value_is_replaced_by_a_fresh_one():
    """A later provider fills what an earlier one knew too long ago."""
    schema = Schema.of([Number("a", low=0, high=9, max_age=timedelta(minutes=1))])
    old = MappingProvider({"s": {"a": 1}}, at=NOW - timedelta(hours=1))
    new = MappingProvider({"s": {"a": 2}}, at=NOW)
    found = schema.gather(["s"], {}, [old, new], NOW_US)
    assert found.matrix.tolist() == [[2]]
    assert found.status.tolist() == [[P]]


def test_what_is_known_of_nobody_is_not_asked():
    """An empty batch asks no provider."""
    found = SCHEMA.gather([], {}, [CallableProvider(lambda *_: 1 / 0)], NOW_US)
    assert found.failed == ()


@pytest.mark.parametrize("n", [2, 12])
def test_a_plugins_feature_is_a_feature(n):
    """A feature with nothing but the protocol is gathered, encoded, shown and described."""
    schema = Schema.of([Flag("vip"), Plugin(), Plugin("coded", 0, None, ("a", "b"), ())])
    context = {"plugin": [0.5] * n, "coded": [1] * n}
    found = schema.gather(subjects(n), context, [], NOW_US)
    assert schema.encode(found.matrix)[0].tolist() == [0, 0.5, 3, 1]
    assert schema.columns(found.matrix)["plugin"].tolist() == [0.5] * n
    assert schema.describe(found.matrix[0], found.status[0]) == {"vip": None, "plugin": 0.5, "coded": "b"}


@pytest.mark.parametrize("n", [2, 12])
@numbered(
    "answer",
    [
        RuntimeError("no"),
        (np.zeros(1), np.ones(1)),
        (np.zeros(99), np.ones(99)),
        5,
        (np.array(["x"] * 2), np.ones(2)),
        (np.array(["x"] * 12), np.ones(12)),
        ([1.0] * 12, [1] * 12),
    ],
)
def test_a_plugins_feature_that_fails_degrades(answer, n):
    """A feature that raises or answers wrongly is ERROR and is named; its neighbours are not touched."""
    schema = Schema.of([Plugin(answer=answer), Flag("vip")])
    found = schema.gather(subjects(n), {"plugin": [1] * n, "vip": [True] * n}, [], NOW_US)
    assert found.status.tolist() == [[ERROR, P]] * n
    assert found.failed == ("Plugin",)
    assert np.isfinite(schema.encode(found.matrix)).all()
    provided = schema.gather(subjects(n), {}, [MappingProvider({"0": {"plugin": 1}})], NOW_US)
    assert provided.status[0].tolist() == [ERROR, NOT_FOUND]


def test_no_model_sees_an_infinite_encoding():
    """Where a plugin writes something that is not finite, the model sees 0."""
    for written in (math.inf, math.nan):
        schema = Schema.of([Plugin(written=written)])
        assert schema.encode(np.array([[7.0]])).tolist() == [[7, 0, 1]]


@numbered("one", [ValueError("no"), 5, ("x", P), (None, 999), (1.0, 10**9)])
def test_a_plugins_shortcut_may_fail(one):
    """When reading single values goes wrong, the column is read as a batch is."""
    schema = Schema.of([Quick(answer=(np.array([4.0]), np.array([P], dtype=np.uint8))), Flag("vip")])
    found = schema.gather(["s"], {"plugin": [one], "vip": [True]}, [], NOW_US)
    assert found.matrix.tolist() == [[4, 1]]


def test_conditions_see_values_before_defaults():
    """A missing value is unknown to a rule, whatever default a model sees; flags are flags."""
    context = columns_of([ROW, {**ROW, "age": None, "tier": None, "vip": None, "country": "FR"}])
    columns = SCHEMA.columns(SCHEMA.gather(subjects(2), context, [], NOW_US).matrix)
    for rule, expected in (
        (F("age") > 20, [True, False]),
        (F("age") <= 20, [False, False]),
        (F("tier") == "gold", [True, False]),
        (F("vip") == True, [True, False]),  # noqa: E712  # a rule, not a comparison
        (F("country").is_in(["LK"]), [True, False]),
        (F("country") != "LK", [False, True]),
        (F("time_zone") == "Asia/Kolkata", [True, True]),
    ):
        assert rule.evaluate_columns(columns, 2).true.tolist() == expected
    assert SCHEMA.columns(SCHEMA.gather(["s"], columns_of([ROW]), [], NOW_US).matrix)["vip"].dtype == np.bool_


def test_numbers_are_shown_as_views():
    """Conditions read the matrix itself."""
    matrix = SCHEMA.gather(["s"], columns_of([ROW]), [], NOW_US).matrix
    assert np.shares_memory(SCHEMA.columns(matrix)["age"], matrix)
    assert np.shares_memory(SCHEMA.columns(matrix)["tier"].codes, matrix)


def test_a_row_is_described_in_the_readers_words():
    """Categories, zones and flags are said by name, a missing value is None, another text is Unlisted."""
    found = SCHEMA.gather(["s"], columns_of([{**ROW, "tier": "black", "ltv": None}]), [], NOW_US)
    told = SCHEMA.describe(found.matrix[0], found.status[0])
    shop = told.pop("shop")
    assert told == {
        "age": 30.0,
        "tier": Unlisted(("free", "gold")),
        "vip": True,
        "country": "LK",
        "hour": 6.0,
        "ltv": None,
        "time_zone": "Asia/Kolkata",
        "debt": 3.0,
    }
    assert abs(shop) in {1.0, 2.0, 3.0}
    assert (F("tier") == "gold").explain(told) != []
    assert (F("vip") == True).explain(told) == []  # noqa: E712  # a rule, not a comparison


def test_a_row_without_a_usable_value_is_degraded():
    """Clipped and other values are values, and withheld ones were not to be had; every other degrades."""
    schema = Schema.of([Flag("a"), Flag("b")])
    codes = np.array([[P, code] for code in Status], dtype=np.uint8)
    sound = {P, CLIPPED, OTHER, Status.WITHHELD}
    assert schema.degraded(codes).tolist() == [code not in sound for code in Status]
    assert not schema.degraded(np.full((3, 2), P, dtype=np.uint8)).any()


@pytest.mark.parametrize("n", [2, 20])
def test_what_is_granted_is_gathered_and_nothing_else(n):
    """By purpose, subject by subject; without a word, nothing that has a purpose."""
    schema = Schema.of([Flag("a"), Flag("b", purpose="x"), Flag("c", purpose="y"), Flag("d", purpose="x")])
    assert schema.purposes == ("x", "y")
    granted = np.zeros((n, 2), dtype=np.bool_)
    granted[0, 0] = granted[1, 1] = True
    context = {name: [True] * n for name in "abcd"}
    W = int(Status.WITHHELD)
    found = schema.gather(subjects(n), context, [], NOW_US, granted)
    assert found.status[:2].tolist() == [[P, P, W, P], [P, W, P, W]]
    assert (np.isnan(found.matrix) == (found.status == W)).all()
    assert schema.gather(subjects(n), context, [], NOW_US).status.tolist() == [[P, W, W, W]] * n
    with pytest.raises(UnknownFeatureError):
        schema.gather(subjects(n), {"e": [1] * n}, [], NOW_US, granted)


def test_large_and_small_batches_are_gathered_alike():
    """Rows read one by one and rows read by the column have the same bits."""
    rng = np.random.default_rng(11)
    values = [ROW, {**ROW, "age": 10**400, "vip": "x"}, {**ROW, "hour": -1e-20, "ltv": -0.0, "tier": "black"}]
    rows = [values[i] for i in rng.integers(0, 3, 40)]
    found = SCHEMA.gather(subjects(40), columns_of(rows), [], NOW_US)
    for start in range(0, 40, 8):
        part = SCHEMA.gather(subjects(8), columns_of(rows[start : start + 8]), [], NOW_US)
        assert bits(part.matrix) == bits(found.matrix[start : start + 8])
        assert bits(part.status) == bits(found.status[start : start + 8])
