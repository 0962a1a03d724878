"""What can happen to a case. Every event carries the fields of the case that it set: the case is their fold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gridloop.kernel.events import Happened


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
