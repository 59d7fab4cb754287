from datetime import timedelta

import attrs
import numpy as np
import pytest

from agentic.arrays import Field
from agentic.errors import CatalogueError, ConfigurationError, LayoutError
from agentic.guardrails import (
    Budget,
    Consent,
    Cooldown,
    FrequencyCap,
    KillSwitch,
    QuietHours,
    Suppression,
    VolumeLimit,
)
from agentic.guardrails._scope import Spread, together
from agentic.protocols import Binds, Guardrail, Hears, Pooled, Stateful
from agentic.types import Action
from batches import batch, ids, named, records, space

DAY = timedelta(days=1)

RULES = {
    "budget": lambda **scope: Budget(0.5, **scope),
    "consent": lambda **scope: Consent("marketing", **scope),
    "cooldown": lambda **scope: Cooldown(DAY, **scope),
    "frequency_cap": lambda **scope: FrequencyCap(1, per=DAY, **scope),
    "kill_switch": KillSwitch,
    "quiet_hours": lambda **scope: QuietHours("08:00", "20:00", **scope),
    "suppression": Suppression,
    "volume_limit": lambda **scope: VolumeLimit(1, **scope),
}

WORLD = space(
    Action("call", channel="phone", cost=1.0),
    Action("email", channel="email", cost=1.0),
    Action("email_bill", channel="email", cost=1.0, message_class="service"),
    Action("recall", channel="email", cost=1.0, message_class="mandatory"),
)
EVERY = {"call", "email", "email_bill", "recall"}


def denied(rule, world=WORLD):
    """What the rule denies when it has every reason to."""
    bound = rule.bind(world)
    rows = records(bound, 1) if isinstance(bound, Stateful) else None
    if isinstance(rule, KillSwitch):
        rule.engage()
    if isinstance(rule, Suppression):
        rows["until"] = np.iinfo(np.int64).max
    if isinstance(rule, FrequencyCap | Cooldown):
        for name in rows.dtype.names:
            rows[name] = np.iinfo(np.int64).max
    return EVERY - ids(bound, batch(world, rows=rows, available=0))


@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ({"exempt": ()}, EVERY),
        ({"exempt": ["mandatory"]}, EVERY - {"recall"}),
        ({"exempt": {"mandatory", "service", "nothing"}}, {"call", "email"}),
        ({"channels": ["email"], "exempt": ()}, {"email", "email_bill", "recall"}),
        ({"message_classes": ["service"]}, {"email_bill"}),
        ({"actions": ["call", "email"], "channels": ["phone"]}, {"call"}),
        ({"actions": ["recall"], "exempt": ["mandatory"]}, set()),
    ],
    ids=["all", "spared", "several", "channel", "class", "both", "nobody"],
)
def test_a_rule_keeps_to_its_scope(make, scope, expected):
    """A rule denies what its channels, classes and actions share, less what is exempt."""
    assert denied(make(**scope)) == expected


@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
def test_a_mandatory_message_is_left_alone_unless_everything_must_stop(make):
    """By default only a suppression and the kill switch hold back a mandatory message."""
    rule = make()
    assert ("recall" in denied(rule)) == isinstance(rule, Suppression | KillSwitch)


@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
@pytest.mark.parametrize(
    "scope",
    [
        {"channels": "sms"},
        {"channels": []},
        {"channels": 3},
        {"channels": [None]},
        {"message_classes": b"service"},
        {"actions": [""]},
        {"exempt": "mandatory"},
        {"exempt": None},
        {"name": "Weekly cap"},
        {"name": ""},
        {"name": None},
    ],
    ids=named,
)
def test_a_scope_that_is_not_a_list_of_names_is_refused(make, scope):
    """A text in place of a list, an empty list and a name that is no word are errors when it is made."""
    with pytest.raises(ConfigurationError, match="must"):
        make(**scope)


@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
@pytest.mark.parametrize(
    "scope", [{"channels": ["sms"]}, {"message_classes": ["marketng"]}, {"actions": ["e-mail"]}], ids=named
)
def test_a_scope_that_is_not_in_the_catalogue_is_refused(make, scope):
    """A rule with a misspelt scope would protect nobody, so binding it is an error."""
    with pytest.raises((ConfigurationError, CatalogueError), match="no action"):
        make(**scope).bind(WORLD)


@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
def test_a_rule_that_was_not_bound_says_so(make):
    """Reviewing without a catalogue is an error that says what to do, not a permission."""
    with pytest.raises(ConfigurationError, match=r"not bound to a catalogue.*call bind"):
        make().review(batch(WORLD))


