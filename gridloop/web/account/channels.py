"""The ways out of the application, for the system administrator: set up, try, switch off; what could not be sent."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_GET, require_POST

from gridloop.kernel import clock
from gridloop.kernel.errors import Mistake, Mistakes, Refused, not_found
from gridloop.kernel.language import Sentence
from gridloop.people import ways_out
from gridloop.people.queries import units_for
from gridloop.people.viewer import Viewer
from gridloop.web.shell.pages import show, staff

ADDRESS = "/account/channels"
_FIELDS = ("code", "zh", "en", "audience", "unit", "base")


@require_GET
@staff("operate")
def channels(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """What is set up, and what could not be sent."""
    return _page(request, viewer)


def _page(
    request: HttpRequest,
    viewer: Viewer,
    *,
    status: int = 200,
    sentence: Sentence | None = None,
    mistakes: list[Mistake] | None = None,
) -> HttpResponse:
    wrong: dict[str, list[Mistake]] = {}
    for mistake in mistakes or []:
        wrong.setdefault(mistake.place, []).append(mistake)
    context = {
        "channels": ways_out.channels_for(viewer),
        "dead": ways_out.dead_ones(viewer),
        "health": ways_out.health(clock.now()),
        "hosts": ways_out.hosts(),
        "units": units_for(viewer)[:500],
        # The address holds a secret: it is never sent back, not even after a mistake.
        "typed": {name: request.POST.get(name, "") for name in _FIELDS},
        "sentence": sentence,
        "wrong": wrong,
    }
    return show(request, "account/channels.html", context, status=status)


@sensitive_post_parameters("url")
@require_POST
@staff("operate")
def keep(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Set up a channel, or change one."""
    asked = request.POST
    new = ways_out.NewChannel(
        code=asked.get("code", "").strip(),
        name=Sentence(zh=asked.get("zh", "").strip()[:60], en=asked.get("en", "").strip()[:60]),
        audience=asked.get("audience", ""),
        url=asked.get("url", "").strip()[:2000],
        base=asked.get("base", "").strip()[:120],
        unit_code=asked.get("unit", ""),
    )
    try:
        ways_out.keep_channel(new=new, viewer=viewer, at=clock.now())
    except Mistakes as wrong:
        return _page(request, viewer, status=422, mistakes=wrong.mistakes)
    return HttpResponseRedirect(f"{ADDRESS}?kept=1")


@require_POST
@staff("operate")
def switch(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Stop using a channel, or use it again."""
    active = request.POST.get("active") == "1"
    ways_out.switch_channel(code=request.POST.get("code", ""), active=active, viewer=viewer, at=clock.now())
    return HttpResponseRedirect(ADDRESS)


@require_POST
@staff("operate")
def attempt(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Send a test message now."""
    try:
        ways_out.try_channel(
            code=request.POST.get("code", ""), address=request.POST.get("address", "").strip(), viewer=viewer
        )
    except Refused as no:
        return _page(request, viewer, status=no.status, sentence=no.sentence)
    except Mistakes as wrong:
        first = wrong.mistakes[0]
        sentence = Sentence(
            zh=f"地址{first.wrong.zh}，{first.instead.zh}。", en=f"The address {first.wrong.en}, {first.instead.en}."
        )
        return _page(request, viewer, status=422, sentence=sentence)
    return HttpResponseRedirect(f"{ADDRESS}?tried=1")


@require_POST
@staff("operate")
def again(request: HttpRequest, viewer: Viewer) -> HttpResponseBase:
    """Try what could not be sent once more, or give it up."""
    chosen = request.POST.get("what")
    if chosen == "again":
        ways_out.try_again(viewer=viewer, at=clock.now())
    elif chosen == "forget":
        ways_out.forget(viewer=viewer)
    else:
        raise not_found()
    return HttpResponseRedirect(ADDRESS)
