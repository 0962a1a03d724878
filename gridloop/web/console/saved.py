"""The lists that a person keeps: kept, renamed, put in order, taken away and brought back."""

from __future__ import annotations

import json
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.views.decorators.http import require_POST

from gridloop.cases.actions import move_view, remove_view, rename_view, restore_view, save_view
from gridloop.cases.search import columns_of
from gridloop.kernel.language import Sentence
from gridloop.people.viewer import Viewer
from gridloop.web.console.home import own_lists
from gridloop.web.shell.pages import is_fragment, show, staff


@require_POST
@staff
def save(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Keep the list that one looks at, with its columns, under a name."""
    said = request.POST
    view = save_view(
        name=said.get("name", ""),
        query=said.get("query", ""),
        sort=said.get("sort", ""),
        columns=columns_of(viewer),
        viewer=viewer,
    )
    if not is_fragment(request):
        return HttpResponseRedirect("/console/")
    response = HttpResponse(status=204)
    told = Sentence(zh=f"已保存“{view.name}”，在工作台可以看到。", en=f"Kept “{view.name}” on your home page.")
    response["HX-Trigger"] = json.dumps({"toast": str(told)})
    return response


def _changed(request: HttpRequest, viewer: Viewer, change: Callable[[], object]) -> HttpResponse:
    change()
    if not is_fragment(request):
        return HttpResponseRedirect("/console/#own")
    return show(request, "console/_saved.html", own_lists(viewer))


@require_POST
@staff
def rename(request: HttpRequest, viewer: Viewer, view_id: int) -> HttpResponse:
    """Another name for one of one's lists."""
    name = request.POST.get("name", "")
    return _changed(request, viewer, lambda: rename_view(view_id=view_id, name=name, viewer=viewer))


@require_POST
@staff
def move(request: HttpRequest, viewer: Viewer, view_id: int) -> HttpResponse:
    """One place further forward or back."""
    by = -1 if request.POST.get("by") == "-1" else 1
    return _changed(request, viewer, lambda: move_view(view_id=view_id, by=by, viewer=viewer))


@require_POST
@staff
def remove(request: HttpRequest, viewer: Viewer, view_id: int) -> HttpResponse:
    """Take a list away; what is shown offers to bring it back."""
    gone = remove_view(view_id=view_id, viewer=viewer)
    if not is_fragment(request):
        return HttpResponseRedirect("/console/#own")
    return show(request, "console/_saved.html", {**own_lists(viewer), "removed": gone})


@require_POST
@staff
def restore(request: HttpRequest, viewer: Viewer, view_id: int) -> HttpResponse:
    """Bring back what was taken away last."""
    return _changed(request, viewer, lambda: restore_view(view_id=view_id, viewer=viewer))
