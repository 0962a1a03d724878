"""The one place that knows the job library: timers, and slow calls to the outside, with retries.

Events are drained by `events.Worker`; what must happen at a time, or may take long, is a Procrastinate job.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from django.db import InterfaceError, OperationalError, close_old_connections
from procrastinate.contrib.django import app
from procrastinate.contrib.django.django_connector import DjangoConnector

from gridloop.kernel.events import Worker
from gridloop.kernel.sealing import BATCH, Sealer

log = logging.getLogger(__name__)

_timers: dict[str, list[Callable[[], object]]] = {}
_outside: list[Callable[[], object]] = []


def schedule(
    timers: Mapping[str, Sequence[Callable[[], object]]], *, outside: Sequence[Callable[[], object]] = ()
) -> None:
    """Set what happens when; called once at start with the tables of `gridloop.loop`.

    `outside`: what speaks with other hosts every minute and may take long; it keeps nothing else waiting.
    """
    _timers.clear()
    _timers.update({cron: list(reactions) for cron, reactions in timers.items()})
    _outside[:] = outside


def timers() -> Mapping[str, Sequence[Callable[[], object]]]:
    """The timers that are set."""
    return _timers


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="every_minute", pass_context=False)
def every_minute(timestamp: int) -> None:
    """Run the timers of this minute. One that fails is logged and tried again a minute later."""
    for reactions in _timers.values():
        _run(reactions)


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="every_minute_outside", lock="every_minute_outside", pass_context=False)
def every_minute_outside(timestamp: int) -> None:
    """The same for what speaks with other hosts: one run at a time, beside the other timers."""
    _run(_outside)


def _run(reactions: Sequence[Callable[[], object]]) -> None:
    close_old_connections()
    for reaction in reactions:
        try:
            reaction()
        except Exception:
            log.exception("timer failed", extra={"timer": getattr(reaction, "__name__", "?")})


def work(stop: threading.Event, *, only: Sequence[str] | None = None) -> None:
    """Drain deliveries until `stop` is set. Survives a database that goes away: it waits and connects anew."""
    worker: Worker | None = None
    while not stop.is_set():
        try:
            if worker is None:
                close_old_connections()
                worker = Worker()
            if not worker.drain(only):
                worker.wait(0.5)
        except (OperationalError, InterfaceError, OSError) as error:
            log.warning("database is away", extra={"error": type(error).__name__})
            _close(worker)
            worker = None
            close_old_connections()
            stop.wait(1)
        except Exception:
            log.exception("draining failed")
            _close(worker)
            worker = None
            stop.wait(1)
    _close(worker)


def keep_time(stop: threading.Event, folder: Path) -> None:
    """Run what is due until `stop` is set: the timers and jobs, and every second the seal over the record.

    May run in several processes: a timer's job is queued once, and one sealer works at a time. `folder` holds the
    sealing key and the witness file.
    """
    sealing_thread = threading.Thread(target=_seal, args=(stop, folder), name="sealer", daemon=True)
    sealing_thread.start()
    while not stop.is_set():
        try:
            asyncio.run(_run_jobs(stop))
        except Exception as error:
            log.warning("the job library stopped", extra={"error": type(error).__name__})
            stop.wait(1)
    sealing_thread.join(10)


async def _run_jobs(stop: threading.Event) -> None:
    connector = app.connector
    if not isinstance(connector, DjangoConnector):
        raise TypeError("the job library is not connected through Django")
    with app.replace_connector(connector.get_worker_connector()) as connected:
        async with connected.open_async():
            worker = asyncio.ensure_future(
                connected.run_worker_async(install_signal_handlers=False, delete_jobs="successful", concurrency=2)
            )
            told = asyncio.ensure_future(asyncio.to_thread(stop.wait))
            await asyncio.wait({worker, told}, return_when=asyncio.FIRST_COMPLETED)
            if not worker.done():
                worker.cancel()
            with suppress(asyncio.CancelledError):
                await worker
            if not stop.is_set():
                told.cancel()
                raise ConnectionError("the worker ended by itself")


def _seal(stop: threading.Event, folder: Path) -> None:
    sealer: Sealer | None = None
    while not stop.wait(1.0):
        try:
            close_old_connections()
            sealer = sealer or Sealer(folder)
            while sealer.seal() == BATCH and not stop.is_set():
                pass  # a full batch: more is waiting. After a smaller one the next second is soon enough
        except (OperationalError, InterfaceError) as error:
            log.warning("database is away", extra={"error": type(error).__name__})
        except Exception:
            log.exception("sealing failed")
            stop.wait(10)
    if sealer is not None:
        with suppress(Exception):  # what is sealed is signed before we go; else the next one signs it
            sealer.seal(sign=True)


def _close(worker: Worker | None) -> None:
    if worker is not None:
        try:
            worker.close()
        except Exception:
            log.debug("the worker's connection was gone already")


__all__ = ["every_minute", "every_minute_outside", "keep_time", "schedule", "timers", "work"]
