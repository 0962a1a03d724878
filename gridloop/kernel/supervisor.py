"""One foreground process that keeps others alive, and ends them all when it ends.

A child that dies is started again, at once the first time and then ever more slowly, so that a crash loop does not eat
the machine. A child that outlives its supervisor is ended by the operating system.
"""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence

log = logging.getLogger(__name__)

LONGEST_WAIT = 30.0
"""Seconds between two starts of a child that keeps dying."""
HEALTHY = 60.0
"""A child that lived this long is forgiven what came before."""
GRACE = 20.0
"""Seconds a child may take to finish what it has in its hands."""


@dataclass
class Child:
    """A process to keep alive."""

    name: str
    command: Sequence[str]
    process: subprocess.Popen[bytes] | None = None
    deaths: int = 0
    started: float = 0.0
    not_before: float = field(default=0.0)

    def start(self) -> None:
        # A group of its own: Ctrl-C in the terminal reaches the supervisor only, which then ends the children in order.
        self.process = subprocess.Popen(
            self.command, start_new_session=True, env=os.environ | {PARENT: str(os.getpid())}
        )
        self.started = time.monotonic()
        log.info("child started", extra={"child": self.name, "pid": self.process.pid})

    def signal(self, what: signal.Signals) -> None:
        if self.process is not None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, what)


PARENT = "SUPERVISED_BY"
"""The variable that tells a child who started it."""


def die_with_supervisor() -> None:
    """Called by a child when it starts: ask the system for SIGTERM when the supervisor is gone. Linux only."""
    parent = os.environ.get(PARENT)
    if parent is None:
        return
    with suppress(OSError, AttributeError):
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, int(signal.SIGTERM))
    if os.getppid() != int(parent):  # it died before we could ask
        raise SystemExit(0)


@contextmanager
def only_one(data: Path) -> Iterator[None]:
    """Refuse a second supervisor on the same data folder, and say which process is the first."""
    file = os.open(data / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            who = os.pread(file, 100, 0).decode(errors="replace").strip() or "?"
            raise Refused(
                Sentence(
                    zh=f"数据目录 {data} 已由进程 {who} 运行。请先停止它，或用 GRIDLOOP_DATA 换一个数据目录。",
                    en=f"The data folder {data} is in use by process {who}. Stop it first, or choose another data "
                    "folder with GRIDLOOP_DATA.",
                ),
                code="already_running",
            ) from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}".encode(), 0)
        yield
    finally:
        os.close(file)


def supervise(
    children: Sequence[Child],
    *,
    look_after: Callable[[], object] = lambda: None,
    ready: Callable[[], object] = lambda: None,
    stop: threading.Event | None = None,
) -> None:
    """Run the children until SIGINT, SIGTERM or `stop`; `ready` is called once, `look_after` every second."""
    ended = stop or threading.Event()

    def end(number: int, frame: Any) -> None:
        if ended.is_set():  # the second Ctrl-C is meant
            for child in children:
                child.signal(signal.SIGKILL)
        ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        for child in children:
            child.start()
        ready()
        looked = 0.0
        while not ended.wait(0.1):
            for child in children:
                _keep_alive(child)
            if time.monotonic() - looked >= 1.0:
                try:
                    look_after()
                except Exception as error:
                    log.exception("looking after failed", extra={"kind": type(error).__name__})
                looked = time.monotonic()
    finally:
        _end(children)
        for number, handler in before.items():
            signal.signal(number, handler)


def _keep_alive(child: Child) -> None:
    now = time.monotonic()
    if child.process is None:
        if now >= child.not_before:
            child.start()
        return
    code = child.process.poll()
    if code is None:
        return
    child.signal(signal.SIGKILL)  # what it left behind in its group holds its port
    child.deaths = 1 if now - child.started > HEALTHY else child.deaths + 1
    pause = 0.0 if child.deaths == 1 else min(LONGEST_WAIT, 0.5 * 2 ** (child.deaths - 2))
    child.process, child.not_before = None, now + pause
    log.warning("child died", extra={"child": child.name, "code": code, "again_in_seconds": pause})


def _end(children: Sequence[Child]) -> None:
    for child in children:
        child.signal(signal.SIGTERM)
    until = time.monotonic() + GRACE
    for child in children:
        if child.process is not None:
            with suppress(subprocess.TimeoutExpired):
                child.process.wait(max(0.0, until - time.monotonic()))
            child.signal(signal.SIGKILL)
            child.process.wait()
