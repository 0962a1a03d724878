"""What every template may say: two languages, moments, states, icons. Loaded for all templates."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.conf import settings
from django.utils.html import conditional_escape, format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import get_language

from gridloop.cases.workflow import STATES
from gridloop.kernel import clock
from gridloop.kernel.language import Sentence
from gridloop.web.shell import assets

register = template.Library()


def zone() -> ZoneInfo:
    """The district's zone: times are UTC everywhere but on a screen."""
    return ZoneInfo(getattr(settings, "GRIDLOOP_ZONE", "Asia/Shanghai"))


def in_english() -> bool:
    return (get_language() or "zh").startswith("en")


@register.simple_tag
def say(zh: str, en: str, **values: Any) -> SafeString:
    """One sentence in both languages, where it is said: ``{% say "共{n}件" "{n} cases" n=count %}``."""
    text = en if in_english() else zh
    return format_html(text, **values) if values else conditional_escape(text)


@register.filter
def told(value: Any) -> str:
    """A sentence, or one as it is stored, in the active language. Everything else as it is."""
    if isinstance(value, Mapping) and "zh" in value:
        return str(Sentence.stored(value))
    return "" if value is None else str(value)


@register.filter
def named(thing: Any) -> str:
    """The name of a unit, a region or anything else that has one in both languages; Chinese where it has no other."""
    if thing is None:
        return "—"
    english: str = getattr(thing, "name_en", "") if in_english() else ""
    return english or str(thing.name)


@register.simple_tag
def asset(name: str) -> str:
    """The address of a static file."""
    return assets.asset(name)


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """A drawing of the sprite. It is decoration, unless it has a label."""
    named = format_html(' role="img" aria-label="{}"', label) if label else mark_safe(' aria-hidden="true"')
    return format_html(
        '<svg class="icon"{}><use href="{}#{}"></use></svg>', named, assets.asset("vendor/icons.svg"), name
    )


# --- time ----------------------------------------------------------------------------------------------------------


@register.filter
def moment(at: datetime | None) -> SafeString:
    """Day and minute in the district: ``10-08 09:30``, with the year where it is not this one."""
    if at is None:
        return mark_safe("—")
    local = at.astimezone(zone())
    form = "%m-%d %H:%M" if local.year == clock.now().astimezone(zone()).year else "%Y-%m-%d %H:%M"
    return format_html('<time datetime="{}">{}</time>', at.isoformat(), local.strftime(form))


@register.filter
def day(at: datetime | date | None) -> str:
    """The day in the district: ``2022-10-08``."""
    if at is None:
        return "—"
    return (at.astimezone(zone()).date() if isinstance(at, datetime) else at).isoformat()


def span(seconds: float) -> Sentence:
    """A length of time in the two largest units that matter."""
    minutes = int(abs(seconds) // 60)
    days, hours, minutes = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days >= 10:
        return Sentence(zh=f"{days}天", en=f"{days} d")
    if days:
        return Sentence(zh=f"{days}天{hours}小时", en=f"{days} d {hours} h")
    if hours:
        return Sentence(zh=f"{hours}小时{minutes}分", en=f"{hours} h {minutes} min")
    return Sentence(zh=f"{minutes}分钟", en=f"{minutes} min")


@register.filter
def ago(at: datetime | None) -> SafeString:
    """How long since, with the moment itself behind it."""
    if at is None:
        return mark_safe("—")
    past = span((clock.now() - at).total_seconds())
    text = Sentence(zh=f"{past.zh}前", en=f"{past.en} ago")
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), at.astimezone(zone()), text)


COLOURS = {
    "green": ("clock", Sentence(zh="剩{left}", en="{left} left")),
    "yellow": ("alarm-clock", Sentence(zh="仅剩{left}", en="only {left} left")),
    "red": ("circle-alert", Sentence(zh="超时{left}", en="{left} overdue")),
    "paused": ("circle-pause", Sentence(zh="暂停计时", en="clock stopped")),
    "done": ("circle-check", Sentence(zh="已办结", en="ended")),
    "none": ("minus", Sentence(zh="不计时", en="no clock")),
}
"""Colour of a clock: its icon and its words, so that the colour is never the only sign."""


def colour_of(case: Any, now: datetime) -> str:
    """The colour of a case's clock at a moment: from its columns, nothing is computed anew."""
    if case.closed_at is not None:
        return "done"
    if case.paused_at is not None:
        return "paused"
    if case.due_at is None:
        return "none"
    if now > case.due_at:
        return "red"
    return "yellow" if case.warn_at is None or now >= case.warn_at else "green"


@register.filter
def due(case: Any, now: datetime | None = None) -> SafeString:
    """The clock of a case as a chip: colour, sign and words; the deadline stands behind it."""
    now = now or clock.now()
    colour = colour_of(case, now)
    sign, sentence = COLOURS[colour]
    left = span((case.due_at - now).total_seconds()) if case.due_at is not None else Sentence(zh="", en="")
    words = Sentence(zh=sentence.zh.format(left=left.zh), en=sentence.en.format(left=left.en))
    title = "" if case.due_at is None else case.due_at.astimezone(zone()).strftime("%Y-%m-%d %H:%M")
    return format_html(
        '<span class="clock-chip {}" title="{}">{}<span>{}</span></span>', colour, title, icon(sign), words
    )


# --- cases ---------------------------------------------------------------------------------------------------------

SIGNS = {
    "reported": ("inbox", "wait"),
    "pending_verify": ("eye", "wait"),
    "pending_filing": ("file-text", "wait"),
    "pending_dispatch": ("split", "wait"),
    "dispatched": ("send", "work"),
    "handling": ("wrench", "work"),
    "suspended": ("circle-pause", "halt"),
    "returned": ("undo-2", "halt"),
    "handled": ("camera", "look"),
    "rework": ("rotate-ccw", "halt"),
    "pending_close": ("check", "look"),
    "closed": ("check-check", "end"),
    "forced_close": ("octagon-alert", "end"),
    "not_accepted": ("ban", "end"),
    "cancelled": ("x", "end"),
}
"""State -> icon and group of colour."""


@register.filter
def state(value: Any) -> SafeString:
    """A state as a pill. Takes a case or the word of a state."""
    word = value if isinstance(value, str) else value.state
    sign, group = SIGNS[word]
    return format_html('<span class="pill {}">{}{}</span>', group, icon(sign), STATES[word])


@register.filter
def number(value: Any) -> str:
    """A count with its thousands apart."""
    return f"{value:,}" if isinstance(value, int) else str(value)


@register.filter
def percent(value: float | None) -> str:
    """A share as a percentage with one digit; a dash where there is none."""
    return "—" if value is None else f"{100 * value:.1f}%"
