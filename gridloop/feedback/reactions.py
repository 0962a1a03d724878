"""What feedback does when something happened."""

from __future__ import annotations

from collections.abc import Sequence

from gridloop.feedback.actions import ask_reporters
from gridloop.kernel.models import Event


def ask(events: Sequence[Event]) -> None:
    """A case was closed: its reporters may say whether it is solved."""
    ask_reporters(list(dict.fromkeys(int(e.subject.removeprefix("case:")) for e in events)))
