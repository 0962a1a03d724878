"""Three cities' recorded requests go through the whole loop with their own clock and come out closed and scored.

The figures are computed a second time by hand, from the raw file with the standard library alone, and must be equal.
A sample that meets all the dirt runs here; ``FULL_REPLAY=1`` plays all 82,176 requests (minutes).
"""

from __future__ import annotations

import csv
import gzip
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import shapely

from gridloop.cases.models import Case
from gridloop.discover.models import Report
from gridloop.discover.queries import reconciliation
from gridloop.evaluate.models import CaseFact
from gridloop.evaluate.queries import rates
from gridloop.gateways import replay
from gridloop.kernel.events import stuck
from gridloop.people.models import Unit
from gridloop.people.viewer import SYSTEM
from gridloop.standard import queries as standard
from gridloop.standard.actions import activate_packs
from gridloop.territory.models import Region
from gridloop.territory.queries import forget_map

ROOT = Path(__file__).parents[2]
STREAM = ROOT / ".." / "shared" / "data" / "us311" / "stream.csv.gz"
ZONES = {"chicago": "America/Chicago", "los_angeles": "America/Los_Angeles", "baltimore": "America/New_York"}
EVERY = {"chicago": 80, "los_angeles": 50, "baltimore": 25}
DROPPED = {"Cancelled", "Referred Out", "Closed (Transferred)"}

pytestmark = [
    pytest.mark.django_db,
    pytest.mark.skipif(not STREAM.is_file(), reason="the recorded requests (../shared/data/us311) are not here"),
]


@dataclass
class Raw:
    """One row as a person reads it."""

    city: str
    key: str
    agency: str
    area: str
    status: str
    flagged: bool
    point: tuple[float, float] | None
    created: datetime
    closed: datetime | None
    due: datetime
    type: str


def by_hand() -> dict[tuple[str, str], Raw]:
    """All rows of the raw file, with the deadline that the city promised or that our limits give."""
    with (ROOT / "packs/city311/tables/aliases.csv").open(encoding="utf-8") as file:
        aliases = [(r["source"], r["name"].casefold(), r["code"]) for r in csv.DictReader(file)]
    with (ROOT / "packs/city311/tables/conditions.csv").open(encoding="utf-8") as file:
        days = {r["code"]: int(r["amount"]) for r in csv.DictReader(file) if r["usual"] == "yes"}

    def code(city: str, name: str) -> str:
        name = name.strip().casefold()
        exact = [c for source, known, c in aliases if (source, known) == (city, name)]
        begins = [
            (len(known), c)
            for source, known, c in aliases
            if source == city and known.endswith("*") and name.startswith(known[:-1])
        ]
        return exact[0] if exact else max(begins)[1] if begins else ""

    codes: dict[tuple[str, str], str] = {}
    rows: dict[tuple[str, str], Raw] = {}
    with gzip.open(STREAM, "rt", encoding="utf-8", newline="") as file:
        for r in csv.DictReader(file):
            zone = ZoneInfo(ZONES[r["city"]])
            created, closed, due = (
                datetime.fromisoformat(r[n]).replace(tzinfo=zone).astimezone(ZoneInfo("UTC")) if r[n] else None
                for n in ("created", "closed", "due")
            )
            assert created is not None
            if r["city"] == "los_angeles" and r["due"].endswith("T00:00:00"):  # a date: good until the day ends
                due = (datetime.fromisoformat(r["due"]) + timedelta(days=1)).replace(tzinfo=zone)
            asked = (r["city"], r["type"])
            if asked not in codes:
                codes[asked] = code(*asked)
            rows[r["city"], r["id"]] = Raw(
                r["city"],
                r["id"],
                r["agency"],
                " ".join(r["area"].split()),
                r["status"],
                r["is_dup"] == "1",
                (float(r["lon"]), float(r["lat"])) if r["lon"] and r["lat"] else None,
                created,
                max(closed, created) if closed else None,
                due or created + timedelta(days=days.get(codes[asked], 0)),
                codes[asked],
            )
    return rows


def in_time(row: Raw, end: datetime) -> bool | None:
    """Handed back by the deadline; None where nothing was due: dropped by the city, or still open and not yet due."""
    if row.closed is None:
        return False if row.due <= end else None
    if row.flagged or row.status in DROPPED:
        return None
    return row.closed <= row.due


@pytest.fixture
def played() -> Iterator[list[replay.Recorded]]:
    activate_packs(folders=[ROOT / "packs" / "city311"], district=ROOT / "districts" / "us311", actor="system")
    everything, summary = replay.read_recording(STREAM, ROOT / "districts" / "us311" / "mappings")
    assert (summary.requests, summary.rejected, summary.closed_before) == (82_176, 0, 25)
    whole = os.environ.get("FULL_REPLAY") == "1"
    recording = everything if whole else replay.sample(everything, EVERY)
    replay.prepare(recording, district=ROOT / "districts" / "us311", packs=[ROOT / "packs" / "city311"])
    replay.replay(recording, summary)
    yield recording
    forget_map()


