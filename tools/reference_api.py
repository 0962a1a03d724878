"""The pages of the REST API and of roles and permissions, from the program itself; `reference.py` writes them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

REFUSALS = """\
| status | code | when |
|---|---|---|
| 401 | `unauthenticated`, `wrong_password`, `wrong_code` | no valid token or session; log-in failed |
| 403 | `forbidden`, `csrf`, `password_change_needed`, `own_post` | your posts do not carry the permission |
| 404 | `not_found` | absent or not yours: the same answer |
| 409 | `illegal_move`, the name of a guard, ... | not in this state; the sentence says what it allows |
| 410 | `wiped` | the contact was destroyed |
| 412 | `conflict` | somebody was faster: look at the case again |
| 413, 415 | `too_large`, `unsupported_media_type` | too much, or not JSON |
| 422 | `mistakes`, `key_conflict`, `reason_needed`, ... | bad input; `mistakes` lists all of it |
| 429 | `quota`, `too_many_tries` | too fast; `Retry-After` says how long to wait |
| 503 | `busy`, `not_ready`, `unavailable` | not now; nothing was stored, send it again with the same key |
"""


def _start() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    import django

    django.setup()


def rest_api(made: str) -> str:
    """Every operation with its parameters, and every schema."""
    _start()
    from gridloop.gateways.api.service import api

    schema = api.get_openapi_schema(path_prefix="/api/v1/")
    groups: dict[str, list[str]] = {}
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            groups.setdefault(operation["tags"][0], []).append(_operation(method, path, operation))
    parts = [
        f"# REST API\n\n{made}\n\n{schema['info']['description']}\n"
        "The machine-readable description (OpenAPI) is at `/api/v1/openapi.json`, for who is logged in. "
        "机器可读的接口描述在 `/api/v1/openapi.json`（须登录）。\n\n## Refusals 拒绝\n\n" + REFUSALS
    ]
    parts += [f"\n## {tag.capitalize()}\n\n" + "\n".join(texts) for tag, texts in groups.items()]
    parts.append("\n## Schemas\n" + "".join(_schema(n, s) for n, s in sorted(schema["components"]["schemas"].items())))
    parts.append(OPERATION)
    return "".join(parts)


OPERATION = """
## Outside the API

| address | for | answer |
|---|---|---|
| `GET /health` | everybody: well or not (200 or 503); this machine and tokens with `see_health`: every part | JSON |
| `GET /metrics` | this machine (no proxy in front) and tokens with `see_health` | Prometheus text |
"""


def _operation(method: str, path: str, operation: dict[str, Any]) -> str:
    lines = [
        f"### `{method.upper()} {path}`\n",
        f"**{operation['summary']}** · {_paragraphs(operation['description'])}\n",
    ]
    if "security" not in operation:
        lines.append("No log-in needed. 无需登录。\n")
    rows = [
        f"| `{p['name']}` | {p['in']} | {_type(p['schema'])} | {_about(p['schema']) or _about(p)} |"
        for p in operation.get("parameters", [])
    ]
    if rows:
        lines.append("| parameter | in | type | meaning |\n|---|---|---|---|\n" + "\n".join(rows) + "\n")
    body = operation.get("requestBody", {}).get("content", {})
    if body:
        lines.append("Body: " + ", ".join(f"`{kind}` {_type(c['schema'])}" for kind, c in body.items()) + "\n")
    answers = [
        f"{status}: {_type(content['schema'])}"
        if (content := answer.get("content", {}).get("application/json"))
        else f"{status}"
        for status, answer in operation["responses"].items()
        if status != "default"
    ]
    lines.append("Answer: " + "; ".join(answers) + "\n")
    return "\n".join(lines)


def _paragraphs(text: str) -> str:
    return "\n\n".join(" ".join(p.split()) for p in text.strip().split("\n\n"))


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower().replace('[', '').replace(']', '')})"
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " or ".join(_type(s) for s in schema[word])
    if "enum" in schema:
        return ", ".join(f"`{v}`" for v in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    limits = [f"{sign} {schema[k]}" for k, sign in (("minimum", "≥"), ("maximum", "≤")) if k in schema]
    limits += [f"at most {schema['maxLength']} characters"] if "maxLength" in schema else []
    kind = schema.get("format") or schema.get("type", "any")
    return f"{kind} ({', '.join(limits)})" if limits else str(kind)


def _about(schema: dict[str, Any]) -> str:
    return " ".join(str(schema.get("description", "")).split())


def _listed(permissions: Iterable[str]) -> str:
    return ", ".join(f"`{p}`" for p in sorted(permissions))


def _schema(name: str, schema: dict[str, Any]) -> str:
    needed = set(schema.get("required", []))
    rows = "".join(
        f"| `{field}` | {_type(s)} | {'yes' if field in needed else ''} | {_about(s)} |\n"
        for field, s in schema.get("properties", {}).items()
    )
    about = _about(schema)
    table = f"\n| field | type | needed | meaning |\n|---|---|---|---|\n{rows}" if rows else ""
    return f"\n### {name}\n\n{about}\n{table}"


def roles(made: str) -> str:
    """Every role: how far it sees and what it may; and every verb with the permission that it needs."""
    _start()
    from gridloop.cases.workflow import STEPS
    from gridloop.people.roles import FOR_MACHINES, PERMISSIONS, ROLES, SEPARATED

    sees = {
        "all": "the whole district 全区",
        "region": "its region and what its unit handles 本区域及本单位案件",
        "unit": "what its unit handles or helps with 本单位主办、协办案件",
        "own": "what lies in the own hands 本人案件",
        "none": "no case 不看案件",
    }
    rows = "".join(
        f"| `{key}` | {role.name.zh} | {role.name.en} | {sees[role.sees]} | {_listed(role.may)} |\n"
        for key, role in ROLES.items()
    )
    holders = {p: [r.name.zh for r in ROLES.values() if p in r.may] for p in PERMISSIONS}
    by_permission = "".join(f"| `{p}` | {'、'.join(holders[p]) or '—'} |\n" for p in sorted(PERMISSIONS))
    verbs = "".join(
        f"| `{s.verb}{'/' + s.outcome if s.outcome else ''}` | {s.name.zh} | {s.name.en} | `{s.permission}` |\n"
        for s in STEPS
    )
    separated = "、".join(ROLES[r].name.zh for r in sorted(SEPARATED))
    return (
        f"# Roles and permissions\n\n{made}\n\n"
        "A person's permissions are those of today's posts together. A post is a role in a unit, for a region and "
        "everything below it, from a day (included) to a day (left out). The first table of permissions is "
        "`gridloop/people/roles.py`; the second, written by hand and asked of every address, is "
        "`tests/promises/permissions.yaml`.\n\n"
        f"Nobody holds two of system, security and audit administrator on the same day (GB/T 22239-2019, 8.1.4.2). "
        f"{separated}不得由同一人兼任。\n\n"
        f"## Roles 岗位\n\n| role | 岗位 | name | sees | may |\n|---|---|---|---|---|\n{rows}\n"
        f"Machines have no post; they get single permissions, among them {_listed(FOR_MACHINES)}, "
        "which no post carries.\n\n"
        f"## Who holds a permission 谁有此权限\n\n| permission | roles |\n|---|---|\n{by_permission}\n"
        f"## What a verb needs 操作所需权限\n\n| verb | 操作 | name | permission |\n|---|---|---|---|\n{verbs}"
    )
