"""Who works where, who is responsible, and who looks: reading people, units and posts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import F, Q, QuerySet

from gridloop.kernel import clock
from gridloop.kernel.errors import not_found
from gridloop.kernel.language import Sentence
from gridloop.people.models import Client, Membership, Notice, Person, Presence, Token, Unit, day_of
from gridloop.people.roles import PERMISSIONS, ROLES
from gridloop.people.viewer import ANONYMOUS, Grant, Viewer, permissions_of

_GRANTS = """
WITH RECURSIVE post AS (
    SELECT m.person_id, m.id, m.role, m.unit_id, coalesce(nullif(m.region_code, ''), u.region_code) AS region_code
    FROM people_membership m JOIN people_unit u ON u.id = m.unit_id JOIN people_person p ON p.id = m.person_id
    WHERE m.person_id = ANY(%(persons)s) AND p.is_active
      AND m.starts_on <= %(day)s AND (m.ends_on IS NULL OR m.ends_on > %(day)s)
), below (root, id) AS (
    SELECT DISTINCT unit_id, unit_id FROM post
    UNION
    SELECT below.root, u.id FROM below JOIN people_unit u ON u.parent_id = below.id
)
SELECT post.person_id, post.role, post.unit_id, post.region_code, below_it.ids
FROM post JOIN (SELECT root, array_agg(id) AS ids FROM below GROUP BY root) AS below_it ON below_it.root = post.unit_id
ORDER BY post.person_id, post.id
"""

_POSTS = """
WITH RECURSIVE below (root, id, depth) AS (
    SELECT id, id, 0 FROM unnest(%(units)s::bigint[]) AS id
    UNION ALL
    SELECT below.root, u.id, below.depth + 1 FROM below JOIN people_unit u ON u.parent_id = below.id
), reach AS (
    SELECT root, id, depth FROM below
    UNION ALL
    SELECT 0, id, 0 FROM people_unit WHERE %(anywhere)s
)
SELECT reach.root, m.role, coalesce(nullif(m.region_code, ''), u.region_code), reach.depth, m.id, m.person_id
FROM reach JOIN people_membership m ON m.unit_id = reach.id
JOIN people_unit u ON u.id = m.unit_id JOIN people_person p ON p.id = m.person_id
WHERE m.role = ANY(%(roles)s) AND p.is_active
  AND m.starts_on <= %(day)s AND (m.ends_on IS NULL OR m.ends_on > %(day)s)
"""


def viewers_for(person_ids: Iterable[int], at: datetime | None = None) -> dict[int, Viewer]:
    """Each person's viewer with the posts of that day, in one query. Who is disabled or has no post may do nothing."""
    persons = sorted(set(person_ids))
    grants: dict[int, list[Grant]] = {person: [] for person in persons}
    with connection.cursor() as cursor:
        cursor.execute(_GRANTS, {"persons": persons, "day": day_of(at or clock.now())})
        for person, role, unit, region, units in cursor.fetchall():
            grants[person].append(Grant(role, unit, frozenset(units), region))
    return {
        person: Viewer("person", person, tuple(posts), permissions_of(frozenset(g.role for g in posts)))
        for person, posts in grants.items()
    }


def viewer_for(person: Person | int, at: datetime | None = None) -> Viewer:
    """The viewer of one person: the posts of that day, every unit below them, the region to which each is limited."""
    key = person if isinstance(person, int) else person.pk
    return viewers_for([key], at)[key]


def viewer_of_client(client: Client) -> Viewer:
    """The viewer of a machine: the permissions it was given, no post, no case of its own."""
    if not client.is_active:
        return ANONYMOUS
    return Viewer("client", client.pk, permissions=frozenset(client.permissions) & PERMISSIONS)


