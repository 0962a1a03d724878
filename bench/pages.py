"""How long a page takes on the server, with 100,000 and with 1,000,000 cases in the database.

    python -m bench.pages [--quick | --keep-database]

Invented cases are copied in (`bench.seeding`); then each page is asked in this process, through every layer that a
request passes, by an invented person who walked in through the demonstration's door. The limit beside it: PostgreSQL
giving the very rows of the list by their keys, in the same round. `--quick` takes 20,000 cases and looks only whether
everything works.
"""

from __future__ import annotations

import argparse
import gzip
import os
import re
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.measuring import conclude, own_database
from bench.seeding import seed_cases, some_district

GOAL_MS = 80
VIEWPORT_MS = 50
GROWTH = 1.5
FIRST_LOAD = 150 * 1024
MILLION = (100_000, 1_000_000)

PAGES: dict[str, tuple[str, str, int]] = {
    # name: who asks, address, statements at most (the first second's questions after packs and map are not counted)
    "home": ("dispatcher", "/console/", 8),
    "home of a leader": ("district_leader", "/console/", 9),
    "home of a unit": ("department_handler", "/console/", 8),
    "list": ("dispatcher", "/console/cases", 9),
    "list, open, by deadline": ("dispatcher", "/console/cases?open=yes", 9),
    "list, open, most callers": ("dispatcher", "/console/cases?open=yes&sort=callers", 9),
    "list of a street": ("subdistrict_operator", "/console/cases", 9),
    "list of a unit": ("department_handler", "/console/cases", 9),
    "list of a grid": ("grid_worker", "/console/cases", 9),
    "filtered": ("dispatcher", "/console/cases?open=no&type={group}&region={street}&source=app&since={since}", 10),
    "two characters": ("dispatcher", "/console/cases?q=井盖", 13),
    "two characters, filtered": ("dispatcher", "/console/cases?q=垃圾&clock=red&region={street}", 13),
    "words that are nowhere": ("dispatcher", "/console/cases?q=鲸鱼", 12),
    "two characters of a unit": ("department_handler", "/console/cases?q=积水", 13),
    "page 3": ("dispatcher", "/console/cases?cursor={cursor}", 9),
    "case": ("dispatcher", "/console/cases/{number}", 40),
}
VIEWPORTS: dict[str, str] = {
    "map, district": "/map/cases?bbox={box}&zoom=11",
    "map, street": "/map/cases?bbox={near}&zoom=15",
    "map, overdue": "/map/cases?bbox={box}&zoom=12&clock=red",
    "map, words": "/map/cases?bbox={box}&zoom=12&q=井盖",
}
"""What the map asks for, where there is one."""


class Door:
    """Browsers in which invented persons of several posts have walked in."""

    def __init__(self) -> None:
        self.clients: dict[str, Any] = {}

    def client(self, role: str) -> Any:
        from django.test import Client

        if role not in self.clients:
            client = Client(SERVER_NAME="localhost")
            client.cookies["django_language"] = "zh-hans"
            answer = client.post("/demo/enter", {"role": role})
            assert answer.status_code == 302, (role, answer.status_code)
            self.clients[role] = client
        return self.clients[role]


def statements(client: Any, address: str) -> int:
    """SQL statements of one page, without those that ask once a second whether packs and map have changed."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as told:
        client.get(address)
    return sum("standard_packrelease" not in q["sql"] and "mapedition" not in q["sql"] for q in told.captured_queries)


def once(client: Any, address: str) -> tuple[float, float]:
    """Milliseconds of one answer, and those of them that this process computed: what a busy machine stretches least."""
    started, computed = time.perf_counter(), time.process_time()
    answer = client.get(address)
    spent, own = time.perf_counter() - started, time.process_time() - computed
    assert answer.status_code == 200, (address, answer.status_code)
    return spent * 1_000, own * 1_000


def rows_by_key() -> float:
    """Milliseconds in which PostgreSQL gives fifty rows by their keys, over the same connection: the limit."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute("SELECT max(id) FROM cases_case")
        top = cursor.fetchone()[0]
        started = time.perf_counter()
        cursor.execute("SELECT * FROM cases_case WHERE id = ANY(%s)", [list(range(top - 49, top + 1))])
        cursor.fetchall()
        return (time.perf_counter() - started) * 1_000


def share(values: list[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, round(part * len(values)))]


def places() -> dict[str, str]:
    """What stands for the words in the addresses: things that this database has."""
    from django.db.models import Max, Min

    from gridloop.cases import search
    from gridloop.cases.models import Case
    from gridloop.kernel import clock
    from gridloop.people.viewer import SYSTEM

    case = Case.objects.filter(state="handling").order_by("-id")[0]
    now, cursor = clock.now(), ""
    for _ in range(2):
        cut = search.case_page(SYSTEM, search.CaseFilter(), cursor=cursor, now=now)
        cursor = cut.next or ""
    box = Case.objects.aggregate(w=Min("lon"), s=Min("lat"), e=Max("lon"), n=Max("lat"))
    return {
        "number": case.number,
        "group": search.group_of(case.case_type),
        "street": case.region_code[:9],
        "since": f"{now.year - 1}-06-01",
        "cursor": cursor,
        "box": f"{box['w']},{box['s']},{box['e']},{box['n']}",
        "near": f"{case.lon - 0.008},{case.lat - 0.006},{case.lon + 0.008},{case.lat + 0.006}",  # type: ignore[operator]
    }


