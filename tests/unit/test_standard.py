"""What the stages ask of the standard."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from django.utils.translation import override
from hypothesis import given
from hypothesis import strategies as st

from gridloop.evaluate.rules import FACTS
from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence
from gridloop.kernel.worktime import Clock, Limit
from gridloop.standard.rules import STAGES, Standard, build, load_district, load_pack
from gridloop.standard.rules import format as fmt
from gridloop.standard.rules.standard import Indicator, Rate, Scheme, Term
from tests.packs.small import DISTRICT, files


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with override("en"):
        yield


@pytest.fixture(scope="module")
def pack() -> fmt.Pack:
    return load_pack(files(), "small")[0]


@pytest.fixture(scope="module")
def plain(pack: fmt.Pack) -> Standard:
    return build([(7, pack)], None)


@pytest.fixture(scope="module")
def own(pack: fmt.Pack) -> Standard:
    return build([(7, pack)], load_district(files(DISTRICT), "410104", {"small": pack}))


def test_a_type_carries_its_release_its_catalogue_and_its_rules(plain: Standard) -> None:
    leak = plain.case_type("small:E0101")
    assert (leak.release, leak.catalog_version, leak.kind, leak.code) == (7, "new", "event", "E0101")
    assert leak.words == ("漏水", "跑水")
    assert leak.condition().limit == Limit(2, Clock.URGENT_HOUR)
    assert leak.condition("2").limit == Limit(1, Clock.WORK_DAY)
    assert plain.case_type("small:C0101").words == ("井盖", "盖子")


def test_an_unknown_type_or_condition_is_refused_with_a_sentence(plain: Standard) -> None:
    with pytest.raises(Refused, match="no case type “small:E0999”"):
        plain.case_type("small:E0999")
    with pytest.raises(Refused, match="no case type “small:E0101@old”"):
        plain.case_type("small:E0101", "old")
    with pytest.raises(Refused, match="no filing condition “9”; it has: 1, 2"):
        plain.case_type("small:E0101").condition("9")


def test_an_old_type_has_the_conditions_of_its_successor_and_one_without_has_none(plain: Standard) -> None:
    burst, gone = plain.case_type("small:E0501@old"), plain.case_type("small:E0502", "old")
    assert burst.succeeded_by == "small:E0101"
    assert burst.conditions == plain.case_type("small:E0101").conditions
    assert (gone.succeeded_by, gone.conditions, gone.automatic_filing) == (None, (), False)
    assert set(plain.older) == {"small:E0501@old", "small:E0502@old"}
    assert plain.stage_limit("small:E0501@old", "sign") == Limit(Decimal("0.5"), Clock.URGENT_HOUR)


def test_the_first_route_that_fits_wins_and_the_districts_own_are_asked_first(plain: Standard, own: Standard) -> None:
    def taken(standard: Standard, *asked: str) -> str:
        route = standard.route(*asked)
        return route.id if route else ""

    assert taken(plain, "small:C0101", "410104007001B001") == "market"
    assert taken(plain, "small:C0101", "410104001", "grid") == "grid"
    assert taken(plain, "small:C0101", "410104001", "district") == "water"
    assert taken(plain, "small:E0101", "410104001002") == "water"
    assert taken(own, "small:E0101", "410104001002") == "own"
    assert taken(own, "small:E0101", "410104002") == "water"


def test_a_route_says_why_with_the_name_of_the_type(plain: Standard) -> None:
    route = plain.route("small:E0101", "410104001")
    assert route is not None
    assert route.why == Sentence(zh="“漏水”归水务", en="“Leak” is for the water office")
    assert route.escalate_to is not None
    assert route.escalate_to.region_of("410104001002B003") == "410104001"
    assert route.unit.region_of("410104001002B003") == "410104"


def test_a_district_changes_limits_hours_and_closing_days(plain: Standard, own: Standard) -> None:
    start = datetime(2022, 9, 30, 8, tzinfo=UTC)

    def due(standard: Standard) -> datetime:
        return standard.calendar.deadline(start, standard.case_type("small:E0101").condition("2").limit)

    assert due(plain) == datetime(2022, 10, 8, 10, tzinfo=UTC)
    assert due(own) == datetime(2022, 10, 10, 9, 30, tzinfo=UTC)  # two days, the 8th closed, until 17:30
    assert own.stage_limit("small:E0101", "sign") == Limit(Decimal("0.25"), Clock.URGENT_HOUR)
    assert own.district == "410104"


def test_every_stage_has_a_limit(plain: Standard) -> None:
    for stage in STAGES:
        assert plain.stage_limit("small:C0101", stage).amount > 0
    with pytest.raises(KeyError):
        plain.stage_limit("small:C0101", "handle")


def test_another_systems_name_is_read_without_regard_to_letter_case_and_the_exact_name_first(plain: Standard) -> None:
    assert plain.alias("town", " water COVER ") == "small:C0101"
    assert plain.alias("town", "Water in the cellar") == "small:E0101"
    assert plain.alias("town", "Fire") is None
    assert plain.alias("village", "Water") is None


def _indicator(count: dict[str, bool], out_of: dict[str, bool]) -> Indicator:
    name = Sentence(zh="率", en="Rate")
    return Indicator("r", name, tuple(count.items()), tuple(out_of.items()), "higher", 3, "ours")


@given(st.lists(st.fixed_dictionaries({"filed": st.booleans(), "closed": st.booleans()}), max_size=12))
def test_a_rate_lies_between_nothing_and_all_and_is_nothing_only_without_tasks(cases: list[dict[str, bool]]) -> None:
    rate = _indicator({"closed": True}, {"filed": True}).rate(cases)
    due = [c for c in cases if c["filed"]]
    assert rate.out_of == len(due)
    assert rate.small_sample == (len(due) < 3)
    if not due:
        assert rate.value is None
    else:
        assert rate.value == Decimal(sum(c["closed"] for c in due)) / len(due)


def test_zero_of_zero_is_no_tasks_in_words_too() -> None:
    assert str(_indicator({"closed": True}, {"filed": True}).rate([])) == "no tasks"


def test_packs_may_count_exactly_the_facts_that_the_evaluation_knows() -> None:
    assert set(fmt.CASE_FACTS) == set(FACTS)


def test_a_pack_survives_being_stored(pack: fmt.Pack) -> None:
    assert fmt.Pack.model_validate(pack.model_dump(mode="json")) == pack


def _scheme() -> Scheme:
    terms = (Term("good", Decimal(60), False), Term("bad", Decimal(40), True))
    return Scheme("s", Sentence(zh="方案", en="Scheme"), terms, "ours")


def _rate(count: int, out_of: int) -> Rate:
    return _indicator({"closed": True}, {"filed": True}).of(count, out_of)


def test_a_score_weighs_what_is_good_and_the_absence_of_what_is_bad() -> None:
    assert _scheme().score({"good": _rate(1, 2), "bad": _rate(1, 4)}) == Decimal("60.0")
    assert _scheme().score({"good": _rate(3, 3), "bad": _rate(0, 3)}) == 100


def test_a_term_without_tasks_leaves_its_weight_to_the_others() -> None:
    assert _scheme().score({"good": _rate(1, 2), "bad": _rate(0, 0)}) == 50
    assert _scheme().score({"good": _rate(0, 0), "bad": _rate(0, 0)}) is None
