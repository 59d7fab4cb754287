"""The registry: versions, stages, evidence, approvals."""

from __future__ import annotations

import json
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic._releases import person
from agentic.errors import ConfigurationError, ReleaseError
from agentic.policies import EpsilonGreedy, Fixed, LinearThompson, SquareCB
from agentic.release import (
    CANARY,
    STAGES,
    Evidence,
    Need,
    Registry,
    Requirements,
    share_of,
)
from releasing import NOON, PASSED, carried, made


@pytest.fixture
def registry() -> Registry:
    return Registry(made())


class TestVersions:
    def test_a_version_is_named_by_its_content(self, registry: Registry) -> None:
        """The same hash as in charge; the same content is registered once, whoever asks."""
        agent = registry._agent
        first = registry.register(SquareCB(), owner="Bob", notes="the frugal one")
        again = registry.register(SquareCB(), owner="Carl")
        assert first == again
        assert first.owner == "Bob"
        assert len(registry.versions) == 1
        assert registry.register(SquareCB(gamma=7.0), owner="Bob").version != first.version
        agent.policy = SquareCB()
        assert agent.policy_version == first.version == registry.version_of(SquareCB())

    def test_it_says_whose_it_is_and_what_it_was_made_of(self, registry: Registry) -> None:
        """Lineage, digest of the training rows, notes, time."""
        parent = registry.register(Fixed("sms"), owner="Bob")
        child = registry.register(
            SquareCB(), owner="  Ann   Lee ", parent=Fixed("sms"), training="ab" * 32, notes="n", now=NOON
        )
        assert child.parent == parent.version
        assert (child.owner, child.training, child.notes) == ("Ann Lee", "ab" * 32, "n")
        assert (child.learned, parent.learned) == (True, False)
        assert (child.stage, child.life) == ("draft", 1)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"owner": ""},
            {"owner": "\u200b"},
            {"owner": "a\nb\x00"},
            {"owner": "x" * 201},
            {"owner": 7},
            {"owner": "---"},
            {"owner": "\ud800x"},
            {"notes": "x" * 10_001},
            {"notes": "\ud800"},
            {"notes": 7},
            {"training": "not hexadecimal"},
            {"training": 3.5},
            {"parent": "0" * 16},
        ],
        ids=list(map(str, range(13))),
    )
    def test_what_cannot_be_logged_is_refused(self, registry: Registry, wrong: dict[str, Any]) -> None:
        """Before anything is."""
        with pytest.raises(ReleaseError):
            registry.register(SquareCB(), **{"owner": "Bob", **wrong})
        assert registry.history() == ()

    def test_what_is_not_registered_has_no_stage(self, registry: Registry) -> None:
        """The error says what to do."""
        with pytest.raises(ReleaseError, match=r"registry\.register") as told:
            registry.get(SquareCB())
        assert told.value.missing == ("registration",)
        with pytest.raises(ReleaseError, match="not registered"):
            registry.advance("0" * 16, by="Bob")

    def test_a_retired_version_begins_anew(self, registry: Registry) -> None:
        """As a draft without evidence; who owned it before still may not approve it."""
        carried(registry, registry.register(SquareCB(), owner="Bob").version, "canary_5")
        registry.retire(SquareCB(), by="Bob", reason="slow")
        with pytest.raises(ReleaseError, match="is retired"):
            registry.attach(SquareCB(), PASSED["shadow"], by="Bob")
        with pytest.raises(ReleaseError, match="register it again"):
            registry.advance(SquareCB(), by="Bob")
        with pytest.raises(ReleaseError, match="it stays so"):
            registry.retire(SquareCB(), by="Bob", reason="again")
        again = registry.register(SquareCB(), owner="Zoe", by="Zoe")
        assert (again.stage, again.life, again.evidence, again.approvals) == ("draft", 2, (), ())
        with pytest.raises(ReleaseError, match="nobody approves their own"):
            registry.approve(SquareCB(), "canary_1", by="bob")


