"""Coming in and going out: password, second factor, passkey, first password. `people.access` decides all of it."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from gridloop.kernel import clock
from gridloop.kernel.errors import Mistake, Mistakes, Refused
from gridloop.kernel.language import Sentence
from gridloop.people import access, factors, sessions
from gridloop.people.access import Entered
from gridloop.people.viewer import Viewer
from gridloop.web.account import provider
from gridloop.web.shell.front import inside
from gridloop.web.shell.pages import person_of, public, show, unsettled

HOME = "/console/"
LARGEST_ANSWER = 20_000
"""Bytes of a passkey's answer."""


@sensitive_post_parameters("password")
@require_http_methods(["GET", "POST"])
@public
def log_in(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The first half: user name and password. Whoever has a second factor is asked for it next."""
    asked = request.POST if request.method == "POST" else request.GET
    next_page = inside(request, asked.get("next", ""), HOME)
    if request.method == "GET":
        if person_of(request) is not None:
            return HttpResponseRedirect(next_page)
        return _log_in_page(request, next_page)
    username = request.POST.get("username", "").strip()[:60]
    now = clock.now()
    try:
        entered = access.prove_password(
            username=username,
            password=request.POST.get("password", ""),
            device=request.COOKIES.get(access.DEVICE, ""),
            source=sessions.source_of(request),
            at=now,
        )
    except Refused as no:
        return _log_in_page(request, next_page, refused=no)
    return go_on(request, entered, at=now, next_page=next_page)


def _log_in_page(request: HttpRequest, next_page: str, *, refused: Refused | None = None) -> HttpResponse:
    context = {
        "next": next_page,
        # What was typed as a user name is not repeated: it may have been the password.
        "refused": refused,
        "provider": provider.name(),
        "passkeys": factors.is_offered(),
    }
    return show(request, "account/log_in.html", context, status=refused.status if refused else 200)


def go_on(request: HttpRequest, entered: Entered, *, at: datetime, next_page: str) -> HttpResponse:
    """After the first half: in, or on to the second half."""
    if not entered.second and factors.has_one(entered.person.pk):
        sessions.pend(request, entered, at=at, next_page=next_page)
        return HttpResponseRedirect("/login/second")
    return let_in(request, access.finish(entered, at=at), at=at, next_page=next_page)


def let_in(request: HttpRequest, entered: Entered, *, at: datetime, next_page: str) -> HttpResponse:
    """Open the session and go where one wanted to go."""
    sessions.begin(request, entered.person, at=at, second=entered.second)
    return remember_device(request, HttpResponseRedirect(next_page), entered)


def remember_device(request: HttpRequest, response: HttpResponse, entered: Entered) -> HttpResponse:
    """Keep the device's mark in a cookie: it opens nothing, but strangers cannot lock this device out."""
    response.set_cookie(
        access.DEVICE,
        entered.device,
        max_age=access.DEVICE_AGE,
        httponly=True,
        samesite="Strict",
        secure=request.is_secure(),
    )
    return response


@sensitive_post_parameters("code")
@require_http_methods(["GET", "POST"])
@public
def second(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The second half: a code, a recovery code or a passkey."""
    now = clock.now()
    waiting = sessions.pending(request, at=now)
    if waiting is None:
        return HttpResponseRedirect("/login")
    entered, next_page = waiting
    refused = None
    if request.method == "POST":
        try:
            entered = access.prove_code(entered, code=request.POST.get("code", "")[:40], at=now)
            return let_in(request, access.finish(entered, at=now), at=now, next_page=inside(request, next_page, HOME))
        except Refused as no:
            refused = no
    context = {"refused": refused, "kinds": factors.kinds_of(entered.person.pk)}
    return show(request, "account/second.html", context, status=refused.status if refused else 200)


# --- passkeys: asked for and answered as JSON by account/passkey.js ------------------------------------------------

_STATE = "passkey_state"


def host_of(request: HttpRequest) -> str:
    """The name under which the browser knows us; a passkey belongs to it."""
    return request.get_host().partition(":")[0]


def ask(request: HttpRequest, question: tuple[dict[str, Any], dict[str, Any]]) -> JsonResponse:
    """Send the question to the browser, and keep what its answer must fit."""
    options, state = question
    request.session[_STATE] = state
    return JsonResponse(options)


def answer_of(request: HttpRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    """The browser's answer and the state of the question, which is good for one answer."""
    state = request.session.pop(_STATE, None)
    try:
        body = json.loads(request.body[:LARGEST_ANSWER])
    except ValueError:
        body = None
    if not isinstance(state, dict) or not isinstance(body, dict):
        raise factors.wrong_passkey()
    return body, state


@require_POST
@public
def passkey(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The question: one of this person's passkeys as second half, or any passkey as the whole log-in."""
    waiting = sessions.pending(request, at=clock.now()) if request.GET.get("second") else None
    return ask(request, factors.ask_for_passkey(waiting[0].person.pk if waiting else None, host=host_of(request)))


@require_POST
@public
def passkey_answer(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """The answer: in, and where to go, or the sentence that says why not."""
    now = clock.now()
    waiting = sessions.pending(request, at=now) if request.GET.get("second") else None
    answer, state = answer_of(request)
    if waiting is not None:
        entered, next_page = waiting
        entered = access.finish(
            access.prove_passkey(entered, answer=answer, state=state, host=host_of(request), at=now), at=now
        )
    else:
        next_page = request.GET.get("next", "")
        entered = access.enter_with_passkey(
            answer=answer,
            state=state,
            host=host_of(request),
            device=request.COOKIES.get(access.DEVICE, ""),
            source=sessions.source_of(request),
            at=now,
        )
    sessions.begin(request, entered.person, at=now, second=entered.second)
    return remember_device(request, JsonResponse({"next": inside(request, next_page, HOME)}), entered)


# --- out, and passwords --------------------------------------------------------------------------------------------


@require_POST
@public
def log_out(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """End the session; its cookie is worthless afterwards. What the browser kept for this site goes too."""
    sessions.end(request)
    response = HttpResponseRedirect("/login#out")
    response["Clear-Site-Data"] = '"cache", "storage"'
    return response


@sensitive_post_parameters("code", "old", "password", "again")
@require_http_methods(["GET", "POST"])
@public
def password(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """A new password: with the present one for who is in, with a one-time code for who is not."""
    person = person_of(request)
    if request.method == "GET":
        return _password_page(request)
    given = {name: request.POST.get(name, "") for name in ("username", "code", "old", "password", "again")}
    now = clock.now()
    try:
        if given["password"] != given["again"]:
            raise Mistakes([_differs()])
        if person is None:
            access.set_first_password(
                username=given["username"].strip(),
                code=given["code"],
                password=given["password"],
                source=sessions.source_of(request),
                at=now,
            )
            return HttpResponseRedirect("/login#set")
        access.change_password(person=person, old=given["old"], new=given["password"], at=now)
    except Refused as no:
        return _password_page(request, status=no.status, sentence=no.sentence, username=given["username"][:60])
    except Mistakes as wrong:
        return _password_page(request, status=422, mistakes=wrong.mistakes, username=given["username"][:60])
    sessions.begin(request, person, at=now)
    return HttpResponseRedirect(inside(request, request.POST.get("next", ""), "/account/?changed=1"))


def _differs() -> Mistake:
    return Mistake(
        "again",
        Sentence(zh="两次输入的新口令不同", en="differs from the new password"),
        Sentence(zh="再输入一次", en="type it once more"),
    )


def _password_page(
    request: HttpRequest,
    *,
    status: int = 200,
    sentence: Sentence | None = None,
    mistakes: list[Mistake] | None = None,
    username: str = "",
) -> HttpResponse:
    person = person_of(request)
    asked = request.POST if request.method == "POST" else request.GET
    by_place: dict[str, list[Mistake]] = {}
    for mistake in mistakes or []:
        by_place.setdefault("password" if mistake.place == "new" else mistake.place, []).append(mistake)
    context = {
        "next": inside(request, asked.get("next", ""), ""),
        "sentence": sentence,
        "wrong": by_place,
        "username": username,
        "person": person,
        "must": person is not None and person.must_change_password,
    }
    return show(request, "account/password.html", context, status=status)


# --- once more -----------------------------------------------------------------------------------------------------


@sensitive_post_parameters("password", "code")
@require_http_methods(["GET", "POST"])
@unsettled
def confirm(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Prove again who sits here, before something delicate is changed."""
    person = person_of(request)
    if person is None:  # `unsettled` let only persons in
        return HttpResponseRedirect("/login")
    asked = request.POST if request.method == "POST" else request.GET
    next_page = inside(request, asked.get("next", ""), "/account/")
    refused = None
    if request.method == "POST":
        now = clock.now()
        try:
            access.prove_again(
                person=person, password=request.POST.get("password", ""), code=request.POST.get("code", ""), at=now
            )
            sessions.refresh(request, at=now)
            return HttpResponseRedirect(next_page)
        except Refused as no:
            refused = no
    kinds = factors.kinds_of(person.pk)
    context = {
        "refused": refused,
        "next": next_page,
        "by_password": person.has_usable_password(),
        "by_code": bool(kinds & {"totp", "recovery_codes"}),
    }
    return show(request, "account/confirm.html", context, status=refused.status if refused else 200)
