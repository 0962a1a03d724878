"""The page of one case and the forms of its verbs, against a real database."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.test import Client
from pytest_django import DjangoDbBlocker
from pytest_django.asserts import assertContains, assertNotContains

from gridloop.cases.models import Case
from gridloop.kernel import clock
from gridloop.people.models import Person
from tests.build import DAY, district
from tests.stages.desk import HOUR, Desk

TEN = DAY + HOUR


@pytest.fixture(scope="module")
def built(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Desk]:
    """One district for the whole file; each test takes back what it did."""
    with django_db_blocker.unblock(), transaction.atomic(), clock.frozen(DAY):
        yield Desk(district())
        transaction.set_rollback(True)


@pytest.fixture
def desk(built: Desk, django_db_blocker: DjangoDbBlocker) -> Iterator[Desk]:
    with django_db_blocker.unblock(), transaction.atomic(), clock.frozen(TEN):
        yield built
        transaction.set_rollback(True)


def browser(desk: Desk, username: str, lang: str = "zh") -> Client:
    """A browser in which this person is logged in."""
    client = Client(headers={"accept-language": lang})
    client.force_login(Person.objects.get(id=desk.here.people[username]))
    session = client.session
    session["since"] = session["seen"] = session["proved"] = clock.now().isoformat()
    session.save()
    return client


def address(case: Case, rest: str = "") -> str:
    return f"/console/cases/{case.number}{rest}"


def act(client: Client, case: Case, verb: str, **said: Any) -> Any:
    return client.post(address(case, f"/verbs/{verb}"), {"version": case.version, **said})


def test_the_page_of_a_case_shows_what_it_is_where_it_is_and_what_may_be_done(desk: Desk) -> None:
    case = desk.bring("handling", address="测试路口")
    page = browser(desk, "clean1").get(address(case))
    assert page.status_code == 200
    for words in (case.number, "路边有垃圾", "测试路口", "任务处理", "处置完成", "申请延期", "部门处置人员"):
        assertContains(page, words)
    assertContains(page, "其余的为什么不行")
