"""The invented staff of the sample district."""

from __future__ import annotations

from datetime import date

import pytest

from gridloop.gateways.demo.staff import hire
from gridloop.kernel import clock
from gridloop.kernel.tables import open_table
from gridloop.people.actions import import_units
from gridloop.people.models import Membership, Person
from gridloop.people.queries import vacancies
from gridloop.people.roles import ROLES
from gridloop.people.viewer import SYSTEM
from gridloop.territory import queries as territory
from gridloop.territory.actions import draw_district
from gridloop.territory.rules.codes import Level
from tests.build import ROOT

pytestmark = pytest.mark.django_db
DISTRICT = ROOT / "districts" / "410104"


def test_every_grid_of_the_sample_district_has_one_leader_and_a_worker_and_nobody_is_real() -> None:
    now = clock.now()
    draw_district(folder=DISTRICT, actor=SYSTEM.actor, at=now)
    with open_table(DISTRICT / "units.csv") as table:
        import_units(rows=table.rows, viewer=SYSTEM, at=now)
    codes = hire(since=date(2026, 1, 1), at=now)
    grids = list(territory.subtree("", level=Level.GRID).values_list("code", flat=True))
    assert len(grids) > 100
    assert vacancies(grids) == []
    assert not Person.objects.filter(synthetic=False).exists()
    assert set(Membership.objects.values_list("role", flat=True)) == set(ROLES)
    assert len(codes) == Person.objects.count()
    assert hire(since=date(2026, 1, 1), at=now) == {}
