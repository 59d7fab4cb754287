"""The plot is XML that shows every policy, by its real name, with no name upon another."""

from __future__ import annotations

import itertools
import math
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentic.economics import Mean, Prices, plot
from agentic.economics._axes import LogAxis, even_ticks, number
from agentic.economics._labels import Box, placed
from boards import Result, board, found, row

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "</text><script>alert('x')</script>&amp;\"'>"
COSTS = st.floats(min_value=0.0, max_value=1e6) | st.just(0.0)
POINTS = st.lists(
    st.tuples(st.floats(min_value=-50.0, max_value=120.0), COSTS, st.floats(min_value=0.1, max_value=1e5)),
    min_size=1,
    max_size=10,
)


def drawn(one: Any) -> ET.Element:
    return ET.fromstring(plot(one))


def names_in(root: ET.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text") if "name" in text.get("class", "")]


def test_every_policy_is_shown_in_both_panels() -> None:
    """A point, a name and a hint each, twice; the picture has a title and is told in words."""
    names = ["rules", "learner", HOSTILE, "\N{SNOWMAN} & co", "x" * 60]
    root = drawn(board([row(name, 90.0 - i, 1.0 + i, us=9.0 + i) for i, name in enumerate(names)]))
    shown = names_in(root)
    for name in names:
        assert shown.count(name if len(name) <= 26 else f"{name[:25]}…") == 2
        hints = [g.findtext(f"{SVG}title") or "" for g in root.iter(f"{SVG}g")]
        assert sum(hint.startswith(f"{name}: ") for hint in hints) == 2
        assert name in (root.findtext(f"{SVG}desc") or "")
    assert len(list(root.iter(f"{SVG}circle"))) == 2 * len(names)
    assert root.get("role") == "img"
    labelled = (root.get("aria-labelledby") or "").split()
    assert [child.get("id") for child in root if child.get("id")] == labelled
    assert not list(root.iter(f"{SVG}script"))


def test_the_plot_needs_nothing_from_elsewhere() -> None:
    """No links, scripts, images or fonts, and both light and dark."""
    text = plot(board([row("a", 1.0, 1.0)]))
    assert text.count("http") == 1  # the name of the language
    assert "prefers-color-scheme: dark" in text
    assert "url(" not in text
    assert "@import" not in text


def test_what_is_on_the_frontier_is_filled() -> None:
    """One circle of each efficient policy in each panel, and a line through them."""
    one = board(
        [row("weak", 20.0, 1.0, us=9.0), row("waste", 10.0, 2.0, us=10.0), row("good", 45.0, 3.0, us=8.0)]
    )
    root = drawn(one)
    best = [circle for circle in root.iter(f"{SVG}circle") if "best" in (circle.get("class") or "")]
    assert len(best) == len(one.efficient()) + len(one.efficient("compute")) == 3
    assert len(list(root.iter(f"{SVG}polyline"))) == 2


@given(POINTS)
@settings(max_examples=40)
def test_points_stay_inside_whatever_they_cost(figures: list[tuple[float, float, float]]) -> None:
    """Free or dear, better than the oracle or worse than nothing: all coordinates are finite and inside."""
    one = board([row(f"policy {i}", b, c, us=us) for i, (b, c, us) in enumerate(figures)])
    root = drawn(one)
    for circle in root.iter(f"{SVG}circle"):
        assert 0.0 <= float(circle.get("cx", "nan")) <= 1064.0
        assert 84.0 <= float(circle.get("cy", "nan")) <= 478.0
    for text in root.iter(f"{SVG}text"):
        assert 0.0 <= float(text.get("x", "nan")) <= 1064.0
        assert 0.0 <= float(text.get("y", "nan")) <= 560.0


def test_better_stands_higher_and_dearer_further_right() -> None:
    """The axes run the usual way."""
    circles = list(
        drawn(board([row("a", 20.0, 1.0, us=9.0), row("b", 45.0, 3.0, us=18.0)])).iter(f"{SVG}circle")
    )
    for low, high in (circles[:2], circles[2:]):
        assert float(low.get("cx", "")) < float(high.get("cx", ""))
        assert float(low.get("cy", "")) > float(high.get("cy", ""))


def test_without_shares_plain_benefit_is_drawn() -> None:
    """Where nothing is attainable, and where nothing is known of errors or costs."""
    none = found(nothing=[0.0], oracle=[0.0], a=[Result(5.0)], b=[Result(0.0, 1.0)])
    text = plot(none)
    assert "benefit per 1,000 decisions" in text
    assert "nan" not in text
    assert "no share" in text
    free = board([row("a", 20.0, 1.0)], prices=Prices(core_hour=0.0, message=0.0))
    assert names_in(drawn(free)) == ["a", "a"]


def test_intervals_are_drawn_where_there_are_any() -> None:
    """From bound to bound; a single seed has none."""
    wide = attrs.evolve(row("a", 40.0, 1.0), share=Mean(0.4, 0.05, 0.2, 0.6))
    bars = [line for line in drawn(board([wide])).iter(f"{SVG}line") if line.get("class") == "bar"]
    assert len(bars) == 2
    high, low = (float(bars[0].get(end, "nan")) for end in ("y1", "y2"))
    assert low - high == pytest.approx(0.4 * (478.0 - 84.0) / 1.1, rel=0.01)
    single = found(nothing=[0.0], oracle=[10.0], a=[Result(9.0, 1.0)])
    assert not [line for line in drawn(single).iter(f"{SVG}line") if line.get("class") == "bar"]


# -- names of points ------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.floats(min_value=66.0, max_value=444.0), st.floats(min_value=84.0, max_value=478.0)),
        min_size=1,
        max_size=10,
    ),
    st.integers(min_value=3, max_value=26),
)
@settings(max_examples=60)
def test_no_name_covers_another(points: list[tuple[float, float]], letters: int) -> None:
    """Ten points anywhere, all at one place among it: names stay apart and inside."""
    inside = Box(66.0, 80.0, 444.0, 478.0)
    sizes = [(7.0 * letters + 4.0, 16.5)] * len(points)
    boxes = placed(points, sizes, [], [], [], inside)
    for one, other in itertools.combinations(boxes, 2):
        assert one.overlap(other) == 0.0
    assert all(box.within(inside) for box in boxes)


