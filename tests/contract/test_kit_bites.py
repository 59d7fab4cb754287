"""The kit bites: for every check there is a part that is broken in one way and fails it."""

import itertools
import threading
import unicodedata
from datetime import timedelta

import attrs
import numpy as np
import pytest

from agentic import testing
from agentic.arrays import Block, Columns, Field, Proposal, Receipt, Review, Rows
from agentic.conditions import Coded
from agentic.errors import CodecError
from agentic.features import Category, MappingProvider, Number
from agentic.state import MemoryStore

DICE = np.random.default_rng(0)
COUNTER = itertools.count()
WEIGHTS = np.random.default_rng(1).standard_normal((33, 7))


def blas_minds_its_neighbours():
    X = testing.batch().X
    return any((X[row : row + 1] @ WEIGHTS != (X @ WEIGHTS)[row]).any() for row in range(len(X)))


class Evenly:
    name = "evenly"

    def propose(self, batch):
        return Proposal(like(batch))


class Weighs:
    """A policy made of one function of the batch."""

    name = "weighs"

    def __init__(self, fn):
        self.fn = fn

    def propose(self, batch):
        return Proposal(self.fn(batch))


def weighs(fn):
    return lambda: Weighs(fn)


def like(batch, value=1.0):
    return np.full(batch.allowed.shape, value)


def uses_blas(batch):
    return np.exp(batch.X @ WEIGHTS)


def rolls_its_own_dice(batch):
    return DICE.random(batch.allowed.shape)


def looks_at_its_row_number(batch):
    return like(batch) * (np.arange(len(batch))[:, None] % 3 + 1)


def writes_to_its_input(batch):
    batch.X[:, 0] = 0.0
    return like(batch)


def without_a_rival(batch):
    rivals = batch.allowed.sum(axis=1, keepdims=True) - 1
    return np.where(rivals == 0, np.nan, 1.0) * like(batch)


def without_a_mask(batch):
    return np.where(batch.allowed.all(axis=1, keepdims=True), np.inf, 1.0) * like(batch)


def shy_of_threads(batch):
    return like(batch, 1.0 if threading.current_thread() is threading.main_thread() else 2.0)


@attrs.frozen
class Numbered(Evenly):
    number: int = attrs.field(factory=lambda: next(COUNTER))


@attrs.frozen
class Opaque(Evenly):
    fn: object = attrs.field(factory=lambda: print)


@attrs.define
class Learns:
    """A learner that keeps one number, in a way that a test may break."""

    name = "learns"
    total: float = 0.0

    def bind(self, space):
        return self

    def propose(self, batch):
        return Proposal(like(batch, 1.0 + self.total))

    def learn(self, feedback):
        return attrs.evolve(self, total=self.total + float(feedback.reward.sum()))


@attrs.define
class Remembers(Learns):
    """A learner that counts each subject's rewards, in a way that a test may break."""

    name = "remembers"
    fields = (Field("remembers.n", "i8"), Field("remembers.sum", "f8"))

    def remember(self, feedback, rows):
        np.add.at(rows["remembers.n"], feedback.subject, 1)
        np.add.at(rows["remembers.sum"], feedback.subject, feedback.reward)


@attrs.define
class GrowsFields(Remembers):
    @property
    def fields(self):
        return (*Remembers.fields, Field(f"remembers.{int(self.total)}", "f8"))


class ForgetsToRemember(Remembers):
    def remember(self, feedback, rows):
        pass


class KeepsForItself(Remembers):
    def remember(self, feedback, rows):
        super().remember(feedback, rows)
        self.total += 1.0


class WritesNextDoor(Remembers):
    def remember(self, feedback, rows):
        super().remember(feedback, rows)
        whole = rows.base if rows.base is not None else rows
        for name in whole.dtype.names or ():
            if name.endswith("flag"):
                whole[name] = 0


