"""The grid tree and its unit cells."""

from __future__ import annotations

from django.db import models


class Region(models.Model):
    """A node of the tree district > street > community > grid > micro-grid (行政区划与网格)."""

    class Level(models.TextChoices):
        DISTRICT = "district"
        STREET = "street"
        COMMUNITY = "community"
        GRID = "grid"
        MICRO_GRID = "micro_grid"

    id = models.BigAutoField(primary_key=True)
    code = models.CharField(max_length=19, unique=True)
    level = models.CharField(max_length=12, choices=Level.choices)
    name = models.CharField(max_length=120)
    name_en = models.CharField(max_length=120, blank=True, default="")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="children")
    stat_parent = models.CharField(max_length=19, blank=True, default="")
    managed_by = models.CharField(max_length=40, blank=True, default="")
    geometry = models.BinaryField(null=True)
    starts_on = models.DateField()
    ends_on = models.DateField(null=True, blank=True)
    synthetic = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.name
