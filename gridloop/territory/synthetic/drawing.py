"""Maps that we invent: a district's whole grid tree from its official names, and a district made from points.

No polygons of the sub-districts and grids of a Chinese district are public, and the product must not ship real ones.
So a demonstration district is drawn here: the codes and names are official, every line is invented and labelled
synthetic. The same seed draws the same map.

**How it is drawn.** A convex outline in a plane of metres is cut by straight lines, as a city is by its roads: into
streets, these into communities, grids and micro-grids. The lines between streets and communities carry the roads.
Where a line ends on another, its end becomes a corner on both sides; then all corners are bent by one smooth wave and
rounded to 1e-7 degrees (1 cm). Neighbours share their corners exactly, and a parent is the union of its children, so
children tile their parent without gap or overlap.
"""

from __future__ import annotations

import csv
import math
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import yaml
from shapely import Polygon

from gridloop.kernel.coordinates import MEAN_RADIUS
from gridloop.territory.rules.codes import GridType, Level, community_kind, next_codes, parent_of

Point = tuple[float, float]
Ring = list[Point]

DEGREE = math.radians(1.0) * MEAN_RADIUS
"""Metres in a degree of latitude."""
_STEP = 150.0
"""Metres between the corners of a long border, so that the wave bends it."""
_MICRO_GRIDS = (5, 8)
"""Micro-grids of a grid: 300-500 households over 50-70 (Zhengzhou's standard)."""
_CELL_M2 = 10_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedRegion:
    """A region known by code and name; one row of a district's regions.csv."""

    code: str
    name: str
    name_en: str = ""
    official_name: str = ""
    stat_parent: str = ""
    managed_by: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a drawn district is asked to look like; a district's layout.yaml."""

    seed: int
    centre: Point
    outline: tuple[Point, ...]
    streets: Any
    unit_cells: tuple[str, ...] = ()
    exclusive_grids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnRegion:
    """A region with its invented boundary (WGS-84 degrees)."""

    code: str
    name: str
    shape: Any
    official_name: str = ""
    name_en: str = ""
    stat_parent: str = ""
    managed_by: str = ""


@dataclass(frozen=True, slots=True)
class Road:
    """A road along a border: its rank (the level of the regions it divides) and its line (WGS-84 degrees)."""

    rank: Level
    line: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawn district: the tree (parents first), the unit cells, the roads (widest first)."""

    regions: list[DrawnRegion]
    unit_cells: list[DrawnRegion]
    roads: list[Road]


class Dice:
    """Chance that falls the same on every machine and with every version: only `Random.random` promises that."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a map, not a secret

    def between(self, low: float, high: float) -> float:
        return low + (high - low) * self._random.random()

    def whole(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return low + int((high - low + 1) * self._random.random())

    def shuffled(self, count: int) -> list[int]:
        """The numbers below `count` in some order."""
        return [i for _, i in sorted((self._random.random(), i) for i in range(count))]


def read_names(path: Path) -> list[NamedRegion]:
    """The official codes and names of a district (``regions.csv``)."""
    with path.open(encoding="utf-8", newline="") as file:
        return [NamedRegion(**{k: v or "" for k, v in row.items()}) for row in csv.DictReader(file)]


def read_plan(path: Path) -> Plan:
    """The plan of a district's map (``layout.yaml``)."""
    raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    return Plan(
        seed=raw["seed"],
        centre=(raw["centre"][0], raw["centre"][1]),
        outline=tuple((float(x), float(y)) for x, y in raw["outline"]),
        streets=raw["streets"],
        unit_cells=tuple(raw.get("unit_cells", ())),
        exclusive_grids=raw.get("exclusive_grids", {}),
    )


def draw_district(names: Sequence[NamedRegion], plan: Plan) -> Drawing:
    """The whole map of a district whose streets and communities are `names`: about 2 seconds for 5,000 regions."""
    return _Draughtsman(names, plan).draw()


# --- cutting -------------------------------------------------------------------------------------------------------


def _area(ring: Ring) -> float:
    return 0.5 * sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, ring[1:] + ring[:1], strict=True))


