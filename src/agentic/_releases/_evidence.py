"""What was found out about a policy, as it is shown to who has to say yes?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, runtime_checkable

import attrs

from agentic._releases._events import Json, canonical_json, digest_of
from agentic.errors import ReleaseError

EVIDENCE_KINDS: Final = ("evaluation", "simulation", "shadow", "canary", "promotion")
"""What evidence can be of: logged rows, a simulation, shadow weighing, a share tried, non-inferiority."""
VERDICTS: Final = ("pass", "weak", "fail")
_MOST: Final = 1 << 15


def _checked_summary(summary: object) -> Mapping[str, Json]:
    import json

    if not isinstance(summary, Mapping):
        raise ReleaseError(
            f"summary must be a mapping of names to numbers and texts, got a {type(summary).__name__}",
            value=type(summary).__name__,
        )
    found: dict[str, Json] = json.loads(canonical_json(dict(summary), "the summary of evidence", _MOST))
    return found


@attrs.frozen
class Evidence:
    """Something that was found out about a version, as numbers: its digest is what people approve.

    Attributes:
        kind: One of ``EVIDENCE_KINDS``.
        verdict: ``"pass"``; ``"weak"`` where there are doubts, which are in the summary; ``"fail"``.
        summary: Numbers and short texts, as JSON. Nothing about a person belongs here: the log keeps it.
        digest: SHA-256 of the canonical JSON of the other three, in hexadecimal.
    """

    kind: str
    verdict: str
    summary: Mapping[str, Json] = attrs.field(converter=_checked_summary, hash=False)
    digest: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        for name, given, known in (("kind", self.kind, EVIDENCE_KINDS), ("verdict", self.verdict, VERDICTS)):
            if given not in known:
                raise ReleaseError(
                    f"{name} of evidence must be one of {', '.join(known)}, got {given!r:.80}",
                    value=given,
                    expected=known,
                )
        if self.kind == "canary" and not _is_share(self.summary.get("share")):
            raise ReleaseError(
                "evidence of a canary must say the share that was tried, summary['share'] in (0, 1], got"
                f" {self.summary.get('share')!r:.80}",
                value=self.summary.get("share"),
            )
        object.__setattr__(self, "digest", digest_of(canonical_json(self.to_data(), "evidence")))

    def to_data(self) -> dict[str, Json]:
        """As JSON."""
        return {"kind": self.kind, "summary": dict(self.summary), "verdict": self.verdict}

    @classmethod
    def from_data(cls, data: Json, /) -> Evidence:
        """Read what ``to_data`` returned.

        Raises:
            ReleaseError: It is something else.
        """
        if not isinstance(data, dict) or data.keys() != {"kind", "summary", "verdict"}:
            raise ReleaseError("evidence has a kind, a verdict and a summary, and nothing else")
        return cls(data["kind"], data["verdict"], data["summary"])

    def as_evidence(self) -> Evidence:
        """Itself."""
        return self


@runtime_checkable
class Evidential(Protocol):
    """Whatever can be shown as evidence: evidence itself, the report of a shadow, of a rollout."""

    def as_evidence(self) -> Evidence:
        """What it says."""


def _is_share(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1
