"""What can be seen of reports, and the classifier and gazetteer that triage uses."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import cos, hypot, radians
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any

from django.conf import settings
from django.db import connection
from django.db.models import Q, QuerySet

from gridloop.cases.models import Case
from gridloop.cases.queries import cases_for, open_near
from gridloop.cases.workflow import STATES
from gridloop.discover.models import Report
from gridloop.discover.rules.classify import Classifier
from gridloop.discover.rules.duplicates import similar
from gridloop.discover.rules.place import METRES, Entry, Gazetteer
from gridloop.kernel.errors import not_found
from gridloop.kernel.language import Sentence
from gridloop.kernel.models import Event
from gridloop.kernel.sealing import Finding
from gridloop.people.roles import ROLES
from gridloop.people.viewer import Viewer
from gridloop.standard import queries as standard_queries
from gridloop.standard.rules.standard import CaseType, Standard
from gridloop.territory import queries as territory
from gridloop.territory.rules.places import read_places


def model_path() -> Path:
    """Where `discover train` leaves the district's trained model."""
    return Path(settings.GRIDLOOP_DATA) / "models" / "classifier.npz"


@dataclass(slots=True)
class _Held:
    standard: Standard | None = None
    stamp: float = -1.0
    classifier: Classifier | None = None
    gazetteer_of: tuple[object, ...] = ()
    gazetteer: Gazetteer | None = None


_held = _Held()


def classifier() -> Classifier:
    """The classifier of this process: the catalogue's words, and what was learnt here. Renewed when either changes."""
    standard = standard_queries.current()
    path = model_path()
    stamp = path.stat().st_mtime if path.exists() else 0.0
    if _held.classifier is None or _held.standard is not standard or _held.stamp != stamp:
        kinds = list(standard.case_types.values())
        learnt = Classifier.load(path) if stamp else None
        _held.classifier = learnt.with_cold(kinds) if learnt else Classifier.cold(kinds)
        _held.standard, _held.stamp = standard, stamp
    return _held.classifier


def gazetteer() -> Gazetteer:
    """The district's names of places, of this process. Renewed when the district, its list or the map changes."""
    path = Path(settings.GRIDLOOP_DISTRICTS) / standard_queries.current().district / "gazetteer.csv"
    stamp = path.stat().st_mtime if path.exists() else 0.0
    wanted = (path, stamp, territory.edition(), territory.today())
    if _held.gazetteer is None or _held.gazetteer_of != wanted:
        _held.gazetteer = Gazetteer(_entries(path) if stamp else [])
        _held.gazetteer_of = wanted
    return _held.gazetteer


def _entries(path: Path) -> list[Entry]:
    places = read_places(path)
    codes = territory.locate([p.lon for p in places], [p.lat for p in places])
    return [
        Entry(name=p.name, aliases=p.aliases, kind=p.kind, lon=p.lon, lat=p.lat, region_code=str(code))
        for p, code in zip(places, codes, strict=True)
    ]


def triage_list(viewer: Viewer) -> QuerySet[Report]:
    """The reports that wait for a person, oldest first. Who sees a part of the district gets what was guessed there.

    A report without a place is for those who see all of it.
    """
    if not viewer.may("triage"):
        return Report.objects.none()
    waiting = Report.objects.filter(state=Report.State.TRIAGE).order_by("id")
    if viewer.kind == "system" or any(ROLES[g.role].sees == "all" for g in viewer.grants):
        return waiting
    near = Q(pk__in=[])
    for grant in viewer.grants:
        if ROLES[grant.role].sees == "region" and grant.region_code and "triage" in ROLES[grant.role].may:
            near |= Q(guess__region__startswith=grant.region_code)
    return waiting.filter(near)


# --- while somebody speaks -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class GuessedType:
    """A type that a text may be about, how sure the classifier is of it (0 to 1), and the words that decided."""

    case_type: CaseType
    confidence: float
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GuessedPlace:
    """A place that is meant, or may be."""

    name: str
    lon: float | None
    lat: float | None
    region_code: str
    region: str
    """The region's name."""
    sure: bool
    detail: str = ""
    """Building, unit, floor or room as it was said."""


@dataclass(frozen=True, slots=True)
class NearCase:
    """An open case near by that may be the same problem."""

    case: Case
    case_type: CaseType
    metres: float
    likeness: float
    """Of the two texts, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What the machine thinks of a text that somebody is still writing, or that waits on the triage list."""

    types: tuple[GuessedType, ...]
    places: tuple[GuessedPlace, ...]
    near: tuple[NearCase, ...]
    lon: float | None = None
    lat: float | None = None
    """Where it looked for near cases: the place that was given, else the first place of which it is sure."""


