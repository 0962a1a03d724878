"""One file that holds a whole deployment, and the way back from it.

A backup is a tar: ``manifest.json`` first, then ``database.dump`` (pg_dump's custom format) and the files of the data
folder that the database refers to (evidence, keys). Rows are counted in the very snapshot that is dumped, so a restore
can prove that nothing is missing before it changes anything. The keys are inside: keep a backup like the data itself.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from gridloop.kernel.errors import Mistake, Mistakes, Refused
from gridloop.kernel.language import Sentence
from gridloop.kernel.postgres.binaries import Binaries, find_binaries

FORMAT = 1
DUMP = "database.dump"
MANIFEST = "manifest.json"
PARTS = ("evidence", "models")
"""Folders of the data folder that belong to a backup."""
LOOSE = ("*.key", "*.pub", "checkpoints.log")
"""Files directly in the data folder that belong to a backup: the keys, and the witness of the sealed record."""
_TABLES = """
SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg_%'
ORDER BY 1
"""
_MIGRATED = ("django_migrations", "django_content_type", "auth_permission")
"""Tables that the migrations fill: rows in them are not somebody's data."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """What is in a backup. `tables`: rows by table; `files`: path -> (bytes, SHA-256), the dump included."""

    made_at: str
    server: int
    tables: dict[str, int]
    files: dict[str, tuple[int, str]]

    @property
    def rows(self) -> int:
        return sum(self.tables.values())

    def as_json(self) -> bytes:
        return json.dumps(
            {
                "gridloop_backup": FORMAT,
                "made_at": self.made_at,
                "server": self.server,
                "tables": self.tables,
                "files": self.files,
            },
            ensure_ascii=False,
            indent=1,
        ).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Manifest:
        read = json.loads(text)
        if read.get("gridloop_backup") != FORMAT:
            raise ValueError("another format")
        files = {name: (int(size), str(digest)) for name, (size, digest) in read["files"].items()}
        return cls(read["made_at"], int(read["server"]), {k: int(v) for k, v in read["tables"].items()}, files)


def make_backup(url: str, data: Path, target: Path, at: datetime) -> Manifest:
    """Write everything into the new file `target` (mode 0600). The application may go on working meanwhile."""
    if target.exists():
        raise Refused(
            Sentence(
                zh=f"{target} 已存在，不覆盖旧备份。请换一个文件名。",
                en=f"{target} exists and an old backup is not overwritten: choose another name.",
            ),
            code="exists",
        )
    draft = target.with_name(f".{target.name}.unfinished")
    with tempfile.TemporaryDirectory(dir=target.absolute().parent) as scratch, psycopg.connect(url) as connection:
        binaries = find_binaries()
        # The witness comes before the snapshot: what it witnesses is committed, so the snapshot holds it.
        loose = {p.name: _copied(p, Path(scratch)) for pattern in LOOSE for p in sorted(data.glob(pattern))}
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        snapshot = _text(connection, "SELECT pg_export_snapshot()")
        tables = _count(connection)
        dump = Path(scratch, DUMP)
        _run(binaries, "pg_dump", url, "-Fc", "-Z1", "--no-owner", f"--snapshot={snapshot}", f"--file={dump}")
        server = connection.info.server_version
        # Evidence comes after it: a file is written before the row that names it, so none can be missing.
        sources = {DUMP: dump} | loose | {str(p.relative_to(data)): p for p in _files(data)}
        manifest = Manifest(at.isoformat(), server, tables, {n: _digest(p) for n, p in sources.items()})
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w+b") as file:
            with tarfile.open(fileobj=file, mode="w") as tar:
                _add(tar, MANIFEST, io.BytesIO(manifest.as_json()), len(manifest.as_json()), at)
                for name, path in sources.items():
                    with path.open("rb") as content:
                        _add(tar, name, content, manifest.files[name][0], at)
            file.flush()
            os.fsync(file.fileno())
    read_backup(draft)  # a backup that cannot be read is none
    draft.rename(target)
    _sync_folder(target.absolute().parent)
    return manifest


