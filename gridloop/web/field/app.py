"""The application itself: one page that knows nobody, what the browser needs to install it, and its worker."""

from __future__ import annotations

import json
from functools import cache

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_GET

from gridloop.people.viewer import Viewer
from gridloop.web.shell import assets
from gridloop.web.shell.pages import public, show

SHELL = ("field/", "shell/tokens.css", "shell/base.css", "shell/parts.css", "shell/say.js", "vendor/idb.js")
"""What the telephone keeps so that the application opens without a link: names, or beginnings of names."""


@require_GET
@public
def app(request: HttpRequest, viewer: Viewer, code: str = "") -> HttpResponse:
    """The page of the application. It says nothing about anybody, so that it may be kept on the telephone."""
    response = show(request, "field/app.html")
    response["Cache-Control"] = "no-cache"
    return response


@cache
def _kept() -> list[str]:
    names = [name for name, _ in assets.files() if name.startswith(SHELL) and not name.endswith("worker.js")]
    return [assets.asset(name) for name in [*names, "vendor/icons.svg"]]


@require_GET
@public
def worker(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """The service worker: its text changes when any static file changes, and so the browser fetches the new shell."""
    source = next(path for name, path in assets.files() if name == "field/worker.js").read_text(encoding="utf-8")
    head = f"const VERSION = {json.dumps(assets.digest())};\nconst KEPT = {json.dumps(['/field/', *_kept()])};\n"
    response = HttpResponse(head + source, content_type="text/javascript; charset=utf-8")
    response["Cache-Control"] = "no-cache"
    return response


@require_GET
@public
def manifest(request: HttpRequest, viewer: Viewer) -> JsonResponse:
    """What the browser is told to install it."""
    icons = [
        {
            "src": assets.asset(f"field/icons/{name}-{size}.png"),
            "sizes": f"{size}x{size}",
            "type": "image/png",
            "purpose": purpose,
        }
        for name, purpose in (("icon", "any"), ("maskable", "maskable"))
        for size in (192, 512)
    ]
    body = {
        "id": "/field/",
        "name": "网格现场 Gridloop",
        "short_name": "网格现场",
        "lang": "zh-CN",
        "start_url": "/field/",
        "scope": "/field/",
        "display": "standalone",
        "orientation": "portrait",
        "background_color": "#ffffff",
        "theme_color": "#0b3d63",
        "icons": icons,
    }
    response = JsonResponse(body, content_type="application/manifest+json", json_dumps_params={"ensure_ascii": False})
    response["Cache-Control"] = "no-cache"
    return response
