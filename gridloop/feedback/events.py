"""What can happen when we ask."""

from __future__ import annotations

from dataclasses import dataclass

from gridloop.kernel.events import Happened


@dataclass(frozen=True, slots=True, kw_only=True)
class ReporterAsked(Happened):
    """The reporter of a closed case can say whether it is solved."""

    callback: int
    report: int
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReporterAnswered(Happened):
    """The answer. The comment stays out of the record: people write names into it."""

    callback: int
    report: int
    resolved: bool
    satisfied: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerTemplateKept(Happened):
    """Somebody wrote or changed an answer template (subject ``template:id``)."""

    name: str
