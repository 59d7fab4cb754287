"""The canonical form: content in, the same text out, in every process; what has none is refused."""

import enum
import json
import math
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic._codec import canonical, converter, fingerprint, plain
from agentic.conditions import F
from agentic.errors import CodecError
from agentic.policies import (
    EpsilonGreedy,
    FirstOf,
    Fixed,
    LinearThompson,
    Mixture,
    Rules,
    Split,
    TemplateRanking,
    Uniform,
)
from agentic.testing import batch, feedback, space
from agentic.types import Action, Choice, Cost, Decision


@attrs.frozen
class Sample:
    value: object
    cache: dict = attrs.field(factory=dict, metadata={"derived": True})
    size: int = attrs.field(init=False, default=3)


class Named:
    name = "named"

    def __init__(self, **held):
        self.__dict__.update(held)


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_json_values_are_their_own_plain_form(value):
    """What JSON can hold comes back out of the canonical text as it went in."""
    assert plain(value) == value
    assert json.loads(canonical(value)) == value
    assert len(fingerprint(value)) == 16


@given(st.dictionaries(st.text(), st.integers(), min_size=2))
def test_the_order_of_keys_is_irrelevant(value):
    """Two dicts with the same items have one fingerprint."""
    assert fingerprint(value) == fingerprint(dict(reversed(value.items())))


@given(st.sets(st.one_of(st.integers(), st.text(), st.tuples(st.integers()))))
def test_sets_are_written_in_order_whatever_they_hold(value):
    """Mixed members are sorted by their own canonical text."""
    assert fingerprint(value) == fingerprint(frozenset(sorted(value, key=repr)))
    assert len(plain(value)) == len(value)


def test_keys_that_are_no_texts_keep_their_type():
    """1 and "1" are two keys."""
    assert fingerprint({1: "a"}) != fingerprint({"1": "a"})
    assert fingerprint({1: "a", "1": "b"}) == fingerprint({"1": "b", 1: "a"})
    assert fingerprint({(1, 2): "a"}) != fingerprint({(2, 1): "a"})


DISTINCT = [
    None, True, 1, 1.0, 0.0, -0.0, math.nan, math.inf, -math.inf, "", "1", [], [1], {}, {"a": 1}, Colour.RED,
    Colour.BLUE, timedelta(seconds=1), timedelta(seconds=1, microseconds=1), datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1))), F("a") > 1, F("a") > 2, ~(F("a") > 1),
    Sample(1), Sample(2), Sample(np.zeros(2)), np.zeros(2), np.array([0.0, -0.0]),
    np.zeros(2, dtype=np.float32), np.zeros((2, 1)), np.array([math.nan, math.inf]), np.zeros(0),
    np.zeros(()), np.array(["a"]),
    np.array(["2026-01-01"], dtype="datetime64[us]"), Named(), Named(weight=1), Named(weight=2), plain, Named,
]  # fmt: skip


def test_different_content_has_different_fingerprints():
    """Every kind of value, and every change within one, is told apart."""
    assert len({fingerprint(value) for value in DISTINCT}) == len(DISTINCT)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (np.float64(1.5), 1.5),
        (np.float32(1.5), 1.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (np.float32("nan"), math.nan),
        (np.float64("inf"), math.inf),
        ((1, 2), [1, 2]),
        (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6.0).reshape(2, 3))),
        (np.arange(6.0)[::2], np.array([0.0, 2.0, 4.0])),
        (np.arange(3, dtype=">i8"), np.arange(3, dtype="<i8")),
        (Sample(1, cache={"a": 1}), Sample(1)),
    ],
)
def test_the_same_content_has_the_same_fingerprint(one, other):
    """Numpy's scalars, memory layout, byte order and derived fields are not content."""
    assert fingerprint(one) == fingerprint(other)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        b"bytes",
        1j,
        np.longdouble(1),
        np.complex128(1),
        np.array([object()]),
        np.zeros(2, dtype=[("a", "i4")]),
        Sample(object()),
        [{"a": {1, object()}}],
        Named(lock=threading.Lock()),
    ],
    ids=[
        "object",
        "bytes",
        "complex",
        "longdouble",
        "complex128",
        "objects",
        "records",
        "field",
        "deep",
        "held",
    ],
)
def test_what_has_no_stored_form_is_refused(value):
    """However deep it lies; the message says what to do."""
    with pytest.raises(CodecError, match="has no stored form"):
        fingerprint(value)


def test_texts_of_variable_width_are_refused():
    """Their arrays hold pointers, which differ from process to process."""
    if not hasattr(np.dtypes, "StringDType"):  # pragma: no cover - numpy 1
        pytest.skip("numpy 1 has none")
    with pytest.raises(CodecError, match="has no stored form"):
        fingerprint(np.array(["a"], dtype=np.dtypes.StringDType()))


