"""Is a setting usable? Validators that policies share.

They take ``Any``: what is checked may be anything, and mypy reads a field's type off its validator.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import attrs

from agentic.conditions import Condition
from agentic.errors import ConfigurationError

Check = Callable[[object, Any, Any], None]  # the second is an attrs.Attribute

LARGEST: Final = 1e60
"""Rewards and features that are learned from are smaller, so that sums of their squares are finite."""


def is_number(value: object, /) -> bool:
    """Whether this is a number, and no truth value."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def positive(what: str, /) -> Check:
    """A finite number above 0; ``what`` says of what."""

    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not is_number(value) or not 0 < value < float("inf"):
            raise ConfigurationError(
                f"{attribute.name} must be a positive number ({what}), got {value!r}", value=value
            )

    return check


def positive_up_to(most: float, what: str, /) -> Check:
    """A number above 0 and at most this; ``what`` says of what."""

    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not is_number(value) or not 0 < value <= most:
            raise ConfigurationError(
                f"{attribute.name} must be a number above 0 and at most {most:g} ({what}), got {value!r}",
                value=value,
            )

    return check


def not_negative(what: str, /) -> Check:
    """A finite number from 0; ``what`` says of what."""

    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if not is_number(value) or not 0 <= value < float("inf"):
            raise ConfigurationError(
                f"{attribute.name} must be a number from 0 ({what}), got {value!r}", value=value
            )

    return check


def share(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A number from 0 to 1."""
    if not is_number(value) or not 0 <= value <= 1:
        raise ConfigurationError(f"{attribute.name} must be a number from 0 to 1, got {value!r}", value=value)


def whole(least: int, most: int | None = None, /) -> Check:
    """A whole number from this, up to that."""
    bounds = f"from {least}" if most is None else f"from {least} to {most}"

    def check(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
        if (
            not isinstance(value, int)
            or isinstance(value, bool)
            or value < least
            or (most is not None and value > most)
        ):
            raise ConfigurationError(
                f"{attribute.name} must be a whole number {bounds}, got {value!r}", value=value
            )

    return check


def optional_span(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A positive length of time, or ``None``."""
    if value is not None and (not isinstance(value, timedelta) or value <= timedelta(0)):
        raise ConfigurationError(
            f"{attribute.name} must be a positive timedelta or None, got {value!r}", value=value
        )


def word(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """What a field of a record may begin with."""
    if not isinstance(value, str) or not value.isidentifier():
        raise ConfigurationError(f"a policy's {attribute.name} must be a word, got {value!r}", value=value)


def optional_condition(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:
    """A condition, or ``None``."""
    if value is not None and not isinstance(value, Condition):
        raise ConfigurationError(
            f"{attribute.name} must be a condition such as F('adult').is_true(), or None, got {value!r}",
            value=value,
        )
