"""Which actions there are: checked, sorted, laid out as arrays; and factored actions."""

import math
from collections import Counter
from datetime import timedelta
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.catalogue import Catalogue, Level, product
from agentic.conditions import F
from agentic.errors import CatalogueError
from agentic.types import MANDATORY, MARKETING, NO_ACTION, SERVICE, Action

ACTIONS = [
    Action("sms_voucher", channel="sms", cost=0.12, delay=timedelta(hours=2)),
    Action("push_reminder", channel="push", send_at="18:30"),
    Action("email_digest", channel="email", cost=0.01, message_class=SERVICE),
    Action("recall", channel="email", message_class=MANDATORY),
]
IDS = ("email_digest", "no_action", "push_reminder", "recall", "sms_voucher")


def test_a_catalogue_lists_actions_by_id_with_doing_nothing_among_them():
    """Every array counts columns in the order of ids."""
    catalogue = Catalogue.of(ACTIONS)
    assert catalogue.ids == IDS
    assert tuple(action.id for action in catalogue.actions) == IDS
    assert len(catalogue) == 5
    assert catalogue.idle == 1
    assert catalogue.sends.tolist() == [True, False, True, True, True]
    assert catalogue.cost.tolist() == [0.01, 0.0, 0.0, 0.0, 0.12]
    assert catalogue.cost_micros.tolist() == [10_000, 0, 0, 0, 120_000]
    assert catalogue.delay_us.tolist() == [0, 0, 0, 0, 7_200_000_000]
    assert catalogue.send_minute.tolist() == [-1, -1, 18 * 60 + 30, -1, -1]
    assert catalogue.slotted.tolist() == [2]
    assert catalogue.channels == ("email", "push", "sms")
    assert catalogue.channel.tolist() == [0, -1, 1, 0, 2]
    assert catalogue.classes == (MANDATORY, MARKETING, SERVICE)
    assert catalogue.message_class.tolist() == [2, 1, 1, 0, 1]
    assert catalogue.mandatory.tolist() == [False, False, False, True, False]
    assert (catalogue.at_once, catalogue.outranks) == (False, True)
    assert [catalogue.column(name) for name in IDS] == [0, 1, 2, 3, 4]
    assert not catalogue.cost.flags.writeable


@given(st.permutations([*ACTIONS, NO_ACTION]))
def test_the_order_of_writing_is_irrelevant(listed):
    """The same actions in another order, NO_ACTION written or not, are the same columns."""
    assert Catalogue.of(listed).ids == IDS


def test_a_plain_catalogue_delivers_at_once():
    """Without delays, slots and mandatory messages the catalogue says so."""
    catalogue = Catalogue.of([Action("a")])
    assert (catalogue.at_once, catalogue.outranks) == (True, False)
    assert catalogue.slotted.shape == (0,)


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ([], "at least one action"),
        ([NO_ACTION], "at least one action"),
        (["push"], "must be Action values, got 'push'"),
        ([Action("a"), Action("a", cost=1.0)], "'a' appears twice"),
        ([Action("a"), Action("a")], "'a' appears twice"),
        ([Action("no_action", channel="sms")], "'no_action' is reserved"),
        ([Action(str(i)) for i in range(60_001)], "at most 60,000 actions, got 60,001"),
    ],
    ids=["none", "nothing", "text", "two", "twins", "reserved", "many"],
)
def test_a_catalogue_refuses_what_is_ambiguous(actions, message):
    """None, duplicates, something else, the reserved id, too many."""
    with pytest.raises(CatalogueError, match=message):
        Catalogue.of(actions)


@pytest.mark.parametrize(
    ("cost", "due"),
    [
        (0.1 * 3, 300_000),
        (0.12, 120_000),
        (1e-7, 1),
        (0.000_001, 1),
        (0.000_001_1, 2),
        (0.0, 0),
        (0.07 * 100, 7_000_000),
        (999_999_999.5, 999_999_999_500_000),
        (5e-324, 0),
    ],
)
def test_money_is_counted_in_millionths_rounded_up(cost, due):
    """What is over counts as one more, but the noise of floats beyond a millionth of a millionth does not."""
    catalogue = Catalogue.of([Action("a", cost=cost)])
    assert catalogue.cost_micros.tolist() == [due, 0]


