"""Log-in, log-out, one-time codes, passwords and one's own tokens."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from ninja import Router, Schema, Status
from pydantic import Field

from gridloop.gateways.api.doors import Door, viewer_of
from gridloop.gateways.api.paging import Page, Strict
from gridloop.kernel import clock
from gridloop.kernel.errors import Refused
from gridloop.kernel.language import Sentence
from gridloop.people import access, sessions
from gridloop.people.models import Person, Token
from gridloop.people.queries import own_person, tokens_for, viewer_for
from gridloop.people.roles import ROLES
from gridloop.people.sessions import source_of
from gridloop.people.viewer import Viewer

router = Router(tags=["access"])


class LogIn(Strict):
    username: str = Field(max_length=60)
    password: str = Field(max_length=256)
    code: str = Field("", max_length=40, description="Of the authenticator app, or a recovery code, if one is set up")


class SetUp(Strict):
    username: str = Field(max_length=60)
    code: str = Field(max_length=60)
    password: str = Field(max_length=256)


class NewPassword(Strict):
    old: str = Field(max_length=256)
    new: str = Field(max_length=256)


class PostOut(Schema):
    role: str
    name: dict[str, str]
    unit_id: int
    region_code: str


class Me(Schema):
    """Who is logged in, with today's posts and what they allow."""

    kind: str
    id: int
    name: str = ""
    posts: list[PostOut] = []
    permissions: list[str] = []
    csrf_token: str = ""
    must_change_password: bool = False


class NewToken(Strict):
    name: str = Field("", max_length=60)
    days: int = Field(90, ge=1, le=365)


class TokenOut(Schema):
    id: int
    name: str
    created_at: datetime
    expires_at: datetime


class TokenText(TokenOut):
    token: str
    """Shown this once."""


def _me(request: HttpRequest, viewer: Viewer, name: str = "", *, must_change: bool = False) -> Me:
    posts = [
        PostOut(role=g.role, name=ROLES[g.role].name.both(), unit_id=g.unit_id, region_code=g.region_code)
        for g in viewer.grants
    ]
    return Me(
        kind=viewer.kind,
        id=viewer.id,
        name=name,
        posts=posts,
        permissions=sorted(viewer.permissions),
        csrf_token=get_token(request),
        must_change_password=must_change,
    )


@router.post("/session", auth=None, response=Me, summary="Log in")
def log_in(request: HttpRequest, response: HttpResponse, body: LogIn) -> Me:
    """Opens a session. The answer is the same whatever was wrong; wrong tries are counted per device and account.
    Who has set up a second factor sends its `code` too; without it the answer is 401 `second_factor_needed`.

    登录。无论哪里不对，回答都一样；错误次数按设备和账号计算。
    设置了第二因素的人还须带上 `code`，否则回答 401 `second_factor_needed`。
    """
    now = clock.now()
    entered = access.log_in(
        username=body.username,
        password=body.password,
        code=body.code,
        device=request.COOKIES.get(access.DEVICE, ""),
        source=source_of(request),
        at=now,
    )
    sessions.begin(request, entered.person, at=now, second=entered.second)
    response.set_cookie(
        access.DEVICE,
        entered.device,
        max_age=access.DEVICE_AGE,
        httponly=True,
        samesite="Strict",
        secure=request.is_secure(),
    )
    return _me(
        request,
        viewer_for(entered.person, now),
        entered.person.name,
        must_change=entered.person.must_change_password,
    )


@router.get("/session", auth=Door(without_password=True), response=Me, summary="Who am I?")
def who_am_i(request: HttpRequest) -> Me:
    """The viewer behind this token or session: posts, permissions, and the CSRF token for a session.

    当前身份：岗位、权限，以及会话所需的 CSRF 令牌。
    """
    viewer = viewer_of(request)
    person = own_person(viewer)
    return _me(request, viewer, person.name if person else "", must_change=bool(person and person.must_change_password))


@router.delete("/session", auth=Door(without_password=True), response={204: None}, summary="Log out")
def log_out(request: HttpRequest) -> Status[None]:
    """Ends this session; its cookie is worthless afterwards.

    退出登录，会话立即失效。
    """
    sessions.end(request)
    return Status(204, None)


@router.post("/session/setup", auth=None, response={204: None}, summary="Set the first password with a one-time code")
def set_up(request: HttpRequest, body: SetUp) -> Status[None]:
    """Redeems a one-time code. It works once and for a week; all sessions and tokens of the person end.

    用一次性代码设置口令。代码只能用一次，一周内有效。
    """
    access.set_first_password(
        username=body.username, code=body.code, password=body.password, source=source_of(request), at=clock.now()
    )
    return Status(204, None)


@router.post("/session/password", auth=Door(without_password=True), response={204: None}, summary="Change my password")
def change_password(request: HttpRequest, body: NewPassword) -> Status[None]:
    """Changes one's own password; all other sessions and all tokens end, this session goes on.

    修改自己的口令；其他会话和全部令牌立即失效，当前会话继续。
    """
    person = _person(viewer_of(request))
    now = clock.now()
    access.change_password(person=person, old=body.old, new=body.new, at=now)
    if "HTTP_AUTHORIZATION" not in request.META:
        sessions.begin(request, person, at=now)
    return Status(204, None)


@router.get("/tokens", response=Page[TokenOut], summary="My tokens")
def list_tokens(request: HttpRequest) -> dict[str, object]:
    """One's own tokens that still open something; never their text.

    自己仍有效的令牌（不含内容）。
    """
    return {"items": list(tokens_for(viewer_of(request), clock.now()))}


@router.post("/tokens", response={201: TokenText}, summary="Make a token of my own")
def make_token(request: HttpRequest, body: NewToken) -> Status[TokenText]:
    """A bearer token that opens as oneself. Its text is shown this once.

    为自己生成令牌，内容只显示这一次。
    """
    viewer = viewer_of(request)
    token, text = access.issue_token(
        viewer=viewer, person=_person(viewer), name=body.name, age=timedelta(days=body.days), at=clock.now()
    )
    return Status(201, shown(token, text))


@router.delete("/tokens/{token_id}", response={204: None}, summary="End a token")
def end_token(request: HttpRequest, token_id: int) -> Status[None]:
    """Ends one of one's own tokens, or any as security administrator.

    作废自己的令牌；安全管理员可作废任何令牌。
    """
    access.revoke_token(token_id=token_id, viewer=viewer_of(request), at=clock.now())
    return Status(204, None)


def shown(token: Token, text: str) -> TokenText:
    return TokenText(id=token.pk, name=token.name, created_at=token.created_at, expires_at=token.expires_at, token=text)


def _person(viewer: Viewer) -> Person:
    person = own_person(viewer)
    if person is None:
        raise Refused(Sentence(zh="只有人可以这样做。", en="Only a person can do this."), status=403, code="forbidden")
    return person
