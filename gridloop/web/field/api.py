"""What the application on the telephone asks the server: JSON, one action or a few queries each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.middleware.csrf import get_token
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from gridloop.cases.queries import cases_for
from gridloop.cases.workflow import name_of
from gridloop.discover.actions import NewReport, Outcome, receive_reports
from gridloop.discover.queries import classifier, report_by_key
from gridloop.handle import tasks as work
from gridloop.handle.field import (
    MAX_PIECE,
    Parcel,
    Wish,
    attach_uploads,
    check_answers,
    settle,
    take_piece,
    upload_of,
)  # fmt: skip
from gridloop.handle.models import Upload
from gridloop.handle.queries import served_file, spoken_note, thumbnail_file
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes, Refused, not_found
from gridloop.kernel.language import Sentence
from gridloop.people import access
from gridloop.people.queries import own_person
from gridloop.people.roles import ROLES
from gridloop.people.sessions import lease_of, order_for, second_of
from gridloop.people.viewer import Viewer
from gridloop.standard.queries import current
from gridloop.territory.queries import names_of
from gridloop.web.shell.pages import OWED, public, staff

MAX_ITEMS = 50
WORKS = ("report", "verify", "start", "hand_back", "check", "self_handle")
"""Whoever may do one of these has something to do in the street."""


# --- what a telephone takes along ------------------------------------------------------------------------------------


@require_GET
@public
def me(request: HttpRequest, viewer: Viewer) -> JsonResponse:
    """Who is logged in, the token for what changes something, and the mark by which a lost device is told to wipe.

    ``id`` is null for a stranger, and for whoever owes a password or a second factor first.
    """
    person = own_person(viewer)
    owes = "" if person is None else access.owed(person, viewer, second=second_of(request))
    if person is None or owes:
        return _unkept(JsonResponse({"id": None, "go": OWED.get(owes, "/login")}))
    answer = JsonResponse(
        {
            "id": person.pk,
            "name": person.name,
            "posts": [ROLES[role].name.both() for role in sorted(viewer.roles())],
            "may": sorted(viewer.permissions),
            "csrf": get_token(request),
            "lease": lease_of(person),
            "at": clock.now(),
            "zone": getattr(settings, "GRIDLOOP_ZONE", "Asia/Shanghai"),
        }
    )
    return _unkept(answer)


def _unkept(response: JsonResponse) -> JsonResponse:
    response["Cache-Control"] = "private, no-store"
    return response


@csrf_exempt  # asked by a device whose session is over; it changes nothing
@require_POST
def lease(request: HttpRequest) -> JsonResponse:
    """What a device that is no longer logged in does with what it keeps: wait for its owner, or wipe."""
    return _unkept(JsonResponse({"order": order_for(request.read(600).decode("ascii", "replace"))}))


@require_GET
@staff(*WORKS)
def tasks(request: HttpRequest, viewer: Viewer) -> JsonResponse:
    """The tasks with all that is needed to do them without a link."""
    return JsonResponse(work.bundle(viewer))


@require_GET
@staff(*WORKS)
def standard(request: HttpRequest, viewer: Viewer) -> JsonResponse:
    """The types under which a report may be made, their forms, and which of them are usual where the person works."""
    held = current()
    types = [
        {
            "key": kind.key, "name": kind.name.both(), "major": kind.major_name.both(), "kind": kind.kind,
            "urgent": kind.urgent, "form": kind.form, "self_handle": kind.self_handle,
            "evidence": [kind.evidence.before, kind.evidence.after],
        }
        for kind in held.case_types.values()
    ]  # fmt: skip
    regions = work.own_regions(viewer)
    return JsonResponse(
        {
            "types": types,
            "forms": {name: dict(schema) for name, schema in held.forms.items()},
            "usual": work.usual_types(regions),
            "self_handle": name_of("self_handle").both(),
            "regions": names_of(regions),
        }
    )


@require_GET
@staff(*WORKS)
def own_map(request: HttpRequest, viewer: Viewer) -> JsonResponse:
    """The map of the person's own grids."""
    return JsonResponse(work.ground(viewer))


@require_GET
@staff("report")
def guess(request: HttpRequest, viewer: Viewer) -> JsonResponse:
    """What a text is probably about: at most five types, the likeliest first."""
    best = classifier().guess([request.GET.get("text", "")[:500]])[0]
    pairs = [(best.case_type, best.confidence), *best.runners_up] if best.case_type else []
    return JsonResponse({"types": [[key, share] for key, share in pairs[:5]]})


