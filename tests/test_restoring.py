"""A policy becomes data and is found again: the same to the bit, and never more than its template allows."""

import ast
import contextlib
import dataclasses
import enum
import hashlib
import json
import math
import os
import pathlib
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from types import MappingProxyType
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import attrs
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from agentic._codec import fingerprint
from agentic._packing import DEEPEST, unpack
from agentic._restoring import dump, restore, template_of
from agentic.arrays import Proposal
from agentic.catalogue import Catalogue
from agentic.conditions import F
from agentic.errors import CodecError, ConfigurationError
from agentic.policies import (
    BetaThompson,
    EpsilonGreedy,
    FactoredThompson,
    FirstOf,
    Fixed,
    LinearModel,
    LinearThompson,
    LinearUCB,
    Mixture,
    Personal,
    RandomFeatures,
    Rules,
    Softmax,
    Split,
    SquareCB,
    TemplateRanking,
    Uniform,
)
from agentic.protocols import Storable
from agentic.testing import batch, feedback, space
from agentic.types import Action

POLICIES = {
    "beta": BetaThompson,
    "epsilon": lambda: EpsilonGreedy(epsilon=0.2),
    "factored": FactoredThompson,
    "fading": lambda: LinearThompson(half_life=timedelta(days=3, microseconds=1)),
    "first_of": lambda: FirstOf(Rules([(F("age") > 40, "a1")], otherwise=None), LinearThompson()),
    "fixed": lambda: Fixed({"a1": 1, "a0": 0.5}),
    "linear": LinearThompson,
    "mixture": lambda: Mixture([(Uniform(), 1.0), (LinearUCB(), 3.0), (SquareCB(), 2)]),
    "personal": Personal,
    "personal_adults": lambda: Personal(only_if=F("age") >= 18, dimensions=["message", "channel"]),
    "random_features": lambda: RandomFeatures(width=5, warmup=20),
    "random_features_waiting": lambda: RandomFeatures(policy=Personal(), width=5, warmup=10_000),
    "rules": lambda: Rules([(F("age") > 40, "a1"), (F("tier") == "gold", "a2")], otherwise="a0"),
    "softmax": Softmax,
    "split": lambda: Split(LinearUCB(), [(SquareCB(), 0.4), (Uniform(), 0.2)], salt="s"),
    "template_ranking": lambda: TemplateRanking({"m0": None, "m1": F("age") > 40}, Softmax()),
    "uniform": Uniform,
}
named = pytest.mark.parametrize("make", POLICIES.values(), ids=POLICIES)


def bound(policy, to):
    return policy.bind(to) if hasattr(policy, "bind") else policy


def taught(policy, told):
    return policy.learn(told) if hasattr(policy, "learn") else policy


def answers(policy, of):
    proposal = policy.propose(of)
    parts = (proposal.weights, proposal.score, proposal.spread)
    return [None if part is None else np.asarray(part).tobytes() for part in parts]


@named
@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    sizes=st.lists(st.integers(0, 40), max_size=4),
    shape=st.tuples(st.integers(2, 9), st.integers(1, 12)),
    asked=st.booleans(),
    seed=st.integers(0, 100),
)
def test_every_policy_comes_back_whatever_it_has_learned(make, sizes, shape, asked, seed):
    """Restored it has the same fingerprint, answers with the same bits, and goes on learning the same."""
    k, d = shape
    # Four actions at least, because the rules and templates of some policies name them.
    of = batch(48, max(k, 4), d=d, seed=seed)
    told = feedback(batch(160, max(k, 4), d=d, seed=seed))
    template, to = make(), space(of)
    policy, lo = bound(template, to), 0
    for size in sizes:
        if asked:  # so that what is derived was derived in steps
            policy.propose(attrs.evolve(of, rows=None))
        policy, lo = taught(policy, told.take(slice(lo, lo + size))), lo + size
    for held in (template, policy):
        data = dump(held, template)
        assert data == dump(held, policy) == dump(held, bound(template, to))
        for with_it in (template, policy):
            back = restore(with_it, data)
            assert fingerprint(back) == fingerprint(held)
            assert dump(back, template) == data
    back = restore(template, dump(policy, template), to)
    assert type(back) is type(policy)
    of = attrs.evolve(of, rows=None)
    assert answers(back, of) == answers(policy, of)
    assert fingerprint(taught(back, told)) == fingerprint(taught(policy, told))


