"""What a program is told when something is refused: RFC 9457 problem details, in both languages."""

from __future__ import annotations

import json
import logging
import random
import re
from collections.abc import Callable
from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.http import Http404, HttpRequest, HttpResponse
from ninja.errors import AuthenticationError, HttpError, ValidationError

from gridloop.kernel.errors import Mistake, Mistakes, Refused, not_found
from gridloop.kernel.language import Sentence

log = logging.getLogger(__name__)
PREFIX = "/api/"
HEADERS = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox"),
    ("Referrer-Policy", "no-referrer"),
)
"""What every answer below `PREFIX` says to a browser that might show it."""
_SENTENCES: dict[int, tuple[str, Sentence]] = {
    400: ("bad_request", Sentence(zh="请求无法理解。", en="The request cannot be understood.")),
    401: ("unauthenticated", Sentence(zh="请先登录，或带上有效的令牌。", en="Log in first, or send a valid token.")),
    403: ("forbidden", Sentence(zh="不允许。", en="This is not allowed.")),
    404: ("not_found", not_found().sentence),
    405: ("method_not_allowed", Sentence(zh="此地址不支持这个方法。", en="This address does not know the method.")),
    413: ("too_large", Sentence(zh="内容太大。", en="The content is too large.")),
    415: ("unsupported_media_type", Sentence(zh="请用 application/json 发送。", en="Send it as application/json.")),
    500: ("defect", Sentence(zh="系统出错，已记录。", en="Something broke on our side; it was recorded.")),
    503: ("unavailable", Sentence(zh="暂时无法服务，请稍后再试。", en="We cannot serve now. Try again in a moment.")),
}


def problem(
    status: int, code: str = "", sentence: Sentence | None = None, *, mistakes: list[Mistake] | None = None
) -> HttpResponse:
    """A problem as `application/problem+json`: RFC 9457 members, our stable `code`, and `mistakes` if there are any."""
    own_code, own = _SENTENCES.get(status, _SENTENCES[400])
    sentence = sentence or own
    body: dict[str, Any] = {
        "type": f"urn:gridloop:problem:{code or own_code}",
        "title": str(own) if mistakes else str(sentence),
        "status": status,
        "code": code or own_code,
        "detail": sentence.both(),
    }
    if mistakes is not None:
        body["mistakes"] = [{"place": m.place, "wrong": m.wrong.both(), "instead": m.instead.both()} for m in mistakes]
    response = HttpResponse(
        json.dumps(body, ensure_ascii=False), status=status, content_type="application/problem+json"
    )
    if status == 401:
        response["WWW-Authenticate"] = "Bearer"
    if status in (429, 503):
        response["Retry-After"] = str(60 if status == 429 else random.randint(2, 8))  # noqa: S311 - not all at once again
    return response


def answer(request: HttpRequest, error: Exception | type[Exception]) -> HttpResponse:
    """The one translation of every exception that leaves an operation."""
    if isinstance(error, Refused):
        return problem(error.status, error.code, error.sentence)
    if isinstance(error, Mistakes):
        return problem(422, "mistakes", _count_of(len(error.mistakes)), mistakes=error.mistakes)
    if isinstance(error, ValidationError):
        return problem(422, "mistakes", _count_of(len(error.errors)), mistakes=[_mistake(e) for e in error.errors])
    if isinstance(error, AuthenticationError):
        return problem(401)
    if isinstance(error, Http404):
        return problem(404)
    if isinstance(error, RequestDataTooBig):
        return problem(413)
    if isinstance(error, HttpError):
        return problem(error.status_code)
    # Only the class: the text of an error may quote what a citizen wrote.
    log.exception("operation failed", exc_info=error if isinstance(error, Exception) else None)
    return problem(500)


def _count_of(n: int) -> Sentence:
    return Sentence(zh=f"有{n}处错误，什么都没有保存。", en=f"{n} mistakes; nothing was kept.")


_PYDANTIC = {
    "missing": ("缺少", "is missing", "加上它", "add it"),
    "extra_forbidden": ("不认识的字段", "is not known", "删去它", "remove it"),
    "json_invalid": ("不是有效的 JSON", "is not valid JSON", "发送 JSON", "send JSON"),
}


_WORD = re.compile(r"[A-Za-z_][A-Za-z_-]{0,39}|\d{1,6}")


def _mistake(error: dict[str, Any]) -> Mistake:
    """A mistake of form. What was sent is not repeated: it may be a name, a number or a password."""
    parts = [str(part) for part in error["loc"][1:] if part not in ("body", "data")]
    # The name of an unknown field is the sender's own text: only a plain word is repeated.
    place = ".".join(part if _WORD.fullmatch(part) else "…" for part in parts) or "body"
    zh, en, instead_zh, instead_en = _PYDANTIC.get(
        error["type"], ("格式不对", str(error["msg"])[:120], "见接口说明", "see the description of the interface")
    )
    return Mistake(place, Sentence(zh=zh, en=en), Sentence(zh=instead_zh, en=instead_en))


class ApiPages:
    """Outermost middleware for what lies below ``/api/``: JSON only, never cached, and no page but a problem."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith(PREFIX):
            return self.get_response(request)
        response = problem(415) if _not_json(request) else self.get_response(request)
        if response.status_code >= 400 and not response.get("Content-Type", "").startswith("application/problem+json"):
            allow = response.get("Allow")
            response = problem(response.status_code)
            if allow:
                response["Allow"] = allow
        for name, value in HEADERS:
            response[name] = value if name != "Cache-Control" else response.get(name, value)
        return response


def _not_json(request: HttpRequest) -> bool:
    """Whether a body comes in a form that a foreign web page could send without being asked (and no picture)."""
    if request.method in ("GET", "HEAD", "OPTIONS", "DELETE") or not int(request.headers.get("Content-Length") or 0):
        return False
    kind = request.headers.get("Content-Type", "")
    return not is_json(kind) and not kind.strip().lower().startswith("image/")


def is_json(kind: str) -> bool:
    """Whether a content type is JSON, whatever is added to it."""
    return kind.partition(";")[0].strip().lower() == "application/json"
