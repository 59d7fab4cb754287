"""What must hold for every provenance log?

A check takes a function that makes an empty log. Logs may store blocks as they please, as long as the
records come back in order: what is compared is records, not blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np

from agentic.arrays import Block, Receipt
from agentic.protocols import ProvenanceLog
from agentic.testing._compare import THREADS, require, together
from agentic.testing._store_checks import need_hypothesis

MakeLog = Callable[[], ProvenanceLog]
Check = Callable[..., None]  # takes what makes the part, and what it is tried on
Record = tuple[str, dict[str, Any], dict[str, bytes]]  # kind, meta, the bytes of each column's value

_META: Final[dict[str, Any]] = {"agent": "shop", "schema": 1, "reasons": ["CONSENT"], "floor": 0.05}


def block(count: int, /, *, kind: str = "decision", seed: int = 0, columns: str = "full") -> Block:
    """Make a block of ``count`` records that nothing else in a test is equal to.

    Args:
        count: Records.
        kind: Of the block.
        seed: Of the values.
        columns: ``"full"`` or ``"few"``: which columns there are.
    """
    dice = np.random.default_rng([seed, count, len(kind)])
    found: dict[str, Any] = {
        "at": dice.integers(0, 1 << 50, count),
        "subject": np.array([f"s{i}" for i in dice.integers(0, 10**9, count).tolist()], dtype="U12"),
    }
    if columns == "full":
        found |= {
            "X": dice.standard_normal((count, 3)),
            "explored": dice.random((count, 1)) < 0.5,
            "denied": dice.integers(0, 1 << 16, (count, 2)).astype(np.uint16),
            "score": np.where(dice.random(count) < 0.2, np.nan, dice.random(count)),
        }
    return Block(kind, found, {**_META, "run": kind})


def _records(of: Block) -> list[Record]:
    return [
        (of.kind, dict(of.meta), {name: _bits(column, row) for name, column in of.columns.items()})
        for row in range(len(of))
    ]


def _bits(column: Any, row: int) -> bytes:  # arrays of any dtype
    cell = np.asarray(column)[row]
    # Texts by content: a log may widen them.
    text = np.asarray(column).dtype.kind in "UO"
    return (
        repr(cell.tolist() if isinstance(cell, np.ndarray) else str(cell)).encode()
        if text
        else cell.tobytes()
    )


def _read(log: ProvenanceLog, fact: str, /, after: int = 0) -> list[tuple[int, Record]]:
    """Every record from the block that holds ``after`` on, with its number."""
    out: list[tuple[int, Record]] = []
    for receipt, part in log.read(after):
        require(isinstance(part, Block), f"{fact}: read must yield receipts and blocks, got {part!r}")
        require(
            receipt.count == len(part),
            f"{fact}: a receipt says {receipt.count} records, the block has {len(part)}",
        )
        out.extend(enumerate(_records(part), receipt.first))
    return out


def _append(log: ProvenanceLog, blocks: Iterable[Block], fact: str) -> list[Record]:
    """Append, check the numbers, and return the records in order."""
    want: list[Record] = []
    for part in blocks:
        receipt = log.append(part)
        require(
            receipt == Receipt(len(want), len(part)),
            f"{fact}: {len(part)} records after {len(want)} others got {receipt!r}",
        )
        want.extend(_records(part))
    return want


def _require_read(log: ProvenanceLog, want: list[Record], fact: str, /, *, start: int = 0) -> None:
    """Everything from ``start`` on is there, once and in order."""
    found = [(number, record) for number, record in _read(log, fact, start) if number >= start]
    numbers = [number for number, _ in found]
    require(
        numbers == list(range(start, len(want))),
        f"{fact}: read({start}) gave {len(numbers)} records numbered {numbers[:5]} ..., expected {start} to"
        f" {len(want) - 1} in order",
    )
    for number, record in found:
        for what, got, expected in zip(("kind", "meta", "values"), record, want[number], strict=True):
            require(
                got == expected, f"{fact}: {what} of record {number} is {got!r}, appended was {expected!r}"
            )


def check_records_are_numbered_without_gaps(make: MakeLog, /) -> None:
    """Receipts count on from 0, and what is read has the same numbers."""
    fact = "records are numbered without gaps"
    log = make()
    require(isinstance(log, ProvenanceLog), f"{fact}: {type(log).__name__} needs append() and read()")
    want = _append(log, (block(count, seed=count) for count in (1, 5, 300, 2, 256, 255, 1)), fact)
    _require_read(log, want, fact)


def check_an_empty_log_reads_empty(make: MakeLog, /) -> None:
    """A log without records yields nothing, wherever reading starts."""
    log = make()
    for after in (0, 7):
        found = _read(log, "an empty log reads empty", after)
        require(not found, f"an empty log reads empty: read({after}) gave {found[:1]!r}")


def check_reading_starts_in_the_middle(make: MakeLog, /) -> None:
    """``read(after)`` begins with the block that holds that record, and past the end yields nothing."""
    fact = "reading starts in the middle"
    log = make()
    sizes = (3, 300, 1, 40, 7, 500)
    want = _append(
        log, (block(count, seed=count, kind="odd" if count % 2 else "even") for count in sizes), fact
    )
    for after in (0, 1, 2, 3, 150, 302, 303, 304, 320, 344, 351, 700, len(want) - 1):
        first, part = next(iter(log.read(after)))
        require(
            first.first <= after < first.first + len(part),
            f"{fact}: read({after}) begins with records {first.first} to {first.first + len(part) - 1}",
        )
        _require_read(log, want, fact, start=after)
    for after in (len(want), len(want) + 100):
        require(
            not _read(log, fact, after), f"{fact}: read({after}) found something past the end, {len(want)}"
        )


def check_empty_blocks_leave_no_trace(make: MakeLog, /) -> None:
    """A block without records is taken, gets the next number, and uses none up."""
    fact = "empty blocks leave no trace"
    log = make()
    nothing = Block("decision", {}, {})
    parts = [
        block(0),
        block(4, seed=1),
        nothing,
        block(0, kind="other"),
        block(300, seed=2),
        block(0),
        block(2),
    ]
    _require_read(log, _append(log, parts, fact), fact)


def check_ragged_blocks_are_refused(make: MakeLog, /) -> None:
    """A block whose columns differ in length is refused, and none of its records is appended."""
    fact = "ragged blocks are refused"
    log = make()
    want = _append(log, [block(3)], fact)
    for count, odd in ((5, 4), (5, 6), (5, 0), (300, 299), (0, 2)):
        for name in ("at", "score"):
            ragged = block(count)
            ragged.columns[name] = block(odd).columns[name]
            try:
                receipt = log.append(ragged)
            except Exception:  # noqa: BLE001 - a plugin is called: any refusal will do
                receipt = None
            require(
                receipt is None, f"{fact}: {odd} values of {name!r} among {count} records got {receipt!r}"
            )
            _require_read(log, want, fact)
    last = block(2, seed=9)
    receipt = log.append(last)
    require(receipt == Receipt(3, 2), f"{fact}: the next block got {receipt!r}, expected numbers from 3 on")
    _require_read(log, want + _records(last), fact)


def check_small_blocks_of_several_kinds_keep_their_order(make: MakeLog, /) -> None:
    """Many small blocks of two kinds, whose metas and columns change, are read in the order of appends."""
    fact = "small blocks of several kinds keep their order"
    log = make()
    parts = []
    for turn in range(200):
        part = block(
            turn % 4,
            seed=turn,
            kind=("decision", "outcome")[turn % 3 % 2],
            columns="few" if turn % 7 == 3 else "full",
        )
        part.meta["run"] = turn // 50
        parts.append(part)
    _require_read(log, _append(log, parts, fact), fact)


def check_eight_threads_lose_nothing(make: MakeLog, /) -> None:
    """Blocks appended by eight threads at once are all there, each whole and where its receipt says."""
    fact = "eight threads lose nothing"
    log = make()
    put: list[list[tuple[Receipt, Block]]] = [[] for _ in range(THREADS)]

    def work(number: int) -> None:
        for turn in range(40):
            part = block(
                turn % 5 if turn % 13 else 300,
                seed=1000 * number + turn,
                kind=("decision", "outcome")[turn % 2],
            )
            put[number].append((log.append(part), part))

    together(work)
    placed: dict[int, Record] = {}
    for own in put:
        numbers = [receipt.first for receipt, _ in own]
        require(numbers == sorted(numbers), f"{fact}: one thread's blocks got numbers out of order")
        for receipt, part in own:
            for number, record in enumerate(_records(part), receipt.first):
                require(number not in placed, f"{fact}: two records got number {number}")
                placed[number] = record
    require(sorted(placed) == list(range(len(placed))), f"{fact}: the receipts leave gaps")
    _require_read(log, [placed[number] for number in range(len(placed))], fact)


def check_blocks_once_read_stay_as_they_are(make: MakeLog, /) -> None:
    """What was read does not change when more is appended, not even while reading."""
    fact = "blocks once read stay as they are"
    log = make()
    want = _append(log, [block(3), block(300, seed=1), block(2, seed=2)], fact)
    held = [part for _, part in log.read()]
    before = [record for part in held for record in _records(part)]
    reading = iter(log.read())
    next(reading)
    more = [block(turn % 3 + 1, seed=10 + turn) for turn in range(100)]
    for part in more:
        log.append(part)
    after = [record for part in held for record in _records(part)]
    require(before == after == want, f"{fact}: blocks that were read were changed by later appends")
    rest = [number for receipt, part in reading for number in range(receipt.first, receipt.first + len(part))]
    require(
        rest == sorted(set(rest)),
        f"{fact}: a reader interrupted by appends saw numbers twice or out of order",
    )
    _require_read(log, want + [record for part in more for record in _records(part)], fact)


def check_log_against_a_model(make: MakeLog, /) -> None:
    """Any sequence of appends and reads does what it does to a list; needs Hypothesis.

    Raises:
        unittest.SkipTest: Hypothesis is not installed.
    """
    need_hypothesis()
    from agentic.testing._machines import run_log_machine  # needs Hypothesis

    run_log_machine(make)


def log_checks() -> dict[str, Check]:
    """The checks every provenance log must pass, by name."""
    return dict(_LOG)


_LOG: Final[Mapping[str, Check]] = {
    "records_are_numbered_without_gaps": check_records_are_numbered_without_gaps,
    "an_empty_log_reads_empty": check_an_empty_log_reads_empty,
    "reading_starts_in_the_middle": check_reading_starts_in_the_middle,
    "empty_blocks_leave_no_trace": check_empty_blocks_leave_no_trace,
    "ragged_blocks_are_refused": check_ragged_blocks_are_refused,
    "small_blocks_of_several_kinds_keep_their_order": check_small_blocks_of_several_kinds_keep_their_order,
    "eight_threads_lose_nothing": check_eight_threads_lose_nothing,
    "blocks_once_read_stay_as_they_are": check_blocks_once_read_stay_as_they_are,
    "log_against_a_model": check_log_against_a_model,
}
