"""Events and their delivery: what happened is published in the transaction in which it happened.

`publish` writes immutable `Event` rows and one pending `Delivery` per reaction. A worker calls `drain`, which takes a
batch of deliveries of one reaction (``FOR UPDATE SKIP LOCKED``), runs the reaction once for the batch and removes
the deliveries in the same transaction: effect and acknowledgement stand or fall together. A failing event is
isolated from its batch, retried with back-off and ends on the visible stuck list. Nothing is dropped.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from time import monotonic
from typing import Any, ClassVar

import psycopg
from django.db import connection, transaction

from gridloop.kernel import clock
from gridloop.kernel.bulk import encode
from gridloop.kernel.language import Sentence
from gridloop.kernel.models import Batch, Delivery, Event

log = logging.getLogger(__name__)

MAX_ATTEMPTS = 3
"""A delivery that failed, or killed its worker, this often is stuck and waits for a person."""
BATCH = 500
FEW = 8
"""Deliveries that a slow reaction takes at a time, so that the others need not wait for long."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Base of every event: a frozen dataclass in past tense, one per kind of thing that can happen.

    The class name is the event's name. `subject` is ``kind:id``; all other fields of a subclass become `data`.
    """

    subject: str
    actor: str
    at: datetime

    _own: ClassVar[tuple[str, ...]] = ("subject", "actor", "at")

    def data(self) -> dict[str, Any]:
        """The subclass's fields as JSON-able values."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self) if f.name not in Happened._own}


@cache
def _told(kind: type[Happened]) -> tuple[str, ...]:
    return tuple(f.name for f in dataclasses.fields(kind) if f.name not in Happened._own)


def _plain(value: Any) -> Any:
    if isinstance(value, Sentence):
        return value.both()
    return value


Reaction = Callable[[Sequence[Event]], None]


@dataclass(frozen=True, slots=True)
class Subscription:
    """One reaction to some kinds of events.

    `one_at_a_time`: only one worker runs it at any moment, because its batches must see each other's effects
    (duplicates are found only among what is already there).
    """

    name: str
    reaction: Reaction
    events: tuple[str, ...]
    one_at_a_time: bool = False
    batch: int = BATCH


_subscriptions: dict[str, Subscription] = {}
_by_event: dict[str, list[str]] = {}


def subscribe(
    table: Mapping[type[Happened], Sequence[Reaction]],
    *,
    one_at_a_time: Iterable[Reaction] = (),
    in_bulk: Iterable[Reaction] = (),
    slow: Iterable[Reaction] = (),
) -> None:
    """Set who reacts to what; called once at start with the table of `gridloop.loop`. Replaces what was set before."""
    alone, bulk, few = ({_name(r) for r in chosen} for chosen in (one_at_a_time, in_bulk, slow))
    events: dict[str, list[str]] = {}
    reactions: dict[str, Reaction] = {}
    _by_event.clear()
    for event, reacts in table.items():
        for reaction in reacts:
            name = _name(reaction)
            reactions[name] = reaction
            events.setdefault(name, []).append(event.__name__)
            _by_event.setdefault(event.__name__, []).append(name)
    _subscriptions.clear()
    for name, reaction in reactions.items():
        _subscriptions[name] = Subscription(
            name,
            reaction,
            tuple(events[name]),
            name in alone,
            FEW if name in few else BATCH * 4 if name in bulk else BATCH,
        )


def _name(reaction: Reaction) -> str:
    module = reaction.__module__.removeprefix("gridloop.").removesuffix(".reactions")
    return f"{module}.{reaction.__name__}"


def subscriptions() -> Mapping[str, Subscription]:
    """All reactions by name (``discover.triage``), in the order of the loop."""
    return _subscriptions


_PUBLISH = """
WITH fresh AS (
    INSERT INTO kernel_event (name, subject, actor, at, recorded_at, data)
    SELECT name, subject, actor, at, %s, data
    FROM ROWS FROM (json_to_recordset(%s::json)
         AS (name text, subject text, actor text, at timestamptz, data jsonb))
         WITH ORDINALITY AS v(name, subject, actor, at, data, n)
    WHERE pg_current_xact_id() IS NOT NULL  -- the transaction has its number before it draws ids: see sealing
    ORDER BY n
    RETURNING id, name
), told AS (
    INSERT INTO kernel_delivery (event_id, reaction, due_at)
    SELECT fresh.id, r.reaction, %s
    FROM fresh JOIN unnest(%s::text[], %s::text[]) AS r(name, reaction) USING (name)
    ORDER BY fresh.id
)
SELECT id FROM fresh ORDER BY id
"""


