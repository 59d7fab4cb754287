"""Which values do declared features accept, and what do they become?"""

import enum
import math
import struct
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic import zones
from agentic.arrays import Status
from agentic.conditions import Coded, Unlisted
from agentic.errors import ConfigurationError
from agentic.features import Category, Cyclic, Flag, Hashed, Number, RuleOnly, TimeZone
from agentic.protocols import Feature

P, NULL, INVALID, CLIPPED, OTHER = (
    Status.PRESENT,
    Status.NULL,
    Status.INVALID,
    Status.CLIPPED,
    Status.OTHER,
)


def numbered(names, cases):
    """Parametrise by place, because some cases cannot be named."""
    return pytest.mark.parametrize(names, cases, ids=range(len(cases)))


class Tier(enum.StrEnum):
    FREE = "free"
    GOLD = "gold"


class Rank(enum.IntEnum):
    FIRST = 1


def no(*_):
    """Answer nothing."""
    raise RuntimeError


class Lying(float):
    """A float that answers for itself, wrongly."""

    __float__ = __lt__ = __gt__ = __sub__ = no


class Unasked:
    """Nobody may ask it anything."""

    __class__ = property(no)
    __hash__ = __eq__ = __getattr__ = no


class Nameless(type):
    __hash__ = None


class Untyped(metaclass=Nameless):
    """Even its type cannot be hashed."""


@attrs.frozen
class Place:
    """Stands for a hostile value, because Hypothesis itself cannot handle some of them."""

    place: int


def nested(depth):
    value = ()
    for _ in range(depth):
        value = (value,)
    return value


HOSTILE = [
    math.nan,
    -math.nan,
    math.inf,
    -math.inf,
    1e308,
    -1e308,
    5e-324,
    -0.0,
    0,
    1,
    10**400,
    -(10**5000),
    2**53 + 1,
    True,
    False,
    "18",
    "",
    "gold",
    "free",
    "\ud800",
    "a\x00b",
    b"gold",
    bytearray(b"x"),
    None,
    nested(1000),
    [[]],
    {},
    {"a": 1},
    {1},
    object(),
    Decimal(1),
    1j,
    datetime(2026, 1, 1, tzinfo=UTC),
    timedelta(1),
    np.float32(0.5),
    np.float64(0.5),
    np.longdouble("1e4000"),
    np.int8(1),
    np.uint64(2**64 - 1),
    np.bool_(True),
    np.str_("gold"),
    np.bytes_(b"x"),
    np.datetime64("NaT"),
    np.timedelta64(5),
    np.array([1.0]),
    np.array(1.0),
    Tier.GOLD,
    Rank.FIRST,
    Lying(0.25),
    Unasked(),
    Untyped(),
    Unlisted(("free", "gold")),
    Unlisted(("x",)),
    Ellipsis,
    float,
    len,
    "Asia/Kolkata",
    1.5,
    -7,
]

FEATURES = [
    Number("n", low=-1, high=1),
    Number("d", low=0, high=10, default=3),
    Category("c", ["free", "gold", "x"]),
    Category("cd", ["free", "gold"], default="gold"),
    Cyclic("y", period=24),
    Cyclic("yd", period=0.1, default=7),
    Flag("f"),
    Flag("fd", default=True),
    Hashed("h", buckets=4),
    Hashed("hd", buckets=5, default="x"),
    TimeZone(),
    RuleOnly(Number("r", low=0, high=1)),
]
NAMES = [feature.name for feature in FEATURES]
every_feature = pytest.mark.parametrize("feature", FEATURES, ids=NAMES)


def as_objects(values):
    return np.fromiter(values, dtype=object, count=len(values))


def bits(array):
    return np.ascontiguousarray(array).tobytes()


