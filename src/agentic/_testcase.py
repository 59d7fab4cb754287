"""How does a logged decision become a test case, and how is such a case decided?"""

from __future__ import annotations

import keyword
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import numpy as np

from agentic import _noise, zones
from agentic._again import logged_batch, weighed_again
from agentic._flow import ARMS, POLICIES, Plan, draw
from agentic._plan import draw_key
from agentic._records import DecisionBatch
from agentic.arrays import Batch
from agentic.errors import ConfigurationError, EvaluationError
from agentic.features import Schema
from agentic.protocols import Policy
from agentic.types import instant, micros

_SOMEBODY: Final = "subject-1"


def choose_again(
    plan: Plan,
    schema: Schema,
    policy: Policy,
    /,
    *,
    subject: str,
    ticket: int,
    at: str,
    zone: str | None,
    arm: str,
    policy_failed: bool,
    slots: int,
    features: Mapping[str, float],
    struck_out: Sequence[str],
    remembered: Mapping[str, Any],
) -> list[tuple[str, float]]:
    """Decide from what a test case tells: action ids with their probabilities, slot by slot.

    Args:
        plan: The agent's.
        schema: The agent's features.
        policy: Its policy.
        subject: Whoever the key is made of.
        ticket: Which draw of the key.
        at: When it was decided, in ISO 8601 with an offset.
        zone: The subject's, by its IANA name.
        arm: ``"policy"``, ``"holdout"`` or ``"random_control"``.
        policy_failed: Whether the fallback decided.
        slots: Actions to choose.
        features: Values by name, as they are logged; ``nan`` where there was none.
        struck_out: Ids of the candidates that rules had struck out.
        remembered: What policies kept of the subject, by field.

    Raises:
        EvaluationError: The agent has other features, actions or fields than the case.
    """
    _check("features", features, schema.names)
    if odd := set(struck_out) - set(plan.catalogue.ids):
        raise EvaluationError(f"the case strikes out {sorted(odd)!r}, which are no actions of the agent")
    denied = [[action_id in set(struck_out) for action_id in plan.catalogue.ids]]
    found = DecisionBatch(
        {
            "key": _noise.text_keys([subject]),
            "at": np.array([micros(datetime.fromisoformat(at))], dtype=np.int64),
            "zone": np.array([zones.UNKNOWN if zone is None else zones.number(zone)], dtype=np.int16),
            "values": np.array([[float(features[name]) for name in schema.names]]).reshape(1, len(schema)),
            "denied": np.array(denied, dtype=plan.denied_dtype),
            "action": np.zeros((1, slots), np.int64),
        },
        ({},),
        np.zeros(1, np.int64),
        plan.catalogue,
    )
    batch = logged_batch(plan, schema, found)
    if batch.rows is not None:
        rows = plan.layout.part(plan.layout.new(1), POLICIES)
        _check("remembered", remembered, rows.dtype.names or ())
        for name, value in remembered.items():
            rows[name] = value
        batch.rows = rows
    return _chosen(plan, policy, batch, ticket, arm, failed=policy_failed)


def _check(what: str, told: Mapping[str, Any], known: Sequence[str]) -> None:
    if odd := set(told) ^ set(known) if what == "features" else set(told) - set(known):
        raise EvaluationError(
            f"the case tells {what} {sorted(told)!r}, the agent has {sorted(known)!r}: they differ in"
            f" {sorted(odd)!r}; write the case anew",
            value=sorted(told),
            expected=sorted(known),
        )


def _chosen(
    plan: Plan, policy: Policy, batch: Batch, ticket: int, arm: str, *, failed: bool
) -> list[tuple[str, float]]:
    arms = np.array([ARMS.index(arm)], dtype=np.uint8)
    weighed = weighed_again(plan, policy, batch, arms, np.array([failed]))
    drawn = draw(plan, batch, weighed, np.array([ticket], dtype=np.uint64), arms)
    ids = plan.catalogue.ids
    chances = drawn.probability[0].tolist()
    return [(ids[a], p) for a, p in zip(drawn.action[0].tolist(), chances, strict=True)]


