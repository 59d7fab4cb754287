"""Who gets which variant: by a salted hash of the subject, the same in every process and forever."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from typing import Any, Protocol, runtime_checkable

import attrs
import numpy as np

from agentic import _noise
from agentic._inputs import checked_subjects
from agentic._noise import U64
from agentic.arrays import I64, Bools
from agentic.errors import ConfigurationError
from agentic.experiments._shares import Shares


@runtime_checkable
class Assignment(Protocol):
    """Assigns subjects to variants: by shares, or as another system has been doing."""

    @property
    def names(self) -> tuple[str, ...]:
        """The variants, in order; the first is the control."""

    def assign(self, subjects: Sequence[str], /) -> I64:
        """Return each subject's variant, shape (n,), int64: its number, or -1 for none."""


@runtime_checkable
class Keyed(Protocol):
    """Assigns by the keys that an agent logs, so that a log can be parted without knowing subjects."""

    def assign_keys(self, keys: U64, /) -> I64:
        """Return the variant of each key, shape (n,), int64: its number, or -1 for none."""


@attrs.frozen
class Hashed:
    """Assigns subjects to variants by their shares and a salt.

    Attributes:
        shares: Which places are whose.
        salt: Two assignments with one salt assign alike; with two, independently.
    """

    shares: Shares
    salt: str

    @property
    def names(self) -> tuple[str, ...]:
        """The variants, in order."""
        return self.shares.names

    def assign(self, subjects: Sequence[str], /) -> I64:
        """Return each subject's variant, or -1 for none."""
        return self.assign_keys(subject_keys(subjects))

    def assign_keys(self, keys: U64, /) -> I64:
        """Return the variant of each key, or -1 for none.

        Args:
            keys: Shape (n,), uint64, as an agent logs them.
        """
        seed = _noise.text_key(f"experiment/{self.salt}")
        return self.shares.at(_noise.uniform(_noise.fold(seed, keys)))

    def resized(self, shares: Mapping[str, float], /) -> Hashed:
        """The next assignment, with as few subjects moved as can be: see `Shares.resized`."""
        return attrs.evolve(self, shares=self.shares.resized(shares))


@attrs.frozen
class Holdout:
    """Keeps a share of subjects out of everything that names its salt: the very ones an agent keeps out.

    An agent's holdout has the agent's name for its salt, or what it was given as ``salt``. A holdout across
    agents is one salt for all of them.

    Attributes:
        share: Of subjects, 0 to 1.
        salt: As given to the agents.
    """

    share: float
    salt: str

    def __attrs_post_init__(self) -> None:
        """Refuse what is no share.

        Raises:
            ConfigurationError: It is not from 0 to 1.
        """
        Shares.of({"holdout": self.share})

    def holds(self, subjects: Sequence[str], /) -> Bools:
        """Whether each subject is held out, shape (n,), bool."""
        return self.holds_keys(subject_keys(subjects))

    def holds_keys(self, keys: U64, /) -> Bools:
        """Whether the subject of each key is held out, shape (n,), bool."""
        return _noise.uniform(_noise.fold(_noise.assignment_seed(self.salt), keys)) < self.share


def _laid_out(given: Mapping[str, float] | Shares) -> Shares:
    return given if isinstance(given, Shares) else Shares.of(given)


@attrs.frozen
class Layer:
    """Parts subjects among experiments that must not overlap: nobody is in two experiments of one layer.

    Experiments of different layers overlap, and each is balanced within the other.

    Attributes:
        name: Its salt.
        shares: Of subjects for each experiment, by name.
    """

    name: str
    shares: Shares = attrs.field(converter=_laid_out)

    def includes_keys(self, experiment: str, keys: U64, /) -> Bools:
        """Whether the subject of each key belongs to this experiment, shape (n,), bool.

        Raises:
            ConfigurationError: The layer has no such experiment.
        """
        mine: Bools = Hashed(self.shares, f"layer/{self.name}").assign_keys(keys) == self.shares.code(
            experiment
        )
        return mine

    def resized(self, shares: Mapping[str, float], /) -> Layer:
        """The next layer, with as few subjects moved as can be: see `Shares.resized`."""
        return attrs.evolve(self, shares=self.shares.resized(shares))


