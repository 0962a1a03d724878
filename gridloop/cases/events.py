"""What can happen to a case. Every event carries the fields of the case that it set: the case is their fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gridloop.kernel.events import Happened
from gridloop.kernel.language import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEvent(Happened):
    """A move of a case."""

    version: int
    """The case's version after the move."""
    set: dict[str, Any]
    """The fields that the move set, as they are stored. Replayed in order they give the case's row."""
    reason: str = ""
    """What the actor wrote, where the move asks for a reason."""
    about: dict[str, Any] = field(default_factory=dict)
    """What else belongs to the move: the outcome of a check, the units that help, the reports that joined."""


class CaseOpened(CaseEvent):
    """A report became a case. `about.words` is the SHA-256 of its text and address, which stay out of the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CasesExported(Happened):
    """Cases left the house in a file (subject ``person:id``): how many, by which filter, with what was said or without.

    `query` is the filter without the words that were looked for: people look for names.
    """

    count: int
    query: str
    text: bool


class CaseAccepted(CaseEvent):
    """受理: intake takes it on."""


class CaseRejected(CaseEvent):
    """不予受理: not a matter for us."""


class CaseVerified(CaseEvent):
    """核实属实: somebody went and saw it."""


class CaseRefuted(CaseEvent):
    """核实不属实: somebody went and found nothing."""


class CaseFiled(CaseEvent):
    """立案: it meets a filing condition."""


class FilingRefused(CaseEvent):
    """不予立案."""


class CaseDispatched(CaseEvent):
    """派遣: a unit has it; its clock starts."""


class CaseAssigned(CaseEvent):
    """Given to another person of the unit."""


class CaseSigned(CaseEvent):
    """签收: work starts."""


class CaseReturned(CaseEvent):
    """退单: the unit says that it is not its business, and why."""


class CaseSelfHandled(CaseEvent):
    """自行处置: found and put right by the same person on the spot; filed, dispatched and handed back in one step."""


class CaseHandedBack(CaseEvent):
    """处理反馈: the unit says that it is done."""


class CheckPassed(CaseEvent):
    """核查通过."""


class CheckFailed(CaseEvent):
    """核查不通过: rework."""


class CaseSentBack(CaseEvent):
    """The shift lead will not close it: rework."""


class CaseClosed(CaseEvent):
    """结案."""


class CaseForceClosed(CaseEvent):
    """强制结案."""


class CaseCancelled(CaseEvent):
    """作废."""


class CaseReopened(CaseEvent):
    """The reporter says that it is not solved: back to the same unit."""


class ExtensionAsked(CaseEvent):
    """申请延期."""


class CaseExtended(CaseEvent):
    """延期: the deadline moves by one original limit."""


class SuspensionAsked(CaseEvent):
    """申请挂账."""


class CaseSuspended(CaseEvent):
    """挂账: the clock stands still."""


class RequestRefused(CaseEvent):
    """An extension or suspension was refused."""


class CaseResumed(CaseEvent):
    """The clock runs again."""


class CaseSupervised(CaseEvent):
    """督办."""


class CaseReminded(CaseEvent):
    """催办."""


class CallerJoined(CaseEvent):
    """More reports told of the same problem."""


class CaseCorrected(CaseEvent):
    """Type, place or condition were wrong and are right now."""


class CoUnitsAdded(CaseEvent):
    """协办: other units help, each with a clock of its own."""


class CoUnitDone(CaseEvent):
    """A helping unit handed its part back."""


class CoUnitWithdrawn(CaseEvent):
    """A helping unit is not needed after all."""


class AppealMade(CaseEvent):
    """申诉: the unit asks that the statistics leave the case out."""


class AppealReviewed(CaseEvent):
    """One of two reviewers gave an opinion."""


class AppealDecided(CaseEvent):
    """The second reviewer agreed with the first, or the appeal failed. Facts never change; only `exempt` may."""


class DeadlineNear(CaseEvent):
    """80 % of the step's time is used; with `about.unit`, of that helping unit's time."""


class DeadlinePassed(CaseEvent):
    """The step's deadline has passed; with `about.unit`, that of the helping unit. The next level knows."""


