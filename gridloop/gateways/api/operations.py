"""For those who operate the house: is it well (`/health`), and its figures (`/metrics`).

A stranger learns only whether it is well. The rest is for this machine itself (loopback, unless a proxy stands in
front: then everybody looks like loopback) and for tokens with the permission `see_health`. No figure carries a name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from time import monotonic
from typing import Any

from django.conf import settings
from django.db import DatabaseError, InterfaceError
from django.db.models import Count, Min
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from ninja import Query, Router, Schema
from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from pydantic import Field

from gridloop.discover.queries import recent_reconciliation
from gridloop.gateways.api.doors import viewer_of
from gridloop.gateways.api.errors import problem
from gridloop.gateways.api.paging import Page, Strict, Window, page
from gridloop.kernel import clock, events, sealing
from gridloop.kernel.models import Delivery
from gridloop.kernel.postgres import disk_state
from gridloop.people import access, ways_out

LATE = 60.0
"""Seconds after which a delivery or an unsealed event that still waits is a sign of trouble."""
SLOW = 1200.0
"""Seconds that a notice may wait to leave while its host does not answer."""
STALE = 5.0
"""Seconds that the verdict for strangers may be old."""


@require_safe
def health(request: HttpRequest) -> HttpResponse:
    """200 if well, 503 if not; the parts of the answer for who may see them.

    Strangers get a verdict that may be some seconds old, so that asking often costs nothing.
    """
    inside = _insider(request)
    parts = _look() if inside or monotonic() > _seen[0] + STALE else _seen[1]
    well = all(part["well"] for part in parts.values())
    body: dict[str, Any] = {"status": "well" if well else "unwell"}
    if inside:
        body |= parts
    response = HttpResponse(json.dumps(body), status=200 if well else 503, content_type="application/json")
    response["Cache-Control"] = "no-store"
    return response


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """The same figures in Prometheus' text format. For insiders only; for others there is nothing here."""
    if not _insider(request):
        return problem(404)
    registry = CollectorRegistry()
    registry.register(_Figures())
    return HttpResponse(generate_latest(registry), content_type="text/plain; version=0.0.4; charset=utf-8")


_seen: tuple[float, dict[str, dict[str, Any]]] = (-STALE, {})


def _look() -> dict[str, dict[str, Any]]:
    global _seen
    try:
        parts = _parts(clock.now())
    except (DatabaseError, InterfaceError):
        parts = {"database": {"well": False}}
    _seen = (monotonic(), parts)
    return parts


def _insider(request: HttpRequest) -> bool:
    proxied = getattr(settings, "GRIDLOOP_BEHIND_PROXY", False)
    if not proxied and request.META.get("REMOTE_ADDR") in ("127.0.0.1", "::1"):
        return True
    kind, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    try:
        return kind.lower() == "bearer" and access.holder_of(token.strip(), at=clock.now()).viewer.may("see_health")
    except (DatabaseError, InterfaceError):
        return False


def _parts(now: datetime) -> dict[str, dict[str, Any]]:
    """The state of the house: each part with its figures and whether it is `well`."""
    reports = recent_reconciliation()
    queues = _queues(now)
    unsealed, since = sealing.waiting()
    age = _age(now, since)
    notices = ways_out.health(now)
    disk = disk_state(Path(settings.GRIDLOOP_DATA))
    stuck = sum(q["stuck"] for q in queues.values())
    oldest = max((q["oldest_seconds"] for q in queues.values()), default=0.0)
    return {
        "reports": {"well": bool(reports["holds"]), **reports},
        "queues": {"well": oldest <= LATE, "oldest_seconds": oldest, "by_reaction": queues},
        "stuck": {"well": stuck == 0, "deliveries": stuck},
        "seal": {"well": age <= LATE, "unsealed": unsealed, "oldest_seconds": age},
        "notices": {"well": notices["dead"] == 0 and notices["oldest_seconds"] <= SLOW, **notices},
        "disk": {"well": disk.ok, "free_bytes": disk.free},
        "database": {"well": True},
    }


