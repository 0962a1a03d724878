"""Importing regions: a good file whole, a bad file not at all, and every mistake in it at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
import shapely

from gridloop.kernel import clock
from gridloop.kernel.coordinates import from_wgs84
from gridloop.kernel.models import Event
from gridloop.territory import actions, queries
from gridloop.territory.actions import ImportResult
from gridloop.territory.models import FormerBoundary, Region, UnitCell
from gridloop.territory.rules import reading

pytestmark = pytest.mark.django_db

STREET, COMMUNITY = "410104002", "410104002002"
GRIDS = [f"{COMMUNITY}B001", f"{COMMUNITY}B002"]


def square(west: float, south: float, size: float = 0.01, high: float | None = None) -> list[list[list[float]]]:
    """The rings of a rectangle with a corner at 113.6 E, 34.7 N, moved."""
    x, y = 113.6 + west, 34.7 + south
    return [[[x, y], [x + size, y], [x + size, y + (high or size)], [x, y + (high or size)], [x, y]]]


def feature(code: Any, rings: Any, name: str | None = "名", kind: str = "Polygon", **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature",
        "properties": {"code": code, "name": name, **properties},
        "geometry": {"type": kind, "coordinates": rings},
    }


def tree() -> list[dict[str, Any]]:
    """A district, a street and a community on the same square, cut into two grids."""
    return [
        feature("410104", square(0, 0)),
        feature(STREET, square(0, 0)),
        feature(COMMUNITY, square(0, 0)),
        feature(GRIDS[0], square(0, 0, 0.005, 0.01)),
        feature(GRIDS[1], square(0.005, 0, 0.005, 0.01)),
    ]


Load = Callable[..., ImportResult]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Import features, or a text or bytes under a file name."""

    def load(content: Any, name: str = "map.geojson", datum: str | None = "wgs84", **options: Any) -> ImportResult:
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            path.write_text(json.dumps({"type": "FeatureCollection", "features": content}), encoding="utf-8")
        return actions.import_regions(file=path, datum=datum, actor="system", at=clock.now(), **options)

    return load


def test_a_good_file_is_loaded_whole_and_located(load: Load) -> None:
    result = load(tree())
    assert result.mistakes == []
    assert result.counts == actions.Counts(created=5)
    assert queries.locate([113.601, 113.609, 113.7], [34.701, 34.709, 34.7]).tolist() == [*GRIDS, ""]
    region = Region.objects.get(code=GRIDS[0])
    assert (region.level, region.boundary_version, region.synthetic) == ("grid", 1, False)
    assert region.area_m2 == pytest.approx(0.005 * 0.01 * 111195**2 * np.cos(np.radians(34.705)), rel=1e-3)


def test_the_same_file_again_changes_nothing(load: Load) -> None:
    load(tree())
    turned = tree()
    ring = turned[3]["geometry"]["coordinates"][0]
    turned[3]["geometry"]["coordinates"] = [ring[2:] + ring[1:3]]  # the same square from another corner
    result = load(turned)
    assert result.counts == actions.Counts(unchanged=5)
    assert Event.objects.filter(name="MapChanged").count() == 1
    assert not FormerBoundary.objects.exists()


def test_a_changed_border_is_a_new_version_and_the_old_one_is_kept(load: Load) -> None:
    load(tree())
    moved = tree()[3:]
    moved[0] = feature(GRIDS[0], square(0, 0, 0.004, 0.01))
    moved[1] = feature(GRIDS[1], square(0.004, 0, 0.006, 0.01))
    assert load(moved).counts == actions.Counts(redrawn=2)
    assert queries.locate([113.6045], [34.705]).tolist() == [GRIDS[1]]
    old = FormerBoundary.objects.get(code=GRIDS[0])
    assert old.version == 1
    assert Region.objects.get(code=GRIDS[0]).boundary_version == 2
    before = shapely.Polygon(square(0, 0, 0.005, 0.01)[0])
    assert shapely.from_wkb(bytes(old.geometry)).equals_exact(before, 1e-8, normalize=True)


def test_a_region_missing_from_the_file_is_counted_and_left_alone(load: Load) -> None:
    load(tree())
    result = load(tree()[3:4], partial=True)
    assert result.not_in_file == 1
    assert queries.active().count() == 5


def test_a_new_name_is_an_edit_and_keeps_the_border(load: Load) -> None:
    load(tree())
    result = load("代码,名称\n410104002,新名街道\n", "names.csv")
    assert result.mistakes == []
    assert result.counts == actions.Counts(edited=1)
    region = Region.objects.get(code=STREET)
    assert (region.name, region.boundary_version) == ("新名街道", 1)


