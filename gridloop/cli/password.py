"""`gridloop password`: redeem a one-time code for a password of one's own."""

from __future__ import annotations

import click

from gridloop.cli import ground
from gridloop.cli.speaking import Command
from gridloop.cli.words import say
from gridloop.kernel import clock


@click.command(cls=Command, help=say("用一次性设置码设定口令。", "Set a password with a one-time code."))
@click.argument("username")
def password(username: str) -> None:
    code = click.prompt(say("设置码", "one-time code"))
    chosen = click.prompt(say("新口令", "new password"), hide_input=True, confirmation_prompt=True)
    with ground.database():
        from gridloop.people.access import set_first_password

        set_first_password(username=username, code=code, password=chosen, source="terminal", at=clock.now())
    click.echo(say("口令已设定。", "The password is set."))
