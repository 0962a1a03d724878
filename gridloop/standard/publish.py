"""Writes the reference of the pack format: ``python -m gridloop.standard.publish [FOLDER]``, else docs/reference."""

from __future__ import annotations

import sys
from pathlib import Path

from gridloop.standard.rules.reference import published


def main(folder: Path) -> None:
    for name, text in published().items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "docs/reference"))
