"""YAML and CSV are read strictly: nothing is guessed, nothing is executed, nothing explodes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gridloop.standard.rules.reading import (
    DEEPEST,
    LARGEST_YAML,
    Finder,
    did_you_mean,
    read_json,
    read_table,
    read_yaml,
)

WORDS = st.text(alphabet="abcwxz_é中文 ", min_size=1, max_size=8).map(str.strip).filter(bool)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=12,
)


def _read(text: str) -> tuple[Any, list[str]]:
    finder = Finder()
    value, _ = read_yaml("f.yaml", text.encode(), finder)
    return value, [m.wrong.en for m in finder.mistakes]


@given(VALUES)
def test_what_an_ordinary_writer_writes_is_read_as_it_was_meant(value: Any) -> None:
    read, wrong = _read(yaml.safe_dump({"value": value}, allow_unicode=True))
    assert wrong == []
    assert read == {"value": value}


@given(st.text(max_size=200))
def test_no_text_whatever_breaks_the_reader(text: str) -> None:
    finder = Finder()
    value, _ = read_yaml("f.yaml", text.encode("utf-8", "surrogatepass"), finder)
    assert value is not None or finder.mistakes or text.strip() in ("null", "~", "") or text.strip("\x00- \n\r\t") == ""


def test_a_bomb_of_aliases_is_refused_before_it_is_built() -> None:
    bomb = "a0: &a0 [x, x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]\n" for i in range(1, 40))
    value, wrong = _read(bomb)
    assert value is None
    assert wrong[0] == "an anchor or alias (& or *) is used"


def test_deep_nesting_is_refused_without_recursion() -> None:
    value, wrong = _read("[" * 5000 + "]" * 5000)
    assert value is None
    assert wrong == [f"nested deeper than {DEEPEST} levels"]


def test_a_large_file_is_refused_unread() -> None:
    value, wrong = _read("# " + "x" * LARGEST_YAML)
    assert value is None
    assert "bytes, above" in wrong[0]


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system ['true']", "!thing x", "!!binary aGk="])
def test_no_tag_is_followed(tag: str) -> None:
    value, wrong = _read(f"a: {tag}")
    assert value is None
    assert "type tag" in wrong[0]


@pytest.mark.parametrize("word", ["no", "No", "NO", "yes", "on", "off", "y", "N", "True", "FALSE", "Null"])
def test_a_bare_word_that_readers_disagree_about_is_told_and_a_quoted_one_is_a_word(word: str) -> None:
    _, wrong = _read(f"a: {word}")
    assert wrong == [f"a bare “{word}” is a truth value to some readers and a word to others"]
    assert _read(f'a: "{word}"') == ({"a": word}, [])


@pytest.mark.parametrize(
    ("text", "value"),
    [("8:30", "8:30"), ("2022-10-01", "2022-10-01"), ("1_000", "1_000"), ("0x1F", "0x1F"), ("1e3", "1e3"),
     ("12", 12), ("-3", -3), ("0", 0), ("0.5", 0.5), ("~", None), ("true", True), ("1.2.3", "1.2.3")],
)  # fmt: skip
def test_only_plain_decimals_and_truths_are_more_than_text(text: str, value: object) -> None:
    assert _read(f"a: {text}") == ({"a": value}, [])


def test_a_merge_key_is_only_a_word() -> None:
    value, wrong = _read("a: { '<<': { b: 1 } }")
    assert (value, wrong) == ({"a": {"<<": {"b": 1}}}, [])


def test_a_table_keeps_the_line_on_which_each_row_begins() -> None:
    finder = Finder()
    text = '\ufeffa,b\n1,"two\nlines"\n\n3,4\n'
    assert read_table("t.csv", text.encode(), ["a"], ["b"], finder) == [
        (2, {"a": "1", "b": "two\nlines"}),
        (5, {"a": "3", "b": "4"}),
    ]
    assert finder.mistakes == []


def test_a_table_in_gbk_is_refused_with_its_line() -> None:
    finder = Finder()
    assert read_table("t.csv", b"a\nx\n" + "井盖".encode("gbk"), ["a"], [], finder) == []
    assert finder.mistakes[0].place == "t.csv:3"


def test_an_unknown_word_is_answered_with_its_neighbour_or_with_the_choice() -> None:
    assert did_you_mean("sanitaton", ["sanitation", "water"]).en == "did you mean “sanitation”?"
    assert did_you_mean("zzz", ["b", "a"]).en == "write one of: a, b"


@pytest.mark.parametrize("text", ['a: "x\\0y"', 'a: "\\ud800"', "a: x\0y"])
def test_what_a_database_cannot_store_is_refused(text: str) -> None:
    finder = Finder()
    read_yaml("f.yaml", text.encode(), finder)
    assert finder.mistakes


@pytest.mark.parametrize(
    "text", ['{"a": "\\u0000"}', '{"a": "\\ud800"}', '{"a": NaN}', '{"a": 1, "a": 2}', "9" * 5000, "[" * 9000]
)
def test_json_that_cannot_be_kept_is_refused(text: str) -> None:
    finder = Finder()
    read_json("f.json", text.encode(), finder)
    assert finder.mistakes


def test_a_number_too_long_to_count_is_text() -> None:
    assert _read("a: " + "9" * 5000) == ({"a": "9" * 5000}, [])
