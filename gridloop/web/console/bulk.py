"""One verb for many cases: all of them or none, every refusal named. What a verb demands it demands here too."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.views.decorators.http import require_POST

from gridloop.cases.actions import QUIET, move_cases
from gridloop.cases.models import Case
from gridloop.cases.queries import cases_for
from gridloop.cases.rules import ASKS, Move
from gridloop.cases.workflow import Step, allowed, name_of
from gridloop.handle import actions as handle
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistake, Mistakes, Refused
from gridloop.kernel.language import Sentence
from gridloop.people.models import day_of
from gridloop.people.queries import staff_for_unit
from gridloop.people.viewer import Viewer
from gridloop.web.shell.pages import is_fragment, show, staff
from gridloop.web.shell.tags import zone

MOST = 200
ALONE = frozenset({"join", "correct", "add_co_units", "co_hand_back", "withdraw_co_unit", "self_handle"})
"""Verbs about one case alone: what they are told fits no second one."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A verb that the workflow allows for all the chosen cases, and what its form asks."""

    verb: str
    outcome: str
    name: Sentence
    asks: frozenset[str]
    needs_evidence: bool

    @property
    def key(self) -> str:
        return f"{self.verb}:{self.outcome}"


def choices(cases: Sequence[Case], viewer: Viewer) -> list[Choice]:
    """The verbs that lead on from the states of all these cases and that the viewer's posts carry."""
    found: list[Choice] = []
    by_state = [{(s.verb, s.outcome): s for s in allowed(state)} for state in sorted({c.state for c in cases})]
    if not by_state:
        return []
    for (verb, outcome), step in by_state[0].items():
        if verb in ALONE or not all((verb, outcome) in steps for steps in by_state):
            continue
        if viewer.may(step.permission):
            found.append(Choice(verb, outcome, name_of(verb, outcome), _asks(step), "evidence" in step.guards))
    return found


def _asks(step: Step) -> frozenset[str]:
    return frozenset(what for guard in step.guards for what in ASKS.get(guard, ())) - {"evidence", "condition"}


@require_POST
@staff
def choose(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The form: which verb, and what that verb asks. Asked again when the verb or the unit changes."""
    return _form(request, viewer, *_picked(request.POST, viewer))


@require_POST
@staff
def act(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Do it with all chosen cases. If any refuses, nothing is done and the form says which and why."""
    cases, seen = _picked(request.POST, viewer)
    try:
        choice = _choice(request.POST, choices(cases, viewer))
        moves = [_move(request.POST, case, seen[case.number], choice) for case in cases]
        do = handle.hand_back if choice.verb in handle.NEEDS_PHOTOGRAPHS else move_cases
        with transaction.atomic():
            do(moves, viewer=viewer)
    except (Refused, Mistakes) as no:
        response = _form(request, viewer, cases, seen, no)
        response.status_code = no.status if isinstance(no, Refused) else 422
        response["HX-Retarget"], response["HX-Reswap"] = "#dialogs", "innerHTML"
        return response
    if not is_fragment(request):
        return HttpResponseRedirect("/console/cases")
    told = Sentence(zh=f"{choice.name.zh}：{len(cases)}件已办。", en=f"{choice.name.en}: {len(cases)} cases done.")
    response = HttpResponse("")
    response["HX-Trigger"] = json.dumps({"toast": str(told), "list-changed": True})
    return response


def _picked(said: QueryDict, viewer: Viewer) -> tuple[list[Case], dict[str, int]]:
    """The chosen cases in the order of the list, and the version of each that was on the screen.

    One query. Raises `Refused` where there are none or too many; a case that has left the viewer's sight is a mistake.
    """
    seen: dict[str, int] = {}
    leave_out = set(said.get("leave_out", "").split(","))
    for one in said.getlist("case"):
        number, _, version = one.partition(":")
        if number not in leave_out:
            seen[number[:24]] = int(version) if version.isascii() and version.isdigit() and len(version) < 9 else 0
    if not 1 <= len(seen) <= MOST:
        raise Refused(
            Sentence(zh=f"请选 1 到 {MOST} 件案件。", en=f"Choose from 1 to {MOST} cases."), status=422, code="too_many"
        )
    found = {c.number: c for c in cases_for(viewer).filter(number__in=seen).select_related("unit")}
    gone = [number for number in seen if number not in found]
    if gone:
        wrong = Sentence(zh="没有这件，或您已无权查看", en="is not there, or you may no longer see it")
        raise Mistakes([Mistake(n, wrong, Sentence(zh="刷新列表", en="reload the list")) for n in gone])
    return [found[number] for number in seen], seen


def _choice(said: QueryDict, offered: Sequence[Choice]) -> Choice:
    found = next((c for c in offered if c.key == said.get("verb")), None)
    if found is None:
        raise Refused(
            Sentence(
                zh="所选案件不能一起做这一步；请重新选择要做什么。",
                en="These cases cannot all take this step; choose again what to do.",
            ),
            status=409,
            code="illegal_move",
        )
    return found


def _move(said: QueryDict, case: Case, version: int, choice: Choice) -> Move:
    return Move(
        case_id=case.pk,
        verb=choice.verb,
        outcome=choice.outcome,
        version=None if choice.verb in QUIET else version,
        reason=said.get("reason", "")[:2000].strip(),
        unit_id=_whole(said.get("unit")) if "unit" in choice.asks else None,
        person_id=_whole(said.get("person")) if "person" in choice.asks else None,
        condition=case.condition,
        until=_day(said.get("until", "")) if "until" in choice.asks else None,
    )


def _whole(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 18 else None


def _day(text: str) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(text), time(), zone())
    except ValueError:
        return None


def _form(
    request: HttpRequest,
    viewer: Viewer,
    cases: Sequence[Case],
    seen: dict[str, int],
    refused: Refused | Mistakes | None = None,
) -> HttpResponse:
    said = request.POST
    offered = choices(cases, viewer)
    chosen = next((c for c in offered if c.key == said.get("verb")), None)
    units = {c.unit_id: c.unit for c in cases if c.unit is not None}
    unit = _whole(said.get("unit")) or (next(iter(units)) if len(units) == 1 else None)
    now = clock.now()
    context: dict[str, Any] = {
        "cases": cases,
        "picked": [f"{number}:{version}" for number, version in seen.items()],
        "offered": offered,
        "chosen": chosen,
        "said": said,
        "refused": refused,
        "refused_numbers": ",".join(m.place for m in refused.mistakes) if isinstance(refused, Mistakes) else "",
        "some_left": isinstance(refused, Mistakes) and len(refused.mistakes) < len(cases),
        "people": staff_for_unit(unit) if unit and chosen and "person" in chosen.asks else [],
        "first_day": date.fromordinal(day_of(now).toordinal() + 1),
        "last_day": date.fromordinal(day_of(now).toordinal() + 365),
    }
    return show(
        request, "console/list_bulk_dialog.html" if is_fragment(request) else "console/list_bulk_page.html", context
    )
