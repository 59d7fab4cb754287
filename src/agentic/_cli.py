"""What can be done from a terminal: ``python -m agentic``."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from agentic import _cli_agent, _cli_evaluate, _cli_export, _cli_log, _cli_simulate
from agentic._files import check_paths, write_whole
from agentic._plugins import version
from agentic._terminal import FAILED, WRONG_USE, Bar, complain, is_watched
from agentic.errors import AgenticError, ConfigurationError

INTERRUPTED: Final = 130
BROKEN_PIPE: Final = 141
"""What a shell reports for a program whose reader went away."""

_MOST_SEEDS: Final = 100


def main(argv: Sequence[str] | None = None, /) -> int:
    """Run one command.

    Args:
        argv: Words after ``python -m agentic``; those of the process by default.

    Returns:
        The exit code: 0, 1 for what failed, 2 for wrong use, 130 when interrupted, 141 when the reader
        went away.
    """
    if sys.stdout is None:  # closed by who called
        complain("agentic: there is no standard output to write to, redirect it to a file or to /dev/null")
        return FAILED
    try:
        code = _run(sys.argv[1:] if argv is None else list(argv))
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return BROKEN_PIPE
    except OSError as error:
        if error.filename is not None:  # a file, and not a stream that is open
            raise
        _drop_output()
        complain(f"agentic: cannot write to standard output: {error.strerror or error}")
        return FAILED
    except KeyboardInterrupt:
        complain("")
        return INTERRUPTED
    return code


def _drop_output() -> None:
    """Send what is still in the buffer nowhere: it would fail once more when Python closes."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def _run(words: list[str]) -> int:
    parser = _parser()
    try:
        asked = parser.parse_args(words)
    except SystemExit as done:  # argparse has said why
        return done.code if isinstance(done.code, int) else WRONG_USE
    if asked.command is None:
        parser.print_help()
        return 0
    try:
        return int(asked.do(asked))
    except AgenticError as error:
        complain(f"agentic {asked.command}: {error}")
        return WRONG_USE if isinstance(error, ConfigurationError) else FAILED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentic", description="Customer decisions in-process: what to send, where, when, and whether."
    )
    parser.add_argument("--version", action="version", version=f"agentic {version()}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    demo = commands.add_parser(
        "demo",
        help="simulate a campaign and report on it",
        description="Simulate a campaign on customers who tire and leave, and report what came of it.",
    )
    demo.add_argument("--customers", type=_whole, default=20_000, metavar="N", help="default 20,000")
    demo.add_argument("--weeks", type=_whole, default=8, metavar="N", help="default 8")
    demo.add_argument("--seed", type=_seed, default=7, metavar="N", help="default 7")
    demo.add_argument(
        "--policy",
        default=None,
        metavar="NAME",
        help="who decides, default linear_thompson; a wrong name lists all",
    )
    demo.add_argument("--json", action="store_true", help="print one JSON document instead")
    demo.set_defaults(do=_demo)
    _add_frontier(commands.add_parser)
    for part in (_cli_log, _cli_agent, _cli_evaluate, _cli_export, _cli_simulate):
        part.add(commands.add_parser)
    plugins = commands.add_parser(
        "plugins", help="list installed plugins", description="List what is installed, importing none of it."
    )
    plugins.set_defaults(do=_plugins)
    return parser


