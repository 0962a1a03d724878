"""Single reports by HTTP: each request waits for a commit that it shares with others."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from gridloop.discover.models import Report
from gridloop.kernel import clock
from gridloop.kernel.models import Event
from gridloop.people import access
from gridloop.people.viewer import SYSTEM

pytestmark = pytest.mark.usefixtures("committed")
BODY = {"channel": "app", "text": "路灯不亮，晚上看不清路"}


def machine(code: str) -> str:
    client = access.register_client(code=code, name=code, permissions=["report"], viewer=SYSTEM, at=clock.now())
    return access.issue_token(viewer=SYSTEM, client=client, at=clock.now())[1]


def post(token: str, body: Any, key: str = "") -> Any:
    headers = {"Authorization": f"Bearer {token}"} | ({"Idempotency-Key": key} if key else {})
    return Client().post("/api/v1/reports", json.dumps(body), content_type="application/json", headers=headers)


def test_a_single_report_has_its_key_in_the_header_and_is_replayed() -> None:
    token = machine("hotline")
    first, again = post(token, BODY, "a-1"), post(token, BODY, "a-1")
    assert (first.status_code, again.status_code) == (201, 200)
    assert again["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first
    assert first.json()["number"] == again.json()["number"]
    assert first.json()["secret"] == again.json()["secret"]
    assert Report.objects.count() == 1


def test_the_same_key_with_another_content_is_refused_and_belongs_to_its_sender() -> None:
    token = machine("hotline")
    post(token, BODY, "a-1")
    other = post(token, BODY | {"text": "另一处"}, "a-1")
    assert (other.status_code, other.json()["code"]) == (422, "key_conflict")
    assert post(machine("other"), BODY, "a-1").status_code == 201


def test_a_report_without_a_key_or_with_two_is_refused() -> None:
    token = machine("hotline")
    assert post(token, BODY).json()["mistakes"][0]["place"] == "reports[0].key"
    assert post(token, BODY | {"key": "b"}, "a").json()["mistakes"][0]["place"] == "key"
    assert not Report.objects.exists()


def test_one_key_sent_sixty_four_times_at_once_is_one_report_with_one_answer() -> None:
    token = machine("hotline")

    def send(_: int) -> tuple[int, str]:
        try:
            answer = post(token, BODY, "race")
            return answer.status_code, answer.json()["number"]
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(send, range(64)))
    assert {number for _, number in answers} == set(Report.objects.values_list("number", flat=True))
    assert Report.objects.count() == 1
    assert sorted(status for status, _ in answers) == [200] * 63 + [201]
    assert Event.objects.filter(name="ReportReceived").count() == 1


def test_many_different_reports_at_once_are_all_stored() -> None:
    token = machine("hotline")

    def send(n: int) -> int:
        try:
            return int(post(token, BODY, f"k{n}").status_code)
        finally:
            connection.close()

    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(send, range(200))) == {201}
    assert Report.objects.count() == 200
