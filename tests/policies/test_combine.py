"""Policies made of policies: fallbacks, mixtures, templates with a learned ranking."""

import math

import attrs
import numpy as np
import pytest

from agentic._codec import fingerprint
from agentic.arrays import Proposal
from agentic.catalogue import Catalogue
from agentic.conditions import F
from agentic.errors import ConfigurationError
from agentic.policies import (
    EpsilonGreedy,
    FirstOf,
    Fixed,
    LinearUCB,
    Mixture,
    Rules,
    TemplateRanking,
    Uniform,
)
from agentic.testing import batch, feedback, space
from agentic.types import NO_ACTION, Action

# Columns: a, b, no_action.
ACTIONS = Catalogue.of([Action("a"), Action("b")])


@attrs.frozen(eq=False)
class Says:
    """Answers what it was told, row by row of ``X``'s first column."""

    weights: np.ndarray
    score: np.ndarray | None = None
    spread: np.ndarray | None = None
    name: str = "says"

    def propose(self, of):
        row = of.X[:, 0].astype(int)
        return Proposal(
            self.weights[row],
            None if self.score is None else self.score[row],
            None if self.spread is None else self.spread[row],
        )


def rows(n=4):
    of = batch(n, actions=ACTIONS)
    return attrs.evolve(of, allowed=np.ones_like(of.allowed), X=np.arange(n, dtype=float)[:, None])


def table(*lines):
    return np.array(lines, dtype=float)


EMPTY = table([0, 0, 0], [1, 2, 0], [0, 0, 0], [0, 3, 0])
FULL = table([5, 0, 0], [0, 5, 0], [0, 0, 5], [5, 5, 5])


def test_the_first_with_an_opinion_decides_each_row():
    """Rows the first leaves empty are filled by the second, and only those."""
    np.testing.assert_array_equal(
        FirstOf(Says(EMPTY), Says(FULL)).propose(rows()).weights,
        table([5, 0, 0], [1, 2, 0], [0, 0, 5], [0, 3, 0]),
    )


def test_weight_on_what_is_not_allowed_is_no_opinion():
    """A row whose weights are all struck out goes to the next policy, and struck weights are 0."""
    of = rows()
    of.allowed[1, :2] = False
    of.allowed[3, 0] = False
    got = FirstOf(Says(EMPTY), Says(FULL), Uniform()).propose(of).weights
    np.testing.assert_array_equal(got, table([5, 0, 0], [0, 0, 1], [0, 0, 5], [0, 3, 0]))


def test_nonsense_is_not_hidden_by_the_next_policy():
    """A row with nan keeps it: the flow counts the failure."""
    odd = EMPTY.copy()
    odd[1, 0] = math.nan
    got = FirstOf(Says(odd), Says(FULL)).propose(rows()).weights
    assert np.isnan(got[1]).any()
    np.testing.assert_array_equal(got[0], FULL[0])


def test_a_later_policy_is_not_asked_without_need():
    """When every row is decided the rest are not called."""
    nobody = Says(np.zeros((0, 3)))  # it would fail on any row
    np.testing.assert_array_equal(FirstOf(Says(FULL), nobody).propose(rows()).weights, FULL)
    with pytest.raises(IndexError):
        nobody.propose(rows())


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False])
def test_score_and_spread_are_of_who_decided(first, second):
    """A policy without scores leaves nan in its rows; without any scores there are none."""
    one, other = np.full((4, 3), 0.25), np.full((4, 3), 0.75)
    policy = FirstOf(
        Says(EMPTY, one if first else None, one * 2 if first else None),
        Says(FULL, other if second else None, other * 2 if second else None),
    )
    proposal = policy.propose(rows())
    if not first and not second:
        assert proposal.score is proposal.spread is None
        return
    decided = np.array([False, True, False, True])[:, None]
    want = np.where(decided, one if first else math.nan, other if second else math.nan)
    np.testing.assert_array_equal(proposal.score, want)
    np.testing.assert_array_equal(proposal.spread, want * 2)
    assert (one == 0.25).all()


