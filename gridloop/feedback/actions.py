"""Asking the reporter (回访): every caller of a closed case may say whether it is solved; a "no" reopens it."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from django.conf import settings
from django.db import transaction

from gridloop.cases.actions import Move, move_cases
from gridloop.cases.models import Case
from gridloop.cases.workflow import STATES, VERBS
from gridloop.feedback import rules
from gridloop.feedback.events import AnswerTemplateKept, ReporterAnswered, ReporterAsked
from gridloop.feedback.models import AnswerTemplate, Callback
from gridloop.kernel import clock
from gridloop.kernel.bulk import insert_rows
from gridloop.kernel.errors import Mistake, Mistakes, Refused, not_found
from gridloop.kernel.events import publish
from gridloop.kernel.language import Sentence
from gridloop.kernel.models import Event
from gridloop.people.viewer import SYSTEM, Viewer
from gridloop.standard import queries as standard_queries


def token_of(report_id: int, round_: int) -> str:
    """The 128-bit secret of one question: derived, so that it can be sent again and is kept nowhere."""
    code = hmac.digest(settings.SECRET_KEY.encode(), f"callback\0{report_id}\0{round_}".encode(), "sha256")[:16]
    return urlsafe_b64encode(code).decode().rstrip("=")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def ask_reporters(case_ids: Sequence[int], *, at: datetime | None = None) -> int:
    """Ask every reporter of cases that were just closed, once a closing; returns how many were asked."""
    now = at or clock.now()
    with transaction.atomic():
        cases = {c.id: c for c in Case.objects.filter(id__in=case_ids, state="closed")}
        told = Event.objects.filter(
            subject__in=[f"case:{i}" for i in cases], name__in=["CaseOpened", "CallerJoined"]
        ).order_by("id")
        rows: dict[tuple[int, int], Callback] = {}
        for event in told:
            case = cases[int(event.subject.removeprefix("case:"))]
            for report in event.data["about"].get("reports", []):
                round_ = case.reopened + 1
                rows[report, round_] = Callback(
                    case_id=case.id, report_id=report, round=round_, unit_id=case.unit_id,
                    region_code=case.region_code, token=_hash(token_of(report, round_)), asked_at=case.closed_at or now,
                )  # fmt: skip
        fresh = list(rows.values())
        inserted = set(insert_rows(fresh, on_conflict="ON CONFLICT (report_id, round) DO NOTHING"))
        asked = Callback.objects.filter(id__in=inserted).order_by("id")
        publish(
            [
                ReporterAsked(
                    subject=f"case:{c.case_id}", actor=SYSTEM.actor, at=c.asked_at,
                    callback=c.id, report=c.report_id, round=c.round,
                )
                for c in asked
            ]
        )  # fmt: skip
    return len(inserted)


def answer(
    *,
    token: str,
    resolved: bool,
    satisfied: int | None = None,
    comment: str = "",
    viewer: Viewer,
    at: datetime | None = None,
) -> Callback:
    """Take the reporter's answer. It counts once; "not solved" sends a closed case back to its unit.

    Who answers is proven by the token alone. A case is reopened only as often as the pack allows, and only within the
    time for answers; after that the "no" counts all the same.
    """
    now = at or clock.now()
    if satisfied is not None and satisfied not in range(1, 6):
        raise Refused(
            Sentence(zh="满意度为1到5。", en="Contentment is a number from 1 to 5."), status=422, code="bad_answer"
        )
    if len(comment) > 2000:
        raise Refused(
            Sentence(zh="意见最多2000字。", en="The comment has 2000 characters at most."),
            status=422,
            code="bad_answer",
        )
    with transaction.atomic():
        callback = Callback.objects.select_for_update().filter(token=_hash(token)).first()
        if callback is None:
            raise not_found()
        if callback.answered_at is not None:
            if (callback.resolved, callback.satisfied) == (resolved, satisfied):
                return callback
            raise Refused(Sentence(zh="您已经答复过了。", en="You have answered already."), code="answered")
        callback.answered_at, callback.resolved, callback.satisfied = now, resolved, satisfied
        callback.comment = comment
        callback.save(update_fields=["answered_at", "resolved", "satisfied", "comment"])
        publish(
            [
                ReporterAnswered(
                    subject=f"case:{callback.case_id}", actor=viewer.actor, at=now,
                    callback=callback.id, report=callback.report_id, resolved=resolved, satisfied=satisfied,
                )
            ]
        )  # fmt: skip
        if not resolved:
            _reopen(callback, now)
    return callback


def _reopen(callback: Callback, at: datetime) -> None:
    case = Case.objects.select_for_update().get(id=callback.case_id)
    standard = standard_queries.release(case.pack_release_id)
    rule = standard.feedback(case.case_type)
    in_time = case.closed_at is not None and at <= standard.calendar.deadline(case.closed_at, rule.answer_within)
    newest = callback.round == case.reopened + 1  # an answer about an earlier closing is late news
    if case.state == "closed" and newest and in_time and case.reopened < rule.reopen_times:
        reason = Sentence(zh="反映人表示问题未解决", en="the reporter says that it is not solved")
        move_cases([Move(case_id=case.id, verb="reopen", reason=reason.zh)], viewer=SYSTEM, at=at)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewTemplate:
    """An answer template as somebody wants to keep it; the fields are those of `models.AnswerTemplate`."""

    name: str
    zh: str
    en: str = ""
    verb: str = ""
    group: str = ""
    state: str = ""
    season_from: str = ""
    season_until: str = ""
    active: bool = True


def keep_template(
    new: NewTemplate, *, viewer: Viewer, template_id: int | None = None, at: datetime | None = None
) -> AnswerTemplate:
    """Keep a new template, or change the one with that id. Raises all `Mistakes` at once."""
    viewer.need("manage_templates")
    now = at or clock.now()
    found = rules.mistakes(new)
    for place, value, known in (("verb", new.verb, VERBS), ("state", new.state, STATES)):
        if value and value not in known:
            wrong = Sentence(zh=f"不认识“{value}”", en=f"“{value}” is not known")
            found.append(Mistake(place, wrong, Sentence(zh="、".join(known), en=", ".join(known))))
    with transaction.atomic():
        same = AnswerTemplate.objects.filter(name=new.name, verb=new.verb).exclude(id=template_id or 0)
        if same.exists():
            wrong = Sentence(zh="已有同名模板", en="is taken by another template")
            found.append(Mistake("name", wrong, Sentence(zh="换一个名称", en="choose another name")))
        if found:
            raise Mistakes(found)
        template = AnswerTemplate(id=template_id)
        if template_id is not None:
            row = AnswerTemplate.objects.select_for_update().filter(id=template_id).first()
            if row is None:
                raise not_found()
            template = row
        for field in fields(new):
            setattr(template, field.name, getattr(new, field.name))
        template.changed_by, template.changed_at = viewer.actor, now
        template.save()
        publish([AnswerTemplateKept(subject=f"template:{template.pk}", actor=viewer.actor, at=now, name=new.name)])
    return template
