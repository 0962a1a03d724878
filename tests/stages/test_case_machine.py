"""Random sequences of verbs by random people at random times, over a real PostgreSQL: what must always hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from random import Random
from typing import ClassVar

import pytest
from django.db import transaction
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from pytest_django import DjangoDbBlocker

from gridloop.cases.actions import NewCase, move_cases, note_deadlines, open_cases, resume_due
from gridloop.cases.models import Case, CoHandling
from gridloop.cases.queries import unlike_their_record
from gridloop.cases.rules import CoUnit, Move
from gridloop.cases.workflow import ENDS, STAGES, STATES, STEPS, WITH_UNIT, allowed
from gridloop.kernel import clock
from gridloop.kernel.errors import Mistakes, Refused
from gridloop.kernel.models import Event
from gridloop.people.viewer import SYSTEM
from tests.build import DAY, District, district
from tests.stages.desk import GRID

HOLDERS = {"HW": "clean1", "SZ": "road1", "JD1": "street"}
STEPS_TO_END = {  # by which verb a case gets nearer to an ordinary end
    "reported": ("accept", ""), "pending_verify": ("verify", "true"), "pending_filing": ("file", ""),
    "pending_dispatch": ("dispatch", ""), "returned": ("dispatch", ""), "dispatched": ("start", ""),
    "rework": ("start", ""), "handling": ("hand_back", ""), "suspended": ("resume", ""),
    "handled": ("check", "passed"), "pending_close": ("close", ""),
}  # fmt: skip


@pytest.fixture(scope="module")
def here(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[District]:
    with django_db_blocker.unblock(), transaction.atomic(), clock.frozen(DAY):
        yield district()
        transaction.set_rollback(True)


class Cases(RuleBasedStateMachine):
    """Three cases, everybody in the district, any verb, time going on."""

    here: District
    met: ClassVar[set[str]] = set()
    """The kinds of events that all runs together have seen."""
    moved: ClassVar[int] = 0

    @initialize()
    def begin(self) -> None:
        self.now: datetime = DAY
        self.ids: list[int] = []
        self.versions: dict[int, int] = {}
        self.seen: dict[int, tuple[object, ...]] = {}
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()

    def teardown(self) -> None:
        """Every case can still be driven to an ordinary end by the people whose work it is."""
        if not hasattr(self, "savepoint"):
            return
        try:
            for case in Case.objects.filter(id__in=self.ids):
                self._finish(case)
            self.the_row_is_the_fold_of_its_events()
            Cases.met.update(Event.objects.values_list("name", flat=True))
        finally:
            transaction.set_rollback(True)
            self.savepoint.__exit__(None, None, None)

    def _finish(self, case: Case) -> None:
        people, units = self.here.people, self.here.units
        who = {"accept": "intake", "verify": "leader1", "file": "shift", "dispatch": "dispatch", "close": "shift"}
        for part in CoHandling.objects.filter(case=case, handed_back_at=None, withdrawn_at=None):
            move = Move(case_id=case.id, verb="withdraw_co_unit", unit_id=part.unit_id, reason="不再需要")
            if case.state not in ENDS:
                move_cases([move], viewer=self.here["dispatch"], at=self.now)
        for _ in range(12):
            case.refresh_from_db()
            if case.state in ENDS:
                return
            verb, outcome = STEPS_TO_END[case.state]
            by = SYSTEM if verb in ("start", "hand_back", "resume") else self.here[who.get(verb, "inspect")]
            if verb == "check" and by.person_id == case.handled_by_id:
                by = self.here["leader1"]
            given = {"unit_id": units["HW"], "person_id": people["clean1"]} if verb == "dispatch" else {}
            move = Move(case_id=case.id, verb=verb, outcome=outcome, evidence=(2, 2), reason="收尾", **given)  # type: ignore[arg-type]
            move_cases([move], viewer=by, at=self.now)
        raise AssertionError(f"case {case.number} does not reach an end from {case.state}")

    @precondition(lambda self: len(getattr(self, "ids", ())) < 3)
    @rule(state=st.sampled_from(["reported", "pending_filing", "pending_dispatch"]))
    def report(self, state: str) -> None:
        lon, lat = self.here.place()
        new = NewCase(
            case_type="urban:E0110", state=state, source="hotline", text="路边有垃圾", lon=lon, lat=lat,
            region_code=GRID, reported_at=self.now,
        )  # fmt: skip
        self.ids.append(open_cases([new], viewer=SYSTEM, at=self.now)[0].id)

    @rule(minutes=st.integers(1, 600))
    def time_goes_on(self, minutes: int) -> None:
        self.now += timedelta(minutes=minutes)
        with clock.frozen(self.now):
            while note_deadlines() or resume_due():
                pass

    @precondition(lambda self: bool(getattr(self, "ids", [])))
    @rule(seed=st.integers(0, 2**32 - 1))
    def people_work(self, seed: int) -> None:
        """A while of work: ten people do something. Mostly what the table allows, by who may; now and then anything."""
        dice = Random(seed)
        for _ in range(10):
            self._somebody_tries(dice, legal=dice.random() < 0.9)
            self.states_versions_and_deadlines_agree()
            self.now += timedelta(minutes=dice.randint(0, 30))

    def _somebody_tries(self, dice: Random, *, legal: bool) -> None:
        case = Case.objects.get(id=dice.choice(self.ids))
        ends = dice.random() < 0.03
        step = dice.choice([s for s in allowed(case.state) if legal and (ends or s.to not in ENDS)] or STEPS)
        unit = dice.choice(list(HOLDERS))
        people, units = self.here.people, self.here.units
        viewers = [v for v in (*self.here.viewers.values(), SYSTEM) if not legal or v.may(step.permission)]
        near = [v for v in viewers if v is SYSTEM or any(case.unit_id in g.unit_ids for g in v.grants)]
        viewer = dice.choice(near if near and dice.random() < 0.8 else viewers)
        move = Move(
            case_id=case.id, verb=step.verb, outcome=step.outcome, reason="随机" if legal else "",
            unit_id=units["PS" if "co_" in step.verb else unit], evidence=(1, 1),
            person_id=people[HOLDERS[unit]] if step.verb == "dispatch" else None,
            until=self.now + timedelta(days=dice.randint(1, 400)), co_units=(CoUnit(unit_id=units["PS"]),), callers=1,
            version=case.version if legal else case.version - 1,
        )  # fmt: skip
        try:
            with transaction.atomic():
                after = move_cases([move], viewer=viewer, at=self.now)[0]
        except (Refused, Mistakes):
            after = Case.objects.get(id=case.id)
            assert (after.version, after.state) == (case.version, case.state), "a refusal changes nothing"
            return
        Cases.moved += 1
        assert viewer.may(step.permission)
        assert case.state in step.origins
        assert after.version >= case.version

    @invariant()
    def states_versions_and_deadlines_agree(self) -> None:
        for case in Case.objects.filter(id__in=getattr(self, "ids", ())):
            assert case.state in STATES
            assert case.version >= self.versions.get(case.id, 1)
            self.versions[case.id] = case.version
            assert (case.due_at is None) == (case.state not in STAGES), "a deadline runs exactly in the stages"
            if case.state in WITH_UNIT:
                assert case.due_at == case.handle_due_at
                assert case.unit_id is not None
                assert case.handled_at is None
            if case.warn_at is not None:
                assert case.due_at is not None
                assert case.warn_at <= case.due_at
            assert (case.paused_at is not None) == (case.state == "suspended")
            assert (case.closed_at is not None) == (case.state in ENDS)
            assert case.extensions <= 2
            assert case.suspensions <= 1
            assert case.state not in ("handled", "pending_close", "closed") or case.handled_at is not None
            assert case.exempt is False or case.reopened or case.state == "closed"

    @invariant()
    def no_event_was_changed(self) -> None:
        subjects = [f"case:{i}" for i in getattr(self, "ids", ())]
        for event in Event.objects.filter(subject__in=subjects):
            said = (event.name, event.actor, event.at, str(event.data))
            assert self.seen.setdefault(event.id, said) == said

    @invariant()
    def the_row_is_the_fold_of_its_events(self) -> None:
        assert [f.sentence.en for f in unlike_their_record()] == []


def test_whatever_happens_the_record_holds_and_every_case_can_reach_an_end(
    here: District, django_db_blocker: DjangoDbBlocker
) -> None:
    Cases.here = here
    with django_db_blocker.unblock():
        run_state_machine_as_test(
            Cases,
            settings=settings(
                max_examples=14, stateful_step_count=30, deadline=None, derandomize=True, database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            ),
        )  # fmt: skip
    assert len(Cases.met & {s.event.__name__ for s in STEPS}) > 25, f"{Cases.moved} moves only"
