"""Events and their delivery over a real PostgreSQL: nothing lost, nothing twice, nothing that stops the rest."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest
from django.db import IntegrityError, InternalError, close_old_connections, connection, transaction

from gridloop import loop
from gridloop.cases.models import Case
from gridloop.dispatch.actions import NEXT_LEVEL
from gridloop.evaluate.models import CaseFact
from gridloop.feedback.models import Callback
from gridloop.kernel import clock, events
from gridloop.kernel.events import MAX_ATTEMPTS, Happened, Worker, publish, stuck, subscribe, try_again
from gridloop.kernel.models import Batch, Delivery, Event
from gridloop.people.models import Notice
from tests.build import DAY, district


@dataclass(frozen=True, slots=True, kw_only=True)
class Rang(Happened):
    """A bell rang (only in these tests)."""

    number: int


def ring(*numbers: int) -> list[int]:
    return publish([Rang(subject=f"bell:{n}", actor="system", at=clock.now(), number=n) for n in numbers])


heard: list[int] = []
broken: set[int] = set()


def hear(told: Sequence[Event]) -> None:
    """Note the numbers in the database, so that a rollback is seen; break at the broken ones."""
    for event in told:
        if event.data["number"] in broken:
            raise ValueError(f"the secret name of bell {event.data['number']}")
    publish([])
    with connection.cursor() as cursor:
        cursor.executemany("INSERT INTO heard VALUES (%s)", [[e.data["number"]] for e in told])
    heard.extend(e.data["number"] for e in told)


@pytest.fixture
def bells() -> Iterator[None]:
    """Only these tests' reaction is subscribed; afterwards the loop's are again."""
    heard.clear()
    broken.clear()
    subscribe({Rang: [hear]})
    yield
    subscribe(loop.REACTIONS, one_at_a_time=loop.ONE_AT_A_TIME)


@pytest.fixture
def table(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TEMPORARY TABLE heard (number int) ON COMMIT DROP")


NAME = "tests.stages.test_events.hear"


def heard_in_database() -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT number FROM heard ORDER BY number")
        return [row[0] for row in cursor.fetchall()]


def test_publishing_outside_a_transaction_is_refused(committed: None, bells: None) -> None:
    with pytest.raises(RuntimeError, match="outside a transaction"):
        ring(1)
    assert not Event.objects.exists()


def test_a_rollback_leaves_neither_event_nor_delivery(committed: None, bells: None) -> None:
    with transaction.atomic():
        ring(1, 2)
        transaction.set_rollback(True)
    assert (Event.objects.count(), Delivery.objects.count()) == (0, 0)
    with transaction.atomic():
        ids = ring(1, 2)
    assert list(Event.objects.order_by("id").values_list("id", flat=True)) == ids
    assert Delivery.objects.count() == 2


def test_one_failing_event_is_isolated_retried_later_and_ends_on_the_stuck_list(table: None, bells: None) -> None:
    broken.add(13)
    worker = Worker(mortal=False)
    at = DAY
    with clock.frozen(at):
        ring(*range(1, 41))
        assert worker.drain() == 39
    assert heard_in_database() == [n for n in range(1, 41) if n != 13]
    waits = []
    for attempt in range(1, MAX_ATTEMPTS):
        delivery = Delivery.objects.get()
        assert (delivery.state, delivery.attempts) == ("pending", attempt)
        waits.append((delivery.due_at - at).total_seconds())
        with clock.frozen(delivery.due_at - timedelta(seconds=1)):
            assert worker.drain() == 0
        assert Delivery.objects.get().attempts == attempt, "not before its time"
        at = delivery.due_at
        with clock.frozen(at):
            worker.drain()
    assert waits == [2, 10]
    (left,) = stuck()
    assert left.attempts == MAX_ATTEMPTS
    assert left.error.startswith("ValueError at test_events.py:")
    assert "secret" not in left.error
    with clock.frozen(at + timedelta(days=9)):
        assert worker.drain() == 0, "stuck means that a person decides"
        broken.clear()
        assert try_again([left.id]) == 1
        assert worker.drain() == 1
    assert 13 in heard_in_database()
    assert not Delivery.objects.exists()


def test_a_failing_event_takes_nothing_of_its_batch_with_it_and_leaves_nothing_behind(table: None, bells: None) -> None:
    broken.add(2)
    with clock.frozen(DAY):
        ring(1, 2, 3)
        Worker(mortal=False).drain()
    assert heard_in_database() == [1, 3], "each effect once, none of the failed batch twice"


def test_two_workers_never_take_the_same_delivery(committed: None, bells: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE heard (number int)")
    try:
        with transaction.atomic():
            ring(*range(1200))
        ready = threading.Barrier(2)

        def work() -> None:
            worker = Worker()
            ready.wait()
            worker.drain()
            worker.close()
            connection.close()

        threads = [threading.Thread(target=work) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert heard_in_database() == list(range(1200))
        assert (Delivery.objects.count(), Batch.objects.count()) == (0, 0)
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE heard")
        close_old_connections()


def _die_of_13(told: Sequence[Event]) -> None:
    if any(e.data["number"] == 13 for e in told):
        os.kill(os.getpid(), signal.SIGKILL)
    hear(told)


def _in_another_process(at: datetime) -> int:
    """Drain in a forked process; returns the signal that killed it, or 0."""
    connection.close()
    process = os.fork()
    if process == 0:
        with clock.frozen(at):
            Worker().drain()
        os._exit(0)
    return os.WTERMSIG(os.waitpid(process, 0)[1])


def test_an_event_that_kills_its_worker_is_stuck_after_three_deaths_and_the_others_go_on(
    committed: None, bells: None
) -> None:
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE heard (number int)")
    try:
        at = DAY
        subscribe({Rang: [_die_of_13]})
        with transaction.atomic(), clock.frozen(at):
            ring(*range(10, 20))
        deaths = 0
        while not stuck() and at < DAY + timedelta(hours=1):
            deaths += _in_another_process(at) == signal.SIGKILL
            at += timedelta(minutes=5)
        assert deaths == MAX_ATTEMPTS
        (left,) = stuck()
        assert Event.objects.get(id=left.event_id).data["number"] == 13
        assert "died" in left.error
        assert heard_in_database() == [n for n in range(10, 20) if n != 13]
        assert not Batch.objects.exists()
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE heard")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE kernel_event SET actor = 'person:9'",
        'UPDATE kernel_event SET data = data || \'{"reason": ""}\'',
        "DELETE FROM kernel_event",
        "TRUNCATE kernel_event",
        "TRUNCATE kernel_event CASCADE",
    ],
)
def test_the_database_refuses_to_change_what_has_happened(db: None, bells: None, sql: str) -> None:
    ring(1)
    with pytest.raises((InternalError, IntegrityError), match="only grows"), transaction.atomic():
        connection.cursor().execute(sql)
    assert Event.objects.get().actor == "system"


def test_told_twice_every_reaction_of_the_loop_acts_once(db: None) -> None:
    """Each real reaction is called again with the very events that it has dealt with."""
    told: dict[str, list[Event]] = {}
    real = dict(events.subscriptions())

    def listening(reaction: events.Reaction) -> events.Reaction:
        def listen(batch: Sequence[Event]) -> None:
            told.setdefault(f"{reaction.__module__}.{reaction.__name__}", []).extend(batch)
            reaction(batch)

        listen.__module__, listen.__name__ = reaction.__module__, reaction.__name__
        return listen

    subscribe({event: [listening(r) for r in reacts] for event, reacts in loop.REACTIONS.items()})
    try:
        with clock.frozen(DAY):
            here = district()
            _a_busy_day(here)
        before = _everything()
        with clock.frozen(DAY + timedelta(hours=9)):
            for subscription in real.values():
                reaction = subscription.reaction
                batch = told[f"{reaction.__module__}.{reaction.__name__}"]
                assert batch, subscription.name
                with transaction.atomic():
                    reaction(batch)
        assert _everything() == before
        assert set(real) == {events._name(r) for reacts in loop.REACTIONS.values() for r in reacts}
    finally:
        subscribe(loop.REACTIONS, one_at_a_time=loop.ONE_AT_A_TIME)


def _everything() -> dict[str, object]:
    return {
        "cases": list(Case.objects.order_by("id").values()),
        "facts": list(CaseFact.objects.order_by("case_id").values()),
        "callbacks": list(Callback.objects.order_by("id").values()),
        "notices": list(Notice.objects.order_by("id").values()),
        "events": Event.objects.count(),
    }


def _a_busy_day(here: object) -> None:
    from gridloop.cases.actions import Move, move_cases, note_deadlines
    from gridloop.cases.rules import CoUnit
    from gridloop.feedback.actions import answer, token_of
    from gridloop.handle.actions import add_evidence, hand_back
    from gridloop.people.viewer import ANONYMOUS
    from tests.build import District
    from tests.stages.pictures import jpeg

    assert isinstance(here, District)
    case = here.case()
    other = here.case("urban:E0107")
    move_cases([Move(case_id=other.id, verb="remind")], viewer=here["dispatch"])
    helpers = (CoUnit(unit_id=here.units["SZ"]),)
    move_cases([Move(case_id=other.id, verb="add_co_units", co_units=helpers)], viewer=here["dispatch"])
    for stage in ("before", "after"):
        add_evidence(case_id=case.id, stage=stage, content=jpeg(stage), viewer=here["street"])
    hand_back([Move(case_id=case.id, verb="hand_back")], viewer=here["street"])
    move_cases([Move(case_id=case.id, verb="check", outcome="passed")], viewer=here["inspect"])
    move_cases([Move(case_id=case.id, verb="close")], viewer=here["shift"])
    here.drain()
    callback = Callback.objects.get()
    answer(token=token_of(callback.report_id, 1), resolved=True, satisfied=5, viewer=ANONYMOUS)
    note_deadlines(at=DAY + timedelta(hours=1, minutes=40))
    here.drain()
    note_deadlines(at=DAY + timedelta(hours=8))
    here.drain()
    assert Notice.objects.count() >= 5
    assert NEXT_LEVEL
