"""The front door, and the switches of every page: language, theme, size of letters."""

from __future__ import annotations

from django.conf import settings
from django.db.models import Count
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from gridloop.cases.models import Case
from gridloop.cases.workflow import STATES
from gridloop.kernel import clock
from gridloop.kernel.errors import not_found
from gridloop.people import sessions
from gridloop.people.viewer import Viewer
from gridloop.web.shell import demo
from gridloop.web.shell.pages import SIZES, THEMES, person_of, public, show

YEAR = 365 * 24 * 3600


def inside(request: HttpRequest, target: str, otherwise: str = "/") -> str:
    """This address if it is one of ours, else another one."""
    if not url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()}) or not target.startswith("/"):
        return otherwise
    return target


def back(request: HttpRequest, otherwise: str = "/") -> HttpResponseRedirect:
    """Where the form says that one came from, if that is here."""
    return HttpResponseRedirect(inside(request, request.POST.get("next", ""), otherwise))


@public
def front(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """In a demonstration the page that explains itself; else home for staff and the portal for everybody."""
    if not demo.is_demo():
        return HttpResponseRedirect("/console/" if person_of(request) is not None else "/portal/")
    counts = dict(Case.objects.values_list("state").annotate(Count("id")))
    steps = [
        (name, sum(counts.get(s, 0) for s in states), icon)
        for name, states, icon in (
            ("discover", ("reported", "pending_verify", "pending_filing"), "megaphone"),
            ("dispatch", ("pending_dispatch", "returned"), "split"),
            ("handle", ("dispatched", "handling", "suspended", "rework"), "wrench"),
            ("check", ("handled", "pending_close"), "camera"),
            ("close", ("closed", "forced_close"), "check-check"),
        )
    ]
    return show(
        request,
        "shell/front.html",
        {"doors": demo.doors(), "steps": steps, "total": sum(counts.values()), "states": STATES},
    )


@require_POST
@public
def enter(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Walk in as the invented person of a post. There is no such door outside of a demonstration."""
    person = demo.who(request.POST.get("role", ""))
    if person is None:
        raise not_found()
    sessions.begin(request, person, at=clock.now())
    return back(request, "/console/")


@csrf_exempt  # it changes how this browser shows pages, nothing else; a page without a referrer sends no origin either
@require_POST
@public
def prefer(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Keep a choice in this browser: ``language``, ``theme`` or ``size``. Nothing is stored about the person."""
    response = back(request)
    chosen = {
        settings.LANGUAGE_COOKIE_NAME: (request.POST.get("language"), [code for code, _ in settings.LANGUAGES]),
        "theme": (request.POST.get("theme"), THEMES),
        "size": (request.POST.get("size"), SIZES),
    }
    for name, (value, known) in chosen.items():
        if value in known:
            response.set_cookie(
                name, str(value), max_age=YEAR, samesite="Lax", secure=settings.SESSION_COOKIE_SECURE, httponly=True
            )
    return response
