"""The workflow of a case as one table: from, verb, to, permission, event (the national seven steps, DOMAIN.md §1.4).

核实 (`verify`) comes before filing, 核查 (`check`) after handling. What a row cannot say is a named guard in `rules`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gridloop.cases import events as e
from gridloop.kernel.language import Sentence

STATES: dict[str, Sentence] = {
    "reported": Sentence(zh="待受理", en="reported"),
    "pending_verify": Sentence(zh="待核实", en="to be verified"),
    "pending_filing": Sentence(zh="待立案", en="to be filed"),
    "pending_dispatch": Sentence(zh="待派遣", en="to be dispatched"),
    "dispatched": Sentence(zh="待签收", en="dispatched"),
    "handling": Sentence(zh="处置中", en="in hand"),
    "suspended": Sentence(zh="挂账", en="suspended"),
    "returned": Sentence(zh="已退单", en="returned"),
    "handled": Sentence(zh="待核查", en="to be checked"),
    "rework": Sentence(zh="返工", en="rework"),
    "pending_close": Sentence(zh="待结案", en="to be closed"),
    "closed": Sentence(zh="已结案", en="closed"),
    "forced_close": Sentence(zh="强制结案", en="closed by force"),
    "not_accepted": Sentence(zh="不予受理", en="not accepted"),
    "cancelled": Sentence(zh="已作废", en="cancelled"),
}
ENDS = frozenset({"closed", "forced_close", "not_accepted", "cancelled"})
OPEN = tuple(s for s in STATES if s not in ENDS)
WITH_UNIT = ("dispatched", "handling", "rework")
"""The states in which the unit's clock runs."""

STAGES: dict[str, str] = {
    "reported": "accept",
    "pending_verify": "verify",
    "pending_filing": "file",
    "pending_dispatch": "dispatch",
    "returned": "dispatch",
    "dispatched": "handle",
    "handling": "handle",
    "rework": "handle",
    "handled": "check",
    "pending_close": "close",
}
"""Which stage limit runs in a state; in a state that is not here no clock runs."""


SEVEN: tuple[Sentence, ...] = (
    Sentence(zh="信息收集", en="report"),
    Sentence(zh="案卷建立", en="file"),
    Sentence(zh="任务派遣", en="dispatch"),
    Sentence(zh="任务处理", en="handle"),
    Sentence(zh="处理反馈", en="hand back"),
    Sentence(zh="核查结案", en="check and close"),
    Sentence(zh="综合评价", en="evaluate"),
)
"""The national seven steps (DOMAIN.md §1.4), which is how people in this work know where a case is."""

STEP_OF: dict[str, int] = {
    "reported": 2, "pending_verify": 1, "pending_filing": 2, "pending_dispatch": 3, "returned": 3, "dispatched": 4,
    "handling": 4, "suspended": 4, "rework": 4, "handled": 6, "pending_close": 6, "closed": 7,
}  # fmt: skip
"""In which of the seven steps a case of each state is, from 1. The hand-back is a moment, so nothing rests in the fifth;
an end that is not the closing happens in whichever step it happens."""

STAGE_NAMES: dict[str, Sentence] = {
    "accept": Sentence(zh="受理", en="accept"),
    "verify": Sentence(zh="核实", en="verify"),
    "file": Sentence(zh="立案", en="file"),
    "dispatch": Sentence(zh="派遣", en="dispatch"),
    "handle": Sentence(zh="处置", en="handle"),
    "check": Sentence(zh="核查", en="check"),
    "close": Sentence(zh="结案", en="close"),
}
"""What people call the stages of which each has a clock."""


NAMELESS = Sentence(zh="", en="")


@dataclass(frozen=True, slots=True)
class Step:
    """One row: who may move a case by `verb` (with `outcome`, if the verb has several) from where to where."""

    origins: tuple[str, ...]
    verb: str
    outcome: str
    to: str
    """The new state; "" = it stays where it is."""
    permission: str
    event: type[e.CaseEvent]
    guards: tuple[str, ...] = ()
    """Names of functions in `cases.rules`."""
    name: Sentence = NAMELESS


