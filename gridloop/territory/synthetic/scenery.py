"""What lies between the borders of a drawn district: its roads as lines, a river and lakes, parks, rows of houses.

All of it is invented, like the borders. It exists so that a map without a base map from outside is still a map on
which people find their way: streets with the names that the gazetteer knows, water to steer by, houses to point at.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import shapely
from shapely import affinity

from gridloop.territory.rules.codes import Level, level_of
from gridloop.territory.synthetic.drawing import DEGREE, Dice, Drawing, DrawnRegion
from gridloop.territory.synthetic.places import Words, named_roads

ROAD, WATER, GREEN, BUILDING = "road", "water", "green", "building"
_MAIN, _SIDE, _LANE = 1, 2, 3
_KERB = 15.0
"""Metres between the border of a micro-grid, on which a road may lie, and its houses."""


@dataclass(frozen=True, slots=True)
class DrawnScenery:
    """A piece of the ground: its kind, its rank (1 the widest roads and largest waters), its name, its shape."""

    kind: str
    rank: int
    name: str
    shape: Any
    """WGS-84 degrees."""


def draw_scenery(drawing: Drawing, words: Words) -> list[DrawnScenery]:
    """Roads, water, parks and houses of a drawn district. The same drawing and words, the same ground."""
    random = Dice(words.seed + 1)
    whole = next(r for r in drawing.regions if level_of(r.code) is Level.DISTRICT).shape
    plane = _Plane(whole)
    waters = list(_waters(plane, whole, words.waters, random))
    wet = shapely.union_all([w.shape for w in waters])
    return [*waters, *_roads(drawing, words), *_blocks(drawing, plane, wet, words.greens, random)]


class _Plane:
    """Metres east and north of the middle of a shape."""

    def __init__(self, whole: Any) -> None:
        west, south, east, north = whole.bounds
        self.lon, self.lat = (west + east) / 2, (south + north) / 2
        self.x = DEGREE * math.cos(math.radians(self.lat))

    def flat(self, shapes: Any) -> Any:
        return shapely.transform(shapes, lambda p: (p - [self.lon, self.lat]) * [self.x, DEGREE])

    def degrees(self, shapes: Any) -> Any:
        return shapely.transform(shapes, lambda p: np.round(p / [self.x, DEGREE] + [self.lon, self.lat], 6))


def _waters(plane: _Plane, whole: Any, names: Sequence[str], random: Dice) -> Iterator[DrawnScenery]:
    """A river from the west to the south-east, a canal across it, and lakes; cut off at the district's border."""
    flat = plane.flat(whole)
    west, south, east, north = flat.bounds
    wide, high = east - west, north - south
    along = np.linspace(-0.05, 1.05, 160)
    bend = 0.055 * np.sin(along * 9.5 + 0.6) + 0.02 * np.sin(along * 23 + 1.9)
    river = np.column_stack([west + along * wide, south + (0.60 - 0.34 * along + bend) * high])
    canal = np.column_stack([west + (0.36 + 0.05 * np.sin(along * 7.0)) * wide, south + along * high])
    bodies = [shapely.LineString(river).buffer(46), shapely.LineString(canal).buffer(17)]
    for _ in names[2:]:
        x, y = west + random.between(0.2, 0.85) * wide, south + random.between(0.15, 0.85) * high
        corners = [
            (x + size * math.cos(turn), y + 0.7 * size * math.sin(turn))
            for turn in np.linspace(0, 2 * math.pi, 9)[:-1]
            for size in [random.between(110, 260)]
        ]
        bodies.append(shapely.Polygon(corners).buffer(70).buffer(-40))
    for rank, (name, body) in enumerate(zip(names, bodies, strict=False), 1):
        inside = shapely.intersection(body, flat)
        if not inside.is_empty:
            yield DrawnScenery(WATER, min(rank, _LANE), name, plane.degrees(shapely.simplify(inside, 1.5)))


def _roads(drawing: Drawing, words: Words) -> Iterator[DrawnScenery]:
    """The borders of streets and communities carry named roads; those of grids, lanes without a name."""
    for name, road in named_roads(drawing.roads, words, Dice(words.seed)):
        yield DrawnScenery(ROAD, _MAIN if road.rank is Level.STREET else _SIDE, name, shapely.LineString(road.line))
    lanes: dict[str, list[Any]] = defaultdict(list)
    for region in drawing.regions:
        if level_of(region.code) is Level.GRID:
            lanes[region.code[: Level.COMMUNITY.digits]].append(region.shape.boundary)
    for borders in lanes.values():
        yield DrawnScenery(ROAD, _LANE, "", shapely.line_merge(shapely.union_all(borders)))


def _blocks(drawing: Drawing, plane: _Plane, wet: Any, names: Sequence[str], random: Dice) -> Iterator[DrawnScenery]:
    """Each micro-grid is a park, or full of houses in rows; one row of the table holds the houses of one micro-grid."""
    micro = [r for r in drawing.regions if level_of(r.code) is Level.MICRO_GRID]
    flat = plane.flat(np.array([r.shape for r in micro], dtype=object))
    insides = shapely.buffer(flat, -_KERB, join_style="mitre")
    flood = shapely.buffer(plane.flat(wet), 14)
    shapely.prepare(flood)
    unnamed = iter(names)
    for region, inside, touched in zip(micro, insides, shapely.intersects(flood, flat), strict=True):
        dice = random.between(0, 1)
        if touched:
            inside = shapely.difference(inside, flood)
        if inside.is_empty or inside.area < 400:
            continue
        if dice < 0.045 or (touched and dice < 0.35):
            large = inside.buffer(-6).buffer(6)
            if not large.is_empty:
                yield DrawnScenery(GREEN, 1, next(unnamed, ""), plane.degrees(large))
            continue
        houses = _houses(region, inside, dice, random)
        if len(houses):
            yield DrawnScenery(BUILDING, 1, "", shapely.multipolygons(plane.degrees(houses)))


def _houses(region: DrawnRegion, inside: Any, dice: float, random: Dice) -> Any:
    """Slabs in rows that look south, or, in one block of six, a few large halls; as many as fit."""
    long, deep, gap_x, gap_y = (58.0, 36.0, 20.0, 22.0) if dice > 0.84 else (random.between(34, 52), 12.5, 12.0, 21.0)
    middle = inside.centroid
    turn = _turn(inside)
    level = affinity.rotate(inside, -turn, origin=middle)
    west, south, east, north = level.bounds
    xs = np.arange(west + random.between(0, 8), east - long + 1, long + gap_x)
    ys = np.arange(south + random.between(0, 8), north - deep + 1, deep + gap_y)
    if not len(xs) or not len(ys):
        return []
    x, y = (a.ravel() for a in np.meshgrid(xs, ys))
    x = x + np.array([random.between(-3, 3) for _ in range(len(y))])
    boxes = shapely.box(x, y, x + long, y + deep)
    boxes = boxes[shapely.contains(level, boxes)]
    return np.array([affinity.rotate(box, turn, origin=middle) for box in boxes], dtype=object)


def _turn(shape: Any) -> float:
    """By how many degrees (-45 to 45) a block is turned against the compass."""
    frame = shapely.oriented_envelope(shape)
    corners = shapely.get_coordinates(frame)
    dx, dy = corners[1] - corners[0]
    return (math.degrees(math.atan2(dy, dx)) + 45) % 90 - 45
