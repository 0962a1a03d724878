"""The addresses of this face."""

from __future__ import annotations

from django.urls import URLPattern, path

from gridloop.web.field import api, app

urlpatterns: list[URLPattern] = [
    path("", app.app),
    path("c/<str:code>", app.app),
    path("worker.js", app.worker),
    path("manifest.webmanifest", app.manifest),
    path("api/me", api.me),
    path("api/lease", api.lease),
    path("api/tasks", api.tasks),
    path("api/standard", api.standard),
    path("api/map", api.own_map),
    path("api/guess", api.guess),
    path("api/components/<str:code>", api.one_component),
    path("api/pictures/<int:evidence_id>", api.picture),
    path("api/notes/<int:evidence_id>", api.note),
    path("api/photos/<uuid:key>", api.photo),
    path("api/sync", api.sync),
]