def test_names_keep_off_points_and_lines() -> None:
    """A name goes where nothing is, even if that is not the nearest place."""
    wall = Box(300.0, 0.0, 400.0, 500.0)
    (box,) = placed([(295.0, 200.0)], [(60.0, 16.0)], [wall], [], [], Box(0.0, 0.0, 500.0, 500.0))
    assert box.overlap(wall) == 0.0
    (box,) = placed([(295.0, 200.0)], [(60.0, 16.0)], [], [wall], [], Box(0.0, 0.0, 500.0, 500.0))
    assert box.overlap(wall) == 0.0


def test_a_name_that_fits_nowhere_stays_at_its_point() -> None:
    """There is no better place for it."""
    (box,) = placed([(5.0, 5.0)], [(900.0, 16.0)], [], [], [], Box(0.0, 0.0, 100.0, 100.0))
    assert (box.left, box.top) == (5.0, 5.0)


# -- axes -----------------------------------------------------------------------------------------


@given(st.lists(st.floats(min_value=1e-12, max_value=1e12), min_size=1, max_size=6))
def test_a_logarithmic_axis_holds_everything_and_has_some_ticks(values: list[float]) -> None:
    """Every value lies between the ends, in order; one to seven round numbers stand beside it."""
    axis = LogAxis.over(values, 100.0, 500.0)
    places = [axis.place(value) for value in sorted(values)]
    assert places == sorted(places)
    assert all(100.0 < place < 500.0 for place in places)
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 8
    assert ticks == sorted(set(ticks))
    assert all(99.9 <= axis.place(tick) <= 500.1 for tick in ticks)


def test_what_is_free_stands_at_the_beginning() -> None:
    """A logarithm of 0 there is not; the axis begins with a 0 instead."""
    axis = LogAxis.over([0.0, 1.0, 100.0], 100.0, 500.0)
    assert axis.place(0.0) == 100.0
    assert axis.ticks()[0] == 0.0
    assert LogAxis.over([0.0], 100.0, 500.0).place(0.0) == 100.0


@given(st.floats(min_value=-1e6, max_value=1e6), st.floats(min_value=1e-3, max_value=1e6))
def test_even_ticks_are_even(low: float, span: float) -> None:
    """Two to seven of them, inside, at equal distances."""
    ticks = even_ticks(low, low + span)
    assert 2 <= len(ticks) <= 7
    assert ticks[0] >= low - 1e-6 * span
    assert ticks[-1] <= low + span * (1.0 + 1e-6)
    for one, other in itertools.pairwise(ticks):
        assert other - one == pytest.approx(ticks[1] - ticks[0], rel=1e-6, abs=1e-9 * abs(low))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (4.5, "4.5"),
        (1500.0, "1,500"),
        (1e-6, "10⁻⁶"),
        (2.5e-7, "2.5×10⁻⁷"),
        (3e9, "3×10⁹"),
    ],
    ids=str,
)
def test_numbers_are_short(value: float, shown: str) -> None:
    """As plain numbers where they are of everyday size, else with a power of ten."""
    assert number(value) == shown
    assert math.isfinite(value)
