"""When does a challenger get more of the customers, all of them, or none any more?

A monitor calls ``look`` now and then, from any process: what is known is in the log, so that all monitors
know the same, and a move is made once, by whoever is first. A move is logged before it is made: who crashes
between the two is completed by the next who looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from agentic._codec import fingerprint
from agentic._inputs import checked_time
from agentic._plan import bind, checked
from agentic._releases import CANARY
from agentic.arrays import I64, U64
from agentic.errors import ConfigurationError, ReleaseError
from agentic.policies import Fixed, Split
from agentic.protocols import Policy
from agentic.release._metrics import REWARD, SPENT, Metric, Tripwires
from agentic.release._mover import Mover, Publishes
from agentic.release._registering import renewed, tell_registry
from agentic.release._registry import Registry
from agentic.release._story import BEGAN, ENDS, LOOKED, Move, Story
from agentic.release._trail import Trail
from agentic.release._verdict import Look, Rule, facts_of, margin_of
from agentic.release._watch import Weighed, observe, tripped, weigh
from agentic.types import NO_ACTION, span

STEPS: Final = tuple(CANARY.values())
_NOBODY: Final = Fixed(NO_ACTION)
_ASKED: Final = ("margin", "relative_margin", "worse", "low", "high", "tuned_at", "least_rows")


class Rollout:
    """Gives a challenger more and more of the customers while its matured outcomes allow it.

    It ramps when enough outcomes of a step are final and none speaks of harm; rolls back when harm is proven
    on any metric, or a tripwire is hit; promotes, after the last step, only when it is proven that no metric
    with a margin is worse by that margin; in doubt it holds. When subjects do not fall to the sides as
    planned, no outcome is believed, and it holds until a person looks. Once rolled back it does not
    begin again.

    However often one looks, a harmless challenger is rolled back with a chance of at most ``alpha``, and one
    that is worse by a margin is promoted with at most ``alpha``.

    Who is compared, and why this holds while subjects come back and shares grow, says ``docs/release.md``.
    While the rollout lasts both policies learn, if they do. Rolling back returns to the champion as it has
    learned meanwhile.

    Args:
        agent: With goals.
        challenger: As the application makes it; in other processes of the file the same, and there as here
            among the agent's ``challengers``.
        metrics: What may not get worse; each has its test.
        name: Of the rollout, unique in the agent's log; the challenger's version by default.
        steps: Shares, growing, above 0 and below 1; with a registry its canary stages, or the first of them.
        alpha: The largest chance of a false rollback; shared among the metrics.
        observe: How long a subject's decisions count from its first one in a step. A longer time says more
            of each subject, and later.
        least: Subjects of the challenger that must be final in a step before it gets more.
        doubt: While an e-value of harm is at least this, it does not get more.
        skew: The largest chance of pausing a sound rollout for its sample ratio.
        tripwires: What ends it at once.
        registry: Where the challenger is registered, if anywhere: canary steps, promotion and rollback are
            told there, and a move waits for the approvals that it needs. Nowhere by default.
        by: Who is named in the log.

    Raises:
        ConfigurationError: Arguments do not fit together, or the rollout began with others.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        agent: Publishes,
        challenger: Policy,
        *,
        metrics: Sequence[Metric],
        name: str | None = None,
        steps: Sequence[float] = STEPS,
        alpha: float = 0.05,
        observe: timedelta = timedelta(days=7),
        least: int = 200,
        doubt: float = 4.0,
        skew: float = 0.001,
        tripwires: Tripwires | None = None,
        registry: Registry | None = None,
        by: str = "rollout",
    ) -> None:
        if agent.goals is None:
            raise ConfigurationError(
                f"agent {agent.name!r} has no goals, so nothing shows harm: pass goals=Goals(...)"
            )
        self._agent = agent
        self._challenger: Policy = bind(checked(challenger), agent.plan.space)
        self._version = fingerprint(self._challenger)
        self._name = self._version if name is None else name
        self._steps = _checked_steps(steps)
        if registry is not None and self._steps != STEPS[: len(self._steps)]:
            raise ConfigurationError(
                f"with a registry the steps are its canary stages, {STEPS!r} or the first of them, got"
                f" {self._steps!r}: leave steps out",
                value=self._steps,
            )
        self._metrics = _checked_metrics(metrics, agent.goals.names)
        for field, value, most in (("alpha", alpha, 1.0), ("skew", skew, 1.0)):
            if isinstance(value, bool) or not isinstance(value, float) or not 0.0 < value < most:
                raise ConfigurationError(
                    f"{field} must be above 0 and below 1, got {value!r:.200}", value=value
                )
        if isinstance(least, bool) or not isinstance(least, int) or least < 1:
            raise ConfigurationError(f"least must be a whole number from 1, got {least!r:.200}", value=least)
        if not isinstance(self._name, str) or not 0 < len(self._name) <= 100 or not self._name.isascii():
            raise ConfigurationError(
                f"name must be an ASCII text of 1 to 100 characters, got {self._name!r:.200}", value=name
            )
        self._skew = skew
        self._rule = Rule(
            steps=self._steps, metrics=self._metrics, alpha=alpha, least=least, doubt=float(doubt)
        )
        self._observe = span(observe, "observe")
        # The last reward of an observed decision is final that long after it.
        self._window = span(agent.goals.window, "window") * (2 if agent.goals.start == "exposure" else 1)
        self._tripwires = Tripwires() if tripwires is None else tripwires
        self._registry, self._by = registry, by
        self._salt = f"rollout/{self._name}"
        self._mover = Mover(agent, self._challenger, self._version, self._name, self._salt, by, registry)
        self._trail: Trail | None = None

    @property
    def name(self) -> str:
        """Of the rollout."""
        return self._name

    @property
    def share(self) -> float:
        """The challenger's share now, 0 to 1, as the log says."""
        story = self._mover.story()
        return 1.0 if story.ended is Move.PROMOTE else story.share

    def start(self, *, now: datetime | None = None) -> Look:
        """Give the challenger its first share, or wait for its approval; does nothing if it has one.

        Args:
            now: The time; by default the agent's clock.

        Raises:
            ConfigurationError: Another split is in charge, or the challenger is; or the rollout began with
                other settings.
            ReleaseError: This rollout is over, or the challenger was rolled back before.
        """
        at = None if now is None else checked_time(now)
        with self._mover.journal.writing():
            story = self._mover.story()
            if story.began is None:
                self._check_new()
                self._mover.append(BEGAN, self._settings, at)
        story = self._mover.story()
        self._check_settings(story)
        if story.ended is not None:
            raise ReleaseError(
                f"rollout {self._name!r} is over ({story.ended.value}), it does not begin again: give another"
                " one another name",
                value=self._name,
            )
        if story.steps:
            return self._told(story, Move.HOLD, ("it has begun before",))
        return self._begin(story, at)

    def look(self, *, now: datetime | None = None) -> Look:
        """Read what the log says, and do what it calls for: at most one move.

        Only outcomes that ``agent.learn()`` found final count: have it called as ever.

        Args:
            now: The time; by default the agent's clock.

        Raises:
            ReleaseError: The rollout has not begun.
            ConfigurationError: It began with other settings.
        """
        at = None if now is None else checked_time(now)
        story = self._mover.story()
        if story.began is None:
            raise ReleaseError(f"rollout {self._name!r} has not begun: call start()", value=self._name)
        if story.ended is not None:
            return self._told(story, Move.HOLD, (f"it is over: {story.reason}",))
        if story.pending is not None and Move(story.pending.facts["move"]) in ENDS:
            move, reasons = Move(story.pending.facts["move"]), tuple(story.pending.facts["reasons"])
            self._mover.finish(story.pending, at)
            return self._told(self._mover.story(), move, reasons)
        self._check_settings(story)
        story = self._caught_up(story, at)
        if not story.steps:  # an approval was missing, or somebody crashed at the very beginning
            return self._begin(story, at)
        if self._mover.split is None:
            return self._made(story, Move.GIVE_UP, 0.0, ("another policy was put in charge",), None, at)
        if self._mover.meddled(story):
            why = "somebody changed shares or challengers by hand, so nobody watches over what is in charge"
            return self._made(story, Move.GIVE_UP, 0.0, (why,), None, at)
        if self._trail is None:
            self._trail = Trail(self._agent, story.begin)
        self._trail.read()
        found = self._weighed(self._trail, story)
        hit = tripped(self._trail, story.steps[-1], self._side, self._tripwires)
        move, share, reasons = self._rule.verdict(story.share, found, hit)
        if move is Move.HOLD:
            return self._held(story, reasons, found, at)
        return self._made(story, move, share, reasons, found, at)

    def roll_back(self, reason: str, *, by: str, now: datetime | None = None) -> Look:
        """Roll back by hand: when it returns, nobody is decided for by the challenger any more.

        Args:
            reason: Why; it is logged.
            by: Who says so.
            now: The time; by default the agent's clock.

        Raises:
            ReleaseError: The rollout has not begun.
        """
        at = None if now is None else checked_time(now)
        story = self._mover.story()
        if story.began is None:
            raise ReleaseError(
                f"rollout {self._name!r} has not begun, so there is nothing to roll back: call start() first",
                value=self._name,
            )
        if story.ended is not None:
            self._mover.take_out(reason, by=by, at=at)
            return self._told(story, Move.HOLD, (f"it is over: {story.reason}",))
        while story.ended is None:  # it may ramp meanwhile
            self._mover.make(story, Move.ROLL_BACK, 0.0, (reason,), {}, at, by=by)
            story = self._mover.story()
        return self._told(story, story.ended, (reason,))

    def _caught_up(self, story: Story, at: int | None) -> Story:
        """Say of a share that is in charge that it is, where somebody crashed before that."""
        split, pending = self._mover.split, story.pending
        if split is None or pending is None or sum(split.shares[1:]) < pending.facts["share"]:
            return story
        self._mover.finish(pending, at)
        return self._mover.story()

    def _begin(self, story: Story, at: int | None) -> Look:
        return self._made(story, Move.RAMP, self._steps[0], ("it begins",), None, at)

    def _weighed(self, trail: Trail, story: Story) -> Weighed:
        steps, rule = story.steps, self._rule
        observed = observe(trail, steps, rule.metrics, self._side, lasts=self._observe, window=self._window)
        return weigh(observed, steps, rule.metrics, closed=trail.closed, alpha=rule.alpha, skew=self._skew)

    def _side(self, keys: U64, share: float) -> I64:
        return Split(_NOBODY, [(_NOBODY, share)], salt=self._salt).side(keys)

    def _made(
        self,
        story: Story,
        move: Move,
        share: float,
        reasons: tuple[str, ...],
        found: Weighed | None,
        at: int | None,
    ) -> Look:
        """Make a move, if the registry lets it and nobody has made one meanwhile; say how things stand."""
        if move in (Move.RAMP, Move.PROMOTE):
            tried = story.share
            waits = tell_registry(
                self._registry, self._version, move, share, tried=tried, found=found, by=self._by, at=at
            )
            if waits:
                return self._held(story, waits, found, at)
        facts = {} if found is None else facts_of(found)
        self._mover.make(story, move, share, reasons, facts, at)
        after = self._mover.story()
        made = after.ended is move or len(after.steps) > len(story.steps)
        return self._told(after, move if made else Move.HOLD, reasons, found)

    def _held(self, story: Story, reasons: tuple[str, ...], found: Weighed | None, at: int | None) -> Look:
        """Log a look that held, if more is known than the last time."""
        look = self._told(story, Move.HOLD, reasons, found)
        said: dict[str, Any] = {"share": look.share, "reasons": list(reasons)}
        said |= {"matured": list(look.matured), "total": list(look.total)}
        last = story.looked or {}
        if any(last.get(name) != value for name, value in said.items()):
            self._mover.append(LOOKED, {**said, "facts": dict(look.facts)}, at)
        return look

    def _told(self, story: Story, move: Move, reasons: tuple[str, ...], found: Weighed | None = None) -> Look:
        share = 1.0 if story.ended is Move.PROMOTE else story.share
        over = story.ended is not None
        if found is None:
            return Look(self._name, move, share, reasons, ended=over)
        facts = facts_of(found)
        return Look(self._name, move, share, reasons, found.matured, found.total, facts, ended=over)

    @property
    def _settings(self) -> dict[str, Any]:
        """What may not change while it lasts, as JSON."""
        tests = {}
        for metric in self._metrics:
            asked = [getattr(metric.test, name, None) for name in _ASKED]
            tests[metric.name] = [type(metric.test).__name__, metric.source, *asked]
        return {
            "rollout": self._name,
            "challenger": self._version,
            "steps": list(self._steps),
            "alpha": self._rule.alpha,
            "skew": self._skew,
            "metrics": tests,
            "observe_us": self._observe,
            "window_us": self._window,
        }

    def _check_settings(self, story: Story) -> None:
        """Refuse to look at a rollout with other eyes than it began with."""
        began: Mapping[str, Any] = {} if story.began is None else story.began
        odd = sorted(name for name, value in self._settings.items() if began.get(name) != value)
        if odd:
            raise ConfigurationError(
                f"rollout {self._name!r} began with other {', '.join(odd)} than it has now, so what was"
                " promised of its errors would not hold: use those it began with, or another name",
                value=odd,
            )

    def _check_new(self) -> None:
        """Refuse to begin where something else is tried, or with what was rolled back."""
        policy = self._agent.policy
        if isinstance(policy, Split):
            raise ConfigurationError(
                f"a champion with {len(policy.challengers)} challengers is in charge of agent"
                f" {self._agent.name!r}: end that before another one is tried",
                value=len(policy.challengers),
            )
        if self._agent.policy_version == self._version:
            raise ConfigurationError(
                f"the challenger {self._version} is in charge of agent {self._agent.name!r} already",
                value=self._version,
            )
        for event in self._mover.journal.events(BEGAN):
            if event.facts.get("challenger") != self._version:
                continue
            name = str(event.facts["rollout"])
            story = self._mover.story(name)
            since = story.steps[-1].until if story.steps else event.at
            if story.ended is Move.ROLL_BACK and not renewed(self._registry, self._version, since):
                raise ReleaseError(
                    f"policy version {self._version} was rolled back in rollout {name!r}, and does not go out"
                    " again by itself: change it, or register it anew and pass the registry",
                    value=self._version,
                )


