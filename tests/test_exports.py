"""What the front door and the rooms show, and what importing them costs."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

ROOMS = [
    "agentic",
    "agentic.conditions",
    "agentic.economics",
    "agentic.evaluation",
    "agentic.features",
    "agentic.guardrails",
    "agentic.policies",
    "agentic.provenance",
    "agentic.rewards",
    "agentic.state",
    "agentic.testing",
]


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_a_room_lists_exists_once_and_is_public(room: str) -> None:
    """Their order is ruff's business."""
    module = importlib.import_module(room)
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert not name.startswith("_")
        assert getattr(module, name) is not None


def test_the_version_is_the_distributions() -> None:
    """One source of truth, read when asked for."""
    import agentic

    assert agentic.__version__ == importlib.metadata.version("agentic-decisioning")
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = agentic.nothing  # type: ignore[attr-defined]


def test_importing_the_front_door_imports_nothing_heavy() -> None:
    """No converter, no evaluation, no testing kit, no network, no test tool."""
    absent = (
        "cattrs scipy pandas pytest hypothesis sqlite3 socket ssl asyncio multiprocessing"
        " importlib.metadata agentic.economics agentic.evaluation agentic.testing agentic._cli"
    )
    code = (
        "import sys, numpy; before = set(sys.modules); import agentic;"
        f"print(sorted(set({absent!r}.split()) & (set(sys.modules) - before)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_in_the_library_loads_code_from_data() -> None:
    """No pickle, no eval, no exec, no import by a name out of stored data."""
    from pathlib import Path

    import agentic

    banned = ("pickle", "marshal", "shelve", "eval(", "exec(", "allow_pickle=True", "__import__")
    for path in Path(agentic.__file__).parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        code = "\n".join(line.split("#")[0] for line in text.splitlines())
        for word in banned:
            assert word not in code.replace("No pickle", ""), f"{word} in {path.name}"
