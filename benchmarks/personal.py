"""What does an agent for every customer earn, and what does it take? In populations that are known.

Each world has subjects whose rewards are the population's and an effect of their own for everything, for
being contacted, and for each level of each dimension, drawn with known standard deviations. The same agent
lives in it with ``LinearThompson`` and with ``Personal``, by the calls of production. Worlds and agents are
repeatable: run ``i`` has seed ``i``.
"""

from __future__ import annotations

import functools
import itertools
import time
from datetime import timedelta

import attrs
import numpy as np
from benchmarks import pipeline
from benchmarks.measure import Figure, Options, Report, figure, rate, seconds, tell

from agentic import Action, Agent
from agentic.arrays import Batch, Layout
from agentic.catalogue import product
from agentic.features import Number
from agentic.policies import LinearThompson, Personal
from agentic.policies._between import Between
from agentic.policies._effects import IDLE, Effects
from agentic.protocols import Policy
from agentic.rewards import Goals

HOUR = timedelta(hours=1)
NOISE = 0.5  # standard deviation of a reward about its mean
AT_ONCE = 8192
CROSSED = product({"message": ["a", "b", "c"], "channel": ["x", "y", "z"]})
FLAT = [Action(f"offer_{i}") for i in range(9)]
WORLDS: dict[str, tuple[list[Action], tuple[float, ...]]] = {
    "tastes": (FLAT, (0.1, 0.1, 0.25)),
    "crossed tastes": (CROSSED, (0.1, 0.1, 0.2, 0.2)),
    "levels only": (FLAT, (0.25, 0.0, 0.0)),
    "nobody differs": (FLAT, (0.0, 0.0, 0.0)),
}


@attrs.frozen
class Lived:
    """What came of one life, over its later half.

    Attributes:
        earned: Mean reward per decision.
        attainable: The same, had each decision been the best one.
        held: Share of decisions whose true mean lay in the logged 90 % band about the logged score.
        policy: As it is in the end.
    """

    earned: float
    attainable: float
    held: float
    policy: Policy


