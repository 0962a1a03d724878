"""What can be done with reports: receive them, and settle those of which the machine was not sure."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import reduce
from operator import or_
from typing import Any

from django.db import transaction
from django.db.models import Q

from gridloop.cases.actions import Move, NewCase, move_cases, open_cases
from gridloop.cases.models import Case
from gridloop.cases.queries import cases_for, open_near
from gridloop.cases.workflow import ENDS
from gridloop.discover import queries as discover_queries
from gridloop.discover.events import ReportJoined, ReportPutToTriage, ReportReceived, ReportRefused
from gridloop.discover.models import Lesson, Report
from gridloop.discover.rules import duplicates
from gridloop.kernel import clock, coordinates, keys
from gridloop.kernel.bulk import encode, insert_new_rows, insert_rows, update_rows
from gridloop.kernel.errors import Mistake, Mistakes, Refused
from gridloop.kernel.events import publish
from gridloop.kernel.language import Sentence
from gridloop.people.viewer import SYSTEM, Viewer
from gridloop.registry.actions import NewContact, forget_contacts, remember_contacts, set_wipe
from gridloop.standard import queries as standard_queries
from gridloop.standard.rules.standard import CaseType, Standard
from gridloop.territory import queries as territory

MAX_TEXT = 20_000
MAX_KEY = 200
MAX_TYPE = 60
MAX_PICTURES = 10
FUTURE = timedelta(hours=24)
"""A report from further ahead than this is a clock gone wrong, not a report."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewReport:
    """What a sender hands over. Only `key`, `channel` and `text` are needed."""

    key: str
    """The sender's own key for this report (a UUID): the same key again is the same report."""
    channel: str
    text: str
    title: str = ""
    lon: float | None = None
    lat: float | None = None
    datum: str = "wgs84"
    address: str = ""
    case_type: str = ""
    urgent: bool = False
    reported_at: datetime | None = None
    due_at: datetime | None = None
    contact: NewContact | None = None
    same_as: str = ""
    """The number of the public case of which the reporter says "I too"."""
    pictures: tuple[int, ...] = ()
    """Pictures that the handling stage has taken already."""
    extra: Mapping[str, Any] = field(default_factory=dict)


class Outcome(StrEnum):
    ACCEPTED = "accepted"
    REPLAYED = "replayed"
    """The key was known with the same content: the first answer is given again."""
    CONFLICT = "conflict"
    """The key was known with another content: nothing was stored."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The answer to one report: its number and the secret with which its sender may ask about it."""

    key: str
    outcome: Outcome
    report_id: int
    number: str
    secret: str


def receive_reports(
    reports: Sequence[NewReport], *, client: str, viewer: Viewer, at: datetime | None = None
) -> list[Receipt]:
    """Store reports durably and answer each, in order; what they mean is decided later (`reactions.triage`).

    Idempotent by (client, key) for as long as the report is kept, which is longer than 30 days. All mistakes of the
    whole sequence are raised together as `Mistakes`; then nothing was stored.
    """
    at = at or clock.now()
    check_reports(reports, at=at)
    return store_reports(reports, client=client, viewer=viewer, at=at)


