"""What I was told: the bell, the list, and through which ways I want to be told."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET, require_POST

from gridloop.cases.queries import cases_for
from gridloop.kernel import clock
from gridloop.kernel.errors import not_found
from gridloop.people import ways_out
from gridloop.people.actions import read_notices
from gridloop.people.notices import KINDS, Quiet, kind_of
from gridloop.people.queries import notices_for, notices_page, unread_notices
from gridloop.people.viewer import Viewer
from gridloop.web.shell.front import back
from gridloop.web.shell.pages import is_fragment, show, staff, unsettled

PAGE = 50


@require_GET
@unsettled
def bell(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The bell with its count, asked for every half minute: one query."""
    return show(request, "account/_bell.html", {"unread": unread_notices(viewer)})


@require_GET
@staff
def notices(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """What I was told: the unread first, each with its case."""
    cursor = request.GET.get("cursor", "")
    rows, after = notices_page(viewer, cursor=cursor, size=PAGE)
    numbers = dict(cases_for(viewer).filter(id__in={n.case_id for n in rows if n.case_id}).values_list("id", "number"))
    shown = [{"notice": n, "kind": kind_of(n.kind), "number": numbers.get(n.case_id or 0)} for n in rows]
    context = {"rows": shown, "next": after, "unread": unread_notices(viewer), "more": bool(cursor)}
    return show(request, "account/_notices.html" if is_fragment(request) else "account/notices.html", context)


@require_GET
@staff
def open_notice(request: HttpRequest, viewer: Viewer, notice_id: int) -> HttpResponseBase:
    """Off to the case that a notice is about; the notice is read then."""
    notice = notices_for(viewer).filter(pk=notice_id).first()
    if notice is None:
        raise not_found()
    read_notices(ids=[notice.pk], viewer=viewer, at=clock.now())
    number = cases_for(viewer).filter(id=notice.case_id or 0).values_list("number", flat=True).first()
    return HttpResponseRedirect(f"/console/cases/{number}" if number else "/account/notices")


@require_POST
@staff
def read(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Mark one of my notices as read, or all."""
    chosen = request.POST.get("notice", "")
    if chosen != "all" and not chosen.isdigit():
        raise not_found()
    read_notices(ids=None if chosen == "all" else [int(chosen)], viewer=viewer, at=clock.now())
    return back(request, "/account/notices")


@require_GET
@staff
def choices(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Through which ways I want to be told of what, in which language, and when not."""
    mine = ways_out.choices_of(viewer)
    quiet = [f"{m // 60:02}:{m % 60:02}" for m in (mine.quiet.start, mine.quiet.end)]
    context = {"mine": mine, "kinds": KINDS, "quiet": quiet, "operates": viewer.may("operate")}
    return show(request, "account/choices.html", context)


@require_POST
@staff
def choose(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Keep my choices. An emergency asks nobody."""
    asked = request.POST
    pairs = (pair.partition(":") for pair in asked.getlist("wanted"))
    chosen = ways_out.Chosen(
        language=asked.get("language", ""),
        quiet=Quiet(ways_out.minutes_of(asked.get("from", "")), ways_out.minutes_of(asked.get("until", ""))),
        addresses={name.removeprefix("address:"): asked[name].strip() for name in asked if name.startswith("address:")},
        wanted=frozenset((channel, kind) for channel, _, kind in pairs),
    )
    ways_out.choose(chosen=chosen, viewer=viewer)
    return HttpResponseRedirect("/account/notices/choices?saved=1")
