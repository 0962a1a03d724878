"""The dispatcher's desk: what waits with the proposal of its route, and the requests that wait for a decision."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_http_methods

from gridloop.cases.models import Case
from gridloop.dispatch.actions import Agreed, send_as_proposed
from gridloop.dispatch.queries import REQUESTS, last_returns, propose, reasons_of, requests, to_dispatch
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.language import Sentence
from gridloop.people.queries import colleagues
from gridloop.people.viewer import Viewer
from gridloop.standard import queries as standard_queries
from gridloop.territory.queries import names_of
from gridloop.web.shell.pages import show, staff

ROWS = 50
"""Rows on the desk: who works through them gets the next ones."""
MANY = 1000
TABS = {
    "": (Sentence(zh="待派遣", en="To dispatch"), "dispatch"),
    "extend": (Sentence(zh="申请延期", en="Extensions"), "decide_extension"),
    "suspend": (Sentence(zh="申请挂账", en="Suspensions"), "decide_suspension"),
    "appeal": (Sentence(zh="申诉", en="Appeals"), "decide_appeal"),
}
"""The tabs of the desk, and the permission for which each is."""


@require_http_methods(["GET", "POST"])
@staff("dispatch", "decide_extension", "decide_suspension", "decide_appeal")
def page(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What waits; and the word of a dispatcher who agrees to one proposal or to many."""
    if request.method == "GET":
        return _page(request, viewer)
    try:
        agreed = [_agreed(text) for text in request.POST.getlist("case")[:ROWS]]
        if not agreed:
            raise Refused(Sentence(zh="请先选中案件。", en="Choose the cases first."), status=422, code="nothing")
        sent = send_as_proposed(agreed, viewer=viewer)
    except (Refused, Mistakes) as no:
        response = _page(request, viewer, no)
        response.status_code = no.status if isinstance(no, Refused) else 422
        return response
    return HttpResponseRedirect(f"/console/dispatch?sent={len(sent)}")


def _agreed(text: str) -> Agreed:
    key, _, version = text.partition(":")
    if not (key.isascii() and key.isdigit() and version.isascii() and version.isdigit() and len(text) < 30):
        raise Refused(Sentence(zh="请重新打开列表。", en="Open the list again."), status=422, code="bad_choice")
    return Agreed(case_id=int(key), version=int(version))


def _page(request: HttpRequest, viewer: Viewer, refused: Refused | Mistakes | None = None) -> HttpResponse:
    tabs = {key: name for key, (name, permission) in TABS.items() if viewer.may(permission)}
    tab = request.GET.get("tab", "")
    tab = tab if tab in tabs else next(iter(tabs))
    rows = to_dispatch(viewer) if tab == "" else requests(viewer, tab)
    cases = list(rows[:ROWS])
    sent = request.GET.get("sent", "")
    return show(
        request,
        "console/dispatch.html",
        {
            "tabs": [(key, name, _count(viewer, key)) for key, name in tabs.items()],
            "tab": tab,
            "rows": _proposed(cases) if tab == "" else _asked(cases, tab),
            "more": max(_count(viewer, tab) - len(cases), 0),
            "many": MANY,
            "sent": int(sent) if sent.isascii() and sent.isdigit() and len(sent) < 5 else 0,
            "refused": refused,
            "back": f"/console/dispatch?tab={tab}" if tab else "/console/dispatch",
            "moment_now": clock.now(),
        },
    )


def _count(viewer: Viewer, tab: str) -> int:
    rows: QuerySet[Case] = to_dispatch(viewer) if tab == "" else requests(viewer, tab)
    return rows.order_by()[:MANY].count()


def _proposed(cases: list[Case]) -> list[dict[str, Any]]:
    proposals = propose(cases)
    returns = last_returns(cases)
    known = colleagues({p.person_id for p in proposals.values() if p.person_id is not None})
    return [
        {
            **_row(case, names),
            "proposal": proposals[case.pk],
            "person": known.get(proposals[case.pk].person_id or 0),
            "returned": returns.get(case.pk),
            # Sending it where it has just come back from is hardly what is meant: that is decided one by one.
            "again": (unit := proposals[case.pk].unit) is not None and case.returns and unit.id == case.unit_id,
        }
        for names in [names_of([c.region_code for c in cases])]
        for case in cases
    ]


def _asked(cases: list[Case], tab: str) -> list[dict[str, Any]]:
    asked = reasons_of(cases, tab) if tab in REQUESTS else {}
    people = {int(r.actor[7:]) for r in asked.values() if r.actor.startswith("person:")}
    known = colleagues(people) if people else {}
    names = names_of([c.region_code for c in cases])
    rows = []
    for case in cases:
        request = asked.get(case.pk)
        who = known.get(int(request.actor[7:])) if request and request.actor.startswith("person:") else None
        rows.append({**_row(case, names), "request": request, "who": who})
    return rows


def _row(case: Case, names: dict[str, str]) -> dict[str, Any]:
    case_type = standard_queries.release(case.pack_release_id).case_type(case.case_type)
    return {"case": case, "type": case_type.name, "region": names.get(case.region_code, "")}
