"""The whole loop on one screen: event -> reactions, timer -> reactions."""

from __future__ import annotations

from gridloop.kernel import events


def wire() -> None:
    """Subscribe every reaction of the loop. Called once when the product starts."""
    events.subscribe({})
