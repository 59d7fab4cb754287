"""A stranger's policy, in a distribution of its own, is installed, found by name and passes the kit."""

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "acme_policy"

LOAD = """
import sys
from agentic._plugins import installed, load

mine = [plugin for plugin in installed("policy") if plugin.name == "acme_softmax"]
assert [plugin.distribution for plugin in mine] == ["acme-policy"], mine
assert "acme_policy" not in sys.modules
policy = load("policy", "acme_softmax")({"a0": 1.0})
print(policy.name, type(policy).__module__)
"""


def python(*args, path, folder):
    """Run Python in a process of its own, with these folders in front of its path."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, *map(str, args)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def acme(tmp_path_factory):
    """The example, copied and installed into a folder: no network, nothing left in the source tree."""
    for tool in ("pip", "hatchling"):
        pytest.importorskip(tool, reason=f"needs {tool} to install the example: pip install -e '.[test]'")
    folder = tmp_path_factory.mktemp("acme")
    shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    options = ["--quiet", "--no-input", "--disable-pip-version-check", "--no-deps", "--no-index"]
    install = ["-m", "pip", "install", *options, "--no-build-isolation", "--target", folder / "site"]
    # Our own path, so that the build backend is found wherever it is installed.
    python(*install, folder / "source", path=sys.path[1:], folder=folder)
    return folder


@pytest.fixture(scope="module")
def path(acme):
    """Where the example and `agentic` are, each as installed."""
    agentic = importlib.util.find_spec("agentic")
    return [acme / "site", Path(agentic.origin).parents[1]]


def test_an_installed_policy_is_loaded_by_its_name(acme, path):
    """Another process finds the policy by its entry point, without being told where it is."""
    assert python("-c", LOAD, path=path, folder=acme).split() == ["acme_softmax", "acme_policy"]


def test_the_example_passes_its_own_tests(acme, path):
    """The plugin's test-suite, one class with one method, runs every check against the installed policy."""
    shutil.copytree(acme / "source" / "tests", acme / "tests")
    options = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-W", "error"]
    report = python("-m", "pytest", *options, "--rootdir", acme, acme / "tests", path=path, folder=acme)
    assert "12 passed" in report


def test_the_example_is_short():
    """A policy plugin is under thirty lines with its test, blank lines left out."""
    files = [EXAMPLE / "src" / "acme_policy" / "__init__.py", EXAMPLE / "tests" / "test_acme_policy.py"]
    lines = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    assert len([line for line in lines if line.strip()]) < 30