def read_backup(source: Path) -> Manifest:
    """The manifest of a backup, after reading the whole file and comparing every part with it."""
    mistakes: list[Mistake] = []
    try:
        with tarfile.open(source, "r:") as tar:
            manifest = _manifest(tar)
            found = {}
            for member in tar:
                if member.isfile() and member.name != MANIFEST:
                    content = tar.extractfile(member)
                    assert content is not None
                    found[member.name] = _sum(content)
    except (OSError, tarfile.TarError, ValueError, KeyError) as error:
        raise Refused(
            Sentence(
                zh=f"{source} 不是完整的 Gridloop 备份（{type(error).__name__}）。",
                en=f"{source} is no whole Gridloop backup ({type(error).__name__}).",
            ),
            code="bad_backup",
        ) from None
    for name in sorted(manifest.files.keys() | found.keys()):
        if manifest.files.get(name) != found.get(name):
            mistakes.append(
                Mistake(
                    f"{source.name}: {name}",
                    Sentence(zh="内容与清单不符", en="differs from the manifest"),
                    Sentence(zh="使用另一份备份", en="use another backup"),
                )
            )
    if mistakes:
        raise Mistakes(mistakes)
    return manifest


def restore_backup(
    url: str,
    data: Path,
    source: Path,
    at: datetime,
    *,
    replace: bool = False,
    admin_url: str | None = None,
    verify: Callable[[str], None] | None = None,
) -> tuple[Manifest, str | None]:
    """Bring a backup back: into a fresh database first, compared row by row count, then swapped in.

    `url` is the application's database. It is refused if rows are in it, unless `replace`; then the old database and
    files stay beside the new ones under the name that is returned (else None). `verify` is called with the address of
    the restored database before the swap and may raise. Nobody else may be connected to the database.
    """
    manifest = read_backup(source)
    current = conninfo_to_dict(url)
    name = str(current["dbname"])
    admin = admin_url or make_conninfo(url, dbname="postgres")
    stamp = at.strftime("%Y%m%d%H%M%S")
    fresh, old = f"{name}_restore_{stamp}", f"{name}_before_{stamp}"
    filled = _filled(url)
    if filled and not replace:
        raise Refused(
            Sentence(
                zh=f"数据库 {name} 里有数据（{filled} 张表），不覆盖。确要替换请加 --replace（旧库会保留）。",
                en=f"The database {name} holds data ({filled} tables) and is not overwritten. "
                "With --replace it is, and the old one is kept.",
            ),
            code="not_empty",
        )
    with tempfile.TemporaryDirectory(dir=data) as scratch:
        _unpack(source, manifest, Path(scratch))
        with psycopg.connect(admin, autocommit=True) as connection:
            owner = sql.Identifier(str(current["user"])) if current.get("user") else sql.SQL("CURRENT_USER")
            connection.execute(
                sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(sql.Identifier(fresh), owner)
            )
            try:
                into = make_conninfo(url, dbname=fresh)
                _restore(into, Path(scratch, DUMP))
                _compare(into, manifest)
                if verify is not None:
                    verify(into)
                kept = old if filled else None
                _swap(connection, name, fresh, old, keep=bool(filled))
            except BaseException:
                connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(fresh)))
                raise
        _swap_files(Path(scratch), data, manifest, data / f"before_{stamp}")
    return manifest, kept


def _unpack(source: Path, manifest: Manifest, into: Path) -> None:
    """Write the parts that the manifest names, and nothing outside the folder, whatever a forged tar may say."""
    with tarfile.open(source, "r:") as tar:
        for member in tar:
            place = (into / member.name).resolve()
            if not member.isfile() or member.name not in manifest.files or not place.is_relative_to(into.resolve()):
                continue
            content = tar.extractfile(member)
            assert content is not None
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                shutil.copyfileobj(content, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())