class TestStages:
    def test_it_goes_through_all_of_them(self, registry: Registry) -> None:
        """One at a time, each with what it needs, up to champion."""
        registry.register(SquareCB(), owner="Bob")
        seen = [carried(registry, SquareCB(), stage).stage for stage in STAGES[:-1]]
        assert tuple(seen) == STAGES[:-1]
        assert registry.champion == registry.get(SquareCB())
        assert registry.missing(SquareCB()) == ()
        with pytest.raises(ReleaseError, match="the last"):
            registry.advance(SquareCB(), by="Bob")
        with pytest.raises(ReleaseError, match="promote another"):
            registry.retire(SquareCB(), by="Bob", reason="why")

    @pytest.mark.parametrize("stage", STAGES)
    def test_none_is_skipped(self, registry: Registry, stage: str) -> None:
        """From a draft, only the next stage can be asked for."""
        registry.register(SquareCB(), owner="Bob")
        for kind in PASSED:
            registry.attach(SquareCB(), PASSED[kind], by="Bob")
        if stage == "evaluated":
            assert registry.advance(SquareCB(), stage, by="Bob").stage == stage
            return
        assert registry.missing(SquareCB(), stage)
        with pytest.raises(ReleaseError, match="cannot go to"):
            registry.advance(SquareCB(), stage, by="Bob")

    def test_shares_are_those_of_the_stages(self) -> None:
        """A canary's is its number, a champion's all, and before there is none."""
        assert [share_of(stage) for stage in STAGES] == [0, 0, 0, 0.01, 0.05, 0.1, 0.25, 0.5, 1, 0]
        for wrong in ("", "canary", 7, None):
            with pytest.raises(ReleaseError, match="no stage"):
                share_of(wrong)  # type: ignore[arg-type]

    def test_proven_non_inferiority_may_end_the_ramp_early(self, registry: Registry) -> None:
        """From any canary step; where no proof is asked for, only from the last."""
        registry.register(SquareCB(), owner="Bob")
        carried(registry, SquareCB(), "canary_5")
        assert registry.missing(SquareCB(), "champion") == (
            "promotion evidence",
            "approval of champion by 1 person other than the owner and who makes the move",
        )
        registry.attach(SquareCB(), PASSED["promotion"], by="Bob")
        registry.approve(SquareCB(), "champion", by="Ann")
        assert registry.promote(SquareCB(), by="Bob").stage == "champion"
        other = Registry(made())
        other.govern(Requirements(champion=Need((), 0)), by="Ann")
        other.register(SquareCB(), owner="Bob")
        carried(other, SquareCB(), "canary_5")
        with pytest.raises(ReleaseError, match="next is canary_10"):
            other.promote(SquareCB(), by="Bob")

    def test_a_step_back_needs_new_evidence_to_come_up_again(self, registry: Registry) -> None:
        """What was found out about a canary before does not count twice."""
        registry.register(SquareCB(), owner="Bob")
        carried(registry, SquareCB(), "canary_25")
        assert registry.step_back(SquareCB(), "canary_5", by="rollout", reason="doubt").stage == "canary_5"
        assert registry.missing(SquareCB()) == ("canary evidence at a share of 0.05",)
        with pytest.raises(ReleaseError, match="no step back"):
            registry.step_back(SquareCB(), "canary_10", by="rollout", reason="doubt")
        registry.step_back(SquareCB(), "shadow", by="rollout", reason="doubt")
        assert len(registry.missing(SquareCB())) == 1  # the approval; what the shadow said stands

    def test_the_champion_before_can_be_rolled_back_to(self, registry: Registry) -> None:
        """It stays retired until then, needs nothing, and who is left cannot be rolled back to."""
        for policy in (SquareCB(), EpsilonGreedy()):
            registry.register(policy, owner="Bob")
            carried(registry, policy, "champion")
        assert registry.get(SquareCB()).stage == "retired"
        assert registry.get(SquareCB()).former
        assert registry.get(SquareCB()).share == 1.0
        assert registry.rollback(by="Ann", reason="harm").version == registry.version_of(SquareCB())
        assert registry.champion == registry.get(SquareCB())
        left = registry.get(EpsilonGreedy())
        assert (left.stage, left.former, left.share) == ("retired", False, 0.0)
        with pytest.raises(ReleaseError, match="no former champion"):
            registry.rollback(EpsilonGreedy(), by="Ann", reason="back again")
        with pytest.raises(ReleaseError, match="put rules in charge"):
            registry.rollback(by="Ann", reason="further")

    def test_who_was_left_can_come_back_the_long_way(self, registry: Registry) -> None:
        """Registered again, it has a new life."""
        for policy in (SquareCB(), EpsilonGreedy()):
            registry.register(policy, owner="Bob")
            carried(registry, policy, "champion")
        registry.rollback(by="Ann", reason="harm")
        assert registry.register(EpsilonGreedy(), owner="Bob").life == 2
        assert carried(registry, EpsilonGreedy(), "champion").stage == "champion"


