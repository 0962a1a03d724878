"""Four datums of longitude and latitude, and the way between them.

Inside Gridloop every coordinate is WGS-84. CGCS2000 differs from it by centimetres and is taken as equal (DOMAIN: both
serve; a survey that needs the difference does not belong in this system). GCJ-02 (AMap, Tencent, the map kits of
phones) is shifted by some 100 to 700 m, BD-09 (Baidu) further; both are converted where data enters. Nobody guesses a
datum: whoever hands in coordinates names it.

The GCJ-02 shift is the published approximation (a sum of sines on the Krasovsky 1940 ellipsoid), BD-09 a published
spiral on top of it; the arithmetic is a fact, the code is ours. Outside the rectangle 72.004..137.8347 E,
0.8293..55.8271 N the GCJ-02 shift is zero.

All functions take numbers or arrays and return two float64 arrays (or two floats for two numbers). Round trips
(`from_wgs84` then `to_wgs84`) return within 1e-9 degrees (0.1 mm), away from the rectangle's edge where the shift
jumps to zero. NaN and infinity pass through as NaN.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]


class Datum(StrEnum):
    """The coordinate systems that Gridloop reads and writes."""

    WGS84 = "wgs84"
    CGCS2000 = "cgcs2000"
    GCJ02 = "gcj02"
    BD09 = "bd09"


_SEMI_MAJOR = 6378245.0
_ECCENTRICITY = 0.00669342162296594323
_WEST, _EAST, _SOUTH, _NORTH = 72.004, 137.8347, 0.8293, 55.8271
_SPIRAL = np.pi * 3000.0 / 180.0
_STEPS = 12
_CLOSE = 1e-11
"""Degrees at which the inverse stops: a micrometre."""

MEAN_RADIUS = 6371008.8
"""Metres; the mean radius of the earth (IUGG), for distances."""


def in_china(lon: ArrayLike, lat: ArrayLike) -> NDArray[np.bool_]:
    """Whether the GCJ-02 shift applies: inside the published rectangle (which is not the border of the country)."""
    x, y = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    return (x >= _WEST) & (x <= _EAST) & (y >= _SOUTH) & (y <= _NORTH)


@overload
def to_wgs84(lon: float, lat: float, datum: Datum | str) -> tuple[float, float]: ...
@overload
def to_wgs84(lon: ArrayLike, lat: ArrayLike, datum: Datum | str) -> tuple[Floats, Floats]: ...
def to_wgs84(lon: Any, lat: Any, datum: Datum | str) -> tuple[Any, Any]:
    """Longitudes and latitudes in `datum`, as WGS-84. ValueError for a name that is no datum."""
    return _shaped(lon, lat, {Datum.GCJ02: _gcj02_to_wgs84, Datum.BD09: _bd09_to_wgs84}.get(Datum(datum)))


@overload
def from_wgs84(lon: float, lat: float, datum: Datum | str) -> tuple[float, float]: ...
@overload
def from_wgs84(lon: ArrayLike, lat: ArrayLike, datum: Datum | str) -> tuple[Floats, Floats]: ...
def from_wgs84(lon: Any, lat: Any, datum: Datum | str) -> tuple[Any, Any]:
    """WGS-84 longitudes and latitudes, in `datum`. ValueError for a name that is no datum."""
    return _shaped(lon, lat, {Datum.GCJ02: _wgs84_to_gcj02, Datum.BD09: _wgs84_to_bd09}.get(Datum(datum)))


def meters_between(lon_a: ArrayLike, lat_a: ArrayLike, lon_b: ArrayLike, lat_b: ArrayLike) -> Floats:
    """Great-circle distance in metres (haversine on the mean sphere: within 0.6 % of the ellipsoid's)."""
    xa, ya, xb, yb = (np.radians(np.asarray(v, np.float64)) for v in (lon_a, lat_a, lon_b, lat_b))
    h = np.sin((yb - ya) / 2) ** 2 + np.cos(ya) * np.cos(yb) * np.sin((xb - xa) / 2) ** 2
    return np.asarray(2 * MEAN_RADIUS * np.arcsin(np.sqrt(np.clip(h, 0, 1))))


def _shaped(lon: Any, lat: Any, convert: Any) -> tuple[Any, Any]:
    x, y = np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    if convert is None:
        out_x, out_y = x.copy(), y.copy()
    else:
        with np.errstate(invalid="ignore"):
            out_x, out_y = convert(x, y)
    if np.isscalar(lon) and np.isscalar(lat):
        return float(out_x), float(out_y)
    return out_x, out_y


def _shift(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """The GCJ-02 offset in degrees at WGS-84 positions; zero outside the rectangle."""
    x, y = lon - 105.0, lat - 35.0
    root = np.sqrt(np.abs(x))
    waves = 20 * np.sin(6 * np.pi * x) + 20 * np.sin(2 * np.pi * x)
    north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root
    north = north + 2 / 3 * (
        waves
        + 20 * np.sin(np.pi * y)
        + 40 * np.sin(np.pi / 3 * y)
        + 160 * np.sin(np.pi / 12 * y)
        + 320 * np.sin(np.pi / 30 * y)
    )
    east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root
    east = east + 2 / 3 * (
        waves
        + 20 * np.sin(np.pi * x)
        + 40 * np.sin(np.pi / 3 * x)
        + 150 * np.sin(np.pi / 12 * x)
        + 300 * np.sin(np.pi / 30 * x)
    )
    phi = np.radians(lat)
    w = 1 - _ECCENTRICITY * np.sin(phi) ** 2
    d_lat = np.degrees(north / (_SEMI_MAJOR * (1 - _ECCENTRICITY) / (w * np.sqrt(w))))
    d_lon = np.degrees(east / (_SEMI_MAJOR / np.sqrt(w) * np.cos(phi)))
    inside = in_china(lon, lat)
    return np.where(inside, d_lon, 0.0), np.where(inside, d_lat, 0.0)


def _wgs84_to_gcj02(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    d_lon, d_lat = _shift(lon, lat)
    return lon + d_lon, lat + d_lat


def _gcj02_to_wgs84(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    """The fixed point of "subtract the shift at the answer": the shift changes slowly, so each step gains digits."""
    x, y = lon.copy(), lat.copy()
    for _ in range(_STEPS):
        d_lon, d_lat = _shift(x, y)
        new_x, new_y = lon - d_lon, lat - d_lat
        moved = np.fmax(np.abs(new_x - x), np.abs(new_y - y))
        x, y = new_x, new_y
        if not np.any(moved > _CLOSE):
            break
    return x, y


def _gcj02_to_bd09(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    radius = np.hypot(lon, lat) + 0.00002 * np.sin(lat * _SPIRAL)
    angle = np.arctan2(lat, lon) + 0.000003 * np.cos(lon * _SPIRAL)
    return radius * np.cos(angle) + 0.0065, radius * np.sin(angle) + 0.006


def _bd09_to_gcj02(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    x, y = lon - 0.0065, lat - 0.006
    for _ in range(_STEPS):
        there_x, there_y = _gcj02_to_bd09(x, y)
        miss_x, miss_y = lon - there_x, lat - there_y
        x, y = x + miss_x, y + miss_y
        if not np.any(np.fmax(np.abs(miss_x), np.abs(miss_y)) > _CLOSE):
            break
    return x, y


def _wgs84_to_bd09(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    return _gcj02_to_bd09(*_wgs84_to_gcj02(lon, lat))


def _bd09_to_wgs84(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    return _gcj02_to_wgs84(*_bd09_to_gcj02(lon, lat))
