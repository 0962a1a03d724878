"""What is hidden on the copy that everybody may see: faces and number plates, wherever they are.

A detector says where such a thing is. It never says whose it is: nothing here reads a plate or tells faces apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image

KINDS = ("face", "plate")
"""What must have been looked for before a copy may be public without a person."""
BY_HAND = "hand"
MOST_PARTS = 200


@dataclass(frozen=True, slots=True)
class Part:
    """A rectangle of a picture: shares of its width and height, from the upper left corner, 0 to 1."""

    left: float
    top: float
    right: float
    bottom: float
    what: str
    """face, plate or hand (a person drew it)."""

    def wider(self, share: float) -> Part:
        """The same, larger by a share of its own size on every side."""
        x, y = (self.right - self.left) * share, (self.bottom - self.top) * share
        return Part(
            max(0.0, self.left - x), max(0.0, self.top - y), min(1.0, self.right + x), min(1.0, self.bottom + y),
            self.what,
        )  # fmt: skip

    def pixels(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right, bottom in a picture of this size; never less than the part."""
        return (
            int(self.left * width), int(self.top * height),
            min(width, -int(-self.right * width // 1)), min(height, -int(-self.bottom * height // 1)),
        )  # fmt: skip

    def stored(self) -> list[float | str]:
        return [*(round(v, 4) for v in (self.left, self.top, self.right, self.bottom)), self.what]


class Detector(Protocol):
    """Finds one kind of thing in a picture."""

    kind: str
    """One of `KINDS`."""

    def find(self, image: Image.Image) -> list[Part]:
        """Where such things are (an RGB picture); an empty list where there are none. Never who or which they are."""


def looked_for(detectors: Sequence[Detector]) -> bool:
    """Whether these detectors together look for all that has to be hidden."""
    return {d.kind for d in detectors} >= set(KINDS)


def to_hide(image: Image.Image, detectors: Sequence[Detector]) -> list[Part]:
    """All that the detectors find, a little wider than found, since a detector's edge cuts chins and corners."""
    return [part.wider(0.15) for detector in detectors for part in detector.find(image)][:MOST_PARTS]
