"""Pictures made for tests: honest ones, and ones that lie about themselves. Everything is drawn here."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib

from PIL import Image

SEED_COLOURS = {"before": (120, 90, 40), "after": (60, 140, 60)}


def drawn(text: str = "before", size: tuple[int, int] = (64, 48)) -> Image.Image:
    """A small picture that differs by its text."""
    base = SEED_COLOURS.get(text, (sum(text.encode()) % 255, len(text) % 255, 80))
    image = Image.new("RGB", size, base)
    for n, byte in enumerate(text.encode()):
        image.putpixel((n % size[0], n // size[0]), (byte, 255 - byte, n % 255))
    return image


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def jpeg(text: str = "before", *, gps: bool = False, orientation: int = 0) -> bytes:
    """A JPEG; with `gps`, telling in its EXIF where and by which camera it was taken."""
    exif = Image.Exif()
    if gps:
        exif[0x010F] = "TestCamera"
        exif.get_ifd(0x8825).update({1: "N", 2: (34.0, 44.0, 31.5), 3: "E", 4: (113.0, 41.0, 2.5)})
    if orientation:
        exif[0x0112] = orientation
    return saved(drawn(text), "JPEG", quality=90, exif=exif)


def png(text: str = "before", size: tuple[int, int] = (64, 48)) -> bytes:
    return saved(drawn(text, size), "PNG")


def bomb(side: int) -> bytes:
    """A PNG of side by side one-bit pixels: a few kilobytes that unpack to very much."""
    rows = zlib.compressobj(9)
    data = b"".join(rows.compress(b"\0" * (side // 8 + 1)) for _ in range(side)) + rows.flush()

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("hidden.txt", "something else")
    return out.getvalue()
