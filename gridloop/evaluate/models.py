"""One fact row per case: what every indicator counts."""

from __future__ import annotations

from django.db import models


class CaseFact(models.Model):
    """The outcome of one case as the events tell it. Rebuilt from the events at any time, it must come out equal."""

    case_id = models.BigIntegerField(primary_key=True)
    case_type = models.CharField(max_length=60)
    unit_id = models.BigIntegerField(null=True)
    region_code = models.CharField(max_length=19, blank=True, default="")
    source = models.CharField(max_length=24)
    state = models.CharField(max_length=16)
    reported_at = models.DateTimeField()
    opened_at = models.DateTimeField()
    filed_at = models.DateTimeField(null=True)
    dispatched_at = models.DateTimeField(null=True)
    signed_at = models.DateTimeField(null=True)
    handled_at = models.DateTimeField(null=True)
    closed_at = models.DateTimeField(null=True)
    handle_due_at = models.DateTimeField(null=True)
    on_time = models.BooleanField(null=True)
    """The hand-back that stands came not after the deadline; None while neither has come, or without a deadline."""
    responded = models.BooleanField(null=True)
    """Signed within the limit of that step; None while it may still be."""
    units = models.SmallIntegerField(default=0)
    """How many different units it was dispatched to: above 1 counts as a wrong dispatch."""
    returns = models.SmallIntegerField(default=0)
    reworks = models.SmallIntegerField(default=0)
    extensions = models.SmallIntegerField(default=0)
    suspensions = models.SmallIntegerField(default=0)
    reopened = models.SmallIntegerField(default=0)
    callers = models.IntegerField(default=1)
    asked = models.SmallIntegerField(default=0)
    resolved = models.BooleanField(null=True)
    satisfied = models.SmallIntegerField(null=True)
    exempt = models.BooleanField(default=False)

    class Meta:
        indexes = [
            models.Index(fields=["unit_id", "closed_at"], name="fact_unit"),
            models.Index(fields=["region_code"], name="fact_region", opclasses=["varchar_pattern_ops"]),
        ]
