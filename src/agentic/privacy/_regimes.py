"""What does a law ask for, as data that can be read, checked and replaced?"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

import attrs

from agentic.errors import ConfigurationError
from agentic.privacy._periods import Period, day
from agentic.types import clock_time

Data = Literal["record", "decisions", "outcomes", "facts"]
"""Classes of what is held about a subject: its record, learned things included, and three kinds of log."""

_MOST_BYTES: Final = 64 * 1024
_MOST_TEXT: Final = 2_000
_MOST_ENTRIES: Final = 100


def _check_text(_: object, attribute: Any, value: Any) -> None:
    if value is not None and not (isinstance(value, str) and 0 < len(value) <= _MOST_TEXT):
        raise ConfigurationError(
            f"{attribute.name} must be a text of 1 to {_MOST_TEXT} characters, got {value!r:.80}", value=value
        )


def _check_entries(_: object, attribute: Any, value: Any) -> None:
    if not isinstance(value, tuple) or len(value) > _MOST_ENTRIES:
        raise ConfigurationError(
            f"{attribute.name} must be a tuple of at most {_MOST_ENTRIES}, got {value!r:.80}", value=value
        )


def _check_clock(_: object, attribute: Any, value: Any) -> None:
    clock_time(value, attribute.name)


def _check_day(_: object, attribute: Any, value: Any) -> None:
    day(value, attribute.name)


def _check_id(_: object, __: object, value: Any) -> None:
    if not isinstance(value, str) or not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+){0,7}", value):
        raise ConfigurationError(
            f"a regime's id must be lower-case words joined by hyphens such as 'eu-gdpr', got {value!r:.80}",
            value=value,
        )


def _check_age(_: object, attribute: Any, value: Any) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 150:
        raise ConfigurationError(
            f"{attribute.name} must be a whole number of years from 1 to 150, got {value!r}", value=value
        )


@attrs.frozen
class Source:
    """Where a rule was found, and how well it was checked.

    Attributes:
        title: What it is called.
        reference: Section, rule or place.
        read: ``"primary"`` when the text of the law was read, ``"secondary"`` when an account of it was,
            ``"not read"`` when the rule is from general knowledge: check it before you rely on it.
        note: What else to know.
    """

    title: str = attrs.field(validator=_check_text)
    reference: str = attrs.field(validator=_check_text)
    read: Literal["primary", "secondary", "not read"]
    note: str | None = attrs.field(default=None, validator=_check_text)


@attrs.frozen
class Rule:
    """A period the law sets, and where it says so.

    Attributes:
        period: How long.
        basis: The legal basis, as it is shown in plans and reports.
    """

    period: Period
    basis: str = attrs.field(validator=_check_text)


@attrs.frozen
class Keeping:
    """How long a class of data is kept.

    Attributes:
        data: ``"record"``, ``"decisions"``, ``"outcomes"`` or ``"facts"``.
        basis: The legal basis.
        at_least: Not dropped or erased before, counted from when it was written; ``None`` for no floor.
        at_most: Not kept after; ``None`` for no ceiling.
    """

    data: Data
    basis: str = attrs.field(validator=_check_text)
    at_least: Period | None = None
    at_most: Period | None = None


@attrs.frozen
class Erasing:
    """What happens when a subject asks to be forgotten.

    Attributes:
        basis: The legal basis.
        within: When it must be done at the latest; what is not held by a floor is erased at once anyhow.
    """

    basis: str = attrs.field(validator=_check_text)
    within: Period | None = None


@attrs.frozen
class Inactivity:
    """When subjects who stay away are to be forgotten.

    Attributes:
        keep: From their last activity on.
        notice: They are told this long before.
        applies_to: Whom the rule binds, in words.
        basis: The legal basis.
    """

    keep: Period
    notice: Period
    applies_to: str = attrs.field(validator=_check_text)
    basis: str = attrs.field(validator=_check_text)


@attrs.frozen
class Children:
    """Whom the law protects as a child.

    Attributes:
        under: Age in years from which a subject is none.
        rule: What holds for children, in words.
        basis: The legal basis.
    """

    under: int = attrs.field(validator=_check_age)
    rule: str = attrs.field(validator=_check_text)
    basis: str = attrs.field(validator=_check_text)


@attrs.frozen
class Quiet:
    """Hours in which nothing may arrive.

    Attributes:
        start: Local time of day when they begin, ``"21:00"``, itself quiet.
        end: Local time of day when they end, itself not quiet.
        channels: Which channels the law speaks of.
        basis: The legal basis.
        zone: Where the law tells the time; ``None`` where the subject is.
        message_classes: Only for these.
    """

    start: str = attrs.field(validator=_check_clock)
    end: str = attrs.field(validator=_check_clock)
    channels: tuple[str, ...] = attrs.field(validator=_check_entries)
    basis: str = attrs.field(validator=_check_text)
    zone: str | None = attrs.field(default=None, validator=_check_text)
    message_classes: tuple[str, ...] = attrs.field(default=("marketing",), validator=_check_entries)


@attrs.frozen
class Regime:
    """What one law asks for: versioned data, to be checked by a lawyer and replaced where it is wrong.

    This is not legal advice. `disclaimer` says so, `sources` say where each rule was found and which of them
    were not read in the text of the law.

    Attributes:
        id: Such as ``"in-dpdp"``.
        version: Grows with every change, from 1.
        date: As of when, ``"2026-11-23"``.
        title: The law.
        jurisdiction: Where it holds.
        disclaimer: That this is no legal advice.
        sources: Where the rules were found.
        erasing: What happens when a subject asks to be forgotten.
        keeping: How long classes of data are kept, at least and at most.
        inactivity: When subjects who stay away are forgotten.
        children: Whom it protects as a child.
        quiet: Hours in which nothing may arrive.
        withdrawal: Until when a withdrawn consent, or an objection, must be honoured.
        opt_out: How long the way to opt out must work after a message.
        notes: What cannot be said in numbers.

    .. versionadded:: 0.1
    """

    id: str = attrs.field(validator=_check_id)
    version: int = attrs.field(validator=attrs.validators.ge(1))
    date: str = attrs.field(validator=_check_day)
    title: str = attrs.field(validator=_check_text)
    jurisdiction: str = attrs.field(validator=_check_text)
    disclaimer: str = attrs.field(validator=_check_text)
    sources: tuple[Source, ...] = attrs.field(validator=_check_entries)
    erasing: Erasing | None = None
    keeping: tuple[Keeping, ...] = attrs.field(default=(), validator=_check_entries)
    inactivity: Inactivity | None = None
    children: Children | None = None
    quiet: tuple[Quiet, ...] = attrs.field(default=(), validator=_check_entries)
    withdrawal: Rule | None = None
    opt_out: Rule | None = None
    notes: tuple[str, ...] = attrs.field(default=(), validator=_check_entries)

    @classmethod
    def available(cls) -> tuple[str, ...]:
        """Ids of the regimes that come with the library."""
        return tuple(sorted(path.name.removesuffix(".json") for path in _shipped()))

    @classmethod
    def load(cls, regime: str, /) -> Regime:
        """One of the regimes that come with the library.

        Raises:
            ConfigurationError: There is none of this id.
        """
        for path in _shipped():
            if path.name == f"{regime}.json":
                return cls.parse(path.read_bytes())
        raise ConfigurationError(
            f"no regime {regime!r:.80} comes with the library: there are {list(cls.available())!r}; read your"
            " own with Regime.read(path)",
            value=regime,
            expected=cls.available(),
        )

    @classmethod
    def read(cls, path: str | Path, /) -> Regime:
        """A regime from a file of your own, of the form of those that come with the library.

        Raises:
            OSError: The file cannot be read.
            CodecError: It is no regime.
        """
        with Path(path).open("rb") as file:
            return cls.parse(file.read(_MOST_BYTES + 1))

    @classmethod
    def parse(cls, text: bytes | str, /) -> Regime:
        """A regime from its JSON text, trusting nothing about it.

        Raises:
            CodecError: It is too long, no JSON, has fields that a regime does not have, lacks some, or says
                what cannot be; the message names the place.
        """
        from agentic.privacy._documents import read_document

        return read_document(text, cls, most=_MOST_BYTES, what="a regime")

    def floor(self, data: Data, /) -> Rule | None:
        """How long this class of data is kept at least; the longest, where several rules say so."""
        found = [
            Rule(rule.at_least, rule.basis) for rule in self.keeping if rule.data == data and rule.at_least
        ]
        return max(found, key=_length, default=None)

    def ceiling(self, data: Data, /) -> Rule | None:
        """How long this class of data is kept at most; the shortest, where several rules say so."""
        found = [
            Rule(rule.at_most, rule.basis) for rule in self.keeping if rule.data == data and rule.at_most
        ]
        return min(found, key=_length, default=None)

    def check_drop(self, data: Data, newest: datetime, now: datetime, /) -> None:
        """Refuse to drop what has to be kept longer.

        Args:
            data: Class of what is to be dropped.
            newest: When the last of it was written.
            now: The time.

        Raises:
            ConfigurationError: The floor of this class has not passed.
        """
        floor = self.floor(data)
        if floor is not None and floor.period.after(newest) > now:
            until = floor.period.after(newest)
            raise ConfigurationError(
                f"{data} written until {newest:%Y-%m-%d %H:%M} UTC must be kept until"
                f" {until:%Y-%m-%d %H:%M} UTC ({floor.basis}): drop less, or later",
                value=newest,
                expected=until,
            )

    def quiet_hours(self, channels: Sequence[str], /) -> list[dict[str, Any]]:  # keyword arguments
        """Arguments for `QuietHours`, one set for each rule that concerns some of these channels.

        ``[QuietHours(**arguments) for arguments in regime.quiet_hours(["sms"])]`` are the guardrails. They
        judge the local time of the subject: where the law tells the time in one zone, give it to the agent.

        Args:
            channels: Those of the catalogue.
        """
        found = []
        for number, rule in enumerate(self.quiet):
            concerned = [channel for channel in channels if channel in rule.channels]
            if concerned:
                found.append(
                    {
                        "start": rule.start,
                        "end": rule.end,
                        "channels": concerned,
                        "message_classes": list(rule.message_classes),
                        "name": f"{self.id.replace('-', '_')}_quiet" + (f"_{number + 1}" if number else ""),
                    }
                )
        return found


def _shipped() -> Iterator[Any]:  # paths, in a folder or in an archive
    from importlib.resources import files

    for path in files("agentic.privacy").joinpath("regimes").iterdir():
        if path.name.endswith(".json"):
            yield path


def _length(rule: Rule) -> datetime:
    from agentic.types import instant

    return rule.period.after(instant(0))
