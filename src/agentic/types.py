"""What is stored or sent: the words of the library as frozen values."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, time, timedelta
from types import MappingProxyType
from typing import Any, Final

import attrs

from agentic.conditions import Condition
from agentic.errors import CatalogueError, ConfigurationError, InvalidTimeError, masked

MARKETING: Final = "marketing"
SERVICE: Final = "service"
TRANSACTIONAL: Final = "transactional"
MANDATORY: Final = "mandatory"
"""Message class that outranks every other and is not capped: a legal notice, a safety recall."""

EXPOSED: Final = "exposed"
"""Outcome name that says the subject really got it; it may start the reward window."""

_MAX_ID: Final = 200
_MAX_TEXT: Final = 500
_MAX_LANGUAGE: Final = 35  # room for any tag that is registered (RFC 5646, section 4.4.1)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LONGEST: Final = timedelta(days=36_525)
_MAX_DELAY: Final = timedelta(days=366)


def micros(at: datetime, /) -> int:
    """Turn an aware time into microseconds since 1970 (UTC), exactly.

    Raises:
        InvalidTimeError: ``at`` has no zone.
    """
    if not isinstance(at, datetime) or at.tzinfo is None or at.utcoffset() is None:
        raise InvalidTimeError(
            f"a time must be a datetime with a zone, got {at!r}: use datetime.now(timezone.utc)", value=at
        )
    return (at - _EPOCH) // _MICROSECOND


def instant(at_us: int, /) -> datetime:
    """Turn microseconds since 1970 into an aware UTC time.

    Raises:
        InvalidTimeError: It lies outside the years 1 to 9999.
    """
    try:
        return _EPOCH + timedelta(microseconds=int(at_us))
    except OverflowError:
        raise InvalidTimeError(
            f"a time must lie in the years 1 to 9999, got {at_us!r} microseconds since 1970: check the unit",
            value=at_us,
        ) from None


def span(length: timedelta, what: str, /) -> int:
    """Turn a positive duration into microseconds.

    Raises:
        ConfigurationError: ``length`` is not a timedelta, not positive, or longer than 100 years.
    """
    if not isinstance(length, timedelta) or not timedelta(0) < length <= _LONGEST:
        raise ConfigurationError(
            f"{what} must be a positive timedelta of at most 100 years, got {length!r}: use"
            " timedelta(days=7), for example",
            value=length,
        )
    return length // _MICROSECOND


def clock_time(text: str, what: str, /) -> int:
    """Read ``"21:00"`` as minutes since local midnight, 0 to 1,439.

    Raises:
        ConfigurationError: The text is not a time of day.
    """
    try:
        parsed = time.fromisoformat(text)
    except (TypeError, ValueError):
        parsed = None
    if parsed is None or parsed.tzinfo is not None or parsed.second or parsed.microsecond:
        raise ConfigurationError(f"{what} must be a time of day like '21:00', got {text!r}", value=text)
    return parsed.hour * 60 + parsed.minute


def _frozen_map(values: object) -> object:
    return MappingProxyType(dict(values)) if isinstance(values, Mapping) else values


# Validators take `Any`: what is checked may be anything, and mypy reads a field's type off its validator.


def _check_id(_: object, __: object, value: Any) -> None:
    if not isinstance(value, str) or not value or len(value) > _MAX_ID or not value.isprintable():
        raise CatalogueError(
            f"an action id must be 1 to {_MAX_ID} printable characters, got {value!r}", value=value
        )


def _check_money(_: object, attribute: attrs.Attribute[float], value: Any) -> None:
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not 0 <= value < 1e9:
        raise CatalogueError(
            f"an action's {attribute.name} must be a number from 0 to below 1e9, got {value!r}", value=value
        )


def _check_channel(_: object, __: object, value: Any) -> None:
    if value is not None and (not isinstance(value, str) or not value):
        raise CatalogueError(
            f"a channel is a word such as 'email', or None where nobody is reached, got {value!r}",
            value=value,
        )


def _check_delay(_: object, __: object, value: Any) -> None:
    if not isinstance(value, timedelta) or not timedelta(0) <= value <= _MAX_DELAY:
        raise CatalogueError(
            f"an action's delay must be a timedelta from 0 to {_MAX_DELAY.days} days, got {value!r}",
            value=value,
        )


def _check_send_at(_: object, __: object, value: Any) -> None:
    if value is not None:
        try:
            clock_time(value, "an action's send_at")
        except ConfigurationError as error:
            raise CatalogueError(str(error), value=value) from None


def _check_dimensions(_: object, __: object, value: Any) -> None:
    if not isinstance(value, Mapping) or not all(
        isinstance(part, str) for pair in value.items() for part in pair
    ):
        raise CatalogueError(
            f"dimensions must map names to levels, both texts, got {value!r}: use {{'message': 'reminder'}}",
            value=value,
        )


def _check_eligible(_: object, __: object, value: Any) -> None:
    if value is not None and not isinstance(value, Condition):
        raise CatalogueError(
            f"eligible must be a condition such as F('age') >= 18, got {value!r}", value=value
        )


def _check_class(_: object, __: object, value: Any) -> None:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", value):
        raise CatalogueError(
            f"a message class is a lower-case word such as 'marketing', got {value!r}", value=value
        )


@attrs.frozen
class Action:
    """A candidate: something that can be sent, or done.

    Attributes:
        id: Unique in its catalogue; 1 to 200 printable characters.
        channel: How it reaches the subject; ``None`` when it reaches nobody.
        message_class: ``"marketing"`` unless said otherwise; ``"mandatory"`` outranks and is not capped.
        cost: Price of sending it once, in the caller's currency, from 0 to below 1e9.
        value: What it is worth beyond the reward, for policies that rank by value; from 0 to below 1e9.
        eligible: Who may get it at all; unknown means not eligible.
        delay: Time between decision and delivery, up to 366 days. Rules about time judge the delivery.
        send_at: Local time of day of the delivery (``"18:30"``), the next one after ``delay``.
        dimensions: The levels of a factored action, by dimension name.
    """

    id: str = attrs.field(validator=_check_id)
    channel: str | None = attrs.field(default=None, kw_only=True, validator=_check_channel)
    message_class: str = attrs.field(default=MARKETING, kw_only=True, validator=_check_class)
    cost: float = attrs.field(default=0.0, kw_only=True, validator=_check_money)
    value: float = attrs.field(default=0.0, kw_only=True, validator=_check_money)
    eligible: Condition | None = attrs.field(default=None, kw_only=True, validator=_check_eligible)
    delay: timedelta = attrs.field(default=timedelta(0), kw_only=True, validator=_check_delay)
    send_at: str | None = attrs.field(default=None, kw_only=True, validator=_check_send_at)
    dimensions: Mapping[str, str] = attrs.field(
        factory=dict, kw_only=True, converter=_frozen_map, validator=_check_dimensions, hash=False
    )

    def __reduce__(self) -> tuple[Callable[[dict[str, Any]], Action], tuple[dict[str, Any]]]:
        """Let processes send each other actions: a read-only mapping cannot be copied as it is."""
        fields = {field.name: getattr(self, field.name) for field in attrs.fields(type(self))}
        return _action, (fields | {"dimensions": dict(self.dimensions)},)


def _action(fields: dict[str, Any]) -> Action:
    return Action(fields.pop("id"), **fields)


NO_ACTION: Final = Action("no_action")
"""Doing nothing: always a candidate, free, never denied by a guardrail."""


@attrs.frozen
class Cost:
    """What one decision cost.

    Attributes:
        message: Price of what was chosen, in the caller's currency.
        compute_us: Wall time of the decision in microseconds; in a batch, an equal share of it.
        weighed: Candidates the policy weighed.
    """

    message: float
    compute_us: float
    weighed: int


@attrs.frozen
class Choice:
    """One slot of a decision.

    Attributes:
        action: What was chosen.
        probability: Exact probability of this action in this slot, given the earlier slots.
        explored: The action is not the one with the highest weight among those allowed.
        score: The policy's estimate of its reward; ``None`` when it has none.
        spread: Standard deviation of that estimate; ``None`` when the policy has none.
    """

    action: Action
    probability: float
    explored: bool
    score: float | None
    spread: float | None


@attrs.frozen
class Decision:
    """One answer: what was chosen for a subject, how likely that was, and why.

    Attributes:
        id: 32 hexadecimal digits that name the record in the agent's log.
        subject: Whom it is for; its repr is masked, so that a log of decisions names nobody.
        agent: Name of the agent that decided.
        at: When, in UTC.
        choices: One per slot.
        arm: ``"policy"``, ``"holdout"``, ``"random_control"`` or ``"protected"``.
        policy_version: Content hash of the policy in charge; who else decided, the arm says.
        reasons: Why candidates were struck out: reason code to action ids.
        degraded: What was not as it should be: feature names, or ``"policy"``.
        cost: What it cost.
        autonomy: ``"autonomous"``: send it. ``"approve_each"``: it waits for ``agent.oversight.approve``.
            ``"suggest_only"``: it is a suggestion, to be sent by nobody.
    """

    id: str
    subject: str = attrs.field(repr=masked)
    agent: str
    at: datetime
    choices: tuple[Choice, ...]
    arm: str
    policy_version: str
    reasons: Mapping[str, tuple[str, ...]]
    degraded: tuple[str, ...]
    cost: Cost
    autonomy: str = "autonomous"

    @property
    def action(self) -> Action:
        """The first slot's action."""
        return self.choices[0].action

    @property
    def probability(self) -> float:
        """The first slot's probability."""
        return self.choices[0].probability

    @property
    def explored(self) -> bool:
        """Whether the first slot explored."""
        return self.choices[0].explored


