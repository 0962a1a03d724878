# ruff: noqa: E501 - the corpus is a table
"""Every kind of mistake is found, at its place, and nothing is half-loaded."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.utils.translation import override

from gridloop.kernel.errors import Mistakes
from gridloop.standard.rules import load_district, load_pack, run_tests
from tests.packs.small import DISTRICT, SMALL, files

ALL = "\0"
"""Stands for the whole file in place of a part of it."""

BROKEN = [
    # what, file, this, becomes this (None: no file), place of the mistake, words of the wrong, words of the instead
    ("a missing file", "handle.yaml", ALL, None, "small/handle.yaml", "missing", "write it"),
    ("an unknown file", "dispach.yaml", ALL, "a: 1", "small/dispach.yaml", "unknown", "did you mean “dispatch.yaml”"),
    ("an unknown key", "pack.yaml", "version:", "verison:", "small/pack.yaml:3 verison", "unknown here", "did you mean “version”"),
    ("a missing key", "pack.yaml", "version: 1.0.0\n", "", "small/pack.yaml:1 version", "is missing", "write version"),
    ("an unknown key in a rule", "handle.yaml", "{ kind: component }", "{ kynd: component }",
     "small/handle.yaml:4 evidence.rules[0].when.kynd", "unknown here", "did you mean “kind”"),
    ("a version in words", "pack.yaml", "1.0.0", "one", "small/pack.yaml:3 version", "not written as it must", "three numbers"),
    ("another format", "pack.yaml", "format: 1", "format: 2", "small/pack.yaml:1 format", "not one of the choices", "1"),
    ("a name that is not the folder's", "pack.yaml", "name: small", "name: tiny", "small/pack.yaml:2 name", "not the folder's", "same name"),
    ("a catalogue that is not there", "pack.yaml", "catalogue: new", "catalogue: newer", "small/pack.yaml:6 catalogue",
     "no catalogue “newer”", "did you mean “new”"),
    ("a key written twice", "pack.yaml", "catalogue: new", "catalogue: new\ncatalogue: old", "small/pack.yaml:7 catalogue",
     "twice (already on line 6)", "keep one"),
    ("an alias", "pack.yaml", "title: {", "title: &t {", "small/pack.yaml:4", "anchor", "write the content out"),
    ("a tag", "pack.yaml", "title: {", "title: !!python/name:os.system {", "small/pack.yaml:4", "type tag", "remove the tag"),
    ("two documents", "pack.yaml", "title:", "---\ntitle:", "small/pack.yaml:4", "more than one YAML", "---"),
    ("a tab", "pack.yaml", "  water:", "\twater:", "small/pack.yaml:11", "not valid YAML", "indentation"),
    ("an empty file", "handle.yaml", ALL, "# nothing\n", "small/handle.yaml:1", "empty", "delete the file"),
    ("no UTF-8", "pack.yaml", "小包", "\udcff", "small/pack.yaml:4", "not UTF-8", "save the file as UTF-8"),
    ("Norway", "discover.yaml", "automatic: false", "automatic: no", "small/discover.yaml:3 filing.default.automatic",
     "a bare “no”", 'true or false, or "no"'),
    ("a capital truth", "discover.yaml", "automatic: false", "automatic: False", "small/discover.yaml:3 filing.default.automatic",
     "a bare “False”", "true or false"),
    ("a bare code", "dispatch.yaml", 'region: "410104007"', "region: 0410104007", "small/dispatch.yaml:14 routes[0].when.region",
     "leading zero", '"0410104007"'),
    ("text for a number", "discover.yaml", "meters: 50", "meters: near", "small/discover.yaml:7 duplicates.default.meters",
     "must be a whole number, and is “near”", "a whole number"),
    ("a number out of range", "discover.yaml", "confidence: 0.9", "confidence: 1.9", "small/discover.yaml:3 filing.default.confidence",
     "out of range", "at most 1"),
    ("an unknown clock", "dispatch.yaml", "accept: { amount: 1, clock: work_hour }", "accept: { amount: 1, clock: workhours }",
     "small/dispatch.yaml:3 stage_limits.default.accept.clock", "not one of the choices", "did you mean “work_hour”"),
    ("a limit of nothing", "dispatch.yaml", "amount: 0.5", "amount: 0", "small/dispatch.yaml:11 stage_limits.rules[0].limit.amount",
     "out of range", "above 0"),
    ("an unknown stage", "dispatch.yaml", "stage: sign", "stage: sing", "small/dispatch.yaml:11 stage_limits.rules[0].stage",
     "not one of the choices", "did you mean “sign”"),
    ("a rule without facts", "handle.yaml", "when: { kind: component }", "when: {}", "small/handle.yaml:4 evidence.rules[0].when",
     "no fact is named", "name at least one"),
    ("an unknown type in a rule", "discover.yaml", "urgent: [E0101]", "urgent: [E0110]", "small/discover.yaml:1 urgent[0]",
     "no case type “E0110”", "did you mean “E0101”"),
    ("a type of the old catalogue in a rule", "discover.yaml", "urgent: [E0101]", "urgent: [E0501]", "small/discover.yaml:1 urgent[0]",
     "no case type “E0501”", "E0101"),
    ("an unknown trade", "dispatch.yaml", "trade: [water, road]", "trade: [water, raod]", "small/dispatch.yaml:23 routes[2].when.trade[1]",
     "no trade “raod”", "did you mean “road”"),
    ("an unknown function", "dispatch.yaml", "unit: { function: water }", "unit: { function: wasser }",
     "small/dispatch.yaml:24 routes[2].unit.function", "no function “wasser”", "did you mean “water”"),
    ("an unknown role", "dispatch.yaml", "role: grid_leader", "role: gridleader", "small/dispatch.yaml:20 routes[1].person.role",
     "no role “gridleader”", "did you mean “grid_leader”"),
    ("an unknown level", "dispatch.yaml", "level: [grid, community]", "level: [grid, town]", "small/dispatch.yaml:18 routes[1].when.level[1]",
     "not one of the choices", "write one of"),
    ("a unit in a pack", "dispatch.yaml", "unit: { function: water }", "unit: { function: water, code: U-1 }",
     "small/dispatch.yaml:24 routes[2].unit.code", "one particular unit", "districts/<code>/district.yaml"),
    ("a route twice", "dispatch.yaml", "id: grid", "id: market", "small/dispatch.yaml:17 routes[1].id", "the route “market” stands twice", "rename"),
    ("an unknown slot", "dispatch.yaml", "“{type}” is for the grid", "“{kind}” is for the grid", "small/dispatch.yaml:21 routes[1].why.en",
     "slot “{kind}”", "{type}"),
    ("one language only", "dispatch.yaml", "why: { zh: 商圈, en: Market quarter }", "why: { zh: 商圈 }", "small/dispatch.yaml:16 routes[0].why.en",
     "“en” is missing", "write en"),
    ("an expression", "handle.yaml", "before: 0", "before: 1 + 1", "small/handle.yaml:4 evidence.rules[0].before",
     "must be a whole number", "a whole number"),
    ("a form that is not there", "handle.yaml", "form: leak", "form: leek", "small/handle.yaml:7 forms[0].form", "no form “leek”", "did you mean “leak”"),
    ("a form that nobody uses", "forms/rust.json", ALL, '{"type": "object"}', "small/forms/rust.json", "no rule uses", "or delete it"),
    ("a form that is no schema", "forms/leak.json", '"number"', '"litre"', "small/forms/leak.json properties.litres.type",
     "not valid JSON Schema", "2020-12"),
    ("a form from elsewhere", "forms/leak.json", '{ "type": "number" }', '{ "$ref": "http://example.org/x" }', "small/forms/leak.json $ref",
     "a schema elsewhere", "only to this file"),
    ("broken JSON", "forms/leak.json", '"object",', '"object"', "small/forms/leak.json:3", "not valid JSON", "commas"),
    ("a good answer that reopens", "feedback.yaml", "good: true", "good: true, reopens: true", "small/feedback.yaml:6 questions[0].answers[0]",
     "good and reopens", "one of"),
    ("no good answer", "feedback.yaml", ", good: true", "", "small/feedback.yaml:5 questions[0].answers", "no answer counts", "good: true"),
    ("an unknown fact", "evaluate.yaml", "count: { closed: true }", "count: { close: true }", "small/evaluate.yaml:5 indicators[0].count.close",
     "not one of the choices", "did you mean “closed”"),
    ("an indicator that is always 0", "evaluate.yaml", "count: { closed: true }", "count: { filed: false }",
     "small/evaluate.yaml:5 indicators[0].count.filed", "always 0", "correct one"),
    ("weights that do not sum up", "evaluate.yaml", "weight: 100", "weight: 90", "small/evaluate.yaml:13 schemes[0].terms", "sum to 90", "100"),
    ("an unknown indicator", "evaluate.yaml", "indicator: close_rate", "indicator: closed_rate",
     "small/evaluate.yaml:14 schemes[0].terms[0].indicator", "no indicator “closed_rate”", "did you mean “close_rate”"),
    ("a missing table", "tables/words.csv", ALL, None, "small/tables/words.csv", "table is missing", "code,words"),
    ("a missing column", "tables/words.csv", "code,words", "code,word", "small/tables/words.csv:1 words", "“words” is missing", "code,words"),
    ("an unknown column", "tables/words.csv", "code,words", "code,word", "small/tables/words.csv:1 word", "“word” is unknown", "did you mean “words”"),
    ("a ragged row", "tables/words.csv", "C0101,井盖；盖子", "C0101,井盖,盖子", "small/tables/words.csv:3", "3 cells, the header has 2", "double quotes"),
    ("an open quote", "tables/words.csv", "井盖；盖子", '"井盖', "small/tables/words.csv:3", "not valid CSV", "quotes"),
    ("a code of three digits", "tables/words.csv", "C0101", "C101", "small/tables/words.csv:3 code", "“C101” is not written", "E0506"),
    ("a type without words", "tables/words.csv", "C0101,井盖；盖子\n", "", "small/tables/case_types.csv:3 code", "no everyday words", "words.csv"),
    ("a word twice", "tables/words.csv", "漏水;跑水", "漏水;漏水", "small/tables/words.csv:2 words", "“漏水” stands twice", "keep one"),
    ("a type without condition", "tables/conditions.csv", "C0101,1,yes,4,work_hour,缺失,Missing,恢复,Back\n", "",
     "small/tables/case_types.csv:3 code", "no filing condition", "conditions.csv"),
    ("a condition twice", "tables/conditions.csv", "E0101,2,,", "E0101,1,,", "small/tables/conditions.csv:3 id", "“E0101 1” stands twice", "rename"),
    ("no usual condition", "tables/conditions.csv", "C0101,1,yes", "C0101,1,", "small/tables/conditions.csv:4 usual", "0 usual", "exactly one"),
    ("two usual conditions", "tables/conditions.csv", "E0101,2,,", "E0101,2,yes,", "small/tables/conditions.csv:2 usual", "2 usual", "exactly one"),
    ("a limit in words", "tables/conditions.csv", "yes,4,", "yes,four,", "small/tables/conditions.csv:4 amount", "must be a number", "a number"),
    ("a type without its major class", "tables/majors.csv", "new,C01,部件,Components\n", "", "small/tables/case_types.csv:3 code",
     "“C01” is not in majors.csv", "add it"),
    ("a type twice", "tables/case_types.csv", "new,C0101", "new,E0101", "small/tables/case_types.csv:3 code", "“new E0101” stands twice", "rename"),
    ("an old type without successor", "tables/successors.csv", "old,E0502,\n", "", "small/tables/case_types.csv:5 code",
     "not in successors.csv", "leave the successor empty"),
    ("an unknown successor", "tables/successors.csv", "old,E0501,E0101", "old,E0501,E0102", "small/tables/successors.csv:2 successor",
     "no case type “E0102”", "did you mean"),
    ("an alias for nothing", "tables/aliases.csv", "Water*,E0101", "Water*,E0909", "small/tables/aliases.csv:2 code", "no case type “E0909”", "E0101"),
]  # fmt: skip


def _changed(base: dict[str, str], file: str, this: str, that: str | None) -> dict[str, bytes]:
    if this == ALL:
        return files(base, {file: that})
    assert base[file].count(this) >= 1, f"{this!r} is not in {file}"
    text = base[file].replace(this, that or "", 1)
    return files(base) | {file: text.encode("utf-8", "surrogateescape")}


@pytest.fixture(autouse=True)
def _english() -> Iterator[None]:
    with override("en"):
        yield


def _said(found: Mistakes) -> list[str]:
    return [str(m) for m in found.mistakes]


def _chinese(found: Mistakes) -> list[str]:
    with override("zh-hans"):
        return [f"{m.wrong}{m.instead}" for m in found.mistakes]


@pytest.mark.parametrize(
    ("file", "this", "that", "place", "wrong", "instead"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN]
)
def test_a_broken_pack_is_refused_with_the_place_the_mistake_and_the_remedy(
    file: str, this: str, that: str | None, place: str, wrong: str, instead: str
) -> None:
    with pytest.raises(Mistakes) as found:
        load_pack(_changed(SMALL, file, this, that), "small")
    said = _said(found.value)
    mine = [s for s in said if s.split(": ")[0] == place]
    assert any(wrong in s.split(" → ")[0] and instead in s.split(" → ")[1] for s in mine), "\n".join(said)
    assert all(any("一" <= c <= "鿿" for c in s) for s in _chinese(found.value))


def test_the_unbroken_pack_holds_and_its_tests_exercise_all_of_it() -> None:
    pack, tests = load_pack(files(), "small")
    result = run_tests(pack, tests, "small")
    assert result.mistakes == ()
    assert result.coverage["conditions"] == (3, 3)
    assert all(done == all_ for done, all_ in result.coverage.values())
    assert "routes 3/3" in result.exercised().en


def test_all_mistakes_of_all_files_come_at_once() -> None:
    broken = files()
    for _, file, this, that, *_ in BROKEN:
        if file.endswith(".csv") and this != ALL and file != "tables/words.csv":
            broken |= {file: broken[file].replace(this.encode(), (that or "").encode(), 1)}
    broken["pack.yaml"] = broken["pack.yaml"].replace(b"1.0.0", b"one")
    broken["handle.yaml"] = broken["handle.yaml"].replace(b"form: leak", b"form: leek")
    with pytest.raises(Mistakes) as found:
        load_pack(broken, "small")
    named = {m.place.split(":")[0].split(" ")[0] for m in found.value.mistakes}
    assert {
        "small/pack.yaml",
        "small/tables/conditions.csv",
        "small/tables/case_types.csv",
        "small/tables/aliases.csv",
    } <= named


FAILING = [
    ("a deadline that does not come true", '"2022-09-30T18:00:00+08:00"]', '"2022-09-30T19:00:00+08:00"]',
     "small/tests/all.yaml tables[0].rows[0] deadline", "expected 2022-09-30T19:00:00+08:00, found 2022-09-30T18:00:00+08:00"),
    ("a route that is not taken", "expect: { route: market,", "expect: { route: water,",
     "small/tests/all.yaml scenarios[1] route", "expected water, found market"),
    ("a type that nobody tests", "      - [C0101, \"1\", \"2022-10-08T10:00:00+08:00\"]\n", "",
     "small/tests conditions", "no test exercises “C0101 1”"),
    ("an answer that nobody tests", "  - { question: resolved, answer: unsolved, reopens: true }\n", "",
     "small/tests answers", "no test exercises “resolved unsolved”"),
    ("an unknown type", "case_type: C0101, level: grid", "case_type: C0110, level: grid",
     "small/tests/all.yaml scenarios[2] case_type", "no case type “C0110”"),
    ("an unknown column", "columns: [case_type, condition, deadline]", "columns: [case_type, condition, dedline]",
     "small/tests/all.yaml tables[0] columns", "the column “dedline” is unknown"),
    ("a short row", '- [E0101, "1", "2022-09-30T18:00:00+08:00"]', '- [E0101, "1"]',
     "small/tests/all.yaml tables[0].rows[0]", "2 entries for 3 columns"),
    ("an unknown condition", '- [E0101, "2",', '- [E0101, "9",',
     "small/tests/all.yaml tables[0].rows[1] condition", "no filing condition “9”"),
    ("a rate that is not so", "rate: 1/2", "rate: 2/3", "small/tests/all.yaml indicators[0] rate", "expected 2/3, found 1/2"),
    ("an alias that means something else", "name: WATER COVER, case_type: C0101", "name: WATER COVER, case_type: E0101",
     "small/tests/all.yaml aliases[1] case_type", "expected small:E0101, found small:C0101"),
]  # fmt: skip


@pytest.mark.parametrize(("this", "that", "place", "wrong"), [f[1:] for f in FAILING], ids=[f[0] for f in FAILING])
def test_a_scenario_that_does_not_come_true_is_told_with_what_came_instead(
    this: str, that: str, place: str, wrong: str
) -> None:
    pack, tests = load_pack(_changed(SMALL, "tests/all.yaml", this, that), "small")
    said = [str(m) for m in run_tests(pack, tests, "small").mistakes]
    assert any(s.startswith(f"{place}: ") and wrong in s for s in said), "\n".join(said)


WRONG_DISTRICTS = [
    ("a pack that is not there", "district.yaml", "packs: [small]", "packs: [smal]", "410104/district.yaml:5 packs[0]", "no pack “smal”"),
    ("a code that is not the folder's", "district.yaml", '"410104"', '"410105"', "410104/district.yaml:2 code", "not the folder's name"),
    ("an unknown zone", "district.yaml", "days: china", "days: weekends, zone: Mars/Olympus", "410104/district.yaml:6 calendar", "does not hold"),
    ("office hours backwards", "district.yaml", '["08:00", "12:00"]', '["12:00", "08:00"]', "410104/district.yaml:6 calendar", "close later"),
    ("a limit of an unknown type", "district.yaml", "small:E0101", "small:E0109", "410104/district.yaml:8 limits[0].case_type", "no case type “small:E0109”"),
    ("a limit of an unknown condition", "district.yaml", 'condition: "2"', 'condition: "7"', "410104/district.yaml:8 limits[0].condition", "no filing condition “7”"),
    ("a route named as the pack's", "district.yaml", "id: own", "id: water", "410104/district.yaml:12 routes[0].id", "already has a route"),
    ("a unit that is not there", "district.yaml", "U-WATER", "U-WATTER", "410104/district.yaml:15 routes[0].unit.code", "no unit “U-WATTER”"),
    ("a unit above itself", "units.csv", "department,water,,,yes", "department,water,U-STREET,,yes", "410104/units.csv:2 parent", "stands above itself"),
    ("a region elsewhere", "units.csv", "410104001", "410105001", "410104/units.csv:3 region_code", "not in district 410104"),
    ("a unit twice", "units.csv", "U-STREET", "U-WATER", "410104/units.csv:3 code", "stands twice"),
    ("a function without routes", "units.csv", ",street_office,", ",stret_office,", "410104/units.csv:3 function", "no function “stret_office”"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "this", "that", "place", "wrong"), [w[1:] for w in WRONG_DISTRICTS], ids=[w[0] for w in WRONG_DISTRICTS]
)
def test_a_wrong_district_is_refused_with_its_place(file: str, this: str, that: str, place: str, wrong: str) -> None:
    pack, _ = load_pack(files(), "small")
    with pytest.raises(Mistakes) as found:
        load_district(_changed(DISTRICT, file, this, that), "410104", {"small": pack})
    said = _said(found.value)
    assert any(s.startswith(f"{place}: ") and wrong in s for s in said), "\n".join(said)


def test_the_district_of_the_tests_holds() -> None:
    pack, _ = load_pack(files(), "small")
    assert load_district(files(DISTRICT), "410104", {"small": pack}).district.code == "410104"


RULES = [
    ("dispatch.yaml", '  - id: market\n    when: { case_type: C0101, region: "410104007" }\n    unit: { function: street_office, at: street }\n    why: { zh: 商圈, en: Market quarter }\n'),
    ("dispatch.yaml", "  rules:\n    - { when: { urgent: true }, stage: sign, limit: { amount: 0.5, clock: urgent_hour } }\n"),
    ("discover.yaml", "  rules:\n    - { when: { urgent: true }, automatic: true, confidence: 0.8, verify_public_reports: false }\n"),
    ("handle.yaml", "  rules:\n    - { when: { kind: component }, before: 0, after: 2 }\n"),
    ("handle.yaml", "self_handle: { trade: road }\n"),
    ("tables/aliases.csv", "town,Water cover,C0101\n"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "rule"), RULES, ids=[f"{file} {i}" for i, (file, _) in enumerate(RULES)])
def test_a_rule_that_is_taken_away_is_missed_by_the_packs_own_tests(file: str, rule: str) -> None:
    base = _changed(SMALL, file, rule, "")
    pack, tests = load_pack(base, "small")
    assert not run_tests(pack, tests, "small").ok
