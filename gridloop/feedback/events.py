"""What can happen when we ask."""

from __future__ import annotations

from dataclasses import dataclass

from gridloop.kernel.events import Happened
from gridloop.kernel.language import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class ReporterAsked(Happened):
    """The reporter of a closed case can say whether it is solved."""

    callback: int
    report: int
    round: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReporterAnswered(Happened):
    """The answer. The comment stays out of the record: people write names into it."""

    callback: int
    report: int
    resolved: bool
    satisfied: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerTemplateKept(Happened):
    """Somebody wrote or changed an answer template (subject ``template:id``)."""

    name: str


SAID: dict[str, Sentence] = {
    "ReporterAsked": Sentence(zh="请反映人答复：问题解决了吗？", en="The reporter was asked whether it is solved."),
    "ReporterAnswered": Sentence(zh="反映人答复：没有解决。", en="The reporter answered: not solved."),
    "ReporterAnswered.resolved": Sentence(zh="反映人答复：已解决。", en="The reporter answered: solved."),
}
"""What each event says to people (see `cases.events.SAID`)."""
