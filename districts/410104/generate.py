"""Write gazetteer.csv, the invented places of the synthetic map, beside this file.

Run it as ``python districts/410104/generate.py``.

The map itself needs no file: it is drawn from regions.csv and layout.yaml when the district is first loaded.
"""

from __future__ import annotations

from pathlib import Path

from gridloop.territory.rules.places import write_places
from gridloop.territory.synthetic import draw_district, draw_places, read_names, read_plan, read_words

HERE = Path(__file__).parent


def main() -> None:
    drawing = draw_district(read_names(HERE / "regions.csv"), read_plan(HERE / "layout.yaml"))
    places = draw_places(drawing, read_words(HERE / "words.yaml"))
    write_places(HERE / "gazetteer.csv", places)
    print(f"{len(places)} places")


if __name__ == "__main__":
    main()
