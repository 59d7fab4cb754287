"""GrowthBook's own cases: hashes, ranges, namespaces, and what experiments and rules make of them."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from agentic.errors import ConfigurationError
from agentic.experiments import (
    Experiment,
    Filter,
    GrowthBook,
    GrowthBookRollout,
    bucket_ranges,
    choose_variation,
    growthbook_hash,
    namespace,
)
from shared_data import shared

BUCKETING = {
    "key",
    "name",
    "variations",
    "weights",
    "coverage",
    "ranges",
    "range",
    "seed",
    "hashVersion",
    "hashAttribute",
    "filters",
    "namespace",
    "meta",
    "phase",
    "force",
    "id",
}
FILES = ["cases.json", "cases.sdk-js.json"]


@cache
def cases(file: str) -> dict[str, Any]:
    return dict(json.loads(shared("vectors", "growthbook", file).read_text(encoding="utf-8")))


@pytest.mark.parametrize("file", FILES)
def test_hashes(file: str) -> None:
    """Both versions; another one is refused."""
    for seed, value, version, expected in cases(file)["hash"]:
        if expected is None:
            with pytest.raises(ConfigurationError, match="version"):
                growthbook_hash(seed, [value], version=version)
        else:
            assert growthbook_hash(seed, [value], version=version).tolist() == [expected]


@pytest.mark.parametrize("file", FILES)
def test_ranges_and_choices(file: str) -> None:
    """Ranges from weights and coverage, equal weights, and who lies in which."""
    for name, (variations, coverage, weights), expected in cases(file)["getBucketRange"]:
        found = bucket_ranges(variations, coverage=coverage, weights=weights)
        assert np.allclose(found, expected, rtol=0.0, atol=1e-12), name
    for variations, expected in cases(file)["getEqualWeights"]:
        found = [high - low for low, high in bucket_ranges(variations)]
        assert found == pytest.approx(expected, abs=1e-8)
    for name, place, ranges, chosen in cases(file)["chooseVariation"]:
        assert choose_variation(np.array([place]), ranges).tolist() == [chosen], name


@pytest.mark.parametrize("file", FILES)
def test_namespaces(file: str) -> None:
    """Who is in which part of a namespace."""
    for name, subject, (key, low, high), expected in cases(file)["inNamespace"]:
        assert namespace(key, low, high).includes([subject]).tolist() == [expected], name


def text(value: object) -> str:
    return "" if value is None else str(value)


def let_in(rule: dict[str, Any], attributes: dict[str, Any]) -> tuple[bool, list[Filter]]:
    """Filters by other attributes are asked here, those by the subject go with the assignment."""
    own = rule.get("hashAttribute", "id")
    mine, others = [], True
    if "filters" in rule:
        for one in rule["filters"]:
            made = Filter(one["seed"], one["ranges"], one.get("hashVersion", 2))
            attribute = one.get("attribute", own)
            if attribute == own:
                mine.append(made)
            else:
                others &= bool(made.includes([text(attributes.get(attribute))])[0])
    elif "namespace" in rule:
        mine.append(namespace(*rule["namespace"]))
    return others, mine


def bucket(key: str, rule: dict[str, Any], attributes: dict[str, Any]) -> int:
    """The variation that an experiment rule gives, or -1."""
    if len(rule["variations"]) < 2:
        return -1
    others, filters = let_in(rule, attributes)
    found = GrowthBook(
        rule.get("key", key),
        [str(number) for number in range(len(rule["variations"]))],
        weights=rule.get("weights"),
        coverage=rule.get("coverage", 1.0),
        seed=rule.get("seed"),
        version=rule.get("hashVersion", 1),
        ranges=rule.get("ranges"),
        filters=filters,
    ).assign([text(attributes.get(rule.get("hashAttribute", "id")))])
    return int(found[0]) if others else -1


def rolled_out(key: str, rule: dict[str, Any], attributes: dict[str, Any]) -> bool:
    """Whether a forced rule is rolled out to this subject."""
    others, filters = let_in(rule, attributes)
    if not filters and "coverage" not in rule and "range" not in rule:
        return others
    try:
        found = GrowthBookRollout(
            key,
            rule.get("coverage", 1.0),
            seed=rule.get("seed"),
            version=rule.get("hashVersion", 1),
            range=rule.get("range"),
            filters=filters,
        ).assign([text(attributes.get(rule.get("hashAttribute", "id")))])
    except ConfigurationError:
        return False
    return others and int(found[0]) == 0


RUN_OUT_OF_SCOPE = {
    "Force variation from context",
    "Prerequisite condition fails",
    "Prerequisite condition passes",
    "SavedGroups correctly pulled from context for experiment",
    "Skips experiments in QA mode",
    "Works in QA mode if forced in context",
    "Works in QA mode if forced in experiment",
    "coverage take precendence over forced",
    "evaluates conditions - fail",
    "evaluates conditions - pass",
    "globally disabled",
    "high forced variation",
    "negative forced variation",
    "querystring force",
    "querystring force with inactive",
    "run active experiments",
    "skip inactive experiments",
}


@pytest.mark.parametrize("file", FILES)
def test_experiments(file: str) -> None:
    """Every `run` case that is about bucketing; conditions, forcing and switches are not."""
    passed, left_out = 0, set()
    for name, context, experiment, value, inside, _ in cases(file)["run"]:
        if not set(context) <= {"attributes"} or not set(experiment) <= BUCKETING - {"force"}:
            left_out.add(name)
            continue
        found = bucket("", experiment, context.get("attributes", {}))
        assert (found >= 0) == inside, name
        assert experiment["variations"][max(found, 0)] == value, name
        passed += 1
    assert left_out == RUN_OUT_OF_SCOPE
    assert passed == 56


def decided(name: str, feature: dict[str, Any], attributes: dict[str, Any]) -> object:
    """The value of a feature whose rules are about bucketing alone."""
    for rule in feature.get("rules", ()):
        if "force" in rule:
            if rolled_out(name, rule, attributes):
                return rule["force"]
        elif "variations" in rule:
            found = bucket(name, rule, attributes)
            passing = found >= 0 and rule.get("meta", [{}] * 9)[found].get("passthrough", False)
            if found >= 0 and not passing:
                return rule["variations"][found]
    return feature.get("defaultValue")


@pytest.mark.parametrize(("file", "number"), [("cases.json", 27), ("cases.sdk-js.json", 29)])
def test_features(file: str, number: int) -> None:
    """Every `feature` case whose rules are about bucketing: forced rollouts, experiments, holdouts."""
    passed = 0
    for name, context, feature, expected in cases(file)["feature"]:
        found = context.get("features", {}).get(feature)
        rules = (found or {}).get("rules") or []
        if not set(context) <= {"attributes", "features"} or any(set(rule) - BUCKETING for rule in rules):
            continue
        if found is None:
            continue
        assert decided(feature, found, context.get("attributes", {})) == expected["value"], name
        passed += 1
    assert passed == number


@pytest.mark.parametrize("file", FILES)
def test_remembered_assignments(file: str) -> None:
    """GrowthBook's sticky buckets are `remembered`: who is in it keeps the variation, others are added."""
    for name, context, documents, feature, expected, after in cases(file)["stickyBucket"]:
        if name not in {
            "evaluates based on stored sticky bucket",
            "performs evaluation without sticky bucket",
        }:
            continue
        (rule,) = context["features"][feature]["rules"]
        subject = context["attributes"]["deviceId"]
        names = [meta["key"] for meta in rule["meta"]]
        experiment = Experiment(
            rule["key"],
            GrowthBook(rule["key"], names, weights=rule["weights"], seed=rule["seed"], version=2),
        )
        remembered = {one["attributeValue"]: one["assignments"]["feature-exp__0"] for one in documents}
        assert experiment.variant(subject, remembered=remembered) == expected["key"]
        assert remembered == {subject: after[f"deviceId||{subject}"]["assignments"]["feature-exp__0"]}