def _cut(ring: Ring, normal: Point, at: float) -> tuple[Ring, Ring, Ring]:
    """A convex ring cut where ``normal . p = at``: (the part below, the part above, the two ends of the cut)."""
    low: Ring = []
    high: Ring = []
    ends: Ring = []
    nx, ny = normal
    heights = [nx * x + ny * y - at for x, y in ring]
    for i, here in enumerate(ring):
        h, k = heights[i], heights[(i + 1) % len(ring)]
        (low if h <= 0 else high).append(here)
        if (h <= 0) != (k <= 0):
            there = ring[(i + 1) % len(ring)]
            t = h / (h - k)
            # Whole millimetres from the first: the same point gets the same number on both sides.
            end = (round(here[0] + t * (there[0] - here[0]), 3), round(here[1] + t * (there[1] - here[1]), 3))
            low.append(end)
            high.append(end)
            ends.append(end)
    return low, high, ends


def _cut_by_share(ring: Ring, normal: Point, share: float) -> tuple[Ring, Ring, Ring]:
    """Cut so that the part below has `share` of the area (within a thousandth)."""
    heights = [normal[0] * x + normal[1] * y for x, y in ring]
    low, high = min(heights), max(heights)
    whole = _area(ring)
    for _ in range(12):
        middle = (low + high) / 2
        if _area(_cut(ring, normal, middle)[0]) < share * whole:
            low = middle
        else:
            high = middle
    return _cut(ring, normal, (low + high) / 2)


def _long_way(ring: Ring) -> Point:
    """The unit vector along the longer of the two compass extents of a ring."""
    xs, ys = [x for x, _ in ring], [y for _, y in ring]
    return (1.0, 0.0) if max(xs) - min(xs) >= max(ys) - min(ys) else (0.0, -1.0)


def _turned(vector: Point, angle: float) -> Point:
    c, s = math.cos(angle), math.sin(angle)
    return vector[0] * c - vector[1] * s, vector[0] * s + vector[1] * c


