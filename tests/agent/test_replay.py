"""What a replay says of every decision: the same, or what is the matter with it."""

from __future__ import annotations

import itertools
from typing import Any

import attrs
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic import Action, Verdict, errors
from agentic.arrays import Block, Proposal
from agentic.features import Category, Number
from agentic.guardrails import Cooldown
from agentic.policies import Fixed, Uniform
from agentic.provenance import MemoryLog
from agents import DAY, NOON, context, names
from agents import agent as whole_agent
from remembering import Counts
from replaying import Leans, columns, copied, leaning, reopened, worked

# Of these a policy's answer is made; control, fallback and chance do without them.
WEIGHED = {
    "values": lambda column, row: column.__setitem__((row, 0), 1.0 - column[row, 0] * 0.5),
    "denied": lambda column, row: column.__setitem__((row, 2), 0 if column[row, 2] else 64),
}
# Each with every change that must show; the record says it, the draw hangs on it, or the weights do.
INPUTS = {
    "key": lambda column, row: column.__setitem__(row, column[row] ^ np.uint64(1 << 17)),
    "ticket": lambda column, row: column.__setitem__(row, column[row] + np.uint64(1)),
    "denied": lambda column, row: column.__setitem__((row, 1), 0 if column[row, 1] else 64),
    "policy_failed": lambda column, row: column.__setitem__(row, not column[row]),
    "arm": lambda column, row: column.__setitem__(row, (column[row] + 1) % 3),
}
ANSWERS = {
    "tag": lambda column, row: column.__setitem__(row, column[row] ^ np.uint64(1)),
    "action": lambda column, row: column.__setitem__((row, 0), (column[row, 0] + 1) % 4),
    "probability": lambda column, row: column.__setitem__((row, 0), np.nextafter(column[row, 0], 0.0)),
    "explored": lambda column, row: column.__setitem__((row, 0), not column[row, 0]),
    "score": lambda column, row: column.__setitem__((row, 0), 0.25),
    "spread": lambda column, row: column.__setitem__((row, 0), -1.0),
    "cost": lambda column, row: column.__setitem__(row, column[row] + 0.01),
}
# Said of the decision, and no part of what it hangs on: rules were asked then, and time was measured.
NO_INPUTS = {
    "at": lambda column, row: column.__setitem__(row, column[row] + 1),
    "zone": lambda column, row: column.__setitem__(row, 7),
    "status": lambda column, row: column.__setitem__((row, 0), 6),
    "compute_us": lambda column, row: column.__setitem__(row, 1e6),
    "subject": lambda column, row: column.__setitem__(row, "somebody else"),
}
ONCE = worked()
ROWS = 300


def test_every_column_of_a_decision_is_known_to_be_an_input_an_answer_or_neither() -> None:
    """A new column has to say what it is."""
    block = next(block for _, block in ONCE.log.read())
    assert set(block.columns) == {*INPUTS, *ANSWERS, *NO_INPUTS, *WEIGHED}


def test_an_untouched_log_is_identical_in_all_arms_and_where_the_policy_failed() -> None:
    """Holdout, random control, fallback: all of them are worked out again."""
    replayed = ONCE.replay()
    assert replayed.identical
    assert replayed.verdicts == {Verdict.SAME: 2 * ROWS}
    told = replayed.findings, replayed.settings, replayed.disagreeing, replayed.changed
    assert not any(told)
    assert str(replayed) == "600 decisions decided again: 600 came out the same"
    arms = [block.columns["arm"] for _, block in ONCE.log.read()]
    assert set(np.concatenate(arms).tolist()) == {0, 1, 2}
    failed = [block.columns["policy_failed"] for _, block in ONCE.log.read()]
    assert not failed[0].any()
    assert failed[1].any()


