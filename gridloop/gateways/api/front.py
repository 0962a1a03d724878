"""The short way for the one request that must stay quick on the worst night: a machine posts one report.

It does what the API's `receive` does for this case, without the layers that a page needs (session, language, CSRF,
URL resolving), which cost more than the report itself. Whatever is not plainly that case (no token, a list, a mistake,
a key in two places) goes on to the full application, which knows how to answer; nothing was stored by then.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable
from http.client import responses
from io import BytesIO
from typing import Any

from django.db import close_old_connections
from pydantic import ValidationError

from gridloop.discover.actions import Outcome
from gridloop.gateways.api import reports
from gridloop.gateways.api.doors import count_request
from gridloop.gateways.api.errors import problem
from gridloop.gateways.api.intake import collector
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes, Refused
from gridloop.people import access

log = logging.getLogger(__name__)

PATH = "/api/v1/reports"
HEADERS = [("Content-Type", "application/json"), ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store")]

Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def short_way(application: Application) -> Application:
    """The WSGI application with the short way before it."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] != "POST" or environ.get("PATH_INFO") != PATH:
            return application(environ, start_response)
        kind, _, token = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        length = environ.get("CONTENT_LENGTH") or ""
        if kind.lower() != "bearer" or not length.isdigit() or int(length) > reports.LARGEST:
            return application(environ, start_response)
        raw = environ["wsgi.input"].read(int(length))
        environ["wsgi.input"] = BytesIO(raw)
        taken = _take(raw, token.strip(), environ.get("HTTP_IDEMPOTENCY_KEY", ""))
        if taken is None:
            return application(environ, start_response)
        status, headers, body = taken
        start_response(f"{status} {responses[status]}", [*headers, ("Content-Length", str(len(body)))])
        return [body]

    return answer


def _take(raw: bytes, token: str, key: str) -> tuple[int, list[tuple[str, str]], bytes] | None:
    """Store the report; None if this is not the plain case."""
    try:
        holder = access.holder_of(token, at=clock.now())
        if holder.must_change_password or not holder.viewer.may("report"):
            return None
        given = reports.ONE.validate_json(raw)
        if key and given.key and key != given.key:
            return None
        count_request(holder)
        client = holder.client_code or holder.viewer.actor
        receipt = collector.accept(given.new(key or given.key), client=client, viewer=holder.viewer)
    except (Mistakes, ValidationError):
        return None
    except Refused as no:  # full, or over its quota: to be said at once, not after the longer way
        said = problem(no.status, no.code, no.sentence)
        return no.status, list(said.items()), said.content
    except Exception as error:
        log.warning("the short way failed", extra={"error": type(error).__name__})
        close_old_connections()
        return None
    if receipt.outcome == Outcome.CONFLICT:
        return None
    status = 201 if receipt.outcome == Outcome.ACCEPTED else 200
    headers = HEADERS if status == 201 else [*HEADERS, ("Idempotent-Replayed", "true")]
    return status, headers, json.dumps(reports.shown(receipt)).encode()
