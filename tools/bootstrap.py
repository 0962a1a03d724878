"""Make .venv and install the locked dependencies into it. Runs on a bare python3; quick when nothing has changed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HOME = ROOT / ".venv"
PYTHON = HOME / "bin" / "python"
LOCK = ROOT / "requirements-dev.lock"
STAMP = HOME / ".gridloop-installed"


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever calls us has not read pyproject.toml
        stop(
            f"Gridloop 需要 Python 3.11 或更新版本，这里是 {sys.version.split()[0]}。请用 make PYTHON=python3.12 …",
            f"Gridloop needs Python 3.11 or newer; this is {sys.version.split()[0]}. Try make PYTHON=python3.12 ...",
        )
    wanted = hashlib.sha256(
        LOCK.read_bytes() + (ROOT / "pyproject.toml").read_bytes() + sys.version.encode() + bytes(HOME)
    ).hexdigest()
    if STAMP.exists() and STAMP.read_text() == wanted and PYTHON.exists():
        assets()
        return
    print("gridloop: installing the locked dependencies into .venv (a minute or two, once)", flush=True)
    make_venv()
    pip("install", "--require-hashes", "--no-deps", "-r", str(LOCK))
    pip("install", "--no-deps", "--no-build-isolation", "--no-index", "-e", str(ROOT))
    STAMP.write_text(wanted)
    assets()


def assets() -> None:
    """What the browser gets: npm packages, by the Node that came as a wheel."""
    done = subprocess.run([PYTHON, str(ROOT / "tools" / "assets.py")], check=False, cwd=ROOT)
    if done.returncode:
        sys.exit(done.returncode)


def make_venv() -> None:
    """A virtual environment with pip in it. Debian ships python3 without ensurepip: then an outer pip will do."""
    try:
        import ensurepip
    except ImportError:
        ensurepip = None  # type: ignore[assignment]
    if ensurepip is not None:
        venv.create(HOME, with_pip=True, symlinks=True, clear=of_another_python())
        return
    venv.create(HOME, with_pip=False, symlinks=True, clear=of_another_python())
    outer = subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(PYTHON), "install", "--quiet", "pip"], check=False
    )
    if outer.returncode:
        stop(
            "这个 Python 不带 venv/pip。请安装后重试：sudo apt-get install python3-venv（Debian/Ubuntu）"
            "或 sudo dnf install python3-pip（Fedora/openEuler）。",
            "This python3 has neither ensurepip nor pip. Install it and try again: sudo apt-get install python3-venv "
            "(Debian, Ubuntu) or sudo dnf install python3-pip (Fedora, openEuler).",
        )


def of_another_python() -> bool:
    """Whether .venv was made by another Python: then nothing in it can be used."""
    described = HOME / "pyvenv.cfg"
    version = ".".join(str(part) for part in sys.version_info[:3])
    return described.exists() and f"version = {version}" not in described.read_text()


def pip(*arguments: str) -> None:
    done = subprocess.run(
        [PYTHON, "-m", "pip", "--disable-pip-version-check", "--quiet", *arguments],
        check=False,
        cwd=ROOT,
        env=os.environ | {"PIP_ROOT_USER_ACTION": "ignore"},
    )
    if done.returncode:
        stop(
            f"依赖安装失败（pip {arguments[0]}）。网络受限时请为 pip 配置内网镜像或 PIP_FIND_LINKS。",
            "The dependencies could not be installed. In a closed network, point pip at your mirror or wheel folder "
            "(pip.conf, PIP_INDEX_URL or PIP_FIND_LINKS).",
        )


def stop(chinese: str, english: str) -> None:
    print(f"gridloop: {chinese}\ngridloop: {english}", file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
