"""What a resident writes: read from the form, checked, and made a report."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field

from django.http import QueryDict

from gridloop.discover.actions import NewReport
from gridloop.discover.residents import MAX_WORDS
from gridloop.kernel.language import Sentence
from gridloop.registry.actions import NewContact

CHANNEL = "web"
CLIENT = "portal"
"""The sender of what comes from this face: the scope of the keys of its forms."""


@dataclass(slots=True)
class Written:
    """The five answers of the form, as they were written, and the key that makes a second sending the same report."""

    key: str
    what: str = ""
    where: str = ""
    area: str = ""
    lon: float | None = None
    lat: float | None = None
    name: str = ""
    phone: str = ""
    secret: bool = False
    same: str = ""
    trap: str = ""
    """A field that no person sees; only a machine fills it in."""
    mistakes: dict[str, Sentence] = field(default_factory=dict)
    """By the name of the field."""


def fresh(given: Mapping[str, str]) -> Written:
    """An empty form, with what an address may say before: the place, or the case of which one says "I too"."""
    written = Written(key=str(uuid.uuid4()), same=given.get("same", "")[:24], area=given.get("area", "")[:12])
    written.lon, written.lat = _place(given.get("lon", ""), given.get("lat", ""))
    return written


def read(data: QueryDict) -> Written:
    """The form as it was sent, with all its mistakes. No mistake ever loses what was written."""
    written = Written(
        key=_key(data.get("key", "")),
        what=data.get("what", "").replace("\r\n", "\n").replace("\0", "").strip(),
        where=" ".join(data.get("where", "").replace("\0", "").split()),
        area=data.get("area", "")[:12],
        name=" ".join(data.get("name", "").replace("\0", "").split()),
        phone=" ".join(data.get("phone", "").replace("\0", "").split()),
        secret=data.get("secret") == "yes",
        same=data.get("same", "")[:24],
        trap=data.get("website", ""),
    )
    written.lon, written.lat = _place(data.get("lon", ""), data.get("lat", ""))
    wrong = written.mistakes
    if not written.what and not written.same:
        wrong["what"] = Sentence(zh="请写一句发生了什么。", en="Say in a sentence what happened.")
    elif len(written.what) > MAX_WORDS:
        wrong["what"] = Sentence(zh=f"最多{MAX_WORDS}字，请写短一些。", en=f"At most {MAX_WORDS} characters, please.")
    if not (written.where or written.area or written.lon is not None or written.same):
        wrong["where"] = Sentence(
            zh="请写地点，或选一个社区，或使用我的位置。",
            en="Say where it is, choose a community, or use your location.",
        )
    elif len(written.where) > 200:
        wrong["where"] = Sentence(zh="地点最多200字。", en="The place has 200 characters at most.")
    if len(written.name) > 60:
        wrong["name"] = Sentence(zh="姓名最多60字。", en="The name has 60 characters at most.")
    digits = sum(c.isdigit() for c in written.phone)
    if written.phone and (len(written.phone) > 30 or digits < 5 or set(written.phone) - set("0123456789+-() ")):
        wrong["phone"] = Sentence(
            zh="这不像电话号码。可以不填。", en="This does not look like a telephone number. You can leave it out."
        )
    return written


def report_of(written: Written, *, area: Sentence | None, pictures: tuple[int, ...]) -> NewReport:
    """The report that a form makes. The community stands before the address, where the gazetteer reads it."""
    contact = None
    if written.name or written.phone:
        contact = NewContact(written.name, written.phone, written.secret)
    address = f"{area.zh} {written.where}".strip() if area is not None else written.where
    return NewReport(
        key=written.key,
        channel=CHANNEL,
        text=written.what or ME_TOO,
        address=address[:300],
        lon=written.lon,
        lat=written.lat,
        contact=contact,
        same_as=written.same,
        pictures=pictures,
    )


ME_TOO = "我也遇到了同样的问题。"
"""What is written for who only says "I too": the staff's language, since the staff reads it."""


def _key(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return str(uuid.uuid4())


def _place(lon: str, lat: str) -> tuple[float, float] | tuple[None, None]:
    try:
        x, y = float(lon), float(lat)
    except ValueError:
        return None, None
    return (round(x, 6), round(y, 6)) if -180 <= x <= 180 and -90 <= y <= 90 else (None, None)