def digests():
    """A hash of the data of every policy after some learning."""
    of = batch(30)
    told, to = feedback(of), space(of)
    policies = [taught(bound(make(), to), told) for make in POLICIES.values()]
    return [hashlib.sha256(dump(policy, policy)).hexdigest() for policy in policies]


def test_the_same_bytes_in_every_process():
    """What is written depends on neither hash seeds nor addresses."""
    program = "import sys; sys.path.insert(0, sys.argv[1]); import test_restoring as t; print(t.digests())"
    found = subprocess.run(
        [sys.executable, "-c", program, str(pathlib.Path(__file__).parent)],
        env={**os.environ, "PYTHONHASHSEED": "1"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert ast.literal_eval(found) == digests()


def test_a_set_is_written_in_one_order():
    """However it was filled."""
    one, other = {8, 0}, {0, 8}  # of one hash: their order is that of their coming
    assert list(one) != list(other)
    assert dump(Stranger(anything=one), Stranger()) == dump(Stranger(anything=other), Stranger())


class Mood(enum.Enum):
    GOOD = "good"
    BAD = "bad"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Rank(enum.IntEnum):
    FIRST = 1


class Point(NamedTuple):
    x: float
    y: float = 0.0


@dataclasses.dataclass(frozen=True)
class Counts:
    wins: NDArray[np.float64]
    of: str = "anything"
    seen: list[int] = dataclasses.field(default_factory=list)
    total: float = dataclasses.field(init=False)

    def __post_init__(self):
        object.__setattr__(self, "total", float(self.wins.sum()))


@attrs.frozen(eq=False)
class Tree:
    """Learned state that holds itself."""

    split: float
    below: tuple["Tree", ...] = ()


class Says:
    """What the strangers below share: a name and an opinion."""

    name = "says"

    def propose(self, of):
        return Proposal(np.ones(of.allowed.shape))


def doubled(value):
    return 2 * value


@attrs.frozen(eq=False)
class Stranger(Says):
    """A policy of a stranger, who knows nothing of storing."""

    rate: float = 0.5
    label: str = "päöü \ud800"
    counts: Counts | None = None
    tree: Tree | None = None
    mood: Mood = Mood.GOOD
    anything: Any = None
    _secret: int = attrs.field(default=3, alias="hidden")
    _cache: dict[str, int] = attrs.field(factory=dict, init=False)
    _made: tuple[int, ...] = attrs.field(default=(), alias="made", metadata={"derived": True})
    double: float = attrs.field(init=False)

    def __attrs_post_init__(self):
        object.__setattr__(self, "double", 2 * self.rate)

    def bind(self, to):
        return attrs.evolve(self, made=(to.width,))


def test_a_stranger_needs_to_do_nothing():
    """An attrs class with arrays, texts, values of its own, private fields and derived ones comes back."""
    template = Stranger()
    learned = attrs.evolve(
        template,
        rate=math.pi,
        counts=Counts(np.arange(3.0), seen=[1, 2]),
        tree=Tree(0.5, (Tree(-0.0), Tree(math.nan))),
        mood=Mood.BAD,
        hidden=-7,
        made=(9,),
    )
    learned._cache["it"] = 1
    data = dump(learned, template)
    back = restore(template, data)
    assert fingerprint(back) == fingerprint(learned)
    assert (back._secret, back._made, back._cache, back.double) == (-7, (), {}, 2 * math.pi)
    assert (back.counts.total, back.mood, back.label) == (3.0, Mood.BAD, template.label)
    assert math.copysign(1, back.tree.below[0].split) == -1
    assert restore(template, data, space(batch(3, d=5)))._made == (5,)


EAST = timezone(timedelta(hours=5, minutes=30))
VALUES = {
    "array": np.arange(6, dtype=">i2").reshape(2, 3),
    "array_fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big": 10**40,
    "catalogue": Catalogue.of([Action("a", eligible=F("x") > 1, dimensions={"m": "1"}), Action("b", cost=1)]),
    "condition": (F("a.b") / 3 >= 0.1) & ~F("c").is_in(["é", "[["]),
    "dict": {"b": 1, "a": [2.0]},
    "dict_of_numbers": {2: "two", 1.5: None, (1, "x"): True, None: 0},
    "empty": ((), [], {}, set(), frozenset()),
    "floats": (0.1, -0.0, math.inf, -math.inf, math.nan, 5e-324),
    "function": doubled,
    "kind": Fraction,
    "mapping": MappingProxyType({"z": 1, "y": 2}),
    "member": (Mood.BAD, Rank.FIRST),
    "named": Point(1.0, -0.0),
    "scalars": (np.float32(0.1), np.float64(0.1), np.int8(-3), np.bool_(True)),
    "sets": ({3, 1, 2}, frozenset({"b", "a"})),
    "spans": (timedelta(days=-1, microseconds=1), timedelta.max),
    "text": '\x00 \ud800 🙂 " \\',
    "times": (
        datetime(2026, 1, 2, 3, 4, 5, 6),  # noqa: DTZ001 - a policy may hold one
        datetime(2026, 1, 2, tzinfo=UTC),
        datetime(1, 1, 1, tzinfo=EAST),
    ),
    "truth": (True, False, None, 1, 1.0),
    "words": np.array(["a", "bcd"]),
}


def alike(one, other):
    """The same value of the same type, all the way down."""
    assert type(one) is type(other)
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype.newbyteorder("=")
        np.testing.assert_array_equal(one, other)
    elif isinstance(one, Mapping):
        assert list(one) == list(other)
        for key in one:
            alike(one[key], other[key])
    elif isinstance(one, tuple | list):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            alike(*pair)
    elif isinstance(one, Catalogue):
        assert one.actions == other.actions
    elif isinstance(one, float):
        assert repr(one) == repr(other)
    else:
        assert one == other


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_values_come_back_as_what_they_were(value):
    """Of whatever type: also where a fingerprint does not tell two types apart."""
    policy = Stranger(anything=value)
    back = restore(policy, dump(policy, policy))
    alike(back.anything, value)
    assert fingerprint(back) == fingerprint(policy)


class Text(str):
    __slots__ = ()


class Opaque:
    """Says what it holds, but not how to make it of that."""

    def __init__(self, held):
        self.held = held


def endless():
    held = []
    held.append(held)
    return held


REFUSED = {
    "bytes": b"x",
    "complex": 1j,
    "dice": np.random.default_rng(0),
    "endless": endless(),
    "masked": np.ma.zeros(2),
    "object_array": np.array([None]),
    "opaque": Opaque(1),
    "flags": Access.READ | Access.WRITE,
    "ordered": OrderedDict(a=1),
    "read_only_class": Tree,
    "stranger_to_it": Point(1.0),
    "text_of_a_kind": Text("x"),
    "time_of_a_zone": datetime(2026, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")),
    "unnamed": lambda value: value,
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED)
def test_what_has_no_stored_form_is_refused_when_it_is_written(value):
    """What could not be made again is refused at once, and the error says where it is."""
    with pytest.raises(CodecError, match=r"^policy\.anything"):
        dump(Stranger(anything=value), Stranger())


@pytest.mark.parametrize("name", ["bytes", "dice", "flags", "masked", "object_array"])
def test_what_has_no_stored_form_is_refused_in_a_template_too(name):
    """That the template holds it helps only if it can be told that it is the same."""
    held = Stranger(anything=REFUSED[name])
    with pytest.raises(CodecError, match=r"^policy\.anything"):
        dump(held, held)


def test_code_and_objects_without_parts_are_those_of_the_template():
    """What declares no parts is not written: it is the template's, as long as it stays as it was."""
    template = Mixture([(Stranger(anything=(doubled, Opaque(1))), 1), (Stranger(anything=len), 2)])
    back = restore(template, dump(template, template))
    assert back.members[0][0].anything[0] is doubled
    assert back.members[0][0].anything[1] is template.members[0][0].anything[1]
    assert back.members[1][0].anything is len
    changed = Mixture([(Stranger(anything=(doubled, Opaque(2))), 1), (Stranger(anything=len), 2)])
    with pytest.raises(CodecError, match=r"anything\[1\] holds a Opaque that has no stored form"):
        dump(changed, template)
    with pytest.raises(CodecError, match="which the template does not hold"):
        restore(changed, dump(template, template))


def test_two_functions_of_one_name_are_not_told_apart():
    """Lambdas look alike: neither is stored."""
    template = Stranger(anything=(lambda: 1, lambda: 2))
    with pytest.raises(CodecError, match=r"anything\[0\]"):
        dump(template, template)


def test_two_classes_of_one_name_are_not_told_apart():
    """A class that looks like another one could be taken for it."""
    other = attrs.make_class("Tree", {"split": attrs.field(type=float | Tree)}, frozen=True)
    other.__module__, other.__qualname__ = Tree.__module__, Tree.__qualname__
    template = Stranger(anything=other(1.0))
    with pytest.raises(CodecError, match="name no two alike"):
        dump(template, template)
    good = Stranger(anything=Tree(1.0))
    with pytest.raises(CodecError, match="does not lead to"):
        restore(template, dump(good, good))


@attrs.frozen(eq=False)
class Vague(Says):
    """A policy whose annotations mean nothing, or something else than what it holds."""

    first: "Nowhere | None" = None  # noqa: F821
    second: int = 0
    third: Sequence[float] = ()


def test_a_field_that_declares_nothing_holds_what_the_template_holds():
    """A class is known from a value in the template, where no annotation names it."""
    learned = Vague(first=Tree(1.0))
    with pytest.raises(CodecError, match=r"policy\.first holds a Tree.* declare what the field may hold"):
        dump(learned, Vague())
    assert restore(learned, dump(learned, learned)).first.split == 1.0


def test_a_field_that_holds_what_it_does_not_declare_is_refused():
    """Data that no reader would take are not written."""
    with pytest.raises(CodecError, match=r"policy\.second is declared as <class 'int'> and holds a str"):
        dump(Vague(second="2"), Vague())
    with pytest.raises(CodecError, match=r"policy\.third is declared"):
        dump(Vague(third="2"), Vague())
    back = restore(Vague(), dump(Vague(second=np.int64(2), third=[1, 2.0]), Vague()))
    assert (back.second, back.third) == (2, [1, 2.0])


class Plain(Says):
    """A policy that is no attrs class, and stores itself."""

    def __init__(self, fn=doubled, sums=(0.0,)):
        self.fn, self.sums = fn, np.array(sums)

    def learn(self, told):
        return Plain(self.fn, self.sums + self.fn(told.reward.sum()))

    def to_data(self):
        return {"sums": self.sums}

    def from_data(self, data):
        return Plain(self.fn, data["sums"])


def test_a_plain_class_may_store_itself():
    """What a component says it is made of is what is stored; it makes itself of that, inside others too."""
    of = batch(9)
    told = feedback(of)
    assert isinstance(Plain(), Storable)
    for template in (Plain(), Mixture([(Plain(), 1.0), (Uniform(), 1.0)])):
        learned = template.learn(told)
        back = restore(template, dump(learned, template))
        assert fingerprint(back) == fingerprint(learned) != fingerprint(template)
        assert fingerprint(back.learn(told)) == fingerprint(learned.learn(told))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"from_data": lambda self, data: self.missing}, "cannot be made .* AttributeError"),
        ({"from_data": lambda self, data: Uniform()}, "from_data must return"),
        ({"to_data": lambda self: {"fn": lambda: 0}}, r"policy\.to_data\(\), item 0 holds"),
    ],
    ids=["raises", "returns_another", "holds_code"],
)
def test_a_component_that_stores_itself_badly_is_refused(change, says):
    """Its errors are the errors of the data."""
    kind = type("Bad", (Plain,), change)
    template = kind()
    with pytest.raises(CodecError, match=says):
        restore(template, dump(template, template))


