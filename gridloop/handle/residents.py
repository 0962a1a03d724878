"""Photographs that residents send with a report, before there is a case of which they could be the evidence."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from gridloop.handle.actions import add_evidence, keep_file
from gridloop.handle.models import Evidence, ReportPicture
from gridloop.handle.queries import folder
from gridloop.handle.rules import MAX_BYTES, examine
from gridloop.kernel import clock
from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence
from gridloop.people.viewer import SYSTEM

MOST = 3
"""Photographs with one report."""
UNSENT = timedelta(hours=24)
"""How long a form may lie unsent before its photographs are destroyed."""
WITHOUT_CASE = timedelta(days=400)
"""How long the photographs of a report that came to no case are kept: as long as the report could still become one."""


@dataclass(frozen=True, slots=True)
class Received:
    """A photograph that lies ready, as its sender sees it in the review."""

    id: int
    size: int


def keep_picture(*, key: str, content: bytes, at: datetime | None = None) -> Received:
    """Take a photograph for the report that will be sent with this key. The same bytes again are the same photograph.

    Raises `Refused` (422) with a sentence where the bytes are no photograph or there are too many.
    """
    now = at or clock.now()
    examine(content)
    digest = hashlib.sha256(content).hexdigest()
    with transaction.atomic():
        known = ReportPicture.objects.filter(key=key)
        same = known.filter(sha256=digest).first()
        if same is not None:
            return Received(same.pk, same.size)
        if known.count() >= MOST:
            raise Refused(
                Sentence(zh=f"一次最多{MOST}张照片。", en=f"At most {MOST} photographs with one report."),
                status=422,
                code="too_many",
            )
        row = ReportPicture.objects.create(key=key, sha256=digest, size=len(content), at=now)
        keep_file(_lies(row), content)
    return Received(row.pk, row.size)


def drop_pictures(*, key: str) -> None:
    """The writer of a form wants no photographs after all. What was sent already stays."""
    _destroy(ReportPicture.objects.filter(key=key, sent_at=None))


def pictures_with(key: str) -> list[Received]:
    """The photographs that lie ready under a key, in their order."""
    return [Received(row.pk, row.size) for row in ReportPicture.objects.filter(key=key).order_by("id")]


def send_pictures(key: str, *, at: datetime | None = None) -> tuple[int, ...]:
    """Their report is about to be sent: they are kept until it has a case. Returns their numbers for the report."""
    ReportPicture.objects.filter(key=key, sent_at=None).update(sent_at=at or clock.now())
    return tuple(row.id for row in pictures_with(key))


def attach_pictures(pictures: Mapping[int, int], *, at: datetime | None = None) -> int:
    """Make photographs the evidence of cases (photograph -> case); returns how many were. Does it once."""
    done = 0
    for row in ReportPicture.objects.filter(id__in=list(pictures), evidence_id=None).order_by("id"):
        path = _lies(row)
        try:
            with transaction.atomic():
                locked = ReportPicture.objects.select_for_update().get(pk=row.pk)
                evidence = add_evidence(
                    case_id=pictures[row.pk],
                    stage=Evidence.Stage.REPORT,
                    content=path.read_bytes(),
                    viewer=SYSTEM,
                    at=at,
                )
                locked.evidence_id, locked.sent_at = evidence.pk, locked.sent_at or at or clock.now()
                locked.save(update_fields=["evidence_id", "sent_at"])
        except (Refused, FileNotFoundError):
            continue  # the case has ended or is full, or the files were not in the backup: the report stands without
        transaction.on_commit(lambda path=path: path.unlink(missing_ok=True))  # type: ignore[misc]
        done += 1
    return done


def forget_unsent(*, at: datetime | None = None, limit: int = 500) -> int:
    """Destroy the photographs of forms that were never sent, and of reports that came to no case. For a timer."""
    now = at or clock.now()
    never = Q(sent_at=None, at__lt=now - UNSENT) | Q(evidence_id=None, sent_at__lt=now - WITHOUT_CASE)
    return _destroy(ReportPicture.objects.filter(never).order_by("at")[:limit])


def _destroy(chosen: QuerySet[ReportPicture]) -> int:
    with transaction.atomic():
        rows = list(ReportPicture.objects.filter(pk__in=[r.pk for r in chosen]).select_for_update(skip_locked=True))
        ReportPicture.objects.filter(pk__in=[row.pk for row in rows]).delete()
        for row in rows:
            _lies(row).unlink(missing_ok=True)
    return len(rows)


def _lies(row: ReportPicture) -> Path:
    """Beside the evidence, never served."""
    return folder() / "arriving" / f"report-{row.pk}.part"


def pictures_of_events(events: Sequence[Any]) -> dict[int, int]:
    """Photograph -> case, as the events of opened cases and joined callers tell it."""
    return {
        picture: int(event.subject.removeprefix("case:"))
        for event in events
        for picture in event.data["about"].get("pictures", ())
    }


__all__ = ["MAX_BYTES", "MOST", "Received", "attach_pictures", "drop_pictures", "forget_unsent", "keep_picture"]
__all__ += ["pictures_of_events", "pictures_with", "send_pictures"]
