"""What is done for the people who work here when the time has come."""

from __future__ import annotations

from gridloop.kernel import clock
from gridloop.people.access import tidy
from gridloop.people.actions import forget_presence


def tidy_up() -> None:
    """Forget drained buckets of wrong tries, dead codes, tokens and sessions, and who had which case open."""
    tidy(at=clock.now())
    forget_presence(at=clock.now())
