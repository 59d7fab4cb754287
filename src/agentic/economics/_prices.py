"""What do computing and messages cost: the prices that turn work into money."""

from __future__ import annotations

import math
from typing import Any, Final

import attrs

from agentic.errors import ConfigurationError

LARGEST: Final = 1e12
"""No price is larger."""


def _price(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:  # whatever a caller passes
    good = isinstance(value, int | float) and not isinstance(value, bool)
    if not good or not math.isfinite(value) or not 0.0 <= value <= LARGEST:
        raise ConfigurationError(
            f"{attribute.name} must be a number from 0 to {LARGEST:g}, got {value!r}", value=value
        )


@attrs.frozen
class Prices:
    """Prices in the currency that the rewards and the message costs of the campaign are in.

    Attributes:
        core_hour: Of one processor core for an hour, 0 to 1e12. The default is of the size that clouds ask
            for a virtual core on demand.
        message: Factor on what the catalogue says that messages cost, 0 to 1e12.

    Raises:
        ConfigurationError: A price is out of range.
    """

    core_hour: float = attrs.field(default=0.05, kw_only=True, validator=_price)
    message: float = attrs.field(default=1.0, kw_only=True, validator=_price)
