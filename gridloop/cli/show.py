"""How the terminal is used: tables of mistakes, progress, summaries. Plain lines when nobody watches."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from gridloop.cli.words import say, told
from gridloop.kernel.errors import Mistake

MANY = 50
"""Mistakes shown in the terminal; the rest is counted."""
EVERY = 5.0
"""Seconds between two lines of progress when no terminal watches."""


def mistakes(found: Sequence[Mistake]) -> None:
    """One table of everything that is wrong, on standard error."""
    console = Console(stderr=True, highlight=False)
    shown = found[:MANY]
    if console.is_terminal:
        table = Table(show_lines=False, expand=False)
        for heading in (say("位置", "where"), say("问题", "what is wrong"), say("应写成", "write instead")):
            table.add_column(heading, overflow="fold")
        for one in shown:
            table.add_row(escape(one.place), escape(told(one.wrong)), escape(told(one.instead)))
        console.print(table)
    else:
        for one in shown:
            click.echo(f"{one.place}\t{told(one.wrong)}\t{told(one.instead)}", err=True)
    if len(found) > MANY:
        click.echo(say(f"……还有 {len(found) - MANY} 个错误", f"... and {len(found) - MANY} more mistakes"), err=True)
    click.echo(
        say(f"共 {len(found)} 个错误，没有写入任何内容。", f"{len(found)} mistakes; nothing was kept."), err=True
    )


def summary(title: str, counts: Mapping[str, object]) -> None:
    """The end of a long piece of work: what was done, in numbers."""
    click.echo(title)
    width = max((_width(name) for name in counts), default=0)
    for name, value in counts.items():
        shown = f"{value:,}" if isinstance(value, int) else str(value)
        click.echo(f"  {name}{' ' * (width - _width(name))}  {shown}")


def _width(text: str) -> int:
    return sum(2 if ord(c) > 0x2E80 else 1 for c in text)


@contextmanager
def progress(title: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal, now and then a line elsewhere. Yields `advance(count)`."""
    if not sys.stderr.isatty():
        yield _lines(title, total)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task(escape(title), total=total)
        yield lambda count: bars.advance(task, count)


class Steps:
    """Turns "so many are done" into "so many more are done"; a new phase starts at zero again."""

    def __init__(self, advance: Callable[[int], None]) -> None:
        self.advance, self.phase, self.done = advance, "", 0

    def at(self, done: int, phase: str = "") -> None:
        if phase != self.phase:
            self.phase, self.done = phase, 0
        self.advance(max(0, done - self.done))
        self.done = done


def _lines(title: str, total: int | None) -> Callable[[int], None]:
    done = 0
    told_at = time.monotonic()

    def advance(count: int) -> None:
        nonlocal done, told_at
        done += count
        if time.monotonic() - told_at >= EVERY:
            told_at = time.monotonic()
            click.echo(f"{title}: {done:,}" + (f" / {total:,}" if total else ""), err=True)

    return advance
