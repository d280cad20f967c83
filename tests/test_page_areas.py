"""The areas of the page's chart: as large as their shares, side by side, and near to squares."""

from __future__ import annotations

import pytest

from cachedoctor.report.page.areas import Box, squarified

WHOLE = Box(0, 0, 600, 400)


def test_areas_are_as_large_as_their_shares_and_fill_the_whole() -> None:
    """The example of the paper: seven sizes, 24 in all, on 6 by 4."""
    boxes = squarified([6, 6, 4, 3, 2, 2, 1], WHOLE)
    areas = [box.width * box.height for box in boxes]
    assert areas == pytest.approx([60000, 60000, 40000, 30000, 20000, 20000, 10000])
    assert boxes[0] == pytest.approx(Box(0, 0, 300, 200))
    assert all(max(b.width / b.height, b.height / b.width) < 2.8 for b in boxes)


def test_areas_do_not_overlap_and_stay_inside() -> None:
    """Also for sizes of very different orders."""
    boxes = squarified([15 << 30, 3 << 30, 1 << 30, 1 << 30, 74 << 20, 5 << 10, 1], WHOLE)
    for at, one in enumerate(boxes):
        assert one.x >= 0
        assert one.x + one.width <= 600.001
        assert one.y + one.height <= 400.001
        for other in boxes[at + 1 :]:
            wide = min(one.x + one.width, other.x + other.width) - max(one.x, other.x)
            high = min(one.y + one.height, other.y + other.height) - max(one.y, other.y)
            assert min(wide, high) < 0.001


def test_nothing_to_show_is_no_area() -> None:
    """A home without models has an empty chart."""
    assert squarified([], WHOLE) == []


@pytest.mark.parametrize("sizes", [[1, 2], [1, 0], [-1]])
def test_sizes_out_of_order_are_refused(sizes: list[int]) -> None:
    """The layout is only right for falling sizes, and a size of nothing has no area."""
    with pytest.raises(ValueError, match="falling order"):
        squarified(sizes, WHOLE)
