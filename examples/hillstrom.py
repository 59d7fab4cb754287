"""Which e-mail should a customer get, or none? Learn it online on one half of a test, judge it on the other.

The MineThatData e-mail test: 64,000 customers who got, one third each and by lot, an e-mail about men's
merchandise, one about women's, or none; and whether they visited, and what they spent, in the two weeks
after. A salted hash deals the customers into two halves.

*Learning.* One half goes through an ``Agent``, in the order of the file and 500 customers a fortnight.
This is the rejection ("replay") method of Li et al.: the agent decides for every customer, and where it
chose what the customer really got, the outcome is recorded; where it chose something else, nobody knows
what would have come of it, so nothing is learned. The test gave everything by lot and at equal odds, so the
third of the stream that is left is what the agent would have met in production: an unbiased sample on its
own policy, without weights. The alternative, weighing every row by the odds, would use all rows but is not
how an agent meets the world.

*Judging.* The other half, which the agent never saw, says what the learned policy is worth: doubly robust
estimates with the known odds of 1/3 and cross-fitted predictions; likewise for each constant policy and
for a rule that a marketer would write. Differences to the best constant policy are paired, row by row.
That policy is the best one on this very half, which is hindsight: the comparison leans against the learned.

What to expect: the men's e-mail suits nearly everybody, so there is little to gain by choosing. Of visits the
learned policy finds about as many as the best constant one, which nobody told it. Of spend it sees only some
hundred purchases of very different size, too few to learn from. The intervals say both.

    python examples/hillstrom.py [--data FILE] [--seed N] [--swap] [--cost 0.05] [--json]

Sources: Hillstrom 2008, The MineThatData e-mail analytics and data mining challenge. Li, Chu, Langford &
Wang 2011, Unbiased offline evaluation of contextual-bandit-based news article recommendation algorithms,
algorithm 2; ours learns in batches, once a fortnight.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import hashlib
import io
import json
import math
import os
import sys
import zlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import NormalDist
from typing import Any, ClassVar, Self

import attrs
import numpy as np
import numpy.typing as npt

from agentic import NO_ACTION, Action, Agent, F
from agentic.arrays import Batch, Feedback, Proposal, Space
from agentic.evaluation import (
    DR,
    Contributions,
    Estimate,
    Logged,
    Normal,
    cross_fit,
    estimate,
    overlap,
    standard_error,
)
from agentic.features import Category, Flag, Number, Schema
from agentic.policies import EpsilonGreedy, Fixed, LinearThompson, Rules
from agentic.protocols import Policy
from agentic.rewards import Goals

MENS, WOMENS, NO_EMAIL = "mens_email", "womens_email", "no_email"
SEGMENTS = {"Mens E-Mail": MENS, "Womens E-Mail": WOMENS, "No E-Mail": NO_EMAIL}
ODDS = 1.0 / 3.0
NUMBERS = ("recency", "history", "mens", "womens", "newbie", "visit", "spend")
TEXTS = ("zip_code", "channel", "segment")
MISSING = """\
no e-mail test at {file}: pass --data with "MineThatData E-Mail Analytics Challenge" (Kevin Hillstrom, 2008)
as CSV, plain or gzipped, with the columns {columns}"""

BATCH = 500
FORTNIGHT = timedelta(days=14)
START = datetime(2008, 3, 20, 12, 0, tzinfo=UTC)

# Amounts spent spread over two orders of magnitude, so the agent sees their logarithm.
FEATURES = (
    Number("recency", low=1, high=12),
    Number("log_history", low=math.log(20.0), high=math.log(5000.0)),
    Flag("mens"),
    Flag("womens"),
    Flag("newbie"),
    Category("zip_code", ["Urban", "Surburban", "Rural"]),  # the publisher's spelling
    Category("channel", ["Phone", "Web", "Multichannel"]),
)

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class DataError(Exception):
    """The file is not the e-mail test."""


@attrs.frozen
class AmongMailings:
    """A policy kept to what the test could give: the two e-mails and no e-mail.

    Why not ``NO_ACTION`` for no e-mail? Doing nothing needs no exposure: its reward window starts at the
    decision, so where the customer really got an e-mail, doing nothing would be taught a reward of 0 that
    nobody observed. As an action like any other it is exposed where it happened, and forgotten where not.
    """

    name: ClassVar[str] = "among_mailings"
    policy: LinearThompson

    def bind(self, space: Space, /) -> Self:
        return attrs.evolve(self, policy=self.policy.bind(space))

    def learn(self, feedback: Feedback, /) -> Self:
        return attrs.evolve(self, policy=self.policy.learn(feedback))

    def propose(self, batch: Batch, /) -> Proposal:
        could = np.array([action_id != NO_ACTION.id for action_id in batch.action_ids])
        return self.policy.propose(batch.narrow(np.broadcast_to(could, batch.allowed.shape)))


@attrs.frozen(eq=False)
class Customers:
    """The test as columns, n rows each, in the order of the file."""

    context: Mapping[str, npt.NDArray[Any]]  # numbers and texts
    got: npt.NDArray[np.str_]
    visit: Floats
    spend: Floats

    def __len__(self) -> int:
        return len(self.got)

    def take(self, rows: Ints, /) -> Customers:
        context = {name: column[rows] for name, column in self.context.items()}
        return Customers(context, self.got[rows], self.visit[rows], self.spend[rows])


@attrs.frozen(eq=False)
class Question:
    """What is to be earned: how the agent is told, and what each logged row earned."""

    title: str
    goals: Goals
    cost: float
    reward: Floats
    reward_range: tuple[float, float] | None
    policy: LinearThompson


@attrs.frozen(eq=False)
class Answer:
    """What was found for one question."""

    title: str
    decided: int
    learned_from: int
    while_learning: float
    choices: dict[str, float]
    estimates: dict[str, Estimate]
    best_constant: str
    differences: dict[str, tuple[float, float, float]]


def default_file() -> Path:
    shared = os.environ.get("AGENTIC_SHARED") or Path(__file__).resolve().parents[2] / "shared"
    return Path(shared) / "data" / "hillstrom.csv.gz"


def read_text(path: Path) -> str:
    raw = path.read_bytes()
    try:
        return (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
    except (UnicodeDecodeError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"it is neither CSV nor gzipped CSV ({error})") from error


def read_customers(path: Path) -> Customers:
    """Read the test.

    Raises:
        DataError: The file says something else; the message names column and line.
    """
    lines = csv.DictReader(io.StringIO(read_text(path)))
    if lacking := [name for name in (*NUMBERS, *TEXTS) if name not in (lines.fieldnames or ())]:
        raise DataError(f"it lacks the columns {', '.join(lacking)}")
    numbers: dict[str, list[float]] = {name: [] for name in NUMBERS}
    texts: dict[str, list[str]] = {name: [] for name in TEXTS}
    for row in lines:
        for name in NUMBERS:
            try:
                number = float(row[name])
            except (TypeError, ValueError):
                number = math.nan
            if not math.isfinite(number):
                raise DataError(f"line {lines.line_num}: {name} must be a number, got {row[name]!r}")
            numbers[name].append(number)
        for name in TEXTS:
            texts[name].append(row[name])
        if row["segment"] not in SEGMENTS:
            raise DataError(
                f"line {lines.line_num}: segment must be one of {list(SEGMENTS)!r}, got {row['segment']!r}"
            )
    columns: dict[str, npt.NDArray[Any]] = {  # numbers and texts
        **{name: np.array(column) for name, column in numbers.items()},
        **{name: np.array(column, dtype=object) for name, column in texts.items()},
    }
    context = {feature.name: columns[feature.name] for feature in FEATURES if feature.name in columns}
    context["log_history"] = np.log(np.maximum(columns["history"], 1.0))
    got = np.array([SEGMENTS[segment] for segment in texts["segment"]], dtype=np.str_)
    return Customers(context, got, columns["visit"], columns["spend"])


def halves(customers: Customers, seed: int) -> tuple[Ints, Ints]:
    """Deal the rows into two halves by a salted hash of their number, each in the order of the file."""
    side = np.array(
        [hashlib.blake2b(f"{seed}/{row}".encode()).digest()[0] & 1 for row in range(len(customers))]
    )
    parts = np.flatnonzero(side == 0), np.flatnonzero(side == 1)
    for part in parts:
        if lacking := set(SEGMENTS.values()) - set(customers.got[part].tolist()):
            raise DataError(f"there are too few rows: a half of {len(part)} is without {sorted(lacking)!r}")
    return parts


def questions(customers: Customers, cost: float) -> list[Question]:
    sent = customers.got != NO_EMAIL
    return [
        Question(
            title="visits",
            goals=Goals({"visit": 1.0}, window=FORTNIGHT, start="exposure"),
            cost=0.0,
            reward=customers.visit,
            reward_range=(0.0, 1.0),
            # What a feature can change about a visit is small beside chance: a tenth of it, say. A precision
            # of 100 puts the prior standard deviation of coefficients at a tenth of the noise.
            policy=LinearThompson(precision=100.0),
        ),
        Question(
            title=f"spend less {cost:g} per e-mail",
            goals=Goals({"spend": 1.0, "price": -1.0}, window=FORTNIGHT, start="exposure"),
            cost=cost,
            reward=customers.spend - cost * sent,
            reward_range=None,
            # One customer in a hundred buys, for a hundred dollars or so: a feature moves the mean by
            # some hundredths of the noise at best, and giving up on a mailing early is the costliest mistake.
            policy=LinearThompson(precision=1000.0, exploration=1.0),
        ),
    ]


def new_agent(question: Question, seed: int) -> Agent:
    actions = [
        Action(MENS, channel="email", cost=question.cost),
        Action(WOMENS, channel="email", cost=question.cost),
        Action(NO_EMAIL),
    ]
    policy = AmongMailings(question.policy)
    return Agent("hillstrom", actions, features=FEATURES, policy=policy, goals=question.goals, seed=seed)


def learn_online(agent: Agent, question: Question, customers: Customers, rows: Ints) -> Floats:
    """Let the agent live through these rows; return the rewards it was told of."""
    now, told = START, []
    for lo in range(0, len(rows), BATCH):
        these = rows[lo : lo + BATCH]
        seen = customers.take(these)
        decided = agent.decide_many([f"customer-{row}" for row in these], seen.context, now=now)
        agrees = np.flatnonzero(decided.action_ids == seen.got)
        ids = decided.ids
        agent.record_many([ids[row] for row in agrees], "exposed", at=now)
        for goal, amount in (
            ("visit", seen.visit),
            ("spend", seen.spend),
            ("price", np.where(seen.got == NO_EMAIL, 0.0, question.cost)),
        ):
            happened = agrees[amount[agrees] > 0.0]
            if goal in question.goals.values and len(happened):
                # The data say that it happened in the fortnight, not when.
                agent.record_many([ids[row] for row in happened], goal, amount[happened], at=now)
        now += FORTNIGHT
        learned = agent.learn(now=now)
        assert learned.used == len(agrees)
        told.append(question.reward[these[agrees]])
    return np.concatenate(told)


def batch_of(agent: Agent, customers: Customers) -> Batch:
    """Lay the customers out as a policy sees them."""
    n, k = len(customers), len(agent.plan.catalogue)
    schema = Schema.of(FEATURES)
    matrix = schema.gather([""] * n, customers.context, (), 0).matrix
    return Batch(
        catalogue=agent.plan.catalogue,
        keys=np.zeros(n, dtype=np.uint64),
        now=np.zeros(n, dtype=np.int64),
        delivery=np.zeros((n, k), dtype=np.int64),
        zone=np.full(n, -1, dtype=np.int16),
        X=schema.encode(matrix),
        columns=schema.columns(matrix),
        allowed=np.ones((n, k), dtype=np.bool_),
    )


def odds_of(policy: Policy, batch: Batch) -> Floats:
    """Probability of every action for every customer, shape (n, k): the agent has no rules to add."""
    weights = np.where(batch.allowed, policy.propose(batch).weights, 0.0)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True))


def compare(one: Contributions, other: Contributions) -> tuple[float, float, float]:
    """Return the difference of two estimates on the same rows with its 95 % interval."""
    influence = one.influence - other.influence
    margin = NormalDist().inv_cdf(0.975) * standard_error(influence, degrees=one.degrees)
    value = one.value - other.value
    return value, value - margin, value + margin


def answer(question: Question, customers: Customers, train: Ints, held: Ints, seed: int) -> Answer:
    agent = new_agent(question, seed)
    rewards = learn_online(agent, question, customers, train)
    batch = batch_of(agent, customers.take(held))
    constants: dict[str, Policy] = {
        "always men's": Fixed(MENS),
        "always women's": Fixed(WOMENS),
        "never": Fixed(NO_EMAIL),
    }
    learned = agent.policy
    assert isinstance(learned, AmongMailings)
    policies: dict[str, Policy] = {
        "learned": learned,
        "learned, not exploring": EpsilonGreedy(epsilon=0.0, model=learned.policy.model),
        **constants,
        "rule: what they bought": Rules(
            [(F("mens").is_true(), MENS), (F("womens").is_true(), WOMENS)], otherwise=NO_EMAIL
        ),
    }

    # Doing nothing was never given, so no policy here may choose it.
    catalogue = agent.plan.catalogue
    batch = batch.narrow(np.broadcast_to(np.array(catalogue.ids) != NO_ACTION.id, batch.allowed.shape))
    action = np.array([catalogue.column(action_id) for action_id in customers.got[held]])
    logged = Logged(action, question.reward[held], probability=np.full(len(held), ODDS))
    q = cross_fit(batch.X, action, logged.reward, len(catalogue))
    estimates: dict[str, Estimate] = {}
    terms: dict[str, Contributions] = {}
    for name, policy in policies.items():
        target = odds_of(policy, batch)
        estimates[name] = estimate(logged, target, q=q, reward_range=question.reward_range, interval=Normal())
        terms[name] = DR().contribute(overlap(logged, target, q=q))
    best = max(constants, key=lambda name: estimates[name].value)
    return Answer(
        title=question.title,
        decided=len(train),
        learned_from=len(rewards),
        while_learning=float(rewards.mean()),
        choices=dict(zip(catalogue.ids, odds_of(agent.policy, batch).mean(axis=0).tolist(), strict=True)),
        estimates=estimates,
        best_constant=best,
        differences={name: compare(terms[name], terms[best]) for name in policies if name != best},
    )


def as_json(answers: Sequence[Answer], seed: int, cost: float) -> str:
    facts = [
        {
            "question": one.title,
            "decided": one.decided,
            "learned_from": one.learned_from,
            "mean_reward_while_learning": one.while_learning,
            "learned_choices": one.choices,
            "estimates": {
                name: {
                    "value": found.value,
                    "low": found.low,
                    "high": found.high,
                    "standard_error": found.standard_error,
                    "n": found.n,
                    "level": found.level,
                    "method": found.method,
                    "effective_rows": found.diagnostics.effective_rows,
                    "verdict": found.diagnostics.verdict,
                    "reasons": found.diagnostics.reasons,
                }
                for name, found in one.estimates.items()
            },
            "best_constant": one.best_constant,
            "differences_to_best_constant": {
                name: {"value": value, "low": low, "high": high}
                for name, (value, low, high) in one.differences.items()
            },
        }
        for one in answers
    ]
    return json.dumps({"seed": seed, "cost": cost, "answers": facts}, indent=2)


def as_text(answers: Sequence[Answer]) -> str:
    lines: list[str] = []
    head = f"  {'':24}{'value':>8}  {'95 % interval':<20}{'rows':>7}  {'verdict':<8}{'difference':>11}  "
    for one in answers:
        now = ", ".join(f"{name} {share:.0%}" for name, share in one.choices.items() if name != NO_ACTION.id)
        lines += [
            f"{one.title.capitalize()} per customer",
            f"  learned online from {one.learned_from:,} of {one.decided:,} customers, who really got what",
            f"  the agent chose (rejection, Li et al. 2011), earning {one.while_learning:.4f} meanwhile",
            f"  it now chooses {now}",
            f"  worth on the other half (doubly robust, odds 1/3), and against {one.best_constant!r}:",
            "",
            head + "95 % interval",
        ]
        for name, found in one.estimates.items():
            bounds = f"{found.low:.4f} to {found.high:.4f}"
            line = f"  {name:24}{found.value:8.4f}  {bounds:<20}{found.diagnostics.effective_rows:7,.0f}"
            line += f"  {found.diagnostics.verdict:<8}"
            if name in one.differences:
                value, low, high = one.differences[name]
                line += f"{value:+11.4f}  {low:+.4f} to {high:+.4f}"
            lines.append(line.rstrip())
        lines += [
            f"  {name} is {found.diagnostics.verdict}: {reason}"
            for name, found in one.estimates.items()
            for reason in found.diagnostics.reasons
        ]
        lines.append("")
    return "\n".join(lines).rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Learn whom to e-mail online, and judge it off-policy.")
    parser.add_argument("--data", type=Path, default=default_file(), help="the test as CSV, plain or gzipped")
    parser.add_argument("--seed", type=int, default=0, help="of the halves and of the agent's draws")
    parser.add_argument("--swap", action="store_true", help="learn on the other half")
    parser.add_argument("--cost", type=float, default=0.05, help="of one e-mail, in dollars")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    options = parser.parse_args(arguments)
    if not 0.0 <= options.cost < 1e6:
        parser.error(f"--cost must be a price from 0 to 1e6, got {options.cost!r}")
    if not options.data.is_file():
        print(MISSING.format(file=options.data, columns=", ".join((*NUMBERS, *TEXTS))), file=sys.stderr)
        return 2
    try:
        customers = read_customers(options.data)
        train, held = halves(customers, options.seed)
    except (DataError, csv.Error) as error:
        print(f"cannot use {options.data}: {error}", file=sys.stderr)
        return 2
    if options.swap:
        train, held = held, train
    asked = questions(customers, options.cost)
    answers = [answer(one, customers, train, held, options.seed) for one in asked]
    print(as_json(answers, options.seed, options.cost) if options.json else as_text(answers))
    return 0


if __name__ == "__main__":
    sys.exit(main())
