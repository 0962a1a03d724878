"""Before the disk is full, nothing new is taken in, so that what was accepted stays safe."""

from __future__ import annotations

import pytest

from gridloop.discover.actions import NewReport
from gridloop.gateways.api.intake import Collector
from gridloop.kernel.errors import Refused
from gridloop.kernel.postgres import disk
from gridloop.people.viewer import SYSTEM


def test_below_the_floor_a_report_is_refused_and_may_be_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "FLOOR_SHARE", 1.1)  # a floor above any disk
    monkeypatch.setattr(disk, "FLOOR", 1 << 62)
    report = NewReport(key="full-disk", text="路边井盖不见了，很危险", channel="app")
    with pytest.raises(Refused) as refused:
        Collector().accept(report, client="test", viewer=SYSTEM)
    assert (refused.value.status, refused.value.code) == (503, "disk_full")
