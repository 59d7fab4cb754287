"""How are the facts of a demonstration laid out for reading: plain text, from what ``_demo`` gathered."""

from __future__ import annotations

import textwrap
from typing import Any, Final

Facts = dict[str, Any]  # JSON-compatible

_COLUMNS: Final = 110


def report(facts: Facts, /) -> str:
    """Lay the facts out for reading, as plain text."""
    return "\n".join(
        [
            *_head(facts),
            *_told_arms(facts),
            *_told_mix(facts),
            *_told_budget(facts),
            *_told_blocked(facts),
            *_told_what_if(facts),
            *_told_rest(facts),
        ]
    )


def _money(value: float | None, digits: int = 2, *, sign: bool = False) -> str:
    if value is None:
        return "-"
    return f"{value:+,.{digits}f}" if sign else f"{value:,.{digits}f}"


def _head(facts: Facts) -> list[str]:
    outcomes = facts["outcomes"]
    refused = sum(outcomes.values()) - outcomes.get("counted", 0)
    return [
        f"{facts['customers']:,} simulated customers, {_weeks(facts)}, policy {facts['policy']}",
        (
            f"{facts['decisions']:,} decisions, {facts['messages']:,} messages for {_money(facts['cost'])},"
            f" {outcomes.get('counted', 0):,} outcomes counted, {refused:,} refused as late or double"
        ),
    ]


def _weeks(facts: Facts) -> str:
    return f"{facts['weeks']} weeks" if facts["weeks"] > 1 else "1 week"


def _told_arms(facts: Facts) -> list[str]:
    lines = [
        "",
        "Reward per customer (margin of purchases and clicks, less 5 for an unsubscription)",
        f"  {'':<16}{'customers':>10}{'reward':>10}{'contacts':>10}{'cost':>8}",
    ]
    for arm, one in facts["arms"].items():
        lines.append(
            f"  {_spaced(arm):<16}{one['customers']:>10,}{_money(one['reward']):>10}"
            f"{_money(one['contacts'], 1):>10}{_money(one['cost']):>8}"
        )
    for arm, one in facts["policy_minus"].items():
        bounds = f"{_money(one['low'], sign=True)} to {_money(one['high'], sign=True)}"
        lines.append(
            f"  policy minus {_spaced(arm):<15}{_money(one['value'], sign=True):>8}   95 % interval {bounds}"
        )
    return lines


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _told_mix(facts: Facts) -> list[str]:
    lines = ["", "What the policy sends by the end"]
    for dimension, part in facts["sends"].items():
        ranked = sorted(part.items(), key=lambda item: (-item[1], item[0]))
        told = ", ".join(f"{_spaced(level)} {share:.0%}" for level, share in ranked)
        lines.append(f"  {dimension:<9} {told}")
    return lines


def _told_budget(facts: Facts) -> list[str]:
    budget = facts["budget"]
    spent = ", ".join(_money(one) for one in budget["spent"])
    return ["", *_wrapped(f"Budget of {_money(budget['per_week'])} a week, spent week by week: {spent}", 0)]


def _told_blocked(facts: Facts) -> list[str]:
    lines = ["", f"What the rules struck out, share of{'':<7}{'candidates':>12}{'decisions':>12}"]
    lines.extend(
        f"  {one['words']:<38}{_share(one['candidates']):>12}{_share(one['decisions']):>12}"
        for one in facts["blocked"]
        if one["rule"] != "NOT_ELIGIBLE"
    )
    return lines


def _share(value: float) -> str:
    return "under 0.1%" if 0 < value < 0.0005 else f"{value:.1%}"


def _told_what_if(facts: Facts) -> list[str]:
    found = facts["what_if"]
    lines = [
        "",
        f"What if {found['policy']} decided? (from the log of {_spaced(found['arm'])}, per decision)",
    ]
    if "value" not in found:
        return [*lines, f"  too few decisions to say: {found['rows']:,}"]
    bounds = f"{_money(found['low'], 3)} to {_money(found['high'], 3)}"
    lines += [
        f"  {'estimated':<18}{_money(found['value'], 3):>8}   95 % interval {bounds} ({found['method']})",
        f"  {'simulated truth':<18}{_money(found['truth'], 3):>8}   of the same states, one step ahead",
        f"  {'what was logged':<18}{_money(found['logged'], 3):>8}",
        f"  verdict: {found['verdict']}, {found['rows']:,} rows worth {found['effective_rows']:,.0f}",
    ]
    if found["reasons"]:  # the gravest comes first
        more = f" (and {len(found['reasons']) - 1} more)" if len(found["reasons"]) > 1 else ""
        lines += _wrapped(found["reasons"][0] + more, 4)
    return [*lines, *_told_long_run(facts)]


def _told_long_run(facts: Facts) -> list[str]:
    found = facts["long_run"]
    mine, other = _money(found["in_charge"]), _money(found["other"])
    lines = [
        f"  simulated in charge of {found['customers']:,} customers for {_weeks(facts)}, each is worth",
        f"    {other} with {found['policy']}, {mine} with {facts['policy']}",
    ]
    if "difference" in found:
        bounds = f"{_money(found['low'], sign=True)} to {_money(found['high'], sign=True)}"
        lines[-1] += f": {_money(found['difference'], sign=True)}, 95 % interval {bounds}"
    return lines


def _wrapped(text: str, indent: int) -> list[str]:
    begin = " " * indent
    return textwrap.wrap(text, _COLUMNS, initial_indent=begin, subsequent_indent=f"{begin}  ")


def _told_rest(facts: Facts) -> list[str]:
    replay = facts["replay"]
    lines = ["", "One decision explained"]
    explained = facts["explained"] or "nothing was sent"
    for line in explained.splitlines():
        lines += _wrapped(line.lstrip(), 2 + len(line) - len(line.lstrip()))
    return [
        *lines,
        "",
        f"Replay: {replay['identical']:,} of {replay['decisions']:,} decisions came out identically",
    ]
