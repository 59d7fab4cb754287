import threading
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agentic.errors import InvalidOutcomeError, LearningError, UnknownDecisionError, UnknownGoalError
from agentic.rewards import Goals, Ledger, Recorded

COUNTED, DUPLICATE, LATE, EARLY, CLOSED, UNEXPOSED = Recorded
WINDOW = 100
LENGTH = timedelta(microseconds=WINDOW)
VALUES = {"buy": 1.0, "click": 0.25, "leave": -5.0}


def goals(**settings):
    return Goals(VALUES, window=LENGTH, **settings)


class Book:
    """A ledger, told one thing at a time."""

    def __init__(self, **settings):
        self.ledger = Ledger(goals(**settings))
        self.events = 0

    def open(self, first, *at, sends=True):
        columns = np.broadcast_to(np.atleast_1d(sends), (len(at), np.size(sends)))
        self.ledger.open(first, np.array(at, np.int64), columns.copy())

    def tell(self, position, goal, at, *, slot=0, value=1.0, event=None):
        self.events += 1
        told = many([(position, slot, goal, value, at, self.events if event is None else event)])
        return Recorded(self.ledger.record(*told)[0])

    def close(self, now):
        return listed(self.ledger.close(now))


def many(outcomes):
    """Columns of outcomes for ``record``."""
    position, slot, goal, value, at, event = zip(*outcomes, strict=True) if outcomes else ([],) * 6
    return (
        np.array(position, np.int64),
        np.array(slot, np.int64),
        list(goal),
        np.array(value, np.float64),
        np.array(at, np.int64),
        np.array(event, np.uint64),
    )


def listed(closed):
    assert len(closed) == len(closed.position)
    assert closed.position.dtype == closed.slot.dtype == np.int64
    return list(zip(closed.position.tolist(), closed.slot.tolist(), closed.reward.tolist(), strict=True))


def test_silence_closes_to_the_default():
    """A decision without outcomes gets the default when its window is over, and not before."""
    book = Book(default=-0.5)
    book.open(0, 1000)
    assert book.close(1000 + WINDOW - 1) == []
    assert book.close(1000 + WINDOW) == [(0, 0, -0.5)]
    assert book.close(10**9) == []


def test_the_default_is_not_added_to_outcomes():
    """With an outcome the default plays no part, even if the outcome is worth nothing."""
    book = Book(default=10.0)
    book.open(0, 0, 0)
    book.tell(0, "buy", 5)
    book.tell(1, "click", 5, value=0.0)
    assert book.close(WINDOW) == [(0, 0, 1.0), (1, 0, 0.0)]


@pytest.mark.parametrize(("aggregate", "expected"), [("sum", -3.25), ("first", -5.0), ("max", 1.5)])
def test_several_outcomes_become_one_reward(aggregate, expected):
    """The sum, the earliest in time whatever the order of arrival, or the largest."""
    book = Book(aggregate=aggregate)
    book.open(0, 0)
    book.tell(0, "click", 50)
    book.tell(0, "leave", 20)
    book.tell(0, "buy", 60, value=1.5)
    assert book.close(WINDOW) == [(0, 0, expected)]


def test_the_window_is_half_open():
    """An outcome at the decision counts, one at the end of the window is late."""
    book = Book()
    book.open(0, 1000)
    assert book.tell(0, "buy", 999) is EARLY
    assert book.tell(0, "buy", 1000) is COUNTED
    assert book.tell(0, "buy", 1000 + WINDOW - 1) is COUNTED
    assert book.tell(0, "buy", 1000 + WINDOW) is LATE
    assert book.close(1000 + WINDOW) == [(0, 0, 2.0)]


def test_an_event_counts_once_for_its_decision():
    """The same event key again is a duplicate, also for another slot; for another decision it counts."""
    book = Book()
    book.open(0, 0, 0, sends=[True, True])
    assert book.tell(0, "buy", 5, event=7) is COUNTED
    assert book.tell(0, "click", 6, event=7) is DUPLICATE
    assert book.tell(0, "buy", 5, slot=1, event=7) is DUPLICATE
    assert book.tell(1, "buy", 5, event=7) is COUNTED
    assert book.tell(1, "buy", 5, event=2**64 - 1) is COUNTED
    assert book.tell(1, "buy", 5, event=2**64 - 1) is DUPLICATE


