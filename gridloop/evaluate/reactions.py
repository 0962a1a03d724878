"""What evaluation does when something happened."""

from __future__ import annotations

from collections.abc import Sequence

from gridloop.evaluate.actions import note_cases
from gridloop.kernel.models import Event


def note(events: Sequence[Event]) -> None:
    """Renew the facts of the cases to which something happened."""
    note_cases(list(dict.fromkeys(int(e.subject.removeprefix("case:")) for e in events)))
