"""The addresses of the wall: the board, its parts that are fetched anew, and the lists behind its figures."""

from __future__ import annotations

from django.urls import path

from gridloop.web.wall import board

urlpatterns = [
    path("", board.wall),
    path("board", board.parts),
    path("passed/<slug:step>", board.behind_step),
    path("units/<int:unit_id>", board.behind_unit),
]
