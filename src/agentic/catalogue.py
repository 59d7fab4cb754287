"""Which actions there are: a catalogue, and actions factored over dimensions."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic.conditions import Condition
from agentic.errors import CatalogueError
from agentic.types import MANDATORY, MARKETING, NO_ACTION, Action, clock_time

_MAX_ACTIONS: Final = 60_000
MICROS: Final = 1_000_000
"""Money is counted in millionths of the caller's currency wherever it must add up exactly."""


@attrs.frozen
class Level:
    """One value of a dimension, with what it adds to an action.

    Attributes:
        name: The value, unique in its dimension.
        cost: Added to the action's cost.
        delay: Added to the action's delay.
        send_at: Local time of day of the delivery.
        channel: Sets the action's channel.
        message_class: Sets the action's message class.

    Where several levels of a combination set the same thing, the last dimension's stands.

    Raises:
        CatalogueError: An action could not be so named, priced, delayed or sent.
    """

    name: str
    cost: float = attrs.field(default=0.0, kw_only=True)
    delay: timedelta = attrs.field(default=timedelta(0), kw_only=True)
    send_at: str | None = attrs.field(default=None, kw_only=True)
    channel: str | None = attrs.field(default=None, kw_only=True)
    message_class: str | None = attrs.field(default=None, kw_only=True)

    def __attrs_post_init__(self) -> None:
        # A level is part of an action, so what an action refuses is refused here, where it was written.
        Action(
            self.name,
            channel=self.channel,
            message_class=self.message_class or MARKETING,
            cost=self.cost,
            delay=self.delay,
            send_at=self.send_at,
        )


def product(
    dimensions: Mapping[str, Sequence[str | Level]],
    *,
    where: Condition | None = None,
    eligible: Condition | None = None,
    message_class: str = MARKETING,
) -> list[Action]:
    """Build the actions of a factored decision: every combination of levels that ``where`` admits.

    A dimension named ``channel`` sets the channel of the action. An action's id joins its levels
    with ``"/"`` in the order of the dimensions.

    Args:
        dimensions: Levels by dimension name.
        where: Condition over the dimension names; combinations for which it is not true are left out.
        eligible: Who may get any of these actions.
        message_class: Class of all of them, unless a level says otherwise.

    Raises:
        CatalogueError: A dimension is empty, a level appears twice, ``where`` names something else or
            leaves no combination.
    """
    axes: list[list[Level]] = []
    for name, levels in dimensions.items():
        if isinstance(levels, str) or not isinstance(levels, Sequence):
            raise CatalogueError(
                f"dimension {name!r} must be a list of levels, got {levels!r}: use [{str(levels)!r}]",
                value=levels,
            )
        axis = [level if isinstance(level, Level) else Level(level) for level in levels]
        names = [level.name for level in axis]
        if not axis or len(set(names)) < len(names):
            raise CatalogueError(
                f"dimension {name!r} must list at least one level, each once, got {list(levels)!r}",
                value=list(levels),
            )
        axes.append(axis)
    if not axes:
        raise CatalogueError("product needs at least one dimension, got none")
    if where is not None and (unknown := where.fields - dimensions.keys()):
        raise CatalogueError(
            f"where names {sorted(unknown)!r}, expected only the dimensions {sorted(dimensions)!r}",
            value=sorted(unknown),
            expected=sorted(dimensions),
        )
    actions = []
    for combination in itertools.product(*axes):
        chosen = {name: level.name for name, level in zip(dimensions, combination, strict=True)}
        if where is not None and where.evaluate(chosen) is not True:
            continue
        actions.append(_combine(chosen, combination, eligible, message_class))
    if not actions:
        raise CatalogueError(f"where {where!r} leaves no combination: correct the condition", value=where)
    return actions


def _combine(
    chosen: Mapping[str, str], levels: Iterable[Level], eligible: Condition | None, message_class: str
) -> Action:
    channel, send_at, cost, delay = chosen.get("channel"), None, 0.0, timedelta(0)
    for level in levels:
        channel = level.channel or channel
        send_at = level.send_at or send_at
        message_class = level.message_class or message_class
        cost += level.cost
        delay += level.delay
    return Action(
        "/".join(chosen.values()),
        channel=channel,
        message_class=message_class,
        cost=cost,
        eligible=eligible,
        delay=delay,
        send_at=send_at,
        dimensions=chosen,
    )


