"""Wires the loop: when all stages are loaded, their reactions are subscribed."""

from django.apps import AppConfig


class GridloopConfig(AppConfig):
    name = "gridloop"
    label = "gridloop"

    def ready(self) -> None:
        from gridloop import loop

        loop.wire()
