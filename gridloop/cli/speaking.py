"""Click, speaking the language of the terminal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from gridloop.cli.words import say


class _Speaking:
    """Usage, headings and the --help option in the language of the terminal."""

    def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        pieces = self.collect_usage_pieces(ctx)
        formatter.write_usage(ctx.command_path, " ".join(pieces), prefix=say("用法：", "Usage: "))

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        pieces: list[str] = super().collect_usage_pieces(ctx)  # type: ignore[misc]
        return [say("[选项]", "[OPTIONS]") if p == "[OPTIONS]" else p for p in pieces]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        records = [r for p in self.get_params(ctx) if (r := p.get_help_record(ctx)) is not None]  # type: ignore[attr-defined]
        if records:
            with formatter.section(say("选项", "Options")):
                formatter.write_dl(records)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option: click.Option | None = super().get_help_option(ctx)  # type: ignore[misc]
        if option is not None:
            option.help = say("显示本说明。", "Show this page.")
        return option


class Command(_Speaking, click.Command):
    """A command that speaks."""


class Group(_Speaking, click.Group):
    """A group of commands that speaks."""

    command_class = Command
    group_class = type

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        rows = [
            (name, command.get_short_help_str(limit=200))
            for name in self.list_commands(ctx)
            if (command := self.get_command(ctx, name)) is not None and not command.hidden
        ]
        if rows:
            with formatter.section(say("命令", "Commands")):
                formatter.write_dl(rows)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order in which they were written: the order of use


Decorator = Callable[[Callable[..., Any]], Any]


def option(*names: str, zh: str, en: str, **more: Any) -> Decorator:
    """An option with its help in both languages."""
    return click.option(*names, help=say(zh, en), **more)