def store_reports(
    reports: Sequence[NewReport], *, client: str, viewer: Viewer, at: datetime | None = None
) -> list[Receipt]:
    """The second half of `receive_reports`, for reports that `check_reports` found nothing wrong with."""
    at = at or clock.now()
    # A key of its own, so that a new SECRET_KEY, which ends all sessions, leaves every sender the same answers.
    ours = keys.own_key("reports")
    digests = [_digest(report, ours) for report in reports]
    told = {report.key: _secret(client, report.key, ours) for report in reports}
    first: dict[str, int] = {}
    for n, report in enumerate(reports):
        first.setdefault(report.key, n)
    with transaction.atomic():
        rows = _rows([reports[n] for n in first.values()], [digests[n] for n in first.values()], told, client, at)
        contacts = [(row, reports[n].contact) for row, n in zip(rows, first.values(), strict=True)]
        named = [(row, contact) for row, contact in contacts if contact is not None]
        ids = remember_contacts([contact for _, contact in named], at=at)
        for (row, _), contact_id in zip(named, ids, strict=True):
            row.contact_id = contact_id
        fresh = {row.key: row for row in insert_new_rows(rows, unless=("client", "key"))}
        known = {key: (row.id, row.number, row.digest) for key, row in fresh.items()}
        if len(fresh) < len(rows):
            known |= _known(client, first.keys() - fresh.keys())
            forget_contacts([row.contact_id for row, _ in named if row.key not in fresh])
        publish(
            [
                ReportReceived(
                    subject=f"report:{row.id}",
                    actor=viewer.actor,
                    at=at,
                    channel=row.channel,
                    words=discover_queries.words_of(row),
                )
                for row in fresh.values()
            ]
        )
    receipts = []
    for n, (report, digest) in enumerate(zip(reports, digests, strict=True)):
        report_id, number, stored = known[report.key]
        if stored != digest:
            receipts.append(Receipt(report.key, Outcome.CONFLICT, 0, "", ""))
            continue
        new = report.key in fresh and first[report.key] == n
        outcome = Outcome.ACCEPTED if new else Outcome.REPLAYED
        receipts.append(Receipt(report.key, outcome, report_id, number, told[report.key]))
    return receipts


def check_reports(reports: Sequence[NewReport], *, at: datetime | None = None) -> None:
    """Raise all mistakes of all reports as one `Mistakes`. Looks at values only, not at the database."""
    at = at or clock.now()
    mistakes = [m for n, report in enumerate(reports) for m in _mistakes(n, report, at)]
    if mistakes:
        raise Mistakes(mistakes)


def _mistakes(n: int, report: NewReport, at: datetime) -> list[Mistake]:
    place = f"reports[{n}]"
    found = []

    def wrong(name: str, zh: str, en: str, instead_zh: str, instead_en: str) -> None:
        found.append(Mistake(f"{place}.{name}", Sentence(zh=zh, en=en), Sentence(zh=instead_zh, en=instead_en)))

    if not report.key or len(report.key) > MAX_KEY:
        wrong("key", "缺少或过长", "is missing or too long", "用一个UUID", "use a UUID")
    if not report.channel or len(report.channel) > 24 or not re.fullmatch(r"[a-z0-9_]+", report.channel):
        wrong(
            "channel", "不是渠道名", "is not a channel's name", "例如 hotline、app", "write for example hotline or app"
        )
    if not (report.text.strip() or report.title.strip()):
        wrong("text", "为空", "is empty", "写明发生了什么、在哪里", "say what happened and where")
    if len(report.case_type) > MAX_TYPE:
        wrong("case_type", "太长", "is too long", f"最多{MAX_TYPE}字", f"at most {MAX_TYPE} characters")
    if report.extra and not _storable(report.extra):
        wrong("extra", "无法保存", "cannot be stored", "不要空字符和过大的数", "no NUL characters, no huge numbers")
    if len(report.text) > MAX_TEXT or len(report.title) > 300 or len(report.address) > 300:
        wrong(
            "text",
            "太长",
            "is too long",
            f"最多{MAX_TEXT}字，标题和地址300字",
            f"at most {MAX_TEXT} characters, title and address 300",
        )
    if "\x00" in report.text + report.title + report.address + report.key:
        wrong("text", "含有空字符", "contains a NUL character", "删去它", "remove it")
    if (report.lon is None) != (report.lat is None):
        wrong("lon", "经纬度只有一个", "only one of lon and lat is given", "两个都写，或都不写", "give both or none")
    elif not (-180 <= (report.lon or 0) <= 180 and -90 <= (report.lat or 0) <= 90):
        wrong("lon", "经纬度超出范围", "lies outside the globe", "用度，经度在前", "use degrees, longitude first")
    if len(report.same_as) > 24 or len(report.pictures) > MAX_PICTURES:
        wrong("pictures", "太多", "are too many", f"最多{MAX_PICTURES}张照片", f"send at most {MAX_PICTURES} pictures")
    if report.datum not in _DATUMS:
        wrong(
            "datum", "不认识的坐标系", "is an unknown datum", "、".join(coordinates.Datum), ", ".join(coordinates.Datum)
        )
    for name, moment in (("reported_at", report.reported_at), ("due_at", report.due_at)):
        if moment is not None and moment.tzinfo is None:
            wrong(
                name, "没有时区", "has no time zone", "写成2026-11-21T08:00:00+08:00", "write 2026-11-21T08:00:00+08:00"
            )
    if report.reported_at is not None and report.reported_at.tzinfo is not None and report.reported_at > at + FUTURE:
        wrong("reported_at", "在未来", "lies in the future", "检查发送方的时钟", "check the sender's clock")
    return found


