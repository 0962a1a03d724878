"""Whether a report tells of something that is already known: same kind, near in place and time, alike in words.

The chain rule: a report is compared with cases, and with reports of its batch that will open one, never with reports
that joined. So distance and age are always counted from the report that opened the case, and a row of neighbours
cannot carry a case from one end of a street to the other.

The default gates, 50 metres and 24 hours for the same kind, are those of a real city's system; a pack may set others.
Inside the gates `score` says how likely the pair is one matter.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy import sparse
from sklearn.linear_model import LogisticRegression

from gridloop.discover.rules.features import plain

Reals = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EARTH = 111_320.0
"""Metres of one degree of latitude."""
NEAREST = 32
"""Candidates compared per report and square, latest first: where more are open at one place, the earlier ones are
not looked at."""
BLOCK = 256
BUCKETS = 1 << 18
LIKENESS = 0.5
"""What full likeness of words adds when several open cases are possible. A choice, not a measurement."""
_HALF = 1 << 22
_STEPS = [(across << 24) + up for across in (-1, 0, 1) for up in (-1, 0, 1)]
_POLITE = re.compile(
    r"尊敬的?|敬爱的|各位|领导们?|书记|市长|区长|您好|你好|大家好|请问|麻烦|恳请|请求|希望|望|请|我要|有关部门|相关部门|政府|尽快|及时|"
    r"处理一下|处理|帮忙|解决一下|谢谢|感谢|投诉|举报|反映|我是|我们是|我想|一下|"
    r"\b(?:hello|hi|dear|sir|madam|please|thanks?|thank you|kindly|report(?:ing)?)\b"
)
_GAPS = re.compile(r"[\W_]+")


class Rule(Protocol):
    """The gates for one kind of case: `standard.queries.DuplicateRule` has them."""

    @property
    def meters(self) -> float: ...
    @property
    def hours(self) -> float: ...
    @property
    def text_similarity(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Gates:
    meters: float = 50.0
    hours: float = 24.0
    text_similarity: float = 0.0


DEFAULT = Gates()


@dataclass(frozen=True, slots=True)
class Seen:
    """A report or an open case as the search sees it. Without a place or a kind it has no duplicates."""

    key: int
    """The report's or the case's id."""
    case_type: str
    lon: float | None
    lat: float | None
    at: datetime
    """When it was reported; of a case, when the report that opened it was."""
    text: str = ""
    callers: int = 1
    """Reports that the case has so far."""


@dataclass(frozen=True, slots=True)
class Match:
    """What a report repeats, and how near it is."""

    key: int
    """The open case, or with `new` the earlier report of the batch, which itself joins nothing."""
    new: bool
    similarity: float
    """Likeness of the two texts, 0 to 1."""
    sure: float
    """How likely the two are one matter, 0 to 1 (`score`)."""
    metres: float
    hours: float
    callers: int


@dataclass(frozen=True, slots=True)
class Weights:
    """Additive weights of `score`, so that a person can check an answer by hand."""

    constant: float
    metres: float
    """Per 10 metres."""
    day: float
    """Per day since the first report, up to the third."""
    late: float
    """Per day after the third."""
    callers: float
    """Per doubling of callers."""

    @classmethod
    def fit(cls, metres: Reals, hours: Reals, callers: Reals, same: npt.NDArray[np.bool_]) -> Weights:
        """Weights from pairs that people judged."""
        machine = LogisticRegression(C=10.0, max_iter=500).fit(_columns(metres, hours, callers), same)
        return cls(float(machine.intercept_[0]), *(float(weight) for weight in machine.coef_[0]))


SHIPPED = Weights(constant=1.0, metres=-0.4, day=-0.4, late=-0.9, callers=0.7)
"""Where a district has not fitted its own. Time and callers are as fitted on Chicago's flags of 2011-2012
(`bench.duplicates`); the weight of distance is ours and milder, because Chicago's points are addresses and the point
of a telephone scatters by tens of metres."""


def _columns(metres: Reals, hours: Reals, callers: Reals) -> Reals:
    days = hours / 24
    return np.column_stack([metres / 10, np.minimum(days, 3), np.maximum(days - 3, 0), np.log2(np.maximum(callers, 1))])


def score(metres: Reals, hours: Reals, callers: Reals, weights: Weights = SHIPPED) -> Reals:
    """How likely a report and an open case are one matter, for many pairs at once."""
    by = np.array([weights.metres, weights.day, weights.late, weights.callers])
    return np.asarray(1 / (1 + np.exp(-(weights.constant + _columns(metres, hours, callers) @ by))))


def shapes(texts: Sequence[str]) -> Any:
    """Rows of length 1 that hold what a text says without its courtesies: weighted pairs of characters."""
    said = []
    for text in texts:
        whole = plain(text)
        said.append(_GAPS.sub("", _POLITE.sub("", whole)) or _GAPS.sub("", whole))
    sizes = np.fromiter(map(len, said), np.int64, len(said))
    points = np.frombuffer("".join(said).encode("utf-32-le"), np.uint32).astype(np.uint64)
    owners = np.repeat(np.arange(len(said)), sizes)
    pairs = (points[:-1] << np.uint64(21)) | points[1:]
    inside = owners[:-1] == owners[1:]
    single = np.flatnonzero(sizes == 1)
    keys = np.concatenate([pairs[inside], points[np.cumsum(sizes)[single] - 1]])
    rows = np.concatenate([owners[:-1][inside], single])
    columns = ((keys * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - 18)).astype(np.int64)
    cells, times = np.unique(rows * BUCKETS + columns, return_counts=True)
    rows, columns = cells // BUCKETS, cells % BUCKETS
    values = np.sqrt(times)
    norms = np.sqrt(np.bincount(rows, values * values, len(said)))
    ends = np.searchsorted(rows, np.arange(len(said) + 1))
    return sparse.csr_matrix((values / norms[rows], columns, ends), shape=(len(said), BUCKETS))


def similar(text_a: str, text_b: str) -> float:
    """How alike two texts are, 0 to 1: 1 for the same words, whatever the greetings around them."""
    rows = shapes([text_a, text_b])
    return min(1.0, float((rows[0] @ rows[1].T).sum()))


class _Columns:
    """Items as arrays. `cell` numbers the square of the kind's reach in which an item lies; -1 = nowhere."""

    def __init__(self, items: Sequence[Seen], rules: Mapping[str, Rule]) -> None:
        nowhere = (np.nan, np.nan)
        degrees = np.array(
            [
                nowhere if one.lon is None or one.lat is None or not one.case_type else (one.lon, one.lat)
                for one in items
            ],
            dtype=np.float64,
        ).reshape(-1, 2)
        placed = ~np.isnan(degrees[:, 0])
        names, kinds = np.unique([one.case_type for one in items], return_inverse=True)
        gates = [rules.get(str(name), DEFAULT) for name in names]
        self.reach = np.array([gate.meters for gate in gates])[kinds]
        self.hours = np.array([gate.hours for gate in gates])[kinds]
        self.alike = np.array([gate.text_similarity for gate in gates])[kinds]
        self.seconds = np.array([one.at.timestamp() for one in items])
        self.callers = np.array([one.callers for one in items], dtype=np.float64)
        origin = degrees[placed].mean(axis=0) if placed.any() else np.zeros(2)
        stretch = np.array([np.cos(np.radians(origin[1])), 1.0])
        self.metres = (degrees - origin) * stretch * EARTH
        squares = np.floor(self.metres / np.maximum(self.reach, 1.0)[:, None])
        across, up = np.where(placed[:, None], squares, 0.0).astype(np.int64).T
        self.cell = np.where(placed, (kinds.astype(np.int64) << 48) + ((across + _HALF) << 24) + up + _HALF, -1)
        self.texts = [one.text for one in items]

    def near(self, asked: Ints, known: Ints, most: int) -> tuple[Ints, Ints]:
        """Pairs (asked, known) within the gates of place and time; per neighbouring square the latest `most`."""
        known = known[np.lexsort((self.seconds[known], self.cell[known]))]
        cells = self.cell[known]
        asked = asked[self.cell[asked] >= 0]
        left, right = [], []
        for step in _STEPS:
            begin = np.searchsorted(cells, self.cell[asked] + step, "left")
            end = np.searchsorted(cells, self.cell[asked] + step, "right")
            sizes = end - np.maximum(begin, end - most)
            mine = np.repeat(np.arange(len(asked)), sizes)
            place = end[mine] - 1 - (np.arange(len(mine)) - np.repeat(np.cumsum(sizes) - sizes, sizes))
            left.append(asked[mine])
            right.append(known[place])
        a, b = np.concatenate(left), np.concatenate(right)
        metres, hours = self.apart(a, b)
        inside = (metres <= self.reach[a]) & (hours <= self.hours[a])
        return a[inside], b[inside]

    def apart(self, a: Ints, b: Ints) -> tuple[Reals, Reals]:
        """Metres and hours between the items of each pair."""
        steps = self.metres[a] - self.metres[b]
        return np.hypot(steps[:, 0], steps[:, 1]), np.abs(self.seconds[a] - self.seconds[b]) / 3600


