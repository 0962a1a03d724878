"""Who calls: a bearer token of a person or a machine, or a person's session. Every operation but a few needs one."""

from __future__ import annotations

import time
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja.security.base import AuthBase
from ninja.utils import check_csrf

from gridloop.kernel import clock
from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence
from gridloop.people import access, sessions
from gridloop.people.queries import viewer_for
from gridloop.people.viewer import ANONYMOUS, Viewer

PERSON_A_MINUTE = 600
"""Requests a minute for one person's token; a machine has its own quota. Counted in each web process."""


class Door(AuthBase):
    """Lets in who holds a valid token, or a session (then with the CSRF token for everything that changes)."""

    openapi_type = "http"
    openapi_scheme = "bearer"

    def __init__(self, *, without_password: bool = False) -> None:
        super().__init__()
        self.without_password = without_password

    def __call__(self, request: HttpRequest) -> Viewer | None:
        holder = _by_token(request) or _by_session(request)
        if holder is None or holder.viewer is ANONYMOUS:
            return None
        if not self.without_password:
            access.settle(holder.owes)
        count_request(holder)
        request.holder = holder  # type: ignore[attr-defined]
        return holder.viewer


def _by_token(request: HttpRequest) -> access.Holder | None:
    kind, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if kind.lower() != "bearer" or not token:
        return None
    return access.holder_of(token.strip(), at=clock.now())


def _by_session(request: HttpRequest) -> access.Holder | None:
    if "HTTP_AUTHORIZATION" in request.META or settings.SESSION_COOKIE_NAME not in request.COOKIES:
        return None
    person: Any = request.user
    if not person.is_authenticated:
        return None
    if check_csrf(request) is not None:
        raise Refused(Sentence(zh="缺少 CSRF 令牌。", en="The CSRF token is missing."), status=403, code="csrf")
    viewer = viewer_for(person, clock.now())
    return access.Holder(viewer, owes=access.owed(person, viewer, second=sessions.second_of(request)))


_windows: dict[str, tuple[int, int]] = {}


def count_request(holder: access.Holder) -> None:
    """At most the holder's quota in a minute of this process's clock."""
    minute = int(time.monotonic() // 60)
    quota = holder.per_minute or PERSON_A_MINUTE
    started, count = _windows.get(holder.viewer.actor, (minute, 0))
    count = count + 1 if started == minute else 1
    if len(_windows) > 10_000:
        _windows.clear()
    _windows[holder.viewer.actor] = (minute, count)
    if count > quota:
        raise Refused(
            Sentence(zh=f"每分钟最多{quota}次请求。", en=f"At most {quota} requests a minute."),
            status=429,
            code="quota",
        )


def viewer_of(request: HttpRequest) -> Viewer:
    """The viewer that the door let in."""
    viewer: Viewer = getattr(request, "auth", ANONYMOUS)
    return viewer
