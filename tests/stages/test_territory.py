"""The map in the database: drawn, located, retired, replaced."""

from __future__ import annotations

import threading
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes
from gridloop.kernel.models import Event
from gridloop.territory import actions, queries
from gridloop.territory.models import FormerBoundary, MapEdition, Region, UnitCell
from gridloop.territory.rules.codes import Level, next_codes
from gridloop.territory.rules.places import read_places
from gridloop.territory.synthetic import DrawnRegion, areas_from_points

FOLDER = Path(__file__).parents[2] / "districts" / "410104"
GRID = "410104002002B001"


def draw() -> actions.Counts:
    return actions.draw_district(folder=FOLDER, actor="system", at=clock.now())


def draw_boxes(**west: float) -> None:
    """A small private district: streets 990001001 … as boxes of 0.1 degrees, by their western border."""
    regions = [DrawnRegion(code="990001", name="区", shape=shapely.box(0, 0, 10, 10))]
    regions += [
        DrawnRegion(code=f"990001{n[1:]}", name=n, shape=shapely.box(w, 0, w + 0.1, 1)) for n, w in west.items()
    ]
    actions.draw_areas(regions=regions, actor="system", at=clock.now())


@pytest.fixture
def district(db: None) -> None:
    draw()


@pytest.mark.usefixtures("district")
class TestTheDrawnDistrict:
    def test_a_community_name_is_located_in_its_community(self) -> None:
        places = [p for p in read_places(FOLDER / "gazetteer.csv") if p.kind == "community"]
        codes = queries.locate([p.lon for p in places], [p.lat for p in places])
        names = queries.names_of([c[:12] for c in codes])
        assert [names[c[:12]] for c in codes] == [p.name for p in places]

    def test_everything_on_the_map_is_labelled_synthetic(self) -> None:
        assert not Region.objects.filter(synthetic=False).exists()
        assert not UnitCell.objects.filter(synthetic=False).exists()
        event = Event.objects.get(name="MapChanged")
        assert (event.subject, event.data["source"]) == ("district:410104", "draw_district")
        assert event.data["created"] == Region.objects.count() + UnitCell.objects.count()

    def test_drawn_again_it_stays_the_same_edition(self) -> None:
        before = MapEdition.objects.get().token
        assert draw().unchanged == Region.objects.count() + UnitCell.objects.count()
        assert MapEdition.objects.get().token == before

    def test_a_subtree_is_what_begins_with_its_code(self) -> None:
        street = list(queries.subtree("410104002", level=Level.COMMUNITY).values_list("code", flat=True))
        assert street == [f"410104002{n:03d}" for n in range(1, 7)]
        assert queries.subtree("410104002").count() > 6 * (1 + 3 + 3 * 5)

    def test_who_runs_a_region_is_not_who_counts_it(self) -> None:
        assert queries.managers_of(["410104570001", GRID, "410104570"]) == ["zhengdong", "", "zhengdong"]
        assert Region.objects.get(code="410104570").stat_parent == "410104"

    def test_unit_cells_are_joined_to_their_community(self) -> None:
        cell = UnitCell.objects.filter(code__startswith="410104002002").first()
        assert cell is not None
        assert cell.shape is not None
        point = shapely.point_on_surface(cell.shape)
        assert queries.locate_cells([point.x], [point.y]).tolist() == [cell.code]
        assert queries.locate([point.x], [point.y])[0].startswith(cell.community_code)

    def test_a_hundred_thousand_points_cost_one_tiny_query(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(queries, "CHECK_SECONDS", 60.0)  # the machine may be busy
        random = np.random.default_rng(1)
        x, y = random.uniform(113.66, 113.78, 100_000), random.uniform(34.66, 34.77, 100_000)
        queries.locate(x[:1], y[:1])
        queries.forget_map()
        with CaptureQueriesContext(connection) as asked:
            queries.locate(x, y)
            queries.locate(x, y)
        assert len(asked) == 1
        assert "territory_mapedition" in asked[0]["sql"]

    def test_a_real_map_is_never_replaced_by_an_invented_one(self) -> None:
        Region.objects.filter(code="410104").update(synthetic=False)
        with pytest.raises(Mistakes, match="410104"):
            draw()

    def test_an_invented_map_makes_room_for_a_real_one_only_when_told(self, tmp_path: Path) -> None:
        file = tmp_path / "real.geojson"
        queries.export_geojson(file, "410104", level="street")
        real = file.read_text(encoding="utf-8").replace('"synthetic": true', '"synthetic": false')

        def load(text: str = real, **options: Any) -> actions.ImportResult:
            file.write_text(text, encoding="utf-8")
            return actions.import_regions(file=file, datum="wgs84", actor="system", at=clock.now(), **options)

        before = Region.objects.count()
        assert "is synthetic" in load().mistakes[0].wrong.en
        assert load(real.replace("410104570", "410104000"), replace_synthetic=True).mistakes
        assert Region.objects.count() == before
        assert len(queries.locate([113.70], [34.74])[0]) == 19
        result = load(replace_synthetic=True)
        assert result.mistakes == []
        assert result.counts == actions.Counts(redrawn=14)
        assert Region.objects.count() == 170
        assert not UnitCell.objects.exists()
        assert len(queries.locate([113.70], [34.74])[0]) == 9
        assert not Region.objects.filter(level="street", synthetic=True).exists()
        assert not FormerBoundary.objects.exists()


@pytest.mark.django_db
class TestRetiring:
    def test_a_retired_region_takes_its_subtree_along_and_is_no_longer_found(self) -> None:
        draw()
        community = Region.objects.get(code="410104002002")
        point = shapely.point_on_surface(community.shape)
        with clock.frozen(datetime(2030, 1, 1, tzinfo=UTC)):
            below = Region.objects.filter(code__startswith=community.code).count()
            cells = UnitCell.objects.filter(code__startswith=community.code).count()
            ended = actions.retire_regions(
                codes=[community.code], on=date(2030, 1, 5), actor="person:1", at=clock.now()
            )
            assert ended == below + cells
            assert queries.locate([point.x], [point.y])[0].startswith(community.code)
        with clock.frozen(datetime(2030, 1, 4, 17, tzinfo=UTC)):  # already the fifth in the district
            assert queries.locate([point.x], [point.y]).tolist() == ["410104002"]
            assert queries.locate_cells([point.x], [point.y]).tolist() == [""]
            used = Region.objects.filter(code__startswith="410104002").values_list("code", flat=True)
            assert "410104002002" not in next_codes("410104002", used, 5)

    def test_the_first_day_keeps_its_day_when_retired_twice(self) -> None:
        draw_boxes(s001=0.0)
        for day in (date(2020, 1, 1), date(2021, 1, 1)):
            actions.retire_regions(codes=["990001001"], on=day, actor="system", at=clock.now())
        assert Region.objects.get(code="990001001").ends_on == date(2020, 1, 1)

    def test_unknown_codes_are_all_told(self) -> None:
        with pytest.raises(Mistakes) as refused:
            actions.retire_regions(codes=["990009", "990008"], on=date(2020, 1, 1), actor="system", at=clock.now())
        assert [m.place for m in refused.value.mistakes] == ["990009", "990008"]


@pytest.mark.django_db
class TestDays:
    def test_a_region_is_found_from_its_first_day_in_the_district(self) -> None:
        draw_boxes(s001=0.0)
        Region.objects.filter(code="990001001").update(starts_on=date(2030, 3, 2))
        queries.forget_map()
        found = []
        for moment in (datetime(2030, 3, 1, 15, 59, tzinfo=UTC), datetime(2030, 3, 1, 16, 0, tzinfo=UTC)):
            with clock.frozen(moment):
                MapEdition.objects.update(token="00000000-0000-4000-8000-000000000000")
                found += queries.locate([0.05], [0.5]).tolist()
        assert found == ["990001", "990001001"]


@pytest.fixture
def quick_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "CHECK_SECONDS", 0.0)