def _storable(extra: Mapping[str, Any]) -> bool:
    try:
        return "\\u0000" not in encode(dict(extra))
    except TypeError:  # a number beyond 64 bits, half a surrogate pair
        return False


_DATUMS = frozenset(coordinates.Datum)
_LATER = ("same_as", "pictures")
"""Fields that came later: not in the digest where they say nothing, so that what was sent before stays the same."""
_SAID = tuple(f.name for f in fields(NewReport) if f.name not in ("key", "contact", *_LATER))


def _digest(report: NewReport, key: bytes) -> bytes:
    contact = report.contact
    body = {name: getattr(report, name) for name in _SAID}
    body |= {name: value for name in _LATER if (value := getattr(report, name))}
    body["contact"] = [contact.name, contact.phone, contact.secret] if contact is not None else None
    # Keyed: a plain hash would let its finder try out telephone numbers, even after the contact was wiped.
    plain = b"report-digest\0" + encode(body, sort_keys=True).encode()
    return hmac.digest(key, plain, "sha256")


def _secret(client: str, sender_key: str, key: bytes) -> str:
    """The 128-bit tracking secret, derived so that a repeated request gets the same one without our keeping it."""
    code = hmac.digest(key, f"report-secret\0{client}\0{sender_key}".encode(), "sha256")[:16]
    return urlsafe_b64encode(code).decode().rstrip("=")


def _known(client: str, keys: Iterable[str]) -> dict[str, tuple[int, str, bytes]]:
    found = Report.objects.filter(client=client, key__in=list(keys)).values_list("key", "id", "number", "digest")
    return {key: (pk, number, bytes(digest)) for key, pk, number, digest in found}


_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"
"""No letter or digit that is taken for another over the phone."""


def _ticket() -> str:
    """Ten random letters, 49 bits: nobody guesses a number, and no counter is shared."""
    rest, letters = secrets.randbits(64), []
    for _ in range(10):
        rest, letter = divmod(rest, len(_LETTERS))
        letters.append(_LETTERS[letter])
    return "".join(letters)


def _rows(
    reports: Sequence[NewReport], digests: Sequence[bytes], told: Mapping[str, str], client: str, at: datetime
) -> list[Report]:
    day = at.strftime("%y%m%d")
    rows = []
    for report, digest in zip(reports, digests, strict=True):
        lon, lat = report.lon, report.lat
        if lon is not None and lat is not None and report.datum not in ("wgs84", "cgcs2000"):
            lon, lat = coordinates.to_wgs84(lon, lat, report.datum)
        rows.append(
            Report(
                client=client,
                key=report.key,
                digest=digest,
                number=f"{day}-{_ticket()}",
                secret=hashlib.sha256(told[report.key].encode()).hexdigest(),
                state=Report.State.WAITING,
                channel=report.channel,
                title=report.title,
                text=report.text,
                address=report.address,
                lon=lon,
                lat=lat,
                case_type=report.case_type,
                urgent=report.urgent,
                reported_at=report.reported_at or at,
                received_at=at,
                due_at=report.due_at,
                extra=dict(report.extra),
                same_as=report.same_as,
                pictures=list(report.pictures),
            )
        )
    return rows


# --- triage ------------------------------------------------------------------------------------------------------

PUBLIC = frozenset({"hotline", "app", "web", "wechat", "sms"})
"""Channels of residents: what comes by them may have to be verified (核实) before it is filed."""


