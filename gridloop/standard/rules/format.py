"""The pack format: every file, key and column. The published reference and the editor schema come from here."""

from __future__ import annotations

import re
from datetime import date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictInt
from pydantic_core import PydanticCustomError

from gridloop.kernel.language import Sentence
from gridloop.kernel.worktime import Clock, WorkCalendar, china
from gridloop.kernel.worktime import Limit as WorkLimit

FORMAT = 1
"""The version of the format itself; a pack names the one it was written for."""

Stage = Literal["accept", "verify", "file", "dispatch", "sign", "check", "close"]
Level = Literal["district", "street", "community", "grid", "micro_grid"]
Seat = Literal["district", "street", "community", "grid"]
ClockName = Literal["urgent_hour", "urgent_day", "work_hour", "work_day", "natural_day"]
Provenance = Literal["national", "city", "inferred", "gridloop"]
CaseFactName = Literal[
    "opened", "filed", "dispatched", "responded", "response_due", "handled", "handled_on_time", "handling_due",
    "overdue",
    "closed", "force_closed", "cancelled", "not_accepted", "returned", "reworked", "extended", "suspended", "reopened",
    "misdispatched", "asked", "answered", "resolved", "satisfied", "rated", "joined", "exempt",
]  # fmt: skip
CASE_FACTS: tuple[str, ...] = get_args(CaseFactName)
"""The yes-or-no facts of a closed or due case which indicators may count."""


def _mistake(kind: str, zh: str, en: str, instead_zh: str, instead_en: str) -> PydanticCustomError:
    return PydanticCustomError("ours", "{en}", {"kind": kind, "zh": zh, "en": en, "izh": instead_zh, "ien": instead_en})


def _filled(text: str) -> str:
    if not text.strip():
        raise _mistake("blank", "没有内容", "nothing is written here", "写入文字", "write the text")
    return text


def _one_or_many(value: Any) -> Any:
    return value if isinstance(value, list) else [value]


