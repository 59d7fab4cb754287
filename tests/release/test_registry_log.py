"""The registry in the log: forged events, races, retention, proofs, restarts."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic import Agent, _publishing
from agentic._releases import LINEAGE, RELEASE, _lines, _steps, members_learned
from agentic._releases._events import START, told, written
from agentic.arrays import Block, Receipt
from agentic.errors import LogError, ReleaseError
from agentic.policies import BetaThompson, EpsilonGreedy, Split, SquareCB
from agentic.provenance import HmacKey, MemoryLog, check_bundle
from agentic.release import Evidence, Registry, Requirements
from releasing import NOON, PASSED, RULES, carried, made, taught
from torture.herd import environment

_REGISTERED = ("learned", "notes", "owner", "parent", "policy", "training", "version")
_ADOPTED = {"version": "x", "policy": "x", "learned": True}
KEY = HmacKey("shop.example/a", bytes(range(16)))


def forged(agent: Agent, *texts: Any, name: str | None = None) -> None:
    """Write rows of kind release by hand, in the name of this agent or of another."""
    column = np.empty(len(texts), dtype=object)
    column[:] = texts
    columns = {"at": np.zeros(len(texts), np.int64), "event": column}
    block = Block(RELEASE, columns, {"schema": 1, "agent": agent.name if name is None else name})
    agent._following.books.append(block)


def event(agent: Agent, what: str, facts: dict[str, Any], **more: Any) -> str:
    """The text of an event that would come next."""
    state = agent.releases.state
    given = {"by": "Eve", "at": 0, "number": state.count, "previous": state.tail, **more}
    return written(what, facts, **given)[1]


def base(agent: Agent) -> dict[str, Any]:
    """The parts of the next event."""
    found: dict[str, Any] = json.loads(event(agent, "rollout.x", {}))
    return found


def dumped(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class TestForged:
    @pytest.fixture(params=["memory", "file"])
    def agent(self, request: pytest.FixtureRequest, tmp_path: Path) -> Any:
        with made(None if request.param == "memory" else tmp_path / "agent.db") as agent:
            registry = Registry(agent)
            registry.govern(by="Ann")
            registry.register(SquareCB(), owner="Bob")
            yield agent

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "{",
            "null",
            "[]",
            "7",
            '"text"',
            "{}",
            "[" * 5000 + "]" * 5000,
            "x" * 70_000,
            '{"a":NaN}',
            "1" * 5000,
        ],
        ids=list(map(str, range(11))),
    )
    def test_what_is_no_event_counts_for_nothing(self, agent: Agent, text: str) -> None:
        """It is refused with its place and why; decisions and the registry go on."""
        before = Registry(agent).to_json()
        forged(agent, text)
        agent.decide("customer", now=NOON)
        assert Registry(agent).to_json() == before
        assert len(agent.releases.refused) == 1
        assert agent.releases.refused[0].why
        Registry(agent).attach(SquareCB(), PASSED["shadow"], by="Bob")

    @pytest.mark.parametrize(
        "change",
        [
            {"number": -1},
            {"number": True},
            {"number": 1.0},
            {"number": 99},
            {"number": 0},
            {"previous": "0" * 64},
            {"previous": "0" * 63},
            {"previous": 7},
            {"what": "Moved"},
            {"what": "moved!"},
            {"what": 7},
            {"by": ""},
            {"by": " Eve"},
            {"by": 7},
            {"at": 5},
            {"at": "now"},
            {"facts": []},
            {"more": 1},
        ],
        ids=list(map(str, range(18))),
    )
    def test_nor_does_what_only_looks_like_one(self, agent: Agent, change: dict[str, Any]) -> None:
        """Every part has to be right."""
        before = Registry(agent).to_json()
        forged(agent, dumped({**base(agent), **change}))
        assert Registry(agent).to_json() == before
        assert len(agent.releases.refused) == 1

    def test_nor_what_is_written_another_way(self, agent: Agent) -> None:
        """The digest is over the text: spaces, another order, a key twice are other texts."""
        found = base(agent)
        for text in (json.dumps(found), dumped(found)[:-1] + ',"what":"rollout.x"}', dumped(found) + " "):
            forged(agent, text)
        assert len(agent.releases.refused) == 3
        assert agent.releases.state.count == 2

    @pytest.mark.parametrize(
        ("what", "facts"),
        [
            ("moved", {"version": "V", "stage": "champion"}),
            ("moved", {"version": "V", "stage": "evaluated"}),
            ("moved", {"version": "V", "stage": "evaluated", "force": True}),
            ("moved", {"version": "unknown", "stage": "evaluated"}),
            ("moved", {"version": None, "stage": "evaluated"}),
            ("moved", {"version": "V"}),
            ("approved", {"version": "V", "stage": "canary_1", "reason": "", "dossier": "0" * 64}),
            ("overridden", {"version": "V", "stage": "champion", "reason": ""}),
            ("rolled_back", {"version": "V", "left": None, "reason": "x"}),
            ("retired", {"version": 7, "reason": "x"}),
            ("registered", {"version": "V"}),
            ("evidenced", {"version": "V", "evidence": {}, "digest": ""}),
            ("evidenced", {"version": "V", "evidence": PASSED["shadow"].to_data(), "digest": "0" * 64}),
            ("governed", {"requirements": {}, "approved_by": None, "adopted": None}),
            ("governed", {}),
            ("governed", {"requirements": "R", "approved_by": "Zoe", "adopted": {"version": "V"}}),
            (
                "governed",
                {
                    "requirements": "R",
                    "approved_by": "Zoe",
                    "adopted": {"version": 1, "policy": "x", "learned": 1},
                },
            ),
            ("registered", dict.fromkeys(_REGISTERED, "V") | {"notes": "", "learned": 1, "version": "new"}),
            ("stepped_back", {"version": "V", "stage": "shadow", "reason": "x"}),
            ("revoked", {"version": "V", "stage": "shadow", "reason": "x"}),
        ],
        ids=list(map(str, range(20))),
    )
    def test_nor_what_the_registry_would_have_refused(
        self, agent: Agent, what: str, facts: dict[str, Any]
    ) -> None:
        """The fold holds to the same rules as the door."""
        version = Registry(agent).version_of(SquareCB())
        words = {"V": version, "R": Requirements().to_data()}
        facts = {
            name: words.get(value, value) if isinstance(value, str) else value
            for name, value in facts.items()
        }
        before = Registry(agent).to_json()
        forged(agent, event(agent, what, facts))
        assert Registry(agent).to_json() == before
        assert len(agent.releases.refused) == 1
        with pytest.raises(ReleaseError):
            agent.policy = SquareCB()

    @pytest.mark.parametrize("part", ["version", "policy", "learned"])
    def test_who_begins_to_govern_by_hand_adopts_a_policy(self, part: str) -> None:
        """And nothing else."""
        agent = made()
        facts = {"requirements": Requirements().to_data(), "approved_by": None}
        forged(agent, event(agent, "governed", {**facts, "adopted": {**_ADOPTED, part: 7}}))
        assert not Registry(agent).governed

    @pytest.mark.parametrize(
        "change", [{"learned": 1}, {"parent": "x"}, {}], ids=["learned", "parent", "twice"]
    )
    def test_who_registers_by_hand_says_what_it_takes(self, agent: Agent, change: dict[str, Any]) -> None:
        """Whether it learned, a parent that there is, and a version that there is not."""
        version = Registry(agent).version_of(SquareCB()) if not change else "new"
        facts = {
            **_ADOPTED,
            "version": version,
            "owner": "Eve",
            "parent": None,
            "training": None,
            "notes": "",
        }
        forged(agent, event(agent, "registered", {**facts, **change}))
        assert len(agent.releases.refused) == 1
        assert len(Registry(agent).versions) == 2

    def test_blocks_of_another_shape_count_for_nothing(self, agent: Agent) -> None:
        """No columns, other columns, other types."""
        books, meta = agent._following.books, {"schema": 1, "agent": agent.name}
        rows = np.zeros(1, np.int64)
        for columns in (
            {"x": rows},
            {"at": rows},
            {"at": rows + 0.5, "event": rows},
            {"at": rows, "event": rows},
        ):
            books.append(Block(RELEASE, columns, meta))
        for columns in ({"version": rows}, {"after": rows, "version": rows}):
            books.append(Block(LINEAGE, columns, meta))
        assert len(agent.releases.refused) == 4
        assert agent.releases.state.count == 2
        with pytest.raises(ReleaseError):
            agent.policy = EpsilonGreedy()

    def test_of_many_refused_records_some_are_remembered(self, agent: Agent) -> None:
        """Nobody fills the memory with them."""
        forged(agent, *["x"] * 500)
        assert len(agent.releases.refused) == 100

    def test_events_of_a_newer_version_let_nothing_learned_through(self, agent: Agent) -> None:
        """What it means cannot be known; rules still pass."""
        registry = Registry(agent)
        registry.override(SquareCB(), by="Ann", reason="why not")
        forged(agent, event(agent, "banned", {"version": "all"}))
        with pytest.raises(ReleaseError, match="newer version"):
            agent.policy = SquareCB()
        with pytest.raises(ReleaseError, match="newer version"):
            registry.retire(SquareCB(), by="Ann", reason="x")
        agent.policy = RULES

    def test_events_of_other_agents_are_theirs(self, agent: Agent) -> None:
        """Agents that share a log have a registry each."""
        forged(agent, event(agent, "rollout.x", {}), name="another")
        agent.releases.refresh()
        assert agent.releases.state.count == 2
        assert agent.releases.refused == ()

    def test_a_fresh_process_believes_the_same(self, tmp_path: Path) -> None:
        """What counts for nothing here counts for nothing there, and the rest is the same."""
        path = tmp_path / "agent.db"
        with made(path) as one:
            Registry(one).govern(by="Ann")
            forged(one, "x", event(one, "moved", {}))
            Registry(one).register(SquareCB(), owner="Bob")
            forged(one, event(one, "rollout.x", {}), event(one, "rollout.y", {}))
            with made(path) as other:
                assert Registry(other).to_json() == Registry(one).to_json()
                assert [each.position for each in other.releases.refused] == [
                    each.position for each in one.releases.refused
                ]
                assert [each.what for each in other.releases.events("rollout.")] == ["rollout.x"]

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.text() | st.binary().map(repr), max_size=4), st.sampled_from(["i8", "f8", "U3"]))
    def test_reading_raises_nothing(self, texts: list[str], dtype: str) -> None:
        """Whatever a block holds."""
        column = np.empty(len(texts), dtype=object)
        column[:] = texts
        block = Block(RELEASE, {"at": np.zeros(len(texts), dtype), "event": column}, {"agent": "a"})
        assert all(one.event is None for one in told(0, block))


class TestLimits:
    def test_there_is_an_end_to_versions_and_evidence(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody fills the memory of every process."""
        monkeypatch.setattr(_steps, "_MOST_VERSIONS", 1)
        monkeypatch.setattr(_steps, "_MOST_EVIDENCE", 1)
        registry = Registry(made())
        registry.register(SquareCB(), owner="Bob")
        registry.attach(SquareCB(), PASSED["shadow"], by="Bob")
        with pytest.raises(ReleaseError, match="that is all"):
            registry.attach(SquareCB(), PASSED["shadow"], by="Bob")
        with pytest.raises(ReleaseError, match="at most 1"):
            registry.register(EpsilonGreedy(), owner="Bob")

    @pytest.mark.parametrize("kept", [1, 50])
    def test_of_what_was_learned_the_last_is_known(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kept: int
    ) -> None:
        """A version further back than that has to be registered to come back."""
        monkeypatch.setattr(_lines, "KEPT", kept)
        monkeypatch.setattr(_publishing, "_LEARNED", kept)
        for path in (None, tmp_path / "agent.db"):
            with made(path, policy=BetaThompson()) as agent:
                registry = Registry(agent)
                registry.govern(by="Ann")
                for turn in range(3):
                    taught(agent, 30, turn)
                last = agent.policy_version
                found = agent.releases.root(last)
                assert (found == registry.champion.version) is (kept == 50)  # type: ignore[union-attr]

    def test_members_of_another_split_were_learned_from_nobody(self) -> None:
        """Who parted nobody has no members to learn from."""
        assert members_learned(Split(RULES, [(SquareCB(), 0.1)]), RULES) == []

    def test_a_child_process_goes_on(self, tmp_path: Path) -> None:
        """Whoever held a lock is not there any more."""
        with made(tmp_path / "agent.db") as agent:
            registry = Registry(agent)
            registry.govern(by="Ann")
            agent.releases._lock.acquire()
            agent._process = 0
            agent.decide("customer", now=NOON)
            agent.releases.refresh()
            with pytest.raises(ReleaseError):
                agent.policy = SquareCB()


