"""Files into a checked `Pack` or `District`: every mistake of all files at once, or the value. Nothing in between."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from typing import Annotated, Any, TypeVar

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from gridloop.kernel.errors import Mistakes
from gridloop.kernel.language import Sentence
from gridloop.people.roles import ROLES
from gridloop.standard.rules import format as fmt
from gridloop.standard.rules.reading import (
    Finder,
    Lines,
    Path,
    did_you_mean,
    path_text,
    read_json,
    read_table,
    read_yaml,
)

Files = Mapping[str, bytes]
"""A folder: file name with ``/`` between folders, to content."""

M = TypeVar("M", bound=BaseModel)
R = TypeVar("R", bound=BaseModel)

_KNOWN = re.compile(r"README(\.[\w-]+)?\.md|tests/[\w-]+\.yaml|forms/[\w-]+\.json")


def load_pack(files: Files, root: str) -> tuple[fmt.Pack, dict[str, fmt.TestsFile]]:
    """The pack in a folder and its tests. Raises `Mistakes` with every mistake of all files."""
    return _Loading(Finder(root), files).pack()


def load_district(files: Files, root: str, packs: Mapping[str, fmt.Pack]) -> fmt.District:
    """A district's own values, checked against the packs that it names. Raises `Mistakes`."""
    return _Loading(Finder(root), files).district(packs)


