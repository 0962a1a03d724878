"""How a name and a phone are masked."""

from __future__ import annotations

import re


def mask_name(name: str) -> str:
    """``王小明`` → ``王*``, ``Ann Lee`` → ``A*``: the first character and one star, so the length does not tell."""
    name = name.strip()
    return f"{name[0]}*" if name else ""


def mask_phone(phone: str) -> str:
    """``138 1234 5678`` → ``138****5678``; of a shorter number only the last two digits stay."""
    digits = re.sub(r"\D", "", phone)
    if len(digits) >= 11:
        return f"{digits[:3]}****{digits[-4:]}"
    return f"****{digits[-2:]}" if len(digits) >= 6 else "****" if phone.strip() else ""


def names_somebody(text: str, *, name: str, phone: str) -> bool:
    """Whether a text repeats the reporter's name or number; a reason for looking must not carry what it uncovers."""
    digits = re.sub(r"\D", "", phone)
    return (len(name.strip()) >= 2 and name.strip() in text) or (
        len(digits) >= 6 and digits in re.sub(r"[\s\-()（）+]", "", text)
    )
