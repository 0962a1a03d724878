"""The persons who work here, their units and posts, how they prove who they are, and what they are told.

Residents are not here: see `gridloop.registry`.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models
from django.utils.crypto import salted_hmac

from gridloop.kernel import clock
from gridloop.people.roles import SEPARATED


def day_of(at: datetime) -> date:
    """The calendar day in the district at this moment: posts begin and end with days, not with moments."""
    return at.astimezone(ZoneInfo(getattr(settings, "GRIDLOOP_ZONE", "Asia/Shanghai"))).date()


def _today() -> date:
    return day_of(clock.now())


class Unit(models.Model):
    """An office, department or company that can be responsible for something (单位)."""

    class Kind(models.TextChoices):
        DISTRICT = "district"
        STREET = "street"
        COMMUNITY = "community"
        DEPARTMENT = "department"
        UTILITY = "utility"
        COMPANY = "company"

    id = models.BigAutoField(primary_key=True)
    code = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=120)
    name_en = models.CharField(max_length=120, blank=True, default="")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    function = models.CharField(max_length=40, blank=True, default="")
    """What routes ask for: ``sanitation``, ``street_office``, ``water`` ... (see the pack's dispatch.yaml)."""
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="children")
    region_code = models.CharField(max_length=19, blank=True, default="")
    """The region for which the unit works; "" = the whole district."""
    starts_on = models.DateField(default=_today)
    ends_on = models.DateField(null=True, blank=True)
    """The first day on which it counts no more; None = open."""
    synthetic = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.name


class PersonManager(BaseUserManager["Person"]):
    def create_person(self, *, username: str, password: str | None = None, **fields: Any) -> Person:
        person = Person(username=username, **fields)
        if password is None:
            person.set_unusable_password()
        else:
            person.set_password(password)
        person.save()
        return person


class Person(AbstractBaseUser):
    """Somebody who works here and can log in."""

    id = models.BigAutoField(primary_key=True)
    username = models.CharField(max_length=60, unique=True)
    name = models.CharField(max_length=60)
    is_active = models.BooleanField(default=True)
    must_change_password = models.BooleanField(default=False)
    session_epoch = models.PositiveIntegerField(default=0, db_default=0)
    """Raised to end every session and token of this person at once."""
    synthetic = models.BooleanField(default=False)

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]
    objects = PersonManager()

    def __str__(self) -> str:
        return self.name

    def get_session_auth_hash(self) -> str:
        """What a session must still match: a new password or a raised epoch ends it."""
        return self._epoch_hash()

    def _epoch_hash(self, secret: str | bytes | None = None) -> str:
        value = f"{self.password}:{self.session_epoch}"
        return salted_hmac("gridloop.people.session", value, secret=secret, algorithm="sha256").hexdigest()

    def _get_session_auth_hash(self, secret: str | bytes | None = None) -> str:
        return self._epoch_hash(secret)


class Membership(models.Model):
    """A person's post: a role in a unit, for a region subtree, from a day (included) to a day (left out)."""

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="memberships")
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=24)
    """A key of `roles.ROLES`."""
    region_code = models.CharField(max_length=19, blank=True, default="")
    """The subtree of the grid to which the post is limited (a code prefix); "" = all that the unit has."""
    starts_on = models.DateField(default=_today)
    ends_on = models.DateField(null=True, blank=True)
    """The first day without the post; None = open."""

    class Meta:
        indexes = [models.Index(fields=["unit", "role"], name="membership_unit_role")]
        constraints = [
            # The second wall behind `actions.give_post`, which also looks at posts that end some day.
            models.UniqueConstraint(
                fields=["person"],
                condition=models.Q(role__in=sorted(SEPARATED), ends_on__isnull=True),
                name="one_separated_administrator",
            )
        ]


class SetupCode(models.Model):
    """A one-time code with which a person sets the first (or a new) password. Only its hash is kept."""

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="setup_codes")
    hash = models.CharField(max_length=64, unique=True)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, blank=True)


class Client(models.Model):
    """A machine that calls us: a hotline, a sensor platform, another system (接入方)."""

    id = models.BigAutoField(primary_key=True)
    code = models.CharField(max_length=40, unique=True)
    name = models.CharField(max_length=120)
    permissions = models.JSONField(default=list)
    """Permission words as in `roles.ROLES`; a client has no post and sees no case by itself."""
    per_minute = models.PositiveIntegerField(default=6000)
    """How many requests a minute it may send."""
    is_active = models.BooleanField(default=True)


class Token(models.Model):
    """A bearer token of a person or a client. Only its hash is kept; the text is shown once."""

    id = models.BigAutoField(primary_key=True)
    hash = models.CharField(max_length=64, unique=True)
    person = models.ForeignKey(Person, null=True, blank=True, on_delete=models.CASCADE, related_name="tokens")
    client = models.ForeignKey(Client, null=True, blank=True, on_delete=models.CASCADE, related_name="tokens")
    epoch = models.PositiveIntegerField(default=0)
    """The person's `session_epoch` when the token was made; another one now ends it."""
    name = models.CharField(max_length=60, blank=True, default="")
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(person__isnull=True) ^ models.Q(client__isnull=True), name="token_of_one"
            )
        ]