Text = Annotated[str, AfterValidator(_filled), Field(max_length=2000)]
Word = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$", examples=["sanitation"])]
Version = Annotated[str, Field(pattern=r"^\d+\.\d+\.\d+$", examples=["1.2.0"])]
Code = Annotated[str, Field(pattern=r"^[CE]\d{4}$", examples=["E0506"])]
MajorCode = Annotated[str, Field(pattern=r"^[CE]\d{2}$", examples=["E05"])]
RegionCode = Annotated[str, Field(pattern=r"^[0-9A-Za-z]{2,19}$", examples=["410104001"])]
UnitCode = Annotated[str, Field(pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]{0,39}$")]
WallTime = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", examples=["08:00"])]
Count = Annotated[StrictInt, Field(ge=0, le=20)]
Share = Annotated[float, Field(ge=0, le=1)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Bilingual(Strict):
    """One text in Chinese and in English."""

    zh: Text
    en: Text

    def sentence(self) -> Sentence:
        return Sentence(zh=self.zh, en=self.en)


class Limit(Strict):
    """So many hours or days by one of the five clocks."""

    amount: Annotated[Decimal, Field(gt=0, le=3650)]
    clock: ClockName

    def limit(self) -> WorkLimit:
        whole = int(self.amount)
        return WorkLimit(whole if whole == self.amount else self.amount, Clock(self.clock))


class When(Strict):
    """Facts that must hold: each is one value or a list of values, of which one must be equal."""

    case_type: Annotated[list[Code], BeforeValidator(_one_or_many, json_schema_input_type=Code | list[Code])] = []
    kind: Annotated[
        list[Literal["component", "event"]],
        BeforeValidator(
            _one_or_many, json_schema_input_type=Literal["component", "event"] | list[Literal["component", "event"]]
        ),
    ] = []
    major: Annotated[
        list[MajorCode], BeforeValidator(_one_or_many, json_schema_input_type=MajorCode | list[MajorCode])
    ] = []
    trade: Annotated[list[Word], BeforeValidator(_one_or_many, json_schema_input_type=Word | list[Word])] = []
    urgent: StrictBool | None = None

    def facts(self) -> tuple[tuple[str, frozenset[str]], ...]:
        facts = [
            (n, frozenset(v)) for n in ("case_type", "kind", "major", "trade", "level") if (v := getattr(self, n, []))
        ]
        if self.urgent is not None:
            facts.append(("urgent", frozenset({"true" if self.urgent else "false"})))
        return tuple(facts)


class WhenRouting(When):
    """Facts of the type, of the level that sends the case, and of its place (a region code stands for its subtree)."""

    level: Annotated[list[Level], BeforeValidator(_one_or_many, json_schema_input_type=Level | list[Level])] = []
    region: Annotated[
        list[RegionCode], BeforeValidator(_one_or_many, json_schema_input_type=RegionCode | list[RegionCode])
    ] = []


# --- pack.yaml ------------------------------------------------------------------------------------------------------


class Catalogue(Strict):
    """One vintage of the codes. The same code may mean something else in another vintage."""

    id: Word
    title: Bilingual
    source: Text
    """Where the codes and names were read."""


class PackFile(Strict):
    """What the pack is, which catalogue its codes belong to, and the words its other files may use."""

    format: Literal[1]
    name: Word
    version: Version
    title: Bilingual
    about: Bilingual
    catalogue: Word
    """The id of the catalogue under which new cases are opened."""
    catalogues: Annotated[list[Catalogue], Field(min_length=1)]
    trades: dict[Word, Bilingual]
    """Lines of work (行业) by which rules can group case types."""
    functions: dict[Word, Bilingual]
    """What a unit is for; routes ask for a function, a district's units have one."""


# --- discover.yaml --------------------------------------------------------------------------------------------------


class Filing(Strict):
    """Whether a report may become a filed case without a person."""

    automatic: StrictBool
    confidence: Annotated[float, Field(ge=0.5, le=1)]
    """The least confidence of the classifier for filing without a person."""
    verify_public_reports: StrictBool
    """Whether somebody goes and looks (核实) before a citizen's report is filed."""


class FilingRule(Filing):
    when: When


class Filings(Strict):
    default: Filing
    rules: list[FilingRule] = []


class Duplicates(Strict):
    """How near and how soon a second report must be to be suspected of being the same problem."""

    meters: Annotated[StrictInt, Field(ge=1, le=5000)]
    hours: Annotated[StrictInt, Field(ge=1, le=8760)]
    text_similarity: Share
    """The least likeness of the texts, 0 to 1; 0: not looked at."""


class DuplicatesRule(Duplicates):
    when: When


class DuplicateRules(Strict):
    default: Duplicates
    rules: list[DuplicatesRule] = []


class DiscoverFile(Strict):
    """From a report to a case. Of the rules with `when`, the first that fits wins; else the default."""

    urgent: list[Code] = []
    """Types that are urgent whatever their condition."""
    private: list[Code] = []
    """Types that the public never sees, not even coarsely: telling of them would point at somebody's home or life."""
    filing: Filings
    duplicates: DuplicateRules


# --- dispatch.yaml --------------------------------------------------------------------------------------------------


class StageLimits(Strict):
    """How long each stage may take. Handling is not here: it takes its limit from the filing condition."""

    accept: Limit
    verify: Limit
    file: Limit
    dispatch: Limit
    sign: Limit
    check: Limit
    close: Limit


class StageLimitRule(Strict):
    when: When
    stage: Stage
    limit: Limit


class StageLimitRules(Strict):
    default: StageLimits
    rules: list[StageLimitRule] = []


class Unit(Strict):
    """Which unit: the one with this function that sits at this level above the case; or one unit by its code."""

    function: Word
    at: Seat = "district"
    code: UnitCode | None = None
    """Only in a district's own routes: exactly this unit."""


class Person(Strict):
    """Which person in the unit, or over the grid of the case; left out: the unit decides."""

    role: Word
    within: Literal["unit", "grid"] = "unit"


class RouteEntry(Strict):
    """Who gets the case. The first route that fits wins."""

    id: Word
    when: WhenRouting
    unit: Unit
    person: Person | None = None
    co_units: list[Unit] = []
    escalate_to: Unit | None = None
    why: Bilingual
    """One sentence for the person who asks; `{type}` stands for the case type's name."""


class DispatchFile(Strict):
    """From a filed case to the one who handles it."""

    stage_limits: StageLimitRules
    routes: Annotated[list[RouteEntry], Field(min_length=1)]


# --- handle.yaml ----------------------------------------------------------------------------------------------------


class Evidence(Strict):
    """The least number of photographs before and after the work."""

    before: Count
    after: Count


class EvidenceEntry(Evidence):
    when: When


class EvidenceRules(Strict):
    default: Evidence
    rules: list[EvidenceEntry] = []


class FormRule(Strict):
    when: When
    form: Word
    """The file name in forms/, without its ending."""


class HandleFile(Strict):
    """What the one who handles must bring back."""

    evidence: EvidenceRules
    self_handle: When | None = None
    """Types that a grid worker may put right on the spot (自行处置)."""
    forms: list[FormRule] = []


# --- feedback.yaml --------------------------------------------------------------------------------------------------


class AnswerEntry(Strict):
    id: Word
    text: Bilingual
    reopens: StrictBool = False
    """Whether this answer opens the case again."""
    good: StrictBool = False
    """Whether this answer makes the question's fact true."""


class QuestionEntry(Strict):
    id: Word
    text: Bilingual
    counts: Literal["resolved", "satisfied"]
    """The fact, counted by indicators, that a good answer makes true."""
    answers: Annotated[list[AnswerEntry], Field(min_length=2)]


class FeedbackFile(Strict):
    """What the reporter is asked after closure."""

    questions: Annotated[list[QuestionEntry], Field(min_length=1)]
    ask_within: Limit
    answer_within: Limit
    reopen_times: Annotated[StrictInt, Field(ge=0, le=5)]


# --- evaluate.yaml --------------------------------------------------------------------------------------------------


class IndicatorEntry(Strict):
    """One set of cases counted out of another; each set is the cases with all these facts."""

    id: Word
    name: Bilingual
    count: Annotated[dict[CaseFactName, StrictBool], Field(min_length=1)]
    out_of: Annotated[dict[CaseFactName, StrictBool], Field(min_length=1)]
    better: Literal["higher", "lower"]
    provenance: Text


class TermEntry(Strict):
    indicator: Word
    weight: Annotated[Decimal, Field(gt=0, le=100)]
    inverted: StrictBool = False
    """Score one minus the rate, for rates of which less is better."""


class SchemeEntry(Strict):
    """A score of 0 to 100 from indicators."""

    id: Word
    name: Bilingual
    terms: Annotated[list[TermEntry], Field(min_length=1)]
    provenance: Text


class EvaluateFile(Strict):
    """What is counted."""

    small_sample: Annotated[StrictInt, Field(ge=1, le=1000)]
    """Below so many due cases a rate is shown, but not ranked."""
    indicators: Annotated[list[IndicatorEntry], Field(min_length=1)]
    schemes: list[SchemeEntry] = []


# --- tables/*.csv ---------------------------------------------------------------------------------------------------


class MajorRow(Strict):
    """One major class of a catalogue."""

    catalogue: Word
    code: MajorCode
    zh: Text
    en: Text


class CaseTypeRow(Strict):
    """One minor class of a catalogue."""

    catalogue: Word
    code: Code
    zh: Text
    en: Text
    trade: Word
    provenance: Provenance
    """``national``: in the standard's own list; ``city``: a city's extension; ``inferred``; ``gridloop``: ours."""


class ConditionRow(Strict):
    """One filing condition with its handling limit and its closing condition."""

    code: Code
    id: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,19}$")]
    usual: Literal["yes"] | None = None
    """``yes`` on the one condition of the type that is taken where nobody chose."""
    amount: Annotated[Decimal, Field(gt=0, le=3650)]
    clock: ClockName
    when_zh: Text
    when_en: Text
    closes_zh: Text
    closes_en: Text


class WordsRow(Strict):
    """Everyday words by which people name a problem of this type, separated by semicolons."""

    code: Code
    words: Text

    def split(self) -> list[str]:
        return [word for part in re.split(r"[;；]", self.words) if (word := part.strip())]


class SuccessorRow(Strict):
    """What a type of an older catalogue is called now; an empty successor: it exists no longer."""

    catalogue: Word
    code: Code
    successor: Code | None = None


class AliasRow(Strict):
    """What another system calls the type; a name that ends with * stands for all that begin so."""

    source: Word
    name: Text
    code: Code


# --- districts/<code>/ ----------------------------------------------------------------------------------------------


class CalendarEntry(Strict):
    """When the district works. `days` names a calendar of the product."""

    days: Literal["china", "weekends"] = "china"
    zone: Text = "Asia/Shanghai"
    hours: list[Annotated[list[WallTime], Field(min_length=2, max_length=2)]] = [["08:00", "12:00"], ["14:00", "18:00"]]
    closed: list[date] = []
    worked: list[date] = []
    work_day_as_hours: StrictBool = False

    def calendar(self) -> WorkCalendar:
        """The working calendar. Raises `ValueError` or `KeyError` (unknown zone) where it does not hold."""
        zone = ZoneInfo(self.zone)
        hours = tuple((time.fromisoformat(opens), time.fromisoformat(closes)) for opens, closes in self.hours)
        if self.days == "china":
            if self.zone != "Asia/Shanghai":
                raise ValueError("days: china goes with zone: Asia/Shanghai")
            base = china()
        else:
            base = WorkCalendar(zone=zone)
        return base.overridden(
            hours=hours, closed=self.closed, worked=self.worked, work_day_as_hours=self.work_day_as_hours
        )


class LimitOverride(Strict):
    """Another handling limit than the pack's, for one condition of one type."""

    case_type: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*:[CE]\d{4}$", examples=["urban:E0506"])]
    condition: Text
    limit: Limit


class StageLimitOverride(StageLimitRule):
    pack: Word


class RouteOverride(RouteEntry):
    pack: Word


class LineEntry(Strict):
    """A telephone line that answers at once, shown to who reports a danger."""

    danger: Literal["fire", "gas", "water", "power", "medical", "crime", "traffic", "any"]
    """When it is the right one; ``any``: whenever something is urgent and none of the others fits."""
    number: Annotated[str, Field(pattern=r"^[0-9][0-9 -]{2,18}$", examples=["95598"])]
    name: Bilingual
    provenance: Text
    """Where the number was read. A wrong number is worse than none."""


class DistrictFile(Strict):
    """One district's own values over the packs it runs. Its routes and limits are asked before the packs'."""

    format: Literal[1]
    code: Annotated[str, Field(pattern=r"^[0-9A-Za-z]{2,12}$")]
    name: Bilingual
    version: Version
    packs: Annotated[list[Word], Field(min_length=1)]
    calendar: CalendarEntry = CalendarEntry()
    limits: list[LimitOverride] = []
    stage_limits: list[StageLimitOverride] = []
    routes: list[RouteOverride] = []
    lines: list[LineEntry] = []
    """The district's own emergency lines, beside the national ones (110, 119, 120, 122, 12345)."""


class UnitRow(Strict):
    """One unit of the district."""

    code: UnitCode
    zh: Text
    en: Text
    kind: Literal["district", "street", "community", "department", "utility", "company"]
    function: Word
    parent: UnitCode | None = None
    region_code: Annotated[str, Field(max_length=19)] | None = None
    """The region for which the unit works; empty: the whole district."""
    synthetic: Literal["yes", "no"]
    """Whether the unit is invented (its name may still be usual)."""


# --- tests/*.yaml ---------------------------------------------------------------------------------------------------

Moment = Annotated[datetime, Field(examples=["2022-09-30T16:00:00+08:00"])]


class Given(Strict):
    """A case. What a table or a scenario leaves out is taken from the file's `given`."""

    case_type: Code | None = None
    condition: str | None = None
    region: RegionCode | None = None
    level: Level | None = None
    start: Moment | None = None


class Expect(Strict):
    """What must come out; what is left out is not looked at. “nobody” and “nothing” stand for what is not there."""

    deadline: Moment | None = None
    route: Word | None = None
    unit: Word | None = None
    at: Seat | None = None
    person: Word | None = None
    escalate_to: Word | None = None
    evidence: Annotated[list[Count], Field(min_length=2, max_length=2)] | None = None
    automatic: StrictBool | None = None
    verify: StrictBool | None = None
    urgent: StrictBool | None = None
    self_handle: StrictBool | None = None
    form: Word | None = None
    meters: StrictInt | None = None
    hours: StrictInt | None = None
    stages: dict[Stage, Moment] = {}


class Scenario(Strict):
    name: Text
    given: Given = Given()
    expect: Expect


class ScenarioTable(Strict):
    """Many scenarios at once: the columns are keys of `given` and `expect`."""

    name: Text
    columns: list[Word]
    rows: list[list[Any]]


class AnswerCheck(Strict):
    question: Word
    answer: Word
    reopens: StrictBool


class IndicatorCheck(Strict):
    """Cases given by the facts that are true of each, and the rate that must come out."""

    indicator: Word
    cases: list[list[CaseFactName]]
    rate: Annotated[str, Field(pattern=r"^(\d+/[1-9]\d*|no tasks)$", examples=["1/2", "no tasks"])]


class ReadsCheck(Strict):
    """A name in another system and the type it must mean."""

    source: Word
    name: Text
    case_type: Code


class TestsFile(Strict):
    """Scenarios of the pack. Together they must exercise every type, condition, rule, route, limit and question."""

    __test__ = False

    given: Given = Given()
    scenarios: list[Scenario] = []
    tables: list[ScenarioTable] = []
    answers: list[AnswerCheck] = []
    indicators: list[IndicatorCheck] = []
    aliases: list[ReadsCheck] = []


YAML_FILES: dict[str, type[Strict]] = {
    "pack.yaml": PackFile,
    "discover.yaml": DiscoverFile,
    "dispatch.yaml": DispatchFile,
    "handle.yaml": HandleFile,
    "feedback.yaml": FeedbackFile,
    "evaluate.yaml": EvaluateFile,
}
TABLES: dict[str, type[Strict]] = {
    "tables/majors.csv": MajorRow,
    "tables/case_types.csv": CaseTypeRow,
    "tables/conditions.csv": ConditionRow,
    "tables/words.csv": WordsRow,
    "tables/successors.csv": SuccessorRow,
    "tables/aliases.csv": AliasRow,
}
OPTIONAL_TABLES = frozenset({"tables/successors.csv", "tables/aliases.csv"})


class Pack(Strict):
    """All files of a pack in one value: what a release stores."""

    pack: PackFile
    discover: DiscoverFile
    dispatch: DispatchFile
    handle: HandleFile
    feedback: FeedbackFile
    evaluate: EvaluateFile
    majors: list[MajorRow]
    case_types: list[CaseTypeRow]
    conditions: list[ConditionRow]
    words: list[WordsRow]
    successors: list[SuccessorRow] = []
    aliases: list[AliasRow] = []
    forms: dict[str, dict[str, Any]] = {}


class District(Strict):
    """All files of a district's folder that the standard reads."""

    district: DistrictFile
    units: list[UnitRow] = []
