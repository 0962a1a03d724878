"""The persons who work here, their units and posts. Residents are not here."""

from __future__ import annotations

from datetime import date
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models

from gridloop.kernel import clock


def _today() -> date:
    return clock.now().date()


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
    synthetic = models.BooleanField(default=False)

    USERNAME_FIELD = "username"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]
    objects = PersonManager()

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """A person's post: a role in a unit, for a region subtree, from a day to a day."""

    id = models.BigAutoField(primary_key=True)
    person = models.ForeignKey(Person, on_delete=models.PROTECT, related_name="memberships")
    unit = models.ForeignKey(Unit, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=24)
    """A key of `roles.ROLES`."""
    region_code = models.CharField(max_length=19, blank=True, default="")
    """The subtree of the grid to which the post is limited (a code prefix); "" = all that the unit has."""
    starts_on = models.DateField(default=_today)
    ends_on = models.DateField(null=True, blank=True)

    class Meta:
        indexes = [models.Index(fields=["unit", "role"], name="membership_unit_role")]
