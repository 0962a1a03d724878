"""Coming in through the browser: password, second factor, passkeys, sessions, and what one may change of one's own."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.contrib.sessions.models import Session
from django.test import Client

from gridloop.kernel import clock
from gridloop.kernel.errors import Refused
from gridloop.kernel.models import Event
from gridloop.people import access, actions, factors, sessions
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
    """Give somebody an authenticator app; its secret and the recovery codes."""
    new = factors.new_app(who, site="test")
    codes = factors.add_app(
        person=who,
        locked=new.locked,
        code=code_of(new.secret, at - timedelta(minutes=5)) if False else code_of(new.secret, at),
        viewer=viewer_for(who),
        at=at,
    )
    return new.secret, codes


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