class TestOwnEvents:
    def test_others_keep_their_events_in_the_same_chain(self) -> None:
        """Rollouts and overseers log theirs with a dot in the name; the registry makes nothing of them."""
        agent = made()
        registry = Registry(agent)
        registry.register(SquareCB(), owner="Bob")
        before = registry.versions
        found = agent.releases.append("rollout.ramped", {"share": 0.05}, by="rollout")
        assert (found.number, found.at) == (1, int(NOON.timestamp() * 1e6))
        registry.attach(SquareCB(), PASSED["shadow"], by="Bob")
        assert agent.releases.events("rollout.") == (found,)
        assert agent.releases.events("rollout.ramped") == (found,)
        assert agent.releases.events("rollout.other") == ()
        assert registry.versions[0].registered_at == before[0].registered_at

    def test_several_stand_together(self, tmp_path: Path) -> None:
        """In one transaction; after an error none of them does."""
        with made(tmp_path / "agent.db") as agent:
            releases = agent.releases
            with releases.writing():
                releases.append("rollout.a", {}, by="x")
                releases.append("rollout.b", {}, by="x")
            assert [event.number for event in releases.events()] == [0, 1]
            with pytest.raises(RuntimeError, match="stop"), releases.writing():
                releases.append("rollout.c", {}, by="x")
                raise RuntimeError("stop")
            assert [event.what for event in releases.events()] == ["rollout.a", "rollout.b"]
            releases.append("rollout.d", {}, by="x")
            assert releases.refused == ()
            assert [event.number for event in releases.events()] == [0, 1, 2]

    @pytest.mark.parametrize(
        ("what", "facts"),
        [
            ("unknown", {}),
            ("Rollout.x", {}),
            ("rollout.", {}),
            ("a.b.c.d.e", {}),
            (7, {}),
            ("rollout.x", []),
            ("rollout.x", {"x": float("inf")}),
            ("rollout.x", {"x": "\ud800"}),
            ("rollout.x", {"x": "y" * 66_000}),
            ("rollout.x", {"x": b"bytes"}),
        ],
        ids=list(map(str, range(10))),
    )
    def test_what_cannot_be_logged_is_refused(self, what: Any, facts: Any) -> None:
        """Nothing is."""
        agent = made()
        with pytest.raises(ReleaseError):
            agent.releases.append(what, facts, by="x")
        assert len(agent.log) == 0  # type: ignore[arg-type]

    def test_a_log_that_fails_let_nothing_happen(self) -> None:
        """The registry is as before, and goes on when the log does."""

        class Down(MemoryLog):
            down: Exception | None = None

            def append(self, block: Block, /) -> Receipt:
                if self.down:
                    raise self.down
                return super().append(block)

        log = Down()
        agent = Agent("shop", made().plan.catalogue.actions[1:], policy=RULES, log=log, clock=lambda: NOON)
        registry = Registry(agent)
        for log.down in (OSError("down"), LogError("it did not happen")):
            with pytest.raises(LogError, match="did not happen"):
                registry.register(SquareCB(), owner="Bob")
        assert registry.versions == ()
        log.down = None
        registry.register(SquareCB(), owner="Bob")
        assert len(registry.versions) == 1


