"""What went wrong and was survived is told in Python's own log."""

from __future__ import annotations

import logging

import pytest

from agentic._logger import logger


def test_a_warning_is_an_ordinary_record_of_the_place_that_gave_it(caplog: pytest.LogCaptureFixture) -> None:
    """Of the log ``agentic``, with its arguments apart and the exception it tells of."""
    error = ValueError("why")
    logger.warning("%s failed", "it", exc_info=error)
    (record,) = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == ("agentic", logging.WARNING, "it failed")
    assert (record.pathname, record.funcName) == (
        __file__,
        "test_a_warning_is_an_ordinary_record_of_the_place_that_gave_it",
    )
    assert record.exc_info is not None
    assert record.exc_info[1] is error


def test_who_silences_the_log_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """Levels are those of Python's log at the time of the warning."""
    caplog.set_level(logging.ERROR, logger="agentic")
    logger.warning("nobody hears")
    assert caplog.records == []
