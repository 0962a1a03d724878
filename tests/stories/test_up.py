"""`gridloop up` as a person meets it: one process in the foreground, killed in every way and stopped with Ctrl-C."""

from __future__ import annotations

import csv
import os
import signal
import socket
from functools import partial

import psycopg

from tests.deployment import Deployment, eventually


def test_it_comes_up_survives_what_is_killed_and_stops_cleanly(deployment: Deployment) -> None:
    process = deployment.up()
    eventually(deployment.answers)

    # No password is there that anybody could know: three administrators wait with one-time codes.
    codes = deployment.data / "first-codes.csv"
    assert codes.stat().st_mode & 0o777 == 0o600
    with codes.open() as file:
        assert {row["username"] for row in csv.DictReader(file)} == {"admin", "security", "auditor"}
    with psycopg.connect(deployment.cluster.url()) as connection:
        passwords = connection.execute("SELECT password FROM people_person").fetchall()
    assert len(passwords) == 3
    assert all(password.startswith("!") for (password,) in passwords)

    # A second one on the same data folder is refused and told who has it.
    second = deployment.run("up", "--port", "1")
    assert second.returncode == 5
    assert str(process.pid) in second.stderr

    # Whatever is killed comes back.
    for word in ("worker", "clock", "web"):
        [victim, *_] = deployment.children(word)
        os.kill(victim, signal.SIGKILL)
        eventually(partial(_replaced, deployment, word, victim))
    for pid in deployment.cluster._processes():
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: deployment.cluster.status().running)
    eventually(deployment.answers)
    assert process.poll() is None

    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert "Stopped." in deployment.output.read_text()
    assert not deployment.cluster.status().running
    assert not any(deployment.children(word) for word in ("web", "worker", "clock"))
    assert "Traceback" not in deployment.output.read_text()


def _replaced(deployment: Deployment, word: str, victim: int) -> bool:
    return bool(set(deployment.children(word)) - {victim})


def test_kill_9_of_the_supervisor_leaves_nobody_behind_and_the_next_start_works(deployment: Deployment) -> None:
    process = deployment.up()
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    eventually(lambda: not any(deployment.children(word) for word in ("web", "worker", "clock")))
    deployment.output.unlink()
    again = deployment.up()
    eventually(deployment.answers)
    again.send_signal(signal.SIGTERM)
    assert again.wait(60) == 0
    assert not deployment.cluster.status().running, "the server it found running is stopped with it"


def test_a_taken_port_is_told_before_anything_is_started(deployment: Deployment) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", deployment.port))
        taken.listen()
        done = deployment.run("up", "--port", str(deployment.port))
    assert done.returncode == 1
    assert "--port" in done.stderr
    assert not (deployment.data / "postgres").exists()


def test_the_database_alone_starts_tells_its_state_is_backed_up_and_stops(deployment: Deployment) -> None:
    assert deployment.run("db", "start").returncode == 0
    assert deployment.run("db", "status").returncode == 0
    assert deployment.run("packs", "activate").returncode == 0
    file = deployment.data.parent / "all.backup"
    done = deployment.run("db", "backup", str(file))
    assert done.returncode == 0, done.stderr
    refused = deployment.run("db", "restore", str(file))
    assert refused.returncode == 1
    assert "--replace" in refused.stderr
    replaced = deployment.run("db", "restore", str(file), "--replace")
    assert replaced.returncode == 0, replaced.stderr
    assert deployment.run("db", "stop").returncode == 0
    assert deployment.run("db", "status").returncode == 1


def test_every_wrong_setting_is_told_at_once(deployment: Deployment) -> None:
    deployment.environment |= {"GRIDLOOP_HOSTS": "*", "GRIDLOOP_DEBUG": "maybe"}
    done = deployment.run("check")
    assert done.returncode == 2
    assert "GRIDLOOP_HOSTS" in done.stderr
    assert "GRIDLOOP_DEBUG" in done.stderr
    assert "Traceback" not in done.stderr