class TestEvidence:
    @pytest.mark.parametrize(
        ("summary", "lacking"),
        [
            ({"seen": 3, "training": None}, "rows it did not learn from"),
            ({"training": None}, "rows it did not learn from"),
            ({"seen": 0, "training": "cd" * 32}, "names the rows it was trained on"),
            ({"seen": 0, "training": None, "verdict": "insufficient support"}, "that the log supports"),
        ],
        ids=["seen", "unknown", "other-training", "unsupported"],
    )
    def test_an_evaluation_must_be_by_other_rows(
        self, registry: Registry, summary: dict[str, Any], lacking: str
    ) -> None:
        """It says how many of them it was trained on, and on which it was."""
        registry.register(SquareCB(), owner="Bob")
        registry.attach(SquareCB(), PASSED["simulation"], by="Bob")
        registry.attach(SquareCB(), Evidence("evaluation", "pass", summary), by="Bob")
        (told,) = registry.missing(SquareCB())
        assert lacking in told
        with pytest.raises(ReleaseError, match=lacking):
            registry.advance(SquareCB(), by="Bob")

    def test_the_last_word_counts(self, registry: Registry) -> None:
        """What failed does not let through because something passed before; nor the other way round."""
        registry.register(SquareCB(), owner="Bob")
        for kind in ("evaluation", "simulation"):
            registry.attach(SquareCB(), PASSED[kind], by="Bob")
        registry.attach(SquareCB(), Evidence("simulation", "fail", {}), by="Bob")
        assert registry.missing(SquareCB()) == ("simulation evidence that does not fail, the last one does",)
        registry.attach(SquareCB(), PASSED["simulation"], by="Bob")
        assert registry.missing(SquareCB()) == ()

    @pytest.mark.parametrize("kind", ["canary", "promotion"])
    def test_what_customers_met_must_pass(self, registry: Registry, kind: str) -> None:
        """A doubt is enough to go on with a simulation, not with customers."""
        registry.register(SquareCB(), owner="Bob")
        carried(registry, SquareCB(), "canary_50" if kind == "promotion" else "canary_1")
        registry.attach(SquareCB(), Evidence(kind, "weak", {"share": 0.5}), by="Bob")
        assert "the last one is weak" in registry.missing(SquareCB())[0]

    def test_a_canary_is_judged_by_its_own_share(self, registry: Registry) -> None:
        """What one in a hundred customers showed does not take it from five to ten."""
        registry.register(SquareCB(), owner="Bob")
        carried(registry, SquareCB(), "canary_1")
        registry.attach(SquareCB(), Evidence("canary", "pass", {"share": 0.01}), by="Bob")
        assert registry.advance(SquareCB(), by="Bob").stage == "canary_5"
        assert registry.missing(SquareCB()) == ("canary evidence at a share of 0.05",)

    def test_it_is_a_value_with_a_digest(self) -> None:
        """The order of its numbers is nothing; any other number is another digest."""
        one = Evidence("shadow", "pass", {"a": 1, "b": [1.5, None, True, "x"]})
        two = Evidence("shadow", "pass", {"b": (1.5, None, True, "x"), "a": 1})
        assert one == two
        assert one.digest == two.digest
        assert one.digest != attrs.evolve(one, verdict="weak").digest
        assert Evidence.from_data(json.loads(json.dumps(one.to_data()))) == one

    @pytest.mark.parametrize(
        "make",
        [
            lambda: Evidence("rumour", "pass", {}),
            lambda: Evidence("shadow", "fine", {}),
            lambda: Evidence("shadow", "pass", {"x": float("nan")}),
            lambda: Evidence("shadow", "pass", {"x": object()}),
            lambda: Evidence("shadow", "pass", {"x": "\ud800"}),
            lambda: Evidence("shadow", "pass", {"x": "y" * 40_000}),
            lambda: Evidence("shadow", "pass", {"x": 1 << 60}),
            lambda: Evidence("shadow", "pass", {1: 1}),  # type: ignore[dict-item]
            lambda: Evidence("shadow", "pass", []),  # type: ignore[arg-type]
            lambda: Evidence("canary", "pass", {}),
            lambda: Evidence("canary", "pass", {"share": True}),
            lambda: Evidence("canary", "pass", {"share": 1.5}),
            lambda: Evidence.from_data({"kind": "shadow"}),
            lambda: Evidence.from_data(None),
        ],
        ids=list(map(str, range(14))),
    )
    def test_nonsense_is_none(self, make: Any) -> None:
        """It is refused before it is logged."""
        with pytest.raises(ReleaseError):
            make()

    def test_deep_nesting_is_refused(self) -> None:
        """Before anybody recurses into it."""
        deep: Any = 1
        for _ in range(50):
            deep = [deep]
        with pytest.raises(ReleaseError, match="nests deeper"):
            Evidence("shadow", "pass", {"x": deep})

    def test_only_what_shows_itself_as_evidence_is(self, registry: Registry) -> None:
        """A report has as_evidence(); a mapping has not."""

        class Report:
            def as_evidence(self) -> Evidence:
                return PASSED["shadow"]

        registry.register(SquareCB(), owner="Bob")
        assert registry.attach(SquareCB(), Report(), by="Bob").evidence == (PASSED["shadow"],)
        wrong: Any = {"kind": "shadow"}
        with pytest.raises(ReleaseError, match="as_evidence"):
            registry.attach(SquareCB(), wrong, by="Bob")


