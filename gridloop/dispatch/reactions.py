"""What dispatch does when a case is ready for it, and when time runs."""

from __future__ import annotations

from collections.abc import Sequence

from gridloop.cases.actions import note_deadlines, resume_due
from gridloop.dispatch.actions import Due, Moved, escalate, remind_holders, send_routed, tell_holders, tell_of_moves
from gridloop.kernel.models import Event


def _id(event: Event) -> int:
    return int(event.subject.removeprefix("case:"))


def route(events: Sequence[Event]) -> None:
    """Send filed cases to the unit and person of their route. Without a route they stay in the dispatcher's queue."""
    ready = [e for e in events if e.name == "CaseCorrected" or e.data["set"].get("state") == "pending_dispatch"]
    if ready:
        send_routed(list(dict.fromkeys(map(_id, ready))))


def warn(events: Sequence[Event]) -> None:
    """Tell whoever holds the case that 80 % of the step's time is used."""
    remind_holders([_due(event) for event in events])


def climb(events: Sequence[Event]) -> None:
    """A deadline has passed: tell the next level."""
    escalate([_due(event) for event in events])


def urge(events: Sequence[Event]) -> None:
    """Somebody asks for the case (催办) or supervises it (督办): tell whoever holds it."""
    tell_holders([(_id(event), event.at, event.name) for event in events])


def tell(events: Sequence[Event]) -> None:
    """A case came to somebody, came back, or waits for somebody's decision: tell that person."""
    tell_of_moves([Moved(case_id=_id(event), at=event.at, name=event.name, actor=event.actor) for event in events])


def _due(event: Event) -> Due:
    about = event.data["about"]
    return Due(case_id=_id(event), at=event.at, due_at=about["due_at"], unit_id=about.get("unit"))


def watch_the_clock() -> None:
    """Timer: notice deadlines near and passed, and suspensions that end."""
    while note_deadlines() or resume_due():
        pass
