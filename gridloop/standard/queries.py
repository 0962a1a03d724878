"""What holds now, and what held for an old case."""

from __future__ import annotations

import threading
from functools import lru_cache
from time import monotonic

from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence
from gridloop.standard.models import PackRelease
from gridloop.standard.rules import Standard, build
from gridloop.standard.rules import format as fmt

FRESH_SECONDS = 1.0
"""How long a process may believe what it knows: so late does it learn of a release that another one activated."""

_lock = threading.Lock()
_known: tuple[float, tuple[tuple[int, str], ...], Standard] | None = None


def current() -> Standard:
    """The standard of the active releases. Costs nothing, or one small query if the last one is a second old."""
    global _known
    known = _known
    if known and monotonic() - known[0] < FRESH_SECONDS:
        return known[2]
    with _lock:
        active = tuple(PackRelease.objects.filter(retired_at=None).order_by("id").values_list("id", "sha256"))
        if _known and _known[1] == active:
            _known = (monotonic(), active, _known[2])
        else:
            _known = (monotonic(), active, _standard(active))
        return _known[2]


def release(release_id: int) -> Standard:
    """The standard as this one release knew it: for a case that was opened under it.

    Raises `Refused` (404) where there is no such release.
    """
    known = _known
    sha256 = dict(known[1]).get(release_id) if known else None
    if sha256 is None:
        sha256 = PackRelease.objects.filter(pk=release_id).values_list("sha256", flat=True).first()
    if sha256 is None:
        raise Refused(
            Sentence(zh=f"没有场景包版本 {release_id}。", en=f"There is no pack release {release_id}."),
            status=404,
            code="not_found",
        )
    return _standard(((release_id, sha256),))


def forget() -> None:
    """Ask the database again at the next call: after an activation, and between tests."""
    global _known
    with _lock:
        _known = None


@lru_cache(maxsize=64)
def _standard(releases: tuple[tuple[int, str], ...]) -> Standard:
    """Built once per content: a release never changes, so its id and hash say all."""
    contents = dict(PackRelease.objects.filter(pk__in=[id_ for id_, _ in releases]).values_list("id", "content"))
    packs = [(id_, fmt.Pack.model_validate(contents[id_]["pack"])) for id_, _ in releases]
    districts = [c["district"] for c in contents.values() if c["district"]]
    return build(packs, fmt.District.model_validate(districts[-1]) if districts else None)
