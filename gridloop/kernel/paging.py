"""Lists in pages: each names the cursor of the next. Rows that come or go in between are neither doubled nor lost."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

from django.db.models import F, Model, Q, QuerySet

from gridloop.kernel.errors import Mistake, Mistakes
from gridloop.kernel.language import Sentence

M = TypeVar("M", bound=Model)


@dataclass(frozen=True, slots=True)
class Slice(Generic[M]):
    """Some rows of a list in its order. `next` is the cursor of the page after it, None on the last one."""

    items: list[M]
    next: str | None


def slice_of(
    rows: QuerySet[M] | Sequence[QuerySet[M]],
    *,
    cursor: str = "",
    limit: int,
    sort: str = "-id",
    sorts: Mapping[str, str] | None = None,
) -> Slice[M]:
    """One page of `rows`, sorted by `sort`: ``id``, ``-id`` or a word of `sorts` (word -> field), falling with a ``-``.

    Ties are broken by the id; rows without a value come last. Several querysets are one list, each row of it once:
    each of them is read in the order, by whatever index it has, no further than a page reaches.

    Raises `Mistakes` for an unknown order and for a cursor that this list did not give.
    """
    arms = [rows] if isinstance(rows, QuerySet) else list(rows)
    falling, name = sort.startswith("-"), sort.removeprefix("-")
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
    never_empty = field == "pk" or not arms[0].model._meta.get_field(field).null
    nulls_last = None if never_empty else True  # the plain order is an index's own
    order = [F(field).desc(nulls_last=nulls_last) if falling else F(field).asc(nulls_last=nulls_last)]
    if field != "pk":
        order.append(F("pk").desc() if falling else F("pk").asc())
    if cursor:
        beyond = _after(field, *_read(cursor, sort), falling=falling, never_empty=never_empty)
        arms = [arm.filter(beyond) for arm in arms]
    chosen = arms[0]
    if len(arms) > 1:
        first, *others = [arm.order_by(*order).values("pk")[: limit + 1] for arm in arms]
        chosen = _all(chosen).filter(pk__in=first.union(*others))
    found = list(chosen.order_by(*order)[: limit + 1])
    last = found[limit - 1] if len(found) > limit else None
    return Slice(found[:limit], _write(sort, getattr(last, field), last.pk) if last is not None else None)


def _all(rows: QuerySet[M]) -> QuerySet[M]:
    """The same columns and joins, of every row."""
    every = rows.model._default_manager.all()
    every.query.deferred_loading = rows.query.deferred_loading
    every.query.select_related = rows.query.select_related
    return every


def _after(field: str, value: Any, key: int, *, falling: bool, never_empty: bool) -> Q:
    beyond = "lt" if falling else "gt"
    if field == "pk":
        return Q(**{f"pk__{beyond}": key})
    if value is None:
        return Q(**{f"{field}__isnull": True, f"pk__{beyond}": key})
    further = Q(**{f"{field}__{beyond}": value}) | Q(**{field: value, f"pk__{beyond}": key})
    if never_empty:  # said once more as one range, which an index can begin with
        return Q(**{f"{field}__{beyond}e": value}) & further
    return further | Q(**{f"{field}__isnull": True})


def _write(sort: str, value: Any, key: int) -> str:
    plain = value.isoformat() if isinstance(value, datetime) else value
    return urlsafe_b64encode(json.dumps([sort, plain, key]).encode()).decode().rstrip("=")


def _read(cursor: str, sort: str) -> tuple[Any, int]:
    try:
        own, value, key = json.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        if own != sort or not isinstance(key, int) or abs(key) > 2**62:
            raise ValueError
        if isinstance(value, str) and sort.removeprefix("-").endswith("_at"):
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
