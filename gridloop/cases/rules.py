"""What would be right: the guards that a row of the workflow table names. Values in, a sentence or None out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from math import cos, radians
from typing import Any

from gridloop.kernel.language import Sentence

MAX_EXTENSIONS = 2
"""A real city's rule (DOMAIN.md §1.4, source S1): two approvals at most; refusals do not count."""
MAX_SUSPENSIONS = 1
LONGEST_SUSPENSION = timedelta(days=366)
"""挂账 for a year at most, once (the same city's rule)."""
MIN_REASON = 2
DUPLICATE_CELL = 0.001
"""Degrees: the side of the squares in which duplicates are looked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoUnit:
    """A unit that is to help, and with what."""

    unit_id: int
    task: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """What somebody wants to do with a case. `verb` and `outcome` name a row of the workflow table."""

    case_id: int
    verb: str
    outcome: str = ""
    version: int | None = None
    """The version of the case that the actor has seen; None for machines that hold the case locked."""
    reason: str = ""
    unit_id: int | None = None
    person_id: int | None = None
    condition: str = ""
    until: datetime | None = None
    co_units: tuple[CoUnit, ...] = ()
    case_type: str = ""
    address: str | None = None
    lon: float | None = None
    lat: float | None = None
    region_code: str | None = None
    callers: int = 0
    reports: tuple[int, ...] = ()
    pictures: tuple[int, ...] = ()
    """Pictures that came with these reports, as the handling stage numbers them."""
    route: str = ""
    why: Sentence | None = None
    evidence: tuple[int, int] = (0, 0)
    """Photographs before and after that the handling stage vouches for."""
    at: datetime | None = None
    """When it happened, if not now: only a replay of recorded history names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What the guards look at beside the case and the move."""

    at: datetime
    person_id: int | None
    unit_ids: frozenset[int] | None
    """The units for which the actor may act; None = all (the system, and machines that were let in to act)."""
    kind: str
    post_units: tuple[int, ...] = ()
    """The units in which the actor has a post."""
    units: frozenset[int] = frozenset()
    """Which of the units that the move names are at work today."""
    open_co_units: Sequence[int] = ()
    conditions: frozenset[str] = frozenset()
    evidence_needed: tuple[int, int] = (0, 0)
    self_handle: bool = False
    """Whether the type may be put right on the spot (自行处置)."""
    appeal: Mapping[str, Any] | None = None
    """What is known of the appeal that was made: `appellant`, and `reviewer` once one of two has agreed."""
    person_units: Mapping[int, frozenset[int]] = field(default_factory=dict)
    """For each person that the move names and who works here: the units of the posts, and all units above them."""


Guard = Callable[[Any, Move, Situation], Sentence | None]


def reason(case: Any, move: Move, now: Situation) -> Sentence | None:
    """A reason is written."""
    if len(move.reason.strip()) < MIN_REASON:
        return Sentence(zh="请写明理由。", en="Give a reason.")
    return None


def condition(case: Any, move: Move, now: Situation) -> Sentence | None:
    """The type has the filing condition (立案条件) that is named, or that the case has."""
    wanted = move.condition or case.condition
    if not wanted:
        return Sentence(zh="请先选择立案条件。", en="Choose the filing condition first.")
    if wanted not in now.conditions:
        listed = sorted(now.conditions)
        return Sentence(
            zh=f"该类型没有立案条件“{wanted}”，可选：{'、'.join(listed)}。",
            en=f"This type has no filing condition “{wanted}”; it has {', '.join(listed)}.",
        )
    return None


def unit(case: Any, move: Move, now: Situation) -> Sentence | None:
    """A unit is named that is at work today."""
    if move.unit_id is None:
        return Sentence(zh="请指明派往哪个单位。", en="Name the unit to which it goes.")
    if move.unit_id not in now.units:
        return Sentence(zh="没有这个在用的单位。", en="There is no such unit at work today.")
    return None


def known_condition(case: Any, move: Move, now: Situation) -> Sentence | None:
    """If a filing condition is named, the type has it."""
    return condition(case, move, now) if move.condition else None


def was_filed(case: Any, move: Move, now: Situation) -> Sentence | None:
    """The case was filed before it was closed by force."""
    if case.filed_at is None:
        return Sentence(
            zh="案件未曾立案，不能重办：请重新上报。", en="It was never filed and cannot be reopened: report it anew."
        )
    return None


def holder(case: Any, move: Move, now: Situation) -> Sentence | None:
    """The person, if one is named, has a post today, and (dispatched by hand) in the unit."""
    if move.person_id is None:
        return None
    units = now.person_units.get(move.person_id)
    if units is None:
        return Sentence(zh="没有这个在岗的人。", en="There is no such person with a post today.")
    # A route may name the person who walks the grid, whichever unit that person belongs to.
    if now.kind == "person" and move.unit_id is not None and move.unit_id not in units:
        return Sentence(zh="此人不在该单位任职。", en="This person has no post in the unit.")
    return None


def may_self_handle(case: Any, move: Move, now: Situation) -> Sentence | None:
    """The pack lets this type be put right on the spot."""
    if not now.self_handle:
        return Sentence(
            zh="这类案件不能自行处置，请按流程派遣。",
            en="This kind of case is not put right on the spot: it goes its way.",
        )
    return None


def own_unit(case: Any, move: Move, now: Situation) -> Sentence | None:
    """A person does it, for a unit in which they have a post."""
    if now.kind != "person" or not now.post_units:
        return Sentence(zh="自行处置须由在岗的人完成。", en="Somebody with a post has to do it.")
    if move.unit_id is not None and move.unit_id not in now.post_units:
        return Sentence(zh="您不在该单位任职。", en="You have no post in this unit.")
    return None


def person(case: Any, move: Move, now: Situation) -> Sentence | None:
    """A person is named who has a post in the unit or below it."""
    if move.person_id is None:
        return Sentence(zh="请指明交给谁。", en="Name the person who gets it.")
    if case.unit_id not in now.person_units.get(move.person_id, frozenset()):
        return Sentence(zh="此人不在该单位任职。", en="This person has no post in the unit.")
    return None


def in_unit(case: Any, move: Move, now: Situation) -> Sentence | None:
    """The actor has a post in the unit that has the case or above it, or holds the case by name."""
    if now.unit_ids is None or case.unit_id in now.unit_ids:
        return None
    if now.person_id is not None and case.person_id == now.person_id:
        return None
    return Sentence(zh="案件在另一个单位手中。", en="Another unit has this case in hand.")


def co_unit(case: Any, move: Move, now: Situation) -> Sentence | None:
    """The unit has a helping part open, and the actor may act for it."""
    if move.unit_id is None or move.unit_id not in now.open_co_units:
        return Sentence(zh="该单位没有未完成的协办任务。", en="This unit has no helping part open.")
    if now.unit_ids is not None and move.unit_id not in now.unit_ids:
        return Sentence(zh="协办任务属于另一个单位。", en="The helping part belongs to another unit.")
    return None


def co_unit_open(case: Any, move: Move, now: Situation) -> Sentence | None:
    """The unit has a helping part open."""
    if move.unit_id is None or move.unit_id not in now.open_co_units:
        return Sentence(zh="该单位没有未完成的协办任务。", en="This unit has no helping part open.")
    return None


def co_units(case: Any, move: Move, now: Situation) -> Sentence | None:
    """Units are named, each once, that are at work and neither help already nor lead."""
    if not move.co_units:
        return Sentence(zh="请指明协办单位。", en="Name the helping units.")
    wanted = [c.unit_id for c in move.co_units]
    if not now.units.issuperset(wanted):
        return Sentence(zh="没有这个在用的单位。", en="There is no such unit at work today.")
    if case.unit_id in wanted or len(set(wanted)) < len(wanted) or set(wanted) & set(now.open_co_units):
        return Sentence(
            zh="协办单位重复，或就是主办单位。",
            en="A helping unit is named twice, helps already, or is the lead itself.",
        )
    return None


def co_units_done(case: Any, move: Move, now: Situation) -> Sentence | None:
    """No helping unit is still at it."""
    if now.open_co_units:
        n = len(now.open_co_units)
        return Sentence(zh=f"还有{n}个协办单位未完成。", en=f"{n} helping unit(s) have not handed back yet.")
    return None


def evidence(case: Any, move: Move, now: Situation) -> Sentence | None:
    """There are as many photographs of before and after as the type asks for."""
    missing = [max(need - have, 0) for need, have in zip(now.evidence_needed, move.evidence, strict=True)]
    if any(missing):
        return Sentence(
            zh=f"缺少照片：处置前{missing[0]}张，处置后{missing[1]}张。",
            en=f"Photographs are missing: {missing[0]} before and {missing[1]} after the work.",
        )
    return None


def another_person(case: Any, move: Move, now: Situation) -> Sentence | None:
    """A person checks, and not the one who handled it."""
    if now.kind != "person":
        return Sentence(zh="核查须由人完成。", en="A person has to check it.")
    if now.person_id is not None and now.person_id == case.handled_by_id:
        return Sentence(zh="核查人不能是处置人本人。", en="Whoever handled it cannot check it.")
    return None


def may_extend(case: Any, move: Move, now: Situation) -> Sentence | None:
    """It is not overdue, and was extended less than twice."""
    if case.extensions >= MAX_EXTENSIONS:
        return Sentence(zh="最多延期两次。", en="It was extended twice; that is the most.")
    if case.handle_due_at is None:
        return Sentence(zh="该案件没有处置时限。", en="This case has no handling deadline.")
    if now.at > case.handle_due_at:
        return Sentence(zh="已超期，不能再延期。", en="It is overdue and can no longer be extended.")
    return None


def may_suspend(case: Any, move: Move, now: Situation) -> Sentence | None:
    """It was not suspended before."""
    if case.suspensions >= MAX_SUSPENSIONS:
        return Sentence(zh="只能挂账一次。", en="It was suspended once; that is the most.")
    return None


def until(case: Any, move: Move, now: Situation) -> Sentence | None:
    """An end of the pause is named, within a year."""
    if move.until is None or not now.at < move.until <= now.at + LONGEST_SUSPENSION:
        return Sentence(zh="请写明挂账到哪一天，最长一年。", en="Say until when it is suspended, a year at most.")
    return None


def nothing_asked(case: Any, move: Move, now: Situation) -> Sentence | None:
    """No request waits for a decision."""
    if case.asked:
        return Sentence(zh="已有一项申请待批。", en="A request is waiting for a decision already.")
    return None


def something_asked(case: Any, move: Move, now: Situation) -> Sentence | None:
    """A request for an extension or a suspension waits."""
    if case.asked not in ("extend", "suspend"):
        return Sentence(zh="没有待批的申请。", en="No request is waiting.")
    return None


def extension_asked(case: Any, move: Move, now: Situation) -> Sentence | None:
    """What waits, if anything, is a request for an extension."""
    if case.asked not in ("extend", ""):
        return Sentence(zh="待批的不是延期申请。", en="What waits is not a request for an extension.")
    return None


def suspension_asked(case: Any, move: Move, now: Situation) -> Sentence | None:
    """What waits, if anything, is a request for a suspension."""
    if case.asked not in ("suspend", ""):
        return Sentence(zh="待批的不是挂账申请。", en="What waits is not a request for a suspension.")
    return None


def no_appeal_yet(case: Any, move: Move, now: Situation) -> Sentence | None:
    """The case was not appealed before."""
    if case.asked == "appeal" or case.exempt or now.appeal is not None:
        return Sentence(zh="每个案件只能申诉一次。", en="A case can be appealed once.")
    return None


def appeal_waits(case: Any, move: Move, now: Situation) -> Sentence | None:
    """An appeal waits for review."""
    if case.asked != "appeal":
        return Sentence(zh="没有待复核的申诉。", en="No appeal is waiting.")
    return None


def another_reviewer(case: Any, move: Move, now: Situation) -> Sentence | None:
    """A person reviews who neither appealed nor gave the first opinion."""
    made = now.appeal or {}
    if now.kind != "person":
        return Sentence(zh="申诉须由人复核。", en="A person has to review an appeal.")
    if made.get("reviewer") == now.person_id:
        return Sentence(zh="两次复核须由两个人完成。", en="Two different persons have to review an appeal.")
    if made.get("appellant") == now.person_id:
        return Sentence(zh="申诉人不能复核自己的申诉。", en="Whoever appealed cannot review the appeal.")
    return None


GUARDS: dict[str, Guard] = {
    g.__name__: g
    for g in (
        reason, condition, known_condition, unit, was_filed, person, holder, in_unit, may_self_handle, own_unit,
        co_unit, co_unit_open, co_units, co_units_done, evidence, another_person, may_extend, may_suspend, until,
        nothing_asked, something_asked, extension_asked, suspension_asked, no_appeal_yet, appeal_waits,
        another_reviewer,
    )
}  # fmt: skip

ASKS: dict[str, tuple[str, ...]] = {
    "reason": ("reason",),
    "condition": ("condition",),
    "known_condition": ("case_type", "place", "condition"),
    "unit": ("unit",),
    "holder": ("person",),
    "person": ("person",),
    "until": ("until",),
    "co_units": ("co_units",),
    "co_unit": ("part",),
    "co_unit_open": ("part",),
    "evidence": ("evidence",),
}
"""The guards that look at what the mover says, and what a form must therefore ask: all other guards can be answered
before anybody says anything."""
MAY_BE_EMPTY = frozenset({"person", "case_type", "place", "condition"})
"""What a form may leave empty where `holder`, `known_condition` or `condition` asks for it; `person` asks always."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a case's life in one stage."""

    stage: str
    """A key of `workflow.STAGE_NAMES`; "" = the clock stood still (挂账)."""
    start: datetime
    end: datetime
    """For the one that still runs: now."""
    due: datetime | None
    """The last deadline that the stage had."""
    running: bool = False

    @property
    def late(self) -> bool:
        return self.due is not None and self.end > self.due


