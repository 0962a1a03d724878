"""The reserve on disk: a floor under which nothing new is accepted, and a ballast that buys the time to tidy up.

A full disk stops PostgreSQL in the middle of its log. So new reports are refused politely *before* that, and a file of
known size lies ready to be deleted (`gridloop db release-ballast`) when it happens all the same.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

MEBI = 1024 * 1024
FLOOR = 512 * MEBI
FLOOR_SHARE = 0.05
BALLAST = 64 * MEBI


@dataclass(frozen=True, slots=True)
class DiskState:
    """How much room is left on the file system of the data folder. Bytes."""

    free: int
    total: int
    floor: int
    ballast: bool

    @property
    def ok(self) -> bool:
        """Whether new reports may be taken in."""
        return self.free >= self.floor


def disk_state(data: Path) -> DiskState:
    """The room left where `data` lies; the floor is 5 % of the disk, at most 512 MiB. One system call: ask freely."""
    place = data
    while not place.exists():
        place = place.parent
    room = os.statvfs(place)
    total = room.f_blocks * room.f_frsize
    return DiskState(
        free=room.f_bavail * room.f_frsize,
        total=total,
        floor=min(FLOOR, int(total * FLOOR_SHARE)),
        ballast=_ballast(data).exists(),
    )


def lay_ballast(data: Path) -> bool:
    """Reserve 64 MiB of real blocks, if they are not reserved yet and there is plenty of room. Tells whether it did."""
    state = disk_state(data)
    if state.ballast or state.free < state.floor + 2 * BALLAST:
        return False
    draft = _ballast(data).with_suffix(".new")
    with draft.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, BALLAST)
        os.fsync(file.fileno())
    draft.rename(_ballast(data))
    return True


def release_ballast(data: Path) -> int:
    """Give the reserve back to the disk. Returns the bytes freed, 0 if there was none."""
    try:
        size = _ballast(data).stat().st_size
        _ballast(data).unlink()
    except FileNotFoundError:
        return 0
    return size


def _ballast(data: Path) -> Path:
    return data / "ballast"