RACER = """
import sys
from pathlib import Path
from agentic.errors import ReleaseError
from agentic.policies import SquareCB
from agentic.release import Evidence, Registry
from releasing import made

path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
with made(path) as agent:
    registry = Registry(agent)
    print("ready", flush=True)
    sys.stdin.readline()
    won = 0
    for turn in range(count):
        policy = SquareCB(gamma=float(turn + 2))
        try:
            registry.advance(policy, "evaluated", by=name)
            won += 1
        except ReleaseError:
            pass
        registry.attach(policy, Evidence("shadow", "pass", {"by": name}), by=name)
    print(won, flush=True)
"""


class TestProcesses:
    def test_of_two_only_one_can(self, tmp_path: Path) -> None:
        """Two processes that do the same at once: each move is made once, and nothing is lost."""
        path, count = tmp_path / "agent.db", 12
        with made(path) as agent:
            registry = Registry(agent)
            for turn in range(count):
                policy = SquareCB(gamma=float(turn + 2))
                registry.register(policy, owner="Bob")
                for kind in ("evaluation", "simulation"):
                    registry.attach(policy, PASSED[kind], by="Bob")
            racers = [
                subprocess.Popen(
                    [sys.executable, "-c", RACER, str(path), name, str(count)],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env=environment(),
                )
                for name in ("one", "other")
            ]
            for racer in racers:
                assert racer.stdout
                assert racer.stdout.readline() == "ready\n"
            for racer in racers:
                assert racer.stdin
                racer.stdin.write("go\n")
                racer.stdin.flush()
            told = [racer.communicate(timeout=60)[0] for racer in racers]
            assert sum(map(int, told)) == count
            events = registry.history()
            assert sum(event.what == "moved" for event in events) == count
            assert sum(event.what == "evidenced" for event in events) == count * 4
            assert [event.number for event in events] == list(range(len(events)))
            assert agent.releases.refused == ()
            assert {found.stage for found in registry.versions} == {"evaluated"}


