"""Roles and what each may do: one table (the first of two; tests hold the second, written by hand).

Sources: the posts of digital city management systems (GB/T 30428 series) and the roles of grid governance; the three
separated administrators follow GB/T 22239-2019 8.1.4.2 (system, security, audit). The permissions of each role are
Gridloop's design.
"""

from __future__ import annotations

from dataclasses import dataclass

from gridloop.kernel.language import Sentence


@dataclass(frozen=True, slots=True)
class Role:
    """A post's name, the permissions it carries and how far it sees.

    `sees`: ``all`` (the whole district), ``region`` (cases in its subtree), ``unit`` (cases its unit holds or
    helps with), ``own`` (cases given to this person), ``none`` (no case at all).
    """

    name: Sentence
    sees: str
    may: frozenset[str]


def _role(zh: str, en: str, sees: str, may: str) -> Role:
    return Role(Sentence(zh=zh, en=en), sees, frozenset(may.split()))


INTAKE = "report triage accept reject_intake correct call_back "
FILING = "file refuse_filing close send_back force_close cancel "
FIELD = "report verify check hand_back self_handle start return_back evidence "

ROLES: dict[str, Role] = {
    "district_leader": _role("区领导", "District leader", "all", "supervise read_scores"),
    "intake_officer": _role(
        "受理员",
        "Intake officer",
        "all",
        INTAKE + "assign_verify reveal_contact reveal_secret_contact remind",
    ),
    "shift_lead": _role(
        "值班长",
        "Shift lead",
        "all",
        INTAKE + FILING + "assign_verify assign_check remind supervise reveal_contact reveal_secret_contact "
        "decide_appeal export manage_templates publish_picture",
    ),
    "dispatcher": _role(
        "派遣员",
        "Dispatcher",
        "all",
        "report dispatch add_co_unit decide_extension decide_suspension suspend resume extend assign_check remind "
        "supervise correct export",
    ),
    "subdistrict_operator": _role(
        "街道操作员",
        "Sub-district operator",
        "region",
        INTAKE + "dispatch assign start hand_back return_back evidence remind reveal_contact ask_extension "
        "ask_suspension appeal assign_verify assign_check publish_picture",
    ),
    "grid_leader": _role("网格长", "Grid leader", "region", FIELD + "assign remind"),
    "grid_worker": _role("网格员", "Grid worker", "region", FIELD),
    "department_handler": _role(
        "部门处置人员",
        "Department handler",
        "unit",
        "start hand_back co_hand_back return_back assign evidence ask_extension ask_suspension appeal",
    ),
    "inspector": _role("督查员", "Inspector", "all", "report check evidence read_scores"),
    "auditor": _role("审计管理员", "Audit administrator", "none", "read_audit verify_audit"),
    "system_admin": _role("系统管理员", "System administrator", "none", "operate manage_units import see_health"),
    "security_admin": _role("安全管理员", "Security administrator", "none", "manage_people end_sessions"),
}

SEPARATED = frozenset({"system_admin", "security_admin", "auditor"})
"""The three separated administrators: one operates, one lets people in, one watches both. Nobody holds two of them."""

FOR_MACHINES = frozenset({"read_cases"})
"""Permissions that no post carries: a machine has no post by which it would see cases."""

PERMISSIONS = FOR_MACHINES.union(*(role.may for role in ROLES.values()))
"""Every permission there is."""
