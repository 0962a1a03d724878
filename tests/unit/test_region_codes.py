"""Codes: what they look like, what they mean, which comes next."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridloop.territory.rules import codes
from gridloop.territory.rules.codes import CodesExhausted, Level


@pytest.mark.parametrize(
    ("code", "level"),
    [
        ("410104", Level.DISTRICT),
        ("410104570", Level.STREET),
        ("410104002002", Level.COMMUNITY),
        ("410104002002B001", Level.GRID),
        ("410104002002Z999001", Level.MICRO_GRID),
    ],
)
def test_a_good_code_tells_its_level_and_its_family(code: str, level: Level) -> None:
    assert codes.check_code(code, level) is None
    assert codes.level_of(code) is level
    assert codes.is_within(code, codes.parent_of(code))
    assert codes.ancestors_of(code) == [a for a in ("410104", code[:9], code[:12], code[:16]) if len(a) < len(code)]


@pytest.mark.parametrize(
    ("code", "level"),
    [
        ("41010", Level.DISTRICT),
        ("010104", Level.DISTRICT),
        ("410104000", Level.STREET),
        ("410104600", Level.STREET),
        ("4101040020O2", Level.COMMUNITY),
        ("410104002000", Level.COMMUNITY),
        ("410104000001", Level.COMMUNITY),
        ("410104002002X001", Level.GRID),
        ("410104002002b001", Level.GRID),
        ("410104002002B000", Level.GRID),
        ("410104002002B001", Level.MICRO_GRID),
        ("410104002002B001000", Level.MICRO_GRID),
        ("４１０１０４", Level.DISTRICT),
        ("", Level.STREET),
    ],
)
def test_a_bad_code_is_told_in_both_languages_with_what_to_write(code: str, level: Level) -> None:
    problem = codes.check_code(code, level)
    assert problem is not None
    assert all(sentence.zh and sentence.en for sentence in problem)


def test_unit_cell_codes_have_fifteen_digits_from_001() -> None:
    assert codes.check_cell_code("410104002002001") is None
    assert codes.check_cell_code("410104002002000") is not None
    assert codes.check_cell_code("410104002002B01") is not None


def test_a_length_of_no_level_is_refused() -> None:
    with pytest.raises(ValueError, match="15 characters"):
        codes.level_of("410104002002001")


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("410104001", "street"),
        ("410104100", "town"),
        ("410104202", "township"),
        ("410104570", "special"),
        ("990001400", "area"),
    ],
)
def test_the_street_part_tells_the_kind(code: str, kind: str) -> None:
    assert codes.street_kind(code) == kind


def test_villages_are_told_from_neighbourhoods() -> None:
    assert codes.community_kind("410104010012") == "neighbourhood"
    assert codes.community_kind("410104010203") == "village"


def test_official_codes_are_padded_to_twelve_digits_and_back() -> None:
    for code in ("410104", "410104570", "410104002002"):
        assert len(codes.official(code)) == 12
        assert codes.from_official(codes.official(code)) == code
    with pytest.raises(ValueError, match="below the community"):
        codes.official("410104002002B001")


@given(used=st.sets(st.integers(1, 990)), count=st.integers(0, 9))
def test_a_retired_code_is_never_issued_again(used: set[int], count: int) -> None:
    taken = [f"410104002002B{n:03d}" for n in used]
    issued = codes.next_codes("410104002002B", taken, count)
    assert not set(issued) & set(taken)
    assert len(set(issued)) == count
    assert all(codes.check_code(c, Level.GRID) is None for c in issued)


def test_numbering_never_goes_back_to_a_hole_that_a_retired_code_left() -> None:
    assert codes.next_codes("410104002002B", ["410104002002B007"], 1) == ["410104002002B008"]


def test_numbering_looks_at_the_children_only() -> None:
    used = ["410104002", "410104002007", "410104002007B012", "410104003900"]
    assert codes.next_codes("410104002", used, 1) == ["410104002008"]
    assert codes.next_codes("410104002007", ["410104002007", "410104002007B012"], 1) == ["410104002007001"]


def test_the_thousandth_number_is_refused() -> None:
    assert codes.next_codes("410104002002", ["410104002002998"], 1) == ["410104002002999"]
    with pytest.raises(CodesExhausted, match="divide the parent"):
        codes.next_codes("410104002002", ["410104002002998"], 2)
