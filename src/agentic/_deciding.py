"""How an agent decides a batch: the I/O around the walk, wave by wave."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from threading import Lock
from typing import Any, Final

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic import _noise, zones
from agentic._flow import (
    AUTONOMOUS,
    CONTENDED,
    CORE,
    POLICIES,
    RESTRICTION,
    STATE_UNAVAILABLE,
    SURROGATE,
    UNTIL,
    Leave,
    Plan,
    Walked,
    Wave,
    prices,
    walk,
)
from agentic._inputs import texts
from agentic._knowing import know, withhold
from agentic._logger import logger
from agentic._plan import Assembly
from agentic._stored import load, save
from agentic.arrays import I64, U64, Bools, Layout
from agentic.conditions import Coded
from agentic.errors import masked
from agentic.features import Values
from agentic.protocols import FeatureProvider, Policy, StateStore
from agentic.state import Pools

_WAVE: Final = 8192
_CELLS: Final = 1 << 18
_LOSSES: Final = 16


@attrs.define(eq=False)
class Settled:
    """Rows that were stored, to be taken back if the log fails; ``before`` may hold more, at the end."""

    names: list[str] = attrs.field(repr=masked)
    before: bytes = attrs.field(repr=masked)
    written: NDArray[Any]
    stands: NDArray[np.bool_]
    action: I64
    layout: Layout


@attrs.define(eq=False)
class _Part:
    """Decided rows: where they belong in the batch, what to log of them, what was settled."""

    rows: slice | I64
    columns: dict[str, NDArray[Any]]
    settled: Settled | None


@attrs.define(eq=False)
class Desk:
    """Where decisions are made: the plan with its store, providers and pools.

    Attributes:
        recalls: What policies keep about a subject is logged with each decision: the policy in charge, or
            one that stands in for it, decides by it.
        pseudonymous: The log has a surrogate in place of the subject where it cannot be changed any more.
        reason_codes: Reason code by guardrail name; its name in capitals until it has told its own.
        failures: How often each plugin failed and was replaced by something safe.
    """

    name: str
    assembly: Assembly
    store: StateStore
    providers: Sequence[FeatureProvider]
    pools: Pools
    recalls: bool = False
    pseudonymous: bool = attrs.field(init=False)
    reason_codes: dict[str, str] = attrs.field(init=False)
    failures: dict[str, int] = attrs.field(factory=dict, init=False)
    _told: set[str] = attrs.field(factory=set, init=False)
    _lock: Lock = attrs.field(factory=Lock, init=False)

    def __attrs_post_init__(self) -> None:
        self.pseudonymous = SURROGATE in (self.plan.layout.dtype.names or ())
        self.reason_codes = {guardrail: guardrail.upper() for guardrail in self.plan.guardrails}

    @property
    def plan(self) -> Plan:
        """The agent as the flow sees it."""
        return self.assembly.plan

    def serving(self, plan: Plan, *, recalls: bool) -> Desk:
        """The same desk with another plan of the same agent; rows being decided finish by the old one."""
        if plan is self.plan and recalls == self.recalls:
            return self
        twin = attrs.evolve(self, assembly=attrs.evolve(self.assembly, plan=plan), recalls=recalls)
        twin.reason_codes, twin.failures = dict(self.reason_codes), self.failures
        twin._told, twin._lock = set(self._told), self._lock
        return twin

    def forked(self) -> None:
        """In a child process: nobody holds these locks."""
        self._lock = Lock()
        self.pools.forked()

    def gather(self, subjects: list[str], context: Mapping[str, Any], at: int) -> tuple[Values, Bools | None]:
        """Ask providers for what the context lacks, as far as it may be known.

        Args:
            subjects: n checked ids.
            context: Columns of n values by feature name.
            at: Microseconds since 1970.

        Returns:
            n rows of values, and who is decided for without a record: shape (n,); ``None`` for nobody.
        """
        protected = None
        if self.plan.purposes or self.assembly.protection is not None:
            values, protected = know(self.assembly, self._recall, subjects, context, self.providers, at)
        else:
            values = self.assembly.schema.gather(tuple(subjects), context, self.providers, at)
        values.matrix.flags.writeable = False
        for failed in values.failed:
            self._count_failure(failed, None)
        return values, protected

    def decide(
        self,
        policy: Policy,
        subjects: list[str],
        values: Values,
        protected: Bools | None,
        tickets: U64 | None,
        slots: int,
        at: int,
        began: int,
        leave: Callable[[], Leave] = lambda: AUTONOMOUS,
    ) -> tuple[dict[str, NDArray[Any]], list[Settled]]:
        """Decide all rows and settle them in the store.

        Args:
            policy: The one in charge, bound.
            subjects: n checked ids.
            values: What is known of them.
            protected: Shape (n,): who is decided for without a record; ``None`` for nobody.
            tickets: Shape (n,): draws of requests that name themselves; ``None`` counts decisions.
            slots: Actions for each row.
            at: Microseconds since 1970.
            began: When the work on these rows began, by the performance counter, in nanoseconds.
            leave: Tells what people leave to the agent; asked for each wave.

        Returns:
            The columns to log, and what was settled, to be taken back if they are not.
        """
        n, plan = len(subjects), self.plan
        parts: list[_Part] = []
        step = max(1, min(_WAVE, _CELLS // len(plan.catalogue)))
        try:
            for lo in range(0, max(n, 1), step):  # an empty batch is one empty wave
                for rows, blank in _waves(subjects, lo, min(lo + step, n), protected):
                    self._decide_wave(
                        policy, subjects, values, tickets, rows, parts, slots, at, blank, leave()
                    )
        except BaseException:  # somebody pressed Ctrl-C: nothing was logged, so nothing stands
            self.take_back([part.settled for part in parts if part.settled is not None], at)
            raise
        columns = _gathered(parts, n)
        took = (time.perf_counter_ns() - began) / 1e3 / max(n, 1)
        columns |= {
            "subject": texts(subjects),
            "at": np.full(n, at, np.int64),
            "values": values.matrix,
            "status": values.status,
            "cost": prices(plan.catalogue.cost, columns["action"]),
            "compute_us": np.full(n, took, dtype=np.float32),
        }
        return columns, [part.settled for part in parts if part.settled is not None]

    def _decide_wave(
        self,
        policy: Policy,
        subjects: list[str],
        values: Values,
        tickets: U64 | None,
        rows: slice | I64,
        parts: list[_Part],
        slots: int,
        at: int,
        protected: bool,
        leave: Leave,
    ) -> None:
        """Load, walk and store, again for rows that lost a race, until every row of the wave stands.

        Of protected subjects nothing is loaded but whether they are to be left alone, and nothing stored.
        """
        plan, todo, losses, denied = self.plan, rows, 0, 0
        broken: frozenset[str] = frozenset()
        while True:
            names = subjects[todo] if isinstance(todo, slice) else [subjects[i] for i in todo.tolist()]
            records, versions, failed = self._load(names)
            if protected:
                records = self._forgotten(records)
            denied |= failed
            if plan.purposes and not protected:
                withhold(self.assembly, values, todo, records)
            before = records.tobytes()
            wave = self._wave(names, records, values, tickets, todo, slots, at)
            wave.denied, wave.broken, wave.protected, wave.leave = denied, broken, protected, leave
            if self.pools:
                wave.available, failed = self._take(at, len(names), slots)
                wave.denied |= failed
            unspent = wave.available
            try:
                walked = walk(plan, policy, wave)
                self._note(walked)
                count, settled = walked.count, None
                stands = np.ones(count, dtype=np.bool_)
                if count and not denied and not protected and leave.settles:
                    stands, failed = self._save(names[:count], records[:count], versions[:count])
                    denied |= failed
                    action = walked.drawn.action[:count]
                    settled = Settled(names[:count], before, records[:count], stands, action, plan.layout)
                unspent = _unspent(plan, wave, walked, stands) if leave.settles else unspent
            finally:
                if self.pools:
                    self._give(unspent, at)
            if len(walked.broken) > len(broken):
                broken = walked.broken
                continue
            if np.count_nonzero(stands) == len(names):
                parts.append(_Part(todo, self._columns(wave, walked), settled))
                return
            index = np.arange(todo.start, todo.stop) if isinstance(todo, slice) else todo
            kept = stands.nonzero()[0]
            columns = {name: column[kept] for name, column in self._columns(wave, walked).items()}
            parts.append(_Part(index[kept], columns, settled))
            lost = len(kept) < count
            todo = index[np.concatenate([(~stands).nonzero()[0], np.arange(count, len(names))])]
            losses += lost
            if losses > _LOSSES and not denied:
                denied = CONTENDED

    def _load(self, names: list[str]) -> tuple[NDArray[Any], I64, int]:
        """Records and versions; blank ones, and the reason to deny, when the store is down."""
        try:
            rows, versions = load(self.store, names, self.plan.layout)
        except Exception as error:  # noqa: BLE001 - a store is a plugin: without state nothing is sent
            self._count_failure("store", error)
            return self._blank(names, STATE_UNAVAILABLE)
        # Writable and ours, whatever the store hands out; by way of bytes: a copy goes field by field.
        return np.frombuffer(bytearray(rows.tobytes()), dtype=rows.dtype), versions, 0

    def _recall(self, names: list[str]) -> NDArray[Any]:
        """Records; blank ones when the store is down."""
        return self._load(names)[0]

    def _forgotten(self, records: NDArray[Any]) -> NDArray[Any]:
        """Records of subjects nobody has seen, but that these are suppressed or restricted."""
        blank = self.plan.layout.new(len(records))
        for name in (UNTIL, RESTRICTION):
            blank[name] = records[name]
        return blank

    def _blank(self, names: list[str], denied: int) -> tuple[NDArray[Any], I64, int]:
        """Records of subjects nobody has seen, and the reason to deny."""
        return self.plan.layout.new(len(names)), np.zeros(len(names), np.int64), denied

    def _save(self, names: list[str], records: NDArray[Any], versions: I64) -> tuple[NDArray[np.bool_], int]:
        """Which rows stand; none, and the reason to deny, when the store is down."""
        try:
            return save(self.store, names, records, versions, self.plan.layout), 0
        except Exception as error:  # noqa: BLE001 - a store is a plugin: without state nothing is sent
            self._count_failure("store", error)
            return np.zeros(len(names), dtype=np.bool_), STATE_UNAVAILABLE

    def _take(self, at: int, rows: int, slots: int) -> tuple[dict[str, int], int]:
        try:
            return self.pools.take(at, rows, slots), 0
        except Exception as error:  # noqa: BLE001 - a store is a plugin: without state nothing is sent
            self._count_failure("store", error)
            return dict.fromkeys(self.plan.charges, 0), STATE_UNAVAILABLE

    def _give(self, left: Mapping[str, int], at: int) -> None:
        try:
            self.pools.give(left, at)
        except Exception as error:  # noqa: BLE001 - a store is a plugin: what it did not take back is held here
            self._count_failure("store", error)

    def _wave(
        self,
        names: list[str],
        records: NDArray[Any],
        values: Values,
        tickets: U64 | None,
        rows: slice | I64,
        slots: int,
        at: int,
    ) -> Wave:
        """Put together what the walk needs to know of these rows."""
        schema = self.assembly.schema
        keys = np.ascontiguousarray(records[f"{CORE}.key"])
        if np.count_nonzero(keys) < len(keys):
            strangers = np.flatnonzero(keys == 0)
            keys[strangers] = _noise.text_keys([names[i] for i in strangers.tolist()])
            records[f"{CORE}.key"] = keys
        if self.pseudonymous:  # who is protected has no record that would keep it, and another one each time
            identify(records[SURROGATE])
        matrix = values.matrix[rows]
        columns = schema.columns(matrix)
        numbers = records[f"{CORE}.decisions"].astype(np.uint64)
        zone = np.ascontiguousarray(records[f"{CORE}.zone"])
        if self.assembly.zone_feature is not None:
            told = columns[self.assembly.zone_feature]
            codes = told.codes if isinstance(told, Coded) else told
            zone = np.where(codes >= 0, np.nan_to_num(codes, nan=-1), zone).astype(np.int16)
        if self.assembly.default_zone != zones.UNKNOWN:
            zone[zone == zones.UNKNOWN] = self.assembly.default_zone
        X, now = schema.encode(matrix), np.full(len(names), at, np.int64)
        for column in (keys, now, zone, X):
            column.flags.writeable = False  # a plugin reads what will be logged
        return Wave(
            keys,
            numbers if tickets is None else tickets[rows],
            now,
            zone,
            X,
            columns,
            records,
            {},
            slots,
        )

    def _columns(self, wave: Wave, walked: Walked) -> dict[str, NDArray[Any]]:
        """What the log keeps of a wave's rows."""
        columns = _columns(wave, walked)
        if self.pseudonymous:
            columns["surrogate"] = np.ascontiguousarray(wave.rows[SURROGATE])
        if self.recalls:
            columns["remembered"] = self.plan.layout.pack(wave.rows, POLICIES)
        return columns

    def _note(self, walked: Walked) -> None:
        """Remember reason codes, count failures; each kind of failure is logged once."""
        for name, code in walked.reasons.items():
            if name not in self._told:
                # A guardrail's code is the first one it tells: the log explains its bits by it.
                self._told.add(name)
                self.reason_codes = {**self.reason_codes, name: code}
        for name, error in walked.failures:
            self._count_failure(name, error)

    def _count_failure(self, name: str, error: Exception | None) -> None:
        with self._lock:
            seen = self.failures.get(name, 0)
            self.failures[name] = seen + 1
        if not seen:
            logger.warning(
                "agent %s: %s failed and was replaced by something safe", self.name, name, exc_info=error
            )

    def take_back(self, settled: Sequence[Settled], at: int) -> None:
        """Restore records that nobody changed since; others stay counted, which is the safe side."""
        for one in reversed(settled):
            layout = one.layout
            width = layout.dtype.itemsize
            try:
                now, versions = load(self.store, one.names, layout)
                there, mine = (rows.view(np.uint8).reshape(-1, width) for rows in (now, one.written))
                same = one.stands & (there == mine).all(axis=1)
                names = [name for name, ok in zip(one.names, same.tolist(), strict=True) if ok]
                before = np.frombuffer(one.before, dtype=layout.dtype)[: len(same)]
                back = save(self.store, names, before[same], versions[same], layout)
            except Exception as error:  # noqa: BLE001 - a store is a plugin: what it keeps stays counted
                self._count_failure("store", error)
                continue
            action = one.action[same][back]
            self._give({name: int(price[action].sum()) for name, price in self.plan.charges.items()}, at)


