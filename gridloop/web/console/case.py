"""The page of one case: where it is, its clocks, its story, its pictures, who told of it, who else looks at it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.http import FileResponse, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_GET, require_POST

from gridloop.cases.events import SAID as OF_CASES
from gridloop.cases.models import Case
from gridloop.cases.queries import (
    Clocks,
    Possibility,
    case_of,
    clocks,
    co_units_of,
    events_of,
    possible,
    story,
)
from gridloop.cases.workflow import ENDS, SEVEN, STAGE_NAMES, STEP_OF
from gridloop.discover.queries import reports_of
from gridloop.dispatch.rules import CLOCKS
from gridloop.feedback.events import SAID as OF_FEEDBACK
from gridloop.handle.actions import add_evidence
from gridloop.handle.events import SAID as OF_HANDLE
from gridloop.handle.queries import notes_of, picture_headers, pictures_of, served_file, spoken_note, thumbnail_file
from gridloop.handle.rules import MAX_BYTES
from gridloop.kernel import clock
from gridloop.kernel.errors import Refused, not_found
from gridloop.kernel.language import Sentence
from gridloop.kernel.models import Event
from gridloop.kernel.worktime import Clock, Limit
from gridloop.people.actions import be_present
from gridloop.people.queries import present_at
from gridloop.people.viewer import Viewer
from gridloop.registry.actions import MIN_REASON, reveal_contact
from gridloop.registry.events import SAID as OF_REGISTRY
from gridloop.registry.queries import masked
from gridloop.standard import queries as standard_queries
from gridloop.territory.queries import names_of
from gridloop.web.shell.pages import is_fragment, refusal, show, staff

SAID = {**OF_CASES, **OF_HANDLE, **OF_FEEDBACK, **OF_REGISTRY}
"""Every event of a case in words: each stage keeps its own sentences beside its events."""
CHANNELS = {
    "hotline": Sentence(zh="热线电话", en="hotline"),
    "app": Sentence(zh="手机应用", en="app"),
    "web": Sentence(zh="居民网页", en="residents' page"),
    "wechat": Sentence(zh="微信", en="WeChat"),
    "sms": Sentence(zh="短信", en="text message"),
    "grid_worker": Sentence(zh="网格员上报", en="grid worker"),
    "video": Sentence(zh="视频发现", en="camera"),
    "sensor": Sentence(zh="传感器", en="sensor"),
}
"""What people call the channels by which reports come; any other is shown as it is."""
BEFORE = ("report", "verify", "before")


@require_GET
@staff
def page(request: HttpRequest, viewer: Viewer, number: str) -> HttpResponse:
    """Everything about one case on one page."""
    now = clock.now()
    case = case_of(viewer, number)
    be_present(case_id=case.pk, viewer=viewer, at=now)
    events = events_of(case, viewer)
    parts = co_units_of(case)
    pictures = pictures_of([case.pk], viewer).get(case.pk, [])
    before = [p for p in pictures if p.stage in BEFORE]
    after = [p for p in pictures if p.stage == "after"]
    standard = standard_queries.release(case.pack_release_id)
    case_type = standard.case_type(case.case_type)
    times = clocks(case, events, parts, now=now)
    verbs = possible(case, viewer, events=events, parts=parts, photographs=(len(before), len(after)), now=now)
    told = story(events, SAID)
    return show(
        request,
        "console/case.html",
        {
            "case": case,
            "case_type": case_type,
            "condition": next((c for c in case_type.conditions if c.id == case.condition), None),
            "region": names_of([case.region_code]).get(case.region_code, ""),
            "channel": CHANNELS.get(case.source) or Sentence(zh=case.source, en=case.source),
            "steps": steps(case, events),
            "bar": bar(times, now),
            "clocks": rows(times, now),
            "helpers": times.helpers,
            "story": list(reversed(told)),
            "before": before,
            "after": after,
            "checked": [p for p in pictures if p.stage == "check"],
            "notes": notes_of(case.pk, viewer),
            "asks_pictures": case_type.evidence,
            "reporters": reporters(case, viewer),
            "min_reason": MIN_REASON,
            "can": [v for v in verbs if v.why_not is None],
            "cannot": [v for v in verbs if v.why_not is not None and v.here],
            "later": [v for v in verbs if v.why_not is not None and not v.here],
            "main": main_verb(verbs, case),
            "mark": json.dumps([[case.lon, case.lat, case.number]]),
            "present": present_at(case.pk, viewer=viewer, at=now),
            "done": request.GET.get("done", ""),
            "moment_now": now,
            "perms_reveal": viewer.may("reveal_contact"),
            "may_publish": viewer.may("publish_picture"),
        },
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One of the seven steps of a case: ``done``, ``now``, ``ended`` (it came to another end there) or ``""``."""

    name: Sentence
    mark: str
    at: datetime | None = None