def _check_text(_: object, attribute: Any, value: Any) -> None:
    if value is not None and (
        not isinstance(value, str) or not 1 <= len(value) <= _MAX_TEXT or not value.isprintable()
    ):
        # What a purpose or a reference says may be about somebody: the message tells its kind and length.
        raise ConfigurationError(
            f"{attribute.name} of a fact must be 1 to {_MAX_TEXT} printable characters, got {_kind(value)}"
        )


def _check_purpose(_: object, attribute: Any, value: Any) -> None:
    _check_text(_, attribute, "" if value is None else value)


def _check_language(_: object, __: object, value: Any) -> None:
    if value is not None and (
        not isinstance(value, str)
        or len(value) > _MAX_LANGUAGE
        or not re.fullmatch(r"[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*", value)
    ):
        raise ConfigurationError(
            f"language must be a BCP 47 tag such as 'en-IN' or 'hi', got {_kind(value)}", expected="en-IN"
        )


def _check_until(_: object, __: object, value: Any) -> None:
    if value is not None:
        micros(value)


def _kind(value: object) -> str:
    if not isinstance(value, str):
        return f"a value of type {type(value).__name__}"
    return f"{len(value)} characters" + ("" if value.isprintable() else ", some of them not printable")


@attrs.frozen
class ConsentGranted:
    """Fact: the subject agreed to a purpose, on all channels or on one.

    Giving and withdrawing consent take the same arguments. All but the first two are for the ledger, so that
    it can be shown later what was asked, how, and where the proof lies; no rule reads them. Texts have 1 to
    500 printable characters.

    Attributes:
        purpose: What the consent is for.
        channel: On which channel; ``None`` means all, and takes the place of what was said of single ones.
        notice: Version of the notice that was shown.
        language: Language of the notice, a BCP 47 tag such as ``"en-IN"``.
        method: How it was given: ``"web form"``, ``"missed call"``.
        evidence: Reference to the proof, such as the id of a consent manager's artefact. It is personal
            data: it is not shown by ``repr``.

    Raises:
        ConfigurationError: A text is empty, too long, not printable, or no text.
    """

    purpose: str = attrs.field(validator=_check_purpose)
    channel: str | None = attrs.field(default=None, validator=_check_text)
    notice: str | None = attrs.field(default=None, kw_only=True, validator=_check_text)
    language: str | None = attrs.field(default=None, kw_only=True, validator=_check_language)
    method: str | None = attrs.field(default=None, kw_only=True, validator=_check_text)
    evidence: str | None = attrs.field(default=None, kw_only=True, validator=_check_text, repr=False)


