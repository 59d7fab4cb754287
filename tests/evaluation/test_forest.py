"""How a comparison looks: as a table, as a drawing, as a page; with hostile names, and without support."""

from __future__ import annotations

import html.parser
import math
import xml.etree.ElementTree as ET
from collections.abc import Sequence

import attrs
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentic.evaluation import IPW, Compared, Comparison, Estimate, Logged, estimate, forest, forest_page

NAMES = [
    "<script>alert(1)</script>",
    'a" onload="x',
    "\x00\x1b[31m\ud800",
    "&amp;",
    "x" * 300,
    "\u202eevil",
    "",
]
VERDICTS = ["ok", "weak", "insufficient support"]
SPACE = "{http://www.w3.org/2000/svg}"


def made(value: float = 0.3, n: int = 400) -> Estimate:
    """An estimate with support."""
    dice = np.random.default_rng(1)
    reward = (dice.random(n) < value).astype(float)
    logged = Logged(dice.integers(0, 2, n), reward, probability=np.full(n, 0.5))
    return estimate(logged, np.full((n, 2), 0.5), estimator=IPW())


def row(
    policy: str,
    value: float = 0.3,
    width: float = 0.1,
    *,
    by: str = "",
    segment: str = "",
    verdict: str = "ok",
) -> Compared:
    base = made()
    reasons = () if verdict == "ok" else ("one row holds 12 % of all weight",)
    facts = attrs.evolve(base.diagnostics, verdict=verdict, reasons=reasons)
    bounds = {"low": value - width, "high": value + width, "standard_error": width / 2}
    if verdict not in {"ok", "weak"}:
        bounds = {"low": -math.inf, "high": math.inf, "standard_error": math.inf}
    found = attrs.evolve(base, value=value, diagnostics=facts, **bounds)
    gain = 0.0 if policy == "as logged" else value - 0.3
    low, high = (bounds["low"] - 0.3, bounds["high"] - 0.3) if policy != "as logged" else (0.0, 0.0)
    return Compared(policy, by, segment, found, gain, low, high)


def compared(rows: Sequence[Compared], **more: int) -> Comparison:
    return Comparison("shop", 0.95, tuple(rows), **more)


USUAL = compared(
    [
        row("as logged"),
        row("bold", 0.4),
        row("shy", 0.25, 0.2, verdict="weak"),
        row("strange", 9.0, verdict="insufficient support"),
        row("as logged", 0.2, by="tier", segment="gold"),
        row("bold", 0.5, by="tier", segment="gold"),
        row("shy", 0.5, 90.0, by="tier", segment="gold", verdict="weak"),
    ],
    erased=3,
)


def test_a_table_says_insufficient_support_in_place_of_a_number() -> None:
    """The number that looks precise is nowhere; weak rows are marked, and reasons stand below."""
    told = str(USUAL)
    assert "9.0" not in told
    lines = {line.split("  ")[1].strip(): line for line in told.splitlines() if line.startswith("  ")}
    assert "insufficient support" in lines["strange"]
    assert any(line.endswith(" ?") for line in told.splitlines())
    assert "shy: one row holds 12 % of all weight" in told
    assert "left out: 3 decisions, because their subjects were erased" in told
    assert "level=0.975" in told  # two intervals in segments: 1 - 0.05 / 2
    assert "+0.100" in told
    assert max(map(len, told.splitlines())) <= 110


def test_a_drawing_needs_nothing_else_and_has_a_description() -> None:
    """Parsable, with title and description, no script, nothing fetched; a point for each supported row."""
    root = ET.fromstring(forest(USUAL))  # our own text
    assert root.get("role") == "img"
    title, described = root.find(f"{SPACE}title"), root.find(f"{SPACE}desc")
    assert title is not None
    assert described is not None
    assert described.text is not None
    assert "strange: insufficient support" in described.text
    assert "shy where tier is gold" in described.text
    assert len(root.findall(f".//{SPACE}circle")) == 6
    assert len(root.findall(f".//{SPACE}polygon")) == 2  # an interval far beyond the axis, at both ends
    text = forest(USUAL)
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    assert "prefers-color-scheme: dark" in text


def test_everything_in_a_drawing_stays_inside() -> None:
    """Points, bars and the beginnings of texts lie within the drawing, marks on the axis."""
    root = ET.fromstring(forest(USUAL))
    width, height = (float(root.attrib[name]) for name in ("width", "height"))
    for each in root.iter():
        for name in ("x", "x1", "x2", "cx"):
            if name in each.attrib:
                assert 0.0 <= float(each.attrib[name]) <= width
        for name in ("y", "y1", "y2", "cy"):
            if name in each.attrib:
                assert 0.0 <= float(each.attrib[name]) <= height
    for line in root.iter(f"{SPACE}line"):
        if line.get("class") == "bar":
            assert 232.0 <= float(line.attrib["x1"]) <= float(line.attrib["x2"]) <= 592.0


class Page(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= {name for name, _ in attrs}
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def read(text: str) -> Page:
    page = Page()
    page.feed(text)
    page.close()
    assert page.open == []
    return page


def test_a_page_is_a_table_without_scripts() -> None:
    """Balanced, with a row for each; headers have scopes, and the drawing is not read aloud."""
    page = read(forest_page(USUAL))
    assert page.tags.count("tr") == 1 + 7 + 1
    assert "script" not in page.tags
    assert not {name for name in page.attributes if name.startswith("on") or name in {"src", "href"}}
    assert {"scope", "aria-hidden", "lang"} <= page.attributes
    told = forest_page(USUAL)
    assert "insufficient support" in told
    assert "9.0" not in told
    assert "left out: 3 decisions" in told
    assert 'name="viewport"' in told


@pytest.mark.parametrize("name", NAMES, ids=range(len(NAMES)))
def test_names_are_text_wherever_they_stand(name: str) -> None:
    """Of agents, policies, features and segments: nothing of them becomes markup."""
    rows = [row("as logged"), row(name, 0.4), row(name, 0.2, by=name or "by", segment=name, verdict="weak")]
    found = Comparison(name, 0.95, tuple(rows))
    root = ET.fromstring(forest(found))
    assert not root.findall(f".//{SPACE}script")
    page = read(forest_page(found))
    assert "script" not in page.tags
    assert not {each for each in page.attributes if each.startswith("on")}
    forest_page(found).encode()
    str(found).encode()


@given(
    st.lists(
        st.tuples(
            st.floats(-1e12, 1e12),
            st.floats(0.0, 1e12),
            st.sampled_from(["ok", "weak", "insufficient support"]),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_any_figures_can_be_shown(rows: list[tuple[float, float, str]]) -> None:
    """Huge, tiny, equal, negative, without support: table, drawing and page come out."""
    first, *others = [row(f"p{i}", *each[:2], verdict=each[2]) for i, each in enumerate(rows)]
    found = compared([attrs.evolve(first, policy="as logged"), *others])
    ET.fromstring(forest(found))
    read(forest_page(found))
    assert str(found)


def test_policies_alone_can_be_shown() -> None:
    """One row, all alike: there is still an axis."""
    only = compared([row("as logged", 0.0, 0.0)])
    ET.fromstring(forest(only))
    read(forest_page(only))
    nothing = compared([row("as logged", verdict="insufficient support")])
    ET.fromstring(forest(nothing))
    assert "insufficient support" in str(nothing)