def persons_for(requests: Sequence[tuple[int, str, str]], at: datetime | None = None) -> list[int | None]:
    """Who is responsible: for each (unit id, role, region code) the person's id, or None. One query for all.

    Looked for among the posts of that role in the unit or below it (unit 0: in any unit) whose scope contains the
    region. The deepest scope wins, then the unit nearest to the one asked for, then the oldest post; so the same
    question always has the same answer.
    """
    if not requests:
        return []
    with connection.cursor() as cursor:
        cursor.execute(
            _POSTS,
            {
                "units": sorted({unit for unit, _, _ in requests if unit}),
                "anywhere": any(unit == 0 for unit, _, _ in requests),
                "roles": sorted({role for _, role, _ in requests}),
                "day": day_of(at or clock.now()),
            },
        )
        best: dict[tuple[int, str, str], tuple[int, int, int]] = {}
        for unit, role, scope, *post in cursor.fetchall():
            here = (unit, role, scope)
            best[here] = min(best.get(here, tuple(post)), tuple(post))
    # A region lies below every prefix of its code: the longest one that is somebody's scope has the answer.
    answers: dict[tuple[int, str, str], int | None] = {}
    for unit, role, region in set(requests):
        scopes = (best.get((unit, role, region[:size])) for size in range(len(region), -1, -1))
        answers[unit, role, region] = next((post[2] for post in scopes if post is not None), None)
    return [answers[request] for request in requests]


@dataclass(frozen=True, slots=True)
class Vacancy:
    """A grid that lacks somebody: how many grid leaders and grid workers are posted to exactly this grid."""

    region_code: str
    leaders: int
    workers: int

    @property
    def lacks(self) -> tuple[str, ...]:
        """The roles that are wrong: every grid has exactly one leader and at least one worker."""
        wrong = (("grid_leader", self.leaders != 1), ("grid_worker", self.workers < 1))
        return tuple(role for role, bad in wrong if bad)


def vacancies(grid_codes: Iterable[str], at: datetime | None = None) -> list[Vacancy]:
    """The grids that lack exactly one grid leader or at least one grid worker, in the order given.

    The caller names the active grids (`territory` lies above this layer).
    """
    codes = list(grid_codes)
    posts = Membership.objects.filter(
        _on(day_of(at or clock.now())),
        role__in=("grid_leader", "grid_worker"),
        person__is_active=True,
        region_code__in=codes,
    ).values_list("region_code", "role")
    count: dict[tuple[str, str], int] = {}
    for region, role in posts:
        count[region, role] = count.get((region, role), 0) + 1
    all_grids = [Vacancy(c, count.get((c, "grid_leader"), 0), count.get((c, "grid_worker"), 0)) for c in codes]
    return [grid for grid in all_grids if grid.lacks]


def _on(day: object) -> Q:
    return Q(starts_on__lte=day) & (Q(ends_on__isnull=True) | Q(ends_on__gt=day))


def units_for(viewer: Viewer) -> QuerySet[Unit]:
    """All units; everybody who works here may know who is responsible for what."""
    return Unit.objects.order_by("code") if viewer.kind != "anonymous" else Unit.objects.none()


def people_for(viewer: Viewer) -> QuerySet[Person]:
    """The persons a viewer may look up: colleagues of the own units and below; all, for who sees the whole district."""
    if viewer.kind == "anonymous":
        return Person.objects.none()
    everybody = Person.objects.order_by("username")
    whole_district = any(ROLES[g.role].sees == "all" for g in viewer.grants)
    if viewer.kind == "system" or whole_district or viewer.may("manage_people") or viewer.may("read_audit"):
        return everybody
    units = frozenset().union(*(g.unit_ids for g in viewer.grants)) if viewer.grants else frozenset()
    return everybody.filter(Q(memberships__unit_id__in=units) | Q(id=viewer.person_id or 0)).distinct()


def person_for(viewer: Viewer, person_id: int) -> Person:
    """One person, or the answer that neither tells "absent" from "not yours"."""
    person = people_for(viewer).filter(id=person_id).first()
    if person is None:
        raise not_found()
    return person


def notices_for(viewer: Viewer, *, unread_only: bool = False) -> QuerySet[Notice]:
    """What this person was told, newest first. Nobody reads another's notices."""
    notices = Notice.objects.filter(person_id=viewer.person_id or 0).order_by("-id")
    return notices.filter(read_at__isnull=True) if unread_only else notices


