"""What every page tells the browser: nothing from elsewhere, nothing written into the page itself."""

from __future__ import annotations

from collections.abc import Callable

from django.conf import settings
from django.http import HttpRequest, HttpResponse

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' blob: data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "media-src": "'self' blob:",
    "worker-src": "'self' blob:",
    "manifest-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
"""Content-Security-Policy level 3. No ``unsafe-inline`` and no ``unsafe-eval`` anywhere."""


def policy() -> str:
    """The policy as one line. Only a base map that the deployment configured adds a host, for pictures and tiles."""
    hosts = " ".join(getattr(settings, "GRIDLOOP_BASEMAP_HOSTS", ()))
    more = {"img-src": hosts, "connect-src": hosts} if hosts else {}
    return "; ".join(f"{name} {value} {more.get(name, '')}".rstrip() for name, value in POLICY.items())


class Strict:
    """Middleware that sets the policy on every page. The API has one of its own."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.setdefault("Content-Security-Policy", policy())
        response.setdefault("Permissions-Policy", "camera=(self), microphone=(self), geolocation=(self)")
        response.setdefault("Cross-Origin-Opener-Policy", "same-origin")
        return response
