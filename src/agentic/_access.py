"""What does an agent hold about one person, as the person may read it?"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from agentic._archive import Archive
from agentic._deciding import Desk
from agentic._explaining import described
from agentic._records import found_batch
from agentic._releases import RELEASE, Event, concerned
from agentic._releases import told as events_in
from agentic._stored import load
from agentic.arrays import Block, Status
from agentic.privacy import told
from agentic.protocols import ProvenanceLog
from agentic.rewards import Goals
from agentic.types import instant

if TYPE_CHECKING:
    from agentic._explaining import Explanation

_SCHEMA: Final = 1


def everything_about(
    subject: str,
    desk: Desk,
    log: ProvenanceLog,
    archive: Archive,
    goals: Goals | None,
    explain: Callable[[str], Explanation],
    /,
) -> dict[str, Any]:  # JSON-compatible
    """All that is held about a subject, in one pass over the log."""
    decisions: list[dict[str, Any]] = []
    numbers: list[int] = []
    after: list[tuple[str, int, Block]] = []
    said: dict[str, Event] = {}
    facts = list(told(log.read(), desk.name, subject))
    for receipt, block in log.read():
        if archive.is_mine(block):
            rows = np.flatnonzero(block.columns["subject"] == subject)
            if len(rows):
                batch = found_batch(block, receipt.first, archive.catalogue).take(rows)
                numbers += batch.positions.tolist()
                decisions += [_decision(desk, batch, row, explain) for row in range(len(batch))]
        elif block.kind in ("outcome", "reward") and block.meta["agent"] == desk.name and numbers:
            rows = np.flatnonzero(np.isin(block.columns["decision"], numbers))
            after += [(block.kind, row, block) for row in rows.tolist()]
        elif block.kind == RELEASE and block.meta.get("agent") == desk.name and numbers:
            events = [one.event for one in events_in(receipt.first, block)]
            said |= {each.digest: each for each in events if each is not None and _is_about(each, numbers)}
    ids = dict(zip(numbers, (one["id"] for one in decisions), strict=True))
    return {
        "schema": _SCHEMA,
        "agent": desk.name,
        "subject": subject,
        "facts": [
            {"position": one.position, "at": one.at.isoformat(), **_plain_fact(one.fact)} for one in facts
        ],
        "decisions": decisions,
        "outcomes": [_outcome(block, row, ids, goals) for kind, row, block in after if kind == "outcome"],
        "rewards": [_reward(block, row, ids) for kind, row, block in after if kind == "reward"],
        "oversight": [_said(event, ids) for event in said.values()],
        "record": _record(subject, desk),
    }


def _plain_fact(fact: Any) -> dict[str, Any]:
    import json

    from agentic.privacy import text_of

    held: dict[str, Any] = json.loads(text_of(fact))
    if "until" in held:
        held["until"] = instant(held["until"]).isoformat()
    return held


def _decision(desk: Desk, batch: Any, row: int, explain: Callable[[str], Explanation]) -> dict[str, Any]:
    one = batch[row]
    columns, schema = batch.columns, desk.assembly.schema
    values, status = columns["values"][row], columns["status"][row]
    names = list(batch.meta(row).get("features", schema.names))
    return {
        "id": one.id,
        "at": one.at.isoformat(),
        "choices": [
            {
                "action": choice.action.id,
                "channel": choice.action.channel,
                "probability": choice.probability,
                "explored": choice.explored,
                "score": choice.score,
                "spread": choice.spread,
            }
            for choice in one.choices
        ],
        "arm": one.arm,
        "autonomy": one.autonomy,
        "policy": one.policy_version,
        "reasons": {code: list(actions) for code, actions in one.reasons.items()},
        "degraded": list(one.degraded),
        "features": {name: _plain(value) for name, value in described(schema, names, values, status).items()},
        "statuses": {
            name: Status(code).name.lower() for name, code in zip(names, status.tolist(), strict=False)
        },
        "explanation": str(explain(one.id)),
    }


def _outcome(block: Block, row: int, ids: dict[int, str], goals: Goals | None) -> dict[str, Any]:
    columns = block.columns
    code = int(columns["goal"][row])
    names = block.meta.get("goals") or ([] if goals is None else goals.names)
    return {
        "decision": ids[int(columns["decision"][row])],
        "slot": int(columns["slot"][row]),
        "outcome": names[code] if code < len(names) else code,
        "value": _plain(float(columns["value"][row])),
        "at": instant(columns["at"][row]).isoformat(),
    }


def _reward(block: Block, row: int, ids: dict[int, str]) -> dict[str, Any]:
    columns = block.columns
    return {
        "decision": ids[int(columns["decision"][row])],
        "slot": int(columns["slot"][row]),
        "reward": float(columns["reward"][row]),
    }


def _is_about(event: Event, numbers: list[int]) -> bool:
    about = concerned(event) if event.what.startswith("oversight.") else None
    return about is not None and about[0] in numbers


def _said(event: Event, ids: dict[int, str]) -> dict[str, Any]:
    """What somebody made of a decision, and why; not who: that is another person's."""
    about = concerned(event)
    return {
        "decision": ids[-1 if about is None else about[0]],
        "what": event.what.removeprefix("oversight."),
        "at": instant(event.at).isoformat(),
        "reason": event.facts.get("reason", ""),
        "instead": event.facts.get("instead"),
    }


def _record(subject: str, desk: Desk) -> dict[str, Any]:
    """What the record holds, by field; empty where there is none."""
    layout = desk.plan.layout
    rows, versions = load(desk.store, [subject], layout)
    if not versions[0]:
        return {}
    return {name: _listed(rows[name][0]) for name in sorted(layout.dtype.names or ())}


def _listed(value: NDArray[Any]) -> Any:  # JSON-compatible
    held = np.asarray(value)
    if held.dtype.kind in "SV":
        return held.tobytes().hex()
    if held.dtype.kind in "mM":
        held = held.astype(np.int64)
    return _plain(held.tolist())


def _plain(value: Any) -> Any:  # JSON-compatible
    if isinstance(value, list):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value)
