"""A fingerprint of what a picture looks like: 256 bits, of which nearly all stay when it is saved anew or made smaller.

After PDQ (Davis, Rosen: "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm", 2019): brightness,
smoothed and taken at 64 by 64 points; the 16 by 16 lowest waves of its cosine transform; a bit for each that lies above
their median. Two pictures are nearly equal where at most 31 of the 256 bits differ (the authors' threshold).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

NEARLY = 31
"""Bits that may differ in pictures that are nearly equal."""
LEAST_DETAIL = 50
"""Below this, of 100, a picture has so little in it (fog, a wall, night) that its fingerprint tells nothing."""
_SIDE, _WAVES, _WIDEST = 64, 16, 512
Numbers = npt.NDArray[np.float64]
_COSINES: Numbers = np.sqrt(2 / _SIDE) * np.cos(
    np.pi / (2 * _SIDE) * np.outer(np.arange(1, _WAVES + 1), 2 * np.arange(_SIDE) + 1)
)


@dataclass(frozen=True, slots=True)
class Likeness:
    """The fingerprint of a picture, and that of its mirror image, by which a picture is used again unnoticed."""

    bits: str
    """256 times 0 or 1."""
    mirrored: str


def likeness(image: Image.Image) -> Likeness | None:
    """The fingerprint of an RGB picture; None where there is too little in it to tell it from another."""
    small = image.convert("L")
    small.thumbnail((_WIDEST, _WIDEST))
    points = _points(np.asarray(small, dtype=np.float64))
    if _detail(points) < LEAST_DETAIL:
        return None
    waves = _COSINES @ points @ _COSINES.T
    flip = np.where(np.arange(1, _WAVES + 1) % 2 == 1, -1.0, 1.0)  # odd waves change their sign in a mirror
    return Likeness(_bits(waves), _bits(waves * flip))


def _bits(waves: Numbers) -> str:
    return "".join("1" if above else "0" for above in (waves > np.median(waves)).ravel())


def _points(brightness: Numbers) -> Numbers:
    """64 by 64 points of the picture, smoothed twice by a box of half a point's width on both axes."""
    for _ in range(2):
        for axis in (0, 1):
            brightness = _box(brightness, axis)
    rows, columns = (((np.arange(_SIDE) + 0.5) * n / _SIDE).astype(int) for n in brightness.shape)
    return brightness[np.ix_(rows, columns)]


def _box(values: Numbers, axis: int) -> Numbers:
    """The mean of each value and its neighbours, in a window of the size that PDQ takes."""
    length = values.shape[axis]
    width = -(-length // (2 * _SIDE))
    before, after = (width - 1) // 2, width // 2
    sums = np.concatenate([np.zeros_like(values.take([0], axis)), np.cumsum(values, axis)], axis)
    first = np.clip(np.arange(length) - before, 0, length)
    last = np.clip(np.arange(length) + after + 1, 0, length)
    shape = [1, 1]
    shape[axis] = length
    means: Numbers = (sums.take(last, axis) - sums.take(first, axis)) / (last - first).reshape(shape)
    return means


def _detail(points: Numbers) -> float:
    """How much there is to see, 0 to 100: the steps between neighbouring points, those that are hardly any left out."""
    steps = sum(np.abs(np.trunc(np.diff(points, axis=axis) * 100 / 255)).sum() for axis in (0, 1))
    return float(min(100.0, steps // 90))
