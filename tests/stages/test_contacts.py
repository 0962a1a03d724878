"""The one sealed table and its door."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from django.db import connection

from gridloop.kernel.errors import Refused
from gridloop.kernel.models import Event
from gridloop.people.models import Membership, Notice, Person, Unit
from gridloop.people.queries import viewer_for
from gridloop.people.viewer import ANONYMOUS, SYSTEM, Viewer
from gridloop.registry import actions, queries, vault
from gridloop.registry.actions import NewContact
from gridloop.registry.models import ReporterContact

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 16, 2, 0, tzinfo=UTC)
WANG = NewContact(name="王小明", phone="138 1234 5678")
WHY = "回访时需要核对门牌号"


def holder(role: str) -> Viewer:
    person = Person.objects.create_person(username=f"{role}.{Person.objects.count()}", name="某人")
    unit, _ = Unit.objects.get_or_create(code="u", defaults={"name": "U", "kind": "district", "starts_on": AT.date()})
    Membership.objects.create(person=person, unit=unit, role=role, starts_on=AT.date())
    return viewer_for(person, AT)


def reveal(contact: int, viewer: Viewer, **more: Any) -> actions.Contact:
    words: dict[str, Any] = {"contact_id": contact, "case_id": 3, "reason": WHY, "viewer": viewer, "at": AT}
    return actions.reveal_contact(**words | more)


def refusal(contact: int, viewer: Viewer, **more: Any) -> tuple[int, str]:
    with pytest.raises(Refused) as caught:
        reveal(contact, viewer, **more)
    return caught.value.status, caught.value.code


def raw() -> bytes:
    with connection.cursor() as cursor:
        cursor.execute("SELECT string_agg(c::text, '') FROM registry_reportercontact c")
        return str(cursor.fetchone()[0]).encode()


def test_contacts_are_masked_for_everybody_who_sees_the_case(django_assert_num_queries: Any) -> None:
    vault.seal("", "")
    with django_assert_num_queries(1):
        ids = actions.remember_contacts([WANG, NewContact(name="Ann Lee", phone="62345678"), NewContact()], at=AT)
    with django_assert_num_queries(1):
        seen = queries.masked(ids, SYSTEM)
    assert [(seen[i].name, seen[i].phone) for i in ids] == [("王*", "138****5678"), ("A*", "****78"), ("", "")]
    assert queries.masked(ids, ANONYMOUS) == {}


def test_the_database_holds_no_readable_name_or_phone() -> None:
    actions.remember_contacts([WANG], at=AT)
    stored = raw()
    for marker in (WANG.name.encode(), b"13812345678", b"138 1234 5678"):
        assert marker not in stored
        assert marker.hex().encode() not in stored
    assert WANG.name not in repr(WANG)
    assert "138" not in repr(WANG)


def test_equal_contacts_are_sealed_differently_and_the_length_of_a_name_does_not_show() -> None:
    actions.remember_contacts([WANG, WANG, NewContact(name="王", phone="13812345678")], at=AT)
    rows = list(ReporterContact.objects.order_by("id"))
    assert len({bytes(r.sealed or b"") for r in rows}) == 3
    assert len({len(r.sealed or b"") for r in rows}) == 1


def test_a_changed_byte_and_a_foreign_key_are_noticed() -> None:
    actions.remember_contacts([WANG, WANG], at=AT)
    one, two = ReporterContact.objects.order_by("id")
    sealed = bytearray(one.sealed or b"")
    sealed[20] ^= 1
    with pytest.raises(InvalidTag):
        vault.unseal(bytes(one.key or b""), bytes(sealed))
    with pytest.raises(InvalidTag):
        vault.unseal(bytes(two.key or b""), bytes(one.sealed or b""))


def test_one_record_is_revealed_with_a_reason_that_is_on_the_record() -> None:
    (contact,) = actions.remember_contacts([WANG], at=AT)
    viewer = holder("intake_officer")
    found = reveal(contact, viewer)
    assert (found.name, found.phone) == (WANG.name, WANG.phone)
    assert WANG.name not in repr(found)
    event = Event.objects.get(name="ContactRevealed")
    assert (event.subject, event.actor) == ("case:3", viewer.actor)
    assert event.data == {"contact_id": contact, "reason": WHY}


def test_no_reveal_without_permission_reason_or_person() -> None:
    (contact,) = actions.remember_contacts([WANG], at=AT)
    officer = holder("intake_officer")
    assert refusal(contact, holder("grid_worker")) == (403, "forbidden")
    assert refusal(contact, SYSTEM) == (403, "forbidden")
    assert refusal(contact, officer, reason="  why   \n ") == (422, "reason_needed")
    assert refusal(contact, officer, reason="打电话给王小明问门牌号") == (422, "reason_names_somebody")
    assert refusal(contact, officer, reason="要拨打 1381234-5678 核对") == (422, "reason_names_somebody")
    assert refusal(contact + 1, officer) == (404, "not_found")
    assert not Event.objects.exists()


def test_secrecy_hides_even_the_masked_name_from_who_handles_the_case() -> None:
    (contact,) = actions.remember_contacts([NewContact(WANG.name, WANG.phone, secret=True)], at=AT)
    for role in ("department_handler", "grid_worker", "subdistrict_operator", "dispatcher"):
        seen = queries.masked([contact], holder(role))[contact]
        assert (seen.name, seen.phone, seen.secret) == ("", "", True)
    assert refusal(contact, holder("subdistrict_operator")) == (404, "not_found")
    assert reveal(contact, holder("shift_lead")).name == WANG.name


def test_beyond_the_quota_of_a_day_nothing_is_revealed_and_two_people_are_told(settings: Any) -> None:
    settings.GRIDLOOP_REVEALS_A_DAY = 3
    (contact,) = actions.remember_contacts([WANG], at=AT)
    viewer, watchers = holder("intake_officer"), {holder("security_admin").id, holder("auditor").id}
    for _ in range(3):
        reveal(contact, viewer)
    for _ in range(4):
        assert refusal(contact, viewer) == (429, "quota")
    assert set(Notice.objects.values_list("person_id", flat=True)) == watchers
    assert Notice.objects.count() == 2
    assert Event.objects.filter(name="RevealQuotaReached").count() == 1
    assert Event.objects.filter(name="ContactRevealed").count() == 3
    assert reveal(contact, viewer, at=AT + timedelta(days=1)).name == WANG.name
    assert reveal(contact, holder("shift_lead")).name == WANG.name


def test_contacts_are_destroyed_twelve_months_after_closure_and_an_open_case_keeps_its_own() -> None:
    closed, opened, reopened = actions.remember_contacts([WANG, WANG, WANG], at=AT)
    actions.set_wipe(ends={closed: AT, reopened: AT})
    actions.set_wipe(ends={reopened: None})
    assert actions.wipe_due(at=AT + timedelta(days=364)) == 0
    assert actions.wipe_due(at=AT + timedelta(days=365)) == 1
    assert actions.wipe_due(at=AT + timedelta(days=366)) == 0
    gone = ReporterContact.objects.get(id=closed)
    assert gone.key is None
    assert gone.sealed is None
    assert gone.wiped_at is not None
    seen = queries.masked([closed, opened], SYSTEM)
    assert (seen[closed].name, seen[closed].wiped) == ("", True)
    assert seen[opened].name == "王*"
    assert refusal(closed, holder("shift_lead"), at=AT + timedelta(days=366)) == (410, "wiped")
    assert Event.objects.get(name="ContactsWiped").data == {"contacts": [closed]}


def forget_keys() -> None:
    vault._master.cache_clear()
    vault._wrapping.cache_clear()


def test_the_master_key_is_made_once_for_its_owner_only_and_never_replaced(settings: Any, tmp_path: Path) -> None:
    settings.GRIDLOOP_DATA = tmp_path / "data"
    actions.remember_contacts([WANG], at=AT)
    key = vault.key_file()
    assert key.stat().st_mode & 0o777 == 0o600
    assert key.stat().st_size == 32
    assert [p.name for p in key.parent.iterdir()] == ["contacts.key"]
    key.unlink()
    forget_keys()
    with pytest.raises(FileNotFoundError, match="restore"):
        actions.remember_contacts([WANG], at=AT)
    key.write_bytes(os.urandom(32))
    key.chmod(0o644)
    with pytest.raises(PermissionError):
        actions.remember_contacts([WANG], at=AT)
    forget_keys()


def test_many_that_start_together_make_one_key(tmp_path: Path) -> None:
    def make(_: int) -> bytes:
        try:
            return vault._make(tmp_path / "k")
        finally:
            connection.close()

    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(make, range(16)))
    assert keys == {(tmp_path / "k").read_bytes()}
    assert [p.name for p in tmp_path.iterdir()] == ["k"]


def test_remembering_is_fast_enough_for_a_flood_night() -> None:
    contacts = [WANG] * 5000
    actions.remember_contacts(contacts[:500], at=AT)
    rates = []
    for _ in range(3):
        start = time.perf_counter()
        actions.remember_contacts(contacts, at=AT)
        rates.append(len(contacts) / (time.perf_counter() - start))
    assert max(rates) > 5000, rates
