"""What is hashed must be texts, and half a surrogate pair is one too."""

import numpy as np
import pytest

from agentic.errors import ConfigurationError
from agentic.experiments import GrowthBook, Unleash, growthbook_hash, unleash_number


def test_one_text_is_not_taken_for_its_letters() -> None:
    with pytest.raises(ConfigurationError, match="got a single one: put it into a list"):
        growthbook_hash("seed", "abc")
    with pytest.raises(ConfigurationError, match="got a single one: put it into a list"):
        unleash_number("group", "abc")


@pytest.mark.parametrize("bad", [7, None, b"x"], ids=str)
def test_an_id_that_is_no_text_is_named_by_its_place(bad: object) -> None:
    ids = ["a", bad]
    with pytest.raises(ConfigurationError, match=r"subject 1 must be a text, got .* str"):
        GrowthBook("key", ["off", "on"]).assign(ids)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"subject 1 must be a text, got .* str"):
        Unleash("group", {"on": 1}).assign(ids)  # type: ignore[arg-type]


def test_half_a_surrogate_pair_counts_as_the_replacement_character() -> None:
    halves = unleash_number("g", ["a\ud800b", "\udc00", "ok"])
    assert np.array_equal(halves, unleash_number("g", ["a\ufffdb", "\ufffd", "ok"]))


def test_what_cannot_be_run_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="buckets must be 1 or more, got 0"):
        unleash_number("g", ["a"], buckets=0)
    with pytest.raises(ConfigurationError, match="weights must map"):
        Unleash("g", ["a"])  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="a name of its own"):
        GrowthBook("key", ["a", "a"])
