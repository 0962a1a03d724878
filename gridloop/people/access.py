"""Who is this, and may they come in? Log-in, one-time codes, tokens of persons and machines, and their end.

Nothing here tells a stranger whether a user name exists: the same words, the same work, the same status.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from django.contrib.auth.hashers import make_password
from django.contrib.sessions.models import Session
from django.core import signing
from django.db import connection, transaction

from gridloop.kernel.errors import Mistake, Mistakes, Refused, not_found
from gridloop.kernel.events import publish
from gridloop.kernel.language import Sentence
from gridloop.people import factors
from gridloop.people.events import ClientRegistered, LoggedIn, PasswordSet, TokenIssued, TokenRevoked
from gridloop.people.models import BrowserSession, Client, Person, SetupCode, Throttle, Token
from gridloop.people.passwords import MAX_LENGTH, check_new_password, hash_code
from gridloop.people.queries import viewer_for, viewer_of_client
from gridloop.people.roles import PERMISSIONS
from gridloop.people.viewer import ANONYMOUS, Viewer

WINDOW = timedelta(minutes=15)
TRIES_OF_AN_ACCOUNT = 5
"""A bucket of 5 that drains in 15 minutes: at most 10 wrong passwords in any 15 minutes, never a locked account."""
TRIES_OF_A_SOURCE = 25
"""The same for one address over all accounts: at most 50. Devices that once logged in are not counted here."""
DEVICE = "gridloop_device"
"""The cookie that keeps the device's mark."""
DEVICE_AGE = timedelta(days=180)
TOKEN_AGE = timedelta(days=90)
CACHED = 1.0
"""Seconds for which a process may believe a token without asking the database."""


@dataclass(frozen=True, slots=True)
class Entered:
    """Somebody who proved who they are, or (before `finish`) the first half of it, and the device's mark, to be kept
    in a cookie, which is no credential."""

    person: Person
    device: str = field(repr=False)
    known_device: bool = False
    by: str = "password"
    second: str = ""
    """The second factor that was shown: ``totp``, ``recovery_codes``, ``webauthn``, ``provider``; "" = none."""


def log_in(*, username: str, password: str, device: str, source: str, at: datetime, code: str = "") -> Entered:
    """Check a user name and a password and, of a person who has a second factor, a code.

    Refused with 401 (the same sentence whatever of the two was wrong), 401 with `second_factor_needed`, or 429.
    """
    entered = prove_password(username=username, password=password, device=device, source=source, at=at)
    if factors.has_one(entered.person.pk):
        if not code:
            raise Refused(
                Sentence(
                    zh="还需要验证器的验证码或一个恢复码（code）。",
                    en="A code of the authenticator app, or a recovery code, is needed besides (code).",
                ),
                status=401,
                code="second_factor_needed",
            )
        entered = prove_code(entered, code=code, at=at)
    return finish(entered, at=at)


def prove_password(*, username: str, password: str, device: str, source: str, at: datetime) -> Entered:
    """The first half of a log-in: a user name and a password.

    `device` is the mark that an earlier log-in gave ("" = none), `source` the address. Wrong tries are counted per
    known device, or per account for all strangers together, so that no stranger can lock the owner's own device out.
    """
    person = Person.objects.filter(username=username).first()
    known = person is not None and _device_of(device) == person.pk
    keys = _buckets(username, device if known else "", source)
    _take(keys, at)
    if person is None:
        make_password(password[:MAX_LENGTH])  # as much work as for a person who exists
        right = False
    else:
        right = person.check_password(password[:MAX_LENGTH])
    if person is None or not right or not person.is_active:
        raise _wrong()
    _give_back(keys)
    return Entered(person, device if known else _new_device(person.pk), known)


def prove_code(entered: Entered, *, code: str, at: datetime) -> Entered:
    """The second half: a code of an authenticator app, or a recovery code. Wrong tries are counted per person, apart
    for a device on which that person logged in before."""
    keys = _code_bucket(entered)
    _take(keys, at)
    used = factors.check_code(entered.person.pk, code, at=at)
    _give_back(keys)
    return replace(entered, second=used)


def prove_passkey(
    entered: Entered, *, answer: Mapping[str, Any], state: Mapping[str, Any], host: str, at: datetime
) -> Entered:
    """The second half: a passkey of this person, in answer to the question in `state`."""
    keys = _code_bucket(entered)
    _take(keys, at)
    factors.check_passkey(entered.person.pk, answer, state=state, host=host, at=at)
    _give_back(keys)
    return replace(entered, second="webauthn")


