"""Where and when a photograph says that it was taken: the part of its hidden data that may matter in a dispute."""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from PIL import Image

_GPS, _CAMERA = 0x8825, 0x8769
_TAKEN, _OFFSET = 0x9003, 0x9011


@dataclass(frozen=True, slots=True)
class Taken:
    """What the file says of itself. Anybody can write it, so it proves nothing by itself."""

    lon: float | None
    lat: float | None
    at: str
    """The camera's own time, ``2026-03-01T14:05:00`` with its offset where it tells one; "" = not told."""


def taken(content: bytes) -> Taken | None:
    """Read it from the EXIF of a picture; None where it says neither. Never raises: hidden data may be anything."""
    try:
        with Image.open(io.BytesIO(content)) as image:
            exif = image.getexif()
            gps, camera = dict(exif.get_ifd(_GPS)), dict(exif.get_ifd(_CAMERA))
    except Exception:
        return None
    lat, lon = _degrees(gps, 2, b"S", 90), _degrees(gps, 4, b"W", 180)
    if lat is None or lon is None:
        lat = lon = None
    at = _moment(camera)
    return Taken(lon, lat, at) if at or lat is not None else None


def _degrees(gps: dict[int, Any], tag: int, negative: bytes, most: int) -> float | None:
    try:
        degrees, minutes, seconds = (float(v) for v in gps[tag])
        side = gps[tag - 1]
        found = degrees + minutes / 60 + seconds / 3600
        if (side.encode() if isinstance(side, str) else bytes(side)).strip(b"\0 ").upper() == negative:
            found = -found
    except Exception:
        return None
    return round(found, 6) if math.isfinite(found) and abs(found) <= most else None


def _moment(camera: dict[int, Any]) -> str:
    try:
        moment = datetime.strptime(str(camera[_TAKEN]).strip("\0 "), "%Y:%m:%d %H:%M:%S")  # noqa: DTZ007 - as told
        offset = str(camera.get(_OFFSET, "")).strip("\0 ")
        return datetime.fromisoformat(moment.isoformat() + offset).isoformat()
    except Exception:
        return ""
