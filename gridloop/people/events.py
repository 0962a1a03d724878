"""What can happen to the people who work here. Never a name, a password or a token."""

from __future__ import annotations

from dataclasses import dataclass

from gridloop.kernel.events import Happened


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitsImported(Happened):
    added: int
    changed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleImported(Happened):
    added: int
    posts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PostGiven(Happened):
    role: str
    unit: str
    region_code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PostEnded(Happened):
    role: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonDisabled(Happened):
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonEnabled(Happened):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionsEnded(Happened):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupCodeIssued(Happened):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class PasswordSet(Happened):
    by_code: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedIn(Happened):
    known_device: bool
    by: str = "password"
    """What was shown first: ``password``, ``passkey`` or ``provider``."""
    second: str = ""
    """What was shown besides: ``totp``, ``recovery_codes``, ``webauthn``, ``provider``; "" = nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIssued(Happened):
    token_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenRevoked(Happened):
    token_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRegistered(Happened):
    permissions: list[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorAdded(Happened):
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorRemoved(Happened):
    kind: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FactorsReset(Happened):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class RecoveryCodesMade(Happened):
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelKept(Happened):
    """Notices may leave this way; its address stays out of the record."""

    code: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSwitched(Happened):
    active: bool