@pytest.mark.parametrize("name", [*INPUTS, *ANSWERS])
@settings(max_examples=20)
@given(row=st.integers(0, ROWS - 1), number=st.integers(0, 1))
def test_whatever_is_changed_in_a_record_is_reported(name: str, row: int, number: int) -> None:
    """The one decision, and no other; what disagrees is named."""
    change = (INPUTS | ANSWERS)[name]
    again = reopened(ONCE, copied(ONCE, lambda held, _: change(held[name], row), number=number))
    replayed = again.replay()
    assert not replayed.identical
    (finding,) = replayed.findings
    assert finding.verdict is Verdict.RECORD_TAMPERED
    assert int(finding.decision_id[16:], 16) == number * ROWS + row
    assert replayed.changed == (finding.decision_id,)
    assert replayed.verdicts == {Verdict.SAME: 2 * ROWS - 1, Verdict.RECORD_TAMPERED: 1}
    assert set(finding.details) == set(replayed.disagreeing)
    if name in ANSWERS or name == "arm":
        assert finding.details == (name,) or name in ("action", "explored")
    elif name in ("key", "ticket"):
        assert "tag" in finding.details
    assert "does not follow from what was known" in str(replayed)
    assert finding.decision_id in str(replayed)


@pytest.mark.parametrize("name", WEIGHED)
@settings(max_examples=20)
@given(row=st.integers(0, ROWS - 1))
def test_what_the_policy_went_by_is_an_input_where_it_decided(name: str, row: int) -> None:
    """A feature, a candidate struck out: in the policy arm the probability is another one."""
    arm = next(ONCE.log.read())[1].columns["arm"]
    row = int(np.flatnonzero(arm == 0)[row % np.count_nonzero(arm == 0)])
    again = reopened(ONCE, copied(ONCE, lambda held, _: WEIGHED[name](held[name], row)))
    (finding,) = again.replay().findings
    assert finding.verdict is Verdict.RECORD_TAMPERED
    assert int(finding.decision_id[16:], 16) == row
    assert not {"probability", "action", "score"}.isdisjoint(finding.details)


@pytest.mark.parametrize("name", ["score", "spread"])
def test_the_last_digits_of_an_estimate_are_no_mismatch(name: str) -> None:
    """They hang on where memory lies; a millionth more does not."""
    for factor, fine in ((1 + 1e-12, True), (1 + 1e-6, False)):

        def change(held: dict[str, Any], _: dict[str, Any], factor: float = factor) -> None:
            held[name] = held[name] * factor

        assert reopened(ONCE, copied(ONCE, change)).replay().identical is fine


@pytest.mark.parametrize("name", NO_INPUTS)
def test_what_a_decision_does_not_hang_on_changes_nothing(name: str) -> None:
    """No policy here goes by the time, and the log's own proofs are for the rest."""
    change = NO_INPUTS[name]
    again = reopened(ONCE, copied(ONCE, lambda held, _: change(held[name], 5)))
    assert again.replay().identical


def test_one_decision_is_also_checked_against_its_subject() -> None:
    """The key is a hash of the subject: a record that was given to somebody else shows."""
    again = reopened(ONCE, copied(ONCE, lambda held, _: held["subject"].__setitem__(5, "mallory")))
    decision_id = next(again._archive.batches()).ids[5]
    (finding,) = again.replay(decision_id).findings
    assert (finding.verdict, finding.details) == (Verdict.RECORD_TAMPERED, ("key",))
    assert "mallory" not in str(finding)


@settings(max_examples=20)
@given(
    name=st.sampled_from(["values", "at", "zone", "arm", "action", "denied", "ticket"]),
    data=st.data(),
)
def test_a_record_may_hold_anything(name: str, data: st.DataObject) -> None:
    """Numbers out of every range are reported for their row, and never raise."""
    row = data.draw(st.integers(0, ROWS - 1))

    def change(held: dict[str, Any], _: Any) -> None:
        column = held[name]
        if column.dtype.kind == "f":
            column[row, 1] = data.draw(st.floats())
        else:
            info = np.iinfo(column.dtype)
            column[row] = data.draw(st.integers(int(info.min), int(info.max)))

    actions = [Action("mail", send_at="09:00"), Action("push", channel="push")]
    made = leaning(actions=actions, guardrails=[])
    made.decide_many(names(ROWS), columns(ROWS), now=NOON)
    again = leaning(actions=actions, guardrails=[], log=copied(made, change))
    replayed = again.replay()
    bad = len(replayed.changed) + replayed.verdicts.get(Verdict.UNREADABLE, 0)
    assert bad == len(replayed.findings) <= 1
    assert replayed.verdicts.get(Verdict.SAME, 0) == ROWS - bad
    assert not again.replay(policy=Uniform()).identical