def unread_notices(viewer: Viewer) -> int:
    """How many notices this person has not read; counted up to 100."""
    return Notice.objects.filter(person_id=viewer.person_id or 0, read_at__isnull=True)[:100].count()


def notices_page(viewer: Viewer, *, cursor: str = "", size: int = 50) -> tuple[list[Notice], str]:
    """One page of what this person was told, the unread first, each part newest first; and the cursor of the next.

    A cursor is the part and the last id of the page before: ``u17`` (unread) or ``r17`` (read).
    """
    mine = Notice.objects.filter(person_id=viewer.person_id or 0).order_by("-id")
    part, after = cursor[:1], int(cursor[1:]) if cursor[1:].isascii() and cursor[1:].isdigit() else None
    rows: list[Notice] = []
    if part != "r":
        unread = mine.filter(read_at__isnull=True)
        rows = list((unread.filter(id__lt=after) if after is not None and part == "u" else unread)[: size + 1])
    if len(rows) <= size:
        read = mine.filter(read_at__isnull=False)
        read = read.filter(id__lt=after) if after is not None and part == "r" else read
        rows += read[: size + 1 - len(rows)]
    if len(rows) <= size:
        return rows, ""
    last = rows[size - 1]
    return rows[:size], f"{'u' if last.read_at is None else 'r'}{last.pk}"


def holders_of(roles: Iterable[str], at: datetime | None = None) -> list[int]:
    """The ids of the active persons who hold one of the roles on that day, ascending."""
    return sorted(
        Membership.objects.filter(_on(day_of(at or clock.now())), role__in=list(roles), person__is_active=True)
        .values_list("person_id", flat=True)
        .distinct()
    )


def own_person(viewer: Viewer) -> Person | None:
    """The person behind the viewer, or None for a machine."""
    return None if viewer.person_id is None else Person.objects.filter(id=viewer.person_id, is_active=True).first()


def tokens_for(viewer: Viewer, at: datetime) -> QuerySet[Token]:
    """One's own tokens that still open something, newest first."""
    return Token.objects.filter(
        person_id=viewer.person_id or 0, revoked_at__isnull=True, expires_at__gt=at, epoch=F("person__session_epoch")
    ).order_by("-id")


def units_by_code(codes: Iterable[str]) -> dict[str, int]:
    """Unit ids by their codes; unknown codes are missing."""
    return dict(Unit.objects.filter(code__in=set(codes)).values_list("code", "id"))


def clients_for(viewer: Viewer) -> QuerySet[Client]:
    """The machines that were let in, for the security administrator."""
    return Client.objects.order_by("code") if viewer.may("manage_people") else Client.objects.none()


def posts_of(person_ids: Iterable[int], at: datetime | None = None) -> dict[int, list[Membership]]:
    """Today's posts of persons, with their units, by person. One query."""
    found: dict[int, list[Membership]] = {person: [] for person in person_ids}
    posts = Membership.objects.filter(_on(day_of(at or clock.now())), person_id__in=list(found))
    for post in posts.select_related("unit").order_by("id"):
        found[post.person_id].append(post)
    return found


def units_at_work(unit_ids: Iterable[int], at: datetime | None = None) -> frozenset[int]:
    """Which of these units there are and are at work on that day."""
    return frozenset(
        Unit.objects.filter(_on(day_of(at or clock.now())), id__in=list(unit_ids)).values_list("id", flat=True)
    )


_STANDING = """
WITH RECURSIVE above (person_id, id) AS (
    SELECT m.person_id, m.unit_id FROM people_membership m JOIN people_person p ON p.id = m.person_id
    WHERE m.person_id = ANY(%(persons)s) AND p.is_active
      AND m.starts_on <= %(day)s AND (m.ends_on IS NULL OR m.ends_on > %(day)s)
    UNION
    SELECT above.person_id, u.parent_id FROM above JOIN people_unit u ON u.id = above.id WHERE u.parent_id IS NOT NULL
)
SELECT person_id, array_agg(id) FROM above GROUP BY person_id
"""


