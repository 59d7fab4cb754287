from acme_policy import PriorityOdds

from agentic.testing import PolicyConformance


class TestPriorityOdds(PolicyConformance):
    """The policy keeps every promise of a policy."""

    def make(self) -> PriorityOdds:
        return PriorityOdds({"a0": 1.0, "a2": -0.5}, temperature=0.5)
