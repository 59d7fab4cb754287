"""What may be claimed of a treatment, by how much the data speak against harm and against safety?"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

from agentic._sequential._checks import e_of


class Claims(ABC):
    """Turns the logarithms of two e-values, and the largest there were, into what is shown.

    `CountTest`, `MeanTest` and `BettingTest` share this and nothing else: each has its own sums, from which
    these follow.

    .. versionadded:: 0.1
    """

    __slots__ = ()

    @property
    @abstractmethod
    def alpha(self) -> float:
        """The largest chance of ever claiming what is not so, for each claim."""

    @property
    @abstractmethod
    def log_e(self) -> float:
        """The logarithm of `e_value`."""

    @property
    @abstractmethod
    def safe_log_e(self) -> float:
        """The logarithm of `safe_e_value`."""

    @property
    @abstractmethod
    def log_peak(self) -> float:
        """The logarithm of `peak`."""

    @property
    @abstractmethod
    def safe_log_peak(self) -> float:
        """The logarithm of `safe_peak`."""

    @property
    def e_value(self) -> float:
        """How much the data speak against "the treatment is no worse": at most 1 on average if so."""
        return e_of(self.log_e)

    @property
    def safe_e_value(self) -> float:
        """How much the data speak against "the treatment is worse by the margins or more"."""
        return e_of(self.safe_log_e)

    @property
    def peak(self) -> float:
        """The largest `e_value` at any look so far, 1 at least."""
        return e_of(self.log_peak)

    @property
    def safe_peak(self) -> float:
        """The largest `safe_e_value` at any look so far, 1 at least."""
        return e_of(self.safe_log_peak)

    @property
    def harmed(self) -> bool:
        """Whether harm is shown: wrong with a chance of at most `alpha`, however often one looked."""
        return self.log_peak >= -math.log(self.alpha)

    @property
    def safe(self) -> bool:
        """Whether it is shown that the treatment is not worse by the margins or more."""
        return self.safe_log_peak >= -math.log(self.alpha)
