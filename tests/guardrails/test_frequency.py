from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentic.errors import ConfigurationError
from agentic.guardrails import Cooldown, FrequencyCap
from agentic.types import Action, micros
from batches import NOW, allowed, batch, chosen, ids, records, space

HOUR = 3_600_000_000
DAY = timedelta(days=1)
WORLD = space(
    Action("bill", channel="email", message_class="service"),
    Action("late", channel="sms", delay=timedelta(hours=5)),
    Action("mail", channel="email"),
    Action("note"),
    Action("recall", channel="sms", message_class="mandatory"),
    Action("text", channel="sms"),
)
EVERY = {"bill", "late", "mail", "note", "recall", "text"}


class Subject:
    """One subject, one rule, and every delivery in its scope."""

    def __init__(self, rule, world=WORLD, slots=1):
        self.rule, self.world, self.slots = rule.bind(world), world, slots
        self.rows = records(self.rule)
        self.sent = []

    def may(self, now):
        return ids(self.rule, batch(self.world, now=now, rows=self.rows, slots=self.slots))

    def send(self, now, *actions):
        asked = batch(self.world, now=now, rows=self.rows, slots=self.slots)
        choice = chosen(asked, actions)
        self.rule.settle(asked, choice)
        self.sent += choice.delivery[0].tolist()

    def offer(self, now, action):
        if action not in self.may(now):
            return False
        self.send(now, action)
        return True


def most_in_a_window(times, per):
    """The most deliveries in any window of that length, its start excluded."""
    return max((sum(t - per < other <= t for other in times) for t in times), default=0)


@given(
    count=st.integers(1, 4),
    steps=st.lists(st.integers(0, 30), min_size=1, max_size=40),
)
def test_a_cap_is_exact_in_both_directions(count, steps):
    """A send without delay is allowed if and only if the last window, without its start, has room for it."""
    subject, now = Subject(FrequencyCap(count, per=timedelta(hours=24))), NOW
    for step in steps:
        now += step * HOUR // 3
        room = sum(t > now - 24 * HOUR for t in subject.sent) < count
        assert subject.offer(now, "text") == room
    assert most_in_a_window(subject.sent, 24 * HOUR) <= count


@given(
    count=st.integers(1, 3),
    offers=st.lists(st.tuples(st.integers(-20, 20), st.sampled_from(["text", "late"])), max_size=40),
)
@example(count=1, offers=[(0, "text"), (10, "text"), (-5, "text")])
def test_no_clock_and_no_delay_breaks_a_cap(count, offers):
    """However the clock jumps and whatever is scheduled, no window ever holds more than the cap."""
    subject, now = Subject(FrequencyCap(count, per=timedelta(hours=10))), NOW
    for step, action in offers:
        now += step * HOUR
        subject.offer(now, action)
    assert most_in_a_window(subject.sent, 10 * HOUR) <= count


