"""Lists of cases: what one is narrowed to, how it is sorted, found by words, paged, counted and written out.

A list is one `CaseFilter`, read from a query string and written back to it, so that every list is an address. Whatever
it asks for, it goes through the viewer's scopes (`queries.scopes_of`); see decisions 0091 and 0092.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from urllib.parse import parse_qsl, urlencode
from zoneinfo import ZoneInfo

from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db import connection
from django.db.models import BooleanField, Count, IntegerField, Q, QuerySet, Value
from django.db.models.expressions import RawSQL

from gridloop.cases.models import Case, SavedView
from gridloop.cases.queries import cases_for, scopes_of
from gridloop.cases.rules import lexemes_asked
from gridloop.cases.workflow import OPEN, STAGE_NAMES, STAGES, STATES
from gridloop.kernel.errors import Mistake, Mistakes
from gridloop.kernel.language import Sentence
from gridloop.kernel.paging import Slice, slice_of
from gridloop.people.queries import units_by_code
from gridloop.people.viewer import Viewer
from gridloop.standard import queries as standard_queries

MOST_COUNTED = 10_000
"""How far a list of cases on their way is counted; beyond it a count says "10,000+" and costs no more."""
MOST_ENDED = 1_000
"""How far a list is counted that reaches into what has ended, or is found by words."""
MOST_OPEN = 30_000
"""How many open cases are looked at to count them by stage."""
MOST_VALUES = 40
"""Values of one field of a filter."""
LIMIT = 50

CLOCKS: dict[str, Sentence] = {
    "green": Sentence(zh="时限充足", en="in time"),
    "yellow": Sentence(zh="时限过八成", en="80 % used"),
    "red": Sentence(zh="超期", en="overdue"),
    "paused": Sentence(zh="暂停计时", en="clock stopped"),
}
"""The colours of a clock that a list can be narrowed to."""
REQUESTS: dict[str, Sentence] = {
    "extend": Sentence(zh="延期申请", en="an extension"),
    "suspend": Sentence(zh="挂账申请", en="a suspension"),
    "appeal": Sentence(zh="申诉", en="an appeal"),
}
"""The requests for which a case can wait."""
HOLDERS: dict[str, Sentence] = {
    "me": Sentence(zh="我", en="me"),
    "nobody": Sentence(zh="无人", en="nobody"),
}
"""Who may be asked for as the holder of a step. No other person is: that would be a list of somebody's work."""


@dataclass(frozen=True, slots=True)
class Sort:
    """An order of a list: its name, the order of `kernel.paging`, and whether it is for cases on their way only."""

    name: Sentence
    order: str
    on_their_way: bool = False


SORTS: dict[str, Sort] = {
    "deadline": Sort(Sentence(zh="按期限", en="by deadline"), "due_at", True),
    "newest": Sort(Sentence(zh="最新在前", en="newest first"), "-opened_at"),
    "oldest": Sort(Sentence(zh="最早在前", en="oldest first"), "opened_at"),
    "callers": Sort(Sentence(zh="反映人数", en="most callers"), "-callers", True),
}
"""Only cases on their way have a deadline, and only they are few enough to be sorted by what has no index."""
_FIELDS = {sort.order.removeprefix("-"): sort.order.removeprefix("-") for sort in SORTS.values()}


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseFilter:
    """What a list of cases is narrowed to. Values of one field are alternatives; fields are joined by "and"."""

    q: str = ""
    """Words, an address or the beginning of a number."""
    state: tuple[str, ...] = ()
    stage: tuple[str, ...] = ()
    open: bool | None = None
    """True: on its way; False: at an end."""
    type: tuple[str, ...] = ()
    """Keys of case types, or of their groups: ``urban:E0110``, ``urban:E01``."""
    region: str = ""
    """A region and everything below it."""
    area: str = ""
    """Where it lies: ``west,south,east,north``, or the corners of a polygon as lon,lat,lon,lat,… (WGS-84 degrees)."""
    unit: tuple[str, ...] = ()
    """Codes of units."""
    person: str = ""
    """Who holds the step: a key of `HOLDERS`."""
    clock: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    since: date | None = None
    """Opened on this day or later, in the district."""
    until: date | None = None
    """Opened on this day or earlier."""
    urgent: bool = False
    supervised: bool = False
    reopened: bool = False

    def query(self, **more: str) -> str:
        """The filter as a query string, always the same for the same filter; `more` comes behind it."""
        said = [(f.name, getattr(self, f.name)) for f in fields(self) if getattr(self, f.name) != f.default]
        pairs = [(name, _written(value)) for name, value in said]
        return urlencode([(name, value) for name, value in (*pairs, *more.items()) if value], safe=",:")

    def without(self, field: str, value: str = "") -> CaseFilter:
        """The filter with one value, or one field, taken out."""
        present = getattr(self, field)
        changed: dict[str, Any] = {field: CaseFilter.__dataclass_fields__[field].default}
        if isinstance(present, tuple) and value:
            changed = {field: tuple(v for v in present if v != value)}
        return replace(self, **changed)

    @property
    def is_empty(self) -> bool:
        return self == CaseFilter()

    @property
    def on_their_way(self) -> bool:
        """Whether only open cases can be in the list."""
        states = bool(self.state) and all(s in OPEN for s in self.state)
        return self.open is True or states or bool(self.stage or self.clock)

    @property
    def usual_sort(self) -> str:
        """The order that this list has unless another one is asked for: what is due first, or what is new."""
        return "deadline" if self.on_their_way and not self.q else "newest"


