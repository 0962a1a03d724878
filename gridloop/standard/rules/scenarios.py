"""Runs a pack's own tests, and tells what none of them touched: an untested rule is a mistake like any other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from pydantic import ValidationError

from gridloop.kernel.errors import Mistake, Refused
from gridloop.kernel.language import Sentence
from gridloop.standard.rules import format as fmt
from gridloop.standard.rules.building import build, fits
from gridloop.standard.rules.reading import did_you_mean
from gridloop.standard.rules.standard import STAGES, CaseType, Standard, facts_of


@dataclass(frozen=True)
class CheckResult:
    """What `packs check` says of one pack. `coverage` counts, per kind of thing, how many of all were exercised."""

    name: str
    version: str
    mistakes: tuple[Mistake, ...]
    scenarios: int
    coverage: Mapping[str, tuple[int, int]]

    @property
    def ok(self) -> bool:
        return not self.mistakes

    def exercised(self) -> Sentence:
        """What the pack's own tests touched, in one line: ``routes 31/32, conditions 520/520 …``."""
        named = [(_KINDS[what], f"{done}/{all_}") for what, (done, all_) in self.coverage.items() if all_]
        return Sentence(
            zh="，".join(f"{kind.zh} {share}" for kind, share in named),
            en=", ".join(f"{kind.en} {share}" for kind, share in named),
        )


def run_tests(pack: fmt.Pack, tests: Mapping[str, fmt.TestsFile], root: str) -> CheckResult:
    """Runs every scenario against the pack alone (no district) and adds up what was exercised."""
    run = _Run(pack, build([(0, pack)], None), root)
    for file, test in tests.items():
        run.file(file, test)
    coverage = run.coverage()
    return CheckResult(pack.pack.name, pack.pack.version, tuple(run.mistakes), run.count, coverage)


