"""Where is told what went wrong and was survived? In the log ``agentic``.

It is opened when there is something to tell: `logging` took a tenth of the time that importing an agent took.
"""

from __future__ import annotations


class Logger:
    """A log that is opened by its first line.

    Args:
        name: As `logging` knows it.
    """

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def warning(self, message: str, /, *args: object, exc_info: BaseException | bool | None = None) -> None:
        """Write a line, with the place it is called from."""
        import logging

        logging.getLogger(self._name).warning(message, *args, exc_info=exc_info, stacklevel=2)


logger = Logger("agentic")
