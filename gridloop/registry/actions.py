"""What can be done with a citizen's data: remember it, reveal one record, destroy it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from django.conf import settings
from django.db import connection, transaction

from gridloop.kernel.bulk import insert_rows
from gridloop.kernel.errors import Refused, not_found
from gridloop.kernel.events import publish
from gridloop.kernel.language import Sentence
from gridloop.people.actions import NewNotice, notify
from gridloop.people.models import day_of
from gridloop.people.queries import holders_of
from gridloop.people.viewer import SYSTEM, Viewer
from gridloop.registry import rules, vault
from gridloop.registry.events import (
    ContactRevealed,
    ContactsWiped,
    DataGivenOut,
    DeletionAsked,
    RevealQuotaReached,
)
from gridloop.registry.models import ReporterContact

MIN_REASON = 8
"""Characters that a reason for looking needs at least."""
REVEALS_A_DAY = 60
"""Contacts one person may see on one day, unless ``GRIDLOOP_REVEALS_A_DAY`` says otherwise (Gridloop design)."""
KEEP_DAYS = 365
"""Days from closure to the wipe, unless ``GRIDLOOP_KEEP_CONTACT_DAYS`` says otherwise (Gridloop design: 12 months)."""


@dataclass(frozen=True, slots=True)
class NewContact:
    """A reporter's name and phone on the way into the vault. It never prints itself."""

    name: str = field(default="", repr=False)
    phone: str = field(default="", repr=False)
    secret: bool = False
    """The reporter asks for secrecy (保密)."""


@dataclass(frozen=True, slots=True)
class Contact:
    """One revealed contact. It never prints itself."""

    id: int
    name: str = field(repr=False)
    phone: str = field(repr=False)


def remember_contacts(contacts: Sequence[NewContact], *, at: datetime) -> list[int]:
    """Seal contacts in one statement; their ids in order."""
    rows = []
    for contact in contacts:
        key, sealed = vault.seal(contact.name, contact.phone)
        rows.append(ReporterContact(key=key, sealed=sealed, secret=contact.secret, created_at=at))
    return insert_rows(rows)


def forget_contacts(ids: Sequence[int | None]) -> None:
    """Remove contacts of reports that were not stored after all, within the transaction that remembered them."""
    ReporterContact.objects.filter(id__in=[i for i in ids if i is not None]).delete()


def reveal_contact(*, contact_id: int, case_id: int, reason: str, viewer: Viewer, at: datetime) -> Contact:
    """Show one reporter's name and phone to one person who says why. Logged, counted against the day's quota.

    The caller has made sure that the viewer sees the case and that the contact is this case's. Refused (`Refused`)
    without the permission (403), without a reason of `MIN_REASON` characters (422), after the wipe (410), and beyond
    the quota (429), when the security and the audit administrators are told.
    """
    viewer.need("reveal_contact")
    reason = " ".join(reason.split())
    if len(reason) < MIN_REASON:
        raise _refused(
            f"请写明查看原因（至少{MIN_REASON}个字）。",
            f"Say why you look, in at least {MIN_REASON} characters.",
            422,
            "reason_needed",
        )
    person = viewer.person_id
    if person is None:
        raise _refused("只有人可以查看联系方式。", "Only a person may see a contact.", 403, "forbidden")
    row = ReporterContact.objects.filter(id=contact_id).first()
    if row is None or (row.secret and not viewer.may("reveal_secret_contact")):
        raise not_found()
    if row.key is None or row.sealed is None:
        raise _refused("保存期已过，联系方式已销毁。", "Its time is over: the contact was destroyed.", 410, "wiped")
    name, phone = vault.unseal(bytes(row.key), bytes(row.sealed))
    if rules.names_somebody(reason, name=name, phone=phone):
        raise _refused(
            "原因里不要写反映人的姓名或电话。",
            "Leave the reporter's name and number out of the reason.",
            422,
            "reason_names_somebody",
        )
    quota = int(getattr(settings, "GRIDLOOP_REVEALS_A_DAY", REVEALS_A_DAY))
    with transaction.atomic():
        count = _count(person, at)
        if count <= quota:
            publish(
                [
                    ContactRevealed(
                        subject=f"case:{case_id}", actor=viewer.actor, at=at, contact_id=contact_id, reason=reason
                    )
                ]
            )
            return Contact(contact_id, name, phone)
        if count == quota + 1:
            _tell_the_watchers(person, quota, viewer, at)
    raise _refused(
        f"今天已查看{quota}条联系方式，达到上限；安全管理员和审计管理员已收到通知。",
        f"You have seen {quota} contacts today, the most allowed; the security and audit administrators were told.",
        429,
        "quota",
    )


