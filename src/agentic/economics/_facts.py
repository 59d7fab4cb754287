"""What does a frontier say to a program: plain values, and nothing that JSON does not know."""

from __future__ import annotations

import math
from typing import Any

import attrs

from agentic.economics._claims import FRACTION
from agentic.economics._frontier import Frontier, check_frontier
from agentic.economics._rows import KINDS, Row

Facts = dict[str, Any]  # JSON-compatible


def facts(found: Frontier, /) -> Facts:
    """Lay the frontier out as JSON-compatible values; what is not finite is ``None``.

    What was measured, and so differs from run to run, stands under ``"measured"`` and in what is worked
    out from it: costs of computing and in all, ``net``, the frontiers, steps, claims and flips.

    Raises:
        ConfigurationError: This is no frontier.
    """
    check_frontier(found)
    out: Facts = {
        "seeds": list(found.seeds),
        "decisions": found.decisions,
        "prices": attrs.asdict(found.prices),
        "policies": [_row(row) for row in found.rows],
        "nothing": _row(found.nothing),
        "oracle": _row(found.oracle),
        "frontier": {kind: [row.name for row in found.efficient(kind)] for kind in KINDS},
        "steps": {kind: [attrs.asdict(step) for step in found.steps(kind)] for kind in KINDS},
        "fraction": FRACTION,
        "claims": [attrs.asdict(claim) for claim in found.claims()],
        "flips": [attrs.asdict(flip) for flip in found.flips()],
    }
    told: Facts = _told(out)
    return told


def _row(row: Row) -> Facts:
    return {
        "name": row.name,
        "share": attrs.asdict(row.share),
        "benefit": attrs.asdict(row.benefit),
        "gains": list(row.gains),
        "net": row.net,
        "messages": row.messages,
        "work": row.work,
        "policy_bytes": row.policy_bytes,
        "subject_bytes": row.subject_bytes,
        "costs": {kind: row.cost_of(kind) for kind in KINDS},
        "measured": {"decide_us": row.decide_us, "learn_us": row.learn_us, "core_hours": row.core_hours},
    }


def _told(value: Any) -> Any:  # JSON-compatible but for numbers that are none
    if isinstance(value, dict):
        return {key: _told(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_told(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
