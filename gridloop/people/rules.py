"""What a file of units or of people must say, row by row: text in, drafts and mistakes out."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from gridloop.kernel.errors import Mistake
from gridloop.kernel.language import Sentence
from gridloop.people.roles import ROLES, SEPARATED

UNIT_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "code": ("编码", "单位编码"),
    "name": ("名称", "单位名称", "zh"),
    "name_en": ("英文名称", "en"),
    "kind": ("类别", "单位类别"),
    "function": ("职能",),
    "parent": ("上级", "上级单位", "parent_code"),
    "region_code": ("区域", "区域编码", "region"),
    "starts_on": ("开始日期",),
    "ends_on": ("结束日期",),
    "synthetic": ("合成",),
}
"""The columns of a units file, each with the other names by which it is known."""
PERSON_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "username": ("用户名",),
    "name": ("姓名",),
    "role": ("岗位", "角色"),
    "unit": ("单位", "单位编码", "unit_code"),
    "region_code": ("区域", "区域编码", "region"),
    "starts_on": ("开始日期",),
    "ends_on": ("结束日期",),
    "synthetic": ("合成",),
}
"""The columns of a people file; one row is one post, a person with two posts has two rows."""
NEVER = (
    "password",
    "passwd",
    "pwd",
    "口令",
    "密码",
    "身份证",
    "身份证号",
    "id_number",
    "民族",
    "ethnicity",
    "宗教",
    "religion",
)
"""Columns that no file may have: a password travels in no file, the others are not ours to know."""
USERNAME = re.compile(r"[a-z0-9][a-z0-9._-]{1,59}")
UNIT_CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")
REGION_CODE = re.compile(r"[A-Za-z0-9]{1,19}")
KINDS = ("district", "street", "community", "department", "utility", "company")


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitDraft:
    """One row of a units file."""

    row: int
    code: str
    name: str
    name_en: str = ""
    kind: str
    function: str = ""
    parent: str = ""
    region_code: str = ""
    starts_on: date | None = None
    ends_on: date | None = None
    synthetic: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PostDraft:
    """One row of a people file."""

    row: int
    username: str
    name: str
    role: str
    unit: str
    region_code: str = ""
    starts_on: date | None = None
    ends_on: date | None = None
    synthetic: bool = False


class _Reader:
    """Reads the cells of one row and collects what is wrong with them."""

    def __init__(self, row: int, cells: Mapping[str, str], columns: Mapping[str, tuple[str, ...]]) -> None:
        self.row = row
        self.cells = {own: _first(cells, (own, *others)) for own, others in columns.items()}
        self.mistakes: list[Mistake] = []

    def wrong(self, column: str, zh: str, en: str, instead_zh: str, instead_en: str) -> None:
        self.mistakes.append(
            Mistake(f"row {self.row}, {column}", Sentence(zh=zh, en=en), Sentence(zh=instead_zh, en=instead_en))
        )

    def text(self, column: str, *, needed: bool = False, most: int = 120) -> str:
        value = self.cells[column]
        if needed and not value:
            self.wrong(column, "为空", "is empty", "填上", "fill it in")
        if len(value) > most:
            self.wrong(column, "太长", "is too long", f"最多{most}个字", f"at most {most} characters")
        return value

    def like(self, column: str, pattern: re.Pattern[str], example: str, *, needed: bool = False) -> str:
        value = self.text(column, needed=needed, most=60)
        if value and not pattern.fullmatch(value):
            self.wrong(
                column,
                f"“{value}”写法不对",
                f"“{value}” is not written right",
                f"例如 {example}",
                f"for example {example}",
            )
        return value

    def among(self, column: str, known: Collection[str]) -> str:
        value = self.text(column, needed=True, most=40)
        if value and value not in known:
            choice = "、".join(known), ", ".join(known)
            self.wrong(
                column, f"没有“{value}”", f"there is no “{value}”", f"写其中之一：{choice[0]}", f"one of: {choice[1]}"
            )
        return value

    def day(self, column: str) -> date | None:
        value = self.cells[column]
        if not value:
            return None
        try:
            return date.fromisoformat(value.replace("/", "-")[:10])
        except ValueError:
            self.wrong(column, f"“{value}”不是日期", f"“{value}” is not a date", "写成 2026-01-31", "write 2026-01-31")
            return None

    def days(self) -> tuple[date | None, date | None]:
        first, last = self.day("starts_on"), self.day("ends_on")
        if first and last and last <= first:
            self.wrong(
                "ends_on",
                "不晚于开始日期",
                "is not after starts_on",
                "写不再任职的第一天",
                "write the first day without it",
            )
        return first, last

    def flag(self, column: str) -> bool:
        value = self.cells[column].lower()
        if value not in ("", "0", "1", "yes", "no", "true", "false", "是", "否"):
            self.wrong(
                column, f"“{value}”不是是或否", f"“{value}” is neither yes nor no", "写 是 或 否", "write yes or no"
            )
        return value in ("1", "yes", "true", "是")


def _first(cells: Mapping[str, str], names: Sequence[str]) -> str:
    return next((cells[name].strip() for name in names if cells.get(name)), "")


def check_columns(found: Iterable[str], columns: Mapping[str, tuple[str, ...]], needed: Sequence[str]) -> list[Mistake]:
    """What is wrong with the head of a file: unknown, forbidden and missing columns, all at once."""
    found = [c.strip() for c in found]
    known = {name: own for own, others in columns.items() for name in (own, *others)}
    mistakes = []
    for column in found:
        if column.lower() in NEVER:
            mistakes.append(
                Mistake(
                    f"column {column}",
                    Sentence(zh="文件里不许有这一列", en="must not be in the file"),
                    Sentence(zh="删去这一列；首次登录用一次性代码", en="delete it; first log-ins use one-time codes"),
                )
            )
        elif column not in known:
            mistakes.append(
                Mistake(
                    f"column {column}",
                    Sentence(zh="不认识的列", en="is not known"),
                    Sentence(zh=f"可用的列：{'、'.join(columns)}", en=f"known columns: {', '.join(columns)}"),
                )
            )
    have = {known.get(c) for c in found}
    mistakes += [
        Mistake(f"column {c}", Sentence(zh="缺少这一列", en="is missing"), Sentence(zh="加上这一列", en="add it"))
        for c in needed
        if c not in have
    ]
    return mistakes


def read_units(
    rows: Iterable[tuple[int, Mapping[str, str]]], known_units: Collection[str]
) -> tuple[list[UnitDraft], list[Mistake]]:
    """Drafts of units, parents before children, and every mistake. `known_units` are the codes already stored."""
    drafts: dict[str, UnitDraft] = {}
    mistakes: list[Mistake] = []
    for number, cells in rows:
        read = _Reader(number, cells, UNIT_COLUMNS)
        code = read.like("code", UNIT_CODE, "410104001-JDB", needed=True)
        if code in drafts:
            read.wrong(
                "code",
                f"与第{drafts[code].row}行重复",
                f"repeats row {drafts[code].row}",
                "每个单位一行",
                "one row for each unit",
            )
        first, last = read.days()
        draft = UnitDraft(
            row=number,
            code=code,
            name=read.text("name", needed=True),
            name_en=read.text("name_en"),
            kind=read.among("kind", KINDS),
            function=read.text("function", most=40),
            parent=read.like("parent", UNIT_CODE, "410104"),
            region_code=read.like("region_code", REGION_CODE, "410104001"),
            starts_on=first,
            ends_on=last,
            synthetic=read.flag("synthetic"),
        )
        mistakes += read.mistakes
        drafts.setdefault(code, draft)
    for draft in drafts.values():
        if draft.parent and draft.parent not in drafts and draft.parent not in known_units:
            mistakes.append(_unknown_unit(draft.row, "parent", draft.parent))
    ordered, circle = _parents_first(drafts)
    mistakes += [
        Mistake(
            f"row {drafts[code].row}, parent",
            Sentence(zh="上级关系成环", en="the parents go round in a circle"),
            Sentence(zh="改掉其中一个上级", en="give one of them another parent"),
        )
        for code in circle
    ]
    return ordered, mistakes


def _parents_first(drafts: Mapping[str, UnitDraft]) -> tuple[list[UnitDraft], list[str]]:
    ordered: list[UnitDraft] = []
    placed: set[str] = set()
    waiting = list(drafts.values())
    while waiting:
        ready = [d for d in waiting if d.parent not in drafts or d.parent in placed]
        if not ready:
            return ordered, [d.code for d in waiting]
        ordered += ready
        placed |= {d.code for d in ready}
        waiting = [d for d in waiting if d.code not in placed]
    return ordered, []


def _unknown_unit(row: int, column: str, code: str) -> Mistake:
    return Mistake(
        f"row {row}, {column}",
        Sentence(zh=f"没有编码为“{code}”的单位", en=f"there is no unit with the code “{code}”"),
        Sentence(zh="先导入这个单位，或改正编码", en="import that unit first, or correct the code"),
    )


@dataclass(frozen=True, slots=True)
class Span:
    """A post as the separation of administrators looks at it."""

    role: str
    starts_on: date
    ends_on: date | None

    def meets(self, other: Span) -> bool:
        """Whether the two share a day."""
        return self.starts_on < (other.ends_on or date.max) and other.starts_on < (self.ends_on or date.max)


def breaks_separation(posts: Sequence[Span]) -> bool:
    """Whether somebody would hold two different of the three separated administrators on one day."""
    watched = [p for p in posts if p.role in SEPARATED]
    return any(a.role != b.role and a.meets(b) for n, a in enumerate(watched) for b in watched[:n])


def read_people(
    rows: Iterable[tuple[int, Mapping[str, str]]],
    *,
    unit_regions: Mapping[str, str],
    known_regions: Collection[str] | None,
    stored_posts: Callable[[Collection[str]], Mapping[str, Mapping[tuple[str, str, str], Span]]],
    today: date,
) -> tuple[list[PostDraft], list[Mistake]]:
    """Drafts of posts and every mistake.

    `unit_regions`: unit code -> region code of all stored units. `known_regions`: codes of all regions, or None when
    the caller cannot know them. `stored_posts`: given user names, the posts each has, by (role, unit, region).
    """
    drafts: list[PostDraft] = []
    mistakes: list[Mistake] = []
    names: dict[str, tuple[str, int]] = {}
    seen: dict[tuple[str, str, str, str], int] = {}
    for number, cells in rows:
        read = _Reader(number, cells, PERSON_COLUMNS)
        username = read.like("username", USERNAME, "wang.xm", needed=True)
        name = read.text("name", needed=True, most=60)
        role = read.among("role", ROLES)
        unit = read.text("unit", needed=True, most=40)
        region = read.like("region_code", REGION_CODE, "410104001001B001")
        first, last = read.days()
        synthetic = read.flag("synthetic")
        if username in names and names[username][0] != name:
            read.wrong(
                "name",
                f"与第{names[username][1]}行同一用户名的姓名不同",
                f"differs from row {names[username][1]}, the same user name",
                "一个用户名只给一个人",
                "one user name for one person",
            )
        names.setdefault(username, (name, number))
        if unit and unit not in unit_regions:
            read.mistakes.append(_unknown_unit(number, "unit", unit))
        elif region and not region.startswith(unit_regions.get(unit, "")):
            read.wrong(
                "region_code",
                f"“{region}”不在单位的区域“{unit_regions[unit]}”内",
                f"“{region}” is not in the unit's region “{unit_regions[unit]}”",
                "改正区域，或换一个单位",
                "correct the region, or name another unit",
            )
        if region and known_regions is not None and region not in known_regions:
            read.wrong(
                "region_code",
                f"没有区域“{region}”",
                f"there is no region “{region}”",
                "先导入网格",
                "import the grids first",
            )
        post = (username, role, unit, region)
        if post in seen:
            read.wrong(
                "username",
                f"与第{seen[post]}行重复",
                f"repeats row {seen[post]}",
                "每个岗位一行",
                "one row for each post",
            )
        seen.setdefault(post, number)
        mistakes += read.mistakes
        drafts.append(
            PostDraft(
                row=number,
                username=username,
                name=name,
                role=role,
                unit=unit,
                region_code=region,
                starts_on=first,
                ends_on=last,
                synthetic=synthetic,
            )
        )
    return drafts, mistakes + _separation(drafts, stored_posts, today)


def _separation(
    drafts: Sequence[PostDraft],
    stored_posts: Callable[[Collection[str]], Mapping[str, Mapping[tuple[str, str, str], Span]]],
    today: date,
) -> list[Mistake]:
    watched = {d.username for d in drafts if d.role in SEPARATED}
    posts = {u: dict(p) for u, p in stored_posts(watched).items()} if watched else {}
    last_row: dict[str, int] = {}
    for draft in drafts:
        if draft.username in watched and draft.role in SEPARATED:
            mine = posts.setdefault(draft.username, {})
            key = (draft.role, draft.unit, draft.region_code)
            before = mine.get(key)
            starts = draft.starts_on or (before.starts_on if before else today)
            mine[key] = Span(draft.role, starts, draft.ends_on or (before.ends_on if before else None))
            last_row[draft.username] = draft.row
    return [
        Mistake(
            f"row {last_row[username]}, role",
            SEPARATION,
            Sentence(zh="换一个人担任", en="give one of the posts to another person"),
        )
        for username in sorted(watched)
        if breaks_separation(list(posts[username].values()))
    ]


SEPARATION = Sentence(
    zh="系统管理员、安全管理员、审计管理员不得由同一人兼任",
    en="nobody may be two of system, security and audit administrator",
)


_BROWSERS = (
    ("wxwork", "WeCom 企业微信"),
    ("MicroMessenger", "WeChat 微信"),
    ("DingTalk", "DingTalk 钉钉"),
    ("Edg", "Edge"),
    ("OPR", "Opera"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)
_SYSTEMS = (
    ("OpenHarmony", "HarmonyOS"),
    ("HarmonyOS", "HarmonyOS"),
    ("Android", "Android"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Windows", "Windows"),
    ("Mac OS", "macOS"),
    ("Linux", "Linux"),
)


def browser_of(user_agent: str) -> str:
    """The kind of browser and system in a few words, enough to recognise one's own; "" if it says nothing known."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return " · ".join(part for part in (browser, system) if part)
