"""How does a plugin author run the checks? As a pytest class with one method to fill in.

    class TestSoftmax(PolicyConformance):
        def make(self):
            return Softmax({"a0": 1.0})

Each check is a test method of its own, so a failing plugin sees which promise it breaks. The classes need
no test framework themselves: any runner that collects methods named ``test_*`` will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from agentic.arrays import Batch, Feedback
from agentic.protocols import FeatureProvider, Guardrail, Learner, Policy, ProvenanceLog, StateStore
from agentic.testing import _build
from agentic.testing import _guardrail_checks as guardrails
from agentic.testing import _log_checks as logs
from agentic.testing import _policy_checks as policies
from agentic.testing import _provider_checks as providers
from agentic.testing import _store_checks as stores


class _Made(Protocol):
    """What a conformance class is once its author has filled it in."""

    def make(self) -> Any: ...  # the part under test


def _missing(case: _Made, what: str) -> NotImplementedError:
    return NotImplementedError(f"{type(case).__name__} needs a method make(self) that returns {what}")


class PolicyConformance:
    """What every policy must do; fill in ``make``."""

    def make(self) -> Policy:
        """Return a fresh policy."""
        raise _missing(self, "a fresh policy")

    def batch(self) -> Batch:
        """Return what to try it on; override it to offer other actions and features."""
        return _build.batch()

    def test_weights_are_well_formed(self) -> None:
        policies.check_weights_are_well_formed(self.make, self.batch)

    def test_alone_equals_company(self) -> None:
        policies.check_alone_equals_company(self.make, self.batch)

    def test_row_order_is_irrelevant(self) -> None:
        policies.check_row_order_is_irrelevant(self.make, self.batch)

    def test_asked_twice_answers_the_same(self) -> None:
        policies.check_asked_twice_answers_the_same(self.make, self.batch)

    def test_inputs_are_left_alone(self) -> None:
        policies.check_inputs_are_left_alone(self.make, self.batch)

    def test_masks_are_met_with_finite_weights(self) -> None:
        policies.check_masks_are_met_with_finite_weights(self.make, self.batch)

    def test_nothing_but_no_action_allowed(self) -> None:
        policies.check_nothing_but_no_action_allowed(self.make, self.batch)

    def test_one_action_allowed(self) -> None:
        policies.check_one_action_allowed(self.make, self.batch)

    def test_no_rows(self) -> None:
        policies.check_no_rows(self.make, self.batch)

    def test_fingerprint_is_stable(self) -> None:
        policies.check_fingerprint_is_stable(self.make, self.batch)

    def test_fingerprint_follows_the_fields(self) -> None:
        policies.check_fingerprint_follows_the_fields(self.make, self.batch)

    def test_eight_threads_get_the_same(self) -> None:
        policies.check_eight_threads_get_the_same(self.make, self.batch)


class LearnerConformance(PolicyConformance):
    """What every policy that learns must do besides; fill in ``make``."""

    def make(self) -> Learner:
        """Return a fresh policy that learns."""
        raise _missing(self, "a fresh policy that learns")

    def feedback(self, batch: Batch, /) -> Feedback:
        """Return what to teach it; override it where rewards must not be 0 or 1."""
        return _build.feedback(_build.tiled(batch, 1000))

    def test_learning_leaves_the_old_value_alone(self) -> None:
        policies.check_learning_leaves_the_old_value_alone(self.make, self.batch, self.feedback)

    def test_learning_is_a_new_version(self) -> None:
        policies.check_learning_is_a_new_version(self.make, self.batch, self.feedback)

    def test_feedback_is_left_alone(self) -> None:
        policies.check_feedback_is_left_alone(self.make, self.batch, self.feedback)

    def test_learning_from_nothing(self) -> None:
        policies.check_learning_from_nothing(self.make, self.batch, self.feedback)

    def test_binding_again_keeps_what_was_learned(self) -> None:
        policies.check_binding_again_keeps_what_was_learned(self.make, self.batch, self.feedback)

    def test_what_learned_is_still_a_policy(self) -> None:
        policies.check_what_learned_is_still_a_policy(self.make, self.batch, self.feedback)

    def test_what_learned_can_be_stored(self) -> None:
        policies.check_what_learned_can_be_stored(self.make, self.batch, self.feedback)


class AdditiveLearnerConformance(LearnerConformance):
    """For learners that claim: two batches teach what one does, in any order."""

    def test_two_batches_teach_what_one_does(self) -> None:
        policies.check_two_batches_teach_what_one_does(self.make, self.batch, self.feedback)


class RememberingConformance(LearnerConformance):
    """For learners that keep something about each subject in its record; fill in ``make``."""

    def make(self) -> Any:  # a Learner that Remembers
        """Return a fresh policy that learns, with fields and remember()."""
        raise _missing(self, "a fresh policy that learns, with fields and remember()")

    def test_remembered_fields_fit_a_record(self) -> None:
        policies.check_remembered_fields_fit_a_record(self.make, self.batch, self.feedback)

    def test_remember_writes_only_its_own_fields(self) -> None:
        policies.check_remember_writes_only_its_own_fields(self.make, self.batch, self.feedback)

    def test_remember_alone_equals_company(self) -> None:
        policies.check_remember_alone_equals_company(self.make, self.batch, self.feedback)

    def test_remember_twice_is_the_same(self) -> None:
        policies.check_remember_twice_is_the_same(self.make, self.batch, self.feedback)

    def test_remember_one_by_one(self) -> None:
        policies.check_remember_one_by_one(self.make, self.batch, self.feedback)

    def test_remember_nothing(self) -> None:
        policies.check_remember_nothing(self.make, self.batch, self.feedback)


class GuardrailConformance:
    """What every guardrail must do; fill in ``make``."""

    def make(self) -> Guardrail:
        """Return a fresh guardrail."""
        raise _missing(self, "a fresh guardrail")

    def batch(self) -> Batch:
        """Return what to try it on; override it to offer other actions and features."""
        return _build.batch()

    def test_review_is_well_formed(self) -> None:
        guardrails.check_review_is_well_formed(self.make, self.batch)

    def test_reason_is_a_code(self) -> None:
        guardrails.check_reason_is_a_code(self.make, self.batch)

    def test_review_alone_equals_company(self) -> None:
        guardrails.check_review_alone_equals_company(self.make, self.batch)

    def test_review_twice_is_the_same(self) -> None:
        guardrails.check_review_twice_is_the_same(self.make, self.batch)

    def test_review_leaves_inputs_alone(self) -> None:
        guardrails.check_review_leaves_inputs_alone(self.make, self.batch)

    def test_no_action_is_irrelevant(self) -> None:
        guardrails.check_no_action_is_irrelevant(self.make, self.batch)

    def test_unknown_is_denied(self) -> None:
        guardrails.check_unknown_is_denied(self.make, self.batch)

    def test_ignorance_does_not_raise(self) -> None:
        guardrails.check_ignorance_does_not_raise(self.make, self.batch)

    def test_slates_are_reviewed(self) -> None:
        guardrails.check_slates_are_reviewed(self.make, self.batch)

    def test_eight_threads_review_the_same(self) -> None:
        guardrails.check_eight_threads_review_the_same(self.make, self.batch)


class StatefulConformance:
    """What every component with fields of its own must do; fill in ``make``.

    For a stateful guardrail derive from this and from `GuardrailConformance`.
    """

    def make(self) -> Any:  # Stateful, and whatever else it is
        """Return a fresh component with fields and settle()."""
        raise _missing(self, "a fresh component with fields and settle()")

    def batch(self) -> Batch:
        """Return what to try it on; override it to offer other actions and features."""
        return _build.batch()

    def test_fields_fit_a_layout(self) -> None:
        guardrails.check_fields_fit_a_layout(self.make, self.batch)

    def test_settle_writes_only_its_own_fields(self) -> None:
        guardrails.check_settle_writes_only_its_own_fields(self.make, self.batch)

    def test_settle_alone_equals_company(self) -> None:
        guardrails.check_settle_alone_equals_company(self.make, self.batch)

    def test_settle_twice_is_the_same(self) -> None:
        guardrails.check_settle_twice_is_the_same(self.make, self.batch)

    def test_settle_no_rows(self) -> None:
        guardrails.check_settle_no_rows(self.make, self.batch)

    def test_hear_says_what_concerns_it(self) -> None:
        guardrails.check_hear_says_what_concerns_it(self.make, self.batch)


class FeatureProviderConformance:
    """What every feature provider must do; fill in ``make``.

    The provider that it returns has a value of every name in ``names`` for every subject in ``known``.
    """

    known: Sequence[str] = providers.KNOWN
    names: Sequence[str] = providers.NAMES

    def make(self) -> FeatureProvider:
        """Return a fresh feature provider."""
        raise _missing(self, "a fresh feature provider")

    def test_known_subjects_have_values(self) -> None:
        providers.check_known_subjects_have_values(self.make, self.known, self.names)

    def test_order_is_kept(self) -> None:
        providers.check_order_is_kept(self.make, self.known, self.names)

    def test_strangers_have_no_value(self) -> None:
        providers.check_strangers_have_no_value(self.make, self.known, self.names)

    def test_unknown_names_have_no_value(self) -> None:
        providers.check_unknown_names_have_no_value(self.make, self.known, self.names)

    def test_duplicates_are_answered(self) -> None:
        providers.check_duplicates_are_answered(self.make, self.known, self.names)

    def test_nobody_is_answered(self) -> None:
        providers.check_nobody_is_answered(self.make, self.known, self.names)

    def test_eight_threads_fetch_the_same(self) -> None:
        providers.check_eight_threads_fetch_the_same(self.make, self.known, self.names)


class StateStoreConformance:
    """What every state store must do; fill in ``make`` with one that is empty.

    Lower ``rounds`` for a store so slow that four thousand writes are too many.
    """

    rounds: int = stores.ROUNDS

    def make(self) -> StateStore:
        """Return a fresh and empty state store."""
        raise _missing(self, "an fresh and empty state store")

    def test_round_trip(self) -> None:
        stores.check_round_trip(self.make)

    def test_strangers_are_blank(self) -> None:
        stores.check_strangers_are_blank(self.make)

    def test_order_and_duplicates_on_load(self) -> None:
        stores.check_order_and_duplicates_on_load(self.make)

    def test_nobody(self) -> None:
        stores.check_nobody(self.make)

    def test_rows_are_private_copies(self) -> None:
        stores.check_rows_are_private_copies(self.make)

    def test_stale_versions_are_refused(self) -> None:
        stores.check_stale_versions_are_refused(self.make)

    def test_conflicts_spare_the_others(self) -> None:
        stores.check_conflicts_spare_the_others(self.make)

    def test_no_update_is_lost(self) -> None:
        stores.check_no_update_is_lost(self.make, self.rounds)

    def test_versions_survive_deletion(self) -> None:
        stores.check_versions_survive_deletion(self.make)

    def test_deleted_subjects_are_strangers(self) -> None:
        stores.check_deleted_subjects_are_strangers(self.make)

    def test_subjects_are_listed(self) -> None:
        stores.check_subjects_are_listed(self.make)

    def test_hostile_ids(self) -> None:
        stores.check_hostile_ids(self.make)

    def test_layouts_are_isolated(self) -> None:
        stores.check_layouts_are_isolated(self.make)

    def test_layouts_migrate_by_name(self) -> None:
        stores.check_layouts_migrate_by_name(self.make)

    def test_other_dtypes_are_refused(self) -> None:
        stores.check_other_dtypes_are_refused(self.make)

    def test_against_a_model(self) -> None:
        stores.check_against_a_model(self.make)


class ProvenanceLogConformance:
    """What every provenance log must do; fill in ``make`` with one that is empty."""

    def make(self) -> ProvenanceLog:
        """Return a fresh and empty provenance log."""
        raise _missing(self, "an fresh and empty provenance log")

    def test_records_are_numbered_without_gaps(self) -> None:
        logs.check_records_are_numbered_without_gaps(self.make)

    def test_an_empty_log_reads_empty(self) -> None:
        logs.check_an_empty_log_reads_empty(self.make)

    def test_reading_starts_in_the_middle(self) -> None:
        logs.check_reading_starts_in_the_middle(self.make)

    def test_empty_blocks_leave_no_trace(self) -> None:
        logs.check_empty_blocks_leave_no_trace(self.make)

    def test_ragged_blocks_are_refused(self) -> None:
        logs.check_ragged_blocks_are_refused(self.make)

    def test_small_blocks_of_several_kinds_keep_their_order(self) -> None:
        logs.check_small_blocks_of_several_kinds_keep_their_order(self.make)

    def test_eight_threads_lose_nothing(self) -> None:
        logs.check_eight_threads_lose_nothing(self.make)

    def test_blocks_once_read_stay_as_they_are(self) -> None:
        logs.check_blocks_once_read_stay_as_they_are(self.make)

    def test_log_against_a_model(self) -> None:
        logs.check_log_against_a_model(self.make)
