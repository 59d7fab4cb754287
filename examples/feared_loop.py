"""What becomes of customers when a policy is greedy for clicks? Half a year of a simulated publisher.

Two agents with the same policy learn on the same simulated readers with the same luck. One is after clicks
and keeps to no limit but consent. The other is after purchases, loses by unsubscriptions and complaints,
sends two messages a week at most, and rests for 36 hours after each. Nothing tells the first one to send
more: that more messages bring more clicks is what it learns, and that they end lies beyond its reward
window.

    python examples/feared_loop.py [--scenario NAME] [--customers N] [--weeks N] [--seeds N] [--svg FILE]

With 300 customers, 26 weeks and 5 seeds it takes about a minute.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agentic.simulation import FearedLoop, courses, feared_loop, scenario


def report(found: FearedLoop) -> str:
    """The weeks side by side, and what they came to."""
    lines = [
        f"{found.scenario.name}: {found.scenario.about}",
        f"{found.customers} customers, {found.weeks} weeks, {len(found.seeds)} seeds; careful | greedy",
        "",
        f"{'week':>4}{'messages':>17}{'clicks':>17}{'trust':>15}{'reachable':>15}{'value':>17}",
    ]
    series = {name: found.series(name) for name in ("messages", "clicks", "trust", "reachable", "value")}
    shown = sorted({0, 1, *range(3, found.weeks, 4), found.weeks - 1} & set(range(found.weeks)))
    for week in shown:
        cells = [f"{week + 1:>4}"]
        for name, (greedy, careful) in series.items():
            digits, width = (2, 6) if name == "trust" else (0, 6) if name == "reachable" else (1, 7)
            cells.append(f"{careful[week]:>{width}.{digits}f} |{greedy[week]:>{width}.{digits}f}")
        lines.append(" ".join(cells))
    lines += ["", f"{'per customer':<14}{'careful':>10}{'greedy':>10}   greedy less careful, 95 % over seeds"]
    lines += [
        f"{name:<14}{one.champion:>10.3f}{one.challenger:>10.3f}   {one.low:+.3f} to {one.high:+.3f}"
        for name, one in found.differences().items()
    ]
    return "\n".join(lines)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Show the feared loop on simulated customers.")
    parser.add_argument(
        "--scenario", default="news_clicks", help="default news_clicks; a wrong name lists all"
    )
    parser.add_argument("--customers", type=int, default=300)
    parser.add_argument("--weeks", type=int, default=26)
    parser.add_argument("--seeds", type=int, default=5, help="two or more, default 5")
    parser.add_argument("--svg", type=Path, default=None, help="draw it into this file")
    asked = parser.parse_args(words)
    found = feared_loop(
        scenario=scenario(asked.scenario),
        customers=asked.customers,
        weeks=asked.weeks,
        seeds=range(asked.seeds),
    )
    print(report(found))
    if asked.svg is not None:
        asked.svg.write_text(courses(found), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
