"""The triage list: one report after the other, and why the machine guessed so. A person answers with one key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils import translation
from django.views.decorators.http import require_http_methods

from gridloop.discover.actions import DOUBTS, Answer, settle_reports
from gridloop.discover.models import Report
from gridloop.discover.queries import report_called, suggestion_of, triage_list
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.language import Sentence
from gridloop.people.viewer import Viewer
from gridloop.registry.queries import masked
from gridloop.standard import queries as standard_queries
from gridloop.web.console.case import CHANNELS
from gridloop.web.console.verbs import degrees
from gridloop.web.shell.pages import show, staff

NEXT = 20
"""Reports of the list that are named beside the one at hand."""
MANY = 1000
"""Beyond this the list is counted no further."""


@require_http_methods(["GET", "POST"])
@staff("triage")
def page(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The report at hand; and the answer to it."""
    if request.method == "GET":
        return _page(request, viewer, request.GET)
    said = request.POST
    number = _whole(said.get("report"))
    answer = Answer(
        report_id=number,
        case_type=said.get("case_type", ""),
        lon=degrees(said.get("lon"), 180) if said.get("lat") else None,
        lat=degrees(said.get("lat"), 90) if said.get("lon") else None,
        case_id=_whole(said.get("join")) or None,
        refuse=said.get("refuse", "").strip()[:500] if said.get("do") == "refuse" else "",
    )
    try:
        if said.get("do") == "refuse" and len(answer.refuse) < MIN_REASON:
            raise Refused(Sentence(zh="请写明不予受理的理由。", en="Say why it is refused."), status=422, code="reason")
        settled = settle_reports([answer], viewer=viewer)[0]
    except (Refused, Mistakes) as no:
        response = _page(request, viewer, said, no)
        response.status_code = no.status if isinstance(no, Refused) else 422
        return response
    return HttpResponseRedirect(f"/console/triage?done={settled.number}")


MIN_REASON = 2


def _page(
    request: HttpRequest, viewer: Viewer, said: QueryDict, refused: Refused | Mistakes | None = None
) -> HttpResponse:
    waiting = triage_list(viewer)
    first = list(waiting[: NEXT + 1])
    wanted = _whole(said.get("report"))
    report = next((r for r in first if r.pk == wanted), None)
    if report is None and wanted:
        report = waiting.filter(pk=wanted).first()
    report = report or (first[0] if first else None)
    context: dict[str, object] = {
        "refused": refused,
        "said": said,
        "report": report,
        "first": first[:NEXT],
        "count": waiting[:MANY].count(),
        "many": MANY,
        "done": _done(request.GET.get("done", ""), viewer),
    }
    if report is not None:
        context |= _about(report, viewer, said)
    return show(request, "console/triage.html", context)


def _done(number: str, viewer: Viewer) -> Report | None:
    """What was settled a moment ago, to be named above the next one."""
    if not number or not viewer.may("accept"):
        return None
    try:
        return report_called(number, viewer=viewer)
    except Refused:
        return None


def _about(report: Report, viewer: Viewer, said: QueryDict) -> dict[str, object]:
    guess = report.guess or {}
    found = suggestion_of(report, viewer=viewer, at=clock.now())
    types = standard_queries.current().case_types
    chosen = said.get("case_type") or (found.types[0].case_type.key if found.types else "")
    place = next((p for p in found.places if p.lon is not None and p.sure), None)
    contact = masked([report.contact_id], viewer).get(report.contact_id) if report.contact_id else None
    return {
        "text": marked(report.text or report.title, tuple(guess.get("words", ()))),
        "doubts": [DOUBTS[d] for d in guess.get("doubts", ()) if d in DOUBTS],
        "found": found,
        "chosen": chosen,
        "other": types.get(chosen) if chosen and chosen not in {g.case_type.key for g in found.types} else None,
        "place": place,
        "contact": contact,
        "channel": CHANNELS.get(report.channel) or Sentence(zh=report.channel, en=report.channel),
        "english": (translation.get_language() or "zh").startswith("en"),
    }


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of a text, which decided or did not."""

    text: str
    decided: bool


def marked(text: str, words: Sequence[str]) -> list[Run]:
    """A text in runs: those that are one of the deciding words, and the rest between."""
    owners = [False] * len(text)
    small = text.lower()
    for word in words:
        at = small.find(word.lower()) if word.strip() else -1
        while at >= 0:
            owners[at : at + len(word)] = [True] * len(word)
            at = small.find(word.lower(), at + len(word))
    runs: list[Run] = []
    start = 0
    for n in range(1, len(text) + 1):
        if n == len(text) or owners[n] != owners[start]:
            runs.append(Run(text[start:n], owners[start]))
            start = n
    return runs


def _whole(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 18 else 0
