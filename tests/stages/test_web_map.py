"""The map: tiles, places, and counts of cases that are exact for each viewer, against a real database."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from math import asinh, pi, radians, tan
from pathlib import Path
from typing import Any

import mapbox_vector_tile
import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from pytest_django import DjangoDbBlocker

from gridloop.cases import pyramid
from gridloop.cases.actions import NewCase, note_deadlines, open_cases
from gridloop.cases.models import Case, MapChange, MapPart, MapTotal
from gridloop.cases.pyramid import GROUPS, Box, View, fold, kind_of
from gridloop.cases.queries import cases_for
from gridloop.cases.rules import CoUnit
from gridloop.cases.search import CaseFilter, chosen, read_filter
from gridloop.cases.workflow import STATES
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes
from gridloop.people.models import Person
from gridloop.people.viewer import SYSTEM, Grant, Viewer
from gridloop.territory import queries as territory
from gridloop.territory.actions import draw_district, import_components
from gridloop.territory.models import Component, Scenery
from gridloop.territory.rules import tiles
from tests.build import DAY, district
from tests.stages.desk import GRID, HOUR, KIND, Desk

EVERYWHERE = Box(113.0, 34.0, 114.5, 35.5)
SHIPPED = Path(__file__).parents[2] / "districts" / "410104"


@pytest.fixture(scope="module")
def built(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Desk]:
    with django_db_blocker.unblock(), transaction.atomic(), clock.frozen(DAY):
        yield Desk(district())
        transaction.set_rollback(True)


@pytest.fixture
def desk(built: Desk, django_db_blocker: DjangoDbBlocker) -> Iterator[Desk]:
    with django_db_blocker.unblock(), transaction.atomic(), clock.frozen(DAY + HOUR):
        yield built
        transaction.set_rollback(True)


def browser(desk: Desk, username: str, lang: str = "zh") -> Client:
    client = Client(headers={"accept-language": lang})
    client.force_login(Person.objects.get(id=desk.here.people[username]))
    session = client.session
    session["since"] = session["seen"] = session["proved"] = clock.now().isoformat()
    session.save()
    return client


def look(viewer: Viewer, zoom: float = 9, wanted: CaseFilter | None = None, box: Box = EVERYWHERE) -> View:
    return pyramid.view(viewer, box, zoom, wanted or CaseFilter(), now=clock.now())


def counted(seen: View) -> dict[str, int]:
    """What a view shows, by group of states, be it in bundles or one by one."""
    counts: Counter[str] = Counter()
    for one in seen.bundles:
        counts.update(one.state)
    counts.update(kind_of(case)[0] for case in seen.cases)
    return {group: n for group, n in counts.items() if n}


def truly(viewer: Viewer) -> dict[str, int]:
    """The same, counted case by case through the one door."""
    return dict(Counter(kind_of(case)[0] for case in cases_for(viewer).filter(lon__isnull=False)))


# --- counts ----------------------------------------------------------------------------------------------------------


def bring_all(desk: Desk) -> None:
    for state in STATES:
        desk.bring(state)


def many(desk: Desk, n: int, state: str = "pending_dispatch", region: str = GRID) -> list[Case]:
    lon, lat = desk.here.place()
    given: dict[str, Any] = {"case_type": KIND, "state": state, "source": "hotline", "region_code": region}
    new = [
        NewCase(text=f"第{i}处", lon=lon + i % 40 * 1e-4, lat=lat + i // 40 * 1e-4, reported_at=DAY, **given)
        for i in range(n)
    ]
    return open_cases(new, viewer=SYSTEM, at=DAY)


def test_every_group_of_states_is_counted_as_it_is_through_each_state(desk: Desk) -> None:
    bring_all(desk)
    assert counted(look(SYSTEM)) == truly(SYSTEM)
    assert {state for states in GROUPS.values() for state in states} == set(STATES)


@pytest.mark.parametrize("zoom", [8, 10.4, 12, 13.7, 15, 17])
def test_bundles_hold_every_case_once_at_every_zoom_before_and_after_folding(
    desk: Desk, zoom: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pyramid, "SINGLES", 3)
    bring_all(desk)
    many(desk, 60)
    before = look(SYSTEM, zoom)
    assert before.bundles
    assert counted(before) == truly(SYSTEM)
    assert fold() > 0
    assert not MapChange.objects.exists()
    after = look(SYSTEM, zoom)
    assert counted(after) == truly(SYSTEM)
    assert [(b.lon, b.lat, b.n) for b in sorted(before.bundles, key=lambda b: (b.lon, b.lat))] == [
        (b.lon, b.lat, b.n) for b in sorted(after.bundles, key=lambda b: (b.lon, b.lat))
    ]


def test_a_move_is_on_the_map_at_once_and_taken_back_with_its_transaction(desk: Desk) -> None:
    case = desk.bring("pending_dispatch")
    fold()
    with transaction.atomic():
        desk.move(case, "dispatch")
        assert counted(look(SYSTEM)) == {"work": 1}
        transaction.set_rollback(True)
    assert counted(look(SYSTEM)) == {"wait": 1}


def test_the_clock_of_a_case_colours_it_when_the_deadline_is_noticed(desk: Desk) -> None:
    case = desk.bring("handling")
    assert kind_of(case)[1] == "green"
    late = DAY + timedelta(days=9)
    with clock.frozen(late):
        note_deadlines(at=late)
        seen = look(SYSTEM, wanted=CaseFilter(clock=("red",)))
        assert [one.number for one in seen.cases] == [case.number]
        assert not look(SYSTEM, wanted=CaseFilter(clock=("green",))).total


def test_a_case_that_is_put_elsewhere_leaves_no_ghost(desk: Desk) -> None:
    case = desk.bring("pending_filing")
    fold()
    desk.move(case, "correct", lon=113.9, lat=34.9, region_code="410104002")
    west = Box(113.0, 34.0, 113.85, 35.5)
    assert look(SYSTEM, box=west).total == 0
    assert look(SYSTEM).total == 1


def test_what_is_folded_twice_is_counted_once(desk: Desk) -> None:
    many(desk, 5)
    assert fold() > 0
    assert fold() == 0
    assert sum(MapTotal.objects.filter(level=14).values_list("n", flat=True)) == 5
    assert sum(MapPart.objects.filter(level=14).values_list("n", flat=True)) == 5


def test_nobody_counts_what_they_do_not_see(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Region, unit, helping and name: each viewer's count is that of the one door, at any zoom, folded or not."""
    monkeypatch.setattr(pyramid, "SINGLES", 0)
    bring_all(desk)
    many(desk, 7, region="410104002003B004")
    helped = desk.bring("handling")
    desk.move(helped, "add_co_units", co_units=(CoUnit(unit_id=desk.here.units["SZ"], task="挖开路面"),))
    people = [name for name in desk.here.people if desk.here[name].grants]
    viewers = {name: desk.here[name] for name in people}
    viewers["nobody"] = Viewer("person", 0)
    unit = desk.here.units["HW"]
    viewers["of a micro-grid"] = Viewer("person", 0, (Grant("grid_worker", unit, frozenset({unit}), f"{GRID}001"),))
    seen_something = 0
    for _ in range(2):
        for name, viewer in viewers.items():
            for zoom in (9, 13, 16):
                assert counted(look(viewer, zoom)) == truly(viewer), name
        seen_something = sum(bool(truly(viewer)) for viewer in viewers.values())
        fold()
    assert 3 < seen_something < len(viewers)


