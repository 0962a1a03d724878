"""What is remembered of a case: status, deadline, holder, grid and place. Everything else lives in its stage."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.indexes import GinIndex
from django.db import models

from gridloop.people.models import Person, Unit

ON_ITS_WAY = models.Q(closed_at__isnull=True)
"""The cases that are not at an end: what the indexes of the work lists hold, so that they stay small for ever."""


class Case(models.Model):
    """One problem on its way through the loop (案件). Only `cases.actions` changes it; every change is an event."""

    id = models.BigAutoField(primary_key=True)
    number = models.CharField(max_length=24)
    """6 county digits, 8 of the day, 5 or more of the day's sequence. Gridloop design: the standard's was not read."""
    version = models.IntegerField(default=1)
    """Counts the moves. A writer names the version it has seen; another one means that somebody was faster."""
    state = models.CharField(max_length=16)
    pack_release_id = models.BigIntegerField()
    """The release of the pack under which the case was opened and stays."""
    case_type = models.CharField(max_length=60)
    catalog_version = models.CharField(max_length=40)
    condition = models.CharField(max_length=60, blank=True, default="")
    """The filing condition (立案条件) that was matched: its id in the pack."""
    urgent = models.BooleanField(default=False)
    source = models.CharField(max_length=24)
    """The channel of the first report: hotline, app, grid_worker, video, sensor ..."""
    text = models.TextField()
    address = models.CharField(max_length=300, blank=True, default="")
    lon = models.FloatField(null=True)
    lat = models.FloatField(null=True)
    region_code = models.CharField(max_length=19, blank=True, default="")
    cell = models.BigIntegerField(null=True)
    """The square of about 100 m in which it lies (`rules.cell_of`): narrows the search for duplicates."""
    callers = models.IntegerField(default=1)
    """How many reports told of it."""

    unit = models.ForeignKey(Unit, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    """The unit that must handle it (主办); after a return (退单) the unit that returned it, until the next dispatch."""
    person = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+")
    """Who holds the present step."""
    handled_by = models.ForeignKey(Person, null=True, on_delete=models.PROTECT, related_name="+", db_index=False)
    """Who handed it back: never the one who checks."""
    route = models.CharField(max_length=60, blank=True, default="")
    why = models.JSONField(null=True)
    """One readable sentence in both languages: why it went where it is."""

    reported_at = models.DateTimeField()
    opened_at = models.DateTimeField()
    filed_at = models.DateTimeField(null=True)
    dispatched_at = models.DateTimeField(null=True)
    """When the unit got it: the handling clock started."""
    signed_at = models.DateTimeField(null=True)
    handled_at = models.DateTimeField(null=True)
    """The hand-back that stands: the moment at which the handling deadline is judged. None again during rework."""
    closed_at = models.DateTimeField(null=True)
    """When it came to one of its ends, whichever."""
    stage_at = models.DateTimeField()
    """When the present stage of `workflow.STAGES` began. Signing for a case does not begin its handling anew."""
    warn_at = models.DateTimeField(null=True)
    """When 80 % of the present step's time is used; None once warned."""
    due_at = models.DateTimeField(null=True)
    """The present step's deadline; None while the clock stands still or nothing is due."""
    overdue_at = models.DateTimeField(null=True)
    """When the passed deadline was noticed and escalated; None if it was not passed in this step."""
    handle_limit = models.CharField(max_length=24, blank=True, default="")
    """The handling limit as ``amount clock``: ``2 work_hour``."""
    handle_due_at = models.DateTimeField(null=True)
    paused_at = models.DateTimeField(null=True)
    paused_left = models.FloatField(null=True)
    """Seconds of the limit's own clock that were left when the clock was stopped (挂账)."""
    resume_at = models.DateTimeField(null=True)
    paused_seconds = models.FloatField(default=0)

    extensions = models.SmallIntegerField(default=0)
    suspensions = models.SmallIntegerField(default=0)
    returns = models.SmallIntegerField(default=0)
    reworks = models.SmallIntegerField(default=0)
    reopened = models.SmallIntegerField(default=0)
    supervised = models.BooleanField(default=False)
    self_handled = models.BooleanField(default=False)
    """自行处置: whoever walks the grid put it right on the spot."""
    asked = models.CharField(max_length=12, blank=True, default="")
    """A request that waits for a decision: ``extend``, ``suspend`` or ``appeal``; "" if none."""
    exempt = models.BooleanField(default=False)
    """A granted appeal: the statistics leave the case out, its facts stay as they are."""

    class Meta:
        # Every step writes every index: a key that nobody looks up by, or by which another index begins, has none.
        constraints = [models.UniqueConstraint(fields=["number"], name="case_number")]
        indexes = [
            models.Index(
                fields=["case_type", "cell", "reported_at"],
                name="case_open_near",
                condition=~models.Q(state__in=["closed", "forced_close", "not_accepted", "cancelled"]),
            ),
            models.Index(
                fields=["due_at"], name="case_due", condition=models.Q(due_at__isnull=False, overdue_at__isnull=True)
            ),
            models.Index(fields=["warn_at"], name="case_warn", condition=models.Q(warn_at__isnull=False)),
            models.Index(fields=["resume_at"], name="case_resume", condition=models.Q(resume_at__isnull=False)),
            models.Index(fields=["state", "id"], name="case_state"),
            models.Index(fields=["unit", "state"], name="case_unit"),
            models.Index(fields=["region_code"], name="case_region", opclasses=["varchar_pattern_ops"]),
            # The work lists: what is on its way by deadline, by unit and by place; all of it by age (decision 0092).
            models.Index(fields=["due_at", "id"], name="case_open_due", condition=ON_ITS_WAY),
            models.Index(fields=["unit", "due_at", "id"], name="case_open_unit", condition=ON_ITS_WAY),
            models.Index(
                fields=["region_code", "state"],
                name="case_open_region",
                opclasses=["varchar_pattern_ops", "varchar_ops"],
                condition=ON_ITS_WAY,
            ),
            models.Index(fields=["state", "due_at", "id"], name="case_open_state", condition=ON_ITS_WAY),
            models.Index(
                fields=["due_at", "id"], name="case_open_urgent", condition=ON_ITS_WAY & models.Q(urgent=True)
            ),
            models.Index(fields=["opened_at", "id"], name="case_opened"),
            models.Index(fields=["case_type", "opened_at", "id"], name="case_type_opened"),
            models.Index(fields=["opened_at", "id"], name="case_asked", condition=~models.Q(asked="")),
            models.Index(fields=["opened_at", "id"], name="case_supervised", condition=models.Q(supervised=True)),
            models.Index(fields=["opened_at", "id"], name="case_reopened", condition=models.Q(reopened__gt=0)),
            # What the public follows around a place, open or not (`public.public_cases`).
            models.Index(fields=["cell"], name="case_public_near", condition=models.Q(filed_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.number


class CoHandling(models.Model):
    """A unit that helps (协办), with a clock of its own. The lead hands back only when all of these have."""

    id = models.BigAutoField(primary_key=True)
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="co_handlings")
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="+")
    task = models.TextField(blank=True, default="")
    started_at = models.DateTimeField()
    warn_at = models.DateTimeField(null=True)
    due_at = models.DateTimeField(null=True)
    overdue_at = models.DateTimeField(null=True)
    handed_back_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            # After its part is done, or was withdrawn, a unit may be asked to help once more.
            models.UniqueConstraint(
                fields=["case", "unit"],
                name="co_handling_once",
                condition=models.Q(handed_back_at__isnull=True, withdrawn_at__isnull=True),
            )
        ]
        indexes = [
            models.Index(fields=["warn_at"], name="co_warn", condition=models.Q(warn_at__isnull=False)),
            models.Index(
                fields=["due_at"], name="co_due", condition=models.Q(due_at__isnull=False, overdue_at__isnull=True)
            ),
        ]


