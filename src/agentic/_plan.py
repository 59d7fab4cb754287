"""How an agent is put together: parts checked, bound to each other, and laid out as one plan."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs
import numpy as np

from agentic import _noise, zones
from agentic._codec import fingerprint
from agentic._flow import (
    CORE,
    MOST_GUARDRAILS,
    NOT_SUPPRESSED,
    POLICIES,
    PURPOSES,
    Plan,
    denial_bits,
    denial_dtype,
)
from agentic.arrays import I64, Bools, Field, Layout, Space
from agentic.catalogue import Catalogue
from agentic.conditions import Condition
from agentic.errors import CodecError, ConfigurationError
from agentic.features import Schema
from agentic.protocols import (
    Binds,
    Declares,
    Feature,
    Guardrail,
    Hears,
    Learner,
    Policy,
    Pooled,
    Remembers,
    Stateful,
)
from agentic.types import Action

CORE_FIELDS = (
    Field("key", "u8", role="profile"),
    Field("decisions", "u4"),
    Field("zone", "i2", (), -1, role="profile"),
    Field("until", "i8", (), NOT_SUPPRESSED, role="profile"),
    Field("restricted", "?", role="profile"),
)


_SURROGATE = Field("surrogate", "u8", (2,), role="profile")


@attrs.frozen(eq=False)
class Assembly:
    """The parts of an agent, fitted together.

    Attributes:
        plan: What the flow needs.
        schema: Gathers and encodes features.
        pooled: Guardrails that draw on a shared pool.
        zone_feature: Name of the feature that tells a subject's zone.
        default_zone: Zone of subjects whose zone nobody told.
        protection: Who is decided for without being known; ``None`` for nobody.
    """

    plan: Plan
    schema: Schema
    pooled: dict[str, Pooled]
    zone_feature: str | None
    default_zone: int
    protection: Any = None  # a Protection: its file is imported when somebody is protected


def assemble(
    name: str,
    *,
    actions: Iterable[Action],
    features: Sequence[Feature],
    guardrails: Sequence[Guardrail],
    control: Policy,
    fallback: Policy,
    holdout: float,
    random_control: float,
    floor: float,
    seed: int,
    salt: str,
    zone: str | None,
    protect: Condition | None,
    protected: Policy,
    pseudonymous: bool = False,
) -> Assembly:
    """Check the parts, bind them to the catalogue and the features, and lay out the subject record.

    Args:
        pseudonymous: The log wants surrogates in place of ids.

    Raises:
        ConfigurationError: Parts do not fit together.
    """
    catalogue = Catalogue.of(actions)
    for guardrail in guardrails:
        part(guardrail, Guardrail, "a guardrail", "a name and review(batch)")
    most = MOST_GUARDRAILS - (protect is not None)
    if len(guardrails) > most:
        raise ConfigurationError(
            f"an agent takes at most {most} guardrails, got {len(guardrails)}", value=len(guardrails)
        )
    declared = [f for part in guardrails if isinstance(part, Declares) for f in part.features]
    schema = Schema.of(_distinct([*features, *declared]))
    space = Space(
        catalogue, schema.width, tuple(schema.encoded), frozenset(schema.fields), dict(schema.categories)
    )
    bound = {unique: bind(guardrail, space) for unique, guardrail in _named(guardrails).items()}
    guard = None
    if protect is not None:
        from agentic._protecting import protection  # most agents do without

        guard = protection(protect, schema.names, schema.needing, space, bound.values())
        unique, twin = guard.name, 2
        while unique in bound:
            unique, twin = f"{guard.name}_{twin}", twin + 1
        bound[unique] = guard
    stateful: dict[str, Stateful] = {n: g for n, g in bound.items() if isinstance(g, Stateful)}
    pooled: dict[str, Pooled] = {n: g for n, g in bound.items() if isinstance(g, Pooled)}
    for share, what in (
        (holdout, "holdout"),
        (random_control, "random_control"),
        (floor, "exploration_floor"),
    ):
        if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share <= 1:
            raise ConfigurationError(f"{what} must be a share from 0 to 1, got {share!r}", value=share)
    if holdout + random_control > 1:
        raise ConfigurationError(
            f"holdout and random_control together must not exceed 1, got {holdout + random_control}",
            value=holdout + random_control,
        )
    charges = {n: _charge(n, part, space) for n, part in pooled.items()}
    core = (*CORE_FIELDS, _SURROGATE) if pseudonymous else CORE_FIELDS
    plan = Plan(
        space=space,
        layout=_layout(name, core, stateful, schema.purposes, ()),
        guardrails=bound,
        stateful=stateful,
        charges=charges,
        dearest={name: int(charge.max(initial=0)) for name, charge in charges.items()},
        eligible=_eligible(space),
        control=bind(checked(control), space),
        fallback=bind(checked(fallback), space),
        protected=bind(_certain(protected), space),
        holdout=float(holdout),
        random_control=float(random_control),
        assignment=_noise.assignment_seed(salt),
        floor=float(floor),
        seed=draw_key(name, seed),
        denied_dtype=denial_dtype(len(bound)),
        bits=denial_bits(len(bound)),
        stoppable=_stoppable(guardrails, catalogue),
        core=core,
        purposes=schema.purposes,
    )
    for stand_in in (plan.control, plan.fallback):
        plan = remembering(plan, stand_in)
    # Late: importing an agent does without. Whoever has categories has this file anyway.
    from agentic.features import TimeZone

    zoned = [feature for feature in schema.features if isinstance(feature, TimeZone)]
    if len(zoned) > 1:
        named = [feature.name for feature in zoned]
        raise ConfigurationError(f"an agent reads one TimeZone feature, got {named!r}", value=named)
    default = zones.UNKNOWN if zone is None else zones.check(zone, "zone")
    if zoned and zoned[0].default is not None:
        default = zones.check(zoned[0].default, "default of the TimeZone feature")
    return Assembly(plan, schema, pooled, zoned[0].name if zoned else None, default, guard)


def _layout(
    name: str,
    core: Sequence[Field],
    stateful: Mapping[str, Stateful],
    purposes: Sequence[str],
    remembered: Sequence[Field],
) -> Layout:
    """The subject record: fields of the agent, its guardrails, consent to the use of features, policies."""
    parts: dict[str, Sequence[Field]] = {
        CORE: core,
        **{n: part.fields for n, part in stateful.items()},
    }
    if purposes:
        parts[PURPOSES] = [Field(purpose, "i1", role="profile") for purpose in purposes]
    if remembered:
        parts[POLICIES] = remembered
    return Layout.compose(name, parts)


def _certain(policy: Policy) -> Policy:
    """The policy for protected subjects, if it neither learns nor remembers.

    Raises:
        ConfigurationError: It does, or is no policy.
    """
    if isinstance(checked(policy), Learner) or fields_of(policy):
        raise ConfigurationError(
            "protected must be a policy that does not learn, such as Fixed('help_line'),"
            f" got {policy.name!r}",
            value=policy.name,
        )
    return policy


def draw_key(agent: str, seed: int, /) -> int:
    """The seed of every draw of an agent: a hash, so that neighbouring seeds have nothing in common."""
    return _noise.text_key(f"draw/{agent}/{seed}")


def standing(plan: Plan, schema: Schema, /) -> dict[str, Any]:  # JSON-compatible
    """What the log says of an agent with every decision, beside its policy: whatever the decision hangs on.

    ``catalogue``, ``encoding``, ``control`` and ``fallback`` are hashes of content; empty where a plugin's
    content has no stored form.
    """
    catalogue = plan.catalogue
    content = (
        catalogue.cost,
        catalogue.delay_us,
        catalogue.send_minute,
        catalogue.mandatory,
        (catalogue.channels, catalogue.channel, catalogue.classes, catalogue.message_class),
        [(condition, asked) for condition, asked in plan.eligible],
    )
    return {
        "guardrails": list(plan.guardrails),
        "catalogue": _hashed(content),
        "encoding": schema.encoding,
        "control": _hashed(plan.control),
        "fallback": _hashed(plan.fallback),
        "exploration_floor": plan.floor,
        "holdout": plan.holdout,
        "random_control": plan.random_control,
        "assignment": f"{plan.assignment:016x}",
    }


def _hashed(content: object) -> str:
    try:
        return fingerprint(content)
    except CodecError:
        return ""


def bind(part: Any, space: Space, /) -> Any:  # a policy or a guardrail: what came in comes out
    """Bind a component that wants to be bound."""
    return part.bind(space) if isinstance(part, Binds) else part


def checked(policy: object, /) -> Policy:
    """The policy, if it is one.

    Raises:
        ConfigurationError: It lacks a name or ``propose``.
    """
    part(policy, Policy, "a policy", "a name and propose(batch)")
    assert isinstance(policy, Policy)  # noqa: S101 - just checked; for the type checker
    return policy


def fields_of(policy: Policy, /) -> tuple[Field, ...]:
    """What a policy keeps in the subject record; nothing, for most.

    Raises:
        ConfigurationError: Two of its fields have one name.
    """
    # Asked first for one method, because a protocol takes long to be told from another.
    if not callable(getattr(policy, "remember", None)) or not isinstance(policy, Remembers):
        return ()
    fields = tuple(policy.fields)
    seen: dict[str, Field] = {}
    for field in fields:
        if field.name in seen:
            raise ConfigurationError(
                f"policy {policy.name!r} keeps field {field.name!r} twice: give one of two policies of a"
                ' kind another name, Personal(name="...")',
                value=field.name,
            )
        seen[field.name] = field
    return fields


def remembering(plan: Plan, policy: Policy, /) -> Plan:
    """The plan with room for what this policy keeps in the subject record; what others kept stays there.

    Raises:
        ConfigurationError: A field of that name exists with another dtype, shape or default.
        LayoutError: A field cannot be laid out.
    """
    have = {field.name: field for field in plan.remembered}
    new = []
    for field in fields_of(policy):
        old = have.get(field.name)
        if old is None:
            new.append(field)
        elif _kind(old) != _kind(field):
            raise ConfigurationError(
                f"policy {policy.name!r} keeps {field.name!r} as {_kind(field)!r}, the records of this agent"
                f" hold it as {_kind(old)!r}: give the policy another name",
                value=_kind(field),
                expected=_kind(old),
            )
    if not new:
        return plan
    remembered = (*plan.remembered, *new)
    layout = _layout(plan.layout.name, plan.core, plan.stateful, plan.purposes, remembered)
    return attrs.evolve(plan, layout=layout, remembered=remembered)


def _kind(field: Field) -> tuple[str, tuple[int, ...], bytes]:
    dtype = np.dtype(field.dtype)
    return dtype.str, tuple(field.shape), np.full(field.shape, field.default, dtype=dtype).tobytes()


def part(value: object, socket: type, what: str, needs: str, /) -> None:
    """Refuse what does not fit its socket, classes in place of objects above all.

    Raises:
        ConfigurationError: It lacks what the socket asks for.
    """
    if isinstance(value, type):
        raise ConfigurationError(
            f"{value.__name__} is a class, expected an object that is {what}: write {value.__name__}(...)",
            value=value,
        )
    if not isinstance(value, socket):
        raise ConfigurationError(f"{value!r} is not {what}: it needs {needs}", value=value)


def listed(parts: Any, what: str, /) -> list[Any]:  # parts of one kind
    """The parts as a list.

    Raises:
        ConfigurationError: It is one part, or none, in place of several.
    """
    if isinstance(parts, str | bytes) or not isinstance(parts, Iterable):
        raise ConfigurationError(f"{what} must be a list, got {parts!r}: write [...] around it", value=parts)
    return list(parts)


def _distinct(features: list[Feature]) -> list[Feature]:
    """Features a guardrail declares again, exactly as the agent did, count once."""
    seen: dict[str, Feature] = {}
    out = []
    for feature in features:
        if seen.get(getattr(feature, "name", "")) == feature:
            continue
        seen[getattr(feature, "name", "")] = feature
        out.append(feature)
    return out


def _named(guardrails: Sequence[Guardrail]) -> dict[str, Guardrail]:
    """Guardrails by name, in their order.

    Twins that keep state are told apart by what they are, not by where they stand: a list in another order
    finds the same records. Other twins are numbered.
    """
    names = [guardrail.name for guardrail in guardrails]
    out: dict[str, Guardrail] = {}
    for name, guardrail in zip(names, guardrails, strict=True):
        if not isinstance(name, str) or not name.isidentifier() or name == CORE:
            raise ConfigurationError(
                f"a guardrail's name must be a word other than {CORE!r}, got {name!r}", value=name
            )
        unique, twin = name, 2
        if names.count(name) > 1 and isinstance(guardrail, Stateful | Pooled):
            unique = f"{name}_{fingerprint(guardrail)[:8]}"
            if unique in out:
                raise ConfigurationError(
                    f"guardrail {guardrail!r} stands in the list twice: once is enough", value=guardrail
                )
        while unique in out:
            unique, twin = f"{name}_{twin}", twin + 1
        out[unique] = guardrail
    return out


def _stoppable(guardrails: Sequence[Guardrail], catalogue: Catalogue) -> Bools:
    """The candidates that a suppressed subject does not get, shape (k,).

    All of them, but for the message classes that a `Suppression` without any other scope leaves alone.
    """
    spared: set[str] | None = None
    if any(isinstance(guardrail, Hears) for guardrail in guardrails):
        from agentic.guardrails import Suppression  # late: importing an agent does without

        for rule in guardrails:
            if (
                isinstance(rule, Suppression)
                and rule.channels is rule.message_classes is rule.actions is None
            ):
                spared = set(rule.exempt) if spared is None else spared & set(rule.exempt)
    stoppable = catalogue.pick(exempt=tuple(sorted(spared or ())))
    stoppable.flags.writeable = False
    return stoppable


def _charge(name: str, part: Pooled, space: Space) -> I64:
    charge = np.asarray(part.charge(space))
    if charge.shape != (len(space.catalogue),) or charge.dtype != np.int64 or (charge < 0).any():
        raise ConfigurationError(
            f"guardrail {name!r}: charge must be int64, not negative, one for each of"
            f" {len(space.catalogue)} actions, got {charge!r}",
            value=charge,
        )
    if charge[space.catalogue.idle]:
        raise ConfigurationError(f"guardrail {name!r}: NO_ACTION must be free of charge")
    return charge


def _eligible(space: Space) -> list[tuple[Condition, I64]]:
    """Each distinct eligibility condition, with the columns it is asked for."""
    found: dict[Condition, list[int]] = {}
    for column, action in enumerate(space.catalogue.actions):
        condition = action.eligible
        if condition is None:
            continue
        if unknown := condition.fields - space.fields:
            raise ConfigurationError(
                f"action {action.id!r} is eligible by {sorted(unknown)!r}, which no feature declares:"
                f" declared are {sorted(space.fields)!r}",
                value=sorted(unknown),
                expected=sorted(space.fields),
            )
        found.setdefault(condition, []).append(column)
    return [(condition, np.array(columns)) for condition, columns in found.items()]
