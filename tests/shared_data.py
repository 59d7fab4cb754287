"""Where tests find reference answers and real data, which do not travel with the repository."""

import os
from pathlib import Path

import pytest


def shared(*parts: str) -> Path:
    """Return a file or folder of the reference data, or skip the test that needs it.

    The data lie in the folder that the environment variable AGENTIC_SHARED names, else in `shared`
    beside the repository.
    """
    root = Path(os.environ.get("AGENTIC_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    path = root.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"needs {'/'.join(parts)}: set AGENTIC_SHARED to the folder that holds it")
    return path
