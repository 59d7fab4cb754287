"""What went wrong and was survived is told in Python's own log."""

from __future__ import annotations

import logging
import re

import pytest

from agentic._logger import logger


def test_a_warning_is_an_ordinary_record_of_the_place_that_gave_it(caplog: pytest.LogCaptureFixture) -> None:
    """Of the log ``agentic``, with its arguments apart."""
    logger.warning("%s failed", "it")
    (record,) = caplog.records
    assert (record.name, record.levelno, record.getMessage()) == ("agentic", logging.WARNING, "it failed")
    assert (record.pathname, record.funcName) == (
        __file__,
        "test_a_warning_is_an_ordinary_record_of_the_place_that_gave_it",
    )


def test_an_exception_is_told_by_its_kind_and_place_and_not_by_what_it_says(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A plugin may quote whomever it was asked about."""
    try:
        {}["ada@example.org"]
    except KeyError as error:
        logger.warning("%s failed", "it", exc_info=error)
    (record,) = caplog.records
    place = "test_an_exception_is_told_by_its_kind_and_place_and_not_by_what_it_says"
    assert re.fullmatch(rf"it failed: KeyError, test_logger\.py:\d+ in {place}", record.getMessage())
    assert record.exc_info is None
    assert "ada" not in caplog.text


def test_who_silences_the_log_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    """Levels are those of Python's log at the time of the warning."""
    caplog.set_level(logging.ERROR, logger="agentic")
    logger.warning("nobody hears")
    assert caplog.records == []
