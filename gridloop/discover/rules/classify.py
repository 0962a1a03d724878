"""Which kind of case a text reports: learnt from the district's own answers, or from the catalogue's words.

Two ways behind one interface. `Trained` is linear over n-grams: deterministic, quick, and every answer names the
n-grams that decided it. `Cold` knows no example, only what the catalogue calls each kind of case. `Classifier` blends
them kind by kind: the more examples the district has of a kind, the more the trained answer counts for it.

A confidence is a probability: of the answers given with 0.9, nine in ten should be right. `assess.evaluate` measures
whether that holds, because automatic filing depends on it.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import ahocorasick
import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.optimize import minimize_scalar
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold
from sklearn.svm import LinearSVC

from gridloop.discover.rules.features import (
    BLOCKS,
    CHUNK,
    Features,
    Floats,
    distinct,
    plain,
    silent_words,
    words,
    words_of,
)

Matrix = npt.NDArray[np.float64]
Groups = Sequence[Any] | npt.NDArray[np.int64]

FORMAT = 1
MOST_WEIGHTS = 24_000_000
"""Cells of the weight matrix (float32), so that a model stays below 100 MB whatever the number of kinds."""
PLAIN = 0.6
"""Share of the plain machine in the sum; anything from 0.3 to 0.8 does within half a point."""
FAMILIAR = 4
"""Examples of a kind at which the trained and the cold answer count alike for it."""
FOLDS = 4
UNCALIBRATED = 2.0
"""Sharpness of a model that was not calibrated: rather too doubtful than too sure."""
REASONS = 5
RUNNERS_UP = 3


class Kind(Protocol):
    """What the cold start reads of a case type: `standard.queries.CaseType` has it."""

    @property
    def key(self) -> str: ...
    @property
    def name(self) -> Any: ...
    @property
    def words(self) -> Sequence[str]: ...


@dataclass(frozen=True, slots=True)
class Guess:
    """One answer. `case_type` is "" and `confidence` 0 where nothing in the text points to any kind."""

    case_type: str
    confidence: float
    why: tuple[str, ...] = ()
    """The words of the text that decided, or the catalogue's words nearest to it; strongest first."""
    runners_up: tuple[tuple[str, float], ...] = ()


NOTHING = Guess("", 0.0)


class TooFewExamples(ValueError):
    """Learning needs at least two kinds with two examples each."""


def softmax(scores: Matrix) -> Matrix:
    lifted = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(lifted / lifted.sum(axis=1, keepdims=True))


