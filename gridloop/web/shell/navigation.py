"""What the side of the staff's pages leads to: one table."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from django.urls import Resolver404, resolve

from gridloop.kernel.language import Sentence
from gridloop.people.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Entry:
    """A place in the product, for whoever has one of the permissions (none named: for everybody who works here)."""

    address: str
    icon: str
    name: Sentence
    any_of: tuple[str, ...] = ()
    current: bool = False


def _entry(address: str, icon: str, zh: str, en: str, any_of: str = "") -> Entry:
    return Entry(address, icon, Sentence(zh=zh, en=en), tuple(any_of.split()))


ENTRIES = (
    _entry("/console/", "house", "工作台", "Home"),
    _entry("/console/intake", "phone-call", "电话受理", "Take a call", "accept"),
    _entry("/console/triage", "inbox", "待分拣", "Triage", "triage"),
    _entry("/console/dispatch", "split", "派遣", "Dispatch", "dispatch decide_extension decide_appeal"),
    _entry("/console/cases", "clipboard-list", "案件", "Cases"),
    _entry("/console/templates", "file-text", "答复模板", "Answers", "manage_templates"),
    _entry("/map/", "map", "一张图", "Map"),
    _entry("/field/", "smartphone", "现场", "Field", "verify check start self_handle"),
    _entry("/wall/", "layout-dashboard", "大屏", "Wall", "read_scores supervise dispatch"),
    _entry("/account/notices", "bell", "消息", "Notices"),
)


@cache
def _exists(address: str) -> bool:
    try:
        resolve(address)
    except Resolver404:
        return False
    return True


def entries(viewer: Viewer, path: str) -> list[Entry]:
    """The places that this viewer may go to, with the one marked where they are."""
    seen = [e for e in ENTRIES if _exists(e.address) and (not e.any_of or any(viewer.may(p) for p in e.any_of))]
    here = max(
        (e.address for e in seen if path == e.address or path.startswith(e.address.rstrip("/") + "/")),
        key=len,
        default="",
    )
    return [Entry(e.address, e.icon, e.name, e.any_of, e.address == here) for e in seen]
