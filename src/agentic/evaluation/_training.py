"""What may a model learn from, and which rows predict which: checks and folds that all models share."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from agentic import _noise
from agentic._offpolicy import (
    Floats,
    Ints,
    as_actions,
    as_floats,
    as_names,
    check_below,
    check_length,
    reject,
)
from agentic.arrays import U64

FEATURES_REMEDY = "give every feature its declared default before fitting"
_REWARD_REMEDY = "leave rows out while their reward is pending: a missing reward is not a number"


def checked(
    X: npt.ArrayLike,
    action: npt.ArrayLike,
    reward: npt.ArrayLike,
    k: int,
) -> tuple[Floats, Ints, Floats]:
    """Return features, actions and rewards that fit together.

    Raises:
        EvaluationError: Malformed input, named by row and field.
    """
    actions = as_actions("action", action)
    features = as_floats("X", X, ndim=2, remedy=FEATURES_REMEDY)
    rewards = as_floats("reward", reward, ndim=1, remedy=_REWARD_REMEDY)
    check_length("X", features.shape[0], actions.size)
    check_length("reward", rewards.size, actions.size)
    check_below(actions, k)
    return features, actions, rewards


def checked_weight(weight: npt.ArrayLike | None, n: int) -> Floats | None:
    """Return the importance of every row, or None where all are equal.

    Raises:
        EvaluationError: Malformed, negative, or all 0.
    """
    if weight is None:
        return None
    weights = as_floats("weight", weight, ndim=1, remedy="give a finite importance, or leave weight out")
    check_length("weight", weights.size, n)
    if weights.min() < 0.0 or weights.max() == 0.0:
        row = int(weights.argmin())
        remedy = "give each row the importance it should have"
        reject("weight", row, weights[row], "0 or more, and some row above 0", remedy)
    return weights


def folded(n: int, groups: npt.ArrayLike | None, *, folds: int, seed: int) -> Ints:
    """Return the fold of every row, shape (n,), int64."""
    if groups is None:
        return _fold(np.arange(n, dtype=np.uint64), seed, folds)
    keys = as_names("groups", groups)
    check_length("groups", keys.size, n)
    if keys.dtype.kind in "iu":
        return _fold(keys.astype(np.uint64), seed, folds)
    names, codes = np.unique(keys, return_inverse=True)
    return _fold(_noise.text_keys([_text(name) for name in names.tolist()]), seed, folds)[codes]


def _text(name: str | bytes) -> str:
    """A name as text that UTF-8 can hold, whatever is in it."""
    raw = name if isinstance(name, bytes) else name.encode("utf-8", "surrogatepass")
    return raw.decode("latin-1")


def _fold(keys: U64, seed: int, folds: int) -> Ints:
    return (_noise.fold(seed, keys) % np.uint64(folds)).astype(np.int64)
