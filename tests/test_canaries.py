"""Nobody's id, value, request or evidence is in an error, a log, a repr, a report or an immutable table."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agentic import Action, Agent, ConsentGranted, F, errors
from agentic.arrays import Block, Columns
from agentic.conditions import Coded
from agentic.errors import AgenticError, masked, reason
from agentic.features import Category, Chained, Hashed, MappingProvider, Number, Schema
from agentic.guardrails import Consent, FrequencyCap
from agentic.policies import Personal, Uniform
from agentic.provenance import MemoryLog
from agentic.rewards import Goals
from agentic.state import MemoryStore
from agents import DAY, NOON
from canaries import CANARIES, EVIDENCE, LOOKS_PERSONAL, REQUEST, SUBJECT, VALUE, outside, scan, watching

ACTIONS = [Action("push", channel="push"), Action("mail", channel="email", eligible=F("city") == "Rome")]
FEATURES = [Number("age", low=0, high=120), Category("city", ["Rome"]), Hashed("street")]


def agent(**parts: Any) -> Agent:
    base: dict[str, Any] = {
        "features": FEATURES,
        "guardrails": [Consent("marketing")],
        "policy": Uniform(),
        "goals": Goals({"buy": 1.0}, window=DAY),
        "clock": lambda: NOON,
    }
    return Agent("shop", ACTIONS, **(base | parts))


def chain(error: BaseException) -> str:
    """What a reader of an error sees: its message, its repr, its facts."""
    return f"{error} {error!r} {getattr(error, 'facts', None)!r}"


class Quoting:
    """A provider, store and log that quotes whomever it is asked about."""

    def fetch(self, subjects: Any, names: Any, now: int) -> Columns:
        raise KeyError(f"{subjects[0]} has {VALUE}")

    def append(self, block: Block, /) -> Any:
        raise RuntimeError(f"cannot write {block.columns.get('subject')}, {SUBJECT}")

    def read(self, after: int = 0, /) -> Any:
        return iter(())


class QuotingStore(MemoryStore):
    quotes = False

    def load(self, subjects: Any, layout: Any, /) -> Any:
        if self.quotes:
            raise LookupError(f"no row {list(subjects)!r}")
        return super().load(subjects, layout)


MISTAKES: dict[str, Callable[[Agent], object]] = {
    "a NUL": lambda a: a.decide("\0" + SUBJECT),
    "a surrogate": lambda a: a.decide(SUBJECT + "\ud800"),
    "too long": lambda a: a.decide(SUBJECT * 30),
    "bytes": lambda a: a.decide(SUBJECT.encode()),  # type: ignore[arg-type]
    "a list": lambda a: a.decide([SUBJECT]),  # type: ignore[arg-type]
    "one for many": lambda a: a.decide_many(SUBJECT),
    "not iterable": lambda a: a.decide_many(5),  # type: ignore[arg-type]
    "among others": lambda a: a.decide_many(["a", SUBJECT + "\ud800"]),
    "no mapping": lambda a: a.decide("a", [VALUE]),  # type: ignore[arg-type]
    "no columns": lambda a: a.decide_many(["a"], [VALUE]),  # type: ignore[arg-type]
    "a text": lambda a: a.decide_many(["a", "b"], {"city": VALUE}),
    "ragged": lambda a: a.decide_many(["a", "b"], {"city": [VALUE]}),
    "a matrix": lambda a: a.decide_many(["a"], {"city": np.array([[VALUE]])}),
    "codes": lambda a: Coded(VALUE, ("a",)),  # type: ignore[arg-type]
    "requests": lambda a: a.decide_many(["a"], request_ids=REQUEST),
    "a bad request": lambda a: a.decide("a", request_id=REQUEST + "\ud800"),
    "slots": lambda a: [a.decide("a", request_id=REQUEST), a.decide("a", request_id=REQUEST, slots=2)],
    "an unknown decision": lambda a: a.record(SUBJECT, "buy"),
    "no explanation": lambda a: a.explain(SUBJECT),
    "no replay": lambda a: a.replay(SUBJECT),
    "an event": lambda a: a.record_many([a.decide("a").id], "buy", event_ids=REQUEST),
    "a value": lambda a: a.record(a.decide("a").id, "buy", VALUE),  # type: ignore[arg-type]
    "a slot": lambda a: a.record(a.decide("a").id, "buy", slot=VALUE),  # type: ignore[arg-type]
    "no fact": lambda a: a.tell(SUBJECT),
    "an unheard fact": lambda a: a.tell(SUBJECT, ConsentGranted("ads")),
    "a told surrogate": lambda a: a.tell(SUBJECT + "\ud800", ConsentGranted("marketing")),
    "values": lambda a: MappingProvider({SUBJECT: VALUE}),  # type: ignore[dict-item]
}


@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_an_error_says_what_is_wrong_and_not_who(mistake: Callable[[Agent], object]) -> None:
    """Its message, its repr and its facts; what to do is said all the same."""
    with pytest.raises(AgenticError) as caught:
        mistake(agent())
    assert not LOOKS_PERSONAL.search(chain(caught.value))


def test_a_bad_id_can_be_found() -> None:
    """By its length, its shape, and the character that is wrong."""
    with pytest.raises(
        errors.InvalidSubjectError, match=r"a text of 13 characters like 'Aaa\.Aaaaa-99\\ud800'"
    ):
        agent().decide("Ada.Smith-42\ud800")
    with pytest.raises(errors.InvalidSubjectError, match=r"like '\\x00aaaa'"):
        agent().decide("\0anna")
    with pytest.raises(errors.InvalidSubjectError, match="got an int: use str"):
        agent().decide(42)  # type: ignore[arg-type]


def test_what_a_plugin_says_is_not_repeated(caplog: pytest.LogCaptureFixture) -> None:
    """Neither in our errors nor in our log: what kind of error it was is, and where."""
    made = agent(providers=[Quoting(), Chained([Quoting()])])
    made.decide(SUBJECT)
    with pytest.raises(errors.LogError, match="RuntimeError") as caught:
        agent(log=Quoting()).decide(SUBJECT)
    assert not LOOKS_PERSONAL.search(chain(caught.value))
    assert isinstance(caught.value.__cause__, RuntimeError)
    store = QuotingStore()
    broken = agent(store=store)
    store.quotes = True
    broken.decide(SUBJECT)
    with pytest.raises(errors.StoreError, match="LookupError") as told:
        broken.tell(SUBJECT, ConsentGranted("marketing"))
    assert not LOOKS_PERSONAL.search(chain(told.value))
    assert "LookupError, test_canaries.py" in caplog.text
    assert not LOOKS_PERSONAL.search(caplog.text)


def test_a_store_that_fails_while_learning_quotes_nobody() -> None:
    """Whose records could not be written is counted."""
    store = QuotingStore()
    made = agent(store=store, policy=Personal(), guardrails=[FrequencyCap(9, per=DAY)])
    made.record(made.decide(SUBJECT).id, "buy")
    store.quotes = True
    with pytest.raises(errors.StoreError, match="LookupError") as caught:
        made.learn(now=NOON + 2 * DAY)
    assert not LOOKS_PERSONAL.search(chain(caught.value))


def test_a_repr_names_nobody() -> None:
    """Whatever ends up in a log by accident; ``str`` of an explanation is for people, and says it all."""
    made = agent()
    made.tell(SUBJECT, ConsentGranted("marketing"))
    context = {"city": [VALUE], "age": [31], "street": [VALUE]}
    batch = made.decide_many([SUBJECT], context, request_ids=[REQUEST])
    explained = made.explain(batch.ids[0])
    blocks = [block for _, block in made.log.read()]
    values = Schema.of(FEATURES).gather([SUBJECT], context, [], 0)
    for thing in (
        batch,
        batch[0],
        batch.take(np.array([0])),
        explained,
        made,
        made.store,
        made.log,
        values,
        *blocks,
    ):
        assert not LOOKS_PERSONAL.search(repr(thing))
    assert "subject=a text of 23 characters like 'aaaaaaa-aaa@aaaaaaa.aaa'" in repr(batch[0])
    assert "features=['age', 'city', 'street']" in repr(explained)
    assert SUBJECT in str(explained)


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("", "an empty text"),
        ("A", "a text of 1 character like 'A'"),
        ("Zoë ½ 😀 漢", "a text of 9 characters like 'Aaa 9 ? a'"),
        ("x" * 30, "a text of 30 characters like '" + "a" * 24 + "'..."),
        ("\ud800", "a text of 1 character like '\\ud800'"),
        (None, "None"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (31.5, "a float"),
        (31, "an int"),
        (True, "a bool"),
        (b"abc", "a bytes of 3"),
        ({"a": 1}, "a dict of 1"),
        (np.zeros((2, 3)), "a ndarray of 2"),
        (np.zeros(()), "a ndarray"),
        (np.float64("nan"), "nan"),
    ],
    ids=repr,
)
def test_masked_says_what_a_value_looks_like(value: object, told: str) -> None:
    """Its type and size, and the shape of a text."""
    assert masked(value) == told


def test_a_value_that_refuses_to_be_measured_is_told_by_its_type() -> None:
    """Whatever its methods do."""

    class Hostile:
        def __len__(self) -> int:
            raise RuntimeError(SUBJECT)

    assert masked(Hostile()) == "a Hostile"


def test_a_block_shows_what_facts_it_has_and_not_what_they_say() -> None:
    """Evidence of a consent is in the meta of its block."""
    block = Block("fact", {"at": np.zeros(1)}, {"agent": "shop", "fact": {"evidence": EVIDENCE}})
    assert repr(block) == "Block(kind='fact', columns={'at': <float64 (1,)>}, meta=['agent', 'fact'])"


def test_the_kind_of_a_foreign_error_is_told() -> None:
    """Ours are told in full, the system's in its own words."""
    assert reason(KeyError(SUBJECT)) == "KeyError"
    assert reason(OSError(28, "No space left on device", SUBJECT)) == "OSError: No space left on device"
    assert reason(OSError(SUBJECT)) == "OSError"
    assert reason(errors.StoreError("ours")) == "StoreError: ours"


