"""Indicators, figures, and the cases behind each figure."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, Literal

from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from gridloop.evaluate.queries import Span, cases_behind, rates
from gridloop.gateways.api.cases import CaseOut
from gridloop.gateways.api.doors import viewer_of
from gridloop.gateways.api.paging import Page, Strict, Window, page
from gridloop.kernel.errors import Mistake, Mistakes
from gridloop.kernel.language import Sentence
from gridloop.standard import queries as standard
from gridloop.standard.rules.standard import Indicator

router = Router(tags=["evaluation"])
Group = Literal["unit", "street", "community", "grid", "case_type", "source", "all"]


class IndicatorOut(Schema):
    """What a figure counts: how many of `out_of` also fulfil `count` (a fact and whether it must hold)."""

    id: str
    name: dict[str, str]
    count: list[tuple[str, bool]]
    out_of: list[tuple[str, bool]]
    better: str
    provenance: str


@router.get("/indicators", response=list[IndicatorOut], summary="Indicators")
def indicators(request: HttpRequest) -> list[dict[str, Any]]:
    """The indicators that the active packs define.

    当前场景包定义的指标。
    """
    return [
        {
            "id": i.id,
            "name": i.name.both(),
            "count": list(i.count),
            "out_of": list(i.out_of),
            "better": i.better,
            "provenance": i.provenance,
        }
        for i in standard.current().indicators.values()
    ]


class Wanted(Strict):
    """For which groups, and cases opened from `start` (included) to `end` (left out)."""

    by: Group = "all"
    start: datetime | None = None
    end: datetime | None = None
    indicator: str = Field("", max_length=60, description="One indicator, or several separated by commas; empty = all")


class Figure(Schema):
    """A rate with both its numbers; `value` is null where nothing was due."""

    group: str
    indicator: str
    count: int
    out_of: int
    value: Decimal | None
    small_sample: bool


@router.get("/rates", response=list[Figure], summary="Figures")
def list_rates(request: HttpRequest, wanted: Query[Wanted]) -> list[dict[str, Any]]:
    """On-time, response, resolved, satisfied rates and all other indicators, per unit, grid or type.

    按时率、响应率、解决率、满意率等全部指标，按单位、网格或类型分组；申诉成立的案件不计。
    """
    viewer = viewer_of(request)
    viewer.need("read_scores")
    chosen = [_indicator(name) for name in wanted.indicator.split(",") if name] or list(
        standard.current().indicators.values()
    )
    found = rates(chosen, by=wanted.by, viewer=viewer, span=Span(wanted.start, wanted.end))
    return [
        {
            "group": group,
            "indicator": name,
            "count": rate.count,
            "out_of": rate.out_of,
            "value": rate.value,
            "small_sample": rate.small_sample,
        }
        for group, by_name in found.items()
        for name, rate in by_name.items()
    ]


class Behind(Strict):
    """One figure: its indicator, its group, and whether its numerator (`hits`) or its denominator is wanted."""

    indicator: str = Field(max_length=60)
    by: Group = "all"
    group: str = Field("", max_length=60)
    hits: bool = True
    start: datetime | None = None
    end: datetime | None = None


@router.get("/rates/cases", response=Page[CaseOut], summary="The cases behind a figure")
def behind(request: HttpRequest, wanted: Query[Behind], window: Query[Window]) -> dict[str, Any]:
    """Every case that a figure counted, as far as this viewer may see it.

    某个数字背后的案件（限可见范围）。
    """
    viewer = viewer_of(request)
    viewer.need("read_scores")
    cases = cases_behind(
        _indicator(wanted.indicator),
        by=wanted.by,
        group=wanted.group,
        viewer=viewer,
        span=Span(wanted.start, wanted.end),
        hits=wanted.hits,
    )
    return page(cases, window, list)


def _indicator(name: str) -> Indicator:
    known = standard.current().indicators
    if name not in known:
        raise Mistakes(
            [
                Mistake(
                    "indicator",
                    Sentence(zh=f"没有指标“{name}”", en=f"there is no indicator “{name}”"),
                    Sentence(zh="、".join(known), en=", ".join(known)),
                )
            ]
        )
    return known[name]