class _Loading:
    def __init__(self, finder: Finder, files: Files) -> None:
        self.finder = finder
        self.files = files
        self.lines: dict[str, Lines] = {}

    def mistake(self, file: str, path: Path, wrong: Sentence, instead: Sentence) -> None:
        """A mistake at a path of a YAML file, or at (row line, column) of a table."""
        if file.endswith(".csv"):
            line, *rest = path
            self.finder.found(file, int(line), path_text(rest), wrong, instead)
            return
        lines = self.lines.get(file, {})
        known = path
        while known and known not in lines:
            known = known[:-1]
        self.finder.found(file, lines.get(known), path_text(path), wrong, instead)

    def unknown(self, file: str, path: Path, what: Sentence, word: str, known: Collection[str]) -> bool:
        """Whether `word` is not in `known`; then it is told, with the nearest known word."""
        if word in known:
            return False
        self.mistake(
            file,
            path,
            Sentence(zh=f"没有这个{what.zh}：“{word}”", en=f"there is no {what.en} “{word}”"),
            did_you_mean(word, known),
        )
        return True

    def twice(self, file: str, items: Iterable[tuple[Path, Any]], what: Sentence) -> None:
        """Tells each item that stands again."""
        seen: dict[Any, Path] = {}
        for path, item in items:
            if item in seen:
                shown = " ".join(map(str, item)) if isinstance(item, tuple) else str(item)
                first = seen[item]
                line = first[0] if file.endswith(".csv") else self.lines.get(file, {}).get(first, "")
                self.mistake(
                    file,
                    path,
                    Sentence(
                        zh=f"{what.zh}“{shown}”写了两次（第 {line} 行已有）",
                        en=f"the {what.en} “{shown}” stands twice (already on line {line})",
                    ),
                    Sentence(zh="只留一个，或改成别的", en="keep one of them, or rename one"),
                )
            seen.setdefault(item, path)

    # --- one file ---------------------------------------------------------------------------------------------------

    def yaml(self, file: str, model: type[M]) -> M | None:
        """The value; of a file with mistakes, what can be saved, so that the rest is looked at all the same."""
        content = self.files.get(file)
        if content is None:
            self.finder.found(
                file,
                None,
                "",
                Sentence(zh="缺少这个文件", en="the file is missing"),
                Sentence(
                    zh="写这个文件；格式见 docs/reference/pack-format.md",
                    en="write it; the format is in docs/reference/pack-format.md",
                ),
            )
            return None
        value, self.lines[file] = read_yaml(file, content, self.finder)
        if value is None:
            return None
        try:
            return model.model_validate(value)
        except ValidationError as error:
            for details in error.errors(include_url=False):
                self.invalid(file, details["loc"], details, model)
            return _salvaged(model, value)

    def table(self, file: str, model: type[R]) -> list[tuple[int, R]]:
        content = self.files.get(file)
        if content is None:
            if file not in fmt.OPTIONAL_TABLES:
                self.finder.found(
                    file,
                    None,
                    "",
                    Sentence(zh="缺少这个表", en="the table is missing"),
                    Sentence(
                        zh=f"写这个表，表头：{','.join(model.model_fields)}",
                        en=f"write it, headed {','.join(model.model_fields)}",
                    ),
                )
            return []
        fields = model.model_fields
        required = [n for n, f in fields.items() if f.is_required()]
        rows = read_table(file, content, required, [n for n in fields if n not in required], self.finder)
        valid: list[tuple[int, R]] = []
        for line, cells in rows:
            try:
                valid.append((line, model.model_validate(cells)))
            except ValidationError as error:
                for details in error.errors(include_url=False):
                    self.invalid(file, (line, *details["loc"]), details, model)
        return valid

    def invalid(self, file: str, path: Path, error: ErrorDetails, model: type[BaseModel]) -> None:
        """One of pydantic's errors in our words."""
        wrong, instead = _in_our_words(error, path, model)
        if error["type"] == "extra_forbidden" or file.endswith(".csv"):
            shown: Path = path
        else:
            shown = tuple(step for step in path if step != "[key]")
        self.mistake(file, shown, wrong, instead)

    def forms(self) -> dict[str, dict[str, Any]]:
        forms = {}
        for file in sorted(f for f in self.files if f.startswith("forms/") and f.endswith(".json")):
            schema = read_json(file, self.files[file], self.finder)
            if schema is None:
                continue
            if not isinstance(schema, dict) or schema.get("type") != "object":
                self.finder.found(
                    file,
                    1,
                    "type",
                    Sentence(zh="表单不是一个对象", en="the form is not an object"),
                    Sentence(zh='最外层写 "type": "object"', en='write "type": "object" at the top'),
                )
                continue
            try:
                Draft202012Validator.check_schema(schema)
            except SchemaError as error:
                self.finder.found(
                    file,
                    None,
                    path_text(list(error.path)),
                    Sentence(
                        zh=f"不是有效的 JSON Schema：{error.message}",
                        en=f"this is not valid JSON Schema: {error.message}",
                    ),
                    Sentence(zh="按 JSON Schema 2020-12 改写", en="write it as JSON Schema 2020-12 says"),
                )
                continue
            if _remote(schema):
                self.finder.found(
                    file,
                    None,
                    "$ref",
                    Sentence(zh="引用了别处的模式", en="the form refers to a schema elsewhere"),
                    Sentence(zh="只引用本文件（#/…）", en="refer only to this file (#/…)"),
                )
                continue
            forms[file.removeprefix("forms/").removesuffix(".json")] = schema
        return forms

    # --- a pack -----------------------------------------------------------------------------------------------------

    def pack(self) -> tuple[fmt.Pack, dict[str, fmt.TestsFile]]:
        known = [*fmt.YAML_FILES, *fmt.TABLES]
        for file in sorted(self.files):
            if file not in known and not _KNOWN.fullmatch(file):
                self.finder.found(
                    file,
                    None,
                    "",
                    Sentence(zh="不认识这个文件", en="the file is unknown"),
                    did_you_mean(file, [*known, "README.md"]),
                )
        head = self.yaml("pack.yaml", fmt.PackFile)
        discover = self.yaml("discover.yaml", fmt.DiscoverFile)
        dispatch = self.yaml("dispatch.yaml", fmt.DispatchFile)
        handle = self.yaml("handle.yaml", fmt.HandleFile)
        feedback = self.yaml("feedback.yaml", fmt.FeedbackFile)
        evaluate = self.yaml("evaluate.yaml", fmt.EvaluateFile)
        majors = self.table("tables/majors.csv", fmt.MajorRow)
        types = self.table("tables/case_types.csv", fmt.CaseTypeRow)
        conditions = self.table("tables/conditions.csv", fmt.ConditionRow)
        words = self.table("tables/words.csv", fmt.WordsRow)
        successors = self.table("tables/successors.csv", fmt.SuccessorRow)
        aliases = self.table("tables/aliases.csv", fmt.AliasRow)
        forms = self.forms()
        tests = {
            file: test
            for file in sorted(self.files)
            if file.startswith("tests/") and file.endswith(".yaml")
            if (test := self.yaml(file, fmt.TestsFile)) is not None
        }
        if head and head.catalogue and head.catalogues and head.trades and head.functions:
            self.check_head(head)
            self.check_tables(head, majors, types, conditions, words, successors, aliases)
            codes = {row.code for _, row in types if row.catalogue == head.catalogue}
            if discover:
                self.check_discover(head, discover, codes)
            if dispatch:
                self.check_dispatch(head, dispatch, codes)
            if handle:
                self.check_handle(head, handle, codes, forms)
        if feedback:
            self.check_feedback(feedback)
        if evaluate:
            self.check_evaluate(evaluate)
        if self.finder.mistakes:
            raise Mistakes(self.finder.mistakes)
        assert head and discover and dispatch and handle and feedback and evaluate  # noqa: PT018 - no mistakes: all are there
        pack = fmt.Pack(
            pack=head,
            discover=discover,
            dispatch=dispatch,
            handle=handle,
            feedback=feedback,
            evaluate=evaluate,
            majors=[r for _, r in majors],
            case_types=[r for _, r in types],
            conditions=[r for _, r in conditions],
            words=[r for _, r in words],
            successors=[r for _, r in successors],
            aliases=[r for _, r in aliases],
            forms=forms,
        )
        return pack, tests

    def check_head(self, head: fmt.PackFile) -> None:
        ids = [c.id for c in head.catalogues]
        self.unknown("pack.yaml", ("catalogue",), _CATALOGUE, head.catalogue, ids)
        self.twice("pack.yaml", ((("catalogues", i, "id"), id_) for i, id_ in enumerate(ids)), _CATALOGUE)
        if self.finder.root and head.name != self.finder.root.rsplit("/", 1)[-1]:
            self.mistake(
                "pack.yaml",
                ("name",),
                Sentence(zh=f"包名“{head.name}”与文件夹名不同", en=f"the name “{head.name}” is not the folder's"),
                Sentence(zh="两者写成一样", en="give both the same name"),
            )

    def check_tables(
        self,
        head: fmt.PackFile,
        majors: list[tuple[int, fmt.MajorRow]],
        types: list[tuple[int, fmt.CaseTypeRow]],
        conditions: list[tuple[int, fmt.ConditionRow]],
        words: list[tuple[int, fmt.WordsRow]],
        successors: list[tuple[int, fmt.SuccessorRow]],
        aliases: list[tuple[int, fmt.AliasRow]],
    ) -> None:
        catalogues = {c.id for c in head.catalogues}
        for file, rows in (("majors", majors), ("case_types", types), ("successors", successors)):
            name = f"tables/{file}.csv"
            for line, row in rows:
                self.unknown(name, (line, "catalogue"), _CATALOGUE, row.catalogue, catalogues)
            self.twice(name, (((line, "code"), (row.catalogue, row.code)) for line, row in rows), _CODE)
        known_majors = {(row.catalogue, row.code) for _, row in majors}
        used = {(row.catalogue, row.code[:3]) for _, row in types}
        for line, row in types:
            if (row.catalogue, row.code[:3]) not in known_majors:
                self.mistake(
                    "tables/case_types.csv",
                    (line, "code"),
                    Sentence(
                        zh=f"大类“{row.code[:3]}”不在 majors.csv",
                        en=f"the major class “{row.code[:3]}” is not in majors.csv",
                    ),
                    Sentence(zh="在 majors.csv 加一行，或改编码", en="add it to majors.csv, or correct the code"),
                )
            self.unknown("tables/case_types.csv", (line, "trade"), _TRADE, row.trade, head.trades)
        for line, major in majors:
            if (major.catalogue, major.code) not in used:
                self.mistake(
                    "tables/majors.csv",
                    (line, "code"),
                    Sentence(zh=f"大类“{major.code}”没有小类", en=f"the major class “{major.code}” has no case type"),
                    Sentence(zh="删去，或写它的小类", en="delete it, or write its case types"),
                )
        codes = {row.code for _, row in types if row.catalogue == head.catalogue}
        older = {(row.catalogue, row.code) for _, row in types if row.catalogue != head.catalogue}
        self.check_conditions(types, conditions, codes, head.catalogue)
        self.check_words(types, words, codes, head.catalogue)
        for line, successor in successors:
            if (successor.catalogue, successor.code) not in older:
                self.unknown(
                    "tables/successors.csv",
                    (line, "code"),
                    _OLD_TYPE,
                    successor.code,
                    {code for catalogue, code in older if catalogue == successor.catalogue},
                )
            if successor.successor:
                self.unknown("tables/successors.csv", (line, "successor"), _TYPE, successor.successor, codes)
        mapped = {(row.catalogue, row.code) for _, row in successors}
        for line, row in types:
            if (
                row.catalogue != head.catalogue
                and row.catalogue in catalogues
                and (row.catalogue, row.code) not in mapped
            ):
                self.mistake(
                    "tables/case_types.csv",
                    (line, "code"),
                    Sentence(
                        zh=f"旧目录的“{row.code}”没有对应关系",
                        en=f"“{row.code}” of an older catalogue is not in successors.csv",
                    ),
                    Sentence(
                        zh="在 successors.csv 加一行；没有对应的新类则留空",
                        en="add a row there; leave the successor empty if there is none",
                    ),
                )
        self.twice(
            "tables/aliases.csv", (((line, "name"), (r.source, r.name.casefold())) for line, r in aliases), _ALIAS
        )
        for line, alias in aliases:
            self.unknown("tables/aliases.csv", (line, "code"), _TYPE, alias.code, codes)

    def check_conditions(
        self,
        types: list[tuple[int, fmt.CaseTypeRow]],
        conditions: list[tuple[int, fmt.ConditionRow]],
        codes: set[str],
        catalogue: str,
    ) -> None:
        file = "tables/conditions.csv"
        self.twice(file, (((line, "id"), (row.code, row.id)) for line, row in conditions), _CONDITION)
        usual = Counter(row.code for _, row in conditions if row.usual)
        first: dict[str, int] = {}
        for line, row in conditions:
            self.unknown(file, (line, "code"), _TYPE, row.code, codes)
            first.setdefault(row.code, line)
        for code, line in first.items():
            if usual[code] != 1:
                self.mistake(
                    file,
                    (line, "usual"),
                    Sentence(
                        zh=f"“{code}”有 {usual[code]} 个常用条件", en=f"“{code}” has {usual[code]} usual conditions"
                    ),
                    Sentence(zh="在其中一行写 yes", en="write yes in exactly one of its rows"),
                )
        for line, kind in types:
            if kind.catalogue == catalogue and kind.code not in first:
                self.mistake(
                    "tables/case_types.csv",
                    (line, "code"),
                    Sentence(
                        zh=f"“{kind.code} {kind.zh}”没有立案条件", en=f"“{kind.code} {kind.en}” has no filing condition"
                    ),
                    Sentence(zh="在 conditions.csv 加一行", en="add a row to conditions.csv"),
                )

    def check_words(
        self,
        types: list[tuple[int, fmt.CaseTypeRow]],
        words: list[tuple[int, fmt.WordsRow]],
        codes: set[str],
        catalogue: str,
    ) -> None:
        file = "tables/words.csv"
        self.twice(file, (((line, "code"), row.code) for line, row in words), _CODE)
        for line, row in words:
            self.unknown(file, (line, "code"), _TYPE, row.code, codes)
            self.twice(file, (((line, "words"), word) for word in row.split()), _WORD)
        have = {row.code for _, row in words}
        for line, kind in types:
            if kind.catalogue == catalogue and kind.code not in have:
                self.mistake(
                    "tables/case_types.csv",
                    (line, "code"),
                    Sentence(
                        zh=f"“{kind.code} {kind.zh}”没有常用词", en=f"“{kind.code} {kind.en}” has no everyday words"
                    ),
                    Sentence(zh="在 words.csv 加一行", en="add a row to words.csv"),
                )

    def check_when(self, file: str, path: Path, when: fmt.When, head: fmt.PackFile, codes: Collection[str]) -> None:
        for i, code in enumerate(when.case_type):
            self.unknown(file, (*path, "case_type", i), _TYPE, code, codes)
        for i, major in enumerate(when.major):
            self.unknown(file, (*path, "major", i), _MAJOR, major, {code[:3] for code in codes})
        for i, trade in enumerate(when.trade):
            self.unknown(file, (*path, "trade", i), _TRADE, trade, head.trades)
        if not when.facts() and type(when) is fmt.When:
            self.mistake(
                file,
                path,
                Sentence(
                    zh="没有写任何条件，会盖住后面的规则", en="no fact is named; the rule would cover all that follow"
                ),
                Sentence(
                    zh=f"至少写一个：{'、'.join(fmt.When.model_fields)}",
                    en=f"name at least one of: {', '.join(fmt.When.model_fields)}",
                ),
            )

    def check_discover(self, head: fmt.PackFile, discover: fmt.DiscoverFile, codes: set[str]) -> None:
        file = "discover.yaml"
        for i, code in enumerate(discover.urgent):
            self.unknown(file, ("urgent", i), _TYPE, code, codes)
        self.twice(file, ((("urgent", i), code) for i, code in enumerate(discover.urgent)), _CODE)
        for i, code in enumerate(discover.private):
            self.unknown(file, ("private", i), _TYPE, code, codes)
        self.twice(file, ((("private", i), code) for i, code in enumerate(discover.private)), _CODE)
        for i, filing in _whole(discover.filing.rules if discover.filing else None):
            self.check_when(file, ("filing", "rules", i, "when"), filing.when, head, codes)
        for i, duplicates in _whole(discover.duplicates.rules if discover.duplicates else None):
            self.check_when(file, ("duplicates", "rules", i, "when"), duplicates.when, head, codes)

    def check_unit(
        self, file: str, path: Path, unit: fmt.Unit, functions: Collection[str], units: Collection[str]
    ) -> None:
        self.unknown(file, (*path, "function"), _FUNCTION, unit.function, functions)
        if unit.code is not None and not units:
            self.mistake(
                file,
                (*path, "code"),
                Sentence(zh="场景包里写了具体单位", en="a pack names one particular unit"),
                Sentence(
                    zh="包里只写职能；具体单位写在 districts/<code>/district.yaml",
                    en="packs name functions; name units in districts/<code>/district.yaml",
                ),
            )
        elif unit.code is not None:
            self.unknown(file, (*path, "code"), _UNIT, unit.code, units)

    def check_routes(
        self,
        file: str,
        routes: Iterable[tuple[int, fmt.RouteEntry, fmt.PackFile, Collection[str]]],
        units: Collection[str] = (),
    ) -> None:
        for i, route, head, codes in routes:
            path: Path = ("routes", i)
            self.check_when(file, (*path, "when"), route.when, head, codes)
            self.check_unit(file, (*path, "unit"), route.unit, head.functions, units)
            for j, unit in enumerate(route.co_units):
                self.check_unit(file, (*path, "co_units", j), unit, head.functions, units)
            if route.escalate_to:
                self.check_unit(file, (*path, "escalate_to"), route.escalate_to, head.functions, units)
            if route.person:
                self.unknown(file, (*path, "person", "role"), _ROLE, route.person.role, ROLES)
            for language, text in (("zh", route.why.zh), ("en", route.why.en)):
                if strange := [s for s in re.findall(r"[{][^}]*[}]?|}", text) if s != "{type}"]:
                    self.mistake(
                        file,
                        (*path, "why", language),
                        Sentence(zh=f"不认识占位符“{strange[0]}”", en=f"the slot “{strange[0]}” is unknown"),
                        Sentence(zh="只能用 {type}", en="the only slot is {type}"),
                    )

    def check_dispatch(self, head: fmt.PackFile, dispatch: fmt.DispatchFile, codes: set[str]) -> None:
        file = "dispatch.yaml"
        self.twice(file, ((("routes", i, "id"), route.id) for i, route in _whole(dispatch.routes)), _ROUTE)
        self.check_routes(file, ((i, route, head, codes) for i, route in _whole(dispatch.routes)))
        for i, rule in _whole(dispatch.stage_limits.rules if dispatch.stage_limits else None):
            self.check_when(file, ("stage_limits", "rules", i, "when"), rule.when, head, codes)

    def check_handle(
        self, head: fmt.PackFile, handle: fmt.HandleFile, codes: set[str], forms: Mapping[str, Any]
    ) -> None:
        file = "handle.yaml"
        for i, evidence in _whole(handle.evidence.rules if handle.evidence else None):
            self.check_when(file, ("evidence", "rules", i, "when"), evidence.when, head, codes)
        if handle.self_handle:
            self.check_when(file, ("self_handle",), handle.self_handle, head, codes)
        for i, rule in _whole(handle.forms):
            self.check_when(file, ("forms", i, "when"), rule.when, head, codes)
            if rule.form not in forms and f"forms/{rule.form}.json" not in self.files:
                self.unknown(file, ("forms", i, "form"), _FORM, rule.form, forms)
        used = {rule.form for _, rule in _whole(handle.forms)} if None not in handle.forms else set(forms)
        for name in sorted(set(forms) - used):
            self.finder.found(
                f"forms/{name}.json",
                None,
                "",
                Sentence(zh="没有规则用到这张表单", en="no rule uses this form"),
                Sentence(
                    zh="在 handle.yaml 的 forms 里用它，或删去", en="use it in handle.yaml under forms, or delete it"
                ),
            )

    def check_feedback(self, feedback: fmt.FeedbackFile) -> None:
        file = "feedback.yaml"
        self.twice(file, ((("questions", i, "id"), q.id) for i, q in _whole(feedback.questions)), _QUESTION)
        self.twice(file, ((("questions", i, "counts"), q.counts) for i, q in _whole(feedback.questions)), _FACT)
        for i, question in _whole(feedback.questions):
            path: Path = ("questions", i, "answers")
            self.twice(file, (((*path, j, "id"), a.id) for j, a in enumerate(question.answers)), _ANSWER)
            if not any(a.good for a in question.answers):
                self.mistake(
                    file,
                    path,
                    Sentence(zh="没有一个答案算好", en="no answer counts as good"),
                    Sentence(zh="在至少一个答案上写 good: true", en="write good: true on at least one answer"),
                )
            for j, answer in enumerate(question.answers):
                if answer.good and answer.reopens:
                    self.mistake(
                        file,
                        (*path, j),
                        Sentence(
                            zh=f"答案“{answer.id}”既算好又重开",
                            en=f"the answer “{answer.id}” is good and reopens the case",
                        ),
                        Sentence(zh="good 和 reopens 只写一个", en="write one of good and reopens"),
                    )

    def check_evaluate(self, evaluate: fmt.EvaluateFile) -> None:
        file = "evaluate.yaml"
        ids = [indicator.id for _, indicator in _whole(evaluate.indicators)]
        self.twice(file, ((("indicators", i, "id"), id_) for i, id_ in enumerate(ids)), _INDICATOR)
        self.twice(file, ((("schemes", i, "id"), s.id) for i, s in _whole(evaluate.schemes)), _SCHEME)
        for i, indicator in _whole(evaluate.indicators):
            for fact, wanted in indicator.count.items():
                if indicator.out_of.get(fact, wanted) is not wanted:
                    self.mistake(
                        file,
                        ("indicators", i, "count", fact),
                        Sentence(
                            zh=f"“{fact}”在分子和分母里相反，结果总是 0",
                            en=f"“{fact}” is opposite in count and out_of: always 0",
                        ),
                        Sentence(zh="改其中一个", en="correct one of them"),
                    )
        for i, scheme in _whole(evaluate.schemes):
            for j, term in enumerate(scheme.terms if None not in evaluate.indicators else []):
                self.unknown(file, ("schemes", i, "terms", j, "indicator"), _INDICATOR, term.indicator, ids)
            total = sum(term.weight for term in scheme.terms)
            if total != 100:
                self.mistake(
                    file,
                    ("schemes", i, "terms"),
                    Sentence(zh=f"权重合计 {total}", en=f"the weights sum to {total}"),
                    Sentence(zh="合计写成 100", en="make them sum to 100"),
                )

    # --- a district ---------------------------------------------------------------------------------------------------

    def district(self, packs: Mapping[str, fmt.Pack]) -> fmt.District:
        file = "district.yaml"
        head = self.yaml(file, fmt.DistrictFile)
        units = self.table("units.csv", fmt.UnitRow) if "units.csv" in self.files else []
        if head:
            if self.finder.root and head.code != self.finder.root.rsplit("/", 1)[-1]:
                self.mistake(
                    file,
                    ("code",),
                    Sentence(
                        zh=f"编码“{head.code}”与文件夹名不同", en=f"the code “{head.code}” is not the folder's name"
                    ),
                    Sentence(zh="两者写成一样", en="give both the same name"),
                )
            for i, name in enumerate(head.packs or []):
                self.unknown(file, ("packs", i), _PACK, name, packs)
            if head.calendar:
                self.check_calendar(head.calendar)
            mine = {name: packs[name] for name in head.packs or [] if name in packs}
            self.check_overrides(head, mine, {row.code for _, row in units})
            self.check_units(head, units, {f for pack in mine.values() for f in pack.pack.functions})
        if self.finder.mistakes or head is None:
            raise Mistakes(self.finder.mistakes)
        return fmt.District(district=head, units=[row for _, row in units])

    def check_calendar(self, calendar: fmt.CalendarEntry) -> None:
        try:
            calendar.calendar()
        except (ValueError, KeyError) as error:
            self.mistake(
                "district.yaml",
                ("calendar",),
                Sentence(zh=f"日历不成立：{error}", en=f"the calendar does not hold: {error}"),
                Sentence(
                    zh="按提示改 zone、hours、closed 或 worked", en="correct zone, hours, closed or worked as it says"
                ),
            )

    def check_overrides(self, head: fmt.DistrictFile, packs: Mapping[str, fmt.Pack], units: Collection[str]) -> None:
        file = "district.yaml"
        codes = {name: current_codes(pack) for name, pack in packs.items()}
        keys = {f"{name}:{code}" for name, pack_codes in codes.items() for code in pack_codes}
        conditions = {(f"{n}:{row.code}", row.id) for n, pack in packs.items() for row in pack.conditions}
        self.twice(file, ((("limits", i), (o.case_type, o.condition)) for i, o in _whole(head.limits)), _LIMIT)
        for i, override in _whole(head.limits):
            if not self.unknown(file, ("limits", i, "case_type"), _TYPE, override.case_type, keys):
                self.unknown(
                    file,
                    ("limits", i, "condition"),
                    _CONDITION,
                    override.condition,
                    {c for key, c in conditions if key == override.case_type},
                )
        for i, rule in _whole(head.stage_limits):
            if not self.unknown(file, ("stage_limits", i, "pack"), _PACK, rule.pack, packs):
                self.check_when(file, ("stage_limits", i, "when"), rule.when, packs[rule.pack].pack, codes[rule.pack])
        self.twice(file, ((("routes", i, "id"), (r.pack, r.id)) for i, r in _whole(head.routes)), _ROUTE)
        mine = []
        for i, route in _whole(head.routes):
            if not self.unknown(file, ("routes", i, "pack"), _PACK, route.pack, packs):
                mine.append((i, route, packs[route.pack].pack, codes[route.pack]))
                if route.id in {r.id for r in packs[route.pack].dispatch.routes}:
                    self.mistake(
                        file,
                        ("routes", i, "id"),
                        Sentence(zh=f"路由“{route.id}”在场景包里已有", en=f"the pack already has a route “{route.id}”"),
                        Sentence(
                            zh="换一个名字；本区的路由先于包里的",
                            en="give it another name; the district's routes are asked first",
                        ),
                    )
        self.check_routes(file, mine, units or {"-"})

    def check_units(
        self, head: fmt.DistrictFile, units: list[tuple[int, fmt.UnitRow]], functions: Collection[str]
    ) -> None:
        file = "units.csv"
        self.twice(file, (((line, "code"), row.code) for line, row in units), _UNIT)
        codes = {row.code for _, row in units}
        parents = {row.code: row.parent for _, row in units}
        for line, row in units:
            self.unknown(file, (line, "function"), _FUNCTION, row.function, functions)
            if row.parent and not self.unknown(file, (line, "parent"), _UNIT, row.parent, codes):
                above: str | None = row.parent
                seen = set()
                while above and above not in seen and above != row.code:
                    seen.add(above)
                    above = parents.get(above)
                if above == row.code:
                    self.mistake(
                        file,
                        (line, "parent"),
                        Sentence(zh=f"“{row.code}”是自己的上级", en=f"“{row.code}” stands above itself"),
                        Sentence(zh="改上级单位", en="correct the parent"),
                    )
            if row.region_code and not row.region_code.startswith(head.code):
                self.mistake(
                    file,
                    (line, "region_code"),
                    Sentence(
                        zh=f"“{row.region_code}”不在本区 {head.code}",
                        en=f"“{row.region_code}” is not in district {head.code}",
                    ),
                    Sentence(
                        zh=f"写以 {head.code} 开头的编码，或留空",
                        en=f"write a code that starts with {head.code}, or leave it empty",
                    ),
                )


