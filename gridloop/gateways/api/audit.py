"""The record: its events, its signed checkpoints, and its verification."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import Field

from gridloop.gateways.api.doors import viewer_of
from gridloop.gateways.api.paging import Page, Strict, Window, page
from gridloop.kernel import sealing
from gridloop.kernel.models import Checkpoint, Event

router = Router(tags=["audit"])


class EventOut(Schema):
    """An event of the record. It names persons by number only and carries nothing of a citizen."""

    id: int
    name: str
    subject: str
    actor: str
    at: datetime
    recorded_at: datetime
    data: dict[str, Any]


class EventFilter(Strict):
    name: str = Field("", max_length=60)
    subject: str = Field("", max_length=40)
    actor: str = Field("", max_length=60)


@router.get("/audit/events", response=Page[EventOut], summary="The record")
def record(request: HttpRequest, wanted: Query[EventFilter], window: Query[Window]) -> dict[str, Any]:
    """For the audit administrator: every event, newest first.

    审计管理员查看全部事件，最新在前。
    """
    viewer = viewer_of(request)
    viewer.need("read_audit")
    chosen = {name: value for name, value in wanted.model_dump().items() if value}
    return page(Event.objects.filter(**chosen), window, list)


class CheckpointOut(Schema):
    size: int
    note: str


@router.get("/audit/checkpoints", response=Page[CheckpointOut], summary="Signed checkpoints")
def checkpoints(request: HttpRequest, window: Query[Window]) -> dict[str, Any]:
    """The signed heads of the Merkle log, newest first; keep them where the operators of this system cannot reach.

    默克尔日志的签名检查点，最新在前；请保存到本系统管理员接触不到的地方。
    """
    viewer = viewer_of(request)
    viewer.need("read_audit")
    return page(Checkpoint.objects.all(), window, list)


class FindingOut(Schema):
    kind: str
    events: list[int]
    sentence: dict[str, str]


class Verdict(Schema):
    holds: bool
    findings: list[FindingOut]


@router.post("/audit/verify", response=Verdict, summary="Verify the record")
def verify(request: HttpRequest) -> dict[str, Any]:
    """Reads the whole log and names everything that was changed behind the application's back.

    核验整个记录，列出一切被绕过系统改动之处。
    """
    viewer = viewer_of(request)
    viewer.need("verify_audit")
    findings = sealing.verify(settings.GRIDLOOP_DATA)
    return {
        "holds": not findings,
        "findings": [{"kind": f.kind, "events": list(f.events), "sentence": f.sentence.both()} for f in findings],
    }
