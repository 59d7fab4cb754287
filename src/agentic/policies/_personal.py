"""An agent for every customer: what suits all, and how this one differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Self

import attrs
import numpy as np
from numpy.typing import NDArray

from agentic._numerics import ROWS, win_probabilities
from agentic.arrays import F64, I64, Batch, Bools, Feedback, Field, Proposal, Records, Space
from agentic.conditions import Column, Condition
from agentic.errors import ConfigurationError
from agentic.policies._between import Between
from agentic.policies._effects import IDLE, LEVELS, SENT, Effects, Floats
from agentic.policies._fixed import check_fields
from agentic.policies._linear import LinearThompson

_TINY: Final = 1e-9
_LEAST: Final = 1e-6
_MINUTE: Final = 60_000_000


def _checked_name(_: object, __: object, value: Any) -> None:  # may be anything
    if not isinstance(value, str) or not value.isidentifier():
        raise ConfigurationError(f"a policy's name must be a word, got {value!r}", value=value)


def _checked_population(_: object, __: object, value: Any) -> None:  # as above
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


def _checked_guess(_: object, __: object, value: Any) -> None:  # as above
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 10:
        raise ConfigurationError(
            f"guess must be a number above 0 and at most 10 (standard deviations of the reward noise), got"
            f" {value!r}",
            value=value,
        )


def _checked_condition(_: object, __: object, value: Any) -> None:  # as above
    if value is not None and not isinstance(value, Condition):
        raise ConfigurationError(
            f"only_if must be a condition such as F('adult').is_true(), or None, got {value!r}", value=value
        )


@attrs.frozen(kw_only=True, eq=False)
class Personal:
    """Thompson sampling for each subject: a population model all share, and effects of the subject's own.

    What a subject's rewards were beyond the population's prediction is summed in the subject's record, for
    each level of each dimension of the actions: how many, and their total, in float32. From these sums and
    from how much subjects differ, which is estimated from all of them, follows a normal posterior of the
    subject's effects that shrinks to the population: a stranger is treated as the population is, and so is
    everybody when subjects turn out not to differ. Exploration narrows as a subject becomes known.

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

    name: str = attrs.field(default="personal", validator=_checked_name)
    population: LinearThompson = attrs.field(factory=LinearThompson, validator=_checked_population)
    dimensions: tuple[str, ...] | None = attrs.field(default=None, converter=_dimensions)
    only_if: Condition | None = attrs.field(default=None, validator=_checked_condition)
    guess: float = attrs.field(default=0.15, validator=_checked_guess)
    effects: Effects | None = None
    between: Between | None = None
    fields: tuple[Field, ...] = attrs.field(init=False, repr=False)
    # Where the sums lie in a record, by the identity of its dtype: derived, safe to fill from many threads.
    _places: dict[int, tuple[Any, ...]] = attrs.field(factory=dict, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        parts = () if self.effects is None else self.effects.parts
        fields = [
            Field(f"{self.name}.{kind}.{part}", "<f4", role="profile")
            for kind in ("count", "total")
            for part in parts
        ]
        if fields:
            fields.append(Field(f"{self.name}.minute", "<u4", role="profile"))
        object.__setattr__(self, "fields", tuple(fields))

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
        model = self.population.fitted
        mean, spread = model.mean(batch.X), model.spread(batch.X)
        exploration = self.population.exploration
        if not between.ratio.any():
            wide = spread * exploration
            np.maximum(wide, _TINY, out=wide)
            return Proposal(win_probabilities(mean, wide, batch.allowed), mean, spread)
        n = len(batch)
        sums = self._sums(batch.rows, n, np.float32)
        if self.population.half_life is not None and batch.rows is not None:
            sums *= self._faded(self._minutes(batch.rows, n), batch.now)
        own, whole, choice = effects.of_actions(effects.known(*_halves(sums), between.ratio))
        if self.only_if is not None:
            asked = self._asked(batch.columns, n)
            for part in (own, whole, choice):
                part[:, :n] *= asked
        noise = np.float32(between.noise**2)
        for part in (whole, choice):
            part *= noise
        square = np.square(spread)
        mean = mean + own.T[:n]
        wide = np.sqrt(square + choice.T[:n])
        wide *= exploration
        np.maximum(wide, _TINY, out=wide)
        square += whole.T[:n]
        return Proposal(win_probabilities(mean, wide, batch.allowed), mean, np.sqrt(square, out=square))

    def learn(self, feedback: Feedback, /) -> Self:
        """Return the policy whose population and variances have also seen this feedback.

        Without ``feedback.rows`` subjects are taken for strangers, told apart by their keys.

        Raises:
            LearningError: The feedback is not finite, or about other actions or features.
        """
        effects, between = self._bound()
        k = len(effects.sends)
        if len(feedback.catalogue) != k or not ((feedback.action >= 0) & (feedback.action < k)).all():
            return attrs.evolve(self, population=self.population.learn(feedback))  # which refuses it
        feedback = self._of_some(feedback)
        subject, n, g = feedback.subject, len(feedback), 0 if feedback.rows is None else len(feedback.rows)
        old = self._sums(feedback.rows, g, np.float64)[:, :g]
        as_of = max(between.as_of, int(feedback.at.max(initial=0)))
        expected = np.zeros(n)
        if subject is not None and g:
            old = old * self._since(feedback)
            mean = effects.known(*_halves(old), between.ratio).mean
            action = feedback.action
            expected += mean[IDLE][subject] + np.where(effects.sends[action], mean[SENT][subject], 0.0)
            levels = np.concatenate([mean[LEVELS:], np.zeros((1, g))])
            for at in effects.at:
                expected += levels[at[action], subject]
            expected *= self._asked(feedback.columns, n)
        taught = self.population.learn(attrs.evolve(feedback, reward=feedback.reward - expected))
        learned = attrs.evolve(self, population=taught)
        weight, residual, fade = learned._residuals(feedback)
        new = learned._observed(feedback, old, weight * fade, residual)
        counts = fade * (weight > 0)
        squares = np.array([np.add.reduce(counts * weight * residual**2), np.add.reduce(counts)])
        between = between.observe(
            effects, _halves(old), _halves(new), squares, self._fade(as_of - between.as_of), as_of
        )
        return attrs.evolve(learned, between=between)

    def remember(self, feedback: Feedback, rows: Records, /) -> None:
        """Add what each choice says about its subject to the sums in ``rows[feedback.subject]``."""
        self._bound()
        if not len(feedback):
            return
        if feedback.subject is None:
            raise ConfigurationError("feedback without subject does not say whose row is whose")
        feedback = attrs.evolve(feedback, rows=rows)
        old = self._sums(rows, len(rows), np.float64)[:, : len(rows)] * self._since(feedback)
        weight, residual, fade = self._residuals(feedback)
        new = self._observed(feedback, old, weight * fade, residual).astype(np.float32)
        touched = np.zeros(len(rows), dtype=np.bool_)
        touched[feedback.subject[weight > 0]] = True
        last = np.maximum(self._minutes(rows, len(rows)), self._last(feedback))
        for field, values in zip(self.fields, (*new, last), strict=True):
            rows[field.name] = np.where(touched, values, rows[field.name])

    def explain(self, batch: Batch, row: int, /) -> dict[str, float]:
        """What each column of ``X``, by its number, and each effect of the subject adds to the best score."""
        effects, between = self._bound()
        one = batch.take(np.array([row]))
        sums = self._sums(one.rows, 1, np.float32)
        if self.population.half_life is not None and one.rows is not None:
            sums *= self._faded(self._minutes(one.rows, 1), one.now)
        known = effects.known(*_halves(sums), between.ratio)
        asked = self._asked(one.columns, 1)
        model = self.population.fitted
        score = model.mean(one.X)[0] + effects.of_actions(known)[0][:, 0] * asked[0]
        best = int(np.argmax(np.where(one.allowed[0], score, -np.inf)))
        parts = {str(i): float(part) for i, part in enumerate(one.X[0] * model.theta[:, best])}
        design = effects.design(np.array([best]))[:, 0]
        design[IDLE] = 1.0  # a subject's own level is part of every score
        names = ("level", "contact", *effects.parts[LEVELS:])
        mean = known.mean[:, 0] * asked[0]
        own = {f"{self.name}: {n}": float(m) for n, m, has in zip(names, mean, design, strict=True) if has}
        return parts | own

    def _bound(self) -> tuple[Effects, Between]:
        if self.effects is None or self.between is None:
            raise ConfigurationError(
                "Personal is not bound to an agent yet: pass it to Agent, or call bind(space)"
            )
        return self.effects, self.between

    def _place(self, rows: Records) -> tuple[Any, ...]:
        """How to see all sums at once: the dtype of a view, and which of its columns are ours in order."""
        dtype = rows.dtype
        found = self._places.get(id(dtype))
        if found is None or found[0] is not dtype:
            names = [field.name for field in self.fields[:-1]]
            entries = dtype.fields or {}
            if missing := [name for name in names if name not in entries]:
                raise ConfigurationError(
                    f"the records have no field {missing[0]!r}, bind and publish the policy"
                )
            offsets = np.array([entries[name][1] for name in names])
            low = int(offsets.min())
            order, odd = np.divmod(offsets - low, 4)
            width, view = int(order.max()) + 1, None
            if width <= 2 * len(order) and not odd.any():
                view = np.dtype(
                    {
                        "names": ["x"],
                        "formats": [("<f4", (width,))],
                        "offsets": [low],
                        "itemsize": dtype.itemsize,
                    }
                )
            if len(self._places) >= 64:
                self._places.clear()
            found = self._places[id(dtype)] = dtype, view, order, names
        return found

    def _sums(self, rows: Records | None, n: int, dtype: type) -> Floats:
        """Counts, then totals, shape (2 c, m) with m rows padded for reductions; strangers' are 0."""
        m = n + -n % ROWS
        width = 2 * len(self._bound()[0].parts)
        out = np.zeros((width, m), dtype=dtype)
        if rows is not None and n:
            _, view, order, names = self._place(rows)
            if view is None:
                for line, name in zip(out, names, strict=True):
                    line[:n] = rows[name]
            else:
                out[:, :n] = rows.view(view)["x"].T[order]
        return out

    def _minutes(self, rows: Records, n: int) -> NDArray[np.uint32]:
        found: NDArray[np.uint32] = rows[self.fields[-1].name]
        return found

    def _faded(self, minute: NDArray[Any], now: I64) -> Floats:
        """What is left of sums as old as these: shape (m,), float32, padded."""
        m = len(now) + -len(now) % ROWS
        age = np.zeros(m)
        age[: len(now)] = np.maximum(now - minute.astype(np.int64) * _MINUTE, 0)
        return np.asarray(self._fade(age), dtype=np.float32)

    def _fade(self, age_us: Any) -> Any:  # int to float, array to array
        half_life = self.population.half_life
        if half_life is None:
            return 1.0
        return np.exp2(np.asarray(age_us) / (-1e6 * half_life.total_seconds()))

    def _asked(self, columns: Mapping[str, Column], n: int) -> NDArray[np.float32]:
        """1 for rows that anything may be remembered of, 0 for others: shape (n,), float32."""
        if self.only_if is None:
            return np.ones(n, dtype=np.float32)
        if n and not self.only_if.fields <= columns.keys():
            return np.zeros(n, dtype=np.float32)
        return self.only_if.evaluate_columns(columns, n).true.astype(np.float32)

    def _of_some(self, feedback: Feedback) -> Feedback:
        """The feedback with subjects, and blank rows where it has none."""
        if feedback.rows is not None and feedback.subject is not None:
            return feedback
        keys, number = np.unique(feedback.keys, return_inverse=True)
        blank = np.zeros(len(keys), dtype=[(field.name, field.dtype) for field in self.fields])
        return attrs.evolve(feedback, rows=blank, subject=number.reshape(-1))

    def _last(self, feedback: Feedback) -> NDArray[np.int64]:
        """The last minute of each subject's choices, 0 without any: shape (g,)."""
        last = np.zeros(0 if feedback.rows is None else len(feedback.rows), dtype=np.int64)
        np.maximum.at(last, feedback.subject, feedback.at // _MINUTE)
        return last

    def _since(self, feedback: Feedback) -> Any:  # a number or shape (g,)
        """What is left of each subject's sums by the time of its last choice."""
        if self.population.half_life is None or feedback.rows is None:
            return 1.0
        held = self._minutes(feedback.rows, len(feedback.rows)).astype(np.int64)
        return self._fade(np.maximum(self._last(feedback) - held, 0) * float(_MINUTE))

    def _residuals(self, feedback: Feedback) -> tuple[F64, F64, F64]:
        """What each choice counts, what it was beyond the population, and what is left of it by now.

        The population has seen the choice already. A choice it follows closely, because it has seen few like
        it, says little about its subject: the residual it would have had counts as one less its leverage.

        Source: Cook & Weisberg 1982, Residuals and influence in regression, equation 2.2.23.
        """
        model, rows = self.population.fitted, np.arange(len(feedback))
        action = feedback.action
        leverage = np.square(model.spread(feedback.X)[rows, action] / model.noise)
        weight = np.maximum(1.0 - leverage, 0.0)
        weight *= self._asked(feedback.columns, len(feedback))
        weight[weight < _LEAST] = 0.0
        residual = (feedback.reward - model.mean(feedback.X)[rows, action]) / np.where(
            weight > 0, weight, 1.0
        )
        fade = np.ones(len(feedback))
        if self.population.half_life is not None and feedback.rows is not None:
            held = self._minutes(feedback.rows, len(feedback.rows)).astype(np.int64)
            last = np.maximum(self._last(feedback), held)
            age = last[feedback.subject] * _MINUTE - feedback.at
            fade = self._fade(np.maximum(age, 0))
        return weight, residual, fade

    def _observed(self, feedback: Feedback, sums: Floats, weight: F64, residual: F64) -> Floats:
        """The sums after this feedback, a subject's choices one after the other."""
        effects, between = self._bound()
        subject, action = feedback.subject, feedback.action
        out = sums.copy()
        half = len(out) // 2
        if subject is None or not len(subject):
            return out
        if len(effects.dimensions) < 2:
            design = effects.design(action)
            for line, values in zip(out, (*(design * weight), *(design * (weight * residual))), strict=True):
                line += np.bincount(subject, weights=values, minlength=out.shape[1])
            return out
        order = np.argsort(subject, kind="stable")
        first = np.searchsorted(subject[order], np.arange(out.shape[1]))
        turn = np.empty(len(subject), dtype=np.int64)
        turn[order] = np.arange(len(subject)) - first[subject[order]]
        by_turn = np.argsort(turn, kind="stable")
        ends = np.cumsum(np.bincount(turn))
        begin = 0
        for end in ends.tolist():
            now, begin = by_turn[begin:end], end
            now = now[np.arange(len(now) + -len(now) % ROWS) % len(now)]  # full blocks for reductions
            who = subject[now]
            out[:half, who], out[half:, who] = effects.observe(
                out[:half, who], out[half:, who], between.working, action[now], weight[now], residual[now]
            )
        return out


def _halves(sums: Floats) -> tuple[Floats, Floats]:
    half = len(sums) // 2
    return sums[:half], sums[half:]
