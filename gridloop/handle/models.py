"""Evidence of work: what the picture shows is kept as it came; what is served carries no hidden data."""

from __future__ import annotations

from django.db import models


class Evidence(models.Model):
    """A file that shows the problem before or after the work."""

    class Stage(models.TextChoices):
        REPORT = "report"
        VERIFY = "verify"
        BEFORE = "before"
        AFTER = "after"
        CHECK = "check"

    id = models.BigAutoField(primary_key=True)
    case_id = models.BigIntegerField(db_index=True)
    stage = models.CharField(max_length=8, choices=Stage.choices)
    sha256 = models.CharField(max_length=64, db_index=True)
    """Of the bytes at receipt."""
    media_type = models.CharField(max_length=40)
    size = models.IntegerField()
    original = models.CharField(max_length=200)
    """Path below the evidence folder of the untouched file."""
    served = models.CharField(max_length=200, blank=True, default="")
    """Path of the re-encoded copy without EXIF that people see; "" until it is made."""
    served_sha256 = models.CharField(max_length=64, blank=True, default="")
    by = models.CharField(max_length=60)
    at = models.DateTimeField()
