"""Single reports by HTTP, as machines send them to the web process: each waits for a commit that it shares."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode

import pytest
from django.db import connection
from django.test import Client

from gridloop.cli.processes import command
from gridloop.discover.models import Report
from gridloop.kernel import clock
from gridloop.kernel.models import Event
from gridloop.people import access
from gridloop.people.viewer import SYSTEM
from tests.deployment import ROOT, eventually

pytestmark = pytest.mark.usefixtures("committed")
BODY = {"channel": "app", "text": "路灯不亮，晚上看不清路"}


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: Any


class Web:
    """A web process of the product on this test's database."""

    def __init__(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        database = connection.settings_dict
        query = urlencode({k: database[k.upper()] for k in ("host", "user", "password", "port") if database[k.upper()]})
        self.process = subprocess.Popen(
            command("web", "--port", str(self.port), "--workers", "1"),
            cwd=ROOT,
            env=os.environ | {"DATABASE_URL": f"postgresql:///{database['NAME']}?{query}"},
        )
        eventually(self._listens, 30)

    def _listens(self) -> bool:
        assert self.process.poll() is None
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def post(
        self,
        token: str,
        body: Any,
        key: str = "",
        line: http.client.HTTPConnection | None = None,
        headers: Mapping[str, str] = MappingProxyType({}),
    ) -> Answer:
        said = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers}
        said |= {"Idempotency-Key": key} if key else {}
        line = line or http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        line.request("POST", "/api/v1/reports", body if isinstance(body, bytes) else json.dumps(body), said)
        answer = line.getresponse()
        return Answer(answer.status, answer.headers, json.loads(answer.read()))

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture
def web() -> Iterator[Web]:
    running = Web()
    yield running
    if running.process.poll() is None:
        assert running.stop() == 0


def machine(code: str, *, per_minute: int = 10_000, permissions: tuple[str, ...] = ("report",)) -> str:
    client = access.register_client(
        code=code, name=code, permissions=list(permissions), per_minute=per_minute, viewer=SYSTEM, at=clock.now()
    )
    return access.issue_token(viewer=SYSTEM, client=client, at=clock.now())[1]


def by_page(token: str, body: Any, key: str = "", **headers: str) -> Any:
    """The same request past the short way: through all of Django."""
    said = {"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": key} if key else {}) | headers
    return Client().post("/api/v1/reports", json.dumps(body), content_type="application/json", headers=said)


def test_a_report_is_taken_replayed_and_its_key_refused_for_another_on_both_ways(web: Web) -> None:
    token = machine("hotline")
    first, again, other = (web.post(token, BODY | more, "a-1") for more in ({}, {}, {"text": "另一处"}))
    assert [a.status for a in (first, again, other)] == [201, 200, 422]
    assert (first.body["outcome"], again.headers["Idempotent-Replayed"]) == ("accepted", "true")
    assert "Idempotent-Replayed" not in first.headers
    assert (first.body["number"], first.body["secret"]) == (again.body["number"], again.body["secret"])
    assert (other.body["code"], other.headers["Content-Type"]) == ("key_conflict", "application/problem+json")
    page, pages_other = by_page(token, BODY, "a-1"), by_page(token, BODY | {"text": "另一处"}, "a-1")
    assert (page.status_code, page.json(), page["Idempotent-Replayed"]) == (200, again.body, "true")
    assert (pages_other.status_code, pages_other.json()) == (422, other.body)
    for header in ("Cache-Control", "X-Content-Type-Options", "Content-Security-Policy", "Referrer-Policy"):
        assert first.headers[header] == again.headers[header] == other.headers[header] == page[header]
    assert web.post(machine("other"), BODY, "a-1").status == 201, "a key belongs to its sender"
    assert Report.objects.count() == 2