@dataclass
class _Run:
    pack: fmt.Pack
    standard: Standard
    root: str
    mistakes: list[Mistake] = field(default_factory=list)
    touched: dict[str, set[str]] = field(default_factory=dict)
    count: int = 0

    def touch(self, what: str, which: str) -> None:
        self.touched.setdefault(what, set()).add(which)

    def failed(self, place: str, wrong: Sentence, instead: Sentence) -> None:
        self.mistakes.append(Mistake(f"{self.root}/{place}", wrong, instead))

    def same(self, place: str, what: str, expected: Any, found: Any) -> None:
        """Tells an expectation that did not come true."""
        if expected != found:
            self.failed(
                f"{place} {what}",
                Sentence(zh=f"应为 {expected}，得到 {found}", en=f"expected {expected}, found {found}"),
                Sentence(zh=f"改规则，或写 {found}", en=f"correct the rule, or write {found}"),
            )

    # --- one file -----------------------------------------------------------------------------------------------------

    def file(self, file: str, test: fmt.TestsFile) -> None:
        for i, scenario in enumerate(test.scenarios):
            self.scenario(f"{file} scenarios[{i}]", {**_set(test.given), **_set(scenario.given)}, scenario.expect)
        for i, table in enumerate(test.tables):
            place = f"{file} tables[{i}]"
            known = [*fmt.Given.model_fields, *fmt.Expect.model_fields]
            strange = [column for column in table.columns if column not in known]
            for column in strange:
                self.failed(
                    f"{place} columns",
                    Sentence(zh=f"不认识列“{column}”", en=f"the column “{column}” is unknown"),
                    did_you_mean(column, known),
                )
            if not strange:
                for j, row in enumerate(table.rows):
                    self.row(f"{place}.rows[{j}]", _set(test.given), table.columns, row)
        for i, check in enumerate(test.answers):
            self.answer(f"{file} answers[{i}]", check)
        for i, rate in enumerate(test.indicators):
            self.indicator(f"{file} indicators[{i}]", rate)
        for i, alias in enumerate(test.aliases):
            self.alias(f"{file} aliases[{i}]", alias)

    def row(self, place: str, given: dict[str, Any], columns: list[str], row: list[Any]) -> None:
        if len(row) != len(columns):
            self.failed(
                place,
                Sentence(
                    zh=f"有 {len(row)} 项，列有 {len(columns)} 个",
                    en=f"there are {len(row)} entries for {len(columns)} columns",
                ),
                Sentence(
                    zh="每列写一项；不看的写 null", en="write one for each column; null for what is not looked at"
                ),
            )
            return
        cells = {column: cell for column, cell in zip(columns, row, strict=True) if cell is not None}
        mine = {name: cells.pop(name) for name in list(cells) if name in fmt.Given.model_fields}
        try:
            given = given | _set(fmt.Given.model_validate(mine))
            expect = fmt.Expect.model_validate(cells)
        except ValidationError as error:
            for details in error.errors(include_url=False):
                name = ".".join(str(step) for step in details["loc"])
                self.failed(
                    f"{place} {name}",
                    Sentence(zh=f"写法不对：{details['input']}", en=f"not written as it must be: {details['input']}"),
                    Sentence(
                        zh=f"照 given 和 expect 的写法（{details['msg']}）",
                        en=f"write it as in given and expect ({details['msg']})",
                    ),
                )
            return
        self.scenario(place, given, expect)

    def scenario(self, place: str, given: Mapping[str, Any], expect: fmt.Expect) -> None:
        self.count += 1
        code = given.get("case_type")
        key = f"{self.pack.pack.name}:{code}"
        case_type = self.standard.case_types.get(key)
        if case_type is None:
            codes = [t.code for t in self.standard.case_types.values()]
            self.failed(
                f"{place} case_type",
                Sentence(zh=f"没有这个案件类型：“{code}”", en=f"there is no case type “{code}”"),
                did_you_mean(str(code), codes),
            )
            return
        self.touch("case types", case_type.code)
        self.of_the_type(place, case_type, expect)
        self.of_the_route(place, case_type, given, expect)
        self.of_the_clock(place, case_type, given, expect)

    def of_the_type(self, place: str, case_type: CaseType, expect: fmt.Expect) -> None:
        found = {
            "automatic": case_type.automatic_filing,
            "verify": case_type.verify_public_reports,
            "urgent": case_type.urgent,
            "self_handle": case_type.self_handle,
            "meters": case_type.duplicate.meters,
            "hours": case_type.duplicate.hours,
            "evidence": [case_type.evidence.before, case_type.evidence.after],
            "form": case_type.form.split(":", 1)[1] if case_type.form else "nothing",
        }
        facts = facts_of(case_type)
        for name, value in found.items():
            expected = getattr(expect, name)
            if expected is None:
                continue
            self.same(place, name, expected, value)
            if name in ("automatic", "verify"):
                self.touch("filing rules", _which(self.pack.discover.filing.rules, facts))
            elif name in ("meters", "hours"):
                self.touch("duplicate rules", _which(self.pack.discover.duplicates.rules, facts))
            elif name == "evidence":
                self.touch("evidence rules", _which(self.pack.handle.evidence.rules, facts))
            elif name == "form" and case_type.form:
                self.touch("forms", _which(self.pack.handle.forms, facts))
            elif name == "urgent" and value:
                self.touch("urgent types", case_type.code)
            elif name == "self_handle" and value:
                self.touch("self handling", "yes")

    def of_the_route(self, place: str, case_type: CaseType, given: Mapping[str, Any], expect: fmt.Expect) -> None:
        wanted = {
            n: v for n in ("route", "unit", "at", "person", "escalate_to") if (v := getattr(expect, n)) is not None
        }
        if not wanted:
            return
        region, level = given.get("region"), given.get("level", "district")
        if region is None:
            self.failed(
                f"{place} region",
                Sentence(zh="要看路由，却没有写地点", en="a route is expected, but no region is given"),
                Sentence(zh="在 given 里写 region", en="write region in given"),
            )
            return
        route = self.standard.route(case_type.key, region, level)
        found = (
            {"route": "nobody"}
            if route is None
            else {
                "route": route.id,
                "unit": route.unit.function,
                "at": route.unit.at,
                "person": route.person.role if route.person else "nobody",
                "escalate_to": route.escalate_to.function if route.escalate_to else "nobody",
            }
        )
        for name, expected in wanted.items():
            self.same(place, name, expected, found.get(name, "nobody"))
        if route:
            self.touch("routes", route.id)

    def of_the_clock(self, place: str, case_type: CaseType, given: Mapping[str, Any], expect: fmt.Expect) -> None:
        start = given.get("start")
        if expect.deadline is None and not expect.stages:
            return
        if start is None:
            self.failed(
                f"{place} start",
                Sentence(zh="要看期限，却没有写开始时刻", en="a deadline is expected, but no start is given"),
                Sentence(zh="在 given 里写 start", en="write start in given"),
            )
            return
        calendar = self.standard.calendar
        if expect.deadline is not None:
            try:
                condition = case_type.condition(given.get("condition"))
            except Refused as refused:
                self.failed(f"{place} condition", refused.sentence, Sentence(zh="写其中一个", en="write one of these"))
                return
            due = calendar.deadline(start, condition.limit).astimezone(expect.deadline.tzinfo)
            self.same(place, "deadline", expect.deadline.isoformat(), due.isoformat())
            self.touch("conditions", f"{case_type.code} {condition.id}")
        for stage, expected in expect.stages.items():
            due = calendar.deadline(start, self.standard.stage_limit(case_type.key, stage)).astimezone(expected.tzinfo)
            self.same(place, f"stages.{stage}", expected.isoformat(), due.isoformat())
            rules = self.pack.dispatch.stage_limits.rules
            mine = [rule for rule in rules if rule.stage == stage]
            which = _which(mine, facts_of(case_type))
            self.touch("stage limits", stage if which == "default" else str(rules.index(mine[int(which)])))

    def answer(self, place: str, check: fmt.AnswerCheck) -> None:
        self.count += 1
        for question in self.standard.feedback_rules[self.pack.pack.name].questions:
            for answer in question.answers:
                if (question.id, answer.id) == (check.question, check.answer):
                    self.same(place, "reopens", check.reopens, answer.reopens)
                    self.touch("answers", f"{question.id} {answer.id}")
                    return
        known = [
            f"{q.id} {a.id}" for q in self.standard.feedback_rules[self.pack.pack.name].questions for a in q.answers
        ]
        self.failed(
            place,
            Sentence(
                zh=f"没有问题和答案“{check.question} {check.answer}”",
                en=f"there is no question and answer “{check.question} {check.answer}”",
            ),
            did_you_mean(f"{check.question} {check.answer}", known),
        )

    def indicator(self, place: str, check: fmt.IndicatorCheck) -> None:
        self.count += 1
        indicator = self.standard.indicators.get(check.indicator)
        if indicator is None:
            self.failed(
                f"{place} indicator",
                Sentence(zh=f"没有指标“{check.indicator}”", en=f"there is no indicator “{check.indicator}”"),
                did_you_mean(check.indicator, self.standard.indicators),
            )
            return
        rate = indicator.rate([dict.fromkeys(facts, True) for facts in check.cases])
        found = "no tasks" if rate.value is None else f"{rate.count}/{rate.out_of}"
        if "no tasks" in (check.rate, found) or Fraction(check.rate) != Fraction(found):
            self.same(place, "rate", check.rate, found)
        self.touch("indicators", indicator.id)

    def alias(self, place: str, check: fmt.ReadsCheck) -> None:
        self.count += 1
        self.same(
            place,
            "case_type",
            f"{self.pack.pack.name}:{check.case_type}",
            self.standard.alias(check.source, check.name),
        )
        wanted = check.name.strip().casefold()
        fitting = [
            row
            for row in self.pack.aliases
            if row.source == check.source and _names(row.name.strip().casefold(), wanted)
        ]
        if fitting:
            exact = [row for row in fitting if not row.name.endswith("*")]
            winner = exact[0] if exact else max(fitting, key=lambda row: len(row.name))
            self.touch("aliases", f"{winner.source} {winner.name}")

    # --- what was not touched ---------------------------------------------------------------------------------------

    def coverage(self) -> dict[str, tuple[int, int]]:
        pack = self.pack
        current = self.standard.case_types.values()
        everything: dict[str, Iterable[str]] = {
            "case types": [t.code for t in current],
            "conditions": [f"{t.code} {c.id}" for t in current for c in t.conditions],
            "routes": [r.id for r in pack.dispatch.routes],
            "stage limits": [*STAGES, *_numbers(pack.dispatch.stage_limits.rules)],
            "filing rules": ["default", *_numbers(pack.discover.filing.rules)],
            "duplicate rules": ["default", *_numbers(pack.discover.duplicates.rules)],
            "urgent types": pack.discover.urgent,
            "evidence rules": ["default", *_numbers(pack.handle.evidence.rules)],
            "self handling": ["yes"] if pack.handle.self_handle else [],
            "forms": _numbers(pack.handle.forms),
            "answers": [f"{q.id} {a.id}" for q in pack.feedback.questions for a in q.answers],
            "indicators": [i.id for i in pack.evaluate.indicators],
            "aliases": [f"{row.source} {row.name}" for row in pack.aliases],
        }
        counts = {}
        for what, which in everything.items():
            all_, done = set(which), self.touched.get(what, set())
            counts[what] = (len(all_ & done), len(all_))
            for name in sorted(all_ - done):
                self.failed(
                    f"tests {what}",
                    Sentence(
                        zh=f"没有一个测试用到“{name}”（{_WHERE[what].zh}）",
                        en=f"no test exercises “{name}” ({_WHERE[what].en})",
                    ),
                    Sentence(
                        zh="在 tests/*.yaml 里写一个用到它的情景，或删去它",
                        en="write a scenario in tests/*.yaml that does, or delete it",
                    ),
                )
        return counts


