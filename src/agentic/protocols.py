"""The sockets: what a plugin must offer, on one page.

Every socket is structural and batch-first, and asks for one method. What a component can do beyond
that it says with a capability, a small protocol of its own that is looked for once, when the agent is
built; sockets themselves never grow. Arguments are positional, so a plugin may name them as it likes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, Self, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from agentic.arrays import (
    F64,
    Batch,
    Block,
    Bools,
    Chosen,
    Columns,
    Feedback,
    Field,
    Layout,
    Proposal,
    Receipt,
    Records,
    Review,
    Rows,
    Space,
)
from agentic.types import Fact


@runtime_checkable
class Policy(Protocol):
    """Weighs the candidates; the agent draws.

    **Purity**: no I/O, no clock, no dice, no globals; asked twice it answers the same.
    **Shapes**: weights (n, k), finite, not negative; row ``i`` depends on row ``i`` of the batch only.
    **Errors**: an exception hands the rows to the agent's fallback policy and is counted.
    **Not guaranteed**: that rows come in any order, or that a subject is seen twice.
    """

    @property
    def name(self) -> str:
        """A short lower-case name."""

    def propose(self, batch: Batch, /) -> Proposal:
        """Weigh the candidates of every row."""


@runtime_checkable
class Learner(Policy, Protocol):
    """A policy that learns. It is a value: ``learn`` returns the next one and leaves this one as it is."""

    def learn(self, feedback: Feedback, /) -> Self:
        """Return the policy that has also seen this feedback."""


@runtime_checkable
class Remembers(Protocol):
    """Capability of a policy that learns: keep something about each subject in the subject's record.

    ``batch.rows`` and ``feedback.rows`` then hold the fields of all the agent's policies, its own among them.
    They are written when rewards are learned, and only then: ``learn`` is asked first, and the policy it
    returns is told to ``remember`` the same feedback. Each reward is remembered once. Where the record
    changed meanwhile, ``remember`` runs again on what the record holds now; only the run that stands is
    stored.

    **Names** of fields begin with the policy's name and a dot, so that policies tell theirs apart.
    **Independence**: what is written for a subject depends on its own record and its own choices only.
    A policy made of others offers their fields and passes ``remember`` on; without fields, nobody asks.
    """

    @property
    def fields(self) -> Sequence[Field]:
        """The fields, with their defaults; known once the policy is bound."""

    def remember(self, feedback: Feedback, rows: Records, /) -> None:
        """Write what each choice says about its subject into the own fields of ``rows[feedback.subject]``."""


@runtime_checkable
class Leads(Protocol):
    """Capability of a policy in which challengers try for the place of a champion: say who they are.

    What is in charge is then still of the champion's line: an application that passes champion and
    challengers after a restart goes on with the whole.
    """

    @property
    def champion(self) -> Policy:
        """Whose place it is."""

    @property
    def members(self) -> Sequence[Policy]:
        """The champion, then the challengers."""


@runtime_checkable
class Explainer(Protocol):
    """Capability: say what moved a row's scores."""

    def explain(self, batch: Batch, row: int, /) -> Mapping[str, float]:
        """Contribution of each encoded feature to the score of the most probable candidate."""


@runtime_checkable
class Storable(Protocol):
    """Capability: become data and be made of it again, for a policy whose class does not declare its parts.

    Attrs classes, dataclasses and named tuples need none of this: what they are built from is what is stored.

    **Data** are a mapping by text of ``None``, numbers, texts, arrays, times, lengths of time, lists, tuples,
    sets, mappings and conditions, and hold everything that answers and learning depend on: a policy
    made of its own data has the same fingerprint.
    **Errors**: data that are not what ``to_data`` returns are refused. A policy that cannot be stored says
    so, and why, by raising ``CodecError`` in ``to_data``: it starts anew with its agent.
    """

    def to_data(self) -> Mapping[str, Any]:
        """Return what this one is made of.

        Raises:
            CodecError: It is made of what cannot be stored.
        """

    def from_data(self, data: Mapping[str, Any], /) -> Self:
        """Return the one that these data are of; take classes and code from this one, and nothing else.

        Raises:
            ValueError: They are of none.
        """


