"""The second factor (第二因素): codes of an authenticator app, recovery codes, passkeys. Kept in allauth's tables.

A password is what somebody knows; this proves what somebody has. Every secret is locked before it is stored, a code of
an app opens once, and nothing here decides whether somebody may come in: that is `access`.
"""

from __future__ import annotations

import hmac
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from io import BytesIO
from typing import Any
from urllib.parse import quote, urlencode

import qrcode
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from allauth.mfa.webauthn.internal.auth import WebAuthn
from cryptography.exceptions import InvalidSignature
from django.conf import settings
from django.db import transaction
from fido2.server import Fido2Server
from fido2.webauthn import (
    AttestedCredentialData,
    PublicKeyCredentialRpEntity,
    PublicKeyCredentialUserEntity,
    RegistrationResponse,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)
from qrcode.image.svg import SvgPathFillImage

from gridloop.kernel import keys
from gridloop.kernel.errors import Mistake, Mistakes, Refused, not_found
from gridloop.kernel.events import publish
from gridloop.kernel.language import Sentence
from gridloop.people.events import FactorAdded, FactorRemoved, FactorsReset, RecoveryCodesMade
from gridloop.people.models import BrowserSession, Person
from gridloop.people.roles import SEPARATED
from gridloop.people.viewer import Viewer

PERIOD = 30
"""Seconds for which a code of an app is shown (RFC 6238); the one before and the one after count too."""
MOST_PASSKEYS = 10
_PURPOSE = "gridloop/second-factor/1"
_REAL = ("totp", "webauthn")
"""What counts as a second factor; recovery codes only stand in for one."""


class Locked(DefaultMFAAdapter):  # type: ignore[misc]
    """allauth's hooks: what it stores of a factor is locked with the key of the data folder."""

    def encrypt(self, text: str) -> str:
        return keys.lock(text, _PURPOSE)

    def decrypt(self, encrypted_text: str) -> str:
        return keys.unlock(encrypted_text, _PURPOSE)


@dataclass(frozen=True, slots=True)
class Factor:
    """One factor of a person: ``totp``, ``webauthn`` or ``recovery_codes``; how it is called and when it was used."""

    id: int
    kind: str
    name: str
    created_at: datetime
    last_used_at: datetime | None
    left: int = 0
    """Of recovery codes: how many have not been used."""


def mode() -> str:
    """What the deployment says: ``off``, ``offered``, ``required_for_admins`` or ``required``."""
    return getattr(settings, "GRIDLOOP_MFA", "offered")


def is_offered() -> bool:
    """Whether new factors can be set up here. Who has one is asked for it in any case."""
    return mode() != "off"


def is_demanded(viewer: Viewer) -> bool:
    """Whether this person must have one: the three separated administrators and whoever may reveal contacts, or all."""
    if viewer.kind != "person" or mode() in ("off", "offered"):
        return False
    return (
        mode() == "required"
        or bool(viewer.roles() & SEPARATED)
        or viewer.may("reveal_contact")
        or viewer.may("reveal_secret_contact")
    )


def kinds_of(person_id: int) -> frozenset[str]:
    """Which kinds of factors a person has."""
    return frozenset(Authenticator.objects.filter(user_id=person_id).values_list("type", flat=True))


def has_one(person_id: int) -> bool:
    """Whether this person must show a second factor to come in."""
    return bool(Authenticator.objects.filter(user_id=person_id, type__in=_REAL).exists())


def factors_of(person_id: int) -> list[Factor]:
    """A person's factors, the oldest first. One query."""
    return [
        Factor(
            id=row.pk,
            kind=row.type,
            name=row.data.get("name", ""),
            created_at=row.created_at,
            last_used_at=row.last_used_at,
            left=len(RecoveryCodes(row).get_unused_codes()) if row.type == "recovery_codes" else 0,
        )
        for row in Authenticator.objects.filter(user_id=person_id).order_by("id")
    ]


# --- codes ---------------------------------------------------------------------------------------------------------


