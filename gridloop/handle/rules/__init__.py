"""What a picture must be like to be taken as evidence. Bytes in, a verdict out."""

from __future__ import annotations

import io
import re
import zipfile
from dataclasses import dataclass

from PIL import Image

from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence

MAX_BYTES = 20_000_000
MAX_PIXELS = 40_000_000
"""A picture with more pixels is refused before it is decoded (RELIABILITY.md G18)."""

MAGIC: dict[str, tuple[bytes, ...]] = {
    "image/jpeg": (b"\xff\xd8\xff",),
    "image/png": (b"\x89PNG\r\n\x1a\n",),
    "image/webp": (b"RIFF",),
}
FORMATS = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp"}
"""What the decoders may say it is. MPO is what telephones with two lenses write: a JPEG with more behind it."""
_NO_PICTURE = re.compile(
    rb"(?i:<script[\s>/]|<html[\s>]|<!doctype\s|<iframe\s|<svg\s[^<]{0,200}xmlns|<\?php\s)|%PDF-\d|Rar!\x1a\x07|7z\xbc\xaf\x27\x1c"
)
"""What makes the same bytes a page, a program, a document or an archive for another reader. Telephones write none of
it; each is long enough not to come about in the noise of a photograph's own bytes."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture that may be kept."""

    media_type: str
    width: int
    height: int


def _no(zh: str, en: str) -> Refused:
    return Refused(Sentence(zh=zh, en=en), status=422, code="bad_picture")


def examine(content: bytes) -> Picture:
    """Judge bytes by what they are, not by their name. Raises `Refused` with what to send instead."""
    if not content:
        raise _no("文件是空的，请重新拍摄。", "The file is empty: take the photograph again.")
    if len(content) > MAX_BYTES:
        raise _no("文件超过20MB，请缩小后再传。", "The file is larger than 20 MB: send a smaller one.")
    media_type = next((t for t, heads in MAGIC.items() if content.startswith(heads)), None)
    if media_type is None or (media_type == "image/webp" and content[8:12] != b"WEBP"):
        raise _no("只接受JPEG、PNG或WebP照片。", "Only JPEG, PNG or WebP photographs are accepted.")
    if zipfile.is_zipfile(io.BytesIO(content)):
        raise _no("照片里藏有压缩包，请发送原照片。", "An archive hides in the file: send the photograph itself.")
    if _NO_PICTURE.search(content):
        raise _no(
            "照片里藏有网页、程序或别的文件，请发送原照片。",
            "A page, a program or another file hides in it: send the photograph itself.",
        )
    try:
        with Image.open(io.BytesIO(content), formats=["JPEG", "PNG", "WEBP"]) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                raise _no("照片超过4000万像素。", "The photograph has more than 40 million pixels.")
            if FORMATS[image.format or ""] != media_type:
                raise _no("文件内容与格式不符。", "The file is not what its first bytes say.")
            # All of the file is read, but a JPEG only at an eighth of its size: whether it is whole, not how it looks.
            image.draft(None, (width // 8, height // 8))
            image.load()
    except Refused:
        raise
    except Image.DecompressionBombError as error:
        raise _no("照片超过4000万像素。", "The photograph has more than 40 million pixels.") from error
    except Exception as error:
        raise _no("照片已损坏，无法打开。", "The photograph is damaged and cannot be opened.") from error
    return Picture(media_type, width, height)
