"""Evidence of work: what the picture shows is kept as it came; what is served carries no hidden data."""

from __future__ import annotations

from typing import Any

from django.db import models


class Bits(models.Field[str, str]):
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
