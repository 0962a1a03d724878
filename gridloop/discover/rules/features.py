"""What a text is made of: words, neighbouring words and short runs of characters, as numbers.

One key of 50 bits names one n-gram, so that a batch of texts becomes one array and no Python loop runs over
n-grams. The vocabulary is kept (not hashed away), because every answer has to name the words that decided it.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import numpy as np
import numpy.typing as npt
import rjieba
from scipy import sparse

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

HEAD = 12
"""Words at the beginning that are also counted apart: people put the matter first, in the title."""
ENOUGH = 100
"""Texts of each sort from which on `silent_words` compares them."""
LEFT_OVER = 0.05
"""Share of its usual frequency at which a word still counts as left out."""
_FUNCTION_WORDS = """
的 是 了 在 不 都 有 也 和 我 没有 我们 就 到 还 为 要 给 对 能 这 上 但 等 又 与 被 吗 让 去 可以 不能 来 并
将 而 向 从 他们 一 多 就是 这些 作为 什么 把 这样 没 该 以 会 个 为什么 及 有关 他 她 它 你 您 你们 那 那些
那个 这个 这里 那里 哪 哪里 谁 怎么 怎样 如何 如果 因为 所以 但是 而且 或 或者 虽然 然而 并且 于是 因此 由于
为了 关于 对于 按照 根据 通过 以及 其 其他 各 每 某 之 于 则 却 才 再 更 最 很 太 非常 已 已经 正在 曾经 将要
只 只是 只有 仅 甚至 至于 至今 一直 一个 一些 一样 一下 几 些 自己 大家 得 地 着 过 吧 呢 啊 呀 嘛 哦 下 里 中
内 外 前 间 时 时候 使 由 比 跟 同 像 如 即 且 若 虽 何 此 本 咱们 人家 别人 应该 应 必须 需 可 可能 能够 能否
不会 不是 不到 不要 不得 还是 还有 也是 都是 便 既 所 所有 任何 起来 出来 上去 下来 进行
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Words that carry no matter. Only for models from prepared texts; a text is else read as it is."""
BLOCKS = 4
WORDS, CHARACTERS, HEAD_WORDS, HEAD_CHARACTERS = range(BLOCKS)
CHUNK = 256
"""Texts of one pass: few enough for the processor's cache. Text and key share 63 bits, which leaves 13 for texts."""
_BLOCK, _WORD, _CHARACTER = 48, 24, 16
_UNWRITTEN = re.compile(r"[\W_]+")
_ASCII = re.compile(r"[\x00-\x7f]+")


_FORMS = {
    point: form
    for point in range(0x80, 0x10000)
    if not 0xAC00 <= point < 0xD7A4 and (form := unicodedata.normalize("NFKC", chr(point)).lower()) != chr(point)
}
"""Each character's own plain form; with it few texts need the slow general way."""


def plain(text: str) -> str:
    """The text with full-width forms, compatibility characters and capitals made alike (NFKC, lower case)."""
    line = text.translate(_FORMS).lower()
    return line if unicodedata.is_normalized("NFKC", line) else unicodedata.normalize("NFKC", line).lower()


def words(text: str) -> list[str]:
    """The words of a text in order, without punctuation. Text that is already segmented stays as it is."""
    return words_of(plain(text))


def words_of(line: str) -> list[str]:
    """`words` of a text that is `plain` already."""
    return [word for word in rjieba.cut(line) if word.isalnum() or not _UNWRITTEN.fullmatch(word)]


def given_segmented(text: str) -> bool:
    """Whether a text came as words with spaces between, as data that was prepared by others often does."""
    written = sum(1 for character in text if character > "\u2e7f")
    return written > 0 and text.count(" ") * 5 > written


def silent_words(texts: Sequence[str], segmented: Sequence[list[str]]) -> frozenset[str]:
    """Words that prepared texts never have though people write them all the time: what somebody left out before us.

    A model that learns from prepared texts has to leave the same words out of what it reads later, or the runs of
    characters no longer match. Empty where nothing was prepared. `texts` may have more than the training's: the more
    unprepared ones, the better. Where there are none, the commonest function words stand in for the comparison.
    """
    prepared = [given_segmented(text) for text in texts]
    if sum(prepared) < ENOUGH:
        return frozenset()
    left = Counter(word for one, is_so in zip(segmented, prepared, strict=True) if is_so for word in set(one))
    said = Counter(word for one, is_so in zip(segmented, prepared, strict=True) if not is_so for word in set(one))
    if len(prepared) - sum(prepared) < ENOUGH:
        return frozenset(word for word in FUNCTION_WORDS if left[word] <= sum(prepared) * LEFT_OVER / 10)
    share = sum(prepared) / (len(prepared) - sum(prepared))
    return frozenset(word for word, count in said.items() if count >= 3 and left[word] <= LEFT_OVER * count * share)