def _steps() -> Iterable[Step]:
    # fmt: off
    def row(
        origins: str | tuple[str, ...], verb: str, to: str, permission: str, event: type[e.CaseEvent], zh: str, en: str,
        *guards: str, outcome: str = "",
    ) -> Step:
        where = (origins,) if isinstance(origins, str) else origins
        return Step(where, verb, outcome, to, permission, event, guards, Sentence(zh=zh, en=en))

    yield row("reported", "accept", "pending_filing", "accept", e.CaseAccepted, "受理", "accept")
    yield row("reported", "accept", "pending_verify", "assign_verify", e.CaseAccepted, "受理并核实", "accept and have it verified", "holder", outcome="verify")
    yield row("reported", "reject_intake", "not_accepted", "reject_intake", e.CaseRejected, "不予受理", "reject", "reason")
    yield row("pending_verify", "verify", "pending_filing", "verify", e.CaseVerified, "核实属实", "verify: it is so", outcome="true")
    yield row("pending_verify", "verify", "not_accepted", "verify", e.CaseRefuted, "核实不属实", "verify: it is not so", "reason", outcome="false")
    yield row("pending_filing", "file", "pending_dispatch", "file", e.CaseFiled, "立案", "file", "condition")
    yield row("pending_filing", "refuse_filing", "not_accepted", "refuse_filing", e.FilingRefused, "不予立案", "refuse to file", "reason")
    yield row(("pending_dispatch", "returned"), "dispatch", "dispatched", "dispatch", e.CaseDispatched, "派遣", "dispatch", "unit", "condition", "holder")
    yield row(WITH_UNIT, "assign", "", "assign", e.CaseAssigned, "指派", "assign", "in_unit", "person")
    yield row(("dispatched", "rework"), "start", "handling", "start", e.CaseSigned, "签收", "start", "in_unit")
    yield row(WITH_UNIT, "return_back", "returned", "return_back", e.CaseReturned, "退单", "return", "in_unit", "reason")
    yield row(WITH_UNIT, "hand_back", "handled", "hand_back", e.CaseHandedBack, "处置完成", "hand back", "in_unit", "co_units_done", "evidence")
    yield row(("reported", "pending_verify", "pending_filing", "pending_dispatch", "dispatched"), "self_handle", "handled", "self_handle", e.CaseSelfHandled, "自行处置", "put right on the spot", "may_self_handle", "own_unit", "condition", "co_units_done", "evidence")
    yield row("handled", "check", "pending_close", "check", e.CheckPassed, "核查通过", "check: solved", "another_person", outcome="passed")
    yield row("handled", "check", "rework", "check", e.CheckFailed, "核查不通过", "check: not solved", "another_person", "reason", outcome="failed")
    yield row("pending_close", "close", "closed", "close", e.CaseClosed, "结案", "close")
    yield row("pending_close", "send_back", "rework", "send_back", e.CaseSentBack, "退回返工", "send back", "reason")
    yield row(OPEN, "force_close", "forced_close", "force_close", e.CaseForceClosed, "强制结案", "close by force", "reason")
    yield row(OPEN, "cancel", "cancelled", "cancel", e.CaseCancelled, "作废", "cancel", "reason")
    yield row("closed", "reopen", "rework", "call_back", e.CaseReopened, "重办", "reopen", "reason")
    yield row("forced_close", "reopen", "pending_dispatch", "call_back", e.CaseReopened, "重办", "reopen", "reason", "was_filed")
    yield row(WITH_UNIT, "ask_extension", "", "ask_extension", e.ExtensionAsked, "申请延期", "ask for an extension", "in_unit", "reason", "may_extend", "nothing_asked")
    yield row(WITH_UNIT, "extend", "", "decide_extension", e.CaseExtended, "批准延期", "extend", "may_extend", "extension_asked")
    yield row(WITH_UNIT, "ask_suspension", "", "ask_suspension", e.SuspensionAsked, "申请挂账", "ask for a suspension", "in_unit", "reason", "may_suspend", "nothing_asked")
    yield row(WITH_UNIT, "suspend", "suspended", "decide_suspension", e.CaseSuspended, "挂账", "suspend", "reason", "until", "may_suspend", "suspension_asked")
    yield row(WITH_UNIT, "refuse_request", "", "decide_extension", e.RequestRefused, "驳回申请", "refuse the request", "reason", "something_asked")
    yield row("suspended", "resume", "handling", "resume", e.CaseResumed, "恢复", "resume")
    yield row(OPEN, "supervise", "", "supervise", e.CaseSupervised, "督办", "supervise", "reason")
    yield row(OPEN, "remind", "", "remind", e.CaseReminded, "催办", "remind")
    yield row(OPEN, "join", "", "triage", e.CallerJoined, "合并诉求", "join a caller")
    yield row(("reported", "pending_verify", "pending_filing", "pending_dispatch", "returned"), "correct", "", "correct", e.CaseCorrected, "更正", "correct", "known_condition")
    yield row(("pending_dispatch", *WITH_UNIT), "add_co_units", "", "add_co_unit", e.CoUnitsAdded, "增加协办", "add helping units", "co_units", "condition")
    yield row(OPEN, "co_hand_back", "", "co_hand_back", e.CoUnitDone, "协办完成", "hand the helping part back", "co_unit")
    yield row(OPEN, "withdraw_co_unit", "", "add_co_unit", e.CoUnitWithdrawn, "撤销协办", "withdraw a helping unit", "reason", "co_unit_open")
    yield row("closed", "appeal", "", "appeal", e.AppealMade, "申诉", "appeal", "in_unit", "reason", "no_appeal_yet")
    yield row("closed", "decide_appeal", "", "decide_appeal", e.AppealReviewed, "复核申诉", "review an appeal", "reason", "appeal_waits", "another_reviewer", outcome="grant")
    yield row("closed", "decide_appeal", "", "decide_appeal", e.AppealDecided, "驳回申诉", "refuse an appeal", "reason", "appeal_waits", "another_reviewer", outcome="refuse")
    # fmt: on


STEPS: tuple[Step, ...] = tuple(_steps())
BY_VERB: dict[tuple[str, str], tuple[Step, ...]] = {}
for _step in STEPS:
    _key = (_step.verb, _step.outcome)
    BY_VERB[_key] = (*BY_VERB.get(_key, ()), _step)
VERBS: dict[str, tuple[str, ...]] = {}
for _step in STEPS:
    VERBS[_step.verb] = tuple(dict.fromkeys((*VERBS.get(_step.verb, ()), _step.outcome)))


def step_for(state: str, verb: str, outcome: str = "") -> Step | None:
    """The row by which `verb` moves a case that is in `state`, or None if the table has none."""
    return next((s for s in BY_VERB.get((verb, outcome), ()) if state in s.origins), None)


def name_of(verb: str, outcome: str = "") -> Sentence:
    """What people call a verb of the table."""
    return BY_VERB[verb, outcome][0].name


def allowed(state: str) -> tuple[Step, ...]:
    """All rows that start in `state`."""
    return tuple(s for s in STEPS if state in s.origins)
