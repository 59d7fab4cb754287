"""What do others need for the same rows? Measured where they are installed, in the same process."""

from __future__ import annotations

import gc
import importlib
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from benchmarks.measure import Options, seconds

from agentic.arrays import Feedback


def absent(name: str) -> str:
    return f"{name} is not installed, so there is no ratio to it (pip install {name})"


def _module(name: str) -> Any:  # a package without types, or None
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _mabwiser(k: int) -> Any:  # a package without types
    mab = _module("mabwiser.mab")
    if mab is None:
        return None
    return mab.MAB(arms=list(range(k)), learning_policy=mab.LearningPolicy.LinTS(alpha=0.3), n_jobs=1)


def mabwiser_thompson(
    seen: Feedback, X: npt.NDArray[np.float64], k: int, options: Options
) -> list[float] | None:
    """Seconds in which mabwiser's LinTS predicts all rows, or None."""
    bandit = _mabwiser(k)
    if bandit is None:
        return None
    bandit.fit(seen.action, seen.reward, seen.X)
    return [seconds(lambda: bandit.predict(X)) for _ in range(options.repeat)]


def mabwiser_learning(seen: Feedback, k: int, options: Options) -> list[float] | None:
    """Seconds in which mabwiser's LinTS learns all rows on top of what it knows, or None."""
    bandit = _mabwiser(k)
    if bandit is None:
        return None
    bandit.fit(seen.action, seen.reward, seen.X)
    return [
        seconds(lambda: bandit.partial_fit(seen.action, seen.reward, seen.X)) for _ in range(options.repeat)
    ]


def vowpal_single(seen: Feedback, k: int, calls: int) -> list[float] | None:
    """Seconds of single predictions of VW's default SquareCB, from numbers to probabilities, or None."""
    vw = _module("vowpalwabbit")
    if vw is None:
        return None
    workspace = vw.Workspace("--cb_explore_adf --squarecb -q UA --quiet")
    choices = [f"|A a{i}" for i in range(k)]

    def example(x: Sequence[float], learn: int = -1, reward: float = 0.0) -> list[str]:
        shared = "shared |U " + " ".join(f"{i}:{value:.4f}" for i, value in enumerate(x))
        if learn < 0:
            return [shared, *choices]
        labelled = f"0:{-reward}:{1 / k} {choices[learn]}"
        return [shared, *choices[:learn], labelled, *choices[learn + 1 :]]

    rows = seen.X.tolist()
    for x, action, reward in zip(rows[:500], seen.action.tolist(), seen.reward.tolist(), strict=False):
        workspace.learn(example(x, action, reward))
    times = []
    gc.collect()
    for call in range(calls):
        x = rows[call % len(rows)]
        began = time.perf_counter()
        workspace.predict(example(x))
        times.append(time.perf_counter() - began)
    workspace.finish()
    return times
