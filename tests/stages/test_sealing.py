"""The sealed record: nothing is missed, nothing waits, and whatever is changed behind our back shows."""

from __future__ import annotations

import ast
import base64
import json
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import DatabaseError, connection, models, transaction

from gridloop.kernel import clock, merkle, sealing, verify_log
from gridloop.kernel.errors import Refused
from gridloop.kernel.events import Happened, publish
from gridloop.kernel.language import Sentence
from gridloop.kernel.models import Checkpoint, Event, LogLeaf
from gridloop.kernel.sealing import Finding, Sealer

AT = datetime(2026, 7, 20, 8, 0, tzinfo=UTC)


def happen(count: int, *, first: int = 0) -> list[int]:
    """Publish so many events, as an action would."""
    return publish([Happened(subject=f"case:{n}", actor="person:4", at=AT) for n in range(first, first + count)])


def run(sql: str, *params: Any) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def sealer(tmp_path: Path) -> Sealer:
    return Sealer(tmp_path, "gridloop.test", every_events=50)


def kinds(findings: list[Finding]) -> set[str]:
    return {f.kind for f in findings}


def ids(findings: list[Finding], kind: str) -> set[int]:
    return {event for f in findings if f.kind == kind for event in f.events}


# --- sealing ----------------------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_every_event_gets_one_leaf_and_the_record_is_found_whole(sealer: Sealer, tmp_path: Path) -> None:
    happened = happen(120)
    assert sealer.seal_all() == 120
    assert list(LogLeaf.objects.order_by("index").values_list("index", "event_id")) == list(enumerate(happened))
    assert list(Checkpoint.objects.order_by("size").values_list("size", flat=True)) == [50, 100, 120]
    assert sealing.verify(tmp_path) == []
    assert sealer.seal_all() == 0
    assert Checkpoint.objects.count() == 3


@pytest.mark.django_db
def test_the_signed_root_is_the_tree_hash_of_the_exported_lines(sealer: Sealer, tmp_path: Path) -> None:
    happen(77)
    sealer.seal_all()
    with (tmp_path / "entries.jsonl").open("wb") as file:
        assert sealing.export(file) == 77
    lines = (tmp_path / "entries.jsonl").read_bytes().splitlines()
    assert json.loads(lines[0])[1:5] == ["Happened", "case:0", "person:4", "2026-07-20T08:00:00"]
    keys = verify_log.read_keys((tmp_path / "seal.pub").read_text())
    stated = verify_log.read_note(Checkpoint.objects.get(size=77).note, keys)
    assert stated is not None
    assert stated.root == merkle.root([merkle.leaf_hash(line) for line in lines])
    assert list(verify_log.of_export(lines, keys, sealing.read_witness(tmp_path), AT)) == []


@pytest.mark.django_db
def test_an_entry_is_the_same_in_every_zone_order_of_keys_and_server_version() -> None:
    """A golden entry: it must come out on PostgreSQL 15 as on 18, and whatever the session is set to."""
    data = '{"zh": "积水", "b": [1.50, true, null], "a": {"y": 2, "x": "\\u0001\\"\\\\"}}'
    run("SET LOCAL timezone = 'America/Chicago'; SET LOCAL datestyle = 'German'; SET LOCAL extra_float_digits = 0")
    run(
        "INSERT INTO kernel_event (id, name, subject, actor, at, recorded_at, data) VALUES "
        "(7, 'CaseOpened', 'case:1', 'system', '2026-07-20 16:00:00.25+08', '2026-07-20 08:00:01+00', %s)",
        data,
    )
    [(entry,)] = run(f"SELECT {verify_log.ENTRY} FROM kernel_event e WHERE id = 7")
    assert entry == (
        '[7, "CaseOpened", "case:1", "system", "2026-07-20T08:00:00.25", "2026-07-20T08:00:01", '
        '{"a": {"x": "\\u0001\\"\\\\", "y": 2}, "b": [1.50, true, null], "zh": "积水"}]'
    )


def test_an_entry_holds_every_column_of_an_event() -> None:
    for field in Event._meta.concrete_fields:
        assert re.search(rf"\be\.{field.column}\b", verify_log.ENTRY), field.column


