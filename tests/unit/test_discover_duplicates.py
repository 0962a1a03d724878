"""Whether a report repeats what is known: kind, place, time and words, for a whole batch at once."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from random import Random

import numpy as np
import pytest

from gridloop.discover.rules.duplicates import LIKENESS, NEAREST, Gates, Seen, Weights, find, score, similar

START = datetime(2022, 7, 25, 8, tzinfo=UTC)
METRE = 1 / 111_320
FLOOD, LID = "urban:E0506", "urban:C0102"


def seen(
    key: int, *, north: float = 0, hours: float = 0, kind: str = FLOOD, text: str = "路口积水", callers: int = 1
) -> Seen:
    return Seen(key, kind, 113.7, 34.7 + north * METRE, START + timedelta(hours=hours), text, callers)


def keys(new: list[Seen], known: list[Seen], **gates: float) -> list[tuple[int, bool] | None]:
    rules = {FLOOD: Gates(**gates)} if gates else {}
    return [None if m is None else (m.key, m.new) for m in find(new, known, rules)]


def test_near_in_place_and_time_and_of_one_kind_is_a_duplicate() -> None:
    assert keys([seen(1, north=49, hours=23)], [seen(100)]) == [(100, False)]


@pytest.mark.parametrize("other", [seen(1, north=51), seen(1, hours=24.1), seen(1, kind=LID), seen(1, hours=-24.1)])
def test_another_place_time_or_kind_is_not(other: Seen) -> None:
    assert find([other], [seen(100)]) == [None]


def test_each_kind_has_its_own_reach() -> None:
    rules = {FLOOD: Gates(meters=200), LID: Gates(meters=30)}
    new = [seen(1, north=150), seen(2, north=150, kind=LID), seen(3, north=25, kind=LID)]
    known = [seen(100), seen(200, kind=LID)]
    found = find(new, known, rules)
    assert [m and m.key for m in found] == [100, None, 200]


def test_a_later_report_of_a_batch_joins_the_earlier_one_whatever_their_order() -> None:
    early, late = seen(1, hours=0), seen(2, hours=1)
    assert keys([early, late], []) == [None, (1, True)]
    assert keys([late, early], []) == [(1, True), None]


def test_a_row_of_neighbours_does_not_carry_a_case_along() -> None:
    row = [seen(n, north=40 * n, hours=n / 10) for n in range(5)]
    assert keys(row, []) == [None, (0, True), None, (2, True), None]


def test_a_report_that_joined_a_case_is_nobodys_first() -> None:
    new = [seen(1, north=40), seen(2, north=80, hours=1)]
    assert keys(new, [seen(100)]) == [(100, False), None]


def test_other_words_at_the_same_place_are_another_matter_where_the_rule_asks_for_likeness() -> None:
    known = [seen(100, text="路口的大树倒了压着电线")]
    assert keys([seen(1, text="下水道冒污水很臭")], known, text_similarity=0.2) == [None]
    assert keys([seen(1, text="大树倒在路口压着电线")], known, text_similarity=0.2) == [(100, False)]
    assert keys([seen(1, text="下水道冒污水很臭")], known) == [(100, False)]


def test_of_several_open_cases_the_one_that_tells_the_same_is_joined() -> None:
    known = [seen(100, text="垃圾桶旁边堆满垃圾"), seen(101, north=3, text="三号井盖破了一个洞")]
    assert keys([seen(1, north=2, text="井盖破了个洞，垃圾也有")], known)[0] == (101, False)


def test_nothing_without_a_place_or_a_kind_is_a_duplicate() -> None:
    nowhere = Seen(1, FLOOD, None, None, START, "路口积水")
    unknown = Seen(2, "", 113.7, 34.7, START, "路口积水")
    assert find([nowhere, unknown, seen(3)], [nowhere, unknown]) == [None, None, None]


def test_no_reports_and_no_cases_is_no_trouble() -> None:
    assert find([], []) == []
    assert find([], [seen(100)]) == []


def test_reports_across_the_border_of_a_square_still_meet() -> None:
    random = Random(5)
    for _ in range(200):
        north = random.uniform(-3000, 3000)
        gap = random.choice([-1, 1]) * random.uniform(0, 49)
        far = Seen(9, LID, 113.75, 34.75, START)
        assert keys([seen(1, north=north + gap)], [seen(100, north=north), far]) == [(100, False)]


def by_hand(new: list[Seen], known: list[Seen], gates: Gates) -> list[int | None]:
    """The same rule, one pair after the other: the oracle."""
    roots = list(known)
    answers: dict[int, int | None] = {}
    middle = float(np.mean([one.lat for one in (*new, *known)]))
    for one in sorted(new, key=lambda s: s.at):
        options = []
        for root in roots:
            east = (one.lon - root.lon) * np.cos(np.radians(middle)) / METRE  # type: ignore[operator]
            north = (one.lat - root.lat) / METRE  # type: ignore[operator]
            metres, hours = float(np.hypot(east, north)), abs((one.at - root.at).total_seconds()) / 3600
            if one.case_type != root.case_type or metres > gates.meters or hours > gates.hours:
                continue
            if (like := similar(one.text, root.text)) >= gates.text_similarity:
                sure = float(score(np.array([metres]), np.array([hours]), np.array([root.callers]))[0])
                options.append((sure + LIKENESS * like, -root.at.timestamp(), root.key))
        answers[one.key] = max(options)[2] if options else None
        if not options:
            roots.append(one)
    return [answers[one.key] for one in new]


def test_the_batch_decides_as_pair_by_pair_would() -> None:
    random = Random(11)
    texts = ["路口积水很深", "井盖破了", "大树倒了压着车", "积水没过膝盖", "井盖丢失很危险"]
    gates = Gates(meters=50, hours=24, text_similarity=0.1)

    def some(first: int, count: int) -> list[Seen]:
        return [
            Seen(
                first + n, random.choice([FLOOD, LID]),
                113.7 + random.uniform(0, 400) * METRE, 34.7 + random.uniform(0, 400) * METRE,
                START + timedelta(minutes=random.uniform(0, 3000)), random.choice(texts), random.randint(1, 4),
            )
            for n in range(count)
        ]  # fmt: skip

    for _ in range(3):
        new, known = some(0, 300), some(1000, 60)
        found = find(new, known, {FLOOD: gates, LID: gates})
        assert [m and m.key for m in found] == by_hand(new, known, gates)
        assert all(m is None or m.new == (m.key < 1000) for m in found)


def test_the_first_of_ten_thousand_reports_of_one_flood_opens_the_case_and_all_others_join() -> None:
    new = [seen(n, north=(n % 40) / 2, hours=n / 1000) for n in range(10_000)]
    begin = time.process_time()
    found = find(new, [])
    taken = time.process_time() - begin
    assert found[0] is None
    assert {m.key for m in found[1:] if m} == {0}
    assert all(found[1:])
    assert taken < 10


def test_five_thousand_reports_are_compared_within_a_second() -> None:
    random = Random(2)

    def some(first: int) -> list[Seen]:
        return [
            Seen(
                first + n,
                f"k{n % 40}",
                113.65 + random.random() / 10,
                34.7 + random.random() / 10,
                START,
                "路口积水很深",
            )
            for n in range(5000)
        ]

    new, known = some(0), some(10_000)
    begin = time.process_time()
    find(new, known)
    assert time.process_time() - begin < 1.0


def test_where_too_many_cases_are_open_at_one_place_the_latest_are_looked_at() -> None:
    known = [seen(100 + n, hours=-n / 10, text=f"第{n}件事情各不相同") for n in range(NEAREST + 20)]
    match = find([seen(1, text="第3件事情各不相同")], known)[0]
    assert match is not None
    assert match.key == 103


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("尊敬的领导您好，航海路路口积水严重，请尽快处理，谢谢！", "航海路路口积水严重"),
        ("投诉：路灯不亮", "麻烦反映一下，路灯不亮。"),
        ("Hello, please fix the pothole. Thank you", "fix the POTHOLE"),
    ],
)
def test_greetings_do_not_hide_that_two_texts_say_the_same(one: str, other: str) -> None:
    assert similar(one, other) > 0.8


def test_shared_greetings_do_not_make_two_texts_alike() -> None:
    one = "尊敬的领导您好，我要投诉，航海路积水，请有关部门尽快处理，谢谢"
    other = "尊敬的领导您好，我要投诉，楼下烧烤扰民，请有关部门尽快处理，谢谢"
    assert similar(one, other) < 0.3


def test_likeness_is_one_for_the_same_none_for_the_other_and_the_same_both_ways() -> None:
    assert similar("井盖破了", "井盖破了") == pytest.approx(1.0)
    assert similar("井盖破了", "路灯不亮") == 0.0
    assert similar("", "井盖") == 0.0
    assert similar("你好", "你好") == pytest.approx(1.0)
    assert similar("路口积水深", "积水很深") == similar("积水很深", "路口积水深")


def test_score_falls_with_distance_and_days_and_rises_with_callers() -> None:
    metres, hours, callers = np.array([0, 40, 0, 0.0]), np.array([0, 0, 96, 0.0]), np.array([1, 1, 1, 4.0])
    here, away, old, many = score(metres, hours, callers)
    assert away < here < many
    assert old < here
    assert min(away, old) >= 0
    assert many <= 1


def test_weights_can_be_fitted_on_what_people_decided() -> None:
    random = np.random.default_rng(0)
    metres, hours = random.uniform(0, 50, 2000), random.uniform(0, 120, 2000)
    callers = random.integers(1, 5, 2000).astype(float)
    truth = Weights(constant=2.0, metres=-1.0, day=-0.5, late=-2.0, callers=0.5)
    same = random.random(2000) < score(metres, hours, callers, truth)
    fitted = Weights.fit(metres, hours, callers, same)
    assert fitted.metres == pytest.approx(-1.0, abs=0.25)
    assert fitted.late < fitted.day < 0 < fitted.callers


def test_a_threshold_keeps_unlikely_pairs_apart() -> None:
    assert find([seen(1, north=49, hours=23)], [seen(100)], at_least=0.9) == [None]
