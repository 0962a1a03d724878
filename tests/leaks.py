"""Marker values that no output of the whole suite may carry, and the search for them in every form.

Tests that need a citizen, a password or a token plant these. `conftest` searches what every test wrote to standard
output, standard error and the log; `promises/test_no_leaks.py` searches the database, the answers and the files.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from urllib.parse import quote

import pytest

NAME = "欧阳夏朵"
PHONE = "13987650917"
SPOKEN_PHONE = "139 8765 0917"
PASSWORD = "marker kettle 42 tuesdays"
MARKERS = {"name": NAME, "phone": PHONE, "spoken phone": SPOKEN_PHONE, "password": PASSWORD}


def forms(marker: str) -> dict[str, list[bytes]]:
    """A value in every form in which it may hide, by the name of the form."""
    raw = marker.encode()
    return {
        "plain": [raw],
        "json": [json.dumps(marker)[1:-1].encode()],
        "url": [
            quote(marker).encode(),
            quote(marker).lower().encode(),
            quote(marker, safe="").replace("%20", "+").encode(),
        ],
        "hex": [raw.hex().encode(), raw.hex().upper().encode()],
        "base64": [part for shift in range(3) for part in _base64(raw, shift)],
        "utf-16": [marker.encode("utf-16-le"), marker.encode("utf-16-be")],
    }


def _base64(raw: bytes, shift: int) -> Iterator[bytes]:
    """What base64 makes of the value `shift` bytes behind a multiple of three, without its blurred ends."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        encoded = encode(b"\0" * shift + raw)
        start = (0, 2, 3)[shift]
        end = len(encoded) - (0, 3, 2)[(shift + len(raw)) % 3] - (1 if (shift + len(raw)) % 3 else 0)
        yield encoded[start:end]


def found_in(content: bytes, markers: Iterable[tuple[str, str]] = tuple(MARKERS.items())) -> list[str]:
    """Which markers the content carries, and in which form: ``phone as hex``."""
    return [
        f"{name} as {form}"
        for name, marker in markers
        for form, needles in forms(marker).items()
        if any(needle in content for needle in needles)
    ]


_leaks: list[str] = []


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Search what a test wrote. A failing test's own explanation may quote a marker; its output may not."""
    for title, content in report.sections:
        if "log" in title:  # in the words of pytest; what our own formatter makes of it is on standard error
            continue
        _leaks.extend(f"{report.nodeid} ({title}): {leak}" for leak in found_in(content.encode("utf-8", "replace")))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if _leaks:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _leaks:
        terminalreporter.section("personal data in the output", red=True)
        for leak in sorted(set(_leaks)):
            terminalreporter.line(leak)
