"""Do children tile their parent? Overlaps, gaps and children that stick out, slivers narrower than a tolerance aside.

**The tolerance.** Boundaries digitised by different hands never match to the millimetre. A common or missing piece
counts only if it is wider than the tolerance (2 x area / perimeter, 1 m unless told). What is narrower is left to the
border rule of `location`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import shapely

from gridloop.kernel.coordinates import MEAN_RADIUS

TOLERANCE_M = 1.0


def overlaps(
    shapes: Sequence[Any], first: int | None = None, tolerance_m: float = TOLERANCE_M
) -> Iterator[tuple[int, int, float]]:
    """Pairs (i, j), i < j, that overlap by more than a sliver, with the common area in square metres.

    Only pairs with one of the `first` shapes in them (all shapes unless told).
    """
    array = np.asarray(shapes, dtype=object)
    asked = array if first is None else array[:first]
    if not len(asked):
        return
    left, right = shapely.STRtree(array).query(asked, predicate="intersects")
    ordered = left < right
    left, right = left[ordered], right[ordered]
    # Neighbours that only share a border are the rule: the cheap question first.
    meet = ~shapely.touches(array[left], array[right])
    for i, j in sorted(zip(left[meet].tolist(), right[meet].tolist(), strict=True)):
        if piece := _widest(shapely.intersection(array[i], array[j]), tolerance_m):
            yield i, j, piece[1]


def outside(child: Any, parent: Any, tolerance_m: float = TOLERANCE_M) -> tuple[tuple[float, float], float] | None:
    """Where a child sticks out of its parent by more than a sliver: a point in the largest piece, its square metres."""
    if shapely.covers(parent, child):
        return None
    return _widest(shapely.difference(child, parent), tolerance_m)


def gap(
    children: Sequence[Any], parent: Any, tolerance_m: float = TOLERANCE_M
) -> tuple[tuple[float, float], float] | None:
    """Where children leave some of their parent uncovered: a point in the largest piece, its square metres."""
    return _widest(shapely.difference(parent, shapely.union_all(list(children))), tolerance_m)


def _widest(piece: Any, tolerance_m: float) -> tuple[tuple[float, float], float] | None:
    """Of the parts that are wider than the tolerance, a point in the largest and their common area in m2."""
    wide = []
    for part in shapely.get_parts(piece):
        if part.geom_type != "Polygon" or part.is_empty:
            continue
        area, length = _metres(part)
        if length and 2 * area / length > tolerance_m:
            wide.append((area, part))
    if not wide:
        return None
    largest = max(wide, key=lambda one: one[0])[1]
    point = shapely.point_on_surface(largest)
    return (point.x, point.y), sum(area for area, _ in wide)


def _metres(part: Any) -> tuple[float, float]:
    """Area (m2) and perimeter (m) of a small polygon in degrees."""
    degree = np.radians(1.0) * MEAN_RADIUS
    narrow = np.cos(np.radians((part.bounds[1] + part.bounds[3]) / 2))
    plane = shapely.transform(part, lambda c: c * [degree * narrow, degree])
    return float(plane.area), float(plane.length)
