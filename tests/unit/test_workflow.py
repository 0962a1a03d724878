"""The workflow table by itself: no database."""

from __future__ import annotations

from collections import deque

import pytest

from gridloop.cases.rules import GUARDS
from gridloop.cases.workflow import ENDS, OPEN, STAGES, STATES, STEPS, step_for
from gridloop.people.roles import ROLES


def reachable(start: str) -> set[str]:
    seen, queue = {start}, deque([start])
    while queue:
        state = queue.popleft()
        for step in STEPS:
            if state in step.origins and step.to and step.to not in seen:
                seen.add(step.to)
                queue.append(step.to)
    return seen


def test_every_state_is_reached_from_a_report_and_can_reach_an_end() -> None:
    assert reachable("reported") == set(STATES)
    for state in OPEN:
        assert reachable(state) & ENDS, f"{state} is a dead end"


def test_every_state_can_end_without_force() -> None:
    """Forced closing and cancelling are for emergencies: the ordinary way must be enough."""
    forced = {"force_close", "cancel"}
    for start in OPEN:
        seen, queue = {start}, deque([start])
        while queue:
            state = queue.popleft()
            for step in STEPS:
                if state in step.origins and step.to and step.verb not in forced and step.to not in seen:
                    seen.add(step.to)
                    queue.append(step.to)
        assert seen & {"closed", "not_accepted"}, start


def test_each_state_verb_and_outcome_has_at_most_one_row() -> None:
    keys = [(state, step.verb, step.outcome) for step in STEPS for state in step.origins]
    assert len(keys) == len(set(keys))


def test_every_row_names_real_states_guards_and_permissions() -> None:
    granted = frozenset().union(*(role.may for role in ROLES.values()))
    for step in STEPS:
        assert set(step.origins) <= set(STATES)
        assert step.to in STATES or step.to == ""
        assert set(step.guards) <= set(GUARDS), step
        assert step.permission in granted, f"nobody may {step.verb}: {step.permission}"
        assert step.name.zh
        assert step.name.en
        assert step.event.__doc__


def test_no_guard_is_left_over() -> None:
    assert {g for step in STEPS for g in step.guards} == set(GUARDS)


def test_checking_comes_after_handling_and_verifying_before_filing() -> None:
    assert step_for("pending_verify", "verify", "true") is not None
    assert step_for("handled", "verify", "true") is None
    assert step_for("handled", "check", "passed") is not None
    assert step_for("pending_verify", "check", "passed") is None


def test_a_returned_case_can_only_be_dispatched_anew_or_ended_by_force() -> None:
    """DOMAIN.md §1.4: after a return the dispatcher may not push the case towards closing."""
    moves = {step.to for step in STEPS if "returned" in step.origins and step.to}
    assert moves == {"dispatched", "forced_close", "cancelled"}


def test_no_clock_runs_in_an_end_or_while_suspended() -> None:
    assert not set(STAGES) & (ENDS | {"suspended"})
    assert set(STATES) - ENDS - {"suspended"} == set(STAGES)


@pytest.mark.parametrize("role", ["auditor", "system_admin", "security_admin"])
def test_an_administrator_moves_no_case(role: str) -> None:
    assert not ROLES[role].may & {step.permission for step in STEPS}
