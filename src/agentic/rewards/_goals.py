"""What are outcomes worth, and for how long are they waited for?"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from types import MappingProxyType
from typing import Final, Literal

import attrs
import numpy as np

from agentic.arrays import F64, I64
from agentic.errors import ConfigurationError, InvalidOutcomeError, UnknownGoalError, masked
from agentic.types import EXPOSED, span

LARGEST: Final = 1e150
"""Outcomes worth more than this are refused: so no sum of them can overflow."""


def _weights(values: Mapping[str, float]) -> Mapping[str, float]:
    if not isinstance(values, Mapping) or not values:
        raise ConfigurationError(
            f"goals must map at least one name to its weight, got {values!r}: "
            "use {'purchase': 1.0}, for example",
            value=values,
        )
    for name, weight in values.items():
        if not isinstance(name, str) or not name or not name.isprintable():
            raise ConfigurationError(
                f"a goal's name must be a printable text such as 'purchase', got {name!r}", value=name
            )
        if name == EXPOSED:
            raise ConfigurationError(
                f"the name {EXPOSED!r} is reserved for exposure and cannot be a goal: choose another",
                value=name,
            )
        if not _finite(weight):
            raise ConfigurationError(
                f"the weight of goal {name!r} must be a finite number, got {weight!r}", value=weight
            )
    return MappingProxyType({name: float(weight) for name, weight in values.items()})


def _finite(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and abs(value) <= LARGEST  # type: ignore[arg-type]  # a number


def _names(value: Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ConfigurationError(
            f"terminal must list names of goals, got {value!r}: use ['unsubscribe'], for example", value=value
        )
    return tuple(value)


@attrs.frozen
class Goals:
    """Turns the outcomes of one choice into one reward.

    An outcome is worth its goal's weight times its value, which is 1 unless said otherwise. Outcomes count
    during the reward window, from its start to just before its end; when it is over the reward is final.

    Attributes:
        values: Weight of each goal.
        window: How long outcomes count.
        default: The reward of a choice without outcomes; it is not added to anything.
        aggregate: Of several outcomes the ``"sum"``, the ``"first"`` in time, or the ``"max"``.
        start: The window starts at the ``"decision"``, or at ``"exposure"``: then a choice that sends
            something and is not exposed within one window's length of the decision is never learned from,
            and one that sends nothing starts at the decision.
        terminal: Goals whose outcome makes the reward final at once.

    Examples:
        >>> from datetime import timedelta
        >>> goals = Goals({"purchase": 1.0, "unsubscribe": -5.0}, window=timedelta(hours=72))
        >>> goals.worth(["purchase", "unsubscribe"], [20.0, 1.0])
        array([20., -5.])
    """

    values: Mapping[str, float] = attrs.field(converter=_weights, hash=False)
    window: timedelta = attrs.field(kw_only=True)
    default: float = attrs.field(default=0.0, kw_only=True)
    aggregate: Literal["sum", "first", "max"] = attrs.field(default="sum", kw_only=True)
    start: Literal["decision", "exposure"] = attrs.field(default="decision", kw_only=True)
    terminal: tuple[str, ...] = attrs.field(default=(), kw_only=True, converter=_names)
    _codes: Mapping[str, int] = attrs.field(init=False, eq=False, repr=False)
    _table: F64 = attrs.field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        span(self.window, "window")
        if not _finite(self.default):
            raise ConfigurationError(
                f"default must be a finite number, got {self.default!r}", value=self.default
            )
        for what, given, choices in (
            ("aggregate", self.aggregate, ("sum", "first", "max")),
            ("start", self.start, ("decision", "exposure")),
        ):
            if given not in choices:
                raise ConfigurationError(
                    f"{what} must be one of {list(choices)!r}, got {given!r}", value=given, expected=choices
                )
        for name in self.terminal:
            if name not in self.values:
                raise ConfigurationError(
                    f"terminal names {name!r}, which is not a goal: there are {sorted(self.values)!r}",
                    value=name,
                )
        names = self.names
        object.__setattr__(self, "_codes", {name: code for code, name in enumerate(names)})
        object.__setattr__(self, "_table", np.array([0.0, *(self.values[name] for name in names[1:])]))

    @property
    def names(self) -> tuple[str, ...]:
        """What may be recorded, by code: ``"exposed"`` is 0, then the goals in order of their names."""
        return (EXPOSED, *sorted(self.values))

    def codes(self, goal: Sequence[str] | I64, /) -> I64:
        """Codes of goals by name, shape (m,), int64; codes are checked and returned as they are.

        Raises:
            UnknownGoalError: Nobody counts an outcome of this name, or no goal has this code.
        """
        if isinstance(goal, np.ndarray) and goal.dtype.kind in "iu":
            wrong = np.flatnonzero((goal < 0) | (goal > len(self.values)))
            if len(wrong):
                code = int(goal[wrong[0]])
                raise UnknownGoalError(
                    f"no goal has code {code}: there are {len(self.values) + 1}, from 0", value=code
                )
            return goal.astype(np.int64)
        try:
            return np.array([self._codes[name] for name in goal], dtype=np.int64)
        except KeyError as missing:
            name = missing.args[0]
            raise UnknownGoalError(
                f"no goal counts an outcome {name!r}: there are {list(self.names)!r}, add it to Goals or "
                "do not record it here",
                value=name,
                expected=self.names,
            ) from None

    def worth(self, goal: Sequence[str] | I64, value: Sequence[float] | F64, /) -> F64:
        """What outcomes are worth: weight times value, shape (m,); exposure is worth nothing.

        Raises:
            UnknownGoalError: Nobody counts such an outcome.
            InvalidOutcomeError: A value is not finite, or makes the outcome worth more than 1e150.
        """
        codes, values = self.codes(goal), np.asarray(value, dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            worth: F64 = self._table[codes] * values
            wrong = np.flatnonzero(~(np.abs(worth) <= LARGEST) | ~np.isfinite(values))
        if len(wrong):
            bad = float(values[wrong[0]])
            raise InvalidOutcomeError(
                f"an outcome's value must be finite and worth at most {LARGEST} in size, got {masked(bad)}"
                f" for {self.names[codes[wrong[0]]]!r}",
                value=masked(bad),
            )
        return worth
