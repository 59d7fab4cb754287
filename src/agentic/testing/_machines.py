"""What can any sequence of calls do to a store or a log? Hypothesis state machines beside simple models."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from agentic.arrays import Block, Field, Layout
from agentic.protocols import ProvenanceLog, StateStore
from agentic.testing._compare import require
from agentic.testing._log_checks import Record, _records, _require_read, block

# The same on every machine, and no stopwatch.
_SETTINGS: Final = settings(
    max_examples=50,
    stateful_step_count=15,
    deadline=None,
    database=None,
    derandomize=True,
    report_multiple_bugs=False,
    phases=(Phase.generate, Phase.shrink),  # explaining takes longer than all the rest
)
_SUBJECTS: Final = st.sampled_from(["a", "b", "c", "é", "e\N{COMBINING ACUTE ACCENT}"])
_LAYOUTS: Final = {
    name: Layout.compose(name, {"cap": [Field("count", np.int64, (), 3)]}) for name in ("one", "two")
}
_NAMES: Final = st.sampled_from(sorted(_LAYOUTS))


def run_store_machine(make: Callable[[], StateStore], /) -> None:
    """Run random calls against a store and a dict; raise where they differ."""

    class StoreMachine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.store = make()
            self.known: dict[tuple[str, str], tuple[int, int]] = {}
            self.highest: dict[tuple[str, str], int] = {}

        def look(self, name: str, subject: str) -> tuple[int, int]:
            return self.known.get((name, subject), (3, 0))

        @rule(name=_NAMES, who=st.lists(_SUBJECTS, max_size=6))
        def load(self, name: str, who: list[str]) -> None:
            found = self.store.load(who, _LAYOUTS[name])
            got = list(zip(found.rows["cap.count"].tolist(), found.versions.tolist(), strict=True))
            want = [self.look(name, subject) for subject in who]
            require(got == want, f"load({who!r}) from {name!r} gave (count, version) {got}, expected {want}")

        @rule(
            name=_NAMES,
            who=st.lists(_SUBJECTS, max_size=5, unique=True),
            count=st.integers(-5, 5),
            off=st.lists(st.sampled_from([0, 0, 0, 1, -1]), min_size=5, max_size=5),
        )
        def write(self, name: str, who: list[str], count: int, off: list[int]) -> None:
            layout = _LAYOUTS[name]
            rows = layout.new(len(who))
            rows["cap.count"] = np.arange(len(who)) + count
            have = [self.look(name, subject)[1] for subject in who]
            expected = np.array([v + o for v, o in zip(have, off, strict=False)], dtype=np.int64)
            accepted = self.store.store(who, rows, expected, layout).tolist()
            want = [o == 0 for o in off[: len(who)]]
            require(accepted == want, f"store({who!r}) to {name!r} accepted {accepted}, expected {want}")
            versions = self.store.load(who, layout).versions.tolist()
            for i, subject in enumerate(who):
                if accepted[i]:
                    key = (name, subject)
                    above = self.highest.get(key, 0)
                    require(
                        versions[i] > above,
                        f"version of {subject!r} in {name!r} is {versions[i]}, it had {above}",
                    )
                    self.highest[key] = versions[i]
                    self.known[key] = (count + i, versions[i])

        @rule(who=st.lists(_SUBJECTS, max_size=4))
        def forget(self, who: list[str]) -> None:
            there = {subject for _, subject in self.known if subject in who}
            gone = self.store.delete(who)
            require(gone == len(there), f"delete({who!r}) returned {gone}, known were {sorted(there)!r}")
            self.known = {key: value for key, value in self.known.items() if key[1] not in who}

        @invariant()
        def listed(self) -> None:
            want = sorted({subject for _, subject in self.known})
            got = sorted(self.store.subjects())
            require(got == want, f"subjects() gave {got!r}, known are {want!r}")

    run_state_machine_as_test(StoreMachine, settings=_SETTINGS)


def run_log_machine(make: Callable[[], ProvenanceLog], /) -> None:
    """Run random calls against a log and a list; raise where they differ."""

    class LogMachine(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.log = make()
            self.want: list[Record] = []
            self.turn = 0

        @rule(
            count=st.sampled_from([0, 1, 1, 2, 3, 7, 256]),
            kind=st.sampled_from(["decision", "outcome"]),
            columns=st.sampled_from(["full", "few"]),
            run=st.integers(0, 1),
        )
        def append(self, count: int, kind: str, columns: str, run: int) -> None:
            self.turn += 1
            part: Block = block(count, kind=kind, seed=self.turn, columns=columns)
            part.meta["run"] = run
            receipt = self.log.append(part)
            require(
                (receipt.first, receipt.count) == (len(self.want), count),
                f"{count} records after {len(self.want)} others got {receipt!r}",
            )
            self.want += _records(part)

        @rule(share=st.floats(0, 1))
        def read(self, share: float) -> None:
            _require_read(self.log, self.want, "log against a model", start=int(share * len(self.want)))

    run_state_machine_as_test(LogMachine, settings=_SETTINGS)