@pytest.mark.django_db
@pytest.mark.parametrize("table", ["kernel_event", "kernel_logleaf", "kernel_checkpoint"])
@pytest.mark.parametrize("sql", ["UPDATE {0} SET {1} = {1}", "DELETE FROM {0}", "TRUNCATE {0}"])
def test_the_record_cannot_be_rewritten_with_ordinary_means(table: str, sql: str) -> None:
    column = {"kernel_event": "name", "kernel_logleaf": "leaf_hash", "kernel_checkpoint": "note"}[table]
    with pytest.raises(DatabaseError, match="this table only grows"), transaction.atomic():
        run(sql.format(table, column))


@pytest.mark.django_db
def test_a_new_sealer_goes_on_where_the_last_one_stopped(sealer: Sealer, tmp_path: Path) -> None:
    happen(60)
    sealer.seal()
    happen(30, first=60)
    second = Sealer(tmp_path, every_events=50)
    assert second.seal() == 30
    happen(7, first=90)
    assert sealer.seal() == 7  # and the first finds that another one sealed in between
    assert second.seal_all() == 0
    assert sealer.seal_all() == 0  # or signed in between
    assert sealing.verify(tmp_path) == []
    leaves = [bytes(leaf) for leaf in LogLeaf.objects.order_by("index").values_list("leaf_hash", flat=True)]
    keys = verify_log.read_keys((tmp_path / "seal.pub").read_text())
    for note in Checkpoint.objects.values_list("note", flat=True):
        stated = verify_log.read_note(note, keys)
        assert stated is not None
        assert stated.root == merkle.root(leaves[: stated.size])
        proof = merkle.consistency_proof(leaves, stated.size)
        assert merkle.verify_consistency(stated.size, len(leaves), stated.root, merkle.root(leaves), proof)


@pytest.mark.django_db
def test_a_checkpoint_that_missed_the_witness_file_is_brought_after(sealer: Sealer, tmp_path: Path) -> None:
    happen(60)
    sealer.seal_all()
    witness = tmp_path / sealing.WITNESS
    whole = sealing.read_witness(tmp_path)
    witness.write_text(whole[0] + "\n" + whole[1][:40])  # the power went in the middle of a line
    happen(1, first=60)
    Sealer(tmp_path, every_events=50).seal_all()
    notes = sealing.read_witness(tmp_path)
    assert [n for n in notes if n in whole] == whole
    assert kinds(sealing.verify(tmp_path)) == {"forged witness"}  # the torn line stays visible


def test_the_key_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    key = sealing.open_key(tmp_path, "gridloop.test")
    assert (tmp_path / "seal.key").stat().st_mode & 0o777 == 0o600
    assert sealing.open_key(tmp_path, "another").signer == key.signer
    assert key.secret.private_bytes_raw().hex() not in (tmp_path / "seal.pub").read_text()
    (tmp_path / "seal.key").chmod(0o640)
    with pytest.raises(Refused, match="chmod 600"):
        sealing.open_key(tmp_path, "gridloop.test")


@pytest.mark.django_db
def test_what_a_replaced_key_signed_can_still_be_checked(sealer: Sealer, tmp_path: Path) -> None:
    happen(60)
    sealer.seal_all()
    (tmp_path / "seal.key").unlink()
    happen(10, first=60)
    Sealer(tmp_path, "gridloop.test").seal_all()
    assert len((tmp_path / "seal.pub").read_text().splitlines()) == 2
    assert sealing.verify(tmp_path) == []


@pytest.mark.django_db
def test_two_machines_with_two_keys_do_not_take_turns(sealer: Sealer, tmp_path: Path) -> None:
    happen(10)
    sealer.seal_all()
    happen(1, first=10)
    with pytest.raises(Refused, match=r"seal\.pub"):
        Sealer(tmp_path / "another", "gridloop.test").seal()
    assert sealer.seal_all() == 1


@pytest.mark.django_db
def test_a_witness_file_that_cannot_be_written_is_brought_after(sealer: Sealer, tmp_path: Path) -> None:
    sealer.seal()
    happen(60)
    (tmp_path / sealing.WITNESS).mkdir()  # as good as a full disk
    with pytest.raises(OSError, match="directory"):
        sealer.seal_all()
    (tmp_path / sealing.WITNESS).rmdir()
    assert sealer.seal_all() == 0
    assert len(sealing.read_witness(tmp_path)) == 2
    assert sealing.verify(tmp_path) == []