def check_code(person_id: int, code: str, *, at: datetime) -> str:
    """Which factor this code is of: ``totp`` or ``recovery_codes``; refused with 401 if of none. It opens once."""
    digits = "".join(c for c in code if c.isascii() and c.isdigit())
    with transaction.atomic():
        rows = {
            row.type: row
            for row in Authenticator.objects.select_for_update().filter(
                user_id=person_id, type__in=("totp", "recovery_codes")
            )
        }
        used = ""
        if len(digits) == 6 and "totp" in rows and _is_now(rows["totp"], digits, at):
            used = "totp"
        elif (
            len(digits) > 6 and "recovery_codes" in rows and RecoveryCodes(rows["recovery_codes"]).validate_code(digits)
        ):
            used = "recovery_codes"
        if used:
            Authenticator.objects.filter(pk=rows[used].pk).update(last_used_at=at)
    if not used:
        raise wrong_code()
    return used


def _is_now(row: Any, digits: str, at: datetime) -> bool:
    """Whether these are the digits of now, the period before or after, and later than any that opened before."""
    counter = _counter_of(keys.unlock(row.data["secret"], _PURPOSE), digits, at)
    if counter is None or counter <= row.data.get("counter", -1):
        return False
    row.data["counter"] = counter
    row.save(update_fields=["data"])
    return True


def _counter_of(secret: str, digits: str, at: datetime) -> int | None:
    now = int(at.timestamp()) // PERIOD
    found = None
    for counter in (now - 1, now, now + 1):  # all three, so that the time taken tells nothing
        if hmac.compare_digest(format_hotp_value(hotp_value(secret, counter)), digits):
            found = counter
    return found


def wrong_code() -> Refused:
    return Refused(
        Sentence(
            zh="验证码不对、已用过或已过期。请输入验证器上现在显示的六位数字，或一个恢复码。",
            en="The code is wrong, used or expired. Type the six digits that the app shows now, or a recovery code.",
        ),
        status=401,
        code="wrong_code",
    )


@dataclass(frozen=True, slots=True)
class NewApp:
    """A secret on its way into an authenticator app: as text, and as a picture (SVG as a data address)."""

    secret: str = field(repr=False)
    picture: str = field(repr=False)
    locked: str = field(repr=False)
    """The secret as it may wait in a session."""


def new_app(person: Person, *, site: str, locked: str = "") -> NewApp:
    """A new secret for an app, or the one that waits. Nothing is stored until `add_app` has seen a code of it."""
    secret = keys.unlock(locked, _PURPOSE) if locked else generate_totp_secret()
    label = quote(f"{site}:{person.username}")
    address = f"otpauth://totp/{label}?{urlencode({'secret': secret, 'issuer': site}, quote_via=quote)}"
    drawing = BytesIO()
    qrcode.make(address, image_factory=SvgPathFillImage, border=2).save(drawing)
    picture = "data:image/svg+xml;base64," + b64encode(drawing.getvalue()).decode()
    return NewApp(secret, picture, locked or keys.lock(secret, _PURPOSE))


def add_app(*, person: Person, locked: str, code: str, viewer: Viewer, at: datetime) -> list[str]:
    """Keep an authenticator app whose present code was shown. The recovery codes, if these are the person's first."""
    _own(person, viewer)
    digits = "".join(c for c in code if c.isascii() and c.isdigit())
    secret = keys.unlock(locked, _PURPOSE)
    counter = _counter_of(secret, digits, at)
    if counter is None:
        raise Mistakes(
            [
                Mistake(
                    "code",
                    Sentence(zh="与验证器现在显示的不符", en="is not what the app shows now"),
                    Sentence(
                        zh="扫描后输入六位数字；若仍不符，请校准手机时间",
                        en="scan, then type the six digits; if it still fails, set the phone's clock",
                    ),
                )
            ]
        )
    with transaction.atomic():
        Person.objects.select_for_update().get(pk=person.pk)
        if Authenticator.objects.filter(user_id=person.pk, type="totp").exists():
            raise Refused(
                Sentence(zh="已有一个验证器，请先移除。", en="There is an app already. Remove it first."),
                code="one_app",
            )
        app = TOTP.activate(person, secret)
        app.instance.data["counter"] = counter
        app.instance.created_at = at
        app.instance.save()
        return _added(person, "totp", at)