class Table:
    """Keys (int64, any order, each once) to their positions, many at a time; -1 for a key that is not in it.

    Open addressing in one flat array: about four times as fast as a binary search over as many keys.
    """

    def __init__(self, keys: Ints) -> None:
        self.keys = keys
        self._shift = np.uint64(64 - max(4, int(len(keys) * 3).bit_length()))
        self._slots = np.full(1 << (64 - int(self._shift)), -1, np.int32)
        self._last = len(self._slots) - 1
        waiting, slots = np.arange(len(keys), dtype=np.int32), self._slot(keys)
        while len(waiting):
            free = self._slots[slots] < 0
            self._slots[slots[free]] = waiting[free]
            placed = self._slots[slots] == waiting
            waiting, slots = waiting[~placed], (slots[~placed] + 1) & self._last

    def _slot(self, keys: Ints) -> Ints:
        spread: npt.NDArray[np.uint64] = keys.view(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        return (spread >> self._shift).astype(np.int64)

    def find(self, keys: Ints) -> npt.NDArray[np.int32]:
        found = np.full(len(keys), -1, np.int32)
        asked = np.arange(len(keys) if len(self.keys) else 0)
        slots = self._slot(keys[: len(asked)])
        while len(asked):
            here = self._slots[slots]
            taken = here >= 0
            same = taken & (self.keys[here] == keys[asked])
            found[asked[same]] = here[same]
            on = taken & ~same
            asked, slots = asked[on], (slots[on] + 1) & self._last
        return found


def _counted(values: Ints) -> tuple[Ints, Ints]:
    """The different values, ascending, and how often each occurs (`numpy.unique`, several times as fast)."""
    values = np.sort(values)
    fresh = np.ones(len(values), bool)
    fresh[1:] = values[1:] != values[:-1]
    starts = np.flatnonzero(fresh)
    return values[starts], np.diff(np.append(starts, len(values)))


def _runs(items: Ints, owners: Ints, bits: int, longest: int) -> list[tuple[Ints, Ints]]:
    """Owners and keys of all runs of 1 to `longest` items that stay within one owner; item 0 belongs to no run."""
    runs = []
    keys, mine, known = items, owners, items > 0
    for length in range(1, longest + 1):
        if length > 1:
            later = items[length - 1 :]
            keys = (keys[:-1] << bits) | later
            mine = owners[: len(keys)]
            known = known[:-1] & (later > 0) & (mine == owners[length - 1 :])
        runs.append((mine[known], keys[known]))
    return runs


def _keys(segmented: Sequence[list[str]], numbers: dict[str, int], head: int) -> tuple[Ints, Ints]:
    """Owners (position in the batch) and keys of all n-grams of a batch, with repetitions."""
    lengths = np.fromiter(map(len, segmented), np.int64, len(segmented))
    items = np.fromiter(map(numbers.get, chain.from_iterable(segmented), repeat(0)), np.int64, int(lengths.sum()))
    owners = np.repeat(np.arange(len(segmented)), lengths)
    order = np.arange(len(items)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    strings = ["".join(one) for one in segmented]
    heads = np.fromiter((sum(map(len, one[:head])) for one in segmented), np.int64, len(segmented))
    sizes = np.fromiter(map(len, strings), np.int64, len(strings))
    points = np.frombuffer("".join(strings).encode("utf-32-le"), np.uint32).astype(np.int64)
    points = np.where(points >> _CHARACTER, 0xFFFD, points)
    keepers = np.repeat(np.arange(len(strings)), sizes)
    place = np.arange(len(points)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    early, first = order < head, place < np.repeat(heads, sizes)
    blocks = (
        (WORDS, _runs(items, owners, _WORD, 2)),
        (CHARACTERS, _runs(points, keepers, _CHARACTER, 3)),
        (HEAD_WORDS, _runs(items[early], owners[early], _WORD, 2)),
        (HEAD_CHARACTERS, _runs(points[first], keepers[first], _CHARACTER, 3)),
    )
    runs = [(mine, keys | (block << _BLOCK)) for block, pairs in blocks for mine, keys in pairs]
    return np.concatenate([mine for mine, _ in runs]), np.concatenate([keys for _, keys in runs])


@dataclass(slots=True)
class Features:
    """A learnt vocabulary. `matrix` turns segmented texts into weighted rows (TF-IDF, each block of length 1)."""

    lexicon: list[str]
    """Known words; word number n is `lexicon[n - 1]`."""
    keys: Ints
    rarity: Floats
    """Inverse document frequency of each key."""
    _numbers: dict[str, int]
    _table: Table

    def __init__(self, lexicon: list[str], keys: Ints, rarity: Floats) -> None:
        self.lexicon, self.keys, self.rarity = lexicon, keys, rarity
        self._numbers = {word: number for number, word in enumerate(lexicon, 1)}
        self._table = Table(keys)

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def learn(cls, segmented: Sequence[list[str]], *, at_most: int, seen: int = 2) -> Features:
        """The n-grams that occur in at least `seen` texts, the most frequent `at_most` of them."""
        counts = Counter(word for one in segmented for word in set(one))
        lexicon = sorted(word for word, count in counts.items() if count >= seen)[: (1 << _WORD) - 2]
        numbers = {word: number for number, word in enumerate(lexicon, 1)}
        parts = []
        for start in range(0, len(segmented), CHUNK):
            owners, keys = _keys(segmented[start : start + CHUNK], numbers, HEAD)
            pairs, _ = _counted((owners << (_BLOCK + 2)) | keys)
            parts.append(pairs & ((1 << (_BLOCK + 2)) - 1))
        keys, frequency = _counted(np.concatenate([np.zeros(0, np.int64), *parts]))
        common = frequency >= seen
        keys, frequency = keys[common], frequency[common]
        if len(keys) > at_most:
            best = np.sort(np.argsort(-frequency, kind="stable")[:at_most])
            keys, frequency = keys[best], frequency[best]
        rarity = np.log((1 + len(segmented)) / (1 + frequency)) + 1
        return cls(lexicon, keys, rarity.astype(np.float32))

    def matrix(self, segmented: Sequence[list[str]]) -> Any:
        """A scipy CSR matrix, one row per text."""
        parts = [self._rows(segmented[start : start + CHUNK]) for start in range(0, len(segmented), CHUNK)]
        return sparse.vstack(parts, format="csr") if parts else sparse.csr_matrix((0, len(self)), dtype=np.float32)

    def _rows(self, segmented: Sequence[list[str]]) -> Any:
        owners, keys = _keys(segmented, self._numbers, HEAD)
        found = self._table.find(keys)
        known = found >= 0
        pairs, times = _counted((owners[known] << 32) | found[known])
        rows, columns = pairs >> 32, pairs & 0xFFFFFFFF
        values = (1 + np.log(times)) * self.rarity[columns]
        cell = rows * BLOCKS + (self.keys[columns] >> _BLOCK)
        norms = np.sqrt(np.bincount(cell, values * values, len(segmented) * BLOCKS))
        values = (values / norms[cell]).astype(np.float32)
        ends = np.searchsorted(rows, np.arange(len(segmented) + 1))
        return sparse.csr_matrix((values, columns, ends), shape=(len(segmented), len(self)))

    def of_body(self) -> npt.NDArray[np.bool_]:
        """Which columns count the whole text, not only its head."""
        return np.asarray(self.keys >> _BLOCK < HEAD_WORDS)

    def of_words(self) -> npt.NDArray[np.bool_]:
        """Which columns are words or pairs of words, not runs of characters."""
        return np.asarray((self.keys >> _BLOCK & 1) == 0)

    def name(self, column: int) -> str:
        """The n-gram of a column as a reader would write it."""
        key = int(self.keys[column])
        block, body = key >> _BLOCK, key & ((1 << _BLOCK) - 1)
        if block in (WORDS, HEAD_WORDS):
            pair = [number for number in (body >> _WORD, body & ((1 << _WORD) - 1)) if number]
            parts = [self.lexicon[number - 1] for number in pair]
            return (" " if all(map(_ASCII.fullmatch, parts)) else "").join(parts)
        points = [body >> _CHARACTER * place & 0xFFFF for place in (2, 1, 0)]
        return "".join(chr(point) for point in points if point)


def distinct(names: Iterable[str], most: int) -> list[str]:
    """The first `most` names of which none is part of one already taken, single characters left out."""
    taken: list[str] = []
    for name in names:
        if len(name) > 1 and not any(name in other or other in name for other in taken):
            taken.append(name)
            if len(taken) == most:
                break
    return taken
