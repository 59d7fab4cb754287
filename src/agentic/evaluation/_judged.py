"""What must be known of an agent to judge policies by its log?"""

from __future__ import annotations

from typing import Protocol

from agentic._archive import Archive
from agentic._flow import Plan
from agentic.features import Schema
from agentic.protocols import ProvenanceLog


class Judged(Protocol):
    """An agent, as far as its log can be judged: every ``Agent`` is one."""

    @property
    def name(self) -> str:
        """Names its decisions in the log."""

    @property
    def plan(self) -> Plan:
        """Catalogue, features and guardrails."""

    @property
    def schema(self) -> Schema:
        """How features are described."""

    @property
    def log(self) -> ProvenanceLog:
        """What was decided, and what came of it."""

    @property
    def policy_version(self) -> str:
        """Hash of the policy in charge."""


def archive(agent: Judged, /) -> Archive:
    """Where the agent's decisions and rewards are; agents may share a log."""
    return Archive(agent.name, agent.log, agent.plan.catalogue)
