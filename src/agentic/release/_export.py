"""What does a registry hold, as text that another program can read?"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from agentic._releases import Event, State, Version

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def as_json(agent: str, state: State, events: Iterable[Event], /) -> str:
    """The state of a registry and its events as JSON, the same text in every process.

    Args:
        agent: Whose registry it is.
        state: What the events add up to.
        events: All of them, the oldest first.
    """
    told = {
        "agent": agent,
        "champion": state.champion,
        "events": [_event_data(event) for event in events],
        "governed": state.governed,
        "requirements": state.requirements.to_data(),
        "versions": [_version_data(found) for found in state.versions.values()],
    }
    return json.dumps(told, sort_keys=True, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _time(at: int) -> str:
    return (_EPOCH + timedelta(microseconds=at)).isoformat()


def _event_data(event: Event) -> dict[str, Any]:  # JSON-compatible
    return {
        "at": _time(event.at),
        "by": event.by,
        "digest": event.digest,
        "facts": event.facts,
        "number": event.number,
        "what": event.what,
    }


def _version_data(found: Version) -> dict[str, Any]:  # JSON-compatible
    return {
        "approvals": [
            {
                "at": _time(one.at),
                "by": one.by,
                "dossier": one.dossier,
                "reason": one.reason,
                "stage": one.stage,
            }
            for one in found.approvals
        ],
        "evidence": [{**one.to_data(), "digest": one.digest} for one in found.evidence],
        "former": found.former,
        "learned": found.learned,
        "life": found.life,
        "notes": found.notes,
        "overridden": found.overridden,
        "owner": found.owner,
        "parent": found.parent,
        "policy": found.policy,
        "registered_at": _time(found.registered_at),
        "stage": found.stage,
        "training": found.training,
        "version": found.version,
    }
