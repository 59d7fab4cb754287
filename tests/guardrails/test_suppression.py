from datetime import timedelta

import numpy as np
import pytest

from agentic.errors import InvalidTimeError
from agentic.guardrails import Suppression
from agentic.types import Action, ConsentGranted, Released, Suppressed, instant
from batches import NOW, batch, chosen, ids, named, records, space

HOUR = 3_600_000_000
WORLD = space(
    Action("later", delay=timedelta(hours=5)), Action("recall", message_class="mandatory"), Action("text")
)
EVERY = {"later", "recall", "text"}


def told(rule, *facts):
    rows = records(rule)
    for fact in facts:
        assert rule.hear(rows, fact, NOW)
    return rows


def until(hours):
    return Suppressed(instant(NOW + hours * HOUR))


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([], EVERY),
        ([Suppressed()], set()),
        ([until(9)], set()),
        ([until(3)], {"later"}),
        ([until(5)], {"later"}),
        ([until(0)], EVERY),
        ([until(9), until(3)], set()),
        ([Suppressed(), until(3)], set()),
        ([Suppressed(), Released()], EVERY),
        ([Released(), until(3)], {"later"}),
    ],
    ids=named,
)
def test_nothing_arrives_before_the_suppression_ends(facts, expected):
    """Denied is what would arrive before the longest suppression told since the last release."""
    rule = Suppression().bind(WORLD)
    assert ids(rule, batch(WORLD, rows=told(rule, *facts))) == expected


def test_a_suppression_for_good_never_ends():
    """Without an end it holds for the last microsecond that can be counted, short of one."""
    rule = Suppression().bind(WORLD)
    last = batch(WORLD, now=0, rows=told(rule, Suppressed()))
    last.delivery = np.full(last.delivery.shape, np.iinfo(np.int64).max - 1)
    assert ids(rule, last) == set()


def test_exempt_classes_are_left_alone():
    """A suppression may be told to let mandatory messages through."""
    rule = Suppression(exempt=["mandatory"]).bind(WORLD)
    assert ids(rule, batch(WORLD, rows=told(rule, Suppressed()))) == {"recall"}


def test_other_facts_are_not_heard():
    """A consent is no release."""
    rule = Suppression().bind(WORLD)
    rows = told(rule, Suppressed())
    assert not rule.hear(rows, ConsentGranted("marketing"), NOW)
    assert ids(rule, batch(WORLD, rows=rows)) == set()


def test_an_end_needs_a_zone():
    """A naive time is an error, and changes nothing."""
    rule = Suppression().bind(WORLD)
    rows = records(rule)
    with pytest.raises(InvalidTimeError):
        rule.hear(rows, Suppressed(instant(NOW).replace(tzinfo=None)), NOW)
    assert ids(rule, batch(WORLD, rows=rows)) == EVERY


def test_sending_changes_no_suppression():
    """Settling leaves the record as it is; the field is kept until erased."""
    rule = Suppression().bind(WORLD)
    rows = told(rule, until(3))
    asked, before = batch(WORLD, rows=rows), rows.tobytes()
    rule.settle(asked, chosen(asked, "later"))
    assert rows.tobytes() == before
    assert [field.role for field in rule.fields] == ["profile"]
