"""All commands, in the order in which one needs them."""

from __future__ import annotations

import click

from gridloop.cli.audit import audit
from gridloop.cli.check import check
from gridloop.cli.db import db
from gridloop.cli.discover import discover
from gridloop.cli.export import export
from gridloop.cli.imports import imports
from gridloop.cli.packs import packs
from gridloop.cli.password import password
from gridloop.cli.processes import run
from gridloop.cli.replay import replay
from gridloop.cli.speaking import Group
from gridloop.cli.up import up
from gridloop.cli.words import say


@click.group(
    cls=Group,
    help=say(
        "Gridloop：网格化治理平台。用 GRIDLOOP_* 环境变量设置，见 docs/reference/settings.md。",
        "Gridloop, the platform for grid governance. Set it up with GRIDLOOP_* variables: docs/reference/settings.md.",
    ),
)
@click.version_option(package_name="gridloop", message="%(version)s", help=say("显示版本。", "Show the version."))
def root() -> None:
    pass


for _command in (up, check, db, imports, discover, packs, audit, export, replay, password, run):
    root.add_command(_command)