@dataclass(slots=True)
class _Opinion:
    """What the machine thinks of one report."""

    report: Report
    case_type: CaseType | None = None
    confidence: float = 0.0
    words: tuple[str, ...] = ()
    runners_up: tuple[tuple[str, float], ...] = ()
    lon: float | None = None
    lat: float | None = None
    region_code: str = ""
    place: str = ""
    doubts: list[str] = field(default_factory=list)
    match: int | None = None
    """The open case that it joins."""
    like: int | None = None
    """The report of this batch whose case it joins."""
    similar: float = 0.0

    def stored(self) -> dict[str, Any]:
        """The form in which it is kept with the report."""
        types = [(self.case_type.key if self.case_type else "", self.confidence), *self.runners_up]
        return {
            "types": [[key, round(p, 4)] for key, p in types if key],
            "words": list(self.words),
            "region": self.region_code,
            "place": self.place,
            "doubts": self.doubts,
            "similar_to": self.match,
        }


DOUBTS: dict[str, Sentence] = {
    "type": Sentence(zh="类型不确定", en="the type is not sure"),
    "no_type": Sentence(zh="看不出类型", en="nothing says what it is about"),
    "place": Sentence(zh="地点不确定", en="the place is not sure"),
    "no_place": Sentence(zh="没有地点", en="no place is given"),
    "outside": Sentence(zh="地点在辖区外", en="the place lies outside the district"),
    "same_ended": Sentence(zh="所说的同一案件已办结", en="the case that it is said to be about has ended"),
}


def triage_reports(report_ids: Sequence[int], *, at: datetime | None = None) -> int:
    """Decide what becomes of waiting reports; returns how many were decided. Nothing is dropped.

    A report of which type and place are sure opens a case, or joins the open case of the same problem. Any other goes
    to the list of a person, with the guess and the doubts.
    """
    now = at or clock.now()
    with transaction.atomic():
        waiting = Report.objects.filter(id__in=report_ids, state=Report.State.WAITING)
        opinions = [_Opinion(report) for report in waiting.select_for_update().order_by("id")]
        if not opinions:
            return 0
        standard = standard_queries.current()
        _same_as_said(opinions, standard)
        open_questions = [o for o in opinions if o.match is None]
        _guess_types(open_questions, standard)
        _find_places(open_questions)
        for opinion in open_questions:
            if opinion.case_type is not None and opinion.confidence < opinion.case_type.automatic_filing_confidence:
                opinion.doubts.append("type")
        sure = [o for o in opinions if not o.doubts]
        _find_duplicates([o for o in sure if o.match is None], now)
        _open_and_join(sure, SYSTEM, now)
        for opinion in opinions:
            opinion.report.guess = opinion.stored()
            if opinion.doubts:
                opinion.report.state = Report.State.TRIAGE
        update_rows([o.report for o in opinions], ["state", "guess", "case_id", "settled_at"])
        publish(
            [
                ReportPutToTriage(subject=f"report:{o.report.id}", actor=SYSTEM.actor, at=now, doubts=tuple(o.doubts))
                for o in opinions
                if o.doubts
            ]
        )
    return len(opinions)


def _same_as_said(opinions: Sequence[_Opinion], standard: Standard) -> None:
    """Who says "I too" of a case that is still open joins it; if it has ended meanwhile, a person looks."""
    said = {o.report.same_as for o in opinions if o.report.same_as}
    if not said:
        return
    known = {case.number: case for case in Case.objects.filter(number__in=said)}
    for opinion in opinions:
        case = known.get(opinion.report.same_as)
        if not opinion.report.same_as:
            continue
        if case is None or case.state in ENDS:
            opinion.doubts.append("same_ended")
            continue
        opinion.case_type, opinion.confidence = standard.case_types.get(case.case_type), 1.0
        opinion.lon, opinion.lat, opinion.region_code = case.lon, case.lat, case.region_code
        opinion.match, opinion.similar = case.id, 1.0


def _guess_types(opinions: Sequence[_Opinion], standard: Standard) -> None:
    unknown = []
    for opinion in opinions:
        named = standard.case_types.get(opinion.report.case_type)
        if named is not None:
            opinion.case_type, opinion.confidence = named, 1.0
        else:
            unknown.append(opinion)
    if not unknown:
        return
    guesses = discover_queries.classifier().guess([_said(o.report) for o in unknown])
    for opinion, guess in zip(unknown, guesses, strict=True):
        opinion.case_type = standard.case_types.get(guess.case_type)
        opinion.confidence, opinion.words, opinion.runners_up = guess.confidence, guess.why, guess.runners_up
        if opinion.case_type is None:
            opinion.doubts.append("no_type")


