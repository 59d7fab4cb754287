"""The feared loop: greed for clicks over-messages and loses what it lives on, and care does not."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import attrs
import numpy as np
import pytest

from agentic.errors import ConfigurationError
from agentic.policies import Fixed
from agentic.simulation import SCENARIOS, FearedLoop, Weekly, courses, feared_loop


@pytest.fixture(scope="module")
def found() -> FearedLoop:
    """Half a year is what the example shows; three months are enough for the tests."""
    return feared_loop(customers=300, weeks=14, seeds=range(20, 23))


def test_greed_pays_at_first(found: FearedLoop) -> None:
    """In the first two weeks it sends three times as many messages and gets half as many clicks again."""
    weeks = slice(0, 2)
    messages, clicks = found.difference("messages", weeks=weeks), found.difference("clicks", weeks=weeks)
    assert messages.low > 2.0 * messages.champion
    assert clicks.low > 0.5 * clicks.champion


def test_greed_wears_out_what_it_wants(found: FearedLoop) -> None:
    """After three months more messages bring half the clicks a week that they brought at first.

    Of the lead in clicks a week less than half is left, by the near ends of both 95 % intervals over seeds.
    """
    early, late = (
        found.difference("clicks", weeks=slice(0, 2)),
        found.difference("clicks", weeks=slice(-3, None)),
    )
    assert late.challenger / 3 < 0.5 * early.challenger / 2
    assert late.high / 3 < 0.5 * early.low / 2
    assert late.champion / 3 > 0.6 * early.champion / 2
    assert found.difference("messages", weeks=slice(-3, None)).low > 0.0


def test_greed_loses_trust_and_people(found: FearedLoop) -> None:
    """Trust falls by a fifth, two in ten more unsubscribe or leave, and complaints appear."""
    differences = found.differences()
    assert differences["trust"].high < -0.15
    assert differences["trust"].champion > 0.95
    assert differences["left"].low > 0.03
    assert differences["unsubscribes"].low > 0.2
    assert differences["complaints"].low > 0.1


def test_greed_loses_value_in_all_and_from_each_who_stayed(found: FearedLoop) -> None:
    """Over the whole horizon a tenth at least, and at last a tenth a week from every customer who is left.

    Value is the margin of purchases less the price of messages, so not what either agent is paid for.
    """
    differences = found.differences()
    assert differences["value"].high < -0.1 * differences["value"].champion
    assert differences["late_value"].high < -0.1 * differences["late_value"].champion


def test_it_is_the_scenario_and_not_the_code() -> None:
    """Where messages neither tire nor annoy, the greedy agent loses nobody and no value but their price."""
    harmless = attrs.evolve(
        SCENARIOS["news_clicks"], annoyance=0.0, dulling=0.0, trust_loss=0.0, complaints=0.0, lift=0.0
    )
    free = attrs.evolve(harmless, messages=SCENARIOS["nothing_works"].messages)
    found = feared_loop(scenario=free, customers=60, weeks=4, seeds=(1, 2))
    differences = found.differences()
    assert all(differences[name].difference == 0.0 for name in ("left", "trust", "unsubscribes", "purchases"))
    assert differences["value"].difference == pytest.approx(-differences["cost"].difference)
    assert differences["clicks"].low > 0.0


def test_series_are_means_over_seeds(found: FearedLoop) -> None:
    """Every column of the weeks, and the value; a wrong name is told which there are."""
    assert found.weeks == 14
    for measure in ("messages", "trust", "active"):
        greedy, careful = found.series(measure)
        assert greedy.shape == careful.shape == (14,)
        np.testing.assert_allclose(greedy, np.mean([getattr(one, measure) for one in found.greedy], axis=0))
    value, _ = found.series("value")
    np.testing.assert_allclose(value, np.mean([one.profit(found.margin) for one in found.greedy], axis=0))
    for call in (found.series, found.difference):
        with pytest.raises(ConfigurationError, match="no weekly measure 'joy': choose one of"):
            call("joy")


def test_the_picture_shows_both_in_words_as_well(found: FearedLoop) -> None:
    """Six panels of two lines within them, described for who cannot see it."""
    root = ET.fromstring(courses(found))
    space = "{http://www.w3.org/2000/svg}"
    lines = root.findall(f"{space}polyline")
    assert [line.get("class") for line in lines] == ["greedy", "careful"] * 6
    for line in lines:
        points = np.array([point.split(",") for point in (line.get("points") or "").split()], dtype=float)
        assert len(points) == found.weeks
        assert points[:, 0].min() >= 60.0
        assert points[:, 0].max() <= 1040.0
        assert points[:, 1].min() >= 100.0
        assert points[:, 1].max() <= 640.0
    told = root.findtext(f"{space}desc") or ""
    assert "trust of those who stayed: careful" in told
    assert "news_clicks" in courses(found)


@pytest.mark.parametrize("weeks", [1, 2, 90])
def test_a_picture_of_any_length_can_be_drawn(weeks: int) -> None:
    """One week is a point, and nothing at all is a line at the bottom."""
    side = tuple(Weekly.empty(weeks) for _ in range(2))
    flat = FearedLoop(SCENARIOS["retail"], 10, 0.25, (1, 2), side, side)
    assert "nan" not in courses(flat)
    ET.fromstring(courses(flat))


def test_any_policy_and_progress() -> None:
    """Two agents for each seed, told one by one; a policy that does nothing differs in nothing."""
    steps: list[tuple[int, int]] = []
    found = feared_loop(
        Fixed("no_action"),
        customers=20,
        weeks=1,
        seeds=(1, 2),
        progress=lambda done, total: steps.append((done, total)),
    )
    assert steps == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert all(one.difference == 0.0 for one in found.differences().values())
    with pytest.raises(ConfigurationError, match="seeds must be"):
        feared_loop(seeds=[1])
