"""Who is in which variant: shares, salts, layers, holdouts, and who stays where."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from agentic import Action, Agent, _noise
from agentic.errors import AgenticError, ConfigurationError, InvalidSubjectError
from agentic.experiments import (
    Experiment,
    GrowthBook,
    Hashed,
    Holdout,
    Layer,
    Shares,
    Unleash,
    counted,
)
from agentic.policies import Uniform

SUBJECTS = [f"customer-{number}" for number in range(20_000)]
KEYS = _noise.text_keys(SUBJECTS)
PARTS = some.lists(some.integers(0, 400_000), min_size=1, max_size=6).filter(
    lambda one: sum(one) <= 1_000_000
)


def shares(parts: list[int]) -> dict[str, float]:
    return {f"v{number}": part / 1_000_000 for number, part in enumerate(parts)}


def table(found: Shares) -> np.ndarray:
    """Whose each of the million places is."""
    out = np.full(1_000_000, -1)
    for start, stop, code in found.spans:
        assert (out[start:stop] == -1).all()
        out[start:stop] = code
    return out


@settings(max_examples=40)
@given(PARTS)
def test_every_name_has_its_share_to_the_millionth(parts: list[int]) -> None:
    """And no place belongs to two."""
    found = Shares.of(shares(parts))
    assert np.bincount(table(found) + 1, minlength=len(parts) + 1)[1:].tolist() == parts
    assert [found.share(name) for name in found.names] == [part / 1_000_000 for part in parts]


@settings(max_examples=40)
@given(PARTS, PARTS)
def test_resizing_moves_only_whom_it_must(before: list[int], after: list[int]) -> None:
    """Whoever leaves a name leaves one that shrank; whoever joins one joins one that grew."""
    first = Shares.of(shares(before))
    wanted = {**dict.fromkeys(first.names, 0.0), **shares(after)}
    second = first.resized(wanted)
    old, new = table(first), table(second)
    for code, name in enumerate(second.names):
        was = first.names.index(name) if name in first.names else -2
        left = int(((old == was) & (new != code)).sum())
        joined = int(((old != was) & (new == code)).sum())
        grown = round((second.share(name) - (first.share(name) if was >= 0 else 0.0)) * 1_000_000)
        assert left == max(0, -grown)
        assert joined == max(0, grown)


@settings(max_examples=40)
@given(PARTS, some.floats(0.0, 1.0))
def test_a_ramp_moves_nobody_even_when_it_is_declared_anew(parts: list[int], ramp: float) -> None:
    """While no share is above 1 / k, the shares alone keep everybody in place."""
    k = len(parts)
    large = [min(part, 1_000_000 // k) for part in parts]
    small = [math.floor(part * ramp) for part in large]
    old, new = table(Shares.of(shares(small))), table(Shares.of(shares(large)))
    assert (new[old >= 0] == old[old >= 0]).all()


def test_whole_shares_stay_whole() -> None:
    """Three thirds are everybody, and names that are left out keep what they have."""
    thirds = Shares.of({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})
    assert (table(thirds) >= 0).all()
    assert sum(thirds.share(name) for name in thirds.names) == pytest.approx(1.0)
    assert Shares.of({"a": 0.2, "b": 0.3}).resized({"b": 0.1}).share("a") == 0.2


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"a": 1.1},
        {"a": -0.1},
        {"a": math.nan},
        {"a": True},
        {"a": "1"},
        {"": 0.5},
        {1: 0.5},
        ["a"],
        None,
        {"a": 0.6, "b": 0.6},
    ],
    ids=repr,
)
def test_what_is_no_share_is_refused(bad: object) -> None:
    """With what is wrong, and in one error."""
    with pytest.raises(ConfigurationError, match=r"share|name"):
        Shares.of(bad)  # type: ignore[arg-type]


def test_one_alone_is_the_batch() -> None:
    """A subject's variant does not depend on who stands beside it."""
    experiment = Experiment("greeting", {"control": 0.4, "warm": 0.3, "short": 0.2})
    codes = experiment.assign(SUBJECTS[:300])
    assert (codes == experiment.assign_keys(KEYS[:300])).all()
    assert [experiment.variant(one) for one in SUBJECTS[:300]] == [
        experiment.variants[code] if code >= 0 else None for code in codes
    ]
    assert experiment.assign([]).tolist() == []


