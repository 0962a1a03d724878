"""When a reporter is forgotten, and who sees what waits for a person."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gridloop.cases.actions import Move, move_cases
from gridloop.cases.models import Case
from gridloop.discover.actions import Answer, settle_reports
from gridloop.discover.models import Report
from gridloop.discover.queries import triage_list
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes
from gridloop.people.models import Membership, Person, Unit
from gridloop.people.queries import viewer_for
from gridloop.registry import vault
from gridloop.registry.actions import NewContact
from gridloop.registry.models import ReporterContact
from tests.build import DAY, District, district

pytestmark = pytest.mark.django_db
WHO = NewContact("某某", "13800000000")


@pytest.fixture
def town() -> Iterator[District]:
    with clock.frozen(DAY):
        yield district()


def move(town: District, case: Case, verb: str, who: str = "shift", **more: object) -> None:
    case.refresh_from_db()
    move_cases([Move(case_id=case.pk, verb=verb, version=case.version, **more)], viewer=town[who])  # type: ignore[arg-type]
    town.drain()


def test_a_year_after_the_end_of_the_case_every_caller_is_forgotten(town: District) -> None:
    case = town.case(contact=WHO)
    town.report(case_type="urban:E0110", contact=WHO)
    town.drain()
    assert Report.objects.filter(case_id=case.pk).count() == 2
    assert not ReporterContact.objects.filter(wipe_after__isnull=False).exists()
    move(town, case, "force_close", reason="测试之用")
    assert set(ReporterContact.objects.values_list("wipe_after", flat=True)) == {DAY + timedelta(days=365)}


def test_what_is_kept_to_recognise_a_repetition_does_not_let_numbers_be_tried_out(
    town: District, settings: Any, tmp_path: Path
) -> None:
    town.report(contact=WHO)
    shutil.copy2(vault.key_file(), tmp_path)
    settings.GRIDLOOP_DATA = tmp_path  # the same vault, but another key for reports
    town.report(contact=WHO)
    one, two = Report.objects.order_by("id")
    assert (one.text, one.lon, one.lat) == (two.text, two.lon, two.lat)
    assert bytes(one.digest) != bytes(two.digest)


def test_a_new_secret_key_of_the_site_leaves_senders_their_answers(town: District, settings: Any) -> None:
    first = town.report(contact=WHO, key="the same")
    settings.SECRET_KEY = "another key of at least thirty-two characters"
    again = town.report(contact=WHO, key="the same")
    assert (again.outcome, again.number, again.secret) == ("replayed", first.number, first.secret)


def test_reopening_a_case_stops_the_clock(town: District) -> None:
    case = town.case(contact=WHO)
    Case.objects.filter(id=case.pk).update(unit_id=town.units["HW"], filed_at=DAY, dispatched_at=DAY)
    move(town, case, "force_close", reason="测试之用")
    move(town, case, "reopen", "intake", reason="反映人说没有解决")
    assert ReporterContact.objects.get().wipe_after is None


def test_a_refused_report_is_forgotten_too(town: District) -> None:
    town.report("有点问题", contact=WHO, lon=None, lat=None)
    town.drain()
    report = triage_list(town["intake"]).get()
    settle_reports([Answer(report_id=report.pk, refuse="与本区无关")], viewer=town["intake"])
    town.drain()
    assert ReporterContact.objects.get().wipe_after == DAY + timedelta(days=365)


def test_a_street_sees_on_the_triage_list_only_what_was_guessed_to_be_there(town: District) -> None:
    unit = Unit.objects.create(
        code="JD2", name="另一街道", kind="street", region_code="410104002", starts_on=DAY.date()
    )
    person = Person.objects.create_person(username="street2", name="乙街道")
    Membership.objects.create(person=person, unit=unit, role="subdistrict_operator", starts_on=DAY.date())
    other = viewer_for(person)
    town.report("有点问题")
    town.report("有点问题", lon=None, lat=None)
    town.drain()
    here, nowhere = triage_list(town["intake"])
    assert [r.pk for r in triage_list(town["street"])] == [here.pk]
    assert list(triage_list(other)) == []
    for report in (here, nowhere):
        with pytest.raises(Mistakes):
            settle_reports([Answer(report_id=report.pk, refuse="与本街道无关")], viewer=other)
