"""How fast, and how large? Runs each benchmark in a process of its own and prints what it found.

python benchmarks/run.py [batch single memory import learn log personal profile] [--repeat N] [--quick]
    [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
MODULES = {
    "batch": "benchmarks.batch",
    "single": "benchmarks.single",
    "memory": "benchmarks.memory",
    "import": "benchmarks.importing",
    "learn": "benchmarks.learn",
    "log": "benchmarks.log",
    "personal": "benchmarks.personal",
    "profile": "benchmarks.stages",
}
ONE_THREAD = dict.fromkeys(
    ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)
PEERS = ("mabwiser", "vowpalwabbit")

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
        "system": f"{platform.system()} {platform.release()}",
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


def number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


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
    parser.add_argument("names", nargs="*", help=f"of {', '.join(MODULES)}; all by default")
    parser.add_argument("--repeat", type=int, default=5, help="runs of which the median is told")
    parser.add_argument("--quick", action="store_true", help="tiny sizes: says that it runs, not how fast")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - MODULES.keys():
        parser.error(f"no benchmark {sorted(unknown)!r}: there are {list(MODULES)!r}")
    if options.repeat < 1:
        parser.error(f"--repeat must be at least 1, got {options.repeat}")
    facts = machine()
    if not options.json:
        peers = ", ".join(f"{peer} {found or 'not installed'}" for peer, found in facts["peers"].items())
        told = {key: value for key, value in facts.items() if key != "peers"}
        print("\n".join(f"{key}: {value}" for key, value in told.items()), f"peers: {peers}", sep="\n")
        print("ratio: above 1 is better than what it is compared with")
    everything: dict[str, Facts] = {}
    for name in options.names or MODULES:
        everything[name] = found = run(name, options.repeat, quick=options.quick)
        if not options.json:
            print(f"\n{table(name, found)}", flush=True)
    if options.json:
        print(json.dumps({"machine": facts, "quick": options.quick, "benchmarks": everything}, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
