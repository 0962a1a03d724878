"""The embedded PostgreSQL: real servers in temporary folders, killed and mistreated."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from django.utils import translation

from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.postgres import Cluster, check_server, disk_state, find_binaries
from gridloop.kernel.postgres.binaries import DEBIAN, Binaries
from gridloop.kernel.postgres.cluster import SOCKET_LIMIT, SOCKET_NAME, SUPERUSER
from gridloop.kernel.postgres.disk import lay_ballast, release_ballast

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every account may pass through (pytest's own are closed to `nobody`)."""
    place = Path(tempfile.mkdtemp(prefix="gridloop-pg-"))
    place.chmod(0o711)
    yield place
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """A data folder with a server that was made and stopped: copying it is quicker than making it for every test."""
    place = Path(tempfile.mkdtemp(prefix="gridloop-pg-"))
    place.chmod(0o711)
    made = Cluster(place / "data")
    made.start()
    made.stop()
    yield place / "data"
    shutil.rmtree(place, ignore_errors=True)


@pytest.fixture
def cluster(folder: Path, template: Path) -> Iterator[Cluster]:
    subprocess.run(["cp", "-a", template, folder / "data"], check=True)
    made = Cluster(folder / "data")
    yield made
    kill_everything(made)  # quicker than a clean stop, and nobody needs what is in it


@pytest.fixture(autouse=True)
def in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