@runtime_checkable
class Binds(Protocol):
    """Capability: be fitted to a catalogue and a feature encoding before the first use.

    ``bind`` is called once when an agent is built, and again when a policy is published. It returns
    the component to use, so that frozen values can size their arrays and check their names.
    """

    def bind(self, space: Space, /) -> Self:
        """Return the component for this space.

        Raises:
            ConfigurationError: It does not fit the space.
        """


@runtime_checkable
class Guardrail(Protocol):
    """A hard rule at decision time.

    **Purity** and **Shapes** as for a policy: ``allowed`` is broadcastable to (n, k).
    **Errors**: an exception denies every candidate but ``NO_ACTION``, with a reason, and is counted.
    ``NO_ACTION`` cannot be denied.
    """

    @property
    def name(self) -> str:
        """A short lower-case name; the agent numbers twins."""

    def review(self, batch: Batch, /) -> Review:
        """Say which candidates may be chosen."""


@runtime_checkable
class Stateful(Protocol):
    """Capability: own fields of the subject record, written when a decision settles.

    ``settle`` may run more than once for a decision whose record another process changed meanwhile;
    each run sees fresh rows, and only the one that stands is stored.
    """

    @property
    def fields(self) -> Sequence[Field]:
        """The fields, with their defaults."""

    def settle(self, batch: Batch, chosen: Chosen, /) -> None:
        """Write what the choice changes into ``batch.rows``, which shows only the own fields."""


@runtime_checkable
class Concerns(Protocol):
    """Capability of a guardrail: say which candidates it is about at all.

    Of protected subjects nothing is remembered, so a guardrail with fields would judge them by an empty
    record. What it is about is denied to them; of one that does not say, that is everything.
    """

    def concerns(self, space: Space, /) -> Bools:
        """Mark the candidates it may ever deny: shape (k,), bool."""


@runtime_checkable
class Hears(Protocol):
    """Capability: take note of facts about subjects, such as a withdrawn consent."""

    def hear(self, rows: Records, fact: Fact, now: int, /) -> bool:
        """Write what the fact changes into the own fields of ``rows``; say whether it concerns this."""


@runtime_checkable
class Pooled(Protocol):
    """Capability: draw on a pool that all subjects share, such as a budget.

    The flow strikes out candidates the pool cannot pay and charges what is chosen, in row order, so
    the pool is never overdrawn whatever the size of the batch.
    """

    def charge(self, space: Space, /) -> NDArray[np.int64]:
        """Price of each candidate in millionths, shape (k,), not negative; 0 is never struck out."""

    def allowance(self, now: int, /) -> tuple[int, int]:
        """Period number at this time, and what the pool holds at the start of a period, in millionths."""

    @property
    def lease(self) -> int:
        """Most that one process takes out of the pool at once, in millionths: the stated bound."""


@runtime_checkable
class Feature(Protocol):
    """A declaration of something known about a subject.

    Attributes are read once: ``name``, ``width`` (columns of ``X``), ``max_age_s`` (``None`` for any).
    """

    @property
    def name(self) -> str:
        """Name in the context, in providers and in conditions."""

    @property
    def width(self) -> int:
        """Columns it takes in ``X``; 0 for one that only conditions use."""

    @property
    def max_age_s(self) -> float | None:
        """Age in seconds from which a value with a known time counts as stale."""

    @property
    def categories(self) -> tuple[str, ...] | None:
        """Declared values of a category; ``None`` for numbers."""

    @property
    def encoded(self) -> tuple[str, ...]:
        """Name of each of its columns."""

    def resolve(self, values: Any, /) -> tuple[F64, NDArray[np.uint8]]:  # whatever a caller sends
        """Turn a raw column into numbers or codes (n,), ``nan`` where unusable, and statuses (n,)."""

    def encode(self, values: F64, out: F64, /) -> None:
        """Write the columns (n, width) for resolved values, defaults in place of ``nan``."""


@runtime_checkable
class Declares(Protocol):
    """Capability: features a component reads, declared by the component itself."""

    @property
    def features(self) -> Sequence[Feature]:
        """They join the agent's own."""


@runtime_checkable
class FeatureProvider(Protocol):
    """Fetches feature values, by column. The only socket besides stores and logs that may do I/O.

    **Errors**: an exception marks all its values ``ERROR``; defaults step in and decisions are degraded.
    **Freshness** is checked by the agent, from ``Columns.at``, whatever the provider says.
    """

    def fetch(self, subjects: Sequence[str], names: Sequence[str], now: int, /) -> Columns:
        """Return what is known of these names for these subjects, row by row in their order."""