def test_the_watch_sees_what_it_is_there_for(caplog: pytest.LogCaptureFixture) -> None:
    """A canary in a message, in a fact and in a line of the log; and nothing else."""
    with watching() as leaks:
        errors.StoreError(f"no {SUBJECT}")
        errors.StoreError("nobody", value=["customer-7"])
        errors.StoreError("nobody", value=7)
        from agentic._logger import logger

        logger.warning("%s failed", EVIDENCE)
        logger.warning("%s failed", "it")
    assert len(leaks) == 3
    assert "StoreError at" in leaks[0]
    assert "test_canaries.py" in leaks[0]


def test_a_scan_of_a_database_finds_canaries_wherever_they_lie(tmp_path: Path) -> None:
    """In texts, in bytes, in the log beside the file, and in what was deleted."""
    path = tmp_path / "agent#1.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "PRAGMA journal_mode = WAL; PRAGMA secure_delete = OFF;"
            "CREATE TABLE vault(first INTEGER PRIMARY KEY, personal BLOB);"
            "CREATE TABLE blocks(first INTEGER PRIMARY KEY, kind TEXT, public BLOB);"
        )
        connection.execute("INSERT INTO vault VALUES (0, ?)", (b"\0" + SUBJECT.encode() + b"\0",))
        connection.commit()
        assert scan(path) == {SUBJECT: {"vault.personal", "wal"}}
        assert outside(scan(path)) == {}
        connection.execute("INSERT INTO blocks VALUES (0, ?, ?)", (VALUE, b"x" + EVIDENCE.encode()))
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert outside(scan(path)) == {VALUE: {"blocks.kind"}, EVIDENCE: {"blocks.public"}}
        connection.execute("DELETE FROM vault")
        connection.commit()
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert scan(path)[SUBJECT] == {"file"}
    assert set(scan(path, [REQUEST])) == set()
    assert set(CANARIES) == {SUBJECT, VALUE, REQUEST, EVIDENCE}


def test_the_log_keeps_a_request_as_a_number() -> None:
    """Its id is hashed: the text is nowhere."""
    log = MemoryLog()
    agent(log=log).decide("anna", request_id=REQUEST)
    for _, block in log.read():
        told = [column.tolist() for column in block.columns.values()]
        assert REQUEST not in f"{told!r} {block.meta!r}"
