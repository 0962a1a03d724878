"""Files of a pack into plain values, each with its place. Strict: what YAML would guess is asked for instead.

Nothing is read from disk here: files come as a mapping of name to bytes. Every function collects its mistakes into the
`Finder` it is given and goes on, so that all mistakes of all files are told together.
"""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from gridloop.kernel.errors import Mistake
from gridloop.kernel.language import Sentence

LARGEST_YAML = 1_000_000
LARGEST_TABLE = 8_000_000
DEEPEST = 20

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"[-+]?[0-9]{1,18}\.[0-9]{1,18}")
_LEADING_ZERO = re.compile(r"0[0-9]+")
_NORWAY = {"yes", "no", "on", "off", "y", "n"}
_TAG = "tag:yaml.org,2002:"

Path = tuple[str | int, ...]
Lines = dict[Path, int]


@dataclass
class Finder:
    """Collects mistakes. `root` is the folder's name, put before every place."""

    root: str = ""
    mistakes: list[Mistake] = field(default_factory=list)

    def found(self, file: str, line: int | None, where: str, wrong: Sentence, instead: Sentence) -> None:
        """One more mistake: in `file`, at `line` (None: the file as a whole), at the field `where`."""
        place = f"{self.root}/{file}" if self.root else file
        place += f":{line}" if line else ""
        mistake = Mistake(f"{place} {where}".rstrip(), wrong, instead)
        if mistake not in self.mistakes:
            self.mistakes.append(mistake)


def did_you_mean(word: str, known: Iterable[str]) -> Sentence:
    """“write one of …”, with the nearest known word first."""
    choices = sorted(set(known))
    near = difflib.get_close_matches(word, choices, n=1, cutoff=0.6)
    if near:
        return Sentence(zh=f"是不是“{near[0]}”？", en=f"did you mean “{near[0]}”?")
    shown = choices[:12]
    more = "…" if len(choices) > len(shown) else ""
    return Sentence(zh=f"可写：{'、'.join(shown)}{more}", en=f"write one of: {', '.join(shown)}{more}")


