"""How is a fact written into the records of subjects, so that no rule forgets it?"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agentic import zones
from agentic._deciding import Desk, Settled, identify
from agentic._flow import CORE, FOR_GOOD, NOT_SUPPRESSED, RESTRICTION, SURROGATE, UNTIL
from agentic._knowing import hear as hear_purpose
from agentic._stored import load, save
from agentic.errors import ConfigurationError, StoreError, reason
from agentic.protocols import Hears
from agentic.types import (
    ConsentWithdrawn,
    Fact,
    Released,
    Restricted,
    RestrictionLifted,
    Suppressed,
    ZoneKnown,
    micros,
)

STOPS: Final = (ConsentWithdrawn, Suppressed, Restricted)
"""Facts that stop contact hold even where they could not be logged."""

_RETRIES: Final = 128


def note(desk: Desk, names: list[str], fact: Fact, at: int, *, atomic: bool) -> list[Settled]:
    """Write what a fact changes into the records; what was settled can be taken back.

    Args:
        desk: Where the records are.
        names: Whose.
        fact: What is told of them.
        at: Microseconds since 1970.
        atomic: What is written before an error does not stand anyway.

    Raises:
        ConfigurationError: No guardrail listens to such a fact.
        StoreError: The store kept changing or failed.
    """
    layout, idle = desk.plan.layout, desk.plan.catalogue.idle
    todo: list[str] = names
    settled: list[Settled] = []
    try:
        for _ in range(_RETRIES):
            rows, versions = load(desk.store, todo, layout)
            before = rows.tobytes()
            if desk.pseudonymous:
                identify(rows[SURROGATE])
            hear(desk, rows, fact, at)
            action, stands = np.full((len(todo), 1), idle), np.ones(len(todo), dtype=np.bool_)
            # As if all of it stood: a store that fails may have taken it.
            settled.append(Settled(todo, before, rows, stands, action, layout))
            settled[-1].stands = stands = save(desk.store, todo, rows, versions, layout)
            todo = [name for name, ok in zip(todo, stands.tolist(), strict=True) if not ok]
            if not todo:
                return settled
        raise StoreError(f"{len(todo)} subjects kept changing", value=len(todo))
    except ConfigurationError:
        raise
    except Exception as error:
        kept = "nothing was noted"
        if isinstance(fact, STOPS) and not atomic:
            kept = "those noted before hold, which is the safe side"
        elif not atomic:
            desk.take_back(settled, at)
        raise StoreError(
            f"the store failed while {_named(fact)} was noted ({reason(error)}): {kept}, tell it again",
            value=_named(fact),
        ) from error


def surrogates_of(desk: Desk, names: list[str]) -> NDArray[Any]:
    """What stands for these subjects in the log: shape (n, 2), uint64."""
    return np.ascontiguousarray(load(desk.store, names, desk.plan.layout)[0][SURROGATE])


def hear(desk: Desk, rows: NDArray[Any], fact: Fact, at: int) -> None:
    """Let everybody concerned write a fact into the records.

    Raises:
        ConfigurationError: Nobody is concerned, or the fact names no time zone.
    """
    if isinstance(fact, ZoneKnown):
        code = zones.UNKNOWN if fact.zone is None else zones.check(fact.zone, "zone")
        rows[f"{CORE}.zone"] = code
        return
    plan = desk.plan
    heard = _stopped(rows, fact) | hear_purpose(plan, rows, fact)
    for name, guardrail in plan.guardrails.items():
        if isinstance(guardrail, Hears) and name in plan.stateful:
            heard |= guardrail.hear(plan.layout.part(rows, name), fact, at)
    if not heard:
        raise ConfigurationError(
            f"no guardrail or feature of agent {desk.name!r} listens to {_named(fact)}: check its purpose and"
            " channel, or add the guardrail that needs it",
            value=_named(fact),
        )


def _stopped(rows: NDArray[Any], fact: Fact) -> bool:
    """Write what holds in every agent, whatever its rules; say whether the fact is about that.

    Of several suppressions the longest holds, whatever order they are told in.
    """
    match fact:
        case Suppressed(until=until):
            rows[UNTIL] = np.maximum(rows[UNTIL], FOR_GOOD if until is None else micros(until))
        case Released():
            rows[UNTIL] = NOT_SUPPRESSED
        case Restricted():
            rows[RESTRICTION] = True
        case RestrictionLifted():
            rows[RESTRICTION] = False
        case _:
            return False
    return True


def _named(fact: Fact) -> str:
    """The fact by what it is about; what else it holds, a notice, some evidence, may be somebody's."""
    told = [getattr(fact, name, None) for name in ("purpose", "channel")]
    return f"{type(fact).__name__}({', '.join(repr(part) for part in told if part is not None)})"
