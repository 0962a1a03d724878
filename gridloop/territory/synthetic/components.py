"""The numbered things in the streets of a drawn district (部件): lamps, grates, covers, hydrants, all invented."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import shapely

from gridloop.territory.rules.codes import Level, level_of
from gridloop.territory.synthetic.drawing import DEGREE, Dice, Drawing
from gridloop.territory.synthetic.places import Words, named_roads

_ALONG = (
    ("C0137", "路灯", 90.0, 11.0),
    ("C0104", "雨水箅子", 180.0, 7.0),
    ("C0103", "雨水井盖", 260.0, 3.0),
    ("C0102", "污水井盖", 310.0, 4.5),
    ("C0177", "消火栓", 420.0, 12.0),
    ("C0305", "垃圾箱", 340.0, 12.5),
)
"""Class, what it is called, metres between two of them along a road, metres from its middle."""
_IN_COMMUNITY = (("C0301", "公共厕所"), ("C0146", "户外健身设施"), ("C0154", "充电桩"))


@dataclass(frozen=True, slots=True)
class DrawnComponent:
    """An invented component: its 16-digit code, its class, its name, where it stands (WGS-84 degrees)."""

    code: str
    kind: str
    name: str
    lon: float
    lat: float


def draw_components(drawing: Drawing, words: Words) -> list[DrawnComponent]:
    """The components along the named roads and in the communities. The same drawing and words, the same things."""
    district = next(r.code for r in drawing.regions if level_of(r.code) is Level.DISTRICT)
    numbers: Counter[str] = Counter()
    drawn = []
    for kind, name, lon, lat in (*_along_roads(drawing, words), *_in_communities(drawing, Dice(words.seed + 2))):
        numbers[kind] += 1
        code = f"{district}{kind[1:]}{numbers[kind]:06d}"
        drawn.append(DrawnComponent(code, kind, f"{name}{numbers[kind]}号", round(lon, 6), round(lat, 6)))
    return drawn


def _along_roads(drawing: Drawing, words: Words) -> Iterator[tuple[str, str, float, float]]:
    for road_name, road in named_roads(drawing.roads, words, Dice(words.seed)):
        scale = np.array([DEGREE * math.cos(math.radians(road.line[0][1])), DEGREE])
        line = shapely.LineString(np.array(road.line) * scale)
        for kind, name, step, aside in _ALONG:
            at = np.arange(step / 2, line.length, step)
            if not len(at):
                continue
            here = shapely.get_coordinates(shapely.line_interpolate_point(line, at))
            ahead = shapely.get_coordinates(shapely.line_interpolate_point(line, np.minimum(at + 1, line.length)))
            way = ahead - here
            way /= np.maximum(np.hypot(way[:, 0], way[:, 1]), 1e-6)[:, None]
            side = np.where(np.arange(len(at)) % 2 == 0, 1.0, -1.0)[:, None] * aside
            points = (here + np.column_stack([-way[:, 1], way[:, 0]]) * side) / scale
            for lon, lat in points.tolist():
                yield kind, f"{road_name}{name}", lon, lat


def _in_communities(drawing: Drawing, random: Dice) -> Iterator[tuple[str, str, float, float]]:
    micro: dict[str, list[shapely.Polygon]] = {}
    for region in drawing.regions:
        if level_of(region.code) is Level.MICRO_GRID:
            micro.setdefault(region.code[: Level.COMMUNITY.digits], []).append(region.shape)
    names = {r.code: r.name for r in drawing.regions if level_of(r.code) is Level.COMMUNITY}
    for community, parts in micro.items():
        for kind, name in _IN_COMMUNITY:
            point = shapely.point_on_surface(parts[random.whole(0, len(parts) - 1)])
            yield kind, f"{names[community]}{name}", point.x, point.y