@pytest.mark.parametrize("name", ["values", "key", "ticket", "denied", "score", "policy_failed"])
def test_columns_that_are_gone_make_rows_unreadable(name: str) -> None:
    """Each of them is counted; the other block is replayed."""
    again = reopened(ONCE, copied(ONCE, lambda held, _: held.pop(name)))
    replayed = again.replay()
    assert replayed.verdicts == {Verdict.SAME: ROWS, Verdict.UNREADABLE: ROWS}
    assert (replayed.decisions, replayed.changed) == (ROWS, ())
    assert {finding.details for finding in replayed.findings} == {("KeyError",)}


def test_answers_of_another_shape_make_rows_unreadable() -> None:
    """Two actions, of which one has a probability."""

    def widen(held: dict[str, Any], _: Any) -> None:
        held["action"] = np.repeat(held["action"], 2, axis=1)

    replayed = reopened(ONCE, copied(ONCE, widen)).replay()
    assert replayed.verdicts == {Verdict.SAME: ROWS, Verdict.UNREADABLE: ROWS}


@pytest.mark.parametrize(
    "odd",
    [{"policy": ["a"]}, {"actions": 7}, {"features": [1, 2]}, {"agent_": 1, "policy": None}],
    ids=["list", "number", "numbers", "none"],
)
def test_metas_that_make_no_sense_are_reported(odd: dict[str, Any]) -> None:
    """Nothing is raised, and the other block is replayed."""
    again = reopened(ONCE, copied(ONCE, lambda _, meta: meta.update(odd)))
    assert again.replay().verdicts[Verdict.SAME] == ROWS
    assert not again.replay().identical
    assert again.replay(policy=Uniform()).decisions >= ROWS


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("exploration_floor", 0.06),
        ("holdout", 0.6),
        ("random_control", 0.5),
        ("assignment", "00000000000000ff"),
        ("seed", 99),
    ],
    ids=["exploration_floor", "holdout", "random_control", "assignment", "seed"],
)
def test_a_changed_setting_in_the_record_is_reported(setting: str, value: Any) -> None:
    """Rows that hang on it come out otherwise, and the setting is not the agent's."""
    again = reopened(ONCE, copied(ONCE, lambda _, meta: meta.update({setting: value})))
    replayed = again.replay()
    assert replayed.settings == {setting: ROWS}
    assert replayed.verdicts[Verdict.RECORD_TAMPERED] > ROWS // 10
    assert f"{setting} of 300" in str(replayed)


@pytest.mark.parametrize(
    "more",
    [
        {"exploration_floor": 0.5},
        {"holdout": 0.0, "random_control": 0.0},
        {"seed": 5},
        {"salt": "another"},
        {"guardrails": [Cooldown(DAY)]},
    ],
    ids=["floor", "arms", "seed", "salt", "guardrails"],
)
def test_an_agent_set_otherwise_replays_under_the_settings_of_the_time(more: dict[str, Any]) -> None:
    """Same actions, same probabilities; what is set otherwise now is told."""
    replayed = reopened(ONCE, ONCE.log, **more).replay()  # type: ignore[arg-type]
    assert replayed.identical
    assert replayed.settings
    assert set(replayed.settings.values()) == {2 * ROWS}


@pytest.mark.parametrize(
    "odd",
    [{"holdout": "half"}, {"exploration_floor": 7.0}, {"assignment": "zz"}, {"seed": None}],
    ids=["text", "beyond", "no hash", "none"],
)
def test_settings_that_cannot_be_read_are_reported(odd: dict[str, Any]) -> None:
    """Whatever stands there, nothing is raised."""
    replayed = reopened(ONCE, copied(ONCE, lambda _, meta: meta.update(odd))).replay()
    assert not replayed.identical
    assert replayed.verdicts.get(Verdict.UNREADABLE, 0) + len(replayed.changed) > 0


