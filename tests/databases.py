"""Databases that go away with the test run."""

import atexit
import shutil
import tempfile
from pathlib import Path

from agentic._database import Database

_FOLDER = Path(tempfile.mkdtemp(prefix="agentic-test-"))
atexit.register(shutil.rmtree, _FOLDER, ignore_errors=True)


def new_database() -> Database:
    """An empty one in a folder of its own."""
    return Database(Path(tempfile.mkdtemp(dir=_FOLDER)) / "agent.db", durability="process")
