"""How fast, and how large? Runs each benchmark in a process of its own and prints what it found.

python benchmarks/run.py [batch full shards single ...] [--repeat N] [--quick] [--json]
python benchmarks/run.py page [--write]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # run as a script, this folder would be there instead

from benchmarks import page  # noqa: E402
from benchmarks.page import number  # noqa: E402

MODULES = {
    "batch": "benchmarks.batch",
    "full": "benchmarks.full",
    "shards": "benchmarks.shards",
    "single": "benchmarks.single",
    "threads": "benchmarks.threads",
    "memory": "benchmarks.memory",
    "import": "benchmarks.importing",
    "learn": "benchmarks.learn",
    "log": "benchmarks.log",
    "offpolicy": "benchmarks.offpolicy",
    "durable": "benchmarks.durable",
    "growth": "benchmarks.growth",
    "limits": "benchmarks.limits",
    "personal": "benchmarks.personal",
    "coverage": "benchmarks.coverage",
    "profile": "benchmarks.stages",
    "sequential": "benchmarks.sequential",
}
ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
PEERS = ("vowpalwabbit", "mabwiser", "contextualbandits", "bayesianbandits", "river", "obp")

Facts = dict[str, Any]  # JSON


def machine() -> Facts:
    """What the figures depend on besides the code."""
    import numpy as np

    config: Any = np.show_config(mode="dicts")  # numpy does not type it
    blas = config.get("Build Dependencies", {}).get("blas", {})
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text(encoding="utf-8").splitlines() if "model name" in line]
        model = names[0].partition(":")[2].strip() if names else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "load_1_min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.system(),
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip(),
        "blas_threads": 1,
        "peers": {peer: _version(peer) for peer in PEERS},
    }


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def run(name: str, repeat: int, *, quick: bool) -> Facts:
    """Run one benchmark in a fresh process, BLAS on one thread.

    Raises:
        subprocess.CalledProcessError: It failed; what it said is on stderr already.
    """
    command = [sys.executable, "-m", MODULES[name], "--repeat", str(repeat), *(["--quick"] if quick else [])]
    environment = {**os.environ, **ONE_THREAD}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    found: Facts = json.loads(done.stdout.splitlines()[-1])
    return found


def table(name: str, found: Facts) -> str:
    """Lay out the figures of one benchmark."""
    lines = [
        f"{name}: {found['title']}",
        f"  {'':46}{'median':>13}{'lowest':>13}{'highest':>13} {'unit':<14}{'ratio':>7}  to",
    ]
    for figure in found["figures"]:
        ratio = "" if figure["ratio"] is None else f"{figure['ratio']:.2f}"
        lines.append(
            f"  {figure['what']:46}{number(figure['median']):>13}{number(figure['low']):>13}"
            f"{number(figure['high']):>13} {figure['unit']:<14}{ratio:>7}  {figure['against']}".rstrip()
        )
    return "\n".join([*lines, *(f"  note: {note}" for note in found["notes"])])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Measure speed and size; each benchmark in its own process.")
    parser.add_argument("names", nargs="*", help=f"of {', '.join(MODULES)}; all by default; or page")
    parser.add_argument("--repeat", type=int, default=5, help="runs of which the median is told")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: says that it runs, not how fast")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--write", action="store_true", help="with page: fill docs/performance.md")
    options = parser.parse_args(arguments)
    for_page = options.names == ["page"]
    if for_page:
        options.names = list(page.PARTS)
    elif options.write:
        parser.error("--write goes with page: no benchmark is written down otherwise")
    if unknown := set(options.names) - MODULES.keys():
        parser.error(f"no benchmark {sorted(unknown)!r}: there are {list(MODULES)!r}")
    if options.repeat < 1:
        parser.error(f"--repeat must be at least 1, got {options.repeat}")
    if options.write and options.quick:
        parser.error("--write needs figures that mean something, and those of --quick do not")
    facts = machine()
    aloud = not options.json and not for_page
    if aloud:
        peers = ", ".join(f"{peer} {found or 'not installed'}" for peer, found in facts["peers"].items())
        told = {key: value for key, value in facts.items() if key != "peers"}
        print("\n".join(f"{key}: {value}" for key, value in told.items()), f"peers: {peers}", sep="\n")
        print("ratio: above 1 is better than what it is compared with")
    everything: dict[str, Facts] = {}
    for name in options.names or MODULES:
        began = time.perf_counter()
        everything[name] = found = run(name, options.repeat, quick=options.quick)
        took = time.perf_counter() - began
        if aloud:
            print(f"\n{table(name, found)}\n  took {took:.0f} s", flush=True)
        elif for_page:
            print(f"{name}: {took:.0f} s", file=sys.stderr, flush=True)
    if for_page:
        found_sections = page.sections(facts, everything, options.repeat)
        if options.write:
            page.PAGE.write_text(page.fill(page.PAGE.read_text("utf-8"), found_sections), "utf-8")
        else:
            print(page.markdown(found_sections))
    elif options.json:
        print(json.dumps({"machine": facts, "quick": options.quick, "benchmarks": everything}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
