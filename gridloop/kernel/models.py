"""What the house itself remembers: events, their deliveries, and the batches being worked on."""

from __future__ import annotations

from django.contrib.postgres.indexes import BrinIndex
from django.db import models
from django.db.models.functions import Now

from gridloop.kernel import clock


class Event(models.Model):
    """Something that happened. Immutable: the database refuses UPDATE, DELETE and TRUNCATE.

    Events are the timeline of a case and the audit record at once; `sealing` appends them to the Merkle log.
    """

    id = models.BigAutoField(primary_key=True)
    name = models.CharField(max_length=60)
    subject = models.CharField(max_length=40)
    """Whom it concerns, as ``kind:id``: ``case:17``, ``report:230``, ``person:4``."""
    actor = models.CharField(max_length=60)
    """Who did it: ``person:4``, ``client:2`` (a machine), ``system``. Never a name."""
    at = models.DateTimeField()
    """When it happened (UTC)."""
    recorded_at = models.DateTimeField(default=clock.now, db_default=Now())
    data = models.JSONField(default=dict)

    class Meta:
        indexes = [
            models.Index(fields=["subject", "id"], name="event_subject"),
            # Events come in the order of time, so that a few bytes for each thirty-two pages find a day among years.
            BrinIndex(fields=["at"], name="event_at", pages_per_range=32, autosummarize=True),
        ]


class Delivery(models.Model):
    """An event that a reaction has not dealt with yet. Deleted when it has: the table holds only what waits."""

    class State(models.TextChoices):
        PENDING = "pending"
        STUCK = "stuck"

    id = models.BigAutoField(primary_key=True)
    event_id = models.BigIntegerField()
    reaction = models.CharField(max_length=60)
    state = models.CharField(max_length=8, choices=State.choices, default=State.PENDING, db_default=State.PENDING)
    attempts = models.SmallIntegerField(default=0, db_default=0)
    due_at = models.DateTimeField(db_default=Now())
    error = models.TextField(default="", db_default="")

    class Meta:
        indexes = [
            models.Index(fields=["reaction", "id"], condition=models.Q(state="pending"), name="delivery_waiting"),
            models.Index(fields=["state"], condition=models.Q(state="stuck"), name="delivery_stuck"),
        ]
        constraints = [models.UniqueConstraint(fields=["event_id", "reaction"], name="delivery_once")]


class Batch(models.Model):
    """Deliveries that a worker has in its hands, written before it starts and deleted with its effect.

    A batch whose worker is gone (its advisory lock is free) crashed: its deliveries are counted one attempt on.
    """

    id = models.BigAutoField(primary_key=True)
    worker = models.BigIntegerField()
    """The key of the advisory lock that the worker's connection holds while it lives."""
    reaction = models.CharField(max_length=60)
    deliveries = models.JSONField()
    started_at = models.DateTimeField(db_default=Now())


class LogLeaf(models.Model):
    """One event's place in the sealed log. Immutable like the event; written by `sealing` alone."""

    index = models.BigIntegerField(primary_key=True)
    """From 0, without gaps, in the order in which the sealer saw the events committed."""
    event_id = models.BigIntegerField(unique=True)
    leaf_hash = models.BinaryField()


class Checkpoint(models.Model):
    """A signed statement: the log had `size` leaves and this root. Immutable; the witness file has the same text."""

    size = models.BigIntegerField(primary_key=True)
    note = models.TextField()
    """The signed note: origin, size, root, time, watermark, signature. See `verify_log` for its form."""
    edge = models.BinaryField()
    """The hashes of the tree's right edge, from left to right: from here the tree can grow on, or be checked on."""
