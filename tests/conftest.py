"""What every test starts from: the library's loggers as they come."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(autouse=True)
def loud() -> None:
    """Pages of the docs silence failures they mean; tests in the same process must hear theirs."""
    logging.getLogger("agentic").setLevel(logging.NOTSET)