def _count(person: int, at: datetime) -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO registry_revealcount AS r (person_id, day, count) VALUES (%s, %s, 1) "
            "ON CONFLICT (person_id, day) DO UPDATE SET count = r.count + 1 RETURNING count",
            [person, day_of(at)],
        )
        return int(cursor.fetchone()[0])


def _tell_the_watchers(person: int, quota: int, viewer: Viewer, at: datetime) -> None:
    publish([RevealQuotaReached(subject=f"person:{person}", actor=viewer.actor, at=at, quota=quota)])
    sentence = Sentence(
        zh=f"人员 {person} 今天查看联系方式已达上限 {quota} 条，请核实。",
        en=f"Person {person} reached today's limit of {quota} revealed contacts. Please look into it.",
    )
    watchers = holders_of({"security_admin", "auditor"}, at)
    notify([NewNotice(person_id=w, sentence=sentence, kind="reveal_quota") for w in watchers], at=at)


def set_wipe(*, ends: Mapping[int, datetime | None]) -> None:
    """For each contact start the clock that destroys it, from the end of its case; None stops it (open again)."""
    days = int(getattr(settings, "GRIDLOOP_KEEP_CONTACT_DAYS", KEEP_DAYS))
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE registry_reportercontact AS c SET wipe_after = v.at + make_interval(days => %s) "
            "FROM unnest(%s::bigint[], %s::timestamptz[]) AS v(id, at) WHERE c.id = v.id AND c.wiped_at IS NULL",
            [days, list(ends), list(ends.values())],
        )


def wipe_due(*, at: datetime, limit: int = 1000) -> int:
    """Destroy the keys and the data of contacts whose time is over; the number destroyed. For a timer."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(
            "UPDATE registry_reportercontact SET key = NULL, sealed = NULL, wiped_at = %(at)s WHERE id IN ("
            "SELECT id FROM registry_reportercontact WHERE wiped_at IS NULL AND wipe_after <= %(at)s "
            "ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED) RETURNING id",
            {"at": at, "limit": limit},
        )
        wiped = sorted(row[0] for row in cursor.fetchall())
        if wiped:
            publish([ContactsWiped(subject="registry:0", actor=SYSTEM.actor, at=at, contacts=wiped)])
    return len(wiped)


def give_out(*, contact_id: int, report_id: int, viewer: Viewer, at: datetime) -> Contact | None:
    """A reporter's own name and phone, for the reporter; None once destroyed. That it was given out is recorded.

    The caller has made sure, by the report's secret, that it is the reporter who asks.
    """
    row = ReporterContact.objects.filter(id=contact_id).first()
    if row is None or row.key is None or row.sealed is None:
        return None
    name, phone = vault.unseal(bytes(row.key), bytes(row.sealed))
    with transaction.atomic():
        publish([DataGivenOut(subject=f"report:{report_id}", actor=viewer.actor, at=at)])
    return Contact(contact_id, name, phone)


def wipe_on_request(*, contact_id: int, report_id: int, viewer: Viewer, at: datetime) -> bool:
    """Destroy a reporter's key and data now, because the reporter says so; whether there was anything to destroy.

    The caller has made sure, by the report's secret, that it is the reporter who asks.
    """
    with transaction.atomic():
        there = ReporterContact.objects.filter(id=contact_id, wiped_at=None)
        if not there.update(key=None, sealed=None, wiped_at=at):
            return False
        publish([DeletionAsked(subject=f"report:{report_id}", actor=viewer.actor, at=at)])
        publish([ContactsWiped(subject="registry:0", actor=viewer.actor, at=at, contacts=[contact_id])])
    return True


def _refused(zh: str, en: str, status: int, code: str) -> Refused:
    return Refused(Sentence(zh=zh, en=en), status=status, code=code)
