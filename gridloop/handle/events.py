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


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicCopyReleased(Happened):
    """A person let everybody see a picture, blurred in so many places; the digest is that of the copy."""

    evidence: int
    hidden: int
    sha256: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicCopyWithheld(Happened):
    """A person took a picture back from everybody."""

    evidence: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginRevealed(Happened):
    """A reviewer looked at what a picture's file says of itself."""

    evidence: int
    reason: str


SAID: dict[str, Sentence] = {
    "EvidenceAdded": Sentence(zh="{who}上传{photo}。", en="{who} added {photo}."),
    "PublicCopyReleased": Sentence(zh="{who}公开了一张照片。", en="{who} released a photograph to the public."),
    "PublicCopyWithheld": Sentence(zh="{who}收回了一张公开照片。", en="{who} withheld a photograph from the public."),
    "OriginRevealed": Sentence(
        zh="{who}查看了照片自带的拍摄信息。", en="{who} looked at what a photograph says of its taking."
    ),
    "FormFilled": Sentence(zh="{who}填写了现场表单。", en="{who} filled in the form of the place."),
}
"""What each event says to people, with ``{who}`` and the like left open (see `cases.events.SAID`)."""