def test_the_same_filter_counts_the_same_on_the_map_and_in_the_list(desk: Desk) -> None:
    bring_all(desk)
    for query in (
        CaseFilter(open=True), CaseFilter(open=False), CaseFilter(clock=("paused",)), CaseFilter(region=GRID),
        CaseFilter(state=("dispatched", "handling")), CaseFilter(state=("handling",)), CaseFilter(type=(KIND,)),
        CaseFilter(source=("hotline",), open=True), CaseFilter(q="垃圾"), CaseFilter(stage=("handle",)),
    ):  # fmt: skip
        wanted = set(chosen(SYSTEM, query, now=clock.now()).values_list("number", flat=True))
        assert {case.number for case in look(SYSTEM, wanted=query).cases} == wanted, query


def test_an_area_drawn_on_the_map_is_a_filter_of_the_list(desk: Desk) -> None:
    cases = many(desk, 30)
    lon, lat = desk.here.place()
    east = read_filter(f"area={lon + 0.0995e-2},{lat - 0.001},{lon + 0.1},{lat + 0.001}")
    inside = {case.number for case in cases if case.lon is not None and case.lon > lon + 0.0995e-2}
    assert 0 < len(inside) < len(cases)
    assert {case.number for case in chosen(SYSTEM, east, now=clock.now())} == inside
    triangle = f"area={lon - 0.0001},{lat - 0.001},{lon + 0.1},{lat - 0.001},{lon - 0.0001},{lat + 0.001}"
    assert 0 < chosen(SYSTEM, read_filter(triangle), now=clock.now()).count() <= len(cases)
    assert {case.number for case in look(SYSTEM, wanted=east).cases} == inside
    assert read_filter(east.query()) == east
    page = browser(desk, "inspect").get(f"/console/cases?{east.query()}")
    assert page.status_code == 200
    for wrong in ("1,2,3", "a,b,c,d", "2,2,1,1", "nan,1,2,3", "200,0,210,1"):
        with pytest.raises(Mistakes):
            read_filter(f"area={wrong}")


