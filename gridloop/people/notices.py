"""Kinds of notices and when a person wants them: values in, values out.

An emergency asks nobody: no choice silences it and no night holds it back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from gridloop.kernel.language import Sentence


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of notice: its icon, its name, and whether it is an emergency."""

    icon: str
    name: Sentence
    emergency: bool = False


def _kind(icon: str, zh: str, en: str, *, emergency: bool = False) -> Kind:
    return Kind(icon, Sentence(zh=zh, en=en), emergency)


KINDS: Mapping[str, Kind] = {
    "emergency": _kind("flame", "紧急案件派到我处", "An urgent case comes to me", emergency=True),
    "assigned": _kind("send", "案件派到我处", "A case comes to me"),
    "rework": _kind("rotate-ccw", "案件退回重办", "A case comes back to me"),
    "returned": _kind("undo-2", "单位退单", "A unit returns a case"),
    "decide": _kind("hand", "有申请等我决定", "Somebody asks me to decide"),
    "decided": _kind("check", "我的申请有了结果", "What I asked for is decided"),
    "deadline_near": _kind("alarm-clock", "时限将到", "A deadline is near"),
    "deadline_passed": _kind("circle-alert", "已经超期", "A deadline has passed"),
    "urged": _kind("megaphone", "催办与督办", "Somebody urges or supervises"),
    "reveal_quota": _kind("eye", "查看联系方式达到上限", "Somebody used up the day's reveals"),
}
"""Every kind that there is, in the order of the page of choices."""

OTHER = _kind("bell", "其他", "Other")


def kind_of(word: str) -> Kind:
    """The kind of this name; one that no longer exists is called "other"."""
    return KINDS.get(word, OTHER)


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours in which a person is left alone: minutes after midnight in the district. Both the same: never."""

    start: int = 22 * 60
    end: int = 7 * 60


def due(at: datetime, quiet: Quiet, zone: ZoneInfo, *, emergency: bool) -> datetime:
    """When a notice of this moment may leave: now, or when the quiet hours end."""
    if emergency or quiet.start == quiet.end:
        return at
    local = at.astimezone(zone)
    minute = local.hour * 60 + local.minute
    overnight = quiet.start > quiet.end
    inside = minute >= quiet.start or minute < quiet.end if overnight else quiet.start <= minute < quiet.end
    if not inside:
        return at
    morning = local.replace(hour=quiet.end // 60, minute=quiet.end % 60, second=0, microsecond=0)
    if overnight and minute >= quiet.start:
        morning += timedelta(days=1)
    return morning.astimezone(at.tzinfo)


BACK_OFF = (1, 4, 16, 60, 240)
"""Minutes before the second, third ... try; after the last one nobody tries any more."""


def next_try(attempts: int, at: datetime) -> datetime | None:
    """When to try again after so many tries; None = never."""
    return at + timedelta(minutes=BACK_OFF[attempts - 1]) if attempts <= len(BACK_OFF) else None


MOST_LINES = 20


def bundled(lines: list[Sentence], language: str) -> tuple[str, list[str]]:
    """Title and lines of one message for many notices; of more than twenty the rest is counted."""
    n = len(lines)
    said = [line.en if language == "en" else line.zh for line in lines[:MOST_LINES]]
    more = n - len(said)
    if more:
        said.append(f"… and {more} more" if language == "en" else f"……另有{more}条")
    title = f"Gridloop: {n} notice{'s' if n > 1 else ''}" if language == "en" else f"格环：{n}条消息"
    return title, said
