"""What can happen to the standard."""

from __future__ import annotations

from dataclasses import dataclass

from gridloop.kernel.events import Happened


@dataclass(frozen=True, slots=True, kw_only=True)
class PacksActivated(Happened):
    """Other releases hold from now on. Each is named as ``pack version``; `sha256` is of its content, by that name."""

    activated: list[str]
    retired: list[str]
    sha256: dict[str, str]