NEAR_METRES = 200.0
NEAR_DAYS = 60
NEAR_TYPES = 4
FEW = 5
"""Of each kind of suggestion: more are not read while somebody speaks."""


def suggest(
    text: str,
    *,
    viewer: Viewer,
    at: datetime,
    address: str = "",
    case_type: str = "",
    lon: float | None = None,
    lat: float | None = None,
) -> Suggestion:
    """Types, places and near open cases for a text, best first. `case_type`, `lon`, `lat`: what is settled already.

    Changes nothing. Two queries where there is a place, none where there is none; some 5 ms of computing.
    """
    standard = standard_queries.current()
    types = tuple(_types(text, standard)) if text.strip() else ()
    places = tuple(_places(text, address, lon, lat))
    if lon is None or lat is None:
        lon, lat = next(((p.lon, p.lat) for p in places if p.lon is not None), (None, None))
    near: tuple[NearCase, ...] = ()
    if lon is not None and lat is not None:
        asked = [case_type] if case_type in standard.case_types else [t.case_type.key for t in types[:NEAR_TYPES]]
        near = tuple(_near(text, asked, lon, lat, viewer, at))
    return Suggestion(types, places, near, lon, lat)


def _types(text: str, standard: Standard) -> Iterator[GuessedType]:
    guess = classifier().guess([text])[0]
    for n, (key, confidence) in enumerate([(guess.case_type, guess.confidence), *guess.runners_up][:FEW]):
        case_type = standard.case_types.get(key)
        if case_type is not None:
            yield GuessedType(case_type, confidence, guess.why if n == 0 else ())


def _places(text: str, address: str, lon: float | None, lat: float | None) -> Iterator[GuessedPlace]:
    if lon is not None and lat is not None:
        code = str(territory.locate([lon], [lat])[0])
        yield GuessedPlace(address, lon, lat, code, _name_of(code), bool(code))
        return
    held = gazetteer()
    found = held.find([f"{address}，{text}" if address else text])[0]
    if found is not None:
        yield GuessedPlace(
            found.name, found.lon, found.lat, found.region_code, _name_of(found.region_code), found.sure, found.detail
        )
    words = address or (found.name if found is not None and not found.sure else "")
    if words:
        yield from find_places(words, unless=found.name if found is not None and found.lon is not None else "")


def find_places(words: str, *, unless: str = "") -> list[GuessedPlace]:
    """The places of the gazetteer whose names contain the words: what an address search lists."""
    entries = [e for e in gazetteer().search(words) if e.name != unless][:FEW]
    names = territory.names_of([e.region_code for e in entries])
    return [GuessedPlace(e.name, e.lon, e.lat, e.region_code, names.get(e.region_code, ""), sure=True) for e in entries]


def _name_of(code: str) -> str:
    return territory.names_of([code]).get(code, "") if code else ""


def _near(text: str, types: Sequence[str], lon: float, lat: float, viewer: Viewer, at: datetime) -> list[NearCase]:
    found = open_near([(key, lon, lat, NEAR_METRES) for key in types if key], since=at - timedelta(days=NEAR_DAYS))
    if not found:
        return []
    seen = set(cases_for(viewer).filter(id__in=[c.pk for c in found]).values_list("id", flat=True))
    near = []
    for case in found:
        if case.pk not in seen or case.lon is None or case.lat is None:
            continue
        metres = hypot((case.lon - lon) * cos(radians(lat)), case.lat - lat) * METRES
        if metres <= NEAR_METRES:
            kind = standard_queries.release(case.pack_release_id).case_type(case.case_type)
            near.append(NearCase(case, kind, metres, similar(text, case.text)))
    near.sort(key=lambda n: (-round(n.likeness, 1), n.metres, n.case.pk))
    return near[:FEW]


def suggestion_of(report: Report, *, viewer: Viewer, at: datetime) -> Suggestion:
    """What the machine thinks now of a report on the triage list."""
    text = f"{report.title}。{report.text}" if report.title else report.text
    return suggest(text, viewer=viewer, at=at, address=report.address, lon=report.lon, lat=report.lat)


def report_called(number: str, *, viewer: Viewer) -> Report:
    """The report with this number, for whoever takes reports on (`accept`). Raises `Refused` (404)."""
    report = Report.objects.filter(number=number).first() if viewer.may("accept") else None
    if report is None:
        raise not_found()
    return report


def report_by_secret(number: str, secret: str) -> Report | None:
    """The report of whoever holds its number and its secret; None alike for a wrong number and a wrong secret."""
    report = Report.objects.filter(number=number).first()
    wanted = hashlib.sha256(secret.encode()).hexdigest()
    kept = report.secret if report is not None else "0" * 64
    return report if hmac.compare_digest(kept, wanted) else None