def _said(report: Report) -> str:
    return f"{report.title}。{report.text}" if report.title else report.text


def _find_places(opinions: Sequence[_Opinion]) -> None:
    """From coordinates where there are any; else from the names in the address or the text."""
    pointed = [o for o in opinions if o.report.lon is not None and o.report.lat is not None]
    if pointed:
        codes = territory.locate([o.report.lon or 0.0 for o in pointed], [o.report.lat or 0.0 for o in pointed])
        for opinion, code in zip(pointed, codes, strict=True):
            opinion.lon, opinion.lat, opinion.region_code = opinion.report.lon, opinion.report.lat, str(code)
            if not opinion.region_code:
                opinion.doubts.append("outside")
    named = [o for o in opinions if o.report.lon is None]
    if not named:
        return
    gazetteer = discover_queries.gazetteer()
    found = gazetteer.find(
        [f"{o.report.address}，{_said(o.report)}" if o.report.address else _said(o.report) for o in named]
    )
    for opinion, place in zip(named, found, strict=True):
        if place is None:
            opinion.doubts.append("no_place")
            continue
        opinion.lon, opinion.lat, opinion.region_code, opinion.place = (
            place.lon,
            place.lat,
            place.region_code,
            place.name,
        )
        if not place.sure:
            opinion.doubts.append("place")


def _find_duplicates(opinions: Sequence[_Opinion], now: datetime) -> None:
    """Match each report with an open case, or with an earlier report of the batch, that tells of the same problem."""
    placed = [o for o in opinions if o.lon is not None and o.lat is not None and o.case_type is not None]
    if not placed:
        return
    rules_by_type = {o.case_type.key: o.case_type.duplicate for o in placed if o.case_type is not None}
    longest = max(rule.hours for rule in rules_by_type.values())
    since = min(o.report.reported_at for o in placed) - timedelta(hours=longest)
    near = open_near(
        [
            (o.case_type.key, o.lon, o.lat, rules_by_type[o.case_type.key].meters)
            for o in placed
            if o.case_type and o.lon is not None and o.lat is not None
        ],
        since=since,
    )
    candidates = [
        duplicates.Seen(
            key=c.id, case_type=c.case_type, lon=c.lon or 0.0, lat=c.lat or 0.0, at=c.reported_at, text=c.text
        )
        for c in near
    ]
    new = [
        duplicates.Seen(
            key=o.report.id,
            case_type=o.case_type.key if o.case_type else "",
            lon=o.lon or 0.0,
            lat=o.lat or 0.0,
            at=o.report.reported_at,
            text=_said(o.report),
        )
        for o in placed
    ]
    for opinion, match in zip(placed, duplicates.find(new, candidates, rules_by_type), strict=True):
        if match is None:
            continue
        if match.new:
            opinion.like = match.key
        else:
            opinion.match = match.key
        opinion.similar = match.similarity


def _open_and_join(opinions: Sequence[_Opinion], viewer: Viewer, now: datetime) -> None:
    """Open a case for each new problem and join the other reports to theirs; marks the reports, does not store them."""
    first = [o for o in opinions if o.match is None and o.like is None]
    new = [_new_case(o) for o in first]
    cases = open_cases(new, viewer=viewer, at=now)
    case_of = {o.report.id: case.id for o, case in zip(first, cases, strict=True)}
    for opinion, case in zip(first, cases, strict=True):
        opinion.report.state, opinion.report.case_id, opinion.report.settled_at = Report.State.OPENED, case.id, now
    joined = [o for o in opinions if o.match is not None or o.like is not None]
    told: dict[int, list[_Opinion]] = {}
    for opinion in joined:
        case_id = opinion.match if opinion.match is not None else case_of[opinion.like or 0]
        told.setdefault(case_id, []).append(opinion)
        opinion.report.state, opinion.report.case_id, opinion.report.settled_at = Report.State.JOINED, case_id, now
    move_cases(
        [
            Move(
                case_id=case_id,
                verb="join",
                callers=len(group),
                reports=tuple(o.report.id for o in group),
                pictures=tuple(p for o in group for p in o.report.pictures),
                at=clock.replayed(max(o.report.reported_at for o in group)),
            )
            for case_id, group in sorted(told.items())
        ],
        viewer=SYSTEM,
        at=now,
    )
    publish(
        [
            ReportJoined(
                subject=f"report:{o.report.id}", actor=viewer.actor, at=now, case=case_id,
                why={"similarity": round(o.similar, 3)},
            )
            for case_id, group in told.items()
            for o in group
        ]
    )  # fmt: skip


