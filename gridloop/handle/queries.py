"""What evidence there is, and who may see it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from django.conf import settings
from django.db.models import Count, Q, QuerySet

from gridloop.cases.queries import cases_for
from gridloop.handle.models import Evidence
from gridloop.kernel.errors import Refused, not_found
from gridloop.kernel.language import Sentence
from gridloop.kernel.models import Event
from gridloop.kernel.sealing import Finding
from gridloop.people.viewer import Viewer

BEFORE = (Evidence.Stage.REPORT, Evidence.Stage.VERIFY, Evidence.Stage.BEFORE)


def photographs(case_ids: Sequence[int]) -> dict[int, tuple[int, int]]:
    """How many photographs each case has of before and of after the work. One query."""
    rows = (
        Evidence.objects.filter(case_id__in=case_ids)
        .values("case_id")
        .annotate(before=Count("id", filter=Q(stage__in=BEFORE)), after=Count("id", filter=Q(stage="after")))
    )
    return {row["case_id"]: (row["before"], row["after"]) for row in rows}


def evidence_for(viewer: Viewer) -> QuerySet[Evidence]:
    """The evidence of the cases that the viewer may see."""
    if viewer.kind == "system":
        return Evidence.objects.all()
    return Evidence.objects.filter(case_id__in=cases_for(viewer).values("id"))


def served_file(viewer: Viewer, evidence_id: int) -> Path:
    """The JPEG copy that this viewer may look at. The original stays in the house.

    Raises `Refused`: 404 where there is none or it is not theirs, 503 while the copy is not made yet.
    """
    row = evidence_for(viewer).filter(id=evidence_id).exclude(stage=Evidence.Stage.NOTE).first()
    if row is None:
        raise not_found()
    if not row.served:
        raise Refused(
            Sentence(zh="照片正在处理，请稍候。", en="The photograph is being prepared."), status=503, code="not_ready"
        )
    return folder() / row.served


def spoken_note(viewer: Viewer, evidence_id: int) -> tuple[Path, str]:
    """The file of a spoken note that this viewer may hear, and its media type. Raises `Refused` (404)."""
    row = evidence_for(viewer).filter(id=evidence_id, stage=Evidence.Stage.NOTE).first()
    if row is None:
        raise not_found()
    return folder() / row.original, row.media_type


def folder() -> Path:
    """Where evidence files lie: below the data folder, readable by the server alone."""
    return Path(settings.GRIDLOOP_DATA) / "evidence"


def unlike_its_record() -> Iterator[Finding]:
    """Evidence that is not what was received: its row, or the file itself, was exchanged or removed."""
    rows = {row.id: row for row in Evidence.objects.order_by("id").iterator(2_000)}
    for event in Event.objects.filter(name="EvidenceAdded").order_by("id").iterator(2_000):
        row = rows.pop(event.data["evidence"], None)
        if row is None or not _as_told(row, event) or not _files_are_right(row):
            number = event.data["evidence"]
            yield Finding(
                "evidence_changed",
                (event.id,),
                Sentence(zh=f"证据{number}不是收到时的样子。", en=f"Evidence {number} is not what was received."),
            )
    for number in rows:
        sentence = Sentence(zh=f"证据{number}没有接收记录。", en=f"Evidence {number} has no record of its receipt.")
        yield Finding("evidence_without_record", (), sentence)


def _as_told(row: Evidence, event: Event) -> bool:
    told = (event.subject, event.actor, event.at, event.data["stage"], event.data["sha256"], event.data["size"])
    return told == (f"case:{row.case_id}", row.by, row.at, row.stage, row.sha256, row.size)


def _files_are_right(row: Evidence) -> bool:
    """The original is what was received; the copy, if it is made, is the one that was made."""
    wanted = [(row.original, row.sha256)] + ([(row.served, row.served_sha256)] if row.served else [])
    return all((folder() / name).is_file() and _digest(folder() / name) == digest for name, digest in wanted)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
