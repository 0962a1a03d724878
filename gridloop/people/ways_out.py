"""Ways out (通知渠道): who set them up, who wants to be told what through which, and sending it.

Inside the application everybody is told everything (`actions.notify`). What is here leaves it: through channels that
the system administrator set up, to hosts that the deployment allows, with retries and a list of what could not be sent.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Count, Min

from gridloop.kernel import keys, outgoing
from gridloop.kernel.bulk import insert_rows
from gridloop.kernel.errors import Mistake, Mistakes, Refused, not_found
from gridloop.kernel.events import publish
from gridloop.kernel.language import Sentence
from gridloop.people.events import ChannelKept, ChannelSwitched
from gridloop.people.models import (
    Channel,
    Notice,
    NoticeAddress,
    NoticeChoice,
    NoticeSettings,
    Outgoing,
    Unit,
)
from gridloop.people.notices import KINDS, Quiet, bundled, due, kind_of, next_try
from gridloop.people.queries import standing_of
from gridloop.people.viewer import Viewer

OLD = timedelta(hours=24)
"""What happened longer ago is news to nobody; it is told inside only."""
LEASE = timedelta(minutes=10)
"""For how long a notice that is being sent is nobody else's; a sender that dies leaves it until then."""
BATCH = 500
BUDGET = 40.0
"""Seconds that one run may take."""
HERE = "{address}"
_ADDRESS = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(\.[\w-]{1,63})+|\+?\d{5,15}|[\w.-]{2,64}", re.ASCII)
_CODE = re.compile(r"[a-z0-9][a-z0-9_-]{1,39}")
_PURPOSE = "gridloop/notice-channel/1"


def hosts() -> Sequence[str]:
    """Where notices may go: host or host:port. Nothing named, nothing leaves."""
    return getattr(settings, "GRIDLOOP_NOTICE_HOSTS", ())


# --- channels ------------------------------------------------------------------------------------------------------


def channels_for(viewer: Viewer) -> list[Channel]:
    """All channels, for the system administrator."""
    viewer.need("operate")
    return list(Channel.objects.select_related("unit").order_by("code")[:100])


@dataclass(frozen=True, slots=True, kw_only=True)
class NewChannel:
    """A channel as it is set up. `url` is apprise's; where each person has an address it holds ``{address}``."""

    code: str
    name: Sentence
    audience: str
    url: str = field(repr=False)
    base: str = ""
    unit_code: str = ""


def keep_channel(*, new: NewChannel, viewer: Viewer, at: datetime) -> Channel:
    """Set up a channel, or change the one of this code. All mistakes at once; the address is locked and never shown."""
    viewer.need("operate")
    personal = new.audience == Channel.Audience.PERSON
    mistakes: list[Mistake] = []
    if not _CODE.fullmatch(new.code):
        mistakes.append(_wrong("code", "只能用小写字母、数字、- 和 _", "may have a-z, 0-9, - and _ only", "mail"))
    if not new.name.zh.strip() or not new.name.en.strip():
        mistakes.append(_wrong("name", "中英文名称都要写", "is needed in both languages", "短信 / SMS"))
    if new.audience not in Channel.Audience.values:
        mistakes.append(_wrong("audience", "只能是 person 或 group", "is neither person nor group", "person"))
    if personal and HERE not in new.url:
        mistakes.append(_wrong("url", f"缺少 {HERE}", f"lacks {HERE}", f"mailto://…?to={HERE}"))
    if not personal and HERE in new.url:
        mistakes.append(_wrong("url", f"群组地址不含 {HERE}", f"of a group has no {HERE}", "wecombot://…"))
    mistakes += outgoing.wrong_with(_filled(new.url, "somebody@example.org"), base=new.base, hosts=hosts())
    unit = Unit.objects.filter(code=new.unit_code).first() if new.unit_code else None
    if new.unit_code and unit is None:
        mistakes.append(_wrong("unit", "没有这个单位", "is no unit", "u-cmd"))
    if mistakes:
        raise Mistakes(mistakes)
    with transaction.atomic():
        channel, _ = Channel.objects.update_or_create(
            code=new.code,
            defaults={
                "name": new.name.both(),
                "audience": new.audience,
                "unit": unit,
                "locked_url": keys.lock(new.url, _PURPOSE),
                "base": new.base,
                "is_active": True,
            },
        )
        publish([ChannelKept(subject=f"channel:{channel.pk}", actor=viewer.actor, at=at, code=channel.code)])
    return channel


def _wrong(place: str, zh: str, en: str, instead: str) -> Mistake:
    return Mistake(place, Sentence(zh=zh, en=en), Sentence(zh=f"例如 {instead}", en=f"for example {instead}"))


def _filled(url: str, address: str) -> str:
    return url.replace(HERE, quote(address, safe="@+"))