def test_two_days_that_meet_do_not_add_up():
    """A cap of three a day lets three through around midnight, where a count per calendar day lets six."""
    subject = Subject(FrequencyCap(3, per=DAY))
    midnight = NOW - NOW % (24 * HOUR)
    around = [midnight - HOUR // 2 + minute * 60_000_000 for minute in range(60)]
    assert sum(subject.offer(now, "text") for now in around) == 3


def test_a_bucket_that_refills_is_not_a_cap():
    """A cap of three a day lets three through in a day that began with all three, not five or more."""
    subject = Subject(FrequencyCap(3, per=DAY))
    assert sum(subject.offer(NOW + hour * HOUR, "text") for hour in range(24)) == 3


def test_a_send_exactly_one_window_ago_no_longer_counts():
    """The window is half-open: at its exact end the place is free, a microsecond before it is not."""
    subject = Subject(FrequencyCap(1, per=DAY))
    subject.send(NOW, "text")
    assert "text" not in subject.may(NOW + 24 * HOUR - 1)
    assert "text" in subject.may(NOW + 24 * HOUR)


def test_a_clock_set_back_frees_no_place():
    """After the clock goes back, sends that now lie in the future still count."""
    subject = Subject(FrequencyCap(2, per=DAY))
    subject.send(NOW, "text")
    subject.send(NOW, "text")
    assert "text" not in subject.may(NOW - 1000 * HOUR)
    assert "text" in subject.may(NOW + 24 * HOUR)


def test_a_scheduled_delivery_counts_from_its_delivery():
    """What is delivered five hours later blocks for a day from then on, and at once."""
    subject = Subject(FrequencyCap(1, per=DAY))
    subject.send(NOW, "late")
    assert "text" not in subject.may(NOW)
    assert "text" not in subject.may(NOW + 28 * HOUR)
    assert "text" in subject.may(NOW + 29 * HOUR)


@pytest.mark.parametrize(
    ("each", "expected"),
    [
        (None, {"recall"}),
        ("channel", EVERY - {"late", "text"}),
        ("message_class", {"bill", "recall"}),
        ("action", EVERY - {"text"}),
    ],
)
def test_a_cap_counts_each_group_apart(each, expected):
    """What was sent by one channel, class or action leaves the others' places alone."""
    subject = Subject(FrequencyCap(1, per=DAY, each=each))
    subject.send(NOW, "text")
    assert subject.may(NOW) == expected


def test_actions_without_a_channel_are_one_group():
    """A cap for each channel counts what has no channel on its own."""
    subject = Subject(FrequencyCap(1, per=DAY, each="channel"))
    subject.send(NOW, "note")
    assert subject.may(NOW) == EVERY - {"note"}


def test_what_is_out_of_scope_is_neither_denied_nor_counted():
    """A mandatory message takes no place, and doing nothing takes none either."""
    subject = Subject(FrequencyCap(1, per=DAY))
    subject.send(NOW, "recall")
    subject.send(NOW, "no_action")
    assert subject.may(NOW) == EVERY
    subject.send(NOW, "text")
    assert subject.may(NOW) == {"recall"}


@pytest.mark.parametrize("rule", [FrequencyCap(1, per=DAY), Cooldown(DAY)], ids=["cap", "cooldown"])
def test_sending_nothing_writes_nothing(rule):
    """A batch that sends nothing leaves every record as it is."""
    rule = rule.bind(WORLD)
    rows = records(rule, 3)
    before = rows.tobytes()
    asked = batch(WORLD, rows=rows)
    rule.settle(asked, chosen(asked, "no_action", "no_action", "recall"))
    assert rows.tobytes() == before


@pytest.mark.parametrize("slots", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_slate_needs_a_place_for_every_slot(count, slots):
    """In a slate a candidate is allowed if the group could fill every slot and still keep the cap."""
    subject = Subject(FrequencyCap(count, per=DAY), slots=slots)
    for used in range(count + 1):
        assert ("text" in subject.may(NOW)) == (count - used >= slots)
        subject.slots = 1
        subject.send(NOW + used, "text")
        subject.slots = slots


def test_a_slate_needs_no_more_places_than_a_group_has_candidates():
    """A slate holds no action twice, so a cap of one for each action allows slates."""
    subject = Subject(FrequencyCap(1, per=DAY, each="action"), slots=3)
    assert subject.may(NOW) == EVERY
    subject.send(NOW, "text", "mail", "no_action")
    assert subject.may(NOW) == EVERY - {"text", "mail"}


@given(
    count=st.integers(1, 6),
    each=st.sampled_from([None, "channel", "message_class", "action"]),
    slates=st.lists(
        st.tuples(
            st.integers(0, 15), st.lists(st.sampled_from(sorted(EVERY)), min_size=3, max_size=3, unique=True)
        ),
        max_size=25,
    ),
)
def test_slates_keep_to_the_cap(count, each, slates):
    """Whatever of a slate's candidates are taken together, each group's cap holds."""
    subject, now = Subject(FrequencyCap(count, per=timedelta(hours=10), each=each), slots=3), NOW
    label = {
        None: lambda a: "",
        "channel": lambda a: a.channel,
        "message_class": lambda a: a.message_class,
        "action": lambda a: a.id,
    }[each]
    groups = {a.id: label(a) for a in WORLD.catalogue.actions}
    sent = []
    for step, wanted in slates:
        now += step * HOUR
        may = subject.may(now)
        slate = [action if action in may else "no_action" for action in wanted]
        subject.send(now, *slate)
        sent += [
            (groups[a], t) for a, t in zip(slate, subject.sent[-3:], strict=True) if a in EVERY - {"recall"}
        ]
    for group in {g for g, _ in sent}:
        assert most_in_a_window([t for g, t in sent if g == group], 10 * HOUR) <= count


def test_rows_keep_their_own_times():
    """In one batch each subject's sends are written to its own record and group."""
    rule = FrequencyCap(2, per=DAY, each="channel").bind(WORLD)
    rows = records(rule, 4)
    asked = batch(WORLD, rows=rows)
    for choice in (("text", "mail", "no_action", "text"), ("text", "text", "no_action", "mail")):
        rule.settle(asked, chosen(asked, *choice))
    kept = allowed(rule, asked)[:, [WORLD.catalogue.column(name) for name in ("mail", "note", "text")]]
    assert kept.tolist() == [[True, True, False], [True, True, True], [True, True, True], [True, True, True]]
    assert [field.name for field in rule.fields] == ["sent", "sent:email", "sent:sms"]


def test_a_cap_with_too_many_times_is_refused():
    """A record has room for 256 times of one cap; the error says what to do."""
    many = space(*(Action(f"a{i:03}") for i in range(129)))
    assert len(FrequencyCap(1, per=DAY, each="action").bind(many).fields) == 129
    with pytest.raises(ConfigurationError, match=r"258 times.*at most 256.*smaller count") as caught:
        FrequencyCap(2, per=DAY, each="action").bind(many)
    assert caught.value.facts == {"value": 258, "expected": 256}
    with pytest.raises(ConfigurationError, match="257"):
        FrequencyCap(257, per=DAY).bind(many)
    with pytest.raises(ConfigurationError, match=r"257 times"):
        Cooldown(DAY, each="action").bind(space(*(Action(f"a{i:03}") for i in range(257))))


@pytest.mark.parametrize("count", [0, -1, 1.0, True, "3", None, float("nan"), 10**9 + 1])
def test_a_count_must_be_a_whole_number(count):
    """Floats, bools and numbers below one are no counts."""
    with pytest.raises(ConfigurationError, match="count must be a whole number") as caught:
        FrequencyCap(count, per=DAY)
    assert "value" in caught.value.facts


@pytest.mark.parametrize("length", [timedelta(0), -DAY, 7, 7.0, None, "P1D"])
def test_a_window_must_be_a_positive_duration(length):
    """A window and a gap are positive timedeltas."""
    with pytest.raises(ConfigurationError, match="per must be a positive timedelta"):
        FrequencyCap(1, per=length)
    with pytest.raises(ConfigurationError, match="gap must be a positive timedelta"):
        Cooldown(length)


@pytest.mark.parametrize("each", ["subject", "channels", "", 3])
def test_each_names_a_known_group(each):
    """Counting apart goes by channel, class or action only."""
    for make in (lambda: FrequencyCap(1, per=DAY, each=each), lambda: Cooldown(DAY, each=each)):
        with pytest.raises(ConfigurationError, match="each must be None or one of"):
            make()


def test_a_cooldown_ends_exactly_after_its_gap():
    """A microsecond before the gap is over nothing is sent, at its end everything may be."""
    subject = Subject(Cooldown(DAY))
    subject.send(NOW, "text")
    assert subject.may(NOW + 24 * HOUR - 1) == {"late", "recall"}
    assert subject.may(NOW + 24 * HOUR) == EVERY


def test_a_cooldown_judges_the_delivery():
    """What would arrive late enough is allowed before the gap is over."""
    subject = Subject(Cooldown(DAY))
    subject.send(NOW, "text")
    assert subject.may(NOW + 19 * HOUR - 1) == {"recall"}
    assert subject.may(NOW + 19 * HOUR) == {"late", "recall"}


@given(
    gap=st.integers(1, 12),
    offers=st.lists(st.tuples(st.integers(-10, 10), st.sampled_from(["text", "late", "mail"])), max_size=30),
)
def test_no_two_deliveries_are_closer_than_the_gap(gap, offers):
    """However the clock jumps and whatever is scheduled, deliveries keep their distance."""
    subject, now = Subject(Cooldown(timedelta(hours=gap))), NOW
    for step, action in offers:
        now += step * HOUR
        subject.offer(now, action)
    times = sorted(subject.sent)
    assert all(b - a >= gap * HOUR for a, b in pairwise(times))


@given(st.integers(1, 12), st.lists(st.integers(0, 10), max_size=30))
def test_a_cooldown_without_delays_is_a_cap_of_one(gap, steps):
    """For sends at once and a clock that goes forward the two rules allow the same."""
    gap_h = timedelta(hours=gap)
    cooldown, cap, now = Subject(Cooldown(gap_h)), Subject(FrequencyCap(1, per=gap_h)), NOW
    for step in steps:
        now += step * HOUR
        assert cooldown.offer(now, "text") == cap.offer(now, "text")


def test_a_cooldown_of_each_channel_leaves_the_others_alone():
    """The gap is kept in each group on its own."""
    subject = Subject(Cooldown(DAY, each="channel"))
    subject.send(NOW, "text")
    assert subject.may(NOW) == EVERY - {"text", "late"}


def test_a_slate_that_arrives_at_once_is_one_contact():
    """Choices of one slate that arrive together need no gap; such that might arrive apart are denied."""
    subject = Subject(Cooldown(DAY, each="channel"), slots=2)
    assert subject.may(NOW) == EVERY - {"text", "late"}
    subject.send(NOW, "mail", "bill")
    assert subject.may(NOW + 24 * HOUR - 1) == {"note", "recall"}


def test_rules_about_nobody_have_no_fields():
    """A scope without candidates takes no room in the record and denies nothing."""
    for rule in (FrequencyCap(1, per=DAY, actions=["recall"]), Cooldown(DAY, actions=["recall"])):
        nobody = rule.bind(WORLD)
        asked = batch(WORLD)
        assert nobody.fields == ()
        assert ids(nobody, asked) == EVERY
        nobody.settle(asked, chosen(asked, "text"))


def test_every_default_is_a_time_before_all_times():
    """A subject nobody has seen has free places at any time, even long before 1970."""
    early = micros(datetime(1, 1, 1, tzinfo=UTC))
    for rule in (FrequencyCap(3, per=DAY), Cooldown(DAY)):
        assert Subject(rule).may(early) == EVERY
        assert {int(np.max(field.default)) for field in rule.bind(WORLD).fields} == {np.iinfo(np.int64).min}
