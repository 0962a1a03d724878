"""The door for single reports: many requests, one commit.

A request thread hands its report to the process's collector and waits. The collector stores all that wait in one
transaction (group commit) and only then lets each thread answer: what was answered is on disk. While one batch is
being committed the next gathers by itself, so a batch grows with the load and nobody waits for a timer.

When more is waiting than can be stored in time, new reports are refused at once with "try again": an honest 503
before the answer, never a loss after it (RELIABILITY.md G15).
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection

from gridloop.discover.actions import NewReport, Receipt, check_reports, receive_reports
from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence
from gridloop.kernel.postgres import disk_state
from gridloop.people.viewer import Viewer

log = logging.getLogger(__name__)

BATCH = 500
WAITING_ROOM = 2_000
"""Reports that may wait in one process; about a second's worth of storing."""
PATIENCE = 10.0
"""Seconds after which a waiting request is told to try again. Its report may be stored all the same: its key says."""


def busy() -> Refused:
    """What a sender is told when the report was not stored and may be sent again."""
    return Refused(
        Sentence(
            zh="现在上报太多，请几秒后用同一个键重发。",
            en="Too many reports at this moment: send it again in a few seconds with the same key.",
        ),
        status=503,
        code="busy",
    )


def full() -> Refused:
    """What a sender is told before the disk is full: what was accepted must stay safe."""
    return Refused(
        Sentence(
            zh="服务器磁盘空间不足，暂不接收。请稍后用同一个键重发。",
            en="The server is short of disk space and takes nothing in now: send it again later with the same key.",
        ),
        status=503,
        code="disk_full",
    )


@dataclass(slots=True)
class _Waiting:
    report: NewReport
    client: str
    viewer: Viewer
    done: threading.Event = field(default_factory=threading.Event)
    receipt: Receipt | None = None
    error: BaseException | None = None


class Collector:
    """Gathers the reports of concurrent requests of this process and stores them together."""

    def __init__(self) -> None:
        self._waiting: deque[_Waiting] = deque()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def accept(self, report: NewReport, *, client: str, viewer: Viewer) -> Receipt:
        """Store one report; returns when it is committed.

        Raises `Mistakes` for a bad report and `Refused` (503) when it could not be stored now.
        """
        check_reports([report])
        if not disk_state(Path(settings.GRIDLOOP_DATA)).ok:
            raise full()
        waiting = _Waiting(report, client, viewer)
        with self._wake:
            if len(self._waiting) >= WAITING_ROOM:
                raise busy()
            self._waiting.append(waiting)
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._run, name="intake", daemon=True)
                self._thread.start()
            self._wake.notify()
        if not waiting.done.wait(PATIENCE):
            raise busy()
        if waiting.error is not None:
            raise waiting.error
        assert waiting.receipt is not None
        return waiting.receipt

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._waiting:
                    self._wake.wait()
                batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            try:
                self._store(batch)
            except Exception:
                log.exception("a batch of reports was not stored")
            finally:
                for waiting in batch:
                    if waiting.receipt is None and waiting.error is None:
                        waiting.error = busy()
                    waiting.done.set()

    def _store(self, batch: list[_Waiting]) -> None:
        groups: dict[tuple[str, str], list[_Waiting]] = {}
        for waiting in batch:
            groups.setdefault((waiting.client, waiting.viewer.actor), []).append(waiting)
        started = monotonic()
        for (client, _), group in groups.items():
            try:
                receipts = receive_reports([w.report for w in group], client=client, viewer=group[0].viewer)
            except (DatabaseError, InterfaceError) as error:
                log.warning("database refused a batch", extra={"error": type(error).__name__, "reports": len(group)})
                connection.close()
                close_old_connections()
                continue
            for waiting, receipt in zip(group, receipts, strict=True):
                waiting.receipt = receipt
        log.debug("stored", extra={"reports": len(batch), "seconds": round(monotonic() - started, 4)})


collector = Collector()
"""The collector of this process."""
