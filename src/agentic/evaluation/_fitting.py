"""Which reward to expect of every action, by rows that come in chunks: ridge regressions from sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import attrs
import numpy as np

from agentic._offpolicy import reject
from agentic.arrays import F64, I64, U64
from agentic.evaluation._ridge import RewardModel, _check_penalty, _solve
from agentic.evaluation._training import _fold


@attrs.frozen(eq=False)
class _Sums:
    """What a ridge regression for each action needs to know of rows, about their means.

    Attributes:
        count: Shape (k,).
        x: Shape (k, d): means.
        r: Shape (k,): means.
        xx: Shape (k, d, d): products of features about their means.
        xr: Shape (k, d): products of features and rewards about their means.
    """

    count: F64
    x: F64
    r: F64
    xx: F64
    xr: F64

    @classmethod
    def none(cls, k: int, d: int) -> Self:
        return cls(np.zeros(k), np.zeros((k, d)), np.zeros(k), np.zeros((k, d, d)), np.zeros((k, d)))

    def add(self, X: F64, action: I64, reward: F64) -> None:
        """Add rows in place; sums are nobody else's while they grow."""
        order = np.argsort(action, kind="stable")
        actions, starts = np.unique(action[order], return_index=True)
        for a, rows in zip(actions.tolist(), np.split(order, starts[1:]), strict=True):
            x, r = X[rows], reward[rows]
            mean_x, mean_r = x.mean(axis=0), float(r.mean())
            x = x - mean_x
            self._put(a, float(len(rows)), mean_x, mean_r, x.T @ x, x.T @ (r - mean_r))

    def _put(self, a: int, n: float, x: F64, r: float, xx: F64, xr: F64) -> None:
        total = self.count[a] + n
        off_x, off_r, share = x - self.x[a], r - float(self.r[a]), self.count[a] * n / total
        self.xx[a] += xx + share * np.multiply.outer(off_x, off_x)
        self.xr[a] += xr + share * off_x * off_r
        self.x[a] += off_x * (n / total)
        self.r[a] += off_r * (n / total)
        self.count[a] = total

    def plus(self, other: _Sums) -> None:
        """Add rows that were counted elsewhere."""
        for a in np.flatnonzero(other.count).tolist():
            self._put(a, float(other.count[a]), other.x[a], float(other.r[a]), other.xx[a], other.xr[a])

    def model(self, penalty: float) -> RewardModel:
        """What ``fit_ridge`` finds by the rows themselves."""
        k, d = self.x.shape
        overall = float(self.count @ self.r) / float(self.count.sum())
        grams = self.xx.copy()
        diagonal = np.arange(d)
        grams[:, diagonal, diagonal] += penalty
        coefficient = _solve(grams, self.xr, penalty)
        weight = self.count + penalty
        levels = np.divide(self.count * (self.r - overall), weight, out=np.zeros(k), where=weight > 0.0)
        return RewardModel(overall + levels - np.einsum("kd,kd->k", self.x, coefficient), coefficient)


@attrs.frozen(eq=False)
class CrossFit:
    """Predicts rewards of each subject from models fitted on other subjects, as ``cross_fit``, in two passes.

    Attributes:
        models: One for each fold, fitted on the others.
        seed: Of the folds.
    """

    models: Sequence[RewardModel]
    seed: int

    def predict(self, X: F64, keys: U64, /) -> F64:
        """Return the predicted reward of every action, shape (n, k)."""
        fold = _fold(keys, self.seed, len(self.models))
        q = np.empty((len(keys), len(self.models[0].intercept)))
        for part, model in enumerate(self.models):
            held = np.flatnonzero(fold == part)
            if len(held):
                q[held] = model._predict(X[held])
        return q


class Fitting:
    """Gathers, in the first pass, what the models of the second are made of.

    Args:
        k: Number of actions.
        d: Number of features.
        folds: Parts, each predicted from the others.
        seed: Of the folds.
        penalty: Of the models, in rows.

    Raises:
        EvaluationError: Folds or penalty are out of range.
    """

    def __init__(self, k: int, d: int, *, folds: int, seed: int, penalty: float) -> None:
        _check_penalty(penalty)
        if folds < 2:
            reject("folds", None, folds, "2 or more", "use SNIPW(), which predicts nothing")
        self._sums = [_Sums.none(k, d) for _ in range(folds)]
        self._seed, self._penalty = seed, penalty

    def add(self, X: F64, action: I64, reward: F64, keys: U64, /) -> None:
        """Add rows."""
        fold = _fold(keys, self._seed, len(self._sums))
        for part, sums in enumerate(self._sums):
            rows = np.flatnonzero(fold == part)
            if len(rows):
                sums.add(X[rows], action[rows], reward[rows])

    def fitted(self) -> CrossFit:
        """The models.

        Raises:
            EvaluationError: There are too few subjects for every fold to learn from others.
        """
        models = []
        k, d = self._sums[0].x.shape
        for part in range(len(self._sums)):
            others = _Sums.none(k, d)
            for number, sums in enumerate(self._sums):
                if number != part:
                    others.plus(sums)
            if not others.count.any():
                if not self._sums[part].count.any():
                    reject("rows", None, 0, "some", "wait for rewards to become final")
                remedy = "give more rows or groups, or another seed"
                reject("fold", None, part, "some row or group outside it to learn from", remedy)
            models.append(others.model(self._penalty))
        return CrossFit(models, self._seed)
