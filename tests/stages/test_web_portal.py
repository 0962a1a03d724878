"""The portal: a resident without an account reports, asks, answers, takes away and deletes; the public looks."""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from gridloop.cases.models import Case
from gridloop.discover.actions import triage_reports
from gridloop.discover.models import Report
from gridloop.handle.actions import add_evidence
from gridloop.handle.models import Evidence, ReportPicture
from gridloop.handle.residents import forget_unsent
from gridloop.kernel import clock
from gridloop.kernel.models import Event
from gridloop.people.viewer import SYSTEM
from gridloop.registry.models import ReporterContact
from tests.build import DAY, District, district
from tests.leaks import NAME, PHONE, SPOKEN_PHONE, found_in
from tests.stages.desk import HOUR, Desk
from tests.stages.pictures import archive, jpeg

pytestmark = pytest.mark.django_db
SCRIPT = '<script>alert("1")</script><img src=x onerror=alert(1)>'


@pytest.fixture
def here(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> District:
    monkeypatch.setattr(settings, "GRIDLOOP_DATA", tmp_path)
    return district()


@pytest.fixture
def desk(here: District) -> Desk:
    return Desk(here)


@pytest.fixture
def browser() -> Client:
    return Client(headers={"accept-language": "en"})


def form(here: District, **more: Any) -> dict[str, Any]:
    lon, lat = here.place()
    written = {"key": str(uuid.uuid4()), "what": "垃圾桶满了，垃圾掉到路上", "where": "", "area": "410104001001"}
    return {**written, "lon": str(lon), "lat": str(lat), "do": "send", **more}


def send(browser: Client, here: District, **more: Any) -> str:
    """Send a report; the secret of its link."""
    answer = browser.post("/portal/report", form(here, **more))
    assert answer.status_code == 303, answer.content.decode()[:2000]
    return str(re.fullmatch(r"/portal/t/([\w-]{22})\?new=1", answer["Location"])[1])  # type: ignore[index]


def content(browser: Client, path: str) -> bytes:
    """What an address answers, also if it is made on the way."""
    answer: Any = browser.get(path)
    assert answer.status_code == 200, path
    return b"".join(answer.streaming_content) if answer.streaming else bytes(answer.content)


def page(browser: Client, path: str, status: int = 200) -> str:
    answer = browser.get(path)
    assert answer.status_code == status, (path, answer.status_code, answer.content.decode()[:800])
    return str(answer.content.decode())


# --- reporting -----------------------------------------------------------------------------------------------------


def test_a_report_without_an_account_gets_a_secret_link_and_becomes_a_case(here: District, browser: Client) -> None:
    secret = send(browser, here)
    assert "We have it" in page(browser, f"/portal/t/{secret}?new=1")
    triage_reports(list(Report.objects.values_list("id", flat=True)))
    report = Report.objects.get()
    assert (report.channel, report.client, report.text) == ("web", "portal", "垃圾桶满了，垃圾掉到路上")
    assert report.number in page(browser, f"/portal/t/{secret}")


def test_it_is_looked_over_before_it_is_sent_and_nothing_is_stored_until_then(here: District, browser: Client) -> None:
    answer = browser.post("/portal/report", form(here, do="review", name="Ann", phone="01234567"))
    shown = answer.content.decode()
    assert answer.status_code == 200
    assert "Look it over" in shown
    assert "01234567" in shown
    assert answer["Cache-Control"] == "no-store"
    assert not Report.objects.exists()


def test_a_double_click_and_a_reload_send_one_report(here: District, browser: Client) -> None:
    written = form(here)
    links = {browser.post("/portal/report", written)["Location"] for _ in range(3)}
    assert len(links) == 1
    assert Report.objects.count() == 1


def test_the_same_form_with_other_words_is_not_sent_again(here: District, browser: Client) -> None:
    written = form(here)
    browser.post("/portal/report", written)
    again = browser.post("/portal/report", written | {"what": "另一件事"})
    assert again.status_code == 409
    assert "already" in again.content.decode()
    assert Report.objects.get().text == written["what"]


def test_all_mistakes_are_told_at_once_and_what_was_written_stays(here: District, browser: Client) -> None:
    wrong = form(here, what="", where="", area="", lon="", lat="", phone="abc", name="王" * 70, do="review")
    answer = browser.post("/portal/report", wrong)
    shown = answer.content.decode()
    assert answer.status_code == 422
    assert "4 to mend" in shown
    assert all(f'id="{name}-error"' in shown for name in ("what", "where", "phone", "name"))
    assert 'value="abc"' in shown


def test_a_place_can_be_told_without_any_map(here: District, browser: Client) -> None:
    secret = send(browser, here, lon="", lat="", where="菜市场门口")
    report = Report.objects.get()
    assert report.lon is None
    assert report.address == "测试街道 · 测试一社区 菜市场门口"
    assert "菜市场门口" in page(browser, f"/portal/t/{secret}")


def test_danger_is_answered_with_numbers_and_never_stops_the_report(here: District, browser: Client) -> None:
    written = form(here, what="楼道里有煤气味，有人受伤了")
    review = browser.post("/portal/report", written | {"do": "review"}).content.decode()
    assert 'href="tel:119"' in review
    assert 'href="tel:120"' in review
    assert "Touch no switch" in review
    assert browser.post("/portal/report", written).status_code == 303


def test_one_address_cannot_send_without_end(here: District, browser: Client) -> None:
    sent = [browser.post("/portal/report", form(here)).status_code for _ in range(12)]
    assert sent[:10] == [303] * 10
    assert sent[10:] == [429] * 2
    assert "12345" in browser.post("/portal/report", form(here)).content.decode()
    assert Report.objects.count() == 10


def test_a_filled_trap_is_told_and_loses_nothing(here: District, browser: Client) -> None:
    answer = browser.post("/portal/report", form(here, website="http://spam.example"))
    assert answer.status_code == 422
    assert "垃圾桶满了" in answer.content.decode()
    assert "spam.example" not in answer.content.decode()
    assert not Report.objects.exists()


def test_script_in_every_field_is_shown_as_text(here: District, browser: Client) -> None:
    fields = form(here, what=SCRIPT, where=SCRIPT, name=SCRIPT[:60], do="review")
    shown = browser.post("/portal/report", fields).content.decode()
    assert "<script>alert" not in shown
    assert "<img src=x" not in shown
    assert "&lt;script&gt;" in shown
    secret = send(browser, here, what=SCRIPT, where=SCRIPT)
    for path in (f"/portal/t/{secret}", f"/portal/t/{secret}/data"):
        assert "<script>alert" not in page(browser, path)


# --- photographs ---------------------------------------------------------------------------------------------------


def photo(name: str = "a.jpg", content: bytes | None = None) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content or jpeg("report", gps=True), content_type="image/jpeg")


