"""Campaigns whose outcome is written down, so that everything that is worked out of it can be checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from agentic.economics import Frontier, Mean, Prices, Row, Rung, frontier
from agentic.policies import Fixed
from agentic.protocols import Policy

PRICES = Prices()


@attrs.frozen
class Result:
    """What one policy did, by itself."""

    benefit: float
    message_cost: float = 0.0
    decide_us: Any = attrs.field(factory=lambda: np.full(8, 10.0))
    learn_us: Any = attrs.field(factory=lambda: np.zeros(3))
    decisions: int = 1000
    messages: int = 0
    actions: int = 5
    width: int = 3
    policy_bytes: int = 0
    subject_bytes: int = 58


@attrs.frozen
class Written:
    """A campaign by the book: results of each policy, by the action it names, seed by seed."""

    results: Mapping[str, Sequence[Result]]

    def run(self, policy: Policy, seed: int, /) -> Result:
        assert isinstance(policy, Fixed)
        (name,) = policy.weights
        return self.results[name][seed]

    def nothing(self, seed: int, /) -> Result:
        return self.results["nothing"][seed]

    def oracle(self, seed: int, /) -> Result:
        return self.results["oracle"][seed]


def found(
    *,
    prices: Prices = PRICES,
    nothing: Sequence[float] = (0.0, 0.0),
    oracle: Sequence[float] = (100.0, 100.0),
    **rows: Sequence[Result],
) -> Frontier:
    """The frontier of policies whose results are given, by name."""
    results = {
        "nothing": [Result(value) for value in nothing],
        "oracle": [Result(value) for value in oracle],
        **rows,
    }
    rungs = [Rung(name, Fixed(name)) for name in rows]
    return frontier(rungs, Written(results), seeds=range(len(nothing)), prices=prices)


def row(name: str, benefit: float, cost: float, *, us: float = 10.0) -> Row:
    """A row with these figures, sure of all of them."""
    sure = Mean(benefit, 0.0, benefit, benefit)
    return Row(
        name=name,
        share=Mean(benefit / 100.0, 0.0, benefit / 100.0, benefit / 100.0),
        benefit=sure,
        gains=(benefit, benefit),
        messages=1.0,
        message_list_cost=cost,
        decide_us=us,
        learn_us=0.0,
        work=None,
        policy_bytes=0,
        subject_bytes=58,
        prices=PRICES,
    )


def board(rows: Sequence[Row], *, prices: Prices = PRICES, attainable: float = 100.0) -> Frontier:
    """A frontier of these rows."""
    return Frontier(
        rows=tuple(attrs.evolve(one, prices=prices) for one in rows),
        nothing=attrs.evolve(row("nothing", 0.0, 0.0), prices=prices),
        oracle=attrs.evolve(row("oracle", attainable, 0.0), prices=prices),
        seeds=(0, 1),
        decisions=2000,
        prices=prices,
    )