def _new_case(opinion: _Opinion) -> NewCase:
    report, case_type = opinion.report, opinion.case_type
    assert case_type is not None, "a report without a type is on the list for a person"
    if case_type.verify_public_reports and report.channel in PUBLIC:
        state = "pending_verify"
    elif case_type.automatic_filing:
        state = "pending_dispatch"
    else:
        state = "pending_filing"
    return NewCase(
        case_type=case_type.key,
        state=state,
        source=report.channel,
        text=_said(report),
        address=report.address or opinion.place,
        lon=opinion.lon,
        lat=opinion.lat,
        region_code=opinion.region_code,
        urgent=report.urgent,
        reported_at=report.reported_at,
        due_at=report.due_at,
        reports=(report.id,),
        pictures=tuple(report.pictures),
        why=_why_this_type(opinion),
        at=clock.replayed(report.reported_at),
    )


def _why_this_type(opinion: _Opinion) -> Sentence | None:
    """Goes into the record, so it quotes nothing that a citizen wrote: the deciding words stay with the report."""
    if opinion.case_type is None:
        return None
    name = opinion.case_type.name
    if not opinion.words:
        return Sentence(zh=f"来源指明是“{name.zh}”", en=f"the source says that it is “{name.en}”")
    return Sentence(
        zh=f"从文字判断为“{name.zh}”（把握{opinion.confidence:.0%}）",
        en=f"taken for “{name.en}” from its words ({opinion.confidence:.0%} sure)",
    )


# --- a person settles what was not sure ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A person's decision about a report on the triage list."""

    report_id: int
    case_type: str = ""
    """The right type; "" = the machine's guess was right."""
    lon: float | None = None
    lat: float | None = None
    region_code: str = ""
    case_id: int | None = None
    """The open case that it joins; None = it opens one."""
    refuse: str = ""
    """The reason why it is no case; "" = it is one."""


def settle_reports(answers: Sequence[Answer], *, viewer: Viewer, at: datetime | None = None) -> list[Report]:
    """Carry out a person's decisions about reports on the triage list, all or none. Each teaches the classifier."""
    viewer.need("triage")
    now = at or clock.now()
    with transaction.atomic():
        ids = [a.report_id for a in answers]
        rows = discover_queries.triage_list(viewer).filter(id__in=ids).select_for_update()
        reports = {r.id: r for r in rows}
        standard = standard_queries.current()
        mistakes: list[Mistake] = []
        opinions: list[_Opinion] = []
        refused: list[tuple[Report, str]] = []
        lessons: list[Lesson] = []
        for n, answer in enumerate(answers):
            report = reports.get(answer.report_id)
            if report is None:
                mistakes.append(_settle_mistake(n, "report_id", "不在待甄别列表中", "is not on the triage list"))
                continue
            if answer.refuse:
                report.state, report.settled_at = Report.State.REFUSED, now
                refused.append((report, answer.refuse))
                continue
            guess = report.guess or {}
            best = guess["types"][0][0] if guess.get("types") else ""
            case_type = standard.case_types.get(answer.case_type or best)
            lon = answer.lon if answer.lon is not None else report.lon
            lat = answer.lat if answer.lat is not None else report.lat
            region = answer.region_code or guess.get("region", "")
            if lon is not None and lat is not None and not answer.region_code:
                region = str(territory.locate([lon], [lat])[0]) or region
            if case_type is None:
                mistakes.append(_settle_mistake(n, "case_type", "没有这个类型", "there is no such type"))
            elif not region and answer.case_id is None:
                mistakes.append(_settle_mistake(n, "region_code", "请标出地点", "say where it is"))
            else:
                opinions.append(
                    _Opinion(
                        report, case_type, 1.0, lon=lon, lat=lat, region_code=region,
                        place=guess.get("place", ""), match=answer.case_id,
                    )
                )  # fmt: skip
                lessons.append(Lesson(report=report, case_type=case_type.key, guessed=best, by=viewer.actor, at=now))
        joined = {o.match for o in opinions if o.match is not None}
        missing = joined - set(
            cases_for(viewer).filter(id__in=joined).exclude(state__in=ENDS).values_list("id", flat=True)
        )
        for n, answer in enumerate(answers):
            if answer.case_id in missing:
                mistakes.append(_settle_mistake(n, "case_id", "没有这个未结案件", "there is no such open case"))
        if mistakes:
            raise Mistakes(mistakes)
        _open_and_join(opinions, viewer, now)
        update_rows(list(reports.values()), ["state", "case_id", "settled_at"])
        insert_rows(lessons)
        publish(
            [
                ReportRefused(subject=f"report:{r.id}", actor=viewer.actor, at=now, reason=reason)
                for r, reason in refused
            ]
        )
    return [reports[i] for i in ids]


