"""From a case to its facts: the named yes-or-no statements that a pack's indicators count."""

from __future__ import annotations

from datetime import datetime

FACTS: dict[str, str] = {
    "opened": "TRUE",
    "filed": "filed_at IS NOT NULL",
    "dispatched": "dispatched_at IS NOT NULL",
    "responded": "responded IS TRUE",
    "response_due": "responded IS NOT NULL",
    "handled": "(handled_at IS NOT NULL OR reworks > 0 OR reopened > 0)",
    "handled_on_time": "on_time IS TRUE",
    "handling_due": "on_time IS NOT NULL",
    "overdue": "on_time IS FALSE",
    "closed": "state = 'closed'",
    "force_closed": "state = 'forced_close'",
    "cancelled": "state = 'cancelled'",
    "not_accepted": "state = 'not_accepted'",
    "returned": "returns > 0",
    "reworked": "reworks > 0",
    "extended": "extensions > 0",
    "suspended": "suspensions > 0",
    "reopened": "reopened > 0",
    "misdispatched": "units > 1",
    "asked": "asked > 0",
    "answered": "resolved IS NOT NULL",
    "resolved": "resolved IS TRUE",
    "satisfied": "satisfied >= 4",
    "rated": "satisfied IS NOT NULL",
    "joined": "callers > 1",
    "exempt": "exempt",
}
"""Each named fact as a condition on a row of `CaseFact` (DOMAIN.md §1.6 for the Chinese names)."""


def on_time(
    handled_at: datetime | None, due_at: datetime | None, *, ended_at: datetime | None = None, late: bool = False
) -> bool | None:
    """Whether the unit handed back not after its deadline.

    Judged at the moment of the hand-back (DOMAIN.md, trap 6). Without a deadline, or while neither moment has come,
    unknown: None. `ended_at`: when it was closed by force in the unit's hands. `late`: the deadline has passed while
    the unit still has it.
    """
    if due_at is None:
        return None
    if handled_at is not None:
        return handled_at <= due_at
    return False if late or (ended_at is not None and ended_at > due_at) else None


def responded(signed_at: datetime | None, sign_by: datetime | None, *, unsigned_at: datetime | None) -> bool | None:
    """Whether the unit signed in time. `unsigned_at`: the last moment at which it is known that it had not signed."""
    if sign_by is None:
        return None
    if signed_at is not None:
        return signed_at <= sign_by
    return False if unsigned_at is not None and unsigned_at > sign_by else None