class TestRetention:
    def grown(self, path: Path) -> Agent:
        """An agent whose registry stands in segments of the log that are old."""
        agent = made(path, policy=BetaThompson())
        registry = Registry(agent)
        registry.govern(by="Ann")
        taught(agent)
        registry.register(SquareCB(), owner="Bob")
        carried(registry, SquareCB(), "canary_10")
        for turn in range(2):
            agent.decide_many([f"c{turn}-{i}" for i in range(4096)], now=NOON)
        agent.learn(now=NOON + timedelta(days=2))
        return agent

    def test_the_registry_outlives_the_decisions(self, tmp_path: Path) -> None:
        """All of its events, in their order, with their times; and who learned from whom."""
        path = tmp_path / "agent.db"
        with self.grown(path) as agent:
            registry = Registry(agent)
            before, policy = registry.to_json(), agent.policy
            later = NOON + timedelta(days=3)
            for again in range(2):
                assert agent.privacy.drop(NOON + timedelta(days=1 + again), now=later) > again - 1
                assert registry.to_json() == before
                assert agent.releases.refused == ()
                with made(path, policy=BetaThompson()) as other:
                    assert Registry(other).to_json() == before
                    assert other.releases.refused == ()
                    assert Registry(other).get(other.policy_version) == registry.champion
                    assert Registry(other).clearance(policy) == ()
                    Registry(other).attach(SquareCB(), Evidence("canary", "pass", {"share": 0.1}), by="Bob")
                before = registry.to_json()
                for turn in range(2):
                    agent.decide_many([f"d{turn}-{i}" for i in range(4096)], now=NOON)
                agent.learn(now=NOON + timedelta(days=3))
            log: Any = agent.log
            assert log.verify().ok
            assert agent.replay().identical

    def test_what_was_forged_is_left_behind(self, tmp_path: Path) -> None:
        """Only what counts is carried over, and it keeps its place."""
        path = tmp_path / "agent.db"
        with self.grown(path) as agent:
            forged(agent, "x", event(agent, "moved", {}))
            before = Registry(agent).to_json()
            texts = [event.digest for event in agent.releases.events()]
            forged(agent, event(agent, "rollout.x", {}, number=1, previous=texts[0]))
            agent.privacy.drop(NOON + timedelta(days=1), now=NOON + timedelta(days=3))
            with made(path, policy=BetaThompson()) as other:
                assert Registry(other).to_json() == before


