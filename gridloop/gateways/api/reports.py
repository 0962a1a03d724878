"""Reports in, their status, and the triage list."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import orjson
from django.http import HttpRequest, HttpResponse
from ninja import Query, Router, Schema, Status
from ninja.errors import ValidationError
from pydantic import Field, TypeAdapter
from pydantic import ValidationError as BadShape

from gridloop.discover import queries
from gridloop.discover.actions import Answer, NewReport, Outcome, Receipt, receive_reports, settle_reports
from gridloop.feedback import actions as feedback
from gridloop.gateways.api.doors import viewer_of
from gridloop.gateways.api.intake import need_room
from gridloop.gateways.api.paging import Page, Strict, Window, page
from gridloop.kernel.errors import Mistake, Mistakes, Refused, not_found
from gridloop.kernel.language import Sentence
from gridloop.people.viewer import ANONYMOUS
from gridloop.registry.actions import NewContact
from gridloop.registry.queries import masked

router = Router(tags=["reports"])
MOST = 1000
"""Reports in one request."""
LARGEST = 4 << 20
"""Bytes in one request."""


class ContactIn(Strict):
    """The reporter; sealed on arrival, masked for everybody, destroyed a year after closure."""

    name: str = Field("", max_length=100)
    phone: str = Field("", max_length=40)
    secret: bool = False
    """The reporter asks for secrecy (保密)."""


class ReportIn(Strict):
    """What a sender hands over. Only `channel` and `text` are needed, and a key, here or as `Idempotency-Key`."""

    key: str = ""
    channel: str
    text: str = ""
    title: str = ""
    lon: float | None = None
    lat: float | None = None
    datum: str = "wgs84"
    address: str = ""
    case_type: str = ""
    urgent: bool = False
    reported_at: datetime | None = None
    due_at: datetime | None = None
    contact: ContactIn | None = None
    extra: dict[str, Any] = {}

    def new(self, key: str) -> NewReport:
        contact = NewContact(self.contact.name, self.contact.phone, self.contact.secret) if self.contact else None
        return NewReport(**{**self.__dict__, "key": key, "contact": contact})


class ReceiptOut(Schema):
    """The answer to one report. Keep `number` and `secret`: with both its reporter may ask about it."""

    key: str
    outcome: str
    number: str
    secret: str


Said = tuple[int, list[tuple[str, str]], bytes]
"""Status, headers and body."""


def single(given: ReportIn, key: str) -> NewReport:
    """The one report of a request; its key is in the body or in the header `Idempotency-Key`."""
    if key and given.key and key != given.key:
        raise Mistakes(
            [
                Mistake(
                    "key",
                    Sentence(zh="与 Idempotency-Key 不同", en="differs from Idempotency-Key"),
                    Sentence(zh="只写一处", en="give the key in one place"),
                )
            ]
        )
    return given.new(key or given.key)


def answer_to(receipt: Receipt) -> Said:
    """What the sender of one report is told: taken (201), or taken before (200). Refused if its key was used (422)."""
    if receipt.outcome == Outcome.CONFLICT:
        raise Refused(
            Sentence(zh="这个键已用于另一内容的上报。", en="This key was used for a report with another content."),
            status=422,
            code="key_conflict",
        )
    headers = [("Content-Type", "application/json")]
    if receipt.outcome == Outcome.REPLAYED:
        headers.append(("Idempotent-Replayed", "true"))
    return 201 if receipt.outcome == Outcome.ACCEPTED else 200, headers, orjson.dumps(shown(receipt))


def plainly(response: HttpResponse) -> Said:
    return response.status_code, list(response.items()), response.content


ONE = TypeAdapter(ReportIn)
_MANY = TypeAdapter(list[ReportIn])
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "oneOf": [
                        {"$ref": "#/components/schemas/ReportIn"},
                        {"type": "array", "maxItems": MOST, "items": {"$ref": "#/components/schemas/ReportIn"}},
                    ]
                }
            }
        },
    },
    "parameters": [
        {
            "in": "header",
            "name": "Idempotency-Key",
            "schema": {"type": "string", "maxLength": 200},
            "description": "The sender's key of a single report, if the body has none. 单条上报的键。",
        }
    ],
}


@router.post("/reports", response={200: Any, 201: Any}, summary="Report", openapi_extra=_BODY)
def receive(request: HttpRequest) -> HttpResponse:
    """Stores one report or a list durably and answers each; what they mean is decided later.

    The same key again gives the same answer (200, `Idempotent-Replayed: true`); the same key with another content is
    refused (422, or `conflict` within a list). Of a list with a mistake nothing is kept.

    上报一条或多条，落盘后才回答。同一键重发得到同一回答；同一键不同内容会被拒绝。
    """
    viewer = viewer_of(request)
    viewer.need("report")
    client = getattr(request, "holder").client_code or viewer.actor  # noqa: B009 - set by the door
    given = _read(request)
    need_room()
    if isinstance(given, list):
        receipts = receive_reports([r.new(r.key) for r in given], client=client, viewer=viewer)
        new = any(r.outcome == Outcome.ACCEPTED for r in receipts)
        said = orjson.dumps([shown(r) for r in receipts])
        return HttpResponse(said, status=201 if new else 200, content_type="application/json")
    report = single(given, request.headers.get("Idempotency-Key", ""))
    status, headers, body = answer_to(receive_reports([report], client=client, viewer=viewer)[0])
    return HttpResponse(body, status=status, headers=dict(headers))


def _read(request: HttpRequest) -> ReportIn | list[ReportIn]:
    # Read here and not by the framework: one look decides between one and many, and the size is ours to limit.
    if int(request.headers.get("Content-Length") or 0) > LARGEST:
        raise Refused(Sentence(zh="一次最多 4 MB。", en="At most 4 MB in one request."), status=413, code="too_large")
    raw = request.read(LARGEST + 1)
    try:
        if raw.lstrip()[:1] != b"[":
            return ONE.validate_json(raw)
        many = _MANY.validate_json(raw)
    except BadShape as error:
        found = error.errors(include_url=False, include_context=False, include_input=False)
        raise ValidationError([{**e, "loc": ("body", *e["loc"])} for e in found]) from None
    if not 1 <= len(many) <= MOST:
        raise Refused(
            Sentence(zh=f"一次 1 到 {MOST} 条。", en=f"From 1 to {MOST} reports in one request."),
            status=422,
            code="too_many",
        )
    return many


def shown(receipt: Receipt) -> dict[str, str]:
    return {"key": receipt.key, "outcome": receipt.outcome, "number": receipt.number, "secret": receipt.secret}


class StatusAsked(Strict):
    number: str = Field(max_length=24)
    secret: str = Field(max_length=64)


class StatusOut(Schema):
    """What the reporter is told: where the report is, and if it became a case, how far that is."""

    number: str
    state: str
    received_at: datetime
    case_number: str | None = None
    case_state: str | None = None
    case_state_name: dict[str, str] | None = None
    closed_at: datetime | None = None


@router.post("/reports/status", auth=None, response=StatusOut, summary="What became of my report?")
def status(request: HttpRequest, body: StatusAsked) -> dict[str, Any]:
    """For whoever holds a report's number and secret. The secret travels in the body, never in an address.

    凭单号和查询码查询进度。查询码放在内容里，不放在网址里。
    """
    report = queries.report_by_secret(body.number, body.secret)
    if report is None:
        raise not_found()
    return queries.status_of(report)


class CallbackAnswer(Strict):
    token: str = Field(max_length=64)
    resolved: bool
    satisfied: int | None = Field(None, ge=1, le=5)
    comment: str = Field("", max_length=2000)


@router.post("/callbacks/answer", auth=None, response={204: None}, summary="Answer: is it solved?")
def answer_callback(request: HttpRequest, body: CallbackAnswer) -> Status[None]:
    """The reporter's answer, proven by the token of the question alone. It counts once; a "no" reopens the case.

    反映人凭回访令牌答复，只计一次；答“未解决”则案件重办。
    """
    feedback.answer(
        token=body.token, resolved=body.resolved, satisfied=body.satisfied, comment=body.comment, viewer=ANONYMOUS
    )
    return Status(204, None)


class TriageOut(Schema):
    """A report of which the machine was not sure: what was said, what it guessed, and why it doubts."""

    id: int
    number: str
    channel: str
    title: str
    text: str
    address: str
    lon: float | None
    lat: float | None
    case_type: str
    urgent: bool
    reported_at: datetime
    received_at: datetime
    guess: dict[str, Any] | None
    reporter: dict[str, Any] | None = None


@router.get("/triage", response=Page[TriageOut], summary="Reports that wait for a person")
def triage(request: HttpRequest, window: Query[Window]) -> dict[str, Any]:
    """Oldest first. The reporter is masked.

    待人工甄别的上报，最早的在前；反映人已脱敏。
    """
    viewer = viewer_of(request)
    viewer.need("triage")

    def show(rows: list[Any]) -> list[TriageOut]:
        people = masked([r.contact_id for r in rows if r.contact_id], viewer)
        found = []
        for row in rows:
            one = TriageOut.model_validate(row)
            contact = people.get(row.contact_id)
            if contact is not None:
                one.reporter = {"name": contact.name, "phone": contact.phone, "secret": contact.secret}
            found.append(one)
        return found

    return page(queries.triage_list(viewer), window, show, sort="id")


class TriageAnswer(Strict):
    """A person's decision: join `case_number`, or `refuse` with a reason, or open a case of `case_type` at a place."""

    report_id: int
    case_type: str = Field("", max_length=60)
    lon: float | None = None
    lat: float | None = None
    region_code: str = Field("", max_length=19)
    case_id: int | None = None
    refuse: str = Field("", max_length=500)


class Settled(Schema):
    id: int
    number: str
    state: str
    case_id: int | None


@router.post("/triage/answers", response=list[Settled], summary="Settle reports")
def settle(request: HttpRequest, body: list[TriageAnswer]) -> list[Any]:
    """Carries out decisions about reports on the triage list, all or none; each teaches the classifier.

    处理待甄别的上报，要么全部成功，要么全部不变；每个决定都成为训练样本。
    """
    return list(settle_reports([Answer(**a.model_dump()) for a in body], viewer=viewer_of(request)))
