"""Which packs hold, and which held when an old case was opened."""

from __future__ import annotations

from django.db import models


class PackRelease(models.Model):
    """One version of a pack under one version of the district's own values. Never changed, only retired.

    `version` is the pack's, then, where the district has values of its own, ``+<district>.<its version>``.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=40)
    version = models.CharField(max_length=60)
    sha256 = models.CharField(max_length=64)
    """Of the canonical content: comments, order of keys and the pack's own tests do not count."""
    content = models.JSONField()
    """``{"pack": ..., "district": ... or null}``, as `rules.format` writes them."""
    activated_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="pack_release_version"),
            models.UniqueConstraint(
                fields=["name"], condition=models.Q(retired_at__isnull=True), name="pack_release_one_active"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"