def _written(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


# --- reading ---------------------------------------------------------------------------------------------------------


def read_filter(query: str | Mapping[str, Any], *, apart: Iterable[str] = ()) -> CaseFilter:
    """The filter that a query string (or its pairs) says. `apart` names parameters that mean something else.

    Raises `Mistakes` that name everything that is wrong in it.
    """
    pairs = parse_qsl(query, max_num_fields=100) if isinstance(query, str) else _pairs(query)
    said: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in apart and value.strip():
            said.setdefault(name, []).append(value.strip())
    wrong: list[Mistake] = []
    found: dict[str, Any] = {}
    for name, values in said.items():
        if name not in _READERS:
            known = ", ".join(_READERS)
            wrong.append(
                _mistake(name, "没有这个筛选项", "there is no such filter", f"可用：{known}", f"there are: {known}")
            )
            continue
        try:
            found[name] = _READERS[name](name, values)
        except Mistakes as told:
            wrong += told.mistakes
    since, until = found.get("since"), found.get("until")
    if since and until and since > until:
        wrong.append(
            _mistake("until", "早于开始日期", "is before the first day", "调换两个日期", "exchange the two days")
        )
    if wrong:
        raise Mistakes(wrong)
    return CaseFilter(**found)


def _pairs(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    lists = query.lists() if hasattr(query, "lists") else [(k, [v]) for k, v in query.items()]
    return [(name, value) for name, values in lists for value in values]


def _mistake(place: str, zh: str, en: str, instead_zh: str, instead_en: str) -> Mistake:
    return Mistake(place, Sentence(zh=zh, en=en), Sentence(zh=instead_zh, en=instead_en))


_Reader = Callable[[str, list[str]], Any]


def _several(known: Callable[[], Iterable[str]] | None = None, form: str = "") -> _Reader:
    def read(name: str, values: list[str]) -> tuple[str, ...]:
        said = tuple(dict.fromkeys(v for value in values for v in value.split(",") if v))
        if len(said) > MOST_VALUES:
            raise Mistakes(
                [_mistake(name, "值太多", "too many values", f"最多{MOST_VALUES}个", f"at most {MOST_VALUES}")]
            )
        all_known = list(known()) if known else []
        wrong = [v for v in said if (all_known and v not in all_known) or (form and not re.fullmatch(form, v))]
        told = ", ".join(all_known[:30]) or form
        if wrong:
            raise Mistakes(
                [
                    _mistake(name, f"没有“{v}”", f"there is no “{v[:60]}”", f"可用：{told}", f"use: {told}")
                    for v in wrong
                ]
            )
        return said

    return read


def _one(known: Iterable[str] = (), form: str = "") -> _Reader:
    several = _several((lambda: known) if known else None, form)

    def read(name: str, values: list[str]) -> str:
        said: tuple[str, ...] = several(name, values)
        if len(said) != 1:
            raise Mistakes([_mistake(name, "只能有一个值", "can have one value", "留下一个", "leave one")])
        return said[0]

    return read


def _yes_or_no(name: str, values: list[str]) -> bool:
    words = {"yes": True, "no": False}
    if values[-1] not in words:
        raise Mistakes([_mistake(name, "不是 yes 或 no", "is neither yes nor no", "写 yes 或 no", "write yes or no")])
    return words[values[-1]]


def _day(name: str, values: list[str]) -> date:
    try:
        found = date.fromisoformat(values[-1])
    except ValueError:
        found = date.min
    if not 1990 <= found.year <= 2200:
        raise Mistakes([_mistake(name, "不是日期", "is not a day", "例如 2026-07-20", "write for example 2026-07-20")])
    return found


def _text(name: str, values: list[str]) -> str:
    said = " ".join(values)[:100]
    if not lexemes_asked(said):
        raise Mistakes(
            [
                _mistake(
                    name,
                    "没有可查找的字词",
                    "has nothing to look for",
                    "输入汉字、字母或数字",
                    "type letters or digits",
                )
            ]
        )
    return said


MOST_CORNERS = 24
"""Corners of an area drawn on the map."""


def _area(name: str, values: list[str]) -> str:
    try:
        at = [round(float(v), 6) for v in values[0].split(",")]
        box = len(at) == 4 and at[0] < at[2] and at[1] < at[3]
        ring = 6 <= len(at) <= 2 * MOST_CORNERS and len(at) % 2 == 0
        if not (box or ring) or not all(abs(x) <= 180 for x in at[::2]) or not all(abs(y) <= 90 for y in at[1::2]):
            raise ValueError
    except ValueError:
        raise Mistakes(
            [
                _mistake(
                    name,
                    "不是地图上的范围",
                    "is no area of the map",
                    f"西,南,东,北，或3到{MOST_CORNERS}个角的经纬度",
                    f"west,south,east,north, or 3 to {MOST_CORNERS} corners as lon,lat,…",
                )
            ]
        ) from None
    return ",".join(f"{v:.6f}".rstrip("0").rstrip(".") for v in at)


def _inside(area: str) -> Q:
    """The cases that lie in an area: within its box, and within the polygon if it is one."""
    at = [float(v) for v in area.split(",")]
    lons, lats = (at[::2], at[1::2])
    box = Q(lon__gte=min(lons), lon__lte=max(lons), lat__gte=min(lats), lat__lte=max(lats))
    if len(at) == 4:
        return box
    ring = ",".join(f"({lon},{lat})" for lon, lat in zip(lons, lats, strict=True))
    within = "point(cases_case.lon, cases_case.lat) <@ %s::polygon"
    return box & Q(RawSQL(within, [f"({ring})"], BooleanField()))  # noqa: S611 - numbers that were read as such


def _type_keys() -> Iterable[str]:
    standard = standard_queries.current()
    keys = [*standard.case_types, *standard.older]
    return [*keys, *dict.fromkeys(group_of(key) for key in keys)]


def group_of(key: str) -> str:
    """The group (大类) of a case type's key: ``urban:E0110`` is in ``urban:E01``."""
    pack, _, code = key.partition(":")
    return f"{pack}:{code[:3]}"


_READERS: dict[str, _Reader] = {
    "q": _text,
    "state": _several(lambda: STATES),
    "stage": _several(lambda: STAGE_NAMES),
    "open": _yes_or_no,
    "type": _several(_type_keys),
    "region": _one(form="[0-9A-Z]{2,19}"),
    "area": _area,
    "unit": _several(form=r"[\w.-]{1,40}"),
    "person": _one(tuple(HOLDERS)),
    "clock": _several(lambda: CLOCKS),
    "asked": _several(lambda: REQUESTS),
    "source": _several(form="[a-z_0-9]{1,24}"),
    "since": _day,
    "until": _day,
    "urgent": _yes_or_no,
    "supervised": _yes_or_no,
    "reopened": _yes_or_no,
}


def read_sort(word: str, wanted: CaseFilter) -> str:
    """The order asked for; the usual one if none is. Raises `Mistakes` for one that this list cannot have."""
    if not word:
        return wanted.usual_sort
    if word not in SORTS:
        known = ", ".join(SORTS)
        raise Mistakes(
            [
                _mistake(
                    "sort",
                    f"没有排序“{word[:20]}”",
                    f"there is no order “{word[:20]}”",
                    f"可用：{known}",
                    f"use: {known}",
                )
            ]
        )
    if SORTS[word].on_their_way and not wanted.on_their_way:
        raise Mistakes(
            [
                _mistake(
                    "sort",
                    "此排序只用于在办案件",
                    "this order is for cases on their way only",
                    "加上 open=yes，或换一种排序",
                    "add open=yes, or choose another order",
                )
            ]
        )
    return word


# --- asking ----------------------------------------------------------------------------------------------------------


def _zone() -> ZoneInfo:
    return ZoneInfo(getattr(settings, "GRIDLOOP_ZONE", "Asia/Shanghai"))


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), _zone()).astimezone(UTC)


