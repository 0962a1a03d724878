"""How fast stored reports become routed cases: classified, located, de-duplicated, opened, dispatched, scored.

    python -m bench.loop [--quick | --million]

A backlog of invented reports is stored first (not timed), then two of the product's own worker processes deal with it
slice by slice. The limit beside it: PostgreSQL writing the very rows that came out into empty tables with the same
indexes, by INSERT ... SELECT, without a line of our code. Statements are counted by draining one batch in this process.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from itertools import islice
from typing import Any

from bench.measuring import ROOT, conclude, own_database

GOAL = 1_000
WORKERS = 2
PER_DAY = 1_000
TABLES = ("cases_case", "kernel_event", "evaluate_casefact")


def reports_of_days(places: Sequence[Any], first: date) -> Iterator[Any]:
    """Invented reports of one day after another, without end."""
    from gridloop.gateways.demo.writing import case_types, write_day
    from gridloop.standard import queries

    known = set(queries.current().case_types)
    types = [t for t in case_types() if t in known]
    day = first
    while True:
        for written in write_day(places, count=PER_DAY, seed=day.toordinal(), day=day, types=types):
            yield written.report
        day += timedelta(days=1)


def store(reports: Iterator[Any], count: int) -> None:
    from gridloop.discover.actions import receive_reports
    from gridloop.people.viewer import SYSTEM

    left = count
    while left:
        batch = list(islice(reports, min(1_000, left)))
        receive_reports(batch, client="bench", viewer=SYSTEM)
        left -= len(batch)


def start_workers() -> list[subprocess.Popen[bytes]]:
    from gridloop.cli.processes import command

    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    return [subprocess.Popen(command("worker"), env=dict(os.environ), **quiet) for _ in range(WORKERS)]  # type: ignore[call-overload]


def waiting() -> int:
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM kernel_delivery WHERE state = 'pending'")
        return int(cursor.fetchone()[0])


def drain_by_workers() -> float:
    """Seconds until nothing waits."""
    started = time.perf_counter()
    while waiting():
        time.sleep(0.1)
    return time.perf_counter() - started


def limit(after: dict[str, int]) -> float:
    """Seconds that PostgreSQL takes to write the rows above these keys again, into tables with the same indexes."""
    from django.db import connection

    spent = 0.0
    with connection.cursor() as cursor:
        for table, key in after.items():
            column = "case_id" if table == "evaluate_casefact" else "id"
            cursor.execute(f"CREATE TABLE bench_{table} (LIKE {table} INCLUDING ALL)")
            started = time.perf_counter()
            cursor.execute(f"INSERT INTO bench_{table} SELECT * FROM {table} WHERE {column} > %s", [key])
            spent += time.perf_counter() - started
            cursor.execute(f"DROP TABLE bench_{table}")
    return spent


def highest() -> dict[str, int]:
    from django.db import connection

    with connection.cursor() as cursor:
        found = {}
        for table in TABLES:
            column = "case_id" if table == "evaluate_casefact" else "id"
            cursor.execute(f"SELECT coalesce(max({column}), 0) FROM {table}")
            found[table] = int(cursor.fetchone()[0])
    return found


def statements(count: int) -> float:
    """SQL statements per report when this process drains `count` waiting reports by itself."""
    from django.db import connection

    from gridloop.kernel.events import Worker

    counted = 0

    def count_one(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        nonlocal counted
        counted += 1
        return execute(sql, params, many, context)

    worker = Worker()
    try:
        with connection.execute_wrapper(count_one):
            worker.drain()
    finally:
        worker.close()
    return counted / count


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="5 slices of 2,000")
    parser.add_argument("--million", action="store_true", help="a backlog of a million (about half an hour)")
    given = parser.parse_args()
    total, rounds = (10_000, 5) if given.quick else (1_000_000, 10) if given.million else (100_000, 5)
    own_database()
    from gridloop.discover.queries import reconciliation
    from gridloop.gateways.demo.playing import prepare
    from gridloop.kernel import clock
    from gridloop.territory.rules.places import read_places

    district = ROOT / "districts" / "410104"
    prepare(district=district, packs=[ROOT / "packs" / "urban"], at=clock.now() - timedelta(days=4_000))
    places = read_places(district / "gazetteer.csv")
    reports = reports_of_days(places, (clock.now() - timedelta(days=total // PER_DAY + 400)).date())
    store(reports, 2_000)
    per_report = statements(2_000)
    print(f"{per_report:.3f} SQL statements per report (2,000 reports, drained in one process)")
    slice_size = total // rounds
    rates, limits = [], []
    workers = start_workers()
    try:
        for worker in workers:
            worker.send_signal(signal.SIGSTOP)
        for n in range(rounds):
            before = highest()
            store(reports, slice_size)
            for worker in workers:
                worker.send_signal(signal.SIGCONT)
            seconds = drain_by_workers()
            for worker in workers:
                worker.send_signal(signal.SIGSTOP)
            floor = limit(before)
            rates.append(slice_size / seconds)
            limits.append(slice_size / floor)
            print(f"{(n + 1) * slice_size:>9,} reports: {rates[-1]:,.0f}/s, writing the same rows {limits[-1]:,.0f}/s")
    finally:
        for worker in workers:
            worker.send_signal(signal.SIGCONT)
            worker.send_signal(signal.SIGTERM)
        for worker in workers:
            worker.wait(60)
    books = reconciliation()
    print(books)
    assert books["holds"], "reports were lost or doubled"
    conclude(
        name="loop", value=round(statistics.median(rates), 1), unit="reports/s",
        peer="PostgreSQL writing the same rows", peer_value=round(statistics.median(limits), 1),
        goal=f">= {GOAL}/s, flat, <= 0.2 statements per report", rounds=rounds,
        statements_per_report=round(per_report, 4), first=round(rates[0], 1), last=round(rates[-1], 1),
        triage_share=round(books["triage"] / books["accepted"], 4),
        joined_share=round(books["joined"] / books["accepted"], 4),
        not_shown=[
            "the reports are invented: real ones are longer and stranger, so more of them wait for a person",
            "two workers and the database share the two cores; the workers' idle look-ups are part of the time",
            "nothing else runs: no reports come in meanwhile, nobody looks at a map",
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
