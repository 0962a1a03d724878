"""What can happen to a report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gridloop.kernel.events import Happened


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReceived(Happened):
    """A report was accepted. Its words stay in the report: an event carries no personal data."""

    channel: str
    words: str
    """SHA-256 of title, text and address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportPutToTriage(Happened):
    """The machine was not sure; a person decides."""

    doubts: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportJoined(Happened):
    """The report tells of a case that is open already."""

    case: int
    why: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportRefused(Happened):
    """A person decided that it is no case."""

    reason: str