_KINDS = {
    "case types": Sentence(zh="案件类型", en="case types"),
    "conditions": Sentence(zh="立案条件", en="conditions"),
    "routes": Sentence(zh="路由", en="routes"),
    "stage limits": Sentence(zh="阶段时限", en="stage limits"),
    "filing rules": Sentence(zh="立案规则", en="filing rules"),
    "duplicate rules": Sentence(zh="重复规则", en="duplicate rules"),
    "urgent types": Sentence(zh="紧急类型", en="urgent types"),
    "evidence rules": Sentence(zh="证据规则", en="evidence rules"),
    "self handling": Sentence(zh="自行处置", en="self handling"),
    "forms": Sentence(zh="表单", en="forms"),
    "answers": Sentence(zh="答案", en="answers"),
    "indicators": Sentence(zh="指标", en="indicators"),
    "aliases": Sentence(zh="别名", en="aliases"),
}
_WHERE = {
    "case types": Sentence(zh="案件类型", en="case type"),
    "conditions": Sentence(zh="立案条件的期限", en="deadline of a filing condition"),
    "routes": Sentence(zh="dispatch.yaml 的路由", en="route in dispatch.yaml"),
    "stage limits": Sentence(
        zh="dispatch.yaml 的阶段时限，数字是第几条规则", en="stage limit in dispatch.yaml; a number counts the rules"
    ),
    "filing rules": Sentence(zh="discover.yaml 的立案规则", en="filing rule in discover.yaml"),
    "duplicate rules": Sentence(zh="discover.yaml 的重复规则", en="duplicate rule in discover.yaml"),
    "urgent types": Sentence(zh="discover.yaml 的紧急类型", en="urgent type in discover.yaml"),
    "evidence rules": Sentence(zh="handle.yaml 的证据规则", en="evidence rule in handle.yaml"),
    "self handling": Sentence(zh="handle.yaml 的自行处置", en="self_handle in handle.yaml"),
    "forms": Sentence(zh="handle.yaml 的表单规则", en="form rule in handle.yaml"),
    "answers": Sentence(zh="feedback.yaml 的答案", en="answer in feedback.yaml"),
    "indicators": Sentence(zh="evaluate.yaml 的指标", en="indicator in evaluate.yaml"),
    "aliases": Sentence(zh="tables/aliases.csv 的别名", en="alias in tables/aliases.csv"),
}


def _set(given: fmt.Given) -> dict[str, Any]:
    return {name: value for name in fmt.Given.model_fields if (value := getattr(given, name)) is not None}


def _numbers(rules: Iterable[object]) -> list[str]:
    return [str(i) for i, _ in enumerate(rules)]


def _which(rules: Iterable[Any], facts: Mapping[str, str]) -> str:
    """The number of the first rule that fits, or ``default``."""
    return next((str(i) for i, rule in enumerate(rules) if fits(rule.when, facts)), "default")


def _names(pattern: str, name: str) -> bool:
    return name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