class RemembersTheCompany(Remembers):
    def remember(self, feedback, rows):
        super().remember(feedback, rows)
        rows["remembers.sum"][feedback.subject] += len(rows)


class RemembersByChance(Remembers):
    def remember(self, feedback, rows):
        rows["remembers.sum"][feedback.subject] += DICE.random()


class KeepsTheLast(Remembers):
    def remember(self, feedback, rows):
        rows["remembers.n"][feedback.subject] = 0
        super().remember(feedback, rows)


class RemembersNobody(Remembers):
    def remember(self, feedback, rows):
        super().remember(feedback, rows)
        rows["remembers.sum"] += 1.0


class LearnsInPlace(Learns):
    def learn(self, feedback):
        self.total += float(feedback.reward.sum())
        return self


class LearnsUnseen(Evenly):
    def learn(self, feedback):
        return type(self)()


class WritesToFeedback(Learns):
    def learn(self, feedback):
        feedback.reward[:] = 0.0
        return self


class DividesByNobody(Learns):
    def learn(self, feedback):
        return attrs.evolve(self, total=float(feedback.reward.sum()) if len(feedback) else float("nan"))


class ForgetsWhenBound(Learns):
    def bind(self, space):
        return type(self)()


class TurnsNegative(Learns):
    def learn(self, feedback):
        return attrs.evolve(self, total=-5.0)


@attrs.frozen
class HidesWhatItLearned(Learns):
    """Answers by what it does not store."""

    boost: float = attrs.field(default=0.0, metadata={"derived": True})

    def propose(self, batch):
        return Proposal(like(batch, 1.0 + self.boost))

    def learn(self, feedback):
        return attrs.evolve(super().learn(feedback), boost=1.0)


@attrs.frozen
class HoldsWhatHasNoForm(Learns):
    """Learns into an object that nobody can make again."""

    model: object = None

    def learn(self, feedback):
        return attrs.evolve(super().learn(feedback), model=Weighs(like))


class StoresWithoutAMaker(Learns):
    """Makes something else of its data."""

    def to_data(self):
        return {"total": self.total}

    def from_data(self, data):
        return type(self)(data["total"] + 1)


class Declines(Learns):
    """Says that it cannot be stored."""

    def to_data(self):
        raise CodecError("holds a line to a server")

    def from_data(self, data):
        raise CodecError("holds a line to a server")


class RemembersTheLast(Learns):
    def learn(self, feedback):
        return attrs.evolve(self, total=float(feedback.reward.sum()))


class Reviews:
    """A guardrail made of one function of the batch."""

    name = "reviews"

    def __init__(self, fn):
        self.fn = fn

    def review(self, batch):
        return self.fn(batch)


def reviews(fn, reason="BROKEN"):
    return lambda: Reviews(lambda batch: Review(fn(batch), reason))


def yes(batch):
    return np.ones(batch.allowed.shape, dtype=np.bool_)


def writes_to_the_mask(batch):
    batch.allowed[:] = True
    return yes(batch)


def speechless_without_zone(batch):
    return yes(batch) if (batch.zone >= 0).any() else None


def allows_and_does_not_know(batch):
    return Review(yes(batch), "BROKEN", yes(batch))


class Settles:
    """A stateful component made of one function."""

    name = "settles"

    def __init__(self, fn, fields=None):
        self.fn = fn
        self.of = fields or (lambda: (Field("count", "i8"),))

    @property
    def fields(self):
        return self.of()

    def review(self, batch):
        return Review(yes(batch), "SETTLES")

    def settle(self, batch, chosen):
        self.fn(batch, chosen)


class Hears(Settles):
    def hear(self, rows, fact, now):
        rows["count"] += 1
        return False


def settles(fn, fields=None, kind=Settles):
    return lambda: kind(fn, fields)


def counts(batch, chosen):
    batch.rows["count"] += chosen.sends.any(axis=1)


def counts_the_company(batch, chosen):
    batch.rows["count"] += len(batch)


