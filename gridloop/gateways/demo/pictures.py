"""Drawn stand-ins for photographs, each marked as synthetic and unlike any other."""

from __future__ import annotations

import io

from PIL import Image, ImageDraw

_SKY, _ROAD, _WRONG, _DONE = (126, 138, 148), (92, 92, 96), (120, 84, 50), (70, 130, 80)


def photograph(case_number: str, stage: str, number: int) -> bytes:
    """A small JPEG: a street, the problem before or the place after the work, and the word SYNTHETIC."""
    image = Image.new("RGB", (320, 240), _SKY)
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 130, 320, 240), fill=_ROAD)
    draw.line((0, 185, 320, 185), fill=(220, 220, 210), width=3)
    left = 40 + (sum(case_number.encode()) * 7 + number * 53) % 180
    if stage == "after":
        draw.rectangle((left, 150, left + 70, 215), outline=_DONE, width=3)
    else:
        draw.ellipse((left, 155, left + 80, 215), fill=_WRONG)
    draw.text((8, 8), f"SYNTHETIC  {stage} {number}", fill="white")
    draw.text((8, 22), case_number, fill="white")
    out = io.BytesIO()
    image.save(out, "JPEG", quality=70)
    return out.getvalue()
