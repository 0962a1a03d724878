"""From the coordinates in a file to a boundary that can be trusted: every mistake, where it is, what to write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from gridloop.kernel.coordinates import Datum, in_china, to_wgs84
from gridloop.kernel.language import Sentence
from gridloop.territory.rules.codes import PRIVATE_DISTRICT, shown

MAX_CORNERS = 200_000
"""Corners of one boundary; a detailed province has fewer."""

_DECIMALS = 8
"""Degrees to a millimetre: what was exported in another datum comes back as exactly what it was."""

Problem = tuple[Sentence, Sentence]
"""What is wrong, and what to write instead."""
Rings = list[list[NDArray[np.float64]]]
"""Polygons, each a list of rings (the outer first), each an array (n, 2) of longitude and latitude."""


def rings_of_geojson(geometry: Any) -> tuple[Rings, list[Problem]]:
    """The rings of a GeoJSON Polygon or MultiPolygon; coordinates beyond the second (heights) are dropped."""
    if not isinstance(geometry, dict):
        return [], [_NO_SHAPE]
    kind = geometry.get("type")
    if kind not in ("Polygon", "MultiPolygon"):
        return [], [_wrong_kind(kind)]
    polygons = geometry.get("coordinates")
    if kind == "Polygon":
        polygons = [polygons]
    rings: Rings = []
    if not isinstance(polygons, list) or not polygons:
        return [], [_NO_SHAPE]
    for polygon in polygons:
        if not isinstance(polygon, list) or not polygon:
            return [], [_NO_SHAPE]
        part = []
        for ring in polygon:
            if not isinstance(ring, list) or not ring:
                return [], [_NO_SHAPE]
            corners = []
            for at, corner in enumerate(ring, 1):
                if not _is_corner(corner):
                    return [], [_wrong_corner(at, corner)]
                corners.append((corner[0], corner[1]))
            part.append(np.array(corners, dtype=np.float64))
        rings.append(part)
    return rings, []


def rings_of_text(text: str) -> tuple[Rings, list[Problem]]:
    """The rings of a table's cell: WKT (`POLYGON ((…))`), or `lon,lat;lon,lat;…` for one ring."""
    text = text.strip()
    if not text:
        return [], [_NO_SHAPE]
    if text[0].isalpha():
        return _rings_of_wkt(text)
    corners = []
    pairs = [p for p in re.split(r"[;；|\n]+", text) if p.strip()]
    if len(pairs) == 1:
        pairs = [p for p in text.split() if p]
    for at, pair in enumerate(pairs, 1):
        numbers = [n for n in re.split(r"[,，\s]+", pair.strip()) if n]
        try:
            corner = [float(n) for n in numbers]
        except ValueError:
            return [], [_wrong_corner(at, pair)]
        if len(corner) not in (2, 3):
            return [], [_wrong_corner(at, pair)]
        corners.append((corner[0], corner[1]))
    return [[np.array(corners, dtype=np.float64)]], []


_WKT = re.compile(r"(?:SRID=\d+;)?\s*(MULTIPOLYGON|POLYGON)\s*(?:Z|M|ZM)?\s*\((.*)\)\s*", re.IGNORECASE | re.DOTALL)


def _rings_of_wkt(text: str) -> tuple[Rings, list[Problem]]:
    match = _WKT.fullmatch(text)
    if match is None:
        kind = re.match(r"[A-Za-z]+", text)
        if kind and kind[0].upper() not in ("POLYGON", "MULTIPOLYGON"):
            return [], [_wrong_kind(kind[0])]
        return [], [_UNREADABLE]
    multi = match[1].upper() == "MULTIPOLYGON"
    rings: Rings = [[]]
    depth, start, at = 0, 0, 0
    for place, sign in enumerate(match[2]):
        if sign == "(":
            depth += 1
            start = place + 1
        elif sign == ")":
            depth -= 1
            if depth == (1 if multi else 0) and start:
                corners = []
                for corner in match[2][start:place].split(","):
                    at += 1
                    try:
                        numbers = [float(n) for n in corner.split()]
                    except ValueError:
                        return [], [_wrong_corner(at, corner)]
                    if not 2 <= len(numbers) <= 4:
                        return [], [_wrong_corner(at, corner)]
                    corners.append((numbers[0], numbers[1]))
                rings[-1].append(np.array(corners, dtype=np.float64))
                start = 0
            elif depth == 0 and multi:
                rings.append([])
        if depth < 0 or depth > (2 if multi else 1):
            return [], [_UNREADABLE]
    rings = [part for part in rings if part]
    return (rings, []) if rings and depth == 0 else ([], [_UNREADABLE])


