"""What can a terminal try on simulated customers: ``python -m agentic simulate``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable

from agentic._terminal import Bar, is_watched


def add(add_parser: Callable[..., argparse.ArgumentParser], /) -> None:
    """Add the command."""
    command = add_parser(
        "simulate",
        help="try one policy against another on simulated customers",
        description="Put two policies in charge of the same simulated customers with the same luck, seed by"
        " seed, and say what the challenger does that the champion does not.",
    )
    option = command.add_argument
    option("scenario", nargs="?", default="retail", help="default retail; a wrong name lists all")
    option("--policy", default="linear_thompson", metavar="NAME", help="challenger, default linear_thompson")
    option("--against", default="rules", metavar="NAME", help="champion, default rules")
    option("--customers", type=int, default=500, metavar="N", help="default 500")
    option("--weeks", type=int, default=12, metavar="N", help="default 12")
    option("--seeds", type=int, default=5, metavar="N", help="how many crowds, two or more, default 5")
    option("--seed", type=int, default=0, metavar="N", help="the first of them, default 0")
    option("--json", action="store_true", help="print one JSON document instead")
    command.set_defaults(do=_simulate)


def _simulate(asked: argparse.Namespace) -> int:
    from agentic import simulation
    from agentic._demo import check_size, policy_named

    check_size(asked.customers, asked.weeks)
    bar = None if asked.json or not is_watched() else Bar(sys.stderr)
    try:
        found = simulation.rehearse(
            policy_named(asked.against),
            policy_named(asked.policy),
            simulation.scenario(asked.scenario),
            seeds=range(asked.seed, asked.seed + asked.seeds),
            customers=asked.customers,
            weeks=asked.weeks,
            progress=None if bar is None else lambda *steps: bar.show("simulating", *steps),
        )
    finally:
        if bar is not None:
            bar.clear()
    if asked.json:
        told = found.facts | {"verdict": found.verdict, "harms": list(found.harms), "digest": found.digest}
        print(json.dumps(told, indent=2, allow_nan=False))
    else:
        print(found)
        print(f"digest {found.digest}")
    return 0
