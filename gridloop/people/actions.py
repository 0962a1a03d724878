"""What can be done with the people who work here: import them, give and end posts, let them in, tell them something."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from django.contrib.auth.hashers import make_password
from django.db import connection, transaction
from django.db.models import Q

from gridloop.kernel.bulk import insert_rows, update_rows
from gridloop.kernel.errors import Mistakes, Refused, not_found
from gridloop.kernel.events import Happened, publish
from gridloop.kernel.language import Sentence
from gridloop.kernel.tables import Row
from gridloop.people import rules
from gridloop.people.access import forget_cached
from gridloop.people.events import (
    PeopleImported,
    PersonDisabled,
    PersonEnabled,
    PostEnded,
    PostGiven,
    SessionsEnded,
    SetupCodeIssued,
    UnitsImported,
)
from gridloop.people.models import BrowserSession, Membership, Notice, Person, Presence, SetupCode, Unit, day_of
from gridloop.people.passwords import hash_code, new_code
from gridloop.people.queries import PRESENT
from gridloop.people.roles import ROLES
from gridloop.people.viewer import Viewer

CODE_AGE = timedelta(days=7)
"""How long a one-time code may wait to be used."""


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did. The one-time codes are here and nowhere else: show or write them now."""

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    posts: int = 0
    codes: Mapping[str, str] = field(default_factory=dict, repr=False)
    """User name -> one-time code, for every person who has no password yet."""


def import_units(*, rows: Iterable[Row], viewer: Viewer, at: datetime) -> Imported:
    """Add or change units from the rows of a table (columns: `rules.UNIT_COLUMNS`).

    All mistakes are raised together as `Mistakes` and then nothing was kept; the same file again changes nothing.
    """
    viewer.need("import")
    numbered = _readable(rows, rules.UNIT_COLUMNS, ("code", "name", "kind"))
    with transaction.atomic():
        stored = {u.code: u for u in Unit.objects.select_for_update()}
        drafts, mistakes = rules.read_units(numbered, stored.keys())
        if mistakes:
            raise Mistakes(mistakes)
        fresh = [
            _unit(d, Unit(code=d.code, starts_on=d.starts_on or day_of(at))) for d in drafts if d.code not in stored
        ]
        changed = [_unit(d, stored[d.code]) for d in drafts if d.code in stored and _differs(d, stored[d.code])]
        insert_rows(fresh)
        units = stored | {u.code: u for u in fresh}
        # Parents are linked when every unit has its key; a unit without a parent keeps none.
        linked = []
        for draft in drafts:
            unit, parent = units[draft.code], units[draft.parent].pk if draft.parent else None
            if unit.parent_id != parent:
                unit.parent_id = parent
                linked.append(unit)
        touched = {u.code: u for u in [*changed, *linked]}
        update_rows(list(touched.values()), _UNIT_FIELDS)
        fresh_codes = {u.code for u in fresh}
        count = len(touched.keys() - fresh_codes)
        if fresh or count:
            publish([UnitsImported(subject="units:0", actor=viewer.actor, at=at, added=len(fresh), changed=count)])
    return Imported(added=len(fresh), changed=count, unchanged=len(drafts) - len(fresh) - count)


_UNIT_FIELDS = ("name", "name_en", "kind", "function", "region_code", "starts_on", "ends_on", "synthetic", "parent")


def _unit(draft: rules.UnitDraft, unit: Unit) -> Unit:
    for name in ("name", "name_en", "kind", "function", "region_code", "ends_on", "synthetic"):
        setattr(unit, name, getattr(draft, name))
    if draft.starts_on:
        unit.starts_on = draft.starts_on
    return unit


def _differs(draft: rules.UnitDraft, unit: Unit) -> bool:
    names = ("name", "name_en", "kind", "function", "region_code", "ends_on", "synthetic")
    return any(getattr(draft, n) != getattr(unit, n) for n in names) or draft.starts_on not in (None, unit.starts_on)


