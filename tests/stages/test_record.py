"""What was changed, added or removed behind the application's back is found, whatever it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.db import connection, models, transaction

from gridloop.cases.models import Case, CoHandling
from gridloop.cases.queries import fold, stored, unlike_their_record
from gridloop.cases.rules import CoUnit
from gridloop.discover.queries import unlike_their_record as reports_unlike_their_record
from gridloop.handle.actions import add_evidence
from gridloop.handle.models import Evidence
from gridloop.handle.queries import folder, unlike_its_record
from gridloop.kernel import clock
from gridloop.kernel.models import Event
from tests.build import DAY, district
from tests.stages.desk import Desk
from tests.stages.pictures import jpeg


@pytest.fixture
def case(db: None, settings: Any, tmp_path: Path) -> Iterator[Case]:
    """A case with a past: helpers, a suspension, photographs."""
    settings.GRIDLOOP_DATA = tmp_path
    with clock.frozen(DAY), transaction.atomic():
        desk = Desk(district())
        found = desk.move(desk.bring("suspended"), "resume", at=DAY + timedelta(hours=2))
        desk.move(found, "add_co_units", co_units=(CoUnit(unit_id=desk.here.units["SZ"]),))
        for stage in ("before", "after"):
            add_evidence(case_id=found.id, stage=stage, content=jpeg(stage), viewer=desk.here["clean1"])
        yield Case.objects.get(id=found.id)
        transaction.set_rollback(True)  # what was removed behind our back left its children behind


@contextmanager
def behind_our_back() -> Iterator[Any]:
    """As somebody who may do everything with the database: triggers and foreign keys are off."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        yield cursor
        cursor.execute("SET LOCAL session_replication_role = DEFAULT")


def findings() -> list[str]:
    return [f.kind for f in (*reports_unlike_their_record(), *unlike_their_record(), *unlike_its_record())]


def test_what_went_through_the_application_is_all_as_recorded(case: Case) -> None:
    assert findings() == []
    assert fold(e.data for e in Event.objects.filter(subject=f"case:{case.id}").order_by("id")) == {
        f.attname: stored(getattr(case, f.attname))
        for f in Case._meta.concrete_fields
        if f.name not in ("id", "text", "address")
    }


COLUMNS = [f for f in Case._meta.concrete_fields if not f.primary_key]


def another(field: models.Field[Any, Any], value: Any) -> Any:
    """A value of the column's kind that is not the one it has."""
    kind = field.get_internal_type()
    if kind == "BooleanField":
        return not value
    if kind == "DateTimeField":
        return (value or DAY) + timedelta(microseconds=1)
    if kind == "JSONField":
        return '{"zh": "另有原因", "en": "for another reason"}'
    if kind in ("CharField", "TextField"):
        return "another" if value != "another" else "yet another"
    return (value or 0) + 1


@pytest.mark.parametrize("field", COLUMNS, ids=lambda f: f.name)
def test_a_change_of_any_column_of_a_case_is_found(case: Case, field: models.Field[Any, Any]) -> None:
    with behind_our_back() as cursor:
        cursor.execute(
            f'UPDATE cases_case SET "{field.column}" = %s WHERE id = %s',
            [another(field, getattr(case, field.attname)), case.id],
        )
    (found,) = unlike_their_record()
    assert found.kind == "case_changed"
    assert ("text" if field.name in ("text", "address") else field.attname) in found.sentence.en


