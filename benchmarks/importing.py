"""How long does ``import agentic`` take, and on what? Each time in a fresh process."""

from __future__ import annotations

import collections
import json
import os
import subprocess
import sys
import tempfile

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


def with_bytecode(folder: str) -> dict[str, str]:
    """An environment in which bytecode is kept, as it is for everyone who imports something twice."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPYCACHEPREFIX": folder}


def probe(environment: dict[str, str]) -> tuple[float, float, list[str]]:
    """Milliseconds of numpy and attrs, of agentic after them, and the modules that agentic brought."""
    command = [sys.executable, "-c", PROBE]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    base, own, modules = json.loads(done.stdout)
    return base * 1e3, own * 1e3, modules


def heavy(environment: dict[str, str]) -> dict[str, float]:
    """Milliseconds of its own that each package takes while agentic is imported after numpy and attrs."""
    code = "import numpy, attrs, sys; sys.stderr.write('here\\n'); import agentic"
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=True)
    spent: collections.Counter[str] = collections.Counter()
    for line in done.stderr.partition("here\n")[2].splitlines():
        own, _, name = line.removeprefix("import time:").split("|")
        spent[name.strip().partition(".")[0]] += int(own)
    return {name: micros / 1e3 for name, micros in spent.most_common(8)}


def run(options: Options) -> Report:
    times = max(options.repeat, options.size(15, 2))
    with tempfile.TemporaryDirectory() as folder:
        environment = dict(os.environ) if options.quick else with_bytecode(folder)
        probe(environment)  # compiles
        found = [probe(environment) for _ in range(times)]
        traced = heavy(environment)
    figures = [
        figure("import numpy, attrs", [base for base, _, _ in found], "ms"),
        figure(
            "import agentic, after these", [own for _, own, _ in found], "ms", aim=AIM_MS, less_is_better=True
        ),
    ]
    modules = found[0][2]
    figures.append(figure("modules that agentic adds", [float(len(modules))], "modules"))
    figures += [
        figure(f"  {name}", [ms], "ms, traced") for name, ms in traced.items() if ms >= 0.5 or options.quick
    ]
    ours = {"agentic", *sys.stdlib_module_names}
    foreign = sorted(m for m in modules if m.partition(".")[0] not in ours and not m.startswith("_"))
    notes = [
        f"modules beyond the standard library that it adds: {', '.join(foreign) or 'none'}",
        "bytecode is compiled before and kept, whatever the environment says",
    ]
    return Report(f"medians of {times} fresh processes; the tracer itself takes time", figures, notes)


if __name__ == "__main__":
    tell(run)
