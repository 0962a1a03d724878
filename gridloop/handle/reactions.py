"""What handling does when something happened."""

from __future__ import annotations

from collections.abc import Sequence

from gridloop.handle.actions import make_served_copies
from gridloop.kernel.models import Event


def make_copies(events: Sequence[Event]) -> None:
    """Make the served copies of new evidence."""
    make_served_copies([event.data["evidence"] for event in events])
