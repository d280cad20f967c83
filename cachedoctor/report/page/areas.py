"""Areas that fill a rectangle, each as large as its share and as nearly square as possible.

Source: Bruls, Huizing, van Wijk, "Squarified Treemaps" (2000), section 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence


class Box(NamedTuple):
    """A rectangle; the caller chooses the unit."""

    x: float
    y: float
    width: float
    height: float


def squarified(sizes: Sequence[int], whole: Box) -> list[Box]:
    """Return a box for each size, in order, which together fill `whole`.

    Sizes are positive and in falling order; raises `ValueError` for any other.
    """
    if any(size <= 0 for size in sizes) or list(sizes) != sorted(sizes, reverse=True):
        raise ValueError("sizes that are not positive, or not in falling order")
    unit = whole.width * whole.height / (sum(sizes) or 1)
    left = [size * unit for size in sizes]
    boxes: list[Box] = []
    while left:
        side = min(whole.width, whole.height)
        count = 1
        while count < len(left) and _worst(left[: count + 1], side) <= _worst(left[:count], side):
            count += 1
        row, whole = _row(left[:count], whole)
        boxes += row
        left = left[count:]
    return boxes


def _worst(row: Sequence[float], side: float) -> float:
    """Return the worst aspect ratio of a row's boxes."""
    depth = sum(row) / side
    return max(max(depth * depth / area, area / (depth * depth)) for area in (row[0], row[-1]))


def _row(row: Sequence[float], whole: Box) -> tuple[list[Box], Box]:
    """Return the boxes of a row along the shorter side, and the rest of the whole."""
    x, y, width, height = whole
    boxes = []
    if width >= height:
        depth = sum(row) / height
        for area in row:
            boxes.append(Box(x, y, depth, area / depth))
            y += area / depth
        return boxes, Box(x + depth, whole.y, max(width - depth, 0.0), height)
    depth = sum(row) / width
    for area in row:
        boxes.append(Box(x, y, area / depth, depth))
        x += area / depth
    return boxes, Box(whole.x, y + depth, width, max(height - depth, 0.0))
