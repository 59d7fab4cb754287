"""What did this subject agree to, when, and what proves it?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final, Literal

import attrs
import numpy as np

from agentic.arrays import Block, Receipt
from agentic.privacy._facts import fact_of
from agentic.types import (
    ConsentGranted,
    ConsentWithdrawn,
    Fact,
    Released,
    Restricted,
    RestrictionLifted,
    Suppressed,
    instant,
)

CONSENT: Final = ("consent_granted", "consent_withdrawn")
"""Kinds of facts that are entries of the consent ledger."""


@attrs.frozen
class Told:
    """A fact that was told about a subject.

    Attributes:
        position: Number of the record in the log: the handle for a proof of it.
        at: When it happened, in UTC.
        fact: What was told.
    """

    position: int
    at: datetime
    fact: Fact


@attrs.frozen
class ConsentEntry:
    """One line of the consent ledger.

    Attributes:
        at: When consent was given or withdrawn, in UTC.
        state: ``"granted"`` or ``"withdrawn"``.
        purpose: What for.
        channel: On which channel; ``None`` means all.
        notice: Version of the notice that was shown.
        language: Of the notice.
        method: How it was given.
        evidence: Reference to the proof; personal data, not shown by ``repr``.
        position: Number of the record in the log: the handle for a proof of it.
    """

    at: datetime
    state: Literal["granted", "withdrawn"]
    purpose: str
    channel: str | None
    notice: str | None
    language: str | None
    method: str | None
    evidence: str | None = attrs.field(repr=False)
    position: int


def told(
    blocks: Iterable[tuple[Receipt, Block]], agent: str, subject: str, /, kinds: tuple[str, ...] | None = None
) -> Iterator[Told]:
    """The facts that an agent was told about a subject, in the order of the log.

    What was written once more, because its first record was dropped, comes once, with the last record of it.

    Args:
        blocks: Of the log; those that hold no facts are passed over.
        agent: Its name; others may share the log.
        subject: Whom they are about.
        kinds: Only these; ``None`` means all.

    Raises:
        CodecError: A fact cannot be read.
    """
    found: list[Told] = []
    for receipt, block in blocks:
        if block.kind not in ("fact", "restriction") or block.meta["agent"] != agent:
            continue
        if kinds is not None and block.meta["fact"] not in kinds:
            continue
        for row in np.flatnonzero(block.columns["subject"] == subject).tolist():
            at, text = int(block.columns["at"][row]), block.columns["fact"][row]
            one = Told(receipt.first + row, instant(at), fact_of(text))
            if block.meta.get("carried"):
                found = [other for other in found if (other.at, other.fact) != (one.at, one.fact)]
            found.append(one)
    yield from found


def ledger(facts: Iterable[Told], /) -> list[ConsentEntry]:
    """The consent ledger of a subject: its consents among these facts, in their order."""
    entries = []
    for one in facts:
        fact = one.fact
        if isinstance(fact, ConsentGranted | ConsentWithdrawn):
            entries.append(
                ConsentEntry(
                    one.at,
                    "granted" if isinstance(fact, ConsentGranted) else "withdrawn",
                    fact.purpose,
                    fact.channel,
                    fact.notice,
                    fact.language,
                    fact.method,
                    fact.evidence,
                    one.position,
                )
            )
    return entries


@attrs.frozen
class Standing:
    """What may be done with a subject after all these facts.

    Attributes:
        consents: Whether consent holds, by purpose and channel; ``None`` for all channels.
        suppressed_until: Nobody contacts the subject before; ``None`` when nothing is suppressed.
        for_good: Nobody contacts the subject ever.
        restricted: What is held is used for nothing.
    """

    consents: dict[tuple[str, str | None], bool] = attrs.field(factory=dict)
    suppressed_until: datetime | None = None
    for_good: bool = False
    restricted: bool = False

    @classmethod
    def after(cls, facts: Iterable[Told], /) -> Standing:
        """Where the subject stands after these facts; the last word counts, as it does for `Consent`."""
        consents: dict[tuple[str, str | None], bool] = {}
        until: datetime | None = None
        for_good = restricted = False
        for one in facts:
            match one.fact:
                case (
                    ConsentGranted(purpose=purpose, channel=channel)
                    | ConsentWithdrawn(purpose=purpose, channel=channel)
                ):
                    if channel is None:  # speaks for all, in place of what was said of single ones
                        for key in [key for key in consents if key[0] == purpose]:
                            del consents[key]
                    consents[purpose, channel] = isinstance(one.fact, ConsentGranted)
                case Suppressed(until=None):
                    for_good = True
                case Suppressed(until=end) if end is not None:
                    until = end if until is None else max(until, end)
                case Released():
                    until, for_good = None, False
                case Restricted():
                    restricted = True
                case RestrictionLifted():
                    restricted = False
                case _:
                    pass
        return cls(consents, until, for_good, restricted)

    def may(self, purpose: str, channel: str | None, at: datetime, /) -> bool:
        """Whether the subject may be contacted for this purpose; what is not known is a no."""
        stopped = self.suppressed_until is not None and at < self.suppressed_until
        if stopped or self.for_good or self.restricted:
            return False
        own = self.consents.get((purpose, channel))
        return self.consents.get((purpose, None), False) if own is None else own
