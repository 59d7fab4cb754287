"""How is one customer's life stepped through: episodes to learn from, by production's own walk."""

from __future__ import annotations

from typing import Any, ClassVar, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._agent import Agent
from agentic._records import DecisionBatch
from agentic.arrays import Batch, Bools, Proposal
from agentic.errors import ConfigurationError, EvaluationError
from agentic.features import Number, RuleOnly
from agentic.simulation._life import DAY
from agentic.simulation._simulate import START, Loop, Turn
from agentic.simulation._trials import Making, alone_in_charge
from agentic.simulation._world import RUNS, World
from agentic.types import instant, micros

_ASKED: Final = "asked_action"
_QUESTION: Final = -1.0
Observation = NDArray[np.float32]


@attrs.frozen
class Told:
    """Takes the action it is told, and does nothing where that is not allowed; asked what there is, it stops.

    It is in charge of an episode: who learns stands outside, and says what to do in a feature.
    """

    name: ClassVar[str] = "told"

    def propose(self, batch: Batch, /) -> Proposal:
        """Put all weight on the action that was told.

        Raises:
            Asked: Nothing was told: the walk is broken off, and nothing of it stands.
        """
        told = np.asarray(batch.columns[_ASKED])
        if (told == _QUESTION).any():
            raise Asked(batch.X.copy(), batch.allowed.copy())
        rows, column = np.arange(len(batch)), told.astype(np.int64)
        fits = batch.allowed[rows, column]
        weights = np.zeros(batch.allowed.shape)
        weights[rows, np.where(fits, column, batch.catalogue.idle)] = 1.0
        return Proposal(weights)


class Asked(BaseException):
    """Carries what a policy would see: ``X`` and what is allowed."""

    def __init__(self, X: NDArray[np.float64], allowed: Bools) -> None:
        super().__init__("the walk was only asked what there is")
        self.X, self.allowed = X, allowed


