"""The REST API: who is let in, what is answered, how it is refused."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.test import Client, RequestFactory
from PIL import Image

from gridloop.discover.models import Report
from gridloop.feedback.actions import token_of
from gridloop.feedback.models import Callback
from gridloop.kernel import clock
from gridloop.kernel.language import Sentence
from gridloop.people import access, actions
from gridloop.people.actions import NewNotice, notify
from gridloop.people.models import Person
from gridloop.people.sessions import source_of
from gridloop.people.viewer import SYSTEM, Viewer
from gridloop.registry.actions import NewContact
from tests.build import DAY, District, district

pytestmark = pytest.mark.django_db
PASSWORD = "blue kettle on a Tuesday"


class Caller:
    """A program that calls the API with one token."""

    def __init__(self, token: str = "", **defaults: Any) -> None:
        self.client = Client(**defaults)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}

    def __call__(self, method: str, path: str, body: Any = None, *, status: int = 200, **headers: str) -> Any:
        response = self.raw(method, path, body, **headers)
        assert response.status_code == status, (path, response.status_code, response.content.decode())
        return json.loads(response.content) if response.content else None

    def raw(self, method: str, path: str, body: Any = None, *, kind: str = "application/json", **headers: str) -> Any:
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return self.client.generic(
            method, f"/api/v1{path}", data, content_type=kind if body is not None else "",
            headers=self.headers | {k.replace("_", "-"): v for k, v in headers.items()},
        )  # fmt: skip


@pytest.fixture
def town() -> Any:
    with clock.frozen(DAY):
        yield district()


def caller(town: District, username: str) -> Caller:
    person = Person.objects.get(username=username)
    _, text = access.issue_token(viewer=town[username], person=person, at=clock.now())
    return Caller(text)


def machine(*permissions: str, code: str = "hotline", **more: Any) -> Caller:
    client = access.register_client(
        code=code, name=code, permissions=list(permissions), viewer=SYSTEM, at=clock.now(), **more
    )
    return Caller(access.issue_token(viewer=SYSTEM, client=client, at=clock.now())[1])


# --- who is let in -------------------------------------------------------------------------------------------------


def test_a_stranger_gets_a_problem_and_how_to_authenticate() -> None:
    response = Caller().raw("GET", "/cases")
    assert (response.status_code, response["WWW-Authenticate"]) == (401, "Bearer")
    assert response["Content-Type"] == "application/problem+json"
    assert json.loads(response.content)["code"] == "unauthenticated"
    assert Caller("glp_nonsense").raw("GET", "/cases").content == response.content


def test_a_session_begins_with_a_password_and_a_new_id_and_ends_with_log_out(town: District) -> None:
    person = Person.objects.get(username="intake")
    person.set_password(PASSWORD)
    person.save()
    call = Caller(enforce_csrf_checks=True)
    call.client.cookies[settings.SESSION_COOKIE_NAME] = "chosenbyanattacker0123456789abcd"
    me = call("POST", "/session", {"username": "intake", "password": PASSWORD})
    session = call.client.cookies[settings.SESSION_COOKIE_NAME].value
    assert session != "chosenbyanattacker0123456789abcd"
    assert me["posts"][0]["role"] == "intake_officer"
    assert call("GET", "/session")["id"] == person.pk
    assert call("POST", "/notices/read", {"ids": None}, status=403)["code"] == "csrf"
    call("POST", "/notices/read", {"ids": None}, X_CSRFToken=call("GET", "/session")["csrf_token"])
    call("DELETE", "/session", status=204, X_CSRFToken=call("GET", "/session")["csrf_token"])
    call.client.cookies[settings.SESSION_COOKIE_NAME] = session
    call("GET", "/session", status=401)


def logged_in(town: District, username: str = "intake") -> Caller:
    person = Person.objects.get(username=username)
    person.set_password(PASSWORD)
    person.save()
    call = Caller()
    call("POST", "/session", {"username": username, "password": PASSWORD})
    return call


def test_a_session_ends_after_half_an_hour_of_silence_and_after_twelve_hours(town: District) -> None:
    call = logged_in(town)
    for minutes in range(0, 12 * 60, 29):
        with clock.frozen(DAY + timedelta(minutes=minutes)):
            call("GET", "/session")
    with clock.frozen(DAY + timedelta(hours=12, seconds=1)):
        call("GET", "/session", status=401)
    call = logged_in(town, "shift")
    with clock.frozen(DAY + timedelta(minutes=31)):
        call("GET", "/session", status=401)


@pytest.mark.parametrize("how", ["disabled", "ended", "role"])
def test_a_disabled_person_an_ended_session_and_a_lost_post_take_effect_with_the_next_request(
    town: District, how: str
) -> None:
    call, officer = logged_in(town), town.people["intake"]
    call("GET", "/triage")
    if how == "disabled":
        actions.disable_person(person_id=officer, reason="left", viewer=town["secure"], at=clock.now())
    elif how == "ended":
        actions.end_sessions(person_id=officer, viewer=town["secure"], at=clock.now())
    else:
        post = Person.objects.get(id=officer).memberships.get()
        actions.end_post(membership_id=post.pk, viewer=town["secure"], at=clock.now())
    call("GET", "/triage", status=403 if how == "role" else 401)


def test_a_wrong_password_says_the_same_for_everybody_and_the_device_cookie_is_no_credential(town: District) -> None:
    call = logged_in(town)
    call.client.cookies.pop(settings.SESSION_COOKIE_NAME)
    call("GET", "/session", status=401)
    wrong = Caller().raw("POST", "/session", {"username": "intake", "password": "x"})
    absent = Caller().raw("POST", "/session", {"username": "nobody", "password": "x"})
    assert wrong.status_code == 401
    assert wrong.content == absent.content


def test_the_first_password_comes_from_a_one_time_code(town: District) -> None:
    secure = caller(town, "secure")
    code = secure("POST", f"/people/{town.people['worker1']}/setup-code", status=201)
    given = {"username": code["username"], "code": code["code"]}
    problem = Caller()("POST", "/session/setup", given | {"password": "short"}, status=422)
    assert problem["mistakes"][0]["place"] == "password"
    Caller()("POST", "/session/setup", given | {"password": PASSWORD}, status=204)
    Caller()("POST", "/session", {"username": "worker1", "password": PASSWORD})


def test_changing_the_password_ends_other_sessions_and_tokens_but_not_this_session(town: District) -> None:
    this, other, token = logged_in(town), Caller(), caller(town, "intake")
    other("POST", "/session", {"username": "intake", "password": PASSWORD})
    this("POST", "/session/password", {"old": "wrong", "new": PASSWORD + "!"}, status=422)
    this("POST", "/session/password", {"old": PASSWORD, "new": PASSWORD + "!"}, status=204)
    access.forget_cached()
    this("GET", "/session")
    other("GET", "/session", status=401)
    token("GET", "/session", status=401)


def test_own_tokens_are_listed_without_their_text_and_ended(town: District) -> None:
    call = caller(town, "dispatch")
    made = call("POST", "/tokens", {"name": "script", "days": 5}, status=201)
    listed = call("GET", "/tokens")["items"]
    assert [t["name"] for t in listed] == ["script", ""]
    assert made["token"] not in json.dumps(listed)
    Caller(made["token"])("GET", "/session")
    caller(town, "intake")("DELETE", f"/tokens/{made['id']}", status=404)
    call("DELETE", f"/tokens/{made['id']}", status=204)
    Caller(made["token"])("GET", "/session", status=401)


def test_a_machine_is_held_to_its_quota(town: District) -> None:
    call = machine("read_cases", code="slow", per_minute=3)
    statuses = [call.raw("GET", "/workflow").status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]


# --- how it is refused ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "body", "kind", "status"),
    [
        ("GET", "/nowhere", None, "", 404),
        ("PATCH", "/cases", {}, "application/json", 405),
        ("POST", "/moves", b"a=1", "application/x-www-form-urlencoded", 415),
        ("POST", "/moves", b"[]", "text/plain", 415),
        ("POST", "/moves", b"{", "application/json", 400),
        ("POST", "/reports", b"{", "application/json", 422),
        ("GET", "/cases?color=red&limit=5", None, "", 422),
        ("GET", "/cases?limit=100000", None, "", 422),
        ("GET", "/cases?sort=text", None, "", 422),
        ("GET", "/cases?cursor=Zm9v", None, "", 422),
        ("GET", "/cases?state=lost", None, "", 422),
        ("POST", "/reports/status", {"number": "x", "secret": "y", "more": 1}, "application/json", 422),
    ],
)
def test_every_refusal_is_a_problem_in_both_languages(
    town: District, method: str, path: str, body: Any, kind: str, status: int
) -> None:
    response = caller(town, "shift").raw(method, path, body, kind=kind)
    problem = json.loads(response.content)
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json"), problem
    assert problem["status"] == status
    assert problem["type"] == f"urn:gridloop:problem:{problem['code']}"
    assert problem["detail"]["zh"] and problem["detail"]["en"]  # noqa: PT018
    assert response["Cache-Control"] == "no-store"
    assert response["X-Content-Type-Options"] == "nosniff"


def test_a_defect_answers_without_its_cause(town: District, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(viewer: Viewer) -> None:
        raise RuntimeError("13812345678 王小明")

    monkeypatch.setattr("gridloop.gateways.api.cases.cases_for", broken)
    response = caller(town, "shift").raw("GET", "/cases")
    assert response.status_code == 500
    assert "13812345678" not in response.content.decode()


def test_all_mistakes_of_a_body_are_named_at_once(town: District) -> None:
    body = [
        {"channel": "Hot Line", "text": "", "key": ""},
        {"channel": "app", "text": "x", "key": "1", "lon": 900, "lat": 0},
    ]
    problem = machine("report")("POST", "/reports", body, status=422)
    assert {m["place"] for m in problem["mistakes"]} == {
        "reports[0].key", "reports[0].channel", "reports[0].text", "reports[1].lon",
    }  # fmt: skip
    assert not Report.objects.exists()


def test_the_language_of_a_title_follows_the_caller(town: District) -> None:
    call = caller(town, "shift")
    zh = call("GET", "/nowhere", status=404, Accept_Language="zh-CN")
    en = call("GET", "/nowhere", status=404, Accept_Language="en")
    assert zh["title"] == zh["detail"]["zh"]
    assert en["title"] == en["detail"]["en"]


# --- reports -------------------------------------------------------------------------------------------------------


def a_report(**more: Any) -> dict[str, Any]:
    return {"channel": "hotline", "text": "路边垃圾桶满了没人清理", "key": "k1"} | more


def test_a_list_of_reports_is_answered_in_order_and_replayed(town: District) -> None:
    call = machine("report")
    body = [a_report(), a_report(key="k2", text="井盖坏了")]
    first = call("POST", "/reports", body, status=201)
    assert [r["key"] for r in first] == ["k1", "k2"]
    again = call("POST", "/reports", body)
    assert [(r["number"], r["secret"], r["outcome"]) for r in again] == [
        (r["number"], r["secret"], "replayed") for r in first
    ]
    changed = call("POST", "/reports", [a_report(text="另一件事"), a_report(key="k3")], status=201)
    assert [r["outcome"] for r in changed] == ["conflict", "accepted"]


def test_a_reporter_follows_the_report_with_number_and_secret_only(town: District) -> None:
    (receipt,) = machine("report")("POST", "/reports", [a_report()], status=201)
    asked = {"number": receipt["number"], "secret": receipt["secret"]}
    assert Caller()("POST", "/reports/status", asked)["state"] == "waiting"
    wrong = Caller().raw("POST", "/reports/status", asked | {"secret": "no"})
    absent = Caller().raw("POST", "/reports/status", asked | {"number": "no"})
    assert (wrong.status_code, wrong.content) == (404, absent.content)


def test_reports_need_the_permission_to_report(town: District) -> None:
    assert machine("read_cases")("POST", "/reports", [a_report()], status=403)["code"] == "forbidden"


def test_an_unsure_report_waits_for_a_person_with_a_masked_reporter(town: District) -> None:
    call = caller(town, "intake")
    contact = {"name": "王小明", "phone": "13812345678"}
    machine("report")("POST", "/reports", [a_report(text="有点问题", contact=contact)], status=201)
    town.drain()
    (waiting,) = call("GET", "/triage?count=true")["items"]
    assert waiting["reporter"] == {"name": "王*", "phone": "138****5678", "secret": False}
    lon, lat = town.place()
    answer = {"report_id": waiting["id"], "case_type": "urban:E0110", "lon": lon, "lat": lat}
    problem = call("POST", "/triage/answers", [answer | {"case_type": "urban:none"}], status=422)
    assert problem["mistakes"][0]["place"] == "answers[0].case_type"
    (settled,) = call("POST", "/triage/answers", [answer])
    assert settled["case_id"]
    assert call("GET", "/triage")["items"] == []


# --- cases ---------------------------------------------------------------------------------------------------------


def picture(colour: str) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (64, 48), colour).save(out, "JPEG")
    return out.getvalue()


def test_a_case_goes_through_the_whole_loop_by_http(town: District) -> None:
    case = town.case(text="路上有一堆垃圾", contact=NewContact("王小明", "13812345678"))
    shift, intake = caller(town, "shift"), caller(town, "intake")
    path = f"/cases/{case.number}"

    def go(call: Caller, verb: str, **body: Any) -> dict[str, Any]:
        version = call("GET", path)["version"]
        return call("POST", f"{path}/verbs/{verb}", {"version": version} | body)  # type: ignore[no-any-return]

    seen = intake("GET", path)
    assert seen["reporters"][0]["name"] == "王*"
    if seen["state"] == "reported":
        go(intake, "accept")
    if shift("GET", path)["state"] == "pending_verify":
        go(caller(town, "worker1"), "verify", outcome="true")
    if shift("GET", path)["state"] == "pending_filing":
        go(shift, "file")
    town.drain()
    if shift("GET", path)["state"] == "pending_dispatch":
        go(caller(town, "dispatch"), "dispatch", unit="HW")
    unit = {v: k for k, v in town.units.items()}[shift("GET", path)["unit_id"]]
    handler = caller(town, {"HW": "clean1", "SQ1": "worker1", "JD1": "street"}[unit])
    go(handler, "start")
    for stage, colour in (("before", "red"), ("after", "green"), ("after", "blue"), ("before", "white")):
        made = handler.raw("POST", f"{path}/evidence?stage={stage}", picture(colour), kind="image/jpeg")
        assert made.status_code == 201, made.content
    go(handler, "hand_back")
    town.drain()
    checker = caller(town, "inspect")
    evidence = checker("GET", f"{path}/evidence")["items"]
    assert [e["ready"] for e in evidence] == [True] * 4
    download = checker.raw("GET", f"/evidence/{evidence[0]['id']}")
    assert download["Content-Type"] == "image/jpeg"
    assert download["Content-Disposition"].startswith("attachment")
    go(checker, "check", outcome="passed")
    go(shift, "close")
    town.drain()
    callback = Callback.objects.get(case_id=case.pk)
    answer = {"token": token_of(callback.report_id, callback.round), "resolved": True, "satisfied": 5}
    Caller()("POST", "/callbacks/answer", answer, status=204)
    Caller()("POST", "/callbacks/answer", answer | {"token": "x"}, status=404)
    town.drain()
    done = shift("GET", path)
    assert done["state"] == "closed"
    names = [t["name"] for t in done["timeline"]]
    assert (
        names.index("CaseOpened")
        < names.index("CaseHandedBack")
        < names.index("CheckPassed")
        < names.index("CaseClosed")
    )
    assert "王小明" not in json.dumps(done, ensure_ascii=False)
    figures = {f["indicator"]: f for f in caller(town, "lead")("GET", "/rates?by=all")}
    assert any(f["count"] == 1 for f in figures.values())
    assert caller(town, "lead")("GET", f"/rates/cases?indicator={next(iter(figures))}")


def test_who_saw_an_older_version_is_refused_and_who_names_none_too(town: District) -> None:
    case = town.case()
    shift = caller(town, "shift")
    path = f"/cases/{case.number}/verbs/force_close"
    reason = {"reason": "测试之用"}
    assert shift("POST", path, reason, status=422)["mistakes"][0]["place"] == "version"
    assert shift("POST", path, reason, status=412, If_Match='"99"')["code"] == "conflict"
    assert shift("POST", path, reason, If_Match=f'"{case.version}"')["state"] == "forced_close"
    assert shift("POST", path, reason | {"version": case.version + 1}, status=409)["code"] == "illegal_move"


def test_many_cases_move_together_or_not_at_all(town: District) -> None:
    one, two = town.case(), town.case(lon=town.place(1, 1)[0], lat=town.place(1, 1)[1])
    shift = caller(town, "shift")
    moves = [{"number": c.number, "verb": "cancel", "version": c.version, "reason": "重复登记"} for c in (one, two)]
    problem = shift("POST", "/moves", [moves[0], moves[1] | {"version": 99}], status=422)
    assert [m["place"] for m in problem["mistakes"]] == [two.number]
    assert shift("GET", "/cases?state=cancelled&count=true")["count"] == 0
    moved = shift("POST", "/moves", moves)
    assert [m["state"] for m in moved] == ["cancelled"] * 2


def test_another_grids_case_and_no_case_look_the_same(town: District) -> None:
    case = town.case()
    stranger = caller(town, "worker3")
    for suffix, method, body in (
        ("", "GET", None), ("/evidence", "GET", None), ("/verbs/verify", "POST", {"version": 1}),
        ("/evidence?stage=after", "POST", b"x"), ("/verbs/remind", "POST", {}),
    ):  # fmt: skip
        kind = "image/jpeg" if isinstance(body, bytes) else "application/json"
        his = stranger.raw(method, f"/cases/{case.number}{suffix}", body, kind=kind)
        none = stranger.raw(method, f"/cases/{case.number[:-1]}9{suffix}", body, kind=kind)
        assert (his.status_code, his.content) == (404, none.content), suffix
    assert stranger("GET", "/cases")["items"] == []


def test_pages_neither_double_nor_lose_a_row(town: District) -> None:
    numbers = [
        town.case(lon=town.place(c, r, e)[0], lat=town.place(c, r, e)[1]).number
        for c in (0, 1) for r in (0, 1) for e in (0.1, 0.9)
    ]  # fmt: skip
    shift = caller(town, "shift")
    for sort in ("-id", "id", "due_at", "-due_at", "opened_at", "closed_at"):
        found, cursor = [], ""
        while cursor is not None:
            got = shift("GET", f"/cases?limit=3&sort={sort}&cursor={cursor}")
            found += [c["number"] for c in got["items"]]
            cursor = got["next"]
        assert sorted(found) == sorted(numbers), sort
    assert shift("GET", "/cases?limit=1&count=true")["count"] == len(numbers)
    first = shift("GET", "/cases?limit=3")
    shift("GET", f"/cases?limit=3&sort=id&cursor={first['next']}", status=422)


def test_a_contact_is_revealed_through_its_own_case_only(town: District) -> None:
    case = town.case(contact=NewContact("王小明", "13812345678"))
    other = town.case(lon=town.place(1, 1)[0], lat=town.place(1, 1)[1])
    intake = caller(town, "intake")
    contact = intake("GET", f"/cases/{case.number}")["reporters"][0]["contact_id"]
    body = {"contact_id": contact, "reason": "回访时核实门牌号码"}
    intake("POST", f"/cases/{other.number}/reveal", body, status=404)
    caller(town, "worker1")("POST", f"/cases/{case.number}/reveal", body, status=403)
    intake("POST", f"/cases/{case.number}/reveal", body | {"reason": "看看"}, status=422)
    assert intake("POST", f"/cases/{case.number}/reveal", body) == {"name": "王小明", "phone": "13812345678"}
    assert "ContactRevealed" in [t["name"] for t in intake("GET", f"/cases/{case.number}")["timeline"]]


# --- the rest ------------------------------------------------------------------------------------------------------


def test_regions_units_people_and_the_catalogue_are_readable(town: District) -> None:
    call = caller(town, "shift")
    assert len(call("GET", "/regions?level=grid")["items"]) == 4
    assert call("GET", "/regions/410104001001B001")["properties"]["code"] == "410104001001B001"
    call("GET", "/regions/999999", status=404)
    lon, lat = town.place()
    assert call("GET", f"/locate?lon={lon}&lat={lat}")["region_code"] == "410104001001B001"
    assert len(call("GET", "/units")["items"]) == len(town.units)
    assert any(t["key"] == "urban:E0110" for t in call("GET", "/case-types"))
    assert call("GET", "/indicators")
    assert call("GET", "/workflow")


def test_colleagues_of_other_units_are_seen_by_who_needs_to(town: District) -> None:
    count = {who: caller(town, who)("GET", "/people?count=true")["count"] for who in ("dispatch", "clean1", "worker1")}
    assert count == {"dispatch": len(town.people), "clean1": 2, "worker1": 3}
    caller(town, "clean1")("GET", f"/people/{town.people['road1']}", status=404)


def test_posts_are_given_and_ended_by_the_security_administrator(town: District) -> None:
    secure = caller(town, "secure")
    path = f"/people/{town.people['worker1']}/posts"
    post = secure("POST", path, {"unit": "QZX", "role": "inspector"}, status=201)
    secure("DELETE", f"/posts/{post['id']}", status=204)
    assert secure("POST", path, {"unit": "QZX", "role": "king"}, status=422)["code"] == "unknown_role"
    caller(town, "shift")("POST", path, {"unit": "QZX", "role": "inspector"}, status=403)


def test_notices_are_ones_own(town: District) -> None:
    sentence = Sentence(zh="您有新案件", en="A new case")
    notify([NewNotice(person_id=town.people["clean1"], sentence=sentence)], at=clock.now())
    call = caller(town, "clean1")
    assert call("GET", "/notices?unread=true")["items"][0]["sentence"] == sentence.both()
    assert call("POST", "/notices/read", {"ids": None}) == {"count": 1}
    assert call("GET", "/notices?unread=true")["items"] == []
    assert caller(town, "clean2")("GET", "/notices")["items"] == []


def test_the_auditor_reads_the_record_and_nobody_else(town: District) -> None:
    town.case()
    call = caller(town, "audit")
    record = call("GET", "/audit/events?name=CaseOpened")["items"]
    assert [e["name"] for e in record] == ["CaseOpened"]
    call("GET", "/audit/checkpoints")
    assert call("GET", "/cases")["items"] == []
    caller(town, "shift")("GET", "/audit/events", status=403)


def test_the_description_names_every_operation_in_both_languages(town: District) -> None:
    described = caller(town, "shift")("GET", "/openapi.json")
    Caller()("GET", "/openapi.json", status=401)
    for path, operations in described["paths"].items():
        for method, operation in operations.items():
            text = operation["description"]
            assert any("一" <= c <= "鿿" for c in text), (method, path)
            assert text.split("\n")[0].isascii() or "”" in text, (method, path)
            assert operation["summary"].isascii(), (method, path)
    assert "ReportIn" in described["components"]["schemas"]


def test_health_tells_a_stranger_whether_and_an_insider_why(town: District) -> None:
    inside = Client().get("/health")
    parts = json.loads(inside.content)
    assert parts["reports"]["holds"] is True
    assert {"queues", "stuck", "seal", "disk", "database"} <= parts.keys()
    outside = Client(REMOTE_ADDR="203.0.113.9").get("/health")
    assert json.loads(outside.content).keys() == {"status"}
    assert Client(REMOTE_ADDR="203.0.113.9").get("/metrics").status_code == 404
    assert b'gridloop_reports{state="accepted"}' in Client().get("/metrics").content
    token = caller(town, "system").headers
    assert Client(REMOTE_ADDR="203.0.113.9").get("/metrics", headers=token).status_code == 200


def test_stuck_deliveries_are_listed_and_tried_again(town: District, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("13812345678")

    monkeypatch.setattr("gridloop.discover.reactions.triage_reports", broken)
    town.report()
    for minutes in (0, 1, 2, 3):
        with clock.frozen(DAY + timedelta(minutes=minutes)):
            town.drain()
    monkeypatch.undo()
    call = caller(town, "system")
    (stuck,) = call("GET", "/stuck")["items"]
    assert (stuck["reaction"], stuck["attempts"]) == ("discover.triage", 3)
    assert stuck["error"].startswith("RuntimeError at ")
    assert json.loads(Client().get("/health").content)["stuck"] == {"well": False, "deliveries": 1}
    assert call("POST", "/stuck/again", {"ids": [stuck["id"]]}) == {"count": 1}
    with clock.frozen(DAY + timedelta(minutes=5)):
        town.drain()
    assert call("GET", "/stuck")["items"] == []
    assert not Report.objects.filter(state="waiting").exists()


def test_who_must_change_the_password_can_do_nothing_else(town: District) -> None:
    call = logged_in(town)
    Person.objects.filter(username="intake").update(must_change_password=True)
    assert call("GET", "/session")["must_change_password"] is True
    assert call("GET", "/triage", status=403)["code"] == "password_change_needed"
    call("POST", "/session/password", {"old": PASSWORD, "new": PASSWORD + "!"}, status=204)
    call("GET", "/triage")


def test_cookies_are_out_of_reach_of_scripts_and_foreign_pages(town: District) -> None:
    cookies = logged_in(town).client.cookies
    session, device = cookies[settings.SESSION_COOKIE_NAME], cookies["gridloop_device"]
    assert (bool(session["httponly"]), session["samesite"]) == (True, "Lax")
    assert (bool(device["httponly"]), device["samesite"]) == (True, "Strict")


def test_a_forwarded_address_counts_only_behind_our_own_proxy(settings: Any) -> None:
    asked = RequestFactory().get("/", REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="6.6.6.6, 203.0.113.9")
    assert source_of(asked) == "10.0.0.1"
    settings.GRIDLOOP_BEHIND_PROXY = True
    assert source_of(asked) == "203.0.113.9"


def test_behind_a_proxy_loopback_is_nobody(town: District, settings: Any) -> None:
    settings.GRIDLOOP_BEHIND_PROXY = True
    assert Client().get("/metrics").status_code == 404


def test_a_lost_report_makes_the_house_unwell(town: District) -> None:
    town.report()
    assert json.loads(Client().get("/health").content)["reports"]["holds"] is True
    Report.objects.all().delete()
    answer = Client().get("/health")
    assert (answer.status_code, json.loads(answer.content)["status"]) == (503, "unwell")
