"""The copies of a picture: what staff see, what everybody sees, and whether it is one that was used before."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from django.db import connection, transaction

from gridloop.handle.actions import keep_file
from gridloop.handle.events import OriginRevealed, PublicCopyReleased, PublicCopyWithheld
from gridloop.handle.models import Evidence, Fingerprint
from gridloop.handle.queries import BEFORE, evidence_for, folder, original_bytes
from gridloop.handle.rules.blurring import BY_HAND, MOST_PARTS, Part, looked_for, to_hide
from gridloop.handle.rules.copies import as_jpeg, as_thumbnail, blurred, upright
from gridloop.handle.rules.finding import detectors
from gridloop.handle.rules.hidden import Taken, taken
from gridloop.handle.rules.likeness import NEARLY, Likeness, likeness
from gridloop.kernel import clock
from gridloop.kernel.bulk import encode
from gridloop.kernel.errors import Refused, not_found
from gridloop.kernel.events import publish
from gridloop.kernel.language import Sentence
from gridloop.people.viewer import Viewer
from gridloop.registry import vault

MIN_REASON = 4
"""Characters that a reason needs at least."""
SHOWS_WORK = (Evidence.Stage.AFTER, Evidence.Stage.CHECK)
"""The steps whose pictures are to show that the work is done: only of these it matters where they come from."""


# --- the copies that are made after receipt --------------------------------------------------------------------------


def make_served_copies(evidence_ids: Sequence[int]) -> None:
    """Make what is shown of pictures: the copy and the thumbnail for staff, and for everybody if all that has to be
    hidden was looked for; keep what the file says of itself sealed; look for the same picture used before.

    Runs after receipt, never in the request. A second run does nothing.
    """
    looks: dict[int, Likeness] = {}
    rows = {row.id: row for row in Evidence.objects.filter(id__in=evidence_ids, served="").order_by("id")}
    pictures = [row for row in rows.values() if row.stage != Evidence.Stage.NOTE]
    for row in pictures:
        found = _copies(row, original_bytes(row))
        if found is not None:
            looks[row.id] = found
    with transaction.atomic():
        for row in pictures:
            row.save(update_fields=_MADE)
        _note_fingerprints([row for row in pictures if row.id in looks], looks)


_MADE = [
    "width", "height", "served", "served_sha256", "thumbnail", "thumbnail_sha256", "hidden", "public_state",
    "hidden_parts", "public", "public_sha256", "public_thumbnail", "public_thumbnail_sha256",
]  # fmt: skip


def _copies(row: Evidence, content: bytes) -> Likeness | None:
    shown = upright(content)
    row.width, row.height = shown.width, shown.height
    base = Path("served") / row.sha256[:2] / row.sha256
    row.served, row.served_sha256 = _keep(base.with_suffix(".jpg"), as_jpeg(shown.image))
    row.thumbnail, row.thumbnail_sha256 = _keep(base.with_suffix(".webp"), as_thumbnail(shown.image))
    if (told := taken(content)) is not None:
        row.hidden = vault.seal_bytes(orjson.dumps(asdict(told)), purpose=b"taken", name=str(row.id).encode())
    machines = detectors()
    if looked_for(machines):
        _publish_copy(row, Evidence.Public.BLURRED, to_hide(shown.image, machines), shown.image)
    else:
        row.public_state = Evidence.Public.WITHHELD
    return likeness(shown.image)


def _publish_copy(row: Evidence, state: Evidence.Public, parts: Sequence[Part], image: Any) -> None:
    """Make the copy for everybody. Each has a name of its own, so that one that shows more is not kept by a cache."""
    public = blurred(image, parts)
    content = as_jpeg(public)
    base = Path("public") / f"{row.id % 256:02x}" / f"{row.id}-{hashlib.sha256(content).hexdigest()[:16]}"
    row.public, row.public_sha256 = _keep(base.with_suffix(".jpg"), content)
    row.public_thumbnail, row.public_thumbnail_sha256 = _keep(base.with_suffix(".webp"), as_thumbnail(public))
    row.public_state, row.hidden_parts = state, [part.stored() for part in parts]


def _keep(path: Path, content: bytes) -> tuple[str, str]:
    keep_file(folder() / path, content)
    return str(path), hashlib.sha256(content).hexdigest()


def _note_fingerprints(rows: Sequence[Evidence], looks: dict[int, Likeness]) -> None:
    """Remember what pictures look like, and note of each that shows work done where it was used before."""
    Fingerprint.objects.bulk_create(
        [
            Fingerprint(evidence_id=row.id, case_id=row.case_id, before=row.stage in BEFORE, bits=looks[row.id].bits)
            for row in rows
        ],
        ignore_conflicts=True,
    )
    asked = [
        {"id": row.id, "case_id": row.case_id, "bits": bits}
        for row in rows
        if row.stage in SHOWS_WORK
        for bits in (looks[row.id].bits, looks[row.id].mirrored)
    ]
    if not asked:
        return
    with connection.cursor() as cursor:
        cursor.execute(_FIND_AGAIN, [encode(asked), NEARLY])


_FIND_AGAIN = """
WITH asked AS (SELECT * FROM json_to_recordset(%s::json) AS v(id bigint, case_id bigint, bits bit(256))),
     found AS (
         SELECT DISTINCT ON (a.id) a.id, f.evidence_id, f.case_id, bit_count(f.bits # a.bits) AS differ
         FROM asked a JOIN handle_fingerprint f
           ON f.evidence_id < a.id AND bit_count(f.bits # a.bits) <= %s AND (f.case_id <> a.case_id OR f.before)
         ORDER BY a.id, differ, f.evidence_id
     )
UPDATE handle_evidence e SET recycled_of = found.evidence_id, recycled_case = found.case_id, recycled_bits = differ
FROM found WHERE e.id = found.id
"""


# --- what everybody may see ------------------------------------------------------------------------------------------


def release_public_copy(
    *,
    evidence_id: int,
    reason: str,
    viewer: Viewer,
    hide: Sequence[Sequence[float]] | None = None,
    at: datetime | None = None,
) -> Evidence:
    """A person has looked at a picture and lets everybody see it, for a reason that stays in the record.

    `hide`: rectangles to be blurred, each left, top, right, bottom as shares (0 to 1) of width and height. They replace
    what was blurred before; None = leave that as it is. Refused: 403, 404, 422 (reason, rectangles), 503 (not ready).
    """
    with transaction.atomic():
        row = _to_decide(evidence_id, reason, viewer)
        drawn = [_drawn(n, rectangle) for n, rectangle in enumerate(hide or ())]
        if len(drawn) > MOST_PARTS:
            raise _wrong(f"最多{MOST_PARTS}处。", f"At most {MOST_PARTS} rectangles.")
        parts = [Part(*part) for part in row.hidden_parts] if hide is None else drawn
        before = row.public, row.public_thumbnail
        _publish_copy(row, Evidence.Public.RELEASED, parts, upright(original_bytes(row)).image)
        row.save(update_fields=_MADE)
        _forget_copies(before, but=(row.public, row.public_thumbnail))
        publish(
            [
                PublicCopyReleased(
                    subject=f"case:{row.case_id}", actor=viewer.actor, at=at or clock.now(),
                    evidence=row.id, hidden=len(parts), sha256=row.public_sha256, reason=" ".join(reason.split()),
                )
            ]
        )  # fmt: skip
    return row


def withhold_public_copy(*, evidence_id: int, reason: str, viewer: Viewer, at: datetime | None = None) -> Evidence:
    """A person takes a picture back from everybody: its public copy is destroyed. Refused as a release is."""
    with transaction.atomic():
        row = _to_decide(evidence_id, reason, viewer)
        before = row.public, row.public_thumbnail
        row.public = row.public_sha256 = row.public_thumbnail = row.public_thumbnail_sha256 = ""
        row.public_state = Evidence.Public.WITHHELD
        row.save(update_fields=_MADE)
        _forget_copies(before)
        publish(
            [
                PublicCopyWithheld(
                    subject=f"case:{row.case_id}", actor=viewer.actor, at=at or clock.now(),
                    evidence=row.id, reason=" ".join(reason.split()),
                )
            ]
        )  # fmt: skip
    return row


def _to_decide(evidence_id: int, reason: str, viewer: Viewer) -> Evidence:
    viewer.need("publish_picture")
    pictures = evidence_for(viewer).filter(id=evidence_id).exclude(stage=Evidence.Stage.NOTE)
    row = pictures.select_for_update(of=("self",)).first()
    if row is None:
        raise not_found()
    if not row.served:
        raise Refused(
            Sentence(zh="照片正在处理，请稍候。", en="The photograph is being prepared."), status=503, code="not_ready"
        )
    if len(" ".join(reason.split())) < MIN_REASON:
        raise _wrong(f"请写明原因（至少{MIN_REASON}个字）。", f"Say why, in at least {MIN_REASON} characters.")
    return row


def _drawn(n: int, rectangle: Sequence[float]) -> Part:
    try:
        left, top, right, bottom = (float(v) for v in rectangle)
    except (TypeError, ValueError):
        left = top = right = bottom = -1.0
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise _wrong(
            f"第{n + 1}处不是照片里的矩形：请写左、上、右、下，都在0和1之间。",
            f"Rectangle {n + 1} does not lie in the picture: give left, top, right, bottom between 0 and 1.",
        )
    return Part(left, top, right, bottom, BY_HAND)


def _wrong(zh: str, en: str) -> Refused:
    return Refused(Sentence(zh=zh, en=en), status=422, code="bad_release")


def _forget_copies(names: Sequence[str], but: Sequence[str] = ()) -> None:
    """Destroy files once it is certain that nobody is sent to them any more."""
    files = [folder() / name for name in names if name and name not in but]

    def destroy() -> None:
        for file in files:
            file.unlink(missing_ok=True)

    transaction.on_commit(destroy)


# --- what the file says of itself ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Origin:
    """Where and when a picture itself says that it was taken."""

    evidence_id: int
    taken: Taken | None


def reveal_origin(*, evidence_id: int, reason: str, viewer: Viewer, at: datetime | None = None) -> Origin:
    """Show a reviewer what a picture's file says of itself, for a reason that stays in the record.

    For disputes alone: it may tell where somebody was. Refused: 403, 404, 422 without a reason.
    """
    viewer.need("decide_appeal")
    row = evidence_for(viewer).filter(id=evidence_id).first()
    if row is None:
        raise not_found()
    if len(" ".join(reason.split())) < MIN_REASON:
        raise _wrong(f"请写明原因（至少{MIN_REASON}个字）。", f"Say why, in at least {MIN_REASON} characters.")
    with transaction.atomic():
        publish(
            [
                OriginRevealed(
                    subject=f"case:{row.case_id}", actor=viewer.actor, at=at or clock.now(),
                    evidence=row.id, reason=" ".join(reason.split()),
                )
            ]
        )  # fmt: skip
    if row.hidden is None:
        return Origin(row.id, None)
    told = vault.unseal_bytes(bytes(row.hidden), purpose=b"taken", name=str(row.id).encode())
    return Origin(row.id, Taken(**orjson.loads(told)))
