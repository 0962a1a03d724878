"""Which region is a point in? A set of polygons, answered for whole arrays of points.

**The border rule.** A polygon includes its border. Among the polygons that touch a point the deepest level wins, and
within a level the lowest code. So every point of the map, the borders included, is in exactly one region of a level,
and the answer does not depend on the order in which regions were stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from gridloop.kernel.coordinates import MEAN_RADIUS, meters_between

Codes = NDArray[np.str_]
Shapes = NDArray[np.object_]

_CHUNK = 1 << 17
"""Points per round: keeps the pairs of a round in a few megabytes whatever the batch."""
OUTSIDE = ""


class _Layer:
    """The polygons of one level, in the order of their codes."""

    def __init__(self, codes: Sequence[str], shapes: Shapes) -> None:
        order = np.argsort(np.asarray(codes), kind="stable")
        self.codes: Codes = np.append(np.asarray(codes)[order], OUTSIDE)
        self.shapes: Shapes = shapes[order]
        shapely.prepare(self.shapes)
        self.tree = shapely.STRtree(self.shapes)

    def find(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.intp]:
        """For each point the place of its polygon in `codes`; the last place (outside) where there is none."""
        found = np.full(len(x), len(self.shapes), dtype=np.intp)
        for start in range(0, len(x), _CHUNK):
            part = slice(start, start + _CHUNK)
            points, polygons = self.tree.query(shapely.points(x[part], y[part]))
            # Highest code first: where several touch a point, the lowest is written last and stays.
            order = np.argsort(-polygons, kind="stable")
            points, polygons = points[order], polygons[order]
            touch = shapely.intersects_xy(self.shapes[polygons], x[part][points], y[part][points])
            found[part][points[touch]] = polygons[touch]
        return found


class Locator:
    """An immutable index over regions of any levels; the length of a code tells the level."""

    def __init__(self, codes: Sequence[str], shapes: Sequence[Any] | Shapes) -> None:
        """`codes[i]` has the polygon or multipolygon `shapes[i]` (WGS-84 degrees)."""
        geometries: Shapes = np.asarray(shapes, dtype=object)
        lengths = np.array([len(code) for code in codes], dtype=np.intp)
        self.size = len(codes)
        self._layers = [
            _Layer([codes[i] for i in chosen.tolist()], geometries[chosen])
            for chosen in (np.flatnonzero(lengths == digits) for digits in sorted(set(lengths.tolist()), reverse=True))
        ]

    def locate(self, lons: ArrayLike, lats: ArrayLike) -> Codes:
        """The code of the deepest region at each point, "" outside and for NaN (an array of str, in order)."""
        x, y = np.atleast_1d(np.asarray(lons, np.float64)), np.atleast_1d(np.asarray(lats, np.float64))
        if x.shape != y.shape or x.ndim != 1:
            raise ValueError("locate needs as many longitudes as latitudes")
        answer = np.full(len(x), OUTSIDE, dtype="<U19")
        open_points = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
        for layer in self._layers:
            if not len(open_points):
                break
            found = layer.find(x[open_points], y[open_points])
            inside = found < len(layer.shapes)
            answer[open_points[inside]] = layer.codes[found[inside]]
            open_points = open_points[~inside]
        return answer

    def nearest(self, lons: ArrayLike, lats: ArrayLike) -> tuple[Codes, NDArray[np.float64]]:
        """The deepest region nearest to each point and the distance to it in metres (0 inside, NaN without answer).

        Distances are taken on the sphere to the nearest point of the border in degrees scaled for the latitude:
        right to a percent within some tens of kilometres.
        """
        x, y = np.atleast_1d(np.asarray(lons, np.float64)), np.atleast_1d(np.asarray(lats, np.float64))
        answer = self.locate(x, y)
        meters = np.where(answer == OUTSIDE, np.nan, 0.0)
        lost = np.flatnonzero((answer == OUTSIDE) & np.isfinite(x) & np.isfinite(y))
        if not len(lost) or not self._layers:
            return answer, meters
        layer = self._layers[0]
        for i in lost:
            point = shapely.Point(x[i], y[i])
            near = int(layer.tree.nearest(point))
            spot = shapely.shortest_line(layer.shapes[near], point).coords[0]
            answer[i] = layer.codes[near]
            meters[i] = float(meters_between(x[i], y[i], spot[0], spot[1]))
        return answer, meters


def area_m2(shape: Any) -> float:
    """The area of a WGS-84 polygon in square metres, on the mean sphere scaled at its middle latitude (0.3 % right)."""
    _, south, _, north = shape.bounds
    degree = np.radians(1.0) * MEAN_RADIUS
    return float(shape.area * degree * degree * np.cos(np.radians((south + north) / 2)))
