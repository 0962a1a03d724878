"""What is done with a case: one small form for each verb, which asks what the verb's guards ask, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from typing import Any

from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from gridloop.cases.actions import QUIET, move_cases
from gridloop.cases.models import Case
from gridloop.cases.queries import (
    Possibility,
    case_of,
    cases_for,
    co_units_of,
    events_of,
    moment_words,
    possible,
)
from gridloop.cases.rules import CoUnit, Move
from gridloop.cases.workflow import STATES, VERBS
from gridloop.discover.queries import find_places
from gridloop.dispatch.queries import Proposal, propose
from gridloop.feedback.queries import templates_for
from gridloop.feedback.rules import fill
from gridloop.handle import actions as handle
from gridloop.handle.queries import photographs
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes, Refused, not_found
from gridloop.kernel.language import Sentence
from gridloop.people.models import Unit, day_of
from gridloop.people.queries import colleagues, find_units, persons_for, staff_for_unit
from gridloop.people.viewer import Viewer
from gridloop.standard import queries as standard_queries
from gridloop.standard.rules.standard import CaseType
from gridloop.territory.queries import locate
from gridloop.web.shell.pages import is_fragment, show, staff
from gridloop.web.shell.tags import zone

HINTS = {
    "return_back": Sentence(zh="写明为什么不归本单位管，应归谁管。", en="Say why it is not yours, and whose it is."),
    "refuse_filing": Sentence(zh="反映人会看到这个理由。", en="The reporter will read this reason."),
    "reject_intake": Sentence(zh="反映人会看到这个理由。", en="The reporter will read this reason."),
    "ask_suspension": Sentence(zh="写明卡在哪里、等什么。", en="Say what it waits for."),
    "force_close": Sentence(
        zh="强制结案会记入案卷并单独统计。", en="A closing by force is on record and counted apart."
    ),
}
"""What a reason should say, for the verbs where people ask."""
SERIOUS = frozenset({"force_close", "cancel", "reject_intake", "refuse_filing"})
"""Verbs that end a case for good: their button says so."""


@require_http_methods(["GET", "POST"])
@staff
def verb(request: HttpRequest, viewer: Viewer, number: str, verb: str) -> HttpResponse:
    """The form of a verb; and the verb itself, when the form comes back."""
    outcome = (request.POST if request.method == "POST" else request.GET).get("outcome", "")
    if verb not in VERBS or outcome not in VERBS[verb]:
        raise not_found()
    case = case_of(viewer, number)
    if request.method == "GET":
        return _form(request, viewer, case, verb, outcome, request.GET)
    try:
        moved = _move(request.POST, viewer, case, verb, outcome)
    except (Refused, Mistakes) as no:
        case.refresh_from_db()
        refused = faster(case, viewer) if isinstance(no, Refused) and no.code == "conflict" else no
        response = _form(request, viewer, case, verb, outcome, request.POST, refused)
        response.status_code = no.status if isinstance(no, Refused) else 422
        response["HX-Retarget"], response["HX-Reswap"] = "#dialogs", "innerHTML"
        return response
    return _back(request, viewer, moved)


def _back(request: HttpRequest, viewer: Viewer, case: Case) -> HttpResponse:
    """Back to where the form was opened, or to the list if the case has left the viewer's sight."""
    wanted = request.POST.get("back", "")
    seen = cases_for(viewer).filter(id=case.pk).exists()
    to = f"/console/cases/{case.number}?done=1" if seen else "/console/cases"
    if wanted.startswith("/console/") and url_has_allowed_host_and_scheme(wanted, None):
        to = wanted
    if is_fragment(request):
        response = HttpResponse(status=204)
        response["HX-Redirect"] = to
        return response
    return HttpResponseRedirect(to)


def faster(case: Case, viewer: Viewer) -> Refused:
    """What is said to the second of two persons: who was first, and how the case stands now."""
    last = events_of(case, viewer)[-1]
    kind, _, key = last.actor.partition(":")
    known = colleagues([int(key)]) if kind == "person" else {}
    who = known.get(int(key or 0))
    name = Sentence(zh=f"{who.name}（{who.post.zh}）", en=f"{who.name} ({who.post.en})") if who else None
    name = name or Sentence(zh="别人", en="Somebody else")
    state = STATES[case.state]
    return Refused(
        Sentence(
            zh=f"{name.zh}先办了一步：案件现在是“{state.zh}”。您写的文字已保留；请刷新，看过再决定。",
            en=f"{name.en} was faster: the case is now {state.en}. What you wrote is kept; reload, look, then decide.",
        ),
        status=412,
        code="conflict",
    )


