"""Reports out of a table: read as a stream, mapped, received in batches, the refused ones kept whole.

The import is idempotent: it goes through `receive_reports`, so a row that was taken before is answered as before.
"""

from __future__ import annotations

import hashlib
import os
import time
from array import array
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from gridloop.discover.actions import FUTURE, NewReport, Outcome, receive_reports
from gridloop.discover.models import Report
from gridloop.discover.rules.mapping import (
    Alias,
    Mapped,
    Suggestion,
    TableMapping,
    apply,
    read_mapping,
    suggest_mapping,
    wanted,
)
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistake, Mistakes
from gridloop.kernel.language import Sentence
from gridloop.kernel.tables import Rejects, Row, Table, open_table, value_class
from gridloop.people.viewer import Viewer
from gridloop.registry.actions import NewContact
from gridloop.standard import queries as standard

BATCH = 1_000
EXAMPLES = 5
"""Rows named per kind of mistake in a summary; the rejects file names all."""

Progress = Callable[[int], None]
"""Called with the number of rows read so far."""

_CONFLICT = (
    Sentence(zh="这个编号已用于另一内容", en="this key was used for another content"),
    Sentence(zh="换一个编号，或不再导入这一行", en="give it another key, or leave the row out"),
)


@dataclass(slots=True)
class Finding:
    """One kind of mistake in one column, how often it occurred, in which rows first, and with what kind of value."""

    column: str
    wrong: Sentence
    instead: Sentence
    count: int = 0
    rows: list[int] = field(default_factory=list)
    values: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class ImportSummary:
    """What became of a table's rows. The rows read are those skipped, accepted, already there and rejected."""

    path: Path
    form: str
    dry_run: bool
    read: int = 0
    skipped: int = 0
    """Left out by the mapping's `where`."""
    accepted: int = 0
    """Stored now; in a dry run: that would be."""
    known: int = 0
    """Here before, with the same content."""
    rejected: int = 0
    unknown_types: Counter[str] = field(default_factory=Counter)
    """Names of types that no alias table knows: their reports are classified from their words."""
    findings: list[Finding] = field(default_factory=list)
    rejects: Path | None = None
    seconds: float = 0.0

    def sentence(self) -> Sentence:
        """The summary in one sentence."""
        zh = f"读取 {self.read} 行：{'可接收' if self.dry_run else '接收'} {self.accepted}，已有 {self.known}，"
        en = f"{self.read} rows: {self.accepted} {'to be accepted' if self.dry_run else 'accepted'}, {self.known} here "
        zh += f"未选 {self.skipped}，拒绝 {self.rejected}（{self.seconds:.1f} 秒）。"
        en += f"before, {self.skipped} not asked for, {self.rejected} rejected ({self.seconds:.1f} s)."
        if self.rejects:
            zh += f"被拒绝的行在 {self.rejects}，更正后可直接再次导入。"
            en += f" The rejected rows are in {self.rejects}: correct them and import that file."
        return Sentence(zh=zh, en=en)


def load_mapping(path: Path | str, *, columns: Sequence[str] | None = None) -> TableMapping:
    """The mapping in a YAML file. Raises `Mistakes`, each with its place."""
    path = Path(path)
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        place = path.name if line is None else f"{path.name}:{line + 1}"
        raise Mistakes(
            [
                Mistake(
                    place,
                    Sentence(zh="无法读取映射文件", en="the mapping file cannot be read"),
                    Sentence(zh="写一个 UTF-8 的 YAML 文件", en="write a YAML file in UTF-8"),
                )
            ]
        ) from error
    return read_mapping(document, columns=columns)


def propose_mapping(path: Path | str, *, client: str, sheet: str = "") -> Suggestion:
    """A mapping for the table as far as it tells, with the questions that a person has to answer."""
    with open_table(path, sheet=sheet) as table:
        sample = [row.cells for row in islice(table.rows, 200) if row.broken is None]
        return suggest_mapping(table.columns, sample, client=client)