def test_a_view_asks_at_most_two_questions_of_the_database(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    many(desk, 30)
    for viewer in (SYSTEM, desk.here["worker1"], desk.here["clean1"]):
        with CaptureQueriesContext(connection) as few:
            look(viewer)
        assert len(few) <= 2
    monkeypatch.setattr(pyramid, "SINGLES", 3)
    with CaptureQueriesContext(connection) as bundled:
        assert look(SYSTEM).bundles
    assert len(bundled) == 1


def test_warmth_counts_by_day_of_the_district_what_was_opened(desk: Desk) -> None:
    many(desk, 12)
    today = DAY.date()
    days = pyramid.warmth(
        SYSTEM, EVERYWHERE, 12, CaseFilter(since=today, until=today), now=clock.now(), zone="Asia/Shanghai"
    )
    nobody = Viewer("person", 0)
    period = CaseFilter(since=today, until=today)
    assert pyramid.warmth(nobody, EVERYWHERE, 12, period, now=clock.now(), zone="Asia/Shanghai") == {}
    assert {day: sum(n for _, _, n in squares) for day, squares in days.items()} == {today.isoformat(): 12}


# --- pages -----------------------------------------------------------------------------------------------------------


def test_the_map_shows_the_cases_of_a_view_without_a_word_of_whoever_reported(desk: Desk) -> None:
    case = desk.bring("handling", address="测试路口")
    answer = browser(desk, "clean1").get("/map/cases", {"bbox": "113,34,115,36", "zoom": "11", "open": "yes"})
    assert answer.status_code == 200
    told = answer.json()
    assert told["total"] == 1
    assert told["cases"][0]["number"] == case.number
    assert told["cases"][0]["clock"] == "green"
    assert not {"text", "contact", "reporter", "person"} & told["cases"][0].keys()


@pytest.mark.parametrize("box", ["", "1,2,3", "2,2,1,1", "nan,1,2,3", "a,b,c,d"])
def test_a_view_that_is_none_is_refused_in_one_sentence(desk: Desk, box: str) -> None:
    answer = browser(desk, "clean1").get("/map/cases", {"bbox": box}, headers={"accept": "application/json"})
    assert answer.status_code == 422
    assert "bbox" in answer.json()["sentence"]


def test_warmth_refuses_a_period_without_end(desk: Desk) -> None:
    client = browser(desk, "inspect")
    given = {"bbox": "113,34,115,36"}
    json = {"accept": "application/json"}
    assert client.get("/map/heat", given, headers=json).status_code == 422
    long = given | {"since": "2020-01-01", "until": "2026-01-01"}
    assert client.get("/map/heat", long, headers=json).status_code == 422


def test_the_brief_of_a_grid_names_who_answers_and_every_number_leads_to_its_cases(desk: Desk) -> None:
    desk.bring("handling")
    desk.bring("closed")
    page = browser(desk, "inspect").get(f"/map/card/{GRID}").content.decode()
    assert Person.objects.get(id=desk.here.people["worker1"]).name in page
    assert f"/console/cases?open=yes&amp;region={GRID}" in page
    assert "<strong>1</strong>" in page
    assert browser(desk, "inspect").get("/map/card/999999").status_code == 404


def test_the_page_takes_the_filter_of_the_list_in_its_address(desk: Desk) -> None:
    page = browser(desk, "clean1").get("/map/?clock=red&center=113.7,34.7&zoom=13").content.decode()
    assert 'cases="clock=red"' in page
    assert "/console/cases?clock=red" in page
    assert 'cases="open=yes"' in browser(desk, "clean1").get("/map/").content.decode()


# --- ground ----------------------------------------------------------------------------------------------------------


def tile_over(lon: float, lat: float, z: int) -> tuple[int, int]:
    return int((lon + 180) / 360 * 2**z), int((1 - asinh(tan(radians(lat))) / pi) / 2 * 2**z)


def test_a_tile_is_kept_for_ever_by_the_edition_of_the_map_and_no_longer(desk: Desk) -> None:
    lon, lat = desk.here.place()
    x, y = tile_over(lon, lat, 13)
    client = Client()
    token = client.get("/map/settings").json()["edition"]
    answer = client.get(f"/map/tiles/{token}/13/{x}/{y}.mvt")
    assert "immutable" in answer["Cache-Control"]
    layers = mapbox_vector_tile.decode(gzip.decompress(answer.content))
    assert {"street", "community", "grid"} <= layers.keys()
    assert GRID in {f["properties"]["code"] for f in layers["grid"]["features"]}
    assert client.get(f"/map/tiles/old/13/{x}/{y}.mvt")["Cache-Control"] == "no-cache"
    again = client.get(f"/map/tiles/{token}/13/{x}/{y}.mvt", headers={"If-None-Match": answer["ETag"]})
    assert again.status_code == 304
    assert client.get(f"/map/tiles/{token}/13/0/0.mvt").status_code == 204
    assert client.get(f"/map/tiles/{token}/3/99/0.mvt").status_code == 404


def test_a_place_is_told_with_its_regions_and_in_every_datum(desk: Desk) -> None:
    lon, lat = desk.here.place()
    told = Client().get("/map/where", {"lon": str(lon), "lat": str(lat)}).json()
    assert told["region"].startswith(GRID)
    assert [step["level"] for step in told["path"]][:3] == ["district", "street", "community"]
    assert set(told["datums"]) == {"wgs84", "cgcs2000", "gcj02", "bd09"}
    assert told["datums"]["gcj02"] != told["datums"]["wgs84"]
    assert Client().get("/map/where", {"lon": "nan", "lat": "1"}).status_code == 422


def test_the_invented_ground_of_the_sample_district_is_drawn_once_and_says_so(db: Any) -> None:
    with clock.frozen(DAY):
        draw_district(folder=SHIPPED, actor="system", at=DAY)
        kinds = set(Scenery.objects.values_list("kind", flat=True))
        assert kinds == {"road", "water", "green", "building"}
        assert not Component.objects.filter(synthetic=False).exists()
        assert territory.is_synthetic()
        before = (territory.edition(), Scenery.objects.count(), Component.objects.count())
        draw_district(folder=SHIPPED, actor="system", at=DAY)
        assert (territory.edition(), Scenery.objects.count(), Component.objects.count()) == before
        west, south, east, north = territory.extent() or (0, 0, 0, 0)
        lamp = Component.objects.filter(kind="C0137").order_by("code")[0]
        x, y = tile_over(lamp.lon, lamp.lat, 16)
        found = mapbox_vector_tile.decode(gzip.decompress(territory.tile(territory.edition(), 16, x, y)))
        assert lamp.code in {f["properties"]["code"] for f in found["component"]["features"]}
        assert "road" in found
        assert west < lamp.lon < east
        assert south < lamp.lat < north


def test_tiles_lie_where_the_web_expects_them() -> None:
    box = tiles.box_of(1, 1, 0, margin=0)
    assert (round(box.west), round(box.south), round(box.east), round(box.north, 2)) == (0, 0, 180, 85.05)
    assert not tiles.exists(2, 4, 0)
    assert not tiles.exists(17, 0, 0)


# --- components ------------------------------------------------------------------------------------------------------

SURVEY = """ObjID,ObjName,PointX,PointY,ObjState,ORDate,DeptCode1
4101040137000001,路灯一,{lon},{lat},完好,2020-05-01,U-LIGHT
4101040104000001,雨水箅子一,{lon},{lat},破损,,
"""


def survey(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_a_survey_of_components_is_imported_once_and_lies_in_its_grid(desk: Desk, tmp_path: Path) -> None:
    lon, lat = desk.here.place()
    file = survey(tmp_path / "部件.csv", SURVEY.format(lon=lon, lat=lat))
    before = territory.edition()
    done = import_components(file=file, datum="wgs84", actor="system", at=DAY)
    assert (done.mistakes, done.counts.created) == ([], 2)
    assert territory.edition() != before
    lamp = Component.objects.get(code="4101040137000001")
    assert (lamp.kind, lamp.name, lamp.condition, lamp.synthetic) == ("C0137", "路灯一", "完好", False)
    assert lamp.region_code.startswith(GRID)
    again = import_components(file=file, datum="wgs84", actor="system", at=DAY)
    assert (again.counts.created, again.counts.edited, again.counts.unchanged) == (0, 0, 2)
    shifted = import_components(file=file, datum="gcj02", actor="system", at=DAY)
    assert shifted.counts.edited == 2


def test_a_survey_with_mistakes_stores_nothing_and_names_them_all(desk: Desk, tmp_path: Path) -> None:
    bad = "code,name,lon,lat,状态\n4101040137000001,甲,113.7,34.7,好\nx,乙,113.7,34.7,\n4101040137000003,丙,东,34.7,\n"
    done = import_components(file=survey(tmp_path / "a.csv", bad), datum="wgs84", actor="system", at=DAY)
    assert [m.place for m in done.mistakes] == [
        "row 2, condition", "row 3, code", "row 3, kind", "row 4, lon, lat",
    ]  # fmt: skip
    assert not Component.objects.exists()
    assert import_components(file=tmp_path / "a.csv", datum=None, actor="system", at=DAY).mistakes
    no_place = import_components(
        file=survey(tmp_path / "b.csv", "code,name\n1,2\n"), datum="wgs84", actor="system", at=DAY
    )
    assert "lon" in no_place.mistakes[0].wrong.en


def test_points_of_geojson_are_components_too(desk: Desk, tmp_path: Path) -> None:
    lon, lat = desk.here.place()
    feature = {
        "type": "Feature",
        "properties": {"code": "4101040177000001", "name": "消火栓"},
        "geometry": {"type": "Point", "coordinates": [lon, lat]},
    }
    text = json.dumps({"type": "FeatureCollection", "features": [feature]}, ensure_ascii=False)
    done = import_components(file=survey(tmp_path / "a.geojson", text), datum="cgcs2000", actor="system", at=DAY)
    assert done.counts.created == 1
    assert Component.objects.get().kind == "C0177"
