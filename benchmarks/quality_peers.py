"""The peers of ``quality.py``, each only where it can be imported.

Each family comes at its defaults and at the settings that a search on other shuffles of these sets found
best, so what is compared with them is compared with their best. All get the same standardised features.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
Make = Callable[[int, int, int], Any]


class MabWiser:
    """Cannot predict before it was fitted: the first rows are played uniformly."""

    def __init__(self, learner: Any, k: int, seed: int) -> None:
        module = importlib.import_module("mabwiser.mab")
        self.bandit = module.MAB(list(range(k)), learner(module.LearningPolicy), seed=seed)
        self.k, self.dice, self.fitted = k, np.random.default_rng(seed), False

    def decide(self, X: F64, /) -> I64:
        if not self.fitted:
            return self.dice.integers(0, self.k, len(X))
        return np.atleast_1d(np.array(self.bandit.predict(X), dtype=np.int64))

    def learn(self, X: F64, action: I64, reward: F64, /) -> None:
        (self.bandit.partial_fit if self.fitted else self.bandit.fit)(action, reward, X)
        self.fitted = True


class ContextualBandits:
    """Plays uniformly before the first fit, as above."""

    def __init__(self, name: str, settings: dict[str, Any], k: int, seed: int) -> None:
        kind = getattr(importlib.import_module("contextualbandits.online"), name)
        self.bandit = kind(nchoices=k, fit_intercept=False, random_state=seed + 1, **settings)
        self.k, self.dice, self.fitted = k, np.random.default_rng(seed), False

    def decide(self, X: F64, /) -> I64:
        if not self.fitted:
            return self.dice.integers(0, self.k, len(X))
        return np.atleast_1d(np.asarray(self.bandit.predict(X), dtype=np.int64))

    def learn(self, X: F64, action: I64, reward: F64, /) -> None:
        self.bandit.partial_fit(X, action, reward)
        self.fitted = True


class BayesianBandits:
    """Asked row by row: a call for many rows draws once for all of them."""

    def __init__(self, k: int, seed: int) -> None:
        module = importlib.import_module("bayesianbandits")
        arms = [module.Arm(i, learner=module.NormalInverseGammaRegressor()) for i in range(k)]
        self.agent = module.ContextualAgent(arms, module.ThompsonSampling(), random_seed=seed)

    def decide(self, X: F64, /) -> I64:
        return np.array([self.agent.pull(X[i : i + 1])[0] for i in range(len(X))])

    def learn(self, X: F64, action: I64, reward: F64, /) -> None:
        for each in np.unique(action).tolist():
            mine = action == each
            self.agent.select_for_update(each).update(X[mine], reward[mine])


class River:
    """One row at a time, features as a mapping."""

    def __init__(self, k: int, seed: int) -> None:
        self.bandit = importlib.import_module("river.bandit").LinUCBDisjoint(seed=seed)
        self.arms = list(range(k))

    def decide(self, X: F64, /) -> I64:
        return np.array([self.bandit.pull(self.arms, dict(enumerate(x))) for x in X.tolist()])

    def learn(self, X: F64, action: I64, reward: F64, /) -> None:
        for x, arm, earned in zip(X.tolist(), action.tolist(), reward.tolist(), strict=True):
            self.bandit.update(arm, dict(enumerate(x)), earned)


class Obp:
    """One row at a time; its epsilon is the bonus of LinUCB."""

    def __init__(self, bonus: float, k: int, d: int, seed: int) -> None:
        kind = importlib.import_module("obp.policy").LinUCB
        self.bandit = kind(dim=d, n_actions=k, epsilon=bonus, random_state=seed)

    def decide(self, X: F64, /) -> I64:
        return np.array([self.bandit.select_action(X[i : i + 1])[0] for i in range(len(X))])

    def learn(self, X: F64, action: I64, reward: F64, /) -> None:
        for i, (arm, earned) in enumerate(zip(action.tolist(), reward.tolist(), strict=True)):
            self.bandit.update_params(action=arm, reward=earned, context=X[i : i + 1])


class VowpalWabbit:
    """Contexts as text, features crossed with the action's id; draws from the probabilities it tells."""

    def __init__(self, settings: str, shift: float, k: int, seed: int) -> None:
        module = importlib.import_module("vowpalwabbit")
        self.vw = module.Workspace(f"--cb_explore_adf -q UA --quiet --random_seed {seed + 1} {settings}")
        self.choices = [f"|A a{i}" for i in range(k)]
        self.shift, self.dice = shift, np.random.default_rng(seed)

    def decide(self, X: F64, /) -> I64:
        self.shared = [
            "shared |U " + " ".join(f"{i}:{value:.5g}" for i, value in enumerate(x)) for x in X.tolist()
        ]
        out = []
        self.probability = []
        for shared in self.shared:
            weights = np.array(self.vw.predict([shared, *self.choices]))
            action = int(self.dice.choice(len(weights), p=weights / weights.sum()))
            out.append(action)
            self.probability.append(max(float(weights[action]), 1e-6))
        return np.array(out)

    def learn(self, X: F64, action: I64, reward: F64, /) -> None:
        for i, (arm, earned) in enumerate(zip(action.tolist(), reward.tolist(), strict=True)):
            labelled = f"0:{self.shift - earned}:{self.probability[i]} {self.choices[arm]}"
            self.vw.learn([self.shared[i], *self.choices[:arm], labelled, *self.choices[arm + 1 :]])


