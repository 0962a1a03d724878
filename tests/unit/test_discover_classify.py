"""What kind of case a text reports: from the catalogue's words, from examples, and from both."""

from __future__ import annotations

import csv
import time
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from random import Random

import numpy as np
import pytest

from gridloop.discover.rules.assess import evaluate, judge, near_duplicates, train
from gridloop.discover.rules.classify import Classifier, TooFewExamples
from gridloop.discover.rules.features import Features, Table, plain, words
from gridloop.kernel.language import Sentence

DATA = Path(__file__).resolve().parents[2] / "../shared/data/zh_messages"


@dataclass(frozen=True)
class Kind:
    key: str
    name: Sentence
    words: tuple[str, ...] = ()


FLOOD = Kind("urban:E0506", Sentence(zh="道路积水", en="Flooded road"), ("积水", "淹水", "内涝"))
LID = Kind("urban:C0102", Sentence(zh="污水井盖", en="Sewer manhole cover"), ("井盖", "窨井盖"))
NOISE = Kind("urban:E0128", Sentence(zh="商业噪音", en="Noise from shops"), ("噪音", "噪声", "音响太吵"))
HOLE = Kind("city:POTHOLE", Sentence(zh="路面坑洞", en="Pothole"), ("pothole", "hole in the road"))
KINDS = (FLOOD, LID, NOISE, HOLE)

SAYINGS = {
    "urban:E0506": ["{}积水很深", "{}被水淹了车过不去", "下雨后{}全是水", "{}水没过膝盖", "{}内涝严重"],
    "urban:C0102": ["{}井盖丢了", "{}井盖破损很危险", "{}的井盖翘起来了", "{}井盖响个不停", "{}有个井没有盖"],
    "urban:E0128": ["{}音响太吵", "{}半夜放音乐", "{}商铺喇叭吵人", "{}广场舞噪音大", "{}促销喇叭太响"],
}
PLACES = ["东门口", "菜市场", "学校旁", "路口", "小区里", "桥下", "公交站", "医院边", "广场", "河边"]


def examples(count: int, seed: int = 1) -> tuple[list[str], list[str]]:
    random = Random(seed)
    labels = [random.choice(list(SAYINGS)) for _ in range(count)]
    return [random.choice(SAYINGS[label]).format(random.choice(PLACES)) for label in labels], labels


def test_a_table_finds_every_key_and_nothing_else() -> None:
    random = np.random.default_rng(3)
    keys = np.unique(random.integers(1, 1 << 50, 20_000))
    asked = np.concatenate([keys[::7], random.integers(1, 1 << 50, 5_000)])
    place = {int(key): n for n, key in enumerate(keys)}
    assert Table(keys).find(asked).tolist() == [place.get(int(key), -1) for key in asked]
    assert Table(keys[:0]).find(asked[:3]).tolist() == [-1, -1, -1]


def test_each_row_of_features_is_what_counting_by_hand_gives() -> None:
    texts = [words(text) for text in ("井盖坏了", "井盖坏了井盖", "积水 积水 很深", "")]
    features = Features.learn(texts, at_most=10_000)
    rows = features.matrix(texts)
    assert rows.shape == (4, len(features))
    assert rows[3].nnz == 0
    names = {features.name(column) for column in rows[0].indices}
    assert {"井盖", "坏"} <= names
    body_words = [c for c in rows[1].indices if features.of_words()[c] and features.of_body()[c]]
    twice = next(c for c in body_words if features.name(c) == "井盖")
    once = next(c for c in body_words if features.name(c) == "坏了")
    ratio = (rows[1, twice] / features.rarity[twice]) / (rows[1, once] / features.rarity[once])
    assert ratio == pytest.approx(1 + np.log(2), rel=1e-5)
    for block in range(4):
        mine = rows[1].data[features.keys[rows[1].indices] >> 48 == block]
        assert np.linalg.norm(mine) == pytest.approx(1.0, rel=1e-5)


def test_features_of_a_text_do_not_depend_on_its_neighbours() -> None:
    texts = [words(text) for text in examples(60)[0]]
    features = Features.learn(texts, at_most=10_000)
    together = features.matrix(texts)
    assert all((features.matrix([text]) != together[n]).nnz == 0 for n, text in enumerate(texts))


@pytest.mark.parametrize("text", ["ＡＢＣ①㎡，。！", "ﬁne ĳ İ ß", "が が", "한국 각", "𝔘🙂", "", "e\u0301"])
def test_the_quick_plain_form_is_the_slow_one(text: str) -> None:
    assert plain(text) == unicodedata.normalize("NFKC", text).lower()


def test_full_width_and_capital_letters_make_no_difference() -> None:
    classifier = Classifier.cold(KINDS)
    assert classifier.guess(["ＰＯＴＨＯＬＥ ahead"]) == classifier.guess(["pothole ahead"])


