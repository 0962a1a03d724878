"""What time it is. Everything asks here, so that a test or a replay can say it is another time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime

_frozen: ContextVar[datetime | None] = ContextVar("gridloop_clock", default=None)
_replaying: ContextVar[bool] = ContextVar("gridloop_replay", default=False)


def now() -> datetime:
    """The present moment, aware, UTC: the server's clock, or the moment that `frozen` set."""
    return _frozen.get() or datetime.now(UTC)


@contextmanager
def frozen(at: datetime) -> Iterator[None]:
    """Within this block it is `at` (an aware datetime). Replays of history and tests use it."""
    if at.tzinfo is None:
        raise ValueError("the clock needs an aware datetime")
    token = _frozen.set(at.astimezone(UTC))
    try:
        yield
    finally:
        _frozen.reset(token)


@contextmanager
def replaying(until: datetime) -> Iterator[None]:
    """Within this block history is played up to `until`: what follows from an event belongs to the event's own time."""
    token = _replaying.set(True)
    try:
        with frozen(until):
            yield
    finally:
        _replaying.reset(token)


def replayed(at: datetime) -> datetime | None:
    """In a replay the moment `at` to which a consequence belongs; None in life, where it belongs to now."""
    return at if _replaying.get() else None
