"""People who work here, their posts and notices, and the machines that may call."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Schema, Status
from pydantic import Field

from gridloop.gateways.api.access import TokenText, shown
from gridloop.gateways.api.doors import viewer_of
from gridloop.gateways.api.paging import Page, Strict, Window, page
from gridloop.kernel import clock
from gridloop.kernel.errors import not_found
from gridloop.people import access, actions, factors, queries
from gridloop.people.models import Client, Membership, Person
from gridloop.people.roles import ROLES

router = Router(tags=["people"])


class Post(Schema):
    id: int
    role: str
    role_name: dict[str, str]
    unit: str
    unit_id: int
    region_code: str
    starts_on: date
    ends_on: date | None


class PersonOut(Schema):
    """A colleague, with today's posts."""

    id: int
    username: str
    name: str
    is_active: bool
    synthetic: bool
    posts: list[Post]


def _people(people: list[Person]) -> list[dict[str, Any]]:
    posts = queries.posts_of(p.pk for p in people)
    return [
        {
            "id": p.pk,
            "username": p.username,
            "name": p.name,
            "is_active": p.is_active,
            "synthetic": p.synthetic,
            "posts": [_post(m) for m in posts[p.pk]],
        }
        for p in people
    ]


def _post(post: Membership) -> dict[str, Any]:
    return {
        "id": post.pk,
        "role": post.role,
        "role_name": ROLES[post.role].name.both(),
        "unit": post.unit.code,
        "unit_id": post.unit_id,
        "region_code": post.region_code,
        "starts_on": post.starts_on,
        "ends_on": post.ends_on,
    }


@router.get("/people", response=Page[PersonOut], summary="People")
def people(request: HttpRequest, window: Query[Window]) -> dict[str, Any]:
    """The colleagues whom this viewer may look up: of the own units and below; everybody, for who sees the district.

    可查的同事：本单位及下属单位；全区岗位可查全部。
    """
    viewer = viewer_of(request)
    return page(queries.people_for(viewer), window, _people, sort="id")


@router.get("/people/{person_id}", response=PersonOut, summary="One person")
def person(request: HttpRequest, person_id: int) -> dict[str, Any]:
    """A colleague with today's posts.

    某位同事及其当前岗位。
    """
    return _people([queries.person_for(viewer_of(request), person_id)])[0]


class NewPost(Strict):
    unit: str = Field(max_length=40, description="The unit's code")
    role: str = Field(max_length=24)
    region_code: str = Field("", max_length=19)
    starts_on: date | None = None
    ends_on: date | None = None


@router.post("/people/{person_id}/posts", response={201: Post}, summary="Give a post")
def give_post(request: HttpRequest, person_id: int, body: NewPost) -> Status[dict[str, Any]]:
    """Nobody gives a post to oneself; nobody is two of system, security and audit administrator.

    安排岗位。不能给自己安排；系统、安全、审计管理员不得兼任。
    """
    post = actions.give_post(
        person_id=person_id,
        unit_code=body.unit,
        role=body.role,
        region_code=body.region_code,
        starts_on=body.starts_on,
        ends_on=body.ends_on,
        viewer=viewer_of(request),
        at=clock.now(),
    )
    return Status(201, _post(post))


@router.delete("/posts/{post_id}", response={204: None}, summary="End a post")
def end_post(request: HttpRequest, post_id: int) -> Status[None]:
    """The post counts no more from this moment on; it stays in the history.

    结束岗位，立即生效，历史保留。
    """
    actions.end_post(membership_id=post_id, viewer=viewer_of(request), at=clock.now())
    return Status(204, None)


class Reason(Strict):
    reason: str = Field(min_length=2, max_length=200)


@router.post("/people/{person_id}/disable", response={204: None}, summary="Shut a person out")
def disable(request: HttpRequest, person_id: int, body: Reason) -> Status[None]:
    """Every session ends with its next request, every token within a second.

    停用人员：会话立即失效，令牌一秒内失效。
    """
    actions.disable_person(person_id=person_id, reason=body.reason, viewer=viewer_of(request), at=clock.now())
    return Status(204, None)


@router.post("/people/{person_id}/enable", response={204: None}, summary="Let a person in again")
def enable(request: HttpRequest, person_id: int) -> Status[None]:
    """Old sessions and tokens stay dead.

    恢复人员；旧会话和令牌不恢复。
    """
    actions.enable_person(person_id=person_id, viewer=viewer_of(request), at=clock.now())
    return Status(204, None)


