"""The five standing questions: against closed forms, and against a simulator that knows the truth."""

from __future__ import annotations

import json
import math
from datetime import timedelta

import attrs
import numpy as np
import pytest

from agentic import NO_ACTION, Action, Agent, ConsentGranted
from agentic._flow import OUTRANKED, STOPPED
from agentic.arrays import Batch, Proposal, Review
from agentic.conditions import F
from agentic.errors import EvaluationError
from agentic.evaluation import joined, target_probabilities
from agentic.experiments import Answer, standing_questions
from agentic.experiments._guardrail_price import without
from agentic.features import Flag
from agentic.guardrails import Consent, FrequencyCap, KillSwitch
from agentic.policies import Fixed, LinearThompson, Personal, Rules, Split, Uniform
from agentic.protocols import Policy
from agentic.rewards import Goals
from agentic.simulation import campaign, playbook, simulate
from agentic.testing import FakeClock
from agentic.types import MANDATORY

LIFT, COST = 0.2, 0.5
RULES = Rules([(F("keen").is_true(), "sms")], otherwise=NO_ACTION)


def capped(
    seed: int, *, n: int = 1500, policy: Policy | None = None, holdout: float = 0.2, **more: object
) -> Agent:
    """Texts help the keen by 20 points of 10 each, nobody else; one a week, asked for on four days.

    A tenth never agreed to texts.
    """
    clock = FakeClock()
    agent = Agent(
        "capped",
        [Action("sms", channel="sms", cost=COST)],
        features=[Flag("keen")],
        policy=Uniform() if policy is None else policy,
        guardrails=[Consent("marketing"), FrequencyCap(1, per=timedelta(days=7), name="cap"), KillSwitch()],
        goals=Goals({"purchase": 10.0}, window=timedelta(hours=12)),
        holdout=holdout,
        salt=f"capped/{seed}",
        seed=seed,
        clock=clock,
        **more,  # type: ignore[arg-type]
    )
    dice = np.random.default_rng(seed)
    names = [f"s{i}" for i in range(n)]
    agent.tell_many(names[n // 10 :], ConsentGranted("marketing"))
    keen = dice.random(n) < 0.5
    for _ in range(4):
        batch = agent.decide_many(names, {"keen": keen})
        bought = dice.random(n) < 0.2 + LIFT * keen * (batch.action_ids == "sms")
        agent.record_many([name for name, one in zip(batch.ids, bought, strict=True) if one], "purchase")
        clock.advance(timedelta(days=1))
        agent.learn()
    return agent


def deviations(answer: Answer, truth: float) -> float:
    assert answer.answered, answer
    return (answer.value - truth) / answer.standard_error


def test_every_question_is_answered_near_the_truth() -> None:
    """Over eight seeds the mean deviation, in errors, is within five of its own error, and its spread too.

    The truth is in closed form: a text to the keen is worth 2 less 0.5, to others 0 less 0.5.
    """
    found: dict[str, list[float]] = {}
    for seed in range(8):
        agent = capped(seed, random_control=0.2)
        answers = standing_questions(agent, rules=RULES, seed=seed)
        rows = joined(agent).of(["policy"])
        target, X = target_probabilities(agent, RULES, rows)
        effect = 10.0 * LIFT * (X[:, 0] > 0.5) - COST
        texted = rows.action != rows.catalogue.idle
        earned = float((texted * effect).mean())
        column = rows.catalogue.column("sms")
        truths = {
            "random": 0.0,  # Uniform is what random control does; states are alike
            "nothing": earned,
            "rules": earned - float((target[:, column] * effect).mean()),
        }
        for name, truth in truths.items():
            found.setdefault(name, []).append(deviations(getattr(answers, name), truth))
        cap = next(one for one in answers.guardrails if one.name == "cap")
        assert cap.verdict in {"it costs", "no price proven"}
        struck = cap.struck  # of those who agreed: the others are struck out by consent too
        # Half of those struck would be texted; the keen are half of all.
        truth = struck * 0.5 * (10.0 * LIFT * 0.5 - COST)
        assert cap.messages_saved == pytest.approx(struck * 0.5)
        assert cap.changed == pytest.approx(struck * 0.5)
        found.setdefault("cap", []).append((cap.price - truth) / cap.standard_error)
    for name, values in found.items():
        assert abs(np.mean(values)) < 5.0 / math.sqrt(8), name
        assert max(map(abs, values)) < 5.0, name


def test_lawful_guardrails_have_no_price() -> None:
    """How often is told, and nothing that would tempt anybody."""
    answers = standing_questions(capped(1))
    by_name = {one.name: one for one in answers.guardrails}
    for name in ("consent", "kill_switch"):
        assert by_name[name].verdict == "not for sale"
        assert math.isnan(by_name[name].price)
    assert by_name["consent"].struck == pytest.approx(0.1, abs=0.03)
    assert "guardrail consent" not in answers.adjusted


def test_what_cannot_be_answered_says_what_to_set() -> None:
    """No holdout, no random control, no rules, no champion."""
    answers = standing_questions(capped(2, n=200, holdout=0.0))
    assert answers.check is None
    for answer, remedy in (
        (answers.random, "random_control=0.05"),
        (answers.nothing, "holdout=0.05"),
        (answers.rules, "rules="),
        (answers.champion, "Split("),
    ):
        assert answer.verdict == "cannot be answered"
        assert not answer.answered
        assert remedy in answer.notes[0]
    few = standing_questions(capped(2, n=60))
    assert "fewer than 30" in few.nothing.notes[0]


def test_rules_that_decide_for_the_holdout_are_compared_directly() -> None:
    """And the question of no messages is left open, because the holdout gets some."""
    answers = standing_questions(capped(3, control=RULES), rules=RULES)
    assert "delta method" in answers.rules.how
    assert "holdout" in answers.rules.notes[0]
    assert answers.nothing.verdict == "cannot be answered"
    assert "control policy" in answers.nothing.notes[0]


def test_a_challenger_is_compared_with_its_champion() -> None:
    """By the sides of the split in charge."""
    split = Split(Fixed(NO_ACTION), [(RULES, 0.5)], salt="rules")
    answers = standing_questions(capped(4, policy=split))
    rows = joined(capped(4, policy=split)).of(["policy"])
    texted = (rows.action != rows.catalogue.idle)[split.side(rows.key) == 1]
    truth = float(texted.mean()) * (10.0 * LIFT - COST)
    assert abs(deviations(answers.champion, truth)) < 5.0
    unsent = Split(Uniform(), [(RULES, 0.5)], salt="unsent")
    agent = capped(4)
    agent.policy = unsent
    assert "no decision of this split" in standing_questions(agent).champion.notes[0]


def test_an_earlier_policy_is_valued_off_policy() -> None:
    """Silence as the champion is the holdout's answer, from the other side of the log."""
    answers = standing_questions(capped(5, n=3000), champion=Fixed(NO_ACTION))
    spread = math.hypot(answers.champion.standard_error, answers.nothing.standard_error)
    assert answers.champion.value == pytest.approx(answers.nothing.value, abs=5.0 * spread)


def test_without_exploration_there_is_no_support() -> None:
    """Who never texts cannot say what texting is worth."""
    answers = standing_questions(capped(6, policy=Fixed(NO_ACTION)), rules=RULES)
    assert answers.rules.verdict == "insufficient support"
    assert not answers.rules.answered
    assert answers.rules.notes


def test_sizes_that_are_off_are_not_to_be_read() -> None:
    """The arms are checked first."""
    agent = capped(7)
    rows = joined(agent)
    lost = (rows.arm == 0) & (rows.key % np.uint64(2) == 0)
    answers = standing_questions(agent, rows=rows.take(~lost))
    assert answers.check is not None
    assert answers.check.mismatch
    assert answers.nothing.verdict == "do not read"


def test_several_answers_are_corrected_for() -> None:
    """Holm over all that were answered."""
    answers = standing_questions(capped(8, random_control=0.2), rules=RULES)
    plain = {
        "random": answers.random.p_value,
        "nothing": answers.nothing.p_value,
        "rules": answers.rules.p_value,
        "guardrail cap": next(one.p_value for one in answers.guardrails if one.name == "cap"),
    }
    assert answers.adjusted.keys() == plain.keys()
    assert all(answers.adjusted[name] >= plain[name] for name in plain)
    assert "Holm" in str(answers)
    json.dumps(answers.facts, allow_nan=False)


def test_a_mandatory_message_that_a_rule_held_back_outranks_again() -> None:
    """Without the rule it is allowed, and what was allowed instead is not; a stop stays a stop."""
    agent = Agent(
        "recall",
        [Action("notice", message_class=MANDATORY), Action("offer")],
        policy=Uniform(),
        guardrails=[FrequencyCap(1, per=timedelta(days=1), name="cap", exempt=()), KillSwitch()],
    )
    plan = agent.plan
    column = {name: plan.catalogue.column(name) for name in ("notice", "offer", NO_ACTION.id)}
    rule = int(plan.bits[0][0])
    denied = np.zeros((4, 3), plan.denied_dtype)
    denied[0, column["notice"]] = denied[0, column["offer"]] = rule
    denied[1] = STOPPED
    denied[1, column["notice"]] = 0
    denied[2, [column["offer"], column[NO_ACTION.id]]] = OUTRANKED
    denied[3, column["offer"]] = rule | int(plan.bits[1][0])
    denied[3, column["notice"]] = int(plan.bits[1][0])
    wider = without(plan, denied, 0)
    names = [{name for name, place in column.items() if row[place]} for row in wider]
    assert names == [{"notice"}, {"notice"}, {"notice"}, {NO_ACTION.id}]


def test_prices_are_near_the_truth_of_a_simulated_campaign() -> None:
    """Of a policy that does not learn: every price is within five errors, or has no support.

    The truth is the simulator's: what each action would earn in each logged state, fatigue and all.
    """
    agent, world = campaign(Uniform(), customers=1000, seed=31, exploration_floor=0.0)
    simulated = simulate(agent, world, weeks=3)
    rows = joined(agent).of(["policy"])
    answers = standing_questions(agent, rules=playbook())
    decision = np.searchsorted(simulated.position, rows.position)
    worth = simulated.worth[decision] - rows.cost
    expected = np.empty((len(rows), len(rows.catalogue)))
    now = simulated.now[decision]
    for time in np.unique(now):
        here = now == time
        expected[here] = simulated.expected(agent.goals, rows.catalogue, decision[here])  # type: ignore[arg-type]
    expected -= rows.catalogue.cost
    target, _ = target_probabilities(agent, playbook(), rows)
    truth = float(worth.mean() - (target * expected).sum(axis=1).mean())
    assert abs(deviations(answers.rules, truth)) < 5.0
    from agentic._again import logged_batch
    from agentic._flow import probabilities
    from agentic.experiments._worth import archive

    plan, total = agent.plan, dict.fromkeys(agent.plan.guardrails, 0.0)
    for where, found in archive(agent).parts(rows.position):
        batch = logged_batch(plan, agent.schema, found)
        before = probabilities(plan, agent.policy, batch)
        for index, name in enumerate(total):
            batch.allowed = without(plan, found.columns["denied"], index)
            total[name] += float(
                ((probabilities(plan, agent.policy, batch) - before) * expected[where]).sum()
            )
    told = 0
    for one in answers.guardrails:
        if math.isfinite(one.price):
            told += 1
            assert abs(one.price - total[one.name] / len(rows)) < 5.0 * one.standard_error, one.name
    assert told >= 3
    quiet = next(one for one in answers.guardrails if one.name == "quiet_hours")
    assert quiet.verdict == "insufficient support"


def test_a_policy_that_learned_from_these_rows_is_taught_anew() -> None:
    """Its prices are weak otherwise; taught on other subjects they are as sure as the rows are."""
    agent = capped(9, n=1500, policy=LinearThompson())
    plain = next(one for one in standing_questions(agent).guardrails if one.name == "cap")
    assert plain.verdict in {"weak", "no price proven"}
    assert "untaught" in plain.notes[0]
    anew = next(
        one for one in standing_questions(agent, untaught=LinearThompson()).guardrails if one.name == "cap"
    )
    assert not anew.notes
    # Between texting all who were struck out and are keen, and half of everybody who was.
    assert anew.price < anew.struck * (10.0 * LIFT - COST) + 5.0 * anew.standard_error
    assert anew.price > -5.0 * anew.standard_error


def test_an_empty_log_and_bad_values_are_refused() -> None:
    """By name."""
    agent = Agent(
        "new", [Action("sms")], policy=Uniform(), goals=Goals({"purchase": 1.0}, window=timedelta(days=1))
    )
    with pytest.raises(EvaluationError, match="final reward"):
        standing_questions(agent)
    with pytest.raises(EvaluationError, match="value is nan"):
        standing_questions(agent, value=math.nan)
    with pytest.raises(EvaluationError, match="level is 0"):
        standing_questions(agent, level=0.0)


class Own:
    """A policy of somebody's own, without a stored form."""

    name = "own"

    def __init__(self) -> None:
        self.model = object()

    def propose(self, batch: Batch) -> Proposal:
        return Proposal(np.ones(batch.allowed.shape))


class Never:
    """A guardrail that allows nothing."""

    name = "never"

    def review(self, _: Batch) -> Review:
        return Review(np.zeros((1, 1), dtype=np.bool_), "NEVER")


def test_a_policy_without_a_stored_form_is_valued_as_well() -> None:
    """It cannot be told from the control policy, so it is valued off-policy."""
    assert "DR" in standing_questions(capped(10), rules=Own()).rules.how


def test_what_never_was_allowed_has_no_price() -> None:
    """Nothing is known of what it forbids; how often it did is."""
    clock = FakeClock()
    goals = Goals({"purchase": 1.0}, window=timedelta(hours=1))
    agent = Agent("never", [Action("sms")], policy=Uniform(), guardrails=[Never()], goals=goals, clock=clock)
    batch = agent.decide_many([f"s{i}" for i in range(100)])
    agent.record_many(batch.ids[:30], "purchase")
    clock.advance(timedelta(days=1))
    agent.learn()
    (found,) = standing_questions(agent).guardrails
    assert found.verdict == "insufficient support"
    assert (found.struck, found.changed, found.extrapolated) == (1.0, 0.5, 1.0)
    assert math.isnan(found.price)


def test_a_guardrail_counts_from_when_it_was_asked() -> None:
    """Decisions before it existed, or among other actions, are none of its business."""
    old = capped(11, n=300)
    more = {
        "features": [Flag("keen")],
        "policy": Uniform(),
        "goals": old.goals,
        "holdout": 0.2,
        "log": old.log,
    }
    guardrails = [*old.plan.guardrails.values(), FrequencyCap(9, per=timedelta(days=1), name="later")]
    agent = Agent("capped", [Action("sms", channel="sms", cost=COST)], guardrails=guardrails, **more)  # type: ignore[arg-type]
    by_name = {one.name: one for one in standing_questions(agent).guardrails}
    assert (by_name["later"].n, by_name["later"].verdict) == (0, "never alone")
    assert by_name["cap"].n == len(joined(agent).of(["policy"]))
    actions = [Action("sms", channel="sms", cost=COST), Action("push")]
    other = Agent("capped", actions, guardrails=guardrails, **more)  # type: ignore[arg-type]
    assert {one.n for one in standing_questions(other).guardrails} == {0}


def test_what_remembers_subjects_has_no_prices() -> None:
    """What it would do under other rules depends on what it would then have known."""
    answers = standing_questions(capped(12, policy=Personal()))
    assert answers.guardrails == ()
    assert "keeps something of each subject" in str(answers)


def test_a_champion_that_learned_from_these_rows_is_weak_evidence() -> None:
    """It looks better than it is, and the answer says so."""
    agent = capped(13, policy=LinearThompson())
    answer = standing_questions(agent, champion=agent.policy).champion
    assert "may have learned" in answer.notes[0]
    assert answer.verdict in {"weak", "no difference proven", "insufficient support"}


def test_an_arm_without_rewards_yet_says_wait() -> None:
    """And a report without anything proven is a report."""
    agent = capped(14, random_control=0.2)
    answers = standing_questions(agent, rows=joined(agent).of(["policy", "holdout"]))
    assert "wait" in answers.random.notes[0]
    bare = attrs.evolve(answers, guardrails=(), check=None, nothing=answers.random)
    assert bare.adjusted == {}
    assert "Holm" not in str(bare)


def test_the_same_policy_is_not_ahead_of_itself() -> None:
    """There is no difference, and no error to measure one by."""
    answer = standing_questions(capped(15, policy=RULES), champion=RULES).champion
    assert answer.value == pytest.approx(0.0, abs=1e-12)
    assert answer.verdict == "no difference proven"
