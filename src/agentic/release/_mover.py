"""How is a move made once, by whoever is first, and completed by the next who looks after a crash?

A move is logged, made, and logged as made. What is to be in charge follows from what is, so two monitors who
make the same move put the same policy in charge, and the exchange lets one of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import attrs

from agentic._codec import fingerprint
from agentic._releases import Event, Releases
from agentic.errors import ReleaseError
from agentic.policies import Split
from agentic.protocols import Policy
from agentic.release._registering import close_registry
from agentic.release._registry import Registry
from agentic.release._story import ENDS, MOVED, MOVING, Move, Story, place_of, told
from agentic.release._watchable import Watchable, end_of

_TRIES: Final = 1000


class Publishes(Watchable, Protocol):
    """An agent that policies are put in charge of: every ``Agent`` is one."""

    @property
    def policy(self) -> Policy:
        """The policy in charge."""

    def exchange(self, expected: str, policy: Policy, /) -> bool:
        """Put a policy in charge if this version still is."""


@attrs.frozen(eq=False)
class Mover:
    """Makes the moves of one rollout.

    Attributes:
        agent: Whose policy is in charge.
        challenger: Bound, as the rollout begins with it.
        version: Of it.
        name: Of the rollout.
        salt: Of the split.
        by: Who is named in the log.
        registry: To be told of a rollback; ``None`` for none.
    """

    agent: Publishes
    challenger: Policy
    version: str
    name: str
    salt: str
    by: str
    registry: Registry | None

    @property
    def journal(self) -> Releases:
        """What the log says of releases."""
        return self.agent.releases

    @property
    def split(self) -> Split | None:
        """Champion and challenger as they are in charge now; ``None`` if something else is."""
        policy = self.agent.policy
        return policy if isinstance(policy, Split) and policy.salt == self.salt else None

    def meddled(self, story: Story) -> bool:
        """Whether somebody changed the split by hand: its shares, or who challenges besides."""
        split = self.split
        if split is None or not story.steps:
            return False
        known = {story.share} | ({story.pending.facts["share"]} if story.pending is not None else set())
        return len(split.challengers) != 1 or split.shares[1] not in known

    def take_out(self, reason: str, *, by: str, at: int | None) -> None:
        """Take the challenger out where it was put in charge again after the rollout was over."""
        if self._exchange(Move.ROLL_BACK, 0.0) and self.registry is not None:
            close_registry(self.agent.releases, self.version, reason, by=by, at=at)

    def story(self, name: str | None = None) -> Story:
        """How far this rollout has come, or one of another name: as all processes know it now."""
        with self.journal.writing():  # has heard what others logged, and put in charge
            return told(self.journal.events("rollout."), self.name if name is None else name)

    def append(self, what: str, facts: Mapping[str, Any], at: int | None, *, by: str | None = None) -> Event:
        """Log an event of this rollout, and where it stands: carried over, it will stand elsewhere."""
        with self.journal.writing():
            said = {**facts, "rollout": self.name, "log": end_of(self.agent.log)}
            return self.journal.append(what, said, by=self.by if by is None else by, at=at)

    def make(
        self,
        story: Story,
        move: Move,
        share: float,
        reasons: Sequence[str],
        facts: Mapping[str, Any],
        at: int | None,
        *,
        by: str | None = None,
    ) -> bool:
        """Log a move, make it, and log that it was made.

        Args:
            story: What it goes by: if the rollout has come further meanwhile, nothing is done.
            move: Which.
            share: The challenger's, afterwards.
            reasons: Why, in words.
            facts: What the tests say.
            at: Microseconds since 1970; the agent's clock by default.
            by: Who made it, if not the monitor.

        Returns:
            Whether this call put another policy in charge.
        """
        with self.journal.writing():
            now = self.story()
            if now.ended is not None or len(now.steps) != len(story.steps):
                return False
            if move is Move.GIVE_UP and self.split is not None and not self.meddled(now):
                return False
            moving = now.pending
            if moving is None or _outranks(move, Move(moving.facts["move"])):
                said = {"move": move.value, "share": share, "reasons": list(reasons), "facts": facts}
                moving = self.append(MOVING, said, at, by=by)
            elif (moving.facts["move"], moving.facts["share"]) != (move.value, share):
                return False  # somebody decided otherwise, and the next look completes that
        return self.finish(moving, at)

    def finish(self, moving: Event, at: int | None) -> bool:
        """Make a move that was logged, unless it is made, and log that it was; whether this call made it."""
        move, share = Move(moving.facts["move"]), float(moving.facts["share"])
        mine = self._exchange(move, share)
        with self.journal.writing():
            story = self.story()
            known = story.ended is not None or (move is Move.RAMP and story.share >= share)
            if move is Move.RAMP and (self.split is None or sum(self.split.shares[1:]) < share):
                known = True  # somebody else put something in charge
            if not known:
                said = {"move": move.value, "share": share, "moving": moving.number}
                since = {"position": place_of(moving), "since": moving.at}
                self.append(MOVED, {**said, **since, "version": self.agent.policy_version}, at)
                if move is Move.ROLL_BACK and self.registry is not None:
                    reason = "; ".join(moving.facts["reasons"]) or "rolled back"
                    close_registry(self.agent.releases, self.version, reason, by=self.by, at=at)
        return mine

    def _exchange(self, move: Move, share: float) -> bool:
        """Put in charge what the move calls for; whether this call did."""
        seen: Split | None = None
        for _ in range(_TRIES):
            version = self.agent.policy_version
            following = self._following(move, share)
            if following is None and move is Move.ROLL_BACK and seen is not None:
                # Another monitor promoted at this moment, for reasons that are out of date.
                champion, challenger = seen.champion, seen.members[-1]
                following = champion if version == fingerprint(challenger) else None
            seen = self.split or seen
            if following is None:
                return False
            if self.agent.exchange(version, following):
                return True
        raise ReleaseError(
            f"the policy in charge of agent {self.agent.name!r} changed {_TRIES:,} times while rollout"
            f" {self.name!r} was about to {move.value}: look again",
            value=self.name,
        )

    def _following(self, move: Move, share: float) -> Policy | None:
        """What is to be in charge in place of what is; ``None`` if it is already, or nothing is to change."""
        split = self.split
        if split is None:
            begins = move is Move.RAMP and not self.story().steps
            return Split(self.agent.policy, [(self.challenger, share)], salt=self.salt) if begins else None
        champion = split.champion
        if not split.challengers:
            return champion if move is Move.ROLL_BACK else None
        challenger = split.members[1]
        if move is Move.RAMP:
            grown = attrs.evolve(split, challengers=[(challenger, share)])
            return grown if share > split.shares[1] else None
        return {Move.ROLL_BACK: champion, Move.PROMOTE: challenger}.get(move)


def _outranks(move: Move, pending: Move) -> bool:
    """Whether a move may take the place of one that was decided and not made."""
    return (move in ENDS and pending not in ENDS) or (move is Move.ROLL_BACK and pending is not move)
