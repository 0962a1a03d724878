"""The work list: any list of cases as an address, narrowed, sorted, with chosen columns, and moved many at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_GET, require_POST

from gridloop.cases import search
from gridloop.cases.actions import choose_columns
from gridloop.cases.models import Case, SavedView
from gridloop.cases.search import CaseFilter
from gridloop.cases.workflow import OPEN, STAGE_NAMES, STATES
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes
from gridloop.kernel.language import Sentence
from gridloop.people.queries import units_for
from gridloop.people.viewer import Viewer
from gridloop.standard import queries as standard_queries
from gridloop.territory.queries import active, names_of, today
from gridloop.web.console.case import CHANNELS
from gridloop.web.shell import tags
from gridloop.web.shell.pages import is_fragment, show, staff

APART = ("sort", "cursor", "view", "csrfmiddlewaretoken")
"""Parameters of a list's address that narrow nothing."""
FIELD_NAMES: dict[str, Sentence] = {
    "q": Sentence(zh="查找", en="Search"),
    "state": Sentence(zh="状态", en="State"),
    "stage": Sentence(zh="环节", en="Stage"),
    "open": Sentence(zh="范围", en="Scope"),
    "type": Sentence(zh="类型", en="Type"),
    "region": Sentence(zh="区域", en="Region"),
    "area": Sentence(zh="地点", en="Place"),
    "unit": Sentence(zh="单位", en="Unit"),
    "person": Sentence(zh="经办人", en="Holder"),
    "clock": Sentence(zh="时限", en="Clock"),
    "asked": Sentence(zh="等待批复", en="Waits for"),
    "source": Sentence(zh="来源", en="Source"),
    "since": Sentence(zh="建案不早于", en="Opened from"),
    "until": Sentence(zh="建案不晚于", en="Opened until"),
    "urgent": Sentence(zh="紧急", en="Urgent"),
    "supervised": Sentence(zh="督办", en="Supervised"),
    "reopened": Sentence(zh="重办", en="Reopened"),
}
SCOPES = {"yes": Sentence(zh="在办", en="on their way"), "no": Sentence(zh="已办结", en="ended")}
MARKS = ("urgent", "supervised", "reopened")


@dataclass(frozen=True, slots=True)
class Chip:
    """One thing that the list is narrowed to, and the address of the list without it."""

    name: Sentence
    value: Any
    data: bool
    without: str


@dataclass(frozen=True, slots=True)
class Line:
    """A row of the list: the case with the names that its columns need."""

    case: Case
    type: Sentence | None
    region: str
    source: Sentence | None

    @property
    def place(self) -> str:
        return self.case.address or self.region

    @property
    def kind(self) -> SafeString:
        """The type's name; the bare key, as data, where no pack here knows it."""
        return conditional_escape(str(self.type)) if self.type else _data(self.case.case_type)


@dataclass(frozen=True, slots=True)
class Heading:
    """A column's heading: where it leads to sort by it, and how it is sorted now (``ascending``, ``descending``)."""

    key: str
    name: Sentence
    address: str
    sorted: str


