"""Reports as they arrived, and what was decided about each."""

from __future__ import annotations

from django.db import models


class Report(models.Model):
    """What somebody told us. Kept as it came, whatever becomes of it."""

    class State(models.TextChoices):
        WAITING = "waiting"
        """Accepted; triage has not seen it yet."""
        TRIAGE = "triage"
        """On the list for a person: the machine was not sure."""
        OPENED = "opened"
        """It opened a case."""
        JOINED = "joined"
        """It joined an open case as one more caller."""
        REFUSED = "refused"
        """A person decided that it is no case, with a reason."""

    id = models.BigAutoField(primary_key=True)
    client = models.CharField(max_length=40)
    """Who sent it: the scope in which `key` is unique."""
    key = models.CharField(max_length=200)
    """The sender's own key. The same key again gets the same answer."""
    digest = models.BinaryField(max_length=32)
    """SHA-256 of what was said: the same key with another content is refused."""
    number = models.CharField(max_length=24, unique=True)
    """What the reporter is told, to ask about it later together with `secret`."""
    secret = models.CharField(max_length=64)
    """SHA-256 (hex) of the 128-bit tracking secret."""
    state = models.CharField(max_length=8, choices=State.choices, default=State.WAITING, db_default=State.WAITING)
    channel = models.CharField(max_length=24)
    title = models.CharField(max_length=300, blank=True, default="")
    text = models.TextField()
    address = models.CharField(max_length=300, blank=True, default="")
    lon = models.FloatField(null=True)
    lat = models.FloatField(null=True)
    case_type = models.CharField(max_length=60, blank=True, default="")
    """The type that the sender named, if it knows our catalogue."""
    urgent = models.BooleanField(default=False)
    contact_id = models.BigIntegerField(null=True)
    """The reporter in `registry`, sealed; None if anonymous."""
    reported_at = models.DateTimeField()
    received_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True)
    """The deadline that the source itself promised, if it is bound by one."""
    extra = models.JSONField(default=dict)
    same_as = models.CharField(max_length=24, blank=True, default="", db_default="")
    """The number of the case of which the reporter says "I too", from the public list; "" = they did not."""
    pictures = models.JSONField(default=list, db_default=[])
    """The pictures that came with it, as the handling stage keeps them; they become the case's evidence."""
    case_id = models.BigIntegerField(null=True)
    guess = models.JSONField(null=True)
    """The machine's opinion: types with confidence and the words that decided, place, possible duplicate, doubts."""
    settled_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["client", "key"], name="report_key_once")]
        indexes = [
            models.Index(
                fields=["state", "id"], name="report_state", condition=models.Q(state__in=["waiting", "triage"])
            ),
            models.Index(fields=["case_id"], name="report_case", condition=models.Q(case_id__isnull=False)),
            models.Index(fields=["secret"], name="report_secret"),
        ]


class Lesson(models.Model):
    """A person's answer on the triage list: training data for the next classifier."""

    id = models.BigAutoField(primary_key=True)
    report = models.OneToOneField(Report, on_delete=models.PROTECT, related_name="lesson")
    case_type = models.CharField(max_length=60)
    guessed = models.CharField(max_length=60, blank=True, default="")
    by = models.CharField(max_length=60)
    at = models.DateTimeField()
