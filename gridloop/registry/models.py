"""The one store of what identifies a citizen (一个库)."""

from __future__ import annotations

from django.db import models


class ReporterContact(models.Model):
    """A reporter's name and phone, encrypted, behind one door (`queries`, `actions` of this package)."""

    id = models.BigAutoField(primary_key=True)
    sealed = models.BinaryField(null=True)
    """AES-GCM of name and phone; None once wiped."""
    secret = models.BooleanField(default=False)
    """The reporter asked for secrecy (保密)."""
    created_at = models.DateTimeField()
    wipe_after = models.DateTimeField(null=True, blank=True)
    wiped_at = models.DateTimeField(null=True, blank=True)