class _Draughtsman:
    def __init__(self, names: Sequence[NamedRegion], plan: Plan) -> None:
        self.plan = plan
        self.random = Dice(plan.seed)
        self.named = {n.code: n for n in names}
        self.below: dict[str, list[str]] = defaultdict(list)
        for name in names:
            if parent := parent_of(name.code):
                self.below[parent].append(name.code)
        self.cuts: list[tuple[Level, Ring]] = []

    def draw(self) -> Drawing:
        outline: Ring = [(float(x), float(y)) for x, y in self.plan.outline]
        if _area(outline) < 0:
            outline.reverse()
        communities: dict[str, Ring] = {}
        for street, ring in self._streets(self.plan.streets, outline):
            codes = self.below[street]
            weights = [self.random.between(1.6, 2.8) if community_kind(c) == "village" else 1.0 for c in codes]
            parts = self._divide(ring, [w * self.random.between(0.75, 1.35) for w in weights], Level.COMMUNITY)
            communities |= dict(zip(codes, parts, strict=True))
        micro_grids: dict[str, Ring] = {}
        names: dict[str, str] = {}
        for community, ring in communities.items():
            for code, name, part in self._grids(community, ring):
                names[code] = name
                many = self.random.whole(*_MICRO_GRIDS)
                small = _in_reading_order(self._divide(part, [1.0] * many, Level.MICRO_GRID))
                for number, micro in enumerate(small, 1):
                    micro_grids[f"{code}{number:03d}"] = micro
                    names[f"{code}{number:03d}"] = f"{name}{number}号微网格"
        cells: dict[str, Ring] = {}
        for community, ring in communities.items():
            if community.startswith(self.plan.unit_cells or ("-",)):
                many = max(1, round(_area(ring) / _CELL_M2))
                small = _in_reading_order(self._divide(ring, [1.0] * many, None))
                cells |= dict(zip(next_codes(community, [], many), small, strict=True))
        return self._finish(micro_grids, cells, names)

    def _streets(self, node: Any, ring: Ring) -> Iterator[tuple[str, Ring]]:
        way = "columns" if "columns" in node else "rows" if "rows" in node else None
        if way is None:
            ((code, _),) = node.items()
            yield code, ring
            return
        rest, parts = ring, list(node[way])
        for i, part in enumerate(parts[:-1]):
            left = sum(_weight(p) for p in parts[i:])
            normal = _turned((1.0, 0.0) if way == "columns" else (0.0, -1.0), self.random.between(-0.05, 0.05))
            piece, rest, ends = _cut_by_share(rest, normal, _weight(part) / left)
            self.cuts.append((Level.STREET, ends))
            yield from self._streets(part, piece)
        yield from self._streets(parts[-1], rest)

    def _divide(self, ring: Ring, weights: Sequence[float], rank: Level | None) -> list[Ring]:
        """`ring` in parts with areas in proportion to `weights`, each about as long as wide."""
        if len(weights) == 1:
            return [ring]
        half = len(weights) // 2
        share = sum(weights[:half]) / sum(weights)
        normal = _turned(_long_way(ring), self.random.between(-0.06, 0.06))
        low, high, ends = _cut_by_share(ring, normal, share)
        if rank is Level.COMMUNITY:
            self.cuts.append((rank, ends))
        return self._divide(low, weights[:half], rank) + self._divide(high, weights[half:], rank)

    def _grids(self, community: str, ring: Ring) -> Iterator[tuple[str, str, Ring]]:
        village = community_kind(community) == "village"
        many = self.random.whole(2, 4) if village else self.random.whole(3, 6)
        rings = _in_reading_order(
            self._divide(ring, [self.random.between(0.85, 1.15) for _ in range(many)], Level.GRID)
        )
        name = self.named[community].name
        special = self.plan.exclusive_grids.get(community)
        if special:
            yield f"{community}{GridType.EXCLUSIVE}001", f"{special}专属网格", rings.pop()
        prefix = community + (GridType.RURAL if village else GridType.BASIC)
        for number, (code, part) in enumerate(zip(next_codes(prefix, [], len(rings)), rings, strict=True), 1):
            yield code, f"{name}第{number}网格", part

    def _finish(self, micro_grids: dict[str, Ring], cells: dict[str, Ring], names: dict[str, str]) -> Drawing:
        codes = [*micro_grids, *cells]
        shapes = dict(zip(codes, self._shapes([*micro_grids.values(), *cells.values()]), strict=True))
        drawn: dict[str, Polygon] = {code: shapes[code] for code in micro_grids}
        level = list(drawn)
        while len(level[0]) > Level.DISTRICT.digits:
            children: dict[str, list[Polygon]] = defaultdict(list)
            for code in level:
                children[parent_of(code)].append(drawn[code])
            for parent, parts in children.items():
                drawn[parent] = _union(parts)
            level = list(children)
        regions = []
        for code in sorted(drawn, key=lambda c: (len(c), c)):
            named = self.named.get(code)
            regions.append(
                DrawnRegion(
                    code=code,
                    name=named.name if named else names[code],
                    shape=drawn[code],
                    official_name=named.official_name if named else "",
                    name_en=named.name_en if named else "",
                    stat_parent=named.stat_parent if named else "",
                    managed_by=named.managed_by if named else "",
                )
            )
        unit_cells = [DrawnRegion(code=code, name=f"单元网格{code}", shape=shapes[code]) for code in cells]
        order = {Level.STREET: 0, Level.COMMUNITY: 1}
        roads = [
            Road(rank, tuple(self._to_degrees(np.array(_stepped(ends[0], ends[1])))))
            for rank, ends in sorted(self.cuts, key=lambda cut: order[cut[0]])
        ]
        return Drawing(regions, unit_cells, roads)

    def _shapes(self, rings: list[Ring]) -> list[Polygon]:
        """Rings with every corner that lies on their edges made their own, bent and in degrees."""
        corners = sorted({p for ring in rings for p in ring})
        tree = shapely.STRtree(shapely.points(corners))
        edges = [(i, a, b) for i, ring in enumerate(rings) for a, b in zip(ring, ring[1:] + ring[:1], strict=True)]
        lines = shapely.linestrings([[a, b] for _, a, b in edges])
        on_edge: dict[int, Ring] = defaultdict(list)
        for edge, corner in tree.query(lines, predicate="dwithin", distance=0.003).T.tolist():
            on_edge[edge].append(corners[corner])
        full: list[Ring] = [[] for _ in rings]
        for number, (i, a, b) in enumerate(edges):
            # On a straight edge the distance from its beginning is the order along it.
            along = sorted({*on_edge[number], a, b}, key=partial(math.dist, a))
            for p, q in pairwise(along):
                full[i].extend(_stepped(p, q)[:-1])
        return [Polygon(self._to_degrees(np.array(ring))) for ring in full]

    def _to_degrees(self, ring: Any) -> list[Point]:
        """Metres in the plane, bent by a wave that moves no point by more than 140 m and never folds, as degrees."""
        x, y = ring[:, 0], ring[:, 1]
        bent_x = x + 85 * np.sin(2 * np.pi * y / 3100 + 0.7) + 40 * np.sin(2 * np.pi * (x + y) / 1700)
        bent_y = y + 75 * np.sin(2 * np.pi * x / 2700 + 2.1) + 35 * np.sin(2 * np.pi * (x - y) / 1500)
        lon = self.plan.centre[0] + bent_x / (DEGREE * math.cos(math.radians(self.plan.centre[1])))
        lat = self.plan.centre[1] + bent_y / DEGREE
        return [(round(a, 7), round(b, 7)) for a, b in zip(lon.tolist(), lat.tolist(), strict=True)]