def switch_channel(*, code: str, active: bool, viewer: Viewer, at: datetime) -> None:
    """Stop using a channel, or use it again. What waits in it goes when it is on again."""
    viewer.need("operate")
    with transaction.atomic():
        channel = Channel.objects.select_for_update().filter(code=code).first()
        if channel is None:
            raise not_found()
        channel.is_active = active
        channel.save(update_fields=["is_active"])
        publish([ChannelSwitched(subject=f"channel:{channel.pk}", actor=viewer.actor, at=at, active=active)])


def try_channel(*, code: str, address: str = "", viewer: Viewer) -> None:
    """Send a test message now. Refused with what went wrong."""
    viewer.need("operate")
    channel = Channel.objects.filter(code=code).first()
    if channel is None:
        raise not_found()
    if channel.audience == Channel.Audience.PERSON:
        _check_address(address, code)
    said = ["这是一条测试消息。This is a test."]
    try:
        outgoing.send(_url(channel, address), base=channel.base, title="格环 Gridloop", lines=said, hosts=hosts())
    except outgoing.NotSent as no:
        raise Refused(
            Sentence(zh=f"没有发出：{no.word}", en=f"It was not sent: {no.word}"), status=502, code="not_sent"
        ) from no


def _url(channel: Channel, address: str) -> str:
    return _filled(keys.unlock(channel.locked_url, _PURPOSE), address)


# --- choices -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Way:
    """One channel as a person sees it: the own address there, and the kinds that are not wanted."""

    channel: Channel
    address: str = field(default="", repr=False)
    unwanted: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Mine:
    """How a person is told: language, quiet hours, and each way out."""

    language: str
    quiet: Quiet
    ways: tuple[Way, ...]


def choices_of(viewer: Viewer) -> Mine:
    """One's own choices. Nobody reads another's, nor another's address."""
    person = viewer.person_id or 0
    row = NoticeSettings.objects.filter(person_id=person).first() or NoticeSettings()
    standing = standing_of([person]).get(person, frozenset())
    addresses = dict(NoticeAddress.objects.filter(person_id=person).values_list("channel_id", "locked"))
    unwanted: dict[int, set[str]] = defaultdict(set)
    for channel, kind in NoticeChoice.objects.filter(person_id=person, wanted=False).values_list("channel_id", "kind"):
        unwanted[channel].add(kind)
    ways = [
        Way(
            channel,
            keys.unlock(addresses[channel.pk], _PURPOSE) if channel.pk in addresses else "",
            frozenset(unwanted[channel.pk]),
        )
        for channel in Channel.objects.filter(is_active=True).order_by("code")
        if channel.audience == Channel.Audience.PERSON or channel.unit_id is None or channel.unit_id in standing
    ]
    return Mine(row.language, Quiet(row.quiet_from, row.quiet_until), tuple(ways))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """What a person chose. `addresses`: by the channel's code, "" = none; `wanted`: pairs of channel and kind."""

    language: str
    quiet: Quiet
    addresses: Mapping[str, str] = field(repr=False)
    wanted: frozenset[tuple[str, str]]


def choose(*, chosen: Chosen, viewer: Viewer) -> None:
    """Keep a person's choices. That an emergency is unwanted is not kept: it asks nobody."""
    person = viewer.person_id
    if person is None:
        raise not_found()
    channels = {way.channel.code: way.channel for way in choices_of(viewer).ways}
    mistakes = []
    for code, address in chosen.addresses.items():
        if code in channels and address:
            mistakes += _wrong_address(address, code)
    if chosen.language not in ("zh", "en"):
        mistakes.append(_wrong("language", "只能是 zh 或 en", "is neither zh nor en", "zh"))
    if not (0 <= chosen.quiet.start < 1440 and 0 <= chosen.quiet.end < 1440):
        mistakes.append(_wrong("quiet", "不是一天中的时刻", "is no time of day", "22:00"))
    if mistakes:
        raise Mistakes(mistakes)
    with transaction.atomic():
        NoticeSettings.objects.update_or_create(
            person_id=person,
            defaults={
                "language": chosen.language,
                "quiet_from": chosen.quiet.start,
                "quiet_until": chosen.quiet.end,
            },
        )
        mine = [c.pk for c in channels.values()]
        NoticeAddress.objects.filter(person_id=person, channel_id__in=mine).delete()
        insert_rows(
            [
                NoticeAddress(person_id=person, channel=channels[code], locked=keys.lock(address, _PURPOSE))
                for code, address in chosen.addresses.items()
                if address and code in channels and channels[code].audience == Channel.Audience.PERSON
            ]
        )
        NoticeChoice.objects.filter(person_id=person, channel_id__in=mine).delete()
        insert_rows(
            [
                NoticeChoice(person_id=person, channel=channel, kind=kind, wanted=False)
                for code, channel in channels.items()
                for kind, what in KINDS.items()
                if (code, kind) not in chosen.wanted and not what.emergency
            ]
        )


