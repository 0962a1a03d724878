"""Vector tiles: which square of the earth a tile is, what is shown at which zoom, and shapes turned into its bytes.

A tile is z/x/y as all web maps count them (EPSG:3857, x from 180 W, y from 85.05 N), encoded as a Mapbox Vector Tile 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import mapbox_vector_tile
import numpy as np
import shapely
from numpy.typing import NDArray

EXTENT = 4096
_MARGIN = 0.03
"""The part of a tile by which shapes reach over its edge, so that no seam shows."""
_PIXEL = 1 / 512
MAX_ZOOM = 16
"""The deepest tiles that are made; maps show them larger beyond. Half a unit of such a tile is 6 cm."""

FROM_ZOOM: Mapping[str, int] = {
    "district": 0, "street": 8, "community": 11, "grid": 12, "micro_grid": 14, "unit_cell": 14,
    "label": 8, "component": 15, "water": 8, "green": 10, "building": 14, "road": 9,
}  # fmt: skip
"""The zoom at which each layer begins."""
ROAD_FROM_ZOOM = {1: 9, 2: 12, 3: 14}
LABEL_ZOOMS = {"street": (8, 16), "community": (12, 16), "grid": (14, 16), "micro_grid": (16, 16)}
"""First and last zoom of the names of each level."""


@dataclass(frozen=True, slots=True)
class Box:
    """A square of the map in WGS-84 degrees."""

    west: float
    south: float
    east: float
    north: float


@dataclass(frozen=True, slots=True)
class Layer:
    """What goes into one layer of a tile: shapes in WGS-84 degrees and, for each, its properties."""

    name: str
    shapes: NDArray[np.object_]
    properties: Sequence[Mapping[str, Any]]


def exists(z: int, x: int, y: int) -> bool:
    """Whether there is such a tile."""
    return 0 <= z <= MAX_ZOOM and 0 <= x < 1 << z and 0 <= y < 1 << z


def box_of(z: int, x: int, y: int, *, margin: float = _MARGIN) -> Box:
    """The square of a tile, with `margin` (a part of its side) around it."""
    side = 1 << z

    def lat(at: float) -> float:
        return math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * at / side))))

    return Box(
        (x - margin) / side * 360 - 180, lat(y + 1 + margin), (x + 1 + margin) / side * 360 - 180, lat(y - margin)
    )


def encode(z: int, x: int, y: int, layers: Sequence[Layer]) -> bytes:
    """The tile's bytes. Shapes are cut off at its edge, thinned to half a pixel, and dropped where nothing is left."""
    encoded = []
    for layer in layers:
        if not len(layer.shapes):
            continue
        flat = shapely.transform(layer.shapes, lambda p: _onto(z, x, y, p))
        low, high = -_MARGIN * EXTENT, (1 + _MARGIN) * EXTENT
        cut = shapely.clip_by_rect(shapely.simplify(flat, EXTENT * _PIXEL / 2), low, low, high, high)
        features = [
            {"geometry": shape, "properties": dict(properties)}
            for shape, properties, empty in zip(cut, layer.properties, shapely.is_empty(cut), strict=True)
            if not empty
        ]
        encoded.append({"name": layer.name, "features": features})
    return bytes(mapbox_vector_tile.encode(encoded, default_options={"extents": EXTENT}))


def _onto(z: int, x: int, y: int, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Degrees as units of a tile, the ordinate growing to the north as the encoder wants it."""
    side = 1 << z
    across = ((points[:, 0] + 180) / 360 * side - x) * EXTENT
    lat = np.radians(np.clip(points[:, 1], -85.06, 85.06))
    down = ((1 - np.arcsinh(np.tan(lat)) / math.pi) / 2 * side - y) * EXTENT
    return np.column_stack([across, EXTENT - down])
