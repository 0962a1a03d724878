"""Working on a case: evidence, hand-back, check."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from django.db import transaction

from gridloop.cases.actions import Move, move_cases
from gridloop.cases.models import Case
from gridloop.cases.queries import cases_for, is_open
from gridloop.handle.events import EvidenceAdded
from gridloop.handle.models import Evidence
from gridloop.handle.queries import SEALED, folder, photographs, seal_original
from gridloop.handle.rules import MAX_BYTES, examine
from gridloop.handle.sounds import SUFFIX as SOUND_SUFFIX
from gridloop.handle.sounds import examine_sound
from gridloop.kernel import clock
from gridloop.kernel.errors import Refused, not_found
from gridloop.kernel.events import publish
from gridloop.kernel.language import Sentence
from gridloop.people.viewer import Viewer

MAX_FILES = 40
"""Files per case: enough for any job, too few to fill a disk."""


def keep_file(path: Path, content: bytes) -> None:
    """Write a file so that it survives a power cut: the file, then the folder that names it."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    part = path.with_suffix(path.suffix + ".part")
    with open(part, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    os.replace(part, path)
    for parent in (path.parent, path.parent.parent):
        handle = os.open(parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def add_evidence(*, case_id: int, stage: str, content: bytes, viewer: Viewer, at: datetime | None = None) -> Evidence:
    """Take a photograph (or, as a ``note``, a recording) as evidence. The bytes are kept as they came, under the
    name of their SHA-256.

    The same bytes for the same step of the same case are the same evidence: sent twice, kept once.
    """
    now = at or clock.now()
    viewer.need("evidence")
    if stage not in Evidence.Stage.values:
        raise Refused(
            Sentence(
                zh=f"没有“{stage}”这个环节。",
                en=f"There is no stage “{stage}”; there are {', '.join(Evidence.Stage.values)}.",
            ),
            status=422,
            code="unknown_stage",
        )
    media_type = examine_sound(content) if stage == Evidence.Stage.NOTE else examine(content).media_type
    digest = hashlib.sha256(content).hexdigest()
    if stage == Evidence.Stage.NOTE:  # it is played as it came
        path, kept = Path(digest[:2]) / f"{digest}.{SOUND_SUFFIX[media_type]}", content
    else:
        path, kept = Path(digest[:2]) / f"{digest}{SEALED}", seal_original(digest, content)
    with transaction.atomic():
        case = cases_for(viewer).filter(id=case_id).select_for_update(of=("self",)).first()
        if case is None:
            raise not_found()
        if not is_open(case):
            raise Refused(Sentence(zh="案件已办结，不能再加照片。", en="The case is closed; no evidence can be added."))
        present = Evidence.objects.filter(case_id=case_id)
        if (same := present.filter(stage=stage, sha256=digest).first()) is not None:
            return same
        if present.count() >= MAX_FILES:
            raise Refused(
                Sentence(zh=f"每个案件最多{MAX_FILES}张照片。", en=f"A case holds {MAX_FILES} photographs at most.")
            )
        keep_file(folder() / path, kept)
        evidence = Evidence.objects.create(
            case_id=case_id, stage=stage, sha256=digest, media_type=media_type, size=len(content),
            original=str(path), by=viewer.actor, at=now,
        )  # fmt: skip
        publish(
            [
                EvidenceAdded(
                    subject=f"case:{case_id}", actor=viewer.actor, at=now,
                    evidence=evidence.id, stage=stage, sha256=digest, size=len(content),
                )
            ]
        )  # fmt: skip
    return evidence


def add_evidence_file(*, case_id: int, stage: str, path: Path, viewer: Viewer, at: datetime | None = None) -> Evidence:
    """`add_evidence` of a file that lies outside the served tree, such as an upload in pieces. The file stays there."""
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    return add_evidence(case_id=case_id, stage=stage, content=content, viewer=viewer, at=at)


NEEDS_PHOTOGRAPHS = frozenset({"hand_back", "self_handle"})
"""Verbs for which this stage vouches how many photographs there are."""


def hand_back(moves: Sequence[Move], *, viewer: Viewer, at: datetime | None = None) -> list[Case]:
    """Hand cases back as done, with the photographs that their type asks for."""
    with transaction.atomic():
        counts = photographs([m.case_id for m in moves])
        return move_cases([replace(m, evidence=counts.get(m.case_id, (0, 0))) for m in moves], viewer=viewer, at=at)


def self_handle(
    *, case_id: int, viewer: Viewer, version: int | None = None, condition: str = "", at: datetime | None = None
) -> Case:
    """自行处置: whoever walks the grid has put it right on the spot and shows it, before and after.

    The case is filed, given to the own unit and handed back at one moment; another person checks it like any other.
    """
    move = Move(case_id=case_id, verb="self_handle", version=version, condition=condition)
    return hand_back([move], viewer=viewer, at=at)[0]


def check(moves: Sequence[Move], *, viewer: Viewer, at: datetime | None = None) -> list[Case]:
    """Check (核查) handed-back cases: another person looks whether the problem is gone."""
    return move_cases(moves, viewer=viewer, at=at)
