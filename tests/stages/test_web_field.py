"""The telephone's addresses: what it takes along, what it hands in, and that nothing is done twice."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client

from gridloop.cases.models import Case
from gridloop.discover.models import Report
from gridloop.handle import field, tasks
from gridloop.handle.field import Parcel, Wish, attach_uploads, forget_old, settle, take_piece
from gridloop.handle.models import Errand, Evidence, FilledForm, Upload
from gridloop.handle.queries import folder
from gridloop.kernel import clock
from gridloop.kernel.errors import Refused
from gridloop.people.models import Person
from gridloop.people.sessions import lease_of, order_for
from gridloop.people.viewer import SYSTEM
from tests.build import DAY, District, district
from tests.stages.desk import Desk
from tests.stages.pictures import jpeg

WEBM = b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm" + b"\0" * 500
MANHOLE = "urban:C0101"


@pytest.fixture
def here(db: None, settings: Any, tmp_path: Path) -> Iterator[District]:
    settings.GRIDLOOP_DATA = tmp_path
    with clock.frozen(DAY):
        yield district()


@pytest.fixture
def desk(here: District) -> Desk:
    return Desk(here)


def logged_in(here: District, username: str) -> Client:
    client = Client(headers={"Accept": "application/json"})
    client.force_login(Person.objects.get(id=here.people[username]))
    session = client.session
    session["since"] = session["seen"] = clock.now().isoformat()
    session.save()
    return client


def sync(client: Client, *items: dict[str, Any]) -> list[dict[str, Any]]:
    response = client.post("/field/api/sync", json.dumps({"items": items}), content_type="application/json")
    assert response.status_code == 200, response.content
    answers: list[dict[str, Any]] = response.json()["answers"]
    return answers


def wish(case: Case, verb: str, **more: Any) -> Wish:
    return Wish(**{"key": uuid4(), "case": case.number, "verb": verb, "version": case.version, **more})


def parcel(content: bytes, **more: Any) -> Parcel:
    said = {"key": uuid4(), "size": len(content), "sha256": hashlib.sha256(content).hexdigest(), "stage": "after"}
    return Parcel(**{**said, **more})


def send(client: Client, content: bytes, key: UUID, piece: int = 700, **what: Any) -> dict[str, Any]:
    """A whole file in pieces, as the telephone sends it."""
    digest = hashlib.sha256(content).hexdigest()
    query = "&".join(f"{name}={value}" for name, value in {"size": len(content), "sha256": digest, **what}.items())
    told: dict[str, Any] = client.get(f"/field/api/photos/{key}").json()
    while not told["complete"] and told["refused"] is None:
        start = told["received"]
        response = client.put(
            f"/field/api/photos/{key}?{query}&offset={start}",
            content[start : start + piece],
            "application/octet-stream",
        )
        assert response.status_code == 200, response.content
        told = response.json()
    return told


# --- errands -----------------------------------------------------------------------------------------------------


def test_an_errand_handed_in_twice_is_done_once_and_answered_alike(desk: Desk) -> None:
    case = desk.bring("dispatched")
    asked = wish(case, "start")
    first = settle(asked, case_id=case.id, viewer=desk.here["clean1"])
    again = settle(asked, case_id=case.id, viewer=desk.here["clean1"])
    assert first.outcome == again.outcome == "done"
    assert first.answer == again.answer
    assert (first.answer["state"], first.answer["version"]) == ("handling", case.version + 1)
    case.refresh_from_db()
    assert case.version == first.answer["version"], "the second one moved nothing"


def test_an_answer_is_given_again_also_when_the_case_is_out_of_sight(desk: Desk) -> None:
    case = desk.bring("dispatched")
    asked = wish(case, "return_back", reason="不是我们的")
    settle(asked, case_id=case.id, viewer=desk.here["clean1"])
    assert settle(asked, case_id=None, viewer=desk.here["clean1"]).outcome == "done"


def test_a_key_used_for_something_else_is_refused(desk: Desk) -> None:
    case = desk.bring("dispatched")
    asked = wish(case, "start")
    settle(asked, case_id=case.id, viewer=desk.here["clean1"])
    with pytest.raises(Refused) as no:
        settle(wish(case, "return_back", key=asked.key, reason="别的"), case_id=case.id, viewer=desk.here["clean1"])
    assert no.value.code == "key_used"


def test_whoever_was_slower_gets_a_conflict_with_both_states_and_nothing_is_overwritten(desk: Desk) -> None:
    case = desk.bring("handled")
    seen = wish(case, "check", outcome="failed", reason="还在")
    desk.move(case, "check", "passed", by="worker1")
    slow = settle(seen, case_id=case.id, viewer=desk.here["inspect"])
    assert slow.outcome == "conflict"
    assert slow.answer["now"]["state"] == "pending_close"
    assert "Somebody has just changed" in slow.answer["sentence"]["en"]
    case.refresh_from_db()
    assert case.state == "pending_close", "status is never last-write-wins"


def test_a_step_after_another_stands_on_what_the_first_one_made(desk: Desk) -> None:
    case = desk.bring("dispatched", case_type="urban:E0128")
    clean = desk.here["clean1"]
    take_piece(parcel(jpeg(), case_id=case.id), offset=0, piece=jpeg(), viewer=clean)
    start = wish(case, "start")
    back = wish(case, "hand_back", version=case.version, after=start.key)
    early = settle(back, case_id=case.id, viewer=clean)
    assert (early.outcome, early.answer["code"]) == ("refused", "step_before")
    settle(start, case_id=case.id, viewer=clean)
    late = settle(wish(case, "hand_back", after=start.key), case_id=case.id, viewer=clean)
    assert (late.outcome, late.answer["state"]) == ("done", "handled")


def test_what_the_rules_refuse_is_answered_with_a_sentence_and_keeps_nothing(desk: Desk) -> None:
    case = desk.bring("handling")
    told = settle(wish(case, "hand_back"), case_id=case.id, viewer=desk.here["clean1"])
    assert (told.outcome, told.answer["code"]) == ("refused", "evidence")
    assert "缺少照片" in told.answer["sentence"]["zh"]
    case.refresh_from_db()
    assert case.state == "handling"


@pytest.mark.parametrize("verb", ["close", "dispatch", "force_close", "no_such"])
def test_a_desk_verb_is_not_done_in_the_street(desk: Desk, verb: str) -> None:
    case = desk.bring("pending_close")
    told = settle(wish(case, verb), case_id=case.id, viewer=desk.here["shift"])
    assert (told.outcome, told.answer["code"]) == ("refused", "not_here")


def test_a_form_is_checked_field_by_field_and_kept_with_the_move(desk: Desk) -> None:
    case = desk.bring("handling", case_type=MANHOLE)
    clean = desk.here["clean1"]
    for stage in ("before", "after"):
        take_piece(parcel(jpeg(), case_id=case.id, stage=stage), offset=0, piece=jpeg(), viewer=clean)
    wrong = settle(wish(case, "hand_back", answers={"state": "melted"}), case_id=case.id, viewer=clean)
    assert wrong.outcome == "refused"
    assert {m[0] for m in wrong.answer["mistakes"]} == {"state", "form"}
    case.refresh_from_db()
    assert case.state == "handling"
    right = settle(wish(case, "hand_back", answers={"state": "missing", "fenced": True}), case_id=case.id, viewer=clean)
    assert right.outcome == "done", right.answer
    assert FilledForm.objects.get(case_id=case.id).answers == {"state": "missing", "fenced": True}


def test_answers_are_kept_for_more_than_thirty_days_and_then_forgotten(desk: Desk) -> None:
    case = desk.bring("dispatched")
    settle(wish(case, "start"), case_id=case.id, viewer=desk.here["clean1"])
    assert forget_old(at=DAY + timedelta(days=31)) == 0
    assert forget_old(at=DAY + timedelta(days=41)) == 1
    assert not Errand.objects.exists()


# --- files in pieces ---------------------------------------------------------------------------------------------


def test_a_file_goes_on_where_it_was_cut_and_becomes_evidence_once(desk: Desk) -> None:
    case, clean, whole = desk.bring("handling"), desk.here["clean1"], jpeg()
    sent = parcel(whole, case_id=case.id)
    take_piece(sent, offset=0, piece=whole[:400], viewer=clean)
    lost = take_piece(sent, offset=0, piece=whole[:400], viewer=clean)
    assert (lost.received, lost.complete) == (400, False), "the same piece again adds nothing"
    ahead = take_piece(sent, offset=900, piece=whole[900:1000], viewer=clean)
    assert ahead.received == 400, "a piece that leaves a hole is not taken"
    part = folder() / "arriving" / f"{lost.pk}.part"
    part.write_bytes(part.read_bytes() + b"what a crash left behind")
    done = take_piece(sent, offset=400, piece=whole[400:], viewer=clean)
    assert done.complete
    assert take_piece(sent, offset=0, piece=whole[:400], viewer=clean).evidence_id == done.evidence_id
    row = Evidence.objects.get(case_id=case.id)
    assert (row.id, row.stage, row.sha256) == (done.evidence_id, "after", sent.sha256)


def test_a_file_that_is_not_what_was_announced_begins_anew(desk: Desk) -> None:
    case, clean, whole = desk.bring("handling"), desk.here["clean1"], jpeg()
    sent = parcel(whole, case_id=case.id)
    wrong = take_piece(sent, offset=0, piece=bytes(len(whole)), viewer=clean)
    assert (wrong.received, wrong.complete) == (0, False)
    assert take_piece(sent, offset=0, piece=whole, viewer=clean).complete


def test_what_is_no_photograph_is_refused_with_the_reason_and_leaves_no_file(desk: Desk) -> None:
    case, clean = desk.bring("handling"), desk.here["clean1"]
    page = b"<html><script>alert(1)</script></html>"
    told = take_piece(parcel(page, case_id=case.id), offset=0, piece=page, viewer=clean)
    assert told.refused is not None
    assert "JPEG" in told.refused["en"]
    assert not Evidence.objects.exists()


@pytest.mark.parametrize(
    "said",
    [{"size": 0}, {"size": 30_000_000}, {"sha256": "x"}, {"stage": "nowhere"}, {"report_id": 1}, {"size": 3}],
    ids=str,
)
def test_a_file_announced_wrongly_is_refused(desk: Desk, said: dict[str, Any]) -> None:
    case = desk.bring("handling")
    with pytest.raises(Refused) as no:
        take_piece(parcel(jpeg(), case_id=case.id, **said), offset=0, piece=jpeg(), viewer=desk.here["clean1"])
    assert no.value.status == 422


def test_a_file_for_a_case_out_of_sight_is_refused_like_one_for_no_case(desk: Desk) -> None:
    case = desk.bring("handling")
    for case_id in (case.id, 987_654):
        with pytest.raises(Refused) as no:
            take_piece(parcel(jpeg(), case_id=case_id), offset=0, piece=jpeg(), viewer=desk.here["worker3"])
        assert no.value.status == 404


def test_a_spoken_note_is_kept_as_evidence_but_counts_as_no_photograph(desk: Desk) -> None:
    case, clean = desk.bring("handling"), desk.here["clean1"]
    take_piece(parcel(WEBM, case_id=case.id, stage="note"), offset=0, piece=WEBM, viewer=clean)
    note = Evidence.objects.get(case_id=case.id)
    assert (note.stage, note.media_type) == ("note", "audio/webm")
    assert settle(wish(case, "hand_back"), case_id=case.id, viewer=clean).answer["code"] == "evidence"
    desk.here.drain()
    page = logged_in(desk.here, "clean1").get(f"/field/api/notes/{note.id}")
    assert page.content == WEBM
    assert page["Content-Disposition"] == "attachment"
    assert page["X-Content-Type-Options"] == "nosniff"
    picture = jpeg()
    told = take_piece(parcel(picture, case_id=case.id, stage="note"), offset=0, piece=picture, viewer=clean)
    assert told.refused is not None


def test_an_abandoned_file_is_given_up_after_a_week(desk: Desk) -> None:
    case, whole = desk.bring("handling"), jpeg()
    row = take_piece(parcel(whole, case_id=case.id), offset=0, piece=whole[:100], viewer=desk.here["clean1"])
    part = folder() / "arriving" / f"{row.pk}.part"
    assert part.exists()
    assert forget_old(at=DAY + timedelta(days=6)) == 0
    assert forget_old(at=DAY + timedelta(days=8)) == 1
    assert not part.exists()
    assert not Upload.objects.exists()


# --- reports -----------------------------------------------------------------------------------------------------


def a_report(here: District, **more: Any) -> dict[str, Any]:
    lon, lat = here.place()
    said = {"key": str(uuid4()), "kind": "report", "text": "井盖没了", "lon": lon, "lat": lat, "case_type": MANHOLE}
    return said | more


@pytest.mark.parametrize("photo_first", [True, False], ids=["the photograph is first", "the case is first"])
def test_the_photograph_of_a_report_ends_in_the_case_of_the_report(here: District, photo_first: bool) -> None:
    client = logged_in(here, "worker1")
    item = a_report(here)
    assert sync(client, item)[0]["outcome"] == "done"
    if not photo_first:
        here.drain()
    told = send(client, jpeg(), uuid4(), stage="report", report=item["key"])
    assert told["complete"]
    if photo_first:
        assert told["evidence"] is None
        here.drain()
    report = Report.objects.get(key=item["key"])
    found = Evidence.objects.get()
    assert (found.case_id, found.stage, found.by) == (report.case_id, "report", here["worker1"].actor)
    assert attach_uploads({report.pk: found.case_id}) == 0, "once"


def test_a_report_sent_again_is_one_report_and_another_under_its_key_is_refused(here: District) -> None:
    client, item = logged_in(here, "worker1"), a_report(here)
    first, again = sync(client, item), sync(client, item)
    assert first[0]["report"] == again[0]["report"]
    assert Report.objects.count() == 1
    assert sync(client, item | {"text": "别的"})[0]["code"] == "key_used"


def test_what_was_put_right_on_the_spot_waits_for_its_report_and_is_then_done(here: District) -> None:
    client = logged_in(here, "worker1")
    report = a_report(here, case_type="urban:E0110", text="一堆垃圾")
    done = {"key": str(uuid4()), "kind": "move", "report": report["key"], "verb": "self_handle"}
    assert [a["outcome"] for a in sync(client, report, done)] == ["done", "later"]
    for stage in ("report", "after"):
        send(client, jpeg(), uuid4(), stage=stage, report=report["key"])
    here.drain()
    told = sync(client, done)[0]
    assert (told["outcome"], told["state"]) == ("done", "handled"), told
    assert sync(client, done)[0] == told
    case = Case.objects.get()
    assert case.self_handled


def test_one_bad_item_does_not_hold_up_the_others(here: District) -> None:
    client = logged_in(here, "worker1")
    answers = sync(
        client,
        {"key": "no key"},
        a_report(here, text=""),
        a_report(here, surprise=1),
        a_report(here, answers={"state": "melted"}),
        {"key": str(uuid4()), "kind": "move", "case": "41010420260720000001", "verb": "start", "version": 1},
        a_report(here),
    )
    assert [a["outcome"] for a in answers] == ["refused"] * 5 + ["done"]
    assert all(a["sentence"]["zh"] and a["sentence"]["en"] for a in answers[:5])
    assert Report.objects.count() == 1


# --- what it takes along -----------------------------------------------------------------------------------------


def test_the_tasks_are_those_with_which_the_person_can_do_something(desk: Desk) -> None:
    here = desk.here
    handling, handled = desk.bring("handling"), desk.bring("handled")
    verify, closed = desk.bring("pending_verify"), desk.bring("closed")
    for name, wanted in (
        ("clean1", {handling.number}),
        ("clean2", set()),  # given to a colleague by name
        ("worker1", {handled.number, verify.number}),
        ("worker2", set()),  # another grid
        ("inspect", {handled.number}),
        ("road1", set()),
        ("audit", set()),
    ):
        assert {c.number for c in tasks.tasks_for(here[name])} == wanted, name
    assert closed.number not in {c.number for c in tasks.tasks_for(here["inspect"])}


def test_whoever_handled_it_is_not_asked_to_check_it(desk: Desk) -> None:
    case = desk.bring("pending_verify")
    Case.objects.filter(id=case.id).update(state="handled", handled_by=desk.here.people["worker1"])
    assert not tasks.tasks_for(desk.here["worker1"]).exists()
    assert tasks.tasks_for(desk.here["leader1"]).exists()


def test_a_task_says_what_can_be_done_and_what_is_asked_for_it(desk: Desk) -> None:
    case = desk.bring("dispatched", case_type=MANHOLE)
    told = tasks.bundle(desk.here["clean1"])
    task = told["tasks"][0]
    assert [(c["verb"], c["reason"], c["evidence"]) for c in task["can"]] == [
        ("start", False, False),
        ("return_back", True, False),
        ("hand_back", False, True),
    ]
    kind = told["types"][case.case_type]
    assert kind["evidence"] == [1, 1]
    assert "state" in told["forms"][kind["form"]]["properties"]
    assert task["version"] == case.version


def test_the_bundle_costs_the_same_for_one_task_and_for_many_and_is_bounded(
    desk: Desk, django_assert_num_queries: Any
) -> None:
    clean = desk.here["clean1"]
    desk.bring("handling")
    tasks.bundle(clean)
    with django_assert_num_queries(5):
        tasks.bundle(clean)
    for _ in range(4):
        desk.bring("handling")
    with django_assert_num_queries(5):
        assert len(tasks.bundle(clean)["tasks"]) == 5
    few = tasks.bundle(clean, most=2)
    assert (len(few["tasks"]), few["more"]) == (2, 3)


def test_the_map_of_a_grid_worker_is_the_own_grid_and_what_lies_around_it(here: District) -> None:
    ground = tasks.ground(here["worker1"])
    assert [r["code"] for r in ground["regions"]] == ["410104001001B001"]
    assert all(len(point) == 2 for ring in ground["regions"][0]["rings"] for point in ring)
    whole = tasks.ground(here["inspect"])
    assert {r["kind"] for r in whole["regions"]} == {"district", "street"}


@pytest.mark.parametrize("address", ["tasks", "standard", "map", "guess?text=井盖丢了"])
def test_what_is_taken_along_is_for_those_who_work_here_and_is_not_kept_on_the_way(
    here: District, address: str
) -> None:
    stranger = Client(headers={"Accept": "application/json"}).get(f"/field/api/{address}")
    assert stranger.status_code == 401
    response = logged_in(here, "worker1").get(f"/field/api/{address}")
    assert response.status_code == 200
    assert "no-store" in response["Cache-Control"]


def test_a_guess_names_the_type_that_the_words_mean(here: District) -> None:
    found = logged_in(here, "worker1").get("/field/api/guess", {"text": "窨井盖丢失了"}).json()
    assert MANHOLE.split(":")[0] in found["types"][0][0]


# --- the application ---------------------------------------------------------------------------------------------


def test_the_page_of_the_application_knows_nobody(here: District) -> None:
    anonymous = Client().get("/field/")
    known = logged_in(here, "worker1").get("/field/")
    assert anonymous.status_code == known.status_code == 200
    assert "甲网格" not in known.content.decode()
    assert Client().get("/field/api/me").json()["id"] is None


def test_the_worker_keeps_only_files_that_exist_and_nothing_of_the_api(here: District) -> None:
    text = Client().get("/field/worker.js").content.decode()
    kept = json.loads(text.split("const KEPT = ")[1].split(";\n")[0])
    assert "/field/" in kept
    assert not [name for name in kept if "/api/" in name]
    assert [name for name in kept if name.endswith("/field/app.js")]
    for name in kept:
        assert Client().get(name).status_code == 200, name


def test_the_manifest_names_icons_that_exist(here: District) -> None:
    manifest = Client().get("/field/manifest.webmanifest").json()
    assert manifest["start_url"] == manifest["scope"] == "/field/"
    assert {i["purpose"] for i in manifest["icons"]} == {"any", "maskable"}
    for icon in manifest["icons"]:
        assert Client().get(icon["src"]).status_code == 200


def test_a_lost_device_is_told_to_wipe_and_one_whose_session_ran_out_to_wait(here: District) -> None:
    person = Person.objects.get(username="worker1")
    lease = lease_of(person)
    client = Client()
    assert client.post("/field/api/lease", lease, content_type="text/plain").json() == {"order": "login"}
    Person.objects.filter(pk=person.pk).update(session_epoch=person.session_epoch + 1)
    assert client.post("/field/api/lease", lease, content_type="text/plain").json() == {"order": "wipe"}
    assert order_for("forged") == order_for("") == "wipe"
    assert order_for(lease_of(Person.objects.get(pk=person.pk))) == "login"
    Person.objects.filter(pk=person.pk).update(is_active=False)
    assert order_for(lease_of(Person.objects.get(pk=person.pk))) == "wipe"


def test_changing_something_takes_the_token_of_the_session(here: District) -> None:
    client = Client(enforce_csrf_checks=True, headers={"Accept": "application/json"})
    client.force_login(Person.objects.get(username="worker1"))
    session = client.session
    session["since"] = session["seen"] = clock.now().isoformat()
    session.save()
    body = json.dumps({"items": []})
    assert client.post("/field/api/sync", body, content_type="application/json").status_code == 403
    token = client.get("/field/api/me").json()["csrf"]
    sent = client.post("/field/api/sync", body, content_type="application/json", headers={"X-CSRFToken": token})
    assert sent.status_code == 200


def test_the_answer_waits_for_a_person_never_for_a_machine(desk: Desk) -> None:
    case = desk.bring("dispatched")
    with pytest.raises(Refused) as no:
        settle(wish(case, "start"), case_id=case.id, viewer=SYSTEM)
    assert no.value.status == 403
    assert field.VERBS.isdisjoint({"close", "dispatch", "force_close", "cancel"})