def write_test(
    plan: Plan, schema: Schema, policy: Policy, found: DecisionBatch, factory: str, subject: str | None, /
) -> str:
    """Write a batch of one decision as the text of a pytest module.

    Args:
        plan: The agent's.
        schema: The agent's features.
        policy: The one in charge.
        found: The decision.
        factory: ``"package.module:function"``.
        subject: Whom the test speaks of; ``None`` for a made-up id.

    Raises:
        EvaluationError: The decision was erased, or hangs on the subject's key.
        ConfigurationError: The factory is not written like that.
    """
    module, function = _path(factory)
    columns, meta = found.columns, found.meta(0)
    key, decision_id = int(columns["key"][0]), found.ids[0]
    if key == 0:
        raise EvaluationError(
            f"decision {decision_id} cannot become a test: its personal part was erased", value=decision_id
        )
    somebody = _SOMEBODY if subject is None else subject
    other = _noise.text_key(somebody)
    seed = draw_key(meta["agent"], meta["seed"])
    ticket = _noise.same_draw(seed, key, int(columns["ticket"][0]), other)
    case = {
        "subject": somebody,
        "ticket": ticket,
        "at": instant(columns["at"][0]).isoformat(),
        "zone": _zone(int(columns["zone"][0])),
        "arm": ARMS[int(columns["arm"][0])],
        "policy_failed": bool(columns["policy_failed"][0]),
        "slots": columns["action"].shape[1],
        "features": dict(zip(meta["features"], columns["values"][0].tolist(), strict=True)),
        "struck_out": [
            action_id
            for action_id, bits in zip(meta["actions"], columns["denied"][0].tolist(), strict=True)
            if bits
        ],
        "remembered": _remembered(plan, schema, found),
    }
    if other != key and meta["actions"] == list(plan.catalogue.ids) and meta["features"] == [*schema.names]:
        _check_key_says_nothing(plan, schema, policy, found, other, decision_id)
    expected = [
        (meta["actions"][action], probability)
        for action, probability in zip(
            columns["action"][0].tolist(), columns["probability"][0].tolist(), strict=True
        )
    ]
    lines = [f"        {name}={_literal(value)}," for name, value in case.items()]
    return "\n".join(
        [
            f'"""Decision {decision_id}, decided again from what was logged of it."""',
            "",
            *(["from math import inf, nan  # noqa: F401", ""] if _odd(case) else []),
            "from agentic.testing import decide_again",
            f"from {module} import {function}",
            "",
            "",
            f"def test_decision_{decision_id}() -> None:",
            '    """What was known then gives the same actions with the same probabilities."""',
            "    chosen = decide_again(",
            f"        {function}(),",
            *lines,
            "    )",
            f"    assert chosen == {_literal(expected, 4)}",
            "",
        ]
    )


def _path(factory: str) -> tuple[str, str]:
    module, _, function = factory.partition(":") if isinstance(factory, str) else ("", "", "")
    words = [*module.split("."), function]
    if not all(word.isidentifier() and not keyword.iskeyword(word) for word in words):
        raise ConfigurationError(
            f"factory must be written 'package.module:function', got {factory!r}", value=factory
        )
    return module, function


def _zone(number: int) -> str | None:
    return zones.names()[number] if 0 <= number < len(zones.names()) else None


def _remembered(plan: Plan, schema: Schema, found: DecisionBatch) -> dict[str, Any]:
    rows = logged_batch(plan, schema, found).rows if "remembered" in found.columns else None
    return {} if rows is None else {name: rows[name][0].tolist() for name in rows.dtype.names or ()}


def _check_key_says_nothing(
    plan: Plan, schema: Schema, policy: Policy, found: DecisionBatch, other: int, decision_id: str
) -> None:
    columns = found.columns
    twin = found.take(slice(None))
    twin.columns["key"] = np.array([other], dtype=np.uint64)
    one, two = (
        weighed_again(
            plan, policy, logged_batch(plan, schema, each), columns["arm"], columns["policy_failed"]
        )
        for each in (found, twin)
    )
    if (one.weights != two.weights).any():
        raise EvaluationError(
            f"decision {decision_id} cannot be told of somebody else: policy {policy.name!r} goes by the"
            " subject's key; pass the subject's own id as subject",
            value=decision_id,
        )


def _odd(value: Any) -> bool:  # a literal
    if isinstance(value, dict | list):
        return any(_odd(item) for item in (value.values() if isinstance(value, dict) else value))
    return isinstance(value, float) and not np.isfinite(value)


def _literal(value: Any, indent: int = 8) -> str:  # plain data
    """Plain data as Python source, one item on a line; texts are quoted, so nothing of them is run."""
    inner = " " * (indent + 4)
    if isinstance(value, dict) and value:
        items = [f"{inner}{key!r}: {_literal(item, indent + 4)}," for key, item in value.items()]
        return "\n".join(["{", *items, " " * indent + "}"])
    if isinstance(value, list) and value and not isinstance(value[0], int | float):
        items = [f"{inner}{_literal(item, indent + 4)}," for item in value]
        return "\n".join(["[", *items, " " * indent + "]"])
    return repr(value)