@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
def test_binding_leaves_the_rule_as_it_is(make):
    """Bind returns a copy with the same settings; the original can be bound elsewhere."""
    rule = make()
    once, twice = rule.bind(WORLD), rule.bind(WORLD).bind(WORLD)
    assert rule is not once
    assert rule._plan is None
    assert repr(once) == repr(rule) == repr(twice)
    if not isinstance(rule, KillSwitch):
        assert once == rule == twice
        assert hash(once) == hash(rule)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        rule.name = "other"


@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
def test_rules_fit_their_sockets(make):
    """Every rule is a guardrail that binds; its name is its default or the one it was given."""
    for rule in (make(), make().bind(WORLD)):
        assert isinstance(rule, Guardrail)
        assert isinstance(rule, Binds)
        assert isinstance(rule, Stateful) == isinstance(rule, Consent | Cooldown | FrequencyCap | Suppression)
        assert isinstance(rule, Hears) == isinstance(rule, Consent | Suppression)
        assert isinstance(rule, Pooled) == isinstance(rule, Budget | VolumeLimit)
    assert RULES[make().name] is make
    assert make(name="other_2").bind(WORLD).name == "other_2"


@pytest.mark.parametrize("make", RULES.values(), ids=RULES)
def test_a_row_is_judged_as_it_is_alone(make):
    """What a row is allowed does not depend on its neighbours."""
    rule = make().bind(WORLD)
    rows = records(rule, 5) if isinstance(rule, Stateful) else None
    zone = ["UTC", "Asia/Tokyo", None, "America/New_York", "UTC"]
    if rows is not None:
        noise = np.random.default_rng(7)
        for name in rows.dtype.names:
            rows[name] = noise.integers(0, 3, rows[name].shape) * 10**15
    whole = batch(WORLD, zone=zone, rows=rows)
    for row in range(5):
        alone = whole.take(slice(row, row + 1))
        assert ids(rule, alone) == ids(rule, whole, row)


def test_lists_of_names_have_one_order():
    """A set and a list of the same names make the same rule."""
    assert KillSwitch(channels={"b", "a", "c"}).channels == ("a", "b", "c")
    assert FrequencyCap(1, per=DAY, channels=["b", "a", "b"]) == FrequencyCap(1, per=DAY, channels=("a", "b"))


def test_a_single_group_and_several_spread_alike():
    """Answers by group reach exactly the candidates of the group, marks as well."""
    mask = np.array([True, False, True, True])
    one = Spread.of(["a"] * 4, mask)
    two = Spread.of(["a", "a", "b", "a"], mask)
    answers = np.array([[True, False], [False, False]])
    assert one.allowed(answers[:, :1]).tolist() == [[True] * 4, [False, True, False, False]]
    assert two.allowed(answers).tolist() == [[True, True, False, True], [False, True, False, False]]
    assert one.marked(answers[:, :1]).tolist() == [[True, False, True, True], [False] * 4]
    assert two.marked(answers).tolist() == [[True, False, False, True], [False] * 4]
    assert one.marked(answers[:, 1:]) is None
    assert two.members.tolist() == [2, 1]
    assert two.first.tolist() == [0, 2]


def test_fields_are_seen_together_wherever_the_layout_put_them():
    """Fields of one kind are one array, and writing to it writes to the record."""

    class Rule:
        name = "rule"
        fields = tuple(Field(name, np.int64, (2,)) for name in ("a", "a:b", "a:c"))

    rows = records(Rule, 3)
    seen = together(rows, ("a", "a:b", "a:c"), (2,))
    assert seen.shape == (3, 3, 2)
    seen[1, 2, 0] = 5
    assert rows["a:c"].tolist() == [[0, 0], [5, 0], [0, 0]]
    assert rows["a:b"].sum() == 0


@pytest.mark.parametrize(
    "rows",
    [
        None,
        np.zeros(1, dtype=[("b", "i8"), ("a", "i8")]),
        np.zeros(1, dtype=[("a", "i8"), ("x", "i1"), ("b", "i8")]),
        np.zeros(1, dtype=[("a", "i8"), ("b", "i4")]),
        np.zeros(1, dtype=[("a", "i8")]),
        np.zeros(1),
    ],
    ids=["none", "order", "apart", "dtype", "lacking", "plain"],
)
def test_fields_that_do_not_lie_together_are_refused(rows):
    """A record that was not composed for the rule is an error, and so a denial; it is never misread."""
    with pytest.raises(LayoutError):
        together(rows, ("a", "b"), ())