@router.post(
    "/people/{person_id}/end-sessions", response={204: None}, summary="End all sessions and tokens of a person"
)
def end_sessions(request: HttpRequest, person_id: int) -> Status[None]:
    """One's own, or anybody's as security administrator.

    结束某人的全部会话和令牌（本人，或安全管理员）。
    """
    actions.end_sessions(person_id=person_id, viewer=viewer_of(request), at=clock.now())
    return Status(204, None)


@router.post(
    "/people/{person_id}/reset-factors", response={204: None}, summary="Take away the second factors of a person"
)
def reset_factors(request: HttpRequest, person_id: int) -> Status[None]:
    """For somebody who lost them, by the security administrator; that person's sessions and tokens end.

    重置遗失的第二因素（安全管理员）；该人员的会话和令牌立即失效。
    """
    factors.reset_factors(person_id=person_id, viewer=viewer_of(request), at=clock.now())
    return Status(204, None)


class CodeOut(Schema):
    username: str
    code: str
    """Shown this once; good for a week."""


@router.post("/people/{person_id}/setup-code", response={201: CodeOut}, summary="Issue a one-time code")
def setup_code(request: HttpRequest, person_id: int) -> Status[CodeOut]:
    """With it the person sets a password of the own. Codes issued before are dead.

    发放一次性代码，本人凭此设置口令；此前的代码作废。
    """
    codes = actions.issue_setup_codes(person_ids=[person_id], viewer=viewer_of(request), at=clock.now())
    if not codes:
        raise not_found()
    username, code = next(iter(codes.items()))
    return Status(201, CodeOut(username=username, code=code))


# --- notices -------------------------------------------------------------------------------------------------------


class NoticeOut(Schema):
    id: int
    case_id: int | None
    kind: str
    sentence: dict[str, str]
    at: datetime
    read_at: datetime | None


class NoticeFilter(Strict):
    unread: bool = False


@router.get("/notices", response=Page[NoticeOut], summary="My notices")
def notices(request: HttpRequest, wanted: Query[NoticeFilter], window: Query[Window]) -> dict[str, Any]:
    """What I was told, newest first. Nobody reads another's notices.

    我的消息，最新在前。
    """
    return page(queries.notices_for(viewer_of(request), unread_only=wanted.unread), window, list)


class ReadIn(Strict):
    ids: list[int] | None = Field(None, max_length=1000, description="null = all of them")


class Count(Schema):
    count: int


@router.post("/notices/read", response=Count, summary="Mark notices as read")
def read(request: HttpRequest, body: ReadIn) -> Count:
    """Only one's own; the answer counts those that were unread.

    标记自己的消息为已读。
    """
    return Count(count=actions.read_notices(ids=body.ids, viewer=viewer_of(request), at=clock.now()))


# --- machines ------------------------------------------------------------------------------------------------------


class ClientOut(Schema):
    id: int
    code: str
    name: str
    permissions: list[str]
    per_minute: int
    is_active: bool


class NewClient(Strict):
    code: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]{1,39}$")
    name: str = Field(max_length=120)
    permissions: list[str] = Field(max_length=40)
    per_minute: int = Field(6000, ge=1, le=1_000_000)


class ClientToken(Strict):
    name: str = Field("", max_length=60)
    days: int = Field(365, ge=1, le=730)


@router.get("/clients", response=Page[ClientOut], summary="Machines that may call")
def clients(request: HttpRequest, window: Query[Window]) -> dict[str, Any]:
    """For the security administrator.

    接入方列表（安全管理员）。
    """
    viewer = viewer_of(request)
    viewer.need("manage_people")
    return page(queries.clients_for(viewer), window, list, sort="id")


@router.post("/clients", response={201: ClientOut}, summary="Let a machine in")
def register(request: HttpRequest, body: NewClient) -> Status[Client]:
    """A machine gets the permissions named here and no others; it has no post.

    登记接入方，只拥有列出的权限。
    """
    return Status(201, access.register_client(**body.model_dump(), viewer=viewer_of(request), at=clock.now()))


@router.post("/clients/{code}/tokens", response={201: TokenText}, summary="Make a token for a machine")
def client_token(request: HttpRequest, code: str, body: ClientToken) -> Status[TokenText]:
    """Its text is shown this once.

    为接入方生成令牌，内容只显示这一次。
    """
    viewer = viewer_of(request)
    viewer.need("manage_people")
    client = queries.clients_for(viewer).filter(code=code).first()
    if client is None:
        raise not_found()
    token, text = access.issue_token(
        viewer=viewer, client=client, name=body.name, age=timedelta(days=body.days), at=clock.now()
    )
    return Status(201, shown(token, text))
