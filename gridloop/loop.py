"""The whole loop on one screen: event -> reactions, timer -> reactions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gridloop.cases import events as case
from gridloop.cases.pyramid import fold
from gridloop.cases.queries import unlike_their_record
from gridloop.discover import events as report
from gridloop.discover.queries import unlike_their_record as reports_unlike_their_record
from gridloop.discover.reactions import forget_in_time, triage
from gridloop.dispatch.reactions import climb, route, tell, urge, warn, watch_the_clock
from gridloop.evaluate.reactions import note
from gridloop.feedback import events as callback
from gridloop.feedback.reactions import ask
from gridloop.handle import events as evidence
from gridloop.handle.queries import unlike_its_record
from gridloop.handle.reactions import forget_errands, make_copies, take_photographs_of_reports
from gridloop.kernel import events, jobs, sealing
from gridloop.kernel.events import Happened, Reaction
from gridloop.people.reactions import send_notices, tidy_up
from gridloop.registry.reactions import forget_reporters

REACTIONS: Mapping[type[Happened], Sequence[Reaction]] = {
    # discover: 发现
    report.ReportReceived: [triage],
    report.ReportRefused: [forget_in_time],
    # dispatch: 派遣
    case.CaseOpened: [route, note, take_photographs_of_reports],
    case.CallerJoined: [take_photographs_of_reports],
    case.CaseFiled: [route, note],
    case.DeadlineNear: [warn],
    case.DeadlinePassed: [climb, note],
    case.CaseReminded: [urge],
    case.CaseSupervised: [urge],
    case.CaseAssigned: [tell],
    case.ExtensionAsked: [tell],
    case.SuspensionAsked: [tell],
    case.RequestRefused: [tell],
    # handle: 处置
    evidence.EvidenceAdded: [make_copies],
    # feed back: 反馈
    case.CaseClosed: [ask, note, forget_in_time],
    callback.ReporterAsked: [note],
    callback.ReporterAnswered: [note],
    # evaluate: 评价
    case.CaseDispatched: [note, tell],
    case.CaseSigned: [note],
    case.CaseReturned: [note, tell],
    case.CaseHandedBack: [note],
    case.CaseSelfHandled: [note],
    case.CheckFailed: [note, tell],
    case.CaseSentBack: [note, tell],
    case.CaseReopened: [note, tell, forget_in_time],
    case.CaseExtended: [note, tell],
    case.CaseSuspended: [note, tell],
    case.CaseResumed: [note],
    case.CaseForceClosed: [note, forget_in_time],
    case.CaseCancelled: [note, forget_in_time],
    case.CaseRejected: [note, forget_in_time],
    case.CaseRefuted: [note, forget_in_time],
    case.FilingRefused: [note, forget_in_time],
    case.CaseCorrected: [route, note],
    case.AppealDecided: [note],
}

ONE_AT_A_TIME: Sequence[Reaction] = [
    triage,  # a report must see the cases that the reports before it opened
]

IN_BULK: Sequence[Reaction] = [
    note,  # several events of one case make one fact
]

SLOW: Sequence[Reaction] = [
    make_copies,  # half a second for a picture
]

TIMERS: Mapping[str, Sequence[Callable[[], object]]] = {
    "* * * * *": [watch_the_clock, fold, forget_reporters, tidy_up, forget_errands],
}
"""Cron line -> what to do then."""

OUTSIDE: Sequence[Callable[[], object]] = [send_notices]
"""What speaks with other hosts, every minute, beside the timers."""


CHECKS = [reports_unlike_their_record, unlike_their_record, unlike_its_record]
"""What `audit verify` compares with the record beside the record itself."""


def wire() -> None:
    """Subscribe every reaction and timer of the loop. Called once when the product starts."""
    events.subscribe(REACTIONS, one_at_a_time=ONE_AT_A_TIME, in_bulk=IN_BULK, slow=SLOW)
    jobs.schedule(TIMERS, outside=OUTSIDE)
    for check in CHECKS:
        sealing.also_check(check)
