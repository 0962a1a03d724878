"""Find Debian's Chromium for the tests of the screens, or fetch it: as root by apt-get, else unpacked below .venv.

Test tools want to download a browser of their own; a closed network has Debian's packages only.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OWN = ROOT / ".venv" / "chromium"
NAMES = ("chromium", "chromium-browser", "google-chrome")


def find() -> Path | None:
    """The browser's program: CHROMIUM, one on the path, or the one that we unpacked."""
    if told := os.environ.get("CHROMIUM"):
        return Path(told)
    unpacked = OWN / "root" / "usr" / "lib" / "chromium" / "chromium"
    if unpacked.exists():
        return unpacked
    # Ubuntu's chromium-browser only starts a snap, which a container cannot run.
    found = [Path(program) for name in NAMES if (program := shutil.which(name))]
    return next((p for p in found if b"snap" not in p.resolve().read_bytes()[:4096]), None)


def environment(program: Path) -> dict[str, str]:
    """What an unpacked browser needs to find its libraries and fonts; nothing for an installed one."""
    root = OWN / "root"
    if root not in program.parents:
        return {}
    libraries = [str(p) for p in (root / "usr/lib", root / "lib") for p in sorted(p.glob("*-linux-gnu")) if p.is_dir()]
    return {"LD_LIBRARY_PATH": ":".join(libraries), "FONTCONFIG_FILE": str(OWN / "fonts.conf")}


def works(program: Path) -> bool:
    """Whether it starts at all."""
    command = [str(program), "--headless", "--no-sandbox", "--disable-gpu", "--version"]
    done = subprocess.run(command, check=False, capture_output=True, timeout=60, env=os.environ | environment(program))
    return done.returncode == 0


def main() -> None:
    program = find()
    if program is None and shutil.which("apt-get"):
        print("gridloop: fetching Chromium for the tests of the screens (once)", flush=True)
        install() if os.geteuid() == 0 else unpack()
        program = find()
    if program is None or not works(program):
        print(
            "gridloop: 没有 Chromium，界面测试将跳过。Debian：apt-get install chromium；或设置 CHROMIUM=程序。\n"
            "gridloop: there is no Chromium; the tests of the screens will be skipped. Debian: sudo apt-get install "
            "chromium; or set CHROMIUM=/path/to/it.",
            flush=True,
        )


def install() -> None:
    quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (("update", "-qq"), ("install", "-y", "-qq", "--no-install-recommends", "chromium")):
        subprocess.run(["apt-get", *arguments], check=False, env=quiet, stdout=subprocess.DEVNULL)


def unpack() -> None:
    """Without root: apt-get with folders of our own downloads, dpkg-deb unpacks, nothing is installed."""
    state, cache = OWN / "state", OWN / "cache"
    for folder in (state / "lists" / "partial", cache / "archives" / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    options = [
        f"-o=Dir::State={state}", f"-o=Dir::State::status={state / 'status'}", f"-o=Dir::Cache={cache}",
        "-o=Debug::NoLocking=1", "-o=APT::Sandbox::User=", "-qq",
    ]  # fmt: skip
    # An empty list of installed packages makes apt-get fetch every library, so that nothing depends on the machine.
    (state / "status").touch()
    subprocess.run(["apt-get", *options, "update"], check=False)
    wanted = ["install", "-y", "--download-only", "--no-install-recommends", "chromium", "fonts-dejavu-core"]
    subprocess.run(["apt-get", *options, *wanted], check=False, stdout=subprocess.DEVNULL)
    for archive in sorted((cache / "archives").glob("*.deb")):
        # The C library and the loader must be the machine's own.
        if not archive.name.startswith(("libc6_", "libc-bin_", "dpkg_", "base-files_", "bash_", "dash_")):
            subprocess.run(["dpkg-deb", "-x", str(archive), str(OWN / "root")], check=False)
    shutil.rmtree(state)
    shutil.rmtree(cache)
    fonts = OWN / "root" / "usr" / "share" / "fonts"
    (OWN / "fonts.conf").write_text(
        f'<?xml version="1.0"?><fontconfig><dir>{fonts}</dir><dir>/usr/share/fonts</dir>'
        f"<cachedir>{OWN / 'font-cache'}</cachedir></fontconfig>\n"
    )


if __name__ == "__main__":
    main()
