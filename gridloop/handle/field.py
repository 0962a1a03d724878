"""What a telephone hands in, perhaps days later and over a link that breaks: errands, and files in pieces.

Each errand and each file has a key that the telephone made. Handed in again, it gets the answer that it got before;
nothing is lost and nothing is done twice, wherever the link was cut.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
from django.db import transaction

from gridloop.cases.actions import Move
from gridloop.cases.models import Case
from gridloop.cases.queries import cases_for
from gridloop.cases.workflow import STATES
from gridloop.handle.actions import add_evidence, hand_back
from gridloop.handle.events import FormFilled
from gridloop.handle.models import Errand, Evidence, FilledForm, Upload
from gridloop.handle.queries import folder
from gridloop.handle.rules import MAX_BYTES
from gridloop.handle.sounds import MAX_BYTES as MAX_SOUND
from gridloop.kernel import clock
from gridloop.kernel.bulk import encode, insert_new_rows
from gridloop.kernel.errors import Mistake, Mistakes, Refused, not_found
from gridloop.kernel.events import publish
from gridloop.kernel.language import Sentence
from gridloop.people.queries import viewers_for
from gridloop.people.viewer import SYSTEM, Viewer
from gridloop.standard import queries as standard

log = logging.getLogger(__name__)

VERBS = frozenset({"verify", "start", "hand_back", "check", "self_handle", "return_back", "co_hand_back"})
"""What is done in the street. All other verbs belong to a desk."""
KEPT = timedelta(days=40)
"""How long an answer is remembered: the 72 hours that a telephone may be away, and a month of slack."""
ABANDONED = timedelta(days=7)
"""A file of which no piece came for so long is given up; the telephone would begin it anew."""
MAX_PIECE = 1_000_000
MAX_UNFINISHED = 200
"""Files of one person that may be under way."""


# --- errands ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """A move that a person made at the telephone. `version` is what the telephone showed when it was made."""

    key: UUID
    case: str
    """The case as the telephone names it: its number, or the key of the own report that was to become it."""
    verb: str
    outcome: str = ""
    version: int | None = None
    as_it_is: bool = False
    """The person never saw it as a case: it is the own report, of which there was nothing to see yet."""
    after: UUID | None = None
    """The errand that must have been done before: its version is the one that the person then had in mind."""
    reason: str = ""
    condition: str = ""
    unit_id: int | None = None
    answers: Mapping[str, Any] | None = field(default=None)
    """The form of the case's type, filled in; None if it was not."""


def settle(wish: Wish, *, case_id: int | None, viewer: Viewer, at: datetime | None = None) -> Errand:
    """Do what somebody decided at the telephone, once; returns the errand with its answer.

    `case_id` is the case that the viewer sees under that name, if any: what was answered once is answered again also
    when the case has left the viewer's sight since. Move and answer are committed together. If the case is no longer
    as the person saw it nothing is done: the answer is a conflict that shows how it is now, and the person decides
    anew (with a new key).
    """
    now = at or clock.now()
    person = _person(viewer)
    digest = hashlib.sha256(encode(asdict(wish), sort_keys=True).encode()).digest()
    with transaction.atomic():
        if (known := _known(wish.key, digest, viewer)) is not None:
            return known
        if case_id is None:
            raise not_found()
        errand = Errand(person_id=person, key=wish.key, digest=digest, case_id=case_id, outcome="", answer={}, at=now)
        if not insert_new_rows([errand], unless=("person", "key")):  # the same errand came twice at one moment
            rival = _known(wish.key, digest, viewer)
            assert rival is not None, "the key is taken"
            return rival
        try:
            with transaction.atomic():
                case = _do(wish, case_id, viewer, now)
            errand.outcome, errand.answer = Errand.Outcome.DONE, _how_it_is(case)
        except Refused as no:
            faster = no.code == "conflict"
            errand.outcome = Errand.Outcome.CONFLICT if faster else Errand.Outcome.REFUSED
            errand.answer = {"sentence": no.sentence.both(), "code": no.code}
            present = cases_for(viewer).filter(id=case_id).first()
            if present is not None:
                errand.answer |= {"now": _how_it_is(present)}
        except Mistakes as wrong:
            errand.outcome = Errand.Outcome.REFUSED
            errand.answer = {
                "sentence": Sentence(zh="填写有误。", en="There are mistakes.").both(), "code": "mistakes",
                "mistakes": [[m.place, m.wrong.both(), m.instead.both()] for m in wrong.mistakes],
            }  # fmt: skip
        errand.save(update_fields=["outcome", "answer"])
    return errand