@attrs.frozen(init=False)
class Experiment:
    """Says who is in an experiment, and who gets which of its variants.

    A subject is in no variant if a holdout keeps it, if its layer gives it to another experiment, or if the
    shares leave it out. Otherwise its variant is a hash of the subject and the salt: nothing is stored, and
    one subject alone, a batch and another process agree.

    Attributes:
        name: Of the experiment; its salt, and its name in the layer.
        assignment: Shares of subjects by variant, the control first; or another `Assignment`.
        layer: Whose other experiments it does not overlap.
        holdouts: Who is left out.
    """

    name: str
    assignment: Assignment
    layer: Layer | None
    holdouts: tuple[Holdout, ...]

    def __init__(
        self,
        name: str,
        assignment: Mapping[str, float] | Assignment,
        *,
        salt: str | None = None,
        layer: Layer | None = None,
        holdouts: Sequence[Holdout] = (),
    ) -> None:
        """Check that the parts fit together.

        Args:
            name: Not empty.
            assignment: Shares of subjects by variant, the control first; or another `Assignment`.
            salt: Of the shares' hash; the name where none is given.
            layer: Must know the experiment's name.
            holdouts: Who is left out.

        Raises:
            ConfigurationError: A part is missing, or no part.
        """
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"name must be a text that is not empty, got {name!r}", value=name)
        if isinstance(assignment, Mapping):
            assignment = Hashed(Shares.of(assignment), name if salt is None else salt)
        elif not isinstance(assignment, Assignment):
            raise ConfigurationError(
                f"assignment must be shares by variant or have names and assign(), got {assignment!r}",
                value=assignment,
            )
        elif salt is not None:
            raise ConfigurationError("salt goes with shares: another assignment has its own", value=salt)
        if layer is not None:
            layer.shares.code(name)
        self.__attrs_init__(name, assignment, layer, tuple(holdouts))

    @property
    def variants(self) -> tuple[str, ...]:
        """Their names, in order; the first is the control."""
        return self.assignment.names

    def assign(
        self, subjects: Sequence[str], /, *, remembered: MutableMapping[str, str] | None = None
    ) -> I64:
        """Return each subject's variant.

        Args:
            subjects: n ids.
            remembered: The variants' names by subject. Whoever is in it keeps its variant, whatever became of
                shares and layer, unless a holdout has it or the variant is gone; whoever gets one is added.

        Returns:
            Shape (n,), int64: the place in `variants`, or -1 for none.

        Raises:
            InvalidSubjectError: A subject's id cannot be stored.
        """
        names = checked_subjects(subjects)
        keys = _noise.text_keys(names)
        out = self._within(self.assignment.assign(names), keys)
        held = self._held(keys)
        if remembered is None:
            return np.where(held, -1, out)
        numbers = {name: code for code, name in enumerate(self.variants)}
        before = np.array([numbers.get(remembered.get(name, ""), -1) for name in names], dtype=np.int64)
        out = np.where(held, -1, np.where(before >= 0, before, out))
        for row in ((out >= 0) & (before < 0)).nonzero()[0].tolist():
            remembered[names[row]] = self.variants[out[row]]
        return out

    def assign_keys(self, keys: U64, /) -> I64:
        """Return the variant of each key: a log is parted by its column ``key``.

        Args:
            keys: Shape (n,), uint64, as an agent logs them.

        Raises:
            ConfigurationError: The assignment hashes the subjects' ids, which keys do not tell.
        """
        if not isinstance(self.assignment, Keyed):
            raise ConfigurationError(
                f"{type(self.assignment).__name__} hashes the subjects' ids, and keys do not tell them: call"
                " assign(subjects)",
                value=type(self.assignment).__name__,
            )
        return np.where(self._held(keys), -1, self._within(self.assignment.assign_keys(keys), keys))

    def variant(self, subject: str, /, *, remembered: MutableMapping[str, str] | None = None) -> str | None:
        """Return one subject's variant by name, ``None`` for none: `assign` of one."""
        code = int(self.assign([subject], remembered=remembered)[0])
        return self.variants[code] if code >= 0 else None

    def resized(self, shares: Mapping[str, float], /) -> Experiment:
        """The same experiment with other shares, and as few subjects moved as can be.

        Keep the value that it returns: the shares alone do not tell who was where before.

        Raises:
            ConfigurationError: The assignment is another system's, or the shares are none.
        """
        if not isinstance(self.assignment, Hashed):
            raise ConfigurationError(
                f"{type(self.assignment).__name__} has no shares to resize: make it anew with other ranges",
                value=type(self.assignment).__name__,
            )
        return attrs.evolve(self, assignment=self.assignment.resized(shares))

    def _within(self, codes: I64, keys: U64) -> I64:
        if self.layer is None:
            return codes
        return np.where(self.layer.includes_keys(self.name, keys), codes, -1)

    def _held(self, keys: U64) -> Bools:
        held = np.zeros(len(keys), dtype=np.bool_)
        for holdout in self.holdouts:
            held |= holdout.holds_keys(keys)
        return held


def subject_keys(subjects: Sequence[str], /) -> U64:
    """Return the key that every agent logs for each subject, shape (n,), uint64.

    So that what is known of subjects can be laid beside a log, which need not name them.

    Raises:
        InvalidSubjectError: A subject's id cannot be stored.
    """
    return _noise.text_keys(checked_subjects(subjects))


def counted(codes: I64, variants: Sequence[Any], /) -> list[int]:
    """How many subjects each variant has: what a sample-ratio check is asked about.

    Args:
        codes: Shape (n,), int64: each subject's variant, or -1 for none.
        variants: In order.
    """
    return [int(n) for n in np.bincount(codes[codes >= 0], minlength=len(variants))]
