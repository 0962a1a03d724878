"""Every page of the product, asked as every caller, against tables written by hand (`pages/*.yaml`)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from tests.build import browser
from tests.promises.test_permissions import MACHINES
from tests.promises.world import TABLE, World

PEOPLE: dict[str, str] = {name: who for name, who in TABLE["callers"].items() if isinstance(who, str)}
"""Caller -> user name in the small district; machines have no pages."""
ROWS: list[dict[str, Any]] = [
    row
    for file in sorted((Path(__file__).parent / "pages").glob("*.yaml"))
    for row in yaml.safe_load(file.read_text(encoding="utf-8")) or []
]
NOBODYS = ("/static/",)


def _pages() -> set[str]:
    """Every URL pattern that is for people."""
    found: set[str] = set()

    def walk(patterns: Any, prefix: str) -> None:
        for pattern in patterns:
            path = prefix + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(pattern.pattern))
            if isinstance(pattern, URLResolver):
                walk(pattern.url_patterns, path)
            elif isinstance(pattern, URLPattern) and not path.startswith(MACHINES):
                found.add(path)

    walk(get_resolver().url_patterns, "/")
    return found


def _expected(row: dict[str, Any]) -> dict[str, str]:
    allowed: set[str] = set()
    for name in row.get("allowed", []):
        if name in ("staff", "everybody"):
            allowed |= set(PEOPLE)
        else:
            allowed |= {one for one in TABLE["groups"].get(name, [name]) if one in PEOPLE}
    unknown = {n for n in row.get("allowed", []) if n not in ("staff", "everybody", *TABLE["groups"], *PEOPLE)}
    assert not unknown, f"{row['url']}: no caller {unknown}"
    otherwise = row.get("else", "denied")
    expected = {name: "allowed" if name in allowed else otherwise for name in PEOPLE}
    for verdict in ("denied", "hidden"):  # who gets neither what is said of the allowed nor what the rest gets
        named = {one for name in row.get(verdict, []) for one in TABLE["groups"].get(name, [name])}
        expected |= dict.fromkeys(named & set(PEOPLE), verdict)
    return expected | {
        "anonymous": "allowed" if "everybody" in row.get("allowed", []) else row.get("anonymous", "login")
    }


def page_of(row: dict[str, Any], things: dict[str, Any]) -> str:
    """The address of a row, with what stands for its placeholders."""
    path = str(row["url"])
    for name, thing in row.get("path", {}).items():
        path = path.replace("{" + name + "}", str(things.get(thing, thing)))
    assert "{" not in path, f"{row['url']}: name what stands for {path}"
    return path + ("?" + row["query"] if "query" in row else "")


def _ask(client: Client, row: dict[str, Any], things: dict[str, Any]) -> str:
    path = page_of(row, things)
    method = row.get("method", "GET")
    sent = {name: things.get(str(value), value) for name, value in row.get("send", {}).items()}
    cookies = {name: morsel.value for name, morsel in client.cookies.items()}
    with transaction.atomic():
        if method == "GET":
            answer = client.get(path)
        elif row.get("json"):
            answer = client.generic(method, path, json.dumps(sent), content_type="application/json")
        else:
            answer = client.post(path, sent) if method == "POST" else client.generic(method, path, b"")
        transaction.set_rollback(True)
    client.cookies.clear()  # a page may end the session or begin another; the next one is asked as if it had not
    client.cookies.load(cookies)
    assert answer.status_code < 500, f"{method} {path}: {answer.content[:500]!r}"
    if answer.status_code == 401 or (answer.status_code == 302 and answer["Location"].startswith("/login?")):
        return "login"
    return {403: "denied", 404: "hidden"}.get(answer.status_code, "allowed")


def test_every_page_is_in_a_table_and_the_tables_have_no_other() -> None:
    assert _pages() == {row["url"] for row in ROWS}


def test_no_row_stands_twice() -> None:
    keys = [(row.get("method", "GET"), row["url"], row.get("query", "")) for row in ROWS]
    assert not {key for key in keys if keys.count(key) > 1}


@pytest.mark.parametrize("caller", ["anonymous", *PEOPLE])
def test_every_page_answers_as_the_tables_say(world: World, caller: str) -> None:
    client = browser(PEOPLE.get(caller))
    wrong = []
    for row in ROWS:
        found, wanted = _ask(client, row, world.things), _expected(row)[caller]
        if found != wanted:
            wrong.append(f"{row.get('method', 'GET')} {row['url']}: {found}, the table says {wanted}")
    assert not wrong, f"as {caller}:\n" + "\n".join(wrong)