ALIASES = [
    "bob",
    " Bob ",
    "BOB",
    "B\u200bob",
    "\uff22ob",  # full width
    "B\u043eb",  # Cyrillic o
    "B\u00f6b",
    "B.o.b",
    "\u0412ob",  # Cyrillic Ve
    "Bo\u0301b",
    "B\u2060ob",
    "B0b",
    "B\u0585b",  # Armenian o
    "Bo\u042c",  # soft sign
    "\u0299ob",  # small capital
    "Bob\u3164",  # a letter that is blank
]


class TestApprovals:
    @pytest.fixture
    def ready(self, registry: Registry) -> Registry:
        """A version that lacks nothing but an approval to meet its first customers."""
        registry.register(SquareCB(), owner="Bob")
        carried(registry, SquareCB(), "shadow")
        registry.attach(SquareCB(), PASSED["shadow"], by="Bob")
        return registry

    @pytest.mark.parametrize("alias", ALIASES, ids=ascii)
    def test_nobody_approves_their_own(self, ready: Registry, alias: str) -> None:
        """Not under another spelling of their name either."""
        with pytest.raises(ReleaseError, match=r"nobody approves their own|name of somebody"):
            ready.approve(SquareCB(), "canary_1", by=alias)

    def test_another_person_does(self, ready: Registry) -> None:
        """And the move goes on."""
        ready.approve(SquareCB(), "canary_1", by="Ann", reason="looks fine")
        assert ready.advance(SquareCB(), by="Bob").stage == "canary_1"

    def test_who_makes_the_move_does_not_count(self, ready: Registry) -> None:
        """Two people for each move, at least."""
        ready.approve(SquareCB(), "canary_1", by="Ann")
        with pytest.raises(ReleaseError, match="who makes the move"):
            ready.advance(SquareCB(), by="ann")
        assert ready.advance(SquareCB(), by="Carl").stage == "canary_1"

    def test_who_registered_it_does_not_count(self, registry: Registry) -> None:
        """Nor who names somebody else as the owner."""
        registry.register(SquareCB(), owner="Bob", by="Ann")
        for who in ("ann", "bob"):
            with pytest.raises(ReleaseError, match="nobody approves their own"):
                registry.approve(SquareCB(), "canary_1", by=who)

    def test_one_person_counts_once(self) -> None:
        """However often, and under whatever spelling."""
        registry = Registry(made())
        registry.govern(Requirements(evaluated=Need((), 2)), by="Zoe")
        registry.register(SquareCB(), owner="Bob")
        for alias in ("Ann", "ann ", "\uff21nn", "a.n.n"):
            registry.approve(SquareCB(), "evaluated", by=alias)
        assert len(registry.get(SquareCB()).approvals) == 1
        assert registry.missing(SquareCB())
        registry.approve(SquareCB(), "evaluated", by="Carl")
        assert registry.missing(SquareCB()) == ()

    def test_it_is_void_when_the_evidence_changes(self, ready: Registry) -> None:
        """Who said yes said yes to what was there."""
        ready.approve(SquareCB(), "canary_1", by="Ann")
        ready.attach(SquareCB(), Evidence("shadow", "weak", {"rows": 7}), by="Bob")
        (told,) = ready.missing(SquareCB())
        assert "1 more were given before the evidence changed" in told
        with pytest.raises(ReleaseError, match="before the evidence changed"):
            ready.advance(SquareCB(), by="Bob")

    def test_a_yes_to_what_was_seen_is_no_yes_to_something_else(self, ready: Registry) -> None:
        """The dossier that was looked at can be named."""
        seen = ready.get(SquareCB()).dossier
        ready.attach(SquareCB(), Evidence("shadow", "weak", {"rows": 7}), by="Bob")
        with pytest.raises(ReleaseError, match="look again"):
            ready.approve(SquareCB(), "canary_1", by="Ann", seen=seen)
        seen = ready.get(SquareCB()).dossier
        assert ready.approve(SquareCB(), "canary_1", by="Ann", seen=seen).approvals[0].dossier == seen

    def test_it_is_for_one_move_of_one_version(self, ready: Registry) -> None:
        """Another stage or another version needs its own."""
        ready.approve(SquareCB(), "champion", by="Ann")
        assert ready.missing(SquareCB())
        other = SquareCB(gamma=9.0)
        ready.register(other, owner="Bob")
        ready.approve(other, "canary_1", by="Ann")
        assert ready.missing(SquareCB())

    def test_it_can_be_taken_back(self, ready: Registry) -> None:
        """By who gave it."""
        ready.approve(SquareCB(), "canary_1", by="Ann")
        with pytest.raises(ReleaseError, match="nothing to revoke"):
            ready.revoke(SquareCB(), "canary_1", by="Carl")
        ready.revoke(SquareCB(), "canary_1", by="ANN", reason="on second thoughts")
        assert ready.missing(SquareCB())

    def test_only_those_who_may_approve(self) -> None:
        """Where there is a list of them."""
        registry = Registry(made())
        registry.govern(Requirements(approvers=["Ann", "Carl"]), by="Zoe")
        registry.register(SquareCB(), owner="Bob")
        with pytest.raises(ReleaseError, match="not among those who may approve"):
            registry.approve(SquareCB(), "canary_1", by="Mallory")
        registry.approve(SquareCB(), "canary_1", by="ann")

    @pytest.mark.parametrize("stage", ["draft", "shadow", "retired", "nonsense"])
    def test_what_lies_behind_is_nothing_to_approve(self, ready: Registry, stage: str) -> None:
        """Nor what does not exist."""
        with pytest.raises(ReleaseError):
            ready.approve(SquareCB(), stage, by="Ann")

    @given(st.text(max_size=30))
    def test_a_person_is_one_however_it_is_written(self, name: str) -> None:
        """Writing it once more the same way changes nothing, nor does case."""
        assert person(person(name)) == person(name)
        assert person(f"  {name.upper()} ") == person(f"{name.upper()}")

    def test_tags_of_an_address_make_no_other_person(self) -> None:
        """But another address does."""
        assert person("ann+approver@shop.example") == person("Ann@Shop.example")
        assert person("ann@shop.example") != person("ann@other.example")
        assert person("Ann") != person("Anne")
        assert person("Ian") == person("lan")
        assert person("B\u0131ll") == person("BIII")


