"""The seal over the record: committed events become leaves of a Merkle log whose checkpoints are signed.

Nobody who writes an event waits for the seal. A sealer follows the commits, one at a time over all processes, at most
a second behind when it is asked every second. What it promises and what it cannot is in
docs/explanation/tamper-evidence.md; the form of entries and checkpoints, and the checking, in `verify_log`, which
outsiders can run without us.

In the data folder lie ``seal.key`` (secret, readable by its owner alone), ``seal.pub`` (hand it to the auditor) and
``checkpoints.log``, the witness file (copy it to where the database's administrator cannot write).
"""

from __future__ import annotations

import base64
import logging
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import Error, connection, transaction
from django.db.models import Max

from gridloop.kernel import clock, verify_log
from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence
from gridloop.kernel.merkle import Tree
from gridloop.kernel.models import Checkpoint, LogLeaf

log = logging.getLogger(__name__)

KEY, PUBLIC, WITNESS = "seal.key", "seal.pub", "checkpoints.log"
BATCH = 10_000
EVERY_EVENTS = 1_000
"""Leaves between two checkpoints at most: a rewritten log is found out to so many events exactly."""
EVERY_SECONDS = 60.0
_LOCK = 0x5EA1
_ED25519 = b"\x01"


# --- the key ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Key:
    """A signing key with the name of its log (the origin), in the form of C2SP signed-note."""

    origin: str
    secret: Ed25519PrivateKey

    @property
    def _public(self) -> bytes:
        return _ED25519 + self.secret.public_key().public_bytes_raw()

    @property
    def _id(self) -> bytes:
        return sha256(self.origin.encode() + b"\n" + self._public).digest()[:4]

    @property
    def verifier(self) -> str:
        """The line that lets others check our signatures."""
        return f"{self.origin}+{self._id.hex()}+{base64.b64encode(self._public).decode()}"

    @property
    def signer(self) -> str:
        """The secret as one line."""
        seed = base64.b64encode(_ED25519 + self.secret.private_bytes_raw()).decode()
        return f"PRIVATE+KEY+{self.origin}+{self._id.hex()}+{seed}"

    def sign(self, text: str) -> str:
        """The signed note over `text`, which ends with a line break."""
        seal = base64.b64encode(self._id + self.secret.sign(text.encode())).decode()
        return f"{text}\n— {self.origin} {seal}\n"


def open_key(folder: Path, origin: str) -> Key:
    """The key in this folder; made at the first call, under the name `origin` (no blanks and no plus sign).

    Refused if others may read the file. A key that is replaced leaves its public line in ``seal.pub``, so that what it
    signed can still be checked.
    """
    path = folder / KEY
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        key = Key(origin, Ed25519PrivateKey.generate())
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(key.signer + "\n")
        _append(folder / PUBLIC, key.verifier + "\n")
    if path.stat().st_mode & 0o077:
        raise Refused(
            Sentence(
                zh=f"封存密钥 {path} 可被他人读取。请执行 chmod 600 {path}。",
                en=f"Others may read the sealing key {path}. Run chmod 600 {path}.",
            ),
            code="key_exposed",
        )
    _, _, name, _, encoded = path.read_text().strip().split("+", 4)
    return Key(name, Ed25519PrivateKey.from_private_bytes(base64.b64decode(encoded)[1:]))


