"""Policies that do not learn: a fixed choice, chance, rules."""

import math

import attrs
import numpy as np
import pytest

from agentic.catalogue import Catalogue
from agentic.conditions import F
from agentic.errors import CatalogueError, ConfigurationError
from agentic.policies import FirstOf, Fixed, Rule, Rules, Uniform
from agentic.testing import batch, space
from agentic.types import NO_ACTION, Action

ACTIONS = Catalogue.of([Action("call"), Action("mail"), Action("text")])


def rows(n=6, **columns):
    """Rows where everything is allowed, with these feature columns."""
    of = batch(n, actions=ACTIONS)
    return attrs.evolve(
        of,
        allowed=np.ones_like(of.allowed),
        columns={name: np.array(values, dtype=float) for name, values in columns.items()},
    )


def chosen(policy, of):
    """Id of the only action with weight in each row; ``None`` where there is none."""
    weights = np.asarray(policy.propose(of).weights)
    assert ((weights > 0).sum(axis=1) <= 1).all()
    return [of.action_ids[int(row.argmax())] if row.any() else None for row in weights]


@pytest.mark.parametrize("told", ["mail", Action("mail"), {"mail": 3}], ids=["id", "action", "weights"])
def test_a_fixed_choice_is_always_the_same(told):
    """An action, its id and a weight for it say the same."""
    assert chosen(Fixed(told).bind(space(rows())), rows()) == ["mail"] * 6


def test_fixed_odds_are_the_same_in_every_row():
    """Weights stand in the order of the catalogue, whatever the order they were written in."""
    of = rows()
    policy = Fixed({"text": 0.5, "call": 2, "mail": 0})
    assert policy.bind(space(of)) is policy
    np.testing.assert_array_equal(policy.propose(of).weights, np.tile([2.0, 0.0, 0.0, 0.5], (6, 1)))


@pytest.mark.parametrize(
    "told",
    [{}, {"a": 0.0}, {"a": -1.0}, {"a": math.nan}, {"a": math.inf}, {"a": True}, {"a": "1"}, 5, None, ["a"]],
    ids=str,
)
def test_fixed_refuses_odds_that_are_none(told):
    """Weights are finite numbers of at least 0, one of them positive."""
    with pytest.raises(ConfigurationError, match="Fixed needs") as caught:
        Fixed(told)
    assert caught.value.facts["value"] == told or math.isnan(told["a"])


def test_fixed_refuses_an_action_there_is_not():
    """A misspelt id is found when the policy is bound."""
    with pytest.raises(CatalogueError, match="no action 'fax' in this catalogue: there are call"):
        Fixed({"mail": 1.0, "fax": 1.0}).bind(space(rows()))


def test_uniform_weighs_all_the_same():
    """Every candidate has weight 1; the flow strikes out what is not allowed."""
    of = batch(9)
    np.testing.assert_array_equal(Uniform().propose(of).weights, np.ones(of.allowed.shape))


def test_the_first_rule_that_holds_decides():
    """Rules are asked in order; without one the choice is ``otherwise``."""
    rules = Rules([(F("x") > 2, "call"), (F("x") > 1, Action("mail")), Rule(F("y") > 0, "text")])
    of = rows(x=[3, 2, 1, 1, 2.5, 0], y=[1, 1, 1, 0, 0, -1])
    assert chosen(rules, of) == ["call", "mail", "text", "no_action", "call", "no_action"]
    assert chosen(Rules(rules.rules, otherwise=Action("text")), of)[-1] == "text"


def test_an_unknown_condition_does_not_hold():
    """A missing value passes to the next rule, negated or not."""
    rules = Rules([(F("x") > 2, "call"), (~(F("x") > 2), "mail")], otherwise="text")
    assert chosen(rules, rows(3, x=[3, 1, math.nan])) == ["call", "mail", "text"]
    assert chosen(rules, rows(3)) == ["text"] * 3


def test_a_rule_whose_action_is_not_allowed_passes():
    """The next rule that holds decides instead."""
    of = rows(3, x=[3, 3, 3])
    of.allowed[0, 0] = False
    of.allowed[1, :2] = False
    assert chosen(Rules([(F("x") > 2, "call"), (F("x") > 1, "mail")]), of) == ["mail", "no_action", "call"]


def test_rules_may_leave_a_row_to_the_next_policy():
    """With ``otherwise=None`` a row that no rule decides has no weight."""
    rules = Rules([(F("x") > 2, "call")], otherwise=None)
    of = rows(2, x=[3, 1])
    assert chosen(rules.bind(space(of)), of) == ["call", None]
    assert chosen(FirstOf(rules, Fixed("text")), of) == ["call", "text"]


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        (Rules([(F("x") > 2, "fax")]), "no action 'fax'"),
        (Rules([(F("x") > 2, "call")], otherwise="fax"), "no action 'fax'"),
        (
            Rules([(F("x") > 2, "call"), (F("shoe_size") > 40, "mail")]),
            r"condition F.*> 40 names \['shoe_size'\], declared are \['x'\]: declare it as a feature",
        ),
    ],
    ids=["action", "otherwise", "field"],
)
def test_rules_name_what_exists(rules, message):
    """An unknown action or field is found when the policy is bound."""
    with pytest.raises(ConfigurationError, match=message):
        rules.bind(space(rows(x=[0] * 6)))


def test_rules_that_fit_are_bound_as_they_are():
    """Binding checks; there is nothing to size."""
    rules = Rules([(F("x") > 2, "call")])
    assert rules.otherwise == NO_ACTION.id
    assert rules.bind(space(rows(x=[0] * 6))) is rules


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rules(5), "list of rules, got 5"),
        (lambda: Rules([F("x") > 1]), "pair of condition and action"),
        (lambda: Rules([(F("x") > 1, "a", "b")]), "pair of condition and action"),
        (lambda: Rules(["ab"]), "pair of condition and action, got 'ab'"),
        (lambda: Rules([("a", F("x") > 1)]), r"condition such as F\('age'\) >= 18, got 'a'"),
        (lambda: Rules([(True, "a")]), "got True"),
        (lambda: Rules([(F("x") > 1, 5)]), "action must be an Action or its id, got 5"),
        (lambda: Rules([(F("x") > 1, None)]), "action must be an Action or its id, got None"),
        (lambda: Rules([], otherwise=5), "otherwise must be an Action or its id, got 5"),
    ],
    ids=["number", "condition", "triple", "text", "turned", "bool", "id", "none", "otherwise"],
)
def test_malformed_rules_are_refused(make, message):
    """What is no list of pairs of a condition and an action says which part is not."""
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_policies_without_learning_are_equal_by_content():
    """Two that say the same are the same, and may be kept in sets."""
    assert Fixed("a") == Fixed(Action("a"))
    assert {Uniform(), Uniform()} == {Uniform()}
    assert Rules([(F("x") > 1, "a")]) == Rules([Rule(F("x") > 1, Action("a"))])
    assert hash(Rules([(F("x") > 1, "a")])) == hash(Rules([Rule(F("x") > 1, Action("a"))]))