def counts_calls(batch, chosen):
    batch.rows["count"] += next(COUNTER)


def writes_beside(batch, chosen):
    batch.now[:] = 0


def needs_rows(batch, chosen):
    assert len(batch), "nobody to settle"


class Fetches:
    """A provider that answers out of a mapping, in a way that a test may break."""

    def __init__(self, break_it):
        self.break_it = break_it
        self.inner = MappingProvider({"ada": {"visits": 3.0}, "bob": {"visits": 5.0}, "cyd": {"visits": 8.0}})

    def fetch(self, subjects, names, now):
        return self.break_it(self.inner, subjects, names, now)


def fetches(fn):
    return lambda: Fetches(fn)


def knows_nothing(inner, subjects, names, now):
    return inner.fetch(["nobody"] * len(subjects), names, now)


def in_its_own_order(inner, subjects, names, now):
    return inner.fetch(sorted(subjects), names, now)


def invents_strangers(inner, subjects, names, now):
    found = inner.fetch(subjects, names, now)
    return Columns(
        {name: np.array([1.0 if v is None else v for v in column]) for name, column in found.values.items()}
    )


def each_only_once(inner, subjects, names, now):
    return inner.fetch(list(dict.fromkeys(subjects)), names, now)


def asks_for_somebody(inner, subjects, names, now):
    return inner.fetch(subjects or ["ada"], names, now)


def only_in_the_main_thread(inner, subjects, names, now):
    main = threading.current_thread() is threading.main_thread()
    return inner.fetch(subjects if main else ["ada"] * len(subjects), names, now)


def of_no_status(inner, subjects, names, now):
    found = inner.fetch(subjects, names, now)
    return Columns(found.values, {name: status + 100 for name, status in found.status.items()})


class Keeps:
    """A sound store to be broken."""

    def __init__(self):
        self.inner = MemoryStore()

    def load(self, subjects, layout):
        return self.inner.load(subjects, layout)

    def store(self, subjects, rows, expected, layout):
        return self.inner.store(subjects, rows, expected, layout)

    def delete(self, subjects):
        return self.inner.delete(subjects)

    def subjects(self):
        return self.inner.subjects()


class RoundsNan(Keeps):
    def load(self, subjects, layout):
        found = self.inner.load(subjects, layout)
        for name in layout.dtype.names:
            if found.rows[name].dtype.kind == "f":
                found.rows[name] = np.nan_to_num(found.rows[name])
        return found


class ZeroesStrangers(Keeps):
    def load(self, subjects, layout):
        found = self.inner.load(subjects, layout)
        found.rows[found.versions == 0] = np.zeros((), dtype=layout.dtype)
        return found


class SortsSubjects(Keeps):
    def load(self, subjects, layout):
        return self.inner.load(sorted(subjects), layout)


class CountsNobody(Keeps):
    def delete(self, subjects):
        return self.inner.delete(subjects) or 1


class ReturnsViews(Keeps):
    def __init__(self):
        super().__init__()
        self.cache = {}

    def load(self, subjects, layout):
        key = (tuple(subjects), layout.name)
        if key not in self.cache:
            self.cache[key] = self.inner.load(subjects, layout)
        return self.cache[key]

    def store(self, subjects, rows, expected, layout):
        self.cache.clear()
        return self.inner.store(subjects, rows, expected, layout)


class LosesUpdates(Keeps):
    def store(self, subjects, rows, expected, layout):
        return self.inner.store(subjects, rows, self.inner.load(subjects, layout).versions, layout)


class AllOrNothing(Keeps):
    def store(self, subjects, rows, expected, layout):
        if (self.inner.load(subjects, layout).versions != expected).any():
            return np.zeros(len(subjects), dtype=np.bool_)
        return self.inner.store(subjects, rows, expected, layout)


class KeepsTheFirst(Keeps):
    def delete(self, subjects):
        return self.inner.delete(subjects[:1])


