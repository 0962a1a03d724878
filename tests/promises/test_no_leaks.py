"""A citizen's name and phone, a password and a token appear nowhere but where they must."""

from __future__ import annotations

import base64
import io
import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from gridloop.discover.models import Report
from gridloop.kernel import clock
from gridloop.kernel.logs import JsonLines
from gridloop.people import access
from gridloop.people.actions import issue_setup_codes
from gridloop.people.models import Person
from gridloop.people.viewer import SYSTEM
from gridloop.registry.actions import set_wipe, wipe_due
from gridloop.registry.models import ReporterContact
from tests.build import district
from tests.leaks import MARKERS, NAME, PASSWORD, PHONE, SPOKEN_PHONE, found_in

SEALED = "registry_reportercontact"
CONTACT = {"name": NAME, "phone": SPOKEN_PHONE}


@pytest.mark.parametrize(
    "hide",
    [
        lambda m: m.encode(),
        lambda m: json.dumps({"x": m}).encode(),
        lambda m: quote(m).encode(),
        lambda m: m.encode().hex().encode(),
        lambda m: base64.b64encode(m.encode()),
        lambda m: base64.b64encode(b"a" + m.encode() + b"b"),
        lambda m: base64.urlsafe_b64encode(b"ab" + m.encode() + b"cde"),
        lambda m: m.encode("utf-16-le"),
    ],
)
def test_the_search_finds_a_marker_in_every_form(hide: Any) -> None:
    for name, marker in MARKERS.items():
        assert any(found.startswith(f"{name} as") for found in found_in(b"before " + hide(marker) + b" after")), name


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Everything that our formatter writes, of every logger, from INFO on."""
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield out
    root.removeHandler(handler)
    root.setLevel(level)


class Recorder:
    """A client that keeps every answer."""

    def __init__(self) -> None:
        self.said: list[bytes] = []

    def __call__(self, method: str, path: str, body: Any = None, *, token: str = "", keep: bool = True) -> Any:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        data = json.dumps(body) if body is not None else ""
        answer = Client().generic(method, path, data, content_type="application/json", headers=headers)
        if keep:
            self.said.append(str(answer.headers).encode() + answer.content)
        return answer


def _tables() -> dict[str, bytes]:
    with connection.cursor() as cursor:
        names = [t for t in connection.introspection.table_names(cursor) if t != SEALED]
        found = {}
        for name in names:
            cursor.execute(f"SELECT coalesce(string_agg(t::text, chr(10)), '') FROM \"{name}\" t")
            found[name] = cursor.fetchone()[0].encode()
    return found


def test_name_phone_password_and_token_are_nowhere_but_in_the_sealed_table(
    committed: None, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask = Recorder()
    now = clock.now()
    town = district()
    intake = Person.objects.get(username="intake")
    token = access.issue_token(viewer=town["intake"], person=intake, at=now)[1]
    machine = access.register_client(code="app", name="App", permissions=["report"], viewer=SYSTEM, at=now)
    sender = access.issue_token(viewer=SYSTEM, client=machine, at=now)[1]
    code = issue_setup_codes(person_ids=[intake.pk], viewer=SYSTEM, at=now)["intake"]

    lon, lat = town.place()
    report = {
        "channel": "app", "key": "1", "text": "路上有一堆垃圾没人清理", "lon": lon, "lat": lat,
        "case_type": "urban:E0110", "contact": CONTACT,
    }  # fmt: skip
    assert ask("POST", "/api/v1/reports", report, token=sender).status_code == 201
    ask("POST", "/api/v1/reports", report | {"contact": CONTACT | {"secret": True}}, token=sender)  # another content
    ask("POST", "/api/v1/reports", report | {"key": "2", "lon": 999}, token=sender)  # a mistake
    ask("POST", "/api/v1/reports", report | {"key": "3", "contact": CONTACT | {NAME: PHONE}}, token=sender)
    ask("POST", "/api/v1/reports", [report | {"key": "4", "text": "有点问题"}], token=sender)
    town.drain()
    case_id = Report.objects.get(key="1").case_id
    assert case_id is not None
    number = ask("GET", "/api/v1/cases", token=token).json()["items"][0]["number"]
    ask("GET", "/api/v1/triage", token=token)
    detail = ask("GET", f"/api/v1/cases/{number}", token=token).json()
    assert detail["reporters"][0]["name"] == "欧*"

    reveal = {"contact_id": detail["reporters"][0]["contact_id"], "reason": "回访时核实门牌号码"}
    revealed = ask("POST", f"/api/v1/cases/{number}/reveal", reveal, token=token, keep=False)
    assert revealed.json() == CONTACT
    ask("POST", f"/api/v1/cases/{number}/reveal", reveal | {"reason": f"打给{NAME}问一问情况"}, token=token)

    ask("POST", "/api/v1/session/setup", {"username": "intake", "code": code, "password": PASSWORD})
    ask("POST", "/api/v1/session", {"username": "intake", "password": PASSWORD})
    ask("POST", "/api/v1/session", {"username": PASSWORD, "password": PASSWORD})
    ask("POST", "/api/v1/session", {"username": "intake", "password": PASSWORD, PASSWORD: 1})
    ask("GET", "/api/v1/session", token=token)

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError(f"could not reach {NAME} {PHONE} {PASSWORD}")

    monkeypatch.setattr("gridloop.discover.reactions.triage_reports", broken)
    ask("POST", "/api/v1/reports", [report | {"key": "5"}], token=sender)
    town.drain()  # the reaction fails, its error is kept with the delivery
    monkeypatch.undo()
    monkeypatch.setattr("gridloop.gateways.api.reports.queries.triage_list", broken)
    shift = access.issue_token(viewer=town["shift"], person=Person.objects.get(username="shift"), at=now)[1]
    assert ask("GET", "/api/v1/triage", token=shift).status_code == 500
    ask("GET", "/health")
    ask("GET", "/metrics")

    markers = [*MARKERS.items(), ("token", token), ("sender's token", sender), ("code", code)]
    assert len(ask.said) > 15
    for answer in ask.said:
        assert found_in(answer, markers) == []
    assert log.getvalue().count("\n") > 5
    assert found_in(log.getvalue().encode(), markers) == []
    tables = _tables()
    assert b"ContactRevealed" in tables["kernel_event"]
    assert {name: leaks for name, content in tables.items() if (leaks := found_in(content, markers))} == {}
    for path in Path(settings.GRIDLOOP_DATA).rglob("*"):
        if path.is_file() and "postgres" not in path.parts:
            assert found_in(path.read_bytes(), markers) == [], path.name

    contacts = list(ReporterContact.objects.values_list("id", flat=True))
    set_wipe(ends=dict.fromkeys(contacts, now))
    assert wipe_due(at=now + timedelta(days=400)) == len(contacts) == 3
    assert not ReporterContact.objects.filter(sealed__isnull=False).exists()
