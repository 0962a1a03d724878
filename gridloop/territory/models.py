"""The grid tree, its unit cells and their boundaries. Geometry is WKB in WGS-84; there is no PostGIS."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import shapely
from django.db import models
from django.db.models.functions import Now

from gridloop.kernel import clock
from gridloop.territory.rules import codes

if TYPE_CHECKING:
    from shapely.geometry.base import BaseGeometry


class Mapped(models.Model):
    """What has a place on the map, a first and a last day, and a label if it was invented."""

    name = models.CharField(max_length=120)
    starts_on = models.DateField(null=True, blank=True)
    """First day; empty = from before our records."""
    ends_on = models.DateField(null=True, blank=True)
    """First day on which it no longer exists; the code stays taken for ever."""
    geometry = models.BinaryField(null=True)
    """The boundary now: WKB of a Polygon or MultiPolygon in WGS-84 degrees; empty = known by code and name only."""
    west = models.FloatField(null=True)
    south = models.FloatField(null=True)
    east = models.FloatField(null=True)
    north = models.FloatField(null=True)
    area_m2 = models.FloatField(null=True)
    boundary_version = models.IntegerField(default=0, db_default=0)
    """How often the boundary was drawn; 0 = never. The older ones are in `FormerBoundary`."""
    synthetic = models.BooleanField(default=False, db_default=False)
    """The boundary (and below the community also the code and the name) is invented."""
    remark = models.CharField(max_length=200, blank=True, default="", db_default="")

    class Meta:
        abstract = True

    @property
    def shape(self) -> BaseGeometry | None:
        """The boundary as a shapely geometry, WGS-84."""
        return None if self.geometry is None else shapely.from_wkb(bytes(self.geometry))


class Region(Mapped):
    """A node of the tree district > street > community > grid > micro-grid (行政区划与网格)."""

    Level = codes.Level

    id = models.BigAutoField(primary_key=True)
    code = models.CharField(max_length=19, unique=True)
    """The prefix of the codes of all below it; never issued twice."""
    level = models.CharField(max_length=12)
    """A `rules.codes.Level`."""
    name_en = models.CharField(max_length=120, blank=True, default="", db_default="")
    official_name = models.CharField(max_length=120, blank=True, default="", db_default="")
    """The name in the statistics bureau's list, where it is longer than the one in use (…居民委员会)."""
    local_code = models.CharField(max_length=40, blank=True, default="", db_default="")
    """The code that the district's own system or a standard's layout gives it, where that differs."""
    stat_parent = models.CharField(max_length=19, blank=True, default="", db_default="")
    """The region under which the statistics bureau counts it; "" = the one that its code says."""
    managed_by = models.CharField(max_length=40, blank=True, default="", db_default="")
    """The code of the unit that runs it day to day; "" = whoever runs the region above, at the top the district."""

    class Meta:
        constraints = [
            models.CheckConstraint(condition=models.Q(level__in=[v.value for v in codes.Level]), name="region_level"),
            models.CheckConstraint(
                condition=models.Q(ends_on__isnull=True)
                | models.Q(starts_on__isnull=True)
                | models.Q(ends_on__gte=models.F("starts_on")),
                name="region_days",
            ),
        ]
        indexes = [
            # "Starts with" needs this operator class in every collation.
            models.Index(fields=["code"], name="region_subtree", opclasses=["varchar_pattern_ops"]),
            models.Index(fields=["level"], name="region_by_level"),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def parent_code(self) -> str:
        """The code of the region above; "" for a district."""
        return codes.parent_of(self.code)


class UnitCell(Mapped):
    """A unit cell (单元网格, GB/T 30428.1): about 100 m x 100 m inside one community; not a node of the tree."""

    id = models.BigAutoField(primary_key=True)
    code = models.CharField(max_length=15, unique=True)

    class Meta:
        indexes = [models.Index(fields=["code"], name="unit_cell_subtree", opclasses=["varchar_pattern_ops"])]

    def __str__(self) -> str:
        return self.code

    @property
    def community_code(self) -> str:
        return self.code[: codes.Level.COMMUNITY.digits]


class Component(models.Model):
    """A thing in the street that has a number (部件, GB/T 30428.2): a manhole cover, a lamp, a hydrant."""

    id = models.BigAutoField(primary_key=True)
    code = models.CharField(max_length=24, unique=True)
    """By the standard 16 digits: county 6, major class 2, minor class 2, sequence 6; never issued twice."""
    kind = models.CharField(max_length=10)
    """Its class in the catalogue, as the pack writes it: ``C0137`` is a street lamp."""
    name = models.CharField(max_length=120)
    lon = models.FloatField()
    """WGS-84 degrees."""
    lat = models.FloatField()
    region_code = models.CharField(max_length=19, blank=True, default="")
    """The deepest region in which it stood when it was imported; "" = outside of all."""
    managed_by = models.CharField(max_length=40, blank=True, default="")
    """The code of the unit that looks after it; "" = not known."""
    condition = models.CharField(max_length=12, blank=True, default="")
    """完好, 破损, 丢失, 废弃 or 移除, as the district's survey has it; "" = not known."""
    starts_on = models.DateField(null=True, blank=True)
    ends_on = models.DateField(null=True, blank=True)
    """First day on which it no longer stands there; the code stays taken."""
    synthetic = models.BooleanField(default=False, db_default=False)
    remark = models.CharField(max_length=200, blank=True, default="", db_default="")

    class Meta:
        indexes = [
            models.Index(fields=["lon", "lat"], name="component_place"),
            models.Index(fields=["region_code"], name="component_region", opclasses=["varchar_pattern_ops"]),
        ]

    def __str__(self) -> str:
        return self.code


class Scenery(models.Model):
    """A piece of the ground that is drawn under the grids when there is no base map: invented, and labelled so."""

    id = models.BigAutoField(primary_key=True)
    district = models.CharField(max_length=6, db_index=True)
    kind = models.CharField(max_length=10)
    """``road``, ``water``, ``green`` or ``building``."""
    rank = models.SmallIntegerField(default=1)
    """1 for what is seen from afar: main roads and large waters; 3 for lanes."""
    name = models.CharField(max_length=60, blank=True, default="")
    geometry = models.BinaryField()
    """WKB in WGS-84 degrees: lines for roads, polygons for the rest."""
    west = models.FloatField()
    south = models.FloatField()
    east = models.FloatField()
    north = models.FloatField()

    def __str__(self) -> str:
        return self.name or self.kind


class FormerBoundary(models.Model):
    """A boundary that was replaced. Codes of regions and of unit cells differ in length, so one table holds both."""

    id = models.BigAutoField(primary_key=True)
    code = models.CharField(max_length=19)
    version = models.IntegerField()
    geometry = models.BinaryField()
    replaced_at = models.DateTimeField(default=clock.now, db_default=Now())
    replaced_by = models.CharField(max_length=60)
    """The actor."""

    class Meta:
        constraints = [models.UniqueConstraint(fields=["code", "version"], name="former_boundary_once")]

    def __str__(self) -> str:
        return f"{self.code} v{self.version}"


class MapEdition(models.Model):
    """One row: the edition of the whole map. Every change of a boundary or a date sets a new token.

    A token, not a number: a rolled-back edition must never look like a later one with the same number.
    """

    id = models.SmallIntegerField(primary_key=True, default=1)
    token = models.UUIDField(default=uuid.uuid4)
    changed_at = models.DateTimeField(default=clock.now, db_default=Now())

    class Meta:
        constraints = [models.CheckConstraint(condition=models.Q(id=1), name="one_map_edition")]

    def __str__(self) -> str:
        return str(self.token)
