"""Check Gridloop's sealed record from outside, with this file alone, `cryptography` and, for a database, `psycopg`.

    python verify_log.py --key seal.pub --witness checkpoints.log --database postgresql://...
    python verify_log.py --key seal.pub --witness checkpoints.log --export entries.jsonl

Every event is one entry: a line of JSON (`ENTRY`). The entries, in the order of the log, are the leaves of a Merkle
tree (RFC 6962, SHA-256). Checkpoints state its size and root in the signed-note form of C2SP tlog-checkpoint: origin,
size, root in base64, ``time``, ``watermark`` (no event with an id up to this one was still to come), a blank line,
and the Ed25519 signature of the lines above. The same notes lie in the database and, out of its reach, in the witness
file. Get the key and a copy of the witness file from somebody who does not run the database. What this cannot show
is said in docs/explanation/tamper-evidence.md.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import heapq
import re
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

ENTRY = (
    "json_build_array(e.id, e.name, e.subject, e.actor, e.at AT TIME ZONE 'UTC', e.recorded_at AT TIME ZONE 'UTC', "
    "e.data)::text"
)
"""All columns of an event as PostgreSQL writes JSON: independent of time zone, date style and order of keys."""
NOTE = re.compile(r"(.+)\n(\d+)\n(\S+)\ntime (\S+)\nwatermark (\d+)\n\n— (\S+) (\S+)\n")
TAIL = timedelta(minutes=10)
"""How long an event may wait for its seal (a large import needs a minute), a checkpoint for the witness file."""
SAYS = {
    "changed": ("event {} and its leaf in the log do not agree", "事件 {} 与其日志叶子不符"),
    "deleted": ("event {} was sealed and is gone", "事件 {} 已封存，现已不在"),
    "inserted": ("event {} was put in behind the seal", "事件 {} 是绕过封存插入的"),
    "unsealed": ("event {} has waited too long for its seal", "事件 {} 迟迟未封存"),
    "rewritten": ("leaves of events {} to {} were rewritten or reordered", "编号 {} 至 {} 之间的叶子被改写或换序"),
    "leaf missing": ("the log has no leaves {} to {}", "日志缺少第 {} 至 {} 号叶子"),
    "forged checkpoint": ("the stored checkpoint of size {} is not as it was signed", "所存规模 {} 的检查点与签名不符"),
    "deleted checkpoint": ("the stored checkpoint of size {} is gone", "所存规模 {} 的检查点已不在"),
    "unwitnessed": ("the checkpoint of size {} is not in the witness file", "规模 {} 的检查点不在见证文件中"),
    "forged witness": ("note {} of the witness file is not signed by a trusted key", "见证文件第 {} 条没有可信签名"),
    "forked": ("two logs were signed at size {}: rolled back and rewritten", "规模 {} 处有两份签名：曾被回退重写"),
    "rolled back": ("a log of {} leaves was signed, here are only {}", "曾签名 {} 片叶子的日志，此处只有 {} 片"),
}  # fmt: skip
"""Every kind of finding in words (English, Chinese); the blanks are the event ids, then the other numbers."""
Keys = dict[bytes, Ed25519PublicKey]


@dataclass(frozen=True)
class Found:
    """One thing that is wrong. `events`: the ids concerned; of a rewritten stretch the lowest and the highest."""

    kind: str
    events: tuple[int, ...] = ()
    numbers: tuple[int, ...] = ()

    def says(self) -> tuple[str, str]:
        en, zh = SAYS[self.kind]
        return en.format(*self.events, *self.numbers), zh.format(*self.events, *self.numbers)


@dataclass(frozen=True)
class Stated:
    """What a checkpoint says, signed by a trusted key."""

    size: int
    root: bytes
    time: datetime
    watermark: int


class Tree:
    """Size and right edge of a growing RFC 6962 tree. Written again here, so that the sealer does not check itself."""

    def __init__(self, size: int = 0, edge: bytes = b"") -> None:
        self.size, self.edge = size, [edge[n : n + 32] for n in range(0, len(edge), 32)]

    def append(self, leaf: bytes) -> None:
        n = self.size = self.size + 1
        while n & 1 == 0:
            leaf, n = hashlib.sha256(b"\x01" + self.edge.pop() + leaf).digest(), n >> 1
        self.edge.append(leaf)

    def root(self) -> bytes:
        hash_ = self.edge[-1] if self.edge else hashlib.sha256(b"").digest()
        for left in self.edge[-2::-1]:
            hash_ = hashlib.sha256(b"\x01" + left + hash_).digest()
        return hash_


def read_keys(text: str) -> Keys:
    """Trusted keys by their id, from lines ``name+id+base64`` (the verifier keys of C2SP signed-note)."""
    keys = {}
    for name, _, encoded in (line.split("+", 2) for line in text.split()):
        raw = base64.b64decode(encoded)
        key_id = hashlib.sha256(name.encode() + b"\n" + raw).digest()[:4]
        keys[name.encode() + key_id] = Ed25519PublicKey.from_public_bytes(raw[1:])
    return keys


def read_note(note: str, keys: Keys) -> Stated | None:
    """What a signed note says; None if no trusted key signed it."""
    said = NOTE.fullmatch(note)
    if not said or said[1] != said[6]:
        return None
    try:
        seal = base64.b64decode(said[7], validate=True)
        keys[said[1].encode() + seal[:4]].verify(seal[4:], note[: note.index("\n\n") + 1].encode())
        return Stated(int(said[2]), base64.b64decode(said[3]), datetime.fromisoformat(said[4]), int(said[5]))
    except (KeyError, ValueError, InvalidSignature):
        return None


def read_witness(path: Path) -> list[str]:
    """The notes of a witness file, and between them whatever is none. Read it before you look at the database."""
    text = path.read_text(encoding="utf-8", errors="replace")
    return [part for part in re.split(r"(?m)^((?:.+\n){5}\n— .*\n)", text) if part.strip()]


class Audit:
    """One walk along the log. It remembers the tree's edge and the stretch since the last checkpoint, no more."""

    def __init__(self, keys: Keys, now: datetime) -> None:
        self.keys, self.now = keys, now
        self.size = self.watermark = 0
        self.aside: list[Found] = []  # about checkpoints alone
        self._go_on(Tree())

    def _go_on(self, tree: Tree | None) -> None:
        self.tree, self.ids, self.differing = tree, list[int](), list[int]()

    def walk(self, leaves: Iterable[Any], checkpoints: Iterable[Any] | None, witness: Iterable[str]) -> Iterator[Found]:
        """All that is wrong with the log.

        `leaves`: (index, event id, leaf hash, entry) in order; the entry is None where there is no such event.
        `checkpoints`: (size, note, edge) of the database in order; None for an export, judged by the witness alone.
        """
        self.live = checkpoints is not None
        signed = heapq.merge(self._rows(checkpoints or ()), self._notes(witness), key=lambda stop: stop[0])
        stops = ((size, [what for _, *what in group]) for size, group in groupby(signed, key=lambda stop: stop[0]))
        stop = next(stops, None)
        for index, event, leaf, entry in leaves:
            if index != self.size:
                yield Found("leaf missing", (), (self.size, index - 1))
                self.tree = None
            while stop and stop[0] <= index:
                yield from self._compare(*stop, here=stop[0] == index)
                stop = next(stops, None)
            self.size = index + 1
            self.ids = [min([event, *self.ids]), max([event, *self.ids])]
            if entry is None:
                yield Found("deleted", (event,))
            elif hashlib.sha256(b"\x00" + entry).digest() != leaf:
                self.differing.append(event)
            if self.tree:
                self.tree.append(leaf)
        while stop and stop[0] <= self.size:
            yield from self._compare(*stop, here=stop[0] == self.size)
            stop = next(stops, None)
        yield from (Found("changed", (event,)) for event in self.differing)
        if stop:
            yield Found("rolled back", (), (max([stop[0], *(size for size, _ in stops)]), self.size))
        yield from self.aside

    def _compare(self, size: int, signed: list[Any], *, here: bool) -> Iterator[Found]:
        """Hold the tree against what was signed for this size: by the witness file, or else by the database."""
        edges = {stated.root: edge for stated, edge in signed if stated and edge is not None}
        roots = {stated.root for stated, edge in signed if edge is None} or set(edges)
        if self.live and all(edge is None for _, edge in signed):
            yield Found("deleted checkpoint", (), (size,))
        if edges and all(edge is not None and stated and self.now - stated.time > TAIL for stated, edge in signed):
            yield Found("unwitnessed", (), (size,))
        if len({*roots, *edges}) > 1:
            yield Found("forked", (), (size,))
        if not roots:
            return
        right = self.tree if self.tree and here and self.tree.root() in roots else None
        yield from (Found("changed", (event,)) for event in self.differing)
        if self.tree and not right:
            yield Found("rewritten", tuple(self.ids))
        edge = next((edge for root, edge in edges.items() if root in roots and here), None)
        self._go_on(right or (Tree(size, edge) if edge is not None else None))

    def _rows(self, checkpoints: Iterable[Any]) -> Iterator[Any]:
        for size, note, edge in checkpoints:
            stated = read_note(note, self.keys)
            whole = stated and len(edge) == 32 * size.bit_count() and Tree(size, edge).root() == stated.root
            if not stated or stated.size != size or not whole:
                self.aside.append(Found("forged checkpoint", (), (size,)))
                stated = None
            self.watermark = max(self.watermark, stated.watermark if stated else 0)
            yield size, stated, edge

    def _notes(self, witness: Iterable[str]) -> Iterator[Any]:
        last = 0
        for n, note in enumerate(witness, 1):
            stated = read_note(note, self.keys)
            if not stated:
                self.aside.append(Found("forged witness", (), (n,)))
            elif stated.size < last:
                self.aside.append(Found("forked", (), (stated.size,)))
            else:
                last = stated.size
                yield stated.size, stated, None


