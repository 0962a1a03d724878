"""The addresses of the front door and of the switches."""

from __future__ import annotations

from django.urls import path

from gridloop.web.shell import front

urlpatterns = [
    path("", front.front, name="front"),
    path("demo/enter", front.enter, name="enter"),
    path("prefer", front.prefer, name="prefer"),
]
