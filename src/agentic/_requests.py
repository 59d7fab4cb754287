"""Which requests were answered already: the same question gets the same answer, also at the same moment."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from threading import Event, Lock, get_ident
from typing import Final, NamedTuple

from agentic.errors import InvalidContextError, masked

REMEMBERED: Final = 1 << 17

Request = tuple[str, str]  # subject and request id


class Answer(NamedTuple):
    """Where the log keeps the answer, and how many slots it has."""

    position: int
    slots: int


class Going:
    """A request that a thread is deciding; its answer when that is over, ``None`` if it failed."""

    def __init__(self, thread: int) -> None:
        self.thread = thread
        self.over = Event()
        self.answer: Answer | None = None


class Requests:
    """Remembers the last 131,072 answered requests; safe for threads.

    Who asks first decides; who asks the same while that goes on waits for the answer.
    """

    def __init__(self) -> None:
        self._answers: dict[Request, Answer] = {}
        self._going: dict[Request, Going] = {}
        self._lock = Lock()

    def reserve(
        self, requests: Iterable[Request], slots: int, mine: list[Request], /
    ) -> tuple[dict[Request, Answer], dict[Request, Going]]:
        """Take on the requests nobody has answered or taken on; each once, in their order.

        Args:
            requests: Subjects and request ids.
            slots: How many actions each is to choose.
            mine: Those taken on are added to it, before they are taken on: whatever happens, Ctrl-C too, the
                caller knows what to ``settle``.

        Returns:
            The answers of those that have one, and the work of those others took on.

        Raises:
            InvalidContextError: One was answered with another number of slots, or this thread is deciding it
                already; nothing is taken on.
        """
        with self._lock:
            new, known, going = [], {}, {}
            for request in dict.fromkeys(requests):
                if (answer := self._answers.get(request)) is not None:
                    if answer.slots != slots:
                        raise InvalidContextError(
                            f"a request, {masked(request[1])}, was answered with {answer.slots} slots and is"
                            f" asked again with {slots}: give another question another request id",
                            value=slots,
                            expected=answer.slots,
                        )
                    known[request] = answer
                elif (work := self._going.get(request)) is not None:
                    if work.thread == get_ident():
                        raise InvalidContextError(
                            f"a request, {masked(request[1])}, is asked while it is being decided, by the"
                            " same thread: a provider or clock must not ask for its own answer",
                            value=masked(request[1]),
                        )
                    going[request] = work
                else:
                    new.append(request)
            mine += new
            for request in new:
                self._going[request] = Going(get_ident())
        return known, going

    def forked(self) -> None:
        """In a child process: nobody holds the lock, and nothing is going on."""
        self._lock, self._going = Lock(), {}

    def __bool__(self) -> bool:
        return bool(self._answers)

    def any_known(self, subjects: Sequence[str], request_ids: Sequence[str], /) -> bool:
        """Whether one of these requests was answered."""
        with self._lock:
            return any(request in self._answers for request in zip(subjects, request_ids, strict=True))

    def note(self, subjects: Iterable[str], request_ids: Iterable[str], first: int, slots: int, /) -> None:
        """Take note of answers that the log keeps from this place on; an empty id is none."""
        places = enumerate(zip(subjects, request_ids, strict=True), first)
        with self._lock:
            self._answers.update({request: Answer(at, slots) for at, request in places if request[1]})
            self._trim()

    def forget(self, answers: Mapping[Request, Answer], /) -> None:
        """Forget these answers, but for those that have been given anew."""
        with self._lock:
            for request, answer in answers.items():
                if self._answers.get(request) == answer:
                    del self._answers[request]

    def drop(self, positions: Container[int], /) -> None:
        """Take requests whose answers lie at these places of the log as never answered."""
        with self._lock:
            self._answers = {
                request: answer
                for request, answer in self._answers.items()
                if answer.position not in positions
            }

    def settle(self, requests: Sequence[Request], answers: Mapping[Request, Answer], /) -> None:
        """Give back requests that were taken on, with their answers if there are any."""
        with self._lock:
            self._answers.update(answers)
            self._trim()
            done = [
                (self._going.pop(request), answers.get(request))
                for request in requests
                if request in self._going and self._going[request].thread == get_ident()
            ]
        for work, answer in done:
            work.answer = answer
            work.over.set()

    def _trim(self) -> None:
        while len(self._answers) > REMEMBERED:
            del self._answers[next(iter(self._answers))]
