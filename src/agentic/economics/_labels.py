"""Where do the names of points go, so that none hides another, a point or a line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import attrs

_DIRECTIONS: Final = tuple(
    (math.cos(angle * math.pi / 8), math.sin(angle * math.pi / 8))
    for angle in (0, 8, 15, 1, 9, 7, 12, 4, 14, 2, 10, 6, 13, 3, 11, 5)
)
_RADII: Final = (9.0, 16.0, 26.0, 40.0, 58.0, 80.0, 106.0, 136.0, 170.0, 210.0, 260.0, 320.0)

_STEPS: Final = 12
_CROWD: Final = 60.0
# In pixels of distance: what a label would go out of its way for.
_LINE, _BAR, _CROSSING = 60.0, 12.0, 200.0

Point = tuple[float, float]


@attrs.frozen
class Box:
    """A rectangle in pixels, ``top`` above ``bottom``."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box, /) -> float:
        """Area in common."""
        wide = min(self.right, other.right) - max(self.left, other.left)
        high = min(self.bottom, other.bottom) - max(self.top, other.top)
        return wide * high if wide > 0.0 and high > 0.0 else 0.0

    def within(self, other: Box, /) -> bool:
        """Whether all of it lies inside the other."""
        return (
            self.left >= other.left
            and self.right <= other.right
            and self.top >= other.top
            and self.bottom <= other.bottom
        )

    def nearest(self, x: float, y: float, /) -> tuple[float, float]:
        """The point of the box that is nearest to a place."""
        return min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)


def placed(
    points: Sequence[Point],
    sizes: Sequence[Point],
    taken: Sequence[Box],
    lines: Sequence[Box],
    bars: Sequence[Box],
    inside: Box,
    /,
) -> list[Box]:
    """Find a place for the label of each point, close by, clear of everything.

    Where there is no clear place, labels still do not cover each other if there is any way to avoid it. Who
    comes first has the best choice, so several orders are tried.

    Args:
        points: Where they are.
        sizes: Width and height of each label.
        taken: What no label may cover.
        lines: What labels had better not cover.
        bars: What they may cover where that keeps them near.
        inside: Where labels have to stay.
    """
    every = list(range(len(points)))
    crowd = [sum(math.dist(one, other) < _CROWD for other in points) for one in points]
    orders = (
        every,
        sorted(every, key=lambda i: -crowd[i]),
        sorted(every, key=lambda i: points[i][1]),
        sorted(every, key=lambda i: -points[i][1]),
        sorted(every, key=lambda i: points[i][0]),
        sorted(every, key=lambda i: -points[i][0]),
    )
    blocks = [(1e3, list(taken)), (_LINE, list(lines)), (_BAR, list(bars))]
    tries = [_tried(order, points, sizes, blocks, inside) for order in orders]
    _, found = min(tries, key=lambda one: one[0])
    return [found[i] for i in every]


def _tried(
    order: Sequence[int],
    points: Sequence[Point],
    sizes: Sequence[Point],
    blocks: Sequence[tuple[float, list[Box]]],
    inside: Box,
) -> tuple[float, dict[int, Box]]:
    """Place labels in this order, each where it costs least: distance, and what it covers or crosses."""
    total, out = 0.0, dict[int, Box]()
    leaders: list[Box] = []  # small boxes along the way from points to their labels
    for i in order:
        (x, y), (width, height) = points[i], sizes[i]
        best, least = Box(x, y, x + width, y + height), math.inf
        for radius in _RADII:
            for across, down in _DIRECTIONS:
                box = _beside(x, y, across, down, radius, width, height)
                price = radius + 1e6 * any(box.overlap(other) for other in out.values())
                for each, boxes in blocks:
                    price += each * any(box.overlap(other) for other in boxes)
                if price >= least or not box.within(inside):
                    continue
                way = _way(x, y, box)
                price += _CROSSING * any(box.overlap(other) for other in leaders)
                price += _CROSSING * any(step.overlap(other) for step in way for other in out.values())
                if price < least:
                    best, least = box, price
            if least <= radius:
                break
        out[i] = best
        leaders += _way(x, y, best)
        total += least
    return total, out


def _way(x: float, y: float, box: Box) -> list[Box]:
    """The straight way from a point to its label, as small boxes."""
    near, by = box.nearest(x, y)
    steps = [(x + (near - x) * i / _STEPS, y + (by - y) * i / _STEPS) for i in range(_STEPS)]
    return [Box(across - 1.0, down - 1.0, across + 1.0, down + 1.0) for across, down in steps]


def _beside(
    x: float, y: float, across: float, down: float, radius: float, width: float, height: float
) -> Box:
    """A label in this direction from a point, its nearest edge about ``radius`` away."""
    left = x + across * radius - width * (1.0 - across) / 2.0
    top = y + down * radius - height * (1.0 - down) / 2.0
    return Box(left, top, left + width, top + height)