def identify(surrogates: U64) -> None:
    """Give a surrogate to those who have none: 128 random bits, from which nobody can be found again.

    Args:
        surrogates: Shape (n, 2); changed in place.
    """
    strangers = np.flatnonzero(~surrogates.any(axis=1))
    if len(strangers):
        surrogates[strangers] = np.frombuffer(os.urandom(16 * len(strangers)), "<u8").reshape(-1, 2)


def _unspent(plan: Plan, wave: Wave, walked: Walked, stands: NDArray[np.bool_]) -> dict[str, int]:
    """What the wave took out of each pool and did not spend on rows that stand."""
    left = {}
    for name, charge in plan.charges.items():
        spent = walked.spent[name]
        if np.count_nonzero(stands) < len(stands):
            spent = int(prices(charge, walked.drawn.action[: walked.count])[stands].sum())
        left[name] = wave.available[name] - spent
    return left


def _columns(wave: Wave, walked: Walked) -> dict[str, NDArray[Any]]:
    """What the log keeps of a wave's rows."""
    drawn = walked.drawn
    return {
        "tag": drawn.noise,
        "key": wave.keys,
        "ticket": wave.ticket,
        "arm": walked.arm,
        "zone": wave.zone,
        "denied": walked.denied,
        "action": drawn.action,
        "probability": drawn.probability,
        "explored": drawn.explored,
        "score": drawn.score,
        "spread": drawn.spread,
        "policy_failed": walked.policy_failed,
    }


