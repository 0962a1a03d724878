"""Which region is a point in? A set of polygons, answered for whole arrays of points.

**The border rule.** A polygon includes its border. Among the polygons that touch a point the deepest level wins, and
within a level the lowest code. So every point of the map, the borders included, is in exactly one region of a level,
and the answer does not depend on the order in which regions were stored.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from gridloop.kernel.coordinates import MEAN_RADIUS, meters_between

Codes = NDArray[np.str_]
Shapes = NDArray[np.object_]
Floats = NDArray[np.float64]
Places = NDArray[np.intp]

_CHUNK = 1 << 17
"""Points per round: keeps the pairs of a round in a few megabytes whatever the batch."""
OUTSIDE = ""


class _Layer:
    """The polygons of one level, in the order of their codes, and a net of squares that says which to ask."""

    def __init__(self, codes: Sequence[str], shapes: Shapes) -> None:
        order = np.argsort(np.asarray(codes), kind="stable")
        self.codes: Codes = np.append(np.asarray(codes)[order], OUTSIDE)
        self.shapes: Shapes = shapes[order]
        shapely.prepare(self.shapes)
        self._box = shapely.bounds(self.shapes).T.copy()
        self._west, self._south = self._box[:2].min(axis=1)
        self._east, self._north = self._box[2:].max(axis=1)
        side = math.ceil(math.sqrt(4 * len(codes)))
        while self._spread(side) > 32 * len(codes) + 1024:  # large polygons that overlap: fewer, larger squares
            side //= 2
        self._members, self._starts = self._net()

    def _spread(self, side: int) -> int:
        """Take a net of `side` x `side` squares; returns how many polygons its squares name together."""
        self._side = side
        self._scale = [side / max(self._east - self._west, 1e-9), side / max(self._north - self._south, 1e-9)]
        (left, low), (right, high) = self._squares(*self._box[:2]), self._squares(*self._box[2:])
        self._range = left, low, right - left + 1, high - low + 1
        return int((self._range[2] * self._range[3]).sum())

    def _squares(self, x: Floats, y: Floats) -> tuple[Places, Places]:
        """Columns and rows. Both grow with x and y, so a point in a polygon's box is in one of the box's squares."""
        column = ((x - self._west) * self._scale[0]).astype(np.intp)
        row = ((y - self._south) * self._scale[1]).astype(np.intp)
        return np.clip(column, 0, self._side - 1), np.clip(row, 0, self._side - 1)

    def _net(self) -> tuple[Places, Places]:
        """The polygons of each square, square after square, and where each square's begin."""
        left, low, width, height = self._range
        polygon, step = _run(width * height)
        square = (low[polygon] + step // width[polygon]) * self._side + left[polygon] + step % width[polygon]
        order = np.argsort(square, kind="stable")
        return polygon[order], np.searchsorted(square[order], np.arange(self._side**2 + 1))

    def find(self, x: Floats, y: Floats) -> Places:
        """For each point the place of its polygon in `codes`; the last place (outside) where there is none."""
        found = np.full(len(x), len(self.shapes), dtype=np.intp)
        for start in range(0, len(x), _CHUNK):
            part = slice(start, start + _CHUNK)
            self._find(x[part], y[part], found[part])
        return found

    def _find(self, x: Floats, y: Floats, found: Places) -> None:
        near = np.flatnonzero((x >= self._west) & (x <= self._east) & (y >= self._south) & (y <= self._north))
        column, row = self._squares(x[near], y[near])
        square = row * self._side + column
        first = self._starts[square]
        which, step = _run(self._starts[square + 1] - first)
        points, polygons = near[which], self._members[first[which] + step]
        px, py, box = x[points], y[points], self._box
        maybe = (px >= box[0][polygons]) & (px <= box[2][polygons])
        maybe &= (py >= box[1][polygons]) & (py <= box[3][polygons])
        points, polygons = points[maybe], polygons[maybe]
        # Highest code first: where several touch a point, the lowest is written last and stays.
        order = np.argsort(-polygons, kind="stable")
        points, polygons = points[order], polygons[order]
        touch = shapely.intersects_xy(self.shapes[polygons], x[points], y[points])
        found[points[touch]] = polygons[touch]


def _run(counts: Places) -> tuple[Places, Places]:
    """For counts (2, 0, 3): the owners (0, 0, 2, 2, 2) and the steps within each (0, 1, 0, 1, 2)."""
    owner = np.repeat(np.arange(len(counts)), counts)
    return owner, np.arange(len(owner)) - (np.cumsum(counts) - counts)[owner]


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
        tree = shapely.STRtree(layer.shapes)
        for i in lost:
            point = shapely.Point(x[i], y[i])
            near = int(tree.nearest(point))
            spot = shapely.shortest_line(layer.shapes[near], point).coords[0]
            answer[i] = layer.codes[near]
            meters[i] = float(meters_between(x[i], y[i], spot[0], spot[1]))
        return answer, meters


def area_m2(shape: Any) -> float:
    """The area of a WGS-84 polygon in square metres, on the mean sphere scaled at its middle latitude (0.3 % right)."""
    _, south, _, north = shape.bounds
    degree = np.radians(1.0) * MEAN_RADIUS
    return float(shape.area * degree * degree * np.cos(np.radians((south + north) / 2)))