def import_people(
    *, rows: Iterable[Row], viewer: Viewer, at: datetime, known_regions: Collection[str] | None = None
) -> Imported:
    """Add persons and posts from the rows of a table (columns: `rules.PERSON_COLUMNS`, one row for each post).

    `known_regions` are the codes of all regions, if the caller knows them. All mistakes are raised together as
    `Mistakes` and then nothing was kept; the same file again changes nothing. New persons get one-time codes.
    """
    viewer.need("manage_people")
    numbered = _readable(rows, rules.PERSON_COLUMNS, ("username", "name", "role", "unit"))
    with transaction.atomic():
        units = {u.code: u for u in Unit.objects.all()}
        drafts, mistakes = rules.read_people(
            numbered,
            unit_regions={code: u.region_code for code, u in units.items()},
            known_regions=known_regions,
            stored_posts=_spans,
            today=day_of(at),
        )
        if mistakes:
            raise Mistakes(mistakes)
        wanted = {d.username: d for d in reversed(drafts)}
        people = {p.username: p for p in Person.objects.select_for_update().filter(username__in=wanted.keys())}
        fresh = [
            Person(username=d.username, name=d.name, synthetic=d.synthetic, password=make_password(None))
            for u, d in wanted.items()
            if u not in people
        ]
        renamed = [p for u, p in people.items() if p.name != wanted[u].name]
        for person in renamed:
            person.name = wanted[person.username].name
        insert_rows(fresh)
        update_rows(renamed, ["name"])
        people |= {p.username: p for p in fresh}
        posts, moved = _posts(drafts, people, units, at)
        insert_rows(posts)
        update_rows(moved, ["starts_on", "ends_on"])
        codes = _issue_codes(fresh, at)
        if fresh or posts or moved or renamed:
            publish(
                [
                    PeopleImported(
                        subject="people:0", actor=viewer.actor, at=at, added=len(fresh), posts=len(posts) + len(moved)
                    )
                ]
            )
    touched = {p.person_id for p in [*posts, *moved]} | {p.pk for p in renamed}
    changed = len(touched - {p.pk for p in fresh})
    return Imported(len(fresh), changed, len(people) - len(fresh) - changed, len(posts), codes)


def _posts(
    drafts: Sequence[rules.PostDraft], people: Mapping[str, Person], units: Mapping[str, Unit], at: datetime
) -> tuple[list[Membership], list[Membership]]:
    """The posts to insert and those whose days change."""
    held = {
        (m.person_id, m.role, m.unit_id, m.region_code): m
        for m in Membership.objects.filter(person_id__in=[p.pk for p in people.values()]).order_by("id")
    }
    posts, moved = [], []
    for draft in drafts:
        person, unit = people[draft.username], units[draft.unit]
        post = held.get((person.pk, draft.role, unit.pk, draft.region_code))
        if post is None:
            posts.append(
                Membership(
                    person=person,
                    unit=unit,
                    role=draft.role,
                    region_code=draft.region_code,
                    starts_on=draft.starts_on or day_of(at),
                    ends_on=draft.ends_on,
                )
            )
            continue
        days = (draft.starts_on or post.starts_on, draft.ends_on or post.ends_on)
        if days != (post.starts_on, post.ends_on):
            post.starts_on, post.ends_on = days
            moved.append(post)
    return posts, moved


def _spans(usernames: Collection[str]) -> dict[str, dict[tuple[str, str, str], rules.Span]]:
    found: dict[str, dict[tuple[str, str, str], rules.Span]] = {u: {} for u in usernames}
    for post in Membership.objects.filter(person__username__in=usernames).select_related("person", "unit"):
        key = (post.role, post.unit.code, post.region_code)
        found[post.person.username][key] = rules.Span(post.role, post.starts_on, post.ends_on)
    return found