class ListsTheAsked(Keeps):
    def __init__(self):
        super().__init__()
        self.asked = set()

    def load(self, subjects, layout):
        self.asked.update(subjects)
        return self.inner.load(subjects, layout)

    def subjects(self):
        return {*self.inner.subjects(), *self.asked}


class NormalisesIds(Keeps):
    def load(self, subjects, layout):
        return self.inner.load([unicodedata.normalize("NFC", s) for s in subjects], layout)

    def store(self, subjects, rows, expected, layout):
        return self.inner.store([unicodedata.normalize("NFC", s) for s in subjects], rows, expected, layout)


class OneLayout(Keeps):
    def load(self, subjects, layout):
        return self.inner.load(subjects, attrs.evolve(layout, name="all"))

    def store(self, subjects, rows, expected, layout):
        return self.inner.store(subjects, rows, expected, attrs.evolve(layout, name="all"))


class StartsVersionsAgain:
    """A store as one would write it in a hurry: versions begin at 1 again, other layouts begin again."""

    def __init__(self):
        self.kept = {}

    def load(self, subjects, layout):
        rows, versions = layout.new(len(subjects)), np.zeros(len(subjects), dtype=np.int64)
        for i, subject in enumerate(subjects):
            row, version = self.kept.get((layout.name, subject), (layout.blank, 0))
            if row.dtype == layout.dtype:
                rows[i], versions[i] = row, version
        return Rows(rows, versions)

    def store(self, subjects, rows, expected, layout):
        accepted = self.load(subjects, layout).versions == expected
        for i in np.flatnonzero(accepted).tolist():
            self.kept[layout.name, subjects[i]] = (rows[i].copy(), int(expected[i]) + 1)
        return accepted

    def delete(self, subjects):
        gone = {key for key in self.kept if key[1] in subjects}
        self.kept = {key: value for key, value in self.kept.items() if key not in gone}
        return len({subject for _, subject in gone})

    def subjects(self):
        return {subject for _, subject in self.kept}


class Logs:
    """A sound log to be broken: a list of blocks."""

    def __init__(self):
        self.parts = []
        self.next = 0
        self.lock = threading.Lock()

    def append(self, block):
        assert len({len(column) for column in block.columns.values()}) < 2, "ragged"
        return self.put(block)

    def put(self, block):
        copy = {name: column.copy() for name, column in block.columns.items()}
        with self.lock:
            receipt = Receipt(self.next, len(block))
            self.parts.append((receipt, Block(block.kind, copy, dict(block.meta))))
            self.next += len(block)
        return receipt

    def read(self, after=0):
        return iter([(r, b) for r, b in self.parts if r.first + r.count > after])


class SkipsNumbers(Logs):
    def append(self, block):
        self.next += 1
        return super().append(block)


class HasGhosts(Logs):
    def __init__(self):
        super().__init__()
        self.put(testing.block(1))


class ReadsFromTheStart(Logs):
    def read(self, after=0):
        return super().read(0)


class NumbersEmptyBlocks(Logs):
    def append(self, block):
        receipt = super().append(block)
        self.next += not len(block)
        return receipt


class TakesRaggedBlocks(Logs):
    def append(self, block):
        return self.put(block)


class Reorders(Logs):
    def read(self, after=0):
        return iter(sorted(super().read(after), key=lambda found: found[1].kind))


class ForgetsTheRest(Logs):
    def append(self, block):
        receipt = super().append(block)
        self.parts = self.parts[:100]
        return receipt


class WritesOver(Logs):
    def append(self, block):
        for _, part in self.parts:
            part.columns["at"] += 1
        return super().append(block)