def of_database(connection: Any, keys: Keys, witness: Iterable[str], now: datetime) -> Iterator[Found]:
    """All that is wrong in a live database, seen in one snapshot: the caller's transaction is repeatable read."""
    queries = {
        "leaves": f"""SELECT l.index, coalesce(l.event_id, 0), coalesce(l.leaf_hash, ''),
                CASE WHEN e.id IS NOT NULL THEN convert_to({ENTRY}, 'UTF8') END
            FROM kernel_logleaf l LEFT JOIN kernel_event e ON e.id = l.event_id ORDER BY l.index""",  # noqa: S608
        "checkpoints": "SELECT size, coalesce(note, ''), coalesce(edge, '') FROM kernel_checkpoint ORDER BY size",
        "unsealed": """SELECT e.id, coalesce(extract(epoch FROM e.recorded_at), 0)::text FROM kernel_event e
            WHERE NOT EXISTS (SELECT FROM kernel_logleaf l WHERE l.event_id = e.id) ORDER BY e.id""",
    }
    with ExitStack() as stack:
        rows = {name: stack.enter_context(connection.cursor(f"audit_{name}")) for name in queries}
        for name, query in queries.items():
            rows[name].itersize = 5_000
            rows[name].execute(query)
        audit = Audit(keys, now)
        yield from audit.walk(rows["leaves"], rows["checkpoints"], witness)
        for event, recorded in rows["unsealed"]:
            if event <= audit.watermark:
                yield Found("inserted", (event,))
            elif float(recorded) < (now - TAIL).timestamp():
                yield Found("unsealed", (event,))


