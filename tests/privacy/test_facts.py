"""Facts as they lie in a log: written, read back, and not believed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.errors import CodecError, ConfigurationError, InvalidTimeError
from agentic.privacy import fact_of, kind_of, text_of
from agentic.types import (
    ConsentGranted,
    ConsentWithdrawn,
    Released,
    Restricted,
    RestrictionLifted,
    Suppressed,
    ZoneKnown,
)

printable = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=500)
maybe = st.none() | printable
languages = st.none() | st.from_regex(r"[a-z]{2,3}(-[A-Z]{2})?", fullmatch=True)
consents = st.builds(
    lambda kind, purpose, channel, **more: kind(purpose, channel, **more),
    st.sampled_from([ConsentGranted, ConsentWithdrawn]),
    printable,
    maybe,
    notice=maybe,
    language=languages,
    method=maybe,
    evidence=maybe,
)
times = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.just(UTC))  # noqa: DTZ001
facts = (
    consents
    | st.builds(ZoneKnown, maybe)
    | st.builds(Suppressed, st.none() | times)
    | st.sampled_from([Released(), Restricted(), RestrictionLifted()])
)


@given(facts)
def test_a_fact_is_read_back_as_it_was_written(fact: Any) -> None:
    """Whatever it says; the text is JSON with its kind in it, and the same for the same fact."""
    text = text_of(fact)
    assert fact_of(text) == fact
    assert text_of(fact_of(text)) == text
    assert json.loads(text)["kind"] == kind_of(fact)


def test_a_time_is_the_same_in_every_zone() -> None:
    """The same instant is the same text."""
    east = timezone(timedelta(hours=5, minutes=30))
    one, other = datetime(2026, 1, 1, 12, tzinfo=UTC), datetime(2026, 1, 1, 17, 30, tzinfo=east)
    assert text_of(Suppressed(one)) == text_of(Suppressed(other))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '"consent_granted"',
        '{"kind":"consent_granted"}',
        '{"kind":"unheard_of"}',
        '{"kind":["released"]}',
        '{"kind":"released","purpose":"marketing"}',
        '{"kind":"released","kind":"restricted"}',
        '{"kind":"consent_granted","purpose":"m","__class__":"os.system"}',
        '{"kind":"consent_granted","purpose":5}',
        '{"kind":"consent_granted","purpose":""}',
        '{"kind":"consent_granted","purpose":"m","evidence":"\\ud800"}',
        '{"kind":"consent_granted","purpose":"m","language":"en IN"}',
        '{"kind":"consent_granted","purpose":"m","channel":["sms"]}',
        '{"kind":"zone_known","zone":5}',
        '{"kind":"suppressed","until":1.5}',
        '{"kind":"suppressed","until":true}',
        '{"kind":"suppressed","until":NaN}',
        '{"kind":"suppressed","until":"2026-01-01"}',
        '{"kind":"suppressed","until":99999999999999999999}',
        '{"kind":"suppressed","until":' + "9" * 5000 + "}",  # more digits than Python reads
        "[" * 7_000,
        '{"kind":"released"}' + " " * 8_000,
        "\x80\x04\x95",
    ],
    ids=lambda text: f"{text[:60]} {len(text)}",
)
def test_hostile_texts_are_refused(text: str) -> None:
    """With a typed error, whatever they hold: a stranger's keys, numbers, depth or size."""
    with pytest.raises(CodecError):
        fact_of(text)


@given(st.text(max_size=200) | st.builds(json.dumps, st.dictionaries(st.text(), st.none() | st.integers())))
def test_anything_else_is_refused(text: str) -> None:
    """With the same error."""
    with pytest.raises(CodecError):
        fact_of(text)


def test_what_is_no_text_is_refused() -> None:
    """Bytes and nothing at all."""
    for wrong in (b"{}", None, 5):
        with pytest.raises(CodecError, match="must be a text"):
            fact_of(wrong)  # type: ignore[arg-type]


def test_what_is_no_fact_has_no_kind() -> None:
    """The message names the facts there are, and not the value."""
    with pytest.raises(ConfigurationError, match="consent_granted") as caught:
        kind_of("canary")  # type: ignore[arg-type]
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("kind", [ConsentGranted, ConsentWithdrawn])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[
            (field, value)
            for field in ("notice", "method", "evidence", "channel")
            for value in ("", "x" * 501)
        ],
        *[(field, value) for field in ("notice", "method", "evidence", "purpose") for value in ("a\nb", 5)],
        *[("evidence", "canary\ud800"), ("purpose", None), ("purpose", "x" * 501)],
        *[("language", value) for value in ("", "english please", "en_IN", "x" * 36, "toolonglanguage", 5)],
    ],
    ids=lambda part: f"{part!r:.20}",
)
def test_texts_of_a_consent_are_bounded(kind: Any, field: str, value: Any) -> None:
    """Both kinds refuse the same, and the message does not repeat what may be about somebody."""
    with pytest.raises(ConfigurationError) as caught:
        kind(**{"purpose": "marketing", field: value})
    assert field in str(caught.value)
    assert "canary" not in str(caught.value) + repr(caught.value.facts)


def test_giving_and_withdrawing_take_the_same_arguments() -> None:
    """In the same order, with the same defaults."""
    granted, withdrawn = (
        [(field.name, field.default, field.kw_only) for field in attrs.fields(kind)]
        for kind in (ConsentGranted, ConsentWithdrawn)
    )
    assert granted == withdrawn


def test_evidence_is_not_shown() -> None:
    """It is personal data, and messages show facts."""
    assert "canary" not in repr(ConsentGranted("marketing", evidence="canary"))


def test_a_suppression_ends_at_an_aware_time() -> None:
    """Or never."""
    with pytest.raises(InvalidTimeError):
        Suppressed(datetime(2026, 1, 1))  # noqa: DTZ001
