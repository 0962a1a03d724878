"""What a spoken note must be like to be kept. Bytes in, a verdict out; nothing is decoded on the server."""

from __future__ import annotations

import io
import zipfile

from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence

MAX_BYTES = 5_000_000
"""Five minutes of speech as telephones record it are about 2 MB."""
SUFFIX = {"audio/webm": "webm", "audio/ogg": "ogg", "audio/mp4": "m4a"}
_BRANDS = (b"M4A ", b"mp42", b"isom", b"iso5", b"iso6", b"mp41")


def examine_sound(content: bytes) -> str:
    """The media type of a spoken note, by its first bytes. Raises `Refused` with what to send instead."""
    if len(content) > MAX_BYTES:
        raise _no("语音超过5MB，请说得短一些。", "The note is larger than 5 MB: say it in fewer words.")
    if content.startswith(b"\x1aE\xdf\xa3") and b"webm" in content[:64]:
        found = "audio/webm"
    elif content.startswith(b"OggS"):
        found = "audio/ogg"
    elif content[4:8] == b"ftyp" and content[8:12] in _BRANDS:
        found = "audio/mp4"
    else:
        raise _no("只接受WebM、Ogg或M4A语音。", "Only WebM, Ogg or M4A recordings are accepted.")
    if zipfile.is_zipfile(io.BytesIO(content)):
        raise _no("语音里藏有压缩包，请重新录音。", "An archive hides in the file: record the note anew.")
    return found


def _no(zh: str, en: str) -> Refused:
    return Refused(Sentence(zh=zh, en=en), status=422, code="bad_sound")