@pytest.mark.parametrize("datum", ["cgcs2000", "gcj02", "bd09"])
def test_every_datum_lands_on_the_same_ground(load: Load, datum: str) -> None:
    shifted = tree()
    for one in shifted:
        one["geometry"]["coordinates"] = [
            [list(from_wgs84(x, y, datum)) for x, y in ring] for ring in one["geometry"]["coordinates"]
        ]
    result = load(shifted, datum=datum)
    assert result.mistakes == []
    shape = Region.objects.get(code=STREET).shape
    assert shape is not None
    assert shapely.hausdorff_distance(shape, shapely.Polygon(square(0, 0)[0])) < 1e-9


def rows() -> list[list[str]]:
    return [
        ["代码", "名称", "边界", "启用日期"],
        ["410104", "区", shapely.Polygon(square(0, 0)[0]).wkt, ""],
        [STREET, "街道", f"MULTIPOLYGON (({shapely.Polygon(square(0, 0)[0]).wkt[9:-1]}))", "2020-01-01"],
        [COMMUNITY, "社区", ";".join(f"{x},{y}" for x, y in square(0, 0)[0]), "2020/1/1"],
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gbk", "utf-16"])
def test_a_table_in_any_usual_encoding_is_read(load: Load, encoding: str) -> None:
    text = "\n".join(",".join(f'"{c}"' for c in row) for row in rows())
    result = load(text.encode(encoding), "map.csv")
    assert [str(m) for m in result.mistakes] == []
    assert result.counts == actions.Counts(created=3)
    assert Region.objects.get(code=COMMUNITY).starts_on == date(2020, 1, 1)


def test_a_workbook_is_read_like_a_table(load: Load, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in rows():
        sheet.append([int(row[0]) if row[0].isdigit() else row[0], *row[1:]])  # codes as numbers
    book.save(tmp_path / "book.xlsx")
    result = load((tmp_path / "book.xlsx").read_bytes(), "map.xlsx")
    assert [str(m) for m in result.mistakes] == []
    assert result.counts == actions.Counts(created=3)


def test_unit_cells_go_to_their_own_table(load: Load) -> None:
    load(tree())
    cells = [feature(f"{COMMUNITY}00{n}", square(0.0025 * (n - 1), 0, 0.0025, 0.01)) for n in (1, 2, 3, 4)]
    result = load(cells, level="unit_cell")
    assert result.mistakes == []
    assert UnitCell.objects.count() == 4
    assert queries.locate_cells([113.601], [34.705]).tolist() == [f"{COMMUNITY}001"]
    assert queries.locate([113.601], [34.705]).tolist() == [GRIDS[0]]


def test_what_is_exported_is_read_back_unchanged(load: Load, tmp_path: Path) -> None:
    load(tree())
    for datum in ("wgs84", "cgcs2000", "gcj02", "bd09"):
        exported = tmp_path / f"{datum}.geojson"
        assert queries.export_geojson(exported, "410104", datum=datum) == 5
        result = load(exported.read_bytes(), datum=datum, dry_run=True)
        assert result.mistakes == []
        assert result.counts == actions.Counts(unchanged=5)


def test_a_dry_run_counts_and_stores_nothing(load: Load) -> None:
    assert load(tree(), dry_run=True).counts == actions.Counts(created=5)
    assert not Region.objects.exists()
    assert not Event.objects.exists()
    assert queries.locate([113.601], [34.701]).tolist() == [""]


def test_progress_is_told_up_to_the_end(load: Load) -> None:
    told: list[tuple[str, int, int]] = []
    load(tree(), progress=lambda *step: told.append(step))
    assert told[-1][1] == told[-1][2]
    assert {what for what, _, _ in told} == {"read", "overlaps", "families"}


def test_slivers_within_the_tolerance_are_let_pass_and_wider_ones_are_not(load: Load) -> None:
    half_a_metre = 0.5 / 91_000
    narrow = tree()
    narrow[4] = feature(GRIDS[1], square(0.005 + half_a_metre, 0, 0.005, 0.01))
    assert load(narrow).mistakes == []
    assert len(load(narrow, tolerance_m=0.1).mistakes) == 2  # a gap on one side, a piece outside on the other


def test_slips_of_the_real_kind_are_all_told_at_once_with_their_place(load: Load) -> None:
    bad = tree()
    bad[1]["properties"]["code"] = "410104600"
    bad[3]["geometry"]["coordinates"] = [[[34.7, 113.6], [34.7, 113.61], [34.71, 113.61], [34.7, 113.6]]]
    bad[4]["geometry"]["coordinates"][0].pop()
    result = load(bad)
    told = [(m.place, m.wrong.en.split(":")[0]) for m in result.mistakes]
    assert ("feature 2, code", "the street part “600” is above 599") in told
    assert ("feature 3, code", "its parent “410104002” does not exist or has ended") in told
    assert ("feature 4, geometry", "latitude and longitude look swapped") in told
    assert ("feature 5, geometry", "the ring is not closed") in told
    assert not Region.objects.exists()


Bad = tuple[Any, str, str | None, str]


def corpus() -> dict[str, Bad]:
    """name: (content, file name, datum, what the English sentence says)"""
    good = tree()
    x, y = 113.6, 34.7

    def one(rings: Any, kind: str = "Polygon", code: Any = "410104", **more: Any) -> list[dict[str, Any]]:
        return [feature(code, rings, kind=kind, **more)]

    def raw(text: str) -> str:
        return f'{{"type":"FeatureCollection","features":[{text}]}}'

    bow_tie = [[[x, y], [x + 0.01, y + 0.01], [x + 0.01, y], [x, y + 0.01], [x, y]]]
    nan_feature = json.dumps(feature("410104", square(0, 0))).replace("113.6,", "NaN,", 1)
    return {
        "no datum": (good, "m.geojson", None, "the datum is not named"),
        "unknown datum": (good, "m.geojson", "beijing54", "is not a known datum"),
        "crs against datum": (
            json.dumps({"type": "FeatureCollection", "crs": {"properties": {"name": "EPSG:4490"}}, "features": good}),
            "m.geojson",
            "gcj02",
            "the file says cgcs2000",
        ),
        "projected crs": (
            json.dumps({"type": "FeatureCollection", "crs": {"properties": {"name": "EPSG:4547"}}, "features": good}),
            "m.geojson",
            "wgs84",
            "EPSG:4547",
        ),
        "not json": ("{'type': 1}", "m.geojson", "wgs84", "not JSON"),
        "cut off": (json.dumps(good)[:-20], "m.geojson", "wgs84", "not JSON"),
        "deep json": ("[" * 100_000 + "]" * 100_000, "m.geojson", "wgs84", "nested too deeply"),
        "deep coordinates": (
            raw(
                '{"type":"Feature","properties":{"code":"410104"},"geometry":{"type":"Polygon","coordinates":%s}}'
                % ("[" * 100_000 + "]" * 100_000)
            ),
            "m.geojson",
            "wgs84",
            "nested too deeply",
        ),
        "json of another kind": ("[1, 2]", "m.geojson", "wgs84", "not a GeoJSON FeatureCollection"),
        "features is no list": ('{"type":"FeatureCollection","features":5}', "m.geojson", "wgs84", "is not a list"),
        "empty collection": ([], "m.geojson", "wgs84", "no regions"),
        "feature without properties": (raw('{"type":"Feature"}, 7'), "m.geojson", "wgs84", "not a feature"),
        "doubled key": (raw('{"type":"Feature","type":"x"}'), "m.geojson", "wgs84", "twice in one object"),
        "no text": (b'{"type":"\xff\xff\xff"}', "m.geojson", "wgs84", "no text from byte"),
        "no such file": (None, "absent.geojson", "wgs84", "no such file"),
        "empty file": ("", "m.csv", "wgs84", "no header"),
        "no code column": ("名称,边界\n甲,乙\n", "m.csv", "wgs84", "no column holds the code"),
        "zip for a workbook": (b"PK\x03\x04" + b"\0" * 40, "m.xlsx", "wgs84", "damaged"),
        "pdf": (b"%PDF-1.7 ....", "m.csv", "wgs84", "not a table"),
        "code missing": (one(square(0, 0), code=None), "m.geojson", "wgs84", "there is no code"),
        "code of no level": (one(square(0, 0), code="41010"), "m.geojson", "wgs84", "no level has that many"),
        "code as a float": ("代码,名称\n4.10104E+11,甲\n", "m.csv", "wgs84", "turned the code into the number"),
        "code with letters": (one(square(0, 0), code="41O104"), "m.geojson", "wgs84", "is not a district code"),
        "sequence zero": (one(square(0, 0), code="410104000"), "m.geojson", "wgs84", "is zero"),
        "code twice": ([*good, good[1]], "m.geojson", "wgs84", "is already in feature 2"),
        "level contradicts": (one(square(0, 0), level="street"), "m.geojson", "wgs84", "contradicts the code"),
        "orphan": (good[:1] + good[2:3], "m.geojson", "wgs84", "its parent"),
        "orphan cell": ([feature("410104002009001", square(0, 0))], "m.geojson", "wgs84", "its parent"),
        "no name": ([feature("410104", square(0, 0), name=None)], "m.geojson", "wgs84", "has no name"),
        "name too long": ([feature("410104", square(0, 0), name="长" * 121)], "m.geojson", "wgs84", "more than 120"),
        "counted nowhere": (one(square(0, 0), stat_parent="410199"), "m.geojson", "wgs84", "does not exist"),
        "no day": (one(square(0, 0), starts_on="31.12.2020"), "m.geojson", "wgs84", "is not a day"),
        "ends before it starts": (
            one(square(0, 0), starts_on="2020-02-02", ends_on="2020-01-01"),
            "m.geojson",
            "wgs84",
            "before it starts",
        ),
        "no geometry": ([{**good[0], "geometry": None}], "m.geojson", "wgs84", "there is no boundary"),
        "empty geometry cell": ("code,name,wkt\n410104,区,\n", "m.csv", "wgs84", "there is no boundary"),
        "a point": (one([x, y], kind="Point"), "m.geojson", "wgs84", "is not an area"),
        "a line as text": (
            f'code,name,wkt\n410104,区,"LINESTRING ({x} {y}, 114 35)"\n',
            "m.csv",
            "wgs84",
            "not an area",
        ),
        "broken text": (f'code,name,wkt\n410104,区,"POLYGON (({x} {y}"\n', "m.csv", "wgs84", "cannot be read"),
        "words for numbers": ('code,name,wkt\n410104,区,"113.6,甲;1,2;3,4"\n', "m.csv", "wgs84", "not a coordinate"),
        "an odd number": (
            'code,name,wkt\n410104,区,"113.6,34.7;113.7;113.6,34.8"\n',
            "m.csv",
            "wgs84",
            "not a coordinate",
        ),
        "null in a corner": (one([[[x, None], [1, 2], [3, 4], [x, y]]]), "m.geojson", "wgs84", "not a coordinate"),
        "text in a corner": (one([[["113", "34"]] * 4]), "m.geojson", "wgs84", "not a coordinate"),
        "flat coordinates": (one([x, y, x, y]), "m.geojson", "wgs84", "there is no boundary"),
        "not a number": (raw(nan_feature), "m.geojson", "wgs84", "not a coordinate"),
        "number of a million digits": (
            raw(json.dumps(feature("410104", square(0, 0))).replace("113.6,", "1" * 1_000_000 + ",", 1)),
            "m.geojson",
            "wgs84",
            "not a coordinate",
        ),
        "swapped axes": (one([[[b, a] for a, b in square(0, 0)[0]]]), "m.geojson", "wgs84", "look swapped"),
        "metres": (
            one([[[457000, 3844000], [458000, 3844000], [458000, 3845000], [457000, 3844000]]]),
            "m.geojson",
            "wgs84",
            "look projected",
        ),
        "elsewhere": (one(square(-190, 0)), "m.geojson", "wgs84", "out of range"),
        "not closed": (one([square(0, 0)[0][:-1]]), "m.geojson", "wgs84", "not closed"),
        "two corners": (one([[[x, y], [x + 1, y], [x, y]]]), "m.geojson", "wgs84", "fewer than 3"),
        "on one line": (one([[[x, y], [x + 0.1, y], [x + 0.2, y], [x, y]]]), "m.geojson", "wgs84", "crosses itself"),
        "bow tie": (one(bow_tie), "m.geojson", "wgs84", "crosses itself"),
        "hole outside": (one([*square(0, 0), *square(0.05, 0)]), "m.geojson", "wgs84", "hole lies outside"),
        "polygon in polygon": (
            one([square(0, 0), square(0.001, 0.001, 0.005)], kind="MultiPolygon"),
            "m.geojson",
            "wgs84",
            "inside another",
        ),
        "too many corners": (
            one([[[x + 0.1 * np.cos(a), y + 0.1 * np.sin(a)] for a in np.linspace(0, 6, 200_002)] + [[x + 0.1, y]]]),
            "m.geojson",
            "wgs84",
            "more than 200000 corners",
        ),
        "overlap": ([*good[:4], feature(GRIDS[1], square(0.004, 0, 0.006, 0.01))], "m.geojson", "wgs84", "overlap by"),
        "gap": ([*good[:4], feature(GRIDS[1], square(0.006, 0, 0.004, 0.01))], "m.geojson", "wgs84", "uncovered"),
        "outside its parent": (
            [*good[:4], feature(GRIDS[1], square(0.005, 0, 0.006, 0.01))],
            "m.geojson",
            "wgs84",
            "sticks out",
        ),
        "broken bytes": (
            "code,name\n410104,管城区\n".encode() + b"410104001,\xff\xff\n",
            "m.csv",
            "wgs84",
            "bytes that are no",
        ),
        "too many cells": ("code,name\n410104,区,多余\n", "m.csv", "wgs84", "cells under 2 columns"),
    }


@pytest.mark.parametrize("name", corpus())
def test_a_bad_file_is_refused_whole_with_its_mistake(load: Load, name: str, tmp_path: Path) -> None:
    content, file, datum, says = corpus()[name]
    if content is None:
        result = actions.import_regions(file=tmp_path / file, datum=datum, actor="system", at=clock.now())
    else:
        result = load(content, file, datum)
    assert says in " | ".join(m.wrong.en for m in result.mistakes)
    assert all(m.place and m.wrong.zh and m.instead.zh and m.instead.en for m in result.mistakes)
    assert result.counts == actions.Counts()
    assert not Region.objects.exists()
    assert not UnitCell.objects.exists()


def test_the_corpus_is_large_enough() -> None:
    assert len(corpus()) >= 25


def test_a_million_corners_are_read_or_refused_without_harm(load: Load) -> None:
    angles = np.linspace(0, 2 * np.pi, 100_001)[:-1]
    parts = []
    for n in range(10):
        ring = np.column_stack([113.0 + n + 0.2 * np.cos(angles), 34.7 + 0.2 * np.sin(angles)]).round(6).tolist()
        parts.append(feature(f"410104{n + 1:03d}", [[*ring, ring[0]]]))
    result = load([feature("410104", square(0, 0), "区"), *parts], partial=True)
    assert {m.wrong.en.split(" by ")[0] for m in result.mistakes} == {
        f"“410104{n + 1:03d}” sticks out of “410104”" for n in range(10)
    }


def test_a_file_larger_than_the_limit_is_refused_unread(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_BYTES", 100)
    assert "larger than" in load(tree()).mistakes[0].wrong.en


def test_an_overlap_with_what_the_map_already_has_names_the_map(load: Load) -> None:
    load(tree()[:4], partial=True)
    result = load([feature(GRIDS[1], square(0.004, 0, 0.006, 0.01))])
    assert len(result.mistakes) == 1
    assert f"“{GRIDS[1]}” and “{GRIDS[0]}” (map) overlap" in result.mistakes[0].wrong.en


def test_a_parent_cannot_shrink_away_from_its_children(load: Load) -> None:
    load(tree())
    result = load([feature(COMMUNITY, square(0, 0, 0.008, 0.01))], partial=True)
    assert f"“{GRIDS[1]}” sticks out" in result.mistakes[0].wrong.en
    assert result.mistakes[0].place == "feature 1, geometry"


def test_a_place_is_named_in_the_words_of_the_file(load: Load) -> None:
    result = load("区域代码,名称,坐标串\n41010,区,甲\n", "map.csv")
    assert [m.place for m in result.mistakes] == ["row 2, 区域代码", "row 2, 坐标串"]


def test_a_demanded_level_is_demanded_of_every_row(load: Load) -> None:
    result = load(tree(), level="grid")
    assert len([m for m in result.mistakes if "is not a grid code" in m.wrong.en]) == 3


def test_a_retired_code_is_not_taken_back_by_an_import(load: Load) -> None:
    load(tree())
    actions.retire_regions(codes=[GRIDS[0]], on=date(2020, 1, 1), actor="system", at=clock.now())
    result = load(tree())
    assert "ended on 2020-01-01" in " ".join(m.wrong.en for m in result.mistakes)


def test_a_region_cannot_end_before_those_below_it(load: Load) -> None:
    load(tree())
    ending = "代码,停用日期\n410104002002,2027-01-01\n"
    result = load(ending, "end.csv")
    assert [m.wrong.en for m in result.mistakes] == [f"“{COMMUNITY}” ends, but 2 below it do not, such as “{GRIDS[0]}”"]
    assert load(ending + "".join(f"{grid},2027-01-01\n" for grid in GRIDS), "end.csv").counts.edited == 3


def test_the_sample_file_of_the_guide_can_be_imported() -> None:
    sample = Path(__file__).parents[2] / "docs" / "examples" / "map" / "sample.csv"
    result = actions.import_regions(file=sample, datum="wgs84", actor="system", at=clock.now())
    assert [str(m) for m in result.mistakes] == []
    assert result.counts == actions.Counts(created=7)
    assert queries.locate([113.601, 113.615], [34.705, 34.705]).tolist() == ["990001001001B001", "990001001002B001"]
    assert not Region.objects.filter(synthetic=False).exists()
