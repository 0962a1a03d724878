"""The life of one embedded PostgreSQL: made once, started, found again after any death, stopped.

The lock. `postgres.lock` beside the cluster is locked by whoever starts the server *and handed down to the server*: the
operating system holds it as long as any process of that server lives and lets go at the very moment the last one dies,
whatever killed it. So "lock taken" means "alive", and having the lock means that every pid file and socket lock found
in the folder is stale, even when its pid is a zombie or meanwhile belongs to somebody else.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import shutil
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.language import Sentence
from gridloop.kernel.postgres.binaries import ROOTS_PLACE, Account, Binaries, find_binaries, server_account
from gridloop.kernel.postgres.checks import SAFE, unsafe_setting

DATABASE = "gridloop"
ROLE = "gridloop"
SUPERUSER = "postgres"
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_LIMIT = 107
"""Bytes in the path of a unix socket, everywhere on Linux."""
PATIENCE = 10.0
"""Seconds a start may be refused by what a killed server left behind, before we give up."""
RECOVERY = 600.0
"""Seconds a living server may spend on crash recovery."""
ORPHANS_MAY_LIVE = 4.0
"""Seconds that server processes whose postmaster is dead get to notice it themselves."""

TUNING = """
# Written once by gridloop; yours to tune. Durability (fsync and its kin) is fixed on the command line.
shared_buffers = 256MB
effective_cache_size = 1GB
random_page_cost = 1.1
max_connections = 100
max_wal_size = 2GB
wal_compression = on
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
# One file per weekday. Neither statements nor rows are written: they could name a person.
logging_collector = on
log_directory = 'log'
log_filename = 'postgresql-%a.log'
log_file_mode = 0600
log_rotation_age = 1d
log_rotation_size = 0
log_truncate_on_rotation = on
log_error_verbosity = terse
log_min_error_statement = panic
"""


@dataclass(frozen=True, slots=True)
class Status:
    """What `gridloop db status` tells. `pid` is None when nothing runs."""

    running: bool
    pid: int | None
    folder: Path
    url: str


class Cluster:
    """The embedded server that belongs to one data folder. Making the object touches nothing."""

    def __init__(self, data: Path) -> None:
        self.data = data.absolute()
        self.account: Account = server_account()
        home = self.data
        if not self.account.is_us and not self.account.may_enter(self.data):
            home = ROOTS_PLACE / f"{self.data.name}-{_short(self.data)}"
        self.home = home
        self.folder = home / "postgres"
        self._process: subprocess.Popen[bytes] | None = None

    # ---- where it is ------------------------------------------------------------------------------------------------

    @property
    def sockets(self) -> Path:
        """The folder of the unix socket, mode 0700; a short one elsewhere when the data folder's path is too long."""
        near = self.home / "run"
        if len(os.fsencode(near / SOCKET_NAME)) <= SOCKET_LIMIT:
            return near
        return Path("/tmp") / f"gridloop-{self.account.uid}-{_short(self.folder)}"  # noqa: S108 - checked when used

    def url(self, database: str = DATABASE, role: str = ROLE) -> str:
        """How to connect. The application's role owns its database and is no superuser."""
        return f"postgresql:///{database}?host={self.sockets}&user={role}"

    def status(self) -> Status:
        pid = self._pid()
        return Status(running=pid is not None and self._answers(), pid=pid, folder=self.folder, url=self.url())

    # ---- start and stop ---------------------------------------------------------------------------------------------

    def start(self) -> bool:
        """Make sure the server runs and holds our database. True if this call started it, False if it ran already.

        Survives what `kill -9` of everything leaves behind. Raises `Refused` with the reason when it cannot be had,
        `Mistakes` when its configuration would lose data.
        """
        self._make_folders()
        began = time.monotonic()
        reason = ""
        while True:
            with self._lock() as lock:
                if lock is None:
                    reason = "another process holds the cluster"
                else:
                    started, reason = self._try_to_start(lock)
                    if started:
                        self._make_database()
                        return True
            if self._answers():
                self._make_database()
                return False
            waited = time.monotonic() - began
            if waited > (RECOVERY if self._pid() else PATIENCE):
                raise Refused(
                    Sentence(
                        zh=f"PostgreSQL 在 {waited:.0f} 秒内未能启动（数据目录 {self.folder}）：{reason}",
                        en=f"PostgreSQL did not start within {waited:.0f} s (data folder {self.folder}): {reason}",
                    ),
                    code="no_postgres",
                )
            if lock is None and waited > ORPHANS_MAY_LIVE and self._pid() is None:
                self._end_orphans()
            time.sleep(0.1)

    def keep_running(self) -> None:
        """Start the server if it has died. Costs next to nothing while it lives."""
        if self._pid() is None:
            self.start()

    def stop(self) -> bool:
        """Stop the server and wait until its last process is gone. False if it was not running."""
        pid = self._pid()
        if pid is None:
            return False
        for how, patience in ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0)):
            with suppress(ProcessLookupError):
                os.kill(pid, how)
            until = time.monotonic() + patience
            while time.monotonic() < until:
                if self._process is not None:
                    self._process.poll()  # reap it if it is our child
                with self._lock() as lock:
                    if lock is not None:
                        self._process = None
                        return True
                time.sleep(0.05)
        raise Refused(
            Sentence(zh=f"PostgreSQL（进程 {pid}）没有停止。", en=f"PostgreSQL (process {pid}) does not stop."),
            code="no_postgres",
        )

    def _try_to_start(self, lock: int) -> tuple[bool, str]:
        """One attempt, holding the lock: True if the server answers; else the server's own words."""
        if self._process is not None:
            self._process.wait()  # the lock is ours, so it is dead: bury it
        if self._processes():
            return False, "server processes started by other means still run in this folder"
        binaries = self._binaries()
        if not (self.folder / "PG_VERSION").exists():
            self._initialise(binaries)
        for leftover in (
            self.folder / "postmaster.pid",
            self.sockets / SOCKET_NAME,
            self.sockets / f"{SOCKET_NAME}.lock",
        ):
            leftover.unlink(missing_ok=True)
        self._let_in()
        self._refuse_unsafe_settings(binaries)
        output = self.home / "postgres-start.log"
        with output.open("wb") as words:
            self._process = subprocess.Popen(
                [
                    binaries.program("postgres"),
                    *("-D", str(self.folder), "-k", str(self.sockets)),
                    *("-c", "listen_addresses=", "-c", "unix_socket_permissions=0700"),
                    *(part for name, value in SAFE.items() for part in ("-c", f"{name}={value}")),
                ],
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                pass_fds=(lock,),
                start_new_session=True,
                **self._as_account(),
            )
        until = time.monotonic() + RECOVERY
        while self._process.poll() is None and time.monotonic() < until:
            if self._answers():
                return True, ""
            time.sleep(0.03)
        return False, output.read_text(errors="replace").strip()[-2000:]

    # ---- making it --------------------------------------------------------------------------------------------------

    def _make_folders(self) -> None:
        existed = self.data.exists()
        self.data.mkdir(parents=True, exist_ok=True)
        if not existed:
            # As root, the server's account must be able to pass through; what is secret has its own closed folder.
            self.data.chmod(0o700 if self.account.is_us else 0o711)
        self.home.mkdir(parents=True, exist_ok=True)
        if self.folder.exists() and self.folder.stat().st_uid != self.account.uid:
            owner = _name_of(self.folder.stat().st_uid)
            raise Refused(
                Sentence(
                    zh=f"数据目录 {self.folder} 属于 {owner}，而服务器以 {self.account.name} 运行。"
                    f"请以 {owner} 身份运行，或换一个数据目录（GRIDLOOP_DATA）。",
                    en=f"The data folder {self.folder} belongs to {owner} but the server runs as {self.account.name}: "
                    f"run as {owner}, or choose another data folder (GRIDLOOP_DATA).",
                ),
                code="wrong_owner",
            )
        self.sockets.mkdir(mode=0o700, exist_ok=True)
        if not self.account.is_us:
            os.chown(self.sockets, self.account.uid, self.account.gid)
        self.sockets.chmod(0o700)
        state = self.sockets.lstat()
        if not stat.S_ISDIR(state.st_mode) or state.st_uid != self.account.uid:
            raise Refused(
                Sentence(
                    zh=f"套接字目录 {self.sockets} 不属于 {self.account.name}，请删除它。",
                    en=f"The socket folder {self.sockets} does not belong to {self.account.name}: remove it.",
                ),
                code="wrong_owner",
            )

    def _initialise(self, binaries: Binaries) -> None:
        """initdb beside the final place, then rename: a folder with a PG_VERSION is always a whole cluster."""
        draft = self.home / "postgres.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700)
        if not self.account.is_us:
            os.chown(draft, self.account.uid, self.account.gid)
        # Never the locale C alone: pg_trgm would find nothing in Chinese.
        locale = (
            ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"] if binaries.major >= 17 else ["--locale=C.UTF-8"]
        )
        answer = subprocess.run(
            [
                binaries.program("initdb"),
                *("-D", str(draft), "-U", SUPERUSER, "--auth=peer", "--encoding=UTF8", "--data-checksums"),
                *locale,
            ],
            capture_output=True,
            text=True,
            check=False,
            **self._as_account(),
        )
        if answer.returncode:
            raise Refused(
                Sentence(
                    zh=f"无法建立数据库目录：{answer.stderr.strip()}",
                    en=f"The database folder cannot be made: {answer.stderr.strip()}",
                ),
                code="no_postgres",
            )
        with (draft / "postgresql.conf").open("a") as file:
            file.write(TUNING)
        draft.rename(self.folder)

    def _let_in(self) -> None:
        """Only over the socket, only the account that runs the server, root, and ourselves."""
        names = sorted({self.account.name, "root", _name_of(os.geteuid())})
        for name, text in (
            ("pg_hba.conf", "local all all peer map=gridloop\n"),
            ("pg_ident.conf", "".join(f"gridloop {name} {role}\n" for name in names for role in (SUPERUSER, ROLE))),
        ):
            (self.folder / name).write_text(f"# Written by gridloop at every start.\n{text}")

    def _make_database(self) -> None:
        """Role, database and extension, if they are not there yet."""
        with psycopg.connect(self.url("postgres", SUPERUSER), autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (ROLE,)).fetchone():
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEDB").format(sql.Identifier(ROLE)))
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone():
                connection.execute(
                    sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(DATABASE), sql.Identifier(ROLE))
                )

    def _binaries(self) -> Binaries:
        version = self.folder / "PG_VERSION"
        major = int(version.read_text()) if version.exists() else None
        return find_binaries(major).reachable_by(self.account)

    def _refuse_unsafe_settings(self, binaries: Binaries) -> None:
        """Look at what the files in the folder say, although our command line would win: somebody wanted it so."""
        mistakes = []
        for name in SAFE:
            answer = subprocess.run(
                [binaries.program("postgres"), "-D", str(self.folder), "-C", name],
                capture_output=True,
                text=True,
                check=False,
                **self._as_account(),
            )
            if answer.returncode:
                raise Refused(
                    Sentence(
                        zh=f"PostgreSQL 的配置文件有错：{answer.stderr.strip()}",
                        en=f"PostgreSQL's configuration is wrong: {answer.stderr.strip()}",
                    ),
                    code="bad_configuration",
                )
            mistake = unsafe_setting(name, answer.stdout.strip(), self._where_set(name))
            if mistake:
                mistakes.append(mistake)
        if mistakes:
            raise Mistakes(mistakes)

    def _where_set(self, name: str) -> str:
        """The file and line that decides `name`: ALTER SYSTEM's file wins over postgresql.conf, the last line wins."""
        for file in (self.folder / "postgresql.auto.conf", self.folder / "postgresql.conf"):
            lines = file.read_text(errors="replace").splitlines()
            for number in range(len(lines), 0, -1):
                if lines[number - 1].lstrip().lower().startswith(name):
                    return f"{file}:{number}"
        return str(self.folder)

    # ---- what lives -------------------------------------------------------------------------------------------------

    @contextmanager
    def _lock(self) -> Iterator[int | None]:
        """The cluster's lock as a file descriptor, or None if a living server or another starter has it."""
        file = os.open(self.home / "postgres.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield None
            else:
                yield file
        finally:
            os.close(file)  # the server's own copy keeps the lock

    def _pid(self) -> int | None:
        """The postmaster's pid, if it is alive and serves this very folder."""
        try:
            pid = int((self.folder / "postmaster.pid").read_text().split("\n", 1)[0])
        except (OSError, ValueError):
            return None
        return pid if self._serves_here(pid) else None

    def _processes(self) -> list[int]:
        """All living server processes that work in this folder, found without believing any pid file."""
        proc = Path("/proc")
        if not proc.exists():
            pid = self._pid()
            return [pid] if pid else []
        return [
            int(entry.name) for entry in proc.iterdir() if entry.name.isdigit() and self._serves_here(int(entry.name))
        ]

    def _serves_here(self, pid: int) -> bool:
        """A server process works inside its data folder; a zombie or a stranger with the same number does not."""
        if not Path("/proc/self").exists():
            with suppress(OSError):
                os.kill(pid, 0)
                return True
            return False
        try:
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            return name == "postgres" and Path(os.readlink(f"/proc/{pid}/cwd")) == self.folder.resolve()
        except OSError:
            return False

    def _end_orphans(self) -> None:
        """Server processes without a postmaster cannot commit any more: end them, recovery does the rest."""
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.url("postgres", SUPERUSER), connect_timeout=5) as connection:
                connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def _as_account(self) -> dict[str, Any]:
        """How to run a program as the server's account: its user, a clean environment, a folder it may be in."""
        as_whom: dict[str, Any] = {
            "cwd": "/",
            "env": {"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "PGTZ": "UTC"},
        }
        if not self.account.is_us:
            as_whom |= {"user": self.account.uid, "group": self.account.gid, "extra_groups": []}
        return as_whom


def _short(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:8]


def _name_of(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
