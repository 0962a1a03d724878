"""What a search finds by: pairs of signs, the same for what is kept and what is asked."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gridloop.cases.rules import lexemes, lexemes_asked, lexemes_of


def kept(*texts: str) -> set[str]:
    return {one.strip("'") for one in lexemes(*texts).split()}


def finds(asked: str, *texts: str) -> bool:
    """Whether a tsquery of ours finds a text, as PostgreSQL reads it: joined by "and", ``:*`` for a beginning."""
    if not asked:
        return False
    have = kept(*texts)
    for term in asked.split(" & "):
        word = term.removesuffix(":*").strip("'")
        if not (any(h.startswith(word) for h in have) if term.endswith(":*") else word in have):
            return False
    return True


def test_a_text_is_kept_as_each_sign_with_the_one_after_it() -> None:
    assert kept("中原路12号") == {"中原", "原路", "路12", "12号", "号"}


def test_two_characters_are_found_anywhere_in_a_text() -> None:
    assert finds(lexemes_asked("井盖"), "人行道上有一个窨井盖破损")
    assert not finds(lexemes_asked("井盖"), "井边的盖子")


def test_one_character_and_the_beginning_of_a_latin_word_or_number_are_found() -> None:
    assert finds(lexemes_asked("盖"), "窨井盖")
    assert finds(lexemes_asked("man"), "Manhole cover")
    assert finds(lexemes_asked("4101042026"), "410104202607200001")
    assert not finds(lexemes_asked("hole"), "Manhole cover")


def test_a_house_number_is_not_taken_for_a_longer_one_where_a_sign_follows() -> None:
    assert finds(lexemes_asked("12号"), "中原路12号")
    assert not finds(lexemes_asked("12号"), "中原路120号")
    assert finds(lexemes_asked("路12"), "中原路120号"), "while somebody is still typing it may go on"


def test_full_width_letters_and_capitals_are_told_alike() -> None:
    assert finds(lexemes_asked("ｂｕｓ"), "BUS stop")
    assert finds(lexemes_asked("路１２号"), "中原路12号")


def test_all_words_of_a_search_must_occur() -> None:
    assert finds(lexemes_asked("井盖 中原"), "中原路窨井盖")
    assert not finds(lexemes_asked("井盖 建设"), "中原路窨井盖")


def test_nothing_but_signs_asks_for_nothing() -> None:
    assert lexemes_asked("'; -- %_ 。，") == ""


def test_a_case_is_found_by_its_number_with_and_without_the_county() -> None:
    words = lexemes_of("41010420260720000012", "垃圾", "中原路")
    assert "'41010420260720000012'" in words.split()
    assert "'20260720000012'" in words.split()


@given(st.text(max_size=40), st.text(max_size=20), st.text(max_size=20))
def test_what_stands_in_a_text_by_itself_is_found_by_it(word: str, before: str, after: str) -> None:
    asked = lexemes_asked(word)
    assert not asked or finds(asked, f"{before} {word} {after}")


@given(st.text())
def test_what_is_kept_can_neither_end_nor_begin_a_quotation(text: str) -> None:
    for one in lexemes(text).split():
        assert one[0] == one[-1] == "'"
        assert "'" not in one[1:-1]
        assert "\\" not in one