def steps(case: Case, events: Sequence[Event]) -> list[Step]:
    """The national seven steps, with what a case has behind it."""
    reached = [STEP_OF[s] for e in events if (s := e.data.get("set", {}).get("state")) in STEP_OF]
    ended = case.state in ENDS and case.state != "closed"
    here = STEP_OF.get(case.state) or max(reached, default=1)
    moments = [case.reported_at, case.filed_at, case.dispatched_at, case.signed_at, case.handled_at, case.closed_at]
    found = []
    for n, name in enumerate(SEVEN, 1):
        mark = "done" if n < here else "" if n > here else "ended" if ended else "now"
        at = moments[n - 1] if n <= len(moments) and n <= here else None
        found.append(Step(name, mark, at))
    return found


# --- the clocks as one bar -------------------------------------------------------------------------------------------

WIDE = 1000.0
"""Of the drawing, in its own units."""
LEAST = 3.0
"""So wide at least is each stage, that the short ones can be seen beside the long one."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A stage on the bar. `x` and `width` in the drawing's units."""

    x: float
    width: float
    colour: str
    """``fine``, ``late`` or ``paused``."""
    stage: str
    words: Sentence
    late_x: float | None = None
    """Where its deadline lies within it, if it passed it."""


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    at: datetime
    anchor: str


@dataclass(frozen=True, slots=True)
class Bar:
    """The drawing: stages to scale, the helpers' clocks below, where now and the deadline are, days."""

    pieces: tuple[Piece, ...]
    helpers: tuple[Piece, ...]
    due: float | None
    now: float | None
    ticks: tuple[Tick, ...]
    words: Sentence
    """The whole bar in words, for whoever does not see it."""
    height: int


def bar(times: Clocks, now: datetime) -> Bar | None:
    """The clocks of a case as a drawing to scale; None where nothing has happened yet."""
    whole = (times.end - times.start).total_seconds()
    if whole <= 0:
        return None

    def x(at: datetime) -> float:
        return round(min(max((at - times.start).total_seconds() / whole, 0), 1) * WIDE, 1)

    pieces = []
    for timed in times.spans:
        span = timed.span
        left, right = x(span.start), x(span.end)
        colour = "paused" if not span.stage else "late" if span.late else "fine"
        name = STAGE_NAMES.get(span.stage, PAUSE)
        passed = x(span.due) if span.late and span.due is not None and span.due > span.start else None
        words = Sentence(
            zh=f"{name.zh} {length(span.end - span.start).zh}", en=f"{name.en} {length(span.end - span.start).en}"
        )
        pieces.append(Piece(left, max(right - left, LEAST), colour, span.stage or "pause", words, passed))
    helpers = []
    for helper in times.helpers:
        left, right = x(helper.part.started_at), x(helper.end)
        unit = helper.part.unit
        words = Sentence(zh=f"协办：{unit.name}", en=f"helps: {unit.name_en or unit.name}")
        colour = "late" if helper.late else "fine"
        helpers.append(Piece(left, max(right - left, LEAST), colour, "help", words))
    running = any(t.span.running for t in times.spans)
    told = [row.sentence for row in rows(times, now)]
    return Bar(
        tuple(pieces),
        tuple(helpers),
        x(times.due) if times.due is not None and times.start <= times.due <= times.end else None,
        x(now) if running else None,
        (Tick(0, times.start, "start"), Tick(WIDE, times.end, "end")),
        Sentence(zh="；".join(t.zh for t in told), en="; ".join(t.en for t in told)),
        height=34 + 12 * len(helpers),
    )