_CATALOGUE = Sentence(zh="目录", en="catalogue")
_CODE = Sentence(zh="编码", en="code")
_TYPE = Sentence(zh="案件类型", en="case type")
_OLD_TYPE = Sentence(zh="旧目录类型", en="type in that older catalogue")
_MAJOR = Sentence(zh="大类", en="major class")
_TRADE = Sentence(zh="行业", en="trade")
_FUNCTION = Sentence(zh="职能", en="function")
_UNIT = Sentence(zh="单位", en="unit")
_ROLE = Sentence(zh="角色", en="role")
_ROUTE = Sentence(zh="路由", en="route")
_CONDITION = Sentence(zh="立案条件", en="filing condition")
_LIMIT = Sentence(zh="时限", en="limit")
_WORD = Sentence(zh="词", en="word")
_ALIAS = Sentence(zh="别名", en="alias")
_FORM = Sentence(zh="表单", en="form")
_QUESTION = Sentence(zh="问题", en="question")
_ANSWER = Sentence(zh="答案", en="answer")
_FACT = Sentence(zh="事实", en="fact")
_INDICATOR = Sentence(zh="指标", en="indicator")
_SCHEME = Sentence(zh="评分方案", en="scheme")
_PACK = Sentence(zh="场景包", en="pack")