class Lexemes(models.Field):  # type: ignore[type-arg]
    """A `tsvector` written by us: quoted lexemes between blanks (see `rules.lexemes`). Looked up with ``__hold``."""

    def db_type(self, connection: Any) -> str:
        return "tsvector"


@Lexemes.register_lookup
class Hold(models.Lookup):
    """``field @@ query``: the lexemes hold what a `tsquery`, given as text, asks for."""

    lookup_name = "hold"

    def get_prep_lookup(self) -> Any:
        return self.rhs

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, tuple[Any, ...]]:
        left, left_params = self.process_lhs(compiler, connection)
        right, right_params = self.process_rhs(compiler, connection)
        return f"{left} @@ {right}::tsquery", (*left_params, *right_params)


class CaseWords(models.Model):
    """What a search finds a case by: the pairs of signs of its text, address and number. Written with the case.

    A table of its own: the case's row changes at every step, and an index over its words would be written each time.
    """

    case = models.OneToOneField(Case, primary_key=True, on_delete=models.PROTECT, related_name="words")
    lexemes = Lexemes()

    class Meta:
        indexes = [GinIndex(fields=["lexemes"], name="case_words")]


class SavedView(models.Model):
    """A work list that a person keeps: filter, order of rows and chosen columns. The one without a name is how that
    person wants every list to look that was not saved.
    """

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=60, blank=True, default="")
    query = models.CharField(max_length=1000, blank=True, default="")
    """The filter as `search.CaseFilter.query()` writes it."""
    sort = models.CharField(max_length=20, blank=True, default="")
    columns = models.JSONField(default=list)
    position = models.SmallIntegerField(default=0)
    """Where it stands on the person's home page, from 0."""
    removed_at = models.DateTimeField(null=True)
    """Removed by its owner; kept for a while, so that this can be undone."""

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["person", "name"], name="saved_view_once", condition=models.Q(removed_at__isnull=True)
            )
        ]