def test_a_component_that_the_template_holds_none_of_is_refused():
    """One that makes itself of data is made by one of its class."""
    with pytest.raises(CodecError, match="of which the template holds none"):
        dump(Stranger(anything=Plain()), Stranger())
    held = Stranger(anything=Plain())
    with pytest.raises(CodecError, match="which the template does not hold"):
        restore(Stranger(), dump(held, held))


def test_another_policy_is_refused():
    """A policy is stored and restored with one of its own class."""
    with pytest.raises(CodecError, match="a LinearUCB is not restored with a LinearThompson"):
        dump(LinearUCB(), LinearThompson())
    mixture = Mixture([(Uniform(), 1), (LinearUCB(), 1)])
    other = Mixture([(LinearUCB(), 1), (Uniform(), 1)])
    assert restore(mixture, dump(other, mixture)).members[0][0].name == "linear_ucb"
    with pytest.raises(CodecError, match="the data hold a Mixture, the template is a FirstOf"):
        restore(FirstOf(mixture, Uniform()), dump(mixture, mixture))


def test_a_field_that_was_added_since_has_its_default():
    """Data of a class without the field are read as if it had its default; those with another are not."""
    before = attrs.make_class("Grown", {"a": attrs.field(default=1)}, bases=(Says,), frozen=True)
    after = attrs.make_class(
        "Grown", {"a": attrs.field(default=1), "b": attrs.field(default=2)}, bases=(Says,), frozen=True
    )
    assert restore(after(), dump(before(5), before())) == after(5, 2)
    with pytest.raises(CodecError, match=r"has fields that a .*Grown has not: \['b'\]"):
        restore(before(), dump(after(), after()))
    needed = attrs.make_class("Grown", ["a", "b"], bases=(Says,), frozen=True)
    with pytest.raises(CodecError, match=r"lacks \['b'\]"):
        restore(needed(1, 2), dump(before(5), before()))