def current_codes(pack: fmt.Pack) -> set[str]:
    """The codes under which a case may be opened today."""
    return {row.code for row in pack.case_types if row.catalogue == pack.pack.catalogue}


def _whole(entries: list[M] | None) -> list[tuple[int, M]]:
    """The entries with their numbers, without the holes that `_salvaged` left."""
    return [(i, entry) for i, entry in enumerate(entries or []) if entry is not None]


def _salvaged(model: type[M], value: Any) -> M | None:
    """What holds of a value that does not: a field that is wrong becomes None, an entry of a list a hole (None).

    Only for looking further; a file with a mistake is never loaded.
    """
    if not isinstance(value, dict):
        return None
    saved: dict[str, Any] = {}
    for name, field in model.model_fields.items():
        if name not in value:
            saved[name] = None if field.is_required() else field.get_default(call_default_factory=True)
            continue
        inner = _model_in(field.annotation)
        try:
            kind: Any = Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
            saved[name] = TypeAdapter(kind).validate_python(value[name])
        except ValidationError:
            if inner and isinstance(value[name], list):
                saved[name] = [_entry(inner, entry) for entry in value[name]]
            elif inner and field.annotation is not inner:
                saved[name] = value[name] if isinstance(value[name], dict) else None
            else:
                saved[name] = _salvaged(inner, value[name]) if inner else None
    return model.model_construct(**saved)