def _restore(url: str, dump: Path) -> None:
    """pg_restore through a pipe, so that a newer pg_restore can serve an older server.

    It sets `transaction_timeout`, which servers before 17 do not know: that one line is left out.
    """
    binaries = find_binaries()
    script = subprocess.Popen(
        [binaries.program("pg_restore"), "--no-owner", "--no-privileges", "--file=-", str(dump)], stdout=subprocess.PIPE
    )
    assert script.stdout is not None
    loader = subprocess.Popen(
        [
            binaries.program("psql"),
            "--no-psqlrc",
            "--quiet",
            "--set=ON_ERROR_STOP=1",
            "--single-transaction",
            "-d",
            url,
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert loader.stdin is not None
    try:
        head = script.stdout.read(4096)
        loader.stdin.write(head.replace(b"SET transaction_timeout = 0;\n", b"", 1))
        shutil.copyfileobj(script.stdout, loader.stdin, 1 << 20)
    except BrokenPipeError:
        pass  # the loader stopped at an error, which it tells below
    finally:
        script.stdout.close()
    _, complaint = loader.communicate()
    if loader.returncode or script.wait():
        raise Refused(
            Sentence(
                zh=f"恢复失败，原数据未改动：{complaint.decode(errors='replace').strip()[-600:]}",
                en=f"The restore failed and nothing was changed: {complaint.decode(errors='replace').strip()[-600:]}",
            ),
            code="bad_backup",
        )


def _compare(url: str, manifest: Manifest) -> None:
    with psycopg.connect(url) as connection:
        tables = _count(connection)
    mistakes = [
        Mistake(
            name,
            Sentence(zh=f"恢复出 {tables.get(name, 0)} 行", en=f"{tables.get(name, 0)} rows were restored"),
            Sentence(
                zh=f"备份时 {manifest.tables.get(name, 0)} 行", en=f"{manifest.tables.get(name, 0)} were backed up"
            ),
        )
        for name in sorted(tables.keys() | manifest.tables.keys())
        if tables.get(name) != manifest.tables.get(name)
    ]
    if mistakes:
        raise Mistakes(mistakes)


def _swap(connection: psycopg.Connection[Any], name: str, fresh: str, old: str, *, keep: bool) -> None:
    for database in (name, fresh):
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()",
            (database,),
        )
    rename = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    connection.execute(rename.format(sql.Identifier(name), sql.Identifier(old)))
    try:
        connection.execute(rename.format(sql.Identifier(fresh), sql.Identifier(name)))
    except psycopg.Error:
        connection.execute(rename.format(sql.Identifier(old), sql.Identifier(name)))
        raise
    if not keep:
        connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(old)))


def _swap_files(scratch: Path, data: Path, manifest: Manifest, before: Path) -> None:
    """Put the restored files in their places; what was there is moved to `before`, nothing is deleted."""
    entries = {name.split("/", 1)[0] for name in manifest.files if name != DUMP}
    for entry in sorted(entries):
        if (data / entry).exists():
            before.mkdir(exist_ok=True)
            os.rename(data / entry, before / entry)
        os.rename(scratch / entry, data / entry)
    _sync_folder(data)


def _filled(url: str) -> int:
    """How many tables hold somebody's rows."""
    try:
        with psycopg.connect(url) as connection:
            tables = _count(connection)
    except psycopg.OperationalError as error:
        if "does not exist" in str(error):
            return 0
        raise
    return sum(1 for name, rows in tables.items() if rows and name not in _MIGRATED)


def _count(connection: psycopg.Connection[Any]) -> dict[str, int]:
    names = [row[0] for row in connection.execute(_TABLES.encode()).fetchall()]
    if not names:
        return {}
    # The names come from regclass, which has quoted them already.
    union = " UNION ALL ".join(f"SELECT {number}, count(*) FROM {name}" for number, name in enumerate(names))  # noqa: S608
    return {names[number]: rows for number, rows in connection.execute(union.encode()).fetchall()}


def _files(data: Path) -> Iterator[Path]:
    for part in PARTS:
        found = (p for p in (data / part).rglob("*") if p.is_file() and not p.is_symlink())
        yield from sorted(p for p in found if not p.name.startswith("."))  # a dot: still being written


def _copied(path: Path, folder: Path) -> Path:
    return Path(shutil.copy2(path, folder / path.name))


def _manifest(tar: tarfile.TarFile) -> Manifest:
    first = tar.next()
    if first is None or first.name != MANIFEST:
        raise ValueError("no manifest")
    content = tar.extractfile(first)
    assert content is not None
    return Manifest.from_json(content.read())


def _add(tar: tarfile.TarFile, name: str, content: IO[bytes], size: int, at: datetime) -> None:
    member = tarfile.TarInfo(name)
    member.size, member.mtime, member.mode = size, int(at.timestamp()), 0o600
    tar.addfile(member, content)


def _digest(path: Path) -> tuple[int, str]:
    with path.open("rb") as file:
        return _sum(file)


def _sum(content: IO[bytes]) -> tuple[int, str]:
    """Bytes and SHA-256 of what can be read."""
    size, digest = 0, hashlib.sha256()
    while block := content.read(1 << 20):
        size += len(block)
        digest.update(block)
    return size, digest.hexdigest()


def _run(binaries: Binaries, program: str, url: str, *arguments: str) -> None:
    done = subprocess.run(
        [binaries.program(program), *arguments, "-d", url], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Refused(
            Sentence(
                zh=f"{program} 失败：{done.stderr.strip()[-600:]}", en=f"{program} failed: {done.stderr.strip()[-600:]}"
            ),
            code="no_postgres",
        )


def _text(connection: psycopg.Connection[Any], query: str) -> str:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return str(row[0])


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