def _form(
    request: HttpRequest,
    viewer: Viewer,
    case: Case,
    verb: str,
    outcome: str,
    said: QueryDict,
    refused: Refused | Mistakes | None = None,
) -> HttpResponse:
    now = clock.now()
    parts = co_units_of(case)
    photos = photographs([case.pk]).get(case.pk, (0, 0))
    verbs = possible(case, viewer, events=events_of(case, viewer), parts=parts, photographs=photos, now=now)
    chosen = next((v for v in verbs if (v.verb, v.outcome) == (verb, outcome)), None)
    if chosen is None:
        raise not_found()
    case_type = standard_queries.release(case.pack_release_id).case_type(case.case_type)
    context: dict[str, Any] = {
        "case": case,
        "case_type": case_type,
        "verb": chosen,
        "said": said,
        "refused": refused,
        "conflict": isinstance(refused, Refused) and refused.code == "conflict",
        "hint": HINTS.get(verb),
        "serious": verb in SERIOUS,
        "version": said.get("version") or case.version,
        "back": said.get("back", ""),
        "photos": photos,
        "needs": case_type.evidence,
        "parts": [p for p in parts if p.unit_id in chosen.parts],
        **_choices(case, case_type, chosen, viewer, said, now),
    }
    template = "console/_verb.html" if is_fragment(request) else "console/verb.html"
    return show(request, template, context)


def _choices(
    case: Case, case_type: CaseType, verb: Possibility, viewer: Viewer, said: QueryDict, now: datetime
) -> dict[str, Any]:
    """What the form offers to choose from."""
    offers: dict[str, Any] = {}
    if "condition" in verb.asks:
        offers["conditions"] = case_type.conditions
        offers["condition"] = said.get("condition") or case.condition
    if "unit" in verb.asks:
        proposal = propose([case], at=now)[case.pk]
        offers["proposal"] = proposal
        offers["units"] = _first_units(case, proposal, said)
        # Nobody is led to send a case back to whoever has just returned it.
        proposed = proposal.unit.id if proposal.unit is not None else 0
        again = bool(case.returns) and proposed == case.unit_id
        offers["unit_id"] = _whole(said.get("unit")) or (0 if again else proposed)
    if "person" in verb.asks:
        unit = offers.get("unit_id", case.unit_id or 0)
        if verb.verb == "accept":
            nearest = persons_for([(0, "grid_worker", case.region_code), (0, "grid_leader", case.region_code)])
            known = colleagues([p for p in nearest if p is not None])
            offers["people"] = list(known.values())
        else:
            offers["people"] = staff_for_unit(unit) if unit else []
        holder = offers["proposal"].person_id if "proposal" in offers else None
        offers["person_id"] = _whole(said.get("person")) or holder or 0
    if "until" in verb.asks:
        offers["first_day"] = date.fromordinal(day_of(now).toordinal() + 1)
        offers["last_day"] = date.fromordinal(day_of(now).toordinal() + 365)
    if "co_units" in verb.asks:
        offers["co_units"] = Unit.objects.filter(id__in=[_whole(i) for i in said.getlist("co_unit")[:20]])
    return offers


def _first_units(case: Case, proposal: Proposal, said: QueryDict) -> list[Unit]:
    """The units that a form shows before anybody searches: what was chosen, what is proposed, what had it before."""
    ids = [_whole(said.get("unit")), proposal.unit.id if proposal.unit is not None else 0, case.unit_id or 0]
    known = Unit.objects.in_bulk([i for i in ids if i])
    return [known[i] for i in dict.fromkeys(ids) if i in known]