def _entry(model: type[BaseModel], value: Any) -> BaseModel | None:
    try:
        return model.model_validate(value)
    except ValidationError:
        return _salvaged(model, value) if model is fmt.Catalogue else None


def _remote(schema: Any) -> bool:
    if isinstance(schema, dict):
        ref = schema.get("$ref", "#")
        return (isinstance(ref, str) and not ref.startswith("#")) or any(_remote(v) for v in schema.values())
    return isinstance(schema, list) and any(_remote(v) for v in schema)


def _fields_at(model: type[BaseModel], path: Path) -> list[str]:
    """The keys that may be written where a path of pydantic's leads."""
    current: Any = model
    for step in path:
        if isinstance(step, int):
            continue
        field = getattr(current, "model_fields", {}).get(step)
        if field is None:
            return []
        current = _model_in(field.annotation)
        if current is None:
            return []
    return list(current.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        if found := _model_in(inner):
            return found
    return None


def _in_our_words(error: ErrorDetails, path: Path, model: type[BaseModel]) -> tuple[Sentence, Sentence]:
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    name = str(path[-1]) if path else ""
    shown = str(value) if not isinstance(value, dict | list) else ""
    shown = shown if len(shown) <= 60 else shown[:57] + "…"
    if kind == "ours":
        return Sentence(zh=context["zh"], en=context["en"]), Sentence(zh=context["izh"], en=context["ien"])
    if kind == "missing":
        return (
            Sentence(zh=f"缺少“{name}”", en=f"“{name}” is missing"),
            Sentence(zh=f"写上 {name}", en=f"write {name}"),
        )
    if kind == "extra_forbidden":
        known = _fields_at(model, path[:-1])
        return Sentence(zh=f"不认识“{name}”", en=f"“{name}” is unknown here"), did_you_mean(name, known)
    if kind == "literal_error":
        choices = re.findall(r"'([^']*)'", context["expected"]) or [context["expected"]]
        return Sentence(zh=f"“{shown}”不在可选值里", en=f"“{shown}” is not one of the choices"), did_you_mean(
            shown, choices
        )
    if kind == "string_pattern_mismatch":
        return (
            Sentence(zh=f"“{shown}”的写法不对", en=f"“{shown}” is not written as it must be"),
            _PATTERNS.get(
                context["pattern"],
                Sentence(zh=f"须符合 {context['pattern']}", en=f"it must match {context['pattern']}"),
            ),
        )
    wanted = _KINDS.get(kind.split("_")[0])
    if kind.endswith(("_type", "_parsing")) and wanted:
        got = (
            Sentence(zh="空", en="nothing")
            if value is None
            else Sentence(zh=f"“{shown}”", en=f"“{shown}”")
            if shown
            else _COMPOUND
        )
        return (
            Sentence(zh=f"这里要{wanted.zh}，写的是{got.zh}", en=f"this must be {wanted.en}, and is {got.en}"),
            Sentence(zh=f"写{wanted.zh}", en=f"write {wanted.en}"),
        )
    bounds = {
        "greater_than": ("大于", "above", "gt"),
        "greater_than_equal": ("不小于", "at least", "ge"),
        "less_than": ("小于", "below", "lt"),
        "less_than_equal": ("不大于", "at most", "le"),
    }
    if kind in bounds:
        zh, en, key = bounds[kind]
        return (
            Sentence(zh=f"“{shown}”超出范围", en=f"“{shown}” is out of range"),
            Sentence(zh=f"写{zh} {context[key]} 的数", en=f"write a number {en} {context[key]}"),
        )
    if kind in ("too_short", "too_long"):
        key = "min_length" if kind == "too_short" else "max_length"
        side = ("至少", "at least") if kind == "too_short" else ("至多", "at most")
        return (
            Sentence(zh=f"有 {context['actual_length']} 项", en=f"there are {context['actual_length']} entries"),
            Sentence(zh=f"写{side[0]} {context[key]} 项", en=f"write {side[1]} {context[key]}"),
        )
    return Sentence(zh=f"不成立：{error['msg']}", en=error["msg"]), Sentence(
        zh="见格式说明", en="see the format reference"
    )


_COMPOUND = Sentence(zh="一组内容", en="a group of entries")
_KINDS = {
    "string": Sentence(zh="文字", en="text"),
    "int": Sentence(zh="整数", en="a whole number"),
    "float": Sentence(zh="数", en="a number"),
    "decimal": Sentence(zh="数", en="a number"),
    "bool": Sentence(zh="true 或 false", en="true or false"),
    "list": Sentence(zh="列表（每项以“- ”开头）", en="a list (each entry starts with “- ”)"),
    "dict": Sentence(zh="键和值", en="keys with values"),
    "model": Sentence(zh="键和值", en="keys with values"),
    "date": Sentence(zh="日期，如 2022-10-01", en="a date such as 2022-10-01"),
    "datetime": Sentence(zh="时刻，如 2022-09-30T16:00:00+08:00", en="a moment such as 2022-09-30T16:00:00+08:00"),
}


def _pattern(annotated: Any) -> str:
    found = [m.pattern for f in annotated.__metadata__ for m in getattr(f, "metadata", []) if hasattr(m, "pattern")]
    return str(found[0])


_PATTERNS = {
    _pattern(fmt.Word): Sentence(
        zh="小写字母开头，只用小写字母、数字、_ 和 -",
        en="start with a small letter; small letters, digits, _ and - only",
    ),
    _pattern(fmt.Version): Sentence(zh="写三段版本号，如 1.2.0", en="write three numbers, such as 1.2.0"),
    _pattern(fmt.Code): Sentence(
        zh="部件写 C、事件写 E，再写大类两位、小类两位，如 E0506",
        en="write C (component) or E (event), two digits of the major and two of the minor class, such as E0506",
    ),
    _pattern(fmt.MajorCode): Sentence(zh="写 C 或 E 加两位数字，如 E05", en="write C or E and two digits, such as E05"),
}
