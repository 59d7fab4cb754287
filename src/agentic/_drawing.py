"""What do drawings share: round numbers along an axis, and words as markup takes them?"""

from __future__ import annotations

import html
import math
from typing import Final

MOST_TICKS: Final = 7


def even_ticks(low: float, high: float, /) -> list[float]:
    """Round numbers at even distances from ``low`` to ``high``, at most seven."""
    rough = (high - low) / (MOST_TICKS - 1)
    scale = 10.0 ** math.floor(math.log10(rough))
    step = next(scale * m for m in (1.0, 2.0, 2.5, 5.0, 10.0) if scale * m >= rough * (1.0 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [step * i for i in range(first, last + 1)]


def number(value: float, /) -> str:
    """A number as an axis shows it: powers of ten where it is very small or large."""
    if value == 0.0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:,.4g}" if abs(value) < 1e3 else f"{value:,.0f}"
    mantissa, power = f"{value:.2e}".split("e")
    shown = mantissa.rstrip("0").rstrip(".")
    raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if shown == "1" else f"{shown}×10{raised}"


def printable(text: str, /) -> str:
    """Text in which what cannot be shown, or would move the cursor, is a question mark."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def words(text: str, /) -> str:
    """Text as XML and HTML take it, in an attribute too; what cannot be shown there is a question mark."""
    return html.escape(printable(text))
