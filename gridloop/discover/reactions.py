"""What discovery does when a report has come in."""

from __future__ import annotations

from collections.abc import Sequence

from gridloop.discover.actions import triage_reports
from gridloop.kernel.models import Event


def triage(events: Sequence[Event]) -> None:
    """Classify, place, find duplicates; open or join a case, or put the report on the list for a person."""
    triage_reports([int(event.subject.removeprefix("report:")) for event in events])
