"""The one place that knows the job library: timers, and slow calls to the outside, with retries.

Events are drained by `events.Worker`; what must happen at a time, or may take long, is a Procrastinate job.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence

from django.db import InterfaceError, OperationalError, close_old_connections
from procrastinate.contrib.django import app

from gridloop.kernel.events import Worker

log = logging.getLogger(__name__)

_timers: dict[str, list[Callable[[], object]]] = {}


def schedule(timers: Mapping[str, Sequence[Callable[[], object]]]) -> None:
    """Set what happens when; called once at start with the table of `gridloop.loop`."""
    _timers.clear()
    _timers.update({cron: list(reactions) for cron, reactions in timers.items()})


def timers() -> Mapping[str, Sequence[Callable[[], object]]]:
    """The timers that are set."""
    return _timers


@app.periodic(cron="* * * * *")
@app.task(queueing_lock="every_minute", pass_context=False)
def every_minute(timestamp: int) -> None:
    """Run the timers of this minute. One that fails is logged and tried again a minute later."""
    close_old_connections()
    for reactions in _timers.values():
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


def _close(worker: Worker | None) -> None:
    if worker is not None:
        try:
            worker.close()
        except Exception:
            log.debug("the worker's connection was gone already")


__all__ = ["every_minute", "schedule", "timers", "work"]
