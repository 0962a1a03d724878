"""What is done for the people who work here when the time has come."""

from __future__ import annotations

from gridloop.kernel import clock
from gridloop.people.access import tidy
from gridloop.people.actions import forget_presence
from gridloop.people.ways_out import post_notices, send_out


def tidy_up() -> None:
    """Forget drained buckets of wrong tries, dead codes, tokens and sessions, and who had which case open."""
    tidy(at=clock.now())
    forget_presence(at=clock.now())


def send_notices() -> None:
    """Timer for what may take long: decide which notices leave the application, and send what is due."""
    while post_notices(at=clock.now()):
        pass
    send_out(at=clock.now())