def enter_with_passkey(
    *, answer: Mapping[str, Any], state: Mapping[str, Any], host: str, device: str, source: str, at: datetime
) -> Entered:
    """A whole log-in by a passkey that names its person and that its owner unlocked: two factors in one."""
    keys = [(_key("source", source), TRIES_OF_A_SOURCE)]
    _take(keys, at)
    response = answer.get("response")
    handle = str(response.get("userHandle") or "") if isinstance(response, Mapping) else ""
    try:
        number = int(urlsafe_b64decode(handle + "=" * (-len(handle) % 4)))
    except ValueError:
        raise factors.wrong_passkey() from None
    person = Person.objects.filter(pk=number, is_active=True).first()
    if person is None:
        raise factors.wrong_passkey()
    factors.check_passkey(person.pk, answer, state=state, host=host, at=at)
    _give_back(keys)
    known = _device_of(device) == person.pk
    entered = Entered(person, device if known else _new_device(person.pk), known, by="passkey", second="webauthn")
    return finish(entered, at=at)


def vouched_for(*, username: str, device: str, second: bool) -> Entered:
    """The first half of a log-in by an identity provider that vouches for this user name. Nobody is made by it.

    `second`: the deployment says that the provider asks for a second factor itself.
    """
    person = Person.objects.filter(username=username, is_active=True).first() if username else None
    if person is None:
        raise Refused(
            Sentence(
                zh="登录服务认可了您，但本平台没有对应的用户。请联系安全管理员。",
                en="The log-in service knows you, but nobody works here under that user name. "
                "Ask the security administrator.",
            ),
            status=403,
            code="not_a_colleague",
        )
    known = _device_of(device) == person.pk
    return Entered(
        person, device if known else _new_device(person.pk), known, by="provider", second="provider" if second else ""
    )


def finish(entered: Entered, *, at: datetime) -> Entered:
    """Record that somebody came in. The caller opens the session."""
    subject = f"person:{entered.person.pk}"
    publish_alone(
        LoggedIn(
            subject=subject,
            actor=subject,
            at=at,
            known_device=entered.known_device,
            by=entered.by,
            second=entered.second,
        )
    )
    return entered


def owed(person: Person, viewer: Viewer, *, second: str) -> str:
    """What somebody who came in has to do before anything else: ``password``, ``second_factor``, or "" = nothing.

    `second` is the factor shown at log-in, or the one that a person of a token has.
    """
    if person.must_change_password:
        return "password"
    return "second_factor" if not second and factors.is_demanded(viewer) else ""


OWED = {
    "password": ("password_change_needed", Sentence(zh="请先更换口令。", en="Change your password first.")),
    "second_factor": (
        "second_factor_missing",
        Sentence(
            zh="您的岗位须有第二因素，请先设置验证器或通行密钥，再重新登录。",
            en="Your post demands a second factor. Set up an authenticator app or a passkey first.",
        ),
    ),
}


def settle(owes: str) -> None:
    """Refuse with 403 while something is owed."""
    if owes:
        code, sentence = OWED[owes]
        raise Refused(sentence, status=403, code=code)


def prove_again(*, person: Person, password: str = "", code: str = "", at: datetime) -> None:
    """Before something delicate: the password or a code once more, from somebody who is in already."""
    keys = [(_key("again", str(person.pk)), TRIES_OF_AN_ACCOUNT)]
    _take(keys, at)
    if code:
        factors.check_code(person.pk, code, at=at)
    elif not person.check_password(password[:MAX_LENGTH]):
        raise Refused(Sentence(zh="口令不对。", en="That is not your password."), status=401, code="wrong_password")
    _give_back(keys)


def set_first_password(*, username: str, code: str, password: str, source: str, at: datetime) -> Person:
    """Redeem a one-time code for a password of the person's own. All other codes, sessions and tokens end."""
    keys = _buckets(username, "", source)
    _take(keys, at)
    found = (
        SetupCode.objects.select_related("person")
        .filter(hash=hash_code(code), person__username=username, person__is_active=True)
        .filter(used_at__isnull=True, expires_at__gt=at)
        .first()
    )
    if found is None:
        raise Refused(
            Sentence(
                zh="用户名或一次性代码不对，或代码已过期。",
                en="The user name or the code is wrong, or the code has expired.",
            ),
            status=401,
            code="wrong_code",
        )
    check_new_password(password, found.person)
    with transaction.atomic():
        if not SetupCode.objects.filter(id=found.pk, used_at__isnull=True).update(used_at=at):
            raise _wrong()  # somebody redeemed it in this moment
        SetupCode.objects.filter(person=found.person, used_at__isnull=True).update(used_at=at)
        _set_password(found.person, password, by_code=True, at=at)
    _give_back(keys)
    return found.person


