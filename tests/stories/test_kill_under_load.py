"""Everything is killed at random while reports pour in: no acknowledged report is lost, doubled or left lying."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter

import psycopg

from tests.deployment import ROOT, Deployment, eventually

KILLS = 20
SENDERS = 8
PREPARE = """
import django; django.setup()
from tests import build
from gridloop.kernel import clock
from gridloop.people import access
from gridloop.people.viewer import SYSTEM
build.district()
client = access.register_client(
    code="hotline", name="hotline", permissions=["report"], per_minute=10_000_000, viewer=SYSTEM, at=clock.now())
print(access.issue_token(client=client, viewer=SYSTEM, at=clock.now())[1])
"""


class Sender(threading.Thread):
    """A hotline that sends each report again, with the same key, until it is told that it was taken."""

    def __init__(self, port: int, token: str, stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self.port, self.token, self.stop = port, token, stop
        self.acknowledged: dict[str, str] = {}
        self.retries = 0
        self.odd: Counter[int] = Counter()

    def run(self) -> None:
        line: http.client.HTTPConnection | None = None
        while not self.stop.is_set():
            key = str(uuid.uuid4())
            # Places far enough apart that few are taken for one problem; every tenth report says nothing useful.
            place = {"lon": 113.6805 + random.random() * 0.007, "lat": 34.7405 + random.random() * 0.007}
            body = {"key": key, "channel": "hotline", "text": f"这里有垃圾没人清理 {key[:8]}", **place}
            if random.random() < 0.9:
                body["case_type"] = random.choice(["urban:E0110", "urban:E0112", "urban:E0405", "urban:E0410"])
            payload = json.dumps(body)
            while not self.stop.is_set():
                try:
                    line = line or http.client.HTTPConnection("127.0.0.1", self.port, timeout=15)
                    headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
                    line.request("POST", "/api/v1/reports", payload, headers)
                    answer = line.getresponse()
                    content = answer.read()
                    if answer.status in (200, 201):
                        self.acknowledged[key] = json.loads(content)["number"]
                        break
                    if answer.status < 500:
                        self.odd[answer.status] += 1
                        break
                except (OSError, http.client.HTTPException):
                    pass
                self.retries += 1
                if line is not None:
                    line.close()
                line = None
                time.sleep(0.05)


def test_twenty_kills_under_load_lose_and_double_nothing(deployment: Deployment) -> None:
    process = deployment.up()
    prepared = subprocess.run(
        [sys.executable, "-c", PREPARE],
        cwd=ROOT,
        env=deployment.environment | {"DJANGO_SETTINGS_MODULE": "config.settings"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert prepared.returncode == 0, prepared.stderr
    token = prepared.stdout.strip().splitlines()[-1]
    stop = threading.Event()
    senders = [Sender(deployment.port, token, stop) for _ in range(SENDERS)]
    for sender in senders:
        sender.start()
    chance = random.Random(20)
    killed: Counter[str] = Counter()
    for _ in range(KILLS):
        time.sleep(chance.uniform(0.4, 1.6))
        what = chance.choice(["web", "worker", "worker", "clock", "database"])
        victims = deployment.cluster._processes() if what == "database" else deployment.children(what)[:1]
        for pid in victims:
            try:
                os.kill(pid, signal.SIGKILL)
                killed[what] += 1
            except ProcessLookupError:
                continue
    eventually(deployment.answers, 60)
    time.sleep(1)
    stop.set()
    for sender in senders:
        sender.join(30)
    acknowledged = {k: n for sender in senders for k, n in sender.acknowledged.items()}
    assert len(killed) == 4, killed
    assert not sum((sender.odd for sender in senders), Counter())
    assert sum(sender.retries for sender in senders) > 0, "no kill was ever felt: this test would prove nothing"
    assert len(acknowledged) > 200

    def drained() -> bool:
        try:
            with psycopg.connect(deployment.cluster.url()) as connection:
                row = connection.execute("SELECT count(*) FROM kernel_delivery WHERE state = 'pending'").fetchone()
                return row == (0,)
        except psycopg.Error:
            return False

    eventually(drained, 120)
    with psycopg.connect(deployment.cluster.url()) as connection:
        stored: dict[str, str] = dict(connection.execute("SELECT key, number FROM discover_report").fetchall())
        lost = {k: n for k, n in acknowledged.items() if stored.get(k) != n}
        assert not lost, f"{len(lost)} of {len(acknowledged)} acknowledged reports lost"
        assert connection.execute("SELECT count(*) FROM kernel_delivery").fetchone() == (0,), "something is stuck"
        states: dict[str, int] = dict(
            connection.execute("SELECT state, count(*) FROM discover_report GROUP BY state").fetchall()
        )
        assert set(states) <= {"opened", "joined", "triage"}, states
        # Every report is in exactly one case: the record of the cases names each of them once.
        told = connection.execute(
            "SELECT r.value::bigint "
            "FROM kernel_event e, jsonb_array_elements_text(e.data -> 'about' -> 'reports') AS r "
            "WHERE e.name IN ('CaseOpened', 'CallerJoined')"
        ).fetchall()
        named = Counter(report for (report,) in told)
        assert max(named.values(), default=1) == 1, "a report is in two cases"
        in_cases = connection.execute("SELECT id FROM discover_report WHERE state IN ('opened', 'joined')").fetchall()
        assert {report for (report,) in in_cases} == set(named)
        received = connection.execute("SELECT count(*) FROM kernel_event WHERE name = 'ReportReceived'").fetchone()
        assert received == (len(stored),), "an event was lost or doubled"
    assert deployment.run("audit", "verify").returncode == 0
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    print(
        f"{len(acknowledged)} acknowledged, {dict(killed)} killed, {sum(s.retries for s in senders)} retries, {states}"
    )