class TestProof:
    def test_an_event_can_be_proved_to_a_stranger(self, tmp_path: Path) -> None:
        """The audit bundle of its record says what was done, by whom and when."""
        with made(tmp_path / "agent.db") as agent:
            registry = Registry(agent)
            registry.register(SquareCB(), owner="Bob")
            registry.override(SquareCB(), by="Ann", reason="a sale")
            agent.checkpoint(KEY, origin="shop.example/a")
            for found in registry.history():
                proof = registry.proof(found)
                check_bundle(proof.to_json(), [KEY])
                record = json.loads(proof.record()["event"])
                assert (record["what"], record["by"]) == (found.what, found.by)
            assert '"reason":"a sale"' in proof.record()["event"]

    def test_erasing_somebody_leaves_it_as_it_is(self, tmp_path: Path) -> None:
        """Nothing in it is about a customer."""
        with made(tmp_path / "agent.db") as agent:
            registry = Registry(agent)
            registry.register(SquareCB(), owner="Bob")
            agent.decide("Bob", now=NOON)
            before = registry.to_json()
            agent.privacy.erase("Bob")
            assert registry.to_json() == before
            log: Any = agent.log
            assert log.verify().ok

    def test_the_first_event_follows_nothing(self) -> None:
        """Sixty-four zeros."""
        assert START == "0" * 64
