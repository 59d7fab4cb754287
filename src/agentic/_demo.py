"""What does a campaign look like from beginning to end: the facts of one simulated run.

``python -m agentic demo`` prints them. Facts are plain values, so that the report and ``--json`` cannot
disagree, and nothing in them depends on the clock: the same arguments give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from agentic import policies
from agentic._agent import Agent
from agentic._flow import COMPARED
from agentic._plugins import load
from agentic._records import DecisionBatch, batch_of, reason_bits
from agentic.catalogue import MICROS
from agentic.errors import ConfigurationError, PluginNotFoundError
from agentic.evaluation import Estimate, Joined, evaluate, joined
from agentic.experiments import Difference, difference, paired_difference
from agentic.policies import LinearThompson, SquareCB, Uniform
from agentic.protocols import Policy
from agentic.simulation import Simulated, campaign, one_step_value, playbook, simulate, templates
from agentic.types import MARKETING

Facts = dict[str, Any]  # JSON-compatible
Progress = Callable[[str, int, int], None]

DEFAULT: Final = LinearThompson.name
MOST_CUSTOMERS: Final = 200_000
MOST_WEEKS: Final = 52
MOST_CUSTOMER_WEEKS: Final = 1_600_000
_LONG_RUN: Final = 4_000
_WEEK_US: Final = 7 * 24 * 3_600_000_000

# Policies that cannot do without arguments, as one would use them in this campaign, given their class.
_RECIPES: Final[Mapping[str, Callable[[Any], Any]]] = {  # classes out of `policies`
    "rules": lambda kind: playbook(),
    "fixed": lambda kind: kind("reminder/email/morning"),
    "beta_thompson": lambda kind: kind(low=-50.0, high=500.0),
    "first_of": lambda kind: kind(playbook(), SquareCB()),
    "mixture": lambda kind: kind([(LinearThompson(), 0.8), (playbook(), 0.2)]),
    "split": lambda kind: kind(playbook(), [(LinearThompson(), 0.2)]),
    "template_ranking": lambda kind: kind(templates(), LinearThompson()),
}
_WORDS: Final[Mapping[str, str]] = {
    "kill_switch": "everything was stopped",
    "consent": "no consent",
    "suppression": "an open complaint",
    "quiet_hours": "quiet hours, 21:00 to 08:00",
    "weekly_cap": "two messages in seven days",
    "sms_cap": "a text message in seven days",
    "cooldown": "a message in the last 36 hours",
    "budget": "the week's budget was spent",
    "NOT_ELIGIBLE": "not eligible",
    "ELIGIBILITY_UNKNOWN": "eligibility unknown",
    "ZONE_UNKNOWN": "send time, but time zone unknown",
    "OUTRANKED": "a mandatory message went first",
    "CONTENDED": "the record kept changing",
    "STATE_UNAVAILABLE": "the store was down",
}


def policy_names() -> list[str]:
    """Short names of the policies in the box, sorted."""
    return sorted(_built_in())


def policy_named(name: str, /) -> Policy:
    """Make the policy of this name, from the box or from an installed plugin.

    Raises:
        ConfigurationError: There is none, or it needs arguments that nobody can guess.
    """
    found: Any = _built_in().get(name)  # a class; an installed plugin may be anything
    if found is None:
        try:
            found = load("policy", name)
        except PluginNotFoundError as error:
            raise ConfigurationError(
                f"no policy {name!r}: choose one of {', '.join(policy_names())}, or the name of an installed"
                " plugin",
                value=name,
                expected=policy_names(),
            ) from error
    recipe = _RECIPES.get(str(getattr(found, "name", "")))
    try:
        made = found() if recipe is None else recipe(found)
    except TypeError as error:
        raise ConfigurationError(
            f"the policy {name!r} cannot be made without arguments ({error}): choose another", value=name
        ) from error
    if not isinstance(made, Policy):
        raise ConfigurationError(f"the plugin {name!r} is not a policy: choose another", value=name)
    return made


def _built_in() -> dict[str, Any]:  # classes
    found: list[Any] = [getattr(policies, name) for name in policies.__all__]
    return {one.name: one for one in found if isinstance(getattr(one, "name", None), str)}


def check_size(customers: int, weeks: int, /) -> None:
    """Refuse a world that would not fit.

    Raises:
        ConfigurationError: A number is out of range, or both are too large together.
    """
    for value, most, what in ((customers, MOST_CUSTOMERS, "customers"), (weeks, MOST_WEEKS, "weeks")):
        if not 1 <= value <= most:
            raise ConfigurationError(
                f"{what} must be a whole number from 1 to {most:,}, got {value:,}", value=value
            )
    if customers * weeks > MOST_CUSTOMER_WEEKS:
        raise ConfigurationError(
            f"customers times weeks must not exceed {MOST_CUSTOMER_WEEKS:,}, got {customers * weeks:,}:"
            " take fewer of one",
            value=customers * weeks,
        )


def run(
    *, customers: int, weeks: int, seed: int, policy: str = DEFAULT, progress: Progress | None = None
) -> Facts:
    """Simulate the stock campaign and gather what a marketer wants to know.

    Args:
        customers: In the world.
        weeks: How long decisions are made.
        seed: Of the world and of the agent.
        policy: Name of the policy in charge.
        progress: Told what is being done, how many steps of it are done, and of how many.

    Raises:
        ConfigurationError: An argument is out of range.
    """
    check_size(customers, weeks)
    agent, world = campaign(policy_named(policy), customers=customers, seed=seed)
    told = progress or (lambda what, done, total: None)
    simulated = simulate(
        agent, world, weeks=weeks, progress=lambda done, total: told("simulating", done, total)
    )
    told("judging", 0, 4)
    rows = joined(agent)
    facts: Facts = {
        "customers": customers,
        "weeks": weeks,
        "seed": seed,
        "policy": policy,
        **_counts(agent, simulated, rows),
        **_arms(rows),
        "sends": _mix(agent, rows),
        "blocked": _blocked(agent),
        "budget": _budget(agent, rows, weeks, simulated),
    }
    told("judging", 1, 4)
    facts["what_if"] = _what_if(agent, simulated, rows, policy, seed)
    told("judging", 2, 4)
    facts["long_run"] = _long_run(agent, simulated, policy, customers, weeks, seed)
    told("judging", 3, 4)
    facts["explained"] = _explained(agent)
    replayed = agent.replay()
    facts["replay"] = {"decisions": replayed.decisions + replayed.missing, "identical": replayed.same}
    told("judging", 4, 4)
    return facts


def _number(value: float) -> float | None:
    """Six decimals, and nothing that JSON does not know."""
    return round(float(value), 6) if math.isfinite(value) else None


def _decisions(agent: Agent) -> list[DecisionBatch]:
    return [
        batch_of(block, receipt.first, agent.plan.catalogue)
        for receipt, block in agent.log.read()
        if block.kind == "decision" and block.meta["agent"] == agent.name  # others may share a log
    ]


def _counts(agent: Agent, simulated: Simulated, rows: Joined) -> Facts:
    sends = rows.action != rows.catalogue.idle
    return {
        "decisions": len(simulated.position),
        "messages": int(sends.sum()),
        "mandatory": int(rows.catalogue.mandatory[rows.action].sum()),
        "outcomes": dict(simulated.recorded),
        "cost": _number(rows.cost.sum()),
    }


def _arms(rows: Joined) -> Facts:
    """Reward per customer, arm by arm, and the differences to the policy's."""
    subjects = rows.by_subject()
    arms: Facts = {}
    for arm in COMPARED:
        part = subjects.of(arm)
        arms[arm] = {
            "customers": len(part),
            "reward": _mean(part.reward),
            "contacts": _mean(part.contacts),
            "cost": _mean(part.cost),
        }
    against: Facts = {}
    for arm in COMPARED[1:]:
        first, second = subjects.of("policy").reward, subjects.of(arm).reward
        if min(len(first), len(second)) > 1:
            found = difference(first, second)
            against[arm] = {"value": _number(found.value), **_bounds(found), "level": found.level}
    return {"arms": arms, "policy_minus": against}