def test_records_of_an_older_agent_say_less_and_replay_all_the_same() -> None:
    """What the record does not say is as the agent has it."""

    def older(_: Any, meta: dict[str, Any]) -> None:
        for name in ("exploration_floor", "holdout", "random_control", "assignment", "control", "fallback"):
            del meta[name]
        for name in ("guardrails", "catalogue", "encoding"):
            del meta[name]

    assert reopened(ONCE, copied(ONCE, older)).replay().identical


def test_other_actions_and_other_features_are_said_to_be_that() -> None:
    """By name: nothing can be decided again then."""
    two = [Action("mail", channel="email"), Action("push", channel="push")]
    replayed = reopened(ONCE, ONCE.log, actions=two).replay()  # type: ignore[arg-type]
    assert replayed.verdicts == {Verdict.ACTIONS_DIFFER: 2 * ROWS}
    assert replayed.findings[0].details == ("sms",)
    assert (replayed.decisions, replayed.identical, len(replayed.findings)) == (0, False, 200)
    other = [Number("x", low=0, high=1), Category("tier", ["free", "gold"]), Number("age", low=0, high=9)]
    replayed = reopened(ONCE, ONCE.log, features=other).replay()  # type: ignore[arg-type]
    assert replayed.verdicts == {Verdict.FEATURES_DIFFER: 2 * ROWS}
    assert replayed.findings[0].details == ("age",)
    replayed = reopened(ONCE, ONCE.log, features=other[1::-1]).replay(policy=Uniform())  # type: ignore[arg-type]
    assert replayed.verdicts == {Verdict.FEATURES_DIFFER: 2 * ROWS}
    assert replayed.findings[0].details == ("in another order",)


def test_actions_and_features_of_other_content_are_what_a_mismatch_is_put_down_to() -> None:
    """The ids are the same; a price, or an encoding, is not."""
    wide = [Number("x", low=0, high=9), Category("tier", ["free", "gold"])]
    found = reopened(ONCE, ONCE.log, features=wide).replay()  # type: ignore[arg-type]
    assert set(found.verdicts) == {Verdict.SAME, Verdict.FEATURES_DIFFER}
    assert found.decisions == 2 * ROWS
    dear = [*ONCE.plan.catalogue.actions[:1], *ONCE.plan.catalogue.actions[2:]]
    dear = [attrs.evolve(action, cost=action.cost + 1.0) for action in dear]
    found = reopened(ONCE, ONCE.log, actions=dear).replay()  # type: ignore[arg-type]
    assert found.verdicts[Verdict.ACTIONS_DIFFER] == found.disagreeing["cost"]
    assert set(found.disagreeing) == {"cost"}


def test_a_version_that_is_not_kept_is_said_to_be_missing() -> None:
    """A fresh agent knows none of them but its own."""
    one = leaning(policy=Leans(slope=2.0), log=ONCE.log).replay()
    assert (one.decisions, one.missing, one.identical) == (0, 2 * ROWS, False)
    assert one.findings[0].details == (ONCE.policy_version,)
    assert "not kept any more" in str(one)


def test_stand_ins_that_were_exchanged_are_what_a_mismatch_is_put_down_to() -> None:
    """The control for the holdout, the fallback where the policy failed; kept versions are found."""
    found = reopened(ONCE, ONCE.log, control=Fixed("push")).replay()  # type: ignore[arg-type]
    assert set(found.verdicts) == {Verdict.SAME, Verdict.CONTROL_DIFFERS}
    found = reopened(ONCE, ONCE.log, fallback=Fixed("sms")).replay()  # type: ignore[arg-type]
    assert set(found.verdicts) == {Verdict.SAME, Verdict.FALLBACK_DIFFERS}
    again = leaning(log=ONCE.log, control=Fixed("push"))
    again.policy = ONCE.plan.control
    again.policy = Leans()
    assert again.replay().identical


@attrs.define
class Moody:
    """A policy whose content can be changed behind everybody's back."""

    name: str = "moody"
    push: float = 1.0

    def propose(self, batch: Any, /) -> Any:
        weights = np.ones(batch.allowed.shape)
        weights[:, 2] = self.push
        if self.push < 0:
            raise RuntimeError("out of order")
        return Proposal(weights)


