"""The places of a drawn district: roads along its cuts, their crossings, compounds, shops and landmarks, all invented.

Names of real roads and of communities are facts and are used as such; where they lie on this map is invented.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path

import shapely
import yaml

from gridloop.territory.rules.codes import GridType, Level, grid_type, level_of, parent_of
from gridloop.territory.rules.places import NamedPlace
from gridloop.territory.synthetic.drawing import Dice, Drawing, DrawnRegion, Road

_TOUCH = 2e-5
"""Degrees within which a road's end lies on another road: two metres."""


@dataclass(frozen=True, slots=True)
class Words:
    """What names are made of; a district's ``words.yaml``."""

    seed: int
    main_roads: dict[str, list[str]]
    """Real names for the borders of streets, by way: `rows` (running west to east) and `columns`."""
    roads: dict[str, list[str]]
    """Real names for the borders of communities, by way."""
    road_first: list[str]
    road_second: list[str]
    compound_first: list[str]
    compound_second: list[str]
    poi: list[str]
    landmarks: list[str]
    waters: list[str] = field(default_factory=list)
    """Invented names: the river, the canal, then lakes, one for each name."""
    greens: list[str] = field(default_factory=list)
    """Invented names of parks; the parks beyond have none."""


def read_words(path: Path) -> Words:
    """The words of a district (``words.yaml``)."""
    return Words(**yaml.safe_load(path.read_text(encoding="utf-8")))


def draw_places(drawing: Drawing, words: Words) -> list[NamedPlace]:
    """The gazetteer of a drawn district. Same drawing and words, same places; every name is there once."""
    random = Dice(words.seed)
    roads = named_roads(drawing.roads, words, random)
    found: dict[str, NamedPlace] = {}
    for place in (
        *_regions(drawing.regions),
        *_roads(roads),
        *_crossings(roads),
        *_compounds(drawing.regions, words, random),
        *_pois(drawing.regions, words, random),
        *_landmarks(drawing.regions, words, random),
    ):
        found.setdefault(place.name, place)
    return list(found.values())


def _point(shape: shapely.Polygon) -> tuple[float, float]:
    point = shapely.point_on_surface(shape)
    return round(point.x, 6), round(point.y, 6)


def _regions(regions: Sequence[DrawnRegion]) -> Iterator[NamedPlace]:
    for region in regions:
        level = level_of(region.code)
        if level not in (Level.DISTRICT, Level.STREET, Level.COMMUNITY):
            continue
        other = [region.official_name] if region.official_name != region.name else []
        if level is Level.STREET:
            short = region.name.removesuffix("街道").removesuffix("乡")
            other += [f"{short}办事处", f"{region.name}办事处"]
        elif level is Level.COMMUNITY:
            other += [region.name.removesuffix("社区") + "居委会"] if region.name.endswith("社区") else []
        yield NamedPlace(region.name, tuple(dict.fromkeys(o for o in other if o)), level.value, *_point(region.shape))


def _way(road: Road) -> str:
    (x0, y0), (x1, y1) = road.line[0], road.line[-1]
    return "rows" if abs(x1 - x0) * math.cos(math.radians(y0)) >= abs(y1 - y0) else "columns"


def named_roads(roads: Sequence[Road], words: Words, random: Dice) -> list[tuple[str, Road]]:
    """Names by rank and way: the longest street border gets the first main road; invented names when real ones end."""
    used = {n for lists in (words.main_roads, words.roads) for names in lists.values() for n in names}
    first = [f"{a}{b}路" for a, b in product(words.road_first, words.road_second)]
    invented = iter([first[i] for i in random.shuffled(len(first)) if first[i] not in used])
    real = {
        (rank, way): iter(names)
        for rank, lists in ((Level.STREET, words.main_roads), (Level.COMMUNITY, words.roads))
        for way, names in lists.items()
    }
    named = []
    for road in sorted(roads, key=lambda r: (r.rank is not Level.STREET, -shapely.LineString(r.line).length)):
        named.append((next(real[road.rank, _way(road)], None) or next(invented), road))
    return named


def _roads(roads: Sequence[tuple[str, Road]]) -> Iterator[NamedPlace]:
    for name, road in roads:
        middle = shapely.LineString(road.line).interpolate(0.5, normalized=True)
        yield NamedPlace(name, (), "road", round(middle.x, 6), round(middle.y, 6))


def _crossings(roads: Sequence[tuple[str, Road]]) -> Iterator[NamedPlace]:
    lines = [shapely.LineString(road.line) for _, road in roads]
    tree = shapely.STRtree(lines)
    for i, (name, road) in enumerate(roads):
        for x, y in (road.line[0], road.line[-1]):
            for j in sorted(tree.query(shapely.Point(x, y), predicate="dwithin", distance=_TOUCH).tolist()):
                other = roads[j][0]
                if j == i or other == name:
                    continue
                pairs = ((name, other), (other, name))
                aliases = tuple(
                    f"{a}{joint}{b}{word}"
                    for a, b in pairs
                    for joint in ("与", "和", "")
                    for word in ("交叉口", "路口")
                    if (a, joint, word) != (name, "与", "交叉口")
                )
                yield NamedPlace(f"{name}与{other}交叉口", aliases, "crossing", round(x, 6), round(y, 6))


def _compounds(regions: Sequence[DrawnRegion], words: Words, random: Dice) -> Iterator[NamedPlace]:
    """One residential compound in each basic grid, in one of its micro-grids."""
    names = [f"{a}{b}" for a, b in product(words.compound_first, words.compound_second)]
    order = iter(random.shuffled(len(names)))
    micro: dict[str, list[DrawnRegion]] = {}
    for region in regions:
        if level_of(region.code) is Level.MICRO_GRID:
            micro.setdefault(parent_of(region.code), []).append(region)
    for grid, parts in micro.items():
        if grid_type(grid) is GridType.BASIC:
            name = names[next(order)]
            part = parts[random.whole(0, len(parts) - 1)]
            alias = () if name.endswith("小区") else (f"{name}小区",)
            yield NamedPlace(name, alias, "compound", *_point(part.shape))


def _pois(regions: Sequence[DrawnRegion], words: Words, random: Dice) -> Iterator[NamedPlace]:
    """Two or three everyday places in each community, called after it; and the exclusive grids' names."""
    by_community: dict[str, list[DrawnRegion]] = {}
    for region in regions:
        if level_of(region.code) is Level.MICRO_GRID:
            by_community.setdefault(region.code[: Level.COMMUNITY.digits], []).append(region)
    for region in regions:
        if level_of(region.code) is Level.GRID and grid_type(region.code) is GridType.EXCLUSIVE:
            yield NamedPlace(region.name.removesuffix("专属网格"), (region.name,), "poi", *_point(region.shape))
        if level_of(region.code) is Level.COMMUNITY:
            stem = region.name.removesuffix("社区").removesuffix("村")
            kinds = random.shuffled(len(words.poi))[: random.whole(2, 3)]
            parts = random.shuffled(len(by_community[region.code]))
            for kind, part in zip(kinds, parts, strict=False):
                where = by_community[region.code][part]
                yield NamedPlace(f"{stem}{words.poi[kind]}", (), "poi", *_point(where.shape))


def _landmarks(regions: Sequence[DrawnRegion], words: Words, random: Dice) -> Iterator[NamedPlace]:
    grids = [r for r in regions if level_of(r.code) is Level.GRID]
    for name, at in zip(words.landmarks, random.shuffled(len(grids)), strict=False):
        yield NamedPlace(name, (), "landmark", *_point(grids[at].shape))
