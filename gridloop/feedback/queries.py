"""What can be read of answers: the templates from which they are written."""

from __future__ import annotations

from datetime import date

from django.db.models import Q, QuerySet
from django.db.models.functions import Length

from gridloop.feedback.models import AnswerTemplate
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