def test_an_assignment_is_forever() -> None:
    """These answers are part of what is promised: another hash would move every customer."""
    experiment = Experiment("greeting", {"control": 0.4, "warm": 0.3, "short": 0.2})
    assert experiment.assign(SUBJECTS[:12]).tolist() == [1, 0, 2, 1, 1, 0, 1, 1, 2, 2, 0, 0]


def test_groups_are_as_large_as_their_shares() -> None:
    """Within five binomial standard deviations; the same holds within every other experiment's groups."""
    first = Experiment("first", {"control": 0.5, "treatment": 0.3}).assign(SUBJECTS)
    second = Experiment("second", {"control": 0.5, "treatment": 0.5}).assign(SUBJECTS)
    for share, n in zip((0.5, 0.3), counted(first, ("control", "treatment")), strict=True):
        assert abs(n - share * 20_000) < 5 * math.sqrt(20_000 * share * (1 - share))
    for code in (-1, 0, 1):
        inside = second[first == code]
        assert abs((inside == 1).sum() - len(inside) / 2) < 5 * math.sqrt(len(inside) / 4)


def test_one_salt_assigns_alike() -> None:
    """So that an experiment can be run again on the same groups."""
    variants = {"control": 0.5, "treatment": 0.5}
    first, second = (Experiment(name, variants, salt="shared").assign(SUBJECTS) for name in ("one", "two"))
    assert (first == second).all()
    assert (first != Experiment("one", variants).assign(SUBJECTS)).any()


def test_nobody_is_in_two_experiments_of_a_layer() -> None:
    """And growing one takes nobody out of the other."""
    layer = Layer("checkout", {"colour": 0.4, "price": 0.3})
    both = {"control": 0.5, "treatment": 0.5}
    colour, price = (Experiment(name, both, layer=layer).assign(SUBJECTS) for name in ("colour", "price"))
    assert not ((colour >= 0) & (price >= 0)).any()
    assert abs((colour >= 0).mean() - 0.4) < 5 * math.sqrt(0.4 * 0.6 / 20_000)
    grown = layer.resized({"price": 0.6})
    after = Experiment("price", both, layer=grown).assign(SUBJECTS)
    assert (after[price >= 0] == price[price >= 0]).all()
    assert (Experiment("colour", both, layer=grown).assign(SUBJECTS) == colour).all()
    with pytest.raises(ConfigurationError, match="there is no 'size'"):
        Experiment("size", both, layer=layer)


@pytest.mark.parametrize("salt", [None, "company"])
def test_a_holdout_is_the_agents_own(salt: str | None) -> None:
    """The very subjects that an agent with this salt leaves to its control policy are in no experiment."""
    agent = Agent("mine", [Action("sms")], policy=Uniform(), holdout=0.1, random_control=0.2, salt=salt)
    decided = agent.decide_many(SUBJECTS[:2000])
    held = decided.columns["arm"] == 1
    holdout = Holdout(0.1, salt or "mine")
    assert held.any()
    assert (holdout.holds(SUBJECTS[:2000]) == held).all()
    experiment = Experiment(
        "any", {"control": 0.5, "treatment": 0.5}, holdouts=[holdout, Holdout(0.1, "other")]
    )
    codes = experiment.assign(SUBJECTS)
    kept = holdout.holds(SUBJECTS) | Holdout(0.1, "other").holds(SUBJECTS)
    assert ((codes == -1) == kept).all()


