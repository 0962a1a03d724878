"""Lists in pages: each names the cursor of the next. Rows that come or go in between are neither doubled nor lost."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.db.models import F, Model, Q, QuerySet
from ninja import Schema
from pydantic import BaseModel, ConfigDict, Field

from gridloop.kernel.errors import Mistake, Mistakes
from gridloop.kernel.language import Sentence

T = TypeVar("T")
M = TypeVar("M", bound=Model)
LIMIT = 50
MOST = 200


class Strict(BaseModel):
    """Base of what is sent to us: an unknown field is a mistake, not ignored."""

    model_config = ConfigDict(extra="forbid")


class Window(Strict):
    """Which part of a list: `cursor` as the page before named it, `limit` rows, `count` to have all rows counted."""

    cursor: str = ""
    limit: int = Field(LIMIT, ge=1, le=MOST)
    count: bool = False


class Page(Schema, Generic[T]):
    """A page of a list. `next` is the cursor of the page after it, null on the last one."""

    items: list[T]
    next: str | None = None
    count: int | None = None


def page(
    rows: QuerySet[M],
    window: Window,
    show: Callable[[list[M]], list[Any]],
    *,
    sort: str = "-id",
    sorts: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """One page of `rows`, sorted by `sort`: ``id``, ``-id`` or a word of `sorts` (word -> field), falling with a ``-``.

    Ties are broken by the id; rows without a value come last.
    """
    falling, name = sort.startswith("-"), sort.lstrip("-")
    fields = {"id": "pk", **(sorts or {})}
    if name not in fields:
        raise _mistake(
            "sort",
            f"不能按“{name}”排序",
            f"cannot sort by “{name}”",
            f"用：{'、'.join(fields)}",
            f"use: {', '.join(fields)}",
        )
    field = fields[name]
    after = rows
    if window.cursor:
        after = rows.filter(_after(field, *_read(window.cursor, sort), falling=falling))
    order = [F(field).desc(nulls_last=True) if falling else F(field).asc(nulls_last=True)]
    if field != "pk":
        order.append(F("pk").desc() if falling else F("pk").asc())
    found = list(after.order_by(*order)[: window.limit + 1])
    last = found[window.limit - 1] if len(found) > window.limit else None
    return {
        "items": show(found[: window.limit]),
        "next": _write(sort, getattr(last, field), last.pk) if last is not None else None,
        "count": rows.count() if window.count else None,
    }


def _after(field: str, value: Any, key: int, *, falling: bool) -> Q:
    beyond = "lt" if falling else "gt"
    if field == "pk":
        return Q(**{f"pk__{beyond}": key})
    if value is None:
        return Q(**{f"{field}__isnull": True, f"pk__{beyond}": key})
    return (
        Q(**{f"{field}__{beyond}": value}) | Q(**{field: value, f"pk__{beyond}": key}) | Q(**{f"{field}__isnull": True})
    )


def _write(sort: str, value: Any, key: int) -> str:
    plain = value.isoformat() if isinstance(value, datetime) else value
    return urlsafe_b64encode(json.dumps([sort, plain, key]).encode()).decode().rstrip("=")


def _read(cursor: str, sort: str) -> tuple[Any, int]:
    try:
        own, value, key = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if own != sort or not isinstance(key, int) or abs(key) > 2**62:
            raise ValueError
        if isinstance(value, str) and sort.lstrip("-").endswith("_at"):
            value = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        raise _mistake(
            "cursor",
            "不是本列表给出的游标",
            "was not given by this list in this order",
            "从第一页重新开始",
            "begin with the first page",
        ) from None
    return value, key


def _mistake(place: str, zh: str, en: str, instead_zh: str, instead_en: str) -> Mistakes:
    return Mistakes([Mistake(place, Sentence(zh=zh, en=en), Sentence(zh=instead_zh, en=instead_en))])
