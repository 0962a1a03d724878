"""The reporter's own page, behind a secret link: how it stands, what was promised, the answer, and one's own data."""

from __future__ import annotations

import io
from typing import Any

import qrcode
from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.safestring import mark_safe
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from qrcode.image.svg import SvgPathFillImage

from gridloop.cases.public import Story, story_of
from gridloop.discover import residents
from gridloop.discover.models import Report
from gridloop.feedback.actions import answer as give_answer
from gridloop.feedback.queries import Question, questions_to
from gridloop.handle import queries as handle
from gridloop.kernel import clock
from gridloop.kernel.errors import not_found
from gridloop.kernel.language import Sentence
from gridloop.people.access import count_turn
from gridloop.people.queries import unit_names
from gridloop.people.sessions import source_of
from gridloop.people.viewer import Viewer
from gridloop.web.portal import areas
from gridloop.web.shell.pages import public, show

TOO_MANY = Sentence(zh="查询太频繁，请过几分钟再试。", en="Too many tries: please wait some minutes.")


def _mine(secret: str) -> Report:
    report = residents.report_of_link(secret)
    if report is None:
        raise not_found()
    return report


def _secretly(response: HttpResponseBase) -> HttpResponseBase:
    """A page behind a secret link: told to no other site, to no search engine, kept in no cache."""
    response["Referrer-Policy"] = "no-referrer"
    response["X-Robots-Tag"] = "noindex, nofollow"
    response["Cache-Control"] = "private, no-store"
    return response


@require_GET
@public
def ticket(request: HttpRequest, viewer: Viewer, secret: str) -> HttpResponseBase:
    """How it stands, in plain words; the promised time and how it changed; the answer; before and after."""
    report = _mine(secret)
    link = request.build_absolute_uri(reverse("portal:ticket", args=[secret]))
    context = _told(report) | {"secret": secret, "link": link, "qr": _qr(link), "new": request.GET.get("new") == "1"}
    return _secretly(show(request, "portal/ticket.html", context))


def _told(report: Report) -> dict[str, Any]:
    story: Story | None = story_of(report.case_id) if report.case_id else None
    asked: list[Question] = questions_to(report.pk) if story else []
    shown = handle.public_pictures_of([report.case_id]).get(report.case_id, []) if report.case_id else []
    before = next((p for p in shown if p.stage in ("report", "verify", "before")), None)
    after = next((p for p in reversed(shown) if p.stage in ("after", "check")), None)
    units = unit_names([story.unit_id]) if story is not None and story.unit_id is not None else {}
    return {
        "report": report,
        "story": story,
        "place": areas.names([story.region_code]).get(story.region_code) if story else None,
        "unit": units.get(story.unit_id or 0) if story is not None else None,
        "question": asked[-1] if asked else None,
        "questions": asked,
        "before": before,
        "after": after,
        "refused": residents.refusal_of(report),
    }


def _qr(link: str) -> str:
    """The link as a QR code, drawn black on white whatever the theme."""
    out = io.BytesIO()
    qrcode.make(link, image_factory=SvgPathFillImage, border=3).save(out)
    drawn = out.getvalue().decode()
    return mark_safe(drawn[drawn.index("<svg") :])  # noqa: S308 - drawn by us from a link that we made


@csrf_exempt  # the address itself holds 128 bits that no other site knows, and it is told to none
@require_POST
@public
def answer(request: HttpRequest, viewer: Viewer, secret: str) -> HttpResponseBase:
    """Solved or not, content or not: one tap. "Not solved" takes the case up again."""
    report = _mine(secret)
    asked = [q for q in questions_to(report.pk) if q.answered_at is None]
    home = HttpResponseRedirect(reverse("portal:ticket", args=[secret]) + "#answer")
    home.status_code = 303
    if asked:
        resolved = request.POST.get("resolved") == "yes"
        grade = request.POST.get("satisfied", "")
        give_answer(
            token=asked[-1].token,
            resolved=resolved,
            satisfied=int(grade) if grade in ("1", "2", "3", "4", "5") else None,
            comment=request.POST.get("comment", "").replace("\0", "").strip()[:2000],
            viewer=viewer,
        )
    return _secretly(home)


@csrf_exempt  # as above
@require_http_methods(["GET", "HEAD", "POST"])
@public
def data(request: HttpRequest, viewer: Viewer, secret: str) -> HttpResponseBase:
    """All that is kept of the report and its person: to be seen, to be taken away, to be destroyed."""
    report = _mine(secret)
    done = None
    if request.method == "POST" and request.POST.get("do") == "download":
        whole = residents.all_that_is_kept(report)
        whole["answers"] = [
            {
                "asked_at": q.asked_at, "answered_at": q.answered_at, "resolved": q.resolved,
                "satisfied": q.satisfied, "comment": q.comment,
            }
            for q in questions_to(report.pk)
        ]  # fmt: skip
        response = JsonResponse(whole, json_dumps_params={"ensure_ascii": False, "indent": 1})
        response["Content-Disposition"] = f'attachment; filename="{report.number}.json"'
        return _secretly(response)
    if request.method == "POST" and request.POST.get("do") == "delete" and request.POST.get("sure") == "yes":
        done = residents.forget_reporter(report)
    context = {
        "report": report,
        "secret": secret,
        "known": residents.known_of(report),
        "questions": questions_to(report.pk),
        "done": done,
    }
    return _secretly(show(request, "portal/data.html", context))


@require_GET
@public
def picture(request: HttpRequest, viewer: Viewer, secret: str, picture: int) -> HttpResponseBase:
    """The public copy of a picture of one's own case."""
    report = _mine(secret)
    if report.case_id is None:
        raise not_found()
    small = request.GET.get("small") == "1"
    file = (handle.public_thumbnail_file if small else handle.public_file)(report.case_id, picture)
    return _secretly(FileResponse(file.open("rb"), headers=handle.picture_headers(file, f"{report.number}-{picture}")))


@require_http_methods(["GET", "HEAD", "POST"])
@public
def find(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """By the secret link or code: the whole page. By the ticket's number alone: how it stands, and nothing else."""
    if request.method != "POST":
        return show(request, "portal/find.html", {})
    count_turn("portal_find", source_of(request), most=20, sentence=TOO_MANY, at=clock.now())
    word = request.POST.get("ticket", "").strip()
    secret = word.rstrip("/").rpartition("/")[2].partition("?")[0]
    if residents.report_of_link(secret) is not None:
        response = HttpResponseRedirect(reverse("portal:ticket", args=[secret]))
        response.status_code = 303
        return _secretly(response)
    report = residents.report_by_number(word)
    if report is None:
        return show(request, "portal/find.html", {"wrong": True}, status=404)
    story = story_of(report.case_id) if report.case_id else None
    found: HttpResponse = show(request, "portal/find.html", {"report": report, "story": story})
    found["Cache-Control"] = "no-store"
    return found
