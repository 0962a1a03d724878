"""Taking a call: the words first; the machine suggests type, place and near cases while they are written."""

from __future__ import annotations

from uuid import uuid4

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from gridloop.cases.models import Case
from gridloop.cases.queries import cases_for, promised_at
from gridloop.discover.actions import Answer, NewReport, take_call
from gridloop.discover.models import Report
from gridloop.discover.queries import Suggestion, report_called, suggest
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.language import Sentence
from gridloop.people.viewer import Viewer
from gridloop.registry.actions import NewContact
from gridloop.standard import queries as standard_queries
from gridloop.web.console.verbs import degrees
from gridloop.web.shell.pages import show, staff

CHANNELS = ("hotline", "wechat", "sms", "web", "app")
"""What an officer may be writing down; a telephone call first."""


@require_http_methods(["GET", "POST"])
@staff("accept")
def page(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The empty form; and the call that was written down."""
    if request.method == "GET":
        return _form(request, QueryDict(), str(uuid4()))
    said = request.POST
    try:
        taken = take_call(_report(said), sure=_sure(said), viewer=viewer)
    except (Refused, Mistakes) as no:
        response = _form(request, said, said.get("key", ""), no)
        response.status_code = no.status if isinstance(no, Refused) else 422
        return response
    return HttpResponseRedirect(f"/console/intake/taken/{taken.report.number}")


def _form(request: HttpRequest, said: QueryDict, key: str, refused: Refused | Mistakes | None = None) -> HttpResponse:
    """The form. What was said of the caller is never put back into it: it goes one way, into the vault."""
    return show(request, "console/intake.html", {"said": said, "key": key, "refused": refused, "channels": CHANNELS})


def _report(said: QueryDict) -> NewReport:
    name, phone = said.get("name", "").strip()[:100], said.get("phone", "").strip()[:40]
    lon, lat = degrees(said.get("lon"), 180), degrees(said.get("lat"), 90)
    both = lon is not None and lat is not None
    channel = said.get("channel", "hotline")
    return NewReport(
        key=said.get("key", ""),
        channel=channel if channel in CHANNELS else "hotline",
        text=said.get("text", "").strip(),
        address=said.get("address", "").strip(),
        lon=lon if both else None,
        lat=lat if both else None,
        urgent="urgent" in said,
        contact=NewContact(name, phone, "secret" in said) if name or phone else None,
    )


def _sure(said: QueryDict) -> Answer | None:
    """What the officer decided, if anything: a type with its place, or the open case that it joins."""
    lon, lat = degrees(said.get("lon"), 180), degrees(said.get("lat"), 90)
    join = said.get("join", "")
    if join.isascii() and join.isdigit():
        return Answer(report_id=0, case_type=said.get("case_type", ""), case_id=int(join), lon=lon, lat=lat)
    case_type = said.get("case_type", "")
    if case_type and lon is not None and lat is not None:
        return Answer(report_id=0, case_type=case_type, lon=lon, lat=lat)
    return None


@require_POST
@staff("accept")
def suggestions(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What the machine makes of the words so far. Sent in the body, answered and forgotten."""
    said = request.POST
    chosen = said.get("case_type", "")
    found = suggestion(said, viewer)
    known = {g.case_type.key for g in found.types}
    other = standard_queries.current().case_types.get(chosen) if chosen and chosen not in known else None
    return show(
        request,
        "console/_suggested.html",
        {"found": found, "chosen": chosen, "other": other, "join": said.get("join", "")},
    )


def suggestion(said: QueryDict, viewer: Viewer) -> Suggestion:
    return suggest(
        said.get("text", "")[:5000],
        viewer=viewer,
        at=clock.now(),
        address=said.get("address", "")[:300],
        case_type=said.get("case_type", "")[:60],
        lon=degrees(said.get("lon"), 180),
        lat=degrees(said.get("lat"), 90),
    )


@require_GET
@staff("accept")
def taken(request: HttpRequest, viewer: Viewer, number: str) -> HttpResponse:
    """What is read out to the caller: the number, and by when it will be done."""
    report = report_called(number, viewer=viewer)
    case = cases_for(viewer).filter(id=report.case_id).select_related("unit").first() if report.case_id else None
    context = {
        "report": report,
        "spoken": " ".join(report.number),
        "case": case,
        "case_type": _type_of(case),
        "promised": promised_at(case) if case is not None else None,
        "waits": report.state == Report.State.WAITING,
    }
    part = request.headers.get("HX-Request") == "true"
    return show(request, "console/_taken.html" if part else "console/taken.html", context)


def _type_of(case: Case | None) -> Sentence | None:
    if case is None:
        return None
    return standard_queries.release(case.pack_release_id).case_type(case.case_type).name
