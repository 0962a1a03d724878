"""What can happen to evidence."""

from __future__ import annotations

from dataclasses import dataclass

from gridloop.kernel.events import Happened
from gridloop.kernel.language import Sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceAdded(Happened):
    """A file was received; its digest is in the record, so that it cannot be exchanged unseen."""

    evidence: int
    stage: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FormFilled(Happened):
    """A form of the pack was filled in. The answers stay out of the record; their digest is in."""

    filled: int
    form: str
    sha256: str


SAID: dict[str, Sentence] = {
    "EvidenceAdded": Sentence(zh="{who}上传{photo}。", en="{who} added {photo}."),
    "FormFilled": Sentence(zh="{who}填写了现场表单。", en="{who} filled in the form of the place."),
}
"""What each event says to people, with ``{who}`` and the like left open (see `cases.events.SAID`)."""
