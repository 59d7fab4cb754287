"""Can a rule's numbers be used?"""

from __future__ import annotations

import math
from datetime import timedelta

from agentic.errors import ConfigurationError
from agentic.types import span


def whole(value: object, what: str, /) -> int:
    """A count from 1 to a billion.

    Raises:
        ConfigurationError: It is something else; ``True`` and ``2.0`` are not counts.
    """
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 10**9:
        raise ConfigurationError(
            f"{what} must be a whole number from 1 to 1,000,000,000, got {value!r}: "
            "to send nothing at all, leave the action out of the catalogue or use KillSwitch",
            value=value,
        )
    return value


def money(value: object, what: str, /) -> float:
    """An amount of money from one millionth to a trillion.

    Raises:
        ConfigurationError: It is something else, or not finite.
    """
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not good or not 1e-6 <= value <= 1e12:  # type: ignore[operator]  # narrowed by `good`
        raise ConfigurationError(
            f"{what} must be a number from 0.000001 to 1e12 in the currency of the actions' costs, "
            f"got {value!r}",
            value=value,
        )
    return value  # type: ignore[return-value]  # narrowed by `good`


def optional_span(value: timedelta | None, what: str, /) -> int | None:
    """A duration in microseconds, or ``None``."""
    return None if value is None else span(value, what)


def one_of(value: object, choices: tuple[str, ...], what: str, /) -> None:
    """Accept one of a few words, or ``None``.

    Raises:
        ConfigurationError: It is none of them.
    """
    if value is not None and value not in choices:
        raise ConfigurationError(
            f"{what} must be None or one of {list(choices)!r}, got {value!r}", value=value, expected=choices
        )
