"""How far has a rollout come, by what the log says of it? Every process reads the same story."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from agentic._releases import Event
from agentic.release._watch import Step

BEGAN: Final = "rollout.began"
LOOKED: Final = "rollout.looked"
MOVING: Final = "rollout.moving"
MOVED: Final = "rollout.moved"


class Move(enum.StrEnum):
    """What a look at a rollout comes to."""

    HOLD = "hold"
    """Nothing changes: there is not enough to go by, or there is doubt."""

    RAMP = "ramp"
    """The challenger gets its next share."""

    ROLL_BACK = "roll_back"
    """The champion decides for everybody again; the rollout is over, and does not begin again by itself."""

    PROMOTE = "promote"
    """The challenger is in charge of everybody; the rollout is over."""

    GIVE_UP = "give_up"
    """Somebody put another policy in charge: the rollout is over, and nothing is changed."""


ENDS: Final = frozenset({Move.ROLL_BACK, Move.PROMOTE, Move.GIVE_UP})


@attrs.frozen(eq=False)
class Story:
    """What the log says of a rollout.

    Attributes:
        began: With what it began; ``None`` if it did not.
        begin: Log number of its beginning.
        steps: The shares it had; the last one lasts, unless it is over.
        pending: A move that was decided, and of which nobody says that it was made.
        ended: How it ended; ``None`` if it did not.
        reason: Why, in words.
        looked: What was logged of the last look.
    """

    began: Mapping[str, Any] | None = None
    begin: int = 0
    steps: tuple[Step, ...] = ()
    pending: Event | None = None
    ended: Move | None = None
    reason: str = ""
    looked: Mapping[str, Any] | None = None

    @property
    def share(self) -> float:
        """The challenger's share now."""
        return self.steps[-1].share if self.steps and self.ended is None else 0.0

    def after(self, event: Event, /) -> Story:
        """The story with one more event of this rollout."""
        if self.ended is not None:
            return self
        try:
            return self._after(event)
        except (KeyError, TypeError, ValueError):  # no rollout says such things
            return self

    def _after(self, event: Event, /) -> Story:
        facts = event.facts
        if event.what == BEGAN and self.began is None:
            return attrs.evolve(self, began=facts, begin=place_of(event))
        if self.began is None:
            return self
        if event.what == LOOKED:
            return attrs.evolve(self, looked=facts)
        if event.what == MOVING:
            Move(facts["move"]), float(facts["share"])
            return attrs.evolve(self, pending=event, reason="; ".join(facts["reasons"]))
        if event.what == MOVED:
            return self._moved(event, Move(facts["move"]))
        return self

    def _moved(self, event: Event, move: Move) -> Story:
        facts, steps = event.facts, list(self.steps)
        if steps:  # what was decided since somebody set about it may be of this share or of the next
            last = attrs.evolve(steps[-1], end=int(facts["position"]), until=int(facts["since"]))
            steps[-1] = last
        if move is Move.RAMP:
            before = steps[-1].share if steps else 0.0
            steps.append(Step(float(facts["share"]), before, place_of(event)))
        done = self.pending is not None and self.pending.number == facts["moving"]
        return attrs.evolve(
            self,
            steps=tuple(steps),
            pending=None if done or move in ENDS else self.pending,
            ended=move if move in ENDS else None,
        )


def place_of(event: Event, /) -> int:
    """Log number that an event had when it was logged; it may have been written once more since."""
    place = event.facts.get("log")
    return place if type(place) is int else event.position


def told(events: Iterable[Event], name: str, /) -> Story:
    """The story of a rollout of this name."""
    story = Story()
    for event in events:
        if event.facts.get("rollout") == name:
            story = story.after(event)
    return story