def _checked_steps(steps: Sequence[float]) -> tuple[float, ...]:
    found = tuple(steps) if isinstance(steps, Sequence) and not isinstance(steps, str) else ()
    sound = all(isinstance(step, float) and 0.0 < step < 1.0 for step in found)
    if not found or not sound or list(found) != sorted(set(found)):
        raise ConfigurationError(
            f"steps must be shares above 0 and below 1, each more than the last, got {steps!r:.200}",
            value=steps,
        )
    return found


def _checked_metrics(metrics: Sequence[Metric], goals: Sequence[str]) -> tuple[Metric, ...]:
    found = tuple(metrics) if isinstance(metrics, Sequence) else ()
    if not found or not all(isinstance(metric, Metric) and not isinstance(metric, type) for metric in found):
        raise ConfigurationError(
            f"metrics must list what may not get worse, got {metrics!r:.200}: metrics=[Reward(...),"
            " Happens('unsubscribe')]",
            value=metrics,
        )
    names = [metric.name for metric in found]
    if len(set(names)) < len(names):
        raise ConfigurationError(f"each metric needs a name of its own, got {names!r}", value=names)
    for metric in found:
        if metric.source not in (REWARD, SPENT, *goals[1:]):
            raise ConfigurationError(
                f"metric {metric.name!r} counts {metric.source!r}, which is none of the agent's goals"
                f" {list(goals[1:])!r}: add it to Goals, with weight 0 if it is not worth anything",
                value=metric.source,
            )
    if not any(margin_of(metric) for metric in found):
        raise ConfigurationError(
            "no metric has a margin, so no challenger could ever be promoted: say what loss is still none, as"
            " in Reward(MeanTest(relative_margin=0.1))",
            value=names,
        )
    return found
