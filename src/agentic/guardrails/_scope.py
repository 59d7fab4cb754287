"""Which candidates is a rule about, and how does its answer spread over the columns?"""

from __future__ import annotations

import copy
import functools
import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, Protocol, TypeVar

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.arrays import I64, Bools, Records, Review, Space
from agentic.catalogue import Catalogue
from agentic.errors import ConfigurationError, LayoutError

T = TypeVar("T")

EVERYTHING: Final[Bools] = np.ones((1, 1), dtype=np.bool_)
EVERYTHING.flags.writeable = False


class Scoped(Protocol):
    """A rule that says with these four which candidates it is about."""

    @property
    def channels(self) -> tuple[str, ...] | None:
        """Only these; ``None`` means all."""

    @property
    def message_classes(self) -> tuple[str, ...] | None:
        """Only these; ``None`` means all."""

    @property
    def actions(self) -> tuple[str, ...] | None:
        """Only these; ``None`` means all."""

    @property
    def exempt(self) -> tuple[str, ...]:
        """Message classes left alone."""


def listed(value: Iterable[str] | None) -> tuple[str, ...] | None:
    """Take a list of names, at least one; ``None`` stays ``None``.

    Raises:
        ConfigurationError: It is one text, empty, or holds something else than text.
    """
    if value is None:
        return None
    names = spared(value)
    if not names:
        raise ConfigurationError(
            f"channels, message_classes and actions must list at least one name, got {value!r}: "
            "leave the argument out to mean all",
            value=value,
        )
    return names


def spared(value: Iterable[str]) -> tuple[str, ...]:
    """Take a list of names that may be empty, in one order whatever order they came in.

    Raises:
        ConfigurationError: It is one text, or holds something else than text.
    """
    good = isinstance(value, Iterable) and not isinstance(value, str | bytes)
    names = tuple(value) if good else ()
    if not good or not all(isinstance(name, str) and name for name in names):
        raise ConfigurationError(
            f"channels, message_classes, actions and exempt must be lists of names, got {value!r}: "
            "use ['sms'], for example",
            value=value,
        )
    return tuple(sorted(set(names)))


def check_name(_: object, __: object, value: object) -> None:
    """Accept a lower-case word: it becomes part of the names of stored fields."""
    if not isinstance(value, str) or not re.fullmatch(r"[a-z][a-z0-9_]{0,39}", value):
        raise ConfigurationError(
            f"a guardrail's name must be a lower-case word such as 'weekly_cap', got {value!r}", value=value
        )


def concerned(rule: Scoped, space: Space, /) -> Bools:
    """Mark the candidates a rule is about: shape (k,).

    Raises:
        ConfigurationError: It names something that is not in the catalogue, so it would protect nobody.
    """
    catalogue = space.catalogue
    for name in rule.message_classes or ():
        if name not in catalogue.classes:
            raise ConfigurationError(
                f"no action has message class {name!r}: there are {list(catalogue.classes)!r}, "
                "correct the guardrail's message_classes",
                value=name,
                expected=list(catalogue.classes),
            )
    return catalogue.pick(
        channels=rule.channels,
        message_classes=rule.message_classes,
        actions=rule.actions,
        exempt=rule.exempt,
    )


def bound(rule: T, plan: object, /) -> T:
    """The same rule, fitted to a space: a copy with another plan."""
    twin = copy.copy(rule)
    object.__setattr__(twin, "_plan", plan)
    return twin


def ready(plan: T | None, rule: str, /) -> T:
    """The plan of a rule that has been bound.

    Raises:
        ConfigurationError: It has not.
    """
    if plan is None:
        raise ConfigurationError(
            f"guardrail {rule!r} is not bound to a catalogue: hand it to an Agent, or call bind(space) first",
            value=rule,
        )
    return plan