def check(feature, values):
    """Resolve and encode a list in every way there is; all must agree, and nothing may be infinite."""
    numbers, status = feature.resolve(values)
    assert numbers.shape == status.shape == (len(values),)
    assert numbers.dtype == np.float64
    assert status.dtype == np.uint8
    usable = np.isin(status, [P, CLIPPED, OTHER])
    assert np.isfinite(numbers[usable]).all()
    assert np.isnan(numbers[~usable]).all()
    alone = [feature.resolve([value]) for value in values]
    for others in (
        feature.resolve(tuple(values)),
        feature.resolve(as_objects(values)),
        (
            np.array([number[0] for number, _ in alone], dtype=np.float64),
            np.array([code[0] for _, code in alone], dtype=np.uint8),
        ),
    ):
        assert np.array_equal(others[0], numbers, equal_nan=True)
        assert not (np.signbit(others[0]) & (others[0] == 0)).any()
        assert others[1].tolist() == status.tolist()
    whole = np.full((len(values), feature.width + 2), 7.0)
    feature.encode(numbers, whole[:, 1:-1])
    assert np.isfinite(whole).all()
    assert (whole[:, [0, -1]] == 7.0).all()
    for i in range(len(values)):
        out = np.empty((1, feature.width))
        feature.encode(numbers[i : i + 1], out)
        assert bits(out[0]) == bits(whole[i, 1:-1])
    return numbers, status, whole[:, 1:-1]


