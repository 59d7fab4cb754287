"""What was a policy trained on, so that anybody can tell it is not what it was judged by?"""

from __future__ import annotations

import hashlib
import re
from typing import Final, Protocol, runtime_checkable

import numpy as np

from agentic.arrays import F64, I64
from agentic.errors import ReleaseError

_HEX: Final = re.compile(r"[0-9a-f]{16,128}")


@runtime_checkable
class Taught(Protocol):
    """Rows of a log that a policy can be trained on, such as ``evaluation.Joined``."""

    @property
    def position(self) -> I64:
        """Places in the log, shape (n,)."""

    @property
    def action(self) -> I64:
        """What was done, shape (n,)."""

    @property
    def reward(self) -> F64:
        """What it earned, shape (n,)."""


def training_digest(rows: Taught, /) -> str:
    """SHA-256 of which rows these are and what they say, in hexadecimal: places in the log, actions, rewards.

    The same rows have the same digest in every process, in the order of the log.

    Args:
        rows: Such as ``joined(agent).split()[0]``.
    """
    order = np.argsort(rows.position, kind="stable")
    digest = hashlib.sha256(f"agentic training rows 1\n{len(order)}\n".encode())
    for column, dtype in ((rows.position, "<i8"), (rows.action, "<i8"), (rows.reward, "<f8")):
        digest.update(np.ascontiguousarray(np.asarray(column)[order], dtype=dtype).data)
    return digest.hexdigest()


def digest_of_training(training: object, /) -> str | None:
    """The digest of what a policy was trained on: of rows, as told, or of nothing.

    Raises:
        ReleaseError: It is neither.
    """
    if training is None or (isinstance(training, str) and _HEX.fullmatch(training)):
        return training
    if isinstance(training, Taught):
        return training_digest(training)
    raise ReleaseError(
        f"training must be the rows, such as joined(agent).split()[0], or a digest of 16 to 128 hexadecimal"
        f" digits, got a {type(training).__name__}",
        value=type(training).__name__,
    )
