"""Regions and unit cells from a file: GeoJSON, or a table (CSV, XLSX) with one region per row.

Nothing is stored here and nothing is guessed: what a column means is in `COLUMNS`, what is wrong is in the mistakes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from gridloop.kernel.coordinates import Datum
from gridloop.kernel.errors import Mistake, Mistakes
from gridloop.kernel.language import Sentence
from gridloop.kernel.tables import encoding_of, open_table
from gridloop.territory.rules import shapes
from gridloop.territory.rules.codes import (
    UNIT_CELL_DIGITS,
    Level,
    check_cell_code,
    check_code,
    from_official,
    level_of,
    shown,
)

MAX_BYTES = 256 << 20
"""A GeoJSON file is read whole; 256 MB hold some five million corners."""
MAX_ROWS = 200_000
UNIT_CELL = "unit_cell"
"""The word for unit cells where the other levels have their `Level`."""

COLUMNS: dict[str, tuple[str, ...]] = {
    "code": (
        "code",
        "代码",
        "编码",
        "区域代码",
        "网格代码",
        "网格编码",
        "单元网格代码",
        "区划代码",
        "bgid",
        "gridcode",
    ),
    "name": ("name", "名称", "区域名称", "网格名称", "单元网格名称"),
    "name_en": ("name_en", "英文名称", "english name"),
    "level": ("level", "层级", "级别"),
    "official_name": ("official_name", "官方名称", "全称"),
    "local_code": ("local_code", "本地代码", "原代码"),
    "stat_parent": ("stat_parent", "统计归属"),
    "managed_by": ("managed_by", "管理单位", "管理单位代码"),
    "starts_on": ("starts_on", "启用日期", "开始日期", "start"),
    "ends_on": ("ends_on", "停用日期", "作废日期", "结束日期", "end"),
    "remark": ("remark", "备注"),
    "synthetic": ("synthetic", "虚构"),
    "geometry": ("geometry", "wkt", "geom", "边界", "坐标", "坐标串", "几何", "the_geom", "polygon"),
}
_FIELDS = {alias: name for name, aliases in COLUMNS.items() for alias in aliases}
_LONGEST = {
    "name": 120,
    "name_en": 120,
    "official_name": 120,
    "local_code": 40,
    "stat_parent": 19,
    "managed_by": 40,
    "remark": 200,
}
_CELL_FIELDS = {"code", "name", "starts_on", "ends_on", "remark"}
_EPSG = re.compile(r"EPSG:{1,2}(\d+)", re.IGNORECASE)
_DATUM_OF_EPSG = {"4326": Datum.WGS84, "4490": Datum.CGCS2000}


@dataclass(slots=True)
class ReadRegion:
    """One region as the file has it. `shape` is in WGS-84, None if the file has no boundaries."""

    place: str
    code: str
    attributes: dict[str, Any] = field(default_factory=dict)
    shape: Any = None
    columns: Mapping[str, str] = field(default_factory=dict)
    """What the file itself calls our columns."""

    def at(self, column: str) -> str:
        """The place of a mistake in one of our columns, in the file's own words."""
        return f"{self.place}, {self.columns.get(column, column)}"

    @property
    def is_cell(self) -> bool:
        return len(self.code) == UNIT_CELL_DIGITS


@dataclass(slots=True)
class _Raw:
    place: str
    values: Mapping[str, Any]
    geometry: Any
    """A GeoJSON geometry, a table's text, or `_ABSENT` when the whole file has no boundaries."""
    columns: Mapping[str, str]
    """Our name of a column -> the file's."""


_ABSENT = object()
Progress = Callable[[str, int, int], None]
"""(what is being done, done so far, of how many)."""


def datum_of(name: str | None) -> Datum:
    """The datum that a person named. Mistakes if none or an unknown one was named: nobody guesses a datum."""
    try:
        return Datum((name or "").strip().lower().replace("-", "").replace("_", ""))
    except ValueError:
        wrong = (
            Sentence(zh=f"“{shown(name)}”不是已知的坐标系", en=f"“{shown(name)}” is not a known datum")
            if name
            else Sentence(zh="没有写明坐标系", en="the datum is not named")
        )
        raise Mistakes(
            [
                Mistake(
                    "datum",
                    wrong,
                    Sentence(
                        zh="写 wgs84（GPS）、cgcs2000（天地图）、gcj02（高德、腾讯）或 bd09（百度）；"
                        "弄错会偏移 100–700 米",
                        en="write wgs84 (GPS), cgcs2000 (Tianditu), gcj02 (AMap, Tencent) or bd09 (Baidu); "
                        "the wrong one shifts everything by 100 to 700 m",
                    ),
                )
            ]
        ) from None


