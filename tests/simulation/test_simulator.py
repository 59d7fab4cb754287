"""The simulator is fair, its truth is what it draws, and no rule is broken in it."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from agentic import Action, Agent, ConsentWithdrawn, product
from agentic.errors import ConfigurationError, EvaluationError
from agentic.evaluation import DR, SNIPW, Estimator, evaluate, joined
from agentic.features import Number
from agentic.guardrails import Consent
from agentic.policies import Fixed, LinearThompson, Uniform
from agentic.privacy import fact_of
from agentic.rewards import Goals
from agentic.simulation import Simulated, World, campaign, contact_policy, one_step_value, playbook, simulate

HOUR = 3_600_000_000
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
ALWAYS = {
    "reminder/push/evening": 1.0,
    "voucher/email/morning": 1.0,
    "new_arrivals/push/evening": 1.0,
}


def log_of(agent: Agent) -> dict[str, Any]:
    """All logged decisions as columns, as anybody could read them."""
    blocks = [block.columns for _, block in agent.log.read() if block.kind == "decision"]
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}


@pytest.fixture(scope="module")
def learned() -> tuple[Agent, World, Simulated]:
    """Four weeks of the stock campaign, with learning and a busy calendar."""
    agent, world = campaign(customers=1500, seed=5)
    return agent, world, simulate(agent, world, weeks=4, decisions_per_week=4.0)


@pytest.fixture(scope="module")
def sent(learned: tuple[Agent, World, Simulated]) -> list[dict[str, Any]]:
    """Every send of that log, with its delivery time worked out anew from the catalogue and the calendar."""
    agent, world, _ = learned
    log, catalogue = log_of(agent), agent.plan.catalogue
    row = {subject: i for i, subject in enumerate(world.subjects)}
    zone = [ZoneInfo(name) for name in ("Asia/Kolkata", "America/New_York", "Europe/London", "Europe/Berlin")]
    found = []
    for i in np.flatnonzero(log["action"][:, 0] != catalogue.idle).tolist():
        action, subject = catalogue.actions[log["action"][i, 0]], log["subject"][i]
        where = zone[world.country[row[subject]]]
        local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=int(log["at"][i]))).astimezone(
            where
        )
        if action.send_at is not None:
            hour, minute = map(int, action.send_at.split(":"))
            there = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
            local = there if there >= local else there + timedelta(days=1)
        found.append(
            {
                "row": row[subject],
                "action": action,
                "at": int(log["at"][i]),
                "local": local,
                "arm": int(log["arm"][i]),
                "zone_known": log["zone"][i] >= 0,
            }
        )
    return found


def marketing(sent: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    by_row = defaultdict(list)
    for one in sent:
        if one["action"].message_class == "marketing":
            by_row[one["row"]].append(one)
    return by_row


def test_same_seed_same_log_and_same_value() -> None:
    """Two simulations of the same seed are the same in every column but the time they took."""
    logs, values = [], []
    for _ in range(2):
        agent, world = campaign(customers=150, seed=3)
        values.append(simulate(agent, world, weeks=1).value)
        logs.append(log_of(agent))
    for name in logs[0].keys() - {"compute_us"}:
        np.testing.assert_array_equal(logs[0][name], logs[1][name], err_msg=name)
    np.testing.assert_array_equal(*values)


def test_another_seed_is_another_world() -> None:
    """Customers, their turns and their answers change with the seed."""
    first, second = World.of(200, seed=1), World.of(200, seed=2)
    assert not np.array_equal(first.thrift, second.thrift)
    assert not np.array_equal(first.visitors(0, per_week=7)[0], second.visitors(0, per_week=7)[0])


def test_a_small_world_is_the_beginning_of_a_large_one() -> None:
    """More customers of the same seed leave the first ones as they are."""
    small, large = World.of(50, seed=4), World.of(80, seed=4)
    assert small.subjects == large.subjects[:50]
    for name in ("tier", "thrift", "favourite", "hour", "basket", "agrees", "bought_days"):
        np.testing.assert_array_equal(getattr(small, name), getattr(large, name)[:50])


def test_luck_does_not_depend_on_what_is_decided() -> None:
    """Two agents meet the same customers at the same times; who is held out fares the same with both."""
    runs = []
    for policy in (Uniform(), playbook()):
        agent, world = campaign(policy, customers=600, seed=6, holdout=0.4)
        simulated = simulate(agent, world, weeks=2)
        runs.append((log_of(agent), simulated))
    (one, first), (other, second) = runs
    np.testing.assert_array_equal(first.now, second.now)
    np.testing.assert_array_equal(first.moment.row, second.moment.row)
    np.testing.assert_array_equal(one["arm"], other["arm"])
    held_out = np.unique(first.moment.row[one["arm"] == 1])
    assert len(held_out) > 200
    np.testing.assert_array_equal(first.value[held_out], second.value[held_out])
    assert (first.value != second.value).any()


def test_the_truth_is_what_is_drawn() -> None:
    """Logged rewards average what the closed form expects of the chosen actions, within four errors.

    This ties the draws, their delays, what is lost or late, the ledger and the join to one formula.
    """
    agent, world = campaign(Uniform(), customers=4000, seed=8, holdout=0.2)
    simulated = simulate(agent, world, weeks=1)
    rows = joined(agent)
    assert len(rows) == len(simulated.position)
    for send in (False, True):
        part = rows.take((rows.action != rows.catalogue.idle) == send)
        decision = np.searchsorted(simulated.position, part.position)
        expected = np.empty(len(part))
        for now in np.unique(simulated.now):
            here = np.flatnonzero(simulated.now[decision] == now)
            table = simulated.expected(agent.goals, rows.catalogue, decision[here])  # type: ignore[arg-type]
            expected[here] = table[np.arange(len(here)), part.action[here]]
        gap = part.reward - expected
        assert abs(gap.mean()) < 4.0 * gap.std() / np.sqrt(len(gap))


def test_the_holdout_gets_nothing_but_what_is_mandatory(sent: list[dict[str, Any]]) -> None:
    """Customers held out are sent the recall notice and nothing else."""
    assert all(one["action"].id == "recall_notice" for one in sent if one["arm"] == 1)
    assert any(one["arm"] == 0 for one in sent)


def test_every_customer_with_a_recalled_product_is_told_once(
    learned: tuple[Agent, World, Simulated], sent: list[dict[str, Any]]
) -> None:
    """From the second week on the notice goes to whoever is decided for, whatever their consent or arm."""
    _, world, simulated = learned
    told = [one["row"] for one in sent if one["action"].id == "recall_notice"]
    due = simulated.moment.row[simulated.now >= simulated.now[0] // DAY * DAY + 7 * DAY]
    assert sorted(told) == sorted(set(np.flatnonzero(world.recalled).tolist()) & set(due.tolist()))
    assert told


def test_caps_and_rest_hold_between_deliveries(sent: list[dict[str, Any]]) -> None:
    """No seven days hold three deliveries or two text messages, and 36 hours lie between any two."""
    week, counted = timedelta(days=7), 0
    for sends in marketing(sent).values():
        times = sorted(one["local"].astimezone(UTC) for one in sends)
        texts = sorted(one["local"].astimezone(UTC) for one in sends if one["action"].channel == "sms")
        assert all(later - earlier >= timedelta(hours=36) for earlier, later in pairwise(times))
        assert all(later - earlier >= week for earlier, later in zip(times, times[2:], strict=False))
        assert all(later - earlier >= week for earlier, later in pairwise(texts))
        counted += len(times)
    assert counted > 2000


def test_nobody_is_woken(sent: list[dict[str, Any]]) -> None:
    """No marketing arrives between 21:00 and 08:00 on the customer's own clock, summer time or not."""
    hours = [one["local"].hour for sends in marketing(sent).values() for one in sends]
    assert min(hours) >= 8
    assert max(hours) < 21
    assert all(one["zone_known"] for sends in marketing(sent).values() for one in sends)