class Throttle(models.Model):
    """A leaky bucket of wrong tries: `level` drains with time, a try adds one. The key is a hash, not an address."""

    key = models.CharField(max_length=64, primary_key=True)
    level = models.FloatField()
    at = models.DateTimeField()


class Notice(models.Model):
    """Something a person is told inside the application (消息)."""

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="notices")
    case_id = models.BigIntegerField(null=True, blank=True)
    """The case it is about. Cases lie above this layer, so it is a number and no foreign key."""
    kind = models.CharField(max_length=40, blank=True, default="")
    sentence = models.JSONField()
    """`Sentence.both()`; never a citizen's name or phone."""
    at = models.DateTimeField()
    read_at = models.DateTimeField(null=True, blank=True)
    posted_at = models.DateTimeField(null=True, blank=True)
    """When it was decided to whom it goes outside of the application (see `Outgoing`); None = not yet."""

    class Meta:
        indexes = [
            models.Index(fields=["person", "-id"], name="notice_of_person"),
            models.Index(fields=["person"], condition=models.Q(read_at__isnull=True), name="notice_unread"),
            models.Index(fields=["id"], condition=models.Q(posted_at__isnull=True), name="notice_to_post"),
            models.Index(fields=["case_id"], condition=models.Q(case_id__isnull=False), name="notice_of_case"),
        ]


class BrowserSession(models.Model):
    """A session in a browser, so that its owner can see and end it. It says when and on what kind of browser, not
    where: no address is kept. The row goes with the session.
    """

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="browser_sessions")
    key = models.CharField(max_length=40, unique=True)
    began_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    browser = models.CharField(max_length=60, blank=True, default="")
    """The kind of browser and system in a few words, as the browser told it."""


# --- ways out: notices that leave the application ------------------------------------------------------------------


class Channel(models.Model):
    """A way out (通知渠道): a mail server, an SMS gateway, a group's bot. Its address holds secrets and is locked."""

    class Audience(models.TextChoices):
        PERSON = "person"
        """Each person has an address of the own there."""
        GROUP = "group"
        """All that concerns the people of one unit goes to one place, such as a group chat."""

    id = models.BigAutoField(primary_key=True)
    code = models.CharField(max_length=40, unique=True)
    name = models.JSONField()
    """`Sentence.both()`"""
    audience = models.CharField(max_length=6, choices=Audience.choices)
    unit = models.ForeignKey(Unit, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    """For a group: whose people's notices go there; None = everybody's."""
    locked_url = models.TextField()
    """The address in apprise's form, with ``{address}`` where a person's own goes; locked (`kernel.keys`)."""
    base = models.CharField(max_length=120, blank=True, default="")
    """For an installation of one's own of WeCom, DingTalk or Feishu: ``https://im.example.gov.cn``; "" = the public."""
    is_active = models.BooleanField(default=True)


class NoticeSettings(models.Model):
    """How a person wants to be told: in which language, and when not. Without a row: Chinese, quiet 22:00 to 07:00."""

    person = models.OneToOneField(Person, primary_key=True, on_delete=models.CASCADE, related_name="notice_settings")
    language = models.CharField(max_length=2, default="zh")
    quiet_from = models.PositiveSmallIntegerField(default=22 * 60)
    """Minutes after midnight in the district. Equal to `quiet_until` = never quiet."""
    quiet_until = models.PositiveSmallIntegerField(default=7 * 60)


class NoticeAddress(models.Model):
    """Where a person is reached through a channel: a mail address, a number. Locked; only its owner reads it."""

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="+")
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="+")
    locked = models.TextField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "channel"], name="one_notice_address")]


class NoticeChoice(models.Model):
    """Whether a person wants notices of a kind through a channel. Without a row: yes. An emergency asks nobody."""

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="+")
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=40)
    wanted = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["person", "channel", "kind"], name="one_notice_choice")]


class Outgoing(models.Model):
    """One notice on its way through one channel: waiting, and at last sent (then the row goes) or dead."""

    id = models.BigAutoField(primary_key=True)
    notice = models.ForeignKey(Notice, on_delete=models.CASCADE, related_name="+")
    channel = models.ForeignKey(Channel, on_delete=models.CASCADE, related_name="+")
    due_at = models.DateTimeField()
    attempts = models.PositiveSmallIntegerField(default=0)
    dead_at = models.DateTimeField(null=True, blank=True)
    """Since when nobody tries any more; it waits on a list for the system administrator."""
    error = models.CharField(max_length=80, blank=True, default="")
    """What went wrong, in a word or two; never an address."""

    class Meta:
        indexes = [
            models.Index(fields=["due_at", "id"], condition=models.Q(dead_at__isnull=True), name="outgoing_due"),
            models.Index(fields=["id"], condition=models.Q(dead_at__isnull=False), name="outgoing_dead"),
        ]
        constraints = [models.UniqueConstraint(fields=["notice", "channel"], name="outgoing_once")]


class Presence(models.Model):
    """Who has which case open at this moment, so that two persons do not work on one without knowing of each other.

    Lives in a table that is not logged and forgets within a minute: never history, never counted, never a measure of
    anybody's time.
    """

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(Person, on_delete=models.CASCADE, related_name="+")
    case_id = models.BigIntegerField()
    """Cases lie above this layer, so it is a number and no foreign key."""
    seen_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["case_id", "person"], name="presence_once")]
