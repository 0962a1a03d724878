"""The small district with one case in it, and everybody who may ask for it."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.conf import settings
from PIL import Image

from gridloop.cases.models import Case
from gridloop.discover.models import Report
from gridloop.handle.actions import add_evidence
from gridloop.handle.pictures import make_served_copies
from gridloop.kernel import clock
from gridloop.kernel.sealing import Sealer
from gridloop.people import access
from gridloop.people.actions import import_people, import_units
from gridloop.people.models import Membership, Person
from gridloop.people.queries import viewer_for
from gridloop.people.viewer import SYSTEM
from gridloop.registry.actions import NewContact
from gridloop.standard import queries as standard
from tests.build import DAY, _rows, district

TABLE: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "permissions.yaml").read_text(encoding="utf-8"))
CALLERS: tuple[str, ...] = tuple(TABLE["callers"])
ABSENT = {"case": "0000000000000000000", "token": "0", "evidence": "0", "colleague": "0", "contact": 0}
"""What stands in for a thing that does not exist."""


@dataclass(slots=True)
class World:
    """The small district with one case, and a token for every caller."""

    headers: dict[str, dict[str, str]]
    things: dict[str, Any]
    case_id: int


def picture() -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (40, 30), "green").save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def world(db: None) -> Iterator[World]:
    with clock.frozen(DAY):
        town = district()
        names: tuple[str, ...] = ("code", "name", "kind", "function", "region_code", "parent")
        import_units(
            rows=_rows(names, [("JD2", "另一街道", "street", "street_office", "410104002", "QZX")]),
            viewer=SYSTEM,
            at=DAY,
        )
        names = ("username", "name", "role", "unit", "region_code")
        import_people(
            rows=_rows(names, [("street2", "乙街道", "subdistrict_operator", "JD2", "410104002")]),
            viewer=SYSTEM,
            at=DAY,
        )
        case = town.case(contact=NewContact("某某", "13800000000"))
        Case.objects.filter(id=case.pk).update(state="handling", unit_id=town.units["HW"], person_id=None)
        evidence = add_evidence(case_id=case.pk, stage="before", content=picture(), viewer=town["clean1"], at=DAY)
        make_served_copies([evidence.pk])
        Sealer(settings.GRIDLOOP_DATA).seal()
        access.register_client(code="reader", name="Reader", permissions=["read_cases"], viewer=SYSTEM, at=DAY)
        colleague = town.people["clean2"]
        own_token, _ = access.issue_token(viewer=town["clean2"], person=Person.objects.get(id=colleague), at=DAY)
        things = {
            "case": case.number,
            "contact": Report.objects.get(case_id=case.pk).contact_id,
            "evidence": evidence.pk,
            "colleague": colleague,
            "post": Membership.objects.get(person_id=colleague).pk,
            "token": own_token.pk,
            "indicator": next(iter(standard.current().indicators)),
            "unit": town.units["HW"],
        }
        yield World({name: _token(name, who, town) for name, who in TABLE["callers"].items()}, things, case.pk)


def _token(name: str, who: Any, town: Any) -> dict[str, str]:
    if isinstance(who, list):
        client = access.register_client(code=name.replace("_", "-"), name=name, permissions=who, viewer=SYSTEM, at=DAY)
        text = access.issue_token(viewer=SYSTEM, client=client, at=DAY)[1]
    else:
        person = Person.objects.get(username=who)
        own = viewer_for(person, DAY)
        text = access.issue_token(viewer=own, person=person, at=DAY)[1]
    return {"Authorization": f"Bearer {text}"}
