"""What the front door and the rooms show, and what importing them costs."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import pickle
import subprocess
import sys
import typing
from pathlib import Path

import pytest

import agentic

ROOMS = [
    "agentic",
    "agentic.conditions",
    "agentic.economics",
    "agentic.evaluation",
    "agentic.experiments",
    "agentic.ext",
    "agentic.features",
    "agentic.guardrails",
    "agentic.policies",
    "agentic.privacy",
    "agentic.provenance",
    "agentic.release",
    "agentic.rewards",
    "agentic.simulation",
    "agentic.state",
    "agentic.testing",
]


def run(code: str) -> str:
    """What this prints in a fresh process."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def loaded(code: str) -> set[str]:
    """The modules that this brings into a process that has numpy and attrs."""
    told = run(
        f"import sys, numpy, attrs; before = set(sys.modules); {code};"
        "print(*sorted(set(sys.modules) - before))"
    )
    return set(told.split())


@pytest.mark.parametrize("room", ROOMS)
def test_every_name_a_room_lists_exists_once_and_is_public(room: str) -> None:
    """Their order is ruff's business."""
    module = importlib.import_module(room)
    assert len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert not name.startswith("_")
        assert getattr(module, name) is not None
    assert set(module.__all__) <= set(dir(module))


def test_the_version_is_there_and_listed() -> None:
    """It is looked up when asked for, and the same as the terminal tells."""
    assert "__version__" in dir(agentic)
    assert agentic.__version__[0].isdigit()


@pytest.mark.parametrize("room", ROOMS)
def test_a_star_import_takes_what_a_room_lists(room: str) -> None:
    """Also what is in a file that nobody has asked for yet: a fresh process."""
    code = f"from {room} import *; import {room} as room; print(set(room.__all__) <= set(globals()))"
    assert run(code) == "True"


@pytest.mark.parametrize("room", ROOMS)
def test_a_door_shows_what_type_checkers_are_told(room: str) -> None:
    """Names that come when they are asked for are imported under ``TYPE_CHECKING`` from the same files."""
    module = importlib.import_module(room)
    assert module.__file__ is not None
    told: dict[str, set[str]] = {}
    shown: dict[str, set[str]] = {}
    for node in ast.parse(Path(module.__file__).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for each in node.body:
                if isinstance(each, ast.ImportFrom) and each.module is not None:
                    told[each.module] = {alias.asname or alias.name for alias in each.names}
            calls = [call for each in node.orelse for call in ast.walk(each) if isinstance(call, ast.Call)]
            (files,) = (call.args[1] for call in calls if ast.unparse(call.func) == "door")
            for file, names in ast.literal_eval(files).items():
                shown[importlib.util.resolve_name(file, room)] = set(names)
    assert told == shown
    for file, names in shown.items():
        for name in names:
            assert getattr(module, name) is getattr(importlib.import_module(file), name)


def test_a_door_knows_no_name_that_was_not_given_to_it() -> None:
    """It is an attribute error, as everywhere, and what was found once is simply there."""
    from agentic import policies

    with pytest.raises(AttributeError, match=r"module 'agentic\.policies' has no attribute 'Nothing'"):
        _ = policies.Nothing  # type: ignore[attr-defined]
    assert vars(policies)["Fixed"] is policies.Fixed
    assert pickle.loads(pickle.dumps(policies.Fixed)) is policies.Fixed


def test_hints_of_the_front_door_that_name_a_lazy_class_can_be_resolved() -> None:
    """By who gives them the names of the front door."""
    import agentic

    hints = typing.get_type_hints(agentic.Agent.explain, vars(agentic) | {"Explanation": agentic.Explanation})
    assert hints["return"] is agentic.Explanation


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
        " importlib.metadata zoneinfo hashlib json base64 decimal difflib heapq logging"
        " agentic.economics agentic.evaluation agentic.simulation agentic.testing agentic.guardrails"
        " agentic._cli agentic._demo agentic._report agentic._replay agentic.conditions._nodes"
        " agentic.conditions._wire agentic.policies._fixed agentic.policies._linear agentic.features._numeric"
    )
    assert not loaded("from agentic import Agent") & set(absent.split())


def test_a_first_decision_loads_what_it_uses_and_no_more() -> None:
    """The default policy and no rule: no other policy, no conditions, no zones, nothing that looks back."""
    code = (
        "from agentic import Action, Agent;"
        "assert Agent('a', [Action('mail')]).decide('c').action.id in ('mail', 'no_action')"
    )
    absent = (
        "cattrs zoneinfo difflib importlib.metadata agentic.evaluation agentic.guardrails"
        " agentic._replay agentic.conditions._nodes agentic.conditions._wire agentic.policies._beta"
        " agentic.policies._combine agentic.features._cached agentic.features._numeric"
    )
    assert not loaded(code) & set(absent.split())


def test_the_front_door_loads_few_modules_and_makes_few_classes() -> None:
    """Ceilings a little above what it is. Raise one knowingly: each class takes a third of a millisecond."""
    code = "from agentic import Agent"
    modules = loaded(code)
    assert len(modules) <= 56, sorted(modules)
    ours = sorted(name for name in modules if name.startswith("agentic"))
    assert len(ours) <= 51, ours
    made = run(
        f"import sys; {code};"
        "print(len({c for name, m in list(sys.modules.items()) if name.startswith('agentic')"
        " for c in vars(m).values() if '__attrs_attrs__' in getattr(c, '__dict__', ())}))"
    )
    assert int(made) <= 58


def test_nothing_in_the_library_loads_code_from_data() -> None:
    """No pickle, no eval, no exec, no import by a name out of stored data."""
    import agentic

    banned = ("pickle", "marshal", "shelve", "eval(", "exec(", "allow_pickle=True", "__import__")
    for path in Path(agentic.__file__).parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        code = "\n".join(line.split("#")[0] for line in text.splitlines())
        for word in banned:
            assert word not in code.replace("No pickle", ""), f"{word} in {path.name}"
