"""How is a plugin found by its name, ours as well as a stranger's?

Plugins are entry points of installed distributions. They are looked up when somebody asks and imported
then, never when `agentic` is. Nothing here takes names out of stored data: a bundle may name a plugin
that is installed, and nothing else is ever imported for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from agentic.errors import ConfigurationError, PluginConflictError, PluginNotFoundError

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUPS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "policy": "agentic.policies",
        "guardrail": "agentic.guardrails",
        "provider": "agentic.providers",
        "store": "agentic.stores",
        "log": "agentic.logs",
    }
)
"""Entry-point group by kind of plugin."""


class Plugin(NamedTuple):
    """A plugin as its distribution announces it; nothing of it has been imported.

    Attributes:
        kind: ``"policy"``, ``"guardrail"``, ``"provider"``, ``"store"`` or ``"log"``.
        name: What `load` finds it by.
        distribution: Who brings it.
        value: Where it is, ``"package.module:attribute"``.
    """

    kind: str
    name: str
    distribution: str
    value: str


def installed(kind: str | None = None, /) -> list[Plugin]:
    """List what is installed, sorted by kind, name and distribution, without importing any of it.

    Args:
        kind: Only this kind; ``None`` means all.

    Raises:
        ConfigurationError: There is no such kind.
    """
    kinds = tuple(GROUPS) if kind is None else (kind,)
    return sorted(
        Plugin(each, point.name, _distribution(point), point.value)
        for each in kinds
        for point in _points(each)
    )


def version() -> str:
    """The version of this distribution; ``0+source`` where it is imported without being installed."""
    from importlib import metadata

    try:
        return metadata.version("agentic-decisioning")
    except metadata.PackageNotFoundError:
        return "0+source"


def load(kind: str, name: str, /) -> Any:  # whatever the plugin is: mostly a class
    """Import the plugin of this kind and name.

    Raises:
        PluginNotFoundError: None is installed under this name.
        PluginConflictError: Several distributions claim the name.
        ConfigurationError: There is no such kind, or the plugin cannot be imported.
    """
    points = _points(kind)
    found = [point for point in points if point.name == name]
    if not found:
        raise _not_found(kind, name, sorted({point.name for point in points}))
    claimants = sorted({_distribution(point) for point in found})
    if len(found) > 1:
        raise PluginConflictError(
            f"{kind} {name!r} is claimed by {' and '.join(map(repr, claimants))}, expected one distribution:"
            " uninstall all but one of them",
            value=name,
            kind=kind,
            distributions=claimants,
        )
    point = found[0]
    try:
        return point.load()
    except Exception as error:  # a plugin is imported: it may raise anything
        raise ConfigurationError(
            f"{kind} {name!r} of distribution {claimants[0]!r} cannot be imported from {point.value!r}"
            f" ({type(error).__name__}: {error}): repair or uninstall it",
            value=name,
            kind=kind,
            distributions=claimants,
        ) from error


def _points(kind: str) -> list[EntryPoint]:
    group = GROUPS.get(kind) if isinstance(kind, str) else None
    if group is None:
        raise ConfigurationError(
            f"a kind of plugin is one of {', '.join(map(repr, GROUPS))}, got {kind!r}",
            value=kind,
            expected=tuple(GROUPS),
        )
    # Not paid for by those who load nothing by name: it is dear to import.
    from importlib.metadata import entry_points

    return list(entry_points(group=group))


def _distribution(point: EntryPoint) -> str:
    return "unknown" if point.dist is None else point.dist.name


def _not_found(kind: str, name: str, names: list[str]) -> PluginNotFoundError:
    import difflib  # only a mistake needs it

    near = difflib.get_close_matches(str(name), names, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return PluginNotFoundError(
        f"no {kind} named {name!r} is installed.{hint} Installed: {', '.join(names) or 'none'}."
        f" Plugins register under the entry-point group {GROUPS[kind]!r}.",
        value=name,
        kind=kind,
        expected=names,
    )