POLICY = {
    "weights_are_well_formed": [
        weighs(lambda batch: like(batch, -1.0)),
        weighs(lambda batch: like(batch, np.nan)),
        weighs(lambda batch: like(batch, 1e308)),
        weighs(lambda batch: like(batch).astype(np.float32)),
        weighs(lambda batch: like(batch).astype(np.int64)),
        weighs(lambda batch: np.ones(len(batch))),
    ],
    "alone_equals_company": [weighs(rolls_its_own_dice), weighs(looks_at_its_row_number)],
    "row_order_is_irrelevant": [weighs(rolls_its_own_dice), weighs(looks_at_its_row_number)],
    "asked_twice_answers_the_same": [weighs(rolls_its_own_dice)],
    "inputs_are_left_alone": [weighs(writes_to_its_input)],
    "masks_are_met_with_finite_weights": [weighs(without_a_mask)],
    "nothing_but_no_action_allowed": [weighs(without_a_rival)],
    "one_action_allowed": [weighs(without_a_rival)],
    "no_rows": [weighs(lambda batch: np.ones((max(len(batch), 1), len(batch.catalogue))))],
    "fingerprint_is_stable": [Numbered, Opaque],
    "fingerprint_follows_the_fields": [Opaque],
    "eight_threads_get_the_same": [weighs(shy_of_threads)],
}
LEARNER = {
    "learning_leaves_the_old_value_alone": [LearnsInPlace],
    "learning_is_a_new_version": [LearnsUnseen],
    "feedback_is_left_alone": [WritesToFeedback],
    "learning_from_nothing": [DividesByNobody],
    "binding_again_keeps_what_was_learned": [ForgetsWhenBound],
    "what_learned_can_be_stored": [HidesWhatItLearned, HoldsWhatHasNoForm, StoresWithoutAMaker],
    "what_learned_is_still_a_policy": [TurnsNegative],
    "two_batches_teach_what_one_does": [RemembersTheLast],
}
REMEMBERING = {
    "remembered_fields_fit_a_record": [GrowsFields, Learns],
    "remember_writes_only_its_own_fields": [ForgetsToRemember, KeepsForItself, WritesNextDoor],
    "remember_alone_equals_company": [RemembersTheCompany],
    "remember_twice_is_the_same": [RemembersByChance],
    "remember_one_by_one": [KeepsTheLast, RemembersNobody],
    "remember_nothing": [RemembersNobody],
}
GUARDRAIL = {
    "review_is_well_formed": [
        reviews(lambda batch: yes(batch).astype(np.int8)),
        reviews(lambda batch: np.ones((len(batch) + 1, 1), dtype=np.bool_)),
    ],
    "reason_is_a_code": [reviews(yes, "quiet hours"), reviews(yes, None)],
    "review_alone_equals_company": [reviews(lambda batch: np.arange(len(batch))[:, None] % 3 > 0)],
    "review_twice_is_the_same": [reviews(lambda batch: DICE.random(batch.allowed.shape) < 0.5)],
    "review_leaves_inputs_alone": [reviews(writes_to_the_mask)],
    "no_action_is_irrelevant": [reviews(lambda batch: batch.allowed[:, [batch.catalogue.idle]])],
    "unknown_is_denied": [lambda: Reviews(allows_and_does_not_know)],
    "ignorance_does_not_raise": [reviews(speechless_without_zone)],
    "slates_are_reviewed": [reviews(lambda batch: yes(batch) & (batch.slots > 1))],
    "eight_threads_review_the_same": [reviews(lambda batch: shy_of_threads(batch) < 2)],
}
STATEFUL = {
    "fields_fit_a_layout": [
        settles(lambda batch, chosen: None, lambda: (Field(f"count{next(COUNTER)}", "i8"),))
    ],
    "settle_writes_only_its_own_fields": [settles(writes_beside)],
    "settle_alone_equals_company": [settles(counts_the_company)],
    "settle_twice_is_the_same": [settles(counts_calls)],
    "settle_no_rows": [settles(needs_rows)],
    "hear_says_what_concerns_it": [settles(counts, kind=Hears)],
}
PROVIDER = {
    "known_subjects_have_values": [fetches(knows_nothing), fetches(of_no_status), fetches(lambda *_: {})],
    "order_is_kept": [fetches(in_its_own_order)],
    "strangers_have_no_value": [fetches(invents_strangers)],
    "unknown_names_have_no_value": [fetches(invents_strangers)],
    "duplicates_are_answered": [fetches(each_only_once)],
    "nobody_is_answered": [fetches(asks_for_somebody)],
    "eight_threads_fetch_the_same": [fetches(only_in_the_main_thread)],
}
STORE = {
    "round_trip": [RoundsNan],
    "strangers_are_blank": [ZeroesStrangers],
    "order_and_duplicates_on_load": [SortsSubjects],
    "nobody": [CountsNobody],
    "rows_are_private_copies": [ReturnsViews],
    "stale_versions_are_refused": [LosesUpdates],
    "conflicts_spare_the_others": [AllOrNothing, LosesUpdates],
    "no_update_is_lost": [LosesUpdates],
    "versions_survive_deletion": [StartsVersionsAgain],
    "deleted_subjects_are_strangers": [KeepsTheFirst],
    "subjects_are_listed": [ListsTheAsked],
    "hostile_ids": [NormalisesIds],
    "layouts_are_isolated": [OneLayout],
    "layouts_migrate_by_name": [StartsVersionsAgain],
    "other_dtypes_are_refused": [StartsVersionsAgain],
    "against_a_model": [StartsVersionsAgain, LosesUpdates],
}
LOG = {
    "records_are_numbered_without_gaps": [SkipsNumbers],
    "an_empty_log_reads_empty": [HasGhosts],
    "reading_starts_in_the_middle": [ReadsFromTheStart],
    "empty_blocks_leave_no_trace": [NumbersEmptyBlocks],
    "ragged_blocks_are_refused": [TakesRaggedBlocks],
    "small_blocks_of_several_kinds_keep_their_order": [Reorders],
    "eight_threads_lose_nothing": [ForgetsTheRest],
    "blocks_once_read_stay_as_they_are": [WritesOver],
    "log_against_a_model": [Reorders],
}
BROKEN = POLICY | LEARNER | REMEMBERING | GUARDRAIL | STATEFUL | PROVIDER | STORE | LOG
CHECKS = (
    testing.policy_checks()
    | testing.learner_checks()
    | testing.additive_learner_checks()
    | testing.remembering_checks()
    | testing.guardrail_checks()
    | testing.stateful_checks()
    | testing.provider_checks()
    | testing.store_checks()
    | testing.log_checks()
)
CLASSES = {
    testing.PolicyConformance: testing.policy_checks(),
    testing.LearnerConformance: testing.policy_checks() | testing.learner_checks(),
    testing.AdditiveLearnerConformance: (
        testing.policy_checks() | testing.learner_checks() | testing.additive_learner_checks()
    ),
    testing.RememberingConformance: (
        testing.policy_checks() | testing.learner_checks() | testing.remembering_checks()
    ),
    testing.GuardrailConformance: testing.guardrail_checks(),
    testing.StatefulConformance: testing.stateful_checks(),
    testing.FeatureProviderConformance: testing.provider_checks(),
    testing.StateStoreConformance: testing.store_checks(),
    testing.ProvenanceLogConformance: testing.log_checks(),
}


