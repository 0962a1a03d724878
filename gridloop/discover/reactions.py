"""What discovery does when a report has come in."""

from __future__ import annotations

from collections.abc import Sequence

from gridloop.discover.actions import time_contacts, triage_reports
from gridloop.kernel.models import Event


def triage(events: Sequence[Event]) -> None:
    """Classify, place, find duplicates; open or join a case, or put the report on the list for a person."""
    triage_reports([int(event.subject.removeprefix("report:")) for event in events])


def forget_in_time(events: Sequence[Event]) -> None:
    """A case ended or opened again, or a report was refused: set when its reporters are forgotten."""
    subjects = [event.subject.split(":") for event in events]
    time_contacts(
        case_ids=[int(number) for kind, number in subjects if kind == "case"],
        report_ids=[int(number) for kind, number in subjects if kind == "report"],
    )