@dataclass(frozen=True, slots=True)
class Taken:
    """A call that was taken: what its caller is told, and what became of it."""

    receipt: Receipt
    report: Report
    case: Case | None
    """The case that it opened or joined; None while the loop, or a person, still decides."""


def take_call(new: NewReport, *, viewer: Viewer, sure: Answer | None = None, at: datetime | None = None) -> Taken:
    """Take down a report that somebody speaks, and settle it in the same breath if the officer is sure.

    `sure`: what the officer decided (its `report_id` is not looked at); None leaves it to the loop, like any report.
    The same `new.key` again gives the same answer and settles nothing twice. Raises `Mistakes`, and then nothing is
    kept. The caller's name and number go into the vault and come back in no answer.
    """
    viewer.need("report")
    now = at or clock.now()
    with transaction.atomic():
        receipt = receive_reports([new], client=CONSOLE, viewer=viewer, at=now)[0]
        if receipt.outcome == Outcome.CONFLICT:
            raise Refused(
                Sentence(
                    zh="这通来电已经保存过，内容不同。请开一张新单。",
                    en="This call was kept with another content: begin a new one.",
                ),
                code="key_conflict",
            )
        if sure is not None and receipt.outcome == Outcome.ACCEPTED:
            viewer.need("triage")
            report = Report.objects.get(id=receipt.report_id)
            opinion = _Opinion(report)
            _guess_types([opinion], standard_queries.current())
            _find_places([opinion])
            report.guess, report.state = opinion.stored(), Report.State.TRIAGE
            if sure.region_code:
                report.guess["region"] = sure.region_code
            report.save(update_fields=["guess", "state"])
            settle_reports([replace(sure, report_id=report.pk)], viewer=viewer, at=now)
    report = Report.objects.get(id=receipt.report_id)
    case = Case.objects.filter(id=report.case_id).first() if report.case_id else None
    return Taken(receipt, report, case)


CONSOLE = "console"
"""The sender of what is taken down at the console: the scope of its keys."""


def time_contacts(*, case_ids: Sequence[int] = (), report_ids: Sequence[int] = ()) -> None:
    """Set when the reporters of these cases and reports are forgotten: after the end of the case, or of the report.

    Looks at what holds now, so that late and repeated news of an end or a reopening do no harm.
    """
    # Without the half that asks for nothing, which would keep the server from the index of the other.
    meant = [Q(**{name: ids}) for name, ids in (("case_id__in", case_ids), ("id__in", report_ids)) if ids]
    if not meant:
        return
    named = Report.objects.filter(reduce(or_, meant), contact_id__isnull=False)
    reports = list(named.values_list("contact_id", "case_id", "state", "settled_at"))
    cases = Case.objects.filter(id__in={case for _, case, _, _ in reports if case}, state__in=ENDS)
    ended = {case: closed or since for case, closed, since in cases.values_list("id", "closed_at", "stage_at")}
    set_wipe(
        ends={
            contact: at if state == Report.State.REFUSED else ended.get(case or 0)
            for contact, case, state, at in reports
            if contact is not None
        }
    )


def _settle_mistake(n: int, name: str, zh: str, en: str) -> Mistake:
    instead = Sentence(zh="重新打开列表后再选", en="open the list again and choose anew")
    return Mistake(f"answers[{n}].{name}", Sentence(zh=zh, en=en), instead)
