"""How long is tortured? Some seconds in all; longer by ``--torture SECONDS`` or AGENTIC_TORTURE."""

from __future__ import annotations

import os

import pytest

USUAL = 45.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--torture",
        type=float,
        metavar="SECONDS",
        help="how long to torture in all; then whole sweeps are made instead of samples",
    )


class Time:
    """What time there is for torture: ``share`` of it for one test."""

    def __init__(self, asked: float | None) -> None:
        self.is_long = asked is not None
        self.seconds = USUAL if asked is None else asked

    def share(self, part: float) -> float:
        return self.seconds * part


@pytest.fixture(scope="session")
def time_to_spend(pytestconfig: pytest.Config) -> Time:
    # The option is only there when this folder was named on the command line.
    asked = pytestconfig.getoption("torture", default=None)
    told = os.environ.get("AGENTIC_TORTURE")
    if asked is None and told:
        asked = float(told)
    return Time(asked)