def read_regions(
    path: Path, *, datum: Datum, level: str | None = None, progress: Progress | None = None
) -> tuple[list[ReadRegion], list[Mistake]]:
    """All regions of a file and all mistakes that the file alone shows (what needs the stored map is checked later).

    `level` (a `Level` or "unit_cell") demands that level of every row; otherwise the length of the code tells it.
    """
    mistakes: list[Mistake] = []
    try:
        raws = _read_json(path, datum, mistakes) if is_json(path) else _read_table(path, mistakes)
    except Mistakes as all_wrong:
        return [], all_wrong.mistakes
    found: list[ReadRegion] = []
    first: dict[str, str] = {}
    for done, raw in enumerate(raws):
        if progress is not None and done % 200 == 0:
            progress("read", done, len(raws))
        region = _region(raw, datum, level, mistakes)
        if region is None:
            continue
        if region.code in first:
            mistakes.append(
                Mistake(
                    region.at("code"),
                    Sentence(
                        zh=f"代码“{region.code}”与{first[region.code]}重复",
                        en=f"code “{region.code}” is already in {first[region.code]}",
                    ),
                    Sentence(zh="每个代码只写一次", en="write each code once"),
                )
            )
            continue
        first[region.code] = raw.place
        found.append(region)
    if not raws and not mistakes:
        mistakes.append(
            Mistake(
                path.name,
                Sentence(zh="文件里没有区域", en="the file has no regions"),
                Sentence(zh="每个区域一个要素或一行", en="one feature or one row per region"),
            )
        )
    if progress is not None:
        progress("read", len(raws), len(raws))
    return found, mistakes


# --- files ---------------------------------------------------------------------------------------------------------


def is_json(path: Path) -> bool:
    """Whether a file is GeoJSON rather than a table: by its name, else by how it begins."""
    if path.suffix.lower() in (".geojson", ".json"):
        return True
    if path.suffix.lower() in (".csv", ".xlsx", ".txt", ".tsv", ".gz") or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def file_mistake(path: Path, wrong: Sentence, instead: Sentence) -> Mistakes:
    """One mistake that makes the whole file unreadable."""
    return Mistakes([Mistake(path.name, wrong, instead)])


def _read_json(path: Path, datum: Datum, mistakes: list[Mistake]) -> list[_Raw]:
    if not path.is_file():
        raise file_mistake(
            path,
            Sentence(zh="没有这个文件", en="there is no such file"),
            Sentence(zh="写出 GeoJSON、CSV 或 XLSX 文件的路径", en="name a GeoJSON, CSV or XLSX file"),
        )
    if path.stat().st_size > MAX_BYTES:
        raise file_mistake(
            path,
            Sentence(zh=f"文件大于 {MAX_BYTES >> 20} MB", en=f"the file is larger than {MAX_BYTES >> 20} MB"),
            Sentence(zh="分成几个文件，或先抽稀边界", en="split it, or simplify the boundaries first"),
        )
    document = parsed(path)
    if not isinstance(document, dict) or document.get("type") not in ("FeatureCollection", "Feature"):
        raise file_mistake(
            path,
            Sentence(zh="这不是 GeoJSON 要素集", en="this is not a GeoJSON FeatureCollection"),
            Sentence(
                zh='写 {"type": "FeatureCollection", "features": […]}',
                en='write {"type": "FeatureCollection", "features": […]}',
            ),
        )
    check_crs(path, document, datum, mistakes)
    features = document.get("features") if document["type"] == "FeatureCollection" else [document]
    if not isinstance(features, list):
        raise file_mistake(
            path,
            Sentence(zh="“features”不是列表", en="“features” is not a list"),
            Sentence(zh="写要素的列表", en="write a list of features"),
        )
    raws = []
    for number, feature in enumerate(features, 1):
        place = f"feature {number}"
        properties = feature.get("properties") if isinstance(feature, dict) else None
        if not isinstance(properties, dict):
            mistakes.append(
                Mistake(
                    place,
                    Sentence(zh="这不是带属性的要素", en="this is not a feature with properties"),
                    Sentence(
                        zh="写 properties，至少有 code 和 name", en="write properties with at least code and name"
                    ),
                )
            )
            continue
        columns = {_FIELDS[k.strip().lower()]: k for k in properties if k.strip().lower() in _FIELDS}
        values = {name: properties[key] for name, key in columns.items() if name != "geometry"}
        raws.append(_Raw(place, values, feature.get("geometry"), columns))
    return raws


