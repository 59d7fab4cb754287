"""An agent for every customer: what suits all, and how this one differs."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import attrs
import numpy as np

from agentic._numerics import ROWS, matmul
from agentic.arrays import F64, I64, Batch, Feedback, Field, Proposal, Records, Space
from agentic.conditions import Column, Condition
from agentic.errors import ConfigurationError
from agentic.policies._between import Between
from agentic.policies._checks import optional_condition, positive_up_to, word
from agentic.policies._effects import IDLE, LEVELS, SENT, Effects
from agentic.policies._fixed import check_fields
from agentic.policies._linear import LinearThompson
from agentic.policies._linear_model import LinearModel

_TINY: Final = 1e-18  # of a variance
_LEAST: Final = 1e-6
_ROWS_AT_ONCE: Final = 1024
_MINUTE: Final = 60_000_000


def _checked_population(_: object, __: object, value: Any) -> None:  # may be anything
    if not isinstance(value, LinearThompson):
        raise ConfigurationError(
            f"population must be a LinearThompson(...), got {value!r:.200}: its scores and spreads are what"
            " subjects differ from",
            value=value,
        )


def _dimensions(value: Any) -> tuple[str, ...] | None:  # as above
    if value is None:
        return None
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise ConfigurationError(f"dimensions must be a list of names, got {value!r}", value=value)
    if not all(isinstance(name, str) for name in value) or len(set(value)) < len(value):
        raise ConfigurationError(f"dimensions must be names, each once, got {value!r}", value=value)
    return tuple(value)


@attrs.frozen(eq=False)
class _Told:
    """Feedback and whom it is about.

    Attributes:
        feedback: n choices.
        subject: Shape (n,), int64: whose each is.
        sums: Shape (2 c, g), float64: what was kept of each subject, as it counts at its last choice.
        minute: Shape (g,), int64: when that is, since 1970.
        fade: Shape (n,): what is left of each choice by then.
    """

    feedback: Feedback
    subject: I64
    sums: F64
    minute: I64
    fade: F64


@attrs.frozen(kw_only=True, eq=False)
class Personal:
    """Thompson sampling for each subject: a population model all share, and effects of the subject's own.

    What a subject's rewards were beyond the population's prediction is summed in the subject's record, for
    each level of each dimension of the actions: how many, and their total, in float32. From these sums and
    from how much subjects differ, which is estimated from all of them, follows a normal posterior of the
    subject's effects that shrinks to the population: a stranger is treated as the population is, and so is
    everybody when subjects turn out not to differ. Exploration narrows as a subject becomes known. With one
    dimension the posterior is exact. With several it takes levels to have been combined as if by chance, and
    a subject's rewards one after the other, see ``agentic/policies/_effects.py``.

    The population learns from rewards less what was expected of the subject in person, because subjects
    are sent what suits them: rewards as they are would make every action look as good as those it suits
    find it.

    Attributes:
        name: Of the policy, and of its fields in the subject record: two in one agent need two names.
        population: The model that all share, with its exploration and its half-life.
        dimensions: Along which subjects may differ; all of the actions' by default, see ``Effects.of``.
        only_if: Whom anything is remembered of, and used for; all by default. Nothing is where it is unknown.
        guess: Standard deviation between subjects in units of the reward noise, > 0, at most 10, before
            the data say more.
        effects: Which sums are kept; ``None`` until the policy is bound.
        between: How much subjects differ; likewise.

    Source: Robinson 1991, That BLUP is a good thing; Agrawal & Goyal 2013, Thompson sampling for contextual
    bandits with linear payoffs. Ours takes the population's posterior and the subject's as independent.
    """

    name: str = attrs.field(default="personal", validator=word)
    population: LinearThompson = attrs.field(factory=LinearThompson, validator=_checked_population)
    dimensions: tuple[str, ...] | None = attrs.field(default=None, converter=_dimensions)
    only_if: Condition | None = attrs.field(default=None, validator=optional_condition)
    guess: float = attrs.field(
        default=0.15, validator=positive_up_to(10, "standard deviations of the reward noise")
    )
    effects: Effects | None = None
    between: Between | None = None
    fields: tuple[Field, ...] = attrs.field(init=False, repr=False)
    _prior: Any = attrs.field(init=False, repr=False)  # Prior; None until the policy is bound
    _names: tuple[str, ...] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        fields = () if self.effects is None else _fields(self.name, self.effects.parts)
        object.__setattr__(self, "fields", fields)
        object.__setattr__(self, "_names", tuple(field.name for field in fields[:-1]))
        prior = None
        if self.effects is not None and self.between is not None:
            prior = self.effects.prior(self.between.ratio)
        object.__setattr__(self, "_prior", prior)

    def bind(self, space: Space, /) -> Self:
        """Fit population and effects to the space, keeping what was learned; levels are matched by name.

        Raises:
            ConfigurationError: A dimension or a field of the condition does not exist, or the features have
                another width than those the population has seen.
        """
        if self.only_if is not None:
            check_fields(self.only_if, space)
        effects = Effects.of(space.catalogue, self.dimensions)
        guess = self.guess**2
        if self.between is None:
            between = Between.zero(effects.dimensions, guess)
        else:
            between = self.between.over(effects.dimensions, guess)
        return attrs.evolve(self, population=self.population.bind(space), effects=effects, between=between)

    def propose(self, batch: Batch, /) -> Proposal:
        """Weigh candidates by the probability that each is best for this subject."""
        effects, between = self._bound()
        if not between.ratio.any():
            return self.population.propose(batch)
        model, n = self.population.fitted, len(batch)
        mean, spread = model.mean(batch.X), model.spread(batch.X)
        sums, asked = self._recalled(batch), self._asked(batch.columns, n)
        # Columns are rows until the end, as effects have them: nothing is turned more than once.
        score, wide, square = np.empty((3, len(effects.sends), n))
        for lo in range(0, n, _ROWS_AT_ONCE):
            rows, padded = slice(lo, min(lo + _ROWS_AT_ONCE, n)), slice(lo, lo + _ROWS_AT_ONCE)
            known = effects.known(*_halves(sums[:, padded]), self._prior)
            own, whole, choice = (
                part[:, : rows.stop - lo] for part in effects.of_actions(known, self._prior)
            )
            noise: Any = between.noise**2  # one, or one for each row
            if self.only_if is not None:
                own *= asked[rows]
                noise = noise * asked[rows]
            pooled = spread[rows].T
            np.add(own, mean[rows].T, out=score[:, rows])
            np.multiply(pooled, pooled, out=square[:, rows])
            choice *= noise
            np.add(choice, square[:, rows], out=wide[:, rows])
            whole *= noise
            square[:, rows] += whole
        for variance in (wide, square):
            np.maximum(variance, _TINY, out=variance)
            np.sqrt(variance, out=variance)
        return Proposal(self.population.wins(score.T, wide.T, batch.allowed), score.T, square.T)

    def learn(self, feedback: Feedback, /) -> Self:
        """Return the policy whose population and variances have also seen this feedback.

        What is expected of a subject in person is what was known before this feedback.
        Without ``feedback.rows`` subjects are taken for strangers, told apart by their keys.

        Raises:
            LearningError: The feedback is not finite, or about other actions or features.
        """
        effects, between = self._bound()
        k = len(effects.sends)
        if len(feedback.catalogue) != k or not ((feedback.action >= 0) & (feedback.action < k)).all():
            return attrs.evolve(self, population=self.population.learn(feedback))  # which refuses it
        told = self._told(feedback)
        expected = self._expected(told)
        taught = self.population.learn(attrs.evolve(feedback, reward=feedback.reward - expected))
        learned = attrs.evolve(self, population=taught)
        weight, residual = learned._residuals(feedback)
        new = learned._observed(told, weight, residual)
        counts = told.fade * (weight > 0)
        squares = np.array([np.add.reduce(counts * weight * residual**2), np.add.reduce(counts)])
        as_of = max(between.as_of, int(feedback.at.max(initial=0)))
        between = between.faded(self._fade(as_of - between.as_of), as_of)
        between = between.observe(effects, _halves(told.sums), _halves(new), squares)
        return attrs.evolve(learned, between=between)

    def remember(self, feedback: Feedback, rows: Records, /) -> None:
        """Add what each choice says about its subject to the sums in ``rows[feedback.subject]``.

        Raises:
            ConfigurationError: The policy is not bound, or the rows have no room for its fields.
        """
        self._bound()
        if not len(feedback):
            return
        told = self._told(attrs.evolve(feedback, rows=rows))
        weight, residual = self._residuals(feedback)
        new = self._observed(told, weight, residual).astype(np.float32)
        touched = np.unique(told.subject[weight > 0])
        rows[self.fields[-1].name][touched] = told.minute[touched]
        view, order = _place(rows.dtype, self._names)
        if view is not None:
            rows.view(view)["x"][touched[:, None], order] = new.T[touched]
        else:
            for line, name in zip(new, self._names, strict=True):
                rows[name][touched] = line[touched]

    def merge(self, other: Self, /) -> Self:
        """The policy that has learned what either has; the two must not share subjects.

        Raises:
            LearningError: They are of different actions, features, dimensions or settings.
        """
        (_, mine), (_, theirs) = self._bound(), other._bound()
        model = self.population.fitted.merge(other.population.fitted)
        as_of = max(mine.as_of, theirs.as_of)
        between = mine.faded(self._fade(as_of - mine.as_of), as_of).merge(
            theirs.faded(self._fade(as_of - theirs.as_of), as_of)
        )
        return attrs.evolve(self, population=attrs.evolve(self.population, model=model), between=between)

    def explain(self, batch: Batch, row: int, /) -> dict[str, float]:
        """What each column of ``X``, by its number, and each effect of the subject adds to the best score."""
        effects, _ = self._bound()
        one = batch.take(np.array([row]))
        known = effects.known(*_halves(self._recalled(one)), self._prior)
        asked = self._asked(one.columns, 1)
        model = self.population.fitted
        score = model.mean(one.X)[0] + effects.of_actions(known, self._prior)[0][:, 0] * asked[0]
        best = int(np.argmax(np.where(one.allowed[0], score, -np.inf)))
        parts = {str(i): float(part) for i, part in enumerate(one.X[0] * model.theta[:, best])}
        design = effects.design(np.array([best]))[:, 0]
        design[IDLE] = 1.0  # a subject's own level is part of every score
        names = ("level", "contact", *effects.parts[LEVELS:])
        mean = effects.means(known)[:, 0] * asked[0]
        own = {f"{self.name}: {n}": float(m) for n, m, has in zip(names, mean, design, strict=True) if has}
        return parts | own

    def _bound(self) -> tuple[Effects, Between]:
        if self.effects is None or self.between is None:
            raise ConfigurationError(
                "Personal is not bound to an agent yet: pass it to Agent, or call bind(space)"
            )
        return self.effects, self.between

    def _sums(self, rows: Records | None, n: int) -> F64:
        """Counts, then totals, shape (2 c, m) with m rows padded for reductions; strangers' are 0."""
        m = n + -n % ROWS
        width = 2 * len(self._bound()[0].parts)
        out = np.zeros((width, m))
        if rows is not None and n:
            view, order = _place(rows.dtype, self._names)
            if view is None:
                for line, name in zip(out, self._names, strict=True):
                    line[:n] = rows[name]
            else:
                out[:, :n] = rows.view(view)["x"].T[order]
        return out

    def _recalled(self, batch: Batch) -> F64:
        """The sums of a batch's subjects as they count now."""
        n = len(batch)
        sums = self._sums(batch.rows, n)
        if self.population.half_life is not None and batch.rows is not None:
            age = np.zeros(sums.shape[1])
            age[:n] = batch.now - batch.rows[self.fields[-1].name].astype(np.int64) * _MINUTE
            sums *= self._fade(np.maximum(age, 0.0))
        return sums

    def _fade(self, age_us: Any) -> Any:  # int to float, array to array
        half_life = self.population.half_life
        if half_life is None:
            return 1.0
        return np.exp2(np.asarray(age_us) / (-1e6 * half_life.total_seconds()))

    def _asked(self, columns: Mapping[str, Column], n: int) -> F64:
        """1 for rows that anything may be remembered of, 0 for others: shape (n,)."""
        if self.only_if is None:
            return np.ones(n)
        if n and not self.only_if.fields <= columns.keys():  # nothing is known of anybody
            return np.zeros(n)
        return self.only_if.evaluate_columns(columns, n).true.astype(np.float64)

    def _told(self, feedback: Feedback) -> _Told:
        """The feedback with whom it is about; subjects without rows are strangers."""
        if feedback.rows is not None and feedback.subject is not None:
            subject, rows = feedback.subject, feedback.rows
            sums = self._sums(rows, len(rows))[:, : len(rows)]
            held = rows[self.fields[-1].name].astype(np.int64)
        else:
            keys, number = np.unique(feedback.keys, return_inverse=True)
            subject = number.reshape(-1)
            sums, held = np.zeros((len(self.fields) - 1, len(keys))), np.zeros(len(keys), np.int64)
        minute = held.copy()
        np.maximum.at(minute, subject, feedback.at // _MINUTE)
        fade = np.ones(len(feedback))
        if self.population.half_life is not None:
            sums = sums * self._fade((minute - held) * float(_MINUTE))
            fade = self._fade(np.maximum(minute[subject] * _MINUTE - feedback.at, 0))
        return _Told(feedback, subject, sums, minute, fade)

    def _expected(self, told: _Told) -> F64:
        """What was expected of each choice's subject in person, beyond the population: shape (n,)."""
        effects, between = self._bound()
        action, subject = told.feedback.action, told.subject
        mean = effects.means(effects.known(*_halves(told.sums), effects.prior(between.ratio)))
        expected = mean[IDLE][subject] + np.where(effects.sends[action], mean[SENT][subject], 0.0)
        levels = np.concatenate([mean[LEVELS:], np.zeros((1, mean.shape[1]))])
        for at in effects.at:
            expected += levels[at[action], subject]
        return np.asarray(expected * self._asked(told.feedback.columns, len(action)))

    def _residuals(self, feedback: Feedback) -> tuple[F64, F64]:
        """What each choice counts, and what it was beyond the population: shape (n,) each.

        The population has seen the choice already. One that it follows closely, having seen few like it, says
        little about its subject: the residual it would have had unseen counts one less its leverage.

        Source: Cook & Weisberg 1982, Residuals and influence in regression, equation 2.2.23.
        """
        model, X = self.population.fitted, feedback.X
        weight = np.maximum(1.0 - _leverage(model, X, feedback.action), 0.0)
        weight *= self._asked(feedback.columns, len(feedback))
        weight[weight < _LEAST] = 0.0
        expected = np.einsum("nd,nd->n", X, model.theta.T[feedback.action])
        residual = (feedback.reward - expected) / np.where(weight > 0, weight, 1.0)
        return weight, residual

    def _observed(self, told: _Told, weight: F64, residual: F64) -> F64:
        """The sums after this feedback, a subject's choices one after the other."""
        effects, between = self._bound()
        subject, action, weight = told.subject, told.feedback.action, weight * told.fade
        out = told.sums.copy()
        half = len(out) // 2
        if not len(subject):
            return out
        if len(effects.dimensions) < 2:
            design = effects.design(action)
            added = (*(design * weight), *(design * (weight * residual)))
            out += [np.bincount(subject, weights=values, minlength=out.shape[1]) for values in added]
            return out
        prior = effects.prior(between.working)
        order = np.argsort(subject, kind="stable")
        first = np.searchsorted(subject[order], np.arange(out.shape[1]))
        turn = np.empty(len(subject), dtype=np.int64)
        turn[order] = np.arange(len(subject)) - first[subject[order]]
        by_turn = np.argsort(turn, kind="stable")
        ends = [0, *np.cumsum(np.bincount(turn)).tolist()]
        for lo, hi in itertools.pairwise(ends):
            now = by_turn[lo:hi]
            now = now[np.arange(len(now) + -len(now) % ROWS) % len(now)]  # full blocks for reductions
            who = subject[now]
            out[:half, who], out[half:, who] = effects.observe(
                out[:half, who], out[half:, who], prior, action[now], weight[now], residual[now]
            )
        return out


@functools.lru_cache(maxsize=64)
def _fields(name: str, parts: tuple[str, ...]) -> tuple[Field, ...]:
    """Counts, then totals, then when they were last added to, in minutes since 1970."""
    sums = [
        Field(f"{name}.{kind}.{part}", "<f4", role="profile") for kind in ("count", "total") for part in parts
    ]
    return (*sums, Field(f"{name}.minute", "<u4", role="profile"))


@functools.lru_cache(maxsize=64)
def _place(dtype: np.dtype[Any], names: tuple[str, ...]) -> tuple[np.dtype[Any] | None, I64]:
    """How to see all sums of records at once: the dtype of a view, and which of its columns they are.

    Without a view, where they lie far apart, they are read one by one.
    """
    entries: Any = dtype.fields or {}  # numpy has no one type of them
    if missing := [name for name in names if name not in entries]:
        raise ConfigurationError(f"the records have no field {missing[0]!r}: bind and publish the policy")
    offsets = np.array([entries[name][1] for name in names])
    low = int(offsets.min())
    order, odd = np.divmod(offsets - low, 4)
    width = int(order.max()) + 1
    if width > 2 * len(order) or odd.any():
        return None, order
    formats = {"names": ["x"], "formats": [("<f4", (width,))], "offsets": [low], "itemsize": dtype.itemsize}
    return np.dtype(formats), order  # type: ignore[call-overload]  # numpy takes tuples for formats


def _leverage(model: LinearModel, X: F64, action: I64) -> F64:
    """Leverage of each row in its action's regression, x' A^-1 x: shape (n,)."""
    d = X.shape[1]
    root = model.root.reshape(d, -1, d)
    out = np.empty(len(X))
    order = np.argsort(action, kind="stable")
    chosen = action[order]
    cuts = (chosen[1:] != chosen[:-1]).nonzero()[0] + 1
    for lo, hi in itertools.pairwise([0, *cuts.tolist(), len(X)] if len(X) else ()):
        rows = order[lo:hi]
        parts = matmul(X[rows].astype(np.float32), root[:, chosen[lo]])
        out[rows] = np.einsum("nd,nd->n", parts, parts)
    return out


def _halves(sums: F64) -> tuple[F64, F64]:
    half = len(sums) // 2
    return sums[:half], sums[half:]
