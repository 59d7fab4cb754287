"""``python -m agentic evaluate``: what would other policies have earned by the log in a file?"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from agentic._cli_agent import add_source, check_named, named, opened_copy
from agentic._files import check_paths, write_whole
from agentic._terminal import FAILED, Bar, is_watched
from agentic.errors import ConfigurationError, reason

if TYPE_CHECKING:
    from agentic.evaluation import Bins, Estimator, Interval
    from agentic.protocols import Policy

IN_CHARGE: Final = "in charge"
_ESTIMATORS: Final = ("dr", "dm", "ipw", "snipw", "sndr")
_INTERVALS: Final = ("normal", "empirical-likelihood")


def add(add_parser: Callable[..., argparse.ArgumentParser], /) -> None:
    """Add the command."""
    evaluate = add_parser(
        "evaluate",
        help="estimate from a database file what other policies would have earned",
        description="Estimate what other policies would have earned per decision, from the decisions in a"
        " file whose rewards are final, beside what was earned. Exit code 1 when the log cannot say it of"
        " one of them.",
    )
    option = evaluate.add_argument
    add_source(evaluate)
    option(
        "--policy",
        action="append",
        default=None,
        metavar="[TITLE=]NAME",
        help="a policy by the name of its plugin, or as package.module:name, a policy or a function that"
        " returns one; may be given several times. By default the one in charge",
    )
    option(
        "--by",
        action="append",
        default=[],
        metavar="NAME[=N,N,...]",
        help="divide decisions by a feature, with edges for a number (otherwise quarters), by arm or by"
        " policy_version; may be given several times",
    )
    option("--estimator", choices=_ESTIMATORS, default="dr", help="how rows contribute, default dr")
    option(
        "--interval",
        choices=_INTERVALS,
        default=None,
        help="how sums become bounds, by default empirical-likelihood with --reward-range, else normal",
    )
    option("--level", type=float, default=0.95, metavar="X", help="of the intervals, default 0.95")
    option(
        "--reward-range",
        type=float,
        nargs=2,
        default=None,
        metavar=("LOW", "HIGH"),
        help="lowest and highest reward there can be",
    )
    option("--svg", default=None, metavar="PATH", help="draw a forest plot into this file")
    option("--html", default=None, metavar="PATH", help="write the table with the plot into this file")
    option(
        "--json",
        nargs="?",
        const="-",
        default=None,
        metavar="PATH",
        help="write one JSON document into this file; without a path, print it instead of the table",
    )
    evaluate.set_defaults(do=_evaluate)


def _evaluate(asked: argparse.Namespace) -> int:
    from agentic.evaluation import forest, forest_page

    check_named(asked.agent, "evaluate")
    printed = asked.json == "-"
    wanted = [asked.svg, asked.html, None if printed else asked.json]
    check_paths([path for path in wanted if path is not None])  # now, and not after the work
    by = [_by(text) for text in asked.by]
    policies = _policies(asked.policy)
    bar = None if printed or not is_watched() else Bar(sys.stderr)
    try:
        with opened_copy(asked.agent, asked.database) as agent:
            found = agent.evaluate(
                policies or {IN_CHARGE: agent.policy},
                by=by,
                estimator=_estimator(asked.estimator),
                interval=None if asked.interval is None else _interval(asked.interval),
                level=asked.level,
                reward_range=None if asked.reward_range is None else tuple(asked.reward_range),
                progress=None if bar is None else bar.show,
            )
    finally:
        if bar is not None:
            bar.clear()
    told = json.dumps(found.facts, indent=2, allow_nan=False)
    if asked.svg is not None:
        write_whole(asked.svg, forest(found))
    if asked.html is not None:
        write_whole(asked.html, forest_page(found))
    if asked.json is not None and not printed:
        write_whole(asked.json, f"{told}\n")
    print(told if printed else found)
    return 0 if all(row.supported for row in found if not row.by) else FAILED


def _estimator(name: str) -> Estimator:
    from agentic.evaluation import DM, DR, IPW, SNDR, SNIPW

    found: dict[str, Estimator] = {"dr": DR(), "dm": DM(), "ipw": IPW(), "snipw": SNIPW(), "sndr": SNDR()}
    return found[name]


def _interval(name: str) -> Interval:
    from agentic.evaluation import EmpiricalLikelihood, Normal

    found: dict[str, Interval] = {"normal": Normal(), "empirical-likelihood": EmpiricalLikelihood()}
    return found[name]


def _by(text: str) -> str | Bins:
    from agentic.evaluation import Bins

    name, equals, edges = text.partition("=")
    if not equals:
        return name
    try:
        numbers = [float(edge) for edge in edges.split(",")]
    except ValueError as error:
        raise ConfigurationError(
            f"--by cuts a number at numbers, as in age=18,30,50, got {text!r}", value=text
        ) from error
    return Bins(name, numbers)


def _policies(texts: list[str] | None) -> dict[str, Policy]:
    found: dict[str, Policy] = {}
    for text in texts or ():
        title, equals, name = text.partition("=")
        name = name if equals else title
        if title in found:
            raise ConfigurationError(
                f"two policies are called {title!r}: give each a title of its own, as in --policy title=name",
                value=title,
            )
        found[title] = _policy(name)
    return found


def _policy(name: str) -> Policy:
    if ":" not in name:
        from agentic._demo import policy_named

        return policy_named(name)
    made: Any = named("--policy", name)
    if not hasattr(made, "propose") or isinstance(made, type):
        if not callable(made):
            raise ConfigurationError(f"{name!r} is no policy, and no function that returns one", value=name)
        try:
            made = made()
        except Exception as error:  # application code
            raise ConfigurationError(f"{name} failed: {reason(error)}", value=name) from error
    policy: Policy = made
    return policy
