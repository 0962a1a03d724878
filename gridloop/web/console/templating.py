"""The answer templates, for the shift lead who keeps them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_http_methods

from gridloop.cases.workflow import STATES, VERBS, name_of
from gridloop.feedback.actions import NewTemplate, keep_template
from gridloop.feedback.models import AnswerTemplate
from gridloop.feedback.queries import all_templates
from gridloop.feedback.rules import PLACEHOLDERS
from gridloop.kernel.errors import Mistakes, not_found
from gridloop.people.viewer import Viewer
from gridloop.web.shell.pages import show, staff

MOST = 500


@require_http_methods(["GET", "POST"])
@staff("manage_templates")
def page(request: HttpRequest, viewer: Viewer, template_id: int | None = None) -> HttpResponse:
    """All templates, and the one that is written or changed."""
    chosen: Any = None
    if template_id is not None:
        chosen = all_templates(viewer).filter(pk=template_id).first()
        if chosen is None:
            raise not_found()
    mistakes: dict[str, list[Any]] = {}
    status = 200
    if request.method == "POST":
        said = {f.name: request.POST.get(f.name, "").strip()[:2001] for f in fields(NewTemplate) if f.name != "active"}
        new = NewTemplate(**said, active="active" in request.POST)
        try:
            keep_template(new, viewer=viewer, template_id=template_id)
        except Mistakes as no:
            chosen, status = new, 422
            for mistake in no.mistakes:
                mistakes.setdefault(mistake.place, []).append(mistake)
        else:
            return HttpResponseRedirect("/console/templates?kept=1")
    return show(
        request,
        "console/templates.html",
        {
            "templates": [_shown(t) for t in all_templates(viewer)[:MOST]],
            "chosen": chosen,
            "chosen_id": template_id,
            "mistakes": mistakes,
            "kept": "kept" in request.GET,
            "verbs": [(verb, name_of(verb, VERBS[verb][0])) for verb in VERBS if verb != "join"],
            "states": STATES.items(),
            "placeholders": " ".join(f"{{{name}}}" for name in PLACEHOLDERS),
        },
        status=status,
    )


def _shown(template: AnswerTemplate) -> dict[str, Any]:
    verb = template.verb
    return {
        "row": template,
        "verb": name_of(verb, VERBS[verb][0]) if verb in VERBS else None,
        "state": STATES.get(template.state),
    }