def test_a_policy_that_answers_otherwise_each_time_is_said_to() -> None:
    """The record is not to blame."""
    turns = itertools.count(1)

    @attrs.frozen
    class Dice:
        name: str = "dice"

        def propose(self, batch: Any, /) -> Any:
            return Proposal(
                np.where(np.arange(batch.allowed.shape[1]) == 1, next(turns), 1.0) + 0 * batch.X[:, :1]
            )

    made = leaning(policy=Dice())
    made.decide_many(names(50), columns(50))
    replayed = made.replay()
    assert {f.verdict for f in replayed.findings} == {Verdict.POLICY_DIFFERS}
    assert {f.details[0] for f in replayed.findings} == {"answers otherwise each time"}
    assert "is not what decided" in str(replayed)


def test_a_policy_whose_content_changed_is_said_to() -> None:
    """Its version is a hash of what it was."""
    policy = Moody()
    made = leaning(policy=policy, holdout=0.0, random_control=0.0)
    made.decide_many(names(50), columns(50))
    policy.push = 9.0
    replayed = made.replay()
    assert {f.verdict for f in replayed.findings} == {Verdict.POLICY_DIFFERS}
    assert {f.details[0] for f in replayed.findings} == {"its content changed"}
    policy.push = -1.0
    assert {f.details[0] for f in made.replay().findings} == {"its content changed"}


def test_a_policy_that_fails_now_is_said_to() -> None:
    """It decided once; the fallback would now."""
    broken: list[int] = []

    @attrs.frozen
    class Shy:
        name: str = "shy"

        def propose(self, batch: Any, /) -> Any:
            if broken:
                raise RuntimeError("down")
            return Proposal(np.ones(batch.allowed.shape))

    made = leaning(policy=Shy(), holdout=0.0, random_control=0.0)
    made.decide_many(names(20), columns(20))
    broken.append(1)
    replayed = made.replay()
    assert replayed.verdicts == {Verdict.POLICY_DIFFERS: 20}
    assert replayed.findings[0].details[0] == "fails now"


def test_a_policy_without_a_stored_form_any_more_has_changed() -> None:
    """It had one when it was published."""

    @attrs.define
    class Holds:
        name: str = "holds"
        what: Any = 1

        def propose(self, batch: Any, /) -> Any:
            weights = np.ones(batch.allowed.shape)
            weights[:, 0] = 1 if self.what == 1 else 5
            return Proposal(weights)

    policy = Holds()
    made = leaning(policy=policy)
    made.decide_many(names(20), columns(20))
    policy.what = memoryview(b"")
    assert {f.details[0] for f in made.replay().findings} == {"its content changed"}


def test_where_the_policy_failed_the_fallback_is_asked_again_even_if_it_would_not_fail_now() -> None:
    """What happened counts, not what would happen."""
    replayed = ONCE.replay()
    assert replayed.identical
    failed = next(batch for batch in ONCE._archive.batches() if batch.columns["policy_failed"].any())
    row = int(failed.columns["policy_failed"].argmax())
    told = ONCE.explain(failed.ids[row])
    allowed = [c for c in told.candidates if c.probability > 0]
    assert {c.action for c in allowed} <= {"mail", "push"}


def test_a_mandatory_message_outranks_again() -> None:
    """What it struck out follows from the record, so a bit that is gone shows."""
    actions = [Action("mail"), Action("alert", message_class="mandatory", channel="email")]
    stand_ins: dict[str, Any] = {"fallback": None, "control": None}
    made = leaning(actions=actions, guardrails=[], **stand_ins)
    assert made.plan.catalogue.outranks
    made.decide_many(names(30), columns(30))
    assert made.replay().identical

    def change(held: dict[str, Any], _: Any) -> None:
        held["denied"][3] = 0

    replayed = leaning(actions=actions, guardrails=[], log=copied(made, change), **stand_ins).replay()
    (finding,) = replayed.findings
    assert "denied" in finding.details


