"""`gridloop up`: everything, in one foreground process."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import click

from gridloop.cli import ground, show
from gridloop.cli.db import KEEP
from gridloop.cli.packs import all_packs
from gridloop.cli.processes import command, cores
from gridloop.cli.speaking import Command, option
from gridloop.cli.words import say, told
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.language import Sentence
from gridloop.kernel.postgres import check_server
from gridloop.kernel.postgres.disk import lay_ballast
from gridloop.kernel.supervisor import Child, only_one, supervise
from gridloop.kernel.tables import Row

ADMINISTRATORS = (
    ("admin", "系统管理员", "system_admin"),
    ("security", "安全管理员", "security_admin"),
    ("auditor", "审计管理员", "auditor"),
)
"""User name, name and post of the first three accounts: one operates, one lets people in, one watches both."""


DEMO = "demo"
"""This file in the data folder says that everything in it is invented."""


@click.command(
    cls=Command,
    help=say(
        "启动全部：数据库、网站、后台。Ctrl-C 停止。首次启动会建立管理员账户。",
        "Start everything: database, web, workers. Ctrl-C stops it. The first start makes the administrators.",
    ),
)
@option(
    "--demo",
    is_flag=True,
    zh="载入虚构的一个雨天（410104 管城回族区）。",
    en="With an invented rainy day in district 410104.",
)
@option("--host", default="127.0.0.1", show_default=True, zh="监听地址。", en="The address to listen on.")
@option("--port", default=8000, show_default=True, zh="监听端口。", en="The port to listen on.")
@option("--workers", default=0, zh="网站进程数，0 表示按核数。", en="Web processes; 0: as many as cores.")
@option(
    "--district",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    zh="首次启动时启用的本区规定目录。",
    en="The district's folder, put into force at the first start.",
)
def up(demo: bool, host: str, port: int, workers: int, district: Path | None) -> None:
    folder = ground.data()
    with only_one(folder):
        _refuse_taken_port(host, port)
        began = time.monotonic()
        cluster = ground.embedded()
        if cluster is not None:
            cluster.start()
        try:
            if wrong := check_server(ground.url()):
                raise Mistakes(wrong)
            ground.migrate()
            lay_ballast(folder)
            if demo:
                _refuse_demo_beside_real_data(folder)
            else:
                _first_packs(district)
            codes = _first_administrators(folder)
            if demo:
                _play_demo(folder)
            from django.db import connections

            connections.close_all()
            count = workers or max(2, cores())
            supervise(
                [
                    Child("web", command("web", "--host", host, "--port", str(port), "--workers", str(count))),
                    Child("worker", command("worker")),
                    Child("clock", command("clock")),
                ],
                look_after=cluster.keep_running if cluster is not None else (lambda: None),
                ready=lambda: _welcome(host, port, began, codes),
            )
        finally:
            if cluster is not None and not (folder / KEEP).exists():
                cluster.stop()
    click.echo(say("已停止。", "Stopped."))


def _refuse_taken_port(host: str, port: int) -> None:
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port))
    except OSError as error:
        raise Refused(
            Sentence(
                zh=f"无法监听 {host}:{port}（{error.strerror}）。请用 --port 换一个端口。",
                en=f"Cannot listen on {host}:{port} ({error.strerror}). Choose another port with --port.",
            ),
            code="port_taken",
        ) from None


def _first_packs(district: Path | None) -> None:
    from gridloop.standard.actions import activate_packs
    from gridloop.standard.models import PackRelease

    if PackRelease.objects.filter(retired_at=None).exists():
        return
    activate_packs(folders=all_packs(), district=district, actor="system")


def _first_administrators(folder: Path) -> Path | None:
    """Make the three administrators if nobody is there yet; returns the file with codes still to be redeemed.

    There is no default password: the system administrator's comes from GRIDLOOP_ADMIN_PASSWORD or is asked for on the
    terminal; everybody else redeems a one-time code.
    """
    from gridloop.people import actions
    from gridloop.people.access import set_first_password
    from gridloop.people.models import Person, Unit
    from gridloop.people.passwords import check_new_password
    from gridloop.people.viewer import SYSTEM

    if Person.objects.exists():
        return None
    now = clock.now()
    chosen = os.environ.get("GRIDLOOP_ADMIN_PASSWORD", "")
    if not chosen and sys.stdin.isatty() and sys.stdout.isatty():
        chosen = click.prompt(
            say("设定管理员 admin 的口令（至少 12 个字符）", "Choose the password of admin (at least 12 characters)"),
            hide_input=True,
            confirmation_prompt=True,
        )
    if chosen:
        check_new_password(chosen, place="GRIDLOOP_ADMIN_PASSWORD")
    if not Unit.objects.exists():
        actions.import_units(
            rows=_rows([{"code": "office", "name": "网格中心", "kind": "district"}]), viewer=SYSTEM, at=now
        )
    unit = Unit.objects.order_by("id").values_list("code", flat=True)[0]
    people = [{"username": u, "name": n, "role": r, "unit": unit} for u, n, r in ADMINISTRATORS]
    codes = dict(actions.import_people(rows=_rows(people), viewer=SYSTEM, at=now).codes)
    if chosen:
        set_first_password(username="admin", code=codes.pop("admin"), password=chosen, source="terminal", at=now)
    file = folder / "first-codes.csv"
    file.unlink(missing_ok=True)
    actions.write_codes(codes, file)
    return file


def _rows(cells: list[dict[str, str]]) -> list[Row]:
    return [Row(number, one) for number, one in enumerate(cells, 1)]


def _refuse_demo_beside_real_data(folder: Path) -> None:
    from gridloop.people.models import Person

    if Person.objects.exists() and not (folder / DEMO).exists():
        raise Refused(
            Sentence(
                zh=f"数据目录 {folder} 里有真实数据，演示数据不与其混放。请用 GRIDLOOP_DATA 换一个目录。",
                en=f"The data folder {folder} holds a real deployment, and invented data never mixes with it. Choose "
                "another folder with GRIDLOOP_DATA.",
            ),
            code="real_data",
        )
    if not (folder / DEMO).exists():
        (folder / DEMO).write_text("begun\n")


def _play_demo(folder: Path) -> None:
    """The invented day, once. Killed in the middle it is played again, which adds nothing twice."""
    from gridloop.gateways.demo.playing import play_demo
    from gridloop.people.actions import write_codes

    if (folder / DEMO).read_text() == "played\n":
        return
    with show.progress(say("演示：一个雨天", "Demo: a rainy day"), 100) as advance:
        steps = show.Steps(advance)
        summary = play_demo(
            district=ground.shipped("districts") / "410104",
            packs=all_packs(),
            progress=lambda done, total: steps.at(100 * done // max(total, 1)),
        )
    if summary.codes:
        staff = folder / "demo-codes.csv"
        staff.unlink(missing_ok=True)
        write_codes(summary.codes, staff)
    (folder / DEMO).write_text("played\n")
    for sentence in summary.lines():
        click.echo(told(sentence))


def _welcome(host: str, port: int, began: float, codes: Path | None) -> None:
    """Wait for the first connection and say where everything is."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            socket.create_connection((host, port), 0.2).close()
            break
        except OSError:
            time.sleep(0.1)
    shown = f"[{host}]" if ":" in host else host
    took = time.monotonic() - began
    click.echo(
        say(
            f"Gridloop 已启动（{took:.1f} 秒）：http://{shown}:{port}",
            f"Gridloop is up ({took:.1f} s): http://{shown}:{port}",
        )
    )
    if codes is not None:
        click.echo(
            say(
                f"一次性设置码在 {codes}（仅本人可读）。逐个运行 gridloop password 用户名 设定口令，然后删除该文件。",
                f"The one-time codes are in {codes} (only you can read it). Redeem each with gridloop password NAME, "
                "then delete the file.",
            )
        )
    click.echo(say("按 Ctrl-C 停止。", "Ctrl-C stops it."))
