"""A checked pack and a district's own values into the `Standard` that the stages ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Protocol, TypeVar

from gridloop.kernel.language import Sentence
from gridloop.standard.rules import format as fmt
from gridloop.standard.rules.standard import (
    STAGES,
    Answer,
    CaseType,
    DuplicateRule,
    EvidenceRule,
    FeedbackRule,
    FilingCondition,
    Indicator,
    Line,
    PersonSelector,
    Question,
    Route,
    RouteRule,
    Scheme,
    StageLimit,
    Standard,
    Term,
    UnitSelector,
)


class _Ruled(Protocol):
    @property
    def when(self) -> fmt.When: ...


Rule = TypeVar("Rule", bound=_Ruled)


def build(releases: Sequence[tuple[int, fmt.Pack]], district: fmt.District | None) -> Standard:
    """The standard made of these releases (id and pack) under one district's values."""
    head = district.district if district else None
    current: dict[str, CaseType] = {}
    older: dict[str, CaseType] = {}
    stage_limits: dict[str, tuple[StageLimit, ...]] = {}
    routes: dict[str, tuple[RouteRule, ...]] = {}
    feedback: dict[str, FeedbackRule] = {}
    indicators: dict[str, Indicator] = {}
    schemes: dict[str, Scheme] = {}
    forms: dict[str, Mapping[str, object]] = {}
    aliases: dict[str, dict[str, str]] = {}
    for release, pack in releases:
        name = pack.pack.name
        mine, old = case_types(release, pack, head)
        current |= mine
        older |= old
        stage_limits[name] = _stage_limits(pack, head)
        routes[name] = _routes(pack, head)
        feedback[name] = _feedback(pack.feedback)
        indicators |= {
            i.id: _indicator(i, pack.evaluate.small_sample) for i in pack.evaluate.indicators if i.id not in indicators
        }
        schemes |= {s.id: _scheme(s) for s in pack.evaluate.schemes if s.id not in schemes}
        forms |= {f"{name}:{form}": MappingProxyType(schema) for form, schema in pack.forms.items()}
        for alias in pack.aliases:
            aliases.setdefault(alias.source, {})[alias.name.strip().casefold()] = f"{name}:{alias.code}"
    return Standard(
        releases=tuple(release for release, _ in releases),
        district=head.code if head else "",
        case_types=MappingProxyType(current),
        older=MappingProxyType(older),
        calendar=(head.calendar if head else fmt.CalendarEntry()).calendar(),
        stage_limits=MappingProxyType(stage_limits),
        routes=MappingProxyType(routes),
        feedback_rules=MappingProxyType(feedback),
        indicators=MappingProxyType(indicators),
        schemes=MappingProxyType(schemes),
        forms=MappingProxyType(forms),
        aliases=MappingProxyType(aliases),
        lines=tuple(Line(x.danger, x.number, x.name.sentence()) for x in head.lines) if head else (),
    )


