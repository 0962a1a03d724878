"""Pages behind the server of the web process: nothing is lost or held back on the way through the threads."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from gridloop.kernel.serving import ENOUGH, Pages

SERVER = """
import sys
from granian.constants import Interfaces
from granian.server import Server
Server("tests.unit.test_serving:site", address="127.0.0.1", port=int(sys.argv[1]), interface=Interfaces.RSGI).serve()
"""
WORDS = b"0123456789abcdef" * 4096  # 64 KiB


class Closing:
    """An answer that is made on the way and says when it was closed."""

    closed: list[str] = []

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self.pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        return self.pieces

    def close(self) -> None:
        self.closed.append(threading.current_thread().name)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """A small site with one page for each thing that can go wrong."""
    path, body = environ["PATH_INFO"], environ["wsgi.input"]
    if path == "/echo":
        content = body.read()
        start_response("200 OK", [("Content-Length", str(len(content))), ("X-Thread", threading.current_thread().name)])
        return [content]
    if path == "/first-line":
        said = body.readline() + b"|" + body.read(3)
        start_response("201 Created", [("Content-Length", str(len(said)))])
        return [said]
    if path == "/lines":
        start_response("200 OK", [("Content-Type", "text/csv")])
        return Closing(b"%07d\n" % n for n in range(100_000))
    if path == "/live":
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        return Closing(iter([b"one", b"", b"two", b"three"]))
    if path == "/closed":
        said = ",".join(Closing.closed).encode()
        start_response("200 OK", [("Content-Length", str(len(said)))])
        return [said]
    if path == "/broken":
        raise ValueError("a defect")
    if path == "/breaks":
        start_response("200 OK", [("Content-Type", "text/csv")])
        return Closing(1 / 0 if n == 9000 else b"%07d\n" % n for n in range(10_000))  # type: ignore[misc]
    if path == "/nothing":
        start_response("204 No Content", [("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")])
        return []
    keys = ("PATH_INFO", "QUERY_STRING", "REMOTE_ADDR", "SERVER_PORT", "HTTP_HOST", "HTTP_COOKIE", "HTTP_X_TWICE")
    said = repr([environ.get(key) for key in (*keys, "HTTP_X_FORWARDED_PROTO")]).encode()
    start_response("200 OK", [("Content-Length", str(len(said)))])
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else said]


class Site:
    """What the server loads."""

    def __init__(self) -> None:
        self.pages = Pages(application, threads=2)

    async def __rsgi__(self, scope: Any, proto: Any) -> None:
        await self.pages.answer(scope, proto)


site = Site()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
    server = subprocess.Popen([sys.executable, "-c", SERVER, str(number)], stdout=subprocess.DEVNULL)
    until = time.monotonic() + 20
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", number), 1).close()
            break
        except OSError:
            time.sleep(0.05)
    yield number
    server.terminate()
    assert server.wait(20) == 0


def ask(
    port: int, path: str, body: Any = None, method: str = "GET", **more: Any
) -> tuple[http.client.HTTPResponse, bytes]:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    line.request(method, path, body, **more)
    answer = line.getresponse()
    return answer, answer.read()


def test_a_large_body_arrives_whole_and_in_order_with_or_without_its_length(port: int) -> None:
    content = WORDS * 48 + b"end"
    assert ask(port, "/echo", content, "POST")[1] == content
    assert ask(port, "/echo", iter([WORDS, b"x", WORDS]), "POST", encode_chunked=True)[1] == WORDS + b"x" + WORDS
    assert ask(port, "/echo", None, "POST")[1] == b""


def test_a_body_can_be_read_in_part(port: int) -> None:
    answer, said = ask(port, "/first-line", b"one\ntwo\n" + WORDS * 40, "POST")
    assert (answer.status, said) == (201, b"one\n|two")


def test_an_answer_that_is_made_on_the_way_arrives_whole_and_is_closed_by_its_thread(port: int) -> None:
    said = ask(port, "/lines")[1]
    assert said == b"".join(b"%07d\n" % n for n in range(100_000))
    assert len(said) > 20 * ENOUGH
    assert ask(port, "/live")[1] == b"onetwothree"
    assert {name[:5] for name in ask(port, "/closed")[1].decode().split(",")} == {"page_"}


def test_a_reader_that_goes_away_holds_no_thread(port: int) -> None:
    for _ in range(6):  # three times as many as there are threads
        with socket.create_connection(("127.0.0.1", port), 5) as line:
            line.sendall(b"GET /lines HTTP/1.1\r\nHost: here\r\n\r\n")
            assert line.recv(5) == b"HTTP/"
    assert ask(port, "/echo", b"still here", "POST")[1] == b"still here"


def test_a_defect_is_a_500_and_a_break_in_the_middle_is_no_whole_answer(port: int) -> None:
    assert ask(port, "/broken")[0].status == 500
    try:
        said = ask(port, "/breaks")[1]
    except http.client.IncompleteRead:
        return
    assert len(said) < 9000 * 8 + 8, "what came after the break was made up"


def test_the_request_reads_as_it_was_sent_and_a_header_cannot_pass_for_another(port: int) -> None:
    headers = {"X_Forwarded_Proto": "https", "Cookie": "a=1"}
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    line.putrequest("GET", "/a%20b/%E4%B8%AD?q=%E4%B8%AD&x=1")
    for name, value in [*headers.items(), ("X-Twice", "1"), ("X-Twice", "2")]:
        line.putheader(name, value)
    line.endheaders()
    said = line.getresponse().read().decode()
    path = "/a b/中".encode().decode("latin-1")
    assert said == repr([path, "q=%E4%B8%AD&x=1", "127.0.0.1", str(port), f"127.0.0.1:{port}", "a=1", "1,2", None])


def test_head_and_no_content_have_no_body_and_each_cookie_is_set(port: int) -> None:
    answer, said = ask(port, "/", method="HEAD")
    assert (answer.status, said) == (200, b"")
    answer, said = ask(port, "/nothing")
    assert (answer.status, said, answer.headers.get_all("Set-Cookie")) == (204, b"", ["a=1", "b=2"])
