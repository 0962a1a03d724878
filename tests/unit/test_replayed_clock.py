"""A replay stands at the end of its window, and what follows from an event belongs to the event's own time."""

from __future__ import annotations

from datetime import UTC, datetime

from gridloop.kernel import clock

THEN, END = datetime(2013, 5, 1, tzinfo=UTC), datetime(2013, 5, 8, tzinfo=UTC)


def test_in_life_a_consequence_belongs_to_now() -> None:
    assert clock.replayed(THEN) is None
    with clock.frozen(END):
        assert clock.replayed(THEN) is None


def test_in_a_replay_it_belongs_to_its_cause_and_afterwards_life_goes_on() -> None:
    with clock.replaying(END):
        assert clock.now() == END
        assert clock.replayed(THEN) == THEN
    assert clock.replayed(THEN) is None
    assert clock.now() > END