def _readable(
    rows: Iterable[Row], columns: Mapping[str, tuple[str, ...]], needed: Sequence[str]
) -> list[tuple[int, Mapping[str, str]]]:
    numbered: list[tuple[int, Mapping[str, str]]] = []
    broken = []
    for row in rows:
        if row.broken is not None:
            broken.append(row.broken)
        elif any(row.cells.values()):
            numbered.append((row.number, row.cells))
    head = rules.check_columns(numbered[0][1] if numbered else (), columns, needed)
    if broken or head:
        raise Mistakes([*head, *broken])
    return numbered


# --- posts ---------------------------------------------------------------------------------------------------------


def give_post(
    *,
    person_id: int,
    unit_code: str,
    role: str,
    region_code: str = "",
    starts_on: date | None = None,
    ends_on: date | None = None,
    viewer: Viewer,
    at: datetime,
) -> Membership:
    """Give a person a post. Nobody gives one to oneself, and nobody becomes two of the three administrators."""
    viewer.need("manage_people")
    if person_id == viewer.person_id:
        raise _refused("不能给自己安排岗位。", "Nobody gives a post to oneself.", 403, "own_post")
    if role not in ROLES:
        raise _refused(f"没有岗位“{role}”。", f"There is no role “{role}”.", 422, "unknown_role")
    with transaction.atomic():
        person = Person.objects.select_for_update().filter(id=person_id).first()
        unit = Unit.objects.filter(code=unit_code).first()
        if person is None or unit is None:
            raise not_found()
        if not region_code.startswith(unit.region_code) and region_code:
            raise _refused(
                "区域不在单位的区域内。", "The region does not lie in the unit's region.", 422, "region_outside_unit"
            )
        post = Membership(
            person=person,
            unit=unit,
            role=role,
            region_code=region_code,
            starts_on=starts_on or day_of(at),
            ends_on=ends_on,
        )
        spans = [rules.Span(m.role, m.starts_on, m.ends_on) for m in person.memberships.all()]
        if rules.breaks_separation([*spans, rules.Span(role, post.starts_on, post.ends_on)]):
            raise Refused(rules.SEPARATION, status=409, code="separated_administrators")
        post.save()
        publish(
            [
                PostGiven(
                    subject=f"person:{person.pk}",
                    actor=viewer.actor,
                    at=at,
                    role=role,
                    unit=unit.code,
                    region_code=region_code,
                )
            ]
        )
    forget_cached()
    return post


def end_post(*, membership_id: int, viewer: Viewer, at: datetime) -> None:
    """End a post today: it counts no more from this moment on."""
    viewer.need("manage_people")
    with transaction.atomic():
        post = (
            Membership.objects.select_related("unit").select_for_update(of=("self",)).filter(id=membership_id).first()
        )
        if post is None:
            raise not_found()
        post.ends_on = day_of(at)
        post.save(update_fields=["ends_on"])
        publish(
            [
                PostEnded(
                    subject=f"person:{post.person_id}", actor=viewer.actor, at=at, role=post.role, unit=post.unit.code
                )
            ]
        )
    forget_cached()


# --- who may come in -----------------------------------------------------------------------------------------------


def disable_person(*, person_id: int, reason: str, viewer: Viewer, at: datetime) -> None:
    """Shut a person out: every session ends with its next request, every token within a second."""
    _switch(person_id, viewer, at, active=False, reason=reason)


def enable_person(*, person_id: int, viewer: Viewer, at: datetime) -> None:
    """Let a person in again. Old sessions and tokens stay dead."""
    _switch(person_id, viewer, at, active=True, reason="")


def _switch(person_id: int, viewer: Viewer, at: datetime, *, active: bool, reason: str) -> None:
    viewer.need("manage_people")
    if person_id == viewer.person_id:
        raise _refused("不能停用自己。", "Nobody shuts oneself out.", 409, "oneself")
    subject = f"person:{person_id}"
    event: Happened = (
        PersonEnabled(subject=subject, actor=viewer.actor, at=at)
        if active
        else PersonDisabled(subject=subject, actor=viewer.actor, at=at, reason=reason)
    )
    with transaction.atomic():
        _raise_epoch(person_id, is_active=active)
        publish([event])
    forget_cached()


