"""The addresses of the map: its page, and what the element <city-map> fetches."""

from __future__ import annotations

from django.urls import path

from gridloop.web.map import cases, ground, page

urlpatterns = [
    path("", page.whole),
    path("settings", ground.settings),
    path("tiles/<str:token>/<int:z>/<int:x>/<int:y>.mvt", ground.tile),
    path("outline", ground.outline),
    path("extent", ground.extent),
    path("where", ground.where),
    path("search", ground.search),
    path("base.pmtiles", ground.archive),
    path("cases", cases.counts),
    path("list", cases.listed),
    path("heat", cases.heat),
    path("card/<str:code>", page.card),
]
