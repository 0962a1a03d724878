"""The streets and communities of the district, as pickers and as names."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gridloop.kernel.language import Sentence
from gridloop.territory import queries as territory
from gridloop.territory.models import Region

STREET, COMMUNITY = 9, 12
"""Digits of their codes."""


@dataclass(frozen=True, slots=True)
class Area:
    """A street with its communities, or a community without any."""

    code: str
    name: Sentence
    communities: tuple[Area, ...] = ()


def areas() -> list[Area]:
    """The streets of the district, each with its communities. One query."""
    rows = list(territory.active().filter(level__in=["street", "community"]))
    below: dict[str, list[Area]] = {}
    for row in rows:
        if row.level == Region.Level.COMMUNITY:
            below.setdefault(row.code[:STREET], []).append(Area(row.code, _name(row.name, row.name_en)))
    return [
        Area(row.code, _name(row.name, row.name_en), tuple(below.get(row.code, ())))
        for row in rows
        if row.level == Region.Level.STREET
    ]


def names(codes: Iterable[str]) -> dict[str, Sentence]:
    """Where codes are, for people: ``北下街街道 · 代书胡同社区``. One query."""
    wanted = {code[:n] for code in codes for n in (STREET, COMMUNITY) if len(code) >= n}
    known = {
        code: _name(name, en)
        for code, name, en in Region.objects.filter(code__in=wanted).values_list("code", "name", "name_en")
    }
    found: dict[str, Sentence] = {}
    for code in codes:
        parts = [known[c] for n in (STREET, COMMUNITY) if len(code) >= n and (c := code[:n]) in known]
        found[code] = Sentence(zh=" · ".join(p.zh for p in parts), en=" · ".join(p.en for p in parts))
    return found


def _name(zh: str, en: str) -> Sentence:
    return Sentence(zh=zh, en=en or zh)
