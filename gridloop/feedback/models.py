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


class AnswerTemplate(models.Model):
    """A sentence that is written often (答复模板): put into the text of a verb and changed there before it is sent.

    ``{number} {type} {unit} {due}`` are filled in when it is put in. Managed by the shift lead.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=60)
    """Under which it is found: ``积水已抽排``."""
    zh = models.TextField()
    en = models.TextField(blank=True, default="")
    """"" = the Chinese text serves in both."""
    verb = models.CharField(max_length=30, blank=True, default="")
    """For which verb of the workflow; "" = any."""
    group = models.CharField(max_length=60, blank=True, default="")
    """Beginning of a case type's key: a pack (``urban:``), a class (``urban:E05``) or one type; "" = any."""
    state = models.CharField(max_length=16, blank=True, default="")
    """In which state of the case; "" = any."""
    season_from = models.CharField(max_length=5, blank=True, default="")
    """``MM-DD``, the first day of its season each year; "" = all year. A season may run over the new year."""
    season_until = models.CharField(max_length=5, blank=True, default="")
    """``MM-DD``, the last day of its season."""
    active = models.BooleanField(default=True)
    changed_by = models.CharField(max_length=60, blank=True, default="")
    changed_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["name", "verb"], name="answer_template_once")]
