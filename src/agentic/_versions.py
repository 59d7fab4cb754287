"""Which policies were in charge, and how are they found again, in another process or after a restart?"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from agentic._codec import fingerprint
from agentic._logger import logger
from agentic.arrays import Space
from agentic.errors import CodecError, ConfigurationError, DamagedError
from agentic.protocols import Leads, Policy

if TYPE_CHECKING:
    from agentic.state import Shelf

_VERSIONS: Final = 256
_LED: Final = "+"  # after each of the templates of a champion and its challengers


class Versions:
    """The policies of one agent by version: the last 256 in memory, all of them on a shelf if there is one.

    A version that was learned belongs to the *template*, the policy as the application passed it, from which
    learning began. After a restart the application passes the template again and finds what was learned.

    Args:
        agent: Whose they are.
        space: What they are bound to.
        shelf: Keeps them in a database.

    Attributes:
        fitted: Stored version and policy, by the version it has since it was fitted to other actions.
    """

    def __init__(self, agent: str, space: Space, shelf: Shelf | None) -> None:
        self._agent = agent
        self._space = space
        self._shelf = shelf
        self._held: dict[str, Policy] = {}
        self._templates: dict[str, Policy] = {}
        self._origin: dict[str, str] = {}
        self.fitted: dict[str, tuple[str, Policy]] = {}

    def keep(self, policy: Policy, version: str, /, *, after: str | None = None) -> None:
        """Remember a bound policy, on the shelf too.

        Args:
            after: The version it was learned from; without one, and if nobody knows it, it is a template.
        """
        self._hold(policy, version)
        if self._shelf is None:
            return
        from agentic._restoring import dump  # only with a database

        body = None
        try:
            origin = self._line(policy, version if after is None else after)
            body = dump(policy, policy if _LED in origin else self._templates[origin])
        except CodecError as error:
            logger.warning(
                "agent %s: what policy %s learns cannot be stored and is lost when the process ends: %s",
                self._agent,
                policy.name,
                error,
            )
            origin = self._origin.get(version if after is None else after) or version
        self._note(policy, version, origin)
        self._shelf.put(self._agent, version, origin, body)

    def _line(self, policy: Policy, before: str) -> str:
        """The template that a policy comes from; of champion and challengers those of all, joined."""
        origin = self._origin.get(before)
        if origin is not None:
            return origin
        if isinstance(policy, Leads):
            return "".join(self._alone(member) + _LED for member in policy.members)
        return self._alone(policy)

    def _alone(self, policy: Policy) -> str:
        """The template of one policy, of champion and challengers too where they are a member of others."""
        from agentic._restoring import template_of  # only with a database

        origin = self._origin.get(fingerprint(policy))
        if origin is None or _LED in origin:
            origin = template_of(policy)
            self._templates.setdefault(origin, policy)
        return origin

    def _note(self, policy: Policy, version: str, origin: str) -> None:
        """Remember where a policy comes from, and where each comes from that is in charge with it."""
        self._origin[version] = origin
        if _LED in origin and isinstance(policy, Leads):
            for member, own in zip(policy.members, _parts(origin), strict=True):
                self._origin.setdefault(fingerprint(member), own)

    def get(self, version: str, /) -> Policy | None:
        """The policy of this version, if it is still known and belongs to a template of this process."""
        held = self._held.get(version)
        if held is not None or self._shelf is None:
            return held
        found = self._shelf.get(self._agent, version)
        policy, known = (None, "") if found is None else self._restored(version, *found)
        # Bound to other actions it is another policy than the one that decided.
        return policy if known == version else None

    def forget(self, keys: Sequence[int], /) -> None:
        """Let go of versions in which subjects can be found by their keys; these cannot be replayed then."""
        if self._shelf is not None:
            for version in self._shelf.forget(self._agent, keys):
                self._held.pop(version, None)

    def expect(self, template: Policy, version: str, /) -> None:
        """Take note of a policy that the application passed: what was learned from it can be restored.

        Args:
            template: What the application passed.
            version: Of it, bound.
        """
        from agentic._restoring import template_of  # only with a database

        with suppress(CodecError):  # whoever keeps it will say so
            origin = template_of(template)
            self._templates[origin], self._origin[version] = template, origin

    def meet(self, passed: Policy, ready: Policy, /) -> None:
        """Take note of a policy that the application assigns, and of who is in charge with it.

        Args:
            passed: As the application passed it.
            ready: The same, bound.
        """
        if self._shelf is None:
            return
        if isinstance(passed, Leads) and isinstance(ready, Leads):
            for member, own in zip(passed.members, ready.members, strict=True):
                self._meet(member, own)
        else:
            self._meet(passed, ready)

    def _meet(self, passed: Policy, ready: Policy) -> None:
        version = fingerprint(ready)
        if version not in self._origin:
            self.expect(passed, version)

    def last(self, ready: Policy, version: str, in_charge: str, /) -> tuple[Policy, str]:
        """What was learned last from a policy that was expected, and its version; itself if nothing was.

        Args:
            ready: What the application passed, bound.
            version: Of it.
            in_charge: The version that the log says is in charge; ``""`` if it says nothing.

        Raises:
            DamagedError: That version is not on the shelf, or not what was put there.
        """
        origin, itself = self._origin.get(version), (ready, version)
        if self._shelf is None:
            return itself
        held = self._shelf.get(self._agent, in_charge) if in_charge else None
        if in_charge and held is None and self._shelf.has(self._agent):
            raise DamagedError(
                f"policy version {in_charge}, which is in charge of agent {self._agent!r}, is not in the file"
                " any more: restore the file from a backup, or delete all rows of this agent from the table"
                " policies to begin anew",
                value=in_charge,
            )
        if origin is None:
            return itself
        if held is not None and held[0].partition(_LED)[0] in self._templates:
            policy, known = self._restored(in_charge, *held)
            if policy is None and _LED in held[0]:
                raise ConfigurationError(
                    f"policy version {in_charge}, which is in charge of agent {self._agent!r}, is a champion"
                    " with challengers that this process does not know: pass them too, challengers=[...]",
                    value=in_charge,
                )
        elif (found := self._shelf.last(self._agent, origin)) is not None:
            policy, known = self._restored(found[0], origin, found[1])
        else:
            return itself
        return itself if policy is None else (policy, known)

    def _hold(self, policy: Policy, version: str) -> None:
        self._held.pop(version, None)
        self._held[version] = policy
        while len(self._held) > _VERSIONS:
            del self._held[next(iter(self._held))]

    def _restored(self, version: str, origin: str, body: bytes | None) -> tuple[Policy | None, str]:
        """A stored policy, bound to this agent's actions, and its version: another if they changed."""
        templates = [self._templates.get(each) for each in _parts(origin)]
        known = [template for template in templates if template is not None]
        if len(known) < len(templates) or body is None:
            return None, ""
        from agentic._restoring import restore  # only with a database

        template, beside = known[0], known[1:]
        if _LED in origin:
            from agentic.policies import Split, Uniform  # only where somebody challenges

            beside = [Split(Uniform()), *beside]
        try:
            policy = restore(template, body, self._space, beside=beside)
        except (CodecError, ConfigurationError) as error:
            logger.warning(
                "agent %s: policy version %s does not fit what this agent is made of: %s",
                self._agent,
                version,
                error,
            )
            return None, ""
        found = fingerprint(policy)
        if found != version:
            stored = restore(template, body, beside=beside)
            if fingerprint(stored) != version:
                raise DamagedError(
                    f"policy version {version} of agent {self._agent!r} was stored with another content:"
                    " restore the file from a backup, or delete all rows of this agent from the table"
                    " policies to begin anew",
                    value=version,
                )
            self.fitted[found] = version, stored
        self._note(policy, found, origin)
        self._hold(policy, found)
        return policy, found


def _parts(origin: str) -> list[str]:
    """The templates of champion and challengers, or the one of a policy that is alone."""
    return origin.removesuffix(_LED).split(_LED)
