"""What may be seen of a reporter: the masked form. The whole form has its own door, `actions.reveal_contact`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gridloop.people.viewer import Viewer
from gridloop.registry import rules, vault
from gridloop.registry.models import ReporterContact


@dataclass(frozen=True, slots=True)
class MaskedContact:
    """A reporter as everybody who sees the case sees them: ``王*``, ``138****1234``."""

    id: int
    name: str
    phone: str
    secret: bool
    """The reporter asked for secrecy: name and phone stay empty for who may not see even the masked form."""
    wiped: bool


def masked(ids: Iterable[int], viewer: Viewer) -> dict[int, MaskedContact]:
    """The masked contacts by id, in one query. The caller has made sure that the viewer sees their cases."""
    if viewer.kind == "anonymous":
        return {}
    rows = ReporterContact.objects.filter(id__in=set(ids))
    return {row.pk: _masked(row, row.secret and not viewer.may("reveal_secret_contact")) for row in rows}


def own_masked(contact_id: int) -> MaskedContact | None:
    """The masked contact for the reporter themselves. The caller has made sure, by the report's secret, who asks."""
    row = ReporterContact.objects.filter(id=contact_id).first()
    return _masked(row, False) if row is not None else None


def _masked(row: ReporterContact, hidden: bool) -> MaskedContact:
    name = phone = ""
    if row.key is not None and row.sealed is not None and not hidden:
        name, phone = vault.unseal(bytes(row.key), bytes(row.sealed))
    return MaskedContact(row.pk, rules.mask_name(name), rules.mask_phone(phone), row.secret, row.wiped_at is not None)