def _clock(colour: str, now: datetime) -> Q:
    """As `due_at` and `warn_at` tell it: `warn_at` is taken away once the holder was warned."""
    match colour:
        case "red":
            return Q(due_at__lte=now)
        case "yellow":
            return Q(due_at__gt=now) & (Q(warn_at__isnull=True) | Q(warn_at__lte=now))
        case "green":
            return Q(due_at__gt=now, warn_at__gt=now)
        case _:
            return Q(paused_at__isnull=False)


def _where(wanted: CaseFilter, viewer: Viewer, now: datetime, units: Mapping[str, int]) -> Q:
    where = Q()
    states = wanted.state
    if wanted.stage:
        of_stage = [s for s, stage in STAGES.items() if stage in wanted.stage]
        states = tuple(s for s in of_stage if s in states or not states) or ("none",)
    if len(states) == 1:
        where &= Q(state=states[0])
    elif states:
        where &= Q(state__in=states)
    if wanted.on_their_way:
        where &= Q(closed_at__isnull=True)  # said in the words of the indexes
    if wanted.open is False:
        where &= Q(closed_at__isnull=False)
    if wanted.type:
        standard = standard_queries.current()
        keys = [k for k in (*standard.case_types, *standard.older) if k in wanted.type or group_of(k) in wanted.type]
        where &= Q(case_type__in=keys)
    if wanted.region:
        where &= Q(region_code__startswith=wanted.region)
    if wanted.area:
        where &= _inside(wanted.area)
    if wanted.unit:
        where &= Q(unit_id__in=[units[code] for code in wanted.unit])
    if wanted.person:
        where &= Q(person_id=(viewer.person_id or 0) if wanted.person == "me" else None)
    if wanted.clock:
        colours = Q()
        for colour in wanted.clock:
            colours |= _clock(colour, now)
        where &= colours
    if wanted.asked:
        where &= ~Q(asked="") & Q(asked__in=wanted.asked)
    if wanted.source:
        where &= Q(source__in=wanted.source)
    if wanted.since:
        where &= Q(opened_at__gte=_midnight(wanted.since))
    if wanted.until:
        where &= Q(opened_at__lt=_midnight(wanted.until + timedelta(days=1)))
    if wanted.urgent:
        where &= Q(urgent=True)
    if wanted.supervised:
        where &= Q(supervised=True)
    if wanted.reopened:
        where &= Q(reopened__gt=0)
    if wanted.q:
        rare = _rare(lexemes_asked(wanted.q))
        where &= Q(words__lexemes__hold=lexemes_asked(wanted.q)) if rare is None else Q(pk__in=rare)
    return where


