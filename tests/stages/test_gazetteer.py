"""The names of places that triage knows follow the map and the list."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from gridloop.discover.queries import gazetteer
from gridloop.kernel import clock
from gridloop.standard import queries as standard
from gridloop.territory.actions import draw_areas
from gridloop.territory.rules.places import NamedPlace, write_places
from tests import build

pytestmark = pytest.mark.django_db


def where(name: str) -> str:
    place = gazetteer().find([f"{name}门口有垃圾"])[0]
    return place.region_code if place else ""


def test_places_follow_a_redrawn_map_and_a_changed_list(tmp_path: Path, settings: Any) -> None:
    build.district()
    settings.GRIDLOOP_DISTRICTS = tmp_path
    path = tmp_path / standard.current().district / "gazetteer.csv"
    path.parent.mkdir(exist_ok=True)
    garden = NamedPlace("银杏花园", (), "compound", build.WEST + build.SIDE / 2, build.SOUTH + build.SIDE / 2)
    write_places(path, [garden])
    assert where("银杏花园") == "410104001001B001"
    assert gazetteer() is gazetteer(), "it is read again for every batch"
    swapped = [build._region(f"410104001001B00{2 - row}", 0, row, 1, 1, "换过的网格") for row in (0, 1)]
    draw_areas(regions=swapped, actor="system", at=clock.now())
    assert where("银杏花园") == "410104001001B002"
    write_places(path, [garden, NamedPlace("白桦家园", (), "compound", garden.lon, garden.lat)])
    os.utime(path, (1, 1))
    assert where("白桦家园") == "410104001001B002"
