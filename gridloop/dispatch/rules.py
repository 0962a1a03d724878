"""Which unit a route means, given the units that there are. Values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gridloop.kernel.language import Sentence


class Selector(Protocol):
    """What a pack's route says about a unit: `standard.rules.standard.UnitSelector`."""

    @property
    def function(self) -> str: ...
    @property
    def code(self) -> str | None: ...
    def region_of(self, region_code: str) -> str: ...


@dataclass(frozen=True, slots=True)
class UnitPlace:
    """A unit as dispatch sees it."""

    id: int
    code: str
    name: str
    name_en: str
    function: str
    region_code: str

    def named(self) -> Sentence:
        return Sentence(zh=self.name, en=self.name_en or self.name)


@dataclass(slots=True)
class Directory:
    """The active units, found by code, or by function and the region for which they work."""

    by_code: dict[str, UnitPlace] = field(default_factory=dict)
    by_duty: dict[tuple[str, str], UnitPlace] = field(default_factory=dict)

    @classmethod
    def of(cls, units: Iterable[UnitPlace]) -> Directory:
        """Two units with the same duty in the same region: the one with the lower code is meant."""
        directory = cls()
        for unit in sorted(units, key=lambda u: u.code):
            directory.by_code[unit.code] = unit
            directory.by_duty.setdefault((unit.function, unit.region_code), unit)
        return directory

    def find(self, selector: Selector, region_code: str, managers: Mapping[str, str]) -> UnitPlace | None:
        """The unit that is meant for a case in `region_code`.

        `managers`: region code -> code of the unit that runs it day by day, where that is not the unit which the
        statistics code suggests (DOMAIN.md, trap 8).
        """
        if selector.code:
            return self.by_code.get(selector.code)
        region = selector.region_of(region_code)
        manager = managers.get(region)
        if manager and (unit := self.by_code.get(manager)) and unit.function == selector.function:
            return unit
        return self.by_duty.get((selector.function, region)) or self.by_duty.get((selector.function, ""))


def explain(route_why: Sentence, unit: Sentence, place: str, due: Sentence) -> Sentence:
    """The one sentence that is stored with the case and read to whoever asks why it came to them. Names no person."""
    return Sentence(
        zh=f"{route_why.zh.rstrip('。')}；地点在{place or '本区'}，派给{unit.zh}，{due.zh}。",
        en=f"{route_why.en.rstrip('.')}; it lies in {place or 'the district'}, goes to {unit.en} and is due {due.en}.",
    )


AS_PROMISED = Sentence(zh="期限为来源所承诺", en="when its source promised")
CLOCKS: dict[str, tuple[str, str]] = {
    "urgent_hour": ("紧急工作时", "urgent hours (day and night)"),
    "urgent_day": ("紧急工作日", "urgent days"),
    "work_hour": ("工作时", "working hours"),
    "work_day": ("工作日", "working days"),
    "natural_day": ("自然日", "calendar days"),
}


def due_words(amount: object, clock: str) -> Sentence:
    """A limit as the end of `explain`'s sentence: ``2 work_hour`` is due within 2 working hours."""
    zh, en = CLOCKS[clock]
    return Sentence(zh=f"限时{amount}个{zh}", en=f"within {amount} {en}")