def publish(events: Sequence[Happened]) -> list[int]:
    """Record events and their deliveries in the caller's transaction; returns the event ids in order.

    Refused outside a transaction: an event must not survive the act that it tells of, nor the act its event.
    """
    if not events:
        return []
    if not connection.in_atomic_block:
        raise RuntimeError("publish() was called outside a transaction: wrap the action in transaction.atomic()")
    now = clock.now()
    names = {type(e).__name__ for e in events}
    pairs = [(name, reaction) for name in names for reaction in _by_event.get(name, ())]
    rows = [
        {"name": type(e).__name__, "subject": e.subject, "actor": e.actor, "at": e.at, "data": e.data()} for e in events
    ]
    with connection.cursor() as cursor:
        cursor.execute(
            _PUBLISH,
            [
                now,
                encode(rows),
                now,
                [name for name, _ in pairs],
                [reaction for _, reaction in pairs],
            ],
        )
        ids = [row[0] for row in cursor.fetchall()]
    if pairs:
        transaction.on_commit(_knock)
    return ids


KNOCK_EVERY = 0.02
_knocked = 0.0


def _knock() -> None:
    """Wake the workers, fifty times a second at most. Only a hint: they also look by themselves twice a second."""
    global _knocked
    if monotonic() - _knocked < KNOCK_EVERY:
        return
    _knocked = monotonic()
    with connection.cursor() as cursor:
        cursor.execute("NOTIFY gridloop_events")


