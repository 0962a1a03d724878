"""Every address of the product, asked as every caller, against a table written by hand (`permissions.yaml`)."""

from __future__ import annotations

import json
import re
from typing import Any

from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from gridloop.cases.models import Case
from gridloop.cases.workflow import STEPS
from gridloop.gateways.api.cases import INNER
from gridloop.gateways.api.service import api
from gridloop.people import access
from gridloop.people.roles import ROLES
from tests.promises.world import ABSENT, CALLERS, TABLE, World, picture


def _named(names: list[str]) -> set[str]:
    return {one for name in names for one in TABLE["groups"].get(name, [name])}


def _expected(entry: dict[str, Any], otherwise: str) -> dict[str, str]:
    expected = dict.fromkeys(CALLERS, otherwise)
    for outcome in ("denied", "hidden", "allowed"):
        for name in _named(entry.get(outcome, [])):
            assert name in expected, f"no caller {name}"
            expected[name] = outcome
    return expected


def _filled(value: Any, things: dict[str, Any]) -> Any:
    if isinstance(value, dict):
        return {k: _filled(v, things) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, things) for v in value]
    return things.get(value, value) if isinstance(value, str) else value


def _ask(address: str, entry: dict[str, Any], headers: dict[str, str], things: dict[str, Any]) -> Any:
    method, path = address.split(" ")
    for name, thing in entry.get("path", {}).items():
        path = path.replace("{" + name + "}", str(things.get(thing, thing)))
    if "query" in entry:
        path += "?" + "&".join(f"{k}={things.get(v, v)}" for k, v in (p.split("=") for p in entry["query"].split("&")))
    body = picture() if entry.get("picture") else json.dumps(_filled(entry["send"], things)) if "send" in entry else ""
    kind = "image/jpeg" if entry.get("picture") else "application/json"
    # From another machine: nothing may be let in because it comes from this one.
    with transaction.atomic():
        answer = Client(REMOTE_ADDR="203.0.113.9").generic(method, path, body, content_type=kind, headers=headers)
        transaction.set_rollback(True)
    access.forget_cached()
    return answer


def _outcome(entry: dict[str, Any], answer: Any) -> str:
    if answer.status_code == 401 and entry.get("refused") == 401:
        return "allowed"
    assert answer.status_code < 500, answer.content.decode()
    return {401: "401", 403: "denied", 404: "hidden"}.get(answer.status_code, "allowed")


MACHINES = ("/api/", "/health", "/metrics")


def _addresses() -> set[str]:
    """Every method of every URL pattern of the product."""
    found: set[str] = set()
    operations = {}
    for prefix, router in api._routers:
        for path, view in router.path_operations.items():
            operations[f"/api/v1{prefix}{path}"] = {m for o in view.operations for m in o.methods}

    def walk(patterns: Any, prefix: str) -> None:
        for pattern in patterns:
            path = prefix + _plain(str(pattern.pattern))
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns, path)
            # What people open is in the tables below pages/ (test_pages.py).
            elif isinstance(pattern, URLPattern) and path != "/api/v1/" and path.startswith(MACHINES):
                found.update(f"{method} {path}" for method in operations.get(path, {"GET"}))

    walk(get_resolver().url_patterns, "/")
    return found


def _plain(pattern: str) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", pattern)


def test_every_address_is_in_the_table_and_the_table_has_no_other() -> None:
    assert _addresses() == set(TABLE["routes"])


def test_every_role_and_every_verb_is_in_the_table() -> None:
    assert set(ROLES) <= set(CALLERS)
    verbs = {f"{s.verb}/{s.outcome}".rstrip("/") for s in STEPS if s.verb not in INNER}
    assert verbs == set(TABLE["verbs"])


def test_every_address_answers_every_caller_as_the_table_says(world: World) -> None:
    wrong = []
    for address, entry in TABLE["routes"].items():
        expected = _expected(entry, entry["else"])
        for caller in CALLERS:
            found = _outcome(entry, _ask(address, entry, world.headers[caller], world.things))
            if found != expected[caller]:
                wrong.append(f"{address} as {caller}: {found}, the table says {expected[caller]}")
        stranger = _outcome(entry, _ask(address, entry, {}, world.things))
        wanted = entry["else"] if entry.get("public") else "401"
        if stranger != wanted:
            wrong.append(f"{address} as anonymous: {stranger}, the table says {wanted}")
    assert not wrong, "\n".join(wrong)


def test_what_is_not_yours_looks_like_what_does_not_exist(world: World) -> None:
    for address, entry in TABLE["routes"].items():
        hidden = [c for c, o in _expected(entry, entry["else"]).items() if o == "hidden" and "path" in entry]
        for caller in hidden:
            his = _ask(address, entry, world.headers[caller], world.things)
            none = _ask(address, entry, world.headers[caller], world.things | ABSENT)
            assert (his.status_code, his.content, his.headers) == (none.status_code, none.content, none.headers), (
                address
            )


def test_every_verb_is_open_to_the_posts_that_the_table_names_and_to_no_other(world: World) -> None:
    seeing = _named(["see_the_case"])
    wrong = []
    for name, entry in TABLE["verbs"].items():
        verb, _, outcome = name.partition("/")
        Case.objects.filter(id=world.case_id).update(state=entry["in"])
        expected = _expected(entry, "denied")
        route = {
            "path": {"number": "case", "verb": verb},
            "send": {"version": 1, "outcome": outcome, "reason": "测试理由"},
        }
        version = Case.objects.get(id=world.case_id).version
        route["send"]["version"] = version
        for caller in CALLERS:
            wanted = expected[caller] if caller in seeing else "hidden"
            answer = _ask("POST /api/v1/cases/{number}/verbs/{verb}", route, world.headers[caller], world.things)
            found = _outcome(route, answer)
            if found == "allowed" and answer.status_code == 409:
                assert answer.json()["code"] not in ("illegal_move", "conflict"), (name, answer.json())
            if found != wanted:
                wrong.append(f"{name} as {caller}: {found} ({answer.json().get('code')}), the table says {wanted}")
    assert not wrong, "\n".join(wrong)