def end_sessions(*, person_id: int, viewer: Viewer, at: datetime) -> None:
    """End every session and token of a person: one's own, or anybody's as security administrator."""
    if person_id != viewer.person_id:
        viewer.need("end_sessions")
    with transaction.atomic():
        _raise_epoch(person_id)
        publish([SessionsEnded(subject=f"person:{person_id}", actor=viewer.actor, at=at)])
    forget_cached()


def _raise_epoch(person_id: int, **change: bool) -> None:
    person = Person.objects.select_for_update().filter(id=person_id).first()
    if person is None:
        raise not_found()
    person.session_epoch += 1
    for name, value in change.items():
        setattr(person, name, value)
    person.save(update_fields=["session_epoch", *change])
    BrowserSession.objects.filter(person=person).delete()


def issue_setup_codes(*, person_ids: Iterable[int], viewer: Viewer, at: datetime) -> dict[str, str]:
    """New one-time codes by user name; the codes that these persons had before are dead."""
    viewer.need("manage_people")
    with transaction.atomic():
        people = list(Person.objects.select_for_update().filter(id__in=set(person_ids), is_active=True))
        SetupCode.objects.filter(person__in=people, used_at__isnull=True).update(used_at=at)
        codes = _issue_codes(people, at)
        publish([SetupCodeIssued(subject=f"person:{p.pk}", actor=viewer.actor, at=at) for p in people])
    return codes


def _issue_codes(people: Sequence[Person], at: datetime) -> dict[str, str]:
    codes = {p.username: new_code() for p in people}
    insert_rows(
        [SetupCode(person_id=p.pk, hash=hash_code(codes[p.username]), expires_at=at + CODE_AGE) for p in people]
    )
    return codes


def write_codes(codes: Mapping[str, str], path: Path) -> None:
    """Write one-time codes to a new file that only its owner may read. An existing file is not overwritten."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write("username,code\n")
        file.writelines(f"{username},{code}\n" for username, code in sorted(codes.items()))


# --- notices -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNotice:
    """What to tell whom. The sentence names no citizen."""

    person_id: int
    sentence: Sentence
    case_id: int | None = None
    kind: str = ""
    at: datetime | None = None
    """When what it tells of happened, if not now."""


def notify(notices: Sequence[NewNotice], *, at: datetime) -> list[int]:
    """Put notices before persons, in one statement; their ids in order."""
    return insert_rows(
        [
            Notice(person_id=n.person_id, case_id=n.case_id, kind=n.kind, sentence=n.sentence.both(), at=n.at or at)
            for n in notices
        ]
    )


def read_notices(*, ids: Iterable[int] | None, viewer: Viewer, at: datetime) -> int:
    """Mark one's own notices as read (None: all of them); the number that were not."""
    mine = Notice.objects.filter(person_id=viewer.person_id or 0, read_at__isnull=True)
    return mine.filter(Q() if ids is None else Q(id__in=list(ids))).update(read_at=at)


def be_present(*, case_id: int, viewer: Viewer, at: datetime) -> None:
    """A sign that this person has the case open. Kept for a minute, in a table that is not even logged."""
    if viewer.person_id is None:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO people_presence (person_id, case_id, seen_at) VALUES (%s, %s, %s) "
            "ON CONFLICT (case_id, person_id) DO UPDATE SET seen_at = excluded.seen_at",
            [viewer.person_id, case_id, at],
        )


def forget_presence(*, at: datetime) -> None:
    """Wipe who was where. For a timer."""
    Presence.objects.filter(seen_at__lte=at - PRESENT).delete()


def _refused(zh: str, en: str, status: int, code: str) -> Refused:
    return Refused(Sentence(zh=zh, en=en), status=status, code=code)
