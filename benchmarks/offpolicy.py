"""How fast are off-policy estimates? Ours beside those of the Open Bandit Pipeline, in the same run.

Ours give value, standard error, interval and every diagnostic from checked rows; theirs the value alone. A
tally gives the same from sums, fed in chunks.
"""

from __future__ import annotations

import functools
import importlib.abc
import importlib.machinery
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from benchmarks import peers
from benchmarks.measure import Figure, Options, Report, by_turns, rate, tell, versus

from agentic.evaluation import (
    DM,
    DR,
    IPW,
    SNDR,
    SNIPW,
    DRos,
    Estimator,
    Logged,
    ModelFree,
    SubgaussianDR,
    SubgaussianIPW,
    SwitchDR,
    Tally,
    estimate,
)

F64 = npt.NDArray[np.float64]
K: Final = 10
CHUNK: Final = 65_536
ESTIMATORS: Final[Mapping[str, tuple[Estimator, str, Mapping[str, float]]]] = {
    "IPW": (IPW(), "InverseProbabilityWeighting", {}),
    "SNIPW": (SNIPW(), "SelfNormalizedInverseProbabilityWeighting", {}),
    "DM": (DM(), "DirectMethod", {}),
    "DR": (DR(), "DoublyRobust", {}),
    "SNDR": (SNDR(), "SelfNormalizedDoublyRobust", {}),
    "SwitchDR": (SwitchDR(10.0), "SwitchDoublyRobust", {"lambda_": 10.0}),
    "DRos": (DRos(100.0), "DoublyRobustWithShrinkage", {"lambda_": 100.0}),
    "SubgaussianIPW": (SubgaussianIPW(0.1), "SubGaussianInverseProbabilityWeighting", {"lambda_": 0.1}),
    "SubgaussianDR": (SubgaussianDR(0.1), "SubGaussianDoublyRobust", {"lambda_": 0.1}),
}
_UNUSED: Final = frozenset(("torch", "matplotlib", "seaborn", "pyieoe"))


class _Anything(type):
    """Has every attribute there is asked for."""

    def __getattr__(cls, name: str) -> Any:  # a stand-in
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


class _Empty(types.ModuleType):
    __path__: list[str] = []  # noqa: RUF012 - a package without files

    def __getattr__(self, name: str) -> Any:  # a stand-in
        if name.startswith("__"):
            raise AttributeError(name)
        return _Anything(name, (), {})


class _StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """What obp imports for plots and neural networks, and its estimators do not use, where it is absent."""

    def find_spec(self, name: str, *_: object) -> importlib.machinery.ModuleSpec | None:
        there = name.partition(".")[0] in _UNUSED
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if there else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        return _Empty(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """There is nothing in it."""


def obp() -> Any:  # a package without types, or None
    """Their estimators, where they are installed."""
    sys.meta_path.append(_StandIns())  # last, so that what is installed comes first
    try:
        return peers.module("obp.ope")
    finally:
        sys.meta_path.pop()


def rows(n: int) -> tuple[Logged, F64, F64]:
    """A log of n rows with ten actions, a target and predictions."""
    dice = np.random.default_rng(1)
    likely = dice.dirichlet(np.ones(K), n) * 0.9 + 0.1 / K
    action = (likely.cumsum(axis=1) > dice.random((n, 1))).argmax(axis=1)
    target = dice.dirichlet(np.ones(K), n)
    reward = (dice.random(n) < 0.1).astype(float)
    return Logged(action, reward, probability=likely[np.arange(n), action]), target, dice.random((n, K))


def ours(estimator: Estimator, logged: Logged, target: F64, q: F64 | None) -> Callable[[], object]:
    def act() -> object:
        fresh = Logged(logged.action, logged.reward, probability=logged.probability)
        return estimate(fresh, target, estimator=estimator, q=q)

    return act


def tallied(estimator: Estimator, logged: Logged, target: F64, q: F64 | None) -> object:
    tally = Tally(estimator)
    for start in range(0, logged.n, CHUNK):
        at = slice(start, start + CHUNK)
        part = Logged(logged.action[at], logged.reward[at], probability=logged.probability[at])
        tally = tally.observe(part, target[at], q=None if q is None else q[at])
    return tally.estimate()


def theirs(
    kind: Any, settings: Mapping[str, float], logged: Logged, target: F64, q: F64
) -> Callable[[], object]:
    asked = kind(**settings)
    given: dict[str, Any] = {
        "reward": np.array(logged.reward),
        "action": np.array(logged.action),
        "position": np.zeros(logged.n, dtype=int),
        "pscore": np.array(logged.probability),
        "action_dist": target[:, :, None],
        "estimated_rewards_by_reg_model": q[:, :, None],
    }
    return functools.partial(asked.estimate_policy_value, **given)


def run(options: Options) -> Report:
    n = options.size(1_000_000, 2_000)
    logged, target, q = rows(n)
    other, figures, notes = obp(), list[Figure](), list[str]()
    for label, (estimator, name, settings) in ESTIMATORS.items():
        needed = None if isinstance(estimator, ModelFree) else q
        acts = {f"{label}, estimate()": ours(estimator, logged, target, needed)}
        if other is not None:
            acts[f"{label}, obp"] = theirs(getattr(other, name), settings, logged, target, q)
        acts[f"{label}, tally of chunks"] = functools.partial(tallied, estimator, logged, target, needed)
        found = {what: rate(what, n, runs, "rows/s") for what, runs in by_turns(acts, options.repeat).items()}
        if other is not None:
            peer = found[f"{label}, obp"]
            found = {what: one if one is peer else versus(one, peer) for what, one in found.items()}
            value = acts[f"{label}, obp"]()
            mine: Any = acts[f"{label}, estimate()"]()
            if abs(mine.value - float(str(value))) > 1e-10:
                notes.append(f"{label}: {mine.value} is not their {value}")
        figures += found.values()
    notes.append(
        "ours: value, error, interval, diagnostics, checks of every input; obp: the value, and its checks"
    )
    if other is None:
        notes.append(peers.absent("obp"))
    return Report(f"{n:,} rows, {K} actions, one slot, one thread", figures, notes)


if __name__ == "__main__":
    tell(run)