def _person(viewer: Viewer) -> int:
    if viewer.person_id is None:
        raise Refused(Sentence(zh="只有人才能办理。", en="Only a person can do this."), status=403, code="forbidden")
    return viewer.person_id


def _known(key: UUID, digest: bytes, viewer: Viewer) -> Errand | None:
    """The errand that was handed in under this key before. Refused if it was another one."""
    known = Errand.objects.filter(person_id=viewer.person_id or 0, key=key).first()
    if known is not None and bytes(known.digest) != digest:
        raise _key_used()
    return known


def _do(wish: Wish, case_id: int, viewer: Viewer, now: datetime) -> Case:
    if wish.verb not in VERBS:
        raise Refused(
            Sentence(zh="这一步要在电脑上办理。", en="This is done at a desk, not in the street."),
            status=422, code="not_here",
        )  # fmt: skip
    version = wish.version
    if wish.after is not None:
        before = Errand.objects.filter(person_id=viewer.person_id or 0, key=wish.after).first()
        if before is None or before.outcome != Errand.Outcome.DONE:
            raise Refused(
                Sentence(
                    zh="前一步没有办成，这一步也没有办。", en="The step before it was not done, so neither was this."
                ),
                code="step_before",
            )
        version = before.answer["version"]
    if version is None and not wish.as_it_is:
        raise Refused(
            Sentence(zh="缺少所见的版本。", en="It does not say which version you saw."), status=422, code="no_version"
        )
    move = Move(
        case_id=case_id, verb=wish.verb, outcome=wish.outcome, version=version, reason=wish.reason,
        condition=wish.condition, unit_id=wish.unit_id,
    )  # fmt: skip
    case = hand_back([move], viewer=viewer, at=now)[0]
    if wish.answers is not None:
        _fill(case, wish.answers, viewer, now)
    return case


def _how_it_is(case: Case) -> dict[str, Any]:
    """A case in the few words that a telephone shows beside what the person saw."""
    return {
        "number": case.number,
        "version": case.version,
        "state": case.state,
        "state_name": STATES[case.state].both(),
        "due_at": case.due_at.isoformat() if case.due_at else None,
    }


def _key_used() -> Refused:
    return Refused(
        Sentence(zh="这个编号已用于另一项内容。", en="This key was used for something else."),
        status=409,
        code="key_used",
    )


# --- forms -----------------------------------------------------------------------------------------------------------


def check_answers(schema: Mapping[str, Any], answers: Mapping[str, Any]) -> None:
    """Raise all mistakes in a filled form as one `Mistakes`, each named by its field."""
    found = []
    for error in sorted(jsonschema.Draft202012Validator(dict(schema)).iter_errors(dict(answers)), key=str):
        place = str(next(iter(error.absolute_path), "")) or "form"
        rule = f"{error.validator} {json.dumps(error.validator_value, ensure_ascii=False)[:60]}"
        found.append(
            Mistake(
                place,
                Sentence(zh="不符合表单的要求", en="does not fit the form"),
                Sentence(zh=f"要求：{rule}", en=f"wanted: {rule}"),
            )
        )
    if found:
        raise Mistakes(found)


