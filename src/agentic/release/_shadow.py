"""What would a policy do on live traffic, beside the champion, before anybody is decided for by it?

A shadow follows the log. It is asked about decisions that have been made, with exactly what was known when
they were, and nothing waits for its answer: it cannot slow a decision, change one or make one fail.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

import numpy as np

from agentic import _noise
from agentic._again import logged_batch
from agentic._flow import POLICY, Plan, Weighed, draw, odds, propose
from agentic._folding import blocks_of
from agentic._plan import bind, checked, remembering
from agentic._records import DecisionBatch, found_batch
from agentic.arrays import I64, Bools, Proposal
from agentic.errors import ConfigurationError, reason
from agentic.protocols import Policy
from agentic.release._seen import Seen
from agentic.release._shadowed import Shadowed
from agentic.release._watchable import Watchable, end_of
from agentic.types import span

_STREAM: Final = 0x5AD0  # keeps those who are shadowed apart from other hashes of the same subjects
_FIRST: Final = 256  # rows of the first part, when nobody knows yet what the policy costs
_AT_ONCE: Final = 8192


class Shadow:
    """Asks a policy what it would do on live traffic, close behind the log, at a bounded cost.

    A hash of the subject says who is followed, so that a subject is followed always or never. Rewards are
    joined when they are final. Call ``look`` from any process that has the agent, as often as wanted: each
    call reads what the log holds more than the last time. Memory: 56 bytes for each weighed decision.

    The policy is asked as it is; it does not learn meanwhile. What it would keep about subjects is as the
    champion kept it, and blank where the champion keeps nothing.

    Args:
        agent: Whose log it is.
        policy: Weighs, and is not drawn from.
        share: Of subjects to follow, above 0 and at most 1.
        most_us: Ceiling in microseconds of time per decision that passed, on average; what would exceed
            it is skipped and counted.
        after: Log number to begin at; the end of the log by default. Rewards count from there as well.
        salt: Another salt, other subjects.
        timer: Tells nanoseconds that only grow.

    Raises:
        ConfigurationError: The policy does not fit the agent, or a number is out of range.

    .. versionadded:: 0.1
    """

    def __init__(
        self,
        agent: Watchable,
        policy: Policy,
        *,
        share: float = 0.1,
        most_us: float = 10.0,
        after: int | None = None,
        salt: str = "",
        timer: Callable[[], int] = time.perf_counter_ns,
    ) -> None:
        for name, given, most in (("share", share, 1.0), ("most_us", most_us, math.inf)):
            number = isinstance(given, int | float) and not isinstance(given, bool)
            if not number or not 0.0 < given <= most:
                raise ConfigurationError(
                    f"{name} must be a number above 0{' and at most 1' if most == 1.0 else ''}, got"
                    f" {given!r:.200}",
                    value=given,
                )
        if not isinstance(salt, str):
            raise ConfigurationError(f"salt must be a text, got {salt!r:.200}", value=salt)
        self._agent = agent
        self._policy: Policy = bind(checked(policy), agent.plan.space)
        self._share, self._most_us, self._timer = float(share), float(most_us), timer
        self._salt = _noise.text_key(salt)
        self._next = end_of(agent.log) if after is None else after
        self._seen = Seen(agent.plan.catalogue.ids, agent.schema)

    @property
    def policy(self) -> Policy:
        """The policy that is asked."""
        return self._policy

    @property
    def next(self) -> int:
        """Number of the first record that it has not read."""
        return self._next

    def look(self, *, most: int = 1_000_000) -> Shadowed:
        """Read what the log holds more than the last time, and say what was seen so far.

        Args:
            most: Decisions to read at most, in whole blocks; the next call goes on from there.
        """
        plan, log, begin = remembering(self._agent.plan, self._policy), self._agent.log, self._next
        end, read = end_of(log), 0
        for receipt, block in blocks_of(log, "decision", after=begin):
            if receipt.first >= end:
                break
            if read >= most:
                end = receipt.first
                break
            if block.meta.get("agent") == self._agent.name:
                found = found_batch(block, receipt.first, plan.catalogue)
                found = found.take(slice(max(0, begin - receipt.first), max(0, end - receipt.first)))
                read += len(found)
                self._pass(plan, found)
        goals = self._agent.goals
        for receipt, block in blocks_of(log, "reward", after=begin):
            if receipt.first >= end:
                break
            if goals is not None and block.meta.get("agent") == self._agent.name:
                lasts = span(goals.window, "window") * (2 if goals.start == "exposure" else 1)
                new = slice(max(0, begin - receipt.first), max(0, end - receipt.first))
                columns = {name: column[new] for name, column in block.columns.items()}
                self._seen.close(columns, int(block.meta["at"]) - lasts)
        self._next = max(end, begin)
        return self._seen.report()

    def report(self, *others: Shadow) -> Shadowed:
        """Say what was seen so far, together with shadows of the same policy on other logs.

        Args:
            others: Of agents with the same actions and features: shards, hosts.
        """
        whole = Seen(self._agent.plan.catalogue.ids, self._agent.schema)
        for shadow in (self, *others):
            whole.merge(shadow._seen)
        return whole.report()

    def _pass(self, plan: Plan, found: DecisionBatch) -> None:
        """Weigh those of the decisions that are followed, as long as that costs no more than allowed."""
        seen, lo = self._seen, 0
        while lo < len(found):
            part = found.take(slice(lo, lo + (_AT_ONCE if seen.weighed + seen.failed else _FIRST)))
            lo += len(part)
            seen.passed += len(part)
            rows = self._followed(part)
            if not len(rows):
                continue
            if not _fits(self._agent, part):
                seen.unreadable += len(rows)
                continue
            asked = seen.weighed + seen.failed
            ahead = seen.spent_ns * (1 + len(rows) / asked) if asked else 0.0
            if ahead > 1e3 * self._most_us * seen.passed:
                seen.skipped += len(rows)
                continue
            began = self._timer()
            self._weigh(plan, part.take(rows))
            spent = self._timer() - began
            seen.spent_ns += spent
            seen.dearest_ns = max(seen.dearest_ns, spent / len(rows))

    def _followed(self, part: DecisionBatch) -> I64:
        """Rows of the policy arm whose subject is followed, and not erased."""
        columns = part.columns
        rows = ((columns["arm"] == POLICY) & (columns["key"] != 0)).nonzero()[0]
        place = _noise.uniform(_noise.fold(_STREAM, self._salt, columns["key"][rows]))
        found: I64 = rows[place < self._share]
        return found

    def _weigh(self, plan: Plan, part: DecisionBatch) -> None:
        """Ask the policy, and count what it says."""
        seen, columns = self._seen, part.columns
        arm = np.zeros(len(part), dtype=np.uint8)
        failures: list[tuple[str, Exception]] = []
        try:
            batch = logged_batch(plan, self._agent.schema, part)
        except Exception:  # noqa: BLE001 - features are plugins, and a damaged record may hold anything
            seen.unreadable += len(part)
            return
        weighed = propose(plan, self._policy, batch, arm, failures)
        drawn = draw(plan, batch, weighed, columns["ticket"], arm)
        sound: Bools = ~weighed.failed
        seen.errors.update(reason(error) for _, error in failures)
        seen.failed += int(np.count_nonzero(weighed.failed))
        rows = sound.nonzero()[0]
        if not len(rows):
            return
        weights, running = weighed.weights[rows], weighed.running[rows]
        kept = Weighed(weights, running, Proposal(weights), weighed.failed[rows])
        target = odds(plan, batch.take(rows), kept, [])
        changed = (drawn.action != part.action).any(axis=1)[rows]
        seen.add(part.take(rows), drawn.action[rows], changed, target)


def _fits(agent: Watchable, part: DecisionBatch) -> bool:
    """Whether the decisions were made with the actions and features that the agent has now."""
    meta = part.meta(0)
    told: object = meta.get("actions"), meta.get("features")
    return told == (list(agent.plan.catalogue.ids), list(agent.schema.names))
