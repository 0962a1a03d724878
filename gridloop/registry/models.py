"""The one store of what identifies a citizen (一个库)."""

from __future__ import annotations

from django.db import models


class ReporterContact(models.Model):
    """A reporter's name and phone, encrypted, behind one door (`queries`, `actions` of this package)."""

    id = models.BigAutoField(primary_key=True)
    key = models.BinaryField(null=True)
    """This subject's own key, wrapped by the master key of the data folder; destroyed when wiped."""
    sealed = models.BinaryField(null=True)
    """Name and phone under that key (AES-256-GCM, see `vault`); None once wiped."""
    secret = models.BooleanField(default=False)
    """The reporter asked for secrecy (保密): who handles the case learns nothing, not even a masked name."""
    created_at = models.DateTimeField()
    wipe_after = models.DateTimeField(null=True, blank=True)
    """Set when the case closes; None = the case is open."""
    wiped_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["wipe_after"],
                condition=models.Q(wiped_at__isnull=True, wipe_after__isnull=False),
                name="contact_wipe_due",
            )
        ]


class RevealCount(models.Model):
    """How many contacts a person had revealed on a day."""

    id = models.BigAutoField(primary_key=True)
    person_id = models.BigIntegerField()
    day = models.DateField()
    count = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person_id", "day"], name="reveals_of_a_day")]