def test_a_photograph_waits_for_the_case_and_becomes_its_evidence(
    here: District, browser: Client, django_capture_on_commit_callbacks: Any
) -> None:
    written = form(here)
    review = browser.post("/portal/report", written | {"do": "review", "photo": photo()})
    assert "1" in review.content.decode()
    assert ReportPicture.objects.get().sent_at is None
    send(browser, here, key=written["key"])
    with django_capture_on_commit_callbacks(execute=True):
        here.drain()
    report = Report.objects.get()
    assert report.case_id is not None, report.guess
    evidence = Evidence.objects.get(case_id=report.case_id)
    assert (evidence.stage, evidence.by) == ("report", "system")
    assert ReportPicture.objects.get().evidence_id == evidence.id
    assert not list((settings.GRIDLOOP_DATA / "evidence" / "arriving").glob("*"))


def test_what_is_no_photograph_is_refused_and_the_report_can_be_sent_without(here: District, browser: Client) -> None:
    written = form(here, do="review")
    answer = browser.post("/portal/report", written | {"photo": photo("x.jpg", archive())})
    assert answer.status_code == 422
    assert "photo-error" in answer.content.decode()
    assert browser.post("/portal/report", written | {"do": "send"}).status_code == 303
    assert not ReportPicture.objects.exists()


