"""The codes of the grid tree: what they look like, what they mean, which one comes next.

A code is a string prefix of the codes of everything below it, so "the subtree of" is "starts with":

======  ==================================  ==========================================================
digits  level                               layout
======  ==================================  ==========================================================
6       district 区                         GB/T 2260 county code
9       street 街道                         district + 3 (its first digit tells the kind, `street_kind`)
12      community 社区                      street + 3 (001-199 neighbourhood, 200-399 village committee)
16      grid 网格                           community + type letter + 3 (Gridloop design)
19      micro-grid 微网格                   grid + 3 (Gridloop design)
======  ==================================  ==========================================================

A unit cell (单元网格, GB/T 30428.1) is another quantity that people also call "grid": 15 digits = community + 3,
about 100 m x 100 m, joined to the tree only through its community. The layout of GB/T 34300 could not be read;
the grid and micro-grid layouts are our own and a column keeps the district's own number beside them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

from gridloop.kernel.language import Sentence


class Level(StrEnum):
    """The levels of the grid tree, from the top."""

    DISTRICT = "district"
    STREET = "street"
    COMMUNITY = "community"
    GRID = "grid"
    MICRO_GRID = "micro_grid"

    @property
    def label(self) -> Sentence:
        return _LABELS[self]

    @property
    def digits(self) -> int:
        """The length of a code of this level."""
        return _DIGITS[self]

    @property
    def above(self) -> Level | None:
        """The level of the parent; None for a district."""
        place = _ORDER.index(self)
        return _ORDER[place - 1] if place else None


class GridType(StrEnum):
    """The letter in a grid's code (Gridloop design, after the types of DB6101/T 3185-2024 and Zhengzhou's practice)."""

    BASIC = "B"
    """基础网格: 300-500 households of a neighbourhood."""
    EXCLUSIVE = "Z"
    """专属网格: a mall, school, park or business quarter."""
    RURAL = "R"
    """农村网格: by villagers' group."""


UNIT_CELL_DIGITS = 15
PRIVATE_DISTRICT = "9"
"""First digit of district codes that no authority issues (GB/T 2260 provinces end at 82): ours for districts elsewhere.
In them the street and community parts are plain numbers 001-999."""

_ORDER = tuple(Level)
_DIGITS = {
    Level.DISTRICT: 6,
    Level.STREET: 9,
    Level.COMMUNITY: 12,
    Level.GRID: 16,
    Level.MICRO_GRID: 19,
}
_LABELS = {
    Level.DISTRICT: Sentence(zh="区", en="district"),
    Level.STREET: Sentence(zh="街道", en="street"),
    Level.COMMUNITY: Sentence(zh="社区", en="community"),
    Level.GRID: Sentence(zh="网格", en="grid"),
    Level.MICRO_GRID: Sentence(zh="微网格", en="micro-grid"),
}
_BY_DIGITS = {digits: level for level, digits in _DIGITS.items()}
_PATTERNS = {
    Level.DISTRICT: re.compile(r"[0-9]{6}"),
    Level.STREET: re.compile(r"[0-9]{9}"),
    Level.COMMUNITY: re.compile(r"[0-9]{12}"),
    Level.GRID: re.compile(r"[0-9]{12}[BZR][0-9]{3}"),
    Level.MICRO_GRID: re.compile(r"[0-9]{12}[BZR][0-9]{6}"),
}
_CELL = re.compile(r"[0-9]{15}")


class CodesExhausted(ValueError):
    """A parent has used its last number. Codes are never re-issued, so a person must divide the parent."""


def level_of(code: str) -> Level:
    """The level that a code's length tells; ValueError if no level has it."""
    try:
        return _BY_DIGITS[len(code)]
    except KeyError:
        raise ValueError(f"{code!r} has {len(code)} characters; no level of the tree has that many") from None


def parent_of(code: str) -> str:
    """The code of the region above; "" for a district."""
    above = level_of(code).above
    return code[: _DIGITS[above]] if above else ""


def ancestors_of(code: str) -> list[str]:
    """The codes above a region's, the district first."""
    return [code[:digits] for digits in _BY_DIGITS if digits < len(code)]


def is_within(code: str, subtree: str) -> bool:
    """Whether `code` is `subtree` or lies below it."""
    return code.startswith(subtree)


def street_kind(code: str) -> str:
    """What the street part of a code says: ``street``, ``township``, ``town``, ``special`` or ``area``.

    001-099 street offices, 100-199 towns, 200-399 townships, 400-599 special units (the statistics bureau's coding
    rules). ``area`` in private districts.
    """
    if code.startswith(PRIVATE_DISTRICT):
        return "area"
    part = int(code[6:9])
    if part < 100:
        return "street"
    if part < 200:
        return "town"
    return "township" if part < 400 else "special"