RARE = 2_000
"""Up to so many cases that hold some words are named by their keys."""
SAMPLE, OFTEN = 4_000, 8
"""Words that so many of the newest cases hold so often are frequent: a list from the newest on soon has its page."""


def _rare(lexemes: str) -> list[int] | None:
    """The cases that hold the words, if they are few; None if they are many.

    PostgreSQL takes words of which it knows nothing for frequent, and would look through all cases from the newest on.
    Sorting by an expression that no index has makes it ask the index of words.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM (SELECT lexemes FROM cases_casewords ORDER BY case_id DESC LIMIT %s) AS newest "
            "WHERE lexemes @@ %s::tsquery",
            [SAMPLE, lexemes],
        )
        if cursor.fetchone()[0] >= OFTEN:
            return None
        cursor.execute(
            "SELECT case_id FROM cases_casewords WHERE lexemes @@ %s::tsquery ORDER BY case_id + 0 DESC LIMIT %s",
            [lexemes, RARE + 1],
        )
        found = [key for (key,) in cursor.fetchall()]
    return found if len(found) <= RARE else None


def _units(filters: Iterable[CaseFilter]) -> dict[str, int]:
    """The ids of the units that filters name. Raises `Mistakes` for a code that no unit has."""
    codes = {code for wanted in filters for code in wanted.unit}
    found = units_by_code(codes) if codes else {}
    unknown = sorted(codes - found.keys())
    if unknown:
        raise Mistakes(
            [
                _mistake("unit", f"没有单位“{c}”", f"there is no unit “{c}”", "写单位代码", "write a unit's code")
                for c in unknown
            ]
        )
    return found


def unknown_units(filters: Iterable[CaseFilter]) -> set[str]:
    """The codes that filters name and no unit has."""
    codes = {code for wanted in filters for code in wanted.unit}
    return codes - units_by_code(codes).keys() if codes else set()


def chosen(viewer: Viewer, wanted: CaseFilter, *, now: datetime) -> QuerySet[Case]:
    """All cases of the list, unsorted, as one query: for a narrow list, or to read it through from end to end."""
    return cases_for(viewer).filter(_where(wanted, viewer, now, _units([wanted])))


def _arms(viewer: Viewer, wanted: CaseFilter, now: datetime, units: Mapping[str, int]) -> list[QuerySet[Case]]:
    """The list once for each scope of the viewer; together they are the list, a case may be in several."""
    where = _where(wanted, viewer, now, units)
    scopes = scopes_of(viewer)
    if scopes is None:
        return [Case.objects.filter(where)]
    return [Case.objects.filter(scope).filter(where) for scope in scopes] or [Case.objects.none()]


def arms_of(viewer: Viewer, wanted: CaseFilter, *, now: datetime) -> list[QuerySet[Case]]:
    """The list once for each scope of the viewer, so that each can follow an index of its own."""
    return _arms(viewer, wanted, now, _units([wanted]))


def case_page(
    viewer: Viewer, wanted: CaseFilter, *, sort: str = "", cursor: str = "", limit: int = LIMIT, now: datetime
) -> Slice[Case]:
    """One page of a list with the units of its cases. Raises `Mistakes` for an order, cursor or unit that is wrong."""
    order = SORTS[read_sort(sort, wanted)].order
    arms = [arm.select_related("unit") for arm in _arms(viewer, wanted, now, _units([wanted]))]
    return slice_of(arms, cursor=cursor, limit=limit, sort=order, sorts=_FIELDS)


@dataclass(frozen=True, slots=True)
class Counted:
    """How many there are; `more` if there are more than were counted."""

    n: int
    more: bool = False

    def __str__(self) -> str:
        return f"{self.n:,}+" if self.more else f"{self.n:,}"


def count(viewer: Viewer, wanted: CaseFilter, *, now: datetime) -> Counted:
    """How many cases a list has, counted no further than somebody reads on."""
    most = MOST_COUNTED if wanted.on_their_way and not wanted.q else MOST_ENDED
    return counts(viewer, [wanted], now=now, most=most)[0]


def stage_counts(viewer: Viewer, wanted: CaseFilter, *, now: datetime) -> tuple[dict[str, Counted], Counted]:
    """How many open cases of the list are in each stage, and how many are overdue: one pass over what is open.

    The filter's own stage, states and clocks do not count. Beyond `MOST_OPEN` cases every number says that it is more.
    """
    every = replace(wanted, stage=(), state=(), clock=(), open=True)
    first, *others = [
        arm.order_by().values_list("pk", "state", "due_at")[: MOST_OPEN + 1]
        for arm in _arms(viewer, every, now, _units([every]))
    ]
    sql, params = _sql(first.union(*others) if others else first)
    found: dict[str, int] = dict.fromkeys(STAGE_NAMES, 0)
    late = seen = 0
    if "closed_at" in sql:  # else Django knows that it finds nothing
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT state, count(*), count(*) FILTER (WHERE due_at <= %s) "  # noqa: S608 - Django's own SQL
                f"FROM ({sql}) AS one (id, state, due_at) GROUP BY state",
                [now, *params],
            )
            for state, n, overdue in cursor.fetchall():
                seen, late = seen + n, late + overdue
                if state in STAGES:
                    found[STAGES[state]] += n
    more = seen > MOST_OPEN
    return {stage: Counted(n, more and n > 0) for stage, n in found.items()}, Counted(late, more and late > 0)


def counts(viewer: Viewer, filters: Sequence[CaseFilter], *, now: datetime, most: int = MOST_COUNTED) -> list[Counted]:
    """How many cases each list has, in one statement, none counted further than `most`."""
    units = _units(filters)
    parts: list[str] = []
    params: list[Any] = []
    for wanted in filters:
        sql, given = _sql(_limited(_arms(viewer, wanted, now, units), most + 1))
        parts.append(f"(SELECT count(*) FROM ({sql}) AS one)")  # noqa: S608 - Django's own SQL, values apart
        params += given
    if not parts:
        return []
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {', '.join(parts)}", params)
        row = cursor.fetchone()
    return [Counted(min(n, most), n > most) for n in row]


def _limited(arms: Sequence[QuerySet[Case]], most: int) -> QuerySet[Any]:
    """The ids of a list, none twice and from no arm more than `most`."""
    first, *others = [arm.order_by().values("pk")[:most] for arm in arms]
    return first.union(*others)[:most] if others else first


def _sql(rows: QuerySet[Any]) -> tuple[str, Sequence[Any]]:
    """The SQL of a query and its values; of one that Django knows to find nothing, one that finds nothing."""
    try:
        sql, params = rows.query.get_compiler(connection=connection).as_sql()
    except EmptyResultSet:
        return "SELECT 0, 0::bigint WHERE false", ()
    return sql, params


def foremost(viewer: Viewer, filters: Sequence[CaseFilter], *, now: datetime, each: int = 3) -> list[list[Case]]:
    """The first few cases of each list in its usual order, in two statements."""
    units = _units(filters)
    reads: list[QuerySet[Any]] = []
    for place, wanted in enumerate(filters):
        order = SORTS[wanted.usual_sort].order
        for arm in _arms(viewer, wanted, now, units):
            numbered = arm.annotate(list=Value(place, output_field=IntegerField()))
            reads.append(numbered.order_by(order, "pk").values_list("list", "pk")[:each])
    parts: list[str] = []
    params: list[Any] = []
    for rows in reads:
        sql, given = _sql(rows)
        parts.append(f"({sql})")
        params += given
    if not parts:
        return []
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), params)
        pairs = cursor.fetchall()
    cases = Case.objects.select_related("unit").in_bulk({pk for _, pk in pairs})
    found: list[list[Case]] = []
    for place, wanted in enumerate(filters):
        mine = [cases[pk] for pk in {pk for n, pk in pairs if n == place} if pk in cases]
        field = SORTS[wanted.usual_sort].order
        late = datetime.max.replace(tzinfo=UTC)
        mine.sort(key=lambda c: (getattr(c, field.removeprefix("-")) or late, c.pk), reverse=field.startswith("-"))
        found.append(mine[:each])
    return found


def overdue_by_unit(viewer: Viewer, *, now: datetime, most: int = 10) -> list[tuple[Any, int]]:
    """The units with the most overdue cases, with how many, for those who see the whole district."""
    if scopes_of(viewer) is not None:
        return []
    late = Case.objects.filter(closed_at__isnull=True, due_at__lte=now, unit__isnull=False)
    rows = late.values_list("unit__code", "unit__name", "unit__name_en").annotate(n=Count("id"))
    return [
        ({"code": code, "name": name, "name_en": name_en or name}, n)
        for code, name, name_en, n in rows.order_by("-n", "unit__code")[:most]
    ]


# --- columns and export ----------------------------------------------------------------------------------------------

COLUMNS: dict[str, Sentence] = {
    "number": Sentence(zh="编号", en="Number"),
    "type": Sentence(zh="类型", en="Type"),
    "text": Sentence(zh="诉求", en="What was said"),
    "place": Sentence(zh="地点", en="Place"),
    "unit": Sentence(zh="承办单位", en="Unit"),
    "state": Sentence(zh="状态", en="State"),
    "clock": Sentence(zh="时限", en="Clock"),
    "callers": Sentence(zh="反映人数", en="Callers"),
    "age": Sentence(zh="建案", en="Opened"),
    "source": Sentence(zh="来源", en="Source"),
    "region": Sentence(zh="区域", en="Region"),
    "marks": Sentence(zh="标记", en="Marks"),
}
"""What a work list can show of a case; the number always."""
USUAL_COLUMNS = ("number", "type", "place", "unit", "state", "clock", "callers", "age")

EXPORTED = (
    "number", "state", "case_type", "catalog_version", "urgent", "source", "region_code", "address", "lon", "lat",
    "callers", "unit", "reported_at", "opened_at", "filed_at", "dispatched_at", "handled_at", "closed_at",
    "handle_due_at", "extensions", "suspensions", "returns", "reworks", "reopened",
)  # fmt: skip
"""What an export holds of a case. What a citizen wrote comes only when asked for; who it was is never here."""


def exported(cases: QuerySet[Case], columns: Sequence[str]) -> Iterator[list[Any]]:
    """The rows of an export, read through as a stream: times on the district's clock, units by their code."""
    zone = _zone()
    for case in cases.select_related("unit").order_by("id").iterator(chunk_size=2_000):
        yield [_cell(case, column, zone) for column in columns]