def test_a_photograph_of_a_form_that_was_never_sent_is_destroyed(here: District, browser: Client) -> None:
    browser.post("/portal/report", form(here, do="review", photo=photo()))
    assert forget_unsent(at=clock.now() + timedelta(hours=23)) == 0
    assert forget_unsent(at=clock.now() + timedelta(hours=25)) == 1
    assert not list((settings.GRIDLOOP_DATA / "evidence" / "arriving").glob("*"))


# --- me too --------------------------------------------------------------------------------------------------------


def test_me_too_joins_the_case_and_gets_a_ticket_of_its_own(here: District, desk: Desk, browser: Client) -> None:
    case = desk.bring("handling")
    assert "Me too" in page(browser, f"/portal/cases/{case.number}")
    secret = send(browser, here, same=case.number, what="", area="", lon="", lat="")
    here.drain()
    report = Report.objects.get()
    assert (report.state, report.case_id) == ("joined", case.id)
    case.refresh_from_db()
    assert case.callers == 2
    assert "2 people reported the same" in page(browser, f"/portal/t/{secret}")


def test_me_too_of_a_case_that_has_ended_goes_to_a_person(here: District, desk: Desk, browser: Client) -> None:
    case = desk.bring("closed")
    send(browser, here, same=case.number)
    here.drain()
    report = Report.objects.get()
    assert report.state == "triage"
    assert "same_ended" in (report.guess or {})["doubts"]


def test_the_review_shows_open_cases_near_by(here: District, desk: Desk, browser: Client) -> None:
    near = desk.bring("dispatched")
    desk.bring("reported")
    shown = browser.post("/portal/report", form(here, do="review")).content.decode()
    assert shown.count("The same: me too") == 1
    assert f'value="{near.number}"' in shown
    lon, lat = here.place()
    listed = browser.get(f"/portal/near?lon={lon}&lat={lat}").json()["cases"]
    assert [c["number"] for c in listed] == [near.number]


# --- the ticket ----------------------------------------------------------------------------------------------------


def ticket_of(desk: Desk, browser: Client, state: str, **more: Any) -> tuple[str, Case]:
    """A resident's report that joined a case, and the case brought to a state."""
    case = desk.bring("handling")
    secret = send(browser, desk.here, same=case.number, what="垃圾没人收", **more)
    desk.here.drain()
    later = clock.now()
    if state in ("handled", "pending_close", "closed"):
        case = desk.move(case, "hand_back", reason="垃圾已清运，桶已扶正", at=later)
    if state in ("pending_close", "closed"):
        case = desk.move(case, "check", "passed", at=later)
    if state == "closed":
        case = desk.move(case, "close", at=later)
    desk.here.drain()
    return secret, case


def test_the_ticket_tells_the_promise_and_every_change_of_it(here: District, desk: Desk, browser: Client) -> None:
    case = desk.bring("handling")
    secret = send(browser, here, same=case.number)
    here.drain()
    desk.move(case, "ask_extension", reason="等配件到货", at=DAY + HOUR)
    desk.move(case, "extend", at=DAY + HOUR)
    shown = page(browser, f"/portal/t/{secret}")
    assert "How the promise changed" in shown
    assert "extended" in shown
    assert "等配件到货" in shown
    desk.move(case, "suspend", reason="打13987651234联系物业后再办", at=DAY + HOUR, until=DAY + timedelta(days=2))
    shown = page(browser, f"/portal/t/{secret}")
    assert "The clock stands still" in shown
    assert "13987651234" not in shown


@pytest.mark.parametrize(
    ("state", "says"),
    [
        ("closed", "another person has looked"),
        ("forced_close", "cannot be done now"),
        ("not_accepted", "not ours to do"),
        ("cancelled", "It was cancelled"),
    ],
)
def test_each_end_has_words_of_its_own(here: District, desk: Desk, browser: Client, state: str, says: str) -> None:
    secret = send(browser, here)
    case = desk.bring(state)
    Report.objects.update(case_id=case.id, state="joined")
    assert says in page(browser, f"/portal/t/{secret}")