def spans(told: Sequence[tuple[datetime, Mapping[str, Any]]], stages: Mapping[str, str], now: datetime) -> list[Span]:
    """The stages of a case from what its events set, oldest first, as (when, fields). `stages`: state -> stage.

    A state without a stage ends the span; of these only ``suspended`` has one of its own, without a name.
    """
    found: list[Span] = []
    stage, start, due = None, now, None
    for at, fields in told:
        if "state" in fields:
            state = fields["state"]
            following = "" if state == "suspended" else stages.get(state)
            if following != stage:
                if stage is not None:
                    found.append(Span(stage, start, max(at, start), due))
                stage, start, due = following, at, None
        if fields.get("due_at"):
            due = datetime.fromisoformat(fields["due_at"])
    if stage is not None:
        found.append(Span(stage, start, max(now, start), due, running=True))
    return found


def cell_of(lon: float | None, lat: float | None) -> int | None:
    """The square of about 111 m by 90 m in which a place lies, as one number; None without a place."""
    if lon is None or lat is None:
        return None
    return int((lat + 90) // DUPLICATE_CELL) * 1_000_000 + int((lon + 180) // DUPLICATE_CELL)


def cells_around(lon: float, lat: float, meters: float) -> list[int]:
    """The numbers of all squares that reach within `meters` of a place (two or three, seldom more)."""
    high = meters / 110_500
    wide = meters / (111_320 * max(cos(radians(lat)), 0.01))
    rows = range(int((lat + 90 - high) // DUPLICATE_CELL), int((lat + 90 + high) // DUPLICATE_CELL) + 1)
    columns = range(int((lon + 180 - wide) // DUPLICATE_CELL), int((lon + 180 + wide) // DUPLICATE_CELL) + 1)
    return [row * 1_000_000 + column for row in rows for column in columns]


# --- words -----------------------------------------------------------------------------------------------------------

_RUN = re.compile(r"[^\W_]+")
_UNIT = re.compile(r"[a-z0-9]+|[^a-z0-9]")
LONGEST_QUERY = 100
"""Signs of a search that are looked at."""
LONGEST_WORD = 60


def _runs(text: str) -> list[list[str]]:
    """The text cut into runs without blanks and punctuation, each into its units: one sign, or a Latin word or number.

    Full-width forms, capitals and compatibility characters are told alike (NFKC, case-folded).
    """
    plain = unicodedata.normalize("NFKC", text).casefold()
    return [[unit[:LONGEST_WORD] for unit in _UNIT.findall(run)] for run in _RUN.findall(plain)]


def lexemes(*texts: str) -> str:
    """What a search finds by, as the text of a `tsvector`: each unit joined with the one after it.

    中原路12 gives 中原, 原路, 路12, 12: two Chinese characters are one lexeme; one character, and the beginning of a
    Latin word, is the beginning of a lexeme.
    """
    found = {
        unit + following
        for text in texts
        for run in _runs(text)
        for unit, following in zip(run, [*run[1:], ""], strict=True)
    }
    return " ".join(f"'{lexeme}'" for lexeme in sorted(found))


def lexemes_asked(text: str) -> str:
    """What somebody looks for, as the text of a `tsquery` over `lexemes`; "" if nothing in it can be looked for.

    Every run must occur: a single unit by its beginning, several unit by unit; a Latin word or number at the end of
    what was typed may go on.
    """
    asked: list[str] = []
    for run in _runs(text[:LONGEST_QUERY]):
        pairs = [a + b for a, b in pairwise(run)]
        asked += [f"'{pair}'" for pair in pairs[:-1]]
        last = pairs[-1] if pairs else run[0]
        asked.append(f"'{last}'" if pairs and not run[-1].isascii() else f"'{last}':*")
    return " & ".join(dict.fromkeys(asked))


def lexemes_of(number: str, text: str, address: str) -> str:
    """The lexemes of a case: its words, where it is, and its number, with and without the county in front of it."""
    return lexemes(text, address, number, number[6:])
