"""`gridloop run`: the single processes, as `up` starts them and as a service manager on another machine may."""

from __future__ import annotations

import os
import signal
import threading
from functools import partial
from typing import Any

import click

from gridloop.cli import ground
from gridloop.cli.speaking import Group, option
from gridloop.cli.words import say
from gridloop.kernel import logs
from gridloop.kernel.supervisor import die_with_supervisor


@click.group(
    cls=Group,
    help=say("单独运行一个进程（多机部署用）。", "Run one process by itself (for several machines)."),
)
def run() -> None:
    die_with_supervisor()


@run.command(help=say("网站与接口。", "Web pages and API."))
@option("--host", default="127.0.0.1", show_default=True, zh="监听地址。", en="The address to listen on.")
@option("--port", default=8000, show_default=True, zh="监听端口。", en="The port to listen on.")
@option("--workers", default=2, show_default=True, zh="进程数。", en="Processes.")
@option("--threads", default=4, show_default=True, zh="每个进程的线程数。", en="Threads in each process.")
def web(host: str, port: int, workers: int, threads: int) -> None:
    from granian.constants import Interfaces
    from granian.server import Server

    level = ground.product().GRIDLOOP_LOG_LEVEL
    Server(
        "config.rsgi.application",
        address=host,
        port=port,
        interface=Interfaces.RSGI,
        websockets=False,
        workers=workers,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=10,
        log_dictconfig=logs.configuration(level),
    ).serve(target_loader=partial(_load, threads=threads))


def _load(target: str, threads: int) -> Any:
    """The application of one web process."""
    from django.utils.module_loading import import_string

    return import_string(target)(threads)


@run.command(help=say("处理事件：分拣、派遣、提醒……", "Deal with events: triage, route, remind ..."))
def worker() -> None:
    ground.product()
    from gridloop.kernel import jobs

    jobs.work(_until_told())


@run.command(help=say("到点的事：时限、定时任务、封存记录。", "What is due: deadlines, timers, the seal."))
def clock() -> None:
    ground.product()
    from gridloop.kernel import jobs

    jobs.keep_time(_until_told(), ground.data())


def _until_told() -> threading.Event:
    """An event that SIGTERM and SIGINT set: what is in hand is finished first."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def command(*words: str) -> list[str]:
    """How to start one of these processes, with this very Python."""
    import sys

    return [sys.executable, "-c", "from gridloop.cli import main; main()", "run", *words]


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