def _add_frontier(add_parser: Callable[..., argparse.ArgumentParser]) -> None:
    frontier = add_parser(
        "frontier",
        help="simulate what policies bring and cost, from a fixed rule to what learns most",
        description="Simulate one campaign with policy after policy: what each brings, what it costs in"
        " computing, messages and memory, and which of them are worth it.",
    )
    option = frontier.add_argument
    option("--customers", type=_whole, default=2_000, metavar="N", help="default 2,000")
    option("--weeks", type=_whole, default=4, metavar="N", help="default 4")
    option("--seeds", type=_whole, default=3, metavar="N", help="how many worlds, default 3")
    option("--seed", type=_seed, default=0, metavar="N", help="the first of them, default 0")
    option("--price-per-core-hour", type=_number, default=None, metavar="X", help="default 0.05")
    option("--message-price", type=_number, default=1.0, metavar="X", help="factor on them all, default 1")
    option("--svg", default=None, metavar="PATH", help="draw it into this file")
    option(
        "--json",
        nargs="?",
        const="-",
        default=None,
        metavar="PATH",
        help="write one JSON document into this file; without a path, print it instead of the report",
    )
    frontier.set_defaults(do=_frontier)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        _refuse(text, "a number such as 0.05")


def _whole(text: str) -> int:
    try:
        return int(text.replace(",", "").replace("_", ""))
    except ValueError:
        _refuse(text, "a whole number such as 20000")


def _seed(text: str) -> int:
    value = _whole(text)
    if not 0 <= value < 1 << 63:
        _refuse(text, "a whole number from 0 to 2^63 - 1")
    return value


def _refuse(text: str, expected: str) -> NoReturn:
    raise argparse.ArgumentTypeError(f"expected {expected}, got {text!r}")


def _demo(asked: argparse.Namespace) -> int:
    from agentic import _demo as demo
    from agentic._codec import converter
    from agentic._report import report

    bar = None if asked.json or not is_watched() else Bar(sys.stderr)
    try:
        facts = demo.run(
            customers=asked.customers,
            weeks=asked.weeks,
            seed=asked.seed,
            policy=demo.DEFAULT if asked.policy is None else asked.policy,
            progress=None if bar is None else bar.show,
        )
    finally:
        if bar is not None:
            bar.clear()
    if asked.json:
        print(json.dumps(converter().unstructure(facts), indent=2, allow_nan=False))
    else:
        print(report(facts))
    return 0


def _frontier(asked: argparse.Namespace) -> int:
    from agentic import economics, simulation
    from agentic._demo import check_size

    check_size(asked.customers, asked.weeks)
    if not 1 <= asked.seeds <= _MOST_SEEDS:
        raise ConfigurationError(
            f"seeds must be a whole number from 1 to {_MOST_SEEDS}, got {asked.seeds:,}", value=asked.seeds
        )
    price = economics.Prices().core_hour if asked.price_per_core_hour is None else asked.price_per_core_hour
    prices = economics.Prices(core_hour=price, message=asked.message_price)
    printed = asked.json == "-"
    paths = [path for path in (asked.svg, None if printed else asked.json) if path is not None]
    check_paths(paths)  # now, and not after half a minute
    bar = None if printed or not is_watched() else Bar(sys.stderr)
    try:
        found = economics.frontier(
            economics.ladder(simulation.BEST_GUESS, simulation.playbook(), simulation.templates()),
            simulation.Trials(customers=asked.customers, weeks=asked.weeks),
            seeds=range(asked.seed, asked.seed + asked.seeds),
            prices=prices,
            progress=None if bar is None else lambda what, *steps: bar.show(f"{what:<16}", *steps),
        )
    finally:
        if bar is not None:
            bar.clear()
    told = json.dumps(economics.facts(found), indent=2, allow_nan=False)
    if asked.svg is not None:
        write_whole(asked.svg, economics.plot(found))
    if asked.json is not None and not printed:
        write_whole(asked.json, f"{told}\n")
    print(told if printed else found)
    return 0


def _plugins(asked: argparse.Namespace) -> int:
    from agentic import _plugins as plugins

    found = plugins.installed()
    if not found:
        print("no plugins are installed")
        return 0
    widths = [max(len(one[column]) for one in found) for column in range(3)]
    for one in found:
        print(
            "  ".join(text.ljust(width) for text, width in zip(one[:3], widths, strict=True)) + f"  {one[3]}"
        )
    return 0