def test_members_are_bound_and_taught():
    """Fallbacks and mixtures hand the space and the feedback on to those that want them."""
    of = batch(30)
    for make in (
        FirstOf,
        lambda *members: Mixture([(member, 2) for member in members]),
    ):
        policy = make(Uniform(), EpsilonGreedy(), Rules([], otherwise=None)).bind(space(of))
        learned = policy.learn(feedback(of))
        assert type(learned) is type(policy)
        parts = [
            part[0] if isinstance(part, tuple) else part for part in attrs.astuple(learned, recurse=False)[0]
        ]
        assert isinstance(parts[0], Uniform)
        assert parts[1].fitted.count.sum() == 30
        assert fingerprint(learned) != fingerprint(policy)


@pytest.mark.parametrize("members", [(), (Uniform(),)], ids=["none", "one"])
def test_a_fallback_needs_two(members):
    """With fewer there is nobody to fall back to."""
    with pytest.raises(ConfigurationError, match="at least two policies"):
        FirstOf(*members)


NO_POLICIES = [Uniform, "uniform", None, 5, object()]


@pytest.mark.parametrize("member", NO_POLICIES, ids=["class", "text", "none", "number", "object"])
@pytest.mark.parametrize(
    "make",
    [
        lambda member: FirstOf(Uniform(), member),
        lambda member: Mixture([(member, 1.0)]),
        lambda member: TemplateRanking({"m": None}, member),
    ],
    ids=["first_of", "mixture", "template_ranking"],
)
def test_a_member_is_a_policy(make, member):
    """A class that was not called, or something else, is refused where it is written."""
    with pytest.raises(ConfigurationError, match="is not a policy: pass an object"):
        make(member)


def test_a_mixture_adds_probabilities():
    """Each member's weights are normalised over what is allowed, then mixed by the shares."""
    of = rows()
    of.allowed[3, 2] = False
    got = Mixture([(Says(FULL), 3), (Uniform(), 1.0), (Fixed({"b": 8.0}), 4)]).propose(of).weights
    third = 1 / 8 / 3
    want = table(
        [3 / 8 + third, 4 / 8 + third, third],
        [third, 7 / 8 + third, third],
        [third, 4 / 8 + third, 3 / 8 + third],
        [3 / 16 + 1 / 16, 3 / 16 + 1 / 16 + 4 / 8, 0],
    )
    # Sums of three products of numbers below 1.
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-15)


def test_a_member_without_opinion_leaves_its_share_to_the_others():
    """What remains is in the proportion of the shares of those who have one."""
    got = Mixture([(Says(EMPTY), 1), (Says(FULL), 1), (Fixed("no_action"), 2)]).propose(rows()).weights
    np.testing.assert_allclose(got[0] / got[0].sum(), [1 / 3, 0, 2 / 3], rtol=1e-15)
    np.testing.assert_allclose(got[1], [1 / 12, 1 / 6 + 1 / 4, 1 / 2], rtol=1e-15)


def test_a_mixture_shows_the_first_score_there_is():
    """With its spread, though it may have none."""
    one, other = np.full((4, 3), 0.25), np.full((4, 3), 0.75)
    proposal = Mixture([(Uniform(), 1), (Says(FULL, one), 1), (Says(FULL, other, other), 1)]).propose(rows())
    np.testing.assert_array_equal(proposal.score, one)
    assert proposal.spread is None


@pytest.mark.parametrize(
    "members",
    [
        [],
        5,
        None,
        [Uniform()],
        [(Uniform(),)],
        [(Uniform(), 0)],
        [(Uniform(), -1.0)],
        [(Uniform(), math.nan)],
        [(Uniform(), math.inf)],
        [(Uniform(), True)],
        [(Uniform(), "1")],
        [(Uniform(), 1), (Uniform(), None)],
    ],
    ids=range(12),
)
def test_shares_are_positive_numbers(members):
    """Anything else is refused, with what was given."""
    with pytest.raises(ConfigurationError, match=r"needs \(policy, share\) pairs with positive shares"):
        Mixture(members)


