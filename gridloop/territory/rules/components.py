"""Components (部件) from a file: GeoJSON points, or a table (CSV, XLSX) with one component per row.

Column names of the surveys made by GB/T 30428.2 are understood (ObjID, ObjName, DeptCode1, ObjState, ORDate).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from gridloop.kernel.coordinates import Datum, to_wgs84
from gridloop.kernel.errors import Mistake
from gridloop.kernel.language import Sentence
from gridloop.kernel.tables import open_table
from gridloop.territory.rules.codes import shown
from gridloop.territory.rules.reading import check_crs, day_of, file_mistake, is_json, parsed, plain

MAX_ROWS = 500_000
CONDITIONS = ("完好", "破损", "丢失", "废弃", "移除")
COLUMNS: dict[str, tuple[str, ...]] = {
    "code": ("code", "代码", "编码", "部件编码", "部件代码", "标识码", "objid"),
    "kind": ("kind", "type", "类型", "部件类型", "小类代码", "类型代码"),
    "name": ("name", "名称", "部件名称", "objname"),
    "lon": ("lon", "lng", "longitude", "经度", "x", "pointx"),
    "lat": ("lat", "latitude", "纬度", "y", "pointy"),
    "managed_by": ("managed_by", "主管单位", "主管部门代码", "养护单位", "deptcode1"),
    "condition": ("condition", "状态", "部件状态", "objstate"),
    "starts_on": ("starts_on", "启用日期", "初始日期", "ordate"),
    "ends_on": ("ends_on", "停用日期", "移除日期"),
    "remark": ("remark", "备注", "note"),
}
_FIELDS = {alias: name for name, aliases in COLUMNS.items() for alias in aliases}
_LONGEST = {"name": 120, "managed_by": 40, "remark": 200}


@dataclass(frozen=True, slots=True)
class ReadComponent:
    """One component as a file has it, its place in WGS-84. "" and None where the file says nothing."""

    place: str
    code: str
    kind: str
    name: str
    lon: float
    lat: float
    managed_by: str = ""
    condition: str = ""
    starts_on: date | None = None
    ends_on: date | None = None
    remark: str = ""


def read_components(path: Path, *, datum: Datum) -> tuple[list[ReadComponent], list[Mistake]]:
    """All components of a file, and all its mistakes. `Mistakes` if the file cannot be read at all."""
    mistakes: list[Mistake] = []
    rows = _points(path, datum, mistakes) if is_json(path) else _table(path, mistakes)
    found: dict[str, ReadComponent] = {}
    for place, values in rows:
        one = _component(place, values, datum, mistakes)
        if one is not None and one.code in found:
            mistakes.append(
                Mistake(
                    place,
                    Sentence(
                        zh=f"代码“{one.code}”与{found[one.code].place}重复",
                        en=f"code “{one.code}” is already in {found[one.code].place}",
                    ),
                    Sentence(zh="每个代码只写一次", en="write each code once"),
                )
            )
        elif one is not None:
            found[one.code] = one
    if not rows and not mistakes:
        mistakes.append(
            Mistake(
                path.name,
                Sentence(zh="文件里没有部件", en="the file has no components"),
                Sentence(zh="每个部件一个要素或一行", en="one feature or one row per component"),
            )
        )
    return list(found.values()), mistakes


def _points(path: Path, datum: Datum, mistakes: list[Mistake]) -> list[tuple[str, dict[str, Any]]]:
    document = parsed(path)
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list):
        raise file_mistake(
            path,
            Sentence(zh="这不是 GeoJSON 要素集", en="this is not a GeoJSON FeatureCollection"),
            Sentence(zh="导出为点要素集", en="export it as a collection of points"),
        )
    check_crs(path, document, datum, mistakes)
    rows = []
    for number, feature in enumerate(features[: MAX_ROWS + 1], 1):
        feature = feature if isinstance(feature, dict) else {}
        geometry, properties = feature.get("geometry") or {}, feature.get("properties") or {}
        values = {_FIELDS[k.strip().lower()]: v for k, v in properties.items() if k.strip().lower() in _FIELDS}
        at = geometry.get("coordinates") if geometry.get("type") == "Point" else None
        if isinstance(at, list) and len(at) >= 2:
            values |= {"lon": at[0], "lat": at[1]}
        rows.append((f"feature {number}", values))
    return rows


def _table(path: Path, mistakes: list[Mistake]) -> list[tuple[str, dict[str, Any]]]:
    rows = []
    with open_table(path) as table:
        columns = {_FIELDS[c.strip().lower()]: c for c in table.columns if c.strip().lower() in _FIELDS}
        if missing := [name for name in ("code", "lon", "lat") if name not in columns]:
            raise file_mistake(
                path,
                Sentence(
                    zh=f"缺少列：{'、'.join(missing)}；有：{shown('、'.join(table.columns), 80)}",
                    en=f"there is no column {', '.join(missing)}; there are: {shown(', '.join(table.columns), 80)}",
                ),
                Sentence(
                    zh="列名写成 code、lon、lat，或 部件编码、经度、纬度", en="call the columns code, lon and lat"
                ),
            )
        for row in table.rows:
            if row.broken is not None:
                mistakes.append(Mistake(f"row {row.number}", row.broken.wrong, row.broken.instead))
                continue
            rows.append((f"row {row.number}", {name: row.cells[column] for name, column in columns.items()}))
            if len(rows) > MAX_ROWS:
                raise file_mistake(
                    path,
                    Sentence(zh=f"超过 {MAX_ROWS} 行", en=f"more than {MAX_ROWS} rows"),
                    Sentence(zh="分成几个文件导入", en="import it in several files"),
                )
    return rows


def _component(place: str, values: Mapping[str, Any], datum: Datum, mistakes: list[Mistake]) -> ReadComponent | None:
    before = len(mistakes)

    def note(column: str, wrong: Sentence, instead: Sentence) -> None:
        mistakes.append(Mistake(f"{place}, {column}", wrong, instead))

    said = {name: plain(values.get(name)) for name in COLUMNS}
    code = said["code"]
    if not re.fullmatch(r"[0-9A-Z]{6,24}", code):
        note(
            "code",
            Sentence(zh=f"“{shown(code)}”不是部件代码", en=f"“{shown(code)}” is no code of a component"),
            Sentence(zh="16位：区6位、大类2位、小类2位、顺序6位", en="16 digits: county 6, major 2, minor 2, number 6"),
        )
    kind = said["kind"] or (code[6:10] if re.fullmatch(r"\d{16}", code) else "")
    kind = f"C{kind}" if re.fullmatch(r"\d{4}", kind) else kind
    if not re.fullmatch(r"C\d{4}", kind):
        note(
            "kind",
            Sentence(zh=f"“{shown(kind)}”不是部件类型", en=f"“{shown(kind)}” is no class of components"),
            Sentence(
                zh="大类2位加小类2位，如 0137（路灯）", en="two digits of the major and two of the minor class: 0137"
            ),
        )
    lon, lat = _number(said["lon"]), _number(said["lat"])
    if lon is None or lat is None or not (-180 <= lon <= 180 and -85 <= lat <= 85):
        note(
            "lon, lat",
            Sentence(
                zh=f"“{shown(said['lon'])}, {shown(said['lat'])}”不是经纬度",
                en=f"“{shown(said['lon'])}, {shown(said['lat'])}” is no longitude and latitude",
            ),
            Sentence(zh="写成度，如 113.71, 34.72", en="write degrees, such as 113.71, 34.72"),
        )
    for name, longest in _LONGEST.items():
        if len(said[name]) > longest:
            note(
                name,
                Sentence(zh=f"超过 {longest} 个字", en=f"more than {longest} characters"),
                Sentence(zh="缩短", en="shorten it"),
            )
    if said["condition"] and said["condition"] not in CONDITIONS:
        note(
            "condition",
            Sentence(
                zh=f"没有状态“{shown(said['condition'])}”", en=f"there is no condition “{shown(said['condition'])}”"
            ),
            Sentence(zh="、".join(CONDITIONS), en="write one of: " + ", ".join(CONDITIONS)),
        )
    days: dict[str, date | None] = {}
    for name in ("starts_on", "ends_on"):
        try:
            days[name] = day_of(said[name]) if said[name] else None
        except ValueError:
            note(
                name,
                Sentence(zh=f"“{shown(said[name])}”不是日期", en=f"“{shown(said[name])}” is not a day"),
                Sentence(zh="写成 2026-11-21", en="write it as 2026-11-21"),
            )
    if len(mistakes) > before or lon is None or lat is None:
        return None
    lon, lat = to_wgs84(lon, lat, datum)
    return ReadComponent(
        place, code, kind, said["name"] or code, round(lon, 7), round(lat, 7), said["managed_by"], said["condition"],
        days["starts_on"], days["ends_on"], said["remark"],
    )  # fmt: skip


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