class Trained:
    """A linear model over n-grams: a plain and a Bayes-scaled support vector machine, added.

    The second knows the whole text but not its head, and scales each n-gram by how unevenly a kind uses it (Wang and
    Manning 2012). Both are linear in the same features, so their sum is one matrix of weights, and what an n-gram
    contributes is one product.
    """

    def __init__(
        self,
        kinds: Sequence[str],
        counts: Sequence[int],
        features: Features,
        weights: Floats,
        sharpness: float,
        silent: frozenset[str] = frozenset(),
    ) -> None:
        self.kinds, self.counts = list(kinds), list(counts)
        self.features, self.weights, self.sharpness = features, weights, sharpness
        """`weights` has a row per n-gram and a last row of constants, a column per kind."""
        self.silent = silent
        """Words that are not read, because the training did not have them (`features.silent_words`)."""

    @classmethod
    def learn(
        cls,
        texts: Sequence[str],
        labels: Sequence[str],
        groups: Groups | None = None,
        *,
        unlabelled: Sequence[str] = (),
        calibrate: bool = True,
    ) -> Trained:
        """Learn from texts and their kinds.

        Texts of one group (near-duplicates) stay together in calibration. `unlabelled` texts show how people write
        here, which matters where the labelled ones were segmented and stripped by somebody before.
        """
        kinds, answers, counts = np.unique(
            np.asarray(labels, dtype=object).astype(str), return_inverse=True, return_counts=True
        )
        if len(kinds) < 2 or np.sort(counts)[-2] < 2:
            raise TooFewExamples(f"{len(kinds)} kinds, {len(texts)} texts")
        segmented, silent = read_texts(texts, unlabelled)
        features, weights = _fit(segmented, answers, len(kinds))
        factor = UNCALIBRATED
        if calibrate:
            factor = sharpness(unseen(segmented, answers, len(kinds), groups)[0], answers)
        return cls(kinds.tolist(), counts.tolist(), features, weights, factor, silent)

    def heard(self, segmented: Sequence[list[str]]) -> Sequence[list[str]]:
        """The words that this model reads."""
        if not self.silent:
            return segmented
        return [[word for word in one if word not in self.silent] for one in segmented]

    def table(self, segmented: Sequence[list[str]]) -> tuple[Matrix, Any]:
        """Probability of each kind (texts x kinds), and the feature rows from which `reasons` explains."""
        rows = self.features.matrix(self.heard(segmented))
        table = softmax(self.sharpness * _scores(rows, self.weights))
        table[np.diff(rows.indptr) == 0] = 0.0
        return table, rows

    def reasons(
        self, rows: Any, winners: npt.NDArray[np.int64], rivals: npt.NDArray[np.int64]
    ) -> list[tuple[str, ...]]:
        """For each row the words that speak most for the winner against its rival (columns of `kinds`).

        Runs of characters are named only where no word helps: people read words.
        """
        owner = np.repeat(np.arange(rows.shape[0]), np.diff(rows.indptr))
        readable = self.features.of_words()[rows.indices]
        answers = self._strongest(rows, owner, np.flatnonzero(readable), winners, rivals)
        for row in [n for n, answer in enumerate(answers) if not answer]:
            places = np.arange(rows.indptr[row], rows.indptr[row + 1])
            answers[row] = self._strongest(rows, owner, places, winners, rivals)[row]
        return answers

    def _strongest(
        self, rows: Any, owner: Any, places: Any, winners: npt.NDArray[np.int64], rivals: npt.NDArray[np.int64]
    ) -> list[tuple[str, ...]]:
        mine, columns = owner[places], rows.indices[places]
        pull = rows.data[places] * (self.weights[columns, winners[mine]] - self.weights[columns, rivals[mine]])
        helps = pull > 0
        mine, columns, pull = mine[helps], columns[helps], pull[helps]
        order = np.lexsort((columns, -pull, mine))
        columns = columns[order]
        ends = np.searchsorted(mine[order], np.arange(rows.shape[0] + 1))
        name = self.features.name
        return [
            tuple(distinct((name(int(column)) for column in columns[start:end]), REASONS))
            for start, end in pairwise(ends.tolist())
        ]

    def arrays(self) -> dict[str, Any]:
        head = {"format": FORMAT, "kinds": self.kinds, "counts": self.counts, "sharpness": self.sharpness}
        return {
            "head": np.frombuffer(json.dumps(head, ensure_ascii=False).encode(), np.uint8),
            "lexicon": np.frombuffer("\n".join(self.features.lexicon).encode(), np.uint8),
            "silent": np.frombuffer("\n".join(sorted(self.silent)).encode(), np.uint8),
            "keys": self.features.keys,
            "rarity": self.features.rarity,
            "weights": self.weights,
        }

    @classmethod
    def read(cls, arrays: Mapping[str, Any]) -> Trained:
        head = json.loads(arrays["head"].tobytes())
        if head["format"] != FORMAT:
            raise ValueError(f"model format {head['format']}, this version reads {FORMAT}")
        lexicon, silent = (arrays[name].tobytes().decode().split("\n") for name in ("lexicon", "silent"))
        features = Features([word for word in lexicon if word], arrays["keys"], arrays["rarity"])
        if arrays["weights"].shape != (len(features) + 1, len(head["kinds"])):
            raise ValueError("the model's weights do not fit its vocabulary")
        return cls(
            head["kinds"], head["counts"], features, arrays["weights"], float(head["sharpness"]), frozenset(silent)
        )


def read_texts(texts: Sequence[str], unlabelled: Sequence[str] = ()) -> tuple[list[list[str]], frozenset[str]]:
    """The words of each text as a model learns them, and the words that it does not read."""
    segmented = [words(text) for text in texts]
    silent = silent_words([*texts, *unlabelled], [*segmented, *(words(text) for text in unlabelled)])
    return [[word for word in one if word not in silent] for one in segmented] if silent else segmented, silent


