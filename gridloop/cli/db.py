"""`gridloop db`: the embedded server, backups and the way back."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click

from gridloop.cli import ground, show
from gridloop.cli.speaking import Group, option
from gridloop.cli.words import say, told
from gridloop.kernel import clock
from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence
from gridloop.kernel.postgres import Cluster, disk_state
from gridloop.kernel.postgres.backup import make_backup, restore_backup
from gridloop.kernel.postgres.cluster import SUPERUSER
from gridloop.kernel.postgres.disk import release_ballast
from gridloop.kernel.supervisor import only_one

KEEP = "keep-database"
"""This file in the data folder says that `up` leaves the server running when it ends."""


@click.group(cls=Group, help=say("数据库：启动、停止、备份、恢复。", "The database: start, stop, back up, restore."))
def db() -> None:
    pass


def _cluster() -> Cluster:
    cluster = ground.embedded()
    if cluster is None:
        raise Refused(
            Sentence(
                zh="DATABASE_URL 指定了外部服务器，请用它自己的工具启动和停止。",
                en="DATABASE_URL names an outside server: start and stop it with its own tools.",
            )
        )
    return cluster


@db.command(help=say("启动内置 PostgreSQL，并让它一直运行。", "Start the embedded PostgreSQL and leave it running."))
def start() -> None:
    cluster = _cluster()
    fresh = cluster.start()
    (ground.data() / KEEP).touch()
    said = say("已启动", "started") if fresh else say("已在运行", "was running already")
    click.echo(f"PostgreSQL {said}: {cluster.url()}")


@db.command(help=say("停止内置 PostgreSQL。", "Stop the embedded PostgreSQL."))
def stop() -> None:
    with only_one(ground.data()):  # not under a running `up`, which would only start it again
        (ground.data() / KEEP).unlink(missing_ok=True)
        stopped = _cluster().stop()
    click.echo(say("已停止。", "Stopped.") if stopped else say("没有在运行。", "It was not running."))


@db.command(
    help=say("显示数据库和磁盘的状态；未运行时退出码为 1。", "Show database and disk; exit code 1 if it does not run.")
)
def status() -> int:
    cluster = _cluster()
    state = cluster.status()
    room = disk_state(ground.data())
    show.summary(
        say("运行中", "running") if state.running else say("未运行", "not running"),
        {
            say("进程", "process"): state.pid or "-",
            say("目录", "folder"): state.folder,
            say("地址", "address"): state.url,
            say("剩余空间", "free space"): f"{room.free >> 20:,} MiB"
            + ("" if room.ok else say("（不足）", " (too little)")),
            say("压舱文件", "ballast"): say("有", "yes") if room.ballast else say("无", "no"),
        },
    )
    return 0 if state.running else 1


@db.command(help=say("把整个部署写入一个文件（数据库、附件、密钥）。", "Write the whole deployment into one file."))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
def backup(file: Path) -> None:
    with ground.database(migrated=False):
        manifest = make_backup(ground.url(), ground.data(), file, clock.now())
    show.summary(
        say(f"备份已写入并核对：{file}", f"Backup written and checked: {file}"),
        {
            say("表", "tables"): len(manifest.tables),
            say("行", "rows"): manifest.rows,
            say("文件", "files"): len(manifest.files) - 1,
            say("字节", "bytes"): file.stat().st_size,
        },
    )
    click.echo(
        say(
            "文件内含密钥和联系方式，请像数据本身一样保管。",
            "It holds the keys and people's contacts: keep it as safe as the data itself.",
        )
    )


@db.command(
    help=say("从备份恢复；已有数据时须加 --replace。", "Restore a backup; over existing data only with --replace.")
)
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@option(
    "--replace",
    is_flag=True,
    zh="替换现有数据（旧库改名保留）。",
    en="Replace what is there (the old database is kept).",
)
def restore(file: Path, replace: bool) -> int:
    ground.product()
    from gridloop.kernel import sealing

    cluster = ground.embedded()
    with only_one(ground.data()), ground.database(migrated=False):
        admin = cluster.url("postgres", SUPERUSER) if cluster is not None else None
        manifest, kept = restore_backup(
            ground.url(), ground.data(), file, clock.now(), replace=replace, admin_url=admin
        )
        ground.migrate()  # a backup of an older version
        findings = sealing.verify(ground.data()) if (ground.data() / sealing.PUBLIC).exists() else []
    show.summary(
        say("已恢复，行数与备份一致。", "Restored; the numbers of rows are those of the backup."),
        {say("备份时间", "backed up at"): manifest.made_at, say("行", "rows"): manifest.rows},
    )
    if kept:
        click.echo(
            say(f"旧数据库保留为 {kept}，确认无误后可删除。", f"The old database is kept as {kept}: drop it when sure.")
        )
    for finding in findings:
        click.echo(told(finding.sentence), err=True)
    click.echo(
        say(f"记录核验发现 {len(findings)} 处问题。", f"The record has {len(findings)} findings.")
        if findings
        else say("记录完整，未被改动。", "The record is whole.")
    )
    return 1 if findings else 0


@db.command("release-ballast", help=say("磁盘已满时释放预留空间。", "When the disk is full: give the reserve back."))
def release() -> None:
    freed = release_ballast(ground.data())
    click.echo(say(f"释放了 {freed >> 20} MiB。", f"{freed >> 20} MiB freed."))


@db.command("shell", help=say("用 psql 连接数据库。", "Open psql on the database."))
def shell() -> int:
    from gridloop.kernel.postgres import find_binaries

    with ground.database(migrated=False):
        return subprocess.run(
            [find_binaries().program("psql"), ground.url()], check=False, stdin=sys.stdin, env=os.environ
        ).returncode