def test_solved_is_answered_with_one_tap_and_counts_once(desk: Desk, browser: Client) -> None:
    secret, case = ticket_of(desk, browser, "closed")
    shown = page(browser, f"/portal/t/{secret}")
    assert "Is it solved?" in shown
    assert "垃圾已清运" in shown
    for _ in range(2):
        answer = browser.post(f"/portal/t/{secret}/answer", {"resolved": "yes", "satisfied": "4"})
        assert answer["Location"] == f"/portal/t/{secret}#answer"
    assert "You said: solved" in page(browser, f"/portal/t/{secret}")
    assert Event.objects.filter(name="ReporterAnswered").count() == 1
    case.refresh_from_db()
    assert case.state == "closed"


def test_not_solved_takes_the_case_up_again(desk: Desk, browser: Client) -> None:
    secret, case = ticket_of(desk, browser, "closed")
    browser.post(f"/portal/t/{secret}/answer", {"resolved": "no", "comment": "还有一半在路上"})
    case.refresh_from_db()
    assert (case.state, case.reopened) == ("rework", 1)
    shown = page(browser, f"/portal/t/{secret}")
    assert "It was taken up again" in shown
    assert "还有一半在路上" in shown


def test_the_link_is_a_link_in_a_square_and_the_page_is_told_to_nobody(here: District, browser: Client) -> None:
    secret = send(browser, here)
    answer = browser.get(f"/portal/t/{secret}")
    assert answer["Referrer-Policy"] == "no-referrer"
    assert "noindex" in answer["X-Robots-Tag"]
    assert "no-store" in answer["Cache-Control"]
    drawn = answer.content.decode().split('class="qr"')[1].split("</div>")[0]
    assert "<svg" in drawn
    assert "style=" not in drawn


def test_another_word_than_the_secret_opens_nothing(here: District, browser: Client) -> None:
    secret = send(browser, here)
    report = Report.objects.get()
    for word in (secret[:-1] + ("A" if secret[-1] != "A" else "B"), report.number, report.secret, "x"):
        for path in (f"/portal/t/{word}", f"/portal/t/{word}/data"):
            assert "垃圾桶" not in page(browser, path, 404)


def test_no_log_line_carries_the_secret(here: District, browser: Client, capfd: pytest.CaptureFixture[str]) -> None:
    secret = send(browser, here)
    for word in (secret, secret[:-2] + "zz"):
        browser.get(f"/portal/t/{word}")
        browser.get(f"/portal/t/{word}/nothing")
        browser.put(f"/portal/t/{word}")
    said = "".join(capfd.readouterr())
    assert secret[:-2] not in said


def test_the_number_alone_tells_how_it_stands_and_nothing_more(here: District, browser: Client) -> None:
    secret = send(browser, here, name=NAME, phone=PHONE)
    number = Report.objects.get().number
    shown = browser.post("/portal/find", {"ticket": f" {number.lower()} "}).content.decode()
    assert number in shown
    assert "垃圾桶" not in shown
    assert secret not in shown
    for word in (secret, f"http://localhost/portal/t/{secret}"):
        assert browser.post("/portal/find", {"ticket": word})["Location"] == f"/portal/t/{secret}"
    assert browser.post("/portal/find", {"ticket": "261122-0000000000"}).status_code == 404


def test_numbers_cannot_be_tried_out(here: District, browser: Client) -> None:
    tried = [browser.post("/portal/find", {"ticket": f"261122-{n:010d}"}).status_code for n in range(22)]
    assert set(tried[:20]) == {404}
    assert set(tried[20:]) == {429}


# --- one's own data ------------------------------------------------------------------------------------------------