def _cell(case: Case, column: str, zone: ZoneInfo) -> Any:
    if column == "unit":
        return case.unit.code if case.unit else ""
    value = getattr(case, column)
    if isinstance(value, datetime):
        return value.astimezone(zone).isoformat(timespec="seconds")
    return value


# --- saved lists -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Overview:
    """A list that comes with a post: what it does first."""

    name: Sentence
    query: str
    icon: str = "list"


def _list(zh: str, en: str, query: str, icon: str) -> Overview:
    return Overview(Sentence(zh=zh, en=en), query, icon)


_OVERDUE = _list("超期", "Overdue", "clock=red", "circle-alert")
_NEAR = _list("时限过八成", "Near their deadline", "clock=yellow", "alarm-clock")
_REWORK = _list("返工", "Rework", "state=rework", "rotate-ccw")
_MINE = _list("我手上的", "In my hands", "open=yes&person=me", "user-check")
_SIGN = _list("待签收", "To sign for", "state=dispatched", "send")
_URGENT = _list("紧急", "Urgent", "open=yes&urgent=yes", "flame")
_SUPERVISED = _list("督办", "Supervised", "open=yes&supervised=yes", "flag")
_REOPENED = _list("重办", "Reopened", "open=yes&reopened=yes", "history")
_REPORTED = _list("待受理", "To accept", "state=reported", "inbox")
_VERIFY = _list("待核实", "To verify", "state=pending_verify", "eye")
_CHECK = _list("待核查", "To check", "state=handled", "camera")

