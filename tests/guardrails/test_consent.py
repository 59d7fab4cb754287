import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.errors import ConfigurationError
from agentic.guardrails import Consent
from agentic.types import Action, ConsentGranted, ConsentWithdrawn, Released
from batches import allowed, batch, chosen, ids, missing, named, records, space

ACTIONS = (
    Action("app", channel="push"),
    Action("letter"),
    Action("mail", channel="email"),
    Action("text", channel="sms"),
)
WORLD = space(*ACTIONS, fields=["opted_in", "tier"], categories={"tier": ("free", "gold")})
EVERY = {"app", "letter", "mail", "text"}

yes = lambda channel=None: ConsentGranted("marketing", channel)
no = lambda channel=None: ConsentWithdrawn("marketing", channel)


def told(rule, *facts):
    """A record after these facts, in order."""
    rows = records(rule)
    for fact in facts:
        assert rule.hear(rows, fact, 0)
    return rows


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([], set()),
        ([yes()], EVERY),
        ([no()], set()),
        ([yes("sms")], {"text"}),
        ([no("sms")], set()),
        ([yes(), no("sms")], EVERY - {"text"}),
        ([no("sms"), yes()], EVERY),
        ([no(), yes("sms")], {"text"}),
        ([yes("sms"), no()], set()),
        ([yes("sms"), no(), yes("email")], {"mail"}),
        ([yes("sms"), no("sms")], set()),
        ([no("sms"), yes("sms")], {"text"}),
        ([yes(), no()], set()),
        ([no(), yes()], EVERY),
        ([yes(), no("sms"), yes("sms")], EVERY),
    ],
    ids=named,
)
def test_the_last_word_counts(facts, expected):
    """A fact about all channels overrules what was said before of single ones, and the other way round."""
    rule = Consent("marketing").bind(WORLD)
    assert ids(rule, batch(WORLD, rows=told(rule, *facts))) == expected


@given(st.lists(st.tuples(st.booleans(), st.sampled_from([None, "sms", "email", "push", "fax"])), max_size=8))
def test_consent_is_the_last_fact_that_spoke_of_the_channel(facts):
    """Allowed is the channel whose last fact, its own or one about all channels, was a grant."""
    rule = Consent("marketing").bind(WORLD)
    rows = records(rule)
    for granted, channel in facts:
        assert rule.hear(rows, (yes if granted else no)(channel), 0) == (channel != "fax")
    kept = ids(rule, batch(WORLD, rows=rows))
    for action in ACTIONS:
        words = [granted for granted, channel in facts if channel is None or channel == action.channel]
        assert (action.id in kept) == (words != [] and words[-1])


@given(
    st.lists(st.tuples(st.booleans(), st.sampled_from([None, "sms", "email", "push"])), max_size=5),
    st.sampled_from([None, "sms", "email", "push", "fax", "SMS", "a fax"]),
)
def test_a_withdrawal_never_widens_permission(facts, channel):
    """Whatever was said before, after a withdrawal no more is allowed, not even of a channel nobody knows."""
    rule = Consent("marketing").bind(WORLD)
    rows = records(rule)
    for granted, spoken in facts:
        rule.hear(rows, (yes if granted else no)(spoken), 0)
    before = ids(rule, batch(WORLD, rows=rows))
    rule.hear(rows, no(channel), 0)
    assert ids(rule, batch(WORLD, rows=rows)) <= before


def test_what_nobody_said_is_denied_as_unknown():
    """Unknown consent denies and says so; withdrawn consent denies without a doubt."""
    rule = Consent("marketing").bind(WORLD)
    unknown = missing(rule, batch(WORLD, rows=told(rule, no("sms"))))
    assert dict(zip(WORLD.catalogue.ids, unknown[0].tolist(), strict=True)) == {
        "app": True,
        "letter": True,
        "mail": True,
        "no_action": False,
        "text": False,
    }
    assert not missing(rule, batch(WORLD, rows=told(rule, no()))).any()


@pytest.mark.parametrize(
    "fact",
    [
        ConsentGranted("service"),
        ConsentWithdrawn("service", "sms"),
        ConsentGranted("marketing", "fax"),
        Released(),
    ],
    ids=named,
)
def test_facts_about_something_else_are_not_heard(fact):
    """Another purpose, a channel nobody uses and another kind of fact change nothing and are not claimed."""
    rule = Consent("marketing").bind(WORLD)
    rows = told(rule, yes("sms"))
    before = rows.tobytes()
    assert not rule.hear(rows, fact, 0)
    assert rows.tobytes() == before


@pytest.mark.parametrize(
    ("value", "facts", "expected", "unknown"),
    [
        (1.0, [], EVERY, False),
        (0.0, [], set(), False),
        (np.nan, [], set(), True),
        (0.5, [], set(), True),
        (1.0, [no()], set(), False),
        (1.0, [no("sms")], EVERY - {"text"}, False),
        (0.0, [yes()], EVERY, False),
        (np.nan, [yes("sms")], {"text"}, True),
    ],
)
def test_a_feature_speaks_only_where_nothing_is_recorded(value, facts, expected, unknown):
    """The feature stands in for consent nobody recorded; a recorded word always wins over it."""
    rule = Consent("marketing", feature="opted_in").bind(WORLD)
    asked = batch(WORLD, rows=told(rule, *facts), columns={"opted_in": [value]})
    assert ids(rule, asked) == expected
    assert missing(rule, asked).any() == unknown


@pytest.mark.parametrize("feature", ["opted_out", "tier", ""])
def test_a_feature_that_is_not_declared_or_not_a_flag_is_refused(feature):
    """A consent that reads a feature nobody declares, or a category, cannot be bound."""
    with pytest.raises(ConfigurationError, match="yes-or-no feature"):
        Consent("marketing", feature=feature).bind(WORLD)


@pytest.mark.parametrize("purpose", ["", "line\nbreak", None, 3, "x" * 101])
def test_a_purpose_must_be_printable(purpose):
    """A purpose names fields of the record, so it must be a short printable text."""
    with pytest.raises(ConfigurationError, match="a purpose must be"):
        Consent(purpose)


def test_states_are_stored_by_purpose_and_channel():
    """A stored consent carries its purpose and channel in its name, so it is never read as another."""
    rule = Consent("marketing").bind(WORLD)
    assert [field.name for field in rule.fields] == [
        "marketing",
        "marketing:email",
        "marketing:push",
        "marketing:sms",
    ]
    assert {field.role for field in rule.fields} == {"profile"}
    assert Consent("marketing").fields == ()


def test_sending_changes_no_consent():
    """Settling leaves the record as it is."""
    rule = Consent("marketing").bind(WORLD)
    rows = told(rule, yes())
    asked, before = batch(WORLD, rows=rows), rows.tobytes()
    rule.settle(asked, chosen(asked, "text"))
    assert rows.tobytes() == before


def test_rows_are_judged_by_their_own_record():
    """Two subjects in one batch keep their own consent."""
    rule = Consent("marketing").bind(WORLD)
    rows = records(rule, 3)
    rule.hear(rows[1:2], yes("sms"), 0)
    rule.hear(rows[2:], yes(), 0)
    assert allowed(rule, batch(WORLD, rows=rows)).sum(axis=1).tolist() == [1, 2, 5]
