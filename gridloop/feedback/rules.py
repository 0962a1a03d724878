"""Which answer template fits a case today, and what becomes of its placeholders. Values in, values out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from typing import Any

from gridloop.kernel.errors import Mistake
from gridloop.kernel.language import Sentence

PLACEHOLDERS = ("number", "type", "unit", "due")
_DAY = re.compile(r"(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])")
_PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def in_season(template: Any, day: date) -> bool:
    """Whether the day lies in the template's season, both ends included; a season may run over the new year."""
    start, end, today = template.season_from, template.season_until, f"{day:%m-%d}"
    if not start or not end:
        return True
    return bool(start <= today <= end) if start <= end else bool(today >= start or today <= end)


def fits(template: Any, *, verb: str, case_type: str, state: str, day: date) -> bool:
    """Whether a template may be put into the text of this verb for such a case today."""
    return (
        template.active
        and template.verb in ("", verb)
        and template.state in ("", state)
        and case_type.startswith(template.group)
        and in_season(template, day)
    )


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders filled; what is not known stays visible, so that nobody sends it unread."""
    return _PLACEHOLDER.sub(lambda m: values.get(m.group(1)) or m.group(0), text)


def mistakes(template: Any) -> list[Mistake]:
    """Everything that is wrong with a template that somebody wants to keep."""
    found = []

    def wrong(place: str, zh: str, en: str, instead_zh: str, instead_en: str) -> None:
        found.append(Mistake(place, Sentence(zh=zh, en=en), Sentence(zh=instead_zh, en=instead_en)))

    if not 1 <= len(template.name) <= 60:
        wrong("name", "名称为空或过长", "is empty or too long", "写1到60个字", "write 1 to 60 characters")
    if not template.zh.strip():
        wrong("zh", "中文内容为空", "the Chinese text is empty", "写明要答复的话", "write what is answered")
    for place, text in (("zh", template.zh), ("en", template.en)):
        if len(text) > 2000:
            wrong(place, "超过2000字", "has more than 2000 characters", "写短一些", "write less")
        known = "、".join(f"{{{p}}}" for p in PLACEHOLDERS)
        for name in dict.fromkeys(_PLACEHOLDER.findall(text)):
            if name not in PLACEHOLDERS:
                wrong(
                    place,
                    f"不认识占位符{{{name}}}",
                    f"there is no placeholder {{{name}}}",
                    f"可用：{known}",
                    f"there are {known.replace('、', ', ')}",
                )
    if bool(template.season_from) != bool(template.season_until):
        wrong(
            "season_from", "季节只写了一头", "one end of the season is missing", "两头都写或都不写", "give both or none"
        )
    for place in ("season_from", "season_until"):
        value = getattr(template, place)
        if value and not _DAY.fullmatch(value):
            wrong(place, "不是日期", "is no day of the year", "例如 06-01", "write for example 06-01")
    return found
