"""Where the faces are: each has its own table of addresses."""

from __future__ import annotations

from importlib import import_module

from django.urls import include, path

from gridloop.web import FACES

urlpatterns = [
    path(prefix, include((import_module(f"gridloop.web.{face}.urls").urlpatterns, face))) for face, prefix in FACES
]