def test_a_signed_note_is_read_and_one_changed_letter_is_refused() -> None:
    """Ed25519 over all the lines: nothing in a note can be changed, the signature's own letters included."""
    key = sealing.Key("example.org/log", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    note = key.sign(
        f"example.org/log\n0\n{'47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='}\ntime {AT.isoformat()}\nwatermark 0\n"
    )
    keys = verify_log.read_keys(key.verifier)
    stated = verify_log.read_note(note, keys)
    assert stated == verify_log.Stated(0, merkle.EMPTY, AT, 0)
    for n, letter in enumerate(note):
        other = note[:n] + ("x" if letter != "x" else "y") + note[n + 1 :]
        assert verify_log.read_note(other, keys) is None, n


# --- commits out of order ---------------------------------------------------------------------------------------------


def parameters() -> str:
    known = connection.settings_dict
    return psycopg.conninfo.make_conninfo(
        dbname=known["NAME"], host=known["HOST"], user=known["USER"], password=known["PASSWORD"], port=known["PORT"]
    )


PUBLISH = (
    "INSERT INTO kernel_event (name, subject, actor, at, data) SELECT 'Late', 'case:1', 'system', now(), '{}' "
    "WHERE pg_current_xact_id() IS NOT NULL RETURNING id"
)


@pytest.mark.usefixtures("committed")
def test_an_event_that_commits_after_a_younger_one_is_sealed_too(tmp_path: Path) -> None:
    sealer = Sealer(tmp_path, every_events=50)
    with psycopg.connect(parameters()) as slow:
        [(late,)] = slow.execute(PUBLISH).fetchall()
        for _ in range(5):  # the watermark must not pass the one still open, however often we look
            with transaction.atomic():
                [young] = happen(1)
            assert young > late
            assert sealer.seal_all() == 1
            assert sealer._watermark < late
        slow.commit()
    assert sealer.seal_all() == 1
    assert LogLeaf.objects.get(event_id=late).index == 5
    assert sealing.verify(tmp_path) == []
    for _ in range(20):  # and once nothing is open, in any database of this server, it moves on
        if sealer._watermark >= young:
            return
        [(oldest,)] = run("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
        mark = sealer._mark
        sealer.seal()
        assert mark is None or oldest < mark[0] or sealer._watermark >= mark[1]
        time.sleep(0.05)


@pytest.mark.usefixtures("committed")
def test_a_late_event_of_a_transaction_with_a_larger_number_is_not_passed_by(tmp_path: Path) -> None:
    """The open transaction is younger than the one that drew the larger id: its number is above the snapshot's end."""
    sealer = Sealer(tmp_path)
    with psycopg.connect(parameters()) as old, psycopg.connect(parameters()) as young:
        old.execute("SELECT pg_current_xact_id()")
        [(late,)] = young.execute(PUBLISH).fetchall()
        [(early,)] = old.execute(PUBLISH).fetchall()
        assert early > late
        old.commit()
        assert sealer.seal_all() == 1
        assert sealer.seal_all() == 0
        with transaction.atomic():
            happen(1)
        assert sealer.seal_all() == 1
        young.commit()
    assert sealer.seal_all() == 1
    assert sealing.verify(tmp_path) == []


@pytest.mark.usefixtures("committed")
def test_under_concurrent_writers_and_two_sealers_nothing_is_missed(tmp_path: Path) -> None:
    sealing.open_key(tmp_path, "gridloop.test")
    stop = threading.Event()
    failed: list[BaseException] = []

    def write(seed: int) -> None:
        chance = random.Random(seed)
        with psycopg.connect(parameters()) as own:
            for _ in range(60):
                own.execute(PUBLISH)
                if chance.random() < 0.3:
                    own.execute("SELECT pg_sleep(0.003)")
                if chance.random() < 0.2:
                    own.rollback()
                elif chance.random() < 0.5:
                    own.commit()

    def follow() -> None:
        sealer = Sealer(tmp_path, every_events=20, every_seconds=0)
        try:
            while not stop.is_set():
                sealer.seal(limit=7)
        except BaseException as error:
            failed.append(error)
        finally:
            connection.close()

    writers = [threading.Thread(target=write, args=(n,)) for n in range(4)]
    sealers = [threading.Thread(target=follow) for _ in range(3)]
    for thread in writers + sealers:
        thread.start()
    for thread in writers:
        thread.join()
    stop.set()
    for thread in sealers:
        thread.join()
    assert not failed
    Sealer(tmp_path).seal_all()
    assert Event.objects.count() == LogLeaf.objects.count() > 50
    assert sealing.verify(tmp_path) == []
    assert Checkpoint.objects.count() == len(sealing.read_witness(tmp_path))


@pytest.mark.usefixtures("committed")
def test_sealing_inside_another_transaction_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="durable"), transaction.atomic():
        Sealer(tmp_path).seal()


# --- tampering --------------------------------------------------------------------------------------------------------


@pytest.fixture
def sealed(db: None, sealer: Sealer, tmp_path: Path) -> tuple[list[int], Path]:
    """Three hundred sealed events; inside, triggers are off, as for a superuser who means harm."""
    happened = happen(300)
    sealer.seal_all()
    run("SET LOCAL session_replication_role = replica")
    return happened, tmp_path


def reseal(event: int) -> None:
    """Give an event's leaf the hash that fits its present content."""
    run(
        f"UPDATE kernel_logleaf l SET leaf_hash = sha256('\\x00'::bytea || convert_to({verify_log.ENTRY}, 'UTF8')) "
        "FROM kernel_event e WHERE e.id = l.event_id AND e.id = %s",
        event,
    )


def forge_all(folder: Path, key: sealing.Key) -> None:
    """Rebuild every checkpoint over the present leaves, and sign with a key of one's own."""
    tree = merkle.Tree()
    for size, leaf in LogLeaf.objects.order_by("index").values_list("index", "leaf_hash"):
        tree.append(bytes(leaf))
        row = Checkpoint.objects.filter(size=size + 1).first()
        if row:
            lines = row.note.split("\n")
            lines[2] = base64.b64encode(tree.root()).decode()
            run(
                "UPDATE kernel_checkpoint SET note = %s, edge = %s WHERE size = %s",
                key.sign("\n".join(lines[:5]) + "\n"), b"".join(tree.edge), tree.size,
            )  # fmt: skip


COLUMNS = {
    "name": "'CaseClosed'",
    "subject": "subject || '9'",
    "actor": "'person:5'",
    "at": "at + interval '1 microsecond'",
    "recorded_at": "recorded_at - interval '1 day'",
    "data": """data || '{"x": 1}'""",
}

Harm = Callable[[random.Random, list[int], Path], tuple[str, set[int]]]
"""Does one kind of damage; returns which finding must name it, and which event ids exactly."""


def change(chance: random.Random, events: list[int], folder: Path) -> tuple[str, set[int]]:
    victim, column = chance.choice(events), chance.choice(list(COLUMNS))
    run(f"UPDATE kernel_event SET {column} = {COLUMNS[column]} WHERE id = %s", victim)
    return "changed", {victim}


def delete(chance: random.Random, events: list[int], folder: Path) -> tuple[str, set[int]]:
    victims = set(chance.sample(events, chance.randint(1, 5)))
    run("DELETE FROM kernel_event WHERE id = ANY(%s)", list(victims))
    return "deleted", victims


def insert(chance: random.Random, events: list[int], folder: Path) -> tuple[str, set[int]]:
    new = chance.choice([-3, 0, max(events) + chance.randint(1, 9)])
    run(
        "INSERT INTO kernel_event (id, name, subject, actor, at, recorded_at, data) VALUES "
        "(%s, 'CaseClosed', 'case:1', 'system', %s, %s, '{}')", new, AT, clock.now() - timedelta(hours=1),
    )  # fmt: skip
    return "inserted" if new <= 0 else "unsealed", {new}


def renumber(chance: random.Random, events: list[int], folder: Path) -> tuple[str, set[int]]:
    victim = chance.choice(events)
    run("UPDATE kernel_event SET id = %s WHERE id = %s", max(events) + 100, victim)
    return "deleted", {victim}


def swap_events(chance: random.Random, events: list[int], folder: Path) -> tuple[str, set[int]]:
    one, two = chance.sample(events, 2)
    run("UPDATE kernel_event SET id = CASE id WHEN %s THEN -1 ELSE -2 END WHERE id IN (%s, %s)", one, one, two)
    run("UPDATE kernel_event SET id = CASE id WHEN -1 THEN %s ELSE %s END WHERE id < 0", two, one)
    return "changed", {one, two}


def reorder(chance: random.Random, events: list[int], folder: Path) -> tuple[str, set[int]]:
    one, two = chance.sample(range(len(events)), 2)
    run(
        "UPDATE kernel_logleaf SET index = CASE index WHEN %s THEN -1 ELSE -2 END WHERE index IN (%s, %s)",
        one,
        one,
        two,
    )
    run("UPDATE kernel_logleaf SET index = CASE index WHEN -1 THEN %s ELSE %s END WHERE index < 0", two, one)
    return "rewritten", {events[one], events[two]}


def change_with_leaf(chance: random.Random, events: list[int], folder: Path) -> tuple[str, set[int]]:
    _, victims = change(chance, events, folder)
    reseal(*victims)
    return "rewritten", victims


def forge_leaf(chance: random.Random, events: list[int], folder: Path) -> tuple[str, set[int]]:
    victim = chance.choice(events)
    run("UPDATE kernel_logleaf SET leaf_hash = sha256(leaf_hash) WHERE event_id = %s", victim)
    return "changed", {victim}


def delete_leaf(chance: random.Random, events: list[int], folder: Path) -> tuple[str, set[int]]:
    victim = chance.choice(events)
    run("DELETE FROM kernel_logleaf WHERE event_id = %s", victim)
    return ("rolled back" if victim == events[-1] else "leaf missing"), set()


def delete_with_leaf_and_close_the_gap(chance: random.Random, events: list[int], folder: Path) -> tuple[str, set[int]]:
    at = chance.randrange(len(events))
    run("DELETE FROM kernel_event WHERE id = %s", events[at])
    run("DELETE FROM kernel_logleaf WHERE index = %s", at)
    run("UPDATE kernel_logleaf SET index = -index WHERE index > %s", at)
    run("UPDATE kernel_logleaf SET index = -index - 1 WHERE index < 0")
    return "rolled back", set()


def roll_back(chance: random.Random, events: list[int], folder: Path) -> tuple[str, set[int]]:
    size = chance.randrange(len(events))
    run("DELETE FROM kernel_event WHERE id > %s", events[size - 1] if size else 0)
    run("DELETE FROM kernel_logleaf WHERE index >= %s", size)
    run("DELETE FROM kernel_checkpoint WHERE size > %s", size)
    return "rolled back", set()


def roll_back_and_go_on(chance: random.Random, events: list[int], folder: Path) -> tuple[str, set[int]]:
    roll_back(chance, events, folder)
    happen(400)
    Sealer(folder, every_events=50).seal_all()  # the true sealer with the true key, deceived by an old dump
    return "forked", set()


def forge_checkpoint(chance: random.Random, events: list[int], folder: Path) -> tuple[str, set[int]]:
    change_with_leaf(chance, events, folder)
    other = sealing.Key("gridloop.test", Ed25519PrivateKey.generate())
    forge_all(folder, other)
    return "forged checkpoint", set()


def bend_checkpoint(chance: random.Random, events: list[int], folder: Path) -> tuple[str, set[int]]:
    bend = chance.choice(
        [
            "edge = sha256(edge)",
            "edge = decode(split_part(note, E'\\n', 3), 'base64')",  # the root itself, not the parts it is made of
            "note = replace(note, 'watermark ', 'watermark 9')",
            "note = ''",
            "size = size + 1",
        ]
    )
    run(f"UPDATE kernel_checkpoint SET {bend} WHERE size = %s", chance.choice([50, 100, 150, 200, 250]))
    return "forged checkpoint", set()


def delete_checkpoint(chance: random.Random, events: list[int], folder: Path) -> tuple[str, set[int]]:
    run("DELETE FROM kernel_checkpoint WHERE size = %s", chance.choice([50, 100, 150, 200, 250, 300]))
    return "deleted checkpoint", set()


def fork_with_the_true_key(chance: random.Random, events: list[int], folder: Path) -> tuple[str, set[int]]:
    """The one who also stole the key: only the witness file knows better."""
    change_with_leaf(chance, events, folder)
    forge_all(folder, sealing.open_key(folder, "gridloop.test"))
    return "forked", set()


HARMS: list[Harm] = [
    change, delete, insert, renumber, swap_events, reorder, change_with_leaf, forge_leaf, delete_leaf,
    delete_with_leaf_and_close_the_gap, roll_back, roll_back_and_go_on, forge_checkpoint, bend_checkpoint,
    delete_checkpoint, fork_with_the_true_key,
]  # fmt: skip


def test_two_hundred_changes_behind_our_back_are_all_found(sealed: tuple[list[int], Path]) -> None:
    events, folder = sealed
    assert sealing.verify(folder) == []
    witness = (folder / sealing.WITNESS).read_bytes()
    for seed in range(208):
        harm, chance = HARMS[seed % len(HARMS)], random.Random(seed)
        point = transaction.savepoint()
        kind, victims = harm(chance, events, folder)
        found = sealing.verify(folder)
        told = f"{harm.__name__} (seed {seed}): {[str(f) for f in found][:8]}"
        assert kind in kinds(found), told
        if kind == "rewritten":
            stretches = [f.events for f in found if f.kind == kind]
            assert all(any(low <= v <= high for low, high in stretches) for v in victims), told
        elif victims:
            assert ids(found, kind) == victims, told
        transaction.savepoint_rollback(point)
        (folder / sealing.WITNESS).write_bytes(witness)
    assert sealing.verify(folder) == []


def test_an_event_slipped_under_the_watermark_is_found_at_once(db: None, sealer: Sealer, tmp_path: Path) -> None:
    assert sealer.seal_all() == 0
    slipped = happen(3)
    sealer._watermark = slipped[-1]  # the sealer has seen that nothing up to here was still to come
    happen(1)
    assert sealer.seal_all() == 1
    assert ids(sealing.verify(tmp_path), "inserted") == set(slipped)


def test_a_shortened_witness_file_shows_once_its_checkpoints_are_old(sealed: tuple[list[int], Path]) -> None:
    _, folder = sealed
    notes = sealing.read_witness(folder)
    (folder / sealing.WITNESS).write_text("".join(f"{n}\n" for n in notes[:-2]))
    with clock.frozen(clock.now() + timedelta(minutes=15)):
        assert [str(f) for f in sealing.verify(folder)] == [
            f"规模 {size} 的检查点不在见证文件中" for size in (250, 300)
        ]


def test_the_tail_may_wait_a_moment_but_not_long(db: None, sealer: Sealer, tmp_path: Path) -> None:
    happen(10)
    sealer.seal_all()
    fresh = happen(2)
    assert sealing.verify(tmp_path) == []
    with clock.frozen(clock.now() + timedelta(minutes=15)):
        assert ids(sealing.verify(tmp_path), "unsealed") == set(fresh)
    assert sealing.waiting()[0] == 2


def test_without_the_public_key_nothing_is_called_sound(db: None, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"seal\.pub"):
        sealing.verify(tmp_path)


def test_a_stage_adds_its_own_check(sealed: tuple[list[int], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sealing, "_checks", [])
    wrong = Finding("case row", (7,), Sentence(zh="案件与事件不符", en="the case is not what its events say"))
    sealing.also_check(lambda: [wrong])
    assert sealing.verify(sealed[1]) == [wrong]


@pytest.mark.usefixtures("committed")
def test_the_script_for_outsiders_finds_the_same_in_a_database_and_in_an_export(tmp_path: Path) -> None:
    with transaction.atomic():
        events = happen(120)
    Sealer(tmp_path, "gridloop.test", every_events=50).seal_all()
    export = tmp_path / "entries.jsonl"
    with export.open("wb") as file:
        sealing.export(file)

    def outside(*source: str) -> subprocess.CompletedProcess[str]:
        keys = ["--key", str(tmp_path / "seal.pub"), "--witness", str(tmp_path / "checkpoints.log")]
        script = [sys.executable, "-I", verify_log.__file__, *keys, *source]
        return subprocess.run(script, capture_output=True, text=True, check=False, timeout=60)

    assert outside("--database", parameters()).returncode == outside("--export", str(export)).returncode == 0
    with transaction.atomic():
        run("SET LOCAL session_replication_role = replica")
        run("UPDATE kernel_event SET actor = 'person:5' WHERE id = %s", events[70])
    export.write_bytes(export.read_bytes().replace(b'"case:70"', b'"case:71"'))
    database, file_ = outside("--database", parameters()), outside("--export", str(export))
    assert database.returncode == file_.returncode == 1
    assert f"event {events[70]} and its leaf in the log do not agree" in database.stdout
    assert f"leaves of events {events[50]} to {events[99]}" in file_.stdout


def test_the_script_for_outsiders_can_be_read_in_an_hour_and_needs_nothing_of_ours() -> None:
    text = Path(verify_log.__file__).read_text(encoding="utf-8")
    tree = ast.parse(text)
    imports = {a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imports |= {str(n.module) for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imports} - set(sys.stdlib_module_names) == {"cryptography", "psycopg"}
    prose = [n for n in ast.walk(tree) if isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant)]
    told = {line for n in prose for line in range(n.lineno, (n.end_lineno or n.lineno) + 1)}
    code = [n for n, line in enumerate(text.splitlines(), 1) if line.strip() and n not in told]
    assert len(code) < 210


def test_the_models_of_the_record_have_no_way_to_change_but_to_grow() -> None:
    for model in (Event, LogLeaf, Checkpoint):
        assert not any(isinstance(f, models.ForeignKey) for f in model._meta.get_fields()), "a cascade would delete"
