"""One file holds the whole deployment; what comes back is what went in."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from django.conf import settings
from django.db import connection, connections, transaction
from django.utils import translation
from psycopg import sql
from psycopg.conninfo import make_conninfo

from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.events import Happened, publish
from gridloop.kernel.models import Event, LogLeaf
from gridloop.kernel.postgres import Cluster, backup
from gridloop.kernel.postgres.binaries import DEBIAN
from gridloop.kernel.postgres.cluster import SUPERUSER
from gridloop.kernel.sealing import Sealer, verify

AT = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = datetime(2026, 11, 22, 12, tzinfo=UTC)


class SomethingHappened(Happened):
    pass


@pytest.fixture(autouse=True)
def in_english() -> Iterator[None]:
    with translation.override("en"):
        yield


@pytest.fixture
def source(committed: None) -> str:
    """The address of this test's database, with its real tables."""
    words = connection.settings_dict
    return make_conninfo(dbname=words["NAME"], user=words["USER"], host=words["HOST"], port=words["PORT"] or None)


@pytest.fixture
def empty(source: str) -> Iterator[Callable[[], str]]:
    """Makes empty databases on the same server, and removes them with all that a restore left beside them."""
    made: list[str] = []
    admin = make_conninfo(source, dbname="postgres")

    def make() -> str:
        made.append(f"restored_{os.getpid()}_{len(made)}")
        with psycopg.connect(admin, autocommit=True) as server:
            server.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(sql.Identifier(made[-1])))
        return make_conninfo(source, dbname=made[-1])

    yield make
    with psycopg.connect(admin, autocommit=True) as server:
        for name in made:
            like = server.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (f"{name}%",)).fetchall()
            for (database,) in like:
                server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(database)))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder in which things happened: sealed events, evidence, keys."""
    folder = tmp_path / "data"
    (folder / "evidence" / "ab").mkdir(parents=True)
    (folder / "evidence" / "ab" / "照片.jpg").write_bytes(os.urandom(100_000))
    (folder / "evidence" / ".half-written").write_bytes(b"no")
    (folder / "contacts.key").write_bytes(os.urandom(32))
    (folder / "ballast").write_bytes(b"no")
    sealer = Sealer(folder, "gridloop.test")
    for _ in range(3):
        with transaction.atomic():
            publish([SomethingHappened(subject="case:1", actor="system", at=AT) for _ in range(50)])
        sealer.seal_all()
    return folder


def test_a_round_trip_brings_back_every_row_file_and_key_and_the_record_verifies(
    source: str, data: Path, empty: Callable[[], str], tmp_path: Path
) -> None:
    file = tmp_path / "gridloop.backup"
    made = backup.make_backup(source, data, file, AT)
    assert file.stat().st_mode & 0o777 == 0o600
    assert made.tables["kernel_event"] == 150
    assert set(made.files) == {
        "database.dump", "evidence/ab/照片.jpg", "contacts.key", "seal.key", "seal.pub", "checkpoints.log",
    }  # fmt: skip

    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target = empty()
    manifest, kept = backup.restore_backup(target, elsewhere, file, AT)

    assert manifest == made
    assert kept is None
    for name in ("evidence/ab/照片.jpg", "contacts.key", "seal.key", "seal.pub", "checkpoints.log"):
        assert (elsewhere / name).read_bytes() == (data / name).read_bytes()
    assert (elsewhere / "contacts.key").stat().st_mode & 0o777 == 0o600
    with psycopg.connect(target) as restored:
        assert backup._count(restored) == made.tables
    with the_application_on(target):
        assert Event.objects.count() == LogLeaf.objects.count() == 150
        assert verify(elsewhere) == []
        with pytest.raises(Exception, match="only grows"), transaction.atomic():
            Event.objects.all().delete()


def test_events_sealed_while_a_backup_is_made_do_not_look_like_a_forgery_afterwards(
    source: str, data: Path, empty: Callable[[], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = backup._count

    def busy(connected: psycopg.Connection[tuple[object, ...]]) -> dict[str, int]:
        counted = count(connected)  # the snapshot is taken; now the world goes on
        with transaction.atomic():
            publish([SomethingHappened(subject="case:2", actor="system", at=AT)])
        Sealer(data).seal_all()
        return counted

    monkeypatch.setattr(backup, "_count", busy)
    backup.make_backup(source, data, tmp_path / "busy.backup", AT)
    monkeypatch.undo()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    target = empty()
    backup.restore_backup(target, elsewhere, tmp_path / "busy.backup", AT)
    with the_application_on(target):
        assert Event.objects.count() == 150
        assert verify(elsewhere) == []


def test_live_data_is_not_overwritten_and_replaced_data_is_kept(
    source: str, data: Path, empty: Callable[[], str], tmp_path: Path
) -> None:
    file = tmp_path / "gridloop.backup"
    backup.make_backup(source, data, file, AT)
    target, elsewhere = empty(), tmp_path / "elsewhere"
    elsewhere.mkdir()
    backup.restore_backup(target, elsewhere, file, AT)
    (elsewhere / "contacts.key").write_bytes(b"younger")

    with pytest.raises(Refused, match="--replace"):
        backup.restore_backup(target, elsewhere, file, LATER)
    assert (elsewhere / "contacts.key").read_bytes() == b"younger"

    _, kept = backup.restore_backup(target, elsewhere, file, LATER, replace=True)
    assert kept is not None
    with psycopg.connect(make_conninfo(target, dbname=kept)) as old:
        assert backup._count(old)["kernel_event"] == 150
    assert (elsewhere / "contacts.key").read_bytes() == (data / "contacts.key").read_bytes()
    [before] = elsewhere.glob("before_*")
    assert (before / "contacts.key").read_bytes() == b"younger"


def test_an_old_backup_is_not_overwritten(source: str, data: Path, tmp_path: Path) -> None:
    (tmp_path / "old.backup").write_bytes(b"precious")
    with pytest.raises(Refused, match="not overwritten"):
        backup.make_backup(source, data, tmp_path / "old.backup", AT)
    assert (tmp_path / "old.backup").read_bytes() == b"precious"


@pytest.mark.parametrize("damage", ["cut", "flip", "other"])
def test_a_damaged_backup_changes_nothing(
    source: str, data: Path, empty: Callable[[], str], tmp_path: Path, damage: str
) -> None:
    file = tmp_path / "gridloop.backup"
    backup.make_backup(source, data, file, AT)
    whole = file.read_bytes()
    if damage == "cut":
        file.write_bytes(whole[: len(whole) // 2])
    elif damage == "flip":
        middle = len(whole) // 2
        file.write_bytes(whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :])
    else:
        file.write_bytes(b"something else")
    target, elsewhere = empty(), tmp_path / "elsewhere"
    elsewhere.mkdir()
    with pytest.raises((Refused, Mistakes)):
        backup.restore_backup(target, elsewhere, file, AT)
    assert list(elsewhere.iterdir()) == []
    with psycopg.connect(target) as untouched:
        assert backup._count(untouched) == {}


def test_a_restore_that_its_verifier_rejects_leaves_the_old_database(
    source: str, data: Path, empty: Callable[[], str], tmp_path: Path
) -> None:
    file = tmp_path / "gridloop.backup"
    backup.make_backup(source, data, file, AT)
    target, elsewhere = empty(), tmp_path / "elsewhere"
    elsewhere.mkdir()

    def reject(url: str) -> None:
        raise RuntimeError("the record was changed")

    with pytest.raises(RuntimeError, match="changed"):
        backup.restore_backup(target, elsewhere, file, AT, verify=reject)
    with psycopg.connect(target) as untouched:
        assert backup._count(untouched) == {}
        left = untouched.execute("SELECT count(*) FROM pg_database WHERE datname LIKE '%%_restore_%%'").fetchone()
    assert left == (0,)
    assert list(elsewhere.iterdir()) == []


def test_a_forged_backup_writes_nothing_outside_its_folder(
    source: str, data: Path, empty: Callable[[], str], tmp_path: Path
) -> None:
    file = tmp_path / "gridloop.backup"
    manifest = backup.make_backup(source, data, file, AT)
    evil = backup.Manifest(manifest.made_at, manifest.server, manifest.tables, {"../evil": (4, "0" * 64)})
    with tarfile.open(file, "w") as tar:
        (tmp_path / "m").write_bytes(evil.as_json())
        tar.add(tmp_path / "m", backup.MANIFEST)
        tar.add(tmp_path / "m", "../evil")
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    backup._unpack(file, evil, folder)
    assert not (tmp_path / "a" / "evil").exists()


def test_a_backup_of_the_embedded_server_comes_back_on_debians_postgresql_15(
    source: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = DEBIAN / "15" / "bin"
    if not (programs / "postgres").exists():
        pytest.skip(f"no PostgreSQL 15 of Debian at {programs}")
    file = tmp_path / "gridloop.backup"
    made = backup.make_backup(source, data, file, AT)
    import tempfile

    place = Path(tempfile.mkdtemp(prefix="gridloop-pg-"))
    place.chmod(0o711)
    with monkeypatch.context() as patch:
        patch.setenv("GRIDLOOP_PG_BIN", str(programs))
        older = Cluster(place / "data")
        older.start()
    try:
        target = older.url()
        backup.restore_backup(target, older.data, file, AT, admin_url=older.url("postgres", SUPERUSER))
        with psycopg.connect(target) as restored:
            assert restored.info.server_version // 10000 == 15
            assert backup._count(restored) == made.tables
    finally:
        older.stop()
        shutil.rmtree(place, ignore_errors=True)


class the_application_on:
    """Within the block, Django talks to another database."""

    def __init__(self, url: str) -> None:
        self.name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]

    def __enter__(self) -> None:
        connections.close_all()
        self.before = connection.settings_dict["NAME"]
        connection.settings_dict["NAME"] = settings.DATABASES["default"]["NAME"] = self.name

    def __exit__(self, *_: object) -> None:
        connections.close_all()
        connection.settings_dict["NAME"] = settings.DATABASES["default"]["NAME"] = self.before
