"""What handling does when something happened."""

from __future__ import annotations

from collections.abc import Sequence

from gridloop.handle.field import attach_uploads, forget_old, reports_of_events
from gridloop.handle.pictures import make_served_copies
from gridloop.handle.residents import attach_pictures, forget_unsent, pictures_of_events
from gridloop.kernel.models import Event


def make_copies(events: Sequence[Event]) -> None:
    """Make the copies of new evidence that people see."""
    make_served_copies([event.data["evidence"] for event in events])


def take_photographs_of_reports(events: Sequence[Event]) -> None:
    """A report became a case, or joined one: what was sent with it becomes that case's evidence."""
    if cases := reports_of_events(events):
        attach_uploads(cases)
    if pictures := pictures_of_events(events):
        attach_pictures(pictures)


def forget_errands() -> None:
    """Forget what telephones handed in long ago, what they began and abandoned, and photographs that nobody sent."""
    forget_old()
    forget_unsent()
