"""The gazetteer of a district: names that people write when they mean a place, and where that is."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

COLUMNS = ("name", "aliases", "kind", "lon", "lat", "synthetic")


@dataclass(frozen=True, slots=True)
class NamedPlace:
    """A name with other names for the same place and a point (WGS-84 degrees).

    `kind`: district, street, community, road, crossing, compound (小区), poi, landmark. Its region is not stored:
    `queries.locate` computes it from the point, so that redrawn grids need no new gazetteer.
    """

    name: str
    aliases: tuple[str, ...]
    kind: str
    lon: float
    lat: float
    synthetic: bool = True


def read_places(path: Path) -> list[NamedPlace]:
    """The places of a ``gazetteer.csv``; aliases are separated by ``|``."""
    with path.open(encoding="utf-8", newline="") as file:
        return [
            NamedPlace(
                row["name"],
                tuple(a for a in row["aliases"].split("|") if a),
                row["kind"],
                float(row["lon"]),
                float(row["lat"]),
                row["synthetic"] == "true",
            )
            for row in csv.DictReader(file)
        ]


def write_places(path: Path, places: Iterable[NamedPlace]) -> None:
    """Write a ``gazetteer.csv``."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for p in places:
            synthetic = "true" if p.synthetic else "false"
            writer.writerow([p.name, "|".join(p.aliases), p.kind, f"{p.lon:.6f}", f"{p.lat:.6f}", synthetic])
