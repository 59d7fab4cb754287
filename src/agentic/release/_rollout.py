"""When does a challenger get more of the customers, all of them, or none any more?

A monitor calls ``look`` now and then, from any process: what is known is in the log, so that all monitors
know the same, and a move is made once, by whoever is first. A move is logged before it is made: who crashes
between the two is completed by the next who looks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import attrs
import numpy as np

from agentic._codec import fingerprint
from agentic._inputs import checked_time
from agentic._plan import bind, checked
from agentic._releases import CANARY, STAGES, Evidence
from agentic.arrays import I64, U64
from agentic.errors import ConfigurationError, ReleaseError
from agentic.policies import Fixed, Split
from agentic.protocols import Policy
from agentic.release._metrics import Metric, Tripwires
from agentic.release._story import BEGAN, ENDS, LOOKED, MOVED, MOVING, Move, Story, Told, told
from agentic.release._trail import Trail
from agentic.release._watch import Weighed, observe, tripped, weigh
from agentic.release._watchable import Watchable
from agentic.types import NO_ACTION, instant, span

STEPS: Final = (0.01, 0.05, 0.10, 0.25, 0.50)
_NOBODY: Final = Fixed(NO_ACTION)
_TRIES: Final = 1000


class Journal(Protocol):
    """The log of releases of an agent."""

    def writing(self) -> AbstractContextManager[Any]:
        """Hold it: nobody else appends meanwhile."""

    def append(self, what: str, facts: Mapping[str, Any], *, by: str, at: int | None = None) -> Told:
        """Log an event."""

    def events(self, what: str | None = None, /) -> Sequence[Told]:
        """Those that were heard, of this name or beginning with this prefix."""

    def refresh(self) -> None:
        """Hear what others logged."""


class Released(Watchable, Protocol):
    """An agent that policies are released to: every ``Agent`` is one."""

    @property
    def policy(self) -> Policy:
        """The policy in charge."""

    @property
    def policy_version(self) -> str:
        """Its version."""

    @property
    def releases(self) -> Any:  # a Journal, and more
        """What the log says of releases."""

    def exchange(self, expected: str, policy: Policy, /) -> bool:
        """Put a policy in charge if this version still is."""


@attrs.frozen(eq=False)
class Look:
    """What a look at a rollout came to; ``str()`` of it is for people.

    Attributes:
        rollout: Its name.
        move: What was done, or is to be; ``HOLD`` if nothing.
        share: The challenger's share afterwards: 0 when it is rolled back, 1 when promoted.
        reasons: Why, in words.
        matured: Subjects of the present step whose outcomes are final: the champion's, the challenger's.
        total: The same over all steps.
        facts: What each metric's test says: counts, estimate, bounds, e-values; of the sample ratio too.
        ended: Whether the rollout is over.
    """

    rollout: str
    move: Move
    share: float
    reasons: tuple[str, ...]
    matured: tuple[int, int] = (0, 0)
    total: tuple[int, int] = (0, 0)
    facts: Mapping[str, Mapping[str, Any]] = attrs.field(factory=dict)
    ended: bool = False

    def __str__(self) -> str:
        move, over = self.move.value.replace("_", " "), ", over" if self.ended else ""
        lines = [f"rollout {self.rollout!r}: {move}, challenger at {self.share:.0%}{over}"]
        lines += [f"  {reason}" for reason in self.reasons]
        lines.append(
            f"  final in this step: {self.matured[0]:,} subjects of the champion, {self.matured[1]:,} of the"
            f" challenger; in all {self.total[0]:,} and {self.total[1]:,}"
        )
        for name, facts in self.facts.items():
            if "estimate" in facts:
                lines.append(
                    f"  {name}: {facts['estimate']:+.6g}, bounds {facts['lower']} to {facts['upper']};"
                    f" e-value of harm {facts['e_value']:.3g} (at most {facts['peak']:.3g}),"
                    f" of safety {facts['safe_e_value']:.3g}"
                )
        return "\n".join(lines)


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
        steps: Shares, growing, above 0 and below 1.
        alpha: The largest chance of a false rollback; shared among the metrics.
        observe: How long a subject's decisions count from its first one in a step. A longer time says more
            of each subject, and later.
        least: Subjects of the challenger that must be final in a step before it gets more.
        doubt: While an e-value of harm is at least this, it does not get more.
        skew: The largest chance of pausing a sound rollout for its sample ratio.
        tripwires: What ends it at once.
        registry: Where the challenger is registered, if anywhere: canary steps, promotion and rollback are
            told there, and a ramp waits for its approvals.
        by: Who is named in the log.

    Raises:
        ConfigurationError: Arguments do not fit together, or the rollout began with others.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        agent: Released,
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
        registry: Any = None,
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
        self._alpha, self._skew, self._least, self._doubt = alpha, skew, least, doubt
        self._observe = span(observe, "observe")
        # The last reward of an observed decision is final that long after it.
        self._window = span(agent.goals.window, "window") * (2 if agent.goals.start == "exposure" else 1)
        self._tripwires = Tripwires() if tripwires is None else tripwires
        self._registry, self._by = registry, by
        self._salt = f"rollout/{self._name}"
        self._trail: Trail | None = None

    @property
    def name(self) -> str:
        """Of the rollout."""
        return self._name

    @property
    def share(self) -> float:
        """The challenger's share now, 0 to 1, as the log says."""
        story = self._story()
        return 1.0 if story.ended is Move.PROMOTE else story.share

    def start(self, *, now: datetime | None = None) -> Look:
        """Give the challenger its first share; does nothing if it has one.

        Raises:
            ConfigurationError: Another split is in charge, or the challenger is.
            ReleaseError: This rollout is over, or the challenger was rolled back before.
        """
        at = self._time(now)
        with self._journal.writing():
            story = self._story()
            if story.began is None:
                self._check_new()
                self._append(BEGAN, self._settings, at)
        story = self._story()
        if story.ended is not None:
            raise ReleaseError(
                f"rollout {self._name!r} is over ({story.ended.value}), it does not begin again: register the"
                " challenger anew and give the rollout another name",
                value=self._name,
            )
        if story.steps:
            return self._told(story, Move.HOLD, ("it has begun before",))
        return self._made(story, Move.RAMP, self._steps[0], ("it begins",), None, at)

    def look(self, *, now: datetime | None = None) -> Look:
        """Read what the log says, and do what it calls for: at most one move.

        Args:
            now: The time; by default the agent's clock.

        Raises:
            ReleaseError: The rollout has not begun.
        """
        at = self._time(now)
        story = self._story()
        if story.began is None:
            raise ReleaseError(f"rollout {self._name!r} has not begun: call start()", value=self._name)
        if story.ended is not None:
            return self._told(story, Move.HOLD, (f"it is over: {story.reason}",))
        if story.pending is not None and Move(story.pending.facts["move"]) is not Move.RAMP:
            return self._finish(story, at)
        if not story.steps:  # somebody crashed at the very beginning, or an approval was missing
            return self._made(story, Move.RAMP, self._steps[0], ("it begins",), None, at)
        if self._split() is None:
            return self._made(story, Move.GIVE_UP, 0.0, ("another policy was put in charge",), None, at)
        trail = self._read(story)
        found = self._weighed(trail, story)
        wires = tripped(trail, story.steps[-1], self._side, self._tripwires)
        move, share, reasons = self._verdict(story, found, wires)
        if move is Move.HOLD:
            look = self._told(story, move, reasons, found)
            self._note(story, look, at)
            return look
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
        story = self._story()
        if story.began is None:
            raise ReleaseError(f"rollout {self._name!r} has not begun: there is nothing to roll back")
        if story.ended is not None:
            return self._told(story, Move.HOLD, (f"it is over: {story.reason}",))
        return self._made(story, Move.ROLL_BACK, 0.0, (reason,), None, self._time(now), by=by)

    # What the evidence calls for

    def _verdict(
        self, story: Story, found: Weighed, wires: Sequence[str]
    ) -> tuple[Move, float, tuple[str, ...]]:
        share = story.share
        if wires:
            return Move.ROLL_BACK, 0.0, tuple(wires)
        if found.skewed:
            told_ = "subjects do not fall to the sides as planned, so no outcome is believed: find out why"
            return Move.HOLD, share, (told_,)
        harmed = [name for name, test in found.tests.items() if test.harmed]
        if harmed:
            return Move.ROLL_BACK, 0.0, tuple(f"{name} is worse, that is proven" for name in harmed)
        if found.matured[1] < self._least:
            told_ = f"{found.matured[1]:,} of the challenger's subjects are final in this step"
            return Move.HOLD, share, (f"{told_}, it waits for {self._least:,}",)
        later = [step for step in self._steps if step > share]
        if later:
            doubtful = [name for name, test in found.tests.items() if test.e_value >= self._doubt]
            if doubtful:
                return Move.HOLD, share, tuple(f"{name} may be worse" for name in doubtful)
            return Move.RAMP, later[0], ("enough outcomes are final, and none speaks of harm",)
        judged = {metric.name: found.tests[metric.name] for metric in self._metrics if _margin(metric.test)}
        open_ = [name for name, test in judged.items() if test.safe_peak * self._alpha < 1.0]
        if open_:
            return Move.HOLD, share, tuple(f"{name} is not proven to be within its margin" for name in open_)
        return Move.PROMOTE, 1.0, tuple(f"{name} is within its margin, that is proven" for name in judged)

    def _weighed(self, trail: Trail, story: Story) -> Weighed:
        observed = observe(
            trail, story.steps, self._metrics, self._side, lasts=self._observe, window=self._window
        )
        return weigh(
            observed, story.steps, self._metrics, closed=trail.closed, alpha=self._alpha, skew=self._skew
        )

    def _side(self, keys: U64, share: float) -> I64:
        return Split(_NOBODY, [(_NOBODY, share)], salt=self._salt).side(keys)

    def _read(self, story: Story) -> Trail:
        trail = self._trail
        if trail is None:
            trail = self._trail = Trail(self._agent, story.begin)
        trail.read()
        return trail

    # What is done about it

    def _made(
        self,
        story: Story,
        move: Move,
        share: float,
        reasons: tuple[str, ...],
        found: Weighed | None,
        at: int | None,
        *,
        by: str | None = None,
    ) -> Look:
        """Make a move, if nobody else has made one meanwhile, and say how things stand then."""
        facts = {} if found is None else _facts(found)
        if move in (Move.RAMP, Move.PROMOTE) and (waits := self._tell_registry(move, share, found, at)):
            look = self._told(story, Move.HOLD, waits, found)
            self._note(story, look, at)
            return look
        done = self._make(story, move, share, reasons, facts, at, by=by)
        return self._told(self._story(), move if done else Move.HOLD, reasons, found)

    def _finish(self, story: Story, at: int | None) -> Look:
        """Complete a move that somebody decided and did not say that it was made."""
        assert story.pending is not None  # noqa: S101 - for the type checker
        facts = story.pending.facts
        move, reasons = Move(facts["move"]), tuple(facts["reasons"])
        done = self._exchange(story.pending, move, float(facts["share"]), at)
        return self._told(self._story(), move if done else Move.HOLD, reasons)

    def _make(
        self,
        story: Story,
        move: Move,
        share: float,
        reasons: tuple[str, ...],
        facts: Mapping[str, Any],
        at: int | None,
        *,
        by: str | None = None,
    ) -> bool:
        """Log a move, make it, and log that it was made; whether this call made it."""
        with self._journal.writing():
            now = self._story()
            if now.ended is not None or len(now.steps) != len(story.steps):
                return False
            pending = now.pending
            if pending is None or (move in ENDS and Move(pending.facts["move"]) is Move.RAMP):
                said = {"rollout": self._name, "move": move.value, "share": share, "reasons": list(reasons)}
                pending = self._append(MOVING, {**said, "facts": facts}, at, by=by)
            elif pending.facts["move"] != move.value or pending.facts["share"] != share:
                return False  # somebody decided otherwise: the next look completes it
        return self._exchange(pending, move, share, at)

    def _exchange(self, moving: Told, move: Move, share: float, at: int | None) -> bool:
        """Put in charge what the move calls for, and log that it is; whether this call did."""
        mine = False
        for _ in range(_TRIES):
            version = self._agent.policy_version
            following = self._following(move, share)
            if following is None:
                break
            if mine := self._agent.exchange(version, following):
                break
        else:
            raise ReleaseError(
                f"the policy in charge of agent {self._agent.name!r} changed {_TRIES:,} times while rollout"
                f" {self._name!r} was about to {move.value}: look again",
                value=self._name,
            )
        with self._journal.writing():
            story = self._story()
            moved = story.ended is not None or (move is Move.RAMP and story.share == share)
            if not moved:
                said = {"rollout": self._name, "move": move.value, "share": share, "moving": moving.number}
                since = {"position": moving.position, "since": moving.at}
                self._append(MOVED, {**said, **since, "version": self._agent.policy_version}, at)
        if not moved:
            self._close_registry(move, "; ".join(moving.facts["reasons"]) or move.value, at)
        return mine

    def _following(self, move: Move, share: float) -> Policy | None:
        """What is to be in charge in place of what is; ``None`` if it is already, or nothing is to change."""
        split = self._split()
        if split is None:
            begins = move is Move.RAMP and not self._story().steps
            whole = Split(self._agent.policy, [(self._challenger, share)], salt=self._salt)
            return whole if begins else None
        champion, challenger = split.members
        if move is Move.RAMP:
            grown = attrs.evolve(split, challengers=[(challenger, share)])
            return grown if share > split.shares[1] else None
        return {Move.ROLL_BACK: champion, Move.PROMOTE: challenger}.get(move)

    def _split(self) -> Split | None:
        """Champion and challenger as they are in charge now; ``None`` if something else is."""
        policy = self._agent.policy
        return policy if isinstance(policy, Split) and policy.salt == self._salt else None

    # What is logged and told

    @property
    def _journal(self) -> Journal:
        journal: Journal = self._agent.releases
        return journal

    def _story(self) -> Story:
        self._journal.refresh()
        story = told(self._journal.events("rollout."), self._name)
        if story.began is not None and dict(story.began) != self._settings:
            odd = sorted(key for key, value in self._settings.items() if story.began.get(key) != value)
            raise ConfigurationError(
                f"rollout {self._name!r} began with other {', '.join(odd)} than it has now, so what"
                " was promised of its errors would not hold: use those it began with, or another name",
                value=odd,
            )
        return story

    @property
    def _settings(self) -> dict[str, Any]:
        """What may not change while it lasts, as JSON."""
        tests = {
            metric.name: [type(metric.test).__name__, metric.source, *_settings_of(metric.test)]
            for metric in self._metrics
        }
        return {
            "rollout": self._name,
            "challenger": self._version,
            "steps": list(self._steps),
            "alpha": self._alpha,
            "skew": self._skew,
            "metrics": tests,
            "observe_us": self._observe,
            "window_us": self._window,
            "least": self._least,
        }

    def _append(self, what: str, facts: Mapping[str, Any], at: int | None, *, by: str | None = None) -> Told:
        return self._journal.append(what, facts, by=self._by if by is None else by, at=at)

    def _note(self, story: Story, look: Look, at: int | None) -> None:
        """Log a look that held, if more is known than the last time."""
        said = {"rollout": self._name, "share": look.share, "reasons": list(look.reasons)}
        said |= {"matured": list(look.matured), "total": list(look.total)}
        last = story.looked or {}
        if any(last.get(name) != value for name, value in said.items()):
            self._append(LOOKED, {**said, "facts": dict(look.facts)}, at)

    def _told(self, story: Story, move: Move, reasons: tuple[str, ...], found: Weighed | None = None) -> Look:
        share = 1.0 if story.ended is Move.PROMOTE else story.share
        over = story.ended is not None
        if found is None:
            return Look(self._name, move, share, reasons, ended=over)
        return Look(self._name, move, share, reasons, found.matured, found.total, _facts(found), ended=over)

    def _check_new(self) -> None:
        """Refuse to begin where something else is tried, or with what was rolled back."""
        policy = self._agent.policy
        if isinstance(policy, Split):
            raise ConfigurationError(
                f"a split with {len(policy.challengers)} challengers is in charge of agent"
                f" {self._agent.name!r}: end that before another challenger is tried",
                value=len(policy.challengers),
            )
        if self._agent.policy_version == self._version:
            raise ConfigurationError(
                f"the challenger {self._version} is in charge of agent {self._agent.name!r} already",
                value=self._version,
            )
        for name in self._earlier():
            story = told(self._journal.events("rollout."), name)
            if story.ended is Move.ROLL_BACK and not self._renewed(
                story.steps[-1].until if story.steps else 0
            ):
                raise ReleaseError(
                    f"policy version {self._version} was rolled back in rollout {name!r}, and does not go out"
                    " again by itself: change it, or register it anew and pass the registry",
                    value=self._version,
                )

    def _earlier(self) -> list[str]:
        """Names of other rollouts of this challenger."""
        began = self._journal.events(BEGAN)
        return [event.facts["rollout"] for event in began if event.facts.get("challenger") == self._version]

    def _renewed(self, since: int) -> bool:
        """Whether people registered it anew since then."""
        if self._registry is None:
            return False
        found = self._registry.get(self._version)
        return bool(found.stage != "retired" and found.registered_at > since)

    def _tell_registry(
        self, move: Move, share: float, found: Weighed | None, at: int | None
    ) -> tuple[str, ...]:
        """Bring the registry as far as the move needs it; why it must wait, if it must."""
        if self._registry is None:
            return ()
        now = None if at is None else instant(at)
        version = self._registry.get(self._version)
        wanted = "champion" if move is Move.PROMOTE else _stage_of(share)
        if STAGES.index(version.stage) >= STAGES.index(wanted) and version.stage != "retired":
            return ()
        if found is not None:
            kinds = ("canary", "promotion") if move is Move.PROMOTE else ("canary",)
            for kind in kinds:
                tried = {"share": self.share, "matured": list(found.matured), "total": list(found.total)}
                known = [each.summary.get("share") for each in version.evidence if each.kind == kind]
                if self.share not in known:  # more evidence would ask for another approval
                    evidence = Evidence(kind, "pass", {**tried, "tests": _facts(found)})
                    self._registry.attach(self._version, evidence, by=self._by, now=now)
        try:
            self._registry.advance(self._version, wanted, by=self._by, now=now)
        except ReleaseError as error:
            missing = error.facts.get("missing")
            told_ = missing if isinstance(missing, tuple) and missing else (str(error),)
            return tuple(f"the registry waits for {each}" for each in told_)
        return ()

    def _close_registry(self, move: Move, reason: str, at: int | None) -> None:
        """Tell the registry that it was rolled back."""
        if self._registry is None or move is not Move.ROLL_BACK:
            return
        now = None if at is None else instant(at)
        stage = self._registry.get(self._version).stage
        if stage == "champion":
            self._registry.rollback(by=self._by, reason=reason, now=now)
        elif stage != "retired":
            self._registry.retire(self._version, by=self._by, reason=reason, now=now)

    @staticmethod
    def _time(now: datetime | None) -> int | None:
        return None if now is None else checked_time(now)


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
        if metric.source not in ("reward", "spent", *goals[1:]):
            raise ConfigurationError(
                f"metric {metric.name!r} counts {metric.source!r}, which is none of the agent's goals"
                f" {list(goals[1:])!r}: add it to Goals, with weight 0 if it is not worth anything",
                value=metric.source,
            )
    if not any(_margin(metric.test) for metric in found):
        raise ConfigurationError(
            "no metric has a margin, so no challenger could ever be promoted: say what loss is still none, as"
            " in Reward(MeanTest(relative_margin=0.1))",
            value=names,
        )
    return found


def _stage_of(share: float) -> str:
    """The first canary stage at which a version may decide for so many."""
    return next((stage for stage, most in CANARY.items() if most >= share), "champion")


def _margin(test: Any) -> float:  # a Test
    return float(getattr(test, "margin", 0.0)) + float(getattr(test, "relative_margin", 0.0))


_ASKED: Final = ("alpha", "margin", "relative_margin", "worse", "low", "high", "tuned_at", "least_rows")


def _settings_of(test: Any) -> list[Any]:  # a Test
    return [getattr(test, name, None) for name in _ASKED[1:]]


def _facts(found: Weighed) -> dict[str, dict[str, Any]]:
    """What the tests say, as JSON can hold it."""
    told_ = {name: dict(test.facts) for name, test in found.tests.items()}
    told_["sample_ratio"] = dict(found.ratio.facts)
    return {name: {key: _plain(value) for key, value in facts.items()} for name, facts in told_.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    return value if not isinstance(value, float) or np.isfinite(value) else str(value)
