"""How many points a second are put into their grid, and whether every one is in the right one.

    python -m bench.locate

One million points against 2,000 irregular polygons and against 9,005: the 500 m cells of Shenzhen if the development
data is there, else as many irregular ones. The peer is what one would write without thinking, in the same process and
on the same points: shapely's `STRtree.query(points, predicate="within")`. The reference uses no index at all: each
polygon is asked about every point in its rows, lowest code last, so that it wins; a tenth of the points lie exactly on
corners and borders.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from gridloop.territory.rules.location import Locator

SHENZHEN = Path(__file__).resolve().parents[1] / "../shared/data/boundaries/shenzhen_grid_500m_9005.geojson"
POINTS = 1_000_000
ROUNDS = 5
GOAL = 500_000

Array = NDArray[Any]


def irregular(count: int, seed: int = 7) -> Array:
    """Voronoi cells with wavy borders over a third of a degree: 130 corners each for 2,000 cells, shared borders."""
    random = np.random.default_rng(seed)
    frame = shapely.box(0, 0, 1, 1)
    seeds = shapely.multipoints(random.uniform(0, 1, (count, 2)))
    cells = shapely.get_parts(shapely.voronoi_polygons(seeds, extend_to=frame, ordered=True))
    # Corners before the wave: from then on neighbours bend together.
    cells = shapely.segmentize(shapely.set_precision(shapely.intersection(cells, frame), 1e-9), 0.0007)

    def wave(c: Array) -> Array:
        x, y = c[:, 0], c[:, 1]
        bent = [x + 4e-4 * np.sin(900 * y), y + 4e-4 * np.sin(800 * x)]
        return np.column_stack([113.5 + 0.33 * bent[0], 34.6 + 0.33 * bent[1]])

    return np.asarray(shapely.make_valid(shapely.transform(cells, wave)))


def shenzhen() -> Array:
    features = json.loads(SHENZHEN.read_text(encoding="utf-8"))["features"]
    return np.array([shapely.geometry.shape(f["geometry"]) for f in features], dtype=object)


def points_over(shapes: Array, seed: int = 11) -> tuple[Array, Array]:
    """A million points: nine tenths anywhere in the frame, the rest corners and middles of borders."""
    random = np.random.default_rng(seed)
    west, south, east, north = shapely.total_bounds(shapes)
    inside = POINTS * 9 // 10
    x, y = random.uniform(west, east, inside), random.uniform(south, north, inside)
    corners = shapely.get_coordinates(shapes)
    at = random.integers(0, len(corners) - 1, POINTS - inside)
    chosen, following = corners[at], corners[at + 1]
    # The last corner of a ring is followed by the next ring's first: there the corner itself is taken, and for half.
    middle = (np.hypot(*(chosen - following).T) < 0.01) & (random.random(len(at)) < 0.5)
    border = np.where(middle[:, None], (chosen + following) / 2, chosen)
    order = random.permutation(POINTS)
    return np.concatenate([x, border[:, 0]])[order], np.concatenate([y, border[:, 1]])[order]


def reference(codes: list[str], shapes: Array, x: Array, y: Array) -> Array:
    """The same rule without any index of polygons."""
    answer = np.full(len(x), "", dtype="<U19")
    rows = np.argsort(y, kind="stable")
    sorted_y = y[rows]
    for i in sorted(range(len(codes)), key=codes.__getitem__, reverse=True):
        west, south, east, north = shapes[i].bounds
        band = rows[np.searchsorted(sorted_y, south) : np.searchsorted(sorted_y, north, side="right")]
        band = band[(x[band] >= west) & (x[band] <= east)]
        answer[band[shapely.intersects_xy(shapes[i], x[band], y[band])]] = codes[i]
    return answer


def seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(title: str, shapes: Array) -> tuple[float, float, int]:
    """Points per second of ours and of the peer (medians), and the differences to the reference."""
    # Codes in no order of place, so that "the lowest code" is no accident of storage.
    numbers = np.random.default_rng(5).permutation(len(shapes))
    codes = [f"410104{1 + n // 999:03d}{1 + n % 999:03d}B001" for n in numbers.tolist()]
    x, y = points_over(shapes)
    build = time.perf_counter()
    locator = Locator(codes, shapes)
    build = time.perf_counter() - build
    tree = shapely.STRtree(shapes)
    ours, peer = [], []
    for _ in range(ROUNDS):
        ours.append(seconds(lambda: locator.locate(x, y)))
        peer.append(seconds(lambda: tree.query(shapely.points(x, y), predicate="within")))
    wrong = int((locator.locate(x, y) != reference(codes, shapes, x, y)).sum())
    one = [seconds(lambda i=i: locator.locate(x[i : i + 1], y[i : i + 1])) for i in range(2000)]  # type: ignore[misc]
    print(
        f"{title}: {len(shapes):,} polygons, {shapely.get_num_coordinates(shapes).mean():.0f} corners each; "
        f"ready in {build * 1000:.0f} ms; ours {POINTS / median(ours):,.0f}/s, peer {POINTS / median(peer):,.0f}/s; "
        f"a single point {median(one) * 1e6:.0f} µs; {wrong} of {POINTS:,} differ from the reference"
    )
    return POINTS / median(ours), POINTS / median(peer), wrong


def main() -> None:
    results = [measure("irregular", irregular(2000))]
    if SHENZHEN.exists():
        results.append(measure("Shenzhen's 500 m cells", shenzhen()))
    else:
        results.append(measure("irregular (no Shenzhen file here)", irregular(9005)))
    if any(wrong for _, _, wrong in results):
        raise SystemExit("some points are in the wrong polygon")
    print("Slower of the two sets below. Not shown: the query that fetches a new edition of the map, the effect of")
    print("other processes on the same cores, and real grid borders, of which no public set exists. The peer leaves")
    print("points on a border without an answer and says two where polygons overlap; ours gives exactly one.")
    ours, peer, _ = min(results)
    print(
        json.dumps(
            {
                "name": "locate",
                "value": round(ours),
                "unit": "points/s",
                "peer": "shapely STRtree.query(points, 'within')",
                "peer_value": round(peer),
                "ratio": round(ours / peer, 2),
                "goal": GOAL,
                "rounds": ROUNDS,
            }
        )
    )


if __name__ == "__main__":
    main()
