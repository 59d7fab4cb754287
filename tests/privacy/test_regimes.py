"""Regimes: what ships, what is refused, and what they mean to rules and logs."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentic
from agentic import Action, Agent
from agentic.errors import CodecError, ConfigurationError
from agentic.guardrails import QuietHours
from agentic.policies import Fixed
from agentic.privacy import Period, Regime

SHIPPED = ("eu-gdpr", "in-dpdp", "in-trai", "us-can-spam", "us-tcpa")
FOLDER = Path(agentic.__file__).parent / "privacy" / "regimes"
DPDP = (FOLDER / "in-dpdp.json").read_text(encoding="utf-8")


def changed(**parts: Any) -> str:
    """The Indian regime, with parts of it replaced."""
    return json.dumps(json.loads(DPDP) | parts)


def test_these_come_with_the_library() -> None:
    """Five laws, each a file named after its id."""
    assert Regime.available() == SHIPPED
    assert [Regime.load(name).id for name in SHIPPED] == list(SHIPPED)


@pytest.mark.parametrize("name", SHIPPED)
def test_every_regime_says_what_it_is_not_and_where_it_is_from(name: str) -> None:
    """No legal advice; sources, each with how well it was read; no web address that nobody looked at."""
    regime = Regime.load(name)
    assert "not legal advice" in regime.disclaimer
    assert regime.sources
    assert "http" not in (FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert all(source.read in ("primary", "secondary", "not read") for source in regime.sources)


def test_the_indian_act_holds_for_a_year_and_forgets_after_three() -> None:
    """Rule 8(3), the Third Schedule, section 9."""
    regime = Regime.load("in-dpdp")
    for data in ("record", "decisions", "outcomes", "facts"):
        floor = regime.floor(data)  # type: ignore[arg-type]  # one of them
        assert floor is not None
        assert floor.period == Period(years=1)
        assert "Rule 8(3)" in floor.basis
    assert regime.inactivity is not None
    assert (regime.inactivity.keep, regime.inactivity.notice) == (Period(years=3), Period(hours=48))
    assert regime.children is not None
    assert regime.children.under == 18


def test_the_european_regulation_holds_nothing() -> None:
    """No class of data has a floor, and none a ceiling."""
    regime = Regime.load("eu-gdpr")
    assert regime.floor("decisions") is None
    assert regime.ceiling("decisions") is None
    assert regime.withdrawal is not None
    assert not regime.withdrawal.period


def test_the_longest_floor_and_the_shortest_ceiling_hold() -> None:
    """Where several rules speak of one class."""
    rules = [
        {"data": "facts", "basis": "a", "at_least": {"days": 400}, "at_most": {"years": 9}},
        {"data": "facts", "basis": "b", "at_least": {"years": 1}, "at_most": {"years": 8}},
    ]
    regime = Regime.parse(changed(keeping=rules))
    floor, ceiling = regime.floor("facts"), regime.ceiling("facts")
    assert floor is not None
    assert ceiling is not None
    assert (floor.basis, ceiling.basis) == ("a", "b")


def test_dropping_before_the_floor_is_refused() -> None:
    """To the microsecond; the message says until when, and which law."""
    regime = Regime.load("in-dpdp")
    newest = datetime(2024, 2, 29, 12, tzinfo=UTC)
    until = datetime(2025, 3, 1, tzinfo=UTC)
    with pytest.raises(ConfigurationError, match=r"2025-03-01 00:00 UTC \(DPDP Rules, Rule 8\(3\)"):
        regime.check_drop("decisions", newest, until - timedelta(microseconds=1))
    regime.check_drop("decisions", newest, until)
    Regime.load("eu-gdpr").check_drop("decisions", newest, newest)


@pytest.mark.parametrize(
    ("clock", "sent"),
    [
        ("09:59:59.999999", False),
        ("10:00:00", True),
        ("20:59:59.999999", True),
        ("21:00:00", False),
    ],
)
def test_promotional_texts_in_india_keep_the_narrow_hours(clock: str, sent: bool) -> None:
    """From 10:00 to 21:00 Indian time; what is not promotional is unaffected."""
    regime = Regime.load("in-trai")
    (rule,) = regime.quiet
    guardrails = [QuietHours(**arguments) for arguments in regime.quiet_hours(["sms", "email"])]
    agent = Agent(
        "shop",
        [Action("offer", channel="sms"), Action("otp", channel="sms", message_class="transactional")],
        policy=Fixed({"offer": 1.0}),
        guardrails=guardrails,
        zone=rule.zone,
    )
    now = datetime.fromisoformat(f"2026-11-23T{clock}+05:30")
    decision = agent.decide("anna", now=now)
    assert (decision.action.id == "offer") is sent
    assert "otp" not in decision.reasons.get("QUIET_HOURS", ())


def test_rules_about_channels_nobody_uses_are_left_out() -> None:
    """A guardrail about a channel that is not in the catalogue would be refused."""
    assert Regime.load("in-trai").quiet_hours(["email", "push"]) == []
    assert Regime.load("us-tcpa").quiet_hours(["voice"])[0]["channels"] == ["voice"]
    twice = json.loads((FOLDER / "us-tcpa.json").read_text(encoding="utf-8"))
    twice["quiet"] *= 2
    names = [rule["name"] for rule in Regime.parse(json.dumps(twice)).quiet_hours(["sms"])]
    assert names == ["us_tcpa_quiet", "us_tcpa_quiet_2"]


def test_your_own_file_takes_the_place_of_ours(tmp_path: Path) -> None:
    """Read from where you keep it."""
    path = tmp_path / "mine.json"
    path.write_text(changed(id="in-dpdp-mine", version=7), encoding="utf-8")
    regime = Regime.read(path)
    assert (regime.id, regime.version) == ("in-dpdp-mine", 7)
    assert attrs.evolve(regime, id="in-dpdp", version=1) == Regime.load("in-dpdp")
    with pytest.raises(OSError, match="No such file"):
        Regime.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    "name", ["", "gdpr", "../regimes/eu-gdpr", "eu-gdpr.json", "EU-GDPR", "/etc/passwd", None]
)
def test_a_regime_that_does_not_exist_is_refused(name: Any) -> None:
    """With those that do; a path leads nowhere."""
    with pytest.raises(ConfigurationError, match="in-trai"):
        Regime.load(name)


@pytest.mark.parametrize(
    ("parts", "place"),
    [
        ({"version": 1.5}, "version"),
        ({"version": True}, "version"),
        ({"version": 0}, "version"),
        ({"version": "1"}, "version"),
        ({"date": "yesterday"}, "date"),
        ({"id": "India"}, "id"),
        ({"title": ""}, "title"),
        ({"title": "x" * 2001}, "title"),
        ({"sources": "none"}, "sources"),
        ({"sources": [{"title": "a", "reference": "b", "read": "maybe"}]}, "read"),
        ({"notes": ["a"] * 101}, "notes"),
        ({"notes": [5]}, "notes"),
        ({"keeping": [{"data": "everything", "basis": "a"}]}, "data"),
        ({"keeping": [{"data": "facts", "basis": "a", "at_least": {"years": -1}}]}, "years"),
        ({"keeping": [{"data": "facts", "basis": "a", "at_least": {"months": 1}}]}, "months"),
        ({"keeping": [{"data": "facts", "basis": "a", "at_least": 365}]}, "at_least"),
        ({"quiet": [{"start": "25:00", "end": "10:00", "channels": ["sms"], "basis": "a"}]}, "start"),
        ({"quiet": [{"start": "21:00", "end": "10:00", "channels": "sms", "basis": "a"}]}, "channels"),
        ({"children": {"under": 0, "rule": "a", "basis": "b"}}, "under"),
        ({"surprise": 1}, "surprise"),
        ({"erasing": []}, "erasing"),
    ],
    ids=lambda part: f"{part!r:.70}" if isinstance(part, dict) else part,
)
def test_a_file_that_says_what_cannot_be_is_refused(parts: dict[str, Any], place: str) -> None:
    """The message names the place; numbers and texts are not turned into each other."""
    with pytest.raises(CodecError, match=place):
        Regime.parse(changed(**parts))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"5",
        b"{",
        b"\xff\xfe",
        b'{"id":"a","id":"b"}',
        b'{"version": NaN}',
        b"[" * 60_000,
        b'{"a":' * 13 + b"1" + b"}" * 13,
        b'"' + b"]" * 100 + b'"' + b"[" * 100,
        b" " * 70_000,
        "\ud800",
        5,
    ],
    ids=lambda text: f"{text!r:.30} {len(text) if not isinstance(text, int) else 1}",
)
def test_hostile_files_are_refused(text: Any) -> None:
    """Too long, too deep, no JSON, keys twice: always the same error."""
    with pytest.raises(CodecError, match="a regime"):
        Regime.parse(text)


@given(st.binary(max_size=300))
def test_noise_is_refused(text: bytes) -> None:
    """With the same error."""
    with pytest.raises(CodecError):
        Regime.parse(text)


def test_the_wheel_carries_the_regimes(tmp_path: Path) -> None:
    """They are data beside the code, and go where it goes."""
    root = Path(agentic.__file__).parents[2]
    code = (
        "import sys; from hatchling.builders.wheel import WheelBuilder;"
        "print(next(iter(WheelBuilder(sys.argv[1]).build(directory=sys.argv[2]))))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(root), str(tmp_path)], capture_output=True, text=True, check=True
    )
    with zipfile.ZipFile(run.stdout.strip().splitlines()[-1]) as wheel:
        names = set(wheel.namelist())
    assert {f"agentic/privacy/regimes/{name}.json" for name in SHIPPED} <= names