def live(world: str, policy: Policy, seed: int, subjects: int, rounds: int) -> Lived:
    """Decide for everybody each day, hear of every reward, learn once a day."""
    actions, differences = WORLDS[world]
    dice = np.random.default_rng(seed)
    agent = Agent(
        world,
        actions,
        features=[Number("x", low=0, high=1), Number("y", low=0, high=1)],
        policy=policy,
        goals=Goals({"value": 1.0}, window=HOUR),
        seed=seed,
    )
    catalogue = agent.plan.catalogue
    effects = Effects.of(catalogue, None)
    design = effects.design(np.arange(len(catalogue)))
    design[IDLE] = 1.0
    spread = np.array(differences)[effects.components()]
    own = (dice.normal(size=(subjects, len(spread))) * spread) @ design
    theta = dice.normal(0, 0.2, (3, len(catalogue)))
    names = pipeline.names(subjects)
    earned, attainable, inside = [], [], []
    for day in range(rounds):
        now = pipeline.NOON + day * pipeline.DAY
        X = np.concatenate([dice.random((subjects, 2)), np.ones((subjects, 1))], axis=1)
        batch = agent.decide_many(names, {"x": X[:, 0], "y": X[:, 1]}, now=now)
        mean = X @ theta + own
        chosen = mean[np.arange(subjects), batch.action[:, 0]]
        earned.append(chosen.mean())
        attainable.append(mean.max(axis=1).mean())
        off = np.abs(batch.columns["score"][:, 0] - chosen)
        inside.append((off < 1.6449 * batch.columns["spread"][:, 0]).mean())
        agent.record_many(batch.ids, "value", chosen + dice.normal(0, NOISE, subjects), at=now)
        agent.learn(now=now + HOUR)
    later = slice(rounds // 2, None)
    found = [float(np.mean(values[later])) for values in (earned, attainable, inside)]
    return Lived(*found, agent.policy)


def earnings(options: Options) -> tuple[list[Figure], list[str]]:
    """Rewards with and without effects of one's own, in the same worlds."""
    subjects, rounds = options.size(400, 20), options.size(60, 4)
    figures, notes = [], []
    for world, (_, differences) in WORLDS.items():
        pooled = [live(world, LinearThompson(), seed, subjects, rounds) for seed in range(options.repeat)]
        own = [live(world, Personal(), seed, subjects, rounds) for seed in range(options.repeat)]
        told = f"{world}: LinearThompson"
        other = figure(told, [one.earned for one in pooled], "reward")
        ours = figure(
            f"{world}: Personal", [one.earned for one in own], "reward", aim=other.median, against=told
        )
        gain = np.array([mine.earned - theirs.earned for mine, theirs in zip(own, pooled, strict=True)])
        best = float(np.mean([one.attainable for one in own]))
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else float("nan")
        figures += [
            other,
            ours,
            figure(f"{world}: attainable", [one.attainable for one in own], "reward"),
            figure(f"{world}: 90 % bands that hold", [100 * one.held for one in own], "%"),
        ]
        kinds = []
        for number, true in enumerate(differences):
            found = [between(one.policy).variance[number] ** 0.5 for one in own]
            kinds.append(f"{between(own[0].policy).kinds[number]} {np.median(found):.3f} ({true:g})")
        notes.append(
            f"{world}: gain {gain.mean():+.4f}, standard error {error:.4f} over worlds, attainable"
            f" {best - np.mean([one.earned for one in pooled]):+.4f}; spread found (true): {', '.join(kinds)}"
        )
    return figures, notes


def between(policy: Policy) -> Between:
    if not isinstance(policy, Personal) or policy.between is None:
        raise TypeError(f"expected a Personal that has learned, got {policy!r}")
    return policy.between


def grown(k: int, options: Options) -> Personal:
    """A policy that knows that subjects differ."""
    n = options.size(20_000, 500)
    dice = np.random.default_rng(2)
    seen = pipeline.feedback(n, k)
    keys = dice.integers(0, n // 20, n)
    tastes = dice.normal(0, 0.3, (n // 20, k))
    told = attrs.evolve(seen, keys=keys.astype(np.uint64), reward=seen.reward + tastes[keys, seen.action])
    policy = Personal().bind(pipeline.space(k))
    for lo in range(0, n, max(n // 10, 1)):  # strangers each time, but for the population
        policy = policy.learn(told.take(slice(lo, lo + max(n // 10, 1))))
    return policy


def bare(k: int, options: Options) -> list[Figure]:
    """Weigh and learn, without an agent: what the personal part adds to the pooled policy."""
    n = options.size(200_000, 500)
    policy = grown(k, options)
    pooled = policy.population
    layout = Layout.compose("benchmark", {"policies": policy.fields})
    rows = layout.part(layout.new(n), "policies")
    known = attrs.evolve(pipeline.feedback(n, k, 3), subject=np.arange(n), rows=rows.copy())
    for _ in range(3):
        policy.remember(known, rows)
    batch = attrs.evolve(pipeline.batch(n, k), rows=rows)
    parts = [batch.take(slice(lo, lo + AT_ONCE)) for lo in range(0, n, AT_ONCE)]
    one, first = batch.take(slice(0, 1)), known.take(slice(0, 1))
    first = attrs.evolve(first, rows=rows[:1].copy())

    def us(action: functools.partial[object], calls: int, count: int = 1) -> list[float]:
        return [min_of(action, calls) / count * 1e6 for _ in range(options.repeat)]

    figures = []
    few, call = options.size(200, 3), functools.partial
    for what, theirs, ours, calls, count in (
        ("propose, a row of many", every(pooled, parts), every(policy, parts), 1, n),
        ("propose, one row", call(pooled.propose, one), call(policy.propose, one), few, 1),
        ("learn, a row of many", call(pooled.learn, known), call(policy.learn, known), 1, n),
        ("learn, one row", call(pooled.learn, first), call(policy.learn, first), few, 1),
    ):
        told = f"k={k}: LinearThompson, {what}"
        other, own = figure(told, us(theirs, calls, count), "us"), us(ours, calls, count)
        mine = f"k={k}: Personal, {what}"
        figures += [other, figure(mine, own, "us", aim=other.median, against=told, less_is_better=True)]
    many, single = call(policy.remember, known, rows.copy()), call(policy.remember, first, rows[:1].copy())
    return [
        *figures,
        figure(f"k={k}: remember, a row of many", us(many, 1, n), "us"),
        figure(f"k={k}: remember, one row", us(single, few), "us"),
    ]


def every(policy: Policy, parts: list[Batch]) -> functools.partial[object]:
    def ask() -> None:
        for part in parts:
            policy.propose(part)

    return functools.partial(ask)


def min_of(action: functools.partial[object], calls: int) -> float:
    """Seconds of the fastest of some calls."""
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        action()
        times.append(time.perf_counter() - began)
    return min(times)


def whole(options: Options) -> list[Figure]:
    """The full pipeline, k = 10, with the one policy and with the other; and what a record holds."""
    n = options.size(100_000, 300)
    policy = grown(10, options)
    rates: list[list[float]] = []
    sizes = []
    for one in (policy.population, policy):
        agent = pipeline.agent(10, policy=one)
        subjects, context = pipeline.names(n), pipeline.context(n)
        pipeline.introduce(agent, subjects)
        turns = itertools.count(1)
        agent.decide_many(subjects, context, now=pipeline.NOON)

        def next_time(agent: Agent = agent, turns: itertools.count[int] = turns) -> None:
            now = pipeline.NOON + next(turns) * pipeline.APART
            agent.decide_many(subjects, context, now=now)  # noqa: B023 - the same for both

        rates.append([seconds(next_time) for _ in range(options.repeat)])
        last = agent.decide_many(subjects[:1000], None, now=pipeline.NOON + 999 * pipeline.DAY)
        logged = sum(column.nbytes for column in last.columns.values()) / len(last)
        sizes.append((agent.plan.layout.dtype.itemsize, logged))
    told = "full pipeline, k=10: LinearThompson"
    other = rate(told, n, rates[0], "decisions/s")
    (pooled_record, pooled_log), (record, log) = sizes
    return [
        other,
        rate("full pipeline, k=10: Personal", n, rates[1], "decisions/s", aim=other.median, against=told),
        figure("a subject's record, in all", [float(record)], "bytes"),
        figure("a subject's record, of it Personal", [float(record - pooled_record)], "bytes"),
        figure("a logged decision, in all", [log], "bytes"),
        figure("a logged decision, of it Personal", [log - pooled_log], "bytes"),
    ]


def run(options: Options) -> Report:
    figures, notes = earnings(options)
    for k in (10, 50):
        figures += bare(k, options)
    return Report("an agent for every customer", [*figures, *whole(options)], notes)


if __name__ == "__main__":
    tell(run)