def community_kind(code: str) -> str:
    """``neighbourhood`` (社区居委会, 001-199), ``village`` (村委会, 200-399), ``other``; ``area`` in private districts.

    Observed in the statistics bureau's list of 2023-06-30.
    """
    if code.startswith(PRIVATE_DISTRICT):
        return "area"
    part = int(code[9:12])
    if part < 200:
        return "neighbourhood"
    return "village" if part < 400 else "other"


def grid_type(code: str) -> GridType:
    """The type of a grid, or of the grid around a micro-grid."""
    return GridType(code[12])


def official(code: str) -> str:
    """A district's, street's or community's code as the statistics bureau prints it: 12 digits, padded with zeros."""
    if len(code) > 12:
        raise ValueError(f"{code!r} is below the community: it has no official 12-digit form")
    return code.ljust(12, "0")


def from_official(code: str) -> str:
    """The short code of an official 12-digit one: ``410104000000`` is district ``410104``."""
    for digits in (6, 9):
        if len(code) == 12 and code.isdigit() and code[digits:] == "0" * (12 - digits):
            return code[:digits]
    return code


def check_code(code: str, level: Level) -> tuple[Sentence, Sentence] | None:
    """What is wrong with `code` as a code of `level`, and what to write instead; None if nothing is."""
    if not _PATTERNS[level].fullmatch(code):
        shape = {
            Level.GRID: Sentence(
                zh="12 位社区代码 + 类型字母 B/Z/R + 3 位序号，例如 410104002002B001",
                en="the 12-digit community code + type letter B/Z/R + 3 digits, such as 410104002002B001",
            ),
            Level.MICRO_GRID: Sentence(
                zh="16 位网格代码 + 3 位序号，例如 410104002002B001001",
                en="the 16-character grid code + 3 digits, such as 410104002002B001001",
            ),
        }.get(level, Sentence(zh=f"{level.digits} 位数字", en=f"{level.digits} digits"))
        return (
            Sentence(
                zh=f"“{shown(code)}”不是{level.label.zh}代码", en=f"“{shown(code)}” is not a {level.label.en} code"
            ),
            shape,
        )
    if level is Level.DISTRICT:
        if code[0] == "0":
            return _no_such_number(code, "001", "region")
        return None
    if not code.startswith(PRIVATE_DISTRICT) and level is Level.STREET and int(code[6:9]) > 599:
        return (
            Sentence(zh=f"街道段“{code[6:9]}”大于 599", en=f"the street part “{code[6:9]}” is above 599"),
            Sentence(
                zh="001–099 街道，100–199 镇，200–399 乡，400–599 特殊单位",
                en="001–099 street, 100–199 town, 200–399 township, 400–599 special unit",
            ),
        )
    if code[-3:] == "000":
        return _no_such_number(code, "001", level.label.en)
    if level is Level.COMMUNITY and code[6:9] == "000":
        return _no_such_number(code, "001", "street")
    return None


def check_cell_code(code: str) -> tuple[Sentence, Sentence] | None:
    """What is wrong with the code of a unit cell, and what to write instead; None if nothing is."""
    if not _CELL.fullmatch(code):
        return (
            Sentence(zh=f"“{shown(code)}”不是单元网格代码", en=f"“{shown(code)}” is not a unit cell code"),
            Sentence(
                zh="15 位数字：12 位社区代码 + 3 位序号 001–999", en="15 digits: the 12-digit community code + 001–999"
            ),
        )
    if code[-3:] == "000":
        return _no_such_number(code, "001", "unit cell")
    return None


def _no_such_number(code: str, first: str, what: str) -> tuple[Sentence, Sentence]:
    return (
        Sentence(zh=f"代码“{code}”的序号为零", en=f"the number in {what} code “{code}” is zero"),
        Sentence(zh=f"序号从 {first} 开始", en=f"numbers begin at {first}"),
    )


def shown(text: object, most: int = 40) -> str:
    """A value from a file as it may stand in a message: short, and on one line."""
    plain = " ".join(str(text).split())
    return plain if len(plain) <= most else plain[: most - 1] + "…"


def next_codes(prefix: str, used: Iterable[str], count: int) -> list[str]:
    """The next `count` codes of three digits after `prefix`.

    `used` are all codes ever issued under the prefix, retired ones included: a retired code is never issued again,
    so numbering goes on after the highest. CodesExhausted if 999 does not suffice.
    """
    numbers = [code[len(prefix) : len(prefix) + 3] for code in used if code.startswith(prefix)]
    first = max((int(number) for number in numbers if number.isdigit()), default=0) + 1
    if first + count - 1 > 999:
        raise CodesExhausted(
            f"{prefix} has {999 - first + 1} numbers left and needs {count}: "
            "codes are never issued twice, so divide the parent"
        )
    return [f"{prefix}{number:03d}" for number in range(first, first + count)]
