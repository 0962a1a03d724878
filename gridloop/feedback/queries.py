"""What can be read of answers: the templates from which they are written, and what a reporter was asked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from django.db.models import Q, QuerySet
from django.db.models.functions import Length

from gridloop.feedback.actions import token_of
from gridloop.feedback.models import AnswerTemplate, Callback
from gridloop.feedback.rules import fits
from gridloop.people.viewer import Viewer

MOST = 12
"""Templates offered at once; who needs another one types a word of it."""


def templates_for(
    viewer: Viewer, *, verb: str, case_type: str, state: str, day: date, words: str = "", most: int = MOST
) -> list[AnswerTemplate]:
    """The templates that fit this verb, type and state today, and contain all the words; the most special first."""
    if viewer.kind == "anonymous":
        return []
    found = AnswerTemplate.objects.filter(active=True, verb__in=["", verb], state__in=["", state])
    for word in words.split()[:5]:
        found = found.filter(Q(name__icontains=word) | Q(zh__icontains=word) | Q(en__icontains=word))
    ordered = found.order_by(Length("group").desc(), "-verb", "name")[:500]
    return [t for t in ordered if fits(t, verb=verb, case_type=case_type, state=state, day=day)][:most]


def all_templates(viewer: Viewer) -> QuerySet[AnswerTemplate]:
    """Every template, for who manages them."""
    if not viewer.may("manage_templates"):
        return AnswerTemplate.objects.none()
    return AnswerTemplate.objects.order_by("verb", "name")


@dataclass(frozen=True, slots=True)
class Question:
    """What the reporter of one report was last asked, and what they answered."""

    token: str
    """The secret with which the answer is given (`actions.answer`): for the reporter's own eyes."""
    round: int
    asked_at: datetime
    answered_at: datetime | None
    resolved: bool | None
    satisfied: int | None
    comment: str


def questions_to(report_id: int) -> list[Question]:
    """All that a reporter was asked after a closing, oldest first. The caller knows that it is this reporter."""
    return [
        Question(token_of(report_id, c.round), c.round, c.asked_at, c.answered_at, c.resolved, c.satisfied, c.comment)
        for c in Callback.objects.filter(report_id=report_id).order_by("round")
    ]