def test_erased_decisions_are_counted_and_are_no_mismatch() -> None:
    """Key 0 and no subject: nobody can decide that again."""

    def erase(held: dict[str, Any], _: Any) -> None:
        for name in ("key", "ticket", "tag"):
            held[name][7:9] = 0
        held["subject"][7:9] = ""
        held["values"][7:9] = np.nan

    replayed = reopened(ONCE, copied(ONCE, erase)).replay()
    assert replayed.verdicts == {Verdict.SAME: 2 * ROWS - 2, Verdict.ERASED: 2}
    assert (replayed.erased, replayed.identical, replayed.changed) == (2, True, ())
    assert "2: the personal part was erased" in str(replayed)
    other = reopened(ONCE, copied(ONCE, erase)).replay(policy=Uniform())
    assert (other.erased, other.decisions) == (2, 2 * ROWS - 2)

    def erase_all(held: dict[str, Any], _: Any) -> None:
        held["key"][:], held["subject"][:] = 0, ""

    assert reopened(ONCE, copied(ONCE, erase_all)).replay().verdicts == {
        Verdict.SAME: ROWS,
        Verdict.ERASED: ROWS,
    }

    def forge(held: dict[str, Any], _: Any) -> None:
        held["key"][7] = 0

    assert reopened(ONCE, copied(ONCE, forge)).replay().verdicts[Verdict.RECORD_TAMPERED] == 1


def test_findings_are_bounded_for_each_verdict_and_counted_over_all() -> None:
    """A log of millions of bad rows makes no list of millions."""
    made = leaning()
    for day in range(6):
        made.decide_many(names(300), columns(300, day), now=NOON + day * DAY)

    def change(held: dict[str, Any], _: Any) -> None:
        held["probability"][:] = 0.5

    log = MemoryLog()
    for _, block in made.log.read():
        held = {name: column.copy() for name, column in block.columns.items()}
        change(held, None)
        log.append(Block(block.kind, held, block.meta))
    replayed = leaning(log=log).replay()
    assert len(replayed.changed) == 1000
    assert len(replayed.findings) == 200
    assert replayed.verdicts[Verdict.RECORD_TAMPERED] == replayed.disagreeing["probability"] > 1000


def test_what_policies_remembered_is_an_input() -> None:
    """A changed memory is a changed record."""
    made = leaning(policy=Counts(), holdout=0.0, random_control=0.0)
    made.decide_many(names(40), columns(40))

    def change(held: dict[str, Any], _: Any) -> None:
        held["remembered"][4, 0] += 9

    again = leaning(policy=Counts(), holdout=0.0, random_control=0.0, log=copied(made, change))
    (finding,) = again.replay().findings
    assert finding.verdict is Verdict.RECORD_TAMPERED
    assert "probability" in finding.details


def test_slates_are_compared_slot_by_slot() -> None:
    """The second choice counts as the first does."""
    made = leaning(guardrails=[])
    made.decide_many(names(40), columns(40), slots=3)
    assert made.replay().identical
    again = leaning(
        guardrails=[], log=copied(made, lambda held, _: held["probability"].__setitem__((2, 1), 0.3))
    )
    (finding,) = again.replay().findings
    assert finding.details == ("probability",)


def test_every_kind_of_meta_is_told_apart_and_none_grows_with_the_decisions() -> None:
    """One dict for each published policy, however much it decides."""
    made = whole_agent()
    made.decide_many(names(300), context(300))
    made.decide_many(names(300), context(300), now=NOON + DAY)
    one, two = (block.meta for _, block in made.log.read())
    assert one is two
    assert one["guardrails"] == list(made.plan.guardrails)
    assert one["exploration_floor"] == one["holdout"] == one["random_control"] == 0.0


def test_a_part_without_a_stored_form_is_left_out_of_the_record() -> None:
    """A control policy that nobody can hash still controls."""

    class Plain:
        name = "plain"

        def __init__(self) -> None:
            self.held = memoryview(b"")

        def propose(self, batch: Any, /) -> Any:
            return Proposal(np.ones(batch.allowed.shape))

    made = leaning(control=Plain())
    made.decide_many(names(30), columns(30))
    assert next(made.log.read())[1].meta["control"] == ""
    assert made.replay().identical


def test_an_unknown_decision_cannot_be_replayed() -> None:
    """As everywhere."""
    with pytest.raises(errors.UnknownDecisionError):
        ONCE.replay("0" * 32)
