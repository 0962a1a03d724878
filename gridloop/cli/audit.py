"""`gridloop audit`: is the record what it was?"""

from __future__ import annotations

from pathlib import Path

import click

from gridloop.cli import ground
from gridloop.cli.speaking import Group
from gridloop.cli.words import say, told


@click.group(cls=Group, help=say("审计：核验记录未被改动。", "Audit: verify that the record was not changed."))
def audit() -> None:
    pass


@audit.command(
    help=say(
        "核验全部记录和签名；发现改动时退出码为 1。", "Verify every event and signature; exit code 1 on any change."
    )
)
def verify() -> int:
    with ground.database():
        from gridloop.kernel import sealing

        findings = sealing.verify(ground.data())
        unsealed, _ = sealing.waiting()
    for finding in findings:
        click.echo(told(finding.sentence))
    if findings:
        click.echo(say(f"发现 {len(findings)} 处问题。", f"{len(findings)} findings."), err=True)
        return 1
    click.echo(
        say(
            f"记录完整，未被改动（另有 {unsealed} 条尚未封存）。",
            f"The record is whole ({unsealed} events not yet sealed).",
        )
    )
    return 0


@audit.command(
    help=say(
        "导出全部已封存的条目，每行一条，供审计方离线核验（verify_log.py --export）。",
        "Write every sealed entry, one a line, for an auditor to check elsewhere (verify_log.py --export).",
    )
)
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
def export(file: Path) -> int:
    with ground.database(), file.open("wb") as out:
        from gridloop.kernel import sealing

        lines = sealing.export(out)
    click.echo(say(f"已导出 {lines} 条：{file}", f"{lines} entries: {file}"))
    return 0
