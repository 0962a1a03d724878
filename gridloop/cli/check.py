"""`gridloop check`: is everything set up as it must be?"""

from __future__ import annotations

import warnings

import click

from gridloop.cli import ground
from gridloop.cli.speaking import Command, option
from gridloop.cli.words import say
from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.language import Sentence
from gridloop.kernel.postgres import check_server


@click.command(
    cls=Command,
    help=say("检查设置和数据库，一次列出所有错误。", "Check settings and database, and list every mistake at once."),
)
@option(
    "--code",
    is_flag=True,
    zh="只检查代码：系统检查和缺失的迁移。",
    en="The code only: system checks, missing migrations.",
)
def check(code: bool) -> None:
    if code:
        ground.product()
        from django.core.management import call_command

        call_command("check", fail_level="WARNING", verbosity=0)
        try:
            # Whether the database agrees is none of our business here: there need not be one.
            warnings.filterwarnings("ignore", message="Got an error checking a consistent migration history")
            call_command("makemigrations", check=True, dry_run=True, verbosity=1, skip_checks=True)
        except SystemExit:
            raise Refused(
                Sentence(
                    zh="模型有改动但缺少迁移：django-admin makemigrations",
                    en="The models changed without a migration: django-admin makemigrations",
                )
            ) from None
        click.echo(say("代码检查通过。", "The code holds together."))
        return
    cluster = ground.embedded()
    if cluster is None or cluster.status().running:
        if wrong := check_server(ground.url()):
            raise Mistakes(wrong)
        click.echo(say("设置和数据库都没有问题。", "Settings and database are in order."))
    else:
        click.echo(say("设置没有问题；数据库未运行。", "The settings are in order; the database does not run."))
