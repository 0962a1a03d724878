"""Write the pages of docs/reference that the program itself can tell. `--check` only compares them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tools import reference_api, reference_workflow

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference"
LOCALES = {"en": "en_US.UTF-8", "zh": "zh_CN.UTF-8"}
MADE = "<!-- Made by `make reference`; a test keeps it current. -->"


def main() -> None:
    if sys.argv[1:] == ["--help-texts"]:
        print(json.dumps(dict(help_texts())))
        return
    stale = [name for name, text in pages().items() if not same(PAGES / name, text)]
    if "--check" in sys.argv:
        if stale:
            raise SystemExit(f"{', '.join(stale)}: out of date, run make reference")
        return
    for name in stale:
        (PAGES / name).write_text(pages()[name], encoding="utf-8")
        print(f"docs/reference/{name} written")


def pages() -> dict[str, str]:
    return {
        "command-line.md": command_line(),
        "settings.md": settings(),
        "rest-api.md": reference_api.rest_api(MADE),
        "roles-and-permissions.md": reference_api.roles(MADE),
        "workflow.md": reference_workflow.workflow(MADE),
    }


def same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def help_texts() -> Iterator[tuple[str, str]]:
    """Every command's path and its help, in the language of the locale."""
    import click

    from gridloop.cli.commands import root

    def walk(command: click.Command, path: str, parent: click.Context | None) -> Iterator[tuple[str, str]]:
        context = click.Context(command, info_name=path.rsplit(" ", 1)[-1], parent=parent, terminal_width=100)
        yield path, command.get_help(context)
        if isinstance(command, click.Group):
            for name in command.list_commands(context):
                child = command.get_command(context, name)
                if child is not None and not child.hidden:
                    yield from walk(child, f"{path} {name}", context)

    yield from walk(root, "gridloop", None)


def command_line() -> str:
    """The page of all commands: the locale decides the language, so each language is asked in a process of its own."""
    from gridloop import cli

    texts = {}
    for language, locale in LOCALES.items():
        done = subprocess.run(
            [sys.executable, __file__, "--help-texts"],
            env=os.environ | {"LC_ALL": locale, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        texts[language] = json.loads(done.stdout)
    doc = (cli.__doc__ or "").split("Exit codes: ")[1].replace("\n", " ").strip().rstrip(".")
    codes = "\n".join(
        f"| {code.strip().split(' ', 1)[0]} | {code.strip().split(' ', 1)[1]} |" for code in doc.split(";")
    )
    parts = [
        f"# The command line\n\n{MADE}\n\n"
        "`gridloop` speaks Chinese under a Chinese locale (`LC_ALL`, `LC_MESSAGES`, `LANG`) and English otherwise.\n\n"
        f"| exit code | meaning |\n|---|---|\n{codes}\n"
    ]
    for path, english in texts["en"].items():
        parts.append(f"\n## `{path}`\n\n```text\n{english}\n```\n\n```text\n{texts['zh'][path]}\n```\n")
    return "".join(parts)


def settings() -> str:
    """The page of all settings, from the table that reads them."""
    from config.environment import SETTINGS

    rows = "\n".join(f"| `{s.name}` | {s.default or '-'} | {s.meaning.en} | {s.meaning.zh} |" for s in SETTINGS)
    return (
        f"# Settings\n\n{MADE}\n\n"
        "Everything is set by environment variables. All mistakes are told at once, at every start and by "
        "`gridloop check`; a `GRIDLOOP_` name that is not in this table is a mistake too.\n\n"
        f"| variable | default | meaning | 含义 |\n|---|---|---|---|\n{rows}\n"
    )


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    main()