def test_an_outcome_that_was_refused_leaves_its_key_free():
    """An outcome told too early is not remembered: its correction counts."""
    book = Book()
    book.open(0, 100)
    assert book.tell(0, "buy", 99, event=7) is EARLY
    assert book.tell(0, "buy", 500, event=7) is LATE
    assert book.tell(0, "buy", 100, event=7) is COUNTED


def test_a_late_arrival_in_time_counts_until_the_reward_is_final():
    """What counts is when it happened; once the reward is handed out it is too late."""
    book = Book()
    book.open(0, 0, 50)
    assert book.close(WINDOW) == [(0, 0, 0.0)]
    assert book.tell(0, "buy", 5) is CLOSED
    assert book.tell(1, "buy", 55) is COUNTED
    assert book.close(10 * WINDOW) == [(1, 0, 1.0)]


def test_a_terminal_goal_makes_the_reward_final():
    """After it nothing counts any more, and the reward is handed out without waiting for the window."""
    book = Book(terminal=["leave"])
    book.open(0, 0, 0)
    assert book.tell(0, "click", 5) is COUNTED
    assert book.tell(0, "leave", 6) is COUNTED
    assert book.tell(0, "buy", 4) is CLOSED
    assert book.ledger.pending == 2
    assert book.close(7) == [(0, 0, -4.75)]
    assert book.ledger.pending == 1


def test_a_terminal_goal_outside_the_window_ends_nothing():
    """A terminal outcome that is early, late or a duplicate leaves the window open."""
    book = Book(terminal=["leave"])
    book.open(0, 10)
    book.tell(0, "click", 11, event=77)
    assert book.tell(0, "leave", 9) is EARLY
    assert book.tell(0, "leave", 10 + WINDOW) is LATE
    assert book.tell(0, "leave", 12, event=77) is DUPLICATE
    assert book.close(50) == []
    assert book.tell(0, "buy", 13) is COUNTED


def test_one_slot_ends_without_the_others():
    """A slate has a reward for each slot; a terminal goal ends only its own."""
    book = Book(terminal=["leave"])
    book.open(0, 0, sends=[True, False, True])
    book.tell(0, "leave", 5, slot=2)
    book.tell(0, "buy", 5, slot=1)
    assert book.close(6) == [(0, 2, -5.0)]
    assert book.tell(0, "buy", 7, slot=2) is CLOSED
    assert book.tell(0, "buy", 7, slot=3) is CLOSED
    assert book.close(WINDOW) == [(0, 0, 0.0), (0, 1, 1.0)]


def test_exposure_is_recorded_once_where_it_starts_nothing():
    """With windows that start at the decision, exposure counts once and changes no reward."""
    book = Book()
    book.open(0, 10)
    assert book.tell(0, "exposed", 9) is EARLY
    assert book.tell(0, "exposed", 20) is COUNTED
    assert book.tell(0, "exposed", 15) is DUPLICATE
    assert book.tell(0, "exposed", 10 + WINDOW) is LATE
    assert book.close(10 + WINDOW) == [(0, 0, 0.0)]


def test_a_window_can_start_at_exposure():
    """It runs for its whole length from the exposure; before it outcomes are early, after it late."""
    book = Book(start="exposure")
    book.open(0, 0)
    assert book.tell(0, "exposed", 60) is COUNTED
    assert book.tell(0, "buy", 59) is EARLY
    assert book.tell(0, "buy", 60) is COUNTED
    assert book.tell(0, "buy", 159) is COUNTED
    assert book.tell(0, "buy", 160) is LATE
    assert book.close(159) == []
    assert book.close(160) == [(0, 0, 2.0)]
    assert book.ledger.dropped == 0