@pytest.mark.parametrize(
    ("check", "number"), [(check, number) for check, parts in BROKEN.items() for number in range(len(parts))]
)
def test_a_broken_part_fails_the_check_that_names_its_fault(check, number):
    """Each of these parts breaks one promise, and the check of that promise says so."""
    with pytest.raises(AssertionError):
        CHECKS[check](BROKEN[check][number])


@pytest.mark.skipif(not blas_minds_its_neighbours(), reason="this machine's BLAS treats all row counts alike")
def test_a_policy_that_uses_blas_fails():
    """``X @ W`` gives a row other last bits in company than alone, and the message says which row."""
    with pytest.raises(
        AssertionError, match=r"weights of row \d+, action '\w+' is .* in a company of \d+ and"
    ):
        testing.check_alone_equals_company(weighs(uses_blas))


def test_every_check_has_a_part_that_fails_it():
    """A check that nothing fails is no check: each one is in the list above."""
    assert BROKEN.keys() == CHECKS.keys()


def test_every_check_can_be_imported_and_is_a_method_of_its_class():
    """A check ``x`` is the function ``check_x`` of the kit and the method ``test_x`` of its class."""
    assert {name: getattr(testing, f"check_{name}") for name in CHECKS} == CHECKS
    for kind, checks in CLASSES.items():
        methods = {name.removeprefix("test_") for name in dir(kind) if name.startswith("test_")}
        assert methods == checks.keys(), kind


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_a_class_without_make_says_what_is_missing(kind):
    """Who forgets ``make`` reads the name of the class and what it should return."""
    with pytest.raises(
        NotImplementedError, match=rf"{kind.__name__} needs a method make\(self\) that returns a"
    ):
        kind().make()


