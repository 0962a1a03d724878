"""The language of the terminal: Chinese when the locale is Chinese, English otherwise."""

from __future__ import annotations

import os

from gridloop.kernel.language import Sentence


def is_chinese() -> bool:
    """Whether LC_ALL, LC_MESSAGES or LANG (the first that is set decides) names Chinese."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        if value := os.environ.get(name):
            return value.lower().startswith("zh")
    return False


def say(zh: str, en: str) -> str:
    """The sentence in the language of the terminal."""
    return zh if is_chinese() else en


def told(sentence: Sentence) -> str:
    """A sentence of the product in the language of the terminal (also before Django is set up)."""
    return say(sentence.zh, sentence.en)