@pytest.mark.parametrize("field", [f for f in COLUMNS if f.null], ids=lambda f: f.name)
def test_emptying_a_column_of_a_case_is_found(case: Case, field: models.Field[Any, Any]) -> None:
    if getattr(case, field.attname) is None:
        return  # nothing to empty; setting it is the test above
    with behind_our_back() as cursor:
        cursor.execute(f'UPDATE cases_case SET "{field.column}" = NULL WHERE id = %s', [case.id])
    assert findings() == ["case_changed"]


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("DELETE FROM cases_case", "case_removed"),
        ("UPDATE cases_case SET id = id + 100", "case_removed"),
        ("UPDATE cases_cohandling SET due_at = due_at + interval '1 day'", "case_changed"),
        ("UPDATE cases_cohandling SET handed_back_at = now()", "case_changed"),
        ("UPDATE cases_cohandling SET unit_id = unit_id + 1", "case_changed"),
        ("DELETE FROM cases_cohandling", "case_changed"),
        ("UPDATE handle_evidence SET sha256 = repeat('0', 64) WHERE stage = 'after'", "evidence_changed"),
        ("UPDATE handle_evidence SET stage = 'check' WHERE stage = 'after'", "evidence_changed"),
        ("UPDATE handle_evidence SET case_id = 99 WHERE stage = 'after'", "evidence_changed"),
        ("UPDATE handle_evidence SET \"by\" = 'person:1' WHERE stage = 'after'", "evidence_changed"),
        ("UPDATE handle_evidence SET at = at - interval '1 day' WHERE stage = 'after'", "evidence_changed"),
        ("UPDATE handle_evidence SET size = 1 WHERE stage = 'after'", "evidence_changed"),
        ("UPDATE handle_evidence SET original = 'elsewhere.jpg' WHERE stage = 'after'", "evidence_changed"),
        ("DELETE FROM handle_evidence WHERE stage = 'after'", "evidence_changed"),
    ],
)
def test_any_other_change_in_the_tables_is_found(case: Case, sql: str, kind: str) -> None:
    with behind_our_back() as cursor:
        cursor.execute(sql)
    assert kind in findings()


def test_a_case_and_a_helper_and_evidence_that_nobody_recorded_are_found(case: Case) -> None:
    part = case.co_handlings.get()
    with behind_our_back():
        CoHandling.objects.create(case=case, unit_id=part.unit_id, started_at=DAY, withdrawn_at=DAY)
    assert findings() == ["case_changed"]
    row = Evidence.objects.first()
    assert row is not None
    with behind_our_back():
        row.pk = None
        row.save()
    assert findings() == ["case_changed", "evidence_without_record"]
    with behind_our_back():
        case.pk, case.number = None, "invented"
        case.save(force_insert=True)
    assert sorted(findings()) == ["case_changed", "case_without_record", "evidence_without_record"]


def test_an_exchanged_or_missing_file_is_found(case: Case) -> None:
    row = Evidence.objects.get(stage="after")
    path = folder() / row.original
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    assert findings() == ["evidence_changed"]
    path.unlink()
    assert findings() == ["evidence_changed"]


def test_an_exchanged_copy_is_found(case: Case, settings: Any) -> None:
    from gridloop.handle.pictures import make_served_copies

    row = Evidence.objects.get(stage="after")
    make_served_copies([row.id])
    assert findings() == []
    row.refresh_from_db()
    (folder() / row.served).write_bytes(jpeg("another"))
    assert findings() == ["evidence_changed"]


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("UPDATE discover_report SET text = text || '。'", "report_changed"),
        ("UPDATE discover_report SET address = 'elsewhere'", "report_changed"),
        ("UPDATE discover_report SET channel = 'leader'", "report_changed"),
        ("DELETE FROM discover_report", "report_removed"),
        ("INSERT INTO discover_report SELECT (jsonb_populate_record(r, '{\"id\": 99999, \"key\": \"forged\", "
         "\"number\": \"forged\"}')).* FROM discover_report r LIMIT 1", "report_without_record"),
    ],
)  # fmt: skip
def test_a_report_changed_removed_or_slipped_in_is_found(case: Case, sql: str, kind: str) -> None:
    Desk(district()).here.report("路灯不亮")
    assert findings() == []
    with behind_our_back() as cursor:
        cursor.execute(sql)
        assert kind in findings()


def test_moments_told_in_another_zone_are_recorded_as_they_are_stored(case: Case) -> None:
    there = ZoneInfo("Asia/Shanghai")
    desk = Desk(district())
    desk.here.case(reported_at=(DAY - timedelta(hours=1)).astimezone(there), due_at=DAY.astimezone(there))
    desk.open(state="pending_dispatch", at=DAY.astimezone(there))
    assert findings() == []
