"""A deployment of its own for a test: a data folder, an embedded server, and `gridloop up` as a person runs it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from gridloop.kernel.postgres import Cluster

COMMAND = [sys.executable, "-c", "from gridloop.cli import main; main()"]
ROOT = Path(__file__).resolve().parents[1]


def eventually(what: Callable[[], object], seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until, "it did not come about in time"
        time.sleep(0.1)


class Deployment:
    """A data folder with an `up` of its own, far from DATABASE_URL and everything else of this test run."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.cluster = Cluster(self.data)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("GRIDLOOP_", "DATABASE_URL"))}
        self.environment |= {"GRIDLOOP_DATA": str(self.data), "LANG": "en_US.UTF-8", "LC_ALL": "en_US.UTF-8"}
        self.output = folder / "output"

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words], cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False, timeout=120
        )

    def up(self, *words: str, patience: float = 120) -> subprocess.Popen[bytes]:
        with self.output.open("ab") as output:
            process = subprocess.Popen(
                [*COMMAND, "up", "--port", str(self.port), "--workers", "1", *words],
                cwd=ROOT,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        eventually(lambda: process.poll() is not None or "Ctrl-C stops it" in self.output.read_text(), patience)
        assert process.poll() is None, self.output.read_text()
        return process

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as line:
                line.settimeout(5)
                line.sendall(b"GET / HTTP/1.0\r\nHost: localhost\r\n\r\n")
                return line.recv(5) == b"HTTP/"
        except OSError:
            return False

    def children(self, word: str) -> list[int]:
        """The processes of this deployment's `run WORD`, wherever they hang in the tree."""
        mine = f"GRIDLOOP_DATA={self.data}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            try:
                line = (entry / "cmdline").read_bytes().split(b"\0")
                if line[3:5] == [b"run", word.encode()] and mine in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def clear(self) -> None:
        """End everything that belongs to this data folder."""
        for word in ("web", "worker", "clock"):
            for pid in self.children(word):
                os.kill(pid, signal.SIGKILL)
        for pid in self.cluster._processes():
            os.kill(pid, signal.SIGKILL)
