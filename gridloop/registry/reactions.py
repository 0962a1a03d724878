"""What the registry does when the time has come."""

from __future__ import annotations

from gridloop.kernel import clock
from gridloop.registry.actions import wipe_due


def forget_reporters() -> None:
    """Destroy the contacts whose time is over."""
    while wipe_due(at=clock.now()):
        pass
