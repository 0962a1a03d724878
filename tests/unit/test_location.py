"""Where a point is: the border rule, and equality with references that know no index."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridloop.territory.rules.location import Locator, area_m2

GRID, OTHER = "410104001001B001", "410104001001B002"
COMMUNITY = "410104001001"


def box(west: float, south: float, east: float, north: float) -> shapely.Polygon:
    return shapely.box(west, south, east, north)


def test_a_border_point_is_in_the_lowest_code_whatever_the_order() -> None:
    left, right = box(0, 0, 1, 1), box(1, 0, 2, 1)
    for codes, shapes in (([GRID, OTHER], [left, right]), ([OTHER, GRID], [right, left])):
        assert Locator(codes, shapes).locate([1.0, 0.5, 1.5], [0.5, 0.5, 1.0]).tolist() == [GRID, GRID, OTHER]
    assert Locator([OTHER, GRID], [left, right]).locate([1.0], [0.5]).tolist() == [GRID]


def test_the_deepest_region_wins_and_what_no_child_covers_falls_to_the_parent() -> None:
    locator = Locator([COMMUNITY, GRID], [box(0, 0, 2, 1), box(0, 0, 1, 1)])
    assert locator.locate([0.5, 1.0, 1.5, 3.0], [0.5] * 4).tolist() == [GRID, GRID, COMMUNITY, ""]


def test_a_hole_belongs_to_what_lies_in_it() -> None:
    ring = box(0, 0, 3, 3).difference(box(1, 1, 2, 2))
    assert Locator([GRID, OTHER], [ring, box(1, 1, 2, 2)]).locate([1.5, 1.0, 0.5], [1.5, 1.5, 0.5]).tolist() == [
        OTHER,
        GRID,
        GRID,
    ]


def test_what_is_no_number_is_nowhere() -> None:
    locator = Locator([GRID], [box(-200, -200, 200, 200)])
    assert locator.locate([np.nan, np.inf, 0.0], [0.0, 0.0, -np.inf]).tolist() == ["", "", ""]


def test_nothing_asked_and_nothing_known_are_answered() -> None:
    assert Locator([], []).locate([1.0], [1.0]).tolist() == [""]
    assert Locator([GRID], [box(0, 0, 1, 1)]).locate([], []).tolist() == []
    codes, meters = Locator([], []).nearest([1.0], [1.0])
    assert codes.tolist() == [""]
    assert np.isnan(meters).all()


def test_longitudes_without_latitudes_are_refused() -> None:
    with pytest.raises(ValueError, match="as many"):
        Locator([], []).locate([1.0, 2.0], [1.0])


def test_a_point_outside_gets_its_nearest_region_and_the_metres_to_it() -> None:
    locator = Locator([GRID, OTHER], [box(113.0, 34, 113.1, 34.1), box(113.2, 34, 113.3, 34.1)])
    codes, meters = locator.nearest([113.05, 113.31, np.nan], [34.05, 34.05, 34.0])
    assert codes.tolist() == [GRID, OTHER, ""]
    assert meters[0] == 0
    assert meters[1] == pytest.approx(0.01 * 111_195 * np.cos(np.radians(34.05)), rel=1e-3)
    assert np.isnan(meters[2])


def test_areas_are_right_to_a_percent() -> None:
    one_degree = area_m2(box(113, 34, 114, 35))
    assert one_degree == pytest.approx(10_177e6, rel=0.01)  # R² · Δλ · (sin 35° − sin 34°)


def test_more_points_than_one_round_are_answered_in_order() -> None:
    x = np.tile([0.5, 1.5, 9.0], 100_000)
    answer = Locator([GRID, OTHER], [box(0, 0, 1, 1), box(1, 0, 2, 1)]).locate(x, np.full(len(x), 0.5))
    assert (answer.reshape(-1, 3) == [GRID, OTHER, ""]).all()


# --- against references ----------------------------------------------------------------------------------------------


def _inside_or_on(ring: list[tuple[float, float]], x: float, y: float) -> bool:
    """Exact: the crossing number in fractions, the border included."""
    px, py = Fraction(x), Fraction(y)
    inside = False
    for (ax, ay), (bx, by) in pairwise(ring):
        fax, fay, fbx, fby = Fraction(ax), Fraction(ay), Fraction(bx), Fraction(by)
        cross = (fbx - fax) * (py - fay) - (fby - fay) * (px - fax)
        if cross == 0 and min(fax, fbx) <= px <= max(fax, fbx) and min(fay, fby) <= py <= max(fay, fby):
            return True
        if (fay > py) != (fby > py) and (cross > 0) == (fby > fay):
            inside = not inside
    return inside


def _tessellation(seed: int) -> tuple[list[str], list[shapely.Polygon]]:
    random = np.random.default_rng(seed)
    seeds = shapely.multipoints(random.uniform(113.6, 113.7, (12, 2)) - [0, 79])
    cells = shapely.get_parts(shapely.voronoi_polygons(seeds, ordered=True))
    order = random.permutation(len(cells)) + 1
    return [f"{COMMUNITY}B{n:03d}" for n in order.tolist()], list(cells)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 50), data=st.data())
def test_hostile_points_get_the_answer_of_exact_arithmetic(seed: int, data: st.DataObject) -> None:
    codes, cells = _tessellation(seed)
    rings = [[(float(x), float(y)) for x, y in cell.exterior.coords] for cell in cells]
    corners = [corner for ring in rings for corner in ring]
    points = []
    for _ in range(12):
        (ax, ay), (bx, by) = data.draw(st.sampled_from(corners)), data.draw(st.sampled_from(corners))
        share = data.draw(st.sampled_from([0.0, 0.5, 0.25, 1e-9, 1 / 3]))
        nudge = data.draw(st.sampled_from([0, 0, 1, -1]))
        x, y = ax + (bx - ax) * share, ay + (by - ay) * share
        points.append((float(np.nextafter(x, x + nudge)) if nudge else x, y))
    expected = [
        min((code for code, ring in zip(codes, rings, strict=True) if _inside_or_on(ring, x, y)), default="")
        for x, y in points
    ]
    assert Locator(codes, cells).locate(*zip(*points, strict=True)).tolist() == expected


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_the_index_changes_no_answer(seed: int) -> None:
    random = np.random.default_rng(seed)
    # Overlapping triangles and boxes of two levels: worse than any real map.
    corners = random.uniform(0, 1, (40, 3, 2))
    shapes = [shapely.Polygon(c) for c in corners]
    codes = [f"{COMMUNITY}B{n:03d}" if n % 3 else f"{COMMUNITY[:9]}{n:03d}" for n in range(1, 41)]
    x, y = random.uniform(-0.1, 1.1, (2, 500))
    x[:120], y[:120] = corners.reshape(-1, 2).T
    expected = np.full(500, "", dtype="<U19")
    for i in sorted(range(40), key=lambda i: (-len(codes[i]), codes[i]), reverse=True):
        expected[shapely.intersects_xy(shapes[i], x, y)] = codes[i]
    assert Locator(codes, shapes).locate(x, y).tolist() == expected.tolist()
