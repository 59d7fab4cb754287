"""Which policies are worth their price: the frugality frontier of one campaign."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

import attrs

from agentic.economics._claims import Claim, Flip, claims_of, flips_of
from agentic.economics._ladder import Rung
from agentic.economics._prices import Prices
from agentic.economics._rows import Kind, Row, Tried, row_of
from agentic.economics._steps import Step, efficient, steps_up
from agentic.errors import ConfigurationError
from agentic.protocols import Policy

NOTHING: Final = "nothing"
ORACLE: Final = "oracle"
_DEFAULT: Final = Prices()

Progress = Callable[[str, int, int], None]


class Campaign(Protocol):
    """Where policies are tried: ``agentic.simulation.Trials``, or a simulation of your own.

    The same seed must be the same customers with the same luck, whoever decides.
    """

    def run(self, policy: Policy, seed: int, /) -> Tried:
        """Try a policy."""

    def nothing(self, seed: int, /) -> Tried:
        """Do nothing but what must be done: what benefit is counted from."""

    def oracle(self, seed: int, /) -> Tried:
        """Know everything, under the same rules: the benefit that is attainable."""


@attrs.frozen
class Frontier:
    """What policies bring and cost in one campaign. ``str()`` of it is the report, for people.

    Attributes:
        rows: One for each rung, in the order of the ladder.
        nothing: Doing nothing, for comparison.
        oracle: Knowing everything, for comparison.
        seeds: Of the simulations.
        decisions: Of one policy, over all seeds.
        prices: By which costs were worked out.
    """

    rows: tuple[Row, ...]
    nothing: Row
    oracle: Row
    seeds: tuple[int, ...]
    decisions: int
    prices: Prices

    def __str__(self) -> str:
        from agentic.economics._report import report

        return report(self)

    def row(self, name: str, /) -> Row:
        """The row of this rung; ``nothing`` and ``oracle`` too.

        Raises:
            ConfigurationError: There is none.
        """
        for row in (*self.rows, self.nothing, self.oracle):
            if row.name == name:
                return row
        names = [row.name for row in self.rows]
        raise ConfigurationError(f"no rung is called {name!r}: there are {names!r}", value=name)

    def efficient(self, kind: Kind = "total", /) -> tuple[Row, ...]:
        """Rows that no other beats: none costs less and brings as much, or as much and brings more.

        They come in order of cost.
        """
        return efficient(self.rows, kind)

    def steps(self, kind: Kind = "total", /) -> tuple[Step, ...]:
        """What each step up that frontier costs and brings, the first one from doing nothing."""
        return steps_up(self.nothing, self.efficient(kind), kind)

    def claims(self) -> tuple[Claim, ...]:
        """Whether 80 and 90 % of the benefit are to be had at half of the cost or less."""
        return claims_of(self.rows, self.nothing, self.oracle)

    def flips(self) -> tuple[Flip, ...]:
        """At which prices of a core hour those answers change, all costs counted."""
        return flips_of(self.rows, self.oracle, self.prices)

    def at(self, prices: Prices, /) -> Frontier:
        """The same trials at other prices."""
        rows = tuple(attrs.evolve(row, prices=prices) for row in self.rows)
        nothing, oracle = (attrs.evolve(row, prices=prices) for row in (self.nothing, self.oracle))
        return attrs.evolve(self, rows=rows, nothing=nothing, oracle=oracle, prices=prices)


def frontier(
    ladder: Sequence[Rung],
    campaign: Campaign,
    /,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    prices: Prices = _DEFAULT,
    progress: Progress | None = None,
) -> Frontier:
    """Try every rung of a ladder in a campaign, and work out what benefit costs.

    What is benefit, share, message cost, work and memory is the same whenever the arguments are. Times and
    what is made of them are measured, so they differ a little from run to run.

    Args:
        ladder: The policies, from ``agentic.economics.ladder`` or your own.
        campaign: Where they are tried.
        seeds: Of the simulations: errors are over these, so take two or more.
        prices: Of computing and messages.
        progress: Told what is being done, how many runs are done, and of how many.

    Raises:
        ConfigurationError: The ladder is empty, a name appears twice, seeds are no distinct integers, the
            campaign is none, or the progress cannot be told.
    """
    rungs, seeds = _checked_ladder(ladder), _checked_seeds(seeds)
    _check_campaign(campaign)
    if progress is not None and not callable(progress):
        raise ConfigurationError(
            f"progress must be a function of what, done and total, or None, got {progress!r:.200}",
            value=progress,
        )
    told = progress or (lambda what, done, total: None)
    total = len(seeds) * (len(rungs) + 2)
    tried: dict[str, list[Tried]] = {name: [] for name in (NOTHING, ORACLE, *(rung.name for rung in rungs))}
    done = 0
    for seed in seeds:  # rung after rung within a seed, so that a busy minute of the machine falls on all
        for name, results in tried.items():
            told(name, done, total)
            results.append(_run(campaign, rungs, name, seed))
            done += 1
    told("done", done, total)
    work = {rung.name: rung.work for rung in rungs}
    rows = {
        name: row_of(name, work.get(name), results, tried[NOTHING], tried[ORACLE], prices)
        for name, results in tried.items()
    }
    return Frontier(
        rows=tuple(rows[rung.name] for rung in rungs),
        nothing=rows[NOTHING],
        oracle=rows[ORACLE],
        seeds=seeds,
        decisions=sum(one.decisions for one in tried[NOTHING]),
        prices=prices,
    )


def _run(campaign: Campaign, rungs: Sequence[Rung], name: str, seed: int) -> Tried:
    if name == NOTHING:
        return campaign.nothing(seed)
    if name == ORACLE:
        return campaign.oracle(seed)
    return campaign.run(next(rung.policy for rung in rungs if rung.name == name), seed)


def _checked_ladder(ladder: Any) -> tuple[Rung, ...]:  # rungs, or a mistake
    listed = tuple(ladder) if isinstance(ladder, Sequence) and not isinstance(ladder, str) else ()
    if not listed or not all(isinstance(rung, Rung) for rung in listed):
        raise ConfigurationError(
            f"a ladder is a list of rungs, at least one, got {ladder!r:.200}: write [Rung('mine', policy)]",
            value=ladder,
        )
    names = [rung.name for rung in listed]
    for name in names:
        if name in {NOTHING, ORACLE}:
            raise ConfigurationError(
                f"the name {name!r} is taken by the frontier itself: give the rung another", value=name
            )
        if names.count(name) > 1:
            raise ConfigurationError(
                f"the rung {name!r} appears twice: give one of them another name", value=name
            )
    return listed


def _check_campaign(campaign: Any) -> None:  # a campaign, or a mistake
    offers = (getattr(campaign, name, None) for name in ("run", NOTHING, ORACLE))
    if isinstance(campaign, type) or not all(map(callable, offers)):
        raise ConfigurationError(
            f"a campaign must offer run, nothing and oracle, got {campaign!r:.200}: use Trials()",
            value=campaign,
        )


def check_frontier(found: Any) -> None:  # a frontier, or a mistake
    """Check that this is a frontier.

    Raises:
        ConfigurationError: It is something else.
    """
    if not isinstance(found, Frontier):
        raise ConfigurationError(
            f"this is no frontier: {found!r:.200}; pass what frontier(...) returned", value=found
        )


def _checked_seeds(seeds: Any) -> tuple[int, ...]:  # integers, or a mistake
    listed = tuple(seeds) if isinstance(seeds, Sequence) and not isinstance(seeds, str) else ()
    good = all(isinstance(seed, int) and not isinstance(seed, bool) for seed in listed)
    if not listed or not good or len(set(listed)) < len(listed):
        raise ConfigurationError(
            f"seeds must be distinct integers, one or more, got {seeds!r:.200}: write range(3)", value=seeds
        )
    return listed
