"""Static files under one address that changes with their content, so that a browser may keep them for ever.

``/static/<digest>/<face>/x.js``: relative imports between modules stay inside one digest. The files of all faces are
gathered once into the data folder, each beside a gzipped copy, and served by WhiteNoise from there.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from django.conf import settings
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from whitenoise.compress import Compressor
from whitenoise.middleware import WhiteNoiseMiddleware

from gridloop.web import FACES

HERE = Path(__file__).resolve().parent.parent
PREFIX = "/static/"


def files() -> Iterator[tuple[str, Path]]:
    """Every static file: its name below the digest, and where it lies."""
    for folder in (HERE / "static", *(HERE / face / "static" for face, _ in FACES)):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                yield path.relative_to(folder).as_posix(), path


@cache
def digest() -> str:
    """What the content of all files comes to."""
    whole = hashlib.sha256()
    for name, path in files():
        whole.update(name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return whole.hexdigest()[:12]


def asset(name: str) -> str:
    """The address of a static file: ``asset("shell/shell.js")``."""
    return f"{PREFIX}{digest()}/{name}"


def gather() -> Path:
    """Copy all files into the data folder, each beside a gzipped copy: once for each content."""
    home = Path(settings.GRIDLOOP_DATA) / "static"
    target = home / digest()
    if target.is_dir():
        return target
    home.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=".making-", dir=home))
    compressor = Compressor(use_brotli=False, quiet=True)
    for name, path in files():
        copy = draft / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        if compressor.should_compress(name):
            list(compressor.compress(str(copy)))
    draft.chmod(0o755)
    try:
        os.rename(draft, target)
    except OSError:  # another process was faster
        shutil.rmtree(draft, ignore_errors=True)
    for old in sorted(home.glob("[0-9a-f]*"), key=lambda p: p.stat().st_mtime)[:-3]:
        shutil.rmtree(old, ignore_errors=True)
    return target


class Assets(WhiteNoiseMiddleware):  # type: ignore[misc]  # whitenoise carries no types
    """Serves the gathered files; everything under the digest may be cached for ever."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        super().__init__(get_response)
        self.add_files(str(gather()), prefix=f"{PREFIX}{digest()}/")

    def immutable_file_test(self, path: str, url: str) -> bool:
        return True
