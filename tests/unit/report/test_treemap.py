"""Treemaps."""

import random

import pytest

from builders.report.treemap import Rectangle, squarify

WHOLE = Rectangle(10, 20, 600, 400)


def test_the_example_of_the_paper():
    found = squarify([6, 6, 4, 3, 2, 2, 1], Rectangle(0, 0, 6, 4))
    assert [(round(r.width, 2), round(r.height, 2)) for r in found] == [
        (3, 2),
        (3, 2),
        (1.71, 2.33),
        (1.29, 2.33),
        (1.2, 1.67),
        (1.2, 1.67),
        (0.6, 1.67),
    ]


@pytest.mark.parametrize("seed", range(10))
def test_areas_are_as_sizes_and_nothing_overlaps(seed):
    rng = random.Random(seed)
    sizes = sorted((rng.randrange(1, 10 ** rng.randrange(1, 8)) for _ in range(50)), reverse=True)
    found = squarify(sizes, WHOLE)
    for size, place in zip(sizes, found, strict=True):
        assert place.area == pytest.approx(size * WHOLE.area / sum(sizes))
        assert place.x >= WHOLE.x - 1e-6
        assert place.y >= WHOLE.y - 1e-6
        assert place.x + place.width <= WHOLE.x + WHOLE.width + 1e-6
        assert place.y + place.height <= WHOLE.y + WHOLE.height + 1e-6
    for number, one in enumerate(found):
        for other in found[number + 1 :]:
            apart = (
                one.x + one.width <= other.x + 1e-6
                or other.x + other.width <= one.x + 1e-6
                or one.y + one.height <= other.y + 1e-6
                or other.y + other.height <= one.y + 1e-6
            )
            assert apart


def test_equal_sizes_become_squares():
    assert squarify([1, 1, 1, 1], Rectangle(0, 0, 2, 2)) == [
        Rectangle(0, 0, 1, 1),
        Rectangle(0, 1, 1, 1),
        Rectangle(1, 0, 1, 1),
        Rectangle(1, 1, 1, 1),
    ]


@pytest.mark.parametrize("place", [Rectangle(0, 0, 0, 5), Rectangle(0, 0, 5, 0)])
def test_where_there_is_no_room_rectangles_have_none(place):
    assert all(found.area == 0 for found in squarify([3, 2], place))
    assert squarify([], place) == []


def test_a_border_takes_what_there_is():
    assert Rectangle(0, 0, 10, 10).inset(1, 3) == Rectangle(1, 3, 8, 6)
    assert Rectangle(0, 0, 1, 1).inset(1, 3).area == 0
