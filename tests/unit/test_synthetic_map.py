"""The invented map: complete, seamless, the same every time, and called invented."""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gridloop.territory.rules import codes
from gridloop.territory.rules.codes import Level
from gridloop.territory.rules.location import Locator, area_m2
from gridloop.territory.rules.places import read_places
from gridloop.territory.synthetic import (
    Drawing,
    NamedRegion,
    Plan,
    areas_from_points,
    draw_district,
    draw_places,
    read_names,
    read_plan,
    read_words,
)

FOLDER = Path(__file__).parents[2] / "districts" / "410104"


@pytest.fixture(scope="module")
def drawing() -> Drawing:
    return draw_district(read_names(FOLDER / "regions.csv"), read_plan(FOLDER / "layout.yaml"))


def _array(shapes: list[Any]) -> np.ndarray[Any, Any]:
    return np.array(shapes, dtype=object)


def _children_tile_parents(drawing: Drawing) -> None:
    shapes = {r.code: r.shape for r in drawing.regions}
    families: dict[tuple[str, int], list[Any]] = defaultdict(list)
    for region in (*drawing.regions, *drawing.unit_cells):
        parent = region.code[:12] if len(region.code) == 15 else codes.parent_of(region.code)
        if parent:
            families[parent, len(region.code)].append(region.shape)
    assert {p for p, _ in families} == {c for c in shapes if codes.level_of(c) is not Level.MICRO_GRID}
    for (parent, _), children in families.items():
        assert shapely.coverage_is_valid(_array(children)), parent
        assert shapely.coverage_union_all(children).equals_exact(shapes[parent], normalize=True), parent


def test_children_tile_their_parents_corner_by_corner(drawing: Drawing) -> None:
    _children_tile_parents(drawing)


def test_every_region_is_one_valid_piece(drawing: Drawing) -> None:
    shapes = _array([r.shape for r in (*drawing.regions, *drawing.unit_cells)])
    assert shapely.is_valid(shapes).all()
    assert {s.geom_type for s in shapes} == {"Polygon"}
    assert not shapely.get_num_interior_rings(shapes).any()


def test_official_names_and_codes_are_all_there_once(drawing: Drawing) -> None:
    counts = Counter(codes.level_of(r.code) for r in drawing.regions)
    assert (counts[Level.DISTRICT], counts[Level.STREET], counts[Level.COMMUNITY]) == (1, 14, 155)
    kinds = Counter(codes.community_kind(r.code) for r in drawing.regions if len(r.code) == 12)
    assert kinds == {"neighbourhood": 132, "village": 23}
    names = {r.code: r.name for r in drawing.regions}
    assert names["410104002002"] == "平等街社区"
    assert names["410104006004"] == "铁路新村社区"
    assert len(names) == len(drawing.regions)
    assert [r.code for r in drawing.regions if len(r.code) <= 9 and not r.name_en] == []


def test_two_streets_are_counted_here_and_run_by_others() -> None:
    elsewhere = {n.code: n for n in read_names(FOLDER / "regions.csv") if n.managed_by}
    assert set(elsewhere) == {"410104202", "410104570"}
    assert {n.stat_parent for n in elsewhere.values()} == {"410104"}


def test_the_size_is_that_of_the_district_and_its_grids(drawing: Drawing) -> None:
    shapes = {r.code: r.shape for r in drawing.regions}
    assert 107e6 < area_m2(shapes["410104"]) < 143e6
    assert shapes["410104"].covers(shapely.Point(113.70, 34.74))
    grids = Counter(codes.parent_of(c) for c in shapes if len(c) == 16)
    assert set(grids.values()) <= set(range(2, 7))
    micro = Counter(codes.parent_of(c) for c in shapes if len(c) == 19)
    assert set(micro.values()) <= set(range(5, 9))
    cells = [area_m2(c.shape) for c in drawing.unit_cells]
    assert 5_000 < min(cells) < max(cells) < 16_000
    assert np.median(cells) == pytest.approx(10_000, rel=0.1)


def test_every_code_is_one_of_its_level(drawing: Drawing) -> None:
    assert [r.code for r in drawing.regions if codes.check_code(r.code, codes.level_of(r.code))] == []
    assert [c.code for c in drawing.unit_cells if codes.check_cell_code(c.code)] == []
    villages = {r.code[12] for r in drawing.regions if len(r.code) == 16 and r.code[9] == "2"}
    assert villages == {"R"} or villages == {"R", "Z"}


def test_the_same_seed_draws_the_same_map(drawing: Drawing) -> None:
    again = draw_district(read_names(FOLDER / "regions.csv"), read_plan(FOLDER / "layout.yaml"))
    assert [(r.code, r.shape.wkb) for r in again.regions] == [(r.code, r.shape.wkb) for r in drawing.regions]


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_any_seed_draws_a_seamless_map(seed: int) -> None:
    names = [NamedRegion(code="990001", name="试验区")]
    for street in (1, 2, 3):
        names.append(NamedRegion(code=f"990001{street:03d}", name=f"{street}街道"))
        names += [NamedRegion(code=f"990001{street:03d}{n:03d}", name=f"{n}社区") for n in range(1, 6)]
    streets = {"rows": [{"990001001": 1}, {"columns": [{"990001002": 2}, {"990001003": 1}]}]}
    outline = ((-1500.0, 1200.0), (300.0, 1700.0), (1600.0, 300.0), (200.0, -1500.0), (-1400.0, -900.0))
    _children_tile_parents(draw_district(names, Plan(seed, (113.7, 34.7), outline, streets, unit_cells=("990001001",))))


def test_the_gazetteer_in_the_folder_is_what_the_generator_writes(drawing: Drawing) -> None:
    assert read_places(FOLDER / "gazetteer.csv") == draw_places(drawing, read_words(FOLDER / "words.yaml"))


