"""Which requests were answered already: the same question gets the same answer, also at the same moment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from threading import Event, Lock
from typing import Final

import attrs

from agentic.errors import InvalidContextError

_REMEMBERED: Final = 1 << 17

Request = tuple[str, str]  # subject and request id


@attrs.frozen
class Answer:
    """Where the log keeps the answer, and how many slots it has."""

    position: int
    slots: int


class Requests:
    """Remembers the last 131,072 answered requests; safe for threads.

    Who asks first decides; who asks the same while that goes on waits for the answer.
    """

    def __init__(self) -> None:
        self._answers: dict[Request, Answer] = {}
        self._going: dict[Request, Event] = {}
        self._lock = Lock()

    def reserve(self, requests: Sequence[Request], slots: int, /) -> list[Request]:
        """Take on the requests nobody has answered or taken on; each once, in their order.

        Raises:
            InvalidContextError: One was answered with another number of slots; nothing is taken on.
        """
        with self._lock:
            for request in requests:
                known = self._answers.get(request)
                if known is not None and known.slots != slots:
                    raise InvalidContextError(
                        f"request {request[1]!r} was answered with {known.slots} slots and is asked again"
                        f" with {slots}: give another question another request id",
                        value=slots,
                        expected=known.slots,
                    )
            mine = [
                request
                for request in dict.fromkeys(requests)
                if request not in self._answers and request not in self._going
            ]
            for request in mine:
                self._going[request] = Event()
        return mine

    def settle(self, requests: Sequence[Request], answers: Mapping[Request, Answer], /) -> None:
        """Give back requests that were taken on, with their answers if there are any."""
        with self._lock:
            self._answers.update(answers)
            while len(self._answers) > _REMEMBERED:
                del self._answers[next(iter(self._answers))]
            waiting = [self._going.pop(request) for request in requests]
        for event in waiting:
            event.set()

    def find(self, requests: Sequence[Request], /) -> list[Answer] | None:
        """The answers, when others who decide some of them are done; ``None`` if one was not answered."""
        for request in requests:
            with self._lock:
                event = self._going.get(request)
            if event is not None:
                event.wait()
        with self._lock:
            found = [self._answers.get(request) for request in requests]
        return None if None in found else [answer for answer in found if answer is not None]