def test_consent_holds_from_the_moment_it_is_withdrawn(
    learned: tuple[Agent, World, Simulated], sent: list[dict[str, Any]]
) -> None:
    """Nobody is written to without consent, by text message against their wish, or after unsubscribing."""
    agent, world, simulated = learned
    row = {subject: i for i, subject in enumerate(world.subjects)}
    withdrawn: dict[int, int] = {}
    for _, block in agent.log.read():
        if block.kind == "fact" and block.meta["fact"] == "consent_withdrawn":
            columns = (block.columns[name].tolist() for name in ("subject", "at", "fact"))
            for subject, at, fact in zip(*columns, strict=True):
                if fact_of(fact) == ConsentWithdrawn("marketing"):
                    withdrawn.setdefault(row[subject], at)
    start = int(simulated.now[0]) // DAY * DAY
    later = {who for who, at in withdrawn.items() if at > start}
    assert len(later) > 20
    for who, sends in marketing(sent).items():
        assert world.agrees[who]
        assert all(one["at"] < withdrawn.get(who, one["at"] + 1) for one in sends)
        assert not any(one["action"].channel == "sms" for one in sends) or not world.refuses_sms[who]
        assert not world.complains[who] or all(one["at"] >= start + 20 * DAY for one in sends)


def test_no_week_costs_more_than_its_budget(
    learned: tuple[Agent, World, Simulated], sent: list[dict[str, Any]]
) -> None:
    """Marketing costs add up to at most the budget in every week, and to nearly all of it in some."""
    spent: dict[int, float] = defaultdict(float)
    for sends in marketing(sent).values():
        for one in sends:
            spent[one["at"] // (7 * DAY)] += one["action"].cost
    assert max(spent.values()) <= 0.012 * 1500 + 1e-9
    assert max(spent.values()) > 0.012 * 1500 * 0.9


def test_every_decision_of_a_simulation_replays(learned: tuple[Agent, World, Simulated]) -> None:
    """Weeks of learning later, every decision is recomputed from the log, bit for bit."""
    assert learned[0].replay().identical


def test_what_is_late_lost_or_double_changes_nothing(learned: tuple[Agent, World, Simulated]) -> None:
    """Outcomes come double and when books are closed; they are refused, and no window stays open."""
    agent, _, simulated = learned
    assert simulated.recorded["counted"] > 20 * simulated.recorded["duplicate"] > 0
    assert simulated.recorded["closed"] > 0
    assert agent.pending == 0


def test_learning_pays_against_doing_nothing() -> None:
    """The same customers are worth more with the learned policy than with none, by four standard errors."""
    values = []
    for policy in (LinearThompson(), Fixed("no_action")):
        agent, world = campaign(
            policy, customers=1000, seed=9, holdout=0.0, random_control=0.0, exploration_floor=0.0
        )
        values.append(simulate(agent, world, weeks=4).value)
    gain = values[0] - values[1]
    assert gain.mean() > 4.0 * gain.std() / np.sqrt(len(gain))


def test_greed_is_punished_in_the_long_run() -> None:
    """An agent without caps that always sends starts better than one with caps, and ends far behind it.

    Customers and luck are the same: they tire, lose trust, unsubscribe and leave.
    """
    results = []
    for policy, guardrails in ((None, contact_policy(400)), (Fixed(ALWAYS), [Consent("marketing")])):
        agent, world = campaign(
            policy, customers=400, seed=2, guardrails=guardrails, holdout=0.0, random_control=0.0
        )
        simulated = simulate(agent, world, weeks=5, decisions_per_week=7.0)
        results.append((simulated, joined(agent)))
    (capped, calm), (greedy, rash) = results
    gap = capped.value - greedy.value
    assert gap.mean() > 4.0 * gap.std() / np.sqrt(len(gap))
    assert greedy.contacts.sum() > capped.contacts.sum()
    assert greedy.gone.mean() > 3 * capped.gone.mean()
    assert greedy.trust.mean() < capped.trust.mean()
    first, last = rash.at < rash.at[0] + 2 * DAY, rash.at > rash.at[-1] - 7 * DAY
    assert rash.reward[first].mean() > calm.reward[calm.at < calm.at[0] + 2 * DAY].mean()
    assert rash.reward[last].mean() < calm.reward[calm.at > calm.at[-1] - 7 * DAY].mean()


def test_the_truth_of_the_policy_in_charge_is_near_what_it_earned() -> None:
    """A policy that never changes is worth, one step ahead, what its own decisions earned on average."""
    agent, world = campaign(Uniform(), customers=3000, seed=12, holdout=0.0)
    simulated = simulate(agent, world, weeks=1)
    rows = joined(agent)
    error = rows.reward.std() / np.sqrt(len(rows))
    assert abs(one_step_value(agent, Uniform(), simulated, rows) - rows.reward.mean()) < 4.0 * error


@pytest.fixture(scope="module")
def clicks() -> tuple[Agent, Simulated]:
    """A busy week in which every outcome is worth about the same, so that many rows carry the spread."""
    agent = Agent(
        "clicks",
        product({"message": ["voucher", "new_arrivals", "reminder"], "channel": ["email", "push"]}),
        features=[Number("days_since_purchase", low=0, high=120), Number("discount_share", low=0, high=1)],
        policy=Uniform(),
        goals=Goals({"click": 1.0, "purchase": 0.02, "unsubscribe": -1.0}, window=timedelta(hours=72)),
        seed=100,
    )
    return agent, simulate(agent, World.of(24_000, seed=100), weeks=1)


@pytest.mark.parametrize("estimator", [DR(), SNIPW()], ids=lambda one: one.name)
def test_intervals_hold_the_one_step_truth(clicks: tuple[Agent, Simulated], estimator: Estimator) -> None:
    """Off-policy intervals at 95 % hold the truth for at least 88 of 100 separate crowds of 240 customers.

    If each held it with probability 0.95, fewer than 88 would with probability 0.0015; if only with 0.8, at
    least 88 would with probability 0.025. The errors, in units of the standard error, average to less
    than 3 / sqrt(100).
    """
    agent, simulated = clicks
    rows = joined(agent)
    other = Fixed({"reminder/email": 2.0, "voucher/email": 1.0, "new_arrivals/push": 1.0})
    held, errors = 0, []
    for crowd in range(100):
        part = rows.take(rows.key % np.uint64(100) == crowd)
        found = evaluate(agent, other, rows=part, estimator=estimator)
        truth = one_step_value(agent, other, simulated, part)
        held += found.low <= truth <= found.high
        errors.append((found.value - truth) / found.standard_error)
    assert held >= 88
    assert abs(np.mean(errors)) < 3.0 / np.sqrt(100)


def test_any_catalogue_can_be_simulated() -> None:
    """Messages and channels the world has never heard of work, and so does an agent without guardrails."""
    actions = [
        Action("a_letter", channel="post", cost=0.8, delay=timedelta(days=1)),
        Action("a_word"),
        Action("an_offer", channel="sms", send_at="12:00"),
        Action("a_bill", channel="email", message_class="transactional"),
    ]
    agent = Agent(
        "other",
        actions,
        features=[Number("recent_contacts", low=0, high=4)],
        policy=Uniform(),
        goals=Goals({"purchase": 1.0}, window=timedelta(hours=48), start="exposure"),
    )
    ticks: list[tuple[int, int]] = []
    simulated = simulate(
        agent, World.of(300, seed=1), weeks=1, progress=lambda done, total: ticks.append((done, total))
    )
    assert agent.pending == 0
    assert set(simulated.recorded) >= {"counted"}
    assert ticks[-1][0] == ticks[-1][1] == len(ticks)
    assert simulated.contacts.sum() == (log_of(agent)["action"] != agent.plan.catalogue.idle).sum()


def test_the_expected_reward_is_only_known_for_plain_sums(learned: tuple[Agent, World, Simulated]) -> None:
    """Other goals, other times and no rows are refused rather than answered wrongly."""
    agent, _, simulated = learned
    terminal = Goals({"purchase": 1.0}, window=timedelta(hours=1), terminal=["purchase"])
    with pytest.raises(EvaluationError, match="sum up"):
        simulated.expected(terminal, agent.plan.catalogue, np.array([0]))
    assert agent.goals is not None
    with pytest.raises(EvaluationError, match="one time"):
        simulated.expected(agent.goals, agent.plan.catalogue, np.array([0, len(simulated.now) - 1]))
    with pytest.raises(EvaluationError, match="got none"):
        one_step_value(agent, Uniform(), simulated, joined(agent).take(np.zeros(0, np.int64)))


def test_a_catalogue_without_text_messages_can_be_simulated() -> None:
    """Consent to a channel that no action uses is told to nobody."""
    agent = Agent(
        "letters",
        [Action("letter", channel="post")],
        policy=Uniform(),
        guardrails=[Consent("marketing")],
        goals=Goals({"purchase": 1.0}, window=timedelta(hours=24)),
    )
    simulated = simulate(agent, World.of(100, seed=1), weeks=1)
    assert simulated.contacts.sum() > 0
    assert agent.pending == 0


@pytest.mark.parametrize("customers", [0, -5, 2.0, True, 10**7, "12"])
def test_a_world_has_a_whole_number_of_customers(customers: Any) -> None:
    """Anything but a count from 1 to two million is refused with the value."""
    with pytest.raises(ConfigurationError, match="customers must be a whole number"):
        World.of(customers)


def test_a_seed_is_an_integer() -> None:
    """A seed that is not one is refused."""
    with pytest.raises(ConfigurationError, match="seed must be an integer"):
        World.of(10, seed=1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"weeks": 0}, "weeks must be"),
        ({"weeks": True}, "weeks must be"),
        ({"weeks": 1, "decisions_per_week": 0.0}, "decisions_per_week"),
        ({"weeks": 1, "decisions_per_week": 8.0}, "decisions_per_week"),
        ({"weeks": 1, "start": datetime(2026, 1, 1, 1, tzinfo=UTC)}, "midnight"),
    ],
)
def test_arguments_of_a_simulation_are_checked(arguments: dict[str, Any], message: str) -> None:
    """What cannot be simulated is said before anything is decided."""
    agent, world = campaign(customers=5)
    with pytest.raises(ConfigurationError, match=message):
        simulate(agent, world, **arguments)
    assert not list(agent.log.read())


def test_an_agent_without_goals_cannot_be_simulated() -> None:
    """There is nothing to learn from, and nothing to report."""
    with pytest.raises(ConfigurationError, match="needs goals"):
        simulate(Agent("mute", [Action("a")]), World.of(5), weeks=1)