PAUSE = Sentence(zh="挂账", en="suspended")


@dataclass(frozen=True, slots=True)
class Row:
    """One stage in figures: how long, of how much, due when."""

    stage: str
    name: Sentence
    round: int
    start: datetime
    end: datetime
    running: bool
    due: datetime | None
    late: bool
    used: Sentence
    limit: Sentence | None
    sentence: Sentence


def rows(times: Clocks, now: datetime) -> list[Row]:
    """The stages of a case in figures, oldest first."""
    found = []
    for timed in times.spans:
        span = timed.span
        name = STAGE_NAMES.get(span.stage, PAUSE)
        used = length(timedelta(seconds=timed.used), timed.limit.clock if timed.limit else None)
        limit = limit_words(timed.limit) if timed.limit is not None else None
        zh, en = f"{name.zh}用{used.zh}", f"{name.en}: {used.en} used"
        if limit is not None:
            zh, en = f"{zh}，限{limit.zh}", f"{en} of {limit.en}"
        if span.late:
            zh, en = f"{zh}，超时", f"{en}, overdue"
        found.append(
            Row(
                span.stage or "pause", name, timed.round, span.start, span.end, span.running,
                span.due if span.stage else None, span.late and bool(span.stage), used, limit, Sentence(zh=zh, en=en),
            )
        )  # fmt: skip
    return found


def limit_words(limit: Limit) -> Sentence:
    """A limit in the words of its clock: 4 working hours; less than one hour in minutes."""
    zh, en = CLOCKS[limit.clock]
    if limit.amount < 1 and limit.clock in (Clock.URGENT_HOUR, Clock.WORK_HOUR):
        minutes = int(limit.amount * 60)
        return Sentence(zh=f"{minutes}分钟", en=f"{minutes} min")
    return Sentence(zh=f"{limit.amount}{zh}", en=f"{limit.amount} {en}")


def length(time: timedelta, of: Clock | None = None) -> Sentence:
    """A length of time in its two largest units. Working days are counted as the eight hours that they have."""
    minutes = round(time.total_seconds() / 60)
    a_day = 8 * 60 if of in (Clock.WORK_DAY, Clock.WORK_HOUR) else 24 * 60
    days, rest = divmod(minutes, a_day)
    hours, minutes = divmod(rest, 60)
    if days:
        day = Sentence(zh="个工作日" if a_day == 480 else "天", en=" working d" if a_day == 480 else " d")
        return Sentence(zh=f"{days}{day.zh}{hours}小时", en=f"{days}{day.en} {hours} h")
    if hours:
        return Sentence(zh=f"{hours}小时{minutes}分", en=f"{hours} h {minutes} min")
    return Sentence(zh=f"{minutes}分钟", en=f"{minutes} min")


# --- what may be done ------------------------------------------------------------------------------------------------

LEADING = (
    "accept", "verify", "file", "dispatch", "start", "hand_back", "check", "close", "resume", "extend", "suspend",
    "decide_appeal", "co_hand_back",
)  # fmt: skip
"""The verbs that carry a case on its way, in whose order the first possible one is the one that is meant."""


def main_verb(verbs: Sequence[Possibility], case: Case) -> Possibility | None:
    """The verb that most likely brought the viewer here. Who only may grant something grants what was asked for."""
    can = {v.verb: v for v in reversed(verbs) if v.why_not is None}
    granting = {"extend", "suspend"} - {case.asked}
    return next((can[verb] for verb in LEADING if verb in can and verb not in granting), None)


# --- who told of it --------------------------------------------------------------------------------------------------


def reporters(case: Case, viewer: Viewer) -> list[Mapping[str, Any]]:
    """The reports of a case with their masked callers, oldest first."""
    reports = reports_of(case)
    people = masked([r.contact_id for r in reports if r.contact_id], viewer)
    return [
        {
            "report": r,
            "contact": people.get(r.contact_id or 0),
            "channel": CHANNELS.get(r.channel) or Sentence(zh=r.channel, en=r.channel),
        }
        for r in reports
    ]