def _weight(node: Any) -> float:
    if "columns" in node or "rows" in node:
        return sum(_weight(part) for part in node.get("columns", node.get("rows")))
    ((_, weight),) = node.items()
    return float(weight)


def _stepped(a: Point, b: Point) -> Ring:
    """The points from `a` to `b`, at most `_STEP` apart; the same points whichever end comes first."""
    if b < a:
        return _stepped(b, a)[::-1]
    steps = max(1, math.ceil(math.dist(a, b) / _STEP))
    between = [(a[0] + (b[0] - a[0]) * k / steps, a[1] + (b[1] - a[1]) * k / steps) for k in range(1, steps)]
    return [a, *between, b]


def _union(parts: Sequence[Polygon]) -> Polygon:
    whole = shapely.coverage_union_all(parts)
    return whole.geoms[0] if hasattr(whole, "geoms") and len(whole.geoms) == 1 else whole


def _in_reading_order(rings: Sequence[Ring]) -> list[Ring]:
    """Rings from north to south in rows, in a row from west to east (the numbering of grids, DB6101/T 3185-2024)."""
    middles = [(sum(x for x, _ in r) / len(r), sum(y for _, y in r) / len(r)) for r in rings]
    heights = sorted(max(y for _, y in r) - min(y for _, y in r) for r in rings)
    return [rings[i] for i in reading_order(middles, row=heights[len(heights) // 2] * 0.6)]


def reading_order(points: Sequence[Point], *, row: float) -> list[int]:
    """The order of points read like a page: rows of height `row` from north to south, each from west to east."""
    order = sorted(range(len(points)), key=lambda i: -points[i][1])
    rows: list[list[int]] = []
    for i in order:
        if rows and points[rows[-1][0]][1] - points[i][1] <= row:
            rows[-1].append(i)
        else:
            rows.append([i])
    return [i for members in rows for i in sorted(members, key=lambda i: points[i])]