def test_what_does_not_fit_the_space_says_so():
    """Features that changed are the reader's affair, not the data's."""
    of = batch(9, d=4)
    template = LinearThompson()
    learned = template.bind(space(of)).learn(feedback(of))
    with pytest.raises(ConfigurationError, match="the model has seen 4 feature columns"):
        restore(template, dump(learned, template), space(batch(9, d=5)))


class TripsWhenBound(Plain):
    def bind(self, to):
        raise ZeroDivisionError

    def from_data(self, data):
        return TripsWhenBound(self.fn, data["sums"])


def test_a_policy_that_fails_to_be_bound_is_refused():
    """A stranger's own error says nothing to the reader: the data are no policy for this space."""
    template = TripsWhenBound()
    with pytest.raises(CodecError, match="cannot be bound: ZeroDivisionError"):
        restore(template, dump(template, template), space(batch(3)))


HERE = Tree.__module__.partition(".")[0]


def forged(change, template, policy=None):
    """Data whose document somebody changed."""
    document, _ = unpack(data := dump(policy or template, template))
    length = int.from_bytes(data[16:24], "little")
    text = json.dumps(change(document)).encode()
    return data[:16] + len(text).to_bytes(8, "little") + text + data[24 + length :]


@pytest.mark.parametrize(
    "form",
    [
        [],
        {},
        {"list": 1},
        {"list": [], "tuple": []},
        {"nothing": 1},
        {"float": "1.5"},
        {"float": []},
        {"dict": {}},
        {"dict": [1]},
        {"dict": [["a", 1, 2]]},
        {"dict": [["a", 1], ["a", 2]]},
        {"dict": [[1, 1], [True, 2]]},
        {"dict": [[{"list": []}, 2]]},
        {"dict": [[1 << 70, 2]]},
        {"set": [1, 1]},
        {"set": [{"dict": []}]},
        {"frozenset": [{"tuple": [1 << 70]}]},
        {"span": [1, 2]},
        {"span": [1, 2, 0.5]},
        {"span": [True, 2, 3]},
        {"span": [10**12, 0, 0]},
        {"time": 5},
        {"time": "yesterday"},
        {"condition": {"==": [1, 2]}},
        {"condition": "[]"},
        {"condition": "é"},
        {"condition": '{"__import__": ["os"]}'},
        {"catalogue": "a"},
        {"catalogue": {"list": ["a"]}},
        {"catalogue": {"list": []}},
        {"member": "GOOD"},
        {"member": [f"{HERE}:Mood", "UGLY"]},
        {"member": [f"{HERE}:Mood", "__class__"]},
        {"member": [f"{HERE}:Tree", "split"]},
        {"object": [f"{HERE}:Mood", {}]},
        {"object": [f"{HERE}:Tree"]},
        {"object": [f"{HERE}:Tree", []]},
        {"object": [f"{HERE}:Tree", {}]},
        {"object": [f"{HERE}:Tree", {"split": "much"}]},
        {"object": [f"{HERE}:Tree", {"split": 1.0, "__class__": 1}]},
        {"object": [f"{HERE}:Counts", {"wins": 1}]},
        {"object": ["os:system", {"command": "true"}]},
        {"object": ["subprocess:Popen", {"args": "true"}]},
        {"object": [["os"], {}]},
        {"kept": "os.system"},
        {"kept": ["os.system"]},
        {"made": [f"{HERE}:Plain", {"dict": []}]},
        {"made": [[], {"dict": []}]},
        {"array": ["|O", [1], "C"]},
        {"array": ["<f8", [1 << 20], "C"]},
        {"scalar": ["<f8", [], "C"]},
    ],
    ids=lambda form: json.dumps(form)[:70],
)
def test_forms_that_are_none_are_refused(form):
    """Whatever stands where a value should, the error is the same one, and nothing is run or imported."""
    template = Stranger()

    def change(document):
        document["object"][1]["anything"] = form
        return document

    data, before = forged(change, template), set(sys.modules)
    with pytest.raises(CodecError, match="policy"):
        restore(template, data)
    assert set(sys.modules) == before