def report_by_key(client: str, key: str) -> Report | None:
    """A sender's own report, by the key that the sender gave it."""
    return Report.objects.filter(client=client, key=key).first()


def reconciliation() -> dict[str, Any]:
    """The equation that must always hold: accepted = waiting + triage + in cases + joined + refused.

    Each side is counted by itself: what was accepted from the record of events, where each report is from the reports,
    and what is in cases from the cases that exist. `holds` is false if a report was lost, doubled or points nowhere.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT (SELECT count(*) FROM kernel_event WHERE name = 'ReportReceived'),
                   count(*) FILTER (WHERE r.state = 'waiting'),
                   count(*) FILTER (WHERE r.state = 'triage'),
                   count(*) FILTER (WHERE r.state = 'opened' AND c.id IS NOT NULL),
                   count(*) FILTER (WHERE r.state = 'joined' AND c.id IS NOT NULL),
                   count(*) FILTER (WHERE r.state = 'refused')
            FROM discover_report r LEFT JOIN cases_case c ON c.id = r.case_id
            """
        )
        accepted, waiting, triage, opened, joined, refused = cursor.fetchone()
    found = {"waiting": waiting, "triage": triage, "in_cases": opened, "joined": joined, "refused": refused}
    return {"accepted": accepted, **found, "holds": accepted == sum(found.values())}


SHARE = 100
"""The books are counted again when so many times the time has gone by that counting took."""
QUICK = 0.05
"""Seconds of counting that need no saving."""
_books: tuple[float, float, dict[str, Any]] = (-1.0, -1.0, {})
"""When they were counted, until when that is recent, and what was found."""
_counting = Lock()


def recent_reconciliation() -> dict[str, Any]:
    """`reconciliation` for who asks often: with millions of reports, as it stood some minutes ago in this process.

    So a monitor never costs more than a hundredth of the database's time, however large the tables are.
    """
    global _books
    asked = monotonic()
    with _counting:
        counted_at, recent_until, books = _books
        if books and (counted_at > asked or asked < recent_until):
            return books
        began = monotonic()
        books = reconciliation()
        took = monotonic() - began
        _books = (began, began + (SHARE * took if took > QUICK else 0.0), books)
        return books


def status_of(report: Report) -> dict[str, Any]:
    """What the reporter is told about a report: never who handles it."""
    case = Case.objects.filter(id=report.case_id).first() if report.case_id else None
    return {
        "number": report.number,
        "state": report.state,
        "received_at": report.received_at,
        "case_number": case.number if case else None,
        "case_state": case.state if case else None,
        "case_state_name": STATES[case.state].both() if case else None,
        "closed_at": case.closed_at if case else None,
    }


def reports_of(case: Case) -> list[Report]:
    """The reports that opened or joined a case, oldest first. The caller has made sure that the viewer sees it."""
    return list(Report.objects.filter(case_id=case.pk).order_by("id"))


def words_of(report: Report) -> str:
    """The digest that stands in the record for what a report says."""
    return hashlib.sha256("\0".join((report.title, report.text, report.address)).encode()).hexdigest()


def unlike_their_record(*, chunk: int = 5_000) -> Iterator[Finding]:
    """Reports whose words, channel or existence is not what was recorded when they came in. Memory stays flat."""
    last = 0
    while True:
        told = list(Event.objects.filter(name="ReportReceived", id__gt=last).order_by("id")[:chunk])
        if not told:
            break
        last = told[-1].id
        rows = Report.objects.in_bulk([int(event.subject.removeprefix("report:")) for event in told])
        for event in told:
            report = rows.get(int(event.subject.removeprefix("report:")))
            if report is None:
                sentence = Sentence(
                    zh=f"{event.subject}有记录却没有了：有人绕过系统删除。",
                    en=f"{event.subject} has a record but is gone: it was removed past the application.",
                )
                yield Finding("report_removed", (event.id,), sentence)
            elif (words_of(report), report.channel) != (event.data["words"], event.data["channel"]):
                sentence = Sentence(
                    zh=f"上报{report.number}的内容与记录不符：有人绕过系统改动。",
                    en=f"What report {report.number} says is not what came in: it was changed past the application.",
                )
                yield Finding("report_changed", (event.id,), sentence)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT number FROM discover_report r WHERE NOT EXISTS (SELECT FROM kernel_event e "
            "WHERE e.subject = 'report:' || r.id AND e.name = 'ReportReceived') ORDER BY id LIMIT 1000"
        )
        for (number,) in cursor.fetchall():
            sentence = Sentence(
                zh=f"上报{number}没有接收记录：有人绕过系统写入。",
                en=f"Report {number} has no record of its receipt: it was written past the application.",
            )
            yield Finding("report_without_record", (), sentence)
