"""`gridloop discover`: learn from answered reports, and measure it."""

from __future__ import annotations

import click

from gridloop.cli.speaking import Group
from gridloop.cli.words import say


@click.group(cls=Group, help=say("分类模型：训练、评估。", "The classifier: train it, measure it."))
def discover() -> None:
    pass