@require_GET
@staff(*WORKS)
def one_component(request: HttpRequest, viewer: Viewer, code: str) -> JsonResponse:
    """A thing in the street, by the code on it."""
    found = work.component(code)
    if found is None:
        raise not_found()
    return JsonResponse(found)


@require_GET
@staff(*WORKS)
def picture(request: HttpRequest, viewer: Viewer, evidence_id: int) -> HttpResponse:
    """The copy of a photograph that staff may see; with ``?small`` the small one."""
    if "small" in request.GET:
        return _file(HttpResponse(thumbnail_file(viewer, evidence_id).read_bytes(), content_type="image/webp"))
    return _file(HttpResponse(served_file(viewer, evidence_id).read_bytes(), content_type="image/jpeg"))


@require_GET
@staff(*WORKS)
def note(request: HttpRequest, viewer: Viewer, evidence_id: int) -> HttpResponse:
    """A spoken note, to be downloaded and heard, never shown as a page."""
    content, media_type = spoken_note(viewer, evidence_id)
    return _file(HttpResponse(content, content_type=media_type))


def _file(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "private, no-store"
    response["Content-Disposition"] = "attachment"
    response["X-Content-Type-Options"] = "nosniff"
    return response


# --- what it hands in ------------------------------------------------------------------------------------------------


class _Item(BaseModel):
    model_config = ConfigDict(extra="forbid")
    key: UUID


class MoveItem(_Item):
    """A move with a case: by its number, or by the key of one's own report that became the case."""

    kind: Literal["move"]
    case: str = Field("", max_length=24)
    report: UUID | None = None
    verb: str = Field(max_length=30)
    outcome: str = Field("", max_length=20)
    version: int | None = None
    after: UUID | None = None
    reason: str = Field("", max_length=2000)
    condition: str = Field("", max_length=60)
    unit_id: int | None = None
    answers: dict[str, Any] | None = None


class ReportItem(_Item):
    """A report made in the street. `made_at` is the moment by the telephone's clock, put right by the server's."""

    kind: Literal["report"]
    text: str = Field(max_length=4000)
    lon: float | None = Field(None, ge=-180, le=180)
    lat: float | None = Field(None, ge=-90, le=90)
    address: str = Field("", max_length=300)
    case_type: str = Field("", max_length=60)
    component: str = Field("", max_length=24)
    answers: dict[str, Any] | None = None
    made_at: datetime | None = None


_ITEM: TypeAdapter[MoveItem | ReportItem] = TypeAdapter(Annotated[MoveItem | ReportItem, Field(discriminator="kind")])
_BATCH: TypeAdapter[dict[Literal["items"], list[dict[str, Any]]]] = TypeAdapter(
    dict[Literal["items"], list[dict[str, Any]]]
)


@require_POST
@staff(*WORKS)
def sync(request: HttpRequest, viewer: Viewer) -> JsonResponse:
    """A batch of the outbox, each item answered by itself: done, refused, conflict, or later (ask again)."""
    try:
        items = _BATCH.validate_json(request.body)["items"]
    except (ValidationError, KeyError):
        raise _malformed() from None
    if len(items) > MAX_ITEMS:
        raise Refused(
            Sentence(zh=f"一次最多{MAX_ITEMS}项。", en=f"At most {MAX_ITEMS} items at once."),
            status=422,
            code="too_many",
        )
    return JsonResponse({"at": clock.now(), "answers": [_answer(item, viewer) for item in items]})


def _answer(raw: dict[str, Any], viewer: Viewer) -> dict[str, Any]:
    """One item's answer. What is refused is part of the answer: one bad item must not hold up the others."""
    told = {"key": raw.get("key")}
    try:
        item = _ITEM.validate_python(raw)
        given = _report(item, viewer) if isinstance(item, ReportItem) else _move(item, viewer)
    except ValidationError:
        return told | _no(_malformed())
    except Refused as no:
        return told | _no(no)
    except Mistakes as wrong:
        sentence = Sentence(zh=f"有{len(wrong.mistakes)}处需要改正。", en=f"{len(wrong.mistakes)} mistakes.")
        listed = [[m.place, m.wrong.both(), m.instead.both()] for m in wrong.mistakes]
        return told | {"outcome": "refused", "sentence": sentence.both(), "code": "mistakes", "mistakes": listed}
    return told | given


def _no(refused: Refused) -> dict[str, Any]:
    return {"outcome": "refused", "sentence": refused.sentence.both(), "code": refused.code}


def _malformed() -> Refused:
    return Refused(
        Sentence(zh="内容无法理解，请更新应用。", en="This cannot be understood: update the application."),
        status=422,
        code="malformed",
    )


def _client(viewer: Viewer) -> str:
    return f"field:{viewer.person_id}"


def _report(item: ReportItem, viewer: Viewer) -> dict[str, Any]:
    viewer.need("report")
    extra: dict[str, Any] = {}
    if item.component:
        extra["component"] = item.component
    if item.answers is not None:
        kind = current().case_type(item.case_type)
        if kind.form is None:
            raise Refused(Sentence(zh="这类案件没有表单。", en="This kind of case has no form."), status=422)
        check_answers(current().forms[kind.form], item.answers)
        extra |= {"form": kind.form, "answers": item.answers}
    new = NewReport(
        key=str(item.key), channel="grid_worker", text=item.text, lon=item.lon, lat=item.lat, address=item.address,
        case_type=item.case_type, reported_at=item.made_at, extra=extra,
    )  # fmt: skip
    receipt = receive_reports([new], client=_client(viewer), viewer=viewer)[0]
    if receipt.outcome is Outcome.CONFLICT:
        raise Refused(
            Sentence(zh="这个编号已用于另一次上报。", en="This key was used for another report."), code="key_used"
        )
    return {"outcome": "done", "report": receipt.number}


def _move(item: MoveItem, viewer: Viewer) -> dict[str, Any]:
    own = None
    if item.report is not None:
        own = report_by_key(_client(viewer), str(item.report))
        if own is None or own.case_id is None:
            waits = Sentence(zh="上报还没有成为案件，稍后再试。", en="The report is no case yet; it is tried again.")
            return {"outcome": "later", "sentence": waits.both()}
    seen = cases_for(viewer)
    named = seen.filter(number=item.case) if own is None else seen.filter(id=own.case_id or 0)
    wish = Wish(
        key=item.key, case=str(item.report or item.case), verb=item.verb, outcome=item.outcome, version=item.version,
        as_it_is=own is not None, after=item.after, reason=item.reason, condition=item.condition,
        unit_id=item.unit_id, answers=item.answers,
    )  # fmt: skip
    errand = settle(wish, case_id=named.values_list("id", flat=True).first(), viewer=viewer)
    return {"outcome": errand.outcome, **errand.answer}


@require_http_methods(["GET", "PUT"])
@staff("evidence")
def photo(request: HttpRequest, viewer: Viewer, key: UUID) -> JsonResponse:
    """How far a file has come (GET), or its next piece (PUT ?offset=, with what the file is and where it belongs)."""
    if request.method == "GET":
        return JsonResponse(_progress(upload_of(key, viewer)))
    if int(request.headers.get("Content-Length") or 0) > MAX_PIECE:
        raise Refused(Sentence(zh="每次最多1MB。", en="A piece has 1 MB at most."), status=413, code="too_large")
    asked = request.GET
    case_id, report = _target(asked, viewer)
    try:
        offset, size = int(asked.get("offset", "")), int(asked.get("size", ""))
    except ValueError:
        raise _malformed() from None
    parcel = Parcel(
        key=key, size=size, sha256=asked.get("sha256", ""), stage=asked.get("stage", ""), case_id=case_id,
        report_id=None if report is None else report.pk,
    )  # fmt: skip
    row = take_piece(parcel, offset=offset, piece=request.read(MAX_PIECE + 1), viewer=viewer)
    if report is not None and row.complete and row.evidence_id is None:
        # Asked again after the file is safe: had the case been opened in between, nobody else would tell the two.
        fresh = report_by_key(_client(viewer), report.key)
        if fresh is not None and fresh.case_id is not None:
            attach_uploads({fresh.pk: fresh.case_id})
            row.refresh_from_db()
    return JsonResponse(_progress(row))


def _target(asked: Mapping[str, str], viewer: Viewer) -> tuple[int | None, Any]:
    """The case, or the report of one's own, to which a file belongs."""
    if asked.get("report"):
        report = report_by_key(_client(viewer), asked["report"])
        if report is None:
            raise not_found()
        return None, report
    case_id = cases_for(viewer).filter(number=asked.get("case", "")).values_list("id", flat=True).first()
    if case_id is None:
        raise not_found()
    return case_id, None


def _progress(row: Upload | None) -> dict[str, Any]:
    if row is None:
        return {"received": 0, "complete": False, "evidence": None, "refused": None}
    return {
        "received": row.received,
        "complete": row.complete,
        "evidence": row.evidence_id,
        "refused": row.refused,
    }