def _move(said: QueryDict, viewer: Viewer, case: Case, verb: str, outcome: str) -> Case:
    move = Move(
        case_id=case.pk,
        verb=verb,
        outcome=outcome,
        version=None if verb in QUIET else _whole(said.get("version")),
        reason=said.get("reason", "")[:2000].strip(),
        unit_id=_whole(said.get("unit")) or _whole(said.get("part")) or None,
        person_id=_whole(said.get("person")) or None,
        condition=said.get("condition", "")[:60],
        until=_until(said.get("until", "")),
        co_units=tuple(
            CoUnit(unit_id=_whole(i), task=said.get("task", "")[:500]) for i in said.getlist("co_unit")[:20]
        ),
        case_type=said.get("case_type", "")[:60],
        **_place(said) if verb == "correct" else {},
    )
    act = handle.hand_back if verb in handle.NEEDS_PHOTOGRAPHS else move_cases
    with transaction.atomic():
        return act([move], viewer=viewer)[0]


def _place(said: QueryDict) -> dict[str, Any]:
    """The place as a form says it: words, and a point if one was set. An empty form leaves the place as it is."""
    place: dict[str, Any] = {}
    if address := said.get("address", "").strip():
        place["address"] = address[:300]
    lon, lat = degrees(said.get("lon"), 180), degrees(said.get("lat"), 90)
    if lon is not None and lat is not None:
        place |= {"lon": lon, "lat": lat}
        code = str(locate([lon], [lat])[0])
        if not code:
            raise Refused(
                Sentence(zh="这个点在辖区外，请重新选。", en="This point lies outside the district: choose another."),
                status=422,
                code="outside",
            )
        place["region_code"] = code
    return place


def degrees(text: str | None, most: float) -> float | None:
    """A coordinate as a form sends it, or None if it is none."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if -most <= value <= most else None


def _until(text: str) -> datetime | None:
    """The beginning of a day in the district."""
    try:
        return datetime.combine(date.fromisoformat(text), time(), zone())
    except ValueError:
        return None


def _whole(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 18 else 0


# --- what the forms look up ------------------------------------------------------------------------------------------


@require_GET
@staff
def answers(request: HttpRequest, viewer: Viewer, number: str) -> HttpResponse:
    """The templates that fit a verb of a case, filled in."""
    case = case_of(viewer, number)
    verb = request.GET.get("verb", "")
    found = templates_for(
        viewer, verb=verb, case_type=case.case_type, state=case.state, day=day_of(clock.now()),
        words=request.GET.get("q", "")[:60],
    )  # fmt: skip
    case_type = standard_queries.release(case.pack_release_id).case_type(case.case_type)
    values = _values(case, case_type)
    filled = [{"name": t.name, "text": fill(t.zh, values), "en": fill(t.en, values) if t.en else ""} for t in found]
    return show(request, "console/_answers.html", {"answers": filled, "case": case})


def _values(case: Case, case_type: CaseType) -> Mapping[str, str]:
    return {
        "number": case.number,
        "type": case_type.name.zh,
        "unit": case.unit.name if case.unit else "",
        "due": moment_words(case.handle_due_at or case.due_at).zh,
    }


@require_GET
@staff
def units(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Units by a few words of their name, as choices of a form. `many`: several may be chosen."""
    found = find_units(request.GET.get("q", "")[:60], viewer=viewer) if request.GET.get("q", "").strip() else []
    return show(
        request,
        "console/_units.html",
        {"units": found, "many": request.GET.get("many") == "1", "asked": bool(request.GET.get("q", "").strip())},
    )


@require_GET
@staff
def people(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Who works in a unit, as choices of a form."""
    unit = _whole(request.GET.get("unit"))
    return show(request, "console/_people.html", {"people": staff_for_unit(unit) if unit else [], "person_id": 0})


@require_GET
@staff
def types(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Case types by a few words of their name or their code, as choices of a form."""
    return show(request, "console/_types.html", {"types": find_types(request.GET.get("q", "")[:60])})


def find_types(words: str) -> list[CaseType]:
    """The types of today's catalogue that have all the words in name, class or code; short names first."""
    wanted = words.lower().split()
    if not wanted:
        return []
    found = []
    for kind in standard_queries.current().case_types.values():
        line = " ".join((kind.name.zh, kind.name.en, kind.major_name.zh, kind.code, *kind.words)).lower()
        if all(word in line for word in wanted):
            found.append(kind)
    found.sort(key=lambda k: (wanted[0] not in k.name.zh.lower(), len(k.name.zh), k.key))
    return found[:8]


@require_POST
@staff
def places(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Places of the district by a few words of their name, as choices of a form. Sent in the body: where somebody
    lives is nothing for an address line."""
    return show(request, "console/_places.html", {"places": find_places(request.POST.get("address", "")[:80])})