def shape_of(rings: Rings, datum: Datum, code: str = "") -> tuple[Any, list[Problem]]:
    """The boundary in WGS-84 and everything that is wrong with it; the boundary is None unless nothing is.

    For codes of Chinese districts the place must lie in China.
    """
    if sum(len(r) for part in rings for r in part) > MAX_CORNERS:
        return None, [
            (
                Sentence(zh=f"边界超过 {MAX_CORNERS} 个点", en=f"the boundary has more than {MAX_CORNERS} corners"),
                Sentence(zh="先抽稀（简化）边界", en="simplify the boundary first"),
            )
        ]
    problems: list[Problem] = []
    chinese = not code.startswith(PRIVATE_DISTRICT)
    several = sum(len(part) for part in rings) > 1
    for polygon, part in enumerate(rings, 1):
        for number, ring in enumerate(part, 1):
            where = (
                Sentence(zh=f"第 {polygon} 个面第 {number} 个环：", en=f"polygon {polygon}, ring {number}: ")
                if several
                else Sentence(zh="", en="")
            )
            problems += [
                (Sentence(zh=where.zh + wrong.zh, en=where.en + wrong.en), instead)
                for wrong, instead in _ring_problems(ring, chinese)
            ]
    if problems:
        return None, problems
    converted = [
        [np.column_stack(to_wgs84(ring[:, 0], ring[:, 1], datum)).round(_DECIMALS) for ring in part] for part in rings
    ]
    polygons = [shapely.Polygon(part[0], part[1:]) for part in converted]
    shape = shapely.remove_repeated_points(polygons[0] if len(polygons) == 1 else shapely.MultiPolygon(polygons))
    if not shapely.is_valid(shape):
        return None, [_invalid(str(shapely.is_valid_reason(shape)))]
    if shape.area < 1e-12:
        return None, [
            (
                Sentence(zh="面积为零", en="the area is zero"),
                Sentence(zh="写出围成一块地的点", en="write corners that enclose some land"),
            )
        ]
    return shape, []


def _ring_problems(ring: NDArray[np.float64], chinese: bool) -> list[Problem]:
    finite = np.isfinite(ring).all(axis=1)
    if not finite.all():
        at = int(np.argmin(finite))
        return [_wrong_corner(at + 1, ring[at].tolist())]
    x, y = ring[:, 0], ring[:, 1]
    problems: list[Problem] = []
    beyond = (np.abs(x) > 180) | (np.abs(y) > 90)
    swapped = bool((in_china(y, x) & ~in_china(x, y)).all()) if chinese else bool((beyond & (np.abs(x) <= 90)).any())
    foreign = ~in_china(x, y) if chinese else beyond
    if swapped:
        problems.append(
            (
                Sentence(
                    zh=f"经纬度顺序似乎颠倒：{_at(ring[0])}",
                    en=f"latitude and longitude look swapped: {_at(ring[0])}",
                ),
                Sentence(zh="先写经度，后写纬度", en="write the longitude first, then the latitude"),
            )
        )
    elif (np.abs(ring) > 1000).any():
        problems.append(
            (
                Sentence(
                    zh=f"坐标像是以米为单位的投影坐标：{_at(ring[0])}",
                    en=f"the coordinates look projected, in metres: {_at(ring[0])}",
                ),
                Sentence(zh="先转换为经纬度（度）", en="convert them to degrees of longitude and latitude first"),
            )
        )
    elif foreign.any():
        at = int(np.argmax(foreign))
        problems.append(
            (
                Sentence(
                    zh=f"第 {at + 1} 个点 {_at(ring[at])} 超出范围",
                    en=f"corner {at + 1} {_at(ring[at])} is out of range",
                ),
                Sentence(zh="经度 72–138、纬度 0.8–56（度）", en="longitude 72 to 138, latitude 0.8 to 56 (degrees)")
                if chinese
                else Sentence(zh="经度 -180–180、纬度 -90–90（度）", en="longitude -180 to 180, latitude -90 to 90"),
            )
        )
    if not _three_different(ring):
        problems.append(
            (
                Sentence(zh="不同的点少于 3 个", en="there are fewer than 3 different corners"),
                Sentence(
                    zh="一个面至少 3 个点，并回到起点", en="an area has at least 3 corners and returns to the first"
                ),
            )
        )
    elif not np.array_equal(ring[0], ring[-1]):
        problems.append(
            (
                Sentence(
                    zh=f"边界未闭合：起点 {_at(ring[0])}，终点 {_at(ring[-1])}",
                    en=f"the ring is not closed: it begins at {_at(ring[0])} and ends at {_at(ring[-1])}",
                ),
                Sentence(zh="在末尾重复第一个点", en="repeat the first corner at the end"),
            )
        )
    return problems


