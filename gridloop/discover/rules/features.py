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
from typing import Any

import numpy as np
import numpy.typing as npt
import rjieba
from scipy import sparse

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

HEAD = 12
"""Words at the beginning that are also counted apart: people put the matter first, in the title."""
BLOCKS = 4
WORDS, CHARACTERS, HEAD_WORDS, HEAD_CHARACTERS = range(BLOCKS)
CHUNK = 2048
"""Texts of one pass. Text and key share one 63-bit number, which leaves 13 bits to count texts."""
_BLOCK, _WORD, _CHARACTER = 48, 24, 16
_UNWRITTEN = re.compile(r"[\W_]+")
_ASCII = re.compile(r"[\x00-\x7f]+")


def plain(text: str) -> str:
    """The text with full-width forms, compatibility characters and capitals made alike."""
    return unicodedata.normalize("NFKC", text).lower()


def words(text: str) -> list[str]:
    """The words of a text in order, without punctuation. Text that is already segmented stays as it is."""
    return words_of(plain(text))


def words_of(line: str) -> list[str]:
    """`words` of a text that is `plain` already."""
    return [word for word in rjieba.cut(line) if word.isalnum() or not _UNWRITTEN.fullmatch(word)]


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
    get = numbers.get
    items = np.fromiter((get(word, 0) for one in segmented for word in one), np.int64, int(lengths.sum()))
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

    def of_characters(self, column: int) -> bool:
        """Whether a column is a run of characters, not of words."""
        return bool(self.keys[column] >> _BLOCK & 1)

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