def standing_of(person_ids: Iterable[int], at: datetime | None = None) -> dict[int, frozenset[int]]:
    """For each person with a post that day: its units and all units above them. Any of these may give it work."""
    with connection.cursor() as cursor:
        cursor.execute(_STANDING, {"persons": list(person_ids), "day": day_of(at or clock.now())})
        return {person: frozenset(units) for person, units in cursor.fetchall()}


@dataclass(frozen=True, slots=True)
class Colleague:
    """Who somebody is at work: shown to colleagues who see the same case, never to the public."""

    id: int
    name: str
    post: Sentence
    unit: Sentence

    def office(self) -> Sentence:
        """The post and its unit without the name: how the story of a case tells who did something."""
        return Sentence(zh=f"{self.unit.zh}{self.post.zh}", en=f"{self.post.en}, {self.unit.en}")


def colleagues(person_ids: Iterable[int]) -> dict[int, Colleague]:
    """Persons by id with their newest post, in one query. Who never had a post is missing."""
    posts = Membership.objects.filter(person_id__in=set(person_ids)).select_related("person", "unit")
    found: dict[int, Colleague] = {}
    for post in posts.order_by("person_id", F("ends_on").desc(nulls_first=True), "id"):
        role = ROLES[post.role].name if post.role in ROLES else Sentence(zh=post.role, en=post.role)
        unit = Sentence(zh=post.unit.name, en=post.unit.name_en or post.unit.name)
        found.setdefault(post.person_id, Colleague(post.person_id, post.person.name, role, unit))
    return found


PRESENT = timedelta(seconds=45)
"""How long somebody counts as present after the last sign: two missed signs, and they are gone."""


def present_at(case_id: int, *, viewer: Viewer, at: datetime) -> list[Colleague]:
    """Who else has the case open now. The caller has made sure that the viewer sees the case."""
    here = Presence.objects.filter(case_id=case_id, seen_at__gt=at - PRESENT).exclude(person_id=viewer.person_id or 0)
    ids = list(here.order_by("person_id").values_list("person_id", flat=True)[:20])
    known = colleagues(ids) if ids else {}
    return [known[i] for i in ids if i in known]


def staff_for_unit(unit_id: int) -> list[Colleague]:
    """Who has a post today in a unit or below it, by name: to whom a case of the unit may be given. Two queries."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH RECURSIVE below (id) AS (SELECT %s::bigint UNION SELECT u.id FROM below JOIN people_unit u "
            "ON u.parent_id = below.id) SELECT DISTINCT m.person_id FROM people_membership m JOIN below "
            "ON below.id = m.unit_id JOIN people_person p ON p.id = m.person_id AND p.is_active "
            "WHERE m.starts_on <= %s AND (m.ends_on IS NULL OR m.ends_on > %s) LIMIT 500",
            [unit_id, (today := day_of(clock.now())), today],
        )
        ids = [row[0] for row in cursor.fetchall()]
    return sorted(colleagues(ids).values(), key=lambda c: (c.unit.zh, c.name, c.id))


def find_units(words: str, *, viewer: Viewer, most: int = 12) -> list[Unit]:
    """Units at work today whose name or code contains all of the words, shortest name first."""
    today = day_of(clock.now())
    found = units_for(viewer).filter(_on(today))
    for word in words.split()[:5]:
        found = found.filter(Q(name__icontains=word) | Q(name_en__icontains=word) | Q(code__icontains=word))
    return sorted(found[:200], key=lambda u: (len(u.name), u.code))[:most]


def unit_names(unit_ids: Iterable[int]) -> dict[int, Sentence]:
    """The names of units, by id: what an office is called is no secret. One query."""
    rows = Unit.objects.filter(id__in=set(unit_ids)).values_list("id", "name", "name_en")
    return {key: Sentence(zh=name, en=en or name) for key, name, en in rows}
