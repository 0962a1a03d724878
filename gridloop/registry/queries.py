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
    found = {}
    for row in ReporterContact.objects.filter(id__in=set(ids)):
        name = phone = ""
        hidden = row.secret and not viewer.may("reveal_secret_contact")
        if row.key is not None and row.sealed is not None and not hidden:
            name, phone = vault.unseal(bytes(row.key), bytes(row.sealed))
        found[row.pk] = MaskedContact(
            row.pk, rules.mask_name(name), rules.mask_phone(phone), row.secret, row.wiped_at is not None
        )
    return found