@attrs.frozen(eq=False)
class Catalogue:
    """The candidate actions as arrays; columns stand in order of action id, ``NO_ACTION`` among them.

    Attributes:
        actions: Shape (k,).
        ids: Action ids, sorted.
        cost: Shape (k,), float64.
        cost_micros: Shape (k,), int64, the same in millionths, rounded up.
        delay_us: Shape (k,), int64.
        send_minute: Shape (k,), int64: local minute of the day of delivery, -1 when at once.
        channels: Channel names; ``channel`` holds indices into it, -1 for none, shape (k,).
        classes: Message classes; ``message_class`` holds indices into it, shape (k,).
        mandatory: Shape (k,), bool.
        idle: Column of ``NO_ACTION``.
        sends: Shape (k,), bool: everything but ``NO_ACTION``.
        slotted: Columns with a local time of delivery, shape (m,), int64.
        at_once: Every candidate is delivered when it is decided.
        outranks: Some candidate is mandatory.
    """

    actions: tuple[Action, ...]
    ids: tuple[str, ...]
    cost: NDArray[np.float64]
    cost_micros: NDArray[np.int64]
    delay_us: NDArray[np.int64]
    send_minute: NDArray[np.int64]
    channels: tuple[str, ...]
    channel: NDArray[np.int64]
    classes: tuple[str, ...]
    message_class: NDArray[np.int64]
    mandatory: NDArray[np.bool_]
    idle: int
    sends: NDArray[np.bool_]
    slotted: NDArray[np.int64]
    at_once: bool
    outranks: bool
    _index: Mapping[str, int] = attrs.field(alias="index")

    @classmethod
    def of(cls, actions: Iterable[Action], /) -> Catalogue:
        """Check the actions and lay them out.

        Raises:
            CatalogueError: There is none, an id appears twice, or there are more than 60,000.
        """
        listed = list(actions)
        for action in listed:
            if not isinstance(action, Action):
                raise CatalogueError(f"actions must be Action values, got {action!r}", value=action)
        proper = [action for action in listed if action != NO_ACTION]
        if not proper:
            raise CatalogueError(
                "an agent needs at least one action besides NO_ACTION, got none: pass actions=[Action(...)]"
            )
        if len(proper) > _MAX_ACTIONS:
            raise CatalogueError(
                f"a catalogue holds at most {_MAX_ACTIONS:,} actions, got {len(proper):,}", value=len(proper)
            )
        if any(action.id == NO_ACTION.id for action in proper):
            raise CatalogueError(f"the id {NO_ACTION.id!r} is reserved for NO_ACTION: choose another")
        seen: set[str] = set()
        for action in proper:
            if action.id in seen:
                raise CatalogueError(
                    f"action id {action.id!r} appears twice: every action needs its own", value=action.id
                )
            seen.add(action.id)
        ordered = tuple(sorted([*proper, NO_ACTION], key=lambda action: action.id))
        channels = tuple(sorted({a.channel for a in ordered if a.channel is not None}))
        classes = tuple(sorted({a.message_class for a in ordered}))
        place = {name: number for number, name in enumerate(channels)}
        rank = {name: number for number, name in enumerate(classes)}
        ids = tuple(a.id for a in ordered)
        idle = ids.index(NO_ACTION.id)
        return cls(
            actions=ordered,
            ids=ids,
            cost=_fixed([float(a.cost) for a in ordered], np.float64),
            cost_micros=_fixed([math.ceil(round(a.cost * MICROS, 6)) for a in ordered], np.int64),
            delay_us=_fixed([a.delay // timedelta(microseconds=1) for a in ordered], np.int64),
            send_minute=_fixed(
                [-1 if a.send_at is None else clock_time(a.send_at, "send_at") for a in ordered], np.int64
            ),
            channels=channels,
            channel=_fixed([-1 if a.channel is None else place[a.channel] for a in ordered], np.int64),
            classes=classes,
            message_class=_fixed([rank[a.message_class] for a in ordered], np.int64),
            mandatory=_fixed([a.message_class == MANDATORY for a in ordered], np.bool_),
            idle=idle,
            sends=_fixed([a.id != NO_ACTION.id for a in ordered], np.bool_),
            slotted=_fixed([i for i, a in enumerate(ordered) if a.send_at is not None], np.int64),
            at_once=not any(a.delay or a.send_at for a in ordered),
            outranks=any(a.message_class == MANDATORY for a in ordered),
            index={action_id: column for column, action_id in enumerate(ids)},
        )

    def __len__(self) -> int:
        return len(self.actions)

    def column(self, action_id: str, /) -> int:
        """Column of an action.

        Raises:
            CatalogueError: No action has this id.
        """
        try:
            return self._index[action_id]
        except KeyError:
            raise CatalogueError(
                f"no action {action_id!r} in this catalogue: there are {', '.join(self.ids[:20])}",
                value=action_id,
            ) from None

    def pick(
        self,
        *,
        channels: Sequence[str] | None = None,
        message_classes: Sequence[str] | None = None,
        actions: Sequence[str] | None = None,
        exempt: Sequence[str] = (),
    ) -> NDArray[np.bool_]:
        """Mark the actions a rule is about: shape (k,), bool; ``NO_ACTION`` is never among them.

        Args:
            channels: Only these channels; ``None`` means all.
            message_classes: Only these classes; ``None`` means all.
            actions: Only these ids; ``None`` means all.
            exempt: Classes left out.

        Raises:
            CatalogueError: A named channel or action is not in the catalogue.
        """
        mask = self.sends.copy()
        if channels is not None:
            for name in channels:
                if name not in self.channels:
                    raise CatalogueError(
                        f"no action uses channel {name!r}: there are {list(self.channels)!r}", value=name
                    )
            mask &= np.array([a.channel in channels for a in self.actions])
        if message_classes is not None:
            mask &= np.array([a.message_class in message_classes for a in self.actions])
        if actions is not None:
            columns = [self.column(name) for name in actions]
            mask &= np.isin(np.arange(len(self)), columns)
        if exempt:
            mask &= np.array([a.message_class not in exempt for a in self.actions])
        mask.flags.writeable = False
        return mask


def _fixed(values: Sequence[object], dtype: type[np.generic]) -> NDArray[Any]:  # of that dtype
    array: NDArray[Any] = np.array(values, dtype=dtype)
    array.flags.writeable = False
    return array