def new_recovery_codes(*, person: Person, viewer: Viewer, at: datetime) -> list[str]:
    """New recovery codes; the ones before are dead. They are told this once and kept so that nobody can list them."""
    _own(person, viewer)
    with transaction.atomic():
        Person.objects.select_for_update().get(pk=person.pk)
        if not has_one(person.pk):
            raise Refused(
                Sentence(
                    zh="先设置验证器或通行密钥，再生成恢复码。",
                    en="Set up an app or a passkey first; recovery codes stand in for it.",
                ),
                code="no_factor",
            )
        Authenticator.objects.filter(user_id=person.pk, type="recovery_codes").delete()
        return _recovery_codes(person, at)


def close_codes(codes: Sequence[str]) -> str:
    """Recovery codes as they may wait in a session until their owner's next page."""
    return keys.lock(" ".join(codes), _PURPOSE)


def open_codes(locked: str) -> list[str]:
    """The codes that waited."""
    return keys.unlock(locked, _PURPOSE).split()


def _recovery_codes(person: Person, at: datetime) -> list[str]:
    codes: list[str] = RecoveryCodes.activate(person).generate_codes()
    subject = f"person:{person.pk}"
    publish([RecoveryCodesMade(subject=subject, actor=subject, at=at)])
    return codes


def _added(person: Person, kind: str, at: datetime) -> list[str]:
    subject = f"person:{person.pk}"
    publish([FactorAdded(subject=subject, actor=subject, at=at, kind=kind)])
    if Authenticator.objects.filter(user_id=person.pk, type="recovery_codes").exists():
        return []
    return _recovery_codes(person, at)


# --- passkeys ------------------------------------------------------------------------------------------------------


def _server(host: str) -> Fido2Server:
    # The library takes answers from https://<host>, and from this machine itself, and from nowhere else.
    return Fido2Server(PublicKeyCredentialRpEntity(id=host, name="Gridloop"))


def _passkeys(person_id: int) -> dict[bytes, Any]:
    """Credential id -> allauth's row."""
    rows = Authenticator.objects.filter(user_id=person_id, type="webauthn")
    return {row.wrap().authenticator_data.credential_data.credential_id: row for row in rows}


def _credentials(rows: Mapping[bytes, Any]) -> list[AttestedCredentialData]:
    return [row.wrap().authenticator_data.credential_data for row in rows.values()]


