"""How does a policy become data, and data a policy again, without data ever naming code?

What is written is what ``agentic._codec.fingerprint`` covers: the arguments that attrs classes, dataclasses
and named tuples are built from, down to numbers, texts and arrays. Whatever is left out, because it is
derived, comes back with ``__attrs_post_init__`` or ``bind(space)``. Classes and code come from the policy
that the application passes, the template, and never from data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentic import _declared, _packing
from agentic._codec import canonical, fingerprint
from agentic._forms import Reader, Writer
from agentic._known import Known, name_of
from agentic.arrays import Space
from agentic.catalogue import Catalogue
from agentic.conditions import Condition
from agentic.errors import CodecError, ConfigurationError
from agentic.protocols import Binds, Leads, Policy, Storable


def dump(policy: Policy, template: Policy, /) -> bytes:
    """Write a policy as data; the same bytes in every process.

    Args:
        policy: Any policy that the template has become.
        template: The policy as the application made it, bound or not: what it is restored with.

    Raises:
        CodecError: Something in it has no stored form, or could not be restored with this template.
    """
    if type(policy) is not type(template):
        raise CodecError(
            f"a {type(policy).__qualname__} is not restored with a {type(template).__qualname__}: pass the"
            " policy that it was learned from",
            value=type(policy).__qualname__,
            expected=type(template).__qualname__,
        )
    writer = Writer(Known.by(template))
    return _packing.pack(writer.form(policy, "policy", 0), writer.arrays)


def restore(
    template: Policy, data: bytes, space: Space | None = None, /, *, beside: Sequence[Policy] = ()
) -> Policy:
    """Read a policy from what ``dump`` wrote, trusting nothing about it but that it is no secret.

    Time and memory are bounded by the length of the data.

    Args:
        template: The policy as the application made it, bound or not: classes and code come from it.
        data: What ``dump`` wrote.
        space: What to bind the policy to; ``None`` leaves that to the caller.
        beside: Templates of what the data may hold besides, where the template is only one of several
            policies in charge together.

    Raises:
        CodecError: It does not fit the template, or is not what ``dump`` writes.
        ConfigurationError: It does not fit the space, as when features have changed.
    """
    document, arrays = _packing.unpack(data)
    policy = Reader(Known.by((template, *beside)), arrays).value(document, "policy")
    arrays.end()
    asked = policy.champion if beside and isinstance(policy, Leads) else policy
    if type(asked) is not type(template):
        raise CodecError(
            f"the data hold a {type(policy).__qualname__}, the template is a {type(template).__qualname__}",
            value=type(policy).__qualname__,
            expected=type(template).__qualname__,
        )
    restored: Policy = policy
    if space is None or not isinstance(restored, Binds):
        return restored
    try:
        ready: Policy = restored.bind(space)
    except ConfigurationError:
        raise
    except Exception as error:  # a plugin's, on data that may be anything
        raise CodecError(f"the stored policy cannot be bound: {type(error).__name__}") from error
    return ready


def template_of(policy: Policy, /) -> str:
    """Hash a policy as the application passes it: 16 hexadecimal digits, to tell its stored state by.

    It is the object as passed that is hashed, not what it becomes when it is bound, so that stored state
    outlives a change of the catalogue, to which ``bind`` fits it. Fields that have their default are left
    out, so that it also outlives a release that adds one or changes a default; the stored policy keeps
    the values that it has learned with. A policy that is passed with something learned in it is another
    one for each thing it has learned: that is what its owner wants to start from.

    Raises:
        CodecError: Something in it has no stored form.
    """
    return fingerprint(_configured(policy, 0))


def _configured(value: Any, depth: int) -> Any:  # anything
    """What of a value is not as it would be anyway."""
    if depth > _packing.DEEPEST:
        raise CodecError(f"a policy nests at most {_packing.DEEPEST} deep, got more")
    kind = type(value)
    if kind in (tuple, list):
        return [_configured(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        # Pairs, so that no mapping looks like an object.
        pairs = [[_configured(key, depth + 1), _configured(item, depth + 1)] for key, item in value.items()]
        return {"pairs": sorted(pairs, key=canonical)}
    parts = None if isinstance(value, Condition | Catalogue | Storable) else _declared.parts(kind)
    if parts is None:
        return value
    out = {"type": name_of(kind)}
    for part in parts:
        held = _configured(getattr(value, part.name), depth + 1)
        usual = None if part.needed else part.default
        if usual is None or canonical(held) != canonical(_configured(usual(), depth + 1)):
            out[part.name] = held
    return out
