"""Which policies are compared: the rungs from a fixed choice to an agent for every customer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Self

import attrs

from agentic.arrays import Batch, Feedback, Field, Proposal, Records, Space
from agentic.conditions import Condition
from agentic.errors import ConfigurationError
from agentic.policies import (
    EpsilonGreedy,
    Fixed,
    LinearThompson,
    SquareCB,
    TemplateRanking,
    Uniform,
)
from agentic.protocols import Binds, Learner, Policy, Remembers

Work = Callable[[int, int], float]
"""Multiply-adds of one decision, given the number of actions k and of feature columns d."""

_QUADRATURE: Final = 16 * 16
"""Of one action's win probability: sixteen nodes, as most rows take, sixteen multiply-adds at each."""

_EFFECTS: Final = 13 + 21
"""Of one action's effects on one subject: thirteen multiply-adds for the posterior of a level, of which there
are seldom more than actions; twenty-one to add up those of the action and to weigh by them."""


def no_work(k: int, d: int, /) -> float:
    """A policy that multiplies nothing."""
    return 0.0


def mean_work(k: int, d: int, /) -> float:
    """A linear model's mean for every action: k d multiply-adds."""
    return float(k * d)


def thompson_work(k: int, d: int, /) -> float:
    """Mean and variance for every action, and the probabilities that each is best."""
    return float(k * d + k * d * d + k * d + k * _QUADRATURE)


def personal_work(k: int, d: int, /) -> float:
    """The same, and the subject's own effects beside it."""
    return thompson_work(k, d) + float(k * _EFFECTS)


def blind_thompson_work(k: int, d: int, /) -> float:
    """As ``thompson_work``, with a single column."""
    return thompson_work(k, 1)


def _check_name(_: object, attribute: attrs.Attribute[Any], value: Any) -> None:  # whatever a caller passes
    if not isinstance(value, str) or not value or len(value) > 60 or not value.isprintable():
        raise ConfigurationError(
            f"a rung's {attribute.name} must be 1 to 60 printable characters, got {value!r}", value=value
        )


def _check_policy(_: object, __: object, value: Any) -> None:  # likewise
    if isinstance(value, type) or not isinstance(value, Policy):
        raise ConfigurationError(
            f"a rung needs a policy, an object with a name and propose(batch), got {value!r:.200}",
            value=value,
        )


@attrs.frozen
class Rung:
    """A policy under the name that tables and plots call it.

    Attributes:
        name: 1 to 60 printable characters.
        policy: As it starts: it has learned nothing yet.
        work: Multiply-adds of one decision for k actions and d feature columns, counted by hand: what
            stays the same on every machine. ``None`` where nobody has counted.

    Raises:
        ConfigurationError: The name or the policy is none.
    """

    name: str = attrs.field(validator=_check_name)
    policy: Any = attrs.field(validator=_check_policy)  # Policy; attrs resolves annotations
    work: Work | None = attrs.field(default=None, kw_only=True)


@attrs.frozen
class WithoutFeatures:
    """The same policy, blind: of all features it sees and learns the constant alone.

    What a policy is worth beyond this is what its features are worth.

    Attributes:
        policy: Reads ``X`` and nothing else of a row, as the linear ones do.
    """

    name: ClassVar[str] = "without_features"
    policy: Any = attrs.field(validator=_check_policy)  # Policy; as above

    def bind(self, space: Space, /) -> Self:
        """Bind the policy to a space with one column."""
        blind = attrs.evolve(space, width=1, encoded=space.encoded[-1:])
        policy = self.policy.bind(blind) if isinstance(self.policy, Binds) else self.policy
        return attrs.evolve(self, policy=policy)

    def learn(self, feedback: Feedback, /) -> Self:
        """Return the policy that has also seen this feedback, but for its features."""
        if not isinstance(self.policy, Learner):
            return self
        return attrs.evolve(self, policy=self.policy.learn(attrs.evolve(feedback, X=feedback.X[:, -1:])))

    @property
    def fields(self) -> tuple[Field, ...]:
        """What the policy keeps about a subject."""
        return tuple(self.policy.fields) if isinstance(self.policy, Remembers) else ()

    def remember(self, feedback: Feedback, rows: Records, /) -> None:
        """Let the policy write it."""
        self.policy.remember(attrs.evolve(feedback, X=feedback.X[:, -1:]), rows)

    def propose(self, batch: Batch, /) -> Proposal:
        """Ask the policy, showing the constant."""
        proposal: Proposal = self.policy.propose(attrs.evolve(batch, X=batch.X[:, -1:]))
        return proposal


def ladder(guess: str, rules: Policy, templates: Mapping[str, Condition | None], /) -> tuple[Rung, ...]:
    """The ladder for a campaign, cheapest idea first; add rungs of your own with ``+``.

    Args:
        guess: Id of the action that somebody would choose who had to choose one for all.
        rules: What a marketer would write by hand.
        templates: To whom each message may go, for ``TemplateRanking``.

    Raises:
        ConfigurationError: The templates are none.
    """
    from agentic.policies import Personal  # late: whoever only reads a frontier does without

    return (
        Rung("random", Uniform(), work=no_work),
        Rung("fixed", Fixed(guess), work=no_work),
        Rung("rules", rules, work=no_work),
        Rung("context_free", WithoutFeatures(LinearThompson()), work=blind_thompson_work),
        Rung("template_ranking", TemplateRanking(templates, SquareCB()), work=mean_work),
        Rung("epsilon_greedy", EpsilonGreedy(), work=mean_work),
        Rung("square_cb", SquareCB(), work=mean_work),
        Rung("linear_thompson", LinearThompson(), work=thompson_work),
        Rung("personal", Personal(), work=personal_work),
    )