def test_who_is_remembered_keeps_the_variant() -> None:
    """Whatever becomes of shares and layer; a holdout takes it, and a variant that is gone is given anew."""
    before = Experiment("any", {"control": 0.5, "treatment": 0.5})
    remembered: dict[str, str] = {}
    codes = before.assign(SUBJECTS[:500], remembered=remembered)
    assert list(remembered.values()) == [before.variants[code] for code in codes]
    after = Experiment("any", {"control": 0.05, "treatment": 0.05}, salt="another")
    assert (after.assign(SUBJECTS[:500], remembered=remembered) == codes).all()
    assert after.variant(SUBJECTS[0], remembered=remembered) == remembered[SUBJECTS[0]]
    gone = Experiment("any", {"new": 1.0})
    assert set(gone.assign(SUBJECTS[:500], remembered=remembered).tolist()) == {0}
    assert set(remembered.values()) == {"new"}
    held = Experiment("any", {"new": 1.0}, holdouts=[Holdout(1.0, "all")])
    assert set(held.assign(SUBJECTS[:500], remembered=remembered).tolist()) == {-1}
    assert held.variant("stranger", remembered=remembered) is None
    assert "stranger" not in remembered


def test_growing_a_variant_moves_nobody_else() -> None:
    """The experiment that `resized` returns has everybody where they were, and more."""
    experiment = Experiment("any", {"control": 0.6, "a": 0.1, "b": 0.1})
    codes = experiment.assign(SUBJECTS)
    grown = experiment.resized({"a": 0.3})
    found = grown.assign(SUBJECTS)
    assert (found[codes >= 0] == codes[codes >= 0]).all()
    assert set(found[codes < 0].tolist()) <= {-1, 1}
    taken = grown.resized({"control": 0.5, "b": 0.2})
    moved = taken.assign(SUBJECTS) != found
    assert set(found[moved].tolist()) == {0}


def test_another_systems_assignments_can_be_kept() -> None:
    """GrowthBook's or Unleash's hash says who gets what; keys alone cannot, because it hashes ids."""
    for assignment in (
        GrowthBook("key", ("control", "treatment")),
        Unleash("key", {"control": 1, "treatment": 1}),
    ):
        experiment = Experiment("any", assignment, holdouts=[Holdout(0.2, "all")])
        held = Holdout(0.2, "all").holds(SUBJECTS)
        assert (experiment.assign(SUBJECTS) == np.where(held, -1, assignment.assign(SUBJECTS))).all()
        assert experiment.variants == ("control", "treatment")
        with pytest.raises(ConfigurationError, match="assign"):
            experiment.assign_keys(KEYS)
        with pytest.raises(ConfigurationError, match="no shares"):
            experiment.resized({"control": 0.1})


def test_parts_that_do_not_fit_are_refused() -> None:
    """A name that is none, an assignment that is none, a salt where it does nothing, a share that is none."""
    with pytest.raises(ConfigurationError, match="name"):
        Experiment("", {"a": 0.5})
    with pytest.raises(ConfigurationError, match="assignment"):
        Experiment("any", object())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="salt"):
        Experiment("any", GrowthBook("key", ("a", "b")), salt="x")
    with pytest.raises(ConfigurationError, match="share"):
        Holdout(1.5, "all")
    with pytest.raises(ConfigurationError, match="share"):
        Layer("checkout", {"a": 2.0})


@pytest.mark.parametrize("bad", ["one", [1], [""], ["x" * 10_000], ["\ud800"]], ids=repr)
def test_who_cannot_be_stored_cannot_be_assigned(bad: object) -> None:
    """And is not named."""
    experiment = Experiment("any", {"control": 0.5, "treatment": 0.5})
    for ask in (experiment.assign, Hashed(Shares.of({"a": 1.0}), "x").assign, Holdout(0.1, "x").holds):
        with pytest.raises(InvalidSubjectError) as caught:
            ask(bad)  # type: ignore[arg-type]
        assert isinstance(caught.value, AgenticError)
