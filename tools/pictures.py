"""The pictures of the documentation: taken by the tests of the screens from the demonstration, and made small.

    make pictures

runs the tests of the screens once with FACES_PICTURES set and keeps the pictures that a document shows.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "docs" / "pictures"
SHOWN = re.compile(r"pictures/([\w-]+)\.webp")
WIDEST = 1200
"""Pixels of a picture in a document."""


def wanted() -> set[str]:
    """The names that the documents show."""
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    return {name for path in texts for name in SHOWN.findall(path.read_text(encoding="utf-8"))}


def main() -> None:
    names = wanted()
    with tempfile.TemporaryDirectory(prefix="gridloop-pictures-") as folder:
        ready = Path(os.environ.get("FACES_PICTURES") or folder)
        if "FACES_PICTURES" not in os.environ:
            environment = os.environ | {"FACES_PICTURES": folder}
            subprocess.run(
                [sys.executable, "-m", "pytest", "-n", "0", "tests/faces"], cwd=ROOT, env=environment, check=False
            )
        taken = {path.stem: path for path in ready.glob("*.png")}
        TARGET.mkdir(exist_ok=True)
        for name in sorted(names & set(taken)):
            with Image.open(taken[name]) as picture:
                picture.thumbnail((WIDEST, 2 * WIDEST))
                picture.convert("RGB").save(TARGET / f"{name}.webp", quality=82, method=6)
        for old in TARGET.glob("*.webp"):
            if old.stem not in names:
                old.unlink()
    missing = sorted(names - {p.stem for p in TARGET.glob("*.webp")})
    if missing:
        sys.exit(f"no test takes these pictures: {', '.join(missing)}")


if __name__ == "__main__":
    main()