@pytest.mark.usefixtures("committed", "quick_check")
class TestManyProcesses:
    def test_a_map_changed_elsewhere_is_noticed(self) -> None:
        draw_boxes(s001=0.0)
        assert queries.locate([0.05, 0.35], [0.5, 0.5]).tolist() == ["990001001", "990001"]

        def elsewhere() -> None:
            try:
                draw_boxes(s001=0.3)
                queries._checked_at = 1e9  # as if this process had not been told
            finally:
                connections.close_all()

        other = threading.Thread(target=elsewhere)
        other.start()
        other.join()
        queries._checked_at = -1e9
        assert queries.locate([0.05, 0.35], [0.5, 0.5]).tolist() == ["990001", "990001001"]

    def test_a_map_that_was_rolled_back_is_forgotten(self) -> None:
        from django.db import transaction

        draw_boxes(s001=0.0)
        with transaction.atomic():
            draw_boxes(s001=0.3)
            assert queries.locate([0.35], [0.5]).tolist() == ["990001001"]
            transaction.set_rollback(True)
        assert queries.locate([0.35, 0.05], [0.5, 0.5]).tolist() == ["990001", "990001001"]

    def test_two_changes_at_once_leave_one_map_and_every_old_border(self) -> None:
        draw_boxes(s001=0.0)
        borders = (0.2, 0.4, 0.6, 0.8)

        def redraw(west: float) -> None:
            try:
                draw_boxes(s001=west)
            finally:
                connections.close_all()

        threads = [threading.Thread(target=redraw, args=(w,)) for w in borders]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        region = Region.objects.get(code="990001001")
        assert region.boundary_version == 5
        assert sorted(FormerBoundary.objects.values_list("version", flat=True)) == [1, 2, 3, 4]
        assert region.west in borders


@pytest.mark.django_db
def test_a_district_made_from_points_is_stored_with_the_area_that_has_no_place() -> None:
    regions = areas_from_points(
        [-87.6, -87.7, np.nan], [41.8, 41.9, np.nan], ["Loop", "West", "Lost"], code="990001", name="Chicago"
    )
    actions.draw_areas(regions=regions, actor="system", at=clock.now())
    names = {r.code: r.name for r in Region.objects.all()}
    assert [names[c] for c in queries.locate([-87.6, -87.7], [41.8, 41.9])] == ["Loop", "West"]
    lost = Region.objects.get(name="Lost")
    assert (lost.geometry, lost.boundary_version, lost.synthetic) == (None, 0, True)
