"""The addresses of this face."""

from __future__ import annotations

from django.urls import URLPattern, path, register_converter

from gridloop.web.console import (
    bulk,
    case,
    dispatching,
    export,
    home,
    intake,
    lists,
    publishing,
    saved,
    templating,
    triage,
    verbs,
)


class CaseNumber:
    """A case's number, so that no word of another address is taken for one."""

    regex = "[0-9]{8,24}"

    def to_python(self, value: str) -> str:
        return value

    def to_url(self, value: str) -> str:
        return value


register_converter(CaseNumber, "case")

urlpatterns: list[URLPattern] = [
    path("", home.home),
    path("cases", lists.cases),
    path("cases/columns", lists.columns),
    path("cases/export", export.export),
    path("cases/bulk/choose", bulk.choose),
    path("cases/bulk", bulk.act),
    path("lists", saved.save),
    path("lists/<int:view_id>/rename", saved.rename),
    path("lists/<int:view_id>/move", saved.move),
    path("lists/<int:view_id>/remove", saved.remove),
    path("lists/<int:view_id>/restore", saved.restore),
    path("cases/<case:number>", case.page),
    path("cases/<case:number>/reveal", case.reveal),
    path("cases/<case:number>/presence", case.presence),
    path("cases/<case:number>/evidence", case.evidence),
    path("cases/<case:number>/answers", verbs.answers),
    path("cases/<case:number>/verbs/<slug:verb>", verbs.verb),
    path("evidence/<int:evidence_id>/public", publishing.page),
    path("evidence/<int:evidence_id>/note", case.note),
    path("evidence/<int:evidence_id>/<slug:size>", case.picture),
    path("units", verbs.units),
    path("people", verbs.people),
    path("types", verbs.types),
    path("places", verbs.places),
    path("intake", intake.page),
    path("intake/suggest", intake.suggestions),
    path("intake/taken/<str:number>", intake.taken),
    path("triage", triage.page),
    path("dispatch", dispatching.page),
    path("templates", templating.page),
    path("templates/<int:template_id>", templating.page),
]