def fnv1a(text: str) -> int:
    value = 0x811C9DC5
    units = text.encode("utf-16-le", "surrogatepass")
    for low, high in zip(units[::2], units[1::2], strict=True):
        value = (value ^ (low | high << 8)) * 0x01000193 & 0xFFFFFFFF
    return value


@given(some.lists(some.text(), max_size=12), some.text(max_size=9))
def test_many_texts_hash_as_each_alone(texts: list[str], seed: str) -> None:
    """Whatever is in them, and whoever stands beside them."""
    first = growthbook_hash(seed, texts)
    second = growthbook_hash(seed, texts, version=2)
    assert first.tolist() == [fnv1a(text + seed) % 1000 / 1000 for text in texts]
    assert second.tolist() == [fnv1a(str(fnv1a(seed + text))) % 10000 / 10000 for text in texts]


def test_a_long_batch_is_hashed_in_parts() -> None:
    """A row's answer does not depend on where a part begins."""
    texts = [f"subject-{number % 20_011}" for number in range(40_000)]
    found = GrowthBook("key", ("a", "b"), version=2).assign(texts)
    assert found.tolist() == np.resize(found[:20_011], 40_000).tolist()


def test_what_growthbook_could_not_run_is_refused() -> None:
    """One variation, ranges for others, another hash."""
    with pytest.raises(ConfigurationError, match="two variations"):
        GrowthBook("key", ("a",))
    with pytest.raises(ConfigurationError, match="one for each variation"):
        GrowthBook("key", ("a", "b"), ranges=[(0.0, 1.0)])
    with pytest.raises(ConfigurationError, match="version"):
        GrowthBook("key", ("a", "b"), version=3)
