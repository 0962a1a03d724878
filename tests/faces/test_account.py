"""Coming in with a real browser: a code, a passkey, an identity provider; and the pages of one's own account."""

from __future__ import annotations

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.core.servers.basehttp import ThreadedWSGIServer, WSGIRequestHandler
from django.core.wsgi import get_wsgi_application
from playwright.sync_api import Browser, BrowserContext, Page, expect

from config import environment
from gridloop.kernel import clock
from gridloop.kernel.language import Sentence
from gridloop.people import actions, ways_out
from gridloop.people.models import BrowserSession, Membership, Notice, Person, Unit
from gridloop.people.queries import viewer_for
from tools import assets

pytestmark = pytest.mark.usefixtures("committed")
MINE = re.compile(r"^http://[^/]+/account/$")
GOOD = "blue kettle on a Tuesday"
HARMLESS = re.compile(r"the server responded with a status of (4|502)|https://fonts\.")
"""Answers that a test provokes, and the letters that the provider's own pages would like to have."""


@pytest.fixture(autouse=True)
def _beside_the_browsers_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Playwright keeps an event loop in this thread; Django takes that for an asynchronous caller, which we are not."""
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "1")


class _Silent(WSGIRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def house(_beside_the_browsers_loop: None, committed: None) -> Iterator[int]:
    """The product's pages over the test's own database; the port. By name it is ``localhost``: passkeys need a name."""
    server = ThreadedWSGIServer(("127.0.0.1", 0), _Silent)
    server.daemon_threads = True
    server.set_app(get_wsgi_application())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def people() -> dict[str, Person]:
    unit = Unit.objects.create(code="street", name="街道办事处", kind="street", starts_on="2026-01-01")
    made = {}
    for username, role in (("wang", "grid_worker"), ("li", "grid_worker"), ("admin", "system_admin")):
        made[username] = Person.objects.create_person(username=username, name="王一", password=GOOD)
        Membership.objects.create(person=made[username], unit=unit, role=role, starts_on="2026-01-01")
    return made


Open = Callable[..., Page]


@pytest.fixture
def opened(browser: Browser, house: int) -> Iterator[Open]:
    """``opened(lang, width)``: a fresh browser; the test fails on what its console calls an error."""
    contexts: list[BrowserContext] = []
    wrong: list[str] = []

    def one(lang: str = "zh", width: int = 1440, host: str = "localhost") -> Page:
        context = browser.new_context(
            base_url=f"http://{host}:{house}",
            locale="zh-CN" if lang == "zh" else "en-US",
            viewport={"width": width, "height": 844},
            reduced_motion="reduce",
        )
        context.set_default_timeout(20_000)
        context.on("console", lambda m: wrong.append(f"{m.text} {m.location}") if m.type == "error" else None)
        context.on("weberror", lambda e: wrong.append(str(e.error)))
        contexts.append(context)
        return context.new_page()

    yield one
    for context in contexts:
        context.close()
    assert not [line for line in wrong if not HARMLESS.search(line)], "\n".join(wrong)


def log_in(page: Page, username: str = "wang", password: str = GOOD) -> None:
    page.goto("/login?next=/account/")
    page.locator("#username").fill(username)
    page.locator("#password").fill(password)
    page.locator("#password").press("Enter")


def log_out(page: Page) -> None:
    page.locator("header details.menu summary").last.click()
    page.locator("form[action='/logout'] button").click()
    page.wait_for_url("**/login#out")


def code_of(secret: str, *, later: int = 0) -> str:
    return str(format_hotp_value(hotp_value(secret, int(time.time()) // 30 + later)))


def with_authenticator(page: Page) -> None:
    """Give the browser a passkey device whose owner always says yes."""
    debugger = page.context.new_cdp_session(page)
    debugger.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    debugger.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def test_app_recovery_codes_and_passkey_are_set_up_and_used(
    opened: Open, people: dict[str, Person], assert_accessible: Callable[[Page], None], snap: Callable[..., None]
) -> None:
    page = opened()
    with_authenticator(page)
    log_in(page, password="wrong")
    expect(page.get_by_role("alert").first).to_have_text("用户名或口令不对。")
    assert_accessible(page)
    log_in(page)
    page.wait_for_url(MINE)

    page.get_by_role("link", name="设置", exact=True).click()
    page.get_by_role("link", name="添加验证器应用").click()
    assert_accessible(page)
    snap(page, "account-new-app")
    secret = page.locator("code.secret").inner_text()
    page.locator("#code").fill(code_of(secret, later=-1))
    page.locator("#code").press("Enter")
    codes = page.locator(".code-list code")
    expect(codes).to_have_count(10)
    recovery = codes.nth(4).inner_text()
    assert_accessible(page)
    page.get_by_role("link", name="已保存好").click()
    expect(page.locator(".code-list")).to_have_count(0)

    page.get_by_role("button", name="添加通行密钥").click()
    page.get_by_label("给它起个名字").fill("办公电脑")
    assert_accessible(page)
    page.get_by_role("button", name="继续").click()
    expect(page.get_by_text("办公电脑")).to_be_visible()
    snap(page, "account-second-factor")

    log_out(page)
    expect(page.get_by_text("已退出登录。")).to_be_visible()
    log_in(page)
    page.wait_for_url("**/login/second")
    assert_accessible(page)
    page.locator("#code").fill(code_of(secret))
    page.locator("#code").press("Enter")
    page.wait_for_url(MINE)

    log_out(page)
    log_in(page)
    page.get_by_role("button", name="用通行密钥确认").click()
    page.wait_for_url(MINE)

    log_out(page)
    page.goto("/login?next=/account/")
    page.get_by_role("button", name="用通行密钥登录").click()
    page.wait_for_url(MINE)
    assert BrowserSession.objects.filter(person=people["wang"]).count() == 1

    other = opened("en", 390)
    log_in(other)
    other.wait_for_url("**/login/second")
    other.locator("#code").fill(recovery)
    other.locator("#code").press("Enter")
    other.wait_for_url(MINE)
    expect(other.get_by_text("Second factors: 2")).to_be_visible()


def test_pages_of_the_account_fit_speak_english_and_are_accessible(
    opened: Open,
    people: dict[str, Person],
    settings: Any,
    assert_accessible: Callable[[Page], None],
    assert_english: Callable[[Page], None],
    assert_fits: Callable[[Page], None],
    snap: Callable[..., None],
) -> None:
    settings.GRIDLOOP_NOTICE_HOSTS = ["sms.example.gov.cn"]
    new = ways_out.NewChannel(
        code="sms",
        name=Sentence(zh="短信", en="SMS"),
        audience="person",
        url="jsons://sms.example.gov.cn/send?:to={address}",
    )
    ways_out.keep_channel(new=new, viewer=viewer_for(people["admin"]), at=clock.now())
    told = [
        actions.NewNotice(
            person_id=people["admin"].pk,
            kind=kind,
            sentence=Sentence(
                zh="案件202611220001（待签收）已派到您处，请办理。", en="Case 202611220001 has come to you."
            ),
        )
        for kind in ("emergency", "assigned", "urged")
    ]
    actions.notify(told, at=clock.now())
    for lang, width in (("zh", 1440), ("en", 390)):
        page = opened(lang, width)
        addresses = ["/login", "/password"]
        for address in addresses:
            page.goto(address)
            assert_accessible(page)
            assert_fits(page)
        log_in(page, "admin")
        page.wait_for_url(MINE)
        expect(page.locator("#bell .badge")).to_have_text("3")
        for name in ("", "second-factor", "second-factor/app", "notices", "notices/choices", "channels", "confirm"):
            page.goto(f"/account/{name}")
            assert_accessible(page)
            assert_fits(page)
            if lang == "en":
                assert_english(page)
            snap(page, f"account-{name.replace('/', '-') or 'home'}-{lang}-{width}", full=True)
    page.goto("/account/notices")
    page.get_by_role("button", name="Mark all as read").click()
    expect(page.locator(".told.unread")).to_have_count(0)
    assert not Notice.objects.filter(read_at=None).exists()


@pytest.fixture
def provider(house: int, settings: Any) -> Iterator[str]:
    """A real OpenID provider on this machine, and the product told of it as its environment would."""
    from socket import create_server

    with create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    values: dict[str, Any] = {
        "GRIDLOOP_OIDC_ISSUER": f"http://127.0.0.1:{port}",
        "GRIDLOOP_OIDC_CLIENT_ID": "gridloop",
        "GRIDLOOP_OIDC_CLIENT_SECRET": "a-secret-for-tests",
        "GRIDLOOP_OIDC_CLAIM": "preferred_username",
        "GRIDLOOP_OIDC_NAME": "区统一认证",
        "GRIDLOOP_OIDC_SECOND_FACTOR": False,
    }
    for name, value in values.items():
        setattr(settings, name, value)
    settings.SOCIALACCOUNT_PROVIDERS = environment.provider(values)
    node, _ = assets.node()
    program = Path(__file__).with_name("provider.mjs")
    back = f"http://localhost:{house}/login/oidc/callback"
    process = subprocess.Popen(
        [str(node), str(program), str(port), back], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    assert "ready" in iter(process.stdout.readline, "").__next__()
    yield values["GRIDLOOP_OIDC_ISSUER"]
    process.terminate()
    process.wait(10)


def through(page: Page, username: str) -> None:
    """Log in at the provider and agree."""
    page.goto("/login?next=/account/")
    page.get_by_role("link", name="区统一认证").click()
    page.wait_for_url("**/interaction/**")
    if page.locator("input[name=login]").count():
        page.locator("input[name=login]").fill(username)
        page.locator("input[name=password]").fill("any")
        page.locator("button[type=submit]").click()
    page.locator("button[type=submit]").click()


def test_an_identity_provider_lets_in_who_works_here_and_makes_nobody(
    opened: Open, people: dict[str, Person], provider: str
) -> None:
    before = Person.objects.count()
    page = opened()
    through(page, "wang")
    page.wait_for_url(MINE)
    expect(page.get_by_text("wang", exact=True)).to_be_visible()

    stranger = opened("en")
    through(stranger, "stranger")
    expect(stranger.get_by_role("heading")).to_contain_text("nobody works here under that user name")
    stranger.goto("/account/")
    stranger.wait_for_url("**/login?next=*")

    shy = opened()
    shy.goto("/login")
    shy.get_by_role("link", name="区统一认证").click()
    shy.get_by_text("Cancel").click()
    shy.wait_for_url("**/login#cancelled")
    expect(shy.get_by_text("您取消了统一身份认证登录。")).to_be_visible()

    forged = opened("en")
    forged.goto("/login/oidc/callback?code=x&state=y")
    expect(forged.get_by_role("heading")).to_contain_text("did not answer as it should")
    assert Person.objects.count() == before

    gone = opened()
    Person.objects.filter(username="li").update(is_active=False)
    through(gone, "li")
    expect(gone.get_by_role("heading")).to_contain_text("没有对应的用户")


def test_who_has_a_second_factor_is_asked_for_it_also_after_the_provider(
    opened: Open, people: dict[str, Person], provider: str
) -> None:
    from gridloop.people import factors

    wang = people["wang"]
    app = factors.new_app(wang, site="test")
    factors.add_app(
        person=wang, locked=app.locked, code=code_of(app.secret, later=-1), viewer=viewer_for(wang), at=clock.now()
    )
    page = opened()
    through(page, "wang")
    page.wait_for_url("**/login/second")
    page.locator("#code").fill(code_of(app.secret))
    page.locator("#code").press("Enter")
    page.wait_for_url(MINE)