def test_every_place_has_one_name_lies_in_the_district_and_is_called_synthetic(drawing: Drawing) -> None:
    places = read_places(FOLDER / "gazetteer.csv")
    assert len({p.name for p in places}) == len(places) > 1500
    assert {p.kind for p in places} == {
        "district", "street", "community", "road", "crossing", "compound", "poi", "landmark",
    }  # fmt: skip
    locator = Locator([r.code for r in drawing.regions], [r.shape for r in drawing.regions])
    found = locator.locate([p.lon for p in places], [p.lat for p in places])
    assert [p.name for p, code in zip(places, found, strict=True) if not code and p.kind != "crossing"] == []
    assert all(p.synthetic for p in places)


def test_a_community_name_lies_in_its_own_community(drawing: Drawing) -> None:
    locator = Locator([r.code for r in drawing.regions], [r.shape for r in drawing.regions])
    names = {r.code: r.name for r in drawing.regions}
    places = [p for p in read_places(FOLDER / "gazetteer.csv") if p.kind == "community"]
    found = locator.locate([p.lon for p in places], [p.lat for p in places])
    assert [names[c[:12]] for c in found] == [p.name for p in places]


# --- a district made from points -------------------------------------------------------------------------------------


def _messy(seed: int = 3) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], list[str]]:
    random = np.random.default_rng(seed)
    x, y = random.uniform(-87.9, -87.5, 4000), random.uniform(41.6, 42.0, 4000)
    areas = [f"area {int((a + 87.9) / 0.1)}-{int((b - 41.6) / 0.1)}" for a, b in zip(x, y, strict=True)]
    x[:50], y[:50] = np.nan, np.nan
    x[50:60], y[50:60] = 0, 0
    areas[60:90] = [""] * 30
    areas[90], areas[91], x[91] = " lonely\tplace ", "nowhere", np.nan
    return x, y, areas


def test_points_lie_in_the_region_of_their_own_area() -> None:
    x, y, areas = _messy()
    regions = areas_from_points(x, y, areas, code="990001", name="Chicago")
    drawn = [r for r in regions if r.shape is not None]
    assert shapely.is_valid(_array([r.shape for r in drawn])).all()
    assert shapely.coverage_is_valid(_array([r.shape for r in drawn[1:]]))
    names = {r.code: r.name for r in regions}
    found = Locator([r.code for r in drawn], [r.shape for r in drawn]).locate(x, y)
    usable = [i for i in range(4000) if np.isfinite(x[i]) and x[i] and areas[i]]
    own = [names.get(found[i]) == " ".join(areas[i].split()) for i in usable]
    assert np.mean(own) > 0.95
    assert all(len(found[i]) == 9 for i in usable)
    assert "lonely place" in {names[c] for c in found if c}


def test_areas_are_numbered_from_the_north_west_and_the_one_without_a_place_comes_last() -> None:
    x, y, areas = _messy()
    regions = areas_from_points(x, y, areas, code="990001", name="Chicago")
    assert [r.code for r in regions] == ["990001", *(f"990001{n:03d}" for n in range(1, len(regions)))]
    assert regions[1].name == "area 0-3"
    assert (regions[-1].name, regions[-1].shape) == ("nowhere", None)


def test_the_same_points_in_another_order_make_the_same_areas() -> None:
    x, y, areas = _messy()
    order = np.random.default_rng(0).permutation(len(x))
    again = areas_from_points(x[order], y[order], [areas[i] for i in order], code="990001", name="Chicago")
    first = areas_from_points(x, y, areas, code="990001", name="Chicago")
    assert [(r.code, r.name) for r in again] == [(r.code, r.name) for r in first]
    assert all(
        (a.shape is None and b.shape is None) or a.shape.symmetric_difference(b.shape).area < 1e-6
        for a, b in zip(first, again, strict=True)
    )


def test_a_single_point_makes_a_district() -> None:
    regions = areas_from_points([-87.6], [41.8], ["Loop"], code="990001", name="Chicago")
    assert [r.name for r in regions] == ["Chicago", "Loop"]
    assert regions[1].shape.covers(shapely.Point(-87.6, 41.8))


def test_points_without_a_place_make_none() -> None:
    with pytest.raises(ValueError, match="no point"):
        areas_from_points([np.nan, 1.0], [1.0, 1.0], ["a", ""], code="990001", name="x")
    with pytest.raises(ValueError, match="not a district code"):
        areas_from_points([1.0], [1.0], ["a"], code="99", name="x")


@pytest.mark.parametrize(("city", "own"), [("chicago", 0.97), ("los_angeles", 0.97), ("baltimore", 0.85)])
def test_real_requests_lie_in_the_areas_drawn_from_them(city: str, own: float) -> None:
    stream = FOLDER.parents[2] / "shared" / "data" / "us311" / "stream.csv.gz"
    if not stream.exists():
        pytest.skip("needs ../shared/data/us311: real service requests with the names of their areas")
    with gzip.open(stream, "rt", encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["city"] == city]
    x, y = (np.array([float(r[c] or "nan") for r in rows]) for c in ("lon", "lat"))
    regions = areas_from_points(x, y, [r["area"] for r in rows], code="990001", name=city)
    drawn = [r for r in regions if r.shape is not None]
    found = Locator([r.code for r in drawn], [r.shape for r in drawn]).locate(x, y)
    names = {r.code: r.name for r in regions}
    placed = [
        (names.get(code), row["area"]) for code, row in zip(found, rows, strict=True) if row["area"] and row["lat"]
    ]
    assert np.mean([a == " ".join(b.split()) for a, b in placed]) > own
