"""`gridloop packs`: check scenario packs and put them into force."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from gridloop.cli import ground, show
from gridloop.cli.speaking import Group, option
from gridloop.cli.words import say
from gridloop.kernel.errors import Mistake

FOLDER = click.Path(path_type=Path, file_okay=False, exists=True)


@click.group(cls=Group, help=say("场景包：检查、启用。", "Scenario packs: check, activate."))
def packs() -> None:
    pass


def all_packs() -> list[Path]:
    return sorted(p.parent for p in ground.shipped("packs").glob("*/pack.yaml"))


@packs.command(
    help=say(
        "检查场景包及其测试；不指定则检查全部。", "Check packs with their tests; all shipped ones if none is named."
    )
)
@click.argument("folders", nargs=-1, type=FOLDER)
def check(folders: Sequence[Path]) -> int:
    ground.product()
    from gridloop.standard.actions import check_packs

    found: list[Mistake] = []
    for folder in folders or all_packs():
        result = check_packs(folder)
        found += result.mistakes
        said = say(f"{len(result.mistakes)} 个错误", f"{len(result.mistakes)} mistakes") if result.mistakes else "ok"
        click.echo(f"{folder.name}: {said}, {result.scenarios} " + say("个场景", "scenarios"))
        if result.coverage:
            click.echo(f"  {result.exercised()}")
    if found:
        show.mistakes(found)
        return 3
    return 0


@packs.command(help=say("启用场景包；不指定则启用全部。", "Put packs into force; all shipped ones if none is named."))
@click.argument("folders", nargs=-1, type=FOLDER)
@option("--district", type=FOLDER, zh="本区规定所在的目录。", en="The folder with the district's own values.")
def activate(folders: Sequence[Path], district: Path | None) -> None:
    with ground.database():
        from gridloop.standard.actions import activate_packs

        done = activate_packs(folders=folders or all_packs(), district=district, actor="system")
    show.summary(
        say("已启用", "In force"),
        {
            name: say("新版本", "new") if any(n.startswith(f"{name} ") for n in done.new) else "="
            for name in done.releases
        },
    )