@given(st.integers(0, 10**15 - 1))
def test_whole_millionths_are_exact(amount):
    """An amount with six decimals is that many millionths, however it is written in binary."""
    assert Catalogue.of([Action("a", cost=amount / 10**6)]).cost_micros[0] == amount


@given(st.floats(0, 999_999_999.0))
def test_no_price_is_undercounted(cost):
    """The count is at least the price and less than one more, but for a millionth of a millionth."""
    counted = int(Catalogue.of([Action("a", cost=cost)]).cost_micros[0])
    # A float of this size is itself known to 2^-53 of its value.
    slack = Fraction(1, 10**6) + Fraction(cost) * 10**6 / 2**52
    assert Fraction(cost) * 10**6 - slack <= counted < Fraction(cost) * 10**6 + 1 + slack


def test_an_unknown_action_is_named_with_some_that_exist():
    """The message lists ids, and the fact is on the error."""
    with pytest.raises(
        CatalogueError, match="no action 'psuh' in this catalogue: there are email_digest"
    ) as caught:
        Catalogue.of(ACTIONS).column("psuh")
    assert caught.value.facts["value"] == "psuh"


@pytest.mark.parametrize(
    ("scope", "picked"),
    [
        ({}, {"email_digest", "push_reminder", "recall", "sms_voucher"}),
        ({"channels": ["email"]}, {"email_digest", "recall"}),
        ({"channels": ["email", "sms"]}, {"email_digest", "recall", "sms_voucher"}),
        ({"channels": []}, set()),
        ({"message_classes": [MARKETING]}, {"push_reminder", "sms_voucher"}),
        ({"message_classes": ["unheard_of"]}, set()),
        ({"actions": ["recall", "no_action"]}, {"recall"}),
        ({"actions": []}, set()),
        ({"exempt": [MANDATORY]}, {"email_digest", "push_reminder", "sms_voucher"}),
        (
            {"channels": ["email"], "exempt": (MANDATORY,), "actions": ["email_digest", "recall"]},
            {"email_digest"},
        ),
    ],
    ids=range(10),
)
def test_a_rule_is_about_what_it_picks(scope, picked):
    """Scopes narrow each other, and doing nothing is never among them."""
    catalogue = Catalogue.of(ACTIONS)
    mask = catalogue.pick(**scope)
    assert mask.shape == (5,)
    assert mask.dtype == np.bool_
    assert not mask.flags.writeable
    assert {catalogue.ids[column] for column in np.flatnonzero(mask)} == picked


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ({"channels": ["fax"]}, r"no action uses channel 'fax': there are \['email', 'push', 'sms'\]"),
        ({"actions": ["fax"]}, "no action 'fax'"),
    ],
    ids=["channel", "action"],
)
def test_a_scope_of_nothing_that_exists_is_refused(scope, message):
    """A misspelt channel or action is a mistake, not an empty rule."""
    with pytest.raises(CatalogueError, match=message):
        Catalogue.of(ACTIONS).pick(**scope)


def test_a_product_has_every_combination():
    """Ids join the levels in the order of the dimensions; a dimension named channel sets the channel."""
    actions = product({"message": ["offer", "hello"], "channel": ["sms", "push"]})
    assert [action.id for action in actions] == ["offer/sms", "offer/push", "hello/sms", "hello/push"]
    assert [action.channel for action in actions] == ["sms", "push", "sms", "push"]
    assert dict(actions[1].dimensions) == {"message": "offer", "channel": "push"}
    assert {action.message_class for action in actions} == {MARKETING}