class TestRequirements:
    def test_two_people_change_them(self) -> None:
        """Or one could ask for nothing."""
        registry = Registry(made())
        registry.govern(by="Bob")
        loose = Requirements(canary_1=Need())
        for second in (None, "BOB "):
            with pytest.raises(ReleaseError, match="two people"):
                registry.govern(loose, by="Bob", approved_by=second)
        assert registry.requirements == Requirements()
        registry.govern(loose, by="Bob", approved_by="Ann")
        assert registry.requirements == loose
        assert registry.governed

    def test_the_second_one_must_be_one_who_may(self) -> None:
        """Where there is a list of them."""
        registry = Registry(made())
        registry.govern(Requirements(approvers=["Ann", "Carl"]), by="Bob")
        with pytest.raises(ReleaseError, match="not among those who may"):
            registry.govern(Requirements(), by="Bob", approved_by="Mallory")
        registry.govern(Requirements(), by="Bob", approved_by="Carl")
        wrong: Any = {"canary_1": 3}
        with pytest.raises(ReleaseError, match="got a dict"):
            registry.govern(wrong, by="Bob", approved_by="Carl")

    def test_what_is_adopted_may_be_registered_already(self) -> None:
        """It keeps its owner."""
        registry = Registry(made(policy=SquareCB()))
        registry.register(SquareCB(), owner="Bob")
        registry.govern(by="Ann")
        champion = registry.champion
        assert champion is not None
        assert (champion.owner, champion.stage) == ("Bob", "champion")

    @pytest.mark.parametrize(
        "make",
        [
            lambda: Need(("rumour",)),
            lambda: Need((), -1),
            lambda: Need((), 21),
            lambda: Need((), True),
            lambda: Requirements(champion=3),  # type: ignore[arg-type]
            lambda: Requirements(override=Need(("shadow",))),
            lambda: Requirements(approvers="Ann"),  # type: ignore[arg-type]
            lambda: Requirements(champion=Need((), 2), approvers=["Ann", "ann"]),
            lambda: Requirements.from_data({}),
            lambda: Requirements.from_data({"approvers": [], "needs": {}}),
        ],
        ids=list(map(str, range(10))),
    )
    def test_nonsense_is_refused(self, make: Any) -> None:
        """When they are made."""
        with pytest.raises(ReleaseError):
            make()

    def test_they_are_what_was_logged(self) -> None:
        """As JSON and back."""
        wanted = Requirements(canary_5=Need(("canary", "shadow"), 2), approvers=["Ann", "Bob", "Carl"])
        assert Requirements.from_data(json.loads(json.dumps(wanted.to_data()))) == wanted

    def test_an_override_can_ask_for_approvals_too(self) -> None:
        """It needs no evidence, but then two people."""
        registry = Registry(made())
        registry.govern(Requirements(override=Need((), 1)), by="Zoe")
        registry.register(SquareCB(), owner="Bob")
        with pytest.raises(ReleaseError, match="override"):
            registry.override(SquareCB(), by="Bob", reason="now")
        registry.approve(SquareCB(), "champion", by="Ann")
        assert registry.override(SquareCB(), by="Bob", reason="now").stage == "champion"