def test_what_was_never_exposed_is_never_learned_from():
    """Without exposure within a window's length the choice is dropped and counted, outcomes or not."""
    book = Book(start="exposure")
    book.open(0, 0, 0, sends=[True, False])
    assert book.tell(0, "buy", 5) is UNEXPOSED
    assert book.tell(0, "exposed", WINDOW) is LATE
    assert book.close(WINDOW - 1) == []
    assert book.close(WINDOW) == [(0, 1, 0.0), (1, 1, 0.0)]
    assert book.ledger.dropped == 2
    assert book.ledger.pending == 0
    assert book.tell(0, "exposed", 5) is CLOSED


def test_what_sends_nothing_starts_at_the_decision():
    """Doing nothing has no exposure to wait for."""
    book = Book(start="exposure")
    book.open(0, 0, sends=False)
    assert book.tell(0, "buy", 5) is COUNTED
    assert book.tell(0, "exposed", 50) is COUNTED
    assert book.tell(0, "exposed", 40) is DUPLICATE
    assert book.close(WINDOW) == [(0, 0, 1.0)]


def test_an_outcome_may_arrive_before_its_exposure():
    """It is kept, and counts if it happened in the window that the exposure starts."""
    book = Book(start="exposure")
    book.open(0, 0)
    assert book.tell(0, "buy", 30) is UNEXPOSED
    assert book.tell(0, "click", 10) is UNEXPOSED
    assert book.tell(0, "buy", 2 * WINDOW - 1) is UNEXPOSED
    assert book.tell(0, "buy", 2 * WINDOW) is LATE
    assert book.tell(0, "buy", 30, event=1) is DUPLICATE
    assert book.tell(0, "exposed", 20) is COUNTED
    assert book.close(120) == [(0, 0, 1.0)]


def test_the_earliest_exposure_starts_the_window():
    """An earlier exposure that arrives later moves the window, in both of its ends; a later one does not."""
    book = Book(start="exposure")
    book.open(0, 0)
    assert book.tell(0, "exposed", 50) is COUNTED
    assert book.tell(0, "leave", 145) is COUNTED
    assert book.tell(0, "buy", 45) is EARLY
    assert book.tell(0, "exposed", 60) is DUPLICATE
    assert book.tell(0, "exposed", 40) is COUNTED
    assert book.close(139) == []
    assert book.close(140) == [(0, 0, 1.0)]


def test_a_terminal_outcome_waits_for_its_exposure():
    """It ends the window as soon as an exposure puts it inside."""
    book = Book(start="exposure", terminal=["leave"])
    book.open(0, 0, 0)
    assert book.tell(0, "leave", 30) is UNEXPOSED
    assert book.tell(0, "exposed", 35) is COUNTED
    assert book.close(40) == []
    assert book.tell(0, "exposed", 30) is COUNTED
    assert book.tell(0, "buy", 36) is CLOSED
    assert book.close(40) == [(0, 0, -5.0)]
    assert book.tell(1, "leave", 30) is UNEXPOSED
    assert book.close(WINDOW) == []
    assert (book.ledger.dropped, book.ledger.pending) == (1, 0)
    assert book.ledger._parked == {}


def test_positions_between_decisions_have_no_window():
    """Other records of the log count as closed; the oldest open position is the first one with a window."""
    book = Book()
    assert book.ledger.oldest is None
    book.open(100, 0, 1)
    book.open(5000, 2)
    assert book.ledger.oldest == 100
    assert book.tell(99, "buy", 5) is CLOSED
    assert book.tell(3000, "buy", 5) is CLOSED
    assert book.tell(5000, "buy", 5) is COUNTED
    assert book.close(WINDOW) == [(100, 0, 0.0)]
    assert book.ledger.oldest == 101
    assert book.close(WINDOW + 1) == [(101, 0, 0.0)]
    assert book.ledger.oldest == 5000
    assert book.close(WINDOW + 2) == [(5000, 0, 1.0)]
    assert book.ledger.oldest is None