def _queues(now: datetime) -> dict[str, dict[str, Any]]:
    rows = Delivery.objects.values("reaction", "state").annotate(count=Count("id"), oldest=Min("due_at"))
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        queue = found.setdefault(row["reaction"], {"waiting": 0, "stuck": 0, "oldest_seconds": 0.0})
        if row["state"] == Delivery.State.STUCK:
            queue["stuck"] = row["count"]
        else:
            queue |= {"waiting": row["count"], "oldest_seconds": _age(now, row["oldest"])}
    return found


def _age(now: datetime, since: datetime | None) -> float:
    return 0.0 if since is None else max(0.0, round((now - since).total_seconds(), 3))


class _Figures(Collector):
    """The parts of the health page as gauges, read when they are asked for."""

    def collect(self) -> Iterable[Metric]:
        parts = _parts(clock.now())
        yield from _gauges(parts)
        well = GaugeMetricFamily("gridloop_well", "1 if this part of the house is well", labels=["part"])
        for name, part in parts.items():
            well.add_metric([name], float(part["well"]))
        yield well

    def describe(self) -> Iterable[Metric]:
        return ()


def _gauges(parts: dict[str, dict[str, Any]]) -> Iterator[Metric]:
    reports = GaugeMetricFamily("gridloop_reports", "Reports by where they are", labels=["state"])
    for state, count in parts["reports"].items():
        if state not in ("well", "holds"):
            reports.add_metric([state], count)
    yield reports
    waiting = GaugeMetricFamily("gridloop_deliveries", "Deliveries that wait", labels=["reaction", "state"])
    oldest = GaugeMetricFamily("gridloop_delivery_age_seconds", "Age of the oldest one that waits", labels=["reaction"])
    for reaction, queue in parts["queues"]["by_reaction"].items():
        waiting.add_metric([reaction, "waiting"], queue["waiting"])
        waiting.add_metric([reaction, "stuck"], queue["stuck"])
        oldest.add_metric([reaction], queue["oldest_seconds"])
    yield waiting
    yield oldest
    leaving = GaugeMetricFamily("gridloop_notices", "Notices on their way out of the application", labels=["state"])
    for state in ("waiting", "dead"):
        leaving.add_metric([state], parts["notices"][state])
    yield leaving
    yield GaugeMetricFamily("gridloop_unsealed_events", "Events without a seal", value=parts["seal"]["unsealed"])
    yield GaugeMetricFamily(
        "gridloop_disk_free_bytes", "Free bytes in the data folder", value=parts["disk"]["free_bytes"]
    )


# --- what waits for a person ---------------------------------------------------------------------------------------

router = Router(tags=["operation"])


class StuckOut(Schema):
    """A delivery that failed, or killed its worker, three times; of the error only its class and its place."""

    id: int
    event_id: int
    reaction: str
    attempts: int
    error: str


@router.get("/stuck", response=Page[StuckOut], summary="Deliveries that are stuck")
def stuck(request: HttpRequest, window: Query[Window]) -> dict[str, Any]:
    """For the system administrator: what was tried three times and waits for a person, oldest first.

    系统管理员查看反复失败、等待人工处理的投递，最早的在前。
    """
    viewer_of(request).need("operate")
    return page(Delivery.objects.filter(state=Delivery.State.STUCK), window, list, sort="id")


class Again(Strict):
    ids: list[int] = Field(min_length=1, max_length=1000)


class Retried(Schema):
    count: int


@router.post("/stuck/again", response=Retried, summary="Try stuck deliveries again")
def again(request: HttpRequest, body: Again) -> Retried:
    """Puts them back into the queue with a fresh count, when the cause is mended.

    原因排除后重新投递。
    """
    viewer_of(request).need("operate")
    return Retried(count=events.try_again(body.ids))