def path_text(path: Sequence[str | int]) -> str:
    """``routes[3].unit.function``, counted from 0 as the line numbers say the rest."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def text_of(file: str, content: bytes, largest: int, finder: Finder) -> str | None:
    """The file as text. UTF-8 only: a table saved in GBK would otherwise become wrong names."""
    if len(content) > largest:
        finder.found(
            file,
            None,
            "",
            Sentence(
                zh=f"文件有 {len(content)} 字节，超过 {largest}",
                en=f"the file has {len(content)} bytes, above {largest}",
            ),
            Sentence(zh="把它拆小，或删去多余内容", en="split it, or leave out what is not needed"),
        )
        return None
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        finder.found(
            file,
            line,
            "",
            Sentence(zh="不是 UTF-8 编码", en="this is not UTF-8"),
            Sentence(
                zh="另存为 UTF-8（电子表格软件里选“CSV UTF-8”）",
                en="save the file as UTF-8 (“CSV UTF-8” in a spreadsheet)",
            ),
        )
        return None
    if "\0" in text:
        finder.found(file, text[: text.index("\0")].count("\n") + 1, "", *_UNSTORABLE)
        return None
    return text


def read_yaml(file: str, content: bytes, finder: Finder) -> tuple[Any, Lines]:
    """The value of a YAML file and the line of each path in it; (None, {}) where it cannot be read at all.

    Refused, each with its line: anchors and aliases (a few lines of them can stand for gigabytes), tags, merge keys,
    several documents, nesting deeper than 20, a key written twice, and plain words or digits that YAML readers
    disagree about (``no``, ``on``, ``0101``).
    """
    text = text_of(file, content, LARGEST_YAML, finder)
    if text is None or not _harmless(file, text, finder):
        return None, {}
    node = yaml.compose(text, Loader=_LOADER)
    lines: Lines = {}
    if node is None:
        finder.found(
            file,
            1,
            "",
            Sentence(zh="文件是空的", en="the file is empty"),
            Sentence(zh="写入内容，或删去此文件", en="write its content, or delete the file"),
        )
        return None, {}
    return _value(node, (), file, lines, finder), lines


def _harmless(file: str, text: str, finder: Finder) -> bool:
    """Whether the text may be composed at all; looks at the events only, so nothing is expanded or nested."""
    before = len(finder.mistakes)
    depth = documents = 0
    try:
        for event in yaml.parse(text, Loader=_LOADER):
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents == 2:
                    finder.found(
                        file,
                        line,
                        "",
                        Sentence(zh="一个文件里有多个 YAML 文档", en="the file holds more than one YAML document"),
                        Sentence(zh="删去“---”，每个文件只写一个文档", en="remove “---”; one document per file"),
                    )
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                finder.found(
                    file,
                    line,
                    "",
                    Sentence(zh="用了锚点或别名（& 或 *）", en="an anchor or alias (& or *) is used"),
                    Sentence(
                        zh="把内容直接写出来；以 & 或 * 开头的文字请加引号",
                        en="write the content out; put text that starts with & or * in quotes",
                    ),
                )
            tag = getattr(event, "tag", None)
            if tag and tag != "!":
                finder.found(
                    file,
                    line,
                    "",
                    Sentence(zh=f"用了类型标签“{tag}”", en=f"a type tag “{tag}” is used"),
                    Sentence(zh="删去标签，只写值", en="remove the tag, write the value alone"),
                )
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth == DEEPEST + 1:
                    finder.found(
                        file,
                        line,
                        "",
                        Sentence(zh=f"嵌套超过 {DEEPEST} 层", en=f"nested deeper than {DEEPEST} levels"),
                        Sentence(zh="写得平一些", en="write it flatter"),
                    )
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        finder.found(
            file,
            mark.line + 1 if mark else 1,
            "",
            Sentence(zh=f"不是有效的 YAML：{problem}", en=f"this is not valid YAML: {problem}"),
            Sentence(zh="检查缩进、冒号和引号（不能用制表符）", en="check indentation, colons and quotes (no tabs)"),
        )
    return len(finder.mistakes) == before


def _value(node: yaml.Node, path: Path, file: str, lines: Lines, finder: Finder) -> Any:
    line = node.start_mark.line + 1
    lines.setdefault(path, line)
    if isinstance(node, yaml.SequenceNode):
        return [_value(child, (*path, i), file, lines, finder) for i, child in enumerate(node.value)]
    if isinstance(node, yaml.MappingNode):
        value: dict[str, Any] = {}
        for key_node, child in node.value:
            key_line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                finder.found(
                    file,
                    key_line,
                    path_text(path),
                    Sentence(zh="键不是文字", en="a key is not a word"),
                    Sentence(zh="键只写一个词", en="write one word as the key"),
                )
                continue
            key = key_node.value
            if key in value:
                finder.found(
                    file,
                    key_line,
                    path_text((*path, key)),
                    Sentence(
                        zh=f"键“{key}”写了两次（第 {lines[(*path, key)]} 行已有）",
                        en=f"the key “{key}” is written twice (already on line {lines[(*path, key)]})",
                    ),
                    Sentence(zh="只留一个", en="keep one of them"),
                )
                continue
            lines[(*path, key)] = key_line
            value[key] = _value(child, (*path, key), file, lines, finder)
        return value
    return _scalar(cast(yaml.ScalarNode, node), path, file, finder)


def _scalar(node: yaml.ScalarNode, path: Path, file: str, finder: Finder) -> Any:
    text = node.value
    if not _storable(text):
        finder.found(file, node.start_mark.line + 1, path_text(path), *_UNSTORABLE)
        return ""
    if node.style:  # quoted or block: text, whatever it looks like
        return text
    if text in ("true", "false"):
        return text == "true"
    if text in ("", "null", "~"):
        return None
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    line = node.start_mark.line + 1
    if text.lower() in _NORWAY or text.lower() in ("true", "false", "null"):
        finder.found(
            file,
            line,
            path_text(path),
            Sentence(
                zh=f"没加引号的“{text}”，有的程序读作是非，有的读作文字",
                en=f"a bare “{text}” is a truth value to some readers and a word to others",
            ),
            Sentence(
                zh=f'是非请写 true 或 false，文字请写 "{text}"', en=f'write true or false, or "{text}" for the word'
            ),
        )
    elif _LEADING_ZERO.fullmatch(text):
        finder.found(
            file,
            line,
            path_text(path),
            Sentence(
                zh=f"没加引号的编码“{text}”会丢掉前面的零", en=f"the bare code “{text}” would lose its leading zero"
            ),
            Sentence(zh=f'写 "{text}"', en=f'write "{text}"'),
        )
    return text


def read_json(file: str, content: bytes, finder: Finder) -> Any:
    """The value of a JSON file (a form); None with a mistake where it is not valid, or a key stands twice."""
    text = text_of(file, content, LARGEST_YAML, finder)
    if text is None:
        return None

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for key, item in pairs:
            if key in value:
                finder.found(
                    file,
                    None,
                    key,
                    Sentence(zh=f"键“{key}”写了两次", en=f"the key “{key}” is written twice"),
                    Sentence(zh="只留一个", en="keep one of them"),
                )
            value[key] = item
        return value

    def no_constant(name: str) -> None:
        raise ValueError(f"{name} is not JSON")

    try:
        value = json.loads(text, object_pairs_hook=once, parse_constant=no_constant)
    except (ValueError, RecursionError) as error:
        problem = getattr(error, "msg", None) or str(error)
        finder.found(
            file,
            getattr(error, "lineno", 1),
            "",
            Sentence(zh=f"不是有效的 JSON：{problem}", en=f"this is not valid JSON: {problem}"),
            Sentence(zh="检查逗号、引号和括号", en="check commas, quotes and brackets"),
        )
        return None
    if not _storable(json.dumps(value, ensure_ascii=False).replace("\\u0000", "\0")):
        finder.found(file, None, "", *_UNSTORABLE)
        return None
    return value


_UNSTORABLE = (
    Sentence(
        zh="含有不能保存的字符（空字符或半个字符）", en="it has a character that cannot be stored (NUL or half a pair)"
    ),
    Sentence(zh="删去这个字符", en="remove the character"),
)


def _storable(text: str) -> bool:
    """Whether the database can keep the text: no NUL and no lone surrogate, which escapes can smuggle in."""
    return not any(c == "\0" or "\ud800" <= c <= "\udfff" for c in text)


def read_table(
    file: str, content: bytes, required: Sequence[str], optional: Sequence[str], finder: Finder
) -> list[tuple[int, Mapping[str, str]]]:
    """The rows of a CSV table with their line numbers. Empty cells are left out, empty lines skipped."""
    text = text_of(file, content, LARGEST_TABLE, finder)
    if text is None:
        return []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    rows: list[tuple[int, Mapping[str, str]]] = []
    known = [*required, *optional]
    try:
        header = next(reader, None) or []
        for name in required:
            if name not in header:
                finder.found(
                    file,
                    1,
                    name,
                    Sentence(zh=f"缺少“{name}”列", en=f"the column “{name}” is missing"),
                    Sentence(zh=f"表头写：{','.join(required)}", en=f"head the table with: {','.join(required)}"),
                )
        for i, name in enumerate(header):
            if name not in known:
                unused = [n for n in known if n not in header] or known
                finder.found(
                    file,
                    1,
                    name,
                    Sentence(zh=f"不认识“{name}”列", en=f"the column “{name}” is unknown"),
                    did_you_mean(name, unused),
                )
            elif name in header[:i]:
                finder.found(
                    file,
                    1,
                    name,
                    Sentence(zh=f"“{name}”列写了两次", en=f"the column “{name}” stands twice"),
                    Sentence(zh="只留一列", en="keep one of them"),
                )
        line = reader.line_num
        for cells in reader:
            first, line = line + 1, reader.line_num
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                finder.found(
                    file,
                    first,
                    "",
                    Sentence(
                        zh=f"这一行有 {len(cells)} 格，表头有 {len(header)} 列",
                        en=f"this row has {len(cells)} cells, the header has {len(header)}",
                    ),
                    Sentence(
                        zh="补齐或删去；含逗号的文字请加双引号",
                        en="fill or remove cells; put text that contains a comma in double quotes",
                    ),
                )
                continue
            rows.append((first, {k: c.strip() for k, c in zip(header, cells, strict=True) if c.strip() and k in known}))
    except csv.Error as error:
        finder.found(
            file,
            reader.line_num,
            "",
            Sentence(zh=f"不是有效的 CSV：{error}", en=f"this is not valid CSV: {error}"),
            Sentence(zh="检查引号是否成对", en="check that quotes come in pairs"),
        )
    return rows