def _wrong_address(address: str, place: str) -> list[Mistake]:
    if _ADDRESS.fullmatch(address):
        return []
    return [_wrong(place, "不是邮箱、号码或账号", "is no mail address, number or account", "li.na@example.gov.cn")]


def _check_address(address: str, place: str) -> None:
    if mistakes := _wrong_address(address, place):
        raise Mistakes(mistakes)


# --- sending -------------------------------------------------------------------------------------------------------


def post_notices(*, at: datetime) -> int:
    """Decide for the notices of the last minute through which channels they leave, and when; how many were looked at.

    Set-based: a handful of statements for any number of notices.
    """
    with transaction.atomic():
        notices = list(
            Notice.objects.select_for_update(skip_locked=True).filter(posted_at__isnull=True).order_by("id")[:BATCH]
        )
        if not notices:
            return 0
        Notice.objects.filter(pk__in=[n.pk for n in notices]).update(posted_at=at)
        # What was read inside in the meantime, or is no news, need not be said again.
        fresh = [n for n in notices if n.read_at is None and at - n.at < OLD]
        channels = list(Channel.objects.filter(is_active=True)) if fresh and hosts() else []
        if channels:
            insert_rows(_outgoing(fresh, channels, at))
    return len(notices)


def _outgoing(notices: Sequence[Notice], channels: Sequence[Channel], at: datetime) -> list[Outgoing]:
    persons = {n.person_id for n in notices}
    standing = standing_of(persons, at)
    reached = set(NoticeAddress.objects.filter(person_id__in=persons).values_list("person_id", "channel_id"))
    unwanted = set(
        NoticeChoice.objects.filter(person_id__in=persons, wanted=False).values_list("person_id", "channel_id", "kind")
    )
    quiet = {
        person: Quiet(start, end)
        for person, start, end in NoticeSettings.objects.filter(person_id__in=persons).values_list(
            "person_id", "quiet_from", "quiet_until"
        )
    }
    zone = ZoneInfo(getattr(settings, "GRIDLOOP_ZONE", "Asia/Shanghai"))
    rows = []
    for notice in notices:
        emergency = kind_of(notice.kind).emergency
        when = due(at, quiet.get(notice.person_id, Quiet()), zone, emergency=emergency)
        for channel in channels:
            if channel.audience == Channel.Audience.PERSON:
                goes = (notice.person_id, channel.pk) in reached
            else:
                goes = channel.unit_id is None or channel.unit_id in standing.get(notice.person_id, frozenset())
            if goes and (emergency or (notice.person_id, channel.pk, notice.kind) not in unwanted):
                rows.append(Outgoing(notice=notice, channel=channel, due_at=when))
    return rows


def send_out(*, at: datetime) -> int:
    """Send what is due, bundled into one message for each person and channel, or each group; how many notices left.

    A message may be sent twice if the sender dies between the host's yes and our note of it; it is never lost.
    """
    began, sent = monotonic(), 0
    while monotonic() - began < BUDGET:
        if (rows := _leased(at)) is None:
            break
        sent += _send(rows, at, began)
    return sent


_LEASE = """
UPDATE people_outgoing SET attempts = attempts + 1, due_at = %(until)s WHERE id IN (
    SELECT o.id FROM people_outgoing o JOIN people_channel c ON c.id = o.channel_id
    WHERE o.dead_at IS NULL AND o.due_at <= %(at)s AND c.is_active
    ORDER BY o.due_at, o.id LIMIT %(batch)s FOR UPDATE OF o SKIP LOCKED
) RETURNING id
"""


def _leased(at: datetime) -> list[Outgoing] | None:
    with connection.cursor() as cursor:
        cursor.execute(_LEASE, {"at": at, "until": at + LEASE, "batch": BATCH})
        ids = [row[0] for row in cursor.fetchall()]
    if not ids:
        return None
    # What was read inside while it waited for the morning is said.
    Outgoing.objects.filter(pk__in=ids, notice__read_at__isnull=False).delete()
    rows = Outgoing.objects.filter(pk__in=ids).select_related("channel", "notice", "notice__person")
    return list(rows.order_by("id"))


