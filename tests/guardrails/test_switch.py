import logging
import threading

import numpy as np
import pytest

from agentic.errors import ConfigurationError
from agentic.guardrails import KillSwitch
from agentic.types import Action
from batches import batch, ids, missing, space

WORLD = space(Action("mail", channel="email"), Action("text", channel="sms"))
EVERY = {"mail", "text"}


def test_an_engaged_switch_leaves_only_doing_nothing():
    """Engaged it denies everything, without a doubt; released it allows everything again."""
    switch = KillSwitch()
    bound = switch.bind(WORLD)
    assert not switch.engaged
    assert ids(bound, batch(WORLD)) == EVERY
    switch.engage()
    assert switch.engaged
    assert ids(bound, batch(WORLD)) == set()
    assert not missing(bound, batch(WORLD)).any()
    switch.release()
    assert not switch.engaged
    assert ids(bound, batch(WORLD)) == EVERY


def test_one_switch_turns_for_every_agent_that_has_it():
    """Copies made by binding share the switch, whichever of them is turned; other switches do not."""
    switch = KillSwitch(channels=["sms"])
    one, two = switch.bind(WORLD), switch.bind(WORLD)
    one.engage()
    assert two.engaged
    assert switch.engaged
    assert ids(two, batch(WORLD)) == {"mail"}
    assert not KillSwitch(channels=["sms"]).engaged
    assert switch != KillSwitch(channels=["sms"])


@pytest.mark.parametrize("answer", [True, np.True_], ids=["bool", "numpy"])
def test_a_watch_can_engage_from_outside(answer):
    """While watch says so the switch is engaged, whatever the process says; nothing is unknown."""
    switch = KillSwitch(watch=lambda: answer).bind(WORLD)
    assert ids(switch, batch(WORLD)) == set()
    assert not missing(switch, batch(WORLD)).any()
    assert not switch.engaged


def test_a_watch_that_says_no_leaves_the_decision_to_the_process():
    """With watch at rest the switch is what it was turned to."""
    switch = KillSwitch(watch=lambda: False).bind(WORLD)
    assert ids(switch, batch(WORLD)) == EVERY
    switch.engage()
    assert ids(switch, batch(WORLD)) == set()


def fails():
    raise OSError("the flag's server is down")


@pytest.mark.parametrize(
    "watch", [fails, lambda: None, lambda: 0, lambda: "off"], ids=["raises", "none", "0", "off"]
)
def test_not_knowing_is_reason_to_stop(watch, caplog):
    """A watch that fails or does not answer yes or no stops everything as unknown, and is logged once."""
    switch = KillSwitch(watch=watch, channels=["sms"]).bind(WORLD)
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            assert ids(switch, batch(WORLD)) == {"mail"}
            assert missing(switch, batch(WORLD)).sum() == 1
    assert len(caplog.records) == 1
    assert "stops everything in its scope" in caplog.text


def test_a_watch_that_recovers_is_believed_and_its_next_failure_told(caplog):
    """After an answer the switch lets go, and a new failure is logged anew."""
    answers = iter([None, False, None, None])
    switch = KillSwitch(watch=lambda: next(answers)).bind(WORLD)
    assert [ids(switch, batch(WORLD)) for _ in range(4)] == [set(), EVERY, set(), set()]
    assert len(caplog.records) == 2


def test_an_engaged_switch_is_sure_even_if_its_watch_is_not():
    """Turned in the process, the denial is by rule and not for want of knowledge."""
    switch = KillSwitch(watch=lambda: None).bind(WORLD)
    switch.engage()
    assert not missing(switch, batch(WORLD)).any()


def test_watch_is_asked_once_per_batch():
    """However many rows a batch has, the watch is called once."""
    asked = []
    switch = KillSwitch(watch=lambda: bool(asked.append(1))).bind(WORLD)
    switch.review(batch(WORLD, zone=["UTC"] * 50))
    assert len(asked) == 1


@pytest.mark.parametrize("watch", [True, "file"])
def test_watch_must_be_a_function(watch):
    """Anything that cannot be called is an error when the switch is made."""
    with pytest.raises(ConfigurationError, match="watch must be a function"):
        KillSwitch(watch=watch)


def test_any_thread_may_turn_it():
    """A switch engaged in another thread is obeyed by the next review of this one."""
    switch = KillSwitch()
    bound = switch.bind(WORLD)
    thread = threading.Thread(target=switch.engage)
    thread.start()
    thread.join()
    assert ids(bound, batch(WORLD)) == set()
