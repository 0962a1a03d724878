"""The copies that people see of a picture: fresh ones of the pixels alone, upright, of a size for a screen."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

from PIL import Image, ImageFilter, ImageOps

from gridloop.handle.rules.blurring import Part

SERVED_SIDE = 1600
THUMBNAIL_SIDE = 320
_ORIENTATION = 0x0112
_CELLS = 5
"""Into so many cells a blurred part is averaged along its longer side, before it is smoothed: no face is left in it."""


@dataclass(frozen=True, slots=True)
class Upright:
    """A picture as it is looked at, small enough for a screen, and how large it was."""

    image: Image.Image
    """RGB, at most 1600 pixels a side."""
    width: int
    """Pixels of the upright original."""
    height: int


def upright(content: bytes) -> Upright:
    """Decode a picture that `examine` has taken: turned upright, at most 1600 pixels a side, on white."""
    with Image.open(io.BytesIO(content)) as file:
        width, height = file.size
        side = max(width, height, 1)
        if side > SERVED_SIDE:  # a JPEG can be decoded at a half, a quarter or an eighth of its size
            file.draft(None, (width * SERVED_SIDE // side, height * SERVED_SIDE // side))
        turned = file.getexif().get(_ORIENTATION, 1) in (5, 6, 7, 8)
        image = file.convert("RGBA") if file.mode == "P" else file  # a palette cannot be averaged
        image.thumbnail((SERVED_SIDE, SERVED_SIDE))  # first, so that all else is done to the small one
        shown = ImageOps.exif_transpose(image)
        # A new image from the pixels alone: nothing that the file carried beside them comes along.
        clean = Image.new("RGB", shown.size, "white")
        if shown.has_transparency_data:
            seen = shown.convert("RGBA")
            clean.paste(seen, mask=seen.getchannel("A"))
        else:
            clean.paste(shown.convert("RGB"))
    return Upright(clean, height if turned else width, width if turned else height)


def as_jpeg(image: Image.Image) -> bytes:
    """The copy to look at."""
    out = io.BytesIO()
    image.save(out, "JPEG", quality=85, optimize=True)
    return out.getvalue()


def as_thumbnail(image: Image.Image) -> bytes:
    """A WebP of at most 320 pixels a side."""
    small = image.copy()
    small.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE))
    out = io.BytesIO()
    small.save(out, "WEBP", quality=75)
    return out.getvalue()


def served_copy(content: bytes) -> bytes:
    """A fresh JPEG of the picture: turned upright, at most 1600 pixels a side, without any hidden data."""
    return as_jpeg(upright(content).image)


def blurred(image: Image.Image, parts: Iterable[Part]) -> Image.Image:
    """A copy in which nothing can be recognised in these parts: averaged into a few cells, then smoothed."""
    found = image.copy()
    for part in parts:
        left, top, right, bottom = part.pixels(image.width, image.height)
        if right <= left or bottom <= top:
            continue
        box = found.crop((left, top, right, bottom))
        cell = max(1, -(-max(box.size) // _CELLS))
        few = box.resize((-(-box.width // cell), -(-box.height // cell)), Image.Resampling.BOX)
        smooth = few.resize(box.size, Image.Resampling.BILINEAR).filter(ImageFilter.GaussianBlur(cell / 3))
        found.paste(smooth, (left, top))
    return found