def of_export(lines: Iterable[bytes], keys: Keys, witness: Iterable[str], now: datetime) -> Iterator[Found]:
    """All that is wrong with exported entries, one a line, in the order of the log."""
    entries = ((n, line.rstrip(b"\n")) for n, line in enumerate(lines))
    leaves = ((n, int(re.split(rb"\D+", e, maxsplit=2)[1]), hashlib.sha256(b"\0" + e).digest(), e) for n, e in entries)
    return Audit(keys, now).walk(leaves, None, witness)


def main() -> None:
    parser = argparse.ArgumentParser(description="Check a sealed record. 核验封存记录。")
    parser.add_argument("--key", type=Path, required=True, help="seal.pub, from somebody you trust")
    parser.add_argument("--witness", type=Path, required=True, help="checkpoints.log")
    parser.add_argument("--database", help="postgresql://... of a live database")
    parser.add_argument("--export", type=Path, help="or a file of exported entries")
    options = parser.parse_args()
    keys, now = read_keys(options.key.read_text()), datetime.now(UTC)
    witness = read_witness(options.witness)  # before the snapshot: what is in here by then is committed
    if options.export:
        with options.export.open("rb") as lines:
            found = list(of_export(lines, keys, witness, now))
    else:
        import psycopg

        with psycopg.connect(options.database) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            found = list(of_database(connection, keys, witness, now))
    for one in found:
        print(*one.says(), sep=" · ")
    raise SystemExit(f"{len(found)} findings / 处问题" if found else 0)


if __name__ == "__main__":
    main()