def parsed(path: Path) -> Any:
    """The document of a JSON file. Mistakes if it is none."""
    encoding = encoding_of(path)
    try:
        text = path.read_bytes().decode(encoding)
    except UnicodeDecodeError as error:
        raise file_mistake(
            path,
            Sentence(zh=f"第 {error.start} 个字节起无法识别", en=f"it is no text from byte {error.start} on"),
            Sentence(zh="以 UTF-8 重新导出", en="export the file as UTF-8"),
        ) from error
    doubled: list[str] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) < len(pairs):
            keys = [k for k, _ in pairs]
            doubled.append(next(k for k in keys if keys.count(k) > 1))
        return made

    try:
        # A number of thousands of digits is no coordinate: as a float it becomes infinite and is reported as such.
        document = json.loads(
            text, object_pairs_hook=unique, parse_int=lambda digits: int(digits) if len(digits) < 25 else float(digits)
        )
    except json.JSONDecodeError as error:
        raise file_mistake(
            path,
            Sentence(
                zh=f"第 {error.lineno} 行第 {error.colno} 列不是 JSON",
                en=f"line {error.lineno}, column {error.colno}: not JSON",
            ),
            Sentence(zh="重新导出为 GeoJSON", en="export it as GeoJSON again"),
        ) from error
    except RecursionError as error:
        raise file_mistake(
            path,
            Sentence(zh="嵌套过深", en="it is nested too deeply"),
            Sentence(zh="重新导出为 GeoJSON", en="export it as GeoJSON again"),
        ) from error
    if doubled:
        raise file_mistake(
            path,
            Sentence(zh=f"同一对象里“{shown(doubled[0])}”出现两次", en=f"“{shown(doubled[0])}” is twice in one object"),
            Sentence(zh="每个名称只写一次", en="write each name once"),
        )
    return document


def check_crs(path: Path, document: Mapping[str, Any], datum: Datum, mistakes: list[Mistake]) -> None:
    """A file that says its own reference system must not contradict the person who imports it."""
    epsg = _EPSG.search(json.dumps(document.get("crs") or "", ensure_ascii=True)[:500])
    if epsg is None:
        return
    stated = _DATUM_OF_EPSG.get(epsg[1])
    if stated is None:
        mistakes.append(
            Mistake(
                f"{path.name}, crs",
                Sentence(zh=f"文件使用 EPSG:{epsg[1]}", en=f"the file is in EPSG:{epsg[1]}"),
                Sentence(
                    zh="先转换为 EPSG:4490 或 EPSG:4326（度）", en="convert it to EPSG:4490 or EPSG:4326 (degrees)"
                ),
            )
        )
    elif datum in (Datum.GCJ02, Datum.BD09):
        mistakes.append(
            Mistake(
                f"{path.name}, crs",
                Sentence(zh=f"文件写明 {stated}，导入却写 {datum}", en=f"the file says {stated}, the import {datum}"),
                Sentence(
                    zh=f"用 {stated} 导入，或改正文件的 crs", en=f"import it as {stated}, or correct the file's crs"
                ),
            )
        )


def _read_table(path: Path, mistakes: list[Mistake]) -> list[_Raw]:
    raws = []
    with open_table(path) as table:
        columns = {_FIELDS[c.strip().lower()]: c for c in table.columns if c.strip().lower() in _FIELDS}
        if "code" not in columns:
            raise file_mistake(
                path,
                Sentence(
                    zh=f"没有代码列；有：{shown('、'.join(table.columns), 80)}",
                    en=f"no column holds the code; there are: {shown(', '.join(table.columns), 80)}",
                ),
                Sentence(zh="把代码列命名为“代码”或 code", en="call the column of codes “code”"),
            )
        has_shapes = "geometry" in columns
        for row in table.rows:
            place = f"row {row.number}"
            if row.broken is not None:
                mistakes.append(Mistake(place, row.broken.wrong, row.broken.instead))
                continue
            values = {name: row.cells[column].strip() for name, column in columns.items()}
            raws.append(_Raw(place, values, values.pop("geometry") if has_shapes else _ABSENT, columns))
            if len(raws) > MAX_ROWS:
                raise file_mistake(
                    path,
                    Sentence(zh=f"超过 {MAX_ROWS} 行", en=f"more than {MAX_ROWS} rows"),
                    Sentence(zh="分成几个文件导入", en="import it in several files"),
                )
    return raws


# --- one region ----------------------------------------------------------------------------------------------------