@pytest.mark.parametrize(
    ("text", "kind", "word"),
    [
        ("航海路下雨以后积水，车过不去", "urban:E0506", "积水"),
        ("楼下饭店每天噪音到半夜", "urban:E0128", "噪音"),
        ("门口的窨井盖被偷了", "urban:C0102", "窨井盖"),
        ("There is a hole in the road", "city:POTHOLE", "hole in the road"),
    ],
)
def test_the_catalogue_alone_names_the_kind_and_the_word_that_decided(text: str, kind: str, word: str) -> None:
    guess = Classifier.cold(KINDS).guess([text])[0]
    assert guess.case_type == kind
    assert guess.why[0] == word
    assert guess.confidence > 0.6


def test_a_word_that_tells_the_place_counts_less_than_one_that_tells_the_matter() -> None:
    guess = Classifier.cold(KINDS).guess(["井盖旁边一直有噪音"])[0]
    assert guess.case_type == "urban:E0128"


def test_an_english_word_inside_another_is_not_found() -> None:
    kinds = [Kind("city:RAT", Sentence(zh="鼠患", en="Rat"), ("rat",)), HOLE]
    assert "rat" not in Classifier.cold(kinds).guess(["the separate operation"])[0].why


@pytest.mark.parametrize("text", ["", "。。。！", "今天天气真好啊"])
def test_a_text_that_says_nothing_gets_no_confident_answer(text: str) -> None:
    assert Classifier.cold(KINDS).guess([text])[0].confidence < 0.3


def test_without_any_kind_there_is_no_answer() -> None:
    guess = Classifier.cold([]).guess(["积水"])[0]
    assert (guess.case_type, guess.confidence) == ("", 0.0)


def test_learning_from_examples_recognises_new_ones_and_says_why() -> None:
    classifier = train(*examples(300))
    guess = classifier.guess(["校门口的井盖破损"])[0]
    assert guess.case_type == "urban:C0102"
    assert guess.confidence > 0.8
    assert "井盖" in guess.why


def test_a_text_between_two_kinds_names_both_and_is_not_sure() -> None:
    guess = train(*examples(300)).guess(["路口井盖丢了，还有积水很深"])[0]
    assert {guess.case_type, guess.runners_up[0][0]} == {"urban:C0102", "urban:E0506"}
    assert guess.confidence + sum(share for _, share in guess.runners_up) == pytest.approx(1.0, abs=0.01)
    assert guess.confidence < 0.95


def test_the_same_examples_give_the_same_model_and_a_text_its_answer_alone_or_in_a_batch() -> None:
    texts, labels = examples(200)
    one, two = Classifier.train(texts, labels), Classifier.train(texts, labels)
    asked = examples(50, seed=9)[0]
    together = one.guess(asked)
    assert together == two.guess(asked)
    assert together == [one.guess([text])[0] for text in asked]


def test_a_saved_model_answers_as_before_and_holds_nothing_that_could_run(tmp_path: Path) -> None:
    classifier = Classifier.train(*examples(200))
    path = tmp_path / "model.npz"
    classifier.save(path)
    asked = examples(40, seed=5)[0]
    assert Classifier.load(path).guess(asked) == classifier.guess(asked)
    with np.load(path, allow_pickle=False) as arrays:
        assert {arrays[name].dtype.kind for name in arrays.files} <= set("uif")


def test_a_model_file_with_objects_in_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    with path.open("wb") as file:
        np.savez(file, head=np.array([{"format": 1}], dtype=object))
    with pytest.raises(ValueError, match="pickle"):
        Classifier.load(path)


def test_a_model_whose_weights_do_not_fit_its_words_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    Classifier.train(*examples(100)).save(path)
    with np.load(path) as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    kept["weights"] = kept["weights"][:-5]
    with path.open("wb") as file:
        np.savez(file, **kept)
    with pytest.raises(ValueError, match="do not fit"):
        Classifier.load(path)


@pytest.mark.parametrize("labels", [[], ["a"], ["a", "a", "a"], ["a", "a", "b"]])
def test_too_few_examples_are_refused(labels: list[str]) -> None:
    with pytest.raises(TooFewExamples):
        Classifier.train(["积水"] * len(labels), labels)


def test_a_kind_without_examples_is_still_found_by_its_words_beside_a_trained_model() -> None:
    classifier = Classifier.train(*examples(300)).with_cold(KINDS)
    guesses = classifier.guess(["big pothole on the road, a real hole in the road", "校门口的井盖破损"])
    assert [guess.case_type for guess in guesses] == ["city:POTHOLE", "urban:C0102"]