@runtime_checkable
class StateStore(Protocol):
    """Keeps one fixed-width record per subject and layout.

    **Thread safety**: all methods may be called from any thread.
    **Consistency**: ``store`` is atomic per subject: it compares versions and sets, or changes nothing.
    **Versions** only grow, also over ``delete`` and re-creation.
    **Subjects** of one ``store`` are distinct; those that begin with a NUL are the agent's own records,
    and ``subjects`` leaves them out.
    """

    def load(self, subjects: Sequence[str], layout: Layout, /) -> Rows:
        """Return private copies, in the order asked; ``layout.blank`` and version 0 for strangers."""

    def store(
        self, subjects: Sequence[str], rows: Records, expected: NDArray[np.int64], layout: Layout, /
    ) -> Bools:
        """Write rows whose version still is the expected one; say which, shape (n,)."""

    def delete(self, subjects: Sequence[str], /) -> int:
        """Forget these subjects in every layout; return how many were known."""

    def subjects(self) -> Iterable[str]:
        """Every subject known, in any order."""


@runtime_checkable
class ProvenanceSink(Protocol):
    """Takes records.

    **Errors**: an exception means nothing was appended, and the decision does not stand.
    **Order**: records are numbered from 0 without gaps, in the order of the appends.
    """

    def append(self, block: Block, /) -> Receipt:
        """Append all records of the block, or none."""


class Participant(Protocol):
    """Whoever takes part in transactions: a store, a log."""

    def begin(self, changed: bool, /) -> None:
        """A transaction has begun; ``changed`` if others have committed one since the last of ours."""

    def undo(self, /) -> None:
        """The transaction was rolled back: what was done in it was not."""


@runtime_checkable
class Transactions(Protocol):
    """What a store and a log have in common when they stand or fall together, among all processes."""

    def join(self, participant: Participant, /) -> None:
        """Tell this participant of every transaction."""

    @property
    def in_writing(self) -> bool:
        """Whether this thread holds the right to write."""

    def writing(self) -> AbstractContextManager[Any]:
        """Hold the right to write, among all processes; commit at the end, roll back after an error.

        Whoever holds it already, in the same thread, goes on in the same transaction.
        """


@runtime_checkable
class Transactional(Protocol):
    """Capability of a store or a log: what is written in one transaction stands or falls together."""

    @property
    def database(self) -> Transactions:
        """Whose transactions."""


@runtime_checkable
class Pseudonymous(Protocol):
    """Capability of a log: what cannot be erased in it names no subject.

    Blocks about subjects bring the column ``surrogate``, shape (n, 2), uint64.
    """

    @property
    def pseudonymous(self) -> bool:
        """Whether it asks for surrogates."""


@runtime_checkable
class ProvenanceLog(ProvenanceSink, Protocol):
    """A sink that can be read back."""

    def read(self, after: int = 0, /) -> Iterator[tuple[Receipt, Block]]:
        """Yield blocks in order, from the one that holds record ``after``."""


@runtime_checkable
class Erases(Protocol):
    """Capability of a log: forget what is personal in the records of some subjects.

    Records keep their numbers, and what says nothing about a person. What is blank reads as key 0, subject
    ``""``, values ``nan`` and status ``NOT_FOUND``.
    """

    def erase(self, whom: Any, /) -> int:  # ids or surrogates
        """Blank the records of these subjects; return how many records those were.

        Args:
            whom: Subject ids; surrogates, shape (m, 2), uint64, where the log's ``pseudonymous`` is true.
        """


@runtime_checkable
class Unlearns(Protocol):
    """Capability of a policy that keeps feedback as it came: let go of that of some subjects.

    Policies made of others need not pass it on: who erases looks into the fields of attrs classes.
    """

    def unlearn(self, keys: NDArray[np.uint64], /) -> Self:
        """Return the policy without the feedback it keeps of these subjects; itself if there is none.

        Args:
            keys: Shape (m,): as in ``Feedback.keys``.
        """


@runtime_checkable
class Forgets(Protocol):
    """Capability of a feature provider: let go of what it keeps about a subject."""

    def forget(self, subject: str, /) -> bool:
        """Drop all values of a subject; return whether there were any."""
