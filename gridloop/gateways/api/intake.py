"""The door for single reports: many requests, one commit.

A request thread hands its report to the process's collector and waits. The collector stores all that wait in one
transaction (group commit) and only then lets each thread answer: what was answered is on disk. While one batch is
being committed the next gathers by itself, so a batch grows with the load. An idle process answers at once; a busy
one waits `GATHER` for the reports that are on their way.

When more is waiting than can be stored in time, new reports are refused at once with "try again": an honest 503
before the answer, never a loss after it (RELIABILITY.md G15).
"""

from __future__ import annotations

import logging
import threading
from _thread import LockType as Lock
from _thread import allocate_lock
from dataclasses import dataclass, field
from pathlib import Path
from queue import SimpleQueue
from time import monotonic, sleep

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection

from gridloop.discover.actions import NewReport, Receipt, check_reports, receive_reports
from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence
from gridloop.kernel.postgres import disk_state
from gridloop.people.viewer import Viewer

log = logging.getLogger(__name__)

BATCH = 500
GATHER = 0.002
"""Seconds for which the writer lets a busy process's next reports gather. An idle one answers at once."""
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


def _closed() -> Lock:
    """A lock that is held until the answer is there: the cheapest thing for which a thread can wait."""
    lock = allocate_lock()
    lock.acquire()
    return lock


@dataclass(slots=True)
class _Waiting:
    report: NewReport
    client: str
    viewer: Viewer
    unanswered: Lock = field(default_factory=_closed)
    receipt: Receipt | None = None
    error: BaseException | None = None


class Collector:
    """Gathers the reports of concurrent requests of this process and stores them together.

    A request thread does as little as it can: every call that lets go of the interpreter costs it a turn among dozens
    of others. So what can be asked once for a batch (is there room on the disk?) is the writer's to ask.
    """

    def __init__(self) -> None:
        self._waiting: SimpleQueue[_Waiting] = SimpleQueue()
        self._hiring = threading.Lock()
        self._writer: threading.Thread | None = None

    def accept(self, report: NewReport, *, client: str, viewer: Viewer) -> Receipt:
        """Store one report; returns when it is committed.

        Raises `Mistakes` for a bad report and `Refused` (503) when it could not be stored now.
        """
        check_reports([report])
        if self._waiting.qsize() >= WAITING_ROOM:
            raise busy()
        if self._writer is None or not self._writer.is_alive():
            self._hire()
        waiting = _Waiting(report, client, viewer)
        self._waiting.put(waiting)
        if not waiting.unanswered.acquire(timeout=PATIENCE):
            raise busy()
        if waiting.error is not None:
            raise waiting.error
        assert waiting.receipt is not None
        return waiting.receipt

    def _hire(self) -> None:
        """Start the writer: at the first report, or after a fork or a defect took it."""
        with self._hiring:
            if self._writer is None or not self._writer.is_alive():
                self._writer = threading.Thread(target=self._run, name="intake", daemon=True)
                self._writer.start()

    def _run(self) -> None:
        busy_until = 0.0
        while True:
            batch = [self._waiting.get()]
            if monotonic() < busy_until:  # more are on their way: let them come along
                sleep(GATHER)
            while len(batch) < BATCH and not self._waiting.empty():
                batch.append(self._waiting.get())
            try:
                if disk_state(Path(settings.GRIDLOOP_DATA)).ok:
                    self._store(batch)
                else:
                    for waiting in batch:
                        waiting.error = full()
            except Exception:
                log.exception("a batch of reports was not stored")
            finally:
                for waiting in batch:
                    if waiting.receipt is None and waiting.error is None:
                        waiting.error = busy()
                    waiting.unanswered.release()
            busy_until = monotonic() + 2 * GATHER

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
                continue
            for waiting, receipt in zip(group, receipts, strict=True):
                waiting.receipt = receipt
        log.debug("stored", extra={"reports": len(batch), "seconds": round(monotonic() - started, 4)})


collector = Collector()
"""The collector of this process."""
