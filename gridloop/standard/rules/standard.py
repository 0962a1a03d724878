"""The standard as the rest of the product sees it: case types, limits, routes, questions, indicators. Frozen values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence
from gridloop.kernel.worktime import Limit, WorkCalendar

STAGES = ("accept", "verify", "file", "dispatch", "sign", "check", "close")
"""The stages whose limit does not depend on the filing condition. Handling takes its limit from the condition."""

LEVELS = ("district", "street", "community", "grid", "micro_grid")
"""Who sends the case: the district's command centre, a street's, a community, a grid."""


@dataclass(frozen=True, slots=True)
class FilingCondition:
    """When a problem is a case (立案条件), how long handling may take, and when it is closed (结案条件)."""

    id: str
    when: Sentence
    limit: Limit
    closes_when: Sentence


@dataclass(frozen=True, slots=True)
class DuplicateRule:
    """Two reports of one type are suspected to be one problem within `meters` and `hours`.

    `text_similarity` (0 to 1) is the least likeness of the two texts; 0 means that the texts are not looked at.
    """

    meters: int
    hours: int
    text_similarity: float


@dataclass(frozen=True, slots=True)
class EvidenceRule:
    """The least number of photographs before and after the work."""

    before: int
    after: int


@dataclass(frozen=True, slots=True)
class CaseType:
    """One minor class of a catalogue. `key` is ``<pack>:<code>``, for an older catalogue ``<pack>:<code>@<catalogue>``.

    `conditions` of an older type are those of its successor; one without a successor has none: no case of it is opened.
    """

    key: str
    pack: str
    release: int
    kind: str
    major: str
    minor: str
    name: Sentence
    major_name: Sentence
    trade: str
    words: tuple[str, ...]
    catalog_version: str
    conditions: tuple[FilingCondition, ...]
    default_condition: str
    verify_public_reports: bool
    automatic_filing: bool
    automatic_filing_confidence: float
    duplicate: DuplicateRule
    urgent: bool
    self_handle: bool
    evidence: EvidenceRule
    form: str | None
    provenance: str
    succeeded_by: str | None = None
    private: bool = False
    """Whether the public never sees cases of this type."""

    @property
    def code(self) -> str:
        """The four digits with their kind, as the catalogue prints them: ``E0506``, ``C0101``."""
        return f"{'C' if self.kind == 'component' else 'E'}{self.major}{self.minor}"

    def condition(self, condition_id: str | None = None) -> FilingCondition:
        """The condition with that id; the type's usual one where none is named. Raises `Refused` for an unknown id."""
        wanted = condition_id or self.default_condition
        for condition in self.conditions:
            if condition.id == wanted:
                return condition
        known = [c.id for c in self.conditions]
        raise Refused(
            Sentence(
                zh=f"“{self.name.zh}”没有立案条件“{wanted}”，可选：{'、'.join(known) or '无'}。",
                en=f"“{self.name.en}” has no filing condition “{wanted}”; it has: {', '.join(known) or 'none'}.",
            ),
            status=422,
            code="unknown_condition",
        )


@dataclass(frozen=True, slots=True)
class UnitSelector:
    """Which unit: by `function`, `at` the level where it sits above the case; or exactly one, by `code`."""

    function: str
    at: str = "district"
    code: str | None = None

    def region_of(self, region_code: str) -> str:
        """The code of the region for which the wanted unit works, for a case in `region_code`."""
        return region_code[: {"district": 6, "street": 9, "community": 12, "grid": 16}[self.at]]


@dataclass(frozen=True, slots=True)
class PersonSelector:
    """Which person: a `role` of `people.roles`, in the unit (``unit``) or over the grid of the case (``grid``)."""

    role: str
    within: str = "unit"


@dataclass(frozen=True, slots=True)
class Route:
    """Who gets the case, who works along, to whom it climbs when it is late, and why, in one sentence."""

    id: str
    unit: UnitSelector
    person: PersonSelector | None
    co_units: tuple[UnitSelector, ...]
    escalate_to: UnitSelector | None
    why: Sentence