def test_what_is_not_plainly_one_report_gets_the_full_answer_in_the_senders_language(web: Web) -> None:
    token = machine("hotline")
    assert web.post(token, BODY).body["mistakes"][0]["place"] == "reports[0].key"
    assert web.post(token, BODY | {"key": "b"}, "a").body["mistakes"][0]["place"] == "key"
    assert web.post(token, b'{"text":', "a").body["mistakes"][0]["place"] == "body"
    assert web.post(token, BODY | {"case_type": "x" * 61}, "a").body["mistakes"][0]["place"] == "reports[0].case_type"
    for odd in ({"a": "\0"}, {"\0": 1}, {"a": 1 << 70}):
        assert web.post(token, BODY | {"extra": odd}, "a").body["mistakes"][0]["place"] == "reports[0].extra"
    assert web.post("nobody's", BODY, "a").status == 401
    assert web.post(machine("reader", permissions=("see_health",)), BODY, "a").status == 403
    assert web.post(token, BODY, "a", headers={"Content-Type": "text/plain"}).status == 415
    assert not Report.objects.exists()
    assert [r["outcome"] for r in web.post(token, [BODY | {"key": "1"}, BODY | {"key": "2"}]).body] == ["accepted"] * 2
    conflict = {"text": "另一处", "key": "1"}
    for language, title in (("en", "This key was used"), ("zh-CN", "这个键已用于")):
        answer = web.post(token, BODY | conflict, headers={"Accept-Language": language})
        assert answer.body["title"].startswith(title)


def test_every_request_counts_once_whatever_becomes_of_it(web: Web) -> None:
    token = machine("small", per_minute=4)
    statuses = [web.post(token, BODY | more, "a").status for more in ({}, {}, {"text": "另"}, {"lon": 1})]
    assert statuses == [201, 200, 422, 422]
    over = web.post(token, BODY, "b")
    assert (over.status, over.body["code"], over.headers["Retry-After"]) == (429, "quota", "60")


def test_one_key_sent_sixty_four_times_at_once_is_one_report_with_one_answer(web: Web) -> None:
    token = machine("hotline")
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: web.post(token, BODY, "race"), range(64)))
    assert {a.body["number"] for a in answers} == set(Report.objects.values_list("number", flat=True))
    assert Report.objects.count() == 1
    assert sorted(a.status for a in answers) == [200] * 63 + [201]
    assert Event.objects.filter(name="ReportReceived").count() == 1


def test_good_reports_are_stored_beside_bad_ones_and_both_ways_at_once(web: Web) -> None:
    tokens = [machine("one"), machine("two")]

    def send(n: int) -> int:
        try:
            if n % 10 == 0:
                return web.post(tokens[0], BODY | {"text": ""}, f"k{n}").status
            if n % 10 == 5:
                return int(by_page(tokens[0], BODY, f"k{n}").status_code)
            return web.post(tokens[n % 2], BODY, f"k{n}").status
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        assert Counter(pool.map(send, range(200))) == {201: 180, 422: 20}
    assert Report.objects.count() == Event.objects.filter(name="ReportReceived").count() == 180


def test_a_clean_stop_answers_what_was_accepted(web: Web) -> None:
    token = machine("hotline")
    answered: dict[str, str] = {}
    enough = threading.Event()

    def sender(name: int) -> None:
        line = http.client.HTTPConnection("127.0.0.1", web.port, timeout=20)
        for n in range(100_000):
            try:
                answer = web.post(token, BODY, f"{name}-{n}", line)
            except (OSError, http.client.HTTPException):
                return  # the door is closed: this one was not taken
            assert answer.status == 201
            answered[f"{name}-{n}"] = answer.body["number"]
            if len(answered) > 300:
                enough.set()

    senders = [threading.Thread(target=sender, args=(n,)) for n in range(16)]
    for one in senders:
        one.start()
    assert enough.wait(30)
    assert web.stop() == 0
    for one in senders:
        one.join(30)
    assert dict(Report.objects.values_list("key", "number")) == answered
