"""Sentences in two languages, chosen when they are shown, not when they are written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import get_language


@dataclass(frozen=True, slots=True)
class Sentence:
    """One message in Chinese and English. `str()` gives the active language, Chinese first."""

    zh: str
    en: str

    def __str__(self) -> str:
        return self.en if (get_language() or "zh").startswith("en") else self.zh

    def both(self) -> dict[str, str]:
        """The form in which a sentence is stored (jsonb)."""
        return {"zh": self.zh, "en": self.en}

    @classmethod
    def stored(cls, value: Mapping[str, Any]) -> Sentence:
        """The sentence that `both()` stored."""
        return cls(zh=value.get("zh", ""), en=value.get("en", ""))