def test_levels_add_up():
    """Costs and delays are added; slot, channel and class are set, by the last dimension that sets them."""
    [action] = product(
        {
            "message": [
                Level("offer", cost=0.1, delay=timedelta(hours=1), message_class=SERVICE, send_at="09:00")
            ],
            "discount": [Level("ten", cost=0.2, delay=timedelta(minutes=30), channel="post")],
            "time": [Level("evening", send_at="18:30", channel="email")],
        },
        eligible=F("age") >= 18,
        message_class=MARKETING,
    )
    assert action == Action(
        "offer/ten/evening",
        channel="email",
        message_class=SERVICE,
        cost=0.1 + 0.2,
        eligible=F("age") >= 18,
        delay=timedelta(minutes=90),
        send_at="18:30",
        dimensions={"message": "offer", "discount": "ten", "time": "evening"},
    )


def test_a_condition_leaves_combinations_out():
    """Only those for which it is true are made."""
    dimensions = {"message": ["offer", "hello"], "channel": ["sms", "push"], "time": ["now", "later"]}
    kept = product(
        dimensions, where=~((F("channel") == "sms") & (F("message") == "hello")) & (F("time") != "later")
    )
    assert [action.id for action in kept] == ["offer/sms/now", "offer/push/now", "hello/push/now"]


def test_a_comparison_that_cannot_be_known_leaves_out():
    """Levels are texts, so a number is never among them."""
    with pytest.raises(CatalogueError, match="leaves no combination"):
        product({"discount": ["10", "20"]}, where=F("discount") > 5)


@pytest.mark.parametrize(
    ("dimensions", "message"),
    [
        ({}, "at least one dimension"),
        ({"message": []}, "'message' must list at least one level"),
        ({"message": ["a", "a"]}, "each once"),
        ({"message": ["a", Level("a")]}, "each once"),
        ({"message": "abc"}, "must be a list of levels, got 'abc'"),
        ({"message": 5}, "must be a list of levels, got 5"),
        ({"message": [5]}, "got 5"),
        ({"message": [""]}, "got ''"),
    ],
    ids=str,
)
def test_a_malformed_dimension_is_refused(dimensions, message):
    """Empty, ambiguous, and what is no list of levels."""
    with pytest.raises(CatalogueError, match=message):
        product(dimensions)


def test_a_condition_over_something_else_is_refused():
    """``where`` speaks of dimensions; who may get an action is said with ``eligible``."""
    with pytest.raises(
        CatalogueError, match=r"where names \['age'\], expected only the dimensions \['message'\]"
    ):
        product({"message": ["a"]}, where=F("age") > 3)


@pytest.mark.parametrize(
    "given_",
    [
        {"cost": -1.0},
        {"cost": math.nan},
        {"cost": "1"},
        {"delay": timedelta(days=-1)},
        {"delay": 5},
        {"send_at": "25:00"},
        {"channel": 5},
        {"message_class": "Not A Word"},
    ],
    ids=str,
)
def test_a_level_refuses_what_no_action_can_be(given_):
    """The mistake is reported where it was written, not at some combination."""
    with pytest.raises(CatalogueError):
        Level("a", **given_)


def test_levels_that_spell_the_same_id_are_found_out():
    """Two combinations with one id cannot stand in a catalogue."""
    with pytest.raises(CatalogueError, match="'a/b/c' appears twice"):
        Catalogue.of(product({"x": ["a/b", "a"], "y": ["c", "b/c"]}))


def test_ten_thousand_actions_are_laid_out():
    """A product of four dimensions makes a catalogue of that many columns, each found by its id."""
    dimensions = {name: [f"{name}{i}" for i in range(10)] for name in "wxyz"}
    actions = product(dimensions, where=F("w") != "nobody")
    catalogue = Catalogue.of(actions)
    assert len(catalogue) == 10_001
    assert list(catalogue.ids) == sorted(catalogue.ids)
    assert all(catalogue.column(action.id) == column for column, action in enumerate(catalogue.actions))
    assert Counter(action.dimensions.get("z") for action in catalogue.actions)["z7"] == 1000
