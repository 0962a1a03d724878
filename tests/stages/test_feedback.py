"""Asking the reporter: once a closing, by a secret that is kept nowhere, answered once."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from django.utils import translation

from gridloop.cases.actions import Move, move_cases
from gridloop.cases.models import Case
from gridloop.feedback.actions import answer, ask_reporters, token_of
from gridloop.feedback.models import Callback
from gridloop.kernel import clock
from gridloop.kernel.errors import Refused
from gridloop.kernel.models import Event
from gridloop.people.viewer import ANONYMOUS
from tests.build import DAY, District, district
from tests.stages.desk import Desk


@pytest.fixture
def here(db: None) -> Iterator[District]:
    with clock.frozen(DAY), translation.override("en"):
        yield district()


def closed(here: District) -> Case:
    """A case from one report, closed; its reporter has been asked."""
    desk, case = Desk(here), here.case()
    for verb, outcome, by in (("hand_back", "", "street"), ("check", "passed", "inspect"), ("close", "", "shift")):
        case = desk.move(case, verb, outcome, by=by)
    here.drain()
    return case


def test_every_closing_asks_every_reporter_once(here: District) -> None:
    case = closed(here)
    assert ask_reporters([case.id]) == 0
    first = Callback.objects.get()
    assert (first.round, first.asked_at, first.unit_id) == (1, DAY, here.units["JD1"])
    move_cases([Move(case_id=case.id, verb="reopen", reason="未清理")], viewer=here["shift"])
    assert ask_reporters([case.id]) == 0, "an open case asks nobody"
    assert Event.objects.filter(name="ReporterAsked").count() == 1


def test_the_secret_is_derived_and_only_its_digest_is_kept(here: District) -> None:
    closed(here)
    asked = Callback.objects.get()
    token = token_of(asked.report_id, 1)
    assert len(token) == 22
    assert token not in str(list(Callback.objects.values()) + list(Event.objects.values()))
    assert token_of(asked.report_id, 1) == token != token_of(asked.report_id, 2)
    with pytest.raises(Refused) as caught:
        answer(token=token[:-1] + "?", resolved=True, viewer=ANONYMOUS)
    assert caught.value.status == 404


@pytest.mark.parametrize(
    ("words", "sentence"),
    [({"satisfied": 0}, "1 to 5"), ({"satisfied": 6}, "1 to 5"), ({"comment": "长" * 2001}, "2000 characters")],
)
def test_an_answer_out_of_range_is_refused_and_may_be_given_again(
    here: District, words: dict[str, object], sentence: str
) -> None:
    closed(here)
    token = token_of(Callback.objects.get().report_id, 1)
    with pytest.raises(Refused, match=sentence):
        answer(token=token, resolved=True, viewer=ANONYMOUS, **words)  # type: ignore[arg-type]
    assert answer(token=token, resolved=True, satisfied=5, viewer=ANONYMOUS).answered_at == DAY


def test_an_answer_counts_once_and_its_comment_stays_out_of_the_record(here: District) -> None:
    closed(here)
    token = token_of(Callback.objects.get().report_id, 1)
    answer(token=token, resolved=True, satisfied=4, comment="谢谢王师傅", viewer=ANONYMOUS)
    answer(token=token, resolved=True, satisfied=4, comment="谢谢王师傅", viewer=ANONYMOUS)
    with pytest.raises(Refused, match="answered already"):
        answer(token=token, resolved=False, viewer=ANONYMOUS)
    (event,) = Event.objects.filter(name="ReporterAnswered")
    assert event.actor == "anonymous"
    assert "王师傅" not in str(event.data)


def test_a_no_reopens_as_often_as_the_pack_allows(here: District) -> None:
    desk, case = Desk(here), closed(here)
    for round_ in (1, 2, 3):
        asked = Callback.objects.get(round=round_)
        answer(token=token_of(asked.report_id, round_), resolved=False, satisfied=1, viewer=ANONYMOUS)
        here.drain()
        case.refresh_from_db()
        if case.state == "closed":
            break
        for verb, outcome, by in (("hand_back", "", "street"), ("check", "passed", "inspect"), ("close", "", "shift")):
            case = desk.move(case, verb, outcome, by=by)
        here.drain()
    assert (case.reopened, case.state, round_) == (2, "closed", 3)


def test_the_time_for_answers_ends_to_the_minute(here: District) -> None:
    case = closed(here)
    asked = Callback.objects.get()
    with clock.frozen(DAY + timedelta(days=7)):
        answer(token=token_of(asked.report_id, 1), resolved=False, viewer=ANONYMOUS)
    case.refresh_from_db()
    assert case.state == "rework"
