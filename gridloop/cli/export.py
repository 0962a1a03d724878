"""`gridloop export`: take data out, in a form that a spreadsheet opens without danger."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from gridloop.cli import ground, show
from gridloop.cli.speaking import Group, option
from gridloop.cli.words import say


@click.group(cls=Group, help=say("导出数据。", "Take data out."))
def export() -> None:
    pass


@export.command(help=say("导出案件到新文件（.csv 或 .xlsx）。", "Write the cases to a new .csv or .xlsx file."))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@option("--region", default="", zh="只导出此代码以下的案件。", en="Only cases below this region code.")
@option("--state", default="", zh="只导出此状态的案件。", en="Only cases in this state.")
@option(
    "--with-text",
    is_flag=True,
    zh="含诉求原文（可能含个人信息）。",
    en="With the reporters' words (they may hold personal data).",
)
def cases(file: Path, region: str, state: str, with_text: bool) -> None:
    if file.suffix.lower() not in (".csv", ".xlsx"):
        raise click.UsageError(say("文件名须以 .csv 或 .xlsx 结尾。", "The name must end in .csv or .xlsx."))
    if file.exists():
        raise click.UsageError(say(f"{file} 已存在。", f"{file} exists already."))
    with ground.database():
        from gridloop.cases.queries import cases_for
        from gridloop.cases.search import EXPORTED, exported
        from gridloop.kernel.tables import write_table
        from gridloop.people.viewer import SYSTEM

        found = cases_for(SYSTEM)
        if region:
            found = found.filter(region_code__startswith=region)
        if state:
            found = found.filter(state=state)
        columns = (*EXPORTED, "text") if with_text else EXPORTED
        with show.progress(say("案件", "Cases"), found.count()) as advance:

            def rows() -> Iterator[list[Any]]:
                for row in exported(found, columns):
                    yield row
                    advance(1)

            written = write_table(file, columns, rows())
    show.summary(say(f"已写入 {file}", f"Written to {file}"), {say("案件", "cases"): written})


@export.command("map", help=say("导出区划与网格边界到新文件（.geojson）。", "Write the map to a new .geojson file."))
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@option("--region", default="", zh="只导出此代码及以下。", en="Only at and below this region code.")
@option(
    "--level",
    type=click.Choice(("district", "street", "community", "grid", "micro_grid", "unit_cell")),
    zh="只导出此层级。",
    en="Only this level.",
)
@option(
    "--datum",
    type=click.Choice(("wgs84", "cgcs2000", "gcj02", "bd09")),
    default="wgs84",
    zh="坐标系。",
    en="The datum.",
)
def map_(file: Path, region: str, level: str | None, datum: str) -> None:
    if file.exists():
        raise click.UsageError(say(f"{file} 已存在。", f"{file} exists already."))
    with ground.database():
        from gridloop.territory.queries import export_geojson

        written = export_geojson(file, region, level=level, datum=datum)
    show.summary(say(f"已写入 {file}", f"Written to {file}"), {say("区域", "regions"): written})
