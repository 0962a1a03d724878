"""Sessions in a browser: a new id at log-in, 30 minutes of silence or 12 hours end them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from django.conf import settings
from django.contrib.auth import login, logout
from django.contrib.sessions.models import Session
from django.core import signing
from django.http import HttpRequest, HttpResponse

from gridloop.kernel import clock
from gridloop.kernel.errors import not_found
from gridloop.people import rules
from gridloop.people.access import Entered
from gridloop.people.actions import end_sessions
from gridloop.people.models import BrowserSession, Person
from gridloop.people.viewer import Viewer

IDLE = timedelta(minutes=30)
LONGEST = timedelta(hours=12)
_STEP = timedelta(seconds=60)
"""How exactly silence is measured: one write of the session a minute, not one a request."""


BACKGROUND = "X-Background"
"""The header of what a page asks for by itself, such as its bell: nobody's silence is broken by it."""
PENDING = timedelta(minutes=5)
"""How long the second half of a log-in may take."""
FRESH = timedelta(minutes=10)
"""For how long somebody who proved who they are may change what is delicate (ASVS v5.0.0-7.5.1)."""


def begin(request: HttpRequest, person: Person, *, at: datetime, second: str = "") -> None:
    """Open a session for a person who has just proved who they are. The session's id changes (no fixation).

    `second`: the second factor that was shown. A session that the same person renews keeps the one it had.
    """
    if not second and request.user.is_authenticated and request.user.pk == person.pk:
        second = second_of(request)
    _forget(request)
    login(request, person, backend="django.contrib.auth.backends.ModelBackend")
    request.session.cycle_key()
    request.session["since"] = request.session["seen"] = request.session["proved"] = at.isoformat()
    request.session["second"] = second
    request.session.pop("entering", None)
    BrowserSession.objects.create(
        person=person,
        key=str(request.session.session_key),
        began_at=at,
        seen_at=at,
        browser=rules.browser_of(request.META.get("HTTP_USER_AGENT", "")),
    )


def end(request: HttpRequest) -> None:
    """Close the session; its id is worthless afterwards."""
    _forget(request)
    logout(request)


def _forget(request: HttpRequest) -> None:
    if request.session.session_key:
        BrowserSession.objects.filter(key=request.session.session_key).delete()


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


def second_of(request: HttpRequest) -> str:
    """The second factor that was shown when this session began, "" = none."""
    return str(request.session.get("second", ""))


def has_second(request: HttpRequest, kind: str) -> None:
    """The factor that was just set up was proved in doing so: this session has it."""
    request.session["second"] = request.session.get("second") or kind


def is_fresh(request: HttpRequest, *, at: datetime) -> bool:
    """Whether whoever sits here proved lately who they are."""
    proved = _moment(request.session.get("proved"))
    return proved is not None and timedelta(0) <= at - proved <= FRESH


def refresh(request: HttpRequest, *, at: datetime) -> None:
    """Whoever sits here has just proved again who they are."""
    request.session["proved"] = at.isoformat()


def pend(request: HttpRequest, entered: Entered, *, at: datetime, next_page: str) -> None:
    """Keep the first half of a log-in until the second one comes. It opens nothing."""
    request.session["entering"] = {
        "person": entered.person.pk,
        "epoch": entered.person.session_epoch,
        "device": entered.device,
        "known": entered.known_device,
        "by": entered.by,
        "at": at.isoformat(),
        "next": next_page,
    }


def pending(request: HttpRequest, *, at: datetime) -> tuple[Entered, str] | None:
    """The first half of a log-in that waits here, and where to go afterwards; None if there is none, or it is old."""
    kept = request.session.get("entering")
    if not isinstance(kept, dict):
        return None
    since = _moment(kept["at"])
    person = Person.objects.filter(pk=kept["person"], is_active=True, session_epoch=kept["epoch"]).first()
    if person is None or since is None or not timedelta(0) <= at - since <= PENDING:
        return None
    return Entered(person, kept["device"], kept["known"], kept["by"]), kept["next"]


def end_others(request: HttpRequest, *, viewer: Viewer, at: datetime) -> None:
    """End every session and token of whoever sits here but this session."""
    person = Person.objects.get(pk=viewer.person_id or 0)
    end_sessions(person_id=person.pk, viewer=viewer, at=at)
    person.refresh_from_db()
    begin(request, person, at=at, second=second_of(request))


def end_one(*, session_id: int, viewer: Viewer) -> None:
    """End one of one's own sessions."""
    row = BrowserSession.objects.filter(pk=session_id, person_id=viewer.person_id or 0).first()
    if row is None:
        raise not_found()
    Session.objects.filter(session_key=row.key).delete()
    row.delete()


def sessions_of(viewer: Viewer) -> list[BrowserSession]:
    """One's own open sessions, the one seen last first; at most 50."""
    rows = BrowserSession.objects.filter(person_id=viewer.person_id or 0, key__in=Session.objects.values("session_key"))
    return list(rows.order_by("-seen_at")[:50])


def source_of(request: HttpRequest) -> str:
    """The address that a request comes from. A forwarded address counts only behind our own proxy, and only the one
    that this proxy added, the last (ASVS v5.0.0-4.1.3)."""
    address: str = request.META.get("REMOTE_ADDR", "")
    if getattr(settings, "GRIDLOOP_BEHIND_PROXY", False):
        forwarded: str = request.META.get("HTTP_X_FORWARDED_FOR", "").rpartition(",")[2].strip()
        return forwarded or address
    return address


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
                end(request)
            elif now - seen > _STEP and BACKGROUND not in request.headers:
                request.session["seen"] = now.isoformat()
                BrowserSession.objects.filter(key=request.session.session_key).update(seen_at=now)
        return self.get_response(request)


def _moment(value: object) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None
