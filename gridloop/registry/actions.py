"""The one door to what identifies a citizen: remember, reveal, wipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gridloop.registry.models import ReporterContact


@dataclass(frozen=True, slots=True)
class NewContact:
    """How a reporter can be reached; kept sealed."""

    name: str = ""
    phone: str = ""
    secret: bool = False


def remember_contacts(contacts: Sequence[NewContact], *, at: datetime) -> list[int]:
    """Seal and store contacts; returns their ids in order."""
    rows = ReporterContact.objects.bulk_create(ReporterContact(created_at=at, secret=c.secret) for c in contacts)
    return [row.id for row in rows]