def _fill(case: Case, answers: Mapping[str, Any], viewer: Viewer, now: datetime) -> None:
    held = standard.release(case.pack_release_id)
    form = held.case_type(case.case_type).form
    if form is None:
        raise Refused(
            Sentence(zh="这类案件没有表单。", en="This kind of case has no form."), status=422, code="no_form"
        )
    check_answers(held.forms[form], answers)
    filled = FilledForm.objects.create(case_id=case.id, form=form, answers=dict(answers), by=viewer.actor, at=now)
    digest = hashlib.sha256(encode(dict(answers), sort_keys=True).encode()).hexdigest()
    publish(
        [FormFilled(subject=f"case:{case.id}", actor=viewer.actor, at=now, filled=filled.pk, form=form, sha256=digest)]
    )


# --- files in pieces -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """A file that is to come: for which case, or for which report that has no case yet."""

    key: UUID
    size: int
    sha256: str
    stage: str
    case_id: int | None = None
    report_id: int | None = None


def take_piece(parcel: Parcel, *, offset: int, piece: bytes, viewer: Viewer, at: datetime | None = None) -> Upload:
    """Take the next piece of a file; returns how far it has come (`received`), and what became of it.

    A piece that does not begin where the file ends so far changes nothing: the telephone goes on at `received`. With
    the last byte the whole is compared with its SHA-256; if it differs, `received` is 0 again. What is whole becomes
    evidence of its case at once, or as soon as its report has a case.
    """
    now = at or clock.now()
    viewer.need("evidence")
    _check_parcel(parcel, piece)
    with transaction.atomic():
        if parcel.case_id is not None and not cases_for(viewer).filter(id=parcel.case_id).exists():
            raise not_found()
        row = _upload(parcel, viewer, now)
        if row.complete or row.refused or offset != row.received:
            return row
        if offset + len(piece) > row.size:
            raise _bad("超出文件长度。", "There are more bytes than the file was said to have.")
        path = _arriving(row)
        _append(path, offset, piece)
        row.received += len(piece)
        row.touched_at = now
        if row.received == row.size:
            with path.open("rb") as file:
                row.complete = hashlib.file_digest(file, "sha256").hexdigest() == row.sha256
            if not row.complete:
                row.received = 0
        row.save(update_fields=["received", "complete", "touched_at"])
        if row.complete and row.case_id is not None:
            _become_evidence(row, row.case_id, viewer, now)
    return row


def upload_of(key: UUID, viewer: Viewer) -> Upload | None:
    """How far one's own file has come; None if nothing of it is known."""
    return Upload.objects.filter(person_id=viewer.person_id or 0, key=key).first()


def attach_uploads(cases: Mapping[int, int], *, at: datetime | None = None) -> int:
    """Make what was sent with reports evidence of the cases that the reports opened or joined (report -> case).

    Returns how many files were taken. Who photographed it is named where that person may see the case.
    """
    now = at or clock.now()
    done = 0
    with transaction.atomic():
        waiting = Upload.objects.filter(
            report_id__in=list(cases), complete=True, evidence_id=None, refused__isnull=True
        )
        rows = list(waiting.select_for_update().order_by("id"))
        viewers = viewers_for({row.person_id for row in rows}, now) if rows else {}
        seen = {row.id: cases_for(viewers[row.person_id]).filter(id=cases[row.report_id or 0]).exists() for row in rows}
        for row in rows:
            viewer = viewers[row.person_id] if seen[row.id] else SYSTEM
            _become_evidence(row, cases[row.report_id or 0], viewer, now)
            done += row.evidence_id is not None
    return done