def test_the_replayed_cases_end_closed_and_scored_as_a_hand_computation_says(played: list[replay.Recorded]) -> None:
    raw = by_hand()
    rows = {(r.city, r.report.key): raw[r.city, r.report.key] for r in played}
    end = max(row.closed or row.created for row in rows.values())

    # Nothing is lost: each request opened a case or joined one, and no reaction failed.
    told = reconciliation()
    assert told["holds"]
    assert told["accepted"] == told["in_cases"] + told["joined"] == len(rows)
    assert stuck() == []
    reports = {
        (client.removeprefix("us311-"), key): (state, case_id)
        for client, key, state, case_id in Report.objects.values_list("client", "key", "state", "case_id")
    }
    opened = {case_id: rows[key] for key, (state, case_id) in reports.items() if state == "opened" and case_id}
    joined = [
        (rows[key], opened[case_id]) for key, (state, case_id) in reports.items() if state == "joined" and case_id
    ]
    assert len(opened) == Case.objects.count()

    # A request joined only an open case of its type within the pack's gates.
    gates = {k.partition(":")[2]: t.duplicate for k, t in standard.current().case_types.items()}
    for row, first in joined:
        assert row.point
        assert first.point
        north, east = (row.point[1] - first.point[1], row.point[0] - first.point[0])
        meters = 111_320 * math.hypot(north, east * math.cos(math.radians(first.point[1])))
        assert row.type == first.type
        assert meters <= gates[row.type].meters * 1.01
        assert abs(row.created - first.created) <= timedelta(hours=gates[row.type].hours)
        assert first.closed is None or first.closed >= row.created

    # Every case moved at its recorded moments, and its state is what the record says became of it.
    facts = {fact.case_id: fact for fact in CaseFact.objects.all()}
    assert facts.keys() == opened.keys()
    for case_id, row in opened.items():
        fact = facts[case_id]
        assert (fact.opened_at, fact.dispatched_at) == (row.created, row.created)
        assert fact.closed_at == row.closed
        assert fact.on_time == in_time(row, end), row
        dropped = row.flagged or row.status in DROPPED
        expected = "cancelled" if dropped else "closed"
        assert fact.state == expected if row.closed else fact.state in ("dispatched", "handling")

    # On-time rates: by agency and by area, the product's figures equal those made by hand.
    indicator = standard.current().indicators["on_time_rate"]
    codes = dict(Unit.objects.values_list("id", "code"))
    by_unit = rates([indicator], by="unit", viewer=SYSTEM)
    ours = {codes[int(unit)]: (r["on_time_rate"].count, r["on_time_rate"].out_of) for unit, r in by_unit.items()}
    assert ours == counted((replay.unit_code(r.city, r.agency), in_time(r, end)) for r in opened.values())

    places = dict(Case.objects.values_list("id", "region_code"))
    check_places(opened, places)
    by_area = rates([indicator], by="street", viewer=SYSTEM)
    ours = {area: (r["on_time_rate"].count, r["on_time_rate"].out_of) for area, r in by_area.items()}
    assert ours == counted((places[case_id][:9], in_time(row, end)) for case_id, row in opened.items())
    assert len(ours) > 100


def counted(pairs: Iterable[tuple[str, bool | None]]) -> dict[str, tuple[int, int]]:
    """(in time, due) by group."""
    found: dict[str, list[bool | None]] = defaultdict(list)
    for group, value in pairs:
        found[group].append(value)
    return {g: (sum(v is True for v in values), sum(v is not None for v in values)) for g, values in found.items()}


def check_places(opened: dict[int, Raw], places: dict[int, str]) -> None:
    """Each case lies in the area of its point, tested polygon by polygon, and nearly always in its recorded area."""
    shapes, names = {}, {}
    for region in Region.objects.filter(code__startswith="9", level="street"):
        names[region.code] = region.name
        if region.geometry:
            shapes[region.code] = shapely.from_wkb(bytes(region.geometry))
    agreed = Counter[bool]()
    for case_id, row in opened.items():
        code, point = places[case_id], shapely.Point(row.point) if row.point else None
        if point and any(shape.covers(point) for shape in shapes.values()):
            assert shapes[code].buffer(1e-7).covers(point)
            if row.area:
                agreed[names[code] == row.area] += 1
        elif row.area:  # no point, or one far outside such as (-77, 39): a person placed it by its area
            assert names[code] == row.area
    assert agreed[True] > 0.97 * agreed.total(), agreed