def case_types(
    release: int, pack: fmt.Pack, head: fmt.DistrictFile | None = None
) -> tuple[dict[str, CaseType], dict[str, CaseType]]:
    """The types of today's catalogue, and those of the older ones, by key."""
    name = pack.pack.name
    limits = {(o.case_type, o.condition): o.limit for o in head.limits} if head else {}
    majors = {(m.catalogue, m.code): Sentence(zh=m.zh, en=m.en) for m in pack.majors}
    words = {row.code: tuple(row.split()) for row in pack.words}
    successors = {(row.catalogue, row.code): row.successor for row in pack.successors}
    conditions: dict[str, list[FilingCondition]] = {}
    usual: dict[str, str] = {}
    for row in pack.conditions:
        own = limits.get((f"{name}:{row.code}", row.id)) or fmt.Limit(amount=row.amount, clock=row.clock)
        conditions.setdefault(row.code, []).append(
            FilingCondition(
                id=row.id,
                when=Sentence(zh=row.when_zh, en=row.when_en),
                limit=own.limit(),
                closes_when=Sentence(zh=row.closes_zh, en=row.closes_en),
            )
        )
        if row.usual:
            usual[row.code] = row.id
    current: dict[str, CaseType] = {}
    older: dict[str, CaseType] = {}
    for entry in pack.case_types:
        now = entry.catalogue == pack.pack.catalogue
        successor = entry.code if now else successors.get((entry.catalogue, entry.code))
        key = f"{name}:{entry.code}" + ("" if now else f"@{entry.catalogue}")
        facts = {
            "case_type": successor or entry.code,
            "kind": "component" if entry.code[0] == "C" else "event",
            "major": (successor or entry.code)[:3],
            "trade": entry.trade,
            "urgent": "true" if successor in pack.discover.urgent else "false",
        }
        filing = first_fitting(pack.discover.filing.rules, facts) or pack.discover.filing.default
        duplicates = first_fitting(pack.discover.duplicates.rules, facts) or pack.discover.duplicates.default
        evidence = first_fitting(pack.handle.evidence.rules, facts) or pack.handle.evidence.default
        form = first_fitting(pack.handle.forms, facts)
        (current if now else older)[key] = CaseType(
            key=key,
            pack=name,
            release=release,
            kind=facts["kind"],
            major=entry.code[1:3],
            minor=entry.code[3:],
            name=Sentence(zh=entry.zh, en=entry.en),
            major_name=majors[entry.catalogue, entry.code[:3]],
            trade=entry.trade,
            words=words.get(successor or "", ()) if now else (),
            catalog_version=entry.catalogue,
            conditions=tuple(conditions.get(successor or "", ())),
            default_condition=usual.get(successor or "", ""),
            verify_public_reports=filing.verify_public_reports,
            automatic_filing=filing.automatic and now,
            automatic_filing_confidence=filing.confidence,
            duplicate=DuplicateRule(duplicates.meters, duplicates.hours, duplicates.text_similarity),
            urgent=facts["urgent"] == "true",
            self_handle=bool(pack.handle.self_handle and fits(pack.handle.self_handle, facts)),
            evidence=EvidenceRule(evidence.before, evidence.after),
            form=f"{name}:{form.form}" if form else None,
            provenance=entry.provenance,
            succeeded_by=None if now or not successor else f"{name}:{successor}",
            private=(successor or entry.code) in pack.discover.private,
        )
    return current, older


def fits(when: fmt.When, facts: Mapping[str, str]) -> bool:
    return all(facts[name] in values for name, values in when.facts())


def first_fitting(rules: Sequence[Rule], facts: Mapping[str, str]) -> Rule | None:
    return next((rule for rule in rules if fits(rule.when, facts)), None)


def _stage_limits(pack: fmt.Pack, head: fmt.DistrictFile | None) -> tuple[StageLimit, ...]:
    own = [rule for rule in head.stage_limits if rule.pack == pack.pack.name] if head else []
    rules = [StageLimit(r.stage, r.when.facts(), r.limit.limit()) for r in (*own, *pack.dispatch.stage_limits.rules)]
    default = pack.dispatch.stage_limits.default
    return (*rules, *(StageLimit(stage, (), getattr(default, stage).limit()) for stage in STAGES))


def _routes(pack: fmt.Pack, head: fmt.DistrictFile | None) -> tuple[RouteRule, ...]:
    own = [route for route in head.routes if route.pack == pack.pack.name] if head else []
    return tuple(
        RouteRule(
            facts=entry.when.facts(),
            regions=tuple(entry.when.region),
            route=Route(
                id=entry.id,
                unit=_unit(entry.unit),
                person=PersonSelector(entry.person.role, entry.person.within) if entry.person else None,
                co_units=tuple(_unit(unit) for unit in entry.co_units),
                escalate_to=_unit(entry.escalate_to) if entry.escalate_to else None,
                why=entry.why.sentence(),
            ),
        )
        for entry in (*own, *pack.dispatch.routes)
    )


def _unit(unit: fmt.Unit) -> UnitSelector:
    return UnitSelector(unit.function, unit.at, unit.code)


def _feedback(feedback: fmt.FeedbackFile) -> FeedbackRule:
    return FeedbackRule(
        questions=tuple(
            Question(
                id=q.id,
                text=q.text.sentence(),
                answers=tuple(Answer(a.id, a.text.sentence(), a.reopens) for a in q.answers),
                counts=q.counts,
                good=frozenset(a.id for a in q.answers if a.good),
            )
            for q in feedback.questions
        ),
        ask_within=feedback.ask_within.limit(),
        answer_within=feedback.answer_within.limit(),
        reopen_times=feedback.reopen_times,
    )


def _indicator(entry: fmt.IndicatorEntry, small_sample: int) -> Indicator:
    return Indicator(
        id=entry.id,
        name=entry.name.sentence(),
        count=tuple(entry.count.items()),
        out_of=tuple(entry.out_of.items()),
        better=entry.better,
        small_sample=small_sample,
        provenance=entry.provenance,
    )


def _scheme(entry: fmt.SchemeEntry) -> Scheme:
    terms = tuple(Term(t.indicator, t.weight, t.inverted) for t in entry.terms)
    return Scheme(entry.id, entry.name.sentence(), terms, entry.provenance)