def import_reports(
    path: Path | str,
    mapping: TableMapping | Mapping[str, Any] | Path | str,
    *,
    viewer: Viewer,
    dry_run: bool = False,
    sheet: str = "",
    rejects: Path | str | None = None,
    progress: Progress | None = None,
    batch: int = BATCH,
) -> ImportSummary:
    """Take the rows of a CSV or XLSX file as reports, in batches that are each stored whole or not at all.

    `mapping` is checked, a parsed document, or the path of a YAML file. In a `dry_run` nothing is stored, and the
    rejects file is written all the same, so that the mistakes can be put right beforehand. `rejects` names that file;
    otherwise it is ``NAME.rejects.csv`` beside the table, or here where one cannot write there. Raises `Mistakes` if
    table or mapping cannot be used.
    """
    viewer.need("import")
    started = time.monotonic()
    path = Path(path)
    with open_table(path, sheet=sheet) as table:
        checked = _checked(mapping, table)
        folder = path.parent if os.access(path.parent, os.W_OK) else Path()  # a table may lie where nobody can write
        target = Path(rejects) if rejects else folder / f"{path.name.split('.')[0]}.rejects.csv"
        summary = ImportSummary(path, table.form, dry_run)
        with Rejects(target, table.columns) as refused:
            intake = _Intake(checked, viewer, summary, refused)
            rows = iter(table.rows)
            while taken := list(islice(rows, batch)):
                intake.take(taken)
                if progress:
                    progress(summary.read)
            intake.finish()
        summary.rejects = target if refused.count else None
    summary.findings.sort(key=lambda f: -f.count)
    summary.seconds = time.monotonic() - started
    return summary


def _checked(mapping: TableMapping | Mapping[str, Any] | Path | str, table: Table) -> TableMapping:
    if isinstance(mapping, Path | str):
        return load_mapping(mapping, columns=table.columns)
    if not isinstance(mapping, TableMapping):
        return read_mapping(mapping, columns=table.columns)
    missing = mapping.columns() - set(table.columns)
    if missing:
        raise Mistakes(
            [
                Mistake(
                    column,
                    Sentence(zh="表中没有这一列", en="the table has no such column"),
                    Sentence(zh=f"可选：{'、'.join(table.columns)}", en=f"it has: {', '.join(table.columns)}"),
                )
                for column in sorted(missing)
            ]
        )
    return mapping


def type_alias() -> Alias:
    """How the names of types in tables become ours: our keys themselves, our names, then the packs' alias tables."""
    current = standard.current()
    by_name = {name: t.key for t in current.case_types.values() for name in (t.name.zh, t.name.en.casefold())}
    remembered: dict[tuple[str, str], str | None] = {}

    def alias(source: str, name: str) -> str | None:
        asked = (source, name)
        if asked not in remembered:
            own = name if name in current.case_types else by_name.get(name) or by_name.get(name.casefold())
            remembered[asked] = (current.alias(source, name) if source else None) or own
        return remembered[asked]

    return alias


