"""How a list of the API is asked for and answered: `kernel.paging` as requests and responses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic, TypeVar

from django.db.models import Model, QuerySet
from ninja import Schema
from pydantic import BaseModel, ConfigDict, Field

from gridloop.kernel.paging import slice_of

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
    cut = slice_of(rows, cursor=window.cursor, limit=window.limit, sort=sort, sorts=sorts)
    return {"items": show(cut.items), "next": cut.next, "count": rows.count() if window.count else None}
