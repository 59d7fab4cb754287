"""A log signs what it holds, keeps the notes, and proves records under them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from agentic import NO_ACTION, Action, Agent
from agentic.errors import ConfigurationError, ProofError, UnknownDecisionError
from agentic.policies import Fixed
from agentic.provenance import Checkpoint, DurableLog, HmacKey, check_bundle, check_growth, open_checkpoint
from durable import decisions, opened, rewards

KEY = HmacKey("shop.example/a", bytes(range(16)))
OTHER = HmacKey("shop.example/b", bytes(range(1, 17)))


def test_a_checkpoint_is_on_everything_and_is_kept(tmp_path: Path) -> None:
    """It seals first; the file holds the note as it was returned, and when."""
    database, log = opened(tmp_path / "a.db")
    log.append(decisions([1, 2, 3]))
    note = log.checkpoint(KEY, at=7, origin="shop.example/a")
    assert open_checkpoint(note, [KEY]) == Checkpoint("shop.example/a", 3, log.root())
    (held,) = log.checkpoints()
    assert (held.size, held.at, held.note, held.signed) == (3, 7, note, True)
    assert log.verify().ok
    database.close()
    assert opened(tmp_path / "a.db")[1].origin == "shop.example/a"


def test_a_log_keeps_its_name(tmp_path: Path) -> None:
    """Given once, or made up; another one is refused, for auditors go by it."""
    _, log = opened(tmp_path / "a.db")
    _, named = opened(tmp_path / "b.db")
    assert log.origin is None
    for one in (log, named):
        one.append(decisions([1]))
    first = Checkpoint.of(log.checkpoint(KEY, at=1)).origin
    assert first.startswith("agentic/log/")
    assert len(first) == 28
    assert Checkpoint.of(log.checkpoint(KEY, at=2, origin=first)).origin == first == log.origin
    named.checkpoint(KEY, at=1, origin="mine")
    with pytest.raises(ProofError, match="signs as 'mine', asked was 'yours'"):
        named.checkpoint(KEY, at=1, origin="yours")
    with pytest.raises(ProofError, match="one line"):
        opened(tmp_path / "c.db")[1].checkpoint(KEY, at=1, origin="a\nb")


def test_who_signed_a_dropping_has_named_the_log(tmp_path: Path) -> None:
    """Checkpoints of one log have one name, whoever wrote the first."""
    _, log = opened(tmp_path / "a.db")
    log.append(rewards(list(range(4097))))
    log.drop(4096, at=1, note=lambda size, root: Checkpoint("mine", size, root).signed([KEY]))
    assert log.origin == "mine"
    with pytest.raises(ProofError, match="signs as 'mine'"):
        log.checkpoint(KEY, at=1, origin="yours")
    assert Checkpoint.of(log.checkpoint(KEY, at=1)).origin == "mine"
    assert log.origin == "mine"


def test_what_cannot_be_signed_is_refused(tmp_path: Path) -> None:
    """Nothing, or by nobody; and then nothing is kept."""
    _, log = opened(tmp_path / "a.db")
    with pytest.raises(ProofError, match="at least one signer"):
        log.checkpoint(at=1)
    with pytest.raises(ProofError, match="no records"):
        log.checkpoint(KEY, at=1)
    assert log.checkpoints() == []


def test_signatures_of_one_size_add_up(tmp_path: Path) -> None:
    """Signed again by others, a note has all; by the same key, it has its signature once."""
    _, log = opened(tmp_path / "a.db")
    log.append(decisions([1, 2]))
    log.checkpoint(KEY, at=1)
    log.checkpoint(OTHER, at=2)
    note = log.checkpoint(OTHER, at=3)
    assert note.count("— ") == 2
    for key in (KEY, OTHER):
        assert open_checkpoint(note, [key]).size == 2
    assert [held.note for held in log.checkpoints()] == [note]


def test_an_unsigned_checkpoint_is_replaced_by_a_signed_one(tmp_path: Path) -> None:
    """What a dropping leaves is signed by whoever comes."""
    _, log = opened(tmp_path / "a.db")
    log.append(rewards(list(range(4096))))
    log.drop(4096, at=1)
    assert [held.signed for held in log.checkpoints()] == [False]
    log.checkpoint(KEY, at=1)
    assert [held.signed for held in log.checkpoints()] == [True]
    assert log.verify().ok


def test_evidence_goes_by_the_latest_checkpoint_or_the_given(tmp_path: Path) -> None:
    """Each is accepted; without any on the record, and for a note of another log, it says so."""
    _, log = opened(tmp_path / "a.db")
    log.append(decisions([1, 2, 3]))
    with pytest.raises(ProofError, match="no signed checkpoint is on record 1 yet"):
        log.evidence(1)
    first = log.checkpoint(KEY, at=1)
    log.append(decisions([4]))
    second = log.checkpoint(KEY, at=2)
    assert log.evidence(1).checkpoint == second
    assert log.evidence(1, first).checkpoint == first
    for note in (first, second):
        assert "record 1 of" in check_bundle(log.evidence(1, note).to_json(), [KEY])
    assert check_growth(first, second, log.prove_growth(3, 4).path, [KEY]).size == 4
    with pytest.raises(ProofError):
        log.evidence(3, first)
    with pytest.raises(ProofError):
        log.evidence(-1)
    _, other = opened(tmp_path / "b.db")
    other.append(decisions([9, 9, 9]))
    with pytest.raises(ProofError, match="not on this log"):
        log.evidence(1, other.checkpoint(KEY, at=1))


def test_processes_agree_on_the_name(tmp_path: Path) -> None:
    """Whoever comes second takes the name that is there."""
    _, log = opened(tmp_path / "a.db")
    log.append(decisions([1]))
    _, twin = opened(tmp_path / "a.db")
    names = {Checkpoint.of(one.checkpoint(KEY, at=1)).origin for one in (log, twin)}
    assert len(names) == 1


class TestAgent:
    def test_a_decision_is_proved(self, tmp_path: Path) -> None:
        """By its id, under a checkpoint; one that came later has to wait for the next."""
        with Agent.open(tmp_path / "a.db", "shop", [Action("push")], policy=Fixed(NO_ACTION)) as agent:
            first = agent.decide("anna")
            agent.checkpoint(KEY)
            later = agent.decide("anna")
            told = check_bundle(agent.evidence(first.id).to_json(), [KEY])
            assert "signed by shop.example/a" in told
            assert agent.evidence(first.id).record()["subject"] == "anna"
            with pytest.raises(ProofError, match="no signed checkpoint"):
                agent.evidence(later.id)
            with pytest.raises(UnknownDecisionError):
                agent.evidence("0" * 32)
            assert isinstance(agent.log, DurableLog)
            assert agent.log.checkpoints()[0].at > np.datetime64("2020", "us").astype(np.int64)

    def test_an_erased_decision_is_still_proved(self, tmp_path: Path) -> None:
        """Without its personal part: that it was made, when, and what it chose."""
        with Agent.open(tmp_path / "a.db", "shop", [Action("push")], policy=Fixed("push")) as agent:
            made = agent.decide("anna")
            assert isinstance(agent.log, DurableLog)
            position = next(r.first for r, block in agent.log.read() if block.kind == "decision")
            agent.checkpoint(KEY)
            agent.log.erase_records([position])
            evidence = agent.evidence(made.id)
            assert "anna" not in evidence.to_json()
            assert "erased or left out" in check_bundle(evidence.to_json(), [KEY])

    def test_a_log_in_memory_says_what_to_do(self) -> None:
        """It can be neither signed nor proved."""
        agent = Agent("shop", [Action("push")], policy=Fixed(NO_ACTION))
        made = agent.decide("anna")
        for call in (lambda: agent.checkpoint(KEY), lambda: agent.evidence(made.id)):
            with pytest.raises(ConfigurationError, match=r"MemoryLog.*Agent\.open"):
                call()
