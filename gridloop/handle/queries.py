"""What evidence there is, and who may see it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidTag
from django.conf import settings
from django.db.models import Count, Exists, OuterRef, Q, QuerySet

from gridloop.cases.models import Case
from gridloop.cases.queries import cases_for
from gridloop.handle.models import Evidence
from gridloop.kernel.errors import Refused, not_found
from gridloop.kernel.language import Sentence
from gridloop.kernel.models import Event
from gridloop.kernel.sealing import Finding
from gridloop.people.viewer import Viewer
from gridloop.registry import vault

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


@dataclass(frozen=True, slots=True)
class Recycled:
    """That a picture nearly equals an earlier one though it should show something else. A fact, not a verdict."""

    same_case: bool
    """The earlier one is of the same case and shows the state before the work."""
    bits: int
    """In how many of 256 bits the two fingerprints differ; 0 = the same picture."""
    evidence_id: int | None
    """The earlier picture, and its case; None where the viewer may not see that case."""
    case_id: int | None


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture of a case as staff see it. Its files: `served_file`, `thumbnail_file`."""

    id: int
    case_id: int
    stage: str
    by: str
    at: datetime
    width: int | None
    """Pixels of the upright picture; None while it is not ready."""
    height: int | None
    ready: bool
    """Whether the copies that people see are made (a second or two after receipt)."""
    public: str
    """`Evidence.Public`: "" (not looked at yet), withheld, blurred or released."""
    recycled: Recycled | None


@dataclass(frozen=True, slots=True)
class PublicPicture:
    """A picture that everybody may see. Its files: `public_file`, `public_thumbnail_file`."""

    id: int
    case_id: int
    stage: str
    at: datetime
    width: int | None
    height: int | None


def pictures_of(case_ids: Sequence[int], viewer: Viewer) -> dict[int, list[Picture]]:
    """The pictures of several cases as far as the viewer may see these, oldest first. One query; no case, no key."""
    seen = cases_for(viewer)
    rows = (
        evidence_for(viewer)
        .filter(case_id__in=case_ids)
        .exclude(stage=Evidence.Stage.NOTE)
        .annotate(other_seen=Exists(seen.filter(pk=OuterRef("recycled_case"))))
        .order_by("id")
    )
    found: dict[int, list[Picture]] = {}
    for row in rows:
        found.setdefault(row.case_id, []).append(
            Picture(
                row.id, row.case_id, row.stage, row.by, row.at, row.width, row.height, bool(row.served),
                row.public_state, _recycled(row, row.other_seen),
            )
        )  # fmt: skip
    return found


def _recycled(row: Evidence, other_seen: bool) -> Recycled | None:
    if row.recycled_of is None:
        return None
    return Recycled(
        same_case=row.recycled_case == row.case_id,
        bits=row.recycled_bits or 0,
        evidence_id=row.recycled_of if other_seen else None,
        case_id=row.recycled_case if other_seen else None,
    )


def _public() -> QuerySet[Evidence]:
    return Evidence.objects.filter(public_state__in=[Evidence.Public.BLURRED, Evidence.Public.RELEASED]).exclude(
        public=""
    )


def public_pictures_of(case_ids: Sequence[int]) -> dict[int, list[PublicPicture]]:
    """The pictures of several cases that everybody may see: blurred or released copies, oldest first. One query.

    Whether the public may see the case at all is asked elsewhere, before.
    """
    found: dict[int, list[PublicPicture]] = {}
    for row in _public().filter(case_id__in=case_ids).order_by("id"):
        found.setdefault(row.case_id, []).append(
            PublicPicture(row.id, row.case_id, row.stage, row.at, row.width, row.height)
        )
    return found


def newest_pairs(viewer: Viewer, *, most: int) -> list[tuple[Case, Picture, Picture]]:
    """The cases with the newest pictures of after the work that have one of before as well: (case, before, after).

    Looked for among the last 200 pictures. Three queries.
    """
    recent = (
        evidence_for(viewer).filter(stage=Evidence.Stage.AFTER).order_by("-id").values_list("case_id", flat=True)[:200]
    )
    ids = list(dict.fromkeys(recent))
    pictures = pictures_of(ids, viewer)
    pairs = {}
    for case_id in ids:
        before = next((p for p in pictures.get(case_id, ()) if p.stage in BEFORE and p.ready), None)
        after = next(
            (p for p in reversed(pictures.get(case_id, [])) if p.stage == Evidence.Stage.AFTER and p.ready), None
        )
        if before and after:
            pairs[case_id] = (before, after)
        if len(pairs) == most:
            break
    cases = cases_for(viewer).select_related("unit").in_bulk(list(pairs))
    return [(cases[case_id], *pair) for case_id, pair in pairs.items()]