def test_a_position_nobody_opened_is_an_error_and_changes_nothing():
    """A decision that is not in the log yet cannot have outcomes; nothing of the call is recorded."""
    book = Book()
    book.open(0, 0)
    for position in (1, -1):
        with pytest.raises(UnknownDecisionError, match="log position"):
            book.ledger.record(*many([(0, 0, "buy", 1.0, 5, 1), (position, 0, "buy", 1.0, 5, 2)]))
    with pytest.raises(UnknownGoalError):
        book.ledger.record(*many([(0, 0, "buy", 1.0, 5, 1), (0, 0, "bye", 1.0, 5, 2)]))
    with pytest.raises(InvalidOutcomeError, match="finite"):
        book.ledger.record(*many([(0, 0, "buy", 1.0, 5, 1), (0, 0, "buy", float("nan"), 5, 2)]))
    with pytest.raises(InvalidOutcomeError, match="slots count from 0"):
        book.ledger.record(*many([(0, 0, "buy", 1.0, 5, 1), (0, -1, "buy", 1.0, 5, 2)]))
    with pytest.raises(InvalidOutcomeError, match="one length"):
        book.ledger.record(*many([(0, 0, "buy", 1.0, 5, 1)])[:5], np.zeros(2, np.uint64))
    assert book.tell(0, "buy", 5, event=1) is COUNTED
    assert book.close(WINDOW) == [(0, 0, 1.0)]


def test_decisions_open_in_the_order_of_the_log():
    """A position that was passed cannot open any more; a wrong shape is refused."""
    book = Book()
    book.open(10, 0, 0)
    for first in (0, 10, 11):
        with pytest.raises(LearningError, match="in the order of the log"):
            book.open(first, 0)
    book.open(12)
    assert book.close(WINDOW) == [(10, 0, 0.0), (11, 0, 0.0)]
    with pytest.raises(LearningError, match="in the order of the log"):
        book.open(11, 0)
    for sends in (np.ones(1, np.bool_), np.ones((2, 1), np.bool_), np.ones((1, 0), np.bool_)):
        with pytest.raises(LearningError, match="shape"):
            book.ledger.open(20, np.zeros(1, np.int64), sends)


def test_a_wider_slate_makes_room():
    """Slates of different widths live side by side; slots a decision does not have are closed."""
    book = Book(start="exposure")
    book.open(0, 0, sends=[False])
    book.open(1, 0, sends=[False, True, False])
    book.open(2, 0, sends=[False, False])
    assert book.ledger.pending == 6
    assert book.tell(0, "buy", 5, slot=1) is CLOSED
    assert book.tell(2, "buy", 5, slot=2) is CLOSED
    assert book.tell(1, "exposed", 5, slot=1) is COUNTED
    assert book.tell(1, "buy", 5, slot=2) is COUNTED
    assert book.close(WINDOW) == [(0, 0, 0.0), (1, 0, 0.0), (1, 2, 1.0), (2, 0, 0.0), (2, 1, 0.0)]
    assert book.close(WINDOW + 5) == [(1, 1, 0.0)]


def test_what_is_closed_is_given_back():
    """Windows, outcomes and event keys are let go as decisions close, however long it goes on."""
    book = Book()
    for step in range(60):
        book.open(1000 * step, *[WINDOW * step] * 500)
        book.tell(1000 * step + 3, "buy", WINDOW * step)
        assert len(book.close(WINDOW * step)) == (500 if step else 0)
    ledger = book.ledger
    assert ledger.pending == 500
    assert len(ledger._keys) == 1
    assert ledger._kept == 1
    assert len(ledger._windows.at) <= 8192
    assert book.close(10**9)[3] == (59_003, 0, 1.0)
    assert (ledger._keys, ledger._kept, len(ledger._windows.at)) == ({}, 0, 1024)


def test_an_open_decision_takes_nine_bytes():
    """The stated memory: time and state, and with exposure its time; twice that while arrays grow."""
    n = 100_000
    for chosen, stated in (({}, 9), ({"start": "exposure"}, 17)):
        ledger = Ledger(goals(**chosen))
        ledger.open(0, np.zeros(n, np.int64), np.ones((n, 1), np.bool_))
        windows = ledger._windows
        assert (windows.at.nbytes + windows.state.nbytes + windows.start.nbytes) <= 2 * n * stated
        assert (windows.start.nbytes > 0) == (stated == 17)


