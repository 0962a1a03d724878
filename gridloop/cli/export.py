"""`gridloop export`: take data out."""

from __future__ import annotations

import click

from gridloop.cli.speaking import Group
from gridloop.cli.words import say


@click.group(cls=Group, help=say("导出。", "Export."))
def export() -> None:
    pass
