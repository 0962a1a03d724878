"""A WSGI application behind an RSGI server: pages in threads, beside what the event loop answers by itself.

Both are served from one port by one process. A page's thread does what it did before: it reads the body as it comes in
and hands out the answer as it is made, so that neither a large upload nor a long download fills the memory.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BufferedReader, BytesIO, RawIOBase
from itertools import chain
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol
    from granian.rsgi import Scope

log = logging.getLogger(__name__)

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]
Answer = tuple[int, list[tuple[str, str]], bytes]
BLOCK = 1 << 18
"""Bytes of a file that are handed to the server at a time."""
ENOUGH = 1 << 15
"""Bytes of an answer that is made on the way, before they are handed over. Live events go out one by one."""


class _Readable(Protocol):
    def read(self, size: int = -1, /) -> bytes: ...


class Pages:
    """Serves a WSGI application from a few threads; `answer` is called in the event loop."""

    def __init__(self, application: Application, *, threads: int) -> None:
        self._application = application
        self.threads = ThreadPoolExecutor(threads, thread_name_prefix="page")

    async def answer(self, scope: Scope, proto: HTTPProtocol, body: bytes | None = None) -> None:
        """Answer one request. `body` is what was read of it already (then all of it was)."""
        loop = asyncio.get_running_loop()
        environ = environ_of(scope)
        if body is not None:
            environ["wsgi.input"] = BytesIO(body)
        elif environ.get("CONTENT_LENGTH", "0") == "0" and "HTTP_TRANSFER_ENCODING" not in environ:
            environ["wsgi.input"] = BytesIO()
        else:
            environ["wsgi.input"] = BufferedReader(_Body(proto, loop), 1 << 16)
        answer = await loop.run_in_executor(self.threads, self._run, environ, proto, loop)
        if answer is not None:
            proto.response_bytes(*answer)

    def close(self) -> None:
        self.threads.shutdown()

    def _run(self, environ: dict[str, Any], proto: HTTPProtocol, loop: asyncio.AbstractEventLoop) -> Answer | None:
        """In a thread: the whole answer if it is one, or None after it was handed out in pieces."""
        begun = False
        try:
            told = _Start()
            content = self._application(environ, told)
            try:
                pieces = iter(content)
                first = next(pieces, b"")
                if not getattr(content, "streaming", True):  # Django's word for an answer that is not made on the way
                    first += b"".join(pieces)
                if told.is_all(first):
                    return told.status, told.headers, first
                begun = True
                _hand_out(first, pieces, told, proto, loop)
            finally:
                close = getattr(content, "close", None)
                if close is not None:
                    close()
        except _Gone:
            pass
        except Exception:
            log.exception("a page failed")
            if not begun:
                return 500, [("content-type", "text/plain")], b"Internal Server Error"
        return None


class _Start:
    """What the application says before it answers (`start_response` of PEP 3333)."""

    status = 500
    headers: list[tuple[str, str]] = []

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> None:
        self.status, self.headers = int(status[:3]), headers

    def is_all(self, content: bytes) -> bool:
        return self._told("content-length") == str(len(content)) or self.status in (204, 304)

    def is_live(self) -> bool:
        return self._told("content-type").startswith("text/event-stream")

    def _told(self, wanted: str) -> str:
        return next((value for name, value in self.headers if name.lower() == wanted), "")


class _Gone(Exception):
    """The client went away before it had its answer."""


def _hand_out(
    first: bytes, rest: Iterator[bytes], told: _Start, proto: HTTPProtocol, loop: asyncio.AbstractEventLoop
) -> None:
    """Send a long answer piece by piece, as fast as the client takes it, while this thread makes the next piece."""

    async def begin() -> Any:
        return proto.response_stream(told.status, told.headers)

    async def send(piece: bytes) -> None:
        await stream.send_bytes(piece)

    stream = asyncio.run_coroutine_threadsafe(begin(), loop).result()
    pieces = chain((first,), rest) if told.is_live() else _larger(first, rest)
    piece = next(pieces, None)
    try:
        while piece is not None:
            sending = asyncio.run_coroutine_threadsafe(send(piece), loop)
            piece = next(pieces, None)
            sending.result()
    except RuntimeError as error:
        if type(error).__name__ != "RSGIProtocolClosed":
            raise
        raise _Gone from None


def _larger(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes in pieces worth a hand-over between threads: a table comes line by line."""
    gathered, size = [first], len(first)
    for piece in rest:
        gathered.append(piece)
        size += len(piece)
        if size >= ENOUGH:
            yield b"".join(gathered)
            gathered, size = [], 0
    yield b"".join(gathered)


class _Body(RawIOBase):
    """A request's body, fetched from the server as the application asks for it."""

    def __init__(self, proto: HTTPProtocol, loop: asyncio.AbstractEventLoop) -> None:
        self._proto, self._loop = proto, loop
        self._chunks: Any = None
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            chunk = asyncio.run_coroutine_threadsafe(self._next(), self._loop).result()
            if chunk is None:
                return 0
            self._left = memoryview(chunk)
        taken = min(len(buffer), len(self._left))
        buffer[:taken], self._left = self._left[:taken], self._left[taken:]
        return taken

    async def _next(self) -> bytes | None:
        if self._chunks is None:
            self._chunks = self._proto.__aiter__()
        try:
            return bytes(await self._chunks.__anext__())
        except StopAsyncIteration:
            return None


class _File:
    """A file in larger pieces than the application would read it (`wsgi.file_wrapper`)."""

    def __init__(self, file: _Readable, size: int = BLOCK) -> None:
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        while piece := self._file.read(BLOCK):
            yield piece

    def close(self) -> None:
        close = getattr(self._file, "close", None)
        if close is not None:
            close()


_ALWAYS: dict[str, Any] = {
    "SCRIPT_NAME": "",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
    "wsgi.input_terminated": True,
    "wsgi.file_wrapper": _File,
}


def environ_of(scope: Scope) -> dict[str, Any]:
    """The request as a WSGI application reads it (PEP 3333), without its body.

    A header with an underscore in its name is left out: it could be taken for the one with a dash that a proxy set.
    """
    server, _, port = scope.server.rpartition(":")
    environ = _ALWAYS | {
        "REQUEST_METHOD": scope.method,
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string,
        "SERVER_NAME": server.strip("[]"),
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "wsgi.url_scheme": scope.scheme,
    }
    for name, value in scope.headers.items():
        if "_" in name:
            continue
        key = name.replace("-", "_").upper()
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
        joint = "; " if key == "HTTP_COOKIE" else ","
        environ[key] = f"{environ[key]}{joint}{value}" if key in environ else value
    if "HTTP_HOST" not in environ and scope.authority:
        environ["HTTP_HOST"] = scope.authority
    return environ
