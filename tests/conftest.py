"""What every test starts from: the library's loggers as they come, and nobody's data where it can be seen."""

from __future__ import annotations

import logging
from collections.abc import Generator

import pytest

from canaries import LOOKS_PERSONAL, watching


@pytest.fixture(autouse=True)
def loud() -> None:
    """Pages of the docs silence failures they mean; tests in the same process must hear theirs."""
    logging.getLogger("agentic").setLevel(logging.NOTSET)


@pytest.fixture(autouse=True)
def _canaries() -> Generator[None]:
    """No id and no value gets into an error of the library, or into its log, whatever a test is about."""
    with watching() as leaks:
        yield
    assert not leaks


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Nor into what is printed."""
    report = yield
    printed = report.capstdout + report.capstderr
    if report.passed and call.when == "call" and "kanarie-" in printed:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} printed {LOOKS_PERSONAL.findall(printed)!r}"
    return report
