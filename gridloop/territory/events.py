"""What can happen to the map."""

from __future__ import annotations

from dataclasses import dataclass

from gridloop.kernel.events import Happened


@dataclass(frozen=True, slots=True, kw_only=True)
class MapChanged(Happened):
    """Regions or unit cells of one district (`subject` is ``district:<code>``) were added, redrawn, renamed or retired.

    `codes` holds the first hundred of them; `edition` is the token of the map that holds after the change.
    """

    source: str
    created: int
    redrawn: int
    edited: int
    retired: int
    codes: list[str]
    edition: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ComponentsImported(Happened):
    """Components (部件) were added, or what is known of them changed."""

    source: str
    created: int
    edited: int
    edition: str
