"""Passwords: how they are hashed, what a new one must be, and the one-time codes that come before the first one."""

from __future__ import annotations

import hashlib
import os
import secrets
from threading import BoundedSemaphore
from typing import Any

from django.contrib.auth.hashers import Argon2PasswordHasher
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from gridloop.kernel.errors import Mistake, Mistakes
from gridloop.kernel.language import Sentence
from gridloop.people.models import Person

MAX_LENGTH = 256
_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
_CODE_LENGTH = 26
"""26 of 32 letters: 130 bits (ASVS v5.0.0-11.5.1 asks for 128)."""

_one_at_a_time = BoundedSemaphore(max(1, (os.cpu_count() or 2) // 2))
"""A log-in storm must not take every core: half of them hash, the rest wait their turn."""


class Argon2(Argon2PasswordHasher):
    """Argon2id with 19 MiB, two passes, one lane: about 25 ms on one core (the second choice of RFC 9106 in little)."""

    time_cost = 2
    memory_cost = 19 * 1024
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        with _one_at_a_time:
            return super().encode(password, salt)

    def verify(self, password: str, encoded: str) -> bool:
        with _one_at_a_time:
            return super().verify(password, encoded)


def check_new_password(password: str, person: Person | None = None, *, place: str = "password") -> None:
    """Raise `Mistakes` with everything that is wrong with a new password: too short, common, like the user name.

    No rules of composition and no forced change by date (ASVS v5.0.0-6.2.5, 6.2.10); a deployment under GB/T 22239
    adds validators in its settings.
    """
    mistakes = []
    if len(password) > MAX_LENGTH:
        mistakes.append(_mistake(place, "太长", "is too long"))
    try:
        validate_password(password[:MAX_LENGTH], person)
    except ValidationError as error:
        for one in error.error_list:
            zh, en = _SENTENCES.get(one.code or "", ("不符合口令规定", "breaks a rule of this deployment"))
            params: dict[str, Any] = one.params or {}
            mistakes.append(_mistake(place, zh.format_map(_Filled(params)), en.format_map(_Filled(params))))
    if mistakes:
        raise Mistakes(mistakes)


class _Filled(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return ""


_SENTENCES = {
    "password_too_short": ("少于{min_length}个字符", "has fewer than {min_length} characters"),
    "password_too_common": ("太常见，容易被猜到", "is one of the most used passwords"),
    "password_too_similar": ("与用户名或姓名太像", "is too much like the user name or the name"),
    "password_entirely_numeric": ("只有数字", "is digits only"),
}


def _mistake(place: str, zh: str, en: str) -> Mistake:
    return Mistake(
        place,
        Sentence(zh=f"口令{zh}", en=f"the password {en}"),
        Sentence(zh="用几个不相干的词连成一句", en="join a few unrelated words"),
    )


def new_code() -> str:
    """A one-time code, in groups of five so that a person can read it out."""
    letters = "".join(secrets.choice(_LETTERS) for _ in range(_CODE_LENGTH))
    return "-".join(letters[n : n + 5] for n in range(0, _CODE_LENGTH, 5))


def hash_code(code: str) -> str:
    """What is stored of a code. It is random enough that a fast hash is a safe one."""
    plain = "".join(c for c in code.upper() if c.isalnum())
    return hashlib.sha256(b"setup\0" + plain.encode()).hexdigest()