class _Intake:
    """One import under way."""

    def __init__(self, mapping: TableMapping, viewer: Viewer, summary: ImportSummary, rejects: Rejects) -> None:
        self.mapping, self.viewer, self.summary, self.rejects = mapping, viewer, summary, rejects
        self.alias = type_alias()
        self.findings: dict[tuple[str, str], Finding] = {}
        self.seen = _Seen()

    def take(self, rows: Sequence[Row]) -> None:
        """One batch: what is wrong goes to the rejects, the rest is received."""
        latest = clock.now() + FUTURE
        good: list[tuple[Row, NewReport]] = []
        for row in rows:
            self.summary.read += 1
            if row.broken:
                self._reject(row, [("", row.broken)])
            elif not wanted(self.mapping, row.cells):
                self.summary.skipped += 1
            else:
                mapped = apply(self.mapping, row.number, row.cells, alias=self.alias, now=latest)
                if mapped.unknown_type and len(self.summary.unknown_types) < 1_000:
                    self.summary.unknown_types[mapped.unknown_type] += 1
                if mapped.mistakes:
                    self._reject(row, mapped.mistakes)
                else:
                    good.append((row, _report(mapped)))
        if good:
            self._foresee(good) if self.summary.dry_run else self._receive(good)

    def _receive(self, good: Sequence[tuple[Row, NewReport]]) -> None:
        try:
            receipts = receive_reports([r for _, r in good], client=self.mapping.client, viewer=self.viewer)
        except Mistakes as refused:
            good = self._without(good, refused)
            receipts = receive_reports([r for _, r in good], client=self.mapping.client, viewer=self.viewer)
        for (row, _), receipt in zip(good, receipts, strict=True):
            if receipt.outcome is Outcome.CONFLICT:
                self._reject(row, [self._conflict(row.number)])
            elif receipt.outcome is Outcome.ACCEPTED:
                self.summary.accepted += 1
            else:
                self.summary.known += 1

    def _without(self, good: Sequence[tuple[Row, NewReport]], refused: Mistakes) -> list[tuple[Row, NewReport]]:
        """The batch without the reports in which the intake itself found mistakes that a mapping cannot see."""
        by_place: dict[int, list[tuple[str, Mistake]]] = {}
        for mistake in refused.mistakes:
            index, _, name = mistake.place.removeprefix("reports[").partition("].")
            source = self.mapping.fields.get(name)
            by_place.setdefault(int(index), []).append((source.place if source else "", mistake))
        for number, mistakes in by_place.items():
            self._reject(good[number][0], mistakes)
        return [pair for number, pair in enumerate(good) if number not in by_place]

    def _foresee(self, good: Sequence[tuple[Row, NewReport]]) -> None:
        """What receiving would do, without doing it."""
        keys = [r.key for _, r in good]
        here = set(Report.objects.filter(client=self.mapping.client, key__in=keys).values_list("key", flat=True))
        for row, report in good:
            if report.key in here:
                self.summary.known += 1
            else:
                self.summary.accepted += 1
                self.seen.add(row.number, report)

    def finish(self) -> None:
        """The keys that a dry run met twice: it stores nothing that could have told."""
        repeated, conflicts = self.seen.repeated()
        self.summary.accepted -= repeated + len(conflicts)
        self.summary.known += repeated
        for number in conflicts:
            self._reject(Row(number, {}), [self._conflict(number)])

    def _conflict(self, number: int) -> tuple[str, Mistake]:
        source = self.mapping.fields.get("key")
        place = source.place if source else ""
        return place, Mistake(f"{number}:{place}", *_CONFLICT)

    def _reject(self, row: Row, mistakes: Sequence[tuple[str, Mistake]]) -> None:
        self.summary.rejected += 1
        self.rejects.add(row, mistakes)
        for column, mistake in mistakes:
            finding = self.findings.get((column, mistake.wrong.en))
            if finding is None:
                finding = self.findings[column, mistake.wrong.en] = Finding(column, mistake.wrong, mistake.instead)
                self.summary.findings.append(finding)
            finding.count += 1
            if len(finding.rows) < EXAMPLES:
                finding.rows.append(row.number)
            if column in row.cells and len(finding.values) < 20:
                finding.values[value_class(row.cells[column])] += 1


def _report(mapped: Mapped) -> NewReport:
    contact = NewContact(*mapped.contact) if mapped.contact else None
    return NewReport(contact=contact, **mapped.values)


class _Seen:
    """The keys of a dry run, 24 bytes a row: enough to tell a repeated row from a conflicting one at the end."""

    def __init__(self) -> None:
        self.rows, self.keys, self.bodies = array("Q"), array("Q"), array("Q")

    def add(self, number: int, report: NewReport) -> None:
        self.rows.append(number)
        self.keys.append(_short_hash(report.key))
        contact = (report.contact.name, report.contact.phone, report.contact.secret) if report.contact else None
        self.bodies.append(_short_hash(f"{report!r}{contact!r}"))  # a contact does not print itself

    def repeated(self) -> tuple[int, list[int]]:
        """How many rows repeat an earlier one, and the numbers of those that contradict one."""
        rows, keys, bodies = (np.array(a, dtype=np.uint64) for a in (self.rows, self.keys, self.bodies))
        order = np.lexsort((rows, keys))
        keys, bodies, rows = keys[order], bodies[order], rows[order]
        first = np.concatenate([[True], keys[1:] != keys[:-1]]) if len(keys) else np.zeros(0, dtype=bool)
        original = bodies[first][np.cumsum(first) - 1]
        conflict = ~first & (bodies != original)
        return int((~first & ~conflict).sum()), sorted(int(n) for n in rows[conflict])


def _short_hash(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())
