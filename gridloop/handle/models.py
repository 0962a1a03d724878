"""Evidence of work: what the picture shows is kept as it came; what is served carries no hidden data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from django.db import models

from gridloop.people.models import Person

if TYPE_CHECKING:
    _Text = models.Field[str, str]
else:
    _Text = models.Field


class Bits(_Text):
    """256 bits, as a text of 0 and 1; in the database ``bit(256)``, which can count how many bits differ."""

    def db_type(self, connection: Any) -> str:
        return "bit(256)"


class Evidence(models.Model):
    """A file that shows the problem before or after the work, and the copies made of it."""

    class Stage(models.TextChoices):
        REPORT = "report"
        VERIFY = "verify"
        BEFORE = "before"
        AFTER = "after"
        CHECK = "check"
        NOTE = "note"
        """A spoken note: no photograph, counted by no rule."""

    class Public(models.TextChoices):
        """What the public may see of it."""

        WAITING = "", "not looked at yet"
        WITHHELD = "withheld"
        """Nothing, until a person releases it: no detector is there, or a person withheld it."""
        BLURRED = "blurred"
        """A copy in which the detectors blurred all faces and number plates that they found."""
        RELEASED = "released"
        """A copy as a person released it, blurred where that person said."""

    id = models.BigAutoField(primary_key=True)
    case_id = models.BigIntegerField(db_index=True)
    stage = models.CharField(max_length=8, choices=Stage.choices)
    sha256 = models.CharField(max_length=64, db_index=True)
    """Of the bytes at receipt."""
    media_type = models.CharField(max_length=40)
    size = models.IntegerField()
    width = models.IntegerField(null=True)
    """Pixels of the upright picture; None until its copies are made."""
    height = models.IntegerField(null=True)
    original = models.CharField(max_length=200)
    """Path below the evidence folder of the untouched file, sealed with the key of the house. Never served."""
    hidden = models.BinaryField(null=True)
    """Where and when the file itself says that it was taken, sealed; None where it says nothing. Never served."""
    served = models.CharField(max_length=200, blank=True, default="")
    """Path of the re-encoded copy without EXIF that staff see; "" until it is made."""
    served_sha256 = models.CharField(max_length=64, blank=True, default="")
    thumbnail = models.CharField(max_length=200, blank=True, default="")
    """Path of the small WebP of it."""
    thumbnail_sha256 = models.CharField(max_length=64, blank=True, default="")
    public_state = models.CharField(max_length=8, choices=Public.choices, blank=True, default="")
    hidden_parts = models.JSONField(default=list)
    """What is blurred on the public copy: ``[left, top, right, bottom, what]``, shares of width and height from the
    upper left; what = face, plate or hand."""
    public = models.CharField(max_length=200, blank=True, default="")
    """Path of the copy for everybody; "" while there is none."""
    public_sha256 = models.CharField(max_length=64, blank=True, default="")
    public_thumbnail = models.CharField(max_length=200, blank=True, default="")
    public_thumbnail_sha256 = models.CharField(max_length=64, blank=True, default="")
    recycled_of = models.BigIntegerField(null=True)
    """An earlier picture that this one nearly equals though it should show something else. A fact, not a verdict."""
    recycled_case = models.BigIntegerField(null=True)
    """That picture's case."""
    recycled_bits = models.SmallIntegerField(null=True)
    """In how many of 256 bits the two fingerprints differ."""
    by = models.CharField(max_length=60)
    at = models.DateTimeField()


class Fingerprint(models.Model):
    """The perceptual hash of a picture, by which one that is used again is found. Narrow, because all are compared."""

    evidence = models.OneToOneField(Evidence, primary_key=True, on_delete=models.CASCADE, related_name="fingerprint")
    case_id = models.BigIntegerField(db_index=True)
    before = models.BooleanField()
    """Whether it shows the state before the work."""
    bits = Bits()


class Errand(models.Model):
    """A move that a telephone handed in, perhaps days after it was made, and the answer that it got.

    The same key again gets the same answer, whatever happened to the first answer on its way.
    """

    class Outcome(models.TextChoices):
        DONE = "done"
        REFUSED = "refused"
        """The rules say no; `answer.sentence` says why."""
        CONFLICT = "conflict"
        """Somebody was faster: nothing was changed, the person at the telephone decides anew."""

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    key = models.UUIDField()
    """Made by the telephone; unique for the person."""
    digest = models.BinaryField(max_length=32)
    """SHA-256 of what was asked: the same key with another content is refused."""
    case_id = models.BigIntegerField()
    outcome = models.CharField(max_length=8, choices=Outcome.choices)
    answer = models.JSONField(default=dict)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "key"], name="errand_key_once")]
        indexes = [models.Index(fields=["at"], name="errand_at")]


class Upload(models.Model):
    """A photograph or a spoken note on its way in pieces; it becomes evidence when its last byte has come."""

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="+")
    key = models.UUIDField()
    case_id = models.BigIntegerField(null=True)
    report_id = models.BigIntegerField(null=True)
    """The report to which it belongs, until the report has a case."""
    stage = models.CharField(max_length=8, choices=Evidence.Stage.choices)
    sha256 = models.CharField(max_length=64)
    """Of the whole file, as the telephone reckoned it when the picture was taken."""
    size = models.IntegerField()
    received = models.IntegerField(default=0)
    """Bytes that are safely on our disk: where the next piece begins."""
    complete = models.BooleanField(default=False)
    evidence_id = models.BigIntegerField(null=True)
    refused = models.JSONField(null=True)
    """Why the file was not taken, as a sentence in both languages."""
    touched_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["person", "key"], name="upload_key_once"),
            models.CheckConstraint(
                condition=models.Q(case_id__isnull=False) | models.Q(report_id__isnull=False),
                name="upload_of_something",
            ),
        ]
        indexes = [
            models.Index(fields=["touched_at"], name="upload_touched"),
            models.Index(
                fields=["report_id"],
                name="upload_of_report",
                condition=models.Q(report_id__isnull=False, evidence_id__isnull=True),
            ),
        ]


class FilledForm(models.Model):
    """A form of the pack, filled in where the problem is."""

    id = models.BigAutoField(primary_key=True)
    case_id = models.BigIntegerField(db_index=True)
    form = models.CharField(max_length=60)
    """Pack and form: ``urban:manhole``, as the case's release has it."""
    answers = models.JSONField()
    by = models.CharField(max_length=60)
    at = models.DateTimeField()


class ReportPicture(models.Model):
    """A photograph that a resident sends with a report: kept apart until the report has a case, then its evidence."""

    id = models.BigAutoField(primary_key=True)
    key = models.CharField(max_length=64)
    """The key of the form with which it came; only its sender knows it."""
    sha256 = models.CharField(max_length=64)
    size = models.IntegerField()
    sent_at = models.DateTimeField(null=True)
    """When the report was sent; None = the form lies before its writer still, and may never be sent."""
    evidence_id = models.BigIntegerField(null=True)
    at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "sha256"], name="report_picture_once")]
        indexes = [models.Index(fields=["at"], name="report_picture_unsent", condition=models.Q(sent_at__isnull=True))]