TEMPLATED = Catalogue.of(
    [
        Action("hello/now", dimensions={"message": "hello", "time": "now"}),
        Action("hello/later", dimensions={"message": "hello", "time": "later"}),
        Action("offer/now", dimensions={"message": "offer", "time": "now"}),
        Action("plain"),
    ]
)


def templated(n, **columns):
    of = batch(n, actions=TEMPLATED)
    return attrs.evolve(
        of,
        allowed=np.ones_like(of.allowed),
        columns={name: np.array(values, dtype=float) for name, values in columns.items()},
    )


def candidates(policy, of):
    return [{of.action_ids[c] for c in np.flatnonzero(row)} for row in policy.propose(of).weights]


def test_templates_whose_rule_holds_are_candidates():
    """All actions of the template, and NO_ACTION; unknown does not hold; what is not listed is not sent."""
    of = templated(3, x=[1, 5, math.nan])
    policy = TemplateRanking({"hello": F("x") > 2, "plain": None}, Uniform()).bind(space(of))
    assert candidates(policy, of) == [
        {"plain", "no_action"},
        {"plain", "no_action", "hello/now", "hello/later"},
        {"plain", "no_action"},
    ]


def test_another_dimension_may_hold_the_template():
    """``dimension`` names it."""
    of = templated(1)
    policy = TemplateRanking({"now": None}, Uniform(), dimension="time").bind(space(of))
    assert candidates(policy, of) == [{"hello/now", "offer/now", "no_action"}]


def test_what_the_rules_deny_stays_denied():
    """The ranker sees fewer candidates, never more, and its weight on others is struck out."""
    of = templated(2)
    of.allowed[0, TEMPLATED.column("hello/now")] = False
    of.allowed[1, TEMPLATED.idle] = False
    policy = TemplateRanking({"hello": None, NO_ACTION.id: None}, Uniform()).bind(space(of))
    assert candidates(policy, of) == [{"hello/later", "no_action"}, {"hello/now", "hello/later"}]


def test_the_ranker_ranks_and_learns():
    """It is bound, asked with the narrowed candidates, and taught; its score is shown."""
    of = templated(40, x=[5.0] * 40)
    policy = TemplateRanking({"hello": F("x") > 2}, LinearUCB()).bind(space(of))
    learned = policy.learn(feedback(of))
    assert learned.ranker.fitted.count.sum() == 40
    proposal = learned.propose(of)
    assert proposal.score.shape == of.allowed.shape
    assert set().union(*candidates(learned, of)) <= {"hello/now", "hello/later", "no_action"}


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        (
            {"goodbye": None, "hello": None},
            r"templates \['goodbye'\] are neither levels of 'message' nor action ids",
        ),
        ({"hello": F("shoe_size") > 40}, r"names \['shoe_size'\]"),
    ],
    ids=["template", "field"],
)
def test_templates_name_what_exists(templates, message):
    """An unknown template or field is found when the policy is bound."""
    with pytest.raises(ConfigurationError, match=message):
        TemplateRanking(templates, Uniform()).bind(space(templated(1, x=[0])))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TemplateRanking({}, Uniform()), r"condition or None by template, got \{\}"),
        (lambda: TemplateRanking(["hello"], Uniform()), "condition or None by template"),
        (
            lambda: TemplateRanking({"hello": True}, Uniform()),
            "template 'hello' needs a condition .* got True",
        ),
        (lambda: TemplateRanking({5: None}, Uniform()), "template 5 needs"),
        (lambda: TemplateRanking({"no_action": F("x") > 1}, Uniform()), "'no_action' is always a candidate"),
        (lambda: TemplateRanking({"hello": None}, Uniform(), dimension=5), "dimension must be a text, got 5"),
    ],
    ids=["empty", "list", "bool", "number", "nothing", "dimension"],
)
def test_malformed_templates_are_refused(make, message):
    """What is no mapping from templates to conditions says which part is not."""
    with pytest.raises(ConfigurationError, match=message):
        make()
