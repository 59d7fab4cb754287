"""What may be known of each row: who is protected, what consent covers, and who is asked for the rest."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from agentic._flow import PURPOSES, Plan
from agentic._plan import Assembly
from agentic.arrays import Bools, Records
from agentic.features import Values
from agentic.protocols import FeatureProvider
from agentic.types import ConsentGranted, ConsentWithdrawn, Fact

GRANTED: Final = 1
WITHDRAWN: Final = 2

_AT_ONCE: Final = 8192


def know(
    assembly: Assembly,
    recall: Callable[[list[str]], Records],
    subjects: list[str],
    context: Mapping[str, Any],  # columns: whatever a caller sends
    providers: Sequence[FeatureProvider],
    at: int,
    /,
) -> tuple[Values, Bools | None]:
    """Gather the values that may be used, for an agent that may not use all values of everybody.

    Who is protected is found out first, from what the condition reads; of these nothing else is asked for,
    and no record is loaded. Then the records say what the others agreed to. Records are loaded here, once
    more than a wave loads them, in agents with a feature that has a purpose, and in no others.

    Args:
        assembly: The agent's parts; some feature has a purpose, or somebody is protected.
        recall: Loads records, blank ones where it cannot.
        subjects: n checked ids.
        context: Columns of n values by feature name.
        providers: In order of precedence.
        at: Microseconds since 1970.

    Returns:
        The values, and who is decided for without a record: shape (n,), bool; ``None`` for nobody.

    Raises:
        UnknownFeatureError: The context names a feature that is not declared.
        InvalidContextError: A column of the context does not have n rows.
    """
    schema, guard = assembly.schema, assembly.protection
    who, n = tuple(subjects), len(subjects)
    values = schema.read(context, n)
    may: Bools = np.ones((n, len(schema)), dtype=np.bool_, order="F")
    protected = None
    if guard is not None:
        values = schema.ask(values, who, providers, at, np.tile(guard.reads, (n, 1)))
        protected = guard.holds(schema.columns(values.matrix), n)
        may[protected] = guard.reads
    if schema.purposes:
        rows = np.arange(n) if protected is None else np.flatnonzero(~protected)
        may[rows] &= schema.covered(_recalled(assembly.plan, recall, [subjects[i] for i in rows.tolist()]))
    values.withhold(slice(None), ~may)
    if guard is not None:
        may[:, guard.reads] = False  # these were asked for
    return schema.ask(values, who, providers, at, may), protected


def withhold(assembly: Assembly, values: Values, rows: slice | NDArray[np.intp], records: Records, /) -> None:
    """Forget what these records do not cover any more: consent may have been withdrawn since the values came.

    Args:
        assembly: The agent's parts; some feature has a purpose.
        values: Of the batch.
        rows: Which m rows are being decided.
        records: Shape (m,): their records, as just loaded.
    """
    values.withhold(rows, ~assembly.schema.covered(granted(assembly.plan, records)))


def granted(plan: Plan, records: Records, /) -> Bools:
    """Which of the plan's purposes each subject agreed to: shape (n, p), bool."""
    part = plan.layout.part(records, PURPOSES)
    return np.stack([part[purpose] == GRANTED for purpose in plan.purposes], axis=1)


def hear(plan: Plan, rows: Records, fact: Fact, /) -> bool:
    """Write what a fact says about the use of features into records; say whether some feature is concerned.

    Values are used to choose among all channels at once: agreement for one channel covers no such use, and
    a withdrawal for one channel ends it.
    """
    if not isinstance(fact, ConsentGranted | ConsentWithdrawn) or fact.purpose not in plan.purposes:
        return False
    if isinstance(fact, ConsentWithdrawn):
        plan.layout.part(rows, PURPOSES)[fact.purpose] = WITHDRAWN
        return True
    if fact.channel is not None:
        return False
    plan.layout.part(rows, PURPOSES)[fact.purpose] = GRANTED
    return True


def _recalled(plan: Plan, recall: Callable[[list[str]], Records], subjects: list[str]) -> Bools:
    """What the records of these subjects cover, each loaded once: shape (n, p), bool."""
    names = list(dict.fromkeys(subjects))
    found = [np.zeros((0, len(plan.purposes)), dtype=np.bool_)]
    waves = range(0, len(names), _AT_ONCE)
    found += [granted(plan, recall(names[lo : lo + _AT_ONCE])) for lo in waves]
    whole: Bools = np.concatenate(found)
    if len(names) == len(subjects):
        return whole
    place = {name: row for row, name in enumerate(names)}
    return whole[[place[name] for name in subjects]]