@attrs.define(eq=False)
class Lifetime:
    """One customer's life with an agent, turn by turn, in the manner of ``gymnasium.Env``.

    An episode is a new customer. At each turn one chooses a column of the catalogue, doing nothing among
    them. The choice goes the way of every decision: eligibility, consent, caps, quiet hours and budgets
    strike out actions, and what they leave is the mask; an action that is not allowed sends nothing (or the
    mandatory message that outranks all else). An
    episode is terminated when the customer leaves for good, and truncated after its weeks. Needs
    numpy alone; ``agentic.ext.CustomerLife`` is the same as a ``gymnasium.Env``.

    The observation is what a policy sees, the row of ``X``: what the company knows, not what the customer
    is like. The reward is what comes of the decision by the agent's goals, whenever it comes and whether
    or not it is reported, less the price of the message; what it does to later turns is for these to tell.

    Attributes:
        make: Sets up agent and world; the stock campaign in ``"retail"`` by default. For another scenario
            ``functools.partial(alone_in_charge, scenario=...)``.
        weeks: Length of an episode, 1 to 520.
        decisions_per_week: How often the customer's turn comes, on average; above 0, at most 7.
        actions: Ids of the actions, by their number.
        width: Numbers in an observation, float32, from -1 to 1.

    Raises:
        ConfigurationError: An argument is out of range.
    """

    make: Making = attrs.field(default=alone_in_charge, kw_only=True)
    weeks: int = attrs.field(default=12, kw_only=True)
    decisions_per_week: float = attrs.field(default=7.0, kw_only=True)
    actions: tuple[str, ...] = attrs.field(init=False)
    width: int = attrs.field(init=False)
    _rng: np.random.Generator = attrs.field(init=False, factory=np.random.default_rng)
    _loop: Loop | None = attrs.field(init=False, default=None)
    _next: int = attrs.field(init=False, default=0)
    _turn: Turn | None = attrs.field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        weeks, rate = self.weeks, self.decisions_per_week
        if isinstance(weeks, bool) or not isinstance(weeks, int) or not 1 <= weeks <= 520:
            raise ConfigurationError(
                f"weeks must be a whole number from 1 to 520, got {weeks!r}", value=weeks
            )
        if not 0 < rate <= 7:
            raise ConfigurationError(
                f"decisions_per_week must be above 0 and at most 7, got {rate!r}", value=rate
            )
        plan = self._agent(0)[0].plan
        self.actions, self.width = tuple(action.id for action in plan.catalogue.actions), plan.space.width

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin the life of another customer.

        Args:
            seed: Of the episodes from here on: the same seed, the same customers with the same luck.
            options: Not used; it is there because ``gymnasium`` passes it.

        Returns:
            The observation, shape (d,), and ``info``: ``action_mask``, shape (k,), int8, 1 where an action
            is allowed; ``day``; and what nobody can know, ``trust`` and ``fatigue``, for critics.
        """
        del options
        if seed is not None:
            self._rng = np.random.default_rng(seed)
        agent, world = self._agent(int(self._rng.integers(1 << 62)))
        assert agent.goals is not None  # noqa: S101 - it was checked when it was made
        self._loop = Loop.begin(agent, agent.goals, world, micros(START), self.weeks, self._runs)
        self._next = 0
        turn = self._advance(self._loop)
        return self._see(self._loop, turn)

    def step(self, action: int, /) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take an action, and go on to the customer's next turn.

        Args:
            action: Its number, from 0.

        Returns:
            Observation, reward, whether the customer has left, whether the weeks are over, and ``info`` as
            of ``reset``, with ``sent``, the id of the action that was taken, and ``worth``, the reward with
            luck averaged out.

        Raises:
            EvaluationError: The episode has not begun, or is over.
            ConfigurationError: There is no such action.
        """
        loop, turn = self._loop, self._turn
        if loop is None or turn is None:
            raise EvaluationError("this episode has not begun, or is over: call reset() first", value=action)
        number = next((one for one in range(len(self.actions)) if one == action), None)
        if number is None:
            raise ConfigurationError(
                f"an action is a whole number from 0 to {len(self.actions) - 1}, got {action!r}", value=action
            )
        before = float(loop.life.value.sum())
        batch = loop.decide(attrs.evolve(turn, known=turn.known | {_ASKED: np.array([float(number)])}))
        cost = float(batch.columns["cost"].sum())
        reward = float(loop.life.value.sum()) - before - cost
        worth = float(loop.worth[-1].sum()) - cost
        following = self._advance(loop)
        terminated = bool(following.moment.gone[0])
        truncated = self._next > self._runs and not terminated
        seen, info = self._see(loop, following)
        if terminated or truncated:
            self._turn = None
        return seen, reward, terminated, truncated, info | {"sent": _sent(batch), "worth": worth}

    @property
    def _runs(self) -> int:
        return self.weeks * 7 * len(RUNS)

    def _agent(self, seed: int) -> tuple[Agent, World]:
        asked = RuleOnly(Number(_ASKED, low=_QUESTION, high=1e6))
        agent, world = self.make(Told(), customers=1, seed=seed, more_features=[asked])
        plan = agent.plan
        if agent.goals is None:
            raise ConfigurationError(f"agent {agent.name!r} needs goals: pass goals=Goals(...)")
        if plan.holdout or plan.random_control or plan.floor:
            raise ConfigurationError(
                "in an episode nobody else decides: make the agent with holdout=0, random_control=0 and"
                f" exploration_floor=0, got {plan.holdout!r}, {plan.random_control!r} and {plan.floor!r}",
                value=(plan.holdout, plan.random_control, plan.floor),
            )
        return agent, world

    def _advance(self, loop: Loop) -> Turn:
        """Let the days go by until it is the customer's turn, or the weeks are over."""
        row = np.zeros(1, np.int64)
        while self._next < self._runs:
            number = self._next
            self._next += 1
            day, run = divmod(number, len(RUNS))
            now = micros(START) + day * DAY + RUNS[run]
            loop.begin_day(day)
            loop.hear(number, now)
            if len(loop.world.visitors(day, per_week=self.decisions_per_week)[run]):
                self._turn = loop.meet(row, number, day, now)
                return self._turn
        self._next = self._runs + 1
        now = micros(START) + 7 * self.weeks * DAY
        self._turn = loop.meet(row, self._runs - 1, 7 * self.weeks - 1, now)
        return self._turn

    def _see(self, loop: Loop, turn: Turn) -> tuple[Observation, dict[str, Any]]:
        """What a policy would see now, asked by way of a decision that is taken back."""
        known = turn.known | {_ASKED: np.array([_QUESTION])}
        try:
            loop.agent.decide_many(turn.subjects, known, now=instant(turn.now))
        except Asked as asked:
            return self._shown(asked, turn)
        raise EvaluationError(
            "the agent decided without its policy: make one that protects nobody", value=None
        )

    @staticmethod
    def _shown(asked: Asked, turn: Turn) -> tuple[Observation, dict[str, Any]]:
        info = {
            "action_mask": asked.allowed[0].astype(np.int8),
            "day": turn.day,
            "trust": float(turn.moment.trust[0]),
            "fatigue": float(turn.moment.fatigue[0]),
        }
        return np.clip(asked.X[0], -1.0, 1.0).astype(np.float32), info


def _sent(batch: DecisionBatch) -> str:
    return batch.catalogue.actions[int(batch.action[0, 0])].id