def _append(path: Path, text: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


# --- sealing ----------------------------------------------------------------------------------------------------------

_UNSEALED = """FROM kernel_event e WHERE e.id > %(watermark)s AND NOT EXISTS (
    SELECT FROM kernel_logleaf l WHERE l.event_id = e.id AND l.event_id > %(watermark)s
)"""  # the second bound keeps the planner from reading the whole log, whatever its statistics say
_SEAL = f"""
INSERT INTO kernel_logleaf (index, event_id, leaf_hash)
SELECT %(size)s + row_number() OVER (ORDER BY e.id) - 1, e.id,
       sha256('\\x00'::bytea || convert_to({verify_log.ENTRY}, 'UTF8'))
FROM (SELECT e.* {_UNSEALED} ORDER BY e.id LIMIT %(limit)s) e
RETURNING index, event_id, leaf_hash
"""  # noqa: S608 - ENTRY is our own constant


@contextmanager
def _alone() -> Iterator[bool]:
    """Whether we are the one who seals. Held over the commit, until the witness file has its notes in order too."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])
        [alone] = cursor.fetchone()
    try:
        yield alone
    finally:
        if alone:
            with suppress(Error), connection.cursor() as cursor:  # a broken connection has let go by itself
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


class Sealer:
    """Follows the commits. Keep one in each worker and call `seal` every second: only one of them works at a time.

    **Events that come late.** Ids are drawn before their transactions commit, so a smaller id may appear after a larger
    one. The sealer therefore looks at all events above a *watermark*. It remembers the largest id it has sealed, and
    its own transaction number, which is larger than that of every transaction that can have drawn an id up to there
    (`publish` takes its number before it draws). When a later look finds every transaction up to that number ended,
    and has sealed what they left, nothing at or below that id can still come: it is the new watermark. While a backlog
    fills whole batches, only the batch after the last one is read, and the late ones are looked for at its end.
    """

    def __init__(
        self,
        folder: Path,
        origin: str = "gridloop",
        *,
        every_events: int = EVERY_EVENTS,
        every_seconds: float = EVERY_SECONDS,
    ) -> None:
        self.folder = folder
        self.key = open_key(folder, origin)
        self.every_events = every_events
        self.every_seconds = every_seconds
        self._tree: Tree | None = None
        self._signed_size = 0
        self._signed_at = -every_seconds  # on the monotonic clock
        self._watermark = 0
        self._highest = 0  # the largest id sealed
        self._mark: tuple[int, int] | None = None  # (our transaction number, largest id sealed before we took it)
        self._backlog: int | None = None  # where the last batch ended, if it was full

    def seal_all(self) -> int:
        """Seal everything that is committed, and sign; returns the number of events."""
        done, complete = 0, False
        while not complete:
            looks_back = self._backlog is None
            sealed = self.seal()
            done += sealed
            complete = looks_back and not sealed
        return done + self.seal(sign=True)

    def seal(self, *, limit: int = BATCH, sign: bool = False) -> int:
        """Seal up to `limit` committed events; returns how many. `sign` asks for a checkpoint in any case.

        Zero also means that another process is sealing now.
        """
        with _alone() as alone:
            if not alone:
                return 0
            try:
                with transaction.atomic(durable=True):  # its number must be younger than what it sees: see the class
                    sealed, signed = self._seal(limit, sign)
                if signed:
                    _append(self.folder / WITNESS, "".join(f"{checkpoint.note}\n" for checkpoint in signed))
            except BaseException:
                self._tree = None  # who knows what was kept: look again next time
                raise
            return sealed

    def _seal(self, limit: int, sign: bool) -> tuple[int, list[Checkpoint]]:
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, "
                "coalesce((SELECT max(index) + 1 FROM kernel_logleaf), 0), "
                "coalesce((SELECT max(size) FROM kernel_checkpoint), 0)"
            )
            oldest, size, signed_size = cursor.fetchone()
            if self._tree is None or (self._tree.size, self._signed_size) != (size, signed_size):
                self._recall()
            tree = self._tree
            assert tree is not None
            above = self._watermark if self._backlog is None else self._backlog
            cursor.execute(_SEAL, {"size": tree.size, "watermark": above, "limit": limit})
            leaves = sorted(cursor.fetchall())
            reached = leaves[-1][1] if len(leaves) == limit else None
            looked_back = self._backlog is None
            if looked_back and self._mark and oldest >= self._mark[0] and (reached or self._mark[1]) >= self._mark[1]:
                self._watermark, self._mark = self._mark[1], None
            self._backlog = reached
            self._highest = max([self._highest, *(event for _, event, _ in leaves[-1:])])
            if self._mark is None and self._highest > self._watermark:
                cursor.execute("SELECT pg_current_xact_id()::text::bigint")
                self._mark = (cursor.fetchone()[0], self._highest)
            signed = []
            for _, _, leaf in leaves:
                tree.append(bytes(leaf))
                if tree.size - self._signed_size >= self.every_events:
                    signed.append(self._sign(tree))
            if tree.size > self._signed_size and (sign or time.monotonic() - self._signed_at >= self.every_seconds):
                signed.append(self._sign(tree))
            Checkpoint.objects.bulk_create(signed)
        return len(leaves), signed

    def _sign(self, tree: Tree) -> Checkpoint:
        root = base64.b64encode(tree.root()).decode()
        at = clock.now().isoformat(timespec="microseconds")
        text = f"{self.key.origin}\n{tree.size}\n{root}\ntime {at}\nwatermark {self._watermark}\n"
        self._signed_size, self._signed_at = tree.size, time.monotonic()
        return Checkpoint(size=tree.size, note=self.key.sign(text), edge=b"".join(tree.edge))

    def _recall(self) -> None:
        """Go on from the last checkpoint and the leaves after it; give the witness file what it did not get.

        Refused if a key that we do not know signed it: two machines with two keys must not take turns.
        """
        last = Checkpoint.objects.order_by("size").last()
        keys = verify_log.read_keys((self.folder / PUBLIC).read_text())
        stated = verify_log.read_note(last.note, keys) if last else None
        if last and not stated:
            raise Refused(_foreign(self.folder), code="foreign_seal")
        size, edge = (last.size, bytes(last.edge)) if last else (0, b"")
        tree = Tree(size, [edge[n : n + 32] for n in range(0, len(edge), 32)])
        after = LogLeaf.objects.filter(index__gte=size).order_by("index").values_list("leaf_hash", flat=True)
        tree.extend(bytes(leaf) for leaf in after.iterator())
        self._tree, self._signed_size, self._mark, self._backlog = tree, size, None, None
        self._watermark = stated.watermark if stated else 0
        self._highest = LogLeaf.objects.aggregate(highest=Max("event_id"))["highest"] or 0
        witnessed = max((s.size for n in read_witness(self.folder) if (s := verify_log.read_note(n, keys))), default=0)
        if witnessed > size:
            log.error("the witness file knows a larger log: was an old backup restored?", extra={"size": size})
        elif witnessed < size:
            late = Checkpoint.objects.filter(size__gt=witnessed).order_by("size").values_list("note", flat=True)
            _append(self.folder / WITNESS, "".join(f"\n{n}" for n in late if verify_log.read_note(n, keys)) + "\n")


def _foreign(folder: Path) -> Sentence:
    return Sentence(
        zh=f"最近的检查点不是由 {folder} 中的密钥签名的：或在另一台机器上封存过，或被伪造。"
        "请放入原来的 seal.key 和 seal.pub，并运行 gridloop audit verify。",
        en=f"No key in {folder} signed the last checkpoint: another machine sealed before, or it is forged. "
        "Put the seal.key and seal.pub used so far there, and run gridloop audit verify.",
    )


def read_witness(folder: Path) -> list[str]:
    """The notes in this folder's witness file; none if there is no file yet."""
    path = folder / WITNESS
    return verify_log.read_witness(path) if path.exists() else []


# --- checking ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with the record: a stable word, the event ids concerned, and the sentence."""

    kind: str
    events: tuple[int, ...]
    sentence: Sentence

    def __str__(self) -> str:
        return str(self.sentence)


Check = Callable[[], Iterable[Finding]]
_checks: list[Check] = []


def also_check(check: Check) -> Check:
    """Add a stage's own check of the record to `verify`: that its rows say what its events say. A decorator."""
    if check not in _checks:
        _checks.append(check)
    return check


def verify(folder: Path, *, at_most: int = 10_000) -> list[Finding]:
    """Everything that is wrong with the record, as far as it can show; an empty list if nothing is.

    Reads in one snapshot and never the whole log at once. After `at_most` findings it stops: then the log is not
    damaged but replaced.
    """
    public = folder / PUBLIC
    if not public.exists():
        raise Refused(
            Sentence(
                zh=f"没有 {public}：无法核验签名。请放入审计方保存的 seal.pub。",
                en=f"There is no {public}, so no signature can be checked. Put the auditor's copy of seal.pub there.",
            ),
            code="no_seal_key",
        )
    keys = verify_log.read_keys(public.read_text())
    witness = read_witness(folder)  # before the snapshot: what is in here is committed
    nested = connection.in_atomic_block
    with transaction.atomic(), connection.cursor() as cursor:
        if not nested:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        with closing(_all(keys, witness)) as findings:
            return list(islice(findings, at_most))


def export(file: BinaryIO) -> int:
    """Write every sealed event as its entry, one a line, in the order of the log; `verify_log` checks such a file.

    Returns the number of lines.
    """
    lines = 0
    with transaction.atomic(), connection.connection.cursor("sealed_entries") as entries:
        entries.itersize = 5_000
        entries.execute(
            f"SELECT {verify_log.ENTRY} FROM kernel_logleaf l "  # noqa: S608 - ENTRY is our own constant
            "JOIN kernel_event e ON e.id = l.event_id ORDER BY l.index"
        )
        for lines, (entry,) in enumerate(entries, 1):  # noqa: B007 - counted for the caller
            file.write(entry.encode() + b"\n")
    return lines


def waiting() -> tuple[int, datetime | None]:
    """How many committed events have no seal yet, and since when the oldest of them waits: for the health page."""
    last = Checkpoint.objects.order_by("size").values_list("note", flat=True).last()
    said = verify_log.NOTE.fullmatch(last) if last else None
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*), min(recorded_at) {_UNSEALED}", {"watermark": int(said[5]) if said else 0})
        count, oldest = cursor.fetchone()
    return count, oldest


def _all(keys: verify_log.Keys, witness: list[str]) -> Generator[Finding]:
    for found in verify_log.of_database(connection.connection, keys, witness, clock.now()):
        en, zh = found.says()
        yield Finding(found.kind, found.events, Sentence(zh=zh, en=en))
    for check in _checks:
        yield from check()
