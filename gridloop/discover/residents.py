"""What a resident may ask about the own report. The report's 128-bit secret proves who asks, and nothing else does."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gridloop.discover.models import Report
from gridloop.kernel import clock
from gridloop.kernel.models import Event
from gridloop.people.viewer import ANONYMOUS
from gridloop.registry.actions import give_out, wipe_on_request
from gridloop.registry.queries import own_masked

MAX_WORDS = 2_000
"""Characters in which a resident tells what happened."""


def report_of_link(secret: str) -> Report | None:
    """The report of whoever holds its secret link; None for any other word. Found by the hash, the only thing kept."""
    if not secret or len(secret) > 64:
        return None
    return Report.objects.filter(secret=hashlib.sha256(secret.encode()).hexdigest()).first()


def report_by_number(number: str) -> Report | None:
    """A report by its ticket number, as it is read out or typed: for its state alone, never for its words."""
    return Report.objects.filter(number=number.strip().upper().replace(" ", "")[:24]).first()


@dataclass(frozen=True, slots=True)
class Known:
    """What is kept of the person behind a report."""

    named: bool
    """Whether a name or a phone came with it."""
    name: str
    """Masked."""
    phone: str
    """Masked."""
    secret: bool
    wiped: bool


def known_of(report: Report) -> Known:
    """What is kept of the person, masked."""
    contact = own_masked(report.contact_id) if report.contact_id is not None else None
    if contact is None:
        return Known(False, "", "", False, False)
    return Known(True, contact.name, contact.phone, contact.secret, contact.wiped)


def refusal_of(report: Report) -> str:
    """Why a person decided that the report is no case, in that person's words; "" if nobody did."""
    if report.state != Report.State.REFUSED:
        return ""
    told = Event.objects.filter(subject=f"report:{report.pk}", name="ReportRefused").order_by("-id").first()
    return str(told.data.get("reason", "")) if told is not None else ""


def all_that_is_kept(report: Report, *, at: datetime | None = None) -> dict[str, Any]:
    """All that is kept of a report and of its person, whole, for the person. That it was given out is recorded."""
    contact = None
    if report.contact_id is not None:
        contact = give_out(contact_id=report.contact_id, report_id=report.pk, viewer=ANONYMOUS, at=at or clock.now())
    return {
        "number": report.number,
        "state": report.state,
        "channel": report.channel,
        "title": report.title,
        "text": report.text,
        "address": report.address,
        "longitude": report.lon,
        "latitude": report.lat,
        "case_type": report.case_type,
        "reported_at": report.reported_at,
        "received_at": report.received_at,
        "settled_at": report.settled_at,
        "photographs": len(report.pictures),
        "me_too_of": report.same_as,
        "extra": report.extra,
        "name": contact.name if contact else None,
        "phone": contact.phone if contact else None,
    }


def forget_reporter(report: Report, *, at: datetime | None = None) -> bool:
    """Destroy name and phone of the report's person now; whether there was anything. The report itself stays."""
    if report.contact_id is None:
        return False
    return wipe_on_request(contact_id=report.contact_id, report_id=report.pk, viewer=ANONYMOUS, at=at or clock.now())