@require_POST
@staff("reveal_contact")
def reveal(request: HttpRequest, viewer: Viewer, number: str) -> HttpResponse:
    """One reporter's name and number, for a typed reason. Never in an address, never kept by the browser."""
    case = case_of(viewer, number)
    contact_id = _whole(request.POST.get("contact"))
    if contact_id not in {r.contact_id for r in reports_of(case)}:
        raise not_found()
    reason = request.POST.get("reason", "")[:500]
    try:
        contact = reveal_contact(contact_id=contact_id, case_id=case.pk, reason=reason, viewer=viewer, at=clock.now())
    except Refused as no:
        # Said within the dialog, which stays open with the reason that was written.
        response = refusal(request, no.status, no.sentence, code=no.code)
        response["HX-Retarget"] = "#reveal-refused"
        return response
    return show(request, "console/_revealed.html", {"contact": contact})


def _whole(text: str | None) -> int:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) < 18 else 0


# --- who else is here ------------------------------------------------------------------------------------------------


@require_POST
@staff
def presence(request: HttpRequest, viewer: Viewer, number: str) -> HttpResponse:
    """A sign that the case is open here, answered with who else has it open and whether it has changed meanwhile."""
    now = clock.now()
    case = case_of(viewer, number)
    be_present(case_id=case.pk, viewer=viewer, at=now)
    seen = _whole(request.POST.get("version"))
    here = present_at(case.pk, viewer=viewer, at=now)
    return show(
        request,
        "console/_presence.html",
        {"case": case, "present": here, "changed": bool(seen) and seen != case.version},
    )


# --- pictures --------------------------------------------------------------------------------------------------------


@require_POST
@staff("evidence")
def evidence(request: HttpRequest, viewer: Viewer, number: str) -> HttpResponse:
    """Take photographs for a step of the case. What is not a photograph is refused with what to send instead."""
    case = case_of(viewer, number)
    stage = request.POST.get("stage", "")
    for file in request.FILES.getlist(stage)[:10]:  # each step has a field of its own: what is sent twice is not mixed
        if (file.size or 0) > MAX_BYTES:
            raise Refused(
                Sentence(zh="文件超过20MB，请缩小后再传。", en="The file is larger than 20 MB: send a smaller one."),
                status=413,
                code="too_large",
            )
        add_evidence(case_id=case.pk, stage=stage, content=file.read(), viewer=viewer)
    if not is_fragment(request):
        return HttpResponseRedirect(f"/console/cases/{case.number}")
    every = pictures_of([case.pk], viewer).get(case.pk, [])
    return show(
        request,
        "console/_added.html",
        {
            "pictures": [p for p in every if p.stage == stage],
            "photos": (sum(p.stage in BEFORE for p in every), sum(p.stage == "after" for p in every)),
            "needs": standard_queries.release(case.pack_release_id).case_type(case.case_type).evidence,
        },
    )


@require_GET
@staff
def note(request: HttpRequest, viewer: Viewer, evidence_id: int) -> HttpResponse:
    """A spoken note, to be heard or kept; never anything that the browser might run."""
    sound, media_type = spoken_note(viewer, evidence_id)
    response = HttpResponse(sound, content_type=media_type)
    response["Content-Disposition"] = f'attachment; filename="note-{evidence_id}"'
    response["Content-Security-Policy"] = "default-src 'none'; sandbox"
    response["X-Content-Type-Options"] = "nosniff"
    return response


@require_GET
@staff
def picture(request: HttpRequest, viewer: Viewer, evidence_id: int, size: str) -> HttpResponseBase:
    """A picture of a case that the viewer sees: the copy without hidden data, or the small one."""
    file = thumbnail_file(viewer, evidence_id) if size == "small" else served_file(viewer, evidence_id)
    response = FileResponse(file.open("rb"))
    for name, value in picture_headers(file, str(evidence_id)).items():
        response[name] = value
    response["Cache-Control"] = "private, max-age=600"
    return response