def _three_different(ring: NDArray[np.float64]) -> bool:
    others = ring[(ring != ring[0]).any(axis=1)]
    return len(others) > 0 and bool((others != others[0]).any())


_NUMBERS = (int, float)
"""Exactly these: JSON's true is an int to isinstance."""


def _is_corner(corner: Any) -> bool:
    return isinstance(corner, list) and len(corner) >= 2 and type(corner[0]) in _NUMBERS and type(corner[1]) in _NUMBERS


def _at(corner: Sequence[float] | NDArray[np.float64]) -> str:
    return f"({float(corner[0]):.6g}, {float(corner[1]):.6g})"


_NO_SHAPE: Problem = (
    Sentence(zh="没有边界", en="there is no boundary"),
    Sentence(zh="写面（Polygon 或 MultiPolygon）", en="give a Polygon or MultiPolygon"),
)
_UNREADABLE: Problem = (
    Sentence(zh="边界文字无法识别", en="the boundary's text cannot be read"),
    Sentence(
        zh="写 POLYGON ((经度 纬度, …)) 或 经度,纬度;经度,纬度;…",
        en="write POLYGON ((lon lat, …)) or lon,lat;lon,lat;…",
    ),
)


def _wrong_kind(kind: object) -> Problem:
    return (
        Sentence(zh=f"“{shown(kind)}”不是面", en=f"“{shown(kind)}” is not an area"),
        Sentence(zh="用 Polygon 或 MultiPolygon", en="use Polygon or MultiPolygon"),
    )


def _wrong_corner(at: int, corner: object) -> Problem:
    return (
        Sentence(
            zh=f"第 {at} 个点“{shown(corner)}”不是坐标", en=f"corner {at}, “{shown(corner)}”, is not a coordinate"
        ),
        Sentence(zh="写两个数：经度、纬度（度）", en="write two numbers: longitude, latitude (degrees)"),
    )


_REASONS = {
    "Self-intersection": (Sentence(zh="边界自相交", en="the boundary crosses itself"), "untangle"),
    "Ring Self-intersection": (Sentence(zh="边界环自相接", en="the ring touches itself"), "untangle"),
    "Hole lies outside shell": (Sentence(zh="洞在外环之外", en="a hole lies outside its outer ring"), "holes"),
    "Holes are nested": (Sentence(zh="洞中有洞", en="a hole lies in a hole"), "holes"),
    "Nested shells": (Sentence(zh="一个面在另一个面之内", en="one polygon lies inside another"), "parts"),
    "Interior is disconnected": (Sentence(zh="内部被切断", en="the inside is cut in two"), "parts"),
}
_REMEDIES = {
    "untangle": Sentence(zh="调整点的顺序，使边界不交叉", en="order the corners so that the border does not cross"),
    "holes": Sentence(zh="第一个环是外环，其余是其中的洞", en="the first ring is the outer one, the rest are holes"),
    "parts": Sentence(zh="用 MultiPolygon 表示分开的面", en="write separate areas as a MultiPolygon"),
}


def _invalid(reason: str) -> Problem:
    name, _, where = reason.partition("[")
    other = Sentence(zh="边界无效", en=f"the boundary is invalid ({name})")
    sentence, remedy = _REASONS.get(name.strip(), (other, "untangle"))
    corner = where.rstrip("]").split()
    near = f" {_at([float(corner[0]), float(corner[1])])}" if len(corner) == 2 else ""
    return Sentence(zh=sentence.zh + near, en=sentence.en + near), _REMEDIES[remedy]
