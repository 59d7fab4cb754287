"""The desk for what people may ask: to be asked first, told what is known, and forgotten."""

from __future__ import annotations

import json
import math
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic import Action, Agent, Suppressed, ZoneKnown
from agentic._noise import text_key
from agentic.arrays import Batch, Block, Chosen, Columns, Field, Receipt, Review
from agentic.errors import (
    ConfigurationError,
    InvalidSubjectError,
    LogError,
    UnknownDecisionError,
)
from agentic.features import Cached, Category, Chained, Number
from agentic.guardrails import Consent, FrequencyCap
from agentic.policies import Fixed, LinearThompson, Personal
from agentic.privacy import ErasureList, Period, Regime, Schedule
from agentic.protocols import Erases, ProvenanceLog
from agentic.provenance import MemoryLog
from agentic.rewards import Goals
from agentic.testing import FakeClock

LEAP = datetime(2024, 2, 29, 12, tzinfo=UTC)
DAY = timedelta(days=1)
ACTIONS = [Action("push", channel="push"), Action("sms", channel="sms"), Action("mail", channel="email")]

Make = Callable[..., Agent]


def parts(clock: FakeClock) -> dict[str, Any]:
    return {
        "features": [Number("age", low=0, high=120), Category("tier", ["free", "gold"])],
        "policy": Personal(population=LinearThompson()),
        "guardrails": [Consent("marketing"), FrequencyCap(3, per=DAY)],
        "goals": Goals({"buy": 1.0, "leave": -5.0}, window=DAY),
        "clock": clock,
    }


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(LEAP)