junk = st.recursive(
    st.builds(Place, st.sampled_from(range(len(HOSTILE))))
    | st.floats()
    | st.integers()
    | st.text()
    | st.binary()
    | st.booleans()
    | st.none()
    | st.sampled_from(["free", "gold", "Europe/Berlin"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@every_feature
@given(values=st.lists(junk, max_size=12))
def test_anything_resolves_and_encodes(feature, values):
    """No value raises; lists, tuples, arrays and single rows agree, and what is encoded is finite."""
    check(feature, [HOSTILE[value.place] if isinstance(value, Place) else value for value in values])


@every_feature
@given(
    values=st.lists(st.floats() | st.none(), max_size=30)
    | st.lists(st.integers(-(2**70), 2**70), max_size=30)
    | st.lists(st.booleans() | st.none(), max_size=30)
    | st.lists(st.sampled_from(["free", "gold", "Asia/Kolkata", None, "\ud800"]), max_size=30)
)
def test_plain_columns_resolve_as_their_values_do(feature, values):
    """Columns that are read at once, in C, give what reading value by value gives."""
    check(feature, values)


@every_feature
@pytest.mark.parametrize("place", range(len(HOSTILE)))
def test_a_hostile_value_does_not_touch_its_neighbours(feature, place):
    """A row's answer is the same beside a value that no feature can use."""
    value = HOSTILE[place]
    plain = [0.5, "gold", True, None]
    numbers, status, out = check(feature, [*plain, value])
    alone, told, encoded = check(feature, plain)
    assert np.array_equal(numbers[:4], alone, equal_nan=True)
    assert status[:4].tolist() == told.tolist()
    assert bits(out[:4]) == bits(encoded)


@every_feature
@numbered(
    "array",
    [
        np.array([0.0, -0.0, 1.0, np.nan, np.inf, -np.inf, 1e308, 0.5]),
        np.array([0.0, 1.0, 3e38, np.nan], dtype=np.float32),
        np.array([0, 1, 2], dtype=np.float16),
        np.array(["0.5", "1e4000", "nan"], dtype=np.longdouble),
        np.array([0, 1, -5, 2**40]),
        np.array([0, 1, 2**63], dtype=np.uint64),
        np.array([0, 1, 5], dtype=">i4"),
        np.array([True, False]),
        np.array(["free", "gold", "", "other", "Asia/Kolkata"]),
        np.array(["free", "gold", "other"], dtype=getattr(np.dtypes, "StringDType", lambda: object)()),
        np.array([b"free", b"x"]),
        np.array(["2026-01-01", "NaT"], dtype="M8[ns]"),
        np.array([1, 0], dtype="m8[ns]"),
        np.array([1j, 0]),
        np.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]),
        np.ma.masked_array([0.25, 0.5], mask=[True, False]),
        np.arange(20.0)[::2],
        np.array([]),
        np.array([], dtype=object),
    ],
)
def test_an_array_resolves_as_its_values_do(feature, array):
    """A numpy array of any dtype gives what a list of its values gives."""
    numbers, status = feature.resolve(array)
    listed, told, _ = check(feature, list(array) if array.dtype.kind in "Mm" else array.tolist())
    assert np.array_equal(numbers, listed, equal_nan=True)
    assert status.tolist() == told.tolist()


@every_feature
def test_resolving_leaves_the_callers_array_alone(feature):
    """What is resolved shares no memory with what was sent, and what was sent is unchanged."""
    sent = np.array([0.5, np.nan, -0.0, 99.0])
    before = bits(sent)
    numbers, _ = feature.resolve(sent)
    numbers[:] = 5
    assert bits(sent) == before


@every_feature
def test_a_matrix_has_no_values(feature):
    """Rows of a matrix are no values of a column."""
    _, status = feature.resolve(np.zeros((3, 2)))
    assert status.tolist() == [INVALID] * 3


@every_feature
def test_every_feature_satisfies_the_protocol(feature):
    """A declaration has all that the protocol asks for, and one name for each column."""
    assert isinstance(feature, Feature)
    assert len(feature.encoded) == feature.width
    assert feature.max_age_s is None
    assert feature == attrs.evolve(feature)
    assert hash(feature) == hash(attrs.evolve(feature))


@every_feature
def test_encoding_a_batch_is_encoding_its_rows(feature):
    """Encoded rows are the same bit for bit, whatever the size of the batch and the stride of the output."""
    rng = np.random.default_rng(7)
    if feature.categories is not None:
        numbers = rng.integers(-1, len(feature.categories), 3001).astype(np.float64)
    elif isinstance(feature, Hashed):
        numbers = rng.integers(1, feature.buckets + 1, 3001) * rng.choice([-1.0, 1.0], 3001)
    elif isinstance(feature, Flag):
        numbers = rng.integers(0, 2, 3001).astype(np.float64)
    else:
        numbers, _ = feature.resolve(rng.normal(size=3001))
    numbers[rng.random(3001) < 0.1] = np.nan
    whole = np.empty((3001, feature.width + 3))[:, 1 : 1 + feature.width]
    feature.encode(numbers, whole)
    for size in (1, 2, 3, 5, 7, 8, 9, 31, 64, 257):
        for start in range(0, 3001 - size, max(size, 61)):
            out = np.empty((size, feature.width))
            feature.encode(np.asfortranarray(numbers)[start : start + size], out)
            assert bits(out) == bits(whole[start : start + size])


def test_a_number_is_scaled_and_clipped():
    """A number runs from 0 at low to 1 at high; what lies outside is taken as the nearer end."""
    numbers, status, out = check(Number("a", low=10, high=20), [10, 20, 15.0, 9, 21.5, None])
    assert numbers[:5].tolist() == [10, 20, 15, 10, 20]
    assert status.tolist() == [P, P, P, CLIPPED, CLIPPED, NULL]
    assert out[:, 0].tolist() == [0, 1, 0.5, 0, 1, 0.5]


def test_a_missing_number_counts_as_its_default():
    """The default stands for missing values, and is scaled like any other."""
    assert check(Number("a", low=0, high=10, default=2), [None])[2].tolist() == [[0.2]]


@numbered(
    ("value", "expected"),
    [
        (math.nan, NULL),
        (None, NULL),
        (math.inf, INVALID),
        (True, INVALID),
        ("18", INVALID),
        (b"18", INVALID),
        (10**400, INVALID),
        (10**300, CLIPPED),
        (Decimal(1), INVALID),
        (np.bool_(True), INVALID),
        (np.timedelta64(1), INVALID),
        (Rank.FIRST, P),
        (Lying(0.25), P),
        (np.longdouble(1), P),
        (np.int16(1), P),
    ],
)
def test_what_is_a_number(value, expected):
    """Only finite numbers are: no flag, text, date, duration, nor an integer beyond float64."""
    assert check(Number("a", low=0, high=10), [value])[1].tolist() == [expected]


def test_the_widest_range_stays_finite():
    """A range as wide as float64 allows, or as narrow, is scaled without overflow."""
    top = 8e307
    assert check(Number("a", low=-top, high=top), [-top, top, 0.0, None])[2][:, 0].tolist() == [
        0,
        1,
        0.5,
        0.5,
    ]
    assert check(Number("a", low=0, high=5e-324), [0.0, 5e-324])[2][:, 0].tolist() == [0, 1]


def test_a_category_is_one_hot():
    """Each declared text has a column; another text is none of them, and says so."""
    numbers, status, out = check(Category("t", ["a", "b"]), ["a", "b", "z", None, math.nan, 3, Tier.GOLD])
    assert numbers[:3].tolist() == [0, 1, -1]
    assert status.tolist() == [P, P, OTHER, NULL, NULL, INVALID, OTHER]
    assert out.tolist() == [[1, 0], [0, 1], [0, 0], [0, 0], [0, 0], [0, 0], [0, 0]]


def test_a_missing_category_counts_as_its_default():
    """The default stands for a missing text, not for another one."""
    assert check(Category("t", ["a", "b"], default="b"), [None, "z"])[2].tolist() == [[0, 1], [0, 0]]


def test_an_enum_of_texts_is_its_texts():
    """Members of a StrEnum can be declared, sent, and be the default."""
    feature = Category("t", list(Tier), default=Tier.GOLD)
    assert feature.values == ("free", "gold")
    assert type(feature.values[0]) is str
    assert check(feature, [Tier.FREE, "gold", None])[2].tolist() == [[1, 0], [0, 1], [0, 1]]


@pytest.mark.parametrize("dtype", [np.float64, np.int8])
def test_a_column_coded_alike_is_taken_as_it_is(dtype):
    """Codes over the same categories are the feature's own: -1 another text, below missing, beyond other."""
    codes = np.array([0, 1, -1, -2, 5], dtype=dtype)
    numbers, status = Category("t", ["a", "b"]).resolve(Coded(codes, ("a", "b")))
    assert np.array_equal(numbers, [0, 1, -1, np.nan, -1], equal_nan=True)
    assert status.tolist() == [P, P, OTHER, NULL, OTHER]


def test_a_column_coded_otherwise_is_translated():
    """What is not among other categories may be one of ours, so it is known only where they cover ours."""
    feature = Category("t", ["a", "b"])
    codes = np.array([0.0, 1.0, -1.0, np.nan])
    numbers, status = feature.resolve(Coded(codes, ("b", "z")))
    assert np.array_equal(numbers, [1, -1, np.nan, np.nan], equal_nan=True)
    assert status.tolist() == [P, OTHER, INVALID, NULL]
    assert feature.resolve(Coded(codes, ("b", "z", "a")))[1].tolist() == [P, OTHER, OTHER, NULL]


def test_a_coded_column_is_not_of_numbers():
    """Texts stay texts when they are coded."""
    _, status = Number("a", low=0, high=1).resolve(Coded(np.array([0.0, np.nan]), ("1",)))
    assert status.tolist() == [INVALID, NULL]


def test_a_cycle_comes_round():
    """Any finite number is taken modulo the period, and missing ones are at the centre."""
    numbers, status, out = check(Cyclic("h", period=24), [0, 6, 30, -6, -1e-20, None, 1e308])
    assert numbers[:5].tolist() == [0, 6, 6, 18, 0]
    assert status.tolist() == [P, P, P, P, P, NULL, P]
    assert np.allclose(out[:6], [[0, 1], [1, 0], [1, 0], [-1, 0], [0, 1], [0, 0]], atol=1e-15)


def test_a_missing_place_in_a_cycle_counts_as_its_default():
    """The default is taken modulo the period as well."""
    assert np.allclose(check(Cyclic("h", period=24, default=30), [None])[2], [[1, 0]], atol=1e-15)


def test_a_tiny_period_stays_finite():
    """No period is so small that the angle overflows."""
    assert np.isfinite(check(Cyclic("h", period=5e-324), [1.0, 3e300])[2]).all()


def test_a_flag_is_yes_or_no():
    """Bools and the numbers 0 and 1 are flags, and nothing else is."""
    numbers, status, out = check(
        Flag("v", default=True), [True, False, 1, 0.0, 2, "yes", None, np.bool_(True)]
    )
    assert numbers[:4].tolist() == [1, 0, 1, 0]
    assert status.tolist() == [P, P, P, P, INVALID, INVALID, NULL, P]
    assert out[:, 0].tolist() == [1, 0, 1, 0, 1, 1, 1, 1]


def test_a_hashed_text_has_one_signed_column():
    """The resolved number names the column, from 1, and carries the sign."""
    feature = Hashed("m", buckets=8)
    texts = [f"merchant {i}" for i in range(200)]
    numbers, status, out = check(feature, texts)
    assert set(status.tolist()) == {P}
    assert set(np.abs(numbers).tolist()) == set(range(1, 9))
    for number, row in zip(numbers.tolist(), out.tolist(), strict=True):
        expected = [0.0] * 8
        expected[int(abs(number)) - 1] = math.copysign(1, number)
        assert row == expected


def test_hashes_are_the_same_everywhere():
    """The hash is part of what is logged, so it never changes; another name gives another hash."""
    assert Hashed("merchant").resolve(["a", "b", "c"])[0].tolist() == HASHES
    assert Hashed("other").resolve(["a", "b", "c"])[0].tolist() != HASHES


HASHES = [-13.0, -14.0, -11.0]


def test_what_can_be_hashed():
    """Texts and integers are hashed, an integer as its digits; other numbers and broken texts are not."""
    feature = Hashed("m")
    values = ["42", 42, np.int8(42), None, math.nan, 1.0, True, "\ud800", 10**5000, np.timedelta64(1), b"42"]
    numbers, status, _ = check(feature, values)
    assert status.tolist() == [P, P, P, NULL, NULL, *[INVALID] * 6]
    assert numbers[0] == numbers[1] == numbers[2]
    assert feature.resolve(np.array([42, 42]))[0].tolist() == [numbers[0]] * 2


def test_a_missing_hash_counts_as_its_default():
    """Without a default nothing is marked, with one its column is."""
    assert not check(Hashed("m", buckets=4), [None])[2].any()
    feature = Hashed("m", buckets=4, default="shop")
    out = check(feature, [None, "shop"])[2]
    assert bits(out[0]) == bits(out[1])
    assert np.abs(out).sum(axis=1).tolist() == [1, 1]


def test_coded_texts_are_hashed_as_texts():
    """A coded column gives the hashes of its texts; what the coding lost is gone."""
    feature = Hashed("m")
    numbers, status = feature.resolve(Coded(np.array([1, 0, -1, -2]), ("a", "b")))
    assert numbers[:2].tolist() == feature.resolve(["b", "a"])[0].tolist()
    assert status.tolist() == [P, P, INVALID, NULL]


def test_a_time_zone_is_its_number():
    """A zone resolves as agentic.zones numbers it; what is no zone is unknown, not some other zone."""
    feature = TimeZone()
    numbers, status, _ = check(feature, ["Asia/Kolkata", "Mars/Olympus", None, 5])
    assert numbers[0] == zones.number("Asia/Kolkata")
    assert status.tolist() == [P, INVALID, NULL, INVALID]
    assert feature.name == "time_zone"
    assert feature.categories == zones.names()


def test_coded_time_zones_are_translated():
    """Zones may come coded, as agentic.zones numbers them or otherwise."""
    feature, place = TimeZone(), zones.number("Europe/Berlin")
    alike = Coded(np.array([place, -1, -2]), zones.names())
    other = Coded(np.array([1, 0, -1, -2]), ("Mars/Olympus", "Europe/Berlin"))
    assert np.array_equal(feature.resolve(alike)[0], [place, np.nan, np.nan], equal_nan=True)
    assert feature.resolve(alike)[1].tolist() == [P, INVALID, NULL]
    assert feature.resolve(other)[1].tolist() == [P, INVALID, INVALID, NULL]


def test_zone_numbers_fill_in_the_default():
    """Asked for zone numbers, a feature gives its default, or -1, for subjects without a zone."""
    values = np.array([3.0, np.nan])
    default = TimeZone(default="Asia/Kolkata")
    assert TimeZone().numbers(values).tolist() == [3, -1]
    assert default.numbers(values).tolist() == [3, zones.number("Asia/Kolkata")]
    assert default.numbers(values).dtype == np.int16


def test_a_rule_only_feature_takes_no_columns():
    """It resolves as what it wraps does, and models never see it."""
    inner = Category("country", ["IN"], max_age=timedelta(hours=1))
    feature = RuleOnly(inner)
    assert (feature.name, feature.width, feature.encoded) == ("country", 0, ())
    assert (feature.categories, feature.max_age_s) == (("IN",), 3600.0)
    assert feature.resolve(["IN", "LK"])[0].tolist() == [0, -1]


AGED = [
    Number("n", low=0, high=1, max_age=timedelta(minutes=1)),
    Category("c", ["a"], max_age=timedelta(minutes=1)),
    Cyclic("y", period=1, max_age=timedelta(minutes=1)),
    Flag("f", max_age=timedelta(minutes=1)),
    Hashed("h", max_age=timedelta(minutes=1)),
    TimeZone(max_age=timedelta(minutes=1)),
]


@pytest.mark.parametrize("feature", AGED, ids=lambda feature: feature.name)
def test_ages_are_told_in_seconds(feature):
    """A duration comes in as a timedelta and is told in seconds."""
    assert feature.max_age_s == 60.0


@numbered(
    "make",
    [
        lambda: Number("", low=0, high=1),
        lambda: Number(3, low=0, high=1),
        lambda: Number("a\n", low=0, high=1),
        lambda: Number("x" * 201, low=0, high=1),
        lambda: Number("a", low=1, high=1),
        lambda: Number("a", low=2, high=1),
        lambda: Number("a", low=math.nan, high=1),
        lambda: Number("a", low=0, high=math.inf),
        lambda: Number("a", low="0", high=1),
        lambda: Number("a", low=False, high=True),
        lambda: Number("a", low=-1.7e308, high=1.7e308),
        lambda: Number("a", low=0, high=10**400),
        lambda: Number("a", low=0, high=1, default=2),
        lambda: Number("a", low=0, high=1, default=math.nan),
        lambda: Number("a", low=0, high=1, default="0"),
        lambda: Number("a", low=0, high=1, max_age=5),
        lambda: Number("a", low=0, high=1, max_age=timedelta(0)),
        lambda: Category("a", []),
        lambda: Category("a", "gold"[:0]),
        lambda: Category("a", None),
        lambda: Category("a", [""]),
        lambda: Category("a", ["x", 1]),
        lambda: Category("a", ["x", "y", "x"]),
        lambda: Category("a", [str(i) for i in range(10_001)]),
        lambda: Category("a", ["x"], default="y"),
        lambda: Category("a", ["x"], default=3),
        lambda: Cyclic("a", period=0),
        lambda: Cyclic("a", period=math.inf),
        lambda: Cyclic("a", period=24, default="noon"),
        lambda: Flag("a", default=None),
        lambda: Flag("a", default=1),
        lambda: Hashed("a", buckets=0),
        lambda: Hashed("a", buckets=2.0),
        lambda: Hashed("a", buckets=True),
        lambda: Hashed("a", buckets=100_001),
        lambda: Hashed("a", default=1.5),
        lambda: TimeZone(default="Mars/Olympus"),
        lambda: RuleOnly(Number),
        lambda: RuleOnly("age"),
        lambda: RuleOnly(Hashed("a")),
        lambda: RuleOnly(TimeZone()),
        lambda: RuleOnly(RuleOnly(Flag("a"))),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(make):
    """A bad declaration raises when it is made, and says what was given."""
    with pytest.raises(ConfigurationError) as caught:
        make()
    assert "value" in caught.value.facts


def test_one_text_declares_one_value():
    """A text given instead of a list is one value, not one for each letter."""
    assert Category("a", "gold").values == ("gold",)


def test_generators_may_declare_values():
    """Values may come from any iterable."""
    assert Category("a", (letter for letter in "xy")).values == ("x", "y")


def test_the_sign_of_zero_is_not_kept():
    """-0.0 and 0.0 are one number, so that equal values have equal bytes in a log."""
    for feature in (Number("n", low=-1, high=1), Cyclic("y", period=1), Flag("f")):
        for values in ([-0.0], np.array([-0.0]), [-0.0, "junk"], [-1e-9 * 0]):
            assert struct.pack("<d", feature.resolve(values)[0][0]) == bytes(8)


def test_hostile_values_are_hostile():
    """What is passed over above really raises when it is asked."""
    with pytest.raises(RuntimeError):
        float(Lying(1))
    with pytest.raises(RuntimeError):
        isinstance(Unasked(), float)
    with pytest.raises(TypeError):
        hash(Untyped)


def test_declarations_show_what_was_declared():
    """The text of a declaration is how it was written, without its tables."""
    told = "Category(name='t', values=('a',), default=None, max_age=None, purpose=None)"
    assert repr(Category("t", ["a"])) == told
    assert "_salt" not in repr(Hashed("t"))
