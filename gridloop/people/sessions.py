"""Sessions in a browser: a new id at log-in, 30 minutes of silence or 12 hours end them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import login, logout
from django.core import signing
from django.http import HttpRequest, HttpResponse

from gridloop.kernel import clock
from gridloop.people.models import Person

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)
_STEP = timedelta(seconds=60)
"""How exactly silence is measured: one write of the session a minute, not one a request."""


def begin(request: HttpRequest, person: Person, *, at: datetime) -> None:
    """Open a session for a person who has just proved who they are. The session's id changes (no fixation)."""
    login(request, person, backend="django.contrib.auth.backends.ModelBackend")
    request.session.cycle_key()
    request.session["since"] = request.session["seen"] = at.isoformat()


def end(request: HttpRequest) -> None:
    """Close the session; its id is worthless afterwards."""
    logout(request)


_LEASE = "gridloop.people.lease"


def lease_of(person: Person) -> str:
    """A mark for a device that keeps this person's work while it is away. It opens nothing."""
    return signing.dumps([person.pk, person.session_epoch], salt=_LEASE)


def order_for(lease: str) -> str:
    """What a device that is no longer logged in must do with what it keeps: ``login`` (the session has merely run out:
    keep what is not sent yet until its owner is back) or ``wipe`` (the person was shut out or all sessions ended).
    """
    try:
        person_id, epoch = signing.loads(lease, salt=_LEASE)
    except (signing.BadSignature, ValueError, TypeError):
        return "wipe"
    stands = Person.objects.filter(id=person_id, is_active=True, session_epoch=epoch).exists()
    return "login" if stands else "wipe"


class SessionLimits:
    """Middleware behind AuthenticationMiddleware: ends a session that was silent or open for too long."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response
        self.idle = timedelta(seconds=getattr(settings, "GRIDLOOP_SESSION_IDLE_SECONDS", IDLE.total_seconds()))
        self.longest = timedelta(seconds=getattr(settings, "GRIDLOOP_SESSION_SECONDS", LONGEST.total_seconds()))

    def __call__(self, request: HttpRequest) -> HttpResponse:
        # Without the cookie there is no session to look at, and no query is spent on finding that out.
        if settings.SESSION_COOKIE_NAME in request.COOKIES and request.user.is_authenticated:
            now = clock.now()
            since, seen = (_moment(request.session.get(name)) for name in ("since", "seen"))
            if since is None or seen is None or now - seen > self.idle or now - since > self.longest:
                logout(request)
            elif now - seen > _STEP:
                request.session["seen"] = now.isoformat()
        return self.get_response(request)


def _moment(value: object) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None