SAID: dict[str, Sentence] = {
    "CaseOpened": Sentence(zh="{who}建立案件。", en="{who} opened the case."),
    "CaseAccepted": Sentence(zh="{who}受理。", en="{who} accepted it."),
    "CaseAccepted.person": Sentence(zh="{who}受理，交{person}核实。", en="{who} accepted it; {person} is to verify it."),
    "CaseRejected": Sentence(zh="{who}不予受理。", en="{who} rejected it."),
    "CaseVerified": Sentence(zh="{who}到现场核实：属实。", en="{who} went to see it: it is so."),
    "CaseRefuted": Sentence(zh="{who}到现场核实：不属实。", en="{who} went to see it: it is not so."),
    "CaseFiled": Sentence(zh="{who}立案。", en="{who} filed it."),
    "FilingRefused": Sentence(zh="{who}不予立案。", en="{who} refused to file it."),
    "CaseDispatched": Sentence(zh="{who}派给{unit}。", en="{who} sent it to {unit}."),
    "CaseDispatched.person": Sentence(
        zh="{who}派给{unit}，由{person}承办。", en="{who} sent it to {unit}, into the hands of {person}."
    ),
    "CaseAssigned": Sentence(zh="{who}指派给{person}。", en="{who} gave it to {person}."),
    "CaseSigned": Sentence(zh="{who}签收，开始处置。", en="{who} signed for it and began to work."),
    "CaseReturned": Sentence(zh="{who}退单。", en="{who} returned it."),
    "CaseSelfHandled": Sentence(zh="{who}当场自行处置完毕。", en="{who} put it right on the spot."),
    "CaseHandedBack": Sentence(zh="{who}报告处置完成。", en="{who} handed it back as done."),
    "CheckPassed": Sentence(zh="{who}核查通过。", en="{who} checked it: solved."),
    "CheckFailed": Sentence(zh="{who}核查不通过，返工。", en="{who} checked it: not solved; it is to be done again."),
    "CaseSentBack": Sentence(zh="{who}退回返工。", en="{who} sent it back to be done again."),
    "CaseClosed": Sentence(zh="{who}结案。", en="{who} closed it."),
    "CaseForceClosed": Sentence(zh="{who}强制结案。", en="{who} closed it by force."),
    "CaseCancelled": Sentence(zh="{who}作废。", en="{who} cancelled it."),
    "CaseReopened": Sentence(zh="{who}重办。", en="{who} reopened it."),
    "ExtensionAsked": Sentence(zh="{who}申请延期。", en="{who} asked for an extension."),
    "CaseExtended": Sentence(zh="{who}批准延期，期限改为{due}。", en="{who} extended it; it is due {due} now."),
    "SuspensionAsked": Sentence(zh="{who}申请挂账。", en="{who} asked for a suspension."),
    "CaseSuspended": Sentence(zh="{who}批准挂账至{until}，时钟停走。", en="{who} suspended it until {until}; its clock stands still."),
    "RequestRefused": Sentence(zh="{who}驳回申请。", en="{who} refused the request."),
    "CaseResumed": Sentence(zh="{who}恢复办理，时钟继续走。", en="{who} resumed it; its clock runs again."),
    "CaseSupervised": Sentence(zh="{who}督办。", en="{who} supervises it."),
    "CaseReminded": Sentence(zh="{who}催办。", en="{who} urged it."),
    "CallerJoined": Sentence(zh="又有人反映同一问题，共{callers}件诉求。", en="The same was reported again: {callers} reports now."),
    "CaseCorrected": Sentence(zh="{who}更正类型、地点或立案条件。", en="{who} corrected its type, place or filing condition."),
    "CoUnitsAdded": Sentence(zh="{who}请{units}协办。", en="{who} asked {units} to help."),
    "CoUnitDone": Sentence(zh="{who}报告：{unit}的协办完成。", en="{who} handed back the part of {unit}."),
    "CoUnitWithdrawn": Sentence(zh="{who}撤销{unit}的协办。", en="{who} withdrew the part of {unit}."),
    "AppealMade": Sentence(zh="{who}申诉：请统计时剔除本案。", en="{who} appealed: the figures should leave this case out."),
    "AppealReviewed": Sentence(zh="{who}初审同意申诉，待第二人复核。", en="{who} agreed with the appeal; a second opinion is to come."),
    "AppealDecided": Sentence(zh="{who}驳回申诉。", en="{who} refused the appeal."),
    "AppealDecided.exempt": Sentence(zh="{who}复核同意申诉：统计剔除本案。", en="{who} agreed with the appeal as well: the figures leave the case out."),
    "DeadlineNear": Sentence(zh="{stage}时限已用八成，已提醒承办人。", en="80 % of the time to {stage} is used; its holder was told."),
    "DeadlineNear.unit": Sentence(zh="{unit}的协办时限已用八成，已提醒。", en="80 % of the time of {unit} is used; it was told."),
    "DeadlinePassed": Sentence(zh="{stage}超期，已报上一级。", en="The time to {stage} is over; the next level was told."),
    "DeadlinePassed.unit": Sentence(zh="{unit}的协办超期，已报上一级。", en="The time of {unit} is over; the next level was told."),
}  # fmt: skip
"""What each event says to people, with ``{who}`` and the like left open: an entry ``Name.field`` is for an event of
that name which tells something of that field."""


def sentence_of(table: Mapping[str, Sentence], name: str, about: Mapping[str, Any]) -> Sentence | None:
    """The sentence of an event: the first entry ``name.field`` of which `about` has something to say, else ``name``."""
    for key, sentence in table.items():
        if key.startswith(f"{name}.") and about.get(key[len(name) + 1 :]):
            return sentence
    return table.get(name)
