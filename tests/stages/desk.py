"""A desk for tests: brings a case into any state, through the real actions and by the people whose work it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gridloop.cases.actions import NewCase, move_cases, open_cases
from gridloop.cases.models import Case
from gridloop.cases.rules import Move
from gridloop.people.viewer import SYSTEM, Viewer
from tests.build import DAY, District

GRID = "410104001001B001"
KIND = "urban:E0110"
"""Exposed household waste: four working hours, a photograph before and after, may be put right on the spot."""
HOUR = timedelta(hours=1)

ACTORS = {
    "accept": "intake", "reject_intake": "intake", "verify": "worker1", "file": "shift", "refuse_filing": "shift",
    "dispatch": "dispatch", "assign": "clean2", "start": "clean1", "return_back": "clean1", "hand_back": "clean1",
    "self_handle": "worker1", "check": "inspect", "close": "shift", "send_back": "shift", "force_close": "shift",
    "cancel": "shift", "reopen": "shift", "ask_extension": "clean1", "extend": "dispatch", "ask_suspension": "clean1",
    "suspend": "dispatch", "refuse_request": "dispatch", "resume": "dispatch", "supervise": "lead",
    "remind": "dispatch", "join": "intake", "correct": "intake", "add_co_units": "dispatch", "co_hand_back": "road1",
    "withdraw_co_unit": "dispatch", "appeal": "clean1", "decide_appeal": "shift",
}  # fmt: skip
"""Whose work each verb is in the small district."""

WAYS: dict[str, tuple[str, str, str]] = {
    "pending_verify": ("reported", "accept", "verify"),
    "pending_filing": ("reported", "accept", ""),
    "pending_dispatch": ("pending_filing", "file", ""),
    "dispatched": ("pending_dispatch", "dispatch", ""),
    "handling": ("dispatched", "start", ""),
    "suspended": ("handling", "suspend", ""),
    "returned": ("dispatched", "return_back", ""),
    "handled": ("handling", "hand_back", ""),
    "rework": ("handled", "check", "failed"),
    "pending_close": ("handled", "check", "passed"),
    "closed": ("pending_close", "close", ""),
    "forced_close": ("pending_dispatch", "force_close", ""),
    "not_accepted": ("reported", "reject_intake", ""),
    "cancelled": ("reported", "cancel", ""),
}
"""How each state is reached from another one, by which verb and outcome."""


@dataclass(slots=True)
class Desk:
    """The small district, and short words for what is done in it."""

    here: District

    def open(self, *, state: str = "reported", at: datetime = DAY, **more: Any) -> Case:
        lon, lat = self.here.place()
        given = {"case_type": KIND, "region_code": GRID, "source": "hotline", "text": "路边有垃圾", **more}
        new = NewCase(state=state, lon=lon, lat=lat, reported_at=at, **given)
        return open_cases([new], viewer=SYSTEM, at=at)[0]

    def words(self, verb: str, outcome: str = "", at: datetime = DAY) -> dict[str, Any]:
        """What a move of this verb must say to be accepted."""
        said: dict[str, Any] = {"reason": "因为是这样"}
        if verb == "dispatch":
            said |= {"unit_id": self.here.units["HW"], "person_id": self.here.people["clean1"]}
        if verb == "assign":
            said |= {"person_id": self.here.people["clean1"]}
        if verb in ("hand_back", "self_handle"):
            said |= {"evidence": (1, 1)}
        if verb == "suspend":
            said |= {"until": at + timedelta(days=3)}
        return said

    def move(
        self, case: Case, verb: str, outcome: str = "", *, by: str | Viewer = "", at: datetime = DAY, **more: Any
    ) -> Case:
        """One legal-looking move; `more` adds to or replaces what it says."""
        viewer = by if isinstance(by, Viewer) else self.here[by or ACTORS[verb]]
        said = self.words(verb, outcome, at) | more
        return move_cases([Move(case_id=case.id, verb=verb, outcome=outcome, **said)], viewer=viewer, at=at)[0]

    def bring(self, state: str, *, at: datetime = DAY, **more: Any) -> Case:
        """A case in that state, everything at one moment."""
        if state == "reported":
            return self.open(at=at, **more)
        before, verb, outcome = WAYS[state]
        return self.move(self.bring(before, at=at, **more), verb, outcome, at=at)