@attrs.frozen(eq=False)
class Spread:
    """How the answers of a few groups become an answer for every candidate.

    Attributes:
        names: The groups, sorted.
        place: Shape (k,), int64: the group of each candidate, ``len(names)`` for those not concerned.
        members: Shape (g,), int64: candidates in each group.
        first: Shape (g,), int64: the first candidate of each group, which can stand for it.
    """

    names: tuple[str, ...]
    place: I64
    members: I64
    first: I64
    # For a single group a row of candidates is looked up whole: the answer is 0 or 1.
    _allow: Bools = attrs.field(init=False)
    _mark: Bools = attrs.field(init=False)
    _rest: I64 = attrs.field(init=False)
    _near: I64 = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        outside = self.place == len(self.names)
        object.__setattr__(self, "_allow", np.stack([outside, np.ones_like(outside)]))
        object.__setattr__(self, "_mark", np.stack([np.zeros_like(outside), ~outside]))
        object.__setattr__(self, "_rest", np.flatnonzero(outside))
        object.__setattr__(self, "_near", np.where(outside, 0, self.place))

    @classmethod
    def of(cls, labels: Sequence[str], mask: Bools, /) -> Spread:
        """Group the candidates in ``mask`` by label.

        Args:
            labels: Shape (k,).
            mask: Shape (k,), bool.
        """
        columns = np.flatnonzero(mask).tolist()
        names = tuple(sorted({labels[column] for column in columns}))
        number = {name: index for index, name in enumerate(names)}
        place = np.full(len(mask), len(names), dtype=np.int64)
        place[columns] = [number[labels[column]] for column in columns]
        members = np.bincount(place[columns], minlength=len(names)).astype(np.int64)
        first = np.array([int(np.argmax(place == index)) for index in range(len(names))], dtype=np.int64)
        for array in (place, members, first):
            array.flags.writeable = False
        return cls(names, place, members, first)

    def allowed(self, answers: Bools, /) -> Bools:
        """Give every candidate its group's answer, and ``True`` to those not concerned.

        Args:
            answers: Shape (n, g), g at least 1.

        Returns:
            Shape (n, k): a full matrix is cheaper to combine than a broadcast one.
        """
        if len(self.names) == 1:
            return self._allow.take(answers[:, 0].view(np.int8), axis=0)
        out: Bools = answers[:, self._near]
        out[:, self._rest] = True
        return out

    def marked(self, answers: Bools, /) -> Bools | None:
        """Give every candidate its group's mark, and ``False`` to those not concerned; ``None`` if no mark.

        Args:
            answers: Shape (n, g), g at least 1.
        """
        if not np.count_nonzero(answers):
            return None
        if len(self.names) == 1:
            return self._mark.take(answers[:, 0].view(np.int8), axis=0)
        out: Bools = answers[:, self._near]
        out[:, self._rest] = False
        return out

    def review(self, answers: Bools, reason: str, /, unknown: Bools | None = None) -> Review:
        """Put the groups' answers, and what of them was not known, into a review: shape (n, g) each."""
        if np.count_nonzero(answers) == answers.size:
            return Review(EVERYTHING, reason)
        return Review(self.allowed(answers), reason, None if unknown is None else self.marked(unknown))


def by_group(catalogue: Catalogue, each: str | None, prefix: str, /) -> list[str]:
    """Label every candidate with the group it is counted in, shape (k,).

    Groups go by name and not by number, so that stored counts survive a catalogue that grows.
    """
    if each is None:
        return [prefix] * len(catalogue)
    if each == "channel":
        return [prefix if a.channel is None else f"{prefix}:{a.channel}" for a in catalogue.actions]
    if each == "message_class":
        return [f"{prefix}:{a.message_class}" for a in catalogue.actions]
    return [f"{prefix}:{a.id}" for a in catalogue.actions]


def by_arrival(catalogue: Catalogue, /) -> list[str]:
    """Label every candidate so that those with the same delay and send time share a label, shape (k,).

    Their deliveries are the same in every row, so one of them can be asked for all.
    """
    timing = zip(catalogue.delay_us.tolist(), catalogue.send_minute.tolist(), strict=True)
    return [f"{delay}@{minute}" for delay, minute in timing]


def columns(matrix: NDArray[Any], index: I64, /) -> NDArray[Any]:  # any dtype in, the same out
    """Some columns of a matrix; a view where one column is asked for."""
    if len(index) == 1:
        return matrix[:, index[0] : index[0] + 1]
    return matrix[:, index]


def together(rows: Records | None, names: tuple[str, ...], shape: tuple[int, ...], /) -> NDArray[Any]:
    """Show fields of one dtype and shape as one array: a view, shape (n, len(names), *shape).

    Raises:
        LayoutError: There are no rows, or the fields do not lie evenly, in the order of their names.
    """
    if rows is None:
        raise LayoutError(f"fields {list(names)!r} are needed, got no rows", value=None)
    if len(names) == 1 and names[0] in (rows.dtype.names or ()):
        one: NDArray[Any] = rows[names[0]][:, None]
        return one
    joined = _joined(rows.dtype, names, shape)
    every: Records = np.ndarray(rows.shape, joined, rows) if rows.flags.c_contiguous else rows.view(joined)
    view: NDArray[Any] = every["all"]
    return view


@functools.lru_cache(maxsize=256)
def _joined(dtype: np.dtype[Any], names: tuple[str, ...], shape: tuple[int, ...]) -> np.dtype[Any]:
    fields = dtype.fields
    there = fields is not None and all(name in fields for name in names)
    placed = [fields[name] for name in names] if there and fields is not None else []
    if not placed or any(
        entry[0] != placed[0][0] or entry[1] != placed[0][1] + index * entry[0].itemsize
        for index, entry in enumerate(placed)
    ):
        raise LayoutError(
            f"fields {list(names)!r} must lie side by side in their order, got {dtype!r}: "
            "compose records with Layout.compose",
            value=dtype,
        )
    return np.dtype(
        {
            "names": ["all"],
            "formats": [(placed[0][0].base, (len(names), *shape))],
            "offsets": [placed[0][1]],
            "itemsize": dtype.itemsize,
        }
    )
