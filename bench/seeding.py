"""Many invented cases, quickly: what the pages are measured with. Copied in past the loop: never for a deployment.

    from bench.seeding import seed_cases      # after measuring.own_database() and playing.prepare(...)
    seed_cases(1_000_000)

Texts and places are those of the demonstration's writer, told apart by a house number; 2 % of the cases are on their
way, most of them among the newest; the same days are filled whatever the count, so that every share stays the same.
There are no reports, events or facts behind these rows, and `audit verify` would say so.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np

from bench.measuring import ROOT

DAYS = 1_000
SAMPLES = 8_000
SLICE = 50_000
METRE = 1 / 111_320
CHANNELS = ("hotline", "app", "grid_worker", "video", "sensor")
OPEN_STATES = (
    ("reported", 8), ("pending_verify", 5), ("pending_filing", 8), ("pending_dispatch", 10), ("dispatched", 18),
    ("handling", 28), ("suspended", 3), ("returned", 3), ("handled", 8), ("rework", 4), ("pending_close", 5),
)  # fmt: skip
ENDED_STATES = (("closed", 94), ("forced_close", 1), ("not_accepted", 4), ("cancelled", 1))
ASKED = ("extend", "suspend")
WITH_UNIT = frozenset(
    {"dispatched", "handling", "suspended", "rework", "returned", "handled", "pending_close", "closed"}
)


def seed_cases(count: int, *, now: datetime | None = None, seed: int = 410104) -> float:
    """Write `count` cases beside those that are there; returns the seconds. Indexes are taken off and made anew."""
    from django.db import connection

    from gridloop.cases.pyramid import fold
    from gridloop.kernel import clock

    started = time.perf_counter()
    now = now or clock.now()
    maker = _Maker(np.random.default_rng(seed), now, count)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT i.schemaname || '.' || i.indexname, i.indexdef FROM pg_indexes i WHERE i.tablename = ANY(%s) "
            "AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conname = i.indexname)",
            [["cases_case", "cases_casewords"]],
        )
        indexes = cursor.fetchall()
        cursor.execute("SET synchronous_commit = off")
        for name, _ in indexes:
            cursor.execute(f"DROP INDEX {name}")
        for first in range(0, count, SLICE):
            maker.copy(cursor, first, min(SLICE, count - first))
        cursor.execute("SET maintenance_work_mem = '256MB'")
        for _, definition in indexes:
            cursor.execute(definition)
        cursor.execute("SELECT setval('cases_case_id_seq', (SELECT max(id) FROM cases_case))")
        cursor.execute("RESET synchronous_commit")
        while fold():  # what the map counts of them
            pass
        cursor.execute("VACUUM (ANALYZE) cases_case, cases_casewords, cases_mapchange, cases_mappart, cases_maptotal")
    return time.perf_counter() - started


def _weighted(rng: np.random.Generator, table: Sequence[tuple[str, int]], n: int) -> Any:
    weights = np.array([w for _, w in table], dtype=float)
    return rng.choice([name for name, _ in table], n, p=weights / weights.sum())


class _Maker:
    """Draws the rows of slices, column by column."""

    def __init__(self, rng: np.random.Generator, now: datetime, count: int) -> None:
        from django.db import connection

        from gridloop.gateways.demo.writing import case_types, write_day
        from gridloop.people.models import Membership, Unit
        from gridloop.standard import queries as standard
        from gridloop.territory.queries import locate
        from gridloop.territory.rules.places import read_places

        self.rng, self.now, self.count = rng, now, count
        known = standard.current().case_types
        self.types = known
        places = read_places(ROOT / "districts" / "410104" / "gazetteer.csv")
        wanted = [t for t in case_types() if t in known]
        written = [
            w
            for w in write_day(places, count=SAMPLES * 3 // 2, seed=7, day=now.date(), types=wanted)
            if w.truth.case_type and w.truth.kind in ("problem", "duplicate")
        ]
        found = locate([w.truth.lon for w in written], [w.truth.lat for w in written])
        self.samples = [
            (w.truth.case_type, w.report.text, w.truth.place, w.truth.lon, w.truth.lat, str(code))
            for w, code in zip(written, found, strict=True)
            if code
        ][:SAMPLES]
        units = list(Unit.objects.filter(ends_on=None).order_by("id"))
        self.departments = [u.id for u in units if u.kind in ("department", "utility", "company")]
        self.streets = {u.region_code: u.id for u in units if u.kind == "street"}
        # Few units do most of the work.
        self.shares = 1 / np.arange(1, len(self.departments) + 1)
        self.shares /= self.shares.sum()
        self.people: dict[int, list[int]] = {}
        for person, unit in Membership.objects.filter(role="department_handler").values_list("person_id", "unit_id"):
            self.people.setdefault(unit, []).append(person)
        with connection.cursor() as cursor:
            cursor.execute("SELECT coalesce(max(id), 0) FROM cases_case")
            self.key = int(cursor.fetchone()[0])

    def copy(self, cursor: Any, first: int, n: int) -> None:
        from gridloop.cases.rules import cell_of, lexemes_of

        rng, now = self.rng, self.now
        rank = (np.arange(first, first + n) + 1) / self.count  # 1 = the newest
        age = (1 - rank) * DAYS * 86_400 + rng.random(n) * 60
        share = np.where(rank > 0.98, 0.7, np.where(rank > 0.9, 0.05, 0.002))
        is_open = rng.random(n) < share
        states = np.where(is_open, _weighted(rng, OPEN_STATES, n), _weighted(rng, ENDED_STATES, n))
        sample = rng.integers(0, len(self.samples), n)
        house = rng.integers(1, 400, n)
        shift = rng.normal(0, 40 * METRE, (n, 2))
        department = rng.choice(self.departments, n, p=self.shares)
        local = rng.random(n) < 0.3
        due_in = rng.normal(1.2, 1.2, n) * 86_400
        callers = rng.geometric(0.8, n)
        dice = rng.random((n, 5))
        source = rng.choice(CHANNELS, n, p=(0.45, 0.25, 0.2, 0.07, 0.03))
        cases, words = [], []
        for i in range(n):
            self.key += 1
            kind, text, place, lon, lat, region = self.samples[sample[i]]
            case_type = self.types[kind]
            opened = now - timedelta(seconds=float(age[i]))
            state = str(states[i])
            ended = not is_open[i]
            took = min(float(age[i]), 3_600 * (2 + 90 * float(dice[i, 0])))
            closed = opened + timedelta(seconds=took) if ended else None
            timed = not ended and state != "suspended"
            due = now + timedelta(seconds=float(due_in[i])) if timed else None
            warn = due - timedelta(hours=12) if due and due - timedelta(hours=12) > now else None
            unit = (self.streets.get(region[:9]) if local[i] else None) or int(department[i])
            has_unit = state in WITH_UNIT
            person = None
            if state in ("handling", "rework", "dispatched") and dice[i, 1] < 0.7:
                person = next(iter(self.people.get(unit, ())), None)
            number = f"410104{opened:%Y%m%d}{self.key % 90_000_000 + 10_000_000:08d}"
            text = f"{text}（{place}{house[i]}号旁）"
            address = f"{place}{house[i]}号"
            x, y = lon + float(shift[i, 0]), lat + float(shift[i, 1])
            cases.append(
                (
                    self.key, number, 1, state, case_type.release, case_type.key, case_type.catalog_version,
                    case_type.default_condition, bool(dice[i, 2] < 0.02), str(source[i]), text, address, x, y, region,
                    cell_of(x, y), int(callers[i]), unit if has_unit else None, person, opened, opened,
                    opened if has_unit else None, opened if has_unit else None,
                    closed, opened, warn, due, now if due and due < now else None,
                    "3 natural_day" if has_unit else "", due if has_unit else None,
                    now if state == "suspended" else None, 0.0, 0, 0, 0, 0,
                    int(dice[i, 3] < 0.01), bool(dice[i, 4] < 0.005), False,
                    ASKED[i % 2] if not ended and state in ("dispatched", "handling") and dice[i, 3] > 0.95 else "",
                    False, "",
                )
            )  # fmt: skip
            words.append((self.key, lexemes_of(number, text, address)))
        with cursor.copy(f"COPY cases_case ({', '.join(COLUMNS)}) FROM STDIN") as copy:
            for row in cases:
                copy.write_row(row)
        with cursor.copy("COPY cases_casewords (case_id, lexemes) FROM STDIN") as copy:
            for pair in words:
                copy.write_row(pair)


COLUMNS = (
    "id", "number", "version", "state", "pack_release_id", "case_type", "catalog_version",
    "condition", "urgent", "source", "text", "address", "lon", "lat", "region_code",
    "cell", "callers", "unit_id", "person_id", "reported_at", "opened_at",
    "filed_at", "dispatched_at",
    "closed_at", "stage_at", "warn_at", "due_at", "overdue_at",
    "handle_limit", "handle_due_at",
    "paused_at", "paused_seconds", "extensions", "suspensions", "returns", "reworks",
    "reopened", "supervised", "self_handled",
    "asked",
    "exempt", "route",
)  # fmt: skip


def some_district() -> None:
    """The sample district with its map, units and invented staff, in the present database."""
    from gridloop.gateways.demo.playing import prepare
    from gridloop.kernel import clock

    at = clock.now() - timedelta(days=60)
    prepare(district=ROOT / "districts" / "410104", packs=[ROOT / "packs" / "urban"], at=at)


def main() -> None:
    """Seed a database of its own with 100,000 cases, and say how long it took."""
    from bench.measuring import own_database

    own_database()
    some_district()
    print(f"100,000 cases in {seed_cases(100_000):.1f} s")


if __name__ == "__main__":
    main()
