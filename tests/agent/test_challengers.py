"""A champion with challengers in charge: on a file, after a restart, in other processes and threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentic import Agent
from agentic._codec import fingerprint
from agentic.errors import ConfigurationError
from agentic.policies import BetaThompson, Fixed, LinearThompson, Split, SquareCB
from agentic.provenance import DurableLog
from agentic.state import DurableStore
from agents import DAY, NOON, agent, consenting, context, names
from databases import new_database

LATER = NOON + 4 * DAY
IDS = ("push_new", "push_old", "sms_plain")
CHAMPION, CHALLENGER = LinearThompson(), SquareCB()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Any]:
    database = new_database()
    yield database
    database.close()


def on_file(database: Any, **parts: Any) -> Agent:
    """An agent on this file, with a connection of its own: as another process would have it."""
    from agentic._database import Database

    own = Database(database.path, durability="process")
    parts = {"policy": CHAMPION, "challengers": [CHALLENGER, *map(Fixed, IDS)], **parts}
    return agent(store=DurableStore(own), log=DurableLog(own), **parts)


def lived(one: Agent, n: int = 60) -> Agent:
    """Decided for so many, a third of them bought, and learned."""
    consenting(one, names(n))
    batch = one.decide_many(names(n), context(n), now=NOON)
    one.record_many(batch.ids[::3], "purchase", at=NOON)
    one.learn(now=LATER)
    return one


def challenged(one: Agent, share: float = 0.3) -> Split:
    """The policy in charge with a challenger beside it."""
    return Split(one.policy, [(CHALLENGER, share)], salt="one")


def test_another_process_hears_of_it_before_its_next_decision(database: Any) -> None:
    """And of its end: each subject is asked of the member that the hash says, and of nobody after it."""
    one, other = lived(on_file(database)), on_file(database)
    champion = one.policy_version
    assert one.exchange(champion, challenged(one))
    assert other.decide("customer-1", now=LATER).policy_version == one.policy_version
    assert isinstance(other.policy, Split)
    assert one.exchange(one.policy_version, one.policy.champion)
    assert one.policy_version == champion
    assert other.decide("customer-2", now=LATER).policy_version == champion


def test_a_restart_goes_on_with_the_whole_and_what_its_members_learned(database: Any) -> None:
    """Champion and challenger learn from all feedback, and all of it is there again."""
    one = lived(on_file(database))
    one.policy = challenged(one)
    before = [fingerprint(member) for member in one.policy.members]
    lived(one)
    again = on_file(database)
    assert again.policy_version == one.policy_version
    after = [fingerprint(member) for member in again.policy.members]
    assert not set(before) & set(after)
    assert again.replay().identical


def test_taking_it_back_stands_after_a_restart(database: Any) -> None:
    """With what the champion learned meanwhile, and not with the challenger that was in charge last."""
    one = lived(on_file(database))
    one.policy = challenged(one)
    lived(one)
    one.policy = one.policy.champion
    version = one.policy_version
    assert on_file(database).policy_version == version
    assert on_file(database, challengers=[]).policy_version == version


def test_a_promoted_challenger_stays_in_charge(database: Any) -> None:
    """The application that passes what it always passed does not undo it; learning goes on."""
    one = lived(on_file(database))
    one.policy = challenged(one)
    lived(one)
    one.policy = one.policy.members[1]
    again = on_file(database)
    assert again.policy_version == one.policy_version
    assert again.policy.name == "square_cb"
    lived(again)
    assert on_file(database).policy_version == again.policy_version


def test_who_does_not_know_the_challenger_is_told_so(database: Any) -> None:
    """Nothing is put in charge in its place behind the back of the others."""
    one = lived(on_file(database))
    one.policy = challenged(one)
    with pytest.raises(ConfigurationError, match="pass them too, challengers="):
        on_file(database, challengers=[])
    assert on_file(database).policy_version == one.policy_version


def test_another_template_is_a_policy_of_its_own(database: Any) -> None:
    """An application that passes another policy wants that one, whatever is in charge."""
    one = lived(on_file(database))
    one.policy = challenged(one)
    other = on_file(database, policy=BetaThompson(), challengers=[])
    assert other.policy.name == "beta_thompson"


@pytest.mark.parametrize("stored", [False, True], ids=["in memory", "on a file"])
def test_only_one_of_those_who_exchange_at_once_succeeds(database: Any, stored: bool) -> None:
    """Whoever was slower is told, and nothing of it is in charge."""
    agents = [on_file(database) for _ in range(3)] if stored else [agent()] * 3
    known, won = agents[0].policy_version, []
    gate = threading.Barrier(3)

    def exchange(place: int) -> None:
        gate.wait()
        won.append((place, agents[place].exchange(known, Fixed(IDS[place]))))

    threads = [threading.Thread(target=exchange, args=(place,)) for place in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = [place for place, ok in won if ok]
    assert len(winners) == 1
    for one in agents:
        made = one.decide("customer-1", now=NOON)
        assert made.policy_version == agents[winners[0]].policy_version != known
    assert not agents[0].exchange(known, Fixed(IDS[0]))


def test_a_split_may_stand_alone_or_inside_another(database: Any) -> None:
    """With nobody beside the champion, and as a member: what it learns is found again where it is passed."""
    one = lived(on_file(database))
    one.policy = Split(one.policy, [])
    lived(one)
    assert on_file(database).policy_version == one.policy_version
    inner = Split(SquareCB(gamma=3.0), [(Fixed(IDS[0]), 0.5)], salt="inner")
    one.policy = Split(one.policy.champion, [(inner, 0.5)])
    lived(one)
    knowing = on_file(database, challengers=[inner])
    assert knowing.policy_version == one.policy_version
    with pytest.raises(ConfigurationError, match="pass them too"):
        on_file(database)
