"""Do the regions of a file fit the map that is stored? Everything that does not, at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from gridloop.kernel.errors import Mistake
from gridloop.kernel.language import Sentence
from gridloop.territory.rules import tiling
from gridloop.territory.rules.codes import UNIT_CELL_DIGITS, Level, parent_of
from gridloop.territory.rules.reading import Progress, ReadRegion


@dataclass(frozen=True, slots=True)
class StoredRegion:
    """What the map knows of a region or unit cell; `shape` is None where no boundary is known."""

    ends_on: date | None
    shape: Any
    synthetic: bool


def above(code: str) -> str:
    """The code of the region around a region or a unit cell; "" for a district."""
    return code[: Level.COMMUNITY.digits] if len(code) == UNIT_CELL_DIGITS else parent_of(code)


def check_against_map(
    read: Sequence[ReadRegion],
    stored: Mapping[str, StoredRegion],
    *,
    partial: bool = False,
    tolerance_m: float = tiling.TOLERANCE_M,
    progress: Progress | None = None,
) -> list[Mistake]:
    """The mistakes that only the map shows: orphans, retired codes, overlaps, gaps, children outside their parent.

    `stored` holds at least all regions and unit cells of the districts in the file. `partial`: gaps are no mistake.
    """
    tell = progress or (lambda what, done, total: None)
    mine = {r.code: r for r in read}
    mistakes = [m for region in read for m in _own(region, mine, stored)]
    mistakes += _left_behind(read, mine, stored)
    mistakes += _synthetic(read, stored)
    shapes = {c: s.shape for c, s in stored.items() if s.ends_on is None and s.shape is not None and c not in mine}
    shapes |= {r.code: r.shape for r in read if r.shape is not None and not r.attributes.get("ends_on")}
    # A file that changes names only keeps the boundaries that it does not mention.
    shapes |= {
        r.code: stored[r.code].shape
        for r in read
        if r.shape is None and r.code in stored and stored[r.code].shape is not None and not r.attributes.get("ends_on")
    }
    redrawn = [r for r in read if r.shape is not None and r.code in shapes]
    tell("overlaps", 0, len(redrawn))
    mistakes += _overlaps(redrawn, shapes, mine, tolerance_m)
    tell("overlaps", len(redrawn), len(redrawn))
    mistakes += _families(redrawn, shapes, mine, partial, tolerance_m, tell)
    return mistakes


def _own(region: ReadRegion, mine: Mapping[str, ReadRegion], stored: Mapping[str, StoredRegion]) -> list[Mistake]:
    """What is wrong with one region before any geometry."""
    found = []
    parent = above(region.code)
    if parent and parent not in mine and (parent not in stored or stored[parent].ends_on is not None):
        found.append(
            Mistake(
                region.at("code"),
                Sentence(zh=f"上级“{parent}”不存在或已停用", en=f"its parent “{parent}” does not exist or has ended"),
                Sentence(zh="先导入上级，或改正代码", en="import the parent first, or correct the code"),
            )
        )
    known = stored.get(region.code)
    if known is not None and known.ends_on is not None and region.attributes.get("ends_on") != known.ends_on:
        found.append(
            Mistake(
                region.at("code"),
                Sentence(
                    zh=f"代码“{region.code}”已于 {known.ends_on} 停用",
                    en=f"code “{region.code}” ended on {known.ends_on}",
                ),
                Sentence(
                    zh="停用的代码不再发放：用新的序号", en="a retired code is never issued again: use a new number"
                ),
            )
        )
    if known is None and not region.is_cell and not region.attributes.get("name"):
        found.append(
            Mistake(
                region.at("name"),
                Sentence(zh=f"新区域“{region.code}”没有名称", en=f"the new region “{region.code}” has no name"),
                Sentence(zh="写出名称", en="write its name"),
            )
        )
    counted = region.attributes.get("stat_parent", "")
    if counted and counted not in mine and counted not in stored:
        found.append(
            Mistake(
                region.at("stat_parent"),
                Sentence(zh=f"统计归属“{counted}”不存在", en=f"the region that counts it, “{counted}”, does not exist"),
                Sentence(zh="写已有区域的代码", en="write the code of an existing region"),
            )
        )
    return found


def _left_behind(
    read: Sequence[ReadRegion], mine: Mapping[str, ReadRegion], stored: Mapping[str, StoredRegion]
) -> list[Mistake]:
    """Regions that end while some below them go on."""
    below: dict[str, list[str]] = defaultdict(list)
    for code in sorted({*mine, *(c for c, s in stored.items() if s.ends_on is None)}):
        if code not in mine or not mine[code].attributes.get("ends_on"):
            below[above(code)].append(code)
    found = []
    for region in read:
        if region.attributes.get("ends_on") and (left := below[region.code]):
            found.append(
                Mistake(
                    region.at("ends_on"),
                    Sentence(
                        zh=f"“{region.code}”停用，但下级“{left[0]}”等 {len(left)} 个仍在用",
                        en=f"“{region.code}” ends, but {len(left)} below it do not, such as “{left[0]}”",
                    ),
                    Sentence(zh="在文件中也写明它们的停用日期", en="end them in the same file"),
                )
            )
    return found


def _synthetic(read: Sequence[ReadRegion], stored: Mapping[str, StoredRegion]) -> list[Mistake]:
    """A real boundary must not stand among invented ones."""
    real = {r.code[:6]: r.place for r in reversed(read) if r.shape is not None and not r.attributes.get("synthetic")}
    invented = {c[:6] for c, s in stored.items() if s.synthetic and s.shape is not None and s.ends_on is None}
    return [
        Mistake(
            place,
            Sentence(zh=f"区“{district}”的地图是虚构的", en=f"the map of district “{district}” is synthetic"),
            Sentence(
                zh="确认要用真实边界替换它：加 --replace-synthetic",
                en="if the real boundaries shall replace it, add --replace-synthetic",
            ),
        )
        for district, place in sorted(real.items())
        if district in invented
    ]


def _overlaps(
    redrawn: Sequence[ReadRegion], shapes: Mapping[str, Any], mine: Mapping[str, ReadRegion], tolerance_m: float
) -> list[Mistake]:
    found = []
    for digits in sorted({len(r.code) for r in redrawn}):
        # The file's regions first, then the map's: a pair within the map is not the file's mistake.
        first = [r.code for r in redrawn if len(r.code) == digits]
        new = set(first)
        codes = first + sorted(c for c in shapes if len(c) == digits and c not in new)
        for i, j, square_metres in tiling.overlaps([shapes[c] for c in codes], len(first), tolerance_m):
            other = codes[j]
            where = mine[other].place if other in new else "map"
            found.append(
                Mistake(
                    mine[codes[i]].at("geometry"),
                    Sentence(
                        zh=f"“{codes[i]}”与“{other}”（{where}）重叠 {square_metres:,.0f} 平方米",
                        en=f"“{codes[i]}” and “{other}” ({where}) overlap by {square_metres:,.0f} m²",
                    ),
                    Sentence(
                        zh=f"相邻边界应重合（容差 {tolerance_m:g} 米）",
                        en=f"let neighbours share their border (tolerance {tolerance_m:g} m)",
                    ),
                )
            )
    return found


def _families(
    redrawn: Sequence[ReadRegion],
    shapes: Mapping[str, Any],
    mine: Mapping[str, ReadRegion],
    partial: bool,
    tolerance_m: float,
    tell: Progress,
) -> list[Mistake]:
    """Children that stick out and gaps between them, for every parent that has a boundary and a part in the file."""
    new = {r.code for r in redrawn}
    children: dict[tuple[str, int], list[str]] = defaultdict(list)
    for code in shapes:
        children[above(code), len(code)].append(code)
    families = sorted(
        (parent, digits)
        for (parent, digits), codes in children.items()
        if parent in shapes and (parent in new or any(c in new for c in codes))
    )
    found = []
    for done, family in enumerate(families):
        if done % 50 == 0:
            tell("families", done, len(families))
        parent, codes = family[0], sorted(children[family])
        for code in codes:
            if code not in new and parent not in new:
                continue
            if piece := tiling.outside(shapes[code], shapes[parent], tolerance_m):
                found.append(
                    Mistake(
                        mine[code if code in new else parent].at("geometry"),
                        Sentence(
                            zh=f"“{code}”超出上级“{parent}”{piece[1]:,.0f} 平方米，在 {_at(piece[0])}",
                            en=f"“{code}” sticks out of “{parent}” by {piece[1]:,.0f} m² at {_at(piece[0])}",
                        ),
                        Sentence(
                            zh=f"把边界收回上级之内（容差 {tolerance_m:g} 米）",
                            en=f"keep it inside its parent (tolerance {tolerance_m:g} m)",
                        ),
                    )
                )
        if partial:
            continue
        if piece := tiling.gap([shapes[c] for c in codes], shapes[parent], tolerance_m):
            found.append(
                Mistake(
                    f"{parent}, geometry",
                    Sentence(
                        zh=f"下级未覆盖“{parent}”{piece[1]:,.0f} 平方米，在 {_at(piece[0])}",
                        en=f"the regions below “{parent}” leave {piece[1]:,.0f} m² uncovered at {_at(piece[0])}",
                    ),
                    Sentence(
                        zh="补上缺口；如果文件只含部分区域，用 --partial",
                        en="close the gap; if the file holds only some of the regions, import it with --partial",
                    ),
                )
            )
    tell("families", len(families), len(families))
    return found


def _at(point: tuple[float, float]) -> str:
    return f"({point[0]:.6f}, {point[1]:.6f})"
