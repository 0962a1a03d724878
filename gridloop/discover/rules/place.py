"""Where a text says that something is, from the names of the district and the way addresses are written.

The most exact thing said wins: a crossing, then a compound, a building or a landmark, then a community, a road, a
street. A place is `sure` only where it is one place: one name, one point, exact enough to stand in one grid. Everything
else is handed back with what was understood and goes to a person; a shared name is never settled by a guess.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, hypot, radians

import ahocorasick

from gridloop.discover.rules.features import plain

METRES = 111_320.0
"""Of one degree of latitude."""
ONE_PLACE = 150.0
"""Points nearer than this (metres) are one place with several names."""
BESIDE = 300.0
"""Two exact places nearer than this (metres) do not contradict each other."""
NEARBY = 1_500.0
"""How near a second name must be to say which of several places of one name is meant (metres)."""
_EXACT = ("crossing", "compound", "landmark", "poi")
_RANK = {"crossing": 0, "compound": 1, "landmark": 1, "poi": 1, "community": 2, "road": 3, "street": 4, "district": 5}
_BETWEEN_ROADS = re.compile(r"[、/,，\s]{0,2}(?:与|和|同|跟|交|及|x|×|and|&)?[、/\s]{0,1}")
_STRETCH = re.compile(r"(?:之间|中间|至|到|往|路段|沿线)")
_CORNER = re.compile(
    r"(?:的)?(?:交叉|交汇|交会|交口|路口|十字|丁字|口|转盘|东北角|西北角|东南角|西南角|corner|intersection|junction)"
)
_NOT_HERE = re.compile(r"(?:不是|不在|并非|离开|去往|开往|前往|发往|通往)$")
_NUMBER = r"(?:[0-9]{1,5}|[一二三四五六七八九十百零〇]{1,5})"
_DETAIL = re.compile(
    "|".join(
        (
            rf"(?:{_NUMBER}|(?<![a-z])[a-z])\s*(?:号楼|栋|幢|号院|座)",
            rf"{_NUMBER}\s*单元(?:\s*[0-9]{{3,4}}(?![0-9年元米])室?)?",
            rf"{_NUMBER}\s*(?:层|楼)(?![房盘道梯下上顶宇市])",
            r"[0-9]{3,4}\s*(?:室|房(?![屋子价]))",
            rf"(?<![月0-9]){_NUMBER}\s*号(?![楼线院文0-9])",
        )
    ),
    re.IGNORECASE,
)
_NUMERAL = re.compile(rf"{_NUMBER}|[a-z]", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A name of the district's gazetteer and where it is (WGS-84 degrees).

    `kind`: crossing, compound, landmark, poi, community, road, street or district.
    """

    name: str
    aliases: tuple[str, ...] = ()
    kind: str
    lon: float
    lat: float
    region_code: str
    """The deepest region at the point; for a street or community its own code does as well."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text says that something is."""

    name: str
    region_code: str
    lon: float | None
    lat: float | None
    """None where several places bear the name."""
    sure: bool
    """Whether a case may be opened there without a person looking."""
    why: tuple[str, ...] = ()
    """What was read in the text, most telling first."""
    others: tuple[str, ...] = ()
    """Region codes of the other places that may be meant."""
    detail: str = ""
    """Building, unit, floor, room or house number as written; leave it out of what the public sees (`coarse`)."""


@dataclass(frozen=True, slots=True)
class _Seen:
    start: int
    end: int
    name: str
    entries: tuple[Entry, ...]

    @property
    def rank(self) -> int:
        return min(_RANK.get(entry.kind, len(_RANK)) for entry in self.entries)