def find(
    new: Sequence[Seen],
    candidates: Sequence[Seen],
    rules: Mapping[str, Rule] | None = None,
    *,
    weights: Weights = SHIPPED,
    at_least: float = 0.0,
) -> list[Match | None]:
    """For each new report, in order: the open case or the earlier report of the batch that it repeats, or None.

    `rules`: gates by case type; a type without any has the default. `candidates`: open cases (those of the last hours
    of the widest gate are enough). The reports of a batch are taken in order of `at`, then of position. The likeliest
    match wins, and the nearer in words counts as likelier. Pairs below `at_least` in `score` do not count: leave it 0
    where the gates are to decide alone.
    """
    everything = [*new, *candidates]
    columns = _Columns(everything, rules or {})
    order = np.lexsort((np.arange(len(new)), columns.seconds[: len(new)]))
    cases = np.arange(len(new), len(new) + len(candidates))
    cases = cases[columns.cell[cases] >= 0]
    old_a, old_b = columns.near(order, cases, NEAREST)
    met = np.union1d(np.arange(len(new)), old_b)
    rows = shapes([columns.texts[i] for i in met])
    row_of = np.zeros(len(columns.texts), np.int64)
    row_of[met] = np.arange(len(met))

    def judged(a: Ints, b: Ints) -> _Pairs:
        metres, hours = columns.apart(a, b)
        likeness = np.minimum(1.0, np.asarray(rows[row_of[a]].multiply(rows[row_of[b]]).sum(axis=1)).ravel())
        sure = score(metres, hours, columns.callers[b], weights)
        rank = sure + LIKENESS * likeness
        pairs = _Pairs(a, b, sure, metres, hours, likeness, rank).only(
            (likeness >= columns.alike[a]) & (sure >= at_least)
        )
        # Best first for each report; between equals the oldest, so that the answer does not depend on the order given.
        return pairs.only(np.lexsort((pairs.b, columns.seconds[pairs.b], -pairs.rank, pairs.a)))

    answers: list[Match | None] = [None] * len(new)
    old = judged(old_a, old_b)
    roots: Ints = np.zeros(0, np.int64)
    for start in range(0, len(order), BLOCK):
        block = order[start : start + BLOCK]
        block = block[columns.cell[block] >= 0]
        turn = np.zeros(len(columns.texts), np.int64)
        turn[block] = np.arange(1, len(block) + 1)
        root_a, root_b = columns.near(block, roots, NEAREST)
        in_a, in_b = columns.near(block, block, len(block))
        earlier = turn[in_b] < turn[in_a]
        fresh = judged(np.concatenate([root_a, in_a[earlier]]), np.concatenate([root_b, in_b[earlier]]))
        opened = []
        is_root = np.zeros(len(columns.texts), bool)
        is_root[roots] = True
        old_from, old_to = np.searchsorted(old.a, block, "left"), np.searchsorted(old.a, block, "right")
        new_from, new_to = np.searchsorted(fresh.a, block, "left"), np.searchsorted(fresh.a, block, "right")
        for n, report in enumerate(block):
            choice = old.pick(int(old_from[n])) if old_to[n] > old_from[n] else None
            possible = np.flatnonzero(is_root[fresh.b[new_from[n] : new_to[n]]])
            if len(possible):
                other = fresh.pick(int(new_from[n] + possible[0]))
                choice = other if choice is None or other[1] > choice[1] else choice
            if choice is None:
                is_root[report] = True
                opened.append(report)
            else:
                known, _, sure, metres, hours, likeness = choice
                seen = everything[known]
                answers[report] = Match(seen.key, known < len(new), likeness, sure, metres, hours, seen.callers)
        roots = np.concatenate([roots, np.array(opened, dtype=np.int64)])
    return answers


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Judged pairs as columns."""

    a: Ints
    b: Ints
    sure: Reals
    metres: Reals
    hours: Reals
    likeness: Reals
    rank: Reals

    def only(self, chosen: npt.NDArray[Any]) -> _Pairs:
        columns = (self.a, self.b, self.sure, self.metres, self.hours, self.likeness, self.rank)
        return _Pairs(*(column[chosen] for column in columns))

    def pick(self, n: int) -> tuple[int, float, float, float, float, float]:
        return (
            int(self.b[n]),
            float(self.rank[n]),
            float(self.sure[n]),
            float(self.metres[n]),
            float(self.hours[n]),
            float(self.likeness[n]),
        )
