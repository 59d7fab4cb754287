"""What is watched while a challenger is tried: what a subject counts with, and how sides are compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, Self, runtime_checkable

import attrs
import numpy as np
from numpy.typing import ArrayLike

from agentic.arrays import F64
from agentic.errors import ConfigurationError
from agentic.experiments import CountTest, MeanTest

REWARD: Final = "reward"
SPENT: Final = "spent"


@runtime_checkable
class Test(Protocol):
    """A comparison of two sides that may be looked at after every batch: a value."""

    alpha: float

    def observe(self, *, control: ArrayLike, treatment: ArrayLike) -> Self:
        """Return the test after one batch of matured outcomes."""

    @property
    def harmed(self) -> bool:
        """Whether harm is shown."""

    @property
    def e_value(self) -> float:
        """How much the data speak against "no harm"."""

    @property
    def safe_peak(self) -> float:
        """The largest e-value so far against "worse by the margin or more"."""

    @property
    def facts(self) -> Mapping[str, Any]:
        """What a monitor logs: values that JSON can hold."""


@runtime_checkable
class Metric(Protocol):
    """Something that can get worse: what a subject counts with, and the test that compares two sides."""

    @property
    def name(self) -> str:
        """How reports and the log call it."""

    @property
    def source(self) -> str:
        """What it is summed from: ``"reward"``, ``"spent"``, or the name of a goal."""

    @property
    def test(self) -> Any:  # Test; every test is of its own class
        """An empty test."""

    def count(self, total: F64, /) -> F64:
        """What each subject counts with, shape (m,), given the sum over its decisions, shape (m,)."""


def _tests(_owner: object, field: attrs.Attribute[Any], value: Any) -> None:
    if isinstance(value, type) or not isinstance(value, Test):
        raise ConfigurationError(
            f"{field.name} must be a test such as experiments.MeanTest(), got {value!r:.200}",
            value=value,
        )


@attrs.frozen
class Reward:
    """The reward of a subject: the sum over its decisions while it is observed; less is worse.

    Attributes:
        test: ``BettingTest(low=, high=)`` where a few rewards carry most of the sum, and bounds are known;
            ``MeanTest()`` otherwise. Its ``margin`` says what loss is still no harm.

    .. versionadded:: 0.1
    """

    test: Any = attrs.field(factory=lambda: MeanTest(relative_margin=0.1), validator=_tests)  # Test
    name: str = attrs.field(default=REWARD, kw_only=True)
    source: str = attrs.field(default=REWARD, init=False)

    def count(self, total: F64, /) -> F64:
        """The sum itself."""
        return total


@attrs.frozen
class Spent:
    """What was spent on messages to a subject while it was observed; more is worse.

    Attributes:
        test: As for ``Reward``, with ``worse="higher"``.

    .. versionadded:: 0.1
    """

    test: Any = attrs.field(factory=lambda: MeanTest(worse="higher"), validator=_tests)  # Test
    name: str = attrs.field(default=SPENT, kw_only=True)
    source: str = attrs.field(default=SPENT, init=False)

    def count(self, total: F64, /) -> F64:
        """The sum itself."""
        return total


@attrs.frozen
class Happens:
    """Whether an outcome follows any of a subject's decisions while it is observed, such as a complaint.

    Attributes:
        goal: The outcome; one of the agent's goals, be it with weight 0.
        test: ``CountTest(worse="higher")``: exact at any rate. ``worse="lower"`` for what is wanted.

    .. versionadded:: 0.1
    """

    goal: str
    test: Any = attrs.field(factory=lambda: CountTest(worse="higher"), validator=_tests)  # Test

    @property
    def name(self) -> str:
        """The outcome."""
        return self.goal

    @property
    def source(self) -> str:
        """The outcome."""
        return self.goal

    def count(self, total: F64, /) -> F64:
        """Once or not at all, however often."""
        return np.asarray(total > 0.0, dtype=np.float64)


@attrs.frozen(kw_only=True)
class Tripwires:
    """What ends a rollout at once, without statistics: the challenger does not work.

    They go by the decisions of the present step that the challenger was asked for, matured or not.

    Attributes:
        failed: Most of its decisions that the fallback may have to make, because it raised or answered with
            no numbers; a share.
        alike: From which share of one action on it counts as collapsed, such as 0.995, if the champion's
            commonest action has less than nine tenths of that. Never by default: a rule may do the same for
            everybody, and a learner may find one action best.
        unscored: Most of its decisions without a score, where others of its own have one; a share.
        slowest_us: Most microseconds a decision may take on average; no limit by default. In a batch that
            is the whole batch's time over its rows, whoever decided.
        least: Decisions that it takes to say so.

    .. versionadded:: 0.1
    """

    failed: float = 0.01
    alike: float = float("inf")
    unscored: float = 1.0
    slowest_us: float = float("inf")
    least: int = 100

    def __attrs_post_init__(self) -> None:
        for field in attrs.fields(Tripwires):
            value = getattr(self, field.name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
                raise ConfigurationError(
                    f"{field.name} must be a number of 0 or more, got {value!r:.200}", value=value
                )
