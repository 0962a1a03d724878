"""What people of an invented district report on a rainy working day: seeded, endless, and with the truth beside it.

The sentences are ours (`sentences.yaml`), the places those of the district's gazetteer, the persons invented. All of it
is synthetic; a classifier trained on it has learned our templates, not the language of citizens.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import yaml

from gridloop.discover.actions import NewReport
from gridloop.registry.actions import NewContact
from gridloop.territory.rules.places import NamedPlace

ZONE = ZoneInfo("Asia/Shanghai")
RAIN = (13.5, 18.5)
"""The hours in which it rains."""
EVENING = 18.0
BY_HOUR = (1, 1, 1, 1, 1, 2, 4, 7, 10, 10, 9, 8, 7, 8, 15, 18, 16, 12, 9, 8, 7, 5, 3, 2)
"""How reports spread over the hours of the day."""
DUPLICATES = 0.18
VAGUE = 0.04
OUTSIDE = 0.015
MISPLACED = 0.01
DUPLICATE_METRES = 45.0
"""Callers about one thing stand at most so far from each other."""
_METRE = 1 / 111_320


@dataclass(frozen=True, slots=True)
class Truth:
    """What a report really is about, which the product is not told.

    `kind`: ``problem``, ``duplicate`` (`group` is the first one's), ``vague`` (no type), ``outside`` the district, or
    ``misplaced`` (its point is not where it says).
    """

    case_type: str
    kind: str
    group: int
    lon: float
    lat: float
    place: str


@dataclass(frozen=True, slots=True)
class Written:
    report: NewReport
    truth: Truth


@dataclass(frozen=True, slots=True)
class _Problem:
    case_type: str
    place: NamedPlace
    group: int
    lon: float
    lat: float
    number: int
    metres: int


@cache
def sentences() -> Mapping[str, Any]:
    """The written sentences, by type and voice."""
    loaded: Mapping[str, Any] = yaml.safe_load(Path(__file__).with_name("sentences.yaml").read_text(encoding="utf-8"))
    return loaded


def case_types() -> list[str]:
    """The types that the sentences tell of."""
    return list(sentences()["types"])


def write_day(
    places: Sequence[NamedPlace],
    *,
    count: int,
    seed: int = 410104,
    day: date,
    types: Sequence[str] | None = None,
    channel_keys: str = "demo",
) -> Iterator[Written]:
    """`count` reports of one day, in the order of their times. Same arguments, same reports.

    `types` limits what happens to these case types (those the district's standard knows).
    """
    writer = _Writer(places, Random(seed), types)  # noqa: S311 - a demonstration must be repeatable
    midnight = datetime(day.year, day.month, day.day, tzinfo=ZONE)
    for index, hour in enumerate(_hours(count, writer.random)):
        at = midnight + timedelta(hours=hour)
        yield writer.write(f"{channel_keys}-{seed}-{index}", hour, at)


def labelled(
    places: Sequence[NamedPlace], *, count: int, seed: int = 1, types: Sequence[str] | None = None
) -> tuple[list[str], list[str], list[int]]:
    """Texts, their types and their groups: a synthetic set to train and evaluate a classifier.

    Keep a group on one side of a split. Vague reports are left out: nobody can label them.
    """
    rows = [
        (w.report.text, w.truth.case_type, w.truth.group)
        for w in write_day(places, count=count, seed=seed, day=date(2022, 7, 25), types=types)
        if w.truth.case_type
    ]
    return [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]


def _hours(count: int, random: Random) -> Iterator[float]:
    """Sorted times of the day without holding them: each hour gets its share."""
    total, done, told = sum(BY_HOUR), 0, 0
    for hour, weight in enumerate(BY_HOUR):
        done += weight
        share = round(count * done / total) - told
        told += share
        last = 0.0
        for left in range(share, 0, -1):  # order statistics, one by one
            last = 1 - (1 - last) * (1 - random.random()) ** (1 / left)
            yield hour + last


class _Writer:
    def __init__(self, places: Sequence[NamedPlace], random: Random, types: Sequence[str] | None) -> None:
        data = sentences()
        self.random = random
        self.types: dict[str, Any] = {k: v for k, v in data["types"].items() if types is None or k in set(types)}
        if not self.types:
            raise ValueError("none of the asked types has sentences")
        self.data = data
        self.names = list(self.types)
        self.weights = {mood: self._weights(*mood) for mood in [(r, d) for r in (True, False) for d in (True, False)]}
        self.compounds = [p for p in places if p.kind in ("compound", "poi", "landmark")]
        self.roads = [p for p in places if p.kind in ("crossing", "road")]
        if not self.compounds or not self.roads:
            raise ValueError("the gazetteer needs compounds and crossings")
        self.recent: deque[_Problem] = deque(maxlen=60)
        self.groups = 0
        self.voices, self.shares = list(data["shares"]), list(accumulate(data["shares"].values()))

    def _weights(self, rain: bool, dark: bool) -> list[float]:
        out = []
        for spec in self.types.values():
            weight = float(spec["weight"])
            if rain:
                weight *= spec.get("rain", 0.8)
            if spec.get("dark"):
                weight *= 3 if dark else 0.3
            out.append(weight)
        return list(accumulate(out))

    def write(self, key: str, hour: float, at: datetime) -> Written:
        draw = self.random.random()
        if draw < VAGUE:
            return self._vague(key, at)
        if draw < VAGUE + DUPLICATES and self.recent:
            problem = self.recent[int(self.random.random() ** 2 * len(self.recent))]
            return self._tell(key, problem, at, "duplicate")
        problem = self._happen(hour)
        if draw > 1 - OUTSIDE:
            return self._tell(key, problem, at, "outside")
        if draw > 1 - OUTSIDE - MISPLACED:
            return self._tell(key, problem, at, "misplaced")
        self.recent.appendleft(problem)
        return self._tell(key, problem, at, "problem")

    def _happen(self, hour: float) -> _Problem:
        random = self.random
        weights = self.weights[RAIN[0] <= hour < RAIN[1], hour >= EVENING]
        case_type = random.choices(self.names, cum_weights=weights)[0]
        place = random.choice(self.compounds if random.random() < 0.6 else self.roads)
        lon, lat = _moved(random, place.lon, place.lat, 30)
        self.groups += 1
        return _Problem(case_type, place, self.groups, lon, lat, random.randint(2, 9), random.randint(1, 9) * 10)

    def _tell(self, key: str, problem: _Problem, at: datetime, kind: str) -> Written:
        random, data = self.random, self.data
        says = self.types[problem.case_type]["says"]
        voice = random.choices(self.voices, cum_weights=self.shares)[0]
        if voice not in says:
            voice = random.choice([v for v in says if v in "hacw"])
        pattern = random.choice(says[voice])
        place = problem.place
        if "{P}" in pattern and place.kind in ("crossing", "road"):
            pattern = pattern.replace("{P}", "{p}", 1)
        name = random.choice(place.aliases) if place.aliases and random.random() < 0.25 else place.name
        side_kind = place.kind if place.kind in data["sides"] else "place"
        side = random.choice(data["sides"][side_kind])
        since = random.choice(data["since"])
        slots = {"P": name, "p": name + side, "n": str(problem.number), "m": str(problem.metres), "t": since}
        text = random.choice(data["before"][voice]) + pattern + random.choice(data["after"][voice])
        text = text.format_map(slots).format_map(slots)  # sides and times have slots of their own
        lon, lat = problem.lon, problem.lat
        if kind == "duplicate":
            lon, lat = _moved(random, lon, lat, DUPLICATE_METRES)
        elif kind == "outside":
            lon += random.choice((-1, 1)) * random.uniform(0.2, 0.5)
        elif kind == "misplaced":
            elsewhere = random.choice(self.compounds)
            lon, lat = elsewhere.lon, elsewhere.lat
        pointed = (
            voice in "wvz" or kind in ("outside", "misplaced") or random.random() < (0.35 if voice in "hcl" else 0.85)
        )
        report = NewReport(
            key=key,
            channel=data["channels"][voice],
            text=text,
            lon=round(lon, 6) if pointed else None,
            lat=round(lat, 6) if pointed else None,
            address=name if voice == "h" and random.random() < 0.7 else "",
            reported_at=at,
            contact=self._contact(voice),
            extra={"synthetic": True},
        )
        group = problem.group
        return Written(report, Truth(problem.case_type, kind, group, problem.lon, problem.lat, place.name))

    def _vague(self, key: str, at: datetime) -> Written:
        random, data = self.random, self.data
        voice = random.choice("hac")
        place = random.choice(self.compounds)
        text = random.choice(data["vague"]).format(P=place.name)
        self.groups += 1
        report = NewReport(
            key=key,
            channel=data["channels"][voice],
            text=text,
            reported_at=at,
            contact=self._contact(voice),
            extra={"synthetic": True},
        )
        return Written(report, Truth("", "vague", self.groups, place.lon, place.lat, place.name))

    def _contact(self, voice: str) -> NewContact | None:
        """An invented person. No subscriber's number begins with 125."""
        random = self.random
        if voice not in "ha" or random.random() < 0.15:
            return None
        name = random.choice(self.data["surnames"]) + random.choice(("先生", "女士"))
        return NewContact(name, f"12500{random.randrange(1_000_000):06d}", random.random() < 0.03)


def _moved(random: Random, lon: float, lat: float, metres: float) -> tuple[float, float]:
    """A point at most so far away, evenly over the disc."""
    away, angle = metres * math.sqrt(random.random()), random.random() * math.tau
    north, east = away * math.cos(angle) * _METRE, away * math.sin(angle) * _METRE
    return lon + east / math.cos(math.radians(lat)), lat + north