def served_file(viewer: Viewer, evidence_id: int) -> Path:
    """The JPEG copy that this viewer may look at. The original stays in the house.

    Raises `Refused`: 404 where there is none or it is not theirs, 503 while the copy is not made yet.
    """
    return folder() / _ready(viewer, evidence_id).served


def thumbnail_file(viewer: Viewer, evidence_id: int) -> Path:
    """The small WebP of it, 320 pixels a side at most. Raises as `served_file` does."""
    row = _ready(viewer, evidence_id)
    return folder() / (row.thumbnail or row.served)


def _ready(viewer: Viewer, evidence_id: int) -> Evidence:
    row = evidence_for(viewer).filter(id=evidence_id).exclude(stage=Evidence.Stage.NOTE).first()
    if row is None:
        raise not_found()
    if not row.served:
        raise Refused(
            Sentence(zh="照片正在处理，请稍候。", en="The photograph is being prepared."), status=503, code="not_ready"
        )
    return row


def public_file(case_id: int, evidence_id: int) -> Path:
    """The JPEG copy for everybody. The caller has made sure that the public may see the case. Raises 404."""
    return folder() / _public_of(case_id, evidence_id).public


def public_thumbnail_file(case_id: int, evidence_id: int) -> Path:
    """The small WebP of the copy for everybody. As `public_file`."""
    return folder() / _public_of(case_id, evidence_id).public_thumbnail


def _public_of(case_id: int, evidence_id: int) -> Evidence:
    row = _public().filter(case_id=case_id, id=evidence_id).first()
    if row is None:
        raise not_found()
    return row


def picture_headers(file: Path, name: str) -> dict[str, str]:
    """The headers with which a picture is answered: it is a picture and nothing else, whatever its bytes say.

    `name` is the file's name for who keeps it, without suffix. Add `Cache-Control` as fits.
    """
    return {
        "Content-Type": "image/webp" if file.suffix == ".webp" else "image/jpeg",
        "Content-Disposition": f'inline; filename="{name}{file.suffix}"',
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; sandbox",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def notes_of(case_id: int, viewer: Viewer) -> list[Evidence]:
    """The spoken notes of a case that the viewer may see, oldest first."""
    return list(evidence_for(viewer).filter(case_id=case_id, stage=Evidence.Stage.NOTE).order_by("id"))


def spoken_note(viewer: Viewer, evidence_id: int) -> tuple[bytes, str]:
    """A spoken note that this viewer may hear, and its media type. Raises `Refused` (404)."""
    row = evidence_for(viewer).filter(id=evidence_id, stage=Evidence.Stage.NOTE).first()
    if row is None:
        raise not_found()
    return (folder() / row.original).read_bytes(), row.media_type


def folder() -> Path:
    """Where evidence files lie: below the data folder, readable by the server alone."""
    return Path(settings.GRIDLOOP_DATA) / "evidence"


SEALED = ".sealed"
"""The suffix of originals that are sealed with the key of the house."""


def seal_original(digest: str, content: bytes) -> bytes:
    """The bytes of an original as they lie on the disk: only with the key of the house, and only under this digest."""
    return vault.seal_bytes(content, purpose=b"evidence", name=digest.encode())


def original_bytes(row: Evidence) -> bytes:
    """The bytes of a file as they were received. For making copies and for the audit; never to be served.

    Raises `OSError` where the file is gone, `ValueError` where it is not what was received.
    """
    content = (folder() / row.original).read_bytes()
    try:
        if row.original.endswith(SEALED):
            content = vault.unseal_bytes(content, purpose=b"evidence", name=row.sha256.encode())
    except InvalidTag:
        content = b""
    if hashlib.sha256(content).hexdigest() != row.sha256:
        raise ValueError(f"evidence {row.pk} is not what was received")
    return content


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
    """The original is what was received; the copies that are made are the ones that were made."""
    copies = [
        (row.served, row.served_sha256), (row.thumbnail, row.thumbnail_sha256), (row.public, row.public_sha256),
        (row.public_thumbnail, row.public_thumbnail_sha256),
    ]  # fmt: skip
    try:
        original_bytes(row)
        return all(_digest(folder() / name) == digest for name, digest in copies if name)
    except (OSError, ValueError):
        return False


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
