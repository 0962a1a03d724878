"""Coming in through the browser: password, second factor, passkeys, sessions, and what one may change of one's own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.contrib.sessions.models import Session
from django.test import Client

from gridloop.kernel import clock
from gridloop.kernel.errors import Refused
from gridloop.kernel.models import Event
from gridloop.people import access, actions, factors
from gridloop.people.models import BrowserSession, Membership, Person, Unit
from gridloop.people.queries import viewer_for
from gridloop.people.viewer import SYSTEM

pytestmark = pytest.mark.django_db
GOOD = "blue kettle on a Tuesday"
AT = datetime(2026, 11, 16, 2, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _on_a_monday() -> Iterator[None]:
    with clock.frozen(AT):
        yield


def person(username: str, role: str = "grid_worker") -> Person:
    unit, _ = Unit.objects.get_or_create(
        code="street", defaults={"name": "Street", "kind": "street", "starts_on": AT.date()}
    )
    made = Person.objects.create_person(username=username, name="王一", password=GOOD)
    Membership.objects.create(person=made, unit=unit, role=role, starts_on=AT.date())
    return made


@pytest.fixture
def wang() -> Person:
    return person("wang")


def log_in(client: Client, username: str = "wang", password: str = GOOD, **more: Any) -> Any:
    return client.post("/login", {"username": username, "password": password, **more})


def code_of(secret: str, at: datetime) -> str:
    return str(format_hotp_value(hotp_value(secret, int(at.timestamp()) // 30)))


def with_app(who: Person, at: datetime = AT) -> tuple[str, list[str]]:
    """Give somebody an authenticator app some minutes ago; its secret and the recovery codes."""
    at -= timedelta(minutes=5)
    new = factors.new_app(who, site="test")
    code = code_of(new.secret, at)
    return new.secret, factors.add_app(person=who, locked=new.locked, code=code, viewer=viewer_for(who), at=at)


def test_a_password_opens_a_session_and_goes_where_one_wanted_to_go(wang: Person, client: Client) -> None:
    page = client.get("/login?next=/account/")
    assert page.status_code == 200
    assert "用户名" in page.content.decode()
    answer = log_in(client, next="/account/")
    assert (answer.status_code, answer["Location"]) == (302, "/account/")
    assert client.cookies[access.DEVICE]["httponly"]
    assert client.get("/login").status_code == 302


@pytest.mark.parametrize("target", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "\\\\evil"])
def test_log_in_sends_nobody_to_another_site(wang: Person, client: Client, target: str) -> None:
    assert log_in(client, next=target)["Location"] == "/console/"


def test_unknown_and_wrong_look_the_same_and_repeat_nothing(wang: Person, client: Client) -> None:
    pages = [log_in(client, u, p) for u, p in (("wang", "wrong"), ("absent", GOOD))]
    token = re.compile(r'(csrfmiddlewaretoken" value="|csrf" content="|X-CSRFToken": ")[^"]+')
    assert [p.status_code for p in pages] == [401, 401]
    assert len({token.sub("", p.content.decode()) for p in pages}) == 1
    assert "absent" not in pages[1].content.decode()
    assert sessions_open(client) is False


def sessions_open(client: Client) -> bool:
    return "_auth_user_id" in client.session


def test_a_second_factor_is_asked_for_and_its_code_opens_once(wang: Person, client: Client) -> None:
    secret, _ = with_app(wang)
    assert log_in(client, next="/account/")["Location"] == "/login/second"
    assert not sessions_open(client)
    assert client.get("/account/").status_code == 302
    assert "六位数字" in client.get("/login/second").content.decode()
    assert client.post("/login/second", {"code": "000000"}).status_code == 401
    answer = client.post("/login/second", {"code": code_of(secret, AT)})
    assert (answer.status_code, answer["Location"]) == (302, "/account/")
    assert sessions_open(client)
    assert Event.objects.filter(name="LoggedIn").latest("id").data["second"] == "totp"
    other = Client()
    log_in(other)
    assert other.post("/login/second", {"code": code_of(secret, AT)}).status_code == 401  # it was used a moment ago
    with clock.frozen(AT + timedelta(seconds=30)):
        assert other.post("/login/second", {"code": code_of(secret, AT + timedelta(seconds=30))}).status_code == 302


def test_the_second_half_cannot_be_begun_without_the_first_nor_long_after_it(wang: Person, client: Client) -> None:
    secret, _ = with_app(wang)
    assert client.post("/login/second", {"code": code_of(secret, AT)})["Location"] == "/login"
    log_in(client)
    late = AT + timedelta(minutes=6)
    with clock.frozen(late):
        assert client.post("/login/second", {"code": code_of(secret, late)})["Location"] == "/login"
    assert not sessions_open(client)


def test_a_new_password_ends_a_log_in_that_is_half_done(wang: Person, client: Client) -> None:
    secret, _ = with_app(wang)
    log_in(client)
    actions.end_sessions(person_id=wang.pk, viewer=SYSTEM, at=AT)
    assert client.post("/login/second", {"code": code_of(secret, AT)})["Location"] == "/login"


def test_recovery_codes_open_once_each(wang: Person, client: Client) -> None:
    _, codes = with_app(wang)
    assert len(set(codes)) == 10
    for expected in (302, 401):
        client = Client()
        log_in(client)
        assert client.post("/login/second", {"code": f"{codes[3][:5]} {codes[3][5:]}"}).status_code == expected
    (left,) = [f.left for f in factors.factors_of(wang.pk) if f.kind == "recovery_codes"]
    assert left == 9


def test_codes_cannot_be_tried_out(wang: Person, client: Client) -> None:
    with_app(wang)
    log_in(client)
    statuses = [client.post("/login/second", {"code": f"{n:06}"}).status_code for n in range(12)]
    assert statuses.count(401) <= 5
    assert statuses[-1] == 429


def test_the_api_gives_no_session_and_so_no_token_for_a_password_alone(wang: Person, client: Client) -> None:
    secret, _ = with_app(wang)

    def ask(**more: str) -> Any:
        return client.post("/api/v1/session", {"username": "wang", "password": GOOD, **more}, "application/json")

    assert (ask().status_code, ask().json()["code"]) == (401, "second_factor_needed")
    assert ask(code="123456").json()["code"] == "wrong_code"
    assert client.post("/api/v1/tokens", {"name": "x"}, "application/json").status_code == 401
    assert ask(code=code_of(secret, AT)).status_code == 200
    assert sessions_open(client)


def test_secrets_of_factors_are_locked_where_they_lie(wang: Person, client: Client) -> None:
    log_in(client)
    page = client.get("/account/second-factor/app").content.decode()
    (secret,) = re.findall(r'class="secret">([A-Z2-7]+)<', page)
    answer = client.post("/account/second-factor/app", {"code": code_of(secret, AT)})
    assert answer["Location"] == "/account/second-factor?added=1"
    stored = " ".join(str(a.data) for a in Authenticator.objects.all())
    kept = " ".join(str(s.get_decoded()) for s in Session.objects.all())
    shown = client.get(answer["Location"]).content.decode()
    codes = re.findall(r"<code>(\d{5}) (\d{5})</code>", shown)
    assert len(codes) == 10
    for secret_thing in (secret, *("".join(pair) for pair in codes)):
        assert secret_thing not in stored
        assert secret_thing not in kept
    assert not re.findall(r"<code>\d{5} \d{5}</code>", client.get("/account/second-factor").content.decode())
    assert {e.data["kind"] for e in Event.objects.filter(name="FactorAdded")} == {"totp"}


def test_a_wrong_first_code_says_what_to_do_and_keeps_the_same_secret(wang: Person, client: Client) -> None:
    log_in(client)
    pages = [client.get("/account/second-factor/app"), client.post("/account/second-factor/app", {"code": "12"})]
    secrets = {re.findall(r'class="secret">([A-Z2-7]+)<', p.content.decode())[0] for p in pages}
    assert len(secrets) == 1
    assert pages[1].status_code == 422
    assert "六位数字" in pages[1].content.decode()


def test_factors_are_changed_only_by_who_proved_lately_who_they_are(wang: Person, client: Client) -> None:
    with_app(wang)
    (app,) = [f for f in factors.factors_of(wang.pk) if f.kind == "totp"]
    client.force_login(wang)
    session = client.session
    session["since"] = session["seen"] = AT.isoformat()
    session["proved"] = (AT - timedelta(minutes=11)).isoformat()
    session.save()
    for address in ("remove", "codes"):
        answer = client.post(f"/account/second-factor/{address}", {"factor": app.id})
        assert answer["Location"].startswith("/account/confirm")
    assert client.get("/account/second-factor/app")["Location"].startswith("/account/confirm")
    assert client.post("/account/second-factor/passkey", {}, "application/json").status_code == 403
    assert client.post("/account/confirm", {"password": "wrong"}).status_code == 401
    assert client.post("/account/confirm", {"password": GOOD, "next": "/account/second-factor"}).status_code == 302
    assert client.post("/account/second-factor/remove", {"factor": app.id}).status_code == 302
    assert factors.factors_of(wang.pk) == []


def test_nobody_removes_anothers_factor(wang: Person, client: Client) -> None:
    li = person("li")
    with_app(li)
    log_in(client)
    answer = client.post("/account/second-factor/remove", {"factor": factors.factors_of(li.pk)[0].id})
    assert answer.status_code == 404
    assert factors.has_one(li.pk)


def test_a_security_administrator_resets_factors_and_ends_the_sessions(wang: Person, client: Client) -> None:
    admin = person("admin", "security_admin")
    with_app(wang)
    log_in(client)
    with pytest.raises(Refused):
        factors.reset_factors(person_id=wang.pk, viewer=viewer_for(person("li")), at=AT)
    with pytest.raises(Refused):
        factors.reset_factors(person_id=admin.pk, viewer=viewer_for(admin), at=AT)
    factors.reset_factors(person_id=wang.pk, viewer=viewer_for(admin), at=AT)
    assert not factors.has_one(wang.pk)
    assert log_in(Client())["Location"] == "/console/"


@pytest.mark.parametrize(
    ("mode", "role", "demanded"),
    [
        ("offered", "security_admin", False),
        ("required_for_admins", "security_admin", True),
        ("required_for_admins", "auditor", True),
        ("required_for_admins", "intake_officer", True),
        ("required_for_admins", "grid_worker", False),
        ("required", "grid_worker", True),
        ("off", "system_admin", False),
    ],
)
def test_who_must_have_a_second_factor(client: Client, settings: Any, mode: str, role: str, demanded: bool) -> None:
    settings.GRIDLOOP_MFA = mode
    person("who", role)
    log_in(client, "who")
    answer = client.get("/account/")
    assert (answer.status_code, answer.get("Location", "")[:22]) == (
        (302, "/account/second-factor") if demanded else (200, "")
    )
    called = client.get("/api/v1/notices")
    assert (called.status_code, called.json().get("code")) == (
        (403, "second_factor_missing") if demanded else (200, None)
    )
    if demanded:
        page = client.get("/account/second-factor/app").content.decode()
        (secret,) = re.findall(r'class="secret">([A-Z2-7]+)<', page)
        client.post("/account/second-factor/app", {"code": code_of(secret, AT)})
        assert client.get("/account/").status_code == 200
        removed = client.post(
            "/account/second-factor/remove", {"factor": factors.factors_of(Person.objects.get(username="who").pk)[0].id}
        )
        assert removed.status_code == 409


def test_a_token_made_before_a_factor_was_demanded_opens_nothing_until_there_is_one(settings: Any) -> None:
    admin = person("admin", "security_admin")
    _, text = access.issue_token(viewer=viewer_for(admin), person=admin, at=AT)
    settings.GRIDLOOP_MFA = "required_for_admins"
    access.forget_cached()
    assert access.holder_of(text, at=AT).owes == "second_factor"
    with_app(admin)
    access.forget_cached()
    assert access.holder_of(text, at=AT).owes == ""


def test_where_second_factors_are_off_none_is_set_up_but_who_has_one_is_asked(
    wang: Person, client: Client, settings: Any
) -> None:
    with_app(wang)
    settings.GRIDLOOP_MFA = "off"
    assert log_in(client)["Location"] == "/login/second"
    li = person("li")
    with pytest.raises(Refused):
        with_app(li)


def test_the_first_password_needs_a_code_and_then_a_log_in(client: Client) -> None:
    new = Person.objects.create_person(username="new", name="新")
    code = actions.issue_setup_codes(person_ids=[new.pk], viewer=SYSTEM, at=AT)["new"]
    fields = {"username": "new", "code": code, "password": "seven green umbrellas", "again": "seven green umbrellas"}
    assert client.post("/password", fields | {"code": "AAAAA"}).status_code == 401
    weak = client.post("/password", fields | {"password": "short", "again": "short"})
    assert weak.status_code == 422
    assert "少于12个字符" in weak.content.decode()
    assert "两次输入的新口令不同" in client.post("/password", fields | {"again": "x"}).content.decode()
    assert client.post("/password", fields)["Location"] == "/login#set"
    assert not sessions_open(client)
    assert log_in(client, "new", "seven green umbrellas").status_code == 302


def test_a_password_is_changed_by_who_knows_it_and_other_browsers_are_out(wang: Person, client: Client) -> None:
    other = Client()
    log_in(other)
    log_in(client)
    fields = {"old": GOOD, "password": "seven green umbrellas", "again": "seven green umbrellas"}
    assert "现在的口令不对" in client.post("/password", fields | {"old": "wrong"}).content.decode()
    assert client.post("/password", fields)["Location"] == "/account/?changed=1"
    assert client.get("/account/").status_code == 200
    assert other.get("/account/").status_code == 302


def test_who_must_change_the_password_sees_nothing_else_first(wang: Person, client: Client) -> None:
    Person.objects.update(must_change_password=True)
    log_in(client)
    assert client.get("/account/")["Location"].startswith("/password")
    assert "请先更换口令" in client.get("/password").content.decode()


def test_logging_out_needs_a_post_and_the_cookie_is_worthless_afterwards(wang: Person, client: Client) -> None:
    log_in(client)
    cookie = client.cookies["sessionid"].value
    assert client.get("/logout").status_code == 405
    assert client.post("/logout").status_code == 302
    client.cookies["sessionid"] = cookie
    assert client.get("/account/").status_code == 302
    assert not BrowserSession.objects.exists()


def test_one_sees_and_ends_ones_own_sessions_only(wang: Person, client: Client) -> None:
    other = Client(headers={"User-Agent": "Mozilla/5.0 (Linux; Android 14) Chrome/140 Mobile Safari/537"})
    log_in(client)
    log_in(other)
    theirs = Client()
    person("li")
    log_in(theirs, "li")
    page = client.get("/account/").content.decode()
    assert "Chrome · Android" in page
    assert page.count("登录于") == 2
    rows = {s.browser: s.pk for s in BrowserSession.objects.filter(person__username="wang")}
    foreign = BrowserSession.objects.get(person__username="li").pk
    assert client.post("/account/sessions/end", {"session": foreign}).status_code == 404
    assert client.post("/account/sessions/end", {"session": rows["Chrome · Android"]}).status_code == 302
    assert other.get("/account/").status_code == 302
    assert client.get("/account/").status_code == 200
    third = Client()
    log_in(third)
    client.post("/account/sessions/end", {"session": "others"})
    assert third.get("/account/").status_code == 302
    assert client.get("/account/").status_code == 200
    assert theirs.get("/account/").status_code == 200


def test_a_page_that_asks_by_itself_keeps_no_session_awake(wang: Person, client: Client) -> None:
    log_in(client)
    for minutes in range(0, 31, 6):
        with clock.frozen(AT + timedelta(minutes=minutes)):
            client.get("/account/second-factor", headers={"X-Background": "1"})
    with clock.frozen(AT + timedelta(minutes=31)):
        assert client.get("/account/").status_code == 302


def test_there_is_no_log_in_by_a_provider_where_none_is_configured(client: Client) -> None:
    assert client.get("/login/oidc").status_code == 404
    assert client.get("/login/oidc/callback?code=x&state=y").status_code == 404
    assert "/login/oidc" not in client.get("/login").content.decode()


def test_a_passkeys_answer_without_its_question_is_refused_with_a_sentence(wang: Person, client: Client) -> None:
    accept = {"Accept": "application/json"}
    answer = client.post("/login/passkey/answer", {"response": {}}, "application/json", headers=accept)
    assert (answer.status_code, answer.json()["code"]) == (403, "wrong_passkey")
    assert client.post("/login/passkey", {}, "application/json", headers=accept).json()["publicKey"]["challenge"]
    handles = ["", "MQ", "eA", "x" * 300, {"a": 1}]
    for handle in handles:
        client.post("/login/passkey", {}, "application/json", headers=accept)
        answer = client.post(
            "/login/passkey/answer",
            {"id": "AA", "response": {"userHandle": handle}},
            "application/json",
            headers=accept,
        )
        assert (answer.status_code, answer.json()["code"]) == (403, "wrong_passkey")


def test_pages_of_the_account_speak_english_too(wang: Person, client: Client) -> None:
    with_app(wang)
    client.cookies["django_language"] = "en"
    han = re.compile(r"[\u4e00-\u9fff]")
    pages = [client.get("/login"), client.get("/password"), log_in(client, password="wrong")]
    log_in(client)
    pages += [client.get("/login/second"), client.post("/login/second", {"code": "1"})]
    client.force_login(wang)
    session = client.session
    session["since"] = session["seen"] = session["proved"] = AT.isoformat()
    session.save()
    pages += [client.get(a) for a in ("/account/", "/account/second-factor", "/account/confirm", "/password")]
    for page in pages:
        assert not han.findall(without_data(page.content.decode())), page.request["PATH_INFO"]


def without_data(page: str) -> str:
    """The page without what is shown as it is: names, and the name of the other language."""
    marked = r'<(\w+)[^>]*(lang="zh(-CN)?"|class="[^"]*\bdata\b[^"]*")[^>]*>.*?</\1>'
    return re.sub(marked, "", page)