@attrs.frozen
class ConsentWithdrawn:
    """Fact: the subject withdrew consent to a purpose, on all channels or on one.

    Attributes:
        purpose: What the consent was for.
        channel: On which channel; ``None`` means all, and takes the place of what was said of single ones.
        notice: As in `ConsentGranted`.
        language: Likewise.
        method: Likewise.
        evidence: Likewise.

    Raises:
        ConfigurationError: A text is empty, too long, not printable, or no text.
    """

    purpose: str = attrs.field(validator=_check_purpose)
    channel: str | None = attrs.field(default=None, validator=_check_text)
    notice: str | None = attrs.field(default=None, kw_only=True, validator=_check_text)
    language: str | None = attrs.field(default=None, kw_only=True, validator=_check_language)
    method: str | None = attrs.field(default=None, kw_only=True, validator=_check_text)
    evidence: str | None = attrs.field(default=None, kw_only=True, validator=_check_text, repr=False)


@attrs.frozen
class ZoneKnown:
    """Fact: the subject lives in this IANA time zone; ``None`` forgets it."""

    zone: str | None


@attrs.frozen
class Suppressed:
    """Fact: contact nobody on this record until a time, or for good.

    Every agent hears it, whether it lists a `Suppression` guardrail or not.
    """

    until: datetime | None = attrs.field(default=None, validator=_check_until)


@attrs.frozen
class Released:
    """Fact: the suppression is lifted."""


@attrs.frozen
class Restricted:
    """Fact: what is held about the subject is kept because it must be, and used for nothing.

    Nothing is decided for the subject but doing nothing, and nothing is learned from it. Neither consent nor
    ``Released`` changes that; only `RestrictionLifted` does.

    .. versionadded:: 0.1
    """


@attrs.frozen
class RestrictionLifted:
    """Fact: what is held about the subject may be used again.

    .. versionadded:: 0.1
    """


Fact = ConsentGranted | ConsentWithdrawn | ZoneKnown | Suppressed | Released | Restricted | RestrictionLifted
