"""Datums: there and back, known points, and two real maps of one city."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from gridloop.kernel.coordinates import Datum, from_wgs84, in_china, meters_between, to_wgs84

DATA = Path(__file__).parents[2] / ".." / "shared" / "data" / "boundaries"

inland = st.tuples(st.floats(73.5, 136.0), st.floats(3.5, 54.0))


@given(point=inland, datum=st.sampled_from(list(Datum)))
def test_there_and_back_is_the_same_place_to_a_tenth_of_a_millimetre(point: tuple[float, float], datum: Datum) -> None:
    lon, lat = to_wgs84(*from_wgs84(*point, datum), datum)
    assert abs(lon - point[0]) < 1e-9
    assert abs(lat - point[1]) < 1e-9


@given(point=inland)
def test_gcj02_is_off_by_more_than_a_street_and_less_than_a_district(point: tuple[float, float]) -> None:
    moved = from_wgs84(*point, Datum.GCJ02)
    assert 0 < float(meters_between(*point, *moved)) < 1500


@given(st.floats(-180, 180), st.floats(-90, 90))
def test_outside_china_gcj02_is_wgs84(lon: float, lat: float) -> None:
    if not in_china(lon, lat):
        assert from_wgs84(lon, lat, "gcj02") == (lon, lat)


def test_cgcs2000_is_taken_as_wgs84() -> None:
    assert to_wgs84(113.7, 34.7, "cgcs2000") == (113.7, 34.7)


@pytest.mark.parametrize(
    ("wgs84", "gcj02"),
    [
        # Published examples of other people's implementations of the same formula.
        ((116.404, 39.915), (116.41024449916938, 39.91640428150164)),
        ((121.4737, 31.2304), (121.478230, 31.228460)),
    ],
)
def test_known_points_land_where_others_say(wgs84: tuple[float, float], gcj02: tuple[float, float]) -> None:
    assert from_wgs84(*wgs84, "gcj02") == pytest.approx(gcj02, abs=2e-5)


def test_a_known_gcj02_point_lands_in_bd09_where_others_say() -> None:
    wgs84 = to_wgs84(116.404, 39.915, "gcj02")
    assert from_wgs84(*wgs84, "bd09") == pytest.approx((116.41036949371029, 39.92133699351021), abs=1e-9)


def test_arrays_keep_their_shape_and_their_nan() -> None:
    lon, _ = to_wgs84(np.array([[113.7, np.nan], [113.8, -87.6]]), np.array([[34.7, 34.7], [34.8, 41.9]]), "bd09")
    assert lon.shape == (2, 2)
    assert np.isnan(lon[0, 1])
    assert np.isfinite(lon[[0, 1, 1], [0, 0, 1]]).all()


def test_the_input_is_left_alone() -> None:
    lon = np.array([113.7])
    to_wgs84(lon, np.array([34.7]), "wgs84")[0][0] = 0
    assert lon[0] == 113.7


def test_an_unknown_datum_is_refused() -> None:
    with pytest.raises(ValueError, match="beijing54"):
        to_wgs84(113.7, 34.7, "beijing54")


def _union(name: str) -> shapely.Geometry:
    if not (DATA / name).exists():
        pytest.skip("needs ../shared/data/boundaries: real district boundaries in two datums")
    features = json.loads((DATA / name).read_text(encoding="utf-8"))["features"]
    return shapely.union_all([shapely.make_valid(shapely.geometry.shape(f["geometry"])) for f in features])


def test_two_real_maps_of_zhengzhou_agree_only_after_conversion() -> None:
    cgcs2000 = _union("zhengzhou_districts_tianditu_cgcs2000.geojson")
    gcj02 = _union("zhengzhou_districts_amap_gcj02.geojson")
    converted = shapely.transform(gcj02, lambda x, y: to_wgs84(x, y, "gcj02"), interleaved=False)

    def apart(a: shapely.Geometry) -> float:
        return float(a.symmetric_difference(cgcs2000).area / cgcs2000.area)

    assert apart(converted) < 0.75 * apart(gcj02)
