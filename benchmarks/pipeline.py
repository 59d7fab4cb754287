"""What is measured: an agent as an application would have it, and the rows it decides."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from agentic import Action, Agent, ConsentGranted, F, ZoneKnown
from agentic.arrays import Batch, Block, Feedback, Receipt, Space
from agentic.catalogue import Catalogue
from agentic.features import Category, Flag, Number, Schema
from agentic.guardrails import Budget, Consent, FrequencyCap, QuietHours
from agentic.policies import LinearThompson, Rules
from agentic.protocols import Feature, Guardrail, Policy, ProvenanceLog, StateStore
from agentic.provenance import MemoryLog
from agentic.rewards import Goals

NOON: Final = datetime(2026, 3, 2, 12, 0, tzinfo=UTC)
DAY: Final = timedelta(days=1)
APART: Final = 3 * DAY  # decisions of one subject, so that the caps look at sends but leave a choice
ZONES: Final = ("Europe/Berlin", "Europe/London", "Asia/Kolkata")  # none is quiet at noon in UTC
TIERS: Final = ("free", "silver", "gold")
AT_ONCE: Final = 8192  # rows that an agent lays before its policy together


def numbers(d: int = 20) -> tuple[str, ...]:
    return tuple(f"number_{i}" for i in range(d - 5))


def features(d: int = 20) -> tuple[Feature, ...]:
    """Numbers, 3 columns of a category, a flag and the constant: ``d`` columns, at least 6."""
    listed = (Number(name, low=0, high=100) for name in numbers(d))
    return (*listed, Category("tier", TIERS), Flag("app"))


FEATURES: Final[tuple[Feature, ...]] = features()


class CountingLog:
    """Keeps nothing but numbers: a log for measuring what else takes memory."""

    def __init__(self) -> None:
        self.count = 0

    def append(self, block: Block, /) -> Receipt:
        first = self.count
        self.count += len(block)
        return Receipt(first, len(block))

    def read(self, after: int = 0, /) -> Iterator[tuple[Receipt, Block]]:
        return iter(())


class RecentLog:
    """A log in memory that is emptied between measurements: otherwise they would fill the machine."""

    def __init__(self) -> None:
        self.inner = MemoryLog()

    def append(self, block: Block, /) -> Receipt:
        return self.inner.append(block)

    def read(self, after: int = 0, /) -> Iterator[tuple[Receipt, Block]]:
        return self.inner.read(after)

    def empty(self) -> None:
        self.inner = MemoryLog()


def actions(k: int) -> list[Action]:
    """Candidates that make ``k`` together with doing nothing."""
    channels = (("email", 0.01), ("sms", 0.12), ("push", 0.0))
    return [
        Action(f"action_{i:03}", channel=channels[i % 3][0], cost=channels[i % 3][1]) for i in range(k - 1)
    ]


def factored(k: int) -> list[Action]:
    """Candidates that make ``k`` together with doing nothing: a product of channel, offer and message."""
    channels = (("email", 0.01), ("sms", 0.12), ("push", 0.0))
    offers = ("none", "points", "voucher", "shipping")
    messages = [f"message_{i}" for i in range(-(-k // (len(channels) * len(offers))))]
    product = itertools.islice(itertools.product(messages, offers, channels), k - 1)
    return [
        Action(
            f"{message}.{offer}.{channel}",
            channel=channel,
            cost=cost,
            dimensions={"message": message, "offer": offer, "channel": channel},
        )
        for message, offer, (channel, cost) in product
    ]


def rules(ids: Sequence[str]) -> Rules:
    """The most frugal policy that still looks: three conditions."""
    return Rules(
        [(F("number_0") > 80, ids[0]), (F("tier") == "gold", ids[1]), (F("number_1") < 20, ids[2])],
        otherwise=ids[3],
    )


def context(n: int, seed: int = 0, d: int = 20) -> dict[str, Any]:  # columns of any kind
    """Features of ``n`` subjects, by column."""
    dice = np.random.default_rng(seed)
    columns: dict[str, Any] = {name: dice.uniform(0, 100, n) for name in numbers(d)}
    columns["tier"] = [TIERS[i] for i in dice.integers(0, len(TIERS), n).tolist()]
    columns["app"] = dice.random(n) < 0.5
    return columns


def some(columns: dict[str, Any], index: npt.NDArray[np.int64]) -> dict[str, Any]:
    """These rows of the columns."""
    places = index.tolist()
    return {
        name: column[index] if isinstance(column, np.ndarray) else [column[i] for i in places]
        for name, column in columns.items()
    }


def single(columns: dict[str, Any], row: int) -> dict[str, Any]:
    """One row as an application would have it: plain Python values."""
    return {
        name: column[row].item() if isinstance(column, np.ndarray) else column[row]
        for name, column in columns.items()
    }


@functools.lru_cache(maxsize=64)
def _space(k: int, d: int, product: bool) -> Space:
    schema = Schema.of(features(d))
    catalogue = Catalogue.of(factored(k) if product else actions(k))
    return Space(catalogue, schema.width, schema.encoded, schema.fields, dict(schema.categories))


def space(k: int, d: int = 20, *, product: bool = False) -> Space:
    return _space(k, d, product)


def encoded(n: int, seed: int = 0, d: int = 20) -> npt.NDArray[np.float64]:
    """The same features as a policy sees them, shape (n, d)."""
    schema = Schema.of(features(d))
    return schema.encode(schema.gather([""] * n, context(n, seed, d), (), 0).matrix)


def batch(n: int, k: int, *, product: bool = False) -> Batch:
    """Rows for a bare policy: nobody is denied anything."""
    schema = Schema.of(FEATURES)
    matrix = schema.gather([""] * n, context(n), (), 0).matrix
    zeros = np.zeros(n, dtype=np.int64)
    return Batch(
        catalogue=space(k, product=product).catalogue,
        keys=np.arange(n, dtype=np.uint64),
        now=zeros,
        delivery=np.broadcast_to(zeros[:, None], (n, k)),
        zone=np.full(n, -1, dtype=np.int16),
        X=schema.encode(matrix),
        columns=schema.columns(matrix),
        allowed=np.ones((n, k), dtype=np.bool_),
    )


def feedback(n: int, k: int, seed: int = 1, d: int = 20, *, product: bool = False) -> Feedback:
    """Rewards of actions taken by lot, one in ten; each action suits other subjects."""
    dice = np.random.default_rng(seed)
    X, action = encoded(n, seed, d), dice.integers(0, k, n)
    taste = dice.normal(0, 0.03, (k, X.shape[1]))
    reward = (dice.random(n) < 0.1 + np.einsum("nd,nd->n", X, taste[action])).astype(np.float64)
    return Feedback(
        catalogue=space(k, d, product=product).catalogue,
        X=X,
        action=action,
        reward=reward,
        probability=np.full(n, 1.0 / k),
        allowed=np.ones((n, k), dtype=np.bool_),
        keys=np.arange(n, dtype=np.uint64),
        at=np.zeros(n, dtype=np.int64),
    )


def names(n: int, start: int = 0) -> list[str]:
    return [f"c{i}" for i in range(start, start + n)]


def taught(policy: Policy, k: int, rows: int, d: int = 20, *, product: bool = False) -> Policy:
    """The policy, bound, with what it learns from this many rewards where it learns at all."""
    bind = getattr(policy, "bind", None)
    bound: Policy = policy if bind is None else bind(space(k, d, product=product))
    learn = getattr(bound, "learn", None)
    if learn is None:
        return bound
    learned: Policy = learn(feedback(rows, k, d=d, product=product))
    return learned


def house_rules() -> list[Guardrail]:
    """Consent, two caps, quiet hours and a budget."""
    return [
        Consent("marketing"),
        FrequencyCap(3, per=7 * DAY),
        FrequencyCap(1, per=DAY, each="channel"),
        QuietHours("21:00", "09:00"),
        Budget(1e9),
    ]


def agent(
    k: int = 10,
    *,
    log: ProvenanceLog | None = None,
    goals: Goals | None = None,
    trained_on: int = 20_000,
    policy: Policy | None = None,
    store: StateStore | None = None,
    guardrails: Sequence[Guardrail] | None = None,
    d: int = 20,
    product: bool = False,
) -> Agent:
    """The full pipeline: consent, two caps, quiet hours, a budget, and a policy that has learned.

    Args:
        k: Candidates, with doing nothing.
        log: In memory by default.
        goals: None by default.
        trained_on: Rewards that the policy has seen.
        policy: Thompson sampling by default.
        store: In memory by default; agents of this function may share one.
        guardrails: Instead of the five.
        d: Columns of the encoded features.
        product: Candidates are a product of dimensions.
    """
    return Agent(
        "benchmark",
        factored(k) if product else actions(k),
        features=features(d),
        policy=taught(LinearThompson() if policy is None else policy, k, trained_on, d, product=product),
        guardrails=house_rules() if guardrails is None else guardrails,
        goals=goals,
        log=log,
        store=store,
    )


def introduce(agent: Agent, subjects: list[str], numbers: npt.NDArray[np.int64] | None = None) -> None:
    """Tell the agent what it must know before it may send anything.

    Args:
        agent: Whom to tell.
        subjects: Of whom.
        numbers: Decide the zone of each; their places by default.
    """
    agent.tell_many(subjects, ConsentGranted("marketing"), now=NOON)
    turn = np.arange(len(subjects)) if numbers is None else numbers
    for i, zone in enumerate(ZONES):
        there = np.flatnonzero(turn % len(ZONES) == i).tolist()
        if there:
            agent.tell_many([subjects[j] for j in there], ZoneKnown(zone), now=NOON)


@attrs.define
class Crowd:
    """Everybody who is known; each call is for the next of them, three days after the call before.

    Ids are strings of their own each time, as they come out of a file or a request.
    """

    subjects: list[str]
    order: npt.NDArray[np.int64]
    columns: dict[str, Any]
    calls: int = 0

    @classmethod
    def of(cls, known: int, at_once: int) -> Crowd:
        """So many, with features for as many as are asked for at once."""
        order = np.random.default_rng(7).permutation(known)
        return cls(names(known), order, context(at_once))

    def next(self, n: int, *, shuffled: bool = False) -> dict[str, Any]:
        """Arguments of ``decide_many`` for the next ``n``: as they became known, or in any order."""
        at = (np.arange(n) + self.calls * n) % len(self.order)
        self.calls += 1
        return {
            "subjects": [f"c{i}" for i in (self.order[at] if shuffled else at).tolist()],
            "context": {name: column[:n] for name, column in self.columns.items()},
            "now": NOON + self.calls * APART,
        }