def _families() -> dict[str, tuple[str, dict[str, Make]]]:
    """By package: what is imported to see that it is there, and its learners by name."""

    def linear(kind: str, **settings: float) -> Make:
        return lambda k, _, seed: MabWiser(lambda policies: getattr(policies, kind)(**settings), k, seed)

    def online(kind: str, **settings: Any) -> Make:
        return lambda k, _, seed: ContextualBandits(kind, settings, k, seed)

    def text(settings: str, shift: float) -> Make:
        return lambda k, _, seed: VowpalWabbit(settings, shift, k, seed)

    return {
        "mabwiser": (
            "mabwiser.mab",
            {
                "mabwiser LinUCB alpha=.1": linear("LinUCB", alpha=0.1),
                "mabwiser LinUCB alpha=.2": linear("LinUCB", alpha=0.2),
                "mabwiser LinUCB": linear("LinUCB", alpha=1.0),
                "mabwiser LinTS alpha=.2": linear("LinTS", alpha=0.2),
            },
        ),
        "obp": (
            "obp.policy",
            {
                "obp LinUCB .1": lambda k, d, seed: Obp(0.1, k, d, seed),
                "obp LinUCB .2": lambda k, d, seed: Obp(0.2, k, d, seed),
            },
        ),
        "contextualbandits": (
            "contextualbandits.online",
            {
                "contextualbandits LinUCB .2": online("LinUCB", alpha=0.2),
                "contextualbandits LinTS .04": online("LinTS", v_sq=0.04, sample_from="ci", method="sm"),
            },
        ),
        "bayesianbandits": (
            "bayesianbandits",
            {"bayesianbandits TS NIG": lambda k, _, seed: BayesianBandits(k, seed)},
        ),
        "river": ("river.bandit", {"river LinUCBDisjoint": lambda k, _, seed: River(k, seed)}),
        "vowpalwabbit": (
            "vowpalwabbit",
            {
                "vw squarecb": text("--squarecb", 0.0),
                "vw squarecb -l 3": text("--squarecb -l 3", 0.0),
                "vw synthcover -l 3": text("--synthcover -l 3", 1.0),
                "vw regcbopt tuned": text("--regcbopt --mellowness .001 -l .1", 1.0),
            },
        ),
    }


def learners() -> tuple[dict[str, Make], list[str]]:
    """Peers by name, and a note for each package that is missing."""
    found: dict[str, Make] = {}
    notes = []
    for package, (module, makers) in _families().items():
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                importlib.import_module(module)
        except ImportError as error:
            notes.append(f"{package} cannot be imported ({error}), so nothing is compared with it")
        else:
            found.update(makers)
    return found, notes
