"""How does a request get one answer, whoever asks it how often, and at the same moment?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from agentic._archive import Archive
from agentic._inputs import rows_of
from agentic._records import DecisionBatch
from agentic._requests import Answer, Request, Requests

Decide = Callable[[list[str], Mapping[str, Any], list[str]], DecisionBatch | None]  # columns of any kind
"""Decides for subjects by a context, under names of requests; ``None`` if one was answered meanwhile."""


def decide_once(
    requests: Requests,
    archive: Archive,
    decide: Decide,
    subjects: Sequence[str],
    context: Mapping[str, Any],  # columns: lists, arrays or Coded
    request_ids: Sequence[str],
    slots: int,
) -> DecisionBatch:
    """Decide the requests that are new and find the answers of the others.

    Args:
        requests: Which ones were answered, or are being decided.
        archive: Where answers are.
        decide: Decides the new ones.
        subjects: n ids.
        context: Columns of n values by feature name.
        request_ids: n ids.
        slots: Actions for each.

    Raises:
        InvalidContextError: A request was answered with another number of slots, or is asked while it is
            being decided by this thread.
        LogError: The log no longer holds an answer.
    """
    asked = list(zip(subjects, request_ids, strict=True))
    first: dict[Request, int] = {}
    for row, request in enumerate(asked):
        first.setdefault(request, row)
    answers: dict[Request, Answer] = {}
    while True:
        fresh = _answer(requests, decide, context, first, answers, slots)
        if fresh is not None and len(fresh) == len(asked):
            return fresh
        found = archive.fetch([answers[request].position for request in asked])
        erased = {asked[row] for row in np.flatnonzero(found.columns["key"] == 0).tolist()}
        if not erased:
            return found
        # Whoever was forgotten asks for the first time.
        requests.forget({request: answers.pop(request) for request in erased})


def _answer(
    requests: Requests,
    decide: Decide,
    context: Mapping[str, Any],  # likewise
    first: Mapping[Request, int],
    answers: dict[Request, Answer],
    slots: int,
) -> DecisionBatch | None:
    """Find or make the answers that are missing; return those made, if they are all there are.

    Args:
        requests: Which ones were answered, or are being decided.
        decide: Decides the new ones.
        context: Columns by feature name.
        first: Row of each request in the context.
        answers: What was found and made so far; added to.
        slots: Actions for each.
    """
    alone = not answers
    while len(answers) < len(first):
        mine: list[Request] = []
        new: dict[Request, Answer] = {}
        fresh: DecisionBatch | None = None
        try:
            known, going = requests.reserve([r for r in first if r not in answers], slots, mine)
            if mine:
                rows = [first[request] for request in mine]
                columns = {name: rows_of(column, rows) for name, column in context.items()}
                fresh = decide([name for name, _ in mine], columns, [request_id for _, request_id in mine])
                if fresh is not None:
                    places = fresh.positions.tolist()
                    new = {r: Answer(place, slots) for r, place in zip(mine, places, strict=True)}
        finally:
            requests.settle(mine, new)
        answers |= known | new
        if fresh is not None and alone and len(mine) == len(first):
            return fresh
        for request, work in going.items():
            work.over.wait()
            if work.answer is not None:  # where it failed for others, it is ours to take on
                answers[request] = work.answer
    return None