def change_password(*, person: Person, old: str, new: str, at: datetime) -> None:
    """Change one's own password; every other session and every token of the person ends."""
    keys = [(_key("change", str(person.pk)), TRIES_OF_AN_ACCOUNT)]
    _take(keys, at)
    if not person.check_password(old[:MAX_LENGTH]):
        raise Mistakes(
            [
                Mistake(
                    "old",
                    Sentence(zh="现在的口令不对", en="is not your present password"),
                    Sentence(zh="写现在的口令", en="write your present password"),
                )
            ]
        )
    _give_back(keys)
    check_new_password(new, person, place="new")
    with transaction.atomic():
        _set_password(person, new, by_code=False, at=at)


def _set_password(person: Person, password: str, *, by_code: bool, at: datetime) -> None:
    person.set_password(password)
    person.must_change_password = False
    person.session_epoch += 1
    person.save(update_fields=["password", "must_change_password", "session_epoch"])
    BrowserSession.objects.filter(person=person).delete()
    publish([PasswordSet(subject=f"person:{person.pk}", actor=f"person:{person.pk}", at=at, by_code=by_code)])


def _wrong() -> Refused:
    return Refused(
        Sentence(zh="用户名或口令不对。", en="The user name or the password is wrong."),
        status=401,
        code="wrong_password",
    )


def publish_alone(event: LoggedIn) -> None:
    with transaction.atomic():
        publish([event])


# --- wrong tries ---------------------------------------------------------------------------------------------------


def _key(kind: str, value: str) -> str:
    # Hashed: a password typed into the field of the user name must not be stored.
    return hashlib.sha256(f"{kind}\0{value}".encode()).hexdigest()


def _buckets(username: str, device: str, source: str) -> list[tuple[str, int]]:
    if device:
        return [(_key("device", f"{username}\0{device}"), TRIES_OF_AN_ACCOUNT)]
    return [(_key("strangers", username), TRIES_OF_AN_ACCOUNT), (_key("source", source), TRIES_OF_A_SOURCE)]


def _code_bucket(entered: Entered) -> list[tuple[str, int]]:
    value = f"{entered.person.pk}\0{entered.device if entered.known_device else ''}"
    return [(_key("code", value), TRIES_OF_AN_ACCOUNT)]


TOO_MANY_TRIES = Sentence(
    zh="尝试次数太多，请过几分钟再试；用您登录过的设备不受影响。",
    en="Too many tries. Wait some minutes; a device on which you logged in before is not affected.",
)


def count_turn(kind: str, source: str, *, most: int, sentence: Sentence, at: datetime) -> None:
    """Count what a stranger at an address does: `most` at once, and as many again in every quarter of an hour.

    `kind` keeps what is counted apart. Refused (429) with the sentence when there were too many.
    """
    _take([(_key(kind, source), most)], at, sentence)


def _take(buckets: list[tuple[str, int]], at: datetime, sentence: Sentence = TOO_MANY_TRIES) -> None:
    """Count a try before it is made, so that a hundred at once are a hundred; refused when a bucket is full."""
    for key, capacity in buckets:
        with connection.cursor() as cursor:
            cursor.execute(
                "INSERT INTO people_throttle AS t (key, level, at) VALUES (%(key)s, 1, %(at)s) "
                "ON CONFLICT (key) DO UPDATE SET at = excluded.at, level = 1 + "
                "greatest(0, t.level - extract(epoch FROM excluded.at - t.at) * %(drain)s) "
                "WHERE greatest(0, t.level - extract(epoch FROM excluded.at - t.at) * %(drain)s) + 1 <= %(capacity)s "
                "RETURNING level",
                {"key": key, "at": at, "capacity": capacity, "drain": capacity / WINDOW.total_seconds()},
            )
            if cursor.fetchone() is None:
                raise Refused(sentence, status=429, code="too_many_tries")


