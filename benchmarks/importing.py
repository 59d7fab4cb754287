"""How long does ``import agentic`` take, and on what? Each time in a fresh process."""

from __future__ import annotations

import collections
import json
import subprocess
import sys

from benchmarks.measure import Options, Report, figure, tell

AIM_MS = 30.0
PROBE = """\
import json, sys, time
a = time.perf_counter()
import numpy, attrs
b = time.perf_counter()
before = set(sys.modules)
import agentic
c = time.perf_counter()
print(json.dumps([b - a, c - b, sorted(set(sys.modules) - before)]))"""


def probe() -> tuple[float, float, list[str]]:
    """Milliseconds of numpy and attrs, of agentic after them, and the modules that agentic brought."""
    done = subprocess.run([sys.executable, "-c", PROBE], stdout=subprocess.PIPE, text=True, check=True)
    base, own, modules = json.loads(done.stdout)
    return base * 1e3, own * 1e3, modules


def heavy() -> dict[str, float]:
    """Milliseconds of its own that each package takes while agentic is imported after numpy and attrs."""
    code = "import numpy, attrs, sys; sys.stderr.write('here\\n'); import agentic"
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=True)
    spent: collections.Counter[str] = collections.Counter()
    for line in done.stderr.partition("here\n")[2].splitlines():
        own, _, name = line.removeprefix("import time:").split("|")
        spent[name.strip().partition(".")[0]] += int(own)
    return {name: micros / 1e3 for name, micros in spent.most_common(8)}


def run(options: Options) -> Report:
    times = max(options.repeat, options.size(15, 2))
    probe()
    found = [probe() for _ in range(times)]
    figures = [
        figure("import numpy, attrs", [base for base, _, _ in found], "ms"),
        figure(
            "import agentic, after these", [own for _, own, _ in found], "ms", aim=AIM_MS, less_is_better=True
        ),
    ]
    modules = found[0][2]
    figures.append(figure("modules that agentic adds", [float(len(modules))], "modules"))
    figures += [
        figure(f"  {name}", [ms], "ms, traced") for name, ms in heavy().items() if ms >= 0.5 or options.quick
    ]
    foreign = sorted({m.partition(".")[0] for m in modules} - set(sys.stdlib_module_names) - {"agentic"})
    known = {name for name in foreign if not name.startswith("_")}
    notes = [f"packages beyond the standard library that it adds: {', '.join(sorted(known)) or 'none'}"]
    return Report(f"medians of {times} fresh processes; the tracer itself takes time", figures, notes)


if __name__ == "__main__":
    tell(run)
