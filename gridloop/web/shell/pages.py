"""How a page is asked for and shown: who looks, what they may, what is said when it is refused."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Concatenate, ParamSpec, cast, overload
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.template.loader import render_to_string
from django.utils.cache import patch_cache_control, patch_vary_headers

from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.language import Sentence
from gridloop.people import access, sessions
from gridloop.people.models import Person
from gridloop.people.queries import viewer_for
from gridloop.people.roles import ROLES
from gridloop.people.viewer import ANONYMOUS, Viewer
from gridloop.web.shell import demo, navigation

P = ParamSpec("P")
Page = Callable[Concatenate[HttpRequest, Viewer, P], HttpResponseBase]
View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]
log = logging.getLogger(__name__)

THEMES = ("auto", "light", "dark", "contrast")
SIZES = ("normal", "large")


def person_of(request: HttpRequest) -> Person | None:
    """Who is logged in, if anybody."""
    if settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return None
    person: Any = request.user
    return person if person.is_authenticated and person.is_active else None


def viewer_of(request: HttpRequest) -> Viewer:
    """The viewer of this request, asked for once."""
    viewer: Viewer | None = getattr(request, "viewer", None)
    if viewer is None:
        person = person_of(request)
        viewer = ANONYMOUS if person is None else viewer_for(person, clock.now())
        request.viewer = viewer  # type: ignore[attr-defined]
    return viewer


@overload
def staff(page: Page[P], /) -> View[P]: ...
@overload
def staff(*any_of: str) -> Callable[[Page[P]], View[P]]: ...
def staff(*any_of: Any) -> Any:
    """A page for those who work here: ``@staff``, or ``@staff("file", "dispatch")`` for whoever has one of these."""
    if len(any_of) == 1 and callable(any_of[0]):
        return _guarded(any_of[0], ())
    return lambda page: _guarded(page, any_of)


def unsettled(page: Page[P]) -> View[P]:
    """A page for those who work here, also while they owe a password or a second factor (see `access.owed`)."""
    return _guarded(page, (), settled=False)


OWED = {"password": "/password", "second_factor": "/account/second-factor"}
"""Where one goes to do what is owed before anything else."""


def _guarded(page: Page[P], any_of: tuple[str, ...], *, settled: bool = True) -> View[P]:
    @wraps(page)
    def view(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        person = person_of(request)
        if person is None:
            return _to("/login", request)
        owes = access.owed(person, viewer_of(request), second=sessions.second_of(request)) if settled else ""
        if owes:
            return _to(OWED[owes], request)

        def body() -> HttpResponseBase:
            viewer = viewer_of(request)
            if any_of and not any(viewer.may(p) for p in any_of):
                viewer.need(any_of[0])
            return page(request, viewer, *args, **kwargs)

        return _private(_answered(request, body))

    return cast(View[P], view)


def public(page: Page[P]) -> View[P]:
    """A page for everybody."""

    @wraps(page)
    def view(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        response = _answered(request, lambda: page(request, viewer_of(request), *args, **kwargs))
        patch_vary_headers(response, ("Cookie", "Accept-Language"))
        return response

    return cast(View[P], view)


def _to(address: str, request: HttpRequest) -> HttpResponse:
    """Off to another page, and back here afterwards. A part of a page makes the whole page go."""
    target = f"{address}?{urlencode({'next': request.get_full_path()})}"
    if is_fragment(request):
        response = HttpResponse(status=204)
        response["HX-Redirect"] = address
        return response
    if _wants_json(request):
        raise_status = HttpResponse(status=401)
        raise_status["Location"] = address
        return raise_status
    return HttpResponseRedirect(target)


def _private(response: HttpResponseBase) -> HttpResponseBase:
    if "Cache-Control" not in response:
        patch_cache_control(response, private=True, no_store=True)
    return response


def _answered(request: HttpRequest, body: Callable[[], HttpResponseBase]) -> HttpResponseBase:
    """The one translation of what is refused: a page, a message in the page, or JSON for our own modules."""
    try:
        return body()
    except Refused as refused:
        return refusal(request, refused.status, refused.sentence, code=refused.code)
    except Mistakes as mistakes:
        n = len(mistakes.mistakes)
        sentence = Sentence(zh=f"有{n}处需要改正，什么都没有保存。", en=f"{n} mistakes; nothing was kept.")
        return refusal(request, 422, sentence, code="mistakes", mistakes=mistakes.mistakes)


def refusal(
    request: HttpRequest, status: int, sentence: Sentence, *, code: str = "", mistakes: Any = ()
) -> HttpResponse:
    """Say no: what was refused, why, and what to do instead."""
    from django.http import JsonResponse

    if _wants_json(request):
        told = [{"place": m.place, "wrong": str(m.wrong), "instead": str(m.instead)} for m in mistakes]
        return JsonResponse({"code": code, "sentence": str(sentence), "mistakes": told}, status=status)
    context = {"status": status, "sentence": sentence, "mistakes": mistakes, "code": code}
    if is_fragment(request):
        response = HttpResponse(render_to_string("shell/_refused.html", context, request), status=status)
        response["HX-Retarget"] = "#messages"
        response["HX-Reswap"] = "innerHTML"
        return response
    return show(request, "shell/refused.html", context, status=status)


def _wants_json(request: HttpRequest) -> bool:
    return request.headers.get("Accept", "").startswith("application/json")


def is_fragment(request: HttpRequest) -> bool:
    """Whether htmx asks for a part of a page, not for a page."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Boosted") != "true"


def show(
    request: HttpRequest, template: str, context: Mapping[str, Any] | None = None, *, status: int = 200
) -> HttpResponse:
    """A page, or a part of one, in the viewer's language."""
    response = HttpResponse(render_to_string(template, dict(context or {}), request), status=status)
    patch_vary_headers(response, ("Cookie", "Accept-Language", "HX-Request"))
    return response


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor: what the frame around every page needs."""
    person = person_of(request)
    viewer = viewer_of(request) if person is not None else ANONYMOUS
    theme, size = request.COOKIES.get("theme", "auto"), request.COOKIES.get("size", "normal")
    return {
        "person": person,
        "viewer": viewer,
        "posts": [ROLES[role].name for role in sorted(viewer.roles())],
        "navigation": navigation.entries(viewer, request.path) if person is not None else [],
        "theme": theme if theme in THEMES else "auto",
        "size": size if size in SIZES else "normal",
        "is_demo": demo.is_demo(),
        "now": clock.now(),
    }