OVERVIEWS: dict[str, tuple[Overview, ...]] = {
    "intake_officer": (_REPORTED, _VERIFY, _URGENT, _OVERDUE),
    "shift_lead": (
        _list("待立案", "To file", "state=pending_filing", "file-text"),
        _list("待结案", "To close", "state=pending_close", "check"),
        _list("待复核的申诉", "Appeals to review", "asked=appeal", "message-square-reply"),
        _URGENT,
        _OVERDUE,
    ),
    "dispatcher": (
        _list("待派遣", "To dispatch", "state=pending_dispatch", "split"),
        _list("退单", "Returned", "state=returned", "undo-2"),
        _list("待批申请", "Requests that wait", "open=yes&asked=extend,suspend", "hand"),
        _OVERDUE,
        _list("挂账", "Suspended", "state=suspended", "circle-pause"),
    ),
    "subdistrict_operator": (_REPORTED, _SIGN, _NEAR, _OVERDUE, _REWORK),
    "grid_leader": (_VERIFY, _MINE, _CHECK, _NEAR, _OVERDUE),
    "grid_worker": (_MINE, _VERIFY, _CHECK, _list("我的网格在办", "Open in my grid", "open=yes", "map-pin")),
    "department_handler": (
        _SIGN,
        _NEAR,
        _REWORK,
        _OVERDUE,
        _list("处置中", "In hand", "state=handling", "wrench"),
    ),
    "inspector": (_CHECK, _REOPENED, _SUPERVISED, _OVERDUE),
    "district_leader": (_OVERDUE, _SUPERVISED, _REOPENED, _URGENT),
}
"""The lists with which each post's home page begins."""


def overviews_of(viewer: Viewer) -> list[Overview]:
    """The lists of all posts of the viewer, none twice."""
    return list(dict.fromkeys(o for role in sorted(viewer.roles()) for o in OVERVIEWS.get(role, ())))


def saved_views(viewer: Viewer) -> list[SavedView]:
    """The lists that this person keeps, in their order; nobody sees another's."""
    if viewer.person_id is None:
        return []
    return list(
        SavedView.objects.filter(person_id=viewer.person_id, removed_at=None)
        .exclude(name="")
        .order_by("position", "id")
    )


def columns_of(viewer: Viewer) -> list[str]:
    """The columns that this person wants a list to have."""
    kept = SavedView.objects.filter(person_id=viewer.person_id or 0, name="", removed_at=None)
    columns = kept.values_list("columns", flat=True).first() or USUAL_COLUMNS
    return [c for c in COLUMNS if c in columns or c == "number"]