def _bounds(found: Difference | Estimate) -> Facts:
    return {"low": _number(found.low), "high": _number(found.high)}


def _mean(values: Any) -> float | None:  # an array
    return _number(values.mean()) if len(values) else None


def _mix(agent: Agent, rows: Joined) -> Facts:
    """What the policy sends in the last quarter of its decisions, by dimension."""
    mine = rows.of(["policy"])
    late = mine.take(np.arange(3 * len(mine) // 4, len(mine)))
    counts = np.bincount(late.action, minlength=len(rows.catalogue))
    out: Facts = {}
    for action, count in zip(rows.catalogue.actions, counts.tolist(), strict=True):
        if action.message_class == MARKETING and action.channel is not None:
            for dimension, level in action.dimensions.items():
                part = out.setdefault(dimension, {})
                part[level] = part.get(level, 0) + count
    for dimension, part in out.items():
        total = max(sum(part.values()), 1)
        out[dimension] = {level: _number(count / total) for level, count in part.items()}
    return out


def _blocked(agent: Agent) -> list[Facts]:
    """Why candidates were struck out: share of all candidate sends, and of decisions it touched."""
    plan = agent.plan
    rules: dict[int, str] = {}
    for rule, mask, _ in reason_bits(list(plan.guardrails)):
        rules.setdefault(mask, rule)  # a guardrail denies, does not know or fails: all the same here
    candidates, touched, decisions = np.zeros(len(rules), np.int64), np.zeros(len(rules), np.int64), 0
    for batch in _decisions(agent):
        bits = batch.columns["denied"]
        decisions += len(bits)
        for index, mask in enumerate(rules):
            struck = (bits & bits.dtype.type(mask)) != 0
            candidates[index] += int(struck.sum())
            touched[index] += int(struck.any(axis=1).sum())
    offers = int(plan.catalogue.sends.sum())
    found = [
        {
            "rule": name,
            "words": _WORDS.get(name, name.replace("_", " ").lower()),
            "candidates": _number(count / (decisions * offers)),
            "decisions": _number(rows / decisions),
        }
        for name, count, rows in zip(rules.values(), candidates.tolist(), touched.tolist(), strict=True)
        if count
    ]
    return sorted(found, key=lambda one: (-one["candidates"], one["rule"]))


def _budget(agent: Agent, rows: Joined, weeks: int, simulated: Simulated) -> Facts:
    """What each week's budget was used for, from the log."""
    charge = agent.plan.charges["budget"]
    pool: Any = agent.plan.guardrails["budget"]  # a Pooled guardrail, by this name in the campaign
    begin = int(simulated.now[0]) // _WEEK_US if len(simulated.now) else 0
    week = rows.at // _WEEK_US - begin
    spent = np.bincount(week, weights=charge[rows.action], minlength=weeks)[:weeks] / MICROS
    allowance = pool.allowance(int(rows.at[0]))[1] / MICROS if len(rows) else 0.0
    return {"per_week": _number(allowance), "spent": [_number(one) for one in spent.tolist()]}


def _alternative(policy: str) -> tuple[str, Policy]:
    return ("uniform", Uniform()) if policy == "rules" else ("rules", playbook())


def _what_if(agent: Agent, simulated: Simulated, rows: Joined, policy: str, seed: int) -> Facts:
    """Another policy's value in the logged states of random control: estimated, and as the world has it."""
    name, other = _alternative(policy)
    arm = ["random_control"]
    part = rows.of(arm)
    if not len(part) or len(np.unique(part.key)) < 4:
        return {"policy": name, "arm": arm[0], "rows": len(part)}
    found = evaluate(agent, other, arms=arm, seed=seed)
    truth = one_step_value(agent, other, simulated, part)
    return {
        "policy": name,
        "arm": arm[0],
        "rows": found.n,
        "effective_rows": _number(found.diagnostics.effective_rows),
        "value": _number(found.value),
        **_bounds(found),
        "level": found.level,
        "method": found.method,
        "verdict": found.diagnostics.verdict,
        "reasons": list(found.diagnostics.reasons),
        "truth": _number(truth),
        "logged": _number(part.reward.mean()),
    }


def _long_run(
    agent: Agent, simulated: Simulated, policy: str, customers: int, weeks: int, seed: int
) -> Facts:
    """The other policy in charge from the first day, of the same first customers of the same world."""
    name, other = _alternative(policy)
    count = min(customers, _LONG_RUN)
    twin, world = campaign(other, customers=count, seed=seed)
    with_other = simulate(twin, world, weeks=weeks)
    mine = np.zeros(customers, dtype=np.bool_)
    arms = joined(agent)
    asked = np.isin(simulated.position, arms.of(["policy"]).position)
    mine[simulated.moment.row[asked]] = True
    here = np.flatnonzero(mine[:count])
    ours, theirs = simulated.value[here], with_other.value[here]
    out: Facts = {"policy": name, "customers": len(here), "in_charge": _mean(ours), "other": _mean(theirs)}
    if len(here) > 1:
        found = paired_difference(ours, theirs)
        out |= {"difference": _number(found.value), **_bounds(found)}
    return out


def _explained(agent: Agent) -> str | None:
    """The last decision of the policy that sends something and had to leave something out."""
    eligible = ~np.int64(1)
    for batch in reversed(_decisions(agent)):
        struck = ((batch.columns["denied"].astype(np.int64) & eligible) != 0).any(axis=1)
        found = np.flatnonzero((batch.columns["arm"] == 0) & batch.sends & struck)
        if len(found):
            return str(agent.explain(batch.take(found[:1]).ids[0]))
    return None
