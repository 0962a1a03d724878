"""`gridloop audit`: is the record what it was?"""

from __future__ import annotations

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
