"""Words of danger are found in both languages, and each leads to a number that somebody answers."""

from __future__ import annotations

import pytest

from gridloop.discover.rules.danger import DANGERS, NAMES, dangers_in


@pytest.mark.parametrize(
    ("said", "kinds"),
    [
        ("三楼起火了，还有人被困", ["fire", "trapped"]),
        ("楼道里有很重的煤气味", ["gas"]),
        ("There is a Smell of Gas on the stairs", ["gas"]),
        ("路口车祸，有人受伤流血", ["medical", "traffic"]),
        ("a live wire on the ground", ["power"]),
        ("水管爆了，水往一楼灌", ["water"]),
        ("路灯不亮三天了", []),
        ("垃圾桶满了没人收", []),
        ("The street lamp has been out for three days", []),
    ],
)
def test_a_danger_is_known_by_its_words(said: str, kinds: list[str]) -> None:
    assert [d.kind for d in dangers_in([said])] == kinds


def test_every_danger_says_what_to_do_and_whom_to_call() -> None:
    for danger in DANGERS:
        assert danger.do.zh
        assert danger.do.en
        assert danger.call
        assert set(danger.call) <= set(NAMES)
        assert all(word == word.casefold() for word in danger.words), danger.kind
