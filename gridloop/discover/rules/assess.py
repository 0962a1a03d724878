"""How good a classifier is, measured on texts that it has not seen, and whether its confidence can be believed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.sparse.csgraph import connected_components

from gridloop.discover.rules.classify import Classifier, Groups, read_texts, sharpness, softmax, unseen
from gridloop.discover.rules.features import words
from gridloop.kernel.language import Sentence

BINS = 10
THRESHOLDS = (0.80, 0.85, 0.90, 0.95)
ALIKE = 0.5
"""Share of common runs of four characters from which two texts count as near-duplicates."""
_HASHES, _BAND = 32, 4


@dataclass(frozen=True, slots=True)
class KindScore:
    kind: str
    examples: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Assessment:
    """What `evaluate` and `judge` found. All rates are 0 to 1."""

    kinds: tuple[KindScore, ...]
    macro_f1: float
    accuracy: float
    confusion: npt.NDArray[np.int64]
    """Rows: what it is; columns: what was said; in the order of `kinds`."""
    calibration: tuple[tuple[float, float, int], ...]
    """Per bin of confidence with texts in it: mean confidence, share right, texts."""
    calibration_error: float
    """Expected calibration error: the mean distance of confidence from truth over the bins, weighted by texts."""
    filing: tuple[tuple[float, float, float], ...]
    """Per threshold: the threshold, the share of texts at or above it, the share of those that is right."""
    by_fold: tuple[float, ...] = ()
    """Macro-F1 of each fold."""

    def report(self) -> Sentence:
        """The whole result as a table to read."""
        width = max(4, *(_wide(kind.kind) for kind in self.kinds))
        rows = [
            f"{_pad(k.kind, width)}  {k.examples:8}  {k.precision:9.3f}  {k.recall:6.3f}  {k.f1:6.3f}"
            for k in self.kinds
        ]
        mixed = [
            (int(self.confusion[a, b]), self.kinds[a].kind, self.kinds[b].kind)
            for a in range(len(self.kinds))
            for b in range(len(self.kinds))
            if a != b and self.confusion[a, b]
        ]
        mixed.sort(reverse=True)
        spread = f" ± {np.std(self.by_fold):.4f}" if self.by_fold else ""

        def lines(head: str, total: str, trust: str, over: str, mix: str, taken: str) -> str:
            return "\n".join(
                [
                    head.format(_pad("", width)),
                    *rows,
                    total.format(f"{self.macro_f1:.4f}{spread}", f"{self.accuracy:.4f}"),
                    trust.format(f"{self.calibration_error:.4f}"),
                    *(f"  {mean:.2f}  {right:.2f}  {count}" for mean, right, count in self.calibration),
                    over,
                    *(f"  ≥ {least:.2f}  {share:6.1%}  {right:6.1%}" for least, share, right in self.filing),
                    mix,
                    *(f"  {count}  {taken.format(a, b)}" for count, a, b in mixed[:8]),
                ]
            )

        return Sentence(
            zh=lines(
                "{}  例子      精确率     召回率  F1",
                "宏平均 F1 {}，正确率 {}",
                "置信度误差 {}（各档：平均置信度、实际正确率、条数）",
                "达到阈值的比例及其正确率",
                "最常混淆",
                "{} 判为 {}",
            ),
            en=lines(
                "{}  examples  precision  recall  F1",
                "macro-F1 {}, accuracy {}",
                "calibration error {} (per bin: mean confidence, share right, texts)",
                "share at or above a threshold, and how much of it is right",
                "most often mixed up",
                "{} taken for {}",
            ),
        )


def train(
    texts: Sequence[str], labels: Sequence[str], groups: Groups | None = None, *, unlabelled: Sequence[str] = ()
) -> Classifier:
    """The classifier that the product uses. Without `groups`, near-duplicates are found here and kept together."""
    return Classifier.train(texts, labels, near_duplicates(texts) if groups is None else groups, unlabelled=unlabelled)


def evaluate(
    texts: Sequence[str], labels: Sequence[str], groups: Groups | None = None, *, number: int = 5, seed: int = 0
) -> Assessment:
    """Cross-validate in `number` folds: each text is judged by a model that saw neither it nor its near-duplicates.

    `groups`: texts of one group stay on one side; None finds near-duplicates. The confidence of a fold is calibrated
    on the other folds only.
    """
    owners = near_duplicates(texts) if groups is None else groups
    kinds, answers = np.unique(np.asarray(labels, dtype=str), return_inverse=True)
    scores, fold = unseen(read_texts(texts)[0], answers, len(kinds), owners, number=number, seed=seed)
    table = np.zeros_like(scores)
    for one in np.unique(fold):
        table[fold == one] = softmax(sharpness(scores[fold != one], answers[fold != one]) * scores[fold == one])
    return assess(answers, table.argmax(axis=1), table.max(axis=1), [str(kind) for kind in kinds], fold)


def judge(classifier: Classifier, texts: Sequence[str], labels: Sequence[str]) -> Assessment:
    """Judge a ready classifier on texts that were not in its training."""
    guesses = classifier.guess(texts)
    kinds = sorted({*labels, *(guess.case_type for guess in guesses)})
    place = {kind: n for n, kind in enumerate(kinds)}
    truth = np.array([place[label] for label in labels])
    said = np.array([place[guess.case_type] for guess in guesses])
    return assess(truth, said, np.array([guess.confidence for guess in guesses]), kinds)


def assess(
    truth: npt.NDArray[np.int64],
    said: npt.NDArray[np.int64],
    confidence: npt.NDArray[np.float64],
    kinds: Sequence[str],
    fold: npt.NDArray[np.int64] | None = None,
) -> Assessment:
    """All figures from answers (numbers of `kinds`) and confidences."""
    confusion = np.zeros((len(kinds), len(kinds)), np.int64)
    np.add.at(confusion, (truth, said), 1)
    scores = _kind_scores(confusion, kinds)
    right = truth == said
    bins = np.minimum((confidence * BINS).astype(np.int64), BINS - 1)
    calibration = tuple(
        (float(confidence[bins == n].mean()), float(right[bins == n].mean()), int((bins == n).sum()))
        for n in range(BINS)
        if (bins == n).any()
    )
    error = sum(abs(mean - share) * count for mean, share, count in calibration) / max(1, len(truth))
    filing = []
    for least in THRESHOLDS:
        taken = confidence >= least
        filing.append((least, float(taken.mean()), float(right[taken].mean()) if taken.any() else 0.0))
    by_fold = []
    for one in np.unique(fold) if fold is not None else ():
        part = np.zeros_like(confusion)
        np.add.at(part, (truth[fold == one], said[fold == one]), 1)
        by_fold.append(_macro(_kind_scores(part, kinds)))
    macro = float(np.mean(by_fold)) if by_fold else _macro(scores)
    return Assessment(scores, macro, float(right.mean()), confusion, calibration, error, tuple(filing), tuple(by_fold))


def _kind_scores(confusion: npt.NDArray[np.int64], kinds: Sequence[str]) -> tuple[KindScore, ...]:
    hits, said, examples = np.diag(confusion), confusion.sum(axis=0), confusion.sum(axis=1)
    return tuple(
        KindScore(
            kind,
            int(examples[n]),
            float(hits[n] / said[n]) if said[n] else 0.0,
            float(hits[n] / examples[n]) if examples[n] else 0.0,
            float(2 * hits[n] / (said[n] + examples[n])) if said[n] + examples[n] else 0.0,
        )
        for n, kind in enumerate(kinds)
    )


def _macro(scores: Sequence[KindScore]) -> float:
    """Mean F1 of the kinds that occur or were said."""
    counted = [one.f1 for one in scores if one.examples or one.precision or one.f1]
    return float(np.mean(counted)) if counted else 0.0


def near_duplicates(texts: Sequence[str]) -> npt.NDArray[np.int64]:
    """A group number per text; texts that share about half of their runs of four characters get the same one.

    Min-hash in bands finds the pairs, the share of equal hashes decides. Needs no comparison of all with all.
    """
    if not texts:
        return np.zeros(0, np.int64)
    random = np.random.default_rng(0)
    spread = random.integers(1, 1 << 62, _HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    marks = np.empty((len(texts), _HASHES), np.uint64)
    for row, text in enumerate(texts):
        points = np.frombuffer("".join(words(text)).encode("utf-32-le"), np.uint32).astype(np.uint64)
        points = np.concatenate([points, np.zeros(max(0, 4 - len(points)), np.uint64)])
        runs = points[:-3] << np.uint64(48) ^ points[1:-2] << np.uint64(32) ^ points[2:-1] << np.uint64(16) ^ points[3:]
        mixed = (runs ^ (runs >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
        marks[row] = (mixed[:, None] * spread).min(axis=0)
    links: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]] = []
    for start in range(0, _HASHES, _BAND):
        band = marks[:, start : start + _BAND]
        order = np.lexsort(band.T)
        same = (band[order[1:]] == band[order[:-1]]).all(axis=1)
        a, b = order[:-1][same], order[1:][same]
        near = (marks[a] == marks[b]).mean(axis=1) >= ALIKE
        links.append((a[near], b[near]))
    rows, columns = (np.concatenate(side) for side in zip(*links, strict=True))
    graph = sparse.coo_matrix((np.ones(len(rows), bool), (rows, columns)), shape=(len(texts), len(texts)))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def _wide(text: str) -> int:
    return sum(2 if ord(character) > 0x2E7F else 1 for character in text)


def _pad(text: str, width: int) -> str:
    return text + " " * (width - _wide(text))
