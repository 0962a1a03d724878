"""What dispatch does when a case is ready for it, and when time runs."""

from __future__ import annotations

from collections.abc import Sequence

from gridloop.cases.actions import note_deadlines, resume_due
from gridloop.cases.models import Case
from gridloop.dispatch.actions import escalate, remind_holders, send_routed
from gridloop.kernel.models import Event


def _ids(events: Sequence[Event]) -> list[int]:
    return list(dict.fromkeys(int(event.subject.removeprefix("case:")) for event in events))


def route(events: Sequence[Event]) -> None:
    """Send filed cases to the unit and person of their route. Without a route they stay in the dispatcher's queue."""
    ready = [e for e in events if e.data.get("set", {}).get("state") == "pending_dispatch"]
    if ready:
        # A case that somebody has dispatched by hand meanwhile is no longer in this state.
        send_routed(Case.objects.filter(id__in=_ids(ready), state="pending_dispatch").order_by("id"))


def warn(events: Sequence[Event]) -> None:
    """Tell whoever holds the case that 80 % of the step's time is used."""
    remind_holders(_ids(events))


def climb(events: Sequence[Event]) -> None:
    """A deadline has passed: tell the next level."""
    escalate(_ids(events))


def watch_the_clock() -> None:
    """Timer: notice deadlines near and passed, and suspensions that end."""
    while note_deadlines() or resume_due():
        pass
