"""Is it worth having: five standing questions about an agent, answered from its own log."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import attrs
import numpy as np

from agentic._codec import fingerprint
from agentic._flow import ARMS, COMPARED
from agentic._offpolicy import UNSUPPORTED, reject
from agentic._plan import bind, fields_of
from agentic.errors import CodecError, EvaluationError
from agentic.evaluation import Joined, joined
from agentic.experiments._difference import UNPROVEN, Difference, check_level
from agentic.experiments._guardrail_price import WEAK, GuardrailPrice, guardrail_prices
from agentic.experiments._increment import UNREADABLE, plain
from agentic.experiments._multiple import holm
from agentic.experiments._paired import Ahead, ahead_of, predicted
from agentic.experiments._ratios import Ratio, ratio_difference
from agentic.experiments._samples import SampleRatio, sample_ratio
from agentic.experiments._worth import Contrast, Deciding, by_arm, by_side
from agentic.policies import Split
from agentic.protocols import Learner, Policy

FEWEST: Final = 30
"""Subjects of a group with fewer are too few for the delta method."""
_NONE: Final = "    none, or of a policy that keeps something of each subject it cannot be told"
AHEAD, BEHIND, UNANSWERED = "ahead", "behind", "cannot be answered"


@attrs.frozen
class Answer:
    """Says by how much the agent is ahead of something, per decision, in money net of messages.

    Attributes:
        question: In words.
        value: How much it is ahead; NaN where that cannot be said.
        low: Lower bound.
        high: Upper bound.
        standard_error: Of the value.
        p_value: Two-sided; 1 where there is no answer.
        level: Share of samples in which the bounds are to hold.
        verdict: ``"ahead"``, ``"behind"``, ``"no difference proven"``, ``"weak"`` (see the
            notes), ``"insufficient support"``, ``"do not read"`` or ``"cannot be answered"``.
        how: By which data and method.
        notes: What to keep in mind, or what to set so that it can be answered.
    """

    question: str
    value: float
    low: float
    high: float
    standard_error: float
    p_value: float
    level: float
    verdict: str
    how: str
    notes: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        """Whether there is a number."""
        return math.isfinite(self.value)

    def __str__(self) -> str:
        if not self.answered:
            line = f"{self.question}: {self.verdict}"
        else:
            line = (
                f"{self.question}: {self.value:+.6g} per decision ({100 * self.level:.4g}% interval"
                f" {self.low:+.6g} to {self.high:+.6g}, p = {self.p_value:.3g}; {self.how}): {self.verdict}"
            )
        return "\n".join([line, *(f"    {note}" for note in self.notes)])


@attrs.frozen
class StandingAnswers:
    """Holds the answers to the five standing questions. ``str`` of it is the report.

    Attributes:
        random: Against choosing at random among what the rules allow.
        nothing: Against no messages.
        rules: Against the rules alone.
        champion: The challenger against the champion, or the agent against an earlier policy.
        guardrails: What each guardrail costs.
        check: Whether the arms are as large as planned; ``None`` where there is one arm only.
        decisions: Of the policy arm, with final rewards.
    """

    random: Answer
    nothing: Answer
    rules: Answer
    champion: Answer
    guardrails: tuple[GuardrailPrice, ...]
    check: SampleRatio | None
    decisions: int

    @property
    def adjusted(self) -> Mapping[str, float]:
        """All p-values that there are, by name, corrected for how many were asked (Holm)."""
        asked = {
            name: found.p_value
            for name, found in (
                ("random", self.random),
                ("nothing", self.nothing),
                ("rules", self.rules),
                ("champion", self.champion),
            )
            if found.answered
        }
        asked |= {f"guardrail {one.name}": one.p_value for one in self.guardrails if math.isfinite(one.price)}
        if not asked:
            return {}
        return dict(zip(asked, holm(list(asked.values())).tolist(), strict=True))

    def __str__(self) -> str:
        many = f"{self.decisions:,} decisions of the policy"
        lines = [f"five standing questions, {many}; all of it net of the price of messages"]
        if self.check is not None:
            lines.append(f"  arms: {self.check}")
        lines += [f"  {one}" for one in (self.random, self.nothing, self.rules, self.champion)]
        lines.append("  what each guardrail costs (one step: what more messages do later is not in it):")
        lines += [f"    {one}" for one in self.guardrails] or [_NONE]
        notes = dict.fromkeys(note for one in self.guardrails for note in one.notes)
        lines += [f"    {note}" for note in notes]
        adjusted = ", ".join(f"{name} {p:.3g}" for name, p in self.adjusted.items())
        if adjusted:
            lines.append(f"  p-values corrected for all of these (Holm): {adjusted}")
        return "\n".join(lines)

    @property
    def facts(self) -> dict[str, Any]:  # JSON-compatible
        """The same as JSON-compatible values; what is not finite is ``None``."""
        out: dict[str, Any] = plain(attrs.asdict(self) | {"adjusted": dict(self.adjusted)})
        return out


def standing_questions(
    agent: Deciding,
    /,
    *,
    rules: Policy | None = None,
    champion: Policy | None = None,
    untaught: Learner | None = None,
    value: float = 1.0,
    level: float = 0.95,
    rows: Joined | None = None,
    folds: int = 2,
    seed: int = 0,
) -> StandingAnswers:
    """Answer from one always-on randomisation whether an agent is worth having, and what its rules cost.

    Against random and against no messages other subjects are compared: those of ``random_control`` and of the
    holdout, as chance parted them, with all that followed from treating them so for as long as it lasted. The
    rules and an earlier policy are valued off-policy, in the very states in which the agent decided: a
    one-step counterfactual, as of ``evaluate``. So is each guardrail's price: rewards of what it struck out
    are predicted from where it did not, and what more messages would do to customers later is not in it.
    What consent, suppression and the kill switch forbid has no price.

    Args:
        agent: Whose log it is.
        rules: The rules alone, such as ``Rules([...])``; where the holdout is decided by the very same, they
            are compared directly.
        champion: An earlier policy; not asked where a ``Split`` is in charge: then its sides are compared.
        untaught: The policy in charge as it was before it learned anything. Prices of guardrails are then
            those of this policy taught on a third of the subjects, with rewards learned from another third,
            judged by the rest, each in turn. Without it a policy that learned from these decisions is
            priced as it is, and prices look higher than they are.
        value: Money for one unit of reward; 1 where rewards are money.
        level: Share of samples in which the bounds of one answer are to hold, in (0, 1); ``adjusted``
            corrects for several.
        rows: By which decisions; by default all that have a final reward.
        folds: Parts of the subjects for the reward model.
        seed: Of the parts.

    Raises:
        EvaluationError: No decision of the policy arm has a final reward, or an argument is out of range.
        ConfigurationError: A policy does not fit the agent.
    """
    check_level(level)
    if not math.isfinite(value):
        reject("value", None, value, "a finite number", "say what one unit of reward is worth in money")
    found = joined(agent) if rows is None else rows
    mine = found.of(["policy"])
    mine.logged()  # refuses an empty log
    net = attrs.evolve(found, reward=value * found.reward - found.cost)
    own = net.of(["policy"])
    q = predicted(agent, net, (net.arm == ARMS.index("policy")).nonzero()[0], folds=folds, seed=seed)
    check = _check(agent, found)
    asker = _Asker(agent, net, own, q, level, check)
    in_charge = agent.policy
    prices: tuple[GuardrailPrice, ...] = ()
    if not fields_of(bind(in_charge, agent.plan.space)):
        prices = guardrail_prices(agent, in_charge, net, q, untaught=untaught, level=level, seed=seed)
    return StandingAnswers(
        asker.arm("against random", "random_control"),
        asker.nothing(),
        asker.rules(rules),
        asker.champion(in_charge, champion),
        prices,
        check,
        len(own),
    )


def _check(agent: Deciding, rows: Joined) -> SampleRatio | None:
    plan = agent.plan
    shares = [1.0 - plan.holdout - plan.random_control, plan.holdout, plan.random_control]
    counts = [len(np.unique(rows.key[rows.arm == ARMS.index(arm)])) for arm in COMPARED]
    there = [place for place, share in enumerate(shares) if share > 0.0]
    if len(there) < 2:
        return None
    return sample_ratio([counts[i] for i in there], [shares[i] for i in there])


@attrs.frozen(eq=False)
class _Asker:
    """Asks the four questions about who decides."""

    agent: Deciding
    net: Joined  # rewards less messages
    own: Joined  # of the policy arm
    q: Any  # F64; predicted reward of every action, for ``own``
    level: float
    check: SampleRatio | None

    def arm(self, question: str, arm: str, notes: tuple[str, ...] = ()) -> Answer:
        """The policy arm against another, directly."""
        if not getattr(self.agent.plan, arm) > 0.0:
            return self._unanswered(question, f"nobody is in the arm: set {arm}=0.05, or so")
        if not (self.net.arm == ARMS.index(arm)).any():
            return self._unanswered(question, f"no decision of {arm} has a final reward yet: wait")
        return self._direct(question, by_arm(self.agent, "policy", arm, rows=self.net), notes)

    def nothing(self) -> Answer:
        """Against no messages: the holdout, if it gets none."""
        held = self.net.of(["holdout"])
        catalogue = self.agent.plan.catalogue
        sent = (held.action != catalogue.idle) & ~catalogue.mandatory[held.action]
        if sent.any():
            note = (
                f"the holdout gets messages by its control policy ({sent.mean():.1%} of its decisions):"
                " leave control out to compare with none"
            )
            return self._unanswered("against no messages", note)
        return self.arm("against no messages", "holdout")

    def rules(self, rules: Policy | None) -> Answer:
        """Against the rules alone: directly where the holdout has them, else off-policy."""
        question = "against the rules alone"
        if rules is None:
            return self._unanswered(question, "pass rules=..., such as Rules([...])")
        if self.agent.plan.holdout > 0.0 and _same(self.agent, rules, self.agent.plan.control):
            return self.arm(question, "holdout", ("the holdout is decided by these rules",))
        return self._off_policy(question, rules)

    def champion(self, in_charge: Policy, champion: Policy | None) -> Answer:
        """The challenger against the champion, or the agent against an earlier policy."""
        question = "against the champion"
        if isinstance(in_charge, Split) and in_charge.challengers:
            notes = () if len(in_charge.members) == 2 else ("the first challenger: by_side compares others",)
            try:
                contrast = by_side(self.agent, in_charge, rows=self.net)
            except EvaluationError:
                note = "no decision of this split, on both sides, has a final reward yet: wait"
                return self._unanswered(question, note)
            return self._direct(question, contrast, notes)
        if champion is None:
            note = "put Split(champion, [(challenger, 0.1)]) in charge, or pass champion=... to value it"
            return self._unanswered(question, note)
        return self._off_policy(question, champion)

    def _direct(self, question: str, contrast: Contrast, notes: tuple[str, ...]) -> Answer:
        groups = contrast.treated, contrast.plain
        few = min(len(one.key) for one in groups)
        if few < FEWEST:
            return self._unanswered(question, f"a group has {few} subjects, fewer than {FEWEST}: wait")
        found = ratio_difference(*(Ratio(one.reward, one.decisions) for one in groups), level=self.level)
        many = [f"{len(one.key):,}" for one in groups]
        how = f"{many[0]} subjects of {contrast.treatment}, {many[1]} of {contrast.control}, delta method"
        verdict = _verdict(found)
        own = contrast.check
        if own.mismatch or (self.check is not None and self.check.mismatch):
            verdict, notes = UNREADABLE, (*notes, str(own if own.mismatch else self.check))
        return self._answered(question, found, verdict, how, notes)

    def _off_policy(self, question: str, policy: Policy) -> Answer:
        found = ahead_of(self.agent, policy, self.own, self.q, level=self.level)
        facts = found.diagnostics
        notes = facts.reasons
        if found.seen:
            learned = f"it may have learned from {found.seen:,} of these {found.n:,} decisions"
            notes = (f"{learned}, so it looks better than it is", *notes)
        how = f"DR, the same {found.n:,} decisions, worth {facts.effective_rows:,.0f}"
        if facts.verdict == UNSUPPORTED:
            more = "let the agent explore: exploration_floor=0.02, or random_control=0.05"
            return attrs.evolve(
                self._unanswered(question, more), verdict=UNSUPPORTED, how=how, notes=(*notes, more)
            )
        verdict = UNPROVEN
        if found.p_value < 1.0 - self.level:
            proven = AHEAD if found.value > 0.0 else BEHIND
            verdict = proven if facts.verdict == "ok" and not found.seen else WEAK
        return self._answered(question, found, verdict, how, notes)

    def _answered(
        self, question: str, found: Difference | Ahead, verdict: str, how: str, notes: tuple[str, ...]
    ) -> Answer:
        bounds = found.value, found.low, found.high
        return Answer(question, *bounds, found.standard_error, found.p_value, self.level, verdict, how, notes)

    def _unanswered(self, question: str, note: str) -> Answer:
        return Answer(
            question,
            math.nan,
            -math.inf,
            math.inf,
            math.inf,
            1.0,
            self.level,
            UNANSWERED,
            "no data",
            (note,),
        )


def _verdict(found: Difference) -> str:
    return UNPROVEN if found.verdict == UNPROVEN else AHEAD if found.value > 0.0 else BEHIND


def _same(agent: Deciding, one: Policy, other: Policy) -> bool:
    """Whether two policies are one and the same, bound to this agent."""
    space = agent.plan.space
    try:
        return fingerprint(bind(one, space)) == fingerprint(bind(other, space))
    except CodecError:
        return False