def test_a_number_too_large_for_a_float_is_refused():
    """JSON has numbers that floats have not; none becomes infinite in passing."""
    template = Stranger(anything=12345.5)
    data = dump(template, template).replace(b"12345.5", b"1.5e999")
    with pytest.raises(CodecError, match=r"policy\.anything is a number too large"):
        restore(template, data)


GOLDEN = pathlib.Path(__file__).parent / "golden"


def golden():
    """A policy with most kinds of values in it, as it was when version 1 of the format was released."""
    k, d = 2, 2
    gram = np.array([[[2.0, 1.0], [1.0, 3.0]], [[0.5, -0.0], [-0.0, 4.0]]])
    model = LinearModel(
        8.0, timedelta(days=3), ("a", "no_action"), gram, np.ones((k, d)), np.arange(2.0), np.ones(k), 17
    )
    rules = Rules([(F("age") / 2 >= 0.1, "a"), (F("tier").is_in(["é", "["]), "no_action")], otherwise=None)
    return Mixture(
        [(FirstOf(rules, LinearThompson(half_life=timedelta(days=3), model=model)), 1.0), (Uniform(), 0.1)]
    )


def test_data_of_version_1_are_read_for_ever():
    """What the first release wrote is what is written now, and is read as the same policy."""
    data = (GOLDEN / "policy-1.bin").read_bytes()
    policy = golden()
    template = Mixture([(FirstOf(policy.members[0][0].policies[0], LinearThompson()), 1.0), (Uniform(), 0.1)])
    assert fingerprint(restore(template, data)) == fingerprint(policy)
    assert dump(policy, template) == data


