"""What can an agent be given? Hypothesis strategies for subjects, contexts, actions and catalogues.

Import this module by its name; it needs Hypothesis.

>>> from hypothesis import given
>>> from agentic.testing import strategies
>>> @given(strategies.subjects())
... def test_any_text_is_a_subject(subject): ...
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from hypothesis import strategies as st

from agentic.catalogue import Catalogue
from agentic.types import MANDATORY, MARKETING, NO_ACTION, SERVICE, TRANSACTIONAL, Action

__all__ = ["actions", "catalogues", "contexts", "subjects"]

_MOST_BYTES: Final = 512


def subjects() -> st.SearchStrategy[str]:
    """Subject ids: any text of 1 to 512 bytes in UTF-8 that does not begin with a control character."""
    texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=_MOST_BYTES)
    return texts.filter(lambda text: text[0] >= " " and len(text.encode()) <= _MOST_BYTES)


def contexts(
    numbers: Sequence[str] = ("age", "visits"), categories: Mapping[str, Sequence[str]] | None = None
) -> st.SearchStrategy[dict[str, Any]]:
    """Contexts as callers send them: names left out, ``None``, ``nan``, huge numbers and unheard-of texts.

    Args:
        numbers: Names of numeric features.
        categories: Declared values by the name of a category; ``None`` for a ``tier``.
    """
    declared = {"tier": ("free", "gold", "platinum")} if categories is None else categories
    number = st.none() | st.integers(-(10**6), 10**6) | st.floats(allow_infinity=True, allow_nan=True)
    named: dict[str, st.SearchStrategy[Any]] = dict.fromkeys(numbers, number)
    for name, values in declared.items():
        named[name] = st.none() | st.sampled_from(list(values)) | st.text(max_size=5)
    return st.fixed_dictionaries({}, optional=named)


def actions() -> st.SearchStrategy[Action]:
    """Actions with any printable id but `NO_ACTION`'s, with or without channel, cost, delay and send time."""
    ids = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20)
    return st.builds(
        Action,
        ids.filter(lambda text: text.isprintable() and text != NO_ACTION.id),
        channel=st.sampled_from([None, "email", "push", "sms"]),
        message_class=st.sampled_from([MANDATORY, MARKETING, SERVICE, TRANSACTIONAL]),
        cost=st.floats(0, 1e6),
        value=st.floats(0, 1e6),
        delay=st.timedeltas(timedelta(0), timedelta(days=30)),
        send_at=st.none() | st.times().map(lambda at: at.strftime("%H:%M")),
    )


def catalogues(*, max_size: int = 12) -> st.SearchStrategy[Catalogue]:
    """Catalogues of 1 to ``max_size`` actions and `NO_ACTION`."""
    several = st.lists(actions(), min_size=1, max_size=max_size, unique_by=lambda action: action.id)
    return several.map(Catalogue.of)