@dataclass(frozen=True, slots=True)
class RouteRule:
    """A route and the facts that call for it; an empty set of values asks nothing of that fact."""

    facts: tuple[tuple[str, frozenset[str]], ...]
    regions: tuple[str, ...]
    route: Route

    def fits(self, facts: Mapping[str, str], region_code: str) -> bool:
        return all(facts[name] in values for name, values in self.facts) and (
            not self.regions or region_code.startswith(self.regions)
        )


@dataclass(frozen=True, slots=True)
class Answer:
    id: str
    text: Sentence
    reopens: bool


@dataclass(frozen=True, slots=True)
class Question:
    """What the reporter is asked after closure. `counts` names the fact that a good answer makes true."""

    id: str
    text: Sentence
    answers: tuple[Answer, ...]
    counts: str
    good: frozenset[str]


@dataclass(frozen=True, slots=True)
class FeedbackRule:
    """The questions, how long we wait for the answer, and how often an answer may reopen the case."""

    questions: tuple[Question, ...]
    ask_within: Limit
    answer_within: Limit
    reopen_times: int


@dataclass(frozen=True, slots=True)
class Rate:
    """One set counted out of another. `value` is None where nothing was due: no tasks, neither 0 nor 1."""

    count: int
    out_of: int
    value: Decimal | None
    small_sample: bool

    def __str__(self) -> str:
        if self.value is None:
            return str(Sentence(zh="无任务", en="no tasks"))
        return f"{self.value * 100:.1f}%"


@dataclass(frozen=True, slots=True)
class Indicator:
    """A rate over cases: those with all facts of `count`, out of those with all facts of `out_of`.

    `count` is taken inside `out_of`. `better` is ``higher`` or ``lower``. Below `small_sample` due cases the rate is
    shown but not ranked. `provenance` says where the definition was read.
    """

    id: str
    name: Sentence
    count: tuple[tuple[str, bool], ...]
    out_of: tuple[tuple[str, bool], ...]
    better: str
    small_sample: int
    provenance: str

    def rate(self, cases: Iterable[Mapping[str, bool]]) -> Rate:
        """Count over cases given as named facts (an absent fact is false)."""
        due = [c for c in cases if all(c.get(fact, False) is wanted for fact, wanted in self.out_of)]
        hits = sum(1 for c in due if all(c.get(fact, False) is wanted for fact, wanted in self.count))
        return self.of(hits, len(due))

    def of(self, count: int, out_of: int) -> Rate:
        """The rate of two counts that a database has made."""
        value = Decimal(count) / Decimal(out_of) if out_of else None
        return Rate(count, out_of, value, out_of < self.small_sample)


@dataclass(frozen=True, slots=True)
class Term:
    indicator: str
    weight: Decimal
    inverted: bool


@dataclass(frozen=True, slots=True)
class Scheme:
    """A weighted sum of indicators, 0 to 100. Weights sum to 100."""

    id: str
    name: Sentence
    terms: tuple[Term, ...]
    provenance: str

    def score(self, rates: Mapping[str, Rate]) -> Decimal | None:
        """The score of one unit or area, by the rates of its indicators; None where none of them had tasks.

        A term without tasks is left out and the others share its weight: nobody gains or loses by what was not asked
        of them (Gridloop design). Not rounded.
        """
        parts = [(t, value) for t in self.terms if (value := rates[t.indicator].value) is not None]
        weights = sum((t.weight for t, _ in parts), Decimal(0))
        if not weights:
            return None
        earned = sum((t.weight * (1 - value if t.inverted else value) for t, value in parts), Decimal(0))
        return 100 * earned / weights


@dataclass(frozen=True, slots=True)
class Line:
    """A line that answers at once; `danger` says when it is the right one (``fire``, ``gas`` … or ``any``)."""

    danger: str
    number: str
    name: Sentence


