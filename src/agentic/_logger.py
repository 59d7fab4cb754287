"""Where is told what went wrong and was survived? In the log ``agentic``.

It is opened when there is something to tell: `logging` took a tenth of the time that importing an agent took.
What a plugin raised may quote a subject or a value, so a line says what kind of error it was and where it was
raised, and leaves out its message.
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

    def warning(self, message: str, /, *args: object, exc_info: BaseException | None = None) -> None:
        """Write a line with the place it is called from, and with the kind and place of an exception."""
        import logging

        if exc_info is not None:
            message, args = message + ": %s", (*args, told(exc_info))
        logging.getLogger(self._name).warning(message, *args, stacklevel=2)


def told(error: BaseException, /) -> str:
    """Say what was raised and where, innermost first, but not what it says."""
    import traceback
    from pathlib import Path

    frames = traceback.extract_tb(error.__traceback__)[-3:]
    places = [f"{Path(frame.filename).name}:{frame.lineno} in {frame.name}" for frame in frames[::-1]]
    return ", ".join([type(error).__name__, *places])


logger = Logger("agentic")