def test_derived_fields_and_fields_that_are_no_arguments_are_left_out():
    """What can be made again from the rest is not content."""
    kind = f"{Sample.__module__}.{Sample.__qualname__}"
    assert plain(Sample(1)) == {"type": kind, "value": 1}


def test_an_array_says_dtype_shape_and_bytes():
    """The form that a reader in another language can follow."""
    assert plain(np.array([[1, 2]], dtype=">i2")) == {"dtype": "<i2", "shape": [1, 2], "b64": "AQACAA=="}


MAKES = {
    "epsilon": (EpsilonGreedy, {"epsilon": 0.1}, {"epsilon": 0.2}),
    "precision": (LinearThompson, {"precision": 1.0}, {"precision": 2.0}),
    "half life": (LinearThompson, {}, {"half_life": timedelta(days=1)}),
    "weights": (Fixed, {"weights": {"a": 1.0}}, {"weights": {"a": 1.0, "b": 0.5}}),
    "rule": (Rules, {"rules": [(F("x") > 1, "a")]}, {"rules": [(F("x") > 2, "a")]}),
    "otherwise": (Rules, {"rules": [], "otherwise": "a"}, {"rules": [], "otherwise": "b"}),
    "share": (lambda share: Mixture([(Uniform(), share)]), {"share": 1.0}, {"share": 2.0}),
    "split": (lambda share: Split(Uniform(), [(Fixed("a"), share)]), {"share": 0.1}, {"share": 0.2}),
    "salt": (lambda salt: Split(Uniform(), [(Fixed("a"), 0.1)], salt=salt), {"salt": ""}, {"salt": "x"}),
    "member": (lambda a: FirstOf(Fixed(a), Uniform()), {"a": "x"}, {"a": "y"}),
    "template": (lambda c: TemplateRanking({"m": c}, Uniform()), {"c": None}, {"c": F("x") > 1}),
}


@pytest.mark.parametrize("name", sorted(MAKES))
def test_a_policy_is_known_by_its_settings(name):
    """Another value of any field is another version; the same is the same."""
    make, one, other = MAKES[name]
    assert fingerprint(make(**one)) == fingerprint(make(**one))
    assert fingerprint(make(**one)) != fingerprint(make(**other))


def test_a_policy_is_known_by_what_it_learned():
    """Learning is a new version, also within other policies; asking is not."""
    of = batch(20)
    policy = FirstOf(Rules([], otherwise=None), LinearThompson()).bind(space(of))
    first = fingerprint(policy)
    policy.propose(of)
    assert fingerprint(policy) == first
    assert fingerprint(policy.learn(feedback(of))) not in {first, fingerprint(Uniform())}


def test_another_process_finds_the_same_fingerprint():
    """Neither Python's hash seed nor the order of a set comes in."""
    code = (
        "import numpy as np\n"
        "from agentic._codec import fingerprint\n"
        "from agentic.conditions import F\n"
        "from agentic.policies import LinearThompson\n"
        "told = [{'b', 'a', 'c'}, F('x').is_in({'u', 'v', 'w'}), np.arange(5.0), LinearThompson()]\n"
        "print(fingerprint(told))"
    )
    want = fingerprint([{"a", "b", "c"}, F("x").is_in({"w", "v", "u"}), np.arange(5.0), LinearThompson()])
    for seed in ("1", "2"):
        said = subprocess.run(
            [sys.executable, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout
        assert said == f"{want}\n"


def test_the_converter_reads_what_it_writes():
    """Times keep their instant, durations their microseconds; the converter is made once."""
    made = converter()
    assert made is converter()
    at = datetime(2026, 3, 29, 1, 30, tzinfo=timezone(timedelta(hours=2)))
    for value, kind in ((at, datetime), (timedelta(days=3, microseconds=7), timedelta)):
        assert made.structure(json.loads(json.dumps(made.unstructure(value))), kind) == value
    cost = Cost(message=0.12, compute_us=3.5, weighed=4)
    assert made.loads(made.dumps(cost), Cost) == cost


def test_the_converter_refuses_keys_it_does_not_know():
    """A record with a field too many is not silently cut."""
    with pytest.raises(Exception, match="Cost"):
        converter().structure({"message": 0.1, "compute_us": 1.0, "weighed": 2, "more": 1}, Cost)


def test_a_decision_can_be_written():
    """Everything a caller holds has a canonical form."""
    choice = Choice(Action("a", dimensions={"message": "m"}), 0.5, False, None, None)
    decision = Decision(
        "0" * 32,
        "s",
        "agent",
        datetime(2026, 1, 1, tzinfo=UTC),
        (choice,),
        "policy",
        "f" * 16,
        {},
        (),
        Cost(0, 0, 2),
    )
    told = json.loads(canonical(decision))
    assert told["choices"][0]["action"]["dimensions"] == {"message": "m"}
    assert told["at"] == {"time": "2026-01-01T00:00:00+00:00"}
