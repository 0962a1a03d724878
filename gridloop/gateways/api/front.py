"""The web process as the server sees it: the one request that must stay quick on the worst night, and all others.

That request is a machine posting one report. It is answered by the event loop, without a thread and without the layers
that a page needs (session, language, CSRF, URL resolving), which cost more than the report itself. Whatever is not
plainly that case (no token, a list, a mistake, a key in two places) goes on to the full application, which knows how
to answer; nothing was counted or stored by then. Rules and answers are the API's own (`reports`).
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from django.db import DatabaseError, InterfaceError, close_old_connections
from django.http import HttpRequest
from django.utils import translation
from pydantic import ValidationError

from gridloop.discover.actions import NewReport, check_reports
from gridloop.gateways.api import reports
from gridloop.gateways.api.doors import count_request
from gridloop.gateways.api.errors import HEADERS, answer, is_json
from gridloop.gateways.api.intake import Collector
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.serving import Application, Pages
from gridloop.people import access

if TYPE_CHECKING:
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol
    from granian.rsgi import Scope

log = logging.getLogger(__name__)

PATH = "/api/v1/reports"


class Front:
    """The RSGI application: single reports by itself, everything else by the WSGI application behind it."""

    def __init__(self, application: Application, *, threads: int) -> None:
        self.pages = Pages(application, threads=threads)
        self.collector = Collector()

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.collector.close()
        self.pages.close()

    async def __rsgi__(self, scope: Scope, proto: HTTPProtocol) -> None:
        body = None
        if scope.method == "POST" and scope.path == PATH:
            headers = scope.headers
            kind, _, token = headers.get("authorization", "").partition(" ")
            length = headers.get("content-length", "")
            if (
                kind.lower() == "bearer"
                and length.isdigit()
                and int(length) <= reports.LARGEST
                and is_json(headers.get("content-type", ""))
            ):
                body = await proto()
                holder = await self._holder(token.strip())
                report = _plain(body, headers.get("idempotency-key", "")) if holder else None
                if holder is not None and report is not None:
                    status, said, content = await self._take(report, holder, headers.get("accept-language", ""))
                    proto.response_bytes(status, [*said, *HEADERS], content)
                    return
        await self.pages.answer(scope, proto, body)

    async def _holder(self, token: str) -> access.Holder | None:
        """Whoever may report with this token at once; the database is asked in a thread, once a second."""
        holder = access.believed(token)
        if holder is None:
            loop = asyncio.get_running_loop()
            holder = await loop.run_in_executor(self.pages.threads, _ask, token)
        if holder is access.NOBODY:
            return None
        return holder if not holder.owes and holder.viewer.may("report") else None

    async def _take(self, report: NewReport, holder: access.Holder, language: str) -> reports.Said:
        """Store one report; the answer after its commit, or what is wrong."""
        try:
            count_request(holder)
            client = holder.client_code or holder.viewer.actor
            return reports.answer_to(await self.collector.accept(report, client=client, viewer=holder.viewer))
        except Exception as error:
            asked = HttpRequest()
            asked.META["HTTP_ACCEPT_LANGUAGE"] = language
            with translation.override(translation.get_language_from_request(asked)):
                return reports.plainly(answer(asked, error))


def _ask(token: str) -> access.Holder:
    close_old_connections()
    try:
        return access.holder_of(token, at=clock.now())
    except (DatabaseError, InterfaceError) as error:
        log.warning("no token could be looked up", extra={"error": type(error).__name__})
        return access.NOBODY  # the full application tells why


def _plain(body: bytes, key: str) -> NewReport | None:
    """The report in a body, if it is one and nothing is wrong with it."""
    try:
        report = reports.single(reports.ONE.validate_json(body), key)
        check_reports([report])
    except (ValidationError, Mistakes, Refused):
        return None
    return report
