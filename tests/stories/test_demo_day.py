"""The invented rainy day runs through the real actions, loses nothing and says that it is invented."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gridloop.cases.models import Case
from gridloop.cases.workflow import STATES
from gridloop.discover.models import Report
from gridloop.gateways.demo import playing
from gridloop.handle.models import Evidence
from gridloop.kernel import clock
from gridloop.kernel.events import stuck
from gridloop.loop import CHECKS
from gridloop.people.models import Person, Unit
from gridloop.territory.models import Region
from gridloop.territory.queries import forget_map

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.django_db


@pytest.fixture
def played(settings: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[playing.Summary]:
    settings.GRIDLOOP_DATA = tmp_path  # type: ignore[attr-defined]
    monkeypatch.setattr(playing, "LESSONS", 500)  # a lesser classifier asks people more often
    with clock.frozen(datetime(2026, 7, 23, 4, tzinfo=UTC)):  # the day is Wednesday, 22 July, whenever the test runs
        yield playing.play_demo(district=ROOT / "districts" / "410104", packs=[ROOT / "packs" / "urban"], count=70)
    forget_map()


def test_a_played_day_leaves_work_in_every_hand_loses_nothing_and_says_that_it_is_invented(
    played: playing.Summary,
) -> None:
    assert played.reconciliation["holds"]
    assert played.reports == Report.objects.count() >= 70
    assert stuck() == []
    # The day is told in Zhengzhou's time and recorded in UTC: what the record says is what the rows say.
    assert [str(f) for check in CHECKS for f in check()] == []
    passing = {"pending_verify", "pending_filing", "pending_dispatch", "returned", "dispatched"}
    empty = {state for state in STATES if not Case.objects.filter(state=state).exists()}
    assert empty <= passing, "a small day may leave a short-lived state empty, never one that is an end or a long wait"
    assert played.on_time
    assert any(rate.out_of for rate in played.on_time.values())
    told = "\n".join(sentence.zh for sentence in played.lines())
    assert "虚构" in told

    # What was invented is labelled so. (One test: a day takes long to play.)
    assert not Report.objects.exclude(extra__synthetic=True).exists()
    assert not Person.objects.filter(synthetic=False).exists()
    assert not Unit.objects.filter(synthetic=False).exists()
    assert not Region.objects.filter(geometry__isnull=False, synthetic=False).exists()
    assert Evidence.objects.exists()
