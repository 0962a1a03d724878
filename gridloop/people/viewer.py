"""Who looks and acts. Every query and every action takes a `Viewer`; nothing asks for the request."""

from __future__ import annotations

from dataclasses import dataclass, field

from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence
from gridloop.people.roles import ROLES


@dataclass(frozen=True, slots=True)
class Grant:
    """One post as it counts today: role, unit and all units below it, region prefix ("" = unlimited)."""

    role: str
    unit_id: int
    unit_ids: frozenset[int]
    region_code: str


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person with today's posts, a machine client, or the system itself."""

    kind: str
    """``person``, ``client`` or ``system``; ``anonymous`` has no grant at all."""
    id: int = 0
    grants: tuple[Grant, ...] = ()
    permissions: frozenset[str] = field(default_factory=frozenset)

    @property
    def actor(self) -> str:
        """How the viewer is written into the record; never a name."""
        return self.kind if self.kind in ("system", "anonymous") else f"{self.kind}:{self.id}"

    @property
    def person_id(self) -> int | None:
        return self.id if self.kind == "person" else None

    def may(self, permission: str) -> bool:
        return self.kind == "system" or permission in self.permissions

    def need(self, permission: str) -> None:
        """Refuse unless the viewer may."""
        if not self.may(permission):
            raise Refused(
                Sentence(
                    zh=f"您的岗位没有“{permission}”权限。",
                    en=f"Your post does not carry the permission “{permission}”.",
                ),
                status=403,
                code="forbidden",
            )

    def roles(self) -> frozenset[str]:
        return frozenset(g.role for g in self.grants)


SYSTEM = Viewer(kind="system")
ANONYMOUS = Viewer(kind="anonymous")


def permissions_of(roles: frozenset[str]) -> frozenset[str]:
    """The union of what the roles may do."""
    return frozenset().union(*(ROLES[r].may for r in roles)) if roles else frozenset()
