"""Asking the reporter (回访): is it solved, are you content?"""

from __future__ import annotations

from django.db import models


class Callback(models.Model):
    """One question to the reporter of one report after its case was closed, and the answer."""

    id = models.BigAutoField(primary_key=True)
    case_id = models.BigIntegerField(db_index=True)
    report_id = models.BigIntegerField()
    round = models.SmallIntegerField(default=1)
    """Each closing of the case asks anew."""
    unit_id = models.BigIntegerField(null=True)
    region_code = models.CharField(max_length=19, blank=True, default="")
    token = models.CharField(max_length=64, unique=True)
    """SHA-256 (hex) of the 128-bit secret in the link."""
    asked_at = models.DateTimeField()
    answered_at = models.DateTimeField(null=True)
    resolved = models.BooleanField(null=True)
    satisfied = models.SmallIntegerField(null=True)
    """5 very content ... 1 very discontent (GB/T 39735 grades as DOMAIN.md §6.9 quotes them)."""
    comment = models.TextField(blank=True, default="")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["report_id", "round"], name="callback_once")]