@require_GET
@staff
def cases(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """A list of cases: the page, or the part of it that htmx asks for by the name of its target."""
    now = clock.now()
    target = request.headers.get("HX-Target", "") if is_fragment(request) else ""
    wanted, sort, view = asked(request.GET, viewer, by_form=bool(target))
    cursor = request.GET.get("cursor", "")
    columns = list(view.columns) if view is not None and view.columns else search.columns_of(viewer)
    cut = search.case_page(viewer, wanted, sort=sort, cursor=cursor, now=now)
    here: dict[str, Any] = {
        "wanted": wanted,
        "sort": sort,
        "view": view,
        "columns": columns,
        "rows": [(line.case, cells(line, columns, now)) for line in lines(cut.items)],
        "next": address(wanted, sort, cursor=cut.next, view=view) if cut.next else "",
        "here": address(wanted, sort, view=view),
        "now": now,
    }
    if target == "more":
        return show(request, "console/list_rows.html", here)
    # A search by words counts no stages: its index would be read through once more.
    by_stage, late = ({}, None) if wanted.q else search.stage_counts(viewer, wanted, now=now)
    plain = replace(wanted, stage=(), state=(), clock=(), open=None)
    here |= {
        "total": search.count(viewer, wanted, now=now),
        "headings": headings(wanted, sort, columns, view),
        "chips": chips(wanted, sort, viewer),
        "late": late,
        "late_address": address(replace(plain, clock=("red",))),
        "stages": [
            (name, by_stage.get(key), address(replace(plain, stage=(key,))), wanted.stage == (key,))
            for key, name in STAGE_NAMES.items()
        ],
        "all_open": address(replace(plain, open=True)),
        "every": address(plain),
        "sorts": [
            (key, each.name) for key, each in search.SORTS.items() if wanted.on_their_way or not each.on_their_way
        ],
        "all_columns": search.COLUMNS,
        "may_export": viewer.may("export"),
        "query": wanted.query(),
    }
    if target == "list":
        response = show(request, "console/list_part.html", here)
        response["HX-Push-Url"] = here["here"]
        return response
    here |= controls(wanted)
    if target == "work":
        response = show(request, "console/list_work.html", here)
        response["HX-Push-Url"] = here["here"]
        return response
    return show(request, "console/list.html", here)


def asked(query: QueryDict, viewer: Viewer, *, by_form: bool = False) -> tuple[CaseFilter, str, SavedView | None]:
    """The filter, the order and the saved list that an address names. Raises `Mistakes`.

    A form still says the order that the list had before it was widened: it gets the usual one where that cannot be.
    """
    wanted = search.read_filter(query, apart=APART)
    key = query.get("view", "")
    view = next((v for v in search.saved_views(viewer) if str(v.pk) == key), None) if key else None
    sort = query.get("sort", "") or (view.sort if view is not None else "")
    if by_form and sort in search.SORTS and search.SORTS[sort].on_their_way and not wanted.on_their_way:
        sort = ""
    return wanted, search.read_sort(sort, wanted), view


def address(wanted: CaseFilter, sort: str = "", *, cursor: str | None = "", view: SavedView | None = None) -> str:
    """The address of a list. What is usual is not said; an order that the list cannot have is left out."""
    more = {}
    if sort and sort != wanted.usual_sort and (wanted.on_their_way or not search.SORTS[sort].on_their_way):
        more["sort"] = sort
    if view is not None:
        more["view"] = str(view.pk)
    if cursor:
        more["cursor"] = cursor
    query = wanted.query(**more)
    return f"/console/cases?{query}" if query else "/console/cases"


def lines(cases: Sequence[Case]) -> list[Line]:
    """The rows with the names of types, sources and regions; one query."""
    regions = names_of({c.region_code for c in cases if c.region_code})  # type: ignore[arg-type]
    return [
        Line(case, type_name(case.case_type), regions.get(case.region_code, ""), CHANNELS.get(case.source))
        for case in cases
    ]


def type_name(key: str) -> Sentence | None:
    """What a case type is called, of whichever catalogue; None if no pack here knows it."""
    standard = standard_queries.current()
    found = standard.case_types.get(key) or standard.older.get(key)
    return found.name if found else None


# --- cells -----------------------------------------------------------------------------------------------------------
# A page has some hundreds of them: they are put together here, not by a template.

_URGENT = Sentence(zh="紧急", en="urgent")
_SUPERVISED = Sentence(zh="督办", en="supervised")
_REOPENED = Sentence(zh="重办", en="reopened")
_ASKS = {
    "extend": Sentence(zh="申请延期", en="asks for time"),
    "suspend": Sentence(zh="申请挂账", en="asks to pause"),
    "appeal": Sentence(zh="申诉", en="appeal"),
}


def _data(text: str) -> SafeString:
    return format_html('<span class="data" lang="zh">{}</span>', text)


def _pill(group: str, sign: str, words: Sentence) -> SafeString:
    return format_html(' <span class="pill {}">{}{}</span>', group, tags.icon(sign), words)


def _number(line: Line, now: datetime) -> SafeString:
    number = line.case.number
    urgent = (
        format_html(' <span class="mark red">{}</span>', tags.icon("flame", str(_URGENT))) if line.case.urgent else ""
    )
    return format_html('<a href="/console/cases/{}">{}</a>{}', number, number, urgent)


def _state(line: Line, now: datetime) -> SafeString:
    asks = _pill("wait", "hand", _ASKS[line.case.asked]) if line.case.asked in _ASKS else ""
    return format_html("{}{}", tags.state(line.case), asks)


def _marks(line: Line, now: datetime) -> SafeString:
    supervised = _pill("halt", "flag", _SUPERVISED) if line.case.supervised else ""
    return format_html("{}{}", supervised, _pill("halt", "history", _REOPENED) if line.case.reopened else "")


_CELLS: dict[str, Callable[[Line, datetime], Any]] = {
    "number": _number,
    "type": lambda line, now: line.kind,
    "text": lambda line, now: _data(line.case.text[:60]),
    "place": lambda line, now: _data(line.place),
    "unit": lambda line, now: _data(line.case.unit.name) if line.case.unit else "—",
    "state": _state,
    "clock": lambda line, now: tags.due(line.case, now),
    "callers": lambda line, now: line.case.callers,
    "age": lambda line, now: tags.ago(line.case.opened_at),
    "source": lambda line, now: line.source or _data(line.case.source),
    "region": lambda line, now: _data(line.region),
    "marks": _marks,
}
_SPEAKING = frozenset({"number", "type", "text", "place", "state", "clock", "marks"})
"""Cells that need no name beside them where a row is shown as a card."""


def cells(line: Line, columns: Sequence[str], now: datetime) -> SafeString:
    """The cells of a row, in the order of the columns."""
    found = [
        format_html(
            '<td class="c-{}"{}>{}</td>',
            key,
            "" if key in _SPEAKING else format_html(' data-label="{}"', search.COLUMNS[key]),
            _CELLS[key](line, now),
        )
        for key in columns
    ]
    return mark_safe("".join(found))  # noqa: S308 - each cell was escaped when it was made


# --- headings and chips ----------------------------------------------------------------------------------------------

_SORTED_BY = {
    "number": ("newest", "oldest"),
    "age": ("newest", "oldest"),
    "clock": ("deadline",),
    "callers": ("callers",),
}
"""The orders that a click on a heading goes through."""


def headings(wanted: CaseFilter, sort: str, columns: Sequence[str], view: SavedView | None) -> list[Heading]:
    """The headings of the columns, with where a click leads."""
    found = []
    for key in columns:
        orders = [o for o in _SORTED_BY.get(key, ()) if wanted.on_their_way or not search.SORTS[o].on_their_way]
        following = next((o for o in orders if o != sort), "") if orders else ""
        if sort in orders and len(orders) == 1:
            following = "newest"
        how = ("descending" if search.SORTS[sort].order.startswith("-") else "ascending") if sort in orders else ""
        # Said always, even where it is the usual one: a click means it.
        where = address(wanted, following, view=view) if following else ""
        found.append(Heading(key, search.COLUMNS[key], where, how))
    return found


def chips(wanted: CaseFilter, sort: str, viewer: Viewer) -> list[Chip]:
    """What the list is narrowed to, one by one, in words."""
    units = {}
    if wanted.unit:
        units = {u.code: u for u in units_for(viewer).filter(code__in=wanted.unit)}
    region = names_of([wanted.region]) if wanted.region else {}
    found = []
    for field in fields(CaseFilter):
        value = getattr(wanted, field.name)
        if value == field.default or field.name == "open":
            continue  # the scope is told by the row of stages
        for each in value if isinstance(value, tuple) else (value,):
            words, data = _words(field.name, each, units, region)
            rest = address(wanted.without(field.name, each if isinstance(value, tuple) else ""), sort)
            found.append(Chip(FIELD_NAMES[field.name], words, data, rest))
    return found


def _words(field: str, value: Any, units: Mapping[str, Any], regions: Mapping[str, str]) -> tuple[Any, bool]:
    """A value as people read it, and whether it is data rather than words of ours."""
    match field:
        case "state":
            return STATES[value], False
        case "stage":
            return STAGE_NAMES[value], False
        case "open":
            return SCOPES["yes" if value else "no"], False
        case "clock":
            return search.CLOCKS[value], False
        case "asked":
            return search.REQUESTS[value], False
        case "person":
            return search.HOLDERS[value], False
        case "type":
            return group_name(value) or type_name(value) or value, False
        case "source":
            return (CHANNELS[value], False) if value in CHANNELS else (value, True)
        case "unit":
            return (units[value].name, True) if value in units else (value, True)
        case "region":
            return regions.get(value, value), True
        case "area":
            return Sentence(zh="地图上框选的范围", en="the area drawn on the map"), False
        case "urgent" | "supervised" | "reopened":
            return Sentence(zh="是", en="yes"), False
        case _:
            return str(value), True


def group_name(key: str) -> Sentence | None:
    """What a group of case types is called."""
    for kind in standard_queries.current().case_types.values():
        if search.group_of(kind.key) == key:
            return kind.major_name
    return None


def controls(wanted: CaseFilter) -> dict[str, Any]:
    """What the filter form offers."""
    groups: dict[str, Sentence] = {}
    for kind in standard_queries.current().case_types.values():
        groups.setdefault(search.group_of(kind.key), kind.major_name)
    streets = list(active().filter(level="street").order_by("code").values_list("code", "name"))
    if wanted.region and wanted.region not in dict(streets):
        streets.append((wanted.region, names_of([wanted.region]).get(wanted.region, wanted.region)))
    return {
        "form_states": [(key, STATES[key]) for key in OPEN],
        "form_groups": sorted(groups.items()),
        "form_other_types": [t for t in wanted.type if t not in groups],
        "form_streets": streets,
        "form_clocks": search.CLOCKS,
        "form_requests": search.REQUESTS,
        "form_sources": CHANNELS,
        "form_marks": [(key, FIELD_NAMES[key], getattr(wanted, key)) for key in MARKS],
        "form_today": today(),
    }


@require_POST
@staff
def columns(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Keep which columns one's lists have."""
    choose_columns(columns=request.POST.getlist("column"), viewer=viewer)
    if is_fragment(request):
        response = HttpResponse(status=204)
        response["HX-Trigger"] = "list-changed"
        return response
    return HttpResponseRedirect(back_to_list(request.POST.get("query", "")))


def back_to_list(query: str) -> str:
    """The address of the list that a form stood on; the plain list if it says something else."""
    try:
        return address(search.read_filter(query))
    except Mistakes:
        return "/console/cases"