def test_one_sees_takes_away_and_destroys_what_is_kept(here: District, browser: Client) -> None:
    secret = send(browser, here, name=NAME, phone=PHONE)
    shown = page(browser, f"/portal/t/{secret}/data")
    assert "欧*" in shown
    assert PHONE not in shown
    whole = json.loads(browser.post(f"/portal/t/{secret}/data", {"do": "download"}).content)
    assert (whole["name"], whole["phone"]) == (NAME, PHONE)
    assert Event.objects.filter(name="DataGivenOut").count() == 1
    assert "destroyed" not in browser.post(f"/portal/t/{secret}/data", {"do": "delete"}).content.decode()
    assert ReporterContact.objects.get().wiped_at is None
    done = browser.post(f"/portal/t/{secret}/data", {"do": "delete", "sure": "yes"}).content.decode()
    assert "nobody can bring them back" in done
    row = ReporterContact.objects.get()
    assert row.key is None
    assert row.sealed is None
    told = Event.objects.filter(name__in=["DeletionAsked", "ContactsWiped"])
    assert {e.name for e in told} == {"DeletionAsked", "ContactsWiped"}
    assert not found_in(repr([e.data for e in told]).encode())
    assert "垃圾桶满了" in page(browser, f"/portal/t/{secret}")


# --- the public ----------------------------------------------------------------------------------------------------

PUBLIC = (
    "/portal/",
    "/portal/cases",
    "/portal/cases.csv",
    "/portal/cases.geojson",
    "/portal/feed.atom",
    "/portal/follow",
)


def test_no_public_page_carries_a_word_or_a_person(here: District, desk: Desk, browser: Client) -> None:
    text = f"{NAME}住在三单元501，电话{SPOKEN_PHONE}，门口有垃圾"
    for state in ("dispatched", "handling", "closed", "forced_close"):
        desk.bring(state, text=text, address=f"测试路1号{NAME}家")
    secret = send(browser, here, what=text, name=NAME, phone=PHONE)
    here.drain()
    numbers = [c.number for c in Case.objects.all()]
    pages = [*PUBLIC, *(f"/portal/cases/{n}" for n in numbers)]
    for path in pages:
        shown = content(browser, path)
        assert not found_in(shown), path
        assert "三单元".encode() not in shown, path
        assert "测试路".encode() not in shown, path
        assert secret.encode() not in shown, path


def test_private_types_and_unfiled_cases_do_not_exist_for_the_public(desk: Desk, browser: Client) -> None:
    seen = desk.bring("handling")
    private = desk.bring("dispatched", case_type="urban:E0101")
    unfiled = [desk.bring(s) for s in ("reported", "pending_verify", "pending_filing", "not_accepted", "cancelled")]
    for path in ("/portal/cases", "/portal/cases.csv", "/portal/feed.atom", "/portal/cases.geojson"):
        shown = content(browser, path).decode()
        assert seen.number in shown, path
        assert private.number not in shown, path
        assert not [c for c in unfiled if c.number in shown], path
    for case in (private, *unfiled):
        page(browser, f"/portal/cases/{case.number}", 404)


def test_places_are_coarse(here: District, desk: Desk, browser: Client) -> None:
    case = desk.bring("handling")
    (feature,) = browser.get("/portal/cases.geojson").json()["features"]
    lon, lat = feature["geometry"]["coordinates"]
    assert case.lon is not None
    assert case.lat is not None
    assert abs(lon - case.lon) <= 0.0005001
    assert abs(lat - case.lat) <= 0.0005001
    assert round(lon * 10_000) % 10 == 5
    assert round(lat * 10_000) % 10 == 5


