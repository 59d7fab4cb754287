"""Unleash's own cases: gradual rollouts and weighted variants."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from agentic.errors import ConfigurationError
from agentic.experiments import Experiment, Unleash, unleash_number
from agentic.experiments._buckets import murmur3
from shared_data import shared

FILES = {  # cases that are about bucketing, and how many there are in all
    "03-gradual-rollout-user-id-strategy": (6, 6),
    "04-gradual-rollout-session-id-strategy": (6, 6),
    "05-gradual-rollout-random-strategy": (4, 4),  # at random, so that only 0 and 100 % are asked
    "08-variants": (16, 17),  # one asks for a feature that is not there
    "10-flexible-rollout-strategy": (10, 10),
    "12-custom-stickiness": (9, 9),
    "16-strategy-variants": (8, 11),  # three have constraints
}


def sticky(context: dict[str, Any], stickiness: str) -> str | None:
    if stickiness == "default":
        return context.get("userId") or context.get("sessionId")
    found = context.get(stickiness) or context.get("properties", {}).get(stickiness)
    return found if isinstance(found, str) else None


class OutOfScopeError(Exception):
    pass


def enabled(feature: dict[str, Any], context: dict[str, Any]) -> tuple[bool, dict[str, Any]]:
    """Whether one strategy lets this context in, and which it was."""
    if not feature["enabled"]:
        return False, {}
    for strategy in feature["strategies"]:
        if strategy.get("constraints"):
            raise OutOfScopeError
        wanted = strategy.get("parameters", {})
        name = strategy["name"]
        if name == "default":
            return True, strategy
        kind = {
            "flexibleRollout": ("rollout", wanted.get("stickiness", "default")),
            "gradualRolloutUserId": ("percentage", "userId"),
            "gradualRolloutSessionId": ("percentage", "sessionId"),
            "gradualRolloutRandom": ("percentage", "random"),
        }
        field, stickiness = kind[name]
        share = int(wanted[field])
        subject = sticky(context, stickiness)
        if subject is None:
            inside = share == 100 and stickiness in {"default", "random"}
        else:
            rollout = Unleash(wanted["groupId"], {"on": 1}, rollout=share)
            inside = rollout.assign([subject]).tolist() == [0]
        if inside:
            return True, strategy
    return not feature["strategies"], {}


def chosen(feature: dict[str, Any], context: dict[str, Any]) -> str:
    """The name of the variant."""
    on, strategy = enabled(feature, context)
    variants, group = strategy.get("variants"), strategy.get("parameters", {}).get("groupId")
    stickiness = strategy.get("parameters", {}).get("stickiness", "default")
    if not variants:
        variants, group = feature.get("variants", ()), feature["name"]
    if not on or not variants:
        return "disabled"
    stickiness = variants[0].get("stickiness", stickiness)
    subject = sticky(context, stickiness)
    if subject is None:
        return str(variants[0]["name"])  # at random: only single variants are asked so
    remembered = {
        value: variant["name"]
        for variant in variants
        for override in variant.get("overrides", ())
        for value in override["values"]
        if override["contextName"] == "userId"
    }
    assignment = Unleash(group, {variant["name"]: variant["weight"] for variant in variants})
    return Experiment("any", assignment).variant(subject, remembered=remembered) or "disabled"


@pytest.mark.parametrize("file", FILES)
def test_unleash_assigns_as_its_specification_says(file: str) -> None:
    """Every case that is decided by a hash; constraints are not."""
    found = json.loads(
        shared("vectors", "unleash", "specifications", f"{file}.json").read_text(encoding="utf-8")
    )
    features = {feature["name"]: feature for feature in found["state"]["features"]}
    passed, asked = 0, 0
    for kind, answer in (("tests", enabled), ("variantTests", chosen)):
        for case in found.get(kind, ()):
            asked += 1
            if case["toggleName"] not in features:
                continue
            try:
                got = answer(features[case["toggleName"]], case["context"])
            except OutOfScopeError:
                continue
            if kind == "tests":
                assert got[0] == case["expectedResult"], case["description"]
            else:
                assert got == case["expectedResult"]["name"], case["description"]
            passed += 1
    assert (passed, asked) == FILES[file]


def murmur(raw: bytes, seed: int) -> int:
    """MurmurHash3 x86 32, as its author writes it."""
    h, whole = seed, len(raw) // 4 * 4

    def mixed(k: int) -> int:
        k = k * 0xCC9E2D51 & 0xFFFFFFFF
        return (k << 15 | k >> 17) * 0x1B873593 & 0xFFFFFFFF

    for start in range(0, whole, 4):
        h ^= mixed(int.from_bytes(raw[start : start + 4], "little"))
        h = ((h << 13 | h >> 19) * 5 + 0xE6546B64) & 0xFFFFFFFF
    h ^= mixed(int.from_bytes(raw[whole:], "little"))
    h ^= len(raw)
    h = (h ^ h >> 16) * 0x85EBCA6B & 0xFFFFFFFF
    h = (h ^ h >> 13) * 0xC2B2AE35 & 0xFFFFFFFF
    return h ^ h >> 16


@given(some.lists(some.text(some.characters(codec="utf-8")), max_size=12), some.integers(0, 2**32 - 1))
def test_many_texts_hash_as_each_alone(texts: list[str], seed: int) -> None:
    """Whatever is in them, and whoever stands beside them."""
    found = murmur3(texts, prefix="größe:", seed=seed)
    assert found.tolist() == [murmur(f"größe:{text}".encode(), seed) for text in texts]


def test_the_published_numbers_of_the_normalised_hash() -> None:
    """As Unleash's own SDKs test them."""
    assert unleash_number("gr1", ["123"]).tolist() == [73]
    assert unleash_number("groupX", ["999"]).tolist() == [25]


def test_a_rollout_that_grows_takes_nobody_out() -> None:
    """And the variant stays."""
    subjects = [f"s{number}" for number in range(3000)]
    weights = {"a": 300, "b": 700}
    small = Unleash("group", weights, rollout=20).assign(subjects)
    large = Unleash("group", weights, rollout=70).assign(subjects)
    assert (large[small >= 0] == small[small >= 0]).all()
    assert abs(np.mean(large >= 0) - 0.7) < 4 * np.sqrt(0.7 * 0.3 / 3000)


def test_variants_without_weight_are_nobodys() -> None:
    """And what is no weight is refused."""
    assert Unleash("group", {"a": 0}).assign(["s1"]).tolist() == [-1]
    for weights in ({}, {"a": -1}, {"a": 0.5}, {"a": True}):
        with pytest.raises(ConfigurationError, match="weight"):
            Unleash("group", weights)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="rollout"):
        Unleash("group", {"a": 1}, rollout=101)
