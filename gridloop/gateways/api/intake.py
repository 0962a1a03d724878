"""The door for single reports: many requests, one commit.

The web process's event loop hands each report to the collector and goes on to the next. One thread stores all that
wait in one transaction (group commit), and only then each is answered: what was answered is on disk. While one batch
is being stored the next gathers by itself, so a batch grows with the load. An idle process answers at once; a busy one
waits `GATHER` for the reports that are on their way.

When more is waiting than can be stored in time, new reports are refused at once with "try again": an honest 503
before the answer, never a loss after it (RELIABILITY.md G15).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from gridloop.discover.actions import NewReport, Receipt, store_reports
from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence
from gridloop.kernel.postgres import disk_state
from gridloop.people.viewer import Viewer

log = logging.getLogger(__name__)

BATCH = 500
GATHER = 0.002
"""Seconds for which a busy process lets the next reports gather. An idle one stores at once."""
WAITING_ROOM = 2_000
"""Reports that may wait in one process; about a second's worth of storing."""
PATIENCE = 10.0
"""Seconds after which a waiting sender is told to try again. Its report may be stored all the same: its key says."""
LOOK = 1.0
"""Seconds between two looks at who has waited that long."""


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


def need_room() -> None:
    """Refuse before the disk is full: what was accepted must stay safe."""
    if not disk_state(Path(settings.GRIDLOOP_DATA)).ok:
        raise Refused(
            Sentence(
                zh="服务器磁盘空间不足，暂不接收。请稍后用同一个键重发。",
                en="The server is short of disk space and takes nothing in now: send it again later with the same key.",
            ),
            status=503,
            code="disk_full",
        )


@dataclass(slots=True)
class Waiting:
    """A report on its way into the database, and whoever waits for its receipt."""

    report: NewReport
    client: str
    viewer: Viewer
    receipt: asyncio.Future[Receipt]
    since: float = field(default_factory=monotonic)


class Collector:
    """Gathers the reports of concurrent requests of this process and stores them together. Lives in one event loop."""

    def __init__(self) -> None:
        self._waiting: list[Waiting] = []
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="intake")
        self._storing: asyncio.Task[None] | None = None
        self._busy_until = 0.0

    def accept(self, report: NewReport, *, client: str, viewer: Viewer) -> asyncio.Future[Receipt]:
        """Take one checked report (`check_reports`); the receipt comes when it is committed.

        Refused (503) at once if too many wait already, or later, through the future, if it could not be stored.
        """
        if len(self._waiting) >= WAITING_ROOM:
            raise busy()
        loop = asyncio.get_running_loop()
        waiting = Waiting(report, client, viewer, loop.create_future())
        self._waiting.append(waiting)
        if self._storing is None:
            self._storing = loop.create_task(self._store_all())
        return waiting.receipt

    def close(self) -> None:
        """Wait for the batch that is being stored."""
        self._writer.shutdown()

    async def _store_all(self) -> None:
        """Store batch after batch until nobody waits."""
        loop = asyncio.get_running_loop()
        try:
            while self._waiting:
                if monotonic() < self._busy_until:  # more are on their way: let them come along
                    await asyncio.sleep(GATHER)
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                storing = loop.run_in_executor(self._writer, store, batch)
                while not (await asyncio.wait([storing], timeout=LOOK))[0]:
                    self._turn_away([*batch, *self._waiting])
                for waiting, outcome in zip(batch, storing.result(), strict=True):
                    if waiting.receipt.done():  # was told to try again
                        continue
                    if isinstance(outcome, Receipt):
                        waiting.receipt.set_result(outcome)
                    else:
                        waiting.receipt.set_exception(outcome)
                self._busy_until = monotonic() + 2 * GATHER
        finally:
            self._storing = None

    def _turn_away(self, waiting: Sequence[Waiting]) -> None:
        """The database is very slow: who has waited long enough may send the report again."""
        for one in waiting:
            if one.since + PATIENCE < monotonic() and not one.receipt.done():
                one.receipt.set_exception(busy())


def store(batch: Sequence[Waiting]) -> list[Receipt | Exception]:
    """Store reports of any senders durably: for each, in order, its receipt or why there is none. Never raises."""
    try:
        need_room()
    except Refused as full:
        return [full] * len(batch)
    senders: dict[tuple[str, str], list[int]] = {}
    for n, waiting in enumerate(batch):
        senders.setdefault((waiting.client, waiting.viewer.actor), []).append(n)
    found: dict[int, Receipt | Exception] = {}
    for own in senders.values():
        found.update(zip(own, _store([batch[n] for n in own]), strict=True))
    return [found[n] for n in range(len(batch))]


def _store(batch: Sequence[Waiting]) -> Sequence[Receipt | Exception]:
    """Store the reports of one sender. One that cannot be stored is separated from the others, by halving."""
    try:
        return store_reports([w.report for w in batch], client=batch[0].client, viewer=batch[0].viewer)
    except (OperationalError, InterfaceError) as error:
        log.warning("database refused a batch", extra={"error": type(error).__name__, "reports": len(batch)})
        connection.close()
        return [busy()] * len(batch)
    except Exception as error:
        if len(batch) == 1:
            log.warning("a report could not be stored", extra={"error": type(error).__name__})
            return [error]
    half = len(batch) // 2
    return [*_store(batch[:half]), *_store(batch[half:])]
