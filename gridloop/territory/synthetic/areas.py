"""A district made from points that carry the name of an area: for histories whose area map we do not have.

Every point votes for its area in a small square; the squares' middles are cut into Voronoi cells, and the cells of
one area become its region. So nearly every point lies in the region of its own area, regions of one district never
overlap, and gaps between the points belong to the nearest area.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray

from gridloop.territory.rules.codes import Level, check_code, next_codes
from gridloop.territory.synthetic.drawing import DrawnRegion, reading_order

_SQUARES = 6000
"""At most so many voting squares: a finer net follows the points better and makes longer borders."""
_FINEST = 0.0015
"""Degrees of latitude of the finest square: some 170 m."""
_FAR = 8.0
"""A point further than so many spreads (and 0.1 degrees) from the middle is dirt, such as latitude 0."""


def areas_from_points(
    lons: ArrayLike, lats: ArrayLike, areas: Sequence[str], *, code: str, name: str, name_en: str = ""
) -> list[DrawnRegion]:
    """Regions district > area (on the street level) such that each point lies in, or next to, its own area.

    `lons`, `lats` (WGS-84 degrees, NaN where unknown) and `areas` ("" where unknown) go together. `code` is the
    district's; for a district that no Chinese authority codes it begins with 9. Areas are numbered by row from north
    to south, in a row from west to east; an area without any usable point comes last, in alphabetical order, and has
    no boundary (`shape` is None). Same input, same regions. ValueError for a wrong code or if no point is usable.
    """
    if wrong := check_code(code, Level.DISTRICT):
        raise ValueError(wrong[0].en)
    x, y = np.asarray(lons, np.float64), np.asarray(lats, np.float64)
    named = np.array([" ".join(a.split()) for a in areas], dtype=object)
    labels, label = np.unique(named.astype(str), return_inverse=True)
    usable = np.isfinite(x) & np.isfinite(y) & (named != "")
    if not usable.any():
        raise ValueError("no point has both a place and an area")
    usable[usable] = _near(x[usable]) & _near(y[usable])
    narrow = float(np.cos(np.radians(np.median(y[usable]))))
    seeds, owner, step = _vote(x[usable] * narrow, y[usable], label[usable])
    cells = _cells(seeds, step)
    shapes = {}
    for one in np.unique(owner):
        shapes[str(labels[one])] = shapely.coverage_union_all(_to_degrees(cells[owner == one], narrow))
    whole = shapely.coverage_union_all(list(shapes.values()))
    middles = [(shape.centroid.x, shape.centroid.y) for shape in shapes.values()]
    heights = sorted(shape.bounds[3] - shape.bounds[1] for shape in shapes.values())
    drawn = list(shapes)
    order = [drawn[i] for i in reading_order(middles, row=heights[len(heights) // 2] * 0.6)]
    order += [str(a) for a in labels if a and a not in shapes]
    return [
        DrawnRegion(code=code, name=name, name_en=name_en or name, shape=whole),
        *(
            DrawnRegion(code=street, name=area, name_en=area, shape=shapes.get(area))
            for street, area in zip(next_codes(code, [], len(order)), order, strict=True)
        ),
    ]


def _near(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which values lie where most do."""
    away = np.abs(values - np.median(values))
    return away <= max(_FAR * float(np.median(away)), 0.1)


def _vote(
    x: NDArray[np.float64], y: NDArray[np.float64], label: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.intp], float]:
    """Seeds (n, 2), the label of each, and the side of the voting squares."""
    step = _FINEST
    while True:
        column, row = np.floor((x - x.min()) / step).astype(np.int64), np.floor((y - y.min()) / step).astype(np.int64)
        square = column * (int(row.max()) + 1) + row
        squares, place = np.unique(square, return_inverse=True)
        if len(squares) <= _SQUARES:
            break
        step *= 1.25
    kinds = int(label.max()) + 1
    votes = np.zeros((len(squares), kinds), dtype=np.int64)
    np.add.at(votes, (place, label), 1)
    owner = votes.argmax(axis=1)
    # A square's seed is the middle of the points that won it, so that a border square leans to its own side.
    won = owner[place] == label
    count = np.bincount(place[won], minlength=len(squares))
    seeds = np.stack([np.bincount(place[won], weights=v[won], minlength=len(squares)) / count for v in (x, y)], axis=1)
    lost = sorted(set(np.unique(label).tolist()) - set(owner.tolist()))
    if lost:  # outvoted everywhere: its middle point becomes a seed of its own
        own = []
        for one in lost:
            mine = np.flatnonzero(label == one)
            middle = np.hypot(x[mine] - np.median(x[mine]), y[mine] - np.median(y[mine])).argmin()
            own.append((x[mine[middle]], y[mine[middle]]))
        seeds = np.concatenate([seeds, own])
        owner = np.concatenate([owner, np.array(lost)])
    _, first = np.unique(seeds.round(7), axis=0, return_index=True)
    keep = np.sort(first)
    return seeds[keep], owner[keep], step


def _cells(seeds: NDArray[np.float64], step: float) -> NDArray[np.object_]:
    """The Voronoi cell of each seed. A ring of seeds that own nothing closes the outer cells: nothing is cut off."""
    ring = shapely.convex_hull(shapely.multipoints(seeds)).buffer(4 * step).exterior
    outside = shapely.get_coordinates(shapely.segmentize(ring, step))
    points = shapely.multipoints(np.concatenate([seeds, np.unique(outside.round(9), axis=0)]))
    cells = shapely.get_parts(shapely.voronoi_polygons(points, ordered=True))
    return np.asarray(cells[: len(seeds)], dtype=object)


def _to_degrees(cells: NDArray[np.object_], narrow: float) -> NDArray[np.object_]:
    """Cells with their corners in degrees, rounded to 1e-7, so that neighbours share them exactly."""
    degrees = shapely.transform(cells, lambda c: np.round(c / [narrow, 1.0], 7))
    return np.asarray(shapely.remove_repeated_points(degrees), dtype=object)