@dataclass(frozen=True, slots=True)
class StageLimit:
    stage: str
    facts: tuple[tuple[str, frozenset[str]], ...]
    limit: Limit


def unknown_case_type(key: str) -> Refused:
    return Refused(
        Sentence(zh=f"没有案件类型“{key}”。", en=f"There is no case type “{key}”."),
        status=422,
        code="unknown_case_type",
    )


@dataclass(frozen=True)
class Standard:
    """What holds in this district now, or what held when an old case was opened.

    `case_types` are those under which a case may be opened today; `older` are the types of earlier catalogues.
    """

    releases: tuple[int, ...]
    district: str
    case_types: Mapping[str, CaseType]
    older: Mapping[str, CaseType]
    calendar: WorkCalendar
    stage_limits: Mapping[str, tuple[StageLimit, ...]]
    routes: Mapping[str, tuple[RouteRule, ...]]
    feedback_rules: Mapping[str, FeedbackRule]
    indicators: Mapping[str, Indicator]
    schemes: Mapping[str, Scheme] = field(default_factory=dict)
    forms: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    aliases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    lines: tuple[Line, ...] = ()
    """The district's own emergency lines."""

    def case_type(self, key: str, catalog_version: str = "") -> CaseType:
        """The type behind a key, of today's catalogue or (by its suffix, or by `catalog_version`) of an older one.

        Raises `Refused` (422, ``unknown_case_type``) where there is none.
        """
        found = self.case_types.get(key)
        if found and catalog_version in ("", found.catalog_version):
            return found
        found = self.older.get(key if "@" in key else f"{key}@{catalog_version}")
        if found:
            return found
        raise unknown_case_type(f"{key}@{catalog_version}" if catalog_version and "@" not in key else key)

    def stage_limit(self, case_type_key: str, stage: str) -> Limit:
        """The limit of a stage of `STAGES` for a case of that type."""
        case_type = self.case_type(case_type_key)
        facts = facts_of(case_type)
        for rule in self.stage_limits[case_type.pack]:
            if rule.stage == stage and all(facts[name] in values for name, values in rule.facts):
                return rule.limit
        raise KeyError(f"no stage {stage!r}; the stages are {', '.join(STAGES)}")

    def route(self, case_type_key: str, region_code: str, level: str = "district") -> Route | None:
        """The first route that fits the type, the place and the level that sends; None: a dispatcher decides.

        The district's own routes are asked before the pack's.
        """
        case_type = self.case_type(case_type_key)
        facts = {**facts_of(case_type), "level": level}
        for rule in self.routes[case_type.pack]:
            if rule.fits(facts, region_code):
                why = rule.route.why
                named = Sentence(
                    zh=why.zh.replace("{type}", case_type.name.zh), en=why.en.replace("{type}", case_type.name.en)
                )
                return replace(rule.route, why=named)
        return None

    def feedback(self, case_type_key: str) -> FeedbackRule:
        """What the reporter of such a case is asked."""
        return self.feedback_rules[self.case_type(case_type_key).pack]

    def alias(self, source: str, name: str) -> str | None:
        """The case type that another system's type `name` means, by the packs' alias tables; None where unknown."""
        table = self.aliases.get(source, {})
        wanted = name.strip().casefold()
        if wanted in table:
            return table[wanted]
        prefixes = (p for p in table if p.endswith("*") and wanted.startswith(p[:-1]))
        best = max(prefixes, key=len, default=None)
        return table[best] if best else None


def facts_of(case_type: CaseType) -> dict[str, str]:
    """The named facts of a type on which a pack's rules may be conditioned."""
    return {
        "case_type": case_type.code,
        "kind": case_type.kind,
        "major": f"{case_type.code[0]}{case_type.major}",
        "trade": case_type.trade,
        "urgent": "true" if case_type.urgent else "false",
    }
