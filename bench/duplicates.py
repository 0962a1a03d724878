"""Which of Chicago's requests repeat an open one: `duplicates.find` and `duplicates.score` against a simple rule.

    python -m bench.duplicates

The weights of `score` are fitted on the requests before July 2012 and judged on those after. A request sees only what
was known on its day: requests before it, and whether they were closed before that day. Its own closing and its own
status are used as the answer and for nothing else. The peer is the rule "another request at the same address (rounded
coordinates) within 7 days before", on the same rows, in its best rounding.
"""

from __future__ import annotations

import csv
import gzip
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from random import Random
from statistics import median
from typing import NamedTuple

import numpy as np

from gridloop.discover.rules.duplicates import SHIPPED, Gates, Match, Seen, Weights, find

DATA = Path(__file__).resolve().parents[1] / "../shared/data/us311/stream.csv.gz"
SPLIT = datetime(2012, 7, 1, tzinfo=UTC)
GATES = Gates(meters=30, hours=24 * 7)
ROUNDS = 5


class Request(NamedTuple):
    seen: Seen
    closed: datetime
    """The day it was closed; far in the future if never."""
    repeats: bool


def chicago(path: Path = DATA) -> list[Request]:
    """Chicago's requests that have a place, in the order in which they came."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["city"] == "chicago" and row["lat"]]
    rows.sort(key=lambda row: (row["created"], row["id"]))
    return [
        Request(
            Seen(n, row["type"], float(row["lon"]), float(row["lat"]), _day(row["created"])),
            _day(row["closed"]) if row["closed"] else datetime.max.replace(tzinfo=UTC),
            row["is_dup"] == "1",
        )
        for n, row in enumerate(rows)
    ]


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text[:10]).replace(tzinfo=UTC)


def replay(requests: list[Request], weights: Weights, threshold: float) -> Iterator[tuple[Request, Match | None]]:
    """Day by day: find among the cases still open, join what is sure enough, open a case for the rest.

    A case closed on the day itself counts as open: at the moment of the request nobody knows the closing yet.
    """
    cases: dict[int, tuple[Seen, datetime]] = {}
    rules = {requests[0].seen.case_type: GATES}
    for today, batch in groupby(requests, key=lambda request: request.seen.at):
        mine = list(batch)
        oldest = today - timedelta(hours=GATES.hours)
        cases = {key: case for key, case in cases.items() if case[0].at >= oldest and case[1] >= today}
        matches = find([r.seen for r in mine], [seen for seen, _ in cases.values()], rules, weights=weights)
        for request, match in zip(mine, matches, strict=True):
            yield request, match
            if match is None or match.sure < threshold or match.key not in cases:
                cases[request.seen.key] = (request.seen, request.closed)
            else:
                seen, closed = cases[match.key]
                cases[match.key] = (replace(seen, callers=seen.callers + 1), closed)


def learn(requests: list[Request]) -> tuple[Weights, float]:
    """Weights from the pairs that the replay meets, and the threshold with the best F1 on them."""
    weights, threshold = Weights(0.0, 0.0, 0.0, 0.0, 0.0), 0.5
    for _ in range(2):
        pairs = [(r, m) for r, m in replay(requests, weights, threshold) if m is not None]
        metres, hours = (np.array([getattr(m, name) for _, m in pairs]) for name in ("metres", "hours"))
        callers = np.array([m.callers for _, m in pairs], dtype=float)
        truth = np.array([r.repeats for r, _ in pairs])
        weights = Weights.fit(metres, hours, callers, truth)
        judged = list(replay(requests, weights, threshold))
        threshold = max(np.arange(0.1, 0.91, 0.02), key=lambda t: quality(judged, float(t))[2])
    return weights, float(threshold)


def quality(judged: list[tuple[Request, Match | None]], threshold: float) -> tuple[float, float, float]:
    said = np.array([m is not None and m.sure >= threshold for _, m in judged])
    return precision_recall(said, np.array([r.repeats for r, _ in judged]))


def precision_recall(said: np.ndarray, truth: np.ndarray) -> tuple[float, float, float]:
    right = float((said & truth).sum())
    precision, recall = right / max(1.0, said.sum()), right / max(1.0, truth.sum())
    return precision, recall, 2 * precision * recall / max(1e-9, precision + recall)


def same_address(requests: list[Request], digits: int) -> np.ndarray:
    """The simple rule: a request within the 7 days before at the same rounded coordinates."""
    last: dict[tuple[float, float], datetime] = {}
    said = []
    for request in requests:
        place = (round(request.seen.lon or 0, digits), round(request.seen.lat or 0, digits))
        said.append(place in last and request.seen.at - last[place] <= timedelta(days=7))
        last[place] = request.seen.at
    return np.array(said)


def speed(rounds: int) -> list[float]:
    """Reports a second: 10,000 new ones against 10,000 open cases of 40 kinds, over 100 km²."""
    random = Random(7)
    words = "积水 井盖 坏了 很深 车辆 无法 通行 路口 门口 小区 垃圾 臭味 噪音 夜里 施工 扬尘 电线 树枝"
    start = datetime(2022, 7, 25, tzinfo=UTC)

    def some(first: int) -> list[Seen]:
        return [
            Seen(
                first + n,
                f"kind{random.randrange(40)}",
                113.65 + random.random() * 0.1,
                34.7 + random.random() * 0.1,
                start + timedelta(minutes=random.random() * 1440),
                "".join(random.choices(words.split(), k=18)),
            )
            for n in range(10_000)
        ]

    new, known = some(0), some(10_000)
    rates = []
    for _ in range(rounds):
        begin = time.perf_counter()
        find(new, known)
        rates.append(len(new) / (time.perf_counter() - begin))
    return rates


def main() -> int:
    if not DATA.exists():
        print(f"no data at {DATA}: nothing measured")
        return 1
    requests = chicago()
    early = [r for r in requests if r.seen.at < SPLIT]
    late = [r for r in requests if r.seen.at >= SPLIT]
    weights, threshold = learn(early)
    print(f"fitted on {len(early)} requests before {SPLIT:%Y-%m-%d}: {weights}, joins from {threshold:.2f}")
    judged = list(replay(late, weights, threshold))
    ours = quality(judged, threshold)
    print(f"judged on {len(late)} requests after, {sum(r.repeats for r in late)} of them flagged by the city")
    print(f"{'':34}precision  recall      F1")
    print(f"{'duplicates.find':34}{ours[0]:9.3f}{ours[1]:8.3f}{ours[2]:8.3f}")
    truth = np.array([r.repeats for r in late])
    peers = {}
    for digits in (3, 4, 5):
        result = precision_recall(same_address(requests, digits)[-len(late) :], truth)
        peers[digits] = result[2]
        name = f"same address ({digits} decimals), 7 days"
        print(f"{name:34}{result[0]:9.3f}{result[1]:8.3f}{result[2]:8.3f}")
    shipped = quality(list(replay(late, SHIPPED, threshold)), threshold)
    print(f"{'duplicates.find, weights as shipped':34}{shipped[0]:8.3f}{shipped[1]:8.3f}{shipped[2]:8.3f}")
    rates = speed(ROUNDS)
    print(f"speed: {median(rates):,.0f} reports/s on one core (10,000 new, 10,000 open; {ROUNDS} rounds)")
    print("Not shown: other kinds, hours (the data has days), texts (it has none); another city has other habits.")
    peer = max(peers.values())
    print(
        json.dumps(
            {
                "name": "duplicates", "value": round(ours[2], 4), "unit": "F1",
                "peer": "same address within 7 days, best rounding", "peer_value": round(peer, 4),
                "ratio": round(ours[2] / peer, 3), "goal": round(peer + 0.10, 4), "rounds": 1,
                "reports_per_second": round(median(rates)), "speed_rounds": ROUNDS,
            }
        )
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