def folds(answers: npt.NDArray[np.int64], groups: Groups | None, number: int = FOLDS, seed: int = 0) -> list[Any]:
    """Train and test positions, kinds spread evenly and no group on both sides. Deterministic."""
    owners = np.arange(len(answers)) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    number = min(number, len(np.unique(owners)))
    if np.bincount(answers).max() < number:
        return list(GroupKFold(number).split(answers, answers, owners))
    splitter = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a kind with fewer examples than folds is expected here
        return list(splitter.split(answers, answers, owners))


def unseen(
    segmented: Sequence[list[str]],
    answers: npt.NDArray[np.int64],
    kinds: int,
    groups: Groups | None,
    *,
    number: int = FOLDS,
    seed: int = 0,
    parts: Sequence[Any] | None = None,
) -> tuple[Matrix, npt.NDArray[np.int64]]:
    """Scores (texts x kinds) of models that saw neither the text nor its group, and the fold of each text.

    `parts`: train and test positions where others than those of `folds` are wanted; the fold is -1 for texts in no
    test part.
    """
    scores = np.full((len(segmented), kinds), -2.0)
    fold = np.full(len(segmented), -1, np.int64)
    for n, (train, test) in enumerate(parts or folds(answers, groups, number, seed)):
        present, inner = np.unique(answers[train], return_inverse=True)
        fold[test] = n
        if len(present) > 1:
            features, weights = _fit([segmented[i] for i in train], inner, len(present))
            scores[np.ix_(test, present)] = _scores(features.matrix([segmented[i] for i in test]), weights)
    return scores, fold


