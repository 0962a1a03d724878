"""`gridloop import`: bring in what exists already. Importing twice adds nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gridloop.cli import ground, show
from gridloop.cli.speaking import Group, option
from gridloop.cli.words import say, told
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes

FILE = click.Path(path_type=Path, dir_okay=False)
DATUMS = ("wgs84", "cgcs2000", "gcj02", "bd09")


@click.group(
    "import",
    cls=Group,
    help=say("导入区划、网格、单位、人员、历史诉求。", "Import regions, grids, units, people and reports."),
)
def imports() -> None:
    pass


_DATUM = option(
    "--datum", type=click.Choice(DATUMS), required=True, zh="坐标系（须写明）。", en="The datum (must be named)."
)
_PARTIAL = option(
    "--partial", is_flag=True, zh="只含一部分，允许有空白。", en="The file covers a part only: gaps are allowed."
)
_REPLACE = option(
    "--replace-synthetic",
    is_flag=True,
    zh="用文件中的真实边界替换虚构的演示地图。",
    en="Take the invented demonstration map away and put the file's real borders in its place.",
)
_DRY = option("--dry-run", is_flag=True, zh="只检查，不写入。", en="Only look; store nothing.")


def _with_borders(command: Callable[..., None]) -> Callable[..., None]:
    """The argument and the options of every import of borders."""
    for add in (_DRY, _REPLACE, _PARTIAL, _DATUM, click.argument("file", type=FILE)):
        command = add(command)
    return command


def _import_borders(title: str, *, dry_run: bool, **given: Any) -> None:
    with ground.database():
        from gridloop.territory.actions import import_regions

        with show.progress(title) as advance:
            steps = show.Steps(advance)
            done = import_regions(
                dry_run=dry_run,
                actor="system",
                at=clock.now(),
                progress=lambda what, count, total: steps.at(count, what),
                **given,
            )
        if done.mistakes:
            raise Mistakes(done.mistakes)
    counts = done.counts
    show.summary(
        title + (say("（试运行，未写入）", " (dry run, nothing stored)") if dry_run else ""),
        {
            say("读取", "read"): done.read,
            say("新增", "created"): counts.created,
            say("改边界", "redrawn"): counts.redrawn,
            say("改属性", "edited"): counts.edited,
            say("未变", "unchanged"): counts.unchanged,
            say("文件中没有的", "not in the file"): done.not_in_file,
        },
    )


@imports.command(help=say("导入区划边界（GeoJSON、CSV、XLSX）。", "Import regions from GeoJSON, CSV or XLSX."))
@_with_borders
def regions(**given: Any) -> None:
    _import_borders(say("区划", "Regions"), level=None, **given)


@imports.command(help=say("导入网格边界（GeoJSON、CSV、XLSX）。", "Import grids from GeoJSON, CSV or XLSX."))
@_with_borders
def grids(**given: Any) -> None:
    _import_borders(say("网格", "Grids"), level="grid", **given)


@imports.command(help=say("导入部件（GeoJSON、CSV、XLSX）。", "Import components from GeoJSON, CSV or XLSX."))
@click.argument("file", type=FILE)
@_DATUM
@_DRY
def components(file: Path, datum: str, dry_run: bool) -> None:
    with ground.database():
        from gridloop.territory.actions import import_components

        done = import_components(file=file, datum=datum, actor="system", at=clock.now(), dry_run=dry_run)
    if done.mistakes:
        raise Mistakes(done.mistakes)
    show.summary(
        say("部件", "Components") + (say("（试运行，未写入）", " (dry run, nothing stored)") if dry_run else ""),
        {
            say("读取", "read"): done.read,
            say("新增", "created"): done.counts.created,
            say("修改", "edited"): done.counts.edited,
            say("未变", "unchanged"): done.counts.unchanged,
        },
    )


@imports.command(help=say("导入单位（CSV、XLSX）。", "Import units from CSV or XLSX."))
@click.argument("file", type=FILE)
def units(file: Path) -> None:
    with ground.database():
        from gridloop.kernel.tables import open_table
        from gridloop.people.actions import import_units
        from gridloop.people.viewer import SYSTEM

        with open_table(file) as table:
            done = import_units(rows=table.rows, viewer=SYSTEM, at=clock.now())
    _people_summary(say("单位", "Units"), done)


@imports.command(help=say("导入人员及岗位（CSV、XLSX）。", "Import people and their posts from CSV or XLSX."))
@click.argument("file", type=FILE)
@option(
    "--codes",
    type=FILE,
    required=True,
    zh="一次性设置码写入此新文件（0600）。",
    en="The new file (0600) for the one-time codes.",
)
def people(file: Path, codes: Path) -> None:
    if codes.exists():
        raise click.UsageError(say(f"{codes} 已存在。", f"{codes} exists already."))
    with ground.database():
        from gridloop.kernel.tables import open_table
        from gridloop.people.actions import import_people, write_codes
        from gridloop.people.viewer import SYSTEM
        from gridloop.territory.models import Region

        known = set(Region.objects.values_list("code", flat=True))
        with open_table(file) as table:
            done = import_people(rows=table.rows, viewer=SYSTEM, at=clock.now(), known_regions=known)
        if done.codes:
            write_codes(done.codes, codes)
    _people_summary(say("人员", "People"), done)
    if done.codes:
        click.echo(
            say(f"{len(done.codes)} 个一次性设置码在 {codes}", f"{len(done.codes)} one-time codes are in {codes}")
        )


def _people_summary(title: str, done: Any) -> None:
    show.summary(
        title,
        {
            say("新增", "added"): done.added,
            say("修改", "changed"): done.changed,
            say("未变", "unchanged"): done.unchanged,
            say("岗位", "posts"): done.posts,
        },
    )


@imports.command(
    help=say(
        "导入诉求（CSV、XLSX），列名按映射文件对应。", "Import reports from CSV or XLSX with a mapping of columns."
    )
)
@click.argument("file", type=FILE)
@option("--mapping", type=FILE, zh="映射文件（YAML）。不给则询问。", en="The mapping (YAML). Without it you are asked.")
@option(
    "--client",
    default="import",
    show_default=True,
    zh="来源的名字，编号按来源区分。",
    en="The source: keys are its own.",
)
@option("--sheet", default="", zh="工作表名。", en="The sheet of a workbook.")
@_DRY
@option("--rejects", type=FILE, zh="被拒绝的行写入此文件。", en="The file for rejected rows.")
def reports(file: Path, mapping: Path | None, client: str, sheet: str, dry_run: bool, rejects: Path | None) -> int:
    with ground.database():
        from gridloop.discover import imports as discover
        from gridloop.people.viewer import SYSTEM

        checked = discover.load_mapping(mapping) if mapping else _ask(file, client, sheet)
        title = say("诉求", "Reports")
        with show.progress(title) as advance:
            steps = show.Steps(advance)
            done = discover.import_reports(
                file, checked, viewer=SYSTEM, dry_run=dry_run, sheet=sheet, rejects=rejects, progress=steps.at
            )
    click.echo(told(done.sentence()))
    for finding in done.findings:
        rows = ", ".join(str(n) for n in finding.rows)
        click.echo(
            f"  {finding.column}: {told(finding.wrong)} → {told(finding.instead)}  "
            + say(f"（{finding.count} 行，如第 {rows} 行）", f"({finding.count} rows, such as {rows})"),
            err=True,
        )
    for name, count in done.unknown_types.most_common(10):
        click.echo(
            "  "
            + say(
                f"未知类型“{name}”：{count} 行，按文字分类",
                f"unknown type “{name}”: {count} rows, classified by their words",
            )
        )
    return 4 if done.rejected else 0


def _ask(file: Path, client: str, sheet: str) -> Any:
    """A mapping from what the table suggests and the answers of the person at the terminal."""
    from gridloop.discover.imports import propose_mapping
    from gridloop.discover.rules.mapping import answered

    suggestion = propose_mapping(file, client=client, sheet=sheet)
    answers = {}
    for question in suggestion.questions:
        answers[question.field] = click.prompt(
            f"{told(question.text)}\n  {' | '.join(question.choices)}\n",
            default=question.proposed if question.proposed or "" in question.choices else None,
            type=click.Choice(list(question.choices)),
            show_choices=False,
        )
    return answered(suggestion, answers)
