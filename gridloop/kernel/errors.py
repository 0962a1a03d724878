"""How something is refused: one sentence for a forbidden act, all mistakes at once for bad input."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gridloop.kernel.language import Sentence


class Refused(Exception):
    """An act that is not allowed now. Carries the sentence for the person and the HTTP status for a machine.

    `code` is a stable word for programs (`illegal_move`, `conflict`, `not_found`, `forbidden`, ...).
    """

    def __init__(self, sentence: Sentence, *, status: int = 409, code: str = "refused") -> None:
        super().__init__(sentence.en)
        self.sentence = sentence
        self.status = status
        self.code = code

    def __str__(self) -> str:
        return str(self.sentence)


def not_found() -> Refused:
    """The one answer for what is absent and for what is not yours: nobody learns which."""
    return Refused(
        Sentence(zh="没有这条记录，或您无权查看。", en="There is no such record, or you may not see it."),
        status=404,
        code="not_found",
    )


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake in the input: where it is, what is wrong, what to write instead."""

    place: str
    wrong: Sentence
    instead: Sentence

    def __str__(self) -> str:
        return f"{self.place}: {self.wrong} → {self.instead}"


class Mistakes(Exception):
    """All the mistakes of one input together. Nothing of the input was kept."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        self.mistakes = list(mistakes)
        super().__init__(f"{len(self.mistakes)} mistakes")

    def __str__(self) -> str:
        return "\n".join(str(m) for m in self.mistakes)