def _check_parcel(parcel: Parcel, piece: bytes) -> None:
    most = MAX_SOUND if parcel.stage == Evidence.Stage.NOTE else MAX_BYTES
    if parcel.stage not in Evidence.Stage.values:
        raise _bad("没有这个环节。", f"There is no such stage; there are {', '.join(Evidence.Stage.values)}.")
    if (parcel.case_id is None) == (parcel.report_id is None):
        raise _bad("请写明案件或上报之一。", "Name a case or a report, one of them.")
    if not 0 < parcel.size <= most:
        raise _bad(f"文件最大{most // 1_000_000}MB。", f"A file has {most // 1_000_000} MB at most.")
    if len(piece) > MAX_PIECE:
        raise _bad("每次最多1MB。", "A piece has 1 MB at most.")
    if len(parcel.sha256) != 64 or set(parcel.sha256) - set("0123456789abcdef"):
        raise _bad("缺少文件的SHA-256。", "The file's SHA-256 is missing.")


def _bad(zh: str, en: str) -> Refused:
    return Refused(Sentence(zh=zh, en=en), status=422, code="bad_upload")


def _upload(parcel: Parcel, viewer: Viewer, now: datetime) -> Upload:
    person = _person(viewer)
    mine = Upload.objects.filter(person_id=person)
    wanted = {n: getattr(parcel, n) for n in ("case_id", "report_id", "stage", "sha256", "size")}
    fresh = Upload(person_id=person, key=parcel.key, touched_at=now, **wanted)
    if insert_new_rows([fresh], unless=("person", "key")) and mine.filter(complete=False).count() > MAX_UNFINISHED:
        raise Refused(
            Sentence(zh="未传完的文件太多，请先传完。", en="Too many files are under way: finish some first."),
            status=429,
            code="too_many",
        )
    row = mine.select_for_update().get(key=parcel.key)
    if any(getattr(row, name) != value for name, value in wanted.items()):
        raise _key_used()
    return row


def _arriving(row: Upload) -> Path:
    """Where a file lies until it is whole and was looked at: beside the evidence, never served."""
    return folder() / "arriving" / f"{row.pk}.part"


def _append(path: Path, offset: int, piece: bytes) -> None:
    """Write a piece where it belongs and see it on disk. What a crash left behind the known end is cut off."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as out:
        out.truncate(offset)
        out.seek(offset)
        out.write(piece)
        out.flush()
        os.fsync(out.fileno())


def _become_evidence(row: Upload, case_id: int, viewer: Viewer, now: datetime) -> None:
    path = _arriving(row)
    try:
        with transaction.atomic():
            content = path.read_bytes()
            row.evidence_id = add_evidence(case_id=case_id, stage=row.stage, content=content, viewer=viewer, at=now).pk
    except Refused as no:
        row.refused = no.sentence.both()
    except FileNotFoundError:
        # Only after a restore from a backup without the files: the telephone still has it and sends it again.
        row.received, row.complete = 0, False
    row.case_id = case_id
    row.save(update_fields=["evidence_id", "refused", "case_id", "received", "complete"])
    if row.complete:
        transaction.on_commit(lambda: path.unlink(missing_ok=True))


# --- forgetting ------------------------------------------------------------------------------------------------------


def forget_old(*, at: datetime | None = None, limit: int = 500) -> int:
    """Forget answers and files whose time is over, and what was begun and abandoned. Returns how many rows went."""
    now = at or clock.now()
    with transaction.atomic():
        old = Errand.objects.filter(at__lt=now - KEPT).order_by("at").values_list("id", flat=True)[:limit]
        gone, _ = Errand.objects.filter(id__in=list(old)).delete()
        kept = Upload.objects.filter(touched_at__lt=now - ABANDONED, complete=False, refused__isnull=True)
        kept = kept | Upload.objects.filter(touched_at__lt=now - KEPT)
        rows = list(kept.select_for_update(skip_locked=True).order_by("touched_at")[:limit])
        Upload.objects.filter(id__in=[row.pk for row in rows]).delete()
        for row in rows:
            _arriving(row).unlink(missing_ok=True)
    return gone + len(rows)


def reports_of_events(events: Sequence[Any]) -> dict[int, int]:
    """Report -> case, as the events of opened cases and joined callers tell it."""
    return {
        report: int(event.subject.removeprefix("case:"))
        for event in events
        for report in event.data["about"].get("reports", ())
    }
