"""Report: one form, a look at it before it goes, and the link with which one may ask about it."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.views.decorators.http import require_GET, require_http_methods

from gridloop.cases.public import PublicCase, PublicFilter, public_case, public_cases
from gridloop.discover import queries as discover
from gridloop.discover.actions import Outcome, receive_reports
from gridloop.discover.rules.danger import DANGERS, NAMES, Danger, dangers_in
from gridloop.handle import residents as pictures
from gridloop.kernel import clock
from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence
from gridloop.people.access import count_turn
from gridloop.people.sessions import source_of
from gridloop.people.viewer import Viewer
from gridloop.standard import queries as standard
from gridloop.web.portal import areas
from gridloop.web.portal.forms import CLIENT, Written, fresh, read, report_of
from gridloop.web.shell.pages import public, show

NEAR_METRES = 150.0
REPORTS_AT_ONCE = 10
LOOKS_AT_ONCE = 120
TOO_MANY = Sentence(
    zh="从您这里刚刚发来了很多条。为防滥用，请过几分钟再发；急事请打12345。",
    en="Many reports have come from your address just now. Please wait some minutes; if it is urgent call 12345.",
)


@dataclass(frozen=True, slots=True)
class Call:
    """A number to call, and whose it is."""

    number: str
    name: Sentence


@dataclass(frozen=True, slots=True)
class Warned:
    """A danger of which the text speaks: what to do and whom to call."""

    kind: str
    do: Sentence
    calls: tuple[Call, ...]


def warned(danger: Danger) -> Warned:
    """A danger with the national numbers and the district's own lines."""
    own = [Call(x.number, x.name) for x in standard.current().lines if x.danger == danger.kind]
    return Warned(danger.kind, danger.do, (*(Call(n, NAMES[n]) for n in danger.call), *own))


@require_http_methods(["GET", "HEAD", "POST"])
@public
def report(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The form; what was written, to be looked at; and the sending, once however often it is pressed."""
    if request.method != "POST":
        return _form(request, fresh(request.GET.dict()))
    written = read(request.POST)
    if written.trap:
        written.mistakes["what"] = Sentence(
            zh="一个不该填写的隐藏栏被填上了（可能是自动填写），已清空，请再按一次。",
            en="A hidden field was filled in, perhaps by autofill. It was emptied: press once more.",
        )
        written.trap = ""
    do = request.POST.get("do", "review")
    if do == "drop":
        pictures.drop_pictures(key=written.key)
    else:
        _take_photographs(request, written)
    if do == "send" and not written.mistakes:
        return _send(request, viewer, written)
    if do == "review" and not written.mistakes:
        return _review(request, viewer, written)
    return _form(request, written, status=422 if written.mistakes and do in ("send", "review") else 200)


def _take_photographs(request: HttpRequest, written: Written) -> None:
    for file in request.FILES.getlist("photo")[: pictures.MOST]:
        count_turn("portal_photo", source_of(request), most=60, sentence=TOO_MANY, at=clock.now())
        try:
            pictures.keep_picture(key=written.key, content=file.read(pictures.MAX_BYTES + 1))
        except Refused as refused:
            written.mistakes["photo"] = refused.sentence


def _form(request: HttpRequest, written: Written, *, status: int = 200) -> HttpResponse:
    same = public_case(written.same) if written.same else None
    if same is None or same.group != "open":
        written.same = ""
    response = show(
        request,
        "portal/report.html",
        {
            "written": written,
            "streets": areas.areas(),
            "photographs": pictures.pictures_with(written.key) if request.method == "POST" else [],
            "most": pictures.MOST,
            "same": same if written.same else None,
            "same_place": areas.names([same.region_code]).get(same.region_code) if same else None,
            "warnings": [warned(d) for d in dangers_in([written.what])],
            "dangers": [
                {"words": d.words, "do": str(w.do), "calls": [[c.number, str(c.name)] for c in w.calls]}
                for d in DANGERS
                for w in (warned(d),)
            ],
        },
        status=status,
    )
    return _kept_nowhere(response)


def _review(request: HttpRequest, viewer: Viewer, written: Written) -> HttpResponse:
    count_turn("portal_look", source_of(request), most=LOOKS_AT_ONCE, sentence=TOO_MANY, at=clock.now())
    area = areas.names([written.area]).get(written.area) if written.area else None
    said = discover.suggest(
        written.what,
        viewer=viewer,
        at=clock.now(),
        address=f"{area.zh} {written.where}" if area else written.where,
        lon=written.lon,
        lat=written.lat,
    )
    place = said.places[0] if said.places else None
    near: list[PublicCase] = []
    if said.lon is not None and said.lat is not None and not written.same:
        near = public_cases(PublicFilter(near=(said.lon, said.lat, NEAR_METRES), group="open"), limit=6)
        wanted = [t.case_type.key for t in said.types]
        near.sort(key=lambda c: wanted.index(c.case_type) if c.case_type in wanted else len(wanted))
    same = public_case(written.same) if written.same else None
    response = show(
        request,
        "portal/review.html",
        {
            "written": written,
            "area": area,
            "place": place,
            "region": areas.names([place.region_code]).get(place.region_code) if place else None,
            "photographs": pictures.pictures_with(written.key),
            "near": near,
            "near_places": areas.names([c.region_code for c in near]),
            "same": same,
            "warnings": [warned(d) for d in dangers_in([written.what])],
        },
    )
    return _kept_nowhere(response)


def _send(request: HttpRequest, viewer: Viewer, written: Written) -> HttpResponse:
    now = clock.now()
    area = areas.names([written.area]).get(written.area) if written.area else None
    new = report_of(written, area=area, pictures=pictures.send_pictures(written.key, at=now))
    count_turn("portal_report", source_of(request), most=REPORTS_AT_ONCE, sentence=TOO_MANY, at=now)
    receipt = receive_reports([new], client=CLIENT, viewer=viewer, at=now)[0]
    if receipt.outcome == Outcome.CONFLICT:
        return show(request, "portal/twice.html", {}, status=409)
    response = HttpResponseRedirect(reverse("portal:ticket", args=[receipt.secret]) + "?new=1")
    response.status_code = 303
    return _kept_nowhere(response)


@require_GET
@public
def near(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Open cases near a place, for the form: what others reported already."""
    count_turn("portal_look", source_of(request), most=LOOKS_AT_ONCE, sentence=TOO_MANY, at=clock.now())
    written = fresh(request.GET.dict())
    found: list[PublicCase] = []
    if written.lon is not None and written.lat is not None:
        found = public_cases(PublicFilter(near=(written.lon, written.lat, NEAR_METRES), group="open"), limit=5)
    places = areas.names([c.region_code for c in found])
    response = JsonResponse(
        {
            "cases": [
                {
                    "number": c.number,
                    "name": str(c.name),
                    "word": str(c.word),
                    "place": str(places[c.region_code]),
                    "callers": c.callers,
                }
                for c in found
            ]
        }
    )
    response["Cache-Control"] = "no-store"
    return response


def _kept_nowhere(response: HttpResponse) -> HttpResponse:
    response["Cache-Control"] = "no-store"
    return response
