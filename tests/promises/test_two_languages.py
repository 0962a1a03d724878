"""Chinese and English stand side by side where they are said; nothing is said in one language only."""

from __future__ import annotations

import re
from pathlib import Path

WEB = Path(__file__).resolve().parents[2] / "gridloop" / "web"
CHINESE = re.compile(r"[\u3400-\u9fff]")
TAG = re.compile(r"\{%-?\s*say\s+(?P<zh>\"[^\"]*\"|'[^']*')\s+(?P<en>\"[^\"]*\"|'[^']*')[^%]*%\}")
COMMENT = re.compile(r"\{#.*?#\}|\{%\s*comment.*?endcomment\s*%\}|<!--.*?-->", re.S)
MARKED = re.compile(r"<(\w+)[^>]*\blang=\"zh[^\"]*\"[^>]*>[^<]*</\1>")
QUOTED = r"(?:\"(?:[^\"\\]|\\.)*\"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`)"
CALL = re.compile(rf"\bsay\(\s*(?P<zh>{QUOTED})\s*,\s*(?P<en>{QUOTED})", re.S)
LISTED = re.compile(rf"\[[\w.$]+(?:\([^)]*\))?,\s*(?P<zh>{QUOTED})\s*,\s*(?P<en>{QUOTED})\s*\]", re.S)
"""An entry of `keys`: [function, Chinese, English]."""


def _templates() -> list[Path]:
    return sorted(WEB.rglob("templates/**/*.html"))


def _modules() -> list[Path]:
    return [p for p in sorted(WEB.rglob("static/**/*.js")) if "vendor" not in p.parts]


def test_there_are_faces_to_look_at() -> None:
    assert len(_templates()) > 10
    assert len(_modules()) > 3


def test_no_template_says_chinese_outside_of_a_pair() -> None:
    bare = {}
    for path in _templates():
        text = MARKED.sub("", TAG.sub("", COMMENT.sub("", path.read_text(encoding="utf-8"))))
        lines = [line.strip()[:100] for line in text.splitlines() if CHINESE.search(line)]
        if lines:
            bare[path.relative_to(WEB).as_posix()] = lines
    assert not bare


def test_no_script_says_chinese_outside_of_a_pair() -> None:
    bare = {}
    for path in _modules():
        text = re.sub(r"/\*.*?\*/|(?<![:\"'`])//[^\n]*", "", path.read_text(encoding="utf-8"), flags=re.S)
        text = LISTED.sub("", CALL.sub("", text))
        lines = [line.strip()[:100] for line in text.splitlines() if CHINESE.search(line)]
        if lines:
            bare[path.relative_to(WEB).as_posix()] = lines
    assert not bare


def test_both_halves_of_every_pair_say_something_and_name_the_same_values() -> None:
    wrong = []
    for path in [*_templates(), *_modules()]:
        text = path.read_text(encoding="utf-8")
        for found in [*TAG.finditer(text), *CALL.finditer(text)]:
            zh, en = found["zh"][1:-1], found["en"][1:-1]
            placeholders = [sorted(set(re.findall(r"\$?\{(\w+)", half))) for half in (zh, en)]
            if not zh.strip() or not en.strip() or (CHINESE.search(en) and not CHINESE.search(zh)):
                wrong.append(f"{path.relative_to(WEB)}: {found[0][:100]}")
            elif placeholders[0] != placeholders[1] and "plural" not in found[0]:
                wrong.append(f"{path.relative_to(WEB)}: {placeholders[0]} and {placeholders[1]} in {found[0][:100]}")
    assert not wrong, "\n".join(wrong)
