"""Which policy is in charge, which ones were, and how are they found again after a restart?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs

from agentic._codec import fingerprint
from agentic._deciding import Desk
from agentic._logger import logger
from agentic._plan import bind
from agentic.arrays import Space
from agentic.errors import CodecError, ConfigurationError, DamagedError
from agentic.protocols import Policy

if TYPE_CHECKING:
    from agentic.state import Shelf

_VERSIONS: Final = 256


@attrs.define(eq=False)
class Published:
    """A policy in charge, with what the log says of it."""

    policy: Policy
    version: str
    meta: dict[str, Any]  # JSON-compatible
    desk: Desk
    remembers: bool


class Versions:
    """The policies of one agent by version: the last 256 in memory, all of them on a shelf if there is one.

    A version that was learned belongs to the *template*, the policy as the application passed it, from which
    learning began. After a restart the application passes the template again and finds what was learned.

    Args:
        agent: Whose they are.
        space: What they are bound to.
        shelf: Keeps them in a database.
    """

    def __init__(self, agent: str, space: Space, shelf: Shelf | None) -> None:
        self._agent = agent
        self._space = space
        self._shelf = shelf
        self._held: dict[str, Policy] = {}
        self._templates: dict[str, Policy] = {}
        self._origin: dict[str, str] = {}

    def keep(self, policy: Policy, version: str, /, *, after: str | None = None) -> None:
        """Remember a bound policy, on the shelf too.

        Args:
            after: The version it was learned from; without one, and if nobody knows it, it is a template.
        """
        self._hold(policy, version)
        if self._shelf is None:
            return
        from agentic._restoring import dump, template_of  # only with a database

        origin = self._origin.get(version if after is None else after)
        body = None
        try:
            if origin is None:
                origin = template_of(policy)
                self._templates.setdefault(origin, policy)
            body = dump(policy, self._templates[origin])
        except CodecError as error:
            logger.warning(
                "agent %s: what policy %s learns cannot be stored and is lost when the process ends: %s",
                self._agent,
                policy.name,
                error,
            )
            origin = origin or version
        self._origin[version] = origin
        self._shelf.put(self._agent, version, origin, body)

    def get(self, version: str, /) -> Policy | None:
        """The policy of this version, if it is still known and belongs to a template of this process."""
        held = self._held.get(version)
        if held is not None or self._shelf is None:
            return held
        found = self._shelf.get(self._agent, version)
        return None if found is None else self._restored(version, *found)

    def last(self, template: Policy, /) -> Policy:
        """What was learned last from this policy, which the application passed; itself, bound, if nothing was."""
        from agentic._restoring import template_of  # only with a database

        ready: Policy = bind(template, self._space)
        try:
            origin = template_of(template)
        except CodecError:  # whoever keeps it will say so
            return ready
        self._templates[origin] = template
        self._origin[fingerprint(ready)] = origin
        found = None if self._shelf is None else self._shelf.last(self._agent, origin)
        if found is None:
            return ready
        version, body = found
        return self._restored(version, origin, body) or ready

    def _hold(self, policy: Policy, version: str) -> None:
        self._held.pop(version, None)
        self._held[version] = policy
        while len(self._held) > _VERSIONS:
            del self._held[next(iter(self._held))]

    def _restored(self, version: str, origin: str, body: bytes | None) -> Policy | None:
        template = self._templates.get(origin)
        if template is None or body is None:
            return None
        from agentic._restoring import restore  # only with a database

        try:
            policy = restore(template, body, self._space)
        except (CodecError, ConfigurationError) as error:
            logger.warning(
                "agent %s: policy version %s does not fit what this agent is made of: %s",
                self._agent,
                version,
                error,
            )
            return None
        if fingerprint(policy) != version:
            raise DamagedError(
                f"policy version {version} of agent {self._agent!r} was stored with another content: restore"
                " the file from a backup, or delete the row from the table policies to go on without it",
                value=version,
            )
        self._origin[version] = origin
        self._hold(policy, version)
        return policy
