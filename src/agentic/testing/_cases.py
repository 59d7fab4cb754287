"""Does an agent still decide what it decided once: for test cases written from a log?"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentic._agent import Agent
from agentic._testcase import choose_again


def decide_again(
    agent: Agent,
    /,
    *,
    subject: str,
    ticket: int,
    at: str,
    features: Mapping[str, float],
    struck_out: Sequence[str] = (),
    zone: str | None = None,
    arm: str = "policy",
    policy_failed: bool = False,
    slots: int = 1,
    remembered: Mapping[str, Any] | None = None,  # numbers, or nested lists of them
) -> list[tuple[str, float]]:
    """Decide from a logged case with the agent's policy in charge: what ``Agent.as_test`` writes calls this.

    Nothing is stored or logged, and no guardrail is asked.

    Args:
        agent: Whose policy, actions and features are asked.
        subject: Whoever the key is made of.
        ticket: Which draw of the key.
        at: When it was decided, in ISO 8601 with an offset.
        features: Values by name, as they are logged: numbers, places of categories; ``nan`` where there was
            none.
        struck_out: Ids of the candidates that rules had struck out.
        zone: The subject's, by its IANA name.
        arm: ``"policy"``, ``"holdout"`` or ``"random_control"``.
        policy_failed: Whether the fallback decided.
        slots: Actions to choose.
        remembered: What policies kept of the subject, by field.

    Returns:
        Ids of the actions with their probabilities, slot by slot.

    Raises:
        EvaluationError: The agent has other features, actions or fields than the case.
    """
    return choose_again(
        agent.plan,
        agent.schema,
        agent.policy,
        subject=subject,
        ticket=ticket,
        at=at,
        zone=zone,
        arm=arm,
        policy_failed=policy_failed,
        slots=slots,
        features=features,
        struck_out=struck_out,
        remembered=remembered or {},
    )
