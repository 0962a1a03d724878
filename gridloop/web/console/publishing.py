"""What everybody may see of a picture: a person looks, covers what must not be seen, lets it out or takes it back."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseRedirect
from django.http.response import HttpResponseBase

from gridloop.cases.queries import cases_for
from gridloop.handle.pictures import release_public_copy, withhold_public_copy
from gridloop.handle.queries import evidence_for, pictures_of
from gridloop.kernel.errors import Mistake, Mistakes, not_found
from gridloop.kernel.language import Sentence
from gridloop.people.viewer import Viewer
from gridloop.web.shell.pages import show, staff

SIDES = ("left", "top", "right", "bottom")


@staff("publish_picture")
def page(request: HttpRequest, viewer: Viewer, evidence_id: int) -> HttpResponseBase:
    """One picture, the parts of it that are covered, and whether everybody may see it."""
    row = evidence_for(viewer).filter(id=evidence_id).first()
    if row is None:
        raise not_found()
    case = cases_for(viewer).get(pk=row.case_id)
    if request.method == "POST":
        reason = request.POST.get("reason", "")
        if request.POST.get("do") == "withhold":
            withhold_public_copy(evidence_id=row.pk, reason=reason, viewer=viewer)
        else:
            release_public_copy(evidence_id=row.pk, reason=reason, viewer=viewer, hide=_rectangles(request))
        return HttpResponseRedirect(f"/console/cases/{case.number}#pictures")
    picture = next(p for p in pictures_of([case.pk], viewer)[case.pk] if p.id == row.pk)
    parts = [[round(100 * side) for side in part[:4]] for part in row.hidden_parts or ()]
    return show(request, "console/publish.html", {"case": case, "picture": picture, "parts": parts})


def _rectangles(request: HttpRequest) -> list[list[float]]:
    """The rectangles of the form, given in per cent of width and height, as shares."""
    columns = [request.POST.getlist(side) for side in SIDES]
    try:
        return [[float(value) / 100 for value in row] for row in zip(*columns, strict=True)]
    except ValueError:
        raise Mistakes(
            [
                Mistake(
                    "left, top, right, bottom",
                    Sentence(zh="不是数字", en="are not numbers"),
                    Sentence(zh="填0到100的百分数", en="give per cent from 0 to 100"),
                )
            ]
        ) from None