def note(cluster: Cluster, text: str) -> None:
    with psycopg.connect(cluster.url(), autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS note (text text)")
        connection.execute("INSERT INTO note VALUES (%s)", (text,))


def notes(cluster: Cluster) -> list[str]:
    with psycopg.connect(cluster.url()) as connection:
        return [row[0] for row in connection.execute("SELECT text FROM note ORDER BY text").fetchall()]


def kill_everything(cluster: Cluster) -> None:
    """As `kill -9` of everything: no process of the server gets to tidy up."""
    while pids := cluster._processes():
        for pid in pids:
            with suppress(ProcessLookupError):  # it went with its postmaster
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def superuser(cluster: Cluster, statement: str) -> None:
    with psycopg.connect(cluster.url("postgres", SUPERUSER), autocommit=True) as connection:
        connection.execute(statement.encode())


def test_a_server_is_made_keeps_data_and_stops(folder: Path) -> None:
    cluster = Cluster(folder / "new")
    assert cluster.start() is True
    note(cluster, "first")
    assert cluster.start() is False, "a second start finds the running server"
    assert cluster.status().running
    assert cluster.stop() is True
    assert not cluster.status().running
    assert cluster.stop() is False
    cluster.start()
    assert notes(cluster) == ["first"]
    kill_everything(cluster)


def test_the_new_server_keeps_its_promises(cluster: Cluster) -> None:
    cluster.start()
    assert check_server(cluster.url()) == []
    with psycopg.connect(cluster.url()) as connection:
        shown = {
            name: connection.execute(f"SHOW {name}".encode()).fetchone()[0]  # type: ignore[index]
            for name in ("fsync", "full_page_writes", "synchronous_commit", "data_checksums", "listen_addresses")
        }
        assert shown == {
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "data_checksums": "on",
            "listen_addresses": "",
        }
        super_, trigrams = connection.execute(
            "SELECT rolsuper, cardinality(show_trgm('金水区')) FROM pg_roles WHERE rolname = current_user"
        ).fetchone() or (None, None)
    assert super_ is False, "the application is no superuser"
    assert trigrams
    assert cluster.sockets.stat().st_mode & 0o777 == 0o700
    assert cluster.folder.stat().st_mode & 0o777 == 0o700


def test_after_kill_9_of_everything_it_starts_again_with_all_data(cluster: Cluster) -> None:
    for round_ in "123":
        cluster.start()
        note(cluster, round_)
        kill_everything(cluster)
        assert not cluster.status().running
    began = time.monotonic()
    cluster.start()
    assert time.monotonic() - began < 10
    assert notes(cluster) == ["1", "2", "3"]


def test_after_kill_9_of_the_postmaster_and_of_its_starter_it_starts_again(cluster: Cluster) -> None:
    for _ in range(3):
        starter = subprocess.Popen(
            [sys.executable, "-c", STARTER, str(cluster.data)], cwd=ROOT, stdout=subprocess.PIPE, text=True
        )
        assert starter.stdout is not None
        assert starter.stdout.readline() == "started\n"
        pid = cluster.status().pid
        assert pid is not None
        os.kill(starter.pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)  # its children are left to find out by themselves
        starter.wait()
        starter.stdout.close()
        assert cluster.start() is True
        note(cluster, "kept")
        cluster.stop()
    cluster.start()
    assert notes(cluster) == ["kept"] * 3


STARTER = """
import sys, time
from pathlib import Path
from gridloop.kernel.postgres import Cluster
Cluster(Path(sys.argv[1])).start()
print("started", flush=True)
time.sleep(600)
"""


@pytest.mark.parametrize("content", ["", "nonsense\n", "stranger"])
def test_a_stale_pid_file_does_not_stop_a_start(cluster: Cluster, content: str) -> None:
    cluster.start()
    note(cluster, "kept")
    pidfile = cluster.folder / "postmaster.pid"
    before = pidfile.read_text()
    kill_everything(cluster)
    if content == "stranger":  # the number now belongs to another process of the same account
        stranger = subprocess.Popen(["sleep", "60"], **cluster._as_account())
        content = before.replace(before.split("\n", 1)[0], str(stranger.pid), 1)
    else:
        stranger = None
    pidfile.write_text(content)
    shutil.chown(pidfile, cluster.account.uid, cluster.account.gid)
    lock = cluster.sockets / f"{SOCKET_NAME}.lock"
    lock.write_text(content)
    try:
        assert cluster.start() is True
        assert notes(cluster) == ["kept"]
    finally:
        if stranger is not None:
            assert stranger.poll() is None, "the stranger was left in peace"
            stranger.kill()
            stranger.wait()


def test_the_pid_file_of_a_living_server_is_left_alone(cluster: Cluster) -> None:
    """A server that somebody started by hand on our folder holds no lock of ours and is respected all the same."""
    cluster.start()
    cluster.stop()
    by_hand = subprocess.Popen(
        [
            cluster._binaries().program("postgres"),
            "-D",
            str(cluster.folder),
            "-k",
            str(cluster.folder),
            "-c",
            "listen_addresses=",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        **cluster._as_account(),
    )
    try:
        while cluster._pid() is None:
            assert by_hand.poll() is None
            time.sleep(0.05)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("gridloop.kernel.postgres.cluster.RECOVERY", 1.0)
            with pytest.raises(Refused, match="other means"):
                cluster.start()
        assert int((cluster.folder / "postmaster.pid").read_text().split()[0]) == by_hand.pid
    finally:
        by_hand.send_signal(signal.SIGINT)
        by_hand.wait(20)


@pytest.mark.parametrize(
    ("file", "line"),
    [("postgresql.conf", "fsync = off"), ("postgresql.auto.conf", "full_page_writes = 'off'")],
)
def test_switched_off_durability_is_refused_and_the_line_is_named(cluster: Cluster, file: str, line: str) -> None:
    cluster.start()
    cluster.stop()
    with (cluster.folder / file).open("a") as configuration:
        configuration.write(f"{line}\n")
    with pytest.raises(Mistakes) as refused:
        cluster.start()
    [mistake] = refused.value.mistakes
    assert file in mistake.place
    assert line.split()[0] in mistake.wrong.en
    assert not cluster.status().running


def test_alter_system_on_a_running_server_is_refused_at_the_next_start(cluster: Cluster) -> None:
    cluster.start()
    superuser(cluster, "ALTER SYSTEM SET fsync = off")
    superuser(cluster, "SELECT pg_reload_conf()")
    time.sleep(0.2)
    assert check_server(cluster.url()) == [], "the running one cannot be talked into it"
    cluster.stop()
    with pytest.raises(Mistakes, match="fsync=off"):
        cluster.start()


def test_a_running_server_whose_database_forgets_commits_is_refused(cluster: Cluster) -> None:
    cluster.start()
    superuser(cluster, "ALTER DATABASE gridloop SET synchronous_commit = off")
    [mistake] = check_server(cluster.url())
    assert "synchronous_commit=off" in mistake.wrong.en


def test_a_long_path_gets_a_short_socket_folder(folder: Path) -> None:
    cluster = Cluster(folder / ("很长的名字" * 8) / "data")
    assert len(os.fsencode(cluster.sockets / SOCKET_NAME)) <= SOCKET_LIMIT
    cluster.start()
    try:
        note(cluster, "here")
        assert cluster.sockets.stat().st_mode & 0o777 == 0o700
    finally:
        cluster.stop()
        shutil.rmtree(cluster.sockets)


def test_somebody_elses_socket_folder_is_not_used(folder: Path) -> None:
    cluster = Cluster(folder / ("x" * 100) / "data")
    cluster.sockets.symlink_to(folder)
    try:
        with pytest.raises(Refused, match="does not belong"):
            cluster.start()
    finally:
        cluster.sockets.unlink()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_runs_the_server_as_nobody_and_creates_no_account(cluster: Cluster) -> None:
    accounts = {entry.pw_name for entry in pwd.getpwall()}
    cluster.start()
    pid = cluster.status().pid
    assert Path(f"/proc/{pid}").stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert {entry.pw_name for entry in pwd.getpwall()} == accounts


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has a home that others cannot enter")
def test_root_in_a_closed_folder_keeps_server_and_programs_where_nobody_can_reach_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = folder / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setattr("gridloop.kernel.postgres.binaries.ROOTS_PLACE", folder / "lib")
    monkeypatch.setattr("gridloop.kernel.postgres.cluster.ROOTS_PLACE", folder / "lib")
    original = find_binaries()
    package = original.folder.parent.parent
    for name in (package.name, f"{package.name}.libs"):
        if (package.parent / name).exists():
            subprocess.run(["cp", "-a", "--reflink=auto", package.parent / name, closed / name], check=True)
    hidden = Binaries(closed / original.folder.relative_to(package.parent), original.major)
    monkeypatch.setattr("gridloop.kernel.postgres.cluster.find_binaries", lambda major: hidden)
    cluster = Cluster(closed / "data")
    cluster.start()
    try:
        note(cluster, "kept")
        assert cluster.folder.is_relative_to(folder / "lib")
    finally:
        cluster.stop()
    cluster = Cluster(closed / "data")
    cluster.start()
    assert notes(cluster) == ["kept"], "the same data folder finds the same server"
    cluster.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="already a normal user: the other tests show it")
def test_a_normal_user_runs_it_too(folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    interpreter = next((p for p in (sys.executable, "/usr/bin/python3") if runs_as_nobody(p, nobody.pw_uid)), None)
    if interpreter is None:
        pytest.skip("no Python here that `nobody` may run")
    place = folder / "own"
    place.mkdir()
    os.chown(place, nobody.pw_uid, nobody.pw_gid)
    site = Path(psycopg.__file__).parents[1]
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(site)!r}]\n"
        "from pathlib import Path\n"
        "from gridloop.kernel.postgres import Cluster\n"
        f"c = Cluster(Path({str(place)!r}) / 'data')\n"
        "assert c.start() and c.status().running and c.stop()\n"
        "print(c.account.name, c.folder.stat().st_uid)\n"
    )
    done = subprocess.run(
        [interpreter, "-c", code],
        user=nobody.pw_uid,
        group=nobody.pw_gid,
        extra_groups=[],
        cwd="/",
        env={"PATH": "/usr/bin:/bin", "HOME": str(place)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == ["nobody", str(nobody.pw_uid)], done.stderr


def runs_as_nobody(interpreter: str, uid: int) -> bool:
    """Whether `nobody` can run this Python and it is the version our compiled dependencies were installed for."""
    try:
        done = subprocess.run(
            [interpreter, "-c", "import sys; print(*sys.version_info[:2])"],
            user=uid,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return False
    return done.stdout.split() == [str(part) for part in sys.version_info[:2]]


@pytest.fixture
def debian(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    programs = DEBIAN / "15" / "bin"
    if not (programs / "postgres").exists():
        pytest.skip(f"no PostgreSQL 15 of Debian at {programs}")
    monkeypatch.setenv("GRIDLOOP_PG_BIN", str(programs))
    made = Cluster(folder / "debian")
    made.start()
    yield made
    kill_everything(made)


def test_debians_postgresql_15_keeps_the_same_promises(debian: Cluster) -> None:
    assert check_server(debian.url()) == []
    with psycopg.connect(debian.url()) as connection:
        assert connection.info.server_version // 10000 == 15


def test_a_data_folder_of_another_major_version_is_refused_with_the_way_out(
    debian: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    debian.stop()
    monkeypatch.delenv("GRIDLOOP_PG_BIN")
    monkeypatch.setattr("gridloop.kernel.postgres.binaries.DEBIAN", Path("/nowhere"))
    with pytest.raises(Refused, match=r"made by PostgreSQL 15[\s\S]*backup"):
        debian.start()


def test_programs_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GRIDLOOP_PG_BIN", str(tmp_path))
    with pytest.raises(Refused, match="lacks initdb, postgres"):
        find_binaries()


def test_the_ballast_is_real_and_gives_its_room_back(tmp_path: Path) -> None:
    assert lay_ballast(tmp_path) is True
    assert lay_ballast(tmp_path) is False
    state = disk_state(tmp_path)
    assert state.ballast
    assert (tmp_path / "ballast").stat().st_blocks * 512 >= 64 * 1024 * 1024
    assert release_ballast(tmp_path) == 64 * 1024 * 1024
    assert release_ballast(tmp_path) == 0
    assert not disk_state(tmp_path).ballast