class TestTelling:
    def test_the_story_of_a_version_is_told(self, registry: Registry) -> None:
        """Who did what, in order; of other versions nothing."""
        registry.register(SquareCB(), owner="Bob")
        registry.register(LinearThompson(), owner="Bob")
        carried(registry, SquareCB(), "canary_1")
        registry.override(SquareCB(), "canary_50", by="Zoe", reason="a sale")
        told = [(event.what, event.by) for event in registry.history(SquareCB())]
        assert told[0] == ("registered", "Bob")
        assert told[-1] == ("overridden", "Zoe")
        assert len(registry.history()) == len(told) + 1
        assert registry.get(SquareCB()).overridden == "Zoe: a sale"
        assert [event.number for event in registry.history()] == list(range(len(told) + 1))

    def test_for_people_and_for_machines(self, registry: Registry) -> None:
        """A page of text, and JSON with all of it."""
        registry.govern(by="Ann")
        registry.register(SquareCB(), owner="Bob", notes="\u2603")
        text = str(registry)
        assert "governed" in text
        assert "to evaluated: evaluation evidence; simulation evidence" in text
        told = json.loads(registry.to_json())
        assert told["versions"][1]["owner"] == "Bob"
        assert [event["what"] for event in told["events"]] == ["governed", "registered"]
        assert "2 versions" in repr(registry)
        registry.override(SquareCB(), "canary_10", by="Ann", reason="why not")
        assert "decides for up to 10%" in str(registry)
        assert "without what it needs: Ann: why not" in str(registry)

    def test_a_log_in_memory_proves_nothing(self, registry: Registry) -> None:
        """It says what to do instead."""
        registry.register(SquareCB(), owner="Bob")
        (event,) = registry.history()
        with pytest.raises(ConfigurationError, match=r"Agent\.open"):
            registry.proof(event)
        with pytest.raises(ReleaseError, match="no event of this registry"):
            registry.proof(attrs.evolve(event, by="Eve"))

    @pytest.mark.parametrize("stage", ["draft", "retired"])
    def test_an_override_leads_somewhere(self, registry: Registry, stage: str) -> None:
        """To where it decides, or weighs; and says why."""
        registry.register(SquareCB(), owner="Bob")
        with pytest.raises(ReleaseError, match="an override takes"):
            registry.override(SquareCB(), stage, by="Ann", reason="why not")
        for reason in ("", "  "):
            with pytest.raises(ReleaseError):
                registry.override(SquareCB(), "shadow", by="Ann", reason=reason)
        with pytest.raises(ReleaseError):
            registry.override(SquareCB(), "shadow", by="Ann", reason=7)  # type: ignore[arg-type]
        assert set(CANARY) < set(STAGES)
