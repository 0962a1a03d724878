"""What can happen to a citizen's data. No event carries the data."""

from __future__ import annotations

from dataclasses import dataclass

from gridloop.kernel.events import Happened


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactRevealed(Happened):
    """A person looked at a reporter's name and phone (subject ``case:id``), and said why."""

    contact_id: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RevealQuotaReached(Happened):
    """A person asked for more contacts than one may see in a day (subject ``person:id``)."""

    quota: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactsWiped(Happened):
    """Reporters' data was destroyed because its time was over (subject ``registry:0``)."""

    contacts: list[int]
