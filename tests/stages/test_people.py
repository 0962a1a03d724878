"""Units, posts and who is responsible for what."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import IntegrityError, transaction

from gridloop.kernel import clock
from gridloop.kernel.bulk import insert_rows
from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.language import Sentence
from gridloop.kernel.models import Event
from gridloop.kernel.tables import Row
from gridloop.people import actions, queries
from gridloop.people.models import Membership, Notice, Person, Unit
from gridloop.people.viewer import SYSTEM

pytestmark = pytest.mark.django_db
AT = datetime(2026, 11, 16, 2, 0, tzinfo=UTC)

UNITS = """code,name,kind,function,parent,region_code
district,District office,district,,,410104
street1,Street one,street,street_office,district,410104001
street2,Street two,street,street_office,district,410104002
sanitation,Sanitation,department,sanitation,district,
crew,Night crew,department,sanitation,sanitation,
"""
PEOPLE = """username,name,role,unit,region_code
wang,王一,grid_worker,street1,410104001001B001
li,李二,grid_worker,street1,410104001001
zhang,张三,grid_worker,street1,
zhao,赵四,grid_leader,street1,410104001001B001
chen,陈五,department_handler,sanitation,
chen,陈五,inspector,district,
gu,顾六,department_handler,crew,410104002
"""


def rows(text: str) -> list[Row]:
    head, *lines = [line.split(",") for line in text.strip().splitlines()]
    return [Row(n, dict(zip(head, cells, strict=True))) for n, cells in enumerate(lines, 2)]


@pytest.fixture
def staff() -> dict[str, int]:
    actions.import_units(rows=rows(UNITS), viewer=SYSTEM, at=AT)
    actions.import_people(rows=rows(PEOPLE), viewer=SYSTEM, at=AT)
    return dict(Person.objects.values_list("username", "id"))


def unit(code: str) -> int:
    return Unit.objects.get(code=code).pk


def test_a_viewer_holds_todays_posts_with_every_unit_below_and_the_region_of_the_unit(
    staff: dict[str, int], django_assert_num_queries: object
) -> None:
    with django_assert_num_queries(1):  # type: ignore[operator]
        viewer = queries.viewer_for(staff["chen"], AT)
    by_role = {g.role: g for g in viewer.grants}
    assert by_role["department_handler"].unit_ids == {unit("sanitation"), unit("crew")}
    assert len(by_role["inspector"].unit_ids) == 5
    assert by_role["inspector"].region_code == "410104"
    assert viewer.may("hand_back")
    assert viewer.may("check")
    assert not viewer.may("file")
    assert queries.viewer_for(staff["zhang"], AT).grants[0].region_code == "410104001"


def test_a_post_counts_from_its_first_day_to_its_end_in_the_districts_zone(staff: dict[str, int]) -> None:
    Membership.objects.filter(person_id=staff["wang"]).update(starts_on=date(2026, 11, 16), ends_on=date(2026, 11, 18))
    seen = {
        hours: bool(
            queries.viewer_for(
                staff["wang"], datetime(2026, 11, 15, 15, 59, tzinfo=UTC) + timedelta(hours=hours)
            ).grants
        )
        for hours in (0, 1, 48, 49)
    }
    assert seen == {0: False, 1: True, 48: True, 49: False}


def test_a_disabled_person_may_do_nothing(staff: dict[str, int]) -> None:
    actions.disable_person(person_id=staff["chen"], reason="left the office", viewer=SYSTEM, at=AT)
    assert queries.viewer_for(staff["chen"], AT).grants == ()
    assert not queries.viewer_for(staff["chen"], AT).permissions


def test_many_viewers_take_one_query(staff: dict[str, int], django_assert_num_queries: object) -> None:
    with django_assert_num_queries(1):  # type: ignore[operator]
        viewers = queries.viewers_for(staff.values(), AT)
    assert viewers == {person: queries.viewer_for(person, AT) for person in staff.values()}


def test_the_deepest_scope_answers_for_a_place(staff: dict[str, int], django_assert_num_queries: object) -> None:
    street = unit("street1")
    with django_assert_num_queries(1):  # type: ignore[operator]
        found = queries.persons_for(
            [
                (street, "grid_worker", "410104001001B001"),
                (street, "grid_worker", "410104001001B001004"),
                (street, "grid_worker", "410104001001B002"),
                (street, "grid_worker", "410104001009B001"),
                (street, "grid_worker", "410104002001B001"),
                (street, "grid_leader", "410104001001B002"),
                (0, "grid_worker", "410104001001B001"),
            ],
            AT,
        )
    wang, li, zhang = staff["wang"], staff["li"], staff["zhang"]
    assert found == [wang, wang, li, zhang, None, None, wang]


def test_a_unit_answers_itself_before_the_units_below_it_unless_these_are_nearer_to_the_place(
    staff: dict[str, int],
) -> None:
    sanitation = unit("sanitation")
    asked = [(sanitation, "department_handler", "410104001001"), (sanitation, "department_handler", "410104002001")]
    assert queries.persons_for(asked, AT) == [staff["chen"], staff["gu"]]


def test_the_same_question_always_has_the_same_answer_the_oldest_post(staff: dict[str, int]) -> None:
    again = Person.objects.create_person(username="later", name="后来")
    Membership.objects.create(
        person=again, unit_id=unit("street1"), role="grid_worker", region_code="410104001001B001", starts_on=AT.date()
    )
    asked = (unit("street1"), "grid_worker", "410104001001B001")
    assert queries.persons_for([asked] * 3, AT) == [staff["wang"]] * 3


def test_a_batch_is_answered_among_thousands_of_posts_in_no_time(staff: dict[str, int]) -> None:
    people = [Person(username=f"p{n}", name="某", password="!") for n in range(3000)]
    insert_rows(people)
    grids = [f"410104001{n % 40:03d}B{n % 75:03d}" for n in range(3000)]
    street = unit("street1")
    insert_rows(
        [
            Membership(person=p, unit_id=street, role="grid_leader", region_code=g, starts_on=AT.date())
            for p, g in zip(people, grids, strict=True)
        ]
    )
    start = time.perf_counter()
    found = queries.persons_for([(street, "grid_leader", f"{grid}001") for grid in grids[:1000]], AT)
    assert time.perf_counter() - start < 1
    assert None not in found


def test_who_left_or_is_disabled_is_not_responsible(staff: dict[str, int]) -> None:
    asked = (unit("street1"), "grid_worker", "410104001001B001")
    Person.objects.filter(id=staff["wang"]).update(is_active=False)
    assert queries.persons_for([asked], AT) == [staff["li"]]
    Membership.objects.filter(person_id=staff["li"]).update(ends_on=AT.date())
    assert queries.persons_for([asked], AT) == [staff["zhang"]]
    assert queries.persons_for([], AT) == []


def test_a_grid_without_exactly_one_leader_or_without_a_worker_is_listed(staff: dict[str, int]) -> None:
    grids = ["410104001001B001", "410104001001B002"]
    assert queries.vacancies(grids, AT) == [queries.Vacancy("410104001001B002", 0, 0)]
    Membership.objects.create(
        person_id=staff["li"], unit_id=unit("street1"), role="grid_leader", region_code=grids[0], starts_on=AT.date()
    )
    assert [(v.region_code, v.lacks) for v in queries.vacancies(grids, AT)] == [
        (grids[0], ("grid_leader",)),
        (grids[1], ("grid_leader", "grid_worker")),
    ]


def test_the_same_files_again_change_nothing_and_issue_no_code(staff: dict[str, int]) -> None:
    before = Event.objects.count()
    units = actions.import_units(rows=rows(UNITS), viewer=SYSTEM, at=AT)
    people = actions.import_people(rows=rows(PEOPLE), viewer=SYSTEM, at=AT + timedelta(days=9))
    assert (units.added, units.changed, units.unchanged) == (0, 0, 5)
    assert (people.added, people.changed, people.unchanged, people.posts, people.codes) == (0, 0, 6, 0, {})
    assert Event.objects.count() == before


def test_a_changed_row_changes_its_unit_and_no_other(staff: dict[str, int]) -> None:
    text = UNITS.replace("Night crew", "Day crew").replace(
        "crew,Day crew,department,sanitation,sanitation", "crew,Day crew,department,sanitation,district"
    )
    done = actions.import_units(rows=rows(text), viewer=SYSTEM, at=AT)
    assert (done.added, done.changed, done.unchanged) == (0, 1, 4)
    crew = Unit.objects.select_related("parent").get(code="crew")
    assert crew.name == "Day crew"
    assert crew.parent is not None
    assert crew.parent.code == "district"


def test_every_mistake_of_a_units_file_is_named_at_once_and_nothing_is_kept() -> None:
    text = """code,name,kind,parent,starts_on,colour