class Worker:
    """One draining worker: a connection of its own holds its advisory lock, so that its death can be seen.

    `mortal=False` leaves that connection out: for a caller that drains within its own process and transaction
    (a replay, a test) and whose death takes its batch with it anyway. `bulk`: how many deliveries it takes at a time
    for reactions that are told to be in bulk; None = what is usual.
    """

    def __init__(self, *, mortal: bool = True, bulk: int | None = None) -> None:
        self.bulk = bulk
        self.key = int.from_bytes(os.urandom(6))
        self.life: psycopg.Connection[Any] | None = None
        if mortal:
            self.life = psycopg.connect(**_connection_parameters(), autocommit=True)
            self.life.execute("SELECT pg_advisory_lock(%s)", [self.key])
            self.life.execute("LISTEN gridloop_events")

    def close(self) -> None:
        if self.life is not None:
            self.life.close()

    def wait(self, seconds: float) -> None:
        """Sleep until something is published, at most `seconds`."""
        assert self.life is not None, "only a mortal worker listens"
        for _ in self.life.notifies(timeout=seconds, stop_after=1):
            pass

    def drain(self, only: Iterable[str] | None = None, *, max_batches: int | None = None) -> int:
        """Deal with everything that waits; returns the number of deliveries done (failed ones are not counted)."""
        names = list(only) if only is not None else list(_subscriptions)
        done = batches = 0
        if self.life is not None:
            self.bury_the_dead()
        while True:
            progress = 0
            for name in names:
                handled, took = self._one_batch(_subscriptions[name])
                done += handled
                progress += took
                batches += bool(took)
                if max_batches is not None and batches >= max_batches:
                    return done
            if not progress:
                return done

    def bury_the_dead(self) -> None:
        """Count an attempt for every delivery that was in the hands of a worker that is gone."""
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                # A free lock means that its worker is gone. The one taken to find out ends with this transaction.
                "SELECT id, deliveries FROM kernel_batch WHERE worker <> %s AND pg_try_advisory_xact_lock(worker) "
                "FOR UPDATE SKIP LOCKED",
                [self.key],
            )
            dead = cursor.fetchall()
            for batch, deliveries in dead:
                ids = deliveries if isinstance(deliveries, list) else json.loads(deliveries)
                _count_attempt(cursor, ids, "the worker died while it had this in its hands")
                cursor.execute("DELETE FROM kernel_batch WHERE id = %s", [batch])

    def _one_batch(self, subscription: Subscription) -> tuple[int, int]:
        """Take one batch; returns (deliveries done, deliveries taken)."""
        taken, error = self._try(subscription)
        if error is None:
            return len(taken), len(taken)
        return self._isolate(subscription, taken, error), len(taken)

    def _try(self, subscription: Subscription, only: Sequence[int] | None = None) -> tuple[list[int], Exception | None]:
        """One batch, or those of `only` that are free, in one transaction; returns what was taken and what failed."""
        batch: int | None = None
        taken: list[tuple[int, int, int]] = []
        error: Exception | None = None
        try:
            with transaction.atomic():
                taken = self._take(subscription, list(only) if only is not None else None)
                if taken:
                    batch = self._note(subscription, [d for d, _, _ in taken])
                    self._react(subscription, taken, batch)
        except Exception as failed:
            if not taken:
                raise
            self._forget(batch)
            error = failed
        return [d for d, _, _ in taken], error

    def _isolate(self, subscription: Subscription, ids: Sequence[int], error: Exception) -> int:
        """After a failure: halve until the failing events stand alone, so that the rest goes on. Returns the done."""
        log.warning(
            "reaction failed", extra={"reaction": subscription.name, "events": len(ids), "error": _place(error)}
        )
        if len(ids) == 1:
            self._fail(ids, error)
            return 0
        done = 0
        for half in (ids[: len(ids) // 2], ids[len(ids) // 2 :]):
            taken, failed = self._try(subscription, half)
            done += len(taken) if failed is None else self._isolate(subscription, taken, failed)
        return done

    def _take(self, subscription: Subscription, only: list[int] | None) -> list[tuple[int, int, int]]:
        """Lock up to a batch of due deliveries: (delivery, event, attempts). One that failed before goes alone."""
        with connection.cursor() as cursor:
            if subscription.one_at_a_time:
                cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [zlib.crc32(subscription.name.encode())])
                if not cursor.fetchone()[0]:
                    return []
            cursor.execute(
                "SELECT id, event_id, attempts FROM kernel_delivery WHERE reaction = %s AND state = 'pending' "
                "AND due_at <= %s AND (%s::bigint[] IS NULL OR id = ANY(%s)) ORDER BY id LIMIT %s "
                "FOR UPDATE SKIP LOCKED",
                [subscription.name, clock.now(), only, only, self._most(subscription)],
            )
            rows: list[tuple[int, int, int]] = cursor.fetchall()
        fresh = [r for r in rows if r[2] == 0]
        return fresh or rows[:1]

    def _most(self, subscription: Subscription) -> int:
        return self.bulk if self.bulk is not None and subscription.batch > BATCH else subscription.batch

    def _note(self, subscription: Subscription, ids: Sequence[int]) -> int | None:
        if self.life is None:
            return None
        row = self.life.execute(
            "INSERT INTO kernel_batch (worker, reaction, deliveries) VALUES (%s, %s, %s::jsonb) RETURNING id",
            [self.key, subscription.name, json.dumps(list(ids))],
        ).fetchone()
        assert row is not None
        return int(row[0])

    def _forget(self, batch_id: int | None) -> None:
        if batch_id is not None and self.life is not None:
            self.life.execute("DELETE FROM kernel_batch WHERE id = %s", [batch_id])

    def _react(self, subscription: Subscription, taken: Sequence[tuple[int, int, int]], batch_id: int | None) -> None:
        # One array instead of thousands of parameters, each of which would be looked at several times on its way.
        events = list(
            Event.objects.raw("SELECT * FROM kernel_event WHERE id = ANY(%s) ORDER BY id", [[e for _, e, _ in taken]])
        )
        subscription.reaction(events)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM kernel_delivery WHERE id = ANY(%s)", [[d for d, _, _ in taken]])
            cursor.execute("DELETE FROM kernel_batch WHERE id = %s", [batch_id])

    def _fail(self, ids: Sequence[int], error: Exception) -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            # The class and the place of the error, not its text: a text may quote what a citizen wrote.
            _count_attempt(cursor, ids, _place(error))


def _count_attempt(cursor: Any, ids: Sequence[int], error: str) -> None:
    now = clock.now()
    cursor.execute(
        "UPDATE kernel_delivery SET attempts = attempts + 1, error = %s, "
        "state = CASE WHEN attempts + 1 >= %s THEN 'stuck' ELSE 'pending' END, "
        "due_at = %s + make_interval(secs => 2 * power(5, attempts)) WHERE id = ANY(%s)",
        [error, MAX_ATTEMPTS, now, list(ids)],
    )


def _place(error: BaseException) -> str:
    where = error.__traceback__
    while where is not None and where.tb_next is not None:
        where = where.tb_next
    if where is None:
        return type(error).__name__
    return f"{type(error).__name__} at {os.path.basename(where.tb_frame.f_code.co_filename)}:{where.tb_lineno}"


def _connection_parameters() -> dict[str, Any]:
    parameters = dict(connection.get_connection_params())
    for key in ("cursor_factory", "context", "prepare_threshold"):
        parameters.pop(key, None)
    return parameters


def stuck() -> list[Delivery]:
    """The deliveries that wait for a person, oldest first."""
    return list(Delivery.objects.filter(state=Delivery.State.STUCK).order_by("id"))


def try_again(ids: Sequence[int]) -> int:
    """Put stuck deliveries back into the queue with a fresh count."""
    return Delivery.objects.filter(id__in=ids, state=Delivery.State.STUCK).update(
        state=Delivery.State.PENDING, attempts=0, error="", due_at=clock.now()
    )


__all__ = ["Batch", "Happened", "Subscription", "Worker", "publish", "stuck", "subscribe", "subscriptions", "try_again"]
