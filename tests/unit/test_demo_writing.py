"""The invented day is repeatable, natural enough, and knows its own truth."""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from gridloop.gateways.demo.writing import DUPLICATE_METRES, Written, case_types, labelled, sentences, write_day
from gridloop.territory.rules.places import NamedPlace, read_places

DAY = date(2022, 7, 25)
GAZETTEER = Path(__file__).parents[2] / "districts" / "410104" / "gazetteer.csv"


@pytest.fixture(scope="module")
def places() -> list[NamedPlace]:
    return read_places(GAZETTEER)


@pytest.fixture(scope="module")
def day(places: list[NamedPlace]) -> list[Written]:
    return list(write_day(places, count=4_000, day=DAY))


def test_the_same_seed_writes_the_same_day_and_another_seed_another(places: list[NamedPlace]) -> None:
    def texts(seed: int) -> list[str]:
        return [w.report.text for w in write_day(places, count=50, seed=seed, day=DAY)]

    assert texts(1) == texts(1) != texts(2)


def test_the_day_has_its_count_in_order_and_lies_within_one_day(day: list[Written]) -> None:
    times = [w.report.reported_at for w in day if w.report.reported_at]
    assert len(times) == 4_000
    assert times == sorted(times)
    assert {t.date() for t in times} == {DAY}


def test_there_are_many_patterns_over_many_types_and_every_slot_is_filled(day: list[Written]) -> None:
    patterns = [p for spec in sentences()["types"].values() for texts in spec["says"].values() for p in texts]
    assert len(set(patterns)) >= 150
    assert len(case_types()) >= 40
    assert not [w.report.text for w in day if re.search(r"[{}]", w.report.text)]


def test_it_rains_in_the_afternoon(day: list[Written]) -> None:
    water = Counter(
        w.report.reported_at.hour for w in day if w.report.reported_at and w.truth.case_type == "urban:E0506"
    )
    assert sum(water[h] for h in range(14, 19)) > 3 * sum(n for h, n in water.items() if not 14 <= h < 19)


def test_duplicates_tell_of_an_earlier_problem_close_by_in_other_words(day: list[Written]) -> None:
    first: dict[int, Written] = {}
    told = Counter[str]()
    for written in day:
        told[written.truth.kind] += 1
        if written.truth.kind == "duplicate":
            original = first[written.truth.group]
            assert written.truth.case_type == original.truth.case_type
            if written.report.lon is not None and written.report.lat is not None:
                north = (written.report.lat - original.truth.lat) * 111_320
                east = (written.report.lon - original.truth.lon) * 111_320 * math.cos(math.radians(original.truth.lat))
                assert math.hypot(north, east) <= DUPLICATE_METRES + 1
        else:
            first.setdefault(written.truth.group, written)
    assert 0.1 < told["duplicate"] / len(day) < 0.25
    assert min(told[kind] for kind in ("vague", "outside", "misplaced")) > 10


def test_every_report_says_that_it_is_synthetic_and_its_persons_can_be_nobody(day: list[Written]) -> None:
    assert all(w.report.extra["synthetic"] for w in day)
    phones = {w.report.contact.phone for w in day if w.report.contact}
    assert all(re.fullmatch(r"12500\d{6}", p) for p in phones), "no subscriber's number begins with 125"


def test_the_truth_is_not_told_to_the_product(day: list[Written]) -> None:
    assert not any(w.report.case_type for w in day)


def test_a_labelled_set_keeps_duplicates_in_groups(places: list[NamedPlace]) -> None:
    texts, types, groups = labelled(places, count=1_000)
    assert len(texts) == len(types) == len(groups)
    assert all(types)
    assert len(set(groups)) < len(groups)
