"""How much is lost while learning? Simulated customers, where the best action is known.

python benchmarks/regret.py [drift shared turnover sparse late] [--seeds 3] [--no-peers] [--quick] [--json]

Regret is the expected reward of the best allowed action less that of the action taken, summed over a thousand
decisions. Everything follows from the seed. Peers take part where they can do it at all.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import attrs
import numpy as np
import numpy.typing as npt

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import quality_peers

from agentic import Action
from agentic._noise import fold, keyed, uniform
from agentic.arrays import Batch, Feedback, Space
from agentic.catalogue import Catalogue, product
from agentic.policies import FactoredThompson, LinearThompson, RandomFeatures, SquareCB, Uniform

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

START = 1_780_000_000_000_000
MINUTE = 60_000_000


@attrs.frozen(eq=False)
class World:
    """One simulation: what is asked, what each answer earns on average, and when that is told.

    Attributes:
        catalogue: The actions; the last column is doing nothing.
        X: Shape (n, d).
        mean: Shape (n, k): expected rewards.
        allowed: Shape (n, k).
        chance: Shape (n, k), from 0 to 1: what happens to each answer, whoever gives it.
        noise: Standard deviation of a reward; 0 for rewards of 0 and 1.
        every: Rows between which nothing is learned.
        lag: Rows after which a reward is told.
        missing: Share of rewards that are never told.
    """

    catalogue: Catalogue
    X: F64
    mean: F64
    allowed: Bools
    chance: F64
    noise: float
    every: int
    lag: int = 0
    missing: float = 0.0


class Learner(Protocol):
    def decide(self, X: F64, allowed: Bools, at: I64, /) -> I64: ...

    def learn(self, X: F64, action: I64, reward: F64, allowed: Bools, at: I64, /) -> None: ...


class Ours:
    """A policy, asked and taught as an agent does."""

    def __init__(self, policy: Any, world: World, seed: int) -> None:
        d = world.X.shape[1]
        encoded = (*(f"x{i}" for i in range(d - 1)), "bias")
        space = Space(world.catalogue, d, encoded, frozenset(), {})
        self.catalogue = world.catalogue
        self.policy = policy.bind(space) if hasattr(policy, "bind") else policy
        self.seed = int(fold(seed, 2)[0])

    def decide(self, X: F64, allowed: Bools, at: I64, /) -> I64:
        keys = fold(7, at.astype(np.uint64))
        of = Batch(
            catalogue=self.catalogue,
            keys=keys,
            now=at,
            delivery=np.broadcast_to(at[:, None], allowed.shape),
            zone=np.zeros(len(X), dtype=np.int16),
            X=X,
            columns={},
            allowed=allowed,
        )
        weights = np.where(allowed, self.policy.propose(of).weights, 0.0)
        ladder = np.add.accumulate(weights, axis=1)
        drawn = uniform(keyed(self.seed, keys, np.zeros(len(X), dtype=np.uint64))) * ladder[:, -1]
        action: I64 = (ladder <= drawn[:, None]).sum(axis=1)
        return np.minimum(action, allowed.shape[1] - 1)

    def learn(self, X: F64, action: I64, reward: F64, allowed: Bools, at: I64, /) -> None:
        if hasattr(self.policy, "learn"):
            told = Feedback(
                catalogue=self.catalogue,
                X=X,
                action=action,
                reward=reward,
                probability=np.ones(len(X)),
                allowed=allowed,
                keys=fold(7, at.astype(np.uint64)),
                at=at,
            )
            self.policy = self.policy.learn(told)


class Mab:
    """MABWiser's expectations, drawn or bounded by itself, with the best allowed arm taken here."""

    def __init__(self, kind: str, alpha: float, world: World, seed: int) -> None:
        k = len(world.catalogue)
        self.inner = quality_peers.MabWiser(lambda policies: getattr(policies, kind)(alpha=alpha), k, seed)
        self.dice = np.random.default_rng(seed)

    def decide(self, X: F64, allowed: Bools, at: I64, /) -> I64:
        if not self.inner.fitted:
            return np.where(allowed, self.dice.random(allowed.shape), -1.0).argmax(axis=1)
        told = self.inner.bandit.predict_expectations(X)
        rows = told if isinstance(told, list) else [told]
        score = np.array([[row[arm] for arm in range(allowed.shape[1])] for row in rows])
        return np.where(allowed, score, -np.inf).argmax(axis=1)

    def learn(self, X: F64, action: I64, reward: F64, allowed: Bools, at: I64, /) -> None:
        self.inner.learn(X, action, reward)