def _region(raw: _Raw, datum: Datum, level: str | None, mistakes: list[Mistake]) -> ReadRegion | None:
    """The region of one feature or row; None if its code is unusable. Every mistake in it is noted."""
    before = len(mistakes)
    code = from_official(plain(raw.values.get("code")))
    region = ReadRegion(raw.place, code, columns=raw.columns)

    def note(column: str, wrong: Sentence, instead: Sentence) -> None:
        mistakes.append(Mistake(region.at(column), wrong, instead))

    for problem in _code_problems(code, level):
        note("code", *problem)
    usable = len(mistakes) == before
    said = plain(raw.values.get("level")).lower()
    if usable and said:
        own = {UNIT_CELL, "单元网格"} if region.is_cell else {level_of(code).value, level_of(code).label.zh}
        if said not in own:
            note(
                "level",
                Sentence(zh=f"层级“{shown(said)}”与代码不符", en=f"level “{shown(said)}” contradicts the code"),
                Sentence(zh=f"按代码应为 {sorted(own)[0]}", en=f"by the code it is {sorted(own)[0]}"),
            )
    region.attributes = _attributes(raw.values, region.is_cell, note)
    if raw.geometry is not _ABSENT:
        rings, problems = (
            shapes.rings_of_text(raw.geometry)
            if isinstance(raw.geometry, str)
            else shapes.rings_of_geojson(raw.geometry)
        )
        if not problems:
            region.shape, problems = shapes.shape_of(rings, datum, code)
        for problem in problems:
            note("geometry", *problem)
    return region if usable else None


def _code_problems(code: str, level: str | None) -> list[shapes.Problem]:
    if not code:
        return [(Sentence(zh="没有代码", en="there is no code"), Sentence(zh="写出代码", en="write the code"))]
    if re.fullmatch(r"\d(\.\d+)?E\+\d+", code, re.IGNORECASE):
        return [
            (
                Sentence(
                    zh=f"表格把代码变成了数字“{code}”", en=f"the spreadsheet turned the code into the number “{code}”"
                ),
                Sentence(zh="把代码列设为文本后重新填写", en="format the column as text and enter the codes again"),
            )
        ]
    if level == UNIT_CELL or (level is None and len(code) == UNIT_CELL_DIGITS):
        problem = check_cell_code(code)
        return [problem] if problem else []
    if level is not None:
        wanted = Level(level)
    else:
        try:
            wanted = level_of(code)
        except ValueError:
            return [
                (
                    Sentence(
                        zh=f"代码“{shown(code)}”有 {len(code)} 位，不属于任何层级",
                        en=f"code “{shown(code)}” has {len(code)} characters: no level has that many",
                    ),
                    Sentence(
                        zh="区 6、街道 9、社区 12、单元网格 15、网格 16、微网格 19 位",
                        en="district 6, street 9, community 12, unit cell 15, grid 16, micro-grid 19",
                    ),
                )
            ]
    problem = check_code(code, wanted)
    return [problem] if problem else []


def _attributes(
    values: Mapping[str, Any], is_cell: bool, note: Callable[[str, Sentence, Sentence], None]
) -> dict[str, Any]:
    """The columns that the file has and that are not empty; an empty cell leaves what is stored."""
    attributes: dict[str, Any] = {}
    for name, longest in _LONGEST.items():
        if is_cell and name not in _CELL_FIELDS:
            continue
        text = plain(values.get(name))
        if len(text) > longest:
            note(
                name,
                Sentence(zh=f"{len(text)} 个字，超过 {longest}", en=f"{len(text)} characters, more than {longest}"),
                Sentence(zh="缩短", en="shorten it"),
            )
        elif text:
            attributes[name] = text
    for name in ("starts_on", "ends_on"):
        text = plain(values.get(name))
        if text:
            try:
                attributes[name] = day_of(text)
            except ValueError:
                note(
                    name,
                    Sentence(zh=f"“{shown(text)}”不是日期", en=f"“{shown(text)}” is not a day"),
                    Sentence(zh="写成 2026-11-21", en="write it as 2026-11-21"),
                )
    if values.get("synthetic") is True or plain(values.get("synthetic")).lower() in ("true", "1", "是"):
        attributes["synthetic"] = True
    starts, ends = attributes.get("starts_on"), attributes.get("ends_on")
    if starts and ends and ends < starts:
        note(
            "ends_on",
            Sentence(
                zh=f"停用日期 {ends} 早于启用日期 {starts}", en=f"it ends on {ends}, before it starts on {starts}"
            ),
            Sentence(zh="改正其中一个日期", en="correct one of the days"),
        )
    return attributes


def day_of(text: str) -> date:
    """A day as people write it: 2026-11-21, 2026/11/21, 20261121, 2026年11月21日. ValueError for anything else."""
    match = re.fullmatch(r"(\d{4})[-/.年]?(\d{1,2})[-/.月]?(\d{1,2})日?(?:[ T]0{1,2}:00(?::00)?)?", text)
    if match is None:
        raise ValueError(text)
    return date(int(match[1]), int(match[2]), int(match[3]))


def plain(value: Any) -> str:
    """A value as text, blanks made single; whole numbers without a point."""
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        value = int(value)
    return " ".join(str(value).split())
