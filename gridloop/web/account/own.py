"""My account: who I am here, where I am logged in, what proves it besides the password."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes, Refused, not_found
from gridloop.kernel.language import Sentence
from gridloop.people import factors, sessions
from gridloop.people.models import Person
from gridloop.people.queries import own_person, posts_of, tokens_for
from gridloop.people.roles import ROLES
from gridloop.people.viewer import Viewer
from gridloop.web.account.entry import answer_of, ask, host_of
from gridloop.web.shell.pages import refusal, show, staff, unsettled

FACTORS = "/account/second-factor"
_APP = "new_app"
_CODES = "recovery_codes"


def _me(viewer: Viewer) -> Person:
    person = own_person(viewer)
    if person is None:
        raise not_found()
    return person


@require_GET
@staff
def account(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """My name and posts, my sessions and tokens, my second factor."""
    person = _me(viewer)
    posts = posts_of([person.pk])[person.pk]
    context = {
        "me": person,
        "my_posts": [{"role": ROLES[p.role].name, "unit": p.unit, "region": p.region_code, "post": p} for p in posts],
        "sessions": sessions.sessions_of(viewer),
        "this": request.session.session_key,
        "tokens": tokens_for(viewer, clock.now())[:50],
        "factors": [f for f in factors.factors_of(person.pk) if f.kind != "recovery_codes"],
        "offered": factors.is_offered(),
    }
    return show(request, "account/account.html", context)


@require_POST
@staff
def end_session(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """End one of my sessions, or all but this one (with them all tokens)."""
    chosen = request.POST.get("session", "")
    if chosen == "others":
        sessions.end_others(request, viewer=viewer, at=clock.now())
    elif chosen.isdigit():
        sessions.end_one(session_id=int(chosen), viewer=viewer)
    else:
        raise not_found()
    return HttpResponseRedirect("/account/?ended=1#sessions")


# --- the second factor ---------------------------------------------------------------------------------------------


@require_GET
@unsettled
def second_factor(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """What proves who I am besides the password."""
    person = _me(viewer)
    found = factors.factors_of(person.pk)
    context = {
        "factors": [f for f in found if f.kind != "recovery_codes"],
        "recovery": next((f for f in found if f.kind == "recovery_codes"), None),
        "has_app": any(f.kind == "totp" for f in found),
        "offered": factors.is_offered(),
        "demanded": factors.is_demanded(viewer),
        "owed": factors.is_demanded(viewer) and not sessions.second_of(request),
        "host": host_of(request),
        # Shown once: after this page they are gone.
        "codes": request.session.pop(_CODES, None),
    }
    if context["codes"]:
        context["codes"] = [f"{code[:5]} {code[5:]}" for code in factors.open_codes(context["codes"])]
    return show(request, "account/second_factor.html", context)


def _stale(request: HttpRequest, back: str = FACTORS) -> HttpResponse | None:
    """Off to prove again who sits here, unless that was done lately."""
    if sessions.is_fresh(request, at=clock.now()):
        return None
    return HttpResponseRedirect(f"/account/confirm?next={back}")


def _done(request: HttpRequest, codes: list[str], kind: str) -> None:
    if codes:
        request.session[_CODES] = factors.close_codes(codes)
    sessions.has_second(request, kind)


@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
@unsettled
def new_app(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Set up an authenticator app: scan, type the code, done."""
    if (stale := _stale(request, f"{FACTORS}/app")) is not None:
        return stale
    person = _me(viewer)
    app = factors.new_app(person, site=request.get_host(), locked=request.session.get(_APP, ""))
    request.session[_APP] = app.locked
    wrong: list[Any] = []
    sentence: Sentence | None = None
    if request.method == "POST":
        try:
            codes = factors.add_app(
                person=person,
                locked=app.locked,
                code=request.POST.get("code", "")[:40],
                viewer=viewer,
                at=clock.now(),
            )
            del request.session[_APP]
            _done(request, codes, "totp")
            return HttpResponseRedirect(f"{FACTORS}?added=1")
        except Mistakes as mistakes:
            wrong = mistakes.mistakes
        except Refused as no:
            sentence = no.sentence
    context = {"app": app, "wrong": wrong, "sentence": sentence, "offered": factors.is_offered()}
    return show(request, "account/new_app.html", context, status=422 if wrong else 409 if sentence else 200)


@require_POST
@unsettled
def new_codes(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """New recovery codes; those before are dead."""
    if (stale := _stale(request)) is not None:
        return stale
    codes = factors.new_recovery_codes(person=_me(viewer), viewer=viewer, at=clock.now())
    request.session[_CODES] = factors.close_codes(codes)
    return HttpResponseRedirect(f"{FACTORS}#codes")


@require_POST
@unsettled
def remove(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Remove one of my factors."""
    if (stale := _stale(request)) is not None:
        return stale
    chosen = request.POST.get("factor", "")
    if not chosen.isdigit():
        raise not_found()
    factors.remove_factor(factor_id=int(chosen), person=_me(viewer), viewer=viewer, at=clock.now())
    return HttpResponseRedirect(f"{FACTORS}?removed=1")


def _proved_lately(request: HttpRequest) -> HttpResponse | None:
    if sessions.is_fresh(request, at=clock.now()):
        return None
    sentence = Sentence(zh="请先再确认一次身份。", en="Prove once more who you are.")
    return refusal(request, 403, sentence, code="stale")


@require_POST
@unsettled
def ask_new_passkey(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The question for a new passkey, as JSON."""
    return _proved_lately(request) or ask(request, factors.ask_for_new_passkey(_me(viewer), host=host_of(request)))


@require_POST
@unsettled
def new_passkey(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The answer: a new passkey and its name."""
    if (stale := _proved_lately(request)) is not None:
        return stale
    answer, state = answer_of(request)
    name = answer.pop("name", "")
    codes = factors.add_passkey(
        person=_me(viewer),
        name=name if isinstance(name, str) else "",
        answer=answer,
        state=state,
        host=host_of(request),
        viewer=viewer,
        at=clock.now(),
    )
    _done(request, codes, "webauthn")
    return JsonResponse({"next": f"{FACTORS}?added=1"})
