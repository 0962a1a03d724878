"""What can happen to a citizen's data. No event carries the data."""

from __future__ import annotations

from dataclasses import dataclass

from gridloop.kernel.events import Happened
from gridloop.kernel.language import Sentence


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


@dataclass(frozen=True, slots=True, kw_only=True)
class DataGivenOut(Happened):
    """A reporter asked, by the report's secret, for all that is kept of them, and got it (subject ``report:id``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeletionAsked(Happened):
    """A reporter asked, by the report's secret, that name and phone be destroyed now (subject ``report:id``)."""


SAID: dict[str, Sentence] = {
    "ContactRevealed": Sentence(
        zh="{who}查看了反映人的联系方式。", en="{who} looked at the name and number of a reporter."
    ),
}
"""What an event on a case says to who may look as well (see `cases.events.SAID`)."""