a,,department,,2026-02-30,red
a,A,castle,nowhere,,
b,B,department,c,,
c,C,department,b,,
"""
    with pytest.raises(Mistakes) as head:
        actions.import_units(rows=rows(text), viewer=SYSTEM, at=AT)
    assert [m.place for m in head.value.mistakes] == ["column colour"]
    with pytest.raises(Mistakes) as caught:
        actions.import_units(
            rows=rows(text.replace(",colour", "").replace(",red", "").replace(",,\n", ",\n")), viewer=SYSTEM, at=AT
        )
    assert {m.place for m in caught.value.mistakes} == {
        "row 2, name",
        "row 2, starts_on",
        "row 3, code",
        "row 3, kind",
        "row 4, parent",
        "row 5, parent",
    }
    assert not Unit.objects.exists()


def test_every_mistake_of_a_people_file_is_named_at_once_and_nothing_is_kept() -> None:
    actions.import_units(rows=rows(UNITS), viewer=SYSTEM, at=AT)
    text = """username,name,role,unit,region_code
Wang Yi,王一,grid_worker,street1,
li,李二,king,street1,
li,李贰,grid_worker,nowhere,
zhao,赵四,grid_worker,street1,410104002001
gu,顾六,system_admin,district,
gu,顾六,auditor,district,
chen,陈五,grid_worker,street2,410104002999
"""
    with pytest.raises(Mistakes) as caught:
        actions.import_people(rows=rows(text), viewer=SYSTEM, at=AT, known_regions={"410104002001"})
    assert {m.place for m in caught.value.mistakes} == {
        "row 2, username",
        "row 3, role",
        "row 4, name",
        "row 4, unit",
        "row 5, region_code",
        "row 7, role",
        "row 8, region_code",
    }
    assert not Person.objects.exists()


@pytest.mark.parametrize("column", ["password", "密码", "身份证", "民族"])
def test_a_people_file_with_a_password_or_what_is_not_ours_to_know_is_refused(column: str) -> None:
    table = [Row(2, {"username": "wang", "name": "王一", "role": "inspector", "unit": "district", column: "x"})]
    with pytest.raises(Mistakes) as caught:
        actions.import_people(rows=table, viewer=SYSTEM, at=AT)
    assert [m.place for m in caught.value.mistakes] == [f"column {column}"]


@pytest.mark.parametrize(
    ("first", "second"),
    [("system_admin", "security_admin"), ("auditor", "system_admin"), ("security_admin", "auditor")],
)
def test_nobody_is_two_of_the_three_administrators(staff: dict[str, int], first: str, second: str) -> None:
    person = staff["wang"]
    actions.give_post(person_id=person, unit_code="district", role=first, viewer=SYSTEM, at=AT)
    for ends_on in (None, AT.date() + timedelta(days=5)):
        with pytest.raises(Refused) as caught:
            actions.give_post(
                person_id=person, unit_code="district", role=second, ends_on=ends_on, viewer=SYSTEM, at=AT
            )
        assert caught.value.code == "separated_administrators"
    with pytest.raises(Mistakes):
        actions.import_people(
            rows=rows(f"username,name,role,unit\nwang,王一,{second},district\n"), viewer=SYSTEM, at=AT
        )
    with pytest.raises(IntegrityError), transaction.atomic():
        Membership.objects.create(person_id=person, unit_id=unit("district"), role=second, starts_on=AT.date())


def test_an_administrator_may_become_another_one_after_the_first_post_has_ended(staff: dict[str, int]) -> None:
    first = actions.give_post(person_id=staff["wang"], unit_code="district", role="auditor", viewer=SYSTEM, at=AT)
    actions.end_post(membership_id=first.pk, viewer=SYSTEM, at=AT)
    actions.give_post(person_id=staff["wang"], unit_code="district", role="system_admin", viewer=SYSTEM, at=AT)
    assert "system_admin" in queries.viewer_for(staff["wang"], AT).roles()
    assert "auditor" not in queries.viewer_for(staff["wang"], AT).roles()


def test_a_security_administrator_gives_posts_but_none_to_oneself(staff: dict[str, int]) -> None:
    actions.give_post(person_id=staff["wang"], unit_code="district", role="security_admin", viewer=SYSTEM, at=AT)
    admin = queries.viewer_for(staff["wang"], AT)
    actions.give_post(person_id=staff["li"], unit_code="district", role="inspector", viewer=admin, at=AT)
    with pytest.raises(Refused) as caught:
        actions.give_post(person_id=staff["wang"], unit_code="district", role="shift_lead", viewer=admin, at=AT)
    assert caught.value.code == "own_post"
    with pytest.raises(Refused) as caught:
        actions.give_post(
            person_id=staff["wang"],
            unit_code="district",
            role="shift_lead",
            viewer=queries.viewer_for(staff["li"], AT),
            at=AT,
        )
    assert caught.value.status == 403


def test_one_time_codes_are_written_to_a_new_file_that_only_its_owner_may_read(tmp_path: object) -> None:
    path = tmp_path / "codes.csv"  # type: ignore[operator]
    actions.write_codes({"li": "B", "chen": "A"}, path)
    assert path.read_text() == "username,code\nchen,A\nli,B\n"
    assert path.stat().st_mode & 0o777 == 0o600
    with pytest.raises(FileExistsError):
        actions.write_codes({}, path)


def test_a_person_reads_the_own_notices_only_and_each_once(
    staff: dict[str, int], django_assert_num_queries: object
) -> None:
    hello = Sentence(zh="有新案件", en="a new case")
    told = [
        actions.NewNotice(person_id=staff[u], sentence=hello, case_id=7, kind="case") for u in ("wang", "li", "wang")
    ]
    with django_assert_num_queries(1):  # type: ignore[operator]
        ids = actions.notify(told, at=AT)
    wang, li = queries.viewer_for(staff["wang"], AT), queries.viewer_for(staff["li"], AT)
    assert [n.pk for n in queries.notices_for(wang)] == [ids[2], ids[0]]
    assert actions.read_notices(ids=[ids[1]], viewer=wang, at=AT) == 0
    assert actions.read_notices(ids=[ids[0]], viewer=wang, at=AT) == 1
    assert [n.pk for n in queries.notices_for(wang, unread_only=True)] == [ids[2]]
    assert actions.read_notices(ids=None, viewer=li, at=clock.now()) == 1
    assert Sentence.stored(Notice.objects.get(id=ids[0]).sentence) == hello
