"""What do others need for the same rows? Whatever is installed takes its turn in the same run.

Every function here returns what a peer would do, ready to be timed, by the label it has in the tables; who is
not installed is left out. Settings are defaults but for the scale of exploration, which costs nothing.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from agentic.arrays import Feedback

F64 = npt.NDArray[np.float64]
Act = Callable[[], object]

NAMES: Final = ("vowpalwabbit", "mabwiser", "contextualbandits", "bayesianbandits", "river", "obp")
_EXPLORATION: Final = 0.3


def absent(name: str) -> str:
    """A line for the notes: who is missing, and why."""
    try:
        found = version(name)
    except PackageNotFoundError:
        return f"{name} is not installed, so there is no ratio to it (pip install {name})"
    return f"{name} {found} is installed and cannot be imported here, so there is no ratio to it"


def module(name: str) -> Any:  # a package without types, or None
    """The module, or None where it is not there or does not import on this Python."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(name)
    except Exception:  # noqa: BLE001 - a peer that breaks while it is imported is no peer here
        return None


def missing(*modules: str) -> list[str]:
    """Notes on these, where they cannot be had."""
    return [absent(name.partition(".")[0]) for name in modules if module(name) is None]


def _contextualbandits(k: int) -> Any:  # a package without types, or None
    online = module("contextualbandits.online")
    if online is None:
        return None
    # `sample_from="coef"`, its default, plays uniformly; "ci" draws every row from its own posterior.
    return online.LinTS(
        nchoices=k,
        v_sq=_EXPLORATION**2,
        sample_from="ci",
        method="sm",
        fit_intercept=False,
        random_state=1,
        njobs=1,
    )


def _mabwiser(k: int, rule: str) -> Any:  # a package without types, or None
    mab = module("mabwiser.mab")
    if mab is None:
        return None
    policy = mab.LearningPolicy
    chosen = policy.LinTS(alpha=_EXPLORATION) if rule == "LinTS" else policy.LinGreedy(epsilon=0.1)
    return mab.MAB(arms=list(range(k)), learning_policy=chosen, n_jobs=1)


THOMPSON: Final = "contextualbandits LinTS(ci), a draw a row"
GREEDY: Final = "mabwiser LinGreedy"


def deciders(seen: Feedback, X: F64, k: int) -> dict[str, Act]:
    """Who decides for all rows of ``X`` in one call, having learned from ``seen``."""
    found: dict[str, Act] = {}
    bandit = _contextualbandits(k)
    if bandit is not None:
        bandit.fit(seen.X, seen.action, seen.reward)
        found[THOMPSON] = lambda: bandit.predict(X)
    for rule in ("LinTS", "LinGreedy"):
        mab = _mabwiser(k, rule)
        if mab is not None:
            mab.fit(seen.action, seen.reward, seen.X)
            label = GREEDY if rule == "LinGreedy" else "mabwiser LinTS, a draw a row"
            found[label] = lambda mab=mab: mab.predict(X)  # type: ignore[misc]
    agent = _bayesianbandits(k)
    if agent is not None:
        for action in range(k):
            mine = seen.action == action
            agent.select_for_update(action).update(seen.X[mine], seen.reward[mine])
        found["bayesianbandits, one draw for all rows"] = lambda: agent.pull(X)
    return found


def _bayesianbandits(k: int) -> Any:  # a package without types, or None
    bb = module("bayesianbandits")
    if bb is None:
        return None
    arms = [bb.Arm(i, learner=bb.NormalRegressor(1.0, 1.0)) for i in range(k)]
    return bb.ContextualAgent(arms, bb.ThompsonSampling(), random_seed=1)


def learners(seen: Feedback, k: int) -> dict[str, Act]:
    """Who learns all rows in one call, on top of what it knows."""
    found: dict[str, Act] = {}
    online = module("contextualbandits.online")
    if online is not None:
        theirs = online.LinTS(nchoices=k, fit_intercept=False, random_state=1, njobs=1)
        theirs.fit(seen.X, seen.action, seen.reward)
        found["contextualbandits LinTS.partial_fit"] = lambda: theirs.partial_fit(
            seen.X, seen.action, seen.reward
        )
    mab = _mabwiser(k, "LinTS")
    if mab is not None:
        mab.fit(seen.action, seen.reward, seen.X)
        found["mabwiser LinTS.partial_fit"] = lambda: mab.partial_fit(seen.action, seen.reward, seen.X)
    return found


def single_learners(seen: Feedback, k: int) -> dict[str, Callable[[int], object]]:
    """Who learns one reward, given its row of ``seen``: an exact linear posterior each."""
    found: dict[str, Callable[[int], object]] = {}
    bandit = module("river.bandit")
    if bandit is not None:
        river = bandit.LinUCBDisjoint(seed=1)
        contexts = [dict(enumerate(x)) for x in seen.X.tolist()]
        arms, rewards = seen.action.tolist(), seen.reward.tolist()
        for row in range(min(len(seen), 50 * k)):
            river.pull(list(range(k)), context=contexts[row])
            river.update(arms[row], contexts[row], rewards[row])
        found["river LinUCBDisjoint.update"] = lambda row: river.update(
            arms[row], contexts[row], rewards[row]
        )
    policy = module("obp.policy")
    if policy is not None:
        obp = policy.LinUCB(dim=seen.X.shape[1], n_actions=k, epsilon=_EXPLORATION, random_state=1)
        obp.select_action(seen.X[:1])
        found["obp LinUCB.update_params"] = lambda row: obp.update_params(
            action=int(seen.action[row]), reward=float(seen.reward[row]), context=seen.X[row : row + 1]
        )
    return found


class Vowpal:
    """VW's default SquareCB with a text for every example, as its Python users write it."""

    LABEL: Final = "VW squarecb, bare predict from text"

    def __init__(self, seen: Feedback, k: int) -> None:
        workspace = module("vowpalwabbit").Workspace("--cb_explore_adf --squarecb -q UA --quiet")
        self.workspace = workspace
        self.choices = [f"|A a{i}" for i in range(k)]
        self.rows = seen.X.tolist()
        taught = zip(self.rows[:1000], seen.action.tolist(), seen.reward.tolist(), strict=False)
        for x, action, reward in taught:
            told = f"0:{-reward}:{1 / k} {self.choices[action]}"
            workspace.learn([self._shared(x), *self.choices[:action], told, *self.choices[action + 1 :]])

    @staticmethod
    def _shared(x: Sequence[float]) -> str:
        return "shared |U " + " ".join([f"{i}:{value:.4f}" for i, value in enumerate(x)])

    def predict(self, row: int) -> list[float]:
        """From numbers to text to the probabilities of all actions; nothing is drawn."""
        pmf: list[float] = self.workspace.predict([self._shared(self.rows[row]), *self.choices])
        return pmf


def vowpal(seen: Feedback, k: int) -> Vowpal | None:
    return None if module("vowpalwabbit") is None else Vowpal(seen, k)