def ask_for_new_passkey(person: Person, *, host: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the browser is asked for to make a passkey, and the state that must wait for its answer in the session."""
    options, state = _server(host).register_begin(
        user=PublicKeyCredentialUserEntity(id=str(person.pk).encode(), name=person.username, display_name=person.name),
        credentials=_credentials(_passkeys(person.pk)),
        resident_key_requirement=ResidentKeyRequirement.PREFERRED,
        user_verification=UserVerificationRequirement.PREFERRED,
        extensions={"credProps": True},
    )
    return dict(options), state


def add_passkey(
    *,
    person: Person,
    name: str,
    answer: Mapping[str, Any],
    state: Mapping[str, Any],
    host: str,
    viewer: Viewer,
    at: datetime,
) -> list[str]:
    """Keep the passkey that a browser made. The recovery codes, if these are the person's first."""
    _own(person, viewer)
    try:
        RegistrationResponse.from_dict(answer)
        _server(host).register_complete(dict(state), dict(answer))
    except (ValueError, TypeError, KeyError) as error:
        raise wrong_passkey() from error
    with transaction.atomic():
        Person.objects.select_for_update().get(pk=person.pk)
        if Authenticator.objects.filter(user_id=person.pk, type="webauthn").count() >= MOST_PASSKEYS:
            raise Refused(
                Sentence(zh=f"最多{MOST_PASSKEYS}个通行密钥。", en=f"At most {MOST_PASSKEYS} passkeys."),
                code="too_many_passkeys",
            )
        key = WebAuthn.add(person, name.strip()[:60], dict(answer))
        Authenticator.objects.filter(pk=key.instance.pk).update(created_at=at)
        return _added(person, "webauthn", at)


def ask_for_passkey(person_id: int | None, *, host: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the browser is asked for to show a passkey: one of this person's, or (None) any that names its person."""
    options, state = _server(host).authenticate_begin(
        credentials=_credentials(_passkeys(person_id)) if person_id is not None else [],
        user_verification=UserVerificationRequirement.PREFERRED
        if person_id is not None
        else UserVerificationRequirement.REQUIRED,
    )
    return dict(options), state


def check_passkey(
    person_id: int, answer: Mapping[str, Any], *, state: Mapping[str, Any], host: str, at: datetime
) -> None:
    """Refused with 403 unless this answers the question in `state` with a passkey of this person."""
    rows = _passkeys(person_id)
    try:
        binding = _server(host).authenticate_complete(dict(state), _credentials(rows), dict(answer))
    except (ValueError, TypeError, KeyError, AttributeError, InvalidSignature) as error:
        raise wrong_passkey() from error
    Authenticator.objects.filter(pk=rows[binding.credential_id].pk).update(last_used_at=at)


def wrong_passkey() -> Refused:
    return Refused(
        Sentence(
            zh="通行密钥未通过验证，请重试，或改用验证码。",
            en="The passkey was not accepted. Try again, or use a code.",
        ),
        status=403,
        code="wrong_passkey",
    )


# --- taking factors away -------------------------------------------------------------------------------------------


def remove_factor(*, factor_id: int, person: Person, viewer: Viewer, at: datetime) -> None:
    """Remove one of one's own factors. With the last one the recovery codes go; where one is demanded it stays."""
    _own(person, viewer)
    subject = f"person:{person.pk}"
    with transaction.atomic():
        Person.objects.select_for_update().get(pk=person.pk)
        rows = {row.pk: row for row in Authenticator.objects.filter(user_id=person.pk)}
        row = rows.get(factor_id)
        if row is None or row.type not in _REAL:
            raise not_found()
        others = [r for r in rows.values() if r.type in _REAL and r.pk != row.pk]
        if not others and is_demanded(viewer):
            raise Refused(
                Sentence(
                    zh="您的岗位须有第二因素，最后一个不能移除；请先添加另一个。",
                    en="Your post demands a second factor. Add another one before you remove the last.",
                ),
                code="factor_demanded",
            )
        row.delete()
        if not others:
            Authenticator.objects.filter(user_id=person.pk).delete()
        publish([FactorRemoved(subject=subject, actor=viewer.actor, at=at, kind=row.type)])


def reset_factors(*, person_id: int, viewer: Viewer, at: datetime) -> None:
    """Take away all factors of somebody who lost them, and end that person's sessions. Never one's own."""
    viewer.need("manage_people")
    if person_id == viewer.person_id:
        raise Refused(
            Sentence(zh="不能重置自己的第二因素。", en="Nobody resets the own second factor."), code="oneself"
        )
    with transaction.atomic():
        person = Person.objects.select_for_update().filter(pk=person_id).first()
        if person is None:
            raise not_found()
        Authenticator.objects.filter(user_id=person_id).delete()
        person.session_epoch += 1
        person.save(update_fields=["session_epoch"])
        BrowserSession.objects.filter(person=person).delete()
        publish([FactorsReset(subject=f"person:{person_id}", actor=viewer.actor, at=at)])


def _own(person: Person, viewer: Viewer) -> None:
    if viewer.person_id != person.pk:
        raise not_found()
    if not is_offered():
        raise Refused(
            Sentence(zh="本部署未启用第二因素。", en="This deployment offers no second factor."),
            status=403,
            code="no_factors_here",
        )