def _send(rows: Sequence[Outgoing], at: datetime, began: float) -> int:
    persons = {r.notice.person_id for r in rows}
    languages = dict(NoticeSettings.objects.filter(person_id__in=persons).values_list("person_id", "language"))
    addresses = {
        (person, channel): locked
        for person, channel, locked in NoticeAddress.objects.filter(person_id__in=persons).values_list(
            "person_id", "channel_id", "locked"
        )
    }
    bundles: dict[tuple[int, int], list[Outgoing]] = defaultdict(list)
    for row in rows:
        to = row.notice.person_id if row.channel.audience == Channel.Audience.PERSON else 0
        bundles[row.channel_id, to].append(row)
    sent = 0
    for (channel_id, person), bundle in bundles.items():
        ids = [row.pk for row in bundle]
        if monotonic() - began > BUDGET:  # the rest of the batch goes with the next run, and this was no try
            _put_back(ids, at)
            continue
        channel, locked = bundle[0].channel, addresses.get((person, channel_id), "")
        if person and not locked:  # the person took the address away in the meantime
            Outgoing.objects.filter(pk__in=ids).delete()
            continue
        title, lines = bundled(_lines(bundle, named=not person), languages.get(person, "zh"))
        try:
            address = keys.unlock(locked, _PURPOSE) if locked else ""
            outgoing.send(_url(channel, address), base=channel.base, title=title, lines=lines, hosts=hosts())
        except outgoing.NotSent as no:
            _failed(bundle, no.word, at)
        except keys.LockedForever:
            _failed(bundle, "key missing", at)
        else:
            Outgoing.objects.filter(pk__in=ids).delete()
            sent += len(ids)
    return sent


def _lines(bundle: Sequence[Outgoing], *, named: bool) -> list[Sentence]:
    """One line for each thing that is told; in a group with the names of those whom it concerns."""
    site = getattr(settings, "GRIDLOOP_SITE", "")
    told: dict[tuple[str, str], list[Notice]] = defaultdict(list)
    for row in bundle:
        sentence = Sentence.stored(row.notice.sentence)
        told[sentence.zh, sentence.en].append(row.notice)
    lines = []
    for (zh, en), notices in told.items():
        urgent = any(kind_of(n.kind).emergency for n in notices)
        link = f" {site}/account/notices/{notices[0].pk}" if site and not named and notices[0].case_id else ""
        who = list(dict.fromkeys(n.person.name for n in notices)) if named else []
        to_zh, to_en = ("、".join(who) + "：", ", ".join(who) + ": ") if who else ("", "")
        cry_zh, cry_en = ("【紧急】", "URGENT: ") if urgent else ("", "")
        lines.append(Sentence(zh=f"{cry_zh}{to_zh}{zh}{link}", en=f"{cry_en}{to_en}{en}{link}"))
    return lines


def _failed(bundle: Sequence[Outgoing], word: str, at: datetime) -> None:
    by_attempts: dict[int, list[int]] = defaultdict(list)
    for row in bundle:
        by_attempts[row.attempts].append(row.pk)
    for attempts, ids in by_attempts.items():
        again = next_try(attempts, at)
        change: dict[str, Any] = {"due_at": again} if again else {"dead_at": at}
        Outgoing.objects.filter(pk__in=ids).update(error=word, **change)


def _put_back(ids: Sequence[int], at: datetime) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE people_outgoing SET attempts = attempts - 1, due_at = %s WHERE id = ANY(%s)", [at, list(ids)]
        )


# --- what could not be sent ----------------------------------------------------------------------------------------


def health(at: datetime) -> dict[str, Any]:
    """How many notices are due to leave, the age of the oldest, and how many nobody tries to send any more."""
    waiting = Outgoing.objects.filter(dead_at__isnull=True, due_at__lte=at).aggregate(
        n=Count("id"), oldest=Min("due_at")
    )
    dead = Outgoing.objects.filter(dead_at__isnull=False).count()
    oldest = (at - waiting["oldest"]).total_seconds() if waiting["oldest"] else 0.0
    return {"waiting": waiting["n"], "oldest_seconds": round(max(0.0, oldest), 3), "dead": dead}


def dead_ones(viewer: Viewer) -> list[Outgoing]:
    """What nobody tries to send any more, the newest 100; for the system administrator, without what it says."""
    viewer.need("operate")
    rows = Outgoing.objects.filter(dead_at__isnull=False).select_related("channel").order_by("-id")
    return list(rows.defer("notice")[:100])


def try_again(*, viewer: Viewer, at: datetime) -> int:
    """Try all of them once more from the beginning, when the cause is mended; how many."""
    viewer.need("operate")
    return Outgoing.objects.filter(dead_at__isnull=False).update(dead_at=None, attempts=0, due_at=at, error="")


def forget(*, viewer: Viewer) -> int:
    """Give them up: they are told inside the application in any case; how many."""
    viewer.need("operate")
    count, _ = Outgoing.objects.filter(dead_at__isnull=False).delete()
    return count


def minutes_of(text: str) -> int:
    """Minutes after midnight of ``22:30``; -1 if it is no time of day."""
    hours, _, minutes = text.partition(":")
    if not (hours.isascii() and hours.isdigit() and minutes.isascii() and minutes.isdigit()):
        return -1
    found = int(hours) * 60 + int(minutes)
    return found if int(hours) < 24 and int(minutes) < 60 else -1