def _gathered(parts: list[_Part], n: int) -> dict[str, NDArray[Any]]:
    """The columns of all rows; of one wave that is the whole batch, as they are."""
    if len(parts) == 1:
        return parts[0].columns
    whole: dict[str, NDArray[Any]] = {}
    for part in parts:
        for name, column in part.columns.items():
            if name not in whole:
                whole[name] = np.empty((n, *column.shape[1:]), dtype=column.dtype)
            whole[name][part.rows] = column
    return whole


def _waves(
    subjects: list[str], lo: int, hi: int, protected: Bools | None
) -> Iterator[tuple[slice | I64, bool]]:
    """Split rows into waves, and say which wave is of protected subjects: the first, if there are any.

    No subject that has a record appears twice in one wave; a subject's rows keep their order.
    """
    names, others = subjects[lo:hi], None
    if protected is not None and np.count_nonzero(protected[lo:hi]):
        yield lo + np.flatnonzero(protected[lo:hi]), True
        others = np.flatnonzero(~protected[lo:hi])
        names = [names[row] for row in others.tolist()]
    if len(set(names)) == len(names):
        if others is None:
            yield slice(lo, hi), False
        elif names:
            yield lo + others, False
        return
    seen: dict[str, int] = {}
    turn = np.empty(len(names), dtype=np.int64)
    for row, name in enumerate(names):
        turn[row] = seen[name] = seen.get(name, -1) + 1
    for wave in range(int(turn.max()) + 1):
        rows = np.flatnonzero(turn == wave)
        yield lo + (rows if others is None else others[rows]), False
