"""Treemaps: rectangles whose areas are to each other as sizes are, as square as can be.

Source: Bruls, Huizing, van Wijk, "Squarified Treemaps" (2000).
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Rectangle:
    """A rectangle; x and y are of its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Width times height."""
        return self.width * self.height

    def inset(self, sides: float, top: float) -> "Rectangle":
        """Return what is left within a border; of a small rectangle nothing may be left."""
        return Rectangle(
            self.x + sides,
            self.y + top,
            max(self.width - 2 * sides, 0),
            max(self.height - top - sides, 0),
        )


def squarify(sizes: Sequence[int], within: Rectangle) -> list[Rectangle]:
    """Return a rectangle for each of `sizes`, which are above 0 and the largest first.

    Together they fill `within`.
    """
    total = sum(sizes)
    if not total or not within.area:
        return [Rectangle(within.x, within.y, 0, 0) for _ in sizes]
    scale = within.area / total
    areas = [size * scale for size in sizes]
    found: list[Rectangle] = []
    start = 0
    while start < len(areas):
        side = min(within.width, within.height)
        end = start + 1
        worst = _worst(areas[start], areas[start], areas[start], side)
        row = areas[start]
        while end < len(areas):
            # The first is the largest of a row, and the last the smallest.
            next_worst = _worst(row + areas[end], areas[start], areas[end], side)
            if next_worst > worst:
                break
            worst = next_worst
            row += areas[end]
            end += 1
        placed, within = _place(areas[start:end], row, within)
        found += placed
        start = end
    return found


def _worst(row: float, largest: float, smallest: float, side: float) -> float:
    """Return how far from a square the worst one in a row is, at 1 or more."""
    if not (row and smallest and side):
        return float("inf")
    return max(side * side * largest / (row * row), row * row / (side * side * smallest))


def _place(
    areas: Sequence[float], row: float, within: Rectangle
) -> tuple[list[Rectangle], Rectangle]:
    """Place a row along the shorter side; return it, and what is left."""
    found = []
    if within.width >= within.height:
        width = row / within.height if within.height else 0
        y = within.y
        for area in areas:
            height = area / width if width else 0
            found.append(Rectangle(within.x, y, width, height))
            y += height
        left = Rectangle(within.x + width, within.y, max(within.width - width, 0), within.height)
        return found, left
    height = row / within.width if within.width else 0
    x = within.x
    for area in areas:
        width = area / height if height else 0
        found.append(Rectangle(x, within.y, width, height))
        x += width
    return found, Rectangle(
        within.x, within.y + height, within.width, max(within.height - height, 0)
    )
