"""The `gridloop` command. Commands read their arguments and call the product's actions and queries, nothing more.

Exit codes: 0 done; 1 refused or failed; 2 wrong command line or settings; 3 mistakes in the input, nothing was kept;
4 done, but some rows were rejected; 5 another process has the data folder; 130 interrupted.
"""

from __future__ import annotations

import sys

import click
import psycopg

from gridloop.cli import show
from gridloop.cli.words import say, told
from gridloop.kernel.errors import Mistakes, Refused

OK, FAILED, USAGE, MISTAKES, REJECTED, BUSY, INTERRUPTED = 0, 1, 2, 3, 4, 5, 130


def main() -> None:
    """Entry point of the console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command; every expected error becomes a sentence and an exit code, the others stay loud."""
    from django.core.exceptions import ImproperlyConfigured
    from django.db import OperationalError

    from gridloop.cli.commands import root

    try:
        code = root.main(arguments, prog_name="gridloop", standalone_mode=False)
    except click.exceptions.Abort:
        click.echo(say("已中断。", "Interrupted."), err=True)
        return INTERRUPTED
    except click.ClickException as error:
        error.show()
        return USAGE
    except Mistakes as found:
        show.mistakes(found.mistakes)
        return MISTAKES
    except Refused as refused:
        click.echo(told(refused.sentence), err=True)
        return BUSY if refused.code == "already_running" else FAILED
    except ImproperlyConfigured as wrong:
        settings = getattr(wrong, "mistakes", None)
        if settings is None:
            raise
        show.mistakes(settings)
        return USAGE
    except (psycopg.OperationalError, OperationalError) as error:
        click.echo(
            say(f"无法使用数据库：{error}", f"The database cannot be used: {error}").strip(),
            err=True,
        )
        return FAILED
    return code if isinstance(code, int) else OK
