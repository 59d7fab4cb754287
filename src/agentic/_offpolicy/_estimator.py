"""What is an estimator, and the arithmetic that several of them share."""

from __future__ import annotations

import math
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from agentic._offpolicy._intervals import Contributions
from agentic._offpolicy._logged import Floats, Rows, reject


@runtime_checkable
class Estimator(Protocol):
    """Says what every row contributes to the value of the target policy."""

    @property
    def name(self) -> str:
        """How reports call it."""

    def contribute(self, rows: Rows, /) -> Contributions:
        """Return the per-row terms, their value and its influence values."""


@runtime_checkable
class ModelFree(Protocol):
    """Capability: an estimator that needs no reward predictions, so that nobody makes any for it."""

    @property
    def model_free(self) -> Literal[True]:
        """That it is."""


def averaged(term: Floats, *, weight: Floats | None, modelled: bool) -> Contributions:
    """Contribute terms whose mean is the estimate."""
    value = float(term.mean())
    return Contributions(value, term, term - value, degrees=term.size - 1, weight=weight, modelled=modelled)


def check_from(field: str, value: float, *, low: float, to: float) -> None:
    """Raise unless a parameter is `low` or more, and below `to`; an infinite end is allowed."""
    if not (low <= value and (value < to or to == math.inf)):
        below = "" if math.isinf(to) else f" and below {to}"
        reject(field, None, value, f"{low} or more{below}", "choose it by the weights you expect")


def check_clip(clip: float) -> None:
    """Raise for a clip that leaves nothing."""
    if not clip > 0.0:
        reject(
            "clip", None, clip, "more than 0", "choose it by the weights you expect; math.inf clips nothing"
        )


def named(name: str, parameter: str, value: float) -> str:
    """Name an estimator with its parameter; infinity is none."""
    return name if math.isinf(value) else f"{name}({parameter}={value:g})"


def clipped(weight: Floats, clip: float) -> Floats:
    """The weights, cut; the very array where nothing is."""
    return weight if math.isinf(clip) else np.minimum(weight, clip)


def bent(weight: Floats, strength: float) -> Floats:
    """The weights w / (1 - lambda + lambda w)."""
    return weight / (1.0 - strength + strength * weight)