@pytest.fixture(params=["memory", "file"])
def make(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Iterator[Make]:
    """Makes an agent, in memory or on a file; the next time, a file is opened again."""
    opened: list[Agent] = []

    def made(name: str = "shop", **more: Any) -> Agent:
        given_ = parts(clock) | more
        if request.param == "file":
            opened.append(Agent.open(tmp_path / "agent.db", name, ACTIONS, durability="process", **given_))
            return opened[-1]
        if not opened:
            opened.append(Agent(name, ACTIONS, **given_))
        return opened[0]

    yield made
    for agent in opened:
        agent.close()


def live(agent: Agent, *names: str) -> dict[str, str]:
    """Consent, a decision, an outcome and a fact for each; decision ids by name."""
    ids = {}
    for number, name in enumerate(names):
        agent.privacy.grant(name, "marketing", evidence=f"form of {name}", notice="v3", language="en-IN")
        ids[name] = agent.decide(name, {"age": 30 + number, "tier": "gold"}).id
        agent.record(ids[name], "buy", 10.0 + number)
        agent.tell(name, ZoneKnown("Asia/Kolkata"))
    return ids


def found(folder: Path, word: str) -> list[str]:
    """Files beside the database in whose bytes a word is."""
    return [path.name for path in folder.iterdir() if word.encode() in path.read_bytes()]


def test_consent_is_on_the_record_and_in_the_ledger(make: Make, clock: FakeClock) -> None:
    """Effective when the call returns; every line with what was shown, how, and its place in the log."""
    agent = make()
    privacy = agent.privacy
    assert not agent.decide("anna").action.channel
    privacy.grant(
        "anna",
        "marketing",
        "sms",
        notice="v3",
        language="hi",
        method="missed call",
        evidence="call 17",
        at=LEAP - DAY,
    )
    assert set(agent.decide("anna").reasons["NO_CONSENT_UNKNOWN"]) == {"push", "mail"}
    clock.advance(timedelta(hours=1))
    privacy.withdraw("anna", "marketing", method="web form")
    assert set(agent.decide("anna").reasons["NO_CONSENT"]) == {"push", "sms", "mail"}
    privacy.grant("ben", "marketing")
    first, second = privacy.consents("anna")
    assert attrs.asdict(first) == {
        "at": LEAP - DAY,
        "state": "granted",
        "purpose": "marketing",
        "channel": "sms",
        "notice": "v3",
        "language": "hi",
        "method": "missed call",
        "evidence": "call 17",
        "position": first.position,
    }
    assert (second.state, second.at, second.channel) == ("withdrawn", LEAP + timedelta(hours=1), None)
    for entry in (first, second):
        receipt, block = next(agent.log.read(entry.position))
        row = entry.position - receipt.first
        assert (block.kind, block.columns["subject"][row]) == ("fact", "anna")
        assert "call 17" not in json.dumps(block.meta)
    assert "call 17" not in repr(privacy.consents("anna"))


STEPS = st.lists(
    st.tuples(st.booleans(), st.sampled_from([None, "push", "sms", "email"]))
    | st.just("stop")
    | st.just("go"),
    max_size=8,
)


@given(STEPS)
@settings(max_examples=60)
def test_may_is_what_the_guardrail_allows(steps: list[Any]) -> None:
    """The ledger folded, and the record: after any history, for every channel."""
    clock = FakeClock(LEAP)
    agent = Agent("shop", ACTIONS, **parts(clock))
    for step in steps:
        if step == "stop":
            agent.privacy.suppress("anna", LEAP + DAY)
        elif step == "go":
            agent.privacy.release("anna")
        else:
            told = agent.privacy.grant if step[0] else agent.privacy.withdraw
            told("anna", "marketing", step[1])
    reasons = agent.decide("anna").reasons
    denied = {action for code, actions in reasons.items() if code != "OUTRANKED" for action in actions}
    for action in ACTIONS:
        assert agent.privacy.may("anna", "marketing", action.channel) is (action.id not in denied)
    assert not agent.privacy.may("anna", "other purpose")
    assert not agent.privacy.may("stranger", "marketing")


def test_may_knows_the_past(make: Make, clock: FakeClock) -> None:
    """Only what happened until then counts."""
    privacy = make().privacy
    privacy.grant("anna", "marketing")
    clock.advance(DAY)
    privacy.withdraw("anna", "marketing")
    assert privacy.may("anna", "marketing", at=LEAP)
    assert not privacy.may("anna", "marketing", at=LEAP - DAY)
    assert not privacy.may("anna", "marketing")


def test_no_thread_decides_on_a_consent_that_was_withdrawn(make: Make) -> None:
    """Whatever threads are doing meanwhile: after the call has returned, none of them sends."""
    agent = make(guardrails=[Consent("marketing")], policy=Fixed("push"))
    agent.privacy.grant("anna", "marketing")
    over, late = threading.Event(), []
    wrong: list[str] = []

    def decide() -> None:
        while len(late) < 200:
            after = over.is_set()
            decision = agent.decide("anna")
            if after:
                late.append(1)
                if decision.action.channel:
                    wrong.append(decision.id)

    threads = [threading.Thread(target=decide) for _ in range(3)]
    for thread in threads:
        thread.start()
    agent.privacy.withdraw("anna", "marketing")
    over.set()
    for thread in threads:
        thread.join()
    assert not wrong
    assert len(late) >= 200


def test_old_news_grant_nothing(make: Make, clock: FakeClock) -> None:
    """A consent from before a withdrawal does not undo it; a late withdrawal holds from now on."""
    privacy = make().privacy
    privacy.grant("anna", "marketing", at=LEAP - 10 * DAY)
    privacy.withdraw("anna", "marketing", "sms", at=LEAP - 2 * DAY)
    with pytest.raises(ConfigurationError, match="withdrew consent"):
        privacy.grant("anna", "marketing", at=LEAP - 3 * DAY)
    privacy.grant("anna", "marketing", "email", at=LEAP - 3 * DAY)  # another channel
    assert not privacy.may("anna", "marketing", "sms")
    privacy.grant("anna", "marketing", "sms", at=LEAP - DAY)
    privacy.withdraw("anna", "marketing", "sms", at=LEAP - 3 * DAY)
    assert not privacy.may("anna", "marketing", "sms")
    with pytest.raises(ConfigurationError, match="got a time after"):
        privacy.grant("anna", "marketing", at=LEAP + DAY)


def test_a_consent_manager_is_imported(make: Make, clock: FakeClock) -> None:
    """Each artefact is evidence; what was withdrawn since is left out; all of it, or nothing."""
    privacy = make().privacy
    privacy.withdraw("carl", "marketing", at=LEAP - DAY)
    names = ["anna", "ben", "carl", "dora"]
    noted = privacy.grant_many(
        names,
        "marketing",
        method="consent manager",
        evidence=[f"artefact {name}" for name in names],
        at=[LEAP - 2 * DAY, LEAP - 3 * DAY, LEAP - 2 * DAY, LEAP],
    )
    assert noted.tolist() == [True, True, False, True]
    assert [entry.evidence for entry in privacy.consents("ben")] == ["artefact ben"]
    assert not privacy.may("carl", "marketing")
    assert privacy.withdraw_many(names[:2], "marketing").tolist() == [True, True]
    assert not privacy.may("ben", "marketing")
    before = [len(privacy.consents(name)) for name in names]
    for wrong in ({"evidence": ["one"]}, {"at": [LEAP]}, {"evidence": "abcd"}, {"channel": "fax"}):
        with pytest.raises(ConfigurationError):
            privacy.grant_many(names, "marketing", **wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError):
        privacy.grant_many(names, "marketing", evidence=["a", "b", "c", "d" * 501])
    with pytest.raises(InvalidSubjectError):
        privacy.grant_many(["anna", ""], "marketing")
    assert [len(privacy.consents(name)) for name in names] == before


def test_a_purpose_nobody_listens_to_is_refused(make: Make) -> None:
    """It would protect nobody, and is not logged."""
    agent = make()
    with pytest.raises(ConfigurationError, match="listens"):
        agent.privacy.grant("anna", "profiling", evidence="canary")
    assert agent.privacy.consents("anna") == []


def test_erasing_in_europe_leaves_nothing(make: Make, tmp_path: Path, clock: FakeClock) -> None:
    """Neither record, nor log, nor a byte in the files; the others are as they were, and proofs verify."""
    agent = make()
    ids = live(agent, "anna-canary", "ben")
    clock.advance(2 * DAY)
    agent.learn()
    ben = agent.privacy.export("ben")
    plan = agent.privacy.erase("anna-canary")
    assert (plan.erased_now, plan.held_until) == (("record", "facts", "decisions", "outcomes"), ())
    assert "anna-canary" not in list(agent.store.subjects())
    assert found(tmp_path, "canary") == []
    assert agent.privacy.consents("anna-canary") == []
    empty = agent.privacy.export("anna-canary")
    assert all(not value for name, value in empty.items() if name not in ("schema", "agent", "subject"))
    with pytest.raises(UnknownDecisionError):
        agent.record(ids["anna-canary"], "leave")
    assert agent.privacy.export("ben") == ben
    assert agent.privacy.erase("anna-canary").erased_now == ()
    assert "NO_CONSENT_UNKNOWN" in agent.decide("anna-canary").reasons  # a stranger
    verify = getattr(agent.log, "verify", None)
    if verify is not None:
        assert verify().problem is None
        agent.close()
        assert found(tmp_path, "form of anna") == []
        assert make().privacy.export("ben")["facts"] == ben["facts"]


def test_a_dry_run_does_nothing(make: Make) -> None:
    """But say what would be done."""
    agent = make()
    live(agent, "anna")
    before = agent.privacy.export("anna")
    assert agent.privacy.erase("anna", "in-dpdp", dry_run=True).restricted_now
    assert agent.privacy.erase("anna", dry_run=True).erased_now
    assert agent.privacy.export("anna") == before
    with pytest.raises(ConfigurationError, match="eu-gdpr"):
        agent.privacy.erase("anna", "mars")
    with pytest.raises(InvalidSubjectError):
        agent.privacy.erase("")


def test_erasing_in_india_restricts_now_and_erases_when_the_year_is_over(
    make: Make, tmp_path: Path, clock: FakeClock
) -> None:
    """Over a leap day: nothing decided, nothing learned, and gone when March begins; also after reopening."""
    agent = make()
    live(agent, "anna-canary", "ben")
    plan = agent.privacy.erase("anna-canary", "in-dpdp")
    end = datetime(2025, 3, 1, tzinfo=UTC)
    assert plan.due == end
    for _ in range(2):
        decision = agent.decide("anna-canary", {"age": 30})
        assert (decision.action.id, decision.probability) == ("no_action", 1.0)
        assert set(decision.reasons["RESTRICTED"]) == {"push", "sms", "mail"}
        assert not agent.privacy.may("anna-canary", "marketing")
        agent = make()
    clock.advance(2 * DAY)
    assert agent.learn().used == 1  # ben's
    held = agent.privacy.export("anna-canary")
    assert held["facts"]
    assert agent.privacy.erase("anna-canary", "in-dpdp").due > end  # type: ignore[operator]  # a time
    clock.set(end - timedelta(microseconds=1))
    assert agent.privacy.due() == []
    assert agent.privacy.carry_out() == 0
    clock.set(end)
    (due,) = agent.privacy.due()  # asked twice, the first request counts
    assert (due.subject, due.due, due.regime) == ("anna-canary", end, "in-dpdp")
    assert "canary" not in repr(due)
    assert agent.privacy.carry_out() == 1
    assert agent.privacy.due() == []
    assert agent.privacy.carry_out() == 0
    assert agent.privacy.export("anna-canary")["facts"] == []
    assert found(tmp_path, "canary") == []
    assert agent.privacy.export("ben")["decisions"]


def test_who_stays_after_all_is_decided_for_again(make: Make, clock: FakeClock) -> None:
    """Lifting ends the restriction, and nothing is due any more."""
    agent = make()
    live(agent, "anna")
    agent.privacy.erase("anna", "in-dpdp")
    agent.privacy.lift("anna")
    assert "RESTRICTED" not in agent.decide("anna").reasons
    clock.advance(800 * DAY)
    assert agent.privacy.due() == []
    assert agent.privacy.may("anna", "marketing")


def test_all_agents_of_a_file_forget_together(tmp_path: Path, clock: FakeClock) -> None:
    """A subject has another surrogate with each; asking one of them is enough."""
    path = tmp_path / "agent.db"
    with (
        Agent.open(path, "one", ACTIONS, **parts(clock)) as one,
        Agent.open(path, "two", ACTIONS, **parts(clock)) as two,
    ):
        live(one, "anna-canary")
        live(two, "anna-canary", "ben")
        one.privacy.erase("anna-canary")
        assert found(tmp_path, "canary") == []
        assert two.privacy.export("anna-canary")["decisions"] == []
        assert two.privacy.export("ben")["decisions"]
        assert "NO_CONSENT_UNKNOWN" in two.decide("anna-canary").reasons


def test_a_restriction_holds_in_every_agent_that_has_the_file_open(tmp_path: Path, clock: FakeClock) -> None:
    """The next decision of the other knows, and so does its learning."""
    path = tmp_path / "agent.db"
    with (
        Agent.open(path, "shop", ACTIONS, **parts(clock)) as one,
        Agent.open(path, "shop", ACTIONS, **parts(clock)) as two,
    ):
        live(one, "anna", "ben")
        one.privacy.erase("anna", "in-dpdp")
        assert "RESTRICTED" in two.decide("anna").reasons
        clock.advance(2 * DAY)
        assert two.learn().used == 1


def test_an_old_backup_does_not_bring_anybody_back(tmp_path: Path, clock: FakeClock) -> None:
    """Erasures, holds and their ends are done again when the file is opened."""
    path, backup = tmp_path / "agent.db", tmp_path / "backup"
    backup.mkdir()
    with Agent.open(path, "shop", ACTIONS, **parts(clock)) as agent:
        live(agent, "anna-canary", "ben-canary", "carl", "dora")
    for each in tmp_path.glob("agent.db*"):
        shutil.copy(each, backup)
    with Agent.open(path, "shop", ACTIONS, **parts(clock)) as agent:
        agent.privacy.erase("anna-canary")
        agent.privacy.erase("ben-canary", "in-dpdp")
        agent.privacy.erase("dora", "in-dpdp")
        agent.privacy.lift("dora")
    names = [each.name for each in backup.iterdir()]
    for each in tmp_path.glob("agent.db*"):
        if each.name != "agent.db.erased":
            each.unlink()
    for name in names:
        shutil.copy(backup / name, tmp_path)
    shutil.rmtree(backup)
    assert found(tmp_path, "anna-canary")
    with Agent.open(path, "shop", ACTIONS, **parts(clock)) as agent:
        assert found(tmp_path, "anna-canary") == []
        assert agent.privacy.export("anna-canary")["decisions"] == []
        assert "RESTRICTED" in agent.decide("ben-canary").reasons
        assert "RESTRICTED" not in agent.decide("dora").reasons
        assert agent.privacy.export("carl")["decisions"]
        assert agent.privacy.reapply() == 0
        clock.set(datetime(2025, 3, 1, tzinfo=UTC))
        assert agent.privacy.carry_out() == 1
        assert found(tmp_path, "canary") == []
        log: Any = agent.log
        assert log.verify().problem is None


def test_an_erasure_that_was_interrupted_is_finished_when_the_file_is_opened(
    tmp_path: Path, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list knew first: what the database took back, it does again."""
    path = tmp_path / "agent.db"
    with Agent.open(path, "shop", ACTIONS, **parts(clock)) as agent:
        live(agent, "anna-canary")
        monkeypatch.setattr(agent.store, "delete", lambda names: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            agent.privacy.erase("anna-canary")
        assert agent.privacy.export("anna-canary")["decisions"]  # all of it was taken back
    monkeypatch.undo()
    with Agent.open(path, "shop", ACTIONS, **parts(clock)) as agent:
        assert agent.privacy.export("anna-canary")["decisions"] == []
        assert found(tmp_path, "canary") == []


def test_the_list_of_erasures_names_nobody(tmp_path: Path, clock: FakeClock) -> None:
    """Random numbers, times and the law: nothing that leads to a person once the mapping is gone."""
    path = tmp_path / "agent.db"
    with Agent.open(path, "shop", ACTIONS, **parts(clock)) as agent:
        live(agent, "anna")
        agent.privacy.erase("anna")
    lines = (tmp_path / "agent.db.erased").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["erased"]
    assert "anna" not in lines[0]


def test_providers_let_go_of_what_they_keep(clock: FakeClock) -> None:
    """Caches, also behind other providers."""
    asked: list[str] = []

    def ask(subjects: Any, names: Any, now: int) -> Columns:
        asked.extend(subjects)
        return Columns({"age": np.full(len(subjects), 31.0)})

    cache = Cached(_Asks(ask), DAY)
    agent = Agent("shop", ACTIONS, **parts(clock), providers=[Chained([cache])])
    agent.privacy.grant("anna", "marketing")
    agent.decide("anna")
    agent.decide("anna")
    assert asked == ["anna"]
    agent.privacy.erase("anna")
    assert len(cache) == 0


class _Asks:
    """A provider out of a function."""

    def __init__(self, ask: Callable[..., Columns]) -> None:
        self.fetch = ask


def test_a_log_that_cannot_forget_is_told(clock: FakeClock) -> None:
    """Before anything is erased."""

    class Remembers:
        def __init__(self) -> None:
            self.log = MemoryLog()

        def append(self, block: Block, /) -> Receipt:
            return self.log.append(block)

        def read(self, after: int = 0, /) -> Any:
            return self.log.read(after)

    assert isinstance(Remembers(), ProvenanceLog)
    assert not isinstance(Remembers(), Erases)
    agent = Agent("shop", ACTIONS, **parts(clock), log=Remembers())
    live(agent, "anna")
    with pytest.raises(ConfigurationError, match=r"erase\(whom\)"):
        agent.privacy.erase("anna")
    assert "anna" in list(agent.store.subjects())


def test_an_export_is_json_and_complete(make: Make, clock: FakeClock) -> None:
    """Facts, decisions with features and explanation, outcomes, rewards, and every field of the record."""
    agent = make()
    ids = live(agent, "anna")
    agent.tell("anna", Suppressed(LEAP + DAY))
    agent.decide("anna", {"age": math.nan})
    clock.advance(2 * DAY)
    agent.learn()
    told = json.loads(json.dumps(agent.privacy.export("anna"), allow_nan=False))
    assert [fact["kind"] for fact in told["facts"]] == ["consent_granted", "zone_known", "suppressed"]
    assert told["facts"][0]["evidence"] == "form of anna"
    assert told["facts"][2]["until"] == "2024-03-01T12:00:00+00:00"
    first, second = told["decisions"]
    assert first["id"] == ids["anna"]
    assert first["features"] == {"age": 30.0, "tier": "gold"}
    assert first["explanation"].startswith("anna at 2024-02-29 12:00 UTC")
    assert second["features"]["age"] is None
    assert set(second["reasons"]["SUPPRESSED"]) == {"push", "sms", "mail"}
    assert told["outcomes"] == [
        {
            "decision": ids["anna"],
            "slot": 0,
            "outcome": "buy",
            "value": 10.0,
            "at": "2024-02-29T12:00:00+00:00",
        }
    ]
    assert {(reward["decision"], reward["reward"]) for reward in told["rewards"]} == {
        (ids["anna"], 10.0),
        (second["id"], 0.0),
    }
    assert set(told["record"]) == set(agent.plan.layout.dtype.names or ())
    assert told["record"]["agentic.decisions"] == 2
    assert agent.privacy.export("stranger")["record"] == {}


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["decide", "buy", "tell"])), max_size=14))
@settings(max_examples=40)
def test_an_export_tells_nothing_of_others(steps: list[tuple[int, str]]) -> None:
    """Whatever happened: the exports share the log out among the subjects, and no name is in another's."""
    clock = FakeClock(LEAP)
    agent = Agent("shop", ACTIONS, **parts(clock))
    names = ["anna", "ben", "carl", "dora"]
    last: dict[str, str] = {}
    for who, what in steps:
        name = names[who]
        clock.advance(timedelta(minutes=1))
        if what == "decide":
            last[name] = agent.decide(name, {"age": who}).id
        elif what == "tell":
            agent.privacy.grant(name, "marketing", evidence=f"of {name}")
        elif name in last:
            agent.record(last[name], "buy", event_id=str(clock()))
    told = {name: agent.privacy.export(name) for name in names}
    for name in names:
        assert not [other for other in names if other != name and other in json.dumps(told[name])]
    records: dict[str, int] = {}
    for receipt, block in agent.log.read():
        records[block.kind] = records.get(block.kind, 0) + receipt.count
    for kind, part in (("decision", "decisions"), ("fact", "facts"), ("outcome", "outcomes")):
        assert sum(len(one[part]) for one in told.values()) == records.get(kind, 0)


def test_who_stays_away_is_told_and_then_forgotten(make: Make, clock: FakeClock) -> None:
    """Three years after the last activity, two days after the notice; activity starts the time again."""
    agent = make()
    ids = live(agent, "anna", "ben")
    end = datetime(2027, 3, 1, tzinfo=UTC)
    clock.set(end - 2 * DAY - timedelta(microseconds=1))
    nobody = agent.privacy.retention("in-dpdp")
    assert (nobody.due_for_notice, nobody.due_for_erasure) == ((), ())
    clock.set(end - 2 * DAY)
    assert set(agent.privacy.retention("in-dpdp").due_for_notice) == {"anna", "ben"}
    agent.privacy.notified(["anna", "ben"])
    assert agent.privacy.retention("in-dpdp").due_for_notice == ()
    clock.set(end - timedelta(hours=1))
    agent.privacy.grant("ben", "marketing")  # in the last hour
    clock.set(end)
    due = agent.privacy.retention("in-dpdp")
    assert due.due_for_erasure == ("anna",)
    assert "anna" not in repr(due)
    for name in due.due_for_erasure:
        agent.privacy.erase(name)
    assert agent.privacy.retention("in-dpdp").due_for_erasure == ()
    own = Schedule(Period(hours=1))
    clock.advance(timedelta(hours=2))
    assert agent.privacy.retention(own).due_for_erasure == ("ben",)
    assert agent.privacy.retention(Regime.load("in-dpdp")).due_for_erasure == ()
    with pytest.raises(ConfigurationError):
        agent.privacy.retention("eu-gdpr")
    assert ids


def test_who_was_touched_in_an_incident_is_known(make: Make, clock: FakeClock) -> None:
    """Exactly those decided for in that time."""
    agent = make()
    agent.decide("early")
    clock.advance(DAY)
    agent.decide_many(["anna", "ben"])
    clock.advance(DAY)
    agent.decide("late")
    touched = agent.privacy.touched
    assert touched(LEAP + DAY, LEAP + 2 * DAY) == ["anna", "ben"]
    assert touched(LEAP, LEAP + 3 * DAY) == ["anna", "ben", "early", "late"]
    assert touched(LEAP + 3 * DAY, LEAP + 4 * DAY) == []


def test_erasing_needs_the_log(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it fails, the caller hears of it and asks again."""
    agent = make()
    live(agent, "anna")

    def fails(block: Block) -> Receipt:
        raise OSError(block.kind)

    monkeypatch.setattr(agent.log, "append", fails)
    with pytest.raises(LogError, match="erasure"):
        agent.privacy.erase("anna")
    monkeypatch.undo()
    assert agent.privacy.erase("anna").erased_now
    assert agent.privacy.export("anna")["decisions"] == []


def test_granting_where_the_log_fails_grants_nothing(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """No record, no consent."""
    agent = make()

    def fails(block: Block) -> Receipt:
        raise OSError(block.kind)

    monkeypatch.setattr(agent.log, "append", fails)
    with pytest.raises(LogError):
        agent.privacy.grant("anna", "marketing")
    monkeypatch.undo()
    assert "NO_CONSENT_UNKNOWN" in agent.decide("anna").reasons


def test_a_desk_says_whose_it_is(make: Make) -> None:
    """And nothing else."""
    assert repr(make().privacy) == "Privacy of agent 'shop'"


def test_agents_that_share_a_log_tell_theirs_apart(clock: FakeClock) -> None:
    """Consents, holds and restrictions of the one are not those of the other; erasing takes both."""
    log = MemoryLog()
    one, two = (Agent(name, ACTIONS, **parts(clock), log=log) for name in ("one", "two"))
    for agent in (one, two):
        live(agent, "anna")
    two.privacy.withdraw("anna", "marketing")
    one.privacy.erase("anna", "in-dpdp")
    assert "RESTRICTED" not in two.decide("anna").reasons
    assert two.privacy.may("anna", "marketing") is False
    assert [entry.state for entry in one.privacy.consents("anna")] == ["granted"]
    one.privacy.grant("anna", "marketing", at=clock())  # withdrawn with the other
    clock.set(datetime(2025, 3, 1, tzinfo=UTC))
    assert two.privacy.due() == []
    assert two.privacy.carry_out() == 0
    assert len(one.privacy.due()) == 1
    two.privacy.erase("anna")
    assert one.privacy.export("anna")["decisions"] == []


def test_a_suppression_for_good_is_a_no_forever(make: Make, clock: FakeClock) -> None:
    """Also to the ledger; a withdrawal of another purpose or channel stands in nobody's way."""
    agent = make(guardrails=[Consent("marketing"), Consent("service", name="service")])
    agent.privacy.withdraw("anna", "service")
    agent.privacy.withdraw("ben", "marketing")
    clock.advance(DAY)
    agent.privacy.grant("anna", "marketing", at=LEAP - DAY)
    assert agent.privacy.may("anna", "marketing")
    agent.privacy.suppress("anna")
    clock.advance(1000 * DAY)
    assert not agent.privacy.may("anna", "marketing")


class Odd:
    """A guardrail that keeps bytes, times and numbers that are none."""

    name = "odd"
    fields = (
        Field("code", "S4", default=b"ab"),
        Field("since", "M8[us]"),
        Field("share", "f8", (2,), math.nan),
    )

    def review(self, batch: Batch, /) -> Review:
        return Review(np.ones((1, 1), dtype=np.bool_), "ODD")

    def settle(self, batch: Batch, chosen: Chosen, /) -> None:
        """Nothing."""


def test_any_field_and_any_value_can_be_exported(clock: FakeClock) -> None:
    """Bytes as digits, times as microseconds, what is no number as null, an undeclared category in words."""
    agent = Agent("odd", ACTIONS, **parts(clock) | {"guardrails": [Odd()]})
    agent.decide("anna", {"tier": "platinum"})
    told = json.loads(json.dumps(agent.privacy.export("anna"), allow_nan=False))
    assert told["record"]["odd.code"] == "6162"
    assert told["record"]["odd.since"] == 0
    assert told["record"]["odd.share"] == [None, None]
    assert isinstance(told["decisions"][0]["features"]["tier"], str)


def test_a_list_that_knows_more_than_the_log_is_followed(tmp_path: Path, clock: FakeClock) -> None:
    """Surrogates nobody has are put on record, and nothing is done for them again."""
    path = tmp_path / "agent.db"
    with Agent.open(path, "shop", ACTIONS, **parts(clock)) as agent:
        live(agent, "anna")
        agent.privacy.erase("anna")
        listed = ErasureList(f"{path}.erased")
        (known,) = listed.read(text_key("shop")).values()
        listed.add(
            [attrs.evolve(known, surrogate=(5, 6)), attrs.evolve(known, surrogate=(7, 8), state="held")]
        )
        assert agent.privacy.reapply() == 2
        assert agent.privacy.reapply() == 0
        (nobody,) = agent.privacy.due()
        assert nobody.subject == ""
        assert agent.privacy.carry_out() == 1
        assert agent.privacy.due() == []


class Pseudonyms(MemoryLog):
    """A log in memory that wants surrogates, and no file beside it."""

    pseudonymous = True

    def erase(self, whom: Any, /) -> int:
        names = set()
        for _, block in self.read():
            if {"surrogate", "subject"} <= block.columns.keys():
                rows = np.isin(block.columns["surrogate"][:, 0], whom[:, 0])
                names.update(block.columns["subject"][rows].tolist())
        return super().erase(sorted(names - {""}))


def test_a_log_that_names_nobody_needs_no_file(clock: FakeClock) -> None:
    """Surrogates are found in the records and in the log; there is no list to write."""
    agent = Agent("shop", ACTIONS, **parts(clock), log=Pseudonyms())
    live(agent, "anna", "ben")
    agent.privacy.erase("anna", "in-dpdp")
    assert agent.privacy.erase("ben").erased_now
    assert agent.privacy.export("ben")["decisions"] == []
    clock.set(datetime(2025, 3, 1, tzinfo=UTC))
    assert [one.subject for one in agent.privacy.due()] == ["anna"]
    assert agent.privacy.carry_out() == 1
    assert agent.privacy.export("anna")["decisions"] == []
    assert agent.privacy.reapply() == 0


def test_who_was_notified_and_has_no_record_is_erased_too(make: Make, tmp_path: Path) -> None:
    """A notice about a stranger is found by the id it names."""
    agent = make()
    agent.privacy.notified(["anna-canary"])
    agent.privacy.erase("anna-canary")
    assert found(tmp_path, "canary") == []