def test_the_list_filters_and_pages_and_each_figure_opens_to_its_list(desk: Desk, browser: Client) -> None:
    month = DAY.strftime("%Y-%m")
    for _ in range(23):
        desk.bring("dispatched")
    closed = desk.bring("closed")
    first = page(browser, "/portal/cases")
    link = re.search(r'href="(\?[^"]+)" rel="next"', first)
    assert link
    second = page(browser, "/portal/cases" + link[1].replace("&amp;", "&"))
    numbers = set(re.findall(r"/portal/cases/(\d{19})\"", first)) | set(re.findall(r"/portal/cases/(\d{19})\"", second))
    assert len(numbers) == 24
    solved = page(browser, f"/portal/cases?month={month}&state=solved")
    assert set(re.findall(r"/portal/cases/(\d{19})\"", solved)) == {closed.number}
    assert closed.number in page(browser, "/portal/cases?region=410104001001&major=urban:E01&on_time=1")
    assert "No public case fits" in page(browser, "/portal/cases?region=410104002")


def test_the_table_is_a_table(desk: Desk, browser: Client) -> None:
    case = desk.bring("closed")
    lines = content(browser, "/portal/cases.csv").decode("utf-8-sig").splitlines()
    assert lines[0].startswith("number,case_type")
    assert lines[1].startswith(case.number)
    assert "true" in lines[1]


def test_an_area_is_followed_by_a_feed(desk: Desk, browser: Client) -> None:
    case = desk.bring("handling")
    feed = Xml.fromstring(browser.get("/portal/feed.atom?region=410104001001").content)
    names = {"a": "http://www.w3.org/2005/Atom"}
    assert [e.text for e in feed.findall("a:entry/a:id", names)] == [f"http://testserver/portal/cases/{case.number}"]
    assert not Xml.fromstring(browser.get("/portal/feed.atom?region=410104001002").content).findall("a:entry", names)
    lon, lat = desk.here.place()
    near = browser.get("/portal/feed.atom", {"near": f"{lon:.3f},{lat:.3f},500"})
    assert case.number in near.content.decode()
    assert "feed.atom?region=410104001001" in page(browser, "/portal/follow?region=410104001001")


def test_a_picture_is_public_only_once_it_was_made_so(here: District, desk: Desk, browser: Client) -> None:
    case = desk.bring("handling")
    evidence = add_evidence(case_id=case.id, stage="before", content=jpeg("before"), viewer=SYSTEM)
    here.drain()
    Evidence.objects.update(public_state="withheld")
    page(browser, f"/portal/cases/{case.number}/pictures/{evidence.id}", 404)
    evidence.refresh_from_db()
    Evidence.objects.update(public_state="released", public=evidence.served, public_thumbnail=evidence.served)
    answer = browser.get(f"/portal/cases/{case.number}/pictures/{evidence.id}")
    assert answer.status_code == 200
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert f"pictures/{evidence.id}" in page(browser, f"/portal/cases/{case.number}")


def test_the_public_pages_ask_a_pinned_number_of_queries(
    desk: Desk, browser: Client, django_assert_max_num_queries: Any
) -> None:
    for _ in range(5):
        desk.bring("closed")
    for path, most in (("/portal/", 6), ("/portal/cases", 6), ("/portal/report", 3), ("/portal/feed.atom", 4)):
        page(browser, path)
        with django_assert_max_num_queries(most):
            page(browser, path)


def test_every_page_is_complete_in_both_languages(here: District, desk: Desk) -> None:
    browser = Client(headers={"accept-language": "en"})
    secret, case = ticket_of(desk, browser, "closed", name="Ann")
    paths = ["/portal/", "/portal/report", f"/portal/report?same={desk.bring('handling').number}", "/portal/find",
             f"/portal/t/{secret}", f"/portal/t/{secret}/data", "/portal/cases", f"/portal/cases/{case.number}",
             "/portal/follow?region=410104001", "/portal/privacy"]  # fmt: skip
    for path in paths:
        shown = page(browser, path)
        shown = re.sub(r'(?s)<(\w+)[^>]*(?:lang="zh|class="[^"]*\bdata\b)[^>]*>.*?</\1>', "", shown)
        shown = re.sub(r'(?s)<script id="dangers".*?</script>|<optgroup[^>]*>|data-name="[^"]*"', "", shown)
        assert not re.findall(r"[\u4e00-\u9fff]+", shown), path
