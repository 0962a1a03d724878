"""What can be done with reports: receive them, and settle those of which the machine was not sure."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from django.conf import settings
from django.core.serializers.json import DjangoJSONEncoder
from django.db import transaction

from gridloop.discover.events import ReportReceived
from gridloop.discover.models import Report
from gridloop.kernel import clock, coordinates
from gridloop.kernel.bulk import insert_rows
from gridloop.kernel.errors import Mistake, Mistakes
from gridloop.kernel.events import publish
from gridloop.kernel.language import Sentence
from gridloop.people.viewer import Viewer
from gridloop.registry.actions import NewContact, remember_contacts

MAX_TEXT = 20_000
MAX_KEY = 200
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
    mistakes = [m for n, report in enumerate(reports) for m in _mistakes(n, report, at)]
    if mistakes:
        raise Mistakes(mistakes)
    digests = [_digest(report) for report in reports]
    with transaction.atomic():
        known = _known(client, {r.key for r in reports})
        fresh: dict[str, int] = {}
        for n, report in enumerate(reports):
            if report.key not in known and report.key not in fresh:
                fresh[report.key] = n
        order = list(fresh.values())
        if order:
            rows = _rows([reports[n] for n in order], [digests[n] for n in order], client, at)
            # A rival transaction may have stored a key since we looked; its row wins and ours is not made.
            inserted = set(insert_rows(rows, on_conflict="ON CONFLICT (client, key) DO NOTHING"))
            stored = _known(client, set(fresh))
            mine = [stored[reports[n].key] for n in order if stored[reports[n].key][0] in inserted]
            _attach_contacts([reports[n] for n in order], stored, inserted, at)
            channel = {reports[n].key: reports[n].channel for n in order}
            keys = {stored[reports[n].key][0]: reports[n].key for n in order}
            publish(
                [
                    ReportReceived(subject=f"report:{i}", actor=viewer.actor, at=at, channel=channel[keys[i]])
                    for i, _, _ in mine
                ]
            )
            known |= stored
        else:
            inserted = set()
    answered: set[int] = set()
    receipts = []
    for report, digest in zip(reports, digests, strict=True):
        report_id, number, stored_digest = known[report.key]
        if stored_digest != digest:
            receipts.append(Receipt(report.key, Outcome.CONFLICT, 0, "", ""))
            continue
        new = report_id in inserted and report_id not in answered
        answered.add(report_id)
        outcome = Outcome.ACCEPTED if new else Outcome.REPLAYED
        receipts.append(Receipt(report.key, outcome, report_id, number, _secret(client, report.key)))
    return receipts


def _mistakes(n: int, report: NewReport, at: datetime) -> list[Mistake]:
    place = f"reports[{n}]"
    found = []

    def wrong(name: str, zh: str, en: str, instead_zh: str, instead_en: str) -> None:
        found.append(Mistake(f"{place}.{name}", Sentence(zh=zh, en=en), Sentence(zh=instead_zh, en=instead_en)))

    if not report.key or len(report.key) > MAX_KEY:
        wrong("key", "缺少或过长", "is missing or too long", "用一个UUID", "use a UUID")
    if not report.channel or len(report.channel) > 24 or not re.fullmatch(r"[a-z0-9_]+", report.channel):
        wrong("channel", "不是渠道名", "is not a channel's name", "例如 hotline、app", "write for example hotline or app")
    if not (report.text.strip() or report.title.strip()):
        wrong("text", "为空", "is empty", "写明发生了什么、在哪里", "say what happened and where")
    if len(report.text) > MAX_TEXT or len(report.title) > 300 or len(report.address) > 300:
        wrong("text", "太长", "is too long", f"最多{MAX_TEXT}字，标题和地址300字", f"at most {MAX_TEXT} characters, title and address 300")
    if "\x00" in report.text + report.title + report.address + report.key:
        wrong("text", "含有空字符", "contains a NUL character", "删去它", "remove it")
    if (report.lon is None) != (report.lat is None):
        wrong("lon", "经纬度只有一个", "only one of lon and lat is given", "两个都写，或都不写", "give both or none")
    elif report.lon is not None and report.lat is not None:
        if not (-180 <= report.lon <= 180 and -90 <= report.lat <= 90):
            wrong("lon", "经纬度超出范围", "lies outside the globe", "用度，经度在前", "use degrees, longitude first")
    if report.datum not in set(coordinates.Datum):
        wrong("datum", "不认识的坐标系", "is an unknown datum", "、".join(coordinates.Datum), ", ".join(coordinates.Datum))
    for name, moment in (("reported_at", report.reported_at), ("due_at", report.due_at)):
        if moment is not None and moment.tzinfo is None:
            wrong(name, "没有时区", "has no time zone", "写成2026-11-21T08:00:00+08:00", "write 2026-11-21T08:00:00+08:00")
    if report.reported_at is not None and report.reported_at.tzinfo is not None and report.reported_at > at + FUTURE:
        wrong("reported_at", "在未来", "lies in the future", "检查发送方的时钟", "check the sender's clock")
    return found


def _digest(report: NewReport) -> bytes:
    body = {k: v for k, v in asdict(report).items() if k != "key"}
    plain = json.dumps(body, sort_keys=True, ensure_ascii=False, cls=DjangoJSONEncoder)
    return hashlib.sha256(plain.encode()).digest()


def _secret(client: str, key: str) -> str:
    """The 128-bit tracking secret, derived so that a repeated request gets the same one without our keeping it."""
    message = f"report-secret\0{client}\0{key}".encode()
    code = hmac.digest(settings.SECRET_KEY.encode(), message, "sha256")[:16]
    return urlsafe_b64encode(code).decode().rstrip("=")


def _known(client: str, keys: set[str]) -> dict[str, tuple[int, str, bytes]]:
    found = Report.objects.filter(client=client, key__in=keys).values_list("key", "id", "number", "digest")
    return {key: (pk, number, bytes(digest)) for key, pk, number, digest in found}


_LETTERS = "23456789ABCDEFGHJKMNPQRSTVWXYZ"


def _rows(reports: Sequence[NewReport], digests: Sequence[bytes], client: str, at: datetime) -> list[Report]:
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
                number=f"{day}-{''.join(secrets.choice(_LETTERS) for _ in range(10))}",
                secret=hashlib.sha256(_secret(client, report.key).encode()).hexdigest(),
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
            )
        )
    return rows


def _attach_contacts(
    reports: Sequence[NewReport], stored: Mapping[str, tuple[int, str, bytes]], inserted: set[int], at: datetime
) -> None:
    named = [(stored[r.key][0], r.contact) for r in reports if r.contact is not None and stored[r.key][0] in inserted]
    if not named:
        return
    ids = remember_contacts([contact for _, contact in named], at=at)
    from gridloop.kernel.bulk import update_rows

    update_rows([Report(id=pk, contact_id=c) for (pk, _), c in zip(named, ids, strict=True)], ["contact_id"])
