"""What the seal costs: events sealed a second, against writing the same events in the first place.

    python -m bench.seal [--events 200000] [--rounds 5]

Each round writes a fresh block of events twice in the same minute: once by COPY, the fastest way there is, and seals
them; once as the application does (`publish`, in transactions of a thousand). The ratio is sealed events a second over
events a second by COPY. Then the whole log is verified once.

The server is the one in DATABASE_URL, in a database of its own that is dropped afterwards; without DATABASE_URL an
embedded one in a temporary folder. Every event is synthetic.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from urllib.parse import urlsplit

import psycopg

COLUMNS = "name, subject, actor, at, recorded_at, data"
GOAL = 0.15
"""Least ratio: below it, sealing would hold up an import."""
MANY, MANY_SECONDS = 1_000_000, 60
FEW = 20


def synthetic(first: int, count: int) -> str:
    """A SELECT of so many invented events, of the size of ours: four hundred bytes with their data."""
    return f"""
        SELECT 'CaseDispatched', 'case:' || n, 'system', now(), now(), jsonb_build_object(
            'case_type', 'urban:E0502', 'region', '410104001003B012', 'unit', n % 40, 'deadline', now(),
            'lon', 113.7 + n * 1e-7, 'lat', 34.7 + n * 1e-7, 'evidence', md5(n::text),
            'why', jsonb_build_object('zh', '按类型和网格派给环卫公司', 'en', 'By type and grid to the cleaners'))
        FROM generate_series({first}, {first + count - 1}) n"""


@contextmanager
def database() -> Iterator[Path]:
    """A database of our own and a data folder; both gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="gridloop-bench-"))
    folder.chmod(0o711)
    server, cluster = os.environ.get("DATABASE_URL"), None
    try:
        if not server:
            from gridloop.kernel.postgres.cluster import SUPERUSER, Cluster

            cluster = Cluster(folder)
            cluster.start()
            server = cluster.url(role=SUPERUSER)
        name = f"gridloop_bench_seal_{os.getpid()}"
        with psycopg.connect(server, autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name}")
            try:
                parts = urlsplit(server)
                os.environ["DATABASE_URL"] = f"postgresql://{parts.netloc}/{name}?{parts.query}"
                os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
                yield folder
            finally:
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    finally:
        if cluster:
            cluster.stop()
        shutil.rmtree(folder, ignore_errors=True)


def seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=200_000, help="events in all")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with database() as folder:
        measure(folder, options.events // options.rounds, options.rounds)


def measure(folder: Path, block: int, rounds: int) -> None:
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection, transaction

    from gridloop.kernel import clock, sealing
    from gridloop.kernel.events import Happened, publish

    call_command("migrate", verbosity=0)
    sealer = sealing.Sealer(folder, "gridloop.bench")
    copies, publishes, seals = [], [], []
    for n in range(rounds):
        with psycopg.connect(os.environ["DATABASE_URL"]) as own:
            with own.cursor().copy(f"COPY ({synthetic(n * block, block)}) TO STDOUT") as out:
                text = b"".join(bytes(piece) for piece in out)

            def copy(own: psycopg.Connection = own, text: bytes = text) -> None:
                with own.cursor().copy(f"COPY kernel_event ({COLUMNS}) FROM STDIN") as into:
                    into.write(text)
                own.commit()

            copies.append(block / seconds(copy))
        seals.append(block / seconds(sealer.seal_all))

        few = [Happened(subject=f"case:{i}", actor="system", at=clock.now()) for i in range(1_000)]
        with transaction.atomic():
            publishes.append(len(few) / seconds(lambda few=few: publish(few)))  # type: ignore[misc]
        sealer.seal_all()
        print(f"round {n + 1}: {seals[-1]:,.0f} sealed/s, {copies[-1]:,.0f} copied/s, {publishes[-1]:,.0f} published/s")
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM kernel_event")
        [total] = cursor.fetchone()
    looks = []
    for _ in range(20):
        with transaction.atomic():
            publish([Happened(subject=f"case:{n}", actor="system", at=clock.now()) for n in range(FEW)])
        looks.append(seconds(sealer.seal))
    sealer.seal_all()
    findings: list[sealing.Finding] = []
    took = seconds(lambda: findings.extend(sealing.verify(folder)))
    print(f"verify: {total:,} events in {took:.1f} s ({total / took:,.0f}/s), {len(findings)} findings")
    print(f"looking for {FEW} new events on that log: {1000 * median(looks):.1f} ms (asked once a second)")
    print(f"{MANY:,} events would be sealed in {MANY / median(seals):.0f} s (goal: under {MANY_SECONDS})")
    print("Not shown: sealing while others write, a slow disk under the witness file, logs larger than memory.")
    print(
        json.dumps(
            {
                "name": "seal",
                "value": round(median(seals)),
                "unit": "events/s",
                "peer": "COPY of the same events",
                "peer_value": round(median(copies)),
                "ratio": round(median(s / c for s, c in zip(seals, copies, strict=True)), 3),
                "goal": GOAL,
                "rounds": rounds,
            }
        )
    )


if __name__ == "__main__":
    main()