def _give_back(buckets: list[tuple[str, int]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(
            "UPDATE people_throttle SET level = greatest(0, level - 1) WHERE key = ANY(%s)", [[k for k, _ in buckets]]
        )


def _new_device(person: int) -> str:
    return signing.dumps([person, secrets.token_hex(16)], salt="gridloop.device")


def _device_of(mark: str) -> int | None:
    """The person who logged in on this device before, or None."""
    try:
        person, _ = signing.loads(mark, salt="gridloop.device", max_age=DEVICE_AGE)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return int(person)


def tidy(*, at: datetime) -> None:
    """Forget drained buckets, ended sessions, expired codes and long-ended tokens. For a timer."""
    Session.objects.filter(expire_date__lt=at).delete()
    BrowserSession.objects.filter(seen_at__lt=at - timedelta(hours=1)).exclude(
        key__in=Session.objects.values("session_key")
    ).delete()
    Throttle.objects.filter(at__lt=at - 2 * WINDOW).delete()
    SetupCode.objects.filter(expires_at__lt=at - timedelta(days=30)).delete()
    Token.objects.filter(expires_at__lt=at - timedelta(days=30)).delete()


# --- tokens --------------------------------------------------------------------------------------------------------


def register_client(
    *, code: str, name: str, permissions: list[str], viewer: Viewer, at: datetime, per_minute: int = 6000
) -> Client:
    """Let a machine in. Its permissions are words of `roles.PERMISSIONS`."""
    viewer.need("manage_people")
    unknown = sorted(set(permissions) - PERMISSIONS)
    if unknown:
        raise Mistakes(
            [
                Mistake(
                    "permissions",
                    Sentence(zh=f"没有“{word}”权限", en=f"there is no permission “{word}”"),
                    Sentence(zh="见角色与权限表", en="see the table of roles and permissions"),
                )
                for word in unknown
            ]
        )
    with transaction.atomic():
        client = Client.objects.create(code=code, name=name, permissions=sorted(permissions), per_minute=per_minute)
        publish(
            [ClientRegistered(subject=f"client:{client.pk}", actor=viewer.actor, at=at, permissions=client.permissions)]
        )
    return client


def issue_token(
    *,
    viewer: Viewer,
    at: datetime,
    person: Person | None = None,
    client: Client | None = None,
    name: str = "",
    age: timedelta = TOKEN_AGE,
) -> tuple[Token, str]:
    """A new bearer token, for oneself or (security administrator) for a machine; its text is given this once."""
    if client is not None or person is None or person.pk != viewer.person_id:
        viewer.need("manage_people")
        if person is not None and viewer.kind != "system":
            raise Refused(
                Sentence(zh="不能替别人领取令牌。", en="Nobody takes a token in another person's name."),
                status=403,
                code="forbidden",
            )
    text = "glp_" + urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    with transaction.atomic():
        token = Token.objects.create(
            hash=_hash(text),
            person=person,
            client=client,
            epoch=person.session_epoch if person else 0,
            name=name,
            created_at=at,
            expires_at=at + age,
        )
        holder = f"person:{person.pk}" if person else f"client:{client.pk if client else 0}"
        publish([TokenIssued(subject=holder, actor=viewer.actor, at=at, token_id=token.pk)])
    return token, text


def revoke_token(*, token_id: int, viewer: Viewer, at: datetime) -> None:
    """End a token: one's own, or any as security administrator."""
    tokens = Token.objects.filter(id=token_id, revoked_at__isnull=True)
    if not viewer.may("manage_people"):
        tokens = tokens.filter(person_id=viewer.person_id or 0)
    with transaction.atomic():
        token = tokens.select_for_update().first()
        if token is None:
            raise not_found()
        token.revoked_at = at
        token.save(update_fields=["revoked_at"])
        holder = f"person:{token.person_id}" if token.person_id else f"client:{token.client_id}"
        publish([TokenRevoked(subject=holder, actor=viewer.actor, at=at, token_id=token.pk)])
    forget_cached()


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a token: the viewer, and for a machine its code and its quota."""

    viewer: Viewer
    client_code: str = ""
    per_minute: int = 0
    owes: str = ""
    """What a person must do first, see `owed`."""


NOBODY = Holder(ANONYMOUS)
_cache: dict[str, tuple[float, Holder]] = {}
_lock = threading.Lock()


def holder_of(token: str, *, at: datetime) -> Holder:
    """Who holds this token, or `NOBODY`. Asked of the database at most once a second and process."""
    if (known := believed(token)) is not None:
        return known
    key = _hash(token)
    moment = time.monotonic()
    holder = _look_up(key, at)
    with _lock:
        if len(_cache) > 10_000:
            _cache.clear()
        if holder is not NOBODY:  # unknown tokens are not kept: a stranger could fill the memory with them
            _cache[key] = (moment + CACHED, holder)
        else:
            _cache.pop(key, None)
    return holder


def believed(token: str) -> Holder | None:
    """Who holds this token, if the database was asked within the last second; never asks it."""
    cached = _cache.get(_hash(token))
    return cached[1] if cached is not None and cached[0] > time.monotonic() else None


def forget_cached() -> None:
    """Ask the database again for every token, at once in this process (the others do within a second)."""
    with _lock:
        _cache.clear()


def _look_up(key: str, at: datetime) -> Holder:
    token = (
        Token.objects.select_related("person", "client")
        .filter(hash=key, revoked_at__isnull=True, expires_at__gt=at)
        .first()
    )
    if token is None:
        return NOBODY
    if token.client is not None:
        if not token.client.is_active:
            return NOBODY
        return Holder(viewer_of_client(token.client), token.client.code, token.client.per_minute)
    person = token.person
    if person is None or not person.is_active or person.session_epoch != token.epoch:
        return NOBODY
    viewer = viewer_for(person, at)
    second = "token" if factors.is_demanded(viewer) and factors.has_one(person.pk) else ""
    return Holder(viewer, owes=owed(person, viewer, second=second))


def _hash(token: str) -> str:
    return hashlib.sha256(b"token\0" + token.encode()).hexdigest()
