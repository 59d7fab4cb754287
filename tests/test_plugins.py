"""Plugins are found by name, imported late, and misses explain themselves."""

import importlib.metadata
import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from agentic._plugins import GROUPS, Plugin, installed, load
from agentic.errors import ConfigurationError, PluginConflictError, PluginNotFoundError

MODULE = """
class Odds:
    name = "odds"

class Caps:
    name = "caps"
"""


def distribution(folder, name, entry_points):
    info = folder / f"{name.replace('-', '_')}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, points in entry_points.items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in points.items())]
    (info / "entry_points.txt").write_text("\n".join(lines))


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder on the path with one distribution of three plugins."""
    (tmp_path / "shelf_odds.py").write_text(MODULE)
    (tmp_path / "shelf_broken.py").write_text("raise OSError('no licence file')")
    distribution(
        tmp_path,
        "shelf-odds",
        {
            "agentic.policies": {
                "shelf_odds": "shelf_odds:Odds",
                "shelf_broken": "shelf_broken:Odds",
                "shelf_gone": "shelf_odds:Gone",
            },
            "agentic.guardrails": {"shelf_caps": "shelf_odds:Caps"},
        },
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in ("shelf_odds", "shelf_broken"):
        sys.modules.pop(name, None)


def test_a_plugin_is_imported_when_it_is_asked_for(shelf):
    """Listing imports nothing; loading imports the plugin then and there."""
    assert Plugin("policy", "shelf_odds", "shelf-odds", "shelf_odds:Odds") in installed()
    assert "shelf_odds" not in sys.modules
    assert load("policy", "shelf_odds").name == "odds"
    assert "shelf_odds" in sys.modules


def test_kinds_are_kept_apart(shelf):
    """A guardrail's name is not found among policies, and the list can be of one kind."""
    assert load("guardrail", "shelf_caps").name == "caps"
    with pytest.raises(PluginNotFoundError):
        load("policy", "shelf_caps")
    assert {plugin.kind for plugin in installed("guardrail")} == {"guardrail"}
    assert "shelf_caps" in {plugin.name for plugin in installed("guardrail")}


def test_a_list_is_sorted(shelf):
    """Plugins are listed by kind, name and distribution."""
    assert installed() == sorted(installed())


def test_a_miss_names_the_nearest_what_is_installed_and_the_group(monkeypatch):
    """Who mistypes a name reads what was meant and where plugins register."""
    points = [
        importlib.metadata.EntryPoint(name, "agentic.policies:X", "agentic.policies")
        for name in ("thompson", "rules")
    ]
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: points)
    with pytest.raises(PluginNotFoundError) as miss:
        load("policy", "tompson")
    assert str(miss.value) == (
        "no policy named 'tompson' is installed. Did you mean 'thompson'? Installed: rules, thompson."
        " Plugins register under the entry-point group 'agentic.policies'."
    )
    assert miss.value.facts == {"value": "tompson", "kind": "policy", "expected": ["rules", "thompson"]}
    assert isinstance(miss.value, LookupError)


def test_a_plugin_without_distribution_is_listed(monkeypatch):
    """An entry point that belongs to nobody is listed as unknown and can be loaded."""
    point = importlib.metadata.EntryPoint("odd", "agentic.types:Action", "agentic.policies")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])
    assert installed("policy") == [Plugin("policy", "odd", "unknown", "agentic.types:Action")]
    assert load("policy", "odd").__name__ == "Action"


def test_a_miss_with_nothing_near_and_nothing_there(monkeypatch):
    """Where nothing is installed, or the name is no name, the message still makes sense."""
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [])
    with pytest.raises(PluginNotFoundError, match=r"no log named 7 is installed\. Installed: none\. Plugins"):
        load("log", 7)


def test_two_distributions_with_one_name_are_a_conflict(shelf):
    """A name that two distributions claim is nobody's: the error names both."""
    distribution(shelf / "more", "rival-odds", {"agentic.policies": {"shelf_odds": "shelf_odds:Caps"}})
    sys.path.insert(0, str(shelf / "more"))
    try:
        with pytest.raises(PluginConflictError, match=r"'rival-odds' and 'shelf-odds'") as conflict:
            load("policy", "shelf_odds")
    finally:
        sys.path.remove(str(shelf / "more"))
    assert conflict.value.facts["distributions"] == ["rival-odds", "shelf-odds"]
    assert "shelf_odds" not in sys.modules


@pytest.mark.parametrize(
    ("name", "reason"), [("shelf_broken", "OSError: no licence file"), ("shelf_gone", "AttributeError")]
)
def test_a_plugin_that_cannot_be_imported_is_a_configuration_error(shelf, name, reason):
    """What its import raised is the cause, and the message names distribution and place."""
    with pytest.raises(
        ConfigurationError, match=rf"policy '{name}' of distribution 'shelf-odds'.*{reason}"
    ) as e:
        load("policy", name)
    assert type(e.value.__cause__).__name__ == reason.split(":", maxsplit=1)[0]


@pytest.mark.parametrize("kind", ["polcy", None, ["policy"], "agentic.policies"])
def test_an_unknown_kind_is_a_configuration_error(kind):
    """Kinds are five words; anything else is a mistake in the program."""
    with pytest.raises(ConfigurationError, match="'policy', 'guardrail', 'provider', 'store', 'log'"):
        load(kind, "thompson")


def test_an_unknown_kind_cannot_be_listed():
    """Listing knows the same kinds as loading."""
    with pytest.raises(ConfigurationError, match="a kind of plugin is one of"):
        installed("polcy")


def test_groups_are_named_after_rooms():
    """Every kind has a group under the package's name."""
    assert set(GROUPS) == {"policy", "guardrail", "provider", "store", "log"}
    assert all(group.startswith("agentic.") for group in GROUPS.values())


def test_importing_agentic_looks_no_plugin_up():
    """Import time is a feature: entry points are read when somebody asks, not before."""
    source = str(Path(importlib.util.find_spec("agentic").submodule_search_locations[0]).parent)
    code = (
        f"import sys; sys.path.insert(0, {source!r}); import importlib.metadata as m\n"
        "def refuse(**_): raise SystemExit('looked up')\n"
        "m.entry_points = refuse\nimport agentic._plugins; print('fine')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.returncode) == ("fine", 0), done.stderr