def _fit(segmented: Sequence[list[str]], answers: npt.NDArray[np.int64], kinds: int) -> tuple[Features, Floats]:
    features = Features.learn(segmented, at_most=MOST_WEIGHTS // max(kinds, 2))
    rows = features.matrix(segmented).astype(np.float64)  # what the machine computes in; else it copies every time
    weights = np.zeros((len(features) + 1, kinds), np.float32)
    body = np.flatnonzero(features.of_body())
    body_rows = rows[:, body]
    for kind in range(kinds):
        mine = answers == kind
        whole = LinearSVC(C=1.0, tol=0.01, random_state=0).fit(rows, mine)
        inside = np.asarray(body_rows[mine].sum(axis=0)).ravel() + 0.01
        outside = np.asarray(body_rows[~mine].sum(axis=0)).ravel() + 0.01
        uneven = np.abs(np.log((inside / inside.sum()) / (outside / outside.sum()))).astype(np.float32)
        scaled = LinearSVC(C=0.3, tol=0.01, random_state=0).fit(body_rows @ sparse.diags(uneven), mine)
        weights[:-1, kind] = PLAIN * whole.coef_[0]
        weights[body, kind] += (1 - PLAIN) * scaled.coef_[0] * uneven
        weights[-1, kind] = PLAIN * whole.intercept_[0] + (1 - PLAIN) * scaled.intercept_[0]
    return features, weights


def _scores(rows: Any, weights: Floats) -> Matrix:
    return np.asarray(rows @ weights[:-1] + weights[-1], dtype=np.float64)


def sharpness(scores: Matrix, answers: npt.NDArray[np.int64]) -> float:
    """The factor before the softmax under which unseen answers are likeliest (temperature scaling)."""
    places = np.arange(len(answers))

    def surprise(log_factor: float) -> float:
        return -float(np.log(softmax(np.exp(log_factor) * scores)[places, answers] + 1e-12).mean())

    return float(np.exp(minimize_scalar(surprise, bounds=(-2.0, 2.5), method="bounded").x))


class Cold:
    """What the catalogue's own words say, for kinds of which the district has no examples yet.

    A kind gains by each of its words that occurs in the text (longest match, rarer words more), and a little by
    pairs of characters shared with its name.
    """

    SHARPNESS = 3.0
    NOTHING = 0.55
    """Strength of "none of them": below it an answer is worth less than a coin."""
    ONLY_WHERE = 0.25
    """What a word still counts where it tells the place ("rubbish beside the pavement"), not the matter."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        known = list(kinds)
        self.kinds = [kind.key for kind in known]
        self._called = [_called(kind) for kind in known]
        holders: dict[str, list[int]] = {}
        for place, called in enumerate(self._called):
            for word in called:
                holders.setdefault(word, []).append(place)
        self._finder = ahocorasick.Automaton()
        for word, places in holders.items():
            rarity = np.log((1 + len(known)) / len(places)) / np.log(1 + len(known))
            length = 1.0 if _latin(word) else min(len(word), 4) / 3
            self._finder.add_word(word, (word, tuple(places), float(rarity * length)))
        self._finder.make_automaton()
        self._features = Features.learn(
            [[part for word in called for part in words(word)] for called in self._called], at_most=500_000, seen=1
        )
        self._shapes = self._features.matrix(
            [[part for word in called for part in words(word)] for called in self._called]
        ).T.tocsr()

    def table(self, lines: Sequence[str], segmented: Sequence[list[str]]) -> tuple[Matrix, list[tuple[str, ...]]]:
        """Probability of each kind (texts x kinds; a row may sum to less than 1), and the deciding words.

        `lines` are the texts made `plain`, `segmented` their words.
        """
        strength = np.asarray((self._features.matrix(segmented) @ self._shapes).todense(), dtype=np.float64) / BLOCKS
        found = [self._found(line) for line in lines]
        for row, hits in enumerate(found):
            for _, places, worth in hits:
                strength[row, list(places)] += worth
        table = self._share(strength)
        reasons = [tuple(distinct((w for w, _, _ in sorted(hits, key=lambda hit: -hit[2])), REASONS)) for hits in found]
        return table, reasons

    def _share(self, strength: Matrix) -> Matrix:
        """Kinds of which the text says nothing take no share, however many the catalogue has."""
        lifted = np.expm1(self.SHARPNESS * np.maximum(strength, 0.0))
        return np.asarray(lifted / (lifted.sum(axis=1, keepdims=True) + np.expm1(self.SHARPNESS * self.NOTHING)))

    def _found(self, line: str) -> list[tuple[str, tuple[int, ...], float]]:
        if not len(self._finder):
            return []
        hits: dict[str, tuple[str, tuple[int, ...], float]] = {}
        for end, hit in self._finder.iter_long(line):
            word = hit[0]
            begin = end - len(word) + 1
            if _latin(word) and (line[max(0, begin - 1) : begin].isalnum() or line[end + 1 : end + 2].isalnum()):
                continue  # a part of a longer word
            where = _WHERE.match(line, end + 1) is not None
            worth = hit[2] * (self.ONLY_WHERE if where else 1.0)
            if word not in hits or hits[word][2] < worth:
                hits[word] = (word, hit[1], worth)
        return list(hits.values())


_WHERE = re.compile(
    r"(?:的)?(?:[东西南北]{1,2}(?:侧|边|面|门|角|头)|旁|边上?|附近|门口|对面|周边|周围|入口|出口|上(?!锈|翘)|内(?!涝)|里|前|后|往)"
)


def _latin(word: str) -> bool:
    return word.isascii()


def _called(kind: Kind) -> list[str]:
    """The name in each language and the words of a kind, name first, each once."""
    names = (
        [str(getattr(kind.name, language, "")) for language in ("zh", "en")]
        if not isinstance(kind.name, str)
        else [kind.name]
    )
    return list(dict.fromkeys(word for word in (plain(one).strip() for one in (*names, *kind.words)) if word))


class Classifier:
    """The district's classifier: catalogue words from the first day, its own answers as they come in."""

    def __init__(self, *, cold: Cold | None = None, trained: Trained | None = None) -> None:
        self._cold, self._trained = cold, trained
        self.kinds = list(dict.fromkeys([*(trained.kinds if trained else ()), *(cold.kinds if cold else ())]))
        places = {kind: place for place, kind in enumerate(self.kinds)}
        self._trained_at = np.array([places[kind] for kind in trained.kinds] if trained else [], dtype=np.int64)
        self._cold_at = np.array([places[kind] for kind in cold.kinds] if cold else [], dtype=np.int64)
        self._trust = np.zeros(len(self.kinds))
        self._ripe = np.zeros(0)
        if trained:
            examples = np.array(trained.counts, dtype=np.float64)
            self._ripe = examples / (examples + 2)
            self._trust[self._trained_at] = examples / (examples + FAMILIAR) if cold else 1.0

    @classmethod
    def cold(cls, case_types: Iterable[Kind]) -> Classifier:
        """A classifier that knows only the catalogue."""
        return cls(cold=Cold(case_types))

    @classmethod
    def train(
        cls,
        texts: Sequence[str],
        labels: Sequence[str],
        groups: Groups | None = None,
        *,
        unlabelled: Sequence[str] = (),
    ) -> Classifier:
        """A classifier that knows only examples (`Trained.learn`)."""
        return cls(trained=Trained.learn(texts, labels, groups, unlabelled=unlabelled))

    def with_cold(self, case_types: Iterable[Kind]) -> Classifier:
        """The same training, and the catalogue's words for kinds that have few examples or none."""
        return Classifier(cold=Cold(case_types), trained=self._trained)

    def guess(self, texts: Sequence[str]) -> list[Guess]:
        """One guess per text, in order. The same text always gets the same answer, alone or in a batch."""
        answers: list[Guess] = []
        for start in range(0, len(texts), CHUNK):
            answers += self._guess(texts[start : start + CHUNK])
        return answers

    def _guess(self, texts: Sequence[str]) -> list[Guess]:
        if len(self.kinds) == 0:
            return [NOTHING] * len(texts)
        lines = [plain(text) for text in texts]
        segmented = [words_of(line) for line in lines]
        table = np.zeros((len(texts), len(self.kinds)))
        learnt = cold = None
        if self._trained:
            learnt, rows = self._trained.table(segmented)
            table[:, self._trained_at] = learnt * self._trust[self._trained_at]
        cold_reasons: list[tuple[str, ...]] = [()] * len(texts)
        if self._cold and self._trust.min() < 0.95:
            cold, cold_reasons = self._cold.table(lines, segmented)
            open_to_it = 1 - table.max(axis=1, keepdims=True)  # the catalogue speaks where the examples are not sure
            table[:, self._cold_at] += cold * (1 - self._trust[self._cold_at]) * open_to_it
        table = self._shared(table, learnt)
        each = np.arange(len(texts))[:, None]
        order = np.argpartition(-table, min(RUNNERS_UP, table.shape[1] - 1), axis=1)[:, : RUNNERS_UP + 1]
        order = order[each, np.argsort(-table[each, order], axis=1, kind="stable")]
        best = table[each, order]
        reasons = cold_reasons
        if self._trained and learnt is not None and len(self._trained.kinds) > 1:
            leaders = np.argsort(-learnt, axis=1, kind="stable")[:, :2]
            own = self._trained.reasons(rows, leaders[:, 0], leaders[:, 1])
            agree = self._trained_at[leaders[:, 0]] == order[:, 0]
            reasons = [mine if same else other for mine, same, other in zip(own, agree, cold_reasons, strict=True)]
        return [
            Guess(
                self.kinds[row[0]],
                round(float(sure[0]), 4),
                why,
                tuple(
                    (self.kinds[k], round(float(p), 4)) for k, p in zip(row[1:], sure[1:], strict=True) if p >= 0.001
                ),
            )
            if sure[0] > 0
            else NOTHING
            for row, sure, why in zip(order, best, reasons, strict=True)
        ]

    def _shared(self, table: Matrix, learnt: Matrix | None) -> Matrix:
        """Rows that sum to at most 1, and where the catalogue is silent to what the examples allow (n of n + 2)."""
        total = table.sum(axis=1, keepdims=True)
        allowed = total
        if learnt is not None and self._cold:
            allowed = np.maximum(total, (learnt @ self._ripe)[:, None])
        return np.asarray(table / np.maximum(total, 1e-12) * np.minimum(allowed, 1.0))

    def save(self, path: str | Path) -> None:
        """Write what was learnt as a plain array file. The catalogue is not part of it; `with_cold` adds it."""
        if self._trained is None:
            raise ValueError("a classifier that was not trained has nothing to save")
        with Path(path).open("wb") as file:
            np.savez(file, **self._trained.arrays())

    @classmethod
    def load(cls, path: str | Path) -> Classifier:
        """Read what `save` wrote. The file holds numbers and text only; nothing in it is ever run."""
        with np.load(path, allow_pickle=False) as file:
            return cls(trained=Trained.read(file))