class Vw:
    """Vowpal Wabbit with one line for each allowed action: its id, or the levels it is made of."""

    def __init__(self, settings: str, world: World, seed: int) -> None:
        vw = __import__("vowpalwabbit")
        self.vw = vw.Workspace(f"--cb_explore_adf -q UA --quiet --random_seed {seed + 1} {settings}")
        self.lines = [
            "|A " + " ".join([f"{d}={v}" for d, v in action.dimensions.items()] or [action.id])
            for action in world.catalogue.actions
        ]
        self.dice = np.random.default_rng(seed)
        self.probability: dict[int, float] = {}

    @staticmethod
    def _shared(x: Sequence[float]) -> str:
        return "shared |U " + " ".join(f"{i}:{value:.5g}" for i, value in enumerate(x))

    def decide(self, X: F64, allowed: Bools, at: I64, /) -> I64:
        out = []
        for x, may, when in zip(X.tolist(), allowed, at.tolist(), strict=True):
            arms = may.nonzero()[0]
            weights = np.array(self.vw.predict([self._shared(x), *(self.lines[a] for a in arms)]))
            one = int(self.dice.choice(len(weights), p=weights / weights.sum()))
            out.append(int(arms[one]))
            self.probability[when] = max(float(weights[one]), 1e-6)
        return np.array(out)

    def learn(self, X: F64, action: I64, reward: F64, allowed: Bools, at: I64, /) -> None:
        rows = zip(X.tolist(), action.tolist(), reward.tolist(), allowed, at.tolist(), strict=True)
        for x, one, earned, may, when in rows:
            lines = [
                f"0:{-earned}:{self.probability[when]} {self.lines[a]}" if a == one else self.lines[a]
                for a in may.nonzero()[0]
            ]
            self.vw.learn([self._shared(x), *lines])


def _rows(dice: np.random.Generator, n: int, d: int) -> F64:
    return np.column_stack([dice.standard_normal((n, d - 1)), np.ones(n)])


def _single(k: int) -> Catalogue:
    return Catalogue.of([Action(f"a{i:03d}") for i in range(k - 1)])


def _world(dice: np.random.Generator, catalogue: Catalogue, X: F64, mean: F64, **settings: Any) -> World:
    allowed = settings.pop("allowed", np.ones(mean.shape, dtype=np.bool_))
    return World(catalogue, X, mean, allowed, dice.random(mean.shape), **settings)