def measure(count: int, rounds: int) -> dict[str, Any]:
    """Every page `rounds` times, one after the other in turn, so that what disturbs one disturbs all."""
    door, known = Door(), places()
    asked = {name: (role, address.format(**known)) for name, (role, address, _) in PAGES.items()}
    if has_map():
        asked |= {name: ("dispatcher", address.format(**known)) for name, address in VIEWPORTS.items()}
    times: dict[str, list[float]] = {name: [] for name in asked}
    own: dict[str, list[float]] = {name: [] for name in asked}
    pinned: dict[str, int] = {}
    limit: list[float] = []
    for name, (role, address) in asked.items():
        client = door.client(role)
        once(client, address)
        pinned[name] = statements(client, address)
    for _ in range(rounds):
        for name, (role, address) in asked.items():
            spent, computed = once(door.client(role), address)
            times[name].append(spent)
            own[name].append(computed)
        limit.append(rows_by_key())
    print(f"\n{count:,} cases, {rounds} rounds; fifty rows by key take PostgreSQL {statistics.median(limit):.2f} ms")
    print(f"{'':28} {'p50':>7} {'p95':>7} {'p99':>7} ms {'own':>6}  statements")
    for name, found in times.items():
        p50, p95, p99 = (share(found, part) for part in (0.5, 0.95, 0.99))
        computed = statistics.median(own[name])
        print(f"{name:28} {p50:7.1f} {p95:7.1f} {p99:7.1f}    {computed:6.1f}  {pinned[name]}")
    for name, (_, _, most) in PAGES.items():
        assert pinned[name] <= most, f"{name}: {pinned[name]} statements, at most {most} are agreed"
    return {"times": times, "own": own, "limit": statistics.median(limit), "statements": pinned}


def has_map() -> bool:
    from django.urls import Resolver404, resolve

    try:
        resolve("/map/cases")
    except Resolver404:
        return False
    return True


def first_load(door: Door, role: str, address: str) -> int:
    """Bytes over the wire of a first visit, gzipped: the page and all that it names, scripts that these import too."""
    from gridloop.web.shell import assets

    answer = door.client(role).get(address)
    seen: set[str] = set()
    weight = len(gzip.compress(answer.content, 6))
    home = assets.gather()

    def take(name: str) -> None:
        nonlocal weight
        if name in seen:
            return
        seen.add(name)
        path = home / name
        packed = path.with_name(path.name + ".gz")
        weight += (packed if packed.exists() else path).stat().st_size
        if name.endswith(".js"):
            text = path.read_text(encoding="utf-8", errors="ignore")
            for other in re.findall(r"""(?:\bfrom\s*|\bimport\s*\(?\s*)["'](\.{1,2}/[^"']+)["']""", text):
                target = (Path(name).parent / other).as_posix()
                take(os.path.normpath(target))

    for name in re.findall(rf'(?:src|href)="{assets.PREFIX}{assets.digest()}/([^"#]+)', answer.content.decode()):
        take(name)
    return weight


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="20,000 cases, a few rounds")
    parser.add_argument("--rounds", type=int, default=60)
    given = parser.parse_args()
    folder = own_database()
    (folder / "demo").touch()  # so that its door is open: nobody in here is real
    some_district()
    sizes = (20_000,) if given.quick else MILLION
    rounds = 5 if given.quick else given.rounds
    found: dict[int, dict[str, Any]] = {}
    there = 0
    for size in sizes:
        print(f"{size - there:,} cases in {seed_cases(size - there):.0f} s")
        there = size
        found[size] = measure(size, rounds)
    small, large = found[sizes[0]], found[sizes[-1]]
    weight = first_load(Door(), "dispatcher", "/console/cases")
    pages = {n: t for n, t in large["times"].items() if not n.startswith("map")}
    views = {n: t for n, t in large["times"].items() if n.startswith("map")}
    slowest = max(pages, key=lambda n: share(pages[n], 0.95))
    growth = {n: share(t, 0.5) / share(small["times"][n], 0.5) for n, t in large["times"].items()}
    most_grown = max(growth, key=lambda n: growth[n])
    print(f"\nslowest page: {slowest}; grew most: {most_grown}, {growth[most_grown]:.2f} times")
    print(f"first load of the work list: {weight / 1024:.0f} KB gzipped (goal {FIRST_LOAD // 1024})")
    verdict: Callable[[bool], str] = lambda good: "met" if good else "MISSED"  # noqa: E731
    print(f"p95 <= {GOAL_MS} ms on every page: {verdict(share(pages[slowest], 0.95) <= GOAL_MS)}")
    if views:
        print(
            f"viewport p99 <= {VIEWPORT_MS} ms: {verdict(max(share(t, 0.99) for t in views.values()) <= VIEWPORT_MS)}"
        )
    print(f"growth <= {GROWTH}: {verdict(growth[most_grown] <= GROWTH)}")
    conclude(
        name="pages", value=round(share(pages[slowest], 0.95), 1), unit="ms p95 of the slowest page",
        peer="PostgreSQL giving fifty rows by key", peer_value=round(large["limit"], 2),
        goal=f"p95 <= {GOAL_MS} ms, viewport p99 <= {VIEWPORT_MS} ms, growth <= {GROWTH}, first load <= 150 KB",
        rounds=rounds, cases=sizes[-1], slowest=slowest, first_load_bytes=weight,
        p95={n: round(share(t, 0.95), 1) for n, t in large["times"].items()},
        p99={n: round(share(t, 0.99), 1) for n, t in large["times"].items()},
        growth={n: round(g, 2) for n, g in growth.items()},
        own_ms={n: round(statistics.median(t), 1) for n, t in large["own"].items()},
        statements=large["statements"],
        not_shown=[
            "cases are invented and none has lived: the case page reads a short timeline",
            "one request at a time: nobody else asks, reports come in or are worked on meanwhile",
            "the network, TLS and the browser are not part of the time",
            "the whole database lies in memory",
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
