"""How fast the HTTP API takes reports, durably, beside what PostgreSQL itself can commit.

    python -m bench.intake [--quick]

Rounds alternate: pgbench inserting one report-sized row per transaction with 32 clients, then 32 clients posting
reports to the running API, each waiting for its answer. Then an open loop offers 500 reports a second and every
latency counts from the moment at which the request was due, so that a stall is paid for by all that had to wait.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from pathlib import Path

from bench.measuring import conclude, load_district, own_database

CLIENTS = 32
OFFERED = 500
WEB, THREADS = "2", "32"
GOAL = 0.15
CONTACT = {"name": "合成", "phone": "13800000000"}
TEXT = "中州大道与航海路交叉口东南角有一处窨井盖破损，车辆经过时响声很大，夜里容易绊倒行人，请尽快派人维修。"


class Line:
    """One keep-alive connection that posts reports and checks that each answer is the one to its own report.

    Raw sockets and one `epoll`, so that the sender costs the machine about what pgbench, a C program, costs it.
    """

    def __init__(self, port: int, token: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        before, after = BODY.split(b"KEY")
        self.before = (
            f"POST /api/v1/reports HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(before) + 32 + len(after)}\r\n\r\n"
        ).encode() + before
        self.after = after
        self.due = 0.0
        self.key = b""
        self.answer = b""

    def post(self, due: float) -> None:
        self.due, self.answer = due, b""
        self.key = os.urandom(16).hex().encode()
        self.socket.sendall(b"".join((self.before, self.key, self.after)))

    def read(self) -> int:
        """The status, once the whole answer is here; 0 before."""
        self.answer += self.socket.recv(65536)
        head, found, body = self.answer.partition(b"\r\n\r\n")
        if not found or len(body) < int(head.lower().partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]):
            return 0
        if self.key not in body:
            raise RuntimeError(f"this is no answer to the report that was sent: {self.answer!r}")
        return int(head[9:12])


class Lines:
    """Open connections, and the statuses of the answers that came on them."""

    def __init__(self, port: int, token: str, count: int) -> None:
        self.all = {line.socket.fileno(): line for line in (Line(port, token) for _ in range(count))}
        self.epoll = select.epoll()
        for number in self.all:
            self.epoll.register(number, select.EPOLLIN)
        self.statuses: Counter[int] = Counter()

    def answered(self, timeout: float) -> Iterator[Line]:
        """The connections on which an answer has come, after at most `timeout` seconds."""
        for number, _ in self.epoll.poll(timeout):
            line = self.all[number]
            if status := line.read():
                self.statuses[status] += 1
                yield line

    def close(self) -> None:
        self.epoll.close()
        for line in self.all.values():
            line.socket.close()


BODY = (
    json.dumps({"channel": "hotline", "text": TEXT, "lon": 113.70, "lat": 34.73, "contact": CONTACT}).encode()[:-1]
    + b', "key": "KEY"}'
)


def closed_loop(port: int, token: str, seconds: float) -> tuple[float, Counter[int]]:
    """Reports accepted a second by clients that each wait for the answer, and the statuses counted."""
    lines = Lines(port, token, CLIENTS)
    started = now = time.perf_counter()
    for line in lines.all.values():
        line.post(started)
    while now - started < seconds:
        for line in lines.answered(1.0):
            line.post(now)
        now = time.perf_counter()
    accepted = lines.statuses[201] / (now - started)
    while any(lines.answered(0.5)):
        pass  # the last ones, which no longer count
    lines.close()
    return accepted, lines.statuses


def open_loop(port: int, token: str, rate: float, seconds: float) -> tuple[list[float], Counter[int]]:
    """Seconds from the due moment to the answer of each request offered at a steady rate."""
    lines = Lines(port, token, 128)
    latencies: list[float] = []
    free, late = list(lines.all.values()), deque[float]()
    start = time.perf_counter()
    moments = deque(start + n / rate for n in range(int(rate * seconds)))
    total = len(moments)
    while len(latencies) < total:
        now = time.perf_counter()
        while moments and moments[0] <= now:
            late.append(moments.popleft())
        while late and free:
            free.pop().post(late.popleft())
        for line in lines.answered(max(0.0, moments[0] - now) if moments else 1.0):
            latencies.append(time.perf_counter() - line.due)
            free.append(line)
    lines.close()
    return latencies, lines.statuses


def pgbench(binaries: Path, sockets: str, role: str, database: str, seconds: int) -> float:
    """Transactions a second of one report-sized row each, by 32 clients on the same cluster."""
    script = Path(tempfile.gettempdir()) / f"gridloop-row-{os.getpid()}.sql"
    body = json.dumps({"text": TEXT * 3}, ensure_ascii=False)
    script.write_text(
        f"\\set n random(1, 1000000000)\nINSERT INTO bench_row (key, body) VALUES (md5(:n::text), '{body}');\n"
    )
    command = [
        str(binaries / "pgbench"), "-n", "-M", "prepared", "-c", str(CLIENTS), "-j", "2", "-T", str(seconds),
        "-f", str(script), "-h", sockets, "-U", role, database,
    ]  # fmt: skip
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    script.unlink()
    return next(float(line.split("=")[1].split()[0]) for line in out.splitlines() if line.startswith("tps"))


def start_web(port: int) -> subprocess.Popen[bytes]:
    """The product's own web process, as `gridloop up` starts it."""
    from gridloop.cli.processes import command

    process = subprocess.Popen(
        command("web", "--port", str(port), "--workers", WEB, "--threads", THREADS),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=dict(os.environ, GRIDLOOP_LOG_LEVEL="WARNING"),
    )  # fmt: skip
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.1)
    raise RuntimeError("the web process did not start")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="shorter rounds, for a first look")
    rounds, seconds = (2, 3) if parser.parse_args().quick else (5, 6)
    own_database()
    from django.db import connection

    from gridloop.kernel import clock
    from gridloop.kernel.postgres.binaries import find_binaries
    from gridloop.people import access
    from gridloop.people.viewer import SYSTEM

    load_district()
    client = access.register_client(
        code="bench", name="bench", permissions=["report"], per_minute=10_000_000, viewer=SYSTEM, at=clock.now()
    )
    _, token = access.issue_token(client=client, viewer=SYSTEM, at=clock.now())
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE bench_row (id bigserial PRIMARY KEY, key text, body jsonb, at timestamptz DEFAULT now())"
        )
        where = connection.get_connection_params()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    web = start_web(port)
    binaries = find_binaries()
    try:
        closed_loop(port, token, 1)  # warm
        peers, ours, ratios = [], [], []
        for n in range(rounds):
            peer = pgbench(binaries.folder, where["host"], where["user"], where["dbname"], seconds)
            value, statuses = closed_loop(port, token, seconds)
            peers.append(peer)
            ours.append(value)
            ratios.append(value / peer)
            told = f"accepted {value:,.0f}/s {dict(statuses)}, pgbench {peer:,.0f}/s"
            print(f"round {n + 1}: {told}, ratio {value / peer:.3f}")
        latencies, statuses = open_loop(port, token, OFFERED, seconds * 2)
        latencies.sort()
        p50, p99 = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
        told = f"p50 {p50 * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms, {dict(statuses)}"
        print(f"offered {OFFERED}/s for {seconds * 2} s: {told}")
    finally:
        web.send_signal(signal.SIGTERM)
        web.wait(20)
    conclude(
        name="intake", value=round(statistics.median(ours), 1), unit="reports accepted/s",
        peer=f"pgbench single-row insert, {CLIENTS} clients",
        peer_value=round(statistics.median(peers), 1),
        goal=f"ratio >= {GOAL} and p99 <= 250 ms at {OFFERED}/s offered", rounds=rounds,
        ratio_median=round(statistics.median(ratios), 4), p99_ms=round(p99 * 1000, 1), p50_ms=round(p50 * 1000, 1),
        not_shown=[
            "client, web server, database and pgbench share the same two cores and one disk, over loopback",
            "the Python load generator takes part of the cores that a real client would bring along",
            "no worker drains the reports meanwhile; no photographs are sent",
        ],
    )  # fmt: skip


if __name__ == "__main__":
    main()