def test_bytes_that_belong_to_nothing_are_refused():
    """Nothing may hide behind the arrays."""
    data = dump(Uniform(), Uniform())
    with pytest.raises(CodecError, match="1 bytes are left over"):
        restore(Uniform(), data + b"x")


def test_what_nests_too_deep_is_refused_on_both_sides():
    """A tree of a hundred storeys is neither written nor read."""
    tree = Tree(0.0)
    for _ in range(DEEPEST):
        tree = Tree(0.0, (tree,))
    for template in (Stranger(), Stranger(tree=tree)):
        with pytest.raises(CodecError, match="deep"):
            dump(Stranger(tree=tree), template)


def hidden_in(policy):
    """A policy with everything in it, in few bytes."""
    return FirstOf(policy, Stranger(counts=Counts(np.ones(1)), tree=Tree(0.0), anything=doubled))


@pytest.mark.parametrize(
    "make",
    [
        lambda: hidden_in(Rules([(F("age") > 40, "a1")])),
        BetaThompson,
        lambda: hidden_in(LinearThompson(half_life=timedelta(days=3))),
        lambda: Personal(dimensions=["message"]),
    ],
    ids=["rules", "beta", "linear", "personal"],
)
def test_every_flipped_bit_is_refused_or_seen(make):
    """Of small data with one byte changed comes an error of this library, or a policy that is what it says.

    Never another error, and never a module that was not there.
    """
    of = batch(4, 3, d=1)
    template, to = make(), space(of)
    data = dump(taught(bound(template, to), feedback(of)), template)
    first, before = fingerprint(restore(template, data)), set(sys.modules)
    dice = np.random.default_rng(0)
    seen = 0
    for place in range(len(data)):
        broken = bytearray(data)
        broken[place] ^= 1 << int(dice.integers(8))
        try:
            back = restore(template, bytes(broken))
        except CodecError:
            continue
        assert (fingerprint(back) == first) == (dump(back, template) == data), place
        seen += 1
        with contextlib.suppress(CodecError, ConfigurationError):
            restore(template, bytes(broken), to)
    assert seen < len(data)
    assert set(sys.modules) == before