class DayCounter(models.Model):
    """The last case number given on a day."""

    day = models.CharField(max_length=14, primary_key=True)
    """County and date: ``41010420221008``."""
    last = models.BigIntegerField(default=0)


class MapChange(models.Model):
    """A count on the map that changed and is not in `MapTotal` and `MapPart` yet. Triggers of the case table write it.

    Whoever counts reads both, so that the map is exact at every moment; `pyramid.fold` empties this table.
    """

    id = models.BigAutoField(primary_key=True)
    x = models.IntegerField()
    """The square of level 20 of the web's map (31 m across in Zhengzhou)."""
    y = models.IntegerField()
    kind = models.SmallIntegerField()
    """Group of states and colour of the clock: `pyramid.KINDS`."""
    region_code = models.CharField(max_length=16)
    """The case's region, not below its grid."""
    unit_id = models.BigIntegerField()
    """0: no unit."""
    n = models.IntegerField()


class MapTotal(models.Model):
    """How many cases of a kind lie in a square of the map, at some levels of size: all of the district."""

    id = models.BigAutoField(primary_key=True)
    level = models.SmallIntegerField()
    y = models.IntegerField()
    x = models.IntegerField()
    kind = models.SmallIntegerField()
    n = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["level", "y", "x", "kind"], name="map_total_once")]


class MapPart(models.Model):
    """The same by grid and unit, for those who see a part of the district."""

    id = models.BigAutoField(primary_key=True)
    level = models.SmallIntegerField()
    y = models.IntegerField()
    x = models.IntegerField()
    kind = models.SmallIntegerField()
    region_code = models.CharField(max_length=16)
    unit_id = models.BigIntegerField()
    n = models.IntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["level", "y", "x", "kind", "region_code", "unit_id"], name="map_part_once")
        ]
        indexes = [
            models.Index(fields=["level", "unit_id"], name="map_part_unit"),
            models.Index(
                fields=["level", "region_code"],
                name="map_part_region",
                opclasses=["int2_ops", "varchar_pattern_ops"],
            ),
        ]