class Gazetteer:
    """The names of a district, ready to be found in texts: some 20,000 texts a second."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._finder = ahocorasick.Automaton()
        named: dict[str, list[Entry]] = {}
        self._crossings: dict[frozenset[str], list[Entry]] = {}
        all_entries = list(entries)
        self._listed = [(" ".join(map(plain, (entry.name, *entry.aliases))), entry) for entry in all_entries]
        for entry in all_entries:
            for name in dict.fromkeys(map(plain, (entry.name, *entry.aliases))):
                if len(name) > 1:
                    named.setdefault(name, []).append(entry)
        self._names = len(named)
        for name, holders in named.items():
            self._finder.add_word(name, (name, tuple(holders)))
        if named:
            self._finder.make_automaton()
        roads = sorted({plain(entry.name) for entry in all_entries if entry.kind == "road"}, key=len, reverse=True)
        road = re.compile("|".join(map(re.escape, roads))) if roads else None
        for entry in all_entries:
            if entry.kind == "crossing" and road:
                pair = frozenset(road.findall(plain(entry.name)))
                if len(pair) == 2:
                    self._crossings.setdefault(pair, []).append(entry)

    def __len__(self) -> int:
        return self._names

    def find(self, texts: Sequence[str]) -> list[Place | None]:
        """The place of each text, in order; None where no name of the district is in it."""
        if not self._names:
            return [None] * len(texts)
        return [self._place(plain(text)) for text in texts]

    def search(self, words: str, *, most: int = 8) -> list[Entry]:
        """The places whose names contain all of the words, as somebody types them: beginnings first, short ones first.

        Some 20 ms for a list of 50,000 names.
        """
        wanted = plain(words).split()
        if not wanted:
            return []
        found = [(name, entry) for name, entry in self._listed if all(word in name for word in wanted)]
        found.sort(key=lambda one: (not one[0].startswith(wanted[0]), len(one[1].name), one[1].name, one[1].lon))
        return [entry for _, entry in found[:most]]

    def _place(self, text: str) -> Place | None:
        seen = [
            _Seen(end - len(name) + 1, end + 1, name, entries) for end, (name, entries) in self._finder.iter_long(text)
        ]
        if not seen:
            return None
        seen = [*self._met(text, seen), *seen]
        named = [one for one in seen if not _NOT_HERE.search(text, max(0, one.start - 3), one.start)] or seen
        best = min(one.rank for one in named)
        chosen = [one for one in named if one.rank == best]
        first = chosen[0]
        hints = [one for one in seen if one.rank > best or one.rank == _RANK["road"]]
        candidates = _apart(first.entries)
        if len(candidates) > 1:
            candidates = _told_apart(candidates, [one for one in seen if one is not first])
        exact = [one for one in named if one.rank < _RANK["community"] and one is not first]
        rivals = [
            one
            for one in exact
            if not any(_near(a, b, BESIDE if one.rank == best else NEARBY) for a in one.entries for b in candidates)
        ]
        contradicted = any(
            hint.rank in (_RANK["community"], _RANK["street"]) and not _fits(candidates[0], hint.entries)
            for hint in hints
        )
        why = tuple(dict.fromkeys([first.name, *(one.name for one in (*chosen[1:], *hints))]))[:4]
        detail = _detail(text, first.end)
        entry = candidates[0]
        if len(candidates) > 1:
            shared = _shared([one.region_code for one in candidates])
            return Place(
                entry.name, shared, None, None, False, why, tuple(one.region_code for one in candidates), detail
            )
        sure = entry.kind in _EXACT and not rivals and not contradicted
        others = tuple(dict.fromkeys(one.entries[0].region_code for one in rivals))
        return Place(entry.name, entry.region_code, entry.lon, entry.lat, sure, why, others, detail)

    def _met(self, text: str, seen: Sequence[_Seen]) -> list[_Seen]:
        """Crossings that are not written as one name: two roads one after the other, or with "and" between."""
        met = []
        for a, b in pairwise(seen):
            if _RANK["road"] not in (a.rank, b.rank) or a.rank != b.rank:
                continue
            between = text[a.end : b.start]
            joined = _BETWEEN_ROADS.fullmatch(between) is not None
            if not joined or _STRETCH.match(text, b.end) or (not between and not _CORNER.match(text, b.end)):
                continue
            there = self._crossings.get(frozenset((plain(a.entries[0].name), plain(b.entries[0].name))))
            if there:
                met.append(_Seen(a.start, b.end, text[a.start : b.end], tuple(there)))
        return met


def coarse(text: str) -> str:
    """A text for the public: numbers of buildings, units, floors, rooms and houses are replaced by ＊."""
    whole = plain(text)
    source = text if len(whole) == len(text) else whole
    return _DETAIL.sub(lambda match: _NUMERAL.sub("＊", match.group()), source)


def _detail(text: str, start: int) -> str:
    """The building, unit, floor, room or house number written right after a name."""
    parts: list[str] = []
    place = start
    while len(parts) < 5 and (match := _DETAIL.match(text, place)):
        parts.append(match.group())
        place = match.end()
    return "".join(parts)


def _distance(a: Entry, b: Entry) -> float:
    return hypot((a.lon - b.lon) * cos(radians(a.lat)), a.lat - b.lat) * METRES


def _near(a: Entry, b: Entry, metres: float) -> bool:
    return _distance(a, b) <= metres


def _apart(entries: Sequence[Entry]) -> list[Entry]:
    """Entries that are different places; those within `ONE_PLACE` of an earlier one are left out."""
    places: list[Entry] = []
    for entry in entries:
        if not any(_near(entry, other, ONE_PLACE) for other in places):
            places.append(entry)
    return places


def _told_apart(candidates: list[Entry], hints: Sequence[_Seen]) -> list[Entry]:
    """The one candidate that another name of the text points to, or all of them."""
    for hint in sorted(hints, key=lambda one: one.rank):
        fitting = [one for one in candidates if _fits(one, hint.entries)]
        if len(fitting) == 1:
            return fitting
    return candidates


def _fits(entry: Entry, areas: Sequence[Entry]) -> bool:
    """Whether a place lies in one of these areas by code, or near one of these points."""
    for area in areas:
        depth = {"district": 6, "street": 9, "community": 12}.get(area.kind)
        if depth is None:
            if _near(entry, area, NEARBY):
                return True
        elif area.region_code and entry.region_code[:depth] == area.region_code[:depth]:
            return True
    return False


def _shared(codes: Sequence[str]) -> str:
    """The region that holds all of these: the longest common code of a level."""
    for depth in (19, 16, 12, 9, 6):
        heads = {code[:depth] for code in codes}
        if len(heads) == 1 and len(next(iter(heads))) == depth:
            return heads.pop()
    return ""