def drift(dice: np.random.Generator, n: int) -> World:
    """Half-way every action's coefficients change for others."""
    X, k = _rows(dice, n, 10), 6
    mean = np.concatenate(
        [half @ dice.standard_normal((10, k)) * 0.3 for half in (X[: n // 2], X[n // 2 :])], axis=0
    )
    return _world(dice, _single(k), X, mean, noise=0.5, every=50)


def shared(dice: np.random.Generator, n: int) -> World:
    """A thousand actions of three dimensions with ten levels each; what a level earns hangs on features."""
    names = {name: [f"{name}{i}" for i in range(10)] for name in ("message", "channel", "hour")}
    catalogue = Catalogue.of(product(names))
    X = _rows(dice, n, 6)
    effect = {
        (name, level): dice.standard_normal(6) * 0.2 for name, levels in names.items() for level in levels
    }
    theta = np.array(
        [
            sum((effect[name, level] for name, level in action.dimensions.items()), np.zeros(6))
            for action in catalogue.actions
        ]
    )
    return _world(dice, catalogue, X, X @ theta.T, noise=0.5, every=100)


def turnover(dice: np.random.Generator, n: int) -> World:
    """Of 24 actions six are there at a time: after every twentieth part one leaves and a new one comes."""
    X, k = _rows(dice, n, 8), 25
    mean = X @ (dice.standard_normal((8, k)) * 0.3)
    allowed = np.zeros((n, k), dtype=np.bool_)
    part = -(-n // 19)
    for i in range(19):
        allowed[i * part : (i + 1) * part, i : i + 6] = True
    return _world(dice, _single(k), X, mean, noise=0.5, every=50, allowed=allowed)


def sparse(dice: np.random.Generator, n: int) -> World:
    """Rewards of 1 in about one decision of a hundred."""
    X, k = _rows(dice, n, 8), 8
    logit = -4.8 + X @ (dice.standard_normal((8, k)) * 0.35)
    return _world(dice, _single(k), X, 1 / (1 + np.exp(-logit)), noise=0.0, every=500)


def late(dice: np.random.Generator, n: int) -> World:
    """Rewards come three days late, at 400 decisions a day, and 30 % never."""
    X, k = _rows(dice, n, 8), 8
    probability = 1 / (1 + np.exp(-(-1.0 + X @ (dice.standard_normal((8, k)) * 0.6))))
    return _world(dice, _single(k), X, probability, noise=0.0, every=400, lag=1200, missing=0.3)


SCENARIOS: dict[str, tuple[Callable[[np.random.Generator, int], World], int]] = {
    "drift": (drift, 6000),
    "shared": (shared, 4000),
    "turnover": (turnover, 6000),
    "sparse": (sparse, 40_000),
    "late": (late, 8000),
}


def regret(learner: Learner, world: World, seed: int) -> float:
    """Of a thousand decisions."""
    n = len(world.X)
    dice = np.random.default_rng([seed, 9])
    told = dice.random(n) >= world.missing
    shock = dice.standard_normal(n)
    at = START + np.arange(n) * MINUTE
    action = np.zeros(n, dtype=np.int64)
    reward = np.zeros(n)
    lost, done = 0.0, 0
    for lo in range(0, n, world.every):
        rows = slice(lo, min(lo + world.every, n))
        action[rows] = learner.decide(world.X[rows], world.allowed[rows], at[rows])
        place = np.arange(rows.start, rows.stop)
        mean = world.mean[place, action[rows]]
        best = np.where(world.allowed[rows], world.mean[rows], -np.inf).max(axis=1)
        lost += float((best - mean).sum())
        if world.noise:
            reward[rows] = mean + world.noise * shock[rows]
        else:
            reward[rows] = world.chance[place, action[rows]] < mean
        due = max(rows.stop - world.lag, 0)
        now = np.arange(done, due)[told[done:due]]
        if len(now):
            learner.learn(world.X[now], action[now], reward[now], world.allowed[now], at[now])
        done = max(due, done)
    return 1000.0 * lost / n


def learners(name: str, *, peers: bool) -> dict[str, Callable[[World, int], Learner]]:
    """Who takes part in a scenario."""

    def ours(policy: Any) -> Callable[[World, int], Learner]:
        return lambda world, seed: Ours(policy, world, seed)

    out = {
        "ours LinearThompson()": ours(LinearThompson()),
        "ours SquareCB()": ours(SquareCB()),
        "uniform": ours(Uniform()),
    }
    if name == "drift":
        day = timedelta(hours=12)
        out["ours LinearThompson(half_life)"] = ours(LinearThompson(half_life=day))
    if name == "shared":
        out["ours FactoredThompson()"] = ours(FactoredThompson())
    else:
        out["ours RandomFeatures()"] = ours(RandomFeatures(width=64))
    if not peers:
        return out
    found, _ = quality_peers.learners()
    if any(each.startswith("mabwiser") for each in found):
        for kind, alpha in (("LinUCB", 0.2), ("LinUCB", 1.0), ("LinTS", 0.2)):
            if name != "shared" or kind == "LinUCB":
                out[f"mabwiser {kind} alpha={alpha}"] = lambda world, seed, kind=kind, alpha=alpha: Mab(
                    kind, alpha, world, seed
                )
    if any(each.startswith("vw") for each in found):
        for settings in ("--squarecb", "--squarecb -l 3", "--synthcover"):
            if name != "shared" or settings == "--squarecb":
                out[f"vw {settings}"] = lambda world, seed, settings=settings: Vw(settings, world, seed)
    return out


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("scenarios", nargs="*", help=", ".join(SCENARIOS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--no-peers", action="store_true")
    parser.add_argument("--quick", action="store_true", help="a twentieth of the decisions")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.scenarios if name not in SCENARIOS]:
        parser.error(f"there is no scenario {', '.join(unknown)}: there are {', '.join(SCENARIOS)}")
    told: dict[str, Any] = {}
    for name in options.scenarios or SCENARIOS:
        make, n = SCENARIOS[name]
        if options.quick:
            n //= 20
        rows: dict[str, tuple[float, float, float]] = {}
        for learner, begin in learners(name, peers=not options.no_peers).items():
            began = time.perf_counter()
            found = []
            for seed in range(options.seeds):
                world = make(np.random.default_rng([seed, 5]), n)
                found.append(regret(begin(world, seed), world, seed))
            error = float(np.std(found, ddof=1) / np.sqrt(len(found))) if len(found) > 1 else float("nan")
            us = (time.perf_counter() - began) * 1e6 / (n * options.seeds)
            rows[learner] = float(np.mean(found)), error, us
        told[name] = {learner: {"regret": m, "error": e, "us": us} for learner, (m, e, us) in rows.items()}
        if options.json:
            continue
        peers = [
            mean for learner, (mean, _, _) in rows.items() if not learner.startswith(("ours", "uniform"))
        ]
        print(f"\n{name}: {(make.__doc__ or '').strip()} {n:,} decisions, {options.seeds} seeds")
        print(f"  {'':36}{'regret / 1000':>15}{'':9}{'best peer / this':>18}{'us/row':>9}")
        for learner, (mean, error, us) in sorted(rows.items(), key=lambda item: item[1][0]):
            ratio = f"{min(peers) / mean:18.2f}" if peers and mean > 0 else f"{'-':>18}"
            print(f"  {learner:36}{mean:15.2f} ±{error:7.2f}{ratio}{us:9.0f}", flush=True)
    if options.json:
        print(json.dumps(told))
    return 0


if __name__ == "__main__":
    sys.exit(main())
