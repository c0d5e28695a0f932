import random
from itertools import combinations

import pytest

from assay.report.labels import place


def boxes(points, marker, width, height):
    offsets = place(points, marker, width, height)
    return [(x + dx, y + dy) for (x, y), (dx, dy) in zip(points, offsets, strict=True)]


@pytest.mark.parametrize(
    "points",
    [
        [(0.0, 0.0)] * 20,
        [(float(x), 0.0) for x in range(0, 60, 3)],
        [(random.Random(i).uniform(0, 200), random.Random(-i).uniform(0, 200)) for i in range(40)],
    ],
    ids=["all on one spot", "in a row", "scattered"],
)
def test_labels_cover_neither_each_other_nor_a_marker(points):
    marker, width, height = 8.0, 11.0, 9.0
    labels = boxes(points, marker, width, height)
    for a, b in combinations(labels, 2):
        assert abs(a[0] - b[0]) >= width or abs(a[1] - b[1]) >= height
    for label in labels:
        for point in points:
            apart = abs(label[0] - point[0]) * 2 >= width + marker
            assert apart or abs(label[1] - point[1]) * 2 >= height + marker


def test_a_label_with_room_stays_close():
    ((dx, dy),) = place([(5.0, 5.0)], 8, 11, 9)
    assert abs(dx) < 1
    assert 8.5 <= dy < 10


def test_when_there_is_no_room_each_still_gets_a_place():
    assert len(place([(0.0, 0.0)] * 120, 8, 11, 9)) == 120