@settings(deadline=None)
@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda rest: b"agentic packed 1" + rest))
def test_any_bytes_at_all_are_refused(data):
    """No bytes but those that were written make a policy."""
    with pytest.raises(CodecError):
        restore(Stranger(), data)


@settings(deadline=None)
@given(st.data())
def test_data_cut_short_are_refused(data):
    """A policy lacks nothing."""
    of = batch(9, 3, d=2)
    whole = dump(LinearThompson().bind(space(of)).learn(feedback(of)), LinearThompson())
    with pytest.raises(CodecError):
        restore(LinearThompson(), whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_a_template_is_known_by_what_was_configured():
    """What a policy is told beyond its defaults is what its state belongs to; the space is not."""
    of = batch(9)
    assert template_of(LinearThompson()) == template_of(LinearThompson(exploration=0.2))
    assert template_of(LinearThompson()) != template_of(LinearThompson(exploration=0.3))
    assert template_of(LinearThompson()) != template_of(LinearUCB())
    learned = LinearThompson().bind(space(of)).learn(feedback(of))
    assert (
        len({template_of(LinearThompson()), template_of(learned), template_of(learned.learn(feedback(of)))})
        == 3
    )
    one = Mixture([(Uniform(), 1.0), (LinearUCB(), 3.0)])
    assert template_of(one) != template_of(Mixture([(Uniform(), 1.0), (LinearUCB(alpha=2.0), 3.0)]))
    assert template_of(one) == template_of(Mixture([(Uniform(), 1), (LinearUCB(alpha=1.0), 3)]))
    ranking = TemplateRanking({"m0": None, "m1": F("age") > 40}, Softmax())
    assert template_of(ranking) == template_of(TemplateRanking({"m1": F("age") > 40, "m0": None}, Softmax()))
    assert template_of(ranking) != template_of(TemplateRanking({"m0": None}, Softmax()))
    assert template_of(Stranger(counts=Counts(np.ones(1)))) != template_of(Stranger())


def test_a_template_outlives_a_field_that_is_added():
    """A release that adds a field with a default, or changes one, leaves stored state where it belongs."""
    before = attrs.make_class("Grown", {"a": attrs.field(default=1)}, bases=(Says,), frozen=True)
    after = attrs.make_class(
        "Grown", {"a": attrs.field(default=2), "b": attrs.field(factory=dict)}, bases=(Says,), frozen=True
    )
    assert template_of(before()) == template_of(after())
    assert template_of(before(5)) == template_of(after(5)) != template_of(after())
    assert template_of(after(b={"x": 1})) != template_of(after())


def test_a_default_that_depends_on_others_is_part_of_a_template():
    """What a default would be is not asked of a policy that is not there."""

    @attrs.frozen
    class Twice(Says):
        a: int = 1
        b: int = attrs.field(default=attrs.Factory(lambda self: 2 * self.a, takes_self=True))

    assert template_of(Twice()) == template_of(Twice(b=2)) != template_of(Twice(b=3))
    assert restore(Twice(), dump(Twice(4), Twice())).b == 8


def test_what_is_too_deep_has_no_template():
    """An endless policy ends here."""
    with pytest.raises(CodecError, match="nests at most 100 deep"):
        template_of(Stranger(anything=endless()))