def test_a_person_s_few_answers_do_not_silence_the_catalogue() -> None:
    texts = ["路口积水", "桥下积水", "广场有人唱歌", "楼下有人唱歌"]
    classifier = Classifier.train(texts, ["urban:E0506"] * 2 + ["urban:E0128"] * 2).with_cold(KINDS)
    assert classifier.guess(["门口的窨井盖被偷了"])[0].case_type == "urban:C0102"


def test_near_duplicates_get_one_group_and_others_their_own() -> None:
    text = "我们小区门口的路灯已经坏了两个星期，晚上老人孩子出行非常不安全，请尽快安排维修"
    other = "学校食堂的饭菜价格上涨而且质量下降，家长们都很担心孩子的营养，希望教育局来检查"
    groups = near_duplicates([text, other, text + "，谢谢领导", "积水", text, "", other + "！"])
    assert groups[0] == groups[2] == groups[4]
    assert groups[1] == groups[6]
    assert len({groups[0], groups[1], groups[3], groups[5]}) == 4


def test_labels_that_mean_nothing_are_judged_at_the_level_of_chance() -> None:
    """A cross-validation that leaked would do better than chance on random labels with repeated texts."""
    random = Random(4)
    sentences = [f"{random.choice(PLACES)}{n}号有问题需要处理一下{random.random()}" for n in range(150)]
    texts = [sentence + tail for sentence in sentences for tail in ("", "，请尽快处理")]
    labels = [label for label in (random.choice("ab") for _ in sentences) for _ in range(2)]
    result = evaluate(texts, labels, [n // 2 for n in range(300)], number=3)
    assert 0.35 < result.accuracy < 0.65


def test_an_assessment_adds_up() -> None:
    texts, labels = examples(240)
    result = evaluate(texts, labels, list(range(240)), number=3)
    assert result.confusion.sum() == 240
    assert sum(kind.examples for kind in result.kinds) == 240
    assert sum(count for _, _, count in result.calibration) == 240
    assert result.macro_f1 > 0.95
    assert len(result.by_fold) == 3
    report = result.report()
    assert "urban:E0506" in report.zh
    assert "macro-F1" in report.en


def test_judging_counts_answers_of_kinds_that_the_truth_does_not_have() -> None:
    classifier = Classifier.train(*examples(200))
    result = judge(classifier, ["路口井盖丢了", "路口积水很深"], ["urban:C0102", "city:OTHER"])
    assert result.accuracy == 0.5
    assert result.confusion.sum() == 2


@pytest.fixture(scope="module")
def board() -> tuple[list[str], list[str], list[str]]:
    path = DATA / "labelled_segmented.csv"
    if not path.exists():
        pytest.skip("the citizens' messages (../shared/data/zh_messages) are not on this machine")
    with path.open(encoding="utf-8-sig") as file:
        rows = [row for n, row in enumerate(csv.DictReader(file)) if n % 4 == 0]
    return [r["tokens"] for r in rows], [r["label"] for r in rows], [r["dup_group"] for r in rows]


def test_real_messages_are_classified_well_and_the_confidence_can_be_believed(
    board: tuple[list[str], list[str], list[str]],
) -> None:
    """A quarter of the board and two folds, to be quick; `bench.classify` measures the whole."""
    result = evaluate(*board, number=2)
    assert result.macro_f1 > 0.83
    assert result.calibration_error < 0.06
    shares = [share for _, share, _ in result.filing]
    rights = [right for _, _, right in result.filing]
    assert shares == sorted(shares, reverse=True)
    assert rights[-1] > 0.94


def test_a_trained_model_loads_at_once_and_reads_fast(
    board: tuple[list[str], list[str], list[str]], tmp_path: Path
) -> None:
    texts, labels, _ = board
    classifier = Classifier.train(texts[:400], labels[:400], list(range(400)))
    classifier.save(tmp_path / "model.npz")
    begin = time.process_time()
    loaded = Classifier.load(tmp_path / "model.npz")
    assert time.process_time() - begin < 1.0
    begin = time.process_time()
    loaded.guess(texts[:1000])
    assert 1000 / (time.process_time() - begin) > 500, "a tenth of what it does on a quiet core"


def test_words_that_prepared_texts_were_stripped_of_are_not_read_later() -> None:
    texts, labels = examples(300)
    prepared = [" ".join(word for word in words(text) if word not in {"的", "了", "被"}) for text in texts]
    people = [f"{text}，真的受不了了，被吵醒了" for text in examples(200, seed=8)[0]]
    classifier = Classifier.train(prepared, labels, unlabelled=people)
    plain_text, wordy = classifier.guess(["路口井盖丢了", "路口的井盖被丢了了了"])
    assert (wordy.case_type, wordy.confidence) == (plain_text.case_type, plain_text.confidence)
    assert not Classifier.train(people, examples(200, seed=8)[1])._trained.silent  # type: ignore[union-attr]