@pytest.mark.parametrize(
    "kind", [kind for kind in CLASSES if hasattr(kind, "batch")], ids=lambda kind: kind.__name__
)
def test_a_class_tries_its_part_on_257_rows_unless_told_otherwise(kind):
    """The usual batch is one row longer than a power of two."""
    assert len(kind().batch()) == 257


def test_the_message_names_row_action_and_both_values():
    """A failure can be read without a debugger."""
    with pytest.raises(AssertionError) as failure:
        testing.check_row_order_is_irrelevant(weighs(looks_at_its_row_number))
    assert str(failure.value).startswith(
        "the order of rows is irrelevant: weights of row 256, action 'a0' is 1.0 in another order and 2.0"
        " in the first;"
    )


@attrs.frozen
class Sound(Evenly):
    """A policy with a field of every kind that a fingerprint follows."""

    flag: bool = True
    count: int = 3
    share: float = 0.5
    span: timedelta = timedelta(days=1)
    words: tuple[str, ...] = ("a", "b")
    odds: dict[str, float] = attrs.field(factory=lambda: {"a0": 1.0})
    nothing: None = None


@attrs.frozen
class NeedsTrust:
    """A guardrail that declares what it reads: a number and a category."""

    name = "needs_trust"
    features = (
        Number("trust", low=0.0, high=1.0),
        Category("mood", ["good", "bad"]),
        Number("age", low=0, high=99),
    )

    def review(self, batch):
        trust, mood = batch.columns["trust"], batch.columns["mood"]
        unknown = np.isnan(trust) | ~mood.known
        return Review(((trust > 0.5) & (mood.codes == 0))[:, None], "NO_TRUST", unknown[:, None])


def coded(inner, subjects, names, now):
    """Answer with codes for texts and without names that nobody serves."""
    code = {"ada": 0.0, "bob": 1.0, "cyd": -1.0}
    column = Coded(np.array([code.get(subject, np.nan) for subject in subjects]), ("gold", "free"))
    return Columns({"tier": column} if "tier" in names else {})


def test_sound_parts_pass():
    """What the broken parts are made from passes, so it is the break that fails."""
    for check in testing.policy_checks().values():
        check(weighs(like))
        check(Sound)
    for check in (testing.learner_checks() | testing.additive_learner_checks()).values():
        check(Learns)
        check(Declines)
    for check in (testing.policy_checks() | testing.learner_checks() | testing.remembering_checks()).values():
        check(Remembers)
    for check in (testing.guardrail_checks() | testing.stateful_checks()).values():
        check(settles(counts))
    for check in testing.guardrail_checks().values():
        check(NeedsTrust)
    for check in testing.provider_checks().values():
        check(fetches(MappingProvider.fetch))
    for check in testing.provider_checks().values():
        check(fetches(coded), ["ada", "bob"], ["tier"])
    for check in testing.store_checks().values():
        check(Keeps)
    for check in testing.log_checks().values():
        check(Logs)
