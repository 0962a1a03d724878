"""What the intake does when it cannot store: no room on the disk, too many at once, one that no database takes."""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

import pytest
from django.test import Client

from gridloop.discover.actions import NewReport, Receipt
from gridloop.discover.models import Report
from gridloop.gateways.api import intake
from gridloop.gateways.api.intake import Collector, Waiting, store
from gridloop.kernel import clock
from gridloop.kernel.errors import Refused
from gridloop.kernel.postgres import disk
from gridloop.people import access
from gridloop.people.viewer import SYSTEM

pytestmark = pytest.mark.django_db


def waiting(key: str, **more: Any) -> Waiting:
    loop = asyncio.new_event_loop()
    try:
        report = NewReport(key=key, text="路边井盖不见了，很危险", channel="app", **more)
        return Waiting(report, "test", SYSTEM, loop.create_future())
    finally:
        loop.close()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "FLOOR_SHARE", 1.1)  # a floor above any disk
    monkeypatch.setattr(disk, "FLOOR", 1 << 62)


@pytest.mark.usefixtures("full_disk")
def test_below_the_floor_a_report_is_refused_and_may_be_sent_again() -> None:
    (refused,) = store([waiting("full-disk")])
    assert isinstance(refused, Refused)
    assert (refused.status, refused.code) == (503, "disk_full")


@pytest.mark.usefixtures("full_disk")
def test_below_the_floor_lists_are_refused_too() -> None:
    client = access.register_client(code="a", name="a", permissions=["report"], viewer=SYSTEM, at=clock.now())
    token = access.issue_token(viewer=SYSTEM, client=client, at=clock.now())[1]
    answer = Client().post(
        "/api/v1/reports",
        json.dumps([{"key": "1", "channel": "app", "text": "积水"}]),
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
    )
    assert (answer.status_code, answer.json()["code"]) == (503, "disk_full")
    assert int(answer["Retry-After"]) > 0


def test_one_report_that_the_database_refuses_does_not_take_its_neighbours_with_it() -> None:
    keys = [f"k{n}" for n in range(9)]
    batch = [
        waiting(key, case_type="x" * 61 if key == "k4" else "") for key in keys
    ]  # unchecked: wider than its column
    outcomes = store(batch)
    assert [isinstance(o, Receipt) for o in outcomes] == [key != "k4" for key in keys]
    assert [o.key for o in outcomes if isinstance(o, Receipt)] == [k for k in keys if k != "k4"]
    assert Report.objects.count() == 8


def test_a_full_waiting_room_refuses_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "WAITING_ROOM", 2)
    report = NewReport(key="a", text="积水", channel="app")

    async def three() -> None:
        collector = Collector()
        for _ in range(2):
            collector.accept(report, client="test", viewer=SYSTEM)
        with pytest.raises(Refused) as refused:
            collector.accept(report, client="test", viewer=SYSTEM)
        assert (refused.value.status, refused.value.code) == (503, "busy")
        assert collector._storing is not None
        collector._storing.cancel()

    asyncio.run(three())


def test_who_waits_too_long_for_a_slow_database_is_told_to_send_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "PATIENCE", 0.0)
    monkeypatch.setattr(intake, "LOOK", 0.01)
    told = threading.Event()

    def slow(batch: list[Waiting]) -> list[Receipt | Exception]:
        assert told.wait(10)
        return [Receipt(w.report.key, "accepted", 1, "n", "s") for w in batch]  # type: ignore[arg-type]

    monkeypatch.setattr(intake, "store", slow)

    async def one() -> None:
        collector = Collector()
        with pytest.raises(Refused) as refused:
            await collector.accept(NewReport(key="a", text="积水", channel="app"), client="test", viewer=SYSTEM)
        assert refused.value.code == "busy"
        told.set()
        assert collector._storing is not None
        await collector._storing
        collector.close()

    asyncio.run(one())