def test_a_close_with_nothing_due_looks_at_nothing(monkeypatch):
    """Closing often costs nothing until a window may be over: the books are not searched."""
    book = Book()
    book.open(0, 0, 50)
    searched = []
    real = Ledger._starts
    monkeypatch.setattr(Ledger, "_starts", lambda self, rows: searched.append(1) or real(self, rows))
    for now in range(WINDOW):
        book.close(now)
    assert searched == []
    assert len(book.close(WINDOW)) == 1
    for now in range(WINDOW, WINDOW + 50):
        book.close(now)
    assert len(searched) == 1


def test_threads_may_record_at_the_same_time():
    """Outcomes of one decision from many threads all count, the same event once."""
    book = Book()
    book.open(0, 0)

    def tell(mine):
        for event in range(200):
            book.ledger.record(*many([(0, 0, "click", 1.0, 5, mine + event)]))

    threads = [threading.Thread(target=tell, args=(100 * number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert book.close(WINDOW) == [(0, 0, 900 * 0.25)]


def test_it_knows_its_goals():
    """The ledger says what it counts."""
    settings = goals()
    assert Ledger(settings).goals is settings


OUTCOME = st.tuples(
    st.integers(0, 7),
    st.integers(0, 2),
    st.sampled_from([*VALUES, "exposed"]),
    st.sampled_from([1.0, 0.1, 0.2, 3.0]),
    st.integers(0, 350),
    st.integers(0, 12),
)
SETTINGS = st.fixed_dictionaries(
    {
        "default": st.sampled_from([0.0, 0.5]),
        "aggregate": st.sampled_from(["sum", "first", "max"]),
        "start": st.sampled_from(["decision", "exposure"]),
        "terminal": st.sampled_from([(), ("leave",), ("leave", "buy")]),
    }
)


@given(SETTINGS, st.lists(OUTCOME, max_size=30), st.data())
def test_outcomes_may_come_in_any_grouping(settings, outcomes, data):
    """Told one by one, in one call or in groups: statuses and rewards are the same to the last bit."""
    cuts = sorted(data.draw(st.lists(st.integers(0, len(outcomes)), max_size=4)))
    groupings = [
        [outcomes],
        [[one] for one in outcomes],
        [outcomes[a:b] for a, b in zip([0, *cuts], [*cuts, len(outcomes)], strict=True)],
    ]
    results = []
    for groups in groupings:
        ledger = Ledger(goals(**settings))
        ledger.open(0, np.arange(8, dtype=np.int64) * 10, np.tile([True, False, True], (8, 1)))
        statuses = [status for group in groups for status in ledger.record(*many(group)).tolist()]
        closed = [listed(ledger.close(now)) for now in (0, 120, 170, 500)]
        results.append((statuses, closed, ledger.pending, ledger.dropped, ledger.oldest))
    assert results[0] == results[1] == results[2]


@given(SETTINGS, st.lists(OUTCOME, max_size=20, unique_by=lambda outcome: outcome[5]), st.randoms())
def test_without_terminal_goals_the_order_of_arrival_is_of_no_account(settings, outcomes, random):
    """Distinct outcomes in any order give the same rewards to the last bit."""
    shuffled = list(outcomes)
    random.shuffle(shuffled)
    rewards = []
    for order in (outcomes, shuffled):
        ledger = Ledger(goals(**{**settings, "terminal": ()}))
        ledger.open(0, np.arange(8, dtype=np.int64) * 10, np.tile([True, False, True], (8, 1)))
        ledger.record(*many(order))
        rewards.append(listed(ledger.close(10**6)))
    assert rewards[0] == rewards[1]


# How far back from the last decision, then as above: some of it impossible.
TOLD = st.tuples(
    st.integers(0, 6),
    st.integers(0, 3),
    st.sampled_from([*VALUES, "exposed"]),
    st.sampled_from([1.0, 0.1, 3.0]),
    st.integers(-10, 450),
    st.integers(0, 9),
)


class Model(RuleBasedStateMachine):
    """The ledger beside a list of everything it was told."""

    @initialize(settings=SETTINGS)
    def start(self, settings):
        self.goals = goals(**settings)
        self.ledger = Ledger(self.goals)
        self.windows = {}
        self.keys = {}
        self.next = 0
        self.dropped = 0

    @rule(
        gap=st.integers(0, 3),
        at=st.lists(st.integers(0, 300), max_size=4),
        sends=st.lists(st.booleans(), min_size=1, max_size=3),
    )
    def open(self, gap, at, sends):
        first = self.next + gap
        self.ledger.open(first, np.array(at, np.int64), np.tile(sends, (len(at), 1)))
        for position, decided in enumerate(at, first):
            for slot, sent in enumerate(sends):
                self.windows[position, slot] = {
                    "decided": decided,
                    "moves": sent and self.goals.start == "exposure",
                    "exposed": None,
                    "told": [],
                    "final": False,
                }
        if at:
            self.next = first + len(at)

    def begin(self, window):
        return window["exposed"] if window["moves"] else window["decided"]

    def inside(self, window, at):
        begin = self.begin(window)
        return begin is not None and begin <= at < begin + WINDOW

    def tell(self, position, slot, goal, value, at, event):
        window = self.windows.get((position, slot))
        if window is None or window["final"]:
            return CLOSED
        if event in self.keys.get(position, ()):
            return DUPLICATE
        decided = window["decided"]
        if at < decided:
            return EARLY
        if goal == "exposed":
            if at >= decided + WINDOW:
                return LATE
            if window["exposed"] is not None and (not window["moves"] or at >= window["exposed"]):
                return DUPLICATE
            window["exposed"] = at
            status = COUNTED
        else:
            begin = self.begin(window)
            if at >= (decided + WINDOW if begin is None else begin) + WINDOW:
                return LATE
            window["told"].append((at, event, VALUES[goal] * value, goal))
            status = UNEXPOSED if begin is None else COUNTED if at >= begin else EARLY
        self.keys.setdefault(position, set()).add(event)
        window["final"] = any(
            g in self.goals.terminal and self.inside(window, t) for t, _, _, g in window["told"]
        )
        return status

    @precondition(lambda self: self.next > 0)
    @rule(outcomes=st.lists(TOLD, max_size=6))
    def record(self, outcomes):
        outcomes = [(max(self.next - 1 - back, 0), *rest) for back, *rest in outcomes]
        expected = [self.tell(*outcome) for outcome in outcomes]
        assert self.ledger.record(*many(outcomes)).tolist() == expected

    @rule(now=st.integers(0, 450))
    def close(self, now):
        expected = []
        for (position, slot), window in sorted(self.windows.items()):
            begin = self.begin(window)
            if begin is None and window["decided"] + WINDOW <= now:
                self.dropped += 1
                del self.windows[position, slot]
            elif window["final"] or (begin is not None and begin + WINDOW <= now):
                expected.append((position, slot, self.reward(window)))
                del self.windows[position, slot]
        self.keys = {p: keys for p, keys in self.keys.items() if any(p == q for q, _ in self.windows)}
        assert listed(self.ledger.close(now)) == expected

    def reward(self, window):
        worth = [w for t, _, w, _ in sorted(window["told"]) if self.inside(window, t)]
        if not worth:
            return self.goals.default
        return {"sum": sum(worth, 0.0), "first": worth[0], "max": max(worth)}[self.goals.aggregate]

    @invariant()
    def books_agree(self):
        assert self.ledger.pending == len(self.windows)
        assert self.ledger.dropped == self.dropped
        assert self.ledger.oldest == min((p for p, _ in self.windows), default=None)
        assert self.ledger._keys == self.keys
        assert self.ledger._kept == sum(len(window["told"]) for window in self.windows.values())


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=150, stateful_step_count=30)
